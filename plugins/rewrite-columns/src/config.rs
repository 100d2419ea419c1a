//! The plugin's configuration.

use serde::Deserialize;
use sluicegate_plugin::{DataType, TablePatterns};

use crate::{hash::Hmac, text::Mask};

/// What the plugin is told to do.
#[derive(Debug)]
pub struct Config {
    /// All entries; the steps of all that select a table apply to it, in order.
    pub entries: Vec<Entry>,
}

/// Steps for some tables.
#[derive(Debug)]
pub struct Entry {
    /// Which tables.
    pub tables: TablePatterns,
    /// What happens to their columns.
    pub steps: Vec<Step>,
}

/// One step: what happens to one column.
#[derive(Clone, Debug)]
pub struct Step {
    /// The column's name when the step's turn comes.
    pub column: String,
    /// What happens.
    pub action: Action,
}

/// What happens to a column.
#[derive(Clone, Debug)]
pub enum Action {
    /// It is not delivered.
    Drop,
    /// It gets another name.
    Rename(String),
    /// Most characters are hidden.
    Mask(Mask),
    /// It becomes its salted hash.
    Hash(Hmac),
    /// It keeps at most so many characters.
    Truncate(usize),
    /// It becomes this value.
    Constant(serde_json::Value),
    /// NULL becomes this value.
    Default(serde_json::Value),
    /// It becomes its parts, one after the other.
    Concat(Vec<Part>, String),
    /// It changes its type.
    Cast(DataType),
}

/// A part of a concatenation.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a part of `concat` is a column's name, or `{text: …}`")]
pub enum Part {
    /// A column's text.
    Column(String),
    /// This text.
    Text(Literal),
}

/// A text that is the same for every row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Literal {
    /// The text.
    pub text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    tables: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    table: TablePatterns,
    columns: Vec<RawStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    column: String,
    drop: Option<bool>,
    rename: Option<String>,
    mask: Option<RawMask>,
    hash: Option<RawHash>,
    truncate: Option<usize>,
    #[serde(default, deserialize_with = "present")]
    constant: Option<serde_json::Value>,
    #[serde(default, deserialize_with = "present")]
    default: Option<serde_json::Value>,
    concat: Option<RawConcat>,
    cast: Option<RawType>,
}

/// Tells `constant: null` from no `constant` at all.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawMask {
    first: usize,
    last: usize,
    with: char,
}

impl Default for RawMask {
    fn default() -> Self {
        Self { first: 0, last: 0, with: '*' }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHash {
    salt: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConcat {
    of: Vec<Part>,
    #[serde(default)]
    separator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawType {
    Boolean,
    Int,
    Uint,
    Float,
    Decimal,
    Text,
    Bytes,
}

impl Config {
    /// Reads the configuration.
    pub fn read(json: &str) -> Result<Self, String> {
        let raw: Raw = serde_json::from_str(json)
            .map_err(|error| format!("{error}; `config` of rewrite-columns is `tables:` with a list of `table` and `columns`"))?;
        let entries = raw.tables.into_iter().map(|entry| {
            let steps =
                entry.columns.into_iter().map(step).collect::<Result<_, _>>().map_err(|error| format!("for {}: {error}", entry.table))?;
            Ok(Entry { tables: entry.table, steps })
        });
        Ok(Self { entries: entries.collect::<Result<_, String>>()? })
    }
}

fn step(raw: RawStep) -> Result<Step, String> {
    let column = raw.column;
    let of = |problem: &str| format!("column `{column}`: {problem}");
    let mut actions = Vec::new();
    match raw.drop {
        Some(true) => actions.push(Action::Drop),
        Some(false) => return Err(of("`drop: false` does nothing; remove the entry")),
        None => {}
    }
    if let Some(name) = raw.rename {
        if name.is_empty() {
            return Err(of("`rename` is empty; give a name"));
        }
        actions.push(Action::Rename(name));
    }
    actions.extend(raw.mask.map(|mask| Action::Mask(Mask { first: mask.first, last: mask.last, with: mask.with })));
    if let Some(hash) = raw.hash {
        if hash.salt.is_empty() {
            return Err(of("`salt` is empty; give a secret text, or equal values can be guessed from their hashes"));
        }
        actions.push(Action::Hash(Hmac::new(hash.salt.as_bytes())));
    }
    actions.extend(raw.truncate.map(Action::Truncate));
    actions.extend(raw.constant.map(Action::Constant));
    actions.extend(raw.default.map(Action::Default));
    actions.extend(raw.concat.map(|concat| Action::Concat(concat.of, concat.separator)));
    actions.extend(raw.cast.map(|to| {
        Action::Cast(match to {
            RawType::Boolean => DataType::Boolean,
            RawType::Int => DataType::Int64,
            RawType::Uint => DataType::Uint64,
            RawType::Float => DataType::Float64,
            RawType::Decimal => DataType::Decimal,
            RawType::Text => DataType::Text,
            RawType::Bytes => DataType::Bytes,
        })
    }));
    match (actions.pop(), actions.is_empty()) {
        (Some(action), true) => Ok(Step { column, action }),
        (None, _) => Err(of("nothing to do; give one of drop, rename, mask, hash, truncate, constant, default, concat, cast")),
        (Some(_), false) => Err(of("several actions in one entry; give each an entry of its own, in the order in which they shall run")),
    }
}
