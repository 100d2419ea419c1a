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
    change::{Batch, Change, Event, Image, NO_IMAGE, Operation, Position, TableRows, Transaction},
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
    max_changes: usize,
    max_bytes: usize,
    max_row: usize,
    since: Option<Instant>,
    last_event: Option<u64>,
}

impl Assembly {
    /// An empty batch whose first change gets number `sequence`.
    pub fn new(sequence: u64, limits: &Limits) -> Self {
        Self {
            batch: Batch::empty(sequence, Position::new("")),
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

    /// Hands out what is held, as a batch with the position after it.
    pub fn take(&mut self, position: Position) -> Batch {
        let next = Batch::empty(self.batch.sequence + self.batch.changes.len() as u64, Position::new(""));
        let mut batch = std::mem::replace(&mut self.batch, next);
        batch.taken = batch.changes.len() as u32;
        batch.position = position;
        self.since = None;
        self.last_event = None;
        batch
    }

    /// Decodes rows until the batch is full or `rows` is empty. `first` is the number of the first row in its event. Returns
    /// how many rows were taken.
    pub fn fill(&mut self, origin: &Origin, plan: &Plan, kind: RowsKind, rows: &mut Cursor<'_>, first: u32) -> Result<u32> {
        let table = self.table(&plan.table);
        let event = self.event(origin);
        let mut taken = 0;
        while !rows.is_empty() && !self.is_full() {
            let before = rows.len();
            let held = &mut self.batch.tables[table];
            let row = held.images.len() as u32;
            let mut image = |image: Image, held: &mut TableRows| -> Result<()> {
                let start = rows.len();
                decoder::image(&plan.decoders, rows, &mut held.columns).map_err(|fault| fault_in(plan, fault))?;
                if start - rows.len() > self.max_row {
                    return Err(too_large(plan, start - rows.len(), self.max_row));
                }
                held.images.push(image as u8);
                Ok(())
            };
            let (operation, before_row, after_row) = match kind {
                RowsKind::Write => {
                    image(Image::After, held)?;
                    (Operation::Insert, NO_IMAGE, row)
                }
                RowsKind::Delete => {
                    image(Image::Before, held)?;
                    (Operation::Delete, row, NO_IMAGE)
                }
                RowsKind::Update => {
                    image(Image::Before, held)?;
                    image(Image::After, held)?;
                    (Operation::Update, row, row + 1)
                }
            };
            self.batch.bytes += before - rows.len() + CHANGE_BYTES;
            self.batch.changes.push(Change {
                table: table as u32,
                before: before_row,
                after: after_row,
                operation,
                event,
                row: first + taken,
                offset: self.batch.changes.len() as u32,
            });
            taken += 1;
        }
        if taken > 0 && self.since.is_none() {
            self.since = Some(Instant::now());
        }
        Ok(taken)
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
                Arc::ptr_eq(&last.file, &origin.transaction.file) && same(last.id.as_ref(), origin.transaction.id.as_ref())
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

fn too_large(plan: &Plan, bytes: usize, limit: usize) -> Error {
    Error::new(ErrorKind::Source, format!("a row of {} has {bytes} bytes, the limit is {limit}", plan.table.name))
        .remedy("Raise limits.row_bytes, or leave the table out.")
}
