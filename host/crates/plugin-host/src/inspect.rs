//! `plugin inspect`: what a file is, without running a pipeline.

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Description, Engine, instance::Instance};
use sluicegate_model::{Error, ErrorKind, Result, limits::Limits};
use sluicegate_storage::file;

/// What a plugin file is.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Who it says it is.
    pub description: Description,
    /// SHA-256 of the file, hexadecimal.
    pub hash: Arc<str>,
    /// Its size in bytes.
    pub bytes: usize,
    /// What the pipeline file has to grant it.
    pub grants: Vec<&'static str>,
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// The version of the interface that it was built for.
    pub interface: String,
    /// Time that compiling took, without the cache.
    pub compile: Duration,
    /// Linear memory after it was instantiated, in bytes.
    pub memory: usize,
}

/// Reads a plugin file, of at most the limit's size.
pub fn read(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    file::read(path, limits.plugin_file_bytes).map_err(|e| match e.kind() {
        io::ErrorKind::FileTooLarge => Error::new(ErrorKind::Precheck, format!("the plugin file {} is too large", path.display()))
            .remedy("make it smaller (release build, strip) or raise limits.plugin_file_bytes")
            .caused_by(e),
        _ => Error::new(ErrorKind::Precheck, format!("the plugin file cannot be read: {}", path.display()))
            .remedy("check the path and the permissions")
            .caused_by(e),
    })
}

/// Compiles and instantiates the plugin in `path`, or the standard plugin of that name, and asks who it is.
pub fn inspect(path: &Path) -> Result<Inspection> {
    let limits = Limits::default();
    let embedded = path.to_str().and_then(super::embedded).filter(|_| !path.exists());
    let bytes = embedded.map_or_else(|| read(path, &limits), |bytes| Ok(bytes.to_vec()))?;
    let engine = Engine::new(None)?;
    let begin = Instant::now();
    let compiled = engine.compile(&bytes, &limits).map_err(|e| e.context(path.display()))?;
    let compile = begin.elapsed();
    let mut instance = Instance::new(&compiled, "inspect", compiled.needs, &limits)?;
    let description = instance.describe()?;
    let kind = compiled.linked.component().component_type();
    let imports: Vec<String> = kind.imports(engine.raw()).map(|(name, _)| name.to_owned()).collect();
    let exports: Vec<String> = kind.exports(engine.raw()).map(|(name, _)| name.to_owned()).collect();
    let grants = [("clock", compiled.needs.clock), ("random", compiled.needs.random)];
    let grants = grants.into_iter().filter(|(_, needed)| *needed).map(|(grant, _)| grant).collect();
    let interface = format!("sluicegate:plugin@{}", compiled.interface);
    Ok(Inspection {
        description,
        hash: compiled.hash,
        bytes: bytes.len(),
        grants,
        imports,
        exports,
        interface,
        compile,
        memory: instance.memory(),
    })
}
