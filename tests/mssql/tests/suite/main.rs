//! The simulator, asked by the real driver. A test that is named after a fact says so by its number.

mod client;
mod clients;
mod faults;
mod histories;
mod masks;
mod net_changes;
mod reader_sql;
mod statements;
mod valid_versions;
mod values;
mod versions;
