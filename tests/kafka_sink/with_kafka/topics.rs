//! Topics by template: what they are called, and who makes them.

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
    producer::{BaseProducer, Producer as _},
};
use sluicegate_config::{Delivery, TopicSettings, Transactions};
use sluicegate_harness::{host::Sluicegate, mariadb};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn client(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.brokers());
    config
}

/// Partitions of a topic; 0: it is not there.
pub(super) fn partitions(broker: &Broker, topic: &str) -> usize {
    let client: BaseProducer = client(broker).create().unwrap();
    // a question for all topics makes none
    let cluster = client.client().fetch_metadata(None, PATIENCE).unwrap();
    cluster.topics().iter().find(|known| known.name() == topic).map_or(0, |known| known.partitions().len())
}

fn setting(broker: &Broker, topic: &str, name: &str) -> Option<String> {
    let admin: AdminClient<DefaultClientContext> = client(broker).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let topic = ResourceSpecifier::Topic(topic);
    let told = runtime.block_on(admin.describe_configs([&topic], &AdminOptions::new())).unwrap();
    told.iter().flatten().find_map(|settings| settings.get(name)?.value.clone())
}

fn with_topics(broker: &Broker, topic: &str, topics: TopicCreation) -> KafkaSink {
    KafkaSink { topics, ..settings(broker, topic) }
}

#[test]
fn c28_topics_are_made_with_their_settings_and_those_that_exist_stay_as_they_are() {
    let broker = kafka::shared();
    broker.create_topic("made.lines", 2);
    let config = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned()), ("retention.ms".to_owned(), "604800000".to_owned())]);
    let wanted = TopicSettings { partitions: Some(3), replication_factor: Some(1), config };
    let mut bench = Bench::open(with_topics(&broker, "made", TopicCreation::Create(wanted)), OnError::Stop).unwrap();
    for (number, name) in [(0, "orders"), (20, "lines")] {
        let mut batch = batch(number, table(name, true));
        (0..20).for_each(|id| push(&mut batch, None, Some((id, ""))));
        bench.sink.write(&batch).unwrap();
    }
    bench.sink.commit(&Frontier::default()).unwrap();
    assert_eq!((partitions(&broker, "made.orders"), partitions(&broker, "made.lines")), (3, 2));
    assert_eq!(setting(&broker, "made.orders", "cleanup.policy").as_deref(), Some("compact"));
    assert_eq!(setting(&broker, "made.orders", "retention.ms").as_deref(), Some("604800000"));
    assert_eq!(setting(&broker, "made.lines", "cleanup.policy").as_deref(), Some("delete"));
    assert_eq!((broker.records("made.orders").len(), broker.records("made.lines").len()), (20, 20));
    // as the brokers are set
    let mut bench = Bench::open(with_topics(&broker, "plain", TopicCreation::Create(TopicSettings::default())), OnError::Stop).unwrap();
    bench.sink.write(&inserts(0, [1], "")).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    assert_eq!(partitions(&broker, "plain.orders"), 1);
    // what the brokers refuse is told
    let fails = |topic: &str, wanted: TopicSettings| {
        let mut bench = Bench::open(with_topics(&broker, topic, TopicCreation::Create(wanted)), OnError::Skip).unwrap();
        fails(&mut bench, &inserts(0, [1], "")).to_string()
    };
    let replicas = fails("replicas", TopicSettings { replication_factor: Some(7), ..TopicSettings::default() });
    assert!(replicas.starts_with("the brokers are too few for the `replication_factor` of topic `replicas.orders`"), "{replicas}");
    let config = BTreeMap::from([("no.such.setting".to_owned(), "1".to_owned())]);
    let settings = fails("settings", TopicSettings { config, ..TopicSettings::default() });
    assert!(settings.starts_with("the brokers do not take the settings of topic `settings.orders`"), "{settings}");
    broker.create_topic("made_twice_orders", 1);
    let metric = fails("made_twice", TopicSettings::default());
    assert!(metric.starts_with("topic `made_twice.orders` cannot be created beside topic `made_twice_orders`"), "{metric}");
}

#[test]
fn c28_a_topic_that_must_exist_is_never_made_and_stops_the_pipeline_before_its_first_record() {
    let broker = kafka::shared();
    for delivery in [false, true] {
        let name = format!("must-{delivery}");
        let transactions = Transactions { transactional_id: format!("id.{name}"), positions_topic: format!("{name}-positions") };
        let delivery = if delivery { Delivery::ExactlyOnce(transactions) } else { Delivery::AtLeastOnce };
        let settings = KafkaSink { delivery, ..with_topics(&broker, &name, TopicCreation::MustExist) };
        let error = fails(&mut Bench::open(settings.clone(), OnError::Skip).unwrap(), &inserts(0, [1], ""));
        assert_eq!((error.kind(), error.may_pass()), (ErrorKind::Sink, true));
        insta::allow_duplicates!(insta::assert_snapshot!(error.to_string().replace(&name, "NAME"), @r"
        topic `NAME.orders` does not exist, or the account may not see it, and the sink has `topics: must-exist`
          remedy: make the topic, grant the account DESCRIBE on it, or let the sink make topics: `topics: { partitions: … }`; then start again: nothing is lost
        "));
        assert_eq!(partitions(&broker, &format!("{name}.orders")), 0);
        broker.create_topic(&format!("{name}.orders"), 1);
        let mut bench = Bench::open(settings, OnError::Stop).unwrap();
        bench.sink.write(&inserts(0, [1], "")).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();
        assert_eq!(broker.records(&format!("{name}.orders")).len(), 1);
    }
}

#[test]
fn c28_check_tells_of_topics_that_have_to_be_there_and_of_those_that_are_otherwise() {
    let (server, broker) = (mariadb::shared(), kafka::shared());
    let database = server.database("wanted");
    server.sql(&format!("CREATE TABLE {database}.old (id INT PRIMARY KEY); CREATE TABLE {database}.new (id INT PRIMARY KEY)"));
    broker.create_topic(&format!("{database}.old"), 2);
    let check = |topics: &str| {
        let pipeline = format!(
            "name: p\nsource: {{ type: mysql, host: 127.0.0.1, port: {}, user: {}, password: {}, tables: ['{database}.*'] }}\n\
             sinks: [{{ type: kafka, brokers: '{}', topics: {topics} }}]\n",
            server.port(),
            server.user(),
            server.password(),
            broker.brokers()
        );
        let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline);
        let ended = host.run(&["check", "pipeline.yaml"], PATIENCE);
        let lines: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("topics: ")).collect();
        format!("exit {}\n{}", ended.status.code().expect("a code"), lines.join("\n").replace(&database, "DB"))
    };
    let told = [check("must-exist"), check("{ partitions: 2 }"), check("{ partitions: 3 }")];
    insta::assert_snapshot!(told.join("\n\n"), @r"
    exit 3
    fail  topics: sink `kafka`: topics that are not there, or that the account may not see: DB.new
          remedy: make them, grant the account DESCRIBE on them, or let the sink make topics: `topics: { partitions: … }`

    exit 0
    ok  topics: sink `kafka`: 1 of 2 are not there yet, and are made with their first record: DB.new

    exit 0
    warn  topics: sink `kafka`: topics that exist have another number of partitions than 3, and keep it: DB.old (2)
    ok  topics: sink `kafka`: 1 of 2 are not there yet, and are made with their first record: DB.new
    ");
    let unknown = check("{ partitions: 2, config: { cleanup.policyy: compact } }");
    assert!(unknown.starts_with("exit 3") && unknown.contains("do not take the settings of topic `DB.new`"), "{unknown}");
    assert_eq!(partitions(&broker, &format!("{database}.new")), 0);
}

/// Operation and key of each record of a topic.
fn seen(broker: &Broker, topic: &str) -> Vec<String> {
    let shown = |record: &Record| {
        let operation = field(record, "_op").map_or("-".to_owned(), |op| op.as_str().unwrap().to_owned());
        format!("{operation} {}", record.key.as_deref().unwrap())
    };
    broker.records(topic).iter().map(shown).collect()
}

#[test]
fn a_topic_that_follows_the_operation_holds_its_records_and_the_halves_of_a_changed_key() {
    let broker = kafka::shared();
    let topic = "by.{table}.{operation}.{date}".parse().unwrap();
    let mut bench = Bench::open(KafkaSink { topic, ..settings(&broker, "by") }, OnError::Stop).unwrap();
    let mut batch = batch(0, table("orders", true));
    push(&mut batch, None, Some((1, "a")));
    push(&mut batch, Some((1, "a")), Some((1, "b")));
    push(&mut batch, Some((1, "b")), Some((2, "b")));
    push(&mut batch, Some((2, "b")), None);
    bench.sink.write(&batch).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    let of = |operation: &str| seen(&broker, &format!("by.orders.{operation}.2023-11-14"));
    assert_eq!(of("insert"), [r#"c {"id":1}"#, r#"c {"id":2}"#]);
    assert_eq!(of("update"), [r#"u {"id":1}"#]);
    assert_eq!(of("delete"), [r#"d {"id":1}"#, r#"- {"id":1}"#, r#"d {"id":2}"#, r#"- {"id":2}"#]);
}

#[test]
fn tables_that_a_template_does_not_tell_apart_stop_the_pipeline_unless_they_are_meant_to_share() {
    let broker = kafka::shared();
    let of = |database: &str, number: u64| {
        let orders = Table { name: TableName::new(database, "orders"), ..Table::clone(&table("orders", true)) };
        let mut batch = batch(number, Arc::new(orders));
        push(&mut batch, None, Some((1, database)));
        batch
    };
    let transactions = Transactions { transactional_id: "id.fan-in".into(), positions_topic: "fan-in-positions".into() };
    for (shared_topic, delivery) in
        [(false, Delivery::AtLeastOnce), (false, Delivery::ExactlyOnce(transactions)), (true, Delivery::AtLeastOnce)]
    {
        let mut bench = Bench::open(KafkaSink { shared_topic, delivery, ..settings(&broker, "fan-in") }, OnError::Stop).unwrap();
        bench.sink.write(&of("shard_1", 0)).unwrap();
        let told = bench.sink.write(&of("shard_2", 1)).and_then(|()| bench.sink.commit(&Frontier::default()).map(drop));
        match told {
            Ok(()) => assert!(shared_topic),
            Err(error) => assert!(!shared_topic && error.to_string().contains("tables shard_1.orders and shard_2.orders"), "{error}"),
        }
    }
    let notes: Vec<_> = broker.records("fan-in.orders").iter().map(|record| field(record, "note").unwrap()).collect();
    assert_eq!(notes.last().unwrap(), "shard_2");
    assert_eq!(notes.iter().filter(|note| *note == "shard_2").count(), 1);
}

#[test]
fn one_topic_too_many_is_told_also_within_a_transaction() {
    let broker = kafka::shared();
    let transactions = Transactions { transactional_id: "id.too-many".into(), positions_topic: "too-many-positions".into() };
    let limits = Limits { destinations: 1, ..Limits::default() };
    let settings = KafkaSink { delivery: Delivery::ExactlyOnce(transactions), ..settings(&broker, "too-many") };
    let mut bench = Bench::open_with(settings, OnError::Skip, PluginVersions::Omitted, &limits).unwrap();
    let rows = ["too-many.a", "too-many.b"].map(|topic| (None, Some((1, "", Some(topic), None))));
    let error = fails(&mut bench, &routing::routed(0, rows));
    assert!(error.to_string().contains("plugins or the sink's template gave more than 1 different destinations"), "{error}");
}
