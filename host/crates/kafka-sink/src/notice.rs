//! Records that are no change of a row: that a table was emptied, that a schema changed, a heartbeat. Each is acknowledged after everything before it
//! and before everything after it, so that no reader of another topic or partition is past it; with `exactly-once` it stands in a
//! transaction by itself, because the pipeline commits before and behind it.

use std::sync::Arc;

use rdkafka::{message::OwnedHeaders, producer::Producer as _};

use super::{
    KafkaSink,
    client::{NOTICE, Reports, is_record},
    positions::PARTITION,
    record::Record,
};
use sluicegate_model::{Error, ErrorKind, Result, change::SchemaChange};

/// Such a record, for the first partition of its topic.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub topic: Arc<str>,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    pub headers: Option<OwnedHeaders>,
}

impl KafkaSink {
    pub(super) fn notify(&mut self, notice: Notice) -> Result<()> {
        if self.transaction.is_some() {
            return self.notify_in_transaction(notice);
        }
        self.settle()?;
        self.send_notice(&notice)?;
        let settled = self.wait_for_all();
        let reports: &Reports = self.client.context();
        match reports.failure().take() {
            Some(failure) if is_record(failure.code) => Err(self.notice_refused(&failure.topic, failure.code)),
            _ => settled,
        }
    }

    pub(super) fn send_notice(&self, notice: &Notice) -> Result<()> {
        let Notice { topic, key, value, headers } = notice;
        let (topic, headers) = (topic.clone(), headers.clone());
        let record = Record { topic: topic.clone(), partition: Some(PARTITION), key: key.as_deref(), value: Some(value), headers };
        self.send(record, NOTICE).map_err(|error| match error.kind() {
            // librdkafka does not even take it
            ErrorKind::Record => self.notice_refused(&topic, error),
            _ => error,
        })
    }

    /// Gives notice of a changed schema, if the sink is to do so.
    pub(super) fn schema_change(&mut self, change: &SchemaChange) -> Result<()> {
        let Some(topic) = self.topics.of_schemas()? else { return Ok(()) };
        let (mut key, mut value) = (Vec::new(), Vec::new());
        if !self.encoder.schema_change(change, &mut key, &mut value) {
            return Ok(());
        }
        self.notify(Notice { topic, key: Some(key), value, headers: None })
    }

    /// The error when the brokers do not take such a record. It is no change that could be set aside.
    pub(super) fn notice_refused(&self, topic: &str, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        let (what, remedy) = if self.heartbeats.as_ref().is_some_and(|heartbeats| heartbeats.is_of(topic)) {
            (
                format!("the brokers refused the record of a heartbeat, for topic `{topic}`"),
                "see the cause, or remove `heartbeats`; then start again: nothing is lost",
            )
        } else if self.metadata.as_ref().is_some_and(|metadata| metadata.is_of(topic)) {
            (
                format!("the brokers refused a record that says where a transaction begins or ends, for topic `{topic}`"),
                "raise `max.message.bytes` of the topic, and `message.max.bytes` in the sink's `options`; then start again: nothing is lost",
            )
        } else if self.topics.is_of_schemas(topic) {
            (
                format!("the brokers refused the record that says that a schema changed, for topic `{topic}`"),
                "raise `max.message.bytes` of the topic, and `message.max.bytes` in the sink's `options`; then start again: nothing is lost",
            )
        } else {
            (
                format!("the brokers refused the record that says that a table was emptied, for topic `{topic}`"),
                "let the topic take records without a key (`cleanup.policy=delete`), or let a plugin leave `truncate` out of its operations; then start again: nothing is lost",
            )
        };
        Error::new(ErrorKind::Sink, what).caused_by(why).remedy(remedy)
    }
}
