//! Rows that the server logged in part: plugins and formats never take what is absent for null.

use sluicegate_harness::{host::Sluicegate, kafka, mariadb, mysql};

use super::*;

const MASK: &str = "{ use: rewrite-columns, config: { tables: [ { table: '*.t', columns: [ { column: email, mask: { first: 1 } } ] } ] } }";

fn partial(server: &Server, database: &str, plugins: &str, sinks: &str) -> String {
    let text = pipeline(server, &format!("['{database}.*']"), sinks);
    text.replace("heartbeat: 1s", "heartbeat: 1s, row_image: partial") + &format!("plugins: [{plugins}]\n")
}

/// A table, and one for its end.
fn tables(server: &Server, database: &str) {
    server.sql(&format!(
        "CREATE TABLE {database}.t (id int PRIMARY KEY, email varchar(40), state varchar(10), note text);
         CREATE TABLE {database}.last (id int PRIMARY KEY)"
    ));
}

/// The members of a record of `t`, but for the place.
fn members(record: &Value) -> Value {
    match record.as_object() {
        Some(object) if object.contains_key("_op") => {
            object.iter().filter(|(name, _)| !name.starts_with('_') || *name == "_op").map(|(n, v)| (n.clone(), v.clone())).collect()
        }
        Some(object) => ["op", "before", "after"].into_iter().map(|name| (name.to_owned(), object[name].clone())).collect(),
        None => panic!("an object"),
    }
}

fn told(host: &Sluicegate, sink: &str) -> String {
    let records = files::records(&host.path("out"), sink);
    let of_t = records.iter().filter(|r| r["_table"] == "t" || r["source"]["table"] == "t");
    of_t.map(|record| members(record).to_string() + "\n").collect()
}

#[test]
fn what_is_not_logged_is_left_out_of_records_and_not_computed() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("masked");
        tables(&server, &database);
        let debezium = file("debezium").replace("format: flat", "format: debezium");
        let host = Sluicegate::new(BINARY, &partial(&server, &database, MASK, &format!("[{}, {debezium}]", file("flat"))));
        stop(start(&host));
        server.sql(&format!(
            "SET SESSION binlog_row_image = MINIMAL; INSERT INTO {database}.t VALUES (1, 'ada@example.org', 'new', NULL);
             UPDATE {database}.t SET state = 'old' WHERE id = 1; UPDATE {database}.t SET email = 'eve@example.org' WHERE id = 1;
             UPDATE {database}.t SET email = NULL WHERE id = 1; DELETE FROM {database}.t WHERE id = 1;
             INSERT INTO {database}.last VALUES (1)"
        ));
        run_to(&host, &["flat"], 1);
        insta::allow_duplicates! {
            insta::assert_snapshot!(told(&host, "flat"), @r#"
            {"_op":"c","id":1,"email":"a**************","state":"new","note":null}
            {"_op":"u","id":1,"state":"old"}
            {"_op":"u","id":1,"email":"e**************"}
            {"_op":"u","id":1,"email":null}
            {"_op":"d","id":1}
            "#);
            insta::assert_snapshot!(told(&host, "debezium"), @r#"
            {"op":"c","before":null,"after":{"id":1,"email":"a**************","state":"new","note":null}}
            {"op":"u","before":{"id":1},"after":{"id":1,"state":"old"}}
            {"op":"u","before":{"id":1},"after":{"id":1,"email":"e**************"}}
            {"op":"u","before":{"id":1},"after":{"id":1,"email":null}}
            {"op":"d","before":{"id":1},"after":null}
            "#);
        }
    }
}

#[test]
fn a_plugin_is_not_given_rows_that_lack_what_it_reads() {
    const FILTER: &str = "{ use: filter, name: open, config: { tables: [ { table: '*.t', where: \"state = 'open'\" } ] } }";
    let server = mysql::shared();
    for (name, statement) in [
        ("neither", "UPDATE t SET email = 'b' WHERE id = 1"),
        ("enters", "UPDATE t SET state = 'open' WHERE id = 1"),
        ("insert", "INSERT INTO t (id, email) VALUES (2, 'c')"),
    ] {
        let database = server.database(name);
        tables(&server, &database);
        let host = Sluicegate::new(BINARY, &partial(&server, &database, FILTER, &format!("[{}]", file("flat"))));
        stop(start(&host));
        server.sql(&format!(
            "USE {database}; INSERT INTO t VALUES (1, 'a', 'done', 'x'); SET SESSION binlog_row_image = MINIMAL; {statement}"
        ));
        let (code, said) = refused(&host);
        assert_eq!(code, Some(1), "{said}");
        let reason = match name {
            "neither" => format!("plugin `open` reads column `state` of {database}.t, which the source did not send with this row"),
            "insert" => format!("plugin `open` reads column `state` of {database}.t, which the source did not send with this row"),
            _ => format!(
                "plugin `open` lets a row of {database}.t pass that was not delivered before, and the source did not send column `email` of it"
            ),
        };
        assert!(said.contains(&reason), "{said}");
    }
    // what leaves the filter is deleted, whether it was there or not, and a delete stays one
    let database = server.database("leaves");
    tables(&server, &database);
    let host = Sluicegate::new(BINARY, &partial(&server, &database, FILTER, &format!("[{}]", file("flat"))));
    stop(start(&host));
    server.sql(&format!(
        "USE {database}; INSERT INTO t VALUES (1, 'a', 'open', 'x'), (2, 'b', 'open', 'y'); SET SESSION binlog_row_image = MINIMAL;
         UPDATE t SET state = 'done' WHERE id = 1; DELETE FROM t WHERE id = 2; SET SESSION binlog_row_image = NOBLOB;
         INSERT INTO t VALUES (3, 'c', 'open', 'z'); UPDATE t SET email = 'd' WHERE id = 3; SET SESSION binlog_row_image = FULL;
         INSERT INTO last VALUES (1)"
    ));
    run_to(&host, &["flat"], 1);
    insta::assert_snapshot!(told(&host, "flat"), @r#"
    {"_op":"c","id":1,"email":"a","state":"open","note":"x"}
    {"_op":"c","id":2,"email":"b","state":"open","note":"y"}
    {"_op":"d","id":1}
    {"_op":"d","id":2}
    {"_op":"c","id":3,"email":"c","state":"open","note":"z"}
    {"_op":"u","id":3,"email":"d","state":"open"}
    "#);
}

#[test]
fn a_key_that_before_images_do_not_tell_is_refused_when_the_table_is_planned() {
    const KEYED: &str = "{ use: rewrite-columns, name: hashed, config: { tables: [ { table: '*.t', columns: [ \
        { column: id, hash: { salt: s } }, { column: email, mask: { first: 1 } } ] } ] } }";
    let server = mariadb::shared();
    let database = server.database("refused");
    tables(&server, &database);
    let host = Sluicegate::new(BINARY, &partial(&server, &database, KEYED, &format!("[{}]", file("flat"))));
    stop(start(&host));
    server.sql(&format!("INSERT INTO {database}.t VALUES (1, 'a', 'open', 'x')"));
    let (code, said) = refused(&host);
    assert_eq!(code, Some(1), "{said}");
    insta::assert_snapshot!(said.replace(&database, "DATABASE"), @r#"
    error: DATABASE.t: plugin `hashed` makes `id` a column of the key, and the source does not send what it is made of with every update and delete: the old row could not be found
    remedy: make it of the table's own key, by a plugin that reads nothing else; or let the source take whole rows only (mysql: `row_image: full`, with binlog_row_image = FULL on the server)
    "#);
}

#[test]
fn a_kafka_record_has_a_key_of_values_that_are_there() {
    let (server, broker) = (mysql::shared(), kafka::shared());
    let database = server.database("keys");
    tables(&server, &database);
    let topic = format!("partial-{database}");
    let sink =
        format!("[{{ type: kafka, name: kafka, brokers: '{}', topic: {topic}, format: flat, on_error: dead-letter }}]", broker.brokers());
    let host = Sluicegate::new(BINARY, &partial(&server, &database, "", &sink));
    stop(start(&host));
    server.sql(&format!(
        "USE {database}; CREATE TABLE k (id int DEFAULT 5 PRIMARY KEY, x int, y int); SET SESSION binlog_row_image = MINIMAL;
         INSERT INTO t VALUES (1, 'a', 'open', 'x'); UPDATE t SET email = 'b' WHERE id = 1; UPDATE t SET id = 3 WHERE id = 1;
         INSERT INTO k (x) VALUES (1); DELETE FROM t WHERE id = 3"
    ));
    let process = start(&host);
    let records = broker.wait_for_records(&topic, 4, PATIENCE);
    stop(process);
    let told: String = records
        .iter()
        .map(|record| {
            let value = record.value.as_deref().map(|value| members(&serde_json::from_str(value).unwrap()).to_string());
            format!("{} {}", record.key.clone().unwrap_or_default(), value.unwrap_or_default()).trim_end().to_owned() + "\n"
        })
        .collect();
    insta::assert_snapshot!(told, @r#"
    {"id":1} {"_op":"c","id":1,"email":"a","state":"open","note":"x"}
    {"id":1} {"_op":"u","id":1,"email":"b"}
    {"id":3} {"_op":"d","id":3}
    {"id":3}
    "#);
    let letters = fs::read_to_string(host.path("sluicegate-state/binlog-dead-letters/sink.kafka.ndjson")).unwrap();
    let reasons: String = letters
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["error"].to_string().replace(&database, "DATABASE") + "\n")
        .collect();
    insta::assert_snapshot!(reasons, @r#"
    "a row of table DATABASE.t moves to another key or destination, and the source did not send its column `email`, which would be missing there"
    "a record of table DATABASE.k has no whole key: the source did not send column `id` with the row"
    "#);
}
