//! The pipeline file as people write it. These types give the keys, their forms and the JSON Schema; [`super::validate`]
//! turns them into [`super::Pipeline`]. The doc comments of the fields are the descriptions in the schema.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{
        self, MapAccess, Unexpected, Visitor,
        value::{MapAccessDeserializer, StrDeserializer},
    },
};

use super::quantity::{Size, Time};

/// One pipeline: a source, plugins in order, sinks.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Pipeline")]
pub(super) struct RawPipeline {
    /// The pipeline's name: labels its logs and metrics and names its files. Letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Where changes come from.
    pub source: RawSource,
    /// What every change passes through, in this order.
    #[serde(default)]
    pub plugins: Vec<RawPlugin>,
    /// Where changes go: every sink gets every change.
    pub sinks: Vec<RawSink>,
    /// The checkpoint, an SQLite file. Default: `sluicegate-state/<name>.db` beside this file.
    pub state: Option<String>,
    /// Folder of the dead-letter files. Default: `<name>-dead-letters` beside the checkpoint.
    pub dead_letter: Option<String>,
    /// Folder of compiled plugins; it can be deleted at any time. Default: `cache` beside the checkpoint.
    pub cache: Option<String>,
    /// Where `/healthz`, `/readyz` and `/metrics` are served. Default: nowhere.
    pub http: Option<RawHttp>,
    /// Threads that batches pass through the plugins on, each with instances of its own; the order stays. 1 to 64. Default: 1.
    #[schemars(range(min = 1, max = 64))]
    pub workers: Option<u64>,
    /// Bounds other than the defaults.
    #[serde(default)]
    pub limits: RawLimits,
}

/// Where changes come from.
#[derive(Deserialize, JsonSchema)]
#[schemars(tag = "type", rename = "Source")]
pub(super) enum RawSource {
    /// The binlog of a MySQL or MariaDB server.
    #[serde(rename = "mysql")]
    MySql(RawMySql),
    /// The embedded generator of a small shop's changes.
    #[serde(rename = "generator")]
    Generator(RawGenerator),
}

/// The embedded generator.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Generator")]
pub(super) struct RawGenerator {
    /// The same seed gives the same changes. Default: 1.
    pub seed: Option<u64>,
    /// Changes a second. Default: as fast as possible.
    pub rate: Option<u64>,
    /// How many changes in all. Default: for ever.
    pub changes: Option<u64>,
}

/// A MySQL or MariaDB server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MySql")]
pub(super) struct RawMySql {
    /// Host name or address.
    pub host: String,
    /// TCP port. Default: 3306.
    pub port: Option<u16>,
    /// Account; it needs REPLICATION SLAVE, REPLICATION CLIENT and SELECT on the captured tables.
    pub user: String,
    /// Its password. Default: none.
    pub password: Option<RawSecret>,
    /// `disabled`, `required` (encrypted, the certificate is not checked) or `verify-identity`. Default: `disabled` for
    /// a loopback address, `verify-identity` for every other.
    pub tls: Option<RawTls>,
    /// CA certificates (PEM) for `verify-identity`. Default: the public ones.
    pub ca_file: Option<String>,
    /// The id under which to register as a replica; no other replica of the server may have it. Default: another
    /// one at each start.
    #[schemars(range(min = 1))]
    pub server_id: Option<u32>,
    /// Which tables: `database.table` patterns with `*` and `?`; `!` in front excludes. Default: all.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Where to start when there is no checkpoint yet. Default: `now`.
    pub start: Option<RawStart>,
    /// How often the server has to say that it is there. Default: `5s`.
    pub heartbeat: Option<Time>,
}

/// How a connection is protected.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Tls")]
pub(super) enum RawTls {
    Disabled,
    Required,
    VerifyIdentity,
}

/// `now`, `earliest`, or a position.
#[derive(Default)]
pub(super) struct RawStart {
    pub word: Option<RawStartWord>,
    pub position: RawStartPosition,
}

/// A start without numbers.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "StartWord")]
pub(super) enum RawStartWord {
    /// With what is written from now on.
    Now,
    /// At the oldest position that the server still has.
    Earliest,
}

/// `file` with `position`, or `gtid`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StartPosition")]
pub(super) struct RawStartPosition {
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

/// A secret: text (best from the environment: `${NAME}`) or `{ file: path }`. Never printed, hence no `Debug`.
pub(super) enum RawSecret {
    Text(String),
    File(String),
}

/// A secret's file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SecretFile")]
pub(super) struct RawSecretFile {
    /// A file that holds the secret; one line end at its end is left out.
    pub file: String,
}

impl<'de> Deserialize<'de> for RawSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = RawSecret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the secret in quotes, `${NAME}` for one from the environment, or `{ file: /path/to/it }`")
            }
            fn visit_str<E>(self, v: &str) -> Result<RawSecret, E> {
                Ok(RawSecret::Text(v.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawSecret, A::Error> {
                RawSecretFile::deserialize(MapAccessDeserializer::new(map)).map(|s| RawSecret::File(s.file))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for RawSecret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let file = generator.subschema_for::<RawSecretFile>();
        json_schema!({ "description": "Text, best `${NAME}` from the environment, or `{ file: path }`", "anyOf": [{"type": "string"}, file] })
    }
}

/// A librdkafka setting's value.
pub(super) struct RawOption(pub RawSecret);

impl<'de> Deserialize<'de> for RawOption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl<'de> Visitor<'de> for Scalar {
            type Value = RawOption;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number, `true` or `false`, or `{ file: /path/to/a/secret }`")
            }
            fn visit_str<E>(self, v: &str) -> Result<RawOption, E> {
                Ok(RawOption(RawSecret::Text(v.to_owned())))
            }
            fn visit_bool<E>(self, v: bool) -> Result<RawOption, E> {
                Ok(RawOption(RawSecret::Text(v.to_string())))
            }
            fn visit_u64<E>(self, v: u64) -> Result<RawOption, E> {
                Ok(RawOption(RawSecret::Text(v.to_string())))
            }
            fn visit_i64<E>(self, v: i64) -> Result<RawOption, E> {
                Ok(RawOption(RawSecret::Text(v.to_string())))
            }
            fn visit_f64<E>(self, v: f64) -> Result<RawOption, E> {
                Ok(RawOption(RawSecret::Text(v.to_string())))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawOption, A::Error> {
                RawSecretFile::deserialize(MapAccessDeserializer::new(map)).map(|s| RawOption(RawSecret::File(s.file)))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

impl JsonSchema for RawOption {
    fn schema_name() -> Cow<'static, str> {
        "KafkaOption".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let file = generator.subschema_for::<RawSecretFile>();
        json_schema!({ "anyOf": [{"type": ["string", "number", "boolean"]}, file] })
    }
}

/// A plugin of the chain.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Plugin")]
pub(super) struct RawPlugin {
    /// A standard plugin: `filter`, `map-names` or `rewrite-columns`. Either this or `file`.
    #[serde(rename = "use")]
    #[schemars(extend("enum" = super::STANDARD_PLUGINS))]
    pub standard: Option<String>,
    /// A WebAssembly component. It is watched, and swapped when it changes. Either this or `use`.
    pub file: Option<String>,
    /// Its name in logs and metrics; names differ. Default: the standard plugin's name, or the file's without `.wasm`.
    pub name: Option<String>,
    /// Tables that it sees: `database.table` patterns with `*` and `?`; `!` in front excludes. Default: all.
    #[serde(default)]
    pub tables: Vec<String>,
    /// What becomes of a change that it cannot handle: `stop`, `skip` (and count), `dead-letter`, or `pass-through`: deliver
    /// it with the columns null that the plugin computes. Default: `stop`.
    pub on_error: Option<RawPluginOnError>,
    /// What it may use beside its rows: `clock` (the time of day) and `random` (random bytes). Default: nothing.
    #[serde(default)]
    pub grants: Vec<RawGrant>,
    /// Its own configuration.
    pub config: Option<RawPluginConfig>,
}

/// A plugin's own configuration: any YAML, handed over as JSON. May hold secrets, hence no `Debug`.
pub(super) struct RawPluginConfig(pub serde_json::Value);

impl<'de> Deserialize<'de> for RawPluginConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for RawPluginConfig {
    fn schema_name() -> Cow<'static, str> {
        "PluginConfig".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "See the plugin's own documentation" })
    }
}

/// What a plugin may use beside its rows.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Grant")]
pub(super) enum RawGrant {
    Clock,
    Random,
}

/// What becomes of a change that a plugin cannot handle.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "PluginOnError")]
pub(super) enum RawPluginOnError {
    Stop,
    Skip,
    DeadLetter,
    PassThrough,
}

/// What becomes of a record that cannot be delivered.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "OnError")]
pub(super) enum RawOnError {
    Stop,
    Skip,
    DeadLetter,
}

/// The form of a record.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Format")]
pub(super) enum RawFormat {
    Debezium,
    Flat,
}

/// How a record of a sink without headers tells which plugins made it.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "MemberVersions")]
pub(super) enum RawMemberVersions {
    None,
    Member,
}

/// How a record of Kafka tells which plugins made it.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "PluginVersions")]
pub(super) enum RawPluginVersions {
    None,
    Member,
    Header,
}

/// Where changes go.
#[derive(Deserialize, JsonSchema)]
#[schemars(tag = "type", rename = "Sink")]
pub(super) enum RawSink {
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

/// Standard output.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StdoutSink")]
pub(super) struct RawStdoutSink {
    /// Its name in the checkpoint, logs and metrics; names differ. Default: `stdout`.
    pub name: Option<String>,
    /// `debezium` (its JSON envelope) or `flat` (the row's columns). Default: `debezium`.
    pub format: Option<RawFormat>,
    /// What becomes of a record that cannot be delivered: `stop`, `skip` (and count) or `dead-letter`. Default: `stop`.
    pub on_error: Option<RawOnError>,
    /// Which plugins made a record, with their versions: a `member` of it, or `none`. Default: `none`.
    pub plugin_versions: Option<RawMemberVersions>,
}

/// NDJSON files in a folder.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FileSink")]
pub(super) struct RawFileSink {
    /// Its name in the checkpoint, logs and metrics; names differ. Default: `file`.
    pub name: Option<String>,
    /// `debezium` (its JSON envelope) or `flat` (the row's columns). Default: `debezium`.
    pub format: Option<RawFormat>,
    /// What becomes of a record that cannot be delivered: `stop`, `skip` (and count) or `dead-letter`. Default: `stop`.
    pub on_error: Option<RawOnError>,
    /// Which plugins made a record, with their versions: a `member` of it, or `none`. Default: `none`.
    pub plugin_versions: Option<RawMemberVersions>,
    /// The folder; made when it is not there.
    pub folder: String,
    /// File names are `<prefix>-<number>.ndjson`. Default: the pipeline's name.
    pub prefix: Option<String>,
    /// When a file is closed and the next one begun.
    #[serde(default)]
    pub roll: RawRoll,
    /// zstd level, 1 to 19; files then end in `.zst`. Default: no compression.
    #[schemars(range(min = 1, max = 19))]
    pub zstd: Option<i32>,
}

/// When a file is closed and the next one begun.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Roll")]
pub(super) struct RawRoll {
    /// After this many bytes on disk. Default: `256MiB`.
    pub bytes: Option<Size>,
    /// After this time, if it holds anything. Default: never.
    pub every: Option<Time>,
}

/// A Kafka cluster.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KafkaSink")]
pub(super) struct RawKafkaSink {
    /// Its name in the checkpoint, logs and metrics; names differ. Default: `kafka`.
    pub name: Option<String>,
    /// `debezium` (its JSON envelope) or `flat` (the row's columns). Default: `debezium`.
    pub format: Option<RawFormat>,
    /// What becomes of a record that cannot be delivered: `stop`, `skip` (and count) or `dead-letter`. Default: `stop`.
    pub on_error: Option<RawOnError>,
    /// Which plugins made a record, with their versions: a `header` beside it, a `member` of it, or `none`. Default: `none`.
    pub plugin_versions: Option<RawPluginVersions>,
    /// `host:port,…`
    pub brokers: String,
    /// Topic; `{database}`, `{schema}` and `{table}` are replaced. Default: `{database}.{table}`.
    pub topic: Option<String>,
    /// Whether a delete is followed by a record without a value, which lets a compacted topic forget the key. Default: true.
    pub tombstones: Option<bool>,
    /// Tables without a primary key: `stop`, `whole-row` (all columns are the key) or `no-key` (one partition). Default: `stop`.
    pub keyless: Option<RawKeyless>,
    /// How long a record may wait for its acknowledgement before the pipeline stops. Default: `2m`.
    pub delivery_timeout: Option<Time>,
    /// Further librdkafka settings, e.g. `security.protocol`. Those that would break order or durability are refused.
    #[serde(default)]
    pub options: BTreeMap<String, RawOption>,
}

/// Tables without a primary key.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Keyless")]
pub(super) enum RawKeyless {
    Stop,
    WholeRow,
    NoKey,
}

/// Where health and metrics are served: an address, or a mapping.
pub(super) struct RawHttp(pub RawHttpListen);

/// Where health and metrics are served.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HttpListen")]
pub(super) struct RawHttpListen {
    /// `address:port`, e.g. `127.0.0.1:8080`.
    pub listen: String,
    /// Has to be true for an address that other machines can reach: there is no authentication. Default: false.
    #[serde(default)]
    pub allow_remote: bool,
    /// Whether plugins can be listed, swapped and rolled back there (`/plugins`). Only for an address of this machine alone.
    /// Default: false.
    #[serde(default)]
    pub admin: bool,
}

impl<'de> Deserialize<'de> for RawHttp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Listen;
        impl<'de> Visitor<'de> for Listen {
            type Value = RawHttp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address such as `127.0.0.1:8080`, or `{ listen: …, allow_remote: true }`")
            }
            fn visit_str<E>(self, v: &str) -> Result<RawHttp, E> {
                Ok(RawHttp(RawHttpListen { listen: v.to_owned(), allow_remote: false, admin: false }))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawHttp, A::Error> {
                RawHttpListen::deserialize(MapAccessDeserializer::new(map)).map(RawHttp)
            }
        }
        deserializer.deserialize_any(Listen)
    }
}

impl JsonSchema for RawHttp {
    fn schema_name() -> Cow<'static, str> {
        "Http".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let listen = generator.subschema_for::<RawHttpListen>();
        json_schema!({ "anyOf": [{"type": "string"}, listen] })
    }
}

/// Bounds; each has a default that suits most.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub(super) struct RawLimits {
    /// Changes in a batch, at most. Default: 1024.
    pub batch_changes: Option<u64>,
    /// Source data in a batch, at most. Default: `4MiB`.
    pub batch_bytes: Option<Size>,
    /// Batches that wait between two stages. Default: 4.
    pub queue_batches: Option<u64>,
    /// How long a batch may wait for more changes. Default: `5ms`.
    pub batch_wait: Option<Time>,
    /// Time between two checkpoints while records flow. Default: `500ms`.
    pub checkpoint_interval: Option<Time>,
    /// Memory of one plugin instance. Default: `64MiB`.
    pub plugin_memory: Option<Size>,
    /// An instance that has grown past this is replaced at the next batch. Default: half of `plugin_memory`.
    pub plugin_memory_watermark: Option<Size>,
    /// Time of one call into a plugin. Default: `1s`.
    pub plugin_call: Option<Time>,
    /// Time of each step of a plugin's start: instantiation, `describe`, `configure`. Default: `10s`.
    pub plugin_start: Option<Time>,
    /// Time in which a plugin's component has to be compiled. Default: `5m`.
    pub plugin_compile: Option<Time>,
    /// What one call of a plugin may answer with. Default: `64MiB`.
    pub plugin_output_bytes: Option<Size>,
    /// Size of a plugin file. Default: `64MiB`.
    pub plugin_file_bytes: Option<Size>,
    /// How long it may take to find the rows of one batch that a plugin fails on. Default: `60s`.
    pub plugin_recovery: Option<Time>,
    /// The longest pause before a plugin is started again that handled nothing of batch after batch. Default: `1s`.
    pub plugin_restart_pause: Option<Time>,
    /// Changes in a row that a plugin may fail on before the pipeline stops, whatever its `on_error`. Default: 1000.
    pub plugin_failed_changes: Option<u64>,
    /// How long a plugin file has to be quiet before it is read. Default: `100ms`.
    pub plugin_debounce: Option<Time>,
    /// Tables whose plans are remembered. Default: 20,000.
    pub known_tables: Option<u64>,
    /// Log lines that a plugin may write in a second; more are counted, not printed. Default: 100.
    pub plugin_log_lines: Option<u64>,
    /// Length of one log line or message of a plugin. Default: `1KiB`.
    pub plugin_message_bytes: Option<Size>,
    /// A single row's image. Default: `256MiB`.
    pub row_bytes: Option<Size>,
    /// What a dead-letter file may grow to; a full one stops the pipeline. Default: `1GiB`.
    pub dead_letter_bytes: Option<Size>,
    /// What a file sink holds in memory before it writes. Default: `256KiB`.
    pub sink_buffer_bytes: Option<Size>,
    /// Headers of one record, those that plugins set. Default: 64.
    pub record_headers: Option<u64>,
    /// Names and values of those headers. Default: `64KiB`.
    pub record_header_bytes: Option<Size>,
    /// Different destinations that plugins may choose for one sink; one more stops the pipeline. Default: 1000.
    pub destinations: Option<u64>,
    /// Files that one file sink keeps open, one for each destination. Default: 64.
    pub open_files: Option<u64>,
    /// What a Kafka sink holds in memory until the brokers acknowledge it. Default: `32MiB`.
    pub kafka_queue_bytes: Option<Size>,
    /// Records that a Kafka sink holds until the brokers acknowledge them. Default: 100,000.
    pub kafka_queue_records: Option<u64>,
    /// How long connecting and single requests to a server may take. Default: `10s`.
    pub connect_timeout: Option<Time>,
    /// How long a broken connection is retried. Default: `12h`.
    pub retry_window: Option<Time>,
    /// How long the source may be away or silent, or a sink without progress, before `/readyz` says so. Default: `60s`.
    pub stalled_after: Option<Time>,
    /// How long draining may take after SIGTERM. Default: `30s`.
    pub drain_timeout: Option<Time>,
}
