//! What a running pipeline shows of itself: health, metrics, the live line.

pub mod status;

pub use status::Status;
