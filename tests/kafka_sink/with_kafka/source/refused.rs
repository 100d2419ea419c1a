//! Records that cannot be read, tables that are emptied, and what a check tells.

use super::*;

#[test]
fn a_record_that_cannot_be_read_stops_at_its_place_or_is_skipped() {
    let broker = kafka::shared();
    let name = "unreadable";
    broker.create_topic(name, 1);
    let (first, last) = (flat("c", 1), flat("c", 2));
    produce(&broker, name, 0, &[(None, Some(&first)), (None, Some("s3cret")), (None, Some(&last))]);
    let source = "format: flat, topics: [unreadable]";
    let host = Sluicegate::new(BINARY, &into_files(&broker, name, source));
    let ended = host.run(&["run", "pipeline.yaml"], PATIENCE);
    assert!(!ended.status.success(), "{}", ended.stderr);
    let told = "the record at offset 1 of partition unreadable/0 cannot be read: it is not JSON";
    assert!(ended.stderr.contains(told) && !ended.stderr.contains("s3cret"), "{}", ended.stderr);
    assert_eq!(rows(&host, name).len(), 1, "what stands before it is delivered");
    host.write_pipeline(&into_files(&broker, name, &format!("{source}, on_unreadable: skip")));
    let mut process = host.spawn();
    process.wait_until("the record behind it", PATIENCE, || count(&host, name) >= 2);
    let ended = stop(process);
    assert!(ended.stderr.contains("it is skipped") && !ended.stderr.contains("s3cret"), "{}", ended.stderr);
}

#[test]
fn records_that_cannot_be_read_are_set_aside_whole_whatever_is_killed() {
    let broker = kafka::shared();
    let name = "set-aside";
    broker.create_topic(name, 2);
    broker.create_topic("set-aside.out", 1);
    const PAIRS: u32 = 100;
    for partition in 0..2 {
        let good = |id| flat("c", id).replace("shop", &format!("shop{partition}"));
        let values: Vec<String> = (0..PAIRS).flat_map(|id| [good(id), format!("s3cret {partition} {id}")]).collect();
        let records: Vec<_> = values
            .iter()
            .map(|value| (Some(if value.starts_with('{') { r#"{"id":1}"# } else { "k\u{1}" }), Some(value.as_str())))
            .collect();
        produce(&broker, name, partition, &records);
    }
    // the places of the last records are passed by nothing but a heartbeat
    let source = "format: flat, topics: [set-aside], on_unreadable: dead-letter";
    let transactions = format!(
        "name: {name}
source: {{ type: kafka, brokers: '{0}', {source} }}
sinks: [{{ type: kafka, brokers: '{0}', topic: set-aside.out, shared_topic: allow, format: flat, delivery: exactly-once }}]
limits: {{ checkpoint_interval: 100ms, batch_changes: 10 }}
",
        broker.brokers()
    );
    for pipeline in [into_files(&broker, name, source), transactions] {
        let host = Sluicegate::new(BINARY, &pipeline);
        let is_file = pipeline.contains("type: file");
        let delivered = || if is_file { count(&host, name) } else { broker.records_so_far("set-aside.out").len() };
        let mut log = String::new();
        let (all, file) = (2 * PAIRS as usize, host.path("sluicegate-state/set-aside-dead-letters/source.kafka.ndjson"));
        for kill in 1..=2 {
            let mut process = host.spawn();
            process.wait_until("some records", PATIENCE, || delivered() >= all * kill / 3);
            log += &process.kill9().stderr;
        }
        let mut process = host.spawn();
        process.wait_for_line("streaming from this position on", PATIENCE);
        process.wait_until("all records", PATIENCE, || delivered() >= all);
        let letters = || -> Vec<Value> {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(|line| serde_json::from_str(line).expect("JSON")).collect()
        };
        // after a kill, some are set aside again
        let values = || -> BTreeMap<(u64, u64), Value> {
            let place = |letter: &Value, name: &str| letter["source"][name].as_u64().expect("a number");
            letters().iter().map(|letter| ((place(letter, "partition"), place(letter, "offset")), letter["value"].clone())).collect()
        };
        process.wait_until("all letters", PATIENCE, || values().len() >= all);
        log += &stop(process).stderr;
        assert!(log.contains("cannot be read: it is not JSON; it is set aside") && !log.contains("s3cret"), "{log}");
        assert_eq!(delivered(), all);
        let expected = (0..2).flat_map(|partition| {
            (0..u64::from(PAIRS)).map(move |id| ((partition, 2 * id + 1), Value::from(format!("s3cret {partition} {id}"))))
        });
        assert_eq!(values(), expected.collect());
        let letter = letters().remove(0);
        assert_eq!((&letter["stage"], &letter["error"], &letter["key"]), (&"kafka".into(), &"it is not JSON".into(), &"k\u{1}".into()));
        assert_eq!(letter["source"]["topic"], name);
        for (arguments, told) in [
            (&["list"][..], "source `kafka`: "),
            (&["list"], " of set-aside: it is not JSON"),
            (&["show", "--source"], "\"value\": \"…\""),
            (&["show", "--source", "--values"], "s3cret"),
            (&["replay"], "letters are records that could not be read; they are not replayed"),
        ] {
            let ended = host.run(&[&["dlq", arguments[0], "pipeline.yaml"], &arguments[1..]].concat(), PATIENCE);
            assert!(ended.status.success() && ended.stdout.contains(told), "{arguments:?}: {} {}", ended.stdout, ended.stderr);
            assert_eq!(ended.stdout.contains("s3cret"), arguments.contains(&"--values"), "{}", ended.stdout);
        }
    }
}

#[test]
fn a_table_that_was_emptied_has_a_place_only_in_a_topic_of_one_partition() {
    let broker = kafka::shared();
    let truncate = r#"{"_op":"t","_database":"shop","_table":"orders","_ts":"2024-02-29T13:14:15.123456Z"}"#;
    for (name, partitions) in [("emptied-one", 1), ("emptied-two", 2)] {
        broker.create_topic(name, partitions);
        let (before, behind) = (flat("c", 1), flat("c", 2));
        produce(&broker, name, 0, &[(None, Some(&before)), (None, Some(truncate)), (None, Some(&behind))]);
        let host = Sluicegate::new(BINARY, &into_files(&broker, name, &format!("format: flat, topics: [{name}]")));
        if partitions == 1 {
            let mut process = host.spawn();
            process.wait_until("all records", PATIENCE, || count(&host, name) >= 3);
            stop(process);
            let operations: Vec<Value> = rows(&host, name).iter().map(|row| row["_op"].clone()).collect();
            assert_eq!(operations, ["c", "t", "c"]);
        } else {
            let ended = host.run(&["run", "pipeline.yaml"], PATIENCE);
            assert!(ended.stderr.contains("it empties a table whose rows come from several partitions"), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_check_tells_what_topics_hold_and_which_are_missing() {
    let broker = kafka::shared();
    let check = |source: &str| {
        let host = Sluicegate::new(BINARY, &into_files(&broker, "checked", source));
        let ended = host.run(&["check", "pipeline.yaml"], PATIENCE);
        (ended.status.success(), format!("{}{}", ended.stdout, ended.stderr))
    };
    for topic in ["checked.good", "checked.bad", "checked.empty"] {
        broker.create_topic(topic, 2);
    }
    let row = flat("c", 1);
    produce(&broker, "checked.good", 1, &[(Some(r#"{"id":1}"#), Some(&row))]);
    produce(&broker, "checked.bad", 0, &[(None, Some("s3cret"))]);
    let (ready, told) = check("format: flat, topics: [checked.good, checked.empty]");
    assert!(ready && told.contains("2 topics with 4 partitions") && told.contains("1 planned"), "{told}");
    assert!(told.contains("1 topics have a last record that was read"), "{told}");
    let (ready, told) = check("format: flat, topics: ['checked.*']");
    let bad = "the record at offset 0 of partition checked.bad/0 cannot be read: it is not JSON";
    assert!(!ready && told.contains(bad) && !told.contains("s3cret"), "{told}");
    let (ready, told) = check("format: debezium, topics: [checked.good]");
    assert!(!ready && told.contains("it is no Debezium envelope"), "{told}");
    let (ready, told) = check("format: flat, topics: [checked.gone, checked.good]");
    assert!(!ready && told.contains("topics that the source names are not there: `checked.gone`"), "{told}");
}

#[test]
fn a_check_tells_the_last_record_of_each_partition() {
    let broker = kafka::shared();
    let check = |topic: &str| {
        let host = Sluicegate::new(BINARY, &into_files(&broker, topic, &format!("format: flat, topics: [{topic}]")));
        let ended = host.run(&["check", "--effective", "pipeline.yaml"], PATIENCE);
        (ended.status.success(), format!("{}{}", ended.stdout, ended.stderr))
    };
    let (row, key) = (flat("c", 1), Some(r#"{"id":1}"#));
    type Record<'a> = (Option<&'a str>, Option<&'a str>);
    let cases: [(&str, &[Record<'_>], bool); 4] = [
        ("last-bad", &[(key, Some(&row)), (key, Some("s3cret"))], false),
        ("last-tombstone", &[(key, Some(&row)), (key, Some("s3cret")), (key, None)], false),
        ("last-good", &[(key, Some("s3cret")), (key, Some(&row)), (key, None)], true),
        ("last-none", &[(key, None)], true),
    ];
    for (topic, records, is_ready) in cases {
        broker.create_topic(topic, 2);
        produce(&broker, topic, 1, records);
        // another partition whose last record can be read is no excuse
        produce(&broker, topic, 0, &[(key, Some(&row))]);
        let (ready, told) = check(topic);
        assert_eq!(ready, is_ready, "{topic}: {told}");
        let bad = format!("the record at offset 1 of partition {topic}/1 cannot be read: it is not JSON");
        assert!(told.contains(&bad) != is_ready && !told.contains("s3cret"), "{topic}: {told}");
    }
}

#[test]
fn patterns_that_match_no_topic_are_told_by_a_check_and_at_the_start() {
    let broker = kafka::shared();
    for topic in ["matched.a", "matched.b"] {
        broker.create_topic(topic, 1);
    }
    let source = "format: flat, topics: ['matched.*', 'matchd.*', '!matched.bb', '!matched.b', '!other.*']";
    let host = Sluicegate::new(BINARY, &into_files(&broker, "matched", source));
    let told = "entries of `topics` match no topic: `matchd.*`, `!matched.bb`";
    let ended = host.run(&["check", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success() && ended.stdout.contains(&format!("warn  topics: {told}\n")), "{}{}", ended.stdout, ended.stderr);
    let mut process = host.spawn();
    process.wait_for_line(told, PATIENCE);
    process.wait_for_line("streaming from this position on", PATIENCE);
    stop(process);
}
