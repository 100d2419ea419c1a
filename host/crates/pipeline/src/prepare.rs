//! What a pipeline needs before its first batch: compiled plugins, and the things that chains share.

use std::{collections::BTreeSet, sync::Arc};

use super::{any_source::AnySource, kept::Kept, versions::Versions};

use sluicegate_config::{self as config, Pipeline, PluginOrigin};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_model::{Error, ErrorKind, Result, limits::Limits};
use sluicegate_plugin_host::{self as plugin, Chain, Engine, KnownTables, Member, Surroundings};
use sluicegate_source::Source;
use sluicegate_status::{ComponentId, Status};

/// What the chains of this pipeline share.
pub(super) fn surroundings(pipeline: &Pipeline, status: &Arc<Status>, dead_letters: &Arc<DeadLetters>) -> Surroundings {
    Surroundings {
        limits: Arc::new(pipeline.limits.clone()),
        status: status.clone(),
        dead_letters: dead_letters.clone(),
        known: Arc::new(KnownTables::new(pipeline.limits.known_tables)),
        capabilities: AnySource::new(pipeline, status).capabilities(),
    }
}

/// A plugin, compiled, with the bytes of its file; none for a standard plugin.
pub(super) type Loaded = (Member, Option<Vec<u8>>);

/// Plugins that are ready to run.
pub(super) struct Ready {
    pub engine: Engine,
    pub members: Vec<Member>,
    /// The bytes of their files, as in [`Loaded`].
    pub contents: Vec<Option<Vec<u8>>>,
    /// One for each worker.
    pub chains: Vec<Chain>,
}

/// Plugins that are compiled.
pub(super) struct Compiled {
    pub engine: Engine,
    pub members: Vec<Member>,
    /// The bytes of their files, as in [`Loaded`].
    pub contents: Vec<Option<Vec<u8>>>,
}

/// Reads, compiles and configures the plugins, but for those that the run before has left, which may take minutes. Nothing is written but
/// the cache.
pub(super) fn ready(pipeline: &Pipeline, around: &Surroundings, kept: &Kept) -> Result<Ready> {
    let Compiled { engine, members, contents } = match kept.plugins(pipeline) {
        Some(compiled) => compiled,
        None => {
            let (engine, loaded) = members(pipeline)?;
            let (members, contents) = loaded.into_iter().unzip();
            Compiled { engine, members, contents }
        }
    };
    let chains = chains(&members, around, pipeline.workers).map_err(Error::not_ready)?;
    Ok(Ready { engine, members, contents, chains })
}

/// Reads and compiles the plugins, with the cache on disk.
fn members(pipeline: &Pipeline) -> Result<(Engine, Vec<Loaded>)> {
    let engine = Engine::new(Some(&pipeline.cache))?;
    let loaded = pipeline.plugins.iter().map(|settings| load(&engine, settings, &pipeline.limits)).collect::<Result<_>>()?;
    Ok((engine, loaded))
}

/// Reads and compiles one plugin.
pub(super) fn load(engine: &Engine, settings: &config::Plugin, limits: &Limits) -> Result<Loaded> {
    let begin = || match &settings.origin {
        PluginOrigin::Embedded(name) => {
            let bytes = plugin::embedded(name).ok_or_else(|| {
                Error::new(ErrorKind::Config, format!("there is no standard plugin `{name}`"))
                    .remedy("use filter, map-names or rewrite-columns")
            })?;
            Ok((engine.compile(bytes, limits)?, None))
        }
        PluginOrigin::File(path) => {
            let bytes = plugin::read(path, limits)?;
            tracing::debug!(plugin = %settings.name, bytes = bytes.len(), "compiling, unless the cache has it");
            let compiled = engine.compile(&bytes, limits).map_err(|e| e.context(path.display()))?;
            Ok((compiled, Some(bytes)))
        }
    };
    let (compiled, bytes) = begin().map_err(|e: Error| e.context(format_args!("plugin `{}`", settings.name)))?;
    Ok((Member { settings: Arc::new(settings.clone()), compiled }, bytes))
}

/// One chain for each worker, all counting in the same numbers.
pub(super) fn chains(members: &[Member], around: &Surroundings, workers: usize) -> Result<Vec<Chain>> {
    let first = Chain::new(members, around.clone())?;
    let numbers = first.numbers();
    let mut chains = vec![first];
    while chains.len() < workers {
        chains.push(Chain::counting(members, around.clone(), &numbers)?);
    }
    Ok(chains)
}

/// Notes which plugins run: those of `chain`, which are `members`. What a rollback brings back stays noted.
pub(super) fn note(chain: &Chain, members: &[Member], status: &Status) {
    let numbers = chain.numbers();
    for ((member, description), numbers) in members.iter().zip(chain.descriptions()).zip(&numbers) {
        numbers.set_component(ComponentId {
            name: description.name.clone(),
            version: description.version.clone(),
            sha256: member.compiled.hash.to_string(),
            previous_sha256: numbers.component().previous_sha256,
        });
    }
    status.plugins.replace(numbers);
}

/// Keeps copies of the components that run, and notes the versions before them.
pub(super) fn settle(versions: &Versions, members: &[Member], contents: Vec<Option<Vec<u8>>>, status: &Status) -> Result<()> {
    let mut kept = BTreeSet::new();
    for (member, bytes) in members.iter().zip(contents) {
        let Some(bytes) = bytes else { continue };
        let name = member.settings.name.as_str();
        let previous = versions.settle(name, &bytes)?;
        if let (Some(hash), Some(numbers)) = (previous, status.plugins.named(name)) {
            numbers.set_component(ComponentId { previous_sha256: hash, ..numbers.component() });
        }
        kept.insert(name);
    }
    versions.keep_only(&kept)
}

/// Logs which plugins run.
pub(super) fn announce(chain: &Chain, members: &[Member]) {
    for (member, description) in members.iter().zip(chain.descriptions()) {
        tracing::info!(
            plugin = %member.settings.name, component = %description.name, version = %description.version, sha256 = %member.compiled.hash,
            "plugin ready"
        );
    }
}
