//! What arrives: keys, tombstones, the order of each key.

use super::*;
use sluicegate_config::Deletes;

#[test]
fn keys_tombstones_and_changed_keys_are_as_debezium_writes_them() {
    let broker = kafka::shared();
    let mut bench = Bench::open(settings(&broker, "kinds"), OnError::Stop).unwrap();
    let mut batch = batch(0, table("orders", true));
    push(&mut batch, None, Some((1, "a")));
    push(&mut batch, Some((1, "a")), Some((1, "b")));
    push(&mut batch, Some((1, "b")), Some((2, "b")));
    push(&mut batch, Some((2, "b")), None);
    bench.sink.write(&batch).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    let records = broker.records("kinds.orders");
    let seen: Vec<_> = records
        .iter()
        .map(|r| {
            let headers: Vec<_> = r.headers.iter().map(|(name, value)| format!("{name}={}", value.as_deref().unwrap())).collect();
            (r.key.as_deref().unwrap(), field(r, "_op").map(|op| op.as_str().unwrap().to_owned()), headers.join(","))
        })
        .collect();
    let (one, two) = (r#"{"id":1}"#, r#"{"id":2}"#);
    let (new, old) = (format!("__debezium.newkey={two}"), format!("__debezium.oldkey={one}"));
    let op = |op: &str| Some(op.to_owned());
    assert_eq!(
        seen,
        [
            (one, op("c"), String::new()),
            (one, op("u"), String::new()),
            (one, op("d"), new.clone()),
            (one, None, new),
            (two, op("c"), old),
            (two, op("d"), String::new()),
            (two, None, String::new()),
        ]
    );
    assert_eq!(bench.status.sinks[0].records.get(), 7);
}

/// Keys and values of the records of an update, one that changes the key, and a delete.
fn told(topic: &str, tombstones: bool, format: Format) -> Vec<(String, Option<Value>)> {
    let broker = kafka::shared();
    let mut bench = Bench::open_in(KafkaSink { tombstones, ..settings(&broker, topic) }, format);
    let mut batch = batch(0, table("orders", true));
    push(&mut batch, Some((1, "a")), Some((1, "b")));
    push(&mut batch, Some((1, "b")), Some((2, "b")));
    push(&mut batch, Some((2, "b")), None);
    bench.sink.write(&batch).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    let value = |text: String| serde_json::from_str(&text).unwrap();
    broker.records(&format!("{topic}.orders")).into_iter().map(|record| (record.key.unwrap(), record.value.map(value))).collect()
}

#[test]
fn the_two_rows_of_a_dts_update_follow_each_other_under_one_key() {
    let records = told("pairs", true, RecordFormat::Dts.into());
    let flags = |value: &Value| {
        let flag = |name: &str| value[format!("new_dts_sync_dts_{name}_flag")].as_str().unwrap().to_owned();
        flag("operation") + &flag("before") + &flag("after") + value["note"].as_str().unwrap()
    };
    let seen: Vec<_> = records.iter().map(|(key, value)| (key.as_str(), value.as_ref().map_or("tombstone".into(), flags))).collect();
    let (one, two) = (r#"{"id":1}"#, r#"{"id":2}"#);
    let expected = [(one, "UYNa"), (one, "UNYb"), (one, "DYNb"), (one, "tombstone"), (two, "INYb"), (two, "DYNb"), (two, "tombstone")];
    assert_eq!(seen, expected.map(|(key, flags)| (key, flags.to_owned())));
}

#[test]
fn deletes_of_bare_rows_are_tombstones_rows_both_or_nothing() {
    let (one, two) = (r#"{"id":1}"#, r#"{"id":2}"#);
    let deleted = |record: &(String, Option<Value>)| match &record.1 {
        None => "tombstone".to_owned(),
        Some(value) => value.get("__deleted").and_then(Value::as_str).unwrap_or("row").to_owned(),
    };
    for (topic, deletes, expected) in [
        ("bare-tombstone", Deletes::Tombstone, vec![(one, "row"), (one, "tombstone"), (two, "row"), (two, "tombstone")]),
        ("bare-drop", Deletes::Drop, vec![(one, "row"), (two, "row")]),
        ("bare-rewrite", Deletes::Rewrite, vec![(one, "false"), (one, "true"), (two, "false"), (two, "true")]),
        (
            "bare-both",
            Deletes::RewriteWithTombstone,
            vec![(one, "false"), (one, "true"), (one, "tombstone"), (two, "false"), (two, "true"), (two, "tombstone")],
        ),
    ] {
        let format = Format { deletes, ..RecordFormat::DebeziumFlattened.into() };
        let records = told(topic, deletes.leaves_tombstones(), format);
        let seen: Vec<_> = records.iter().map(|record| (record.0.as_str(), deleted(record))).collect();
        let expected: Vec<_> = expected.into_iter().map(|(key, what)| (key, what.to_owned())).collect();
        assert_eq!(seen, expected, "{deletes:?}");
    }
}

#[test]
fn tables_without_a_key_follow_the_policy() {
    let broker = kafka::shared();
    let mut batch = batch(0, table("log", false));
    push(&mut batch, None, Some((1, "a")));
    push(&mut batch, Some((1, "a")), None);

    let mut stop = Bench::open(settings(&broker, "keyless-stop"), OnError::Stop).unwrap();
    let error = stop.sink.write(&batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sink);
    insta::assert_snapshot!(error, @r"
    table shop.log has no primary key, so its records have no key
      remedy: give the table a primary key, set `keyless` to `whole-row` or `no-key`, or leave the table out
    ");

    let mut whole = Bench::open(KafkaSink { keyless: Keyless::WholeRow, ..settings(&broker, "keyless-row") }, OnError::Stop).unwrap();
    whole.sink.write(&batch).unwrap();
    whole.sink.commit(&Frontier::default()).unwrap();
    let keys: Vec<_> = broker.records("keyless-row.log").into_iter().map(|r| (r.key.unwrap(), r.value.is_some())).collect();
    let key = r#"{"id":1,"note":"a"}"#.to_owned();
    assert_eq!(keys, [(key.clone(), true), (key.clone(), true), (key, false)]);

    broker.create_topic("keyless-none.log", 3);
    let mut none = Bench::open(KafkaSink { keyless: Keyless::NoKey, ..settings(&broker, "keyless-none") }, OnError::Stop).unwrap();
    none.sink.write(&batch).unwrap();
    none.sink.commit(&Frontier::default()).unwrap();
    let places: Vec<_> = broker.records("keyless-none.log").into_iter().map(|r| (r.partition, r.key, r.value.is_some())).collect();
    assert_eq!(places, [(0, None, true), (0, None, true)]);
}

#[test]
fn order_per_key_is_kept_over_partitions_and_full_queues() {
    let broker = kafka::shared();
    broker.create_topic("order.orders", 4);
    let mut bench = Bench::open(settings(&broker, "order"), OnError::Stop).unwrap();
    let table = table("orders", true);
    for sequence in (0..200_000_u64).step_by(1000) {
        let mut batch = batch(sequence, table.clone());
        for n in sequence..sequence + 1000 {
            push(&mut batch, None, Some((n as i64 % 50, &n.to_string())));
        }
        bench.sink.write(&batch).unwrap();
    }
    bench.sink.commit(&Frontier::default()).unwrap();
    assert_each_once_in_order(&broker.records("order.orders"), 200_000);
    assert_eq!(bench.status.sinks[0].records.get(), 200_000);
}

#[test]
fn a_broker_killed_and_started_again_loses_repeats_and_reorders_nothing() {
    let mut broker = kafka::start(&[]);
    broker.create_topic("kill.orders", 3);
    let mut bench = Bench::open(settings(&broker, "kill"), OnError::Stop).unwrap();
    let (done, written) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        let table = table("orders", true);
        for sequence in (0..40_000_u64).step_by(200) {
            let mut batch = batch(sequence, table.clone());
            for n in sequence..sequence + 200 {
                push(&mut batch, None, Some((n as i64 % 50, &n.to_string())));
            }
            bench.sink.write(&batch).unwrap();
            if sequence % 1000 == 0 {
                bench.sink.commit(&Frontier::default()).unwrap();
            }
            done.send(sequence).unwrap();
        }
        bench.sink.commit(&Frontier::default()).unwrap();
    });
    while written.recv().unwrap() < 10_000 {}
    broker.kill9();
    broker.start_again();
    writer.join().unwrap();
    assert_each_once_in_order(&broker.records("kill.orders"), 40_000);
}
