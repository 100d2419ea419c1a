//! WASI 0.2, closed. The runtimes of most languages import it whether the plugin uses it or not, so a component gets exactly
//! the functions of it that it imports, and they lead nowhere: no files, no network, no environment, an empty stdin. What a
//! runtime needs to run is there and harmless: stdout and stderr go to the log, time is virtual and randomness is the same at
//! every start unless the pipeline file grants the real ones ([`time`], [`random`]).
//!
//! Nothing here ever waits: a host call cannot be interrupted by the deadline of the call that it is part of.
//!
//! The interfaces: <https://github.com/WebAssembly/WASI/tree/main/proposals>, versions 0.2.x.

mod answer;
mod function;
mod output;
mod random;
mod resource;
mod time;

use wasmtime::component::{Component, Linker, LinkerInstance, types::ComponentItem};

use self::{answer::Answer, function::Function, output::Line, resource::Kinds};
use super::guest::Guest;
use sluicegate_config::Grants;
use sluicegate_model::{Error, ErrorKind, Result, limits::PLUGIN_WASI_ITEMS};

pub(super) use self::random::Random;

/// Packages of WASI that components may import.
const PACKAGES: [&str; 7] = ["cli", "clocks", "filesystem", "http", "io", "random", "sockets"];

/// The interface that an import names, without package prefix and version: `io/streams`. `None` = not of WASI 0.2, or of
/// another package of it.
pub(super) fn interface(import: &str) -> Option<&str> {
    let (path, version) = import.strip_prefix("wasi:")?.split_once('@')?;
    let (package, _) = path.split_once('/')?;
    (version.starts_with("0.2.") && PACKAGES.contains(&package)).then_some(path)
}

/// What one instance sees of WASI.
pub(super) struct World {
    time: time::Time,
    random: Random,
    resources: resource::Resources,
    /// What has been written to stdout and stderr since the last line end.
    lines: [Line; 2],
}

impl World {
    /// A new one for a new instance.
    pub fn new(grants: Grants) -> Self {
        Self {
            time: time::Time::new(grants.clock),
            random: Random::new(grants.random),
            resources: resource::Resources::default(),
            lines: [Line::default(), Line::default()],
        }
    }

    /// Takes what was written to a stream, and gives each line that it ends, with no more than `most` bytes and one.
    pub fn push(&mut self, stream: Stream, bytes: &[u8], most: usize, ended: impl FnMut(String)) {
        self.lines[stream as usize].push(bytes, most, ended);
    }

    /// What was written last, without a line end behind it.
    pub fn unfinished(&mut self, stream: Stream) -> Option<String> {
        self.lines[stream as usize].end()
    }
}

/// The two streams that lead somewhere: into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Gives `linker` all that `component` imports of WASI.
pub(super) fn link(linker: &mut Linker<Guest>, component: &Component) -> Result<()> {
    let engine = component.engine().clone();
    let fault = |e: wasmtime::Error| Error::new(ErrorKind::Internal, "the component's WASI imports cannot be linked").caused_by(e);
    let (mut kinds, mut items) = (Kinds::default(), 0);
    for (import, item) in component.component_type().imports(&engine) {
        let (Some(interface), ComponentItem::ComponentInstance(instance)) = (interface(import), item.ty) else { continue };
        let mut to = linker.instance(import).map_err(fault)?;
        for (name, item) in instance.exports(&engine) {
            items += 1;
            if items > PLUGIN_WASI_ITEMS {
                return Err(Error::new(ErrorKind::Precheck, format!("the component imports more than {PLUGIN_WASI_ITEMS} items of WASI"))
                    .remedy("build it with a toolchain for WASI 0.2"));
            }
            match item.ty {
                ComponentItem::Type(_) => {}
                ComponentItem::Resource(kind) => {
                    // only its first appearance defines it: later ones are other names for it
                    if let Some(number) = kinds.define(interface, name, kind) {
                        resource::link(&mut to, name, number).map_err(fault)?;
                    }
                }
                ComponentItem::ComponentFunc(kind) => {
                    let answer = Answer::of(kind.results(), &kinds);
                    link_function(&mut to, import, interface, name, answer).map_err(fault)?;
                }
                _ => {
                    return Err(Error::new(ErrorKind::Precheck, format!("the component imports {import} with other items than WASI has"))
                        .remedy("build it with a toolchain for WASI 0.2"));
                }
            }
        }
    }
    Ok(())
}

fn link_function(to: &mut LinkerInstance<'_, Guest>, import: &str, interface: &str, name: &str, answer: Answer) -> wasmtime::Result<()> {
    let function = Function::of(interface, name);
    let full = format!("{import}.{name}");
    to.func_new(name, move |mut store, _, params, results| {
        let handles = resource::taken(&mut store, params)?;
        let answer = match function {
            Some(function) => function.call(store.data_mut(), &full, params, &handles)?.unwrap_or_else(|| answer.clone()),
            None => answer.clone(),
        };
        answer.give(&mut store, &full, results)
    })
}

/// What ends a call because the guest asked for something that it is not given.
#[derive(Debug)]
pub(super) struct Refused {
    what: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Refused {
    pub fn new(what: impl Into<String>, remedy: &'static str) -> Self {
        Self { what: what.into(), remedy }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::interface;

    #[test]
    fn only_the_known_packages_of_wasi_0_2_are_satisfied() {
        assert_eq!(interface("wasi:io/streams@0.2.3"), Some("io/streams"));
        assert_eq!(interface("wasi:http/types@0.2.0"), Some("http/types"));
        for other in ["wasi:io/streams@0.3.0", "wasi:io/streams", "wasi:nn/graph@0.2.0", "wasi:io", "acme:io/streams@0.2.0", ""] {
            assert_eq!(interface(other), None, "{other}");
        }
    }
}
