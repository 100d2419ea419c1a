//! Kills inside a transaction, and places inside one that an older version stored.

use sluicegate_harness::{database::Server, host::Sluicegate, mariadb, mysql};

use super::*;

/// Small batches and small queues, so that a transaction takes many commits.
pub const CUT: &str = ", batch_changes: 5, queue_batches: 1";
/// Rows of each of two tables in the transaction.
pub const ROWS: u64 = 2000;

/// Tables `one` and `two` with a key, `bare` without, `last` for the end.
pub fn tables(server: &Server, database: &str) {
    for table in ["one", "two"] {
        server.sql(&format!("CREATE TABLE {database}.{table} (note MEDIUMTEXT, id INT PRIMARY KEY)"));
    }
    server.sql(&format!("CREATE TABLE {database}.bare (note MEDIUMTEXT, id INT); CREATE TABLE {database}.last (id INT PRIMARY KEY)"));
}

/// One transaction of `ROWS` rows in `one` and as many in `two`, in many statements of several rows, and few rows in `bare`.
pub fn transaction(database: &str, bytes: usize) -> String {
    let mut statements = "BEGIN;".to_owned();
    for first in (0..ROWS).step_by(25) {
        for table in ["one", "two"] {
            let rows: Vec<String> = (first..first + 25).map(|id| format!("(REPEAT('x',{bytes}),{id})")).collect();
            statements += &format!("INSERT INTO {database}.{table} VALUES {};", rows.join(","));
        }
        statements += &format!("INSERT INTO {database}.bare VALUES ('b',{first}),('b',{});", first + 1);
    }
    statements + "COMMIT;"
}

/// The ids of `one` and `two` after it.
pub fn keyed() -> Vec<u64> {
    (0..ROWS).collect()
}

/// The ids of `bare` after it.
pub fn bare() -> Vec<u64> {
    (0..ROWS).step_by(25).flat_map(|first| [first, first + 1]).collect()
}

/// Kills the process once its checkpoint is inside a transaction, beyond `rows` rows; answers how many.
#[track_caller]
pub fn kill_inside(mut process: Process, host: &Sluicegate, sink: &str, rows: u64) -> u64 {
    process.wait_until("a commit inside the transaction", PATIENCE, || rows_of_open_transaction(host, sink) > rows);
    process.kill9();
    let inside = rows_of_open_transaction(host, sink);
    assert!(inside > rows, "the transaction ended before the kill");
    inside
}

fn killed_inside_a_transaction(server: &Server) {
    let database = server.database("inside");
    tables(server, &database);
    let host = Sluicegate::new(BINARY, &pipeline_with(server, &format!("['{database}.*']"), &format!("[{}]", file("t")), CUT));
    stop(start(&host));
    server.sql(&transaction(&database, 10_000));
    server.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    let mut rows = kill_inside(host.spawn(), &host, "t", 0);
    // twice more, unless the transaction ends first
    for _ in 0..2 {
        let mut process = host.spawn();
        process.wait_until("a commit further on", PATIENCE, || rows_of_open_transaction(&host, "t") != rows);
        process.kill9();
        rows = rows_of_open_transaction(&host, "t");
        if rows == 0 {
            break;
        }
    }
    run_to(&host, &["t"], 1);
    assert_eq!(ids(&host, "t", "one"), keyed());
    assert_eq!(ids(&host, "t", "two"), keyed());
    assert_eq!(ids(&host, "t", "bare"), bare());
}

#[test]
fn kills_inside_a_transaction_lose_and_repeat_nothing_mariadb() {
    killed_inside_a_transaction(&mariadb::shared());
}

#[test]
fn kills_inside_a_transaction_lose_and_repeat_nothing_mysql() {
    killed_inside_a_transaction(&mysql::shared());
}

#[test]
fn kills_inside_a_transaction_lose_and_repeat_nothing_without_gtids() {
    killed_inside_a_transaction(&mysql::start(&["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]));
}

/// A state file as version 1 of the program wrote it, with this place of the sink `t`.
fn older_checkpoint(host: &Sluicegate, place: &Value) {
    let place = place.to_string();
    // sequence, then each text behind its length
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&17_i64.to_le_bytes());
    for field in ["t", &place, ""] {
        checksum.update(&(field.len() as u64).to_le_bytes());
        checksum.update(field.as_bytes());
    }
    fs::create_dir(host.path("sluicegate-state")).unwrap();
    let file = rusqlite::Connection::open(state(host)).unwrap();
    file.execute_batch(
        "PRAGMA application_id = 0x534c4345; PRAGMA user_version = 1;
         CREATE TABLE pipeline (name TEXT NOT NULL PRIMARY KEY) STRICT;
         CREATE TABLE sink (name TEXT NOT NULL PRIMARY KEY, sequence INTEGER NOT NULL, position TEXT NOT NULL, state TEXT NOT NULL,
             updated_at TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT;
         INSERT INTO pipeline VALUES ('binlog')",
    )
    .unwrap();
    file.execute("INSERT INTO sink VALUES ('t', 17, ?1, '', '2026-01-01T00:00:00Z', ?2)", (place, checksum.finalize())).unwrap();
}

/// A server whose log holds the transaction, the place before it as version 1 stored it, and the pipeline.
fn before_the_transaction(skip: &Value) -> (Server, Value, Sluicegate) {
    // each statement is one event, whatever its size
    let server = mariadb::start(&["--binlog-row-event-max-size=16777216"]);
    server.sql("CREATE DATABASE d");
    tables(&server, "d");
    let end = server.query("SHOW MASTER STATUS").remove(0);
    let gtids = server.client().value("SELECT @@gtid_binlog_pos");
    let position: u64 = end[1].as_ref().unwrap().parse().unwrap();
    let place = serde_json::json!({ "flavor": "mariadb", "file": end[0], "position": position, "gtid_set": gtids, "skip": skip });
    // 80 times: 25 rows of `one`, 25 of `two`, 2 of `bare`
    server.sql(&transaction("d", 10_000));
    server.sql("INSERT INTO d.last VALUES (1)");
    let host = Sluicegate::new(BINARY, &pipeline_with(&server, "['d.*']", &format!("[{}]", file("t")), CUT));
    (server, place, host)
}

#[test]
fn rows_that_an_older_version_counted_are_passed_over_also_when_it_is_killed_behind_them() {
    let (_server, place, host) = before_the_transaction(&serde_json::json!({ "events": 7, "rows": 3 }));
    older_checkpoint(&host, &place);
    kill_inside(host.spawn(), &host, "t", 200);
    run_to(&host, &["t"], 1);
    // 7 events: three of `one`, two of `two`, two of `bare`; then 3 rows of `two`
    assert_eq!(ids(&host, "t", "one"), keyed()[75..]);
    assert_eq!(ids(&host, "t", "two"), keyed()[53..]);
    assert_eq!(ids(&host, "t", "bare"), bare()[4..]);
}

#[test]
fn what_an_older_version_counted_of_a_transaction_that_is_elsewhere_is_told_and_the_transaction_comes_again() {
    let (_server, mut place, host) = before_the_transaction(&serde_json::json!({ "events": 7, "rows": 3 }));
    // a file that has been removed by age; the set says what comes next
    place["file"] = "binlog.000000".into();
    older_checkpoint(&host, &place);
    let ended = run_to(&host, &["t"], 1);
    assert!(ended.stderr.contains("that transaction comes again as a whole"), "{}", ended.stderr);
    assert_eq!(ids(&host, "t", "one"), keyed());
    assert_eq!(ids(&host, "t", "two"), keyed());
    assert_eq!(ids(&host, "t", "bare"), bare());
}
