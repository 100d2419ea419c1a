//! Conditions of `filter`, beside the server's own WHERE: for each, both give the same rows. Text stands in a collation that compares as
//! the plugin does, byte by byte and without padding.

use super::*;
use sluicegate_harness::database::Flavor;

/// Conditions that are written by hand; generated ones come on top.
const MOST: usize = 220;

/// A column: its name, its type, its values, and literals that it is compared with.
type Column = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "7",
    "7.0",
    "7.5",
    "-7.5",
    "42",
    "1e0",
    ".5",
    "7.",
    "9007199254740992",
    "9007199254740993",
    "9007199254740993e0",
    "9.007199254740993e15",
    "9223372036854775807",
    "TRUE",
    "FALSE",
    "+7",
    "1e30",
    "-1e30",
    "4.2e1",
];
const FLOATS: &[&str] = &["0", "0.1", "1e-1", "0.5", "1e300", "-2.25", "1500", "9007199254740993", "0.25"];
const TEXTS: &[&str] = &[
    "''",
    "' '",
    "'a'",
    "'a '",
    "'A'",
    "'ab'",
    "'paid'",
    "\"paid\"",
    "'é'",
    "'É'",
    "'日本'",
    "'a''b'",
    r"'a\'b'",
    r"'a\\b'",
    r"'line\nbreak'",
    r"'\t'",
    "'100%'",
    r"'a\%b'",
    r"'a\_b'",
    "'🦀'",
    r"'z\0'",
    r"'\q'",
    "N'a'",
    "'10'",
    "'\"'",
    "\"it's\"",
    "'ss'",
];
const TEXT_VALUES: &[&str] = &[
    "''",
    "' '",
    "'a'",
    "'a '",
    "'A'",
    "'ab'",
    "'paid'",
    "'Paid'",
    "'é'",
    "'e'",
    "'É'",
    "'日本'",
    "'a%b'",
    "'a_b'",
    r"'a\\b'",
    "'a''b'",
    r"'line\nbreak'",
    "'100%'",
    "'🦀'",
    r"'z\0'",
    "'ß'",
    r"'\t'",
    "'10'",
    "'9'",
];
const MOMENTS: &[&str] = &[
    "'2024-02-29'",
    "'2024-02-29 13:14:15'",
    "'2024-02-29T13:14:15'",
    "'2024-02-29 13:14'",
    "'2024-02-29 13:14:15.5'",
    "'2024-02-29 13:14:15.000001'",
    "TIMESTAMP '2024-02-29 13:14:15'",
    "DATE '2024-02-29'",
    "'2038-01-19 03:14:07.999'",
];
const LIKES: &[&str] = &[
    "'a%'",
    "'%b'",
    "'a_b'",
    r"'a\_b'",
    r"'a\%b'",
    "'%'",
    "''",
    "'_'",
    "'__'",
    "'%é%'",
    "'100|%' ESCAPE '|'",
    "'a||b' ESCAPE '|'",
    r"'a\\\\b'",
    "'A%'",
    r"'%\\\\%'",
    "'_%_'",
    "'日_'",
    r"'%\n%'",
    "'z_'",
    "'% '",
    "'a!%b' ESCAPE '!'",
    "'2024%'",
    "'%:%'",
    "'12%'",
    "'%5'",
];

/// `BINARY` stands for the collation.
const COLUMNS: &[Column] = &[
    (
        "i",
        "BIGINT",
        &["0", "1", "-1", "7", "42", "9007199254740992", "9007199254740993", "-9223372036854775808", "9223372036854775807"],
        INTEGERS,
    ),
    (
        "u",
        "BIGINT UNSIGNED",
        &["0", "1", "7", "18446744073709551615", "9223372036854775808"],
        &["0", "1", "7", "7.5", "1e19", "18446744073709551615"],
    ),
    ("t", "TINYINT", &["0", "1", "-1", "127"], INTEGERS),
    (
        "d",
        "DECIMAL(20,3)",
        &["0", "-0.001", "12.5", "99999999999999999.999", "0.1", "1500", "-12.5"],
        &["0", "12.5", "12.500", "-0.001", "-.001", "1500", "1.5e3", "99999999999999999.999", "1e-1", "1e30", "12.4999999999999999999"],
    ),
    ("f", "DOUBLE", &["0", "-0.0", "0.1", "0.5", "1e300", "-2.25", "9007199254740993"], FLOATS),
    ("r", "FLOAT", &["0", "0.1", "0.25", "-2.25", "16777217", "3.4e38"], FLOATS),
    ("s", "VARCHAR(40) COLLATE BINARY", TEXT_VALUES, TEXTS),
    ("c", "CHAR(10) COLLATE BINARY", TEXT_VALUES, TEXTS),
    ("x", "TEXT COLLATE BINARY", TEXT_VALUES, TEXTS),
    ("b", "VARBINARY(16)", &["X''", "X'00'", "X'ff00'", "X'61'", "X'6100'"], &["X''", "X'00'", "X'ff00'", "x'61'", "0x61"]),
    ("n", "BINARY(4)", &["X'61'", "X'61620000'", "X'ffffffff'"], &["X'61'", "X'61000000'", "X'61620000'"]),
    (
        "dt",
        "DATE",
        &["'2024-02-29'", "'2024-03-01'", "'1970-01-01'", "'9999-12-31'", "'0000-00-00'", "'2024-00-00'"],
        &["'2024-02-29'", "DATE '2024-03-01'", "'1970-01-01'", "'9999-12-31'"],
    ),
    (
        "ti",
        "TIME(3)",
        &["'00:00:00'", "'-01:30:00'", "'838:59:59'", "'-838:59:59'", "'10:00:00.5'", "'100:00:00'"],
        &["'00:00:00'", "'-01:30:00'", "'10:00'", "'10:00:00.5'", "'10:00:00.500000'", "'838:59:59'", "TIME '10:00:00'", "'10:00:00.0005'"],
    ),
    (
        "tm",
        "DATETIME(6)",
        &["'2024-02-29 13:14:15'", "'2024-02-29 13:14:15.5'", "'2024-02-29'", "'9999-12-31 23:59:59.999999'", "'0000-00-00 00:00:00'"],
        MOMENTS,
    ),
    ("tz", "DATETIME", &["'2024-02-29 13:14:15'", "'2024-02-29'", "'1000-01-01'"], MOMENTS),
    (
        "ts",
        "TIMESTAMP(3) NULL",
        &["'2024-02-29 13:14:15'", "'2024-02-29 13:14:15.5'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999'"],
        MOMENTS,
    ),
    ("e", "ENUM('new','paid','B') COLLATE BINARY", &["'new'", "'paid'", "'B'"], &["'new'", "'Paid'", "'B'", "''", "'zzz'", "'o'"]),
    ("st", "SET('a','b','c') COLLATE BINARY", &["''", "'a'", "'a,b'", "'c'"], &["''", "'a'", "'a,b'", "'c'"]),
    ("y", "YEAR", &["1999", "2024", "1901", "2155", "0"], &["1999", "2024", "0", "1901"]),
    ("bt", "BIT(8)", &["0", "1", "255", "97"], &["0", "1", "255", "97"]),
];

/// Columns that are compared with each other.
const PAIRS: &[(&str, &str)] =
    &[("i", "u"), ("t", "i"), ("f", "r"), ("s", "c"), ("s", "x"), ("tm", "tz"), ("b", "n"), ("e", "s"), ("st", "x"), ("y", "i")];

const BY_HAND: &[&str] = &[
    "TRUE",
    "FALSE",
    "NULL",
    "i = 1 OR NULL",
    "NOT NULL",
    "i IS NULL AND s IS NOT NULL",
    "NOT i = 7",
    "NOT (i = 7 AND s = 'a')",
    "i = 7 IS TRUE",
    "(i = 7) IS NOT UNKNOWN",
    "i <> 7 IS UNKNOWN",
    "i = 1 OR i = 7 AND s = 'a'",
    "NOT i = 1 AND s = 'a'",
    "NOT i BETWEEN 0 AND 7",
    "NOT s LIKE 'a%'",
    "NOT i IN (1, 7)",
    "NOT s IS NULL",
    "i IN (7, NULL)",
    "i NOT IN (7, NULL)",
    "s NOT IN ('a', NULL)",
    "i <=> NULL",
    "NOT i <=> 7",
    "7 < i",
    "7 <=> i",
    "'a' = s",
    "i BETWEEN 7 AND -7",
    "i NOT BETWEEN 7 AND -7",
    "i BETWEEN 1.5e0 AND 7",
    "i BETWEEN -1e0 AND 9e15",
    "u BETWEEN -1 AND 7.5",
    "u > -1",
    "u = -1",
    "u <> -1",
    "i < 18446744073709551615",
    "i = 18446744073709551615",
    "i >= -9223372036854775809",
    "i IN (1.0, 7.5)",
    "i IN (9007199254740993e0, 2)",
    "d IN (12.50, 1.5e3)",
    "d BETWEEN .1 AND 100",
    "s < 'b' AND s > 'A'",
    "s BETWEEN 'A' AND 'a'",
    "s LIKE 'a%' OR s LIKE '%é'",
    "s LIKE '%'",
    "s NOT LIKE '%'",
    r"s LIKE '\\\\%'",
    r"s = 'a\\b'",
    r"s = 'a\%b'",
    r"s LIKE 'a\\%'",
    "e > 'new'",
    "e IN ('paid', 'B')",
    "st = 'a,b'",
    "st LIKE '%b%'",
    "d LIKE '12.5%'",
    "dt LIKE '2024-%'",
    "tm LIKE '2024-02-29%'",
    "ti LIKE '%.500'",
    "dt = '0000-00-00' OR dt IS NULL",
    "dt >= '2024-02-29' AND dt < '2024-03-01'",
    "ts BETWEEN '2024-02-29' AND '2024-03-01'",
    "ti BETWEEN '-01:30:00' AND '10:00'",
    "n = X'61000000'",
    "b < X'61'",
    "bt = 97",
    "y BETWEEN 1999 AND 2024",
    "`i` = 7",
    "I = 7 AND S = 'a'",
    "i = 7 /* a comment */ AND s IS NOT NULL",
    "((i = 7))",
    "i = (7)",
    "i IN (TRUE, FALSE)",
    "i = TRUE",
    "-7 < i",
    "i > -7",
];

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % most
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }

    fn not(&mut self) -> &'static str {
        self.pick(&["", "", "NOT "])
    }
}

fn leaf(dice: &mut Dice) -> String {
    const OPERATORS: &[&str] = &["=", "<>", "!=", "<", "<=", ">", ">=", "<=>"];
    let (column, _, _, literals) = COLUMNS[dice.below(COLUMNS.len())];
    match dice.below(10) {
        0..4 => format!("{column} {} {}", dice.pick(OPERATORS), dice.pick(literals)),
        4 => {
            // with an exponent, a range over exact numbers may be refused
            let exact = ["i", "u", "t", "d"].contains(&column);
            let bounds: Vec<&str> = literals.iter().copied().filter(|literal| !exact || !literal.contains('e')).collect();
            format!("{column} {}BETWEEN {} AND {}", dice.not(), dice.pick(&bounds), dice.pick(&bounds))
        }
        5 => {
            let last = if dice.below(2) == 0 { "NULL" } else { dice.pick(literals) };
            format!("{column} {}IN ({}, {}, {last})", dice.not(), dice.pick(literals), dice.pick(literals))
        }
        6 => format!("{column} IS {}NULL", dice.not()),
        7 => {
            let (left, right) = PAIRS[dice.below(PAIRS.len())];
            format!("{left} {} {right}", dice.pick(&OPERATORS[..7]))
        }
        _ => format!("{} {}LIKE {}", dice.pick(&["s", "c", "x", "e", "st", "d", "dt", "tm", "tz", "ti"]), dice.not(), dice.pick(LIKES)),
    }
}

fn condition(dice: &mut Dice, depth: usize) -> String {
    match dice.below(if depth > 2 { 4 } else { 10 }) {
        0..4 => leaf(dice),
        4 | 5 => format!("{} AND {}", condition(dice, depth + 1), condition(dice, depth + 1)),
        6 | 7 => format!("{} OR {}", condition(dice, depth + 1), condition(dice, depth + 1)),
        8 => format!("NOT {}", condition(dice, depth + 1)),
        _ => format!("({}) IS {}{}", condition(dice, depth + 1), dice.not(), dice.pick(&["TRUE", "FALSE", "UNKNOWN"])),
    }
}

fn conditions() -> Vec<String> {
    let mut dice = Dice(11);
    let mut conditions: Vec<String> = BY_HAND.iter().map(|text| (*text).to_owned()).collect();
    // some of each kind for sure
    while conditions.len() < MOST - 40 {
        conditions.push(leaf(&mut dice));
    }
    while conditions.len() < MOST {
        conditions.push(condition(&mut dice, 0));
    }
    conditions
}

/// Rows with each value of each column, and a null now and then.
fn rows() -> String {
    let mut dice = Dice(3);
    let rows = (0..TEXT_VALUES.len() + 16).map(|number| {
        let values = COLUMNS.iter().map(|(_, _, values, _)| match (values.get(number), dice.below(8)) {
            (Some(value), _) => *value,
            (None, 0) => "NULL",
            (None, _) => dice.pick(values),
        });
        format!("({}, {})", number + 1, values.collect::<Vec<_>>().join(", "))
    });
    rows.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_condition_keeps_the_rows_that_the_server_selects() {
    let conditions = conditions();
    for (server, collation) in [(mariadb::shared(), "utf8mb4_nopad_bin"), (mysql::shared(), "utf8mb4_0900_bin")] {
        let database = server.database("conditions");
        let columns: Vec<String> = COLUMNS
            .iter()
            .map(|(name, kind, ..)| format!("{name} {}", kind.replace("COLLATE BINARY", &format!("COLLATE {collation}"))))
            .collect();
        let mut client = server.client();
        client.sql(&format!("SET SESSION sql_mode = '', time_zone = '+00:00'; SET NAMES utf8mb4 COLLATE {collation}"));
        client.sql(&format!(
            "USE {database}; CREATE TABLE rows_of_all (id INT PRIMARY KEY, {}); INSERT INTO rows_of_all VALUES {}",
            columns.join(", "),
            rows()
        ));
        let tables: Vec<String> = (0..conditions.len()).map(|number| format!("CREATE TABLE t{number} LIKE rows_of_all")).collect();
        tables.chunks(50).for_each(|tables| client.sql(&tables.join("; ")));
        let entries =
            conditions.iter().enumerate().map(|(number, condition)| json!({"table": format!("{database}.t{number}"), "where": condition}));
        let plugins = json!([{"use": "filter", "config": {"tables": entries.collect::<Vec<_>>()}}]).to_string();
        let host = host(&pipeline(&server, &database, &plugins, "").replace(".*']", ".t*']"));
        begin(&host);
        let mut expected = 0;
        let mut selected = Vec::new();
        for (number, condition) in conditions.iter().enumerate() {
            client.sql(&format!("INSERT INTO t{number} SELECT * FROM rows_of_all"));
            let ids = client.query(&format!("SELECT id FROM t{number} WHERE {condition} ORDER BY id"));
            let ids: Vec<u64> = ids.into_iter().map(|row| row[0].as_deref().and_then(|id| id.parse().ok()).expect("a number")).collect();
            expected += ids.len();
            selected.push(ids);
        }
        client.sql("CREATE TABLE tlast (id INT PRIMARY KEY); INSERT INTO tlast VALUES (1)");
        let mut process = host.spawn();
        let folder = host.path("out");
        let last =
            || files::list(&folder, "s").last().is_some_and(|file| fs::read_to_string(file).is_ok_and(|text| text.contains("\"tlast\"")));
        process.wait_until("the last row", PATIENCE, last);
        stop(process);
        let mut kept = vec![Vec::new(); conditions.len()];
        for record in delivered(&host) {
            if let Some(number) = record["_table"].as_str().and_then(|table| table[1..].parse::<usize>().ok()) {
                kept[number].push(record["id"].as_u64().expect("an id"));
            }
        }
        let differences: Vec<String> = (conditions.iter().zip(&selected).zip(&kept))
            .filter(|((_, selected), kept)| selected != kept)
            .map(|((condition, selected), kept)| format!("{condition}: the server selects {selected:?}, the plugin keeps {kept:?}"))
            .collect();
        let flavor = if server.flavor() == Flavor::MariaDb { "MariaDB" } else { "MySQL" };
        assert!(differences.is_empty(), "{flavor}\n{}", differences.join("\n"));
        assert!(expected > 10 * conditions.len() / 2, "{expected} rows in all: too few to tell");
    }
}
