//! Hot swap: watches the plugin files, prepares a whole new chain off the hot path, and hands it to the worker.
//!
//! The folder is watched, not the file, because editors and deploy tools rename over files. A changed file is read when it
//! has been quiet for a moment; then it is compiled, instantiated, configured and asked for the plan of every known table.
//! Only a chain that got through all of that is handed over. Anything else leaves the old chain running and is reported
//! once for each content of the file.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc as queue;

use super::{Chain, Engine, Member, Surroundings, inspect, sha256};
use crate::{Error, ErrorKind, Result, config::PluginOrigin};

/// A chain that is ready to take over.
pub struct Swap {
    /// The new chain.
    pub chain: Chain,
    /// Which plugin changed, and its old and new content hash.
    pub changes: Vec<SwappedPlugin>,
    /// Where the worker says whether the chain took over.
    pub answer: mpsc::SyncSender<Result<()>>,
}

/// A plugin whose file changed.
#[derive(Clone, Debug)]
pub struct SwappedPlugin {
    /// Index in the chain.
    pub index: usize,
    /// Its name in the pipeline file.
    pub name: String,
    /// SHA-256 of the component before.
    pub from: Arc<str>,
    /// And now.
    pub to: Arc<str>,
}

/// Watches until it is dropped. What is being prepared at that moment is left to itself: nobody takes it over.
pub struct Reloader {
    // dropping the watcher closes the channel that the thread reads
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Reloader {
    /// Starts to watch the files of `members`. Ready chains go to `swaps`, which holds one.
    pub fn start(engine: Engine, members: Vec<Member>, around: Surroundings, swaps: queue::Sender<Swap>) -> Result<Self> {
        let mut files: HashMap<PathBuf, Vec<usize>> = HashMap::new();
        for (index, member) in members.iter().enumerate() {
            if let PluginOrigin::File(path) = &member.settings.origin {
                files.entry(resolve(path)?).or_default().push(index);
            }
        }
        if files.is_empty() {
            return Ok(Self { _watcher: None });
        }
        let (events, changed) = mpsc::sync_channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // reading a file is an event too: only what may have changed it counts. A full channel already says "look".
            if event.is_err() || event.is_ok_and(|e| !e.kind.is_access()) {
                let _ = events.try_send(());
            }
        })
        .map_err(|e| watch_error(Path::new("."), e))?;
        let mut folders: Vec<_> = files.keys().filter_map(|f| f.parent()).collect();
        folders.sort_unstable();
        folders.dedup();
        for folder in folders {
            watcher.watch(folder, RecursiveMode::NonRecursive).map_err(|e| watch_error(folder, e))?;
        }
        let mut watch =
            Watch { engine, members, around, swaps, files: files.into_iter().collect(), refused: HashMap::new(), seen: HashMap::new() };
        thread::Builder::new()
            .name("reload".into())
            .spawn(move || {
                // a file that was changed before the watch began has to be found, too
                watch.look();
                watch.run(&changed);
            })
            .map_err(|e| Error::new(ErrorKind::Internal, "the thread that watches plugin files cannot be started").caused_by(e))?;
        Ok(Self { _watcher: Some(watcher) })
    }
}

fn resolve(path: &Path) -> Result<PathBuf> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|e| watch_error(folder, e))?;
    Ok(folder.join(path.file_name().unwrap_or_default()))
}

fn watch_error(folder: &Path, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Precheck, format!("the folder of a plugin cannot be watched: {}", folder.display()))
        .remedy("check that it exists and is readable, and that the system's limit of inotify watches is not reached")
        .caused_by(cause)
}

struct Watch {
    engine: Engine,
    members: Vec<Member>,
    around: Surroundings,
    swaps: queue::Sender<Swap>,
    files: Vec<(PathBuf, Vec<usize>)>,
    /// By file: the content that was refused last, so that it is reported once.
    refused: HashMap<PathBuf, String>,
    /// By file: length, time and inode at the last look, so that an event elsewhere in the folder costs no reading.
    seen: HashMap<PathBuf, Stamp>,
}

type Stamp = (u64, Option<std::time::SystemTime>, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let data = std::fs::metadata(path).ok()?;
    Some((data.len(), data.modified().ok(), data.ino()))
}

impl Watch {
    fn run(&mut self, changed: &mpsc::Receiver<()>) {
        let debounce = self.around.limits.plugin_debounce;
        while changed.recv().is_ok() {
            // quiet for a moment, but not put off for ever by a folder that is never quiet
            let begin = Instant::now();
            loop {
                match changed.recv_timeout(debounce) {
                    Ok(()) if begin.elapsed() < debounce * 20 => {}
                    Ok(()) | Err(mpsc::RecvTimeoutError::Timeout) => break,
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                }
            }
            self.look();
        }
    }

    /// Looks at every file, and swaps those whose content is new.
    fn look(&mut self) {
        for (path, indices) in self.files.clone() {
            let now = stamp(&path);
            match now {
                None => {
                    if self.seen.remove(&path).is_some() {
                        tracing::warn!(file = %path.display(), "the plugin file is gone: its last version keeps running");
                    }
                    continue;
                }
                Some(now) if self.seen.get(&path) == Some(&now) => continue,
                Some(now) => self.seen.insert(path.clone(), now),
            };
            if let Err((hash, error)) = self.swap(&path, &indices) {
                // what could not even be read is tried again at the next event: a changed permission does not show in the stamp
                if hash.is_empty() {
                    self.seen.remove(&path);
                }
                if self.refused.get(&path) == Some(&hash) {
                    continue;
                }
                for index in &indices {
                    if let Some(numbers) = self.around.status.plugins.get(*index) {
                        numbers.refused_files.add(1);
                    }
                }
                tracing::error!(
                    file = %path.display(), sha256 = %hash, error = %error.chain(), remedy = error.remedy_text().unwrap_or(""),
                    "the new plugin file is refused: the old version keeps running"
                );
                self.refused.insert(path, hash);
            }
        }
    }

    /// Prepares a chain with the file's content and hands it over. An error comes with the content's hash.
    fn swap(&mut self, path: &Path, indices: &[usize]) -> Result<(), (String, Error)> {
        let limits = self.around.limits.clone();
        let bytes = inspect::read(path, &limits).map_err(|e| (String::new(), e))?;
        let hash = sha256(&bytes);
        if indices.iter().all(|i| *self.members[*i].compiled.hash == *hash) {
            self.refused.remove(path);
            return Ok(());
        }
        let prepare = || {
            let compiled = self.engine.compile(&bytes, &limits)?;
            let mut members = self.members.clone();
            let mut changes = Vec::new();
            for index in indices {
                let member = &mut members[*index];
                let from = std::mem::replace(&mut member.compiled, compiled.clone()).hash;
                changes.push(SwappedPlugin { index: *index, name: member.settings.name.clone(), from, to: compiled.hash.clone() });
            }
            let chain = Chain::new(&members, self.around.clone())?;
            let (answer, taken) = mpsc::sync_channel(1);
            Ok((members, Swap { chain, changes, answer }, taken))
        };
        let (members, swap, taken) = prepare().map_err(|e| (hash.clone(), e))?;
        // both channels are closed only when the pipeline is ending
        if self.swaps.blocking_send(swap).is_ok()
            && let Ok(taken) = taken.recv()
        {
            taken.map_err(|e| (hash, e))?;
            self.members = members;
            self.refused.remove(path);
        }
        Ok(())
    }
}
