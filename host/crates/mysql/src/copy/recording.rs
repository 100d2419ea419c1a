//! What the stream delivers of a table while a chunk of it is read.

use std::{collections::HashSet, sync::Arc};

use super::key::{Doubtful, Key};
use sluicegate_model::{
    change::{Batch, Item, MarkKind, Table, TableName, TableRows},
    limits::{COPY_KEY_BYTES, COPY_KEYS},
};

/// Why a chunk has to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoiled {
    /// The stream's connection is another one.
    Reconnected,
    /// The table may have been altered, or was emptied.
    Altered,
    /// The table was changed between two places of which the view is at an unknown one.
    Changed,
    /// More keys were changed than are kept.
    TooManyKeys,
}

/// The keys of the rows that were changed.
#[derive(Debug)]
pub struct Recording {
    /// The table.
    pub table: TableName,
    key: Arc<[Box<str>]>,
    /// Where the key's columns are in the version of the table that came last.
    columns: Option<(Arc<Table>, Vec<usize>)>,
    keys: HashSet<Box<[u8]>>,
    /// How many keys, and bytes of them.
    most: (usize, usize),
    bytes: usize,
    spoiled: Option<Spoiled>,
    scratch: Vec<u8>,
}

impl Recording {
    /// Nothing yet, of a table whose key has these columns. It may keep one part of `share` of what all recordings may.
    pub fn new(table: TableName, key: Arc<[Box<str>]>, share: u32) -> Self {
        // a reader reads a chunk while the one before it is delivered
        let share = share.max(1) as usize * 2;
        Self {
            most: (COPY_KEYS / share, COPY_KEY_BYTES / share),
            table,
            key,
            columns: None,
            keys: HashSet::new(),
            bytes: 0,
            spoiled: None,
            scratch: Vec::new(),
        }
    }

    /// Why the chunk has to be read again, if it has.
    pub fn spoiled(&self) -> Option<Spoiled> {
        self.spoiled
    }

    /// The chunk has to be read again.
    pub fn spoil(&mut self, why: Spoiled) {
        if self.spoiled.is_none() {
            self.spoiled = Some(why);
            self.keys = HashSet::new();
            self.bytes = 0;
        }
    }

    /// Takes in what is delivered.
    pub fn see(&mut self, item: &Item) {
        match item {
            Item::Rows(batch) => self.see_rows(batch),
            Item::Mark(mark) => {
                let concerns = match &mark.kind {
                    MarkKind::Truncate(truncate) => truncate.table.name == self.table,
                    MarkKind::Schema(change) => {
                        change.name == self.table || change.table.as_ref().is_some_and(|table| table.name == self.table)
                    }
                    _ => false,
                };
                if concerns {
                    self.spoil(Spoiled::Altered);
                }
            }
        }
    }

    fn see_rows(&mut self, batch: &Batch) {
        for rows in &batch.tables {
            if self.spoiled.is_none() && rows.table.name == self.table {
                self.add(rows);
            }
        }
    }

    fn add(&mut self, rows: &TableRows) {
        let Some(places) = self.places(&rows.table) else {
            // the key has lost a column: the table was altered
            self.spoil(Spoiled::Altered);
            return;
        };
        if rows.may_be_absent() {
            // what is left out for such a change would be the only whole row
            self.spoil(Spoiled::Altered);
            return;
        }
        for row in 0..rows.len() {
            self.scratch.clear();
            if !Key::bytes(&places, &rows.columns, row, &mut self.scratch) {
                self.spoil(Spoiled::Altered);
                break;
            }
            if self.keys.contains(&*self.scratch) {
                continue;
            }
            self.bytes += self.scratch.len() + KEY_BYTES;
            self.keys.insert(self.scratch.as_slice().into());
            if self.keys.len() > self.most.0 || self.bytes > self.most.1 {
                self.spoil(Spoiled::TooManyKeys);
                break;
            }
        }
        self.columns = Some((rows.table.clone(), places));
    }

    fn places(&mut self, table: &Arc<Table>) -> Option<Vec<usize>> {
        match self.columns.take() {
            Some((known, places)) if Arc::ptr_eq(&known, table) => Some(places),
            _ => self.key.iter().map(|name| table.columns.iter().position(|column| *column.name == **name)).collect(),
        }
    }

    /// Which of the rows were not changed, given where the key's columns are. `None` where that cannot be told: the key of a change may
    /// be that of another row, in a character set with several codes for one character.
    pub fn unchanged(&mut self, places: &[usize], doubtful: &[Doubtful], rows: &TableRows) -> Option<Vec<u32>> {
        let mut unchanged = Vec::with_capacity(rows.len());
        if self.keys.is_empty() {
            unchanged.extend(0..rows.len() as u32);
            return Some(unchanged);
        }
        for row in 0..rows.len() {
            self.scratch.clear();
            let has_key = Key::bytes(places, &rows.columns, row, &mut self.scratch);
            if has_key && !self.keys.contains(&*self.scratch) {
                unchanged.push(row as u32);
            } else if doubtful.iter().any(|column| column.may_be_another(&rows.columns, row)) {
                return None;
            }
        }
        Some(unchanged)
    }
}

/// Bytes that a kept key takes beside its own.
const KEY_BYTES: usize = 32;
