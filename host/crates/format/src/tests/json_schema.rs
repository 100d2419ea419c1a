//! Documents of JSON against the schemas that their ids name.

use sluicegate_samples::rows::{KINDS, random, random_table};

use super::{
    random::json_of,
    schema_ids::{Ids, framed, topic, with_registry},
    *,
};
use crate::JsonSchemaFormat;
use sluicegate_config::{
    BigintUnsignedMode, BinaryMode, DecimalMode, Envelope, GeometryMode, KeyColumns, LabelMode, RecordKeys, Subject, TimeMode, ValueModes,
};
use sluicegate_model::{
    Error, ErrorKind,
    change::{Capabilities, Strings, Truncate},
};

const WHOLE: Capabilities = Capabilities { before_images: sluicegate_model::change::BeforeImages::Whole, absent: false };
const PARTIAL: Capabilities = Capabilities { absent: true, ..WHOLE };

fn format(ids: &Arc<Ids>, envelope: Envelope, values: ValueModes, capabilities: Capabilities) -> JsonSchemaFormat {
    of_subject(ids, envelope, values, capabilities, Subject::Topic)
}

fn of_subject(ids: &Arc<Ids>, envelope: Envelope, values: ValueModes, capabilities: Capabilities, subject: Subject) -> JsonSchemaFormat {
    let settings = with_registry(RecordFormat::JsonSchema, envelope, values, subject);
    JsonSchemaFormat::new(&settings, "shop", "mysql", capabilities, ids.clone()).with_clock(|| TIME + 1_000_001)
}

/// The modes that an envelope has without settings.
fn modes(envelope: Envelope) -> ValueModes {
    if envelope == Envelope::Flat { ValueModes::default() } else { ValueModes::DEBEZIUM }
}

/// What a schema says against a value: the keywords that our schemas have; any other is a failure of the test.
fn refusal(schema: &Value, value: &Value) -> Option<String> {
    let members = schema.as_object().unwrap();
    members.iter().find_map(|(keyword, wanted)| match keyword.as_str() {
        "$schema" | "title" | "description" | "default" | "contentEncoding" => None,
        "connect.index" | "connect.type" | "connect.version" | "connect.parameters" => None,
        "type" => {
            let fits = match wanted.as_str().unwrap() {
                "null" => value.is_null(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                "string" => value.is_string(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("type {other}"),
            };
            (!fits).then(|| format!("{value} is no {wanted}"))
        }
        "oneOf" => {
            let said: Vec<Option<String>> = wanted.as_array().unwrap().iter().map(|one| refusal(one, value)).collect();
            (said.iter().filter(|one| one.is_none()).count() != 1).then(|| format!("{said:?}"))
        }
        "items" => value.as_array().unwrap().iter().find_map(|item| refusal(wanted, item)),
        "required" => {
            let mut names = wanted.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            names.find(|name| value.get(name).is_none()).map(|name| format!("{name} is missing in {value}"))
        }
        "properties" => {
            let known = wanted.as_object().unwrap();
            known.iter().find_map(|(name, schema)| refusal(schema, value.get(name)?).map(|said| format!("{name}: {said}")))
        }
        "additionalProperties" => {
            assert_eq!(wanted, false);
            let known = schema["properties"].as_object().unwrap();
            value.as_object()?.keys().find(|name| !known.contains_key(*name)).map(|name| format!("{name} is not in the schema"))
        }
        other => panic!("keyword {other}"),
    })
}

/// The document of what is framed, which its schema takes.
#[track_caller]
fn document(ids: &Ids, framed: &[u8]) -> Value {
    let (_, schema, rest) = ids.of(framed);
    let (schema, value) = (serde_json::from_str(&schema).unwrap(), serde_json::from_slice(rest).unwrap());
    assert_eq!(refusal(&schema, &value), None, "{schema:#}");
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_record_is_the_one_of_json_and_its_schema_takes_it((kinds, rows) in random_table()) {
        let batch = random(&kinds, &rows);
        for (envelope, record) in [(Envelope::Debezium, RecordFormat::Debezium), (Envelope::Flat, RecordFormat::Flat)] {
            let ids = Arc::new(Ids::default());
            let mut encoder = format(&ids, envelope, modes(envelope), WHOLE).encoder();
            let told: Vec<Value> = framed(&mut encoder, &batch).iter().map(|record| document(&ids, record)).collect();
            prop_assert_eq!(told, json_of(&batch, record, modes(envelope)));
            for row_key in [false, true] {
                let mut key = Vec::new();
                if row_key {
                    encoder.row_key(&batch, 0, 0, &mut key).unwrap();
                } else {
                    prop_assert!(encoder.key(&batch, 0, 0, &mut key).unwrap());
                }
                document(&ids, &key);
            }
            prop_assert_eq!(ids.subjects(), ["shop.orders-value", "shop.orders-key", "shop.orders-key"].map(str::to_owned)[..ids.subjects().len()].to_vec());
        }
    }
}

#[test]
fn schemas_take_values_of_every_type_with_all_options() {
    let kinds: Vec<(usize, bool)> = (0..KINDS.len()).map(|kind| (kind, kind % 2 == 0)).collect();
    let batch = random(&kinds, &[vec![3], vec![1 << 40 | 7]]);
    let text = ValueModes::default();
    for values in [
        text,
        ValueModes { decimal: DecimalMode::Double, binary: BinaryMode::Hex, bigint_unsigned: BigintUnsignedMode::Long, ..text },
        ValueModes { time: TimeMode::IsoString, binary: BinaryMode::Base64UrlSafe, ..text },
        ValueModes { time: TimeMode::AdaptiveMicroseconds, labels: LabelMode::Numbers, ..text },
        ValueModes { geometry: GeometryMode::GeoJson, time: TimeMode::Microseconds, ..text },
        ValueModes { geometry: GeometryMode::Wkb, bigint_unsigned: BigintUnsignedMode::Exact, ..ValueModes::DEBEZIUM },
        ValueModes::TYPED,
    ] {
        for envelope in [Envelope::Debezium, Envelope::Flat] {
            let ids = Arc::new(Ids::default());
            let records = framed(&mut format(&ids, envelope, values, WHOLE).encoder(), &batch);
            records.iter().for_each(|record| drop(document(&ids, record)));
        }
    }
}

#[test]
fn schemas_have_what_connect_and_readers_of_json_need() {
    // int, decimal(12,2), enum, blob, geometry, vector, datetime(6), bigint unsigned
    let kinds = [(3, false), (14, true), (19, true), (22, false), (23, true), (24, false), (31, true), (7, true)];
    let batch = random(&kinds, &[vec![4]]);
    for envelope in [Envelope::Debezium, Envelope::Flat] {
        let ids = Arc::new(Ids::default());
        let mut encoder = format(&ids, envelope, modes(envelope), WHOLE).encoder();
        framed(&mut encoder, &batch);
        encoder.key(&batch, 0, 0, &mut Vec::new()).unwrap();
        let known = ids.known.lock().unwrap();
        let [(_, value), (_, key)] = &known[..] else { panic!("{known:?}") };
        let pretty = |text: &str| format!("{:#}", serde_json::from_str::<Value>(text).unwrap());
        let name = if envelope == Envelope::Flat { "flat" } else { "envelope" };
        insta::assert_snapshot!(format!("json_schema_{name}"), pretty(value));
        insta::assert_snapshot!(format!("json_schema_{name}_key"), pretty(key));
    }
}

#[test]
fn what_the_source_did_not_send_is_not_in_the_document_and_need_not_be() {
    let mut batch = random(&[(3, false), (18, false)], &[vec![4]]);
    let column = &mut batch.tables[0].columns[1];
    column.nulls.set(0);
    column.absent.set(0);
    for envelope in [Envelope::Debezium, Envelope::Flat] {
        let ids = Arc::new(Ids::default());
        let record = document(&ids, &framed(&mut format(&ids, envelope, modes(envelope), PARTIAL).encoder(), &batch)[0]);
        let row = if envelope == Envelope::Flat { &record } else { &record["after"] };
        assert!(row.get("c0").is_some() && row.get("c1").is_none(), "{record}");
    }
}

#[test]
fn a_null_that_the_schema_rules_out_is_an_error_of_that_record_alone() {
    let nan = || {
        let mut batch = random(&[(3, false), (12, false)], &[vec![4], vec![5]]);
        batch.tables[0].columns[1] = plain(Values::Float64(vec![0.5, f64::NAN]));
        batch
    };
    let null = |absent: bool| {
        let mut batch = random(&[(3, false), (18, false)], &[vec![4], vec![5]]);
        let column = &mut batch.tables[0].columns[1];
        column.nulls.set(1);
        if absent {
            column.absent.set(1);
        }
        batch
    };
    let mut said = Vec::new();
    for batch in [nan(), null(false), null(true)] {
        let ids = Arc::new(Ids::default());
        let mut encoder = format(&ids, Envelope::Debezium, ValueModes::DEBEZIUM, WHOLE).encoder();
        encoder.table(&batch, 0).aim(&topic());
        let mut out = Lines::default();
        let error = encoder.table(&batch, 0).encode(&batch, &batch.changes, &mut out).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Record);
        assert_eq!(out.ended.len(), 1, "the snapshot's row is told, the update is not");
        document(&ids, &out.ended[0]);
        assert!(out.buffer.is_empty());
        let mut key = Vec::new();
        assert!(encoder.row_key(&batch, 0, 1, &mut key).is_err() && key.is_empty());
        said.push(error.to_string());
        // a column may be null in a flat row
        framed(&mut format(&ids, Envelope::Flat, ValueModes::default(), WHOLE).encoder(), &batch).iter().for_each(|record| {
            document(&ids, record);
        });
    }
    insta::assert_snapshot!(said.join("\n"), @r"
    column `c1` of table shop.orders holds NULL, although its schema says that it never does
      remedy: let the plugin that delivers the column say that it may be null, or set `on_error`
    column `c1` of table shop.orders holds NULL, although its schema says that it never does
      remedy: let the plugin that delivers the column say that it may be null, or set `on_error`
    column `c1` of table shop.orders is not in a row, although its schema says that it always is
      remedy: let the source send whole rows (mysql: binlog_row_image = FULL), or set `on_error`
    ");
}

/// The records of a call.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
    ended: Vec<Vec<u8>>,
}

impl Records for Lines {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn end(&mut self, _changes: usize) -> sluicegate_model::Result<()> {
        self.ended.push(std::mem::take(&mut self.buffer));
        Ok(())
    }

    fn pass(&mut self, _changes: usize) -> sluicegate_model::Result<()> {
        panic!("every change has a record")
    }
}

#[test]
fn dates_that_no_calendar_has_emptied_tables_and_plugin_versions_fit_the_schema() {
    for envelope in [Envelope::Debezium, Envelope::Flat] {
        let mut batch = random(&[(3, false), (25, false), (25, true)], &[vec![4]]);
        for column in &mut batch.tables[0].columns[1..] {
            let mut strings = Strings::default();
            strings.push(b"0000-00-00");
            *column = plain(Values::Text(strings));
        }
        batch.versions = Some("mask@1".into());
        let ids = Arc::new(Ids::default());
        let mut encoder = format(&ids, envelope, modes(envelope), WHOLE).with_versions().encoder();
        let record = document(&ids, &framed(&mut encoder, &batch)[0]);
        assert_eq!(record[if envelope == Envelope::Flat { "_plugins" } else { "plugins" }], "mask@1");
        let table = batch.tables[0].table.clone();
        let truncate = Truncate { table: table.clone(), transaction: batch.transactions[0].clone(), event: batch.events[0].clone() };
        let mut out = Vec::new();
        encoder.truncate_value(&truncate, &mut out).unwrap();
        let record = document(&ids, &out);
        assert_eq!(record[if envelope == Envelope::Flat { "_op" } else { "op" }], "t");
        assert_eq!(ids.subjects(), ["shop.orders-value"]);
    }
}

#[test]
fn keys_are_of_the_columns_that_the_sink_names_and_no_key_has_no_schema() {
    let batch = random(&[(3, false), (18, true), (7, false)], &[vec![4]]);
    let key = |columns: KeyColumns| {
        let ids = Arc::new(Ids::default());
        let keys = RecordKeys { key: columns, ..RecordKeys::default() };
        let mut encoder = format(&ids, Envelope::Flat, ValueModes::default(), WHOLE).with_keys(&keys).encoder();
        encoder.aim(&batch.tables[0].table, &topic());
        let mut out = Vec::new();
        let written = encoder.key(&batch, 0, 0, &mut out).unwrap();
        assert_eq!((written, ids.subjects().len()), (!out.is_empty(), usize::from(written)));
        written.then(|| document(&ids, &out).as_object().unwrap().keys().cloned().collect::<Vec<_>>())
    };
    assert_eq!(key(KeyColumns::Primary), Some(vec!["c0".to_owned()]));
    assert_eq!(key(KeyColumns::Columns(vec!["c2".into(), "c1".into()])), Some(vec!["c1".to_owned(), "c2".to_owned()]));
    assert_eq!(key(KeyColumns::None), None);
}

#[test]
fn subjects_are_made_of_titles() {
    let batch = random(&[(3, false)], &[vec![4]]);
    let name = "shop.shop.orders.Envelope";
    for (subject, expected) in [(Subject::Record, name.to_owned()), (Subject::TopicRecord, format!("shop.orders-{name}"))] {
        let ids = Arc::new(Ids::default());
        let made = of_subject(&ids, Envelope::Debezium, ValueModes::DEBEZIUM, WHOLE, subject);
        let (told, schema, _) = ids.of(&framed(&mut made.encoder(), &batch)[0]);
        let schema: Value = serde_json::from_str(&schema).unwrap();
        assert_eq!((told, &schema["title"]), (expected, &name.into()));
    }
    // names are not changed; only a dot in one can make two the same
    let ids = Arc::new(Ids::default());
    let made = of_subject(&ids, Envelope::Debezium, ValueModes::DEBEZIUM, WHOLE, Subject::Record);
    let of = |database: &str, name: &str| Table { name: TableName::new(database, name), ..Table::clone(&batch.tables[0].table) };
    made.check(&of("a", "b c")).and_then(|()| made.check(&of("a", "b-c"))).and_then(|()| made.check(&of("a", "x.y"))).unwrap();
    let error: Error = made.check(&of("a.x", "y")).unwrap_err();
    assert!(error.message().contains("would have records of the same name, `shop.a.x.y`"), "{error}");
}

#[test]
fn a_schema_that_is_refused_leaves_nothing_of_the_record() {
    let batch = random(&[(3, false)], &[vec![4]]);
    let ids = Arc::new(Ids { refuses: true, ..Ids::default() });
    let mut encoder = format(&ids, Envelope::Debezium, ValueModes::DEBEZIUM, WHOLE).encoder();
    encoder.aim(&batch.tables[0].table, &topic());
    let mut out = Vec::new();
    assert_eq!(encoder.value(&batch, &batch.changes[0], &mut out).unwrap_err().kind(), ErrorKind::Record);
    assert_eq!(encoder.key(&batch, 0, 0, &mut out).unwrap_err().kind(), ErrorKind::Record);
    assert!(out.is_empty());
}
