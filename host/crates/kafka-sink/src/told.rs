//! Records that are no change of a row: that a table was emptied, that a schema changed. Each is acknowledged after everything before it
//! and before everything after it, so that no reader of another topic or partition is past it; with `exactly-once` it stands in a
//! transaction by itself, because the pipeline commits before and behind it.

use std::sync::Arc;

use rdkafka::producer::{BaseRecord, Producer as _};

use super::{
    KafkaSink,
    client::{Failure, Reports, TOLD, is_record},
    positions::PARTITION,
};
use sluicegate_model::{Error, ErrorKind, Result, change::SchemaChange};

/// Such a record, for the first partition of its topic.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub topic: Arc<str>,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
}

impl KafkaSink {
    /// Tells it.
    pub(super) fn tell(&mut self, told: Told) -> Result<()> {
        if self.transaction.is_some() {
            return self.tell_in_transaction(told);
        }
        self.settle()?;
        self.send_told(&told)?;
        let settled = self.wait_for_all();
        let reports: &Reports = self.client.context();
        match reports.failure().take() {
            Some(failure) if is_record(failure.code) => Err(refused(&failure)),
            _ => settled,
        }
    }

    pub(super) fn send_told(&self, told: &Told) -> Result<()> {
        let mut out: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(&told.topic, TOLD);
        (out.key, out.payload, out.partition) = (told.key.as_deref(), Some(told.value.as_slice()), Some(PARTITION));
        self.give(out, &told.topic)
    }

    /// Tells that a schema changed, if the sink is to tell it.
    pub(super) fn tell_schema_change(&mut self, change: &SchemaChange) -> Result<()> {
        let Some(topic) = self.topics.of_schemas()? else { return Ok(()) };
        let (mut key, mut value) = (Vec::new(), Vec::new());
        if !self.encoder.schema_change(change, &mut key, &mut value) {
            return Ok(());
        }
        self.tell(Told { topic, key: Some(key), value })
    }
}

/// The error when the brokers do not take such a record. It is no change that could be set aside.
pub(super) fn refused(failure: &Failure) -> Error {
    let what =
        format!("the brokers refused the record that says that a table was emptied or a schema changed, for topic `{}`", failure.topic);
    Error::new(ErrorKind::Sink, what).caused_by(failure.code).remedy(
        "let the topic take records without a key (`cleanup.policy=delete`) and of this size (`max.message.bytes`), or let a plugin leave `truncate` \
         out of its operations; then start again: nothing is lost",
    )
}
