//! Changes in the form that the author's tools read and print: a JSON object of `table`, `op`, `before`, `after`, and where
//! there are any `headers` and `destination`.
//!
//! Values stand as in dead letters ([`row`]).

use serde_json::{Map, Value as Json};

use sluicegate_dead_letter::row;
use sluicegate_model::change::{Batch, Change, NO_IMAGE, Place, TableRows};

/// A change of a batch.
pub(super) fn change(batch: &Batch, change: &Change) -> Map<String, Json> {
    let rows = &batch.tables[change.table as usize];
    let mut record = Map::new();
    record.insert("table".into(), rows.table.name.to_string().into());
    record.insert("op".into(), change.operation.name().into());
    for (key, row) in [("before", change.before), ("after", change.after)] {
        if row != NO_IMAGE {
            record.insert(key.into(), image(rows, row, Place::Value).into());
        }
    }
    // headers and destination are those of the newest image, as the sinks take them
    let newest = if change.after == NO_IMAGE { change.before } else { change.after };
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
pub(super) fn image(rows: &TableRows, row: u32, place: Place) -> Map<String, Json> {
    row::object(rows, row, |info| info.place == place)
}
