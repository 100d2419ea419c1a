//! Entrance for the fuzz target in `host/fuzz`: whatever a file of rows holds, changes or an error; and what was read can be put
//! in a batch, written as records and told again.

use serde_json::{Map, Value};

use super::{record, rows::Rows};
use sluicegate_config::RecordFormat;
use sluicegate_format::Encoder;
use sluicegate_model::{
    Error, ErrorKind,
    change::{Batch, NO_IMAGE},
};

/// A file of rows.
pub fn rows_file(data: &[u8]) {
    let Ok(rows) = Rows::parse(data, |what| Error::new(ErrorKind::Config, what)) else { return };
    let batch = rows.batch(0, rows.len());
    assert!(batch.as_ref().is_ok_and(|batch| batch.validate().is_ok()), "what was read does not go into a batch");
    let Ok(batch) = batch else { return };
    let told = told(&batch);
    let again = Rows::from_batches([&batch]);
    assert!(again.batch(0, again.len()).is_ok_and(|again| self::told(&again) == told), "a batch's change is told otherwise");
    for (_, format) in RecordFormat::ALL.into_iter().filter(|(_, format)| format.is_json()) {
        let mut encoder = Encoder::new(format, "fuzz", "mysql");
        for change in &batch.changes {
            let parts = encoder.split(&batch, change).map_or_else(|| vec![*change], Vec::from);
            for part in parts {
                let mut record = Vec::new();
                match encoder.value(&batch, &part, &mut record) {
                    Ok(true) => assert!(is_object(&record), "a record that is no JSON object"),
                    Ok(false) => assert!(record.is_empty(), "a record where there is none"),
                    // a column that has the name of a member, bytes that are no geometry
                    Err(error) => assert!(record.is_empty() && matches!(error.kind(), ErrorKind::Record | ErrorKind::Sink)),
                }
            }
            let row = if change.after == NO_IMAGE { change.before } else { change.after };
            let mut key = Vec::new();
            match encoder.key(&batch, change.table, row, &mut key) {
                Ok(has_key) => assert!(!has_key || is_object(&key), "a key that is no JSON object"),
                Err(_) => assert!(key.is_empty(), "a key where there is none"),
            }
        }
    }
}

fn is_object(text: &[u8]) -> bool {
    serde_json::from_slice::<Map<String, Value>>(text).is_ok()
}

fn told(batch: &Batch) -> Vec<Map<String, Value>> {
    batch.changes.iter().map(|change| record::change(batch, change)).collect()
}

#[cfg(test)]
mod tests {
    use sluicegate_samples::fuzz;

    #[test]
    fn rows_file_takes_any_bytes() {
        fuzz::run("rows_file", super::rows_file, 100);
    }
}
