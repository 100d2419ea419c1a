//! Inputs for the unit tests of the host's crates.

pub mod fuzz;
pub mod orders;
pub mod rows;
