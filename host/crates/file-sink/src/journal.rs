//! Destinations whose files no checkpoint names yet: a start after a crash finds and removes what was written there.
//!
//! One hidden file in the sink's folder, a destination a line, synced before the first file of a destination is made. Lines
//! go when the checkpoint names their destinations.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    fault,
    naming::{Naming, is_folder},
    remove_file,
};
use sluicegate_model::{Error, ErrorKind, Result, limits::DESTINATIONS_JOURNAL_BYTES};
use sluicegate_storage::{file, folder};

/// The journal of a sink.
pub(super) struct Journal {
    path: PathBuf,
    /// In the last answer of a flush, which may be stored or not.
    answered: Vec<String>,
    /// Added since.
    added: Vec<String>,
}

impl Journal {
    /// The journal, with nothing in it.
    pub fn new(root: &Path, naming: &Naming) -> Self {
        Self { path: root.join(format!(".{}.destinations", naming.prefix)), answered: Vec::new(), added: Vec::new() }
    }

    /// What a run that was cut short has left in it. Half a line is none: its destination got no file.
    pub fn read(&self) -> Result<Vec<String>> {
        let text = match file::read(&self.path, DESTINATIONS_JOURNAL_BYTES) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => None,
            Err(e) => return Err(fault(&self.path, "the file cannot be read", e)),
        };
        let lines = text.and_then(|mut text| {
            text.truncate(memchr::memrchr(b'\n', &text).map_or(0, |end| end + 1));
            let text = String::from_utf8(text).ok()?;
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.iter().all(|line| is_folder(line)).then_some(lines)
        });
        if let Some(lines) = lines {
            return Ok(lines);
        }
        Err(Error::new(ErrorKind::Sink, format!("{} does not hold what a file sink writes there", self.path.display())).remedy(
            "see in which subfolders there are files that the checkpoint does not know, remove those and this file, then start again",
        ))
    }

    /// Removes the file: the checkpoint names every destination.
    pub fn clear(&self) -> Result<()> {
        remove_file(&self.path)
    }

    /// Adds a destination, durably.
    pub fn add(&mut self, destination: &str) -> Result<()> {
        let add = || {
            let new = !self.path.try_exists()?;
            let mut file = file::append(&self.path)?;
            file.write_all(format!("{destination}\n").as_bytes())?;
            file.sync_all()?;
            if new { folder::sync(folder::parent(&self.path)) } else { Ok(()) }
        };
        add().map_err(|e| fault(&self.path, "the file cannot be written", e))?;
        self.added.push(destination.to_owned());
        Ok(())
    }

    /// Whether it still names a destination.
    pub fn holds(&self, destination: &str) -> bool {
        self.answered.iter().chain(&self.added).any(|held| held == destination)
    }

    /// A flush is about to answer everything added so far; the answer before it is in the checkpoint by now, so what that one
    /// named goes.
    pub fn settle(&mut self) -> Result<()> {
        if !self.answered.is_empty() {
            self.answered.clear();
            self.rewrite()?;
        }
        self.answered.append(&mut self.added);
        Ok(())
    }

    fn rewrite(&self) -> Result<()> {
        if self.added.is_empty() {
            return self.clear();
        }
        let text: String = self.added.iter().map(|destination| format!("{destination}\n")).collect();
        let new = self.path.with_extension("destinations-new");
        // left by a crash
        remove_file(&new)?;
        let write = || {
            let mut file = file::make(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            folder::sync(folder::parent(&self.path))
        };
        write().map_err(|e| fault(&new, "the file cannot be written", e))
    }
}
