//! Tells which tables a swap delivers under another name or with other columns.

use std::sync::Arc;

use crate::request::Taken;
use sluicegate_model::change::Table;
use sluicegate_plugin_host::{Chain, KnownTables};
use sluicegate_status::Status;

/// A known table, as a chain delivers it.
pub(super) struct Delivered {
    source: Arc<Table>,
    delivered: Arc<Table>,
}

/// How `chain` delivers every known table.
pub(super) fn delivered(chain: &mut Chain, known: &KnownTables) -> sluicegate_model::Result<Vec<Delivered>> {
    known.all().into_iter().map(|source| Ok(Delivered { delivered: chain.delivered(&source)?, source })).collect()
}

/// What differs between two versions of a delivered table.
#[derive(Debug, Default, PartialEq, Eq)]
struct SchemaChange {
    added: Vec<String>,
    removed: Vec<String>,
    /// Columns that keep their name, but not their type, key, place or nullability.
    changed: Vec<String>,
}

/// Logs and counts the tables that `old` delivered otherwise.
pub(super) fn announce(old: &mut Chain, new: &[Delivered], taken: &Taken, status: &Status) {
    for Delivered { source, delivered } in new {
        let before = match old.delivered(source) {
            Ok(before) => before,
            Err(error) => {
                // the old chain never planned it: there is nothing to compare with
                tracing::debug!(table = %source.name, error = %error.chain(), "the old chain did not deliver this table");
                continue;
            }
        };
        if before == *delivered {
            continue;
        }
        status.schema_changes.add(1);
        let change = difference(&before, delivered);
        tracing::warn!(
            table = %source.name, from = %before.name, to = %delivered.name,
            added = change.added.join(", "), removed = change.removed.join(", "), changed = change.changed.join(", "),
            changes = taken.changes, position = %taken.position,
            "schema change: the swap delivers this table otherwise"
        );
    }
}

fn difference(old: &Table, new: &Table) -> SchemaChange {
    let lacking = |of: &Table, other: &Table| -> Vec<String> {
        of.columns.iter().filter(|c| other.columns.iter().all(|o| o.name != c.name)).map(|c| c.name.clone()).collect()
    };
    let changed = new.columns.iter().filter(|c| old.columns.iter().any(|o| o.name == c.name && o != *c));
    SchemaChange { added: lacking(new, old), removed: lacking(old, new), changed: changed.map(|c| c.name.clone()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::change::{ColumnInfo, DataType, NativeType, Place, TableName};

    fn table(columns: &[(&str, DataType)]) -> Table {
        let column = |(name, data_type): &(&str, DataType)| ColumnInfo {
            name: (*name).to_owned(),
            data_type: *data_type,
            native_type: NativeType::default(),
            nullable: true,
            primary_key: false,
            place: Place::Value,
        };
        Table { name: TableName::new("shop", "orders"), destination: None, columns: columns.iter().map(column).collect() }
    }

    #[test]
    fn columns_added_removed_and_changed_are_told_apart() {
        let old = table(&[("id", DataType::Int64), ("email", DataType::Text), ("note", DataType::Text)]);
        let new = table(&[("id", DataType::Text), ("note", DataType::Text), ("version", DataType::Text)]);
        let told = SchemaChange { added: vec!["version".into()], removed: vec!["email".into()], changed: vec!["id".into()] };
        assert_eq!(difference(&old, &new), told);
        assert_eq!(difference(&old, &old), SchemaChange::default());
    }
}
