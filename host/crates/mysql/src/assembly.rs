//! Rows into batches: columns fill up over events, transactions and tables until a batch is full or has waited long enough.

use std::{sync::Arc, time::Instant};

use super::{
    cursor::Cursor,
    decoder::{self, ColumnFault},
    event::RowsKind,
    plan::Plan,
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, Event, Image, Lane, NO_IMAGE, Offset, Operation, TableRows, Transaction, Values},
    limits::Limits,
};

/// Bytes that a change takes besides its values, roughly.
const CHANGE_BYTES: usize = 48;

/// The event that rows come from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The event, without its transaction.
    pub event: Event,
    /// The transaction.
    pub transaction: Transaction,
    /// Counts events that were read; the same number is the same event.
    pub number: u64,
}

/// A batch that is being filled.
#[derive(Debug)]
pub struct Assembly {
    batch: Batch,
    lane: Lane,
    max_changes: usize,
    max_bytes: usize,
    max_row: usize,
    since: Option<Instant>,
    last_event: Option<u64>,
}

impl Assembly {
    /// An empty batch of a lane.
    pub fn new(limits: &Limits, lane: Lane) -> Self {
        Self {
            batch: Batch::empty(0, lane.clone(), unknown()),
            lane,
            max_changes: limits.batch_changes.max(1),
            max_bytes: limits.batch_bytes,
            max_row: limits.row_bytes,
            since: None,
            last_event: None,
        }
    }

    /// Whether no change is held.
    pub fn is_empty(&self) -> bool {
        self.batch.changes.is_empty()
    }

    /// Whether the batch has to go before another change comes in.
    pub fn is_full(&self) -> bool {
        self.batch.changes.len() >= self.max_changes || self.batch.bytes >= self.max_bytes
    }

    /// When the oldest change came in.
    pub fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Hands out what is held, as a batch with the offset after it.
    pub fn take(&mut self, offset: Offset) -> Batch {
        let next = Batch::empty(self.batch.number + self.batch.changes.len() as u64, self.lane.clone(), unknown());
        let mut batch = std::mem::replace(&mut self.batch, next);
        batch.taken = batch.changes.len() as u32;
        batch.offset = offset;
        batch.bytes = batch.measure();
        self.since = None;
        self.last_event = None;
        batch
    }

    /// Counts changes that do not go through here, while none is held; answers how many there were before.
    pub fn count(&mut self, changes: u64) -> u64 {
        let before = self.batch.number;
        self.batch.number += changes;
        before
    }

    /// The transaction that is being read ends. Its end is a mark in the batch, and costs no item.
    pub fn end_transaction(&mut self, position: u64) {
        if let Some(last) = self.batch.transactions.last_mut().filter(|last| last.position == position) {
            last.complete = true;
        }
    }

    /// Decodes rows until the batch is full or `rows` is empty. `first` is the number of the first row in its event of the log,
    /// and becomes that of the next row to read: also with an error, before which whole rows may have been taken.
    pub fn fill(&mut self, origin: &Origin, plan: &Plan, kind: RowsKind, rows: &mut Cursor<'_>, first: &mut u32) -> Result<()> {
        let table = self.table(&plan.table);
        let event = self.event(origin);
        let mut outcome = Ok(());
        while !rows.is_empty() && !self.is_full() {
            let before = rows.len();
            let held = &mut self.batch.tables[table];
            let row = held.images.len();
            let (operation, images): (_, &[Image]) = match kind {
                RowsKind::Write => (Operation::Insert, &[Image::After]),
                RowsKind::Delete => (Operation::Delete, &[Image::Before]),
                RowsKind::Update => (Operation::Update, &[Image::Before, Image::After]),
            };
            outcome = images.iter().try_for_each(|image| decode(plan, rows, held, *image, self.max_row));
            if outcome.is_err() {
                // what was read before it is whole, and is delivered
                held.truncate(row);
                break;
            }
            let row = row as u32;
            let (before_row, after_row) = match operation {
                Operation::Delete => (row, NO_IMAGE),
                Operation::Update => (row, row + 1),
                _ => (NO_IMAGE, row),
            };
            self.batch.bytes += before - rows.len() + CHANGE_BYTES + plan.row_bytes * images.len() + expanded(plan, held, images.len());
            self.batch.changes.push(Change { table: table as u32, before: before_row, after: after_row, operation, event, row: *first });
            *first += 1;
        }
        if !self.batch.changes.is_empty() && self.since.is_none() {
            self.since = Some(Instant::now());
        }
        outcome
    }

    fn table(&mut self, table: &Arc<sluicegate_model::change::Table>) -> usize {
        // the newest table first: neighbouring events mostly share it
        match self.batch.tables.iter().rposition(|t| Arc::ptr_eq(&t.table, table)) {
            Some(index) => index,
            None => {
                self.batch.tables.push(TableRows::new(table.clone()));
                self.batch.tables.len() - 1
            }
        }
    }

    fn event(&mut self, origin: &Origin) -> u32 {
        if self.last_event != Some(origin.number) {
            let known = self.batch.transactions.last().is_some_and(|last| {
                last.position == origin.transaction.position
                    && Arc::ptr_eq(&last.file, &origin.transaction.file)
                    && same(last.id.as_ref(), origin.transaction.id.as_ref())
            });
            if !known {
                self.batch.transactions.push(origin.transaction.clone());
            }
            let transaction = (self.batch.transactions.len() - 1) as u32;
            self.batch.events.push(Event { transaction, ..origin.event.clone() });
            self.last_event = Some(origin.number);
        }
        (self.batch.events.len() - 1) as u32
    }
}

/// The offset of a batch that is not handed out yet.
fn unknown() -> Offset {
    Offset::from_json("")
}

/// Reads one row image into the table's columns.
#[inline]
fn decode(plan: &Plan, rows: &mut Cursor<'_>, held: &mut TableRows, image: Image, most: usize) -> Result<()> {
    let start = rows.len();
    decoder::image(&plan.decoders, rows, &mut held.columns).map_err(|fault| fault_in(plan, fault))?;
    if start - rows.len() > most {
        return Err(too_large(plan, start - rows.len(), most));
    }
    if plan.expanding.iter().any(|column| held.columns.get(*column).is_some_and(|column| column.overflows())) {
        return Err(beyond_columns(plan));
    }
    held.images.push(image as u8);
    Ok(())
}

/// Bytes that the last images hold in columns whose text may be far longer than what is logged: labels, JSON, other character
/// sets.
#[inline]
fn expanded(plan: &Plan, held: &TableRows, images: usize) -> usize {
    let of = |column: &usize| match held.columns.get(*column).map(|c| &c.values) {
        Some(Values::Text(text)) => text.data.len() - text.offsets[text.len() - images] as usize,
        _ => 0,
    };
    plan.expanding.iter().map(of).sum()
}

/// Passes over `count` rows that were delivered before a restart. Returns how many there were, at most `count`.
pub fn pass_over(plan: &Plan, kind: RowsKind, rows: &mut Cursor<'_>, count: u64) -> Result<u64> {
    let images = if kind == RowsKind::Update { 2 } else { 1 };
    for passed in 0..count {
        if rows.is_empty() {
            return Ok(passed);
        }
        let mut scratch = TableRows::new(plan.table.clone());
        for _ in 0..images {
            decoder::image(&plan.decoders, rows, &mut scratch.columns).map_err(|fault| fault_in(plan, fault))?;
        }
    }
    Ok(count)
}

fn same(a: Option<&Arc<str>>, b: Option<&Arc<str>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

fn fault_in(plan: &Plan, fault: ColumnFault) -> Error {
    let place = match fault.column.and_then(|c| plan.table.columns.get(c)) {
        Some(column) => format!("column {}.{}", plan.table.name, column.name),
        None => format!("table {}", plan.table.name),
    };
    Error::new(ErrorKind::Source, format!("cannot read a row of {place}")).caused_by(fault.fault)
}

fn beyond_columns(plan: &Plan) -> Error {
    Error::new(ErrorKind::Source, format!("a row of {} has text of more than 4 GiB", plan.table.name))
        .remedy(format!("Leave the table out by adding '!{}' to the source's tables: its changes are then not delivered.", plan.table.name))
}

fn too_large(plan: &Plan, bytes: usize, limit: usize) -> Error {
    Error::new(ErrorKind::Source, format!("a row of {} has {bytes} bytes, the limit is {limit}", plan.table.name)).remedy(format!(
        "Raise limits.row_bytes, or leave the table out by adding '!{}' to the source's tables: its changes are then not delivered.",
        plan.table.name
    ))
}
