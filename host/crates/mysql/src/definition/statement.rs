//! The heads of the statements that make, change, rename and drop tables and databases.

use super::{
    super::statement::{Token, Tokens},
    Body, Characters, Session, Step,
    alter::{self, Clause},
    attributes, table,
};
use sluicegate_model::change::TableName;

/// Variables of `SET STATEMENT` that change nothing of what a statement does to columns.
const HARMLESS: [&str; 8] = [
    "lock_wait_timeout",
    "innodb_lock_wait_timeout",
    "max_statement_time",
    "foreign_key_checks",
    "unique_checks",
    "alter_algorithm",
    "innodb_compression_level",
    "wsrep_osu_method",
];

pub(super) fn read(mut tokens: Tokens<'_>, session: &Session<'_>) -> Option<Vec<Step>> {
    while tokens.sign(';') {}
    while tokens.words(&["SET", "STATEMENT"]) {
        loop {
            let variable = tokens.name()?.to_ascii_lowercase();
            HARMLESS.contains(&variable.as_str()).then_some(())?;
            tokens.sign('=').then_some(())?;
            tokens.sign('-');
            tokens.next()?;
            if tokens.sign('.') {
                tokens.next()?;
            }
            if tokens.word("FOR") {
                break;
            }
            tokens.sign(',').then_some(())?;
        }
    }
    let Some(Token::Word(verb)) = tokens.next() else { return None };
    match verb.to_ascii_uppercase().as_str() {
        "CREATE" => create(tokens, session),
        "ALTER" => alter(tokens, session),
        "DROP" => dropped(tokens, session),
        "RENAME" => renamed(tokens, session),
        "TRUNCATE" | "OPTIMIZE" | "REPAIR" => Some(Vec::new()),
        _ => None,
    }
}

fn create(mut tokens: Tokens<'_>, session: &Session<'_>) -> Option<Vec<Step>> {
    let replace = tokens.words(&["OR", "REPLACE"]);
    if tokens.word("TABLE") {
        let unless_there = table::if_not_exists(&mut tokens);
        let table = tokens.table(session.database)?;
        let body = table::read(&mut tokens, session)?;
        return Some(vec![Step::Create { table, unless_there, body }]);
    }
    if tokens.word("SEQUENCE") {
        // a table of that name would have been an error
        table::if_not_exists(&mut tokens);
        return Some(vec![Step::Sequence(tokens.table(session.database)?)]);
    }
    if tokens.word("DATABASE") || tokens.word("SCHEMA") {
        let unless_there = table::if_not_exists(&mut tokens);
        let name = tokens.stored_name()?;
        let said = database_options(&mut tokens, session)?;
        let charset = match said {
            Some(Characters::Set(set)) => Some(set),
            Some(Characters::Default) | None => session.server_charset.map(str::to_owned),
        };
        // one that was there keeps its own
        return (!unless_there || replace).then(|| vec![Step::Database { name, charset, empty: true }]);
    }
    let unique = tokens.word("UNIQUE");
    if !unique && !tokens.word("FULLTEXT") {
        tokens.word("SPATIAL");
    }
    tokens.word("INDEX").then_some(())?;
    if table::if_not_exists(&mut tokens) && unique {
        return None;
    }
    let name = tokens.name()?;
    if tokens.word("USING") || tokens.word("TYPE") {
        tokens.name()?;
    }
    tokens.word("ON").then_some(())?;
    let table = tokens.table(session.database)?;
    let (_, columns, whole) = super::key::read(&mut tokens)?;
    let before = replace.then(|| Clause::DropKey(name.clone()));
    let clauses = before.into_iter().chain([Clause::AddKey(super::Key::unique(Some(name), columns, whole && unique))]).collect();
    Some(vec![Step::Alter { table, clauses, to: None }])
}

/// The default character set, of what stands behind a database's name.
#[allow(clippy::option_option, reason = "not said, and not readable, are two things")]
fn database_options(tokens: &mut Tokens<'_>, session: &Session<'_>) -> Option<Option<Characters>> {
    let mut charset = None;
    loop {
        if let Some(said) = attributes::characters(tokens, session)? {
            charset = table::merge(charset, said);
        } else if tokens.next().is_none() {
            return Some(charset);
        }
    }
}

fn alter(mut tokens: Tokens<'_>, session: &Session<'_>) -> Option<Vec<Step>> {
    if tokens.word("DATABASE") || tokens.word("SCHEMA") {
        const OPTIONS: [&str; 7] = ["CHARACTER", "CHARSET", "COLLATE", "DEFAULT", "READ", "ENCRYPTION", "COMMENT"];
        let named = tokens.peek().is_some_and(|token| !OPTIONS.iter().any(|option| token.is(option)));
        let name = if named { tokens.stored_name()? } else { session.database.to_owned() };
        return Some(match database_options(&mut tokens, session)? {
            Some(Characters::Set(set)) => vec![Step::Database { name, charset: Some(set), empty: false }],
            Some(Characters::Default) => vec![Step::Database { name, charset: None, empty: false }],
            None => Vec::new(),
        });
    }
    if tokens.word("SEQUENCE") {
        return Some(Vec::new());
    }
    tokens.any_words(&["ONLINE", "OFFLINE", "IGNORE"]);
    tokens.word("TABLE").then_some(())?;
    tokens.words(&["IF", "EXISTS"]);
    let table = tokens.table(session.database)?;
    wait(&mut tokens);
    let mut about = tokens;
    // a table comes out of a partition, with the columns of the one that it was in
    if about.words(&["CONVERT", "PARTITION"]) {
        about.name()?;
        about.words(&["TO", "TABLE"]).then_some(())?;
        let made = about.table(session.database)?;
        table::is_end(&about).then_some(())?;
        let made = Step::Create { table: made, unless_there: false, body: Body::Like(table.clone()) };
        return Some(vec![made, Step::Alter { table, clauses: Vec::new(), to: None }]);
    }
    // or becomes one
    if about.words(&["CONVERT", "TABLE"]) {
        return None;
    }
    let (clauses, to) = alter::read(&mut tokens, session, &table)?;
    Some(vec![Step::Alter { table, clauses, to }])
}

/// MariaDB: WAIT 5, NOWAIT
fn wait(tokens: &mut Tokens<'_>) {
    if tokens.word("WAIT") {
        tokens.next();
    }
    tokens.word("NOWAIT");
}

fn dropped(mut tokens: Tokens<'_>, session: &Session<'_>) -> Option<Vec<Step>> {
    if tokens.word("TABLE") || tokens.word("TABLES") || tokens.word("SEQUENCE") {
        tokens.words(&["IF", "EXISTS"]);
        let mut steps = vec![Step::Drop(tokens.table(session.database)?)];
        while tokens.sign(',') {
            steps.push(Step::Drop(tokens.table(session.database)?));
        }
        return Some(steps);
    }
    tokens.word("INDEX").then_some(())?;
    tokens.words(&["IF", "EXISTS"]);
    let name = tokens.name()?;
    tokens.word("ON").then_some(())?;
    let table = tokens.table(session.database)?;
    let clause = if name.eq_ignore_ascii_case("PRIMARY") { Clause::DropPrimary } else { Clause::DropKey(name) };
    Some(vec![Step::Alter { table, clauses: vec![clause], to: None }])
}

fn renamed(mut tokens: Tokens<'_>, session: &Session<'_>) -> Option<Vec<Step>> {
    (tokens.word("TABLE") || tokens.word("TABLES")).then_some(())?;
    let if_there = tokens.words(&["IF", "EXISTS"]);
    let mut steps = Vec::new();
    loop {
        let from: TableName = tokens.table(session.database)?;
        wait(&mut tokens);
        tokens.word("TO").then_some(())?;
        let to = tokens.table(session.database)?;
        steps.push(Step::Rename { from, to, if_there });
        if !tokens.sign(',') {
            return table::is_end(&tokens).then_some(steps);
        }
    }
}
