//! Formats: a word, or a mapping with the options that belong to it and fit the sink.

use super::*;
use crate::{
    AddedField, BinaryMode, DecimalMode, Deletes, DtsNaming, Envelope, EnvelopeField, Format, GeometryMode, LabelMode, RecordFormat,
    RegistryLogin, Secret, Subject, TimeMode, ValueModes,
};

fn of_sink(kind: &str, format: &str) -> Result<Format> {
    Ok(loaded(&sink(&format!("{{ {kind}, format: {format} }}")))?.sinks[0].format.clone())
}

fn kafka(format: &str) -> Format {
    of_sink("type: kafka, brokers: b", format).unwrap_or_else(|e| panic!("{e}"))
}

#[track_caller]
fn refused(kind: &str, format: &str, what: &str) {
    let error = of_sink(kind, format).unwrap_err().to_string();
    assert!(error.contains(what), "{error}");
}

#[test]
fn a_format_is_a_word_or_a_mapping_with_its_options() {
    for (name, record) in RecordFormat::ALL.into_iter().filter(|(_, record)| record.is_json()) {
        assert_eq!(kafka(name), Format::from(record), "{name}");
        assert_eq!(kafka(&format!("{{ type: {name} }}")), Format::from(record), "{name}");
        assert_eq!(record.name(), name);
    }
    let given = kafka(
        "{ type: debezium, schemas: true, decimal_handling_mode: double, time_precision_mode: adaptive_time_microseconds, \
         binary_handling_mode: base64-url-safe, enum_handling_mode: numbers, geometry_handling_mode: geojson }",
    );
    assert!(given.schemas);
    let expected = ValueModes {
        decimal: DecimalMode::Double,
        time: TimeMode::AdaptiveMicroseconds,
        binary: BinaryMode::Base64UrlSafe,
        labels: LabelMode::Numbers,
        geometry: GeometryMode::GeoJson,
        ..ValueModes::DEBEZIUM
    };
    assert_eq!(given.values, expected);
    assert_eq!(kafka("{ type: flat, value_defaults: debezium }").values, ValueModes::DEBEZIUM);
    let text = kafka("{ type: debezium, schemas: true, value_defaults: sluicegate, bigint_unsigned_handling_mode: long }").values;
    assert_eq!(text.decimal, DecimalMode::String);
    assert_eq!(kafka("{ type: dts, naming: previous }").naming, DtsNaming::Previous);
    let added =
        kafka("{ type: debezium-flattened, add_fields: [op, source.ts_ms, 'table:NAME', source.db], add_fields_prefix: _ }").add_fields;
    let field = |field, name: &str| AddedField { field, name: name.into() };
    assert_eq!(
        added,
        [
            field(EnvelopeField::Op, "_op"),
            field(EnvelopeField::SourceTsMs, "_source_ts_ms"),
            field(EnvelopeField::Table, "_NAME"),
            field(EnvelopeField::Db, "_source_db"),
        ]
    );
}

#[test]
fn options_of_another_format_are_refused() {
    refused("type: stdout", "{ type: flat, schemas: true }", "the format `flat` has no such option");
    refused("type: stdout", "{ type: maxwell, time_precision_mode: connect }", "it is of `debezium`, `debezium-flattened`, `flat`");
    refused("type: stdout", "{ type: debezium, naming: new }", "it is of `dts`");
    refused("type: stdout", "{ type: debezium, add_fields: [op] }", "it is of `debezium-flattened`");
    refused("type: stdout", "{ type: debezium-flattened, add_fields: [lsn] }", "the envelope has no such field");
    refused("type: stdout", "{ type: debezium-flattened, add_fields: [op, op] }", "two fields of the record would have this name");
    refused("type: stdout", "{ type: debezium, schemas: true, bigint_unsigned_handling_mode: exact }", "no type of unsigned numbers");
    refused("type: stdout", "maxvell", "did you mean `maxwell`?");
    refused("type: stdout", "{ schemas: true }", "`type` is missing");
    refused("type: stdout", "7", "a format's name");
}

#[test]
fn csv_is_for_files() {
    let text = "{ type: file, folder: out, format: csv }";
    let SinkKind::File(file) = loaded(&sink(text)).unwrap().sinks[0].kind.clone() else { panic!("not a file sink") };
    assert_eq!(file.records, FileRecords::Csv);
    refused("type: stdout", "csv", "CSV is for files");
    refused("type: kafka, brokers: b", "csv", "CSV is for files");
    refused("type: file, folder: out, plugin_versions: member", "csv", "CSV has no place for the plugins' versions");
}

#[test]
fn parquet_has_no_template_of_folders() {
    let text = "{ type: file, folder: out, format: parquet }";
    let SinkKind::File(file) = loaded(&sink(text)).unwrap().sinks[0].kind.clone() else { panic!("not a file sink") };
    assert_eq!(file.records, FileRecords::Parquet);
    refused("type: file, folder: out, path: '{database}/{table}'", "parquet", "each table has a folder of its own with Parquet");
    refused("type: file, folder: out, path: all, shared_path: allow, name_case: lower", "parquet", "`shared_path` and `name_case` with it");
}

#[test]
fn avro_in_files_has_no_registry_and_no_template_of_folders() {
    for (format, envelope) in [("avro", Envelope::Debezium), ("{ type: avro, envelope: flat }", Envelope::Flat)] {
        let pipeline = loaded(&sink(&format!("{{ type: file, folder: out, format: {format} }}"))).unwrap();
        let SinkKind::File(file) = pipeline.sinks[0].kind.clone() else { panic!("not a file sink") };
        assert_eq!((file.records, file.roll.every), (FileRecords::Avro, Some(Duration::from_secs(60))));
        assert_eq!((pipeline.sinks[0].format.envelope, &pipeline.sinks[0].format.registry), (envelope, &None));
    }
    refused("type: file, folder: out, path: '{database}/{table}'", "avro", "each table has a folder of its own with Avro");
    refused("type: file, folder: out", "{ type: avro, subject: record }", "each file holds its schema");
    refused("type: file, folder: out, roll: { every: 25h }", "avro", "Avro files are durable when they are finished");
    refused("type: stdout", "avro", "Avro is for Kafka and files");
}

#[test]
fn deletes_of_bare_rows_have_to_be_possible_in_the_sink() {
    assert_eq!(of_sink("type: stdout", "debezium-flattened").unwrap().deletes, Deletes::Rewrite);
    refused(
        "type: stdout",
        "{ type: debezium-flattened, delete_tombstone_handling_mode: tombstone }",
        "only Kafka has records without a value",
    );
    refused("type: stdout", "plain", "cannot say that its row was deleted");
    refused("type: kafka, brokers: b", "{ type: plain, delete_tombstone_handling_mode: rewrite }", "use `debezium-flattened`");
    assert_eq!(of_sink("type: stdout", "{ type: plain, delete_tombstone_handling_mode: drop }").unwrap().deletes, Deletes::Drop);
    for (mode, tombstones) in [("tombstone", true), ("drop", false), ("rewrite", false), ("rewrite-with-tombstone", true)] {
        let text = format!("{{ type: kafka, brokers: b, format: {{ type: debezium-flattened, delete_tombstone_handling_mode: {mode} }} }}");
        let SinkKind::Kafka(kafka) = loaded(&sink(&text)).unwrap().sinks[0].kind.clone() else { panic!("not a Kafka sink") };
        assert_eq!(kafka.tombstones, tombstones, "{mode}");
    }
    refused("type: kafka, brokers: b, keyless: no-key", "debezium-flattened", "deletes would be lost");
    refused("type: kafka, brokers: b, tombstones: true", "debezium-flattened", "the format `debezium-flattened` decides about tombstones");
}

#[test]
fn changes_of_schemas_are_told_where_the_source_logs_them_and_the_format_has_a_record() {
    refused("type: stdout, schema_changes: true", "maxwell", "the format `maxwell` has no record of a changed schema");
    refused("type: kafka, brokers: b, schema_changes: 'a b'", "flat", "Kafka allows no such topic name");
    refused("type: stdout, schema_changes: true", "flat", "this source tells no statements that change schemas");
    let text =
        "name: p\nsource: { type: mysql, host: h, user: u, tables: ['d.*'] }\nsinks: [{ type: kafka, brokers: b, schema_changes: told }]";
    let pipeline = loaded(text).unwrap();
    let Source::MySql(source) = pipeline.source else { panic!("not MySQL") };
    assert!(source.schema_changes);
    let text = text.replace(", schema_changes: told", "");
    let Source::MySql(source) = loaded(&text).unwrap().source else { panic!("not MySQL") };
    assert!(!source.schema_changes);
}

#[test]
fn heartbeats_have_a_topic_and_a_pace() {
    let heartbeats = |settings: &str| {
        let text = format!("{{ type: kafka, brokers: b, heartbeats: {settings} }}");
        let SinkKind::Kafka(kafka) = loaded(&sink(&text)).unwrap().sinks[0].kind.clone() else { panic!("not a Kafka sink") };
        kafka.heartbeats.map(|given| (given.topic, given.every.as_millis()))
    };
    assert_eq!(heartbeats("{}"), Some(("__debezium-heartbeat.shop".into(), 10_000)));
    assert_eq!(heartbeats("{ topic: beats, every: 500ms }"), Some(("beats".into(), 500)));
    let meets = "it has the same topic as `schema_changes`";
    refused("type: kafka, brokers: b, heartbeats: { topic: a.b }, schema_changes: a_b", "flat", meets);
    let meets = "it has the same topic as `positions_topic`";
    refused("type: kafka, brokers: b, delivery: exactly-once, positions_topic: t, heartbeats: { topic: t }", "flat", meets);
    refused("type: kafka, brokers: b, heartbeats: { topic: 'a b' }", "flat", "Kafka allows no such topic name");
    refused("type: kafka, brokers: b, heartbeats: { every: 1ms }", "flat", "this time is out of bounds");
    refused(
        "type: kafka, brokers: b, heartbeats: {}",
        "{ type: avro, registry: { url: 'http://r' } }",
        "the format `avro` has no record of a heartbeat",
    );
}

#[test]
fn avro_has_a_registry_and_an_envelope() {
    let given = kafka(
        "{ type: avro, registry: { url: 'https://one:8081/, https://two/api', user: u, password: p, register: false }, subject: topic-record }",
    );
    let registry = given.registry.as_deref().unwrap();
    assert_eq!(registry.urls, ["https://one:8081", "https://two/api"]);
    assert_eq!(registry.login, RegistryLogin::Basic { user: "u".into(), password: Secret::new("p") });
    assert_eq!((registry.register, registry.subject), (false, Subject::TopicRecord));
    assert_eq!((given.envelope, given.values), (Envelope::Debezium, ValueModes::DEBEZIUM));
    let flat = kafka("{ type: avro, envelope: flat, registry: { url: 'https://r', token: t } }");
    assert_eq!((flat.envelope, flat.values), (Envelope::Flat, ValueModes::TYPED));
    assert_eq!(flat.registry.unwrap().login, RegistryLogin::Bearer(Secret::new("t")));
    for (sink, format, what) in [
        ("kafka", "avro", "none is named"),
        ("file", "{ type: avro, registry: { url: 'http://r' } }", "is for Kafka"),
        ("stdout", "{ type: avro, registry: { url: 'http://r' } }", "is for Kafka"),
        ("kafka", "{ type: flat, registry: { url: 'http://r' } }", "has no such option"),
        ("kafka", "{ type: flat, envelope: flat }", "has no such option"),
        ("kafka", "{ type: avro, registry: { url: r } }", "not the address"),
        ("kafka", "{ type: avro, registry: { url: 'http://u:p@r' } }", "stands in logs"),
        ("kafka", "{ type: avro, registry: { url: 'http://r', user: u } }", "password is missing"),
        ("kafka", "{ type: avro, registry: { url: 'https://a,http://r:81/x', user: u, password: p } }", "in plain text"),
        ("kafka", "{ type: avro, registry: { url: 'http://r', token: t } }", "in plain text"),
        ("kafka", "{ type: avro, registry: { url: 'https://a,http://r', ca_file: ca.pem } }", "not encrypted"),
        ("kafka", "{ type: avro, registry: { url: 'http://r', password: p } }", "account is missing"),
        ("kafka", "{ type: avro, registry: { url: 'http://r', user: u, password: p, token: t } }", "an account, too"),
        ("kafka", "{ type: avro, registry: { url: 'http://r', ca_file: ca.pem } }", "not encrypted"),
        ("kafka", "{ type: avro, registry: { url: 'https://r', cert_file: c.pem } }", "private key is missing"),
        ("kafka", "{ type: avro, bigint_unsigned_handling_mode: exact, registry: { url: 'http://r' } }", "no type of unsigned numbers"),
    ] {
        let sink = match sink {
            "kafka" => "type: kafka, brokers: b",
            "file" => "type: file, folder: f",
            other => &format!("type: {other}"),
        };
        refused(sink, format, what);
    }
    for key in ["key: [a]", "per_table: [{ tables: ['d.*'], key: [a] }]"] {
        let sink = format!("type: kafka, brokers: b, {key}");
        refused(&sink, "{ type: avro, registry: { url: 'http://r' } }", "have the primary key as their key");
    }
}

#[test]
fn json_schema_has_avros_settings_and_json_values() {
    let registry = "registry: { url: 'https://r', token: t, register: false }";
    let given = kafka(&format!("{{ type: json-schema, {registry}, subject: record }}"));
    assert_eq!(given.record, RecordFormat::JsonSchema);
    assert_eq!((given.envelope, given.values), (Envelope::Debezium, ValueModes::DEBEZIUM));
    let settings = given.registry.unwrap();
    assert_eq!((settings.register, settings.subject, settings.login), (false, Subject::Record, RegistryLogin::Bearer(Secret::new("t"))));
    let flat = kafka(&format!("{{ type: json-schema, envelope: flat, {registry} }}"));
    assert_eq!((flat.envelope, flat.values), (Envelope::Flat, ValueModes::default()));
    let exact = kafka(&format!("{{ type: json-schema, bigint_unsigned_handling_mode: exact, {registry} }}"));
    assert_eq!(exact.values.bigint_unsigned, BigintUnsignedMode::Exact);
    for (sink, format, what) in [
        ("type: kafka, brokers: b", "json-schema", "the schemas of `json-schema` are in a registry, and none is named"),
        ("type: stdout", "{ type: json-schema, registry: { url: 'https://r' } }", "`json-schema` with a registry is for Kafka"),
        ("type: kafka, brokers: b", "{ type: json-schema, schemas: true, registry: { url: 'https://r' } }", "has no such option"),
        (
            "type: kafka, brokers: b, schema_changes: told",
            "{ type: json-schema, registry: { url: 'https://r' } }",
            "has no record of a changed schema",
        ),
    ] {
        refused(sink, format, what);
    }
    assert!(of_sink("type: kafka, brokers: b, key: [a]", "{ type: json-schema, registry: { url: 'https://r' } }").is_ok());
}
