//! Files and folders that others change while the program runs: what to watch of them, when they have changed, and when the
//! change is over.
//!
//! A path may lead over links: `app/current/mask.wasm` with `current -> releases/7`. A change is then any of: another target behind
//! a link, another file in a target's folder, other content of the file itself. So the folder of every link on the way is watched,
//! and the folder of the file ([`way`]); after each event the way is looked up anew. File systems over a network have no events,
//! and the kernel drops some when there are too many: whoever watches looks at [`stamp`]s at intervals, too.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use notify::{
    Event, EventKind, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};

/// Files that are being written, at most: of further ones it is not known.
const MOST_WRITTEN: usize = 1024;

/// A change is waited out at most so many times as long as it has to be quiet: a folder that is never quiet delays nothing longer.
const MOST_QUIET_TIMES: u32 = 20;

/// A folder that cannot be watched.
#[derive(Debug)]
pub struct WatchFault {
    /// Which.
    pub folder: PathBuf,
    /// Why.
    pub cause: notify::Error,
}

/// What a file looks like from outside: device, inode, length, and the times of its content and of its attributes, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    changed: [i64; 4],
}

/// What the file that a path leads to looks like now; `None` when there is none.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let data = fs::metadata(path).ok()?;
    let changed = [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()];
    Some(Stamp { device: data.dev(), inode: data.ino(), length: data.len(), changed })
}

/// The names that decide what a path leads to, by the real folder that each stands in: every link on the way, and the last name,
/// whether there is such a file or not. Beyond `most` links the rest is left out, as the kernel refuses to follow them.
pub fn way(path: &Path, most: usize) -> BTreeMap<PathBuf, BTreeSet<OsString>> {
    let mut way: BTreeMap<PathBuf, BTreeSet<OsString>> = BTreeMap::new();
    let Ok(mut folder) = PathBuf::from(".").canonicalize() else { return way };
    let mut rest: Vec<OsString> = Vec::new();
    push(path, &mut folder, &mut rest);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            folder.pop();
            continue;
        }
        let here = folder.join(&name);
        match fs::read_link(&here) {
            Ok(target) => {
                way.entry(folder.clone()).or_default().insert(name);
                links += 1;
                if links > most {
                    break;
                }
                push(&target, &mut folder, &mut rest);
            }
            // no link, or nothing: it may come
            Err(_) if rest.is_empty() || !here.is_dir() => {
                way.entry(folder).or_default().insert(name);
                break;
            }
            Err(_) => folder = here,
        }
    }
    way
}

/// Puts the names of `path` before the `rest`, which is kept from the last to the first.
fn push(path: &Path, folder: &mut PathBuf, rest: &mut Vec<OsString>) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => rest.push(name.to_owned()),
            Component::ParentDir => rest.push("..".into()),
            Component::RootDir => *folder = PathBuf::from("/"),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

/// What a look at a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// As it was.
    Same,
    /// Other content, perhaps.
    Changed,
    /// It was there the last time.
    Gone,
}

/// Watches folders until it is dropped.
#[derive(Debug)]
pub struct Watch {
    watcher: notify::RecommendedWatcher,
    /// Which names count in each folder that is watched; `None` = all.
    folders: Arc<Mutex<Folders>>,
    changes: Changes,
    /// By file: what it looked like the last time, so that an event elsewhere in the folder costs no reading.
    seen: HashMap<PathBuf, Stamp>,
    written: Arc<Mutex<Written>>,
}

/// Files in the watched folders that somebody has written to and not closed since, with the time of the last write.
#[derive(Debug, Default)]
struct Written(HashMap<PathBuf, Instant>);

impl Written {
    /// Takes note of what happened. Answers whether a file was closed that had been written to.
    fn follow(&mut self, event: &Event) -> bool {
        if event.need_rescan() {
            self.0.clear();
        }
        match (event.kind, event.paths.as_slice()) {
            // also when the file is opened to be written anew
            (EventKind::Modify(ModifyKind::Data(_)), [path]) if self.0.contains_key(path) || self.0.len() < MOST_WRITTEN => {
                self.0.insert(path.clone(), Instant::now());
            }
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), [path]) => return self.0.remove(path).is_some(),
            // who writes goes on in the file under its new name
            (EventKind::Modify(ModifyKind::Name(RenameMode::Both)), [from, to]) => match self.0.remove(from) {
                Some(last) => {
                    self.0.insert(to.clone(), last);
                }
                None => {
                    self.0.remove(to);
                }
            },
            // another file stands under this name, or none
            (EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)), paths) => {
                self.0.retain(|path, _| !paths.contains(path));
            }
            _ => {}
        }
        false
    }
}

type Folders = BTreeMap<PathBuf, Option<BTreeSet<OsString>>>;

/// Whether something may have changed.
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<AtomicBool>);

impl Changes {
    /// Whether something may have changed since [`Self::take`].
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Notes that something may have changed; answers whether that is news.
    pub fn note(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// Whether something may have changed; from now on only what comes counts.
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }

    /// Waits until nothing has changed for as long as `quiet`, within a bound. `wait` waits until a time, and ends the waiting
    /// with `false`.
    pub fn until_quiet(&self, quiet: Duration, mut wait: impl FnMut(Instant) -> bool) {
        let begin = Instant::now();
        self.take();
        while wait(Instant::now() + quiet) && self.take() && begin.elapsed() < quiet * MOST_QUIET_TIMES {}
        self.take();
    }
}

impl Watch {
    /// Notes in `changes` when something may have changed, and calls `wake` when that is news.
    ///
    /// # Errors
    /// The system gives no further watches.
    pub fn new(changes: Changes, wake: impl Fn() + Send + 'static) -> Result<Self, WatchFault> {
        let folders = Arc::new(Mutex::new(Folders::new()));
        let written = Arc::new(Mutex::new(Written::default()));
        let watcher = notify::recommended_watcher({
            let (folders, changes, written) = (folders.clone(), changes.clone(), written.clone());
            move |event: notify::Result<Event>| {
                let closed = event.as_ref().is_ok_and(|event| written.lock().unwrap_or_else(PoisonError::into_inner).follow(event));
                let counts = match event {
                    // reading a file is an event too: only what may have changed it counts
                    Ok(event) if event.kind.is_access() && !closed => false,
                    Ok(event) if event.need_rescan() || event.paths.is_empty() => true,
                    Ok(event) => {
                        let folders = folders.lock().unwrap_or_else(PoisonError::into_inner);
                        event.paths.iter().any(|path| concerns(&folders, path))
                    }
                    Err(_) => true,
                };
                if counts && changes.note() {
                    wake();
                }
            }
        })
        .map_err(|cause| WatchFault { folder: PathBuf::from("."), cause })?;
        Ok(Self { watcher, folders, changes, seen: HashMap::new(), written })
    }

    /// Watches the ways of these files and nothing else: see [`way`]. A folder that cannot be watched does not hinder the others.
    ///
    /// # Errors
    /// The first such folder.
    pub fn follow_files<'a>(&mut self, files: impl IntoIterator<Item = &'a Path>, most_links: usize) -> Result<(), WatchFault> {
        let mut folders = Folders::new();
        let mut known = BTreeSet::new();
        for file in files {
            for (folder, names) in way(file, most_links) {
                folders.entry(folder).or_insert_with(|| Some(BTreeSet::new())).get_or_insert_default().extend(names);
            }
            known.insert(file.to_owned());
        }
        self.seen.retain(|file, _| known.contains(file));
        self.follow(folders)
    }

    /// Watches everything in these folders, but not in those inside of them, and nothing else.
    ///
    /// # Errors
    /// As of [`Self::follow_files`].
    pub fn follow_folders(&mut self, folders: &BTreeSet<PathBuf>) -> Result<(), WatchFault> {
        // events name what happened by its absolute path
        self.follow(folders.iter().map(|folder| (std::path::absolute(folder).unwrap_or_else(|_| folder.clone()), None)).collect())
    }

    fn follow(&mut self, mut wanted: Folders) -> Result<(), WatchFault> {
        let before: BTreeSet<PathBuf> = {
            let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            let before = folders.keys().cloned().collect();
            // before the folders are watched: the first event counts
            folders.extend(wanted.iter().map(|(folder, names)| (folder.clone(), names.clone())));
            before
        };
        let mut outcome = Ok(());
        for folder in wanted.keys().filter(|folder| !before.contains(*folder)).cloned().collect::<Vec<_>>() {
            if let Err(cause) = self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                // tried again the next time
                wanted.remove(&folder);
                outcome = outcome.and(Err(WatchFault { folder, cause }));
            }
        }
        for folder in before.iter().filter(|folder| !wanted.contains_key(*folder)) {
            // a folder that is gone is not watched any more already
            let _ = self.watcher.unwatch(folder);
        }
        *self.folders.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
        outcome
    }

    /// Whether somebody is writing the file, which leads over links perhaps: it was written to, and not closed since. A file that
    /// was not written to for as long as `patience` counts as closed: not every way of changing a file ends with one.
    pub fn is_written(&self, path: &Path, patience: Duration) -> bool {
        let Ok(path) = path.canonicalize() else { return false };
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.0.get(&path).is_some_and(|last| last.elapsed() < patience)
    }

    /// Whether a file still looks as at the last [`Self::look`].
    pub fn is_as_seen(&self, path: &Path) -> bool {
        stamp(path).as_ref() == self.seen.get(path)
    }

    /// Looks at a file that is followed.
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

    /// Whether one of the files looks otherwise than at the last [`Self::look`], though no event may have told. Then that is noted.
    pub fn glance<'a>(&self, files: impl IntoIterator<Item = &'a Path>) {
        if files.into_iter().any(|file| !self.is_as_seen(file)) {
            self.changes.note();
        }
    }

    /// The file could not be read: the next look shows it as changed.
    pub fn forget(&mut self, path: &Path) {
        self.seen.remove(path);
    }
}

/// Whether something that happened to `path` may change what is followed.
fn concerns(folders: &Folders, path: &Path) -> bool {
    // the folder itself, which was moved away or removed
    folders.contains_key(path)
        || path.parent().and_then(|folder| folders.get(folder)).is_some_and(|names| match (names, path.file_name()) {
            (Some(names), Some(name)) => names.contains(name),
            _ => true,
        })
}

#[cfg(test)]
mod tests;
