//! Several databases in one pipeline.

use super::server::*;
use sluicegate_mssql_simulator::Simulator;

const T: &str = "id int NOT NULL PRIMARY KEY, v int NULL";

/// A second database beside the first.
struct Second {
    name: String,
    simulator: Simulator,
}

impl Second {
    fn beside(database: &Database) -> Option<Self> {
        let second = Self { name: format!("{}_2", database.name), simulator: database.simulator()?.clone() };
        second.simulator.run("master", &format!("CREATE DATABASE {}", second.name)).expect("a database");
        second.sql("ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON");
        second.sql("ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON");
        Some(second)
    }

    fn sql(&self, text: &str) {
        self.simulator.run(&self.name, text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    }

    fn table(&self, name: &str) {
        self.sql(&format!("CREATE TABLE dbo.{name} ({T})"));
        self.sql(&format!("ALTER TABLE dbo.{name} ENABLE CHANGE_TRACKING"));
    }
}

/// Each record's database, table and key, in order of their text.
fn told(host: &sluicegate_harness::host::Sluicegate, database: &Database) -> Vec<String> {
    let place = |record: &serde_json::Value| {
        let number = if record["_database"] == database.name.as_str() { 1 } else { 2 };
        format!("{number}.{}.{}", record["_table"].as_str().unwrap(), record["id"])
    };
    let mut all: Vec<String> = records(host).iter().map(place).collect();
    all.sort();
    all
}

#[test]
fn tables_of_several_databases_are_lanes_of_one_pipeline() {
    let mut database = Database::new();
    let Some(second) = Second::beside(&database) else { return };
    database.table("t", T);
    database.table("u", T);
    second.table("t");
    second.table("u");
    let both = format!("databases: [{}, {}]", database.name, second.name);
    // the table u of the second one only
    let tables = format!("tables: [{{ like: t, start: 0 }}, {{ database: {}, like: u, start: 0 }}]", second.name);
    let host = database.pipeline(&[&both, &tables, "headers: none", "threads: 2"]);
    for id in 1..=3 {
        database.sql(&format!("INSERT dbo.t VALUES ({id}, 0); INSERT dbo.u VALUES ({id}, 0)"));
    }
    second.sql("INSERT dbo.t VALUES (1, 0); INSERT dbo.u VALUES (1, 0)");
    drain(&host);
    assert_eq!(told(&host, &database), ["1.t.1", "1.t.2", "1.t.3", "2.t.1", "2.u.1"]);
    let places = lanes(&host);
    assert_eq!(places.keys().filter(|lane| lane.ends_with(".t")).count(), 2);
    assert_eq!(places.len(), 3);
    let mut process = start(&host);
    second.sql("INSERT dbo.t VALUES (2, 0)");
    database.sql("INSERT dbo.t VALUES (4, 0)");
    wait_for(&mut process, &host, 7);
    stop(process);
    drain(&host);
    assert_eq!(told(&host, &database).len(), 7);
}

#[test]
fn d20_each_database_is_the_one_that_it_was() {
    let mut database = Database::new();
    let Some(second) = Second::beside(&database) else { return };
    database.table("t", T);
    second.table("t");
    let both = format!("databases: [{}, {}]", database.name, second.name);
    let host = database.pipeline(&[&both, "tables: [{ start: 0 }]", "headers: none", "lost_position: re-initialise"]);
    database.sql("INSERT dbo.t VALUES (1, 0)");
    second.sql("INSERT dbo.t VALUES (1, 0)");
    drain(&host);
    second.simulator.run("master", &format!("DROP DATABASE {}", second.name)).expect("it is dropped");
    let Some(second) = Second::beside(&database) else { return };
    second.table("t");
    second.sql("INSERT dbo.t VALUES (7, 0)");
    database.sql("INSERT dbo.t VALUES (2, 0)");
    drain(&host);
    let of = |name: &str| short(&records(&host).into_iter().filter(|r| r["_database"] == name).collect::<Vec<_>>());
    assert_eq!(of(&database.name), ["c id=1 v=0", "c id=2 v=0"]);
    assert_eq!(of(&second.name), ["c id=1 v=0", "t ", "r id=7 v=0"]);
}

#[test]
fn a25_no_more_data_is_told_once_for_all_databases() {
    let mut database = Database::new();
    let Some(second) = Second::beside(&database) else { return };
    database.table("t", T);
    second.table("t");
    database.sql("INSERT dbo.t VALUES (1, 0)");
    second.sql("INSERT dbo.t VALUES (1, 0)");
    let both = format!("databases: [{}, {}]", database.name, second.name);
    let host = database.pipeline(&[&both, "tables: [{ start: 0 }]", "headers: none", "events: true"]);
    drain(&host);
    let all = records(&host);
    let events: Vec<&str> = all.iter().filter_map(|record| record.get("event")?.as_str()).collect();
    assert_eq!((events.len(), events.iter().filter(|event| **event == "no-more-data").count()), (5, 1), "{events:?}");
    let last = all.last().unwrap();
    assert_eq!((&last["event"], &last["changes"]), (&"no-more-data".into(), &2.into()));
}

#[test]
fn d5_the_check_tells_what_is_missing_by_database() {
    let mut database = Database::new();
    let Some(second) = Second::beside(&database) else { return };
    database.table("t", T);
    second.sql("ALTER DATABASE CURRENT SET CHANGE_TRACKING = OFF");
    let both = format!("databases: [{}, {}]", database.name, second.name);
    let ended = database.pipeline(&[&both]).run(&["check", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    let text = ended.stdout + &ended.stderr;
    assert!(text.contains(&format!("database {}: Change Tracking is off", second.name)), "{text}");
    assert!(text.contains(&format!("database {}: on, at version 0", database.name)), "{text}");
    let wrong = [
        (vec![both, "tables: [{ database: elsewhere }]".to_owned()], "does not read the database `elsewhere`"),
        (vec!["databases: [a, A]".to_owned()], "named twice"),
        (vec!["databases: [a]".to_owned(), "database: b".to_owned()], "`database` says it, too"),
    ];
    for (settings, part) in wrong {
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let ended = database.pipeline(&settings).run(&["check", "pipeline.yaml"], PATIENCE);
        assert!(!ended.status.success() && ended.stderr.contains(part), "{part}\n{}", ended.stderr);
    }
}
