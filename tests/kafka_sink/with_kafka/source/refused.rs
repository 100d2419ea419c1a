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
