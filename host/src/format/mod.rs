//! Record formats: how a change becomes bytes.
//!
//! [`json`] says how values are written, [`debezium`] and [`flat`] what stands around them. Keys are JSON objects of
//! columns in both formats. `docs/formats.md` tells users the same with examples.

mod debezium;
mod flat;
mod head;
mod json;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use self::{
    head::{Head, Stamp},
    json::{Field, Name},
};
use crate::{
    change::{Batch, Change, Operation, Table},
    config::RecordFormat,
    limits::ENCODER_PLANS,
    service::status::now_us,
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
    /// `sequence` of the batch for which the clock was read.
    timed: Option<u64>,
}

/// Everything that is constant for a table version.
struct TablePlan {
    table: Arc<Table>,
    record: RecordPlan,
    key: Vec<Field>,
    row_key: Vec<Field>,
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
            timed: None,
        }
    }

    /// Appends the record of `change`, without a line end. The batch is one that [`Batch::validate`] accepts.
    pub fn value(&mut self, batch: &Batch, change: &Change, out: &mut Vec<u8>) {
        let plan = self.plan(batch, change.table);
        let rows = &batch.tables[change.table as usize];
        let stamp = Stamp::new(batch, change, plan);
        match &self.plans[plan].record {
            RecordPlan::Flat(plan) => plan.write(&mut self.head, &stamp, rows, change, out),
            RecordPlan::Debezium(plan) => {
                if self.timed != Some(batch.sequence) {
                    self.timed = Some(batch.sequence);
                    self.envelope.set_time((self.clock)());
                }
                self.envelope.write(plan, &mut self.head, &stamp, rows, change, out);
            }
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

    /// Appends a JSON object of all columns of the row: the key of a table without one.
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
                self.plans.push(TablePlan::new(table, self.format));
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
    fn new(table: &Arc<Table>, format: RecordFormat) -> Self {
        Self {
            table: table.clone(),
            record: match format {
                RecordFormat::Debezium => RecordPlan::Debezium(debezium::Plan::new(table)),
                RecordFormat::Flat => RecordPlan::Flat(flat::Plan::new(table)),
            },
            key: object_fields(table, |column| table.columns[column].primary_key),
            row_key: object_fields(table, |_| true),
        }
    }
}

/// The fields of an object of the chosen columns: the first one brings the object's `{`.
fn object_fields(table: &Table, chosen: impl Fn(usize) -> bool) -> Vec<Field> {
    let columns = (0..table.columns.len()).filter(|column| chosen(*column));
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
