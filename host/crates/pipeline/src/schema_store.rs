//! The source's versions of schemas, kept in the checkpoint.

use std::sync::Arc;

use super::treatments;
use sluicegate_model::{
    Result,
    change::{Frontier, TableName},
};
use sluicegate_source::{Followed, KeptChange, KeptVersion, SchemaStore};
use sluicegate_state::{Checkpoint, SchemaChange};

/// The checkpoint of the pipeline.
#[derive(Debug)]
pub(super) struct InCheckpoint(pub(super) Arc<Checkpoint>);

impl SchemaStore for InCheckpoint {
    fn versions(&self) -> Result<Vec<KeptVersion>> {
        let versions = self.0.schema_versions()?.into_iter();
        Ok(versions.map(|v| KeptVersion { table: v.table, place: v.place, known: v.known }).collect())
    }

    fn schema(&self, table: &TableName, place: &str) -> Result<Option<String>> {
        self.0.schema(table, place)
    }

    fn read_to(&self) -> Result<Option<String>> {
        self.0.schemas_read_to()
    }

    fn store(&self, changes: &[KeptChange]) -> Result<()> {
        self.0.store_schemas(changes.iter().map(|change| match change {
            KeptChange::Begin { table, place, schema } => SchemaChange::Begin(table, place, schema.as_deref()),
            KeptChange::Forget { table, place } => SchemaChange::Forget(table, place),
            KeptChange::ForgetAll => SchemaChange::ForgetAll,
            KeptChange::ReadTo(place) => SchemaChange::ReadTo(place),
        }))
    }

    fn captured(&self) -> Result<Option<String>> {
        self.0.captured()
    }

    fn keep_captured(&self, text: &str) -> Result<()> {
        self.0.keep_captured(text)
    }

    fn followed(&self) -> Result<Followed> {
        treatments::followed(&self.0)
    }

    fn durable(&self) -> Result<Vec<Frontier>> {
        Ok(self.0.all()?.into_iter().map(|(_, progress)| progress.frontier).collect())
    }
}

/// What a check finds in the checkpoint of a pipeline that may be running. Nothing is kept.
#[derive(Debug)]
pub(super) struct Looked {
    pub captured: Option<String>,
}

impl SchemaStore for Looked {
    fn versions(&self) -> Result<Vec<KeptVersion>> {
        Ok(Vec::new())
    }

    fn schema(&self, _: &TableName, _: &str) -> Result<Option<String>> {
        Ok(None)
    }

    fn read_to(&self) -> Result<Option<String>> {
        Ok(None)
    }

    fn store(&self, _: &[KeptChange]) -> Result<()> {
        Ok(())
    }

    fn captured(&self) -> Result<Option<String>> {
        Ok(self.captured.clone())
    }

    fn keep_captured(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn followed(&self) -> Result<Followed> {
        Ok(Followed::default())
    }

    fn durable(&self) -> Result<Vec<Frontier>> {
        Ok(Vec::new())
    }
}

/// The same for a stream beside another one, which may be further: what that one knows is never replaced by less, and what is needed no
/// longer it forgets.
#[derive(Debug)]
pub(super) struct Beside(pub(super) Arc<Checkpoint>);

impl SchemaStore for Beside {
    fn versions(&self) -> Result<Vec<KeptVersion>> {
        InCheckpoint(self.0.clone()).versions()
    }

    fn schema(&self, table: &TableName, place: &str) -> Result<Option<String>> {
        self.0.schema(table, place)
    }

    fn read_to(&self) -> Result<Option<String>> {
        self.0.schemas_read_to()
    }

    fn store(&self, changes: &[KeptChange]) -> Result<()> {
        let mut new = Vec::new();
        for change in changes {
            match change {
                KeptChange::Begin { table, place, schema } if schema.is_some() || self.0.schema(table, place)?.is_none() => {
                    new.push(change.clone());
                }
                KeptChange::Begin { .. } | KeptChange::Forget { .. } | KeptChange::ForgetAll | KeptChange::ReadTo(_) => {}
            }
        }
        if new.is_empty() { Ok(()) } else { InCheckpoint(self.0.clone()).store(&new) }
    }

    fn captured(&self) -> Result<Option<String>> {
        self.0.captured()
    }

    // the first stream keeps it
    fn keep_captured(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn followed(&self) -> Result<Followed> {
        treatments::followed(&self.0)
    }

    fn durable(&self) -> Result<Vec<Frontier>> {
        InCheckpoint(self.0.clone()).durable()
    }
}
