//! How fast a copy reads, and when it waits.

use std::time::Instant;

use sluicegate_harness::{
    database::Server,
    host::{Process, Sluicegate, http_get},
    mariadb, mysql, until,
};

use super::*;
use crate::binlog::failover::follow;

/// Rows of 500 bytes or so.
fn fill(server: &Server, database: &str, rows: u64) {
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY, body VARCHAR(600) NOT NULL)"));
    let values: Vec<String> = (0..rows).map(|id| format!("({id}, REPEAT('x', 500))")).collect();
    for some in values.chunks(1000) {
        server.sql(&format!("INSERT INTO {database}.t VALUES {}", some.join(", ")));
    }
}

/// A copy takes at least so long: it may take longer on a busy machine, so nothing is said of that.
fn takes_at_least(server: &Server, database: &str, snapshot: &str, rows: u64, least: Duration) {
    let host = Sluicegate::new(BINARY, &pipeline(server, &format!("['{database}.t']"), snapshot, &["a"], ""));
    let begin = Instant::now();
    let ended = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(operations(&host, "a", "t"), BTreeMap::from([("r".to_owned(), rows)]));
    assert!(begin.elapsed() >= least, "{snapshot}: {:?}", begin.elapsed());
}

#[test]
fn c39_a_copy_keeps_to_its_rows_bytes_and_queries_a_second() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("copied_slowly");
        fill(&server, &database, 1500);
        // the time of the last statement is not waited for; one reads a tenth of a second's rows
        let second = Duration::from_secs(1);
        takes_at_least(&server, &database, "{ mode: only, rows_per_second: 1000 }", 1500, second * 13 / 10);
        takes_at_least(&server, &database, "{ mode: only, bytes_per_second: 500kB }", 1500, second * 13 / 10);
        // of 1, 100, 100 … rows: at least 16 statements
        takes_at_least(&server, &database, "{ mode: only, rows_per_second: 1000, queries_per_second: 8 }", 1500, second * 17 / 10);
    }
}

/// A pipeline with `/metrics`.
fn with_metrics(server: &Server, database: &str, snapshot: &str) -> (Sluicegate, u16) {
    let port = sluicegate_harness::free_port();
    let text = pipeline(server, &format!("['{database}.t']"), snapshot, &["a"], "");
    (Sluicegate::new(BINARY, &format!("{text}http: 127.0.0.1:{port}\n")), port)
}

/// Waits until the copy has a state, as the metrics say.
fn wait_for_state(process: &mut Process, port: u16, state: &str) -> String {
    let mut metrics = String::new();
    process.wait_until(&format!("the state {state}"), PATIENCE, || {
        metrics = http_get(port, "/metrics").map(|(_, text)| text).unwrap_or_default();
        metrics.lines().any(|line| line.starts_with("sluicegate_copy_info") && line.contains(&format!("state=\"{state}\"")))
    });
    metrics
}

fn threads_running(server: &Server) {
    let database = server.database("copied_under_load");
    fill(server, &database, 2000);
    let sleepers: Vec<_> = (0..4)
        .map(|_| {
            let opts = server.opts();
            thread::spawn(move || drop(Client::connect(opts).try_sql("SELECT SLEEP(600)")))
        })
        .collect();
    let mut client = server.client();
    let list = "SELECT id FROM information_schema.processlist WHERE info = 'SELECT SLEEP(600)'";
    until("the server is busy", PATIENCE, || client.query(list).len() == 4);
    let (host, port) = with_metrics(server, &database, "{ mode: initial, rows_per_second: 100000, pause_above: { threads_running: 4 } }");
    let mut process = host.spawn();
    let metrics = wait_for_state(&mut process, port, "paused");
    assert!(metrics.lines().any(|line| line.starts_with("sluicegate_copy_rows") && line.ends_with(" 0.0")), "{metrics}");
    for sleeper in client.query(list) {
        client.sql(&format!("KILL {}", sleeper[0].as_ref().expect("a number")));
    }
    sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("it ends"));
    let metrics = wait_for_state(&mut process, port, "done");
    let said = |name: &str, value: &str| metrics.lines().any(|line| line.starts_with(name) && line.ends_with(value));
    assert!(said("sluicegate_copy_rows", " 2000.0") && said("sluicegate_copy_remaining_seconds", " 0.0"), "{metrics}");
    let told: Value = serde_json::from_str(&http_get(port, "/tables").expect("an answer").1).expect("JSON");
    assert_eq!((&told["copies"][0]["state"], &told["copies"][0]["rows"]), (&Value::from("done"), &Value::from(2000)));
    assert!(process.stderr().contains("threads run a statement, more than 4"), "{}", process.stderr());
    random::stop(process);
}

/// Not the shared servers: other tests load them.
#[test]
fn c40_a_copy_waits_while_many_threads_of_the_server_run_mariadb() {
    threads_running(&mariadb::start(&[]));
}

#[test]
fn c40_a_copy_waits_while_many_threads_of_the_server_run_mysql() {
    threads_running(&mysql::start(&[]));
}

/// The server is a replica whose applier waits for a lock.
fn replication_lag(primary: &Server, replica: &Server) {
    primary.sql("CREATE DATABASE d; CREATE TABLE d.other (id INT PRIMARY KEY)");
    fill(primary, "d", 500);
    follow(replica, primary);
    until("the replica has the rows", PATIENCE, || {
        let tables = replica.query("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'd'");
        tables[0][0].as_deref() == Some("2") && replica.query("SELECT COUNT(*) FROM d.t")[0][0].as_deref() == Some("500")
    });
    let mut lock = replica.client();
    lock.sql("LOCK TABLES d.other READ");
    primary.sql("INSERT INTO d.other VALUES (1)");
    let waits = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%' AND time >= 3";
    until("the replica is behind", PATIENCE, || replica.query(waits)[0][0].as_deref() == Some("1"));
    let (host, port) = with_metrics(replica, "d", "{ mode: initial, pause_above: { replication_lag: 1s } }");
    let mut process = host.spawn();
    wait_for_state(&mut process, port, "paused");
    lock.sql("UNLOCK TABLES");
    wait_for_state(&mut process, port, "done");
    assert!(process.stderr().contains("behind its source, more than 1s"), "{}", process.stderr());
    random::stop(process);
}

#[test]
fn c40_a_copy_waits_while_its_server_is_behind_as_a_replica_mariadb() {
    replication_lag(&mariadb::start(&[]), &mariadb::start(&["--server-id=2002"]));
}

#[test]
fn c40_a_copy_waits_while_its_server_is_behind_as_a_replica_mysql() {
    replication_lag(&mysql::start(&[]), &mysql::start(&["--server-id=2002"]));
}

#[test]
fn only_rows_that_the_condition_selects_are_copied_and_all_changes_are_delivered() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("copied_in_part");
        server.sql(&format!(
            "CREATE TABLE {database}.t (id INT PRIMARY KEY); CREATE TABLE {database}.k (id INT); CREATE TABLE {database}.last (id INT);
             INSERT INTO {database}.t VALUES (1), (2), (3), (4); INSERT INTO {database}.k SELECT * FROM {database}.t"
        ));
        let text = |condition: &str| {
            let snapshot = format!("{{ where: {{ {database}.t: \"{condition}\", {database}.k: 'id = 1 OR id = 4' }} }}");
            pipeline(&server, &format!("['{database}.*']"), &snapshot, &["a"], "")
        };
        let host = Sluicegate::new(BINARY, &text("id > (SELECT"));
        let ended = host.run(&["--log-format", "text", "check", "pipeline.yaml"], PATIENCE);
        assert!(ended.status.code() == Some(3) && ended.stderr.contains("refuses the condition"), "{}", ended.stderr);
        host.write_pipeline(&text("id > 2"));
        let mut process = host.spawn();
        random::wait_for_copy(&mut process, &host);
        server.sql(&format!("UPDATE {database}.t SET id = 10 WHERE id = 1; INSERT INTO {database}.last VALUES (77)"));
        random::wait_for_last(&mut process, &host, "a", 77);
        random::stop(process);
        assert_eq!((operations(&host, "a", "t")["r"], operations(&host, "a", "k")["r"]), (2, 2));
        assert!(operations(&host, "a", "t").keys().any(|op| op != "r"));
    }
}
