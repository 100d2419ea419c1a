//! The formats against the examples that their makers document.

use super::*;
use sluicegate_config::{AddedField, Deletes, DtsNaming, EnvelopeField, ValueModes};
use sluicegate_model::change::{Nulls, Truncate};

/// `test.e` of Maxwell's documentation, with further types.
fn typed(name: &str, native: &str, data_type: DataType) -> ColumnInfo {
    ColumnInfo { native_type: NativeType::parse(native), nullable: name != "id", ..column(name, data_type) }
}

/// A table of these columns, and a row before and after an update.
fn update(name: &str, columns: Vec<ColumnInfo>, values: Vec<Column>) -> Batch {
    let table = Arc::new(Table { name: TableName::new("test", name), destination: None, columns });
    let mut batch = batch(&table, values, &[(Operation::Update, 0, 1)]);
    batch.events[0].time_us = 1_477_053_234_000_000;
    batch.transactions[0].complete = true;
    batch
}

fn with(batch: &Batch, operation: Operation, before: u32, after: u32) -> Batch {
    let mut batch = batch.clone();
    batch.changes = vec![Change { operation, before, after, ..batch.changes[0] }];
    batch
}

fn truncated(batch: &Batch, encoder: &mut Encoder) -> Result<String, String> {
    let truncate =
        Truncate { table: batch.tables[0].table.clone(), event: batch.events[0].clone(), transaction: batch.transactions[0].clone() };
    let mut out = Vec::new();
    encoder.truncate_value(&truncate, &mut out).map_err(|error| {
        assert!(out.is_empty());
        error.to_string()
    })?;
    Ok(String::from_utf8(out).unwrap().replace(concat!("\"", env!("CARGO_PKG_VERSION"), "\""), "\"VERSION\""))
}

/// Maxwell's documented update.
fn maxwell_example() -> Batch {
    let columns = vec![
        typed("id", "int", DataType::Int64),
        typed("m", "double", DataType::Float64),
        typed("c", "timestamp(6)", DataType::Timestamp),
        typed("comment", "varchar(255)", DataType::Text),
    ];
    let comment = Some("I am a creature of light.");
    let values = vec![
        plain(Values::Int64(vec![1, 1])),
        plain(Values::Float64(vec![4.2341, 5.444])),
        text(&[Some("2016-10-21T05:33:37.523000Z"), Some("2016-10-21T05:33:54.631000Z")]),
        text(&[comment, comment]),
    ];
    update("e", columns, values)
}

#[test]
fn maxwell_writes_its_documented_update() {
    let batch = maxwell_example();
    let mut encoder = encoder(RecordFormat::Maxwell);
    // but for `xid`, which no source tells
    let documented = r#"{"database":"test","table":"e","type":"update","ts":1477053234,"commit":true,"data":{"id":1,"m":5.444,"c":"2016-10-21 05:33:54.631000","comment":"I am a creature of light."},"old":{"m":4.2341,"c":"2016-10-21 05:33:37.523000"}}"#;
    assert_eq!(records(&mut encoder, &batch), format!("{documented}\n"));
    let deleted = records(&mut encoder, &with(&batch, Operation::Delete, 1, NO_IMAGE));
    assert!(
        deleted.starts_with(r#"{"database":"test","table":"e","type":"delete","ts":1477053234,"commit":true,"data":{"id":1,"m":5.444"#)
    );
    assert!(!deleted.contains("old"));
    let copied = records(&mut encoder, &with(&batch, Operation::Snapshot, NO_IMAGE, 1));
    assert!(copied.starts_with(r#"{"database":"test","table":"e","type":"bootstrap-insert","ts":1477053234,"data""#), "{copied}");
    assert_eq!(
        truncated(&batch, &mut encoder).unwrap(),
        r#"{"database":"test","table":"e","type":"table-truncate","ts":1477053234,"commit":true}"#
    );
    let mut key = Vec::new();
    assert!(encoder.key(&batch, 0, 1, &mut key).unwrap());
    assert_eq!(String::from_utf8(key).unwrap(), r#"{"database":"test","table":"e","pk.id":1}"#);
}

#[test]
fn maxwell_says_where_a_transaction_ends_once() {
    let table = table(TableName::new("test", "t"), &[("id", DataType::Int64)]);
    let mut batch =
        batch(&table, vec![plain(Values::Int64(vec![1, 2, 3, 4]))], &[0, 1, 2, 3].map(|row| (Operation::Insert, NO_IMAGE, row)));
    batch.transactions = [true, true, false].map(|complete| Transaction { complete, ..batch.transactions[0].clone() }).into();
    batch.events = [0, 0, 1, 2].map(|transaction| Event { transaction, ..batch.events[0].clone() }).into();
    for (event, change) in batch.changes.iter_mut().enumerate() {
        (change.event, change.row) = (event as u32, 0);
    }
    let lines = records(&mut encoder(RecordFormat::Maxwell), &batch);
    let ends: Vec<bool> = lines.lines().map(|line| line.contains("\"commit\":true")).collect();
    assert_eq!(ends, [false, true, true, false]);
}

#[test]
fn maxwell_writes_types_as_it_documents() {
    let point = [&[0u8; 4][..], &[1, 1, 0, 0, 0], &1f64.to_le_bytes(), &2.5f64.to_le_bytes()].concat();
    let mut bytes = sluicegate_model::change::Strings::default();
    bytes.push(&point);
    bytes.push(&point);
    let columns = vec![
        typed("setcol", "set('a_val','b_val','c_val')", DataType::Text),
        typed("dtcol", "datetime", DataType::DateTime),
        typed("price", "decimal(12,2)", DataType::Decimal),
        typed("doc", "json", DataType::Json),
        typed("g", "geometry", DataType::Bytes),
    ];
    let values = vec![
        text(&[Some(""), Some("b_val,c_val")]),
        text(&[Some("0000-00-00 00:00:00"); 2]),
        text(&[Some("-0.50"), Some("12.00")]),
        text(&[Some("{\"a\":\n[1, \"x\"]}"), Some("not json")]),
        plain(Values::Bytes(bytes)),
    ];
    let batch = update("test_sets", columns, values);
    let record = records(&mut encoder(RecordFormat::Maxwell), &with(&batch, Operation::Insert, NO_IMAGE, 0));
    let expected = r#""data":{"setcol":[],"dtcol":"0000-00-00 00:00:00","price":-0.50,"doc":{"a": [1, "x"]},"g":"POINT (1 2.5)"}}"#;
    assert!(record.ends_with(&format!("{expected}\n")), "{record}");
    // a text that a plugin calls JSON breaks no record
    let mut out = Vec::new();
    let error = encoder(RecordFormat::Maxwell).value(&batch, &batch.changes[0], &mut out).unwrap_err();
    assert_eq!((error.kind(), out.len()), (sluicegate_model::ErrorKind::Record, 0));
}

#[test]
fn canal_writes_its_documented_update() {
    let columns = vec![typed("id", "int", DataType::Int64), typed("name", "varchar(20)", DataType::Text)];
    let mut batch = update("t1", columns, vec![plain(Values::Int64(vec![1, 1])), text(&[Some("a"), Some("b")])]);
    batch.events[0] = Event { position: 27_677, time_us: 1_624_614_713_000_000, ..batch.events[0].clone() };
    let mut json = json_format(RecordFormat::Canal);
    json.clock = || 1_624_614_713_512_000;
    let mut encoder = json.encoder();
    let documented = r#"{"data":[{"id":"1","name":"b"}],"database":"test","es":1624614713000,"gtid":"","id":27677,"isDdl":false,"mysqlType":{"id":"int","name":"varchar(20)"},"old":[{"name":"a"}],"pkNames":["id"],"sql":"","sqlType":{"id":4,"name":12},"table":"t1","ts":1624614713512,"type":"UPDATE"}"#;
    assert_eq!(records(&mut encoder, &batch), format!("{documented}\n"));
    let inserted = records(&mut encoder, &with(&batch, Operation::Insert, NO_IMAGE, 0));
    assert!(inserted.contains(r#""old":null"#) && inserted.ends_with("\"type\":\"INSERT\"}\n"), "{inserted}");
    let emptied = truncated(&batch, &mut encoder).unwrap();
    assert!(emptied.starts_with(r#"{"data":null,"#) && emptied.contains(r#""isDdl":true"#), "{emptied}");
    assert!(emptied.contains(r#""sql":"TRUNCATE TABLE `t1`""#) && emptied.ends_with(r#""type":"TRUNCATE"}"#), "{emptied}");
}

#[test]
fn canal_writes_every_value_as_a_string() {
    let mut record: Value =
        serde_json::from_str(records(&mut encoder(RecordFormat::Canal), &every_type()).lines().next().unwrap()).unwrap();
    let row = record["data"][0].take();
    assert!(row.as_object().unwrap().values().all(Value::is_string), "{row}");
    assert_eq!((&row["raw"], &row["ts"], &row["b"]), (&"\0~sluice".into(), &"2024-02-29 13:14:15.123456".into(), &"1".into()));
    let record = records(&mut encoder(RecordFormat::Canal), &every_type());
    let nulls: Value = serde_json::from_str(record.lines().nth(1).unwrap()).unwrap();
    assert!(nulls["data"][0].as_object().unwrap().values().all(Value::is_null));
}

#[test]
fn cloud_events_have_debeziums_attributes_and_ids_of_their_own() {
    let columns = vec![typed("id", "int", DataType::Int64), typed("name", "varchar(20)", DataType::Text)];
    let mut batch = update("customers", columns, vec![plain(Values::Int64(vec![1, 1])), text(&[Some("Bo"), Some("Bob")])]);
    batch.events[0].time_us = 1_578_923_739_738_000;
    batch.transactions[0].id = Some("0-1-5".into());
    let mut encoder = encoder(RecordFormat::CloudEvents);
    let expected = r#"{"id":"name:shop;file:binlog.000003;pos:484;row:0","source":"/debezium/mysql/shop","specversion":"1.0","type":"io.debezium.connector.mysql.DataChangeEvent","time":"2020-01-13T13:55:39.738Z","datacontenttype":"application/json","iodebeziumop":"u","iodebeziumversion":"VERSION","iodebeziumconnector":"mysql","iodebeziumname":"shop","iodebeziumtsms":"1578923739738","iodebeziumsnapshot":"false","iodebeziumdb":"test","iodebeziumtsus":"1578923739738000","iodebeziumtsns":"1578923739738000000","iodebeziumtable":"customers","iodebeziumserverid":"223344","iodebeziumgtid":"0-1-5","iodebeziumfile":"binlog.000003","iodebeziumpos":"484","iodebeziumrow":"0","data":{"before":{"id":1,"name":"Bo"},"after":{"id":1,"name":"Bob"}}}"#;
    assert_eq!(records(&mut encoder, &batch), format!("{expected}\n"));
    let emptied: Value = serde_json::from_str(&truncated(&batch, &mut encoder).unwrap()).unwrap();
    assert_eq!((&emptied["iodebeziumop"], &emptied["data"]["after"]), (&"t".into(), &Value::Null));
    // headers are data: attributes are simple values
    let record = records(&mut self::encoder(RecordFormat::CloudEvents), &with_headers());
    let record: Value = serde_json::from_str(record.lines().next().unwrap()).unwrap();
    assert_eq!(record["data"]["headers"]["n"], "-5");
    assert!(record.as_object().unwrap().iter().all(|(name, value)| name == "data" || value.is_string()), "{record}");
}

/// A record id follows from the place in the log: the file's number, the position, the row.
#[test]
fn dts_writes_the_documented_rows_under_both_rules() {
    let columns = vec![typed("id", "int", DataType::Int64), typed("name", "varchar(20)", DataType::Text)];
    let mut batch = update("customer", columns, vec![plain(Values::Int64(vec![1, 1])), text(&[Some("a"), Some("b")])]);
    batch.events[0].time_us = 1_629_792_000_000_000;
    let mut previous = encoder(Settings { naming: DtsNaming::Previous, ..RecordFormat::Dts.into() });
    let both = |encoder: &mut Encoder, batch: &Batch| {
        let parts = encoder.split(batch, &batch.changes[0]).map_or_else(|| vec![batch.changes[0]], Vec::from);
        let mut lines = Vec::new();
        for part in parts {
            let mut out = Vec::new();
            assert!(encoder.value(batch, &part, &mut out).unwrap());
            lines.push(String::from_utf8(out).unwrap());
        }
        lines
    };
    let documented = [
        r#"{"dts_record_id":"300000000048400000000","dts_operation_flag":"U","dts_instance_id":"223344","dts_db_name":"test","dts_table_name":"customer","dts_utc_timestamp":"1629792000000","dts_before_flag":"Y","dts_after_flag":"N","dts_id":"1","dts_name":"a"}"#,
        r#"{"dts_record_id":"300000000048400000000","dts_operation_flag":"U","dts_instance_id":"223344","dts_db_name":"test","dts_table_name":"customer","dts_utc_timestamp":"1629792000000","dts_before_flag":"N","dts_after_flag":"Y","dts_id":"1","dts_name":"b"}"#,
    ];
    assert_eq!(both(&mut previous, &batch), documented);
    let mut new = encoder(RecordFormat::Dts);
    let renamed = documented
        .map(|line| line.replace("\"dts_id\"", "\"id\"").replace("\"dts_name\"", "\"name\"").replace("\"dts_", "\"new_dts_sync_dts_"));
    assert_eq!(both(&mut new, &batch), renamed);
    for (operation, before, after, flag, flags) in [
        (Operation::Insert, NO_IMAGE, 0, 'I', ("N", "Y")),
        (Operation::Snapshot, NO_IMAGE, 0, 'F', ("N", "Y")),
        (Operation::Delete, 0, NO_IMAGE, 'D', ("Y", "N")),
    ] {
        let lines = both(&mut previous, &with(&batch, operation, before, after));
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["dts_operation_flag"], flag.to_string());
        assert_eq!((record["dts_before_flag"].as_str(), record["dts_after_flag"].as_str()), (Some(flags.0), Some(flags.1)));
    }
    let emptied: Value = serde_json::from_str(&truncated(&batch, &mut new).unwrap()).unwrap();
    assert_eq!(emptied["new_dts_sync_dts_operation_flag"], "T");
}

#[test]
fn a_column_that_is_called_like_a_field_of_the_format_is_refused_before_the_first_row() {
    let refused = |format: Settings, column: &str| {
        let table = table(TableName::new("shop", "t"), &[(column, DataType::Int64)]);
        let format = json_format(format);
        let error = format.check(&table).unwrap_err();
        let batch = batch(&table, vec![plain(Values::Int64(vec![1]))], &[(Operation::Insert, NO_IMAGE, 0)]);
        let mut encoder = format.encoder();
        let mut out = Vec::new();
        let at_the_row = encoder.value(&batch, &batch.changes[0], &mut out).unwrap_err();
        assert_eq!((at_the_row.kind(), at_the_row.to_string()), (sluicegate_model::ErrorKind::Sink, error.to_string()));
        error.to_string()
    };
    insta::assert_snapshot!(refused(RecordFormat::Dts.into(), "new_dts_sync_dts_record_id"), @r"
    column `new_dts_sync_dts_record_id` of table shop.t would have the same name in the record as a field of the format `dts`
      remedy: rename the column with the `map-names` plugin, or set the other `naming` of the format
    ");
    refused(Settings { naming: DtsNaming::Previous, ..RecordFormat::Dts.into() }, "record_id");
    let rewrite = Settings { deletes: Deletes::Rewrite, ..RecordFormat::DebeziumFlattened.into() };
    insta::assert_snapshot!(refused(rewrite, "__deleted"), @r"
    column `__deleted` of table shop.t would have the same name in the record as a field of the format `debezium-flattened`
      remedy: rename the column with the `map-names` plugin, or write `delete_tombstone_handling_mode: drop` (to Kafka also `tombstone`), which makes no such field
    ");
    for deletes in [Deletes::Drop, Deletes::Tombstone] {
        let without = Settings { deletes, ..RecordFormat::DebeziumFlattened.into() };
        json_format(without).check(&table(TableName::new("shop", "t"), &[("__deleted", DataType::Int64)])).unwrap();
    }
    let added = |name: &str| {
        let add_fields = vec![AddedField { field: EnvelopeField::Op, name: name.into() }];
        Settings { add_fields, ..RecordFormat::DebeziumFlattened.into() }
    };
    insta::assert_snapshot!(refused(added("op"), "op"), @r"
    column `op` of table shop.t would have the same name in the record as a field of the format `debezium-flattened`
      remedy: rename the column with the `map-names` plugin, or give the field another name (`add_fields: ['op:OPERATION']`)
    ");
    json_format(added("OPERATION")).check(&table(TableName::new("shop", "t"), &[("op", DataType::Int64)])).unwrap();
}

#[test]
fn flattened_records_are_those_of_the_documented_transformation() {
    let columns = vec![typed("pk", "int", DataType::Int64), typed("cola", "varchar(20)", DataType::Text)];
    let batch = update("MY_TABLE", columns, vec![plain(Values::Int64(vec![2, 2])), text(&[None, Some("x")])]);
    let deleted = with(&batch, Operation::Delete, 0, NO_IMAGE);
    let mut rewrite = encoder(Settings { deletes: Deletes::Rewrite, ..RecordFormat::DebeziumFlattened.into() });
    assert_eq!(records(&mut rewrite, &deleted), "{\"pk\":2,\"cola\":null,\"__deleted\":\"true\"}\n");
    assert_eq!(records(&mut rewrite, &batch), "{\"pk\":2,\"cola\":\"x\",\"__deleted\":\"false\"}\n");
    let mut drops = encoder(Settings { deletes: Deletes::Drop, ..RecordFormat::DebeziumFlattened.into() });
    let mut out = Vec::new();
    assert!(!drops.value(&deleted, &deleted.changes[0], &mut out).unwrap());
    assert!(out.is_empty());
    let field = |(name, field): &(&str, EnvelopeField)| AddedField { field: *field, name: format!("__{}", name.replace('.', "_")) };
    let add_fields = EnvelopeField::ALL.iter().map(field).collect();
    let mut added = encoder(Settings { add_fields, ..RecordFormat::DebeziumFlattened.into() });
    insta::assert_snapshot!(records(&mut added, &batch), @r#"{"pk":2,"cola":"x","__op":"u","__ts_ms":1709212456123,"__ts_us":1709212456123457,"__ts_ns":1709212456123457000,"__source_ts_ms":1477053234000,"__source_ts_us":1477053234000000,"__source_ts_ns":1477053234000000000,"__version":"VERSION","__connector":"mysql","__name":"shop","__snapshot":"false","__db":"test","__schema":null,"__table":"MY_TABLE","__server_id":223344,"__gtid":null,"__file":"binlog.000003","__pos":484,"__row":0}"#);
    assert!(truncated(&batch, &mut added).unwrap().starts_with("{\"__op\":\"t\""));
    insta::assert_snapshot!(truncated(&batch, &mut rewrite).unwrap_err(), @r"
    table test.MY_TABLE was emptied, and a record of the format `debezium-flattened` cannot say so
      remedy: add `op` to the format's `add_fields`, or let a plugin leave `truncate` out of its operations
    ");
    let mut bare = encoder(RecordFormat::Plain);
    assert_eq!(records(&mut bare, &batch), "{\"pk\":2,\"cola\":\"x\"}\n");
}

/// `inventory.customers` of Debezium's documentation.
fn customers() -> Batch {
    let columns = vec![
        typed("id", "int", DataType::Int64),
        typed("first_name", "varchar(255)", DataType::Text),
        typed("last_name", "varchar(255)", DataType::Text),
        typed("email", "varchar(255)", DataType::Text),
    ];
    let columns = columns.into_iter().map(|column| ColumnInfo { nullable: false, ..column }).collect();
    let same = |value| text(&[Some(value); 2]);
    let values = vec![
        plain(Values::Int64(vec![1004, 1004])),
        text(&[Some("Anne"), Some("Anne Marie")]),
        same("Kretchmar"),
        same("annek@noanswer.org"),
    ];
    let table = Arc::new(Table { name: TableName::new("inventory", "customers"), destination: None, columns });
    let mut batch = batch(&table, values, &[(Operation::Update, 0, 1)]);
    batch.events[0].time_us = 1_465_581_029_100_000;
    batch.transactions[0].file = "mysql-bin.000003".into();
    batch
}

#[test]
fn debezium_with_schemas_writes_the_documented_schema_and_payload() {
    let settings = Settings { schemas: true, values: ValueModes::DEBEZIUM, ..RecordFormat::Debezium.into() };
    let mut json = JsonFormat::new(settings, "mysql-server-1", "mysql");
    json.clock = || 1_465_581_029_523_758;
    let mut encoder = json.encoder();
    let batch = customers();
    let record = records(&mut encoder, &batch);
    // documented with "version":"3.6.1.Final", "thread":7 and nanoseconds of the clock
    let payload = r#""payload":{"before":{"id":1004,"first_name":"Anne","last_name":"Kretchmar","email":"annek@noanswer.org"},"after":{"id":1004,"first_name":"Anne Marie","last_name":"Kretchmar","email":"annek@noanswer.org"},"source":{"version":"VERSION","connector":"mysql","name":"mysql-server-1","ts_ms":1465581029100,"snapshot":"false","db":"inventory","sequence":null,"ts_us":1465581029100000,"ts_ns":1465581029100000000,"table":"customers","server_id":223344,"gtid":null,"file":"mysql-bin.000003","pos":484,"row":0,"thread":null,"query":null},"transaction":null,"op":"u","ts_ms":1465581029523,"ts_us":1465581029523758,"ts_ns":1465581029523758000}}"#;
    let row = r#"{"type":"int32","optional":false,"field":"id"},{"type":"string","optional":false,"field":"first_name"},{"type":"string","optional":false,"field":"last_name"},{"type":"string","optional":false,"field":"email"}"#;
    let image = |field: &str| {
        format!(
            r#"{{"type":"struct","fields":[{row}],"optional":true,"name":"mysql-server-1.inventory.customers.Value","field":"{field}"}}"#
        )
    };
    let schema = format!(
        r#""schema":{{"type":"struct","fields":[{},{},{},{},{}],"optional":false,"name":"mysql-server-1.inventory.customers.Envelope","version":2}}"#,
        image("before"),
        image("after"),
        r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"version"},{"type":"string","optional":false,"field":"connector"},{"type":"string","optional":false,"field":"name"},{"type":"int64","optional":false,"field":"ts_ms"},{"type":"string","optional":true,"name":"io.debezium.data.Enum","version":1,"parameters":{"allowed":"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},"default":"false","field":"snapshot"},{"type":"string","optional":false,"field":"db"},{"type":"string","optional":true,"field":"sequence"},{"type":"int64","optional":true,"field":"ts_us"},{"type":"int64","optional":true,"field":"ts_ns"},{"type":"string","optional":true,"field":"table"},{"type":"int64","optional":false,"field":"server_id"},{"type":"string","optional":true,"field":"gtid"},{"type":"string","optional":false,"field":"file"},{"type":"int64","optional":false,"field":"pos"},{"type":"int32","optional":false,"field":"row"},{"type":"int64","optional":true,"field":"thread"},{"type":"string","optional":true,"field":"query"}],"optional":false,"name":"io.debezium.connector.mysql.Source","field":"source"}"#,
        r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},{"type":"int64","optional":false,"field":"total_order"},{"type":"int64","optional":false,"field":"data_collection_order"}],"optional":true,"name":"event.block","version":1,"field":"transaction"}"#,
        r#"{"type":"string","optional":false,"field":"op"},{"type":"int64","optional":true,"field":"ts_ms"},{"type":"int64","optional":true,"field":"ts_us"},{"type":"int64","optional":true,"field":"ts_ns"}"#,
    );
    assert_eq!(record, format!("{{{schema},{payload}\n"));
    let mut key = Vec::new();
    assert!(encoder.key(&batch, 0, 1, &mut key).unwrap());
    let expected = r#"{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],"optional":false,"name":"mysql-server-1.inventory.customers.Key"},"payload":{"id":1004}}"#;
    assert_eq!(String::from_utf8(key).unwrap(), expected);
    let emptied: Value = serde_json::from_str(&truncated(&batch, &mut encoder).unwrap()).unwrap();
    assert_eq!((&emptied["payload"]["op"], emptied["schema"].is_object()), (&"t".into(), true));
}

#[test]
fn debezium_schemas_name_the_type_of_every_column() {
    let settings = Settings { schemas: true, values: ValueModes::DEBEZIUM, ..RecordFormat::Debezium.into() };
    let schema = |native: &str, data_type, settings: &Settings| {
        let columns = vec![typed("c", native, data_type)];
        let table = Arc::new(Table { name: TableName::new("s", "t"), destination: None, columns });
        let mut column = Column::new(data_type);
        column.push_null();
        let batch = batch(&table, vec![column], &[(Operation::Insert, NO_IMAGE, 0)]);
        let record = records(&mut encoder(settings.clone()), &batch);
        let record: Value = serde_json::from_str(&record).unwrap();
        let mut field = record["schema"]["fields"][1]["fields"][0].clone();
        for known in ["field", "optional"] {
            field.as_object_mut().unwrap().shift_remove(known).unwrap();
        }
        field.to_string()
    };
    use DataType::*;
    for (native, data_type, expected) in [
        ("tinyint", Int64, r#"{"type":"int16"}"#),
        ("smallint unsigned", UInt64, r#"{"type":"int32"}"#),
        ("mediumint", Int64, r#"{"type":"int32"}"#),
        ("int unsigned", UInt64, r#"{"type":"int64"}"#),
        ("bigint unsigned", UInt64, r#"{"type":"int64"}"#),
        ("bit(1)", UInt64, r#"{"type":"boolean"}"#),
        ("bit(9)", UInt64, r#"{"type":"bytes","name":"io.debezium.data.Bits","version":1,"parameters":{"length":"9"}}"#),
        ("year", UInt64, r#"{"type":"int32","name":"io.debezium.time.Year","version":1}"#),
        ("float", Float32, r#"{"type":"float"}"#),
        ("double", Float64, r#"{"type":"double"}"#),
        (
            "decimal(12,2)",
            Decimal,
            r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2","connect.decimal.precision":"12"}}"#,
        ),
        ("date", Date, r#"{"type":"int32","name":"io.debezium.time.Date","version":1}"#),
        ("time(6)", Time, r#"{"type":"int64","name":"io.debezium.time.MicroTime","version":1}"#),
        ("datetime", DateTime, r#"{"type":"int64","name":"io.debezium.time.Timestamp","version":1}"#),
        ("datetime(6)", DateTime, r#"{"type":"int64","name":"io.debezium.time.MicroTimestamp","version":1}"#),
        ("timestamp", Timestamp, r#"{"type":"string","name":"io.debezium.time.ZonedTimestamp","version":1}"#),
        ("json", Json, r#"{"type":"string","name":"io.debezium.data.Json","version":1}"#),
        ("enum('a','b')", Text, r#"{"type":"string","name":"io.debezium.data.Enum","version":1,"parameters":{"allowed":"a,b"}}"#),
        ("set('a','b')", Text, r#"{"type":"string","name":"io.debezium.data.EnumSet","version":1,"parameters":{"allowed":"a,b"}}"#),
        ("blob", Bytes, r#"{"type":"bytes"}"#),
        (
            "geometry",
            Bytes,
            r#"{"type":"struct","fields":[{"type":"bytes","optional":false,"field":"wkb"},{"type":"int32","optional":true,"field":"srid"}],"name":"io.debezium.data.geometry.Geometry","version":1,"doc":"Geometry"}"#,
        ),
        (
            "vector",
            Bytes,
            r#"{"type":"array","items":{"type":"float","optional":false},"name":"io.debezium.data.FloatVector","version":1}"#,
        ),
    ] {
        assert_eq!(schema(native, data_type, &settings), expected, "{native}");
    }
    let connect = ValueModes { time: sluicegate_config::TimeMode::Connect, ..ValueModes::DEBEZIUM };
    let settings = Settings { values: connect, ..settings };
    let expected = r#"{"type":"int32","name":"org.apache.kafka.connect.data.Time","version":1}"#;
    assert_eq!(schema("time(6)", Time, &settings), expected);
}

/// Absent values have no member in any format, and nothing of them is in `old`.
#[test]
fn absent_values_have_no_member_in_any_format() {
    let columns =
        vec![typed("id", "int", DataType::Int64), typed("name", "varchar(20)", DataType::Text), typed("v", "int", DataType::Int64)];
    let mut batch = update("t", columns, vec![plain(Values::Int64(vec![1, 1])), text(&[None, None]), plain(Values::Int64(vec![1, 2]))]);
    batch.tables[0].columns[1].absent = Nulls(vec![0b11]);
    for (name, record) in RecordFormat::ALL.into_iter().filter(|(_, record)| record.is_json()) {
        let mut encoder = encoder(record);
        let parts = encoder.split(&batch, &batch.changes[0]).map_or_else(|| vec![batch.changes[0]], Vec::from);
        for part in parts {
            let mut out = Vec::new();
            encoder.value(&batch, &part, &mut out).unwrap();
            let mut record: Value = serde_json::from_slice(&out).unwrap();
            for described in ["mysqlType", "sqlType"] {
                record.as_object_mut().unwrap().shift_remove(described);
            }
            let record = record.to_string().replace("\"iodebeziumname\"", "").replace("\"name\":\"shop\"", "");
            assert!(!record.contains("\"name\"") && !record.contains("dts_name\""), "{name}: {record}");
        }
    }
}

#[test]
fn csv_quotes_what_rfc_4180_says_and_tells_null_from_empty() {
    let columns = vec![
        typed("id", "int", DataType::Int64),
        typed("_op", "varchar(20)", DataType::Text),
        typed("a,\"b\"", "varchar(20)", DataType::Text),
        typed("raw", "blob", DataType::Bytes),
        typed("f", "double", DataType::Float64),
    ];
    let mut raw = sluicegate_model::change::Strings::default();
    raw.push(b"");
    raw.push(b"\0~sluice");
    let values = vec![
        plain(Values::Int64(vec![1, 2])),
        text(&[None, Some("")]),
        text(&[Some("x"), Some("say \"hi\",\r\nthere")]),
        plain(Values::Bytes(raw)),
        plain(Values::Float64(vec![f64::NAN, 0.5])),
    ];
    let batch = update("t", columns, values);
    let mut encoder = encoder(RecordFormat::Csv);
    let header = encoder.file_header(&batch.tables[0].table).unwrap().to_vec();
    let expected = "_op,_database,_schema,_table,_ts,_gtid,_file,_pos,_row,id,__op,\"a,\"\"b\"\"\",raw,f\r\n";
    assert_eq!(String::from_utf8(header).unwrap(), expected);
    let place = "test,,t,2016-10-21T12:33:54.000000Z,,binlog.000003,484,0";
    assert_eq!(records(&mut encoder, &batch), format!("u,{place},2,\"\",\"say \"\"hi\"\",\r\nthere\",AH5zbHVpY2U=,0.5\n"));
    let deleted = with(&batch, Operation::Delete, 0, NO_IMAGE);
    assert_eq!(records(&mut encoder, &deleted), format!("d,{place},1,,x,\"\",\n"));
    assert_eq!(truncated(&batch, &mut encoder).unwrap(), format!("t,{place},,,,,"));
    let mut absent = batch.clone();
    absent.tables[0].columns[1] = text(&[None, None]);
    absent.tables[0].columns[1].absent = Nulls(vec![0b10]);
    let mut out = Vec::new();
    insta::assert_snapshot!(encoder.value(&absent, &absent.changes[0], &mut out).unwrap_err(), @r"
    the source did not send column `_op` of a row of table test.t, and CSV cannot tell that from NULL
      remedy: let the source send whole rows (mysql: binlog_row_image = FULL), use a format of JSON, or set `on_error`
    ");
    assert!(out.is_empty());
}
