//! One swap: from the requested plugins and contents to a chain that has taken over.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, atomic::Ordering, mpsc},
};

use super::{
    Reload, announce,
    edit::{self, Difference},
    plugin_file,
};
use crate::{
    prepare,
    request::{Action, Reason, Refusal, SwapRequest, Taken},
    sample::recent,
    swap::Swap,
    treatments,
    versions::Replacement,
};
use sluicegate_config::{self as config, PluginOrigin};
use sluicegate_model::{Error, ErrorKind, Result, budget::Budget, change::Batch};
use sluicegate_plugin_host::{Chain, Member, Surroundings};
use sluicegate_status::{ComponentId, PluginStatus};

/// A swap that took over.
pub(super) struct Done {
    pub taken: Taken,
    /// The old chains come here.
    retired: mpsc::Receiver<Chain>,
    delivered: Vec<announce::Delivered>,
}

/// Plugins that are ready to run in a chain.
pub(super) struct Candidates {
    pub members: Vec<Member>,
    /// By name: the bytes of those that come from a file and do not run yet.
    new: BTreeMap<String, Vec<u8>>,
}

impl Reload {
    /// Prepares chains of `plugins` (`None`: those that run), with `contents` in place of what runs, rehearses them, and lets
    /// them take over. `None` when the pipeline ends.
    pub(super) fn take_over(&mut self, plugins: Option<&[config::Plugin]>, contents: &BTreeMap<PathBuf, Vec<u8>>) -> Result<Option<Done>> {
        let candidates = self.candidates(plugins, contents)?;
        let memory = self.setup.memory;
        let (running, wanted) = (self.setup.members.len(), candidates.members.len());
        let (before, after) = (memory.of_batches(running)?, memory.of_batches(wanted)?);
        // old and new instances are there at once
        let during = memory.beside(running + wanted, running.max(wanted))?;
        let Some(budget) = self.setup.around.status.budget.get().cloned() else { return Ok(None) };
        budget.resize(during.min(before));
        let done = self.replace(candidates, &budget);
        budget.resize(if matches!(done, Ok(Some(_))) { after } else { before });
        done
    }

    fn replace(&mut self, candidates: Candidates, budget: &Arc<Budget>) -> Result<Option<Done>> {
        let around = &self.setup.around;
        // what is refused leaves no trace in what is known of the plugins that run
        let beside = Surroundings { known: Arc::new(around.known.copied()), ..around.clone() };
        let mut chains = prepare::chains(&candidates.members, &beside, self.setup.started.workers)?;
        let [first, ..] = chains.as_mut_slice() else { return Ok(None) };
        if let Some(batch) = recent(&self.setup.samples) {
            let mut copy = Batch::clone(&batch);
            copy.permit = budget.acquire_blocking(copy.bytes);
            first.rehearse(copy).map_err(|e| e.context("tried on a copy of a recent batch"))?;
        }
        let delivered = announce::delivered(first, &around.known)?;
        let numbers = first.numbers();
        let components: Vec<ComponentId> =
            first.descriptions().zip(&candidates.members).map(|(d, member)| self.component(d, member)).collect();
        // from here on files are written, which has an end when the pipeline has
        if around.status.stopping.load(Ordering::Relaxed) {
            return Ok(None);
        }
        for (name, bytes) in &candidates.new {
            self.setup.versions.prepare(name, bytes)?;
        }
        chains.iter_mut().try_for_each(|chain| chain.share(around.known.clone()))?;
        let (retired_to, retired) = mpsc::sync_channel(chains.len());
        let (answer, answered) = mpsc::sync_channel(1);
        // both channels are closed only when the pipeline is ending
        if self.setup.swaps.blocking_send(Swap { chains, retired: retired_to, answer }).is_err() {
            return Ok(None);
        }
        let Ok(taken) = answered.recv() else { return Ok(None) };
        let taken = taken?;
        self.note(candidates, numbers, components, &taken);
        Ok(Some(Done { taken, retired, delivered }))
    }

    pub(super) fn candidates(&self, plugins: Option<&[config::Plugin]>, contents: &BTreeMap<PathBuf, Vec<u8>>) -> Result<Candidates> {
        let limits = &self.setup.around.limits;
        let mut candidates = Candidates { members: Vec::new(), new: BTreeMap::new() };
        let running: Vec<Arc<config::Plugin>> = self.setup.members.iter().map(|m| m.settings.clone()).collect();
        let wanted = plugins.map_or(running, |plugins| plugins.iter().cloned().map(Arc::new).collect());
        for settings in wanted {
            let content = plugin_file(&settings.origin).and_then(|file| contents.get(&file));
            let running = self.setup.members.iter().find(|m| m.settings.name == settings.name && m.settings.origin == settings.origin);
            let (member, bytes) = match (content, running) {
                (Some(bytes), _) => {
                    let compiled =
                        self.setup.engine.compile(bytes, limits).map_err(|e| e.context(format_args!("plugin `{}`", settings.name)))?;
                    (Member { settings: settings.clone(), compiled }, Some(bytes.clone()))
                }
                // also when its file is gone
                (None, Some(running)) => (Member { settings: settings.clone(), compiled: running.compiled.clone() }, None),
                (None, None) => prepare::load(&self.setup.engine, &settings, limits)?,
            };
            if let Some(bytes) = bytes.filter(|_| running.is_none_or(|r| r.compiled.hash != member.compiled.hash)) {
                candidates.new.insert(settings.name.clone(), bytes);
            }
            candidates.members.push(member);
        }
        treatments::admit(self.setup.around.known.treatments(), candidates.members.iter().map(|member| &*member.settings))?;
        Ok(candidates)
    }

    fn running(&self, name: &str) -> Option<&Member> {
        self.setup.members.iter().find(|m| m.settings.name == name)
    }

    fn component(&self, description: &sluicegate_plugin_host::Description, member: &Member) -> ComponentId {
        let settings = &member.settings;
        let before = self.setup.around.status.plugins.named(&settings.name).map(|p| p.component()).unwrap_or_default();
        let previous = match (&settings.origin, self.running(&settings.name)) {
            (PluginOrigin::Embedded(_), _) | (_, None) => String::new(),
            (PluginOrigin::File(_), Some(running)) if running.settings.origin != settings.origin => String::new(),
            (PluginOrigin::File(_), Some(running)) if running.compiled.hash != member.compiled.hash => running.compiled.hash.to_string(),
            (PluginOrigin::File(_), Some(_)) => before.previous_sha256,
        };
        ComponentId {
            name: description.name.clone(),
            version: description.version.clone(),
            sha256: member.compiled.hash.to_string(),
            previous_sha256: previous,
        }
    }

    /// Notes, stores and logs what runs now.
    fn note(&mut self, candidates: Candidates, numbers: Vec<Arc<PluginStatus>>, components: Vec<ComponentId>, taken: &Taken) {
        let Candidates { members, new } = candidates;
        let (changes, position) = (taken.changes, &taken.position);
        let settings: Vec<config::Plugin> = members.iter().map(|m| config::Plugin::clone(&m.settings)).collect();
        let edited = edit::difference(self.setup.members.iter().map(|m| &*m.settings), &settings);
        for ((member, numbers), component) in members.iter().zip(&numbers).zip(components) {
            let name = &member.settings.name;
            let before = self.running(name);
            let version = component.version.clone();
            numbers.set_component(component);
            if before.is_some_and(|b| b.compiled.hash == member.compiled.hash && b.settings == member.settings) {
                continue;
            }
            numbers.swaps.add(1);
            if let Some(before) = before.filter(|b| b.compiled.hash != member.compiled.hash) {
                tracing::info!(
                    plugin = %name, from = %before.compiled.hash, to = %member.compiled.hash, version, changes, position,
                    "plugin swapped: the new version takes over after this position"
                );
            }
        }
        self.setup.around.status.plugins.replace(numbers);
        treatments::close(self.setup.around.known.treatments(), &settings);
        if edited != Difference::default() {
            tracing::info!(
                added = edited.added.join(", "),
                removed = edited.removed.join(", "),
                changed = edited.changed.join(", "),
                reordered = edited.reordered,
                changes,
                position,
                "pipeline edited: the new chain takes over after this position"
            );
        }
        self.setup.members = members;
        // outputs that are apart take them up by themselves
        self.setup.in_force.replace(self.setup.members.clone());
        let kept = new.keys().try_for_each(|name| self.setup.versions.promote(name)).and_then(|()| {
            let with_files = self.setup.members.iter().filter(|m| matches!(m.settings.origin, PluginOrigin::File(_)));
            self.setup.versions.keep_only(&with_files.map(|m| m.settings.name.as_str()).collect::<BTreeSet<_>>())
        });
        if let Err(error) = kept {
            tracing::error!(error = %error.chain(), remedy = error.remedy_text().unwrap_or(""), "a rollback may not find the version before");
        }
    }

    /// Waits for the old chains, which takes until the workers have passed the boundary, and tells what is delivered otherwise.
    pub(super) fn finish(&mut self, done: Done) {
        // closed at the latest when the pipeline ends
        for (index, mut old) in done.retired.iter().enumerate() {
            if index == 0 {
                announce::announce(&mut old, &done.delivered, &done.taken, &self.setup.around.status);
            }
        }
    }

    /// Does what a request over HTTP asks for, or says why not.
    pub(super) fn grant(&mut self, request: SwapRequest) {
        let SwapRequest { plugin, action, answer } = request;
        let (granted, done) = match self.granted(&plugin, action) {
            Ok(done) => (Ok(done.taken.clone()), Some(done)),
            Err(refused) => {
                let Refused { refusal, done } = refused;
                tracing::warn!(%plugin, error = %refusal.error.chain(), "a request to swap is refused");
                (Err(refusal), done)
            }
        };
        // who asked may have gone
        let _ = answer.send(granted);
        if let Some(done) = done {
            self.finish(done);
        }
    }

    fn granted(&mut self, name: &str, action: Action) -> Result<Done, Refused> {
        let member =
            self.running(name).ok_or_else(|| refused(Reason::Unknown, "there is no such plugin", "GET /plugins lists the names"))?;
        let PluginOrigin::File(path) = &member.settings.origin else {
            return Err(refused(
                Reason::Conflict,
                "this is a standard plugin, which changes with the program",
                "to run a version of your own, write `file:` instead of `use:` in the pipeline file",
            ));
        };
        let path = path.clone();
        let Some(file) = plugin_file(&member.settings.origin) else {
            return Err(refused(Reason::NotStored, "the folder of the plugin's file is gone", "make it again"));
        };
        let bytes = match action {
            Action::Replace(bytes) => bytes,
            Action::Rollback => match self.setup.versions.previous(name, &self.setup.around.limits) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Err(refused(Reason::Conflict, "there is no version before this one", "PUT the version that you want")),
                Err(error) => return Err(Reason::NotStored.with(error)),
            },
        };
        // written before it runs, so that little can go wrong after it
        let file_of_its_own = Replacement::prepare(&path, &bytes).map_err(|e| Reason::NotStored.with(e))?;
        match self.take_over(None, &BTreeMap::from([(file.clone(), bytes)])) {
            Ok(Some(done)) => {
                self.pending.remove(&file);
                self.accept(&file);
                match file_of_its_own.commit() {
                    Ok(()) => Ok(done),
                    Err(error) => {
                        let error = error.context("the new version runs, but the next start would run the old one");
                        Err(Refused { refusal: Refusal { reason: Reason::NotStored, error }, done: Some(done) })
                    }
                }
            }
            Ok(None) => {
                file_of_its_own.abandon();
                Err(refused(Reason::Away, "the pipeline is ending", "try again when it runs"))
            }
            Err(error) => {
                file_of_its_own.abandon();
                if let Some(numbers) = self.setup.around.status.plugins.named(name) {
                    numbers.refused_files.add(1);
                }
                Err(Reason::Unusable.with(error))
            }
        }
    }
}

/// A request that was refused, with the swap that took over all the same.
struct Refused {
    refusal: Refusal,
    done: Option<Done>,
}

fn refused(reason: Reason, what: &str, remedy: &str) -> Refused {
    reason.with(Error::new(ErrorKind::Plugin, what).remedy(remedy))
}

impl Reason {
    fn with(self, error: Error) -> Refused {
        Refused { refusal: Refusal { reason: self, error }, done: None }
    }
}
