//! What the writers committed, by the key of the row.

use std::collections::BTreeMap;

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Created,
    Updated,
    Deleted,
    /// The row got another key.
    MovedAway,
    /// The row had another key.
    MovedHere,
}

/// A change of a key, with the row's version: of the row as it is after the change, for a delete as it was. Versions of a key never
/// fall, and each change that leaves a row has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub operation: Operation,
    pub version: u64,
}

/// Every change, for each key in the order of the log. Keys are unique over all tables.
#[derive(Default)]
pub struct Journal {
    keys: BTreeMap<u64, Vec<Step>>,
    /// A row that got another key is two.
    records: u64,
}

impl Journal {
    pub fn add(&mut self, key: u64, step: Step) {
        self.keys.entry(key).or_default().push(step);
        self.records += 1;
    }

    pub fn steps(&self, key: u64) -> &[Step] {
        self.keys.get(&key).map_or(&[], Vec::as_slice)
    }

    pub fn keys(&self) -> impl Iterator<Item = (u64, &[Step])> {
        self.keys.iter().map(|(key, steps)| (*key, steps.as_slice()))
    }

    /// Records that an output has of them, without tombstones.
    pub fn records(&self) -> u64 {
        self.records
    }
}
