//! The tables that a source has today, for a check: nothing of them is read.

use std::{collections::BTreeMap, sync::Arc};

use sluicegate_model::change::{NumberedColumns, Table, TableName};

/// What a source could give.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// The captured tables, as they are today: at most as many as were asked for.
    pub captured: Vec<Arc<Table>>,
    /// Captured tables beyond that bound.
    pub more: usize,
    /// The names of all tables that the account sees, captured or not.
    pub seen: Vec<TableName>,
    /// What the patterns select and is no table: views and sequences. Nothing of it is delivered.
    pub no_tables: Vec<TableName>,
    /// Tables that the patterns select and that are left out all the same: helpers of tools that change another table online.
    pub helpers: Vec<TableName>,
    /// Whether names of tables that differ in case only are the same.
    pub ignores_case: bool,
    /// The columns of captured tables by their numbers in the catalogue, where the source has no log of other names.
    pub numbered: Vec<(TableName, NumberedColumns)>,
    /// By captured table: columns of text with their collations, under which texts that differ may be the same.
    pub collations: BTreeMap<TableName, Vec<(String, String)>>,
}
