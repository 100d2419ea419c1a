//! Schema changes that leave every column as it is: rows are read behind them as before.
//!
//! Only what is sure is recognised. Unique keys are not: where there is no primary key they stand in for it, and MariaDB adds columns
//! for some of them, as MySQL does for keys over expressions. Nor is a table that is built anew (`ENGINE`, `FORCE`, `OPTIMIZE`), which
//! may turn columns of old formats into new ones.

use super::token::{Token, Tokens};

/// Commands about partitions, each of which stands alone in its statement.
const PARTITIONS: [&str; 9] = ["DROP", "TRUNCATE", "REORGANIZE", "COALESCE", "ANALYZE", "CHECK", "OPTIMIZE", "REBUILD", "REPAIR"];

/// Whether the clauses of an `ALTER TABLE`, behind the table's name, keep its columns.
pub(super) fn by_clauses(mut tokens: Tokens<'_>) -> bool {
    if PARTITIONS.iter().any(|command| tokens.words(&[command, "PARTITION"])) {
        // MariaDB takes the word for the name of a column, too: DROP partition RESTRICT
        let column = |token: &Token<'_>| matches!(token, Token::Sign(_)) || token.is("RESTRICT") || token.is("CASCADE");
        return tokens.peek().is_some_and(|token| !column(&token));
    }
    loop {
        if !clause(&mut tokens) {
            return false;
        }
        match tokens.next() {
            Some(Token::Sign(',')) => {}
            None | Some(Token::Sign(';')) => return true,
            Some(_) => return false,
        }
    }
}

/// Takes a clause that keeps columns.
fn clause(tokens: &mut Tokens<'_>) -> bool {
    if tokens.word("COMMENT") {
        tokens.sign('=');
        return matches!(tokens.next(), Some(Token::Text | Token::Quoted(_)));
    }
    if ["AUTO_INCREMENT", "LOCK", "ALGORITHM"].iter().any(|option| tokens.word(option)) {
        tokens.sign('=');
        return matches!(tokens.next(), Some(Token::Word(_)));
    }
    if tokens.word("ALTER") {
        tokens.word("COLUMN");
        let named = tokens.name().is_some();
        return named && (tokens.words(&["DROP", "DEFAULT"]) || tokens.words(&["SET", "DEFAULT"]) && value(tokens));
    }
    if tokens.words(&["RENAME", "INDEX"]) || tokens.words(&["RENAME", "KEY"]) {
        return tokens.name().is_some() && tokens.word("TO") && tokens.name().is_some();
    }
    if tokens.words(&["ADD", "INDEX"]) || tokens.words(&["ADD", "KEY"]) {
        tokens.words(&["IF", "NOT", "EXISTS"]);
        if !matches!(tokens.peek(), Some(Token::Sign('('))) && tokens.name().is_none() {
            return false;
        }
        return columns(tokens);
    }
    false
}

/// A value: a number, a text, a name, or an expression in parentheses.
fn value(tokens: &mut Tokens<'_>) -> bool {
    if !tokens.sign('-') {
        tokens.sign('+');
    }
    match tokens.next() {
        Some(Token::Sign('(')) => behind_parentheses(tokens),
        Some(Token::Sign(_)) | None => false,
        // a number with a fraction
        Some(Token::Word(_)) if tokens.sign('.') => matches!(tokens.next(), Some(Token::Word(_))),
        Some(_) => true,
    }
}

fn behind_parentheses(tokens: &mut Tokens<'_>) -> bool {
    let mut depth = 1_u32;
    for token in tokens.by_ref() {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') if depth == 1 => return true,
            Token::Sign(')') => depth -= 1,
            _ => {}
        }
    }
    false
}

/// `(a, b(10), c DESC)`: the parts of a key that are columns. An expression stands in parentheses of its own.
pub(super) fn columns(tokens: &mut Tokens<'_>) -> bool {
    if !tokens.sign('(') {
        return false;
    }
    loop {
        if tokens.name().is_none() {
            return false;
        }
        if tokens.sign('(') && !(matches!(tokens.next(), Some(Token::Word(_))) && tokens.sign(')')) {
            return false;
        }
        if !tokens.word("ASC") {
            tokens.word("DESC");
        }
        match tokens.next() {
            Some(Token::Sign(',')) => {}
            Some(Token::Sign(')')) => return true,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Statement, Syntax, classify, keeps_schemas};
    use crate::position::Flavour;

    fn keeps(text: &str) -> bool {
        match classify("shop", text, Syntax::of(Flavour::MySql)) {
            Statement::Ddl { effects, .. } => keeps_schemas(&effects),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_change_that_leaves_every_column_as_it_is_is_known() {
        for text in [
            "ALTER TABLE t COMMENT 'a, ADD b INT'",
            "ALTER TABLE t COMMENT = \"x\", AUTO_INCREMENT=7, ALGORITHM=INPLACE, LOCK = NONE;",
            "/*!50000 ALTER TABLE t ADD INDEX i (a, b(10), c DESC) */",
            "ALTER TABLE shop.t ADD KEY (`a b`)",
            "ALTER TABLE t ALTER a SET DEFAULT -1.5, ALTER COLUMN b DROP DEFAULT, ALTER c SET DEFAULT (uuid()), ALTER d SET DEFAULT 'x'",
            "ALTER TABLE t RENAME INDEX a TO b, RENAME KEY c TO d",
            "ALTER TABLE t DROP PARTITION p, q",
            "ALTER TABLE t REORGANIZE PARTITION p INTO (PARTITION a VALUES LESS THAN (1), PARTITION b VALUES LESS THAN (2))",
            "CREATE INDEX i ON t (a)",
            "CREATE INDEX i ON shop.t (a ASC, b(3))",
            "TRUNCATE t",
        ] {
            assert!(keeps(text), "{text}");
        }
    }

    #[test]
    fn a_change_that_may_touch_a_column_is_taken_for_one() {
        for text in [
            "ALTER TABLE t",
            "ALTER TABLE t COMMENT 'x' CHARACTER SET latin1",
            "ALTER TABLE t COMMENT 'x', CONVERT TO CHARACTER SET latin1",
            "ALTER TABLE t MODIFY a INT COMMENT 'x'",
            "ALTER TABLE t ADD INDEX i (a), ADD b INT",
            "ALTER TABLE t ADD UNIQUE INDEX i (a)",
            "ALTER TABLE t ADD INDEX i ((a + 1))",
            "ALTER TABLE t ADD INDEX i (a, (b + 1))",
            "ALTER TABLE t ADD comment INT",
            "ALTER TABLE t DROP INDEX i",
            "ALTER TABLE t RENAME INDEX a TO b, RENAME COLUMN a TO b",
            "ALTER TABLE t RENAME TO u",
            "ALTER TABLE t AUTO_INCREMENT=7, RENAME TO u",
            "ALTER TABLE t ALTER a SET DEFAULT 1, ADD c INT",
            "ALTER TABLE t ALTER a SET DEFAULT (1), ADD c INT",
            "ALTER TABLE t ALTER a SET INVISIBLE",
            "ALTER TABLE t ENGINE=InnoDB",
            "ALTER TABLE t FORCE",
            "ALTER TABLE t COMMENT 'x', ALGORITHM=COPY, FORCE",
            "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u",
            "ALTER TABLE t DROP `PARTITION`",
            "ALTER TABLE t DROP partition",
            "ALTER TABLE t DROP partition, ADD b INT",
            "ALTER TABLE t DROP partition RESTRICT",
            "CREATE UNIQUE INDEX i ON t (a)",
            "CREATE INDEX i ON t ((a + 1))",
            "CREATE OR REPLACE INDEX i ON t (a)",
            "CREATE TABLE t (a INT)",
            "OPTIMIZE TABLE t",
        ] {
            assert!(!keeps(text), "{text}");
        }
    }
}
