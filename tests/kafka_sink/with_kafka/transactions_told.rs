//! Debezium's transaction metadata: what a consumer of the topics can rely on.

use std::{
    ops::Range,
    process::{Command, Stdio},
};

use serde_json::json;
use sluicegate_config::{Delivery, Transactions};
use sluicegate_harness::{database::Server, host::Sluicegate, mariadb, mysql};
use sluicegate_model::change::{Mark, MarkKind};

use super::*;

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(60);

fn telling(broker: &Broker, topic: &str, exactly_once: bool) -> KafkaSink {
    let transactions = Transactions { transactional_id: format!("id.{topic}"), positions_topic: format!("{topic}-positions") };
    let delivery = if exactly_once { Delivery::ExactlyOnce(transactions) } else { Delivery::AtLeastOnce };
    KafkaSink { delivery, transaction_topic: Some(format!("{topic}.transaction")), ..settings(broker, topic) }
}

fn debezium(kafka: KafkaSink, on_error: OnError) -> Settings {
    Settings { format: RecordFormat::Debezium.into(), ..sink_settings(kafka, on_error, PluginVersions::Omitted) }
}

/// Goes on where the state says, or what stands in Kafka.
fn go_on(settings: &Settings, state: Option<&str>) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let letters = Arc::new(DeadLetters::new(folder.path(), 16 << 20));
    let status = Arc::new(Status { sinks: vec![SinkStatus::default()], ..Status::default() });
    let limits = Limits::default();
    let mut sink = sinks::resume(settings, state, &limits, letters, status.clone(), 0).unwrap();
    sink.resume().unwrap();
    let sink = sink.begin(&Frontier::default(), sinks::encoder(settings, "shop", "mysql", Capabilities::default(), &limits)).unwrap();
    Bench { sink, status, folder }
}

fn transaction(id: &str, complete: bool) -> Transaction {
    Transaction { id: Some(id.into()), file: "binlog.000001".into(), position: 4, complete }
}

/// Inserts into a table, in a batch that ends inside of the transaction, or with it.
fn part(number: u64, of: &str, table: &str, ids: Range<i64>, complete: bool) -> Batch {
    let mut batch = batch(number, self::table(table, true));
    ids.for_each(|id| push(&mut batch, None, Some((id, ""))));
    batch.transactions[0] = transaction(of, complete);
    batch
}

fn ends(of: &str) -> Mark {
    Mark { lane: Lane::new("rows"), offset: Offset::from_json("1"), kind: MarkKind::TransactionEnds(transaction(of, true)) }
}

fn commit(bench: &mut Bench, offset: &str) -> String {
    bench.sink.commit(&Frontier::of(Lane::new("rows"), Offset::from_json(offset))).unwrap()
}

/// What is told of a transaction: its counts, in all and by table, only at its end.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    status: String,
    id: String,
    count: Value,
    tables: Vec<(String, u64)>,
}

fn told(broker: &Broker, topic: &str) -> Vec<Told> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let one = |record: &Record| {
        let value: Value = serde_json::from_str(record.value.as_ref().unwrap()).unwrap();
        assert_eq!(record.key.as_deref(), Some(json!({ "id": value["id"] }).to_string().as_str()));
        let tables = value["data_collections"].as_array().into_iter().flatten();
        let tables = tables.map(|table| (text(&table["data_collection"]), table["event_count"].as_u64().unwrap())).collect();
        Told { status: text(&value["status"]), id: text(&value["id"]), count: value["event_count"].clone(), tables }
    };
    broker.records(&format!("{topic}.transaction")).iter().map(one).collect()
}

/// What the records of a table say: transaction, place in it and among those of the table. Tombstones and rows of a copy have none.
fn places(broker: &Broker, topic: &str) -> Vec<(String, u64, u64)> {
    let place = |record: &Record| {
        let block = field(record, "transaction").filter(|block| !block.is_null())?;
        let number = |name: &str| block[name].as_u64().expect("a number");
        Some((block["id"].as_str().expect("a name").to_owned(), number("total_order"), number("data_collection_order")))
    };
    broker.records(topic).iter().filter_map(place).collect()
}

fn begins(id: &str) -> Told {
    Told { status: "BEGIN".into(), id: id.into(), count: Value::Null, tables: Vec::new() }
}

fn ended(id: &str, tables: &[(&str, u64)]) -> Told {
    let count: u64 = tables.iter().map(|(_, events)| events).sum();
    let tables = tables.iter().map(|(table, events)| ((*table).to_owned(), *events)).collect();
    Told { status: "END".into(), id: id.into(), count: count.into(), tables }
}

#[test]
fn counts_go_on_over_batches_commits_and_starts_inside_of_a_transaction() {
    let broker = kafka::shared();
    for (topic, exactly_once) in [("told-once", true), ("told-least", false)] {
        let settings = debezium(telling(&broker, topic, exactly_once), OnError::Stop);
        let mut bench = go_on(&settings, None);
        bench.sink.write(&part(0, "0-1-7", "orders", 0..3, false)).unwrap();
        let state = commit(&mut bench, "1");
        bench.sink.write(&part(3, "0-1-7", "lines", 0..2, false)).unwrap();
        let state = if exactly_once { state } else { commit(&mut bench, "2") };
        // what was not committed comes again; without the state file, what stands in Kafka counts
        drop(bench);
        let mut bench = go_on(&settings, Some(state.as_str()).filter(|_| !exactly_once));
        if exactly_once {
            bench.sink.write(&part(3, "0-1-7", "lines", 0..2, false)).unwrap();
        }
        // another key: a delete and an insert, which are two records, and a tombstone, which is none
        let mut moved = part(5, "0-1-7", "orders", 0..0, true);
        push(&mut moved, Some((1, "")), Some((11, "")));
        // a row of a copy belongs to no transaction
        let mut copied = Batch { lane: Lane::new("copy:shop.orders/1"), ..part(6, "", "orders", 500..501, true) };
        copied.changes[0].operation = Operation::Snapshot;
        bench.sink.write(&copied).unwrap();
        bench.sink.write(&moved).unwrap();
        // a batch with two transactions, of which the second one ends later
        let mut two = part(7, "0-1-8", "orders", 20..21, true);
        two.transactions.push(transaction("0-1-9", false));
        two.events.push(Event { transaction: 1, ..two.events[0].clone() });
        push(&mut two, None, Some((21, "")));
        two.changes[1].event = 1;
        bench.sink.write(&two).unwrap();
        commit(&mut bench, "3");
        bench.sink.mark(&ends("0-1-9")).unwrap();
        bench.sink.mark(&ends("0-1-9")).unwrap();
        let state = commit(&mut bench, "4");
        assert_eq!(state == "{}", !exactly_once, "{state}");

        let expected = [
            begins("0-1-7"),
            ended("0-1-7", &[("shop.orders", 5), ("shop.lines", 2)]),
            begins("0-1-8"),
            ended("0-1-8", &[("shop.orders", 1)]),
            begins("0-1-9"),
            ended("0-1-9", &[("shop.orders", 1)]),
        ];
        assert_eq!(told(&broker, topic), expected, "{topic}");
        let of = |id: &str, places: &[(u64, u64)]| places.iter().map(|(all, own)| (id.to_owned(), *all, *own)).collect::<Vec<_>>();
        let lines = of("0-1-7", &[(4, 1), (5, 2)]);
        assert_eq!(places(&broker, &format!("{topic}.lines")), lines, "{topic}");
        let orders = [of("0-1-7", &[(1, 1), (2, 2), (3, 3), (6, 4), (7, 5)]), of("0-1-8", &[(1, 1)]), of("0-1-9", &[(1, 1)])].concat();
        assert_eq!(places(&broker, &format!("{topic}.orders")), orders, "{topic}");
        let unplaced =
            broker.records(&format!("{topic}.orders")).iter().filter(|record| field(record, "transaction") == Some(Value::Null)).count();
        assert_eq!(unplaced, 1, "the row of the copy");
    }
}

/// A transaction of Kafka that is aborted is written again without the refused record, and what it tells is counted anew.
#[test]
fn records_that_are_refused_are_not_counted() {
    let broker = kafka::shared();
    broker.create_topic_with("told-refused.orders", 1, &[("max.message.bytes", "20000")]);
    let mut bench = go_on(&debezium(telling(&broker, "told-refused", true), OnError::Skip), None);
    bench.sink.write(&part(0, "0-1-1", "orders", 0..1, false)).unwrap();
    commit(&mut bench, "1");
    bench.sink.mark(&ends("0-1-1")).unwrap();
    bench.sink.write(&part(1, "0-1-2", "orders", 1..3, false)).unwrap();
    bench.sink.pass(&Batch { changes: Vec::new(), ..part(3, "0-1-2", "orders", 0..1, true) }).unwrap();
    let mut batch = part(4, "0-1-3", "orders", 3..5, true);
    push(&mut batch, None, Some((5, &"x".repeat(30_000))));
    push(&mut batch, None, Some((6, &"x".repeat(3_000_000)))); // librdkafka takes it no more than the broker
    push(&mut batch, None, Some((7, "")));
    bench.sink.write(&batch).unwrap();
    bench.sink.write(&part(9, "0-1-4", "orders", 8..9, true)).unwrap();
    commit(&mut bench, "2");
    let one = |id: &str, orders: u64| [begins(id), ended(id, &[("shop.orders", orders)])];
    let expected = [one("0-1-1", 1), one("0-1-2", 2), one("0-1-3", 3), one("0-1-4", 1)].concat();
    assert_eq!(told(&broker, "told-refused"), expected);
    assert_eq!(bench.status.sinks[0].skipped.get(), 2);
    let orders: Vec<u64> = places(&broker, "told-refused.orders").into_iter().map(|(_, all, _)| all).collect();
    assert_eq!(orders, [1, 1, 2, 1, 2, 3, 1]);
}

/// A part of a transaction that was undone leaves nothing of its counts behind.
#[test]
fn what_is_aborted_inside_of_a_transaction_is_counted_anew() {
    let broker = kafka::shared();
    let kafka = KafkaSink { align: Some(sluicegate_config::LongTransactions::Cut), ..telling(&broker, "told-aborted", true) };
    let mut bench = go_on(&debezium(kafka, OnError::Stop), None);
    bench.sink.write(&part(0, "0-1-1", "orders", 0..3, false)).unwrap();
    assert!(bench.sink.abandon().unwrap());
    bench.sink.write(&part(0, "0-1-1", "orders", 0..3, true)).unwrap();
    commit(&mut bench, "1");
    assert_eq!(told(&broker, "told-aborted"), [begins("0-1-1"), ended("0-1-1", &[("shop.orders", 3)])]);
}

/// With schemas, the records fit them: Kafka Connect's converter checks that.
#[test]
fn kafka_connect_reads_what_is_told_and_where_a_record_stands() {
    let broker = kafka::shared();
    let format = Format { schemas: true, ..RecordFormat::Debezium.into() };
    let settings = Settings { format, ..debezium(telling(&broker, "told-connect", false), OnError::Stop) };
    let mut bench = go_on(&settings, None);
    bench.sink.write(&part(0, "0-1-7", "orders", 1..2, false)).unwrap();
    bench.sink.write(&part(1, "0-1-7", "lines", 1..2, true)).unwrap();
    commit(&mut bench, "1");
    let values = |topic: &str| broker.records(&format!("told-connect.{topic}")).into_iter().filter_map(|record| record.value);
    let records: Vec<String> = ["transaction", "lines"].into_iter().flat_map(values).collect();
    let file = bench.folder.path().join("records");
    std::fs::write(&file, records.join("\n")).unwrap();
    let consumer = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/consumers/connect-json.sh");
    let output = Command::new(consumer).arg(file).stdin(Stdio::null()).output().expect("the consumer can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = |table: &str| format!("Struct{{data_collection=shop.{table},event_count=1}}");
    let expected = format!(
        "status=BEGIN id=0-1-7 event_count=null data_collections=null ts_ms=1700000000000\n\
         status=END id=0-1-7 event_count=2 data_collections=[{}, {}] ts_ms=1700000000000\n\
         shop.shop.lines.Envelope c\nid int64 1\nnote string \n\n",
        table("orders"),
        table("lines")
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert!(records[2].contains(r#""transaction":{"id":"0-1-7","total_order":2,"data_collection_order":1}"#), "{}", records[2]);
}

/// Each transaction is told once, and its counts are those of the records that name it, which are numbered without a gap.
#[track_caller]
fn is_consistent(broker: &Broker, name: &str, database: &str) -> usize {
    let told = told(broker, name);
    let mut all: BTreeMap<String, Vec<(u64, u64, String)>> = BTreeMap::new();
    for table in ["debits", "credits"] {
        for (id, total, own) in places(broker, &format!("{name}.{table}")) {
            all.entry(id).or_default().push((total, own, format!("{database}.{table}")));
        }
    }
    assert_eq!(told.len(), 2 * all.len());
    for pair in told.chunks(2) {
        let [begin, Told { status, id, count, tables }] = pair else { panic!("half a transaction: {pair:?}") };
        assert_eq!((begin, status.as_str()), (&begins(id), "END"));
        let mut records = all.remove(id).expect("records of it");
        records.sort_unstable();
        let numbers: Vec<u64> = records.iter().map(|(total, ..)| *total).collect();
        assert_eq!(numbers, (1..=count.as_u64().unwrap()).collect::<Vec<_>>(), "{id}");
        for (table, events) in tables {
            let own: Vec<u64> = records.iter().filter(|(.., of)| of == table).map(|(_, own, _)| *own).collect();
            assert_eq!(own, (1..=*events).collect::<Vec<_>>(), "{id}: {table}");
        }
    }
    told.len() / 2
}

fn write_transactions(server: &Server, database: &str) {
    for rows in [1, 40, 7, 90, 20] {
        let values = |table: &str| format!("INSERT INTO {database}.{table} (note) VALUES {};", vec!["('x')"; rows].join(", "));
        server.sql(&format!("BEGIN; {} {} COMMIT", values("debits"), values("credits")));
    }
}

#[test]
fn transactions_of_both_servers_are_told_once_whatever_is_killed() {
    let broker = kafka::shared();
    for server in [mariadb::shared(), mysql::shared()] {
        let name = format!("told-{:?}", server.flavor()).to_lowercase();
        let database = server.database("told");
        for table in ["debits", "credits"] {
            server.sql(&format!("CREATE TABLE {database}.{table} (id INT PRIMARY KEY AUTO_INCREMENT, note TEXT)"));
        }
        let (port, user, password) = (server.port(), server.user(), server.password());
        let host = Sluicegate::new(
            BINARY,
            &format!(
                "name: {name}
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{database}.*'], start: now }}
sinks:
  - type: kafka
    brokers: '{}'
    topic: '{name}.{{table}}'
    delivery: exactly-once
    format: {{ type: debezium, transaction_metadata: {{}} }}
limits: {{ batch_changes: 20, checkpoint_interval: 200ms }}
",
                broker.brokers()
            ),
        );
        let topic = format!("{name}.transaction");
        let mut process = host.spawn();
        process.wait_for_line("starting to read the binlog", PATIENCE);
        for kill in 0..3 {
            let before = broker.records_so_far(&topic).len();
            write_transactions(&server, &database);
            process.wait_until("something is told", PATIENCE, || broker.records_so_far(&topic).len() > before);
            process.kill9();
            process = host.spawn();
            if kill == 1 {
                process.wait_until("everything is told", PATIENCE, || broker.records_so_far(&topic).len() >= 20);
            }
        }
        process.wait_until("everything is told", PATIENCE, || broker.records_so_far(&topic).len() >= 30);
        process.sigterm();
        assert!(process.wait(PATIENCE).status.success());
        assert_eq!(is_consistent(&broker, &name, &database), 15);
    }
}
