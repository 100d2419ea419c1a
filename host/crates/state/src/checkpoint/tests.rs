use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::*;

fn frontier(position: u64) -> Frontier {
    Frontier::of(Lane::new("binlog"), Offset::from_json(format!(r#"{{"file":"binlog.000001","position":{position}}}"#)))
}

fn progress(position: u64) -> Progress {
    Progress { frontier: frontier(position), state: "{}".into() }
}

/// Commits a sink's progress, which begins there if it is new.
fn commit(checkpoint: &Checkpoint, sink: &str, position: u64) -> Result<()> {
    checkpoint.begin([(sink, &frontier(position))])?;
    checkpoint.commit(sink, &frontier(position), "{}")
}

/// The error's text, with the test's own folder and process ids taken out.
fn text(folder: &Path, error: &Error) -> String {
    let text = error.to_string().replace(&folder.display().to_string(), "/state");
    text.replace(&format!("process {}", std::process::id()), "process PID")
}

fn raw(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

#[test]
fn a_commit_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/yet/there/p.state");
    let checkpoint = Checkpoint::open(&path, "shop").unwrap();
    assert_eq!(checkpoint.progress("files").unwrap(), None);
    assert_eq!(checkpoint.all().unwrap(), []);
    commit(&checkpoint, "files", 10).unwrap();
    commit(&checkpoint, "files", 25).unwrap();
    commit(&checkpoint, "kafka", 7).unwrap();
    drop(checkpoint);

    let checkpoint = Checkpoint::open(&path, "shop").unwrap();
    assert_eq!(checkpoint.progress("files").unwrap(), Some(progress(25)));
    assert_eq!(checkpoint.progress("other").unwrap(), None);
    assert_eq!(checkpoint.all().unwrap(), [("files".to_owned(), progress(25)), ("kafka".to_owned(), progress(7))]);
}

#[test]
fn a_checkpoint_in_use_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.state");
    let checkpoint = Checkpoint::open(&path, "shop").unwrap();
    commit(&checkpoint, "files", 10).unwrap();
    let seen = [("files".to_owned(), progress(10))];
    assert_eq!(Checkpoint::look(&path, "shop").unwrap(), seen);
    assert!(Checkpoint::look(&path, "other").unwrap_err().message().contains("belongs to the pipeline `shop`"));
    drop(checkpoint);
    assert_eq!(Checkpoint::look(&path, "shop").unwrap(), seen);
    assert_eq!(Checkpoint::look(&folder.path().join("none"), "shop").unwrap_err().kind(), ErrorKind::State);
    assert!(!folder.path().join("none").exists());
}

#[test]
fn progress_and_state_are_of_one_commit_also_while_a_pipeline_commits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.state");
    let checkpoint = Checkpoint::open(&path, "shop").unwrap();
    checkpoint.begin([("files", &frontier(0))]).unwrap();
    checkpoint.commit("files", &frontier(0), "0").unwrap();
    thread::scope(|scope| {
        let committing = scope.spawn(|| (1..=300).for_each(|at| checkpoint.commit("files", &frontier(at), &at.to_string()).unwrap()));
        while !committing.is_finished() {
            let seen = Checkpoint::look(&path, "shop").unwrap();
            let [(_, progress)] = &seen[..] else { panic!("one sink: {seen:?}") };
            assert_eq!(progress.frontier, frontier(progress.state.parse().unwrap()));
        }
    });
}

#[test]
fn a_commit_moves_only_the_lanes_that_moved() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(&folder.path().join("p.state"), "shop").unwrap();
    let lane = |name: &str, at: u64| (Lane::new(name), Offset::from_json(at.to_string()));
    checkpoint.begin([("files", &[lane("a", 1), lane("b", 1)].into_iter().collect())]).unwrap();
    checkpoint.commit("files", &[lane("b", 2)].into_iter().collect(), "two").unwrap();
    let stored = checkpoint.progress("files").unwrap().unwrap();
    assert_eq!((stored.frontier.to_string().as_str(), stored.state.as_str()), ("a 1, b 2", "two"));
    let error = checkpoint.commit("nobody", &Frontier::default(), "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State, "progress of a sink that never began has no place");
}

#[test]
fn sinks_begin_together_and_those_that_have_progress_keep_it() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(&folder.path().join("p.state"), "shop").unwrap();
    commit(&checkpoint, "files", 10).unwrap();
    checkpoint.begin([("files", &frontier(4)), ("kafka", &frontier(4))]).unwrap();
    let kafka = Progress { state: String::new(), ..progress(4) };
    assert_eq!(checkpoint.all().unwrap(), [("files".to_owned(), progress(10)), ("kafka".to_owned(), kafka)]);
}

#[test]
fn a_lane_that_begins_later_begins_there_for_every_sink_that_does_not_know_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.state");
    let checkpoint = Checkpoint::open(&path, "shop").unwrap();
    checkpoint.begin([("files", &frontier(1)), ("kafka", &frontier(1))]).unwrap();
    let lane = Lane::new("copy:shop.orders/1");
    checkpoint.begin_lane(&lane, &Offset::from_json("0")).unwrap();
    checkpoint.commit("files", &Frontier::of(lane.clone(), Offset::from_json("7")), "").unwrap();
    checkpoint.begin_lane(&lane, &Offset::from_json("9")).unwrap();
    drop(checkpoint);
    let offset = |sink: &str| {
        let stored = Checkpoint::look(&path, "shop").unwrap().into_iter().find(|(name, _)| name == sink).unwrap().1;
        stored.frontier.get(lane.name()).unwrap().to_json()
    };
    assert_eq!((offset("files"), offset("kafka")), ("7".to_owned(), "0".to_owned()));
}

#[test]
fn a_lane_that_is_new_at_a_start_is_stored_for_sinks_that_have_progress() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(&folder.path().join("p.state"), "shop").unwrap();
    commit(&checkpoint, "files", 10).unwrap();
    let mut begins = frontier(4);
    begins.set(Lane::new("new"), Offset::from_json("7"));
    checkpoint.begin([("files", &begins)]).unwrap();
    let stored = checkpoint.progress("files").unwrap().unwrap();
    let mut expected = progress(10);
    expected.frontier.set(Lane::new("new"), Offset::from_json("7"));
    assert_eq!(stored, expected);
}

/// What a lane's beginning was for sinks that are gone means nothing for new ones.
#[test]
fn a_lane_begins_for_a_new_sink_where_it_begins_then() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(&folder.path().join("p.state"), "shop").unwrap();
    let (lane, at) = (Lane::new("late"), |at: u64| Offset::from_json(at.to_string()));
    checkpoint.begin([("before", &frontier(1))]).unwrap();
    checkpoint.begin_lane(&lane, &at(7)).unwrap();
    checkpoint.begin([("one", &frontier(1)), ("two", &frontier(1))]).unwrap();
    checkpoint.begin_lane(&lane, &at(12)).unwrap();
    let offset = |sink: &str| checkpoint.progress(sink).unwrap().unwrap().frontier.get("late").unwrap().to_json();
    assert_eq!(["before", "one", "two"].map(offset), ["7", "12", "12"]);
}

#[test]
fn an_operator_sets_and_drops_a_sinks_progress() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(&folder.path().join("p.state"), "shop").unwrap();
    commit(&checkpoint, "before", 10).unwrap();
    checkpoint.set("after", &checkpoint.progress("before").unwrap().unwrap()).unwrap();
    assert!(checkpoint.drop_sink("before").unwrap());
    assert!(!checkpoint.drop_sink("before").unwrap());
    assert_eq!(checkpoint.all().unwrap(), [("after".to_owned(), progress(10))]);
}

fn landed(name: &str) -> PathBuf {
    // the repository's folder is above the crate's, however deep
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("tests/fixtures/checkpoints/1"));
    above.map(|folder| folder.join(name)).find(|path| path.exists()).unwrap()
}

/// The files were made by version 0.1.0: one by the generator, one by a MariaDB source that was killed inside a transaction.
#[test]
fn a_checkpoint_of_version_1_is_read_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    for (name, place) in [
        ("generator.db", r#"generator {"seed":7,"change":1500}"#),
        (
            "mariadb.db",
            r#"binlog {"flavor":"mariadb","file":"binlog.000001","position":1399,"gtid_set":"0-2001-4,3-2001-1","skip":{"events":50,"rows":1100}}"#,
        ),
    ] {
        let path = folder.path().join(name);
        fs::copy(landed(name), &path).unwrap();
        let looked = Checkpoint::look(&path, "shop").unwrap();
        assert!(!folder.path().join(format!("{name}.v1")).exists(), "looking changes nothing");
        let checkpoint = Checkpoint::open(&path, "shop").unwrap();
        assert_eq!(checkpoint.all().unwrap(), looked);
        let [(sink, progress)] = &looked[..] else { panic!("one sink") };
        assert_eq!((sink.as_str(), progress.frontier.to_string().as_str()), ("files", place));
        assert!(progress.state.starts_with(r#"{"file":"shop-00000001.ndjson","number":1,"bytes":"#), "{}", progress.state);
        drop(checkpoint);
        assert_eq!(fs::read(folder.path().join(format!("{name}.v1"))).unwrap(), fs::read(landed(name)).unwrap());
        assert_eq!(Checkpoint::open(&path, "shop").unwrap().all().unwrap(), looked, "the new form says the same");
    }
}

#[test]
fn an_altered_checkpoint_of_version_1_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.state");
    fs::copy(landed("generator.db"), &path).unwrap();
    raw(&path).execute("UPDATE sink SET position = replace(position, '1500', '1501')", []).unwrap();
    assert_eq!(Checkpoint::open(&path, "shop").unwrap_err().kind(), ErrorKind::State);
    assert_eq!(raw(&path).pragma_query_value(None, "user_version", |r| r.get::<_, i32>(0)).unwrap(), 1);
}

/// A commit that fits, and one that does not. Answers the error of that one.
fn overfill(path: &Path) -> Error {
    let checkpoint = Checkpoint::open(path, "shop").unwrap();
    commit(&checkpoint, "files", 1).unwrap();
    let error = checkpoint.commit("files", &frontier(2), &"x".repeat(200_000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert_eq!(checkpoint.progress("files").unwrap(), Some(progress(1)));
    error
}

/// Not a test by itself: the other process of the test below.
#[test]
#[ignore = "run by another test"]
fn child_whose_files_are_limited() {
    let Some(path) = std::env::var_os("CHECKPOINT") else { return };
    overfill(Path::new(&path));
}

/// In a process whose files may not grow past some 100 KiB, which any account can have; and, where one can be mounted, on a
/// disk that is really full.
#[test]
fn a_full_disk_keeps_the_last_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.state");
    // the signal that tells of the limit would end the process; ignored, the write fails
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 256; exec \"$0\" --exact \"$1\" --ignored --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg("checkpoint::tests::child_whose_files_are_limited")
        .env("CHECKPOINT", &path)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert_eq!(Checkpoint::open(&path, "shop").unwrap().progress("files").unwrap(), Some(progress(1)));

    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&disk).output();
    if !mount.is_ok_and(|m| m.status.success()) {
        return;
    }
    let run = std::panic::catch_unwind(|| {
        let error = overfill(&disk.join("p.state"));
        (error, Checkpoint::open(&disk.join("p.state"), "shop").and_then(|c| c.progress("files")))
    });
    Command::new("umount").arg("-l").arg(&disk).status().unwrap();
    let (error, reopened) = run.unwrap();
    assert_eq!(error.remedy_text(), Some("free space on its file system, then start again: nothing is lost"), "{error}");
    assert_eq!(reopened.unwrap(), Some(progress(1)));
}

#[test]
fn a_user_can_read_it_while_the_pipeline_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.state");
    let checkpoint = Checkpoint::open(&path, "shop").unwrap();
    commit(&checkpoint, "files", 10).unwrap();
    let row: [String; 4] = raw(&path)
        .query_row("SELECT sink, lane, offset, updated_at FROM frontier", [], |r| Ok([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?]))
        .unwrap();
    assert_eq!(row[..3], ["files", "binlog", r#"{"file":"binlog.000001","position":10}"#]);
    row[3].parse::<jiff::Timestamp>().unwrap();
    commit(&checkpoint, "files", 11).unwrap();
}

#[test]
fn a_second_opener_is_refused_and_one_of_the_same_process_may_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.state");
    let first = Checkpoint::open(&path, "shop").unwrap();
    let error = Checkpoint::open(&path, "shop").unwrap_err();
    assert!(error.kind() == ErrorKind::State && error.may_pass());
    insta::assert_snapshot!(text(folder.path(), &error), @r"
the checkpoint /state/p.state is still held by an earlier run of this process, one of whose calls has not returned
  remedy: see what a sink waits for: a broker or a file system that does not answer; or start the program again: nothing is lost
");
    drop(first);
    Checkpoint::open(&path, "shop").unwrap();
}

/// Not a test by itself: the other process of the test below.
#[test]
#[ignore = "run by another test"]
fn child_that_holds_the_checkpoint() {
    let Some(path) = std::env::var_os("CHECKPOINT") else { return };
    let checkpoint = Checkpoint::open(Path::new(&path), "shop").unwrap();
    commit(&checkpoint, "files", 3).unwrap();
    println!("\nheld");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap(); // until killed
}

#[test]
fn a_second_process_is_refused_until_the_first_is_dead_and_its_commit_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.state");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "checkpoint::tests::child_that_holds_the_checkpoint", "--ignored", "--nocapture"])
        .env("CHECKPOINT", &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let held = BufReader::new(child.stdout.take().unwrap()).lines().any(|line| line.unwrap() == "held");
    assert!(held, "the child could not take the checkpoint");
    let error = Checkpoint::open(&path, "shop").unwrap_err();
    assert!(error.message().ends_with(&format!("is in use by process {}", child.id())) && !error.may_pass(), "{error}");
    assert!(error.to_string().contains("remedy: stop the other process (it holds the lock on "), "{error}");
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    let checkpoint = Checkpoint::open(&path, "shop").unwrap();
    assert_eq!(checkpoint.progress("files").unwrap(), Some(progress(3)));
}

#[test]
fn files_that_are_not_this_pipelines_checkpoint_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| text(folder.path(), &Checkpoint::open(&folder.path().join(name), "shop").unwrap_err());

    drop(Checkpoint::open(&folder.path().join("other"), "crm").unwrap());
    insta::assert_snapshot!(open("other"), @r"
the checkpoint /state/other belongs to the pipeline `crm`, not to `shop`
  remedy: give each pipeline a `state` file of its own, or set the pipeline's `name` back
");

    drop(Checkpoint::open(&folder.path().join("newer"), "shop").unwrap());
    raw(&folder.path().join("newer")).pragma_update(None, "user_version", 4).unwrap();
    insta::assert_snapshot!(open("newer"), @r"
the checkpoint /state/newer has version 4; this program knows up to 3
  remedy: run the newer version of the program that wrote it
");

    raw(&folder.path().join("foreign")).execute_batch("CREATE TABLE t (a)").unwrap();
    let before = fs::read(folder.path().join("foreign")).unwrap();
    insta::assert_snapshot!(open("foreign"), @r"
/state/foreign is an SQLite file, but not a checkpoint
  remedy: set `state` to a file of the pipeline's own
");
    assert_eq!(fs::read(folder.path().join("foreign")).unwrap(), before);

    fs::write(folder.path().join("text"), "name: shop\n".repeat(100)).unwrap();
    insta::assert_snapshot!(open("text"), @r"
/state/text is not an SQLite file: file is not a database: Error code 26: file is not a database
  remedy: set `state` to a file of the pipeline's own, or restore the checkpoint from a backup
");
}

#[test]
fn damage_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edited");
    let checkpoint = Checkpoint::open(&path, "shop").unwrap();
    commit(&checkpoint, "files", 10).unwrap();
    raw(&path).execute("UPDATE frontier SET offset = replace(offset, '10', '12')", []).unwrap();
    let error = checkpoint.progress("files").unwrap_err();
    insta::assert_snapshot!(text(folder.path(), &error), @r"
the checkpoint /state/edited fails its checksum for `files`
  remedy: restore the file from a backup: somebody edited it, or the disk damaged it
");
    assert_eq!(checkpoint.all().unwrap_err().to_string(), error.to_string());
    drop(checkpoint);

    let path = folder.path().join("torn");
    let checkpoint = Checkpoint::open(&path, "shop").unwrap();
    commit(&checkpoint, "files", 10).unwrap();
    drop(checkpoint);
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0x5a); // every page but the first
    fs::write(&path, bytes).unwrap();
    let error = Checkpoint::open(&path, "shop").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    insta::assert_snapshot!(text(folder.path(), &error), @r"
the checkpoint /state/torn is damaged
  remedy: restore the file from a backup, or move it and the sinks' files away: the pipeline then starts as on its first start
");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = Checkpoint::open(&folder.path().join("file/p.state"), "shop").unwrap_err();
    insta::assert_snapshot!(text(folder.path(), &error), @r"
the checkpoint's folder /state/file cannot be made: File exists (os error 17)
  remedy: let the account that runs the pipeline write there, or set `state` to another file
");
}
