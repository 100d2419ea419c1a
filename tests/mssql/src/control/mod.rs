//! The handle by which tests start the simulator, look into it, and make it misbehave.

pub mod fault;
mod simulator;

pub use simulator::{Builder, Copy, Simulator};
