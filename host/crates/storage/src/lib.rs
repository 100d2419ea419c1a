//! The file system: folders whose entries outlive a crash, locks that keep a second process off, and files that others change while the program runs.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

pub mod file;
pub mod folder;
mod lock;
pub mod watch;

pub use lock::{Lock, LockFault, lock_holder};
