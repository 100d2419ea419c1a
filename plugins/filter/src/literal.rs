//! Literals of a condition.

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
    /// A number from its digits, with a sign, a fraction and an exponent if it has them.
    pub fn number(text: &str) -> Result<Self, String> {
        let parsed = Decimal::parse(text).zip(text.parse::<f64>().ok()).map(|(exact, float)| Literal::Number(exact, float));
        parsed.ok_or_else(|| format!("`{text}` is out of range for a number"))
    }

    /// Bytes from hexadecimal digits.
    pub fn hexadecimal(digits: &str) -> Result<Self, String> {
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
