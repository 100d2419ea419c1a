//! Which files are watched, and which of them changed.
//!
//! The folder is watched, not the file, because editors and deploy tools rename over files.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use notify::{RecursiveMode, Watcher as _};

use sluicegate_model::{Error, ErrorKind, Result};

/// Watches files until it is dropped.
pub(super) struct Watch {
    watcher: notify::RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    /// By file: what it looked like the last time, so that an event elsewhere in the folder costs no reading.
    seen: HashMap<PathBuf, Stamp>,
}

/// Length, time and inode.
type Stamp = (u64, Option<std::time::SystemTime>, u64);

/// What a look at a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// As it was.
    Same,
    /// Other content, perhaps.
    Changed,
    /// It was there the last time.
    Gone,
}

impl Watch {
    /// Calls `changed` when something may have changed.
    pub fn new(changed: impl Fn() + Send + 'static) -> Result<Self> {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // reading a file is an event too: only what may have changed it counts
            if event.is_err() || event.is_ok_and(|e| !e.kind.is_access()) {
                changed();
            }
        })
        .map_err(|e| fault(Path::new("."), e))?;
        Ok(Self { watcher, folders: BTreeSet::new(), seen: HashMap::new() })
    }

    /// Watches the folders of these (resolved) files and no others.
    pub fn follow(&mut self, files: &BTreeSet<PathBuf>) -> Result<()> {
        let folders: BTreeSet<PathBuf> = files.iter().filter_map(|f| f.parent()).map(Path::to_owned).collect();
        for folder in folders.difference(&self.folders) {
            self.watcher.watch(folder, RecursiveMode::NonRecursive).map_err(|e| fault(folder, e))?;
        }
        for folder in self.folders.difference(&folders) {
            // a folder that is gone is not watched any more already
            let _ = self.watcher.unwatch(folder);
        }
        self.folders = folders;
        self.seen.retain(|file, _| files.contains(file));
        Ok(())
    }

    /// Looks at a file.
    pub fn look(&mut self, path: &Path) -> Look {
        match stamp(path) {
            None if self.seen.remove(path).is_some() => Look::Gone,
            None => Look::Same,
            Some(now) if self.seen.get(path) == Some(&now) => Look::Same,
            Some(now) => {
                self.seen.insert(path.to_owned(), now);
                Look::Changed
            }
        }
    }

    /// The file could not be read: the next look shows it as changed, because a changed permission does not show in a stamp.
    pub fn forget(&mut self, path: &Path) {
        self.seen.remove(path);
    }
}

/// The file's path through its real folder, as events name it.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|e| fault(folder, e))?;
    Ok(folder.join(path.file_name().unwrap_or_default()))
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let data = std::fs::metadata(path).ok()?;
    Some((data.len(), data.modified().ok(), data.ino()))
}

fn fault(folder: &Path, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Precheck, format!("the folder of a plugin or of the pipeline file cannot be watched: {}", folder.display()))
        .remedy("check that it exists and is readable, and that the system's limit of inotify watches is not reached")
        .caused_by(cause)
}
