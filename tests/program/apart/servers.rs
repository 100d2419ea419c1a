//! With real servers: two sessions read one binlog.

use std::path::Path;

use super::*;
use sluicegate_harness::{database::Server, files, free_port, mariadb, mysql};

/// Rows of so many bytes fill the pipe and all buffers before it.
const ROW: usize = 2000;

fn insert(server: &Server, table: &str, ids: std::ops::Range<u64>) {
    let rows: Vec<String> = ids.map(|id| format!("({id}, REPEAT('x', {ROW}))")).collect();
    for rows in rows.chunks(100) {
        server.sql(&format!("INSERT INTO {table} (id, note) VALUES {}", rows.join(", ")));
    }
}

fn ids<'a>(records: impl IntoIterator<Item = &'a Value>) -> Vec<u64> {
    records.into_iter().map(|record| record["id"].as_u64().expect("an id")).collect()
}

/// What a running program has written; nothing while a record is half there.
fn so_far(folder: &Path) -> Vec<Value> {
    let files = files::list(folder, "t");
    let text: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    text.lines().map(serde_json::from_str).collect::<Result<_, _>>().unwrap_or_default()
}

/// Nobody reads the one output for a while: meanwhile a column is added, and a plugin is. `copied`: it goes apart while the table's rows
/// are copied.
fn catches_up_exactly(server: &Server, copied: bool) {
    let (database, http) = (server.database("apart"), free_port());
    let table = format!("{database}.t");
    server.sql(&format!("CREATE TABLE {table} (id BIGINT PRIMARY KEY, note TEXT)"));
    if copied {
        insert(server, &table, 0..1500);
    }
    let snapshot = if copied { "initial" } else { "never" };
    let (port, user, password) = (server.port(), server.user(), server.password());
    // the second session has another one, or the server would end the first
    let server_id = 1_000_000 + u32::from(http);
    let pipeline = |plugins: &str| {
        format!(
            "name: apart
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{database}.*'], heartbeat: 1s, snapshot: {snapshot}, server_id: {server_id} }}
plugins: [{plugins}]
sinks:
  - {{ type: stdout, name: still, format: flat, when_slow: apart }}
  - {{ type: file, name: quick, format: flat, folder: quick, prefix: t }}
limits: {{ checkpoint_interval: 20ms, batch_changes: 50, apart_after: 50ms, retry_window: 60s }}
http: 127.0.0.1:{http}
"
        )
    };
    let host = Sluicegate::new(BINARY, &pipeline(""));
    let folder = host.path("quick");
    let mut process = Unread::start(&host);
    process.until("it reads", |process| process.log().contains("starting to read the binlog"));
    if !copied {
        insert(server, &table, 0..1500);
    }
    process.until("it is apart", |_| is_apart(http, "apart", "still"));
    process.until("the other goes on", |_| files::count_so_far(&folder, "t") == 1500);

    server.sql(&format!("ALTER TABLE {table} ADD COLUMN c INT DEFAULT 5"));
    insert(server, &table, 1500..1520);
    process.until("the other has the new column", |_| files::count_so_far(&folder, "t") == 1520);
    let renamed = format!("{{ use: map-names, config: {{ tables: [{{ from: {table}, to: {database}.u }}] }} }}");
    host.write_pipeline(&pipeline(&renamed));
    process.until("it is swapped", |process| process.log().contains("pipeline edited"));
    insert(server, &table, 1520..1540);
    process.until("the other has the new name", |_| files::count_so_far(&folder, "t") == 1540);
    assert!(is_apart(http, "apart", "still"));

    process.read();
    process.until("it has caught up", |_| !is_apart(http, "apart", "still"));
    insert(server, &table, 1540..1600);
    // a row that was inserted while its table is copied may come as copied, too
    let inserted = |records: &[Value]| records.iter().filter(|record| record["_op"] == "c").count();
    let expected = if copied { 100 } else { 1600 };
    let has_all = |records: &[Value]| inserted(records) == expected && records.iter().any(|record| record["id"] == 1599);
    process.until("both have all", |process| has_all(&process.records()) && has_all(&so_far(&folder)));
    let log = process.log();
    let (still, quick) = (process.stop(), files::records(&folder, "t"));
    for records in [&still, &quick] {
        let of = |operation: &str| ids(records.iter().filter(|record| record["_op"] == operation));
        let copies = of("r");
        assert_eq!(of("c"), if copied { (1500..1600).collect::<Vec<_>>() } else { (0..1600).collect() }, "{log}");
        assert_eq!(copies.iter().filter(|id| **id < 1500).count(), if copied { 1500 } else { 0 }, "{log}");
        assert!(copies.is_sorted_by(|one, two| one < two), "each row is copied once: {log}");
        for record in records {
            let id = record["id"].as_u64().expect("an id");
            // what is copied has the columns of its time
            assert!(record["c"] == 5 || (id < 1500 && (record["c"].is_null())), "{record}");
            // the swap has a place in each stream; what was written behind it has the new name in both
            assert!(id < 1520 || record["_table"] == "u" || record["_op"] == "r", "{record}");
        }
    }
    // a swap takes over once
    let renamed = still.iter().position(|record| record["_table"] == "u").expect("renamed");
    assert!(still[renamed..].iter().all(|record| record["_table"] == "u"));
    assert_eq!(log.matches("pipeline edited").count(), 1);
}

#[test]
fn an_output_that_went_apart_from_mariadb_catches_up_exactly() {
    catches_up_exactly(&mariadb::shared(), false);
}

#[test]
fn an_output_that_went_apart_during_a_copy_catches_up_exactly() {
    catches_up_exactly(&mysql::shared(), true);
}

#[test]
fn an_output_that_went_apart_from_mysql_catches_up_exactly() {
    catches_up_exactly(&mysql::shared(), false);
}

/// What an operator asks for while the program waits for the server, it does, and keeps.
#[test]
fn an_output_that_is_let_go_on_before_the_pipeline_has_started_goes_on_and_stays_so() {
    let mut server = mariadb::start(&[]);
    let (database, http) = (server.database("early"), free_port());
    let (table, port, user, password) = (format!("{database}.t"), server.port(), server.user().to_owned(), server.password().to_owned());
    server.sql(&format!("CREATE TABLE {table} (id BIGINT PRIMARY KEY, note TEXT)"));
    let host = Sluicegate::new(
        BINARY,
        &format!(
            "name: early
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{table}'], heartbeat: 1s }}
sinks:
  - {{ type: file, name: one, format: flat, folder: one, prefix: t }}
  - {{ type: file, name: two, format: flat, folder: two, prefix: t, when_slow: apart }}
limits: {{ checkpoint_interval: 20ms, retry_window: 60s }}
http: {{ listen: '127.0.0.1:{http}', admin: true }}
"
        ),
    );
    let two = |what: &str| host::http_request(http, "POST", &format!("/outputs/two/{what}"), &[], &[]).map(|(code, _)| code);
    let paused = || {
        let all: Value = serde_json::from_str(&host::http_get(http, "/outputs")?.1).ok()?;
        Some((all["outputs"][1]["state"].as_str()?.to_owned(), all["outputs"][1]["paused"].as_bool()?))
    };
    let count = |name: &str| files::count_so_far(&host.path(name), "t");
    let end = |process: host::Process| {
        process.sigterm();
        let ended = process.wait(PATIENCE);
        assert!(ended.status.success(), "{}", ended.stderr);
    };
    let mut process = host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    insert(&server, &table, 0..5);
    process.wait_until("both have it", PATIENCE, || (count("one"), count("two")) == (5, 5));
    assert_eq!(two("pause"), Some(202));
    process.wait_until("it is paused", PATIENCE, || paused().is_some_and(|(state, _)| state == "paused"));
    end(process);

    server.stop();
    let mut process = host.spawn();
    process.wait_until("it knows that it is paused", PATIENCE, || paused().is_some_and(|(_, paused)| paused));
    assert_eq!(two("resume"), Some(202));
    server.start_again();
    insert(&server, &table, 5..10);
    process.wait_until("both go on", PATIENCE, || (count("one"), count("two")) == (10, 10));
    end(process);
    let mut process = host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    insert(&server, &table, 10..15);
    process.wait_until("both still do", PATIENCE, || (count("one"), count("two")) == (15, 15));
    process.wait_until("it goes with the others", PATIENCE, || paused() == Some(("together".to_owned(), false)));
    end(process);
}

/// Nobody reads the one output, and then the login is refused: the run ends without the thread that writes there.
#[test]
fn a_pipeline_that_starts_over_waits_for_a_call_of_the_run_before() {
    let server = mariadb::shared();
    let (database, http) = (server.database("over"), free_port());
    let (table, port) = (format!("{database}.t"), server.port());
    let account = format!("'{database}'@'127.0.0.1'");
    server.sql(&format!(
        "CREATE TABLE {table} (id BIGINT PRIMARY KEY, note TEXT); CREATE USER {account} IDENTIFIED BY 'one';
        GRANT ALL ON *.* TO {account}"
    ));
    let host = Sluicegate::new(
        BINARY,
        &format!(
            "name: over
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {database}, password: one, tables: ['{table}'], heartbeat: 1s }}
sinks:
  - {{ type: stdout, name: still, format: flat, when_slow: apart }}
  - {{ type: file, name: quick, format: flat, folder: quick, prefix: t }}
limits: {{ checkpoint_interval: 20ms, batch_changes: 50, apart_after: 50ms, drain_timeout: 1s }}
http: 127.0.0.1:{http}
"
        ),
    );
    let mut process = Unread::start(&host);
    process.until("it reads", |process| process.log().contains("starting to read the binlog"));
    insert(&server, &table, 0..1500);
    process.until("it is apart", |_| is_apart(http, "over", "still"));
    process.until("the other goes on", |_| files::count_so_far(&host.path("quick"), "t") == 1500);

    let sessions = format!("SELECT id FROM information_schema.processlist WHERE user = '{database}'");
    server.sql(&format!("ALTER USER {account} IDENTIFIED BY 'two'"));
    for session in server.query(&sessions).into_iter().flatten().flatten() {
        // it may have ended by itself
        let _ = server.client().try_sql(&format!("KILL {session}"));
    }
    process.until("it starts over", |process| process.log().contains("starts over at its checkpoint"));
    process.until("it waits for the call", |process| process.log().contains("is still held by an earlier run of this process"));
    server.sql(&format!("ALTER USER {account} IDENTIFIED BY 'one'"));
    process.read();
    insert(&server, &table, 1500..1520);
    process.until("both go on", |process| {
        process.records().iter().any(|record| record["id"] == 1519) && files::count_so_far(&host.path("quick"), "t") == 1520
    });
    // standard output may have records twice
    let (still, quick) = (process.stop(), files::records(&host.path("quick"), "t"));
    assert_eq!(ids(&still).into_iter().collect::<std::collections::BTreeSet<_>>().len(), 1520);
    assert_eq!(ids(&quick), (0..1520).collect::<Vec<_>>());
    server.sql(&format!("DROP USER {account}"));
}
