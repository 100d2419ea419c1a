//! Types on the wire and back: facts G102 to G114, and keys in the server's order.

use tiberius::{ColumnType, Query};

use crate::client::{Client, row_text, shop};

async fn types(client: &mut Client, sql: &str) -> Vec<ColumnType> {
    let mut found = client.driver.simple_query(sql).await.expect("rows");
    let columns = found.columns().await.expect("metadata").expect("columns");
    columns.iter().map(tiberius::Column::column_type).collect()
}

#[tokio::test]
async fn g107_g108_g148_columns_that_cannot_be_null_have_fixed_length_types() {
    let (simulator, mut client) = shop().await;
    let names = ["bit", "tinyint", "smallint", "int", "bigint", "real", "float", "smallmoney", "money", "smalldatetime", "datetime"];
    let columns = |null: &str| names.map(|n| format!("c_{n} {n} {null}")).join(", ");
    client.run(&format!("CREATE TABLE fixed ({}); CREATE TABLE nullable ({})", columns("NOT NULL"), columns("NULL"))).await;
    // the driver tells the length-carrying types from the fixed ones only while it reads values: NULLs come as NULLs, values as values
    let values = "1, 2, 3, 4, 5, 0.5, 0.25, 1.5, 2.5, '2020-01-02 03:04', '2020-01-02 03:04:05'";
    client.run(&format!("INSERT fixed VALUES ({values}); INSERT nullable VALUES ({values})")).await;
    let rows = client.texts("SELECT * FROM fixed").await;
    assert!(rows[0].starts_with("1 2 3 4 5 0.5 0.25 1.5 2.5 "), "{rows:?}");
    assert_eq!(client.texts("SELECT * FROM nullable").await, rows);
    client.run("CREATE TABLE k (id int PRIMARY KEY, a int NOT NULL); ALTER TABLE k ENABLE CHANGE_TRACKING").await;
    // the key of the change cannot be NULL, the joined row can
    let joined = "SELECT c.id, k.id, k.a FROM CHANGETABLE(CHANGES k, 0) AS c LEFT JOIN k ON k.id = c.id";
    let nullable: Vec<bool> = simulator.run("shop", joined).expect("rows")[0].columns.iter().map(|c| c.nullable).collect();
    assert_eq!(nullable, [false, true, true]);
    assert!(types(&mut client, joined).await.iter().all(|t| *t == ColumnType::Int4));
}

#[tokio::test]
async fn g149_the_operation_is_nchar() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE k (id int PRIMARY KEY); ALTER TABLE k ENABLE CHANGE_TRACKING").await;
    let found = types(&mut client, "SELECT * FROM CHANGETABLE(CHANGES k, 0) AS c").await;
    let expected = [ColumnType::Int8, ColumnType::Int8, ColumnType::NChar, ColumnType::BigVarBin, ColumnType::BigVarBin, ColumnType::Int4];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn values_of_all_types_come_back_as_they_went_in() {
    let (_simulator, mut client) = shop().await;
    let cases = [
        ("bit", "1", "1"),
        ("tinyint", "255", "255"),
        ("smallint", "-32768", "-32768"),
        ("int", "-2147483648", "-2147483648"),
        ("bigint", "-9223372036854775808", "-9223372036854775808"),
        ("decimal(38,0)", "-99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"),
        ("decimal(9,2)", "1234567.89", "1234567.89"),
        ("numeric(19,5)", "0.00001", "0.00001"),
        ("float", "1.5", "1.5"),
        ("real", "-0.25", "-0.25"),
        ("char(4)", "'ab'", "ab  "),
        ("varchar(10)", "'naïve'", "naïve"),
        ("varchar(10) COLLATE Cyrillic_General_CI_AS", "N'Привет'", "Привет"),
        ("varchar(10) COLLATE Japanese_CI_AS", "N'日本'", "日本"),
        ("nchar(3)", "N'é'", "é  "),
        ("nvarchar(10)", "N'naïve 🦀'", "naïve 🦀"),
        ("nvarchar(max)", "REPLICATE(CAST(N'xyz🦀' AS nvarchar(max)), 5000)", &"xyz🦀".repeat(5000)),
        ("varchar(max)", "REPLICATE(CAST('0123456789' AS varchar(max)), 3000)", &"0123456789".repeat(3000)),
        ("text", "'old text'", "old text"),
        ("ntext", "N'old ü'", "old ü"),
        ("image", "0x0102FF", "0x0102FF"),
        ("binary(4)", "0x01", "0x01000000"),
        ("varbinary(8)", "0x00FF", "0x00FF"),
        ("varbinary(max)", "CAST(REPLICATE(CAST('A' AS varchar(max)), 9000) AS varbinary(max))", &format!("0x{}", "41".repeat(9000))),
        ("uniqueidentifier", "'00112233-4455-6677-8899-AABBCCDDEEFF'", "00112233-4455-6677-8899-aabbccddeeff"),
        ("xml", "N'<a>ü</a>'", "<a>ü</a>"),
        ("sql_variant", "CAST(12.5 AS decimal(9,1))", "12.5"),
        ("sql_variant", "N'text'", "text"),
    ];
    for (at, (of, value, expected)) in cases.into_iter().enumerate() {
        client.run(&format!("CREATE TABLE v{at} (id int PRIMARY KEY, v {of} NULL); INSERT v{at} VALUES (1, {value}), (2, NULL)")).await;
        let rows = client.texts(&format!("SELECT v FROM v{at} ORDER BY id")).await;
        assert_eq!(rows, [expected, "NULL"], "{of}");
    }
}

#[tokio::test]
async fn g103_g109_money_is_exact_by_its_decimal() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE m (id int PRIMARY KEY, v money NOT NULL, w smallmoney NULL)").await;
    client.run("INSERT m VALUES (1, 922337203685477.5807, -214748.3648), (2, -922337203685477.5808, NULL), (3, 1.5, 2.25)").await;
    let sql = "SELECT CAST(v AS decimal(19,4)), CAST(w AS decimal(10,4)) FROM m ORDER BY id";
    assert_eq!(client.texts(sql).await, ["922337203685477.5807 -214748.3648", "-922337203685477.5808 NULL", "1.5000 2.2500"]);
    assert_eq!(client.value("SELECT v, w FROM m WHERE id = 3").await, "1.5 2.25");
}

#[tokio::test]
async fn dates_and_times_are_printed_as_the_server_does() {
    let (_simulator, mut client) = shop().await;
    for (of, value, style, expected) in [
        ("date", "9999-12-31", 121, "9999-12-31"),
        ("time(7)", "23:59:59.9999999", 121, "23:59:59.9999999"),
        ("time(0)", "12:34:56", 121, "12:34:56"),
        ("datetime", "2020-01-02 12:34:56.789", 121, "2020-01-02 12:34:56.790"),
        ("datetime", "1753-01-01", 126, "1753-01-01T00:00:00"),
        ("smalldatetime", "2020-01-02 12:34:56", 120, "2020-01-02 12:35:00"),
        ("datetime2(7)", "0001-01-01 00:00:00.0000001", 121, "0001-01-01 00:00:00.0000001"),
        ("datetime2(3)", "2020-02-29T10:00:00.123", 126, "2020-02-29T10:00:00.123"),
        ("datetimeoffset(7)", "2020-01-01 00:30:00.1234567 +05:30", 121, "2020-01-01 00:30:00.1234567 +05:30"),
    ] {
        let sql = format!("SELECT CONVERT(nvarchar(40), CAST('{value}' AS {of}), {style})");
        assert_eq!(client.value(&sql).await, expected, "{of}");
        client.run(&format!("SELECT CAST('{value}' AS {of})")).await;
    }
}

#[tokio::test]
async fn g104_hierarchies_have_their_bytes_and_their_text() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE h (p hierarchyid PRIMARY KEY); INSERT h VALUES ('/1/2/3/'), ('/'), ('/2/1/'), ('/1/')").await;
    let sql = "SELECT p.ToString(), CAST(p AS varbinary(900)) FROM h ORDER BY p";
    assert_eq!(client.texts(sql).await, ["/ 0x", "/1/ 0x58", "/1/2/3/ 0x5B5E", "/2/1/ 0x6AC0"]);
}

#[tokio::test]
async fn g105_g113_a_rowversion_moves_with_each_update() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE r (id int PRIMARY KEY, a int, v rowversion); INSERT r (id, a) VALUES (1, 1)").await;
    let first = client.value("SELECT v FROM r").await;
    client.run("UPDATE r SET a = a").await;
    let second = client.value("SELECT v FROM r").await;
    assert!(first.len() == 18 && first < second, "{first} {second}");
}

#[tokio::test]
async fn keys_are_ordered_by_their_collation_and_guids_by_their_last_bytes() {
    let (_simulator, mut client) = shop().await;
    for (collation, expected) in
        [("Latin1_General_CI_AS", ["-x", "1", "10", "a", "b", "Z"]), ("Latin1_General_BIN2", ["-x", "1", "10", "Z", "a", "b"])]
    {
        client.run(&format!("CREATE TABLE k (s nvarchar(9) COLLATE {collation} PRIMARY KEY)")).await;
        client.run("INSERT k VALUES (N'b'), (N'Z'), (N'a'), (N'10'), (N'1'), (N'-x')").await;
        assert_eq!(client.texts("SELECT s FROM k ORDER BY s").await, expected, "{collation}");
        assert_eq!(client.texts("SELECT TOP (2) s FROM k WHERE s > N'10' ORDER BY s").await, expected[3..5], "{collation}");
        client.run("DROP TABLE k").await;
    }
    client.run("CREATE TABLE g (g uniqueidentifier PRIMARY KEY)").await;
    client.run("INSERT g VALUES ('FFFFFFFF-0000-0000-0000-000000000001'), ('00000000-0000-0000-0000-000000000002')").await;
    let rows = client.texts("SELECT g FROM g ORDER BY g").await;
    assert!(rows[0].starts_with("ffffffff"), "{rows:?}");
}

#[tokio::test]
async fn pages_by_a_composite_key_meet_every_row_once() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE p (a int NOT NULL, b nvarchar(5) NOT NULL, v int, PRIMARY KEY (b, a))").await;
    let rows: Vec<String> = (0..200).map(|n| format!("({}, N'{}', {n})", n % 7, n / 7)).collect();
    client.run(&format!("INSERT p (a, b, v) VALUES {}", rows.join(", "))).await;
    let mut seen = client.texts("SELECT TOP (9) b, a FROM p ORDER BY b, a").await;
    loop {
        let (b, a) = seen.last().and_then(|row| row.split_once(' ')).expect("a row");
        let mut query = Query::new("SELECT TOP (@P1) b, a FROM p WHERE (b > @P2) OR (b = @P2 AND a > @P3) ORDER BY b, a");
        query.bind(9_i64);
        query.bind(b.to_owned());
        query.bind(a.parse::<i64>().expect("a number"));
        let page = query.query(&mut client.driver).await.expect("rows").into_first_result().await.expect("rows");
        if page.is_empty() {
            break;
        }
        seen.extend(page.iter().map(row_text));
    }
    assert_eq!(seen, client.texts("SELECT b, a FROM p ORDER BY b, a").await);
    assert_eq!(seen.len(), 200);
}
