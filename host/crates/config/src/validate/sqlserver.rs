//! The SQL Server source.

use std::time::Duration;

use super::{
    super::{
        ChangeHeaders, Isolation, SqlLogin, SqlServerSource, SqlTls, TrackedStart, TrackedTables, UnknownTypes, WholeName,
        raw::{
            RawChangeHeaders, RawInvalidText, RawIsolation, RawLostPosition, RawRecordMode, RawSqlServer, RawSqlTls, RawTableOrder,
            RawTrackedStart, RawTrackedTables, RawUnknownTypes, RawVisitStrategy,
        },
    },
    check::Check,
    server::is_loopback,
};
use sluicegate_model::limits::{
    MOST_CONTEXTS, MOST_CUT, MOST_DATABASES, MOST_TRACKED_ENTRIES, MOST_VISIT_BATCHES, MOST_VISIT_ROWS, SQL_SERVER_THREADS,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Bytes of a context, as the server bounds it.
const CONTEXT_BYTES: usize = 128;

impl Check<'_> {
    pub(super) fn sqlserver(&mut self, raw: RawSqlServer) -> SqlServerSource {
        let host = self.text("source.host".into(), raw.host, "a host name or address");
        let port = raw.port.unwrap_or(1433);
        if port == 0 {
            self.refuse("source.port", "0 is not a port", "write the server's TCP port, usually 1433");
        }
        let login = match (raw.user, raw.password, raw.entra_token) {
            (None, None, Some(token)) => SqlLogin::Token(self.secret("source.entra_token", token)),
            (Some(user), Some(password), None) => SqlLogin::Password {
                user: self.text("source.user".into(), user, "the login's name"),
                password: self.secret("source.password", password),
            },
            (user, ..) => {
                self.refuse("source.user", "this does not say who connects", "write `user` and `password`, or `entra_token`");
                SqlLogin::Password { user: user.unwrap_or_default(), password: super::super::Secret::new("") }
            }
        };
        let tls = match raw.tls {
            Some(RawSqlTls::Disabled) => SqlTls::Disabled,
            Some(RawSqlTls::Required) => SqlTls::Required,
            Some(RawSqlTls::VerifyIdentity) => SqlTls::VerifyIdentity,
            Some(RawSqlTls::Strict) => SqlTls::Strict,
            None if is_loopback(&host) => SqlTls::Disabled,
            None => SqlTls::VerifyIdentity,
        };
        if matches!((&login, tls), (SqlLogin::Token(_), SqlTls::Disabled)) {
            self.refuse("source.entra_token", "a token would be sent in plain text", "write `tls: verify-identity`");
        }
        let ca_file = raw.ca_file.map(|path| self.path("source.ca_file", &path));
        if ca_file.is_some() && matches!(tls, SqlTls::Disabled | SqlTls::Required) {
            let remedy = "write `tls: verify-identity`, or leave this out";
            self.refuse("source.ca_file", "certificates are not checked with this `tls`", remedy);
        }
        if raw.tables.len() > MOST_TRACKED_ENTRIES {
            self.refuse(
                "source.tables",
                format!("there are {} entries", raw.tables.len()),
                format!("write at most {MOST_TRACKED_ENTRIES}"),
            );
        }
        let databases = self.databases(raw.database, raw.databases);
        let mut tables: Vec<TrackedTables> = Vec::new();
        for (i, entry) in raw.tables.into_iter().enumerate() {
            tables.push(self.tracked(&format!("source.tables[{i}]"), entry, &databases));
        }
        if tables.is_empty() {
            tables.push(TrackedTables { database: None, schema: "dbo".into(), like: "%".into(), exclude: None, start: TrackedStart::Now });
        }
        let tracking_only = matches!(raw.record, Some(RawRecordMode::TrackingOnly));
        let re_initialise = matches!(raw.lost_position, Some(RawLostPosition::ReInitialise));
        if raw.batches_per_visit.is_some() && matches!(raw.strategy, Some(RawVisitStrategy::DrainTable)) {
            self.refuse(
                "source.batches_per_visit",
                "with `strategy: drain-table` a visit has no end but the table's",
                "leave one of them out",
            );
        }
        for (name, number) in [("queries_per_second", raw.queries_per_second), ("copy_rows_per_second", raw.copy_rows_per_second)] {
            if number == Some(0) {
                self.refuse(format!("source.{name}"), "nothing at all", "write 1 or more, or leave it out to go as fast as possible");
            }
        }
        let cuts = raw.text_limit.is_some() || raw.binary_limit.is_some();
        if cuts && matches!(raw.headers, Some(RawChangeHeaders::None)) {
            let remedy = "write `headers: plain`, or leave `text_limit` and `binary_limit` out";
            self.refuse("source.headers", "values that are cut have to say so, which a header does", remedy);
        }
        let text_limit = raw.text_limit.map(|limit| self.count("source.text_limit", Some(limit), 1, 1, MOST_CUT) as usize);
        let binary_limit = raw.binary_limit.map(|limit| self.size("source.binary_limit", Some(limit), 1, 1, MOST_CUT) as usize);
        let batches = self.count("source.batches_per_visit", raw.batches_per_visit, 16, 1, MOST_VISIT_BATCHES);
        SqlServerSource {
            host,
            port,
            databases,
            login,
            tls,
            ca_file,
            read_only_intent: raw.read_only_intent.unwrap_or(false),
            tables,
            tracking_only,
            headers: match raw.headers {
                Some(RawChangeHeaders::None) => ChangeHeaders::None,
                Some(RawChangeHeaders::Streamsets) => ChangeHeaders::StreamSets,
                Some(RawChangeHeaders::Plain) | None => ChangeHeaders::Plain,
            },
            re_initialise,
            interval: self.time("source.interval", raw.interval, Duration::from_secs(10), Duration::from_millis(10), DAY),
            queries_per_second: raw.queries_per_second,
            // just held below a bound that fits
            threads: self.count("source.threads", raw.threads, 1, 1, SQL_SERVER_THREADS) as usize,
            batches_per_visit: (!matches!(raw.strategy, Some(RawVisitStrategy::DrainTable))).then_some(batches),
            alphabetical: matches!(raw.order, Some(RawTableOrder::Alphabetical)),
            retries: self.count("source.retries", raw.retries, 10, 0, 1000),
            query_timeout: self.time("source.query_timeout", raw.query_timeout, Duration::from_secs(300), Duration::from_secs(1), DAY),
            initial_query: raw.initial_query.map(|text| self.text("source.initial_query".into(), text, "a batch of SQL, or leave it out")),
            isolation: match raw.isolation {
                None | Some(RawIsolation::Auto) => Isolation::Auto,
                Some(RawIsolation::Snapshot) => Isolation::Snapshot,
                Some(RawIsolation::ReadCommitted) => Isolation::ReadCommitted,
                Some(RawIsolation::RepeatableRead) => Isolation::RepeatableRead,
                Some(RawIsolation::Serializable) => Isolation::Serializable,
            },
            ignore_context: self.contexts(&raw.ignore_context),
            unknown_types: match raw.unknown_types {
                None | Some(RawUnknownTypes::Stop) => UnknownTypes::Stop,
                Some(RawUnknownTypes::Text) => UnknownTypes::Text,
                Some(RawUnknownTypes::Skip) => UnknownTypes::Skip,
            },
            replace_invalid_text: matches!(raw.invalid_text, Some(RawInvalidText::Replace)),
            copy_rows_per_second: raw.copy_rows_per_second,
            fetch_rows: self.count("source.fetch_rows", raw.fetch_rows, MOST_VISIT_ROWS, 1, MOST_VISIT_ROWS),
            idle_timeout: self.time("source.idle_timeout", raw.idle_timeout, 10 * MINUTE, SECOND, DAY),
            max_lifetime: self.time("source.max_lifetime", raw.max_lifetime, 30 * MINUTE, SECOND, DAY),
            text_limit,
            binary_limit,
            events: raw.events.unwrap_or(false),
            no_more_data_delay: self.time("source.no_more_data_delay", raw.no_more_data_delay, Duration::ZERO, Duration::ZERO, DAY),
            until_drained: false,
        }
    }

    fn databases(&mut self, one: Option<String>, several: Vec<String>) -> Vec<String> {
        const EXAMPLE: &str = "the database's name";
        let databases: Vec<String> = match (one, several.is_empty()) {
            (Some(one), true) => vec![self.text("source.database".into(), one, EXAMPLE)],
            (None, false) => {
                several.into_iter().enumerate().map(|(i, name)| self.text(format!("source.databases[{i}]"), name, EXAMPLE)).collect()
            }
            (Some(_), false) => {
                self.refuse("source.databases", "`database` says it, too", "write one of the two");
                Vec::new()
            }
            (None, true) => {
                self.refuse("source.database", "no database is named", "write `database`, or several as `databases: [a, b]`");
                Vec::new()
            }
        };
        if databases.len() > MOST_DATABASES {
            self.refuse("source.databases", format!("there are {}", databases.len()), format!("write at most {MOST_DATABASES}"));
        }
        for (i, name) in databases.iter().enumerate() {
            if databases.iter().take(i).any(|other| other.eq_ignore_ascii_case(name)) {
                self.refuse(format!("source.databases[{i}]"), format!("`{name}` is named twice"), "name it once");
            }
        }
        databases
    }

    fn tracked(&mut self, path: &str, raw: RawTrackedTables, databases: &[String]) -> TrackedTables {
        if let Some(database) = &raw.database
            && !databases.is_empty()
            && !databases.contains(database)
        {
            let remedy = "write one of the source's `databases`, or leave it out for all of them";
            self.refuse(format!("{path}.database"), format!("the source does not read the database `{database}`"), remedy);
        }
        let exclude = raw.exclude.and_then(|text| {
            let exclude = WholeName::new(&text);
            if exclude.is_none() {
                self.refuse(
                    format!("{path}.exclude"),
                    "this is not a regular expression",
                    "write one that matches the whole name of a table, e.g. `dept.*`",
                );
            }
            exclude
        });
        TrackedTables {
            database: raw.database,
            schema: self.text(format!("{path}.schema"), raw.schema.unwrap_or_else(|| "dbo".into()), "the schema's name"),
            like: self.text(format!("{path}.like"), raw.like.unwrap_or_else(|| "%".into()), "a LIKE pattern, e.g. `ord%`"),
            exclude,
            start: match raw.start {
                None | Some(RawTrackedStart::Now) => TrackedStart::Now,
                Some(RawTrackedStart::SnapshotFirst) => TrackedStart::Copy,
                Some(RawTrackedStart::After(version)) => TrackedStart::After(version.cast_signed()),
            },
        }
    }

    fn contexts(&mut self, raw: &[String]) -> Vec<Vec<u8>> {
        if raw.len() > MOST_CONTEXTS {
            self.refuse("source.ignore_context", format!("there are {} contexts", raw.len()), format!("write at most {MOST_CONTEXTS}"));
        }
        let mut contexts = Vec::new();
        for (i, text) in raw.iter().take(MOST_CONTEXTS).enumerate() {
            match hexadecimal(text).filter(|bytes| bytes.len() <= CONTEXT_BYTES) {
                Some(bytes) => contexts.push(bytes),
                None => self.refuse(
                    format!("source.ignore_context[{i}]"),
                    "this is not a context",
                    "write up to 128 bytes as hexadecimal text in quotes, e.g. '0x5379'",
                ),
            }
        }
        contexts
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?.as_bytes();
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
