//! Full disks: a file system that is full, where one may be mounted, and a limit on the size of files anywhere.

use std::{env, process::Command};

use super::*;

/// Names the folder to the child of the test that runs under the limit.
const FOLDER: &str = "SLUICEGATE_TEST_LIMITED_FOLDER";

/// A file system of 64 KiB at a folder; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let run = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(path).output();
        run.is_ok_and(|output| output.status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Writes until nothing more fits. Answers the error, the last state, and how many records it holds.
fn fill(settings: &Settings) -> (Error, Option<String>, i64) {
    let mut sink = Final::boxed(open(settings, None).unwrap());
    let (mut state, mut next) = (None, 0_i64);
    let error = loop {
        // notes that do not compress well
        let note: String = (0..100).map(|i| char::from(b'a' + ((next * 7919 + i * i * 104_729) % 26) as u8)).collect();
        match sink.write(&inserts(next as u64, next..next + 10, &note)).and_then(|()| sink.commit(&Frontier::default())) {
            Ok(flushed) => state = Some(flushed),
            Err(error) => break error,
        }
        next += 10;
    };
    assert_eq!(error.kind(), ErrorKind::Sink);
    assert_eq!(error.remedy_text(), Some("free space on that file system, then start again: nothing is lost"));
    // a later flush must not claim what the failed one could not do
    assert_eq!(sink.commit(&Frontier::default()).unwrap_err().kind(), ErrorKind::Internal);
    (error, state, next)
}

/// A Parquet file that grows past the limit.
fn fill_parquet(folder: &Path) {
    let settings = parquet::settings_of(&folder.join("parquet"), 1 << 20);
    let mut sink = parquet::open_parquet(&settings, None).unwrap();
    let mut seed = 1_u32;
    let mut letter = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + (seed >> 24) as u8 % 90)
    };
    let note: String = (0..1 << 20).map(|_| letter()).collect();
    let error = sink.write(&inserts(0, 0..1, &note)).and_then(|()| sink.commit(&Frontier::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sink);
    let text = error.to_string();
    assert!(text.contains("parquet") && text.contains("the file cannot be written") && text.contains("(os error 27)"), "{text}");
    assert!(error.remedy_text().is_some(), "{text}");
}

/// Does nothing where the account may not mount.
fn fill_a_mounted_disk(zstd: Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 20_000, zstd);
    let Some(disk) = SmallDisk::mount(&settings.folder) else { return };
    let (error, state, next) = fill(&settings);
    assert!(error.to_string().contains("os error 28"), "{error}");

    // a consumer takes the complete files, which makes room
    let known: Place = serde_json::from_str(state.as_ref().unwrap()).unwrap();
    let mut sink = open(&settings, state.as_deref()).unwrap();
    for (name, _) in files(&settings) {
        if Naming::parse(&name).unwrap().1 < known.number {
            fs::copy(settings.folder.join(&name), folder.path().join(&name)).unwrap();
            fs::remove_file(settings.folder.join(&name)).unwrap();
        }
    }
    sink.write(&inserts(next as u64, next..next + 10, "")).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    for (name, _) in files(&settings) {
        fs::copy(settings.folder.join(&name), folder.path().join(&name)).unwrap();
    }
    drop((sink, disk));
    fs::remove_dir(&settings.folder).unwrap();
    assert_eq!(ids(&Settings { folder: folder.path().to_owned(), ..settings }), (0..next + 10).collect::<Vec<_>>());
}

/// In a process whose files may not grow past some 64 KiB: any account may lower that limit, none may raise it again.
fn fill_a_limited_process(zstd: Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join(if zstd.is_some() { "packed" } else { "plain" });
    fs::create_dir(&folder).unwrap();
    // the signal that tells of the limit would end the process; ignored, the write fails
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" --exact \"$1\" --ignored --nocapture"])
        .arg(env::current_exe().unwrap())
        .arg("tests::full_disk::child_whose_files_are_limited")
        .env(FOLDER, &folder)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    let left = fs::read_to_string(folder.join("left")).unwrap();
    let (next, state) = left.split_once('\n').unwrap();
    let next: i64 = next.parse().unwrap();

    let settings = settings(&folder, 1 << 20, zstd);
    let mut sink = open(&settings, Some(state)).unwrap();
    assert_eq!(ids(&settings), (0..next).collect::<Vec<_>>());
    sink.write(&inserts(next as u64, next..next + 10, "")).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    assert_eq!(ids(&settings), (0..next + 10).collect::<Vec<_>>());
}

/// Not a test by itself: the other process of the test below.
#[test]
#[ignore = "run by another test"]
fn child_whose_files_are_limited() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let (error, state, next) = fill(&settings(folder, 1 << 20, folder.ends_with("packed").then_some(1)));
    assert!(error.to_string().contains("os error 27"), "{error}");
    fill_parquet(folder);
    fs::write(folder.join("left"), format!("{next}\n{}", state.unwrap())).unwrap();
}

/// Under the limit everywhere, and on a disk that is really full where one can be mounted.
#[test]
fn a_full_disk_stops_the_sink_and_loses_nothing() {
    for zstd in [None, Some(1)] {
        fill_a_limited_process(zstd);
        fill_a_mounted_disk(zstd);
    }
}
