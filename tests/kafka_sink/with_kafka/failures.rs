//! What cannot be delivered, and what is said about it.

use sluicegate_config::{Delivery, Transactions};
use sluicegate_model::change::{Mark, MarkKind, Truncate};

use super::*;

#[test]
fn a_refused_record_goes_to_the_dead_letters_and_its_neighbours_are_delivered() {
    // a whole request of small records is larger than this broker takes, too
    let broker = kafka::start(&["message.max.bytes=20000"]);
    for (name, on_error) in [("letters", OnError::DeadLetter), ("skip", OnError::Skip)] {
        let mut bench = Bench::open(settings(&broker, name), on_error).unwrap();
        let huge = "x".repeat(30_000); // the client takes it, the broker does not
        let mut batch = inserts(0, 0..150, &"n".repeat(200));
        push(&mut batch, None, Some((150, &huge)));
        push(&mut batch, None, Some((151, "last")));
        bench.sink.write(&batch).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();
        bench.sink.write(&inserts(152, [152], "")).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();

        let topic = format!("{name}.orders");
        let mut last = BTreeMap::new();
        for record in broker.records(&topic) {
            last.insert(id(&record), record);
        }
        let expected: Vec<i64> = (0..153).filter(|n| *n != 150).collect();
        assert_eq!(last.into_keys().collect::<Vec<_>>(), expected);
        let numbers = &bench.status.sinks[0];
        if on_error == OnError::Skip {
            assert_eq!((numbers.skipped.get(), bench.dead_letters().len()), (1, 0));
            continue;
        }
        let letters = bench.dead_letters();
        assert_eq!((numbers.dead_lettered.get(), letters.len()), (1, 1));
        assert_eq!((&letters[0]["after"]["id"], &letters[0]["after"]["note"]), (&150.into(), &Value::from(huge)));
        assert!(!letters[0]["error"].as_str().unwrap().contains("xxx"));
    }
}

#[test]
fn a_record_larger_than_the_client_takes_goes_to_the_dead_letters_at_once() {
    let broker = kafka::shared();
    let mut bench = Bench::open(settings(&broker, "client-limit"), OnError::DeadLetter).unwrap();
    let mut batch = batch(7, table("orders", true));
    push(&mut batch, None, Some((1, "a")));
    push(&mut batch, None, Some((2, &"x".repeat(2_000_000))));
    push(&mut batch, None, Some((3, "c")));
    bench.sink.write(&batch).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    assert_eq!(broker.records("client-limit.orders").iter().map(id).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(bench.dead_letters()[0]["source"]["row"], 1);
}

#[test]
fn by_default_a_refused_record_stops_the_sink() {
    let broker = kafka::start(&["message.max.bytes=20000"]);
    let mut bench = Bench::open(settings(&broker, "stop"), OnError::Stop).unwrap();
    let error = fails(&mut bench, &inserts(0, [1], &"x".repeat(30_000)));
    assert_eq!(error.kind(), ErrorKind::Record);
    insta::assert_snapshot!(error, @r"
    a record, or a batch of records, is larger than topic `stop.orders` or the client allows
      remedy: raise `max.message.bytes` of the topic and `message.max.bytes` in the sink's `options`, keep `batch.size` below the topic's limit, or set `on_error`
    ");

    let mut bench = Bench::open(settings(&broker, "stop"), OnError::Stop).unwrap();
    let error = fails(&mut bench, &inserts(0, [1], &"x".repeat(2_000_000)));
    insta::assert_snapshot!(error, @r"
    a change of table shop.orders at binlog.000001:4, row 0: a record, or a batch of records, is larger than topic `stop.orders` or the client allows
      remedy: raise `max.message.bytes` of the topic and `message.max.bytes` in the sink's `options`, keep `batch.size` below the topic's limit, or set `on_error`
    ");
}

#[test]
fn a_missing_topic_is_named() {
    let broker = kafka::start(&["auto.create.topics.enable=false"]);
    // by default librdkafka gives a new topic half a minute to become known
    let options = BTreeMap::from([("topic.metadata.propagation.max.ms".to_owned(), Secret::new("500"))]);
    let mut bench = Bench::open(KafkaSink { options, ..settings(&broker, "missing") }, OnError::DeadLetter).unwrap();
    let error = fails(&mut bench, &inserts(0, [1], ""));
    assert_eq!(error.kind(), ErrorKind::Sink, "{error}");
    insta::assert_snapshot!(error, @r"
    topic `missing.orders` does not exist, and the brokers do not make it: UnknownTopicOrPartition (Broker: Unknown topic or partition)
      remedy: make the topic, or let the brokers do it (`auto.create.topics.enable`), then start again: nothing is lost
    ");
}

#[test]
fn a_topic_that_cannot_be_created_beside_another_is_reported_with_the_other() {
    let broker = kafka::shared();
    broker.create_topic("meet.eu_orders", 1);
    let options = BTreeMap::from([("topic.metadata.propagation.max.ms".to_owned(), Secret::new("500"))]);
    let mut bench = Bench::open(KafkaSink { options, ..settings(&broker, "meet_eu") }, OnError::DeadLetter).unwrap();
    let error = fails(&mut bench, &inserts(0, [1], ""));
    assert_eq!(error.kind(), ErrorKind::Sink, "{error}");
    insta::assert_snapshot!(error, @r"
    topic `meet_eu.orders` cannot be created beside topic `meet.eu_orders`: Kafka takes `.` and `_` for the same in the names of its metrics: UnknownTopicOrPartition (Broker: Unknown topic or partition)
      remedy: change the sink's `topic` template, or give the table another name with the `map-names` plugin; then start again: nothing is lost
    ");
    assert_eq!(bench.dead_letters().len(), 0);
    // the client gives up before it says that the topic is unknown
    let impatient = KafkaSink { delivery_timeout: Duration::from_secs(2), ..settings(&broker, "meet_eu") };
    let mut bench = Bench::open(impatient, OnError::DeadLetter).unwrap();
    let error = fails(&mut bench, &inserts(0, [1], "")).to_string();
    assert!(error.starts_with("topic `meet_eu.orders` cannot be created beside topic `meet.eu_orders`: "), "{error}");
}

#[test]
fn a_broker_that_stays_down_stops_the_sink_within_the_delivery_timeout() {
    let broker = kafka::start(&[]);
    let mut bench =
        Bench::open(KafkaSink { delivery_timeout: Duration::from_secs(3), ..settings(&broker, "down") }, OnError::Skip).unwrap();
    bench.sink.write(&inserts(0, 0..10, "")).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    broker.kill9();
    let begin = Instant::now();
    let error = fails(&mut bench, &inserts(10, 10..20, ""));
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert_eq!(error.kind(), ErrorKind::Sink);
    let text = error.to_string().replace(broker.brokers(), "BROKER");
    assert!(text.starts_with("BROKER did not acknowledge records for topic `down.orders` within 3s: "), "{text}");
    assert!(text.ends_with("then start again: nothing is lost"), "{text}");
    assert_eq!(bench.status.sinks[0].skipped.get(), 0);
}

#[test]
fn a_refused_login_and_a_missing_grant_are_told_apart_and_show_no_password() {
    let broker = kafka::start(&[
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_PLAINTEXT",
        "inter.broker.listener.name=PLAINTEXT",
        "sasl.mechanism.inter.broker.protocol=PLAIN",
        "sasl.enabled.mechanisms=PLAIN",
        "listener.name.plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         username=\"admin\" password=\"boss\" user_admin=\"boss\" user_cdc=\"r1ght\";",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:admin;User:ANONYMOUS",
    ]);
    let with = |password: &str, delivery_timeout| {
        let options =
            [("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "PLAIN"), ("sasl.username", "cdc"), ("sasl.password", password)];
        let options = options.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect();
        KafkaSink { options, delivery_timeout, ..settings(&broker, "grants") }
    };
    let (soon, patient) = (Duration::from_secs(5), Duration::from_secs(60));
    let precheck = |password: &str, connect_timeout| {
        let settings = sink_settings(with(password, soon), OnError::Stop, PluginVersions::Omitted);
        sinks::precheck(&settings, &Limits { connect_timeout, ..Limits::default() })
    };
    let text = |error: &Error| error.to_string().replace(broker.brokers(), "BROKER");
    precheck("r1ght", patient).unwrap();
    let error = precheck("wr0ng", soon).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precheck);
    assert!(text(&error).starts_with("BROKER refused the login"), "{error}");
    assert!(!text(&error).contains("wr0ng"), "{error}");

    let error = fails(&mut Bench::open(with("wr0ng", soon), OnError::Skip).unwrap(), &inserts(0, [1], ""));
    assert_eq!(error.kind(), ErrorKind::Sink);
    assert!(text(&error).starts_with("BROKER refused the login"), "{error}");

    let error = fails(&mut Bench::open(with("r1ght", patient), OnError::Skip).unwrap(), &inserts(0, [1], ""));
    assert_eq!(error.kind(), ErrorKind::Sink);
    // whichever answer comes first: that to the record, or that to the request for a producer id
    let either = text(&error).replace("ClusterAuthorizationFailed (Broker: Cluster", "TopicAuthorizationFailed (Broker: Topic");
    insta::assert_snapshot!(either, @r"
    the account may not write to topic `grants.orders`: TopicAuthorizationFailed (Broker: Topic authorization failed)
      remedy: grant it WRITE and DESCRIBE on the topic (and CREATE, or make the topic first), then start again: nothing is lost
    ");

    let transactions = Transactions { transactional_id: "id.grants".into(), positions_topic: "grants-positions".into() };
    let once = KafkaSink { delivery: Delivery::ExactlyOnce(transactions), ..with("r1ght", patient) };
    insta::assert_snapshot!(Bench::open(once, OnError::Stop).err().unwrap(), @r"
    the account may not see whether the positions topic `grants-positions` keeps the sink's progress
      remedy: grant it READ, WRITE, DESCRIBE and DESCRIBE_CONFIGS on the topic; and CREATE, or make the topic with one partition and `cleanup.policy=compact`
    ");
}

/// A compacted topic takes no record without a key. An emptied table is no change that could be set aside.
#[test]
fn a_truncate_that_the_broker_refuses_stops_the_sink_whatever_it_does_with_refused_records() {
    let broker = kafka::shared();
    for (topic, on_error, exactly_once) in [
        ("emptied", OnError::Stop, false),
        ("emptied-skip", OnError::Skip, false),
        ("emptied-once", OnError::Stop, true),
        ("emptied-once-skip", OnError::Skip, true),
    ] {
        broker.create_topic_with(&format!("{topic}.orders"), 1, &[("cleanup.policy", "compact")]);
        let mut kafka = settings(&broker, topic);
        if exactly_once {
            let transactions = Transactions { transactional_id: format!("id.{topic}"), positions_topic: format!("{topic}-positions") };
            kafka.delivery = Delivery::ExactlyOnce(transactions);
        }
        let mut bench = Bench::open(kafka, on_error).unwrap();
        bench.sink.write(&inserts(0, [1], "")).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();
        let (event, transaction) = (Event::default(), Transaction::default());
        let kind = MarkKind::Truncate(Truncate { table: table("orders", true), event, transaction });
        let mark = Mark { lane: Lane::new("rows"), offset: Offset::from_json("1"), kind };
        let error = bench.sink.mark(&mark).and_then(|()| bench.sink.commit(&Frontier::default())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sink);
        let text = error.to_string().replace(&format!("{topic}.orders"), "TOPIC");
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @r"
            the brokers refused the record that says that a table was emptied, for topic `TOPIC`: InvalidRecord (Broker: Broker failed to validate record)
              remedy: let the topic take records without a key (`cleanup.policy=delete`), or let a plugin leave `truncate` out of its operations; then start again: nothing is lost
            ");
        }
        assert_eq!(broker.records(&format!("{topic}.orders")).len(), 1);
    }
}

#[test]
fn the_precheck_passes_with_a_broker() {
    let broker = kafka::shared();
    let settings = sink_settings(settings(&broker, "check"), OnError::Stop, PluginVersions::Omitted);
    sinks::precheck(&settings, &Limits::default()).unwrap();
}
