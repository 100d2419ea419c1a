//! Kinds of servers: encrypted logs, members of a group, replicas of several primaries.

use sluicegate_harness::{free_port, until};

use super::*;

/// Reads row 1 from the beginning of the log and row 2 in a second run, which proves its place.
fn reads_and_resumes(server: &Server) {
    let source = format!("host: 127.0.0.1, port: {}, {}, start: earliest", server.port(), account(server));
    let host = Sluicegate::new(BINARY, &pipeline("d", &source, ""));
    let mut process = start(&host);
    wait_for(&mut process, &host, 1);
    stop(process);
    server.sql("INSERT INTO d.t VALUES (2)");
    let mut process = start(&host);
    wait_for(&mut process, &host, 2);
    stop(process);
    assert_eq!(ids(&host), [1, 2]);
}

const ROW_1: &str = "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY); INSERT INTO d.t VALUES (1)";

#[test]
fn a_log_that_mariadb_encrypts_on_its_disk_is_read_and_resumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys");
    fs::write(&keys, format!("1;{}\n", "7f".repeat(32))).expect("written");
    let server = mariadb::start(&[
        &format!("--plugin-dir={}", mariadb::plugins().display()),
        "--plugin-load-add=file_key_management",
        &format!("--file-key-management-filename={}", keys.display()),
        "--encrypt-binlog=ON",
    ]);
    server.sql(ROW_1);
    let log = fs::read(server.folder().join("data/binlog.000001")).expect("the log");
    assert!(!log.windows(15).any(|bytes| bytes == b"CREATE DATABASE"), "it is encrypted");
    reads_and_resumes(&server);
}

#[test]
fn a_member_of_a_mysql_group_is_read_and_resumed_across_changes_of_the_group() {
    let address = format!("--group-replication-local-address=127.0.0.1:{}", free_port());
    let server = mysql::start(&[
        "--plugin-load-add=group_replication.so",
        "--group-replication-group-name=aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa",
        "--group-replication-start-on-boot=OFF",
        "--group-replication-bootstrap-group=ON",
        "--report-host=127.0.0.1",
        &address,
    ]);
    // while it joins it takes no writes
    let joins = || {
        server.sql("START GROUP_REPLICATION");
        until("the member takes writes", PATIENCE, || server.query("SELECT @@super_read_only")[0][0].as_deref() == Some("0"));
    };
    joins();
    server.sql(ROW_1);
    server.sql("STOP GROUP_REPLICATION");
    joins();
    reads_and_resumes(&server);
}

/// Lets `replica` follow several primaries at once, each with a name.
fn follow_each(replica: &Server, primaries: &[(&str, &Server)]) {
    for (name, primary) in primaries {
        let (port, user, password) = (primary.port(), primary.user(), primary.password());
        replica.sql(&match replica.flavor() {
            Flavor::MariaDb => format!(
                "CHANGE MASTER '{name}' TO master_host='127.0.0.1', master_port={port}, master_user='{user}', master_password='{password}',
                 master_use_gtid=slave_pos; START SLAVE '{name}'"
            ),
            Flavor::MySql => format!(
                "CHANGE REPLICATION SOURCE TO source_host='127.0.0.1', source_port={port}, source_user='{user}', source_password='{password}',
                 source_auto_position=1, get_source_public_key=1 FOR CHANNEL '{name}'; START REPLICA FOR CHANNEL '{name}'"
            ),
        });
    }
}

fn gives_what_both_primaries_have(one: &Server, other: &Server, replica: &Server) {
    one.sql("CREATE DATABASE d; CREATE TABLE d.one (id INT PRIMARY KEY)");
    other.sql("CREATE DATABASE e; CREATE TABLE e.other (id INT PRIMARY KEY)");
    follow_each(replica, &[("one", one), ("other", other)]);
    let tables = || replica.query("SELECT count(*) FROM information_schema.tables WHERE table_schema IN ('d', 'e')")[0][0].clone();
    until("the tables are there", PATIENCE, || tables().as_deref() == Some("2"));
    let source = format!("host: 127.0.0.1, port: {}, {}", replica.port(), account(replica));
    let host = Sluicegate::new(BINARY, &pipeline("*", &source, ""));
    let mut expected = Vec::new();
    for run in 0..2_u64 {
        let mut process = start(&host);
        for id in run * 10..run * 10 + 5 {
            one.sql(&format!("INSERT INTO d.one VALUES ({id})"));
            other.sql(&format!("INSERT INTO e.other VALUES ({})", id + 100));
            expected.extend([id, id + 100]);
        }
        wait_for(&mut process, &host, expected.len());
        stop(process);
        // while nobody reads
        one.sql(&format!("INSERT INTO d.one VALUES ({})", 50 + run));
        expected.push(50 + run);
    }
    let mut process = start(&host);
    wait_for(&mut process, &host, expected.len());
    stop(process);
    let mut found = ids(&host);
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_replica_of_several_primaries_gives_the_changes_of_all_mariadb() {
    let (one, other) = (mariadb::start(&["--gtid-domain-id=1"]), mariadb::start(&["--server-id=2002", "--gtid-domain-id=2"]));
    gives_what_both_primaries_have(&one, &other, &mariadb::start(&["--server-id=2003"]));
}

#[test]
fn a_replica_of_several_primaries_gives_the_changes_of_all_mysql() {
    let (one, other) = (mysql::start(&[]), mysql::start(&["--server-id=1002"]));
    gives_what_both_primaries_have(&one, &other, &mysql::start(&["--server-id=1003"]));
}
