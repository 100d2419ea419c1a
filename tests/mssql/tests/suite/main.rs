//! The simulator, asked by the real driver. A test that is named after a fact says so by its number.

mod client;
mod histories;
