//! Dead-letter files: changes that a plugin could not handle or a sink could not deliver, whole, one JSON object a line.
//!
//! After a crash the changes since the last checkpoint come again, so a change may be in a file twice; its `source` tells.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

pub mod row;

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};

use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, NO_IMAGE, TableRows},
};
use sluicegate_storage::folder;

/// The dead-letter folder of a pipeline: one file, `{stage}.ndjson`, for each plugin and sink that sets changes aside.
#[derive(Debug)]
pub struct DeadLetters {
    folder: PathBuf,
    max_bytes: u64,
    files: Mutex<BTreeMap<String, Letters>>,
    closed: AtomicBool,
}

#[derive(Debug)]
struct Letters {
    file: File,
    path: PathBuf,
    bytes: u64,
    dirty: bool,
}

impl DeadLetters {
    /// Dead letters in `folder`, which is made when the first one comes. A file takes up to `max_bytes`.
    pub fn new(folder: impl Into<PathBuf>, max_bytes: u64) -> Self {
        Self { folder: folder.into(), max_bytes, files: Mutex::default(), closed: AtomicBool::new(false) }
    }

    /// Takes no more: the run has ended, and another one may write here.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Sets a change aside: both images with column names, table, operation, sequence number, where it came from, and why.
    /// Durable only after [`Self::sync`].
    ///
    /// # Errors
    /// `Sink` when the file cannot be written or is full: the pipeline has to stop, or the change would be lost.
    pub fn record(&self, stage: &str, error: &Error, batch: &Batch, change: &Change) -> Result<()> {
        let mut line = letter(stage, error, batch, change)?.to_string().into_bytes();
        line.push(b'\n');
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Sink, "the run ended before a change was set aside")
                .remedy("nothing is lost: the next start goes on at the checkpoint"));
        }
        let letters = match files.get_mut(stage) {
            Some(letters) => letters,
            None => files.entry(stage.to_owned()).or_insert(Letters::open(&self.folder, stage)?),
        };
        if letters.bytes.saturating_add(line.len() as u64) > self.max_bytes {
            return Err(Error::new(
                ErrorKind::Sink,
                format!("the dead-letter file {} has reached its limit of {} bytes", letters.path.display(), self.max_bytes),
            )
            .remedy("deal with what is in it, move it away, and start again; or raise `limits.dead_letter_bytes`"));
        }
        letters.file.write_all(&line).map_err(|e| fault(&letters.path, "cannot be written", e))?;
        letters.bytes += line.len() as u64;
        letters.dirty = true;
        Ok(())
    }

    /// Makes everything recorded so far durable. A checkpoint may be committed only after it.
    pub fn sync(&self) -> Result<()> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        for letters in files.values_mut().filter(|l| l.dirty) {
            letters.file.sync_data().map_err(|e| fault(&letters.path, "cannot be synced", e))?;
            letters.dirty = false;
        }
        Ok(())
    }
}

impl Letters {
    fn open(folder: &Path, stage: &str) -> Result<Self> {
        folder::make(folder).map_err(|e| fault(folder, "cannot be made", e))?;
        let name: String = stage.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
        let path = folder.join(format!("{name}.ndjson"));
        let open = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            let bytes = cut_torn_line(&mut file)?;
            folder::sync(folder)?;
            Ok((file, bytes))
        };
        let (file, bytes) = open().map_err(|e| fault(&path, "cannot be opened", e))?;
        Ok(Self { file, path, bytes, dirty: false })
    }
}

/// A crash may leave half a line, whose change comes again: cuts it off. Answers the length that is left, in bytes.
fn cut_torn_line(file: &mut File) -> io::Result<u64> {
    const CHUNK: u64 = 64 << 10;
    let length = file.metadata()?.len();
    let mut end = length;
    let mut chunk = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        file.seek(SeekFrom::Start(start))?;
        chunk.clear();
        Read::by_ref(file).take(end - start).read_to_end(&mut chunk)?;
        if let Some(at) = memchr::memrchr(b'\n', &chunk) {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(end)
}

fn letter(stage: &str, error: &Error, batch: &Batch, change: &Change) -> Result<Value> {
    let dangling = || Error::new(ErrorKind::Internal, "a dead letter's change points outside of its batch");
    let rows = batch.tables.get(change.table as usize).ok_or_else(dangling)?;
    let event = batch.events.get(change.event as usize).ok_or_else(dangling)?;
    let transaction = batch.transactions.get(event.transaction as usize).ok_or_else(dangling)?;
    let name = &rows.table.name;
    Ok(json!({
        "stage": stage,
        "error": error.chain(),
        "time": jiff::Timestamp::now().to_string(),
        "source": {
            "file": &*transaction.file,
            "position": event.position,
            "row": change.row,
            "transaction": transaction.id.as_deref(),
            "server_id": event.server_id,
            "time": jiff::Timestamp::from_microsecond(event.time_us).map(|t| t.to_string()).ok(),
        },
        "database": name.database,
        "schema": name.schema,
        "table": name.table,
        "operation": change.operation.name(),
        "before": image(rows, change.before),
        "after": image(rows, change.after),
    }))
}

fn image(rows: &TableRows, row: u32) -> Value {
    if row == NO_IMAGE { Value::Null } else { row::object(rows, row, |_| true).into() }
}

fn fault(path: &Path, what: &str, error: io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "free space on its file system, then start again: nothing is lost"
        }
        _ => "let the account that runs the pipeline write there, or set `dead_letter` to another folder, then start again",
    };
    Error::new(ErrorKind::Sink, format!("the dead-letter file {} {what}", path.display())).caused_by(error).remedy(remedy)
}

#[cfg(test)]
mod tests;
