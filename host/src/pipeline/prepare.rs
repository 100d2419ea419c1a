//! What a pipeline needs before its first batch: compiled plugins, and the things that chains share.

use std::sync::{Arc, PoisonError};

use crate::{
    Error, ErrorKind, Result,
    config::{Pipeline, PluginOrigin},
    plugin::{self, Chain, Engine, KnownTables, Member, Surroundings},
    service::Status,
    sink::DeadLetters,
};

/// What the chains of this pipeline share.
pub(super) fn surroundings(pipeline: &Pipeline, status: &Arc<Status>, dead_letters: &Arc<DeadLetters>) -> Surroundings {
    Surroundings {
        limits: Arc::new(pipeline.limits.clone()),
        status: status.clone(),
        dead_letters: dead_letters.clone(),
        known: Arc::new(KnownTables::new(pipeline.limits.known_tables)),
    }
}

/// Compiles the plugins, with the cache on disk.
pub(super) fn members(pipeline: &Pipeline) -> Result<(Engine, Vec<Member>)> {
    let engine = Engine::new(Some(&pipeline.cache))?;
    let members = pipeline
        .plugins
        .iter()
        .map(|settings| {
            let compiled = match &settings.origin {
                PluginOrigin::Embedded(name) => plugin::embedded(name)
                    .ok_or_else(|| {
                        Error::new(ErrorKind::Config, format!("there is no standard plugin `{name}`"))
                            .remedy("use filter, map-names or rewrite-columns")
                    })
                    .and_then(|bytes| engine.compile(bytes, &pipeline.limits)),
                PluginOrigin::File(path) => plugin::read(path, &pipeline.limits)
                    .and_then(|bytes| engine.compile(&bytes, &pipeline.limits).map_err(|e| e.context(path.display()))),
            };
            let compiled = compiled.map_err(|e| e.context(format_args!("plugin `{}`", settings.name)))?;
            Ok(Member { settings: Arc::new(settings.clone()), compiled })
        })
        .collect::<Result<_>>()?;
    Ok((engine, members))
}

/// Notes and logs which plugins run.
pub(super) fn announce(chain: &Chain, members: &[Member], status: &Status) {
    for ((member, description), numbers) in members.iter().zip(chain.descriptions()).zip(&status.plugins) {
        *numbers.version.write().unwrap_or_else(PoisonError::into_inner) = (description.version.clone(), member.compiled.hash.to_string());
        tracing::info!(
            plugin = %member.settings.name, component = %description.name, version = %description.version, sha256 = %member.compiled.hash,
            "plugin ready"
        );
    }
}
