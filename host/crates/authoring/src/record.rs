//! Changes in the form that the author's tools read and print: a JSON object of `table`, `op`, `before`, `after`, and where
//! there are any `headers` and `destination`.
//!
//! Values: integers are exact numbers, floats numbers (those that JSON lacks are `null`), bytes base64, everything that
//! travels as text is a string.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};

use sluicegate_model::change::{Batch, Change, Column, NO_IMAGE, Operation, Place, TableRows, Values};

/// The word for an operation.
pub(super) fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Snapshot => "snapshot",
        Operation::Insert => "insert",
        Operation::Update => "update",
        Operation::Delete => "delete",
    }
}

/// A change of a batch.
pub(super) fn change(batch: &Batch, change: &Change) -> Map<String, Json> {
    let rows = &batch.tables[change.table as usize];
    // what is left of an update decides what it is delivered as
    let operation = match (change.before == NO_IMAGE, change.after == NO_IMAGE, change.operation) {
        (true, false, Operation::Update) => Operation::Insert,
        (false, true, Operation::Update) => Operation::Delete,
        (.., operation) => operation,
    };
    let mut record = Map::new();
    record.insert("table".into(), rows.table.name.to_string().into());
    record.insert("op".into(), word(operation).into());
    for (key, row) in [("before", change.before), ("after", change.after)] {
        if row != NO_IMAGE {
            record.insert(key.into(), image(rows, row as usize, Place::Value).into());
        }
    }
    // headers and destination are those of the newest image, as the sinks take them
    let newest = if change.after == NO_IMAGE { change.before } else { change.after } as usize;
    let headers = image(rows, newest, Place::Header);
    let headers: Map<String, Json> = headers.into_iter().filter(|(_, value)| !value.is_null()).collect();
    if !headers.is_empty() {
        record.insert("headers".into(), headers.into());
    }
    let own = image(rows, newest, Place::Destination).into_iter().map(|(_, value)| value).find(|value| !value.is_null());
    if let Some(destination) = own.or_else(|| rows.table.destination.clone().map(Json::from)) {
        record.insert("destination".into(), destination);
    }
    record
}

/// The columns of one row that are delivered in this place.
pub(super) fn image(rows: &TableRows, row: usize, place: Place) -> Map<String, Json> {
    let columns = rows.table.columns.iter().zip(&rows.columns).filter(|(info, _)| info.place == place);
    columns.map(|(info, column)| (info.name.clone(), value(column, row))).collect()
}

fn value(column: &Column, row: usize) -> Json {
    if column.nulls.get(row) {
        return Json::Null;
    }
    match &column.values {
        Values::Boolean(v) => json!(v[row] != 0),
        Values::Int64(v) => json!(v[row]),
        Values::UInt64(v) => json!(v[row]),
        // through its shortest text: as a double, 0.1 of single precision would get sixteen digits
        Values::Float32(v) => v[row].to_string().parse::<f64>().map_or(Json::Null, |v| json!(v)),
        Values::Float64(v) => json!(v[row]),
        Values::Text(v) => String::from_utf8_lossy(v.get(row)).into(),
        Values::Bytes(v) => STANDARD.encode(v.get(row)).into(),
    }
}
