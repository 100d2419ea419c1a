//! The checkpoint: an SQLite file with, for each sink, what is durable in it.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod checkpoint;
#[cfg(any(test, fuzzing))]
pub mod fuzz;

pub use checkpoint::Checkpoint;

use sluicegate_model::change::Position;

/// Up to where a sink is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Number of the first change that is not yet durable.
    pub sequence: u64,
    /// Where the source resumes for it.
    pub position: Position,
    /// The sink's own state at that point: JSON text that only the sink interprets.
    pub state: String,
}
