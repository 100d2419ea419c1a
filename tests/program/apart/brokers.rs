//! With a real broker that goes away.

use std::collections::BTreeSet;

use super::*;
use sluicegate_harness::{files, free_port, kafka};

/// The places of changes.
fn places<'a>(records: impl IntoIterator<Item = &'a Value>) -> BTreeSet<(u64, u64)> {
    let number = |record: &Value, name: &str| record[name].as_u64().expect("a number");
    records.into_iter().map(|record| (number(record, "_pos"), number(record, "_row"))).collect()
}

#[test]
fn a_broker_that_is_away_holds_up_no_other_output_and_gets_every_change() {
    let (mut broker, http) = (kafka::start(&[]), free_port());
    broker.create_topic("all", 1);
    let pipeline = format!(
        "name: apart
source: {{ type: generator, seed: 7, rate: 2000, changes: 12000 }}
sinks:
  - {{ type: kafka, brokers: '{}', topic: all, format: flat, delivery_timeout: 1s, tombstones: false, when_slow: apart }}
  - {{ type: file, name: quick, format: flat, folder: quick, prefix: shop }}
limits: {{ checkpoint_interval: 20ms, kafka_queue_records: 1000, apart_after: 1s }}
http: 127.0.0.1:{http}
",
        broker.brokers()
    );
    let host = Sluicegate::new(BINARY, &pipeline);
    let folder = host.path("quick");
    let mut process = host.spawn();
    let count = || files::count_so_far(&folder, "shop");
    process.wait_until("records", PATIENCE, || count() > 500);
    broker.kill9();
    process.wait_until("it is apart", PATIENCE, || is_apart(http, "apart", "kafka"));
    let goal = count() + 3000;
    process.wait_until("the other goes on", PATIENCE, || count() >= goal);
    assert!(is_apart(http, "apart", "kafka"));
    broker.start_again();
    // the run ends when all have everything, not before
    let ended = process.wait(2 * PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let delivered: Vec<Value> =
        broker.records("all").iter().filter_map(|record| serde_json::from_str(record.value.as_deref()?).ok()).collect();
    let records = files::records(&folder, "shop");
    assert_eq!(records.len(), 12_000);
    assert!(places(&delivered) == places(&records), "the sinks have different changes");
}
