//! How a pipeline reaches its server and stays connected: accounts, TLS, sockets, several servers, retries, heartbeats, rates.

mod accounts;
mod again;
mod checks;
mod documented;
mod hosts;
mod kinds;
mod many;
mod margin;
mod pace;
mod tls;

use std::{fs, time::Duration};

use sluicegate_harness::{
    database::{Flavor, Server},
    files,
    host::{Ended, Process, Sluicegate, http_get},
    mariadb, mysql,
};

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(60);

/// This run's shared servers.
fn shared() -> [Server; 2] {
    [mariadb::shared(), mysql::shared()]
}

/// The text of a pipeline file. `source` says how the server is reached, and further settings; `limits` begin with a comma.
fn pipeline(database: &str, source: &str, limits: &str) -> String {
    format!(
        "name: connect
source: {{ type: mysql, tables: ['{database}.*'], {source} }}
sinks: [{{ type: file, name: t, format: flat, folder: out, prefix: t }}]
limits: {{ checkpoint_interval: 20ms, connect_timeout: 5s{limits} }}
"
    )
}

/// The account of the test servers.
fn account(server: &Server) -> String {
    format!("user: {}, password: {}", server.user(), server.password())
}

/// Makes `table` with a key in a database of its own.
fn table(server: &Server, prefix: &str) -> String {
    let database = server.database(prefix);
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY)"));
    database
}

/// Starts the pipeline, and returns once it reads.
fn start(host: &Sluicegate) -> Process {
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", PATIENCE);
    process
}

#[track_caller]
fn stop(process: Process) -> Ended {
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    ended
}

/// Waits for so many records.
#[track_caller]
fn wait_for(process: &mut Process, host: &Sluicegate, count: usize) {
    let folder = host.path("out");
    process.wait_until(&format!("{count} records"), PATIENCE, || files::count_so_far(&folder, "t") >= count);
}

/// The ids of the records, in order.
#[track_caller]
fn ids(host: &Sluicegate) -> Vec<u64> {
    files::records(&host.path("out"), "t").iter().map(|record| record["id"].as_u64().expect("an id")).collect()
}

/// Exit code of a check, and what it says.
#[track_caller]
fn check(host: &Sluicegate) -> (Option<i32>, String) {
    let ended = host.run(&["--log-format", "text", "check", "pipeline.yaml"], PATIENCE);
    (ended.status.code(), format!("{}{}", ended.stdout, ended.stderr))
}

/// Waits until `/readyz` says so.
#[track_caller]
fn wait_until_ready_says(process: &mut Process, port: u16, text: &str) {
    process
        .wait_until(&format!("/readyz says {text:?}"), PATIENCE, || http_get(port, "/readyz").is_some_and(|(_, body)| body.contains(text)));
}

/// Ends the connections of an account.
fn disconnect(server: &Server, user: &str) {
    for row in server.query(&format!("SELECT id FROM information_schema.processlist WHERE user = '{user}'")) {
        let id = row[0].clone().expect("an id");
        // it may have ended meanwhile
        let _ = server.client().try_sql(&format!("KILL {id}"));
    }
}
