//! A transaction: what it changed, over what is committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    database::{Database, World},
    table::{Key, Row, Table, same},
    tracking::{Entry, Operation},
};
use crate::{
    error::{Ends, Result, SqlError},
    value::Datum,
};

/// A database and a table in it.
pub type TableId = (i64, i64);

/// One row's change by a statement.
#[derive(Clone, Debug)]
pub struct Change {
    /// The row's key.
    pub key: Key,
    /// What Change Tracking keeps of it.
    pub operation: Operation,
    /// The row that it leaves.
    pub row: Option<Row>,
    /// The key's values.
    pub key_values: Row,
}

/// What a transaction did to a table.
#[derive(Clone, Debug)]
struct Work {
    /// The committed table that `working` was made from.
    base: Option<Arc<Table>>,
    /// The table as the transaction sees it; none when it dropped it.
    working: Option<Arc<Table>>,
    /// Rows by key, as they are after it.
    rows: BTreeMap<Key, Option<Row>>,
    entries: BTreeMap<Key, Entry>,
    /// The definition changed, or all rows are gone: `working` takes the place of what is committed.
    whole: bool,
}

/// The tables of one statement: what is committed, and over it what the transaction did.
#[derive(Clone, Debug)]
pub struct View {
    /// What is committed, or was at the instant of the snapshot.
    pub world: Arc<World>,
    over: BTreeMap<TableId, Option<Arc<Table>>>,
    /// The keys with changes that are not committed.
    pub uncommitted: BTreeMap<TableId, BTreeSet<Key>>,
}

impl View {
    /// A view of what is committed.
    pub fn of(world: Arc<World>) -> Self {
        Self { world, over: BTreeMap::new(), uncommitted: BTreeMap::new() }
    }

    /// The same transaction's tables over another world.
    pub fn over(&self, world: Arc<World>) -> Self {
        Self { world, over: self.over.clone(), uncommitted: BTreeMap::new() }
    }

    /// A database.
    pub fn database(&self, id: i64) -> Result<&Arc<Database>> {
        self.world.databases.get(&id).ok_or_else(|| SqlError::new(911, "The database no longer exists.").ends(Ends::Batch))
    }

    /// A table by its names.
    pub fn table(&self, database: i64, schema: &str, name: &str) -> Option<Arc<Table>> {
        let over = self.over.iter().filter(|((db, _), _)| *db == database);
        for table in over.filter_map(|(_, table)| table.as_ref()) {
            if same(&table.definition.schema, schema) && same(&table.definition.name, name) {
                return Some(table.clone());
            }
        }
        let found = self.world.databases.get(&database)?.table(schema, name)?;
        (!self.over.contains_key(&(database, found.definition.object_id))).then(|| found.clone())
    }

    /// The tables of a database.
    pub fn tables(&self, database: i64) -> Vec<Arc<Table>> {
        let committed = self.world.databases.get(&database).into_iter().flat_map(|d| &d.tables);
        let mut found: BTreeMap<i64, Arc<Table>> = committed.map(|(id, table)| (*id, table.clone())).collect();
        for ((db, id), table) in &self.over {
            if *db == database {
                match table {
                    Some(table) => found.insert(*id, table.clone()),
                    None => found.remove(id),
                };
            }
        }
        found.into_values().collect()
    }

    /// A table by its id.
    pub fn table_by_id(&self, database: i64, id: i64) -> Option<Arc<Table>> {
        match self.over.get(&(database, id)) {
            Some(table) => table.clone(),
            None => self.world.databases.get(&database)?.tables.get(&id).cloned(),
        }
    }
}

/// A transaction that is open.
#[derive(Debug)]
pub struct Transaction {
    /// Its number, which owns its locks.
    pub id: u64,
    work: BTreeMap<TableId, Work>,
    saved: Vec<(String, BTreeMap<TableId, Work>)>,
    /// The snapshot, once its instant is fixed.
    pub pinned: Option<Arc<World>>,
}

impl Transaction {
    /// A transaction that did nothing yet.
    pub fn new(id: u64) -> Self {
        Self { id, work: BTreeMap::new(), saved: Vec::new(), pinned: None }
    }

    /// What a statement sees over what is committed.
    pub fn view(&mut self, world: &Arc<World>) -> View {
        let world = self.pinned.as_ref().unwrap_or(world).clone();
        let mut view = View::of(world.clone());
        for ((db, id), work) in &mut self.work {
            let committed = world.databases.get(db).and_then(|d| d.tables.get(id));
            let fresh = work.whole || matches!((&work.base, committed), (Some(base), Some(now)) if Arc::ptr_eq(base, now));
            if !fresh && let Some(now) = committed {
                work.base = Some(now.clone());
                work.working = Some(Arc::new(with_rows(now, &work.rows, work.working.as_deref())));
            }
            view.over.insert((*db, *id), work.working.clone());
            view.uncommitted.insert((*db, *id), work.entries.keys().cloned().collect());
        }
        view
    }

    /// Applies a statement's changes of rows.
    pub fn change(
        &mut self,
        at: TableId,
        table: &Arc<Table>,
        changes: &[Change],
        context: Option<&Arc<[u8]>>,
        counters: (i64, u64),
    ) -> Result<()> {
        let mut entries = self.work.get(&at).map(|w| w.entries.clone()).unwrap_or_default();
        if table.tracking.is_some() {
            for change in changes {
                let before = entries.remove(&change.key);
                let entry = Entry::add(before, &change.operation, &change.key_values, context.cloned(), &table.definition)?;
                entries.insert(change.key.clone(), entry);
            }
        }
        let work = self.work.entry(at).or_insert_with(|| Work {
            base: Some(table.clone()),
            working: Some(table.clone()),
            rows: BTreeMap::new(),
            entries: BTreeMap::new(),
            whole: false,
        });
        work.entries = entries;
        let mut working = Table::clone(table);
        (working.identity, working.heap) = counters;
        for change in changes {
            match &change.row {
                Some(row) => working.rows.insert_mut(change.key.clone(), row.clone()),
                None => {
                    working.rows.remove_mut(&change.key);
                }
            }
            work.rows.insert(change.key.clone(), change.row.clone());
        }
        work.working = Some(Arc::new(working));
        Ok(())
    }

    /// Puts another table in a table's place: created, altered, emptied, or dropped. Its history begins again, or is as it was.
    pub fn replace(&mut self, at: TableId, base: Option<Arc<Table>>, table: Option<Table>, forget: bool) {
        let mut entries = BTreeMap::new();
        let old = self.work.remove(&at);
        if let (Some(old), false) = (&old, forget) {
            entries.clone_from(&old.entries);
        }
        let base = old.map_or(base, |w| w.base);
        self.work.insert(at, Work { base, working: table.map(Arc::new), rows: BTreeMap::new(), entries, whole: true });
    }

    /// Did it change anything?
    pub fn wrote(&self) -> bool {
        !self.work.is_empty()
    }

    /// The row as it was committed when the snapshot was taken is not what is committed now: somebody else changed it.
    pub fn conflicts(&self, now: &World, at: TableId, key: &Key) -> bool {
        let row = |world: &World| world.databases.get(&at.0).and_then(|d| d.tables.get(&at.1)).and_then(|t| t.rows.get(key).cloned());
        match &self.pinned {
            None => false,
            Some(pinned) => match (row(pinned), row(now)) {
                (None, None) => false,
                (Some(a), Some(b)) => !Arc::ptr_eq(&a, &b),
                _ => true,
            },
        }
    }

    /// Marks a place to go back to.
    pub fn save(&mut self, name: &str) {
        self.saved.push((name.to_owned(), self.work.clone()));
    }

    /// Goes back to the last mark of that name, which stays.
    pub fn go_back(&mut self, name: &str) -> bool {
        let Some(at) = self.saved.iter().rposition(|(n, _)| n == name) else { return false };
        self.saved.truncate(at + 1);
        self.work = self.saved[at].1.clone();
        true
    }

    /// Makes the next world: one version for each database whose tracked tables it changed (G33, G36).
    pub fn commit(self, world: &mut World, now: &Datum) {
        let changed: BTreeSet<i64> = self.work.keys().map(|(db, _)| *db).collect();
        for db in changed {
            let Some(database) = world.database_mut(db) else { continue };
            let tracked = |w: &Work| !w.entries.is_empty() && w.working.as_ref().is_some_and(|t| t.tracking.is_some());
            let of_database: Vec<(i64, &Work)> = self.work.iter().filter(|((d, _), _)| *d == db).map(|((_, id), w)| (*id, w)).collect();
            let version = database.version + 1;
            if of_database.iter().any(|(_, w)| tracked(w)) {
                database.version = version;
                database.commits.insert_mut(version, now.clone());
            }
            for (id, work) in of_database {
                let Some(working) = &work.working else {
                    database.remove(id);
                    continue;
                };
                let same_base = matches!((&work.base, database.tables.get(&id)), (Some(base), Some(now)) if Arc::ptr_eq(base, now));
                let mut table = match database.tables.get(&id) {
                    Some(now) if !work.whole && !same_base => with_rows(now, &work.rows, Some(working)),
                    None if !work.whole => continue,
                    _ => Table::clone(working),
                };
                if let Some(tracking) = &mut table.tracking
                    && !work.entries.is_empty()
                {
                    tracking.record(version, &work.entries);
                }
                database.put(Arc::new(table));
            }
        }
    }
}

fn with_rows(table: &Table, rows: &BTreeMap<Key, Option<Row>>, counters: Option<&Table>) -> Table {
    let mut table = table.clone();
    for (key, row) in rows {
        match row {
            Some(row) => table.rows.insert_mut(key.clone(), row.clone()),
            None => {
                table.rows.remove_mut(key);
            }
        }
    }
    if let Some(counters) = counters {
        table.identity = table.identity.max(counters.identity);
        table.heap = table.heap.max(counters.heap);
    }
    table
}
