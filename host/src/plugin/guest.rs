//! What a Store holds for its guest: the cap on memory, and the log that the guest may write.

use std::time::{Duration, Instant};

use wasmtime::ResourceLimiter;

use super::bindings::sluicegate::plugin::{log, types};
use crate::limits::Limits;

/// What a Store holds beside the guest.
pub struct Guest {
    name: String,
    memory: Memory,
    message_bytes: usize,
    lines: Lines,
}

impl Guest {
    pub(super) fn new(name: &str, limits: &Limits) -> Self {
        Self {
            name: name.to_owned(),
            memory: Memory { most: limits.plugin_memory, used: 0, refused: false },
            message_bytes: limits.plugin_message_bytes,
            lines: Lines { most: limits.plugin_log_lines, since: Instant::now(), written: 0, dropped: 0 },
        }
    }

    pub(super) fn memory(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }

    /// Bytes of linear memory in use.
    pub(super) fn used(&self) -> usize {
        self.memory.used
    }

    /// Whether it was refused memory.
    pub(super) fn ran_out(&self) -> bool {
        self.memory.refused
    }
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

    // the runtime of a scripting language is linked from some twenty core modules
    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
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
