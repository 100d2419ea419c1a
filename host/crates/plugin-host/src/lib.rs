//! The plugin host: compiles components, runs them in bounded instances, asks them for plans, hands them columns, checks
//! their answers, and swaps them while the stream runs.
//!
//! The boundary is columnar. A plugin is asked for a plan once for each table, and `apply` is called with whole columns,
//! only those that the plan reads. See `wit/plugin.wit`.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod bindings;
mod chain;
mod compilation;
mod composition;
mod config_schema;
mod context;
mod effect;
mod embedded;
mod engine;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod grants;
mod guest;
mod inspect;
mod instance;
mod interface;
mod known;
mod outcome;
mod passage;
mod plan;
mod recovery;
mod stage;
mod surroundings;
mod treatment;
mod verdict;
mod wasi;

pub use chain::Chain;
pub use effect::{Effect, StepEffect};
pub use embedded::{NO_OP, embedded};
pub use engine::{Compiled, Engine, sha256};
pub use inspect::{Inspection, inspect, read};
pub use instance::{Description, REFUSES_CONFIG};
pub use known::KnownTables;
pub use stage::Member;
pub use surroundings::Surroundings;
pub use treatment::{Renames, Treatment, Treatments};
