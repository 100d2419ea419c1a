//! Somebody takes files away: complete ones, which is allowed, and the one that is written to, which is not.

use super::*;
use sluicegate_samples::orders::routed;

/// A sink with ten changes in its checkpoint, and ten more that are written, but not durable.
fn half_way(settings: &Settings) -> (FileSink, String) {
    let mut sink = open(settings, None).unwrap();
    sink.write(&inserts(0, 0..10, "")).unwrap();
    let state = sink.commit(&Frontier::default()).unwrap();
    sink.write(&inserts(10, 10..20, "")).unwrap();
    sink.idle().unwrap();
    (sink, state)
}

fn current(settings: &Settings) -> PathBuf {
    settings.folder.join("orders-00000001.ndjson")
}

/// Writes the changes behind the first ten, as a start at the checkpoint `state` does.
fn go_on(settings: &Settings, state: &str) -> String {
    let mut sink = open(settings, Some(state)).unwrap();
    sink.write(&inserts(10, 10..30, "")).unwrap();
    sink.commit(&Frontier::default()).unwrap()
}

#[test]
fn no_checkpoint_is_made_when_the_file_was_removed_moved_or_replaced() {
    for take in ["remove", "move", "replace", "remove the folder"] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), 1 << 20, None);
        let (mut sink, _) = half_way(&settings);
        let file = current(&settings);
        match take {
            "remove" => fs::remove_file(&file).unwrap(),
            "move" => fs::rename(&file, folder.path().join("away")).unwrap(),
            "replace" => {
                fs::copy(&file, folder.path().join("copy")).unwrap();
                fs::rename(folder.path().join("copy"), &file).unwrap();
            }
            _ => fs::remove_dir_all(&settings.folder).unwrap(),
        }
        let error = sink.commit(&Frontier::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sink);
        assert!(text(&settings, &error).contains("/out/orders-00000001.ndjson was moved away or removed"), "{take}: {error}");
    }
}

#[test]
fn what_to_do_follows_from_what_the_checkpoint_has() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let (mut sink, state) = half_way(&settings);
    let durable = serde_json::from_str::<Place>(&state).unwrap().bytes;
    fs::remove_file(current(&settings)).unwrap();
    let told = |error: &Error| text(&settings, error).replace(&durable.to_string(), "N");
    insta::assert_snapshot!(told(&sink.commit(&Frontier::default()).unwrap_err()), @r"
/out/orders-00000001.ndjson was moved away or removed while it was written to
  remedy: put it back and start again, or start again without it: the next file begins with the change after its first N bytes (cut a file that was moved away to N bytes, or it holds those changes, too)
");
    drop(sink);
    fs::remove_dir_all(&settings.folder).unwrap();
    let mut sink = open(&settings, None).unwrap();
    sink.write(&inserts(0, 0..10, "")).unwrap();
    sink.idle().unwrap();
    fs::remove_file(current(&settings)).unwrap();
    insta::assert_snapshot!(told(&sink.commit(&Frontier::default()).unwrap_err()), @r"
/out/orders-00000001.ndjson was moved away or removed while it was written to
  remedy: start again: all of its records are written again, into a new file; remove the one that was moved away
");
}

/// What logrotate's `copytruncate` does, and an append by somebody else.
#[test]
fn a_file_that_somebody_cuts_or_adds_to_stops_the_sink_before_it_is_written_to() {
    for (zstd, cut) in [(None, true), (Some(3), true), (None, false)] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), 1 << 20, zstd);
        let (mut sink, state) = half_way(&settings);
        let file = settings.folder.join(serde_json::from_str::<Place>(&state).unwrap().file);
        let copy = folder.path().join("copy");
        fs::copy(&file, &copy).unwrap();
        let change = fs::File::options().append(true).open(&file).unwrap();
        if cut {
            change.set_len(0).unwrap();
        } else {
            io::Write::write_all(&mut &change, b"{}\n").unwrap();
        }
        let length = change.metadata().unwrap().len();
        let written = sink.write(&inserts(20, 20..30, "")).and_then(|()| sink.commit(&Frontier::default()));
        let error = text(&settings, &written.unwrap_err());
        assert!(error.contains("was changed while it was written to"), "{error}");
        drop(sink);
        assert_eq!(fs::metadata(&file).unwrap().len(), length, "nothing was written to it");
        if cut {
            // as the error says
            let error = text(&settings, &open(&settings, Some(&state)).err().unwrap());
            assert!(error.contains("holds 0 bytes") && error.contains("or move it away and start again"), "{error}");
            fs::rename(&file, folder.path().join("away")).unwrap();
            go_on(&settings, &state);
            assert_eq!(ids(&settings), (10..30).collect::<Vec<_>>());
        } else {
            go_on(&settings, &state);
            assert_eq!(ids(&settings), (0..30).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_start_without_the_removed_file_loses_only_what_was_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let (mut sink, state) = half_way(&settings);
    fs::remove_file(current(&settings)).unwrap();
    sink.commit(&Frontier::default()).unwrap_err();
    drop(sink);
    let next = go_on(&settings, &state);
    assert_eq!(ids(&settings), (10..30).collect::<Vec<_>>());
    assert!(next.contains("orders-00000002.ndjson"), "{next}");
    // and so does another one, with the file that came after it
    drop(open(&settings, Some(&next)).unwrap());
    assert_eq!(ids(&settings), (10..30).collect::<Vec<_>>());
}

#[test]
fn a_file_that_was_moved_away_and_put_back_or_cut_holds_each_change_once() {
    for put_back in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), 1 << 20, None);
        let (mut sink, state) = half_way(&settings);
        let away = folder.path().join("away");
        fs::rename(current(&settings), &away).unwrap();
        sink.commit(&Frontier::default()).unwrap_err();
        drop(sink);
        let durable = serde_json::from_str::<Place>(&state).unwrap().bytes;
        if put_back {
            fs::rename(&away, current(&settings)).unwrap();
            go_on(&settings, &state);
        } else {
            go_on(&settings, &state);
            // as the error says
            fs::File::options().write(true).open(&away).unwrap().set_len(durable).unwrap();
            fs::rename(&away, current(&settings)).unwrap();
        }
        assert_eq!(ids(&settings), (0..30).collect::<Vec<_>>());
    }
}

#[test]
fn a_destination_whose_file_is_gone_goes_on_in_its_next_file() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let mut sink = open(&settings, None).unwrap();
    sink.write(&routed(0, [(1, Some("eu")), (2, Some("us")), (3, None)])).unwrap();
    let state = sink.commit(&Frontier::default()).unwrap();
    drop(sink);
    fs::remove_dir_all(settings.folder.join("eu")).unwrap();
    let mut sink = open(&settings, Some(&state)).unwrap();
    sink.write(&routed(3, [(4, Some("eu")), (5, Some("us")), (6, None)])).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    let there = |destination: &str| Settings { folder: settings.folder.join(destination), ..settings.clone() };
    assert_eq!((ids(&there("eu")), ids(&there("us")), ids(&settings)), (vec![4], vec![2, 5], vec![3, 6]));
    assert!(settings.folder.join("eu/orders-00000002.ndjson").exists());
}

#[test]
fn a_file_that_is_gone_when_it_is_opened_again_stops_the_sink() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let limits = Limits { open_files: 1, ..small_buffer() };
    let mut sink = open_with(&settings, None, OnError::Stop, &limits, numbers()).unwrap();
    sink.write(&routed(0, [(1, Some("eu")), (2, Some("us"))])).unwrap();
    sink.idle().unwrap(); // one of the two is closed again
    for destination in ["eu", "us"] {
        fs::remove_file(settings.folder.join(destination).join("orders-00000001.ndjson")).unwrap();
    }
    let error = sink.write(&routed(2, [(3, Some("eu")), (4, Some("us"))])).and_then(|()| sink.idle()).unwrap_err();
    assert!(error.to_string().contains("was moved away or removed"), "{error}");
}

#[test]
fn a_folder_that_is_not_the_one_written_to_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let (sink, state) = half_way(&settings);
    let durable = serde_json::from_str::<Place>(&state).unwrap().bytes;
    drop(sink);
    let away = folder.path().join("away");
    fs::rename(&settings.folder, &away).unwrap();
    insta::assert_snapshot!(text(&settings, &open(&settings, Some(&state)).err().unwrap()).replace(&durable.to_string(), "N"), @r"
/out/orders-00000001.ndjson is missing, although the checkpoint says that N bytes of it are durable, and so is /out/.orders.lock: this is not the folder that the sink wrote to
  remedy: mount its file system, or set `folder` back; to go on in new files there, run `mkdir -p '/out' && touch '/out/.orders.lock'`
");
    assert!(!settings.folder.exists());
    // an empty folder, as where a file system is not mounted
    fs::create_dir(&settings.folder).unwrap();
    for _ in 0..2 {
        assert_eq!(open(&settings, Some(&state)).err().unwrap().kind(), ErrorKind::Sink);
        assert_eq!(fs::read_dir(&settings.folder).unwrap().count(), 0);
    }
    // as the error says
    fs::write(settings.folder.join(".orders.lock"), "").unwrap();
    go_on(&settings, &state);
    assert_eq!(ids(&settings), (10..30).collect::<Vec<_>>());

    // the files are enough, as in a copy without the hidden ones
    fs::remove_dir_all(&settings.folder).unwrap();
    fs::rename(&away, &settings.folder).unwrap();
    fs::remove_file(settings.folder.join(".orders.lock")).unwrap();
    go_on(&settings, &state);
    assert_eq!(ids(&settings), (0..30).collect::<Vec<_>>());
}

/// Puts another folder, or none, in the place of the sink's.
fn take_folder(settings: &Settings, away: &Path, how: &str) {
    fs::rename(&settings.folder, away).unwrap();
    if how == "replace" {
        fs::create_dir(&settings.folder).unwrap();
    }
}

#[test]
fn nothing_is_written_to_another_folder_of_the_same_name_also_between_two_files() {
    for how in ["move", "replace"] {
        let folder = tempfile::tempdir().unwrap();
        // each record fills a file
        let settings = settings(folder.path(), 1, None);
        let mut sink = open(&settings, None).unwrap();
        sink.write(&inserts(0, 0..10, "")).unwrap();
        let state = sink.commit(&Frontier::default()).unwrap();
        assert_eq!(serde_json::from_str::<Place>(&state).unwrap().bytes, 0);
        let away = folder.path().join("away");
        take_folder(&settings, &away, how);
        let error = sink.write(&inserts(10, 10..20, "")).and_then(|()| sink.idle()).unwrap_err();
        insta::allow_duplicates!(insta::assert_snapshot!(text(&settings, &error), @r"
        /out is no longer the folder that the sink began to write to: it was moved, removed, replaced or unmounted
          remedy: put the folder back, or mount its file system, and start again; to go on in new files there, run `mkdir -p '/out' && touch '/out/.orders.lock'` and start again: what came after the last checkpoint is then written again there, also where a file that was moved away holds it
        "));
        drop(sink);
        let is_empty = || fs::read_dir(&settings.folder).map_or(true, |mut entries| entries.next().is_none());
        assert!(is_empty());
        // a start does not take it for the sink's folder either
        let refused = text(&settings, &open(&settings, Some(&state)).err().unwrap());
        insta::allow_duplicates!(insta::assert_snapshot!(refused, @r"
        /out holds none of the files that were written before, and /out/.orders.lock is missing: this is not the folder that the sink wrote to
          remedy: mount its file system, or set `folder` back; to go on in new files there, run `mkdir -p '/out' && touch '/out/.orders.lock'`
        "));
        assert!(is_empty());
        if how == "move" {
            fs::rename(&away, &settings.folder).unwrap();
            go_on(&settings, &state);
            assert_eq!(ids(&settings), (0..30).collect::<Vec<_>>());
        } else {
            // as the error says
            fs::write(settings.folder.join(".orders.lock"), "").unwrap();
            go_on(&settings, &state);
            assert_eq!(ids(&settings), (10..30).collect::<Vec<_>>());
        }
    }
}

#[test]
fn no_checkpoint_is_made_when_the_folder_was_taken_away_although_all_files_are_complete() {
    for how in ["move", "replace"] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), 1, None);
        let mut sink = open(&settings, None).unwrap();
        sink.write(&inserts(0, 0..10, "")).unwrap();
        sink.idle().unwrap();
        take_folder(&settings, &folder.path().join("away"), how);
        let error = sink.commit(&Frontier::default()).unwrap_err();
        assert!(error.message().contains("no longer the folder that the sink began to write to"), "{how}: {error}");
    }
}

#[test]
fn the_remedy_for_a_file_that_went_with_its_folder_works() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 20, None);
    let (mut sink, state) = half_way(&settings);
    take_folder(&settings, &folder.path().join("away"), "move");
    let error = text(&settings, &sink.commit(&Frontier::default()).unwrap_err());
    assert!(
        error.contains("/out/orders-00000001.ndjson was moved away") && error.contains("mkdir -p '/out' && touch '/out/.orders.lock'"),
        "{error}"
    );
    drop(sink);
    fs::create_dir(&settings.folder).unwrap();
    fs::write(settings.folder.join(".orders.lock"), "").unwrap();
    go_on(&settings, &state);
    assert_eq!(ids(&settings), (10..30).collect::<Vec<_>>());
}
