//! A change of several records is delivered whole or set aside whole.

use super::*;

/// What a topic holds: the key's id, and the operation; `None` is a tombstone.
fn seen(broker: &Broker, topic: &str) -> Vec<(String, Option<String>)> {
    let shown = |record: &Record| (record.key.clone().unwrap(), field(record, "_op").map(|op| op.as_str().unwrap().to_owned()));
    broker.records(topic).iter().map(shown).collect()
}

fn key(id: i64) -> String {
    format!(r#"{{"id":{id}}}"#)
}

/// One partition, so that the order of all records can be seen. Batches of the client stay below the topic's limit.
fn bench(broker: &Broker, name: &str, limit: usize, on_error: OnError, options: &[(&str, &str)]) -> Bench {
    broker.create_topic_with(&format!("{name}.orders"), 1, &[("max.message.bytes", &limit.to_string())]);
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
    Bench::open(KafkaSink { options, ..settings(broker, name) }, on_error).unwrap()
}

/// An insert, an update that changes the key and makes the row large, and changes of both keys behind it.
fn large_update(note: &str) -> Batch {
    let mut batch = batch(0, table("orders", true));
    push(&mut batch, None, Some((1, "a")));
    push(&mut batch, Some((1, "a")), Some((2, note)));
    push(&mut batch, None, Some((3, "c")));
    push(&mut batch, Some((2, note)), Some((2, "b")));
    batch
}

const CREATE: &str = "c";

fn op(op: &str) -> Option<String> {
    Some(op.to_owned())
}

#[test]
fn an_update_of_the_key_that_is_too_large_for_the_client_is_set_aside_whole() {
    let broker = kafka::shared();
    let mut bench = bench(&broker, "whole-client", 3_000_000, OnError::DeadLetter, &[]);
    let note = "x".repeat(2_000_000);
    let mut batch = batch(0, table("orders", true));
    push(&mut batch, None, Some((1, "a")));
    push(&mut batch, Some((1, "a")), Some((2, &note)));
    push(&mut batch, None, Some((3, "c")));
    bench.sink.write(&batch).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    assert_eq!(seen(&broker, "whole-client.orders"), [(key(1), op(CREATE)), (key(3), op(CREATE))]);
    let letters = bench.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0]["before"]["id"], &letters[0]["after"]["note"]), (&1.into(), &Value::from(note)));
}

#[test]
fn an_update_of_the_key_that_the_broker_refuses_is_set_aside_whole() {
    let broker = kafka::shared();
    let note = "x".repeat(30_000);
    for (name, on_error) in [("whole-letters", OnError::DeadLetter), ("whole-skip", OnError::Skip)] {
        let mut bench = bench(&broker, name, 20_000, on_error, &[("batch.size", "10000")]);
        bench.sink.write(&large_update(&note)).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();
        let expected = [(key(1), op(CREATE)), (key(3), op(CREATE))];
        let seen = seen(&broker, &format!("{name}.orders"));
        assert_eq!(seen[..2], expected, "{seen:?}");
        assert!(!seen.iter().any(|(of, op)| *of == key(1) && op.as_deref() != Some(CREATE)), "{seen:?}");
        let numbers = &bench.status.sinks[0];
        if on_error == OnError::DeadLetter {
            let letters = bench.dead_letters();
            assert_eq!((&letters[0]["before"]["id"], &letters[0]["after"]["note"]), (&1.into(), &Value::from(note.clone())));
            assert_eq!(numbers.dead_lettered.get(), letters.len() as u64);
        } else {
            assert!(numbers.skipped.get() > 0);
        }
    }
}

#[test]
fn a_delete_that_the_broker_refuses_leaves_no_tombstone_behind() {
    let broker = kafka::shared();
    let mut bench = bench(&broker, "whole-delete", 20_000, OnError::DeadLetter, &[("batch.size", "10000")]);
    let mut batch = batch(0, table("orders", true));
    push(&mut batch, None, Some((1, "a")));
    push(&mut batch, Some((1, &"x".repeat(30_000))), None);
    push(&mut batch, None, Some((2, "b")));
    push(&mut batch, Some((2, "b")), None);
    bench.sink.write(&batch).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    assert_eq!(seen(&broker, "whole-delete.orders"), [(key(1), op(CREATE)), (key(2), op(CREATE)), (key(2), op("d")), (key(2), None)]);
    assert_eq!(bench.dead_letters().len(), 1);
}

#[test]
fn a_change_that_is_small_enough_only_when_compressed_is_delivered_whole() {
    let broker = kafka::shared();
    let options = [("compression.type", "zstd"), ("batch.size", "10000")];
    let mut bench = bench(&broker, "whole-zstd", 20_000, OnError::DeadLetter, &options);
    bench.sink.write(&large_update(&"x".repeat(100_000))).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    // the record at risk is sent first: the keys differ
    assert_eq!(
        seen(&broker, "whole-zstd.orders"),
        [(key(1), op(CREATE)), (key(2), op(CREATE)), (key(1), op("d")), (key(1), None), (key(3), op(CREATE)), (key(2), op("u"))]
    );
    assert_eq!(bench.dead_letters().len(), 0);
}

#[test]
fn the_limit_of_a_topic_that_the_first_record_makes_is_known() {
    let broker = kafka::start(&["message.max.bytes=20000"]);
    let options = BTreeMap::from([("batch.size".to_owned(), Secret::new("10000"))]);
    let mut bench = Bench::open(KafkaSink { options, ..settings(&broker, "new") }, OnError::DeadLetter).unwrap();
    let mut batch = batch(0, table("orders", true));
    push(&mut batch, Some((1, "a")), Some((2, &"x".repeat(30_000))));
    push(&mut batch, None, Some((3, "c")));
    bench.sink.write(&batch).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    assert_eq!(seen(&broker, "new.orders"), [(key(3), op(CREATE))]);
    assert_eq!(bench.dead_letters().len(), 1);
}
