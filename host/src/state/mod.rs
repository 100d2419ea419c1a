//! The checkpoint: an SQLite file with, for each sink, what is durable in it.

mod checkpoint;
pub(crate) mod folder;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod lock;
mod migration;

pub use checkpoint::Checkpoint;
pub(crate) use lock::{Lock, LockFault};

use crate::change::Frontier;

/// What a sink has to remember to go on after a restart (a file's name and durable length, say): JSON text that only the
/// sink interprets, kept in the checkpoint beside the frontier that it belongs to.
pub type SinkState = String;

/// What is durable in a sink.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Up to where: the source goes on there for this sink.
    pub frontier: Frontier,
    /// The sink's own state at that point.
    pub state: SinkState,
}
