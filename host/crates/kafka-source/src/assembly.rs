//! A batch while it is filled with the records of one partition.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use super::{json_text::Json, record::Row, unreadable::Unreadable, version::Version};
use sluicegate_model::{
    change::{Batch, Change, Event, Image, Lane, NO_IMAGE, Offset, TableRows, Transaction},
    now_us,
};

/// Rows of a partition, in the order of its records.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    tables: Vec<TableRows>,
    /// Places in `tables`, by the table's address.
    places: HashMap<usize, u32>,
    /// Hashes of the tables' names.
    names: HashSet<u64>,
    hasher: RandomState,
    changes: Vec<Change>,
    events: Vec<Event>,
    first: u64,
    bytes: usize,
}

fn address(version: &Version) -> usize {
    Arc::as_ptr(&version.table).addr()
}

impl Assembly {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Changes, and bytes of their rows' values, roughly.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.changes.len(), self.bytes)
    }

    /// Whether it may hold another version of the table, and does not hold this one.
    pub(super) fn has_other(&self, version: &Version) -> bool {
        !self.places.contains_key(&address(version)) && self.names.contains(&self.hasher.hash_one(&version.table.name))
    }

    /// Adds the change that the record at `offset` tells. `time_us`: when the record was written.
    ///
    /// # Errors
    /// A value is not what its column says; then nothing is added.
    pub(super) fn push(&mut self, row: &Row<'_>, offset: i64, time_us: i64, most_bytes: usize) -> Result<(), Unreadable> {
        let place = match self.places.get(&address(&row.version)) {
            Some(place) => *place,
            None => {
                let place = self.tables.len() as u32;
                self.tables.push(TableRows::new(row.version.table.clone()));
                self.places.insert(address(&row.version), place);
                self.names.insert(self.hasher.hash_one(&row.version.table.name));
                place
            }
        };
        let Some(rows) = self.tables.get_mut(place as usize) else { return Ok(()) };
        let start = rows.len();
        let mut bytes = 0;
        for (image, kind) in [(&row.before, Image::Before), (&row.after, Image::After)] {
            let Some(image) = image else { continue };
            let added = append(rows, row, image, kind == Image::Before && row.only_key, most_bytes);
            match added {
                Ok(added) => bytes += added,
                Err(unreadable) => {
                    rows.truncate(start);
                    if start == 0 {
                        self.forget(&row.version);
                    }
                    return Err(unreadable);
                }
            }
            rows.images.push(kind as u8);
        }
        let before = if row.before.is_some() { start as u32 } else { NO_IMAGE };
        let after = match (&row.before, &row.after) {
            (_, None) => NO_IMAGE,
            (None, Some(_)) => start as u32,
            (Some(_), Some(_)) => start as u32 + 1,
        };
        let offset = offset.unsigned_abs();
        if self.events.is_empty() {
            self.first = offset;
        }
        let event = self.events.len() as u32;
        self.events.push(Event { transaction: 0, position: offset, time_us: row.time_us.unwrap_or(time_us), ..Event::default() });
        self.changes.push(Change { table: place, before, after, operation: row.operation, event, row: 0 });
        self.bytes += bytes + size_of::<Change>() + size_of::<Event>();
        Ok(())
    }

    /// A version of which no row could be read is not in the batch: it was the last one to come.
    fn forget(&mut self, version: &Version) {
        self.tables.pop();
        self.places.remove(&address(version));
        self.names.remove(&self.hasher.hash_one(&version.table.name));
    }

    /// Takes the batch out.
    pub(super) fn take(&mut self, lane: &Lane, offset: Offset, number: u64, file: &Arc<str>) -> Batch {
        let Self { tables, changes, events, first, .. } = std::mem::take(self);
        let taken = changes.len() as u32;
        let transactions = vec![Transaction { id: None, file: file.clone(), position: first, complete: true }];
        let mut batch = Batch { taken, tables, changes, events, transactions, ..Batch::empty(number, lane.clone(), offset) };
        batch.bytes = batch.measure();
        batch
    }
}

/// Appends a row; answers the bytes of its values.
fn append(rows: &mut TableRows, row: &Row<'_>, image: &[Option<Json<'_>>], only_key: bool, most_bytes: usize) -> Result<usize, Unreadable> {
    let mut bytes = 0;
    let each = rows.columns.iter_mut().zip(&row.version.table.columns).zip(&row.version.kinds).zip(image);
    for (((column, info), kind), value) in each {
        let before = column.values.bytes();
        match value {
            _ if only_key && !info.primary_key => column.push_absent(),
            None => column.push_absent(),
            Some(Json::Null) if info.nullable => column.push_null(),
            Some(Json::Null) => return Err(Unreadable::column(&info.name, "is null, which its schema does not allow")),
            Some(value) if row.placeholders && kind.says_unavailable(value) => column.push_absent(),
            Some(value) => kind.push(value, column).map_err(|_| Unreadable::column(&info.name, "holds a value that is not of its type"))?,
        }
        bytes += column.values.bytes() - before;
        if bytes > most_bytes || column.overflows() {
            return Err(Unreadable::new(format!("its row has more than {most_bytes} bytes")).remedy("raise `limits.row_bytes`"));
        }
    }
    Ok(bytes)
}

/// Microseconds since 1970 of a record's timestamp in milliseconds; now for one without.
pub(super) fn written_us(millis: Option<i64>) -> i64 {
    millis.and_then(|millis| millis.checked_mul(1000)).unwrap_or_else(now_us)
}
