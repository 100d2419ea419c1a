//! A pipeline that reads a real server's binlog: where it goes on after stops, kills, changes of its file, and faults of the log.

mod documented;
mod evolution;
pub(crate) mod failover;
mod formats;
mod lost_log;
mod partial;
mod places;
mod schema_changes;
mod schemas;
mod sinks;
mod soak;
mod statements;
mod taken_back;
mod transactions;
mod truncate;
mod unreadable;
mod vanished;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use sluicegate_harness::{
    database::Server,
    files,
    host::{Ended, Process, Sluicegate},
};
use sluicegate_model::change::Offset;
use sluicegate_state::Checkpoint;

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(60);

/// The text of a pipeline file. `tables` and `sinks` are lists, as YAML.
fn pipeline(server: &Server, tables: &str, sinks: &str) -> String {
    pipeline_with(server, tables, sinks, "")
}

/// With further limits, each behind a comma.
fn pipeline_with(server: &Server, tables: &str, sinks: &str, limits: &str) -> String {
    let (port, user, password) = (server.port(), server.user(), server.password());
    format!(
        "name: binlog
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: {tables}, heartbeat: 1s }}
sinks: {sinks}
limits: {{ checkpoint_interval: 20ms, retry_window: 20s{limits} }}
"
    )
}

/// A file sink of this name, which writes into `out` under its name as the prefix.
fn file(name: &str) -> String {
    format!("{{ type: file, name: {name}, format: flat, folder: out, prefix: {name} }}")
}

/// Starts the pipeline, and returns once it reads.
fn start(host: &Sluicegate) -> Process {
    let mut process = host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    process
}

#[track_caller]
fn stop(process: Process) -> Ended {
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    ended
}

/// Where the checkpoint is.
fn state(host: &Sluicegate) -> PathBuf {
    host.path("sluicegate-state/binlog.db")
}

/// Runs until each of the sinks has written a record of the row `id` of a table `last`; this row has to be the last of the log.
#[track_caller]
fn run_to(host: &Sluicegate, sinks: &[&str], id: u32) -> Ended {
    let mut process = start(host);
    for sink in sinks {
        wait_for(&mut process, host, sink, "last", id);
    }
    stop(process)
}

/// Waits for a record of the row `id` of a table. The records' order of members is fixed.
#[track_caller]
fn wait_for(process: &mut Process, host: &Sluicegate, sink: &str, table: &str, id: u32) {
    let (folder, table, id) = (host.path("out"), format!("\"_table\":\"{table}\","), format!("\"id\":{id}}}"));
    process.wait_until(&format!("{table} {id} in {sink}"), PATIENCE, || {
        files::list(&folder, sink)
            .iter()
            .any(|file| fs::read_to_string(file).is_ok_and(|text| text.lines().any(|line| line.contains(&table) && line.ends_with(&id))))
    });
}

/// A start that fails: its exit code and what it says.
#[track_caller]
fn refused(host: &Sluicegate) -> (Option<i32>, String) {
    let ended = host.run(&["--log-format", "text", "run", "pipeline.yaml"], PATIENCE);
    (ended.status.code(), said(host, &ended.stderr))
}

/// Exit code and what a subcommand says on either output.
#[track_caller]
fn command(host: &Sluicegate, arguments: &[&str]) -> (Option<i32>, String) {
    let ended = host.run(arguments, PATIENCE);
    (ended.status.code(), said(host, &format!("{}{}", ended.stdout, ended.stderr)))
}

/// Without log lines, and with the test's own folder replaced.
fn said(host: &Sluicegate, text: &str) -> String {
    let canonical = host.folder().canonicalize().expect("the folder is there");
    let lines: Vec<&str> = text.lines().skip_while(|line| text.contains("error: ") && !line.starts_with("error: ")).collect();
    lines.join("\n").replace(canonical.to_str().expect("UTF-8"), "FOLDER").replace(host.folder().to_str().expect("UTF-8"), "FOLDER")
}

/// The ids of a table's records of a sink, in order.
#[track_caller]
fn ids(host: &Sluicegate, sink: &str, table: &str) -> Vec<u64> {
    let records = files::records(&host.path("out"), sink);
    records.iter().filter(|r| r["_table"] == table).map(|r| r["id"].as_u64().expect("an id")).collect()
}

/// How many rows of the open transaction the sink has, by its committed place.
fn rows_of_open_transaction(host: &Sluicegate, sink: &str) -> u64 {
    if !state(host).exists() {
        return 0;
    }
    let progress = Checkpoint::look(&state(host), "binlog").expect("the checkpoint can be read");
    let place = progress.iter().find(|(name, _)| name == sink).and_then(|(_, p)| p.frontier.get("binlog").map(Offset::to_json));
    let place: Value = place.map_or(Value::Null, |place| serde_json::from_str(&place).expect("JSON"));
    let tables = place["open"][0]["rows"].as_object();
    tables.map_or(0, |tables| tables.values().map(|rows| rows.as_u64().expect("a number")).sum())
}

/// Lets the sink go on at a place.
#[track_caller]
fn set_place(host: &Sluicegate, sink: &str, place: &Value) {
    let (code, said) = command(
        host,
        &["checkpoint", "set", "pipeline.yaml", "--sink", sink, "--lane", "binlog", "--offset", &place.to_string(), "--force"],
    );
    assert_eq!(code, Some(0), "{said}");
}

/// What the checkpoint shows of a sink.
#[track_caller]
fn shown(host: &Sluicegate, sink: &str) -> Value {
    let ended = host.run(&["checkpoint", "show", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let shown: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let sinks = shown["sinks"].as_array().expect("a list");
    sinks.iter().find(|s| s["sink"] == sink).unwrap_or_else(|| panic!("no {sink} in {shown}")).clone()
}

/// Every file of a folder with its bytes, but for hidden ones (locks).
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .expect("the folder can be listed")
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| !path.file_name().expect("a name").to_string_lossy().starts_with('.'))
        .map(|path| (path.display().to_string(), fs::read(&path).expect("a file can be read")))
        .collect();
    all.sort();
    all
}
