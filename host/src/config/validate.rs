//! From the raw pipeline file to a [`Pipeline`] whose every value is usable. All faults are collected, each with its path.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::Read as _,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    FileSink, GeneratorSource, Grants, KafkaSink, Keyless, MySqlSource, OnError, Pipeline, Plugin, PluginOrigin, PluginVersions,
    RecordFormat, Roll, STANDARD_PLUGINS, Secret, Sink, SinkKind, Source, StartAt, TablePatterns, TlsMode, bounds,
    problem::{Problem, list, nearest},
    quantity::{Size, Time},
    raw::{
        RawFileSink, RawFormat, RawGenerator, RawGrant, RawHttp, RawKafkaSink, RawKeyless, RawMemberVersions, RawMySql, RawOnError,
        RawPipeline, RawPlugin, RawPluginOnError, RawPluginVersions, RawRoll, RawSecret, RawSink, RawSource, RawStart, RawStartWord,
        RawTls,
    },
};
use crate::limits::MOST_WORKERS;

/// A secret's file of more bytes is refused.
const MOST_SECRET_BYTES: u64 = 64 << 10;
/// Plugins in a chain, at most.
const MOST_PLUGINS: usize = 64;
/// Sinks of a pipeline, at most.
const MOST_SINKS: usize = 16;
/// A name's length, at most: names become parts of file names.
const MOST_NAME_BYTES: usize = 64;

/// Checks everything. Relative paths are taken from `base`.
pub(super) fn validate(raw: RawPipeline, base: &Path) -> Result<Pipeline, Vec<Problem>> {
    let mut check = Check { base, problems: Vec::new() };
    let pipeline = check.pipeline(raw);
    if check.problems.is_empty() { Ok(pipeline) } else { Err(check.problems) }
}

/// Collects faults. After one, the value handed on is a stand-in that never leaves this module.
pub(super) struct Check<'a> {
    base: &'a Path,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// Notes a fault at `path`.
    pub fn refuse(&mut self, path: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem { path: path.into(), line: 0, what: what.into(), remedy: remedy.into() });
    }

    fn pipeline(&mut self, raw: RawPipeline) -> Pipeline {
        self.name("name", &raw.name);
        let state = match &raw.state {
            Some(path) => self.path("state", path),
            None => self.base.join("sluicegate-state").join(format!("{}.db", raw.name)),
        };
        let beside = state.parent().unwrap_or(self.base).to_owned();
        let dead_letter = match &raw.dead_letter {
            Some(path) => self.path("dead_letter", path),
            None => beside.join(format!("{}-dead-letters", raw.name)),
        };
        let cache = match &raw.cache {
            Some(path) => self.path("cache", path),
            None => beside.join("cache"),
        };
        let source = match raw.source {
            RawSource::Generator(generator) => Source::Generator(self.generator(&generator)),
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
        let sinks: Vec<Sink> = raw.sinks.into_iter().enumerate().map(|(i, s)| self.sink(&format!("sinks[{i}]"), &name, s)).collect();
        self.names_differ("sinks", sinks.iter().map(|s| s.name.as_str()));
        self.outputs_differ(&sinks);
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
        let limits = bounds::limits(self, &raw.limits);
        // just held below a bound that fits
        let workers = workers as usize;
        Pipeline { file: None, name, source, plugins, sinks, state, dead_letter, cache, http, admin, workers, limits }
    }

    /// A name for logs, labels and file names.
    fn name(&mut self, path: &str, name: &str) {
        let fits = !name.is_empty()
            && name.len() <= MOST_NAME_BYTES
            && !name.starts_with(['.', '-'])
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !fits {
            self.refuse(
                path,
                "this is not usable as a name",
                format!("use letters, digits, `-`, `_` and `.`, at most {MOST_NAME_BYTES}, with a letter, a digit or `_` in front"),
            );
        }
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

    fn path(&mut self, at: &str, path: &str) -> PathBuf {
        if path.is_empty() || path.contains('\0') {
            self.refuse(at, "this is not a path", "write a path; a relative one starts at the pipeline file's folder");
        }
        // `./` in the middle says nothing
        self.base.join(path).components().collect()
    }

    fn text(&mut self, path: String, text: String, example: &str) -> String {
        if text.trim().is_empty() {
            self.refuse(path, "this is empty", format!("write {example}"));
        }
        text
    }

    fn secret(&mut self, path: &str, raw: RawSecret) -> Secret {
        let file = match raw {
            RawSecret::Text(text) => return Secret::new(text),
            RawSecret::File(file) => self.path(path, &file),
        };
        let mut text = String::new();
        let read = File::open(&file).and_then(|f| f.take(MOST_SECRET_BYTES + 1).read_to_string(&mut text));
        match read {
            // the error of bytes that are not UTF-8 does not quote them
            Err(error) => self.refuse(
                path,
                format!("the secret's file {} cannot be read: {error}", file.display()),
                "give the path of a text file that this account can read",
            ),
            Ok(_) if text.len() as u64 > MOST_SECRET_BYTES => self.refuse(
                path,
                format!("the secret's file {} has more than {}", file.display(), Size(MOST_SECRET_BYTES)),
                "give the path of the file that holds only the secret",
            ),
            Ok(_) => {}
        }
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Secret::new(text)
    }

    /// A time within bounds.
    pub fn time(&mut self, path: &str, time: Option<Time>, default: Duration, least: Duration, most: Duration) -> Duration {
        let time = time.map_or(default, |t| t.0);
        if time < least || time > most {
            self.refuse(path, "this time is out of bounds", format!("write a time from {} to {}", Time(least), Time(most)));
        }
        time
    }

    fn tables(&mut self, path: &str, patterns: &[String]) -> TablePatterns {
        for (i, pattern) in patterns.iter().enumerate() {
            let bare = pattern.strip_prefix('!').unwrap_or(pattern);
            if bare.trim() != bare || !(bare.contains('.') || bare == "*") || bare.starts_with('.') || bare.ends_with('.') {
                self.refuse(
                    format!("{path}[{i}]"),
                    "this is not a table pattern",
                    "write `database.table`, where `*` and `?` stand for any characters, e.g. `shop.*`; `!` in front excludes",
                );
            }
        }
        TablePatterns::new(patterns)
    }

    fn generator(&mut self, raw: &RawGenerator) -> GeneratorSource {
        if raw.rate == Some(0) {
            self.refuse("source.rate", "no changes a second", "write 1 or more, or leave it out to go as fast as possible");
        }
        if raw.changes == Some(0) {
            self.refuse("source.changes", "no changes at all", "write 1 or more, or leave it out to go on for ever");
        }
        GeneratorSource { seed: raw.seed.unwrap_or(1), rate: raw.rate, changes: raw.changes }
    }

    fn mysql(&mut self, raw: RawMySql) -> MySqlSource {
        let host = self.text("source.host".into(), raw.host, "a host name or address");
        let port = raw.port.unwrap_or(3306);
        if port == 0 {
            self.refuse("source.port", "0 is not a port", "write the server's TCP port, usually 3306");
        }
        if raw.server_id == Some(0) {
            self.refuse("source.server_id", "0 is not a replica's id", "write 1 or more, or leave it out");
        }
        let tls = match raw.tls {
            Some(RawTls::Disabled) => TlsMode::Disabled,
            Some(RawTls::Required) => TlsMode::Required,
            Some(RawTls::VerifyIdentity) => TlsMode::VerifyIdentity,
            None if is_loopback(&host) => TlsMode::Disabled,
            None => TlsMode::VerifyIdentity,
        };
        let ca_file = raw.ca_file.map(|path| self.path("source.ca_file", &path));
        if ca_file.is_some() && tls != TlsMode::VerifyIdentity {
            self.refuse(
                "source.ca_file",
                "certificates are not checked with this `tls`",
                "write `tls: verify-identity`, or leave this out",
            );
        }
        let tables = self.tables("source.tables", &raw.tables);
        MySqlSource {
            host,
            port,
            user: self.text("source.user".into(), raw.user, "the account's name"),
            password: raw.password.map_or_else(|| Secret::new(""), |s| self.secret("source.password", s)),
            tls,
            ca_file,
            server_id: raw.server_id,
            tables,
            start: self.start(raw.start.unwrap_or_default()),
            heartbeat: self.time(
                "source.heartbeat",
                raw.heartbeat,
                Duration::from_secs(5),
                Duration::from_millis(100),
                Duration::from_secs(3600),
            ),
        }
    }

    fn start(&mut self, raw: RawStart) -> StartAt {
        match (raw.word, raw.position.file, raw.position.gtid) {
            (Some(RawStartWord::Earliest), ..) => StartAt::Earliest,
            (Some(RawStartWord::Now), ..) => StartAt::Now,
            (None, Some(file), None) => StartAt::File {
                file: self.text("source.start.file".into(), file, "a binlog file's name, e.g. `binlog.000003`"),
                position: match raw.position.position {
                    // a binlog file begins with four magic bytes
                    Some(position) if position < 4 => {
                        self.refuse("source.start.position", "no event begins here", "write 4, the file's first event, or more");
                        position
                    }
                    position => position.unwrap_or(4),
                },
            },
            (None, None, Some(gtid)) if raw.position.position.is_none() => {
                StartAt::Gtid(self.text("source.start.gtid".into(), gtid, "GTIDs, e.g. `0-2001-5`"))
            }
            (None, None, None) if raw.position.position.is_none() => StartAt::Now,
            _ => {
                self.refuse(
                    "source.start",
                    "this does not name one position",
                    "write `now`, `earliest`, `{ file: binlog.000003, position: 4 }` or `{ gtid: … }`",
                );
                StartAt::Now
            }
        }
    }

    fn plugin(&mut self, path: &str, raw: RawPlugin) -> Plugin {
        let (origin, default_name) = match (raw.standard, raw.file) {
            (Some(name), None) => {
                if !STANDARD_PLUGINS.contains(&name.as_str()) {
                    let remedy = match nearest(&name, STANDARD_PLUGINS) {
                        Some(near) => format!("did you mean `{near}`? A plugin of your own goes under `file`"),
                        None => format!("write {}, or `file: ./plugin.wasm` for a plugin of your own", list(STANDARD_PLUGINS)),
                    };
                    self.refuse(format!("{path}.use"), "unknown standard plugin", remedy);
                }
                (PluginOrigin::Embedded(name.clone()), name)
            }
            (None, Some(file)) => {
                let file = self.path(&format!("{path}.file"), &file);
                let stem = file.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
                (PluginOrigin::File(file), stem)
            }
            (standard, _) => {
                let what = if standard.is_some() { "both `use` and `file` are there" } else { "neither `use` nor `file` is there" };
                self.refuse(path, what, format!("write `use:` with {}, or `file: ./plugin.wasm`", list(STANDARD_PLUGINS)));
                (PluginOrigin::Embedded(String::new()), "plugin".into())
            }
        };
        let name = raw.name.unwrap_or(default_name);
        self.name(&format!("{path}.name"), &name);
        Plugin {
            name,
            origin,
            tables: self.tables(&format!("{path}.tables"), &raw.tables),
            config: raw.config.map_or_else(|| "null".into(), |c| c.0.to_string()),
            on_error: match raw.on_error {
                None | Some(RawPluginOnError::Stop) => OnError::Stop,
                Some(RawPluginOnError::Skip) => OnError::Skip,
                Some(RawPluginOnError::DeadLetter) => OnError::DeadLetter,
                Some(RawPluginOnError::PassThrough) => OnError::PassThrough,
            },
            grants: Grants {
                clock: raw.grants.iter().any(|g| matches!(g, RawGrant::Clock)),
                random: raw.grants.iter().any(|g| matches!(g, RawGrant::Random)),
            },
        }
    }

    fn sink(&mut self, path: &str, pipeline: &str, raw: RawSink) -> Sink {
        let (name, format, policy, plugin_versions, kind) = match raw {
            RawSink::Stdout(raw) => {
                (raw.name.unwrap_or_else(|| "stdout".into()), raw.format, raw.on_error, member(raw.plugin_versions), SinkKind::Stdout)
            }
            RawSink::File(raw) => {
                let name = raw.name.clone().unwrap_or_else(|| "file".into());
                (name, raw.format, raw.on_error, member(raw.plugin_versions), self.file(path, pipeline, raw))
            }
            RawSink::Kafka(raw) => {
                let name = raw.name.clone().unwrap_or_else(|| "kafka".into());
                let versions = match raw.plugin_versions {
                    None | Some(RawPluginVersions::None) => PluginVersions::Omitted,
                    Some(RawPluginVersions::Member) => PluginVersions::Member,
                    Some(RawPluginVersions::Header) => PluginVersions::Header,
                };
                (name, raw.format, raw.on_error, versions, self.kafka(path, raw))
            }
        };
        self.name(&format!("{path}.name"), &name);
        let format = match format {
            None | Some(RawFormat::Debezium) => RecordFormat::Debezium,
            Some(RawFormat::Flat) => RecordFormat::Flat,
        };
        Sink { name, format, plugin_versions, on_error: on_error(policy), kind }
    }

    fn file(&mut self, path: &str, pipeline: &str, raw: RawFileSink) -> SinkKind {
        let prefix = raw.prefix.unwrap_or_else(|| pipeline.to_owned());
        self.name(&format!("{path}.prefix"), &prefix);
        if raw.zstd.is_some_and(|level| !(1..=19).contains(&level)) {
            self.refuse(format!("{path}.zstd"), "there is no such zstd level", "write a level from 1 (fast) to 19 (small)");
        }
        let folder = self.path(&format!("{path}.folder"), &raw.folder);
        SinkKind::File(FileSink { folder, prefix, roll: self.roll(path, &raw.roll), zstd: raw.zstd })
    }

    fn roll(&mut self, path: &str, raw: &RawRoll) -> Roll {
        let bytes = bounds::size(self, &format!("{path}.roll.bytes"), raw.bytes, 256 << 20, 4 << 10, 1 << 40);
        let every = raw.every.map(|every| {
            let most = Duration::from_secs(366 * 24 * 3600);
            self.time(&format!("{path}.roll.every"), Some(every), Duration::ZERO, Duration::from_millis(100), most)
        });
        Roll { bytes, every }
    }

    fn kafka(&mut self, path: &str, raw: RawKafkaSink) -> SinkKind {
        let mut options = BTreeMap::new();
        for (name, value) in raw.options {
            let at = format!("{path}.options.{name}");
            if let Some(reason) = super::refused_option(&name) {
                self.refuse(&at, format!("this setting is not free: {reason}"), "remove it");
            }
            let value = self.secret(&at, value.0);
            options.insert(name, value);
        }
        let topic = raw.topic.unwrap_or_else(|| "{database}.{table}".into());
        if let Err((what, remedy)) = topic_template(&topic) {
            self.refuse(format!("{path}.topic"), what, remedy);
        }
        SinkKind::Kafka(KafkaSink {
            brokers: self.text(format!("{path}.brokers"), raw.brokers, "`host:port`, several separated by commas"),
            topic,
            tombstones: raw.tombstones.unwrap_or(true),
            keyless: match raw.keyless {
                None | Some(RawKeyless::Stop) => Keyless::Stop,
                Some(RawKeyless::WholeRow) => Keyless::WholeRow,
                Some(RawKeyless::NoKey) => Keyless::NoKey,
            },
            delivery_timeout: self.time(
                &format!("{path}.delivery_timeout"),
                raw.delivery_timeout,
                Duration::from_secs(120),
                Duration::from_secs(1),
                Duration::from_secs(24 * 3600),
            ),
            options,
        })
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

fn on_error(raw: Option<RawOnError>) -> OnError {
    match raw {
        None | Some(RawOnError::Stop) => OnError::Stop,
        Some(RawOnError::Skip) => OnError::Skip,
        Some(RawOnError::DeadLetter) => OnError::DeadLetter,
    }
}

fn member(raw: Option<RawMemberVersions>) -> PluginVersions {
    match raw {
        None | Some(RawMemberVersions::None) => PluginVersions::Omitted,
        Some(RawMemberVersions::Member) => PluginVersions::Member,
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether the template's placeholders are known and the rest can stand in a topic's name.
fn topic_template(template: &str) -> Result<(), (&'static str, &'static str)> {
    let mut rest = template.to_owned();
    for placeholder in ["{database}", "{schema}", "{table}"] {
        rest = rest.replace(placeholder, "x");
    }
    if rest.contains(['{', '}']) {
        return Err(("unknown placeholder", "use only `{database}`, `{schema}` and `{table}`"));
    }
    if rest.is_empty() || !rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err(("Kafka allows no such topic name", "use letters, digits, `.`, `_`, `-` and the placeholders"));
    }
    Ok(())
}
