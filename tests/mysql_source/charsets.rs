//! Every character of every character set that a server has, against the server's own conversion.

use std::collections::HashMap;

use sluicegate_harness::{
    database::{Client, Server},
    mariadb, mysql,
};
use sluicegate_model::{ErrorKind, limits::Limits};

use crate::capture::{Capture, anew, settings};

/// Codes of one byte; all pairs of bytes; all pairs behind 0x8f; the codes of four bytes that gb18030 has; units of UTF-32.
const ONE: &str = "SELECT n, 0, LPAD(HEX(n), 2, '0') FROM numbers WHERE n < 256";
const TWO: &str = "SELECT n, 1 + n DIV 256, LPAD(HEX(n), 4, '0') FROM numbers";
const THREE: &str = "SELECT n, 300 + n DIV 256, CONCAT('8F', LPAD(HEX(n), 4, '0')) FROM numbers";
const FOUR: &str = "SELECT n, 600 + n DIV 500, CONCAT(HEX(129 + n DIV 12600), HEX(48 + n DIV 1260 MOD 10), HEX(129 + n DIV 10 MOD 126), HEX(48 + n MOD 10)) \
    FROM numbers WHERE n < 39420 UNION ALL SELECT n, 700 + n DIV 500, CONCAT(HEX(144 + n DIV 12600), HEX(48 + n DIV 1260 MOD 10), \
    HEX(129 + n DIV 10 MOD 126), HEX(48 + n MOD 10)) FROM numbers WHERE n < 3000";
const PAIRS: &str = "SELECT n, 900 + n DIV 500, CONCAT(HEX(0xd800 + n MOD 1024), HEX(0xdc00 + n DIV 8)) FROM numbers WHERE n < 8192";
const UNITS: &str = "SELECT n, 1000 + n DIV 500, LPAD(HEX(n * 17), 8, '0') FROM numbers";

fn codes(charset: &str) -> Vec<&'static str> {
    match charset {
        "ucs2" => vec![TWO],
        "utf16" | "utf16le" => vec![TWO, PAIRS],
        "utf32" => vec![UNITS],
        "ujis" | "eucjpms" => vec![ONE, TWO, THREE],
        "gb18030" => vec![ONE, TWO, FOUR],
        "big5" | "cp932" | "euckr" | "gb2312" | "gbk" | "sjis" => vec![ONE, TWO],
        _ => vec![ONE],
    }
}

fn charsets(client: &mut Client) -> Vec<String> {
    let rows =
        client.query("SELECT character_set_name FROM information_schema.character_sets WHERE character_set_name <> 'binary' ORDER BY 1");
    rows.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

/// A connection to a database with the numbers below 65536.
fn numbered(server: &Server, database: &str) -> Client {
    let mut client = server.client();
    client.sql(&format!("USE {database}; SET NAMES utf8mb4; SET sql_mode = ''; SET group_concat_max_len = 100000000"));
    client.sql(
        "CREATE TABLE digits (d int); INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9),(10),(11),(12),(13),(14),(15)",
    );
    client.sql("CREATE TABLE numbers (n int PRIMARY KEY)");
    client.sql("INSERT INTO numbers SELECT a.d * 4096 + b.d * 256 + c.d * 16 + d.d FROM digits a, digits b, digits c, digits d ORDER BY 1");
    client
}

fn every_character_is_what_select_says(server: &Server) {
    let database = server.database("charsets");
    let mut client = numbered(server, &database);
    let charsets = charsets(&mut client);
    assert!(charsets.len() >= 39, "{charsets:?}");
    for charset in &charsets {
        client.sql(&format!("CREATE TABLE c_{charset} (id int PRIMARY KEY, v longtext CHARACTER SET {charset})"));
    }
    let mut settings = settings(server, &database);
    settings.tables = sluicegate_config::TablePatterns::new(&[format!("{database}.c_*")]).unwrap();
    let mut capture = Capture::start(settings, anew(), Limits::default());
    for charset in &charsets {
        for codes in codes(charset) {
            // only what the server itself can convert: everything else becomes a question mark, nothing, or half of a surrogate pair
            client.sql(&format!(
                "INSERT INTO c_{charset} SELECT part, CONVERT(UNHEX(GROUP_CONCAT(code ORDER BY n SEPARATOR '')) USING {charset}) FROM \
                 (SELECT 0 AS n, 0 AS part, '' AS code WHERE FALSE UNION ALL {codes}) AS codes \
                 WHERE HEX(CONVERT(CONVERT(UNHEX(code) USING {charset}) USING utf8mb4)) NOT LIKE '%3F%' \
                 AND HEX(CONVERT(CONVERT(UNHEX(code) USING {charset}) USING utf8mb4)) NOT REGEXP '^$|^ED[AB]' GROUP BY part"
            ));
        }
    }
    let mut expected = HashMap::new();
    let mut characters = 0;
    for charset in &charsets {
        for row in client.query(&format!("SELECT id, v FROM c_{charset} ORDER BY id")) {
            characters += row[1].as_ref().unwrap().chars().count();
            expected.insert((format!("c_{charset}"), row[0].clone()), row[1].clone());
        }
    }
    assert!(characters > 300_000, "{characters}");
    for change in capture.changes(expected.len()) {
        let seen = change.after.unwrap();
        let expected = &expected[&(change.table.clone(), seen[0].clone())];
        if seen[1] != *expected {
            let (seen, expected) = (seen[1].as_ref().unwrap(), expected.as_ref().unwrap());
            let first = seen.chars().zip(expected.chars()).find(|(seen, expected)| seen != expected);
            panic!("{}: {first:?}, {} and {} characters", change.table, seen.chars().count(), expected.chars().count());
        }
    }
    capture.stop();
}

#[test]
fn every_character_of_mariadbs_character_sets_is_what_select_says() {
    every_character_is_what_select_says(&mariadb::shared());
}

#[test]
fn every_character_of_mysqls_character_sets_is_what_select_says() {
    every_character_is_what_select_says(&mysql::shared());
}

/// Words that these sets can hold.
const WORDS: &[(&str, &str)] = &[
    ("gbk", "你好"),
    ("gb2312", "你好"),
    ("big5", "你好"),
    ("sjis", "あｱ表"),
    ("cp932", "あ①表"),
    ("ujis", "あ表"),
    ("eucjpms", "あ①表"),
    ("euckr", "가나"),
    ("ucs2", "€ü"),
    ("utf16", "😀ü"),
    ("utf16le", "😀ü"),
    ("utf32", "😀ü"),
    ("latin2", "łż"),
    ("cp1250", "łż"),
    ("koi8r", "Привет"),
    ("cp1251", "Привет"),
    ("cp866", "Привет"),
    ("greek", "αβγ"),
    ("hebrew", "שלום"),
    ("tis620", "กขค"),
    ("swe7", "ÄÖÅ"),
];

#[test]
fn labels_and_short_texts_in_any_character_set_are_what_select_says() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("labels");
        let mut client = server.client();
        client.sql(&format!("USE {database}; SET NAMES utf8mb4; SET sql_mode = ''"));
        for (charset, word) in WORDS {
            client.sql(&format!(
                "CREATE TABLE `t_{charset}` (id int PRIMARY KEY, e enum('a', '{word}') CHARACTER SET {charset}, s set('b', '{word}') CHARACTER SET {charset}, \
                 c char(70) CHARACTER SET {charset}, v varchar(20) CHARACTER SET {charset}, `größe€` varchar(5) CHARACTER SET {charset})"
            ));
        }
        let mut capture = Capture::start(settings(&server, &database), anew(), Limits::default());
        for (charset, word) in WORDS {
            client.sql(&format!(
                "INSERT INTO `t_{charset}` VALUES (1, '{word}', 'b,{word}', '{word}  ', '{word}  ', ' '), (2, 'a', '', '', '', NULL)"
            ));
        }
        let changes = capture.changes(2 * WORDS.len());
        for ((charset, _), changes) in WORDS.iter().zip(changes.chunks(2)) {
            let expected = client.query(&format!("SELECT * FROM `t_{charset}` ORDER BY id"));
            for (change, expected) in changes.iter().zip(&expected) {
                assert_eq!(change.after.as_ref(), Some(expected), "{charset}");
            }
            let table = capture.held.iter().flat_map(|batch| &batch.tables).find(|rows| rows.table.name.table == format!("t_{charset}"));
            let columns = &table.unwrap().table.columns;
            assert_eq!(columns[5].name, "größe€");
            assert_eq!((columns[3].native_type.to_string(), columns[4].native_type.to_string()), ("char(70)".into(), "varchar(20)".into()));
        }
        capture.stop();
    }
}

#[test]
fn a_byte_that_no_character_stands_for_is_an_error_that_names_the_column() {
    // SELECT prints a question mark for it, and would do so for every such byte
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("invalid");
        server.sql(&format!("CREATE TABLE {database}.t (id int PRIMARY KEY, word varchar(9) CHARACTER SET hebrew)"));
        let mut capture = Capture::start(settings(&server, &database), anew(), Limits::default());
        server.sql(&format!("SET sql_mode = ''; INSERT INTO {database}.t VALUES (1, _hebrew x'E0'), (2, _hebrew x'FF')"));
        let error = capture.failure();
        assert_eq!(error.kind(), ErrorKind::Source);
        let text = error.to_string();
        assert!(text.contains(&format!("{database}.t.word")) && text.contains("not valid in the column's character set"), "{text}");
        assert!(text.contains("remedy"), "{text}");
    }
}
