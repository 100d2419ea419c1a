//! JSON with schemas in a registry: each record and each key is a zero byte, the id of its schema (four bytes, the most significant first),
//! and a JSON document, as Confluent's JSON Schema serializer and `JsonSchemaConverter` have it.
//!
//! The documents are those of [`super::debezium`] and [`super::flat`]; [`super::registration`] is about ids.

mod encoder;
mod never_null;
mod schema;

use std::sync::Arc;

use super::{
    connect,
    debezium::Debezium,
    encoder::{Encoder, Format, TableEncoder},
    flat::Flat,
    json_format::JsonFormat,
    refused::Refused,
    registration::{self, FRAMING, RecordNames, SchemaIds},
};
use encoder::JsonSchemaEncoder;
use sluicegate_config::{Envelope, Format as Settings, RecordFormat, RecordKeys, Subject};
use sluicegate_model::{
    Result,
    change::{Capabilities, Table},
    limits::Limits,
};

/// JSON records with a registry.
pub struct JsonSchemaFormat {
    /// What makes the documents.
    json: JsonFormat,
    subject: Subject,
    ids: Arc<dyn SchemaIds>,
    /// Whether the source may leave values out.
    absent: bool,
    names: RecordNames,
}

impl JsonSchemaFormat {
    /// The format with its options. `pipeline` is the name in the records; `connector` the kind of source; `capabilities` what it gives.
    pub fn new(format: &Settings, pipeline: &str, connector: &str, capabilities: Capabilities, ids: Arc<dyn SchemaIds>) -> Self {
        let record = match format.envelope {
            Envelope::Debezium => RecordFormat::Debezium,
            Envelope::Flat => RecordFormat::Flat,
        };
        Self {
            subject: registration::subject(format),
            json: JsonFormat::new(Settings { record, ..format.clone() }, pipeline, connector).with_headers_beside(),
            ids,
            absent: capabilities.absent,
            names: RecordNames::default(),
        }
    }

    /// Holds the headers of a record to these bounds.
    pub fn bounded(mut self, limits: &Limits) -> Self {
        self.json = self.json.bounded(limits);
        self
    }

    /// Makes keys of the columns that these settings name.
    pub fn with_keys(mut self, keys: &RecordKeys) -> Self {
        self.json = self.json.with_keys(keys);
        self
    }

    /// Makes the plugins' versions a member of the records.
    pub fn with_versions(mut self) -> Self {
        self.json = self.json.with_versions();
        self
    }

    /// Another clock, for tests.
    #[cfg(test)]
    pub(super) fn with_clock(mut self, clock: fn() -> i64) -> Self {
        self.json.clock = clock;
        self
    }

    /// A sink's encoders of this format.
    pub fn encoder(self) -> Encoder {
        Encoder::of(self)
    }

    /// What the records of a table are called, without what is behind the last dot.
    fn base(&self, table: &Table) -> String {
        connect::base(table, &self.json.options.origin)
    }
}

impl Format for JsonSchemaFormat {
    fn table(&self, table: &Arc<Table>) -> Box<dyn TableEncoder> {
        if let Err(error) = self.check(table) {
            return Box::new(Refused::new(Some(error)));
        }
        let options = &self.json.options;
        match options.format.record {
            RecordFormat::Flat => Box::new(JsonSchemaEncoder::new(table, self, Flat::new(table, options))),
            _ => Box::new(JsonSchemaEncoder::new(table, self, Debezium::new(table, options))),
        }
    }

    fn check(&self, table: &Table) -> Result<()> {
        self.names.claim(self.subject, self.base(table), table)
    }

    fn framing(&self) -> usize {
        FRAMING
    }
}
