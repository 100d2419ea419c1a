//! The body of `CREATE TABLE`.

use super::{
    super::{
        charset::Collations,
        schema::Schema,
        statement::{Token, Tokens},
    },
    Characters, Key, Session, attributes,
    column::Column,
    key,
};
use sluicegate_model::change::TableName;

/// What a table is made of.
#[derive(Clone, Debug)]
pub(in super::super) enum Body {
    /// Columns and keys.
    Columns(Definition),
    /// The columns and keys of another table.
    Like(TableName),
}

/// Columns, keys and options.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Definition {
    columns: Vec<Column>,
    keys: Vec<Key>,
    /// Columns of periods, which are not NULL.
    never_null: Vec<String>,
    /// The server makes keys that cannot be named.
    more_keys: bool,
    charset: Option<Characters>,
}

/// Takes a body, behind the table's name.
pub(super) fn read(tokens: &mut Tokens<'_>, session: &Session<'_>) -> Option<Body> {
    if tokens.word("LIKE") {
        let model = tokens.table(session.database)?;
        return is_end(tokens).then_some(Body::Like(model));
    }
    tokens.sign('(').then_some(())?;
    if tokens.word("LIKE") {
        let model = tokens.table(session.database)?;
        return (tokens.sign(')') && is_end(tokens)).then_some(Body::Like(model));
    }
    let mut definition = Definition::default();
    loop {
        element(tokens, session, &mut definition)?;
        if !tokens.sign(',') {
            break;
        }
    }
    tokens.sign(')').then_some(())?;
    definition.charset = options(tokens, session)?;
    Some(Body::Columns(definition))
}

pub(super) fn is_end(tokens: &Tokens<'_>) -> bool {
    matches!(tokens.peek(), None | Some(Token::Sign(';')))
}

/// A key or a constraint, as CREATE and ALTER write them.
#[derive(Clone, Debug)]
pub(super) enum Constraint {
    Key(Key),
    /// A period of these columns.
    Period(Vec<String>),
    /// For which the server may make a key.
    Foreign,
    Check,
}

/// Takes a key or a constraint, if one comes next.
#[allow(clippy::option_option, reason = "not there, and not readable, are two things")]
pub(super) fn constraint(tokens: &mut Tokens<'_>) -> Option<Option<Constraint>> {
    let mut ahead = *tokens;
    let mut symbol = None;
    if ahead.word("CONSTRAINT")
        && !["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"].iter().any(|word| ahead.peek().is_some_and(|token| token.is(word)))
    {
        symbol = Some(ahead.name()?);
    }
    let found = if ahead.words(&["PRIMARY", "KEY"]) {
        let (_, columns, _) = key_of(&mut ahead)?;
        Constraint::Key(Key::primary(columns))
    } else if ahead.word("UNIQUE") {
        if !ahead.word("INDEX") {
            ahead.word("KEY");
        }
        let (name, columns, whole) = key_of(&mut ahead)?;
        Constraint::Key(Key::unique(name.or(symbol), columns, whole))
    } else if ahead.word("INDEX") || ahead.word("KEY") || special(&mut ahead) {
        // one of that name that is there already differs in nothing that counts
        if_not_exists(&mut ahead);
        let (name, columns, _) = key::read(&mut ahead)?;
        Constraint::Key(Key::unique(name, columns, false))
    } else if ahead.words(&["FOREIGN", "KEY"]) {
        if_not_exists(&mut ahead);
        if !matches!(ahead.peek(), Some(Token::Sign('('))) {
            ahead.name()?;
        }
        attributes::parentheses(&mut ahead)?;
        ahead.word("REFERENCES").then_some(())?;
        attributes::references(&mut ahead)?;
        Constraint::Foreign
    } else if ahead.word("CHECK") {
        attributes::parentheses(&mut ahead)?;
        if !ahead.words(&["NOT", "ENFORCED"]) {
            ahead.word("ENFORCED");
        }
        Constraint::Check
    } else if ahead.words(&["PERIOD", "FOR"]) {
        ahead.name()?;
        let (_, columns, _) = key_of(&mut ahead)?;
        Constraint::Period(columns)
    } else if symbol.is_some() {
        return None;
    } else {
        return Some(None);
    };
    *tokens = ahead;
    Some(Some(found))
}

fn key_of(tokens: &mut Tokens<'_>) -> Option<(Option<String>, Vec<String>, bool)> {
    if if_not_exists(tokens) {
        // whether there is one of that name is not known
        return None;
    }
    key::read(tokens)
}

pub(super) fn if_not_exists(tokens: &mut Tokens<'_>) -> bool {
    tokens.words(&["IF", "NOT", "EXISTS"])
}

/// FULLTEXT, SPATIAL, or VECTOR where that is not the name of a column.
fn special(tokens: &mut Tokens<'_>) -> bool {
    let mut ahead = *tokens;
    let is = if ahead.word("VECTOR") {
        ahead.word("INDEX") || ahead.word("KEY")
    } else if ahead.word("FULLTEXT") || ahead.word("SPATIAL") {
        if !ahead.word("INDEX") {
            ahead.word("KEY");
        }
        true
    } else {
        false
    };
    if is {
        *tokens = ahead;
    }
    is
}

fn element(tokens: &mut Tokens<'_>, session: &Session<'_>, definition: &mut Definition) -> Option<()> {
    match constraint(tokens)? {
        Some(Constraint::Key(key)) => definition.keys.push(key),
        Some(Constraint::Check) => {}
        Some(Constraint::Foreign) => definition.more_keys = true,
        Some(Constraint::Period(columns)) => definition.never_null.extend(columns),
        None => {
            let column = Column::read(tokens, session)?;
            definition.keys.extend(column.keys());
            definition.columns.push(column);
        }
    }
    Some(())
}

/// The options of a table, to the end of the statement: of interest is its character set. `None` where a query follows.
#[allow(clippy::option_option, reason = "not said, and not readable, are two things")]
fn options(tokens: &mut Tokens<'_>, session: &Session<'_>) -> Option<Option<Characters>> {
    let mut charset = None;
    loop {
        if let Some(said) = attributes::characters(tokens, session)? {
            charset = merge(charset, said);
            continue;
        }
        match tokens.next() {
            None => return Some(charset),
            Some(Token::Word(word)) => match word.to_ascii_uppercase().as_str() {
                "SELECT" | "VALUES" | "TABLE" | "AS" | "IGNORE" | "REPLACE" => return None,
                "WITH" if !tokens.words(&["SYSTEM", "VERSIONING"]) => return None,
                _ => {}
            },
            Some(Token::Sign('(')) => tokens.close().then_some(())?,
            Some(_) => {}
        }
    }
}

/// What two options together say.
pub(super) fn merge(before: Option<Characters>, said: Characters) -> Option<Characters> {
    // COLLATE DEFAULT behind a character set
    if said == Characters::Default && before.is_some() { before } else { Some(said) }
}

impl Definition {
    /// Whether the table has the default character set of its database.
    pub fn needs_default(&self) -> bool {
        !matches!(self.charset, Some(Characters::Set(_)))
    }

    /// The schema of the new table, in a database of this default character set.
    pub fn schema(&self, database: Option<&str>, collations: &Collations) -> Option<Schema> {
        let charset = match &self.charset {
            Some(Characters::Set(set)) => Some(set.as_str()),
            Some(Characters::Default) | None => database,
        };
        debug_assert!(charset.is_none_or(|charset| charset == "binary" || collations.has(charset)), "{charset:?}");
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            columns.push(column.in_table(charset, None)?);
        }
        for name in &self.never_null {
            let column = columns.iter_mut().find(|column| column.name.eq_ignore_ascii_case(name))?;
            column.nullable = Some(false);
        }
        let mut keys = Vec::new();
        // the primary key's columns are not NULL, whatever they say
        for key in self.keys.iter().filter(|key| key.is_primary()) {
            key::set(&mut columns, &key.columns, true)?;
        }
        self.keys.iter().try_for_each(|key| key::append(&mut keys, key.clone()))?;
        key::mark(&mut columns, &keys)?;
        let keys = (!self.more_keys || keys.iter().any(Key::is_primary)).then_some(keys);
        (!columns.is_empty()).then(|| Schema { charset: charset.map(str::to_owned), keys, ..Schema::of(columns) })
    }
}
