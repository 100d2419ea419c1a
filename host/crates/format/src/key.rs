//! The key of a record.

use super::{
    connect,
    form::Form,
    format_options::{Options, fields},
    maxwell,
    row::{Row, close},
};
use sluicegate_config::RecordFormat;
use sluicegate_model::{
    Result,
    change::{ColumnInfo, Table, TableRows},
    json::string,
};

/// What is constant of the keys of a table version.
pub(super) struct Key {
    /// What stands in front of the columns, if they are not an object of their own.
    front: Vec<u8>,
    row: Row,
    /// Whether the columns are an object.
    object: bool,
    behind: &'static [u8],
}

impl Key {
    /// A key of the columns that are `chosen`.
    pub(super) fn new(table: &Table, options: &Options, chosen: impl Fn(&ColumnInfo) -> bool) -> Self {
        let same = str::to_owned;
        let (mut front, mut object, mut behind) = (Vec::new(), true, &b""[..]);
        let row = match options.format.record {
            RecordFormat::Maxwell => {
                front.extend_from_slice(b"{\"database\":");
                string(table.name.database.as_bytes(), &mut front);
                front.extend_from_slice(b",\"table\":");
                string(table.name.table.as_bytes(), &mut front);
                (object, behind) = (false, b"}");
                Row::new(fields(table, &chosen, |name| format!("pk.{name}")), table, maxwell::form)
            }
            RecordFormat::Canal | RecordFormat::Dts => Row::new(fields(table, &chosen, same), table, |_| Form::Own),
            _ => options.row(table, fields(table, &chosen, same)),
        };
        if options.format.schemas {
            front.extend_from_slice(b"{\"schema\":");
            connect::key(table, &options.format.values, &options.origin, chosen, &mut front);
            front.extend_from_slice(b",\"payload\":");
            behind = b"}";
        }
        Self { front, row, object, behind }
    }

    /// Whether there are no columns.
    pub(super) fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Appends the key of row `row`.
    ///
    /// # Errors
    /// `Record`: a value does not fit its form; nothing is appended.
    pub(super) fn write(&self, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> Result<()> {
        let begin = out.len();
        out.extend_from_slice(&self.front);
        let start = out.len();
        let written = self.row.members(&rows.columns, row, out);
        written.map_err(|misfit| {
            out.truncate(begin);
            misfit.error(&rows.table)
        })?;
        if self.object {
            close(start, out);
        }
        out.extend_from_slice(self.behind);
        Ok(())
    }
}
