//! Records that a source cannot read.

use std::fmt;

use sluicegate_model::{Error, Result, change::RawRecord};

/// Where a source sets aside what it cannot read. Whatever is there is durable before any checkpoint moves past an item that the source
/// sends afterwards.
pub trait SetAside: fmt::Debug + Send + Sync {
    /// Sets a record aside, and why.
    ///
    /// # Errors
    /// It cannot be kept: the source has to stop, or the record would be lost.
    fn set_aside(&self, record: &RawRecord<'_>, error: &Error) -> Result<()>;
}
