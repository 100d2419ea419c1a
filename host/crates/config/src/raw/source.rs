//! The source: a server, or the generator.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{
        self, MapAccess, Unexpected, Visitor,
        value::{MapAccessDeserializer, StrDeserializer},
    },
};

use super::{
    super::quantity::{Size, Time},
    kafka_source::RawKafkaSource,
    secret::RawSecret,
    snapshot::RawSnapshot,
    sqlserver::RawSqlServer,
};

/// Where changes come from.
#[derive(Deserialize, JsonSchema)]
#[schemars(tag = "type", rename = "Source")]
#[allow(clippy::large_enum_variant, reason = "one value a process")]
pub(crate) enum RawSource {
    /// The binlog of a MySQL or MariaDB server.
    #[serde(rename = "mysql")]
    MySql(RawMySql),
    /// Tables of a SQL Server database that have Change Tracking.
    #[serde(rename = "sqlserver")]
    SqlServer(RawSqlServer),
    /// Topics of a Kafka cluster.
    #[serde(rename = "kafka")]
    Kafka(RawKafkaSource),
    /// The embedded generator of a small shop's changes.
    #[serde(rename = "generator")]
    Generator(RawGenerator),
}

/// The embedded generator.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Generator")]
pub(crate) struct RawGenerator {
    /// The same seed gives the same changes. Default: 1.
    pub seed: Option<u64>,
    /// Changes a second. Default: as fast as possible.
    pub rate: Option<u64>,
    /// How many changes in all; with `lanes` or `turbulence` in each lane, up to the end of a transaction. Default: without an end.
    pub changes: Option<u64>,
    /// Lanes, each with a shop of its own: with more than one, the databases are `shop_1`, `shop_2` and so on. Meant for tests.
    /// Default: 1.
    #[schemars(range(min = 1, max = 64))]
    pub lanes: Option<u16>,
    /// Seed of a disorder, meant for tests: at each start lanes interleave and transactions come in another order; lanes fail,
    /// begin while the stream runs, and begin anew. The rows stay the same. Also one lane's database is then `shop_1`. Default:
    /// everything in order.
    pub turbulence: Option<u64>,
}

/// A MySQL or MariaDB server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MySql")]
pub(crate) struct RawMySql {
    /// Host name or address. This, `hosts` or `socket`.
    pub host: Option<String>,
    /// Servers of which each may take the place of another, in the order in which they are tried: `host` or `host:port`. All of them
    /// have to have the same transactions, with GTIDs.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The server's Unix socket, on this machine.
    pub socket: Option<String>,
    /// TCP port. Default: 3306.
    pub port: Option<u16>,
    /// Account; it needs REPLICATION SLAVE, REPLICATION CLIENT and SELECT on the captured tables.
    pub user: String,
    /// Its password. One that stands in a file is read again for each connection. Default: none.
    pub password: Option<RawSecret>,
    /// `disabled`, `preferred` (encrypted where the server can), `required` (encrypted; the certificate is not checked), `verify-ca` (the
    /// certificate comes from an authority in `ca_file`) or `verify-identity` (and is for this host). Default: `disabled` for a loopback
    /// address or a socket, `verify-identity` for every other.
    pub tls: Option<RawTls>,
    /// CA certificates (PEM) for `verify-ca` and `verify-identity`. Default for `verify-identity`: the public ones. With this file, a
    /// compressed transaction (`binlog_transaction_compression`) takes the memory that it unpacks to.
    pub ca_file: Option<String>,
    /// The client's certificate with its chain (PEM), for accounts with `REQUIRE X509`. Read again for each connection. Default: none.
    pub cert_file: Option<String>,
    /// The private key of `cert_file` (PEM, not encrypted).
    pub key_file: Option<String>,
    /// The id under which to register as a replica; no other replica of the server may have it. Default: another
    /// one at each start.
    #[schemars(range(min = 1))]
    pub server_id: Option<u32>,
    /// Which tables: `database.table` patterns with `*` and `?`; backticks around a name that holds a dot; `!` in front excludes.
    /// Default: all.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Where to start when there is no checkpoint yet. Default: `now`.
    pub start: Option<RawStart>,
    /// Whether the rows that the tables hold already are read, too, before their changes. Default: `never`.
    pub snapshot: Option<RawSnapshot>,
    /// How often the server has to say that it is there; or `{ every, statement }`, with a statement that is run on it as often.
    /// Default: `5s`, and no statement.
    pub heartbeat: Option<RawHeartbeat>,
    /// Changes that are read from the log in a second, at most. Default: as fast as possible.
    #[schemars(range(min = 1))]
    pub rows_per_second: Option<u64>,
    /// Source data that is read from the log in a second, at most. Default: as fast as possible.
    pub bytes_per_second: Option<Size>,
    /// `full`: stop at a row of which the server did not log every column (`binlog_row_image` MINIMAL or NOBLOB). `partial`:
    /// deliver such rows without the columns that are not known. Default: `full`.
    pub row_image: Option<RawRowImage>,
    /// When rows of captured tables may be changed by a statement that the log holds in place of the rows: `stop`; `warn`, which
    /// counts it and goes on without these changes; or `copy`, which copies these tables anew. Default: `stop`.
    pub statements: Option<RawUnlogged>,
    /// When a schema change takes rows of a captured table along, gives it some, or changes their values, without naming them
    /// (`DROP PARTITION`, `MODIFY` to a shorter type, …):
    /// `warn`, which counts it; `stop`; or `copy`, which copies the table anew. Default: `warn`.
    pub rows_by_ddl: Option<RawUnlogged>,
}

/// Whether rows may lack columns.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "RowImage")]
pub(crate) enum RawRowImage {
    Full,
    Partial,
}

/// What to do about changes whose rows the log does not hold.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Unlogged")]
pub(crate) enum RawUnlogged {
    /// The pipeline stops in front of them.
    Stop,
    /// A warning names the table; they are counted.
    Warn,
    /// The table is copied anew.
    Copy,
}

/// How a connection is protected.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Tls")]
pub(crate) enum RawTls {
    Disabled,
    Preferred,
    Required,
    VerifyCa,
    VerifyIdentity,
}

/// How often, or that with a statement.
#[derive(Default)]
pub(crate) struct RawHeartbeat(pub RawHeartbeatSettings);

/// Signs of life in both directions.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Heartbeat")]
pub(crate) struct RawHeartbeatSettings {
    /// How often the server has to say that it is there, and the statement is run. Default: `5s`.
    pub every: Option<Time>,
    /// A statement for the server, e.g. one that updates the row of a heartbeat table. Default: none, and nothing is ever written.
    pub statement: Option<String>,
}

impl<'de> Deserialize<'de> for RawHeartbeat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Heartbeat;
        impl<'de> Visitor<'de> for Heartbeat {
            type Value = RawHeartbeat;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with its unit, such as `500ms`, `30s` or `12h`, or `{ every: 1s, statement: \"UPDATE …\" }`")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<RawHeartbeat, E> {
                let every = Time::deserialize(StrDeserializer::<E>::new(v)).map_err(|_| E::invalid_value(Unexpected::Str(v), &self))?;
                Ok(RawHeartbeat(RawHeartbeatSettings { every: Some(every), statement: None }))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawHeartbeat, A::Error> {
                RawHeartbeatSettings::deserialize(MapAccessDeserializer::new(map)).map(RawHeartbeat)
            }
        }
        deserializer.deserialize_any(Heartbeat)
    }
}

impl JsonSchema for RawHeartbeat {
    fn schema_name() -> Cow<'static, str> {
        "HeartbeatSetting".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (time, settings) = (generator.subschema_for::<Time>(), generator.subschema_for::<RawHeartbeatSettings>());
        json_schema!({ "anyOf": [time, settings] })
    }
}

/// `now`, `earliest`, or a position.
#[derive(Default)]
pub(crate) struct RawStart {
    pub word: Option<RawStartWord>,
    pub position: RawStartPosition,
}

/// A start without numbers.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "StartWord")]
pub(crate) enum RawStartWord {
    /// With what is written from now on.
    Now,
    /// At the oldest position that the server still has.
    Earliest,
    /// Only of a sink: with the rows that the tables hold, and then with what is written from now on.
    Copy,
}

/// `file` with `position`, or `gtid`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StartPosition")]
pub(crate) struct RawStartPosition {
    /// A binlog file's name, e.g. `binlog.000003`.
    pub file: Option<String>,
    /// Byte position in that file, at the start of an event. Default: 4, the first.
    pub position: Option<u64>,
    /// GTIDs after which to start: `uuid:1-5,…` (MySQL) or `0-2001-5,…` (MariaDB).
    pub gtid: Option<String>,
}

impl<'de> Deserialize<'de> for RawStart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Start;
        impl<'de> Visitor<'de> for Start {
            type Value = RawStart;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`now`, `earliest`, `{ file: binlog.000003, position: 4 }` or `{ gtid: … }`")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<RawStart, E> {
                let word =
                    RawStartWord::deserialize(StrDeserializer::<E>::new(v)).map_err(|_| E::invalid_value(Unexpected::Str(v), &self))?;
                Ok(RawStart { word: Some(word), ..RawStart::default() })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawStart, A::Error> {
                let position = RawStartPosition::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RawStart { word: None, position })
            }
        }
        deserializer.deserialize_any(Start)
    }
}

impl JsonSchema for RawStart {
    fn schema_name() -> Cow<'static, str> {
        "Start".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (word, position) = (generator.subschema_for::<RawStartWord>(), generator.subschema_for::<RawStartPosition>());
        json_schema!({ "anyOf": [word, position] })
    }
}
