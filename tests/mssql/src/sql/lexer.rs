//! Text into tokens.

use crate::error::{Result, SqlError};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A word as written: a keyword or a plain name.
    Word(String),
    /// A name in brackets or double quotes.
    Quoted(String),
    /// `@name` or `@@name`.
    Variable(String),
    /// A text, and whether `N` stood before it.
    Text(String, bool),
    /// A number as written.
    Number(String),
    /// Bytes: the digits behind `0x`.
    Hex(String),
    Symbol(&'static str),
    End,
}

impl Token {
    /// As an error message names it.
    pub(super) fn near(&self) -> String {
        match self {
            Self::Word(text) | Self::Quoted(text) | Self::Variable(text) | Self::Text(text, _) | Self::Number(text) => text.clone(),
            Self::Hex(digits) => format!("0x{digits}"),
            Self::Symbol(symbol) => (*symbol).to_owned(),
            Self::End => String::new(),
        }
    }
}

const SYMBOLS: [&str; 24] =
    ["<>", "<=", ">=", "!=", "+=", "-=", "(", ")", ",", ".", ";", "=", "<", ">", "+", "-", "*", "/", "%", "&", "|", "^", "~", ":"];

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '#')
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '#' | '@' | '$')
}

/// The tokens of a batch; the last one is [`Token::End`].
pub(super) fn tokens(sql: &str) -> Result<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = sql.trim_start_matches('\u{feff}');
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { break };
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.find('\n').map_or("", |at| &comment[at..]);
        } else if rest.starts_with("/*") {
            rest = after_comment(rest)?;
        } else if first == '\'' || (matches!(first, 'N' | 'n') && rest[1..].starts_with('\'')) {
            let national = first != '\'';
            let (text, after) = quoted(&rest[usize::from(national)..], '\'')
                .ok_or_else(|| SqlError::new(105, "Unclosed quotation mark after the character string.").class(15))?;
            found.push(Token::Text(text, national));
            rest = after;
        } else if first == '[' || first == '"' {
            let close = if first == '[' { ']' } else { '"' };
            let (text, after) =
                quoted(rest, close).ok_or_else(|| SqlError::new(105, "Unclosed quotation mark after the character string.").class(15))?;
            found.push(Token::Quoted(text));
            rest = after;
        } else if first == '@' {
            let end = rest[1..].find(|c: char| !is_name(c)).map_or(rest.len(), |at| at + 1);
            found.push(Token::Variable(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if rest.starts_with("0x") || rest.starts_with("0X") {
            let end = rest[2..].find(|c: char| !c.is_ascii_hexdigit()).map_or(rest.len(), |at| at + 2);
            found.push(Token::Hex(rest[2..end].to_owned()));
            rest = &rest[end..];
        } else if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            let end = number_end(rest);
            found.push(Token::Number(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if is_name_start(first) {
            let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if let Some(symbol) = SYMBOLS.into_iter().find(|s| rest.starts_with(s)) {
            found.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
        } else {
            return Err(SqlError::syntax(&first.to_string()));
        }
    }
    found.push(Token::End);
    Ok(found)
}

/// The text up to a closing character, which is doubled inside.
fn quoted(text: &str, close: char) -> Option<(String, &str)> {
    let mut found = String::new();
    let mut rest = text.get(1..)?;
    loop {
        let at = rest.find(close)?;
        found.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if !rest.starts_with(close) {
            return Some((found, rest));
        }
        found.push(close);
        rest = &rest[1..];
    }
}

/// Comments may hold comments.
fn after_comment(text: &str) -> Result<&str> {
    let (mut depth, mut at) = (0_usize, 0);
    let bytes = text.as_bytes();
    while let Some(pair) = bytes.get(at..at + 2) {
        match pair {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Ok(&text[at..]);
        }
    }
    Err(SqlError::new(113, "Missing end comment mark '*/'.").class(15))
}

fn number_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut at = digits(0);
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if bytes.get(at + 1 + sign).is_some_and(u8::is_ascii_digit) {
            at = digits(at + 1 + sign);
        }
    }
    at
}
