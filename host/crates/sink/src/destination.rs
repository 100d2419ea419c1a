//! Destinations that plugins choose, for a table or for single rows: topics of Kafka, subfolders of the file sink.

use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{TableRows, Values},
};

/// The destination of row `row` in the table's destination column; `None` leaves the table's.
///
/// # Errors
/// `Record`: the row's destination is absent. `Internal`: the column does not hold text, which the plan of no plugin may say.
pub fn of_row(rows: &TableRows, column: usize, row: u32) -> Result<Option<&str>> {
    let wrong = || Error::new(ErrorKind::Internal, format!("the destination column of table {} does not hold text", rows.table.name));
    let column = rows.columns.get(column).ok_or_else(wrong)?;
    if column.is_absent(row as usize) {
        return Err(Error::new(
            ErrorKind::Record,
            format!("the destination of a row of table {} is made of columns that the source did not send with it", rows.table.name),
        )
        .remedy("let the source send whole rows (mysql: binlog_row_image = FULL), or choose one destination for the table"));
    }
    if column.nulls.get(row as usize) {
        return Ok(None);
    }
    match &column.values {
        Values::Text(strings) => std::str::from_utf8(strings.get(row as usize)).map(Some).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// Checks a row that comes to another key or destination, where nothing of it was before: what is absent would be missing there.
///
/// # Errors
/// `Record`: it has absent values.
pub fn check_whole(rows: &TableRows, row: u32) -> Result<()> {
    match rows.first_absent(0..rows.columns.len(), row).and_then(|column| rows.table.columns.get(column)) {
        None => Ok(()),
        Some(column) => Err(Error::new(
            ErrorKind::Record,
            format!(
                "a row of table {} moves to another key or destination, and the source did not send its column `{}`, which would be missing there",
                rows.table.name, column.name
            ),
        )
        .remedy("let the source send whole rows (mysql: binlog_row_image = FULL)")),
    }
}

/// The error when there are more destinations than a sink may have.
pub fn too_many(most: usize) -> Error {
    Error::new(ErrorKind::Sink, format!("plugins or the sink's template gave more than {most} different destinations"))
        .remedy("let them give fewer, or raise `limits.destinations`; then start again: nothing is lost")
}
