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

/// A pipeline that masks columns of `dbo.t`, and has delivered a row of it.
fn masking(closed: bool, database: &mut Database) -> Sluicegate {
    database.table("t", "id int NOT NULL PRIMARY KEY, email varchar(40) NULL, note varchar(40) NULL");
    let host = with_plugins(database, &["headers: none"], &mask(closed, &["email"]));
    let mut process = start(&host);
    database.sql("INSERT dbo.t VALUES (1, 'secret1', 'a')");
    wait_for(&mut process, &host, 1);
    stop(process);
    host
}

fn mask(closed: bool, columns: &[&str]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| format!("{{ column: {column}, mask: {{}} }}")).collect();
    let columns = columns.join(", ");
    format!(
        "{{ use: rewrite-columns, name: mask, fail_closed: {closed}, config: {{ tables: [{{ table: '*.dbo.*', columns: [{columns}] }}] }} }}"
    )
}

#[test]
fn a_treated_column_that_leaves_its_name_to_another_one_between_two_runs_is_not_passed_on() {
    let taken = ["EXEC sp_rename 'dbo.t.email', 'contact', 'COLUMN'", "ALTER TABLE dbo.t ADD email varchar(40) NULL"];
    let exchanged = [
        "EXEC sp_rename 'dbo.t.email', 'between', 'COLUMN'",
        "EXEC sp_rename 'dbo.t.note', 'email', 'COLUMN'",
        "EXEC sp_rename 'dbo.t.between', 'note', 'COLUMN'",
    ];
    for (closed, statements, name) in
        [(false, &taken[..], "contact"), (true, &taken, "contact"), (false, &exchanged, "note"), (true, &exchanged, "note")]
    {
        let mut database = Database::new();
        let host = masking(closed, &mut database);
        statements.iter().for_each(|statement| database.sql(statement));
        database.sql(&format!("INSERT dbo.t (id, {name}) VALUES (2, 'secret2')"));
        let what = format!("the column `{name}`, which the plugin would pass on as it is, is the one that was called `email`");
        let checked = host.run(&["check", "pipeline.yaml"], PATIENCE);
        assert_eq!(checked.status.code(), Some(3), "{closed} {name}: {}", checked.stdout);
        assert!(checked.stdout.contains(&what), "{closed} {name}: {}", checked.stdout);
        // at each start
        for _ in 0..2 {
            let ended = host.run(&["run", "--until-drained", "pipeline.yaml"], PATIENCE);
            assert!(!ended.status.success() && ended.stderr.contains(&what), "{closed} {name}: {}", ended.stderr);
            assert_eq!(records(&host).len(), 1, "{closed} {name}");
        }
        let text = std::fs::read_to_string(host.path("pipeline.yaml")).expect("the pipeline file");
        host.write_pipeline(&text.replace(&mask(closed, &["email"]), &mask(closed, &["email", name])));
        drain(&host);
        let all = records(&host);
        assert_eq!((all.len(), all[1]["id"].as_i64()), (2, Some(2)), "{closed} {name}");
        assert!(!format!("{all:?}").contains("secret"), "{all:?}");
    }
}

#[test]
fn columns_that_are_as_before_or_new_are_no_reason_to_stop_after_a_restart() {
    let mut database = Database::new();
    let host = masking(true, &mut database);
    database.sql("ALTER TABLE dbo.t ADD more varchar(40) NULL");
    database.sql("EXEC sp_rename 'dbo.t.note', 'remark', 'COLUMN'");
    database.sql("INSERT dbo.t (id, email, remark) VALUES (2, 'secret2', 'b')");
    let checked = host.run(&["check", "pipeline.yaml"], PATIENCE);
    assert!(checked.status.success(), "{}", checked.stdout);
    drain(&host);
    drain(&host);
    assert_eq!(records(&host)[1]["remark"], "b");
    // of a table that was made anew, nothing is known by its numbers
    database.sql("DROP TABLE dbo.t");
    database
        .table("t", "id int NOT NULL PRIMARY KEY, size int NULL, email varchar(40) NULL, remark varchar(40) NULL, more varchar(40) NULL");
    let text = std::fs::read_to_string(host.path("pipeline.yaml")).expect("the pipeline file");
    host.write_pipeline(&text.replace("headers: none", "headers: none\n  lost_position: re-initialise"));
    database.sql("INSERT dbo.t VALUES (3, 9, 'secret3', 'c', NULL)");
    drain(&host);
    let all = records(&host);
    assert!(all.iter().any(|record| record["id"] == 3) && !format!("{all:?}").contains("secret"), "{all:?}");
}
