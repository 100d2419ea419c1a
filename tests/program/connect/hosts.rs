//! Several servers that take each other's place.

use sluicegate_harness::until;

use super::*;
use crate::binlog::failover::{follow, stop_following};

fn hosts(servers: &[&Server]) -> String {
    let all: Vec<String> = servers.iter().map(|server| format!("'127.0.0.1:{}'", server.port())).collect();
    format!("hosts: [{}], heartbeat: 1s, {}", all.join(", "), account(servers[0]))
}

fn has(server: &Server, id: u32) -> bool {
    server.query("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'd'")[0][0].as_deref() == Some("1")
        && server.query(&format!("SELECT count(*) FROM d.t WHERE id = {id}"))[0][0].as_deref() == Some("1")
}

fn the_next_server_goes_on(mut primary: Server, replica: &Server) {
    primary.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY); INSERT INTO d.t VALUES (0)");
    follow(replica, &primary);
    until("the replica follows", PATIENCE, || has(replica, 0));
    let host = Sluicegate::new(BINARY, &pipeline("d", &hosts(&[&primary, replica]), ""));
    let mut process = start(&host);
    primary.sql("INSERT INTO d.t VALUES (1)");
    wait_for(&mut process, &host, 1);
    // a replica that lags is not taken, although nothing else is there
    until("the replica has it", PATIENCE, || has(replica, 1));
    stop_following(replica);
    primary.sql("INSERT INTO d.t VALUES (2)");
    wait_for(&mut process, &host, 2);
    primary.stop();
    process.wait_for_line("is behind what was read", PATIENCE);
    primary.start_again();
    primary.sql("INSERT INTO d.t VALUES (3)");
    wait_for(&mut process, &host, 3);
    // once it has caught up it goes on for the first one
    replica.sql(if replica.flavor() == Flavor::MariaDb { "START SLAVE" } else { "START REPLICA" });
    until("the replica has caught up", PATIENCE, || has(replica, 3));
    stop_following(replica);
    primary.kill9();
    replica.sql("INSERT INTO d.t VALUES (4)");
    wait_for(&mut process, &host, 4);
    stop(process);
    // also at a start
    let mut process = start(&host);
    replica.sql("INSERT INTO d.t VALUES (5)");
    wait_for(&mut process, &host, 5);
    stop(process);
    assert_eq!(ids(&host), [1, 2, 3, 4, 5]);
}

#[test]
fn the_next_server_goes_on_once_it_has_what_was_read_mariadb() {
    let replica = mariadb::start(&["--server-id=2002", "--log-bin=other"]);
    the_next_server_goes_on(mariadb::start(&[]), &replica);
}

#[test]
fn the_next_server_goes_on_once_it_has_what_was_read_mysql() {
    let replica = mysql::start(&["--server-id=1002", "--log-bin=other"]);
    the_next_server_goes_on(mysql::start(&[]), &replica);
}

#[test]
fn several_servers_without_gtids_are_refused() {
    let server = mysql::start(&["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]);
    let source = format!("hosts: ['127.0.0.1:{}', '127.0.0.1:1'], {}", server.port(), account(&server));
    let (code, said) = check(&Sluicegate::new(BINARY, &pipeline("d", &source, "")));
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("without GTIDs a place in one server's log means nothing on another"), "{said}");
}

#[test]
fn check_warns_of_servers_that_could_not_take_over() {
    let [server, other] = shared();
    let database = table(&server, "others");
    let hosts = format!("hosts: ['127.0.0.1:{}', '127.0.0.1:1', '127.0.0.1:{}'], {}", server.port(), other.port(), account(&server));
    let (code, said) = check(&Sluicegate::new(BINARY, &pipeline(&database, &hosts, "")));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("127.0.0.1:1 could not take over: cannot connect to 127.0.0.1:1"), "{said}");
    assert!(said.contains(&format!("127.0.0.1:{} could not take over: it is mysql", other.port())), "{said}");
}
