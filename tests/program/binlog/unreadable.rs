//! What was read before something that cannot be read is delivered and committed; a restart goes on exactly there.

use sluicegate_harness::{host::Sluicegate, mariadb, mysql};

use super::*;

/// Batches wait long, so that what comes before the fault and the fault are in one.
const WAIT: &str = ", batch_wait: 10s";

/// Two starts that fail with the same words, and deliver the ids `expected` of table `t` once.
fn stops_twice_at(host: &Sluicegate, process: Process, expected: &[u64]) -> String {
    let first = process.wait(PATIENCE);
    assert_eq!(first.status.code(), Some(1), "{}", first.stderr);
    assert_eq!(ids(host, "t", "t"), expected, "{}", first.stderr);
    let (place, files) = (shown(host, "t")["lanes"].clone(), contents(&host.path("out")));
    let (code, said) = refused(host);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(contents(&host.path("out")), files, "nothing is repeated");
    assert_eq!(shown(host, "t")["lanes"], place);
    said
}

#[test]
fn rows_before_a_partial_json_update_that_cannot_be_made_whole_are_delivered_and_the_next_start_stops_at_the_same_place() {
    let server = mysql::shared();
    let database = server.database("partial");
    server.sql(&format!("CREATE TABLE {database}.t (j JSON, id INT PRIMARY KEY)"));
    let host = Sluicegate::new(BINARY, &pipeline_with(&server, &format!("['{database}.*']"), &format!("[{}]", file("t")), WAIT));
    let process = start(&host);
    server.sql(&format!(
        "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'; SET SESSION binlog_row_image = 'MINIMAL'; INSERT INTO {database}.t VALUES ('{{\"a\": \"long enough\", \"b\": 1}}', 1);
         BEGIN; INSERT INTO {database}.t VALUES ('{{}}', 2), ('{{}}', 3); UPDATE {database}.t SET j = JSON_SET(j, '$.b', 2) WHERE id = 1;
         INSERT INTO {database}.t VALUES ('{{}}', 4); COMMIT"
    ));
    let said = stops_twice_at(&host, process, &[1, 2, 3]);
    assert!(said.contains("a partial update of rows that do not hold every column"), "{said}");
}

#[test]
fn rows_before_one_that_cannot_be_read_are_delivered_and_the_next_start_stops_at_the_same_place() {
    // so that the rows of a statement are one event
    const ONE_EVENT: &[&str] = &["--binlog-row-event-max-size=16777216"];
    for server in [mariadb::start(ONE_EVENT), mysql::start(ONE_EVENT)] {
        let database = server.database("unreadable");
        server.sql(&format!("CREATE TABLE {database}.t (note MEDIUMTEXT, id INT PRIMARY KEY)"));
        let limits = format!("{WAIT}, row_bytes: 64KiB");
        let host = Sluicegate::new(BINARY, &pipeline_with(&server, &format!("['{database}.*']"), &format!("[{}]", file("t")), &limits));
        let process = start(&host);
        server.sql(&format!(
            "INSERT INTO {database}.t VALUES ('', 1); INSERT INTO {database}.t VALUES ('', 2), ('', 3), (REPEAT('x', 100000), 4), ('', 5)"
        ));
        let said = stops_twice_at(&host, process, &[1, 2, 3]);
        assert!(said.contains(&format!("{database}.t")), "{said}");
    }
}

#[test]
fn rows_before_a_text_without_characters_are_delivered() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("unsupported");
        server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY)"));
        let host = Sluicegate::new(BINARY, &pipeline_with(&server, &format!("['{database}.*']"), &format!("[{}]", file("t")), WAIT));
        let process = start(&host);
        server.sql(&format!(
            "INSERT INTO {database}.t VALUES (1); CREATE TABLE {database}.p (p VARCHAR(9) CHARACTER SET hebrew); SET sql_mode = ''; BEGIN; INSERT INTO {database}.t VALUES (2), (3);
             INSERT INTO {database}.p VALUES (_hebrew x'FF'); INSERT INTO {database}.t VALUES (4); COMMIT; DROP TABLE {database}.p"
        ));
        let said = stops_twice_at(&host, process, &[1, 2, 3]);
        assert!(said.contains(&format!("{database}.p.p")), "{said}");
    }
}
