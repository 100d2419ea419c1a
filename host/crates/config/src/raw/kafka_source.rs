//! A Kafka source.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::quantity::Size,
    kafka_security::{RawKafkaTls, RawSasl},
    secret::{RawOption, RawSecret},
};

/// Topics of a Kafka cluster.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KafkaSource")]
pub(crate) struct RawKafkaSource {
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
    /// Which topics: names, or patterns with `*` and `?`; `!` in front excludes. A new topic that matches a pattern is read from its
    /// beginning.
    pub topics: Vec<String>,
    /// What the records hold: `debezium` (its JSON envelope, with or without the schema) or `flat`.
    pub format: RawTopicFormat,
    /// The consumer group that shares the topics' partitions out among its members. Then the one sink has to be Kafka with `delivery:
    /// exactly-once` and the same `brokers`, and the group's committed offsets count. Default: none; this pipeline reads all partitions.
    pub group: Option<String>,
    /// Where to start when there is no checkpoint yet: `earliest` or `latest`. Partitions and topics that are new later are read from
    /// their beginning. Default: `earliest`.
    pub start: Option<RawTopicStart>,
    /// What the records hold of a row before its change: `whole`, of updates and deletes, or `deletes`, where updates may lack it and a
    /// delete has at least the key. Default: `whole` for `debezium`, `deletes` for `flat`, which has no other.
    pub before_images: Option<RawTopicImages>,
    /// What a number with a fraction is where the records have no schema: `decimal`, with all its digits, or `double`. Default: `decimal`.
    pub numbers: Option<RawTopicNumbers>,
    /// What becomes of a record that cannot be read: `stop`, `skip` (and count) or `dead-letter` (set aside). Default: `stop`.
    pub on_unreadable: Option<RawUnreadable>,
    /// Records that are read in a second, at most. Default: as fast as possible.
    #[schemars(range(min = 1))]
    pub rows_per_second: Option<u64>,
    /// Bytes of records that are read in a second, at most. Default: as fast as possible.
    pub bytes_per_second: Option<Size>,
    /// Further librdkafka settings, e.g. `client.rack`. Those that would break order, progress or a bound are refused.
    #[serde(default)]
    pub options: BTreeMap<String, RawOption>,
}

/// What a topic's records hold.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "TopicFormat")]
pub(crate) enum RawTopicFormat {
    Debezium,
    Flat,
}

/// Where topics are read from at the first start.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "TopicStart")]
pub(crate) enum RawTopicStart {
    Earliest,
    Latest,
}

/// What records hold of a row before its change.
#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "TopicImages")]
pub(crate) enum RawTopicImages {
    Whole,
    Deletes,
}

/// What a number with a fraction is.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "TopicNumbers")]
pub(crate) enum RawTopicNumbers {
    Decimal,
    Double,
}

/// What becomes of records that cannot be read.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Unreadable")]
pub(crate) enum RawUnreadable {
    Stop,
    Skip,
    DeadLetter,
}
