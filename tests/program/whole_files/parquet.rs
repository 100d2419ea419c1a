//! Parquet, read back with pyarrow and DuckDB.

use super::*;

/// The rows of files, as a reader has them.
#[track_caller]
fn rows(reader: &str, files: &[PathBuf]) -> Vec<Value> {
    lines(reader, files).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[track_caller]
fn lines(reader: &str, files: &[PathBuf]) -> Vec<String> {
    read("parquet.sh", &[reader], files)
}

/// Type, value, the type in the file, and the value as pyarrow and as DuckDB have it.
const VALUES: [(&str, &str, &str, &str, &str); 17] = [
    ("TINYINT", "-128", "int8", "-128", "-128"),
    ("INT UNSIGNED", "4294967295", "uint32", "4294967295", "4294967295"),
    ("BIGINT UNSIGNED", "18446744073709551615", "uint64", "18446744073709551615", "18446744073709551615"),
    ("DECIMAL(9,2)", "-12.5", "decimal128(9, 2)", "\"-12.50\"", "\"-12.50\""),
    ("DECIMAL(18,4)", "0.0001", "decimal128(18, 4)", "\"0.0001\"", "\"0.0001\""),
    (
        "DECIMAL(38,10)",
        "-1234567890123456789012345678.0123456789",
        "decimal128(38, 10)",
        "\"-1234567890123456789012345678.0123456789\"",
        "\"-1234567890123456789012345678.0123456789\"",
    ),
    ("FLOAT", "0.5", "float", "0.5", "0.5"),
    ("DOUBLE", "-1e-7", "double", "-1e-07", "-1e-07"),
    ("VARCHAR(20)", "'Zoë'", "string", "\"Zoë\"", "\"Zoë\""),
    ("VARBINARY(9)", "0x00ff", "binary", "\"00ff\"", "\"00ff\""),
    ("DATE", "'2024-02-29'", "date32[day]", "\"2024-02-29\"", "\"2024-02-29\""),
    ("DATE", "'0000-00-00'", "date32[day]", "null", "null"),
    ("TIME(6)", "'-838:59:58.000001'", "int64", "-3020398000001", "-3020398000001"),
    ("DATETIME(6)", "'2024-02-29 13:14:15.123456'", "timestamp[us]", "\"2024-02-29 13:14:15.123456\"", "\"2024-02-29 13:14:15.123456\""),
    ("DATETIME", "'9999-12-31 23:59:59'", "timestamp[ms]", "\"9999-12-31 23:59:59\"", "\"9999-12-31 23:59:59\""),
    ("ENUM('a','b')", "'b'", "string", "\"b\"", "\"b\""),
    ("BIGINT", "NULL", "int64", "null", "null"),
];

fn pipeline(server: &Server, database: &str) -> String {
    format!(
        "name: lake
source: {{ type: mysql, host: 127.0.0.1, port: {}, user: {}, password: {}, tables: ['{database}.*'], start: now }}
sinks: [{{ type: file, format: parquet, folder: out, prefix: p, roll: {{ every: 100ms }}, zstd: 3 }}]
limits: {{ checkpoint_interval: 20ms }}
",
        server.port(),
        server.user(),
        server.password()
    )
}

fn every_type_and_version(server: &Server) {
    let database = server.database("parquet");
    let columns: Vec<String> = VALUES.iter().enumerate().map(|(i, (kind, ..))| format!("c{i} {kind} NULL")).collect();
    let values: Vec<&str> = VALUES.iter().map(|(_, value, ..)| *value).collect();
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY, {}, big DECIMAL(65,30) NULL)", columns.join(", ")));
    let host = Sluicegate::new(BINARY, &pipeline(server, &database));
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", PATIENCE);
    let mut client = server.client();
    client.sql("SET sql_mode = ''; SET time_zone = '+00:00'");
    client.sql(&format!(
        "INSERT INTO {database}.t VALUES (1, {}, 12345678901234567890123456789012345.000000000000000000000000000001)",
        values.join(", ")
    ));
    let folder = host.path("out");
    // files come while the stream runs
    process.wait_until("a file", PATIENCE, || !files(&folder).is_empty());
    client.sql(&format!("UPDATE {database}.t SET big = -1.5"));
    client.sql(&format!("ALTER TABLE {database}.t ADD COLUMN more INT NULL"));
    client.sql(&format!("INSERT INTO {database}.t (id, more) VALUES (2, 7)"));
    client.sql(&format!("DELETE FROM {database}.t WHERE id = 1"));
    client.sql(&format!("TRUNCATE TABLE {database}.t"));
    process.wait_until("all rows", PATIENCE, || rows("pyarrow", &files(&folder)).len() == 5);
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let files = files(&folder);
    let types = lines("types", &files[..1]);
    for (i, (kind, _, expected, ..)) in VALUES.iter().enumerate() {
        assert!(types.contains(&format!("c{i} {expected}")), "{kind}: {types:?}");
    }
    assert!(types.contains(&"big decimal256(65, 30)".to_owned()) && types.contains(&"_ts timestamp[us, tz=UTC]".to_owned()), "{types:?}");
    for reader in ["pyarrow", "duckdb"] {
        let rows = rows(reader, &files);
        for (i, (kind, value, _, arrow, duck)) in VALUES.iter().enumerate() {
            let expected: Value = serde_json::from_str(if reader == "duckdb" { duck } else { arrow }).expect("JSON");
            assert_eq!(rows[0][format!("c{i}")], expected, "{kind} {value} in {reader}");
        }
        let told: Vec<String> =
            rows.iter().map(|row| format!("{} {} {}", row["_op"], row["id"], row.get("more").unwrap_or(&Value::Null))).collect();
        assert_eq!(told, ["\"c\" 1 null", "\"u\" 1 null", "\"c\" 2 7", "\"d\" 1 null", "\"t\" null null"], "{reader}");
        assert_eq!(rows[0]["_absent"], Value::Array(Vec::new()));
        if reader == "pyarrow" {
            let big: Vec<&Value> = rows.iter().map(|row| &row["big"]).collect();
            assert_eq!(big[0], "12345678901234567890123456789012345.000000000000000000000000000001");
            assert_eq!(big[1], "-1.500000000000000000000000000000");
        }
    }
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
fn killed_at_any_moment_each_change_is_in_the_files_once_and_no_file_that_was_seen_changes() {
    killed_at_any_moment("parquet", |content| content.starts_with(b"PAR1") && content.ends_with(b"PAR1"), |files| rows("pyarrow", files));
}
