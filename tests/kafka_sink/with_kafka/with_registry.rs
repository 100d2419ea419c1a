//! Avro and JSON with a real schema registry, read back by Confluent's Python client.

mod json_schema;
mod program;
mod secured;

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use super::*;
use sluicegate_config::{Envelope, Registry as RegistrySettings, RegistryLogin, Subject, TopicSettings, ValueModes};
use sluicegate_guest_builder::repository;
use sluicegate_harness::{
    host::http_get,
    registry::{self, Registry},
};
use sluicegate_model::change::{Mark, MarkKind, Truncate};

const PATIENCE: Duration = Duration::from_secs(60);

fn avro(url: &str, envelope: Envelope, subject: Subject) -> Format {
    let values = if envelope == Envelope::Flat { ValueModes::TYPED } else { ValueModes::DEBEZIUM };
    with_registry(RecordFormat::Avro, url, envelope, values, subject)
}

fn with_registry(record: RecordFormat, url: &str, envelope: Envelope, values: ValueModes, subject: Subject) -> Format {
    let registry = RegistrySettings {
        urls: vec![url.to_owned()],
        login: RegistryLogin::Anonymous,
        ca_file: None,
        client: None,
        register: true,
        subject,
    };
    Format { envelope, values, registry: Some(Box::new(registry)), ..record.into() }
}

/// What Confluent's client makes of records of Avro: key and value, where there is one.
#[track_caller]
fn read_back(url: &str, topic: &str, records: &[Record]) -> Vec<(Option<Value>, Option<Value>)> {
    read_back_in("avro", url, topic, records)
}

/// The same of records in `avro` or `json-schema`.
#[track_caller]
fn read_back_in(language: &str, url: &str, topic: &str, records: &[Record]) -> Vec<(Option<Value>, Option<Value>)> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let parts: Vec<(&str, &Vec<u8>)> = records
        .iter()
        .flat_map(|record| [("key", record.raw_key.as_ref()), ("value", record.raw_value.as_ref())])
        .filter_map(|(part, bytes)| Some((part, bytes?)))
        .collect();
    let text: String = parts.iter().map(|(part, bytes)| format!("{part} {topic} {}\n", hex(bytes))).collect();
    let mut consumer = Command::new(repository().join("tests/consumers/confluent.sh"))
        .args([language, url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the consumer can be run");
    consumer.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("the consumer reads");
    let output = consumer.wait_with_output().expect("the consumer ends");
    assert!(output.status.success(), "the consumer failed; see above");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut read = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut next = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|_| read.next().expect("a line for each part"));
    records.iter().map(|record| (next(&record.raw_key), next(&record.raw_value))).collect()
}

/// An insert, an update, one that changes the key, and a delete.
fn life() -> Batch {
    let mut batch = batch(0, table("orders", true));
    push(&mut batch, None, Some((1, "Zoë 😀")));
    push(&mut batch, Some((1, "Zoë 😀")), Some((1, "b")));
    push(&mut batch, Some((1, "b")), Some((2, "b")));
    push(&mut batch, Some((2, "b")), None);
    batch
}

fn emptied(batch: &Batch) -> Mark {
    let truncate =
        Truncate { table: batch.tables[0].table.clone(), transaction: batch.transactions[0].clone(), event: batch.events[0].clone() };
    Mark { lane: Lane::new("rows"), offset: Offset::from_json("{}"), kind: MarkKind::Truncate(truncate) }
}

#[test]
fn envelopes_keys_and_tombstones_are_what_confluents_client_reads() {
    let (broker, registry) = (kafka::shared(), registry::shared());
    let mut bench = Bench::open_in(settings(&broker, "avro-envelope"), avro(registry.url(), Envelope::Debezium, Subject::Topic));
    let batch = life();
    bench.sink.write(&batch).unwrap();
    bench.sink.mark(&emptied(&batch)).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    let topic = "avro-envelope.orders";
    let read = read_back(registry.url(), topic, &broker.records(topic));
    let told: Vec<String> = read
        .iter()
        .map(|(key, value)| {
            let id = key.as_ref().map_or("no key".to_owned(), |key| key["id"].to_string());
            match value {
                None => format!("{id} tombstone"),
                Some(value) => {
                    assert_eq!((&value["source"]["table"], &value["source"]["snapshot"]), (&"orders".into(), &"false".into()));
                    assert_eq!(value["source"]["ts_us"], 1_700_000_000_000_000_i64);
                    format!("{id} {} {} -> {}", value["op"].as_str().unwrap(), value["before"]["note"], value["after"]["note"])
                }
            }
        })
        .collect();
    assert_eq!(
        told,
        [
            "1 c null -> \"Zoë 😀\"",
            "1 u \"Zoë 😀\" -> \"b\"",
            "1 d \"b\" -> null",
            "1 tombstone",
            "2 c null -> \"b\"",
            "2 d \"b\" -> null",
            "2 tombstone",
            "no key t null -> null",
        ]
    );
}

#[test]
fn an_update_that_changes_the_key_makes_no_topic_and_no_subject_of_updates() {
    let (broker, registry) = (kafka::shared(), registry::shared());
    for (name, format) in [("moves-avro", avro(registry.url(), Envelope::Flat, Subject::Topic)), ("moves-json", RecordFormat::Flat.into())]
    {
        let made = TopicCreation::Create(TopicSettings { partitions: Some(1), ..TopicSettings::default() });
        let topic = format!("{name}.{{table}}.{{operation}}").parse().unwrap();
        let mut bench = Bench::open_in(KafkaSink { topic, topics: made, ..settings(&broker, name) }, format);
        let mut batch = batch(0, table("orders", true));
        push(&mut batch, None, Some((1, "a")));
        push(&mut batch, Some((1, "a")), Some((2, "a")));
        push(&mut batch, Some((2, "a")), None);
        bench.sink.write(&batch).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();
        let partitions = ["insert", "update", "delete"].map(|of| topics::partitions(&broker, &format!("{name}.orders.{of}")));
        assert_eq!(partitions, [1, 0, 1]);
        let [inserts, deletes] = ["insert", "delete"].map(|of| broker.records(&format!("{name}.orders.{of}")).len());
        assert_eq!((inserts, deletes), (2, 4));
    }
    let (_, path) = registry.url().split_once("://").unwrap().1.split_once('/').unwrap();
    let (_, subjects) = http_get(registry.port(), &format!("/{path}/subjects")).unwrap();
    assert!(subjects.contains("moves-avro.orders.insert-key") && !subjects.contains("moves-avro.orders.update"), "{subjects}");
}

#[test]
fn flat_rows_are_what_confluents_client_reads_whatever_their_subjects_are() {
    let (broker, registry) = (kafka::shared(), registry::shared());
    for (i, subject) in [Subject::Topic, Subject::Record, Subject::TopicRecord].into_iter().enumerate() {
        let prefix = format!("avro-flat-{i}");
        let mut bench = Bench::open_in(settings(&broker, &prefix), avro(registry.url(), Envelope::Flat, subject));
        let batch = life();
        bench.sink.write(&batch).unwrap();
        bench.sink.mark(&emptied(&batch)).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();
        let topic = format!("{prefix}.orders");
        let read = read_back(registry.url(), &topic, &broker.records(&topic));
        let values: Vec<&Value> = read.iter().filter_map(|(_, value)| value.as_ref()).collect();
        let told: Vec<String> = values.iter().map(|value| format!("{} {} {}", value["_op"], value["id"], value["note"])).collect();
        assert_eq!(told, ["\"c\" 1 \"Zoë 😀\"", "\"u\" 1 \"b\"", "\"d\" 1 \"b\"", "\"c\" 2 \"b\"", "\"d\" 2 \"b\"", "\"t\" null null"]);
        assert_eq!((&values[0]["_ts"], &values[0]["_file"]), (&"2023-11-14 22:13:20+00:00".into(), &"binlog.000001".into()));
    }
}

/// The table with one column more.
fn widened(number: u64, data_type: DataType, nullable: bool) -> Batch {
    let narrow = table("orders", true);
    let mut columns = narrow.columns.clone();
    columns.push(ColumnInfo { name: "more".into(), data_type, nullable, primary_key: false, ..columns[1].clone() });
    let mut batch = batch(number, Arc::new(Table { columns, ..Table::clone(&narrow) }));
    push(&mut batch, None, Some((number as i64, "wide")));
    let column = &mut batch.tables[0].columns[2];
    if nullable {
        column.push_null();
    } else {
        column.values.push_default();
    }
    batch
}

#[test]
fn a_schema_change_is_a_new_version_and_one_that_is_not_compatible_is_refused_with_its_reason() {
    let (broker, registry) = (kafka::shared(), registry::shared());
    let format = avro(registry.url(), Envelope::Debezium, Subject::Topic);
    let topic = "avro-versions.orders";
    set_compatibility(&registry, &format!("{topic}-value"), "BACKWARD");
    let mut bench = Bench::open_in(settings(&broker, "avro-versions"), format.clone());
    bench.sink.write(&inserts(0, [1], "narrow")).unwrap();
    bench.sink.write(&widened(2, DataType::Int64, true)).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    let read = read_back(registry.url(), topic, &broker.records(topic));
    let notes: Vec<String> = read.iter().map(|(_, value)| value.as_ref().unwrap()["after"].to_string()).collect();
    assert_eq!(notes, [r#"{"id":1,"note":"narrow"}"#, r#"{"id":2,"note":"wide","more":null}"#]);
    // a column that readers of the new version would miss in older records
    let error = bench.sink.write(&widened(3, DataType::Text, false)).unwrap_err();
    let said = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Record);
    assert!(said.contains("refuses a new version of subject `avro-versions.orders-value`, which is not compatible"), "{said}");
    assert!(
        said.to_lowercase().contains("incompatible artifact") || said.to_lowercase().contains("being registered is incompatible"),
        "the registry's own words are missing: {said}"
    );

    // other policies decide about these records alone
    let settings = Settings { format, ..sink_settings(settings(&broker, "avro-versions"), OnError::DeadLetter, PluginVersions::Omitted) };
    let mut bench = Bench::open_settings(settings);
    bench.sink.write(&widened(4, DataType::Text, false)).unwrap();
    bench.sink.write(&inserts(5, [5], "narrow again")).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    let letters = bench.dead_letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    let read = read_back(registry.url(), topic, &broker.records(topic));
    assert_eq!(read.last().unwrap().1.as_ref().unwrap()["after"]["note"], "narrow again");
}

fn set_compatibility(registry: &Registry, subject: &str, level: &str) {
    let status = Command::new("curl")
        .args(["-sSf", "-o", "/dev/null", "-X", "PUT", "-H", "Content-Type: application/vnd.schemaregistry.v1+json", "-d"])
        .arg(format!("{{\"compatibility\":\"{level}\"}}"))
        .arg(format!("{}/config/{subject}", registry.url()))
        .status()
        .expect("curl can be run");
    assert!(status.success());
}

#[test]
fn a_registry_that_is_away_is_waited_for_and_nothing_is_lost() {
    let broker = kafka::shared();
    let mut registry = registry::start();
    let url = registry.url().to_owned();
    let mut bench = Bench::open_in(settings(&broker, "avro-away"), avro(&url, Envelope::Debezium, Subject::Topic));
    bench.sink.write(&inserts(0, [1], "before")).unwrap();
    registry.kill9();
    // what is known is not asked for again
    bench.sink.write(&inserts(1, [2], "known")).unwrap();
    let writing = std::thread::spawn(move || {
        bench.sink.write(&widened(3, DataType::Int64, true)).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();
    });
    registry.start_again();
    writing.join().unwrap();
    let records = broker.records("avro-away.orders");
    assert_eq!(records.len(), 3);
    // and for no longer than a broker would be
    let short = KafkaSink { delivery_timeout: Duration::from_secs(1), ..settings(&broker, "avro-short") };
    registry.kill9();
    let mut bench = Bench::open_in(short, avro(&url, Envelope::Debezium, Subject::Topic));
    let error = bench.sink.write(&inserts(0, [1], "never")).unwrap_err();
    assert!(error.kind() == ErrorKind::Sink && error.may_pass(), "{error}");
    assert!(error.message().contains("gave no answer within 1s"), "{error}");
}

#[test]
fn in_transactions_every_record_is_there_once_in_the_versions_schema() {
    let (broker, registry) = (kafka::shared(), registry::shared());
    let transactions =
        sluicegate_config::Transactions { transactional_id: "avro-once".into(), positions_topic: "avro-once-positions".into() };
    let kafka = KafkaSink { delivery: sluicegate_config::Delivery::ExactlyOnce(transactions), ..settings(&broker, "avro-once") };
    let format = avro(registry.url(), Envelope::Flat, Subject::Topic);
    let mut bench = Bench::open_settings(Settings { format, ..sink_settings(kafka, OnError::Stop, PluginVersions::Omitted) });
    bench.sink.write(&inserts(0, 1..=3, "a")).unwrap();
    bench.sink.write(&widened(4, DataType::Int64, true)).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    let topic = "avro-once.orders";
    // a commit is answered before the broker has marked it in all partitions
    let read = read_back(registry.url(), topic, &broker.wait_for_records(topic, 4, PATIENCE));
    let ids: Vec<_> = read.iter().map(|(_, value)| value.as_ref().unwrap()["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
}
