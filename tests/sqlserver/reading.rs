//! Which tables are read, in which order and how often.

use super::server::*;

const T: &str = "id int NOT NULL PRIMARY KEY, v int NULL";

#[test]
fn a13_a14_a15_a17_entries_match_by_schema_pattern_and_exclusion_and_the_first_counts() {
    let mut database = Database::new();
    for name in ["orders", "orders_old", "other", "customers"] {
        database.table(name, T);
        database.sql(&format!("INSERT dbo.{name} VALUES (1, 1)"));
    }
    let tables = "tables: [{ like: 'ord%', exclude: '.*_old', start: 0 }, { like: 'o%', exclude: 'old', start: snapshot-first }]";
    let host = database.pipeline(&[tables, "headers: none"]);
    drain(&host);
    let mut found: Vec<String> = records(&host).iter().map(|r| format!("{} {}", r["_table"], r["_op"])).collect();
    found.sort();
    assert_eq!(found, ["\"orders\" \"c\"", "\"orders_old\" \"r\"", "\"other\" \"r\""]);
}

#[test]
fn a16_an_initial_version_is_the_last_one_that_is_not_delivered() {
    let mut database = Database::new();
    database.table("t", T);
    for id in 1..=4 {
        database.sql(&format!("INSERT dbo.t VALUES ({id}, 0)"));
    }
    let host = database.pipeline(&["tables: [{ start: 2 }]", "headers: none"]);
    drain(&host);
    assert_eq!(short(&records(&host)), ["c id=3 v=0", "c id=4 v=0"]);
}

#[test]
fn a26_a_drained_run_ends_and_the_next_one_goes_on_there() {
    let mut database = Database::new();
    database.table("t", T);
    let host = database.pipeline(&["headers: none"]);
    drain(&host);
    assert_eq!(records(&host).len(), 0);
    database.sql("INSERT dbo.t VALUES (1, 0)");
    drain(&host);
    database.sql("INSERT dbo.t VALUES (2, 0)");
    let log = drain(&host);
    assert_eq!(short(&records(&host)), ["c id=1 v=0", "c id=2 v=0"]);
    assert!(log.contains("no more data"), "{log}");
}

#[test]
fn a4_a_table_that_is_made_while_it_runs_is_found() {
    let mut database = Database::new();
    database.table("first", T);
    let host = database.pipeline(&["headers: none"]);
    let mut process = start(&host);
    database.table("second", T);
    database.sql("INSERT dbo.second VALUES (1, 7)");
    wait_for(&mut process, &host, 1);
    stop(process);
    assert_eq!(short(&records(&host)), ["c id=1 v=7"]);
    assert_eq!(lanes(&host).len(), 2);
}

#[test]
fn d11_g71_the_place_of_a_table_at_rest_moves_with_the_database() {
    let mut database = Database::new();
    database.table("quiet", T);
    database.table("busy", T);
    database.table("other", T);
    let host = database.pipeline(&["headers: none"]);
    let mut process = start(&host);
    let quiet = format!("ct:{}.dbo.quiet", database.name);
    for id in 1..=3 {
        database.sql(&format!("INSERT dbo.busy VALUES ({id}, 0)"));
    }
    process.wait_until("the quiet table's place", PATIENCE, || lanes(&host)[&quiet]["version"] == 3);
    stop(process);
}

#[test]
fn a8_a11_switching_tables_is_fair_to_the_last_one() {
    let mut database = Database::new();
    database.table("large", T);
    database.table("small", T);
    database.table("tiny", T);
    for block in 0..20 {
        let rows: Vec<String> = (0..50).map(|id| format!("({}, 0)", block * 50 + id)).collect();
        database.sql(&format!("INSERT dbo.large VALUES {}", rows.join(", ")));
    }
    database.sql("INSERT dbo.small VALUES (1, 0)");
    database.sql("INSERT dbo.tiny VALUES (1, 0)");
    let settings = ["tables: [{ start: 0 }]", "headers: none", "batches_per_visit: 2"];
    let host = database.pipeline_with(&settings, "{ type: file, format: flat, folder: out, prefix: t }", ", batch_changes: 50");
    drain(&host);
    let all = records(&host);
    assert_eq!(all.len(), 1002);
    let place = |table: &str| all.iter().position(|r| r["_table"] == table).unwrap();
    assert!(place("small") <= 150 && place("tiny") <= 150, "{} {}", place("small"), place("tiny"));
}

#[test]
fn a9_draining_a_table_reads_all_of_it_before_the_next() {
    let mut database = Database::new();
    database.table("large", T);
    database.table("small", T);
    let rows: Vec<String> = (0..200).map(|id| format!("({id}, 0)")).collect();
    database.sql(&format!("INSERT dbo.large VALUES {}", rows.join(", ")));
    database.sql("INSERT dbo.small VALUES (1, 0)");
    let settings = ["tables: [{ start: 0 }]", "headers: none", "strategy: drain-table"];
    let host = database.pipeline_with(&settings, "{ type: file, format: flat, folder: out, prefix: t }", ", batch_changes: 50");
    drain(&host);
    assert_eq!(records(&host).iter().position(|r| r["_table"] == "small"), Some(200));
}

#[test]
fn g22_d13_a_huge_version_is_read_in_parts_in_the_order_of_a_composite_key() {
    let mut database = Database::new();
    // the key's order is not the columns' order, and its text is compared without case
    let columns = "n int NOT NULL, name varchar(10) COLLATE Latin1_General_CI_AS NOT NULL, v int NULL, PRIMARY KEY (name, n)";
    database.table("t", columns);
    let rows: Vec<String> =
        (0..300).map(|n| format!("({}, '{}', {n})", n % 7, ["b", "A", "a", "C", "B"][n % 5].repeat(1 + n % 9))).collect();
    let mut seen = std::collections::BTreeSet::new();
    let rows: Vec<String> = rows.into_iter().filter(|row| seen.insert(row.rsplit_once(',').unwrap().0.to_lowercase())).collect();
    database.sql(&format!("INSERT dbo.t VALUES {}", rows.join(", ")));
    let settings = ["tables: [{ start: 0 }]", "headers: none", "fetch_rows: 10"];
    let host = database.pipeline_with(&settings, "{ type: file, format: flat, folder: out, prefix: t }", ", batch_changes: 10");
    drain(&host);
    let all = records(&host);
    assert_eq!(all.len(), rows.len());
    assert_eq!(replay(&all, "t", &["name", "n"]).len(), rows.len());
}

#[test]
fn a28_a_query_that_is_a_deadlock_s_victim_is_tried_again_as_often_as_it_says() {
    use sluicegate_mssql_simulator::Fault;
    let mut database = Database::new();
    database.table("t", T);
    database.sql("INSERT dbo.t VALUES (1, 0)");
    let Some(simulator) = database.simulator().cloned() else { return };
    let host = database.pipeline(&["tables: [{ start: 0 }]", "headers: none", "retries: 2"]);
    simulator.plan("LEFT OUTER JOIN [dbo].[t]", Fault::deadlock());
    simulator.plan("LEFT OUTER JOIN [dbo].[t]", Fault::deadlock());
    drain(&host);
    assert_eq!(short(&records(&host)), ["c id=1 v=0"]);
    database.sql("INSERT dbo.t VALUES (2, 0)");
    for _ in 0..3 {
        simulator.plan("LEFT OUTER JOIN [dbo].[t]", Fault::deadlock());
    }
    let ended = host.run(&["run", "--until-drained", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("error 1205"), "{}", ended.stderr);
}

#[test]
fn g138_a_connection_that_breaks_inside_of_a_result_loses_and_repeats_nothing() {
    use sluicegate_mssql_simulator::Fault;
    let mut database = Database::new();
    database.table("t", T);
    let rows: Vec<String> = (0..100).map(|id| format!("({id}, 0)")).collect();
    database.sql(&format!("INSERT dbo.t VALUES {}", rows.join(", ")));
    let Some(simulator) = database.simulator().cloned() else { return };
    let settings = ["tables: [{ start: 0 }]", "headers: none"];
    let host = database.pipeline_with(&settings, "{ type: file, format: flat, folder: out, prefix: t }", ", batch_changes: 10");
    simulator.plan("LEFT OUTER JOIN [dbo].[t]", Fault::DisconnectAfterRows(35));
    simulator.plan("LEFT OUTER JOIN [dbo].[t]", Fault::DisconnectAfterRows(35));
    drain(&host);
    let ids: Vec<i64> = records(&host).iter().map(|record| record["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (0..100).collect::<Vec<i64>>());
}

#[test]
fn a18_the_first_pass_is_in_the_order_of_the_list_or_of_the_names() {
    let mut database = Database::new();
    for name in ["zebra", "ape"] {
        database.table(name, T);
        database.sql(&format!("INSERT dbo.{name} VALUES (1, 0)"));
    }
    for (order, first) in [("listed", "zebra"), ("alphabetical", "ape")] {
        let host = database.pipeline(&["tables: [{ start: 0 }]", &format!("order: {order}")]);
        drain(&host);
        assert_eq!(records(&host)[0]["_table"], first, "{order}");
    }
}

#[test]
fn a31_a_row_that_is_too_large_stops_the_run_before_it_is_fetched_and_without_its_value() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY, v nvarchar(max) NULL");
    database.sql("INSERT dbo.t VALUES (1, N'small')");
    database.sql("INSERT dbo.t VALUES (2, REPLICATE(CAST(N'secret' AS nvarchar(max)), 50000))");
    let settings = ["tables: [{ start: 0 }]", "headers: none"];
    let host = database.pipeline_with(&settings, "{ type: file, format: flat, folder: out, prefix: t }", ", row_bytes: 64KiB");
    let ended = host.run(&["run", "--until-drained", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("limits.row_bytes") && !ended.stderr.contains("secret"), "{}", ended.stderr);
}

#[test]
fn a31_values_that_are_too_large_only_together_are_not_fetched_either() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY, a varchar(max) NULL, b varbinary(max) NULL, c varchar(max) NULL");
    database.sql("INSERT dbo.t VALUES (1, 'x', 0x01, NULL)");
    let large = "REPLICATE(CAST('secret' AS varchar(max)), 8000)";
    database.sql(&format!("INSERT dbo.t VALUES (2, {large}, CAST({large} AS varbinary(max)), {large})"));
    for start in ["0", "snapshot-first"] {
        let settings = [&format!("tables: [{{ start: {start} }}]"), "headers: none"];
        let sink = "{ type: file, format: flat, folder: out, prefix: t }";
        // each of the three fits
        let ended =
            database.pipeline_with(&settings, sink, ", row_bytes: 64KiB").run(&["run", "--until-drained", "pipeline.yaml"], PATIENCE);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("limits.row_bytes") && !ended.stderr.contains("secret"), "{}", ended.stderr);
        let host = database.pipeline_with(&settings, sink, ", row_bytes: 256KiB");
        drain(&host);
        assert_eq!(records(&host).len(), 2);
        assert_eq!(records(&host)[1]["a"].as_str().unwrap().len(), 48_000);
    }
}

#[test]
fn a39_snapshot_isolation_that_is_forbidden_while_it_runs_is_done_without() {
    let mut database = Database::new();
    for name in ["a", "b"] {
        database.table(name, "id int NOT NULL PRIMARY KEY");
    }
    let host = database.pipeline(&["tables: [{ start: 0 }]", "headers: none"]);
    let mut process = start(&host);
    database.sql("INSERT dbo.a VALUES (1); INSERT dbo.b VALUES (1)");
    wait_for(&mut process, &host, 2);
    let Some(simulator) = database.simulator().cloned() else { return };
    simulator.faults().record();
    database.sql("ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION OFF");
    database.sql("INSERT dbo.a VALUES (2); INSERT dbo.b VALUES (2)");
    wait_for(&mut process, &host, 4);
    stop(process);
    let asked = simulator.faults().recorded();
    assert!(!asked.iter().any(|text| text.contains("sys.change_tracking_databases")), "it started over: {asked:?}");
}

#[test]
fn an_error_that_the_server_does_not_log_is_looked_up_elsewhere() {
    use sluicegate_mssql_simulator::{Fault, SqlError};
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY");
    database.sql("INSERT dbo.t VALUES (1)");
    let Some(simulator) = database.simulator() else { return };
    let host = database.pipeline(&["tables: [{ start: 0 }]", "headers: none", "retries: 1"]);
    for _ in 0..2 {
        simulator.plan("LEFT OUTER JOIN [dbo].[t]", Fault::Error(SqlError::new(8645, "A timeout occurred.").class(17)));
    }
    let ended = host.run(&["run", "--until-drained", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("error 8645, severity 17") && !ended.stderr.contains("error log"), "{}", ended.stderr);
}
