//! One instance of a plugin: a Store of its own, bounded in memory and time. A trap poisons the Store, so an instance that
//! failed is dropped and made anew; chains never share one.

use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, Store};

use super::{
    bindings::{
        Plugin, Rows,
        sluicegate::plugin::{log, types},
    },
    engine::{Compiled, TICK},
};
use crate::{Error, ErrorKind, Result, limits::Limits};

/// What a Store holds beside the guest.
pub struct Guest {
    name: String,
    memory: Memory,
    message_bytes: usize,
    lines: Lines,
}

/// The cap on linear memory, and how much of it is used. Linear memory never shrinks.
struct Memory {
    most: usize,
    used: usize,
    refused: bool,
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_sub(current).saturating_add(desired);
        if used > self.most {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 100_000)
    }

    fn instances(&self) -> usize {
        16
    }

    fn tables(&self) -> usize {
        16
    }

    fn memories(&self) -> usize {
        4
    }
}

/// The rate limit of a guest's log.
struct Lines {
    most: u32,
    since: Instant,
    written: u32,
    dropped: u64,
}

impl Lines {
    /// Whether one more line may be written now; with it the number dropped before, once a second.
    fn allow(&mut self) -> Option<u64> {
        if self.since.elapsed() >= Duration::from_secs(1) {
            self.since = Instant::now();
            self.written = 0;
        }
        if self.written >= self.most {
            self.dropped += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

impl types::Host for Guest {}

impl log::Host for Guest {
    fn log(&mut self, level: log::Level, message: String) {
        let Some(dropped) = self.lines.allow() else { return };
        let message = clip(&message, self.message_bytes);
        if dropped > 0 {
            tracing::warn!(plugin = %self.name, dropped, "the plugin logs too much; lines were dropped");
        }
        match level {
            log::Level::Trace => tracing::trace!(plugin = %self.name, "{message}"),
            log::Level::Debug => tracing::debug!(plugin = %self.name, "{message}"),
            log::Level::Info => tracing::info!(plugin = %self.name, "{message}"),
            log::Level::Warn => tracing::warn!(plugin = %self.name, "{message}"),
            log::Level::Error => tracing::error!(plugin = %self.name, "{message}"),
        }
    }
}

/// At most `most` bytes of `text`, cut at a character, control characters made harmless.
pub(super) fn clip(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let mut clipped: String = text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if end < text.len() {
        clipped.push('…');
    }
    clipped
}

/// Who a plugin says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does, a sentence.
    pub summary: String,
}

/// A running plugin.
pub(super) struct Instance {
    store: Store<Guest>,
    plugin: Plugin,
    deadline: u64,
    message_bytes: usize,
}

impl Instance {
    /// Instantiates. `name` is the plugin's name in the pipeline file.
    pub fn new(compiled: &Compiled, name: &str, limits: &Limits) -> Result<Self> {
        let guest = Guest {
            name: name.to_owned(),
            memory: Memory { most: limits.plugin_memory, used: 0, refused: false },
            message_bytes: limits.plugin_message_bytes,
            lines: Lines { most: limits.plugin_log_lines, since: Instant::now(), written: 0, dropped: 0 },
        };
        let mut store = Store::new(&compiled.engine, guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(limits.plugin_output_bytes);
        // one tick more, because the running one may end at once
        let deadline = (limits.plugin_call.as_millis() as u64).div_ceil(TICK.as_millis() as u64) + 1;
        store.set_epoch_deadline(deadline);
        let plugin = compiled.pre.instantiate(&mut store).map_err(|e| failure("cannot be instantiated", e, limits.plugin_call, false))?;
        Ok(Self { store, plugin, deadline, message_bytes: limits.plugin_message_bytes })
    }

    fn arm(&mut self) {
        self.store.set_epoch_deadline(self.deadline);
    }

    fn failure(&self, what: &str, cause: wasmtime::Error) -> Error {
        failure(what, cause, TICK * (self.deadline - 1) as u32, self.store.data().memory.refused)
    }

    fn refusal(&self, what: &str, message: &str) -> Error {
        Error::new(ErrorKind::Plugin, format!("{what}: {}", clip(message, self.message_bytes)))
    }

    /// Asks who it is.
    pub fn describe(&mut self) -> Result<Description> {
        self.arm();
        let d = self.plugin.call_describe(&mut self.store).map_err(|e| self.failure("failed in `describe`", e))?;
        let clip = |text: &str| clip(text, self.message_bytes);
        Ok(Description { name: clip(&d.name), version: clip(&d.version), summary: clip(&d.summary) })
    }

    /// Hands over its configuration, JSON text.
    pub fn configure(&mut self, config: &str) -> Result<()> {
        self.arm();
        self.plugin.call_configure(&mut self.store, config).map_err(|e| self.failure("failed in `configure`", e))?.map_err(|message| {
            self.refusal("refuses its configuration", &message).remedy("correct the plugin's `config` in the pipeline file")
        })
    }

    /// Asks for the plan of a table.
    pub fn plan(&mut self, id: u32, table: types::Table<'_>) -> Result<Option<types::Plan>> {
        self.arm();
        self.plugin.call_plan(&mut self.store, id, table).map_err(|e| self.failure("failed in `plan`", e))?.map_err(|message| {
            self.refusal("cannot plan the table", &message).remedy("correct the plugin's `config`, or take the table out of its `tables`")
        })
    }

    /// Hands over rows. The outer error is a trap, a timeout or a lack of memory (the instance must be dropped then), the
    /// inner one the plugin's own refusal of the batch.
    pub fn apply(&mut self, id: u32, rows: Rows<'_>) -> Result<std::result::Result<types::Outcome, Error>> {
        self.arm();
        let answer = self.plugin.call_apply(&mut self.store, id, rows).map_err(|e| self.failure("failed in `apply`", e))?;
        Ok(answer.map_err(|message| {
            self.refusal("refuses the batch", &message).remedy("correct the data or the plugin, or set `on_error` of the plugin")
        }))
    }

    /// Bytes of linear memory in use.
    pub fn memory(&self) -> usize {
        self.store.data().memory.used
    }
}

/// What went wrong inside a guest, in words that say what to do.
fn failure(what: &str, cause: wasmtime::Error, deadline: Duration, out_of_memory: bool) -> Error {
    let error = match cause.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::Interrupt) => Error::new(ErrorKind::Plugin, format!("{what}: no answer within {} ms", deadline.as_millis()))
            .remedy("look for an endless loop in the plugin, or raise limits.plugin_call"),
        _ if out_of_memory => Error::new(ErrorKind::Plugin, format!("{what}: it needs more memory than it may have"))
            .remedy("look for what grows in the plugin, or raise limits.plugin_memory"),
        Some(wasmtime::Trap::StackOverflow) => {
            Error::new(ErrorKind::Plugin, format!("{what}: its stack overflowed")).remedy("look for endless recursion in the plugin")
        }
        Some(wasmtime::Trap::UnreachableCodeReached) => Error::new(ErrorKind::Plugin, format!("{what}: it trapped (a panic or an abort)"))
            .remedy("this is a fault of the plugin: its own log lines may say more"),
        _ => Error::new(ErrorKind::Plugin, format!("{what}: it trapped"))
            .remedy("this is a fault of the plugin: test it with the rows around this position"),
    };
    error.caused_by(cause)
}
