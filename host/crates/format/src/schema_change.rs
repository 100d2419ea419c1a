//! The record of a statement that changed a schema.
//!
//! | format | record |
//! |---|---|
//! | `debezium`, `debezium-flattened` | Debezium's schema change event: `source`, `ts_ms`, `databaseName`, `schemaName`, `ddl`, `tableChanges` (Debezium documentation, "MySQL connector", "Schema change topic") |
//! | `flat` | `_op` is `s`, the members of the place follow, and `_ddl` |
//! | `canal` | `isDdl` is true, `sql` the statement, `type` `CREATE`, `ALTER`, `ERASE` or `RENAME` (`QUERY` for a database) |
//!
//! In `tableChanges`, `nativeType`, `autoIncremented` and `generated` are null: they are not known of every version of a table. A table whose
//! columns are not known for sure has no entry there.

use serde_json::{Value, json};

use super::{
    debezium::Source,
    format_options::Options,
    head::Stamp,
    json::{signed, unsigned},
};
use sluicegate_config::RecordFormat;
use sluicegate_model::{
    change::{ColumnInfo, DataType, Place, SchemaChange, SchemaEffect, SchemaStatement, Table, write_timestamp},
    json::string,
};

/// Appends the record; appends nothing where the format has none.
pub(super) fn write(options: &Options, change: &SchemaChange, statement: &SchemaStatement, now_us: i64, out: &mut Vec<u8>) {
    let stamp = Stamp::of_event(&statement.event, &statement.transaction);
    match options.format.record {
        RecordFormat::Debezium | RecordFormat::DebeziumFlattened => debezium(options, change, statement, &stamp, now_us, out),
        RecordFormat::Flat => flat(change, statement, &stamp, out),
        RecordFormat::Canal => canal(change, statement, &stamp, now_us, out),
        _ => {}
    }
}

/// Appends the key of the record: the database.
pub(super) fn key(options: &Options, change: &SchemaChange, out: &mut Vec<u8>) {
    let key = json!({ "databaseName": change.name.database });
    let schema = json!({ "type": "struct", "fields": [field("string", false, "databaseName")], "optional": false,
        "name": "io.debezium.connector.mysql.SchemaChangeKey", "version": 1 });
    out.extend_from_slice(wrapped(options, schema, key).to_string().as_bytes());
}

fn wrapped(options: &Options, schema: Value, payload: Value) -> Value {
    if options.format.schemas { json!({ "schema": schema, "payload": payload }) } else { payload }
}

fn field(of: &str, optional: bool, name: &str) -> Value {
    json!({ "type": of, "optional": optional, "field": name })
}

fn debezium(options: &Options, change: &SchemaChange, statement: &SchemaStatement, stamp: &Stamp<'_>, now_us: i64, out: &mut Vec<u8>) {
    if options.format.schemas {
        out.extend_from_slice(b"{\"schema\":");
        out.extend_from_slice(envelope_schema().to_string().as_bytes());
        out.extend_from_slice(b",\"payload\":");
    }
    // the block begins with a comma
    let start = out.len();
    Source::of(&change.name, &options.origin).write(stamp, out);
    if let Some(comma) = out.get_mut(start) {
        *comma = b'{';
    }
    out.extend_from_slice(b"0,\"thread\":null,\"query\":null},\"ts_ms\":");
    signed(now_us.div_euclid(1000), out);
    out.extend_from_slice(b",\"databaseName\":");
    string(change.name.database.as_bytes(), out);
    out.extend_from_slice(b",\"schemaName\":null,\"ddl\":");
    string(statement.text.as_bytes(), out);
    out.extend_from_slice(b",\"tableChanges\":");
    out.extend_from_slice(Value::from_iter(table_change(change)).to_string().as_bytes());
    out.push(b'}');
    if options.format.schemas {
        out.push(b'}');
    }
}

/// The entry of `tableChanges`, where the table is known.
fn table_change(change: &SchemaChange) -> Option<Value> {
    let id = |database: &str, table: &str| format!("\"{database}\".\"{table}\"");
    let before = id(&change.name.database, &change.name.table);
    let kind = match change.effect {
        SchemaEffect::Created => "CREATE",
        SchemaEffect::Altered | SchemaEffect::Renamed => "ALTER",
        SchemaEffect::Dropped => return Some(json!({ "type": "DROP", "id": before, "table": null })),
    };
    let table = change.table.as_deref()?;
    let after = id(&table.name.database, &table.name.table);
    let mut entry = json!({ "type": kind, "id": after, "table": described(table) });
    if change.effect == SchemaEffect::Renamed {
        entry["previousId"] = before.into();
    }
    Some(entry)
}

fn described(table: &Table) -> Value {
    let columns = || table.columns.iter().filter(|column| column.place == Place::Value);
    let keys: Vec<&str> = columns().filter(|column| column.primary_key).map(|column| column.name.as_str()).collect();
    let described: Vec<Value> = columns()
        .enumerate()
        .map(|(i, column)| {
            let native = &column.native_type;
            let name = format!("{}{}", native.name().to_uppercase(), if native.is_unsigned() { " UNSIGNED" } else { "" });
            json!({
                "name": column.name,
                "jdbcType": jdbc(column),
                "nativeType": null,
                "typeName": &name,
                "typeExpression": &name,
                "charsetName": native.character_set(),
                "length": native.precision().or(native.length()).or(native.fraction_digits()),
                "scale": native.scale(),
                "position": i + 1,
                "optional": column.nullable && !column.primary_key,
                "autoIncremented": null,
                "generated": null,
                "enumValues": native.labels().map(|labels| labels.iter().map(|label| format!("'{label}'")).collect::<Vec<_>>()),
            })
        })
        .collect();
    json!({ "defaultCharsetName": null, "primaryKeyColumnNames": keys, "columns": described })
}

/// The number of JDBC's type (`java.sql.Types`) that Debezium gives a column.
fn jdbc(column: &ColumnInfo) -> i64 {
    match column.native_type.name() {
        "bit" => -7,
        "tinyint" | "smallint" => 5,
        "mediumint" | "int" | "year" => 4,
        "bigint" => -5,
        "decimal" => 3,
        "float" => 6,
        "double" => 8,
        "char" | "enum" | "set" => 1,
        "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => 12,
        "tinyblob" | "blob" | "mediumblob" | "longblob" => 2004,
        "binary" => -2,
        "varbinary" => -3,
        "date" => 91,
        "time" => 92,
        "datetime" => 93,
        "timestamp" => 2014,
        _ => match column.data_type {
            DataType::Text => 12,
            DataType::Bytes => -2,
            _ => 1111,
        },
    }
}

/// The schema of the event, as Debezium's MySQL connector has it.
fn envelope_schema() -> Value {
    let text = |optional, name| field("string", optional, name);
    let list = |items: Value, name: &str| json!({ "type": "array", "items": items, "optional": true, "field": name });
    let word = json!({ "type": "string", "optional": false });
    let column = json!({ "type": "struct", "fields": [
        text(false, "name"), field("int32", false, "jdbcType"), field("int32", true, "nativeType"), text(false, "typeName"),
        text(true, "typeExpression"), text(true, "charsetName"), field("int32", true, "length"), field("int32", true, "scale"),
        field("int32", false, "position"), field("boolean", true, "optional"), field("boolean", true, "autoIncremented"),
        field("boolean", true, "generated"), list(word.clone(), "enumValues"),
    ], "optional": false, "name": "io.debezium.connector.schema.Column", "version": 1 });
    let table = json!({ "type": "struct", "fields": [
        text(true, "defaultCharsetName"), list(word, "primaryKeyColumnNames"), list(column, "columns"),
    ], "optional": true, "name": "io.debezium.connector.schema.Table", "version": 1, "field": "table" });
    let entry = json!({ "type": "struct", "fields": [text(false, "type"), text(false, "id"), table, text(true, "previousId")],
        "optional": false, "name": "io.debezium.connector.schema.Change", "version": 1 });
    let number = |of: &str, optional, name: &str| field(of, optional, name);
    let source = json!({ "type": "struct", "fields": [
        text(false, "version"), text(false, "connector"), text(false, "name"), number("int64", false, "ts_ms"), text(true, "snapshot"),
        text(false, "db"), text(true, "sequence"), number("int64", true, "ts_us"), number("int64", true, "ts_ns"), text(true, "table"),
        number("int64", false, "server_id"), text(true, "gtid"), text(false, "file"), number("int64", false, "pos"),
        number("int32", false, "row"), number("int64", true, "thread"), text(true, "query"),
    ], "optional": false, "name": "io.debezium.connector.mysql.Source", "version": 1, "field": "source" });
    json!({ "type": "struct", "fields": [
        source, number("int64", false, "ts_ms"), text(true, "databaseName"), text(true, "schemaName"), text(true, "ddl"),
        { "type": "array", "items": entry, "optional": false, "field": "tableChanges" },
    ], "optional": false, "name": "io.debezium.connector.mysql.SchemaChangeValue", "version": 1 })
}

fn flat(change: &SchemaChange, statement: &SchemaStatement, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"_op\":\"s\",\"_database\":");
    string(change.name.database.as_bytes(), out);
    if !change.name.table.is_empty() {
        out.extend_from_slice(b",\"_table\":");
        string(change.name.table.as_bytes(), out);
    }
    out.extend_from_slice(b",\"_ts\":\"");
    write_timestamp(stamp.time_us, out);
    out.push(b'"');
    if let Some(id) = stamp.id {
        out.extend_from_slice(b",\"_gtid\":");
        string(id.as_bytes(), out);
    }
    out.extend_from_slice(b",\"_file\":");
    string(stamp.file.as_bytes(), out);
    out.extend_from_slice(b",\"_pos\":");
    unsigned(stamp.position, out);
    out.extend_from_slice(b",\"_row\":");
    unsigned(statement.number.into(), out);
    out.extend_from_slice(b",\"_ddl\":");
    string(statement.text.as_bytes(), out);
    out.push(b'}');
}

fn canal(change: &SchemaChange, statement: &SchemaStatement, stamp: &Stamp<'_>, now_us: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"data\":null,\"database\":");
    string(change.name.database.as_bytes(), out);
    out.extend_from_slice(b",\"es\":");
    signed(stamp.time_us.div_euclid(1000), out);
    out.extend_from_slice(b",\"gtid\":");
    string(stamp.id.unwrap_or_default().as_bytes(), out);
    out.extend_from_slice(b",\"id\":");
    unsigned(stamp.position, out);
    out.extend_from_slice(b",\"isDdl\":true,\"mysqlType\":null,\"old\":null,\"pkNames\":null,\"sql\":");
    string(statement.text.as_bytes(), out);
    out.extend_from_slice(b",\"sqlType\":null,\"table\":");
    string(change.name.table.as_bytes(), out);
    out.extend_from_slice(b",\"ts\":");
    signed(now_us.div_euclid(1000), out);
    let kind = match change.effect {
        _ if change.name.table.is_empty() => "QUERY",
        SchemaEffect::Created => "CREATE",
        SchemaEffect::Altered => "ALTER",
        SchemaEffect::Renamed => "RENAME",
        SchemaEffect::Dropped => "ERASE",
    };
    out.extend_from_slice(b",\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\"}");
}
