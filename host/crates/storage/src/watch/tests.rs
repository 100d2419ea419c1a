//! Ways over links, and what is noticed of them.

use std::{os::unix::fs::symlink, sync::mpsc};

use super::*;

/// A folder's real path, and the names that count in it.
fn found(way: BTreeMap<PathBuf, BTreeSet<OsString>>, root: &Path) -> Vec<String> {
    let inside = |folder: PathBuf| folder.strip_prefix(root).map_or_else(|_| folder.display().to_string(), |f| f.display().to_string());
    let names = |names: BTreeSet<OsString>| names.iter().map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>().join(",");
    way.into_iter().map(|(folder, of)| format!("{}/{}", inside(folder), names(of))).collect()
}

fn root() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    (folder, root)
}

#[test]
fn the_folder_of_every_link_on_the_way_counts() {
    let (_folder, root) = root();
    fs::create_dir_all(root.join("app/releases/7/plugins")).unwrap();
    fs::create_dir(root.join("build")).unwrap();
    fs::write(root.join("build/mask.wasm"), "").unwrap();
    symlink("releases/7", root.join("app/current")).unwrap();
    symlink("../../../../build/mask.wasm", root.join("app/releases/7/plugins/mask.wasm")).unwrap();
    symlink(root.join("app"), root.join("live")).unwrap();
    let way = |path: &str| found(way(&root.join(path), 40), &root);
    assert_eq!(way("build/mask.wasm"), ["build/mask.wasm"]);
    assert_eq!(way("app/current/plugins/mask.wasm"), ["app/current", "app/releases/7/plugins/mask.wasm", "build/mask.wasm"]);
    assert_eq!(
        way("live/current/../../current/plugins/./mask.wasm"),
        ["/live", "app/current", "app/releases/7/plugins/mask.wasm", "build/mask.wasm"]
    );
    // what is not there may come
    assert_eq!(way("app/current/nothing/mask.wasm"), ["app/current", "app/releases/7/nothing"]);
    symlink("gone", root.join("dangling")).unwrap();
    assert_eq!(way("dangling/mask.wasm"), ["/dangling,gone"]);
    symlink("b", root.join("a")).unwrap();
    symlink("a", root.join("b")).unwrap();
    assert_eq!(way("a"), ["/a,b"]);
}

/// Runs `change`, and answers whether it is noticed.
fn noticed(file: &Path, change: impl FnOnce()) -> bool {
    let (told, news) = mpsc::channel();
    let mut watch = Watch::new(Changes::default(), move || {
        let _ = told.send(());
    })
    .unwrap();
    watch.follow_files([file], 40).unwrap();
    watch.look(file);
    change();
    let noticed = news.recv_timeout(Duration::from_secs(5)).is_ok();
    noticed && watch.look(file) != Look::Same
}

#[test]
fn a_change_anywhere_on_the_way_is_noticed() {
    let (_folder, root) = root();
    let path = |name: &str| root.join(name);
    fs::create_dir_all(path("v/1")).unwrap();
    fs::create_dir_all(path("v/2")).unwrap();
    fs::write(path("v/1/f"), "1").unwrap();
    fs::write(path("v/2/f"), "2").unwrap();
    // as Kubernetes lays a ConfigMap out
    symlink("v/1", path("..data")).unwrap();
    symlink("..data/f", path("f")).unwrap();
    let replace = |target: &str, link: &str| {
        symlink(target, path("tmp")).unwrap();
        fs::rename(path("tmp"), path(link)).unwrap();
    };
    assert!(noticed(&path("f"), || replace("v/2", "..data")));
    assert!(noticed(&path("f"), || fs::write(path("v/2/f"), "in place").unwrap()));
    assert!(noticed(&path("f"), || {
        fs::write(path("v/2/new"), "by rename").unwrap();
        fs::rename(path("v/2/new"), path("v/2/f")).unwrap();
    }));
    assert!(noticed(&path("f"), || replace("v/1/f", "f")));
    assert!(noticed(&path("f"), || fs::remove_file(path("v/1/f")).unwrap()));
    assert!(noticed(&path("f"), || fs::write(path("v/1/f"), "again").unwrap()));
}

#[test]
fn other_files_of_a_folder_wake_nobody() {
    let (_folder, root) = root();
    fs::write(root.join("f"), "").unwrap();
    let (told, news) = mpsc::channel();
    let changes = Changes::default();
    let mut watch = Watch::new(changes.clone(), move || {
        let _ = told.send(());
    })
    .unwrap();
    watch.follow_files([&*root.join("f")], 40).unwrap();
    fs::write(root.join("other"), "").unwrap();
    fs::write(root.join("f"), "x").unwrap();
    // events come in order: were the other one to count, it would be the news
    news.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(!concerns(&watch.folders.lock().unwrap(), &root.join("other")));
    assert!(concerns(&watch.folders.lock().unwrap(), &root.join("f")) && changes.any());
}

/// Waits until the file is, or is not, being written as far as the watch knows.
fn until_written(watch: &Watch, file: &Path, is_written: bool) {
    let begin = Instant::now();
    while watch.is_written(file, Duration::from_secs(60)) != is_written {
        assert!(begin.elapsed() < Duration::from_secs(60), "{is_written}");
        std::thread::yield_now();
    }
}

#[test]
fn a_file_that_was_written_to_is_being_written_until_it_is_closed_or_another_one_takes_its_name() {
    use std::io::Write as _;
    let (_folder, root) = root();
    let (file, link) = (root.join("f"), root.join("link"));
    fs::write(&file, "1").unwrap();
    symlink("f", &link).unwrap();
    let mut watch = Watch::new(Changes::default(), || {}).unwrap();
    watch.follow_files([&*file, &*link], 40).unwrap();
    watch.look(&file);
    assert!(!watch.is_written(&file, Duration::from_secs(60)));
    let mut open = fs::File::create(&file).unwrap();
    until_written(&watch, &file, true);
    assert!(watch.is_written(&link, Duration::from_secs(60)) && !watch.is_written(&link, Duration::ZERO));
    open.write_all(b"2").unwrap();
    drop(open);
    until_written(&watch, &file, false);
    // who writes may rename the file before the end
    let mut open = fs::File::create(root.join("new")).unwrap();
    open.write_all(b"3").unwrap();
    until_written(&watch, &root.join("new"), true);
    fs::rename(root.join("new"), &file).unwrap();
    until_written(&watch, &file, true);
    fs::write(root.join("whole"), "4").unwrap();
    fs::rename(root.join("whole"), &file).unwrap();
    until_written(&watch, &file, false);
    assert_eq!(watch.look(&file), Look::Changed);
}

#[test]
fn the_end_of_writing_is_news_and_reading_is_none() {
    let mut written = Written::default();
    let data = EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any));
    let closed = |mode| EventKind::Access(AccessKind::Close(mode));
    let mut follow = |kind| written.follow(&Event::new(kind).add_path("/f".into()));
    assert!(!follow(closed(AccessMode::Write)), "it was not written to");
    assert!(!follow(data) && !follow(closed(AccessMode::Read)) && follow(closed(AccessMode::Write)));
    assert!(!follow(closed(AccessMode::Write)));
    assert!(!follow(data) && !follow(EventKind::Remove(notify::event::RemoveKind::File)) && !follow(closed(AccessMode::Write)));
}

#[test]
fn what_no_event_tells_is_seen_at_a_glance() {
    let (_folder, root) = root();
    let file = root.join("f");
    fs::write(&file, "1").unwrap();
    let changes = Changes::default();
    let mut watch = Watch::new(changes.clone(), || {}).unwrap();
    watch.look(&file);
    watch.glance([&*file]);
    assert!(!changes.any());
    // not followed: no event tells of it
    fs::write(&file, "2").unwrap();
    watch.glance([&*file]);
    assert!(changes.any());
}

#[test]
fn a_folder_that_is_never_quiet_is_not_waited_for_for_ever() {
    let changes = Changes::default();
    let mut waits = 0;
    changes.until_quiet(Duration::from_millis(1), |until| {
        waits += 1;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        changes.note();
        true
    });
    assert!(waits >= 2 && !changes.any());
    let mut waits = 0;
    changes.until_quiet(Duration::ZERO, |_| {
        waits += 1;
        true
    });
    assert_eq!(waits, 1);
}
