//! Formats and their values, from real servers: what the server itself says of a value is what stands in the record.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use sluicegate_guest_builder::repository;
use sluicegate_harness::{host::Sluicegate, mariadb, mysql};

use super::*;

/// A sink of this name whose format has options.
fn formatted(name: &str, format: &str) -> String {
    file(name).replace("format: flat", &format!("format: {{ {format} }}"))
}

/// The sinks of the test of values: what stands behind `type: flat`.
const MODES: [(&str, &str); 7] = [
    ("connect", "time_precision_mode: connect, decimal_handling_mode: double, binary_handling_mode: hex"),
    ("nano", "time_precision_mode: nanoseconds, enum_handling_mode: numbers"),
    ("micro", "time_precision_mode: adaptive_time_microseconds, bigint_unsigned_handling_mode: long"),
    ("iso", "time_precision_mode: isostring, binary_handling_mode: base64-url-safe"),
    ("wkb", "geometry_handling_mode: wkb"),
    ("geojson", "geometry_handling_mode: geojson"),
    ("ewkb", "geometry_handling_mode: ewkb, binary_handling_mode: hex"),
];

/// Type, value, sink, and what the server is asked for: a JSON value.
const VALUES: [(&str, &str, &str, &str); 29] = [
    ("DECIMAL(12,2)", "-12.5", "connect", "CAST(c AS DOUBLE)"),
    ("DATE", "'2024-02-29'", "connect", "DATEDIFF(c, '1970-01-01')"),
    ("DATE", "'0001-01-01'", "nano", "DATEDIFF(c, '1970-01-01')"),
    ("DATE", "'0000-00-00'", "micro", "'null'"),
    ("DATE", "'2024-00-00'", "connect", "'null'"),
    ("TIME(3)", "'23:59:59.999'", "connect", "'86399999'"),
    ("TIME(6)", "'-838:59:58.000001'", "micro", "'-3020398000001'"),
    ("TIME", "'838:59:59'", "nano", "TIME_TO_SEC(c) * 1000000000"),
    ("DATETIME", "'2024-02-29 13:14:15'", "connect", "TIMESTAMPDIFF(SECOND, '1970-01-01', c) * 1000"),
    ("DATETIME(6)", "'1000-01-01 00:00:00.000001'", "micro", "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', c)"),
    ("DATETIME(6)", "'2024-02-29 13:14:15.123456'", "nano", "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', c) * 1000"),
    ("DATETIME", "'0000-00-00'", "nano", "'null'"),
    ("DATETIME(3)", "'2024-02-29 13:14:15.120'", "iso", "'\"2024-02-29T13:14:15.12Z\"'"),
    ("TIMESTAMP(3)", "'2024-02-29 13:14:15.12'", "micro", "'\"2024-02-29T13:14:15.120Z\"'"),
    ("TIMESTAMP", "'0000-00-00'", "iso", "'null'"),
    ("BIGINT UNSIGNED", "18446744073709551615", "micro", "CAST(c AS SIGNED)"),
    ("ENUM('small', 'it''s', 'large')", "'large'", "nano", "c + 0"),
    ("ENUM('small', 'large')", "'unknown'", "nano", "c + 0"),
    ("SET('a', 'b', 'c')", "'c,a'", "nano", "c + 0"),
    ("SET('a', 'b')", "''", "nano", "c + 0"),
    ("VARBINARY(9)", "0xfbff3e00", "connect", "CONCAT('\"', LOWER(HEX(c)), '\"')"),
    ("VARBINARY(9)", "0xfbff3e00", "iso", "CONCAT('\"', REPLACE(REPLACE(TO_BASE64(c), '+', '-'), '/', '_'), '\"')"),
    ("POINT", "ST_GeomFromText('POINT(1 -2.5)')", "wkb", "CONCAT('\"', TO_BASE64(ST_AsBinary(c)), '\"')"),
    ("GEOMETRY", "ST_GeomFromText('LINESTRING(0 0, 1 1, 2 0.5)')", "wkb", "CONCAT('\"', TO_BASE64(ST_AsBinary(c)), '\"')"),
    ("POINT", "ST_GeomFromText('POINT(1 -2.5)')", "geojson", "ST_AsGeoJSON(c)"),
    ("POLYGON", "ST_GeomFromText('POLYGON((0 0, 4 0, 4 4, 0 0), (1 0.5, 2 0.5, 2 1, 1 0.5))')", "geojson", "ST_AsGeoJSON(c)"),
    ("MULTIPOINT", "ST_GeomFromText('MULTIPOINT(1 2, 3 4)')", "geojson", "ST_AsGeoJSON(c)"),
    ("GEOMETRYCOLLECTION", "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1))')", "geojson", "ST_AsGeoJSON(c)"),
    ("POINT", "ST_GeomFromText('POINT(1 2)', 3857)", "ewkb", "'\"0101000020110f0000000000000000f03f0000000000000040\"'"),
];

/// Numbers as numbers of double precision: 1 and 1.0 are the same coordinate.
fn with_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(list) => list.into_iter().map(with_doubles).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, with_doubles(value))).collect(),
        other => other,
    }
}

fn values_are_what_the_server_says(server: &Server) {
    let database = server.database("modes");
    for (i, (kind, ..)) in VALUES.iter().enumerate() {
        server.sql(&format!("CREATE TABLE {database}.t{i} (id INT PRIMARY KEY, c {kind} NULL)"));
    }
    server.sql(&format!("CREATE TABLE {database}.last (id INT PRIMARY KEY)"));
    // each sink gets the values of all tables, also those that have no form in its mode
    let skipping = |sink: String| sink.replace("type: file,", "type: file, on_error: skip,");
    let sinks: Vec<String> = MODES.iter().map(|(name, options)| skipping(formatted(name, &format!("type: flat, {options}")))).collect();
    let host = Sluicegate::new(BINARY, &pipeline(server, &format!("['{database}.*']"), &format!("[{}]", sinks.join(", "))));
    let mut process = start(&host);
    let mut client = server.client();
    client.sql("SET sql_mode = ''; SET time_zone = '+00:00'");
    for (i, (_, value, ..)) in VALUES.iter().enumerate() {
        client.sql(&format!("INSERT IGNORE INTO {database}.t{i} VALUES (1, {value})"));
    }
    client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    for (name, _) in MODES {
        wait_for(&mut process, &host, name, "last", 1);
    }
    stop(process);
    for (i, (kind, value, sink, question)) in VALUES.iter().enumerate() {
        let records = files::records(&host.path("out"), sink);
        let record = records.iter().find(|record| record["_table"] == format!("t{i}").as_str()).expect("a record");
        let answer = client.value(&format!("SELECT {question} FROM {database}.t{i}")).expect("not null");
        let expected: Value = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{kind} {value}: {answer}: {e}"));
        let found = match (*sink, &record["c"]) {
            ("geojson", Value::String(text)) => serde_json::from_str(text).expect("GeoJSON"),
            (_, found) => found.clone(),
        };
        let same = if *sink == "geojson" { with_doubles(found.clone()) == with_doubles(expected) } else { found == expected };
        assert!(same, "{kind} {value} in {sink}: {found}, the server says {answer}");
    }
}

#[test]
fn values_in_every_mode_are_what_mariadb_says() {
    values_are_what_the_server_says(&mariadb::shared());
}

#[test]
fn values_in_every_mode_are_what_mysql_says() {
    values_are_what_the_server_says(&mysql::shared());
}

/// A table with a key that changes, and a delete, in every format; the records of each sink, without the row of `last`.
#[test]
fn every_format_tells_of_inserts_updates_and_deletes() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("formats");
        server.sql(&format!(
            "CREATE TABLE {database}.t (id INT PRIMARY KEY, name VARCHAR(20), price DECIMAL(8,2), s SET('x','y'));
             CREATE TABLE {database}.last (id INT PRIMARY KEY)"
        ));
        let given = [
            ("maxwell", "type: maxwell"),
            ("canal", "type: canal"),
            ("events", "type: cloudevents"),
            ("dts", "type: dts, naming: previous"),
            ("rows", "type: debezium-flattened, add_fields: [op, table]"),
            ("plain", "type: plain, delete_tombstone_handling_mode: drop"),
        ];
        let mut sinks: Vec<String> = given.iter().map(|(name, format)| formatted(name, format)).collect();
        sinks.push(file("flat"));
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", sinks.join(", "))));
        let mut process = start(&host);
        server.sql(&format!(
            "BEGIN; INSERT INTO {database}.t VALUES (1, 'a', 1.5, 'y,x'), (2, NULL, NULL, NULL); UPDATE {database}.t SET name = 'b' WHERE id = 1;
             COMMIT; DELETE FROM {database}.t WHERE id = 2; INSERT INTO {database}.last VALUES (1)"
        ));
        wait_for(&mut process, &host, "flat", "last", 1);
        stop(process);
        let all = |sink: &str| {
            let mut records = files::records(&host.path("out"), sink);
            records.pop();
            records
        };
        let member = |sink: &str, name: &str| all(sink).iter().map(|record| record[name].clone()).collect::<Vec<Value>>();
        assert_eq!(member("maxwell", "type"), ["insert", "insert", "update", "delete"]);
        assert_eq!(member("maxwell", "commit"), [Value::Null, Value::Null, true.into(), true.into()]);
        assert_eq!(all("maxwell")[0]["data"].to_string(), r#"{"id":1,"name":"a","price":1.5,"s":["x","y"]}"#);
        assert_eq!(all("maxwell")[2]["old"].to_string(), r#"{"name":"a"}"#);
        assert_eq!(member("canal", "type"), ["INSERT", "INSERT", "UPDATE", "DELETE"]);
        let mysql_type = r#"{"id":"int","name":"varchar(20)","price":"decimal(8,2)","s":"set('x','y')"}"#;
        assert_eq!(all("canal")[0]["mysqlType"].to_string(), mysql_type);
        assert_eq!(all("canal")[2]["old"].to_string(), r#"[{"name":"a"}]"#);
        assert_eq!(member("events", "iodebeziumop"), ["c", "c", "u", "d"]);
        let flags = |name: &str| member("dts", name).iter().map(|flag| flag.as_str().expect("text").to_owned()).collect::<String>();
        assert_eq!(
            (flags("dts_operation_flag"), flags("dts_before_flag"), flags("dts_after_flag")),
            ("IIUUD".into(), "NNYNY".into(), "YYNYN".into())
        );
        let ids = member("dts", "dts_record_id");
        assert!(ids[2] == ids[3] && ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
        assert_eq!(member("rows", "__op"), ["c", "c", "u", "d"]);
        assert_eq!(member("rows", "__deleted"), ["false", "false", "false", "true"]);
        assert_eq!(member("plain", "id"), [1, 2, 1]);
        let ids: BTreeSet<String> = member("events", "id").iter().map(Value::to_string).collect();
        assert_eq!(ids.len(), 4, "each event has an id of its own");
    }
}

#[test]
fn check_finds_a_column_that_is_called_like_a_field_of_the_format() {
    let server = mariadb::shared();
    let database = server.database("clash");
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY, new_dts_sync_dts_record_id INT)"));
    let sinks = format!("[{}]", formatted("rows", "type: dts"));
    let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &sinks));
    let (code, said) = command(&host, &["check", "pipeline.yaml"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("column `new_dts_sync_dts_record_id`") && said.contains("would have the same name in the record"), "{said}");
}

/// Runs a consumer over the files of a sink, and answers what it prints.
fn consumed(consumer: &str, host: &Sluicegate, sink: &str) -> String {
    let files = files::list(&host.path("out"), sink);
    let path = repository().join("tests/consumers").join(consumer);
    let output = Command::new(path).args(files).stdin(Stdio::null()).output().expect("the consumer can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn cloud_events_are_read_by_the_python_sdk() {
    let server = mariadb::shared();
    let database = server.database("events");
    server.sql(&format!("CREATE TABLE {database}.last (id INT PRIMARY KEY, name TEXT)"));
    let sinks = format!("[{}, {}]", file("flat"), formatted("events", "type: cloudevents"));
    let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &sinks));
    let mut process = start(&host);
    server.sql(&format!("INSERT INTO {database}.last VALUES (1, 'é\"'), (2, NULL)"));
    let records = || {
        files::list(&host.path("out"), "events").iter().map(|f| fs::read_to_string(f).map_or(0, |text| text.lines().count())).sum::<usize>()
    };
    process.wait_until("two events", PATIENCE, || records() == 2);
    stop(process);
    let expected = format!("io.debezium.connector.mariadb.DataChangeEvent /debezium/mariadb/binlog c {database} last");
    let told = consumed("cloudevents.sh", &host, "events");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines,
        [
            format!("{expected} {{\"before\": null, \"after\": {{\"id\": 1, \"name\": \"\\u00e9\\\"\"}}}}"),
            format!("{expected} {{\"before\": null, \"after\": {{\"id\": 2, \"name\": null}}}}"),
        ]
    );
}

mod with_kafka {
    use super::*;

    /// Kafka Connect's own converter reads schema and payload, and so gives every value its type: the same text as the server's.
    #[test]
    fn debezium_with_schemas_is_read_by_kafka_connects_converter() {
        for server in [mariadb::shared(), mysql::shared()] {
            let database = server.database("connect");
            server.sql(&format!(
                "CREATE TABLE {database}.every (id INT PRIMARY KEY, tiny TINYINT, big BIGINT UNSIGNED, yes BIT(1), bits BIT(10),
                   price DECIMAL(65,30), f FLOAT, d DOUBLE, name VARCHAR(20), raw VARBINARY(9), day DATE, dur TIME(6), at DATETIME(6),
                   ts TIMESTAMP(3) NULL, y YEAR, e ENUM('a','b'), s SET('a','b'), g GEOMETRY, nothing INT);
                 CREATE TABLE {database}.last (id INT PRIMARY KEY)"
            ));
            let sinks = format!(
                "[{}, {}]",
                file("flat"),
                formatted("dbz", "type: debezium, schemas: true").replace("format:", "schema_changes: true, format:")
            );
            let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &sinks));
            let mut process = start(&host);
            server.sql(&format!(
                "CREATE TABLE {database}.told (id INT PRIMARY KEY, e ENUM('a'));
                 SET time_zone = '+00:00'; INSERT INTO {database}.every VALUES (7, -128, 9223372036854775807, b'1', 0x0201,
                   -12345678901234567890123456789012345.000000000000000000000000000001, 0.5, -1e300, 'é', 0x00ff, '2024-02-29',
                   '-01:00:00.000001', '2024-02-29 13:14:15.123456', '2024-02-29 13:14:15.120', 2024, 'b', 'a,b',
                   ST_GeomFromText('POINT(1 2)'), NULL);
                 INSERT INTO {database}.last VALUES (1)"
            ));
            wait_for(&mut process, &host, "flat", "last", 1);
            stop(process);
            let told = consumed("connect-json.sh", &host, "dbz");
            let (change, rows) = told.split_once("\n\n").expect("several records");
            let statement =
                format!("io.debezium.connector.mysql.SchemaChangeValue CREATE TABLE {database}.told (id INT PRIMARY KEY, e ENUM('a'))");
            let table =
                format!("type=CREATE id=\"{database}\".\"told\" table=defaultCharsetName=null primaryKeyColumnNames=[id] columns=[");
            let lines: Vec<&str> = change.lines().collect();
            assert!(lines.len() == 2 && lines[0] == statement && lines[1].starts_with(&table), "{change}");
            let every: Vec<&str> = rows.lines().take_while(|line| !line.is_empty()).collect();
            assert_eq!(
                every,
                [
                    "binlog.connect.every.Envelope c".replace("connect", &database).as_str(),
                    "id int32 7",
                    "tiny int16 -128",
                    "big int64 9223372036854775807",
                    "yes boolean true",
                    "bits bytes io.debezium.data.Bits 0102",
                    "price bytes org.apache.kafka.connect.data.Decimal -12345678901234567890123456789012345.000000000000000000000000000001",
                    "f float32 0.5",
                    "d float64 -1.0E300",
                    "name string é",
                    "raw bytes 00ff",
                    "day int32 io.debezium.time.Date 19782",
                    "dur int64 io.debezium.time.MicroTime -3600000001",
                    "at int64 io.debezium.time.MicroTimestamp 1709212455123456",
                    "ts string io.debezium.time.ZonedTimestamp 2024-02-29T13:14:15.120Z",
                    "y int32 io.debezium.time.Year 2024",
                    "e string io.debezium.data.Enum b",
                    "s string io.debezium.data.EnumSet a,b",
                    "g struct io.debezium.data.geometry.Geometry wkb=0101000000000000000000f03f0000000000000040 srid=null",
                    "nothing int32 null",
                ]
            );
        }
    }
}
