//! Sluicegate reads a database's change stream, passes every changed row through WebAssembly components that can be
//! swapped while the stream runs, and delivers to Kafka or files.
//!
//! This crate is the program: its command line, and what it shows of a running pipeline. The parts that the data runs through
//! are crates of their own, in `host/crates`; [`sluicegate_pipeline`] wires them together.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

pub mod cli;
pub mod service;
