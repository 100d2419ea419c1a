//! What `check` finds out about the server.

use super::*;

#[test]
fn check_names_sessions_that_do_not_log_rows() {
    let server = mysql::start(&["--performance-schema=ON"]);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)");
    let source = format!("host: 127.0.0.1, port: {}, {}", server.port(), account(&server));
    let host = Sluicegate::new(BINARY, &pipeline("d", &source, ""));
    let (code, said) = check(&host);
    assert!(code == Some(0) && !said.contains("sessions do not log rows"), "{said}");
    let mut session = server.client();
    session.sql("SET SESSION binlog_format = 'STATEMENT'");
    let id = session.value("SELECT CONNECTION_ID()").expect("an id");
    let (code, said) = check(&host);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("warn  sessions: sessions do not log rows: {id} (cdc, STATEMENT)")), "{said}");
    let ended = host.run(&["check", "--ignore", "sessions", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success() && !ended.stdout.contains("sessions do not log rows"), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn tables_that_differ_in_case_or_accents_only_are_planned_once_each() {
    for server in shared() {
        let database = server.database("alike");
        server.sql(&format!(
            "SET NAMES utf8mb4; CREATE TABLE {database}.cafe (id INT PRIMARY KEY, a INT); CREATE TABLE {database}.Cafe (id INT PRIMARY KEY, b INT);
             CREATE TABLE {database}.café (id INT PRIMARY KEY, c INT)"
        ));
        let source = format!("host: 127.0.0.1, port: {}, {}", server.port(), account(&server));
        let host = Sluicegate::new(BINARY, &pipeline(&database, &source, ""));
        let ended = host.run(&["check", "--effective", "--json", "pipeline.yaml"], PATIENCE);
        assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
        let found: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let tables: Vec<&str> =
            found["tables"].as_array().expect("a list").iter().map(|table| table["table"].as_str().expect("a name")).collect();
        assert_eq!(tables, [format!("{database}.Cafe"), format!("{database}.cafe"), format!("{database}.café")]);
        // only one of them
        host.write_pipeline(&pipeline(&database, &source, "").replace(&format!("'{database}.*'"), &format!("'{database}.cafe'")));
        let ended = host.run(&["check", "--effective", "--json", "pipeline.yaml"], PATIENCE);
        let found: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(found["tables"].as_array().map(Vec::len), Some(1), "{}", ended.stdout);
    }
}

#[test]
fn check_says_who_holds_the_checkpoint() {
    let server = mariadb::shared();
    let database = table(&server, "held");
    let source = format!("host: 127.0.0.1, port: {}, {}", server.port(), account(&server));
    let host = Sluicegate::new(BINARY, &pipeline(&database, &source, ""));
    let process = start(&host);
    let (code, said) = check(&host);
    assert!(code == Some(0) && said.contains(&format!("is in use by process {}", process.pid())), "{said}");
    stop(process);
    let (code, said) = check(&host);
    assert!(code == Some(0) && !said.contains("is in use"), "{said}");
}
