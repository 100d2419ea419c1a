//! The files of one table in one folder.

use std::{fs::File, path::Path, sync::Arc};

use super::{
    super::fault,
    parts::{Part, Parts},
};
use sluicegate_config::FileSink as Settings;
use sluicegate_format::{ParquetFault, ParquetFile, ParquetRows, ParquetTable};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, Table, Truncate},
};

/// A table's rows on their way into files.
pub(super) struct Stream {
    /// In the sink's folder.
    folder: String,
    table: ParquetTable,
    /// The same version of the table as it came last: one may come under several addresses.
    seen: Arc<Table>,
    rows: ParquetRows,
    file: Option<(ParquetFile<File>, Part)>,
    /// When it was last written to, in writes of the sink.
    pub used: u64,
}

impl Stream {
    pub fn new(folder: &str, table: &Arc<Table>, versions: bool) -> Result<Self> {
        let seen = table.clone();
        let table = ParquetTable::new(table, versions)?;
        let rows = ParquetRows::new(&table);
        Ok(Self { folder: folder.to_owned(), table, seen, rows, file: None, used: 0 })
    }

    /// Whether its files have the columns of this version. Columns are compared once for each address.
    #[inline]
    pub fn is_of(&mut self, table: &Arc<Table>) -> bool {
        if Arc::ptr_eq(&self.seen, table) {
            return true;
        }
        let same = self.seen == *table;
        if same {
            self.seen = table.clone();
        }
        same
    }

    /// Goes on with another version; there are no rows and no file of the one before.
    pub fn follow(&mut self, table: &Arc<Table>, versions: bool) -> Result<()> {
        self.table = ParquetTable::new(table, versions)?;
        self.seen = table.clone();
        self.rows = ParquetRows::new(&self.table);
        Ok(())
    }

    pub fn push(&mut self, batch: &Batch, change: &Change) -> Result<()> {
        self.rows.push(&self.table, batch, change)
    }

    /// Whether the row of a change can be written.
    pub fn fits(&mut self, batch: &Batch, change: &Change) -> Result<()> {
        self.rows.fits(&self.table, batch, change)
    }

    pub fn push_truncate(&mut self, truncate: &Truncate) {
        self.rows.push_truncate(truncate);
    }

    /// Bytes of rows in memory.
    pub fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    pub fn is_full(&self) -> bool {
        self.rows.is_full()
    }

    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    pub fn file_bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, |(file, _)| file.bytes())
    }

    /// Writes the rows in memory as a row group.
    pub fn write_out(&mut self, parts: &mut Parts, settings: &Settings) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let (file, part) = match &mut self.file {
            Some(open) => open,
            None => {
                let (file, part) = parts.make(&self.folder)?;
                let file = ParquetFile::begin(file, &self.table, settings.zstd).map_err(|e| unwritten(&parts.path(&part), e))?;
                self.file.insert((file, part))
            }
        };
        file.write(&self.table, &mut self.rows).map_err(|e| unwritten(&parts.path(part), e))
    }

    /// Ends the file, if there is anything for it.
    pub fn end(&mut self, parts: &mut Parts, settings: &Settings) -> Result<()> {
        self.write_out(parts, settings)?;
        match self.file.take() {
            Some((file, part)) => parts.end(&file.end().map_err(|e| unwritten(&parts.path(&part), e))?, part),
            None => Ok(()),
        }
    }
}

/// The error of a file that cannot be written. What the file system says decides the remedy.
fn unwritten(path: &Path, error: ParquetFault) -> Error {
    const WHAT: &str = "the file cannot be written";
    match error {
        ParquetFault::Io(error) => fault(path, WHAT, error),
        ParquetFault::Library(error) => Error::new(ErrorKind::Internal, format!("{}: {WHAT}", path.display()))
            .caused_by(error)
            .remedy("this is a fault of this program: please report it with the log"),
    }
}
