//! Standard plugin `map-names`: renames databases, schemas, tables and columns. It never reads a row.
//!
//! ```yaml
//! - use: map-names
//!   config:
//!     databases:
//!       - { from: shop, to: sales }
//!     tables:
//!       - { from: shop.orders, to: sales.purchases }                # one by one
//!       - { pattern: 'shop\.orders_(\d+)', to: 'orders', merge: true } # by regular expression
//!     columns:
//!       - { table: shop.customers, from: mail, to: email }
//!       - { pattern: 'c_(?<rest>.+)', to: '${rest}' }              # in every table
//!     case: lower                                                  # or { databases: keep, schemas: keep, tables: lower, columns: upper }
//! ```
//!
//! In each list the first entry that matches decides. `from` is the whole name, `pattern` a regular expression that has to
//! match the whole name; `$1` and `${name}` in `to` stand for its groups. Tables are matched as `database.table`, with a
//! schema `database.schema.table`, and with backticks around a part that holds a dot: `` shop.`eu.orders` ``; a `to` of one part names the table only, and then `databases` and `schemas` apply too.
//! The case policy comes last. `schemas` works like `databases`.
//!
//! Two columns, or two tables, that would get the same name are an error; `merge: true` at a table's entry, or for all at
//! the top, lets tables flow together.

// a guest that panics is dropped by the host: faults are answers (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod config;
mod rename;

use std::collections::BTreeMap;

use sluicegate_plugin::{Description, Plugin, TableName, TablePlan, describe, display_name, export_plugin, nearest};

pub use config::Config;

/// A table that has taken a name.
#[derive(Debug)]
struct Holder {
    name: TableName,
    merge: bool,
}

/// The plugin.
#[derive(Debug)]
pub struct MapNames {
    config: Config,
    /// Which table arrives under which new name.
    taken: BTreeMap<String, Vec<Holder>>,
}

impl Plugin for MapNames {
    fn describe() -> Description {
        describe!("renames databases, schemas, tables and columns", include_str!("../config.schema.json"))
    }

    fn configure(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::read(config)?, taken: BTreeMap::new() })
    }

    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        let old = table.table().name.clone();
        let (new, merge) = self.config.table(&old)?;
        self.take(&old, &new, merge)?;
        table.rename_table(new);
        self.columns(table)
    }
}

impl MapNames {
    /// Notes that `old` arrives as `new`; an error when another table does already.
    fn take(&mut self, old: &TableName, new: &TableName, merge: bool) -> Result<(), String> {
        let holders = self.taken.entry(display_name(new)).or_default();
        if holders.iter().any(|holder| holder.name == *old) {
            return Ok(());
        }
        if let Some(holder) = holders.iter().find(|holder| !holder.merge && !merge) {
            return Err(format!(
                "tables {} and {} would both be called {}; give them different names, or say `merge: true` if they are meant to flow together",
                display_name(&holder.name),
                display_name(old),
                display_name(new)
            ));
        }
        holders.push(Holder { name: old.clone(), merge });
        Ok(())
    }

    fn columns(&self, table: &mut TablePlan) -> Result<(), String> {
        let name = table.table().name.clone();
        let old: Vec<String> = table.table().columns.iter().map(|column| column.name.clone()).collect();
        if let Some(missing) = self.config.missing_column(&name, &old) {
            let near = nearest(missing, old.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
            return Err(format!("table {} has no column `{missing}`{}", display_name(&name), near.unwrap_or_default()));
        }
        let mut taken: BTreeMap<String, &str> = BTreeMap::new();
        for (column, new) in old.iter().zip(self.config.columns(&name, &old)?) {
            if let Some(other) = taken.insert(new.clone(), column) {
                return Err(format!("columns `{other}` and `{column}` of table {} would both be called `{new}`", display_name(&name)));
            }
            if new != *column {
                table.rename(column, &new)?;
            }
        }
        Ok(())
    }
}

export_plugin!(MapNames);

#[cfg(test)]
mod tests;
