//! The copy of tables and the stream of their changes, as one history: whatever happens while a table is copied, what was delivered
//! ends as the table is, and no row is delivered older than it was delivered before.

mod cases;
mod histories;
mod keyless;
mod keys;
mod live;
mod random;
mod throttles;
mod unlogged;
mod zones;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;
use sluicegate_harness::{
    database::{Client, Server},
    files,
    host::Sluicegate,
};
use sluicegate_model::splitmix;

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(120);

/// The text of a pipeline file with a file sink `a` for each prefix.
fn pipeline(server: &Server, tables: &str, snapshot: &str, sinks: &[&str], limits: &str) -> String {
    let (port, user, password) = (server.port(), server.user(), server.password());
    let sink = |name: &&str| format!("{{ type: file, name: {name}, format: debezium, folder: out, prefix: {name} }}");
    let sinks = sinks.iter().map(sink).collect::<Vec<_>>().join(", ");
    format!(
        "name: copies
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: {tables}, heartbeat: 1s, snapshot: {snapshot} }}
sinks: [{sinks}]
limits: {{ checkpoint_interval: 20ms, retry_window: 20s{limits} }}
"
    )
}

/// A table with a composite key of a text under its collation and a number. `v` rises with every change of any row.
fn create(client: &mut Client, database: &str, rows: u64) {
    client.sql(&format!(
        "CREATE TABLE {database}.t (name VARCHAR(20) NOT NULL, id INT NOT NULL, v BIGINT NOT NULL, PRIMARY KEY (name, id));
         CREATE TABLE {database}.last (id INT PRIMARY KEY)"
    ));
    let values: Vec<String> = (0..rows).map(|id| format!("('{}', {id}, {id})", name(id))).collect();
    for some in values.chunks(1000) {
        client.sql(&format!("INSERT INTO {database}.t VALUES {}", some.join(", ")));
    }
}

/// Names whose order under a collation is not that of their bytes, and which are equal to others under it.
fn name(number: u64) -> String {
    let base = ["a", "Z", "é", "B", "ä", "z", "A", "o", "Ö", "é "][number as usize % 10];
    format!("{base}{}", number % 37)
}

/// Changes rows of a table all the time.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Writer {
    fn start(server: &Server, database: &str, seed: u64, rows: u64) -> Self {
        Self::start_with(server, database, seed, rows, "DO 0")
    }

    /// With a statement after each change.
    fn start_with(server: &Server, database: &str, seed: u64, rows: u64, between: &str) -> Self {
        Self::start_from(server, database, seed, (rows, rows), between)
    }

    /// With versions above a number, which another writer has reached.
    fn start_from(server: &Server, database: &str, seed: u64, (rows, version): (u64, u64), between: &str) -> Self {
        Self::run(server, database, seed, version, between, move |next, version| {
            let (id, other) = (next(rows + rows / 2), next(rows + rows / 2));
            match next(8) {
                0 | 1 => format!("INSERT IGNORE INTO t VALUES ('{}', {id}, {version})", name(other)),
                2 => format!("DELETE FROM t WHERE id = {id}"),
                // another key, also one that is equal under the collation
                3 => format!("UPDATE IGNORE t SET name = UPPER(name), v = {version} WHERE id = {id}"),
                4 => format!("UPDATE IGNORE t SET name = '{}', v = {version} WHERE id = {id}", name(other)),
                5 => format!("UPDATE IGNORE t SET id = {other}, v = {version} WHERE id = {id}"),
                6 => format!("REPLACE INTO t VALUES ('{}', {id}, {version})", name(id)),
                _ => format!("UPDATE t SET v = {version} WHERE id BETWEEN {id} AND {}", id + 3),
            }
        })
    }

    /// With statements that are made of random numbers and of one that rises.
    fn run(
        server: &Server,
        database: &str,
        seed: u64,
        above: u64,
        between: &str,
        statement: impl Fn(&mut dyn FnMut(u64) -> u64, u64) -> String + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, opts, database, between) = (stop.clone(), server.opts(), database.to_owned(), between.to_owned());
        let thread = thread::spawn(move || {
            let mut client = Client::connect(opts);
            client.sql(&format!("SET NAMES utf8mb4; USE {database}"));
            // another seed for longer trials
            let seed = std::env::var("COPIES_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
            let (mut random, mut version) = (seed, above);
            while !ended.load(Ordering::Relaxed) {
                version += 1;
                let text = statement(&mut |below| splitmix::next(&mut random) % below, version);
                client.sql(&text);
                client.sql(&between);
            }
            version
        });
        Self { stop, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the writer ends")
    }
}

/// What a reader of the records has of a table in the end. No row may be older than it was before.
fn replay(host: &Sluicegate, sink: &str, table: &str) -> BTreeMap<(String, u64), u64> {
    let mut rows = BTreeMap::new();
    let mut newest: BTreeMap<(String, u64), u64> = BTreeMap::new();
    let of = |row: &Value| {
        let number = |name: &str| row[name].as_u64().expect("a number");
        ((row["name"].as_str().expect("a text").to_owned(), number("id")), number("v"))
    };
    for record in files::records(&host.path("out"), sink) {
        if record["source"]["table"] != table {
            continue;
        }
        if !record["before"].is_null() {
            rows.remove(&of(&record["before"]).0);
        }
        if record["op"] == "t" {
            rows.clear();
        }
        if !record["after"].is_null() {
            let (key, version) = of(&record["after"]);
            let before = newest.insert(key.clone(), version).unwrap_or_default();
            assert!(before <= version, "{key:?} went back from {before} to {version}: {record}");
            rows.insert(key, version);
        }
    }
    rows
}

/// The table as the server has it.
fn on_server(server: &Server, database: &str) -> BTreeMap<(String, u64), u64> {
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    let rows = client.query(&format!("SELECT name, id, v FROM {database}.t"));
    let row = |row: Vec<Option<String>>| {
        let [name, id, v] = <[Option<String>; 3]>::try_from(row).expect("three columns").map(|value| value.expect("not null"));
        ((name, id.parse().expect("a number")), v.parse().expect("a number"))
    };
    rows.into_iter().map(row).collect()
}

#[track_caller]
fn equal(delivered: &BTreeMap<(String, u64), u64>, there: &BTreeMap<(String, u64), u64>) {
    let missing: Vec<_> = there.iter().filter(|(key, v)| delivered.get(*key) != Some(v)).take(5).collect();
    let left: Vec<_> = delivered.iter().filter(|(key, _)| !there.contains_key(*key)).take(5).collect();
    assert!(missing.is_empty() && left.is_empty(), "missing or old {missing:?}, left over {left:?}");
}

/// How many records of each operation a sink has of a table.
fn operations(host: &Sluicegate, sink: &str, table: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for record in files::records(&host.path("out"), sink).iter().filter(|record| record["source"]["table"] == table) {
        *counts.entry(record["op"].as_str().expect("an operation").to_owned()).or_default() += 1;
    }
    counts
}
