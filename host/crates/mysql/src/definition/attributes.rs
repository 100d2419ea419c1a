//! What stands behind a column's type.

use super::{
    super::{
        position::Flavour,
        statement::{Token, Tokens},
    },
    Characters, Session,
};

/// What a column says beside its type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub unsigned: bool,
    /// `NULL`, `NOT NULL`, or neither.
    pub nullable: Option<bool>,
    pub charset: Option<Characters>,
    pub primary: bool,
    pub unique: bool,
    pub counts: bool,
    /// It is computed from others.
    pub computed: bool,
    /// It says when a row of a versioned table begins, or ends.
    pub row_limit: bool,
    pub row_end: bool,
    /// `CHAR(3) BYTE`
    pub bytes: bool,
}

/// Takes them up to the next column's definition.
pub(super) fn read(tokens: &mut Tokens<'_>, session: &Session<'_>) -> Option<Attributes> {
    let mut found = Attributes::default();
    while !is_over(tokens) {
        one(tokens, session, &mut found)?;
    }
    Some(found)
}

/// Whether a definition ends here.
pub(super) fn is_over(tokens: &Tokens<'_>) -> bool {
    match tokens.peek() {
        None | Some(Token::Sign(',' | ')' | ';')) => true,
        Some(word) => ["FIRST", "AFTER", "PARTITION", "REMOVE"].iter().any(|end| word.is(end)),
    }
}

fn one(tokens: &mut Tokens<'_>, session: &Session<'_>, found: &mut Attributes) -> Option<()> {
    if let Some(charset) = characters(tokens, session)? {
        // a collation behind a character set is of it
        if !(charset == Characters::Default && found.charset.is_some()) {
            found.charset = Some(charset);
        }
        return Some(());
    }
    let Some(Token::Word(word)) = tokens.next() else { return None };
    match word.to_ascii_uppercase().as_str() {
        "UNSIGNED" | "ZEROFILL" => found.unsigned = true,
        "NULL" => found.nullable = Some(true),
        "NOT" => {
            tokens.word("NULL").then_some(())?;
            found.nullable = Some(false);
        }
        "PRIMARY" => {
            tokens.word("KEY").then_some(())?;
            found.primary = true;
        }
        "KEY" => found.primary = true,
        "UNIQUE" => {
            tokens.word("KEY");
            found.unique = true;
        }
        "AUTO_INCREMENT" => found.counts = true,
        "SERIAL" => {
            tokens.words(&["DEFAULT", "VALUE"]).then_some(())?;
            (found.counts, found.unique) = (true, true);
        }
        "BYTE" => found.bytes = true,
        "ASCII" => found.charset = Some(Characters::Set("latin1".into())),
        "UNICODE" => found.charset = Some(Characters::Set("ucs2".into())),
        "DEFAULT" => value(tokens)?,
        "ON" => {
            tokens.word("UPDATE").then_some(())?;
            value(tokens)?;
        }
        "COMMENT" | "ENGINE_ATTRIBUTE" | "SECONDARY_ENGINE_ATTRIBUTE" => {
            tokens.sign('=');
            tokens.text()?;
        }
        "COLUMN_FORMAT" | "STORAGE" | "SRID" => drop(tokens.name()?),
        "GENERATED" => {
            tokens.words(&["ALWAYS", "AS"]).then_some(())?;
            generated(tokens, found)?;
        }
        "AS" => generated(tokens, found)?,
        "REFERENCES" => references(tokens)?,
        "CHECK" => parentheses(tokens)?,
        "CONSTRAINT" => {
            if !tokens.word("CHECK") {
                tokens.name()?;
                tokens.word("CHECK").then_some(())?;
            }
            parentheses(tokens)?;
        }
        "WITH" | "WITHOUT" => tokens.words(&["SYSTEM", "VERSIONING"]).then_some(())?,
        "COMPRESSED" => {
            if tokens.sign('=') {
                tokens.next()?;
            }
        }
        "SIGNED" | "BINARY" | "VIRTUAL" | "STORED" | "PERSISTENT" | "VISIBLE" | "INVISIBLE" | "ENFORCED" => {}
        // options of MariaDB's storage engines: name = value
        _ if session.flavour == Flavour::MariaDb && tokens.sign('=') => drop(tokens.next()?),
        _ => return None,
    }
    Some(())
}

fn generated(tokens: &mut Tokens<'_>, found: &mut Attributes) -> Option<()> {
    found.computed = true;
    if tokens.word("ROW") {
        found.row_limit = true;
        found.row_end = tokens.word("END");
        return (found.row_end || tokens.word("START")).then_some(());
    }
    parentheses(tokens)
}

pub(super) fn parentheses(tokens: &mut Tokens<'_>) -> Option<()> {
    (tokens.sign('(') && tokens.close()).then_some(())
}

/// A default: a literal, or an expression in parentheses or of one call.
fn value(tokens: &mut Tokens<'_>) -> Option<()> {
    if tokens.sign('(') {
        return tokens.close().then_some(());
    }
    if tokens.words(&["NEXT", "VALUE", "FOR"]) {
        return tokens.table("-").map(drop);
    }
    if !tokens.sign('-') {
        tokens.sign('+');
    }
    if tokens.text().is_some() {
        return Some(());
    }
    // .5
    tokens.sign('.');
    let Some(Token::Word(_)) = tokens.next() else { return None };
    // b'0', _latin1'x'; 1.5; NOW(6)
    if tokens.text().is_some() {
        return Some(());
    }
    if tokens.sign('.') {
        // a number may end so
        if matches!(tokens.peek(), Some(Token::Word(word)) if word.starts_with(|c: char| c.is_ascii_digit())) {
            tokens.next();
        }
        return Some(());
    }
    match tokens.sign('(') {
        true => tokens.close().then_some(()),
        false => Some(()),
    }
}

/// Behind REFERENCES.
pub(super) fn references(tokens: &mut Tokens<'_>) -> Option<()> {
    tokens.table("-")?;
    if tokens.sign('(') {
        tokens.close().then_some(())?;
    }
    loop {
        if tokens.word("MATCH") {
            tokens.name()?;
        } else if tokens.words(&["ON", "DELETE"]) || tokens.words(&["ON", "UPDATE"]) {
            let known = [&["RESTRICT"][..], &["CASCADE"], &["SET", "NULL"], &["SET", "DEFAULT"], &["NO", "ACTION"]];
            known.iter().any(|words| tokens.words(words)).then_some(())?;
        } else {
            return Some(());
        }
    }
}

/// Takes CHARACTER SET or COLLATE, if one of them comes next.
#[allow(clippy::option_option, reason = "not there, and not readable, are two things")]
pub(super) fn characters(tokens: &mut Tokens<'_>, session: &Session<'_>) -> Option<Option<Characters>> {
    let charset = tokens.words(&["CHARACTER", "SET"]) || tokens.words(&["CHAR", "SET"]) || tokens.word("CHARSET");
    if !charset && !tokens.word("COLLATE") {
        return Some(None);
    }
    tokens.sign('=');
    let name = match tokens.text() {
        Some(text) => text,
        None => tokens.name()?,
    };
    let name = name.to_ascii_lowercase();
    if name == "default" {
        return Some(Some(Characters::Default));
    }
    let name = match charset {
        true => name.as_str(),
        // MariaDB has collations of no character set in particular
        false if name.starts_with("uca1400") => return Some(Some(Characters::Default)),
        false => name.split('_').next().unwrap_or(&name),
    };
    let name = if name == "utf8" { "utf8mb3" } else { name };
    let known = session.collations.has(name) || name == "utf8mb3" && session.collations.has("utf8") || name == "binary";
    known.then(|| Some(Characters::Set(name.to_owned())))
}
