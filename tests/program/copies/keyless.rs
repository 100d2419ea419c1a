//! Tables without a key: the stream stops at the place of a view while they are copied.

use sluicegate_harness::{
    database::{Flavor, Server},
    host::Sluicegate,
    mariadb, mysql,
};

use super::*;

/// Rows of a table without a key: how often each of them is there.
pub(super) type Bag = BTreeMap<(u64, u64), i64>;

/// A table without a key, with rows that are there twice, beside one with a key.
pub(super) fn create_keyless(client: &mut Client, database: &str, rows: u64) {
    create(client, database, 300);
    client.sql(&format!("CREATE TABLE {database}.k (n INT NOT NULL, v BIGINT NOT NULL, KEY (n))"));
    let values: Vec<String> = (0..rows).map(|n| format!("({}, {n})", n - n % 2)).collect();
    for some in values.chunks(1000) {
        client.sql(&format!("INSERT INTO {database}.k VALUES {}", some.join(", ")));
    }
    client.sql(&format!("INSERT INTO {database}.k SELECT * FROM {database}.k WHERE n < 100"));
}

/// Changes rows of it all the time, one row a statement, so that the log says which.
pub(super) fn change(server: &Server, database: &str, rows: u64, between: &str) -> Writer {
    Writer::run(server, database, 3, rows, between, |next, version| {
        let (n, other) = (next(512), next(512));
        match next(6) {
            0 | 1 => format!("INSERT INTO k VALUES ({n}, {version})"),
            2 => format!("DELETE FROM k WHERE n = {n} LIMIT 1"),
            3 => format!("UPDATE k SET n = {other} WHERE n = {n} LIMIT 1"),
            4 => format!("INSERT INTO k VALUES ({n}, 7), ({n}, 7)"),
            _ => format!("UPDATE k SET v = {version} WHERE n = {n} LIMIT 1"),
        }
    })
}

/// What a reader of the records has of the table in the end. Before its copy begins, rows leave that did not come.
pub(super) fn replayed(host: &Sluicegate, sink: &str) -> Bag {
    let mut bag = Bag::new();
    let of = |row: &Value| (row["n"].as_u64().expect("a number"), row["v"].as_u64().expect("a number"));
    for record in files::records(&host.path("out"), sink).iter().filter(|record| record["source"]["table"] == "k") {
        if record["op"] == "t" {
            bag.clear();
        }
        if !record["before"].is_null() {
            *bag.entry(of(&record["before"])).or_default() -= 1;
        }
        if !record["after"].is_null() {
            *bag.entry(of(&record["after"])).or_default() += 1;
        }
    }
    bag.retain(|_, count| *count != 0);
    bag
}

pub(super) fn there(server: &Server, database: &str) -> Bag {
    let rows = server.query(&format!("SELECT n, v, COUNT(*) FROM {database}.k GROUP BY n, v"));
    let number = |value: Option<String>| value.expect("not null").parse::<u64>().expect("a number");
    let rows = rows.into_iter().map(|row| <[Option<String>; 3]>::try_from(row).expect("three").map(number));
    rows.map(|[n, v, count]| ((n, v), count as i64)).collect()
}

#[track_caller]
pub(super) fn equal_bags(delivered: &Bag, there: &Bag) {
    let different: Vec<_> = there.iter().filter(|(row, count)| delivered.get(*row) != Some(count)).take(5).collect();
    let left: Vec<_> = delivered.iter().filter(|(row, _)| !there.contains_key(*row)).take(5).collect();
    assert!(different.is_empty() && left.is_empty(), "different {different:?}, left over {left:?}");
}

/// Copies it while sessions change it and another table.
pub(super) fn ends_equal(server: &Server, rows: u64, snapshot: &str, between: &str) {
    let database = server.database("copied_keyless");
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    create_keyless(&mut client, &database, rows);
    let text = pipeline(server, &format!("['{database}.*']"), snapshot, &["a"], ", batch_changes: 100");
    let host = Sluicegate::new(BINARY, &text);
    let (writer, keyed) = (change(server, &database, rows, between), Writer::start_with(server, &database, 5, 300, between));
    let mut process = host.spawn();
    random::wait_for_all(&mut process, &host);
    writer.stop();
    keyed.stop();
    client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    random::wait_for_last(&mut process, &host, "a", 1);
    random::stop(process);
    equal_bags(&replayed(&host, "a"), &there(server, &database));
    equal(&replay(&host, "a", "t"), &on_server(server, &database));
    let counts = operations(&host, "a", "k");
    assert!(counts["r"] >= rows, "{counts:?}");
}

#[test]
fn d21_a_table_without_a_key_that_changes_all_through_its_copy_ends_equal_mariadb() {
    ends_equal(&mariadb::shared(), 3000, "{ mode: initial, readers: 3, rows_per_second: 5000 }", "DO 0");
}

#[test]
fn d21_a_table_without_a_key_that_changes_all_through_its_copy_ends_equal_mysql() {
    ends_equal(&mysql::shared(), 3000, "{ mode: initial, readers: 3, rows_per_second: 5000 }", "DO 0");
}

/// Nothing was delivered of it before: nothing has to be void, and each row comes once.
#[test]
fn the_first_copy_of_a_quiet_table_without_a_key_has_each_row_once() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("copied_keyless_quiet");
        let mut client = server.client();
        client.sql("SET NAMES utf8mb4");
        create_keyless(&mut client, &database, 1000);
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), "only", &["a", "b"], ", batch_changes: 64"));
        let ended = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
        assert!(ended.status.success(), "{}", ended.stderr);
        for sink in ["a", "b"] {
            equal_bags(&replayed(&host, sink), &there(&server, &database));
            assert_eq!(operations(&host, sink, "k"), BTreeMap::from([("r".to_owned(), 1100)]));
        }
    }
}

/// A kill in the middle: it begins again, behind a truncate.
fn killed(server: &Server) {
    let database = server.database("copied_keyless_killed");
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    create_keyless(&mut client, &database, 2000);
    let text = |rate: &str| {
        let snapshot = format!("{{ mode: initial, tables: ['*.k']{rate} }}");
        pipeline(server, &format!("['{database}.*']"), &snapshot, &["a", "b"], ", batch_changes: 50")
    };
    let host = Sluicegate::new(BINARY, &text(", rows_per_second: 500"));
    let writer = change(server, &database, 2000, "DO 0");
    let mut process = host.spawn();
    process.wait_until("some rows in the checkpoint", PATIENCE, || {
        random::copies(&host).iter().any(|lane| lane["without_key"] == true && lane["rows"].as_u64() >= Some(100))
    });
    process.kill9();
    host.write_pipeline(&text(""));
    let mut process = host.spawn();
    random::wait_for_all(&mut process, &host);
    writer.stop();
    client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    random::wait_for_last(&mut process, &host, "a", 1);
    random::wait_for_last(&mut process, &host, "b", 1);
    random::stop(process);
    for sink in ["a", "b"] {
        equal_bags(&replayed(&host, sink), &there(server, &database));
        let counts = operations(&host, sink, "k");
        assert!(counts["t"] >= 1 && counts["r"] > 2000, "{counts:?}");
    }
}

#[test]
fn the_copy_of_a_table_without_a_key_that_is_killed_begins_again_behind_a_truncate_mariadb() {
    killed(&mariadb::shared());
}

#[test]
fn the_copy_of_a_table_without_a_key_that_is_killed_begins_again_behind_a_truncate_mysql() {
    killed(&mysql::shared());
}

/// Without GTIDs nothing tells what a query sees: rows are locked while they are read, and only where that is allowed.
#[test]
fn mysql_without_gtids_is_copied_under_locks() {
    let options = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF", "--binlog-group-commit-sync-delay=20000"];
    let server = mysql::start(&options);
    assert_eq!(server.flavor(), Flavor::MySql);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)");
    let host = Sluicegate::new(BINARY, &pipeline(&server, "['d.*']", "initial", &["a"], ""));
    let ended = host.run(&["--log-format", "text", "check", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("set the source's snapshot.share_locks to true"), "{}", ended.stderr);
    ends_equal(&server, 1000, "{ mode: initial, share_locks: true, rows_per_second: 2000 }", "DO 0");
    random::a_changing_table_ends_equal(&server, 1000, "{ share_locks: true, rows_per_second: 1000 }", "DO 0");
}

/// Rows are logged in part while the table is copied: nothing that the log lacks is missing in the end.
fn in_part(server: &Server) {
    let database = server.database("copied_in_parts");
    let mut client = server.client();
    client.sql(&format!(
        "CREATE TABLE {database}.m (id INT PRIMARY KEY, a INT NOT NULL, b INT NOT NULL); CREATE TABLE {database}.last (id INT PRIMARY KEY)"
    ));
    let values: Vec<String> = (0..1000).map(|id| format!("({id}, {id}, {id})")).collect();
    client.sql(&format!("INSERT INTO {database}.m VALUES {}", values.join(", ")));
    let text = pipeline(server, &format!("['{database}.*']"), "{ rows_per_second: 2000 }", &["a"], ", batch_changes: 100");
    let host = Sluicegate::new(BINARY, &text.replace("heartbeat: 1s", "heartbeat: 1s, row_image: partial"));
    let writer = Writer::run(server, &database, 21, 1000, "SET SESSION binlog_row_image = MINIMAL", |next, version| {
        let (id, other) = (next(1000), next(1500));
        match next(5) {
            0 => format!("UPDATE m SET a = {version} WHERE id = {id}"),
            1 => format!("UPDATE IGNORE m SET id = {other} WHERE id = {id}"),
            2 => format!("DELETE FROM m WHERE id = {id}"),
            3 => format!("INSERT IGNORE INTO m VALUES ({id}, {version}, {version})"),
            _ => format!("UPDATE m SET b = {version} WHERE id BETWEEN {id} AND {}", id + 2),
        }
    });
    let mut process = host.spawn();
    random::wait_for_all(&mut process, &host);
    writer.stop();
    client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    random::wait_for_last(&mut process, &host, "a", 1);
    random::stop(process);
    let mut rows: BTreeMap<u64, serde_json::Map<String, Value>> = BTreeMap::new();
    for record in files::records(&host.path("out"), "a").iter().filter(|record| record["source"]["table"] == "m") {
        if record["op"] == "t" {
            rows.clear();
        }
        let old = record["before"]["id"].as_u64().and_then(|id| rows.remove(&id));
        if let Value::Object(after) = &record["after"] {
            let mut row = old.unwrap_or_default();
            row.extend(after.clone());
            rows.insert(row["id"].as_u64().expect("an id"), row);
        }
    }
    let number = |row: &serde_json::Map<String, Value>, name: &str| row.get(name).map_or("-".to_owned(), Value::to_string);
    let delivered: Vec<String> = rows.values().map(|row| ["id", "a", "b"].map(|name| number(row, name)).join(" ")).collect();
    let there = client.query(&format!("SELECT CONCAT_WS(' ', id, a, b) FROM {database}.m ORDER BY id"));
    let there: Vec<String> = there.into_iter().map(|mut row| row.remove(0).expect("not null")).collect();
    assert_eq!(delivered, there);
}

#[test]
fn d4_rows_that_are_logged_in_part_while_they_are_copied_are_whole_in_the_end_mariadb() {
    in_part(&mariadb::shared());
}

#[test]
fn d4_rows_that_are_logged_in_part_while_they_are_copied_are_whole_in_the_end_mysql() {
    in_part(&mysql::shared());
}
