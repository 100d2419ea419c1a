//! What formats write is read back.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    assembly::Assembly,
    place,
    record::{self, Reading, Record},
    unreadable::Unreadable,
    version::Versions,
};
use sluicegate_config::{
    BigintUnsignedMode, DecimalMode, Format, RecordFormat, TimeMode, TopicFormat, TopicImages, TopicNumbers, ValueModes,
};
use sluicegate_format::{Encoder, JsonFormat};
use sluicegate_model::{
    ErrorKind,
    change::{Batch, Change, DataType, NO_IMAGE, Offset, Operation, Table},
    limits::{KAFKA_KEY_COLUMNS, KAFKA_NAME_BYTES, KAFKA_VERSION_BYTES},
};
use sluicegate_samples::rows::{TIME, random, random_table};

const DEBEZIUM: Reading = Reading {
    format: TopicFormat::Debezium,
    images: TopicImages::Whole,
    images_chosen: true,
    numbers: TopicNumbers::Double,
    most_bytes: 1 << 20,
};
const FLAT: Reading = Reading { format: TopicFormat::Flat, images: TopicImages::Deletes, ..DEBEZIUM };

fn encoder(format: Format) -> Encoder {
    Encoder::of(JsonFormat::new(format, "shop", "mysql"))
}

/// Key and value of a change's record; `None` where the format refuses a value of the row, and nothing else.
fn written(encoder: &mut Encoder, batch: &Batch, change: &Change) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let row = if change.after == NO_IMAGE { change.before } else { change.after };
    let written = encoder.value(batch, change, &mut value).and_then(|_| encoder.key(batch, change.table, row, &mut key));
    match written {
        Ok(_) => Some((key, value)),
        Err(error) if error.kind() == ErrorKind::Record => None,
        Err(error) => panic!("{error}"),
    }
}

/// The batch of one record.
fn read_with(versions: &mut Versions, key: Option<&str>, value: &str, reading: Reading) -> Result<Batch, Unreadable> {
    let mut assembly = Assembly::default();
    match record::read(key.map(str::as_bytes), Some(value.as_bytes()), reading, versions)? {
        Record::Row(row) => assembly.push(&row, 7, 0, reading.most_bytes)?,
        other => panic!("{other:?}"),
    }
    let batch = assembly.take(&place::lane("orders", 0), Offset::from_json("{}"), 0, &"orders/0".into());
    batch.validate().unwrap();
    Ok(batch)
}

fn read(key: Option<&str>, value: &str, reading: Reading) -> Result<Batch, Unreadable> {
    read_with(&mut Versions::default(), key, value, reading)
}

/// A record without what tells where and when it was written.
fn compared(value: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(value).unwrap();
    let schema = value.get_mut("schema").map(Value::take);
    let envelope = match value.get_mut("payload") {
        Some(payload) => payload.take(),
        None => value,
    };
    let mut envelope = envelope.as_object().unwrap().clone();
    for name in ["ts_ms", "ts_us", "ts_ns", "_file", "_pos", "_row"] {
        envelope.remove(name);
    }
    if let Some(source) = envelope.get_mut("source").and_then(Value::as_object_mut) {
        ["file", "pos", "row", "server_id"].iter().for_each(|name| drop(source.remove(*name)));
    }
    json!([schema, envelope])
}

/// Everything that a format writes of these rows is the same when it has been read.
fn is_read_back(batch: &Batch, format: &Format, reading: Reading, same_schema: bool) {
    let mut encoder = encoder(format.clone());
    let mut versions = Versions::default();
    for change in &batch.changes {
        let Some((key, value)) = written(&mut encoder, batch, change) else { continue };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let read =
            read_with(&mut versions, Some(&text(&key)), &text(&value), reading).unwrap_or_else(|e| panic!("{e:?}: {}", text(&value)));
        assert_eq!(read.events[0].time_us, TIME);
        let (key_again, again) = written(&mut encoder, &read, &read.changes[0]).unwrap();
        let (mut before, mut after) = (compared(&value), compared(&again));
        if !same_schema {
            (before[0], after[0]) = (Value::Null, Value::Null);
        }
        assert_eq!(after, before);
        let columns = |key: &[u8]| serde_json::from_slice::<Value>(key).map(|key| key.get("payload").cloned().unwrap_or(key)).unwrap();
        assert_eq!(columns(&key_again), columns(&key));
    }
}

fn modes() -> impl Strategy<Value = ValueModes> {
    let times = [TimeMode::Adaptive, TimeMode::AdaptiveMicroseconds, TimeMode::Connect, TimeMode::Nanoseconds, TimeMode::IsoString];
    let decimals = [DecimalMode::Precise, DecimalMode::String, DecimalMode::Double];
    let unsigned = [BigintUnsignedMode::Long, BigintUnsignedMode::Precise];
    let pick = prop::sample::select::<TimeMode>;
    (pick(times.to_vec()), prop::sample::select(decimals.to_vec()), prop::sample::select(unsigned.to_vec()))
        // a long number without a sign is read as the decimal that it is written as
        .prop_filter("one form of decimals", |(_, decimal, unsigned)| {
            *unsigned == BigintUnsignedMode::Long || *decimal == DecimalMode::Precise
        })
        .prop_map(|(time, decimal, bigint_unsigned)| ValueModes { time, decimal, bigint_unsigned, ..ValueModes::DEBEZIUM })
}

proptest! {
    #[test]
    fn what_debezium_with_schemas_holds_is_read_back((kinds, rows) in random_table(), values in modes()) {
        let format = Format { schemas: true, values, ..RecordFormat::Debezium.into() };
        is_read_back(&random(&kinds, &rows), &format, DEBEZIUM, false);
    }

    #[test]
    fn what_debezium_without_schemas_holds_is_read_back((kinds, rows) in random_table()) {
        is_read_back(&random(&kinds, &rows), &RecordFormat::Debezium.into(), DEBEZIUM, true);
    }

    #[test]
    fn what_flat_records_hold_is_read_back((kinds, rows) in random_table()) {
        is_read_back(&random(&kinds, &rows), &RecordFormat::Flat.into(), FLAT, true);
    }
}

/// The table of a record, with the columns' types.
fn described(table: &Table) -> String {
    let column = |column: &sluicegate_model::change::ColumnInfo| {
        let key = if column.primary_key { " key" } else { "" };
        let null = if column.nullable { "" } else { " not null" };
        format!("{} {:?} {}{null}{key}", column.name, column.data_type, column.native_type)
    };
    format!("{}: {}", table.name, table.columns.iter().map(column).collect::<Vec<_>>().join(", "))
}

fn envelope(before: &str, after: &str, op: &str) -> String {
    format!(
        r#"{{"before":{before},"after":{after},"source":{{"connector":"mysql","db":"shop","table":"orders","ts_ms":1709212455123}},"op":"{op}"}}"#
    )
}

#[test]
fn a_schema_says_what_the_columns_are() {
    let field =
        |of: &str, optional: bool, rest: &str, name: &str| format!(r#"{{"type":"{of}","optional":{optional}{rest},"field":"{name}"}}"#);
    let named = |name: &str, parameters: &str| format!(r#","name":"{name}","version":1{parameters}"#);
    let fields = [
        field("int32", false, "", "id"),
        field(
            "bytes",
            true,
            &named("org.apache.kafka.connect.data.Decimal", r#","parameters":{"scale":"2","connect.decimal.precision":"12"}"#),
            "amount",
        ),
        field("struct", true, &named("io.debezium.data.VariableScaleDecimal", ""), "any"),
        field("int64", true, &named("io.debezium.time.NanoTimestamp", ""), "at"),
        field("string", true, &named("io.debezium.data.Enum", r#","parameters":{"allowed":"a,b"}"#), "state"),
        field("array", true, r#","items":{"type":"string","optional":true}"#, "tags"),
    ];
    let row = |name: &str| format!(r#"{{"type":"struct","fields":[{}],"optional":true,"field":"{name}"}}"#, fields.join(","));
    let schema = format!(r#"{{"type":"struct","fields":[{},{}],"optional":false,"name":"e"}}"#, row("before"), row("after"));
    let after = r#"{"id":1,"amount":"+x4=","any":{"scale":3,"value":"Bw=="},"at":1709212455123456789,"state":"b","tags":["x",1]}"#;
    let value = format!(r#"{{"schema":{schema},"payload":{}}}"#, envelope("null", after, "c"));
    let key = r#"{"schema":{"type":"struct"},"payload":{"id":1}}"#;
    let batch = read(Some(key), &value, DEBEZIUM).unwrap();
    insta::assert_snapshot!(described(&batch.tables[0].table), @"shop.orders: id Int64 int not null key, amount Decimal decimal(12,2), any Decimal , at DateTime datetime(9), state Text , tags Json ");
    let mut out = Vec::new();
    encoder(RecordFormat::Plain.into()).value(&batch, &batch.changes[0], &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"{"id":1,"amount":"-12.50","any":"0.007","at":"2024-02-29 13:14:15.123456789","state":"b","tags":"[\"x\",1]"}"#);
    // a value that the schema does not have, and one that is not of its type
    let text = |after: &str| format!(r#"{{"schema":{schema},"payload":{}}}"#, envelope("null", after, "c"));
    for (after, what) in [
        (r#"{"id":1,"b":2}"#, "its row has a member that its schema does not have"),
        (r#"{"id":1,"id":2}"#, "its row has two members of one name"),
        (r#"{"id":null}"#, "its column `id` is null, which its schema does not allow"),
        (r#"{"id":2147483648}"#, "its column `id` holds a value that is not of its type"),
        (r#"{"id":1.0}"#, "its column `id` holds a value that is not of its type"),
        (r#"{"id":1,"amount":"x"}"#, "its column `amount` holds a value that is not of its type"),
    ] {
        assert_eq!(read(Some(key), &text(after), DEBEZIUM).unwrap_err().what, what, "{after}");
    }
    let absent = read(Some(key), &text(r#"{"id":1}"#), DEBEZIUM).unwrap();
    assert!(absent.tables[0].columns[1].is_absent(0), "what has no member was not sent");
}

#[test]
fn without_a_schema_the_values_say_what_the_columns_are() {
    let table = |before: &str, after: &str, numbers| {
        let batch = read(Some(r#"{"id":1}"#), &envelope(before, after, "u"), Reading { numbers, ..DEBEZIUM })?;
        Ok::<_, Unreadable>(described(&batch.tables[0].table))
    };
    let decimal = |before, after| table(before, after, TopicNumbers::Decimal);
    insta::assert_snapshot!(decimal(r#"{"id":1,"n":null}"#, r#"{"id":1,"n":-1,"u":18446744073709551615,"d":1.50,"b":true,"t":"x","o":{"a":[1.0]}}"#).unwrap(),
        @"shop.orders: id Int64 bigint not null key, n Int64 bigint, u UInt64 , d Decimal , b Boolean , t Text , o Json ");
    insta::assert_snapshot!(decimal(r#"{"id":1,"n":5,"u":1}"#, r#"{"id":1,"n":5.5,"u":18446744073709551615}"#).unwrap(),
        @"shop.orders: id Int64 bigint not null key, n Decimal , u UInt64 ");
    insta::assert_snapshot!(table(r#"{"id":1,"n":5}"#, r#"{"id":1,"n":5.5}"#, TopicNumbers::Double).unwrap(),
        @"shop.orders: id Int64 bigint not null key, n Float64 double");
    let error = decimal(r#"{"id":1,"n":5}"#, r#"{"id":1,"n":"x"}"#).unwrap_err();
    assert_eq!(error.what, "its column `n` is of one kind before the change and of another one after it");
    // a number that is not one of double precision is not rounded beside one that is
    let error = table(r#"{"id":1,"n":9007199254740993}"#, r#"{"id":1,"n":0.5}"#, TopicNumbers::Double).unwrap_err();
    assert_eq!(error.what, "its column `n` holds a value that is not of its type");
}

#[test]
fn digits_are_kept_as_they_are_written() {
    let batch = read(
        None,
        &envelope("null", r#"{"a":0.10000000000000000000001,"b":1.50,"c":1e3,"d":123456789012345678901234567890}"#, "c"),
        Reading { numbers: TopicNumbers::Decimal, ..DEBEZIUM },
    )
    .unwrap();
    let mut out = Vec::new();
    encoder(RecordFormat::Plain.into()).value(&batch, &batch.changes[0], &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"{"a":"0.10000000000000000000001","b":"1.50","c":"1000","d":"123456789012345678901234567890"}"#);
}

#[test]
fn the_same_columns_are_the_same_version_and_others_are_another() {
    let mut versions = Versions::default();
    let mut table = |after: &str, key: Option<&str>| {
        let batch = read_with(&mut versions, key, &envelope("null", after, "c"), DEBEZIUM).unwrap();
        batch.tables[0].table.clone()
    };
    let key = Some(r#"{"id":1}"#);
    let first = table(r#"{"id":1,"n":"x"}"#, key);
    assert!(Arc::ptr_eq(&first, &table(r#"{"id":2,"n":"y"}"#, key)));
    assert!(Arc::ptr_eq(&first, &table(r#"{"id":2,"n":null}"#, key)), "a null is of whatever type the column was");
    let more = table(r#"{"id":2,"n":"y","m":1}"#, key);
    assert!(!Arc::ptr_eq(&first, &more) && more.columns.len() == 3);
    assert!(!Arc::ptr_eq(&first, &table(r#"{"id":1,"n":"x"}"#, None)), "another key");
    assert!(!Arc::ptr_eq(&first, &table(r#"{"n":"x","id":1}"#, key)), "another order");
    assert_eq!(table(r#"{"id":1,"n":7}"#, key).columns[1].data_type, DataType::Int64);
    assert!(Arc::ptr_eq(&first, &table(r#"{"id":1,"n":"x"}"#, key)));
}

/// Tables that alternate, each with its schema, cost no new version.
#[test]
fn the_version_of_a_schema_is_known_again_whichever_table_came_between() {
    let mut versions = Versions::default();
    let mut table = |table: &str, of: &str, key: &str| {
        let row = format!(r#"{{"type":"struct","fields":[{{"type":"{of}","field":"id"}}],"field":"after"}}"#);
        let envelope = envelope("null", r#"{"id":1}"#, "c").replace("orders", table);
        let value = format!(r#"{{"schema":{{"type":"struct","fields":[{row}]}},"payload":{envelope}}}"#);
        let batch = read_with(&mut versions, Some(key), &value, DEBEZIUM).unwrap();
        batch.tables[0].table.clone()
    };
    let (key, none) = (r#"{"id":1}"#, "{}");
    let (orders, lines) = (table("orders", "int32", key), table("lines", "int64", key));
    let other = table("orders", "int64", key);
    assert_eq!((&*orders.name.table, &*lines.name.table), ("orders", "lines"));
    assert!(other.columns != orders.columns && other.columns == lines.columns, "the same schema is that of two tables");
    let unkeyed = table("orders", "int32", none);
    assert!(orders.has_key() && !unkeyed.has_key(), "the same schema with another key");
    for _ in 0..2 {
        for (known, name, of, key) in [
            (&orders, "orders", "int32", key),
            (&lines, "lines", "int64", key),
            (&other, "orders", "int64", key),
            (&unkeyed, "orders", "int32", none),
        ] {
            assert!(Arc::ptr_eq(known, &table(name, of, key)), "{name} {of} {key}");
        }
    }
    assert_eq!(versions.sizes().0, 4);
}

#[test]
fn versions_are_remembered_up_to_their_bytes() {
    let mut versions = Versions::default();
    let mut began_anew = 0;
    for n in 0..40 {
        let columns: Vec<String> = (0..1000).map(|column| format!(r#""{n}_{column}_{}":1"#, "n".repeat(1000))).collect();
        let after = format!("{{{}}}", columns.join(","));
        let before = versions.sizes();
        for _ in 0..2 {
            let batch =
                read_with(&mut versions, None, &envelope("null", &after, "c"), Reading { most_bytes: 4 << 20, ..DEBEZIUM }).unwrap();
            assert_eq!(batch.tables[0].table.columns.len(), 1000);
        }
        began_anew += usize::from(versions.sizes().0 <= before.0);
        assert!(versions.sizes().1 <= KAFKA_VERSION_BYTES);
    }
    assert!((1..10).contains(&began_anew), "{began_anew}");
}

#[test]
fn names_and_keys_are_bounded() {
    let long = "n".repeat(KAFKA_NAME_BYTES + 1);
    let row = envelope("null", r#"{"id":1}"#, "c");
    let keys: Vec<String> = (0..=KAFKA_KEY_COLUMNS).map(|n| format!(r#""c{n}":1"#)).collect();
    let all = envelope("null", &format!("{{{}}}", keys.join(",")), "c");
    let (key, most) = (format!("{{{}}}", keys.join(",")), format!("{{{}}}", keys[1..].join(",")));
    let schema = |key: &str| format!(r#"{{"schema":{{}},"payload":{key}}}"#);
    assert!(read(Some(&most), &all, DEBEZIUM).is_ok() && read(Some(&schema(&most)), &all, DEBEZIUM).is_ok());
    let with_name = |name: &str| envelope("null", &format!(r#"{{"{name}":1}}"#), "c");
    assert!(read(None, &with_name(&long[1..]), DEBEZIUM).is_ok() && read(None, &row.replace("orders", &long[1..]), DEBEZIUM).is_ok());
    for (key, value, what) in [
        (Some(&key), &all, "its key has more than 256 members"),
        (Some(&schema(&key)), &all, "its key has more than 256 members"),
        (None, &with_name(&long), "has a name of more than 1024 bytes"),
        (None, &row.replace("shop", &long), "its table has a name of more than 1024 bytes"),
        (None, &row.replace("orders", &long), "its table has a name of more than 1024 bytes"),
    ] {
        let error = read(key.map(String::as_str), value, DEBEZIUM).unwrap_err();
        assert!(error.what.ends_with(what) && error.remedy.is_some(), "{error:?}");
    }
}

/// Whether the version of the last row is found by a look at the row alone, or its columns are looked for: it is the same.
#[test]
fn rows_that_lack_or_change_members_are_of_the_version_that_their_values_say() {
    let mut versions = Versions::default();
    let mut table = |before: &str, after: &str| {
        let reading = Reading { numbers: TopicNumbers::Decimal, ..DEBEZIUM };
        let batch = read_with(&mut versions, Some(r#"{"id":1}"#), &envelope(before, after, "u"), reading).unwrap();
        described(&batch.tables[0].table)
    };
    let first = table(r#"{"id":1,"n":5,"t":null}"#, r#"{"id":1,"n":6,"t":"x"}"#);
    assert_eq!(first, "shop.orders: id Int64 bigint not null key, n Int64 bigint, t Text ");
    for (before, after) in [
        (r#"{"id":1,"n":null,"t":null}"#, r#"{"id":1,"n":null,"t":null}"#),
        (r#"{"t":"x","n":5,"id":1}"#, r#"{"id":1,"n":5,"t":"x"}"#),
        (r#"{"id":1}"#, r#"{"id":1,"n":5,"t":"x"}"#),
    ] {
        assert_eq!(table(before, after), first, "{before} {after}");
    }
    for (before, after, other) in [
        (r#"{"id":1,"n":5,"t":"x"}"#, r#"{"id":1,"n":5.5,"t":"x"}"#, "id Int64 bigint not null key, n Decimal , t Text "),
        (r#"{"id":null,"n":5,"t":"x"}"#, r#"{"id":1,"n":5,"t":"x"}"#, "id Int64 bigint key, n Int64 bigint, t Text "),
        (r#"{"id":1,"n":5,"t":"x"}"#, r#"{"id":1,"n":5}"#, "id Int64 bigint not null key, n Int64 bigint, t Text "),
        (r#"{"id":1,"t":"x","n":5}"#, r#"{"id":1,"t":"x","n":5}"#, "id Int64 bigint not null key, t Text , n Int64 bigint"),
    ] {
        assert_eq!(table(before, after), format!("shop.orders: {other}"), "{before} {after}");
        assert_eq!(table(r#"{"id":1,"n":5,"t":"x"}"#, r#"{"id":1,"n":6,"t":"x"}"#), first);
    }
}

#[test]
fn rows_before_a_change_are_relied_on_as_far_as_the_settings_say() {
    let update = envelope("null", r#"{"id":1,"n":"x"}"#, "u");
    let key = Some(r#"{"id":1}"#);
    let error = read(key, &update, DEBEZIUM).unwrap_err();
    assert_eq!(error.what, "it lacks the row before the change");
    let deletes = Reading { images: TopicImages::Deletes, ..DEBEZIUM };
    let batch = read(key, &update, deletes).unwrap();
    assert_eq!((batch.changes[0].operation, batch.changes[0].before), (Operation::Update, NO_IMAGE));
    // PostgreSQL writes the rest of the row as null, or as zero
    let delete = envelope(r#"{"id":1,"n":null,"m":0}"#, "null", "d");
    let batch = read(key, &delete, deletes).unwrap();
    let absent: Vec<bool> = batch.tables[0].columns.iter().map(|column| column.is_absent(0)).collect();
    assert_eq!(absent, [false, true, true]);
    let whole = read(key, &delete, DEBEZIUM).unwrap();
    assert!(!whole.tables[0].columns[1].is_absent(0));
}

#[test]
fn a_placeholder_for_a_value_that_was_not_sent_is_no_value() {
    let after = r#"{"id":1,"n":"__debezium_unavailable_value"}"#;
    let record = envelope("null", after, "c");
    let absent = |record: &str| read(Some(r#"{"id":1}"#), record, DEBEZIUM).unwrap().tables[0].columns[1].is_absent(0);
    assert!(absent(&record.replace("mysql", "postgresql")));
    assert!(!absent(&record), "connectors that always send it may have it as a value");
}

#[test]
fn a_placeholder_stands_for_a_value_in_every_form_that_a_connector_writes() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = crate::kind::UNAVAILABLE;
    let absent = |value: &str| {
        let record = envelope("null", &format!(r#"{{"id":1,"n":{value}}}"#), "c").replace("mysql", "postgresql");
        read(Some(r#"{"id":1}"#), &record, DEBEZIUM).unwrap().tables[0].columns[1].is_absent(0)
    };
    let numbers: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    let base64 = STANDARD.encode(text);
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    for value in [
        format!(r#"["{text}"]"#),
        r#"["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]"#.to_owned(),
        format!("[{}]", numbers.join(", ")),
        format!(r#"{{"{text}":"{text}"}}"#),
        format!(r#""{{\"{text}\":\"{text}\"}}""#),
        format!(r#""{base64}""#),
        format!(r#""{hex}""#),
        format!(r#"{{"wkb":"{base64}","srid":null}}"#),
    ] {
        assert!(absent(&value), "{value}");
    }
    for value in [
        format!(r#"["{text}","x"]"#),
        format!("[{}]", numbers[1..].join(",")),
        format!("[{},1]", numbers.join(",")),
        format!(r#"{{"{text}":"{text}","a":"b"}}"#),
        format!(r#"{{"a":"{text}"}}"#),
        r#"{"wkb":"AAAA","srid":null}"#.to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!(r#""{text}.""#),
    ] {
        assert!(!absent(&value), "{value}");
    }
}

#[test]
fn rows_of_postgresql_before_a_change_are_only_read_as_the_user_says() {
    let key = Some(r#"{"id":1}"#);
    let unset = Reading { images_chosen: false, ..DEBEZIUM };
    let row = r#"{"id":1,"n":null}"#;
    for (before, after, operation) in [(row, "null", "d"), (row, r#"{"id":2,"n":3}"#, "u")] {
        let record = envelope(before, after, operation);
        assert!(read(key, &record, unset).is_ok(), "MySQL's rows are whole");
        let record = record.replace("mysql", "postgresql");
        let error = read(key, &record, unset).unwrap_err();
        assert!(error.what.contains("unless the table has REPLICA IDENTITY FULL") && error.remedy.is_some(), "{error:?}");
        assert!(read(key, &record, DEBEZIUM).is_ok());
        assert!(read(key, &record, Reading { images: TopicImages::Deletes, ..DEBEZIUM }).is_ok());
    }
    assert!(read(key, &envelope("null", row, "c").replace("mysql", "postgresql"), unset).is_ok());
}

#[test]
fn what_is_no_record_of_a_row_is_told_without_its_values() {
    let row = envelope("null", r#"{"id":1}"#, "c");
    for (key, value, reading, what) in [
        (None, "s3cret", DEBEZIUM, "it is not JSON"),
        (None, "[\"s3cret\"]", DEBEZIUM, "it is no JSON object"),
        (None, r#"{"ts_ms":1}"#, DEBEZIUM, "it is no Debezium envelope: it has no `op`"),
        (None, r#"{"op":"c","after":{"id":1}}"#, DEBEZIUM, "it is no Debezium envelope: it has no `source`"),
        (
            None,
            r#"{"op":"c","after":{"id":1},"source":{}}"#,
            DEBEZIUM,
            "it is no Debezium envelope: its `source` names no database and table",
        ),
        (None, &row.replace("\"c\"", "\"m\""), DEBEZIUM, "it is no Debezium envelope: its `op` is none of `c`, `u`, `d`, `r` and `t`"),
        (None, &envelope("null", "null", "c"), DEBEZIUM, "it is no Debezium envelope: it has no `after`"),
        (Some("s3cret"), &row, DEBEZIUM, "its key is no JSON object of columns"),
        (Some("\"s3cret\""), &row, DEBEZIUM, "its key is no JSON object of columns"),
        (Some(r#"{"s3cret":1}"#), &row, DEBEZIUM, "its key has a member that is no column of its row"),
        (None, &row.replace("1709212455123", "1.5"), DEBEZIUM, "it is no Debezium envelope: its `source` has a time that is none"),
        (
            None,
            &row.replace("1709212455123", "9223372036854775807"),
            DEBEZIUM,
            "it is no Debezium envelope: its `source` has a time that is none",
        ),
        (None, r#"{"_op":"c","_database":"d","_table":"t","_ts":"s3cret","id":1}"#, FLAT, "it is no flat record: its `_ts` is no instant"),
        (None, &row, FLAT, "it is no flat record: it has no `_op`"),
        (None, r#"{"_op":"c","id":1}"#, FLAT, "it is no flat record: it has no `_database` and `_table`"),
        (None, r#"{"_op":"c","_op":"c"}"#, FLAT, "it is no flat record: it has two members of one name"),
        (None, &row, Reading { most_bytes: 20, ..DEBEZIUM }, "it has more than 20 bytes"),
    ] {
        assert_eq!(read(key, value, reading).unwrap_err().what, what);
    }
    let large = format!(r#"{{"id":[{}1]}}"#, "1e400,".repeat(100));
    let bytes = Reading { most_bytes: 2000, numbers: TopicNumbers::Decimal, ..DEBEZIUM };
    assert!(read(None, &envelope("null", &large, "c"), bytes).is_ok(), "nested values keep their text");
    let many: Vec<String> = (0..20).map(|i| format!(r#""c{i}":1e399"#)).collect();
    let error = read(None, &envelope("null", &format!("{{{}}}", many.join(",")), "c"), bytes).unwrap_err();
    assert_eq!(error.what, "its row has more than 2000 bytes");
}

#[test]
fn a_key_and_a_tombstone() {
    let mut versions = Versions::default();
    assert!(matches!(record::read(Some(b"{\"id\":1}"), None, DEBEZIUM, &mut versions), Ok(Record::Tombstone)));
    let truncate = envelope("null", "null", "t");
    let read = record::read(None, Some(truncate.as_bytes()), DEBEZIUM, &mut versions);
    assert!(matches!(read, Ok(Record::Truncate { time_us: Some(1_709_212_455_123_000), .. })), "{read:?}");
    // a column of the names that a key with its schema has
    let row = envelope("null", r#"{"schema":1,"payload":2}"#, "c");
    let batch = read_with(&mut versions, Some(r#"{"schema":1,"payload":2}"#), &row, DEBEZIUM).unwrap();
    assert_eq!(batch.tables[0].table.key().count(), 2);
}
