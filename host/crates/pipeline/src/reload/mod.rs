//! Hot swap: finds out that plugin files or the pipeline file changed, or takes requests from HTTP, prepares whole new chains
//! off the hot path, and hands them to the worker.
//!
//! The whole chain is replaced, not one plugin, because the plans of the plugins behind it depend on the columns it delivers.
//! A changed file is read when it has been quiet for a moment; what a path leads to is watched, over links, too. Anything that fails leaves the old chain running and is
//! reported once for each content of the file.

mod announce;
mod edit;
mod outputs;
mod tables;
mod take_over;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use tokio::{sync::mpsc as queue, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Kept, check, in_force::InForce, memory::Memory, next_run::NextRun, sample::Samples, swap::Swap, versions::Versions};
use crate::request::{Request, Requests};
use outputs::Outputs;
use sluicegate_config::{self as config, Pipeline, PluginOrigin};
use sluicegate_model::{
    Error, ErrorKind, Result,
    limits::{SWAP_REQUESTS, WATCH_INTERVAL, WATCHED_LINKS, WRITER_PATIENCE},
};
use sluicegate_plugin_host::{self as plugin, Engine, Member, Surroundings, sha256};
use sluicegate_storage::watch::{Changes, Look, Watch, WatchFault};
use tables::Tables;
pub(super) use tables::{Capture, live as live_source};

/// Watches and serves requests until it is dropped. What is being prepared at that moment is left to itself: nobody takes it over.
pub(super) struct Reloader {
    events: mpsc::SyncSender<Event>,
    flags: Arc<Flags>,
    forwarding: Option<JoinHandle<()>>,
}

/// What makes chains and where they go.
pub(super) struct Setup {
    pub engine: Engine,
    pub members: Vec<Member>,
    /// Where it is said which plugins are in force.
    pub in_force: Arc<InForce>,
    pub around: Surroundings,
    pub memory: Memory,
    pub swaps: queue::Sender<Swap>,
    pub samples: Samples,
    pub versions: Versions,
    /// The pipeline as it was started, with the tables that are captured now.
    pub started: Pipeline,
    pub capture: Capture,
    /// Takes other outputs.
    pub next: Option<Arc<NextRun>>,
    /// Remembers what is refused.
    pub kept: Arc<Kept>,
}

enum Event {
    /// Something in a watched folder may have changed.
    Files,
    Request(Request),
}

#[derive(Default)]
struct Flags {
    /// Whether files may have changed since the last look.
    changes: Changes,
    closing: AtomicBool,
}

impl Reloader {
    /// Starts to watch, and to serve `requests`. Has to be called in a tokio runtime.
    pub fn start(setup: Setup, requests: Option<Requests>) -> Result<Self> {
        let flags = Arc::new(Flags::default());
        let (events, happened) = mpsc::sync_channel(SWAP_REQUESTS);
        let watch = Watch::new(flags.changes.clone(), {
            let events = events.clone();
            // a full channel is read soon, and the flag then
            move || drop(events.try_send(Event::Files))
        });
        let refused = setup.kept.refused();
        let has_files = setup.members.iter().any(|m| matches!(m.settings.origin, PluginOrigin::File(_)));
        let mut reload = Reload {
            file: setup.started.file.clone(),
            setup,
            watch: None,
            edit: None,
            tables: None,
            outputs: None,
            over: false,
            unreached: false,
            pending: BTreeMap::new(),
            reported: refused.clone(),
            refused,
            left: Vec::new(),
            awaited: BTreeSet::new(),
            looking: None,
        };
        let watching = watch.map_err(fault).and_then(|watch| {
            reload.watch = Some(watch);
            reload.follow()
        });
        match watching {
            Err(error) if has_files => return Err(error),
            // the pipeline runs without it: only edits do not take effect
            Err(error) => {
                reload.watch = None;
                tracing::warn!(error = %error.chain(), remedy = error.remedy_text().unwrap_or(""), "edits of the pipeline file take effect at the next start");
            }
            Ok(()) => {}
        }
        thread::Builder::new()
            .name("reload".into())
            .spawn({
                let flags = flags.clone();
                move || reload.run(&happened, &flags)
            })
            .map_err(|e| Error::new(ErrorKind::Internal, "the thread that prepares swaps cannot be started").caused_by(e))?;
        let forwarding = requests.map(|mut requests| {
            let events = events.clone();
            tokio::spawn(async move {
                while let Some(request) = requests.recv().await {
                    // a request that is dropped is answered with "busy"
                    let _ = events.try_send(Event::Request(request));
                }
            })
        });
        Ok(Self { events, flags, forwarding })
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        if let Some(task) = &self.forwarding {
            task.abort();
        }
        self.flags.closing.store(true, Ordering::Release);
        // only to wake it; a full channel does that as well
        let _ = self.events.try_send(Event::Files);
    }
}

/// The thread that prepares chains.
struct Reload {
    setup: Setup,
    /// The pipeline file.
    file: Option<PathBuf>,
    watch: Option<Watch>,
    /// The plugins as the pipeline file wants them, while other ones run.
    edit: Option<Edit>,
    /// The tables as the pipeline file wants them, while other ones are captured.
    tables: Option<Tables>,
    /// The pipeline as its file wants it, while other outputs run.
    outputs: Option<Outputs>,
    /// The run ends for another one: nothing is begun any more.
    over: bool,
    /// Whether the tables could not be tried yet, because the source was not reached.
    unreached: bool,
    /// Files with other content than what runs, with the content's hash.
    pending: BTreeMap<PathBuf, String>,
    /// By file: the content that was refused last, so that it is reported once.
    reported: HashMap<PathBuf, String>,
    /// By file: the content that the run before refused. A start has no recent batch to try it on, so it waits for another one.
    refused: HashMap<PathBuf, String>,
    /// What only a start takes up, as it was told last.
    left: Vec<&'static str>,
    /// Files that somebody is writing.
    awaited: BTreeSet<PathBuf>,
    /// Ends the look at what an edit has an effect on.
    looking: Option<DropGuard>,
}

struct Edit {
    plugins: Vec<config::Plugin>,
    /// Hash of the pipeline file.
    content: String,
}

/// What a swap may be about.
#[derive(Clone)]
enum Part {
    Edit,
    File(PathBuf),
}

impl Reload {
    fn run(mut self, events: &mpsc::Receiver<Event>, flags: &Flags) {
        // a file that was changed before the watch began has to be found, too
        self.look();
        let mut waiting = Vec::new();
        loop {
            match events.recv_timeout(WATCH_INTERVAL) {
                Ok(Event::Files) => {}
                Ok(Event::Request(request)) => waiting.push(request),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.glance();
                    if self.unreached || self.outputs.as_ref().is_some_and(Outputs::is_due) {
                        self.catch_up();
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            if flags.changes.any() {
                self.wait_until_quiet(events, flags, &mut waiting);
                self.look();
            }
            for request in waiting.drain(..) {
                if self.over {
                    // one that is dropped is answered: the pipeline ends
                    continue;
                }
                match request {
                    Request::Swap(request) => self.grant(request),
                    Request::Copy(request) => self.grant_copy(request),
                    Request::Reset(request) => self.grant_reset(request),
                }
            }
            if self.over || flags.closing.load(Ordering::Acquire) {
                return;
            }
        }
    }

    /// Waits until nothing changes for a moment, but not longer than a bound where a folder is never quiet. Requests that come meanwhile are
    /// kept: at most as many as HTTP has connections.
    fn wait_until_quiet(&self, events: &mpsc::Receiver<Event>, flags: &Flags, waiting: &mut Vec<Request>) {
        flags.changes.until_quiet(self.setup.around.limits.plugin_debounce, |quiet_at| {
            loop {
                // one event at most tells of files in this time: many writes in the folder do not wake this thread more often
                match events.recv_timeout(quiet_at.saturating_duration_since(Instant::now())) {
                    Ok(Event::Files) => {}
                    Ok(Event::Request(request)) => waiting.push(request),
                    Err(_) => return !flags.closing.load(Ordering::Acquire),
                }
            }
        });
    }

    /// The watched plugin files: those that run, and those that an edit wants.
    fn plugin_files(&self) -> BTreeSet<PathBuf> {
        let running = self.setup.members.iter().map(|m| &m.settings.origin);
        let wanted = self.edit.iter().flat_map(|e| &e.plugins).map(|p| &p.origin);
        running.chain(wanted).filter_map(plugin_file).collect()
    }

    fn follow(&mut self) -> Result<()> {
        let files = self.files();
        let Some(watch) = &mut self.watch else { return Ok(()) };
        watch.follow_files(files.iter().map(PathBuf::as_path), WATCHED_LINKS).map_err(fault)
    }

    /// Everything that is watched.
    fn files(&self) -> BTreeSet<PathBuf> {
        let mut files = self.plugin_files();
        files.extend(self.file.clone());
        files
    }

    /// Notices what no event tells of.
    fn glance(&self) {
        if let Some(watch) = &self.watch {
            watch.glance(self.files().iter().map(PathBuf::as_path));
        }
    }

    /// Whether somebody has the file open and writes it: half a file may be a good one. It is looked at when it is closed.
    fn is_written(&mut self, file: &Path) -> bool {
        let is_written = self.watch.as_ref().is_some_and(|watch| watch.is_written(file, WRITER_PATIENCE));
        if !is_written {
            self.awaited.remove(file);
        } else if self.awaited.insert(file.to_owned()) {
            tracing::info!(file = %file.display(), "the file is being written: it is read when it is closed");
        }
        is_written
    }

    /// Looks at every file, and swaps what is new.
    fn look(&mut self) {
        let edited = self.look_at_the_pipeline();
        if let Err(error) = self.follow() {
            tracing::error!(error = %error.chain(), remedy = error.remedy_text().unwrap_or(""), "changes may not be noticed");
        }
        if self.look_at_the_plugins() || edited {
            self.catch_up();
        }
    }

    /// Whether the pipeline file now wants other plugins than those that run.
    fn look_at_the_pipeline(&mut self) -> bool {
        let Some(file) = self.file.clone() else { return false };
        if self.is_written(&file) {
            return false;
        }
        let Some(watch) = &mut self.watch else { return false };
        match watch.look(&file) {
            Look::Same => return false,
            Look::Gone => {
                tracing::warn!(file = %file.display(), "the pipeline file is gone: the pipeline runs on");
                return false;
            }
            Look::Changed => {}
        }
        let content = fingerprint(&file);
        // asked at the first look, whatever is found: a file that is saved again is tried again
        let has_refused = self.setup.next.as_ref().is_some_and(|next| next.has_refused(&content));
        // by the path that it was started with, from which relative paths are taken
        let edited = match config::load(self.setup.started.file.as_deref().unwrap_or(&file)) {
            Ok(mut edited) => {
                // an argument of the command goes before the file
                if let (config::Source::SqlServer(edited), config::Source::SqlServer(running)) =
                    (&mut edited.source, &self.setup.started.source)
                {
                    edited.until_drained = running.until_drained;
                }
                edited
            }
            Err(error) => {
                watch.forget(&file);
                (self.edit, self.tables, self.outputs, self.unreached) = (None, None, None, false);
                self.report(&Part::Edit, content, &error);
                return false;
            }
        };
        if !watch.is_as_seen(&file) || watch.is_written(&file, WRITER_PATIENCE) {
            // somebody began to write while it was read: what comes of that is another event
            watch.forget(&file);
            return false;
        }
        let takes = self.setup.capture.control.is_some();
        let source = if takes { tables::live(&self.setup.started.source, &edited.source) } else { self.setup.started.source.clone() };
        let left = edit::at_the_next_start(&Pipeline { source: source.clone(), ..self.setup.started.clone() }, &edited);
        let starts_over = outputs::starts_over(&left) && self.next_run().is_some();
        if left != self.left {
            if !left.is_empty() && !starts_over {
                tracing::warn!(file = %file.display(), keys = left.join(", "), "the pipeline file was edited: this takes effect at the next start");
            }
            self.left = left;
        }
        (self.outputs, self.unreached) = (None, false);
        if starts_over {
            // plugins and tables of the same edit come with them, or not at all
            (self.edit, self.tables) = (None, None);
            if has_refused {
                return false;
            }
            let started = &self.setup.started;
            let pipeline = Pipeline { file: started.file.clone(), source, ..edited };
            self.outputs = Some(Outputs { pipeline, content, again: None });
            return true;
        }
        let same = edit::is_same(self.setup.members.iter().map(|m| &*m.settings), &edited.plugins);
        let same_tables = source == self.setup.started.source;
        if same && same_tables {
            self.accept(&file);
        }
        self.tables = (!same_tables).then(|| Tables { source, content: content.clone() });
        let is_new = self.is_new(&file, &content);
        self.edit = (!same).then_some(Edit { plugins: edited.plugins, content });
        is_new && (self.edit.is_some() || self.tables.is_some())
    }

    /// Whether the run before has not refused a file with this content. Asked once: a file that is saved again is tried again.
    fn is_new(&mut self, file: &Path, content: &str) -> bool {
        self.refused.remove(file).is_none_or(|refused| refused != content)
    }

    /// What runs of a file is what it holds.
    fn accept(&mut self, file: &Path) {
        self.reported.remove(file);
        self.setup.kept.accept(file);
    }

    /// Whether a file has new content.
    fn look_at_the_plugins(&mut self) -> bool {
        let mut news = false;
        for file in self.plugin_files() {
            if self.is_written(&file) {
                continue;
            }
            let Some(watch) = &mut self.watch else { return false };
            match watch.look(&file) {
                Look::Same => continue,
                Look::Gone => {
                    self.pending.remove(&file);
                    tracing::warn!(file = %file.display(), "the plugin file is gone: its last version keeps running");
                    continue;
                }
                Look::Changed => {}
            }
            let hash = match plugin::read(&file, &self.setup.around.limits) {
                Ok(bytes) => sha256(&bytes),
                Err(error) => {
                    watch.forget(&file);
                    self.pending.remove(&file);
                    self.report(&Part::File(file), String::new(), &error);
                    continue;
                }
            };
            let running: Vec<&Member> =
                self.setup.members.iter().filter(|m| plugin_file(&m.settings.origin).as_ref() == Some(&file)).collect();
            if running.is_empty() {
                news |= self.edit.is_some();
            } else if running.iter().all(|m| *m.compiled.hash == *hash) {
                self.pending.remove(&file);
                self.accept(&file);
            } else {
                news |= self.is_new(&file, &hash);
                self.pending.insert(file, hash);
            }
        }
        news
    }

    /// Swaps everything that is new, together where that can be, else part by part: one bad file does not hold up the others.
    fn catch_up(&mut self) {
        if let Some(outputs) = self.outputs.clone() {
            // new versions of what runs first, with a rehearsal: a start has none
            let contents = self.contents();
            self.swap_parts(contents, true);
            return self.take_outputs(outputs);
        }
        let contents = self.contents();
        self.catch_up_with(contents);
    }

    /// New versions of the plugins that run.
    fn contents(&mut self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut contents = BTreeMap::new();
        for file in self.pending.keys().cloned().collect::<Vec<_>>() {
            match plugin::read(&file, &self.setup.around.limits) {
                Ok(bytes) => drop(contents.insert(file, bytes)),
                Err(error) => {
                    self.pending.remove(&file);
                    self.report(&Part::File(file), String::new(), &error);
                }
            }
        }
        contents
    }

    fn catch_up_with(&mut self, contents: BTreeMap<PathBuf, Vec<u8>>) {
        // tables come behind the plugins that are to treat them, and both or none
        let wanted = self.edit.as_ref().map(|e| e.plugins.clone());
        let refused =
            self.tables.as_ref().map(|tables| (tables.content.clone(), self.rehearse_tables(&tables.source, wanted.as_deref(), &contents)));
        let was_unreached = std::mem::take(&mut self.unreached);
        let refused = match refused {
            Some((_, Err(error))) if error.kind() == ErrorKind::Connection => {
                if !was_unreached {
                    tracing::warn!(error = %error.chain(), "the edited tables cannot be tried, because the source is not reached: they are tried again");
                }
                self.unreached = true;
                true
            }
            Some((content, Err(error))) => {
                self.report(&Part::Edit, content, &error);
                true
            }
            _ => false,
        };
        self.swap_parts(contents, refused);
        if !refused && self.edit.is_none() {
            self.take_tables();
        }
    }

    /// Swaps what is new of the plugins; not what an edit that is refused wants.
    fn swap_parts(&mut self, mut contents: BTreeMap<PathBuf, Vec<u8>>, refused: bool) {
        let mut parts: Vec<Part> = contents.keys().cloned().map(Part::File).collect();
        // together with new files first: a new configuration often needs the new version
        if self.edit.is_some() && !refused {
            parts.insert(0, Part::Edit);
        }
        if parts.is_empty() {
            return;
        }
        let wanted = self.edit.as_ref().filter(|_| !refused).map(|e| e.plugins.clone());
        let Err(error) = self.swap(wanted.as_deref(), &contents) else { return };
        if let [part] = parts.as_slice() {
            let content = self.content_of(part);
            return self.report(part, content, &error);
        }
        for part in parts {
            let result = match &part {
                Part::Edit => self.swap(wanted.as_deref(), &BTreeMap::new()),
                Part::File(file) => match contents.remove_entry(file) {
                    Some(content) => self.swap(None, &BTreeMap::from([content])),
                    None => Ok(()),
                },
            };
            if let Err(error) = result {
                let content = self.content_of(&part);
                self.report(&part, content, &error);
            }
        }
    }

    /// One swap, to its end: also tells what is delivered otherwise.
    fn swap(&mut self, plugins: Option<&[config::Plugin]>, contents: &BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
        if let Some(done) = self.take_over(plugins, contents)? {
            if plugins.is_some() {
                self.edit = None;
            }
            for file in contents.keys() {
                self.pending.remove(file);
                self.accept(file);
            }
            self.finish(done);
            if plugins.is_some() {
                self.note_running();
                self.look_at_effect();
            }
        }
        Ok(())
    }

    /// Has it told, beside the stream, what of the edited configuration has no effect.
    fn look_at_effect(&mut self) {
        let stop = CancellationToken::new();
        let pipeline = self.as_it_runs();
        let looking = check::at_start::look(pipeline, self.setup.members.clone(), self.setup.around.status.clone(), stop.clone());
        self.setup.capture.runtime.spawn(looking);
        // of an edit before this one nobody wants to know any more
        self.looking = Some(stop.drop_guard());
    }

    fn content_of(&self, part: &Part) -> String {
        match part {
            Part::Edit => self.edit.as_ref().map(|e| e.content.clone()).or_else(|| self.tables.as_ref().map(|t| t.content.clone())),
            Part::File(file) => self.pending.get(file).cloned(),
        }
        .unwrap_or_default()
    }

    /// Tells that something is refused, once for each content.
    fn report(&mut self, part: &Part, content: String, error: &Error) {
        let file = match part {
            Part::Edit => self.file.clone().unwrap_or_default(),
            Part::File(file) => file.clone(),
        };
        if self.reported.get(&file) == Some(&content) {
            return;
        }
        let (reason, remedy) = (error.chain(), error.remedy_text().unwrap_or(""));
        match part {
            Part::Edit => tracing::error!(
                file = %file.display(), error = %reason, remedy,
                "the edited pipeline file is refused: the old configuration keeps running"
            ),
            Part::File(_) => {
                let concerned = self.setup.members.iter().filter(|m| plugin_file(&m.settings.origin).as_ref() == Some(&file));
                for name in concerned.map(|m| &m.settings.name) {
                    if let Some(numbers) = self.setup.around.status.plugins.named(name) {
                        numbers.refused_files.add(1);
                    }
                }
                tracing::error!(
                    file = %file.display(), sha256 = %content, error = %reason, remedy,
                    "the new plugin file is refused: the old version keeps running"
                );
            }
        }
        self.setup.kept.refuse(&file, &content);
        self.reported.insert(file, content);
    }
}

/// The file of a plugin that has one.
fn plugin_file(origin: &PluginOrigin) -> Option<PathBuf> {
    match origin {
        PluginOrigin::File(path) => Some(path.clone()),
        PluginOrigin::Embedded(_) => None,
    }
}

/// A hash of a pipeline file's content; of nothing when it cannot be read.
fn fingerprint(file: &Path) -> String {
    sluicegate_storage::file::read(file, config::MOST_BYTES).map_or_else(|_| String::new(), |bytes| sha256(&bytes))
}

fn fault(WatchFault { folder, cause }: WatchFault) -> Error {
    Error::new(ErrorKind::Precheck, format!("the folder of a plugin or of the pipeline file cannot be watched: {}", folder.display()))
        .remedy("check that it exists and is readable, and that the system's limit of inotify watches is not reached")
        .caused_by(cause)
}
