//! TRUNCATE: a record in its place, once.

use sluicegate_harness::{host::Sluicegate, mariadb, mysql};

use super::*;

fn seen(host: &Sluicegate, sink: &str) -> Vec<String> {
    let records = files::records(&host.path("out"), sink);
    let flat = records.iter().map(|r| match r.get("_op") {
        Some(op) => format!("{} {} {}", op.as_str().unwrap(), r["_table"].as_str().unwrap(), r["id"]),
        None => format!("{} {} {}", r["op"].as_str().unwrap(), r["source"]["table"].as_str().unwrap(), r["after"]["id"]),
    });
    flat.collect()
}

#[test]
fn a_truncate_is_one_record_in_its_place_in_both_formats_and_is_not_repeated() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("truncate");
        server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY); CREATE TABLE {database}.last (id INT PRIMARY KEY)"));
        let debezium = file("debezium").replace("format: flat", "format: debezium");
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}, {debezium}]", file("flat"))));
        stop(start(&host));
        server.sql(&format!(
            "INSERT INTO {database}.t VALUES (1), (2); TRUNCATE TABLE {database}.t; INSERT INTO {database}.t VALUES (1);
             INSERT INTO {database}.last VALUES (1)"
        ));
        run_to(&host, &["flat"], 1);
        server.sql(&format!("TRUNCATE {database}.t; INSERT INTO {database}.last VALUES (2)"));
        run_to(&host, &["flat"], 2);
        let expected = ["c t 1", "c t 2", "t t null", "c t 1", "c last 1", "t t null", "c last 2"];
        assert_eq!(seen(&host, "flat"), expected);
        assert_eq!(seen(&host, "debezium"), expected);
        let records = files::records(&host.path("out"), "flat");
        assert!(records.iter().all(|record| record["_ts"].as_str().unwrap() > "2024"), "{records:?}");
    }
}

#[test]
fn a_truncate_is_not_repeated_to_a_sink_that_had_it_when_another_lags() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("truncate_had");
        server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY); CREATE TABLE {database}.last (id INT PRIMARY KEY)"));
        let tables = format!("['{database}.*']");
        let both = pipeline(&server, &tables, &format!("[{}, {}]", file("ahead"), file("behind")));
        let host = Sluicegate::new(BINARY, &both);
        stop(start(&host));
        host.write_pipeline(&pipeline(&server, &tables, &format!("[{}]", file("ahead"))));
        server.sql(&format!(
            "INSERT INTO {database}.t VALUES (1); TRUNCATE TABLE {database}.t; INSERT INTO {database}.t VALUES (2);
             INSERT INTO {database}.last VALUES (1)"
        ));
        run_to(&host, &["ahead"], 1);
        host.write_pipeline(&both);
        server.sql(&format!("TRUNCATE TABLE {database}.t; INSERT INTO {database}.last VALUES (2)"));
        run_to(&host, &["ahead", "behind"], 2);
        let expected = ["c t 1", "t t null", "c t 2", "c last 1", "t t null", "c last 2"];
        assert_eq!(seen(&host, "ahead"), expected);
        assert_eq!(seen(&host, "behind"), expected);
    }
}

#[test]
fn plugins_rename_a_truncate_and_a_filter_lets_it_pass() {
    let server = mariadb::shared();
    let database = server.database("truncate_plugins");
    for table in ["t", "other", "last"] {
        server.sql(&format!("CREATE TABLE {database}.{table} (id INT PRIMARY KEY)"));
    }
    let plugins = format!(
        "plugins:
  - {{ use: filter, config: {{ tables: [{{ table: {database}.t, where: 'id > 1' }}] }} }}
  - {{ use: map-names, config: {{ tables: [{{ from: {database}.t, to: {database}.renamed }}] }} }}
"
    );
    let host = Sluicegate::new(BINARY, &(pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t"))) + &plugins));
    stop(start(&host));
    server.sql(&format!(
        "INSERT INTO {database}.t VALUES (1), (2); TRUNCATE TABLE {database}.t; INSERT INTO {database}.t VALUES (3); TRUNCATE {database}.other;
         INSERT INTO {database}.last VALUES (1)"
    ));
    run_to(&host, &["t"], 1);
    assert_eq!(seen(&host, "t"), ["c renamed 2", "t renamed null", "c renamed 3", "t other null", "c last 1"]);
}

mod with_kafka {
    use sluicegate_harness::kafka;

    use super::*;

    #[test]
    fn a_truncate_is_one_record_without_a_key_behind_everything_before_it() {
        let (server, broker) = (mariadb::shared(), kafka::shared());
        let database = server.database("truncate_kafka");
        server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY)"));
        let sinks = format!("[{{ type: kafka, name: k, brokers: '{}', topic: {database}, format: flat }}]", broker.brokers());
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &sinks));
        let process = start(&host);
        server.sql(&format!("INSERT INTO {database}.t VALUES (1), (2); TRUNCATE TABLE {database}.t; INSERT INTO {database}.t VALUES (3)"));
        broker.wait_for_records(&database, 4, PATIENCE);
        stop(process);
        stop(start(&host));
        let records = broker.records(&database);
        let seen: Vec<(Value, Value, bool)> = records
            .iter()
            .map(|record| (serde_json::from_str::<Value>(record.value.as_ref().expect("a value")).expect("JSON"), record.key.is_some()))
            .map(|(value, has_key)| (value["_op"].clone(), value["id"].clone(), has_key))
            .collect();
        let expected = [("c", Value::from(1), true), ("c", 2.into(), true), ("t", Value::Null, false), ("c", 3.into(), true)];
        assert_eq!(seen, expected.map(|(op, id, key)| (op.into(), id, key)));
    }
}
