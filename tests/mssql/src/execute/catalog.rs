//! The catalog's views, made of the state when a statement asks for them.

use super::{
    catalog_views,
    scope::{OutColumn, Run},
};
use crate::{
    engine::Row,
    error::{Result, SqlError},
    sql::ast::Name,
    value::{Datum, Kind},
};

/// The columns and the rows of a view.
pub struct View {
    /// The columns.
    pub columns: Vec<OutColumn>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A name in the catalog.
pub const SYSNAME: Kind = Kind::NVarChar(Some(128));

impl View {
    /// A view without rows yet. A column whose name begins with `?` may be NULL.
    pub fn new(columns: &[(&str, Kind)]) -> Self {
        let column = |(name, kind): &(&str, Kind)| match name.strip_prefix('?') {
            Some(name) => OutColumn::plain(name, *kind, true),
            None => OutColumn::plain(name, *kind, false),
        };
        Self { columns: columns.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, values: [Datum; N]) {
        debug_assert_eq!(N, self.columns.len(), "a row has a value for each column");
        self.rows.push(Row::from(values));
    }
}

/// A view by its name; none when the name is not of the catalog.
pub fn view(name: &Name, run: &Run<'_>) -> Result<Option<(Vec<OutColumn>, Vec<Row>)>> {
    let Some(schema) = name.before(1) else { return Ok(None) };
    let information = schema.eq_ignore_ascii_case("INFORMATION_SCHEMA");
    if !schema.eq_ignore_ascii_case("sys") && !information {
        return Ok(None);
    }
    let (database, _) = run.place(name)?;
    let lower = name.last().to_lowercase();
    let found = if information {
        catalog_views::information(&lower, database, run)?
    } else {
        match lower.as_str() {
            "databases" => catalog_views::databases(run),
            "schemas" => catalog_views::schemas(database, run)?,
            "tables" => catalog_views::tables(database, run, true)?,
            "objects" | "all_objects" => catalog_views::objects(database, run)?,
            "views" => catalog_views::tables(database, run, false)?,
            "columns" | "all_columns" => catalog_views::columns(database, run)?,
            "types" => catalog_views::types(),
            "indexes" => catalog_views::indexes(database, run)?,
            "index_columns" => catalog_views::index_columns(database, run)?,
            "key_constraints" => catalog_views::key_constraints(database, run)?,
            "partitions" => catalog_views::partitions(database, run, "rows")?,
            "dm_db_partition_stats" => catalog_views::partitions(database, run, "row_count")?,
            "change_tracking_databases" => catalog_views::tracking_databases(run),
            "change_tracking_tables" => catalog_views::tracking_tables(database, run)?,
            "security_policies" => catalog_views::security_policies(database, run)?,
            "security_predicates" => catalog_views::security_predicates(database, run)?,
            "dm_tran_commit_table" => catalog_views::commit_table(database, run)?,
            _ => return Err(SqlError::unsupported(format_args!("the catalog view {name}"))),
        }
    };
    Ok(Some((found.columns, found.rows)))
}
