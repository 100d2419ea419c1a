//! What the files of one table version hold: rows in memory, and a file that they are written to.

use std::{fs::File, path::Path, sync::Arc};

use super::super::fault;
use sluicegate_format::{AvroFile, Encoder, FileFault, ParquetFile, ParquetRows, ParquetTable, Records};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, Table, Truncate},
    limits::AVRO_BLOCK_BYTES,
};

/// Rows of one table version on their way into files.
pub(super) enum Contents {
    /// Gathered for a row group.
    Parquet(Box<(ParquetTable, ParquetRows)>),
    /// Records of a block.
    Avro(Block),
}

/// Records of a block, and the schema of all.
pub(super) struct Block {
    schema: Vec<u8>,
    records: Vec<u8>,
    count: u64,
}

impl Records for Block {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.records
    }

    fn end(&mut self, _changes: usize) -> Result<()> {
        self.count += 1;
        Ok(())
    }

    fn pass(&mut self, _changes: usize) -> Result<()> {
        Ok(())
    }
}

impl Block {
    fn encode(&mut self, encoder: &mut Encoder, batch: &Batch, change: &Change) -> Result<()> {
        let (bytes, count) = (self.records.len(), self.count);
        let encoded = encoder.table(batch, change.table).encode(batch, std::slice::from_ref(change), self);
        encoded.inspect_err(|_| self.take_back(bytes, count))
    }

    fn take_back(&mut self, bytes: usize, count: u64) {
        self.records.truncate(bytes);
        self.count = count;
    }
}

impl Contents {
    /// Parquet. `versions`: whether rows tell which plugins made them.
    ///
    /// # Errors
    /// `Sink`: Parquet has no place for something of the table.
    pub fn parquet(table: &Arc<Table>, versions: bool) -> Result<Self> {
        let table = ParquetTable::new(table, versions)?;
        let rows = ParquetRows::new(&table);
        Ok(Self::Parquet(Box::new((table, rows))))
    }

    /// Avro. Without a schema, the encoder of the table refuses every row.
    pub fn avro(schema: Option<&[u8]>) -> Self {
        Self::Avro(Block { schema: schema.unwrap_or_default().to_vec(), records: Vec::new(), count: 0 })
    }

    /// Appends the row of a change.
    ///
    /// # Errors
    /// `Record`: a value cannot be written; nothing is appended.
    pub fn push(&mut self, encoder: &mut Encoder, batch: &Batch, change: &Change) -> Result<()> {
        match self {
            Self::Parquet(parquet) => parquet.1.push(&parquet.0, batch, change),
            Self::Avro(block) => block.encode(encoder, batch, change),
        }
    }

    /// Whether the row of a change can be written. Nothing is appended.
    ///
    /// # Errors
    /// As of [`Self::push`].
    pub fn fits(&mut self, encoder: &mut Encoder, batch: &Batch, change: &Change) -> Result<()> {
        match self {
            Self::Parquet(parquet) => parquet.1.fits(&parquet.0, batch, change),
            Self::Avro(block) => {
                let (bytes, count) = (block.records.len(), block.count);
                block.encode(encoder, batch, change)?;
                block.take_back(bytes, count);
                Ok(())
            }
        }
    }

    /// Appends what says that the table was emptied.
    ///
    /// # Errors
    /// `Sink`: the format has no place for it.
    pub fn push_truncate(&mut self, encoder: &mut Encoder, truncate: &Truncate) -> Result<()> {
        match self {
            Self::Parquet(parquet) => {
                parquet.1.push_truncate(truncate);
                Ok(())
            }
            Self::Avro(block) => encoder.truncate(truncate, block),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Parquet(parquet) => parquet.1.is_empty(),
            Self::Avro(block) => block.count == 0,
        }
    }

    /// Bytes of rows in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Parquet(parquet) => parquet.1.bytes(),
            Self::Avro(block) => block.records.len(),
        }
    }

    /// Whether they are as many as are written at once.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Parquet(parquet) => parquet.1.is_full(),
            Self::Avro(block) => block.records.len() >= AVRO_BLOCK_BYTES,
        }
    }

    /// Begins a file for them. `zstd`: the level of its compression.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(&self, file: File, zstd: Option<i32>) -> Result<Open, FileFault> {
        Ok(match self {
            Self::Parquet(parquet) => Open::Parquet(Box::new(ParquetFile::begin(file, &parquet.0, zstd)?)),
            Self::Avro(block) => {
                let mut marker = [0; 16];
                getrandom::fill(&mut marker).map_err(|error| FileFault::Library(error.into()))?;
                Open::Avro(AvroFile::begin(file, &block.schema, marker, zstd)?)
            }
        })
    }

    /// Writes the rows to a file of theirs; there are none in memory afterwards.
    ///
    /// # Errors
    /// As of [`Self::begin`].
    pub fn write(&mut self, file: &mut Open) -> Result<(), FileFault> {
        match (self, file) {
            (Self::Parquet(parquet), Open::Parquet(file)) => {
                let (table, rows) = &mut **parquet;
                file.write(table, rows)
            }
            (Self::Avro(block), Open::Avro(file)) => {
                file.write(block.count, &block.records)?;
                block.take_back(0, 0);
                Ok(())
            }
            _ => Err(FileFault::Library("rows of one format for a file of another".into())),
        }
    }
}

/// A file that is written.
pub(super) enum Open {
    Parquet(Box<ParquetFile<File>>),
    Avro(AvroFile<File>),
}

impl Open {
    /// Bytes that it has so far.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Parquet(file) => file.bytes(),
            Self::Avro(file) => file.bytes(),
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn end(self) -> Result<File, FileFault> {
        match self {
            Self::Parquet(file) => file.end(),
            Self::Avro(file) => Ok(file.end()),
        }
    }
}

/// The error of a file that cannot be written. What the file system says decides the remedy.
pub(super) fn unwritten(path: &Path, error: FileFault) -> Error {
    const WHAT: &str = "the file cannot be written";
    match error {
        FileFault::Io(error) => fault(path, WHAT, error),
        FileFault::Library(error) => Error::new(ErrorKind::Internal, format!("{}: {WHAT}", path.display()))
            .caused_by(error)
            .remedy("this is a fault of this program: please report it with the log"),
    }
}
