//! Tables: columns, keys, rows.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::tracking::Tracking;
use crate::{
    sql::ast::Expr,
    value::{Datum, Type, compare},
};

/// A row's key as bytes that order as the server orders the keys; of a table without a key, a number.
pub type Key = Arc<[u8]>;
/// The values of a row, in the order of the columns.
pub type Row = Arc<[Datum]>;

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// `column_id`: never given again in the table's life.
    pub id: i32,
    /// The name.
    pub name: String,
    /// The type.
    pub of: Type,
    /// May it be NULL?
    pub nullable: bool,
    /// The first value and the step of an IDENTITY column.
    pub identity: Option<(i64, i64)>,
    /// What stands where an INSERT names no value.
    pub default: Option<Expr>,
    /// What the value is computed by.
    pub computed: Option<Expr>,
}

/// An index, of which only the name and the columns are kept.
#[derive(Clone, Debug)]
pub struct Index {
    /// The name.
    pub name: String,
    /// Positions of its columns.
    pub columns: Vec<usize>,
    /// Is it unique?
    pub unique: bool,
}

/// What a table is.
#[derive(Clone, Debug)]
pub struct Definition {
    /// `object_id`: another one when the table is made again.
    pub object_id: i64,
    /// The schema's name.
    pub schema: String,
    /// The name.
    pub name: String,
    /// The columns in order.
    pub columns: Vec<Column>,
    /// The position in `columns` of each key column, in key order.
    pub key: Vec<usize>,
    /// The constraint's name.
    pub key_name: String,
    /// Is the primary key the clustered index?
    pub clustered: bool,
    /// CHECK constraints.
    pub checks: Vec<(String, Expr)>,
    /// The other indexes.
    pub indexes: Vec<Index>,
    /// The next `column_id`.
    pub next_column: i32,
    /// When it was created and last altered.
    pub created: Datum,
    /// When it was last altered.
    pub modified: Datum,
    /// Moves with each change that a SNAPSHOT transaction may not pass over (G48).
    pub stamp: u64,
}

/// A table with its rows.
#[derive(Clone, Debug)]
pub struct Table {
    /// What it is.
    pub definition: Arc<Definition>,
    /// Its rows by their keys.
    pub rows: RedBlackTreeMapSync<Key, Row>,
    /// Its history, when changes are tracked.
    pub tracking: Option<Tracking>,
    /// The next value of the IDENTITY column.
    pub identity: i64,
    /// The next number of a row without a key.
    pub heap: u64,
}

impl Definition {
    /// The position of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| same(&c.name, name))
    }

    /// Schema and name.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The key of a row; none of a table without a key.
    pub fn key_of(&self, row: &[Datum]) -> Option<Key> {
        if self.key.is_empty() {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.key.len() * 10);
        for at in &self.key {
            compare::push_key(&mut bytes, &row[*at], &self.columns[*at].of);
        }
        Some(bytes.into())
    }

    /// The ids of the columns that a full update names: no key and nothing computed.
    pub fn data_columns(&self) -> impl Iterator<Item = i32> {
        self.columns.iter().enumerate().filter(|(at, c)| c.computed.is_none() && !self.key.contains(at)).map(|(_, c)| c.id)
    }
}

/// Are two names the same to the server's collation?
pub fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!a.is_ascii() && a.to_lowercase() == b.to_lowercase())
}
