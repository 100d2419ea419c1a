//! Streams of files by destination: found again after a crash, bounded, and never outside the sink's folder.

use std::collections::BTreeMap;

use super::*;
use sluicegate_model::change::{Image, Table};
use sluicegate_samples::orders::{push, routed, routed_row};

/// Few open files, so that they are closed and opened again all the time.
fn limits() -> Limits {
    Limits { open_files: 2, destinations: 40, ..small_buffer() }
}

fn open(settings: &Settings, state: Option<&str>) -> Result<FileSink> {
    open_with(settings, state, OnError::Stop, &limits(), numbers())
}

/// Ids by destination, in the order of the files; folders without any left out.
fn ids_by_destination(settings: &Settings) -> BTreeMap<String, Vec<i64>> {
    fn walk(settings: &Settings, destination: &str, found: &mut BTreeMap<String, Vec<i64>>) {
        let folder = settings.folder.join(destination);
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                let name = entry.file_name().into_string().unwrap();
                let inner = if destination.is_empty() { name } else { format!("{destination}/{name}") };
                walk(settings, &inner, found);
            }
        }
        let ids = ids(&Settings { folder, ..settings.clone() });
        if !ids.is_empty() {
            found.insert(destination.to_owned(), ids);
        }
    }
    let mut found = BTreeMap::new();
    walk(settings, "", &mut found);
    found
}

#[derive(Clone, Debug)]
enum Step {
    /// Write changes to these destinations.
    Write(Vec<u8>),
    /// Nothing more waits.
    Idle,
    /// Flush, and store the state as the pipeline would.
    Checkpoint,
    /// Flush, and crash before the state is stored.
    FlushAndCrash,
    /// Die.
    Crash,
}

/// Number 0 is no destination; every third is nested.
fn destination(number: u8) -> Option<String> {
    (number > 0).then(|| if number.is_multiple_of(3) { format!("region={number}/day") } else { format!("d{number}") })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever happens, the files of every destination hold what was checkpointed, once and in order, and nothing else.
    #[test]
    fn any_run_over_many_destinations_delivers_exactly_once(
        steps in prop::collection::vec(
            prop_oneof![
                4 => prop::collection::vec(0..12_u8, 0..60).prop_map(Step::Write),
                2 => Just(Step::Idle),
                2 => Just(Step::Checkpoint),
                1 => Just(Step::FlushAndCrash),
                1 => Just(Step::Crash),
            ],
            1..20,
        ),
        roll in prop_oneof![500..3000_u64, Just(1 << 30)],
        zstd in prop_oneof![2 => Just(None), 1 => Just(Some(1))],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), roll, zstd);
        let mut stored: Option<String> = None;
        let mut durable: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let mut written = durable.clone();
        let mut next = 0_i64;
        let mut sink = open(&settings, None).unwrap();
        for step in steps {
            match step {
                Step::Write(numbers) => {
                    let rows: Vec<_> = (next..).zip(&numbers).map(|(id, number)| (id, destination(*number))).collect();
                    sink.write(&routed(next as u64, rows.iter().map(|(id, d)| (*id, d.as_deref())))).unwrap();
                    next += rows.len() as i64;
                    for (id, destination) in rows {
                        written.entry(destination.unwrap_or_default()).or_default().push(id);
                    }
                }
                Step::Idle => {
                    sink.idle().unwrap();
                    if zstd.is_none() {
                        prop_assert_eq!(ids_by_destination(&settings), written.clone());
                    }
                }
                Step::Checkpoint => {
                    stored = Some(sink.commit(&Frontier::default()).unwrap());
                    durable.clone_from(&written);
                }
                Step::FlushAndCrash | Step::Crash => {
                    if matches!(step, Step::FlushAndCrash) {
                        sink.commit(&Frontier::default()).unwrap();
                    }
                    drop(sink);
                    sink = open(&settings, stored.as_deref()).unwrap();
                    prop_assert_eq!(ids_by_destination(&settings), durable.clone());
                    written.clone_from(&durable);
                }
            }
        }
        sink.commit(&Frontier::default()).unwrap();
        prop_assert_eq!(ids_by_destination(&settings), written);
    }
}

#[test]
fn a_table_with_a_destination_is_written_there() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let mut sink = open(&settings, None).unwrap();
    let mut batch = inserts(0, 0..3, "");
    batch.tables[0].table = Arc::new(Table { destination: Some("eu/orders".into()), ..Table::clone(&batch.tables[0].table) });
    sink.write(&batch).unwrap();
    let state = sink.commit(&Frontier::default()).unwrap();
    assert_eq!(ids_by_destination(&settings), BTreeMap::from([("eu/orders".to_owned(), vec![0, 1, 2])]));
    let length = fs::metadata(settings.folder.join("eu/orders/orders-00000001.ndjson")).unwrap().len();
    let opened =
        |state: &str| regex_lite::Regex::new(r#""opened_us":[1-9]\d*"#).unwrap().replace_all(state, "\"opened_us\":T").into_owned();
    assert_eq!(
        opened(&state),
        format!(
            r#"{{"file":"orders-00000001.ndjson","number":1,"bytes":0,"records":0,"opened_us":0,"destinations":{{"eu/orders":{{"file":"orders-00000001.ndjson","number":1,"bytes":{length},"records":3,"opened_us":T}}}}}}"#
        )
    );
}

#[test]
fn an_update_that_goes_elsewhere_is_a_delete_there_and_an_insert_here() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let numbers = numbers();
    let mut sink = open_with(&settings, None, OnError::Stop, &limits(), numbers.clone()).unwrap();
    let mut batch = routed(0, []);
    for (before, after) in [(Some("a"), Some("b")), (Some("b"), None), (Some("b"), Some("b"))] {
        let before = routed_row(&mut batch, 7, before, Image::Before);
        let after = routed_row(&mut batch, 8, after, Image::After);
        push(&mut batch, Operation::Update, before, after);
    }
    let gone = routed_row(&mut batch, 9, Some("a"), Image::Before);
    push(&mut batch, Operation::Delete, gone, NO_IMAGE);
    sink.write(&batch).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    let operations = |destination: &str| -> Vec<String> {
        let (_, content) = files(&Settings { folder: settings.folder.join(destination), ..settings.clone() }).remove(0);
        let lines: Vec<_> = content.split(|b| *b == b'\n').filter(|l| !l.is_empty()).collect();
        lines.iter().map(|l| serde_json::from_slice(l).unwrap()).map(|r: serde_json::Value| format!("{} {}", r["_op"], r["id"])).collect()
    };
    assert_eq!(operations("a"), ["\"d\" 7", "\"d\" 9"]);
    // in the same destination, because the key is another one
    assert_eq!(operations("b"), ["\"c\" 8", "\"d\" 7", "\"d\" 7", "\"c\" 8"]);
    assert_eq!(numbers.get().records.get(), 7);
    fs::remove_dir_all(settings.folder.join("a")).unwrap();
    fs::remove_dir_all(settings.folder.join("b")).unwrap();
    assert_eq!(operations(""), ["\"c\" 8"]);
}

#[test]
fn a_destination_that_cannot_be_a_folder_follows_the_policy_and_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let bad = "../s3cret";
    let error = open(&settings, None).unwrap().write(&routed(5, [(1, None), (2, Some(bad))])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Record);
    insta::assert_snapshot!(error, @r#"
    a change of table shop.orders at binlog.000001:4, row 1: the destination that a plugin chose for a record of table shop.orders cannot be a folder
      remedy: let the plugin choose names of at most 255 bytes, 512 in all, with `/` between them; none may be empty, begin with `.`, end in `.ndjson`, or hold `\` or control characters; or set `on_error`
    "#);

    for on_error in [OnError::Skip, OnError::DeadLetter] {
        let _ = fs::remove_dir_all(&settings.folder);
        let numbers = numbers();
        let mut sink = open_with(&settings, None, on_error, &limits(), numbers.clone()).unwrap();
        let mut batch = routed(5, [(1, Some("a")), (2, Some(bad))]);
        // neither half of an update that cannot be written whole
        let (before, after) = (routed_row(&mut batch, 3, Some("a"), Image::Before), routed_row(&mut batch, 3, Some(""), Image::After));
        push(&mut batch, Operation::Update, before, after);
        let last = routed_row(&mut batch, 4, None, Image::After);
        push(&mut batch, Operation::Insert, NO_IMAGE, last);
        sink.write(&batch).unwrap();
        sink.commit(&Frontier::default()).unwrap();
        assert_eq!(ids_by_destination(&settings), BTreeMap::from([(String::new(), vec![4]), ("a".to_owned(), vec![1])]));
        let aside = if on_error == OnError::Skip { &numbers.get().skipped } else { &numbers.get().dead_lettered };
        assert_eq!((numbers.get().records.get(), aside.get()), (2, 2));
    }
    assert!(!folder.path().join("s3cret").exists());
}

#[test]
fn headers_beyond_their_bounds_leave_neither_half_of_a_moved_row() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let limits = Limits { record_header_bytes: 10, ..limits() };
    let mut sink = open_with(&settings, None, OnError::Skip, &limits, numbers()).unwrap();
    let mut batch = routed(0, []);
    for (before, after) in [(1, 123_456_789), (123_456_789, 1), (2, 3)] {
        let before = routed_row(&mut batch, before, Some("a"), Image::Before);
        let after = routed_row(&mut batch, after, Some("b"), Image::After);
        push(&mut batch, Operation::Update, before, after);
    }
    let mut table = Table::clone(&batch.tables[0].table);
    table.columns[0].place = sluicegate_model::change::Place::Header;
    batch.tables[0].table = Arc::new(table);
    sink.write(&batch).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    for (destination, id) in [("a", "2"), ("b", "3")] {
        let content = fs::read_to_string(settings.folder.join(destination).join("orders-00000001.ndjson")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&content).unwrap();
        assert_eq!(record["_headers"], serde_json::json!({ "id": id }));
    }
}

#[test]
fn only_names_inside_the_folder_are_destinations() {
    for good in ["a", "a/b", "region=eu/day=2024-02-29", "caf\u{e9}", "a b", &"x".repeat(255)] {
        assert!(naming::is_folder(good), "{good}");
    }
    let long = ["x".repeat(256), ["x"; 257].join("/")];
    let bad = ["", "/", "/etc", "a/", "a//b", "..", "a/../b", ".", "./a", ".hidden", "a/.b", "a\nb", "a\0", "a\\b", "x-00000001.ndjson"];
    for bad in bad.into_iter().chain(["x.ndjson.zst/a", "a\u{85}"]).chain(long.iter().map(String::as_str)) {
        assert!(!naming::is_folder(bad), "{bad}");
    }
}

#[test]
fn one_destination_more_than_allowed_stops_the_sink() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let names: Vec<String> = (0..=40).map(|n| format!("d{n}")).collect();
    let mut sink = open(&settings, None).unwrap();
    sink.write(&routed(0, (0..40).map(|n| (n, Some(names[n as usize].as_str()))))).unwrap();
    let state = sink.commit(&Frontier::default()).unwrap();
    sink.write(&routed(40, [(40, None), (41, Some("d7"))])).unwrap();
    let error = sink.write(&routed(42, [(42, Some("d40"))])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sink);
    insta::assert_snapshot!(error, @r#"
    plugins or the sink's template gave more than 40 different destinations
      remedy: let them give fewer, or raise `limits.destinations`; then start again: nothing is lost
    "#);
    drop(sink);
    // those that the checkpoint knows count
    let mut sink = open(&settings, Some(&state)).unwrap();
    assert_eq!(sink.write(&routed(40, [(40, Some("d40"))])).unwrap_err().kind(), ErrorKind::Sink);
}

#[cfg(target_os = "linux")]
#[test]
fn no_more_files_are_open_than_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 3000, None);
    let mut sink = open(&settings, None).unwrap();
    let open_now = || {
        let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        links.filter(|to| to.starts_with(&settings.folder) && to.extension().is_some_and(|e| e == "ndjson")).count()
    };
    let mut most = 0;
    for i in 0..400_i64 {
        let name = destination((i * 7 % 11) as u8);
        sink.write(&routed(i as u64, [(i, name.as_deref())])).unwrap();
        if i % 13 == 0 {
            sink.commit(&Frontier::default()).unwrap();
        }
        most = most.max(open_now());
    }
    sink.commit(&Frontier::default()).unwrap();
    assert_eq!((most, ids_by_destination(&settings).len()), (2, 11));
    assert_eq!(ids_by_destination(&settings).into_values().flatten().count(), 400);
}

#[test]
fn destinations_follow_a_changed_prefix_and_compression() {
    let folder = tempfile::tempdir().unwrap();
    let plain = settings(folder.path(), 1 << 20, None);
    let packed = Settings { zstd: Some(3), ..plain.clone() };
    let renamed = Settings { prefix: "a".into(), ..plain.clone() };
    let step = |settings: &Settings, state: Option<&str>, from: i64| {
        let mut sink = open(settings, state).unwrap();
        let rows = |from: i64, to: i64| (from..to).map(|id| (id, Some(if id % 2 == 0 { "even" } else { "odd" })));
        sink.write(&routed(from as u64, rows(from, from + 4))).unwrap();
        let state = sink.commit(&Frontier::default()).unwrap();
        sink.write(&routed(from as u64 + 4, [(-1, Some("lost"))].into_iter().chain(rows(from + 4, from + 300)))).unwrap();
        drop(sink); // crash
        state
    };
    let state = step(&plain, None, 0);
    step(&packed, Some(&state), 4); // its state is lost, too
    let state = step(&packed, Some(&state), 4);
    step(&renamed, Some(&state), 8);
    let state = step(&renamed, Some(&state), 8);
    drop(open(&renamed, Some(&state)).unwrap());
    for (destination, first) in [("even", 0), ("odd", 1)] {
        let there = Settings { folder: plain.folder.join(destination), ..plain.clone() };
        let names: Vec<String> = files(&there).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a-00000003.ndjson", "orders-00000001.ndjson", "orders-00000002.ndjson.zst"]);
        let mut ids = ids(&there);
        ids.sort();
        assert_eq!(ids, (first..12).step_by(2).collect::<Vec<_>>());
    }
    assert_eq!(fs::read_dir(plain.folder.join("lost")).unwrap().count(), 0);
}

#[test]
fn files_of_another_run_in_a_destination_are_neither_mixed_nor_removed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let mut sink = open(&settings, None).unwrap();
    sink.write(&routed(0, [(1, Some("eu"))])).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    sink.write(&routed(1, [(2, Some("us"))])).unwrap();
    sink.commit(&Frontier::default()).unwrap(); // the second flush: the first one's state is stored, and the journal is down to `us`
    assert_eq!(fs::read_to_string(settings.folder.join(".orders.destinations")).unwrap(), "us\n");
    sink.commit(&Frontier::default()).unwrap();
    assert!(!settings.folder.join(".orders.destinations").exists());
    drop(sink);
    let mut sink = open(&settings, None).unwrap(); // as if the checkpoint had been deleted
    let error = sink.write(&routed(0, [(1, Some("eu"))])).and_then(|()| sink.commit(&Frontier::default())).unwrap_err();
    insta::assert_snapshot!(text(&settings, &error), @r#"
    /out/eu/orders-00000001.ndjson is there already, but the checkpoint knows nothing of it
      remedy: move the files of an earlier run away, set another `folder` or `prefix`, or put that run's checkpoint back
    "#);
    assert_eq!(ids_by_destination(&settings).into_values().collect::<Vec<_>>(), [[1], [2]]);
}

#[test]
fn a_journal_beyond_its_bound_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 500, None);
    drop(open(&settings, None).unwrap());
    let journal = fs::File::create(settings.folder.join(".orders.destinations")).unwrap();
    journal.set_len(sluicegate_model::limits::DESTINATIONS_JOURNAL_BYTES + 1).unwrap();
    let error = open(&settings, None).err().unwrap();
    assert!(error.to_string().contains("does not hold what a file sink writes there"), "{error}");
}

#[test]
fn a_state_or_journal_that_leads_outside_of_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 500, None);
    let place = r#""file":"orders-00000001.ndjson","number":1,"bytes":0,"records":0"#;
    let state = format!(r#"{{{place},"destinations":{{"../x":{{{place}}}}}}}"#);
    assert_eq!(open(&settings, Some(&state)).err().unwrap().kind(), ErrorKind::State);
    drop(open(&settings, Some(&state.replace("../x", "x"))).unwrap());
    fs::write(settings.folder.join(".orders.destinations"), "eu\nus/torn by a cra").unwrap();
    drop(open(&settings, None).unwrap());
    fs::write(settings.folder.join(".orders.destinations"), "eu\n../../x\n").unwrap();
    insta::assert_snapshot!(text(&settings, &open(&settings, None).err().unwrap()), @r#"
    /out/.orders.destinations does not hold what a file sink writes there
      remedy: see in which subfolders there are files that the checkpoint does not know, remove those and this file, then start again
    "#);
}
