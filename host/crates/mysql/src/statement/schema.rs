//! Schema changes: which tables they touch, and which rows go with them.

use sluicegate_model::change::TableName;

use super::{
    Change, Effect, Statement, Touched, kept,
    token::{Token, Tokens},
};

/// What may stand before the kind of thing that is created, altered or dropped.
const MODIFIERS: [&str; 7] = ["UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "ONLINE", "OFFLINE", "AGGREGATE"];

/// Things without rows of their own.
const NO_TABLES: [&str; 20] = [
    "USER",
    "ROLE",
    "FUNCTION",
    "PROCEDURE",
    "TRIGGER",
    "EVENT",
    "PACKAGE",
    "SERVER",
    "LOGFILE",
    "TABLESPACE",
    "UNDO",
    "RESOURCE",
    "INSTANCE",
    "PREPARE",
    "LIBRARY",
    "MASKING",
    "REFERENCE",
    "EXTERNAL",
    "MATERIALIZED",
    "JSON",
];

/// Reads a statement that begins with `verb`.
pub(super) fn read(verb: &str, mut tokens: Tokens<'_>, database: &str) -> Statement {
    match verb {
        "TRUNCATE" => {
            tokens.word("TABLE");
            match tokens.table(database) {
                Some(table) => {
                    let touched = Touched::Tables(vec![table.clone()]);
                    ddl(touched, vec![Effect::Emptied { table, by: "TRUNCATE" }])
                }
                None => ddl(Touched::of_default(database), Vec::new()),
            }
        }
        "RENAME" => rename(tokens, database),
        "OPTIMIZE" | "REPAIR" => {
            tokens.any_words(&["NO_WRITE_TO_BINLOG", "LOCAL", "TABLE", "TABLES"]);
            if tokens.peek().is_some_and(|word| word.is("VIEW")) {
                return Statement::Other;
            }
            ddl(list(&mut tokens, database).map_or_else(|| Touched::of_default(database), Touched::Tables), Vec::new())
        }
        "CREATE" if tokens.peek().is_some_and(|word| word.is("INDEX")) => create_index(tokens, database),
        "CREATE" => create(tokens, database),
        "ALTER" => alter(tokens, database),
        "DROP" => drop_things(tokens, database),
        _ => ddl(Touched::of_default(database), Vec::new()),
    }
}

fn ddl(touched: Touched, effects: Vec<Effect>) -> Statement {
    Statement::Ddl { opens: false, touched, effects }
}

/// The words before a name.
#[derive(Debug, Default)]
struct Head {
    /// In capitals: TABLE, INDEX, …
    kind: String,
    temporary: bool,
    replace: bool,
    ignore: bool,
}

/// Takes the words up to the kind of thing.
fn head(tokens: &mut Tokens<'_>) -> Head {
    let mut head = Head::default();
    loop {
        if tokens.words(&["OR", "REPLACE"]) {
            head.replace = true;
        } else if tokens.word("TEMPORARY") {
            head.temporary = true;
        } else if tokens.word("IGNORE") {
            head.ignore = true;
        } else if tokens.word("DEFINER") {
            if !tokens.sign('=') {
                continue;
            }
            // CURRENT_USER(), user@host, 'user'@'host'
            tokens.next();
            if tokens.sign('@') {
                tokens.next();
            } else if tokens.sign('(') {
                tokens.sign(')');
            }
        } else if tokens.words(&["SQL", "SECURITY"]) {
            tokens.next();
        } else if tokens.word("ALGORITHM") {
            if tokens.sign('=') {
                tokens.next();
            }
        } else if !MODIFIERS.iter().any(|word| tokens.word(word)) {
            break;
        }
    }
    let mut ahead = *tokens;
    if let Some(Token::Word(word)) = ahead.next() {
        head.kind = word.to_ascii_uppercase();
        *tokens = ahead;
    }
    head
}

/// `a, b, …`
fn list(tokens: &mut Tokens<'_>, database: &str) -> Option<Vec<TableName>> {
    let mut tables = vec![tokens.table(database)?];
    while tokens.sign(',') {
        tables.push(tokens.table(database)?);
    }
    Some(tables)
}

fn create(mut tokens: Tokens<'_>, database: &str) -> Statement {
    let head = head(&mut tokens);
    tokens.words(&["IF", "NOT", "EXISTS"]);
    match head.kind.as_str() {
        "TABLE" => {
            let Some(table) = tokens.table(database) else {
                return if head.temporary { Statement::Other } else { ddl(Touched::of_default(database), Vec::new()) };
            };
            if head.temporary {
                return Statement::Temporary { tables: vec![table], dropped: false };
            }
            let (filled, opens) = creation(tokens);
            let mut effects = Vec::new();
            if head.replace {
                effects.push(Effect::Emptied { table: table.clone(), by: "CREATE OR REPLACE TABLE" });
            }
            if filled {
                effects.push(Effect::Filled(Change::of(table.clone(), tokens)));
            }
            Statement::Ddl { opens, touched: Touched::Tables(vec![table]), effects }
        }
        "SEQUENCE" | "VIEW" => ddl(Touched::table(tokens.table(database), database), Vec::new()),
        "INDEX" => on_table(tokens, database),
        "DATABASE" | "SCHEMA" => {
            let Some(name) = tokens.stored_name() else { return ddl(Touched::Any, Vec::new()) };
            let effects = if head.replace { vec![Effect::DatabaseDropped(name.clone())] } else { Vec::new() };
            ddl(Touched::Database(name), effects)
        }
        kind if NO_TABLES.contains(&kind) => Statement::Other,
        _ => ddl(Touched::of_default(database), Vec::new()),
    }
}

/// Whether a query fills the new table, without rows behind the statement, and whether rows follow. A server that logs the rows
/// writes the columns in place of the query.
fn creation(mut tokens: Tokens<'_>) -> (bool, bool) {
    let (mut filled, mut starts, mut opens) = (false, false, false);
    while let Some(token) = tokens.next() {
        let next = |word: &str| tokens.peek().is_some_and(|token| token.is(word));
        filled |= token.is("SELECT") || token.is("TABLE");
        // not the VALUES of a partition
        filled |= token.is("VALUES") && (next("ROW") || tokens.peek() == Some(Token::Sign('(')));
        opens = starts && token.is("TRANSACTION");
        starts = token.is("START");
    }
    (filled, opens)
}

/// `… ON table` of an index.
fn on_table(mut tokens: Tokens<'_>, database: &str) -> Statement {
    // the index may have any name without quotes but this one
    while let Some(token) = tokens.next() {
        if token.is("ON") {
            return ddl(Touched::table(tokens.table(database), database), Vec::new());
        }
    }
    ddl(Touched::of_default(database), Vec::new())
}

/// `CREATE INDEX`, of no special kind.
fn create_index(mut tokens: Tokens<'_>, database: &str) -> Statement {
    let mut statement = on_table(tokens, database);
    while !tokens.word("ON") {
        if tokens.next().is_none() {
            return statement;
        }
    }
    if let Statement::Ddl { effects, .. } = &mut statement
        && tokens.table(database).is_some()
        && kept::columns(&mut tokens)
    {
        effects.push(Effect::ColumnsKept);
    }
    statement
}

fn drop_things(mut tokens: Tokens<'_>, database: &str) -> Statement {
    let head = head(&mut tokens);
    tokens.words(&["IF", "EXISTS"]);
    match head.kind.as_str() {
        "TABLE" | "TABLES" => {
            let Some(tables) = list(&mut tokens, database) else {
                return if head.temporary { Statement::Other } else { ddl(Touched::of_default(database), Vec::new()) };
            };
            if head.temporary {
                return Statement::Temporary { tables, dropped: true };
            }
            let effects = tables.iter().map(|table| Effect::Emptied { table: table.clone(), by: "DROP TABLE" }).collect();
            ddl(Touched::Tables(tables), effects)
        }
        "VIEW" | "SEQUENCE" => ddl(list(&mut tokens, database).map_or_else(|| Touched::of_default(database), Touched::Tables), Vec::new()),
        "INDEX" => on_table(tokens, database),
        "DATABASE" | "SCHEMA" => match tokens.stored_name() {
            Some(name) => ddl(Touched::Database(name.clone()), vec![Effect::DatabaseDropped(name)]),
            None => ddl(Touched::Any, Vec::new()),
        },
        kind if NO_TABLES.contains(&kind) => Statement::Other,
        _ => ddl(Touched::of_default(database), Vec::new()),
    }
}

/// `RENAME TABLE a TO b, c TO d`
fn rename(mut tokens: Tokens<'_>, database: &str) -> Statement {
    if !tokens.word("TABLE") && !tokens.word("TABLES") {
        return if tokens.word("USER") { Statement::Other } else { ddl(Touched::of_default(database), Vec::new()) };
    }
    tokens.words(&["IF", "EXISTS"]);
    let mut pair = || {
        let from = tokens.table(database)?;
        // MariaDB: WAIT 5, NOWAIT
        while !tokens.word("TO") {
            tokens.next()?;
        }
        let to = tokens.table(database)?;
        Some((from, to, tokens.sign(',')))
    };
    let (mut touched, mut effects) = (Vec::new(), Vec::new());
    loop {
        let Some((from, to, more)) = pair() else { return ddl(Touched::Any, effects) };
        touched.extend([from.clone(), to.clone()]);
        effects.push(Effect::Renamed { from, to, altered: false });
        if !more {
            return ddl(Touched::Tables(touched), effects);
        }
    }
}

fn alter(mut tokens: Tokens<'_>, database: &str) -> Statement {
    let head = head(&mut tokens);
    tokens.words(&["IF", "EXISTS"]);
    match head.kind.as_str() {
        "TABLE" => match tokens.table(database) {
            Some(table) => alter_table(tokens, database, table, head.ignore),
            None => ddl(Touched::of_default(database), Vec::new()),
        },
        "SEQUENCE" | "VIEW" => ddl(Touched::table(tokens.table(database), database), Vec::new()),
        "DATABASE" | "SCHEMA" => {
            const OPTIONS: [&str; 7] = ["CHARACTER", "CHARSET", "COLLATE", "DEFAULT", "READ", "ENCRYPTION", "COMMENT"];
            let named = tokens.peek().is_some_and(|token| !OPTIONS.iter().any(|option| token.is(option)));
            match tokens.stored_name() {
                Some(name) if named => ddl(Touched::Database(name), Vec::new()),
                _ => ddl(Touched::of_default(database), Vec::new()),
            }
        }
        kind if NO_TABLES.contains(&kind) => Statement::Other,
        _ => ddl(Touched::of_default(database), Vec::new()),
    }
}

/// The clauses of `ALTER TABLE`: those that rename, and those that take rows along.
fn alter_table(mut tokens: Tokens<'_>, database: &str, table: TableName, ignore: bool) -> Statement {
    let partly = |by| Effect::Partly { table: table.clone(), by };
    let (mut touched, mut effects) = (vec![table.clone()], Vec::new());
    if ignore {
        effects.push(partly("ALTER IGNORE TABLE"));
    }
    if tokens.word("WAIT") {
        tokens.next();
    }
    tokens.word("NOWAIT");
    if kept::by_clauses(tokens) {
        effects.push(Effect::ColumnsKept);
    }
    let (mut drops, mut adds) = (false, false);
    let retyped = Effect::Retyped(table.clone());
    loop {
        if tokens.word("RENAME") {
            let column = tokens.peek().is_some_and(|word| ["COLUMN", "INDEX", "KEY", "CONSTRAINT"].iter().any(|w| word.is(w)));
            if !column {
                if !tokens.word("TO") && !tokens.word("AS") {
                    tokens.sign('=');
                }
                let Some(to) = tokens.table(if database.is_empty() { &table.database } else { database }) else {
                    return ddl(Touched::Any, effects);
                };
                touched.push(to.clone());
                effects.push(Effect::Renamed { from: table.clone(), to, altered: true });
            }
        } else if tokens.words(&["DROP", "PARTITION"]) {
            effects.push(partly("DROP PARTITION"));
        } else if tokens.words(&["TRUNCATE", "PARTITION"]) {
            effects.push(partly("TRUNCATE PARTITION"));
        } else if tokens.words(&["DROP", "SYSTEM", "VERSIONING"]) {
            effects.push(partly("DROP SYSTEM VERSIONING"));
        } else if tokens.word("DISCARD") {
            effects.push(partly("DISCARD TABLESPACE"));
        } else if tokens.word("IMPORT") {
            effects.push(partly("IMPORT TABLESPACE"));
        } else if tokens.words(&["EXCHANGE", "PARTITION"]) || tokens.words(&["CONVERT", "PARTITION"]) {
            // … WITH TABLE other, … TO TABLE other
            while tokens.peek().is_some() && !tokens.word("TABLE") {
                tokens.next();
            }
            other_table(&mut tokens, database, &mut touched, &mut effects);
            effects.push(partly("EXCHANGE or CONVERT PARTITION"));
        } else if tokens.word("MODIFY") || tokens.word("CHANGE") || tokens.words(&["CONVERT", "TO"]) {
            if !effects.contains(&retyped) {
                effects.push(retyped.clone());
            }
        } else if tokens.word("DROP") {
            drops |= is_column(tokens);
        } else if tokens.word("ADD") {
            adds |= is_column(tokens);
            let mut ahead = tokens;
            if ahead.word("CONSTRAINT") && !ahead.peek().is_some_and(|word| word.is("PRIMARY")) {
                ahead.next();
            }
            // its columns are never NULL
            if ahead.words(&["PRIMARY", "KEY"]) && !effects.contains(&retyped) {
                effects.push(retyped.clone());
            }
        } else if tokens.words(&["CONVERT", "TABLE"]) {
            other_table(&mut tokens, database, &mut touched, &mut effects);
            effects.push(partly("CONVERT TABLE"));
        } else if tokens.word("ENGINE") {
            tokens.sign('=');
            if tokens.word("BLACKHOLE") {
                effects.push(Effect::Emptied { table: table.clone(), by: "ALTER TABLE … ENGINE" });
            }
        }
        if !next_clause(&mut tokens) {
            // a column may come in place of one of its name
            if drops && adds && !effects.contains(&retyped) {
                effects.push(retyped);
            }
            return ddl(Touched::Tables(touched), effects);
        }
    }
}

/// Whether a column follows `ADD` or `DROP`, and no key or constraint.
fn is_column(tokens: Tokens<'_>) -> bool {
    const OTHERS: [&str; 12] =
        ["INDEX", "KEY", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "PRIMARY", "FOREIGN", "CONSTRAINT", "CHECK", "PARTITION", "PERIOD"];
    tokens.peek().is_some_and(|word| !OTHERS.iter().any(|other| word.is(other)))
}

/// The other table of a clause, whose rows come or go, too.
fn other_table(tokens: &mut Tokens<'_>, database: &str, touched: &mut Vec<TableName>, effects: &mut Vec<Effect>) {
    if let Some(other) = tokens.table(database) {
        touched.push(other.clone());
        effects.push(Effect::Partly { table: other, by: "EXCHANGE or CONVERT PARTITION" });
    }
}

/// Goes behind the next comma outside of parentheses.
fn next_clause(tokens: &mut Tokens<'_>) -> bool {
    let mut depth = 0_u32;
    for token in tokens.by_ref() {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            Token::Sign(',') if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// MariaDB's `DELETE HISTORY FROM table`: rows of the past, which the log does not name.
pub(super) fn delete_history(mut tokens: Tokens<'_>, database: &str) -> Statement {
    tokens.word("HISTORY");
    tokens.word("FROM");
    match tokens.table(database) {
        Some(table) => ddl(Touched::Tables(vec![table.clone()]), vec![Effect::Partly { table, by: "DELETE HISTORY" }]),
        None => Statement::Dml(Change::unknown()),
    }
}
