//! A copy of a queue's letters in files, for the commands that list, show and replay them. Each letter stands in it once, whatever is
//! killed: the place up to which it was copied is stored when all of its letters are durable, and what a file has behind it is passed over.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{DeadLetters, Kind, Lines, file_name, make_folder};
use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_storage::folder;

/// The file with the place up to which a topic is copied.
const PLACE: &str = "topic.json";
/// The file that the program which copies has locked.
const LOCK: &str = "topic.lock";

/// Up to where a topic is copied: the next offset of each partition.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Place {
    topic: String,
    partitions: BTreeMap<i32, i64>,
}

/// A letter's place in its topic, as it stands in the copy.
#[derive(Deserialize)]
struct Copied {
    queue: Option<InTopic>,
}

#[derive(Deserialize)]
struct InTopic {
    topic: String,
    partition: i32,
    offset: i64,
}

/// A copy that is written by this program alone while it lives.
#[derive(Debug)]
pub struct LetterCopy {
    folder: PathBuf,
    letters: DeadLetters,
    place: Place,
    /// The last offset of each partition that a file has.
    last: BTreeMap<String, BTreeMap<i32, i64>>,
    /// Locked.
    _lock: File,
}

impl LetterCopy {
    /// The copy of this topic in a folder, which is made. A file takes up to `max_bytes`. Waits for another program that copies there.
    ///
    /// # Errors
    /// `Sink`: the folder cannot be used.
    pub fn open(folder: &Path, topic: &str, max_bytes: u64) -> Result<Self> {
        let open = || {
            make_folder(folder)?;
            let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join(LOCK))?;
            match lock.lock() {
                // a file system without locks: then one program has to do
                Err(e) if e.kind() == io::ErrorKind::Unsupported => {}
                locked => locked?,
            }
            match fs::read(folder.join(PLACE)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok((lock, None)),
                read => Ok((lock, Some(read?))),
            }
        };
        let (lock, text) = open().map_err(|e| fault(folder, "cannot be used", e))?;
        let place = match text {
            Some(text) => serde_json::from_slice(&text).map_err(|e| fault(folder, "has a damaged file `topic.json`", e.into()))?,
            None => Place::default(),
        };
        // another topic is copied from its beginning, behind what is there
        let place = if place.topic == topic { place } else { Place { topic: topic.to_owned(), ..Place::default() } };
        let letters = DeadLetters::new(folder, max_bytes);
        Ok(Self { folder: folder.to_owned(), letters, place, last: BTreeMap::new(), _lock: lock })
    }

    /// From where on a partition has to be read.
    pub fn next(&self, partition: i32) -> i64 {
        self.place.partitions.get(&partition).copied().unwrap_or_default()
    }

    /// Takes a letter. Answers `false` where it is none.
    ///
    /// # Errors
    /// As of [`DeadLetters::record_from_plugin`].
    pub fn append(&mut self, kind: Kind, stage: &str, text: &[u8], partition: i32, offset: i64) -> Result<bool> {
        let Ok(mut letter) = serde_json::from_slice::<Map<String, Value>>(text) else { return Ok(false) };
        let name = file_name(kind.name(), stage);
        let last = match self.last.entry(name) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let path = self.folder.join(new.key());
                new.insert(last_offsets(&path, &self.place.topic)?)
            }
        };
        if last.get(&partition).is_some_and(|last| *last >= offset) {
            return Ok(true);
        }
        letter.insert("queue".to_owned(), json!({ "topic": self.place.topic, "partition": partition, "offset": offset }));
        self.letters.append(kind, stage, Value::from(letter).to_string().into_bytes())?;
        last.insert(partition, offset);
        Ok(true)
    }

    /// Makes the letters durable, and stores up to where each partition is copied.
    ///
    /// # Errors
    /// `Sink`: it cannot be stored. What was copied is passed over by the next copy.
    pub fn finish(&mut self, next: impl IntoIterator<Item = (i32, i64)>) -> Result<()> {
        self.letters.sync()?;
        self.place.partitions.extend(next);
        let store = || {
            let (path, new) = (self.folder.join(PLACE), self.folder.join(format!("{PLACE}.new")));
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(&self.place)?)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            folder::sync(&self.folder)
        };
        store().map_err(|e| fault(&self.folder, "cannot be written", e))
    }
}

/// The last offset of each partition of a topic in a file.
fn last_offsets(path: &Path, topic: &str) -> Result<BTreeMap<i32, i64>> {
    let mut last = BTreeMap::new();
    if !path.exists() {
        return Ok(last);
    }
    let mut lines = Lines::open(path, 0)?;
    while let Some(line) = lines.next_line()? {
        if let Ok(Copied { queue: Some(at) }) = serde_json::from_slice(&line.text)
            && at.topic == topic
        {
            last.insert(at.partition, at.offset);
        }
    }
    Ok(last)
}

fn fault(folder: &Path, what: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Sink, format!("the copy of the dead-letter topic in {} {what}", folder.display()))
        .caused_by(error)
        .remedy("let the account that runs the command write there; or remove the folder: the topic is copied anew, and letters that were replayed count as new where the topic has lost some")
}
