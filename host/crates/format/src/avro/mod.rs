//! Avro for Kafka: each record and each key is a zero byte, the id of its schema in a registry (four bytes, the most significant first),
//! and Avro's binary encoding, as Confluent's converters and deserializers have it.
//!
//! Values are written straight from columns by a plan that is made for each table version. Schemas are registered with the first record
//! that needs them; the id is part of the plan from then on.

mod debezium;
mod encoder;
mod flat;
mod name;
mod row;
mod schema;
mod subject;
mod value;

pub(super) use encoder::Refused;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    connect,
    encoder::{Encoder, Format, TableEncoder},
    flat::member_name_beside,
    format_options::Origin,
    headers,
};
use sluicegate_config::{Envelope, Format as Settings, Subject, ValueModes};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{ColumnInfo, Place, Table, TableName},
    limits::{KAFKA_TOPICS, Limits},
    now_us,
};

/// Bytes in front of a record: zero, and the schema's id.
const FRAMING: usize = 5;

/// Where schemas get their ids.
pub trait SchemaIds: Send + Sync {
    /// The id of a schema under a subject, which is registered with it if need be. It may take its time, and remembers what it was told.
    ///
    /// # Errors
    /// `Record`: the registry refuses the schema, or has to have it and does not; the sink's policy decides. `Sink`: it cannot be asked.
    fn id(&self, subject: &str, schema: &str) -> Result<u32>;
}

/// Avro records with a registry.
pub struct AvroFormat {
    plan: Plan,
    ids: Arc<dyn SchemaIds>,
    header_bounds: headers::Bounds,
    /// Tables by the names of their records, where subjects are made of these.
    names: Mutex<HashMap<String, TableName>>,
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
        Self {
            plan: Plan {
                values: format.values,
                envelope: format.envelope,
                subject: format.registry.as_ref().map_or(Subject::Topic, |registry| registry.subject),
                origin: Origin { pipeline: pipeline.to_owned(), connector: connector.to_owned() },
                clock: now_us,
                versions: false,
            },
            ids,
            header_bounds: headers::Bounds::from(&Limits::default()),
            names: Mutex::new(HashMap::new()),
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

    /// Keeps two tables from one subject.
    fn claim(&self, table: &Table) -> Result<()> {
        if self.plan.subject == Subject::Topic {
            return Ok(());
        }
        let base = self.plan.base(table);
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= KAFKA_TOPICS && !names.contains_key(&base) {
            return Err(Error::new(ErrorKind::Sink, format!("there are more than {KAFKA_TOPICS} names of records"))
                .remedy("capture fewer tables in one pipeline"));
        }
        let known = names.entry(base.clone()).or_insert_with(|| table.name.clone());
        if *known == table.name {
            return Ok(());
        }
        let what = format!("tables {known} and {} would have records of the same name, `{base}`, and so the same subjects", table.name);
        Err(Error::new(ErrorKind::Sink, what)
            .remedy("rename one of them with the `map-names` plugin, or write `subject: topic`, where topics tell them apart"))
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
        if self.check(table).is_err() {
            return Box::new(Refused::new(self.plan.check(table).and_then(|()| self.claim(table)).err()));
        }
        let common = encoder::Common::new(table, &self.plan, self.ids.clone(), self.header_bounds);
        match self.plan.envelope {
            Envelope::Debezium => Box::new(encoder::AvroEncoder::new(common, debezium::Debezium::new(table, &self.plan))),
            Envelope::Flat => Box::new(encoder::AvroEncoder::new(common, flat::Flat::new(table, &self.plan))),
        }
    }

    fn check(&self, table: &Table) -> Result<()> {
        self.plan.check(table).and_then(|()| self.claim(table))
    }

    fn framing(&self) -> usize {
        FRAMING
    }
}
