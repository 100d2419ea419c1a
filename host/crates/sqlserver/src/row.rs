//! Cells of an answer's row.

use tiberius::{ColumnData, Row};

use super::{fault::Fault, value};
use sluicegate_model::{Error, ErrorKind};

/// An answer that is not what was asked for.
pub(super) fn unexpected() -> Fault {
    Fault::Final(
        Error::new(ErrorKind::Source, "the server gave an answer of another form than was asked for")
            .remedy("Report it with the server's version and the definition of its tables."),
    )
}

/// The cells of a row.
pub(super) struct Cells(pub(super) Vec<ColumnData<'static>>);

impl From<Row> for Cells {
    fn from(row: Row) -> Self {
        Self(row.into_iter().collect())
    }
}

impl Cells {
    fn at(&self, at: usize) -> Result<&ColumnData<'static>, Fault> {
        self.0.get(at).ok_or_else(unexpected)
    }

    /// A number, or NULL.
    pub(super) fn number(&self, at: usize) -> Result<Option<i64>, Fault> {
        let cell = self.at(at)?;
        match value::integer(cell) {
            None if !value::is_null(cell) => Err(unexpected()),
            number => Ok(number),
        }
    }

    /// A number that is there.
    pub(super) fn some_number(&self, at: usize) -> Result<i64, Fault> {
        self.number(at)?.ok_or_else(unexpected)
    }

    /// A number that is there, and small.
    pub(super) fn small(&self, at: usize) -> Result<i32, Fault> {
        self.some_number(at)?.try_into().map_err(|_| unexpected())
    }

    /// A text, or NULL.
    pub(super) fn text(&self, at: usize) -> Result<Option<&str>, Fault> {
        match self.at(at)? {
            ColumnData::String(text) => Ok(text.as_deref()),
            cell if value::is_null(cell) => Ok(None),
            _ => Err(unexpected()),
        }
    }

    /// A text that is there.
    pub(super) fn some_text(&self, at: usize) -> Result<&str, Fault> {
        self.text(at)?.ok_or_else(unexpected)
    }

    /// Bytes, or NULL.
    pub(super) fn bytes(&self, at: usize) -> Result<Option<&[u8]>, Fault> {
        match self.at(at)? {
            ColumnData::Binary(bytes) => Ok(bytes.as_deref()),
            cell if value::is_null(cell) => Ok(None),
            _ => Err(unexpected()),
        }
    }

    /// Cells from `from` on.
    pub(super) fn slice(&self, from: usize, count: usize) -> Result<&[ColumnData<'static>], Fault> {
        self.0.get(from..from + count).ok_or_else(unexpected)
    }
}
