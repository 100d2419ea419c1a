//! What each sink should have at the end, and whether its files have that.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// A change: its log file (lane and generation) and its number there.
pub type Id = (String, u64);

/// Every change that there is, by lane.
pub type Log = BTreeMap<String, BTreeMap<Id, Value>>;

/// A sink, and what it should get.
pub struct Sink {
    pub name: String,
    pub folder: String,
    /// Its setting; empty = none.
    pub start: &'static str,
    /// The lanes that were known when it was added; in others it begins where they begin.
    pub lanes: BTreeMap<String, From>,
}

/// Where a sink begins in a lane that was known.
pub enum From {
    /// At its first change.
    Earliest,
    /// Behind what the other sinks had together.
    Now(BTreeSet<Id>),
}

pub fn lane_of(file: &str) -> String {
    file.split('.').next().expect("a lane").to_owned()
}

pub fn records(folder: &Path) -> Vec<(Id, Value)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "ndjson"));
    files.sort();
    let text: String = files.iter().map(|path| fs::read_to_string(path).expect("text")).collect();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    let number = |record: &Value, name: &str| record[name].as_u64().expect("a number");
    records.map(|r| ((r["_file"].as_str().expect("a file").to_owned(), number(&r, "_pos") + number(&r, "_row")), r)).collect()
}

/// Every sink has what it should have.
pub fn judge(root: &Path, sinks: &[Sink], log: &Log) {
    let files: Vec<Vec<(Id, Value)>> = sinks.iter().map(|sink| records(&root.join(&sink.folder))).collect();
    for (lane, log) in log {
        // a lane begins for all sinks where it began first
        let first_file = format!("{lane}.1");
        let usual = sinks.iter().zip(&files).filter(|(sink, _)| !sink.lanes.contains_key(lane));
        let begins = usual.flat_map(|(_, files)| files).filter(|((file, _), _)| *file == first_file).map(|((_, n), _)| *n).min();
        let since_beginning = |id: &Id| id.0 != first_file || begins.is_none_or(|begins| id.1 >= begins);
        for (sink, files) in sinks.iter().zip(&files) {
            let found: Vec<&(Id, Value)> = files.iter().filter(|((file, _), _)| lane_of(file) == *lane).collect();
            let ids: BTreeSet<&Id> = found.iter().map(|(id, _)| id).collect();
            assert_eq!(ids.len(), found.len(), "{} has changes of {lane} twice", sink.name);
            let expected = log.keys().filter(|id| match sink.lanes.get(lane) {
                None => since_beginning(id),
                Some(From::Earliest) => true,
                Some(From::Now(had)) => since_beginning(id) && !had.contains(id),
            });
            let expected: BTreeSet<&Id> = expected.collect();
            let difference = |a: &BTreeSet<&Id>, b: &BTreeSet<&Id>| a.difference(b).take(5).map(|id| (*id).clone()).collect::<Vec<_>>();
            assert!(
                ids == expected,
                "{} of {lane}: lacks {:?}, has too much {:?}",
                sink.name,
                difference(&expected, &ids),
                difference(&ids, &expected)
            );
            in_order(&found);
            assert!(found.iter().all(|(id, record)| log.get(id) == Some(record)), "{}: other contents", sink.name);
        }
    }
}

/// The changes of each key come in the order of the log: by generation, then by number.
fn in_order(found: &[&(Id, Value)]) {
    let mut last: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for ((file, number), record) in found {
        let generation = file.rsplit('.').next().and_then(|g| g.parse().ok()).expect("a generation");
        let key = ["_table", "id", "order_id", "line_no"].map(|name| record[name].to_string()).join(" ");
        let place = (generation, *number);
        let before = last.insert(key, place);
        assert!(before < Some(place), "{file} {number} after {before:?}");
    }
}
