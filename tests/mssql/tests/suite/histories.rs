//! A thousand random histories, with the answers of an independent model that was written from the facts. Each statement and each question
//! goes over TDS, by the real driver, and every row, mask and context has to be the same. `SLUICEGATE_CT_HISTORIES` names a file of
//! further ones, as NDJSON, to be replayed instead.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluicegate_mssql_simulator::Simulator;
use tiberius::{ColumnData, Row};

use crate::client::{Client, hex, value_text};

pub const TABLES: [&str; 2] = ["orders", "lines"];

pub fn histories() -> Vec<Value> {
    let lines = match std::env::var_os("SLUICEGATE_CT_HISTORIES") {
        Some(path) => std::fs::read(path).expect("the histories"),
        None => {
            let packed = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/histories.ndjson.zst")).expect("the histories");
            zstd::decode_all(packed.as_slice()).expect("packed histories")
        }
    };
    let lines = String::from_utf8(lines).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("a history")).collect()
}

fn json_of(value: &ColumnData<'static>) -> Value {
    match value {
        ColumnData::I32(Some(n)) => json!(n),
        ColumnData::I64(Some(n)) => json!(n),
        ColumnData::String(Some(text)) => json!(text),
        ColumnData::Binary(Some(bytes)) => json!(hex(bytes)),
        other if value_text(other) == "NULL" => Value::Null,
        other => panic!("unexpected {other:?}"),
    }
}

/// A row of CHANGETABLE as the histories have it.
fn change(row: &Row) -> Value {
    let values: Vec<Value> = row.cells().map(|(_, value)| json_of(value)).collect();
    json!({
        "key": values[5..], "op": values[2], "version": values[0], "creation": values[1], "columns": values[3], "context": values[4],
    })
}

pub fn by_key(rows: impl Iterator<Item = Value>) -> BTreeMap<String, Value> {
    rows.map(|row| (row["key"].to_string(), row)).collect()
}

async fn check(client: &mut Client, history: &Value, answer: &Value) {
    let at = format!("history {} after step {}", history["history"], answer["after_step"]);
    // one request with all questions; the last versions are parameters
    let mut sql = String::from("SELECT CHANGE_TRACKING_CURRENT_VERSION();");
    let mut lasts = Vec::new();
    let mut asked = Vec::new();
    for table in TABLES {
        let expected = &answer["tables"][table];
        if expected.is_null() {
            continue;
        }
        sql += &format!(
            " SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('dbo.{table}')), (SELECT begin_version FROM sys.change_tracking_tables
             WHERE object_id = OBJECT_ID('dbo.{table}'));"
        );
        asked.push((table, None));
        for last in expected["changes"].as_object().into_iter().flat_map(|c| c.keys()) {
            let argument = if last == "NULL" {
                last.clone()
            } else {
                lasts.push(last.parse().expect("a version"));
                format!("@P{}", lasts.len())
            };
            sql += &format!(" SELECT * FROM CHANGETABLE(CHANGES dbo.[{table}], {argument}) AS c;");
            asked.push((table, Some(last.clone())));
        }
    }
    let results = client.with(&sql, &lasts).await.unwrap_or_else(|e| panic!("{at}: {e}"));
    let first = |rows: &[Row], column: usize| rows[0].cells().nth(column).map(|(_, v)| json_of(v)).expect("a value");
    assert_eq!(first(&results[0], 0), answer["current_version"], "{at}");
    for ((table, last), rows) in asked.iter().zip(&results[1..]) {
        let expected = &answer["tables"][*table];
        match last {
            None => {
                assert_eq!(first(rows, 0), expected["min_valid_version"], "{at}, {table}");
                assert_eq!(first(rows, 1), expected["begin_version"], "{at}, {table}");
            }
            Some(last) => {
                let expected = by_key(expected["changes"][last].as_array().into_iter().flatten().cloned());
                assert_eq!(by_key(rows.iter().map(change)), expected, "{at}, {table} after {last}");
            }
        }
    }
    assert_eq!(results.len(), asked.len() + 1, "{at}");
}

async fn replay(client: &mut Client, history: &Value) {
    let database = format!("h{}", history["history"]);
    client.run(&format!("USE master; CREATE DATABASE {database}")).await;
    client.run(&format!("ALTER DATABASE {database} SET CHANGE_TRACKING = ON; USE {database}")).await;
    let steps = history["steps"].as_array().expect("steps");
    let mut done = 0;
    for answer in history["answers"].as_array().expect("answers") {
        let upto = usize::try_from(answer["after_step"].as_u64().expect("a number")).expect("a step");
        for step in &steps[done..upto] {
            client.run(step.as_str().expect("a statement")).await;
        }
        done = upto;
        check(client, history, answer).await;
    }
    for step in &steps[done..] {
        client.run(step.as_str().expect("a statement")).await;
    }
    client.run(&format!("USE master; DROP DATABASE {database}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_histories_have_the_answers_of_the_independent_model() {
    let simulator = Simulator::start();
    let histories = histories();
    assert!(!histories.is_empty());
    let mut halves: Vec<Vec<Value>> = vec![Vec::new(), Vec::new()];
    for (at, history) in histories.into_iter().enumerate() {
        halves[at % 2].push(history);
    }
    let mut running = Vec::new();
    for half in halves {
        let mut client = Client::connect(&simulator, "master").await;
        running.push(tokio::spawn(async move {
            for history in &half {
                replay(&mut client, history).await;
            }
        }));
    }
    for half in running {
        half.await.expect("the histories of one connection");
    }
}
