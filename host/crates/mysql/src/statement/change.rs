//! Statements that change rows: which tables they name as changed, and which functions they may call.

use sluicegate_model::change::TableName;

use super::token::{Token, Tokens};

/// Functions of one statement that are looked up, at most; with more, it may change anything.
const MOST_CALLS: usize = 256;

/// What a statement may change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The tables that it names. Where several are joined, those that it only reads are among them.
    pub tables: Vec<TableName>,
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
        let mut change = Self { tables: vec![table], calls: Vec::new(), complete: true };
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
        let tables = match verb.as_str() {
            "INSERT" | "REPLACE" => {
                tokens.any_words(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"]);
                tokens.table(database).map(|table| vec![table])
            }
            "UPDATE" => {
                tokens.any_words(&["LOW_PRIORITY", "IGNORE"]);
                references(&mut tokens, database, &["SET"])
            }
            "DELETE" => deleted(tokens, database),
            "LOAD" => {
                while tokens.peek().is_some() && !tokens.word("TABLE") {
                    tokens.next();
                }
                tokens.table(database).map(|table| vec![table])
            }
            // the servers log the call of a function that changes rows as a SELECT
            "SELECT" => Some(Vec::new()),
            "VALUES" | "TABLE" | "DO" | "CALL" | "HANDLER" | "EXECUTE" | "PREPARE" => None,
            _ => return None,
        };
        let mut change = Self { complete: tables.is_some(), tables: tables.unwrap_or_default(), calls: Vec::new() };
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

/// The tables of a `DELETE`. Where it deletes from several, their names may be aliases: then all that are joined count.
fn deleted(mut tokens: Tokens<'_>, database: &str) -> Option<Vec<TableName>> {
    const ENDS: [&str; 4] = ["WHERE", "ORDER", "LIMIT", "RETURNING"];
    tokens.any_words(&["LOW_PRIORITY", "QUICK", "IGNORE"]);
    let single = tokens.word("FROM");
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
                Some(token) if depth == 0 && is_end(&token, &ENDS) => break false,
                Some(_) => {}
                None => break false,
            }
        };
        if !using {
            return table.map(|table| vec![table]);
        }
        tokens = several;
    } else {
        while !tokens.word("FROM") {
            tokens.next()?;
        }
    }
    references(&mut tokens, database, &ENDS)
}

/// The tables of `a JOIN b ON …, (c, d)`, up to one of the words or the end.
fn references(tokens: &mut Tokens<'_>, database: &str, ends: &[&str]) -> Option<Vec<TableName>> {
    let mut tables = Vec::new();
    let mut table_comes = true;
    loop {
        if tokens.sign('(') {
            if tokens.peek().is_some_and(|token| ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| token.is(word))) {
                behind_parentheses(tokens);
                table_comes = false;
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
            if tokens.sign('(') {
                // a function that gives rows, such as JSON_TABLE
                behind_parentheses(tokens);
            } else {
                tables.push(table);
            }
        } else if tokens.word("ON") {
            condition(tokens, ends);
        } else if tokens.word("USING") || tokens.word("PARTITION") {
            if tokens.sign('(') {
                behind_parentheses(tokens);
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
    let mut depth = 1_u32;
    while depth > 0 {
        match tokens.next() {
            Some(Token::Sign('(')) => depth += 1,
            Some(Token::Sign(')')) => depth -= 1,
            Some(_) => {}
            None => return,
        }
    }
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
