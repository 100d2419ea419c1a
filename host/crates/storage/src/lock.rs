//! Advisory locks that keep a second process off the checkpoint or a sink's files.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

/// A held lock. The operating system lets go of it when the process ends, however that happens; the file itself stays,
/// because removing it would let two processes lock two different files of one name.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Why a lock could not be had.
#[derive(Debug)]
pub enum LockFault {
    /// Another process holds it; its process id, if it could be read.
    Held(Option<u32>),
    /// The lock file cannot be made or locked.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock file at `path`, which is made if needed, and notes our process id in it. A link at `path` is an error: it
    /// would have us write into a file that somebody else chose.
    pub fn take(path: &Path) -> Result<Self, LockFault> {
        // not truncated: the file may hold the other process's id
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
        let mut file = options.open(path).map_err(LockFault::Io)?;
        if !file.metadata().map_err(LockFault::Io)?.is_file() {
            return Err(LockFault::Io(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = (&file).take(16).read_to_string(&mut text);
                return Err(LockFault::Held(read.ok().and_then(|_| text.trim().parse().ok())));
            }
            Err(TryLockError::Error(error)) => return Err(LockFault::Io(error)),
        }
        let note = |file: &mut File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            writeln!(file, "{}", std::process::id())
        };
        note(&mut file).map_err(LockFault::Io)?;
        Ok(Self { file })
    }

    /// Whether the file at `path` is the one that is locked: another process locks what stands there.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub fn stands_at(&self, path: &Path) -> io::Result<bool> {
        let locked = self.file.metadata()?;
        match std::fs::symlink_metadata(path) {
            Ok(found) => Ok((found.dev(), found.ino()) == (locked.dev(), locked.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The process that holds the lock file at `path`, if one does. Nothing is locked, made or changed, so nobody is kept from taking it.
pub fn lock_holder(path: &Path) -> Option<u32> {
    let file = super::file::open(path).ok()?;
    let inode = file.metadata().ok()?.ino();
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    let holder: u32 = text.trim().parse().ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // 1: FLOCK  ADVISORY  WRITE 4711 fe:00:123456 0 EOF
    let is_it = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some("FLOCK")
            && words.nth(2).and_then(|pid| pid.parse().ok()) == Some(holder)
            && words.next().and_then(|file| file.rsplit(':').next()?.parse().ok()) == Some(inode)
    };
    locks.lines().any(is_it).then_some(holder)
}

impl LockFault {
    /// ` by process 123`, or nothing when the holder is not known.
    pub fn holder(pid: Option<u32>) -> String {
        pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_link_is_not_followed_to_write_into_the_file_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, other) = (folder.path().join("lock"), folder.path().join("other"));
        fs::write(&other, "precious").unwrap();
        symlink(&other, &lock).unwrap();
        assert!(matches!(Lock::take(&lock), Err(LockFault::Io(_))));
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
        fs::remove_file(&lock).unwrap();
        Lock::take(&lock).unwrap();
    }

    #[test]
    fn a_held_lock_tells_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let _held = Lock::take(&path).unwrap();
        let Err(LockFault::Held(holder)) = Lock::take(&path) else { panic!("taken twice") };
        assert_eq!(holder, Some(std::process::id()));
    }

    #[test]
    fn a_lock_file_that_was_removed_or_replaced_is_not_the_one_that_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::take(&path).unwrap();
        assert!(held.stands_at(&path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!held.stands_at(&path).unwrap());
        fs::write(&path, "").unwrap();
        assert!(!held.stands_at(&path).unwrap());
    }

    #[test]
    fn who_holds_a_lock_is_seen_without_taking_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(lock_holder(&path), None);
        let held = Lock::take(&path).unwrap();
        assert_eq!(lock_holder(&path), Some(std::process::id()));
        drop(held);
        // the file still has the number
        assert_eq!(lock_holder(&path), None);
    }
}
