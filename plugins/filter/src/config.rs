//! The plugin's configuration, checked as far as it can be without a table.

use serde::Deserialize;
use sluicegate_plugin::{Operations, TableName, TablePatterns};

use crate::expression;

/// What the plugin is told to do.
#[derive(Debug)]
pub struct Config {
    /// All entries; each applies to the tables that it selects.
    pub entries: Vec<Entry>,
}

/// What happens to some tables.
#[derive(Debug)]
pub struct Entry {
    tables: TablePatterns,
    /// The condition's text; it parses.
    pub condition: Option<String>,
    /// Operations that are delivered; `None` = all.
    pub operations: Option<Operations>,
    /// What a table without the condition's columns means; `None` = it depends on how the table is named.
    missing: Option<MissingColumn>,
}

/// What to do where a table does not have the columns of the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum MissingColumn {
    /// It is an error: the pipeline stops before the table's first row.
    Error,
    /// The same, as earlier versions had it.
    Stop,
    /// The condition is left out for this table: all its rows are kept.
    Ignore,
}

impl Entry {
    /// Whether the condition is not for a table that has `there` of the `all` columns that it names. A rule for many tables is
    /// for those that have all of its columns.
    pub fn leaves_out(&self, name: &TableName, there: usize, all: usize) -> bool {
        match self.missing {
            Some(MissingColumn::Error | MissingColumn::Stop) => false,
            Some(MissingColumn::Ignore) => there < all,
            None => there < all && !self.tables.include().is_empty() && !self.tables.names(name),
        }
    }

    /// The tables that it is for.
    pub fn tables(&self) -> &TablePatterns {
        &self.tables
    }

    /// Whether the entry applies to the table.
    pub fn selects(&self, name: &TableName) -> bool {
        self.tables.selects(name)
    }
}

/// Which rows and operations are delivered.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Filter"))]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    /// Conditions for some tables; when several stand for one table, all of them apply.
    #[serde(default)]
    tables: Vec<RawEntry>,
    /// For every table: an SQL condition on its columns. Rows for which it is true are kept.
    #[serde(rename = "where")]
    condition: Option<String>,
    /// For every table: the operations that are delivered. Default: all.
    operations: Option<Vec<Operation>>,
    /// For every table: what to do where it does not have the columns of `where`. Default: error.
    missing: Option<MissingColumn>,
    /// The same as `missing`, as earlier versions had it.
    missing_column: Option<MissingColumn>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Entry"))]
#[serde(deny_unknown_fields)]
struct RawEntry {
    table: TablePatterns,
    /// An SQL condition on the tables' columns, e.g. `status <> 'draft' AND total >= 10`. Rows for which it is true are kept.
    #[serde(rename = "where")]
    condition: Option<String>,
    /// Operations that are delivered. Default: all.
    operations: Option<Vec<Operation>>,
    /// What to do where a table does not have the columns of the condition. Default: error for tables that are named without
    /// wildcards, else ignore.
    missing: Option<MissingColumn>,
    /// The same as `missing`, as earlier versions had it.
    missing_column: Option<MissingColumn>,
}

#[derive(Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Operation {
    Snapshot,
    Insert,
    Update,
    Delete,
    Truncate,
}

impl Config {
    /// Reads the configuration; every condition has to parse.
    pub fn read(json: &str) -> Result<Self, String> {
        let raw = serde_json::from_str::<Option<Raw>>(json).map(Option::unwrap_or_default).map_err(|error| {
            format!("{error}; `config` of filter is `where: …` and `operations: […]`, or `tables:` with a list of `table`, `where`, `operations`")
        })?;
        let mut entries = Vec::new();
        if raw.condition.is_some() || raw.operations.is_some() {
            let missing = either("for every table", raw.missing, raw.missing_column)?;
            entries.push(entry("for every table", TablePatterns::default(), raw.condition, raw.operations, missing)?);
        }
        for RawEntry { table, condition, operations, missing, missing_column } in raw.tables {
            let which = format!("for {table}");
            let missing = either(&which, missing, missing_column)?;
            entries.push(entry(&which, table, condition, operations, missing)?);
        }
        if entries.is_empty() {
            return Err("nothing to filter: give `where`, `operations`, or `tables` with a list of them".into());
        }
        Ok(Self { entries })
    }
}

/// What is said under one of the two names.
fn either(which: &str, missing: Option<MissingColumn>, earlier: Option<MissingColumn>) -> Result<Option<MissingColumn>, String> {
    match (missing, earlier) {
        (Some(_), Some(_)) => {
            Err(format!("the entry {which} has both `missing` and `missing_column`, which mean the same; keep `missing`"))
        }
        (missing, earlier) => Ok(missing.or(earlier)),
    }
}

fn entry(
    which: &str,
    tables: TablePatterns,
    condition: Option<String>,
    operations: Option<Vec<Operation>>,
    missing: Option<MissingColumn>,
) -> Result<Entry, String> {
    if let Some(text) = &condition {
        expression::parse(text).map_err(|error| format!("the condition {which}: {error}"))?;
    }
    if condition.is_none() && operations.is_none() {
        return Err(format!("the entry {which} has neither `where` nor `operations`; give one of them or remove it"));
    }
    let operations = operations.map(|list| {
        list.into_iter().fold(Operations::empty(), |all, operation| {
            all | match operation {
                Operation::Snapshot => Operations::SNAPSHOT,
                Operation::Insert => Operations::INSERT,
                Operation::Update => Operations::UPDATE,
                Operation::Delete => Operations::DELETE,
                Operation::Truncate => Operations::TRUNCATE,
            }
        })
    });
    Ok(Entry { tables, condition, operations, missing })
}
