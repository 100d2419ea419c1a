//! NDJSON files in a folder: rolled by size and time, optionally compressed, each change in them exactly once.
//!
//! The checkpoint holds the open file's durable length. A start after a crash cuts that file to it and removes the files
//! that came later, so what was written after the checkpoint is undone before it is written again.

mod naming;
mod output;
mod recovery;

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

use naming::Naming;
use output::Output;
use recovery::State;

use super::{Numbers, Sink, SinkState};
use crate::{
    Error, ErrorKind, Result,
    change::Batch,
    config::{FileSink as Settings, Roll},
    format::Encoder,
    service::status::now_us,
    state::{Lock, folder},
};

/// A file sink.
pub(super) struct FileSink {
    folder: PathBuf,
    naming: Naming,
    roll: Roll,
    zstd: Option<i32>,
    encoder: Encoder,
    numbers: Numbers,
    /// Number of the open file, or of the next one.
    number: u64,
    /// Records in it, those in `buffer` included.
    records: u64,
    opened_us: i64,
    /// The open file; made with the first records that it gets.
    output: Option<Output>,
    /// Whole records that are not yet given to `output`.
    buffer: Vec<u8>,
    buffer_bytes: usize,
    /// How full `buffer` may get before it is written; less when the file is about to be rolled.
    write_at: usize,
    /// The folder has a new entry that is not synced.
    folder_dirty: bool,
    uncommitted: Option<PathBuf>,
    flushes: u64,
    _lock: Lock,
}

impl FileSink {
    /// Opens the folder, and makes everything undone that was written after `state`.
    pub(super) fn open(settings: &Settings, encoder: Encoder, state: Option<&str>, buffer_bytes: usize, numbers: Numbers) -> Result<Self> {
        let naming = Naming { prefix: settings.prefix.clone(), zstd: settings.zstd.is_some() };
        let recovered = recovery::recover(&settings.folder, &naming, state)?;
        let mut sink = Self {
            folder: settings.folder.clone(),
            naming,
            roll: settings.roll,
            zstd: settings.zstd,
            encoder,
            numbers,
            number: recovered.number,
            records: 0,
            opened_us: 0,
            output: None,
            buffer: Vec::new(),
            buffer_bytes,
            write_at: 0,
            folder_dirty: false,
            uncommitted: recovered.uncommitted,
            flushes: 0,
            _lock: recovered.lock,
        };
        if let Some((file, state)) = recovered.file {
            sink.records = state.records;
            sink.opened_us = state.opened_us;
            let path = sink.path();
            sink.output = Some(Output::new(file, state.bytes, sink.zstd).map_err(|e| fault(&path, "the file cannot be used", e))?);
        }
        sink.set_write_at();
        Ok(sink)
    }

    fn path(&self) -> PathBuf {
        self.folder.join(self.naming.file(self.number))
    }

    /// A plain file is rolled right after the record that fills it, so the buffer is not let past that point.
    fn set_write_at(&mut self) {
        let written = self.output.as_ref().map_or(0, Output::bytes);
        let room = usize::try_from(self.roll.bytes.saturating_sub(written)).unwrap_or(usize::MAX);
        self.write_at = if self.zstd.is_some() { self.buffer_bytes } else { self.buffer_bytes.min(room) };
    }

    /// Gives the buffer to the file, and rolls the file when it is full.
    fn write_out(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            let path = self.path();
            let output = match &mut self.output {
                Some(output) => output,
                None => {
                    let file = OpenOptions::new().write(true).create_new(true).open(&path);
                    let output =
                        file.and_then(|file| Output::new(file, 0, self.zstd)).map_err(|e| fault(&path, "the file cannot be made", e))?;
                    self.folder_dirty = true;
                    self.opened_us = now_us();
                    self.output.insert(output)
                }
            };
            output.write(&self.buffer).map_err(|e| fault(&path, "the file cannot be written", e))?;
            self.buffer.clear();
            self.buffer.shrink_to(2 * self.buffer_bytes); // one huge record does not hold its memory for ever
        }
        if self.output.as_ref().is_some_and(|o| o.bytes() >= self.roll.bytes) {
            self.roll()?;
        }
        self.set_write_at();
        Ok(())
    }

    /// Syncs and closes the open file; the next records begin the next one.
    fn roll(&mut self) -> Result<()> {
        if let Some(mut output) = self.output.take() {
            let path = self.path();
            output.sync().map_err(|e| fault(&path, "the file cannot be synced", e))?;
            self.number += 1;
            self.records = 0;
            self.opened_us = 0;
        }
        Ok(())
    }

    /// Whether the open file is older than it may get.
    fn aged(&self) -> bool {
        let age = now_us().saturating_sub(self.opened_us);
        self.output.is_some() && self.roll.every.is_some_and(|every| age >= i64::try_from(every.as_micros()).unwrap_or(i64::MAX))
    }

    /// The second flush tells that the first one's state has been stored: from now on a checkpoint names our files.
    fn forget_marker(&mut self) -> Result<()> {
        self.flushes += 1;
        if self.flushes == 2
            && let Some(marker) = self.uncommitted.take()
        {
            recovery::remove_file(&marker)?;
        }
        Ok(())
    }
}

impl Sink for FileSink {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        let mut bytes = 0;
        for change in &batch.changes {
            let before = self.buffer.len();
            self.encoder.value(batch, change, &mut self.buffer);
            self.buffer.push(b'\n');
            bytes += self.buffer.len() - before;
            self.records += 1;
            if self.buffer.len() >= self.write_at {
                self.write_out()?;
            }
        }
        self.numbers.count(batch.changes.len(), bytes);
        if self.aged() {
            self.write_out()?;
            self.roll()?;
            self.set_write_at();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<SinkState> {
        self.write_out()?;
        let path = self.path();
        if let Some(output) = &mut self.output {
            output.sync().map_err(|e| fault(&path, "the file cannot be synced", e))?;
        }
        if self.folder_dirty {
            folder::sync(&self.folder).map_err(|e| fault(&self.folder, "the folder cannot be synced", e))?;
            self.folder_dirty = false;
        }
        // ending a frame has made a compressed file longer
        if self.aged() || self.output.as_ref().is_some_and(|o| o.bytes() >= self.roll.bytes) {
            self.roll()?;
        }
        self.set_write_at();
        self.forget_marker()?;
        let state = State {
            file: self.naming.file(self.number),
            number: self.number,
            bytes: self.output.as_ref().map_or(0, Output::bytes),
            records: self.records,
            opened_us: self.opened_us,
        };
        serde_json::to_string(&state).map_err(|e| Error::new(ErrorKind::Internal, "the state cannot be written as JSON").caused_by(e))
    }
}

/// Checks that the folder can be written or, if it is not there, made. Leaves nothing behind.
pub(super) fn precheck(settings: &Settings) -> Result<()> {
    let there = settings.folder.ancestors().find(|f| f.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let probe = there.join(format!(".{}.probe", settings.prefix));
    let made = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    made.map_err(|e| {
        Error::new(ErrorKind::Precheck, format!("the folder {} cannot be written", settings.folder.display()))
            .remedy(remedy(&e))
            .caused_by(e)
    })
}

/// The error of an operation on `path`: stops the pipeline, and nothing is lost.
fn fault(path: &Path, what: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Sink, format!("{}: {what}", path.display())).remedy(remedy(&error)).caused_by(error)
}

fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind::*;
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => "free space on that file system, then start again: nothing is lost",
        PermissionDenied | ReadOnlyFilesystem => {
            "let the account that runs the pipeline write there, or set another `folder`, then start again"
        }
        AlreadyExists | NotADirectory => "move what is there away, or set another `folder` or `prefix`, then start again",
        NotFound => "put the folder back, or set another `folder`, then start again: nothing is lost",
        _ => "check the file system that it stands on, then start again: nothing is lost",
    }
}

#[cfg(test)]
mod tests;
