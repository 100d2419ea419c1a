//! Conditions, as sqlparser reads them in MySQL's dialect, reduced to the part of SQL that can be judged on one row.

use std::fmt;

use sqlparser::{
    ast::{BinaryOperator, DataType, Expr, UnaryOperator, Value},
    dialect::MySqlDialect,
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Token, Tokenizer},
};

use crate::literal::Literal;

/// Longest condition, in bytes.
const MAX_TEXT: usize = 64 << 10;
/// Deepest nesting of expressions, as sqlparser counts it.
const MAX_DEPTH: usize = 50;
/// Most operators in a condition: the parser's tree of a chain of ANDs, say, is as deep as it is long.
const MAX_OPERATORS: usize = 1000;

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

impl Expression {
    /// The names of the columns in it, each once.
    pub fn columns(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.visit(&mut |name| {
            if !names.contains(&name) {
                names.push(name);
            }
        });
        names
    }

    fn visit<'a>(&'a self, seen: &mut impl FnMut(&'a str)) {
        match &self.kind {
            Kind::Column(_, name) => seen(name),
            Kind::Literal(_) => {}
            Kind::Not(inner) | Kind::IsNull(inner) | Kind::Is(inner, _) => inner.visit(seen),
            Kind::And(parts) | Kind::Or(parts) => parts.iter().for_each(|part| part.visit(seen)),
            Kind::Compare(left, _, right) => [left, right].into_iter().for_each(|part| part.visit(seen)),
            Kind::Between(inner, low, high) => [inner, low, high].into_iter().for_each(|part| part.visit(seen)),
            Kind::InList(inner, list) => {
                inner.visit(seen);
                list.iter().for_each(|part| part.visit(seen));
            }
            Kind::Like(inner, pattern, escape) => {
                inner.visit(seen);
                pattern.visit(seen);
                escape.iter().for_each(|part| part.visit(seen));
            }
        }
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
    let shown = text.char_indices().nth(200).map_or(text.to_string(), |(end, _)| format!("{}…", text.get(..end).unwrap_or_default()));
    let no_condition = |error: String| format!("`{shown}` is no SQL condition: {error}");
    let told = |error| match error {
        ParserError::RecursionLimitExceeded => no_condition(format!("it is nested more than {MAX_DEPTH} deep")),
        ParserError::TokenizerError(error) | ParserError::ParserError(error) => no_condition(error),
    };
    let tokens = Tokenizer::new(&MySqlDialect {}, text).tokenize_with_location().map_err(|error| no_condition(error.to_string()))?;
    if tokens.iter().filter(|token| joins(&token.token)).count() > MAX_OPERATORS {
        return Err(no_condition(format!("it has more than {MAX_OPERATORS} operators; use IN")));
    }
    let mut parser = Parser::new(&MySqlDialect {}).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(tokens);
    // never dropped: that would be all of SQL's drop code again, a tenth of the component; a tree is a few times as large as its text
    let parsed = match parser.parse_expr() {
        Ok(parsed) => std::mem::ManuallyDrop::new(parsed),
        Err(error) => return Err(told(error)),
    };
    match parser.peek_token().token {
        Token::EOF => reduce(&parsed).map_err(no_condition),
        Token::SemiColon => Err(format!("`{shown}` goes on after the condition, at `;`; write a condition only")),
        Token::RParen => Err(no_condition("a parenthesis is closed that was not opened".into())),
        token => Err(no_condition(unsupported(&token.to_string()))),
    }
}

/// Words that take an expression on their left.
const OPERATORS: [Keyword; 14] = [
    Keyword::AND,
    Keyword::OR,
    Keyword::XOR,
    Keyword::NOT,
    Keyword::IS,
    Keyword::IN,
    Keyword::BETWEEN,
    Keyword::LIKE,
    Keyword::RLIKE,
    Keyword::REGEXP,
    Keyword::DIV,
    Keyword::COLLATE,
    Keyword::AT,
    Keyword::MEMBER,
];

/// Whether a token may make the parser's tree deeper, other than by recursion.
fn joins(token: &Token) -> bool {
    match token {
        Token::Word(word) => OPERATORS.contains(&word.keyword),
        Token::Comma | Token::LParen | Token::RParen | Token::Period | Token::Whitespace(_) | Token::Number(..) => false,
        Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) | Token::NationalStringLiteral(_) | Token::HexStringLiteral(_) => false,
        _ => true,
    }
}

fn unsupported(what: &str) -> String {
    format!(
        "`{what}` is not supported here; a condition compares columns with literals (=, <>, <, <=, >, >=, IN, LIKE, BETWEEN, IS NULL) \
         and joins that with AND, OR, NOT"
    )
}

fn boxed(expr: &Expr) -> Result<Box<Expression>, String> {
    reduce(expr).map(Box::new)
}

/// What of SQL can be judged on one row.
fn reduce(expr: &Expr) -> Result<Expression, String> {
    let kind = match expr {
        Expr::Nested(inner) => return reduce(inner),
        Expr::Identifier(name) => Kind::Column(None, name.value.clone()),
        Expr::CompoundIdentifier(names) => match names.as_slice() {
            [table, column] => Kind::Column(Some(table.value.clone()), column.value.clone()),
            _ => return Err(unsupported(&expr.to_string())),
        },
        Expr::Value(value) => Kind::Literal(literal(&value.value)?),
        Expr::TypedString(typed) if is_temporal(&typed.data_type) => match literal(&typed.value.value)? {
            Literal::Text(text) => Kind::Literal(Literal::Temporal(text)),
            _ => return Err(unsupported(&expr.to_string())),
        },
        Expr::UnaryOp { op: UnaryOperator::Not | UnaryOperator::BangNot, expr } => Kind::Not(boxed(expr)?),
        Expr::UnaryOp { op: sign @ (UnaryOperator::Minus | UnaryOperator::Plus), expr: operand } => match &**operand {
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => {
                    Kind::Literal(Literal::number(&format!("{}{digits}", if *sign == UnaryOperator::Minus { "-" } else { "" }))?)
                }
                _ => return Err(unsupported(&expr.to_string())),
            },
            _ => return Err(unsupported(&expr.to_string())),
        },
        Expr::BinaryOp { left, op, right } => match comparison(op) {
            Some(operator) => Kind::Compare(boxed(left)?, operator, boxed(right)?),
            None => match op {
                BinaryOperator::And => return chain(expr, op, Kind::And),
                BinaryOperator::Or => return chain(expr, op, Kind::Or),
                _ => return Err(unsupported(&op.to_string())),
            },
        },
        Expr::IsNull(operand) => Kind::IsNull(boxed(operand)?),
        Expr::IsTrue(operand) => Kind::Is(boxed(operand)?, Some(true)),
        Expr::IsFalse(operand) => Kind::Is(boxed(operand)?, Some(false)),
        Expr::IsUnknown(operand) => Kind::Is(boxed(operand)?, None),
        Expr::IsNotNull(operand) => negated(true, expr, Kind::IsNull(boxed(operand)?)),
        Expr::IsNotTrue(operand) => negated(true, expr, Kind::Is(boxed(operand)?, Some(true))),
        Expr::IsNotFalse(operand) => negated(true, expr, Kind::Is(boxed(operand)?, Some(false))),
        Expr::IsNotUnknown(operand) => negated(true, expr, Kind::Is(boxed(operand)?, None)),
        Expr::Between { expr: operand, negated: not, low, high } => {
            negated(*not, expr, Kind::Between(boxed(operand)?, boxed(low)?, boxed(high)?))
        }
        Expr::InList { expr: operand, list, negated: not } => {
            let items = list.iter().map(reduce).collect::<Result<Vec<_>, _>>()?;
            if items.is_empty() {
                return Err("IN needs at least one literal".into());
            }
            negated(*not, expr, Kind::InList(boxed(operand)?, items))
        }
        Expr::Like { negated: not, any: false, expr: operand, pattern, escape_char } => {
            let escape = escape_char.as_deref().map(boxed);
            negated(*not, expr, Kind::Like(boxed(operand)?, boxed(pattern)?, escape.transpose()?))
        }
        Expr::InSubquery { .. } | Expr::Subquery(_) | Expr::Exists { .. } => return Err(unsupported("SELECT")),
        Expr::Function(function) => return Err(unsupported(&format!("{}(…)", function.name))),
        Expr::RLike { regexp, .. } => return Err(unsupported(if *regexp { "REGEXP" } else { "RLIKE" })),
        _ => return Err(unsupported(&expr.to_string())),
    };
    Ok(Expression { text: expr.to_string(), kind })
}

/// `NOT` around a predicate that is written with it inside.
fn negated(not: bool, expr: &Expr, kind: Kind) -> Kind {
    if not { Kind::Not(Box::new(Expression { text: expr.to_string(), kind })) } else { kind }
}

/// A chain of one operator. The tree leans left, as deep as the chain is long: it is walked in a loop, and never displayed as a whole.
fn chain(expr: &Expr, of: &BinaryOperator, join: fn(Vec<Expression>) -> Kind) -> Result<Expression, String> {
    let mut parts = Vec::new();
    let mut rest = expr;
    while let Expr::BinaryOp { left, op, right } = rest {
        if op != of {
            break;
        }
        parts.push(reduce(right)?);
        rest = left;
    }
    parts.push(reduce(rest)?);
    parts.reverse();
    let text = parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(&format!(" {of} "));
    Ok(Expression { text, kind: join(parts) })
}

fn comparison(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Eq => Operator::Equal,
        BinaryOperator::Spaceship => Operator::NullSafeEqual,
        BinaryOperator::NotEq => Operator::NotEqual,
        BinaryOperator::Lt => Operator::Less,
        BinaryOperator::LtEq => Operator::LessOrEqual,
        BinaryOperator::Gt => Operator::Greater,
        BinaryOperator::GtEq => Operator::GreaterOrEqual,
        _ => return None,
    })
}

/// `DATE '2024-02-29'`.
fn is_temporal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date | DataType::Time(..) | DataType::Datetime(_) | DataType::Timestamp(..))
}

fn literal(value: &Value) -> Result<Literal, String> {
    Ok(match value {
        Value::Number(digits, _) => Literal::number(digits)?,
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) | Value::NationalStringLiteral(text) => {
            Literal::Text(text.clone())
        }
        Value::HexStringLiteral(digits) => Literal::hexadecimal(digits)?,
        Value::Boolean(value) => Literal::Bool(*value),
        Value::Null => Literal::Null,
        other => return Err(unsupported(&other.to_string())),
    })
}
