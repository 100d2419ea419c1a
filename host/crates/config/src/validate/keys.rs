//! Keys and partitions of a Kafka sink's records.

use super::{
    super::{
        keys::{KeyColumns, PartitionBy, RecordKeys, TableKeys},
        raw::{RawColumns, RawKeyWord, RawPartitionWord, RawTableKeys},
    },
    check::Check,
};

/// Rules for some tables, at most.
const MOST_RULES: usize = 1000;

impl Check<'_> {
    pub(super) fn keys(
        &mut self,
        path: &str,
        key: Option<RawColumns<RawKeyWord>>,
        partition_by: Option<RawColumns<RawPartitionWord>>,
        per_table: Vec<RawTableKeys>,
    ) -> RecordKeys {
        if per_table.len() > MOST_RULES {
            self.refuse(format!("{path}.per_table"), format!("there are {} entries", per_table.len()), format!("use at most {MOST_RULES}"));
        }
        let mut rules = Vec::new();
        for (i, raw) in per_table.into_iter().enumerate() {
            let path = format!("{path}.per_table[{i}]");
            if raw.key.is_none() && raw.partition_by.is_none() {
                self.refuse(&path, "it says nothing of its tables", "add `key` or `partition_by`, or remove it");
            }
            rules.push(TableKeys {
                tables: self.tables(&format!("{path}.tables"), &raw.tables),
                key: raw.key.map(|raw| self.key(&path, raw)),
                partition_by: raw.partition_by.map(|raw| self.partition_by(&path, raw)),
            });
        }
        RecordKeys {
            key: key.map(|raw| self.key(path, raw)).unwrap_or_default(),
            partition_by: partition_by.map(|raw| self.partition_by(path, raw)).unwrap_or_default(),
            per_table: rules,
        }
    }

    fn key(&mut self, path: &str, raw: RawColumns<RawKeyWord>) -> KeyColumns {
        match raw {
            RawColumns::Word(RawKeyWord::PrimaryKey) => KeyColumns::Primary,
            RawColumns::Word(RawKeyWord::None) => KeyColumns::None,
            RawColumns::Columns(columns) => KeyColumns::Columns(self.columns(&format!("{path}.key"), columns)),
        }
    }

    fn partition_by(&mut self, path: &str, raw: RawColumns<RawPartitionWord>) -> PartitionBy {
        match raw {
            RawColumns::Word(RawPartitionWord::Key) => PartitionBy::Key,
            RawColumns::Word(RawPartitionWord::One) => PartitionBy::One,
            RawColumns::Columns(columns) => PartitionBy::Columns(self.columns(&format!("{path}.partition_by"), columns)),
        }
    }

    fn columns(&mut self, path: &str, columns: Vec<String>) -> Vec<String> {
        if columns.is_empty() || columns.iter().any(String::is_empty) {
            self.refuse(path, "a column's name is missing", "write the names of columns as they are delivered: `[customer_id]`");
        } else if columns.iter().enumerate().any(|(i, column)| columns[..i].contains(column)) {
            self.refuse(path, "a column stands twice", "remove one of the two");
        }
        columns
    }
}
