//! The whole program: real rows of every type through Avro and JSON, a schema that changes, and `check`.

use super::*;
use sluicegate_harness::{
    database::{Flavor, Server},
    host::Sluicegate,
    mariadb, mysql,
};

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");

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

/// What the documents of JSON have of the same values, in the envelope and in a flat row.
const IN_JSON: [(&str, &str); VALUES.len()] = [
    ("-128", "-128"),
    ("-1", "18446744073709551615"),
    ("\"//////////8=\"", "18446744073709551615"),
    ("\"+x4=\"", "\"-12.50\""),
    ("\"AQ==\"", "\"0.000000000000000000000000000001\""),
    ("0.5", "0.5"),
    ("-1e-7", "-1e-7"),
    ("\"Zoë\"", "\"Zoë\""),
    ("\"AP8=\"", "\"AP8=\""),
    ("19782", "\"2024-02-29\""),
    ("null", "\"0000-00-00\""),
    ("-3020398000001", "\"-838:59:58.000001\""),
    ("1709212455123456", "\"2024-02-29 13:14:15.123456\""),
    ("\"2024-02-29T13:14:15.123456Z\"", "\"2024-02-29T13:14:15.123456Z\""),
    ("\"b\"", "\"b\""),
    ("\"{\\\"a\\\": 1}\"", "\"{\\\"a\\\": 1}\""),
];

/// Further types, in columns that are never NULL: the schema of an envelope says so, and the client checks.
fn rare(flavor: Flavor) -> Vec<(&'static str, &'static str)> {
    let mut columns = vec![
        ("BOOLEAN", "TRUE"),
        ("SMALLINT UNSIGNED", "65535"),
        ("MEDIUMINT", "-8388608"),
        ("INT UNSIGNED", "4294967295"),
        ("BIGINT", "-9223372036854775808"),
        ("BIT(1)", "b'1'"),
        ("BIT(10)", "b'1000000001'"),
        ("YEAR", "2155"),
        ("DECIMAL(5,0)", "-99999"),
        ("CHAR(9)", "'中文'"),
        ("TEXT", "'say \"hi\"'"),
        ("BINARY(4)", "0x00ff00ff"),
        ("BLOB", "0xdeadbeef"),
        ("SET('a','b')", "'a,b'"),
        ("TIME", "'-838:59:59'"),
        ("DATETIME", "'9999-12-31 23:59:59'"),
        ("DATE", "'0000-00-00'"),
        ("TIMESTAMP", "'2038-01-19 03:14:07'"),
        ("GEOMETRY", "ST_GeomFromText('POINT(1 2)')"),
    ];
    columns.extend(match flavor {
        Flavor::MariaDb => {
            vec![("UUID", "'123e4567-e89b-12d3-a456-426655440000'"), ("INET6", "'::ffff:1.2.3.4'"), ("INET4", "'1.2.3.4'")]
        }
        Flavor::MySql => vec![("VECTOR(3)", "STRING_TO_VECTOR('[1, 2, -3.5]')")],
    });
    columns
}

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
    let documents = sink(&broker, "documents", &format!("{{ type: json-schema, registry: {{ url: '{}' }} }}", registry.url()));
    let rows = sink(&broker, "rows", &format!("{{ type: json-schema, envelope: flat, registry: {{ url: '{}' }} }}", registry.url()));
    let rare = rare(server.flavor());
    let columns: Vec<String> = rare.iter().enumerate().map(|(i, (kind, _))| format!("c{i} {kind} NOT NULL")).collect();
    server.sql(&format!("CREATE TABLE {database}.rare (id BIGINT UNSIGNED PRIMARY KEY, {})", columns.join(", ")));
    let host = Sluicegate::new(BINARY, &pipeline(server, &database, &format!("[{envelope}, {flat}, {documents}, {rows}]")));
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", PATIENCE);
    let mut client = server.client();
    client.sql("SET sql_mode = ''; SET time_zone = '+00:00'");
    client.sql(&format!("INSERT INTO {database}.`t-1` VALUES (1, {})", values.join(", ")));
    client.sql(&format!("ALTER TABLE {database}.`t-1` ADD COLUMN more INT NULL"));
    client.sql(&format!("INSERT INTO {database}.`t-1` (id, more) VALUES (2, 7)"));
    let values: Vec<&str> = rare.iter().map(|(_, value)| *value).collect();
    client.sql(&format!("INSERT INTO {database}.rare VALUES (18446744073709551615, {})", values.join(", ")));
    client.sql(&format!("DELETE FROM {database}.rare"));
    for (name, language, image) in
        [("envelope", "avro", true), ("flat", "avro", false), ("documents", "json-schema", true), ("rows", "json-schema", false)]
    {
        let topic = format!("{name}.{database}.rare");
        // an insert, a delete and its tombstone
        let read = read_back_in(language, registry.url(), &topic, &broker.wait_for_records(&topic, 3, PATIENCE));
        let values: Vec<Option<&Value>> = read.iter().map(|(_, value)| value.as_ref()).collect();
        let [Some(inserted), Some(deleted), None] = values[..] else { panic!("{name}: {values:?}") };
        if image {
            assert_eq!(inserted["after"], deleted["before"], "{name}");
        }
        let topic = format!("{name}.{database}.t-1");
        let read = read_back_in(language, registry.url(), &topic, &broker.wait_for_records(&topic, 2, PATIENCE));
        let row = |i: usize| {
            let value = read[i].1.as_ref().expect("a value");
            if image { value["after"].clone() } else { value.clone() }
        };
        for (i, (kind, value, in_envelope, in_row)) in VALUES.iter().enumerate() {
            let (in_envelope, in_row) = if language == "avro" { (in_envelope, in_row) } else { (&IN_JSON[i].0, &IN_JSON[i].1) };
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

/// With `row_image: partial` a document lacks what the server did not log, and its schema lets it.
#[test]
fn what_the_server_did_not_log_is_not_in_the_documents() {
    let (server, broker, registry) = (mariadb::shared(), kafka::shared(), registry::shared());
    let database = server.database("jsonpartial");
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY, a INT NOT NULL, b VARCHAR(9) NOT NULL)"));
    let of = |name: &str, envelope: &str| {
        sink(&broker, name, &format!("{{ type: json-schema, envelope: {envelope}, registry: {{ url: '{}' }} }}", registry.url()))
    };
    let text = pipeline(&server, &database, &format!("[{}, {}]", of("partial", "debezium"), of("partial-rows", "flat")));
    let host = Sluicegate::new(BINARY, &text.replace("type: mysql,", "type: mysql, row_image: partial,"));
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", PATIENCE);
    server.sql(&format!(
        "INSERT INTO {database}.t VALUES (1, 1, 'whole'); SET SESSION binlog_row_image = MINIMAL; UPDATE {database}.t SET a = 2 WHERE id = 1"
    ));
    for (name, image) in [("partial", true), ("partial-rows", false)] {
        let topic = format!("{name}.{database}.t");
        let read = read_back_in("json-schema", registry.url(), &topic, &broker.wait_for_records(&topic, 2, PATIENCE));
        let row = |i: usize| {
            let value = read[i].1.as_ref().expect("a value");
            let row = if image { &value["after"] } else { value };
            ["id", "a", "b"].map(|column| row.get(column).cloned())
        };
        assert_eq!(row(0), [Some(1.into()), Some(1.into()), Some("whole".into())], "{name}");
        assert_eq!(row(1), [Some(1.into()), Some(2.into()), None], "{name}");
    }
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
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
