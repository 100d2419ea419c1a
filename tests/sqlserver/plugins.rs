//! What plugins see of a change, and what is done with changes that they reject.

use super::server::*;
use sluicegate_harness::host::Sluicegate;

const SINK: &str = "{ type: file, format: flat, folder: out, prefix: t }";

/// A pipeline with plugins.
fn with_plugins(database: &Database, settings: &[&str], plugins: &str) -> Sluicegate {
    let host = database.pipeline(settings);
    host.write_pipeline(&database.text(settings, SINK, "").replace("\nsinks:", &format!("\nplugins: [{plugins}]\nsinks:")));
    host
}

#[test]
fn a24_plugins_read_what_is_tracked_of_a_change_and_write_headers_beside_it() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY, v int NULL");
    database.sql("INSERT dbo.t VALUES (1, 10), (2, 20), (3, 30)");
    let host = with_plugins(&database, &["tables: [{ start: 1 }]"], "{ file: tracked.wasm }");
    std::fs::write(host.path("tracked.wasm"), sluicegate_guest_builder::tracked()).expect("the plugin is written");
    database.sql("DELETE dbo.t WHERE id = 1");
    database.sql("WITH CHANGE_TRACKING_CONTEXT (0x73796e63) UPDATE dbo.t SET v = 21 WHERE id = 2");
    database.sql("UPDATE dbo.t SET v = 31 WHERE id = 3");
    drain(&host);
    let all = records(&host);
    assert_eq!(short(&all), ["u id=2 v=21", "u id=3 v=31"]);
    let header = |at: usize, name: &str| all[at]["_headers"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!([header(0, "origin"), header(1, "origin")], ["sync", "nobody"]);
    assert_eq!([header(0, "change_operation"), header(1, "change_operation")], ["3", "3"]);
}

#[test]
fn a27_a_record_that_fails_is_left_out_set_aside_or_stops_the_run() {
    for (policy, delivered, aside) in [("skip", 2, 0), ("dead-letter", 2, 1), ("stop", 0, 0)] {
        let mut database = Database::new();
        database.table("t", "id int NOT NULL PRIMARY KEY, v varchar(10) NULL");
        database.sql("INSERT dbo.t VALUES (1, '10'), (2, 'zehn'), (3, '30')");
        let columns = "[{ column: v, cast: int }]";
        let plugin =
            format!("{{ use: rewrite-columns, on_error: {policy}, config: {{ tables: [{{ table: '*.dbo.t', columns: {columns} }}] }} }}");
        let host = with_plugins(&database, &["tables: [{ start: 0 }]", "headers: none"], &plugin);
        let ended = host.run(&["run", "--until-drained", "pipeline.yaml"], PATIENCE);
        assert_eq!(ended.status.success(), policy != "stop", "{policy}: {}", ended.stderr);
        assert!(!ended.stderr.contains("zehn"), "{policy}: {}", ended.stderr);
        if policy != "stop" {
            assert_eq!(records(&host).len(), delivered, "{policy}");
        }
        let letters = std::fs::read_dir(host.path("sluicegate-state/t-dead-letters"));
        let letters = letters.into_iter().flatten().map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("text"));
        assert_eq!(letters.map(|text| text.lines().count()).sum::<usize>(), aside, "{policy}");
    }
}

#[test]
fn a_treated_column_that_leaves_its_name_to_a_new_one_is_not_passed_on() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY, a int NULL, b int NULL");
    let plugin = "{ use: rewrite-columns, config: { tables: [{ table: '*.dbo.t', columns: [{ column: a, cast: text }] }] } }";
    let host = with_plugins(&database, &["headers: none"], plugin);
    let mut process = start(&host);
    database.sql("INSERT dbo.t VALUES (1, 10, 100)");
    wait_for(&mut process, &host, 1);
    database.sql("EXEC sp_rename 'dbo.t.a', 'z', 'COLUMN'");
    database.sql("ALTER TABLE dbo.t ADD a int NULL");
    database.sql("UPDATE dbo.t SET z = 12");
    let ended = process.wait(PATIENCE);
    assert!(ended.stderr.contains("which the plugin would pass on as it is, is the one that was called `a`"), "{}", ended.stderr);
    assert_eq!(short(&records(&host)), ["c id=1 a=\"10\" b=100"]);
}
