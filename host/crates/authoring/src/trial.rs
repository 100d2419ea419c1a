//! A plugin over changes from a file, through the engine and chain of a pipeline.

use std::{path::Path, sync::Arc};

use serde_json::{Map, Value as Json, json};

use super::{record, rows::Rows};
use sluicegate_config::{OnError, Plugin, PluginOrigin, TablePatterns};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_model::{Error, ErrorKind, Result, change::Batch, limits::Limits};
use sluicegate_plugin_host::{self as plugin, Chain, Compiled, KnownTables, Member, Surroundings};
use sluicegate_status::Status;

/// A plugin with a configuration, compiled.
pub struct Subject {
    settings: Arc<Plugin>,
    compiled: Compiled,
    limits: Limits,
    /// Where dead letters would go; the policy is to stop, so nothing is written there.
    folder: std::path::PathBuf,
}

impl Subject {
    /// Compiles a plugin: a file, or the name of a standard plugin. `config` is JSON text.
    pub fn new(plugin: &Path, config: &str) -> Result<Self> {
        let limits = super::limits();
        let embedded = plugin.to_str().and_then(|name| Some((name, plugin::embedded(name)?)));
        let (bytes, origin) = match embedded {
            Some((name, bytes)) if !plugin.exists() => (bytes.to_vec(), PluginOrigin::Embedded(name.to_owned())),
            _ => (plugin::read(plugin, &limits)?, PluginOrigin::File(plugin.to_owned())),
        };
        let name = plugin.file_stem().map_or_else(|| "plugin".into(), |stem| stem.to_string_lossy().into_owned());
        Self::compiled(&bytes, name, origin, config).map_err(|e| e.context(plugin.display()))
    }

    /// The plugin that reads every column and changes nothing.
    pub(super) fn no_op() -> Result<Self> {
        Self::compiled(plugin::NO_OP, "no-op".into(), PluginOrigin::Embedded("no-op".into()), "null")
    }

    fn compiled(bytes: &[u8], name: String, origin: PluginOrigin, config: &str) -> Result<Self> {
        let limits = super::limits();
        let engine = super::engine()?;
        let compiled = engine.compile(bytes, &limits)?;
        // what it asks for is for its author to know: `plugin inspect` says it
        let settings = Plugin {
            name,
            origin,
            tables: TablePatterns::default(),
            config: config.to_owned(),
            on_error: OnError::Stop,
            grants: compiled.needs,
            fail_closed: false,
        };
        Ok(Self { settings: Arc::new(settings), compiled, limits, folder: std::env::temp_dir() })
    }

    /// The plugin in a chain of its own.
    pub(super) fn chain(&self) -> Result<Chain> {
        let around = Surroundings {
            limits: Arc::new(self.limits.clone()),
            status: Arc::new(Status::default()),
            dead_letters: Arc::new(DeadLetters::new(&self.folder, 0)),
            known: Arc::new(KnownTables::new(self.limits.known_tables)),
            capabilities: Default::default(),
        };
        // what an author hands over with `--config` is the usage of a command
        let usage = |error: Error| match error.kind() == ErrorKind::Plugin && error.message().contains(plugin::REFUSES_CONFIG) {
            true => error.with_kind(ErrorKind::Config),
            false => error,
        };
        Chain::new(&[Member { settings: self.settings.clone(), compiled: self.compiled.clone() }], around).map_err(usage)
    }

    /// Who the plugin says it is: name and version.
    pub fn title(&self) -> Result<String> {
        let chain = self.chain()?;
        Ok(chain.descriptions().next().map_or_else(String::new, |d| format!("{} {}", d.name, d.version)))
    }
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It is delivered, so.
    Delivered(Map<String, Json>),
    /// It is not delivered.
    Dropped,
    /// The plugin refused it or failed on it, with this message.
    Failed(String),
}

/// A change and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Its line in the file, from 1.
    pub line: usize,
    /// As it was read.
    pub read: Map<String, Json>,
    /// What became of it.
    pub fate: Fate,
}

impl Outcome {
    /// The record of the answer: what is delivered, or which change failed and why; nothing for a change that was dropped.
    pub fn record(&self) -> Option<Json> {
        match &self.fate {
            Fate::Delivered(record) => Some(record.clone().into()),
            Fate::Dropped => None,
            Fate::Failed(message) => {
                let of = |key: &str| self.read.get(key).cloned().unwrap_or_default();
                Some(json!({ "table": of("table"), "op": of("op"), "failed": message }))
            }
        }
    }
}

/// What a plugin did with all changes of a file.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// In the order of the file.
    pub outcomes: Vec<Outcome>,
}

impl Trial {
    /// Runs the changes in batches, as a pipeline would. A batch that fails is run again change by change, so that the changes
    /// at fault are told.
    pub fn run(subject: &Subject, rows: &Rows) -> Result<Self> {
        let mut outcomes = Vec::with_capacity(rows.len());
        // what is wrong with the plugin or its configuration is no fault of a row
        let mut chain = subject.chain()?;
        let mut from = 0;
        while from < rows.len() {
            let count = subject.limits.batch_changes.min(rows.len() - from);
            let batch = rows.batch(from, count)?;
            if let Ok(answer) = chain.apply(batch.clone()) {
                outcomes.extend(told(rows, from, &batch, &answer));
            } else {
                for index in from..from + count {
                    let batch = rows.batch(index, 1)?;
                    chain = subject.chain()?;
                    outcomes.extend(match chain.apply(batch.clone()) {
                        Ok(answer) => told(rows, index, &batch, &answer),
                        Err(error) => {
                            let read = batch.changes.iter().map(|change| record::change(&batch, change)).next().unwrap_or_default();
                            vec![Outcome { line: rows.line(index), read, fate: Fate::Failed(error.message().to_owned()) }]
                        }
                    });
                }
                chain = subject.chain()?;
            }
            from += count;
        }
        Ok(Self { outcomes })
    }

    /// The answer's records, one for each change that was not dropped.
    pub fn records(&self) -> Vec<Json> {
        self.outcomes.iter().filter_map(Outcome::record).collect()
    }
}

/// The outcomes of a batch's changes. Each stands in an event of its own, whose number stays, whatever is filtered before it.
fn told(rows: &Rows, from: usize, batch: &Batch, answer: &Batch) -> Vec<Outcome> {
    let mut delivered: Vec<Option<Map<String, Json>>> = vec![None; batch.changes.len()];
    for change in &answer.changes {
        if let Some(place) = delivered.get_mut(change.event as usize) {
            *place = Some(record::change(answer, change));
        }
    }
    let mut outcomes = Vec::with_capacity(delivered.len());
    for (index, (change, delivered)) in batch.changes.iter().zip(delivered).enumerate() {
        let fate = delivered.map_or(Fate::Dropped, Fate::Delivered);
        outcomes.push(Outcome { line: rows.line(from + index), read: record::change(batch, change), fate });
    }
    outcomes
}
