//! The SQL Server source: the real program against a server. That is the simulator of `tests/mssql`, which says what it rests on; with
//! `SLUICEGATE_TEST_MSSQL=host:port,user,password` a real one, without what only the simulator can do.
//!
//! Tests are named after what they hold: A and D are what Change Tracking readers have to do, G is how the server was seen to behave.

mod backlog;
mod changes;
mod check;
mod connections;
mod copy;
mod databases;
mod events;
mod limits;
mod places;
mod plugins;
mod polls;
mod random;
mod reading;
mod requirements;
mod server;
mod streamsets;
mod values;
