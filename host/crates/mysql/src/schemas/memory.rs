//! Versions of schemas that are kept for one run only.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sluicegate_model::{
    Result,
    change::{Frontier, TableName},
};
use sluicegate_source::{Followed, KeptChange, KeptVersion, SchemaStore};

/// Keeps versions for one run only.
#[derive(Debug, Default)]
pub(crate) struct InMemory(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    captured: Option<String>,
    versions: Vec<(KeptVersion, Option<Arc<str>>)>,
    read_to: Option<Arc<str>>,
}

impl InMemory {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SchemaStore for InMemory {
    fn versions(&self) -> Result<Vec<KeptVersion>> {
        Ok(self.memory().versions.iter().map(|(version, _)| version.clone()).collect())
    }

    fn schema(&self, table: &TableName, place: &str) -> Result<Option<String>> {
        let memory = self.memory();
        let found = memory.versions.iter().find(|(version, _)| version.table == *table && *version.place == *place);
        Ok(found.and_then(|(_, schema)| schema.as_deref().map(str::to_owned)))
    }

    fn read_to(&self) -> Result<Option<String>> {
        Ok(self.memory().read_to.as_deref().map(str::to_owned))
    }

    fn store(&self, changes: &[KeptChange]) -> Result<()> {
        let mut memory = self.memory();
        for change in changes.iter().cloned() {
            match change {
                KeptChange::Begin { table, place, schema } => {
                    let version = (KeptVersion { table, place, known: schema.is_some() }, schema);
                    let same = |(kept, _): &&mut (KeptVersion, _)| kept.table == version.0.table && kept.place == version.0.place;
                    match memory.versions.iter_mut().find(same) {
                        Some(kept) => *kept = version,
                        None => memory.versions.push(version),
                    }
                }
                KeptChange::Forget { table, place } => memory.versions.retain(|(kept, _)| kept.table != table || kept.place != place),
                KeptChange::ForgetAll => (memory.versions, memory.read_to) = (Vec::new(), None),
                KeptChange::ReadTo(place) => memory.read_to = Some(place),
            }
        }
        Ok(())
    }

    fn captured(&self) -> Result<Option<String>> {
        Ok(self.memory().captured.clone())
    }

    fn keep_captured(&self, text: &str) -> Result<()> {
        self.memory().captured = Some(text.to_owned());
        Ok(())
    }

    fn followed(&self) -> Result<Followed> {
        Ok(Followed::default())
    }

    fn durable(&self) -> Result<Vec<Frontier>> {
        Ok(Vec::new())
    }
}
