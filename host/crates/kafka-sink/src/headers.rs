//! Headers that tell of a change: what happened, where it stands in the source's log, and when.

use std::fmt::Write as _;

use rdkafka::message::OwnedHeaders;

use super::record::insert;
use sluicegate_config::RecordHeaders;
use sluicegate_model::change::{Event, Lane, Transaction, write_timestamp};

/// What happened to the row: `insert`, `update`, `delete`, `snapshot`; of a table that was emptied `truncate`.
const OPERATION: &str = "sluicegate.operation";
/// The lane that the change stands in.
const LANE: &str = "sluicegate.lane";
/// Its place in the log: `FILE:POSITION:ROW`.
const POSITION: &str = "sluicegate.position";
/// Its transaction, where the source has names for these.
const TRANSACTION: &str = "sluicegate.transaction";
/// When the source executed it.
const SOURCE_TIME: &str = "sluicegate.source_time";
/// In front of a label's name.
const LABEL: &str = "sluicegate.label.";

/// The headers of a sink.
pub(super) struct ChangeHeaders {
    wanted: RecordHeaders,
    labels: Vec<(String, String)>,
    text: String,
    bytes: Vec<u8>,
}

/// A change, as headers tell of it.
pub(super) struct Told<'a> {
    pub operation: &'static str,
    pub lane: &'a Lane,
    pub event: &'a Event,
    pub transaction: &'a Transaction,
    pub row: u32,
}

impl ChangeHeaders {
    /// `None`: there are none.
    pub(super) fn new(wanted: &RecordHeaders) -> Option<Self> {
        if *wanted == RecordHeaders::default() {
            return None;
        }
        let labels = wanted.labels.iter().map(|(name, value)| (format!("{LABEL}{name}"), value.clone())).collect();
        Some(Self { wanted: wanted.clone(), labels, text: String::new(), bytes: Vec::new() })
    }

    /// Adds those that are wanted.
    pub(super) fn add(&mut self, told: &Told<'_>, mut headers: Option<OwnedHeaders>) -> Option<OwnedHeaders> {
        if self.wanted.operation {
            headers = Some(insert(headers, OPERATION, told.operation.as_bytes()));
        }
        if self.wanted.position {
            headers = Some(insert(headers, LANE, told.lane.name().as_bytes()));
            self.text.clear();
            let file = if told.transaction.file.is_empty() { "" } else { ":" };
            // a String takes everything
            let _ = write!(self.text, "{}{file}{}:{}", told.transaction.file, told.event.position, told.row);
            headers = Some(insert(headers, POSITION, self.text.as_bytes()));
            if let Some(id) = &told.transaction.id {
                headers = Some(insert(headers, TRANSACTION, id.as_bytes()));
            }
        }
        if self.wanted.source_time {
            self.bytes.clear();
            write_timestamp(told.event.time_us, &mut self.bytes);
            headers = Some(insert(headers, SOURCE_TIME, &self.bytes));
        }
        for (name, value) in &self.labels {
            headers = Some(insert(headers, name, value.as_bytes()));
        }
        headers
    }
}
