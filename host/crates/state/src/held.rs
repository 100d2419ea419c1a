//! The lock of a checkpoint: it keeps a second process, and a second run of this one, off the file.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_storage::{Lock, LockFault};

/// The lock, and that it is this process that has it: in this order they go.
#[derive(Debug)]
pub(super) struct Held {
    lock: Lock,
    _opened: Opened,
}

/// The lock files of the checkpoints that this process has open. A number of a process in the file would not do: another container may have
/// the same one.
static OPENED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn opened() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    OPENED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An entry of [`OPENED`].
#[derive(Debug)]
struct Opened(PathBuf);

impl Drop for Opened {
    fn drop(&mut self) {
        opened().remove(&self.0);
    }
}

/// Whether this process holds the lock of the checkpoint at `path`.
pub(super) fn is_here(path: &Path) -> bool {
    opened().contains(&lock_path(path))
}

impl Held {
    /// Takes the lock of the checkpoint at `path`.
    ///
    /// # Errors
    /// `State`: another process holds it, or, which passes, an earlier run in this one.
    pub fn take(path: &Path) -> Result<Self> {
        let lock = take(path)?;
        let lock_path = lock_path(path);
        opened().insert(lock_path.clone());
        Ok(Self { lock, _opened: Opened(lock_path) })
    }

    /// Takes the lock once more where its file is gone.
    pub fn again(&mut self, path: &Path) -> Result<()> {
        if !lock_path(path).exists() {
            self.lock = take(path)?;
        }
        Ok(())
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

fn take(path: &Path) -> Result<Lock> {
    let lock_path = lock_path(path);
    Lock::take(&lock_path).map_err(|fault| match fault {
        LockFault::Held(_) if opened().contains(&lock_path) => Error::new(
            ErrorKind::State,
            format!(
                "the checkpoint {} is still held by an earlier run of this process, one of whose calls has not returned",
                path.display()
            ),
        )
        .remedy("see what a sink waits for: a broker or a file system that does not answer; or start the program again: nothing is lost")
        .that_may_pass(true),
        LockFault::Held(pid) => {
            Error::new(ErrorKind::State, format!("the checkpoint {} is in use{}", path.display(), LockFault::holder(pid))).remedy(format!(
                "stop the other process (it holds the lock on {}), or give this pipeline a `state` file of its own",
                lock_path.display()
            ))
        }
        LockFault::Io(e) => Error::new(ErrorKind::State, format!("the lock file {} cannot be used", lock_path.display()))
            .caused_by(e)
            .remedy("let the account that runs the pipeline write there, or set `state` to another file"),
    })
}
