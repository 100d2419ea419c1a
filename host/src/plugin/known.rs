//! The tables that a pipeline has seen, so that a new chain can plan them before it takes over.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::change::{Table, TableName};

/// The newest version of each table seen, at most `most` of them.
pub struct KnownTables {
    tables: Mutex<BTreeMap<TableName, Arc<Table>>>,
    most: usize,
}

impl KnownTables {
    /// None yet; at most `most` are kept, and further ones are planned when their rows come.
    pub fn new(most: usize) -> Self {
        Self { tables: Mutex::default(), most }
    }

    /// Notes a table.
    pub fn add(&self, table: &Arc<Table>) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if tables.len() < self.most || tables.contains_key(&table.name) {
            tables.insert(table.name.clone(), table.clone());
        }
    }

    /// All tables.
    pub fn all(&self) -> Vec<Arc<Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
