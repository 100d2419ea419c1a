//! The copy of tables and the stream of their changes as one history.
//!
//! A table is copied in chunks, in the order of its key, while the stream goes on. For each chunk:
//!
//! 1. the stream records the keys of what it delivers of the table from now on ([`recording`]);
//! 2. a view is opened in which everything is that was delivered before ([`chunk`]). The log's end is not that: servers send a
//!    transaction before a query can see it;
//! 3. the log's end behind that view is noted, and the rows are read;
//! 4. when the stream has passed that place, between two transactions ([`merge`]), rows whose key was recorded are left out, and the
//!    others are delivered.
//!
//! So no row is delivered older than what was delivered before, and nothing is lost: a row that is left out was delivered by the
//! stream, whole, as it was in the view or later. A chunk is read again when the connection or the server of either side changes,
//! when the table is altered or emptied, or when too many keys were recorded. Nothing is locked or written.

mod beginning;
mod chunk;
mod command;
mod filling;
mod hold;
mod key;
mod lanes;
mod merge;
pub mod place;
mod reader;
mod readers;
mod recording;
mod table;
mod throttle;
mod values;
mod whole;

pub(crate) use beginning::{can_copy, check, tables};
pub(crate) use key::quoted;
pub use lanes::Lanes;
pub use merge::{Copying, asked};
