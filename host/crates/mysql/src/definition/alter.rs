//! The clauses of `ALTER TABLE`.

use super::{
    super::{
        position::Flavour,
        statement::{Token, Tokens},
    },
    Characters, Key, Session, attributes,
    column::Column,
    table::{self, Constraint},
};
use sluicegate_model::change::TableName;

/// Where a column goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Seat {
    First,
    After(String),
}

/// What a clause does to columns and keys.
#[derive(Clone, Debug)]
pub(in super::super) enum Clause {
    Add {
        column: Column,
        seat: Option<Seat>,
        unless_there: bool,
    },
    Change {
        old: String,
        column: Column,
        seat: Option<Seat>,
        if_there: bool,
    },
    RenameColumn {
        from: String,
        to: String,
        if_there: bool,
    },
    DropColumn {
        name: String,
        if_there: bool,
    },
    AddKey(Key),
    DropPrimary,
    DropKey(String),
    RenameKey {
        from: String,
        to: String,
    },
    /// Which key, the server decides.
    UnknownKey,
    Convert(Characters),
    Default(Characters),
    NeverNull(Vec<String>),
    Unversioned,
}

impl Clause {
    /// The name of a column before and now, if it gets another one.
    pub fn renames(&self) -> Option<(&str, &str)> {
        match self {
            Self::Change { old, column, .. } if *old != column.name => Some((old, &column.name)),
            Self::RenameColumn { from, to, .. } if from != to => Some((from, to)),
            _ => None,
        }
    }

    /// The column that it drops.
    pub fn drops(&self) -> Option<&str> {
        if let Self::DropColumn { name, .. } = self { Some(name) } else { None }
    }

    /// Whether it gives the table the default character set of its database.
    pub fn needs_default(&self) -> bool {
        matches!(self, Self::Convert(Characters::Default) | Self::Default(Characters::Default))
    }
}

/// Takes all clauses, behind the table's name, and the table's new name.
pub(super) fn read(tokens: &mut Tokens<'_>, session: &Session<'_>, table: &TableName) -> Option<(Vec<Clause>, Option<TableName>)> {
    let (mut clauses, mut to) = (Vec::new(), None);
    if table::is_end(tokens) {
        return Some((clauses, None));
    }
    loop {
        if is_about_partitions(tokens) {
            return Some((clauses, to));
        }
        let mut ahead = *tokens;
        if ahead.word("RENAME") && !["COLUMN", "INDEX", "KEY"].iter().any(|word| ahead.peek().is_some_and(|token| token.is(word))) {
            if !ahead.word("TO") && !ahead.word("AS") {
                ahead.sign('=');
            }
            to = Some(ahead.table(if session.database.is_empty() { &table.database } else { session.database })?);
            *tokens = ahead;
        } else {
            clause(tokens, session, &mut clauses)?;
        }
        // options of a table need no comma between them
        if !tokens.sign(',') && table::is_end(tokens) {
            return Some((clauses, to));
        }
    }
}

/// Whether partitions follow, which have no columns of their own; they stand last.
fn is_about_partitions(tokens: &Tokens<'_>) -> bool {
    const COMMANDS: [&str; 13] = [
        "ADD",
        "DROP",
        "TRUNCATE",
        "REORGANIZE",
        "COALESCE",
        "ANALYZE",
        "CHECK",
        "OPTIMIZE",
        "REBUILD",
        "REPAIR",
        "EXCHANGE",
        "DISCARD",
        "IMPORT",
    ];
    let mut ahead = *tokens;
    if ahead.words(&["PARTITION", "BY"]) || ahead.words(&["REMOVE", "PARTITIONING"]) {
        return true;
    }
    // MariaDB takes the word for the name of a column, too: DROP partition, ADD partition INT
    COMMANDS.iter().any(|command| ahead.words(&[command, "PARTITION"]))
        && match ahead.peek() {
            None | Some(Token::Sign(',' | ';')) => false,
            Some(Token::Sign(_)) => true,
            Some(token) => !token.is("RESTRICT") && !token.is("CASCADE") && !is_add_of_column(tokens, ahead),
        }
}

/// ADD PARTITION begins with an option or a parenthesis, and a column with its type.
fn is_add_of_column(tokens: &Tokens<'_>, behind: Tokens<'_>) -> bool {
    const BEHIND: [&str; 5] = ["IF", "LOCAL", "NO_WRITE_TO_BINLOG", "PARTITIONS", "PARTITION"];
    tokens.peek().is_some_and(|token| token.is("ADD")) && !BEHIND.iter().any(|word| behind.peek().is_some_and(|token| token.is(word)))
}

fn clause(tokens: &mut Tokens<'_>, session: &Session<'_>, clauses: &mut Vec<Clause>) -> Option<()> {
    if tokens.word("ADD") {
        return add(tokens, session, clauses);
    }
    if tokens.word("DROP") {
        clauses.push(dropped(tokens)?);
        return Some(());
    }
    if tokens.word("MODIFY") {
        return changed(tokens, session, false, clauses);
    }
    if tokens.word("CHANGE") {
        return changed(tokens, session, true, clauses);
    }
    if tokens.word("RENAME") {
        clauses.push(renamed(tokens)?);
        return Some(());
    }
    if tokens.word("ALTER") {
        return altered(tokens);
    }
    if tokens.words(&["CONVERT", "TO"]) {
        let said = attributes::characters(tokens, session)??;
        clauses.push(Clause::Convert(said.clone()));
        // a collation behind it is of the same character set
        if let Some(collation) = attributes::characters(tokens, session)?
            && collation != said
            && collation != Characters::Default
        {
            return None;
        }
        return Some(());
    }
    tokens.word("DEFAULT");
    if let Some(said) = attributes::characters(tokens, session)? {
        clauses.push(Clause::Default(said));
        return Some(());
    }
    option(tokens, session)
}

/// Options that leave columns alone.
fn option(tokens: &mut Tokens<'_>, session: &Session<'_>) -> Option<()> {
    const ALONE: [&[&str]; 7] = [
        &["FORCE"],
        &["ENABLE", "KEYS"],
        &["DISABLE", "KEYS"],
        &["WITH", "VALIDATION"],
        &["WITHOUT", "VALIDATION"],
        &["DISCARD", "TABLESPACE"],
        &["IMPORT", "TABLESPACE"],
    ];
    const VALUED: [&str; 34] = [
        "ENGINE",
        "TYPE",
        "COMMENT",
        "AUTO_INCREMENT",
        "ALGORITHM",
        "LOCK",
        "ROW_FORMAT",
        "KEY_BLOCK_SIZE",
        "COMPRESSION",
        "ENCRYPTION",
        "CHECKSUM",
        "TABLE_CHECKSUM",
        "DELAY_KEY_WRITE",
        "MAX_ROWS",
        "MIN_ROWS",
        "AVG_ROW_LENGTH",
        "PACK_KEYS",
        "PAGE_CHECKSUM",
        "PAGE_COMPRESSED",
        "PAGE_COMPRESSION_LEVEL",
        "ENCRYPTED",
        "ENCRYPTION_KEY_ID",
        "STATS_PERSISTENT",
        "STATS_AUTO_RECALC",
        "STATS_SAMPLE_PAGES",
        "TRANSACTIONAL",
        "INSERT_METHOD",
        "CONNECTION",
        "PASSWORD",
        "TABLESPACE",
        "AUTOEXTEND_SIZE",
        "ENGINE_ATTRIBUTE",
        "SECONDARY_ENGINE_ATTRIBUTE",
        "SECONDARY_ENGINE",
    ];
    if ALONE.iter().any(|words| tokens.words(words)) {
        return Some(());
    }
    if tokens.words(&["ORDER", "BY"]) {
        // of one column: behind a comma, another one and another clause look alike
        tokens.name()?;
        if !tokens.word("ASC") {
            tokens.word("DESC");
        }
        return table::is_end(tokens).then_some(());
    }
    let valued = VALUED.iter().any(|option| tokens.word(option));
    if !valued {
        // MariaDB: ADD and DROP stand elsewhere; options of storage engines have a sign
        let own = session.flavour == Flavour::MariaDb && tokens.name().is_some();
        return (own && tokens.sign('=') && tokens.next().is_some()).then_some(());
    }
    tokens.sign('=');
    if tokens.text().is_none() {
        match tokens.next()? {
            Token::Word(_) | Token::Quoted(_) => {}
            _ => return None,
        }
    }
    Some(())
}

fn add(tokens: &mut Tokens<'_>, session: &Session<'_>, clauses: &mut Vec<Clause>) -> Option<()> {
    if tokens.words(&["SYSTEM", "VERSIONING"]) {
        return Some(());
    }
    if let Some(found) = table::constraint(tokens)? {
        clauses.push(of_constraint(found));
        return Some(());
    }
    tokens.word("COLUMN");
    let unless_there = table::if_not_exists(tokens);
    if !tokens.sign('(') {
        return add_column(tokens, session, unless_there, clauses);
    }
    loop {
        match table::constraint(tokens)? {
            Some(found) => clauses.push(of_constraint(found)),
            None => add_column(tokens, session, unless_there, clauses)?,
        }
        if !tokens.sign(',') {
            return tokens.sign(')').then_some(());
        }
    }
}

fn of_constraint(constraint: Constraint) -> Clause {
    match constraint {
        Constraint::Key(key) => Clause::AddKey(key),
        Constraint::Period(columns) => Clause::NeverNull(columns),
        Constraint::Foreign => Clause::UnknownKey,
        Constraint::Check => Clause::NeverNull(Vec::new()),
    }
}

fn add_column(tokens: &mut Tokens<'_>, session: &Session<'_>, unless_there: bool, clauses: &mut Vec<Clause>) -> Option<()> {
    let column = Column::read(tokens, session)?;
    let seat = seat(tokens)?;
    let keys: Vec<Key> = column.keys().collect();
    if unless_there && !keys.is_empty() {
        return None;
    }
    clauses.push(Clause::Add { column, seat, unless_there });
    clauses.extend(keys.into_iter().map(Clause::AddKey));
    Some(())
}

/// FIRST or AFTER, if one of them comes next.
#[allow(clippy::option_option, reason = "not there, and not readable, are two things")]
fn seat(tokens: &mut Tokens<'_>) -> Option<Option<Seat>> {
    if tokens.word("FIRST") {
        return Some(Some(Seat::First));
    }
    match tokens.word("AFTER") {
        true => Some(Some(Seat::After(tokens.name()?))),
        false => Some(None),
    }
}

/// MODIFY, or CHANGE with the column's new name.
fn changed(tokens: &mut Tokens<'_>, session: &Session<'_>, named_anew: bool, clauses: &mut Vec<Clause>) -> Option<()> {
    tokens.word("COLUMN");
    let if_there = tokens.words(&["IF", "EXISTS"]);
    let old = match named_anew {
        true => Some(tokens.name()?),
        false => None,
    };
    let column = Column::read(tokens, session)?;
    let seat = seat(tokens)?;
    let keys: Vec<Key> = column.keys().collect();
    if if_there && !keys.is_empty() {
        return None;
    }
    let old = old.unwrap_or_else(|| column.name.clone());
    clauses.push(Clause::Change { old, column, seat, if_there });
    clauses.extend(keys.into_iter().map(Clause::AddKey));
    Some(())
}

fn dropped(tokens: &mut Tokens<'_>) -> Option<Clause> {
    if tokens.words(&["PRIMARY", "KEY"]) {
        return Some(Clause::DropPrimary);
    }
    if tokens.words(&["SYSTEM", "VERSIONING"]) {
        return Some(Clause::Unversioned);
    }
    if tokens.words(&["PERIOD", "FOR"]) {
        return tokens.name().map(|_| Clause::NeverNull(Vec::new()));
    }
    if tokens.words(&["FOREIGN", "KEY"]) || tokens.word("CHECK") {
        tokens.words(&["IF", "EXISTS"]);
        return tokens.name().map(|_| Clause::NeverNull(Vec::new()));
    }
    if tokens.word("INDEX") || tokens.word("KEY") || tokens.word("CONSTRAINT") {
        tokens.words(&["IF", "EXISTS"]);
        return tokens.name().map(Clause::DropKey);
    }
    tokens.word("COLUMN");
    let if_there = tokens.words(&["IF", "EXISTS"]);
    let name = tokens.name()?;
    if !tokens.word("RESTRICT") {
        tokens.word("CASCADE");
    }
    Some(Clause::DropColumn { name, if_there })
}

fn renamed(tokens: &mut Tokens<'_>) -> Option<Clause> {
    if tokens.word("COLUMN") {
        let if_there = tokens.words(&["IF", "EXISTS"]);
        let from = tokens.name()?;
        tokens.word("TO").then_some(())?;
        return Some(Clause::RenameColumn { from, to: tokens.name()?, if_there });
    }
    (tokens.word("INDEX") || tokens.word("KEY")).then_some(())?;
    tokens.words(&["IF", "EXISTS"]);
    let from = tokens.name()?;
    tokens.word("TO").then_some(())?;
    Some(Clause::RenameKey { from, to: tokens.name()? })
}

/// ALTER COLUMN, INDEX, CHECK and CONSTRAINT: defaults and visibility.
fn altered(tokens: &mut Tokens<'_>) -> Option<()> {
    let mut depth = 0_u32;
    // nothing of it is of interest; a comma outside of parentheses ends it
    loop {
        match tokens.peek() {
            None => return Some(()),
            Some(Token::Sign(',' | ';')) if depth == 0 => return Some(()),
            Some(Token::Sign('(')) => depth += 1,
            Some(Token::Sign(')')) => depth = depth.checked_sub(1)?,
            Some(_) => {}
        }
        tokens.next();
    }
}
