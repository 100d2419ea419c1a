//! The plugin's configuration.

use serde::Deserialize;
use sluicegate_plugin::{DataType, TableName, TablePatterns};

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
    /// What a table without a step's column means; `None` = it depends on how the table is named.
    missing: Option<MissingColumn>,
}

impl Entry {
    /// What it means that this table has no column of a step.
    pub fn missing(&self, step: &Step, table: &TableName) -> Missing {
        match step.missing.or(self.missing) {
            Some(MissingColumn::Error | MissingColumn::Stop) => Missing::Stop,
            Some(MissingColumn::Ignore) => Missing::Ignore,
            None if self.tables.names(table) => Missing::Stop,
            None => Missing::Pattern,
        }
    }
}

/// What it means that a table has no column of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A slip of the pen.
    Stop,
    /// Only that the step is for other tables: it was met by a rule for many.
    Pattern,
    /// That the step is left out: the configuration says so.
    Ignore,
}

/// What to do where a table has no column of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum MissingColumn {
    /// It is an error: the pipeline stops before the table's first row.
    Error,
    /// The same, as earlier versions had it.
    Stop,
    /// The step is left out for this table.
    Ignore,
}

/// One step: what happens to one column.
#[derive(Clone, Debug)]
pub struct Step {
    /// The column's name when the step's turn comes.
    pub column: String,
    /// What happens.
    pub action: Action,
    /// What a table without the column means, if not what the entry says.
    missing: Option<MissingColumn>,
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "a part of `concat` is a column's name, or `{text: …}`")]
pub enum Part {
    /// A column's text.
    Column(String),
    /// This text.
    Text(Literal),
}

/// A text that is the same for every row.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Literal {
    /// The text.
    pub text: String,
}

/// What happens to columns.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RewriteColumns"))]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    /// Entries; the steps of all that select a table apply to it, in order.
    tables: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Entry"))]
#[serde(deny_unknown_fields)]
struct RawEntry {
    table: TablePatterns,
    /// Steps, in the order in which they run; each sees what the ones before it made.
    columns: Vec<RawStep>,
    /// What to do where a table has no column of a step. Default: error for tables that are named without wildcards, else ignore.
    missing: Option<MissingColumn>,
    /// The same as `missing`, as earlier versions had it.
    missing_column: Option<MissingColumn>,
}

/// A column, and one thing that happens to it.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Step", extend("minProperties" = 2, "maxProperties" = 3)))]
#[serde(deny_unknown_fields)]
struct RawStep {
    /// The column's name when the step's turn comes.
    column: String,
    /// It is not delivered.
    drop: Option<bool>,
    /// It gets this name.
    rename: Option<String>,
    /// All characters but the first and last few are hidden.
    mask: Option<RawMask>,
    /// It becomes its HMAC-SHA-256, in hexadecimal.
    hash: Option<RawHash>,
    /// It keeps at most so many characters.
    truncate: Option<usize>,
    /// It becomes this value; a new column when there is none of that name.
    #[serde(default, deserialize_with = "present")]
    constant: Option<serde_json::Value>,
    /// NULL becomes this value.
    #[serde(default, deserialize_with = "present")]
    default: Option<serde_json::Value>,
    /// It becomes the text of its parts, one after the other.
    concat: Option<RawConcat>,
    /// It changes its type; a value that cannot be represented exactly rejects its row.
    cast: Option<RawType>,
    /// What to do where a table has no such column, if not what the entry says.
    missing: Option<MissingColumn>,
    /// The same as `missing`, as earlier versions had it.
    missing_column: Option<MissingColumn>,
}

/// Tells `constant: null` from no `constant` at all.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize), schemars(rename = "Mask"))]
#[serde(deny_unknown_fields, default)]
struct RawMask {
    /// So many characters stay at the beginning.
    first: usize,
    /// So many characters stay at the end.
    last: usize,
    /// What stands in place of each hidden one.
    with: char,
}

impl Default for RawMask {
    fn default() -> Self {
        Self { first: 0, last: 0, with: '*' }
    }
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Hash"))]
#[serde(deny_unknown_fields)]
struct RawHash {
    /// The key: a secret text, or equal values can be guessed from their hashes.
    #[cfg_attr(test, schemars(length(min = 1)))]
    salt: String,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Concat"))]
#[serde(deny_unknown_fields)]
struct RawConcat {
    /// Columns and texts; NULL is left out.
    of: Vec<Part>,
    /// What stands between them.
    #[serde(default)]
    separator: String,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Type"))]
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
        let raw = serde_json::from_str::<Option<Raw>>(json)
            .map(Option::unwrap_or_default)
            .map_err(|error| format!("{error}; `config` of rewrite-columns is `tables:` with a list of `table` and `columns`"))?;
        if raw.tables.is_empty() {
            return Err("nothing to rewrite: give `tables` with a list of `table` and `columns`".into());
        }
        let entries = raw.tables.into_iter().map(|entry| {
            let steps =
                entry.columns.into_iter().map(step).collect::<Result<_, _>>().map_err(|error| format!("for {}: {error}", entry.table))?;
            let missing = either(entry.missing, entry.missing_column).map_err(|error| format!("for {}: {error}", entry.table))?;
            Ok(Entry { tables: entry.table, steps, missing })
        });
        Ok(Self { entries: entries.collect::<Result<_, String>>()? })
    }
}

/// What is said under one of the two names.
fn either(missing: Option<MissingColumn>, earlier: Option<MissingColumn>) -> Result<Option<MissingColumn>, &'static str> {
    match (missing, earlier) {
        (Some(_), Some(_)) => Err("both `missing` and `missing_column` are there, which mean the same; keep `missing`"),
        (missing, earlier) => Ok(missing.or(earlier)),
    }
}

fn step(raw: RawStep) -> Result<Step, String> {
    let column = raw.column;
    let of = |problem: &str| format!("column `{column}`: {problem}");
    let missing = either(raw.missing, raw.missing_column).map_err(&of)?;
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
        (Some(action), true) => Ok(Step { column, action, missing }),
        (None, _) => Err(of("nothing to do; give one of drop, rename, mask, hash, truncate, constant, default, concat, cast")),
        (Some(_), false) => Err(of("several actions in one entry; give each an entry of its own, in the order in which they shall run")),
    }
}
