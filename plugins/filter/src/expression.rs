//! The grammar of conditions, over the tokens of sqlparser's MySQL dialect.
//!
//! Only the tokenizer of that crate is used: its parser reaches all of SQL from any expression, which made the component ten
//! times as large and its compilation by the host take seconds and a hundred megabytes.

use std::fmt;

use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::{dialect::MySqlTokens, literal::Literal};

/// Longest condition, in bytes.
const MAX_TEXT: usize = 64 << 10;
/// Deepest nesting of parentheses and NOTs; chains of AND or OR are flat.
const MAX_DEPTH: usize = 32;

/// A parsed expression with its own text, for messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    text: String,
    /// What it is.
    pub kind: Kind,
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How two operands are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`.
    Equal,
    /// `<=>`.
    NullSafeEqual,
    /// `<>`, `!=`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A column, perhaps with its table's name.
    Column(Option<String>, String),
    /// A literal.
    Literal(Literal),
    /// `NOT`.
    Not(Box<Expression>),
    /// `AND`, two or more.
    And(Vec<Expression>),
    /// `OR`, two or more.
    Or(Vec<Expression>),
    /// A comparison.
    Compare(Box<Expression>, Operator, Box<Expression>),
    /// `IS NULL`.
    IsNull(Box<Expression>),
    /// `IS TRUE`, `IS FALSE`, `IS UNKNOWN`.
    Is(Box<Expression>, Option<bool>),
    /// `BETWEEN`.
    Between(Box<Expression>, Box<Expression>, Box<Expression>),
    /// `IN (…)`.
    InList(Box<Expression>, Vec<Expression>),
    /// `LIKE … ESCAPE …`.
    Like(Box<Expression>, Box<Expression>, Option<Box<Expression>>),
}

/// Parses a condition, without looking at a table.
pub fn parse(text: &str) -> Result<Expression, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("it is {} bytes long; at most {MAX_TEXT} are read", text.len()));
    }
    let no_condition = |error: String| format!("`{text}` is no SQL condition: {error}");
    let tokens = Tokenizer::new(&MySqlTokens, text).tokenize_with_location().map_err(|error| no_condition(error.to_string()))?;
    let tokens = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let mut parser = Parser { text, tokens, next: 0, depth: 0 };
    let expression = parser.any().map_err(no_condition)?;
    match parser.peek() {
        None => Ok(expression),
        Some(Token::SemiColon) => Err(format!("`{text}` goes on after the condition, at `;`; write a condition only")),
        Some(Token::RParen) => Err(no_condition("a parenthesis is closed that was not opened".into())),
        Some(token) => Err(no_condition(unsupported(&token.to_string()))),
    }
}

fn unsupported(what: &str) -> String {
    format!(
        "`{what}` is not supported here; a condition compares columns with literals (=, <>, <, <=, >, >=, IN, LIKE, BETWEEN, IS NULL) \
         and joins that with AND, OR, NOT"
    )
}

/// Words that are never the name of a column unless quoted.
const RESERVED: [&str; 16] =
    ["AND", "OR", "NOT", "IN", "IS", "LIKE", "BETWEEN", "NULL", "TRUE", "FALSE", "SELECT", "CASE", "ESCAPE", "EXISTS", "INTERVAL", "XOR"];

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<TokenWithSpan>,
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|token| &token.token).filter(|token| **token != Token::EOF)
    }

    /// Whether an unquoted word comes next.
    fn is_word(&self, ahead: usize, wanted: &str) -> bool {
        matches!(self.tokens.get(self.next + ahead).map(|token| &token.token),
            Some(Token::Word(word)) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = self.is_word(0, wanted);
        self.next += usize::from(found);
        found
    }

    fn take(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == Some(wanted);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), String> {
        if self.take(wanted) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(token) => format!("`{wanted}` is missing before `{token}`"),
            None => format!("`{wanted}` is missing at the end"),
        })
    }

    /// The expression that began at token `start`.
    fn node(&self, start: usize, kind: Kind) -> Expression {
        let place = |index: usize, end: bool| self.tokens.get(index).map(|token| if end { token.span.end } else { token.span.start });
        let begin = place(start, false).map_or(0, |location| self.offset(location));
        let end = place(self.next.saturating_sub(1), true).map_or(self.text.len(), |location| self.offset(location));
        Expression { text: self.text.get(begin..end).unwrap_or(self.text).to_string(), kind }
    }

    /// The byte at a line and column, both counted from one in characters.
    fn offset(&self, location: Location) -> usize {
        let line_start: usize = self.text.split_inclusive('\n').take(location.line.saturating_sub(1) as usize).map(str::len).sum();
        let line = self.text.get(line_start..).unwrap_or_default();
        let column = location.column.saturating_sub(1) as usize;
        line_start + line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.depth >= MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn any(&mut self) -> Result<Expression, String> {
        self.chain("OR", Kind::Or, |parser| parser.chain("AND", Kind::And, Self::negation))
    }

    fn chain(
        &mut self,
        word: &str,
        join: fn(Vec<Expression>) -> Kind,
        part: impl Fn(&mut Self) -> Result<Expression, String>,
    ) -> Result<Expression, String> {
        let start = self.next;
        let first = part(self)?;
        if !self.is_word(0, word) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_word(word) {
            parts.push(part(self)?);
        }
        Ok(self.node(start, join(parts)))
    }

    fn negation(&mut self) -> Result<Expression, String> {
        let start = self.next;
        if self.take_word("NOT") || self.take(&Token::ExclamationMark) {
            let inner = self.deeper(Self::negation)?;
            return Ok(self.node(start, Kind::Not(Box::new(inner))));
        }
        self.predicate()
    }

    fn predicate(&mut self) -> Result<Expression, String> {
        let start = self.next;
        let mut left = self.operand()?;
        loop {
            let operator = match self.peek() {
                Some(Token::Eq) => Some(Operator::Equal),
                Some(Token::Spaceship) => Some(Operator::NullSafeEqual),
                Some(Token::Neq) => Some(Operator::NotEqual),
                Some(Token::Lt) => Some(Operator::Less),
                Some(Token::LtEq) => Some(Operator::LessOrEqual),
                Some(Token::Gt) => Some(Operator::Greater),
                Some(Token::GtEq) => Some(Operator::GreaterOrEqual),
                _ => None,
            };
            if let Some(operator) = operator {
                self.next += 1;
                let right = self.operand()?;
                left = self.node(start, Kind::Compare(Box::new(left), operator, Box::new(right)));
                continue;
            }
            if self.take_word("IS") {
                let negated = self.take_word("NOT");
                let left_kind = |left| match () {
                    () if self.is_word(0, "NULL") => Some(Kind::IsNull(left)),
                    () if self.is_word(0, "TRUE") => Some(Kind::Is(left, Some(true))),
                    () if self.is_word(0, "FALSE") => Some(Kind::Is(left, Some(false))),
                    () if self.is_word(0, "UNKNOWN") => Some(Kind::Is(left, None)),
                    () => None,
                };
                let kind = left_kind(Box::new(left)).ok_or("after IS comes NULL, TRUE, FALSE or UNKNOWN")?;
                self.next += 1;
                left = self.negated(start, kind, negated);
                continue;
            }
            let negated = self.is_word(0, "NOT") && ["IN", "BETWEEN", "LIKE"].iter().any(|word| self.is_word(1, word));
            self.next += usize::from(negated);
            let kind = if self.take_word("IN") {
                self.list(left)?
            } else if self.take_word("BETWEEN") {
                let low = self.operand()?;
                if !self.take_word("AND") {
                    return Err("BETWEEN needs AND and a second bound".into());
                }
                Kind::Between(Box::new(left), Box::new(low), Box::new(self.operand()?))
            } else if self.take_word("LIKE") {
                let pattern = Box::new(self.operand()?);
                let escape = if self.take_word("ESCAPE") { Some(Box::new(self.operand()?)) } else { None };
                Kind::Like(Box::new(left), pattern, escape)
            } else {
                return Ok(left);
            };
            left = self.negated(start, kind, negated);
        }
    }

    fn negated(&self, start: usize, kind: Kind, negated: bool) -> Expression {
        let inner = self.node(start, kind);
        if negated { self.node(start, Kind::Not(Box::new(inner))) } else { inner }
    }

    fn list(&mut self, left: Expression) -> Result<Kind, String> {
        self.expect(&Token::LParen)?;
        let mut items = vec![self.operand()?];
        while self.take(&Token::Comma) {
            items.push(self.operand()?);
        }
        self.expect(&Token::RParen)?;
        Ok(Kind::InList(Box::new(left), items))
    }

    /// A literal, a column, or an expression in parentheses.
    fn operand(&mut self) -> Result<Expression, String> {
        let start = self.next;
        let token = self.peek().cloned().ok_or("something is missing at the end")?;
        self.next += 1;
        let kind = match token {
            Token::LParen => {
                let inner = self.deeper(Self::any)?;
                self.expect(&Token::RParen)?;
                return Ok(self.node(start, inner.kind));
            }
            Token::Minus | Token::Plus => match self.peek().cloned() {
                Some(Token::Number(digits, _)) => {
                    self.next += 1;
                    Kind::Literal(Literal::number(&format!("{}{digits}", if token == Token::Minus { "-" } else { "" }))?)
                }
                _ => return Err(unsupported(&token.to_string())),
            },
            Token::Number(digits, _) => Kind::Literal(Literal::number(&digits)?),
            Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) | Token::NationalStringLiteral(text) => {
                Kind::Literal(Literal::Text(text))
            }
            Token::HexStringLiteral(digits) => Kind::Literal(Literal::hexadecimal(&digits)?),
            Token::Word(word) if word.quote_style.is_none() => {
                let upper = word.value.to_ascii_uppercase();
                match (upper.as_str(), self.peek().cloned()) {
                    ("TRUE", _) => Kind::Literal(Literal::Bool(true)),
                    ("FALSE", _) => Kind::Literal(Literal::Bool(false)),
                    ("NULL", _) => Kind::Literal(Literal::Null),
                    ("DATE" | "TIME" | "TIMESTAMP" | "DATETIME", Some(Token::SingleQuotedString(text))) => {
                        self.next += 1;
                        Kind::Literal(Literal::Text(text))
                    }
                    (_, Some(Token::LParen)) => return Err(unsupported(&format!("{}(…)", word.value))),
                    (reserved, _) if RESERVED.contains(&reserved) => return Err(unsupported(&word.value)),
                    _ => self.column(word.value)?,
                }
            }
            Token::Word(word) => self.column(word.value)?,
            other => return Err(unsupported(&other.to_string())),
        };
        Ok(self.node(start, kind))
    }

    /// A column whose first name was read.
    fn column(&mut self, first: String) -> Result<Kind, String> {
        if !self.take(&Token::Period) {
            return Ok(Kind::Column(None, first));
        }
        match self.peek().cloned() {
            Some(Token::Word(second)) => {
                self.next += 1;
                Ok(Kind::Column(Some(first), second.value))
            }
            _ => Err(format!("`{first}.` lacks the name of a column")),
        }
    }
}
