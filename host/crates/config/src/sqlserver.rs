//! The validated settings of a SQL Server source.

use std::{fmt, path::PathBuf, time::Duration};

use regex_lite::Regex;

use super::Secret;

/// Tables of databases of a SQL Server that have Change Tracking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlServerSource {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The databases, at least one.
    pub databases: Vec<String>,
    /// Who connects.
    pub login: SqlLogin,
    /// Transport security.
    pub tls: SqlTls,
    /// CA certificates (PEM) that are trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Whether the connection says that it only reads.
    pub read_only_intent: bool,
    /// Which tables, at least one entry; the first that matches a table counts.
    pub tables: Vec<TrackedTables>,
    /// Whether records hold the key alone.
    pub tracking_only: bool,
    /// What is delivered beside each record.
    pub headers: ChangeHeaders,
    /// Whether a table whose changes are lost is emptied and copied anew; else the run stops.
    pub re_initialise: bool,
    /// Time between two polls.
    pub interval: Duration,
    /// Queries for changes and rows a second, all threads together.
    pub queries_per_second: Option<u64>,
    /// Tables that are read at a time.
    pub threads: usize,
    /// Batches that are read of a table before another has its first turn; `None` = until it has no further changes.
    pub batches_per_visit: Option<u64>,
    /// Whether tables are first read in the order of their names.
    pub alphabetical: bool,
    /// How often a query that fails for a reason that passes is tried again.
    pub retries: u64,
    /// How long one query may take.
    pub query_timeout: Duration,
    /// A batch that each connection runs first.
    pub initial_query: Option<String>,
    /// Isolation of the queries.
    pub isolation: Isolation,
    /// Changes with one of these contexts are left out.
    pub ignore_context: Vec<Vec<u8>>,
    /// What to do about columns of unknown types.
    pub unknown_types: UnknownTypes,
    /// Whether halves of surrogate pairs become U+FFFD; else they stop the run.
    pub replace_invalid_text: bool,
    /// Rows a second that copies read, each thread.
    pub copy_rows_per_second: Option<u64>,
    /// Rows that one query asks for, at most.
    pub fetch_rows: u64,
    /// How long a connection may wait for work before it is closed.
    pub idle_timeout: Duration,
    /// How long a connection is used before another one is made.
    pub max_lifetime: Duration,
    /// Characters at which large texts are cut.
    pub text_limit: Option<usize>,
    /// Bytes at which large binary values are cut.
    pub binary_limit: Option<usize>,
    /// Whether outputs get events as rows.
    pub events: bool,
    /// How long all tables have to be read to their end before that is told.
    pub no_more_data_delay: Duration,
    /// Whether the run ends once no table has further changes.
    pub until_drained: bool,
}

impl SqlServerSource {
    /// The entries of `tables` that are for a database of the source.
    pub fn tables_of(&self, database: &str) -> Vec<TrackedTables> {
        self.tables.iter().filter(|tables| tables.is_of(database)).cloned().collect()
    }
}

/// Who connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlLogin {
    /// A login of the server.
    Password {
        /// Its name.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// An access token of Microsoft Entra ID.
    Token(Secret),
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlTls {
    /// Plain text.
    Disabled,
    /// TLS without checking the certificate.
    Required,
    /// TLS; the certificate's chain and name are checked.
    VerifyIdentity,
    /// TDS 8: TLS from the first byte; the certificate is checked.
    Strict,
}

/// Tables by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedTables {
    /// The one of the source's databases; `None` = each of them.
    pub database: Option<String>,
    /// The schema.
    pub schema: String,
    /// A LIKE pattern of the server.
    pub like: String,
    /// Tables whose whole name matches are left out.
    pub exclude: Option<WholeName>,
    /// Where a table begins that has no progress.
    pub start: TrackedStart,
}

impl TrackedTables {
    /// Whether it is for tables of a database of the source.
    pub fn is_of(&self, database: &str) -> bool {
        self.database.as_deref().is_none_or(|of| of == database)
    }
}

/// A regular expression that has to match a whole name.
#[derive(Clone)]
pub struct WholeName(Regex);

impl WholeName {
    /// Reads an expression; `None` where it is not one.
    pub fn new(text: &str) -> Option<Self> {
        Regex::new(&format!("^(?:{text})$")).ok().map(Self)
    }

    /// Whether it matches all of `name`.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

impl fmt::Debug for WholeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0.as_str(), f)
    }
}

impl PartialEq for WholeName {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for WholeName {}

/// Where a table begins that has no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackedStart {
    /// With what is changed from now on.
    Now,
    /// With a copy of its rows, and then with the changes since.
    Copy,
    /// With changes of a greater version.
    After(i64),
}

/// What is delivered beside each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeHeaders {
    /// Nothing.
    None,
    /// `change_version` and so on.
    Plain,
    /// `jdbc.SYS_CHANGE_VERSION` and so on, as StreamSets has them.
    StreamSets,
}

/// Isolation of the queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// SNAPSHOT where the database allows it, else READ COMMITTED.
    Auto,
    /// SNAPSHOT; a database that does not allow it is refused.
    Snapshot,
    /// READ COMMITTED.
    ReadCommitted,
    /// REPEATABLE READ.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}

/// What to do about columns of unknown types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownTypes {
    /// The run does not begin.
    Stop,
    /// They are delivered as the server's text.
    Text,
    /// They are left out.
    Skip,
}
