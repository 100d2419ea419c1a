//! The files of one table in one folder.

use std::sync::Arc;

use super::{
    contents::{Contents, Open, unwritten},
    parts::{Part, Parts},
};
use sluicegate_config::FileSink as Settings;
use sluicegate_model::{Result, change::Table};

/// A table's rows on their way into files.
pub(super) struct Stream {
    /// In the sink's folder.
    folder: String,
    /// What is in memory of the current version.
    pub contents: Contents,
    /// This version of the table as it came last: one may come under several addresses.
    seen: Arc<Table>,
    file: Option<(Open, Part)>,
    /// When it was last written to, in writes of the sink.
    pub used: u64,
}

impl Stream {
    pub fn new(folder: &str, table: &Arc<Table>, contents: Contents) -> Self {
        Self { folder: folder.to_owned(), contents, seen: table.clone(), file: None, used: 0 }
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
    pub fn follow(&mut self, table: &Arc<Table>, contents: Contents) {
        self.contents = contents;
        self.seen = table.clone();
    }

    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    pub fn file_bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, |(file, _)| file.bytes())
    }

    /// Writes the rows in memory as a row group or a block.
    pub fn write_out(&mut self, parts: &mut Parts, settings: &Settings) -> Result<()> {
        if self.contents.is_empty() {
            return Ok(());
        }
        let (file, part) = match &mut self.file {
            Some(open) => open,
            None => {
                let (file, part) = parts.make(&self.folder)?;
                let file = self.contents.begin(file, settings.zstd).map_err(|fault| unwritten(&parts.path(&part), fault))?;
                self.file.insert((file, part))
            }
        };
        self.contents.write(file).map_err(|fault| unwritten(&parts.path(part), fault))
    }

    /// Ends the file, if there is anything for it.
    pub fn end(&mut self, parts: &mut Parts, settings: &Settings) -> Result<()> {
        self.write_out(parts, settings)?;
        match self.file.take() {
            Some((file, part)) => parts.end(&file.end().map_err(|fault| unwritten(&parts.path(&part), fault))?, part),
            None => Ok(()),
        }
    }
}
