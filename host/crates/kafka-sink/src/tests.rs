use std::{collections::BTreeMap, sync::Arc};

use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use sluicegate_model::limits::Limits;

use super::*;
use sluicegate_config::{Delivery, Keyless, NameCase, OnError, RecordFormat, RecordHeaders, RecordKeys, Secret, TopicCreation};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_model::change::Image;
use sluicegate_samples::orders::{self as samples, inserts};
use sluicegate_status::{SinkStatus, Status};

/// Numbers of a pipeline with one sink.
fn numbers() -> Numbers {
    let status = Status { sinks: vec![SinkStatus::default()], ..Status::default() };
    Numbers::new(Arc::new(status), 0).unwrap()
}

pub(crate) fn settings(brokers: &str) -> Settings {
    Settings {
        brokers: brokers.into(),
        security: None,
        topic: "{database}.{table}".parse().unwrap(),
        schema_topic: None,
        align: None,
        transaction_topic: None,
        letter_topic: None,
        heartbeats: None,
        shared_topic: false,
        name_case: NameCase::AsIs,
        topics: TopicCreation::Automatic,
        keys: RecordKeys::default(),
        headers: RecordHeaders::default(),
        tombstones: true,
        keyless: Keyless::Stop,
        delivery: Delivery::AtLeastOnce,
        in_group: false,
        delivery_timeout: Duration::from_secs(20),
        options: BTreeMap::new(),
    }
}

fn open(settings: &Settings, on_error: OnError) -> Result<KafkaSink> {
    open_with(settings, on_error, &Limits::default())
}

fn open_with(settings: &Settings, on_error: OnError, limits: &Limits) -> Result<KafkaSink> {
    let letters = Arc::new(DeadLetters::new(std::env::temp_dir().join("never-made"), 1));
    let encoder = Encoder::new(RecordFormat::Flat, "shop", "mysql");
    let numbers = numbers();
    let client = client::connect(settings, limits, Reports::new(Some(numbers.clone())))?;
    KafkaSink::open(
        KafkaResume::new(settings, false, Policy::new("kafka", on_error, letters), None, limits, numbers),
        client,
        None,
        encoder,
    )
}

fn mock() -> MockCluster<'static, DefaultProducerContext> {
    MockCluster::new(1).unwrap()
}

fn deliver(sink: &mut KafkaSink) -> Result<SinkState> {
    sink.write(&inserts(0, 0..10, ""))?;
    sink.commit(&Frontier::default())
}

#[test]
fn passing_errors_of_a_broker_are_retried() {
    use RDKafkaRespErr::*;
    let cluster = mock();
    cluster.create_topic("shop.orders", 1, 1).unwrap();
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        ],
    );
    let mut sink = open(&settings(&cluster.bootstrap_servers()), OnError::Stop).unwrap();
    assert_eq!(deliver(&mut sink).unwrap(), "{}");
    assert_eq!(sink.numbers.get().records.get(), 10);
}

#[test]
fn a_missing_grant_stops_the_sink_whatever_the_policy() {
    use RDKafkaRespErr::*;
    for code in [RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED] {
        let cluster = mock();
        cluster.create_topic("shop.orders", 1, 1).unwrap();
        cluster.request_errors(RDKafkaApiKey::Produce, &[code; 3]);
        let mut sink = open(&settings(&cluster.bootstrap_servers()), OnError::Skip).unwrap();
        let error = deliver(&mut sink).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sink);
        assert!(error.to_string().starts_with("the account may not write to topic `shop.orders`"), "{error}");
        assert_eq!(sink.numbers.get().skipped.get(), 0);
    }
}

#[test]
fn a_fatal_error_of_the_idempotent_producer_stops_the_sink() {
    let cluster = mock();
    cluster.create_topic("shop.orders", 1, 1).unwrap();
    // the broker says that records before these are missing, which it has never been sent
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER; 5]);
    let mut sink = open(&settings(&cluster.bootstrap_servers()), OnError::Skip).unwrap();
    let error = deliver(&mut sink).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sink, "{error}");
    let text = error.to_string();
    assert!(text.starts_with("the idempotent producer can no longer tell what the brokers hold (OutOfOrderSequenceNumber"), "{text}");
    assert!(text.ends_with("remedy: start again: what was not acknowledged is sent again, so nothing is lost"), "{text}");
}

#[test]
fn a_broker_that_never_answers_is_found_before_the_start_and_within_the_timeout() {
    let limits = Limits { connect_timeout: Duration::from_secs(2), ..Limits::default() };
    let begin = Instant::now();
    let error = precheck(&settings("127.0.0.1:1"), &limits).unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    assert_eq!(error.kind(), ErrorKind::Connection);
    let text = error.to_string();
    assert!(text.starts_with("no Kafka broker answered at 127.0.0.1:1 within 2s: "), "{text}");
    assert!(text.contains("Connection refused"), "{text}");
    assert!(text.contains("remedy: start the brokers, or correct `brokers`"), "{text}");
}

#[test]
fn options_that_break_order_or_durability_are_refused_and_values_never_shown() {
    for name in
        ["acks", "enable.idempotence", "max.in.flight", "transactional.id", "partitioner", "queuing.strategy", "test.mock.num.brokers"]
    {
        assert!(sluicegate_config::refused_option(name).is_some(), "{name}");
    }
    assert_eq!(sluicegate_config::refused_option("linger.ms"), None);
    let with =
        |name: &str, value: &str| Settings { options: BTreeMap::from([(name.to_owned(), Secret::new(value))]), ..settings("127.0.0.1:1") };
    let refused = |name: &str| open(&with(name, "s3cret"), OnError::Stop).err().unwrap();
    insta::assert_snapshot!(refused("acks"), @r"
the Kafka option `acks` cannot be set: an acknowledgement has to mean that the record is durable
  remedy: remove it
");
    insta::assert_snapshot!(refused("no.such.option"), @r"
the Kafka option `no.such.option` does not exist
  remedy: look it up in librdkafka's CONFIGURATION.md, and correct or remove it
");
    insta::assert_snapshot!(refused("linger.ms"), @r"
the Kafka option `linger.ms` does not take this value, or this build of librdkafka lacks what it needs
  remedy: look it up in librdkafka's CONFIGURATION.md, and correct or remove it
");
    insta::assert_snapshot!(refused("security.protocol"), @r"
the Kafka option `security.protocol` does not take this value, or this build of librdkafka lacks what it needs
  remedy: look it up in librdkafka's CONFIGURATION.md, and correct or remove it
");
    open(&with("compression.type", "zstd"), OnError::Stop).unwrap();
}

#[test]
fn a_records_size_is_the_one_that_the_client_holds_against_its_limit() {
    // 36 bytes and the lengths of headers: both sides of the borders where a length takes one byte more
    for header in [None, Some(0), Some(1), Some(63), Some(64), Some(8191), Some(8192), Some(20_000)] {
        for (key, value) in [(None, 5000), (Some(7), 5000), (Some(3000), 0)] {
            let (key, value) = (key.map(|length| vec![b'k'; length]), vec![b'v'; value]);
            let headers = header.map(|length| insert(None, "tenant", &vec![b'h'; length]));
            let record =
                || Record { topic: "t".into(), partition: None, key: key.as_deref(), value: Some(&value), headers: headers.clone() };
            let size = record().size();
            for (limit, taken) in [(size, true), (size - 1, false)] {
                let options = BTreeMap::from([("message.max.bytes".to_owned(), Secret::new(limit.to_string()))]);
                let sink = open(&Settings { options, ..settings("127.0.0.1:1") }, OnError::Stop).unwrap();
                assert_eq!(sink.sizes.client, limit);
                assert_eq!(sink.send(record(), 0).is_ok(), taken, "{limit}: {header:?} {:?}", key.as_ref().map(Vec::len));
            }
        }
    }
}

#[test]
fn a_change_of_several_records_is_delivered_where_the_brokers_do_not_say_their_limit() {
    let cluster = mock(); // it has no answer to that
    cluster.create_topic("shop.orders", 1, 1).unwrap();
    let limits = Limits { connect_timeout: Duration::from_secs(1), ..Limits::default() };
    let mut sink = open_with(&settings(&cluster.bootstrap_servers()), OnError::Skip, &limits).unwrap();
    let mut batch = inserts(0, 0..3, "");
    for change in &mut batch.changes {
        // a delete and its tombstone
        (change.operation, change.before, change.after) = (Operation::Delete, change.after, NO_IMAGE);
    }
    sink.write(&batch).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    assert_eq!(sink.numbers.get().records.get(), 6);
}

#[test]
fn nothing_of_a_change_is_sent_when_the_client_takes_one_of_its_records_for_too_large() {
    let cluster = mock();
    cluster.create_topic("shop.orders", 1, 1).unwrap();
    for (on_error, outcome) in [(OnError::Stop, Err(ErrorKind::Record)), (OnError::Skip, Ok(()))] {
        let mut sink = open(&settings(&cluster.bootstrap_servers()), on_error).unwrap();
        // the key changes: a delete, its tombstone and an insert
        let mut batch = samples::batch(0);
        let before = samples::row(&mut batch, 1, "", Image::Before);
        let after = samples::row(&mut batch, 2, &"x".repeat(2_000_000), Image::After);
        samples::push(&mut batch, Operation::Update, before, after);
        assert_eq!(sink.write(&batch).map_err(|error| error.kind()), outcome);
        sink.client.flush(Duration::from_secs(20)).unwrap();
        assert_eq!(sink.numbers.get().records.get(), 0);
    }
}
