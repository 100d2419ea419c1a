//! What a running pipeline shows of itself: health, metrics, the live line.

pub mod admin;
mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod http;
pub mod live;
mod metrics;
mod outputs;
mod readiness;
mod tables;

pub use readiness::{Readiness, State};
