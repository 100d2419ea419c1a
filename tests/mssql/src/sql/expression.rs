//! Expressions.

use super::{
    ast::{Expr, Name, Operator},
    lexer::Token,
    parser::{Parser, is_reserved},
};
use crate::{
    error::{Result, SqlError},
    value::{Collation, Datum, Kind, Type, convert, number},
};

impl Parser {
    pub(super) fn expression(&mut self) -> Result<Expr> {
        let mut left = self.conjunction()?;
        while self.accept("OR") {
            left = Expr::Binary(Operator::Or, Box::new(left), Box::new(self.conjunction()?));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Expr> {
        let mut left = self.negation()?;
        while self.accept("AND") {
            left = Expr::Binary(Operator::And, Box::new(left), Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Expr> {
        if self.accept("NOT") {
            return Ok(Expr::Not(Box::new(self.negation()?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expr> {
        let left = self.sum()?;
        let operator = match self.peek() {
            Token::Symbol("=") => Operator::Equal,
            Token::Symbol("<>" | "!=") => Operator::NotEqual,
            Token::Symbol("<") => Operator::Less,
            Token::Symbol("<=") => Operator::LessOrEqual,
            Token::Symbol(">") => Operator::Greater,
            Token::Symbol(">=") => Operator::GreaterOrEqual,
            _ => return self.predicate(left),
        };
        self.next();
        Ok(Expr::Binary(operator, Box::new(left), Box::new(self.sum()?)))
    }

    fn predicate(&mut self, left: Expr) -> Result<Expr> {
        if self.accept("IS") {
            let not = self.accept("NOT");
            self.expect("NULL")?;
            return Ok(Expr::IsNull(Box::new(left), not));
        }
        let not = self.peek_word("NOT") && self.accept("NOT");
        if self.accept("IN") {
            self.expect_symbol("(")?;
            let found = if self.peek_word("SELECT") || self.peek_word("WITH") {
                Expr::InQuery(Box::new(left), Box::new(self.query()?), not)
            } else {
                Expr::In(Box::new(left), self.list(Self::expression)?, not)
            };
            self.expect_symbol(")")?;
            return Ok(found);
        }
        if self.accept("BETWEEN") {
            let low = self.sum()?;
            self.expect("AND")?;
            return Ok(Expr::Between(Box::new(left), Box::new(low), Box::new(self.sum()?), not));
        }
        if self.accept("LIKE") {
            let pattern = Box::new(self.sum()?);
            let escape = if self.accept("ESCAPE") { Some(Box::new(self.sum()?)) } else { None };
            return Ok(Expr::Like { value: Box::new(left), pattern, escape, not });
        }
        if not { Err(self.wrong()) } else { Ok(left) }
    }

    fn sum(&mut self) -> Result<Expr> {
        let mut left = self.product()?;
        loop {
            let operator = match self.peek() {
                Token::Symbol("+") => Operator::Add,
                Token::Symbol("-") => Operator::Subtract,
                Token::Symbol("&") => Operator::BitAnd,
                Token::Symbol("|") => Operator::BitOr,
                Token::Symbol("^") => Operator::BitXor,
                _ => return Ok(left),
            };
            self.next();
            left = Expr::Binary(operator, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Expr> {
        let mut left = self.factor()?;
        loop {
            let operator = match self.peek() {
                Token::Symbol("*") => Operator::Multiply,
                Token::Symbol("/") => Operator::Divide,
                Token::Symbol("%") => Operator::Modulo,
                _ => return Ok(left),
            };
            self.next();
            left = Expr::Binary(operator, Box::new(left), Box::new(self.factor()?));
        }
    }

    fn factor(&mut self) -> Result<Expr> {
        if self.accept_symbol("-") {
            return Ok(match self.factor()? {
                Expr::Literal(Datum::Int(n), of) => Expr::Literal(Datum::Int(-n), of),
                Expr::Literal(Datum::Decimal(digits, scale), of) => Expr::Literal(Datum::Decimal(-digits, scale), of),
                Expr::Literal(Datum::Float(f), of) => Expr::Literal(Datum::Float(-f), of),
                other => Expr::Minus(Box::new(other)),
            });
        }
        if self.accept_symbol("+") {
            return self.factor();
        }
        if self.accept_symbol("~") {
            return Ok(Expr::BitNot(Box::new(self.factor()?)));
        }
        let mut found = self.primary()?;
        loop {
            if self.accept("COLLATE") {
                let name = self.name_part()?;
                found = Expr::Collate(Box::new(found), name);
            } else if matches!(found, Expr::Cast { .. } | Expr::Call { .. } | Expr::Variable(_)) && self.accept_symbol(".") {
                found = self.method(found)?;
            } else {
                return Ok(found);
            }
        }
    }

    fn method(&mut self, of: Expr) -> Result<Expr> {
        let method = self.name_part()?;
        self.expect_symbol("(")?;
        self.expect_symbol(")")?;
        Ok(Expr::Method(Box::new(of), method))
    }

    fn primary(&mut self) -> Result<Expr> {
        match self.peek().clone() {
            Token::Text(text, national) => {
                self.next();
                let length = u16::try_from(text.encode_utf16().count()).ok();
                let kind = match (national, length) {
                    (true, Some(n @ 0..=4000)) => Kind::NVarChar(Some(n.max(1))),
                    (true, _) => Kind::NVarChar(None),
                    (false, Some(n @ 0..=8000)) => Kind::VarChar(Some(n.max(1))),
                    (false, _) => Kind::VarChar(None),
                };
                Ok(Expr::Literal(Datum::text(&text), kind.into()))
            }
            Token::Hex(digits) => {
                self.next();
                let bytes = convert::hex(&digits, false).ok_or_else(|| SqlError::syntax(&digits))?;
                let length = u16::try_from(bytes.len()).ok().filter(|n| *n <= 8000);
                Ok(Expr::Literal(Datum::bytes(&bytes), Kind::VarBinary(length.map(|n| n.max(1))).into()))
            }
            Token::Number(text) => {
                self.next();
                number_literal(&text)
            }
            Token::Variable(name) => {
                self.next();
                Ok(Expr::Variable(name))
            }
            Token::Symbol("(") => {
                self.next();
                let found = if self.peek_word("SELECT") || self.peek_word("WITH") {
                    Expr::Scalar(Box::new(self.query()?))
                } else {
                    self.expression()?
                };
                self.expect_symbol(")")?;
                Ok(found)
            }
            Token::Word(word) => match word.to_ascii_uppercase().as_str() {
                "NULL" => {
                    self.next();
                    Ok(Expr::Null)
                }
                "CASE" => self.case(),
                "EXISTS" => {
                    self.next();
                    self.expect_symbol("(")?;
                    let query = self.query()?;
                    self.expect_symbol(")")?;
                    Ok(Expr::Exists(Box::new(query)))
                }
                "CAST" | "TRY_CAST" => {
                    self.next();
                    self.expect_symbol("(")?;
                    let value = Box::new(self.expression()?);
                    self.expect("AS")?;
                    let (to, _) = self.data_type(30)?;
                    self.expect_symbol(")")?;
                    Ok(Expr::Cast { value, to, style: None, attempt: word.len() > 4 })
                }
                "CONVERT" | "TRY_CONVERT" => {
                    self.next();
                    self.expect_symbol("(")?;
                    let (to, _) = self.data_type(30)?;
                    self.expect_symbol(",")?;
                    let value = Box::new(self.expression()?);
                    let style = if self.accept_symbol(",") { Some(Box::new(self.expression()?)) } else { None };
                    self.expect_symbol(")")?;
                    Ok(Expr::Cast { value, to, style, attempt: word.len() > 7 })
                }
                "CURRENT_TIMESTAMP" => {
                    self.next();
                    Ok(call("SYSDATETIME"))
                }
                "LEFT" | "RIGHT" if *self.peek_at(1) == Token::Symbol("(") => self.name_or_call(),
                upper if is_reserved(upper) => Err(self.wrong()),
                _ => self.name_or_call(),
            },
            Token::Quoted(_) => self.name_or_call(),
            _ => Err(self.wrong()),
        }
    }

    fn case(&mut self) -> Result<Expr> {
        self.next();
        let operand = if self.peek_word("WHEN") { None } else { Some(Box::new(self.expression()?)) };
        let mut whens = Vec::new();
        while self.accept("WHEN") {
            let condition = self.expression()?;
            self.expect("THEN")?;
            whens.push((condition, self.expression()?));
        }
        let otherwise = if self.accept("ELSE") { Some(Box::new(self.expression()?)) } else { None };
        self.expect("END")?;
        Ok(Expr::Case { operand, whens, otherwise })
    }

    fn name_or_call(&mut self) -> Result<Expr> {
        let mut parts = vec![self.any_name_part()?];
        while *self.peek() == Token::Symbol(".") && !matches!(self.peek_at(1), Token::Symbol("*")) {
            self.next();
            parts.push(if *self.peek() == Token::Symbol(".") { String::new() } else { self.any_name_part()? });
        }
        let name = Name { parts };
        if !self.accept_symbol("(") {
            return Ok(Expr::Column(name));
        }
        let upper = name.last().to_ascii_uppercase();
        if self.accept_symbol(")") {
            if upper == "ROW_NUMBER" {
                return Err(SqlError::unsupported("ROW_NUMBER"));
            }
            // h.ToString() of a column reads as a call of its table's function
            if name.parts.len() > 1 && upper == "TOSTRING" {
                let column = Name { parts: name.parts[..name.parts.len() - 1].to_vec() };
                return Ok(Expr::Method(Box::new(Expr::Column(column)), name.last().to_owned()));
            }
            return Ok(Expr::Call { name, arguments: Vec::new(), star: false, distinct: false });
        }
        if self.accept_symbol("*") {
            self.expect_symbol(")")?;
            return Ok(Expr::Call { name, arguments: Vec::new(), star: true, distinct: false });
        }
        let distinct = self.accept("DISTINCT");
        let arguments = self.list(Self::expression)?;
        self.expect_symbol(")")?;
        if matches!(self.peek(), Token::Word(w) if w.eq_ignore_ascii_case("OVER") || w.eq_ignore_ascii_case("WITHIN")) {
            return Err(SqlError::unsupported(format_args!("{upper} with OVER or WITHIN")));
        }
        Ok(Expr::Call { name, arguments, star: false, distinct })
    }

    /// A type, and whether it names a collation. A length that is left out is this one in a CAST, and 1 elsewhere.
    pub(super) fn data_type(&mut self, default_length: u16) -> Result<(Type, bool)> {
        let mut name = self.name_part()?;
        if self.accept_symbol(".") {
            name = self.name_part()?;
        }
        let mut arguments = Vec::new();
        if self.accept_symbol("(") {
            arguments = self.list(|p| match p.next() {
                Token::Number(text) => text.parse().map(Some).map_err(|_| SqlError::syntax(&text)),
                Token::Word(word) if word.eq_ignore_ascii_case("max") => Ok(None),
                other => Err(SqlError::syntax(&other.near())),
            })?;
            self.expect_symbol(")")?;
        }
        if name.eq_ignore_ascii_case("national") || name.eq_ignore_ascii_case("double") {
            return Err(SqlError::unsupported(format_args!("the type {name} …")));
        }
        let kind = match (Kind::named(&name, &arguments)?, arguments.is_empty()) {
            (Kind::VarChar(Some(1)), true) => Kind::VarChar(Some(default_length)),
            (Kind::NVarChar(Some(1)), true) => Kind::NVarChar(Some(default_length)),
            (Kind::Char(1), true) => Kind::Char(default_length),
            (Kind::NChar(1), true) => Kind::NChar(default_length),
            (Kind::Binary(1), true) => Kind::Binary(default_length),
            (Kind::VarBinary(Some(1)), true) => Kind::VarBinary(Some(default_length)),
            (kind, _) => kind,
        };
        let mut of = Type::from(kind);
        if default_length == 1 && self.accept("COLLATE") {
            let name = self.name_part()?;
            if !name.eq_ignore_ascii_case("database_default") {
                of.collation = Collation::named(&name)?;
            }
            return Ok((of, true));
        }
        Ok((of, false))
    }
}

fn call(name: &str) -> Expr {
    Expr::Call { name: Name { parts: vec![name.to_owned()] }, arguments: Vec::new(), star: false, distinct: false }
}

fn number_literal(text: &str) -> Result<Expr> {
    if text.contains(['e', 'E']) {
        let f = text.parse().map_err(|_| SqlError::syntax(text))?;
        return Ok(Expr::Literal(Datum::Float(f), Kind::Float.into()));
    }
    if let Ok(n) = text.parse::<i32>() {
        return Ok(Expr::Literal(Datum::Int(i64::from(n)), Kind::Int.into()));
    }
    let (digits, scale) = number::parse(text).ok_or_else(|| SqlError::syntax(text))?;
    let count = u8::try_from(digits.to_string().len()).unwrap_or(38).max(scale).max(1);
    Ok(Expr::Literal(Datum::Decimal(digits, scale), Kind::Decimal(count.min(38), scale).into()))
}
