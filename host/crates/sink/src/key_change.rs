//! Updates that give a row another key, in sinks whose records have no keys beside them: where a record does not name the row before it,
//! nobody could tell which row is gone. They are a delete and an insert there, as they are in Kafka.

use sluicegate_format::Encoder;
use sluicegate_model::change::{Batch, Change, NO_IMAGE, Operation};

/// The changes of one table that stand before the first one that has to be told as two; none, if that is the first.
pub fn before<'c>(encoder: &Encoder, batch: &Batch, changes: &'c [Change]) -> &'c [Change] {
    if encoder.names_row_before() {
        return changes;
    }
    let is_two = |change: &Change| {
        change.operation == Operation::Update && batch.tables.get(change.table as usize).is_some_and(|rows| rows.changes_key(change))
    };
    let count = changes.iter().position(is_two).unwrap_or(changes.len());
    &changes[..count]
}

/// The delete and the insert that such an update is.
pub fn parts(change: &Change) -> [Change; 2] {
    let gone = Change { operation: Operation::Delete, after: NO_IMAGE, ..*change };
    let came = Change { operation: Operation::Insert, before: NO_IMAGE, ..*change };
    [gone, came]
}
