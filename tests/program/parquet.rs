//! Parquet files of the whole program, read back with pyarrow and DuckDB.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use sluicegate_guest_builder::repository;
use sluicegate_harness::{database::Server, host::Sluicegate, mariadb, mysql};

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(60);

/// The files of each table's folder, in order.
fn files(root: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("the folder can be listed").path());
        entries.filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))).collect()
    };
    let mut found: Vec<PathBuf> = list(root).iter().flat_map(|folder| list(folder)).collect();
    found.sort();
    found
}

/// The rows of files, as a reader has them.
#[track_caller]
fn rows(reader: &str, files: &[PathBuf]) -> Vec<Value> {
    lines(reader, files).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[track_caller]
fn lines(reader: &str, files: &[PathBuf]) -> Vec<String> {
    let output =
        Command::new(repository().join("tests/consumers/parquet.sh")).arg(reader).args(files).output().expect("the reader can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
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
    let text = "name: killed
source: { type: generator, seed: 7, changes: 20000, rate: 15000 }
sinks: [{ type: file, format: parquet, folder: out, prefix: shop, roll: { every: 100ms, bytes: 64KiB } }]
limits: { checkpoint_interval: 20ms }
";
    let run = |host: &Sluicegate| {
        let ended = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
        assert!(ended.status.success(), "{}", ended.stderr);
    };
    let whole = Sluicegate::new(BINARY, text);
    run(&whole);
    let killed = Sluicegate::new(BINARY, text);
    let folder = killed.path("out");
    let mut seen: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut look = || {
        for path in files(&folder) {
            let content = fs::read(&path).expect("a file that is there can be read");
            assert!(content.starts_with(b"PAR1") && content.ends_with(b"PAR1"), "{} is not whole", path.display());
            assert!(seen.insert(path.clone(), content.clone()).is_none_or(|before| before == content), "{} has changed", path.display());
        }
        seen.len()
    };
    for kill in 0..8 {
        let mut process = killed.spawn();
        if kill % 3 != 0 {
            let before = look();
            process.wait_until("another file", PATIENCE, || look() > before + kill);
        }
        process.kill9();
        look();
    }
    run(&killed);
    let count = look();
    assert_eq!(count, files(&folder).len(), "a file that was seen is gone");
    assert_eq!(fs::read_dir(folder.join(".shop.parts")).expect("a folder").count(), 0);
    // each change, by the place that identifies it
    let rows = |host: &Sluicegate| {
        let mut rows = rows("pyarrow", &files(&host.path("out")));
        rows.sort_by_key(|row| (row["_pos"].as_u64(), row["_row"].as_u64()));
        rows
    };
    let (expected, found) = (rows(&whole), rows(&killed));
    assert_eq!((expected.len(), found.len()), (20_000, 20_000));
    assert!(expected == found, "a run that was killed wrote other rows");
}
