//! The rules that plugins are given in a pipeline file: for many tables, for tables that change, and for names that do not exist.

mod check;
mod closed;
mod columns;
mod conditions;

use std::{fs, time::Duration};

use serde_json::{Value, json};
use sluicegate_guest_builder::repository;
use sluicegate_harness::{
    database::Server,
    files,
    host::{Ended, Process, Sluicegate},
    mariadb, mysql,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The text of a pipeline file that captures the tables of `database`; in `plugins` `DB` stands for it.
fn pipeline(server: &Server, database: &str, plugins: &str, rest: &str) -> String {
    let (port, user, password) = (server.port(), server.user(), server.password());
    format!(
        "name: rules
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{database}.*'], heartbeat: 1s }}
plugins: {}
sinks: [{{ type: file, format: flat, folder: out, prefix: s }}]
limits: {{ checkpoint_interval: 20ms, retry_window: 20s }}
cache: {}
{rest}",
        plugins.replace("DB", database),
        // what was compiled once serves all tests
        repository().join("target/test-compiled").display()
    )
}

fn host(pipeline: &str) -> Sluicegate {
    Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), pipeline)
}

/// Starts, waits until it reads, and stops: from then on the checkpoint is there.
#[track_caller]
fn begin(host: &Sluicegate) {
    let mut process = host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    stop(process);
}

#[track_caller]
fn stop(process: Process) -> Ended {
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    ended
}

/// Runs until there are so many records.
#[track_caller]
fn run_to(host: &Sluicegate, count: usize) -> Ended {
    let mut process = host.spawn();
    let folder = host.path("out");
    process.wait_until(&format!("{count} records"), PATIENCE, || files::count_so_far(&folder, "s") >= count);
    stop(process)
}

/// A run that ends with an error: what it says.
#[track_caller]
fn stops(host: &Sluicegate, database: &str) -> String {
    let ended = host.run(&["--log-format", "text", "run", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let error = ended.stderr.find("error: ").map_or("", |at| &ended.stderr[at..]);
    error.replace(database, "DB")
}

/// What was delivered: operation, table and the columns of each record.
fn delivered(host: &Sluicegate) -> Vec<Value> {
    let own = |(name, _): &(String, Value)| !name.starts_with('_') || matches!(name.as_str(), "_op" | "_table");
    let record = |record: Value| match record {
        Value::Object(fields) => Value::Object(fields.into_iter().filter(own).collect()),
        other => other,
    };
    files::records(&host.path("out"), "s").into_iter().map(record).collect()
}

/// No address in clear in anything that was delivered.
#[track_caller]
fn nothing_in_clear(host: &Sluicegate) {
    for file in files::list(&host.path("out"), "s") {
        let text = fs::read_to_string(file).expect("readable");
        assert!(!text.contains("example.org"), "{text}");
    }
}
