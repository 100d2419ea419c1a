//! Rows into batches: columns fill up over events, transactions and tables until a batch is full or has waited long enough.

use std::{sync::Arc, time::Instant};

use super::{
    cursor::Cursor,
    decoder::{self, ColumnFault},
    event::RowsKind,
    plan::Plan,
    presence::Presence,
    versioned::{self, Shown},
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, Event, Image, Lane, NO_IMAGE, Offset, Operation, Table, TableRows, Transaction, Values},
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

/// How much a batch holds: a place in it that can be gone back to, or up to which it can be handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    changes: usize,
    events: usize,
    transactions: usize,
    bytes: usize,
}

impl Held {
    /// Whether no change is held there.
    pub fn is_nothing(&self) -> bool {
        self.changes == 0
    }

    /// The same place, once what stands before `begin` was handed out.
    pub fn behind(&self, begin: Held) -> Held {
        Held {
            changes: self.changes - begin.changes,
            events: self.events - begin.events,
            transactions: self.transactions - begin.transactions,
            bytes: self.bytes.saturating_sub(begin.bytes),
        }
    }
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

    /// Whether rows of another version of this table are held: a batch holds one version of each table, so that what was logged
    /// before a change of the table is delivered, whatever becomes of the new version.
    pub fn holds_another_version(&self, table: &Arc<Table>) -> bool {
        let mut held = self.batch.tables.iter().rev().map(|rows| &rows.table);
        !held.clone().any(|held| Arc::ptr_eq(held, table)) && held.any(|held| held.name == table.name)
    }

    /// Bytes of what is held, roughly.
    pub fn bytes(&self) -> usize {
        self.batch.bytes
    }

    /// Goes on to fill a batch that was handed out, instead of what is held.
    pub fn put_back(&mut self, batch: Batch) {
        self.batch = batch;
        self.since = Some(Instant::now());
        self.last_event = None;
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

    /// How much is held.
    pub fn held(&self) -> Held {
        let batch = &self.batch;
        Held { changes: batch.changes.len(), events: batch.events.len(), transactions: batch.transactions.len(), bytes: batch.bytes }
    }

    /// Forgets what came in since `held`.
    pub fn go_back(&mut self, held: Held) {
        let batch = &mut self.batch;
        for change in &batch.changes[held.changes..] {
            // the images of a table's rows stand in the order of their changes
            if let Some(table) = batch.tables.get_mut(change.table as usize) {
                table.truncate((change.before.min(change.after) as usize).min(table.len()));
            }
        }
        batch.changes.truncate(held.changes);
        batch.events.truncate(held.events);
        batch.transactions.truncate(held.transactions);
        while batch.tables.last().is_some_and(TableRows::is_empty) {
            batch.tables.pop();
        }
        batch.bytes = held.bytes;
        self.last_event = None;
        if batch.changes.is_empty() {
            self.since = None;
        }
    }

    /// Hands out what was held at `begin`, as a batch with the offset after it. What came in since stays.
    pub fn take_until(&mut self, begin: Held, offset: Offset) -> Batch {
        let bytes = self.batch.bytes.saturating_sub(begin.bytes);
        let changes = self.batch.changes.split_off(begin.changes);
        let events = self.batch.events.split_off(begin.events);
        let transactions = self.batch.transactions.split_off(begin.transactions);
        // by table of the batch: its number among those that stay, and its first row that does
        let mut moved: Vec<Option<(u32, u32)>> = vec![None; self.batch.tables.len()];
        let mut tables = Vec::new();
        for change in &changes {
            let of = change.table as usize;
            if let (Some(moved @ None), Some(table)) = (moved.get_mut(of), self.batch.tables.get_mut(of)) {
                let first = change.before.min(change.after);
                *moved = Some((tables.len() as u32, first));
                tables.push(table.split_off(first as usize));
            }
        }
        let (since, last_event) = (self.since, self.last_event);
        let batch = self.take(offset);
        let image = |image: u32, first: u32| if image == NO_IMAGE { NO_IMAGE } else { image - first };
        self.batch.changes.extend(changes.into_iter().filter_map(|change| {
            let (table, first) = moved.get(change.table as usize).copied().flatten()?;
            let (before, after) = (image(change.before, first), image(change.after, first));
            Some(Change { table, before, after, event: change.event - begin.events as u32, ..change })
        }));
        self.batch
            .events
            .extend(events.into_iter().map(|event| Event { transaction: event.transaction - begin.transactions as u32, ..event }));
        self.batch.transactions = transactions;
        self.batch.tables = tables;
        self.batch.bytes = bytes;
        if !self.batch.changes.is_empty() {
            (self.since, self.last_event) = (since, last_event);
        }
        batch
    }

    /// The transaction that is being read ends. Its end is a mark in the batch, and costs no item. Answers whether any rows of it are held.
    pub fn end_transaction(&mut self, position: u64) -> bool {
        end_in(&mut self.batch, position)
    }

    /// Decodes rows until the batch is full or `rows` is empty. `first` is the number of the first row in its event of the log,
    /// and becomes that of the next row to read: also with an error, before which whole rows may have been taken.
    pub fn fill(
        &mut self,
        origin: &Origin,
        plan: &Plan,
        kind: RowsKind,
        partial: Option<&Presence>,
        rows: &mut Cursor<'_>,
        first: &mut u32,
    ) -> Result<()> {
        let table = self.table(&plan.table);
        let mut event = None;
        let mut outcome = Ok(());
        while !rows.is_empty() && !self.is_full() {
            let before = rows.len();
            let mut operation = match kind {
                RowsKind::Write => Operation::Insert,
                RowsKind::Delete => Operation::Delete,
                RowsKind::Update => Operation::Update,
            };
            let mut end = None;
            if let Some(row_end) = plan.row_end {
                let mut behind = *rows;
                match versioned::next(plan, row_end, kind, partial, &mut behind) {
                    Ok(Shown::Change { operation: shown, images }) => (operation, *rows, end) = (shown, images, Some(behind)),
                    Ok(Shown::Nothing) => {
                        *rows = behind;
                        *first += 1;
                        continue;
                    }
                    Err(fault) => {
                        outcome = Err(fault_in(plan, fault));
                        break;
                    }
                }
            }
            let event = match event {
                Some(event) => event,
                None => *event.insert(self.event(origin)),
            };
            let held = &mut self.batch.tables[table];
            let row = held.images.len();
            let images: &[Image] = match operation {
                Operation::Update => &[Image::Before, Image::After],
                Operation::Delete => &[Image::Before],
                _ => &[Image::After],
            };
            let mut copied = 0;
            for image in images {
                match decode(plan, partial, rows, held, *image, self.max_row) {
                    Ok(bytes) => copied += bytes,
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
            if outcome.is_err() {
                // what was read before it is whole, and is delivered
                held.truncate(row);
                break;
            }
            if let Some(end) = end {
                *rows = end;
            }
            let row = row as u32;
            let (before_row, after_row) = match operation {
                Operation::Delete => (row, NO_IMAGE),
                Operation::Update => (row, row + 1),
                _ => (NO_IMAGE, row),
            };
            self.batch.bytes +=
                before - rows.len() + copied + CHANGE_BYTES + plan.row_bytes * images.len() + expanded(plan, held, images.len());
            self.batch.changes.push(Change { table: table as u32, before: before_row, after: after_row, operation, event, row: *first });
            *first += 1;
        }
        if !self.batch.changes.is_empty() && self.since.is_none() {
            self.since = Some(Instant::now());
        }
        outcome
    }

    fn table(&mut self, table: &Arc<Table>) -> usize {
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

/// Marks the end of the transaction at this place in a batch; `false`: the batch does not end with rows of it.
pub fn end_in(batch: &mut Batch, position: u64) -> bool {
    match batch.transactions.last_mut().filter(|last| last.position == position) {
        Some(last) => {
            last.complete = true;
            true
        }
        None => false,
    }
}

/// The offset of a batch that is not handed out yet.
fn unknown() -> Offset {
    Offset::from_json("")
}

/// Reads one row image into the table's columns. Answers how many bytes were not logged with it, but copied.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a call for each row")]
fn decode(
    plan: &Plan,
    partial: Option<&Presence>,
    rows: &mut Cursor<'_>,
    held: &mut TableRows,
    image: Image,
    most: usize,
) -> Result<usize> {
    let start = rows.len();
    let copied = match partial {
        None => decoder::image(&plan.decoders, rows, &mut held.columns).map(|()| 0),
        Some(presence) => presence.image(image, &plan.decoders, rows, &mut held.columns),
    };
    let copied = copied.map_err(|fault| fault_in(plan, fault))?;
    if start - rows.len() > most {
        return Err(too_large(plan, start - rows.len(), most));
    }
    if plan.expanding.iter().any(|column| held.columns.get(*column).is_some_and(|column| column.overflows())) {
        return Err(beyond_columns(plan));
    }
    held.images.push(image as u8);
    Ok(copied)
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
pub fn pass_over(plan: &Plan, kind: RowsKind, partial: Option<&Presence>, rows: &mut Cursor<'_>, count: u64) -> Result<u64> {
    let images = kind.images();
    for passed in 0..count {
        if rows.is_empty() {
            return Ok(passed);
        }
        let mut scratch = TableRows::new(plan.table.clone());
        for image in images {
            decode(plan, partial, rows, &mut scratch, *image, usize::MAX)?;
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
    Error::new(ErrorKind::Source, format!("cannot read a row of {place}")).caused_by(fault.fault).remedy(format!(
        "Leave the table out by adding '!{}' to the source's tables: its changes are then not delivered. Or correct the value on the server, \
         and move the sinks past this place with `sluicegate checkpoint set --force`.",
        plan.table.name
    ))
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
