//! What a statement in the log means for the stream: transaction borders, schema changes, and data changes that were logged
//! as statements and therefore cannot be followed.

use sluicegate_model::change::TableName;

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
    },
    /// Removes all rows of a table.
    Truncate {
        /// The table.
        table: TableName,
    },
    /// Changes rows, without saying which.
    Dml {
        /// The table that it names, where that is easily told.
        table: Option<TableName>,
    },
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

impl Touched {
    /// Whether the table may be concerned.
    pub fn may_be(&self, table: &TableName) -> bool {
        match self {
            Self::Tables(tables) => tables.contains(table),
            Self::Database(database) => *database == table.database,
            Self::Any => true,
        }
    }
}

/// Reads as much of a statement as is needed. `database` is the session's default.
pub fn classify(database: &str, text: &str) -> Statement {
    let mut words = Words(text);
    let first = words.next().unwrap_or_default().to_ascii_uppercase();
    let mut second = || words.next().unwrap_or_default().to_ascii_uppercase();
    match first.as_str() {
        "BEGIN" => Statement::Begin,
        "COMMIT" => Statement::Commit,
        "START" if second() == "TRANSACTION" => Statement::Begin,
        "ROLLBACK" => {
            if second().is_empty() {
                Statement::Rollback
            } else {
                Statement::Other
            }
        }
        "XA" => match second().as_str() {
            "START" | "BEGIN" => Statement::Begin,
            "COMMIT" => Statement::XaEnd { rolled_back: false },
            "ROLLBACK" => Statement::XaEnd { rolled_back: true },
            _ => Statement::Other,
        },
        "CREATE" => Statement::Ddl { opens: text.trim_end().to_ascii_uppercase().ends_with("START TRANSACTION"), touched: Touched::Any },
        "TRUNCATE" => match truncated(&mut words, database) {
            Some(table) => Statement::Truncate { table },
            None => Statement::Ddl { opens: false, touched: Touched::Any },
        },
        "ALTER" | "DROP" | "RENAME" | "OPTIMIZE" => Statement::Ddl { opens: false, touched: Touched::Any },
        "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "LOAD" => Statement::Dml { table: target(&first, &mut words, database) },
        "WITH" | "CALL" => Statement::Dml { table: None },
        _ => Statement::Other,
    }
}

/// The table of `TRUNCATE [TABLE] name`.
fn truncated(words: &mut Words<'_>, database: &str) -> Option<TableName> {
    let mut word = words.next()?;
    if word.eq_ignore_ascii_case("TABLE") {
        word = words.next()?;
    }
    let name = |word: &str| match word.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        Some(quoted) => quoted.replace("``", "`"),
        None => word.to_owned(),
    };
    let first = name(word);
    if Words(words.0).next() == Some(".") {
        words.next();
        return Some(TableName::new(first, name(words.next()?)));
    }
    (!database.is_empty()).then(|| TableName::new(database, first))
}

/// The table that a data change names first.
fn target(verb: &str, words: &mut Words<'_>, database: &str) -> Option<TableName> {
    const NOISE: [&str; 8] = ["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "QUICK", "INTO", "CONCURRENT", "LOCAL"];
    let mut word = words.next()?;
    if verb == "LOAD" {
        while !word.eq_ignore_ascii_case("TABLE") {
            word = words.next()?;
        }
        word = words.next()?;
    } else {
        while NOISE.iter().any(|n| word.eq_ignore_ascii_case(n)) || (verb == "DELETE" && word.eq_ignore_ascii_case("FROM")) {
            word = words.next()?;
        }
    }
    let first = word.trim_matches('`').to_owned();
    let mut ahead = Words(words.0);
    if ahead.next() == Some(".") {
        return Some(TableName::new(first, ahead.next()?.trim_matches('`')));
    }
    // a second table would have to be looked at as well: `UPDATE a, b`, `DELETE a FROM a JOIN b`
    let several = matches!(Words(words.0).next(), Some(",")) || Words(words.0).any(|w| w.eq_ignore_ascii_case("JOIN"));
    (!several && !database.is_empty() && !first.is_empty()).then(|| TableName::new(database, first))
}

/// Words, quoted identifiers and single signs; comments and white space are passed over.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            self.0 = self.0.trim_start();
            let skipped = if self.0.starts_with("/*") && !self.0.starts_with("/*!") {
                self.0.split_once("*/").map(|(_, rest)| rest)
            } else if self.0.starts_with("-- ") || self.0.starts_with('#') {
                Some(self.0.split_once('\n').map_or("", |(_, rest)| rest))
            } else {
                None
            };
            match skipped {
                Some(rest) => self.0 = rest,
                None => break,
            }
        }
        let first = self.0.chars().next()?;
        let end = match first {
            '`' | '\'' | '"' => self.0[1..].find(first).map_or(self.0.len(), |i| i + 2),
            c if is_word(c) => self.0.find(|c| !is_word(c)).unwrap_or(self.0.len()),
            c => c.len_utf8(),
        };
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(word)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(database: &str, table: &str) -> Statement {
        Statement::Dml { table: Some(TableName::new(database, table)) }
    }

    #[test]
    fn transaction_borders() {
        assert_eq!(classify("", "BEGIN"), Statement::Begin);
        assert_eq!(classify("", "XA START X'31',X'',1"), Statement::Begin);
        assert_eq!(classify("", "XA END X'31',X'',1"), Statement::Other);
        assert_eq!(classify("", "XA ROLLBACK X'31',X'',1"), Statement::XaEnd { rolled_back: true });
        assert_eq!(classify("", "COMMIT"), Statement::Commit);
        assert_eq!(classify("", "ROLLBACK"), Statement::Rollback);
        assert_eq!(classify("", "ROLLBACK TO `sp`"), Statement::Other);
        assert_eq!(classify("", "SAVEPOINT `sp`"), Statement::Other);
    }

    #[test]
    fn schema_changes() {
        assert_eq!(classify("", "/* why */ alter table t add x int"), Statement::Ddl { opens: false, touched: Touched::Any });
        assert_eq!(classify("", "CREATE TABLE `t` (`a` int) START TRANSACTION"), Statement::Ddl { opens: true, touched: Touched::Any });
    }

    #[test]
    fn data_changes_name_their_table() {
        assert_eq!(classify("shop", "insert ignore into `orders` values (1)"), table("shop", "orders"));
        assert_eq!(classify("shop", "UPDATE other . t set a=1"), table("other", "t"));
        assert_eq!(classify("shop", "delete from `a`.`b`"), table("a", "b"));
        assert_eq!(classify("shop", "LOAD DATA INFILE 'x' INTO TABLE `t` FIELDS"), table("shop", "t"));
        assert_eq!(classify("shop", "UPDATE a, b SET a.x = b.x"), Statement::Dml { table: None });
        assert_eq!(classify("shop", "DELETE a FROM a JOIN b"), Statement::Dml { table: None });
    }

    proptest! {
        #[test]
        fn any_text_is_classified(text in ".{0,100}") {
            classify("shop", &text);
            classify("shop", &format!("insert into {text}"));
        }
    }
}
