//! Change Tracking: the history of a tracked table, and what CHANGETABLE makes of it.

use std::{collections::BTreeMap, sync::Arc};

use rpds::RedBlackTreeMapSync;

use super::table::{Definition, Key, Row};
use crate::error::{Result, SqlError};

/// The columns that updates named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All of them, which the server says with NULL.
    All,
    /// These, in the order that they were named (G51).
    Columns(Vec<i32>),
}

impl Mask {
    /// Appends what is not there yet (G52). All stays all.
    pub fn extend(&mut self, later: &Self) {
        match (&mut *self, later) {
            (Self::Columns(have), Self::Columns(more)) => {
                for id in more {
                    if !have.contains(id) {
                        have.push(*id);
                    }
                }
            }
            _ => *self = Self::All,
        }
    }

    /// As SYS_CHANGE_COLUMNS: four zero bytes, then the ids (G50).
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::All => None,
            Self::Columns(ids) => Some([0_i32].iter().chain(ids).flat_map(|id| id.to_le_bytes()).collect()),
        }
    }
}

/// What happened to a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It came to be.
    Insert,
    /// Columns were set.
    Update(Mask),
    /// It ceased to be.
    Delete,
}

/// What one transaction did to one key (G17).
#[derive(Clone, Debug)]
pub struct Entry {
    /// The first operation was an insert.
    pub begins_with_insert: bool,
    /// The last operation was a delete.
    pub ends_with_delete: bool,
    /// One of the operations was an insert.
    pub inserted: bool,
    /// The columns of all its updates.
    pub mask: Mask,
    /// Of the last statement that touched the row (G60).
    pub context: Option<Arc<[u8]>>,
    /// The key's values as this transaction first had them.
    pub key: Row,
}

impl Entry {
    /// Adds an operation of the same transaction to what was there.
    pub fn add(
        before: Option<Self>,
        operation: &Operation,
        key: &Row,
        context: Option<Arc<[u8]>>,
        definition: &Definition,
    ) -> Result<Self> {
        let mask = match operation {
            Operation::Update(mask) => mask.clone(),
            _ => Mask::All,
        };
        let (inserts, deletes) = (*operation == Operation::Insert, *operation == Operation::Delete);
        let Some(mut entry) = before else {
            return Ok(Self { begins_with_insert: inserts, ends_with_delete: deletes, inserted: inserts, mask, context, key: key.clone() });
        };
        let partial = matches!((&entry.mask, &mask), (Mask::Columns(_), Mask::Columns(_)));
        entry.mask.extend(&mask);
        if let Mask::Columns(ids) = &entry.mask
            && partial
            && definition.data_columns().all(|id| ids.contains(&id))
        {
            return Err(SqlError::unsettled("the mask of several updates in one transaction that only together name every column"));
        }
        entry.ends_with_delete = deletes;
        entry.inserted |= inserts;
        entry.context = context;
        Ok(entry)
    }
}

/// A tracked table's history.
#[derive(Clone, Debug)]
pub struct Tracking {
    /// TRACK_COLUMNS_UPDATED
    pub columns: bool,
    /// The version at which tracking began, or the table was truncated.
    pub begin: i64,
    /// The lowest version from which the history is whole.
    pub min_valid: i64,
    /// The version up to which it was cleaned.
    pub cleanup: Option<i64>,
    /// What was done, by version and key.
    pub history: RedBlackTreeMapSync<(i64, Key), Arc<Entry>>,
    /// Of each key in the history: its last version, and its values as they were first spelled (G21).
    pub latest: RedBlackTreeMapSync<Key, (i64, Row)>,
}

/// One row of CHANGETABLE(CHANGES …).
#[derive(Clone, Debug)]
pub struct Net {
    /// SYS_CHANGE_VERSION
    pub version: i64,
    /// SYS_CHANGE_CREATION_VERSION
    pub creation: Option<i64>,
    /// SYS_CHANGE_OPERATION
    pub operation: &'static str,
    /// SYS_CHANGE_COLUMNS
    pub columns: Option<Vec<u8>>,
    /// SYS_CHANGE_CONTEXT
    pub context: Option<Arc<[u8]>>,
    /// The key's values, in key order.
    pub key: Row,
}

struct Fold {
    first_inserts: bool,
    creation: Option<i64>,
    mask: Mask,
    last: Arc<Entry>,
    version: i64,
}

impl Tracking {
    /// An empty history that begins at a version.
    pub fn new(columns: bool, version: i64) -> Self {
        Self {
            columns,
            begin: version,
            min_valid: version,
            cleanup: None,
            history: RedBlackTreeMapSync::new_sync(),
            latest: RedBlackTreeMapSync::new_sync(),
        }
    }

    /// Adds what a transaction did, under the version of its commit.
    pub fn record(&mut self, version: i64, entries: &BTreeMap<Key, Entry>) {
        for (key, entry) in entries {
            let spelled = self.latest.get(key).map_or_else(|| entry.key.clone(), |(_, spelled)| spelled.clone());
            self.latest.insert_mut(key.clone(), (version, spelled));
            self.history.insert_mut((version, key.clone()), Arc::new(entry.clone()));
        }
    }

    /// The net changes after a version, one for each key, in key order (G17, G18).
    pub fn changes(&self, after: Option<i64>) -> Vec<Net> {
        let mut folds: BTreeMap<&Key, Fold> = BTreeMap::new();
        let from = (after.map_or(i64::MIN, |v| v.saturating_add(1)), Key::from([]));
        for ((version, key), entry) in self.history.range(from..) {
            match folds.get_mut(key) {
                None => {
                    let fold = Fold {
                        first_inserts: entry.begins_with_insert,
                        creation: entry.inserted.then_some(*version),
                        mask: entry.mask.clone(),
                        last: entry.clone(),
                        version: *version,
                    };
                    folds.insert(key, fold);
                }
                Some(fold) => {
                    if entry.inserted {
                        fold.creation = Some(*version);
                    }
                    fold.mask.extend(&entry.mask);
                    fold.last = entry.clone();
                    fold.version = *version;
                }
            }
        }
        let net = |(key, fold): (&Key, Fold)| Net {
            version: fold.version,
            creation: fold.creation,
            operation: match (fold.last.ends_with_delete, fold.first_inserts) {
                (true, _) => "D",
                (false, true) => "I",
                (false, false) => "U",
            },
            columns: if self.columns { fold.mask.bytes() } else { None },
            context: fold.last.context.clone(),
            key: self.latest.get(key).map_or_else(|| fold.last.key.clone(), |(_, spelled)| spelled.clone()),
        };
        folds.into_iter().map(net).collect()
    }

    /// The last version of a key, and its context.
    pub fn latest(&self, key: &Key) -> Option<(i64, Option<Arc<[u8]>>)> {
        let (version, _) = self.latest.get(key)?;
        let entry = self.history.get(&(*version, key.clone()))?;
        Some((*version, entry.context.clone()))
    }

    /// Removes the history up to a version, or at most so many rows of it (G70, G72), and moves the lowest valid version there.
    pub fn clean(&mut self, up_to: i64, most: usize) {
        let end = (up_to.saturating_add(1), Key::from([]));
        let old: Vec<(i64, Key)> = self.history.range(..end).take(most).map(|(at, _)| at.clone()).collect();
        for (version, key) in old {
            if self.latest.get(&key).is_some_and(|(latest, _)| *latest == version) {
                self.latest.remove_mut(&key);
            }
            self.history.remove_mut(&(version, key));
        }
        self.min_valid = self.min_valid.max(up_to);
        self.cleanup = Some(self.cleanup.unwrap_or(0).max(up_to));
    }
}
