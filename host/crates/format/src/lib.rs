//! Record formats: how a change becomes bytes.
//!
//! A [`Format`] makes a [`TableEncoder`] for each table version; a [`FileFormat`] says how records stand in a file. The program's own
//! format is JSON in two forms: [`json`] says how values are written, [`debezium`] and [`flat`] what stands around them. Keys are JSON
//! objects of columns in both. `docs/formats.md` tells users the same with examples.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod debezium;
mod encoder;
mod file_format;
mod flat;
mod head;
mod headers;
mod json;
mod json_format;
#[cfg(test)]
mod tests;

pub use encoder::{Encoder, Format, Records, TableEncoder};
pub use file_format::{Durable, FileFormat, Lines};
pub use json_format::JsonFormat;

use json::{Field, Name};
use sluicegate_model::change::{Operation, Place, Table};

/// The fields of an object of the chosen columns among those that are delivered in the record: the first one brings the
/// object's `{`.
fn object_fields(table: &Table, chosen: impl Fn(usize) -> bool) -> Vec<Field> {
    let columns = (0..table.columns.len()).filter(|column| table.columns[*column].place == Place::Value && chosen(*column));
    columns
        .enumerate()
        .map(|(i, column)| Field { column, name: Name::new(if i == 0 { b'{' } else { b',' }, &table.columns[column].name) })
        .collect()
}

/// The operation as both formats write it.
fn code(operation: Operation) -> u8 {
    match operation {
        Operation::Snapshot => b'r',
        Operation::Insert => b'c',
        Operation::Update => b'u',
        Operation::Delete => b'd',
    }
}
