//! CSV: a folder for each table, and in each file records with the columns that its first line names.

use super::*;
use sluicegate_model::change::{ColumnInfo, TableName};

/// The same rows as of another table, or of a later version with another name of the last column.
fn renamed(batch: &Batch, table: &str, last: Option<&str>) -> Batch {
    let mut batch = batch.clone();
    let mut other = Table::clone(&batch.tables[0].table);
    other.name = TableName::new("shop", table);
    if let (Some(name), Some(column)) = (last, other.columns.last_mut()) {
        *column = ColumnInfo { name: name.into(), ..column.clone() };
    }
    batch.tables[0].table = Arc::new(other);
    batch
}

fn open_csv(settings: &Settings, state: Option<&str>) -> FileSink {
    let letters = Arc::new(DeadLetters::new(settings.folder.with_extension("dead"), 1 << 20));
    let encoder = JsonFormat::new(RecordFormat::Csv, "shop", "mysql").encoder();
    let policy = Policy::new("files", OnError::Stop, letters);
    FileResume::new(settings, policy, state, &small_buffer(), numbers()).open(encoder).unwrap()
}

/// The files of a table's folder: number and lines.
fn tables(settings: &Settings, table: &str) -> Vec<(String, Vec<String>)> {
    let mut files: Vec<_> = fs::read_dir(settings.folder.join(table))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    let lines = |text: String| {
        assert!(text.is_empty() || text.ends_with("\r\n"));
        text.split_terminator("\r\n").map(str::to_owned).collect()
    };
    files.into_iter().map(|(name, text)| (name, lines(text))).collect()
}

#[test]
fn each_table_has_files_of_its_own_and_each_version_of_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { records: FileRecords::Csv, ..settings(folder.path(), 1 << 20, None) };
    let mut sink = open_csv(&settings, None);
    let first = inserts(0, [1, 2], "a,b");
    sink.write(&renamed(&first, "a", None)).unwrap();
    sink.write(&renamed(&first, "b", None)).unwrap();
    sink.write(&renamed(&first, "a", None)).unwrap();
    sink.write(&renamed(&first, "a", Some("another"))).unwrap();
    let state = sink.commit(&Frontier::default()).unwrap();
    drop(sink);
    let (a, b) = (tables(&settings, "shop.a"), tables(&settings, "shop.b"));
    let names = |files: &[(String, Vec<String>)]| files.iter().map(|(name, lines)| (name.clone(), lines.len())).collect::<Vec<_>>();
    assert_eq!(names(&a), [("orders-00000001.csv".into(), 5), ("orders-00000002.csv".into(), 3)]);
    assert_eq!(names(&b), [("orders-00000001.csv".into(), 3)]);
    assert!(a.iter().chain(&b).all(|(_, lines)| lines[0].starts_with("_op,_database,")), "{a:?}");
    assert!(a[1].1[0].ends_with(",another") && !a[0].1[0].ends_with(",another"));

    // what the last file began with is not known after a start: the next one has a beginning of its own, and is undone like any other
    let mut sink = open_csv(&settings, Some(&state));
    sink.write(&renamed(&first, "a", Some("another"))).unwrap();
    sink.idle().unwrap();
    drop(sink);
    assert_eq!(names(&tables(&settings, "shop.a")).last(), Some(&("orders-00000003.csv".into(), 3)));
    let mut sink = open_csv(&settings, Some(&state));
    assert_eq!(names(&tables(&settings, "shop.a")), names(&a));
    sink.write(&renamed(&first, "a", Some("another"))).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    assert_eq!(names(&tables(&settings, "shop.a")).last(), Some(&("orders-00000003.csv".into(), 3)));
}
