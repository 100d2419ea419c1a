//! One instance of a plugin: a Store of its own, bounded in memory and time. A trap poisons the Store, so an instance that
//! failed is dropped and made anew; chains never share one.

use std::time::Duration;

use wasmtime::Store;

use super::{
    bindings::sluicegate::plugin::types,
    engine::{Compiled, TICK},
    grants,
    guest::{Guest, clip},
    interface::{Answer, Calls, Handed, Planned},
    wasi::Refused,
};
use sluicegate_config::Grants;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::Capabilities,
    limits::{Limits, PLUGIN_HANDLES},
};

/// What the error says of a plugin that does not take its configuration.
pub const REFUSES_CONFIG: &str = "refuses its configuration";

/// Who a plugin says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does, a sentence.
    pub summary: String,
    /// JSON Schema of its configuration; empty when it has none.
    pub config_schema: String,
}

/// A running plugin.
pub(super) struct Instance {
    store: Store<Guest>,
    calls: Calls,
    start: Deadline,
    call: Deadline,
    message_bytes: usize,
}

/// How long a call may take.
#[derive(Clone, Copy)]
struct Deadline {
    time: Duration,
    limit: &'static str,
}

impl Deadline {
    /// In ticks; one more, because the running one may end at once.
    fn ticks(self) -> u64 {
        (self.time.as_millis() as u64).div_ceil(TICK.as_millis() as u64) + 1
    }
}

impl Instance {
    /// Instantiates, if the component is granted what it needs. `name` is the plugin's name in the pipeline file.
    pub fn new(compiled: &Compiled, name: &str, granted: Grants, limits: &Limits) -> Result<Self> {
        grants::check(compiled.needs, granted)?;
        let guest = Guest::new(name, granted, limits);
        let mut store = Store::new(&compiled.engine, guest);
        store.limiter(Guest::memory);
        store.set_hostcall_fuel(limits.plugin_output_bytes);
        store.set_max_component_handles(2 * PLUGIN_HANDLES);
        let start = Deadline { time: limits.plugin_start, limit: "limits.plugin_start" };
        let call = Deadline { time: limits.plugin_call, limit: "limits.plugin_call" };
        store.set_epoch_deadline(start.ticks());
        let calls =
            compiled.linked.instantiate(&mut store).map_err(|e| failure("cannot be instantiated", e, start, store.data().ran_out()))?;
        Ok(Self { store, calls, start, call, message_bytes: limits.plugin_message_bytes })
    }

    fn arm(&mut self, deadline: Deadline) {
        self.store.set_epoch_deadline(deadline.ticks());
    }

    fn failure(&self, what: &str, cause: wasmtime::Error, deadline: Deadline) -> Error {
        failure(what, cause, deadline, self.store.data().ran_out())
    }

    fn refusal(&self, what: &str, message: &str) -> Error {
        Error::new(ErrorKind::Plugin, format!("{what}: {}", clip(message, self.message_bytes)))
    }

    /// Asks who it is.
    pub fn describe(&mut self) -> Result<Description> {
        self.arm(self.start);
        let d = self.calls.describe(&mut self.store).map_err(|e| self.failure("failed in `describe`", e, self.start))?;
        let clip = |text: &str| clip(text, self.message_bytes);
        let d = Description { name: clip(&d.name), version: clip(&d.version), summary: clip(&d.summary), config_schema: d.config_schema };
        self.store.data_mut().versioned(&d.version);
        Ok(d)
    }

    /// Hands over its configuration, JSON text.
    pub fn configure(&mut self, config: &str) -> Result<()> {
        self.arm(self.start);
        self.calls
            .configure(&mut self.store, config)
            .map_err(|e| self.failure("failed in `configure`", e, self.start))?
            .map_err(|message| self.refusal(REFUSES_CONFIG, &message).remedy("correct the plugin's `config` in the pipeline file"))
    }

    /// Asks for the plan of a table.
    pub fn plan(&mut self, id: u32, table: types::TableParam<'_>, capabilities: Capabilities) -> Result<Option<Planned>> {
        self.arm(self.call);
        self.calls.plan(&mut self.store, id, table, capabilities).map_err(|e| self.failure("failed in `plan`", e, self.call))?.map_err(
            |message| {
                self.refusal("cannot plan the table", &message)
                    .remedy("correct the plugin's `config`, or take the table out of its `tables`")
            },
        )
    }

    /// Tells it that a table is forgotten. `false`: its interface has no such call.
    pub fn forget(&mut self, id: u32) -> Result<bool> {
        self.arm(self.call);
        self.calls.forget(&mut self.store, id).map_err(|e| self.failure("failed in `forget-table`", e, self.call))
    }

    /// Hands over rows. The outer error is a trap, a timeout or a lack of memory (the instance must be dropped then), the
    /// inner one the plugin's own refusal of the batch.
    pub fn apply(&mut self, id: u32, handed: &Handed<'_>) -> Result<std::result::Result<Answer, Error>> {
        self.arm(self.call);
        let answer = self.calls.apply(&mut self.store, id, handed).map_err(|e| self.failure("failed in `apply`", e, self.call))?;
        Ok(answer.map_err(|message| {
            self.refusal("refuses the batch", &message).remedy("correct the data or the plugin, or set `on_error` of the plugin")
        }))
    }

    /// Bytes of linear memory in use.
    pub fn memory(&self) -> usize {
        self.store.data().used()
    }
}

/// What went wrong inside a guest, in words that say what to do.
fn failure(what: &str, cause: wasmtime::Error, deadline: Deadline, out_of_memory: bool) -> Error {
    let refused = cause.downcast_ref::<Refused>();
    let error = match cause.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::Interrupt) => {
            Error::new(ErrorKind::Plugin, format!("{what}: no answer within {} ms", deadline.time.as_millis()))
                .remedy(format!("look for an endless loop in the plugin, or raise {}", deadline.limit))
        }
        _ if out_of_memory => Error::new(ErrorKind::Plugin, format!("{what}: it needs more memory than it may have"))
            .remedy("look for what grows in the plugin, or raise limits.plugin_memory"),
        Some(wasmtime::Trap::StackOverflow) => {
            Error::new(ErrorKind::Plugin, format!("{what}: its stack overflowed")).remedy("look for endless recursion in the plugin")
        }
        Some(wasmtime::Trap::UnreachableCodeReached) => Error::new(ErrorKind::Plugin, format!("{what}: it trapped (a panic or an abort)"))
            .remedy("this is a fault of the plugin: its own log lines may say more"),
        _ if let Some(refused) = refused => Error::new(ErrorKind::Plugin, format!("{what}: {refused}")).remedy(refused.remedy),
        Some(_) => Error::new(ErrorKind::Plugin, format!("{what}: it trapped"))
            .remedy("this is a fault of the plugin: test it with the rows around this position"),
        // lengths and addresses outside its memory, text that is not UTF-8, more tables or instances than a plugin may have
        None => Error::new(ErrorKind::Plugin, format!("{what}: it was stopped, or its answer cannot be read"))
            .remedy("this is a fault of the plugin or of its SDK; the cause says which"),
    };
    error.caused_by(cause)
}
