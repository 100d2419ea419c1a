//! Runs statements: names are looked up, types are found, rows are made.

mod aggregate;
mod batch;
mod catalog;
mod catalog_views;
mod change_table;
mod compile;
mod condition;
mod define;
mod define_database;
mod evaluate;
mod function;
mod function_metadata;
mod hierarchy;
mod query;
mod scan;
mod scope;
mod session;
mod source;
mod write;

pub use batch::declared;
pub use scope::OutColumn;
pub use session::{Answer, Parameter, Session, TransactionChange};

/// The rows of a query, with what is known of their columns.
#[derive(Clone, Debug)]
pub struct ResultSet {
    /// The columns.
    pub columns: Vec<OutColumn>,
    /// The rows.
    pub rows: Vec<crate::engine::Row>,
}
