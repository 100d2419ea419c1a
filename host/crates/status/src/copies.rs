//! The numbers of tables that are copied.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sluicegate_model::now_us;

/// How far the copy of a table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyNumbers {
    /// What it is doing.
    pub state: CopyState,
    /// Rows delivered, those of earlier runs included.
    pub rows: u64,
    /// How many there are, as the server estimates it.
    pub estimate: u64,
    /// Rows that earlier runs had delivered when this one began to read the table.
    pub before: u64,
    /// When this run began to read it, microseconds since 1970; 0 before that.
    pub began_us: i64,
    /// When rows were delivered last, microseconds since 1970.
    pub advanced_us: i64,
}

impl CopyNumbers {
    /// Those of a table that is read from now on.
    pub fn begin(rows: u64, estimate: u64) -> Self {
        let now = now_us();
        Self { state: CopyState::Copying, rows, estimate, before: rows, began_us: now, advanced_us: now }
    }

    /// So many rows have been delivered.
    pub fn advance(&mut self, rows: u64, done: bool) {
        (self.rows, self.advanced_us) = (rows, now_us());
        self.state = if done { CopyState::Done } else { CopyState::Copying };
    }

    /// How many rows there are, as far as is known: never fewer than were delivered.
    pub fn total(&self) -> u64 {
        if self.state == CopyState::Done { self.rows } else { self.estimate.max(self.rows) }
    }

    /// How much longer it takes at the rate so far; `None` while that is not known.
    pub fn left(&self) -> Option<Duration> {
        let read = self.rows.saturating_sub(self.before);
        let left = self.total().saturating_sub(self.rows);
        let spent = u64::try_from(self.advanced_us.saturating_sub(self.began_us)).unwrap_or_default();
        match self.state {
            CopyState::Done => Some(Duration::ZERO),
            CopyState::Copying if read > 0 => {
                Some(Duration::from_micros((u128::from(left) * u128::from(spent) / u128::from(read)).try_into().unwrap_or(u64::MAX)))
            }
            _ => None,
        }
    }
}

/// What the copy of a table is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyState {
    /// Other tables come first.
    #[default]
    Waiting,
    /// Its rows are read.
    Copying,
    /// Its rows are not read while the server is loaded.
    Paused,
    /// All of its rows have been delivered.
    Done,
}

impl CopyState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Copying => "copying",
            Self::Paused => "paused",
            Self::Done => "done",
        }
    }
}

/// The copies of all tables together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overall {
    /// How many tables there are.
    pub tables: usize,
    /// How many have been copied.
    pub done: usize,
    /// Those that are read now.
    pub current: Vec<String>,
    /// Rows delivered.
    pub rows: u64,
    /// Rows that there are, as the server estimates them.
    pub total: u64,
    /// How much longer it takes at the rate so far, if that is known.
    pub left: Option<Duration>,
    /// Whether it waits for the server's load.
    pub paused: bool,
    /// Whether there is a table of which nothing is known yet.
    pub unknown: bool,
}

/// The tables that this run copies, by name.
#[derive(Debug, Default)]
pub struct Copies(Mutex<BTreeMap<String, CopyNumbers>>);

impl Copies {
    /// Changes the numbers of a table.
    pub fn update(&self, table: &str, change: impl FnOnce(&mut CopyNumbers)) {
        let mut map = self.map();
        match map.get_mut(table) {
            Some(numbers) => change(numbers),
            None => change(map.entry(table.to_owned()).or_default()),
        }
    }

    /// The table is copied no longer.
    pub fn remove(&self, table: &str) {
        self.map().remove(table);
    }

    /// All tables with their numbers, in the order of their names.
    pub fn all(&self) -> Vec<(String, CopyNumbers)> {
        self.map().iter().map(|(table, numbers)| (table.clone(), *numbers)).collect()
    }

    /// All tables together, if one of them is not done.
    pub fn overall(&self) -> Option<Overall> {
        let map = self.map();
        let mut overall = Overall { tables: map.len(), ..Overall::default() };
        let (mut read, mut left, mut began, mut advanced) = (0_u64, 0_u64, i64::MAX, 0);
        for (table, numbers) in map.iter() {
            overall.rows += numbers.rows;
            overall.total += numbers.total();
            read += numbers.rows.saturating_sub(numbers.before);
            left += numbers.total().saturating_sub(numbers.rows);
            match numbers.state {
                CopyState::Done => overall.done += 1,
                CopyState::Waiting => overall.unknown |= numbers.estimate == 0,
                CopyState::Copying => overall.current.push(table.clone()),
                CopyState::Paused => (overall.current.push(table.clone()), overall.paused = true).1,
            }
            if numbers.began_us != 0 {
                (began, advanced) = (began.min(numbers.began_us), advanced.max(numbers.advanced_us));
            }
        }
        let spent = u64::try_from(advanced.saturating_sub(began)).unwrap_or_default();
        if read > 0 && !overall.unknown {
            let micros = u128::from(left) * u128::from(spent) / u128::from(read);
            overall.left = Some(Duration::from_micros(micros.try_into().unwrap_or(u64::MAX)));
        }
        (overall.done < overall.tables).then_some(overall)
    }

    // a panic elsewhere leaves no numbers half changed that anybody needs
    fn map(&self) -> MutexGuard<'_, BTreeMap<String, CopyNumbers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(state: CopyState, rows: u64, estimate: u64, seconds: i64) -> CopyNumbers {
        CopyNumbers { state, rows, estimate, before: 0, began_us: 5_000_000, advanced_us: 5_000_000 + seconds * 1_000_000 }
    }

    #[test]
    fn what_is_left_follows_from_the_rate_of_this_run() {
        let mut half = numbers(CopyState::Copying, 500, 1000, 10);
        assert_eq!(half.left(), Some(Duration::from_secs(10)));
        half.before = 400;
        assert_eq!(half.left(), Some(Duration::from_secs(50)));
        half.before = 500;
        assert_eq!(half.left(), None);
        // the estimate was too low
        assert_eq!(numbers(CopyState::Copying, 2000, 1000, 10).left(), Some(Duration::ZERO));
        assert_eq!(numbers(CopyState::Done, 900, 1000, 10).total(), 900);
    }

    #[test]
    fn tables_together_are_done_when_the_last_one_is() {
        let copies = Copies::default();
        assert_eq!(copies.overall(), None);
        copies.update("s.a", |n| *n = numbers(CopyState::Done, 900, 1000, 9));
        copies.update("s.b", |n| *n = numbers(CopyState::Copying, 100, 600, 10));
        copies.update("s.c", |n| *n = CopyNumbers { estimate: 500, ..CopyNumbers::default() });
        let overall = copies.overall().unwrap();
        assert_eq!((overall.done, overall.tables, overall.rows, overall.total), (1, 3, 1000, 2000));
        assert_eq!((overall.current, overall.left), (vec!["s.b".to_owned()], Some(Duration::from_secs(10))));
        copies.update("s.b", |n| n.advance(600, true));
        copies.update("s.c", |n| n.advance(500, true));
        assert_eq!(copies.overall(), None);
    }
}
