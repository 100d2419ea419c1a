//! The SQLite file. A user can read it while the pipeline runs: `sqlite3 FILE 'select * from sink'`.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, ffi::ErrorCode, params};

use super::Progress;
use sluicegate_model::{Error, ErrorKind, Result, change::Position};
use sluicegate_storage::{Lock, LockFault, folder};

/// Marks the file as ours (`PRAGMA application_id`): "SLCE".
const APPLICATION_ID: i32 = 0x534c_4345;

/// Version of the tables (`PRAGMA user_version`).
const SCHEMA_VERSION: i32 = 1;

/// How long another program may hold the file: a user's own sqlite3 does for a moment.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
CREATE TABLE pipeline (
    name TEXT NOT NULL PRIMARY KEY
) STRICT;
CREATE TABLE sink (
    name       TEXT NOT NULL PRIMARY KEY, -- the sink's name in the pipeline file
    sequence   INTEGER NOT NULL,          -- number of the first change that is not yet durable
    position   TEXT NOT NULL,             -- where the source resumes for it (JSON)
    state      TEXT NOT NULL,             -- the sink's own state at that point
    updated_at TEXT NOT NULL,             -- when this was stored (RFC 3339, UTC)
    checksum   INTEGER NOT NULL           -- CRC-32 of the columns above it, updated_at excepted
) STRICT;";

/// The store of every sink's [`Progress`]. Each commit is one SQLite transaction, synced to disk before it returns. Held
/// under `FILE.lock`, so that a second process cannot run the same pipeline.
#[derive(Debug)]
pub struct Checkpoint {
    connection: Mutex<Connection>,
    path: PathBuf,
    _lock: Lock,
}

impl Checkpoint {
    /// Opens or makes the checkpoint at `path`, for the pipeline of this name. Missing parent folders are made.
    ///
    /// # Errors
    /// `State`: the file is locked by another process, belongs to another pipeline, comes from a newer version, is damaged
    /// or is not a checkpoint; or the folder cannot be written.
    pub fn open(path: &Path, pipeline: &str) -> Result<Self> {
        let folder = folder::parent(path);
        folder::make(folder).map_err(|e| {
            Error::new(ErrorKind::State, format!("the checkpoint's folder {} cannot be made", folder.display()))
                .caused_by(e)
                .remedy("let the account that runs the pipeline write there, or set `state` to another file")
        })?;
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let lock = Lock::take(&lock_path).map_err(|fault| match fault {
            LockFault::Held(pid) => {
                Error::new(ErrorKind::State, format!("the checkpoint {} is in use{}", path.display(), LockFault::holder(pid))).remedy(
                    format!(
                        "stop the other process (it holds the lock on {}), or give this pipeline a `state` file of its own",
                        lock_path.display()
                    ),
                )
            }
            LockFault::Io(e) => Error::new(ErrorKind::State, format!("the lock file {} cannot be used", lock_path.display()))
                .caused_by(e)
                .remedy("let the account that runs the pipeline write there, or set `state` to another file"),
        })?;
        let mut connection = Connection::open(path).map_err(|e| fault(path, "cannot be opened", e))?;
        prepare(&mut connection, path, pipeline)?;
        folder::sync(folder).map_err(|e| Error::new(ErrorKind::State, format!("{} cannot be synced", folder.display())).caused_by(e))?;
        Ok(Self { connection: Mutex::new(connection), path: path.to_owned(), _lock: lock })
    }

    /// What is durable in every sink that ever committed, by name, of the checkpoint of another process or of none: nothing is
    /// locked, made or changed.
    ///
    /// # Errors
    /// As of [`Checkpoint::open`], but for the lock.
    pub fn look(path: &Path, pipeline: &str) -> Result<Vec<(String, Progress)>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|e| fault(path, "cannot be opened", e))?;
        connection.busy_timeout(BUSY).map_err(|e| fault(path, "cannot be opened", e))?;
        if identify(&connection, path)? {
            return Ok(Vec::new());
        }
        belongs(&connection, path, pipeline)?;
        all(&connection, path)
    }

    /// What is durable in the sink of this name; `None` if nothing has been committed for it yet.
    pub fn progress(&self, sink: &str) -> Result<Option<Progress>> {
        let read = self
            .connection()
            .query_row("SELECT name, sequence, position, state, checksum FROM sink WHERE name = ?1", [sink], stored)
            .optional()
            .map_err(|e| self.fault("cannot be read", e))?;
        read.map(|s| s.verify(&self.path).map(|(_, progress)| progress)).transpose()
    }

    /// What is durable in every sink that ever committed, by name.
    pub fn all(&self) -> Result<Vec<(String, Progress)>> {
        all(&self.connection(), &self.path)
    }

    /// Stores what is durable in a sink. Synced to disk when it returns.
    ///
    /// # Errors
    /// `State` when the file cannot be written; `Internal` when the sequence would go backwards.
    pub fn commit(&self, sink: &str, progress: &Progress) -> Result<()> {
        let sequence = stored_sequence(progress.sequence)?;
        let position: &str = &progress.position.0;
        let checksum = checksum(sink, sequence, position, &progress.state);
        let changed = self
            .connection()
            .prepare_cached(
                "INSERT INTO sink (name, sequence, position, state, updated_at, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence, position = excluded.position, state = excluded.state,
                     updated_at = excluded.updated_at, checksum = excluded.checksum
                 WHERE excluded.sequence >= sink.sequence",
            )
            .and_then(|mut s| s.execute(params![sink, sequence, position, progress.state, jiff::Timestamp::now().to_string(), checksum]))
            .map_err(|e| self.fault("cannot be written", e))?;
        if changed == 0 {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("the checkpoint of sink `{sink}` would go backwards, to sequence {sequence}: refused"),
            ));
        }
        Ok(())
    }

    /// Stores where the sinks begin that have no progress yet, all in one transaction; the others keep theirs. Without it a
    /// crash between the first commits of two sinks would leave one of them without the changes that the other has.
    pub fn begin<'a>(&self, sinks: impl IntoIterator<Item = &'a str>, progress: &Progress) -> Result<()> {
        let sequence = stored_sequence(progress.sequence)?;
        let (position, state): (&str, &str) = (&progress.position.0, &progress.state);
        let mut connection = self.connection();
        let insert = || {
            let transaction = connection.transaction()?;
            for sink in sinks {
                transaction.execute(
                    "INSERT INTO sink (name, sequence, position, state, updated_at, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (name) DO NOTHING",
                    params![sink, sequence, position, state, jiff::Timestamp::now().to_string(), checksum(sink, sequence, position, state)],
                )?;
            }
            transaction.commit()
        };
        insert().map_err(|e| self.fault("cannot be written", e))
    }

    // Every transaction is undone when it is dropped, so a panic elsewhere leaves nothing half done.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, what: &str, error: rusqlite::Error) -> Error {
        fault(&self.path, what, error)
    }
}

fn all(connection: &Connection, path: &Path) -> Result<Vec<(String, Progress)>> {
    let read = || {
        let mut statement = connection.prepare_cached("SELECT name, sequence, position, state, checksum FROM sink ORDER BY name")?;
        statement.query_map([], stored)?.collect::<rusqlite::Result<Vec<_>>>()
    };
    let all = read().map_err(|e| fault(path, "cannot be read", e))?;
    all.into_iter().map(|s| s.verify(path)).collect()
}

/// Checks that the file is a checkpoint of a version that this program knows; `true` when there is nothing in it yet.
fn identify(connection: &Connection, path: &Path) -> Result<bool> {
    let fault = |e| fault(path, "cannot be opened", e);
    let pragma = |name: &str| connection.pragma_query_value(None, name, |r| r.get::<_, i32>(0)).map_err(fault);
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(fault)?;
    let fresh = tables == 0 && application == 0 && version == 0;
    if !fresh && application != APPLICATION_ID {
        return Err(Error::new(ErrorKind::State, format!("{} is an SQLite file, but not a checkpoint", path.display()))
            .remedy("set `state` to a file of the pipeline's own"));
    }
    if version > SCHEMA_VERSION {
        return Err(Error::new(
            ErrorKind::State,
            format!("the checkpoint {} has version {version}; this program knows up to {SCHEMA_VERSION}", path.display()),
        )
        .remedy("run the newer version of the program that wrote it"));
    }
    Ok(fresh)
}

/// Sets durability, makes the tables in a new file, and checks whose file it is.
fn prepare(connection: &mut Connection, path: &Path, pipeline: &str) -> Result<()> {
    let fault = |e| fault(path, "cannot be opened", e);
    connection.busy_timeout(BUSY).map_err(fault)?;
    let fresh = identify(connection, path)?;
    // only now: nothing was changed in a file that is not ours
    connection
        .pragma_update_and_check(None, "journal_mode", "wal", |r| r.get::<_, String>(0))
        .and_then(|_| connection.pragma_update(None, "synchronous", "full")) // the log is synced at every commit
        .map_err(fault)?;
    let transaction = connection.transaction().map_err(fault)?;
    if fresh {
        return transaction
            .execute_batch(SCHEMA)
            .and_then(|()| transaction.execute("INSERT INTO pipeline (name) VALUES (?1)", [pipeline]))
            .and_then(|_| transaction.pragma_update(None, "application_id", APPLICATION_ID))
            .and_then(|()| transaction.pragma_update(None, "user_version", SCHEMA_VERSION))
            .and_then(|()| transaction.commit())
            .map_err(fault);
    }
    belongs(&transaction, path, pipeline)?;
    transaction.commit().map_err(fault)
}

/// Checks that the file is sound, and of this pipeline.
fn belongs(connection: &Connection, path: &Path, pipeline: &str) -> Result<()> {
    let fault = |e| fault(path, "cannot be opened", e);
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)).map_err(fault)?;
    if sound != "ok" {
        return Err(damaged(path));
    }
    let name: Option<String> = connection.query_row("SELECT name FROM pipeline", [], |r| r.get(0)).optional().map_err(fault)?;
    match name {
        Some(name) if name == pipeline => Ok(()),
        Some(name) => Err(Error::new(
            ErrorKind::State,
            format!("the checkpoint {} belongs to the pipeline `{name}`, not to `{pipeline}`", path.display()),
        )
        .remedy("give each pipeline a `state` file of its own, or set the pipeline's `name` back")),
        None => Err(damaged(path)),
    }
}

/// A row as it stands in the file.
struct Stored {
    name: String,
    sequence: i64,
    position: String,
    state: String,
    checksum: u32,
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored { name: row.get(0)?, sequence: row.get(1)?, position: row.get(2)?, state: row.get(3)?, checksum: row.get(4)? })
}

impl Stored {
    fn verify(self, path: &Path) -> Result<(String, Progress)> {
        let sequence = u64::try_from(self.sequence).map_err(|_| damaged(path))?;
        if self.checksum != checksum(&self.name, self.sequence, &self.position, &self.state) {
            return Err(Error::new(
                ErrorKind::State,
                format!("the checkpoint {} fails its checksum for sink `{}`", path.display(), self.name),
            )
            .remedy("restore the file from a backup: somebody edited it, or the disk damaged it"));
        }
        Ok((self.name, Progress { sequence, position: Position::new(self.position), state: self.state }))
    }
}

fn stored_sequence(sequence: u64) -> Result<i64> {
    i64::try_from(sequence)
        .map_err(|e| Error::new(ErrorKind::Internal, "a sequence number beyond what the checkpoint can hold").caused_by(e))
}

/// CRC-32 over the fields, each behind its length, so that bytes cannot move from one field to the next unnoticed.
fn checksum(name: &str, sequence: i64, position: &str, state: &str) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&sequence.to_le_bytes());
    for field in [name, position, state] {
        crc.update(&(field.len() as u64).to_le_bytes());
        crc.update(field.as_bytes());
    }
    crc.finalize()
}

fn damaged(path: &Path) -> Error {
    Error::new(ErrorKind::State, format!("the checkpoint {} is damaged", path.display()))
        .remedy("restore the file from a backup, or move it and the sinks' files away: the pipeline then starts as on its first start")
}

/// The error of an SQLite failure. None of our statements puts values into its text, so SQLite's message holds none.
fn fault(path: &Path, what: &str, error: rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    match code {
        Some(ErrorCode::DatabaseCorrupt) => return damaged(path).caused_by(error),
        Some(ErrorCode::NotADatabase) => {
            return Error::new(ErrorKind::State, format!("{} is not an SQLite file", path.display()))
                .caused_by(error)
                .remedy("set `state` to a file of the pipeline's own, or restore the checkpoint from a backup");
        }
        _ => {}
    }
    let remedy = match code {
        Some(ErrorCode::DiskFull) => "free space on its file system, then start again: nothing is lost",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            "let the account that runs the pipeline write the file and its folder, or set `state` to another file"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "close the other program that has the file open, then start again",
        _ => "check the file system that it stands on, then start again: nothing is lost",
    };
    Error::new(ErrorKind::State, format!("the checkpoint {} {what}", path.display())).caused_by(error).remedy(remedy)
}

#[cfg(test)]
mod tests;
