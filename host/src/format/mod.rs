//! Record formats: how a change becomes bytes.

use crate::{
    change::{Batch, Change},
    config::RecordFormat,
};

/// Turns changes into records of one format. Keeps a plan per table version, so that per row only values are written.
pub struct Encoder {
    _format: RecordFormat,
}

impl Encoder {
    /// An encoder. `pipeline` is the name in the records; `connector` the kind of source (`mysql`, `mariadb`, `generator`).
    pub fn new(format: RecordFormat, _pipeline: &str, _connector: &str) -> Self {
        Self { _format: format }
    }

    /// Appends the record of `change`, without a line end.
    pub fn value(&mut self, _batch: &Batch, _change: &Change, _out: &mut Vec<u8>) {}

    /// Appends the key of row `row` of `batch.tables[table]`: a JSON object of the key columns. Answers `false`, and
    /// appends nothing, when the table has no key.
    pub fn key(&mut self, _batch: &Batch, _table: u32, _row: u32, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// Appends a JSON object of all columns of the row: the key of a table without one.
    pub fn row_key(&mut self, _batch: &Batch, _table: u32, _row: u32, _out: &mut Vec<u8>) {}
}
