//! The SQL Server source.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected, Visitor},
};
use std::borrow::Cow;

use super::{
    super::quantity::{Size, Time},
    secret::RawSecret,
};

/// Tables of a SQL Server database that have Change Tracking.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SqlServer")]
pub(crate) struct RawSqlServer {
    /// Host name or address; of an availability group its listener.
    pub host: String,
    /// TCP port. Default: 1433.
    pub port: Option<u16>,
    /// The database.
    pub database: Option<String>,
    /// Several databases of the server, in place of `database`. The login needs its grants in each.
    #[serde(default)]
    pub databases: Vec<String>,
    /// Login of the server. It needs VIEW CHANGE TRACKING on the tables, and SELECT on them (in `record: tracking-only` on their key).
    pub user: Option<String>,
    /// Its password.
    pub password: Option<RawSecret>,
    /// An access token of Microsoft Entra ID, in place of user and password.
    pub entra_token: Option<RawSecret>,
    /// `disabled`, `required` (encrypted, the certificate is not checked), `verify-identity`, or `strict` (TDS 8, SQL Server 2022).
    /// Default: `disabled` for a loopback address, `verify-identity` for every other.
    pub tls: Option<RawSqlTls>,
    /// CA certificates (PEM) that are trusted beside the public ones.
    pub ca_file: Option<String>,
    /// Whether the connection says that it only reads (`ApplicationIntent=ReadOnly`): an availability group's listener may send it to a
    /// readable secondary, on which Change Tracking is refused. Default: false.
    pub read_only_intent: Option<bool>,
    /// Which tables. A table that several entries match belongs to the first of them. Default: all tables of the schema `dbo`.
    #[serde(default)]
    pub tables: Vec<RawTrackedTables>,
    /// `current-row`: each change with the row as it is now; `tracking-only`: with its key alone, for which no SELECT on other columns is
    /// needed. Default: `current-row`.
    pub record: Option<RawRecordMode>,
    /// What is delivered beside each record: `plain` (`change_version`, …), `streamsets` (`jdbc.SYS_CHANGE_VERSION`, …) or `none`.
    /// Default: `plain`.
    pub headers: Option<RawChangeHeaders>,
    /// When the server cannot give the changes after a table's place (cleanup, TRUNCATE, tracking enabled anew, a restored database):
    /// `stop`, or `re-initialise`: the table is emptied (a truncate) and copied anew. Default: `stop`.
    pub lost_position: Option<RawLostPosition>,
    /// Time between two polls. Default: `10s`.
    pub interval: Option<Time>,
    /// Queries for changes and rows a second, all threads together. Default: no bound.
    #[schemars(range(min = 1))]
    pub queries_per_second: Option<u64>,
    /// Tables that are read at a time, each on a connection of its own. 1 to 64. Default: 1.
    #[schemars(range(min = 1, max = 64))]
    pub threads: Option<u64>,
    /// `switch-tables`: after `batches_per_visit` batches the next table has its turn; `drain-table`: once a table has no further changes.
    /// Default: `switch-tables`.
    pub strategy: Option<RawVisitStrategy>,
    /// Batches of `limits.batch_changes` that are read of a table before the next has its turn; a table that has had turns and has more gets
    /// longer ones, unless a table waits for its first. Default: 16.
    #[schemars(range(min = 1))]
    pub batches_per_visit: Option<u64>,
    /// In which order tables are read first: `listed` (as in `tables`, then as they were created) or `alphabetical`. Default: `listed`.
    pub order: Option<RawTableOrder>,
    /// How often a query that fails as the victim of a deadlock, of a lock, a timeout or a concurrent schema change is tried again.
    /// Default: 10.
    pub retries: Option<u64>,
    /// How long one query may take before its connection is dropped. Default: `5m`.
    pub query_timeout: Option<Time>,
    /// A batch that each connection runs first.
    pub initial_query: Option<String>,
    /// `auto`: SNAPSHOT where the database allows it, else READ COMMITTED; or one of the levels. Default: `auto`.
    pub isolation: Option<RawIsolation>,
    /// Changes that were written with one of these contexts (`WITH CHANGE_TRACKING_CONTEXT`) are left out: hexadecimal, `0x…`.
    #[serde(default)]
    pub ignore_context: Vec<String>,
    /// Columns of a type that this program does not know: `stop`, `text` (as the server converts it) or `skip`. Default: `stop`.
    pub unknown_types: Option<RawUnknownTypes>,
    /// Text that is no valid Unicode (half of a surrogate pair): `stop`, or `replace` with U+FFFD. Default: `stop`.
    pub invalid_text: Option<RawInvalidText>,
    /// Rows that one query for changes or rows asks for, at most. Default: 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub fetch_rows: Option<u64>,
    /// How long a connection may wait for work before it is closed. Default: `10m`.
    pub idle_timeout: Option<Time>,
    /// How long a connection is used before another one takes its place. Default: `30m`.
    pub max_lifetime: Option<Time>,
    /// Characters at which values of `varchar(max)`, `nvarchar(max)`, `text`, `ntext` and `xml` are cut. The header `change_truncated`
    /// names the columns, and how long their whole values are. Default: they are never cut.
    pub text_limit: Option<u64>,
    /// Bytes at which values of `varbinary(max)` and `image` are cut, in the same way. Default: they are never cut.
    pub binary_limit: Option<Size>,
    /// Whether outputs get the events `table-finished`, `schema-finished` and `no-more-data`, as rows of the table `sluicegate.events`.
    /// Default: false; log and metrics have them in any case.
    pub events: Option<bool>,
    /// How long all tables have to be read to their end before `no-more-data` is told. Default: `0s`.
    pub no_more_data_delay: Option<Time>,
    /// Rows a second that copies of tables read, each thread. Default: as fast as possible.
    #[schemars(range(min = 1))]
    pub copy_rows_per_second: Option<u64>,
}

/// Tables by their names.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TrackedTables")]
pub(crate) struct RawTrackedTables {
    /// The one of `databases` that it is for. Default: each of them.
    pub database: Option<String>,
    /// The schema. Default: `dbo`.
    pub schema: Option<String>,
    /// A LIKE pattern of the server. Default: `%`, all.
    pub like: Option<String>,
    /// A regular expression: tables whose whole name it matches are left out.
    pub exclude: Option<String>,
    /// Where a table begins that has no progress: `now`, `snapshot-first` (a copy of its rows, then the changes since), or a version:
    /// changes with a greater one are delivered. Default: `now`.
    pub start: Option<RawTrackedStart>,
}

/// `now`, `snapshot-first` or a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RawTrackedStart {
    Now,
    SnapshotFirst,
    After(u64),
}

impl<'de> Deserialize<'de> for RawTrackedStart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Start;
        impl Visitor<'_> for Start {
            type Value = RawTrackedStart;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`now`, `snapshot-first` or a version")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<RawTrackedStart, E> {
                match v {
                    "now" => Ok(RawTrackedStart::Now),
                    "snapshot-first" => Ok(RawTrackedStart::SnapshotFirst),
                    _ => Err(E::invalid_value(Unexpected::Str(v), &self)),
                }
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<RawTrackedStart, E> {
                if i64::try_from(v).is_ok() { Ok(RawTrackedStart::After(v)) } else { Err(E::invalid_value(Unexpected::Unsigned(v), &self)) }
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<RawTrackedStart, E> {
                // what other programs write for it
                if v == -1 { Ok(RawTrackedStart::Now) } else { Err(E::invalid_value(Unexpected::Signed(v), &self)) }
            }
        }
        deserializer.deserialize_any(Start)
    }
}

impl JsonSchema for RawTrackedStart {
    fn schema_name() -> Cow<'static, str> {
        "TrackedStart".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{"enum": ["now", "snapshot-first"]}, {"type": "integer", "minimum": -1}] })
    }
}

/// How the connection is protected.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "SqlServerTls")]
pub(crate) enum RawSqlTls {
    Disabled,
    Required,
    VerifyIdentity,
    Strict,
}

/// What a record holds.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "RecordMode")]
pub(crate) enum RawRecordMode {
    CurrentRow,
    TrackingOnly,
}

/// What stands beside a record.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "ChangeHeaders")]
pub(crate) enum RawChangeHeaders {
    None,
    Plain,
    Streamsets,
}

/// What to do where changes are lost.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "LostPosition")]
pub(crate) enum RawLostPosition {
    Stop,
    ReInitialise,
}

/// How threads go from table to table.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "VisitStrategy")]
pub(crate) enum RawVisitStrategy {
    SwitchTables,
    DrainTable,
}

/// Which tables are read first.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "TableOrder")]
pub(crate) enum RawTableOrder {
    Listed,
    Alphabetical,
}

/// Under which isolation level queries run.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Isolation")]
pub(crate) enum RawIsolation {
    Auto,
    Snapshot,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// What to do about columns of unknown types.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "UnknownTypes")]
pub(crate) enum RawUnknownTypes {
    Stop,
    Text,
    Skip,
}

/// What to do about text that is no Unicode.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "InvalidText")]
pub(crate) enum RawInvalidText {
    Stop,
    Replace,
}
