//! Statements that change some of the tables that they join: which ones.

use sluicegate_model::change::TableName;

use super::token::{Token, Tokens};

/// What stands behind the tables of a `DELETE`.
const BEHIND_DELETE: [&str; 4] = ["WHERE", "ORDER", "LIMIT", "RETURNING"];

/// The tables that a statement changes.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// These it changes.
    pub tables: Vec<TableName>,
    /// One of these it changes only if it is the one that has one of the columns.
    pub maybe: Vec<TableName>,
    /// Columns that it assigns without saying of which table.
    pub columns: Vec<String>,
}

impl Named {
    pub(super) fn all(tables: Vec<TableName>) -> Self {
        Self { tables, ..Self::default() }
    }
}

/// A table that is joined.
struct Reference {
    table: TableName,
    /// What it may be called in the statement, besides its own name: every word that stands behind it.
    aliases: Vec<String>,
}

impl Reference {
    /// Whether the name may be that of this table.
    fn may_be(&self, database: Option<&str>, name: &str) -> bool {
        let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
        database.is_none_or(|database| same(database, &self.table.database)) && same(name, &self.table.table)
            || self.aliases.iter().any(|alias| same(alias, name))
    }
}

/// The tables of an `UPDATE`, behind the word.
pub(super) fn updated(mut tokens: Tokens<'_>, database: &str) -> Option<Named> {
    let references = references(&mut tokens, database, &["SET"])?;
    let assigned = if references.len() > 1 && tokens.word("SET") { assigned(tokens) } else { None };
    let Some(assigned) = assigned else { return Some(all(references)) };
    let mut columns = Vec::new();
    let mut changed = vec![false; references.len()];
    for mut path in assigned {
        let column = path.pop()?;
        match path.pop() {
            None => columns.push(column),
            Some(table) if mark(&references, &mut changed, path.last().map(String::as_str), &table) => {}
            Some(_) => return Some(all(references)),
        }
    }
    let (mut tables, mut maybe) = (Vec::new(), Vec::new());
    for (reference, changed) in references.into_iter().zip(changed) {
        if changed {
            tables.push(reference.table);
        } else if !columns.is_empty() {
            maybe.push(reference.table);
        }
    }
    Some(Named { tables, maybe, columns })
}

/// The tables of a `DELETE`, behind the word.
pub(super) fn deleted(mut tokens: Tokens<'_>, database: &str) -> Option<Named> {
    tokens.any_words(&["LOW_PRIORITY", "QUICK", "IGNORE"]);
    let single = tokens.word("FROM");
    let targets = tokens;
    if single {
        let mut several = tokens;
        let table = several.table(database);
        // the tables that are joined stand behind USING, at any distance
        let mut depth = 0_u32;
        let using = loop {
            match several.next() {
                Some(Token::Sign('(')) => depth += 1,
                Some(Token::Sign(')')) => depth = depth.saturating_sub(1),
                Some(token) if depth == 0 && token.is("USING") => break true,
                Some(token) if depth == 0 && is_end(&token, &BEHIND_DELETE) => break false,
                Some(_) => {}
                None => break false,
            }
        };
        if !using {
            return table.map(|table| Named::all(vec![table]));
        }
        tokens = several;
    } else {
        while !tokens.word("FROM") {
            tokens.next()?;
        }
    }
    let references = references(&mut tokens, database, &BEHIND_DELETE)?;
    let mut changed = vec![false; references.len()];
    let known =
        |path: &mut Vec<String>| path.pop().is_some_and(|table| mark(&references, &mut changed, path.last().map(String::as_str), &table));
    if references.len() < 2 || !listed(targets, if single { "USING" } else { "FROM" }).is_some_and(|mut paths| paths.iter_mut().all(known))
    {
        return Some(all(references));
    }
    Some(Named::all(references.into_iter().zip(changed).filter(|(_, changed)| *changed).map(|(reference, _)| reference.table).collect()))
}

fn all(references: Vec<Reference>) -> Named {
    Named::all(references.into_iter().map(|reference| reference.table).collect())
}

/// Notes that each table is changed that may have this name; whether there is one.
fn mark(references: &[Reference], changed: &mut [bool], database: Option<&str>, name: &str) -> bool {
    let mut found = false;
    for (reference, changed) in references.iter().zip(changed) {
        if reference.may_be(database, name) {
            (found, *changed) = (true, true);
        }
    }
    found
}

/// `a.b.c`
fn path(tokens: &mut Tokens<'_>) -> Option<Vec<String>> {
    // `.t` is `t`, for ODBC
    tokens.sign('.');
    let mut path = vec![tokens.name()?];
    while tokens.sign('.') {
        path.push(tokens.name()?);
    }
    Some(path)
}

/// `a, b.c.*, …` up to the word.
fn listed(mut tokens: Tokens<'_>, end: &str) -> Option<Vec<Vec<String>>> {
    let mut paths = Vec::new();
    loop {
        let mut path = vec![tokens.name()?];
        while tokens.sign('.') {
            if tokens.sign('*') {
                break;
            }
            path.push(tokens.name()?);
        }
        paths.push(path);
        if tokens.word(end) {
            return Some(paths);
        }
        if !tokens.sign(',') {
            return None;
        }
    }
}

/// The columns of `column = value, …`, behind `SET`.
fn assigned(mut tokens: Tokens<'_>) -> Option<Vec<Vec<String>>> {
    let mut columns = Vec::new();
    loop {
        columns.push(path(&mut tokens)?);
        tokens.sign(':');
        if !tokens.sign('=') {
            return None;
        }
        let mut depth = 0_u32;
        loop {
            match tokens.next() {
                Some(Token::Sign('(')) => depth += 1,
                Some(Token::Sign(')')) if depth > 0 => depth -= 1,
                Some(Token::Sign(',')) if depth == 0 => break,
                Some(token) if depth == 0 && is_end(&token, &BEHIND_DELETE) => return Some(columns),
                Some(_) => {}
                None => return Some(columns),
            }
        }
    }
}

/// The tables of `a JOIN b ON …, (c, d)`, up to one of the words or the end.
fn references(tokens: &mut Tokens<'_>, database: &str, ends: &[&str]) -> Option<Vec<Reference>> {
    let mut tables: Vec<Reference> = Vec::new();
    let mut table_comes = true;
    // whether the last of them is what an alias may belong to
    let mut named = false;
    loop {
        if tokens.sign('(') {
            if tokens.peek().is_some_and(|token| ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| token.is(word))) {
                behind_parentheses(tokens);
                (table_comes, named) = (false, false);
            }
            continue;
        }
        if tokens.sign(',') || tokens.word("JOIN") || tokens.word("STRAIGHT_JOIN") {
            table_comes = true;
        } else if tokens.peek().is_none_or(|token| is_end(&token, ends)) {
            return Some(tables);
        } else if table_comes {
            if tokens.word("LATERAL") {
                continue;
            }
            let table = tokens.table(database)?;
            table_comes = false;
            // a function that gives rows, such as JSON_TABLE
            named = !tokens.sign('(');
            if named {
                tables.push(Reference { table, aliases: Vec::new() });
            } else {
                behind_parentheses(tokens);
            }
        } else if tokens.word("ON") {
            condition(tokens, ends);
        } else if tokens.word("USING") || tokens.word("PARTITION") {
            if tokens.sign('(') {
                behind_parentheses(tokens);
            }
        } else if let Some(Token::Word(_) | Token::Quoted(_)) = tokens.peek() {
            // one that cannot be read may be any
            let alias = tokens.name()?;
            if let Some(last) = tables.last_mut().filter(|_| named) {
                last.aliases.push(alias);
            }
        } else {
            tokens.next();
        }
    }
}

/// Whether a list of tables ends: at one of the words, or with the statement (one in a body has others behind it).
fn is_end(token: &Token<'_>, ends: &[&str]) -> bool {
    *token == Token::Sign(';') || ends.iter().any(|end| token.is(end))
}

/// Goes behind the parenthesis that closes the one before.
fn behind_parentheses(tokens: &mut Tokens<'_>) {
    tokens.close();
}

/// Goes to the end of a condition: the next table, or what closes or ends the list of tables.
fn condition(tokens: &mut Tokens<'_>, ends: &[&str]) {
    const NEXT: [&str; 8] = ["JOIN", "STRAIGHT_JOIN", "LEFT", "RIGHT", "INNER", "CROSS", "NATURAL", "FULL"];
    loop {
        let before = *tokens;
        match tokens.next() {
            // LEFT(text, 3) is a function
            Some(token) if NEXT.iter().any(|word| token.is(word)) && tokens.peek() != Some(Token::Sign('(')) => return *tokens = before,
            Some(Token::Sign(',' | ')')) => return *tokens = before,
            Some(token) if is_end(&token, ends) => return *tokens = before,
            Some(Token::Sign('(')) => behind_parentheses(tokens),
            Some(_) => {}
            None => return,
        }
    }
}
