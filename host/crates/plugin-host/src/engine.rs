//! The wasmtime engine: one a process. Compiles components with a cache on disk, and ticks the epoch that deadlines are
//! counted in.

use std::{path::Path, sync::Arc, thread, time::Duration};

use sha2::{Digest, Sha256};
use wasmtime::{
    Cache, CacheConfig, Config, OptLevel,
    component::{Component, Linker},
};

use super::{
    bindings::{
        draft::sluicegate::plugin1_1_0_draft::types as draft_types,
        sluicegate::plugin::{clock, log, random, types},
    },
    compilation::Place,
    grants,
    guest::Guest,
    interface::{DRAFT, Linked},
    wasi,
};
use sluicegate_config::Grants;
use sluicegate_model::{Error, ErrorKind, Result, limits::Limits};

/// Deadlines are rounded up to this.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// What every plugin exports.
const TRANSFORM: &str = "sluicegate:plugin/transform";

/// The newest version of the interface that this program has, major and minor; it runs every older one of the same major.
const INTERFACE: (u64, u64) = (1, 0);

/// Compiles plugins. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    linker: Arc<Linker<Guest>>,
    compiler: Place,
}

/// A compiled plugin that instances can be made from. Cheap to clone.
#[derive(Clone)]
pub struct Compiled {
    pub(super) engine: wasmtime::Engine,
    pub(super) linked: Linked,
    /// Version of the interface that it was built for.
    pub(super) interface: Arc<str>,
    /// What it has to be granted: a pipeline file that grants less is refused when an instance is made.
    pub needs: Grants,
    /// SHA-256 of the component's bytes, hexadecimal.
    pub hash: Arc<str>,
}

impl Engine {
    /// An engine that keeps compiled code in `cache`. The cache is keyed by the component's bytes and wasmtime's version
    /// and settings; a damaged entry is compiled anew.
    pub fn new(cache: Option<&Path>) -> Result<Self> {
        let mut config = Config::new();
        config.wasm_component_model(true);
        // our calls are synchronous: no task bookkeeping for each of them
        config.concurrency_support(false);
        config.epoch_interruption(true);
        config.cranelift_opt_level(OptLevel::Speed);
        // neither is looked at: functions are told by name, and frames are found by their pointers
        config.generate_address_map(false);
        config.native_unwind_info(false);
        if let Some(folder) = cache {
            let mut settings = CacheConfig::new();
            settings.with_directory(std::path::absolute(folder).map_err(|e| cache_error(folder, e))?);
            config.cache(Some(Cache::new(settings).map_err(|e| cache_error(folder, e))?));
        }
        let inner = wasmtime::Engine::new(&config)
            .map_err(|e| Error::new(ErrorKind::Internal, "the WebAssembly engine cannot be set up").caused_by(e))?;
        let mut linker = Linker::new(&inner);
        types::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |guest| guest)
            .and_then(|()| draft_types::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |guest| guest))
            .and_then(|()| log::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |guest| guest))
            .and_then(|()| clock::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |guest| guest))
            .and_then(|()| random::add_to_linker::<_, wasmtime::component::HasSelf<_>>(&mut linker, |guest| guest))
            .map_err(|e| Error::new(ErrorKind::Internal, "the WebAssembly linker cannot be set up").caused_by(e))?;
        tick(&inner)?;
        Ok(Self { inner, linker: Arc::new(linker), compiler: Place::default() })
    }

    /// Compiles a component, within `limits.plugin_compile`. Everything that is wrong with the file as such comes out here: not a
    /// component, another world, a missing export, an import that no plugin is given. Whether it is granted what it needs
    /// shows when an instance is made.
    pub fn compile(&self, bytes: &[u8], limits: &Limits) -> Result<Compiled> {
        if bytes.len() as u64 > limits.plugin_file_bytes {
            return Err(Error::new(
                ErrorKind::Precheck,
                format!("the file has {} bytes, the limit is {}", bytes.len(), limits.plugin_file_bytes),
            )
            .remedy("make it smaller (release build, strip) or raise limits.plugin_file_bytes"));
        }
        // "\0asm", then version and layer: a core module is 01 00 00 00, a component 0d 00 01 00
        match (bytes.get(..4), bytes.get(4..8)) {
            (Some(b"\0asm"), Some([1, 0, 0, 0])) => {
                return Err(Error::new(ErrorKind::Precheck, "this is a core WebAssembly module, not a component")
                    .remedy("encode it as a component, e.g. with `wasm-tools component new`"));
            }
            (Some(b"\0asm"), Some(_)) => {}
            _ => {
                return Err(Error::new(ErrorKind::Precheck, "this is not a WebAssembly component")
                    .remedy("check the path; a plugin is a .wasm component"));
            }
        }
        let component = self.compiler.compile(&self.inner, bytes.to_vec(), limits.plugin_compile)?.map_err(|e| {
            Error::new(ErrorKind::Precheck, "the component is damaged or uses features that are not enabled")
                .remedy("build it again; a truncated copy looks like this")
                .caused_by(e)
        })?;
        let interface = self.interface_of(&component)?;
        let needs = grants::needed(&component)?;
        let mut linker = Linker::clone(&self.linker);
        wasi::link(&mut linker, &component)?;
        let linked = linker
            .instantiate_pre(&component)
            .map_err(|e| {
                Error::new(ErrorKind::Precheck, "the component imports something in another form than plugins are given it")
                    .remedy("build it against a released file of wit/, unchanged")
                    .caused_by(e)
            })
            .and_then(|pre| {
                Linked::new(&interface, pre).map_err(|e| {
                    Error::new(
                        ErrorKind::Precheck,
                        format!("the component exports {TRANSFORM} with other functions or types than version {interface} has"),
                    )
                    .remedy("build it against a released file of wit/, unchanged")
                    .caused_by(e)
                })
            })?;
        Ok(Compiled { engine: self.inner.clone(), linked, interface, needs, hash: sha256(bytes).into() })
    }

    /// The version of the interface that a component was built for, one that this program has.
    fn interface_of(&self, component: &Component) -> Result<Arc<str>> {
        let kind = component.component_type();
        let version = kind.exports(&self.inner).find_map(|(name, _)| match name.split_once('@') {
            Some((TRANSFORM, version)) => Some(version.to_owned()),
            _ => (name == TRANSFORM).then(String::new),
        });
        let Some(version) = version else {
            return Err(Error::new(ErrorKind::Precheck, format!("the component is no plugin: it does not export {TRANSFORM}"))
                .remedy("build it for the world `plugin` of wit/plugin.wit"));
        };
        if version == DRAFT {
            return Ok(version.into());
        }
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<u64>().ok());
        let mut parts = version.splitn(3, '.');
        match (number(parts.next()), number(parts.next())) {
            (Some(major), Some(minor)) if major == INTERFACE.0 && minor <= INTERFACE.1 => Ok(version.into()),
            _ => Err(Error::new(
                ErrorKind::Precheck,
                format!(
                    "the component was built for version {version} of the plugin interface, this program has {}.{}",
                    INTERFACE.0, INTERFACE.1
                ),
            )
            .remedy("build the plugin against a version of wit/plugin.wit that this program has, or take a newer program")),
        }
    }

    pub(super) fn raw(&self) -> &wasmtime::Engine {
        &self.inner
    }
}

/// SHA-256, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn cache_error(folder: &Path, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Precheck, format!("the folder for compiled plugins cannot be used: {}", folder.display()))
        .remedy("make it writable, or name another one with `cache:`")
        .caused_by(cause)
}

/// The ticker is a thread of its own: an endless guest can hold every other thread, never this one. It ends with the engine.
fn tick(engine: &wasmtime::Engine) -> Result<()> {
    let weak = engine.weak();
    thread::Builder::new()
        .name("epoch".into())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })
        .map(drop)
        .map_err(|e| Error::new(ErrorKind::Internal, "the deadline thread cannot be started").caused_by(e))
}
