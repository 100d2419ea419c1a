//! What a Store holds for its guest: the cap on memory, the log that the guest may write, what it is granted and what it sees of WASI.

use std::time::{Duration, Instant};

use wasmtime::ResourceLimiter;

use super::{
    bindings::sluicegate::plugin::{log, types},
    wasi::{Stream, World},
};
use sluicegate_config::Grants;
use sluicegate_model::limits::{Limits, PLUGIN_CORE_INSTANCES, PLUGIN_MEMORIES, PLUGIN_TABLE_ENTRIES, PLUGIN_TABLES};

/// What a Store holds beside the guest.
pub struct Guest {
    name: String,
    /// What it says its version is, once it has been asked.
    version: Option<String>,
    memory: Memory,
    message_bytes: usize,
    lines: Lines,
    pub(super) grants: Grants,
    pub(super) wasi: World,
}

impl Guest {
    pub(super) fn new(name: &str, grants: Grants, limits: &Limits) -> Self {
        Self {
            name: name.to_owned(),
            version: None,
            memory: Memory { most: limits.plugin_memory, used: 0, refused: false },
            message_bytes: limits.plugin_message_bytes,
            lines: Lines { most: limits.plugin_log_lines, since: Instant::now(), written: 0, dropped: 0 },
            grants,
            wasi: World::new(grants),
        }
    }

    /// Its log lines carry its version from now on.
    pub(super) fn versioned(&mut self, version: &str) {
        self.version = Some(version.to_owned());
    }

    /// Takes what it wrote to a stream: lines for the log.
    pub(super) fn written(&mut self, stream: Stream, bytes: &[u8]) {
        let Self { wasi, lines, .. } = self;
        let mut ended = Vec::new();
        wasi.push(stream, bytes, self.message_bytes, |line| {
            if let Some(dropped) = lines.allow() {
                ended.push((dropped, line));
            }
        });
        for (dropped, line) in ended {
            self.say(level(stream), Some(stream), dropped, &line);
        }
    }

    fn say(&self, level: log::Level, stream: Option<Stream>, dropped: u64, message: &str) {
        let (plugin, version) = (self.name.as_str(), self.version.as_deref());
        let stream = stream.map(Stream::name);
        let message = clip(message, self.message_bytes);
        if dropped > 0 {
            tracing::warn!(plugin, version, dropped, "the plugin logs too much; lines were dropped");
        }
        match level {
            log::Level::Trace => tracing::trace!(plugin, version, stream, "{message}"),
            log::Level::Debug => tracing::debug!(plugin, version, stream, "{message}"),
            log::Level::Info => tracing::info!(plugin, version, stream, "{message}"),
            log::Level::Warn => tracing::warn!(plugin, version, stream, "{message}"),
            log::Level::Error => tracing::error!(plugin, version, stream, "{message}"),
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

impl Drop for Guest {
    /// A line that was never ended may be the last word of a guest that failed.
    fn drop(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(line) = self.wasi.unfinished(stream)
                && let Some(dropped) = self.lines.allow()
            {
                self.say(level(stream), Some(stream), dropped, &line);
            }
        }
    }
}

fn level(stream: Stream) -> log::Level {
    match stream {
        Stream::Stdout => log::Level::Info,
        Stream::Stderr => log::Level::Warn,
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
        Ok(desired <= PLUGIN_TABLE_ENTRIES)
    }

    fn instances(&self) -> usize {
        PLUGIN_CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        PLUGIN_TABLES
    }

    fn memories(&self) -> usize {
        PLUGIN_MEMORIES
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
        if let Some(dropped) = self.lines.allow() {
            self.say(level, None, dropped, &message);
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
