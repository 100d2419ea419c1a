//! A checkpoint that a process may have open whose lock tells nothing of it: the lock file was removed, or the file has several names.
//! SQLite's own locks then tell, and nothing else is done to them.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, thread, time::Instant};

use rusqlite::{Connection, ffi::ErrorCode};

use super::{
    checkpoint::{BUSY, RETRY, WITH_FRONTIERS, fault, identify},
    held,
};
use sluicegate_model::{Error, ErrorKind, Result};

/// Makes sure that no process has the checkpoint at `path` open, where its lock cannot tell.
///
/// # Errors
/// `State`: one has.
pub(super) fn is_alone(path: &Path) -> Result<()> {
    let Ok(file) = fs::metadata(path) else { return Ok(()) };
    let lock = held::lock_path(path);
    let removed = !lock.exists();
    if file.len() == 0 || !file.is_file() || !removed && file.nlink() < 2 {
        return Ok(());
    }
    let connection = Connection::open(path).map_err(|e| fault(path, "cannot be opened", e))?;
    connection.busy_timeout(BUSY).map_err(|e| fault(path, "cannot be opened", e))?;
    // nothing is changed in a file that is not ours, or that an older program wrote: that one is kept as it is
    if identify(&connection, path)?.is_none_or(|version| version < WITH_FRONTIERS) {
        return Ok(());
    }
    connection.busy_timeout(RETRY).map_err(|e| fault(path, "cannot be opened", e))?;
    let until = Instant::now() + BUSY;
    loop {
        // who has a file with a write-ahead log open holds a lock on it, and this mode has to have it alone
        match connection.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "delete" => return Ok(()),
            Err(error) if !is_busy(&error) => return Err(fault(path, "cannot be opened", error)),
            _ if Instant::now() < until => thread::sleep(RETRY),
            _ => {
                let why = match removed {
                    true => format!("its lock file {} is not there", lock.display()),
                    false => "the file has several names (hard links), each with a lock of its own".to_owned(),
                };
                return Err(Error::new(ErrorKind::State, format!("another program has the checkpoint {} open, and {why}", path.display()))
                    .remedy("stop the other program first, a pipeline or one that looks into the file; or give this pipeline a `state` file of its own"));
            }
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::checkpoint::Checkpoint;
    use super::*;
    use sluicegate_model::change::{Frontier, Lane, Offset};

    fn at(offset: &str) -> Frontier {
        Frontier::of(Lane::new("l"), Offset::from_json(offset))
    }

    #[test]
    fn two_links_to_one_checkpoint_have_one_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (state, link, other) = (folder.path().join("st"), folder.path().join("b.db"), folder.path().join("other"));
        fs::create_dir(&state).unwrap();
        // before the file is there, too
        symlink("st/a.db", &link).unwrap();
        symlink(&state, &other).unwrap();
        for first in [state.join("a.db"), link.clone()] {
            let open = Checkpoint::open(&first, "p").unwrap();
            for second in [state.join("a.db"), link.clone(), other.join("a.db")] {
                assert!(Checkpoint::is_held_here(&second), "{}", second.display());
                assert!(Checkpoint::open(&second, "p").is_err(), "{}", second.display());
            }
            drop(open);
        }
        assert!(!folder.path().join("b.db.lock").exists());
    }

    #[test]
    fn a_checkpoint_behind_a_link_that_is_removed_is_written_anew_where_it_stood() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a.db"), folder.path().join("b.db"));
        symlink("a.db", &link).unwrap();
        let checkpoint = Checkpoint::open(&link, "p").unwrap();
        checkpoint.begin([("a", &at("1"))]).unwrap();
        fs::remove_file(&file).unwrap();
        checkpoint.commit("a", &at("2"), "").unwrap();
        assert!(file.is_file() && link.is_symlink());
    }

    #[test]
    fn a_lock_file_that_is_removed_lets_no_second_program_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let first = Checkpoint::open(&path, "p").unwrap();
        first.begin([("a", &at("1"))]).unwrap();
        fs::remove_file(held::lock_path(&path)).unwrap();
        let error = is_alone(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().starts_with("another program has the checkpoint"), "{error}");
        // what it tried disturbs nobody, and the lock is taken again
        first.commit("a", &at("2"), "").unwrap();
        assert!(held::lock_path(&path).exists());
        is_alone(&path).unwrap();
        // a checkpoint that was restored has none
        drop(first);
        fs::remove_file(held::lock_path(&path)).unwrap();
        let again = Checkpoint::open(&path, "p").unwrap();
        assert_eq!(again.progress("a").unwrap().unwrap().frontier.get("l").unwrap().to_json(), "2");
    }

    #[test]
    fn a_second_name_of_the_file_lets_no_second_program_in() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let first = Checkpoint::open(&path, "p").unwrap();
        first.begin([("a", &at("1"))]).unwrap();
        fs::hard_link(&path, &other).unwrap();
        fs::write(held::lock_path(&other), "").unwrap();
        let error = Checkpoint::open(&other, "p").unwrap_err();
        // under the other name, what stands in the log of the first is not there
        assert_eq!(error.kind(), ErrorKind::State, "{error}");
        first.commit("a", &at("2"), "").unwrap();
    }

    #[test]
    fn a_lock_that_another_process_took_meanwhile_stops_the_pipeline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let first = Checkpoint::open(&path, "p").unwrap();
        first.begin([("a", &at("1"))]).unwrap();
        fs::remove_file(held::lock_path(&path)).unwrap();
        let _other = sluicegate_storage::Lock::take(&held::lock_path(&path)).unwrap();
        let error = first.commit("a", &at("2"), "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().contains("was removed while the pipeline ran"), "{error}");
    }
}
