//! Places in the files: what the checkpoint keeps of each stream, and how writing goes on from there.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::fault;
use sluicegate_model::{Error, ErrorKind, Result};

/// What the checkpoint keeps for a file sink: a place for each stream of files.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct State {
    /// Of the records without a destination.
    #[serde(flatten)]
    pub plain: Place,
    /// Of those with one, by destination.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub destinations: BTreeMap<String, Place>,
}

/// How far a stream is. Files with a lower number are complete, and may be moved away; this one is still written to, or
/// comes next.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Place {
    /// The file's name in the stream's folder.
    pub file: String,
    /// Its number.
    pub number: u64,
    /// Its durable length; 0 = it need not be there yet.
    pub bytes: u64,
    /// Records in it.
    pub records: u64,
    /// When it was begun, microseconds since 1970 UTC; 0 = not yet.
    #[serde(default)]
    pub opened_us: i64,
}

/// Where a stream goes on.
#[derive(Debug)]
pub(super) struct Start {
    /// Number of the file that is written to or comes next.
    pub number: u64,
    /// Its length, at which it goes on; 0 = it comes next.
    pub bytes: u64,
    /// Records in it.
    pub records: u64,
    /// When it was begun.
    pub opened_us: i64,
    /// Whether a crash finds its files.
    pub recorded: bool,
}

impl Start {
    /// Goes on in a file of its own, where what the last one began with is not known.
    pub fn in_next_file(self) -> Self {
        if self.bytes == 0 { self } else { Self { number: self.number + 1, bytes: 0, records: 0, opened_us: 0, ..self } }
    }

    /// A stream that has no files yet.
    pub fn new() -> Self {
        Self { number: 1, bytes: 0, records: 0, opened_us: 0, recorded: false }
    }
}

/// The error when the file that is written to is no longer where it was: what was written to it might never be read.
/// `durable` bytes of it are in the checkpoint.
pub(super) fn taken_away(path: &Path, durable: u64) -> Error {
    Error::new(ErrorKind::Sink, format!("{} was moved away or removed while it was written to", path.display())).remedy(match durable {
        0 => "start again: all of its records are written again, into a new file; remove the one that was moved away".to_owned(),
        durable => format!(
            "put it back and start again, or start again without it: the next file begins with the change after its first {durable} \
             bytes (cut a file that was moved away to {durable} bytes, or it holds those changes, too)"
        ),
    })
}

/// The error when a file holds less than what the checkpoint says is durable.
pub(super) fn shorter(path: &Path, length: u64, durable: u64) -> Error {
    Error::new(ErrorKind::Sink, format!("{} holds {length} bytes, but the checkpoint says that {durable} are durable", path.display()))
        .remedy(format!(
            "somebody edited or replaced it, or the disk lost what it had confirmed: restore its first {durable} bytes and start again; \
             or move it away and start again: the next file begins with the change after those bytes"
        ))
}

/// The error when the file that is written to has another length than what was written: somebody cut it, or added to it.
/// `durable` bytes of it are in the checkpoint.
pub(super) fn changed(path: &Path, length: u64, written: u64, durable: u64) -> Error {
    let what = format!("{} was changed while it was written to: it holds {length} bytes, but {written} were written", path.display());
    Error::new(ErrorKind::Sink, what).remedy(match durable {
        0 => "start again: all of its records are written again, into a new file; remove copies of this one".to_owned(),
        durable => format!(
            "restore its first {durable} bytes and start again; or move it away and start again: the next file begins with the change \
             after those bytes (cut a copy to {durable} bytes, or it holds those changes, too)"
        ),
    })
}

/// Opens a stream's current file at its durable length, and cuts off what is behind it. `None`: there is no such file.
pub(super) fn cut(path: &Path, bytes: u64) -> Result<Option<File>> {
    let file = match OpenOptions::new().read(true).append(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|e| fault(path, "the file cannot be opened", e))?,
    };
    let length = file.metadata().map_err(|e| fault(path, "the file's length cannot be read", e))?.len();
    if length < bytes {
        return Err(shorter(path, length, bytes));
    }
    if length > bytes {
        tracing::info!(file = %path.display(), bytes = length - bytes, "cut off what was written after the checkpoint");
        file.set_len(bytes).and_then(|()| file.sync_all()).map_err(|e| fault(path, "the file cannot be cut", e))?;
    }
    Ok(Some(file))
}
