//! JSON records, flat or in the Debezium envelope.

use std::sync::Arc;

use super::{
    debezium,
    encoder::{Encoder, Format, Records, TableEncoder},
    flat,
    head::{Head, Stamp},
    headers,
    json::{self, Field},
    object_fields,
};
use sluicegate_config::RecordFormat;
use sluicegate_model::{
    Result,
    change::{Batch, Change, NO_IMAGE, Table, TableRows, Truncate},
    json::string,
    limits::Limits,
    now_us,
};

/// What all tables' encoders have in common.
#[derive(Clone)]
pub struct JsonFormat {
    format: RecordFormat,
    envelope: debezium::Envelope,
    pub(super) clock: fn() -> i64,
    header_bounds: headers::Bounds,
    headers_inside: bool,
    versions_inside: bool,
}

impl JsonFormat {
    /// One of the forms. `pipeline` is the name in the records; `connector` the kind of source.
    pub fn new(format: RecordFormat, pipeline: &str, connector: &str) -> Self {
        Self {
            format,
            envelope: debezium::Envelope::new(pipeline, connector),
            clock: now_us,
            header_bounds: headers::Bounds::from(&Limits::default()),
            headers_inside: true,
            versions_inside: false,
        }
    }

    /// Holds the headers of a record to these bounds.
    pub fn bounded(mut self, limits: &Limits) -> Self {
        self.header_bounds = limits.into();
        self
    }

    /// Leaves header columns out of the records, because the sink delivers them beside: see [`TableEncoder::headers`].
    pub fn with_headers_beside(mut self) -> Self {
        self.headers_inside = false;
        self
    }

    /// Makes the plugins' versions a member of the records.
    pub fn with_versions(mut self) -> Self {
        self.versions_inside = true;
        self
    }

    /// A sink's encoders of this format.
    pub fn encoder(self) -> Encoder {
        Encoder::of(self)
    }
}

impl Format for JsonFormat {
    fn table(&self, table: &Arc<Table>) -> Box<dyn TableEncoder> {
        Box::new(JsonEncoder {
            record: match self.format {
                RecordFormat::Debezium => RecordPlan::Debezium(debezium::Plan::new(table), self.envelope.clone()),
                RecordFormat::Flat => RecordPlan::Flat(flat::Plan::new(table)),
            },
            key: object_fields(table, |column| table.columns[column].primary_key),
            row_key: object_fields(table, |_| true),
            headers: headers::Plan::new(table),
            header_bounds: self.header_bounds,
            headers_inside: self.headers_inside && table.has_headers(),
            head: Head::default(),
            clock: self.clock,
            begun: None,
            versions_inside: self.versions_inside,
            versions: None,
            version_member: Vec::new(),
        })
    }
}

/// Everything that is constant for a table version, and what changes rarely.
struct JsonEncoder {
    record: RecordPlan,
    key: Vec<Field>,
    row_key: Vec<Field>,
    headers: headers::Plan,
    header_bounds: headers::Bounds,
    /// Whether they stand in the record.
    headers_inside: bool,
    head: Head,
    clock: fn() -> i64,
    /// `number` of the batch that was begun.
    begun: Option<u64>,
    versions_inside: bool,
    /// The plugins' versions that the parts which are kept were made with.
    versions: Option<Arc<str>>,
    /// The member that tells them, with the comma in front; empty = none.
    version_member: Vec<u8>,
}

enum RecordPlan {
    Debezium(debezium::Plan, debezium::Envelope),
    Flat(flat::Plan),
}

impl JsonEncoder {
    /// Renders what is the same for all records of a batch.
    #[cold]
    fn begin(&mut self, batch: &Batch) {
        self.begun = Some(batch.number);
        if self.versions_inside && self.versions != batch.versions {
            self.versions = batch.versions.clone();
            self.version_member.clear();
            if let Some(versions) = &self.versions {
                let name: &[u8] = match self.record {
                    RecordPlan::Flat(_) => b",\"_plugins\":",
                    RecordPlan::Debezium(..) => b",\"plugins\":",
                };
                self.version_member.extend_from_slice(name);
                string(versions.as_bytes(), &mut self.version_member);
            }
            self.head.clear();
        }
        if let RecordPlan::Debezium(_, envelope) = &mut self.record {
            envelope.begin((self.clock)(), &self.version_member);
        }
    }

    /// Puts the headers into the record at `out[start..]`.
    #[cold]
    fn insert_headers(&self, rows: &TableRows, change: &Change, start: usize, out: &mut Vec<u8>) -> Result<()> {
        let member = match self.record {
            RecordPlan::Flat(_) => "_headers",
            RecordPlan::Debezium(..) => "headers",
        };
        let row = if change.after == NO_IMAGE { change.before } else { change.after };
        self.headers.insert(member, &rows.columns, row, self.header_bounds, out).inspect_err(|_| out.truncate(start))
    }
}

impl TableEncoder for JsonEncoder {
    fn encode(&mut self, batch: &Batch, changes: &[Change], out: &mut dyn Records) -> Result<()> {
        if self.begun != Some(batch.number) {
            self.begin(batch);
        }
        for change in changes {
            let rows = &batch.tables[change.table as usize];
            let stamp = Stamp::new(batch, change);
            let buffer = out.buffer();
            let start = buffer.len();
            match &self.record {
                RecordPlan::Flat(plan) => plan.write(&mut self.head, &self.version_member, &stamp, rows, change, buffer),
                RecordPlan::Debezium(plan, envelope) => envelope.write(plan, &mut self.head, &stamp, rows, change, buffer),
            }
            if self.headers_inside {
                self.insert_headers(rows, change, start, buffer)?;
            }
            out.end(1)?;
        }
        Ok(())
    }

    fn truncate(&mut self, truncate: &Truncate, out: &mut dyn Records) -> Result<()> {
        let stamp = Stamp::of_event(&truncate.event, &truncate.transaction);
        match &mut self.record {
            RecordPlan::Flat(plan) => plan.truncate(&self.version_member, &stamp, out.buffer()),
            RecordPlan::Debezium(plan, envelope) => {
                envelope.begin((self.clock)(), &self.version_member);
                envelope.truncate(plan, &stamp, out.buffer());
            }
        }
        out.end(0)
    }

    fn key(&mut self, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> bool {
        if self.key.is_empty() {
            return false;
        }
        json::object(&self.key, &rows.columns, row, out);
        true
    }

    fn row_key(&mut self, rows: &TableRows, row: u32, out: &mut Vec<u8>) {
        json::object(&self.row_key, &rows.columns, row, out);
    }

    fn headers(&mut self, rows: &TableRows, row: u32, each: &mut dyn FnMut(&str, &[u8])) -> Result<()> {
        self.headers.each(&rows.columns, row, self.header_bounds, |name, value, _| each(name, value))
    }
}
