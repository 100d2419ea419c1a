//! What is delivered of a change.

use super::server::*;

const ABC: &str = "id int NOT NULL PRIMARY KEY, a int NULL, b int NULL";

#[test]
fn a19_d6_each_change_is_delivered_with_the_row_as_it_is_now() {
    let mut database = Database::new();
    database.table("t", ABC);
    let host = database.pipeline(&[]);
    let mut process = start(&host);
    database.sql("INSERT dbo.t VALUES (1, 10, 100)");
    wait_for(&mut process, &host, 1);
    database.sql("UPDATE dbo.t SET a = 11 WHERE id = 1");
    wait_for(&mut process, &host, 2);
    database.sql("DELETE dbo.t WHERE id = 1");
    wait_for(&mut process, &host, 3);
    stop(process);
    assert_eq!(short(&records(&host)), ["c id=1 a=10 b=100", "u id=1 a=11 b=100", "d id=1"]);
}

#[test]
fn a21_a22_a_change_carries_what_is_tracked_of_it() {
    let mut database = Database::new();
    database.table("t", ABC);
    database.sql("INSERT dbo.t VALUES (1, 10, 100)");
    let host = database.pipeline(&["tables: [{ start: 1 }]"]);
    let mut process = start(&host);
    database.sql("WITH CHANGE_TRACKING_CONTEXT (0x73796e63) UPDATE dbo.t SET b = 1 WHERE id = 1");
    wait_for(&mut process, &host, 1);
    database.sql("DELETE dbo.t WHERE id = 1");
    wait_for(&mut process, &host, 2);
    stop(process);
    let records = records(&host);
    let headers = &records[0]["_headers"];
    assert_eq!(headers["change_version"], "2");
    assert_eq!(headers["change_operation"], "3");
    assert_eq!(headers["change_columns"], "[\"b\"]");
    assert_eq!(headers["change_context"], "c3luYw==");
    assert_eq!(headers["change_context_text"], "sync");
    assert!(headers.get("change_creation_version").is_none());
    let headers = &records[1]["_headers"];
    assert_eq!((&headers["change_operation"], &headers["change_version"]), (&"2".into(), &"3".into()));
    assert_eq!(records[0]["_schema"], "dbo");
}

#[test]
fn a21_a22_a23_headers_of_streamsets_have_its_names_and_its_null() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY, price decimal(12,2) NULL");
    let host = database.pipeline(&["headers: streamsets"]);
    let mut process = start(&host);
    database.sql("INSERT dbo.t VALUES (1, 9.5)");
    wait_for(&mut process, &host, 1);
    stop(process);
    let headers = records(&host)[0]["_headers"].to_string();
    insta::assert_snapshot!(headers, @r#"{"sdc.operation.type":"1","jdbc.SYS_CHANGE_VERSION":"1","jdbc.SYS_CHANGE_CREATION_VERSION":"1","jdbc.SYS_CHANGE_OPERATION":"I","jdbc.SYS_CHANGE_COLUMNS":"NULL","jdbc.SYS_CHANGE_CONTEXT":"NULL","jdbc.tables":"t","jdbc.id.jdbcType":"4","jdbc.id.precision":"10","jdbc.id.scale":"0","jdbc.price.jdbcType":"3","jdbc.price.precision":"12","jdbc.price.scale":"2"}"#);
}

#[test]
fn a20_tracking_only_delivers_the_key_alone() {
    let mut database = Database::new();
    database.table("t", ABC);
    let host = database.pipeline(&["record: tracking-only"]);
    let mut process = start(&host);
    database.sql("INSERT dbo.t VALUES (1, 10, 100)");
    wait_for(&mut process, &host, 1);
    database.sql("UPDATE dbo.t SET a = 11; DELETE dbo.t");
    wait_for(&mut process, &host, 2);
    stop(process);
    assert_eq!(short(&records(&host)), ["c id=1", "d id=1"]);
}

#[test]
fn d4_d16_loop_back_changes_of_a_context_are_left_out() {
    let mut database = Database::new();
    database.table("t", ABC);
    let host = database.pipeline(&["ignore_context: ['0x0102']"]);
    let mut process = start(&host);
    database.sql("WITH CHANGE_TRACKING_CONTEXT (0x0102) INSERT dbo.t VALUES (1, 1, 1)");
    database.sql("WITH CHANGE_TRACKING_CONTEXT (0x01) INSERT dbo.t VALUES (2, 2, 2)");
    wait_for(&mut process, &host, 1);
    stop(process);
    assert_eq!(short(&records(&host)), ["c id=2 a=2 b=2"]);
}

#[test]
fn g28_a_delete_of_a_row_that_is_there_is_an_update() {
    let mut database = Database::new();
    database.table("t", ABC);
    database.sql("INSERT dbo.t VALUES (1, 10, 100)");
    let Some(simulator) = database.simulator().cloned() else { return };
    let host = database.pipeline(&["tables: [{ start: 1 }]"]);
    let name = database.name.clone();
    database.sql("UPDATE dbo.t SET a = 11");
    simulator.report_deletes(&name, "dbo.t");
    drain(&host);
    assert_eq!(short(&records(&host)), ["u id=1 a=11 b=100"]);
}

#[test]
fn d1_g1_to_g16_net_changes_end_as_the_table_is() {
    let mut database = Database::new();
    database.table("t", ABC);
    let host = database.pipeline(&["tables: [{ start: 0 }]"]);
    database.sql("INSERT dbo.t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3)");
    database.sql("UPDATE dbo.t SET a = 5 WHERE id = 1");
    database.sql("DELETE dbo.t WHERE id = 2");
    drain(&host);
    assert_eq!(short(&records(&host)), ["c id=3 a=3 b=3", "c id=1 a=5 b=1", "d id=2"]);
    database.sql("UPDATE dbo.t SET id = id + 2");
    database.sql("DELETE dbo.t WHERE id = 5; INSERT dbo.t VALUES (5, 0, 0)");
    drain(&host);
    assert_eq!(short(&records(&host))[3..], ["d id=1", "u id=3 a=5 b=1", "c id=5 a=0 b=0"]);
}

#[test]
fn g19_rows_are_delivered_in_the_order_of_versions_however_the_server_gives_them() {
    let mut database = Database::new();
    database.table("t", ABC);
    let Some(simulator) = database.simulator().cloned() else { return };
    simulator.shuffle(true);
    for id in [5, 3, 9, 1, 7] {
        database.sql(&format!("INSERT dbo.t VALUES ({id}, 0, 0)"));
    }
    let host = database.pipeline(&["tables: [{ start: 0 }]", "headers: none"]);
    drain(&host);
    let ids: Vec<i64> = records(&host).iter().map(|record| record["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [5, 3, 9, 1, 7]);
}

#[test]
fn d15_a_null_that_was_written_is_told_apart_from_a_column_that_did_not_change() {
    let mut database = Database::new();
    database.table("t", ABC);
    database.sql("CREATE TABLE dbo.u (id int NOT NULL PRIMARY KEY, a int NULL)");
    database.sql("ALTER TABLE dbo.u ENABLE CHANGE_TRACKING");
    database.sql("INSERT dbo.t VALUES (1, 10, NULL), (2, 20, NULL); INSERT dbo.u VALUES (1, 1)");
    let host = database.pipeline(&["tables: [{ start: 2 }]"]);
    database.sql("UPDATE dbo.t SET a = NULL WHERE id = 1");
    database.sql("UPDATE dbo.t SET a = NULL, b = NULL WHERE id = 2");
    database.sql("UPDATE dbo.u SET a = NULL");
    drain(&host);
    let told = |table: &str| -> Vec<String> {
        let of = |record: &&serde_json::Value| record["_table"] == table;
        records(&host).iter().filter(of).map(|record| record["_headers"]["change_columns"].to_string()).collect()
    };
    // without a mask: every column but the key's; and where columns are not tracked, nothing
    assert_eq!(told("t"), [r#""[\"a\"]""#, r#""all""#]);
    assert_eq!(told("u"), ["null"]);
}

#[test]
fn d7_an_update_that_changes_nothing_is_delivered() {
    let mut database = Database::new();
    database.table("t", ABC);
    let host = database.pipeline(&["tables: [{ start: 1 }]", "headers: none"]);
    database.sql("INSERT dbo.t VALUES (1, 10, 100), (2, 20, 200)");
    database.sql("UPDATE dbo.t SET a = a WHERE id = 2");
    drain(&host);
    assert_eq!(short(&records(&host)), ["u id=2 a=20 b=200"]);
}

#[test]
fn d21_columns_that_are_added_dropped_and_renamed_while_it_runs_are_followed() {
    let mut database = Database::new();
    database.table("t", ABC);
    let host = database.pipeline(&["headers: none"]);
    let mut process = start(&host);
    database.sql("INSERT dbo.t VALUES (1, 10, 100)");
    wait_for(&mut process, &host, 1);
    database.sql("ALTER TABLE dbo.t ADD c int NULL");
    database.sql("INSERT dbo.t VALUES (2, 20, 200, 7)");
    wait_for(&mut process, &host, 2);
    database.sql("ALTER TABLE dbo.t DROP COLUMN b");
    database.sql("UPDATE dbo.t SET a = 11 WHERE id = 1");
    wait_for(&mut process, &host, 3);
    database.sql("EXEC sp_rename 'dbo.t.a', 'z', 'COLUMN'");
    database.sql("DELETE dbo.t WHERE id = 2; UPDATE dbo.t SET z = 12");
    wait_for(&mut process, &host, 5);
    stop(process);
    assert_eq!(
        short(&records(&host)),
        ["c id=1 a=10 b=100", "c id=2 a=20 b=200 c=7", "u id=1 a=11 c=null", "d id=2", "u id=1 z=12 c=null"]
    );
}
