//! What has to be in the file system after a crash: folders whose entries are synced, and locks that keep a second process off.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

pub mod folder;
mod lock;

pub use lock::{Lock, LockFault};
