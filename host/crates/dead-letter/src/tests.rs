use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt as _};

use proptest::prelude::*;

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
    batch.versions = Some("mask@1.0+abc".into());
    for change in &batch.changes {
        letters.record_from_plugin("mask/1", &error(), &batch, change).unwrap();
    }
    letters.sync().unwrap();
    let text = fs::read_to_string(folder.path().join("dead/plugin.mask%2F1.ndjson")).unwrap();
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
  "plugins": "mask@1.0+abc",
  "destination": null,
  "columns": [
    {
      "name": "id",
      "type": "int64",
      "native": "",
      "nullable": false,
      "key": true
    },
    {
      "name": "note",
      "type": "text",
      "native": "",
      "nullable": true
    }
  ],
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
    // and is read back as it was
    let path = folder.path().join("dead/plugin.mask%2F1.ndjson");
    assert_eq!(
        files(&folder.path().join("dead")).unwrap(),
        [LetterFile { kind: Kind::Plugin, stage: "mask/1".into(), path: path.clone() }]
    );
    let mut rows = TableRows::new(batch.tables[0].table.clone());
    let mut read = Lines::open(&path, 0).unwrap();
    for change in &batch.changes {
        let line = read.next_line().unwrap().unwrap();
        let letter = Letter::read(&line.text).unwrap();
        assert_eq!(letter.described().unwrap(), *batch.tables[0].table);
        assert_eq!(letter.operation().unwrap(), change.operation);
        assert_eq!(letter.push(&mut rows).unwrap(), (change.before != NO_IMAGE, change.after != NO_IMAGE));
        let (event, transaction, row) = letter.place();
        let (before, of) = batch.event(change).unwrap();
        assert_eq!((event.position, event.time_us, event.server_id, row), (before.position, before.time_us, before.server_id, change.row));
        assert_eq!((&*transaction.file, &transaction.id), (&*of.file, &of.id));
    }
    assert!(read.next_line().unwrap().is_none());
    assert_eq!((rows.len(), rows.columns[1].nulls.get(0), rows.columns[1].nulls.get(1)), (3, true, false));
    assert_eq!((&lines[1]["operation"], &lines[1]["after"], &lines[1]["source"]["row"]), (&json!("delete"), &Value::Null, &json!(1)));
}

#[test]
fn a_line_torn_by_a_crash_is_cut_off_and_whole_ones_stay() {
    for whole in ["", "{}\n", &"{\"a\":1}\n".repeat(20_000)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sink.kafka.ndjson");
        fs::write(&path, format!("{whole}{}", "x".repeat(100_000))).unwrap();
        let letters = DeadLetters::new(folder.path(), 1 << 20);
        let batch = inserts(0, [1], "");
        letters.record_from_sink("kafka", &error(), &batch, &batch.changes[0]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(whole) && text[whole.len()..].starts_with("{\"stage\":\"kafka\"") && text.ends_with("}\n"));
        assert_eq!(text.lines().count(), whole.lines().count() + 1);
    }
}

#[test]
fn a_full_dead_letter_file_stops_the_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1000);
    let batch = inserts(0, 0..10, "");
    let full = batch.changes.iter().find_map(|change| letters.record_from_sink("kafka", &error(), &batch, change).err()).unwrap();
    assert_eq!(full.kind(), ErrorKind::Sink);
    insta::assert_snapshot!(full.to_string().replace(&folder.path().display().to_string(), "/dead"), @r"
the dead-letter file /dead/sink.kafka.ndjson has reached its limit of 1000 bytes
  remedy: deal with what is in it, move it away, and start again; or raise `limits.dead_letter_bytes`
");
    assert!(fs::metadata(folder.path().join("sink.kafka.ndjson")).unwrap().len() <= 1000);
}

/// The rows, by their numbers in the log event, of the letters in a file.
fn rows(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["source"]["row"].as_u64().unwrap()).collect()
}

#[test]
fn a_plugin_and_a_sink_of_one_name_have_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    let batch = inserts(0, 0..2, "");
    letters.record_from_plugin("orders", &error(), &batch, &batch.changes[0]).unwrap();
    letters.record_from_sink("orders", &error(), &batch, &batch.changes[1]).unwrap();
    assert_eq!(rows(&folder.path().join("plugin.orders.ndjson")), [0]);
    assert_eq!(rows(&folder.path().join("sink.orders.ndjson")), [1]);
}

proptest! {
    /// Names of files are names of files, and read back.
    #[test]
    fn no_two_stages_share_a_file(stages in prop::collection::hash_set(("plugin|sink", "[a-c_%./ \u{e9}]{0,4}"), 2..40)) {
        let names: HashSet<String> = stages.iter().map(|(kind, stage)| file_name(kind, stage)).collect();
        prop_assert_eq!(names.len(), stages.len());
        for (kind, stage) in &stages {
            let name = file_name(kind, stage);
            prop_assert!(!name.contains('/') && name.is_ascii());
            let coded = name.strip_prefix(&format!("{kind}.")).and_then(|rest| rest.strip_suffix(".ndjson")).unwrap();
            let mut parts = coded.split('%');
            let mut bytes = parts.next().unwrap().as_bytes().to_vec();
            for part in parts {
                bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), stage.as_str());
        }
    }
}

#[test]
fn only_the_own_account_may_read_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("state/dead");
    let letters = DeadLetters::new(&dead, 1 << 20);
    let batch = inserts(0, [1], "");
    letters.record_from_plugin("mask", &error(), &batch, &batch.changes[0]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dead), mode(&dead.join("plugin.mask.ndjson"))), (0o700, 0o600));
    // what somebody opened to others on purpose stays so
    fs::set_permissions(&dead, fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(dead.join("plugin.mask.ndjson"), fs::Permissions::from_mode(0o640)).unwrap();
    let letters = DeadLetters::new(&dead, 1 << 20);
    letters.record_from_plugin("mask", &error(), &batch, &batch.changes[0]).unwrap();
    assert_eq!((mode(&dead), mode(&dead.join("plugin.mask.ndjson"))), (0o750, 0o640));
}

#[test]
fn a_letter_in_a_file_that_was_removed_stops_every_sync() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sink.kafka.ndjson");
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    let batch = inserts(0, 0..2, "");
    letters.record_from_sink("kafka", &error(), &batch, &batch.changes[0]).unwrap();
    letters.sync().unwrap();
    letters.record_from_sink("kafka", &error(), &batch, &batch.changes[1]).unwrap();
    fs::remove_file(&path).unwrap();
    insta::assert_snapshot!(letters.sync().unwrap_err().to_string().replace(&folder.path().display().to_string(), "/dead"), @r"
the dead-letter file /dead/sink.kafka.ndjson was removed while it was written to
  remedy: start again: the changes since the last checkpoint come again, and their letters go into a new file
");
    // another sink's checkpoint must not move either
    assert_eq!(letters.sync().unwrap_err().kind(), ErrorKind::Internal);
    // the next start
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    letters.record_from_sink("kafka", &error(), &batch, &batch.changes[1]).unwrap();
    letters.sync().unwrap();
    assert_eq!(rows(&path), [1]);
}

#[test]
fn a_file_that_was_moved_away_keeps_its_letters_and_the_next_ones_begin_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, away) = (folder.path().join("plugin.mask.ndjson"), folder.path().join("away"));
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    let batch = inserts(0, 0..4, "");
    let record = |change: usize| letters.record_from_plugin("mask", &error(), &batch, &batch.changes[change]).unwrap();
    record(0);
    fs::rename(&path, &away).unwrap();
    record(1);
    letters.sync().unwrap();
    record(2);
    letters.sync().unwrap();
    assert_eq!((rows(&away), rows(&path)), (vec![0, 1], vec![2]));
    // with nothing new in it, it may also be removed
    fs::remove_file(&path).unwrap();
    letters.sync().unwrap();
    record(3);
    letters.sync().unwrap();
    assert_eq!(rows(&path), [3]);
}

#[test]
fn two_processes_write_whole_letters_into_one_file_and_keep_its_limit_together() {
    let folder = tempfile::tempdir().unwrap();
    let all = [DeadLetters::new(folder.path(), 20_000), DeadLetters::new(folder.path(), 20_000)];
    let batch = inserts(0, 0..40, "");
    std::thread::scope(|scope| {
        for letters in &all {
            scope.spawn(|| {
                batch.changes.iter().take(10).for_each(|change| letters.record_from_sink("s", &error(), &batch, change).unwrap());
            });
        }
    });
    let path = folder.path().join("sink.s.ndjson");
    assert_eq!(rows(&path).len(), 20);
    // half a line of a process that was killed is cut off by the next one that writes
    let mut torn = OpenOptions::new().append(true).open(&path).unwrap();
    torn.write_all(b"{\"stage\"").unwrap();
    all[0].record_from_sink("s", &error(), &batch, &batch.changes[0]).unwrap();
    assert_eq!(rows(&path).len(), 21);
    let full = batch.changes.iter().cycle().find_map(|change| all[1].record_from_sink("s", &error(), &batch, change).err()).unwrap();
    assert!(full.message().contains("has reached its limit") && fs::metadata(&path).unwrap().len() <= 20_000);
}

#[test]
fn a_letter_of_an_earlier_version_is_told_from_others() {
    let text = r#"{"stage":"m","error":"e","time":"t","source":{"file":"f","position":1,"row":0,"transaction":null,"server_id":1,"time":null},
        "database":"d","schema":null,"table":"t","operation":"insert","before":null,"after":{"id":1}}"#;
    let letter = Letter::read(text.as_bytes()).unwrap();
    assert_eq!(letter.described().unwrap_err().message(), "the letter has no types of columns, which earlier versions did not note");
    let error = Letter::read(b"{\"secret\": 1}").unwrap_err();
    assert!(error.message().starts_with("it is no dead letter") && !error.message().contains("secret"));
}

#[test]
fn letters_are_recorded_while_a_sync_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    let batch = inserts(0, 0..2, "");
    let syncing = lock(&letters.syncing);
    let (recorded, records) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            letters.record_from_plugin("mask", &error(), &batch, &batch.changes[0]).unwrap();
            recorded.send(()).unwrap();
        });
        let answer = records.recv_timeout(std::time::Duration::from_secs(60));
        drop(syncing); // lets a thread that waits for it end
        answer.unwrap();
    });
    letters.sync().unwrap();
    assert_eq!(rows(&folder.path().join("plugin.mask.ndjson")), [0]);
}

#[test]
fn after_the_run_has_ended_nothing_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    let batch = inserts(0, [1], "");
    letters.record_from_sink("s", &error(), &batch, &batch.changes[0]).unwrap();
    letters.close();
    let refused = letters.record_from_sink("s", &error(), &batch, &batch.changes[0]).unwrap_err();
    assert_eq!(refused.message(), "the run ended before something was set aside");
    assert_eq!(fs::read_to_string(folder.path().join("sink.s.ndjson")).unwrap().lines().count(), 1);
}

#[test]
fn a_record_that_a_source_could_not_read_is_kept_with_its_place_and_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 4 << 20);
    let long = "x".repeat((1 << 20) + 1);
    let record =
        RawRecord { topic: "shop.orders", partition: 3, offset: 17, time_us: Some(1_700_000_000_000_000), key: None, value: Some(b"{") };
    let error = Error::new(ErrorKind::Record, "it is not JSON").remedy("not told");
    for record in [
        record,
        RawRecord { offset: 18, key: Some(b"\xff\0"), value: Some(long.as_bytes()), ..record },
        RawRecord { offset: 19, time_us: None, key: Some("k\u{1}é".as_bytes()), value: None, ..record },
    ] {
        letters.record_from_source("kafka", &error, &record).unwrap();
    }
    letters.sync().unwrap();
    let [file] = &files(folder.path()).unwrap()[..] else { panic!("one file") };
    assert_eq!((file.kind, file.stage.as_str()), (Kind::Source, "kafka"));
    assert!(file.path.ends_with("source.kafka.ndjson"));
    let text = fs::read_to_string(&file.path).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in text.lines() {
        let heading = Heading::read(Kind::Source, line.as_bytes()).unwrap();
        assert_eq!((heading.of.as_str(), heading.error.as_str()), ("shop.orders", "it is not JSON"));
        assert!(Heading::read(Kind::Sink, line.as_bytes()).is_err());
    }
    lines.iter_mut().for_each(|line| line["time"] = Value::Null);
    insta::assert_snapshot!(lines[0], @r#"{"stage":"kafka","error":"it is not JSON","time":null,"source":{"topic":"shop.orders","partition":3,"offset":17,"time":"2023-11-14T22:13:20Z"},"key":null,"value":"{"}"#);
    assert_eq!((&lines[1]["key_base64"], lines[1].get("key"), lines[1].get("value")), (&"/wA=".into(), None, None));
    assert_eq!(lines[1]["value_base64"].as_str().map(str::len), Some(long.len().div_ceil(3) * 4));
    assert_eq!((&lines[2]["key"], &lines[2]["value"], &lines[2]["source"]["time"]), (&"k\u{1}é".into(), &Value::Null, &Value::Null));
    let refused = Heading::read(Kind::Source, b"{\"s3cret\": 1}").unwrap_err();
    assert!(!refused.to_string().contains("s3cret"), "{refused}");
}

#[test]
fn a_copy_of_a_topic_has_each_letter_once_whatever_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let letters = || -> Vec<i64> {
        let text = fs::read_to_string(folder.path().join("sink.kafka.ndjson")).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["n"].as_i64().unwrap()).collect()
    };
    let open = |topic: &str| LetterCopy::open(folder.path(), topic, 1 << 20).unwrap();
    let append = |copy: &mut LetterCopy, partition, offset, n: i64| {
        copy.append(Kind::Sink, "kafka", json!({ "n": n }).to_string().as_bytes(), partition, offset).unwrap()
    };
    let mut copy = open("dead");
    assert!(append(&mut copy, 0, 3, 1) && append(&mut copy, 1, 0, 2));
    copy.finish([(0, 5), (1, 1)]).unwrap();
    drop(copy);
    let mut copy = open("dead");
    assert_eq!((copy.next(0), copy.next(1), copy.next(2)), (5, 1, 0));
    assert!(append(&mut copy, 0, 5, 3));
    assert!(!copy.append(Kind::Sink, "kafka", b"no letter", 0, 6).unwrap());
    // killed before its place was stored: what comes again is there
    drop(copy);
    let mut copy = open("dead");
    assert_eq!(copy.next(0), 5);
    assert!(append(&mut copy, 0, 5, 3) && append(&mut copy, 0, 7, 4) && append(&mut copy, 1, 1, 5));
    copy.finish([(0, 8), (1, 2)]).unwrap();
    assert_eq!(letters(), [1, 2, 3, 4, 5]);
    drop(copy);
    // what was dealt with and removed does not come back
    fs::remove_file(folder.path().join("sink.kafka.ndjson")).unwrap();
    assert_eq!(open("dead").next(0), 8);
    // another topic has offsets of its own
    let mut copy = open("other");
    assert_eq!(copy.next(0), 0);
    assert!(append(&mut copy, 0, 0, 6));
    copy.finish([(0, 1)]).unwrap();
    assert_eq!(letters(), [6]);
}
