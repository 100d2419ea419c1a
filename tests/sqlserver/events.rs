//! Events: what has been read to its end, for now.

use super::server::*;
use serde_json::Value;
use sluicegate_harness::{
    free_port,
    host::{Sluicegate, metric},
};

const T: &str = "id int NOT NULL PRIMARY KEY, v int NULL";

/// The events among the records, in short.
fn events(host: &Sluicegate) -> Vec<String> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map_or_else(String::new, |text| format!(" {text}"));
    let all = records(host);
    let events = all.iter().filter(|record| record["_table"] == "events");
    events.map(|e| format!("{}{}{} {}", e["event"].as_str().unwrap(), text(&e["schema"]), text(&e["table"]), e["changes"])).collect()
}

#[test]
fn a25_a26_each_table_its_schema_and_everything_are_told_to_be_read_once_they_are() {
    let mut database = Database::new();
    for name in ["a", "b", "quiet"] {
        database.table(name, T);
    }
    database.sql("INSERT dbo.a VALUES (1, 1), (2, 2); INSERT dbo.b VALUES (1, 1)");
    let host = database.pipeline(&["tables: [{ start: 0 }]", "headers: none", "events: true"]);
    drain(&host);
    let first = ["table-finished dbo a 2", "table-finished dbo b 1", "schema-finished dbo 3", "no-more-data 3"];
    assert_eq!(events(&host), first);
    let all = records(&host);
    // each behind the rows that it is about
    let places: Vec<&Value> = all.iter().map(|record| &record["_table"]).collect();
    assert_eq!(places, ["a", "a", "events", "b", "events", "events", "events"]);
    // JSON stands in a record as text
    assert_eq!(all[5]["tables"], r#"["a","b","quiet"]"#);
    assert_eq!(
        (&all[6]["_database"], &all[6]["_schema"], &all[6]["_op"]),
        (&database.name.as_str().into(), &"sluicegate".into(), &"c".into())
    );
    // once in each run, and the others only after new changes
    drain(&host);
    assert_eq!(events(&host)[4..], ["no-more-data 0"]);
    database.sql("DELETE dbo.b");
    drain(&host);
    assert_eq!(events(&host)[5..], ["table-finished dbo b 1", "schema-finished dbo 1", "no-more-data 1"]);
}

#[test]
fn a25_a_pipeline_that_runs_tells_them_again_after_new_changes_alone() {
    let mut database = Database::new();
    database.table("t", T);
    let port = free_port();
    let host = database.pipeline_with(
        &["headers: none", "events: true", "tables: [{ start: 0 }]"],
        "{ type: file, format: flat, folder: out, prefix: t }",
        "",
    );
    let text = std::fs::read_to_string(host.path("pipeline.yaml")).unwrap();
    host.write_pipeline(&format!("{text}http: 127.0.0.1:{port}\n"));
    let mut process = start(&host);
    for id in 0..3 {
        wait_for(&mut process, &host, 1 + id * 4);
        database.sql(&format!("INSERT dbo.t VALUES ({id}, 0)"));
    }
    wait_for(&mut process, &host, 13);
    let told = |name: &str| metric(port, &format!("sluicegate_source_{name}_total{{pipeline=\"t\"}}"));
    assert_eq!((told("finished_tables"), told("finished_schemas"), told("no_more_data")), (Some(3.0), Some(3.0), Some(4.0)));
    stop(process);
    let all = events(&host);
    assert_eq!(all[0], "no-more-data 0");
    for told in all[1..].chunks(3) {
        assert_eq!(told, ["table-finished dbo t 1", "schema-finished dbo 1", "no-more-data 1"]);
    }
}

#[test]
fn a43_no_more_data_is_told_once_nothing_came_for_the_delay() {
    let mut database = Database::new();
    database.table("t", T);
    database.sql("INSERT dbo.t VALUES (1, 1)");
    let host = database.pipeline(&["headers: none", "events: true", "tables: [{ start: 0 }]", "no_more_data_delay: 1h"]);
    let mut process = start(&host);
    wait_for(&mut process, &host, 3);
    database.sql("INSERT dbo.t VALUES (2, 2)");
    wait_for(&mut process, &host, 6);
    stop(process);
    assert!(!events(&host).iter().any(|event| event.starts_with("no-more-data")), "{:?}", events(&host));
    // a run that ends there does not wait
    drain(&host);
    assert_eq!(events(&host).last().unwrap(), "no-more-data 0");
    let host = database.pipeline(&["headers: none", "events: true", "no_more_data_delay: 100ms"]);
    let mut process = start(&host);
    wait_for(&mut process, &host, 1);
    stop(process);
    assert_eq!(events(&host), ["no-more-data 0"]);
}

#[test]
fn events_are_lines_of_the_log_where_outputs_do_not_get_them() {
    let mut database = Database::new();
    database.table("t", T);
    database.sql("INSERT dbo.t VALUES (1, 1)");
    let host = database.pipeline(&["headers: none", "tables: [{ start: 0 }]"]);
    let arguments = ["--log-format", "json", "--log-level", "debug", "run", "--until-drained", "pipeline.yaml"];
    let ended = host.run(&arguments, PATIENCE);
    for part in ["table finished", "schema finished", "no more data"] {
        assert!(ended.stderr.contains(part), "{part}\n{}", ended.stderr);
    }
    assert_eq!(short(&records(&host)), ["c id=1 v=1"]);
}

mod with_kafka {
    use super::*;
    use sluicegate_harness::kafka;

    #[test]
    fn a25_events_are_records_of_a_topic_of_their_own() {
        let mut database = Database::new();
        database.table("t", T);
        database.sql("INSERT dbo.t VALUES (1, 1), (2, 2)");
        let broker = kafka::shared();
        let topic = "{database}.{schema}.{table}";
        let sink = format!("{{ type: kafka, brokers: '{}', topic: '{topic}', format: flat }}", broker.brokers());
        let host = database.pipeline_with(&["tables: [{ start: 0 }]", "headers: none", "events: true"], &sink, "");
        drain(&host);
        let told: Vec<String> = broker
            .wait_for_records(&format!("{}.sluicegate.events", database.name), 3, PATIENCE)
            .into_iter()
            .map(|record| {
                serde_json::from_str::<Value>(&record.value.expect("a value")).expect("JSON")["event"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(told, ["table-finished", "schema-finished", "no-more-data"]);
        assert_eq!(broker.records(&format!("{}.dbo.t", database.name)).len(), 2);
    }
}
