//! The lock of a checkpoint: it keeps a second process, and a second run of this one, off the file.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_storage::{Lock, LockFault, folder};

/// Links that the system follows, at most.
const MOST_LINKS: usize = 40;

/// The lock, and that it is this process that has it: in this order they go.
#[derive(Debug)]
pub(super) struct Held {
    lock: Lock,
    opened: Opened,
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
        let lock_path = lock_path(path);
        let lock = Lock::take(&lock_path).map_err(|fault| match fault {
            LockFault::Held(_) if opened().contains(&lock_path) => held_here(path),
            LockFault::Held(pid) => {
                let what = format!("the checkpoint {} is in use{}", path.display(), LockFault::holder(pid));
                Error::new(ErrorKind::State, what).remedy(format!(
                    "stop the other process (it holds the lock on {}), or give this pipeline a `state` file of its own",
                    lock_path.display()
                ))
            }
            LockFault::Io(e) => unusable(&lock_path, e),
        })?;
        opened().insert(lock_path.clone());
        Ok(Self { lock, opened: Opened(lock_path) })
    }

    /// Takes the lock once more where its file is gone, or is another one.
    ///
    /// # Errors
    /// `State`: another process has it now.
    pub fn again(&mut self, path: &Path) -> Result<()> {
        let lock_path = &self.opened.0;
        if self.lock.stands_at(lock_path).map_err(|e| unusable(lock_path, e))? {
            return Ok(());
        }
        self.lock = Lock::take(lock_path).map_err(|fault| match fault {
            LockFault::Held(pid) => {
                let what = format!(
                    "the lock file {} was removed while the pipeline ran, and the checkpoint {} is in use{}",
                    lock_path.display(),
                    path.display(),
                    LockFault::holder(pid)
                );
                Error::new(ErrorKind::State, what)
                    .remedy("leave the lock file to the pipelines; run one process for each checkpoint: the other one goes on")
            }
            LockFault::Io(e) => unusable(lock_path, e),
        })?;
        tracing::warn!(file = %lock_path.display(), "the checkpoint's lock file was removed while the pipeline ran: it has been made anew");
        Ok(())
    }
}

/// The checkpoint's lock file. It stands beside the file itself, wherever links to it are: two links to one file have one lock.
pub(super) fn lock_path(path: &Path) -> PathBuf {
    let mut lock = resolved(path).into_os_string();
    lock.push(".lock");
    lock.into()
}

/// The path behind all links, also where no file stands there yet.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if let Ok(resolved) = path.canonicalize() {
            return resolved;
        }
        match path.read_link() {
            Ok(target) => path = folder::parent(&path).join(target),
            Err(_) => break,
        }
    }
    match (folder::parent(&path).canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// The error when an earlier run of this process still has the checkpoint.
pub(super) fn held_here(path: &Path) -> Error {
    let what =
        format!("the checkpoint {} is still held by an earlier run of this process, one of whose calls has not returned", path.display());
    Error::new(ErrorKind::State, what)
        .remedy("see what a sink waits for: a broker or a file system that does not answer; or start the program again: nothing is lost")
        .that_may_pass(true)
}

fn unusable(lock_path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::State, format!("the lock file {} cannot be used", lock_path.display()))
        .caused_by(error)
        .remedy("let the account that runs the pipeline write there, or set `state` to another file")
}
