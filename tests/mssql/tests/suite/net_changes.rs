//! Net changes of CHANGETABLE(CHANGES …): facts G1 to G31.

use crate::client::{Client, setup, shop};

/// After the setup and these statements, each a transaction of its own, the changes after a version.
async fn holds(statements: &[&str], last: &str, expected: &[&str]) {
    let (_simulator, mut client) = setup().await;
    for statement in statements {
        client.run(statement).await;
    }
    assert_eq!(client.changes(last).await, expected, "{statements:?} after {last}");
}

#[tokio::test]
async fn g1_rows_of_one_statement_share_a_version() {
    holds(&[], "0", &["1 I 1/1", "2 I 1/1", "3 I 1/1"]).await;
}

#[tokio::test]
async fn g2_an_insert_that_is_updated_stays_an_insert() {
    holds(&["UPDATE t SET a = 9 WHERE id = 1"], "0", &["1 I 2/1", "2 I 1/1", "3 I 1/1"]).await;
}

#[tokio::test]
async fn g3_an_update_alone_has_no_creation_version() {
    holds(&["UPDATE t SET a = 9 WHERE id = 1"], "1", &["1 U 2/-"]).await;
}

#[tokio::test]
async fn g4_a_row_that_came_and_went_is_a_delete_with_its_creation_version() {
    holds(&["DELETE t WHERE id = 2"], "0", &["1 I 1/1", "2 D 2/1", "3 I 1/1"]).await;
}

#[tokio::test]
async fn g5_a_delete_alone_has_no_creation_version() {
    holds(&["DELETE t WHERE id = 2"], "1", &["2 D 2/-"]).await;
}

#[tokio::test]
async fn g6_a_row_unknown_to_the_reader_is_deleted() {
    holds(&["INSERT t VALUES (4, 0, 0, 0)", "DELETE t WHERE id = 4"], "1", &["4 D 3/2"]).await;
}

#[tokio::test]
async fn g7_a_key_that_comes_again_is_an_update() {
    holds(&["DELETE t WHERE id = 1", "INSERT t VALUES (1, 0, 0, 0)"], "1", &["1 U 3/3"]).await;
}

#[tokio::test]
async fn g8_the_creation_version_is_that_of_the_last_insert() {
    let again = ["DELETE t WHERE id = 1", "INSERT t VALUES (1, 0, 0, 0)", "DELETE t WHERE id = 1", "INSERT t VALUES (1, 0, 0, 0)"];
    holds(&again, "3", &["1 U 5/5"]).await;
}

#[tokio::test]
async fn g9_a_moved_key_is_a_delete_and_an_insert() {
    holds(&["UPDATE t SET id = id + 10 WHERE id < 3"], "1", &["1 D 2/-", "2 D 2/-", "11 I 2/2", "12 I 2/2"]).await;
}

#[tokio::test]
async fn g10_all_deletes_of_a_statement_come_before_its_inserts() {
    holds(&["UPDATE t SET id = id + 1"], "1", &["1 D 2/-", "2 U 2/2", "3 U 2/2", "4 I 2/2"]).await;
}

#[tokio::test]
async fn g11_a_key_that_is_set_to_itself_is_deleted_and_inserted() {
    holds(&["UPDATE t SET id = id WHERE id = 1"], "1", &["1 U 2/2"]).await;
}

#[tokio::test]
async fn g12_an_update_of_no_row_is_none() {
    holds(&["UPDATE t SET a = 1 WHERE id = 77"], "1", &[]).await;
}

#[tokio::test]
async fn g13_all_rows_come_after_null() {
    holds(&[], "NULL", &["1 I 1/1", "2 I 1/1", "3 I 1/1"]).await;
}

#[tokio::test]
async fn g14_nothing_comes_after_a_version_of_the_future() {
    holds(&["UPDATE t SET a = 1"], "99", &[]).await;
}

#[tokio::test]
async fn g15_a_negative_last_version_is_unsettled_and_refused() {
    let (_simulator, mut client) = setup().await;
    assert_eq!(client.fails("SELECT * FROM CHANGETABLE(CHANGES t, -1) AS c").await, 50001);
    assert_eq!(client.fails("DECLARE @v bigint = -1; SELECT * FROM CHANGETABLE(CHANGES t, @v) AS c").await, 50001);
}

#[tokio::test]
async fn g16_one_transaction_is_one_version_whatever_it_does_to_a_row() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int)").await;
    client.run("ALTER TABLE t ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON)").await;
    client.run("INSERT t VALUES (9, 9, 9, 9)").await;
    let transaction = "BEGIN TRAN; INSERT t VALUES (1, 1, 1, 1); DELETE t WHERE id = 1;
        INSERT t VALUES (2, 2, 2, 2); DELETE t WHERE id = 2; INSERT t VALUES (2, 3, 3, 3);
        DELETE t WHERE id = 9; INSERT t VALUES (9, 10, 10, 10); UPDATE t SET a = 4 WHERE id = 9; COMMIT";
    client.run(transaction).await;
    assert_eq!(client.changes("0").await, ["1 D 2/2", "2 I 2/2", "9 I 2/2"]);
    assert_eq!(client.changes("1").await, ["1 D 2/2", "2 I 2/2", "9 U 2/2"]);
    assert_eq!(client.value("SELECT CHANGE_TRACKING_CURRENT_VERSION()").await, "2");
}

#[tokio::test]
async fn g17_the_first_and_the_last_operation_in_range_decide() {
    let statements = ["DELETE t WHERE id = 1", "INSERT t VALUES (1, 0, 0, 0)", "UPDATE t SET a = 1 WHERE id = 1"];
    holds(&statements, "0", &["1 I 4/3", "2 I 1/1", "3 I 1/1"]).await;
    holds(&statements, "2", &["1 I 4/3"]).await;
    holds(&statements, "3", &["1 U 4/-"]).await;
}

#[tokio::test]
async fn g18_a_key_has_one_row_whatever_the_number_of_its_changes() {
    let (_simulator, mut client) = setup().await;
    for value in 0..20 {
        client.run(&format!("UPDATE t SET a = {value} WHERE id = 2")).await;
    }
    assert_eq!(client.changes("1").await, ["2 U 21/-"]);
}

#[tokio::test]
async fn g19_rows_come_in_key_order_unless_they_are_shuffled() {
    let (simulator, mut client) = shop().await;
    client.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    client.run("ALTER TABLE t ENABLE CHANGE_TRACKING").await;
    let values: Vec<String> = (1..=50).rev().map(|n| format!("({n})")).collect();
    client.run(&format!("INSERT t VALUES {}", values.join(", "))).await;
    let sql = "SELECT id FROM CHANGETABLE(CHANGES t, 0) AS c";
    let ordered: Vec<String> = (1..=50).map(|n| n.to_string()).collect();
    assert_eq!(client.texts(sql).await, ordered);
    simulator.shuffle(true);
    let shuffled = client.texts(sql).await;
    assert_ne!(shuffled, ordered);
    assert_eq!(client.texts(&format!("{sql} ORDER BY id")).await, ordered);
}

#[tokio::test]
async fn g20_key_columns_come_last_and_in_key_order() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE k (id int NOT NULL, s varchar(5) NOT NULL, a int, CONSTRAINT pk PRIMARY KEY (s, id))").await;
    client.run("ALTER TABLE k ENABLE CHANGE_TRACKING; INSERT k VALUES (1, 'x', 0)").await;
    let mut found = client.driver.simple_query("SELECT * FROM CHANGETABLE(CHANGES k, 0) AS c").await.expect("rows");
    let columns = found.columns().await.expect("metadata").expect("columns").to_vec();
    let names: Vec<&str> = columns.iter().map(tiberius::Column::name).collect();
    let of_changes =
        ["SYS_CHANGE_VERSION", "SYS_CHANGE_CREATION_VERSION", "SYS_CHANGE_OPERATION", "SYS_CHANGE_COLUMNS", "SYS_CHANGE_CONTEXT"];
    assert_eq!(names[..5], of_changes);
    assert_eq!(names[5..], ["s", "id"]);
}

#[tokio::test]
async fn g21_a_key_keeps_its_first_spelling() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE k (s varchar(5) PRIMARY KEY, a int); ALTER TABLE k ENABLE CHANGE_TRACKING").await;
    client.run("INSERT k VALUES ('b', 1)").await;
    client.run("UPDATE k SET s = 'B'").await;
    assert_eq!(client.texts("SELECT s FROM CHANGETABLE(CHANGES k, 0) AS c").await, ["b"]);
    assert_eq!(client.texts("SELECT k.s FROM CHANGETABLE(CHANGES k, 0) AS c JOIN k ON k.s = c.s").await, ["B"]);
}

#[tokio::test]
async fn g22_the_server_joins_by_its_collation() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE k (s nvarchar(9) COLLATE Latin1_General_CI_AI PRIMARY KEY); ALTER TABLE k ENABLE CHANGE_TRACKING").await;
    client.run("INSERT k VALUES (N'Été')").await;
    assert_eq!(client.fails("INSERT k VALUES (N'ete ')").await, 2627);
    assert_eq!(client.texts("SELECT s FROM k WHERE s = N'ETE'").await, ["Été"]);
}

#[tokio::test]
async fn g23_g24_g25_what_is_not_modelled_is_refused() {
    let (_simulator, mut client) = setup().await;
    assert_eq!(client.fails("MERGE t USING (SELECT 1 AS id) AS s ON s.id = t.id WHEN MATCHED THEN DELETE;").await, 50001);
    assert_eq!(client.fails("CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES t (id) ON DELETE CASCADE)").await, 50000);
    assert_eq!(client.fails("CREATE TRIGGER tr ON t AFTER INSERT AS SELECT 1").await, 50000);
    assert_eq!(client.fails("UPDATE t SET a.WRITE('x', 0, 1)").await, 50000);
    assert_eq!(client.fails("FROBNICATE t").await, 50000);
}

#[tokio::test]
async fn g27_an_update_to_the_same_value_is_tracked() {
    holds(&["UPDATE t SET a = a WHERE id = 1"], "1", &["1 U 2/-"]).await;
}

#[tokio::test]
async fn g28_a_delete_can_be_said_of_a_row_that_is_there() {
    let (simulator, mut client) = setup().await;
    client.run("UPDATE t SET a = 5 WHERE id = 1").await;
    simulator.report_deletes("shop", "t");
    assert_eq!(client.changes("1").await, ["1 D 2/-"]);
    assert_eq!(client.texts("SELECT a FROM t WHERE id = 1").await, ["5"]);
}

#[tokio::test]
async fn g29_a_table_that_is_made_again_is_another_object_without_deletes() {
    let (_simulator, mut client) = setup().await;
    let before = client.value("SELECT OBJECT_ID('t')").await;
    client.run("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, a int)").await;
    client.run("ALTER TABLE t ENABLE CHANGE_TRACKING; INSERT t VALUES (7, 7)").await;
    assert_ne!(client.value("SELECT OBJECT_ID('t')").await, before);
    assert_eq!(client.changes("0").await, ["7 I 2/2"]);
}

#[tokio::test]
async fn g30_rows_from_before_are_not_reported() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE t (id int PRIMARY KEY); INSERT t VALUES (1)").await;
    client.run("ALTER TABLE t ENABLE CHANGE_TRACKING; INSERT t VALUES (2)").await;
    assert_eq!(client.changes("NULL").await, ["2 I 1/1"]);
}

#[tokio::test]
async fn g31_a_computed_column_may_be_in_the_key_and_a_rowversion_may_not() {
    let (_simulator, mut client) = shop().await;
    client.run("CREATE TABLE k (a int NOT NULL, b AS a * 2 PERSISTED NOT NULL, c int, PRIMARY KEY (b))").await;
    client.run("ALTER TABLE k ENABLE CHANGE_TRACKING; INSERT k (a, c) VALUES (4, 1)").await;
    assert_eq!(client.texts("SELECT b FROM CHANGETABLE(CHANGES k, 0) AS c").await, ["8"]);
    client.run("CREATE TABLE v (r rowversion PRIMARY KEY, a int)").await;
    assert_eq!(client.fails("ALTER TABLE v ENABLE CHANGE_TRACKING").await, 4999);
}

#[tokio::test]
async fn the_current_row_is_joined_to_its_change() {
    let (simulator, mut client) = setup().await;
    let mut other = Client::connect(&simulator, "shop").await;
    client.run("UPDATE t SET a = 5 WHERE id = 1; DELETE t WHERE id = 2").await;
    other.run("UPDATE t SET b = 6 WHERE id = 1").await;
    let sql = "SELECT c.SYS_CHANGE_OPERATION, c.id, p.a, p.b FROM t AS p RIGHT OUTER JOIN CHANGETABLE(CHANGES t, @P1) AS c ON p.id = c.id ORDER BY 2";
    let rows = client.with(sql, &[1]).await.expect("rows");
    let texts: Vec<String> = rows[0].iter().map(crate::client::row_text).collect();
    assert_eq!(texts, ["U 1 5 6", "D 2 NULL NULL"]);
}
