//! Keys of a table: the primary one, or in its place the first that is unique and holds no NULL.

use serde::{Deserialize, Serialize};

use super::{
    super::{
        schema::{CatalogueColumn, ROW_END},
        statement::{Token, Tokens},
    },
    attributes,
};

/// The primary key's name.
const PRIMARY: &str = "PRIMARY";
/// What the catalogue calls its columns.
const PRI: &str = "PRI";

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Empty until the server's name for it is known.
    pub name: String,
    /// Its columns; none where it is not of columns alone.
    pub columns: Vec<String>,
    /// Whether it is unique over whole columns, and may stand in for a primary key.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub whole: bool,
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

impl Key {
    pub fn primary(columns: Vec<String>) -> Self {
        Self { name: PRIMARY.to_owned(), columns, whole: true }
    }

    pub fn unique(name: Option<String>, columns: Vec<String>, whole: bool) -> Self {
        Self { name: name.unwrap_or_default(), columns, whole }
    }

    pub fn is_primary(&self) -> bool {
        same(&self.name, PRIMARY)
    }

    pub fn is_named(&self, name: &str) -> bool {
        same(&self.name, name)
    }
}

/// Takes what stands behind `PRIMARY KEY`, `UNIQUE KEY` or `KEY`: name, kind, columns and options. Answers `(name, columns, whole)`.
pub(super) fn read(tokens: &mut Tokens<'_>) -> Option<(Option<String>, Vec<String>, bool)> {
    let mut name = None;
    if !matches!(tokens.peek(), Some(Token::Sign('('))) && !tokens.peek()?.is("USING") && !tokens.peek()?.is("TYPE") {
        name = Some(tokens.name()?);
    }
    if tokens.word("USING") || tokens.word("TYPE") {
        tokens.name()?;
    }
    tokens.sign('(').then_some(())?;
    let (mut columns, mut whole) = (Vec::new(), true);
    loop {
        if tokens.sign('(') {
            // an expression
            tokens.close().then_some(())?;
            whole = false;
        } else {
            columns.push(tokens.name()?);
            if tokens.sign('(') {
                tokens.close().then_some(())?;
                whole = false;
            }
        }
        if !tokens.word("ASC") {
            tokens.word("DESC");
        }
        // MariaDB: a period WITHOUT OVERLAPS is none of the columns
        if tokens.peek().is_some_and(|word| word.is("WITHOUT")) {
            return None;
        }
        if !tokens.sign(',') {
            break;
        }
    }
    tokens.sign(')').then_some(())?;
    options(tokens)?;
    Some((name, columns, whole))
}

fn options(tokens: &mut Tokens<'_>) -> Option<()> {
    while !attributes::is_over(tokens) {
        if tokens.words(&["WITH", "PARSER"]) || tokens.word("USING") {
            tokens.name()?;
        } else if tokens.word("COMMENT") || tokens.word("ENGINE_ATTRIBUTE") || tokens.word("SECONDARY_ENGINE_ATTRIBUTE") {
            tokens.sign('=');
            tokens.text()?;
        } else if !["VISIBLE", "INVISIBLE", "IGNORED"].iter().any(|word| tokens.word(word)) && !tokens.words(&["NOT", "IGNORED"]) {
            // KEY_BLOCK_SIZE and options of MariaDB's storage engines
            tokens.name()?;
            tokens.sign('=');
            tokens.next()?;
        }
    }
    Some(())
}

/// Gives a key the name that the server gives it, and appends it.
pub(super) fn append(keys: &mut Vec<Key>, mut key: Key) -> Option<()> {
    if key.is_primary() && keys.iter().any(Key::is_primary) {
        return None;
    }
    if key.name.is_empty() {
        let first = key.columns.first().cloned().unwrap_or_else(|| "functional_index".to_owned());
        let taken = |name: &str| same(name, PRIMARY) || keys.iter().any(|key| key.is_named(name));
        let numbered = || (2..).map(|number| format!("{first}_{number}")).find(|name| !taken(name));
        key.name = if taken(&first) { numbered()? } else { first };
    }
    keys.push(key);
    Some(())
}

/// Marks the columns of the primary key, or of the key that stands in for it, as the catalogue does. All keys are known.
pub(super) fn mark(columns: &mut [CatalogueColumn], keys: &[Key]) -> Option<()> {
    let primary = keys.iter().find(|key| key.is_primary());
    let mut chosen = primary.cloned();
    if chosen.is_none() {
        for key in keys.iter().filter(|key| key.whole && !key.columns.is_empty()) {
            let nullable = |name: &String| columns.iter().find(|column| same(&column.name, name)).map(|column| column.nullable);
            let parts: Option<Vec<_>> = key.columns.iter().map(nullable).collect();
            let parts = parts?;
            if parts.iter().all(|nullable| *nullable == Some(false)) {
                chosen = Some(key.clone());
                break;
            }
            // it may be this one
            parts.contains(&Some(true)).then_some(())?;
        }
    }
    for column in columns.iter_mut().filter(|column| column.key != ROW_END) {
        column.key.clear();
    }
    let Some(chosen) = chosen else { return Some(()) };
    set(columns, &chosen.columns, primary.is_some())
}

/// Marks these columns.
pub(super) fn set(columns: &mut [CatalogueColumn], names: &[String], primary: bool) -> Option<()> {
    for name in names {
        let column = columns.iter_mut().find(|column| same(&column.name, name))?;
        if column.key != ROW_END {
            column.key = PRI.to_owned();
        }
        if primary {
            column.nullable = Some(false);
        }
    }
    Some(())
}

/// Whether the catalogue marks the column so.
pub(super) fn is_marked(column: &CatalogueColumn) -> bool {
    column.key == PRI
}
