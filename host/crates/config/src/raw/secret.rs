//! Values that may be secret.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A secret: text (best from the environment: `${NAME}`) or `{ file: path }`. Never printed, hence no `Debug`.
pub(crate) enum RawSecret {
    Text(String),
    File(String),
}

/// A secret's file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SecretFile")]
pub(crate) struct RawSecretFile {
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
pub(crate) struct RawOption(pub RawSecret);

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
