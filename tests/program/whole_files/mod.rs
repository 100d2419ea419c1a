//! Files of the whole program that can be read as a whole only, read back with others' libraries.

mod avro;
mod parquet;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use sluicegate_guest_builder::repository;
use sluicegate_harness::{database::Server, host::Sluicegate, mariadb, mysql};

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(60);

/// The files of each table's folder, in order.
fn files(root: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("the folder can be listed").path());
        entries.filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))).collect()
    };
    let mut found: Vec<PathBuf> = list(root).iter().flat_map(|folder| list(folder)).collect();
    found.sort();
    found
}

/// What a consumer prints of files, line by line.
#[track_caller]
fn read(consumer: &str, arguments: &[&str], files: &[PathBuf]) -> Vec<String> {
    let mut command = Command::new(repository().join("tests/consumers").join(consumer));
    let output = command.args(arguments).args(files).output().expect("the reader can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

/// Kills the program at several moments: each change is in the files once, and no file that was seen changes. `is_whole` looks at a file,
/// and `rows` are what a reader has of all.
fn killed_at_any_moment(format: &str, is_whole: impl Fn(&[u8]) -> bool, read: impl Fn(&[PathBuf]) -> Vec<Value>) {
    let text = format!(
        "name: killed
source: {{ type: generator, seed: 7, changes: 20000, rate: 15000 }}
sinks: [{{ type: file, format: {format}, folder: out, prefix: shop, roll: {{ every: 100ms, bytes: 64KiB }} }}]
limits: {{ checkpoint_interval: 20ms }}
"
    );
    let run = |host: &Sluicegate| {
        let ended = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
        assert!(ended.status.success(), "{}", ended.stderr);
    };
    let whole = Sluicegate::new(BINARY, &text);
    run(&whole);
    let killed = Sluicegate::new(BINARY, &text);
    let folder = killed.path("out");
    let mut seen: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut look = || {
        for path in files(&folder) {
            let content = fs::read(&path).expect("a file that is there can be read");
            assert!(is_whole(&content), "{} is not whole", path.display());
            assert!(seen.insert(path.clone(), content.clone()).is_none_or(|before| before == content), "{} has changed", path.display());
        }
        seen.len()
    };
    for kill in 0..8 {
        let mut process = killed.spawn();
        if kill % 3 != 0 {
            let before = look();
            process.wait_until("another file", PATIENCE, || look() > before + kill);
        }
        process.kill9();
        look();
    }
    run(&killed);
    let count = look();
    assert_eq!(count, files(&folder).len(), "a file that was seen is gone");
    assert_eq!(fs::read_dir(folder.join(".shop.parts")).expect("a folder").count(), 0);
    // each change, by the place that identifies it
    let rows = |host: &Sluicegate| {
        let mut rows = read(&files(&host.path("out")));
        rows.sort_by_key(|row| (row["_pos"].as_u64(), row["_row"].as_u64()));
        rows
    };
    let (expected, found) = (rows(&whole), rows(&killed));
    assert_eq!((expected.len(), found.len()), (20_000, 20_000));
    assert!(expected == found, "a run that was killed wrote other rows");
}
