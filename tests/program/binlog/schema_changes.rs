//! Changes of schemas as records, for sinks that tell them.

use sluicegate_harness::{host::Sluicegate, mariadb, mysql};

use super::*;

/// A file sink that tells them.
fn telling(name: &str, format: &str) -> String {
    format!("{{ type: file, name: {name}, format: {format}, folder: out, prefix: {name}, schema_changes: true }}")
}

/// Operation, table, and the statement or the row's id.
fn seen(host: &Sluicegate, sink: &str) -> Vec<String> {
    let records = files::records(&host.path("out"), sink);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    records.iter().map(|r| format!("{} {} {}", text(&r["_op"]), text(&r["_table"]), text(r.get("_ddl").unwrap_or(&r["id"])))).collect()
}

#[test]
fn each_statement_is_told_once_in_its_place_and_others_are_not() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("told");
        let other = server.database("told_other");
        server.sql(&format!("CREATE TABLE {database}.last (id INT PRIMARY KEY)"));
        let sinks = format!("[{}, {}, {}]", telling("flat", "flat"), telling("dbz", "debezium"), file("silent"));
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &sinks));
        stop(start(&host));
        server.sql(&format!(
            "USE {database}; CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(5)); INSERT INTO t VALUES (1, 'a');
             CREATE TEMPORARY TABLE hidden (id INT); CREATE TABLE {other}.u (id INT PRIMARY KEY);
             ALTER TABLE t ADD price DECIMAL(8,2) NOT NULL AFTER id; INSERT INTO t VALUES (2, 1.5, 'b'); TRUNCATE TABLE t;
             RENAME TABLE t TO v; INSERT INTO last VALUES (1)"
        ));
        run_to(&host, &["flat", "silent"], 1);
        server.sql(&format!("USE {database}; DROP TABLE v; INSERT INTO last VALUES (2)"));
        run_to(&host, &["flat", "silent"], 2);
        let drop = seen(&host, "flat").into_iter().find(|record| record.starts_with("s v")).expect("the drop is told");
        assert!(drop.starts_with("s v DROP TABLE `v`"), "{drop}");
        let told: Vec<String> = seen(&host, "flat").into_iter().filter(|record| *record != drop && record != "t v null").collect();
        let expected = [
            "s t CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(5))",
            "c t 1",
            "s t ALTER TABLE t ADD price DECIMAL(8,2) NOT NULL AFTER id",
            "c t 2",
            "t t null",
            "s t RENAME TABLE t TO v",
            "c last 1",
            "c last 2",
        ];
        assert_eq!(told, expected);
        let rows: Vec<String> = seen(&host, "silent").into_iter().filter(|record| record != "t v null").collect();
        assert_eq!(rows, ["c t 1", "c t 2", "t t null", "c last 1", "c last 2"]);

        let records = files::records(&host.path("out"), "dbz");
        let changes: Vec<&Value> = records.iter().filter(|record| record.get("ddl").is_some()).collect();
        let entries: Vec<&Value> = changes.iter().map(|change| &change["tableChanges"][0]).collect();
        let kinds: Vec<&str> = entries.iter().map(|entry| entry["type"].as_str().expect("a type")).collect();
        assert_eq!(kinds, ["CREATE", "ALTER", "ALTER", "DROP"]);
        let columns =
            |entry: &Value| entry["table"]["columns"].as_array().expect("columns").iter().map(|c| c["name"].clone()).collect::<Vec<_>>();
        assert_eq!(columns(entries[0]), ["id", "name"]);
        assert_eq!(columns(entries[1]), ["id", "price", "name"]);
        assert_eq!(entries[1]["table"]["primaryKeyColumnNames"], serde_json::json!(["id"]));
        assert_eq!(
            (&entries[2]["id"], &entries[2]["previousId"]),
            (&format!("\"{database}\".\"v\"").into(), &format!("\"{database}\".\"t\"").into())
        );
        assert!(changes.iter().all(|change| change["databaseName"] == database && change["source"]["db"] == database));
    }
}

/// Statements of several tables, and one whose rows follow in its transaction: wherever the program is killed, each is told once.
#[test]
fn a_statement_is_told_once_whatever_is_killed() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("told_killed");
        server.sql(&format!("CREATE TABLE {database}.last (id INT PRIMARY KEY); CREATE TABLE {database}.many (id INT PRIMARY KEY)"));
        let rows: Vec<String> = (0..2000).map(|id| format!("({id})")).collect();
        server.sql(&format!("INSERT INTO {database}.many VALUES {}", rows.join(",")));
        let limits = ", batch_changes: 50, queue_batches: 1";
        let host = Sluicegate::new(
            BINARY,
            &pipeline_with(&server, &format!("['{database}.*']"), &format!("[{}]", telling("flat", "flat")), limits),
        );
        stop(start(&host));
        server.sql(&format!(
            "USE {database}; CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE b (id INT PRIMARY KEY); RENAME TABLE a TO c, b TO d;
             CREATE TABLE copied (id INT PRIMARY KEY) SELECT id FROM many; DROP TABLE c, d; INSERT INTO last VALUES (1)"
        ));
        let mut process = host.spawn();
        for lines in [1, 3, 5, 400, 1500] {
            process.wait_until("records", PATIENCE, || seen_lines(&host) >= lines);
            process.kill9();
            process = start(&host);
        }
        wait_for(&mut process, &host, "flat", "last", 1);
        stop(process);
        let seen = seen(&host, "flat");
        let told: Vec<&str> =
            seen.iter().filter(|record| record.starts_with("s ")).map(|record| &record[2..record.len().min(30)]).collect();
        let starts = [
            "a CREATE TABLE a",
            "b CREATE TABLE b",
            "a RENAME TABLE a TO c",
            "b RENAME TABLE a TO c",
            "copied CREATE TABLE",
            "c DROP TABLE",
            "d DROP TABLE",
        ];
        assert_eq!(told.len(), starts.len(), "{told:?}");
        assert!(told.iter().zip(starts).all(|(told, start)| told.starts_with(start)), "{told:?}");
        let copied: Vec<u64> = ids_of_rows(&host, "copied");
        assert_eq!(copied, (0..2000).collect::<Vec<u64>>());
    }
}

fn seen_lines(host: &Sluicegate) -> usize {
    files::list(&host.path("out"), "flat").iter().map(|f| fs::read_to_string(f).map_or(0, |text| text.lines().count())).sum()
}

fn ids_of_rows(host: &Sluicegate, table: &str) -> Vec<u64> {
    let records = files::records(&host.path("out"), "flat");
    records.iter().filter(|r| r["_table"] == table && r["_op"] == "c").map(|r| r["id"].as_u64().expect("an id")).collect()
}
