//! The pipeline file as people write it. These types give the keys, their forms and the JSON Schema; [`super::validate`]
//! turns them into [`super::Pipeline`]. The doc comments of the fields are the descriptions in the schema.

mod dead_letter;
mod format;
mod http;
mod kafka_security;
mod kafka_source;
mod keys;
mod limits;
mod plugin;
mod registry;
mod secret;
mod sink;
mod snapshot;
mod source;
mod sqlserver;
mod topics;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use dead_letter::{RawDeadLetter, RawDeadLetterTopic};
pub(super) use format::{
    RawBigintUnsignedMode, RawBinaryMode, RawDecimalMode, RawDeletes, RawDtsNaming, RawEnvelope, RawFormat, RawFormatName,
    RawFormatOptions, RawGeometryMode, RawLabelMode, RawSubject, RawTimeMode, RawTransactionMetadata, RawValueDefaults,
};
pub(super) use http::RawHttp;
pub(super) use kafka_security::{RawKafkaTls, RawSasl, RawSaslMechanism};
pub(super) use kafka_source::{RawKafkaSource, RawTopicFormat, RawTopicImages, RawTopicNumbers, RawTopicStart, RawUnreadable};
pub(super) use keys::{RawColumns, RawKeyWord, RawPartitionWord, RawTableKeys};
pub(super) use limits::RawLimits;
pub(super) use plugin::{RawGrant, RawPlugin, RawPluginOnError};
pub(super) use registry::RawRegistry;
pub(super) use secret::{RawOption, RawSecret};
pub(super) use sink::{
    RawAlign, RawDelivery, RawFileSink, RawHeader, RawKafkaSink, RawKeyless, RawLongTransactions, RawMemberVersions, RawNameCase,
    RawOnError, RawPluginVersions, RawRoll, RawShared, RawSink, RawWhenSlow,
};
pub(super) use snapshot::{RawAddedTables, RawCopyAgain, RawSnapshot, RawSnapshotMode};
pub(super) use source::{RawGenerator, RawHeartbeat, RawMySql, RawRowImage, RawSource, RawStart, RawStartWord, RawTls, RawUnlogged};
pub(super) use sqlserver::{
    RawChangeHeaders, RawInvalidText, RawIsolation, RawLostPosition, RawRecordMode, RawSqlServer, RawSqlTls, RawTableOrder,
    RawTrackedStart, RawTrackedTables, RawUnknownTypes, RawVisitStrategy,
};
pub(super) use topics::{RawTopics, RawTopicsWord};

/// One pipeline: a source, plugins in order, sinks.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Pipeline")]
pub(super) struct RawPipeline {
    /// The pipeline's name: labels its logs and metrics and names its files. Letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Labels of its metrics, beside the pipeline's name: `{ environment: production }`. Default: none.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Where changes come from.
    pub source: RawSource,
    /// What every change passes through, in this order.
    #[serde(default)]
    pub plugins: Vec<RawPlugin>,
    /// Where changes go: every sink gets every change.
    pub sinks: Vec<RawSink>,
    /// The checkpoint, an SQLite file. Default: `sluicegate-state/<name>.db` beside this file.
    pub state: Option<String>,
    /// Where changes are set aside: the folder of the dead-letter files, `plugin.<name>.ndjson` and `sink.<name>.ndjson`, or a Kafka topic
    /// (`{ topic: … }`). Default: the folder `<name>-dead-letters` beside the checkpoint.
    pub dead_letter: Option<RawDeadLetter>,
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
