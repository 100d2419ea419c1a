//! The tables that a pipeline has seen, so that a new chain can plan them before it takes over.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::treatment::Treatments;
use sluicegate_model::change::{Table, TableName};

/// The newest version of each table seen, at most `most` of them.
pub struct KnownTables {
    tables: Mutex<BTreeMap<TableName, Arc<Table>>>,
    most: usize,
    /// How often a table came or changed.
    changes: AtomicU64,
    treatments: Treatments,
}

impl KnownTables {
    /// None yet; at most `most` are kept, and further ones are planned when their rows come.
    pub fn new(most: usize) -> Self {
        Self { tables: Mutex::default(), most, changes: AtomicU64::new(0), treatments: Treatments::default() }
    }

    /// The same tables and treatments, for a chain that is prepared: what it notes is its own.
    pub fn copied(&self) -> Self {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let treatments = Treatments::default();
        treatments.remember(self.treatments.all());
        Self { tables: Mutex::new(tables), most: self.most, changes: AtomicU64::new(self.changes()), treatments }
    }

    /// Notes a table. Answers whether another version of it was known.
    pub fn add(&self, table: &Arc<Table>) -> bool {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = tables.len() >= self.most;
        let before = tables.contains_key(&table.name);
        match tables.get_mut(&table.name) {
            Some(known) if Arc::ptr_eq(known, table) => return false,
            Some(known) => *known = table.clone(),
            None if is_full => return false,
            None => drop(tables.insert(table.name.clone(), table.clone())),
        };
        self.changes.fetch_add(1, Ordering::Release);
        before
    }

    /// A number that grows when a table comes or changes: who has planned all at one number need not look again at the same.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// What plugins do to the columns of tables.
    pub fn treatments(&self) -> &Treatments {
        &self.treatments
    }

    /// All tables.
    pub fn all(&self) -> Vec<Arc<Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
