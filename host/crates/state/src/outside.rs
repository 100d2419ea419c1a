//! What becomes of the checkpoint's file from outside: one that was removed is written anew from what the open file still holds; one that
//! was replaced stops the pipeline.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::PoisonError,
};

use rusqlite::{Connection, params};

use super::{
    checkpoint::{self, Checkpoint, fault},
    held,
};
use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_storage::folder;

/// The end of the name under which a checkpoint is written anew.
const NEW: &str = ".new";

/// Which file stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// `None`: there is none.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(found) => Ok(Some(Self { device: found.dev(), inode: found.ino() })),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::new(ErrorKind::State, format!("the checkpoint {} cannot be looked at", path.display()))
                .caused_by(cause)
                .remedy("check the file system that it stands on, then start again: nothing is lost")),
        }
    }
}

/// There is no file where one was opened.
pub(super) fn gone(path: &Path) -> Error {
    Error::new(ErrorKind::State, format!("the checkpoint {} was removed as it was opened", path.display()))
        .remedy("leave the file to the pipeline, then start again")
}

impl Checkpoint {
    /// Makes sure, before something is stored, that it is stored in the file that the next start will open.
    ///
    /// # Errors
    /// `State`: another file stands in its place, or it cannot be written anew.
    pub(super) fn still_stands(&self, connection: &mut Connection) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match Identity::of(self.path())? {
            Some(found) if found == *file => return Ok(()),
            Some(_) => {
                let what = format!("another file was put in the place of the checkpoint {} while the pipeline ran", self.path().display());
                return Err(Error::new(ErrorKind::State, what).remedy(
                    "to go on from the file that is there now, start again; to keep what was delivered, put the one from before back first",
                ));
            }
            None => {}
        }
        // behind a link stands what was removed, not the link
        let path = held::resolved(self.path());
        let folder = folder::parent(&path);
        let failed = |cause| {
            Error::new(ErrorKind::State, format!("the checkpoint {} was removed, and cannot be written anew", self.path().display()))
                .caused_by(cause)
                .remedy(
                    "let the account that runs the pipeline write its folder; the next start needs a checkpoint, or sinks with a `start`",
                )
        };
        folder::make(folder).map_err(failed)?;
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        // what belonged to the file that is gone would be taken for a part of the new one
        for part in ["-wal", "-shm", NEW] {
            match fs::remove_file(beside(part)) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(failed(cause)),
                _ => {}
            }
        }
        // whole under its name, or not there: half a checkpoint would be one of no sink
        let new = beside(NEW);
        let text = new.display().to_string();
        connection
            .execute("VACUUM INTO ?1", params![text])
            .map_err(|e| fault(self.path(), "was removed, and cannot be written anew", e))?;
        fs::File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
        fs::rename(&new, &path).map_err(failed)?;
        folder::sync(folder).map_err(failed)?;
        // the one before is closed first: as it closes, it removes the log by its name
        let none = Connection::open_in_memory().map_err(|e| fault(self.path(), "cannot be opened", e))?;
        drop(std::mem::replace(connection, none));
        *connection = checkpoint::connect(self.path())?;
        *file = Identity::of(self.path())?.ok_or_else(|| gone(self.path()))?;
        tracing::warn!(checkpoint = %self.path().display(), "the checkpoint was removed while the pipeline ran: it has been written anew");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::change::{Frontier, Lane, Offset};

    fn at(offset: &str) -> Frontier {
        Frontier::of(Lane::new("l"), Offset::from_json(offset))
    }

    #[test]
    fn a_checkpoint_that_is_removed_is_written_anew_with_all_that_it_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state").join("checkpoint.db");
        let checkpoint = Checkpoint::open(&path, "p").unwrap();
        checkpoint.begin([("a", &at("1")), ("b", &at("1"))]).unwrap();
        checkpoint.keep_captured("tables").unwrap();
        for (removed, offset) in [("file", "2"), ("folder", "3")] {
            match removed {
                "file" => fs::remove_file(&path).unwrap(),
                _ => fs::remove_dir_all(path.parent().unwrap()).unwrap(),
            }
            checkpoint.commit("a", &at(offset), "state").unwrap();
            let found = Checkpoint::look(&path, "p").unwrap();
            let offsets: Vec<String> = found.iter().map(|(_, progress)| progress.frontier.get("l").unwrap().to_json()).collect();
            assert_eq!(offsets, [offset, "1"], "{removed}");
            assert!(Checkpoint::open(&path, "p").is_err(), "the lock is held on the new file, too");
        }
        drop(checkpoint);
        let after = Checkpoint::open(&path, "p").unwrap();
        assert_eq!(after.captured().unwrap().as_deref(), Some("tables"));
        after.commit("b", &at("4"), "").unwrap();
    }

    #[test]
    fn another_file_in_its_place_is_not_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.db");
        let checkpoint = Checkpoint::open(&path, "p").unwrap();
        checkpoint.begin([("a", &at("1"))]).unwrap();
        fs::copy(&path, folder.path().join("copy")).unwrap();
        fs::rename(folder.path().join("copy"), &path).unwrap();
        let error = checkpoint.commit("a", &at("2"), "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().starts_with("another file was put in the place of the checkpoint"), "{error}");
    }
}
