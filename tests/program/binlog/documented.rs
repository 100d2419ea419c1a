//! The types of MySQL and MariaDB: what `docs/formats.md` says of each is what a real server's rows become.

use sluicegate_harness::{
    database::{Flavor, Server},
    host::Sluicegate,
    mariadb, mysql,
};

use super::*;

const HEADING: &str = "## Types of MySQL and MariaDB";

/// A row of the table in the documentation.
struct Documented {
    kind: String,
    sql: String,
    record: Value,
}

/// The rows that hold for a server.
fn documented(flavor: Flavor) -> Vec<Documented> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats.md");
    let page = fs::read_to_string(path).expect("the page is there");
    let (_, section) = page.split_once(HEADING).expect("the section is there");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let rows = section.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [kind, on, sql, record] = cells[..] else { panic!("four cells: {line}") };
        let code = |cell: &str| cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).expect("code").to_owned();
        let holds = match on {
            "both" => true,
            "MySQL" => flavor == Flavor::MySql,
            "MariaDB" => flavor == Flavor::MariaDb,
            other => panic!("both, MySQL or MariaDB: {other}"),
        };
        let record = serde_json::from_str(&code(record)).unwrap_or_else(|e| panic!("{line}: {e}"));
        holds.then(|| Documented { kind: code(kind), sql: code(sql), record })
    });
    rows.flatten().collect()
}

fn the_documentation_is_true(server: &Server) {
    let rows = documented(server.flavor());
    assert!(rows.len() > 40, "{}", rows.len());
    let database = server.database("documented");
    for (i, row) in rows.iter().enumerate() {
        server.sql(&format!("CREATE TABLE {database}.t{i} (id INT PRIMARY KEY, c {} NULL)", row.kind));
    }
    server.sql(&format!("CREATE TABLE {database}.last (id INT PRIMARY KEY)"));
    let host = Sluicegate::new(BINARY, &pipeline(server, &format!("['{database}.*']"), &format!("[{}]", file("t"))));
    let mut process = start(&host);
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4; SET sql_mode = ''; SET time_zone = '+00:00'");
    for (i, row) in rows.iter().enumerate() {
        client.sql(&format!("INSERT IGNORE INTO {database}.t{i} VALUES (1, {})", row.sql));
    }
    client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    wait_for(&mut process, &host, "t", "last", 1);
    stop(process);
    let records = files::records(&host.path("out"), "t");
    for (i, row) in rows.iter().enumerate() {
        let record = records.iter().find(|record| record["_table"] == format!("t{i}").as_str()).expect("a record");
        assert_eq!(record["c"], row.record, "{} {}", row.kind, row.sql);
    }
}

#[test]
fn the_type_table_of_the_documentation_holds_on_mariadb() {
    the_documentation_is_true(&mariadb::shared());
}

#[test]
fn the_type_table_of_the_documentation_holds_on_mysql() {
    the_documentation_is_true(&mysql::shared());
}

#[test]
fn check_says_which_sequences_it_leaves_out() {
    let server = mariadb::shared();
    let database = server.database("left_out");
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY); CREATE SEQUENCE {database}.numbers"));
    let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t"))));
    let (code, said) = command(&host, &["check", "pipeline.yaml"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("views and sequences that the patterns select are left out") && said.contains(&format!("{database}.numbers")),
        "{said}"
    );
}
