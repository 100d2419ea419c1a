//! Where health and metrics are served.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// Where health and metrics are served: an address, or a mapping.
pub(crate) struct RawHttp(pub RawHttpListen);

/// Where health and metrics are served.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HttpListen")]
pub(crate) struct RawHttpListen {
    /// `address:port`, e.g. `127.0.0.1:8080`.
    pub listen: String,
    /// Has to be true for an address that other machines can reach: there is no authentication. Default: false.
    #[serde(default)]
    pub allow_remote: bool,
    /// Whether plugins can be listed, swapped and rolled back there (`/plugins`), and outputs paused (`/outputs`). Only for an address of
    /// this machine alone. Default: false.
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
