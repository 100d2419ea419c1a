//! A plugin of the chain.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::STANDARD_PLUGINS;

/// A plugin of the chain.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Plugin")]
pub(crate) struct RawPlugin {
    /// A standard plugin: `filter`, `map-names` or `rewrite-columns`. Either this or `file`.
    #[serde(rename = "use")]
    #[schemars(extend("enum" = STANDARD_PLUGINS))]
    pub standard: Option<String>,
    /// A WebAssembly component. It is watched, and swapped when it changes. Either this or `use`.
    pub file: Option<String>,
    /// Its name in logs and metrics; names differ. Default: the standard plugin's name, or the file's without `.wasm`.
    pub name: Option<String>,
    /// Tables that it sees: `database.table` patterns with `*` and `?`; backticks around a name that holds a dot; `!` in front
    /// excludes. Default: all.
    #[serde(default)]
    pub tables: Vec<String>,
    /// What becomes of a change that it cannot handle: `stop`, `skip` (and count), `dead-letter`, or `pass-through`: deliver
    /// it with the columns null that the plugin computes. Default: `stop`.
    pub on_error: Option<RawPluginOnError>,
    /// Whether it hides what must not be seen: the checkpoint then remembers the plugin and the columns that it treats, and no start
    /// and no edit lets one of them pass as it is, also when the plugin's entry is changed or gone. Default: false.
    #[serde(default, alias = "fail-closed")]
    pub fail_closed: bool,
    /// What it may use beside its rows: `clock` (the time of day) and `random` (random bytes). Default: nothing.
    #[serde(default)]
    pub grants: Vec<RawGrant>,
    /// Its own configuration.
    pub config: Option<RawPluginConfig>,
}

/// A plugin's own configuration: any YAML, handed over as JSON. May hold secrets, hence no `Debug`.
pub(crate) struct RawPluginConfig(pub serde_json::Value);

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
pub(crate) enum RawGrant {
    Clock,
    Random,
}

/// What becomes of a change that a plugin cannot handle.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "PluginOnError")]
pub(crate) enum RawPluginOnError {
    Stop,
    Skip,
    DeadLetter,
    PassThrough,
}
