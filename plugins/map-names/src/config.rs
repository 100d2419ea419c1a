//! The plugin's configuration.

use serde::Deserialize;
use sluicegate_plugin::{TableName, TablePattern, TablePatterns, display_name, find_name, name_parts};

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
    /// The table, `database.table`, with backticks around a part that holds a dot. Either this or `pattern`.
    from: Option<String>,
    /// A regular expression that has to match `database.table` as a whole, with backticks around a part that holds a dot.
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
    /// What to do where a table has no column of the name in `from`. Default: error for tables that are named without wildcards,
    /// else ignore.
    missing: Option<MissingColumn>,
    /// The same as `missing`, as earlier versions had it.
    missing_column: Option<MissingColumn>,
}

/// What to do where a table has no column of the name in `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum MissingColumn {
    /// It is an error: the pipeline stops before the table's first row.
    Error,
    /// The same, as earlier versions had it.
    Stop,
    /// The entry is left out for this table.
    Ignore,
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
    missing: Option<MissingColumn>,
}

impl Column {
    /// Whether it is a slip that this table, which the entry selects, does not have the column.
    fn needs(&self, table: &TableName) -> bool {
        match self.missing {
            Some(missing) => missing != MissingColumn::Ignore,
            None => self.tables.names(table),
        }
    }

    /// The one column of `all` that an entry without a pattern is for. Names have no case, unless the table has two columns that
    /// differ in nothing else.
    fn one(&self, all: &[String]) -> Option<usize> {
        match &self.rename {
            Rename::Exact(from, _) => find_name(from, all.iter().map(String::as_str)),
            _ => None,
        }
    }
}

/// A renaming of tables.
#[derive(Debug)]
struct Table {
    /// The one table, if it is not for all that an expression matches.
    from: Option<TablePattern>,
    rename: Rename,
    merge: bool,
}

impl Table {
    /// The new name of a table that is called `full`, if this renaming is for it.
    fn apply(&self, name: &TableName, full: &str) -> Option<String> {
        match (&self.from, &self.rename) {
            (Some(from), Rename::Exact(_, to)) => from.matches(name).then(|| to.clone()),
            (_, rename) => rename.apply(full),
        }
    }
}

/// A table's name from `from`.
fn one_table(text: &str) -> Result<TablePattern, String> {
    let name = TablePattern::new(text).map_err(|fault| {
        format!("`from: {text}` is no table: {fault}; write `database.table`, with backticks around a part that holds a dot")
    })?;
    match name.is_exact() {
        true => Ok(name),
        false => {
            Err(format!("`from: {text}` names no single table; use `pattern` for several, and backticks where a name holds `*` or `?`"))
        }
    }
}

/// What the plugin is told to do.
#[derive(Debug)]
pub struct Config {
    databases: Vec<Rename>,
    schemas: Vec<Rename>,
    tables: Vec<Table>,
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
            let from = entry.from.as_deref().map(one_table).transpose()?;
            Ok(Table { from, rename: Rename::new(entry.from, entry.pattern, entry.to)?, merge: entry.merge })
        });
        let columns = raw.columns.into_iter().map(|entry| {
            if entry.missing.is_some() && entry.missing_column.is_some() {
                return Err("an entry has both `missing` and `missing_column`, which mean the same; keep `missing`".to_owned());
            }
            let missing = entry.missing.or(entry.missing_column);
            Rename::new(entry.from, entry.pattern, entry.to).map(|rename| Column { tables: entry.table, rename, missing })
        });
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
        if let Some((to, entry_merge)) = self.tables.iter().find_map(|entry| Some((entry.apply(old, &full)?, entry.merge))) {
            merge |= entry_merge;
            let mut parts = name_parts(&to).unwrap_or_default();
            match (parts.len(), parts.pop(), parts.pop(), parts.pop()) {
                (1, Some(table), ..) => new.table = table,
                (2, Some(table), Some(database), _) => new = TableName { database, schema: old.schema.clone(), table },
                (3, Some(table), schema, Some(database)) => new = TableName { database, schema, table },
                _ => {
                    return Err(format!(
                        "table {full} would be called `{to}`; a name is `table`, `database.table` or `database.schema.table`, with backticks \
                         around a part that holds a dot"
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

    /// The new names of a table's columns. `table` is the table's name as it arrives.
    pub fn columns(&self, table: &TableName, old: &[String]) -> Result<Vec<String>, String> {
        let mut renamed: Vec<Option<String>> = vec![None; old.len()];
        for entry in self.columns.iter().filter(|entry| entry.tables.selects(table)) {
            let one = entry.one(old);
            for (index, (renamed, column)) in renamed.iter_mut().zip(old).enumerate().filter(|(_, (renamed, _))| renamed.is_none()) {
                *renamed = match &entry.rename {
                    Rename::Exact(_, to) => (one == Some(index)).then(|| to.clone()),
                    rename => rename.apply(column),
                };
            }
        }
        let named = renamed.into_iter().zip(old).map(|(renamed, old)| {
            let new = self.case.columns.of(renamed.unwrap_or_else(|| old.clone()));
            if new.is_empty() {
                return Err(format!("column `{old}` of table {} would have an empty name", display_name(table)));
            }
            Ok(new)
        });
        named.collect()
    }

    /// A column that an entry names for exactly this table, and that the table does not have: a slip.
    pub fn missing_column(&self, table: &TableName, columns: &[String]) -> Option<&str> {
        self.columns.iter().filter(|entry| entry.tables.selects(table) && entry.needs(table)).find_map(|entry| match &entry.rename {
            Rename::Exact(from, _) if entry.one(columns).is_none() => Some(from.as_str()),
            _ => None,
        })
    }
}
