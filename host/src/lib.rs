//! Sluicegate reads a database's change stream, passes every changed row through WebAssembly components that can be
//! swapped while the stream runs, and delivers to Kafka or files.
//!
//! Data runs one way: [`source`] → [`plugin`] → [`mod@format`] → [`sink`], and the position goes back to the checkpoint in
//! [`state`]. [`pipeline`] wires them together. They share one small model, [`change`].

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

pub mod authoring;
pub mod change;
pub mod cli;
pub mod config;
mod error;
mod file;
pub mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod limits;
pub mod pipeline;
pub mod plugin;
pub mod service;
pub mod sink;
pub mod source;
pub mod state;

pub use error::{Error, ErrorKind, Result};
