//! Rows of a table, in the columns of a batch, as they are read.

use mysql_async::{Row, Value};

use super::{table::Copied, values};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Image, TableRows},
    limits::Limits,
};

/// Rows that are read, up to the size of a batch.
pub struct Filling<'a> {
    table: &'a Copied,
    limits: &'a Limits,
    rows: TableRows,
    bytes: usize,
}

impl<'a> Filling<'a> {
    /// Without rows.
    pub fn new(table: &'a Copied, limits: &'a Limits) -> Self {
        Self { table, limits, rows: TableRows::new(table.plan.table.clone()), bytes: 0 }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether they fill a batch.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= self.limits.batch_changes.max(1) || self.bytes >= self.limits.batch_bytes
    }

    /// Takes all of them out.
    pub fn take(&mut self) -> TableRows {
        self.bytes = 0;
        std::mem::replace(&mut self.rows, TableRows::new(self.table.plan.table.clone()))
    }

    /// Takes one row in; answers how many bytes it has.
    pub fn push(&mut self, row: &Row) -> Result<usize> {
        let plan = &self.table.plan;
        let mut size = 0;
        for (i, (decoder, column)) in plan.decoders.iter().zip(&mut self.rows.columns).enumerate() {
            let value = row.as_ref(i).unwrap_or(&Value::NULL);
            values::append(decoder, value, column).map_err(|fault| {
                let name = plan.table.columns.get(i).map_or("", |column| column.name.as_str());
                Error::new(ErrorKind::Source, format!("cannot copy column {}.{name}", plan.table.name)).caused_by(fault)
            })?;
            if column.overflows() {
                return Err(Error::new(ErrorKind::Source, format!("a row of {} has text of more than 4 GiB", plan.table.name)));
            }
            size += values::size(value);
        }
        self.rows.images.push(Image::After as u8);
        if size > self.limits.row_bytes {
            let name = &plan.table.name;
            let text = format!("a row of {name} has {size} bytes, the limit is {}", self.limits.row_bytes);
            return Err(Error::new(ErrorKind::Source, text).remedy(format!(
                "Raise limits.row_bytes, or leave the table out of the copy by adding '!{name}' to the source's snapshot.tables."
            )));
        }
        self.bytes += size;
        Ok(size)
    }
}
