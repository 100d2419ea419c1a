//! The border values of every type, against what SELECT says.

use sluicegate_harness::{
    database::{Flavor, Server},
    mariadb, mysql,
};
use sluicegate_model::{change::Operation, limits::Limits};

use crate::capture::{Capture, anew, settings};

/// How SELECT is asked, so that it answers in our canonical form.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Text,
    /// ZEROFILL is display: it is neither logged nor part of the number.
    Number,
    Hex,
    Instant,
    /// SELECT rounds FLOAT to six digits; the arithmetic value has them all.
    Single,
    Double,
}
use Form::*;

impl Form {
    fn select(self) -> &'static str {
        match self {
            Text | Double => "c",
            Number => "CAST(c + 0 AS CHAR)",
            Hex => "HEX(c)",
            Instant => "CONCAT(REPLACE(c, ' ', 'T'), 'Z')",
            Single => "c + 0e0",
        }
    }

    fn same(self, seen: &str, expected: &str) -> bool {
        match self {
            Single => seen.parse::<f32>().unwrap() == expected.parse::<f32>().unwrap(),
            Double => seen.parse::<f64>().unwrap() == expected.parse::<f64>().unwrap(),
            _ => seen == expected,
        }
    }
}

type Border = (&'static str, Form, &'static [&'static str]);

const TIMES: &[&str] = &[
    "'-838:59:59'",
    "'838:59:59'",
    "'-00:00:00.1'",
    "'-00:00:00.000001'",
    "'-00:00:01.999999'",
    "'-25:00:00.5'",
    "'00:00:00'",
    "'100:00:00.123456'",
    "'-838:59:58.999999'",
    "'-01:00:00.25'",
];
const DATETIMES: &[&str] = &[
    "'9999-12-31 23:59:59'",
    "'0000-00-00'",
    "'2024-00-00 12:13:14'",
    "'0000-00-00 01:02:03'",
    "'2024-02-29 13:14:15.123456'",
    "'0001-01-01 00:00:00.000001'",
    "'1969-12-31 23:59:59.9'",
];
const INSTANTS: &[&str] = &[
    "'0000-00-00'",
    "'1970-01-01 00:00:01'",
    "'1970-01-01 00:00:00.5'",
    "'1970-01-01 00:00:00.000001'",
    "'2038-01-19 03:14:07.999999'",
    "'2024-02-29 13:14:15.123456'",
];

const BOTH: &[Border] = &[
    ("int(8) zerofill", Number, &["5", "0", "4294967295"]),
    ("bigint unsigned", Number, &["18446744073709551615", "9223372036854775808"]),
    (
        "decimal(65,30)",
        Text,
        &[
            "-99999999999999999999999999999999999.999999999999999999999999999999",
            "99999999999999999999999999999999999.999999999999999999999999999999",
            "-0.000000000000000000000000000001",
            "-0",
            "1",
        ],
    ),
    ("decimal(65,0)", Text, &["-99999999999999999999999999999999999999999999999999999999999999999", "-0", "1"]),
    ("decimal(30,30)", Text, &["-0.000000000000000000000000000001", "0.999999999999999999999999999999", "-0.0"]),
    ("decimal(18,9)", Text, &["-123456789.123456789", "0.000000001", "-0.000000001"]),
    ("decimal(1,0)", Text, &["-9", "9", "-0"]),
    ("float", Single, &["3.4028234e38", "-3.4028234e38", "1.17549435e-38", "1e-45", "-0e0", "0.1", "16777217", "123456.789", "1e20"]),
    (
        "double",
        Double,
        &[
            "1.7976931348623157e308",
            "5e-324",
            "2.2250738585072014e-308",
            "-0e0",
            "0.1",
            "1e22",
            "123456789012345678",
            "0.30000000000000004",
        ],
    ),
    ("float(10,3)", Single, &["1234567.1234", "0.0005", "-0.0004"]),
    ("double(20,4)", Double, &["123456789012.12345", "-0.00004", "1"]),
    ("float(53)", Double, &["0.1", "1e300", "-1e-300"]),
    ("bit(1)", Number, &["b'1'", "b'0'"]),
    ("bit(9)", Number, &["511", "256"]),
    ("bit(33)", Number, &["8589934591", "1"]),
    ("bit(64)", Number, &["0xffffffffffffffff", "0x8000000000000000", "0"]),
    ("date", Text, &["'9999-12-31'", "'0000-00-00'", "'2024-00-00'", "'2024-02-00'", "'0001-01-01'", "'0000-01-01'"]),
    ("time", Text, TIMES),
    ("time(1)", Text, TIMES),
    ("time(2)", Text, TIMES),
    ("time(3)", Text, TIMES),
    ("time(4)", Text, TIMES),
    ("time(5)", Text, TIMES),
    ("time(6)", Text, TIMES),
    ("datetime", Text, DATETIMES),
    ("datetime(1)", Text, DATETIMES),
    ("datetime(2)", Text, DATETIMES),
    ("datetime(3)", Text, DATETIMES),
    ("datetime(4)", Text, DATETIMES),
    ("datetime(5)", Text, DATETIMES),
    ("datetime(6)", Text, DATETIMES),
    ("timestamp null", Instant, INSTANTS),
    ("timestamp(1) null", Instant, INSTANTS),
    ("timestamp(2) null", Instant, INSTANTS),
    ("timestamp(3) null", Instant, INSTANTS),
    ("timestamp(4) null", Instant, INSTANTS),
    ("timestamp(5) null", Instant, INSTANTS),
    ("timestamp(6) null", Instant, INSTANTS),
    ("year", Number, &["0", "1901", "2155", "'0000'"]),
    ("enum('a','','ü','x,y')", Text, &["'a'", "''", "'ü'", "'x,y'", "'bad'", "0"]),
    ("set('a','b','ü','c d')", Text, &["''", "'a,c d'", "'bad'", "15"]),
    ("char(5)", Text, &["'a  '", "'  a'", "''", "'üéñ€😀'"]),
    ("char(0)", Text, &["''", "NULL"]),
    ("varchar(5)", Text, &["'a  '", "'a\\tb'", "'\\n'", "'\\\\'"]),
    ("char(255)", Text, &["REPEAT('😀', 255)", "'x '"]),
    ("binary(0)", Hex, &["''"]),
    ("binary(3)", Hex, &["'a'", "0x610000", "0x200000", "''", "0x616220"]),
    ("varbinary(3)", Hex, &["0x610000", "0x2020", "''"]),
    ("tinyblob", Hex, &["''", "REPEAT(0xff, 255)"]),
    ("blob", Hex, &["REPEAT(0xfe, 65535)"]),
    ("mediumblob", Hex, &["REPEAT(0xfe, 70000)"]),
    ("text", Text, &["REPEAT('ü', 32767)"]),
    ("geometry", Hex, &["ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')", "NULL"]),
    ("point", Hex, &["ST_GeomFromText('POINT(-1.5 2)', 4326)"]),
    ("geometrycollection", Hex, &["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1))')"]),
    (
        "json",
        Text,
        &[
            r#"'{"b": 1, "a": 2, "aa": 3, "": 4}'"#,
            "'[1e15, 1e14, 1.5e-7, 0.1, -0.0, 1e300, 5e-324, 123456789012345678901, -9223372036854775808, 18446744073709551615, 18446744073709551616, 0.00001]'",
            "'null'",
            r#"'"\\u00fc\\ud83d\\ude00 \\n\\t\\/ \\" \\u0001 \\b\\f\\r \\u007f \\u2028"'"#,
            "CONCAT(REPEAT('[', 31), REPEAT(']', 31))",
            "'  [ 1 , 2 ]  '",
            "'{}'",
        ],
    ),
];

const MARIADB: &[Border] = &[
    (
        "uuid",
        Text,
        &[
            "'00112233-4455-1677-8899-aabbccddeeff'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "'00000000-0000-0000-0000-000000000000'",
            "'00112233-4455-7677-8899-aabbccddee00'",
        ],
    ),
    (
        "inet6",
        Text,
        &[
            "'::'",
            "'::1'",
            "'::1.2.3.4'",
            "'::0.1.2.3'",
            "'::ffff:1.2.3.4'",
            "'::ffff:0.0.0.0'",
            "'2001:db8:0:1:1:1:1:1'",
            "'1:0:0:2:0:0:0:3'",
            "'1:0:2:0:0:3:4:5'",
            "'1:2:3:4:5:6:7:0'",
            "'0:2:3:4:5:6:7:8'",
            "'0:0:1:0:0:1:0:0'",
            "'::fffe:1.2.3.4'",
            "'ffff::'",
        ],
    ),
    ("inet4", Text, &["'0.0.0.0'", "'255.255.255.255'", "'1.2.3.0'"]),
    ("varchar(200) compressed", Text, &["REPEAT('aü', 90)", "''", "'x'", "'  '"]),
    ("varchar(63) compressed", Text, &["REPEAT('😀', 63)"]),
    ("varchar(64) compressed", Text, &["REPEAT('😀', 64)"]),
    ("varchar(254) character set latin1 compressed", Text, &["REPEAT('é', 254)"]),
    ("varchar(255) character set latin1 compressed", Text, &["REPEAT('é', 255)"]),
    ("varbinary(10) compressed", Hex, &["'abc'", "''", "0x0000"]),
    ("tinytext compressed", Text, &["REPEAT('q', 250)"]),
    ("text character set latin1 compressed", Text, &["REPEAT('éa', 5000)", "''"]),
    ("mediumtext character set ucs2 compressed", Text, &["REPEAT('ü€', 1000)"]),
    ("longblob compressed", Hex, &["REPEAT(0xfe, 300000)", "''", "0x00"]),
];

const MYSQL: &[Border] = &[
    ("vector(3)", Hex, &["TO_VECTOR('[1,-2.5,3e10]')", "NULL"]),
    (
        "json",
        Text,
        &[
            "JSON_ARRAY(CAST('838:59:59' AS TIME), CAST('0000-00-00' AS DATE), 1.0e0, 1e15, CAST(0.1 AS FLOAT), CAST(99999999999999999999999999999999999.5 AS DECIMAL(65,30)), CAST(-0.0 AS DECIMAL(3,1)), b'101', x'61')",
            "JSON_ARRAY(_binary 'abc', REPEAT(_binary 'x', 57), REPEAT(_binary 'x', 58), REPEAT(_binary 'y', 200), true, null)",
            "JSON_OBJECT('y', CAST(2024 AS YEAR), 'd', CAST('2024-02-29' AS DATE), 't', CAST('-11:12:13.5' AS TIME(6)), 'dt', CAST('2024-02-29 13:14:15.25' AS DATETIME(6)))",
            "CAST(CAST('2024-02-29' AS DATE) AS JSON)",
            "CAST(12.5 AS JSON)",
            "JSON_OBJECT('k', JSON_OBJECT('longer', 1, 'b', 2, 'é', 3, 'z', 4))",
            "JSON_OBJECT('a', REPEAT('x', 70000), 'b', -1, 'c', 65536, 'd', -65536, 'e', true)",
            "CONCAT(REPEAT('[', 99), REPEAT(']', 99))",
        ],
    ),
];

/// Every border value through the stream, against SELECT.
pub fn borders_are_exact(server: &Server) {
    let database = server.database("borders");
    let own = if server.flavor() == Flavor::MariaDb { MARIADB } else { MYSQL };
    let borders: Vec<&Border> = BOTH.iter().chain(own).collect();
    let mut client = server.client();
    client.sql(&format!("USE {database}; SET NAMES utf8mb4; SET sql_mode = ''; SET time_zone = '+00:00'"));
    for (i, (kind, ..)) in borders.iter().enumerate() {
        client.sql(&format!("CREATE TABLE t{i} (id int PRIMARY KEY, c {kind})"));
    }
    let mut capture = Capture::start(settings(server, &database), anew(), Limits::default());
    let mut expected = Vec::new();
    for (i, (kind, form, values)) in borders.iter().enumerate() {
        for (id, value) in values.iter().enumerate() {
            client.sql(&format!("INSERT IGNORE INTO t{i} VALUES ({id}, {value})"));
        }
        for row in client.query(&format!("SELECT {} FROM t{i} ORDER BY id", form.select())) {
            expected.push((*kind, *form, row[0].clone()));
        }
    }
    for (change, (kind, form, expected)) in capture.changes(expected.len()).iter().zip(&expected) {
        let seen = &change.after.as_ref().unwrap()[1];
        match (seen, expected) {
            (Some(seen), Some(expected)) => assert!(form.same(seen, expected), "{kind}: {seen} is {expected} in SELECT"),
            _ => assert_eq!(seen, expected, "{kind}"),
        }
    }
    capture.stop();
}

#[test]
fn border_values_of_mariadb_are_what_select_says() {
    borders_are_exact(&mariadb::shared());
    // compressed values with a frame of their own
    let server = mariadb::start(&["--column-compression-zlib-wrap=ON"]);
    borders_are_exact(&server);
}

#[test]
fn values_in_the_temporal_formats_of_old_mariadb_are_what_select_says() {
    let server = mariadb::start(&["--mysql56-temporal-format=OFF"]);
    borders_are_exact(&server);
    let old = server.query("SELECT COUNT(*) FROM information_schema.columns WHERE column_type LIKE '%mariadb-5.3%'");
    assert!(old[0][0].as_ref().unwrap().parse::<u32>().unwrap() >= 21, "{old:?}");
}

#[test]
fn border_values_of_mysql_are_what_select_says() {
    borders_are_exact(&mysql::shared());
}

/// Updates of parts of documents, each as MySQL logs it.
const PARTIAL: &[&str] = &[
    "j = JSON_SET(j, '$.a[2].b', 'ZZ', '$.d', 2.5)",
    "j = JSON_REMOVE(j, '$.a[1]')",
    "j = JSON_SET(j, '$.\"new key\"', CAST('2024-02-29' AS DATE)), t = 'y'",
    "j = JSON_SET(j, '$.d', JSON_ARRAY(1, 2, CAST(1.25 AS DECIMAL(5,2))))",
    "k = JSON_SET(k, '$[0]', JSON_OBJECT('x', REPEAT('long ', 10)))",
    "j = JSON_SET(j, '$.\"q\\\\\"uote.d [x]\"', _binary 'bytes'), k = JSON_REMOVE(k, '$[1]')",
    "j = JSON_REMOVE(j, '$.\"new key\"', '$.d'), k = JSON_SET(k, '$[9]', 18446744073709551615)",
    "k = JSON_REPLACE(k, '$[0].x', NULL)",
    "j = JSON_SET(j, '$.ü', 'é', '$.deep', JSON_OBJECT('a', JSON_ARRAY(JSON_ARRAY(), JSON_OBJECT())))",
    "j = JSON_SET(j, '$.deep.a[1].b', -1.5e300), t = NULL",
    "j = JSON_SET(j, '$.long', REPEAT('z', 90000))",
    "j = JSON_SET(j, '$.d', true)",
    "t = 'only text'",
    "k = NULL",
    "k = '[1, 2, 3, {\"some\": \"document that is long enough for a part of it\"}]'",
    "k = JSON_SET(k, '$[3].some', 1)",
    "k = JSON_SET(k, '$[last].some', 'again, with a text of its own', '$[last-3]', 9)",
    "k = JSON_SET(k, '$[0][last]', 7, '$[1][0]', 8)",
    "k = JSON_REMOVE(k, '$[last-1]')",
    "j = NULL",
];

#[test]
fn partial_json_updates_are_made_whole() {
    for server in [mysql::shared(), mysql::start(&["--binlog-row-metadata=MINIMAL"])] {
        let database = server.database("partial");
        let table = format!("{database}.t");
        let mut client = server.client();
        client.sql("SET NAMES utf8mb4; SET SESSION binlog_row_value_options = 'PARTIAL_JSON'");
        client.sql(&format!("CREATE TABLE {table} (id int PRIMARY KEY, j json, k json, n json, t varchar(20))"));
        let mut capture = Capture::start(settings(&server, &database), anew(), Limits::default());
        client.sql(&format!(
            r#"INSERT INTO {table} VALUES (1, '{{"a": [1, 2, {{"b": "{}"}}], "long": "{}", "d": 1.5}}', '[1, 2, 3, "{}"]', NULL, 'x')"#,
            "x".repeat(100),
            "y".repeat(300),
            "k".repeat(90),
        ));
        client.sql(&format!("INSERT INTO {table} SELECT 2, j, k, j, t FROM {table}"));
        let mut states = vec![client.query(&format!("SELECT * FROM {table} ORDER BY id"))];
        for update in PARTIAL {
            client.sql(&format!("UPDATE {table} SET {update}"));
            states.push(client.query(&format!("SELECT * FROM {table} ORDER BY id")));
        }
        let partial = client.query("SELECT @@binlog_row_value_options");
        assert_eq!(partial[0][0].as_deref(), Some("PARTIAL_JSON"));
        let changes = capture.changes(2 + 2 * PARTIAL.len());
        for (i, changes) in changes[2..].chunks(2).enumerate() {
            for (row, change) in changes.iter().enumerate() {
                assert_eq!(change.operation, Operation::Update);
                assert_eq!(change.before.as_ref(), Some(&states[i][row]), "before {}", PARTIAL[i]);
                assert_eq!(change.after.as_ref(), Some(&states[i + 1][row]), "after {}", PARTIAL[i]);
            }
        }
        capture.stop();
    }
}
