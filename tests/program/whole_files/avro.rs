//! Avro's object container files, read back with fastavro.

use super::*;

fn rows(files: &[PathBuf]) -> Vec<Value> {
    read("avro.sh", &[], files).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Type, value, and the value as fastavro has it in a flat row and in Debezium's envelope.
const VALUES: [(&str, &str, &str, &str); 10] = [
    ("TINYINT", "-128", "-128", "-128"),
    ("INT UNSIGNED", "4294967295", "4294967295", "4294967295"),
    ("DECIMAL(38,10)", "-1.0123456789", "\"-1.0123456789\"", "\"-1.0123456789\""),
    ("DOUBLE", "0.5", "0.5", "0.5"),
    ("VARCHAR(20)", "'Zoë'", "\"Zoë\"", "\"Zoë\""),
    ("VARBINARY(9)", "0x00ff", "\"00ff\"", "\"00ff\""),
    ("DATE", "'2024-02-29'", "\"2024-02-29\"", "19782"),
    ("DATETIME(6)", "'2024-02-29 13:14:15.123456'", "\"2024-02-29 13:14:15.123456\"", "1709212455123456"),
    ("ENUM('a','b')", "'b'", "\"b\"", "\"b\""),
    ("BIGINT", "NULL", "null", "null"),
];

/// Types, versions and an emptied table, in both envelopes.
fn every_envelope(server: &Server) {
    let database = server.database("avro");
    let columns: Vec<String> = VALUES.iter().enumerate().map(|(i, (kind, ..))| format!("c{i} {kind} NULL")).collect();
    let values: Vec<&str> = VALUES.iter().map(|(_, value, ..)| *value).collect();
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY, {})", columns.join(", ")));
    let (port, user, password) = (server.port(), server.user(), server.password());
    let sink = |name: &str, format: &str, more: &str| {
        format!(
            "{{ name: {name}, type: file, format: {{ type: avro{format} }}, folder: {name}, prefix: p, roll: {{ every: 100ms }}{more} }}"
        )
    };
    let host = Sluicegate::new(
        BINARY,
        &format!(
            "name: lake
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{database}.*'], start: now }}
sinks: [{}, {}]
limits: {{ checkpoint_interval: 20ms }}
",
            sink("flat", ", envelope: flat", ", zstd: 3"),
            sink("debezium", "", "")
        ),
    );
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", PATIENCE);
    let mut client = server.client();
    client.sql(&format!("INSERT INTO {database}.t VALUES (1, {})", values.join(", ")));
    let folders = ["flat", "debezium"].map(|name| host.path(name));
    // files come while the stream runs
    process.wait_until("a file", PATIENCE, || folders.iter().all(|folder| !files(folder).is_empty()));
    client.sql(&format!("ALTER TABLE {database}.t ADD COLUMN more INT NULL"));
    client.sql(&format!("INSERT INTO {database}.t (id, more) VALUES (2, 7); UPDATE {database}.t SET more = 8 WHERE id = 2"));
    client.sql(&format!("DELETE FROM {database}.t WHERE id = 1; TRUNCATE TABLE {database}.t"));
    process.wait_until("all rows", PATIENCE, || folders.iter().all(|folder| rows(&files(folder)).len() == 5));
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let [flat, debezium] = folders.map(|folder| rows(&files(&folder)));
    for (i, (kind, value, in_flat, in_envelope)) in VALUES.iter().enumerate() {
        let column = format!("c{i}");
        let expected = [in_flat, in_envelope].map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
        assert_eq!([&flat[0][&column], &debezium[0]["after"][&column]], [&expected[0], &expected[1]], "{kind} {value}");
    }
    let told = |row: &Value, op: &str, image: &Value| {
        format!("{} {} {}", row[op], image.get("id").unwrap_or(&Value::Null), image.get("more").unwrap_or(&Value::Null))
    };
    let all: Vec<String> = flat.iter().map(|row| told(row, "_op", row)).collect();
    assert_eq!(all, ["\"c\" 1 null", "\"c\" 2 7", "\"u\" 2 8", "\"d\" 1 null", "\"t\" null null"]);
    let all: Vec<String> = debezium.iter().map(|row| told(row, "op", &row["after"])).collect();
    assert_eq!(all, ["\"c\" 1 null", "\"c\" 2 7", "\"u\" 2 8", "\"d\" null null", "\"t\" null null"]);
    assert_eq!((&debezium[2]["before"]["more"], &debezium[3]["before"]["id"]), (&Value::from(7), &Value::from(1)));
}

#[test]
fn both_envelopes_of_mariadb_and_every_version_of_a_table_are_read_back() {
    every_envelope(&mariadb::shared());
}

#[test]
fn both_envelopes_of_mysql_and_every_version_of_a_table_are_read_back() {
    every_envelope(&mysql::shared());
}

#[test]
fn killed_at_any_moment_each_change_is_in_the_files_once_and_no_file_that_was_seen_changes() {
    // the marker that ends the header ends the file, too
    let is_whole = |content: &[u8]| {
        let marker = &content[content.len().saturating_sub(16)..];
        content.starts_with(b"Obj\x01") && content.windows(16).filter(|window| *window == marker).count() >= 2
    };
    killed_at_any_moment("{ type: avro, envelope: flat }", is_whole, rows);
}
