//! What every part of Sluicegate shares: the model of changes, the one error type, every bound of the program, the clock; and what
//! several parts need one copy of.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

pub mod budget;
pub mod change;
mod clock;
mod error;
pub mod finding;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod json;
pub mod limits;
pub mod splitmix;

pub use clock::now_us;
pub use error::{Error, ErrorKind, Result};
