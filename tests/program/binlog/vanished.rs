//! Tables that are gone when their rows are read.

use serde_json::json;
use sluicegate_harness::{database::Server, host::Sluicegate, mariadb, mysql};

use super::*;

fn earliest(server: &Server, database: &str) -> Sluicegate {
    let text = pipeline(server, &format!("['{database}.*']"), &format!("[{}]", file("t")));
    Sluicegate::new(BINARY, &text.replace("heartbeat: 1s", "heartbeat: 1s, start: earliest"))
}

/// The records of a table, without what the format adds but the operation.
fn records(host: &Sluicegate, table: &str) -> Vec<Value> {
    let of_table = files::records(&host.path("out"), "t").into_iter().filter(|r| r["_table"] == table);
    of_table
        .map(|mut record| {
            record.as_object_mut().expect("an object").retain(|name, _| name == "_op" || !name.starts_with('_'));
            record
        })
        .collect()
}

#[test]
fn a_table_that_is_shaped_like_a_sequence_is_read_and_a_sequence_is_not_when_both_are_gone() {
    let server = mariadb::start(&["--binlog-row-metadata=NO_LOG"]);
    let database = server.database("shaped");
    let big: String = ["b", "c", "d", "e", "f"].map(|name| format!("{name} BIGINT NOT NULL, ")).concat();
    server.sql(&format!(
        "USE {database}; CREATE SEQUENCE numbers START WITH 5; SELECT NEXTVAL(numbers);
         CREATE TABLE shaped (id BIGINT NOT NULL, {big} g TINYINT NOT NULL, h BIGINT NOT NULL); INSERT INTO shaped VALUES (1, 2, 3, 4, 5, 6, 7, 8);
         DROP TABLE shaped; DROP SEQUENCE numbers; CREATE TABLE last (id INT PRIMARY KEY); INSERT INTO last VALUES (1)"
    ));
    let host = earliest(&server, &database);
    run_to(&host, &["t"], 1);
    let row = json!({ "_op": "c", "id": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8 });
    assert_eq!(records(&host, "shaped")[0], row);
    assert_eq!(records(&host, "numbers").iter().filter(|record| record["_op"] != "t").count(), 0);
}

#[test]
fn history_of_versioned_rows_is_not_delivered_when_the_table_is_gone() {
    for metadata in ["FULL", "NO_LOG"] {
        let server = mariadb::start(&[&format!("--binlog-row-metadata={metadata}")]);
        let database = server.database("versioned");
        let create = |table: &str, limit: &str| {
            format!(
                "USE {database}; CREATE TABLE {table} (id INT PRIMARY KEY, v INT, s {limit} GENERATED ALWAYS AS ROW START,
                     e {limit} GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING ENGINE=InnoDB;
                 INSERT INTO {table} (id, v) VALUES (1, 10)"
            )
        };
        server.sql(&format!("{}; UPDATE t SET v = 20; DELETE FROM t; DROP TABLE t", create("t", "TIMESTAMP(6)")));
        server.sql(&format!("USE {database}; CREATE TABLE last (id INT PRIMARY KEY); INSERT INTO last VALUES (1)"));
        let host = earliest(&server, &database);
        run_to(&host, &["t"], 1);
        let told: Vec<String> = records(&host, "t").iter().map(|r| format!("{} {}", r["_op"], r["v"]).replace('"', "")).collect();
        assert_eq!(told, ["c 10", "u 20", "d 20", "t null"], "{metadata}");
        // of numbers of transactions, the server logs statements
        server.sql(&create("numbered", "BIGINT UNSIGNED"));
        let (code, said) = refused(&host);
        assert!(code == Some(1) && said.contains(&format!("a change of {database}.numbered as a statement")), "{said}");
    }
}

#[test]
fn a_table_that_was_dropped_while_nobody_read_is_emptied_and_one_that_never_was_there_is_not_told() {
    for server in [mariadb::start(&["--binlog-row-metadata=NO_LOG"]), mysql::start(&["--binlog-row-metadata=MINIMAL"])] {
        let database = server.database("away");
        server.sql(&format!("USE {database}; CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE last (id INT PRIMARY KEY)"));
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t"))));
        stop(start(&host));
        server.sql(&format!("USE {database}; INSERT INTO t VALUES (1); INSERT INTO last VALUES (1)"));
        run_to(&host, &["t"], 1);
        server.sql(&format!("USE {database}; DROP TABLE t; DROP TABLE IF EXISTS never; INSERT INTO last VALUES (2)"));
        let ended = run_to(&host, &["t"], 2);
        assert_eq!(records(&host, "t"), [json!({ "_op": "c", "id": 1 }), json!({ "_op": "t" })]);
        assert!(!ended.stderr.contains("never"), "{}", ended.stderr);
    }
}
