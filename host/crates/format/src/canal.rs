//! Canal's flat JSON (`FlatMessage`; its members in the order of the alphabet, as fastjson writes them), a row a message.
//!
//! All values are strings, bytes as the characters of the same numbers (ISO 8859-1), as Canal has them.

use super::{
    form::Form,
    format_options::fields,
    head::Stamp,
    json::{signed, unsigned},
    record::{Context, Record, Written},
    row::{Misfit, Row, close},
};
use sluicegate_model::{
    Result,
    change::{ColumnInfo, DataType, NO_IMAGE, Operation, Place, Table},
    json::string,
};

/// The form in which Canal writes a column.
fn form(column: &ColumnInfo) -> Form {
    match column.data_type {
        DataType::Timestamp => Form::SqlInstant,
        DataType::Bytes => Form::Latin1,
        _ => Form::Text,
    }
}

/// The records of a table version.
pub(super) struct Canal {
    row: Row,
    /// `,"database":…,"es":`
    database: Vec<u8>,
    /// `,"mysqlType":{…},"old":`
    types: Vec<u8>,
    /// `,"pkNames":[…],"sql":`
    keys: Vec<u8>,
    /// `,"sqlType":{…},"table":…,"ts":`
    table: Vec<u8>,
    name: String,
    now_us: i64,
    /// The member that tells the plugins' versions, with the comma in front; or nothing.
    versions: Vec<u8>,
}

impl Canal {
    pub(super) fn new(table: &Table) -> Self {
        let columns = || table.columns.iter().filter(|column| column.place == Place::Value);
        let mut database = b",\"database\":".to_vec();
        string(table.name.database.as_bytes(), &mut database);
        database.extend_from_slice(b",\"es\":");
        let mut types = b",\"mysqlType\":".to_vec();
        members(columns(), &mut types, |column, out| string(column.native_type.to_string().as_bytes(), out));
        types.extend_from_slice(b",\"old\":");
        let mut keys = b",\"pkNames\":".to_vec();
        let names: Vec<&str> = columns().filter(|column| column.primary_key).map(|column| column.name.as_str()).collect();
        if names.is_empty() {
            keys.extend_from_slice(b"null");
        }
        for (i, name) in names.iter().enumerate() {
            keys.push(if i == 0 { b'[' } else { b',' });
            string(name.as_bytes(), &mut keys);
        }
        if !names.is_empty() {
            keys.push(b']');
        }
        keys.extend_from_slice(b",\"sql\":");
        let mut sql_types = b",\"sqlType\":".to_vec();
        members(columns(), &mut sql_types, |column, out| signed(jdbc(column), out));
        sql_types.extend_from_slice(b",\"table\":");
        string(table.name.table.as_bytes(), &mut sql_types);
        sql_types.extend_from_slice(b",\"ts\":");
        Self {
            row: Row::new(fields(table, |_| true, str::to_owned), table, form),
            database,
            types,
            keys,
            table: sql_types,
            name: table.name.table.clone(),
            now_us: 0,
            versions: Vec::new(),
        }
    }

    /// From the database to `isDdl`.
    fn place(&self, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.database);
        signed(stamp.time_us.div_euclid(1000), out);
        out.extend_from_slice(b",\"gtid\":");
        string(stamp.id.unwrap_or_default().as_bytes(), out);
        out.extend_from_slice(b",\"id\":");
        unsigned(stamp.position, out);
        out.extend_from_slice(b",\"isDdl\":");
    }

    fn end(&self, kind: &[u8], out: &mut Vec<u8>) {
        signed(self.now_us.div_euclid(1000), out);
        out.extend_from_slice(b",\"type\":\"");
        out.extend_from_slice(kind);
        out.push(b'"');
        out.extend_from_slice(&self.versions);
        out.push(b'}');
    }
}

/// Appends an object with a member for each column.
fn members<'a>(columns: impl Iterator<Item = &'a ColumnInfo>, out: &mut Vec<u8>, value: impl Fn(&ColumnInfo, &mut Vec<u8>)) {
    let start = out.len();
    for column in columns {
        out.push(b',');
        string(column.name.as_bytes(), out);
        out.push(b':');
        value(column, out);
    }
    close(start, out);
}

/// The number of JDBC's type (`java.sql.Types`) that Canal gives a column.
fn jdbc(column: &ColumnInfo) -> i64 {
    match column.native_type.name() {
        "bit" => -7,
        "tinyint" => -6,
        "smallint" => 5,
        "mediumint" | "int" => 4,
        "bigint" => -5,
        "decimal" => 3,
        "float" => 7,
        "double" => 8,
        "char" | "uuid" | "inet4" | "inet6" => 1,
        "date" => 91,
        "time" => 92,
        "datetime" | "timestamp" => 93,
        "tinytext" | "text" | "mediumtext" | "longtext" => 2005,
        "tinyblob" | "blob" | "mediumblob" | "longblob" => 2004,
        "binary" | "geometry" | "vector" => -2,
        "varbinary" => -3,
        "enum" => 4,
        "set" => -7,
        "varchar" | "year" | "json" => 12,
        _ => match column.data_type {
            DataType::Boolean => 16,
            DataType::Int64 | DataType::UInt64 => -5,
            DataType::Float32 => 7,
            DataType::Float64 => 8,
            DataType::Decimal => 3,
            DataType::Bytes => -3,
            DataType::Date => 91,
            DataType::Time => 92,
            DataType::DateTime | DataType::Timestamp => 93,
            DataType::Text | DataType::Json => 12,
        },
    }
}

impl Record for Canal {
    fn versions(&mut self, versions: Option<&str>) {
        self.versions.clear();
        if let Some(versions) = versions {
            self.versions.extend_from_slice(b",\"plugins\":");
            string(versions.as_bytes(), &mut self.versions);
        }
    }

    fn begin(&mut self, now_us: i64) {
        self.now_us = now_us;
    }

    fn write(&mut self, context: &Context<'_>, out: &mut Vec<u8>) -> Result<Written, Misfit> {
        let Context { rows, change, stamp, .. } = context;
        out.extend_from_slice(b"{\"data\":[");
        let image = if change.after == NO_IMAGE { change.before } else { change.after };
        self.row.object(&rows.columns, image, out)?;
        out.push(b']');
        self.place(stamp, out);
        out.extend_from_slice(b"false");
        out.extend_from_slice(&self.types);
        if change.operation == Operation::Update {
            out.push(b'[');
            let start = out.len();
            if change.before != NO_IMAGE && change.after != NO_IMAGE {
                self.row.changed(&rows.columns, change.before, change.after, out)?;
            }
            close(start, out);
            out.push(b']');
        } else {
            out.extend_from_slice(b"null");
        }
        out.extend_from_slice(&self.keys);
        out.extend_from_slice(b"\"\"");
        out.extend_from_slice(&self.table);
        let kind: &[u8] = match change.operation {
            Operation::Snapshot | Operation::Insert => b"INSERT",
            Operation::Update => b"UPDATE",
            Operation::Delete => b"DELETE",
        };
        self.end(kind, out);
        Ok(Written::Record)
    }

    fn truncate(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(b"{\"data\":null");
        self.place(stamp, out);
        out.extend_from_slice(b"true,\"mysqlType\":null,\"old\":null,\"pkNames\":null,\"sql\":");
        string(format!("TRUNCATE TABLE `{}`", self.name.replace('`', "``")).as_bytes(), out);
        out.extend_from_slice(b",\"sqlType\":null,\"table\":");
        string(self.name.as_bytes(), out);
        out.extend_from_slice(b",\"ts\":");
        self.end(b"TRUNCATE", out);
        Ok(())
    }
}
