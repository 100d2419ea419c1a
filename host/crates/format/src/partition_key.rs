//! What decides the partition of a record, where its key does not: columns as a JSON object, whatever the records' format.

use super::{
    json::{self, Field, Name},
    row::close,
};
use sluicegate_model::change::{Table, TableRows};

/// The columns of a table version that decide the partition.
pub struct PartitionKey {
    fields: Vec<Field>,
}

impl PartitionKey {
    /// Those at the indices `columns`, in this order.
    pub fn new(table: &Table, columns: &[usize]) -> Self {
        let named = columns.iter().filter_map(|index| Some((*index, table.columns.get(*index)?)));
        Self { fields: named.map(|(column, info)| Field { column, name: Name::new(b',', &info.name) }).collect() }
    }

    /// Appends the object of row `row`: `{"customer_id":7}`.
    pub fn write(&self, rows: &TableRows, row: u32, out: &mut Vec<u8>) {
        let start = out.len();
        json::members(&self.fields, &rows.columns, row, out);
        close(start, out);
    }
}
