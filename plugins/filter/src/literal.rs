//! Literals of a condition.

use crate::decimal::Decimal;

/// Digits of a decimal, at most, as MySQL and MariaDB have them.
const MOST_DIGITS: usize = 65;
/// Digits behind its point.
const MOST_FRACTION: usize = 30;

/// A literal as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `NULL`.
    Null,
    /// `TRUE`, `FALSE`.
    Bool(bool),
    /// `-12.50`: exact, and as the nearest double.
    Number(Decimal, f64),
    /// `1.5e3`: a double, as for the server. What is compared with it is compared as a double.
    Double(f64),
    /// `'text'`.
    Text(String),
    /// `DATE '2024-02-29'`, also of `TIME` and `TIMESTAMP`.
    Temporal(String),
    /// `X'00ff'`.
    Bytes(Vec<u8>),
}

impl Literal {
    /// A number from its digits, with a sign, a fraction and an exponent if it has them.
    pub fn number(text: &str) -> Result<Self, String> {
        let out_of_range = || format!("`{text}` is out of range for a number");
        let float = text.parse::<f64>().ok().filter(|float| float.is_finite()).ok_or_else(out_of_range)?;
        if text.contains(['e', 'E']) {
            return Ok(Literal::Double(float));
        }
        let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
        if digits(text) > MOST_DIGITS || text.split_once('.').is_some_and(|(_, fraction)| digits(fraction) > MOST_FRACTION) {
            return Err(format!(
                "`{text}` has more digits than a decimal of the server: at most {MOST_DIGITS}, {MOST_FRACTION} of them behind the point"
            ));
        }
        Decimal::parse(text).map(|exact| Literal::Number(exact, float)).ok_or_else(out_of_range)
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
            Literal::Number(..) | Literal::Double(_) => "a number",
            Literal::Text(_) => "a text",
            Literal::Temporal(_) => "a date or time",
            Literal::Bytes(_) => "bytes",
        }
    }
}
