//! Parquet for files: columns of one table version, with the fields of the flat form in front.
//!
//! Rows are gathered in [`ParquetRows`], which are bounded, and written as row groups of a [`ParquetFile`]. A file can be read once it has
//! been ended.

mod column;
mod plan;
mod rows;

use std::{
    io::{self, Write},
    sync::Arc,
};

use parquet::{
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
};

pub use plan::ParquetTable;
pub use rows::ParquetRows;

use super::{
    encoder::{Format, TableEncoder},
    file_format::FileFault,
    refused::Refused,
};
use sluicegate_model::{Result, change::Table};

/// A file of Parquet.
pub struct ParquetFile<W: Write + Send> {
    writer: SerializedFileWriter<W>,
}

fn fault(error: ParquetError) -> FileFault {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => FileFault::Io(*error),
            Err(cause) => FileFault::Library(cause),
        },
        other => FileFault::Library(other.into()),
    }
}

impl<W: Write + Send> ParquetFile<W> {
    /// Begins a file. `zstd`: the level of its compression, in place of Snappy's.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(file: W, table: &ParquetTable, zstd: Option<i32>) -> Result<Self, FileFault> {
        let compression = match zstd {
            None => Compression::SNAPPY,
            Some(level) => Compression::ZSTD(ZstdLevel::try_new(level).map_err(fault)?),
        };
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_created_by(concat!("sluicegate version ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = SerializedFileWriter::new(file, table.schema.clone(), Arc::new(properties)).map_err(fault)?;
        Ok(Self { writer })
    }

    /// Writes rows as a row group; there are none in them afterwards.
    ///
    /// # Errors
    /// As of [`Self::begin`].
    pub fn write(&mut self, table: &ParquetTable, rows: &mut ParquetRows) -> Result<(), FileFault> {
        let mut group = self.writer.next_row_group().map_err(fault)?;
        rows.write(table, &mut group).and_then(|()| group.close().map(drop)).map_err(fault)
    }

    /// Bytes that the file has so far.
    pub fn bytes(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    /// Ends the file.
    ///
    /// # Errors
    /// As of [`Self::begin`].
    pub fn end(self) -> Result<W, FileFault> {
        self.writer.into_inner().map_err(fault)
    }
}

/// What a sink of Parquet files asks of a format; its records are no bytes one by one.
pub struct ParquetFormat;

impl Format for ParquetFormat {
    fn names_row_before(&self) -> bool {
        false
    }

    fn table(&self, table: &Arc<Table>) -> Box<dyn TableEncoder> {
        Box::new(Refused::new(self.check(table).err()))
    }

    fn check(&self, table: &Table) -> Result<()> {
        plan::check(table)
    }
}
