//! Table names as text, and patterns for them: the same in the pipeline file and in the configurations of plugins.
//!
//! A name is written `database.table`, with a schema `database.schema.table`. A part that holds a dot stands between
//! backticks, in which every character stands for itself; a doubled backtick is one backtick: `` shop.`eu.orders` ``.
//!
//! In a pattern `*` stands for any run of characters, also for none, and `?` for one character. A pattern is matched part by
//! part, and case counts. Inside a part a dot is a character like any other: `shop.*` selects the table `eu.orders` of the
//! database `shop`, and no table of the database `shop.eu`.
//!
//! - `*` alone selects every table.
//! - `database.table` says nothing of the schema: it selects the table in every schema of the database.
//! - A pattern with more dots than the name has parts may be read in several ways, and selects what any of them does:
//!   `shop.eu.t` stands for the table `t` of the schema `eu`, and where there are no schemas for the table `eu.t` of `shop` and
//!   for the table `t` of `shop.eu`. Backticks tell the two apart.

// it runs in guests, too: faults are answers (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod name;
mod pattern;
mod piece;
mod selection;

pub use name::{Name, name_parts};
pub use pattern::TablePattern;
pub use piece::{Fault, HOW_TO_WRITE};
pub use selection::TablePatterns;
