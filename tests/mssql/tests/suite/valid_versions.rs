//! Lowest valid versions, TRUNCATE, switching off, cleanup: facts G62 to G78.

use crate::client::{Client, setup, shop};

const STATE: &str =
    "SELECT min_valid_version, begin_version, cleanup_version FROM sys.change_tracking_tables WHERE object_id = OBJECT_ID('t')";
const MIN: &str = "SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('t'))";

#[tokio::test]
async fn g62_a_last_version_below_the_lowest_valid_one_is_no_error() {
    let (simulator, mut client) = setup().await;
    client.run("UPDATE t SET a = 1 WHERE id = 1").await;
    simulator.clean("shop", 1);
    assert_eq!(client.changes("0").await, ["1 U 2/-"]);
}

#[tokio::test]
async fn g63_enabling_begins_at_the_current_version() {
    let (_simulator, mut client) = setup().await;
    assert_eq!(client.value(STATE).await, "0 0 NULL");
    client.run("CREATE TABLE u (id int PRIMARY KEY); ALTER TABLE u ENABLE CHANGE_TRACKING").await;
    assert_eq!(client.value("SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('u'))").await, "1");
}

#[tokio::test]
async fn g64_g147_a_truncate_passes_by_a_reader_that_is_up_to_date() {
    let (_simulator, mut client) = setup().await;
    client.run("TRUNCATE TABLE t").await;
    assert_eq!(client.value(STATE).await, "1 1 NULL");
    assert_eq!(client.value("SELECT CHANGE_TRACKING_CURRENT_VERSION()").await, "1");
    assert!(client.changes("NULL").await.is_empty());
    let (_simulator, mut client) = setup().await;
    client.run("BEGIN TRAN; TRUNCATE TABLE t; ROLLBACK").await;
    assert_eq!(client.value(STATE).await, "0 0 NULL");
    assert_eq!(client.changes("0").await.len(), 3);
}

#[tokio::test]
async fn g65_writes_between_disabling_and_enabling_are_invisible() {
    let (_simulator, mut client) = setup().await;
    client.run("UPDATE t SET a = 5 WHERE id = 1; ALTER TABLE t DISABLE CHANGE_TRACKING; UPDATE t SET a = 6").await;
    client.run("ALTER TABLE t ENABLE CHANGE_TRACKING").await;
    assert_eq!(client.value(STATE).await, "2 2 NULL");
    assert!(client.changes("2").await.is_empty());
}

#[tokio::test]
async fn g66_cleanup_leaves_the_begin_version() {
    let (simulator, mut client) = setup().await;
    client.run("UPDATE t SET a = 5; UPDATE t SET a = 6").await;
    simulator.clean("shop", 2);
    assert_eq!(client.value(STATE).await, "2 0 2");
}

#[tokio::test]
async fn g67_disabling_rolls_back_and_alter_database_is_refused_in_a_transaction() {
    let (_simulator, mut client) = setup().await;
    client.run("BEGIN TRAN; ALTER TABLE t DISABLE CHANGE_TRACKING; ROLLBACK").await;
    assert_eq!(client.changes("0").await.len(), 3);
    client.run("BEGIN TRAN").await;
    assert_eq!(client.fails("ALTER DATABASE shop SET CHANGE_TRACKING (AUTO_CLEANUP = OFF)").await, 226);
}

#[tokio::test]
async fn g68_a_disabled_table_is_not_in_the_catalog() {
    let (_simulator, mut client) = setup().await;
    client.run("ALTER TABLE t DISABLE CHANGE_TRACKING").await;
    assert!(client.texts("SELECT * FROM sys.change_tracking_tables").await.is_empty());
}

#[tokio::test]
async fn g69_the_databases_view_has_one_row_for_each_tracked_database() {
    let (simulator, mut client) = shop().await;
    let sql = "SELECT is_auto_cleanup_on, retention_period, retention_period_units, retention_period_units_desc, max_cleanup_version
        FROM sys.change_tracking_databases";
    assert_eq!(client.texts(sql).await, ["1 2 3 DAYS NULL"]);
    simulator.run("master", "CREATE DATABASE other").expect("a database");
    client.run("ALTER DATABASE other SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 30 MINUTES, AUTO_CLEANUP = OFF)").await;
    assert_eq!(client.texts(&format!("{sql} ORDER BY database_id")).await, ["1 2 3 DAYS NULL", "0 30 1 MINUTES NULL"]);
    assert_eq!(client.texts(&format!("{sql} WHERE database_id = DB_ID()")).await.len(), 1);
}

#[tokio::test]
async fn g70_g71_cleanup_raises_idle_tables_to_the_highest_cleaned_version() {
    let (simulator, mut client) = setup().await;
    client.run("CREATE TABLE idle (id int PRIMARY KEY); ALTER TABLE idle ENABLE CHANGE_TRACKING; UPDATE t SET a = 1").await;
    simulator.clean("shop", 2);
    assert_eq!(client.value(MIN).await, "2");
    assert_eq!(client.value("SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('idle'))").await, "2");
}

#[tokio::test]
async fn g72_rows_can_outlive_the_watermark() {
    let (simulator, mut client) = setup().await;
    simulator.clean_in_part("shop", 1, 1);
    assert_eq!(client.value(MIN).await, "1");
    assert_eq!(client.changes("0").await, ["2 I 1/1", "3 I 1/1"]);
}

#[tokio::test]
async fn g74_g84_g85_permissions_hide_and_deny() {
    let (simulator, mut client) = setup().await;
    simulator.login("reader", "Read-1");
    let mut reader = Client::login(&simulator, "shop", "reader", "Read-1").await;
    assert_eq!(reader.value("SELECT OBJECT_ID('t')").await, "NULL");
    assert!(reader.texts("SELECT name FROM sys.tables").await.is_empty());
    client.run("GRANT SELECT ON t TO reader").await;
    assert_eq!(reader.value(MIN).await, "NULL");
    let (number, class, state, text) = reader.error("SELECT * FROM CHANGETABLE(CHANGES t, 0) AS c").await;
    assert_eq!((number, class, state), (229, 14, 5));
    assert_eq!(text, "The VIEW CHANGE TRACKING permission was denied on the object 't', database 'shop', schema 'dbo'.");
    client.run("GRANT VIEW CHANGE TRACKING ON t TO reader").await;
    assert_eq!(reader.changes("0").await.len(), 3);
    assert_eq!(reader.value(MIN).await, "0");
    let perms = "SELECT HAS_PERMS_BY_NAME('dbo.t', 'OBJECT', 'SELECT'), HAS_PERMS_BY_NAME('dbo.t', 'OBJECT', 'VIEW CHANGE TRACKING')";
    assert_eq!(reader.value(perms).await, "1 1");
    client.run("REVOKE SELECT ON t FROM reader").await;
    assert_eq!(reader.fails("SELECT * FROM CHANGETABLE(CHANGES t, 0) AS c").await, 229);
    assert_eq!(reader.fails("SELECT * FROM t").await, 229);
}

#[tokio::test]
async fn g74_the_argument_must_be_an_int() {
    let (_simulator, mut client) = setup().await;
    for argument in ["CAST(1 AS tinyint)", "CAST(1 AS bigint)", "NULL"] {
        assert_eq!(client.fails(&format!("SELECT CHANGE_TRACKING_MIN_VALID_VERSION({argument})")).await, 8116, "{argument}");
    }
    assert_eq!(client.value("SELECT CHANGE_TRACKING_MIN_VALID_VERSION(12345)").await, "NULL");
    assert_eq!(client.fails("SELECT CHANGE_TRACKING_CURRENT_VERSION(1)").await, 174);
}
