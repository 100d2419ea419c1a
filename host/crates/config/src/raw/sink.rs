//! The sinks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::quantity::{Size, Time},
    format::RawFormat,
    kafka_security::{RawKafkaTls, RawSasl},
    keys::{RawColumns, RawKeyWord, RawPartitionWord, RawTableKeys},
    secret::{RawOption, RawSecret},
    source::RawStart,
    topics::RawTopics,
};

/// What becomes of a record that cannot be delivered.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "OnError")]
pub(crate) enum RawOnError {
    Stop,
    Skip,
    DeadLetter,
}

/// How a record of a sink without headers tells which plugins made it.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "MemberVersions")]
pub(crate) enum RawMemberVersions {
    None,
    Member,
}

/// How a record of Kafka tells which plugins made it.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "PluginVersions")]
pub(crate) enum RawPluginVersions {
    None,
    Member,
    Header,
}

/// What becomes of the others when an output is slow or fails.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "WhenSlow")]
pub(crate) enum RawWhenSlow {
    Hold,
    Apart,
}

/// Where changes go.
#[derive(Deserialize, JsonSchema)]
#[schemars(tag = "type", rename = "Sink")]
#[allow(clippy::large_enum_variant, reason = "a few values a process")]
pub(crate) enum RawSink {
    /// NDJSON files in a folder.
    #[serde(rename = "file")]
    File(RawFileSink),
    /// A Kafka cluster.
    #[serde(rename = "kafka")]
    Kafka(RawKafkaSink),
    /// Standard output, one record a line.
    #[serde(rename = "stdout")]
    Stdout(RawStdoutSink),
}

impl RawSink {
    /// Whether it says how long a record may wait for its acknowledgement.
    pub(crate) fn has_delivery_timeout(&self) -> bool {
        matches!(self, Self::Kafka(RawKafkaSink { delivery_timeout: Some(_), .. }))
    }
}

/// Standard output.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StdoutSink")]
pub(crate) struct RawStdoutSink {
    /// Its name in the checkpoint, logs and metrics; names differ. Default: `stdout`.
    pub name: Option<String>,
    /// Where the sink begins while it has no progress but others have: `now`, `earliest`, `copy` (with the rows that the tables hold), or
    /// a position as of the source's `start`. Default: none, and then such a start is refused.
    pub start: Option<RawStart>,
    /// The form of the records: a format's name, or `{ type: … }` with options. Default: `debezium`.
    pub format: Option<RawFormat>,
    /// What becomes of a record that cannot be delivered: `stop`, `skip` (and count) or `dead-letter`. Default: `stop`.
    pub on_error: Option<RawOnError>,
    /// Which plugins made a record, with their versions: a `member` of it, or `none`. Default: `none`.
    pub plugin_versions: Option<RawMemberVersions>,
    /// What becomes of the others when this output is slow or fails: they wait for it (`hold`), or it reads on by itself, from where it
    /// is, until it has caught up (`apart`). Default: `hold`.
    pub when_slow: Option<RawWhenSlow>,
    /// Whether changes of tables' schemas are told, between the records of rows. MySQL and MariaDB; formats `debezium`,
    /// `debezium-flattened`, `flat` and `canal`. Default: false.
    pub schema_changes: Option<bool>,
    /// Changes that it takes in a second, at most. Default: as fast as possible.
    #[schemars(range(min = 1))]
    pub rows_per_second: Option<u64>,
    /// Bytes of records that it writes in a second, at most. Default: as fast as possible.
    pub bytes_per_second: Option<Size>,
}

/// NDJSON files in a folder.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FileSink")]
pub(crate) struct RawFileSink {
    /// Its name in the checkpoint, logs and metrics; names differ. Default: `file`.
    pub name: Option<String>,
    /// Where the sink begins while it has no progress but others have: `now`, `earliest`, `copy` (with the rows that the tables hold), or
    /// a position as of the source's `start`. Default: none, and then such a start is refused.
    pub start: Option<RawStart>,
    /// The form of the records: a format's name, or `{ type: … }` with options. Default: `debezium`.
    pub format: Option<RawFormat>,
    /// What becomes of a record that cannot be delivered: `stop`, `skip` (and count) or `dead-letter`. Default: `stop`.
    pub on_error: Option<RawOnError>,
    /// Which plugins made a record, with their versions: a `member` of it, or `none`. Default: `none`.
    pub plugin_versions: Option<RawMemberVersions>,
    /// What becomes of the others when this output is slow or fails: they wait for it (`hold`), or it reads on by itself, from where it
    /// is, until it has caught up (`apart`). Default: `hold`.
    pub when_slow: Option<RawWhenSlow>,
    /// Whether changes of tables' schemas are told, between the records of rows. MySQL and MariaDB; formats `debezium`,
    /// `debezium-flattened`, `flat` and `canal`. Default: false.
    pub schema_changes: Option<bool>,
    /// Changes that it takes in a second, at most. Default: as fast as possible.
    #[schemars(range(min = 1))]
    pub rows_per_second: Option<u64>,
    /// Bytes of records that it writes in a second, at most. Default: as fast as possible.
    pub bytes_per_second: Option<Size>,
    /// The folder; made when it is not there.
    pub folder: String,
    /// Template of folders inside it: `{database}/{table}/{date}`. `{database}`, `{schema}`, `{table}`, `{operation}`, `{date}`, `{hour}` and
    /// `{destination}` (what a plugin chose, else `database.table`) are replaced. Default: no folders; for CSV one for each table.
    pub path: Option<String>,
    /// Tables that meet in one folder because the template leaves out what they differ in: `stop`, or `allow`. A template without
    /// `{table}` gathers tables anyway. Default: `stop`.
    pub shared_path: Option<RawShared>,
    /// Letters of names in a folder: `as-is`, `lower` or `upper`. Default: `as-is`.
    pub name_case: Option<RawNameCase>,
    /// File names are `<prefix>-<number>.ndjson`. Default: the pipeline's name.
    pub prefix: Option<String>,
    /// When a file is closed and the next one begun.
    #[serde(default)]
    pub roll: RawRoll,
    /// zstd level, 1 to 19; files then end in `.zst`, but for Parquet and Avro. Default: no compression; Parquet: Snappy.
    #[schemars(range(min = 1, max = 19))]
    pub zstd: Option<i32>,
}

/// When a file is closed and the next one begun.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Roll")]
pub(crate) struct RawRoll {
    /// After this many bytes on disk. Default: `256MiB`.
    pub bytes: Option<Size>,
    /// After this time, if it holds anything. Parquet and Avro: when all files are finished. Default: never; Parquet and Avro: `60s`.
    pub every: Option<Time>,
}

/// Records that say from time to time that a Kafka sink delivers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Heartbeats")]
pub(crate) struct RawHeartbeats {
    /// The topic. Default: `__debezium-heartbeat.` and the pipeline's name.
    pub topic: Option<String>,
    /// Time from one to the next, at least. Default: 10s.
    pub every: Option<Time>,
}

/// A Kafka cluster.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KafkaSink")]
pub(crate) struct RawKafkaSink {
    /// Its name in the checkpoint, logs and metrics; names differ. Default: `kafka`.
    pub name: Option<String>,
    /// Where the sink begins while it has no progress but others have: `now`, `earliest`, `copy` (with the rows that the tables hold), or
    /// a position as of the source's `start`. Default: none, and then such a start is refused.
    pub start: Option<RawStart>,
    /// The form of the records: a format's name, or `{ type: … }` with options. Default: `debezium`.
    pub format: Option<RawFormat>,
    /// What becomes of a record that cannot be delivered: `stop`, `skip` (and count) or `dead-letter`. Default: `stop`.
    pub on_error: Option<RawOnError>,
    /// Which plugins made a record, with their versions: a `header` beside it, a `member` of it, or `none`. Default: `none`.
    pub plugin_versions: Option<RawPluginVersions>,
    /// What becomes of the others when this output is slow or fails: they wait for it (`hold`), or it reads on by itself, from where it
    /// is, until it has caught up (`apart`). Default: `hold`.
    pub when_slow: Option<RawWhenSlow>,
    /// The topic to which changes of tables' schemas are told, keyed by the database. MySQL and MariaDB; formats `debezium`,
    /// `debezium-flattened`, `flat` and `canal`. Default: none.
    pub schema_changes: Option<String>,
    /// Records that say from time to time that the sink delivers, also while no rows come. Not with `avro`. Default: none.
    pub heartbeats: Option<RawHeartbeats>,
    /// Changes that it takes in a second, at most. Default: as fast as possible.
    #[schemars(range(min = 1))]
    pub rows_per_second: Option<u64>,
    /// Bytes of records that it writes in a second, at most. Default: as fast as possible.
    pub bytes_per_second: Option<Size>,
    /// `host:port,…`
    pub brokers: String,
    /// `disabled`, `required` (encrypted; the certificate is not checked), `verify-ca` (the certificate comes from an authority in
    /// `ca_file`) or `verify-identity` (and is for the broker's host). Default: `disabled`; `verify-identity` where `sasl`, `ca_file` or
    /// `cert_file` is set, except for `sasl` alone on a loopback address.
    pub tls: Option<RawKafkaTls>,
    /// CA certificates (PEM) for `verify-ca` and `verify-identity`. Default for `verify-identity`: the system's.
    pub ca_file: Option<String>,
    /// The client's certificate with its chain (PEM), for brokers that ask for one. Default: none.
    pub cert_file: Option<String>,
    /// The private key of `cert_file` (PEM).
    pub key_file: Option<String>,
    /// The password of an encrypted `key_file`. Default: none.
    pub key_password: Option<RawSecret>,
    /// The login at the brokers. Default: none.
    pub sasl: Option<RawSasl>,
    /// Template of the topics. `{database}`, `{schema}`, `{table}`, `{operation}`, `{date}`, `{hour}` and `{destination}` (what a plugin
    /// chose, else `database.table`) are replaced. Default: `{database}.{table}`.
    pub topic: Option<String>,
    /// Tables that meet in one topic because the template leaves out what they differ in: `stop`, or `allow`. A template without `{table}`
    /// gathers tables anyway. Default: `stop`.
    pub shared_topic: Option<RawShared>,
    /// Letters of names in a topic: `as-is`, `lower` or `upper`. Default: `as-is`.
    pub name_case: Option<RawNameCase>,
    /// Topics that are not there: `automatic` (the brokers make them, if they are set to), `must-exist`, or the settings with which the
    /// sink makes them: `{ partitions: 6, replication_factor: 3, config: { cleanup.policy: compact } }`. Default: `automatic`.
    pub topics: Option<RawTopics>,
    /// Whether a delete is followed by a record without a value, which lets a compacted topic forget the key. Default: true.
    pub tombstones: Option<bool>,
    /// The key of records: `primary-key`, `none`, or columns, by the names under which they are delivered: `[customer_id]`. A key that lacks
    /// a column of the primary key gets no tombstones. Default: `primary-key`.
    pub key: Option<RawColumns<RawKeyWord>>,
    /// What decides the partition of records: their `key`, as the Java client has it; `one` partition for all; or columns: a record goes
    /// where one would go that has them as its key. Default: `key`.
    pub partition_by: Option<RawColumns<RawPartitionWord>>,
    /// Keys and partitions of single tables; the first entry that selects a table and says something of it counts.
    #[serde(default)]
    pub per_table: Vec<RawTableKeys>,
    /// Headers of all records that tell of the change: `operation`, `position` (lane, place in the log, transaction), `source-time`, and
    /// `labels` (those of the pipeline). Default: none.
    #[serde(default)]
    pub headers: Vec<RawHeader>,
    /// Tables without a primary key, where that is to be the key: `stop`, `whole-row` (all columns are the key) or `no-key` (one partition). Default: `stop`.
    pub keyless: Option<RawKeyless>,
    /// `at-least-once`: after a crash, the records since the last checkpoint come again, in the same order. `exactly-once`: records are
    /// written in transactions together with the sink's progress; consumers have to read with `isolation.level=read_committed`.
    /// Default: `at-least-once`.
    pub delivery: Option<RawDelivery>,
    /// With `exactly-once`: names the sink to the brokers; no other sink may have it. Default: `sluicegate.PIPELINE.SINK`.
    pub transactional_id: Option<String>,
    /// With `exactly-once`: the compacted topic that holds the sink's progress; it is made if it is not there. Default:
    /// `sluicegate.positions.PIPELINE.SINK`.
    pub positions_topic: Option<String>,
    /// With `exactly-once`: where transactions of Kafka may end: anywhere (`none`), or only where one of the source ends
    /// (`source-transactions`), so that consumers never see half of one. Default: `none`.
    pub align: Option<RawAlign>,
    /// With `align`: a transaction of the source that takes more than half of `limits.kafka_queue_bytes`, or longer than half of the
    /// transactions' timeout, is committed in parts (`cut`, with a warning), or an error (`stop`). Default: `cut`.
    pub long_transactions: Option<RawLongTransactions>,
    /// How long a record may wait for its acknowledgement before the pipeline stops. Default: `2m`.
    pub delivery_timeout: Option<Time>,
    /// Further librdkafka settings, e.g. `linger.ms`. Those that would break order or durability are refused.
    #[serde(default)]
    pub options: BTreeMap<String, RawOption>,
}

/// Tables that meet because a template leaves out what they differ in.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Shared")]
pub(crate) enum RawShared {
    Stop,
    Allow,
}

/// A header that tells of a change.
#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "RecordHeader")]
pub(crate) enum RawHeader {
    Operation,
    Position,
    SourceTime,
    Labels,
}

/// Letters of names in a destination.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "NameCase")]
pub(crate) enum RawNameCase {
    AsIs,
    Lower,
    Upper,
}

/// What a Kafka sink promises.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Delivery")]
pub(crate) enum RawDelivery {
    AtLeastOnce,
    ExactlyOnce,
}

/// Where transactions of Kafka may end.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Align")]
pub(crate) enum RawAlign {
    None,
    SourceTransactions,
}

/// Transactions of the source that do not fit into one of Kafka's.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "LongTransactions")]
pub(crate) enum RawLongTransactions {
    Cut,
    Stop,
}

/// Tables without a primary key.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Keyless")]
pub(crate) enum RawKeyless {
    Stop,
    WholeRow,
    NoKey,
}
