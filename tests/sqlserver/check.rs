//! What `check` tells, each fault with the statement that cures it.

use super::server::*;

fn check(host: &sluicegate_harness::host::Sluicegate, code: i32) -> String {
    let ended = host.run(&["check", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(code), "{}{}", ended.stdout, ended.stderr);
    ended.stdout + &ended.stderr
}

#[test]
fn d5_a_database_that_is_ready() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY");
    let text = check(&database.pipeline(&[]), 0);
    for part in
        ["SQL Server", "on, at version 0", "changes are kept for 7 days", "SNAPSHOT", "1 match, all with Change Tracking", "may read"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn d5_tables_that_match_and_are_not_tracked_are_told_with_the_statement() {
    let mut database = Database::new();
    database.sql("CREATE TABLE dbo.[odd]]name] (id int NOT NULL PRIMARY KEY)");
    let text = check(&database.pipeline(&[]), 3);
    assert!(text.contains("ALTER TABLE [dbo].[odd]]name] ENABLE CHANGE_TRACKING"), "{text}");
    database.table("t", "id int NOT NULL PRIMARY KEY");
    let text = check(&database.pipeline(&[]), 0);
    assert!(text.contains("nothing of them is read"), "{text}");
}

#[test]
fn d17_p22_a_database_without_snapshot_isolation_is_warned_of_or_refused() {
    let mut database = Database::without_snapshot();
    database.table("t", "id int NOT NULL PRIMARY KEY");
    let text = check(&database.pipeline(&[]), 0);
    assert!(text.contains("ALLOW_SNAPSHOT_ISOLATION ON"), "{text}");
    check(&database.pipeline(&["isolation: snapshot"]), 3);
}

#[test]
fn a3_d22_g84_missing_grants_are_named() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY");
    let Some(simulator) = database.simulator() else { return };
    simulator.login("poor", "Poor-1");
    let name = database.name.clone();
    database.sql("GRANT SELECT ON dbo.t TO poor");
    let settings = database.text(&[], "{ type: stdout, format: flat }", "").replace("user: sa", "user: poor");
    let host = sluicegate_harness::host::Sluicegate::new(BINARY, &settings).env("MSSQL_PASSWORD", "Poor-1");
    let text = check(&host, 3);
    assert!(text.contains("GRANT VIEW CHANGE TRACKING ON [dbo].[t]"), "{name}\n{text}");
    database.sql("GRANT VIEW CHANGE TRACKING ON dbo.t TO poor");
    check(&host, 0);
}

#[test]
fn a32_g91_a_wrong_password_and_an_unknown_database_are_told_without_the_password() {
    let database = Database::new();
    let text = database.text(&[], "{ type: stdout, format: flat }", "");
    let host = sluicegate_harness::host::Sluicegate::new(BINARY, &text).env("MSSQL_PASSWORD", "Wr0ng-pass");
    let told = check(&host, 3);
    assert!(told.contains("18456") && !told.contains("Wr0ng-pass"), "{told}");
    let host = database.pipeline(&[]);
    host.write_pipeline(&text.replace(&format!("database: {}", database.name), "database: nowhere"));
    let told = check(&host, 3);
    assert!(told.contains("4060") || told.contains("18456"), "{told}");
}

#[test]
fn d5_change_tracking_that_is_off_for_the_database_is_told_with_the_statement() {
    let mut database = Database::new();
    database.sql("ALTER DATABASE CURRENT SET CHANGE_TRACKING = OFF");
    let text = check(&database.pipeline(&[]), 3);
    assert!(text.contains("SET CHANGE_TRACKING = ON"), "{text}");
}

#[test]
fn d10_a_retention_that_is_short_or_without_end_is_warned_of() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY");
    database.sql("ALTER DATABASE CURRENT SET CHANGE_TRACKING (CHANGE_RETENTION = 30 MINUTES)");
    let text = check(&database.pipeline(&[]), 0);
    assert!(text.contains("changes are kept for 30 minutes") && text.contains("CHANGE_RETENTION = 7 DAYS"), "{text}");
    database.sql("ALTER DATABASE CURRENT SET CHANGE_TRACKING (AUTO_CLEANUP = OFF)");
    let text = check(&database.pipeline(&[]), 0);
    assert!(text.contains("AUTO_CLEANUP is off") && text.contains("AUTO_CLEANUP = ON"), "{text}");
}

/// The pipeline of an account without any grant yet.
fn poor(database: &Database, settings: &[&str]) -> sluicegate_harness::host::Sluicegate {
    database.simulator().expect("a simulator").login("poor", "Poor-1");
    let text = database.text(settings, "{ type: stdout, format: flat }", "").replace("user: sa", "user: poor");
    sluicegate_harness::host::Sluicegate::new(BINARY, &text).env("MSSQL_PASSWORD", "Poor-1")
}

#[test]
fn a20_g84_tracking_only_asks_for_the_key_and_no_more() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY, secret int NULL");
    if database.simulator().is_none() {
        return;
    }
    let host = poor(&database, &["record: tracking-only", "tables: [{ start: 0 }]", "headers: none"]);
    database.sql("GRANT VIEW CHANGE TRACKING ON dbo.t TO poor");
    let text = check(&host, 3);
    assert!(text.contains("GRANT SELECT ([id]) ON [dbo].[t] TO [the account];"), "{text}");
    database.sql("GRANT SELECT (id) ON dbo.t TO poor");
    check(&host, 0);
    database.sql("INSERT dbo.t VALUES (5, 6)");
    let ended = host.run(&["run", "--until-drained", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success() && ended.stdout.contains(r#""id":5"#) && !ended.stdout.contains("secret"), "{}", ended.stderr);
}

#[test]
fn d22_what_the_server_hides_from_the_account_without_an_error_is_told() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY, v int NULL");
    let Some(simulator) = database.simulator().cloned() else { return };
    let host = poor(&database, &[]);
    database.sql("GRANT SELECT ON dbo.t TO poor; GRANT VIEW CHANGE TRACKING ON dbo.t TO poor");
    simulator.mask(&database.name, "dbo.t", 2);
    simulator.hide_rows(&database.name, "dbo.t");
    let text = check(&host, 0);
    for part in ["gets the mask in place of their values: v", "GRANT UNMASK", "row-level security may hide rows"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    simulator.mask(&database.name, "dbo.t", 1);
    check(&host, 3);
    // a server that knows neither is not asked
    simulator.set_product_version("12.0.6024.0");
    let text = check(&host, 0);
    assert!(!text.contains("mask") && !text.contains("row-level"), "{text}");
}

#[test]
fn a23_an_encrypted_column_is_refused_by_name() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY, ssn varchar(11) NULL");
    let Some(simulator) = database.simulator() else { return };
    simulator.encrypt(&database.name, "dbo.t", 2);
    let text = check(&database.pipeline(&[]), 3);
    assert!(text.contains("the column ssn is encrypted by Always Encrypted") && text.contains("tracking-only"), "{text}");
    check(&database.pipeline(&["record: tracking-only"]), 0);
}

#[test]
fn an_initial_query_that_the_server_refuses_fails_the_check_and_is_what_the_remedy_names() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY");
    // not understood; and something that is not there
    for query in ["SELECT 1 FROM", "SELECT 1 FROM dbo.nowhere"] {
        let host = database.pipeline(&[&format!("initial_query: {query}")]);
        let text = check(&host, 3);
        assert!(text.contains("the source's `initial_query`: ") && text.contains("Correct `initial_query`"), "{query}\n{text}");
        let ended = host.run(&["run", "--until-drained", "pipeline.yaml"], PATIENCE);
        assert_eq!(ended.status.code(), Some(3), "{query}\n{}", ended.stderr);
        assert!(ended.stderr.contains("Correct `initial_query`") && !ended.stderr.contains("Report it"), "{query}\n{}", ended.stderr);
    }
}

#[test]
fn a_start_behind_the_current_version_is_told_as_what_it_is() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY");
    database.sql("INSERT dbo.t VALUES (1)");
    let host = database.pipeline(&["tables: [{ start: 999999 }]"]);
    let text = check(&host, 3);
    let what = "by its `start`, it begins behind version 999999, and the database has come to version ";
    assert!(text.contains(what) && text.contains("at most `start: ") && !text.contains("restored"), "{text}");
    // a table that is found while it runs
    database.sql("CREATE TABLE dbo.later (id int NOT NULL PRIMARY KEY)");
    host.write_pipeline(&database.text(
        &["tables: [{ like: t, start: now }, { start: 999999 }]"],
        "{ type: file, format: flat, folder: out, prefix: t }",
        "",
    ));
    let process = start(&host);
    database.sql("ALTER TABLE dbo.later ENABLE CHANGE_TRACKING");
    let ended = process.wait(PATIENCE);
    assert!(ended.stderr.contains(what) && ended.stderr.contains("dbo.later"), "{}", ended.stderr);
}

#[test]
fn an_entry_of_the_tables_that_matches_none_is_told_by_check_and_at_the_start() {
    let mut database = Database::new();
    database.table("cust", "id int NOT NULL PRIMARY KEY");
    let told = "entries of `tables` that match no table that the account sees: { schema: dbo, like: 'ordres' }";
    let host = database.pipeline(&["tables: [{ like: cust }, { like: ordres }, { like: 'cus%' }]"]);
    assert!(check(&host, 0).contains(told));
    assert!(drain(&host).contains(told));
    database.table("ordres", "id int NOT NULL PRIMARY KEY");
    assert!(!check(&host, 0).contains("entries of `tables`"));
    assert!(!drain(&host).contains("entries of `tables`"));
    // one for each database may match in one of them alone
    let other = format!("{}_b", database.name);
    database.sql(&format!("CREATE DATABASE {other}"));
    database.sql(&format!("ALTER DATABASE {other} SET CHANGE_TRACKING = ON"));
    let name = database.name.clone();
    database.connect(&other);
    database.table("stock", "id int NOT NULL PRIMARY KEY");
    database.connect(&name);
    let both = format!("databases: [{name}, {other}]");
    let host = database.pipeline(&[&both, "tables: [{ like: cust }, { like: stock }, { like: '%' }, { like: gone }]"]);
    let text = check(&host, 0);
    assert!(text.contains("that the account sees: { schema: dbo, like: 'gone' }"), "{text}");
    database.connect("master");
    database.sql(&format!("DROP DATABASE {other}"));
    database.connect(&name);
}
