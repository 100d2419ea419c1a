//! The numbers of tables that are copied.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How far the copy of a table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyNumbers {
    /// What it is doing.
    pub state: CopyState,
    /// Rows delivered, those of earlier runs included.
    pub rows: u64,
    /// How many there are, as the server estimates it; never fewer than were read.
    pub estimate: u64,
}

/// What the copy of a table is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyState {
    /// Other tables come first.
    #[default]
    Waiting,
    /// Its rows are read.
    Copying,
    /// All of its rows have been delivered.
    Done,
}

impl CopyState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Copying => "copying",
            Self::Done => "done",
        }
    }
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

    /// The table that is copied now, and how many are not done.
    pub fn current(&self) -> Option<(String, CopyNumbers, usize)> {
        let map = self.map();
        let left = map.values().filter(|numbers| numbers.state != CopyState::Done).count();
        map.iter().find(|(_, numbers)| numbers.state == CopyState::Copying).map(|(table, numbers)| (table.clone(), *numbers, left))
    }

    // a panic elsewhere leaves no numbers half changed that anybody needs
    fn map(&self) -> MutexGuard<'_, BTreeMap<String, CopyNumbers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
