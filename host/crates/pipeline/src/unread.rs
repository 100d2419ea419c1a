//! Records that the source cannot read, among the dead letters.

use std::sync::Arc;

use sluicegate_dead_letter::DeadLetters;
use sluicegate_model::{Error, Result, change::RawRecord};
use sluicegate_source::SetAside;

/// The dead letters of a source of this kind.
#[derive(Debug)]
pub(super) struct Unread(pub &'static str, pub Arc<DeadLetters>);

impl SetAside for Unread {
    fn set_aside(&self, record: &RawRecord<'_>, error: &Error) -> Result<()> {
        self.1.record_from_source(self.0, error, record)
    }
}
