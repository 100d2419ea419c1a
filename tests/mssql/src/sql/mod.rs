//! The T-SQL that the simulator knows. Anything else is an error.

pub mod ast;
mod ddl;
mod expression;
mod lexer;
mod parser;
mod query;
mod setting;

pub use parser::parse;
