//! Rows that change in a way that the log does not name: with the policy `copy` their tables are copied anew, and end equal.

use sluicegate_harness::{
    database::{Flavor, Server},
    free_port,
    host::Sluicegate,
    mariadb, mysql,
};

use super::{live::*, *};

/// Statements that change rows of `{d}.stock` or other captured tables without row events. Each ends with what it changed.
const STATEMENTS: &[(Option<Flavor>, &str)] = &[
    (None, "INSERT INTO {d}.stock VALUES (1001, 1)"),
    (None, "/*!50003 INSERT INTO {d}.stock VALUES (1002, 2) */"),
    (None, "LOAD DATA INFILE '{file}' INTO TABLE {d}.stock"),
    (None, "DO {d}.add_stock(1003)"),
    (None, "SELECT {d}.add_stock(1004)"),
    (None, "UPDATE {d}.stock s JOIN {d}.other o USING (id) SET s.v = s.v + 5000, o.v = o.v + 5000 WHERE id < 10"),
    (None, "UPDATE {d}.seen SET v = v + 10000 WHERE id = 20"),
    (None, "INSERT INTO {d}.with_trigger VALUES (1005, 5)"),
    (None, "BEGIN; DELETE FROM {d}.stock WHERE id = 3; INSERT INTO {d}.other VALUES (1006, 6); COMMIT"),
    (None, "CREATE TABLE {d}.made (PRIMARY KEY (id)) AS SELECT id, v FROM {d}.other WHERE id < 30"),
    (Some(Flavor::MariaDb), "SET STATEMENT sort_buffer_size = 100000 FOR INSERT INTO {d}.stock VALUES (1007, 7)"),
    (None, "INSERT INTO {d}.stock SELECT id + 2000, v FROM {d}.other"),
    (None, "DELETE s, o FROM {d}.stock s JOIN {d}.other o USING (id) WHERE s.id = 30"),
    (None, "CREATE PROCEDURE {d}.p() REPLACE INTO {d}.stock VALUES (1021, 21); CALL {d}.p()"),
    (None, "XA START 'x'; INSERT INTO {d}.stock VALUES (1022, 22); XA END 'x'; XA PREPARE 'x'"),
    (None, "XA COMMIT 'x'"),
];

fn statements(server: &Server) {
    let database = server.database("unlogged");
    let mut client = server.client();
    for table in ["stock", "other", "with_trigger", "quiet"] {
        fill(&mut client, &format!("{database}.{table}"), 60);
    }
    let file = server.folder().join("load.tsv");
    std::fs::write(&file, "1010\t10\n1011\t11\n").expect("a file");
    client.sql(&format!(
        "SET GLOBAL log_bin_trust_function_creators = 1; CREATE VIEW {database}.seen AS SELECT * FROM {database}.other;
         CREATE TRIGGER {database}.also AFTER INSERT ON {database}.with_trigger FOR EACH ROW REPLACE INTO {database}.stock VALUES (NEW.id, NEW.v)"
    ));
    client.sql(&format!("CREATE FUNCTION {database}.add_stock(x INT) RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO {database}.stock VALUES (x, x); RETURN x; END"));
    let source = format!("tables: ['{database}.*'], snapshot: initial, statements: copy");
    let host = Sluicegate::new(BINARY, &text(server, &source, &["x", "y"], free_port()));
    let mut process = host.spawn();
    let tables = ["stock", "other", "with_trigger", "quiet"];
    wait_until_equal(&mut process, &host, server, &database, &tables, &["x", "y"]);
    let mut session = server.client();
    session.sql(&format!("USE {database}; SET SESSION binlog_format = STATEMENT"));
    for (number, (flavor, statement)) in (0_u64..).zip(STATEMENTS) {
        if flavor.is_some_and(|flavor| flavor != server.flavor()) {
            continue;
        }
        let statement = statement.replace("{d}", &database).replace("{file}", &file.display().to_string());
        session.sql(&statement);
        client.sql(&format!("INSERT INTO {database}.quiet VALUES ({}, 1)", 5000 + number));
        if number % 3 == 1 {
            process.kill9();
            process = host.spawn();
        }
        wait_until_equal(&mut process, &host, server, &database, &tables, &["x", "y"]);
    }
    wait_until_equal(&mut process, &host, server, &database, &["made"], &["x", "y"]);
    // many of them, one after the other
    for id in 4000..4040 {
        session.sql(&format!("INSERT INTO {database}.stock VALUES ({id}, {id})"));
    }
    wait_until_equal(&mut process, &host, server, &database, &tables, &["x", "y"]);
    random::stop(process);
    let truncates = operations(&host, "x", "quiet").get("t").copied();
    assert_eq!(truncates, None, "a table that no statement reaches is left alone");
    let truncates = operations(&host, "x", "stock")["t"];
    assert!((5..60).contains(&truncates), "{truncates} copies of the table");
}

#[test]
fn case_04_tables_that_statements_change_are_copied_anew_mariadb() {
    statements(&mariadb::start(&["--secure-file-priv="]));
}

#[test]
fn case_04_tables_that_statements_change_are_copied_anew_mysql() {
    statements(&mysql::start(&["--secure-file-priv="]));
}

/// Rows that go, come and move with schema changes.
const CHANGES: &[(Option<Flavor>, &str)] = &[
    (None, "ALTER TABLE {d}.part EXCHANGE PARTITION p0 WITH TABLE {d}.spare"),
    (None, "ALTER TABLE {d}.part DROP PARTITION p1"),
    (None, "ALTER TABLE {d}.part TRUNCATE PARTITION p2"),
    (None, "ALTER TABLE {d}.spare RENAME TO {d}.spare2; RENAME TABLE elsewhere_{d}.fresh TO {d}.spare"),
    (None, "TRUNCATE TABLE {d}.t; INSERT INTO {d}.t VALUES (3, 3)"),
    (None, "DROP TABLE {d}.t; CREATE TABLE {d}.t (id INT PRIMARY KEY, v BIGINT); INSERT INTO {d}.t VALUES (4, 4)"),
    // 4 becomes 2004
    (None, "ALTER TABLE {d}.t MODIFY v YEAR; INSERT INTO {d}.t VALUES (5, 5)"),
    (Some(Flavor::MariaDb), "ALTER TABLE {d}.part CONVERT PARTITION p3 TO TABLE {d}.apart"),
];

fn partitions(server: &Server) {
    let database = server.database("unlogged_ddl");
    let mut client = server.client();
    for table in ["spare", "t"] {
        fill(&mut client, &format!("{database}.{table}"), 9);
    }
    client.sql(&format!("CREATE DATABASE elsewhere_{database}"));
    fill(&mut client, &format!("elsewhere_{database}.fresh"), 50);
    client.sql(&format!(
        "CREATE TABLE {database}.part (id INT PRIMARY KEY, v BIGINT NOT NULL) PARTITION BY RANGE (id)
         (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20), PARTITION p2 VALUES LESS THAN (30), PARTITION p3 VALUES LESS THAN (40));
         INSERT INTO {database}.part VALUES (2, 2), (11, 11), (21, 21), (31, 31)"
    ));
    let source = format!("tables: ['{database}.*'], snapshot: initial, rows_by_ddl: copy");
    let host = Sluicegate::new(BINARY, &text(server, &source, &["x"], free_port()));
    let mut process = host.spawn();
    let tables = ["part", "spare", "t"];
    wait_until_equal(&mut process, &host, server, &database, &tables, &["x"]);
    for (number, (flavor, statement)) in CHANGES.iter().enumerate() {
        if flavor.is_some_and(|flavor| flavor != server.flavor()) {
            continue;
        }
        for statement in statement.replace("{d}", &database).split("; ") {
            client.sql(statement);
        }
        if number % 3 == 1 {
            process.kill9();
            process = host.spawn();
        }
        wait_until_equal(&mut process, &host, server, &database, &tables, &["x"]);
    }
    if server.flavor() == Flavor::MariaDb {
        wait_until_equal(&mut process, &host, server, &database, &["apart"], &["x"]);
    }
    random::stop(process);
}

#[test]
fn case_08_tables_whose_rows_go_with_ddl_are_copied_anew_mariadb() {
    partitions(&mariadb::shared());
}

#[test]
fn case_08_tables_whose_rows_go_with_ddl_are_copied_anew_mysql() {
    partitions(&mysql::shared());
}

/// The stream delivers changes of tables whose first copy waits for a reader: what the log does not name has to take them back.
fn waiting(server: &Server) {
    let database = server.database("unlogged_waiting");
    let mut client = server.client();
    let tables = ["t0", "t1", "t2", "t3"];
    tables.iter().for_each(|table| fill(&mut client, &format!("{database}.{table}"), 600));
    client.sql(&format!(
        "CREATE TABLE {database}.part (id INT PRIMARY KEY, v BIGINT NOT NULL) PARTITION BY RANGE (id)
         (PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN (200)); INSERT INTO {database}.part VALUES (1, 1), (101, 101)"
    ));
    let source = format!(
        "tables: ['{database}.*'], snapshot: {{ mode: initial, readers: 1, rows_per_second: 300 }}, statements: copy, rows_by_ddl: copy"
    );
    let host = Sluicegate::new(BINARY, &text(server, &source, &["x"], free_port()));
    let mut process = host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    client.sql(&format!(
        "USE {database}; UPDATE t3 SET v = 7000 WHERE id = 5; UPDATE t2 SET v = 7001 WHERE id = 6; INSERT INTO t1 VALUES (9000, 1);
         UPDATE part SET v = 7002 WHERE id = 101;
         SET SESSION binlog_format = STATEMENT; DELETE FROM t3 WHERE id = 5; UPDATE t2 SET id = 8000 WHERE id = 6; DELETE FROM t1 WHERE id = 9000;
         ALTER TABLE part DROP PARTITION p1"
    ));
    wait_until_equal(&mut process, &host, server, &database, &["t0", "t1", "t2", "t3", "part"], &["x"]);
    for table in ["t3", "t2"] {
        let changes = operations(&host, "x", table);
        assert!(changes.contains_key("u") && changes.contains_key("t"), "{table}: {changes:?}");
    }
    random::stop(process);
}

#[test]
fn case_04_changes_that_the_log_does_not_name_of_tables_that_wait_for_their_copy_mariadb() {
    waiting(&mariadb::shared());
}

#[test]
fn case_04_changes_that_the_log_does_not_name_of_tables_that_wait_for_their_copy_mysql() {
    waiting(&mysql::shared());
}
