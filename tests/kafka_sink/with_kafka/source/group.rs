//! Several hosts share the partitions of topics: each record is delivered once, in order per key, whoever comes, goes and is killed.

use std::collections::BTreeSet;

use rustix::process::Signal;

use super::*;

const PARTITIONS: i32 = 6;
const KEYS: u32 = 60;

fn member(broker: &Broker, name: &str) -> Sluicegate {
    member_with(broker, name, ["", "", ""])
}

/// With further settings of the source, of the sink and of `limits`.
fn member_with(broker: &Broker, name: &str, [source, sink, limits]: [&str; 3]) -> Sluicegate {
    // what a member that was killed left open is waited for
    Sluicegate::new(
        BINARY,
        &format!(
            "name: {name}
source: {{ type: kafka, brokers: '{0}', format: flat, topics: ['{name}.in'], group: {name}, options: {{ session.timeout.ms: 6000, heartbeat.interval.ms: 500 }}{source} }}
sinks: [{{ type: kafka, brokers: '{0}', topic: '{name}.out', format: flat, delivery: exactly-once, delivery_timeout: 5s{sink} }}]
limits: {{ checkpoint_interval: 100ms, batch_changes: 20{limits} }}
",
            broker.brokers()
        ),
    )
}

/// The numbers of each key's records, in their order.
fn sequences(broker: &Broker, topic: &str) -> BTreeMap<String, Vec<u64>> {
    let mut sequences: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for record in broker.records_so_far(topic) {
        let Some(value) = record.value else { continue };
        let value: Value = serde_json::from_str(&value).expect("JSON");
        sequences.entry(value["id"].to_string()).or_default().push(value["n"].as_u64().expect("a number"));
    }
    sequences
}

/// Records of all keys with these numbers, each key in its partition.
fn send(broker: &Broker, topic: &str, numbers: std::ops::Range<u64>) {
    for partition in 0..PARTITIONS {
        let mut records = Vec::new();
        for n in numbers.clone() {
            for id in (0..KEYS).filter(|id| id.cast_signed() % PARTITIONS == partition) {
                records.push((
                    format!(r#"{{"id":{id}}}"#),
                    format!(
                        r#"{{"_op":"u","_database":"shop","_table":"counters","_ts":"2024-02-29T13:14:15.123456Z","id":{id},"n":{n}}}"#
                    ),
                ));
            }
        }
        let records: Vec<_> = records.iter().map(|(key, value)| (Some(key.as_str()), Some(value.as_str()))).collect();
        produce(broker, topic, partition, &records);
    }
}

#[test]
fn three_hosts_share_partitions_and_every_record_is_delivered_once() {
    let broker = kafka::start(&["transaction.abort.timed.out.transaction.cleanup.interval.ms=500", "group.initial.rebalance.delay.ms=0"]);
    let name = "shared";
    broker.create_topic("shared.in", PARTITIONS);
    broker.create_topic("shared.out", 3);
    let delivered = || sequences(&broker, "shared.out").values().map(Vec::len).sum::<usize>();
    let per_round = KEYS as usize * 50;
    let mut sent = 0;
    let mut more = || {
        send(&broker, "shared.in", sent * 50..(sent + 1) * 50);
        sent += 1;
        sent as usize * per_round
    };
    let hosts: Vec<Sluicegate> = (0..3).map(|_| member(&broker, name)).collect();
    // one alone
    let goal = more();
    let mut first = hosts[0].spawn();
    first.wait_until("the first round", PATIENCE, || delivered() >= goal);
    // two more join under load
    let goal = more();
    let mut second = hosts[1].spawn();
    let mut third = hosts[2].spawn();
    third.wait_for_line("the group gives a partition", PATIENCE);
    let goal = goal.max(more());
    second.wait_until("the second round", 2 * PATIENCE, || delivered() >= goal);
    // one is killed under load, and comes again
    more();
    second.wait_for_line("the group gives a partition", PATIENCE);
    second.kill9();
    let goal = more();
    let mut second = hosts[1].spawn();
    first.wait_until("the third round", 2 * PATIENCE, || delivered() >= goal);
    // one is taken for dead, lives, and may commit nothing of what it had in hand
    more();
    third.signal(Signal::STOP);
    let goal = more();
    second.wait_until("the round without the one that sleeps", 2 * PATIENCE, || delivered() >= goal);
    third.signal(Signal::CONT);
    let goal = more();
    third.wait_for_line("starts over at its checkpoint", PATIENCE);
    second.wait_until("the round with the one that woke", 2 * PATIENCE, || delivered() >= goal);
    // one leaves in order
    let goal = more();
    stop(third);
    second.wait_until("the fourth round", 2 * PATIENCE, || delivered() >= goal);
    assert!(first.is_running() && second.is_running());
    stop(first);
    stop(second);
    let found = sequences(&broker, "shared.out");
    assert_eq!(found.len(), KEYS as usize);
    let expected: Vec<u64> = (0..sent * 50).collect();
    for (key, numbers) in found {
        let once: BTreeSet<u64> = numbers.iter().copied().collect();
        assert_eq!(once.len(), numbers.len(), "a record of key {key} was delivered twice");
        assert_eq!(numbers, expected, "key {key}");
    }
}

#[test]
fn a_topic_that_was_deleted_stops_the_members_of_a_group() {
    let broker = kafka::shared();
    let name = "group-gone";
    for topic in ["group-gone.in", "group-gone.out"] {
        broker.create_topic(topic, 2);
    }
    let host = member(&broker, name);
    let mut process = host.spawn();
    let row = flat("c", 1);
    produce(&broker, "group-gone.in", 1, &[(Some(r#"{"id":1}"#), Some(&row))]);
    process.wait_until("the record", PATIENCE, || !broker.records_so_far("group-gone.out").is_empty());
    broker.delete_topic("group-gone.in");
    let ended = process.wait(PATIENCE);
    assert!(!ended.status.success(), "{}", ended.stderr);
    assert!(ended.stderr.contains("topic `group-gone.in`, which is read, no longer exists"), "{}", ended.stderr);
    assert!(ended.stderr.contains("kafka-consumer-groups.sh --group group-gone"), "{}", ended.stderr);
}

#[test]
fn a_table_that_was_emptied_has_no_place_among_partitions_of_several_members() {
    let broker = kafka::shared();
    let name = "group-emptied";
    for topic in ["group-emptied.in", "group-emptied.out"] {
        broker.create_topic(topic, 2);
    }
    let hosts = [member(&broker, name), member(&broker, name)];
    let mut first = hosts[0].spawn();
    first.wait_for_line("the group gives a partition", PATIENCE);
    let mut second = hosts[1].spawn();
    // from now on each of them has one
    second.wait_for_line("the group gives a partition", PATIENCE);
    let (row, truncate) = (flat("c", 1), r#"{"_op":"t","_database":"shop","_table":"orders","_ts":"2024-02-29T13:14:15.123456Z"}"#);
    for partition in 0..2 {
        produce(&broker, "group-emptied.in", partition, &[(Some(r#"{"id":1}"#), Some(&row)), (None, Some(truncate))]);
    }
    for process in [first, second] {
        let ended = process.wait(PATIENCE);
        assert!(!ended.status.success(), "{}", ended.stderr);
        assert!(ended.stderr.contains("it empties a table whose rows come from several partitions"), "{}", ended.stderr);
    }
}

#[test]
fn a_member_of_a_group_needs_a_sink_that_commits_its_offsets() {
    let broker = kafka::shared();
    let host = Sluicegate::new(BINARY, &into_files(&broker, "no-group", "format: flat, topics: [x], group: g, start: latest"));
    let ended = host.run(&["check", "pipeline.yaml"], PATIENCE);
    let told = "a source that is a member of a group commits its offsets in the sink's transactions";
    assert!(!ended.status.success() && ended.stderr.contains(told), "{}", ended.stderr);
    assert!(ended.stderr.contains("members of a group begin with the oldest records"), "{}", ended.stderr);
}

/// The first member has read more than its rate allows for minutes.
#[test]
fn a_member_that_pauses_gives_its_partitions_to_one_that_comes() {
    let broker = kafka::shared();
    let name = "group-paced";
    for topic in ["group-paced.in", "group-paced.out"] {
        broker.create_topic(topic, 2);
    }
    let large = flat("c", 1).replace("n1", &"n".repeat(300_000));
    for partition in 0..2 {
        produce(&broker, "group-paced.in", partition, &[(Some(r#"{"id":1}"#), Some(&large))]);
    }
    let hosts = [member_with(&broker, name, [", bytes_per_second: 1KB", "", ""]), member(&broker, name)];
    let mut first = hosts[0].spawn();
    first.wait_until("the record behind which it pauses", PATIENCE, || !broker.records_so_far("group-paced.out").is_empty());
    let mut second = hosts[1].spawn();
    second.wait_for_line("the group gives a partition", PATIENCE);
    first.wait_for_line("the group takes the partitions back; everything of them is committed", PATIENCE);
    stop(second);
    let ended = stop(first);
    assert!(!ended.stderr.contains("starts over"), "{}", ended.stderr);
}

/// Each batch waits about a second until the sink takes it. Meanwhile nothing is fetched.
#[test]
fn members_that_a_slow_sink_holds_up_share_partitions_and_deliver_every_record_once() {
    let broker = kafka::shared();
    let name = "group-slow";
    broker.create_topic("group-slow.in", PARTITIONS);
    broker.create_topic("group-slow.out", 1);
    send(&broker, "group-slow.in", 0..3);
    let further = ["", ", bytes_per_second: 1KB", ", queue_batches: 1"];
    let hosts = [0, 1].map(|_| member_with(&broker, name, further).env("SLUICEGATE_LOG", "debug"));
    let delivered = || sequences(&broker, "group-slow.out").values().map(Vec::len).sum::<usize>();
    let mut first = hosts[0].spawn();
    first.wait_until("some records", PATIENCE, || delivered() >= 20);
    let mut second = hosts[1].spawn();
    second.wait_for_line("the group gives a partition", PATIENCE);
    second.wait_until("all records", 2 * PATIENCE, || delivered() >= KEYS as usize * 3);
    assert!(first.stderr().contains("fetching pauses"), "{}", first.stderr());
    for process in [first, second] {
        let ended = stop(process);
        assert!(!ended.stderr.contains("starts over"), "{}", ended.stderr);
    }
    let sequences = sequences(&broker, "group-slow.out");
    assert_eq!(sequences.len(), KEYS as usize);
    sequences.iter().for_each(|(key, numbers)| assert_eq!(*numbers, (0..3).collect::<Vec<u64>>(), "{key}"));
}
