//! What a plugin is told about its rows beside their columns, where its plan asks for it: image, operation, time, and which
//! row is the other image of the same change.

use std::borrow::Cow;

use super::bindings::sluicegate::plugin::types::Context as Asked;
use sluicegate_model::change::{Batch, Change, NO_IMAGE, Operation, TableRows};

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use sluicegate_model::change::{Event, Lane, Offset, Table, TableName, Transaction};

    /// A batch of changes of one table; for each which images it has, before and after, and whether it is of this table.
    fn batch(given: &[(bool, bool, bool)]) -> (Batch, Vec<u32>) {
        let table = Arc::new(Table { name: TableName::new("shop", "orders"), destination: None, columns: Vec::new() });
        let mut rows = TableRows::new(table);
        let mut batch = Batch { taken: given.len() as u32, ..Batch::empty(0, Lane::new("rows"), Offset::from_json("{}")) };
        let mut mine = Vec::new();
        for (i, (before, after, ours)) in (0u32..).zip(given) {
            let mut image = |there: bool, code: u8| match there && *ours {
                true => {
                    rows.images.push(code);
                    rows.images.len() as u32 - 1
                }
                false => NO_IMAGE,
            };
            let (before, after) = (image(*before, 0), image(*after, 1));
            let operation = match (before, after) {
                (NO_IMAGE, _) => Operation::Insert,
                (_, NO_IMAGE) => Operation::Delete,
                _ => Operation::Update,
            };
            batch.changes.push(Change { table: u32::from(!ours), before, after, operation, event: i, row: 0 });
            batch.events.push(Event { position: 4, time_us: i64::from(i) * 10, server_id: 1, ..Event::default() });
            if *ours {
                mine.push(i);
            }
        }
        batch.transactions = vec![Transaction::default()];
        batch.tables = vec![rows];
        (batch, mine)
    }

    #[test]
    fn what_is_not_asked_for_is_not_made() {
        let (batch, mine) = batch(&[(true, true, true)]);
        let from = Rows { batch: &batch, rows: &batch.tables[0], changes: &batch.changes, mine: &mine, picked: None };
        assert_eq!(Context::of(Asked::empty(), &from), Context::default());
    }

    #[test]
    fn changes_of_other_tables_are_not_told() {
        let (batch, mine) = batch(&[(false, true, true), (true, true, false), (true, true, true), (true, false, true)]);
        let from = Rows { batch: &batch, rows: &batch.tables[0], changes: &batch.changes, mine: &mine, picked: None };
        let context = Context::of(Asked::all(), &from);
        assert_eq!(context.images.as_ref(), [1, 0, 1, 0]);
        assert_eq!(context.operations, [1, 2, 2, 3]);
        assert_eq!(context.times, [0, 20, 20, 30]);
        assert_eq!(context.partners, [NO_IMAGE, 2, 1, NO_IMAGE]);
    }

    proptest! {
        /// Whichever rows are picked: each list has an entry for each, and a partner's partner is the row itself.
        #[test]
        fn partners_point_at_each_other(
            given in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 1..30), keep in prop::collection::vec(any::<bool>(), 60),
        ) {
            let (batch, mine) = batch(&given);
            let all = batch.tables[0].len() as u32;
            let picked: Vec<u32> = (0..all).filter(|row| keep[*row as usize]).collect();
            for picked in [None, Some(picked.as_slice())] {
                let from = Rows { batch: &batch, rows: &batch.tables[0], changes: &batch.changes, mine: &mine, picked };
                let context = Context::of(Asked::all(), &from);
                let count = picked.map_or(all as usize, <[u32]>::len);
                prop_assert_eq!(
                    [context.images.len(), context.operations.len(), context.times.len(), context.partners.len()], [count; 4]
                );
                for (row, partner) in (0u32..).zip(&context.partners) {
                    if *partner != NO_IMAGE {
                        prop_assert_eq!(context.partners[*partner as usize], row);
                        prop_assert_ne!(context.images[*partner as usize], context.images[row as usize]);
                        prop_assert_eq!(context.times[*partner as usize], context.times[row as usize]);
                        prop_assert_eq!(context.operations[row as usize], 2);
                    }
                }
            }
        }
    }
}
