//! Files that are written, those that were ended, and how they come into their place.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::super::{
    fault,
    naming::{Naming, is_folder},
    recovery, remove_file,
    root::{self, Root},
};
use sluicegate_config::{FileRecords, FileSink as Settings};
use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_storage::{Lock, folder};

/// What the checkpoint keeps.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// The prefix of the files, under what they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parquet: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    avro: Option<String>,
    /// For each folder the number of its next file.
    next: BTreeMap<String, u64>,
    /// Files that were ended with this commit: they may not be in their place yet.
    ended: Vec<Part>,
}

impl State {
    fn new(naming: &Naming, next: &BTreeMap<String, u64>, ended: &[Part]) -> Self {
        let of = |records| (naming.records == records).then(|| naming.prefix.clone());
        Self { parquet: of(FileRecords::Parquet), avro: of(FileRecords::Avro), next: next.clone(), ended: ended.to_vec() }
    }

    /// The prefix of the files, if they are of this kind and no other.
    fn prefix(&self, records: FileRecords) -> Option<&str> {
        match (&self.parquet, &self.avro, records) {
            (Some(prefix), None, FileRecords::Parquet) | (None, Some(prefix), FileRecords::Avro) => Some(prefix),
            _ => None,
        }
    }
}

/// A file that is written under another name than it gets.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// In the hidden folder.
    part: String,
    /// The folder in the sink's that it belongs to.
    folder: String,
    /// Its number there.
    number: u64,
}

impl Part {
    /// Its number in the hidden folder.
    fn made(&self) -> Option<u64> {
        self.part.parse().ok()
    }
}

/// The hidden folder of files that are written.
pub(super) struct Parts {
    root: Root,
    naming: Naming,
    hidden: PathBuf,
    next: BTreeMap<String, u64>,
    /// Ended since the last commit.
    ended: Vec<Part>,
    /// Ended with it.
    committed: Vec<Part>,
    /// The number of the last file in the hidden folder. Never that of a file that a stored checkpoint may name.
    made: u64,
    _lock: Lock,
}

fn naming(settings: &Settings) -> Naming {
    Naming { prefix: settings.prefix.clone(), records: settings.records, zstd: false }
}

fn hidden(settings: &Settings) -> PathBuf {
    settings.folder.join(format!(".{}.parts", settings.prefix))
}

/// Looks whether the folder is the one that `state` speaks of. Changes nothing.
pub(super) fn look(settings: &Settings, state: Option<&str>) -> Result<()> {
    let Some(state) = state.map(|text| parse(text, settings)).transpose()? else { return Ok(()) };
    let lock = root::lock_path(&settings.folder, &naming(settings));
    let there = lock.try_exists().map_err(|e| fault(&lock, "it cannot be told whether the file is there", e))?;
    if there || state.next.is_empty() {
        return Ok(());
    }
    let root = settings.folder.display();
    let what = format!(
        "{} is missing, although the checkpoint knows of files in {root}: this is not the folder that the sink wrote to",
        lock.display()
    );
    Err(Error::new(ErrorKind::Sink, what).remedy(format!(
        "mount its file system, or set `folder` back; to go on in new files there, run `mkdir -p '{root}' && touch '{}'`",
        lock.display()
    )))
}

/// Whether a sink of these settings goes on with the state.
pub fn reads(text: &str, settings: &Settings) -> bool {
    parse(text, settings).is_ok()
}

fn parse(text: &str, settings: &Settings) -> Result<State> {
    let bad = || {
        let kind = if settings.records == FileRecords::Avro { "Avro" } else { "Parquet" };
        Error::new(ErrorKind::State, format!("the checkpoint holds a state that no sink of {kind} files wrote"))
            .remedy("give the sink another `name` and a `start`; or set its kind and `format` back")
    };
    let state: State = serde_json::from_str(text).map_err(|e| bad().caused_by(e))?;
    let prefix = state.prefix(settings.records).ok_or_else(bad)?;
    if prefix != settings.prefix {
        let what = format!("the sink's files had the prefix `{prefix}`");
        return Err(Error::new(ErrorKind::State, what).remedy("set `prefix` back, or give the sink another `name` and a `start`"));
    }
    // half of all numbers: whatever is counted on from there stays one
    let counts = |number: &u64| *number <= u64::MAX / 2;
    let digits = |part: &Part| part.part.bytes().all(|b| b.is_ascii_digit());
    let names = |part: &Part| is_folder(&part.folder) && digits(part) && part.made().as_ref().is_some_and(counts);
    let sound = state.next.iter().all(|(folder, number)| is_folder(folder) && counts(number))
        && state.ended.iter().all(|part| names(part) && counts(&part.number));
    if sound { Ok(state) } else { Err(bad()) }
}

impl Parts {
    /// Brings the files that `state` names into their place, and removes all others that were not ended in time.
    pub fn recover(settings: &Settings, state: Option<&str>) -> Result<Self> {
        look(settings, state)?;
        let state = state.map(|text| parse(text, settings)).transpose()?;
        let root = settings.folder.clone();
        folder::make(&root).map_err(|e| fault(&root, "the folder cannot be made", e).not_ready())?;
        let naming = naming(settings);
        let lock = recovery::lock(&root, &naming)?;
        let hidden = hidden(settings);
        folder::make(&hidden).map_err(|e| fault(&hidden, "the folder cannot be made", e))?;
        let opened = Root::open(root, &naming)?;
        let (next, committed) = state.map(|state| (state.next, state.ended)).unwrap_or_default();
        // the checkpoint names these until the next one is stored: another file of such a name would be taken for it
        let made = committed.iter().filter_map(Part::made).max().unwrap_or_default();
        let mut parts = Self { root: opened, naming, hidden, next, ended: Vec::new(), committed, made, _lock: lock };
        parts.publish()?;
        let unreadable = |e| fault(&parts.hidden, "the folder cannot be read", e);
        for entry in fs::read_dir(&parts.hidden).map_err(unreadable)? {
            remove_file(&entry.map_err(unreadable)?.path())?;
        }
        let root = parts.root.path();
        folder::sync(root).map_err(|e| fault(root, "the folder cannot be synced", e))?;
        Ok(parts)
    }

    fn target(&self, part: &Part) -> PathBuf {
        self.root.path().join(&part.folder).join(self.naming.file(part.number))
    }

    /// Where a file is written.
    pub fn path(&self, part: &Part) -> PathBuf {
        self.hidden.join(&part.part)
    }

    /// A new file, which gets the next number of its folder.
    pub fn make(&mut self, folder: &str) -> Result<(File, Part)> {
        self.root.check()?;
        let next = self.next.entry(folder.to_owned()).or_insert(1);
        let number = *next;
        *next += 1;
        self.made += 1;
        let part = Part { part: format!("{:08}", self.made), folder: folder.to_owned(), number };
        let target = self.target(&part);
        if target.try_exists().map_err(|e| fault(&target, "it cannot be told whether the file is there", e))? {
            return Err(taken(&target));
        }
        let path = self.path(&part);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        Ok((file.map_err(|e| fault(&path, "the file cannot be made", e))?, part))
    }

    /// A file was ended: it is made durable, and waits for the next commit.
    pub fn end(&mut self, file: &File, part: Part) -> Result<()> {
        file.sync_all().map_err(|e| fault(&self.path(&part), "the file cannot be synced", e))?;
        self.ended.push(part);
        Ok(())
    }

    /// What the checkpoint has to keep. Every file that it names is durable.
    pub fn commit(&mut self) -> Result<State> {
        self.root.check()?;
        self.publish()?;
        if !self.ended.is_empty() {
            folder::sync(&self.hidden).map_err(|e| fault(&self.hidden, "the folder cannot be synced", e))?;
        }
        self.committed = std::mem::take(&mut self.ended);
        Ok(State::new(&self.naming, &self.next, &self.committed))
    }

    /// Brings the files of the last commit into their place.
    pub fn publish(&mut self) -> Result<()> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for part in std::mem::take(&mut self.committed) {
            let (from, to) = (self.path(&part), self.target(&part));
            let there = |path: &Path| path.try_exists().map_err(|e| fault(path, "it cannot be told whether the file is there", e));
            if !there(&from)? {
                // renamed before a crash; it may have been taken away since
                if !there(&to)? {
                    tracing::warn!(file = %to.display(), "a file that was finished is neither there nor waits to be: its reader took it, or it was removed");
                }
                continue;
            }
            let above = self.root.path().join(&part.folder);
            folder::make(&above).map_err(|e| fault(&above, "the folder cannot be made", e))?;
            if there(&to)? {
                return Err(taken(&to));
            }
            fs::rename(&from, &to).map_err(|e| fault(&to, "a finished file cannot be renamed into its place", e))?;
            if !folders.contains(&above) {
                folders.push(above);
            }
        }
        for above in &folders {
            folder::sync(above).map_err(|e| fault(above, "the folder cannot be synced", e))?;
        }
        Ok(())
    }
}

fn taken(path: &Path) -> Error {
    Error::new(ErrorKind::Sink, format!("{} is there already, but the checkpoint knows nothing of it", path.display()))
        .caused_by(io::Error::from(io::ErrorKind::AlreadyExists))
        .remedy("move the files of an earlier run away, set another `folder` or `prefix`, or put that run's checkpoint back")
}
