//! A batch while it is filled with rows of one table.

use std::{io::Write as _, sync::Arc};

use tiberius::ColumnData;

use super::{
    fault::Fault,
    headers::Tracked,
    row::unexpected,
    table::TrackedTable,
    value::{self, Unfit},
};
use sluicegate_model::{
    Error, ErrorKind,
    change::{Batch, Change, Column, Event, Image, Lane, NO_IMAGE, Offset, Operation, TableRows, Transaction},
    json, now_us,
};

/// The rows of a batch that is filled.
pub(super) struct Assembly {
    table: Arc<TrackedTable>,
    rows: TableRows,
    changes: Vec<Change>,
    events: Vec<Event>,
    transactions: Vec<Transaction>,
    bytes: usize,
    /// Bytes of memory that the columns take.
    measured: usize,
    /// Of the row that is added: its values that are cut, with how long they are, as members of a JSON object.
    cut: Vec<u8>,
    /// Changes that are in one batch, and their bytes, at most.
    most: (usize, usize),
    row_bytes: usize,
    /// The version of the last row, and how many rows of it came before in this visit.
    version: Option<i64>,
    of_version: u32,
    /// The column whose value was added last.
    column: usize,
}

/// What a row's image holds.
pub(super) enum Row<'a> {
    /// The values of all columns.
    Whole(&'a [ColumnData<'static>]),
    /// Those of the key, in the key's order; the others are absent.
    Key(&'a [ColumnData<'static>]),
}

impl Assembly {
    pub(super) fn new(table: Arc<TrackedTable>, most: (usize, usize), row_bytes: usize) -> Self {
        let rows = TableRows::new(table.delivered.clone());
        Self {
            table,
            measured: measure(&rows),
            rows,
            changes: Vec::new(),
            events: Vec::new(),
            transactions: Vec::new(),
            bytes: 0,
            cut: Vec::new(),
            most,
            row_bytes,
            version: None,
            of_version: 0,
            column: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether another row may not come in.
    pub(super) fn is_full(&self) -> bool {
        self.changes.len() >= self.most.0 || self.bytes >= self.most.1
    }

    /// Adds a row that was changed, or, without what is tracked of it, copied.
    pub(super) fn push(&mut self, operation: Operation, row: &Row<'_>, version: i64, tracked: Option<&Tracked<'_>>) -> Result<(), Fault> {
        let at = self.rows.len();
        let appended = self.append(row, tracked);
        if appended == Err(Unfit::Type) {
            self.rows.truncate(at);
            // without SNAPSHOT it may have been altered since its columns were read: they are read again
            return Err(Fault::Transient(self.misfit()));
        }
        let is_large = appended == Err(Unfit::Size) || self.rows.columns.iter().any(Column::overflows);
        if is_large || self.rows.row_bytes(at) > self.row_bytes {
            self.rows.truncate(at);
            return Err(Fault::Final(
                Error::new(ErrorKind::Source, format!("a row of {} has more than {} bytes", self.table.delivered.name, self.row_bytes))
                    .remedy("Raise `limits.row_bytes`, or leave the table out with `exclude`."),
            ));
        }
        let image = if operation == Operation::Delete { Image::Before } else { Image::After };
        self.rows.images.push(image as u8);
        let before = std::mem::replace(&mut self.measured, measure(&self.rows));
        self.bytes += self.measured.saturating_sub(before);
        if self.version != Some(version) {
            (self.version, self.of_version) = (Some(version), 0);
        }
        if self.transactions.last().is_none_or(|transaction| transaction.position.cast_signed() != version) {
            let transaction = u32::try_from(self.transactions.len()).map_err(|_| unexpected())?;
            self.transactions.push(Transaction { position: version.cast_unsigned(), complete: true, ..Transaction::default() });
            self.events.push(Event { transaction, position: version.cast_unsigned(), time_us: now_us(), ..Event::default() });
        }
        let row = u32::try_from(at).map_err(|_| unexpected())?;
        let (before, after) = if operation == Operation::Delete { (row, NO_IMAGE) } else { (NO_IMAGE, row) };
        let event = u32::try_from(self.events.len() - 1).map_err(|_| unexpected())?;
        self.changes.push(Change { table: 0, before, after, operation, event, row: self.of_version });
        self.of_version = self.of_version.saturating_add(1);
        Ok(())
    }

    fn misfit(&self) -> Error {
        let (table, columns) = (&self.table.delivered.name, &self.table.columns);
        let column = columns.get(self.column).map(|column| column.name.as_str()).unwrap_or_default();
        Error::new(
            ErrorKind::Source,
            format!("table {table}: a value of the column {column} is of another type than the server says of it"),
        )
        .remedy("Leave the table out with `exclude`, and report it with the server's version and the definition of the table.")
    }

    fn append(&mut self, row: &Row<'_>, tracked: Option<&Tracked<'_>>) -> Result<(), Unfit> {
        let (columns, headers) = self.rows.columns.split_at_mut(self.table.columns.len());
        self.cut.clear();
        match row {
            Row::Whole(cells) => {
                let mut at = 0;
                for (number, (column, out)) in self.table.columns.iter().zip(columns).enumerate() {
                    self.column = number;
                    let width = column.width();
                    if let Some(whole) = value::append(column, cells.get(at..at + width).ok_or(Unfit::Type)?, out)? {
                        self.cut.push(if self.cut.is_empty() { b'{' } else { b',' });
                        json::string(column.name.as_bytes(), &mut self.cut);
                        // writing to a Vec cannot fail
                        let _ = write!(self.cut, ":{whole}");
                    }
                    at += width;
                }
            }
            Row::Key(cells) => {
                for (number, (column, out)) in self.table.columns.iter().zip(columns).enumerate() {
                    self.column = number;
                    match self.table.key.iter().position(|key| *key == number) {
                        Some(part) => {
                            // no type of a key is cut
                            value::append(column, cells.get(part..=part).ok_or(Unfit::Type)?, out)?;
                        }
                        None => out.push_absent(),
                    }
                }
            }
        }
        if !self.cut.is_empty() {
            self.cut.push(b'}');
        }
        self.table.headers.append(tracked, &self.cut, headers);
        Ok(())
    }

    /// The batch as it is; the next one begins empty. `ends`: whether the version of its last row has no further rows.
    pub(super) fn take(&mut self, number: u64, lane: Lane, offset: Offset, ends: bool) -> Batch {
        let rows = std::mem::replace(&mut self.rows, TableRows::new(self.table.delivered.clone()));
        let mut batch = Batch::empty(number, lane, offset);
        batch.changes = std::mem::take(&mut self.changes);
        batch.taken = batch.changes.len() as u32;
        batch.events = std::mem::take(&mut self.events);
        batch.transactions = std::mem::take(&mut self.transactions);
        if let Some(last) = batch.transactions.last_mut() {
            last.complete = ends;
        }
        batch.tables = vec![rows];
        batch.bytes = batch.measure();
        (self.bytes, self.measured) = (0, measure(&self.rows));
        batch
    }
}

fn measure(rows: &TableRows) -> usize {
    rows.columns.iter().map(Column::bytes).sum()
}
