//! Heartbeats of a sink.

use sluicegate_config::{Delivery, Heartbeats, Transactions};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn beating(broker: &Broker, topic: &str, exactly_once: bool) -> KafkaSink {
    let heartbeats = Some(Heartbeats { topic: format!("{topic}-beats"), every: Duration::from_millis(100) });
    let transactions = Transactions { transactional_id: format!("id.{topic}"), positions_topic: format!("{topic}-positions") };
    let delivery = if exactly_once { Delivery::ExactlyOnce(transactions) } else { Delivery::AtLeastOnce };
    KafkaSink { heartbeats, delivery, ..settings(broker, topic) }
}

#[test]
fn they_come_with_and_without_rows_in_both_deliveries() {
    let broker = kafka::shared();
    for (topic, exactly_once) in [("beating", false), ("beating-once", true)] {
        let beats = format!("{topic}-beats");
        let mut bench = Bench::open(beating(&broker, topic, exactly_once), OnError::Stop).unwrap();
        sluicegate_harness::until("heartbeats without rows", PATIENCE, || {
            bench.sink.idle().unwrap();
            broker.records_so_far(&beats).len() >= 2
        });
        let before = broker.records(&beats).len();
        bench.sink.write(&inserts(0, [1], "")).unwrap();
        sluicegate_harness::until("heartbeats between rows", PATIENCE, || {
            bench.sink.commit(&Frontier::default()).unwrap();
            broker.records_so_far(&beats).len() > before
        });
        let records = broker.records(&beats);
        let told = |record: &Record| (record.key.clone().unwrap_or_default(), field(record, "ts_ms").and_then(|at| at.as_i64()));
        assert!(records.iter().map(told).all(|(key, at)| key == r#"{"serverName":"shop"}"# && at > Some(1_700_000_000_000)), "{records:?}");
        assert_eq!(broker.records(&format!("{topic}.orders")).len(), 1);
    }
}

#[test]
fn a_pipeline_whose_source_rests_gives_them_and_a_table_does_not_share_their_topic() {
    let broker = kafka::shared();
    let server = sluicegate_harness::mariadb::shared();
    let database = server.database("beats");
    server.sql(&format!("CREATE TABLE {database}.orders (id INT PRIMARY KEY)"));
    let (port, user, password) = (server.port(), server.user(), server.password());
    let sink = |topic: &str| {
        format!(
            "name: resting\nsource: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{database}.*'] }}
sinks: [{{ type: kafka, brokers: '{}', topic: '{topic}', format: flat, heartbeats: {{ topic: resting-beats, every: 200ms }} }}]\n",
            broker.brokers()
        )
    };
    let host = sluicegate_harness::host::Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &sink("resting.{table}"));
    let process = host.spawn();
    assert!(broker.wait_for_records("resting-beats", 4, PATIENCE).len() >= 4);
    process.sigterm();
    assert!(process.wait(PATIENCE).status.success());
    host.write_pipeline(&sink("resting-beats"));
    server.sql(&format!("INSERT INTO {database}.orders VALUES (1)"));
    let ended = host.run(&["--log-format", "text", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.stderr.contains("would share topic `resting-beats` with the heartbeats"), "{}", ended.stderr);
}
