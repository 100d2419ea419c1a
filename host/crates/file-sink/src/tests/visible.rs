//! When readers see what was written.

use super::*;

/// What a reader sees who comes now: of a compressed file, all that can be decoded.
fn visible(settings: &Settings) -> Vec<i64> {
    let Ok(entries) = fs::read_dir(&settings.folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().to_str().and_then(Naming::parse).is_some());
    paths.sort();
    let mut text = Vec::new();
    for path in paths {
        let content = fs::read(&path).unwrap();
        if path.extension().is_some_and(|e| e == "zst") {
            // an error is the end of what is there of the last frame
            let _ = zstd::stream::read::Decoder::new(content.as_slice()).unwrap().read_to_end(&mut text);
        } else {
            text.extend(content);
        }
    }
    let lines = std::str::from_utf8(&text).unwrap().lines();
    lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_i64().unwrap()).collect()
}

/// A sink whose buffer never gets full.
fn open_wide(settings: &Settings) -> FileSink {
    let limits = Limits { sink_buffer_bytes: 1 << 30, ..Limits::default() };
    open_with(settings, None, OnError::Stop, &limits, numbers()).unwrap()
}

#[test]
fn a_record_is_visible_as_soon_as_nothing_more_waits() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 30, None);
    let mut sink = open_wide(&settings);
    for i in 0..5 {
        sink.write(&inserts(i, [i as i64], "")).unwrap();
        sink.idle().unwrap();
        assert_eq!(visible(&settings), (0..=i as i64).collect::<Vec<_>>());
    }
}

#[test]
fn a_compressed_record_is_visible_soon_when_nothing_more_waits() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 30, Some(3));
    let mut sink = open_wide(&settings);
    for i in 0..3_i64 {
        sink.write(&inserts(i as u64, [i], "")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while visible(&settings) != (0..=i).collect::<Vec<_>>() {
            assert!(Instant::now() < deadline);
            sink.idle().unwrap();
        }
    }
    // the blocks that were ended in between are in one whole frame
    sink.commit(&Frontier::default()).unwrap();
    assert_eq!(ids(&settings), [0, 1, 2]);
}

#[test]
fn a_record_does_not_wait_for_a_full_buffer_while_batches_keep_coming() {
    for zstd in [None, Some(1)] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), 1 << 30, zstd);
        let mut sink = open_wide(&settings);
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut next = 0;
        while visible(&settings).is_empty() {
            assert!(Instant::now() < deadline);
            sink.write(&inserts(next, [next as i64], "")).unwrap();
            next += 1;
        }
    }
}

#[test]
fn batches_that_fill_the_buffer_are_written_in_whole_buffers() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1 << 30, None);
    let mut sink = open(&settings, None).unwrap();
    let length = || fs::metadata(settings.folder.join("orders-00000001.ndjson")).unwrap().len();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut next = 0;
    // each batch fills the buffer once; where the machine was held up for long, the rest is written, too
    loop {
        assert!(Instant::now() < deadline);
        sink.write(&inserts(next as u64, next..next + 10, &"x".repeat(500))).unwrap();
        next += 10;
        let written = length();
        sink.idle().unwrap();
        if written < length() {
            break;
        }
    }
}

#[test]
fn a_compressed_file_that_gets_full_when_it_is_shown_is_rolled() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1, Some(1));
    let mut sink = open_wide(&settings);
    sink.write(&inserts(0, [0], "")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while visible(&settings).is_empty() {
        assert!(Instant::now() < deadline);
        sink.idle().unwrap();
    }
    sink.write(&inserts(1, [1], "")).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    let names: Vec<String> = files(&settings).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["orders-00000001.ndjson.zst", "orders-00000002.ndjson.zst"]);
    assert_eq!(ids(&settings), [0, 1]);
}
