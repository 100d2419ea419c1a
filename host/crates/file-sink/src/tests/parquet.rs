//! Parquet: files appear when the checkpoint names them, whole, and stay.

use ::parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::Field,
};

use super::*;
use sluicegate_model::{
    change::{ColumnInfo, TableName},
    limits::WHOLE_FILES_BYTES,
};

pub(super) fn settings_of(folder: &Path, roll: u64) -> Settings {
    Settings { records: FileRecords::Parquet, ..settings(folder, roll, None) }
}

pub(super) fn open_parquet(settings: &Settings, state: Option<&str>) -> Result<Box<dyn Sink>> {
    let letters = Arc::new(DeadLetters::new(settings.folder.with_extension("dead"), 1 << 20));
    let encoder = JsonFormat::new(RecordFormat::Flat, "shop", "mysql").encoder();
    let policy = Policy::new("files", OnError::Stop, letters);
    let mut resume = Box::new(WholeFileResume::new(settings, false, policy, state, &Limits::default(), numbers()));
    resume.resume()?;
    resume.begin(&Frontier::default(), encoder)
}

/// The ids in the files of a table's folder, file by file.
fn parquet_ids(settings: &Settings, table: &str) -> Vec<Vec<i64>> {
    let Ok(entries) = fs::read_dir(settings.folder.join(table)) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let ids = |path: &PathBuf| {
        let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        let id = |row: ::parquet::record::Row| match row.get_column_iter().find(|(name, _)| *name == "id") {
            Some((_, Field::Long(id))) => *id,
            other => panic!("{other:?}"),
        };
        rows.map(|row| id(row.unwrap())).collect()
    };
    paths.iter().map(ids).collect()
}

fn hidden(settings: &Settings) -> usize {
    fs::read_dir(settings.folder.join(".orders.parts")).unwrap().count()
}

#[test]
fn files_appear_when_the_checkpoint_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(folder.path(), 1 << 20);
    let mut sink = open_parquet(&settings, None).unwrap();
    sink.write(&inserts(0, 0..40, "first")).unwrap();
    let state = sink.commit(&Frontier::default()).unwrap();
    assert_eq!(parquet_ids(&settings, "shop.orders"), [[0; 0]; 0], "the checkpoint does not name it yet");
    sink.stored().unwrap();
    let first: Vec<i64> = (0..40).collect();
    assert_eq!(parquet_ids(&settings, "shop.orders"), std::slice::from_ref(&first));
    // killed after the checkpoint and before the file is in its place
    sink.write(&inserts(40, 40..50, "second")).unwrap();
    let second = sink.commit(&Frontier::default()).unwrap();
    drop(sink);
    let mut sink = open_parquet(&settings, Some(&second)).unwrap();
    assert_eq!(parquet_ids(&settings, "shop.orders"), [first.clone(), (40..50).collect()]);
    // killed before the next checkpoint: what was ended is undone, and written again
    sink.write(&inserts(50, 50..60, "third")).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    assert_eq!(hidden(&settings), 1);
    drop(sink);
    let mut sink = open_parquet(&settings, Some(&second)).unwrap();
    assert_eq!(hidden(&settings), 0);
    sink.write(&inserts(50, 50..61, "third again")).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    sink.stored().unwrap();
    assert_eq!(parquet_ids(&settings, "shop.orders"), [first, (40..50).collect(), (50..61).collect()]);
    drop(sink);
    // an older checkpoint cannot be gone on from beside the files that came after it
    let mut sink = open_parquet(&settings, Some(&state)).unwrap();
    sink.write(&inserts(40, 40..50, "second")).unwrap();
    let error = sink.commit(&Frontier::default()).unwrap_err();
    insta::assert_snapshot!(text(&settings, &error), @"/out/shop.orders/orders-00000002.parquet is there already, but the checkpoint knows nothing of it: entity already exists
  remedy: move the files of an earlier run away, set another `folder` or `prefix`, or put that run's checkpoint back");
}

#[test]
fn a_file_of_a_run_that_was_killed_is_not_taken_for_one_that_the_checkpoint_names() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(folder.path(), 1 << 20);
    let mut sink = open_parquet(&settings, None).unwrap();
    sink.write(&inserts(0, 0..10, "first")).unwrap();
    let state = sink.commit(&Frontier::default()).unwrap();
    sink.stored().unwrap();
    drop(sink);
    for reader_takes_the_file in [false, true] {
        if reader_takes_the_file {
            fs::remove_file(settings.folder.join("shop.orders/orders-00000001.parquet")).unwrap();
        }
        // killed before its checkpoint is stored
        let mut sink = open_parquet(&settings, Some(&state)).unwrap();
        sink.write(&inserts(10, 10..20, "second")).unwrap();
        sink.commit(&Frontier::default()).unwrap();
        assert_eq!(hidden(&settings), 1);
        drop(sink);
        let sink = open_parquet(&settings, Some(&state)).unwrap();
        let expected: &[Vec<i64>] = if reader_takes_the_file { &[] } else { &[(0..10).collect()] };
        assert_eq!(parquet_ids(&settings, "shop.orders"), expected);
        drop(sink);
    }
    let mut sink = open_parquet(&settings, Some(&state)).unwrap();
    sink.write(&inserts(10, 10..20, "second")).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    sink.stored().unwrap();
    assert_eq!(parquet_ids(&settings, "shop.orders"), [(10..20).collect::<Vec<_>>()]);
}

#[test]
fn rows_in_memory_are_bounded_for_all_tables_together_however_large_they_are() {
    const ROW: usize = 4 << 20;
    const TABLES: usize = 24;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(folder.path(), 1 << 30);
    let mut sink = open_parquet(&settings, None).unwrap();
    let mut batch = inserts(0, [1], &"x".repeat(ROW));
    for number in 0..TABLES {
        let name = TableName::new("shop", format!("t{number}"));
        batch.tables[0].table = Arc::new(Table { name, ..Table::clone(&batch.tables[0].table) });
        sink.write(&batch).unwrap();
        let in_memory = (number + 1 - hidden(&settings)) * ROW;
        assert!(in_memory <= WHOLE_FILES_BYTES, "{in_memory} bytes after {number} tables");
    }
    assert!(hidden(&settings) < TABLES, "rows are gathered");
}

#[test]
fn each_table_and_each_version_of_it_has_files_of_its_own_and_full_files_are_followed_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(folder.path(), 4 << 10);
    let mut sink = open_parquet(&settings, None).unwrap();
    let first = inserts(0, [1, 2], "a,b");
    let renamed = |table: &str, last: Option<&str>| {
        let mut batch = first.clone();
        let mut other = Table::clone(&batch.tables[0].table);
        other.name = TableName::new("shop", table);
        if let (Some(name), Some(column)) = (last, other.columns.last_mut()) {
            *column = ColumnInfo { name: name.into(), ..column.clone() };
        }
        batch.tables[0].table = Arc::new(other);
        batch
    };
    for batch in [renamed("a", None), renamed("b", None), renamed("a", None), renamed("a", Some("another"))] {
        sink.write(&batch).unwrap();
    }
    // so many that a row group is full, and with it the file
    for id in 0..200 {
        sink.write(&inserts(id as u64, [id], &"c".repeat(100_000))).unwrap();
    }
    sink.commit(&Frontier::default()).unwrap();
    sink.stored().unwrap();
    assert_eq!(parquet_ids(&settings, "shop.a"), [vec![1, 2, 1, 2], vec![1, 2]]);
    assert_eq!(parquet_ids(&settings, "shop.b"), [[1, 2]]);
    let files = parquet_ids(&settings, "shop.orders");
    assert!(files.len() > 1, "no file was full");
    assert_eq!(files.concat(), (0..200).collect::<Vec<_>>());
}

#[test]
fn rows_of_one_table_that_come_under_several_addresses_stand_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(folder.path(), 1 << 20);
    let mut sink = open_parquet(&settings, None).unwrap();
    for number in [0, 4] {
        let mut batch = inserts(number, number as i64..number as i64 + 4, "x");
        let mut other = batch.tables[0].clone();
        other.table = Arc::new(Table::clone(&other.table));
        batch.tables.push(other);
        (0..).zip(&mut batch.changes).for_each(|(place, change)| change.table = place % 2);
        sink.write(&batch).unwrap();
    }
    sink.commit(&Frontier::default()).unwrap();
    sink.stored().unwrap();
    assert_eq!(parquet_ids(&settings, "shop.orders"), [(0..8).collect::<Vec<_>>()]);
}

#[test]
fn a_commit_is_due_when_the_interval_of_the_files_has_passed_or_nothing_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings_of(folder.path(), 1 << 20);
    settings.roll.every = Some(Duration::from_secs(3600));
    let mut sink = open_parquet(&settings, None).unwrap();
    assert!(sink.is_ripe(), "progress without changes is not held up");
    sink.write(&inserts(0, [1], "a")).unwrap();
    assert!(!sink.is_ripe());
    sink.commit(&Frontier::default()).unwrap();
    assert!(sink.is_ripe());
    settings.roll.every = Some(Duration::ZERO);
    drop(sink);
    let mut sink = open_parquet(&settings, None).unwrap();
    sink.write(&inserts(0, [1], "a")).unwrap();
    assert!(sink.is_ripe());
}

#[test]
fn states_of_others_and_folders_of_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(folder.path(), 1 << 20);
    let mut sink = open_parquet(&settings, None).unwrap();
    sink.write(&inserts(0, [1], "a")).unwrap();
    let state = sink.commit(&Frontier::default()).unwrap();
    let held = open_parquet(&settings, None).map(drop).unwrap_err();
    assert!(held.message().contains("are written by process"), "{held}");
    drop(sink);
    let error = |state: &str| text(&settings, &open_parquet(&settings, Some(state)).map(drop).unwrap_err());
    assert!(
        error("{\"file\":\"orders-00000001.ndjson\",\"number\":1,\"bytes\":0,\"records\":0}")
            .starts_with("the checkpoint holds a state that no sink of Parquet")
    );
    for bad in ["../x", "/x", "a/../b"] {
        assert!(error(&state.replace("shop.orders", bad)).starts_with("the checkpoint holds a state"), "{bad}");
    }
    let other = Settings { prefix: "other".into(), ..settings.clone() };
    let error = open_parquet(&other, Some(&state)).map(drop).unwrap_err();
    assert!(error.message().contains("had the prefix `orders`"), "{error}");
    fs::remove_dir_all(&settings.folder).unwrap();
    let gone = open_parquet(&settings, Some(&state)).map(drop).unwrap_err();
    assert!(gone.message().contains("this is not the folder"), "{gone}");
    assert!(!settings.folder.exists(), "nothing was made");
}
