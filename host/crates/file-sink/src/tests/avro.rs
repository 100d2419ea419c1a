//! Avro: records in blocks, which another implementation reads; the rest is as with [`super::parquet`].

use apache_avro::{Reader, types::Value};

use super::*;
use sluicegate_config::Format;
use sluicegate_format::AvroFormat;
use sluicegate_model::{
    change::{Table, TableName},
    limits::AVRO_BLOCK_BYTES,
};

fn settings_of(folder: &Path, roll: u64) -> Settings {
    Settings { records: FileRecords::Avro, ..settings(folder, roll, None) }
}

fn open_avro(settings: &Settings, state: Option<&str>) -> Result<Box<dyn Sink>> {
    let letters = Arc::new(DeadLetters::new(settings.folder.with_extension("dead"), 1 << 20));
    let format = Format::from(RecordFormat::Avro);
    let encoder = AvroFormat::in_files(&format, "shop", "mysql").encoder();
    let policy = Policy::new("files", OnError::Stop, letters);
    let mut resume = Box::new(WholeFileResume::new(settings, false, policy, state, &Limits::default(), numbers()));
    resume.resume()?;
    resume.begin(&Frontier::default(), encoder)
}

/// The ids in the rows of a table's files, file by file.
fn avro_ids(settings: &Settings, table: &str) -> Vec<Vec<i64>> {
    let Ok(entries) = fs::read_dir(settings.folder.join(table)) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let member = |value: Value, name: &str| match value {
        Value::Record(members) => members.into_iter().find(|(known, _)| known == name).unwrap().1,
        Value::Union(_, inner) => match *inner {
            Value::Record(members) => members.into_iter().find(|(known, _)| known == name).unwrap().1,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let id = |record: Value| match member(member(record, "after"), "id") {
        Value::Long(id) => id,
        Value::Union(_, inner) => match *inner {
            Value::Long(id) => id,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let ids = |path: &PathBuf| Reader::new(fs::File::open(path).unwrap()).unwrap().map(|record| id(record.unwrap())).collect();
    paths.iter().map(ids).collect()
}

#[test]
fn files_of_many_blocks_are_read_back_and_appear_when_the_checkpoint_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(folder.path(), 1 << 30);
    let mut sink = open_avro(&settings, None).unwrap();
    let text = "x".repeat(AVRO_BLOCK_BYTES / 10);
    sink.write(&inserts(0, 0..40, &text)).unwrap();
    let state = sink.commit(&Frontier::default()).unwrap();
    assert_eq!(avro_ids(&settings, "shop.orders"), [[0; 0]; 0], "the checkpoint does not name it yet");
    sink.stored().unwrap();
    let first: Vec<i64> = (0..40).collect();
    assert_eq!(avro_ids(&settings, "shop.orders"), std::slice::from_ref(&first));
    // killed before the next checkpoint: what was written is undone, and written again
    sink.write(&inserts(40, 40..60, &text)).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    drop(sink);
    let mut sink = open_avro(&settings, Some(&state)).unwrap();
    sink.write(&inserts(40, 40..61, "again")).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    sink.stored().unwrap();
    assert_eq!(avro_ids(&settings, "shop.orders"), [first, (40..61).collect()]);
}

#[test]
fn each_version_of_a_table_has_files_with_its_schema_and_full_files_are_followed_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(folder.path(), AVRO_BLOCK_BYTES as u64);
    let mut sink = open_avro(&settings, None).unwrap();
    let batch = inserts(0, [1, 2], "a");
    let mut renamed = Table::clone(&batch.tables[0].table);
    renamed.name = TableName::new("shop", "orders");
    renamed.columns.last_mut().unwrap().name = "another".into();
    let mut other = batch.clone();
    other.tables[0].table = Arc::new(renamed);
    sink.write(&batch).unwrap();
    sink.write(&other).unwrap();
    sink.write(&batch).unwrap();
    let text = "y".repeat(AVRO_BLOCK_BYTES / 4);
    for id in 3..12 {
        sink.write(&inserts(id as u64, [id], &text)).unwrap();
    }
    sink.commit(&Frontier::default()).unwrap();
    sink.stored().unwrap();
    let files = avro_ids(&settings, "shop.orders");
    assert_eq!(files[..2], [vec![1, 2], vec![1, 2]]);
    assert!(files.len() > 4, "no file was full: {files:?}");
    assert_eq!(files[2..].concat(), [1, 2].into_iter().chain(3..12).collect::<Vec<_>>());
}

#[test]
fn a_state_of_parquet_files_is_refused_by_a_sink_of_avro_files_and_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(folder.path(), 1 << 20);
    let mut sink = open_avro(&settings, None).unwrap();
    sink.write(&inserts(0, [1], "a")).unwrap();
    let state = sink.commit(&Frontier::default()).unwrap();
    drop(sink);
    let other = state.replace("\"avro\"", "\"parquet\"");
    assert_ne!(other, state);
    let error = open_avro(&settings, Some(&other)).map(drop).unwrap_err();
    assert_eq!(error.message(), "the checkpoint holds a state that no sink of Avro files wrote");
    let of_parquet = parquet::settings_of(folder.path(), 1 << 20);
    let error = parquet::open_parquet(&of_parquet, Some(&state)).map(drop).unwrap_err();
    assert_eq!(error.message(), "the checkpoint holds a state that no sink of Parquet files wrote");
}
