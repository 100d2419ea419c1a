//! The copy of a table and its changes, as one history.

use super::server::*;
use sluicegate_mssql_simulator::Fault;

const SMALL: &str = ", batch_changes: 10";
const SINK: &str = "{ type: file, format: flat, folder: out, prefix: t }";

fn rows(count: usize) -> String {
    (0..count).map(|id| format!("({id}, 0)")).collect::<Vec<_>>().join(", ")
}

#[test]
fn a2_d19_rows_that_are_older_than_tracking_are_copied_and_then_changes_follow() {
    let mut database = Database::new();
    database.sql("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v int NULL)");
    database.sql(&format!("INSERT dbo.t VALUES {}", rows(35)));
    database.sql("ALTER TABLE dbo.t ENABLE CHANGE_TRACKING");
    let host = database.pipeline_with(&["tables: [{ start: snapshot-first }]", "headers: none"], SINK, SMALL);
    drain(&host);
    database.sql("UPDATE dbo.t SET v = 1 WHERE id = 7; INSERT dbo.t VALUES (99, 9)");
    drain(&host);
    let all = records(&host);
    assert_eq!(all.iter().filter(|record| record["_op"] == "r").count(), 35);
    assert_eq!(short(&all)[35..], ["u id=7 v=1", "c id=99 v=9"]);
}

#[test]
fn d19_what_changes_while_a_table_is_copied_ends_as_the_table_is() {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY, v int NULL");
    database.sql(&format!("INSERT dbo.t VALUES {}", rows(50)));
    let settings = ["tables: [{ start: snapshot-first }]", "headers: none", "batches_per_visit: 1"];
    let host = database.pipeline_with(&settings, SINK, SMALL);
    let Some(simulator) = database.simulator().cloned() else { return };
    let statements = [
        "UPDATE dbo.t SET v = 1 WHERE id = 2",
        "DELETE dbo.t WHERE id = 45; INSERT dbo.t VALUES (1000, 0)",
        "UPDATE dbo.t SET id = 44, v = 4 WHERE id = 1; DELETE dbo.t WHERE id = 30",
    ];
    // the second of two with one key would be refused
    let statements = [statements[0], statements[1], "DELETE dbo.t WHERE id = 44; UPDATE dbo.t SET id = 44 WHERE id = 1"];
    for statement in statements {
        let (other, name) = (simulator.clone(), database.name.clone());
        let change = move || drop(other.run(&name, statement).expect("a change"));
        simulator.plan("FROM [dbo].[t] AS t WHERE", Fault::Before(Box::new(change)));
    }
    drain(&host);
    let found: Vec<(String, i64)> =
        replay(&records(&host), "t", &["id"]).into_iter().map(|(id, row)| (id, row["v"].as_i64().unwrap())).collect();
    let mut expected: Vec<(String, i64)> =
        (0..50).filter(|id| ![1, 45].contains(id)).map(|id| (id.to_string(), i64::from(id == 2))).collect();
    expected.push(("1000".into(), 0));
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn d19_a_copy_that_is_killed_goes_on_at_its_last_key() {
    let mut database = Database::new();
    database.table(
        "t",
        "code varchar(20) COLLATE Latin1_General_CI_AS NOT NULL, n uniqueidentifier NOT NULL, v int NULL, PRIMARY KEY (code, n)",
    );
    let key = |id: usize| format!("('{}{}', '{:08X}-0000-0000-0000-{:012X}', {id})", ["b", "A", "a''", "C"][id % 4], id / 8, id * 7919, id);
    let values: Vec<String> = (0..200).map(key).collect();
    database.sql(&format!("INSERT dbo.t VALUES {}", values.join(", ")));
    let settings = ["tables: [{ start: snapshot-first }]", "headers: none", "batches_per_visit: 1", "queries_per_second: 30"];
    let host = database.pipeline_with(&settings, SINK, SMALL);
    let lane = format!("ct:{}.dbo.t", database.name);
    for _ in 0..2 {
        let before = lanes(&host).get(&lane).map(|place| place["copying"].clone());
        let mut process = host.spawn();
        process.wait_until("a later place in the copy", PATIENCE, || {
            let place = lanes(&host).get(&lane).map(|place| place["copying"].clone());
            place.as_ref().is_some_and(|key| key.as_array().is_some_and(|key| !key.is_empty())) && place != before
        });
        process.kill9();
    }
    drain(&host);
    let all = records(&host);
    assert_eq!(all.len(), 200, "each row once");
    assert_eq!(replay(&all, "t", &["code", "n"]).len(), 200);
}

#[test]
fn no_key_of_a_row_is_logged_where_a_copy_goes_on() {
    let mut database = Database::new();
    database.table("t", "email varchar(40) NOT NULL PRIMARY KEY");
    let rows: Vec<String> = (0..30).map(|id| format!("('someone{id:02}@example.com')")).collect();
    database.sql(&format!("INSERT dbo.t VALUES {}", rows.join(", ")));
    let Some(simulator) = database.simulator() else { return };
    let settings = ["tables: [{ start: snapshot-first }]", "headers: none", "batches_per_visit: 1", "retries: 1"];
    let host = database.pipeline_with(&settings, SINK, SMALL);
    for _ in 0..2 {
        simulator.plan("FROM [dbo].[t] AS t WHERE", Fault::deadlock());
    }
    let ended = host.run(&["run", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(lanes(&host).values().any(|place| place["copying"][0] == "someone09@example.com"), "{:?}", lanes(&host));
    let log = drain(&host);
    assert!(log.contains("streaming from this position on") && !log.contains("@example.com"), "{log}");
    assert_eq!(records(&host).len(), 30);
}
