mod avro;
mod formats;
mod json_schema;
mod parquet;
mod random;
mod schema_changes;
mod schema_ids;
mod transactions;
mod values;

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use sluicegate_config::{Format as Settings, RecordFormat};
use sluicegate_model::{
    change::{
        Batch, Change, Column, ColumnInfo, DataType, Event, NO_IMAGE, NativeType, Place, Table, TableName, TableRows, Transaction, Values,
    },
    limits::{ENCODER_PLANS, Limits},
};
use sluicegate_samples::rows::{TIME, batch};

fn column(name: &str, data_type: DataType) -> ColumnInfo {
    ColumnInfo {
        name: name.into(),
        data_type,
        native_type: NativeType::default(),
        nullable: true,
        primary_key: name.starts_with("id"),
        place: Place::Value,
    }
}

fn table(name: TableName, columns: &[(&str, DataType)]) -> Arc<Table> {
    Arc::new(Table { name, destination: None, columns: columns.iter().map(|(name, data_type)| column(name, *data_type)).collect() })
}

fn text(values: &[Option<&str>]) -> Column {
    let mut column = Column::new(DataType::Text);
    for value in values {
        match (value, &mut column.values) {
            (Some(value), Values::Text(strings)) => strings.push(value.as_bytes()),
            _ => column.push_null(),
        }
    }
    column
}

fn plain(values: Values) -> Column {
    Column::of(values, Default::default())
}

fn json_format(format: impl Into<Settings>) -> JsonFormat {
    let mut json = JsonFormat::new(format, "shop", "mysql");
    json.clock = || TIME + 1_000_001;
    json
}

fn encoder(format: impl Into<Settings>) -> Encoder {
    json_format(format).encoder()
}

/// The records of all changes, one a line, the program's version left out.
fn records(encoder: &mut Encoder, batch: &Batch) -> String {
    let mut out = Vec::new();
    for change in &batch.changes {
        encoder.value(batch, change, &mut out).unwrap();
        out.push(b'\n');
    }
    String::from_utf8(out).unwrap().replace(concat!("\"", env!("CARGO_PKG_VERSION"), "\""), "\"VERSION\"")
}

/// Every type, one row of ordinary values and one of nulls.
fn every_type() -> Batch {
    use DataType::*;
    let types = [
        ("id", Int64),
        ("b", Boolean),
        ("u", UInt64),
        ("f", Float32),
        ("d", Float64),
        ("amount", Decimal),
        ("t", Text),
        ("raw", Bytes),
        ("day", Date),
        ("dur", Time),
        ("dt", DateTime),
        ("ts", Timestamp),
        ("doc", Json),
    ];
    let table = table(TableName::new("shop", "orders"), &types);
    let bytes = match text(&[Some("\0~sluice")]).values {
        Values::Text(strings) => plain(Values::Bytes(strings)),
        _ => unreachable!(),
    };
    let mut columns = vec![
        plain(Values::Int64(vec![i64::MIN])),
        plain(Values::Boolean(vec![1])),
        plain(Values::UInt64(vec![u64::MAX])),
        plain(Values::Float32(vec![0.1])),
        plain(Values::Float64(vec![-1.0e-7])),
        text(&[Some("-12.50")]),
        text(&[Some("Zoë \"the\\quick\"\tfox\u{1}/😀")]),
        bytes,
        text(&[Some("2024-02-29")]),
        text(&[Some("-838:59:59.000000")]),
        text(&[Some("2024-02-29 13:14:15.123456")]),
        text(&[Some("2024-02-29T13:14:15.123456Z")]),
        text(&[Some(r#"{"a":[1,"x"]}"#)]),
    ];
    for column in &mut columns {
        column.push_null();
    }
    batch(&table, columns, &[(Operation::Insert, NO_IMAGE, 0), (Operation::Snapshot, NO_IMAGE, 1)])
}

#[test]
fn flat_form_of_every_type() {
    insta::assert_snapshot!(records(&mut encoder(RecordFormat::Flat), &every_type()), @r##"
    {"_op":"c","_database":"shop","_table":"orders","_ts":"2024-02-29T13:14:15.123456Z","_file":"binlog.000003","_pos":484,"_row":0,"id":-9223372036854775808,"b":true,"u":18446744073709551615,"f":0.1,"d":-1e-7,"amount":"-12.50","t":"Zoë \"the\\quick\"\tfox\u0001/😀","raw":"AH5zbHVpY2U=","day":"2024-02-29","dur":"-838:59:59.000000","dt":"2024-02-29 13:14:15.123456","ts":"2024-02-29T13:14:15.123456Z","doc":"{\"a\":[1,\"x\"]}"}
    {"_op":"r","_database":"shop","_table":"orders","_ts":"2024-02-29T13:14:15.123456Z","_file":"binlog.000003","_pos":484,"_row":1,"id":null,"b":null,"u":null,"f":null,"d":null,"amount":null,"t":null,"raw":null,"day":null,"dur":null,"dt":null,"ts":null,"doc":null}
    "##);
}

#[test]
fn debezium_form_of_every_type() {
    insta::assert_snapshot!(records(&mut encoder(RecordFormat::Debezium), &every_type()), @r##"
    {"before":null,"after":{"id":-9223372036854775808,"b":true,"u":18446744073709551615,"f":0.1,"d":-1e-7,"amount":"-12.50","t":"Zoë \"the\\quick\"\tfox\u0001/😀","raw":"AH5zbHVpY2U=","day":"2024-02-29","dur":"-838:59:59.000000","dt":"2024-02-29 13:14:15.123456","ts":"2024-02-29T13:14:15.123456Z","doc":"{\"a\":[1,\"x\"]}"},"source":{"version":"VERSION","connector":"mysql","name":"shop","ts_ms":1709212455123,"snapshot":"false","db":"shop","sequence":null,"ts_us":1709212455123456,"ts_ns":1709212455123456000,"table":"orders","server_id":223344,"gtid":null,"file":"binlog.000003","pos":484,"row":0,"thread":null,"query":null},"transaction":null,"op":"c","ts_ms":1709212456123,"ts_us":1709212456123457,"ts_ns":1709212456123457000}
    {"before":null,"after":{"id":null,"b":null,"u":null,"f":null,"d":null,"amount":null,"t":null,"raw":null,"day":null,"dur":null,"dt":null,"ts":null,"doc":null},"source":{"version":"VERSION","connector":"mysql","name":"shop","ts_ms":1709212455123,"snapshot":"true","db":"shop","sequence":null,"ts_us":1709212455123456,"ts_ns":1709212455123456000,"table":"orders","server_id":223344,"gtid":null,"file":"binlog.000003","pos":484,"row":1,"thread":null,"query":null},"transaction":null,"op":"r","ts_ms":1709212456123,"ts_us":1709212456123457,"ts_ns":1709212456123457000}
    "##);
}

#[test]
fn updates_carry_both_images_and_deletes_the_before_image() {
    let table = table(TableName::new("shop", "c"), &[("id", DataType::Int64), ("v", DataType::Text)]);
    let columns = vec![plain(Values::Int64(vec![1, 2])), text(&[Some("old"), Some("new")])];
    let batch = batch(&table, columns, &[(Operation::Update, 0, 1), (Operation::Delete, 1, NO_IMAGE)]);
    insta::assert_snapshot!(records(&mut encoder(RecordFormat::Flat), &batch), @r##"
    {"_op":"u","_database":"shop","_table":"c","_ts":"2024-02-29T13:14:15.123456Z","_file":"binlog.000003","_pos":484,"_row":0,"id":2,"v":"new"}
    {"_op":"d","_database":"shop","_table":"c","_ts":"2024-02-29T13:14:15.123456Z","_file":"binlog.000003","_pos":484,"_row":1,"id":2,"v":"new"}
    "##);
    insta::assert_snapshot!(records(&mut encoder(RecordFormat::Debezium), &batch), @r##"
    {"before":{"id":1,"v":"old"},"after":{"id":2,"v":"new"},"source":{"version":"VERSION","connector":"mysql","name":"shop","ts_ms":1709212455123,"snapshot":"false","db":"shop","sequence":null,"ts_us":1709212455123456,"ts_ns":1709212455123456000,"table":"c","server_id":223344,"gtid":null,"file":"binlog.000003","pos":484,"row":0,"thread":null,"query":null},"transaction":null,"op":"u","ts_ms":1709212456123,"ts_us":1709212456123457,"ts_ns":1709212456123457000}
    {"before":{"id":2,"v":"new"},"after":null,"source":{"version":"VERSION","connector":"mysql","name":"shop","ts_ms":1709212455123,"snapshot":"false","db":"shop","sequence":null,"ts_us":1709212455123456,"ts_ns":1709212455123456000,"table":"c","server_id":223344,"gtid":null,"file":"binlog.000003","pos":484,"row":1,"thread":null,"query":null},"transaction":null,"op":"d","ts_ms":1709212456123,"ts_us":1709212456123457,"ts_ns":1709212456123457000}
    "##);
}

#[test]
fn schemas_and_gtids_appear_where_the_source_has_them() {
    let name = TableName { database: "d\"b".into(), schema: Some("dbo".into()), table: "t".into() };
    let table = table(name, &[("v", DataType::Int64)]);
    let mut batch = batch(&table, vec![plain(Values::Int64(vec![1]))], &[(Operation::Insert, NO_IMAGE, 0)]);
    batch.transactions[0] = Transaction { id: Some("0-2001-5".into()), ..Transaction::default() };
    insta::assert_snapshot!(records(&mut encoder(RecordFormat::Flat), &batch), @r##"{"_op":"c","_database":"d\"b","_schema":"dbo","_table":"t","_ts":"2024-02-29T13:14:15.123456Z","_gtid":"0-2001-5","_pos":484,"_row":0,"v":1}"##);
    insta::assert_snapshot!(records(&mut encoder(RecordFormat::Debezium), &batch), @r##"{"before":null,"after":{"v":1},"source":{"version":"VERSION","connector":"mysql","name":"shop","ts_ms":1709212455123,"snapshot":"false","db":"d\"b","sequence":null,"ts_us":1709212455123456,"ts_ns":1709212455123456000,"schema":"dbo","table":"t","server_id":223344,"gtid":"0-2001-5","file":"","pos":484,"row":0,"thread":null,"query":null},"transaction":null,"op":"c","ts_ms":1709212456123,"ts_us":1709212456123457,"ts_ns":1709212456123457000}"##);
}

#[test]
fn columns_named_like_our_own_members_move_aside_without_meeting_another() {
    let names = ["_op", "__op", "op", "_OP", "_other", "_row", "__", "_headers", "_plugins"];
    let columns: Vec<_> = names.iter().map(|name| (*name, DataType::Int64)).collect();
    let table = table(TableName::new("s", "t"), &columns);
    let values = (0..names.len()).map(|i| plain(Values::Int64(vec![i as i64]))).collect();
    let batch = batch(&table, values, &[(Operation::Insert, NO_IMAGE, 0)]);
    insta::assert_snapshot!(records(&mut encoder(RecordFormat::Flat), &batch), @r#"{"_op":"c","_database":"s","_table":"t","_ts":"2024-02-29T13:14:15.123456Z","_file":"binlog.000003","_pos":484,"_row":0,"__op":0,"___op":1,"op":2,"_OP":3,"_other":4,"__row":5,"__":6,"__headers":7,"__plugins":8}"#);
}

#[test]
fn keys_hold_the_key_columns_in_column_order_and_a_keyless_table_its_whole_row() {
    use DataType::*;
    let keyed = table(TableName::new("s", "t"), &[("v", Text), ("id_b", Int64), ("w", Text), ("id_a", Text)]);
    let columns = vec![text(&[Some("v")]), plain(Values::Int64(vec![7])), text(&[Some("w")]), text(&[Some("a")])];
    let batch_keyed = batch(&keyed, columns, &[(Operation::Insert, NO_IMAGE, 0)]);
    let mut encoder = encoder(RecordFormat::Flat);
    let mut out = Vec::new();
    assert!(encoder.key(&batch_keyed, 0, 0, &mut out).unwrap());
    assert_eq!(out, br#"{"id_b":7,"id_a":"a"}"#);

    let keyless = table(TableName::new("s", "u"), &[("v", Text), ("w", Boolean)]);
    let batch_keyless = batch(&keyless, vec![text(&[None]), plain(Values::Boolean(vec![0]))], &[(Operation::Delete, 0, NO_IMAGE)]);
    out.clear();
    assert!(!encoder.key(&batch_keyless, 0, 0, &mut out).unwrap());
    assert!(out.is_empty());
    encoder.row_key(&batch_keyless, 0, 0, &mut out).unwrap();
    assert_eq!(out, br#"{"v":null,"w":false}"#);
}

#[test]
fn a_table_without_columns_is_an_empty_object() {
    let table = table(TableName::new("s", "t"), &[]);
    let batch = batch(&table, Vec::new(), &[(Operation::Update, 0, 1)]);
    assert!(records(&mut encoder(RecordFormat::Debezium), &batch).starts_with(r#"{"before":{},"after":{},"source""#));
    let record = records(&mut encoder(RecordFormat::Flat), &batch);
    assert!(serde_json::from_str::<Value>(&record).is_ok(), "{record}");
}

#[test]
fn what_json_has_no_number_for_is_null() {
    let table = table(TableName::new("s", "t"), &[("f", DataType::Float32), ("d", DataType::Float64)]);
    let columns = vec![plain(Values::Float32(vec![f32::NAN, f32::INFINITY])), plain(Values::Float64(vec![f64::NEG_INFINITY, f64::NAN]))];
    let batch = batch(&table, columns, &[(Operation::Update, 0, 1)]);
    let record = records(&mut encoder(RecordFormat::Debezium), &batch);
    assert!(record.starts_with(r#"{"before":{"f":null,"d":null},"after":{"f":null,"d":null}"#), "{record}");
}

/// A table version, event or batch after another one gets its own names and places, whatever was cached for the last.
#[test]
fn nothing_of_the_previous_batch_remains() {
    for format in [RecordFormat::Flat, RecordFormat::Debezium] {
        let mut kept = encoder(format);
        for i in 0..3 * ENCODER_PLANS {
            // each time another table, often at the address of a previous one
            let table = table(TableName::new("s", format!("t{i}")), &[(if i % 2 == 0 { "a" } else { "b" }, DataType::Int64)]);
            let mut batch = batch(&table, vec![plain(Values::Int64(vec![i as i64]))], &[(Operation::Insert, NO_IMAGE, 0)]);
            batch.number = i as u64;
            match i % 4 {
                0 => batch.events[0].position += i as u64,
                1 => batch.transactions[0].file = "binlog.000004".into(),
                2 => batch.transactions[0].id = Some(format!("0-1-{i}").into()),
                _ => batch.events[0].time_us += 1,
            }
            assert_eq!(records(&mut kept, &batch), records(&mut encoder(format), &batch));
            assert!(kept.held() <= ENCODER_PLANS);
        }
    }
}

#[test]
fn tables_that_interleave_keep_their_own_places() {
    let first = table(TableName::new("s", "first"), &[("a", DataType::Int64)]);
    let second = table(TableName::new("s", "second"), &[("a", DataType::Int64)]);
    let mut batch = batch(&first, vec![plain(Values::Int64(vec![1]))], &[(Operation::Insert, NO_IMAGE, 0); 4]);
    let mut rows = TableRows::new(second);
    rows.images.push(1);
    rows.columns = vec![plain(Values::Int64(vec![2]))];
    batch.tables.push(rows);
    for change in &mut batch.changes {
        change.table = change.row % 2;
    }
    let lines = records(&mut encoder(RecordFormat::Flat), &batch);
    let tables: Vec<_> = lines.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["_table"].clone()).collect();
    assert_eq!(tables, ["first", "second", "first", "second"]);
}

/// `shop.orders (id_order bigint, v text)` with a header column of every kind and a destination column; the second row has
/// no headers.
fn with_headers() -> Batch {
    use DataType::*;
    let mut with = Table::clone(&table(
        TableName::new("shop", "orders"),
        &[
            ("id_order", Int64),
            ("ten\"ant", Text),
            ("v", Text),
            ("n", Int64),
            ("ok", Boolean),
            ("ratio", Float64),
            ("raw", Bytes),
            ("id_where", Text),
        ],
    ));
    for column in [1, 3, 4, 5, 6] {
        with.columns[column].place = Place::Header;
    }
    with.columns[7].place = Place::Destination;
    let bytes = match text(&[Some("\0\"")]).values {
        Values::Text(strings) => plain(Values::Bytes(strings)),
        _ => unreachable!(),
    };
    let mut columns = vec![
        plain(Values::Int64(vec![7])),
        text(&[Some("e\"u")]),
        text(&[Some("v")]),
        plain(Values::Int64(vec![-5])),
        plain(Values::Boolean(vec![0])),
        plain(Values::Float64(vec![0.5])),
        bytes,
        text(&[Some("elsewhere")]),
    ];
    columns.iter_mut().for_each(Column::push_null);
    columns[5] = plain(Values::Float64(vec![0.5, f64::NAN]));
    batch(&Arc::new(with), columns, &[(Operation::Insert, NO_IMAGE, 0), (Operation::Update, 0, 1), (Operation::Delete, 0, NO_IMAGE)])
}

#[test]
fn headers_stand_in_the_record_where_the_sink_has_none_of_its_own() {
    insta::assert_snapshot!(records(&mut encoder(RecordFormat::Flat), &with_headers()), @r#"
    {"_op":"c","_database":"shop","_table":"orders","_ts":"2024-02-29T13:14:15.123456Z","_file":"binlog.000003","_pos":484,"_row":0,"id_order":7,"v":"v","_headers":{"ten\"ant":"e\"u","n":"-5","ok":"false","ratio":"0.5","raw":"ACI="}}
    {"_op":"u","_database":"shop","_table":"orders","_ts":"2024-02-29T13:14:15.123456Z","_file":"binlog.000003","_pos":484,"_row":1,"id_order":null,"v":null,"_headers":{}}
    {"_op":"d","_database":"shop","_table":"orders","_ts":"2024-02-29T13:14:15.123456Z","_file":"binlog.000003","_pos":484,"_row":2,"id_order":7,"v":"v","_headers":{"ten\"ant":"e\"u","n":"-5","ok":"false","ratio":"0.5","raw":"ACI="}}
    "#);
    let lines = records(&mut encoder(RecordFormat::Debezium), &with_headers());
    let lines: Vec<_> =
        lines.lines().map(|line| line.replace(&line[line.find("\"source\"").unwrap()..line.find(",\"op\"").unwrap()], "…")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    {"before":null,"after":{"id_order":7,"v":"v"},…,"op":"c","ts_ms":1709212456123,"ts_us":1709212456123457,"ts_ns":1709212456123457000,"headers":{"ten\"ant":"e\"u","n":"-5","ok":"false","ratio":"0.5","raw":"ACI="}}
    {"before":{"id_order":7,"v":"v"},"after":{"id_order":null,"v":null},…,"op":"u","ts_ms":1709212456123,"ts_us":1709212456123457,"ts_ns":1709212456123457000,"headers":{}}
    {"before":{"id_order":7,"v":"v"},"after":null,…,"op":"d","ts_ms":1709212456123,"ts_us":1709212456123457,"ts_ns":1709212456123457000,"headers":{"ten\"ant":"e\"u","n":"-5","ok":"false","ratio":"0.5","raw":"ACI="}}
    "#);
}

#[test]
fn what_is_delivered_beside_the_record_is_neither_in_it_nor_in_a_key() {
    let batch = with_headers();
    for format in [RecordFormat::Flat, RecordFormat::Debezium] {
        let mut encoder = json_format(format).with_headers_beside().encoder();
        let lines = records(&mut encoder, &batch);
        for line in lines.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            assert!(record.get("_headers").or(record.get("headers")).is_none(), "{line}");
            assert!(["elsewhere", "id_where", "ten", "ratio"].iter().all(|hidden| !line.contains(hidden)), "{line}");
        }
        let (mut key, mut whole) = (Vec::new(), Vec::new());
        assert!(encoder.key(&batch, 0, 0, &mut key).unwrap());
        encoder.row_key(&batch, 0, 0, &mut whole).unwrap();
        assert_eq!((key.as_slice(), whole.as_slice()), (&br#"{"id_order":7}"#[..], &br#"{"id_order":7,"v":"v"}"#[..]));

        let mut headers = Vec::new();
        encoder.headers(&batch, 0, 0, |name, value| headers.push((name.to_owned(), value.to_vec()))).unwrap();
        let expected: [(&str, &[u8]); 5] = [("ten\"ant", b"e\"u"), ("n", b"-5"), ("ok", b"false"), ("ratio", b"0.5"), ("raw", b"\0\"")];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_vec())));
        encoder.headers(&batch, 0, 1, |name, _| panic!("{name} is null")).unwrap();
    }
}

#[test]
fn headers_beyond_their_bounds_fail_the_record_and_leave_nothing_of_it() {
    let batch = with_headers();
    for limits in [Limits { record_headers: 4, ..Limits::default() }, Limits { record_header_bytes: 20, ..Limits::default() }] {
        let mut inside = json_format(RecordFormat::Flat).bounded(&limits).encoder();
        let mut out = b"before".to_vec();
        let error = inside.value(&batch, &batch.changes[0], &mut out).unwrap_err();
        assert_eq!((error.kind(), out.as_slice()), (sluicegate_model::ErrorKind::Record, &b"before"[..]));
        if limits.record_headers == 4 {
            insta::assert_snapshot!(error, @r#"
            a record of table shop.orders would have more than 4 headers
              remedy: let the plugins deliver fewer columns as headers, or raise `limits.record_headers`
            "#);
        } else {
            insta::assert_snapshot!(error, @r#"
            the headers of a record of table shop.orders would have more than 20 bytes
              remedy: let the plugins deliver smaller columns as headers, or raise `limits.record_header_bytes`
            "#);
        }
        inside.value(&batch, &batch.changes[1], &mut out).unwrap();
        let mut beside = json_format(RecordFormat::Flat).bounded(&limits).with_headers_beside().encoder();
        beside.value(&batch, &batch.changes[0], &mut out).unwrap();
        assert_eq!(beside.headers(&batch, 0, 0, |_, _| {}).unwrap_err().kind(), sluicegate_model::ErrorKind::Record);
    }
}

/// The plugins may be swapped between two batches of the same event.
#[test]
fn records_tell_the_plugins_of_their_own_batch_where_the_sink_says_so() {
    let table = table(TableName::new("s", "t"), &[("a", DataType::Int64)]);
    for format in [RecordFormat::Flat, RecordFormat::Debezium] {
        let (mut with, mut without) = (json_format(format).with_versions().encoder(), encoder(format));
        for (sequence, versions) in
            [None, Some("mask@1.0.0+aa"), Some("mask@1.0.0+aa"), Some("mask@1.1.0+bb, \"x\"@0+cc"), None].into_iter().enumerate()
        {
            let mut batch = batch(&table, vec![plain(Values::Int64(vec![1]))], &[(Operation::Insert, NO_IMAGE, 0)]);
            batch.number = sequence as u64;
            batch.versions = versions.map(Arc::from);
            let (told, bare) = (records(&mut with, &batch), records(&mut without, &batch));
            let record: Value = serde_json::from_str(&told).unwrap();
            let name = if format == RecordFormat::Flat { "_plugins" } else { "plugins" };
            assert_eq!(record.get(name), versions.map(Value::from).as_ref());
            assert_eq!(told.len() - bare.len(), versions.map_or(0, |v| name.len() + 4 + Value::from(v).to_string().len()), "{told}");
            assert!(!bare.contains("plugins"));
        }
    }
}

/// Text of every kind of character, controls and astral ones with good weight, around the sizes that are handled at once.
fn any_text() -> impl Strategy<Value = String> {
    let any = prop_oneof![
        3 => (0u8..0x80).prop_map(char::from),
        1 => Just('"'),
        1 => Just('\\'),
        1 => any::<char>(),
        1 => proptest::char::range('\u{10000}', '\u{10ffff}'),
        6 => proptest::char::range('a', 'z'),
    ];
    proptest::collection::vec(any, 0..70).prop_map(|chars| chars.into_iter().collect())
}

/// The raw text of member `name` in a record whose member is followed by a comma or a closing brace.
fn raw<'a>(record: &'a str, name: &str) -> &'a str {
    let start = record.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
    let rest = &record[start..];
    &rest[..rest.find([',', '}']).unwrap()]
}

proptest! {
    #[test]
    fn every_record_is_json_that_gives_the_values_back(
        name in any_text(), column_name in any_text(), value in any_text(), i in any::<i64>(), u in any::<u64>(),
        f in any::<u32>().prop_map(f32::from_bits), d in any::<u64>().prop_map(f64::from_bits),
        bytes in proptest::collection::vec(any::<u8>(), 0..70), null in any::<bool>(), time in any::<i64>(), position in any::<u64>(),
    ) {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let text_name = format!("text{column_name}");
        let table = table(TableName::new("s", name.clone()), &[
            ("f", DataType::Float32), ("d", DataType::Float64), ("i", DataType::Int64), ("u", DataType::UInt64),
            (text_name.as_str(), DataType::Text), ("raw", DataType::Bytes),
        ]);
        let mut raw_bytes = sluicegate_model::change::Strings::default();
        raw_bytes.push(&bytes);
        let columns = vec![
            plain(Values::Float32(vec![f])), plain(Values::Float64(vec![d])), plain(Values::Int64(vec![i])), plain(Values::UInt64(vec![u])),
            text(&[(!null).then_some(value.as_str())]), plain(Values::Bytes(raw_bytes)),
        ];
        let mut batch = batch(&table, columns, &[(Operation::Insert, NO_IMAGE, 0)]);
        (batch.changes[0].operation, batch.changes[0].before) = (Operation::Update, 0);
        batch.events[0].time_us = time;
        batch.events[0].position = position;
        for format in [RecordFormat::Flat, RecordFormat::Debezium] {
            let mut out = Vec::new();
            encoder(format).value(&batch, &batch.changes[0], &mut out).unwrap();
            let record = std::str::from_utf8(&out).unwrap();
            let parsed: Value = serde_json::from_str(record).unwrap();
            let (row, place) = match format {
                RecordFormat::Flat => (&parsed, &parsed["_pos"]),
                _ => {
                    prop_assert_eq!(&parsed["before"], &parsed["after"]);
                    prop_assert_eq!(&parsed["source"]["table"], &Value::from(name.as_str()));
                    prop_assert_eq!(&parsed["source"]["ts_us"], &Value::from(time));
                    (&parsed["after"], &parsed["source"]["pos"])
                }
            };
            prop_assert_eq!(place, &Value::from(position));
            prop_assert_eq!(&row["i"], &Value::from(i));
            prop_assert_eq!(&row["u"], &Value::from(u));
            let text_back = row.get(&text_name);
            prop_assert_eq!(text_back, Some(&if null { Value::Null } else { Value::from(value.as_str()) }));
            prop_assert_eq!(STANDARD.decode(row["raw"].as_str().unwrap()).unwrap(), bytes.clone());
            // serde_json reads floats to the last bit only with a feature that we do not need; the standard library always does
            if f.is_finite() {
                prop_assert_eq!(raw(record, "f").parse::<f32>().unwrap().to_bits(), f.to_bits());
                prop_assert_eq!((raw(record, "f").parse::<f64>().unwrap() as f32).to_bits(), f.to_bits());
            }
            if d.is_finite() {
                prop_assert_eq!(raw(record, "d").parse::<f64>().unwrap().to_bits(), d.to_bits());
            }
            let keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).filter(|k| !k.starts_with('_')).collect();
            prop_assert_eq!(keys, vec!["f", "d", "i", "u", text_name.as_str(), "raw"]);
        }
    }
}
