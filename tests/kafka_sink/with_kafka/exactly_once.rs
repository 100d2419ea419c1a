//! Exactly once: whatever is killed, a consumer that reads what is committed sees every change once.

use std::{collections::BTreeMap, fs};

use sluicegate_config::{Delivery, Transactions};
use sluicegate_harness::{
    files,
    host::{Process, Sluicegate},
};

use sluicegate_sink::Urgency;

use super::*;

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(60);
const TABLES: [&str; 3] = ["customers", "order_lines", "orders"];

fn exactly_once(broker: &Broker, topic: &str) -> KafkaSink {
    let transactions = Transactions { transactional_id: format!("id.{topic}"), positions_topic: format!("{topic}-positions") };
    KafkaSink { delivery: Delivery::ExactlyOnce(transactions), ..settings(broker, topic) }
}

/// `name`: also the prefix of the topics, and of what names the sink to the broker. It does not end by itself.
fn pipeline(broker: &Broker, name: &str, delivery: &str) -> String {
    format!(
        "name: {name}
source: {{ type: generator, seed: 7, rate: 2000 }}
sinks:
  - {{ type: kafka, brokers: '{}', topic: '{name}.{{table}}', format: flat, delivery: {delivery} }}
limits: {{ checkpoint_interval: 200ms, batch_changes: 100 }}
",
        broker.brokers()
    )
}

/// What the generator makes first: each change with its table, in order.
fn expected(changes: usize) -> Vec<(&'static str, String)> {
    let text = format!(
        "name: whole\nsource: {{ type: generator, seed: 7, changes: {changes} }}\nsinks: [{{ type: file, format: flat, folder: out, prefix: shop }}]\n"
    );
    let host = Sluicegate::new(BINARY, &text);
    let ended = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let table = |record: &Value| TABLES.into_iter().find(|table| record["_table"] == *table).expect("a table of the shop");
    files::records(&host.path("out"), "shop").iter().map(|record| (table(record), record.to_string())).collect()
}

fn found(broker: &Broker, name: &str) -> BTreeMap<&'static str, Vec<String>> {
    let text = |record: &Record| record.value.as_ref().map(|value| serde_json::from_str::<Value>(value).expect("JSON").to_string());
    let table = |table| (table, broker.records(&format!("{name}.{table}")).iter().filter_map(text).collect());
    TABLES.into_iter().map(table).collect()
}

/// What was delivered is the beginning of the stream, each change once.
#[track_caller]
fn is_once(broker: &Broker, name: &str) {
    let found = found(broker, name);
    let total = found.values().map(Vec::len).sum();
    let mut expected = expected(total);
    expected.truncate(total);
    for table in TABLES {
        let expected: Vec<&String> = expected.iter().filter(|(of, _)| *of == table).map(|(_, record)| record).collect();
        let found = &found[table];
        if let Some(at) = (0..expected.len().max(found.len())).find(|at| expected.get(*at).copied() != found.get(*at)) {
            panic!("{table}: {} records of {}, record {at}:\n  {:?}\n  {:?}", found.len(), expected.len(), found.get(at), expected.get(at));
        }
    }
}

/// Runs until there are more records, and ends in order.
#[track_caller]
fn run_on(host: &Sluicegate, broker: &Broker, name: &str) {
    let before = so_far(broker, name);
    let mut process = host.spawn();
    wait_for(&mut process, broker, name, before + 300);
    stop(process);
}

#[track_caller]
fn stop(process: Process) {
    process.sigterm();
    let ended = process.wait(2 * PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
}

/// Records that were committed so far, of every table.
fn so_far(broker: &Broker, name: &str) -> usize {
    TABLES.into_iter().map(|table| broker.records_so_far(&format!("{name}.{table}")).len()).sum()
}

#[track_caller]
fn wait_for(process: &mut Process, broker: &Broker, name: &str, count: usize) {
    process.wait_until(&format!("{count} records of {name}"), PATIENCE, || so_far(broker, name) >= count);
}

#[test]
fn a_program_killed_ten_times_delivers_every_change_once() {
    let broker = kafka::shared();
    let name = "once-killed";
    let host = Sluicegate::new(BINARY, &pipeline(&broker, name, "exactly-once"));
    for kill in 0..10 {
        let goal = so_far(&broker, name) + kill * 70 + 1;
        let mut process = host.spawn();
        // now and then while it starts
        if kill % 3 != 0 {
            wait_for(&mut process, &broker, name, goal);
        }
        process.kill9();
    }
    run_on(&host, &broker, name);
    is_once(&broker, name);
}

#[test]
fn a_broker_that_is_killed_gets_every_change_once() {
    let mut broker = kafka::start(&[]);
    let name = "once-broker";
    let host = Sluicegate::new(BINARY, &pipeline(&broker, name, "exactly-once"));
    let mut process = host.spawn();
    for _ in 0..2 {
        let goal = so_far(&broker, name) + 1_000;
        wait_for(&mut process, &broker, name, goal);
        broker.kill9();
        broker.start_again();
    }
    let goal = so_far(&broker, name) + 1_000;
    wait_for(&mut process, &broker, name, goal);
    stop(process);
    is_once(&broker, name);
}

/// Begun anew, it delivers everything once more, and goes on there after a crash.
#[test]
fn an_output_that_is_begun_anew_delivers_everything_once_more() {
    let (broker, port) = (kafka::shared(), sluicegate_harness::free_port());
    let name = "once-anew";
    let text = format!("{}http: {{ listen: '127.0.0.1:{port}', admin: true }}\n", pipeline(&broker, name, "exactly-once"));
    let host = Sluicegate::new(BINARY, &text);
    let mut process = host.spawn();
    wait_for(&mut process, &broker, name, 300);
    let (code, answer) =
        sluicegate_harness::host::http_request(port, "POST", "/outputs/kafka/reset", &[], br#"{"start":"earliest"}"#).expect("an answer");
    assert_eq!(code, 202, "{answer}");
    let (table, first) = &expected(1)[0];
    let begins = || found(&broker, name)[table].iter().filter(|record| *record == first).count();
    process.wait_until("it begins anew", PATIENCE, || begins() == 2);
    let goal = so_far(&broker, name) + 300;
    wait_for(&mut process, &broker, name, goal);
    process.kill9();
    run_on(&host, &broker, name);
    let (found, expected) = (found(&broker, name), expected(so_far(&broker, name)));
    for table in TABLES {
        let expected: Vec<&String> = expected.iter().filter(|(of, _)| *of == table).map(|(_, record)| record).collect();
        let anew = 1 + found[table][1..].iter().position(|record| record == expected[0]).expect("it begins anew");
        for part in [&found[table][..anew], &found[table][anew..]] {
            assert!(part.iter().eq(expected.iter().copied().take(part.len())), "{table}: changes are missing, or come twice");
        }
    }
}

/// The progress stands in Kafka: neither an old state file nor none makes the sink repeat anything.
#[test]
fn a_state_file_that_is_lost_or_old_repeats_nothing() {
    let broker = kafka::shared();
    let name = "once-lost";
    let host = Sluicegate::new(BINARY, &pipeline(&broker, name, "exactly-once"));
    let state = host.path("sluicegate-state");
    let run_and_kill = || {
        let goal = so_far(&broker, name) + 500;
        let mut process = host.spawn();
        wait_for(&mut process, &broker, name, goal);
        process.kill9();
    };
    run_and_kill();
    let files = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let old: Vec<_> = files.map(|path| (fs::read(&path).unwrap(), path)).collect();
    run_and_kill();
    fs::remove_dir_all(&state).unwrap();
    fs::create_dir(&state).unwrap();
    for (content, path) in old {
        fs::write(path, content).unwrap();
    }
    run_and_kill();
    fs::remove_dir_all(&state).unwrap();
    run_on(&host, &broker, name);
    is_once(&broker, name);
}

#[test]
fn a_sink_that_becomes_exactly_once_and_back_repeats_nothing_at_an_orderly_end() {
    let broker = kafka::shared();
    let name = "once-turned";
    let host = Sluicegate::new(BINARY, "");
    for delivery in ["at-least-once", "exactly-once", "at-least-once", "exactly-once"] {
        host.write_pipeline(&pipeline(&broker, name, delivery));
        let goal = so_far(&broker, name) + 500;
        let mut process = host.spawn();
        wait_for(&mut process, &broker, name, goal);
        if delivery == "exactly-once" {
            process.kill9();
        } else {
            stop(process);
        }
    }
    run_on(&host, &broker, name);
    is_once(&broker, name);
}

#[test]
fn a_second_program_with_the_same_id_shuts_the_first_out() {
    let broker = kafka::shared();
    let name = "once-fenced";
    let text = pipeline(&broker, name, "exactly-once");
    let (first, second) = (Sluicegate::new(BINARY, &text), Sluicegate::new(BINARY, &text));
    let mut process = first.spawn();
    wait_for(&mut process, &broker, name, 100);
    let mut other = second.spawn();
    let ended = process.wait(PATIENCE);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("another producer with the transactional id `sluicegate.once-fenced.kafka` has taken over"),
        "{}",
        ended.stderr
    );
    let goal = so_far(&broker, name) + 100;
    wait_for(&mut other, &broker, name, goal);
    stop(other);
    is_once(&broker, name);
}

/// One refused record takes its whole transaction down. Nobody sees what was tried to find it.
#[test]
fn a_refused_record_is_set_aside_and_its_neighbours_are_delivered_once() {
    let broker = kafka::shared();
    for (name, on_error) in [("once-letters", OnError::DeadLetter), ("once-skip", OnError::Skip)] {
        broker.create_topic_with(&format!("{name}.orders"), 1, &[("max.message.bytes", "20000")]);
        let mut bench = Bench::open(exactly_once(&broker, name), on_error).unwrap();
        // the broker knows the sequence numbers of the partition, so that what follows a refused request is refused as well
        bench.sink.write(&inserts(0, [-1], "")).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();
        let huge = "x".repeat(30_000); // the client takes it, the broker does not
        let mut batch = inserts(0, 0..150, &"n".repeat(200));
        push(&mut batch, None, Some((150, &huge)));
        push(&mut batch, None, Some((151, "last")));
        bench.sink.write(&batch).unwrap();
        bench.sink.write(&inserts(152, [152], "")).unwrap();
        // two records, of which the second is refused
        let mut moved = super::batch(153, table("orders", true));
        push(&mut moved, Some((1, "n")), Some((1001, &huge)));
        bench.sink.write(&moved).unwrap();
        bench.sink.commit(&Frontier::of(Lane::new("rows"), Offset::from_json("9"))).unwrap();
        bench.sink.write(&inserts(154, [154], "")).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();

        let ids: Vec<i64> = broker.records(&format!("{name}.orders")).iter().map(id).collect();
        let expected: Vec<i64> = (-1..150).chain([151, 152, 154]).collect();
        assert_eq!(ids, expected);
        let numbers = &bench.status.sinks[0];
        assert_eq!(numbers.records.get(), expected.len() as u64);
        match on_error {
            OnError::Skip => assert_eq!((numbers.skipped.get(), bench.dead_letters().len()), (2, 0)),
            _ => {
                let letters: Vec<Value> = bench.dead_letters().iter().map(|letter| letter["after"]["id"].clone()).collect();
                assert_eq!(letters, [150, 1001]);
            }
        }
        let positions = broker.records(&format!("{name}-positions"));
        assert_eq!(positions.last().and_then(|record| record.value.clone()).as_deref(), Some(r#"{"offset":9}"#));
    }
}

#[test]
fn by_default_a_refused_record_stops_the_sink_and_nothing_of_its_transaction_is_seen() {
    let broker = kafka::shared();
    broker.create_topic_with("once-stop.orders", 1, &[("max.message.bytes", "20000")]);
    let mut bench = Bench::open(exactly_once(&broker, "once-stop"), OnError::Stop).unwrap();
    bench.sink.write(&inserts(0, [1], "before")).unwrap();
    let written = bench.sink.write(&inserts(1, [2], &"x".repeat(30_000)));
    let error = written.and_then(|()| bench.sink.commit(&Frontier::default()).map(drop)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Record);
    assert_eq!(broker.records("once-stop.orders").len(), 0);
}

/// It is no fault of the brokers, and is not tried again.
#[test]
fn a_table_that_the_format_cannot_write_is_told_as_such() {
    let broker = kafka::shared();
    let mut bench = Bench::open_in(exactly_once(&broker, "once-clash"), RecordFormat::Dts.into());
    let mut table = table("orders", true);
    Arc::make_mut(&mut table).columns[1].name = "new_dts_sync_dts_db_name".into();
    let mut batch = batch(0, table);
    push(&mut batch, None, Some((1, "")));
    insta::assert_snapshot!(bench.sink.write(&batch).unwrap_err(), @r"
    column `new_dts_sync_dts_db_name` of table shop.orders would have the same name in the record as a field of the format `dts`
      remedy: rename the column with the `map-names` plugin, or set the other `naming` of the format
    ");
}

/// Of a batch in front of which the transaction was lost, nothing was tried yet when it is written again.
#[test]
fn a_change_behind_a_lost_transaction_that_cannot_be_sent_is_set_aside() {
    let broker = kafka::shared();
    broker.create_topic_with("once-behind.orders", 1, &[("max.message.bytes", "20000")]);
    let mut bench = Bench::open(exactly_once(&broker, "once-behind"), OnError::Skip).unwrap();
    bench.sink.write(&inserts(0, [-1], &"x".repeat(30_000))).unwrap(); // the broker refuses it
    // until it is known to the sink
    let (mut ids, nothing) = (0..800, batch(900, table("orders", true)));
    while bench.sink.urgency() != Urgency::Now
        && let Some(id) = ids.next()
    {
        bench.sink.write(&inserts(1 + id as u64, [id], "")).unwrap();
        (0..100).for_each(|_| bench.sink.write(&nothing).unwrap());
    }
    let mut batch = inserts(1_000, [1_000], "");
    push(&mut batch, None, Some((1_001, &"x".repeat(2_000_000)))); // librdkafka refuses it
    push(&mut batch, None, Some((1_002, "")));
    bench.sink.write(&batch).unwrap();
    bench.sink.commit(&Frontier::of(Lane::new("rows"), Offset::from_json("9"))).unwrap();
    let found: Vec<i64> = broker.records("once-behind.orders").iter().map(id).collect();
    let expected: Vec<i64> = (0..ids.start).chain([1_000, 1_002]).collect();
    assert_eq!(found, expected);
    assert_eq!(bench.status.sinks[0].skipped.get(), 2);
}

#[test]
fn progress_that_its_topic_does_not_take_stops_the_sink_whatever_it_does_with_refused_records() {
    let broker = kafka::shared();
    // librdkafka refuses the last one
    let cases =
        [("once-narrow", OnError::Stop, 5_000), ("once-narrow-skip", OnError::Skip, 5_000), ("once-huge", OnError::Skip, 2_000_000)];
    for (topic, on_error, size) in cases {
        let positions = [("cleanup.policy", "compact"), ("max.message.bytes", "2000")];
        broker.create_topic_with(&format!("{topic}-positions"), 1, &positions);
        let mut bench = Bench::open(exactly_once(&broker, topic), on_error).unwrap();
        bench.sink.write(&inserts(0, [1], "")).unwrap();
        let large = Frontier::of(Lane::new("rows"), Offset::from_json(format!("\"{}\"", "7".repeat(size))));
        let error = bench.sink.commit(&large).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sink);
        let text = format!("the positions topic `{topic}-positions` does not take the sink's progress: ");
        assert!(error.to_string().starts_with(&text), "{error}");
        assert!(error.to_string().contains("remedy: raise `max.message.bytes` of the topic, and"), "{error}");
        assert_eq!(broker.records(&format!("{topic}.orders")).len(), 0);
    }
}

#[test]
fn a_positions_topic_that_forgets_with_age_is_refused() {
    let broker = kafka::shared();
    broker.create_topic_with("forgets-positions", 1, &[("cleanup.policy", "delete")]);
    let error = Bench::open(exactly_once(&broker, "forgets"), OnError::Stop).err().unwrap();
    insta::assert_snapshot!(error, @r"
    the positions topic `forgets-positions` has `cleanup.policy=delete`: the sink's progress would be removed with age
      remedy: set `cleanup.policy=compact` for the topic (`kafka-configs.sh --alter --add-config`), or another `positions_topic`
    ");
}

/// Readers of what is committed see nothing behind another sink's open transaction, not even where the topic ends.
#[test]
fn an_open_transaction_of_another_sink_does_not_hide_progress() {
    let broker = kafka::shared();
    let shared = |topic: &str| {
        let transactions = Transactions { transactional_id: format!("id.{topic}"), positions_topic: "shared-positions".into() };
        KafkaSink { delivery: Delivery::ExactlyOnce(transactions), ..settings(&broker, topic) }
    };
    let at = |offset: &str| Frontier::of(Lane::new("rows"), Offset::from_json(offset));
    let limits = Limits { connect_timeout: PATIENCE, ..Limits::default() };
    let open = |topic| Bench::open_with(shared(topic), OnError::Stop, PluginVersions::Omitted, &limits).unwrap();
    let mut one = open("shared-one");
    one.sink.write(&inserts(0, [1], "")).unwrap();
    one.sink.commit(&at("1")).unwrap();
    // stands in the topic with what is not committed
    let other = broker.open_transaction("shared-positions");
    one.sink.write(&inserts(1, [2], "")).unwrap();
    one.sink.commit(&at("2")).unwrap();
    drop(one);
    let read = |timeout| {
        let settings = sink_settings(shared("shared-one"), OnError::Stop, PluginVersions::Omitted);
        let limits = Limits { connect_timeout: timeout, ..Limits::default() };
        let folder = tempfile::tempdir().unwrap();
        let letters = Arc::new(DeadLetters::new(folder.path(), 16 << 20));
        let status = Arc::new(Status { sinks: vec![SinkStatus::default()], ..Status::default() });
        sinks::resume(&settings, None, &limits, letters, status, 0)?.resume()
    };
    // it waits
    assert_eq!(read(Duration::from_secs(5)).unwrap_err().kind(), ErrorKind::Connection);
    other.abort();
    assert_eq!(read(PATIENCE).unwrap(), Some(at("2")));
}

#[test]
fn progress_that_the_brokers_lost_is_not_guessed() {
    let broker = kafka::start(&[]);
    let name = "once-removed";
    let host = Sluicegate::new(BINARY, &pipeline(&broker, name, "exactly-once"));
    run_on(&host, &broker, name);
    broker.delete_topic("sluicegate.positions.once-removed.kafka");
    let ended = host.run(&["--log-format", "text", "run", "pipeline.yaml"], PATIENCE);
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("does not hold the progress of `sluicegate.once-removed.kafka`"), "{}", ended.stderr);
    // the remedy
    let shown: Value = serde_json::from_str(&host.run(&["checkpoint", "show", "pipeline.yaml"], PATIENCE).stdout).expect("JSON");
    let offset = shown["sinks"][0]["lanes"]["generator"].to_string();
    let set = ["checkpoint", "set", "pipeline.yaml", "--sink", "kafka", "--lane", "generator", "--offset", &offset, "--force"];
    let ended = host.run(&set, PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    run_on(&host, &broker, name);
    is_once(&broker, name);
}
