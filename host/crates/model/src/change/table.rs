//! Tables and their columns, as the source describes them and as plugins rename them.

use std::fmt;

use sluicegate_table_pattern::{Name, name_parts};

use super::NativeType;

/// What a value is. The textual kinds (decimal, date, time, datetime, timestamp, json) are carried as UTF-8 text in a
/// canonical form, so that no precision is lost on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    /// One byte a row, 0 or 1.
    Boolean,
    /// Signed integers of every width.
    Int64,
    /// Unsigned integers of every width; 64-bit values stay exact.
    UInt64,
    /// Single precision, printed with the shortest text that reads back the same.
    Float32,
    /// Double precision.
    Float64,
    /// Exact decimal, as text: `-12.50`.
    Decimal,
    /// UTF-8 text.
    Text,
    /// Raw bytes.
    Bytes,
    /// `2024-02-29`, zero parts kept.
    Date,
    /// A duration or time of day, `-838:59:59.000000`.
    Time,
    /// Date and time without a zone, `2024-02-29 13:14:15.123456`.
    DateTime,
    /// An instant in UTC, `2024-02-29T13:14:15.123456Z`.
    Timestamp,
    /// A JSON document, as text.
    Json,
}

impl DataType {
    /// Whether values of this type stand in [`Values::Text`](super::Values::Text).
    pub fn is_textual(self) -> bool {
        use DataType::*;
        matches!(self, Decimal | Text | Date | Time | DateTime | Timestamp | Json)
    }
}

/// A table's name. SQL Server has schemas, MySQL and MariaDB have none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct TableName {
    /// The database (MySQL: also called schema).
    pub database: String,
    /// The schema inside the database, where the source has such a thing.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
}

impl TableName {
    /// A name without a schema.
    pub fn new(database: impl Into<String>, table: impl Into<String>) -> Self {
        Self { database: database.into(), schema: None, table: table.into() }
    }

    /// The table whose copy a table is, by the names that gh-ost and pt-online-schema-change give.
    pub fn copied_from(&self) -> Option<Self> {
        self.without(&["_gho", "_new"])
    }

    /// The table that such a tool changes, of whose helper tables a table is by its name: the copy, what the tool notes, and the table as it
    /// was before.
    pub fn helps(&self) -> Option<Self> {
        self.without(&["_gho", "_ghc", "_del", "_new", "_old"])
    }

    fn without(&self, ends: &[&str]) -> Option<Self> {
        let name = self.table.strip_prefix('_')?;
        let name = ends.iter().find_map(|end| name.strip_suffix(end))?;
        // pt-online-schema-change puts more of them before a name that is taken
        let name = name.trim_start_matches('_');
        (!name.is_empty()).then(|| Self { table: name.to_owned(), ..self.clone() })
    }
}

impl TableName {
    /// A name as it is displayed; `None` when the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        match name_parts(text).ok()?.as_slice() {
            [database, table] => Some(Self::new(database, table)),
            [database, schema, table] => Some(Self { database: database.clone(), schema: Some(schema.clone()), table: table.clone() }),
            _ => None,
        }
    }
}

impl<'a> From<&'a TableName> for Name<'a> {
    fn from(name: &'a TableName) -> Self {
        Self { database: &name.database, schema: name.schema.as_deref(), table: &name.table }
    }
}

impl fmt::Display for TableName {
    /// As a table pattern takes it: with backticks around a part that holds a dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Name::from(self).fmt(f)
    }
}

/// Where a column's values are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the record itself. Everything that a source sends is of this kind.
    #[default]
    Value,
    /// As a header of the record, under the column's name; a null sets no header.
    Header,
    /// As the record's destination in place of the table's: text, at most one such column for a table; a null leaves the table's.
    Destination,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ColumnInfo {
    /// The column's name.
    pub name: String,
    /// What its values are.
    pub data_type: DataType,
    /// The source's own type, e.g. `decimal(12,2)`; empty for a computed column.
    pub native_type: NativeType,
    /// Whether it may hold NULL.
    pub nullable: bool,
    /// Whether it belongs to the primary key.
    pub primary_key: bool,
    /// Where its values are delivered.
    pub place: Place,
}

/// A table in one version of its schema. Shared by `Arc`: two batches hold the same version when the pointers are equal.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Where its records go, if not where the sink's own template says: a Kafka topic, a folder of the file sink. Only plugins set it.
    pub destination: Option<String>,
    /// Its columns, in the source's order.
    pub columns: Vec<ColumnInfo>,
}

impl Table {
    /// Indices of the primary key's columns, in column order; empty for a keyless table. A column that is delivered
    /// elsewhere than in the record is in no key.
    pub fn key(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().enumerate().filter(|(_, c)| c.primary_key && c.place == Place::Value).map(|(i, _)| i)
    }

    /// Whether the table has a primary key.
    pub fn has_key(&self) -> bool {
        self.key().next().is_some()
    }

    /// Index of the column that holds the destinations of the rows, if there is one.
    pub fn destination_column(&self) -> Option<usize> {
        self.columns.iter().position(|c| c.place == Place::Destination)
    }

    /// Whether any column is delivered as a header.
    pub fn has_headers(&self) -> bool {
        self.columns.iter().any(|c| c.place == Place::Header)
    }
}
