//! The whole program: real rows of every type through Avro, a schema that changes, and `check`.

use super::*;
use sluicegate_harness::{database::Server, host::Sluicegate, mariadb, mysql};

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(60);

/// Columns, a value, and what Confluent's client makes of it in the envelope and in a flat row.
const VALUES: [(&str, &str, &str, &str); 16] = [
    ("TINYINT", "-128", "-128", "-128"),
    ("BIGINT UNSIGNED", "18446744073709551615", "-1", "\"18446744073709551615\""),
    ("BIT(64)", "b'1111111111111111111111111111111111111111111111111111111111111111'", "\"ffffffffffffffff\"", "\"18446744073709551615\""),
    ("DECIMAL(12,2)", "-12.5", "\"-12.50\"", "\"-12.50\""),
    ("DECIMAL(65,30)", "1e-30", "\"1E-30\"", "\"1E-30\""),
    ("FLOAT", "0.5", "0.5", "0.5"),
    ("DOUBLE", "-1e-7", "-1e-07", "-1e-07"),
    ("VARCHAR(20)", "'Zoë'", "\"Zoë\"", "\"Zoë\""),
    ("VARBINARY(9)", "0x00ff", "\"00ff\"", "\"00ff\""),
    ("DATE", "'2024-02-29'", "19782", "\"2024-02-29\""),
    ("DATE", "'0000-00-00'", "null", "null"),
    ("TIME(6)", "'-838:59:58.000001'", "-3020398000001", "-3020398000001"),
    ("DATETIME(6)", "'2024-02-29 13:14:15.123456'", "1709212455123456", "\"2024-02-29 13:14:15.123456\""),
    ("TIMESTAMP(6)", "'2024-02-29 13:14:15.123456'", "\"2024-02-29T13:14:15.123456Z\"", "\"2024-02-29 13:14:15.123456+00:00\""),
    ("ENUM('a','b')", "'b'", "\"b\"", "\"b\""),
    ("JSON", "'{\"a\": 1}'", "\"{\\\"a\\\": 1}\"", "\"{\\\"a\\\": 1}\""),
];

fn pipeline(server: &Server, database: &str, sinks: &str) -> String {
    format!(
        "name: avro-test
source: {{ type: mysql, host: 127.0.0.1, port: {}, user: {}, password: {}, tables: ['{database}.*'] }}
sinks: {sinks}
limits: {{ checkpoint_interval: 20ms }}
",
        server.port(),
        server.user(),
        server.password()
    )
}

fn sink(broker: &Broker, name: &str, format: &str) -> String {
    format!("{{ type: kafka, name: {name}, brokers: '{}', topic: '{name}.{{database}}.{{table}}', format: {format} }}", broker.brokers())
}

fn every_type_and_version(server: &Server) {
    let (broker, registry) = (kafka::shared(), registry::shared());
    let database = server.database("avro");
    let columns: Vec<String> = VALUES.iter().enumerate().map(|(i, (kind, ..))| format!("c{i} {kind} NULL")).collect();
    let values: Vec<&str> = VALUES.iter().map(|(_, value, ..)| *value).collect();
    server.sql(&format!("CREATE TABLE {database}.`t-1` (id INT PRIMARY KEY, {})", columns.join(", ")));
    let envelope = sink(&broker, "envelope", &format!("{{ type: avro, registry: {{ url: '{}' }} }}", registry.url()));
    let flat = sink(&broker, "flat", &format!("{{ type: avro, envelope: flat, registry: {{ url: '{}' }} }}", registry.url()));
    let host = Sluicegate::new(BINARY, &pipeline(server, &database, &format!("[{envelope}, {flat}]")));
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", PATIENCE);
    let mut client = server.client();
    client.sql("SET sql_mode = ''; SET time_zone = '+00:00'");
    client.sql(&format!("INSERT INTO {database}.`t-1` VALUES (1, {})", values.join(", ")));
    client.sql(&format!("ALTER TABLE {database}.`t-1` ADD COLUMN more INT NULL"));
    client.sql(&format!("INSERT INTO {database}.`t-1` (id, more) VALUES (2, 7)"));
    for (name, image) in [("envelope", true), ("flat", false)] {
        let topic = format!("{name}.{database}.t-1");
        let read = read_back(registry.url(), &topic, &broker.wait_for_records(&topic, 2, PATIENCE));
        let row = |i: usize| {
            let value = read[i].1.as_ref().expect("a value");
            if image { value["after"].clone() } else { value.clone() }
        };
        for (i, (kind, value, in_envelope, in_row)) in VALUES.iter().enumerate() {
            let expected: Value = serde_json::from_str(if image { in_envelope } else { in_row }).expect("JSON");
            assert_eq!(row(0)[format!("c{i}")], expected, "{kind} {value} in {name}");
        }
        assert_eq!((row(0).get("more").cloned().unwrap_or_default(), row(1)["more"].clone()), (Value::Null, 7.into()));
        assert_eq!(read[0].0.as_ref().expect("a key")["id"], 1);
    }
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
}

#[test]
fn every_type_of_mariadb_and_every_version_of_a_table_is_read_back() {
    every_type_and_version(&mariadb::shared());
}

#[test]
fn every_type_of_mysql_and_every_version_of_a_table_is_read_back() {
    every_type_and_version(&mysql::shared());
}

#[test]
fn check_tells_of_a_registry_that_is_none_and_of_names_that_meet() {
    let (server, broker, registry) = (mariadb::shared(), kafka::shared(), registry::shared());
    let database = server.database("avrocheck");
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY, `a-b` INT, a_b INT)"));
    let format = |url: &str| format!("{{ type: avro, registry: {{ url: '{url}' }} }}");
    let host = Sluicegate::new(BINARY, &pipeline(&server, &database, &format!("[{}]", sink(&broker, "s", &format(registry.url())))));
    let check = |text: &str| {
        host.write_pipeline(text);
        let ended = host.run(&["--log-format", "text", "check", "pipeline.yaml"], PATIENCE);
        (ended.status.code(), format!("{}{}", ended.stdout, ended.stderr))
    };
    let text = pipeline(&server, &database, &format!("[{}]", sink(&broker, "s", &format(registry.url()))));
    let (code, said) = check(&text);
    assert!(code == Some(3) && said.contains("columns `a-b` and `a_b` of table"), "{said}");
    server.sql(&format!("ALTER TABLE {database}.t DROP COLUMN a_b"));
    let (code, said) = check(&text);
    assert_eq!(code, Some(0), "{said}");
    let nobody = sluicegate_harness::free_port();
    let (code, said) =
        check(&pipeline(&server, &database, &format!("[{}]", sink(&broker, "s", &format(&format!("http://127.0.0.1:{nobody}"))))));
    assert!(code == Some(3) && said.contains("the schema registry http://127.0.0.1") && said.contains("cannot be reached"), "{said}");
}
