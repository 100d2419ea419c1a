//! SQL of the shapes that a reader of Change Tracking sends.

use tiberius::Query;

use crate::client::{Client, row_text, shop};

async fn with(client: &mut Client, sql: &str, integers: &[i64], texts: &[&str]) -> Vec<String> {
    let mut query = Query::new(sql);
    integers.iter().for_each(|n| query.bind(*n));
    texts.iter().for_each(|t| query.bind(*t));
    let rows = query.query(&mut client.driver).await.unwrap_or_else(|e| panic!("{sql}: {e}")).into_first_result().await;
    rows.unwrap_or_else(|e| panic!("{sql}: {e}")).iter().map(row_text).collect()
}

async fn table(client: &mut Client) {
    let create =
        "CREATE TABLE dbo.[it]]em] (k1 int NOT NULL, k2 nvarchar(20) COLLATE Latin1_General_CI_AS NOT NULL, m money, h hierarchyid,
        v sql_variant, d AS k1 * 2, u varchar(9) COLLATE Latin1_General_100_CI_AS_SC_UTF8, CONSTRAINT pk_item PRIMARY KEY (k2, k1))";
    client.run(create).await;
    client.run("ALTER TABLE dbo.[it]]em] ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON)").await;
    client.run("INSERT dbo.[it]]em] (k1, k2, m, h, v, u) VALUES (1, N'b', 1.5, '/1/', CAST(2.5 AS money), N'ü'), (2, N'a', NULL, NULL, N'x', NULL)").await;
}

#[tokio::test]
async fn a_session_begins() {
    let (_simulator, mut client) = shop().await;
    client.run("SET XACT_ABORT ON; SET NOCOUNT ON; SET LOCK_TIMEOUT 30000; SET DEADLOCK_PRIORITY LOW;").await;
    let server = "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)), CAST(SERVERPROPERTY('Edition') AS nvarchar(128)),
        CAST(SERVERPROPERTY('EngineEdition') AS int), DB_NAME(), CAST(DB_ID() AS int), LEN(CONVERT(nvarchar(30), d.create_date, 126)),
        CAST(d.snapshot_isolation_state AS int), CAST(d.compatibility_level AS int),
        CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS nvarchar(128)), CHANGE_TRACKING_CURRENT_VERSION(), d.collation_name
        FROM sys.databases AS d WHERE d.database_id = DB_ID()";
    let row = client.value(server).await;
    assert!(row.starts_with("17.0.4065.4 Developer Edition (64-bit) 3 shop 5 "), "{row}");
    assert!(row.ends_with(" 1 170 READ_WRITE 0 SQL_Latin1_General_CP1_CI_AS"), "{row}");
    for level in ["SNAPSHOT", "READ UNCOMMITTED", "REPEATABLE READ", "SERIALIZABLE", "READ COMMITTED"] {
        client.run(&format!("SET TRANSACTION ISOLATION LEVEL {level}; BEGIN TRANSACTION")).await;
        client.run("COMMIT TRANSACTION; SET TRANSACTION ISOLATION LEVEL READ COMMITTED").await;
        client.run("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION; SET TRANSACTION ISOLATION LEVEL READ COMMITTED").await;
    }
}

#[tokio::test]
async fn tables_are_found_with_their_columns_and_keys() {
    let (_simulator, mut client) = shop().await;
    table(&mut client).await;
    client.run("CREATE TABLE plain (id int)").await;
    let discovery = "SELECT s.name, t.name, c.begin_version, c.min_valid_version, CAST(c.is_track_columns_updated_on AS int)
        FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id
        LEFT JOIN sys.change_tracking_tables AS c ON c.object_id = t.object_id
        WHERE t.is_ms_shipped = 0 AND s.name = @P1 AND t.name LIKE @P2 ORDER BY t.name";
    assert_eq!(with(&mut client, discovery, &[], &["dbo", "%"]).await, ["dbo it]em 0 0 1", "dbo plain NULL NULL NULL"]);
    let one = "SELECT CHANGE_TRACKING_CURRENT_VERSION(), c.begin_version, CHANGE_TRACKING_MIN_VALID_VERSION(t.object_id),
        CAST(c.is_track_columns_updated_on AS int) FROM sys.tables AS t
        LEFT JOIN sys.change_tracking_tables AS c ON c.object_id = t.object_id WHERE t.object_id = OBJECT_ID(@P1)";
    assert_eq!(with(&mut client, one, &[], &["[dbo].[it]]em]"]).await, ["1 0 0 1"]);
    let columns =
        "SELECT c.column_id, c.name, u.name, b.name, CAST(c.max_length AS int), CAST(c.is_nullable AS int), CAST(c.is_computed AS int),
        CAST(k.key_ordinal AS int) FROM sys.columns AS c JOIN sys.types AS u ON u.user_type_id = c.user_type_id
        LEFT JOIN sys.types AS b ON b.user_type_id = c.system_type_id
        LEFT JOIN (SELECT ic.object_id, ic.column_id, ic.key_ordinal FROM sys.indexes AS i JOIN sys.index_columns AS ic
          ON ic.object_id = i.object_id AND ic.index_id = i.index_id WHERE i.is_primary_key = 1) AS k
          ON k.object_id = c.object_id AND k.column_id = c.column_id
        WHERE c.object_id = OBJECT_ID(@P1) ORDER BY c.column_id";
    let expected = [
        "1 k1 int int 4 0 0 2",
        "2 k2 nvarchar nvarchar 40 0 0 1",
        "3 m money money 8 1 0 NULL",
        "4 h hierarchyid NULL 892 1 0 NULL",
        "5 v sql_variant sql_variant 8016 1 0 NULL",
        "6 d int int 4 0 1 NULL",
        "7 u varchar varchar 9 1 0 NULL",
    ];
    assert_eq!(with(&mut client, columns, &[], &["[dbo].[it]]em]"]).await, expected);
}

#[tokio::test]
async fn a_round_goes_on_behind_its_last_key() {
    let (_simulator, mut client) = shop().await;
    table(&mut client).await;
    let select = "SELECT TOP (@P2) c.SYS_CHANGE_VERSION, c.SYS_CHANGE_OPERATION, c.[k1], c.[k2], CAST(t.[m] AS decimal(19,4)), t.[h].ToString(),
        CAST(SQL_VARIANT_PROPERTY(t.[v], 'BaseType') AS nvarchar(128)),
        CASE WHEN SQL_VARIANT_PROPERTY(t.[v], 'BaseType') IN ('money', 'smallmoney') THEN CAST(CAST(t.[v] AS money) AS decimal(19,4)) ELSE t.[v] END,
        CAST(t.[u] AS nvarchar(max))";
    let from =
        "FROM CHANGETABLE(CHANGES [dbo].[it]]em], @P1) AS c LEFT OUTER JOIN [dbo].[it]]em] AS t ON t.[k2] = c.[k2] AND t.[k1] = c.[k1]";
    let order = "ORDER BY c.SYS_CHANGE_VERSION, c.[k2], c.[k1]";
    let all = with(&mut client, &format!("{select} {from} {order}"), &[0, 100], &[]).await;
    assert_eq!(all, ["1 I 2 a NULL NULL nvarchar x NULL", "1 I 1 b 1.5000 /1/ money 2.5000 ü"]);
    let behind = "(c.[k2] > @P5) OR (c.[k2] = @P5 AND c.[k1] > @P4)";
    let rest = format!(
        "{select}, CASE WHEN {behind} THEN 0 ELSE 1 END {from} WHERE c.SYS_CHANGE_VERSION > @P3 OR (c.SYS_CHANGE_VERSION = @P3 AND ({behind})) {order}"
    );
    let rest = with(&mut client, &rest, &[0, 100, 1, 2], &["A"]).await;
    assert_eq!(rest, ["1 I 1 b 1.5000 /1/ money 2.5000 ü 0"]);
}

#[tokio::test]
async fn keys_of_all_types_come_back_as_parameters() {
    let (_simulator, mut client) = shop().await;
    let cases = [
        ("decimal(19,4)", "1.5", "CAST(@P1 AS decimal(19,4))", "1.25"),
        (
            "uniqueidentifier",
            "'FFFFFFFF-0000-0000-0000-000000000001'",
            "CAST(@P1 AS uniqueidentifier)",
            "00000000-0000-0000-0000-000000000000",
        ),
        ("date", "'2020-01-02'", "CAST(@P1 AS date)", "2020-01-01"),
        ("time(3)", "'10:00:00.123'", "CAST(@P1 AS time(3))", "10:00:00.122"),
        ("datetime2(7)", "'2020-01-02 10:00:00.0000002'", "CAST(@P1 AS datetime2(7))", "2020-01-02 10:00:00.0000001"),
        ("datetimeoffset(7)", "'2020-01-02 10:00:00 +02:00'", "CAST(@P1 AS datetimeoffset(7))", "2020-01-02 08:59:59 +01:00"),
        ("datetime", "'2020-01-02 10:00:00.003'", "CONVERT(datetime, @P1, 121)", "2020-01-02 10:00:00.000"),
        ("smalldatetime", "'2020-01-02 10:01'", "CONVERT(smalldatetime, @P1, 121)", "2020-01-02 10:00:00"),
        ("money", "1.5", "CAST(CAST(@P1 AS decimal(19,4)) AS money)", "1.4999"),
        ("varchar(9)", "'b'", "CAST(@P1 COLLATE Latin1_General_CI_AS AS varchar(9))", "A"),
        ("hierarchyid", "'/2/'", "CAST(@P1 AS hierarchyid)", "/1/5/"),
    ];
    for (at, (of, value, expression, below)) in cases.into_iter().enumerate() {
        client.run(&format!("CREATE TABLE k{at} (k {of} PRIMARY KEY); INSERT k{at} VALUES ({value})")).await;
        let above = format!("SELECT TOP (5) 1 FROM k{at} AS t WHERE t.k > {expression} ORDER BY t.k");
        assert_eq!(with(&mut client, &above, &[], &[below]).await, ["1"], "{of}");
        let under = format!("SELECT TOP (5) 1 FROM k{at} AS t WHERE t.k < {expression} ORDER BY t.k");
        assert!(with(&mut client, &under, &[], &[below]).await.is_empty(), "{of}");
    }
}
