//! Keys and partitions of a Kafka sink's records: a word, or columns.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{
        self, SeqAccess, Unexpected, Visitor,
        value::{SeqAccessDeserializer, StrDeserializer},
    },
};

/// A word of `W`, or a list of columns.
pub(crate) enum RawColumns<W> {
    Word(W),
    Columns(Vec<String>),
}

/// A word for the key of records.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "KeyWord")]
pub(crate) enum RawKeyWord {
    PrimaryKey,
    None,
}

/// A word for what decides the partition of records.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "PartitionWord")]
pub(crate) enum RawPartitionWord {
    Key,
    One,
}

/// The words, for errors and the schema.
pub(crate) trait Words {
    const NAME: &'static str;
    const EXPECTED: &'static str;
}

impl Words for RawKeyWord {
    const NAME: &'static str = "RecordKey";
    const EXPECTED: &'static str = "`primary-key`, `none` or a list of columns: `[customer_id]`";
}

impl Words for RawPartitionWord {
    const NAME: &'static str = "PartitionBy";
    const EXPECTED: &'static str = "`key`, `one` or a list of columns: `[customer_id]`";
}

/// What is otherwise for some tables.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TableKeys")]
pub(crate) struct RawTableKeys {
    /// Patterns of the tables, by the names under which they are delivered.
    pub tables: Vec<String>,
    /// The key of their records.
    pub key: Option<RawColumns<RawKeyWord>>,
    /// What decides their partition.
    pub partition_by: Option<RawColumns<RawPartitionWord>>,
}

impl<'de, W: Words + Deserialize<'de>> Deserialize<'de> for RawColumns<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrList<W>(PhantomData<W>);
        impl<'de, W: Words + Deserialize<'de>> Visitor<'de> for WordOrList<W> {
            type Value = RawColumns<W>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(W::EXPECTED)
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<RawColumns<W>, E> {
                let word = W::deserialize(StrDeserializer::<E>::new(v));
                word.map(RawColumns::Word).map_err(|_| E::invalid_value(Unexpected::Str(v), &self))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<RawColumns<W>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(RawColumns::Columns)
            }
        }
        deserializer.deserialize_any(WordOrList(PhantomData))
    }
}

impl<W: Words + JsonSchema> JsonSchema for RawColumns<W> {
    fn schema_name() -> Cow<'static, str> {
        W::NAME.into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (word, columns) = (generator.subschema_for::<W>(), generator.subschema_for::<Vec<String>>());
        json_schema!({ "anyOf": [word, columns] })
    }
}
