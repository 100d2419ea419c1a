//! What a plugin is told about its rows beside their columns, where its plan asks for it: image, operation, time, and which
//! row is the other image of the same change.

use std::borrow::Cow;

use super::bindings::sluicegate::plugin::types::Context as Asked;
use crate::change::{Batch, Change, NO_IMAGE, Operation, TableRows};

/// One list for each part, with an entry for each row handed over; empty where not asked for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Context<'a> {
    /// 0 = before, 1 = after.
    pub images: Cow<'a, [u8]>,
    /// 0 = snapshot, 1 = insert, 2 = update, 3 = delete.
    pub operations: Vec<u8>,
    /// Microseconds since 1970 UTC.
    pub times: Vec<i64>,
    /// The row that is the other image; `u32::MAX` = none.
    pub partners: Vec<u32>,
}

/// The rows handed over, and where the changes stand that they belong to.
pub(super) struct Rows<'a> {
    pub batch: &'a Batch,
    pub rows: &'a TableRows,
    /// The batch's changes as they are by now.
    pub changes: &'a [Change],
    /// Which of them are of this table.
    pub mine: &'a [u32],
    /// The rows that are handed over, rising; `None` = all.
    pub picked: Option<&'a [u32]>,
}

impl<'a> Context<'a> {
    /// What the plan asked for.
    pub fn of(asked: Asked, from: &Rows<'a>) -> Self {
        let mut context = Self::default();
        if asked.contains(Asked::IMAGES) {
            context.images = match from.picked {
                None => Cow::Borrowed(&from.rows.images),
                Some(picked) => picked.iter().map(|row| from.rows.images[*row as usize]).collect(),
            };
        }
        let count = from.picked.map_or(from.rows.len(), <[u32]>::len);
        if asked.contains(Asked::OPERATIONS) {
            context.operations = from.each(count, 0, |change, _| code(change.operation));
        }
        if asked.contains(Asked::TIMES) {
            context.times = from.each(count, 0, |change, _| from.batch.events[change.event as usize].time_us);
        }
        if asked.contains(Asked::PARTNERS) {
            let place = |row: u32| from.place(row).map_or(NO_IMAGE, |place| place as u32);
            context.partners =
                from.each(count, NO_IMAGE, |change, row| place(if row == change.before { change.after } else { change.before }));
        }
        context
    }
}

impl Rows<'_> {
    /// Where a row stands among those handed over.
    fn place(&self, row: u32) -> Option<usize> {
        if row == NO_IMAGE {
            return None;
        }
        match self.picked {
            None => Some(row as usize),
            Some(picked) => picked.binary_search(&row).ok(),
        }
    }

    /// A value for each row, from the change that it belongs to.
    fn each<T: Clone>(&self, count: usize, default: T, value: impl Fn(&Change, u32) -> T) -> Vec<T> {
        let mut values = vec![default; count];
        for index in self.mine {
            let change = &self.changes[*index as usize];
            for row in [change.before, change.after] {
                if let Some(place) = self.place(row) {
                    values[place] = value(change, row);
                }
            }
        }
        values
    }
}

fn code(operation: Operation) -> u8 {
    match operation {
        Operation::Snapshot => 0,
        Operation::Insert => 1,
        Operation::Update => 2,
        Operation::Delete => 3,
    }
}
