//! Kafka, as a sink and as a source, against a real broker.

mod with_kafka;
