//! The checkpoint: an SQLite file with, for each sink, what is durable in it.

mod checkpoint;
pub(crate) mod folder;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod lock;

pub use checkpoint::Checkpoint;
pub(crate) use lock::{Lock, LockFault};

use crate::change::Position;

/// What a sink has to remember to go on after a restart (a file's name and durable length, say): JSON text that only the
/// sink interprets, kept in the checkpoint beside the position that it belongs to.
pub type SinkState = String;

/// Up to where a sink is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Number of the first change that is not yet durable.
    pub sequence: u64,
    /// Where the source resumes for it.
    pub position: Position,
    /// The sink's own state at that point.
    pub state: SinkState,
}
