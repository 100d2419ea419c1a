//! What JSON makes of rows of all types.

use super::*;
use crate::temporal::{self, Read, Unit};
use sluicegate_config::ValueModes;

/// Microseconds since 1970 of an instant's text.
pub(super) fn micros(text: &str) -> i64 {
    let Read::Value((days, nanos)) = temporal::datetime(text.as_bytes()) else { panic!("{text}") };
    temporal::since_epoch(days, nanos, Unit::Micros).unwrap()
}

/// The record as JSON has it with the same modes; what Avro writes otherwise is made the same.
pub(super) fn json_of(batch: &Batch, record: RecordFormat, values: ValueModes) -> Vec<Value> {
    let mut encoder = encoder(Settings { values, ..record.into() });
    let parse = |change: &Change| {
        let mut out = Vec::new();
        encoder.value(batch, change, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    };
    batch.changes.iter().map(parse).collect()
}
