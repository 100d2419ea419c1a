//! The state: databases with tables, keys, versions and histories, and the transactions over them.
//!
//! All that is committed is one value, [`World`], of persistent maps: a reader keeps the one that it began with, and a writer makes the
//! next. Rows are guarded by locks of their keys until their transaction ends. Readers do not wait for writers: at READ COMMITTED each
//! statement reads what was committed when it began, as with READ_COMMITTED_SNAPSHOT.

pub mod database;
pub mod lock;
pub mod server;
pub mod table;
pub mod tracking;
pub mod transaction;

pub use database::{Database, World};
pub use server::Server;
pub use table::{Column, Definition, Key, Row, Table};
pub use tracking::Tracking;
pub use transaction::Transaction;
