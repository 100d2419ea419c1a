//! The Kafka sink against a real broker.

mod with_kafka;
