//! Transactions of Kafka that end where transactions of the source end: nobody who reads what is committed sees half of one.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use sluicegate_config::{Delivery, LongTransactions, Transactions};
use sluicegate_harness::{
    database::Server,
    host::{Process, Sluicegate, metric},
    mariadb, mysql,
};
use sluicegate_model::change::{Mark, MarkKind};
use sluicegate_sink::Urgency;

use super::*;

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(60);

fn aligned(broker: &Broker, topic: &str, long: LongTransactions) -> KafkaSink {
    let transactions = Transactions { transactional_id: format!("id.{topic}"), positions_topic: format!("{topic}-positions") };
    KafkaSink { delivery: Delivery::ExactlyOnce(transactions), align: Some(long), ..settings(broker, topic) }
}

/// A batch that ends inside of a transaction, or with it.
fn part(number: u64, ids: std::ops::Range<i64>, complete: bool) -> Batch {
    let mut batch = inserts(number, ids, "");
    batch.transactions[0] = Transaction { id: Some("0-1-7".into()), complete, ..batch.transactions[0].clone() };
    batch
}

fn ends(lane: &str) -> Mark {
    let transaction = Transaction { id: Some("0-1-7".into()), complete: true, ..Transaction::default() };
    Mark { lane: Lane::new(lane), offset: Offset::from_json("9"), kind: MarkKind::TransactionEnds(transaction) }
}

#[test]
fn a_part_of_a_transaction_is_neither_committed_nor_left_behind() {
    let broker = kafka::shared();
    let mut bench = Bench::open(aligned(&broker, "aligned", LongTransactions::Cut), OnError::Stop).unwrap();
    let rests = |bench: &Bench| (bench.sink.urgency(), bench.sink.is_ripe(), bench.sink.held());
    bench.sink.write(&part(0, 0..10, false)).unwrap();
    assert_eq!(rests(&bench), (Urgency::Interval, false, 0));
    // a chunk of a copy, which comes in between
    let copied = Batch { lane: Lane::new("copy:shop.orders/1"), ..part(10, 500..501, true) };
    bench.sink.write(&copied).unwrap();
    assert_eq!(rests(&bench), (Urgency::Interval, false, 0));
    // the stream leaves it
    assert!(bench.sink.abandon().unwrap());
    assert_eq!(rests(&bench), (Urgency::Interval, true, 0));
    assert!(!bench.sink.abandon().unwrap());
    assert_eq!(broker.records("aligned.orders"), []);

    bench.sink.write(&part(0, 0..10, false)).unwrap();
    bench.sink.write(&part(10, 10..20, false)).unwrap();
    bench.sink.mark(&ends("rows")).unwrap();
    assert_eq!((bench.sink.urgency(), bench.sink.is_ripe()), (Urgency::Idle, true));
    bench.sink.commit(&Frontier::of(Lane::new("rows"), Offset::from_json("9"))).unwrap();
    // its end is in a batch of which nothing is delivered
    bench.sink.write(&part(20, 20..30, false)).unwrap();
    assert_eq!(bench.sink.urgency(), Urgency::Interval);
    bench.sink.pass(&Batch { changes: Vec::new(), ..part(30, 0..1, true) }).unwrap();
    assert_eq!(bench.sink.urgency(), Urgency::Idle);
    bench.sink.commit(&Frontier::default()).unwrap();
    let ids: Vec<i64> = broker.records("aligned.orders").iter().map(id).collect();
    assert_eq!(ids, (0..30).collect::<Vec<_>>());
    assert_eq!(bench.status.sinks[0].cut_transactions.get(), 0);
}

#[test]
fn a_transaction_that_is_too_large_is_cut_and_told_or_stops_the_sink() {
    let broker = kafka::shared();
    let limits = Limits { kafka_queue_bytes: 1 << 20, ..Limits::default() };
    let heavy = |number, ids, complete| Batch { bytes: 600 << 10, ..part(number, ids, complete) };
    let kafka = aligned(&broker, "aligned-cut", LongTransactions::Cut);
    let mut bench = Bench::open_with(kafka, OnError::Stop, PluginVersions::Omitted, &limits).unwrap();
    for number in 0..4 {
        bench.sink.write(&heavy(number, number as i64..number as i64 + 1, false)).unwrap();
        if bench.sink.urgency() == Urgency::Now {
            bench.sink.commit(&Frontier::default()).unwrap();
        }
    }
    assert_eq!(broker.records("aligned-cut.orders").len(), 4);
    assert_eq!(bench.status.sinks[0].cut_transactions.get(), 1, "one transaction, two cuts");
    // between transactions, there is always room for one of half the size
    bench.sink.write(&heavy(4, 4..5, true)).unwrap();
    assert_eq!(bench.sink.urgency(), Urgency::Now);

    let kafka = aligned(&broker, "aligned-stop", LongTransactions::Stop);
    let mut bench = Bench::open_with(kafka, OnError::Stop, PluginVersions::Omitted, &limits).unwrap();
    bench.sink.write(&heavy(0, 0..1, false)).unwrap();
    insta::assert_snapshot!(bench.sink.write(&heavy(1, 1..2, false)).unwrap_err(), @"
    the source's transaction 0-1-7 at binlog.000001:0 does not fit into one of Kafka's: it takes more than half of `limits.kafka_queue_bytes`, or longer than 30s
      remedy: raise `limits.kafka_queue_bytes` or the sink's `delivery_timeout`, or let it be committed in parts (`long_transactions: cut`); then start again: nothing is lost or repeated
    ");
    assert_eq!(broker.records("aligned-stop.orders"), []);
}

/// The transfers in each of Kafka's transactions, by their numbers, with what they have in all: a mark in the log ends each of these, and
/// takes an offset.
fn commits(records: &[Record]) -> Vec<BTreeMap<i64, (usize, i64)>> {
    let mut all: Vec<BTreeMap<i64, (usize, i64)>> = Vec::new();
    let mut next = -1;
    for record in records {
        if record.offset != next {
            all.push(BTreeMap::new());
        }
        next = record.offset + 1;
        let number = |name: &str| field(record, name).and_then(|value| value.as_i64()).expect("a number");
        let transfer = all.last_mut().expect("one was begun").entry(number("transfer")).or_default();
        *transfer = (transfer.0 + 1, transfer.1 + number("amount"));
    }
    all
}

/// Transfers of which some transaction of Kafka has a part only.
fn halves(records: &[Record]) -> Vec<i64> {
    let commits = commits(records);
    let half = |(transfer, (rows, sum)): (&i64, &(usize, i64))| (*sum != 0 || *rows != 2 * size(*transfer)).then_some(*transfer);
    commits.iter().flat_map(|commit| commit.iter().filter_map(half)).collect()
}

/// Rows that a transfer has in each of two tables. With batches of 20, some fill their last one.
fn size(transfer: i64) -> usize {
    [1, 40, 7, 150, 20, 3][transfer as usize % 6]
}

/// Moves money from one table to the other, in rows whose text has so many bytes.
fn transfer(server: &Server, database: &str, transfer: i64, bytes: usize) {
    let rows = |sign: i64| {
        let row = |_| format!("({transfer}, {}, REPEAT('x', {bytes}))", sign * (transfer + 1));
        (0..size(transfer)).map(row).collect::<Vec<_>>().join(", ")
    };
    let into = |table: &str, sign| format!("INSERT INTO {database}.{table} (transfer, amount, note) VALUES {};", rows(sign));
    server.sql(&format!("BEGIN; {} {} COMMIT", into("debits", -1), into("credits", 1)));
}

/// Two tables, and a pipeline that delivers both to the first partition of one topic.
fn bank(server: &Server, broker: &Broker, name: &str, sink: &str, limits: &str) -> (String, Sluicegate) {
    let (database, pipeline) = pipeline(server, broker, name, sink, limits);
    (database, Sluicegate::new(BINARY, &pipeline))
}

fn pipeline(server: &Server, broker: &Broker, name: &str, sink: &str, limits: &str) -> (String, String) {
    let database = server.database("bank");
    for table in ["debits", "credits"] {
        server.sql(&format!("CREATE TABLE {database}.{table} (id INT PRIMARY KEY AUTO_INCREMENT, transfer INT, amount INT, note TEXT)"));
    }
    let (port, user, password) = (server.port(), server.user(), server.password());
    let pipeline = format!(
        "name: {name}
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{database}.*'], start: now }}
sinks: [{{ type: kafka, brokers: '{}', topic: {name}, format: flat, delivery: exactly-once, align: source-transactions{sink} }}]
limits: {{ checkpoint_interval: 200ms{limits} }}
",
        broker.brokers()
    );
    (database, pipeline)
}

fn started(host: &Sluicegate) -> Process {
    let mut process = host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    process
}

#[track_caller]
fn stop(process: Process) {
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
}

#[test]
fn a_consumer_sees_whole_transactions_whenever_it_looks_and_whatever_is_killed() {
    let broker = kafka::shared();
    for server in [mariadb::shared(), mysql::shared()] {
        let name = format!("whole-{:?}", server.flavor()).to_lowercase();
        let (database, host) = bank(&server, &broker, &name, "", ", batch_changes: 20");
        let (done, transfers) = (AtomicBool::new(false), 60);
        let look = || {
            let records = broker.records_so_far(&name);
            assert_eq!(halves(&records), [0; 0], "{name}: {:?}", commits(&records));
            records.len()
        };
        let process = started(&host);
        let mut process = thread::scope(|scope| {
            let mut process = process;
            scope.spawn(|| {
                (0..transfers).for_each(|number| transfer(&server, &database, number, 50));
                done.store(true, Ordering::Release);
            });
            let mut ends = 0;
            while !done.load(Ordering::Acquire) {
                let before = look();
                process.wait_until("further records", PATIENCE, || look() > before || done.load(Ordering::Acquire));
                if ends % 2 == 0 {
                    process.kill9();
                } else {
                    stop(process);
                }
                process = started(&host);
                ends += 1;
            }
            process
        });
        let rows = (0..transfers).map(|number| 2 * size(number)).sum();
        process.wait_until("every row", PATIENCE, || look() >= rows);
        stop(process);
        // each transfer is whole in one of Kafka's transactions, so none is there twice
        assert_eq!(broker.records(&name).len(), rows);
        assert_eq!(look(), rows);
    }
}

#[test]
fn a_program_that_ends_inside_of_a_transaction_leaves_nothing_of_it_and_goes_on_with_the_whole() {
    let broker = kafka::shared();
    for server in [mariadb::shared(), mysql::shared()] {
        let name = format!("left-{:?}", server.flavor()).to_lowercase();
        let (database, pipeline) = pipeline(&server, &broker, &name, "", ", batch_changes: 2");
        let port = sluicegate_harness::free_port();
        let slow = pipeline.replace("start: now", "start: now, rows_per_second: 20");
        let host = Sluicegate::new(BINARY, &format!("{slow}http: '127.0.0.1:{port}'\n"));
        let mut process = started(&host);
        transfer(&server, &database, 3, 10);
        let read = format!("sluicegate_source_changes_total{{pipeline=\"{name}\"}}");
        process.wait_until("a part is read", PATIENCE, || metric(port, &read).is_some_and(|read| read >= 4.0));
        stop(process);
        assert_eq!(broker.records(&name), []);
        host.write_pipeline(&pipeline);
        let process = started(&host);
        let records = broker.wait_for_records(&name, 2 * size(3), PATIENCE);
        assert_eq!(halves(&records), [0; 0], "{:?}", commits(&records));
        stop(process);
        assert_eq!(broker.records(&name).len(), 2 * size(3));
    }
}

/// What the judge above finds where there is something to find.
#[test]
fn a_transaction_beyond_the_limit_is_committed_in_parts_with_a_warning_or_stops_the_program() {
    let broker = kafka::shared();
    for server in [mariadb::shared(), mysql::shared()] {
        let small = ", batch_changes: 2, kafka_queue_bytes: 1MiB";
        let name = format!("cut-{:?}", server.flavor()).to_lowercase();
        let (database, host) = bank(&server, &broker, &name, "", small);
        let mut process = started(&host);
        transfer(&server, &database, 4, 50_000);
        transfer(&server, &database, 5, 10);
        let rows = 2 * (size(4) + size(5));
        let records = broker.wait_for_records(&name, rows, PATIENCE);
        assert!(halves(&records).iter().all(|half| *half == 4) && halves(&records).len() > 1, "{:?}", commits(&records));
        let warning = process.wait_for_line("too long to be committed whole", PATIENCE);
        assert!(warning.contains("binlog") || warning.contains("bin."), "{warning}");
        stop(process);
        assert_eq!(broker.records(&name).len(), rows);

        let name = format!("stop-{:?}", server.flavor()).to_lowercase();
        let (database, host) = bank(&server, &broker, &name, ", long_transactions: stop", small);
        let process = started(&host);
        transfer(&server, &database, 4, 50_000);
        let ended = process.wait(PATIENCE);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("does not fit into one of Kafka's"), "{}", ended.stderr);
        assert_eq!(broker.records(&name), []);
    }
}
