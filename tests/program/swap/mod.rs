//! Swaps beyond a changed plugin file (`hot_swap.rs`): edits of the pipeline file, rehearsals, HTTP, several workers, and a
//! model of all of it.

mod edit;
mod http;
mod links;
mod model;
mod rehearsal;
mod watch_build;
mod workers;

use std::{fs, net::TcpListener, path::Path, time::Duration};

use serde_json::Value;
use sluicegate_guest_builder as guests;
use sluicegate_harness::{
    files,
    host::{Process, Sluicegate},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The end of all pipeline files of these tests. What was compiled once serves all of them.
fn ending() -> String {
    let cache = guests::repository().join("target/test-compiled");
    format!(
        "sinks: [{{ type: file, format: flat, folder: out, prefix: s }}]
limits: {{ checkpoint_interval: 50ms, plugin_debounce: 20ms }}
cache: {}
",
        cache.display()
    )
}

/// A pipeline file with an endless source.
fn pipeline(plugins: &str) -> String {
    format!("name: swap\nsource: {{ type: generator, seed: 3, rate: 5000 }}\nplugins:\n{plugins}\n{}", ending())
}

fn lines(process: &Process, message: &str) -> Vec<Value> {
    process.log().into_iter().filter(|line| line["message"].as_str().is_some_and(|m| m.starts_with(message))).collect()
}

fn wait_for_lines(process: &mut Process, message: &str, count: usize) -> Vec<Value> {
    process.wait_for(message, PATIENCE, |p| Some(lines(p, message)).filter(|lines| lines.len() >= count))
}

/// As editors do: the new content under another name, then a rename.
fn install(file: &Path, content: &[u8]) {
    let new = file.with_extension("new");
    fs::write(&new, content).expect("written");
    fs::rename(new, file).expect("renamed");
}

/// A host with `stamp.wasm` of version 1.
fn host(pipeline: &str) -> Sluicegate {
    let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), pipeline);
    fs::write(host.path("stamp.wasm"), guests::stamp(1)).expect("written");
    host
}

/// Runs it, and waits until records come.
fn started(host: &Sluicegate) -> Process {
    let mut process = host.spawn();
    more_records(host, &mut process);
    process
}

fn more_records(host: &Sluicegate, process: &mut Process) {
    let (folder, before) = (host.path("out"), files::bytes_so_far(&host.path("out"), "s"));
    process.wait_until("more records", PATIENCE, || files::bytes_so_far(&folder, "s") > before + 10_000);
}

/// Waits for a record of a change behind the boundary that the log line tells of: the sink may still hold records from
/// before it when the line is written.
fn records_after(host: &Sluicegate, process: &mut Process, boundary: &Value) {
    let (folder, place) = (host.path("out"), boundary["changes"].as_u64().expect("a number"));
    process.wait_until("records after the boundary", PATIENCE, || files::count_so_far(&folder, "s") as u64 > place);
}

fn end(process: Process) {
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

/// All records, with their numbers: the generator numbers its changes by event position and row.
fn records(host: &Sluicegate) -> Vec<(u64, Value)> {
    let number = |r: &Value| r["_pos"].as_u64().expect("a position") + r["_row"].as_u64().expect("a row");
    files::records(&host.path("out"), "s").into_iter().map(|record| (number(&record), record)).collect()
}

/// All records, each change once and in order.
fn all_in_order(host: &Sluicegate) -> Vec<Value> {
    let records = records(host);
    for (i, (number, _)) in records.iter().enumerate() {
        assert_eq!(*number, i as u64, "each change once, in order");
    }
    records.into_iter().map(|(_, record)| record).collect()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// The same component in other bytes: with a custom section at its end that says nothing.
fn variant(component: &[u8], number: u8) -> Vec<u8> {
    [component, &[0, 3, 1, b'v', number]].concat()
}
