//! The encoder of a table that a format with schemas cannot write.

use super::encoder::{Records, TableEncoder};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, TableRows, Truncate},
};

/// The encoder of a table that the format cannot write.
pub(super) struct Refused(Option<Error>);

impl Refused {
    pub(super) fn new(error: Option<Error>) -> Self {
        Self(error)
    }

    /// The error, and after the first time that there was one.
    fn error(&mut self) -> Error {
        self.0
            .take()
            .unwrap_or_else(|| Error::new(ErrorKind::Sink, "a table was refused that the format cannot write; see the error before"))
    }
}

impl TableEncoder for Refused {
    fn encode(&mut self, _batch: &Batch, _changes: &[Change], _out: &mut dyn Records) -> Result<()> {
        Err(self.error())
    }

    fn truncate(&mut self, _truncate: &Truncate, _out: &mut dyn Records) -> Result<()> {
        Err(self.error())
    }

    fn key(&mut self, _rows: &TableRows, _row: u32, _out: &mut Vec<u8>) -> Result<bool> {
        Err(self.error())
    }

    fn row_key(&mut self, _rows: &TableRows, _row: u32, _out: &mut Vec<u8>) -> Result<()> {
        Err(self.error())
    }

    fn headers(&mut self, _rows: &TableRows, _row: u32, _each: &mut dyn FnMut(&str, &[u8])) -> Result<()> {
        Err(self.error())
    }
}
