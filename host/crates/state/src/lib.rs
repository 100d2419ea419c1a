//! The checkpoint: an SQLite file with, for each sink, what is durable in it, and the versions of tables that the source needs to
//! read on from there.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod captured;
mod checkpoint;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod held;
mod left;
mod migration;
mod outside;
mod paused;
mod schemas;
mod treatment;
mod unlocked;

pub use checkpoint::Checkpoint;
pub use schemas::{SchemaChange, SchemaVersion};
pub use treatment::StoredTreatment;

use sluicegate_model::change::Frontier;

/// What is durable in a sink.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Up to where: the source goes on there for this sink.
    pub frontier: Frontier,
    /// The sink's own state at that point: JSON text that only the sink interprets.
    pub state: String,
}
