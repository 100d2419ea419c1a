//! What a Kafka sink makes of the source's transactions.

use super::*;
use crate::{KafkaSink, LongTransactions};

fn text(source: &str, sink: &str) -> String {
    format!("name: shop\nsource: {{ {source} }}\nsinks: [{{ {sink} }}]\n")
}

const GENERATOR: &str = "type: generator";

fn kafka(sink: &str) -> KafkaSink {
    let pipeline = loaded(&text(GENERATOR, &format!("type: kafka, brokers: b, {sink}"))).unwrap();
    let SinkKind::Kafka(kafka) = pipeline.sinks[0].kind.clone() else { panic!("not a Kafka sink") };
    kafka
}

#[track_caller]
fn refused(source: &str, sink: &str, what: &str) {
    let error = loaded(&text(source, sink)).unwrap_err().to_string();
    assert!(error.contains(what), "{error}");
}

#[test]
fn transactions_are_aligned_with_exactly_once_and_cut_where_they_are_too_long() {
    assert_eq!(kafka("delivery: exactly-once").align, None);
    assert_eq!(kafka("delivery: exactly-once, align: none").align, None);
    assert_eq!(kafka("delivery: exactly-once, align: source-transactions").align, Some(LongTransactions::Cut));
    let stop = kafka("delivery: exactly-once, align: source-transactions, long_transactions: stop");
    assert_eq!(stop.align, Some(LongTransactions::Stop));
    refused(GENERATOR, "type: kafka, brokers: b, align: source-transactions", "there are no transactions in Kafka to align");
    refused(GENERATOR, "type: kafka, brokers: b, delivery: exactly-once, long_transactions: cut", "it has no effect");
}

#[test]
fn transactions_are_told_to_a_topic_of_their_own() {
    let topic = |option: &str| kafka(&format!("format: {{ type: debezium, transaction_metadata: {option} }}")).transaction_topic;
    assert_eq!(kafka("format: debezium").transaction_topic, None);
    assert_eq!(topic("{}").as_deref(), Some("shop.transaction"));
    assert_eq!(topic("{ topic: told }").as_deref(), Some("told"));
    let told = |format: &str, rest: &str| format!("brokers: b, format: {{ type: {format}, transaction_metadata: {{ topic: a.b }} }}{rest}");
    for (sink, what) in [
        (format!("type: kafka, {}", told("flat", "")), "the format `flat` has no such option"),
        (format!("type: kafka, {}", told("debezium", ", schema_changes: a_b")), "it has the same topic as `schema_changes`"),
        (format!("type: kafka, {}", told("debezium", ", heartbeats: { topic: a.b }")), "it has the same topic as `heartbeats`"),
        (format!("type: kafka, {}", told("debezium", ", on_error: skip")), "`on_error` passes over"),
        ("type: stdout, format: { type: debezium, transaction_metadata: {} }".to_owned(), "which only Kafka has"),
        ("type: kafka, brokers: b, format: { type: debezium, transaction_metadata: { topic: 'a b' } }".to_owned(), "no such topic name"),
    ] {
        refused(GENERATOR, &sink, what);
    }
    assert!(
        kafka("on_error: skip, delivery: exactly-once, format: { type: debezium, transaction_metadata: {} }").transaction_topic.is_some()
    );
}

#[test]
fn a_source_that_has_no_transactions_over_tables_is_refused() {
    let source = "type: sqlserver, host: h, user: u, password: p, database: d";
    let sink =
        "type: kafka, brokers: b, delivery: exactly-once, align: source-transactions, format: { type: debezium, transaction_metadata: {} }";
    for option in ["sinks[0].align", "sinks[0].format.transaction_metadata"] {
        refused(source, sink, &format!("{option}: change tracking gives the changes of one table after those of another"));
    }
}

#[test]
fn a_format_whose_ids_are_positions_is_refused_where_changes_share_a_position() {
    let source = "type: sqlserver, host: h, user: u, password: p, database: d";
    for format in ["cloudevents", "dts"] {
        refused(source, &format!("type: stdout, format: {format}"), &format!("sinks[0].format: the ids of the format `{format}`"));
    }
}
