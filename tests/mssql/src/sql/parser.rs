//! Statements: data, transactions, control of flow.

use super::{
    ast::{Context, Delete, Expr, Insert, InsertRows, Statement, Update},
    lexer::{Token, tokens},
};
use crate::error::{Result, SqlError};

/// Statements nested deeper are refused.
const DEEPEST: usize = 64;

/// Words that are no names and no aliases unless they are quoted.
const RESERVED: [&str; 94] = [
    "ADD",
    "ALL",
    "ALTER",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "BEGIN",
    "BETWEEN",
    "BY",
    "CASE",
    "CHECK",
    "CLOSE",
    "CLUSTERED",
    "COALESCE",
    "COLLATE",
    "COMMIT",
    "CONSTRAINT",
    "CONVERT",
    "CREATE",
    "CROSS",
    "CURRENT_TIMESTAMP",
    "CURSOR",
    "DATABASE",
    "DECLARE",
    "DEFAULT",
    "DELETE",
    "DENY",
    "DESC",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "ESCAPE",
    "EXCEPT",
    "EXEC",
    "EXECUTE",
    "EXISTS",
    "FETCH",
    "FOR",
    "FOREIGN",
    "FROM",
    "FULL",
    "FUNCTION",
    "GRANT",
    "GROUP",
    "HAVING",
    "IDENTITY",
    "IF",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "KEY",
    "LEFT",
    "LIKE",
    "MERGE",
    "NOT",
    "NULL",
    "OF",
    "ON",
    "OPTION",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PRIMARY",
    "PRINT",
    "PROCEDURE",
    "REFERENCES",
    "RETURN",
    "REVOKE",
    "RIGHT",
    "ROLLBACK",
    "SAVE",
    "SCHEMA",
    "SELECT",
    "SET",
    "TABLE",
    "THEN",
    "TO",
    "TOP",
    "TRUNCATE",
    "UNION",
    "UNIQUE",
    "UPDATE",
    "USE",
    "VALUES",
    "WAITFOR",
    "WHEN",
];
const RESERVED_TOO: [&str; 5] = ["WHERE", "WHILE", "WITH", "TRAN", "TRANSACTION"];

pub(super) fn is_reserved(upper: &str) -> bool {
    (RESERVED.contains(&upper) && upper != "COALESCE") || RESERVED_TOO.contains(&upper)
}

/// The statements of a batch. A syntax error anywhere means that none of them runs.
pub fn parse(sql: &str) -> Result<Vec<Statement>> {
    let mut parser = Parser { tokens: tokens(sql)?, at: 0, depth: 0 };
    let mut found = Vec::new();
    loop {
        while parser.accept_symbol(";") {}
        if *parser.peek() == Token::End {
            return Ok(found);
        }
        found.push(parser.statement()?);
    }
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, offset: usize) -> &Token {
        self.tokens.get(self.at + offset).unwrap_or(&Token::End)
    }

    pub(super) fn next(&mut self) -> Token {
        let found = self.peek().clone();
        self.at += 1;
        found
    }

    pub(super) fn peek_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(w) if w.eq_ignore_ascii_case(word))
    }

    pub(super) fn accept(&mut self, word: &str) -> bool {
        let found = self.peek_word(word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn accept_symbol(&mut self, symbol: &'static str) -> bool {
        let found = *self.peek() == Token::Symbol(symbol);
        self.at += usize::from(found);
        found
    }

    /// The error for a token that cannot stand here.
    pub(super) fn wrong(&self) -> SqlError {
        match self.peek() {
            Token::Word(word) if is_reserved(&word.to_ascii_uppercase()) => SqlError::keyword(word),
            other => SqlError::syntax(&other.near()),
        }
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<()> {
        if self.accept(word) { Ok(()) } else { Err(self.wrong()) }
    }

    pub(super) fn expect_symbol(&mut self, symbol: &'static str) -> Result<()> {
        if self.accept_symbol(symbol) { Ok(()) } else { Err(self.wrong()) }
    }

    pub(super) fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut found = vec![element(self)?];
        while self.accept_symbol(",") {
            found.push(element(self)?);
        }
        Ok(found)
    }

    /// A name that is no reserved word, unless it is quoted.
    pub(super) fn name_part(&mut self) -> Result<String> {
        match self.peek().clone() {
            Token::Quoted(name) => {
                self.next();
                Ok(name)
            }
            Token::Word(word) if !is_reserved(&word.to_ascii_uppercase()) => {
                self.next();
                Ok(word)
            }
            _ => Err(self.wrong()),
        }
    }

    /// A name, also where it is a word that is reserved elsewhere.
    pub(super) fn any_name_part(&mut self) -> Result<String> {
        match self.peek().clone() {
            Token::Quoted(name) | Token::Word(name) => {
                self.next();
                Ok(name)
            }
            _ => Err(self.wrong()),
        }
    }

    pub(super) fn accept_alias(&mut self) -> Option<String> {
        match self.peek().clone() {
            Token::Quoted(name) => {
                self.next();
                Some(name)
            }
            Token::Word(word) => {
                let upper = word.to_ascii_uppercase();
                if is_reserved(&upper) || matches!(upper.as_str(), "OFFSET" | "APPLY" | "LOOP" | "HASH" | "BREAK" | "GO" | "THROW") {
                    return None;
                }
                self.next();
                Some(word)
            }
            _ => None,
        }
    }

    pub(super) fn statement(&mut self) -> Result<Statement> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(SqlError::unsupported("statements nested so deeply"));
        }
        let found = self.undepthed_statement();
        self.depth -= 1;
        found
    }

    fn undepthed_statement(&mut self) -> Result<Statement> {
        let Token::Word(word) = self.peek().clone() else { return Err(self.wrong()) };
        let first = word.to_ascii_uppercase();
        match first.as_str() {
            "SELECT" => Ok(Statement::Select(Box::new(self.query()?))),
            "WITH" => self.with(),
            "INSERT" => self.insert(None),
            "UPDATE" => self.update(None),
            "DELETE" => self.delete(None),
            "TRUNCATE" => {
                self.next();
                self.expect("TABLE")?;
                let name = self.name()?;
                if self.peek_word("WITH") {
                    return Err(SqlError::unsettled("TRUNCATE TABLE of partitions"));
                }
                Ok(Statement::Truncate(name))
            }
            "CREATE" => self.create(),
            "DROP" => self.drop(),
            "ALTER" => self.alter(),
            "GRANT" | "REVOKE" | "DENY" => self.grant(),
            "USE" => {
                self.next();
                Ok(Statement::Use(self.any_name_part()?))
            }
            "BEGIN" => self.begin(),
            "COMMIT" => {
                self.next();
                let _ = self.accept("TRANSACTION") || self.accept("TRAN") || self.accept("WORK");
                let _ = self.accept_alias();
                Ok(Statement::Commit)
            }
            "ROLLBACK" => {
                self.next();
                let named = self.accept("TRANSACTION") || self.accept("TRAN");
                let _ = !named && self.accept("WORK");
                Ok(Statement::Rollback(if named { self.accept_alias() } else { None }))
            }
            "SAVE" => {
                self.next();
                let _ = self.accept("TRANSACTION") || self.accept("TRAN");
                Ok(Statement::Save(self.any_name_part()?))
            }
            "SET" => self.set(),
            "DECLARE" => self.declare(),
            "IF" => {
                self.next();
                let condition = self.expression()?;
                let then = Box::new(self.statement()?);
                while self.accept_symbol(";") {}
                let otherwise = if self.accept("ELSE") { Some(Box::new(self.statement()?)) } else { None };
                Ok(Statement::If(condition, then, otherwise))
            }
            "WHILE" => {
                self.next();
                let condition = self.expression()?;
                Ok(Statement::While(condition, Box::new(self.statement()?)))
            }
            "PRINT" => {
                self.next();
                Ok(Statement::Print(self.expression()?))
            }
            "THROW" => {
                self.next();
                let number = self.expression()?;
                self.expect_symbol(",")?;
                let text = self.expression()?;
                self.expect_symbol(",")?;
                self.expression()?;
                Ok(Statement::Throw(number, text))
            }
            "EXEC" | "EXECUTE" => self.execute(),
            "WAITFOR" => {
                self.next();
                self.expect("DELAY")?;
                Ok(Statement::WaitFor(self.expression()?))
            }
            "RETURN" => {
                self.next();
                Ok(Statement::Return)
            }
            "MERGE" => Err(SqlError::unsettled("the column masks of MERGE")),
            _ => Err(SqlError::unsupported(format_args!("{first} …"))),
        }
    }

    fn with(&mut self) -> Result<Statement> {
        self.next();
        if !self.peek_word("CHANGE_TRACKING_CONTEXT") {
            let tables = self.common_tables()?;
            if !self.peek_word("SELECT") {
                return Err(SqlError::unsupported("a common table expression before anything but a SELECT"));
            }
            return Ok(Statement::Select(Box::new(self.query_after(tables)?)));
        }
        self.next();
        self.expect_symbol("(")?;
        let context = match self.next() {
            Token::Hex(digits) => Context::Bytes(crate::value::convert::hex(&digits, false).ok_or_else(|| SqlError::syntax(&digits))?),
            Token::Variable(name) => Context::Variable(name),
            other => {
                self.at -= 1;
                return Err(match &other {
                    Token::Word(word) if is_reserved(&word.to_ascii_uppercase()) => self.wrong(),
                    other => SqlError::syntax(&other.near()),
                });
            }
        };
        self.expect_symbol(")")?;
        if self.accept_symbol(",") {
            let tables = self.common_tables()?;
            if self.peek_word("SELECT") {
                return Ok(Statement::Select(Box::new(self.query_after(tables)?)));
            }
            return Err(SqlError::unsupported("a common table expression before anything but a SELECT"));
        }
        match self.peek().clone() {
            Token::Word(word) => match word.to_ascii_uppercase().as_str() {
                "INSERT" => self.insert(Some(context)),
                "UPDATE" => self.update(Some(context)),
                "DELETE" => self.delete(Some(context)),
                // accepted, and ignored (G61)
                "SELECT" => Ok(Statement::Select(Box::new(self.query()?))),
                "MERGE" => Err(SqlError::unsettled("the column masks of MERGE")),
                _ => Err(self.wrong()),
            },
            _ => Err(self.wrong()),
        }
    }

    fn insert(&mut self, context: Option<Context>) -> Result<Statement> {
        self.next();
        if self.peek_word("TOP") || self.peek_word("BULK") {
            return Err(SqlError::unsupported("INSERT TOP and INSERT BULK"));
        }
        self.accept("INTO");
        let target = self.name()?;
        let mut columns = Vec::new();
        if *self.peek() == Token::Symbol("(") {
            self.next();
            columns = self.list(Self::any_name_part)?;
            self.expect_symbol(")")?;
        }
        if self.peek_word("OUTPUT") {
            return Err(SqlError::unsupported("OUTPUT"));
        }
        let rows = if self.accept("VALUES") {
            InsertRows::Values(self.list(|p| {
                p.expect_symbol("(")?;
                let row = p.list(|p| if p.accept("DEFAULT") { Ok(None) } else { p.expression().map(Some) })?;
                p.expect_symbol(")")?;
                Ok(row)
            })?)
        } else if self.accept("DEFAULT") {
            self.expect("VALUES")?;
            InsertRows::Defaults
        } else if self.peek_word("SELECT") || self.peek_word("WITH") {
            InsertRows::Query(Box::new(self.query()?))
        } else {
            return Err(self.wrong());
        };
        Ok(Statement::Insert(Box::new(Insert { target, columns, rows, context })))
    }

    fn update(&mut self, context: Option<Context>) -> Result<Statement> {
        self.next();
        if self.peek_word("STATISTICS") {
            return Err(SqlError::unsupported("UPDATE STATISTICS"));
        }
        let top = self.top()?;
        let target = self.name()?;
        self.expect("SET")?;
        let sets = self.list(|p| {
            if matches!(p.peek(), Token::Variable(_)) {
                return Err(SqlError::unsupported("a variable in the SET list"));
            }
            let mut column = p.any_name_part()?;
            while p.accept_symbol(".") {
                column = p.any_name_part()?;
                if *p.peek() == Token::Symbol("(") {
                    return Err(SqlError::unsupported("methods such as .WRITE in the SET list"));
                }
            }
            let compound = if p.accept_symbol("+=") {
                Some(super::ast::Operator::Add)
            } else if p.accept_symbol("-=") {
                Some(super::ast::Operator::Subtract)
            } else {
                p.expect_symbol("=")?;
                None
            };
            if compound.is_none() && p.accept("DEFAULT") {
                return Ok((column, None));
            }
            let mut value = p.expression()?;
            if let Some(operator) = compound {
                let old = Expr::Column(super::ast::Name { parts: vec![column.clone()] });
                value = Expr::Binary(operator, Box::new(old), Box::new(value));
            }
            Ok((column, Some(value)))
        })?;
        if self.peek_word("OUTPUT") || self.peek_word("FROM") {
            return Err(SqlError::unsupported("UPDATE with OUTPUT or FROM"));
        }
        let filter = if self.accept("WHERE") { Some(self.expression()?) } else { None };
        Ok(Statement::Update(Box::new(Update { target, top, sets, filter, context })))
    }

    fn delete(&mut self, context: Option<Context>) -> Result<Statement> {
        self.next();
        let top = self.top()?;
        self.accept("FROM");
        let target = self.name()?;
        if self.peek_word("OUTPUT") || self.peek_word("FROM") {
            return Err(SqlError::unsupported("DELETE with OUTPUT or a second FROM"));
        }
        let filter = if self.accept("WHERE") { Some(self.expression()?) } else { None };
        Ok(Statement::Delete(Box::new(Delete { target, top, filter, context })))
    }

    fn begin(&mut self) -> Result<Statement> {
        self.next();
        if self.accept("TRANSACTION") || self.accept("TRAN") {
            let _ = self.accept_alias();
            return Ok(Statement::Begin);
        }
        if self.peek_word("TRY") || self.peek_word("CATCH") || self.peek_word("DISTRIBUTED") {
            return Err(SqlError::unsupported("BEGIN TRY"));
        }
        let mut found = Vec::new();
        loop {
            while self.accept_symbol(";") {}
            if self.accept("END") {
                return if found.is_empty() { Err(SqlError::keyword("END")) } else { Ok(Statement::Block(found)) };
            }
            found.push(self.statement()?);
        }
    }

    pub(super) fn on(&mut self) -> Result<bool> {
        if self.accept("ON") {
            return Ok(true);
        }
        self.expect("OFF")?;
        Ok(false)
    }

    fn declare(&mut self) -> Result<Statement> {
        self.next();
        let found = self.list(|p| {
            let Token::Variable(name) = p.next() else {
                p.at -= 1;
                return Err(p.wrong());
            };
            p.accept("AS");
            if p.peek_word("TABLE") || p.peek_word("CURSOR") {
                return Err(SqlError::unsupported("table variables and cursors"));
            }
            let (of, _) = p.data_type(1)?;
            let value = if p.accept_symbol("=") { Some(p.expression()?) } else { None };
            Ok((name, of, value))
        })?;
        Ok(Statement::Declare(found))
    }

    fn execute(&mut self) -> Result<Statement> {
        self.next();
        if self.accept_symbol("(") {
            let text = self.expression()?;
            self.expect_symbol(")")?;
            return Ok(Statement::ExecuteText(text));
        }
        let name = self.name()?;
        let mut arguments = Vec::new();
        if !matches!(self.peek(), Token::End | Token::Symbol(";")) {
            arguments = self.list(|p| {
                if let (Token::Variable(name), Token::Symbol("=")) = (p.peek().clone(), p.peek_at(1)) {
                    p.next();
                    p.next();
                    return Ok((Some(name), p.expression()?));
                }
                Ok((None, p.expression()?))
            })?;
        }
        Ok(Statement::Execute(name, arguments))
    }
}
