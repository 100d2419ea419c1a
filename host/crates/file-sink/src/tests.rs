use std::{fs, io::Read, sync::Arc, time::Duration};

use proptest::prelude::*;

use super::{journal::Journal, naming::Naming, place::Place, *};
use sluicegate_config::{OnError, RecordFormat, Roll};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_format::JsonFormat;
use sluicegate_samples::orders::inserts;
use sluicegate_sink::Final;
use sluicegate_status::{SinkStatus, Status};

mod avro;
mod csv;
mod destinations;
mod formats;
mod full_disk;
mod parquet;
mod paths;
mod taken_away;
mod visible;

/// Numbers of a pipeline with one sink.
fn numbers() -> Numbers {
    let status = Status { sinks: vec![SinkStatus::default()], ..Status::default() };
    Numbers::new(Arc::new(status), 0).unwrap()
}

fn settings(folder: &Path, roll: u64, zstd: Option<i32>) -> Settings {
    Settings {
        folder: folder.join("out"),
        path: None,
        prefix: "orders".into(),
        roll: Roll { bytes: roll, every: None },
        zstd,
        records: FileRecords::Lines,
    }
}

/// Few records fill it.
fn small_buffer() -> Limits {
    Limits { sink_buffer_bytes: 4096, ..Limits::default() }
}

fn open(settings: &Settings, state: Option<&str>) -> Result<FileSink> {
    open_with(settings, state, OnError::Stop, &small_buffer(), numbers())
}

fn open_with(settings: &Settings, state: Option<&str>, on_error: OnError, limits: &Limits, numbers: Numbers) -> Result<FileSink> {
    let letters = Arc::new(DeadLetters::new(settings.folder.with_extension("dead"), 1 << 20));
    let encoder = JsonFormat::new(RecordFormat::Flat, "shop", "mysql").bounded(limits).encoder();
    FileResume::new(settings, Policy::new("files", on_error, letters), state, limits, numbers).open(encoder)
}

/// The files of the folder itself, without those that begin with a dot, in order of their names, unpacked.
fn files(settings: &Settings) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(&settings.folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with('.') || entry.file_type().unwrap().is_dir() {
            continue;
        }
        let mut content = fs::read(entry.path()).unwrap();
        if name.ends_with(".zst") {
            // every frame has to be whole: the decoder reads them all, and errs on a torn one
            let mut plain = Vec::new();
            zstd::stream::read::Decoder::new(content.as_slice()).unwrap().read_to_end(&mut plain).unwrap();
            content = plain;
        }
        files.push((name, content));
    }
    files.sort();
    files
}

/// The ids of all records in the order of the files.
fn ids(settings: &Settings) -> Vec<i64> {
    let all: Vec<u8> = files(settings).into_iter().flat_map(|(_, content)| content).collect();
    let lines = std::str::from_utf8(&all).unwrap().lines();
    lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_i64().unwrap()).collect()
}

fn text(settings: &Settings, error: &Error) -> String {
    let text = error.to_string().replace(&settings.folder.display().to_string(), "/out");
    text.replace(&format!("process {}", std::process::id()), "process PID")
}

#[test]
fn after_a_crash_the_files_hold_exactly_what_was_flushed() {
    for (roll, zstd) in [(1 << 30, None), (1 << 30, Some(3)), (2000, None), (2000, Some(1))] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), roll, zstd);
        let mut sink = open(&settings, None).unwrap();
        sink.write(&inserts(0, 0..40, "first")).unwrap();
        let state = sink.commit(&Frontier::default()).unwrap();
        sink.write(&inserts(40, 40..400, "never flushed")).unwrap();
        drop(sink); // as a kill would leave it: the buffer is lost, what was written is there
        assert!(fs::read_dir(&settings.folder).unwrap().count() >= 2);

        let mut sink = open(&settings, Some(&state)).unwrap();
        assert_eq!(ids(&settings), (0..40).collect::<Vec<_>>(), "roll {roll}, zstd {zstd:?}");
        sink.write(&inserts(40, 40..400, "second try")).unwrap();
        let state = sink.commit(&Frontier::default()).unwrap();
        assert_eq!(ids(&settings), (0..400).collect::<Vec<_>>());
        assert!(files(&settings).len() > 1 || roll > 2000 || zstd.is_some());
        drop(sink);
        open(&settings, Some(&state)).unwrap();
        assert_eq!(ids(&settings), (0..400).collect::<Vec<_>>());
    }
}

#[test]
fn a_crash_before_the_first_checkpoint_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1000, None);
    let mut sink = open(&settings, None).unwrap();
    sink.write(&inserts(0, 0..100, "")).unwrap();
    sink.commit(&Frontier::default()).unwrap(); // its state was never stored
    drop(sink);
    let mut sink = open(&settings, None).unwrap();
    assert_eq!(files(&settings), []);
    sink.write(&inserts(0, 0..10, "")).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    assert_eq!(ids(&settings), (0..10).collect::<Vec<_>>());
}

#[test]
fn files_whose_checkpoint_is_lost_after_its_first_commit_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1000, None);
    let mut sink = open(&settings, None).unwrap();
    sink.write(&inserts(0, 0..100, "")).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    sink.stored().unwrap();
    drop(sink);
    for _ in 0..2 {
        let error = open(&settings, None).err().unwrap();
        assert!(error.message().ends_with("is there already, but the checkpoint knows nothing of it"), "{error}");
        assert_eq!(ids(&settings), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn files_of_another_run_are_never_mixed_with_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let mut sink = open(&settings, None).unwrap();
    sink.write(&inserts(0, 0..3, "")).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    sink.stored().unwrap();
    drop(sink);
    let error = open(&settings, None).err().unwrap(); // as if the checkpoint had been deleted
    insta::assert_snapshot!(text(&settings, &error), @r"
/out/orders-00000001.ndjson is there already, but the checkpoint knows nothing of it
  remedy: move the files of an earlier run away, set another `folder` or `prefix`, or put that run's checkpoint back
");
    assert_eq!(ids(&settings), [0, 1, 2]);
}

#[test]
fn complete_files_may_be_moved_away_but_the_open_one_may_not_be_shortened() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 500, None);
    let mut sink = open(&settings, None).unwrap();
    sink.write(&inserts(0, 0..33, "")).unwrap();
    let state = sink.commit(&Frontier::default()).unwrap();
    drop(sink);
    let names: Vec<String> = files(&settings).into_iter().map(|(name, _)| name).collect();
    let (last, complete) = names.split_last().unwrap();
    assert!(!complete.is_empty() && state.contains(last), "{state} {names:?}");
    for name in complete {
        fs::remove_file(settings.folder.join(name)).unwrap();
    }
    drop(open(&settings, Some(&state)).unwrap());

    let path = settings.folder.join(last);
    let content = fs::read(&path).unwrap();
    fs::write(&path, &content[1..]).unwrap();
    let digits = |text: String| text.replace(&(content.len() - 1).to_string(), "N-1").replace(&content.len().to_string(), "N");
    insta::assert_snapshot!(digits(text(&settings, &open(&settings, Some(&state)).err().unwrap())), @r"
/out/orders-00000009.ndjson holds N-1 bytes, but the checkpoint says that N are durable
  remedy: somebody edited or replaced it, or the disk lost what it had confirmed: restore its first N bytes and start again; or move it away and start again: the next file begins with the change after those bytes
");
}

#[test]
fn two_sinks_cannot_write_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 500, None);
    let _first = open(&settings, None).unwrap();
    insta::assert_snapshot!(text(&settings, &open(&settings, None).err().unwrap()), @r"
the files orders-*.ndjson in /out are written by process PID already
  remedy: give each file sink a `folder` or `prefix` of its own, or stop the other process
");
}

#[test]
fn a_changed_prefix_or_compression_goes_on_in_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let plain = settings(folder.path(), 1 << 20, None);
    let packed = Settings { zstd: Some(3), ..plain.clone() };
    let renamed = Settings { prefix: "a".into(), ..plain.clone() };
    let step = |settings: &Settings, state: Option<&str>, from: i64| {
        let mut sink = open(settings, state).unwrap();
        sink.write(&inserts(from as u64, from..from + 5, "")).unwrap();
        let state = sink.commit(&Frontier::default()).unwrap();
        sink.write(&inserts(from as u64 + 5, from + 5..from + 500, "lost")).unwrap();
        drop(sink); // crash
        state
    };
    let state = step(&plain, None, 0);
    step(&packed, Some(&state), 5); // its state is lost, too
    let state = step(&packed, Some(&state), 5);
    step(&renamed, Some(&state), 10);
    let state = step(&renamed, Some(&state), 10);
    drop(open(&renamed, Some(&state)).unwrap());
    let names: Vec<String> = files(&plain).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a-00000003.ndjson", "orders-00000001.ndjson", "orders-00000002.ndjson.zst"]);
    let mut ids = ids(&plain);
    ids.sort();
    assert_eq!(ids, (0..15).collect::<Vec<_>>());
}

#[test]
fn a_state_that_is_not_ours_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 500, None);
    insta::assert_snapshot!(text(&settings, &open(&settings, Some("{}")).err().unwrap()), @r"
the checkpoint holds a state that no file sink wrote: missing field `file` at line 1 column 2
  remedy: set the sink's kind back; or begin it anew: `sluicegate checkpoint drop --force` it and give it a `start`, which may lose changes
");
    for state in [
        r#"{"file":"../orders-00000001.ndjson","number":1,"bytes":1,"records":1}"#,
        r#"{"file":"orders-00000001.ndjson","number":2,"bytes":1,"records":1}"#,
        // no number comes after these
        r#"{"file":"orders-18446744073709551615.ndjson","number":18446744073709551615,"bytes":1,"records":1}"#,
        r#"{"file":"orders-00000001.ndjson","number":1,"bytes":0,"records":18446744073709551615}"#,
    ] {
        assert_eq!(open(&settings, Some(state)).err().unwrap().kind(), ErrorKind::State);
    }
}

#[test]
fn a_plain_file_ends_with_the_record_that_fills_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 500, None);
    let mut sink = open(&settings, None).unwrap();
    for i in 0..50 {
        sink.write(&inserts(i, [i as i64], "")).unwrap();
    }
    sink.commit(&Frontier::default()).unwrap();
    let files = files(&settings);
    let (_, complete) = files.split_last().unwrap();
    for (name, content) in complete {
        assert!((500..650).contains(&content.len()) && content.ends_with(b"}\n"), "{name}: {}", content.len());
    }
    assert_eq!(ids(&settings), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_file_is_rolled_when_it_gets_old_also_when_nothing_comes_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path(), 1 << 20, None);
    settings.roll.every = Some(Duration::from_millis(1));
    let mut sink = open(&settings, None).unwrap();
    sink.write(&inserts(0, 0..3, "")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !sink.commit(&Frontier::default()).unwrap().contains(r#""number":2,"bytes":0,"records":0"#) {
        assert!(Instant::now() < deadline);
    }
    assert!(sink.commit(&Frontier::default()).unwrap().contains(r#""number":2"#), "an empty file is never rolled");
    sink.write(&inserts(3, 3..5, "")).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    let names: Vec<String> = files(&settings).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["orders-00000001.ndjson", "orders-00000002.ndjson"]);
}

#[test]
fn records_and_bytes_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let numbers = numbers();
    let mut sink = open_with(&settings, None, OnError::Stop, &small_buffer(), numbers.clone()).unwrap();
    sink.write(&inserts(0, 0..300, "")).unwrap();
    let state: Place = serde_json::from_str(&sink.commit(&Frontier::default()).unwrap()).unwrap();
    let length = files(&settings)[0].1.len() as u64;
    assert_eq!((numbers.get().records.get(), numbers.get().bytes.get()), (300, length));
    assert_eq!((state.records, state.bytes), (300, length));
}

#[test]
fn a_folder_that_cannot_be_written_is_found_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let good = settings(folder.path(), 500, None);
    precheck(&good).unwrap();
    assert!(!good.folder.exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(folder.path().join("file"), "").unwrap();
    let bad = Settings { folder: folder.path().join("file"), ..good };
    let error = precheck(&bad).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precheck);
    let probe = regex_lite::Regex::new(" at path .*probe-.*").unwrap();
    insta::assert_snapshot!(probe.replace(&text(&bad, &error), " at path PROBE"), @r"
the folder /out cannot be written: Not a directory (os error 20) at path PROBE
  remedy: move what is there away, or set another `folder` or `prefix`, then start again
");
    // a start says the same, with the same exit code
    assert_eq!(open(&bad, None).err().unwrap().kind(), ErrorKind::Precheck);
}

#[test]
fn the_probe_of_a_folder_neither_follows_a_link_nor_touches_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (victim, other) = (folder.path().join("victim"), folder.path().join(".other.probe"));
    fs::write(&victim, "kept").unwrap();
    fs::write(&other, "kept").unwrap();
    std::os::unix::fs::symlink(&victim, folder.path().join(".orders.probe")).unwrap();
    precheck(&settings(folder.path(), 500, None)).unwrap();
    precheck(&Settings { prefix: "other".into(), ..settings(folder.path(), 500, None) }).unwrap();
    assert_eq!((fs::read_to_string(victim).unwrap(), fs::read_to_string(other).unwrap()), ("kept".into(), "kept".into()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

/// Whoever may write to the folder could otherwise have any file of the account emptied or written to.
#[test]
fn the_sinks_own_files_are_not_written_through_a_link() {
    for name in [".orders.uncommitted", ".orders.destinations", ".orders.destinations-new", ".orders.lock"] {
        for there in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let (root, victim) = (folder.path().join("out"), folder.path().join("victim"));
            fs::create_dir(&root).unwrap();
            if there {
                fs::write(&victim, "kept").unwrap();
            }
            std::os::unix::fs::symlink(&victim, root.join(name)).unwrap();
            let naming = Naming { prefix: "orders".into(), records: FileRecords::Lines, zstd: false };
            let mut journal = Journal::new(&root, &naming);
            let _refused_or_not = open(&settings(folder.path(), 500, None), None).map(drop);
            let _refused_or_not =
                journal.add("eu").and_then(|()| journal.settle()).and_then(|()| journal.add("us")).and_then(|()| journal.settle());
            assert_eq!(fs::read_to_string(&victim).ok(), there.then(|| "kept".to_owned()), "{name}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Write so many changes.
    Write(u8),
    /// Nothing more waits.
    Idle,
    /// Flush, and store the state as the pipeline would.
    Checkpoint,
    /// Flush, and crash before the state is stored.
    FlushAndCrash,
    /// Die.
    Crash,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever happens, the files hold what was checkpointed, once, and nothing else.
    #[test]
    fn any_run_of_writes_checkpoints_and_crashes_delivers_exactly_once(
        steps in prop::collection::vec(
            prop_oneof![
                4 => (0..80_u8).prop_map(Step::Write),
                2 => Just(Step::Idle),
                2 => Just(Step::Checkpoint),
                1 => Just(Step::FlushAndCrash),
                1 => Just(Step::Crash),
            ],
            1..25,
        ),
        roll in prop_oneof![1000..8000_u64, Just(1 << 30)],
        zstd in prop_oneof![Just(None), Just(Some(1))],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), roll, zstd);
        let mut stored: Option<String> = None;
        let (mut durable, mut written) = (0_i64, 0_i64);
        let mut sink = open(&settings, None).unwrap();
        for step in steps {
            match step {
                Step::Write(n) => {
                    sink.write(&inserts(written as u64, written..written + i64::from(n), "x")).unwrap();
                    written += i64::from(n);
                }
                Step::Idle => {
                    sink.idle().unwrap();
                    if zstd.is_none() {
                        prop_assert_eq!(ids(&settings), (0..written).collect::<Vec<_>>());
                    }
                }
                Step::Checkpoint => {
                    stored = Some(sink.commit(&Frontier::default()).unwrap());
                    durable = written;
                }
                Step::FlushAndCrash | Step::Crash => {
                    if matches!(step, Step::FlushAndCrash) {
                        sink.commit(&Frontier::default()).unwrap();
                    }
                    drop(sink);
                    sink = open(&settings, stored.as_deref()).unwrap();
                    prop_assert_eq!(ids(&settings), (0..durable).collect::<Vec<_>>());
                    written = durable;
                }
            }
        }
        sink.commit(&Frontier::default()).unwrap();
        prop_assert_eq!(ids(&settings), (0..written).collect::<Vec<_>>());
    }
}
