//! Records of changed schemas.

use super::*;
use sluicegate_model::change::{SchemaChange, SchemaEffect, SchemaStatement};

fn change(effect: SchemaEffect, table: Option<Arc<Table>>, text: &str) -> SchemaChange {
    let event = Event { position: 219, time_us: TIME, server_id: 223_344, ..Event::default() };
    let transaction = Transaction { file: "mysql-bin.000003".into(), position: 154, ..Transaction::default() };
    SchemaChange {
        name: TableName::new("inventory", "customers"),
        effect,
        table,
        statement: Some(Box::new(SchemaStatement { text: text.into(), number: 0, event, transaction })),
    }
}

/// As in Debezium's documentation of the topic of schema changes.
fn customers(name: &str) -> Arc<Table> {
    let typed = |name: &str, native: &str, data_type| ColumnInfo {
        native_type: NativeType::parse(native).in_character_set((data_type == DataType::Text).then_some("utf8mb4")),
        ..column(name, data_type)
    };
    let columns = vec![
        typed("id", "int", DataType::Int64),
        typed("first_name", "varchar(255)", DataType::Text),
        typed("paid", "decimal(12,2)", DataType::Decimal),
        typed("rank", "enum('a','b')", DataType::Text),
        typed("n", "bigint unsigned", DataType::UInt64),
    ];
    Arc::new(Table { name: TableName::new("inventory", name), destination: None, columns })
}

fn told(format: impl Into<Settings>, change: &SchemaChange) -> String {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    assert!(json_format(format).with_schema_changes().encoder().schema_change(change, &mut key, &mut value));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    format!("{}\n{}", text(key), text(value)).replace(concat!("\"", env!("CARGO_PKG_VERSION"), "\""), "\"VERSION\"")
}

#[test]
fn heartbeats_are_those_of_debezium() {
    let beat = |format: RecordFormat, schemas: bool| {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let has = json_format(Settings { schemas, ..format.into() }).encoder().heartbeat(&mut key, &mut value);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        has.then(|| format!("{}\n{}", text(key), text(value)))
    };
    let plain = beat(RecordFormat::Debezium, false).unwrap();
    assert_eq!(beat(RecordFormat::Flat, false), Some(plain.clone()));
    insta::assert_snapshot!(plain, @r#"
    {"serverName":"shop"}
    {"ts_ms":1709212456123}
    "#);
    let described = beat(RecordFormat::Debezium, true).unwrap();
    let [key, value] = described.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>().try_into().unwrap();
    let schema = |name: &str, of: &str, field: &str| {
        let field = json!({ "type": of, "optional": false, "field": field });
        json!({ "type": "struct", "fields": [field], "optional": false, "name": format!("io.debezium.connector.common.{name}"), "version": 1 })
    };
    assert_eq!(key, json!({ "schema": schema("ServerNameKey", "string", "serverName"), "payload": { "serverName": "shop" } }));
    assert_eq!(value, json!({ "schema": schema("Heartbeat", "int64", "ts_ms"), "payload": { "ts_ms": 1_709_212_456_123_i64 } }));
    assert_eq!(beat(RecordFormat::Csv, false), None);
}

#[test]
fn debezium_tells_the_statement_and_what_became_of_the_table() {
    let statement = "ALTER TABLE customers ADD middle_name varchar(255) AFTER first_name";
    insta::assert_snapshot!(told(RecordFormat::Debezium, &change(SchemaEffect::Altered, Some(customers("customers")), statement)));
    insta::assert_snapshot!(told(RecordFormat::Debezium, &change(SchemaEffect::Dropped, None, "DROP TABLE customers")));
    let renamed =
        told(RecordFormat::Debezium, &change(SchemaEffect::Renamed, Some(customers("people")), "RENAME TABLE customers TO people"));
    assert!(renamed.contains(r#""previousId":"\"inventory\".\"customers\"""#) && renamed.contains(r#""id":"\"inventory\".\"people\"""#));
    // what is not known is not made up
    let unknown = told(RecordFormat::Debezium, &change(SchemaEffect::Altered, None, statement));
    assert!(unknown.ends_with(r#""tableChanges":[]}"#), "{unknown}");
}

#[test]
fn flat_and_canal_tell_the_statement() {
    let change = change(SchemaEffect::Created, Some(customers("customers")), "CREATE TABLE `customers` (id INT, \"q\" TEXT)");
    insta::assert_snapshot!(told(RecordFormat::Flat, &change), @r#"
    {"databaseName":"inventory"}
    {"_op":"s","_database":"inventory","_table":"customers","_ts":"2024-02-29T13:14:15.123456Z","_file":"mysql-bin.000003","_pos":219,"_row":0,"_ddl":"CREATE TABLE `customers` (id INT, \"q\" TEXT)"}
    "#);
    insta::assert_snapshot!(told(RecordFormat::Canal, &change), @r#"
    {"databaseName":"inventory"}
    {"data":null,"database":"inventory","es":1709212455123,"gtid":"","id":219,"isDdl":true,"mysqlType":null,"old":null,"pkNames":null,"sql":"CREATE TABLE `customers` (id INT, \"q\" TEXT)","sqlType":null,"table":"customers","ts":1709212456123,"type":"CREATE"}
    "#);
}

#[test]
fn nothing_is_told_unless_it_is_asked_for() {
    let change = change(SchemaEffect::Created, None, "CREATE TABLE t (id INT)");
    for (_, format) in RecordFormat::ALL {
        let asked = json_format(format).with_schema_changes().encoder();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        assert!(!json_format(format).encoder().schema_change(&change, &mut key, &mut value));
        assert!(key.is_empty() && value.is_empty());
        assert_eq!(asked.schema_change(&change, &mut key, &mut value), format.tells_schema_changes());
        assert_eq!(value.is_empty(), !format.tells_schema_changes());
    }
}
