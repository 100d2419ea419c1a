//! Record formats: how a change becomes bytes.
//!
//! [`json`] says how values are written, [`debezium`] and [`flat`] what stands around them. Keys are JSON objects of
//! columns in both formats. `docs/formats.md` tells users the same with examples.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod debezium;
mod flat;
mod head;
mod headers;
mod json;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use self::{
    head::{Head, Stamp},
    json::{Field, Name},
};
use sluicegate_config::RecordFormat;
use sluicegate_model::{
    Result,
    change::{Batch, Change, NO_IMAGE, Operation, Place, Table, TableRows, Truncate},
    json::string,
    limits::{ENCODER_PLANS, Limits},
    now_us,
};

/// Turns changes into records of one format. Keeps a plan per table version, so that per row only values are written:
/// no allocation but for the growth of the buffer.
pub struct Encoder {
    format: RecordFormat,
    envelope: debezium::Envelope,
    plans: Vec<TablePlan>,
    /// Number of the plan by the table's address, which stays taken while the plan holds the table.
    by_address: HashMap<usize, usize>,
    /// The plan that the table with this index had in the last batch: almost always right, and always checked.
    recent: Vec<usize>,
    head: Head,
    clock: fn() -> i64,
    /// `number` of the batch that was begun.
    begun: Option<u64>,
    header_bounds: headers::Bounds,
    headers_inside: bool,
    versions_inside: bool,
    /// The plugins' versions that the parts which are kept were made with.
    versions: Option<Arc<str>>,
    /// The member that tells them, with the comma in front; empty = none.
    version_member: Vec<u8>,
}

/// Everything that is constant for a table version.
struct TablePlan {
    table: Arc<Table>,
    record: RecordPlan,
    key: Vec<Field>,
    row_key: Vec<Field>,
    headers: headers::Plan,
    /// Whether they stand in the record.
    headers_inside: bool,
}

enum RecordPlan {
    Debezium(debezium::Plan),
    Flat(flat::Plan),
}

impl Encoder {
    /// An encoder. `pipeline` is the name in the records; `connector` the kind of source (`mysql`, `mariadb`, `generator`).
    pub fn new(format: RecordFormat, pipeline: &str, connector: &str) -> Self {
        Self {
            format,
            envelope: debezium::Envelope::new(pipeline, connector),
            plans: Vec::new(),
            by_address: HashMap::new(),
            recent: Vec::new(),
            head: Head::default(),
            clock: now_us,
            begun: None,
            header_bounds: headers::Bounds::from(&Limits::default()),
            headers_inside: true,
            versions_inside: false,
            versions: None,
            version_member: Vec::new(),
        }
    }

    /// Holds the headers of a record to these bounds.
    pub fn bounded(mut self, limits: &Limits) -> Self {
        self.header_bounds = limits.into();
        self
    }

    /// Leaves header columns out of the records, because the sink delivers them beside: see [`Self::headers`].
    pub fn with_headers_beside(mut self) -> Self {
        self.headers_inside = false;
        self
    }

    /// Makes the plugins' versions a member of the records.
    pub fn with_versions(mut self) -> Self {
        self.versions_inside = true;
        self
    }

    /// Appends the record of `change`, without a line end. The batch is one that [`Batch::validate`] accepts.
    ///
    /// # Errors
    /// `Record`: the headers in the record are beyond their bounds; then nothing is appended.
    pub fn value(&mut self, batch: &Batch, change: &Change, out: &mut Vec<u8>) -> Result<()> {
        if self.begun != Some(batch.number) {
            self.begin(batch);
        }
        let plan = self.plan(batch, change.table);
        let rows = &batch.tables[change.table as usize];
        let stamp = Stamp::new(batch, change, plan);
        let start = out.len();
        let plan = &self.plans[plan];
        match &plan.record {
            RecordPlan::Flat(plan) => plan.write(&mut self.head, &self.version_member, &stamp, rows, change, out),
            RecordPlan::Debezium(plan) => self.envelope.write(plan, &mut self.head, &stamp, rows, change, out),
        }
        if plan.headers_inside { self.insert_headers(plan, rows, change, start, out) } else { Ok(()) }
    }

    /// Appends the record that says that a table was emptied, without a line end.
    pub fn truncate(&mut self, truncate: &Truncate, out: &mut Vec<u8>) {
        let plan = self.look_up(&truncate.table, usize::MAX);
        let stamp = Stamp::of_event(&truncate.event, &truncate.transaction, plan);
        if self.format == RecordFormat::Debezium {
            self.envelope.begin((self.clock)(), &self.version_member);
        }
        match &self.plans[plan].record {
            RecordPlan::Flat(plan) => plan.truncate(&self.version_member, &stamp, out),
            RecordPlan::Debezium(plan) => self.envelope.truncate(plan, &stamp, out),
        }
    }

    /// Puts the headers into the record at `out[start..]`.
    #[cold]
    fn insert_headers(&self, plan: &TablePlan, rows: &TableRows, change: &Change, start: usize, out: &mut Vec<u8>) -> Result<()> {
        let member = match self.format {
            RecordFormat::Flat => "_headers",
            RecordFormat::Debezium => "headers",
        };
        let row = if change.after == NO_IMAGE { change.before } else { change.after };
        plan.headers.insert(member, &rows.columns, row, self.header_bounds, out).inspect_err(|_| out.truncate(start))
    }

    /// Hands the headers of row `row` of `batch.tables[table]` to `each`: name and value, those that are null left out.
    ///
    /// # Errors
    /// `Record`: they are beyond their bounds; `each` has seen some of them.
    pub fn headers(&mut self, batch: &Batch, table: u32, row: u32, mut each: impl FnMut(&str, &[u8])) -> Result<()> {
        let plan = self.plan(batch, table);
        let columns = &batch.tables[table as usize].columns;
        self.plans[plan].headers.each(columns, row, self.header_bounds, |name, value, _| each(name, value))
    }

    /// Renders what is the same for all records of a batch.
    #[cold]
    fn begin(&mut self, batch: &Batch) {
        self.begun = Some(batch.number);
        if self.versions_inside && self.versions != batch.versions {
            self.versions = batch.versions.clone();
            self.version_member.clear();
            if let Some(versions) = &self.versions {
                let name: &[u8] = match self.format {
                    RecordFormat::Flat => b",\"_plugins\":",
                    RecordFormat::Debezium => b",\"plugins\":",
                };
                self.version_member.extend_from_slice(name);
                string(versions.as_bytes(), &mut self.version_member);
            }
            self.head.clear();
        }
        if self.format == RecordFormat::Debezium {
            self.envelope.begin((self.clock)(), &self.version_member);
        }
    }

    /// Appends the key of row `row` of `batch.tables[table]`: a JSON object of the key columns, in column order. Answers
    /// `false`, and appends nothing, when the table has no key.
    pub fn key(&mut self, batch: &Batch, table: u32, row: u32, out: &mut Vec<u8>) -> bool {
        let plan = self.plan(batch, table);
        let fields = &self.plans[plan].key;
        if fields.is_empty() {
            return false;
        }
        json::object(fields, &batch.tables[table as usize].columns, row, out);
        true
    }

    /// Appends a JSON object of all columns of the record: the key of a table without one.
    pub fn row_key(&mut self, batch: &Batch, table: u32, row: u32, out: &mut Vec<u8>) {
        let plan = self.plan(batch, table);
        json::object(&self.plans[plan].row_key, &batch.tables[table as usize].columns, row, out);
    }

    /// Number of the plan for `batch.tables[index]`.
    #[inline]
    fn plan(&mut self, batch: &Batch, index: u32) -> usize {
        let table = &batch.tables[index as usize].table;
        if let Some(&plan) = self.recent.get(index as usize)
            && let Some(found) = self.plans.get(plan)
            && Arc::ptr_eq(&found.table, table)
        {
            return plan;
        }
        self.look_up(table, index as usize)
    }

    #[cold]
    fn look_up(&mut self, table: &Arc<Table>, index: usize) -> usize {
        let address = Arc::as_ptr(table) as usize;
        let plan = match self.by_address.get(&address) {
            Some(&plan) => plan,
            None => {
                if self.plans.len() >= ENCODER_PLANS {
                    self.plans.clear();
                    self.by_address.clear();
                    self.recent.clear();
                    self.head.clear();
                }
                self.plans.push(TablePlan::new(table, self.format, self.headers_inside));
                self.by_address.insert(address, self.plans.len() - 1);
                self.plans.len() - 1
            }
        };
        if index < ENCODER_PLANS {
            if self.recent.len() <= index {
                self.recent.resize(index + 1, usize::MAX);
            }
            self.recent[index] = plan;
        }
        plan
    }
}

impl TablePlan {
    fn new(table: &Arc<Table>, format: RecordFormat, headers_inside: bool) -> Self {
        Self {
            table: table.clone(),
            record: match format {
                RecordFormat::Debezium => RecordPlan::Debezium(debezium::Plan::new(table)),
                RecordFormat::Flat => RecordPlan::Flat(flat::Plan::new(table)),
            },
            key: object_fields(table, |column| table.columns[column].primary_key),
            row_key: object_fields(table, |_| true),
            headers: headers::Plan::new(table),
            headers_inside: headers_inside && table.has_headers(),
        }
    }
}

/// The fields of an object of the chosen columns among those that are delivered in the record: the first one brings the
/// object's `{`.
fn object_fields(table: &Table, chosen: impl Fn(usize) -> bool) -> Vec<Field> {
    let columns = (0..table.columns.len()).filter(|column| table.columns[*column].place == Place::Value && chosen(*column));
    columns
        .enumerate()
        .map(|(i, column)| Field { column, name: Name::new(if i == 0 { b'{' } else { b',' }, &table.columns[column].name) })
        .collect()
}

/// The operation as both formats write it.
fn code(operation: Operation) -> u8 {
    match operation {
        Operation::Snapshot => b'r',
        Operation::Insert => b'c',
        Operation::Update => b'u',
        Operation::Delete => b'd',
    }
}
