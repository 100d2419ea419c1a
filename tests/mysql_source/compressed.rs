//! Compressed logs: MySQL's transactions, which come packed into one event, and MariaDB's events.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

use serde_json::Value;
use sluicegate_config::TlsMode;
use sluicegate_harness::{
    database::Server,
    files,
    host::{Process, Sluicegate},
    mariadb, mysql,
};
use sluicegate_model::{ErrorKind, limits::Limits};

use crate::{
    capture::{Capture, anew, at, settings},
    resume::{a_restart_at_any_row, cut_limits, ids},
};

const PATIENCE: Duration = Duration::from_secs(120);

fn compressing() -> Server {
    mysql::start(&["--binlog-transaction-compression=ON"])
}

#[test]
fn compressed_logs_are_read() {
    let maria = mariadb::start(&["--log-bin-compress=ON", "--log-bin-compress-min-len=10"]);
    let mysql = mysql::start(&["--binlog-transaction-compression=ON"]);
    for server in [&maria, &mysql] {
        server.sql("CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY, x varchar(200))");
        let mut capture = Capture::start(settings(server, "d"), anew(), cut_limits(3));
        server.sql("INSERT INTO d.t VALUES (1, REPEAT('a',200)),(2, REPEAT('b',200)),(3, ''),(4, ''); UPDATE d.t SET x = REPEAT('c', 100) WHERE id > 2; DELETE FROM d.t");
        let all = capture.changes(10);
        let places: BTreeSet<_> = capture.held.iter().flat_map(|b| b.changes.iter().map(|c| b.place(c))).collect();
        assert_eq!(places.len(), 10, "file, position and row identify a change, also inside a compressed transaction");
        let cut = at(&capture.held[0].offset);
        capture.stop();
        let mut capture = Capture::start(settings(server, "d"), cut, Limits::default());
        assert_eq!(capture.changes(7), all[3..]);
        capture.stop();
    }
}

#[test]
fn a_restart_at_any_row_of_a_compressed_transaction_loses_and_repeats_nothing() {
    let server = compressing();
    for by_file in [false, true] {
        a_restart_at_any_row(&server, by_file);
    }
}

#[test]
fn a_compressed_transaction_is_read_whichever_way_the_dump_comes() {
    let server = compressing();
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY, x varchar(2000))");
    let plain = settings(&server, "d");
    let mut encrypted = settings(&server, "d");
    encrypted.tls = TlsMode::Required;
    // with a file, the other client reads; without verification neither looks into it
    let mut other = settings(&server, "d");
    other.ca_file = Some("ca.pem".into());
    let mut captures = [plain, encrypted, other].map(|settings| Capture::start(settings, anew(), Limits::default()));
    let rows = |from: u32| (from..from + 100).map(|id| format!("({id},REPEAT('x',1500))")).collect::<Vec<_>>().join(",");
    server.sql(&format!(
        "BEGIN; INSERT INTO d.t VALUES {}; INSERT INTO d.t VALUES {}; COMMIT; INSERT INTO d.t VALUES (1000,'')",
        rows(0),
        rows(100)
    ));
    let expected: Vec<String> = (0..200).chain([1000]).map(|id| id.to_string()).collect();
    for capture in &mut captures {
        assert_eq!(ids(&capture.changes(201)), expected);
    }
    captures.into_iter().for_each(Capture::stop);
}

#[test]
fn an_event_in_a_compressed_transaction_that_is_too_large_is_told_with_what_to_raise() {
    let server = compressing();
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY, x longtext)");
    let mut capture = Capture::start(settings(&server, "d"), anew(), Limits { row_bytes: 64 << 10, ..Limits::default() });
    server.sql("INSERT INTO d.t VALUES (1, REPEAT('x', 3000000))");
    let error = capture.failure();
    assert_eq!(error.kind(), ErrorKind::Source);
    assert!(error.to_string().contains("a compressed transaction with an event of 30000"), "{error}");
    assert!(error.remedy_text().unwrap().starts_with("Raise limits.row_bytes to 30000"), "{error}");
    // raised like that it goes on
    let raised = Limits { row_bytes: 3_001_000, ..Limits::default() };
    let mut capture = Capture::start(settings(&server, "d"), anew(), raised);
    server.sql("INSERT INTO d.t VALUES (2, REPEAT('x', 3000000))");
    assert_eq!(ids(&capture.changes(1)), ["2"]);
    capture.stop();
}

/// The most memory that a process has had, in bytes.
fn peak(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("a running process has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the status has the peak");
    line.trim().strip_suffix("kB").expect("in kB").trim().parse::<u64>().expect("a number") * 1024
}

/// Whether the last record is that of the last row.
fn ends_with(folder: &Path, last: u64) -> bool {
    let Some(file) = files::list(folder, "t").pop() else { return false };
    let mut file = File::open(file).expect("readable");
    let end = file.seek(SeekFrom::End(0)).expect("a file has an end");
    file.seek(SeekFrom::Start(end.saturating_sub(300))).expect("readable");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("readable");
    text.ends_with('\n') && text.lines().last().is_some_and(|line| line.contains(&format!("\"id\":{last},")))
}

#[test]
fn a_compressed_transaction_is_streamed_in_little_memory_and_survives_kills() {
    const ROWS: u64 = 200_000;
    const UPDATES: usize = 13;
    // two images of 8000 bytes each for 1000 rows
    let unpacked = UPDATES as u64 * 16_000_000;
    let server = compressing();
    server.sql(
        "CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY, x varchar(100));
         CREATE TABLE d.wide (id int PRIMARY KEY, n int, x varchar(8000) CHARSET ascii);
         SET SESSION cte_max_recursion_depth = 1000;
         INSERT INTO d.wide WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 1000) SELECT n, 0, REPEAT('x', 8000) FROM s",
    );
    let start = server.query("SHOW BINARY LOG STATUS").remove(0);
    let [file, position] = [0, 1].map(|column| start[column].clone().expect("no null"));
    let numbers = |from: u64, to: u64| format!("WITH RECURSIVE s(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {to})");
    // most of it is in a table that is passed over, which costs no time
    server.sql(&format!(
        "SET SESSION cte_max_recursion_depth = {ROWS}; BEGIN; INSERT INTO d.t {} SELECT n, REPEAT(CHAR(97 + n % 26), 60) FROM s; {}
         INSERT INTO d.t {} SELECT n, REPEAT(CHAR(97 + n % 26), 60) FROM s; COMMIT; INSERT INTO d.t VALUES ({ROWS}, '')",
        numbers(0, ROWS / 2),
        "UPDATE d.wide SET n = n + 1;".repeat(UPDATES),
        numbers(ROWS / 2, ROWS)
    ));
    let end: u64 = server.query("SHOW BINARY LOG STATUS").remove(0)[1].as_ref().expect("no null").parse().expect("a number");
    assert!(end < unpacked / 20, "the server has compressed it: {end} bytes");

    let (port, user, password) = (server.port(), server.user(), server.password());
    let pipeline = format!(
        "name: compressed
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: [d.t], start: {{ file: {file}, position: {position} }} }}
sinks: [{{ type: file, format: flat, folder: out, prefix: t }}]
limits: {{ checkpoint_interval: 20ms }}
"
    );
    let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline);
    let folder = host.path("out");
    // in the middle of the one transaction, before the wide rows and behind them: a record has 250 bytes
    for part in [25, 185] {
        let mut process = host.spawn();
        process.wait_until("a part", PATIENCE, || files::bytes_so_far(&folder, "t") > ROWS * part);
        process.kill9();
    }
    let mut process = host.spawn();
    process.wait_until("the last row", PATIENCE, || ends_with(&folder, ROWS));
    let peak = peak(&process);
    assert!(peak < unpacked / 3, "peak {peak} of {unpacked}");
    process.sigterm();
    assert!(process.wait(PATIENCE).status.success());
    let mut next = 0;
    for file in files::list(&folder, "t") {
        for line in BufReader::new(File::open(file).expect("readable")).lines() {
            let record: Value = serde_json::from_str(&line.expect("readable")).expect("a record");
            assert_eq!(record["id"], next);
            let expected = if next < ROWS { char::from(b'a' + (next % 26) as u8).to_string().repeat(60) } else { String::new() };
            assert_eq!(record["x"], expected, "{next}");
            next += 1;
        }
    }
    assert_eq!(next, ROWS + 1);
}
