//! Every type exactly, the same from a copy and from a change.

use super::server::*;

/// Types with their values, and how they are delivered.
const TYPES: &[(&str, &str, &str)] = &[
    ("bit", "1", "true"),
    ("tinyint", "255", "255"),
    ("smallint", "-32768", "-32768"),
    ("int", "-2147483648", "-2147483648"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("decimal(38,10)", "-1234567890123456789012345678.0123456789", r#""-1234567890123456789012345678.0123456789""#),
    ("numeric(5,0)", "-7", r#""-7""#),
    ("decimal(4,4)", "0.0001", r#""0.0001""#),
    ("money", "922337203685477.5807", r#""922337203685477.5807""#),
    ("money", "-922337203685477.5808", r#""-922337203685477.5808""#),
    ("smallmoney", "-214748.3648", r#""-214748.3648""#),
    ("real", "CAST(0.1 AS real)", "0.1"),
    ("float", "CAST(1.7976931348623157E308 AS float)", "1.7976931348623157e+308"),
    ("char(5)", "'ab'", r#""ab   ""#),
    ("varchar(20)", "'grün'", r#""grün""#),
    ("nchar(3)", "N'é'", r#""é  ""#),
    ("nvarchar(max)", "N'你好 😀'", r#""你好 😀""#),
    ("binary(3)", "0x61", r#""YQAA""#),
    ("varbinary(max)", "0x00FF", r#""AP8=""#),
    ("date", "'0001-01-01'", r#""0001-01-01""#),
    ("date", "'9999-12-31'", r#""9999-12-31""#),
    ("time(0)", "'23:59:59'", r#""23:59:59""#),
    ("time(7)", "'23:59:59.9999999'", r#""23:59:59.9999999""#),
    ("datetime", "'1753-01-01T12:34:56.790'", r#""1753-01-01 12:34:56.790""#),
    ("datetime", "'9999-12-31T23:59:59.997'", r#""9999-12-31 23:59:59.997""#),
    ("smalldatetime", "'2079-06-06T23:59:00'", r#""2079-06-06 23:59:00""#),
    ("datetime2(7)", "'2024-02-29T13:14:15.1234567'", r#""2024-02-29 13:14:15.1234567""#),
    ("datetime2(0)", "'2024-02-29T13:14:15'", r#""2024-02-29 13:14:15""#),
    ("datetimeoffset(7)", "'2024-02-29T13:14:15.1234567-08:30'", r#""2024-02-29 13:14:15.1234567 -08:30""#),
    ("uniqueidentifier", "'6F9619FF-8B86-D011-B42D-00C04FC964FF'", r#""6F9619FF-8B86-D011-B42D-00C04FC964FF""#),
    ("int", "NULL", "null"),
    ("varchar(30) COLLATE Latin1_General_100_CI_AS_SC_UTF8", "N'grün 你好 😀'", r#""grün 你好 😀""#),
    ("varchar(max) COLLATE Latin1_General_100_CI_AS_SC_UTF8", "N'ü😀'", r#""ü😀""#),
    ("varchar(20) COLLATE Cyrillic_General_CI_AS", "N'Привет'", r#""Привет""#),
    ("varchar(20) COLLATE Japanese_CI_AS", "N'日本'", r#""日本""#),
    ("char(4) COLLATE Chinese_Taiwan_Stroke_CI_AS", "N'你'", r#""你  ""#),
    ("text", "'grün'", r#""grün""#),
    ("text COLLATE Cyrillic_General_CI_AS", "N'Привет'", r#""Привет""#),
    ("ntext", "N'old 😀'", r#""old 😀""#),
    ("image", "0x0102FF", r#""AQL/""#),
    ("xml", "N'<a b=\"1\">ü</a>'", r#""<a b=\"1\">ü</a>""#),
    // of SQL Server 2025: the catalogue says of a vector that it is stored as varbinary
    ("json", r#"N'{"a":[1,"ü"]}'"#, r#"{"a":[1,"ü"]}"#),
    ("vector(2)", "'[1.5,-2.0]'", r#""[1.5,-2.0]""#),
    ("hierarchyid", "'/1/2/3/'", r#""/1/2/3/""#),
    ("sql_variant", "CAST(12.50 AS decimal(9,2))", r#"{"type":"decimal","value":"12.50"}"#),
    ("sql_variant", "CAST(-7 AS int)", r#"{"type":"int","value":"-7"}"#),
    ("sql_variant", "CAST(922337203685477.5807 AS money)", r#"{"type":"money","value":"922337203685477.5807"}"#),
    ("sql_variant", "N'a\"b 😀'", r#"{"type":"nvarchar","value":"a\"b 😀"}"#),
    ("sql_variant", "CAST('grün' AS varchar(20))", r#"{"type":"varchar","value":"grün"}"#),
    ("sql_variant", "CAST(N'Привет' COLLATE Cyrillic_General_CI_AS AS varchar(20))", r#"{"type":"varchar","value":"Привет"}"#),
    ("sql_variant", "CAST(N'你😀' COLLATE Latin1_General_100_CI_AS_SC_UTF8 AS varchar(20))", r#"{"type":"varchar","value":"你😀"}"#),
    ("sql_variant", "CAST(0x00FF AS varbinary(4))", r#"{"type":"varbinary","value":"0x00FF"}"#),
    (
        "sql_variant",
        "CAST('2024-02-29T13:14:15.1234567-08:30' AS datetimeoffset(7))",
        r#"{"type":"datetimeoffset","value":"2024-02-29 13:14:15.1234567 -08:30"}"#,
    ),
    ("sql_variant", "NULL", "null"),
];

#[test]
fn a_value_is_the_same_from_a_copy_and_from_a_change() {
    let mut database = Database::new();
    let columns: Vec<String> = TYPES.iter().enumerate().map(|(n, (native, ..))| format!("c{n} {native} NULL")).collect();
    let values: Vec<&str> = TYPES.iter().map(|(_, value, _)| *value).collect();
    database.sql(&format!("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, {})", columns.join(", ")));
    database.sql(&format!("INSERT dbo.t VALUES (1, {})", values.join(", ")));
    database.sql("ALTER TABLE dbo.t ENABLE CHANGE_TRACKING");
    let host = database.pipeline(&["tables: [{ start: snapshot-first }]", "headers: none"]);
    drain(&host);
    database.sql(&format!("INSERT dbo.t VALUES (2, {})", values.join(", ")));
    drain(&host);
    let all = records(&host);
    assert_eq!((all.len(), &all[0]["_op"], &all[1]["_op"]), (2, &"r".into(), &"c".into()));
    for (n, (native, value, expected)) in TYPES.iter().enumerate() {
        // JSON stands in a record as text
        let expected = if expected.starts_with('{') { serde_json::Value::from(*expected).to_string() } else { (*expected).to_owned() };
        for record in &all {
            assert_eq!(record[format!("c{n}")].to_string(), expected, "{native} {value} in {}", record["_op"]);
        }
    }
}

#[test]
fn g105_a_computed_column_and_a_rowversion_are_those_of_the_row_as_it_is() {
    let mut database = Database::new();
    database.sql("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v int NULL, twice AS v * 2, r rowversion)");
    database.sql("INSERT dbo.t (id, v) VALUES (1, 4)");
    database.sql("ALTER TABLE dbo.t ENABLE CHANGE_TRACKING");
    let host = database.pipeline(&["tables: [{ start: snapshot-first }]", "headers: none"]);
    drain(&host);
    database.sql("UPDATE dbo.t SET v = 5");
    drain(&host);
    let all = records(&host);
    assert_eq!((&all[0]["twice"], &all[1]["twice"]), (&8.into(), &10.into()));
    let version = |at: usize| all[at]["r"].as_str().unwrap().to_owned();
    assert!(version(0).len() == 12 && version(0) < version(1), "{} {}", version(0), version(1));
}

/// Types of keys, and two values of each in their order.
const KEYS: &[(&str, &str, &str)] = &[
    ("bigint", "-5", "7"),
    ("bit", "0", "1"),
    ("decimal(38,10)", "-1.5", "1.0000000001"),
    ("money", "-922337203685477.5808", "922337203685477.5807"),
    ("varchar(10) COLLATE Latin1_General_CI_AS", "'a''b'", "'B'"),
    ("nvarchar(10)", "N'a'", "N'é'"),
    ("date", "'0001-01-01'", "'9999-12-31'"),
    ("time(7)", "'00:00:00.0000001'", "'23:59:59.9999999'"),
    ("datetime", "'2024-01-01T00:00:00.003'", "'2024-01-01T00:00:00.007'"),
    ("smalldatetime", "'2024-01-01T00:00:00'", "'2024-01-01T00:01:00'"),
    ("datetime2(7)", "'2024-01-01T00:00:00.0000001'", "'2024-01-01T00:00:00.0000002'"),
    ("datetimeoffset(7)", "'2024-01-01T00:00:00+02:00'", "'2024-01-01T00:00:00+01:00'"),
    ("uniqueidentifier", "'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"),
    ("varbinary(10)", "0x00", "0x0001"),
    ("float", "CAST(-0.1 AS float)", "CAST(0.3 AS float)"),
];

#[test]
fn a41_a_copy_and_a_huge_version_go_on_behind_a_key_of_any_type() {
    let mut database = Database::new();
    for (n, (native, first, second)) in KEYS.iter().enumerate() {
        database.table(&format!("t{n}"), &format!("k {native} NOT NULL PRIMARY KEY, v int NULL"));
        database.sql(&format!("INSERT dbo.t{n} VALUES ({first}, 1), ({second}, 2)"));
    }
    let settings = ["tables: [{ start: snapshot-first }]", "headers: none", "batches_per_visit: 1"];
    let host = database.pipeline_with(&settings, "{ type: file, format: flat, folder: out, prefix: t }", ", batch_changes: 1");
    drain(&host);
    for n in 0..KEYS.len() {
        database.sql(&format!("UPDATE dbo.t{n} SET v = v + 2"));
    }
    drain(&host);
    let all = records(&host);
    for (n, (native, ..)) in KEYS.iter().enumerate() {
        let own: Vec<String> =
            all.iter().filter(|r| r["_table"] == format!("t{n}")).map(|r| format!("{}{}", r["_op"].as_str().unwrap(), r["v"])).collect();
        assert_eq!(own, ["r1", "r2", "u3", "u4"], "{native}");
    }
}
