//! How long a table's turn is. A query for changes goes through everything that is left of its table, however few rows it asks for. So a
//! backlog that is read in turns of one length costs its square. A turn therefore goes on for as long as no other table waits, and each
//! further turn of a table is twice as long as the one before, unless a table waits for its first one.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use sluicegate_model::change::TableName;

/// How many tables wait for their turns, those of all databases together.
#[derive(Debug, Default)]
pub(super) struct Demand {
    waiting: AtomicUsize,
    /// Those of them that have had none since they were found to have changes.
    first: AtomicUsize,
}

impl Demand {
    /// How many rows a turn may have as things are now: `rows` = of a table's first turn, `turns` = how many it has had.
    pub(super) fn rows(&self, rows: u64, turns: u32) -> u64 {
        if self.first.load(Ordering::Relaxed) > 0 {
            rows
        } else if self.waiting.load(Ordering::Relaxed) > 0 {
            1_u64.checked_shl(turns).map_or(u64::MAX, |times| rows.saturating_mul(times))
        } else {
            u64::MAX
        }
    }
}

/// The tables of a database that wait for their turns, in the order in which they get them.
#[derive(Debug)]
pub(super) struct Turns {
    queue: VecDeque<(TableName, bool)>,
    demand: Arc<Demand>,
}

impl Turns {
    pub(super) fn new(demand: Arc<Demand>) -> Self {
        Self { queue: VecDeque::new(), demand }
    }

    /// A table waits for its first turn.
    pub(super) fn wait_first(&mut self, name: TableName) {
        self.demand.first.fetch_add(1, Ordering::Relaxed);
        self.push(name, true);
    }

    /// A table that has had one waits for another.
    pub(super) fn wait_again(&mut self, name: TableName) {
        self.push(name, false);
    }

    fn push(&mut self, name: TableName, first: bool) {
        self.demand.waiting.fetch_add(1, Ordering::Relaxed);
        self.queue.push_back((name, first));
    }

    /// The table whose turn it is.
    pub(super) fn next(&mut self) -> Option<TableName> {
        let (name, first) = self.queue.pop_front()?;
        self.demand.waiting.fetch_sub(1, Ordering::Relaxed);
        if first {
            self.demand.first.fetch_sub(1, Ordering::Relaxed);
        }
        Some(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The tables that wait.
    pub(super) fn names(&self) -> impl Iterator<Item = &TableName> {
        self.queue.iter().map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> TableName {
        TableName { database: "d".into(), schema: Some("dbo".into()), table: name.into() }
    }

    #[test]
    fn a8_a_turn_ends_for_tables_that_have_had_none_and_is_longer_for_those_that_have() {
        let demand = Arc::new(Demand::default());
        let (mut here, mut elsewhere) = (Turns::new(demand.clone()), Turns::new(demand.clone()));
        assert_eq!(demand.rows(100, 0), u64::MAX);
        here.wait_again(table("large"));
        assert_eq!([0, 1, 2, 9].map(|turns| demand.rows(100, turns)), [100, 200, 400, 51_200]);
        assert_eq!([63, 64, u32::MAX].map(|turns| demand.rows(100, turns)), [u64::MAX; 3]);
        elsewhere.wait_first(table("small"));
        assert_eq!([0, 9].map(|turns| demand.rows(100, turns)), [100, 100]);
        assert_eq!(elsewhere.next(), Some(table("small")));
        assert_eq!(demand.rows(100, 1), 200);
        assert_eq!(here.next(), Some(table("large")));
        assert_eq!((demand.rows(100, 1), here.next(), here.is_empty()), (u64::MAX, None, true));
    }

    #[test]
    fn tables_have_their_turns_in_the_order_in_which_they_came() {
        let mut turns = Turns::new(Arc::default());
        turns.wait_first(table("a"));
        turns.wait_again(table("b"));
        turns.wait_first(table("c"));
        assert!(turns.names().eq(&[table("a"), table("b"), table("c")]));
        assert_eq!([(); 3].map(|()| turns.next().unwrap().table), ["a", "b", "c"]);
    }
}
