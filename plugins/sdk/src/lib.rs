//! SDK for Sluicegate plugins in Rust
