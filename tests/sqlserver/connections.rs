//! How the program connects, and what each connection does first.

use super::server::*;
use sluicegate_mssql_simulator::{Fault, Simulator};

const T: &str = "id int NOT NULL PRIMARY KEY, v int NULL";

fn authority() -> String {
    format!("ca_file: {}", Simulator::AUTHORITY)
}

/// `check` refuses the connection, and says all of that.
#[track_caller]
fn refused(database: &Database, settings: &[&str], parts: &[&str]) {
    let ended = database.pipeline(settings).run(&["check", "pipeline.yaml"], PATIENCE);
    let told = ended.stdout + &ended.stderr;
    assert_eq!(ended.status.code(), Some(3), "{told}");
    for part in parts {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(!told.contains(Simulator::PASSWORD), "{told}");
}

#[test]
fn rows_come_over_tls_when_the_certificate_is_of_the_authority_and_names_the_host() {
    let mut database = Database::secured("right");
    database.table("t", T);
    let host = database.pipeline(&["tls: verify-identity", &authority(), "tables: [{ start: 0 }]", "headers: none"]);
    database.sql("INSERT dbo.t VALUES (1, 5)");
    drain(&host);
    host.write_pipeline(&database.text(&["tls: required", "headers: none"], "{ type: file, format: flat, folder: out, prefix: t }", ""));
    database.sql("INSERT dbo.t VALUES (2, 6)");
    drain(&host);
    assert_eq!(short(&records(&host)), ["c id=1 v=5", "c id=2 v=6"]);
}

#[test]
fn a_certificate_of_another_host_or_of_an_unknown_authority_is_refused() {
    let mut database = Database::secured("wrong");
    database.table("t", T);
    let authority = authority();
    refused(&database, &["tls: verify-identity", &authority], &["TLS failed", "certificate", "ca_file"]);
    let mut database = Database::secured("right");
    database.table("t", T);
    refused(&database, &["tls: verify-identity"], &["TLS failed", "certificate", "ca_file"]);
    refused(&database, &["tls: verify-identity", "ca_file: /nowhere/ca.pem"], &["cannot read the certificates", "ca_file"]);
}

#[test]
fn a_server_that_takes_nothing_in_clear_is_not_talked_to_in_clear() {
    let database = Database::secured("right");
    let ended = database.pipeline(&["tls: disabled"]).run(&["check", "pipeline.yaml"], PATIENCE);
    assert!(!ended.status.success() && ended.stderr.contains("cannot connect to"), "{}", ended.stderr);
}

#[test]
fn a39_each_isolation_level_is_set_and_delivers() {
    let mut database = Database::new();
    database.table("t", T);
    let Some(simulator) = database.simulator().cloned() else { return };
    for (number, level) in ["snapshot", "read-committed", "repeatable-read", "serializable"].into_iter().enumerate() {
        let host = database.pipeline(&["tables: [{ start: 0 }]", "headers: none", &format!("isolation: {level}")]);
        database.sql(&format!("INSERT dbo.t VALUES ({number}, 0)"));
        simulator.faults().record();
        drain(&host);
        assert_eq!(records(&host).len(), number + 1, "{level}");
        let set = format!("SET TRANSACTION ISOLATION LEVEL {}", level.replace('-', " ").to_uppercase());
        let was_set = simulator.faults().recorded().iter().any(|text| text.starts_with(&set));
        assert_eq!(was_set, level != "read-committed", "{level}");
    }
}

#[test]
fn a45_an_initial_query_is_the_first_of_each_connection() {
    let mut database = Database::new();
    database.table("t", T);
    database.sql("INSERT dbo.t VALUES (1, 0)");
    let Some(simulator) = database.simulator().cloned() else { return };
    simulator.faults().record();
    let host = database.pipeline(&["tables: [{ start: 0 }]", "headers: none", "initial_query: SELECT 4711"]);
    drain(&host);
    let texts = simulator.faults().recorded();
    let place = |part: &str| texts.iter().position(|text| text.contains(part)).unwrap_or_else(|| panic!("{part} was not sent"));
    assert!(place("SELECT 4711") < place("SERVERPROPERTY"), "{texts:?}");
    assert_eq!(records(&host).len(), 1);
}

#[test]
fn a36_g138_a_query_without_an_answer_is_given_up_and_asked_on_another_connection() {
    let mut database = Database::new();
    database.table("t", T);
    database.sql("INSERT dbo.t VALUES (1, 0), (2, 0)");
    let Some(simulator) = database.simulator().cloned() else { return };
    let host = database.pipeline(&["tables: [{ start: 0 }]", "headers: none", "query_timeout: 1s"]);
    simulator.plan("LEFT OUTER JOIN [dbo].[t]", Fault::Hang);
    let log = drain(&host);
    assert_eq!(short(&records(&host)), ["c id=1 v=0", "c id=2 v=0"]);
    assert!(log.contains("no answer in time") && !log.contains("command_timeout"), "{log}");
}

#[test]
fn a5_a_table_is_read_while_another_one_waits_for_its_answer() {
    let mut database = Database::new();
    for name in ["slow", "quick"] {
        database.table(name, T);
        database.sql(&format!("INSERT dbo.{name} VALUES (1, 0)"));
    }
    let Some(simulator) = database.simulator().cloned() else { return };
    simulator.plan("LEFT OUTER JOIN [dbo].[slow]", Fault::Hang);
    let host = database.pipeline(&["tables: [{ start: 0 }]", "threads: 2"]);
    let mut process = start(&host);
    wait_for(&mut process, &host, 1);
    stop(process);
    assert_eq!(records(&host)[0]["_table"], "quick");
}

#[test]
fn a38_g89_a_listener_sends_readers_on_to_the_replica_that_answers_and_a_read_only_one_is_refused() {
    let mut database = Database::new();
    database.table("t", T);
    database.sql("INSERT dbo.t VALUES (1, 0)");
    let Some(listener) = database.simulator().cloned() else { return };
    let replica = Simulator::start();
    let name = database.name.clone();
    let run = |database: &str, text: &str| {
        replica.run(database, text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    };
    run("master", &format!("CREATE DATABASE {name}"));
    run(&name, "ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON");
    run(&name, &format!("CREATE TABLE dbo.t ({T})"));
    run(&name, "ALTER TABLE dbo.t ENABLE CHANGE_TRACKING");
    run(&name, "INSERT dbo.t VALUES (2, 0)");
    listener.faults().route_read_only(Some(("127.0.0.1".to_owned(), replica.port())));
    let settings = ["tables: [{ start: 0 }]", "headers: none"];
    let host = database.pipeline(&[settings[0], settings[1], "read_only_intent: true"]);
    drain(&host);
    assert_eq!(short(&records(&host)), ["c id=2 v=0"]);
    let host = database.pipeline(&settings);
    drain(&host);
    assert_eq!(short(&records(&host)), ["c id=1 v=0"]);
    replica.set_secondary(&name, true);
    refused(&database, &["read_only_intent: true"], &["secondary replica", "read_only_intent"]);
}
