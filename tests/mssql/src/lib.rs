//! A stand-in for Microsoft SQL Server with Change Tracking, for tests.
//!
//! **It is not SQL Server, nor made of it.** No SQL Server runs where these tests run, so this crate answers as real servers were seen to
//! answer: it is written from a list of facts, most of them probed or asserted by others against real servers, some only documented. A test
//! that is named after a fact (`g64_…`) says which one it holds. Where no fact settles what a server does, the simulator refuses
//! (`simulator: unsettled`), and so it does with SQL that it does not know (`simulator: statement not supported`): it never lets something
//! pass that it did not do.
//!
//! It speaks TDS 7.4 to the drivers that real programs use, keeps real tables with keys, types and constraints, runs transactions, and
//! records changes as Change Tracking does. [`Simulator`] starts one inside the test's process, and makes it misbehave: see [`Fault`] and the
//! methods of the handle.
//!
//! What it knowingly lacks: locks of rows that were only read (READ COMMITTED reads what was committed when the statement began, as with
//! READ_COMMITTED_SNAPSHOT, and READ UNCOMMITTED reads nothing else), plans, statistics, procedures, triggers, foreign keys, views, MERGE, and cleanup by the clock (a test cleans
//! when it wants to). Text is ordered by base letters, accents and case, which is near to Windows' order, not equal to it.

pub mod control;
pub mod engine;
pub mod error;
pub mod execute;
pub mod sql;
pub mod value;
mod wire;

pub use control::{Builder, Copy, Simulator, fault::Fault};
pub use error::{Ends, SqlError};
pub use execute::ResultSet;
pub use value::Datum;
