//! Sinks: where records go.

use crate::{Result, change::Batch};

/// What a sink has to remember to go on after a restart (a file's name and durable length, say): JSON text that only the
/// sink interprets, kept in the checkpoint beside the position that it belongs to.
pub type SinkState = String;

/// A sink. It runs on a thread of its own and may block. The contract:
///
/// - `write` takes the batch's changes in order; it may keep them in a buffer that is bounded in records and bytes.
/// - `flush` returns only when every change written so far is durable. What it answers is stored, in one transaction with
///   the position after the last batch written; the next `open` of the sink gets the last stored state and makes
///   everything undone that was written after it, if it can (then delivery is exactly-once).
/// - An error is final: the pipeline stops, and the checkpoint stays behind what was not durable.
pub trait Sink: Send {
    /// Takes a batch. An empty batch is never written.
    fn write(&mut self, batch: &Batch) -> Result<()>;

    /// Makes everything written durable.
    fn flush(&mut self) -> Result<SinkState>;
}

/// Stand-in until the sinks land.
pub struct DeadLetters;
impl DeadLetters {
    /// New.
    pub fn new(_folder: &std::path::Path) -> Self {
        Self
    }
    /// Records.
    pub fn record(&self, _stage: &str, _error: &crate::Error, _batch: &Batch, _change: &crate::change::Change) -> Result<()> {
        Ok(())
    }
    /// Syncs.
    pub fn sync(&self) -> Result<()> {
        Ok(())
    }
}
/// Opens.
#[allow(clippy::too_many_arguments, clippy::unimplemented)]
pub fn open(
    _sink: &crate::config::Sink,
    _pipeline: &str,
    _connector: &str,
    _state: Option<&str>,
    _limits: &crate::limits::Limits,
    _dead_letters: std::sync::Arc<DeadLetters>,
    _status: std::sync::Arc<crate::service::Status>,
    _index: usize,
) -> Result<Box<dyn Sink>> {
    unimplemented!()
}
/// Prechecks.
pub fn precheck(_sink: &crate::config::Sink, _limits: &crate::limits::Limits) -> Result<()> {
    Ok(())
}
