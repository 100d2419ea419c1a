//! How a run starts when the server cannot be reached, or refuses it.

use std::time::Duration;

use sluicegate_harness::{
    database::{Client, Server},
    files, free_port,
    host::{Process, Sluicegate, http_get},
    mariadb,
};

use crate::capture::DEADLINE;

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");

/// A pipeline that reads the database `d` of `server`, with `more` keys.
fn host_as(server: &Server, user: &str, password: &str, more: &str) -> Sluicegate {
    let pipeline = format!(
        "name: p\nsource: {{ type: mysql, host: 127.0.0.1, port: {}, user: {user}, password: {password}, tables: ['d.*'] }}\n\
         sinks: [{{ type: file, folder: out, format: flat }}]\n{more}\n",
        server.port(),
    );
    Sluicegate::new(BINARY, &pipeline)
}

fn host(server: &Server, more: &str) -> Sluicegate {
    host_as(server, server.user(), server.password(), more)
}

/// A server with the empty table `d.t`, of the test's own.
fn server(options: &[&str]) -> Server {
    let server = mariadb::start(options);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY)");
    server
}

fn ready(port: u16) -> impl FnMut() -> bool {
    move || http_get(port, "/readyz").is_some_and(|(code, _)| code == 200)
}

/// One row goes in and comes out; then the pipeline is stopped.
fn delivers(server: &Server, host: &Sluicegate, mut process: Process) {
    server.sql("INSERT INTO d.t VALUES (7)");
    process.wait_until("the row", DEADLINE, || files::bytes_so_far(&host.path("out"), "p") > 0);
    process.sigterm();
    let ended = process.wait(DEADLINE);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let records = files::records(&host.path("out"), "p");
    assert_eq!(records.iter().map(|r| r["id"].as_i64()).collect::<Vec<_>>(), [Some(7)]);
}

#[test]
fn a_server_that_is_down_at_the_start_is_waited_for() {
    let mut server = server(&[]);
    server.stop();
    let port = free_port();
    let host = host(&server, &format!("http: 127.0.0.1:{port}"));
    let mut process = host.spawn();
    let line = process.wait_for_line("waiting for the source", DEADLINE);
    assert!(line.contains("Connection refused") && line.contains("remedy") && line.contains("retry_in_ms"), "{line}");
    let why = format!("waiting for the source: cannot connect to 127.0.0.1:{}", server.port());
    process.wait_until("the reason", DEADLINE, || http_get(port, "/readyz").is_some_and(|(code, body)| code == 503 && body.contains(&why)));
    assert_eq!(http_get(port, "/healthz").map(|(code, _)| code), Some(200));
    server.start_again();
    process.wait_until("readiness", DEADLINE, ready(port));
    assert!(process.stderr().contains("the source has been reached"));
    delivers(&server, &host, process);
}

#[test]
fn a_stop_ends_the_wait_for_a_server_at_once_with_0() {
    let server = server(&[]);
    server.stop();
    let host = host(&server, "");
    let mut process = host.spawn();
    process.wait_for_line("waiting for the source", DEADLINE);
    process.sigterm();
    let ended = process.wait(DEADLINE);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("stopped before the stream began: nothing was delivered"), "{}", ended.stderr);
}

#[test]
fn a_server_that_stays_away_ends_a_run_with_1_and_a_check_with_3() {
    let server = server(&[]);
    server.stop();
    let host = host(&server, "limits: { retry_window: 1s }");
    let ended = host.run(&["--log-format", "text", "run", "pipeline.yaml"], DEADLINE);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let error = format!("error: gave up after 1s: cannot connect to 127.0.0.1:{}\n", server.port());
    assert!(ended.stderr.contains(&error), "{}", ended.stderr);
    assert!(ended.stderr.contains("caused by: ") && ended.stderr.contains("\nremedy: "), "{}", ended.stderr);

    // would go on for hours
    let host = self::host(&server, "");
    let ended = host.run(&["check", "pipeline.yaml"], DEADLINE);
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("error: cannot connect to 127.0.0.1:{}\n", server.port())), "{}", ended.stderr);
    assert!(!ended.stderr.contains("waiting"), "{}", ended.stderr);
}

#[test]
fn a_refused_login_and_a_missing_grant_end_a_run_with_3_at_once() {
    let server = server(&[]);
    server.sql("CREATE USER 'weak'@'127.0.0.1' IDENTIFIED BY 'pw'; GRANT SELECT ON *.* TO 'weak'@'127.0.0.1'");
    for (user, password, what) in [("weak", "other", "Check the source's user and password"), ("weak", "pw", "GRANT REPLICATION SLAVE")] {
        let ended = host_as(&server, user, password, "").run(&["--log-format", "text", "run", "pipeline.yaml"], DEADLINE);
        assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
        assert!(ended.stderr.contains(what) && !ended.stderr.contains("waiting"), "{}", ended.stderr);
    }
}

#[test]
fn too_many_connections_at_the_start_are_waited_out() {
    let server = server(&[]);
    server.sql(
        "CREATE USER 'busy'@'127.0.0.1' IDENTIFIED BY 'pw' WITH MAX_USER_CONNECTIONS 4;
         GRANT SELECT, BINLOG MONITOR, REPLICATION SLAVE ON *.* TO 'busy'@'127.0.0.1'",
    );
    let others: Vec<Client> = (0..4).map(|_| Client::connect(server.opts_as("busy", "pw"))).collect();
    let port = free_port();
    let host = host_as(&server, "busy", "pw", &format!("http: 127.0.0.1:{port}"));
    let mut process = host.spawn();
    let line = process.wait_for_line("waiting for the source", DEADLINE);
    assert!(line.contains("max_user_connections") && line.contains("Raise max_connections"), "{line}");
    drop(others);
    process.wait_until("readiness", DEADLINE, ready(port));
    delivers(&server, &host, process);
}

#[test]
fn a_server_that_never_answers_is_waited_for_and_a_stop_does_not_wait_for_the_timeout() {
    // accepts connections, and says nothing
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let pipeline = format!(
        "name: p\nsource: {{ type: mysql, host: 127.0.0.1, port: {}, user: u, password: p, tables: ['d.*'] }}\n\
         sinks: [{{ type: file, folder: out }}]\nlimits: {{ connect_timeout: 600s }}\n",
        silent.local_addr().unwrap().port()
    );
    let host = Sluicegate::new(BINARY, &pipeline);
    let process = host.spawn();
    let connection = silent.accept().unwrap();
    process.sigterm();
    let ended = process.wait(DEADLINE);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    drop(connection);

    host.write_pipeline(&pipeline.replace("600s", "100ms"));
    let mut process = host.spawn();
    let line = process.wait_for_line("waiting for the source", DEADLINE);
    assert!(line.contains(&format!("no answer within {:?}", Duration::from_millis(100))), "{line}");
    process.sigterm();
    assert_eq!(process.wait(DEADLINE).status.code(), Some(0));
}
