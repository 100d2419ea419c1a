//! Avro, read back by another implementation of it.

use std::sync::Arc;

use apache_avro::{Schema, from_avro_datum, types::Value as Avro};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use sluicegate_samples::rows::{KINDS, random, random_table};

use super::{
    random::{json_of, micros},
    schema_ids::{Ids, framed, topic, with_registry},
    *,
};
use crate::AvroFormat;
use sluicegate_config::{BinaryMode, Envelope, LabelMode, Subject, TimeMode, ValueModes};
use sluicegate_model::{
    Error, ErrorKind,
    change::{Strings, Truncate},
};

/// What is framed, read by the schema that its id names.
fn decode(ids: &Ids, framed: &[u8]) -> Avro {
    let (_, schema, mut rest) = ids.of(framed);
    let parsed = Schema::parse_str(&schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
    let value = from_avro_datum(&parsed, &mut rest, None).unwrap_or_else(|error| panic!("{schema}: {error}"));
    assert!(rest.is_empty(), "{} bytes are left", rest.len());
    value
}

fn avro_format(ids: &Arc<Ids>, envelope: Envelope, values: ValueModes, subject: Subject) -> AvroFormat {
    AvroFormat::new(&with_registry(RecordFormat::Avro, envelope, values, subject), "shop", "mysql", ids.clone())
        .with_clock(|| TIME + 1_000_001)
}

/// The modes that an envelope has without settings.
fn modes(envelope: Envelope) -> ValueModes {
    if envelope == Envelope::Flat { ValueModes::TYPED } else { ValueModes::DEBEZIUM }
}

fn member<'a>(record: &'a Avro, name: &str) -> &'a Avro {
    let Avro::Record(members) = bare(record) else { panic!("{record:?} is no record") };
    bare(&members.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name} in {record:?}")).1)
}

/// Without the unions around it.
fn bare(value: &Avro) -> &Avro {
    if let Avro::Union(_, inner) = value { bare(inner) } else { value }
}

/// Whether an Avro value is what a JSON record has.
fn assert_same(json: &Value, avro: &Avro, at: &str) {
    let same = match (json, bare(avro)) {
        (Value::Null, Avro::Null) => true,
        (Value::Bool(one), Avro::Boolean(other)) => one == other,
        (Value::Number(one), Avro::Int(other) | Avro::Date(other) | Avro::TimeMillis(other)) => one.as_i64() == Some((*other).into()),
        (
            Value::Number(one),
            Avro::Long(other)
            | Avro::TimestampMillis(other)
            | Avro::TimestampMicros(other)
            | Avro::LocalTimestampMillis(other)
            | Avro::LocalTimestampMicros(other)
            | Avro::TimestampNanos(other)
            | Avro::LocalTimestampNanos(other),
        ) => one.as_i64() == Some(*other),
        (Value::Number(one), Avro::Float(other)) => one.as_f64().unwrap() as f32 == *other,
        // the parser of the test is not exact in the last digit
        (Value::Number(one), Avro::Double(other)) => (one.as_f64().unwrap() - other).abs() <= other.abs() * 4e-16,
        // what JSON writes as text although it is an instant
        (Value::String(one), Avro::TimestampMillis(other)) => micros(one).div_euclid(1000) == *other,
        (Value::String(one), Avro::TimestampMicros(other)) => micros(one) == *other,
        (Value::String(one), Avro::String(other)) => one == other,
        (Value::String(one), Avro::Uuid(other)) => *one == other.to_string(),
        (Value::String(one), Avro::Bytes(other)) => STANDARD.decode(one).unwrap() == *other,
        (Value::String(one), Avro::Decimal(other)) => {
            let bytes: Vec<u8> = other.try_into().unwrap();
            STANDARD.decode(one).unwrap() == bytes
        }
        (Value::Array(ones), Avro::Array(others)) => {
            assert_eq!(ones.len(), others.len(), "{at}");
            ones.iter().zip(others).for_each(|(one, other)| assert_same(one, other, at));
            true
        }
        (Value::Object(ones), Avro::Record(others)) => {
            for (name, other) in others {
                assert_same(ones.get(name).unwrap_or(&Value::Null), other, &format!("{at}.{name}"));
            }
            ones.keys().for_each(|name| assert!(others.iter().any(|(other, _)| other == name), "{at}.{name} is missing"));
            true
        }
        _ => false,
    };
    assert!(same, "{at}: {json} is not {avro:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_envelope_reads_back_as_the_one_of_json((kinds, rows) in random_table()) {
        let batch = random(&kinds, &rows);
        let ids = Arc::new(Ids::default());
        let mut encoder = avro_format(&ids, Envelope::Debezium, ValueModes::DEBEZIUM, Subject::Topic).encoder();
        for (json, record) in json_of(&batch, RecordFormat::Debezium, ValueModes::DEBEZIUM).iter().zip(framed(&mut encoder, &batch)) {
            assert_same(json, &decode(&ids, &record), "record");
        }
        let mut key = Vec::new();
        encoder.key(&batch, 0, 0, &mut key).unwrap();
        assert_same(&json_of(&batch, RecordFormat::Debezium, ValueModes::DEBEZIUM)[0]["after"]["c0"], member(&decode(&ids, &key), "c0"), "key");
    }

    #[test]
    fn every_flat_row_reads_back_as_the_one_of_json((kinds, rows) in random_table()) {
        let batch = random(&kinds, &rows);
        let ids = Arc::new(Ids::default());
        let mut encoder = avro_format(&ids, Envelope::Flat, ValueModes::TYPED, Subject::Topic).encoder();
        for (mut json, record) in json_of(&batch, RecordFormat::Flat, ValueModes::TYPED).into_iter().zip(framed(&mut encoder, &batch)) {
            json["_absent"] = Value::Array(Vec::new());
            json["_gtid"] = Value::Null;
            assert_same(&json, &decode(&ids, &record), "record");
        }
    }

}

#[test]
fn all_options_of_values_read_back() {
    let kinds: Vec<(usize, bool)> = (0..KINDS.len()).map(|kind| (kind, true)).collect();
    let batch = random(&kinds, &[vec![3], vec![1 << 40 | 7]]);
    let text = ValueModes { bigint_unsigned: sluicegate_config::BigintUnsignedMode::Long, ..ValueModes::default() };
    for values in [
        text,
        ValueModes { decimal: sluicegate_config::DecimalMode::Double, binary: BinaryMode::Hex, ..text },
        ValueModes { time: TimeMode::IsoString, binary: BinaryMode::Base64UrlSafe, ..text },
        ValueModes { time: TimeMode::Nanoseconds, labels: LabelMode::Numbers, ..text },
        ValueModes { geometry: sluicegate_config::GeometryMode::GeoJson, time: TimeMode::Adaptive, ..ValueModes::TYPED },
        ValueModes { geometry: sluicegate_config::GeometryMode::Wkb, time: TimeMode::Microseconds, ..ValueModes::DEBEZIUM },
    ] {
        let ids = Arc::new(Ids::default());
        let format = avro_format(&ids, Envelope::Debezium, values, Subject::Topic);
        let batch = if values.time == TimeMode::Nanoseconds { in_this_century(&batch) } else { batch.clone() };
        for (json, record) in json_of(&batch, RecordFormat::Debezium, values).iter().zip(framed(&mut format.encoder(), &batch)) {
            let (_, _, rest) = ids.of(&record);
            assert!(!rest.is_empty());
            // bytes that are text in JSON, too, are compared as text
            assert_same(json, &decode(&ids, &record), "record");
        }
    }
}

/// The same with dates that 64 bits of nanoseconds can hold.
fn in_this_century(batch: &Batch) -> Batch {
    let mut batch = batch.clone();
    let rows = &mut batch.tables[0];
    let table = rows.table.clone();
    for (column, info) in rows.columns.iter_mut().zip(&table.columns) {
        if let (DataType::DateTime | DataType::Timestamp, Values::Text(text)) = (info.data_type, &mut column.values) {
            for at in text.offsets.clone() {
                if let Some(year) = text.data.get_mut(at as usize..at as usize + 4) {
                    year.copy_from_slice(b"2024");
                }
            }
        }
    }
    batch
}

#[test]
fn debezium_schemas_are_those_of_confluents_converter() {
    let batch = random(&[(3, false), (14, true), (18, true), (31, true), (25, false), (33, false)], &[vec![4]]);
    let ids = Arc::new(Ids::default());
    let mut encoder = avro_format(&ids, Envelope::Debezium, ValueModes::DEBEZIUM, Subject::Topic).encoder();
    framed(&mut encoder, &batch);
    encoder.key(&batch, 0, 0, &mut Vec::new()).unwrap();
    let known = ids.known.lock().unwrap();
    let [(value, value_schema), (key, key_schema)] = &known[..] else { panic!("{known:?}") };
    assert_eq!((value.as_str(), key.as_str()), ("shop.orders-value", "shop.orders-key"));
    let pretty = |text: &str| text.replace("{\"name\":", "\n{\"name\":");
    insta::assert_snapshot!(pretty(key_schema), @r#"
    {"type":"record","name":"Key","namespace":"shop.shop.orders","fields":[
    {"name":"c0","type":"int"}],"connect.name":"shop.shop.orders.Key"}
    "#);
    let typed = |of: &str, name: &str| serde_json::json!({ "type": of, "connect.version": 1, "connect.name": name });
    let plain = |name: &str, of: Value| serde_json::json!({ "name": name, "type": of });
    let optional = |name: &str, of: Value| serde_json::json!({ "name": name, "type": ["null", of], "default": null });
    let decimal = serde_json::json!({
        "type": "bytes", "scale": 2, "precision": 12, "connect.version": 1,
        "connect.parameters": { "scale": "2", "connect.decimal.precision": "12" },
        "connect.name": "org.apache.kafka.connect.data.Decimal", "logicalType": "decimal"
    });
    let row = serde_json::json!({
        "type": "record", "name": "Value", "namespace": "shop.shop.orders", "fields": [
            plain("c0", "int".into()),
            optional("c1", decimal),
            optional("c2", "string".into()),
            optional("c3", typed("long", "io.debezium.time.MicroTimestamp")),
            plain("c4", typed("int", "io.debezium.time.Date")),
            plain("c5", typed("string", "io.debezium.time.ZonedTimestamp")),
        ], "connect.name": "shop.shop.orders.Value"
    });
    let snapshot = serde_json::json!([{
        "type": "string", "connect.version": 1,
        "connect.parameters": { "allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental" },
        "connect.default": "false", "connect.name": "io.debezium.data.Enum"
    }, "null"]);
    let source = serde_json::json!({
        "type": "record", "name": "Source", "namespace": "io.debezium.connector.mysql", "fields": [
            plain("version", "string".into()), plain("connector", "string".into()), plain("name", "string".into()),
            plain("ts_ms", "long".into()), { "name": "snapshot", "type": snapshot, "default": "false" },
            plain("db", "string".into()), optional("sequence", "string".into()),
            optional("ts_us", "long".into()), optional("ts_ns", "long".into()),
            optional("table", "string".into()), plain("server_id", "long".into()), optional("gtid", "string".into()),
            plain("file", "string".into()), plain("pos", "long".into()), plain("row", "int".into()),
            optional("thread", "long".into()), optional("query", "string".into()),
        ], "connect.name": "io.debezium.connector.mysql.Source"
    });
    let block = serde_json::json!({
        "type": "record", "name": "block", "namespace": "event",
        "fields": [plain("id", "string".into()), plain("total_order", "long".into()), plain("data_collection_order", "long".into())],
        "connect.version": 1, "connect.name": "event.block"
    });
    let expected = serde_json::json!({
        "type": "record", "name": "Envelope", "namespace": "shop.shop.orders", "fields": [
            optional("before", row), optional("after", "shop.shop.orders.Value".into()), plain("source", source),
            optional("transaction", block), plain("op", "string".into()),
            optional("ts_ms", "long".into()), optional("ts_us", "long".into()), optional("ts_ns", "long".into()),
        ], "connect.version": 2, "connect.name": "shop.shop.orders.Envelope"
    });
    assert_eq!(serde_json::from_str::<Value>(value_schema).unwrap(), expected);
}

#[test]
fn flat_schemas_have_avros_logical_types() {
    let batch = random(&[(3, false), (7, true), (14, true), (29, true), (25, false), (33, false), (28, true), (21, true)], &[vec![4]]);
    let ids = Arc::new(Ids::default());
    framed(&mut avro_format(&ids, Envelope::Flat, ValueModes::TYPED, Subject::Topic).encoder(), &batch);
    let known = ids.known.lock().unwrap();
    insta::assert_snapshot!(known[0].1.replace("{\"name\":", "\n{\"name\":"), @r#"
    {"type":"record","name":"Row","namespace":"shop.shop.orders","fields":[
    {"name":"_op","type":"string"},
    {"name":"_database","type":"string"},
    {"name":"_table","type":"string"},
    {"name":"_ts","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"_gtid","type":["null","string"],"default":null},
    {"name":"_file","type":["null","string"],"default":null},
    {"name":"_pos","type":"long"},
    {"name":"_row","type":"int"},
    {"name":"_absent","type":{"type":"array","items":"string"},"default":[]},
    {"name":"c0","type":["null","int"],"default":null},
    {"name":"c1","type":["null",{"type":"bytes","logicalType":"decimal","precision":20,"scale":0}],"default":null},
    {"name":"c2","type":["null",{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}],"default":null},
    {"name":"c3","type":["null",{"type":"long","logicalType":"local-timestamp-millis"}],"default":null},
    {"name":"c4","type":["null",{"type":"int","logicalType":"date"}],"default":null},
    {"name":"c5","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null},
    {"name":"c6","type":["null","long"],"default":null},
    {"name":"c7","type":["null",{"type":"string","logicalType":"uuid"}],"default":null}]}
    "#);
}

#[test]
fn subjects_are_made_of_topics_records_or_both() {
    let batch = random(&[(3, false)], &[vec![4]]);
    for (subject, expected) in [
        (Subject::Topic, ["shop.orders-value", "shop.orders-key"]),
        (Subject::Record, ["shop.shop.orders.Envelope", "shop.shop.orders.Key"]),
        (Subject::TopicRecord, ["shop.orders-shop.shop.orders.Envelope", "shop.orders-shop.shop.orders.Key"]),
    ] {
        let ids = Arc::new(Ids::default());
        let mut encoder = avro_format(&ids, Envelope::Debezium, ValueModes::DEBEZIUM, subject).encoder();
        framed(&mut encoder, &batch);
        encoder.key(&batch, 0, 0, &mut Vec::new()).unwrap();
        assert_eq!(ids.subjects(), expected);
    }
}

#[test]
fn records_of_other_topics_have_the_ids_of_their_subjects() {
    let batch = random(&[(3, false)], &[vec![4]]);
    let ids = Arc::new(Ids::default());
    let mut encoder = avro_format(&ids, Envelope::Debezium, ValueModes::DEBEZIUM, Subject::Topic).encoder();
    let mut fronts = Vec::new();
    for topic in ["a", "b", "a"].map(Arc::<str>::from) {
        let mut out = Vec::new();
        encoder.table(&batch, 0).aim(&topic);
        encoder.value(&batch, &batch.changes[0], &mut out).unwrap();
        fronts.push(out[..5].to_vec());
    }
    assert_eq!(fronts, [[0, 0, 0, 0, 7], [0, 0, 0, 0, 8], [0, 0, 0, 0, 7]]);
    assert_eq!(ids.subjects(), ["a-value", "b-value"]);
}

fn renamed(names: &[&str]) -> Table {
    Table {
        name: TableName::new("shop", "t"),
        destination: None,
        columns: names.iter().map(|name| column(name, DataType::Int64)).collect(),
    }
}

#[test]
fn names_that_would_be_the_same_are_refused() {
    let ids = Arc::new(Ids::default());
    let flat = avro_format(&ids, Envelope::Flat, ValueModes::TYPED, Subject::Record);
    assert!(flat.check(&renamed(&["id", "_op", "__op", "_absent", "größe"])).is_ok());
    let error = flat.check(&renamed(&["a-b", "a b"])).unwrap_err();
    insta::assert_snapshot!(error, @"columns `a-b` and `a b` of table shop.t would have the same name in Avro
  remedy: rename one of them with the `map-names` plugin: Avro has letters of ASCII, digits and `_`");
    let other = Table { name: TableName::new("shop", "a-t"), ..renamed(&["id"]) };
    flat.check(&other).unwrap();
    flat.check(&other).unwrap();
    let clash = Table { name: TableName::new("shop", "a_t"), ..renamed(&["id"]) };
    insta::assert_snapshot!(flat.check(&clash).unwrap_err(), @"tables shop.a-t and shop.a_t would have records of the same name, `shop.shop.a_t`, and so the same subjects
  remedy: rename one of them with the `map-names` plugin, or write `subject: topic`, where topics tell them apart");
    // topics tell them apart
    let by_topic = avro_format(&ids, Envelope::Flat, ValueModes::TYPED, Subject::Topic);
    by_topic.check(&other).and_then(|()| by_topic.check(&clash)).unwrap();
}

#[test]
fn what_the_source_did_not_send_is_named_in_flat_rows_and_refused_in_an_envelope() {
    let mut batch = random(&[(3, false), (18, false)], &[vec![4]]);
    let column = &mut batch.tables[0].columns[1];
    column.nulls.set(0);
    column.absent.set(0);
    for (envelope, expected) in [(Envelope::Flat, Ok(())), (Envelope::Debezium, Err(ErrorKind::Record))] {
        let ids = Arc::new(Ids::default());
        let mut encoder = avro_format(&ids, envelope, modes(envelope), Subject::Topic).encoder();
        encoder.table(&batch, 0).aim(&topic());
        let mut out = Vec::new();
        let written = encoder.value(&batch, &batch.changes[0], &mut out);
        assert_eq!(written.as_ref().map(|_| ()).map_err(Error::kind), expected);
        if written.is_ok() {
            let record = decode(&ids, &out);
            assert_eq!(member(&record, "_absent"), &Avro::Array(vec![Avro::String("c1".into())]));
            assert_eq!(member(&record, "c1"), &Avro::Null);
        } else {
            assert!(out.is_empty());
        }
    }
}

#[test]
fn an_emptied_table_is_a_record_without_a_row() {
    for envelope in [Envelope::Debezium, Envelope::Flat] {
        let batch = random(&[(3, false), (18, false)], &[vec![4]]);
        let ids = Arc::new(Ids::default());
        let mut encoder = avro_format(&ids, envelope, modes(envelope), Subject::Topic).encoder();
        let table = batch.tables[0].table.clone();
        let truncate = Truncate { table: table.clone(), transaction: batch.transactions[0].clone(), event: batch.events[0].clone() };
        encoder.aim(&table, &topic());
        let mut out = Vec::new();
        encoder.truncate_value(&truncate, &mut out).unwrap();
        let record = decode(&ids, &out);
        let empty = match envelope {
            Envelope::Debezium => ["before", "after"],
            Envelope::Flat => ["c0", "c1"],
        };
        empty.iter().for_each(|name| assert_eq!(member(&record, name), &Avro::Null));
        let op = if envelope == Envelope::Flat { "_op" } else { "op" };
        assert_eq!(member(&record, op), &Avro::String("t".into()));
    }
}

#[test]
fn a_date_that_no_calendar_has_is_null_or_1970() {
    for (nullable, expected) in [(true, Avro::Null), (false, Avro::Int(0))] {
        let mut batch = random(&[(3, false), (25, nullable)], &[vec![4]]);
        let mut strings = Strings::default();
        strings.push(b"0000-00-00");
        batch.tables[0].columns[1] = plain(Values::Text(strings));
        let ids = Arc::new(Ids::default());
        let mut encoder = avro_format(&ids, Envelope::Debezium, ValueModes::DEBEZIUM, Subject::Topic).encoder();
        let record = decode(&ids, &framed(&mut encoder, &batch)[0]);
        assert_eq!(member(member(&record, "after"), "c1"), &expected);
    }
}

#[test]
fn plugin_versions_are_a_member_where_the_sink_says_so() {
    for envelope in [Envelope::Debezium, Envelope::Flat] {
        let mut batch = random(&[(3, false)], &[vec![4]]);
        batch.versions = Some("mask@1".into());
        let ids = Arc::new(Ids::default());
        let mut encoder = avro_format(&ids, envelope, modes(envelope), Subject::Topic).with_versions().encoder();
        let record = decode(&ids, &framed(&mut encoder, &batch)[0]);
        let name = if envelope == Envelope::Flat { "_plugins" } else { "plugins" };
        assert_eq!(member(&record, name), &Avro::String("mask@1".into()));
    }
}

#[test]
fn a_schema_that_is_refused_leaves_nothing_of_the_record() {
    let batch = random(&[(3, false)], &[vec![4]]);
    let ids = Arc::new(Ids { refuses: true, ..Ids::default() });
    let mut encoder = avro_format(&ids, Envelope::Debezium, ValueModes::DEBEZIUM, Subject::Topic).encoder();
    encoder.table(&batch, 0).aim(&topic());
    let mut out = Vec::new();
    assert_eq!(encoder.value(&batch, &batch.changes[0], &mut out).unwrap_err().kind(), ErrorKind::Record);
    assert_eq!(encoder.key(&batch, 0, 0, &mut out).unwrap_err().kind(), ErrorKind::Record);
    assert!(out.is_empty());
}
