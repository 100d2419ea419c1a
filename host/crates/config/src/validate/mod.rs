//! From the raw pipeline file to a [`Pipeline`] whose every value is usable. All faults are collected, each with its path.

mod check;
mod dead_letter;
mod format;
mod kafka_security;
mod kafka_source;
mod keys;
mod labels;
mod limits;
mod plugin;
mod registry;
mod routing;
mod server;
mod sink;
mod snapshot;
mod source;
mod sqlserver;
mod transactions;

use std::{collections::HashSet, net::SocketAddr, path::Path};

use check::Check;

use super::{
    Pipeline, Plugin, Sink, SinkKind, Source, StartAt, Unlogged, WhenSlow,
    problem::Problem,
    raw::{RawDeadLetter, RawHttp, RawPipeline, RawSink, RawSource, RawStart},
};
use sluicegate_model::limits::MOST_WORKERS;

/// Plugins in a chain, at most.
const MOST_PLUGINS: usize = 64;
/// Sinks of a pipeline, at most.
const MOST_SINKS: usize = 16;

/// Checks everything. Relative paths are taken from `base`.
pub(super) fn validate(raw: RawPipeline, base: &Path) -> Result<Pipeline, Vec<Problem>> {
    let mut check = Check { base, problems: Vec::new() };
    let pipeline = check.pipeline(raw);
    if check.problems.is_empty() { Ok(pipeline) } else { Err(check.problems) }
}

/// Where a sink begins; `None` when that is not one place.
pub(super) fn start(raw: RawStart) -> Option<StartAt> {
    let mut check = Check { base: Path::new(""), problems: Vec::new() };
    let start = check.start("start", raw);
    check.problems.is_empty().then_some(start)
}

impl Check<'_> {
    fn pipeline(&mut self, raw: RawPipeline) -> Pipeline {
        self.name("name", &raw.name);
        self.labels(&raw.labels);
        let state = match &raw.state {
            Some(path) => self.path("state", path),
            None => self.base.join("sluicegate-state").join(format!("{}.db", raw.name)),
        };
        let beside = state.parent().unwrap_or(self.base).to_owned();
        let dead_letter = self.dead_letters(raw.dead_letter.as_ref(), &beside, &raw.name);
        let cache = match &raw.cache {
            Some(path) => self.path("cache", path),
            None => beside.join("cache"),
        };
        let mut source = match raw.source {
            RawSource::Generator(generator) => Source::Generator(self.generator(&generator)),
            RawSource::SqlServer(sqlserver) => Source::SqlServer(self.sqlserver(sqlserver)),
            RawSource::Kafka(kafka) => Source::Kafka(self.kafka_source(kafka)),
            RawSource::MySql(mysql) => Source::MySql(self.mysql(mysql)),
        };
        if raw.plugins.len() > MOST_PLUGINS {
            self.refuse("plugins", format!("there are {} plugins", raw.plugins.len()), format!("use at most {MOST_PLUGINS}"));
        }
        let plugins: Vec<Plugin> = raw.plugins.into_iter().enumerate().map(|(i, p)| self.plugin(&format!("plugins[{i}]"), p)).collect();
        self.names_differ("plugins", plugins.iter().map(|p| p.name.as_str()));
        if raw.sinks.is_empty() {
            self.refuse("sinks", "there is no sink", "add one, e.g. `- { type: file, folder: ./out }`");
        } else if raw.sinks.len() > MOST_SINKS {
            self.refuse("sinks", format!("there are {} sinks", raw.sinks.len()), format!("use at most {MOST_SINKS}"));
        }
        let name = raw.name;
        let delivery_timeouts: Vec<bool> = raw.sinks.iter().map(RawSink::has_delivery_timeout).collect();
        let mut sinks: Vec<Sink> =
            raw.sinks.into_iter().enumerate().map(|(i, s)| self.sink(&format!("sinks[{i}]"), &name, &raw.labels, s)).collect();
        self.names_differ("sinks", sinks.iter().map(|s| s.name.as_str()));
        self.outputs_differ(&sinks);
        self.copies_have_one_stream(&source, &sinks);
        self.group_has_one_sink(&source, &mut sinks, &delivery_timeouts);
        self.group_hides_nothing(&source, &plugins);
        self.schema_changes(&mut source, &sinks);
        self.transactions_of_source(&source, &sinks);
        self.ids_of_source(&source, &sinks);
        let letter_topic = self.letter_topic(raw.dead_letter, &mut sinks);
        let admin = raw.http.as_ref().is_some_and(|http| http.0.admin);
        let http = raw.http.and_then(|http| self.http(&http));
        if admin && http.is_some_and(|address| !address.ip().is_loopback()) {
            self.refuse(
                "http.admin",
                "other machines can reach this address, and whoever does could run plugins of their own: there is no authentication",
                "write `listen: 127.0.0.1:8080`, and reach it from elsewhere through an SSH tunnel",
            );
        }
        let workers = raw.workers.unwrap_or(1);
        if workers == 0 || workers > MOST_WORKERS as u64 {
            self.refuse("workers", "this number is out of bounds", format!("write a number from 1 to {MOST_WORKERS}"));
        }
        let limits = limits::limits(self, &raw.limits);
        self.group_commits_often(&source, &limits);
        let limits = limits::paced(limits, sinks.iter().map(|sink| sink.rate));
        // just held below a bound that fits
        let workers = workers as usize;
        let labels = raw.labels;
        Pipeline { file: None, name, labels, source, plugins, sinks, state, dead_letter, letter_topic, cache, http, admin, workers, limits }
    }

    fn names_differ<'a>(&mut self, section: &str, names: impl Iterator<Item = &'a str>) {
        let mut seen = HashSet::new();
        for (i, name) in names.enumerate() {
            if !seen.insert(name) {
                self.refuse(
                    format!("{section}[{i}]"),
                    format!("a second one with the name `{name}`"),
                    format!("give it a name of its own, e.g. `name: {name}-2`"),
                );
            }
        }
    }

    /// Tables are copied anew at a place in the stream that all sinks share.
    fn copies_have_one_stream(&mut self, source: &Source, sinks: &[Sink]) {
        let Source::MySql(source) = source else { return };
        let copies = source.statements == Unlogged::Copy || source.rows_by_ddl == Unlogged::Copy;
        if copies && sinks.iter().any(|sink| sink.when_slow == WhenSlow::Apart) {
            self.refuse(
                "source",
                "tables cannot be copied anew (`copy` in `statements` or `rows_by_ddl`) while a sink may go apart",
                "write `stop` or `warn` there, or `when_slow: hold` at the sinks",
            );
        }
    }

    /// Asks the source for changes of schemas where a sink tells them.
    fn schema_changes(&mut self, source: &mut Source, sinks: &[Sink]) {
        let Some(telling) = sinks.iter().position(|sink| sink.schema_changes) else { return };
        match source {
            Source::MySql(mysql) => mysql.schema_changes = true,
            Source::Generator(_) | Source::SqlServer(_) | Source::Kafka(_) | Source::DeadLetters(_) => self.refuse(
                format!("sinks[{telling}].schema_changes"),
                "this source tells no statements that change schemas",
                "remove it: only MySQL and MariaDB log them",
            ),
        }
    }

    /// Two sinks that write the same files would destroy each other's.
    fn outputs_differ(&mut self, sinks: &[Sink]) {
        let mut seen = HashSet::new();
        for (i, sink) in sinks.iter().enumerate() {
            let SinkKind::File(file) = &sink.kind else { continue };
            if !seen.insert((file.folder.clone(), file.prefix.clone())) {
                self.refuse(
                    format!("sinks[{i}]"),
                    "another sink writes files of this prefix into this folder",
                    "give it another `folder` or `prefix`",
                );
            } else if seen.iter().any(|(folder, prefix)| {
                *prefix == file.prefix && *folder != file.folder && (folder.starts_with(&file.folder) || file.folder.starts_with(folder))
            }) {
                self.refuse(
                    format!("sinks[{i}]"),
                    "its folder and that of another sink with this prefix lie one inside the other, where plugins may choose subfolders",
                    "give it another `folder` or `prefix`",
                );
            }
        }
        if let Some(second) = sinks.iter().enumerate().filter(|(_, s)| matches!(s.kind, SinkKind::Stdout)).nth(1) {
            self.refuse(format!("sinks[{}]", second.0), "a second sink of type `stdout`", "keep one of them");
        }
    }

    fn http(&mut self, raw: &RawHttp) -> Option<SocketAddr> {
        let listen = raw.0.listen.replace("localhost:", "127.0.0.1:");
        match listen.parse::<SocketAddr>() {
            Err(_) => {
                self.refuse("http", "this is not an address with a port", "write an IP address and a port, e.g. `127.0.0.1:8080`");
                None
            }
            Ok(address) if !address.ip().is_loopback() && !raw.0.allow_remote => {
                self.refuse(
                    "http",
                    "other machines can reach this address, and there is no authentication",
                    "write `127.0.0.1:8080`, or allow it: `http: { listen: …, allow_remote: true }`",
                );
                None
            }
            Ok(address) => Some(address),
        }
    }
}
