//! Avro for Kafka: each record and each key is a zero byte, the id of its schema in a registry (four bytes, the most significant first),
//! and Avro's binary encoding, as Confluent's converters and deserializers have it. For files: records without that, in an
//! [object container file](container) that begins with their schema.
//!
//! Values are written straight from columns by a plan that is made for each table version. [`super::registration`] is about ids.

mod container;
mod debezium;
mod encoder;
mod flat;
mod name;
mod row;
mod schema;
mod value;

use std::{collections::HashMap, sync::Arc};

pub use container::AvroFile;

use super::{
    connect,
    encoder::{Encoder, Format, TableEncoder},
    flat::member_name_beside,
    format_options::Origin,
    headers,
    refused::Refused,
    registration::{self, FRAMING, RecordNames, SchemaIds},
};
use sluicegate_config::{Envelope, Format as Settings, Subject, ValueModes};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{ColumnInfo, Place, Table},
    limits::Limits,
    now_us,
};

/// Avro records, with a registry or for files.
pub struct AvroFormat {
    plan: Plan,
    /// Where schemas get their ids; in files there are none.
    ids: Option<Arc<dyn SchemaIds>>,
    header_bounds: headers::Bounds,
    names: RecordNames,
}

/// What the encoders of all tables have in common.
struct Plan {
    values: ValueModes,
    envelope: Envelope,
    subject: Subject,
    origin: Origin,
    clock: fn() -> i64,
    versions: bool,
}

impl AvroFormat {
    /// The format with its options. `pipeline` is the name in the records; `connector` the kind of source.
    pub fn new(format: &Settings, pipeline: &str, connector: &str, ids: Arc<dyn SchemaIds>) -> Self {
        Self::with(format, pipeline, connector, Some(ids))
    }

    /// The same for files, which begin with the schema of their records: it is their [`TableEncoder::file_header`].
    pub fn in_files(format: &Settings, pipeline: &str, connector: &str) -> Self {
        Self::with(format, pipeline, connector, None)
    }

    fn with(format: &Settings, pipeline: &str, connector: &str, ids: Option<Arc<dyn SchemaIds>>) -> Self {
        Self {
            plan: Plan {
                values: format.values,
                envelope: format.envelope,
                subject: registration::subject(format),
                origin: Origin { pipeline: pipeline.to_owned(), connector: connector.to_owned() },
                clock: now_us,
                versions: false,
            },
            ids,
            header_bounds: headers::Bounds::from(&Limits::default()),
            names: RecordNames::default(),
        }
    }

    /// Holds the headers of a record to these bounds.
    pub fn bounded(mut self, limits: &Limits) -> Self {
        self.header_bounds = limits.into();
        self
    }

    /// Makes the plugins' versions a member of the records.
    pub fn with_versions(mut self) -> Self {
        self.plan.versions = true;
        self
    }

    /// Another clock, for tests.
    #[cfg(test)]
    pub(super) fn with_clock(mut self, clock: fn() -> i64) -> Self {
        self.plan.clock = clock;
        self
    }

    /// A sink's encoders of this format.
    pub fn encoder(self) -> Encoder {
        Encoder::of(self)
    }
}

impl Plan {
    /// What the records of a table are called, without what is behind the last dot.
    fn base(&self, table: &Table) -> String {
        name::full(&connect::base(table, &self.origin))
    }

    /// What a column is called in a record of the row.
    fn column(&self, column: &ColumnInfo) -> String {
        let name = name::field(&column.name);
        match self.envelope {
            Envelope::Debezium => name,
            Envelope::Flat => member_name_beside(&name, &[flat::ABSENT]),
        }
    }

    /// Whether no two columns get the same name.
    fn check(&self, table: &Table) -> Result<()> {
        let mut names: HashMap<String, &str> = HashMap::new();
        for column in table.columns.iter().filter(|column| column.place == Place::Value) {
            if let Some(other) = names.insert(self.column(column), &column.name) {
                let what = format!("columns `{other}` and `{}` of table {} would have the same name in Avro", column.name, table.name);
                return Err(Error::new(ErrorKind::Sink, what)
                    .remedy("rename one of them with the `map-names` plugin: Avro has letters of ASCII, digits and `_`"));
            }
        }
        Ok(())
    }
}

impl Format for AvroFormat {
    fn table(&self, table: &Arc<Table>) -> Box<dyn TableEncoder> {
        if let Err(error) = self.check(table) {
            return Box::new(Refused::new(Some(error)));
        }
        let common = encoder::Common::new(table, &self.plan, self.ids.clone(), self.header_bounds);
        match self.plan.envelope {
            Envelope::Debezium => Box::new(encoder::AvroEncoder::new(common, debezium::Debezium::new(table, &self.plan))),
            Envelope::Flat => Box::new(encoder::AvroEncoder::new(common, flat::Flat::new(table, &self.plan))),
        }
    }

    fn check(&self, table: &Table) -> Result<()> {
        self.plan.check(table)?;
        if self.ids.is_none() && table.has_headers() {
            return Err(headers::no_place(table, "a file of Avro"));
        }
        self.names.claim(self.plan.subject, self.plan.base(table), table)
    }

    fn framing(&self) -> usize {
        if self.ids.is_some() { FRAMING } else { 0 }
    }
}
