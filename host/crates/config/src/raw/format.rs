//! The form of a sink's records: a word, or a mapping with options.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{
        self, MapAccess, Visitor,
        value::{MapAccessDeserializer, StrDeserializer},
    },
};

use super::registry::RawRegistry;

/// The form of a record.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "FormatName")]
pub(crate) enum RawFormatName {
    /// Debezium's JSON envelope.
    Debezium,
    /// The row that Debezium's `ExtractNewRecordState` makes of it.
    DebeziumFlattened,
    /// The row's columns and a few `_` fields.
    Flat,
    /// The row's columns alone.
    Plain,
    /// Maxwell's JSON.
    Maxwell,
    /// Canal's flat JSON.
    Canal,
    /// CloudEvents 1.0, as Debezium's converter makes them.
    #[serde(rename = "cloudevents")]
    CloudEvents,
    /// The rows that DTS writes.
    Dts,
    /// CSV: only in files.
    Csv,
    /// Avro: in Kafka with its schemas in a registry, in files with the schema in each.
    Avro,
    /// JSON documents with their schemas in a registry: only in Kafka.
    JsonSchema,
    /// Parquet: only in files.
    Parquet,
}

/// A format with options. Each is of some formats only.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FormatOptions")]
pub(crate) struct RawFormatOptions {
    /// Which format.
    #[serde(rename = "type")]
    pub name: RawFormatName,
    /// Of `debezium`: whether each record carries its schema (`schema` and `payload`). Default: false.
    pub schemas: Option<bool>,
    /// What the settings of values below are that are not set: `sluicegate` (text) or `debezium` (the defaults of its MySQL
    /// connector). Default: `debezium` with `schemas`, in `avro`, and in the envelope of `json-schema`; otherwise `sluicegate`.
    pub value_defaults: Option<RawValueDefaults>,
    /// DECIMAL: `string`, `precise` (bytes of the unscaled number) or `double`.
    pub decimal_handling_mode: Option<RawDecimalMode>,
    /// DATE, TIME and DATETIME: `text`, or Debezium's `adaptive`, `adaptive_time_microseconds`, `connect`, `isostring`,
    /// `microseconds` or `nanoseconds`.
    pub time_precision_mode: Option<RawTimeMode>,
    /// BIGINT UNSIGNED: `exact` (a number), `long` (signed: what is beyond becomes negative) or `precise` (bytes of a decimal).
    pub bigint_unsigned_handling_mode: Option<RawBigintUnsignedMode>,
    /// Bytes: `base64`, `bytes` (base64 in JSON), `base64-url-safe` or `hex`.
    pub binary_handling_mode: Option<RawBinaryMode>,
    /// ENUM and SET: `labels` or `numbers`. Default: `labels`.
    pub enum_handling_mode: Option<RawLabelMode>,
    /// GEOMETRY: `native` (the server's bytes), `wkb`, `ewkb`, `geojson` or `debezium` (an object of `wkb` and `srid`).
    pub geometry_handling_mode: Option<RawGeometryMode>,
    /// Of `debezium-flattened` and `plain`: what becomes of a delete: `tombstone`, `drop`, and of `debezium-flattened` `rewrite` or
    /// `rewrite-with-tombstone`. Default: `tombstone` in Kafka; elsewhere `rewrite` of `debezium-flattened`, while `plain` has to say
    /// `drop`.
    pub delete_tombstone_handling_mode: Option<RawDeletes>,
    /// Of `debezium`, in Kafka: the topic to which the source's transactions are told, as `{ topic: NAME }`; then each record says which one
    /// it belongs to. MySQL and MariaDB. `{}`: to the pipeline's name and `.transaction`. Default: none.
    pub transaction_metadata: Option<RawTransactionMetadata>,
    /// Of `debezium-flattened`: fields of the envelope that are added to the row: `op`, `table`, `source.ts_ms`, …; `op:OPERATION`
    /// gives one another name. Default: none.
    #[serde(default)]
    pub add_fields: Vec<String>,
    /// Of `debezium-flattened`: what stands in front of their names. Default: `__`.
    pub add_fields_prefix: Option<String>,
    /// Of `dts`: `new` (`new_dts_sync_dts_record_id`) or `previous` (`dts_record_id`, and `dts_` in front of the columns).
    /// Default: `new`.
    pub naming: Option<RawDtsNaming>,
    /// Of `avro` and `json-schema`: `debezium` (its envelope) or `flat` (the row's columns and a few `_` fields). Default: `debezium`.
    pub envelope: Option<RawEnvelope>,
    /// Of `avro` and `json-schema`, to Kafka: the registry of the schemas.
    pub registry: Option<RawRegistry>,
    /// Of `avro` and `json-schema`: what a schema's subject is made of: the `topic`, the `record`'s name or both, `topic-record`.
    /// Default: `topic`.
    pub subject: Option<RawSubject>,
}

/// How the source's transactions are told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TransactionMetadata")]
pub(crate) struct RawTransactionMetadata {
    /// The topic. Default: the pipeline's name and `.transaction`.
    pub topic: Option<String>,
}

/// What stands around the values of a row.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Envelope")]
pub(crate) enum RawEnvelope {
    Debezium,
    Flat,
}

/// What the subject of a schema is made of.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Subject")]
pub(crate) enum RawSubject {
    Topic,
    Record,
    TopicRecord,
}

/// What the settings of values are that are not set.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "ValueDefaults")]
pub(crate) enum RawValueDefaults {
    Sluicegate,
    Debezium,
}

/// How DECIMAL is written.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DecimalMode")]
pub(crate) enum RawDecimalMode {
    String,
    Precise,
    Double,
}

/// How DATE, TIME and DATETIME are written.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "TimeMode")]
pub(crate) enum RawTimeMode {
    Text,
    Adaptive,
    AdaptiveTimeMicroseconds,
    Connect,
    Isostring,
    Microseconds,
    Nanoseconds,
}

/// How BIGINT UNSIGNED is written.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "BigintUnsignedMode")]
pub(crate) enum RawBigintUnsignedMode {
    Exact,
    Long,
    Precise,
}

/// How bytes are written.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "BinaryMode")]
pub(crate) enum RawBinaryMode {
    Base64,
    Bytes,
    Base64UrlSafe,
    Hex,
}

/// How ENUM and SET are written.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "LabelMode")]
pub(crate) enum RawLabelMode {
    Labels,
    Numbers,
}

/// How GEOMETRY is written.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "GeometryMode")]
pub(crate) enum RawGeometryMode {
    Native,
    Wkb,
    Ewkb,
    GeoJson,
    Debezium,
}

/// What becomes of a delete where a record is a row alone.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Deletes")]
pub(crate) enum RawDeletes {
    Tombstone,
    Drop,
    Rewrite,
    RewriteWithTombstone,
}

/// How the fields of a DTS row are called.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "DtsNaming")]
pub(crate) enum RawDtsNaming {
    New,
    Previous,
}

/// A format's name, or a mapping with its options.
pub(crate) struct RawFormat(pub RawFormatOptions);

impl RawFormat {
    /// A format without options.
    pub(crate) fn named(name: RawFormatName) -> Self {
        Self(RawFormatOptions {
            name,
            schemas: None,
            value_defaults: None,
            decimal_handling_mode: None,
            time_precision_mode: None,
            bigint_unsigned_handling_mode: None,
            binary_handling_mode: None,
            enum_handling_mode: None,
            geometry_handling_mode: None,
            delete_tombstone_handling_mode: None,
            transaction_metadata: None,
            add_fields: Vec::new(),
            add_fields_prefix: None,
            naming: None,
            envelope: None,
            registry: None,
            subject: None,
        })
    }
}

impl<'de> Deserialize<'de> for RawFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Format;
        impl<'de> Visitor<'de> for Format {
            type Value = RawFormat;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a format's name, or `{ type: … }` with options")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<RawFormat, E> {
                RawFormatName::deserialize(StrDeserializer::<E>::new(v)).map(RawFormat::named)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawFormat, A::Error> {
                RawFormatOptions::deserialize(MapAccessDeserializer::new(map)).map(RawFormat)
            }
        }
        deserializer.deserialize_any(Format)
    }
}

impl JsonSchema for RawFormat {
    fn schema_name() -> Cow<'static, str> {
        "Format".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (name, options) = (generator.subschema_for::<RawFormatName>(), generator.subschema_for::<RawFormatOptions>());
        json_schema!({ "anyOf": [name, options] })
    }
}
