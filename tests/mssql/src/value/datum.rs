//! One value.

use std::sync::Arc;

use super::data_type::Type;

/// A value; its type says how to read it.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// No value, of any type.
    Null,
    /// bit
    Bit(bool),
    /// tinyint to bigint
    Int(i64),
    /// decimal: the digits, and how many of them stand behind the point
    Decimal(i128, u8),
    /// money and smallmoney, in ten-thousandths
    Money(i64),
    /// float
    Float(f64),
    /// real
    Real(f32),
    /// text and xml, as UTF-16, which may hold unpaired surrogates
    Text(Arc<[u16]>),
    /// binary, rowversion, and the CLR's types in their own form
    Bytes(Arc<[u8]>),
    /// date: days since 0001-01-01
    Date(i32),
    /// time, in units of 100 ns
    Time(u64),
    /// datetime: days since 1900-01-01, and units of 1/300 s
    DateTime(i32, u32),
    /// smalldatetime: days since 1900-01-01, and minutes
    SmallDateTime(u16, u16),
    /// datetime2: days since 0001-01-01, and units of 100 ns
    DateTime2(i32, u64),
    /// datetimeoffset: days and units of 100 ns in UTC, and the offset in minutes
    DateTimeOffset(i32, u64, i16),
    /// uniqueidentifier, in the order of the wire
    Guid([u8; 16]),
    /// sql_variant: a value with its own type
    Variant(Arc<(Type, Datum)>),
}

impl Datum {
    /// A text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.encode_utf16().collect())
    }

    /// Bytes.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.into())
    }

    /// The text, with unpaired surrogates replaced.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Text(units) => Some(String::from_utf16_lossy(units)),
            _ => None,
        }
    }

    /// The whole number.
    pub fn to_int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            Self::Bit(b) => Some(i64::from(*b)),
            _ => None,
        }
    }

    /// Is there no value?
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl From<i64> for Datum {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl<T: Into<Datum>> From<Option<T>> for Datum {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<bool> for Datum {
    fn from(b: bool) -> Self {
        Self::Bit(b)
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}
