//! The SQLite file. A user can read it while the pipeline runs: `sqlite3 FILE 'select * from frontier'`.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, ffi::ErrorCode, params};

use super::{
    Progress,
    held::{self, Held},
    left, migration,
    outside::{Identity, gone},
    schemas, unlocked,
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, Lane, Offset},
};
use sluicegate_storage::folder;

/// Marks the file as ours (`PRAGMA application_id`): "SLCE".
const APPLICATION_ID: i32 = 0x534c_4345;

/// Version of the tables (`PRAGMA user_version`).
const SCHEMA_VERSION: i32 = 3;

/// The first version with a frontier for each sink.
pub(super) const WITH_FRONTIERS: i32 = 2;

/// How often a lock is tried that this process itself, or a user's own program, holds.
pub(super) const RETRY: Duration = Duration::from_millis(20);

/// How long another program may hold the file: a user's own sqlite3 does for a moment.
pub(super) const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
CREATE TABLE pipeline (
    name TEXT NOT NULL PRIMARY KEY
) STRICT;
CREATE TABLE sink (
    name       TEXT NOT NULL PRIMARY KEY, -- the sink's name in the pipeline file
    state      TEXT NOT NULL,             -- the sink's own state at its frontier
    updated_at TEXT NOT NULL,             -- when this was stored (RFC 3339, UTC)
    checksum   INTEGER NOT NULL           -- CRC-32 of name and state
) STRICT;
CREATE TABLE frontier (
    sink       TEXT NOT NULL REFERENCES sink (name) ON DELETE CASCADE,
    lane       TEXT NOT NULL,
    offset     TEXT NOT NULL,             -- where the source goes on in the lane for the sink (JSON)
    updated_at TEXT NOT NULL,             -- when this was stored (RFC 3339, UTC)
    checksum   INTEGER NOT NULL,          -- CRC-32 of sink, lane and offset
    PRIMARY KEY (sink, lane)
) STRICT;";

/// The store of every sink's [`Progress`]. Each commit is one SQLite transaction, synced to disk before it returns. Held
/// under `FILE.lock`, so that a second process cannot run the same pipeline.
#[derive(Debug)]
pub struct Checkpoint {
    connection: Mutex<Connection>,
    path: PathBuf,
    /// Which file is open.
    pub(super) file: Mutex<Identity>,
    held: Mutex<Held>,
}

impl Checkpoint {
    /// Opens or makes the checkpoint at `path`, for the pipeline of this name. Missing parent folders are made.
    ///
    /// # Errors
    /// `Precheck`: its folder cannot be made, or a folder stands in its place. `State`: the file is locked by another process, or, which passes, by an earlier run in this one; belongs to another pipeline, comes from a newer version, is damaged
    /// or is not a checkpoint; or the folder cannot be written.
    pub fn open(path: &Path, pipeline: &str) -> Result<Self> {
        let folder = folder::parent(path);
        folder::make(folder).map_err(|e| {
            Error::new(ErrorKind::Precheck, format!("the checkpoint's folder {} cannot be made", folder.display()))
                .caused_by(e)
                .remedy("let the account that runs the pipeline write there, or set `state` to another file")
        })?;
        if path.is_dir() {
            return Err(Error::new(ErrorKind::Precheck, format!("the checkpoint {} is a folder", path.display()))
                .remedy("set `state` to a file, which is made at the first start"));
        }
        if held::is_here(path) {
            return Err(held::held_here(path));
        }
        unlocked::is_alone(path)?;
        let held = Held::take(path)?;
        let mut connection = Connection::open(path).map_err(|e| fault(path, "cannot be opened", e))?;
        prepare(&mut connection, path, pipeline)?;
        folder::sync(folder).map_err(|e| Error::new(ErrorKind::State, format!("{} cannot be synced", folder.display())).caused_by(e))?;
        let file = Identity::of(path)?.ok_or_else(|| gone(path))?;
        Ok(Self { connection: Mutex::new(connection), path: path.to_owned(), file: Mutex::new(file), held: Mutex::new(held) })
    }

    /// The same, waiting for a lock that this process itself still holds.
    ///
    /// # Errors
    /// As of [`Checkpoint::open`].
    pub fn open_within(path: &Path, pipeline: &str, most: Duration) -> Result<Self> {
        let until = Instant::now() + most;
        loop {
            let opened = Self::open(path, pipeline);
            if opened.is_ok() || !Self::is_held_here(path) || Instant::now() >= until {
                return opened;
            }
            thread::sleep(RETRY);
        }
    }

    /// Whether this process holds the lock of the checkpoint at `path`.
    pub fn is_held_here(path: &Path) -> bool {
        held::is_here(path)
    }

    /// The lock file of the checkpoint at `path`.
    pub fn lock_path(path: &Path) -> PathBuf {
        held::lock_path(path)
    }

    /// Takes the lock once more where its file is gone, too.
    pub(super) fn lock_again(&self) -> Result<()> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).again(&self.path)
    }

    /// What is durable in every sink that ever committed, by name, of the checkpoint of another process or of none: nothing is
    /// locked, made or changed.
    ///
    /// # Errors
    /// As of [`Checkpoint::open`], but for the lock.
    pub fn look(path: &Path, pipeline: &str) -> Result<Vec<(String, Progress)>> {
        let connection = Self::looking(path)?;
        let Some(version) = identify(&connection, path)? else { return Ok(Vec::new()) };
        belongs(&connection, path, pipeline)?;
        if version < WITH_FRONTIERS { migration::read(&connection, path) } else { all(&connection, path) }
    }

    /// A connection that changes nothing.
    pub(super) fn looking(path: &Path) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|e| fault(path, "cannot be opened", e))?;
        connection.busy_timeout(BUSY).map_err(|e| fault(path, "cannot be opened", e))?;
        Ok(connection)
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is durable in the sink of this name; `None` if nothing has been stored for it yet.
    pub fn progress(&self, sink: &str) -> Result<Option<Progress>> {
        Ok(self.all()?.into_iter().find(|(name, _)| name == sink).map(|(_, progress)| progress))
    }

    /// What is durable in every sink that ever committed, by name.
    pub fn all(&self) -> Result<Vec<(String, Progress)>> {
        all(&self.connection(), &self.path)
    }

    /// Stores what is durable in a sink: its state, and the lanes of `moved`. Other lanes keep their offsets. Synced to disk when it
    /// returns. That no lane goes back is the caller's to see to: only the source can compare offsets.
    ///
    /// # Errors
    /// `State` when the file cannot be written, or has no such sink.
    pub fn commit(&self, sink: &str, moved: &Frontier, state: &str) -> Result<()> {
        let now = jiff::Timestamp::now().to_string();
        let mut connection = self.writing()?;
        let mut store = || {
            let transaction = connection.transaction()?;
            let changed = transaction
                .prepare_cached("UPDATE sink SET state = ?2, updated_at = ?3, checksum = ?4 WHERE name = ?1")?
                .execute(params![sink, state, now, checksum(&[sink, state])])?;
            set_lanes(&transaction, sink, moved, &now)?;
            transaction.commit()?;
            Ok(changed)
        };
        match store().map_err(|e| self.fault("cannot be written", e))? {
            0 => Err(Error::new(ErrorKind::State, format!("the checkpoint {} no longer has the sink `{sink}`", self.path.display()))
                .remedy("stop whatever else writes to the file, then start again")),
            _ => Ok(()),
        }
    }

    /// Stores where sinks begin that have no progress yet, all in one transaction; the others keep theirs, but begin so in lanes that
    /// they do not know. Without it a crash between the first commits of two sinks would leave one of them without the changes that
    /// the other has.
    pub fn begin<'a>(&self, sinks: impl IntoIterator<Item = (&'a str, &'a Frontier)>) -> Result<()> {
        let now = jiff::Timestamp::now().to_string();
        let mut connection = self.writing()?;
        let insert = || {
            let transaction = connection.transaction()?;
            for (sink, frontier) in sinks {
                let state = left::take(&transaction, sink)?;
                transaction.execute(
                    "INSERT INTO sink (name, state, updated_at, checksum) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO NOTHING",
                    params![sink, state, now, checksum(&[sink, &state])],
                )?;
                let known: Vec<String> = transaction
                    .prepare_cached("SELECT lane FROM frontier WHERE sink = ?1")?
                    .query_map([sink], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                let new = frontier.lanes().filter(|(lane, _)| known.iter().all(|known| known != lane.name()));
                set_lanes(&transaction, sink, &new.map(|(lane, offset)| (lane.clone(), offset.clone())).collect(), &now)?;
            }
            transaction.commit()
        };
        insert().map_err(|e| self.fault("cannot be written", e))
    }

    /// Stores where a lane begins, for every sink that does not know it. Synced to disk when it returns, so that a crash before a
    /// sink's first commit does not move the beginning.
    pub fn begin_lane(&self, lane: &Lane, offset: &Offset) -> Result<()> {
        let (now, beginning) = (jiff::Timestamp::now().to_string(), Frontier::of(lane.clone(), offset.clone()));
        let mut connection = self.writing()?;
        let mut store = || {
            let transaction = connection.transaction()?;
            let without = "SELECT name FROM sink WHERE NOT EXISTS (SELECT 1 FROM frontier WHERE sink = sink.name AND lane = ?1)";
            let without: Vec<String> =
                transaction.prepare_cached(without)?.query_map([lane.name()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            for sink in &without {
                set_lanes(&transaction, sink, &beginning, &now)?;
            }
            transaction.commit()
        };
        store().map_err(|e| self.fault("cannot be written", e))
    }

    /// Sets a sink's frontier and state to others: for an operator.
    pub fn set(&self, sink: &str, progress: &Progress) -> Result<()> {
        let now = jiff::Timestamp::now().to_string();
        let mut connection = self.writing()?;
        let mut store = || {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM frontier WHERE sink = ?1", [sink])?;
            left::take(&transaction, sink)?;
            transaction.execute(
                "INSERT INTO sink (name, state, updated_at, checksum) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at, checksum = excluded.checksum",
                params![sink, progress.state, now, checksum(&[sink, &progress.state])],
            )?;
            set_lanes(&transaction, sink, &progress.frontier, &now)?;
            transaction.commit()
        };
        store().map_err(|e| self.fault("cannot be written", e))
    }

    /// Forgets a sink; answers whether it was there: for an operator.
    pub fn drop_sink(&self, sink: &str) -> Result<bool> {
        let mut connection = self.writing()?;
        let mut delete = || {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM frontier WHERE sink = ?1", [sink])?;
            let deleted = transaction.execute("DELETE FROM sink WHERE name = ?1", [sink])?;
            left::take(&transaction, sink)?;
            if transaction.table_exists(None, "paused")? {
                transaction.execute("DELETE FROM paused WHERE sink = ?1", [sink])?;
            }
            transaction.commit()?;
            Ok(deleted == 1)
        };
        delete().map_err(|e| self.fault("cannot be written", e))
    }

    // Every transaction is undone when it is dropped, so a panic elsewhere leaves nothing half done.
    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, for a write into the file that the next start opens.
    pub(super) fn writing(&self) -> Result<MutexGuard<'_, Connection>> {
        let mut connection = self.connection();
        self.still_stands(&mut connection)?;
        self.lock_again()?;
        Ok(connection)
    }

    pub(super) fn fault(&self, what: &str, error: rusqlite::Error) -> Error {
        fault(&self.path, what, error)
    }
}

/// Writes a sink's lanes.
fn set_lanes(transaction: &Transaction<'_>, sink: &str, lanes: &Frontier, now: &str) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO frontier (sink, lane, offset, updated_at, checksum) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (sink, lane) DO UPDATE SET offset = excluded.offset, updated_at = excluded.updated_at, checksum = excluded.checksum",
    )?;
    for (lane, offset) in lanes.lanes() {
        let (lane, offset) = (lane.name(), offset.to_json());
        statement.execute(params![sink, lane, offset, now, checksum(&[sink, lane, &offset])])?;
    }
    Ok(())
}

fn all(connection: &Connection, path: &Path) -> Result<Vec<(String, Progress)>> {
    // both tables as of one moment, also while a pipeline commits: a state without its frontier would lose what is between them
    let _moment = connection.unchecked_transaction().map_err(|e| fault(path, "cannot be read", e))?;
    let rows = |query: &str, columns: usize| {
        let read = || {
            let mut statement = connection.prepare_cached(query)?;
            let row = |row: &Row<'_>| {
                let fields = (0..columns).map(|i| row.get(i)).collect::<rusqlite::Result<Vec<String>>>()?;
                Ok((fields, row.get::<_, u32>(columns)?))
            };
            statement.query_map([], row)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        let rows = read().map_err(|e| fault(path, "cannot be read", e))?;
        rows.into_iter()
            .map(|(fields, sum)| {
                let whole = checksum(&fields.iter().map(String::as_str).collect::<Vec<_>>()) == sum;
                if whole { Ok(fields) } else { Err(altered(path, fields.first().map_or("", String::as_str))) }
            })
            .collect::<Result<Vec<Vec<String>>>>()
    };
    let offset = |fields: &[String]| match fields {
        [.., lane, offset] => Ok((Lane::new(lane.as_str()), Offset::from_json(offset.as_str()))),
        _ => Err(damaged(path)),
    };
    let mut all: Vec<(String, Progress)> = Vec::new();
    for mut fields in rows("SELECT name, state, checksum FROM sink ORDER BY name", 2)? {
        let (state, name) = (fields.pop().unwrap_or_default(), fields.pop().unwrap_or_default());
        all.push((name, Progress { frontier: Frontier::default(), state }));
    }
    for fields in rows("SELECT sink, lane, offset, checksum FROM frontier", 3)? {
        let (_, progress) = all.iter_mut().find(|(name, _)| fields.first() == Some(name)).ok_or_else(|| damaged(path))?;
        let (lane, offset) = offset(&fields)?;
        progress.frontier.set(lane, offset);
    }
    Ok(all)
}

/// Checks that the file is a checkpoint of a version that this program knows, and answers which; `None` when there is nothing in it
/// yet.
pub(super) fn identify(connection: &Connection, path: &Path) -> Result<Option<i32>> {
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
    Ok((!fresh).then_some(version))
}

/// A connection to a file that is a checkpoint of this program.
pub(super) fn connect(path: &Path) -> Result<Connection> {
    let open = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        sync_every_commit(&connection)?;
        Ok(connection)
    };
    open().map_err(|e| fault(path, "cannot be opened", e))
}

fn sync_every_commit(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "wal", |r| r.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "full")
}

/// Sets durability, makes the tables in a new file, and checks whose file it is.
fn prepare(connection: &mut Connection, path: &Path, pipeline: &str) -> Result<()> {
    let fault = |e| fault(path, "cannot be opened", e);
    connection.busy_timeout(BUSY).map_err(fault)?;
    let found = identify(connection, path)?;
    let old = match found {
        Some(version) if version < WITH_FRONTIERS => {
            belongs(connection, path, pipeline)?;
            let progress = migration::read(connection, path)?;
            migration::keep(connection, path)?;
            Some(progress)
        }
        _ => None,
    };
    // only now: nothing was changed in a file that is not ours
    sync_every_commit(connection).map_err(fault)?;
    let transaction = connection.transaction().map_err(fault)?;
    if found.is_some() && old.is_none() {
        belongs(&transaction, path, pipeline)?;
        if found.is_some_and(|version| version < SCHEMA_VERSION) {
            let add = || {
                transaction.execute_batch(schemas::TABLES)?;
                transaction.pragma_update(None, "user_version", SCHEMA_VERSION)
            };
            add().map_err(fault)?;
        }
        return transaction.commit().map_err(fault);
    }
    let make = || {
        if old.is_some() {
            transaction.execute_batch("DROP TABLE sink; DROP TABLE pipeline")?;
        }
        transaction.execute_batch(SCHEMA)?;
        transaction.execute_batch(schemas::TABLES)?;
        transaction.execute("INSERT INTO pipeline (name) VALUES (?1)", [pipeline])?;
        let now = jiff::Timestamp::now().to_string();
        for (sink, Progress { frontier, state }) in old.iter().flatten() {
            transaction.execute(
                "INSERT INTO sink (name, state, updated_at, checksum) VALUES (?1, ?2, ?3, ?4)",
                params![sink, state, now, checksum(&[sink, state])],
            )?;
            set_lanes(&transaction, sink, frontier, &now)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)
    };
    make().map_err(fault)?;
    transaction.commit().map_err(fault)?;
    if old.is_some() {
        tracing::info!(checkpoint = %path.display(), "the checkpoint has its new form; the file as it was is kept beside it as .v1");
    }
    Ok(())
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

/// CRC-32 over the fields, each behind its length, so that bytes cannot move from one field to the next unnoticed.
pub(super) fn checksum(fields: &[&str]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    for field in fields {
        crc.update(&(field.len() as u64).to_le_bytes());
        crc.update(field.as_bytes());
    }
    crc.finalize()
}

/// The error of a row whose checksum does not fit.
pub(super) fn altered(path: &Path, sink: &str) -> Error {
    Error::new(ErrorKind::State, format!("the checkpoint {} fails its checksum for `{sink}`", path.display()))
        .remedy("restore the file from a backup: somebody edited it, or the disk damaged it")
}

pub(super) fn damaged(path: &Path) -> Error {
    Error::new(ErrorKind::State, format!("the checkpoint {} is damaged", path.display()))
        .remedy("restore the file from a backup, or move it and the sinks' files away: the pipeline then starts as on its first start")
}

/// The error of an SQLite failure. None of our statements puts values into its text, so SQLite's message holds none.
pub(super) fn fault(path: &Path, what: &str, error: rusqlite::Error) -> Error {
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
