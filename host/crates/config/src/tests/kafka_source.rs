//! A Kafka source.

use super::*;

const BROKERS: &str = "brokers: 'b:9092'";

fn kafka(source: &str, sinks: &str) -> Result<Pipeline> {
    loaded(&format!("name: shop\nsource: {{ type: kafka, {BROKERS}, {source} }}\nsinks: [{sinks}]\n"))
}

fn settings(source: &str) -> KafkaSource {
    let pipeline = kafka(source, "{ type: stdout }").unwrap_or_else(|e| panic!("{source}: {e}"));
    let Source::Kafka(settings) = pipeline.source else { panic!("not a Kafka source") };
    settings
}

#[test]
fn what_a_source_leaves_out_has_a_default() {
    let source = settings("topics: [orders], format: debezium");
    assert_eq!((source.before_images, source.numbers, source.latest), (TopicImages::Whole, TopicNumbers::Decimal, false));
    assert_eq!((source.group, source.on_unreadable, source.security), (None, OnUnreadable::Stop, None));
    let source = settings("topics: [orders], format: flat, start: latest, numbers: double, on_unreadable: skip, tls: required");
    assert_eq!((source.before_images, source.numbers, source.latest), (TopicImages::Deletes, TopicNumbers::Double, true));
    assert!(source.on_unreadable == OnUnreadable::Skip && source.security.is_some_and(|security| security.tls == TlsMode::Required));
}

#[test]
fn what_a_source_cannot_be_is_told_with_a_remedy() {
    for (source, what) in [
        ("topics: [], format: flat", "source.topics: this selects no topic"),
        ("topics: ['!orders'], format: flat", "source.topics: this selects no topic"),
        ("topics: [a, 'b*', a], format: flat", "source.topics[2]: `a` stands in source.topics[0] already"),
        ("topics: ['a/b', ''], format: flat", "source.topics[0]: this is neither a topic's name nor a pattern"),
        ("topics: [a], format: flat, before_images: whole", "source.before_images: flat records do not hold the row before an update"),
        ("topics: [a], format: flat, options: { auto.offset.reset: latest }", "source.options.auto.offset.reset: this setting is not free"),
        ("topics: [a], format: flat, options: { isolation.level: read_uncommitted }", "this setting is not free"),
        ("topics: [a], format: avro", "source.format"),
        ("topics: [a], format: flat, group: g, start: latest", "source.start: members of a group begin with the oldest records"),
        ("topics: [a], format: flat, rows_per_second: 0", "source.rows_per_second: nothing would pass at all"),
        ("topics: [a], format: flat, tls: required, options: { ssl.ca.location: /x }", "`tls`, `sasl` and the files beside them set it"),
    ] {
        let error = kafka(source, "{ type: stdout }").unwrap_err();
        assert!(error.to_string().contains(what) && error.remedy_text().is_some(), "{source}: {error}");
    }
}

#[test]
fn a_member_of_a_group_has_one_sink_in_whose_transactions_its_offsets_are() {
    let group = |sinks: &str| kafka("topics: [a], format: flat, group: g", sinks);
    let once = format!("{{ type: kafka, {BROKERS}, delivery: exactly-once }}");
    let pipeline = group(&once).unwrap();
    assert!(matches!(&pipeline.sinks[0].kind, SinkKind::Kafka(kafka) if kafka.in_group));
    let alone = kafka("topics: [a], format: flat", &once).unwrap();
    assert!(matches!(&alone.sinks[0].kind, SinkKind::Kafka(kafka) if !kafka.in_group));
    for sinks in [
        "{ type: stdout }".to_owned(),
        format!("{{ type: kafka, {BROKERS} }}"),
        "{ type: kafka, brokers: 'other:9092', delivery: exactly-once }".to_owned(),
        format!("{{ type: kafka, {BROKERS}, delivery: exactly-once, when_slow: apart }}"),
        format!("{once}, {{ type: kafka, name: two, {BROKERS}, delivery: exactly-once }}"),
    ] {
        let error = group(&sinks).unwrap_err();
        assert!(error.to_string().contains("commits its offsets in the sink's transactions"), "{sinks}: {error}");
    }
}

#[test]
fn a_member_of_a_group_refuses_what_its_partitions_would_lose_or_wait_for() {
    let pipeline = |group: &str, sink: &str, rest: &str| {
        loaded(&format!(
            "name: shop\nsource: {{ type: kafka, {BROKERS}, topics: [a], format: flat{group} }}\nsinks: [{{ type: kafka, {BROKERS}, delivery: exactly-once{sink} }}]\n{rest}\n"
        ))
    };
    let group = ", group: g";
    for (sink, rest, what) in [
        ("", "plugins: [{ use: map-names, fail_closed: true, config: {} }]", "plugins[0].fail_closed: members of a group do not share"),
        (", delivery_timeout: 31s", "", "sinks[0].delivery_timeout: this is more than 30 seconds"),
        (", delivery_timeout: 120s", "", "sinks[0].delivery_timeout: this is more than 30 seconds"),
        ("", "limits: { checkpoint_interval: 11s }", "limits.checkpoint_interval: this is more than 10 seconds"),
    ] {
        let error = pipeline(group, sink, rest).unwrap_err();
        assert!(error.to_string().contains(what) && error.remedy_text().is_some(), "{rest}{sink}: {error}");
        pipeline("", sink, rest).unwrap_or_else(|e| panic!("without a group {rest}{sink}: {e}"));
    }
    let timeout = |sink: &str| {
        let pipeline = pipeline(group, sink, "plugins: [{ use: map-names, config: {} }]").unwrap();
        let SinkKind::Kafka(kafka) = &pipeline.sinks[0].kind else { panic!("not a Kafka sink") };
        kafka.delivery_timeout.as_secs()
    };
    assert_eq!((timeout(""), timeout(", delivery_timeout: 30s"), timeout(", delivery_timeout: 5s")), (30, 30, 5));
}

#[test]
fn the_documentation_shows_pipelines_that_are_right() {
    for text in
        [include_str!("../../../../../docs/kafka-source.md"), include_str!("../../../../../examples/kubernetes/capture-and-clean.yaml")]
    {
        let fenced = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned);
        let mapped = text.split(".yaml: |\n").skip(1).map(|rest| {
            let lines = rest.lines().take_while(|line| line.starts_with("    "));
            lines.map(|line| format!("{}\n", &line[4..])).collect::<String>()
        });
        let shown: Vec<String> = fenced.chain(mapped).collect();
        assert_eq!(shown.len(), 2);
        for pipeline in shown {
            // parts of a pipeline have its name left out, and secrets are files
            let pipeline = if pipeline.contains("name: ") { pipeline } else { format!("name: shown\n{pipeline}") };
            let pipeline = pipeline.replace("{ file: /run/secrets/database/password }", "secret");
            loaded(&pipeline).unwrap_or_else(|e| panic!("{e}\n{pipeline}"));
        }
    }
}
