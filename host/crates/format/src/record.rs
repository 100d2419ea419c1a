//! What a format of JSON records adds to [`JsonEncoder`](super::json_format): what stands around the values of a row.

use super::{head::Stamp, row::Misfit, transaction::InTransaction};
use sluicegate_model::{
    Result,
    change::{Batch, Change, TableRows},
};

/// A change that is to be written.
pub(super) struct Context<'a> {
    pub(super) batch: &'a Batch,
    /// The rows that its images are among.
    pub(super) rows: &'a TableRows,
    pub(super) change: &'a Change,
    pub(super) stamp: Stamp<'a>,
}

/// Whether a change has a record.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Written {
    /// It has one.
    Record,
    /// The format has none for it, and nothing was appended.
    Nothing,
}

/// The records of one table version in one format: a JSON object each.
pub(super) trait Record: Send {
    /// The member for headers that the sink has no place for.
    fn headers_member(&self) -> &'static str {
        "headers"
    }

    /// Whether members that are added at the record's end belong into the object that ends in front of it.
    fn is_wrapped(&self) -> bool {
        false
    }

    /// The plugins' versions that the following records tell; `None`: nothing.
    fn versions(&mut self, versions: Option<&str>);

    /// Prepares for the records of a batch, or for a single one, at this time, in microseconds since 1970.
    fn begin(&mut self, _now_us: i64) {}

    /// As [`TableEncoder::number`](super::TableEncoder::number).
    fn number(&mut self, _place: Option<InTransaction>) {}

    /// The changes that records are made of in place of this one, in their order; `None`: of itself.
    fn split(&self, _change: &Change) -> Option<[Change; 2]> {
        None
    }

    /// Appends the record of a change.
    ///
    /// # Errors
    /// A value does not fit its form; something may have been appended.
    fn write(&mut self, context: &Context<'_>, out: &mut Vec<u8>) -> Result<Written, Misfit>;

    /// Appends the record of a table that was emptied.
    ///
    /// # Errors
    /// `Sink`: the format has none.
    fn truncate(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>) -> Result<()>;
}
