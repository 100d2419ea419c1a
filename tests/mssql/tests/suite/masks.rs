//! Column masks and contexts: facts G50 to G61.

use crate::client::{setup, shop};

async fn mask(statements: &[&str], last: &str) -> Vec<String> {
    let (_simulator, mut client) = setup().await;
    for statement in statements {
        client.run(statement).await;
    }
    client.texts(&format!("SELECT id, SYS_CHANGE_COLUMNS FROM CHANGETABLE(CHANGES t, {last}) AS c ORDER BY id")).await
}

#[tokio::test]
async fn g50_a_mask_is_four_zero_bytes_and_the_ids() {
    assert_eq!(mask(&["UPDATE t SET b = 5 WHERE id = 1"], "1").await, ["1 0x0000000003000000"]);
}

#[tokio::test]
async fn g51_ids_stand_in_the_order_of_the_set_list() {
    assert_eq!(mask(&["UPDATE t SET c = 5, a = 3 WHERE id = 1"], "1").await, ["1 0x000000000400000002000000"]);
}

#[tokio::test]
async fn g52_later_updates_append_what_is_not_there() {
    let statements = ["UPDATE t SET b = 5 WHERE id = 1", "UPDATE t SET c = 5, b = 2 WHERE id = 1"];
    assert_eq!(mask(&statements, "1").await, ["1 0x000000000300000004000000"]);
    let statements = ["UPDATE t SET b = 5 WHERE id = 1", "UPDATE t SET c = 5, a = 3 WHERE id = 1"];
    assert_eq!(mask(&statements, "1").await, ["1 0x00000000030000000400000002000000"]);
}

#[tokio::test]
async fn g53_a_stamped_rowversion_is_appended() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE r (id int PRIMARY KEY, a int, b int, rv rowversion, cc AS a + 1)").await;
    client.run("ALTER TABLE r ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON)").await;
    client.run("INSERT r (id, a, b) VALUES (1, 1, 1)").await;
    client.run("UPDATE r SET a = 5").await;
    let mask = client.value("SELECT SYS_CHANGE_COLUMNS FROM CHANGETABLE(CHANGES r, 1) AS c").await;
    assert_eq!(mask, "0x000000000200000004000000");
}

#[tokio::test]
async fn g54_inserts_deletes_and_named_keys_have_no_mask() {
    assert_eq!(mask(&["UPDATE t SET id = id WHERE id = 1"], "1").await, ["1 NULL"]);
    assert_eq!(mask(&["DELETE t WHERE id = 1", "INSERT t VALUES (1, 1, 1, 1)"], "1").await, ["1 NULL"]);
    assert_eq!(mask(&["INSERT t VALUES (4, 1, 1, 1)", "UPDATE t SET a = 1 WHERE id = 4"], "1").await, ["4 NULL"]);
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE n (id int PRIMARY KEY, a int, b int); ALTER TABLE n ENABLE CHANGE_TRACKING; INSERT n VALUES (1, 1, 1)").await;
    client.run("UPDATE n SET a = 5").await;
    assert_eq!(client.value("SELECT SYS_CHANGE_COLUMNS FROM CHANGETABLE(CHANGES n, 1) AS c").await, "NULL");
}

#[tokio::test]
async fn g55_one_update_of_all_columns_has_no_mask_and_three_have() {
    assert_eq!(mask(&["UPDATE t SET a = 1, b = 1, c = 1 WHERE id = 1"], "1").await, ["1 NULL"]);
    let earlier = ["UPDATE t SET b = 5 WHERE id = 1", "UPDATE t SET c = 5, a = 3, b = 1 WHERE id = 1"];
    assert_eq!(mask(&earlier, "1").await, ["1 NULL"]);
    let three = ["UPDATE t SET a = 1 WHERE id = 1", "UPDATE t SET b = 1 WHERE id = 1", "UPDATE t SET c = 1 WHERE id = 1"];
    assert_eq!(mask(&three, "1").await, ["1 0x00000000020000000300000004000000"]);
}

#[tokio::test]
async fn updates_in_one_transaction_that_only_together_name_all_columns_are_unsettled_and_refused() {
    let (_simulator, mut client) = setup().await;
    client.run("BEGIN TRAN; UPDATE t SET a = 1, b = 1 WHERE id = 1").await;
    assert_eq!(client.fails("UPDATE t SET c = 1 WHERE id = 1").await, 50001);
}

#[tokio::test]
async fn g56_computed_columns_are_not_listed_and_ids_not_given_again() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE r (id int PRIMARY KEY, a int, cc AS a + 1, b int, z int)").await;
    client.run("ALTER TABLE r ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON); INSERT r (id, a) VALUES (1, 1)").await;
    client.run("UPDATE r SET b = 1").await;
    let sql = "SELECT SYS_CHANGE_COLUMNS FROM CHANGETABLE(CHANGES r, 1) AS c";
    assert_eq!(client.value(sql).await, "0x0000000004000000");
    client.run("ALTER TABLE r DROP COLUMN b; ALTER TABLE r ADD d int").await;
    assert_eq!(client.value("SELECT COLUMNPROPERTY(OBJECT_ID('r'), 'd', 'ColumnId')").await, "6");
}

#[tokio::test]
async fn g57_is_column_in_mask_reads_ids_from_the_fifth_byte() {
    let (_simulator, mut client) = setup().await;
    let asked = [
        ("2, NULL", "1"),
        ("1, 0x0000000002000000", "0"),
        ("2, 0x0000000002000000", "1"),
        ("-1, 0x00000000ffffffff", "1"),
        ("1, 0x0000000001000000ff", "1"),
        ("1, 0x01000000ffffffff", "0"),
        ("1, CAST(0x0000000001000000 AS binary(12))", "1"),
    ];
    for (arguments, expected) in asked {
        let sql = format!("SELECT CHANGE_TRACKING_IS_COLUMN_IN_MASK({arguments})");
        assert_eq!(client.value(&sql).await, expected, "{arguments}");
    }
    let refused = [
        ("1, 0x", 22101),
        ("1, 0x00000000", 22101),
        ("1, 1", 22101),
        ("NULL, 0x01", 8116),
        ("CAST(1 AS bigint), 0x0000000001000000", 8116),
        ("'a', 0x01", 8116),
        ("1, 'abc'", 257),
        ("1", 174),
    ];
    for (arguments, number) in refused {
        let sql = format!("SELECT CHANGE_TRACKING_IS_COLUMN_IN_MASK({arguments})");
        assert_eq!(client.fails(&sql).await, number, "{arguments}");
    }
}

#[tokio::test]
async fn g58_the_catalog_says_whether_columns_are_tracked() {
    let (_simulator, mut client) = setup().await;
    client.run("CREATE TABLE n (id int PRIMARY KEY); ALTER TABLE n ENABLE CHANGE_TRACKING").await;
    let sql = "SELECT t.name, c.is_track_columns_updated_on FROM sys.change_tracking_tables AS c JOIN sys.tables AS t ON t.object_id = c.object_id ORDER BY t.name";
    assert_eq!(client.texts(sql).await, ["n 0", "t 1"]);
}

#[tokio::test]
async fn g59_masks_of_merge_are_unsettled_and_refused() {
    let (_simulator, mut client) = setup().await;
    let merge =
        "WITH CHANGE_TRACKING_CONTEXT (0x01) MERGE t USING (SELECT 1 AS id) AS s ON s.id = t.id WHEN MATCHED THEN UPDATE SET a = 1;";
    assert_eq!(client.fails(merge).await, 50001);
}

#[tokio::test]
async fn g60_the_last_statement_that_touched_a_row_gives_its_context() {
    let (_simulator, mut client) = setup().await;
    client.run("DECLARE @empty varbinary(128) = 0x; WITH CHANGE_TRACKING_CONTEXT (@empty) INSERT t VALUES (4, 4, 4, 4)").await;
    let transaction = "BEGIN TRAN; WITH CHANGE_TRACKING_CONTEXT (0x07) UPDATE t SET a = 2 WHERE id < 3;
        WITH CHANGE_TRACKING_CONTEXT (0x08) UPDATE t SET a = 3 WHERE id = 1; UPDATE t SET a = 3 WHERE id = 2; COMMIT";
    client.run(transaction).await;
    client.run("DECLARE @c binary(1) = 0x0a; WITH CHANGE_TRACKING_CONTEXT (@c) UPDATE t SET a = 1 WHERE id = 3").await;
    let sql = "SELECT id, SYS_CHANGE_CONTEXT FROM CHANGETABLE(CHANGES t, 0) AS c ORDER BY id";
    assert_eq!(client.texts(sql).await, ["1 0x08", "2 NULL", "3 0x0A", "4 0x"]);
}

#[tokio::test]
async fn g61_a_context_is_a_short_binary_literal_or_variable() {
    let (_simulator, mut client) = setup().await;
    let insert = "INSERT t VALUES (8, 1, 1, 1)";
    let refused = [
        ("DECLARE @c varbinary(200) = 0x01;", "@c", 22109),
        ("DECLARE @c varbinary(max) = 0x01;", "@c", 22109),
        ("DECLARE @c varchar(10) = 'a';", "@c", 22109),
        ("", "'abc'", 102),
        ("", "NULL", 156),
        ("", "CAST(0x01 AS varbinary(1))", 102),
    ];
    for (declare, context, number) in refused {
        let sql = format!("{declare} WITH CHANGE_TRACKING_CONTEXT ({context}) {insert}");
        assert_eq!(client.fails(&sql).await, number, "{sql}");
    }
    assert_eq!(client.texts("WITH CHANGE_TRACKING_CONTEXT (0x01) SELECT 1").await, ["1"]);
}
