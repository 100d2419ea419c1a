//! Statements that change rows: which tables they name as changed, and which functions they may call.

use sluicegate_model::change::TableName;

use super::{
    joined::{self, Named},
    token::{Token, Tokens},
};

/// Functions of one statement that are looked up, at most; with more, it may change anything.
const MOST_CALLS: usize = 256;

/// What a statement may change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The tables that it names as changed. Where several are joined and it cannot be told, those that it only reads are among them.
    pub tables: Vec<TableName>,
    /// Tables that it joins, of which it changes only those that have one of the columns `assigned`.
    pub maybe: Vec<TableName>,
    /// Columns that it assigns without saying of which table.
    pub assigned: Vec<String>,
    /// What may be functions or procedures that it calls; a name without a database is of the default one.
    pub calls: Vec<(Option<String>, String)>,
    /// Whether it changes nothing but those tables and what those functions change.
    pub complete: bool,
}

impl Change {
    /// Of which nothing is known.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Of a table that is known, by the rest of a statement.
    pub fn of(table: TableName, tokens: Tokens<'_>) -> Self {
        let mut change = Self { tables: vec![table], complete: true, ..Self::default() };
        change.find_calls(tokens);
        change
    }

    /// Reads a statement that may change rows; `None` if it does not begin with a known word.
    pub fn read(mut tokens: Tokens<'_>, database: &str) -> Option<Self> {
        let whole = tokens;
        if tokens.word("EXPLAIN") || tokens.word("DESCRIBE") || tokens.word("DESC") || tokens.word("ANALYZE") {
            tokens.any_words(&["EXTENDED", "PARTITIONS", "ANALYZE"]);
            if tokens.word("FORMAT") {
                tokens.sign('=');
                tokens.next();
            }
        }
        while tokens.sign('(') {}
        if tokens.word("WITH") {
            behind_with(&mut tokens);
        }
        let verb = match tokens.next()? {
            Token::Word(word) => word.to_ascii_uppercase(),
            _ => return None,
        };
        let named = match verb.as_str() {
            "INSERT" | "REPLACE" => {
                tokens.any_words(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"]);
                tokens.table(database).map(|table| Named::all(vec![table]))
            }
            "UPDATE" => {
                tokens.any_words(&["LOW_PRIORITY", "IGNORE"]);
                joined::updated(tokens, database)
            }
            "DELETE" => joined::deleted(tokens, database),
            "LOAD" => {
                while tokens.peek().is_some() && !tokens.word("TABLE") {
                    tokens.next();
                }
                tokens.table(database).map(|table| Named::all(vec![table]))
            }
            // the servers log the call of a function that changes rows as a SELECT
            "SELECT" => Some(Named::default()),
            "VALUES" | "TABLE" | "DO" | "CALL" | "HANDLER" | "EXECUTE" | "PREPARE" => None,
            _ => return None,
        };
        let complete = named.is_some();
        let Named { tables, maybe, columns: assigned } = named.unwrap_or_default();
        let mut change = Self { tables, maybe, assigned, calls: Vec::new(), complete };
        change.find_calls(whole);
        Some(change)
    }

    /// Notes what may be calls of functions: a name before a parenthesis.
    fn find_calls(&mut self, mut tokens: Tokens<'_>) {
        while let Some(token) = tokens.next() {
            let first = match token {
                Token::Word(word) => word.to_owned(),
                Token::Quoted(name) => name.into_owned(),
                Token::Text | Token::Sign(_) => continue,
            };
            let mut ahead = tokens;
            let call = if ahead.sign('.') { ahead.name().map(|name| (Some(first), name)) } else { Some((None, first)) };
            if ahead.peek() != Some(Token::Sign('(')) {
                continue;
            }
            tokens = ahead;
            match call {
                Some(call) if self.calls.contains(&call) => {}
                Some(call) if self.calls.len() < MOST_CALLS => self.calls.push(call),
                _ => self.complete = false,
            }
        }
    }
}

/// Whether a change stands behind `ANALYZE`, and not the tables to be analysed.
pub(super) fn is_analysed_change(mut tokens: Tokens<'_>) -> bool {
    if tokens.word("FORMAT") {
        tokens.sign('=');
        tokens.next();
    }
    ["INSERT", "REPLACE", "UPDATE", "DELETE", "SELECT", "WITH"].iter().any(|word| tokens.word(word))
}

/// Goes to the verb behind the queries of a `WITH`.
fn behind_with(tokens: &mut Tokens<'_>) {
    let mut depth = 0_u32;
    loop {
        let verb = |token: &Token<'_>| ["SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "VALUES", "TABLE"].iter().any(|v| token.is(v));
        if depth == 0 && tokens.peek().is_none_or(|token| verb(&token)) {
            return;
        }
        match tokens.next() {
            Some(Token::Sign('(')) => depth += 1,
            Some(Token::Sign(')')) => depth = depth.saturating_sub(1),
            Some(_) => {}
            None => return,
        }
    }
}
