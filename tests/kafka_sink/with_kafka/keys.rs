//! Keys, partitions and headers that the settings choose.

use sluicegate_config::{KeyColumns, PartitionBy, TableKeys, TablePatterns};

use sluicegate_harness::{host::Sluicegate, mariadb, mysql};
use sluicegate_mssql_simulator::Simulator;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn columns(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

fn with_keys(broker: &Broker, topic: &str, keys: RecordKeys) -> KafkaSink {
    KafkaSink { keys, ..settings(broker, topic) }
}

fn deliver(settings: KafkaSink, on_error: OnError, batch: &Batch) -> Bench {
    let mut bench = Bench::open(settings, on_error).unwrap();
    bench.sink.write(batch).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    bench
}

/// Partition, key and operation of each record.
fn seen(broker: &Broker, topic: &str) -> Vec<String> {
    let shown = |record: &Record| {
        let operation = field(record, "_op").map_or("-".to_owned(), |op| op.as_str().unwrap().to_owned());
        format!("{} {} {operation}", record.partition, record.key.as_deref().unwrap_or("none"))
    };
    broker.records(topic).iter().map(shown).collect()
}

/// `shop.{name}`, whose `note` may be NULL.
fn nullable(name: &str) -> Arc<Table> {
    let mut table = Table::clone(&table(name, true));
    table.columns[1].nullable = true;
    Arc::new(table)
}

#[test]
fn records_have_the_key_that_the_settings_choose_for_their_table() {
    let broker = kafka::shared();
    let rule = |pattern: &str, key| TableKeys { tables: TablePatterns::new(&[pattern]).unwrap(), key: Some(key), partition_by: None };
    let keys = RecordKeys {
        per_table: vec![rule("shop.orders", KeyColumns::Columns(columns("note"))), rule("shop.log*", KeyColumns::None)],
        ..RecordKeys::default()
    };
    for (number, name) in [(0, "orders"), (10, "logs"), (20, "lines")] {
        let mut batch = batch(number, table(name, true));
        push(&mut batch, None, Some((1, "a")));
        push(&mut batch, Some((1, "a")), Some((1, "b")));
        push(&mut batch, Some((1, "b")), None);
        deliver(with_keys(&broker, "keys", keys.clone()), OnError::Stop, &batch);
    }
    // a key that stands for several rows has no tombstones
    assert_eq!(seen(&broker, "keys.orders"), [r#"0 {"note":"a"} c"#, r#"0 {"note":"a"} d"#, r#"0 {"note":"b"} c"#, r#"0 {"note":"b"} d"#]);
    assert_eq!(seen(&broker, "keys.logs"), ["0 none c", "0 none u", "0 none d"]);
    assert_eq!(seen(&broker, "keys.lines"), [r#"0 {"id":1} c"#, r#"0 {"id":1} u"#, r#"0 {"id":1} d"#, r#"0 {"id":1} -"#]);
}

#[test]
fn a_delete_that_only_a_tombstone_tells_is_never_lost_under_a_key_that_stands_for_several_rows() {
    let broker = kafka::shared();
    let keys = RecordKeys { key: KeyColumns::Columns(columns("note")), ..RecordKeys::default() };
    let mut bench = Bench::open_in(with_keys(&broker, "untold", keys), RecordFormat::Plain.into());
    let mut batch = batch(0, table("orders", true));
    push(&mut batch, Some((1, "a")), None);
    let error = fails(&mut bench, &batch);
    assert_eq!(error.kind(), ErrorKind::Sink);
    insta::assert_snapshot!(error, @r"
    a delete of table shop.orders would be told by a record without a value only, whose key would stand for other rows, too
      remedy: let the key hold the primary key, or set the format's `delete_tombstone_handling_mode` to another mode; then start again: nothing is lost
    ");
}

#[test]
fn a_key_column_that_is_missing_stops_the_sink_and_one_that_is_null_follows_the_policy() {
    let broker = kafka::shared();
    let key = |name: &str| RecordKeys { key: KeyColumns::Columns(columns(name)), ..RecordKeys::default() };
    let error = fails(&mut Bench::open(with_keys(&broker, "lacking", key("customer")), OnError::Skip).unwrap(), &inserts(0, [1], ""));
    assert_eq!(error.kind(), ErrorKind::Sink);
    insta::assert_snapshot!(error, @r"
    table shop.orders has no column `customer`, which the sink's `key` names
      remedy: correct `key` (names are those that are delivered), or say something else of the table in `per_table`; then start again: nothing is lost
    ");
    let mut batch = batch(0, nullable("orders"));
    push(&mut batch, None, Some((1, "a")));
    push(&mut batch, None, Some((2, "")));
    push(&mut batch, None, Some((3, "c")));
    batch.tables[0].columns[1].nulls.set(1);
    let error = fails(&mut Bench::open(with_keys(&broker, "null-stop", key("note")), OnError::Stop).unwrap(), &batch);
    assert_eq!(error.kind(), ErrorKind::Record);
    assert!(error.to_string().contains("a record of table shop.orders has no key: its column `note` is NULL"), "{error}");
    let bench = deliver(with_keys(&broker, "null-letters", key("note")), OnError::DeadLetter, &batch);
    assert_eq!(seen(&broker, "null-letters.orders"), [r#"0 {"note":"a"} c"#, r#"0 {"note":"c"} c"#]);
    assert_eq!(bench.dead_letters().len(), 1);
}

/// The partitions, of seven, to which `kafka-console-producer.sh` (Java, kafka-clients 4.3.0) gave records with these keys.
const JAVA: [(&str, i32); 12] = [
    (r#"{"id":0}"#, 4),
    (r#"{"id":1}"#, 3),
    (r#"{"id":2}"#, 5),
    (r#"{"id":3}"#, 4),
    (r#"{"id":7}"#, 0),
    (r#"{"id":42}"#, 4),
    (r#"{"id":100}"#, 0),
    (r#"{"id":101}"#, 6),
    (r#"{"id":12345}"#, 0),
    (r#"{"id":-5}"#, 6),
    (r#"{"id":9223372036854775807}"#, 6),
    (r#"{"id":-9223372036854775808}"#, 2),
];

#[test]
fn c34_a_records_partition_is_that_of_the_java_client_for_its_key_or_for_the_columns_that_decide_it() {
    let broker = kafka::shared();
    for (topic, keys) in [
        ("java-key", RecordKeys::default()),
        // the columns stand for the key, which is another one
        (
            "java-shard",
            RecordKeys {
                key: KeyColumns::Columns(columns("note")),
                partition_by: PartitionBy::Columns(columns("id")),
                ..RecordKeys::default()
            },
        ),
    ] {
        broker.create_topic(&format!("{topic}.orders"), 7);
        let ids = JAVA.iter().map(|(key, _)| serde_json::from_str::<Value>(key).unwrap()["id"].as_i64().unwrap());
        deliver(with_keys(&broker, topic, keys), OnError::Stop, &inserts(0, ids, "x"));
        let records = broker.records(&format!("{topic}.orders"));
        let found: BTreeMap<String, i32> = records.iter().map(|record| (format!("{{\"id\":{}}}", id(record)), record.partition)).collect();
        let expected: BTreeMap<String, i32> = JAVA.iter().map(|(key, partition)| ((*key).to_owned(), *partition)).collect();
        assert_eq!(found, expected, "{topic}");
    }
}

#[test]
fn c34_a_row_whose_shard_changes_leaves_its_partition_and_comes_to_the_other() {
    let broker = kafka::shared();
    broker.create_topic("shards.orders", 7);
    let keys = RecordKeys { partition_by: PartitionBy::Columns(columns("note")), ..RecordKeys::default() };
    let mut batch = batch(0, table("orders", true));
    push(&mut batch, None, Some((1, "eu")));
    push(&mut batch, Some((1, "eu")), Some((1, "eu")));
    push(&mut batch, Some((1, "eu")), Some((1, "us")));
    push(&mut batch, Some((1, "us")), None);
    deliver(with_keys(&broker, "shards", keys), OnError::Stop, &batch);
    let records = broker.records("shards.orders");
    let of = |wanted: bool| {
        let eu = records[records.iter().position(|record| field(record, "note") == Some("eu".into())).unwrap()].partition;
        let some = records.iter().filter(|record| (record.partition == eu) == wanted);
        some.map(|record| field(record, "_op").map_or("-".into(), |op| op.as_str().unwrap().to_owned())).collect::<String>()
    };
    assert_eq!((of(true).as_str(), of(false).as_str()), ("cud-", "cd-"));
    assert!(records.iter().all(|record| record.key.as_deref() == Some(r#"{"id":1}"#) && record.headers.is_empty()));
}

#[test]
fn c34_all_records_go_to_one_partition_where_the_settings_say_so() {
    let broker = kafka::shared();
    broker.create_topic("single.orders", 7);
    let keys = RecordKeys { partition_by: PartitionBy::One, ..RecordKeys::default() };
    deliver(with_keys(&broker, "single", keys), OnError::Stop, &inserts(0, 0..50, ""));
    let records = broker.records("single.orders");
    assert!(records.len() == 50 && records.iter().all(|record| record.partition == 0 && record.key.is_some()));
}

#[test]
fn c41_headers_tell_of_the_change_and_of_the_pipelines_labels() {
    let broker = kafka::shared();
    let labels = BTreeMap::from([("environment".to_owned(), "test".to_owned())]);
    let headers = RecordHeaders { operation: true, position: true, source_time: true, labels };
    let mut batch = batch(0, table("orders", true));
    batch.transactions[0].id = Some("0-1-77".into());
    push(&mut batch, None, Some((1, "a")));
    push(&mut batch, Some((1, "a")), Some((2, "a")));
    deliver(KafkaSink { headers, ..settings(&broker, "told") }, OnError::Stop, &batch);
    let shown: Vec<String> = broker
        .records("told.orders")
        .iter()
        .map(|record| {
            record.headers.iter().map(|(name, value)| format!("{name}={}", value.as_deref().unwrap())).collect::<Vec<_>>().join(" ")
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n").replace("sluicegate.", ""), @r#"
    operation=insert lane=rows position=binlog.000001:4:0 transaction=0-1-77 source_time=2023-11-14T22:13:20.000000Z label.environment=test
    operation=delete lane=rows position=binlog.000001:4:1 transaction=0-1-77 source_time=2023-11-14T22:13:20.000000Z label.environment=test __debezium.newkey={"id":2}
    operation=delete lane=rows position=binlog.000001:4:1 transaction=0-1-77 source_time=2023-11-14T22:13:20.000000Z label.environment=test __debezium.newkey={"id":2}
    operation=insert lane=rows position=binlog.000001:4:1 transaction=0-1-77 source_time=2023-11-14T22:13:20.000000Z label.environment=test __debezium.oldkey={"id":1}
    "#);
}

#[test]
fn c28_c34_c41_a_pipeline_file_chooses_topics_partitions_and_headers() {
    let broker = kafka::shared();
    let pipeline = format!(
        "name: chosen
labels: {{ environment: test }}
source: {{ type: generator, changes: 2000, seed: 5 }}
sinks:
  - type: kafka
    brokers: '{}'
    topic: piped.{{table}}
    name_case: upper
    topics: {{ partitions: 5 }}
    per_table: [{{ tables: [shop.orders], partition_by: [customer_id] }}]
    headers: [operation, position, labels]
    format: flat
",
        broker.brokers()
    );
    let ended =
        Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline).run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let records = broker.records("piped.ORDERS");
    let mut partitions: BTreeMap<String, i32> = BTreeMap::new();
    for record in records.iter().filter(|record| record.value.is_some()) {
        let customer = field(record, "customer_id").unwrap().to_string();
        assert_eq!(*partitions.entry(customer).or_insert(record.partition), record.partition);
        let headers: BTreeMap<&str, Option<&str>> = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        assert_eq!(headers["sluicegate.label.environment"], Some("test"));
        let operation = match field(record, "_op").unwrap().as_str().unwrap() {
            "c" => "insert",
            "u" => "update",
            _ => "delete",
        };
        assert_eq!(headers["sluicegate.operation"], Some(operation));
        assert!(headers.contains_key("sluicegate.lane") && headers.contains_key("sluicegate.position"));
    }
    let used: std::collections::BTreeSet<i32> = partitions.into_values().collect();
    assert_eq!(used, (0..5).collect());
}

#[test]
fn check_tells_of_key_columns_that_a_table_lacks_or_that_may_be_null() {
    let (server, broker) = (mariadb::shared(), kafka::shared());
    let database = server.database("keyed");
    server.sql(&format!(
        "CREATE TABLE {database}.orders (id INT PRIMARY KEY, note TEXT); CREATE TABLE {database}.lines (id INT PRIMARY KEY)"
    ));
    let check = |keys: &str| {
        let pipeline = format!(
            "name: p\nsource: {{ type: mysql, host: 127.0.0.1, port: {}, user: {}, password: {}, tables: ['{database}.*'] }}\n\
             sinks: [{{ type: kafka, brokers: '{}', {keys} }}]\n",
            server.port(),
            server.user(),
            server.password(),
            broker.brokers()
        );
        let ended = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline).run(&["check", "pipeline.yaml"], PATIENCE);
        let lines: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("keys: sink")).collect();
        format!("exit {}\n{}", ended.status.code().expect("a code"), lines.join("\n").replace(&database, "DB"))
    };
    let told = [check("key: [note]"), check(&format!("per_table: [{{ tables: [{database}.orders], key: [note] }}]")), check("key: [id]")];
    insta::assert_snapshot!(told.join("\n\n"), @r"
    exit 3
    fail  keys: sink `kafka`: table DB.lines has no column `note`, which the sink's `key` names
    warn  keys: sink `kafka`: columns of keys may be NULL, and such rows cannot be delivered: DB.orders.note

    exit 0
    warn  keys: sink `kafka`: columns of keys may be NULL, and such rows cannot be delivered: DB.orders.note

    exit 0
    ");
}

#[test]
fn check_and_run_take_the_same_for_a_key_and_both_tell_of_entries_that_are_for_no_table() {
    let broker = kafka::shared();
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("unique");
        server.sql(&format!(
            "USE {database}; CREATE TABLE loose (code VARCHAR(9) NULL UNIQUE, note TEXT);
             CREATE TABLE pairs (note TEXT, a INT NULL UNIQUE, b INT NOT NULL, c INT NOT NULL, UNIQUE (b, c))"
        ));
        let pipeline = |tables: &str| {
            format!(
                "name: p\nsource: {{ type: mysql, host: 127.0.0.1, port: {}, user: {}, password: {}, tables: [{tables}] }}\n\
                 sinks: [{{ type: kafka, brokers: '{}', format: flat, per_table: [{{ tables: [{database}.pair, '{database}.p*'], partition_by: one }}, \
                 {{ tables: ['later.*'], key: none }}] }}]\nlimits: {{ checkpoint_interval: 20ms }}\n",
                server.port(),
                server.user(),
                server.password(),
                broker.brokers()
            )
        };
        let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline(&format!("'{database}.*'")));
        let ended = host.run(&["check", "pipeline.yaml"], PATIENCE);
        let of_keys = |line: &&str| line.contains("keys: ") || line.contains("keyless tables: ");
        let lines: Vec<&str> = ended.stdout.lines().filter(of_keys).collect();
        insta::allow_duplicates! {
            insta::assert_snapshot!(lines.join("\n").replace(&database, "DB"), @r"
            warn  primary keys: captured tables have no primary key: DB.loose
            fail  keys: sink `kafka`: `DB.pair` in `per_table` matches no table as it is delivered; did you mean `DB.pairs`?
            warn  keys: sink `kafka`: `later.*` in `per_table` matches no table as it is delivered
            fail  keyless tables: sink `kafka`: tables without a primary key would stop the pipeline at their first row (`keyless: stop`): DB.loose
            ");
        }
        host.write_pipeline(&pipeline(&format!("'{database}.*', '!{database}.loose'")));
        let mut process = host.spawn();
        process.wait_for_line("starting to read the binlog", PATIENCE);
        process.wait_for_line("the configuration has no effect: sink `kafka`: `later.*` in `per_table`", PATIENCE);
        server.sql(&format!("INSERT INTO {database}.pairs VALUES ('x', NULL, 1, 2)"));
        let topic = format!("{database}.pairs");
        process.wait_until("the record", PATIENCE, || partitions_hold(&broker, &topic));
        process.sigterm();
        assert!(process.wait(PATIENCE).status.success());
        let keys: Vec<_> = broker.records(&topic).into_iter().map(|record| record.key.unwrap()).collect();
        assert_eq!(keys, [r#"{"b":1,"c":2}"#]);
    }
}

/// Whether the topic is there and has records.
fn partitions_hold(broker: &Broker, topic: &str) -> bool {
    topics::partitions(broker, topic) > 0 && !broker.records(topic).is_empty()
}

#[test]
fn a_key_of_columns_that_no_delete_of_the_source_has_fails_the_check() {
    let broker = kafka::shared();
    let server = Simulator::start();
    let sql = |database: &str, text: &str| drop(server.run(database, text).unwrap_or_else(|error| panic!("{error:?}: {text}")));
    sql("master", "CREATE DATABASE sales");
    sql("master", "ALTER DATABASE sales SET CHANGE_TRACKING = ON");
    sql("sales", "CREATE TABLE dbo.cust (id int NOT NULL PRIMARY KEY, region int NOT NULL, email varchar(40) NOT NULL)");
    sql("sales", "ALTER TABLE dbo.cust ENABLE CHANGE_TRACKING");
    let check = |sink: &str, plugins: &str| {
        let pipeline = format!(
            "name: p\nsource: {{ type: sqlserver, host: 127.0.0.1, port: {}, database: sales, user: sa, password: '{}' }}\n\
             plugins: [{plugins}]\nsinks: [{{ type: kafka, brokers: '{}', {sink} }}]\n",
            server.port(),
            Simulator::PASSWORD,
            broker.brokers()
        );
        let ended = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline).run(&["check", "pipeline.yaml"], PATIENCE);
        let lines: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("keys: sink")).collect();
        format!("exit {}\n{}", ended.status.code().expect("a code"), lines.join("\n"))
    };
    let no_deletes = "{ use: filter, config: { tables: [{ table: '*.dbo.*', operations: [insert, update] }] } }";
    let computed =
        "{ use: rewrite-columns, config: { tables: [{ table: '*.dbo.*', columns: [{ column: code, concat: { of: [id, id] } }] }] } }";
    let told = [
        check("key: [email]", ""),
        check("partition_by: [region]", ""),
        check("key: [id, email], on_error: skip", ""),
        check("key: [id], partition_by: [id]", ""),
        check("key: [email], per_table: [{ tables: ['sales.dbo.cust'], key: [id] }]", ""),
        check("key: [email]", no_deletes),
        check("key: [code]", computed),
    ];
    let what = "sink `kafka`: the source sends the primary key of a deleted row alone, so no delete can be delivered whose key or partition \
                is made of:";
    insta::assert_snapshot!(told.join("\n\n").replace(what, "WHAT"), @r"
    exit 3
    fail  keys: WHAT sales.dbo.cust.email

    exit 3
    fail  keys: WHAT sales.dbo.cust.region

    exit 0
    warn  keys: WHAT sales.dbo.cust.email

    exit 0


    exit 0


    exit 0


    exit 0
    warn  keys: sink `kafka`: columns of keys may be NULL, and such rows cannot be delivered: sales.dbo.cust.code
    ");
}
