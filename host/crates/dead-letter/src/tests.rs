use std::fs;

use super::*;
use sluicegate_model::change::{Image, Operation};
use sluicegate_samples::orders::{batch, inserts, push, row};

fn error() -> Error {
    Error::new(ErrorKind::Plugin, "plugin `mask` rejected the row").caused_by(io::Error::other("no such currency"))
}

#[test]
fn a_dead_letter_holds_the_whole_change_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path().join("dead"), 1 << 20);
    let mut batch = batch(40);
    let before = row(&mut batch, 7, "a", Image::Before);
    let after = row(&mut batch, 7, "line\nbreak", Image::After);
    batch.tables[0].columns[1].nulls.set(0);
    push(&mut batch, Operation::Update, before, after);
    push(&mut batch, Operation::Delete, before, NO_IMAGE);
    for change in &batch.changes {
        letters.record("mask/1", &error(), &batch, change).unwrap();
    }
    letters.sync().unwrap();
    let text = fs::read_to_string(folder.path().join("dead/mask_1.ndjson")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let mut first = lines[0].clone();
    first["time"].take().as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&first).unwrap(), @r#"
{
  "stage": "mask/1",
  "error": "plugin `mask` rejected the row: no such currency",
  "time": null,
  "source": {
    "file": "binlog.000001",
    "position": 4,
    "row": 0,
    "transaction": null,
    "server_id": 1,
    "time": "2023-11-14T22:13:20Z"
  },
  "database": "shop",
  "schema": null,
  "table": "orders",
  "operation": "update",
  "before": {
    "id": 7,
    "note": null
  },
  "after": {
    "id": 7,
    "note": "line\nbreak"
  }
}
"#);
    assert_eq!((&lines[1]["operation"], &lines[1]["after"], &lines[1]["source"]["row"]), (&json!("delete"), &Value::Null, &json!(1)));
}

#[test]
fn a_line_torn_by_a_crash_is_cut_off_and_whole_ones_stay() {
    for whole in ["", "{}\n", &"{\"a\":1}\n".repeat(20_000)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sink.ndjson");
        fs::write(&path, format!("{whole}{}", "x".repeat(100_000))).unwrap();
        let letters = DeadLetters::new(folder.path(), 1 << 20);
        let batch = inserts(0, [1], "");
        letters.record("sink", &error(), &batch, &batch.changes[0]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(whole) && text[whole.len()..].starts_with("{\"stage\":\"sink\"") && text.ends_with("}\n"));
        assert_eq!(text.lines().count(), whole.lines().count() + 1);
    }
}

#[test]
fn a_full_dead_letter_file_stops_the_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1000);
    let batch = inserts(0, 0..10, "");
    let full = batch.changes.iter().find_map(|change| letters.record("sink", &error(), &batch, change).err()).unwrap();
    assert_eq!(full.kind(), ErrorKind::Sink);
    insta::assert_snapshot!(full.to_string().replace(&folder.path().display().to_string(), "/dead"), @r"
the dead-letter file /dead/sink.ndjson has reached its limit of 1000 bytes
  remedy: deal with what is in it, move it away, and start again; or raise `limits.dead_letter_bytes`
");
    assert!(fs::metadata(folder.path().join("sink.ndjson")).unwrap().len() <= 1000);
}

#[test]
fn after_the_run_has_ended_nothing_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    let batch = inserts(0, [1], "");
    letters.record("sink", &error(), &batch, &batch.changes[0]).unwrap();
    letters.close();
    let refused = letters.record("sink", &error(), &batch, &batch.changes[0]).unwrap_err();
    assert_eq!(refused.message(), "the run ended before a change was set aside");
    assert_eq!(fs::read_to_string(folder.path().join("sink.ndjson")).unwrap().lines().count(), 1);
}
