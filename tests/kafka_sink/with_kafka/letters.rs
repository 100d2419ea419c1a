//! Dead letters in a topic: whole, in the transaction of their neighbours, and read by the commands.

use std::collections::BTreeSet;

use sluicegate_config::{Delivery, Transactions};
use sluicegate_dead_letter::{Outgoing, Queue};
use sluicegate_harness::host::{Ended, Sluicegate};

use super::*;

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(60);
const CHANGES: usize = 40;
const TABLES: [&str; 3] = ["customers", "order_lines", "orders"];

/// The generator's shop into topics that begin with `name`. Letters have the topic `NAME.letters`.
fn pipeline(broker: &Broker, name: &str, to: &str, delivery: &str) -> String {
    format!(
        "name: {name}
source: {{ type: generator, seed: 7, changes: {CHANGES} }}
sinks:
  - {{ type: kafka, brokers: '{}', topic: '{to}.{{table}}', format: flat, delivery: {delivery}, on_error: dead-letter }}
dead_letter: {{ topic: {name}.letters }}
limits: {{ checkpoint_interval: 50ms, batch_changes: 10 }}
",
        broker.brokers()
    )
}

/// The topic of orders takes no record; that of letters takes records of this size.
fn topics(broker: &Broker, name: &str, letters: &str) {
    broker.create_topic_with(&format!("{name}.orders"), 1, &[("max.message.bytes", "100")]);
    broker.create_topic_with(&format!("{name}.letters"), 2, &[("max.message.bytes", letters)]);
}

fn run(host: &Sluicegate) -> Ended {
    host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE)
}

#[track_caller]
fn dlq(host: &Sluicegate, arguments: &[&str]) -> String {
    let command = ["--log-level", "warn", "dlq", arguments[0], "pipeline.yaml"];
    let ended = host.run(&[&command[..], &arguments[1..]].concat(), PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    ended.stdout
}

/// Runs until there are some letters, and kills it if it has not come to its end.
#[track_caller]
fn wait_and_kill(host: &Sluicegate, broker: &Broker, name: &str, some: usize) {
    let mut process = host.spawn();
    process.wait_for("letters, or the end", PATIENCE, |process| {
        (process.stderr().contains(r#""message":"done""#) || broker.records_so_far(&format!("{name}.letters")).len() >= some).then_some(())
    });
    if process.is_running() {
        process.kill9();
    }
}

/// What the generator makes: the place of each change, by table.
fn expected() -> BTreeMap<String, BTreeSet<(u64, u64)>> {
    let text = format!(
        "name: whole\nsource: {{ type: generator, seed: 7, changes: {CHANGES} }}\nsinks: [{{ type: file, format: flat, folder: out, prefix: shop }}]\n"
    );
    let host = Sluicegate::new(BINARY, &text);
    assert!(run(&host).status.success());
    let mut places: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for record in sluicegate_harness::files::records(&host.path("out"), "shop") {
        places.entry(record["_table"].as_str().unwrap().to_owned()).or_default().insert(flat_place(&record));
    }
    places
}

fn flat_place(record: &Value) -> (u64, u64) {
    (record["_pos"].as_u64().unwrap(), record["_row"].as_u64().unwrap())
}

/// Where the records of a topic stood in the source, each once.
#[track_caller]
fn delivered(broker: &Broker, topic: &str) -> BTreeSet<(u64, u64)> {
    let values = broker.records(topic).into_iter().filter_map(|record| record.value);
    let places: Vec<_> = values.map(|value| flat_place(&serde_json::from_str(&value).unwrap())).collect();
    let once: BTreeSet<_> = places.iter().copied().collect();
    assert_eq!(once.len(), places.len(), "a record of {topic} came twice");
    once
}

fn letters(broker: &Broker, name: &str) -> Vec<(Record, Value)> {
    let records = broker.records(&format!("{name}.letters"));
    records.into_iter().map(|record| (record.clone(), serde_json::from_str(record.value.as_deref().unwrap()).unwrap())).collect()
}

fn letter_place(letter: &Value) -> (u64, u64) {
    (letter["source"]["position"].as_u64().unwrap(), letter["source"]["row"].as_u64().unwrap())
}

/// Killed at any moment, each change is in its topic once or has one letter.
#[test]
fn letters_of_transactions_come_once_whatever_is_killed_and_are_listed_shown_and_replayed() {
    let (broker, name) = (kafka::shared(), "letters-once");
    topics(&broker, name, "1000000");
    let host = Sluicegate::new(BINARY, &pipeline(&broker, name, name, "exactly-once"));
    for some in [1, 4] {
        wait_and_kill(&host, &broker, name, some);
    }
    let ended = run(&host);
    assert!(ended.status.success(), "{}", ended.stderr);
    let expected = expected();
    let found = letters(&broker, name);
    let places: BTreeSet<_> = found.iter().map(|(_, letter)| letter_place(letter)).collect();
    assert_eq!((places.len(), &places), (found.len(), &expected["orders"]));
    for table in TABLES {
        let all = if table == "orders" { BTreeSet::new() } else { expected[table].clone() };
        assert_eq!(delivered(&broker, &format!("{name}.{table}")), all);
    }
    let (record, letter) = &found[0];
    assert_eq!(record.key.as_deref(), Some("shop.orders"));
    let headers: Vec<_> = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    assert_eq!(headers, [("sluicegate.kind", Some("sink")), ("sluicegate.stage", Some("kafka"))]);
    assert_eq!((&letter["stage"], &letter["table"]), (&"kafka".into(), &"orders".into()));
    assert!(letter["after"]["id"].is_number() && letter["error"].as_str().unwrap().contains("larger than topic"), "{letter}");

    let count = found.len();
    for _ in 0..2 {
        let listed = dlq(&host, &["list"]);
        assert!(listed.starts_with(&format!("sink `kafka`: {count} letters, {count} not replayed\n")), "{listed}");
    }
    let shown: Value = serde_json::from_str(&dlq(&host, &["show", "--values"])).unwrap();
    assert_eq!(shown["queue"]["topic"], format!("{name}.letters"));
    // where there is room for them
    host.write_pipeline(&pipeline(&broker, name, "letters-room", "exactly-once"));
    for count in [count, 0] {
        let told = format!("sink `kafka`: {count} letters replayed, 0 of them set aside again, 0 skipped by a policy\n");
        assert_eq!(dlq(&host, &["replay"]), told);
    }
    assert_eq!(delivered(&broker, "letters-room.orders"), expected["orders"]);
}

/// A queue whose letters the sink sends by itself.
#[derive(Debug)]
struct OfTheSink(String);

impl Queue for OfTheSink {
    fn is_sent_by(&self, _: &str) -> bool {
        true
    }

    fn topic(&self) -> &str {
        &self.0
    }

    fn send(&self, _: &Outgoing) -> Result<()> {
        panic!("the sink has to send it")
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// Its progress is refused, so nothing of the transaction may be seen.
#[test]
fn a_transaction_that_is_aborted_leaves_no_letter() {
    let (broker, name) = (kafka::shared(), "letters-aborted");
    topics(&broker, name, "1000000");
    broker.create_topic_with(&format!("{name}-positions"), 1, &[("cleanup.policy", "compact"), ("max.message.bytes", "2000")]);
    let transactions = Transactions { transactional_id: format!("id.{name}"), positions_topic: format!("{name}-positions") };
    let settings = KafkaSink { delivery: Delivery::ExactlyOnce(transactions), ..settings(&broker, name) };
    let settings = sink_settings(settings, OnError::DeadLetter, PluginVersions::Omitted);
    let (limits, status) = (Limits::default(), Arc::new(Status { sinks: vec![SinkStatus::default()], ..Status::default() }));
    for (progress, seen) in [("7".repeat(5_000), 0), ("7".to_owned(), 2)] {
        let queue = Arc::new(DeadLetters::in_queue(Arc::new(OfTheSink(format!("{name}.letters")))));
        let mut sink = sinks::resume(&settings, None, &limits, queue, status.clone(), 0).unwrap();
        sink.resume().unwrap();
        let encoder = sinks::encoder(&settings, "shop", "mysql", Capabilities::default(), &limits);
        let mut sink = sink.begin(&Frontier::default(), encoder).unwrap();
        // the broker refuses both
        sink.write(&inserts(0, [1], &"x".repeat(1_000))).unwrap();
        sink.write(&inserts(1, [2], &"x".repeat(1_000))).unwrap();
        let committed = sink.commit(&Frontier::of(Lane::new("rows"), Offset::from_json(format!("\"{progress}\""))));
        assert_eq!((committed.is_ok(), letters(&broker, name).len()), (seen > 0, seen));
    }
}

#[test]
fn letters_of_a_sink_that_delivers_at_least_once_are_acknowledged_before_progress_moves() {
    let (broker, name) = (kafka::shared(), "letters-least");
    topics(&broker, name, "1000000");
    let host = Sluicegate::new(BINARY, &pipeline(&broker, name, name, "at-least-once"));
    wait_and_kill(&host, &broker, name, 1);
    let ended = run(&host);
    assert!(ended.status.success(), "{}", ended.stderr);
    let expected = expected();
    let places: BTreeSet<_> = letters(&broker, name).iter().map(|(_, letter)| letter_place(letter)).collect();
    assert_eq!(places, expected["orders"]);
    assert!(dlq(&host, &["list"]).contains(" of shop.orders: a record, or a batch of records, is larger than topic"));
}

#[test]
fn a_letter_that_its_topic_does_not_take_stops_the_pipeline() {
    let broker = kafka::shared();
    for (name, delivery) in [("letters-small", "exactly-once"), ("letters-small-least", "at-least-once")] {
        topics(&broker, name, "200");
        let host = Sluicegate::new(BINARY, &pipeline(&broker, name, name, delivery));
        let ended = run(&host);
        let told = format!("the dead-letter topic `{name}.letters` does not take a letter");
        assert!(!ended.status.success() && ended.stderr.contains(&told), "{}", ended.stderr);
        assert!(letters(&broker, name).is_empty());
    }
}

#[test]
fn a_topic_of_letters_that_is_not_there_is_told_by_the_check_and_ends_a_start() {
    let (broker, name) = (kafka::shared(), "letters-none");
    let host = Sluicegate::new(BINARY, &pipeline(&broker, name, name, "exactly-once"));
    let told = format!("the dead-letter topic `{name}.letters` is not there");
    for command in [&["check", "pipeline.yaml"][..], &["run", "pipeline.yaml"]] {
        let ended = host.run(command, PATIENCE);
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!ended.status.success() && all.contains(&told), "{all}");
    }
    assert!(broker.records(&format!("{name}.orders")).is_empty());
    broker.create_topic(&format!("{name}.letters"), 1);
    assert!(host.run(&["check", "pipeline.yaml"], PATIENCE).status.success());
}
