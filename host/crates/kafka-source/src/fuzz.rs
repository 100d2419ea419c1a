//! Entrance for the fuzz target in `host/fuzz`: whatever bytes a record has, rows that hold together, or a reason.

use std::sync::Arc;

use super::{
    assembly::Assembly,
    place,
    record::{self, Reading, Record},
    version::Versions,
};
use sluicegate_config::{TopicFormat, TopicImages, TopicNumbers};
use sluicegate_model::change::Offset;

/// A record: its key and its value with a zero between, behind a byte that says how it is read.
pub fn record(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let format = if how & 1 == 0 { TopicFormat::Debezium } else { TopicFormat::Flat };
    let images = if how & 2 == 0 && format == TopicFormat::Debezium { TopicImages::Whole } else { TopicImages::Deletes };
    let numbers = if how & 4 == 0 { TopicNumbers::Decimal } else { TopicNumbers::Double };
    let reading = Reading { format, images, images_chosen: how & 8 == 0, numbers, most_bytes: 1 << 20 };
    let (key, value) = match data.iter().position(|b| *b == 0) {
        Some(at) => (Some(&data[..at]), &data[at + 1..]),
        None => (None, data),
    };
    let mut versions = Versions::default();
    let mut assembly = Assembly::default();
    let mut version = None;
    for offset in 0..2 {
        let Ok(Record::Row(row)) = record::read(key, Some(value), reading, &mut versions) else { return };
        let known = version.get_or_insert_with(|| row.version.clone());
        assert!(Arc::ptr_eq(known, &row.version), "the same record gives the same columns");
        let pushed = assembly.push(&row, offset, 0, 1 << 20);
        assert_eq!(pushed.is_ok(), !assembly.is_empty());
    }
    let batch = assembly.take(&place::lane("t", 0), Offset::from_json("{}"), 0, &"t/0".into());
    if let Err(fault) = batch.validate() {
        unreachable!("{fault}");
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_samples::fuzz;

    #[test]
    fn kafka_record_takes_any_bytes() {
        fuzz::run("kafka_record", super::record, 100);
    }
}
