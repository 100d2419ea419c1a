//! Topics as a source: what is delivered from them is what was delivered into them, each change once, whatever is killed.

mod accounts;
mod changing;
mod group;
mod refused;

use std::collections::BTreeMap;

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::{Map, Value};
use sluicegate_harness::{
    files,
    host::{Ended, Process, Sluicegate},
    kafka::{self, Broker},
    mariadb,
};

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(60);
const TABLES: [&str; 3] = ["customers", "order_lines", "orders"];

use super::Duration;

/// A pipeline from topics into files.
fn into_files(broker: &Broker, name: &str, source: &str) -> String {
    format!(
        "name: {name}
source: {{ type: kafka, brokers: '{}', {source} }}
sinks: [{{ type: file, format: flat, folder: out }}]
limits: {{ checkpoint_interval: 100ms, batch_changes: 50 }}
",
        broker.brokers()
    )
}

/// Sends records with their keys and waits until the broker has them.
fn produce(broker: &Broker, topic: &str, partition: i32, records: &[(Option<&str>, Option<&str>)]) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", broker.brokers()).create().expect("a producer can be made");
    for (key, value) in records {
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(topic).partition(partition);
        record.key = *key;
        record.payload = *value;
        producer.send(record).map_err(|(error, _)| error).expect("a record can be sent");
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).expect("the records are acknowledged");
}

/// A flat record of the table `shop.orders`.
fn flat(operation: &str, id: u32) -> String {
    format!(r#"{{"_op":"{operation}","_database":"shop","_table":"orders","_ts":"2024-02-29T13:14:15.123456Z","id":{id},"note":"n{id}"}}"#)
}

fn rows(host: &Sluicegate, name: &str) -> Vec<Value> {
    files::records(&host.path("out"), name)
}

fn count(host: &Sluicegate, name: &str) -> usize {
    files::count_so_far(&host.path("out"), name)
}

/// The record without what tells from which log it was read.
fn row(record: &Value) -> String {
    let mut record: Map<String, Value> = record.as_object().expect("an object").clone();
    ["_file", "_pos", "_row", "_gtid"].iter().for_each(|name| drop(record.shift_remove(*name)));
    Value::Object(record).to_string()
}

/// By table and key, the rows in their order.
fn histories(records: &[Value]) -> BTreeMap<(String, String), Vec<String>> {
    let mut histories: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for record in records {
        let table = record["_table"].as_str().expect("a table");
        let key = if table == "order_lines" { format!("{}/{}", record["order_id"], record["line_no"]) } else { record["id"].to_string() };
        histories.entry((table.to_owned(), key)).or_default().push(row(record));
    }
    histories
}

#[track_caller]
fn stop(process: Process) -> Ended {
    process.sigterm();
    let ended = process.wait(2 * PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    ended
}

/// Runs until so many records are in the files, killing the program again and again on the way.
fn run_killed(host: &Sluicegate, name: &str, goal: usize, kills: usize) {
    for kill in 1..=kills {
        let mut process = host.spawn();
        let some = goal * kill / (kills + 1);
        process.wait_until(&format!("{some} records"), PATIENCE, || count(host, name) >= some);
        process.kill9();
    }
    let mut process = host.spawn();
    // all of them may be there already
    process.wait_for_line("streaming from this position on", PATIENCE);
    process.wait_until(&format!("{goal} records"), PATIENCE, || count(host, name) >= goal);
    stop(process);
}

/// What the generator gives, delivered into topics of several partitions in two formats, and into files.
fn delivered(broker: &Broker, name: &str, changes: usize) -> Vec<Value> {
    for table in TABLES {
        broker.create_topic(&format!("{name}.d.{table}"), 3);
        broker.create_topic(&format!("{name}.f.{table}"), 3);
    }
    let text = format!(
        "name: {name}
source: {{ type: generator, seed: 5, changes: {changes} }}
sinks:
  - {{ type: file, format: flat, folder: out }}
  - {{ type: kafka, name: d, brokers: '{0}', topic: '{name}.d.{{table}}', format: {{ type: debezium, schemas: true }}, delivery: exactly-once }}
  - {{ type: kafka, name: f, brokers: '{0}', topic: '{name}.f.{{table}}', format: flat }}
",
        broker.brokers()
    );
    let host = Sluicegate::new(BINARY, &text);
    let ended = host.run(&["run", "pipeline.yaml"], 2 * PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    rows(&host, name)
}

#[test]
fn topics_of_both_formats_are_read_once_whatever_is_killed() {
    let broker = kafka::shared();
    let name = "read-back";
    let expected = histories(&delivered(&broker, name, 2000));
    let total: usize = expected.values().map(Vec::len).sum();
    for (format, topics) in [("debezium", "d"), ("flat", "f")] {
        let pipeline = format!("{name}-{format}");
        let host = Sluicegate::new(
            BINARY,
            &into_files(&broker, &pipeline, &format!("format: {format}, numbers: double, topics: ['{name}.{topics}.*']")),
        );
        run_killed(&host, &pipeline, total, 3);
        let found = histories(&rows(&host, &pipeline));
        for (key, history) in &expected {
            assert_eq!(found.get(key), Some(history), "{format}: {key:?}");
        }
        assert_eq!(found.len(), expected.len());
    }
    // into topics again, with their progress in the same transactions
    let again = format!("{name}-again");
    for table in TABLES {
        broker.create_topic(&format!("{again}.{table}"), 2);
    }
    let host = Sluicegate::new(
        BINARY,
        &format!(
            "name: {again}
source: {{ type: kafka, brokers: '{0}', format: debezium, topics: ['{name}.d.*'] }}
sinks: [{{ type: kafka, brokers: '{0}', topic: '{again}.{{table}}', format: flat, tombstones: false, delivery: exactly-once }}]
limits: {{ checkpoint_interval: 100ms, batch_changes: 50 }}
",
            broker.brokers()
        ),
    );
    let records = || -> Vec<Value> {
        let topics = TABLES.iter().flat_map(|table| broker.records_so_far(&format!("{again}.{table}")));
        topics.filter_map(|record| record.value).map(|value| serde_json::from_str(&value).expect("JSON")).collect()
    };
    for kill in 1..=3 {
        let mut process = host.spawn();
        process.wait_until("some records", PATIENCE, || records().len() >= total * kill / 4);
        process.kill9();
    }
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", PATIENCE);
    process.wait_until("all records", PATIENCE, || records().len() >= total);
    stop(process);
    assert_eq!(histories(&records()), expected);
}

/// A database's changes by way of a topic are those that come directly.
#[test]
fn a_database_by_way_of_a_topic_is_the_same_as_directly() {
    let (server, broker) = (mariadb::shared(), kafka::shared());
    let database = server.database("by_topic");
    let name = database.replace('_', "-");
    server.sql(&format!(
        "CREATE TABLE {database}.everything (id BIGINT UNSIGNED PRIMARY KEY, small TINYINT, big BIGINT UNSIGNED, amount DECIMAL(20,6), \
         ratio DOUBLE, single FLOAT, state ENUM('a','b'), flags SET('x','y'), raw VARBINARY(20), day DATE, at DATETIME(6), stamp TIMESTAMP(3), \
         length TIME, note TEXT, doc JSON, bits BIT(9)) CHARSET utf8mb4"
    ));
    let source = |start: &str| {
        format!(
            "source: {{ type: mysql, host: 127.0.0.1, port: {}, user: {}, password: {}, tables: ['{database}.*'], start: {start} }}",
            server.port(),
            server.user(),
            server.password()
        )
    };
    let plugin = format!("plugins: [{{ use: map-names, config: {{ databases: [{{ from: {database}, to: out }}] }} }}]");
    let direct = Sluicegate::new(
        BINARY,
        &format!("name: direct\n{}\n{plugin}\nsinks: [{{ type: file, format: flat, folder: out }}]\n", source("earliest")),
    );
    let capture = Sluicegate::new(
        BINARY,
        &format!(
            "name: {name}\n{}\nsinks: [{{ type: kafka, brokers: '{}', topic: '{name}', shared_topic: allow, format: debezium, delivery: exactly-once }}]\n",
            source("earliest"),
            broker.brokers()
        ),
    );
    broker.create_topic(&name, 1);
    let values = [
        "(1, -128, 18446744073709551615, -12.5, 1e300, 0.1, 'a', 'x,y', 0x00ff, '2024-02-29', '2024-02-29 13:14:15.123456', '2024-02-29 13:14:15.5', \
         '-838:59:59', 'Zoë \"😀\"', '{\"a\": 1.50}', b'100000001')",
        "(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        "(3, 0, 0, 0, 0, 0, 'b', '', '', '1000-01-01', '9999-12-31 23:59:59', '1971-01-01', '00:00:00', '', 'null', b'0')",
    ];
    server.sql(&format!(
        "SET time_zone = '+00:00'; INSERT INTO {database}.everything VALUES {}; UPDATE {database}.everything SET amount = 7, note = NULL WHERE id = 1; \
         ALTER TABLE {database}.everything ADD COLUMN more INT; INSERT INTO {database}.everything (id, more) VALUES (4, 4); \
         UPDATE {database}.everything SET id = 5 WHERE id = 2; DELETE FROM {database}.everything WHERE id = 3; TRUNCATE {database}.everything",
        values.join(", ")
    ));
    // a key that changes is a delete and an insert
    let records = 9;
    let mut capturing = capture.spawn();
    let mut directly = direct.spawn();
    directly.wait_until("all changes", PATIENCE, || count(&direct, "direct") >= records);
    stop(directly);
    let expected: Vec<Value> = rows(&direct, "direct");
    let by_topic = Sluicegate::new(
        BINARY,
        &format!(
            "name: by-topic\nsource: {{ type: kafka, brokers: '{}', topics: ['{name}'], format: debezium, numbers: double }}\n{plugin}\n\
             sinks: [{{ type: file, format: flat, folder: out }}]\n",
            broker.brokers()
        ),
    );
    let mut reading = by_topic.spawn();
    reading.wait_until("all changes", PATIENCE, || count(&by_topic, "by-topic") >= records);
    stop(reading);
    assert!(capturing.is_running());
    stop(capturing);
    let found: Vec<String> = rows(&by_topic, "by-topic").iter().map(row).collect();
    let expected: Vec<String> = expected.iter().map(row).collect();
    assert_eq!(expected.len(), records);
    assert_eq!(found, expected);
}
