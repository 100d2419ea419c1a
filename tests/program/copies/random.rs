//! A table that changes all through its copy.

use sluicegate_harness::{
    database::Server,
    files,
    host::{Process, Sluicegate},
    mariadb, mysql,
};
use sluicegate_state::Checkpoint;

use super::*;

const ROWS: u64 = 6000;

/// Waits until every table has been copied to every sink.
pub(super) fn wait_for_copy(process: &mut Process, host: &Sluicegate) {
    wait_for_copy_number(process, host, 1);
}

/// The same for a later copy.
pub(super) fn wait_for_copy_number(process: &mut Process, host: &Sluicegate, number: u64) {
    process.wait_until("the end of the copy", PATIENCE, || {
        let lanes = copies(host);
        !lanes.is_empty() && lanes.iter().all(|lane| lane["copy"] == number && lane["done"] == true)
    });
}

/// The same, whatever copies of the tables they are: those of tables without a key begin again.
pub(super) fn wait_for_all(process: &mut Process, host: &Sluicegate) {
    process.wait_until("the end of all copies", PATIENCE, || {
        let lanes = copies(host);
        !lanes.is_empty() && lanes.iter().all(|lane| lane["done"] == true)
    });
}

/// The places of all copies in the checkpoint.
pub(super) fn copies(host: &Sluicegate) -> Vec<Value> {
    // not there yet, or being made
    let Ok(progress) = Checkpoint::look(&host.path("sluicegate-state/copies.db"), "copies") else { return Vec::new() };
    let lanes = progress.iter().flat_map(|(_, progress)| progress.frontier.lanes()).filter(|(lane, _)| lane.name() != "binlog");
    lanes.map(|(_, offset)| serde_json::from_str(&offset.to_json()).expect("JSON")).collect()
}

/// Waits for the record of a row of the table `last`.
pub(super) fn wait_for_last(process: &mut Process, host: &Sluicegate, sink: &str, id: u32) {
    let (folder, wanted) = (host.path("out"), format!("\"after\":{{\"id\":{id}}}"));
    process.wait_until("the last row", PATIENCE, || {
        files::list(&folder, sink).iter().any(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains(&wanted)))
    });
}

pub(super) fn stop(process: Process) {
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
}

/// Copies a table of so many rows while a session changes it, and runs a statement between two changes.
pub(super) fn a_changing_table_ends_equal(server: &Server, rows: u64, snapshot: &str, between: &str) {
    let database = server.database("copied");
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    create(&mut client, &database, rows);
    let text = pipeline(server, &format!("['{database}.*']"), snapshot, &["a"], ", batch_changes: 100");
    let host = Sluicegate::new(BINARY, &text);
    let writer = Writer::start_with(server, &database, 7, rows, between);
    let mut process = host.spawn();
    wait_for_copy(&mut process, &host);
    writer.stop();
    client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    wait_for_last(&mut process, &host, "a", 1);
    stop(process);
    equal(&replay(&host, "a", "t"), &on_server(server, &database));
    let counts = operations(&host, "a", "t");
    assert!(counts["r"] > rows / 3 && counts.len() >= 4, "{counts:?}");
}

#[test]
fn a_table_that_changes_all_through_its_copy_ends_equal_mariadb() {
    a_changing_table_ends_equal(&mariadb::shared(), ROWS, "{ rows_per_second: 3000 }", "DO 0");
}

#[test]
fn a_table_that_changes_all_through_its_copy_ends_equal_mysql() {
    a_changing_table_ends_equal(&mysql::shared(), ROWS, "{ rows_per_second: 3000 }", "DO 0");
}

/// A kill at any moment, and the copy goes on in the middle of the table: nothing twice, nothing lost.
fn killed_again_and_again(server: &Server) {
    let database = server.database("copied_killed");
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    create(&mut client, &database, ROWS);
    let snapshot = "{ mode: initial, rows_per_second: 1500 }";
    let text = pipeline(server, &format!("['{database}.*']"), snapshot, &["a", "b"], ", batch_changes: 50");
    let host = Sluicegate::new(BINARY, &text);
    let writer = Writer::start(server, &database, 8, ROWS);
    let reads = || {
        files::list(&host.path("out"), "a")
            .iter()
            .map(|f| std::fs::read_to_string(f).map_or(0, |t| t.matches("\"op\":\"r\"").count()))
            .sum::<usize>()
    };
    let mut in_the_middle = 0;
    for kill in 0..6 {
        let mut process = host.spawn();
        if kill % 3 == 0 {
            process.wait_for_line("starting", PATIENCE);
        } else {
            let goal = reads() + 400;
            process.wait_until("more rows", PATIENCE, || reads() >= goal);
        }
        process.kill9();
        in_the_middle += copies(&host).iter().filter(|lane| lane["last_key"].is_array()).count();
    }
    assert!(in_the_middle >= 4, "{in_the_middle} of the places were in the middle of the table");
    let mut process = host.spawn();
    wait_for_copy(&mut process, &host);
    writer.stop();
    client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    wait_for_last(&mut process, &host, "a", 1);
    wait_for_last(&mut process, &host, "b", 1);
    stop(process);
    for sink in ["a", "b"] {
        equal(&replay(&host, sink, "t"), &on_server(server, &database));
    }
    // a start without anything to copy changes nothing
    let before = operations(&host, "a", "t");
    client.sql(&format!("INSERT INTO {database}.last VALUES (2)"));
    let mut process = host.spawn();
    wait_for_last(&mut process, &host, "a", 2);
    stop(process);
    assert_eq!(operations(&host, "a", "t"), before);
}

#[test]
fn a_copy_that_is_killed_goes_on_in_the_middle_of_its_table_mariadb() {
    killed_again_and_again(&mariadb::shared());
}

#[test]
fn a_copy_that_is_killed_goes_on_in_the_middle_of_its_table_mysql() {
    killed_again_and_again(&mysql::shared());
}

/// Connections break again and again, those of the stream and those of the copy.
fn broken_connections(server: &Server) {
    let database = server.database("copied_broken");
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    create(&mut client, &database, ROWS / 3);
    let text = pipeline(server, &format!("['{database}.*']"), "{ rows_per_second: 500 }", &["a"], ", batch_changes: 50");
    let host = Sluicegate::new(BINARY, &text);
    let writer = Writer::start(server, &database, 9, ROWS / 3);
    let own = client.value("SELECT CONNECTION_ID()").expect("a number");
    let mut process = host.spawn();
    let reads = || {
        let files = files::list(&host.path("out"), "a");
        files.iter().map(|f| std::fs::read_to_string(f).map_or(0, |t| t.matches("\"op\":\"r\"").count())).sum::<usize>()
    };
    for goal in 1..=6 {
        process.wait_until("more rows", PATIENCE, || reads() >= goal * 200);
        let all = format!(
            "SELECT id FROM information_schema.processlist WHERE id <> {own} AND (command LIKE 'Binlog Dump%' OR (command = 'Sleep' AND db IS NULL))"
        );
        for connection in client.query(&all) {
            // it may have ended by itself
            let _ = client.try_sql(&format!("KILL {}", connection[0].as_ref().expect("a number")));
        }
    }
    wait_for_copy(&mut process, &host);
    writer.stop();
    client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    wait_for_last(&mut process, &host, "a", 1);
    stop(process);
    equal(&replay(&host, "a", "t"), &on_server(server, &database));
}

#[test]
fn a_copy_goes_on_when_its_connections_break_mariadb() {
    broken_connections(&mariadb::start(&[]));
}

#[test]
fn a_copy_goes_on_when_its_connections_break_mysql() {
    broken_connections(&mysql::start(&[]));
}
