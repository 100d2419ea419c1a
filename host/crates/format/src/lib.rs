//! Record formats: how a change becomes bytes.
//!
//! A [`Format`] makes a [`TableEncoder`] for each table version; a [`FileFormat`] says how records stand in a file. The program's own
//! formats are JSON: [`json`] and [`form`] say how values are written, a [`record::Record`] (`debezium`, `flat`, `maxwell`, …) what stands
//! around them. [`avro`] has schemas of its own, and [`parquet`] no records one by one. `docs/formats.md` tells users the same with examples.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod avro;
mod canal;
mod cloud_events;
mod connect;
mod csv;
mod debezium;
mod decimal;
mod dts;
mod encoder;
mod file_format;
mod flat;
mod flattened;
mod form;
mod format_options;
mod geometry;
mod head;
mod headers;
mod heartbeat;
mod json;
mod json_format;
mod json_schema;
mod key;
mod maxwell;
mod parquet;
mod partition_key;
mod record;
mod refused;
mod registration;
mod row;
mod schema_change;
mod temporal;
#[cfg(test)]
mod tests;
mod transaction;

pub use avro::{AvroFile, AvroFormat};
pub use csv::CsvFormat;
pub use encoder::{Encoder, Format, Records, TableEncoder};
pub use file_format::{CsvLines, Durable, FileFault, FileFormat, Lines};
pub use flat::{FlatMember, flat_member};
pub use json_format::JsonFormat;
pub use json_schema::JsonSchemaFormat;
pub use parquet::{ParquetFile, ParquetFormat, ParquetRows, ParquetTable};
pub use partition_key::PartitionKey;
pub use registration::SchemaIds;
pub use transaction::{InTransaction, TransactionBorder};

use sluicegate_model::change::Operation;

/// The operation that a letter of Debezium's and our own formats stands for.
pub fn operation(letter: &str) -> Option<Operation> {
    [Operation::Snapshot, Operation::Insert, Operation::Update, Operation::Delete]
        .into_iter()
        .find(|operation| letter.as_bytes() == [code(*operation)])
}

/// The operation as Debezium and our own formats write it.
fn code(operation: Operation) -> u8 {
    match operation {
        Operation::Snapshot => b'r',
        Operation::Insert => b'c',
        Operation::Update => b'u',
        Operation::Delete => b'd',
    }
}
