//! Topics that are new, grow, are made anew or lose records while they are read, or while nobody reads.

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
};

use super::*;

fn admin<T>(broker: &Broker, ask: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> T) -> T {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker.brokers()).create().expect("an admin client can be made");
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    runtime.block_on(ask(&admin, &options))
}

fn add_partitions(broker: &Broker, topic: &str, partitions: usize) {
    let made = admin(broker, async |admin, options| admin.create_partitions([&NewPartitions::new(topic, partitions)], options).await);
    made.expect("the broker answers").into_iter().for_each(|made| drop(made.expect("partitions can be added")));
}

/// Removes the records before an offset, as retention does.
fn remove_before(broker: &Broker, topic: &str, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("an offset is valid");
    admin(broker, async |admin, options| admin.delete_records(&list, options).await).expect("records can be removed");
}

/// Where the checkpoint is in a topic's first partition.
fn place(host: &Sluicegate, topic: &str) -> Value {
    let shown = host.run(&["checkpoint", "show", "pipeline.yaml"], PATIENCE).stdout;
    // before the first start there is none
    let shown: Value = serde_json::from_str(&shown).unwrap_or_default();
    shown["sinks"][0]["lanes"][format!("kafka:{topic}/0")].clone()
}

fn ids(host: &Sluicegate, name: &str) -> Vec<u64> {
    let mut ids: Vec<u64> = rows(host, name).iter().map(|row| row["id"].as_u64().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

fn send(broker: &Broker, topic: &str, partition: i32, ids: std::ops::Range<u32>) {
    let records: Vec<(String, String)> = ids.map(|id| (format!(r#"{{"id":{id}}}"#), flat("c", id))).collect();
    let records: Vec<_> = records.iter().map(|(key, value)| (Some(key.as_str()), Some(value.as_str()))).collect();
    produce(broker, topic, partition, &records);
}

#[test]
fn partitions_and_topics_that_are_new_are_read_from_their_beginning() {
    let broker = kafka::shared();
    let name = "grows";
    broker.create_topic("grows.a", 1);
    send(&broker, "grows.a", 0, 0..10);
    // what was there before the first start is not asked for
    let host = Sluicegate::new(BINARY, &into_files(&broker, name, "format: flat, topics: ['grows.*', '!grows.left.out'], start: latest"));
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", PATIENCE);
    send(&broker, "grows.a", 0, 10..20);
    process.wait_until("the first topic's records", PATIENCE, || count(&host, name) >= 10);
    add_partitions(&broker, "grows.a", 2);
    broker.create_topic("grows.b", 1);
    broker.create_topic("grows.left.out", 1);
    send(&broker, "grows.a", 1, 20..30);
    send(&broker, "grows.b", 0, 30..40);
    send(&broker, "grows.left.out", 0, 90..99);
    process.wait_until("the new partitions' records", PATIENCE, || count(&host, name) >= 30);
    process.kill9();
    // while nobody reads
    broker.create_topic("grows.c", 1);
    send(&broker, "grows.c", 0, 40..50);
    send(&broker, "grows.b", 0, 50..60);
    let mut process = host.spawn();
    process.wait_until("the records of before", PATIENCE, || count(&host, name) >= 50);
    stop(process);
    assert_eq!(ids(&host, name), (10..60).collect::<Vec<u64>>());
}

#[test]
fn records_that_are_gone_and_topics_made_anew_are_told_and_never_caught_up() {
    let broker = kafka::shared();
    let refused = |host: &Sluicegate| {
        let ended = host.run(&["run", "pipeline.yaml"], PATIENCE);
        assert!(!ended.status.success(), "{}", ended.stderr);
        ended.stderr
    };
    let begun = |name: &str| {
        broker.create_topic(name, 1);
        send(&broker, name, 0, 0..10);
        let host = Sluicegate::new(BINARY, &into_files(&broker, name, &format!("format: flat, topics: ['{name}*']")));
        let mut process = host.spawn();
        process.wait_until("the records", PATIENCE, || count(&host, name) >= 10);
        stop(process);
        host
    };
    let host = begun("retained");
    send(&broker, "retained", 0, 10..30);
    remove_before(&broker, "retained", 20);
    let told = refused(&host);
    assert!(told.contains("partition retained/0 no longer has the records from offset 10 on: the oldest is 20"), "{told}");
    // told where to go on, it does
    let id = place(&host, "retained")["topic_id"].as_str().expect("a topic's id").to_owned();
    let offset = format!(r#"{{"topic_id":"{id}","offset":20}}"#);
    let set = ["checkpoint", "set", "pipeline.yaml", "--sink", "file", "--lane", "kafka:retained/0", "--offset", &offset, "--force"];
    let ended = host.run(&set, PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    // behind what stands in the files
    let mut process = host.spawn();
    process.wait_until("the rest", PATIENCE, || count(&host, "retained") >= 20);
    stop(process);
    assert_eq!(ids(&host, "retained"), (0..10).chain(20..30).collect::<Vec<u64>>());

    let host = begun("anew");
    broker.delete_topic("anew");
    let gone = refused(&host);
    assert!(gone.contains("topic `anew`, which is read, no longer exists"), "{gone}");
    broker.create_topic("anew", 1);
    // longer than the one of before was
    send(&broker, "anew", 0, 0..30);
    let told = refused(&host);
    assert!(told.contains("topic `anew` was deleted, and another one of its name was made"), "{told}");

    // while it is read
    let host = begun("gone");
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", PATIENCE);
    broker.delete_topic("gone");
    let ended = process.wait(2 * PATIENCE);
    assert!(!ended.status.success() && ended.stderr.contains("topic `gone`"), "{}", ended.stderr);
}

/// A place moves on behind tombstones and the ends of transactions, so that retention removes nothing that is needed.
#[test]
fn a_place_moves_on_where_there_is_nothing_to_deliver() {
    let broker = kafka::shared();
    let name = "quiet";
    broker.create_topic(name, 1);
    let row = flat("c", 1);
    produce(&broker, name, 0, &[(Some(r#"{"id":1}"#), Some(&row)), (Some(r#"{"id":1}"#), None)]);
    broker.open_transaction(name).abort();
    let host = Sluicegate::new(BINARY, &into_files(&broker, name, "format: flat, topics: [quiet]"));
    let mut process = host.spawn();
    // a row, a tombstone, a record that was taken back, and the end of its transaction
    process.wait_until("the place", PATIENCE, || place(&host, name)["offset"] == 4);
    stop(process);
    assert_eq!(ids(&host, name), [1]);
}
