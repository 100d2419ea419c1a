//! What is asked when, over how many connections.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::server::*;
use sluicegate_mssql_simulator::Fault;

const T: &str = "id int NOT NULL PRIMARY KEY, v int NULL";
const SINK: &str = "{ type: file, format: flat, folder: out, prefix: t }";

#[test]
fn a1_a38_d3_changes_come_from_change_tracking_alone_and_nothing_is_written() {
    let mut database = Database::new();
    database.table("t", T);
    database.sql("INSERT dbo.t VALUES (1, 0)");
    let Some(simulator) = database.simulator().cloned() else { return };
    simulator.faults().record();
    let host = database.pipeline(&["tables: [{ start: snapshot-first }]", "headers: none"]);
    drain(&host);
    let recorded = simulator.faults().recorded();
    database.sql("UPDATE dbo.t SET v = 1");
    // that one is the test's own
    drop(simulator.faults().recorded());
    drain(&host);
    let asked: Vec<String> = recorded.into_iter().chain(simulator.faults().recorded()).collect();
    assert!(asked.iter().any(|text| text.contains("CHANGETABLE(CHANGES [dbo].[t]")), "{asked:?}");
    for text in &asked {
        for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            let first = statement.split_whitespace().next().unwrap_or_default();
            assert!(["SELECT", "SET", "BEGIN", "COMMIT"].contains(&first), "{statement}");
        }
        assert!(!text.to_lowercase().contains("cdc."), "{text}");
    }
    assert_eq!(short(&records(&host)), ["r id=1 v=0", "u id=1 v=1"]);
}

#[test]
fn a6_changes_of_a_table_keep_their_order_with_several_threads() {
    let mut database = Database::new();
    for name in ["a", "b", "c"] {
        database.table(name, T);
    }
    let settings = ["tables: [{ start: 0 }]", "headers: none", "threads: 3", "batches_per_visit: 1"];
    let host = database.pipeline_with(&settings, SINK, ", batch_changes: 3");
    let mut process = start(&host);
    for round in 0..20 {
        for name in ["a", "b", "c"] {
            database.sql(&format!("INSERT dbo.{name} VALUES ({round}, 0); UPDATE dbo.{name} SET v = {round} WHERE id = 0"));
        }
    }
    // the last value of the first row, and every row
    process.wait_until("all changes", PATIENCE, || {
        let all = records(&host);
        ["a", "b", "c"].iter().all(|name| {
            let rows = replay(&all, name, &["id"]);
            rows.len() == 20 && rows["0"]["v"] == 19
        })
    });
    stop(process);
    for name in ["a", "b", "c"] {
        let versions: Vec<u64> =
            records(&host).iter().filter(|record| record["_table"] == name).map(|record| record["_pos"].as_u64().unwrap()).collect();
        assert!(versions.is_sorted(), "{name}: {versions:?}");
    }
}

#[test]
fn a7_threads_without_work_ask_for_nothing() {
    let mut database = Database::new();
    database.table("t", T);
    database.table("other", T);
    database.sql("INSERT dbo.t VALUES (1, 0)");
    let Some(simulator) = database.simulator().cloned() else { return };
    let host = database.pipeline(&["tables: [{ start: 0 }]", "headers: none", "threads: 8"]);
    let mut process = start(&host);
    wait_for(&mut process, &host, 1);
    let place = format!("ct:{}.dbo.other", database.name);
    process.wait_until("the place of the quiet table", PATIENCE, || lanes(&host)[&place]["version"] == 1);
    simulator.faults().record();
    let mut looks = 0;
    process.wait_until("ten looks at all tables", PATIENCE, || {
        let asked = simulator.faults().recorded();
        assert!(!asked.iter().any(|text| text.contains("CHANGETABLE") || text.contains("BEGIN")), "{asked:?}");
        looks += asked.iter().filter(|text| *text == "SELECT CHANGE_TRACKING_CURRENT_VERSION()").count();
        looks >= 10
    });
    stop(process);
}

#[test]
fn a12_a35_no_more_connections_are_open_than_threads_and_the_one_that_looks() {
    let mut database = Database::new();
    for n in 0..6 {
        database.table(&format!("t{n}"), T);
        let rows: Vec<String> = (0..50).map(|id| format!("({id}, 0)")).collect();
        database.sql(&format!("INSERT dbo.t{n} VALUES {}", rows.join(", ")));
    }
    let Some(simulator) = database.simulator().cloned() else { return };
    let own = simulator.connections();
    let settings = ["tables: [{ start: 0 }]", "headers: none", "threads: 2", "batches_per_visit: 1"];
    let host = database.pipeline_with(&settings, SINK, ", batch_changes: 10");
    let most = Arc::new(AtomicUsize::new(0));
    // at least two queries for each table
    for _ in 0..12 {
        let (other, most) = (simulator.clone(), most.clone());
        let count = move || {
            most.fetch_max(other.connections(), Ordering::SeqCst);
        };
        simulator.plan("LEFT OUTER JOIN", Fault::Before(Box::new(count)));
    }
    drain(&host);
    assert_eq!(records(&host).len(), 300);
    assert_eq!(simulator.faults().left(), 0);
    let most = most.load(Ordering::SeqCst) - own;
    assert!((2..=3).contains(&most), "{most}");
}

#[test]
fn a29_the_server_is_asked_at_each_interval_and_not_between() {
    let mut database = Database::new();
    database.table("t", T);
    let Some(simulator) = database.simulator().cloned() else { return };
    let look = |text: &String| text.contains("t.name LIKE @P2 ORDER BY");
    let (mut looks, mut later, mut own) = (0, 0, BTreeSet::new());
    simulator.faults().record();
    // an hour, and next to nothing
    let hosts = [database.pipeline(&["headers: none", "interval: 1h"]), database.pipeline(&["headers: none"])];
    let mut slow = hosts[0].spawn();
    slow.wait_until("the looks of the check and of the start", PATIENCE, || {
        let recorded = simulator.faults().recorded_by_session();
        looks += recorded.iter().filter(|(_, text)| look(text)).count();
        own.extend(recorded.into_iter().map(|(session, _)| session));
        looks >= 2
    });
    let mut quick = hosts[1].spawn();
    quick.wait_until("a hundred looks of another one", PATIENCE, || {
        later += simulator.faults().recorded().iter().filter(|text| look(text)).count();
        later >= 100
    });
    stop(quick);
    simulator.faults().recorded();
    database.sql("INSERT dbo.t VALUES (1, 0)");
    let began = Instant::now();
    slow.wait_until("a second without a look", PATIENCE, || began.elapsed() >= Duration::from_secs(1));
    let asked = simulator.faults().recorded_by_session();
    stop(slow);
    let asked: Vec<_> = asked.into_iter().filter(|(session, _)| own.contains(session)).collect();
    assert!(!asked.iter().any(|(_, text)| look(text) || text.contains("CHANGETABLE")), "{asked:?}");
}

/// What a session asked from the one text to the other, each in short.
fn asked_between(recorded: &[(i64, String)], first: &str, last: &str, wanted: &str) -> Option<Vec<&'static str>> {
    const SHORT: [(&str, &str); 6] = [
        ("BEGIN TRANSACTION", "begin"),
        ("COMMIT TRANSACTION", "commit"),
        ("OBJECT_ID(@P1)", "standing"),
        ("WHERE EXISTS", "changed"),
        ("LEFT OUTER JOIN [dbo]", "changes"),
        ("SELECT CHANGE_TRACKING_CURRENT_VERSION()", "current"),
    ];
    let name = |text: &str| SHORT.iter().find(|(part, _)| text.contains(part)).map_or("other", |(_, name)| *name);
    let session = recorded.iter().find(|(_, text)| text.contains(wanted))?.0;
    let own: Vec<&str> = recorded.iter().filter(|(of, _)| *of == session).map(|(_, text)| text.as_str()).collect();
    let at = own.iter().position(|text| text.contains(wanted))?;
    let from = own[..at].iter().rposition(|text| text.contains(first))?;
    let to = at + own[at..].iter().position(|text| text.contains(last))?;
    Some(own[from..=to].iter().map(|text| name(text)).collect())
}

#[test]
fn d17_version_checks_and_changes_are_of_one_snapshot() {
    let mut database = Database::new();
    for name in ["a", "b", "c"] {
        database.table(name, T);
    }
    let Some(simulator) = database.simulator().cloned() else { return };
    let host = database.pipeline(&["tables: [{ start: 0 }]", "headers: none"]);
    let mut process = start(&host);
    database.sql("INSERT dbo.a VALUES (1, 0)");
    wait_for(&mut process, &host, 1);
    simulator.faults().record();
    database.sql("INSERT dbo.a VALUES (2, 0)");
    wait_for(&mut process, &host, 2);
    stop(process);
    let recorded = simulator.faults().recorded_by_session();
    let (begin, commit) = ("BEGIN TRANSACTION", "COMMIT TRANSACTION");
    assert_eq!(asked_between(&recorded, begin, commit, "LEFT OUTER JOIN [dbo].[a]").unwrap(), ["begin", "standing", "changes", "commit"]);
    // which tables changed at all is asked of one instant, too
    assert_eq!(asked_between(&recorded, begin, commit, "WHERE EXISTS").unwrap(), ["begin", "current", "changed", "commit"]);
}

#[test]
fn a29_queries_per_second_bound_all_threads_together() {
    let mut database = Database::new();
    for n in 0..8 {
        database.table(&format!("t{n}"), T);
        database.sql(&format!("INSERT dbo.t{n} VALUES (1, 0)"));
    }
    let host = database.pipeline(&["tables: [{ start: 0 }]", "headers: none", "threads: 8", "queries_per_second: 10"]);
    let began = Instant::now();
    drain(&host);
    // of eight queries, seven wait for the one before them
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    assert_eq!(records(&host).len(), 8);
}

#[test]
fn a33_settings_are_a_list_and_others_are_refused_by_name() {
    let database = Database::new();
    let ended = database.pipeline(&["trust_server_certificate: true"]).run(&["check", "pipeline.yaml"], PATIENCE);
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("trust_server_certificate") && ended.stderr.contains("ca_file"), "{}", ended.stderr);
}

#[test]
fn a40_the_pipeline_s_name_is_told_with_what_it_did() {
    let mut database = Database::new();
    database.table("t", T);
    let log = drain(&database.pipeline(&[]));
    assert!(log.contains(r#""pipeline":"t""#), "{log}");
}
