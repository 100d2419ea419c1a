//! Positions: restarts, broken connections, transactions of every kind.

use std::{sync::Arc, time::Duration};

use sluicegate_config::{Secret, StartAt};
use sluicegate_harness::{
    database::{Flavor, Server},
    mariadb, mysql, until,
};
use sluicegate_model::{
    ErrorKind,
    change::{Item, Mark, MarkKind, Offset, Operation, Transaction},
    limits::Limits,
};
use sluicegate_mysql::MySql;
use sluicegate_source::{Begin, Source as _};

use crate::capture::{Capture, DEADLINE, anew, at, leave_out, settings, text_of};

fn servers() -> [Server; 2] {
    [mariadb::shared(), mysql::shared()]
}

pub fn ids(capture: &[crate::capture::TextChange]) -> Vec<String> {
    capture.iter().map(|c| c.after.as_ref().or(c.before.as_ref()).unwrap()[0].clone().unwrap()).collect()
}

/// The same place without GTIDs: transactions are then named by file and position.
pub fn without_gtids(begin: &Begin) -> Begin {
    let mut json: serde_json::Value = serde_json::from_str(&text_of(begin)).unwrap();
    json["gtid_set"] = serde_json::Value::Null;
    let first = format!("{}:{}", json["file"].as_str().unwrap(), json["position"]);
    for part in json.get_mut("open").and_then(|open| open.as_array_mut()).into_iter().flatten() {
        part["transaction"] = first.as_str().into();
    }
    at(&Offset::from_json(json.to_string()))
}

/// Many small batches, so that transactions are cut often.
pub fn cut_limits(changes: usize) -> Limits {
    Limits { batch_changes: changes, ..Limits::default() }
}

pub fn a_restart_at_any_row(server: &Server, by_file: bool) {
    let database = server.database("cut");
    server.sql(&format!(
        "CREATE TABLE {database}.t (id int PRIMARY KEY, note varchar(100)); CREATE TABLE {database}.other (id int PRIMARY KEY);
         CREATE TABLE {database}.passed (id int PRIMARY KEY)"
    ));
    let mut settings = settings(server, &database);
    leave_out(&mut settings, &database, "passed");
    let mut capture = Capture::start(settings.clone(), anew(), cut_limits(7));
    let many = |first: i32, count: i32| (first..first + count).map(|i| format!("({i},REPEAT('x',50))")).collect::<Vec<_>>().join(",");
    // one transaction with several events, several tables and updates between
    server.sql(&format!(
        "BEGIN; INSERT INTO {database}.t VALUES {}; INSERT INTO {database}.passed VALUES (1),(2); INSERT INTO {database}.other VALUES (1),(2),(3);
         UPDATE {database}.t SET note='y' WHERE id < 50; INSERT INTO {database}.t VALUES {}; COMMIT; INSERT INTO {database}.other VALUES (9)",
        many(0, 500),
        many(500, 447),
    ));
    let all = capture.changes(1001);
    let cuts: Vec<(Begin, usize)> = capture.held.iter().map(|b| (at(&b.offset), b.next_number() as usize)).collect();
    capture.stop();
    assert!(cuts.len() > 140, "cut into many batches: {}", cuts.len());

    for (cut, read) in cuts.iter().step_by(9) {
        let start = if by_file { without_gtids(cut) } else { cut.clone() };
        let mut capture = Capture::start(settings.clone(), start.clone(), Limits::default());
        assert_eq!(capture.changes(all.len() - read), all[*read..], "from {start:?}");
        capture.stop();
    }
}

#[test]
fn a_restart_at_any_row_of_a_transaction_loses_and_repeats_nothing_mariadb() {
    a_restart_at_any_row(&mariadb::shared(), false);
}

#[test]
fn a_restart_at_any_row_of_a_transaction_loses_and_repeats_nothing_mysql() {
    a_restart_at_any_row(&mysql::shared(), false);
}

#[test]
fn file_and_position_resume_as_exactly_as_gtids() {
    for server in servers() {
        a_restart_at_any_row(&server, true);
    }
}

#[test]
fn a_killed_dump_connection_comes_back_where_it_was() {
    for server in servers() {
        let database = server.database("killed");
        server.sql(&format!("CREATE TABLE {database}.t (id int PRIMARY KEY)"));
        let mut settings = settings(&server, &database);
        // an account of its own, so that other tests keep their connections
        settings.user = database.clone();
        settings.password = Secret::new("pw");
        server.sql(&format!("CREATE USER {database}@'127.0.0.1' IDENTIFIED BY 'pw'; GRANT ALL ON *.* TO {database}@'127.0.0.1'"));
        let mut capture = Capture::start(settings, anew(), Limits::default());
        for round in 0..3 {
            server.sql(&format!("INSERT INTO {database}.t VALUES ({}),({})", 2 * round, 2 * round + 1));
            capture.changes(2 * (round + 1));
            let query = format!("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%' AND user = '{database}'");
            let dumps = server.query(&query);
            assert!(!dumps.is_empty());
            for dump in dumps {
                // one of an earlier round may be gone already
                let _ = server.client().try_sql(&format!("KILL {}", dump[0].as_ref().unwrap()));
            }
            until("the source has connected again", DEADLINE, || capture.status.source.reconnects.get() > round as u64);
        }
        assert_eq!(ids(&capture.changes(6)), ["0", "1", "2", "3", "4", "5"]);
        capture.stop();
    }
}

#[test]
fn a_restarted_server_is_found_again() {
    for flavor in [Flavor::MariaDb, Flavor::MySql] {
        let mut server = if flavor == Flavor::MariaDb { mariadb::start(&[]) } else { mysql::start(&[]) };
        server.sql("CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY); INSERT INTO d.t VALUES (0)");
        let mut capture = Capture::start(settings(&server, "d"), anew(), Limits::default());
        server.sql("INSERT INTO d.t VALUES (1)");
        capture.changes(1);
        server.kill9();
        server.start_again();
        server.sql("INSERT INTO d.t VALUES (2)");
        assert_eq!(ids(&capture.changes(2)), ["1", "2"]);
        capture.stop();
    }
}

#[test]
fn a_server_that_falls_silent_is_noticed_and_found_again() {
    // P5: the connection stands, but nothing comes any more, as behind a gateway that has forgotten it
    for server in [mariadb::start(&[]), mysql::start(&[])] {
        server.sql("CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY)");
        let mut settings = settings(&server, "d");
        settings.heartbeat.every = Duration::from_millis(500);
        let mut capture = Capture::start(settings, anew(), Limits { connect_timeout: Duration::from_secs(1), ..Limits::default() });
        server.sql("INSERT INTO d.t VALUES (1)");
        capture.changes(1);
        let file = server.query("SELECT @@pid_file")[0][0].clone().unwrap();
        let pid = rustix::process::Pid::from_raw(std::fs::read_to_string(file).unwrap().trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        until("the silence is noticed", DEADLINE, || !capture.status.source.is_connected());
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
        server.sql("INSERT INTO d.t VALUES (2)");
        assert_eq!(ids(&capture.changes(2)), ["1", "2"]);
        assert!(capture.status.source.reconnects.get() > 0);
        capture.stop();
    }
}

#[test]
fn rows_without_transactions_and_rows_of_xa_come_out() {
    // P27: MyISAM rows and rows committed by XA never came out of a peer
    for server in servers() {
        let database = server.database("kinds");
        server
            .sql(&format!("CREATE TABLE {database}.m (id int PRIMARY KEY) ENGINE=MyISAM; CREATE TABLE {database}.t (id int PRIMARY KEY)"));
        let mut capture = Capture::start(settings(&server, &database), anew(), Limits::default());
        server.sql(&format!(
            "INSERT INTO {database}.m VALUES (1),(2); XA START '{database}'; INSERT INTO {database}.t VALUES (3); XA END '{database}';
             XA PREPARE '{database}'; XA COMMIT '{database}'; XA START 'o{database}'; INSERT INTO {database}.t VALUES (4);
             XA END 'o{database}'; XA COMMIT 'o{database}' ONE PHASE; BEGIN; INSERT INTO {database}.t VALUES (5); SAVEPOINT s;
             INSERT INTO {database}.t VALUES (6); ROLLBACK TO s; INSERT INTO {database}.t VALUES (7); COMMIT;
             CREATE TABLE {database}.c AS SELECT 8 AS id; ALTER TABLE {database}.t ADD x int; INSERT INTO {database}.t VALUES (9, 1)"
        ));
        let changes = capture.changes(8);
        assert_eq!(ids(&changes), ["1", "2", "3", "4", "5", "7", "8", "9"]);
        let end = capture.position();
        capture.stop();
        server.sql(&format!("DELETE FROM {database}.t WHERE id = 9"));
        let mut capture = Capture::start(settings(&server, &database), end, Limits::default());
        let changes = capture.changes(1);
        assert_eq!(changes[0].operation, Operation::Delete);
        capture.stop();
    }
}

#[test]
fn the_position_moves_when_only_uncaptured_tables_change() {
    // P23: a stored position must not grow old while other tables are busy
    for server in servers() {
        let (ours, theirs) = (server.database("ours"), server.database("theirs"));
        server.sql(&format!("CREATE TABLE {theirs}.t (id int PRIMARY KEY)"));
        let mut capture = Capture::start(settings(&server, &ours), anew(), Limits::default());
        let before = text_of(&capture.position());
        server.sql(&format!("INSERT INTO {theirs}.t VALUES (1)"));
        assert_ne!(capture.heartbeat().to_json(), before);
        capture.stop();
    }
}

#[test]
fn a_start_can_be_named_by_file_by_gtids_and_as_the_earliest() {
    for server in [mariadb::start(&[]), mysql::start(&[])] {
        server.sql("CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY); INSERT INTO d.t VALUES (1)");
        let (end, gtids) = match server.flavor() {
            Flavor::MariaDb => ("SHOW MASTER STATUS", "SELECT @@gtid_binlog_pos"),
            Flavor::MySql => ("SHOW BINARY LOG STATUS", "SELECT @@GLOBAL.gtid_executed"),
        };
        let end = server.query(end).remove(0);
        let file = StartAt::File { file: end[0].clone().unwrap(), position: end[1].as_ref().unwrap().parse().unwrap() };
        let gtids = StartAt::Gtid(server.query(gtids).remove(0).remove(0).unwrap());
        server.sql("FLUSH BINARY LOGS; INSERT INTO d.t VALUES (2)");
        for (start, expected) in [(file, vec!["2"]), (gtids, vec!["2"]), (StartAt::Earliest, vec!["1", "2"])] {
            let mut settings = settings(&server, "d");
            settings.start = start;
            crate::capture::precheck(settings.clone(), &anew()).unwrap();
            let mut capture = Capture::start(settings, anew(), Limits::default());
            assert_eq!(ids(&capture.changes(expected.len())), expected);
            capture.stop();
        }
    }
}

#[test]
fn changes_that_cannot_be_followed_stop_the_stream_by_name() {
    for server in servers() {
        let database = server.database("stop");
        server.sql(&format!(
            "CREATE TABLE {database}.t (id int PRIMARY KEY, p point, j json); CREATE TABLE {database}.s (id int PRIMARY KEY, x int)"
        ));
        let others = server.database("others");
        server.sql(&format!("CREATE TABLE {others}.t (id int PRIMARY KEY, p point)"));
        let failure = |statements: &str, tables: &str| {
            let mut settings = settings(&server, &database);
            leave_out(&mut settings, &database, tables);
            let mut capture = Capture::in_spite(settings, Limits::default());
            // tables that are not captured are never decoded
            server.sql(&format!("REPLACE INTO {others}.t VALUES (1, POINT(1, 2))"));
            server.sql(statements);
            let error = capture.failure();
            assert_eq!(error.kind(), ErrorKind::Source);
            assert!(error.remedy_text().is_some(), "{error}");
            error.message().to_owned()
        };
        let statement = format!("SET SESSION binlog_format = STATEMENT; REPLACE INTO {database}.s VALUES (1, 1)");
        let message = failure(&statement, "t");
        assert!(message.contains(&format!("a change of {database}.s as a statement")), "{message}");
        let partial = format!(
            "SET SESSION binlog_row_image = MINIMAL; REPLACE INTO {database}.s VALUES (1, 1), (2, 2); UPDATE {database}.s SET x = 2"
        );
        let message = failure(&partial, "t");
        assert!(message.contains(&format!("rows of {database}.s that do not hold every column")), "{message}");
    }
}

#[test]
fn two_readers_with_one_server_id_are_told_apart() {
    // P19: two readers kicked each other out for ever
    let server = mysql::shared();
    let database = server.database("twice");
    server.sql(&format!("CREATE TABLE {database}.t (id int PRIMARY KEY)"));
    let settings = settings(&server, &database);
    let mut first = Capture::start(settings.clone(), anew(), Limits::default());
    server.sql(&format!("INSERT INTO {database}.t VALUES (1)"));
    first.changes(1);
    let mut second = Capture::start(settings, anew(), Limits::default());
    server.sql(&format!("INSERT INTO {database}.t VALUES (2)"));
    second.changes(1);
    let error = first.failure();
    assert_eq!(error.kind(), ErrorKind::Source);
    assert!(error.remedy_text().unwrap().contains("server_id"), "{error}");
    second.stop();
}

#[test]
fn heartbeats_keep_an_idle_connection_alive_and_lag_falls_to_zero() {
    // of its own: what other tests write into a shared one's binlog is not idle
    let server = mariadb::start(&[]);
    let database = server.database("idle");
    server.sql(&format!("CREATE TABLE {database}.t (id int PRIMARY KEY)"));
    let mut settings = settings(&server, &database);
    // dead after three seconds of silence: a busy machine must not look like one
    settings.heartbeat.every = Duration::from_secs(1);
    let mut capture = Capture::start(settings, anew(), Limits::default());
    server.sql(&format!("INSERT INTO {database}.t VALUES (1)"));
    capture.changes(1);
    let heard = capture.status.source.heard_us();
    until("five seconds of heartbeats", DEADLINE, || capture.status.source.heard_us() > heard + 5_000_000);
    assert_eq!(capture.status.source.reconnects.get(), 0);
    assert_eq!(capture.status.source.lag_us(), 0);
    capture.stop();
}

#[test]
fn tagged_gtids_are_kept_and_resumed_from() {
    // P28: a tagged set was refused as malformed
    let server = mysql::start(&[]);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY)");
    let mut capture = Capture::start(settings(&server, "d"), anew(), Limits::default());
    server.sql("SET gtid_next = 'AUTOMATIC:blue'; INSERT INTO d.t VALUES (1); INSERT INTO d.t VALUES (2)");
    capture.changes(2);
    while !text_of(&capture.position()).contains(":blue:1-2") {
        capture.heartbeat();
    }
    let end = capture.position();
    let id = capture.held[0].transactions[0].id.clone().unwrap();
    assert!(id.ends_with(":blue:1"), "{id}");
    capture.stop();
    server.sql("FLUSH BINARY LOGS; INSERT INTO d.t VALUES (3)");
    crate::capture::precheck(settings(&server, "d"), &end).unwrap();
    let mut capture = Capture::start(settings(&server, "d"), end, Limits::default());
    assert_eq!(ids(&capture.changes(1)), ["3"]);
    capture.stop();
}

/// A crash between the rows before a statement and the statement's own items must lose none of them: no row comes with a place behind it.
fn rows_before_a_statement_have_a_place_before_it(server: &Server) {
    let database = server.database("before_statement");
    server.sql(&format!("CREATE TABLE {database}.t (id int PRIMARY KEY); CREATE TABLE {database}.u (id int PRIMARY KEY)"));
    let mut settings = settings(server, &database);
    settings.schema_changes = true;
    let mut start = Capture::start(settings.clone(), anew(), Limits::default());
    server.sql(&format!("INSERT INTO {database}.u VALUES (100)"));
    start.changes(1);
    let begin = start.position();
    start.stop();
    server.sql(&format!(
        "INSERT INTO {database}.t VALUES (1); TRUNCATE TABLE {database}.t; INSERT INTO {database}.t VALUES (2);
         ALTER TABLE {database}.t ADD a int; INSERT INTO {database}.u VALUES (3); DROP TABLE {database}.t, {database}.u"
    ));
    let ledger = MySql::new(settings.clone(), Limits::default(), Arc::default(), "ledger").ledger();
    for begin in [begin.clone(), without_gtids(&begin)] {
        let mut capture = Capture::start(settings.clone(), begin, Limits { batch_wait: Duration::from_secs(2), ..Limits::default() });
        let (mut rows, mut marks) = (Vec::new(), 0);
        while marks < 6 {
            let had =
                |transaction: &Transaction, rows: &[Offset], now| rows.iter().any(|row| ledger.had_whole(row, transaction, now).unwrap());
            match capture.item().expect("the source runs") {
                Item::Rows(batch) => rows.push(batch.offset),
                Item::Mark(Mark { kind: MarkKind::Truncate(truncate), offset, .. }) => {
                    marks += 1;
                    assert!(!had(&truncate.transaction, &rows, &offset), "{:?}", truncate.table.name);
                }
                Item::Mark(Mark { kind: MarkKind::Schema(change), offset, .. }) => {
                    marks += 1;
                    let statement = change.statement.expect("a statement");
                    assert!(!had(&statement.transaction, &rows, &offset), "{}", statement.text);
                }
                Item::Mark(_) => {}
            }
        }
        assert!(!rows.is_empty());
        capture.stop();
    }
}

#[test]
fn rows_before_a_statement_that_empties_or_changes_tables_have_a_place_before_it() {
    for server in servers() {
        rows_before_a_statement_have_a_place_before_it(&server);
    }
}
