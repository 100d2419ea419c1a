//! What a statement in the log means for the stream: transaction borders, schema changes, and data changes that were logged
//! as statements and therefore cannot be followed.
//!
//! Only names are needed of a statement, and no statement may be refused because of a clause that is not known: so this reads
//! the heads of statements by the grammar of both servers, and not whole ones with a general SQL parser.

mod change;
mod joined;
mod kept;
mod schema;
mod session;
mod token;

use sluicegate_model::change::TableName;

pub use self::{
    change::Change,
    session::Logged,
    token::{Syntax, Token, Tokens},
};

/// The meaning of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `BEGIN` or `XA START`.
    Begin,
    /// `COMMIT`.
    Commit,
    /// `ROLLBACK` of the whole transaction.
    Rollback,
    /// `XA COMMIT` or `XA ROLLBACK` of a transaction that was logged when it was prepared.
    XaEnd {
        /// Whether it was rolled back.
        rolled_back: bool,
    },
    /// Changes tables: what is known about them from the catalogue is out of date.
    Ddl {
        /// Whether rows of a new table follow in the same transaction (`CREATE TABLE … SELECT`).
        opens: bool,
        /// The tables whose schema may be another one behind it.
        touched: Touched,
        /// What it does to rows.
        effects: Vec<Effect>,
    },
    /// Changes rows, without saying which.
    Dml(Change),
    /// Makes or drops temporary tables of the session.
    Temporary {
        /// The tables.
        tables: Vec<TableName>,
        /// Whether they are dropped.
        dropped: bool,
    },
    /// Begins with no known word: it may change the schema, and rows.
    Unknown,
    /// Anything else: savepoints, grants, `SET`, …
    Other,
}

/// The tables that a schema change may concern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// These, and no others. A `RENAME` names the old and the new name of each.
    Tables(Vec<TableName>),
    /// Every table of a database: it is dropped or altered, or nothing but the default database is known.
    Database(String),
    /// Any table.
    Any,
}

/// What a schema change does to rows, without naming them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// All rows of the table are gone, or the table itself.
    Emptied {
        /// The table.
        table: TableName,
        /// What happened, for people: `TRUNCATE`, …
        by: &'static str,
    },
    /// The database is gone with all its tables.
    DatabaseDropped(String),
    /// Some rows of the table came or went.
    Partly {
        /// The table.
        table: TableName,
        /// What happened, for people: `DROP PARTITION`, …
        by: &'static str,
    },
    /// The table has another name now.
    Renamed {
        /// Its name before.
        from: TableName,
        /// Its name now.
        to: TableName,
        /// Whether by `ALTER TABLE`, which renames a temporary table of the name first; MySQL's `RENAME TABLE` does not.
        altered: bool,
    },
    /// A new table was filled by a query.
    Filled(Change),
    /// Columns of the table may have other types, and values of its rows may have changed with them.
    Retyped(TableName),
    /// Every column of the table is as it was.
    ColumnsKept,
}

impl Touched {
    /// Whether the table may be concerned. Servers may take names as the same whose letters differ in case.
    pub fn may_be(&self, table: &TableName) -> bool {
        let same = |one: &str, other: &str| one == other || one.to_lowercase() == other.to_lowercase();
        match self {
            Self::Tables(tables) => tables.iter().any(|t| same(&t.table, &table.table) && same(&t.database, &table.database)),
            Self::Database(database) => same(database, &table.database),
            Self::Any => true,
        }
    }

    /// The same with names in lower case.
    pub fn in_lower_case(self) -> Self {
        match self {
            Self::Tables(tables) => Self::Tables(tables.iter().map(lower_case).collect()),
            Self::Database(database) => Self::Database(database.to_lowercase()),
            Self::Any => Self::Any,
        }
    }

    /// Every table of the session's default database; without one, any table.
    pub fn of_default(database: &str) -> Self {
        if database.is_empty() { Self::Any } else { Self::Database(database.to_owned()) }
    }

    /// The table, if its name could be read.
    fn table(table: Option<TableName>, database: &str) -> Self {
        table.map_or_else(|| Self::of_default(database), |table| Self::Tables(vec![table]))
    }
}

/// The name in lower case.
pub fn lower_case(name: &TableName) -> TableName {
    TableName { database: name.database.to_lowercase(), schema: name.schema.clone(), table: name.table.to_lowercase() }
}

/// Whether a schema change with these effects leaves the columns of every table as they are.
pub fn keeps_schemas(effects: &[Effect]) -> bool {
    let truncates = || effects.iter().all(|effect| matches!(effect, Effect::Emptied { by: "TRUNCATE", .. }));
    effects.contains(&Effect::ColumnsKept) || !effects.is_empty() && truncates()
}

/// Reads as much of a statement as is needed. `database` is the session's default.
pub fn classify(database: &str, text: &str, syntax: Syntax) -> Statement {
    let mut tokens = Tokens::new(text, syntax);
    while tokens.sign(';') || tokens.sign('(') {}
    // MariaDB: SET STATEMENT variable = value, … FOR statement
    while tokens.words(&["SET", "STATEMENT"]) {
        let mut depth = 0_u32;
        loop {
            match tokens.next() {
                Some(Token::Sign('(')) => depth += 1,
                Some(Token::Sign(')')) => depth = depth.saturating_sub(1),
                Some(word) if depth == 0 && word.is("FOR") => break,
                Some(_) => {}
                None => return Statement::Unknown,
            }
        }
        while tokens.sign('(') {}
    }
    let statement = tokens;
    let first = match tokens.next() {
        Some(Token::Word(word)) => word.to_ascii_uppercase(),
        Some(_) => return Statement::Unknown,
        None => return Statement::Other,
    };
    if let Some(border) = border(&first, tokens) {
        return border;
    }
    match first.as_str() {
        "CREATE" | "ALTER" | "DROP" | "RENAME" | "TRUNCATE" | "OPTIMIZE" | "REPAIR" | "IMPORT" => schema::read(&first, tokens, database),
        "SET" | "GRANT" | "REVOKE" | "FLUSH" | "CHECK" | "CHECKSUM" | "SHOW" | "USE" | "LOCK" | "UNLOCK" | "KILL" | "RESET" | "PURGE"
        | "CHANGE" | "STOP" | "START" | "INSTALL" | "UNINSTALL" | "CACHE" | "BACKUP" | "HELP" | "SIGNAL" | "RESIGNAL" | "SAVEPOINT"
        | "RELEASE" | "BINLOG" | "DEALLOCATE" | "CLONE" | "SHUTDOWN" | "RESTART" => Statement::Other,
        // MariaDB runs what stands behind ANALYZE
        "ANALYZE" if !change::is_analysed_change(tokens) => Statement::Other,
        "LOAD" if tokens.peek().is_some_and(|word| word.is("INDEX")) => Statement::Other,
        "DELETE" if tokens.peek().is_some_and(|word| word.is("HISTORY")) => schema::delete_history(tokens, database),
        _ => Change::read(statement, database).map_or(Statement::Unknown, Statement::Dml),
    }
}

/// What begins or ends a transaction, or stands at a place in it.
fn border(first: &str, mut tokens: Tokens<'_>) -> Option<Statement> {
    Some(match first {
        "BEGIN" => Statement::Begin,
        "COMMIT" => Statement::Commit,
        "START" if tokens.word("TRANSACTION") => Statement::Begin,
        "ROLLBACK" if tokens.next().is_none() => Statement::Rollback,
        "ROLLBACK" => Statement::Other,
        "XA" if tokens.word("START") || tokens.word("BEGIN") => Statement::Begin,
        "XA" if tokens.word("COMMIT") => Statement::XaEnd { rolled_back: false },
        "XA" if tokens.word("ROLLBACK") => Statement::XaEnd { rolled_back: true },
        "XA" => Statement::Other,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
