//! Every type against the only oracle there is: what SELECT says.

use std::sync::Arc;

use sluicegate_config::{MySqlSource, Snapshot, SnapshotMode};
use sluicegate_harness::{
    database::{Flavor, Server},
    mariadb, mysql,
};
use sluicegate_model::{
    ErrorKind,
    change::{Column, Operation, Table},
    limits::Limits,
};

use crate::capture::{Capture, DEADLINE, TextRow, anew, settings};

/// Column, its type, how SELECT prints it in our canonical form, and values from end to end of its range.
const COLUMNS: &[(&str, &str, &[&str])] = &[
    ("tinyint", "CAST({} AS CHAR)", &["-128", "127", "0"]),
    ("tinyint unsigned", "CAST({} AS CHAR)", &["255", "0", "128"]),
    ("smallint", "CAST({} AS CHAR)", &["-32768", "32767", "-1"]),
    ("smallint unsigned", "CAST({} AS CHAR)", &["65535", "32768", "0"]),
    ("mediumint", "CAST({} AS CHAR)", &["-8388608", "8388607", "-1"]),
    ("mediumint unsigned", "CAST({} AS CHAR)", &["16777215", "8388608", "0"]),
    ("int", "CAST({} AS CHAR)", &["-2147483648", "2147483647", "-1"]),
    ("int unsigned", "CAST({} AS CHAR)", &["4294967295", "2147483648", "0"]),
    ("bigint", "CAST({} AS CHAR)", &["-9223372036854775808", "9223372036854775807", "-1"]),
    ("bigint unsigned", "CAST({} AS CHAR)", &["18446744073709551615", "9223372036854775808", "0"]),
    ("decimal(12,2)", "CAST({} AS CHAR)", &["-9999999999.99", "0.05", "-0.01"]),
    ("decimal(65,30)", "CAST({} AS CHAR)", &["-12345678901234567890123456789012345.123456789012345678901234567891", "0", "1"]),
    ("decimal(5,5)", "CAST({} AS CHAR)", &["0.99999", "-0.00001", "0"]),
    ("decimal(20,0) unsigned", "CAST({} AS CHAR)", &["99999999999999999999", "0", "100000000"]),
    ("float", "CAST({} AS CHAR)", &["-1.5", "0.25", "1234.5"]),
    ("double", "CAST({} AS CHAR)", &["-1.5", "0.1", "123456.789"]),
    ("char(10)", "{}", &["'añb'", "''", "'x'"]),
    ("char(255)", "{}", &["'long 😀'", "''", "'x'"]),
    ("varchar(20)", "{}", &["'añ😀 '", "''", "'x'"]),
    ("varchar(1000)", "{}", &["REPEAT('€', 500)", "''", "'x'"]),
    ("varchar(20) character set latin1", "{}", &["'é€Ÿ'", "''", "'x'"]),
    ("char(20) character set ascii", "{}", &["'plain'", "''", "'x'"]),
    ("tinytext", "{}", &["'t'", "''", "'x'"]),
    ("text", "{}", &["REPEAT('ab', 10000)", "''", "'x'"]),
    ("mediumtext character set utf8mb3", "{}", &["'€uro'", "''", "'x'"]),
    ("longtext character set latin1", "{}", &["'ÿé'", "''", "'x'"]),
    ("binary(5)", "HEX({})", &["0x6100", "0x00", "0xffffffffff"]),
    ("varbinary(300)", "HEX({})", &["0x610000", "''", "0xff"]),
    ("blob", "HEX({})", &["0x00ff", "''", "REPEAT(0xfe, 300)"]),
    ("longblob", "HEX({})", &["0x00ff", "''", "0xfe"]),
    ("date", "{}", &["'9999-12-31'", "'0000-00-00'", "'2024-00-10'"]),
    ("time", "{}", &["'-838:59:59'", "'838:59:59'", "'00:00:00'"]),
    ("time(1)", "{}", &["'-00:00:00.5'", "'-10:11:12.5'", "'1:2:3.4'"]),
    ("time(3)", "{}", &["'-00:00:01.001'", "'12:13:14.567'", "'0'"]),
    ("time(6)", "{}", &["'-838:59:58.999999'", "'838:59:58.000001'", "'-00:00:00.000001'"]),
    ("datetime", "{}", &["'9999-12-31 23:59:59'", "'0000-00-00 00:00:00'", "'1000-01-01'"]),
    ("datetime(3)", "{}", &["'2024-02-29 13:14:15.123'", "'0000-00-00 00:00:00'", "'1999-01-01 01:01:01.001'"]),
    ("datetime(6)", "{}", &["'2024-02-29 13:14:15.123456'", "'0001-01-01'", "'1999-01-01 01:01:01.000001'"]),
    ("timestamp null", "CONCAT(REPLACE({}, ' ', 'T'), 'Z')", &["'2038-01-19 03:14:07'", "'1970-01-01 00:00:01'", "'0000-00-00 00:00:00'"]),
    (
        "timestamp(4) null",
        "CONCAT(REPLACE({}, ' ', 'T'), 'Z')",
        &["'2024-02-29 13:14:15.1234'", "'1970-01-01 00:00:01.0001'", "'2001-09-09'"],
    ),
    ("year", "CAST({} + 0 AS CHAR)", &["2155", "0", "1901"]),
    ("bit(1)", "CAST({} + 0 AS CHAR)", &["b'1'", "b'0'", "b'1'"]),
    ("bit(64)", "CAST({} + 0 AS CHAR)", &["0xffffffffffffffff", "b'0'", "b'101'"]),
    ("enum('red','gr''een','blaué') character set latin1", "{}", &["'blaué'", "'gr''een'", "''"]),
    ("set('a','b','c','ü')", "{}", &["'a,c,ü'", "''", "'b'"]),
    (
        "json",
        "{}",
        &[
            r#"'{"a": [1, -2.5, true, null, "q\\"\\\\ü"], "b": {}, "c": []}'"#,
            "'[18446744073709551615, -9223372036854775808, 1e20, 1e-20, 0.001]'",
            r#"'"top"'"#,
        ],
    ),
];

/// MySQL's JSON holds SQL values that MariaDB's, which is text, cannot.
const MYSQL_JSON: &str = "JSON_OBJECT('dec', CAST(-12.50 AS DECIMAL(10,2)), 'date', CAST('2024-02-29' AS DATE), 'time', CAST('-11:12:13.5' AS TIME(6)), \
    'datetime', CAST('2024-02-29 13:14:15.25' AS DATETIME(6)), 'bin', CAST(x'00ff' AS BINARY), 'one', 1.0e0, 'big', 1e15, 'small', 1e14, 'tiny', 1e-15)";

fn create(table: &str) -> String {
    let columns: Vec<_> = COLUMNS.iter().enumerate().map(|(i, (kind, ..))| format!("c{i} {kind}")).collect();
    format!("CREATE TABLE {table} (id int NOT NULL PRIMARY KEY, {})", columns.join(", "))
}

fn insert(table: &str, id: usize) -> String {
    let values: Vec<_> = COLUMNS.iter().map(|(.., values)| values[id % 3]).collect();
    format!("INSERT IGNORE INTO {table} VALUES ({id}, {})", values.join(", "))
}

fn oracle(server: &Server, table: &str) -> Vec<TextRow> {
    let columns: Vec<_> = COLUMNS.iter().enumerate().map(|(i, (_, form, _))| form.replace("{}", &format!("c{i}"))).collect();
    server.query(&format!("SELECT id, {} FROM {table} ORDER BY id", columns.join(", ")))
}

fn compare(seen: &TextRow, expected: &TextRow) {
    assert_eq!(seen.len(), expected.len());
    for (i, (seen, expected)) in seen.iter().zip(expected).enumerate() {
        let kind = if i == 0 { "id" } else { COLUMNS[i - 1].0 };
        assert_eq!(seen, expected, "column {i}, {kind}");
    }
}

fn every_type_is_exact(server: &Server) {
    let database = server.database("types");
    let table = format!("{database}.t");
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    client.sql("SET sql_mode = ''");
    client.sql("SET time_zone = '+00:00'");
    client.sql(&create(&table));
    let mut capture = Capture::start(settings(server, &database), anew(), Limits::default());
    for id in 0..3 {
        client.sql(&insert(&table, id));
    }
    client.sql(&format!("INSERT INTO {table} (id) VALUES (3)"));
    let before = oracle(server, &table);
    // every row takes the values of the next one
    let assignments: Vec<_> = COLUMNS.iter().enumerate().map(|(i, (.., values))| format!("c{i} = {}", values[1])).collect();
    client.sql(&format!("UPDATE IGNORE {table} SET {} WHERE id IN (0, 3)", assignments.join(", ")));
    let after = oracle(server, &table);
    client.sql(&format!("DELETE FROM {table}"));

    let changes = capture.changes(4 + 2 + 4);
    for (change, expected) in changes[..4].iter().zip(&before) {
        assert_eq!((change.operation, &change.before), (Operation::Insert, &None));
        compare(change.after.as_ref().unwrap(), expected);
    }
    for (change, id) in changes[4..6].iter().zip([0, 3]) {
        assert_eq!(change.operation, Operation::Update);
        compare(change.before.as_ref().unwrap(), &before[id]);
        compare(change.after.as_ref().unwrap(), &after[id]);
    }
    for (change, expected) in changes[6..].iter().zip(&after) {
        assert_eq!((change.operation, &change.after), (Operation::Delete, &None));
        compare(change.before.as_ref().unwrap(), expected);
    }
    let rows = &capture.held.iter().find(|b| b.taken > 0).unwrap().tables[0].table;
    assert!(rows.columns[0].primary_key && !rows.columns[0].nullable && rows.columns[1].nullable);
    assert_eq!(rows.columns.iter().filter(|c| c.primary_key).count(), 1);
    let native: Vec<_> = [11, 17, 19, 44].iter().map(|i| rows.columns[*i].native_type.to_string()).collect();
    assert_eq!(native, ["decimal(12,2)", "char(10)", "varchar(20)", "enum('red','gr''een','blaué')"]);
    capture.stop();
}

#[test]
fn every_type_of_mariadb_is_what_select_says() {
    every_type_is_exact(&mariadb::shared());
}

#[test]
fn every_type_of_mysql_is_what_select_says() {
    every_type_is_exact(&mysql::shared());
}

#[test]
fn the_catalogue_fills_in_where_the_log_says_little() {
    // the servers' defaults: MariaDB logs no names and no signs, MySQL no names
    for (flavor, metadata) in [(Flavor::MariaDb, "NO_LOG"), (Flavor::MySql, "MINIMAL")] {
        let options = [format!("--binlog-row-metadata={metadata}")];
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let server = if flavor == Flavor::MariaDb { mariadb::start(&options) } else { mysql::start(&options) };
        every_type_is_exact(&server);
        crate::borders::borders_are_exact(&server);
    }
}

/// What the log says of the rows of a table, and what its copy says: the columns of both, and the table. `rows` are inserted.
fn log_and_copy(server: &Server, database: &str, create: &str, fill: &[String], rows: usize) -> [(Arc<Table>, Vec<Column>); 2] {
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    client.sql("SET sql_mode = ''");
    client.sql("SET time_zone = '+00:00'");
    client.sql(create);
    // all of them in one batch
    let limits = Limits { batch_changes: rows, batch_wait: DEADLINE, ..Limits::default() };
    let mut log = Capture::start(settings(server, database), anew(), limits.clone());
    fill.iter().for_each(|statement| client.sql(statement));
    let changes = log.changes(rows);
    assert!(changes.iter().all(|change| change.operation == Operation::Insert));
    let from_log = columns(&log);
    log.stop();
    let snapshot = Snapshot { mode: SnapshotMode::Initial, ..Snapshot::default() };
    let mut copy = Capture::start(MySqlSource { snapshot, ..settings(server, database) }, anew(), limits);
    let changes = copy.changes(rows);
    assert!(changes.iter().all(|change| change.operation == Operation::Snapshot));
    let from_copy = columns(&copy);
    copy.stop();
    [from_log, from_copy]
}

fn columns(capture: &Capture) -> (Arc<Table>, Vec<Column>) {
    let mut all: Option<(Arc<Table>, Vec<Column>)> = None;
    for rows in capture.held.iter().flat_map(|batch| &batch.tables) {
        let (table, columns) = all.get_or_insert_with(|| (rows.table.clone(), Vec::new()));
        assert_eq!(table, &rows.table);
        columns.extend(rows.columns.iter().cloned());
    }
    all.expect("rows")
}

/// A value is byte-identical whether it came from the copy or from the stream, and so is what is said of its column.
fn copied_values_are_those_of_the_log(server: &Server) {
    let database = server.database("copied_types");
    let table = format!("{database}.t");
    let fill: Vec<String> = (0..3).map(|id| insert(&table, id)).chain([format!("INSERT INTO {table} (id) VALUES (3)")]).collect();
    let [(described, rows), (copied_description, copied)] = log_and_copy(server, &database, &create(&table), &fill, 4);
    assert_eq!(described.columns.len(), copied_description.columns.len());
    for (logged, copied) in described.columns.iter().zip(&copied_description.columns) {
        assert_eq!(logged, copied);
    }
    assert_eq!(rows.len(), copied.len(), "each in one batch");
    for (i, (logged, copied)) in rows.iter().zip(&copied).enumerate() {
        assert_eq!(logged, copied, "column {i}, {}", if i == 0 { "id" } else { COLUMNS[i - 1].0 });
    }
}

/// What only some servers have, or what has a form of its own in the log.
fn copied_rare_values_are_those_of_the_log(server: &Server) {
    let database = server.database("copied_rare");
    let mut columns = vec![
        ("g GEOMETRY", "ST_GeomFromText('POINT(1 2)')"),
        ("gbk VARCHAR(9) CHARACTER SET gbk", "'中文'"),
        ("sjis CHAR(9) CHARACTER SET sjis", "'日本'"),
        ("ucs2 TEXT CHARACTER SET ucs2", "'é€'"),
        ("utf32 VARCHAR(9) CHARACTER SET utf32", "'😀'"),
        ("koi8r ENUM('да','нет') CHARACTER SET koi8r", "'нет'"),
        ("z DECIMAL(10,2) ZEROFILL", "12.5"),
        ("i INT ZEROFILL", "7"),
    ];
    columns.extend(match server.flavor() {
        Flavor::MariaDb => vec![
            ("u UUID", "'123E4567-e89b-12d3-a456-426655440000'"),
            ("i6 INET6", "'::ffff:1.2.3.4'"),
            ("j6 INET6", "'2001:DB8:0:1::'"),
            ("i4 INET4", "'1.2.3.4'"),
            ("c TEXT COMPRESSED", "REPEAT('ab', 1000)"),
            ("v VARCHAR(2000) COMPRESSED CHARACTER SET latin1", "REPEAT('é', 1000)"),
            ("b BLOB COMPRESSED", "REPEAT(0x00ff, 1000)"),
        ],
        Flavor::MySql => vec![("v VECTOR(3)", "STRING_TO_VECTOR('[1, 2, -3.5]')"), ("d JSON", MYSQL_JSON)],
    });
    let declared: Vec<&str> = columns.iter().map(|(declared, _)| *declared).collect();
    let values: Vec<&str> = columns.iter().map(|(_, value)| *value).collect();
    let create = format!("CREATE TABLE {database}.t (id int NOT NULL PRIMARY KEY, {})", declared.join(", "));
    let fill = format!("INSERT INTO {database}.t VALUES (1, {})", values.join(", "));
    let [(described, rows), (copied_description, copied)] = log_and_copy(server, &database, &create, &[fill], 1);
    for (i, (logged, copied)) in described.columns.iter().zip(&copied_description.columns).enumerate() {
        assert_eq!(logged, copied, "{}", declared[i.saturating_sub(1)]);
    }
    for (i, (logged, copied)) in rows.iter().zip(&copied).enumerate() {
        assert_eq!(logged, copied, "{}", declared[i.saturating_sub(1)]);
    }
    assert_eq!((described.columns.len(), rows.len()), (copied_description.columns.len(), copied.len()));
}

#[test]
fn values_that_are_copied_are_those_of_the_log_on_mariadb() {
    copied_rare_values_are_those_of_the_log(&mariadb::shared());
    copied_values_are_those_of_the_log(&mariadb::shared());
}

#[test]
fn values_that_are_copied_are_those_of_the_log_on_mysql() {
    copied_rare_values_are_those_of_the_log(&mysql::shared());
    copied_values_are_those_of_the_log(&mysql::shared());
}

#[test]
fn sql_values_inside_a_json_document_are_what_select_says() {
    let server = mysql::shared();
    let database = server.database("json");
    server.sql(&format!("CREATE TABLE {database}.t (id int PRIMARY KEY, doc json)"));
    let mut capture = Capture::start(settings(&server, &database), anew(), Limits::default());
    server.sql(&format!("INSERT INTO {database}.t VALUES (1, {MYSQL_JSON})"));
    let expected = server.query(&format!("SELECT id, doc FROM {database}.t"));
    assert_eq!(capture.changes(1)[0].after.as_ref(), expected.first());
    capture.stop();
}

#[test]
fn mariadbs_own_types_and_versioned_tables_come_through() {
    let server = mariadb::shared();
    let database = server.database("own");
    server.sql(&format!(
        "CREATE TABLE {database}.t (id int PRIMARY KEY, u uuid, b binary(16), i6 inet6, i4 inet4);
         CREATE TABLE {database}.v (id int PRIMARY KEY, x int) WITH SYSTEM VERSIONING"
    ));
    let mut capture = Capture::start(settings(&server, &database), anew(), Limits::default());
    server.sql(&format!(
        "INSERT INTO {database}.t VALUES (1, '123e4567-e89b-12d3-a456-426655440000', 'abc', '2001:db8::ff00:42:8300', '1.2.3.4');
         INSERT INTO {database}.v VALUES (1, 1)"
    ));
    let changes = capture.changes(2);
    let expected = server.query(&format!("SELECT id, u, HEX(b), i6, i4 FROM {database}.t"));
    assert_eq!(changes[0].after.as_ref(), expected.first());
    assert_eq!(changes[1].after.as_ref().unwrap(), &[Some("1".to_owned()), Some("1".to_owned())]);
    capture.stop();
}

#[test]
fn old_rows_are_never_read_with_a_new_schema() {
    // P31: a peer decoded rows from before a rename with today's names
    let server = mariadb::start(&["--binlog-row-metadata=NO_LOG"]);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY, x int); CREATE TABLE d.gone (id int PRIMARY KEY)");
    let capture = Capture::start(settings(&server, "d"), anew(), Limits::default());
    let old = capture.position();
    capture.stop();
    server.sql("INSERT INTO d.t VALUES (1, 1); ALTER TABLE d.t ADD y varchar(10) FIRST; INSERT INTO d.t VALUES ('new', 2, 2)");
    let error = Capture::start(settings(&server, "d"), old, Limits::default()).failure();
    assert_eq!(error.kind(), ErrorKind::Source);
    assert!(error.message().starts_with("the schema of d.t at binlog.000001:"), "{error}");
    assert!(
        error
            .message()
            .ends_with("is not known: the table was changed later, and the checkpoint has no version of its schema from before that"),
        "{error}"
    );

    // while the stream runs, each row is read with the schema of its time
    let mut capture = Capture::start(settings(&server, "d"), anew(), Limits::default());
    server.sql("INSERT INTO d.t VALUES ('a', 3, 3)");
    assert_eq!(capture.changes(1)[0].after.as_ref().unwrap().len(), 3);
    server.sql("ALTER TABLE d.t DROP COLUMN x; INSERT INTO d.t VALUES ('b', 4)");
    assert_eq!(capture.changes(2)[1].after.as_ref().unwrap(), &[Some("b".to_owned()), Some("4".to_owned())]);
    capture.stop();
}

#[test]
fn a_table_keeps_its_identity_until_its_schema_changes() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("identity");
        server.sql(&format!("CREATE TABLE {database}.t (id int PRIMARY KEY)"));
        let mut capture = Capture::start(settings(&server, &database), anew(), Limits::default());
        server.sql(&format!("INSERT INTO {database}.t VALUES (1)"));
        capture.changes(1);
        // a new table id for the same table
        server.sql(&format!("FLUSH TABLES {database}.t; INSERT INTO {database}.t VALUES (2)"));
        capture.changes(2);
        server.sql(&format!("ALTER TABLE {database}.t ADD x int; INSERT INTO {database}.t VALUES (3, 3)"));
        capture.changes(3);
        let tables: Vec<_> = capture.held.iter().filter(|b| b.taken > 0).map(|b| b.tables[0].table.clone()).collect();
        assert!(Arc::ptr_eq(&tables[0], &tables[1]));
        assert!(!Arc::ptr_eq(&tables[1], &tables[2]));
        assert_eq!(tables[2].columns.len(), 2);
        capture.stop();
    }
}
