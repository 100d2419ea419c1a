//! How records stand in a file.

use std::io;

/// The form of a file, around and between its records.
pub trait FileFormat: Send {
    /// Appends what a file begins with.
    fn begin(&self, _out: &mut Vec<u8>) {}

    /// Ends a record, which has just been appended.
    fn end_record(&self, out: &mut Vec<u8>);

    /// Appends what a file ends with.
    fn end(&self, _out: &mut Vec<u8>) {}

    /// Where a file may end for a reader.
    fn durable(&self) -> Durable;
}

/// Where a file may end, so that a reader gets what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// Behind any record: a commit syncs the file, and writing goes on in it.
    AtAnyRecord,
    /// Where the file ends only: a commit ends it.
    AtEnd,
}

/// A record a line, as CSV ends it: with CR LF.
#[derive(Clone, Copy, Debug, Default)]
pub struct CsvLines;

impl FileFormat for CsvLines {
    fn end_record(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
    }

    fn durable(&self) -> Durable {
        Durable::AtAnyRecord
    }
}

/// A record a line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines;

impl FileFormat for Lines {
    fn end_record(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
    }

    fn durable(&self) -> Durable {
        Durable::AtAnyRecord
    }
}

/// Why a file that can be read as a whole only cannot be written.
#[derive(Debug)]
pub enum FileFault {
    /// What the file says.
    Io(io::Error),
    /// What a library says.
    Library(Box<dyn std::error::Error + Send + Sync>),
}

impl From<io::Error> for FileFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
