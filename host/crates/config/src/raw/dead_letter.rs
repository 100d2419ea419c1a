//! Where changes are set aside.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// Where changes are set aside: a folder, or a mapping.
pub(crate) enum RawDeadLetter {
    Folder(String),
    Topic(RawDeadLetterTopic),
}

/// A Kafka topic in which changes are set aside.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DeadLetterTopic")]
pub(crate) struct RawDeadLetterTopic {
    /// The topic, which has to be there.
    pub topic: String,
    /// The Kafka sink whose brokers have it, and whose TLS, login and `options` count. Default: the only Kafka sink.
    pub sink: Option<String>,
    /// Folder in which `sluicegate dlq` keeps its copy of the topic. Default: `<name>-dead-letters` beside the checkpoint.
    pub folder: Option<String>,
}

impl<'de> Deserialize<'de> for RawDeadLetter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Place;
        impl<'de> Visitor<'de> for Place {
            type Value = RawDeadLetter;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a folder, or `{ topic: … }`")
            }
            fn visit_str<E>(self, v: &str) -> Result<RawDeadLetter, E> {
                Ok(RawDeadLetter::Folder(v.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawDeadLetter, A::Error> {
                RawDeadLetterTopic::deserialize(MapAccessDeserializer::new(map)).map(RawDeadLetter::Topic)
            }
        }
        deserializer.deserialize_any(Place)
    }
}

impl JsonSchema for RawDeadLetter {
    fn schema_name() -> Cow<'static, str> {
        "DeadLetter".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let topic = generator.subschema_for::<RawDeadLetterTopic>();
        json_schema!({ "anyOf": [{"type": "string"}, topic] })
    }
}
