//! Versions and transactions: facts G32 to G49.

use std::time::Duration;

use crate::client::{Client, setup, shop};

const VERSION: &str = "SELECT CHANGE_TRACKING_CURRENT_VERSION()";
const CHANGES: &str = "SELECT id FROM CHANGETABLE(CHANGES t, 0) AS c";

#[tokio::test]
async fn g32_a_fresh_database_is_at_0_and_an_untracked_one_at_null() {
    let (simulator, mut client) = shop().await;
    assert_eq!(client.value(VERSION).await, "0");
    simulator.run("master", "CREATE DATABASE plain").expect("a database");
    client.run("USE plain").await;
    assert_eq!(client.value(VERSION).await, "NULL");
}

#[tokio::test]
async fn g33_each_commit_with_a_tracked_change_is_a_version() {
    let (_simulator, mut client) = setup().await;
    client.run("BEGIN TRAN; UPDATE t SET a = 1; UPDATE t SET b = 1; COMMIT").await;
    assert_eq!(client.value(VERSION).await, "2");
    client.run("UPDATE t SET a = 2; UPDATE t SET a = 3").await;
    assert_eq!(client.value(VERSION).await, "4");
}

#[tokio::test]
async fn g34_what_changes_nothing_tracked_draws_no_version() {
    let (_simulator, mut client) = setup().await;
    client.run("CREATE TABLE u (id int PRIMARY KEY); INSERT u VALUES (1)").await;
    client.run("BEGIN TRAN; UPDATE t SET a = 1; ROLLBACK").await;
    client.run("BEGIN TRAN; SAVE TRAN s; UPDATE t SET a = 1; ROLLBACK TRAN s; COMMIT").await;
    client.run("UPDATE t SET a = 1 WHERE 1 = 0").await;
    client.run("ALTER TABLE t ADD CONSTRAINT ck CHECK (a < 12)").await;
    assert_eq!(client.fails("UPDATE t SET a = 12").await, 547);
    client.run("TRUNCATE TABLE t").await;
    assert_eq!(client.value(VERSION).await, "1");
}

#[tokio::test]
async fn g35_all_tables_share_the_counter() {
    let (_simulator, mut client) = setup().await;
    client.run("CREATE TABLE u (id int PRIMARY KEY); ALTER TABLE u ENABLE CHANGE_TRACKING").await;
    client.run("INSERT u VALUES (1)").await;
    client.run("UPDATE t SET a = 1 WHERE id = 1").await;
    assert_eq!(client.changes("1").await, ["1 U 3/-"]);
}

#[tokio::test]
async fn g36_the_version_is_of_the_commit() {
    let (simulator, mut client) = setup().await;
    let mut other = Client::connect(&simulator, "shop").await;
    client.run("BEGIN TRAN; UPDATE t SET a = 7 WHERE id = 1").await;
    other.run("UPDATE t SET a = 8 WHERE id = 2").await;
    client.run("COMMIT").await;
    assert_eq!(client.changes("1").await, ["1 U 3/-", "2 U 2/-"]);
}

#[tokio::test]
async fn g37_a_session_does_not_see_its_own_open_changes() {
    let (_simulator, mut client) = setup().await;
    client.run("BEGIN TRAN; UPDATE t SET a = 5 WHERE id = 1").await;
    assert_eq!(client.value(VERSION).await, "1");
    assert!(client.changes("1").await.is_empty());
    let version = "SELECT SYS_CHANGE_VERSION FROM CHANGETABLE(VERSION t, (id), (1)) AS v";
    assert_eq!(client.value(version).await, "NULL");
    assert_eq!(client.value("SELECT a FROM t WHERE id = 1").await, "5");
    client.run("COMMIT").await;
    assert_eq!(client.value(version).await, "2");
}

#[tokio::test]
async fn g38_the_counter_outlives_switching_off_and_on() {
    let (_simulator, mut client) = setup().await;
    client.run("ALTER TABLE t DISABLE CHANGE_TRACKING").await;
    client.run("ALTER DATABASE shop SET CHANGE_TRACKING = OFF").await;
    assert_eq!(client.value(VERSION).await, "NULL");
    client.run("ALTER DATABASE shop SET CHANGE_TRACKING = ON").await;
    assert_eq!(client.value(VERSION).await, "1");
}

#[tokio::test]
async fn g39_a_failover_to_an_older_copy_takes_the_counter_back() {
    let (simulator, mut client) = setup().await;
    let copy = simulator.copy();
    client.run("UPDATE t SET a = 9").await;
    simulator.fail_over(&copy);
    assert!(client.try_rows(VERSION).await.is_err(), "clients are disconnected");
    let mut client = Client::connect(&simulator, "shop").await;
    assert_eq!(client.value(VERSION).await, "1");
    simulator.set_version("shop", 70);
    client.run("UPDATE t SET a = 9 WHERE id = 1").await;
    assert_eq!(client.changes("1").await, ["1 U 71/-"]);
}

#[tokio::test]
async fn g40_the_commit_table_has_each_version_until_it_is_cleaned() {
    let (simulator, mut client) = setup().await;
    client.run("UPDATE t SET a = 1").await;
    let sql = "SELECT commit_ts FROM sys.dm_tran_commit_table ORDER BY commit_ts";
    assert_eq!(client.texts(sql).await, ["1", "2"]);
    simulator.clean("shop", 1);
    assert_eq!(client.texts(sql).await, ["2"]);
}

#[tokio::test]
async fn g41_a_commit_can_come_between_the_version_and_the_changes() {
    let (simulator, mut client) = setup().await;
    let actor = simulator.clone();
    let commit = move || {
        actor.run("shop", "UPDATE t SET a = 9 WHERE id = 2").expect("a commit");
    };
    simulator.plan("CHANGETABLE", sluicegate_mssql_simulator::Fault::Before(Box::new(commit)));
    assert_eq!(client.value(VERSION).await, "1");
    assert_eq!(client.changes("1").await, ["2 U 2/-"]);
}

#[tokio::test]
async fn g42_the_first_access_to_data_fixes_the_snapshot() {
    let (simulator, mut client) = setup().await;
    let mut other = Client::connect(&simulator, "shop").await;
    client.run("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN").await;
    client.run("SELECT name FROM sys.tables").await;
    other.run("UPDATE t SET a = 9 WHERE id = 1").await;
    // not yet fixed: this commit is seen, later ones are not
    assert_eq!(client.value("SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('t'))").await, "0");
    other.run("UPDATE t SET a = 10 WHERE id = 2").await;
    assert_eq!(client.value(VERSION).await, "2");
    assert_eq!(client.changes("1").await, ["1 U 2/-"]);
    assert_eq!(client.texts("SELECT a FROM t ORDER BY id").await, ["9", "2", "3"]);
    client.run("COMMIT; SET TRANSACTION ISOLATION LEVEL READ COMMITTED").await;
    assert_eq!(client.value(VERSION).await, "3");
}

#[tokio::test]
async fn g43_3952_comes_at_the_first_user_table() {
    let (_simulator, mut client) = setup().await;
    client.run("ALTER DATABASE shop SET ALLOW_SNAPSHOT_ISOLATION OFF").await;
    client.run("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN; SELECT name FROM sys.tables").await;
    let (number, class, state, text) = client.error("SELECT * FROM t").await;
    assert_eq!((number, class, state), (3952, 16, 1));
    assert!(text.contains("'shop'"), "{text}");
}

#[tokio::test]
async fn g44_3960_rolls_back_by_itself() {
    let (simulator, mut client) = setup().await;
    let mut other = Client::connect(&simulator, "shop").await;
    client.run("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN; SELECT * FROM t").await;
    other.run("UPDATE t SET a = 9 WHERE id = 1").await;
    let (number, _, state, _) = client.error("UPDATE t SET a = 10 WHERE id = 1").await;
    assert_eq!((number, state), (3960, 2));
    assert_eq!(client.value("SELECT @@TRANCOUNT").await, "0");
}

#[tokio::test]
async fn g46_an_upper_bound_passes_over_a_row_that_changed_again() {
    let (_simulator, mut client) = setup().await;
    client.run("UPDATE t SET a = 1 WHERE id = 1").await;
    client.run("UPDATE t SET a = 2 WHERE id = 1").await;
    let sql = "SELECT id FROM CHANGETABLE(CHANGES t, 1) AS c WHERE SYS_CHANGE_VERSION <= 2";
    assert!(client.texts(sql).await.is_empty());
}

#[tokio::test]
async fn g47_a_truncate_beside_the_read_is_seen_by_the_second_check_or_refused() {
    let (simulator, mut client) = setup().await;
    let mut other = Client::connect(&simulator, "shop").await;
    client.run("UPDATE t SET a = 1 WHERE id = 1").await;
    let check = "SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('t'))";
    assert_eq!(client.value(check).await, "0");
    other.run("TRUNCATE TABLE t; INSERT t VALUES (5, 5, 5, 5)").await;
    assert_eq!(client.changes("1").await, ["5 I 3/3"]);
    assert_eq!(client.value(check).await, "2");

    client.run("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN").await;
    client.value(check).await;
    other.run("TRUNCATE TABLE t; INSERT t VALUES (6, 6, 6, 6)").await;
    assert_eq!(client.fails(CHANGES).await, 3961);
    assert_eq!(client.value("SELECT @@TRANCOUNT").await, "0");
}

#[tokio::test]
async fn g48_3961_comes_after_any_definition_changed() {
    let changes = [
        "ALTER TABLE t ADD d int",
        "ALTER TABLE t DISABLE CHANGE_TRACKING; ALTER TABLE t ENABLE CHANGE_TRACKING",
        "CREATE INDEX i ON t (a)",
        "EXEC sp_rename 't.a', 'z', 'COLUMN'",
        "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t ENABLE CHANGE_TRACKING",
    ];
    for change in changes {
        let (simulator, mut client) = setup().await;
        let mut other = Client::connect(&simulator, "shop").await;
        client.run("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN").await;
        client.value(VERSION).await;
        other.run("BEGIN TRAN; TRUNCATE TABLE t; ROLLBACK").await;
        client.run(CHANGES).await;
        other.run(change).await;
        let (number, class, state, _) = client.error(CHANGES).await;
        assert_eq!((number, class, state), (3961, 16, 1), "{change}");
    }
}

#[tokio::test]
async fn g49_a_transaction_does_not_become_a_snapshot() {
    let (_simulator, mut client) = setup().await;
    client.run("BEGIN TRAN; SELECT * FROM t; SET TRANSACTION ISOLATION LEVEL SNAPSHOT").await;
    assert_eq!(client.fails("SELECT * FROM t").await, 3951);
}

#[tokio::test]
async fn a_writer_waits_for_the_row_of_another_and_then_goes_on() {
    let (simulator, mut client) = setup().await;
    let mut other = Client::connect(&simulator, "shop").await;
    client.run("BEGIN TRAN; UPDATE t SET a = a + 1 WHERE id = 1").await;
    other.run("SET LOCK_TIMEOUT 20").await;
    assert_eq!(other.fails("UPDATE t SET a = a + 1 WHERE id = 1").await, 1222);
    other.run("SET LOCK_TIMEOUT -1").await;
    let waiting = tokio::spawn(async move { other.run("UPDATE t SET a = a + 1 WHERE id = 1").await });
    tokio::time::timeout(Duration::from_secs(60), async {
        client.run("COMMIT").await;
        waiting.await.expect("the other update");
    })
    .await
    .expect("no deadlock");
    assert_eq!(client.value("SELECT a FROM t WHERE id = 1").await, "3");
}

#[tokio::test]
async fn g92_one_of_two_that_wait_for_each_other_is_the_victim() {
    let (simulator, mut client) = setup().await;
    let mut other = Client::connect(&simulator, "shop").await;
    client.run("BEGIN TRAN; UPDATE t SET a = 7 WHERE id = 1").await;
    other.run("BEGIN TRAN; UPDATE t SET a = 8 WHERE id = 2").await;
    let second = tokio::spawn(async move {
        let result = other.try_rows("UPDATE t SET a = 8 WHERE id = 1; COMMIT").await.map(|_| ());
        (other, result)
    });
    let first = client.try_rows("UPDATE t SET a = 7 WHERE id = 2; COMMIT").await.map(|_| ());
    let (mut other, second) = second.await.expect("the other session");
    let failed: Vec<_> = [&first, &second].into_iter().filter_map(|r| r.as_ref().err()).map(crate::client::server_error).collect();
    assert_eq!(failed.len(), 1, "{first:?} {second:?}");
    assert_eq!((failed[0].0, failed[0].1), (1205, 13));
    let victim = if first.is_err() { &mut client } else { &mut other };
    assert_eq!(victim.value("SELECT @@TRANCOUNT").await, "0");
}
