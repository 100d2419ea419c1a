//! Locks of keys and tables, held until their transaction ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::table::Key;

/// What a transaction holds of a table.
#[derive(Debug, Default)]
struct Held {
    keys: BTreeSet<Key>,
    shared: bool,
    exclusive: bool,
}

/// What a transaction wants of a table.
#[derive(Clone, Debug)]
pub enum Want {
    /// To write these keys.
    Keys(Vec<Key>),
    /// That nobody writes.
    Shared,
    /// That nobody reads or writes.
    Exclusive,
}

/// The locks of a server.
#[derive(Debug, Default)]
pub struct Locks {
    held: HashMap<i64, BTreeMap<u64, Held>>,
    waiting: HashMap<u64, BTreeSet<u64>>,
}

impl Locks {
    /// Takes what is wanted, or names the transactions in the way. `Err` with nobody is a deadlock: each waits for the other.
    pub fn take(&mut self, transaction: u64, table: i64, want: &Want) -> Result<(), BTreeSet<u64>> {
        let of_table = self.held.entry(table).or_default();
        let in_the_way = |held: &Held| match want {
            Want::Keys(keys) => held.exclusive || held.shared || keys.iter().any(|key| held.keys.contains(key)),
            Want::Shared => held.exclusive || !held.keys.is_empty(),
            Want::Exclusive => held.exclusive || held.shared || !held.keys.is_empty(),
        };
        let others: BTreeSet<u64> =
            of_table.iter().filter(|(id, held)| **id != transaction && in_the_way(held)).map(|(id, _)| *id).collect();
        if others.is_empty() {
            self.waiting.remove(&transaction);
            let held = of_table.entry(transaction).or_default();
            match want {
                Want::Keys(keys) => held.keys.extend(keys.iter().cloned()),
                Want::Shared => held.shared = true,
                Want::Exclusive => held.exclusive = true,
            }
            return Ok(());
        }
        self.waiting.insert(transaction, others.clone());
        if self.leads_back(transaction) {
            self.waiting.remove(&transaction);
            return Err(BTreeSet::new());
        }
        Err(others)
    }

    fn leads_back(&self, to: u64) -> bool {
        let mut seen = BTreeSet::new();
        let mut next: Vec<u64> = self.waiting.get(&to).into_iter().flatten().copied().collect();
        while let Some(id) = next.pop() {
            if id == to {
                return true;
            }
            if seen.insert(id) {
                next.extend(self.waiting.get(&id).into_iter().flatten());
            }
        }
        false
    }

    /// A transaction waits no longer.
    pub fn give_up(&mut self, transaction: u64) {
        self.waiting.remove(&transaction);
    }

    /// Gives back all of a transaction.
    pub fn release(&mut self, transaction: u64) {
        self.waiting.remove(&transaction);
        self.held.retain(|_, of_table| {
            of_table.remove(&transaction);
            !of_table.is_empty()
        });
    }
}
