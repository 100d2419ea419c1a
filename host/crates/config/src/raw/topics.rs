//! What a Kafka sink does about topics that are not there: a word, or the settings of new ones.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{
        self, MapAccess, Unexpected, Visitor,
        value::{MapAccessDeserializer, StrDeserializer},
    },
};

/// Topics that are not there.
pub(crate) enum RawTopics {
    Word(RawTopicsWord),
    Create(RawTopicSettings),
}

/// A word for it.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "TopicsWord")]
pub(crate) enum RawTopicsWord {
    /// The brokers make them with the first record, if they are set to (`auto.create.topics.enable`).
    Automatic,
    /// The pipeline stops before the first record of one; `check` fails.
    MustExist,
}

/// The settings of topics that the sink makes. Topics that exist stay as they are.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TopicSettings")]
pub(crate) struct RawTopicSettings {
    /// Partitions. Default: the brokers' `num.partitions`.
    #[schemars(range(min = 1, max = 100_000))]
    pub partitions: Option<u64>,
    /// Brokers that hold each partition. Default: the brokers' `default.replication.factor`.
    #[schemars(range(min = 1, max = 1000))]
    pub replication_factor: Option<u64>,
    /// Kafka's topic configuration: `cleanup.policy: compact`, `retention.ms: 604800000`, … Default: that of the brokers.
    #[serde(default)]
    pub config: BTreeMap<String, RawTopicSetting>,
}

/// A value of Kafka's topic configuration.
pub(crate) struct RawTopicSetting(pub String);

impl<'de> Deserialize<'de> for RawTopics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Topics;
        impl<'de> Visitor<'de> for Topics {
            type Value = RawTopics;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`automatic`, `must-exist` or `{ partitions: 6, replication_factor: 3, config: { cleanup.policy: compact } }`")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<RawTopics, E> {
                let word = RawTopicsWord::deserialize(StrDeserializer::<E>::new(v));
                word.map(RawTopics::Word).map_err(|_| E::invalid_value(Unexpected::Str(v), &self))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawTopics, A::Error> {
                RawTopicSettings::deserialize(MapAccessDeserializer::new(map)).map(RawTopics::Create)
            }
        }
        deserializer.deserialize_any(Topics)
    }
}

impl JsonSchema for RawTopics {
    fn schema_name() -> Cow<'static, str> {
        "Topics".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (word, settings) = (generator.subschema_for::<RawTopicsWord>(), generator.subschema_for::<RawTopicSettings>());
        json_schema!({ "anyOf": [word, settings] })
    }
}

impl<'de> Deserialize<'de> for RawTopicSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = RawTopicSetting;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number, `true` or `false`")
            }
            fn visit_str<E>(self, v: &str) -> Result<RawTopicSetting, E> {
                Ok(RawTopicSetting(v.to_owned()))
            }
            fn visit_bool<E>(self, v: bool) -> Result<RawTopicSetting, E> {
                Ok(RawTopicSetting(v.to_string()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<RawTopicSetting, E> {
                Ok(RawTopicSetting(v.to_string()))
            }
            fn visit_i64<E>(self, v: i64) -> Result<RawTopicSetting, E> {
                Ok(RawTopicSetting(v.to_string()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<RawTopicSetting, E> {
                Ok(RawTopicSetting(v.to_string()))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

impl JsonSchema for RawTopicSetting {
    fn schema_name() -> Cow<'static, str> {
        "TopicSetting".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
