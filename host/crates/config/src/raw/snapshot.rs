//! The initial copy of tables.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{
        self, MapAccess, Unexpected, Visitor,
        value::{MapAccessDeserializer, StrDeserializer},
    },
};

use super::super::quantity::{Size, Time};

/// A mode, or a mode with settings.
#[derive(Default)]
pub(crate) struct RawSnapshot {
    pub settings: RawSnapshotSettings,
}

/// When the rows of tables are copied.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "SnapshotMode")]
pub(crate) enum RawSnapshotMode {
    /// Never: only changes are delivered.
    Never,
    /// When the pipeline has no checkpoint yet; then their changes.
    Initial,
    /// The same, and the run ends once everything has been copied.
    Only,
    /// When there is no checkpoint yet, and again when the server no longer has the changes that follow it.
    WhenNeeded,
}

/// The copy, with settings.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SnapshotSettings")]
pub(crate) struct RawSnapshotSettings {
    /// When tables are copied. Default: `initial`.
    pub mode: Option<RawSnapshotMode>,
    /// Which of the captured tables are copied, as patterns; of the others only changes are delivered. Default: all.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Tables that are captured only now: `snapshot-first` copies the rows that they hold, `changes-only` delivers what is written from
    /// then on. Default: `changes-only` with the mode `never`, else `snapshot-first`.
    pub added: Option<RawAddedTables>,
    /// A copy that is not the table's first: `truncate` tells consumers beforehand that all its rows are gone; with `overwrite` rows
    /// that were deleted unseen stay with them. Default: `truncate`.
    pub again: Option<RawCopyAgain>,
    /// Rows a second that are read, at most. Default: as fast as possible.
    #[schemars(range(min = 1))]
    pub rows_per_second: Option<u64>,
    /// Bytes a second of rows that are read, at most, e.g. `4MiB`. Default: as fast as possible.
    pub bytes_per_second: Option<Size>,
    /// Statements a second that read rows, at most. Default: as fast as possible.
    #[schemars(range(min = 1))]
    pub queries_per_second: Option<u64>,
    /// Tables that are read at the same time, each over a connection of its own. Default: `2`.
    #[schemars(range(min = 1, max = 16))]
    pub readers: Option<u32>,
    /// What the server may be loaded with before the copy waits.
    pub pause_above: Option<RawPause>,
    /// Conditions in the server's SQL, for tables of which not all rows are copied: `shop.orders: status <> 'done'`. Changes of the other rows
    /// are delivered all the same.
    #[serde(rename = "where", default)]
    pub conditions: BTreeMap<String, String>,
    /// Whether rows may be locked against changes while they are read (`FOR SHARE`). MySQL without GTIDs needs it. Default: `false`.
    pub share_locks: Option<bool>,
}

/// The load above which the copy waits.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SnapshotPause")]
pub(crate) struct RawPause {
    /// Threads of the server that run a statement (`Threads_running`).
    #[schemars(range(min = 1))]
    pub threads_running: Option<u64>,
    /// How far the server, as a replica, is behind its source.
    pub replication_lag: Option<Time>,
}

/// What comes first of tables that are captured only now.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "AddedTables")]
pub(crate) enum RawAddedTables {
    /// The rows that they hold; then their changes.
    SnapshotFirst,
    /// Their changes.
    ChangesOnly,
}

/// How a copy begins that is not the table's first.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "CopyAgain")]
pub(crate) enum RawCopyAgain {
    /// With a truncate.
    Truncate,
    /// With the first row.
    Overwrite,
}

impl<'de> Deserialize<'de> for RawSnapshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Snapshot;
        impl<'de> Visitor<'de> for Snapshot {
            type Value = RawSnapshot;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`never`, `initial`, `only`, `when-needed` or `{ mode: initial, tables: [shop.*], rows_per_second: 1000 }`")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<RawSnapshot, E> {
                let mode =
                    RawSnapshotMode::deserialize(StrDeserializer::<E>::new(v)).map_err(|_| E::invalid_value(Unexpected::Str(v), &self))?;
                Ok(RawSnapshot { settings: RawSnapshotSettings { mode: Some(mode), ..RawSnapshotSettings::default() } })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawSnapshot, A::Error> {
                let settings = RawSnapshotSettings::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RawSnapshot { settings })
            }
        }
        deserializer.deserialize_any(Snapshot)
    }
}

impl JsonSchema for RawSnapshot {
    fn schema_name() -> Cow<'static, str> {
        "Snapshot".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (mode, settings) = (generator.subschema_for::<RawSnapshotMode>(), generator.subschema_for::<RawSnapshotSettings>());
        json_schema!({ "anyOf": [mode, settings] })
    }
}
