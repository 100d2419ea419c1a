//! What identifies a record in Kafka, and what decides its partition, for each table.

use sluicegate_table_pattern::{Name, TablePatterns};

/// What the key of a table's records is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyColumns {
    /// The primary key.
    #[default]
    Primary,
    /// There is none.
    None,
    /// These columns, by the names under which they are delivered.
    Columns(Vec<String>),
}

/// What decides the partition of a table's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PartitionBy {
    /// Their key.
    #[default]
    Key,
    /// Nothing: all go to the first one.
    One,
    /// These columns, by the names under which they are delivered.
    Columns(Vec<String>),
}

/// What is otherwise for some tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableKeys {
    /// The tables, by the names under which they are delivered.
    pub tables: TablePatterns,
    /// The key of their records, if it is another one.
    pub key: Option<KeyColumns>,
    /// What decides their partition, if it is something else.
    pub partition_by: Option<PartitionBy>,
}

/// Keys and partitions of a sink's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordKeys {
    /// The key.
    pub key: KeyColumns,
    /// What decides the partition.
    pub partition_by: PartitionBy,
    /// Some tables: the first that selects a table and says something counts.
    pub per_table: Vec<TableKeys>,
}

impl RecordKeys {
    /// The key of a table's records.
    pub fn key<'n>(&self, table: impl Into<Name<'n>>) -> &KeyColumns {
        let table = table.into();
        self.per_table.iter().filter(|rule| rule.tables.selects(table)).find_map(|rule| rule.key.as_ref()).unwrap_or(&self.key)
    }

    /// What decides the partition of a table's records.
    pub fn partition_by<'n>(&self, table: impl Into<Name<'n>>) -> &PartitionBy {
        let table = table.into();
        let rules = self.per_table.iter().filter(|rule| rule.tables.selects(table));
        rules.into_iter().find_map(|rule| rule.partition_by.as_ref()).unwrap_or(&self.partition_by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_says_something_of_a_table_counts() {
        let rule = |tables: &str, key: Option<KeyColumns>, partition_by: Option<PartitionBy>| TableKeys {
            tables: TablePatterns::new(&[tables]).unwrap(),
            key,
            partition_by,
        };
        let columns = || KeyColumns::Columns(vec!["a".into()]);
        let keys = RecordKeys {
            partition_by: PartitionBy::One,
            per_table: vec![
                rule("shop.orders", None, Some(PartitionBy::Key)),
                rule("shop.*", Some(columns()), None),
                rule("*", Some(KeyColumns::None), None),
            ],
            ..RecordKeys::default()
        };
        let of = |table: &'static str| {
            let name = Name { database: "shop", schema: None, table };
            (keys.key(name).clone(), keys.partition_by(name).clone())
        };
        assert_eq!(of("orders"), (columns(), PartitionBy::Key));
        assert_eq!(of("lines"), (columns(), PartitionBy::One));
        let log = Name { database: "log", schema: None, table: "x" };
        assert_eq!((keys.key(log), keys.partition_by(log)), (&KeyColumns::None, &PartitionBy::One));
    }
}
