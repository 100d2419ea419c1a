//! Literals of a condition.

use sqlparser::ast::{DataType as SqlType, Expr, TypedString, UnaryOperator, Value};

use crate::decimal::Decimal;

/// A literal as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `NULL`.
    Null,
    /// `TRUE`, `FALSE`.
    Bool(bool),
    /// `-12.50`: exact, and as the nearest double.
    Number(Decimal, f64),
    /// `'text'`, also `DATE '2024-02-29'`.
    Text(String),
    /// `X'00ff'`.
    Bytes(Vec<u8>),
}

impl Literal {
    /// The literal that an expression is; `None` when it is something else.
    pub fn of(expression: &Expr) -> Option<Result<Self, String>> {
        match expression {
            Expr::Nested(inner) => Self::of(inner),
            Expr::UnaryOp { op: UnaryOperator::Plus, expr } => Self::number(expr, ""),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Self::number(expr, "-"),
            Expr::Value(value) => match &value.value {
                Value::Number(..) => Self::number(expression, ""),
                Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) | Value::NationalStringLiteral(text) => {
                    Some(Ok(Literal::Text(text.clone())))
                }
                Value::HexStringLiteral(digits) => Some(bytes(digits)),
                Value::Boolean(value) => Some(Ok(Literal::Bool(*value))),
                Value::Null => Some(Ok(Literal::Null)),
                _ => Some(Err(format!("`{expression}` is no literal that is understood here"))),
            },
            Expr::TypedString(TypedString { data_type, value, .. }) => Some(match (data_type, value.clone().into_string()) {
                (SqlType::Date | SqlType::Time(..) | SqlType::Timestamp(..) | SqlType::Datetime(..), Some(text)) => Ok(Literal::Text(text)),
                _ => Err(format!("`{expression}` is no literal that is understood here")),
            }),
            _ => None,
        }
    }

    fn number(expression: &Expr, sign: &str) -> Option<Result<Self, String>> {
        let Expr::Value(value) = expression else { return None };
        let Value::Number(text, _) = &value.value else { return None };
        let text = format!("{sign}{text}");
        let parsed = Decimal::parse(&text).zip(text.parse::<f64>().ok()).map(|(exact, float)| Literal::Number(exact, float));
        Some(parsed.ok_or_else(|| format!("`{text}` is out of range for a number")))
    }

    /// What kind of literal it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Literal::Null => "NULL",
            Literal::Bool(_) => "a boolean",
            Literal::Number(..) => "a number",
            Literal::Text(_) => "a text",
            Literal::Bytes(_) => "bytes",
        }
    }
}

fn bytes(digits: &str) -> Result<Literal, String> {
    let bad = || format!("`X'{digits}'` is no hexadecimal literal; it needs an even number of digits 0-9, a-f");
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let pairs = digits.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(bad());
    }
    let bytes = pairs.map(|pair| match pair {
        [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
        _ => None,
    });
    bytes.collect::<Option<Vec<u8>>>().map(Literal::Bytes).ok_or_else(bad)
}
