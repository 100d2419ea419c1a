//! Syntax and errors: facts G79 to G99.

use crate::client::{setup, shop};

#[tokio::test]
async fn g79_the_last_version_is_null_a_number_or_a_variable() {
    let (_simulator, mut client) = setup().await;
    for (declare, last, number) in [
        ("", "1.5", 102),
        ("", "(1)", 102),
        ("", "CAST(1 AS int)", 102),
        ("DECLARE @x int = 0;", "@x + 1", 102),
        ("DECLARE @s varchar(5) = 'x';", "@s", 8114),
        ("DECLARE @d datetime = GETDATE();", "@d", 257),
    ] {
        let sql = format!("{declare} SELECT * FROM CHANGETABLE(CHANGES t, {last}) AS c");
        assert_eq!(client.fails(&sql).await, number, "{sql}");
    }
    assert_eq!(client.fails("SELECT * FROM CHANGETABLE(CHANGES t) AS c").await, 102);
    assert_eq!(client.fails("SELECT * FROM CHANGETABLE(foo t, 0) AS c").await, 102);
    let text = "DECLARE @s varchar(5) = '1'; SELECT id FROM CHANGETABLE(CHANGES t, @s) AS c";
    assert!(client.texts(text).await.is_empty());
    assert_eq!(client.with("SELECT id FROM CHANGETABLE(CHANGES t, @P1) AS c", &[0]).await.expect("rows")[0].len(), 3);
}

#[tokio::test]
async fn g80_an_alias_is_needed_and_may_rename_columns() {
    let (_simulator, mut client) = setup().await;
    let (number, .., text) = client.error("SELECT * FROM CHANGETABLE(CHANGES t, 0)").await;
    assert_eq!((number, text.as_str()), (22104, "A table returned by the CHANGETABLE function must be aliased."));
    let sql = "SELECT c.ver, c.k FROM CHANGETABLE(CHANGES t, 0) AS c (ver, cre, op, cols, ctx, k) WHERE c.k = 1";
    assert_eq!(client.texts(sql).await, ["1 1"]);
    assert_eq!(client.fails("SELECT * FROM CHANGETABLE(CHANGES t, 0) AS c (a)").await, 8158);
}

#[tokio::test]
async fn g81_g146_an_untracked_table_fails_the_whole_batch_before_it_runs() {
    let (_simulator, mut client) = setup().await;
    client.run("CREATE TABLE u (id int PRIMARY KEY)").await;
    let sql = "INSERT u VALUES (1); IF 1 = 0 SELECT * FROM CHANGETABLE(CHANGES dbo.u, 0) AS c";
    let (number, class, state, text) = client.error(sql).await;
    assert_eq!((number, class, state, text.as_str()), (22105, 16, 1, "Change tracking is not enabled on table 'dbo.u'."));
    assert_eq!(client.value("SELECT COUNT(*) FROM u").await, "0");
    let created = "CREATE TABLE w (id int PRIMARY KEY); ALTER TABLE w ENABLE CHANGE_TRACKING; INSERT w VALUES (1);
        SELECT id FROM CHANGETABLE(CHANGES w, 0) AS c";
    assert_eq!(client.texts(created).await, ["1"]);
}

#[tokio::test]
async fn g82_object_then_tracking_then_alias_are_checked() {
    let (_simulator, mut client) = setup().await;
    client.run("CREATE TABLE u (id int PRIMARY KEY)").await;
    for (source, number) in [("nosuch", 208), ("sys.objects", 22107), ("#temp", 22107), ("u", 22105)] {
        assert_eq!(client.fails(&format!("SELECT * FROM CHANGETABLE(CHANGES {source}, 0)")).await, number, "{source}");
    }
    assert_eq!(client.fails("SELECT * FROM CHANGETABLE(CHANGES srv.shop.dbo.t, 0) AS c").await, 22106);
}

#[tokio::test]
async fn g83_g95_version_looks_one_row_up() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE k (id int NOT NULL, s varchar(5) NOT NULL, a int, PRIMARY KEY (s, id)); INSERT k VALUES (1, 'x', 1)").await;
    client.run("ALTER TABLE k ENABLE CHANGE_TRACKING; INSERT k VALUES (2, 'y', 2), (3, 'z', 3)").await;
    client.run("UPDATE k SET a = 5 WHERE id = 2; DELETE k WHERE id = 3").await;
    let sql = "SELECT v.id, v.s, v.SYS_CHANGE_VERSION FROM k CROSS APPLY CHANGETABLE(VERSION k, (id, s), (k.id, k.s)) AS v ORDER BY v.id";
    assert_eq!(client.texts(sql).await, ["1 x NULL", "2 y 2"]);
    for (arguments, number) in [
        ("k, (id, a), (1, 1)", 22111),
        ("k, (id), (1)", 22110),
        ("k, (id, s, id), (1, 'x', 1)", 22110),
        ("k, (id, s), (1)", 22103),
        ("k, (id, s), ('2', 5)", 245),
    ] {
        let sql = format!("SELECT * FROM CHANGETABLE(VERSION {arguments}) AS v");
        assert_eq!(client.fails(&sql).await, number, "{arguments}");
    }
}

#[tokio::test]
async fn g86_enabling_and_disabling_are_checked() {
    let (simulator, mut client) = setup().await;
    simulator.run("master", "CREATE DATABASE plain").expect("a database");
    client.run("CREATE TABLE heap (a int)").await;
    for (statement, number) in [
        ("ALTER TABLE heap ENABLE CHANGE_TRACKING", 4997),
        ("ALTER TABLE heap DISABLE CHANGE_TRACKING", 4998),
        ("ALTER TABLE t ENABLE CHANGE_TRACKING", 4996),
        ("ALTER TABLE nosuch ENABLE CHANGE_TRACKING", 4902),
        ("USE plain; CREATE TABLE p (id int PRIMARY KEY); ALTER TABLE p ENABLE CHANGE_TRACKING", 1718),
    ] {
        assert_eq!(client.fails(statement).await, number, "{statement}");
    }
}

#[tokio::test]
async fn g87_the_database_switch_is_checked() {
    let (simulator, mut client) = setup().await;
    simulator.run("master", "CREATE DATABASE plain").expect("a database");
    for (statement, expected) in [
        ("ALTER DATABASE shop SET CHANGE_TRACKING = ON", (5088, 16, 1)),
        ("ALTER DATABASE plain SET CHANGE_TRACKING = OFF", (5089, 16, 1)),
        ("ALTER DATABASE plain SET CHANGE_TRACKING (AUTO_CLEANUP = ON)", (5089, 16, 2)),
        ("ALTER DATABASE master SET CHANGE_TRACKING = ON", (5090, 16, 1)),
        ("ALTER DATABASE plain SET CHANGE_TRACKING = ON (AUTO_CLEANUP = ON, AUTO_CLEANUP = OFF)", (5091, 15, 1)),
        ("ALTER DATABASE plain SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 0 DAYS)", (5092, 15, 1)),
        ("ALTER DATABASE plain SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 1 DAY)", (155, 15, 2)),
        ("ALTER DATABASE plain SET CHANGE_TRACKING = ON, READ_ONLY", (22114, 16, 1)),
        ("ALTER DATABASE shop SET CHANGE_TRACKING = OFF", (22115, 16, 1)),
    ] {
        let (number, class, state, _) = client.error(statement).await;
        assert_eq!((number, class, state), expected, "{statement}");
    }
}

#[tokio::test]
async fn g88_the_key_of_a_tracked_table_stays() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE k (id int NOT NULL, CONSTRAINT pk PRIMARY KEY (id)); ALTER TABLE k ENABLE CHANGE_TRACKING").await;
    assert_eq!(client.fails("ALTER TABLE k DROP CONSTRAINT pk").await, 3735);
    client.run("ALTER TABLE k ADD a int; EXEC sp_rename 'k', 'renamed'; DROP TABLE renamed").await;
}

#[tokio::test]
async fn g89_a_replica_refuses_or_answers_incoherently() {
    let (simulator, mut client) = setup().await;
    simulator.set_secondary("shop", true);
    assert_eq!(client.fails("SELECT CHANGE_TRACKING_CURRENT_VERSION()").await, 22117);
    simulator.set_secondary("shop", false);
    simulator.set_read_only("shop", true);
    simulator.set_min_valid_version("shop", "t", 900);
    let sql = "SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS nvarchar(20)), CHANGE_TRACKING_CURRENT_VERSION(),
        CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('t'))";
    assert_eq!(client.value(sql).await, "READ_ONLY 1 900");
    assert_eq!(client.fails("DELETE t").await, 3906);
}

#[tokio::test]
async fn g94_the_database_property_is_a_tinyint() {
    let (_simulator, mut client) = setup().await;
    let sql = "SELECT DATABASEPROPERTYEX('shop', 'IsChangeTrackingEnabled'), DATABASEPROPERTYEX('master', 'IsChangeTrackingEnabled'),
        OBJECTPROPERTY(OBJECT_ID('t'), 'TableHasChangeTracking')";
    assert_eq!(client.value(sql).await, "1 0 NULL");
    let base = "SELECT CAST(SQL_VARIANT_PROPERTY(DATABASEPROPERTYEX('shop', 'IsChangeTrackingEnabled'), 'BaseType') AS nvarchar(20))";
    assert_eq!(client.value(base).await, "tinyint");
}

#[tokio::test]
async fn g96_older_servers_do_not_know_forceseek() {
    let (simulator, mut client) = setup().await;
    let sql = "SELECT id FROM CHANGETABLE(CHANGES t, 0, FORCESEEK) AS c";
    assert_eq!(client.texts(sql).await.len(), 3);
    for (version, known) in
        [("12.0.6449.1", false), ("13.0.5026.0", false), ("13.0.5882.1", true), ("15.0.4073.23", false), ("16.0.1000.6", true)]
    {
        simulator.set_product_version(version);
        match known {
            true => assert_eq!(client.texts(sql).await.len(), 3, "{version}"),
            false => assert_eq!(client.fails(sql).await, 102, "{version}"),
        }
    }
}

#[tokio::test]
async fn g97_names_have_up_to_three_parts_here_and_brackets() {
    let (_simulator, mut client) = setup().await;
    client.run("CREATE SCHEMA [odd.one]; CREATE TABLE [odd.one].[a]]b] ([i d] int PRIMARY KEY)").await;
    client.run("ALTER TABLE [odd.one].[a]]b] ENABLE CHANGE_TRACKING; INSERT [odd.one].[a]]b] VALUES (4)").await;
    client.run("USE master").await;
    assert_eq!(client.texts("SELECT [i d] FROM CHANGETABLE(CHANGES shop.[odd.one].[a]]b], 0) AS c").await, ["4"]);
    client.run("USE shop").await;
    assert_ne!(client.value("SELECT OBJECT_ID('[odd.one].[a]]b]')").await, "NULL");
}

#[tokio::test]
async fn g99_one_request_tells_which_tables_changed() {
    let (_simulator, mut client) = setup().await;
    client.run("CREATE TABLE u (id int PRIMARY KEY); ALTER TABLE u ENABLE CHANGE_TRACKING").await;
    let sql = "SELECT 0 WHERE EXISTS (SELECT 1 FROM CHANGETABLE(CHANGES t, @P1) AS c)
        UNION ALL SELECT 1 WHERE EXISTS (SELECT 1 FROM CHANGETABLE(CHANGES u, @P2) AS c);
        SELECT 2 WHERE EXISTS (SELECT 1 FROM CHANGETABLE(CHANGES t, @P2) AS c)";
    let results = client.with(sql, &[0, 0]).await.expect("rows");
    let counts: Vec<usize> = results.iter().map(Vec::len).collect();
    assert_eq!(counts, [1, 1]);
}

#[tokio::test]
async fn g119_an_error_inside_a_batch_does_not_end_it() {
    let (_simulator, mut client) = setup().await;
    assert_eq!(client.fails("INSERT t VALUES (1, 0, 0, 0); INSERT t VALUES (9, 0, 0, 0)").await, 2627);
    assert_eq!(client.value("SELECT COUNT(*) FROM t WHERE id = 9").await, "1");
    assert_eq!(client.fails("SET XACT_ABORT ON; BEGIN TRAN; INSERT t VALUES (1, 0, 0, 0); INSERT t VALUES (8, 0, 0, 0)").await, 2627);
    assert_eq!(client.value("SELECT COUNT(*) FROM t WHERE id = 8").await, "0");
    assert_eq!(client.value("SELECT @@TRANCOUNT").await, "0");
}
