//! What the pipeline file may grant to a plugin, `grants: [clock, random]`, and the imports that it stands for.
//!
//! A component that imports one of them without the grant is refused before it is instantiated. The WASI interfaces of the
//! same things need no grant: without it they are virtual ([`super::wasi`]).

use std::time::SystemTime;

use wasmtime::component::Component;

use super::{
    bindings::sluicegate::plugin::{clock, random},
    guest::Guest,
    wasi::{self, Refused},
};
use sluicegate_config::Grants;
use sluicegate_model::{Error, ErrorKind, Result};

/// Our own package, as imports name it.
const OURS: &str = "sluicegate:plugin/";

/// The grants that a component cannot do without. An import that plugins are not given under any grant is refused.
pub(super) fn needed(component: &Component) -> Result<Grants> {
    let mut needed = Grants::default();
    for (import, _) in component.component_type().imports(component.engine()) {
        match import.strip_prefix(OURS).map(|rest| rest.split('@').next().unwrap_or(rest)) {
            Some("clock") => needed.clock = true,
            Some("random") => needed.random = true,
            Some("types" | "log") => {}
            _ if wasi::interface(import).is_some() => {}
            _ => {
                let import: String = import.chars().take(200).collect();
                return Err(Error::new(ErrorKind::Precheck, format!("the component imports {import}, which plugins are not given"))
                    .remedy("build it for the world `plugin` of wit/plugin.wit; of WASI, version 0.2 may be imported"));
            }
        }
    }
    Ok(needed)
}

/// Refuses a component that needs more than it is granted.
pub(super) fn check(needed: Grants, granted: Grants) -> Result<()> {
    let (what, import, remedy) = match (needed.clock && !granted.clock, needed.random && !granted.random) {
        (false, false) => return Ok(()),
        (true, false) => ("the clock", "clock", "`grants: [clock]`"),
        (false, true) => ("random bytes", "random", "`grants: [random]`"),
        (true, true) => ("the clock and random bytes", "clock and random", "`grants: [clock, random]`"),
    };
    Err(Error::new(ErrorKind::Precheck, format!("the component imports {OURS}{import}, which it is not granted"))
        .remedy(format!("write {remedy} at the plugin in the pipeline file, if it may have {what}")))
}

impl clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<i64> {
        // refused before; a host function has to be safe by itself
        if !self.grants.clock {
            return Err(Refused::new("it reads the clock, which it is not granted", "write `grants: [clock]` at the plugin").into());
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
    }
}

impl random::Host for Guest {
    fn get_bytes(&mut self, count: u32) -> wasmtime::Result<Vec<u8>> {
        if !self.grants.random {
            return Err(Refused::new("it asks for random bytes, which it is not granted", "write `grants: [random]` at the plugin").into());
        }
        wasi::Random::System.bytes(count.into())
    }
}
