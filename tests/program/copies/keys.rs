//! Keys of every kind: each row is copied once, in chunks of a few rows.

use std::collections::BTreeSet;

use sluicegate_harness::{
    database::{Flavor, Server},
    files,
    host::Sluicegate,
    mariadb, mysql,
};

use super::*;

const ROWS: usize = 60;

/// Columns of a key, the key, and what is inserted for a row, by its number.
type Kind = (&'static str, &'static str, fn(usize) -> String);

/// The kinds of keys that a server has.
fn kinds(flavor: Flavor) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = vec![
        ("k TINYINT NOT NULL", "PRIMARY KEY (k)", |i| format!("{}", i as i64 * 4 - 128)),
        ("k BIGINT UNSIGNED NOT NULL", "PRIMARY KEY (k)", |i| format!("{}", u64::MAX - i as u64 * 1_000_000_007)),
        ("k DECIMAL(30,10) NOT NULL", "PRIMARY KEY (k)", |i| format!("{}.{:010}", i as i64 - 30, i * 1_234_567)),
        ("k DOUBLE NOT NULL", "PRIMARY KEY (k)", |i| format!("{:e}", (i as f64 - 30.0) / 7.0)),
        ("k FLOAT NOT NULL", "PRIMARY KEY (k)", |i| format!("{:e}", (i as f32 - 30.0) / 7.0)),
        ("k VARCHAR(20) CHARACTER SET latin1 NOT NULL", "PRIMARY KEY (k)", |i| format!("'{}{i}'", ["a", "Z", "é", "€", "ß "][i % 5])),
        ("k VARCHAR(20) COLLATE utf8mb4_bin NOT NULL", "PRIMARY KEY (k)", |i| format!("'{}{i}'", ["a", "A", "😀", "\\'", "%"][i % 5])),
        ("k CHAR(10) COLLATE utf8mb4_unicode_ci NOT NULL", "PRIMARY KEY (k)", |i| format!("'{}{i}'", ["ö", "O", "z", "Å", "-"][i % 5])),
        ("k VARCHAR(20) CHARACTER SET utf8mb3 NOT NULL", "PRIMARY KEY (k)", |i| format!("'{}{i}'", ["ö", "O", "z", "Å", ""][i % 5])),
        ("k VARCHAR(20) CHARACTER SET gbk NOT NULL", "PRIMARY KEY (k)", |i| {
            format!("'{}{i}'", ["你", "a", "好", "Z", "é"][i % 5].replace('é', "哦"))
        }),
        ("k VARCHAR(20) CHARACTER SET euckr NOT NULL", "PRIMARY KEY (k)", |i| format!("'{}{i}'", ["가", "a", "하", "Z", ""][i % 5])),
        ("k VARCHAR(20) CHARACTER SET koi8r NOT NULL", "PRIMARY KEY (k)", |i| format!("'{}{i}'", ["Я", "a", "ё", "Z", ""][i % 5])),
        // two codes of one character
        ("k VARCHAR(20) CHARACTER SET sjis COLLATE sjis_bin NOT NULL, n INT NOT NULL", "PRIMARY KEY (k)", |i| {
            format!("_sjis 0x{}{:02x}{:02x}, {i}", ["5c", "815f"][i % 2], 0x41 + i / 20, 0x41 + i / 2 % 10)
        }),
        ("k CHAR(4) CHARACTER SET cp932 COLLATE cp932_bin NOT NULL, n INT NOT NULL", "PRIMARY KEY (k)", |i| {
            format!("_cp932 0x{}{:02x}, {i}", ["81ca", "eef9", "fa54"][i % 3], 0x41 + i / 3)
        }),
        ("k BINARY(4) NOT NULL", "PRIMARY KEY (k)", |i| format!("0x{:02x}00", i * 4)),
        ("k VARBINARY(8) NOT NULL", "PRIMARY KEY (k)", |i| {
            if i == 0 { "''".into() } else { format!("0x{}", "00".repeat(i % 8) + &format!("{i:02x}")) }
        }),
        ("k DATE NOT NULL", "PRIMARY KEY (k)", |i| if i == 0 { "'0000-00-00'".into() } else { format!("'20{i:02}-02-03'") }),
        ("k DATETIME(3) NOT NULL", "PRIMARY KEY (k)", |i| format!("'2024-02-29 13:14:15.{:03}'", i * 7)),
        ("k TIMESTAMP(6) NOT NULL DEFAULT '2001-01-01'", "PRIMARY KEY (k)", |i| format!("'2024-10-27 0{}:30:00.0000{i:02}'", i % 5)),
        ("k TIME(2) NOT NULL", "PRIMARY KEY (k)", |i| format!("'{}:00:01.{i:02}'", i as i64 * 20 - 600)),
        ("k YEAR NOT NULL", "PRIMARY KEY (k)", |i| if i == 0 { "0".into() } else { format!("{}", 1901 + i * 4) }),
        ("k BIT(12) NOT NULL", "PRIMARY KEY (k)", |i| format!("{}", i * 60)),
        // in the order of the labels, which is not that of their text
        ("k ENUM('z','y','x','a','b','c') NOT NULL, n INT NOT NULL", "UNIQUE KEY u (k, n)", |i| format!("{}, {}", i % 6 + 1, i / 6)),
        ("k SET('c','b','a') NOT NULL, n INT NOT NULL", "UNIQUE KEY u (k, n)", |i| format!("{}, {}", i % 8, i / 8)),
        ("a VARCHAR(5) NOT NULL, b DATE NOT NULL, c INT NOT NULL", "PRIMARY KEY (a, b, c)", |i| {
            format!("'{}', '2024-01-0{}', {}", ["b", "A", "ä"][i / 20], i % 3 + 1, i % 20)
        }),
    ];
    match flavor {
        Flavor::MariaDb => {
            kinds.push(("k UUID NOT NULL", "PRIMARY KEY (k)", |i| format!("'123e4567-e89b-12d3-a456-4266554400{i:02}'")));
            kinds.push(("k INET6 NOT NULL", "PRIMARY KEY (k)", |i| format!("'2001:db8::{i:x}'")));
        }
        Flavor::MySql => {
            kinds.push(("k INT NOT NULL, v INT AS (-k) STORED NOT NULL", "UNIQUE KEY d (v DESC)", |i| format!("{i}, DEFAULT")));
        }
    }
    kinds
}

fn every_row_is_copied_once(server: &Server) {
    let database = server.database("copied_keys");
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    client.sql("SET sql_mode = ''");
    for (number, (columns, key, value)) in kinds(server.flavor()).into_iter().enumerate() {
        client.sql(&format!("CREATE TABLE {database}.t{number} ({columns}, {key})"));
        let rows: Vec<String> = (0..ROWS).map(|i| format!("({})", value(i))).collect();
        client.sql(&format!("INSERT INTO {database}.t{number} VALUES {}", rows.join(", ")));
    }
    // of 25 rows
    let snapshot = "{ mode: only, rows_per_second: 250 }";
    let host = Sluicegate::new(BINARY, &pipeline(server, &format!("['{database}.*']"), snapshot, &["a"], ""));
    let ended = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let records = files::records(&host.path("out"), "a");
    for (number, (columns, ..)) in kinds(server.flavor()).into_iter().enumerate() {
        let of_table = records.iter().filter(|record| record["source"]["table"] == format!("t{number}"));
        let rows: Vec<String> = of_table.map(|record| record["after"].to_string()).collect();
        let different: BTreeSet<&String> = rows.iter().collect();
        assert_eq!((rows.len(), different.len()), (ROWS, ROWS), "{columns}");
    }
    // there is nothing left to do
    let ended = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(files::records(&host.path("out"), "a").len(), records.len());
}

#[test]
fn every_row_is_copied_once_whatever_its_key_mariadb() {
    every_row_is_copied_once(&mariadb::shared());
}

#[test]
fn every_row_is_copied_once_whatever_its_key_mysql() {
    every_row_is_copied_once(&mysql::shared());
}
