//! What every part of Sluicegate shares: the model of changes, the one error type, every bound of the program, the clock.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

pub mod change;
mod clock;
mod error;
pub mod limits;

pub use clock::now_us;
pub use error::{Error, ErrorKind, Result};
