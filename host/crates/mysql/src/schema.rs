//! The schema of a table as the server's catalogue has it: what a table map does not say of its columns.

use serde::{Deserialize, Serialize};

use super::{
    charset::{Charset, Collations},
    column_type as ct,
    decoder::Special,
    definition::Key,
    internal::{self, Internals},
    native,
    plan::Description,
    table_map::{ColumnMap, TableMap},
};
use sluicegate_model::change::{ColumnInfo, DataType, NativeType, Place};

/// Stands for the key of the column that says when a row of a versioned table ended.
pub(super) const ROW_END: &str = "ROW END";

/// One version of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub(super) struct Schema {
    /// Its columns, in their order.
    pub columns: Vec<CatalogueColumn>,
    /// The character set of columns that come without one.
    pub charset: Option<String>,
    /// Its keys, where all of them are known.
    pub keys: Option<Vec<Key>>,
    /// Whether the columns that the catalogue marks are those of a primary key. Else a unique key may stand in for it.
    pub primary: bool,
    /// Whether it was worked out from a statement in the log; otherwise the catalogue or a dump had it.
    pub applied: bool,
}

/// A schema as it is kept: earlier versions of this program knew columns only.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    Columns(Vec<CatalogueColumn>),
    Table(KeptTable),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptTable {
    columns: Vec<CatalogueColumn>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    charset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    keys: Option<Vec<Key>>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    primary: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    applied: bool,
}

impl From<Kept> for Schema {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Columns(columns) => Self::of(columns),
            Kept::Table(KeptTable { columns, charset, keys, primary, applied }) => Self { columns, charset, keys, primary, applied },
        }
    }
}

impl From<Schema> for Kept {
    fn from(Schema { columns, charset, keys, primary, applied }: Schema) -> Self {
        Self::Table(KeptTable { columns, charset, keys, primary, applied })
    }
}

/// A column as the server's catalogue has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CatalogueColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    #[serde(rename = "declared")]
    pub column_type: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub charset: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub key: String,
    /// Whether it may be NULL; `None` where that is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nullable: Option<bool>,
    /// Bytes of text, at most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<u64>,
}

impl Schema {
    /// Of these columns.
    pub fn of(columns: Vec<CatalogueColumn>) -> Self {
        Self { columns, ..Self::default() }
    }

    /// Whether rows are read by both in the same way, under the same names.
    pub fn reads_like(&self, other: &Self) -> bool {
        let alike = |(one, other): (&CatalogueColumn, &CatalogueColumn)| {
            one.describe() == other.describe()
                && one.native_type() == other.native_type()
                && one.value_type() == other.value_type()
                && (one.key == ROW_END) == (other.key == ROW_END)
        };
        self.columns.len() == other.columns.len() && self.columns.iter().zip(&other.columns).all(alike)
    }

    /// Descriptions of the columns that were logged so, but for the last `hidden` ones, or why this cannot be their schema.
    pub fn describe(&self, map: &TableMap<'_>, hidden: usize, collations: &Collations) -> Result<Vec<Description>, String> {
        let shown = map.columns.len() - hidden;
        if self.columns.len() != shown {
            return Err(format!("the log has {shown} columns, and the schema has {}", self.columns.len()));
        }
        let metadata = &map.metadata;
        for (at, (column, logged)) in self.columns.iter().zip(&map.columns).enumerate() {
            let differs = |what: &str| Err(format!("column {} is {}, and the log has another {what}", column.name, column.column_type));
            if !column.agrees(logged) {
                return differs("type");
            }
            if column.nullable.is_some_and(|nullable| nullable != logged.nullable) {
                return differs("nullability");
            }
            let sign = metadata.unsigned.as_ref().filter(|_| logged.is_numeric() && logged.kind != ct::YEAR);
            if sign.is_some_and(|unsigned| unsigned.get(at).copied() != Some(column.native_type().is_unsigned())) {
                return differs("sign");
            }
            let charset = metadata.collations.get(at).copied().flatten().and_then(|id| collations.charset_name(id));
            if charset.is_some_and(|charset| Charset::named(charset) != Charset::named(column.charset.as_deref().unwrap_or("binary"))) {
                return differs("character set");
            }
            if metadata.names.as_ref().is_some_and(|names| names.get(at).is_none_or(|name| *name != column.name.as_bytes())) {
                return differs("name");
            }
        }
        Ok(self.columns.iter().map(CatalogueColumn::describe).collect())
    }

    /// Whether it has a column that the log of MariaDB never tells from BINARY.
    pub fn is_special(&self) -> bool {
        self.columns.iter().any(|column| {
            let length = column.native_type().length();
            matches!(column.special(), Some(Special::Uuid | Special::Inet4 | Special::Inet6))
                || (column.data_type == "binary" && matches!(length, Some(4 | 16)))
        })
    }

    /// The columns that MariaDB keeps for itself in rows that were logged so.
    pub fn internals(&self, map: &TableMap<'_>) -> Internals {
        let declared: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        let row_end = self.columns.iter().find(|column| column.key == ROW_END).map(|column| column.name.as_str());
        internal::find(map, &declared, row_end)
    }

    /// The columns as the rest of the program sees them, before any of their rows came.
    pub fn columns(&self) -> Vec<ColumnInfo> {
        let column = |column: &CatalogueColumn| ColumnInfo {
            data_type: column.value_type(),
            native_type: column.native_type(),
            nullable: true,
            primary_key: column.key == "PRI",
            place: Place::Value,
            name: column.name.clone(),
        };
        self.columns.iter().map(column).collect()
    }
}

impl CatalogueColumn {
    pub fn special(&self) -> Option<Special> {
        match self.data_type.as_str() {
            "uuid" => Some(Special::Uuid),
            "inet6" => Some(Special::Inet6),
            "inet4" => Some(Special::Inet4),
            "time" | "datetime" | "timestamp" => {
                self.native_type().fraction_digits().and_then(|digits| u8::try_from(digits).ok()).map(Special::Fraction)
            }
            _ => None,
        }
    }

    pub fn native_type(&self) -> NativeType {
        native::of_catalogue(&self.data_type, &self.column_type, self.charset.as_deref())
    }

    /// What its values are, by the name of its type.
    pub fn value_type(&self) -> DataType {
        let unsigned = self.native_type().is_unsigned();
        match self.data_type.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" if !unsigned => DataType::Int64,
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" | "bit" => DataType::UInt64,
            "float" => DataType::Float32,
            "double" => DataType::Float64,
            "decimal" => DataType::Decimal,
            "date" => DataType::Date,
            "time" => DataType::Time,
            "datetime" => DataType::DateTime,
            "timestamp" => DataType::Timestamp,
            "json" => DataType::Json,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "vector" => DataType::Bytes,
            other if native::is_geometry(other) => DataType::Bytes,
            _ => DataType::Text,
        }
    }

    pub fn describe(&self) -> Description {
        let native = self.native_type();
        Description {
            name: self.name.clone(),
            unsigned: native.is_unsigned() || self.data_type == "year",
            charset: self.charset.clone(),
            labels: native.labels().cloned().unwrap_or_default(),
            primary_key: self.key == "PRI",
            special: self.special(),
        }
    }

    /// Whether this column can have been logged so.
    pub fn agrees(&self, logged: &ColumnMap) -> bool {
        let binary = self.charset.as_deref().map(Charset::named).is_none_or(|c| c == Charset::Binary);
        let native = self.native_type();
        let digits = || native.fraction_digits().unwrap_or(0) == u32::from(logged.meta);
        let labels = || native.labels().map(|labels| labels.len());
        match self.data_type.as_str() {
            "tinyint" => logged.kind == ct::TINY,
            "smallint" => logged.kind == ct::SHORT,
            "mediumint" => logged.kind == ct::INT24,
            "int" => logged.kind == ct::LONG,
            "bigint" => logged.kind == ct::LONGLONG,
            "float" => logged.kind == ct::FLOAT,
            "double" => logged.kind == ct::DOUBLE,
            "decimal" => {
                let [precision, scale] = logged.meta.to_be_bytes().map(u32::from);
                logged.kind == ct::NEWDECIMAL && (native.precision(), native.scale()) == (Some(precision), Some(scale))
            }
            "year" => logged.kind == ct::YEAR,
            "date" => matches!(logged.kind, ct::DATE | ct::NEWDATE),
            "time" => (logged.kind == ct::TIME2 && digits()) || logged.kind == ct::TIME,
            "datetime" => (logged.kind == ct::DATETIME2 && digits()) || logged.kind == ct::DATETIME,
            "timestamp" => (logged.kind == ct::TIMESTAMP2 && digits()) || logged.kind == ct::TIMESTAMP,
            "bit" => logged.kind == ct::BIT && native.length().is_none_or(|bits| bits == u32::from(logged.meta)),
            "enum" => logged.kind == ct::ENUM && labels().is_none_or(|labels| logged.meta == if labels < 256 { 1 } else { 2 }),
            "set" => {
                let bytes = |labels: usize| match labels.div_ceil(8) {
                    bytes @ 0..=4 => bytes,
                    _ => 8,
                };
                logged.kind == ct::SET && labels().is_none_or(|labels| usize::from(logged.meta) == bytes(labels))
            }
            "json" => logged.kind == ct::JSON,
            "char" => logged.kind == ct::STRING && !binary && self.fits(logged),
            "uuid" | "inet6" => logged.kind == ct::STRING && binary && logged.meta == 16,
            "inet4" => logged.kind == ct::STRING && binary && logged.meta == 4,
            "binary" => logged.kind == ct::STRING && binary && self.fits(logged),
            "varchar" => matches!(logged.kind, ct::VARCHAR | ct::VAR_STRING | ct::VARCHAR_COMPRESSED) && self.fits(logged),
            "varbinary" => matches!(logged.kind, ct::VARCHAR | ct::VAR_STRING | ct::VARCHAR_COMPRESSED) && binary && self.fits(logged),
            "tinytext" | "text" | "mediumtext" | "longtext" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
                let prefix = match self.data_type.as_str() {
                    "tinytext" | "tinyblob" => 1,
                    "text" | "blob" => 2,
                    "mediumtext" | "mediumblob" => 3,
                    _ => 4,
                };
                ((ct::TINY_BLOB..=ct::BLOB).contains(&logged.kind) && logged.meta == prefix) || logged.kind == ct::BLOB_COMPRESSED
            }
            // MariaDB stores it as bytes of a variable length
            "vector" => matches!(logged.kind, ct::VECTOR | ct::VARCHAR),
            _ => logged.kind == ct::GEOMETRY,
        }
    }

    /// Whether its text has as many bytes at most as it was logged with.
    fn fits(&self, logged: &ColumnMap) -> bool {
        // one byte more says how a value is compressed
        let head = u64::from(logged.kind == ct::VARCHAR_COMPRESSED);
        self.bytes.is_none_or(|bytes| bytes + head == u64::from(logged.meta))
    }
}
