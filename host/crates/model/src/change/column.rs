//! Columns of values: flat vectors for fixed widths, one offsets list and one data list for text and bytes, a bitmap for
//! nulls. This is the form that crosses into a plugin, so nothing is converted on the way.
//!
//! A value may also be absent: the source did not send it. That is not NULL, and nobody may take it for NULL. An absent value
//! is marked in both bitmaps, so that code which finds no null has no absent value to look for; the second bitmap stays
//! without memory until a value is absent.

use super::DataType;

/// Variable-width values: row `i` is `data[offsets[i]..offsets[i + 1]]`, and `offsets` has one entry more than rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strings {
    /// Ends of the rows, with a leading zero. A batch is bounded well below 4 GiB (see [`crate::limits`]).
    pub offsets: Vec<u32>,
    /// All rows' bytes, one after the other.
    pub data: Vec<u8>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { offsets: vec![0], data: Vec::new() }
    }
}

impl Strings {
    /// Rows held.
    #[inline]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no rows.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of row `i`.
    #[inline]
    pub fn get(&self, i: usize) -> &[u8] {
        &self.data[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }

    /// Forgets all rows from number `rows` on, and bytes of a row that was not ended.
    pub fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.data.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }

    /// Takes all rows from number `rows` on out.
    pub fn split_off(&mut self, rows: usize) -> Self {
        let begin = self.offsets[rows];
        let offsets = self.offsets[rows..].iter().map(|end| end - begin).collect();
        let data = self.data.split_off(begin as usize);
        self.offsets.truncate(rows + 1);
        Self { offsets, data }
    }

    /// Appends a row.
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.finish_row();
    }

    /// Ends a row whose bytes were appended to `data` directly.
    #[inline]
    pub fn finish_row(&mut self) {
        self.offsets.push(self.data.len() as u32);
    }
}

/// The values of one column. A null row still has an entry (zero or the empty string), which means nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// One byte a row, 0 or 1.
    Boolean(Vec<u8>),
    /// Signed integers.
    Int64(Vec<i64>),
    /// Unsigned integers.
    UInt64(Vec<u64>),
    /// Single precision.
    Float32(Vec<f32>),
    /// Double precision.
    Float64(Vec<f64>),
    /// UTF-8 text: every row by itself is valid UTF-8. Also decimal, date, time, datetime, timestamp and JSON.
    Text(Strings),
    /// Raw bytes.
    Bytes(Strings),
}

impl Values {
    /// An empty column for values of `data_type`.
    pub fn new(data_type: DataType) -> Self {
        match data_type {
            DataType::Boolean => Values::Boolean(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::UInt64 => Values::UInt64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Bytes => Values::Bytes(Strings::default()),
            _ => Values::Text(Strings::default()),
        }
    }

    /// Rows held.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Values::Boolean(v) => v.len(),
            Values::Int64(v) => v.len(),
            Values::UInt64(v) => v.len(),
            Values::Float32(v) => v.len(),
            Values::Float64(v) => v.len(),
            Values::Text(v) | Values::Bytes(v) => v.len(),
        }
    }

    /// Whether there are no rows.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the meaningless entry of a null row.
    #[inline]
    pub fn push_default(&mut self) {
        match self {
            Values::Boolean(v) => v.push(0),
            Values::Int64(v) => v.push(0),
            Values::UInt64(v) => v.push(0),
            Values::Float32(v) => v.push(0.0),
            Values::Float64(v) => v.push(0.0),
            Values::Text(v) | Values::Bytes(v) => v.finish_row(),
        }
    }

    /// Whether these can be values of `data_type`.
    pub fn fits(&self, data_type: DataType) -> bool {
        match self {
            Values::Boolean(_) => data_type == DataType::Boolean,
            Values::Int64(_) => data_type == DataType::Int64,
            Values::UInt64(_) => data_type == DataType::UInt64,
            Values::Float32(_) => data_type == DataType::Float32,
            Values::Float64(_) => data_type == DataType::Float64,
            Values::Bytes(_) => data_type == DataType::Bytes,
            Values::Text(_) => data_type.is_textual(),
        }
    }

    /// Bytes of memory that the rows take, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            Values::Boolean(v) => v.len(),
            Values::Int64(v) => v.len() * 8,
            Values::UInt64(v) => v.len() * 8,
            Values::Float32(v) => v.len() * 4,
            Values::Float64(v) => v.len() * 8,
            Values::Text(v) | Values::Bytes(v) => v.data.len() + v.offsets.len() * 4,
        }
    }
}

/// A bitmap of nulls, or of absent values, least significant bit first; bytes that would be zero at the end may be missing, so
/// an empty bitmap says that nothing is null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nulls(pub Vec<u8>);

impl Nulls {
    /// Whether row `i` is null.
    #[inline]
    pub fn get(&self, i: usize) -> bool {
        self.0.get(i >> 3).is_some_and(|b| b >> (i & 7) & 1 == 1)
    }

    /// Marks row `i` as null.
    #[inline]
    pub fn set(&mut self, i: usize) {
        if self.0.len() <= i >> 3 {
            self.0.resize((i >> 3) + 1, 0);
        }
        self.0[i >> 3] |= 1 << (i & 7);
    }

    /// Unmarks row `i`.
    #[inline]
    pub fn clear(&mut self, i: usize) {
        if let Some(byte) = self.0.get_mut(i >> 3) {
            *byte &= !(1 << (i & 7));
        }
    }

    /// Forgets all rows from number `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows.div_ceil(8));
        if rows & 7 != 0
            && let Some(last) = self.0.get_mut(rows >> 3)
        {
            *last &= (1 << (rows & 7)) - 1;
        }
    }

    /// Takes all rows from number `rows` on out.
    pub fn split_off(&mut self, rows: usize) -> Self {
        let (first, shift) = (rows >> 3, rows & 7);
        let tail = self.0.get(first..).unwrap_or_default();
        let bits = (0..tail.len()).map(|i| match shift {
            0 => tail[i],
            _ => tail[i] >> shift | tail.get(i + 1).map_or(0, |next| next << (8 - shift)),
        });
        let taken = Self(bits.collect());
        self.truncate(rows);
        taken
    }

    /// Whether no row is null.
    pub fn none(&self) -> bool {
        self.0.iter().all(|b| *b == 0)
    }
}

/// One column of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The values, one entry a row.
    pub values: Values,
    /// Which of them are null or absent.
    pub nulls: Nulls,
    /// Which of those are absent.
    pub absent: Nulls,
}

impl Column {
    /// An empty column for values of `data_type`.
    pub fn new(data_type: DataType) -> Self {
        Self { values: Values::new(data_type), nulls: Nulls::default(), absent: Nulls::default() }
    }

    /// A column without absent values.
    pub fn of(values: Values, nulls: Nulls) -> Self {
        Self { values, nulls, absent: Nulls::default() }
    }

    /// Bytes of memory that the rows take, roughly.
    pub fn bytes(&self) -> usize {
        self.values.bytes() + self.nulls.0.len() + self.absent.0.len()
    }

    /// Rows held.
    #[inline]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no rows.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether its bytes are more than offsets can tell: the rows that were added last are not usable.
    #[inline]
    pub fn overflows(&self) -> bool {
        match &self.values {
            Values::Text(v) | Values::Bytes(v) => u32::try_from(v.data.len()).is_err(),
            _ => false,
        }
    }

    /// Forgets all rows from number `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Boolean(v) => v.truncate(rows),
            Values::Int64(v) => v.truncate(rows),
            Values::UInt64(v) => v.truncate(rows),
            Values::Float32(v) => v.truncate(rows),
            Values::Float64(v) => v.truncate(rows),
            Values::Text(v) | Values::Bytes(v) => v.truncate(rows),
        }
        self.nulls.truncate(rows);
        self.absent.truncate(rows);
    }

    /// Whether row `i` is absent.
    #[inline]
    pub fn is_absent(&self, i: usize) -> bool {
        self.absent.get(i)
    }

    /// Whether any row may be absent; `false` is certain.
    #[inline]
    pub fn may_be_absent(&self) -> bool {
        !self.absent.0.is_empty()
    }

    /// Appends an absent value.
    pub fn push_absent(&mut self) {
        self.absent.set(self.values.len());
        self.push_null();
    }

    /// Appends what row `row` holds: a value, a null or an absent value. Answers the bytes of a text.
    pub fn push_copy(&mut self, row: usize) -> usize {
        let end = self.len();
        if self.nulls.get(row) {
            self.nulls.set(end);
        }
        if self.absent.get(row) {
            self.absent.set(end);
        }
        match &mut self.values {
            Values::Boolean(v) => v.push(v[row]),
            Values::Int64(v) => v.push(v[row]),
            Values::UInt64(v) => v.push(v[row]),
            Values::Float32(v) => v.push(v[row]),
            Values::Float64(v) => v.push(v[row]),
            Values::Text(v) | Values::Bytes(v) => {
                let (start, end) = (v.offsets[row] as usize, v.offsets[row + 1] as usize);
                v.data.extend_from_within(start..end);
                v.finish_row();
                return end - start;
            }
        }
        0
    }

    /// Whether two rows hold the same: the same value, or both null, or both absent. Numbers of floating point are compared bit by bit.
    pub fn same(&self, one: usize, other: usize) -> bool {
        if self.nulls.get(one) || self.nulls.get(other) {
            return self.nulls.get(one) == self.nulls.get(other) && self.absent.get(one) == self.absent.get(other);
        }
        match &self.values {
            Values::Boolean(v) => v[one] == v[other],
            Values::Int64(v) => v[one] == v[other],
            Values::UInt64(v) => v[one] == v[other],
            Values::Float32(v) => v[one].to_bits() == v[other].to_bits(),
            Values::Float64(v) => v[one].to_bits() == v[other].to_bits(),
            Values::Text(v) | Values::Bytes(v) => v.get(one) == v.get(other),
        }
    }

    /// Takes all rows from number `rows` on out.
    pub fn split_off(&mut self, rows: usize) -> Self {
        let values = match &mut self.values {
            Values::Boolean(v) => Values::Boolean(v.split_off(rows)),
            Values::Int64(v) => Values::Int64(v.split_off(rows)),
            Values::UInt64(v) => Values::UInt64(v.split_off(rows)),
            Values::Float32(v) => Values::Float32(v.split_off(rows)),
            Values::Float64(v) => Values::Float64(v.split_off(rows)),
            Values::Text(v) => Values::Text(v.split_off(rows)),
            Values::Bytes(v) => Values::Bytes(v.split_off(rows)),
        };
        Self { values, nulls: self.nulls.split_off(rows), absent: self.absent.split_off(rows) }
    }

    /// Appends a null.
    #[inline]
    pub fn push_null(&mut self) {
        self.nulls.set(self.values.len());
        self.values.push_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(data_type: DataType, rows: &[Option<u8>]) -> Column {
        let mut column = Column::new(data_type);
        for row in rows {
            match (row, &mut column.values) {
                (None, _) => column.push_null(),
                (Some(value), Values::Text(text)) => text.push(&vec![b'x'; usize::from(*value)]),
                (Some(value), Values::UInt64(numbers)) => numbers.push(u64::from(*value)),
                (_, other) => panic!("{other:?}"),
            }
        }
        column
    }

    proptest! {
        #[test]
        fn a_column_that_is_split_has_the_same_rows(rows: Vec<Option<u8>>, at: prop::sample::Index, text: bool) {
            let data_type = if text { DataType::Text } else { DataType::UInt64 };
            let at = at.index(rows.len() + 1);
            let mut first = column(data_type, &rows);
            let second = first.split_off(at);
            for (part, rows) in [(first, &rows[..at]), (second, &rows[at..])] {
                let expected = column(data_type, rows);
                prop_assert_eq!(&part.values, &expected.values);
                for row in 0..rows.len() + 9 {
                    prop_assert_eq!(part.nulls.get(row), expected.nulls.get(row));
                }
            }
        }
    }
}
