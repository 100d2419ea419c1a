//! Histories that a copy has to survive: another server, too many changes, and whatever chance brings.

use sluicegate_harness::{
    database::Server,
    host::{Process, Sluicegate},
    mariadb, mysql, until,
};

use super::*;
use crate::binlog::failover::follow;

/// Another server goes on for the first one in the middle of a table.
fn failover(primary: &Server, replica: &Server) {
    let mut client = primary.client();
    client.sql("SET NAMES utf8mb4; CREATE DATABASE d");
    create(&mut client, "d", 2000);
    client.sql("CREATE TABLE d.k (n INT); INSERT INTO d.k SELECT id FROM d.t WHERE id < 500");
    follow(replica, primary);
    let text = |server: &Server, rate: &str| {
        pipeline(server, "['d.*']", &format!("{{ readers: 1, mode: initial{rate} }}"), &["a", "b"], ", batch_changes: 50")
    };
    let host = Sluicegate::new(BINARY, &text(primary, ", rows_per_second: 800"));
    let writer = Writer::start(primary, "d", 13, 2000);
    let mut process = host.spawn();
    process.wait_until("the middle of a table", PATIENCE, || {
        random::copies(&host).iter().any(|lane| lane["last_key"].is_array() && lane["rows"].as_u64() >= Some(400))
    });
    process.kill9();
    let version = writer.stop();
    client.sql("INSERT INTO d.last VALUES (1)");
    until("the replica has everything", PATIENCE, || {
        let there = replica.query("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'd' AND table_name = 'last'");
        there[0][0].as_deref() == Some("1") && replica.query("SELECT COUNT(*) FROM d.last")[0][0].as_deref() == Some("1")
    });
    host.write_pipeline(&text(replica, ""));
    let writer = Writer::start_from(replica, "d", 14, (2000, version), "DO 0");
    let mut process = host.spawn();
    random::wait_for_all(&mut process, &host);
    writer.stop();
    replica.sql("INSERT INTO d.last VALUES (2)");
    for sink in ["a", "b"] {
        random::wait_for_last(&mut process, &host, sink, 2);
    }
    random::stop(process);
    for sink in ["a", "b"] {
        equal(&replay(&host, sink, "t"), &on_server(replica, "d"));
    }
}

#[test]
fn d2_a_failover_in_the_middle_of_a_copy_ends_equal_mariadb() {
    let strict = "--gtid-strict-mode=OFF";
    failover(&mariadb::start(&[]), &mariadb::start(&["--server-id=2002", "--log-bin=other", strict]));
}

#[test]
fn d2_a_failover_in_the_middle_of_a_copy_ends_equal_mysql() {
    failover(&mysql::start(&[]), &mysql::start(&["--server-id=2002", "--log-bin=other"]));
}

/// More rows change while a chunk is read than keys are kept.
fn too_many_keys(server: &Server) {
    let database = server.database("copied_many_changes");
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    create(&mut client, &database, 8000);
    // each of 16 readers has room for 6,250 keys
    let snapshot = "{ mode: initial, readers: 16, rows_per_second: 2500 }";
    let host = Sluicegate::new(BINARY, &pipeline(server, &format!("['{database}.t', '{database}.last']"), snapshot, &["a"], ""));
    let mut process = host.spawn_with(&["--log-format", "json", "--log-level", "sluicegate_mysql=debug", "run", "pipeline.yaml"]);
    process.wait_until("rows", PATIENCE, || random::copies(&host).iter().any(|lane| lane["rows"].as_u64() >= Some(300)));
    client.sql(&format!("LOCK TABLES {database}.t WRITE"));
    let waits = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%' AND info LIKE 'SELECT%`{database}`.`t`%'"
    );
    let mut other = server.client();
    until("the chunk waits for the lock", PATIENCE, || other.value(&waits).as_deref() == Some("1"));
    client.sql(&format!("UPDATE {database}.t SET v = v + 10000"));
    let updates = || {
        let files = files::list(&host.path("out"), "a");
        files.iter().map(|file| std::fs::read_to_string(file).map_or(0, |text| text.matches("\"op\":\"u\"").count())).sum::<usize>()
    };
    process.wait_until("the changes", PATIENCE, || updates() == 8000);
    client.sql("UNLOCK TABLES");
    random::wait_for_copy(&mut process, &host);
    client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    random::wait_for_last(&mut process, &host, "a", 1);
    assert!(process.stderr().contains("TooManyKeys"), "{}", process.stderr());
    random::stop(process);
    equal(&replay(&host, "a", "t"), &on_server(server, &database));
}

#[test]
fn d19_a_chunk_is_read_again_when_more_rows_change_than_keys_are_kept_mariadb() {
    too_many_keys(&mariadb::shared());
}

#[test]
fn d19_a_chunk_is_read_again_when_more_rows_change_than_keys_are_kept_mysql() {
    too_many_keys(&mysql::shared());
}

/// A copy with settings, kills and changes by chance. `COPIES_RUNS=1000` tries more of them, `COPIES_FIRST` begins elsewhere.
fn random_copies(server: &Server) {
    let number = |name: &str, otherwise: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (first, runs) = (number("COPIES_FIRST", 1), number("COPIES_RUNS", 2));
    for run in first..first + runs {
        random_copy(server, run);
    }
}

fn random_copy(server: &Server, run: u64) {
    let mut state = run;
    let mut next = |below: u64| splitmix::next(&mut state) % below;
    let (rows, batch, readers, rate, kills) = (50 + next(400), 1 + next(80), 1 + next(4), 200 + next(3000), next(3));
    let database = server.database("copied_by_chance");
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    keyless::create_keyless(&mut client, &database, rows);
    let snapshot = format!("{{ readers: {readers}, rows_per_second: {rate} }}");
    let text = pipeline(server, &format!("['{database}.*']"), &snapshot, &["a", "b"], &format!(", batch_changes: {batch}"));
    let host = Sluicegate::new(BINARY, &text);
    let writers = [keyless::change(server, &database, rows, "DO 0"), Writer::start(server, &database, run, 300)];
    for _ in 0..kills {
        let mut process = host.spawn();
        let goal = host_records(&host) + 1 + next(300) as usize;
        process.wait_until("more records", PATIENCE, || host_records(&host) >= goal);
        process.kill9();
    }
    let mut process: Process = host.spawn();
    random::wait_for_all(&mut process, &host);
    for writer in writers {
        writer.stop();
    }
    client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    for sink in ["a", "b"] {
        random::wait_for_last(&mut process, &host, sink, 1);
    }
    random::stop(process);
    for sink in ["a", "b"] {
        println!("run {run}, sink {sink}: {rows} rows, {text}");
        keyless::equal_bags(&keyless::replayed(&host, sink), &keyless::there(server, &database));
        equal(&replay(&host, sink, "t"), &on_server(server, &database));
    }
}

fn host_records(host: &Sluicegate) -> usize {
    files::list(&host.path("out"), "a").iter().map(|file| std::fs::read_to_string(file).map_or(0, |text| text.lines().count())).sum()
}

#[test]
fn random_copies_with_kills_end_equal_mariadb() {
    random_copies(&mariadb::shared());
}

#[test]
fn random_copies_with_kills_end_equal_mysql() {
    random_copies(&mysql::shared());
}
