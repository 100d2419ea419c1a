//! The plugin's configuration.

use serde::Deserialize;
use sluicegate_plugin::{TableName, TablePatterns, display_name};

use crate::rename::Rename;

/// New names. In each list the first entry that matches decides.
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "MapNames"))]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    /// New names of databases.
    #[serde(default)]
    databases: Vec<RawEntry>,
    /// New names of schemas.
    #[serde(default)]
    schemas: Vec<RawEntry>,
    /// New names of tables.
    #[serde(default)]
    tables: Vec<RawTable>,
    /// New names of columns.
    #[serde(default)]
    columns: Vec<RawColumn>,
    /// What happens to the letters of names, after all else.
    #[serde(default)]
    case: RawCase,
    /// Whether several tables may get the same name and flow together.
    #[serde(default)]
    merge: bool,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Entry"))]
#[serde(deny_unknown_fields)]
struct RawEntry {
    /// The whole name. Either this or `pattern`.
    from: Option<String>,
    /// A regular expression that has to match the whole name.
    pattern: Option<String>,
    /// The new name; `$1` and `${name}` stand for groups of the pattern.
    to: String,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Table"))]
#[serde(deny_unknown_fields)]
struct RawTable {
    /// The table, `database.table`. Either this or `pattern`.
    from: Option<String>,
    /// A regular expression that has to match `database.table` as a whole.
    pattern: Option<String>,
    /// The new name, `table` or `database.table`; `$1` and `${name}` stand for groups of the pattern.
    to: String,
    /// Whether the table may flow together with others of the same new name.
    #[serde(default)]
    merge: bool,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Column"))]
#[serde(deny_unknown_fields)]
struct RawColumn {
    #[serde(default)]
    table: TablePatterns,
    /// The whole name. Either this or `pattern`.
    from: Option<String>,
    /// A regular expression that has to match the whole name.
    pattern: Option<String>,
    /// The new name; `$1` and `${name}` stand for groups of the pattern.
    to: String,
}

/// What happens to the letters of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "lowercase")]
enum Case {
    #[default]
    Keep,
    Lower,
    Upper,
}

/// What happens to the letters of each kind of name.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(default, deny_unknown_fields)]
struct Cases {
    databases: Case,
    schemas: Case,
    tables: Case,
    columns: Case,
}

/// One policy for all names, or one for each kind.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(untagged, expecting = "`case` is keep, lower or upper, or one of them for each of databases, schemas, tables and columns")]
enum RawCase {
    All(Case),
    Each(Cases),
}

impl Default for RawCase {
    fn default() -> Self {
        RawCase::All(Case::Keep)
    }
}

impl Case {
    fn of(self, name: String) -> String {
        match self {
            Case::Keep => name,
            Case::Lower => name.to_lowercase(),
            Case::Upper => name.to_uppercase(),
        }
    }
}

#[derive(Debug)]
struct Column {
    tables: TablePatterns,
    rename: Rename,
}

/// What the plugin is told to do.
#[derive(Debug)]
pub struct Config {
    databases: Vec<Rename>,
    schemas: Vec<Rename>,
    tables: Vec<(Rename, bool)>,
    columns: Vec<Column>,
    case: Cases,
    merge: bool,
}

impl Config {
    /// Reads the configuration.
    pub fn read(json: &str) -> Result<Self, String> {
        let raw = serde_json::from_str::<Option<Raw>>(json).map(Option::unwrap_or_default).map_err(|error| {
            format!("{error}; `config` of map-names has `databases`, `schemas`, `tables`, `columns`, `case` and `merge`")
        })?;
        let entries = |kind: &str, entries: Vec<RawEntry>| -> Result<Vec<Rename>, String> {
            entries.into_iter().map(|e| Rename::new(e.from, e.pattern, e.to).map_err(|error| format!("`{kind}`: {error}"))).collect()
        };
        let tables = raw.tables.into_iter().map(|entry| {
            let rename = Rename::new(entry.from, entry.pattern, entry.to)?;
            if let Rename::Exact(from, _) = &rename
                && !from.contains('.')
            {
                return Err(format!("`from: {from}` is no table; write `database.table`"));
            }
            Ok((rename, entry.merge))
        });
        let columns = raw
            .columns
            .into_iter()
            .map(|entry| Rename::new(entry.from, entry.pattern, entry.to).map(|rename| Column { tables: entry.table, rename }));
        let case = match raw.case {
            RawCase::All(case) => Cases { databases: case, schemas: case, tables: case, columns: case },
            RawCase::Each(cases) => cases,
        };
        Ok(Self {
            databases: entries("databases", raw.databases)?,
            schemas: entries("schemas", raw.schemas)?,
            tables: tables.collect::<Result<_, _>>().map_err(|error: String| format!("`tables`: {error}"))?,
            columns: columns.collect::<Result<_, _>>().map_err(|error| format!("`columns`: {error}"))?,
            case,
            merge: raw.merge,
        })
    }

    /// A table's new name, and whether it may flow together with others.
    pub fn table(&self, old: &TableName) -> Result<(TableName, bool), String> {
        let full = display_name(old);
        let first =
            |renames: &[Rename], name: &str| renames.iter().find_map(|rename| rename.apply(name)).unwrap_or_else(|| name.to_string());
        let mut new = TableName {
            database: first(&self.databases, &old.database),
            schema: old.schema.as_ref().map(|schema| first(&self.schemas, schema)),
            table: old.table.clone(),
        };
        let mut merge = self.merge;
        if let Some((to, entry_merge)) = self.tables.iter().find_map(|(rename, merge)| Some((rename.apply(&full)?, *merge))) {
            merge |= entry_merge;
            match to.split('.').collect::<Vec<_>>().as_slice() {
                [table] => new.table = (*table).to_string(),
                [database, table] => {
                    new = TableName { database: (*database).to_string(), schema: old.schema.clone(), table: (*table).to_string() };
                }
                [database, schema, table] => {
                    new = TableName { database: (*database).into(), schema: Some((*schema).into()), table: (*table).into() };
                }
                _ => {
                    return Err(format!(
                        "table {full} would be called `{to}`; a name is `table`, `database.table` or `database.schema.table`"
                    ));
                }
            }
        }
        let new = TableName {
            database: self.case.databases.of(new.database),
            schema: new.schema.map(|schema| self.case.schemas.of(schema)),
            table: self.case.tables.of(new.table),
        };
        if new.database.is_empty() || new.table.is_empty() || new.schema.as_ref().is_some_and(String::is_empty) {
            return Err(format!("table {full} would be called `{}`, with an empty part", display_name(&new)));
        }
        Ok((new, merge))
    }

    /// A column's new name. `table` is the table's name as it arrives.
    pub fn column(&self, table: &TableName, old: &str) -> Result<String, String> {
        let renamed = self.columns.iter().filter(|entry| entry.tables.selects(table)).find_map(|entry| entry.rename.apply(old));
        let new = self.case.columns.of(renamed.unwrap_or_else(|| old.to_string()));
        if new.is_empty() {
            return Err(format!("column `{old}` of table {} would have an empty name", display_name(table)));
        }
        Ok(new)
    }

    /// A column that an entry names for exactly this table, and that the table does not have: a slip of the pen.
    pub fn missing_column(&self, table: &TableName, columns: &[String]) -> Option<&str> {
        self.columns.iter().filter(|entry| entry.tables.is_exact() && entry.tables.selects(table)).find_map(|entry| match &entry.rename {
            Rename::Exact(from, _) if !columns.contains(from) => Some(from.as_str()),
            _ => None,
        })
    }
}
