//! What a running pipeline shows of itself: health, metrics, the live line.

pub mod admin;
pub mod http;
pub mod live;
mod metrics;
mod readiness;
pub mod status;

pub use readiness::{Readiness, State};
pub use status::Status;
