//! Places that the server can no longer go on from: never taken for "no changes".

use super::server::*;
use sluicegate_mssql_simulator::Fault;

const SINK: &str = "{ type: file, format: flat, folder: out, prefix: t }";
const T: &str = "id int NOT NULL PRIMARY KEY, v int NULL";

/// A table of three rows that a pipeline is up to date with.
fn up_to_date(database: &mut Database, settings: &[&str]) -> sluicegate_harness::host::Sluicegate {
    database.table("t", T);
    let all: Vec<&str> = ["tables: [{ start: 0 }]", "headers: none"].into_iter().chain(settings.iter().copied()).collect();
    let host = database.pipeline(&all);
    database.sql("INSERT dbo.t VALUES (1, 1), (2, 2), (3, 3)");
    drain(&host);
    host
}

/// The run stops and says why.
#[track_caller]
fn stops(host: &sluicegate_harness::host::Sluicegate, why: &str) {
    let ended = host.run(&["run", "--until-drained", "pipeline.yaml"], PATIENCE);
    assert!(!ended.status.success() && ended.stderr.contains(why), "{}", ended.stderr);
    assert!(ended.stderr.contains("lost_position: re-initialise"), "{}", ended.stderr);
}

#[test]
fn d8_d12_p21_changes_that_were_cleaned_up_stop_the_run() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &[]);
    database.sql("UPDATE dbo.t SET v = 5");
    database.sql("UPDATE dbo.t SET v = 6");
    let Some(simulator) = database.simulator() else { return };
    simulator.clean(&database.name, 2);
    stops(&host, "were cleaned up");
    assert_eq!(records(&host).len(), 3);
}

#[test]
fn d12_p21_or_the_table_is_emptied_and_copied_anew() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &["lost_position: re-initialise"]);
    database.sql("DELETE dbo.t WHERE id = 2");
    database.sql("UPDATE dbo.t SET v = 6 WHERE id = 3");
    let Some(simulator) = database.simulator() else { return };
    simulator.clean(&database.name, 3);
    drain(&host);
    assert_eq!(short(&records(&host))[3..], ["t ", "r id=1 v=1", "r id=3 v=6"]);
    database.sql("INSERT dbo.t VALUES (4, 4)");
    drain(&host);
    assert_eq!(short(&records(&host))[6..], ["c id=4 v=4"]);
}

#[test]
fn g64_g147_a_truncate_is_noticed_by_a_reader_that_is_up_to_date() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &["lost_position: re-initialise"]);
    database.sql("TRUNCATE TABLE dbo.t");
    drain(&host);
    database.sql("INSERT dbo.t VALUES (9, 9)");
    drain(&host);
    assert_eq!(short(&records(&host))[3..], ["t ", "c id=9 v=9"]);
}

#[test]
fn g64_a_truncate_stops_a_running_pipeline_by_policy() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &[]);
    let process = start(&host);
    database.sql("TRUNCATE TABLE dbo.t");
    let ended = process.wait(PATIENCE);
    assert!(ended.stderr.contains("was truncated"), "{}", ended.stderr);
}

#[test]
fn g65_tracking_that_was_enabled_anew_is_noticed() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &[]);
    database.sql("ALTER TABLE dbo.t DISABLE CHANGE_TRACKING");
    database.sql("UPDATE dbo.t SET v = 7");
    database.sql("ALTER TABLE dbo.t ENABLE CHANGE_TRACKING");
    // the database's version is the one at which it began before: it does not tell
    database.table("other", T);
    database.sql("INSERT dbo.other VALUES (1, 1)");
    stops(&host, "enabled anew");
}

#[test]
fn g29_a_table_that_was_created_anew_is_noticed() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &["lost_position: re-initialise"]);
    database.sql("DROP TABLE dbo.t");
    database.table("t", T);
    database.sql("INSERT dbo.t VALUES (7, 7)");
    drain(&host);
    let all = records(&host);
    assert_eq!(all[3]["_op"], "t");
    assert_eq!(replay(&all, "t", &["id"]).len(), 1);
}

#[test]
fn g38_d20_a_counter_that_went_back_stops_the_run() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &[]);
    let Some(simulator) = database.simulator() else { return };
    simulator.set_version(&database.name, 0);
    stops(&host, "an older copy of it was restored");
}

#[test]
fn d20_a_failover_to_an_older_copy_is_noticed_while_it_runs() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &[]);
    let Some(simulator) = database.simulator().cloned() else { return };
    let copy = simulator.copy();
    database.sql("UPDATE dbo.t SET v = 5");
    let mut process = start(&host);
    wait_for(&mut process, &host, 6);
    simulator.fail_over(&copy);
    let ended = process.wait(PATIENCE);
    assert!(ended.stderr.contains("an older copy of it was restored"), "{}", ended.stderr);
}

#[test]
fn p22_g89_a_read_only_replica_is_refused() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &[]);
    let Some(simulator) = database.simulator() else { return };
    simulator.set_read_only(&database.name, true);
    let ended = host.run(&["run", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("secondary replica"), "{}", ended.stderr);
}

#[test]
fn g47_g48_a_truncate_in_the_middle_of_a_round_under_snapshot_is_a_retry_and_then_noticed() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &["lost_position: re-initialise"]);
    database.sql("UPDATE dbo.t SET v = 5");
    let Some(simulator) = database.simulator().cloned() else { return };
    let (other, name) = (simulator.clone(), database.name.clone());
    let truncate = move || {
        other.run(&name, "TRUNCATE TABLE dbo.t; INSERT dbo.t VALUES (8, 8)").expect("a truncate");
    };
    simulator.plan("LEFT OUTER JOIN [dbo].[t]", Fault::Before(Box::new(truncate)));
    drain(&host);
    let all = records(&host);
    assert!(short(&all).contains(&"t ".to_owned()), "{:?}", short(&all));
    assert_eq!(replay(&all, "t", &["id"]).keys().collect::<Vec<_>>(), ["8"]);
}

#[test]
fn g45_d18_without_snapshot_a_cleanup_in_the_middle_of_a_round_is_noticed() {
    let mut database = Database::without_snapshot();
    let host = up_to_date(&mut database, &[]);
    database.sql("UPDATE dbo.t SET v = 5");
    database.sql("UPDATE dbo.t SET v = 6");
    let Some(simulator) = database.simulator().cloned() else { return };
    let (other, name) = (simulator.clone(), database.name.clone());
    simulator.plan("LEFT OUTER JOIN [dbo].[t]", Fault::Before(Box::new(move || other.clean(&name, 2))));
    stops(&host, "were cleaned up");
}

#[test]
fn d18_without_snapshot_what_is_committed_during_a_round_is_not_lost() {
    let mut database = Database::without_snapshot();
    let host = up_to_date(&mut database, &[]);
    database.sql("UPDATE dbo.t SET v = 5 WHERE id = 1");
    let Some(simulator) = database.simulator().cloned() else { return };
    let (other, name) = (simulator.clone(), database.name.clone());
    let commit = move || {
        other.run(&name, "UPDATE dbo.t SET v = 6 WHERE id = 2; INSERT dbo.t VALUES (4, 4)").expect("a commit");
    };
    simulator.plan("LEFT OUTER JOIN [dbo].[t]", Fault::Before(Box::new(commit)));
    drain(&host);
    drain(&host);
    let all = records(&host);
    let rows = replay(&all, "t", &["id"]);
    assert_eq!(rows.values().map(|row| row["v"].as_i64().unwrap()).collect::<Vec<_>>(), [5, 6, 3, 4]);
    // the row that came early comes again, and is no second insert
    assert_eq!(short(&all).iter().filter(|record| *record == "c id=4 v=4").count(), 1, "{:?}", short(&all));
}

#[test]
fn an_insert_that_one_sink_has_had_is_an_update_for_all() {
    let mut database = Database::new();
    database.table("t", T);
    let sinks = |second: &str| format!("{{ type: file, format: flat, folder: out, prefix: t, name: a }}{second}");
    let settings = ["tables: [{ start: 0 }]", "headers: none"];
    let host = database.pipeline_with(&settings, &sinks(""), "");
    database.sql("INSERT dbo.t VALUES (1, 1)");
    drain(&host);
    database.sql("UPDATE dbo.t SET v = 2");
    // the second one begins at the oldest version that the server has, which is behind the first one's place
    let second = ", { type: file, format: flat, folder: out, prefix: s, name: b, start: earliest }";
    host.write_pipeline(&database.text(&settings, &sinks(second), ""));
    drain(&host);
    assert_eq!(short(&records(&host)), ["c id=1 v=1", "u id=1 v=2"]);
    let second = sluicegate_harness::files::records(&host.path("out"), "s");
    assert_eq!(short(&second), ["u id=1 v=2"]);
}

#[test]
fn g76_a_table_that_is_found_later_never_begins_behind_what_was_cleaned_up() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &[]);
    database.table("u", T);
    database.sql("INSERT dbo.u VALUES (1, 1)");
    database.sql("INSERT dbo.u VALUES (2, 2)");
    let Some(simulator) = database.simulator() else { return };
    simulator.clean(&database.name, 2);
    // the first table is not where it gets lost
    simulator.set_min_valid_version(&database.name, "dbo.t", 0);
    stops(&host, "were cleaned up");
}

#[test]
fn d12_a_table_that_is_found_later_is_copied_where_its_first_changes_were_cleaned_up() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &["lost_position: re-initialise"]);
    database.table("u", T);
    database.sql("INSERT dbo.u VALUES (1, 1)");
    database.sql("INSERT dbo.u VALUES (2, 2)");
    let Some(simulator) = database.simulator() else { return };
    simulator.clean(&database.name, 2);
    let text = database.text(&["tables: [{ start: now }]", "headers: none", "lost_position: re-initialise"], SINK, "");
    host.write_pipeline(&text);
    drain(&host);
    assert_eq!(replay(&records(&host), "u", &["id"]).len(), 2);
}

#[test]
fn a4_a_table_whose_tracking_begins_during_a_look_is_copied() {
    let mut database = Database::new();
    database.table("other", T);
    let host = database.pipeline(&["tables: [{ start: snapshot-first }]", "headers: none"]);
    let Some(simulator) = database.simulator().cloned() else { return };
    let mut process = start(&host);
    let (behind, name) = (simulator.clone(), database.name.clone());
    let begin = move || {
        let new =
            "INSERT dbo.other VALUES (1, 1); CREATE TABLE dbo.n (id int NOT NULL PRIMARY KEY, v int NULL); INSERT dbo.n VALUES (7, 7)";
        behind.run(&name, new).expect("a table");
        behind.run(&name, "ALTER TABLE dbo.n ENABLE CHANGE_TRACKING").expect("it is tracked");
    };
    // behind the version that the look begins with
    simulator.plan("t.name LIKE @P2 ORDER BY", Fault::Before(Box::new(begin)));
    process.wait_until("the new table's row", PATIENCE, || replay(&records(&host), "n", &["id"]).len() == 1);
    stop(process);
}

#[test]
fn a4_a_table_whose_tracking_begins_during_the_first_check_is_read() {
    for (start, expected) in [("now", vec!["c id=9 v=9"]), ("snapshot-first", vec!["r id=7 v=7", "c id=9 v=9"])] {
        let mut database = Database::new();
        database.table("other", T);
        database.sql("CREATE TABLE dbo.n (id int NOT NULL PRIMARY KEY, v int NULL); INSERT dbo.n VALUES (7, 7)");
        let host = database.pipeline(&[&format!("tables: [{{ like: n, start: {start} }}]"), "headers: none"]);
        let Some(simulator) = database.simulator().cloned() else { return };
        let (behind, name) = (simulator.clone(), database.name.clone());
        let begin = move || {
            behind.run(&name, "INSERT dbo.other VALUES (1, 1)").expect("a version");
            behind.run(&name, "ALTER TABLE dbo.n ENABLE CHANGE_TRACKING").expect("it is tracked");
        };
        simulator.plan("t.name LIKE @P2 ORDER BY", Fault::Before(Box::new(begin)));
        drain(&host);
        database.sql("INSERT dbo.n VALUES (9, 9)");
        drain(&host);
        assert_eq!(short(&records(&host)), expected, "{start}");
    }
}

#[test]
fn a16_an_initial_version_that_was_cleaned_up_is_told_with_the_first_one_that_can_be_read() {
    let mut database = Database::new();
    database.table("t", T);
    for id in 1..=4 {
        database.sql(&format!("INSERT dbo.t VALUES ({id}, 0)"));
    }
    let Some(simulator) = database.simulator() else { return };
    simulator.clean(&database.name, 2);
    for start in [0, 1] {
        let host = database.pipeline(&[&format!("tables: [{{ start: {start} }}]"), "headers: none"]);
        let ended = host.run(&["run", "--until-drained", "pipeline.yaml"], PATIENCE);
        assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
        assert!(ended.stderr.contains("`start: 2`") && !ended.stderr.contains("stored place"), "{}", ended.stderr);
        host.write_pipeline(&database.text(&["tables: [{ start: 2 }]", "headers: none"], SINK, ""));
        drain(&host);
        assert_eq!(short(&records(&host)), ["c id=3 v=0", "c id=4 v=0"]);
    }
}

#[test]
fn d18_without_snapshot_rows_that_come_again_after_a_fault_are_no_second_inserts() {
    let mut database = Database::without_snapshot();
    database.table("t", T);
    for id in 1..=30 {
        database.sql(&format!("INSERT dbo.t VALUES ({id}, 0)"));
    }
    let Some(simulator) = database.simulator().cloned() else { return };
    let host = database.pipeline_with(&["tables: [{ start: 0 }]", "headers: none"], SINK, ", batch_changes: 10");
    simulator.plan("LEFT OUTER JOIN [dbo].[t]", Fault::DisconnectAfterRows(25));
    drain(&host);
    let all = records(&host);
    assert_eq!(replay(&all, "t", &["id"]).len(), 30);
    assert!(all.len() > 30, "what had gone before comes again");
    let inserted: std::collections::BTreeSet<i64> =
        all.iter().filter(|record| record["_op"] == "c").map(|record| record["id"].as_i64().unwrap()).collect();
    assert_eq!(all.iter().filter(|record| record["_op"] == "c").count(), inserted.len(), "{:?}", short(&all));
    assert_eq!(inserted.len(), 30);
}

/// The run ends with an error that names the table, and everything else was read.
#[track_caller]
fn misses(host: &sluicegate_harness::host::Sluicegate, table: &str) {
    let ended = host.run(&["run", "--until-drained", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("not read to the end") && ended.stderr.contains(table), "{}", ended.stderr);
}

#[test]
fn a26_a_drained_run_fails_where_a_table_can_be_read_no_further() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &[]);
    database.table("other", T);
    drain(&host);
    database.sql("UPDATE dbo.t SET v = 5");
    database.sql("INSERT dbo.other VALUES (1, 1)");
    database.sql("ALTER TABLE dbo.t DISABLE CHANGE_TRACKING");
    misses(&host, "dbo.t");
    assert_eq!(short(&records(&host))[3..], ["c id=1 v=1"], "the other table is read");
    database.sql("DROP TABLE dbo.t");
    misses(&host, "dbo.t");
    // nobody wants it any more
    host.write_pipeline(&database.text(&["tables: [{ start: 0, exclude: t }]", "headers: none"], SINK, ""));
    drain(&host);
}

#[test]
fn a26_d22_a_drained_run_fails_where_a_grant_was_revoked() {
    let mut database = Database::new();
    database.table("t", T);
    database.table("other", T);
    let Some(simulator) = database.simulator() else { return };
    simulator.login("poor", "Poor-1");
    for table in ["t", "other"] {
        database.sql(&format!("GRANT SELECT ON dbo.{table} TO poor; GRANT VIEW CHANGE TRACKING ON dbo.{table} TO poor"));
    }
    let text = database.text(&["tables: [{ start: 0 }]", "headers: none"], SINK, "").replace("user: sa", "user: poor");
    let host = sluicegate_harness::host::Sluicegate::new(BINARY, &text).env("MSSQL_PASSWORD", "Poor-1");
    drain(&host);
    database.sql("INSERT dbo.t VALUES (1, 1)");
    database.sql("REVOKE SELECT ON dbo.t FROM poor; REVOKE VIEW CHANGE TRACKING ON dbo.t FROM poor");
    misses(&host, "dbo.t");
    database.sql("GRANT SELECT ON dbo.t TO poor; GRANT VIEW CHANGE TRACKING ON dbo.t TO poor");
    drain(&host);
    assert_eq!(short(&records(&host)), ["c id=1 v=1"]);
}

#[test]
fn d17_a_change_of_a_row_that_the_account_does_not_see_stops_the_run_and_is_no_delete() {
    let mut database = Database::new();
    let host = up_to_date(&mut database, &["retries: 1"]);
    database.sql("INSERT dbo.t VALUES (4, 4)");
    let Some(simulator) = database.simulator() else { return };
    simulator.hide_rows(&database.name, "dbo.t");
    let ended = host.run(&["run", "--until-drained", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("row-level security"), "{}", ended.stderr);
    assert_eq!(records(&host).len(), 3);
    // its key alone is told
    host.write_pipeline(&database.text(&["tables: [{ start: 0 }]", "headers: none", "record: tracking-only"], SINK, ""));
    drain(&host);
    assert_eq!(short(&records(&host))[3..], ["c id=4"]);
}
