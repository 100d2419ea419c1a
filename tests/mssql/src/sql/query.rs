//! Queries and their sources.

use super::{
    ast::{Alias, Expr, Item, Join, Name, Query, Select, Source},
    lexer::Token,
    parser::Parser,
};
use crate::{
    error::{Result, SqlError},
    value::{Datum, Kind},
};

impl Parser {
    pub(super) fn query(&mut self) -> Result<Query> {
        let mut with = Vec::new();
        if self.accept("WITH") {
            with = self.common_tables()?;
        }
        self.query_after(with)
    }

    pub(super) fn common_tables(&mut self) -> Result<Vec<(String, Vec<String>, Query)>> {
        self.list(|p| {
            let name = p.name_part()?;
            let columns = if p.accept_symbol("(") {
                let columns = p.list(Self::name_part)?;
                p.expect_symbol(")")?;
                columns
            } else {
                Vec::new()
            };
            p.expect("AS")?;
            p.expect_symbol("(")?;
            let query = p.query()?;
            p.expect_symbol(")")?;
            Ok((name, columns, query))
        })
    }

    pub(super) fn query_after(&mut self, with: Vec<(String, Vec<String>, Query)>) -> Result<Query> {
        let mut selects = vec![(self.select()?, false)];
        loop {
            if self.accept("UNION") {
                let distinct = !self.accept("ALL");
                selects.push((self.select()?, distinct));
            } else if self.peek_word("EXCEPT") || self.peek_word("INTERSECT") {
                return Err(SqlError::unsupported("EXCEPT and INTERSECT"));
            } else {
                break;
            }
        }
        let (mut order_by, mut offset, mut fetch) = (Vec::new(), None, None);
        if self.accept("ORDER") {
            self.expect("BY")?;
            order_by = self.list(Self::ordering)?;
            if self.accept("OFFSET") {
                offset = Some(self.expression()?);
                let _ = self.accept("ROWS") || self.accept("ROW");
                if self.accept("FETCH") {
                    let _ = self.accept("NEXT") || self.accept("FIRST");
                    fetch = Some(self.expression()?);
                    let _ = self.accept("ROWS") || self.accept("ROW");
                    self.expect("ONLY")?;
                }
            }
        }
        if self.peek_word("FOR") {
            return Err(SqlError::unsupported("FOR XML, JSON and BROWSE"));
        }
        if self.accept("OPTION") {
            // hints change plans, never answers
            self.expect_symbol("(")?;
            let mut depth = 1;
            while depth > 0 {
                match self.next() {
                    Token::Symbol("(") => depth += 1,
                    Token::Symbol(")") => depth -= 1,
                    Token::End => return Err(self.wrong()),
                    _ => {}
                }
            }
        }
        Ok(Query { with, selects, order_by, offset, fetch })
    }

    pub(super) fn ordering(&mut self) -> Result<(Expr, bool)> {
        let by = self.expression()?;
        let descending = self.accept("DESC");
        if !descending {
            self.accept("ASC");
        }
        Ok((by, descending))
    }

    fn select(&mut self) -> Result<Select> {
        if *self.peek() == Token::Symbol("(") {
            return Err(SqlError::unsupported("a SELECT in parentheses"));
        }
        self.expect("SELECT")?;
        let distinct = self.accept("DISTINCT");
        if !distinct {
            self.accept("ALL");
        }
        let top = self.top()?;
        let items = self.list(Self::item)?;
        if self.peek_word("INTO") {
            return Err(SqlError::unsupported("SELECT INTO"));
        }
        let from = if self.accept("FROM") { Some(self.sources()?) } else { None };
        let filter = if self.accept("WHERE") { Some(self.expression()?) } else { None };
        let mut group_by = Vec::new();
        if self.accept("GROUP") {
            self.expect("BY")?;
            group_by = self.list(Self::expression)?;
        }
        let having = if self.accept("HAVING") { Some(self.expression()?) } else { None };
        Ok(Select { distinct, top, items, from, filter, group_by, having })
    }

    pub(super) fn top(&mut self) -> Result<Option<Expr>> {
        if !self.accept("TOP") {
            return Ok(None);
        }
        let count = if self.accept_symbol("(") {
            let count = self.expression()?;
            self.expect_symbol(")")?;
            count
        } else {
            match self.next() {
                Token::Number(text) => Expr::Literal(Datum::Int(text.parse().map_err(|_| SqlError::syntax(&text))?), Kind::BigInt.into()),
                other => return Err(SqlError::syntax(&other.near())),
            }
        };
        if self.peek_word("PERCENT")
            || (self.peek_word("WITH") && matches!(self.peek_at(1), Token::Word(w) if w.eq_ignore_ascii_case("TIES")))
        {
            return Err(SqlError::unsupported("TOP with PERCENT or TIES"));
        }
        Ok(Some(count))
    }

    fn item(&mut self) -> Result<Item> {
        if self.accept_symbol("*") {
            return Ok(Item::Star(None));
        }
        if let (Token::Variable(name), Token::Symbol("=")) = (self.peek().clone(), self.peek_at(1)) {
            self.next();
            self.next();
            return Ok(Item::Assign(name, self.expression()?));
        }
        // alias = expression
        if let (Token::Word(name) | Token::Quoted(name), Token::Symbol("=")) = (self.peek().clone(), self.peek_at(1)) {
            self.next();
            self.next();
            return Ok(Item::Expr(self.expression()?, Some(name)));
        }
        let value = self.expression()?;
        if let Expr::Column(name) = &value
            && *self.peek() == Token::Symbol(".")
            && *self.peek_at(1) == Token::Symbol("*")
        {
            self.next();
            self.next();
            return Ok(Item::Star(Some(name.clone())));
        }
        let alias = if self.accept("AS") {
            Some(match self.peek().clone() {
                Token::Text(text, _) => {
                    self.next();
                    text
                }
                _ => self.any_name_part()?,
            })
        } else {
            self.accept_alias()
        };
        Ok(Item::Expr(value, alias))
    }

    fn sources(&mut self) -> Result<Source> {
        let mut left = self.joined()?;
        while self.accept_symbol(",") {
            left = Source::Join(Box::new(left), Box::new(self.joined()?), Join::Cross, None);
        }
        Ok(left)
    }

    fn joined(&mut self) -> Result<Source> {
        let mut left = self.source()?;
        loop {
            let join = if self.accept("CROSS") {
                if self.accept("APPLY") {
                    left = Source::Apply { left: Box::new(left), right: Box::new(self.source()?), outer: false };
                    continue;
                }
                Join::Cross
            } else if self.accept("OUTER") {
                self.expect("APPLY")?;
                left = Source::Apply { left: Box::new(left), right: Box::new(self.source()?), outer: true };
                continue;
            } else if self.accept("INNER") {
                Join::Inner
            } else if self.accept("LEFT") {
                self.accept("OUTER");
                Join::Left
            } else if self.accept("RIGHT") {
                self.accept("OUTER");
                Join::Right
            } else if self.accept("FULL") {
                self.accept("OUTER");
                Join::Full
            } else if self.peek_word("JOIN") {
                Join::Inner
            } else {
                return Ok(left);
            };
            // hints such as LOOP change plans, never answers
            let _ = self.accept("LOOP") || self.accept("HASH") || self.accept("MERGE");
            self.expect("JOIN")?;
            let right = self.source()?;
            let on = if join == Join::Cross {
                None
            } else {
                self.expect("ON")?;
                Some(self.expression()?)
            };
            left = Source::Join(Box::new(left), Box::new(right), join, on);
        }
    }

    fn source(&mut self) -> Result<Source> {
        if self.accept_symbol("(") {
            if self.accept("VALUES") {
                let rows = self.list(|p| {
                    p.expect_symbol("(")?;
                    let row = p.list(Self::expression)?;
                    p.expect_symbol(")")?;
                    Ok(row)
                })?;
                self.expect_symbol(")")?;
                return Ok(Source::Values(rows, self.alias()?));
            }
            if self.peek_word("SELECT") || self.peek_word("WITH") {
                let query = self.query()?;
                self.expect_symbol(")")?;
                return Ok(Source::Derived(Box::new(query), self.alias()?));
            }
            let inner = self.sources()?;
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        if self.peek_word("CHANGETABLE") && *self.peek_at(1) == Token::Symbol("(") {
            self.next();
            self.next();
            return self.change_table();
        }
        let name = self.name()?;
        if *self.peek() == Token::Symbol("(") {
            return Err(SqlError::unsupported(format_args!("the table function {name}")));
        }
        let mut alias = self.alias()?;
        let mut hints = Vec::new();
        if self.peek_word("WITH") && *self.peek_at(1) == Token::Symbol("(") {
            self.next();
            self.next();
            hints = self.list(|p| {
                let hint = p.any_name_part()?.to_ascii_uppercase();
                match hint.as_str() {
                    "NOLOCK" | "READUNCOMMITTED" => Err(SqlError::unsupported("reads of what is not committed")),
                    "HOLDLOCK" | "SERIALIZABLE" | "REPEATABLEREAD" | "READCOMMITTED" | "READCOMMITTEDLOCK" | "ROWLOCK" | "PAGLOCK"
                    | "TABLOCK" | "FORCESEEK" | "FORCESCAN" => Ok(hint),
                    _ => Err(SqlError::unsupported(format_args!("the hint {hint}"))),
                }
            })?;
            self.expect_symbol(")")?;
            if alias.name.is_none() {
                alias = self.alias()?;
            }
        }
        Ok(Source::Table { name, alias, hints })
    }

    fn change_table(&mut self) -> Result<Source> {
        if self.accept("CHANGES") {
            let table = self.name()?;
            self.expect_symbol(",")?;
            let last = self.last_version()?;
            let seek = self.accept_symbol(",");
            if seek {
                self.expect("FORCESEEK")?;
            }
            self.expect_symbol(")")?;
            return Ok(Source::Changes { table, last, seek, alias: self.alias()? });
        }
        if self.accept("VERSION") {
            let table = self.name()?;
            self.expect_symbol(",")?;
            self.expect_symbol("(")?;
            let columns = self.list(Self::any_name_part)?;
            self.expect_symbol(")")?;
            self.expect_symbol(",")?;
            self.expect_symbol("(")?;
            let values = self.list(Self::expression)?;
            self.expect_symbol(")")?;
            let seek = self.accept_symbol(",");
            if seek {
                self.expect("FORCESEEK")?;
            }
            self.expect_symbol(")")?;
            return Ok(Source::Version { table, columns, values, seek, alias: self.alias()? });
        }
        Err(self.wrong())
    }

    /// NULL, a whole number with an optional minus, or a variable (G79).
    fn last_version(&mut self) -> Result<Expr> {
        if self.accept("NULL") {
            return Ok(Expr::Null);
        }
        if let Token::Variable(name) = self.peek().clone() {
            self.next();
            return Ok(Expr::Variable(name));
        }
        let minus = self.accept_symbol("-");
        match self.next() {
            Token::Number(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
                let n: i64 = text.parse().map_err(|_| SqlError::syntax(&text))?;
                Ok(Expr::Literal(Datum::Int(if minus { -n } else { n }), Kind::BigInt.into()))
            }
            other => Err(SqlError::syntax(&other.near())),
        }
    }

    fn alias(&mut self) -> Result<Alias> {
        let name = if self.accept("AS") { Some(self.name_part()?) } else { self.accept_alias() };
        let mut columns = Vec::new();
        if name.is_some() && *self.peek() == Token::Symbol("(") {
            self.next();
            columns = self.list(Self::any_name_part)?;
            self.expect_symbol(")")?;
        }
        Ok(Alias { name, columns })
    }

    /// A name of one to four parts.
    pub(super) fn name(&mut self) -> Result<Name> {
        let mut parts = vec![self.name_part()?];
        while self.accept_symbol(".") {
            parts.push(if *self.peek() == Token::Symbol(".") { String::new() } else { self.any_name_part()? });
        }
        if parts.len() > 4 {
            let text =
                format!("The object name '{}' contains more than the maximum number of prefixes. The maximum is 3.", parts.join("."));
            return Err(SqlError::new(117, text).class(15));
        }
        Ok(Name { parts })
    }
}
