//! Dead-letter files: changes that a plugin could not handle or a sink could not deliver, whole, one JSON object a line.
//!
//! After a crash the changes since the last checkpoint come again, so a change may be in a file twice; its `source` tells.
//!
//! Records that a source could not read are set aside as they stand in their topic.
//!
//! They hold whole rows, among them what plugins would have hidden, so only the account that runs the pipeline may read them.
//!
//! A pipeline may have a queue of messages in place of the files ([`Queue`]). Commands then read a copy of it in files ([`LetterCopy`]).

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod copy;
mod letter;
mod queue;
mod raw;
pub mod row;

pub use copy::LetterCopy;
pub use letter::{Heading, Kind, Letter, LetterFile, Line, Lines, files};
pub use queue::{Outgoing, Queue};

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};

use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, NO_IMAGE, RawRecord, TableRows},
};
use sluicegate_storage::{
    file::{Whereabouts, whereabouts},
    folder,
};

/// The dead-letter folder of a pipeline: a file `plugin.NAME.ndjson` for each plugin that sets changes aside,
/// `sink.NAME.ndjson` for each sink, and `source.NAME.ndjson` for records that the source could not read.
#[derive(Debug)]
pub struct DeadLetters {
    folder: PathBuf,
    max_bytes: u64,
    /// By their files' names.
    files: Mutex<BTreeMap<String, Letters>>,
    /// Where letters go in place of files.
    queue: Option<Arc<dyn Queue>>,
    closed: AtomicBool,
    /// Held while files are synced, which may take long: `files` is not. Whether a sync has failed.
    syncing: Mutex<bool>,
}

#[derive(Debug)]
struct Letters {
    file: Arc<File>,
    path: PathBuf,
    bytes: u64,
    dirty: bool,
}

impl DeadLetters {
    /// Dead letters in `folder`, which is made when the first one comes. A file takes up to `max_bytes`.
    pub fn new(folder: impl Into<PathBuf>, max_bytes: u64) -> Self {
        let (files, syncing) = (Mutex::default(), Mutex::default());
        Self { folder: folder.into(), max_bytes, files, queue: None, closed: AtomicBool::new(false), syncing }
    }

    /// Dead letters that go to a queue in place of files.
    pub fn in_queue(queue: Arc<dyn Queue>) -> Self {
        Self { queue: Some(queue), ..Self::new(PathBuf::new(), 0) }
    }

    /// The queue, if the sink of this name sends its letters to it by itself.
    pub fn queue_of(&self, sink: &str) -> Option<&Arc<dyn Queue>> {
        self.queue.as_ref().filter(|queue| queue.is_sent_by(sink))
    }

    /// Refuses further letters: the run has ended, and another one may write here.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Sets aside a change that the plugin of this name could not handle: both images with column names, table, operation,
    /// sequence number, where it came from, and why. Durable only after [`Self::sync`].
    ///
    /// # Errors
    /// `Sink` when the file cannot be written or is full: the pipeline has to stop, or the change would be lost.
    pub fn record_from_plugin(&self, plugin: &str, error: &Error, batch: &Batch, change: &Change) -> Result<()> {
        self.give(change_letter(Kind::Plugin, plugin, error, batch, change)?)
    }

    /// The same for a change that the sink of this name could not deliver.
    ///
    /// # Errors
    /// As [`Self::record_from_plugin`].
    pub fn record_from_sink(&self, sink: &str, error: &Error, batch: &Batch, change: &Change) -> Result<()> {
        self.give(self.letter_of_sink(sink, error, batch, change)?)
    }

    /// Sets aside a record that a source of this kind could not read: its bytes, its place, and why.
    ///
    /// # Errors
    /// As of [`Self::record_from_plugin`].
    pub fn record_from_source(&self, source: &str, error: &Error, record: &RawRecord<'_>) -> Result<()> {
        let text = raw::letter(source, error, record).to_string().into_bytes();
        self.give(Outgoing { kind: Kind::Source, stage: source.to_owned(), of: record.topic.to_owned(), plugins: None, text })
    }

    /// The letter of a change that the sink of this name could not deliver, which the sink sends by itself.
    ///
    /// # Errors
    /// `Internal`: the change is none of the batch's.
    pub fn letter_of_sink(&self, sink: &str, error: &Error, batch: &Batch, change: &Change) -> Result<Outgoing> {
        change_letter(Kind::Sink, sink, error, batch, change)
    }

    fn give(&self, letter: Outgoing) -> Result<()> {
        if let Some(queue) = &self.queue {
            self.check_open()?;
            return queue.send(&letter);
        }
        self.append(letter.kind, &letter.stage, letter.text)
    }

    /// Nothing is set aside once the run has ended.
    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Sink, "the run ended before something was set aside")
                .remedy("nothing is lost: the next start goes on at the checkpoint"));
        }
        Ok(())
    }

    /// Appends a letter to its file.
    fn append(&self, kind: Kind, stage: &str, mut line: Vec<u8>) -> Result<()> {
        line.push(b'\n');
        let name = file_name(kind.name(), stage);
        let mut files = lock(&self.files);
        self.check_open()?;
        let letters = match files.get_mut(&name) {
            Some(letters) => letters,
            None => {
                let letters = Letters::open(&self.folder, &name)?;
                files.entry(name).or_insert(letters)
            }
        };
        let file = letters.file.clone();
        let _alone = Alone::with(&file).map_err(|e| fault(&letters.path, "cannot be locked", e))?;
        letters.catch_up().map_err(|e| fault(&letters.path, "cannot be read", e))?;
        if letters.bytes.saturating_add(line.len() as u64) > self.max_bytes {
            return Err(Error::new(
                ErrorKind::Sink,
                format!("the dead-letter file {} has reached its limit of {} bytes", letters.path.display(), self.max_bytes),
            )
            .remedy("deal with what is in it, move it away, and start again; or raise `limits.dead_letter_bytes`"));
        }
        (&*file).write_all(&line).map_err(|e| fault(&letters.path, "cannot be written", e))?;
        letters.bytes += line.len() as u64;
        letters.dirty = true;
        Ok(())
    }

    /// Makes everything recorded so far durable. A checkpoint may be committed only after it. Meanwhile others can record.
    ///
    /// A file that was moved away keeps its letters, and the next ones begin a new file.
    ///
    /// # Errors
    /// `Sink` when a file cannot be synced, or was removed with letters that were not durable. Every later call fails, too:
    /// nobody knows any more what is durable.
    pub fn sync(&self) -> Result<()> {
        if let Some(queue) = &self.queue {
            return queue.sync();
        }
        // a second caller waits: the sync under way may be that of the letters it needs
        let mut failed = lock(&self.syncing);
        if *failed {
            return Err(Error::new(ErrorKind::Internal, "dead letters were synced after that had failed"));
        }
        let open: Vec<_> = {
            let mut files = lock(&self.files);
            let open = files.iter_mut().map(|(name, l)| (name.clone(), l.file.clone(), l.path.clone(), std::mem::take(&mut l.dirty)));
            open.collect()
        };
        for (name, file, path, dirty) in open {
            let place = sync(&file, &path, dirty).inspect_err(|_| *failed = true)?;
            if place != Whereabouts::InPlace {
                let mut files = lock(&self.files);
                // letters that came meanwhile are in the old file: the next sync sees to them
                if files.get(&name).is_some_and(|letters| !letters.dirty) {
                    files.remove(&name);
                    tracing::info!(file = %path.display(), "the dead-letter file was taken away; the next letter begins a new one");
                }
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a file's letters durable, if it has new ones. Answers where the file is.
fn sync(file: &File, path: &Path, dirty: bool) -> Result<Whereabouts> {
    if dirty {
        file.sync_data().map_err(|e| fault(path, "cannot be synced", e))?;
    }
    let place = whereabouts(file, path).map_err(|e| fault(path, "cannot be found", e))?;
    if dirty && place == Whereabouts::Removed {
        return Err(Error::new(ErrorKind::Sink, format!("the dead-letter file {} was removed while it was written to", path.display()))
            .remedy("start again: the changes since the last checkpoint come again, and their letters go into a new file"));
    }
    Ok(place)
}

/// The name of the file of a plugin, sink or source. Letters, digits, `-`, `_` and `.` stand for themselves, other bytes as `%` and two
/// hexadecimal digits: no two names meet, and each can be read back.
fn file_name(kind: &str, stage: &str) -> String {
    let mut name = format!("{kind}.");
    for byte in stage.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            name.push(char::from(byte));
        } else {
            // writing into a String cannot fail
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name + ".ndjson"
}

/// Makes the folder for this account alone; one that is there stays as it is.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder::parent(folder);
    folder::make(above)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(e) => Err(e),
        Ok(()) => folder::sync(above),
    }
}

impl Letters {
    fn open(folder: &Path, name: &str) -> Result<Self> {
        make_folder(folder).map_err(|e| fault(folder, "cannot be made", e))?;
        let path = folder.join(name);
        let open = || {
            // only the account that runs the pipeline may read whole rows; a file that is there keeps its mode
            let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
            let alone = Alone::with(&file)?;
            let bytes = cut_torn_line(&file)?;
            drop(alone);
            folder::sync(folder)?;
            Ok((file, bytes))
        };
        let (file, bytes) = open().map_err(|e| fault(&path, "cannot be opened", e))?;
        Ok(Self { file: Arc::new(file), path, bytes, dirty: false })
    }

    /// Sees what another process of this pipeline wrote into the file meanwhile, a replay say.
    fn catch_up(&mut self) -> io::Result<()> {
        if self.file.metadata()?.len() != self.bytes {
            self.bytes = cut_torn_line(&self.file)?;
        }
        Ok(())
    }
}

/// While it lives, no other process writes to the file.
struct Alone<'f>(&'f File);

impl<'f> Alone<'f> {
    fn with(file: &'f File) -> io::Result<Self> {
        match file.lock() {
            // a file system without locks: then one process has to do
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(Self(file)),
            locked => locked.map(|()| Self(file)),
        }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // it goes with the file at the latest
        let _ = self.0.unlock();
    }
}

/// A crash may leave half a line, whose change comes again: cuts it off. Answers the length that is left, in bytes.
fn cut_torn_line(mut file: &File) -> io::Result<u64> {
    const CHUNK: u64 = 64 << 10;
    let length = file.metadata()?.len();
    let mut end = length;
    let mut chunk = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        file.seek(SeekFrom::Start(start))?;
        chunk.clear();
        Read::by_ref(&mut file).take(end - start).read_to_end(&mut chunk)?;
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

fn change_letter(kind: Kind, stage: &str, error: &Error, batch: &Batch, change: &Change) -> Result<Outgoing> {
    let text = letter(stage, error, batch, change)?.to_string().into_bytes();
    let of = batch.tables.get(change.table as usize).map(|rows| rows.table.name.to_string()).unwrap_or_default();
    Ok(Outgoing { kind, stage: stage.to_owned(), of, plugins: batch.versions.as_deref().map(str::to_owned), text })
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
        "plugins": batch.versions.as_deref(),
        "destination": rows.table.destination.as_deref(),
        "columns": rows.table.columns.iter().map(letter::column).collect::<Vec<_>>(),
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
