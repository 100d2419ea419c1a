//! One stream of rolled files in one folder: those of one destination, or those without.

use std::{fs::OpenOptions, path::PathBuf, time::Duration};

use super::{
    fault,
    naming::Naming,
    output::Output,
    place::{self, Place, Start},
    root::Root,
};
use sluicegate_config::Roll;
use sluicegate_format::FileFormat;
use sluicegate_model::{Error, Result, now_us};
use sluicegate_storage::{file::Whereabouts, folder};

/// What all streams of a sink have in common.
pub(super) struct Layout {
    pub root: Root,
    pub naming: Naming,
    pub roll: Roll,
    /// zstd level, if compressed.
    pub zstd: Option<i32>,
    /// How records stand in a file.
    pub format: Box<dyn FileFormat>,
}

impl Layout {
    /// The folder of a destination; of the records without one, when it is empty.
    pub fn folder(&self, destination: &str) -> PathBuf {
        let root = self.root.path();
        if destination.is_empty() { root.to_owned() } else { root.join(destination) }
    }
}

/// A stream. Its current file may be closed in between, to leave room for those of other streams; then it is durable.
pub(super) struct Stream {
    pub destination: String,
    /// Number of the current file, or of the next one.
    pub number: u64,
    /// Records in it, those in `buffer` included.
    pub records: u64,
    /// Its length on disk while it is closed.
    bytes: u64,
    /// How much of it the checkpoint names.
    durable: u64,
    opened_us: i64,
    output: Option<Output>,
    /// Something was written that is not synced.
    dirty: bool,
    /// The folder has a new entry that is not synced.
    folder_dirty: bool,
    /// Whether a crash finds its files: the checkpoint or the journal names it.
    pub recorded: bool,
    /// When it was last written to, in writes of the sink.
    pub used: u64,
    /// Whole records that are not yet given to `output`.
    pub buffer: Vec<u8>,
    /// How full `buffer` may get before the file is full.
    pub room: usize,
    /// What the current file begins with, and those that follow.
    pub header: Vec<u8>,
}

impl Stream {
    pub fn new(destination: &str, start: &Start, layout: &Layout) -> Self {
        let mut stream = Self {
            destination: destination.to_owned(),
            number: start.number,
            records: start.records,
            bytes: start.bytes,
            durable: start.bytes,
            opened_us: start.opened_us,
            output: None,
            dirty: false,
            folder_dirty: false,
            recorded: start.recorded,
            used: 0,
            buffer: Vec::new(),
            room: 0,
            header: Vec::new(),
        };
        stream.set_room(layout);
        stream
    }

    pub fn is_open(&self) -> bool {
        self.output.is_some()
    }

    fn bytes(&self) -> u64 {
        self.output.as_ref().map_or(self.bytes, Output::bytes)
    }

    fn path(&self, layout: &Layout) -> PathBuf {
        layout.folder(&self.destination).join(layout.naming.file(self.number))
    }

    /// A plain file is rolled right after the record that fills it, so the buffer is not let past that point.
    fn set_room(&mut self, layout: &Layout) {
        let room = usize::try_from(layout.roll.bytes.saturating_sub(self.bytes())).unwrap_or(usize::MAX);
        self.room = if layout.zstd.is_some() { usize::MAX } else { room };
    }

    /// Opens the current file, or makes it.
    pub fn open(&mut self, layout: &Layout) -> Result<()> {
        if self.output.is_some() {
            return Ok(());
        }
        let path = self.path(layout);
        let file = if self.bytes == 0 {
            let folder = layout.folder(&self.destination);
            folder::make(&folder).map_err(|e| fault(&folder, "the folder cannot be made", e))?;
            let file = OpenOptions::new().append(true).create_new(true).open(&path);
            self.folder_dirty = true;
            self.opened_us = now_us();
            file.map_err(|e| fault(&path, "the file cannot be made", e))?
        } else {
            place::cut(&path, self.bytes)?.map_or_else(|| Err(self.taken_away(layout)), Ok)?
        };
        self.output = Some(Output::new(file, self.bytes, layout.zstd).map_err(|e| fault(&path, "the file cannot be used", e))?);
        if self.bytes == 0 {
            let header = self.header.clone();
            self.put(layout, |format, out| {
                format.begin(out);
                out.extend_from_slice(&header);
            })?;
        }
        Ok(())
    }

    /// Writes what a file has around its records, if anything.
    fn put(&mut self, layout: &Layout, part: impl FnOnce(&dyn FileFormat, &mut Vec<u8>)) -> Result<()> {
        let mut text = Vec::new();
        part(&*layout.format, &mut text);
        if text.is_empty() {
            return Ok(());
        }
        self.open(layout)?;
        if let Some(output) = &mut self.output {
            let written = output.write(&text);
            self.dirty = true;
            written.map_err(|e| fault(&self.path(layout), "the file cannot be written", e))?;
        }
        Ok(())
    }

    /// Whether the current file is there.
    pub fn has_begun(&self) -> bool {
        self.output.is_some() || self.bytes > 0
    }

    /// Stops before something is written to a file that somebody else cut, or added to: a start that cuts it to the checkpoint's
    /// length must find what the checkpoint speaks of, or too little.
    fn refuse_changed(&self, layout: &Layout) -> Result<()> {
        let Some(output) = &self.output else { return Ok(()) };
        let path = self.path(layout);
        match output.other_length().map_err(|e| fault(&path, "the file's length cannot be read", e))? {
            Some(length) => Err(place::changed(&path, length, output.bytes(), self.durable)),
            None => Ok(()),
        }
    }

    /// Gives the buffer to the file, which is open, and rolls the file when it is full.
    pub fn write_out(&mut self, layout: &Layout, keep: usize) -> Result<()> {
        if !self.buffer.is_empty() {
            self.refuse_changed(layout)?;
        }
        if let Some(output) = self.output.as_mut().filter(|_| !self.buffer.is_empty()) {
            let written = output.write(&self.buffer);
            self.dirty = true;
            written.map_err(|e| fault(&self.path(layout), "the file cannot be written", e))?;
            self.buffer.clear();
            self.buffer.shrink_to(keep); // one huge record does not keep its memory
        }
        self.roll_full(layout)
    }

    /// Lets readers see what was given to the file, and rolls it when it is full.
    pub fn show(&mut self, layout: &Layout) -> Result<()> {
        if let Some(output) = &mut self.output {
            let shown = output.flush();
            shown.map_err(|e| fault(&self.path(layout), "the file cannot be written", e))?;
        }
        self.roll_full(layout)
    }

    /// The error when the current file is not where it was.
    fn taken_away(&self, layout: &Layout) -> Error {
        let error = place::taken_away(&self.path(layout), self.durable);
        match layout.root.remedy_if_gone() {
            Ok(Some(remedy)) => error.remedy(remedy),
            Ok(None) => error,
            Err(error) => error,
        }
    }

    /// Makes everything that was written durable, where it can be found.
    pub fn sync(&mut self, layout: &Layout) -> Result<()> {
        if self.dirty {
            let path = self.path(layout);
            if let Some(output) = &mut self.output {
                output.sync().map_err(|e| fault(&path, "the file cannot be synced", e))?;
                match output.whereabouts(&path).map_err(|e| fault(&path, "it cannot be told where the file is", e))? {
                    Whereabouts::InPlace => {}
                    Whereabouts::Moved | Whereabouts::Removed => return Err(self.taken_away(layout)),
                }
                self.refuse_changed(layout)?;
            }
            self.dirty = false;
        }
        if self.folder_dirty {
            let folder = layout.folder(&self.destination);
            folder::sync(&folder).map_err(|e| fault(&folder, "the folder cannot be synced", e))?;
            self.folder_dirty = false;
        }
        Ok(())
    }

    /// Syncs and closes the file; it is opened again for the next records.
    pub fn close(&mut self, layout: &Layout) -> Result<()> {
        self.sync(layout)?;
        if let Some(output) = self.output.take() {
            self.bytes = output.bytes();
        }
        self.roll_full(layout)
    }

    /// Rolls the file if it is full: a compressed one also gets longer when its frame is ended.
    pub fn roll_full(&mut self, layout: &Layout) -> Result<()> {
        if self.bytes() >= layout.roll.bytes {
            self.roll(layout)?;
        }
        self.set_room(layout);
        Ok(())
    }

    /// Whether the current file holds something, and is older than it may get.
    pub fn aged(&self, layout: &Layout, now_us: i64) -> bool {
        let old = |every: Duration| now_us.saturating_sub(self.opened_us) >= i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
        self.has_begun() && layout.roll.every.is_some_and(old)
    }

    /// Syncs and closes the current file for good; the next records begin the next one. The buffer is empty.
    pub fn roll(&mut self, layout: &Layout) -> Result<()> {
        self.put(layout, |format, out| format.end(out))?;
        self.sync(layout)?;
        self.output = None;
        self.number += 1;
        (self.bytes, self.durable, self.records, self.opened_us) = (0, 0, 0, 0);
        self.set_room(layout);
        Ok(())
    }

    /// What the checkpoint is about to keep.
    pub fn place(&mut self, layout: &Layout) -> Place {
        self.durable = self.bytes();
        Place {
            file: layout.naming.file(self.number),
            number: self.number,
            bytes: self.durable,
            records: self.records,
            opened_us: self.opened_us,
        }
    }
}
