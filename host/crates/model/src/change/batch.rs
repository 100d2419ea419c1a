//! A batch: changes in the order of the log, the row images they point to, and the position after them.

use std::sync::Arc;

use super::{Column, Lane, Offset, Table, Values};
use crate::budget::Permit;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read by a snapshot.
    Snapshot,
    /// Inserted: only an after image.
    Insert,
    /// Updated: both images, or only the after image where the source sends no before images.
    Update,
    /// Deleted: only a before image. It holds at least the key.
    Delete,
}

impl Operation {
    /// Its name in plain records: `insert`.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Snapshot => "snapshot",
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Delete => "delete",
        }
    }
}

/// Which image of a change a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Image {
    /// The row as it was before the change.
    Before = 0,
    /// The row as it is after the change.
    After = 1,
}

/// Stands in [`Change::before`] or [`Change::after`] where there is no such image.
pub const NO_IMAGE: u32 = u32::MAX;

/// One change of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Index into [`Batch::tables`].
    pub table: u32,
    /// Row of the before image in that table's columns, or [`NO_IMAGE`].
    pub before: u32,
    /// Row of the after image, or [`NO_IMAGE`].
    pub after: u32,
    /// What happened.
    pub operation: Operation,
    /// Index into [`Batch::events`].
    pub event: u32,
    /// Number of the row inside its event of the log, from 0. With the event's position and file it identifies the change.
    pub row: u32,
}

/// The log event (a rows event of the binlog, say) that changes came in. All its changes are of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Index into [`Batch::transactions`].
    pub transaction: u32,
    /// The event's own position in the log file, in bytes; for other sources their nearest number. Events out of a compressed
    /// transaction have the position of the event that holds them, and their rows are numbered on.
    pub position: u64,
    /// Number of its first row: 0, but for later events out of a compressed transaction.
    pub first_row: u32,
    /// The table's name under which the source counts rows; `None` for a source that does not.
    pub table: Option<Arc<str>>,
    /// How many rows of that table stand before it in its transaction. Rows are counted by table because a replica cuts rows
    /// events otherwise than its source, and because the tables that are captured may change between two starts.
    pub rows_before: u64,
    /// When the source executed it, microseconds since 1970 UTC.
    pub time_us: i64,
    /// The server that executed it (MySQL's server id).
    pub server_id: u32,
}

/// The transaction that changes belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Its identity where the source has one (a GTID).
    pub id: Option<Arc<str>>,
    /// The log file it stands in; empty for sources without files.
    pub file: Arc<str>,
    /// Position of its first event in that file.
    pub position: u64,
    /// Whether it ends in this batch, behind its last change. All but the last one of a batch do.
    pub complete: bool,
}

impl Transaction {
    /// Whether both are the same transaction: by its identity, or where the source has none, by its place.
    pub fn is_same(&self, other: &Self) -> bool {
        self.is(other.id.as_deref(), &other.file, other.position)
    }

    /// Whether it is the one with this identity, or where the source has none, at this place.
    pub fn is(&self, id: Option<&str>, file: &str, position: u64) -> bool {
        match (self.id.as_deref(), id) {
            (Some(one), Some(other)) => one == other,
            (None, None) => self.position == position && *self.file == *file,
            _ => false,
        }
    }
}

impl Event {
    /// How many rows of the event's table stand before row `row` in the transaction.
    pub fn rows_before(&self, row: u32) -> u64 {
        self.rows_before + u64::from(row.saturating_sub(self.first_row))
    }
}

/// Row images of one table version, as columns. All columns have one entry for each image.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRows {
    /// The table, shared by pointer: the same version of a table is the same `Arc`.
    pub table: Arc<Table>,
    /// Per row: which image it is, as [`Image`].
    pub images: Vec<u8>,
    /// The columns, in the table's order.
    pub columns: Vec<Column>,
}

impl TableRows {
    /// No rows yet of `table`.
    pub fn new(table: Arc<Table>) -> Self {
        let columns = table.columns.iter().map(|c| Column::new(c.data_type)).collect();
        Self { table, images: Vec::new(), columns }
    }

    /// Forgets all rows from number `rows` on, those that only some columns have included.
    pub fn truncate(&mut self, rows: usize) {
        self.images.truncate(rows);
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// Takes all rows from number `rows` on out.
    pub fn split_off(&mut self, rows: usize) -> Self {
        let columns = self.columns.iter_mut().map(|column| column.split_off(rows)).collect();
        Self { table: self.table.clone(), images: self.images.split_off(rows), columns }
    }

    /// Whether the change is an update that gives its row another key. With an absent value in the row after it, that cannot be told as a
    /// delete and an insert: then it is not.
    pub fn changes_key(&self, change: &Change) -> bool {
        let has_both = change.operation == Operation::Update && change.before != NO_IMAGE && change.after != NO_IMAGE;
        let (before, after) = (change.before as usize, change.after as usize);
        has_both
            && self.table.key().any(|column| self.columns.get(column).is_some_and(|column| !column.same(before, after)))
            && !self.columns.iter().any(|column| column.is_absent(after))
    }

    /// Bytes of one row's values.
    pub fn row_bytes(&self, row: usize) -> usize {
        let of = |column: &Column| match &column.values {
            Values::Text(strings) | Values::Bytes(strings) if row < strings.len() => strings.get(row).len(),
            _ => size_of::<u64>(),
        };
        self.columns.iter().map(of).sum()
    }

    /// Row images held.
    #[inline]
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// The first of these columns whose value is absent in row `row`.
    pub fn first_absent(&self, columns: impl IntoIterator<Item = usize>, row: u32) -> Option<usize> {
        columns.into_iter().find(|column| self.columns.get(*column).is_some_and(|column| column.is_absent(row as usize)))
    }

    /// Whether any value may be absent; `false` is certain.
    pub fn may_be_absent(&self) -> bool {
        self.columns.iter().any(Column::may_be_absent)
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }
}

/// Changes in the order of the log. Never larger than [`crate::limits::Limits::batch_changes`] and `batch_bytes`, but for
/// a single row that alone is larger.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The lane that it advances.
    pub lane: Lane,
    /// Where the lane is after it: the source can go on there.
    pub offset: Offset,
    /// How many changes the source has given since its start, before this batch. A metric, and a batch's name inside one run:
    /// it identifies nothing across starts.
    pub number: u64,
    /// How many changes the source put in. Filtering does not lower it.
    pub taken: u32,
    /// Row images, one entry for each table version that occurs.
    pub tables: Vec<TableRows>,
    /// The changes, in the order of the log.
    pub changes: Vec<Change>,
    /// The events that the changes came in.
    pub events: Vec<Event>,
    /// The transactions that the events belong to.
    pub transactions: Vec<Transaction>,
    /// Bytes of memory that it takes, roughly: see [`Self::measure`].
    pub bytes: usize,
    /// The plugins that the batch went through, in order, with their versions: `name@version+hash, …`. None before them.
    pub versions: Option<Arc<str>>,
    /// What it may take of the process's budget. A copy has none.
    pub permit: Permit,
}

impl Batch {
    /// An empty batch, after which its lane is at `offset`.
    pub fn empty(number: u64, lane: Lane, offset: Offset) -> Self {
        Self {
            lane,
            offset,
            number,
            taken: 0,
            tables: Vec::new(),
            changes: Vec::new(),
            events: Vec::new(),
            transactions: Vec::new(),
            bytes: 0,
            versions: None,
            permit: Permit::default(),
        }
    }

    /// The `number` of the batch that follows.
    pub fn next_number(&self) -> u64 {
        self.number + u64::from(self.taken)
    }

    /// Where a change stands in the log, for people.
    pub fn place(&self, change: &Change) -> String {
        match self.event(change) {
            Some((event, transaction)) => format!("{}:{}, row {}", transaction.file, event.position, change.row),
            None => "a place that is not known".to_owned(),
        }
    }

    /// The log event that a change came in; `None` when its index points nowhere.
    pub fn event(&self, change: &Change) -> Option<(&Event, &Transaction)> {
        let event = self.events.get(change.event as usize)?;
        Some((event, self.transactions.get(event.transaction as usize)?))
    }

    /// Bytes of memory that the rows, changes and events take, roughly: noted by a source, and after every stage that changes
    /// what the batch holds.
    pub fn measure(&self) -> usize {
        let rows = |rows: &TableRows| rows.images.len() + rows.columns.iter().map(Column::bytes).sum::<usize>();
        self.tables.iter().map(rows).sum::<usize>() + size_of_val(&*self.changes) + size_of_val(&*self.events)
    }

    /// Bytes of values of the change that has most of them, both images together.
    pub fn largest_change(&self) -> usize {
        self.changes.iter().map(|change| self.change_bytes(change)).max().unwrap_or_default()
    }

    /// Bytes of values of both images of a change.
    pub fn change_bytes(&self, change: &Change) -> usize {
        let image = |rows: &TableRows, row: u32| if row == NO_IMAGE { 0 } else { rows.row_bytes(row as usize) };
        let rows = self.tables.get(change.table as usize);
        rows.map_or(0, |rows| image(rows, change.before) + image(rows, change.after))
    }

    /// Checks that every index points somewhere and every column has its rows: what a source promises, and what the tests
    /// of every source call. Returns the first fault in words.
    pub fn validate(&self) -> Result<(), String> {
        for rows in &self.tables {
            if rows.columns.len() != rows.table.columns.len() {
                return Err(format!("{}: {} columns for {}", rows.table.name, rows.columns.len(), rows.table.columns.len()));
            }
            for (column, info) in rows.columns.iter().zip(&rows.table.columns) {
                if column.len() != rows.len() || !column.values.fits(info.data_type) {
                    return Err(format!("{}.{}: wrong length or type", rows.table.name, info.name));
                }
                if (0..column.len()).any(|i| column.is_absent(i) && !column.nulls.get(i)) {
                    return Err(format!("{}.{}: an absent value that is not marked as null", rows.table.name, info.name));
                }
                if let Values::Text(text) = &column.values
                    && !(0..text.len()).all(|i| std::str::from_utf8(text.get(i)).is_ok())
                {
                    return Err(format!("{}.{}: not UTF-8", rows.table.name, info.name));
                }
            }
        }
        for change in &self.changes {
            let rows = self.tables.get(change.table as usize).ok_or("no such table")?.len() as u32;
            let held = |image: u32| image == NO_IMAGE || image < rows;
            if !held(change.before) || !held(change.after) || (change.before == NO_IMAGE && change.after == NO_IMAGE) {
                return Err("a change without its image".into());
            }
            // so that a batch can be cut between rows without parting them
            if change.before != NO_IMAGE && change.after != NO_IMAGE && change.after != change.before + 1 {
                return Err("the images of a change do not stand next to each other, the one before first".into());
            }
            let event = self.events.get(change.event as usize).ok_or("no such event")?;
            self.transactions.get(event.transaction as usize).ok_or("no such transaction")?;
            if change.row < event.first_row {
                return Err("a row before the first one of its event".into());
            }
        }
        Ok(())
    }
}
