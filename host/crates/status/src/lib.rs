//! The numbers of a running pipeline. Every part writes its own; `/metrics`, `/readyz` and the live line read them.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod apart;
mod copies;
mod log_margin;

pub use apart::{Apart, Standing};
pub use copies::{Copies, CopyNumbers, CopyState, Overall};
pub use log_margin::{LogMargin, LogMargins};

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use sluicegate_model::{budget::Budget, limits::SHOWN_WARNINGS, now_us};

/// A counter or gauge that parts write without locks.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Sets the value.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Puts a part of it, which was `before`, anew.
    pub fn exchange(&self, before: u64, now: u64) {
        // wraps around, as the sum of all parts does not
        self.0.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The flag's value, for showing.
pub fn relaxed(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

/// All numbers of one run of a pipeline.
#[derive(Debug, Default)]
pub struct Status {
    /// The source's.
    pub source: SourceStatus,
    /// Those of tables that are copied.
    pub copies: Copies,
    /// The plugins', in the order of the chain; a swap may change the list.
    pub plugins: PluginList,
    /// Tables whose delivered name or columns a swap has changed.
    pub schema_changes: Number,
    /// The sinks', in the order of the pipeline file.
    pub sinks: Vec<SinkStatus>,
    /// Set once every plugin has been configured, the source is connected and every sink is open.
    pub started: AtomicBool,
    /// What cannot be reached yet at the start.
    pub waiting: Waiting,
    /// What of the configuration has no effect.
    pub warnings: Warnings,
    /// The memory of batches, once the pipeline has one.
    pub budget: OnceLock<Arc<Budget>>,
    /// Set when the pipeline begins to drain.
    pub stopping: AtomicBool,
    /// Set when the pipeline has ended, also when threads of it could not be ended in time: those write and commit nothing more.
    pub ended: AtomicBool,
}

/// What an operator should look at while the pipeline runs: the first of them.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    /// Adds one; those beyond the bound are only in the log.
    pub fn add(&self, warning: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < SHOWN_WARNINGS {
            all.push(warning);
        }
    }

    /// Those there are no longer stand.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// All of them.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the start of a pipeline waits for, with the reason: `the source`, `the sink ...`.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<BTreeMap<String, String>>);

impl Waiting {
    /// `who` cannot be reached, and is tried again.
    pub fn begin(&self, who: &str, reason: &str) {
        self.map().insert(who.to_owned(), reason.to_owned());
    }

    /// `who` has been reached, or failed for good. Whether it was waited for.
    pub fn end(&self, who: &str) -> bool {
        self.map().remove(who).is_some()
    }

    /// What is waited for, each with its reason.
    pub fn all(&self) -> Vec<(String, String)> {
        self.map().iter().map(|(who, reason)| (who.clone(), reason.clone())).collect()
    }

    // a panic elsewhere leaves no entry half done
    fn map(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The source's numbers.
#[derive(Debug, Default)]
pub struct SourceStatus {
    connected: AtomicBool,
    heard_us: AtomicI64,
    event_us: AtomicI64,
    /// Connections made after the first.
    pub reconnects: Number,
    /// Times that the heartbeat statement was run.
    pub heartbeats: Number,
    /// Times that it failed.
    pub heartbeat_failures: Number,
    /// Changes read.
    pub changes: Number,
    /// Bytes of source data read.
    pub bytes: Number,
    /// Batches read.
    pub batches: Number,
    /// Statements or rows of the log that were skipped by policy.
    pub skipped: Number,
    /// How near the sinks' places are to what it removes of its log.
    pub log_margin: LogMargins,
    /// Records of the log that could not be read and were set aside by policy.
    pub dead_lettered: Number,
    /// Tables that are to be read, and are not there, not tracked, or not to be seen.
    pub absent_tables: Number,
    /// Times that a table was read to its end.
    pub finished_tables: Number,
    /// Times that all tables of a schema were read to their end.
    pub finished_schemas: Number,
    /// Times that all tables were read to their end.
    pub no_more_data: Number,
}

impl SourceStatus {
    /// The connection stands (again).
    pub fn connect(&self) {
        self.connected.store(true, Ordering::Relaxed);
        self.hear();
    }

    /// The connection broke.
    pub fn disconnect(&self) {
        self.connected.store(false, Ordering::Relaxed);
    }

    /// Something, be it a heartbeat, came from the server.
    pub fn hear(&self) {
        self.heard_us.store(now_us(), Ordering::Relaxed);
    }

    /// Whether the connection stands.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// When something last came from the server, microseconds since 1970; 0 = never.
    pub fn heard_us(&self) -> i64 {
        self.heard_us.load(Ordering::Relaxed)
    }

    /// Notes the time at which the source executed the newest event read; 0 tells that everything has been read (idle).
    pub fn see_event(&self, time_us: i64) {
        self.event_us.store(time_us, Ordering::Relaxed);
    }

    /// How far behind the source the newest event read is, in microseconds. 0 when everything has been read, which heartbeats of the
    /// server confirm; without a connection, what was written since the server was last heard is not known, and the time counts.
    pub fn lag_us(&self) -> i64 {
        let since = match self.event_us.load(Ordering::Relaxed) {
            0 if self.is_connected() => return 0,
            0 => self.heard_us(),
            event => event,
        };
        if since == 0 { 0 } else { (now_us() - since).max(0) }
    }
}

/// The plugins of the chain that runs. A plugin keeps its numbers, by name, when the chain is swapped.
#[derive(Debug, Default)]
pub struct PluginList(RwLock<Arc<[Arc<PluginStatus>]>>);

impl PluginList {
    /// The plugins as they are now, in the order of the chain.
    pub fn all(&self) -> Arc<[Arc<PluginStatus>]> {
        // a panic elsewhere leaves the last list whole
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The numbers of the plugin of this name, if it is in the chain.
    pub fn named(&self, name: &str) -> Option<Arc<PluginStatus>> {
        self.all().iter().find(|p| p.name == name).cloned()
    }

    /// The plugins of the chain that has taken over.
    pub fn replace(&self, plugins: impl Into<Arc<[Arc<PluginStatus>]>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = plugins.into();
    }
}

impl FromIterator<PluginStatus> for PluginList {
    fn from_iter<T: IntoIterator<Item = PluginStatus>>(plugins: T) -> Self {
        Self(RwLock::new(plugins.into_iter().map(Arc::new).collect()))
    }
}

/// Which component a plugin is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComponentId {
    /// The name that it gives itself.
    pub name: String,
    /// The version that it gives itself.
    pub version: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// SHA-256 of the version that a rollback brings back; empty = there is none.
    pub previous_sha256: String,
}

/// A plugin's numbers.
#[derive(Debug, Default)]
pub struct PluginStatus {
    /// Its name in the pipeline file.
    pub name: String,
    /// Its component: set at start and at each swap.
    pub component: RwLock<ComponentId>,
    /// Calls of `apply`.
    pub calls: Number,
    /// Row images handed to `apply`.
    pub rows: Number,
    /// Time spent in `apply`, nanoseconds, packing included.
    pub nanoseconds: Number,
    /// Changes that it filtered away.
    pub filtered: Number,
    /// Swaps that took over.
    pub swaps: Number,
    /// Files that were refused.
    pub refused_files: Number,
    /// Changes skipped by policy.
    pub skipped: Number,
    /// Changes set aside in the dead-letter file.
    pub dead_lettered: Number,
    /// Changes delivered by policy although it could not handle them.
    pub passed_through: Number,
    /// Times that it was started again after a failure.
    pub restarts: Number,
    /// Traps, timeouts and nonsense answers.
    pub failures: Number,
}

impl PluginStatus {
    /// No numbers yet, for the plugin of this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The component in force; empty before the start.
    pub fn component(&self) -> ComponentId {
        // a panic elsewhere leaves the last version whole
        self.component.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes which component is in force.
    pub fn set_component(&self, component: ComponentId) {
        *self.component.write().unwrap_or_else(PoisonError::into_inner) = component;
    }
}

/// A sink's numbers.
#[derive(Debug, Default)]
pub struct SinkStatus {
    /// Its name in the pipeline file.
    pub name: String,
    /// Records written.
    pub records: Number,
    /// Bytes written.
    pub bytes: Number,
    /// Checkpoints made.
    pub checkpoints: Number,
    /// Sequence number up to which everything is durable.
    pub durable: Number,
    /// Records skipped by policy.
    pub skipped: Number,
    /// Records set aside in the dead-letter file.
    pub dead_lettered: Number,
    /// Transactions of the source that a sink, which is to commit them whole, committed in parts.
    pub cut_transactions: Number,
    /// How long it gathers before it makes anything durable, in milliseconds, where that is longer than the pipeline's interval.
    pub gathers_ms: Number,
    /// Whether it goes with the others.
    pub apart: Apart,
}
