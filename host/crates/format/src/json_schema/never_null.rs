//! Columns of which a schema says that they are never null.

use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Change, Column, ColumnInfo, NO_IMAGE, Place, Table, TableRows, Values},
};

/// The columns' numbers. What a plugin delivers may be otherwise than it said, and JSON would write it as null all the same.
pub(super) struct NeverNull(Box<[usize]>);

impl NeverNull {
    /// The columns of a record that are `chosen`, but for those that may be null in it.
    pub(super) fn new(table: &Table, chosen: impl Fn(&ColumnInfo) -> bool, optional: impl Fn(&ColumnInfo) -> bool) -> Self {
        let of_record = |column: &ColumnInfo| column.place == Place::Value && chosen(column) && !optional(column);
        Self(table.columns.iter().enumerate().filter(|(_, column)| of_record(column)).map(|(index, _)| index).collect())
    }

    /// None at all.
    pub(super) fn none() -> Self {
        Self(Box::default())
    }

    /// The changes in front of the first that does not hold to it, and what is wrong with that one.
    #[inline]
    pub(super) fn split<'a>(&self, rows: &TableRows, changes: &'a [Change]) -> (&'a [Change], Result<()>) {
        for (i, change) in changes.iter().enumerate() {
            for image in [change.before, change.after] {
                if image != NO_IMAGE
                    && let Err(error) = self.check(rows, image)
                {
                    return (changes.get(..i).unwrap_or_default(), Err(error));
                }
            }
        }
        (changes, Ok(()))
    }

    /// Checks a row.
    #[inline]
    pub(super) fn check(&self, rows: &TableRows, row: u32) -> Result<()> {
        match self.0.iter().find(|index| is_null(&rows.columns[**index], row as usize)) {
            None => Ok(()),
            Some(index) => Err(error(rows, *index, row)),
        }
    }
}

/// Whether JSON has null for a value, or nothing.
#[inline]
fn is_null(column: &Column, row: usize) -> bool {
    column.nulls.get(row)
        || match &column.values {
            Values::Float32(v) => !v[row].is_finite(),
            Values::Float64(v) => !v[row].is_finite(),
            _ => false,
        }
}

#[cold]
fn error(rows: &TableRows, index: usize, row: u32) -> Error {
    let table = &rows.table;
    let name = table.columns.get(index).map(|column| column.name.as_str()).unwrap_or_default();
    if rows.columns.get(index).is_some_and(|column| column.is_absent(row as usize)) {
        let what = format!("column `{name}` of table {} is not in a row, although its schema says that it always is", table.name);
        return Error::new(ErrorKind::Record, what)
            .remedy("let the source send whole rows (mysql: binlog_row_image = FULL), or set `on_error`");
    }
    let what = format!("column `{name}` of table {} holds NULL, although its schema says that it never does", table.name);
    Error::new(ErrorKind::Record, what).remedy("let the plugin that delivers the column say that it may be null, or set `on_error`")
}
