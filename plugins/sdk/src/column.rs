//! Columns as they cross the boundary: reading single values out of a [`Vector`], and building one.

use std::borrow::Cow;

use crate::{DataType, Strings, Values, Vector};

/// A bitmap, least significant bit first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    bytes: Vec<u8>,
    rows: usize,
}

impl Bitmap {
    /// `rows` bits, all of them `value`.
    pub fn filled(rows: usize, value: bool) -> Self {
        let mut bytes = vec![if value { 0xff } else { 0 }; rows.div_ceil(8)];
        if value
            && !rows.is_multiple_of(8)
            && let Some(last) = bytes.last_mut()
        {
            *last = 0xff >> (8 - rows % 8);
        }
        Self { bytes, rows }
    }

    /// The bit of row `i`; false past the end.
    #[inline]
    pub fn get(&self, i: usize) -> bool {
        bit(&self.bytes, i)
    }

    /// Sets the bit of row `i`, growing the bitmap when needed.
    #[inline]
    pub fn set(&mut self, i: usize, value: bool) {
        if i >= self.rows {
            self.rows = i + 1;
            self.bytes.resize(self.rows.div_ceil(8), 0);
        }
        if let Some(byte) = self.bytes.get_mut(i >> 3) {
            let mask = 1 << (i & 7);
            if value { *byte |= mask } else { *byte &= !mask }
        }
    }

    /// The bytes, `rows / 8` rounded up.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[inline]
fn bit(bytes: &[u8], i: usize) -> bool {
    bytes.get(i >> 3).is_some_and(|byte| byte >> (i & 7) & 1 == 1)
}

/// Whether row `i` of the column is null.
#[inline]
pub fn null_at(column: &Vector, i: usize) -> bool {
    bit(&column.nulls, i)
}

/// The bytes of row `i`; empty past the end.
#[inline]
pub fn text_at(strings: &Strings, i: usize) -> &[u8] {
    match (strings.offsets.get(i), strings.offsets.get(i + 1)) {
        (Some(&start), Some(&end)) => strings.data.get(start as usize..end as usize).unwrap_or_default(),
        _ => &[],
    }
}

/// Whether values of this type travel as UTF-8 text.
pub fn is_textual(data_type: DataType) -> bool {
    !matches!(data_type, DataType::Boolean | DataType::Int64 | DataType::Uint64 | DataType::Float32 | DataType::Float64 | DataType::Bytes)
}

/// The type's name, as it stands in the interface.
pub fn type_name(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "boolean",
        DataType::Int64 => "int64",
        DataType::Uint64 => "uint64",
        DataType::Float32 => "float32",
        DataType::Float64 => "float64",
        DataType::Decimal => "decimal",
        DataType::Text => "text",
        DataType::Bytes => "bytes",
        DataType::Date => "date",
        DataType::Time => "time",
        DataType::Datetime => "datetime",
        DataType::Timestamp => "timestamp",
        DataType::Json => "json",
    }
}

/// A single value. Text also carries decimals, dates, times and JSON, in the forms that [`DataType`] describes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A floating-point number; narrowed for a `float32` column.
    Float(f64),
    /// Text, and everything that travels as text.
    Text(Cow<'a, str>),
    /// Raw bytes.
    Bytes(Cow<'a, [u8]>),
}

macro_rules! value_from {
    ($($from:ty => $into:expr),+ $(,)?) => {
        $(impl<'a> From<$from> for Value<'a> {
            fn from(value: $from) -> Self {
                $into(value)
            }
        })+
    };
}

value_from! {
    bool => Value::Bool,
    i64 => Value::Int,
    i32 => |v| Value::Int(i64::from(v)),
    u64 => Value::UInt,
    u32 => |v| Value::UInt(u64::from(v)),
    f64 => Value::Float,
    f32 => |v| Value::Float(f64::from(v)),
    &'a str => |v| Value::Text(Cow::Borrowed(v)),
    String => |v| Value::Text(Cow::Owned(v)),
    Cow<'a, str> => Value::Text,
    &'a [u8] => |v| Value::Bytes(Cow::Borrowed(v)),
    Vec<u8> => |v| Value::Bytes(Cow::Owned(v)),
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

impl Value<'_> {
    /// The value's kind in words; never the value.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::UInt(_) => "an unsigned integer",
            Value::Float(_) => "a float",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
        }
    }
}

impl Vector {
    /// The value of row `i`; `Null` past the end, and for text that is not UTF-8 (which the host does not send).
    pub fn value(&self, i: usize) -> Value<'_> {
        if null_at(self, i) {
            return Value::Null;
        }
        match &self.values {
            Values::Booleans(v) => v.get(i).map(|b| *b != 0).into(),
            Values::Int64s(v) => v.get(i).copied().into(),
            Values::Uint64s(v) => v.get(i).copied().into(),
            Values::Float32s(v) => v.get(i).copied().into(),
            Values::Float64s(v) => v.get(i).copied().into(),
            Values::Texts(v) => std::str::from_utf8(text_at(v, i)).ok().into(),
            Values::Bytes(v) => text_at(v, i).into(),
        }
    }
}

/// The value does not fit the column's type; carries the kind of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongKind(pub &'static str);

/// Builds a column row by row.
#[derive(Clone, Debug)]
pub struct ColumnBuilder {
    values: Values,
    nulls: Vec<u8>,
    rows: usize,
}

impl ColumnBuilder {
    /// An empty column of `data_type`, with room for `rows` rows.
    pub fn new(data_type: DataType, rows: usize) -> Self {
        let strings = || {
            let mut offsets = Vec::with_capacity(rows + 1);
            offsets.push(0);
            Strings { offsets, data: Vec::new() }
        };
        let values = match data_type {
            DataType::Boolean => Values::Booleans(Vec::with_capacity(rows)),
            DataType::Int64 => Values::Int64s(Vec::with_capacity(rows)),
            DataType::Uint64 => Values::Uint64s(Vec::with_capacity(rows)),
            DataType::Float32 => Values::Float32s(Vec::with_capacity(rows)),
            DataType::Float64 => Values::Float64s(Vec::with_capacity(rows)),
            DataType::Bytes => Values::Bytes(strings()),
            _ => Values::Texts(strings()),
        };
        Self { values, nulls: Vec::new(), rows: 0 }
    }

    /// Appends a row. Integers change signedness when the value fits; nothing else is converted.
    pub fn push<'a>(&mut self, value: impl Into<Value<'a>>) -> Result<(), WrongKind> {
        let value = value.into();
        match (&mut self.values, &value) {
            (_, Value::Null) => {
                self.push_null();
                return Ok(());
            }
            (Values::Booleans(column), Value::Bool(v)) => column.push(u8::from(*v)),
            (Values::Int64s(column), Value::Int(v)) => column.push(*v),
            (Values::Int64s(column), Value::UInt(v)) => {
                column.push(i64::try_from(*v).map_err(|_| WrongKind("an unsigned integer beyond int64"))?);
            }
            (Values::Uint64s(column), Value::UInt(v)) => column.push(*v),
            (Values::Uint64s(column), Value::Int(v)) => {
                column.push(u64::try_from(*v).map_err(|_| WrongKind("a negative integer"))?);
            }
            (Values::Float32s(column), Value::Float(v)) => column.push(*v as f32),
            (Values::Float64s(column), Value::Float(v)) => column.push(*v),
            (Values::Texts(column), Value::Text(v)) => append(column, v.as_bytes()),
            (Values::Bytes(column), Value::Bytes(v)) => append(column, v),
            _ => return Err(WrongKind(value.kind())),
        }
        self.rows += 1;
        Ok(())
    }

    /// Appends a null.
    pub fn push_null(&mut self) {
        let (byte, mask) = (self.rows >> 3, 1 << (self.rows & 7));
        if self.nulls.len() <= byte {
            self.nulls.resize(byte + 1, 0);
        }
        if let Some(last) = self.nulls.get_mut(byte) {
            *last |= mask;
        }
        match &mut self.values {
            Values::Booleans(v) => v.push(0),
            Values::Int64s(v) => v.push(0),
            Values::Uint64s(v) => v.push(0),
            Values::Float32s(v) => v.push(0.0),
            Values::Float64s(v) => v.push(0.0),
            Values::Texts(v) | Values::Bytes(v) => append(v, &[]),
        }
        self.rows += 1;
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows yet.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The column.
    pub fn finish(mut self) -> Vector {
        if !self.nulls.is_empty() {
            self.nulls.resize(self.rows.div_ceil(8), 0);
        }
        Vector { values: self.values, nulls: self.nulls }
    }
}

#[inline]
fn append(strings: &mut Strings, value: &[u8]) {
    strings.data.extend_from_slice(value);
    strings.offsets.push(strings.data.len() as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bitmap_has_no_bits_past_its_rows() {
        assert_eq!(Bitmap::filled(11, true).into_bytes(), [0xff, 0b111]);
        assert_eq!(Bitmap::filled(8, true).into_bytes(), [0xff]);
        assert_eq!(Bitmap::filled(0, true).into_bytes(), [0u8; 0]);
    }

    #[test]
    fn a_built_column_reads_back() {
        let mut column = ColumnBuilder::new(DataType::Decimal, 3);
        column.push("1.50").unwrap();
        column.push(Value::Null).unwrap();
        column.push("").unwrap();
        let column = column.finish();
        assert_eq!((0..3).map(|i| column.value(i)).collect::<Vec<_>>(), ["1.50".into(), Value::Null, "".into()]);
        assert_eq!(column.nulls, [0b10]);
    }

    #[test]
    fn integers_change_signedness_only_when_they_fit() {
        let mut column = ColumnBuilder::new(DataType::Uint64, 1);
        assert_eq!(column.push(-1i64), Err(WrongKind("a negative integer")));
        assert_eq!(column.push(7i64), Ok(()));
        assert_eq!(column.push("7"), Err(WrongKind("text")));
        assert_eq!(column.len(), 1);
        let mut column = ColumnBuilder::new(DataType::Int64, 1);
        assert_eq!(column.push(u64::MAX), Err(WrongKind("an unsigned integer beyond int64")));
    }
}
