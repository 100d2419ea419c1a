//! One column's values from a row image into its vector.

use std::sync::Arc;

use super::{
    address,
    charset::{self, Charset},
    compressed,
    cursor::{Cursor, Fault},
    decimal, hires, json, temporal,
};
use sluicegate_model::change::{Column, Strings, Values};

/// Types that travel as something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// MariaDB's UUID.
    Uuid,
    /// MariaDB's INET6.
    Inet6,
    /// MariaDB's INET4.
    Inet4,
    /// The digits of the fraction of MariaDB's temporal types before version 10.1.
    Fraction(u8),
}

/// How a column's values are stored in a row image. Widths and prefixes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the types'")]
pub enum Decoder {
    Int8,
    Int16,
    Int24,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt24,
    UInt32,
    UInt64,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
        bytes: usize,
    },
    Year,
    Date,
    OldTime,
    OldDateTime,
    OldTimestamp,
    /// With a fraction, as MariaDB 5.3 stored it.
    HiresTime(u8),
    /// The same.
    HiresDateTime(u8),
    /// The same.
    HiresTimestamp(u8),
    Time(u8),
    DateTime(u8),
    Timestamp(u8),
    Bit(u8),
    Enum {
        bytes: u8,
        labels: Arc<[Box<str>]>,
    },
    Set {
        bytes: u8,
        labels: Arc<[Box<str>]>,
    },
    Text {
        prefix: u8,
        charset: Charset,
    },
    Bytes {
        prefix: u8,
    },
    /// BINARY: shorter values were padded with zeros.
    FixedBytes {
        prefix: u8,
        length: u16,
    },
    Special {
        prefix: u8,
        special: Special,
    },
    Json {
        prefix: u8,
    },
    /// MariaDB's COMPRESSED columns; no value unpacks to more than `most` bytes.
    Compressed {
        prefix: u8,
        charset: Charset,
        most: usize,
    },
}

const MISMATCH: Fault = Fault::Invalid("a decoder that does not fit its column");

#[inline]
fn prefixed<'a>(row: &mut Cursor<'a>, prefix: u8) -> Result<&'a [u8], Fault> {
    let length = match prefix {
        1 => usize::from(row.u8()?),
        2 => usize::from(row.u16()?),
        n => row.uint(usize::from(n))? as usize,
    };
    row.take(length)
}

#[inline]
fn finish(strings: &mut Strings, written: Result<(), Fault>) -> Result<(), Fault> {
    strings.finish_row();
    written
}

impl Decoder {
    /// Appends the next value of `row`, which is not NULL, to `column`.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a call for each value costs a tenth of the decoding")]
    pub fn decode(&self, row: &mut Cursor<'_>, column: &mut Column) -> Result<(), Fault> {
        match &mut column.values {
            Values::Int64(values) => values.push(self.signed(row)?),
            Values::UInt64(values) => values.push(self.unsigned(row)?),
            Values::Text(strings) => return self.text(row, strings),
            Values::Bytes(strings) => return self.bytes(row, strings),
            Values::Float32(values) => values.push(f32::from_le_bytes(row.array()?)),
            Values::Float64(values) => values.push(f64::from_le_bytes(row.array()?)),
            Values::Boolean(_) => return Err(MISMATCH),
        }
        Ok(())
    }

    #[inline]
    fn signed(&self, row: &mut Cursor<'_>) -> Result<i64, Fault> {
        Ok(match self {
            Decoder::Int8 => i64::from(row.u8()? as i8),
            Decoder::Int16 => i64::from(row.u16()? as i16),
            // three bytes: the sign has to be extended by hand
            Decoder::Int24 => i64::from(((row.uint(3)? as i32) << 8) >> 8),
            Decoder::Int32 => i64::from(row.u32()? as i32),
            Decoder::Int64 => row.u64()? as i64,
            _ => return Err(MISMATCH),
        })
    }

    #[inline]
    fn unsigned(&self, row: &mut Cursor<'_>) -> Result<u64, Fault> {
        Ok(match self {
            Decoder::UInt8 => u64::from(row.u8()?),
            Decoder::UInt16 => u64::from(row.u16()?),
            Decoder::UInt24 => row.uint(3)?,
            Decoder::UInt32 => u64::from(row.u32()?),
            Decoder::UInt64 => row.u64()?,
            // years count from 1900, but 0 is the year 0
            Decoder::Year => match row.u8()? {
                0 => 0,
                year => 1900 + u64::from(year),
            },
            Decoder::Bit(bytes) => row.uint_be(usize::from(*bytes))?,
            _ => return Err(MISMATCH),
        })
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as of `decode`: most values are texts")]
    fn text(&self, row: &mut Cursor<'_>, strings: &mut Strings) -> Result<(), Fault> {
        let out = &mut strings.data;
        let written = match self {
            Decoder::Text { prefix, charset } => charset::write(charset, prefixed(row, *prefix)?, out),
            Decoder::Decimal { precision, scale, bytes } => decimal::write(row.take(*bytes)?, *precision, *scale, out),
            Decoder::Date => temporal::date(row, out),
            Decoder::Time(fsp) => temporal::time2(row, *fsp, out),
            Decoder::DateTime(fsp) => temporal::datetime2(row, *fsp, out),
            Decoder::Timestamp(fsp) => temporal::timestamp2(row, *fsp, out),
            Decoder::Json { prefix } => json::write(prefixed(row, *prefix)?, out),
            Decoder::Enum { bytes, labels } => enumeration(row.uint(usize::from(*bytes))?, labels, out),
            Decoder::Set { bytes, labels } => set(row.uint(usize::from(*bytes))?, labels, out),
            Decoder::Special { prefix, special } => address::write(*special, prefixed(row, *prefix)?, out),
            Decoder::Compressed { prefix, charset, most } => unpacked(charset, prefixed(row, *prefix)?, *most, out),
            Decoder::OldTime => temporal::time_old(row, out),
            Decoder::OldDateTime => temporal::datetime_old(row, out),
            Decoder::OldTimestamp => temporal::timestamp_old(row, out),
            Decoder::HiresTime(fsp) => hires::time(row, *fsp, out),
            Decoder::HiresDateTime(fsp) => hires::datetime(row, *fsp, out),
            Decoder::HiresTimestamp(fsp) => hires::timestamp(row, *fsp, out),
            _ => Err(MISMATCH),
        };
        finish(strings, written)
    }

    #[inline]
    fn bytes(&self, row: &mut Cursor<'_>, strings: &mut Strings) -> Result<(), Fault> {
        match self {
            Decoder::Bytes { prefix } => strings.push(prefixed(row, *prefix)?),
            Decoder::FixedBytes { prefix, length } => {
                let value = prefixed(row, *prefix)?;
                strings.data.extend_from_slice(value);
                // the log leaves trailing zeros away
                let missing = usize::from(*length).saturating_sub(value.len());
                strings.data.resize(strings.data.len() + missing, 0);
                strings.finish_row();
            }
            Decoder::Compressed { prefix, most, .. } => {
                let written = compressed::unpack(prefixed(row, *prefix)?, *most, &mut strings.data);
                return finish(strings, written);
            }
            _ => return Err(MISMATCH),
        }
        Ok(())
    }

    /// Passes over the next value of `row`, which is not NULL.
    pub fn skip(&self, row: &mut Cursor<'_>) -> Result<(), Fault> {
        let width = match self {
            Decoder::Int8 | Decoder::UInt8 | Decoder::Year => 1,
            Decoder::Int16 | Decoder::UInt16 => 2,
            Decoder::Int24 | Decoder::UInt24 | Decoder::Date | Decoder::OldTime => 3,
            Decoder::Int32 | Decoder::UInt32 | Decoder::Float | Decoder::OldTimestamp => 4,
            Decoder::Int64 | Decoder::UInt64 | Decoder::Double | Decoder::OldDateTime => 8,
            Decoder::Decimal { bytes, .. } => *bytes,
            Decoder::HiresTime(fsp) => hires::TIME_BYTES[usize::from(*fsp)],
            Decoder::HiresDateTime(fsp) => hires::DATETIME_BYTES[usize::from(*fsp)],
            Decoder::HiresTimestamp(fsp) => 4 + temporal::fraction_bytes(*fsp),
            Decoder::Time(fsp) => 3 + temporal::fraction_bytes(*fsp),
            Decoder::DateTime(fsp) => 5 + temporal::fraction_bytes(*fsp),
            Decoder::Timestamp(fsp) => 4 + temporal::fraction_bytes(*fsp),
            Decoder::Bit(bytes) | Decoder::Enum { bytes, .. } | Decoder::Set { bytes, .. } => usize::from(*bytes),
            Decoder::Text { prefix, .. }
            | Decoder::Bytes { prefix }
            | Decoder::FixedBytes { prefix, .. }
            | Decoder::Special { prefix, .. }
            | Decoder::Json { prefix }
            | Decoder::Compressed { prefix, .. } => return prefixed(row, *prefix).map(drop),
        };
        row.take(width).map(drop)
    }
}

/// The text of a compressed value.
#[cold]
fn unpacked(charset: &Charset, packed: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut value = Vec::new();
    compressed::unpack(packed, most, &mut value)?;
    charset::write(charset, &value, out)
}

/// Labels are counted from 1; 0 is the empty string that stands for a value that was not valid.
pub fn enumeration(index: u64, labels: &[Box<str>], out: &mut Vec<u8>) -> Result<(), Fault> {
    if let Some(index) = index.checked_sub(1) {
        let label = usize::try_from(index).ok().and_then(|i| labels.get(i)).ok_or(Fault::Invalid("an enum value without a label"))?;
        out.extend_from_slice(label.as_bytes());
    }
    Ok(())
}

/// The labels of the bits, with commas between.
pub fn set(bits: u64, labels: &[Box<str>], out: &mut Vec<u8>) -> Result<(), Fault> {
    if labels.len() < 64 && bits >> labels.len() != 0 {
        return Err(Fault::Invalid("a set value without a label"));
    }
    let mut first = true;
    for (i, label) in labels.iter().enumerate().take(64) {
        if bits >> i & 1 == 1 {
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(label.as_bytes());
        }
    }
    Ok(())
}

/// A fault in one column of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnFault {
    /// Index of the column; `None` when the row's head is broken.
    pub column: Option<usize>,
    /// What is wrong.
    pub fault: Fault,
}

/// Appends one row image, which holds all columns, to `columns`. Further columns at its end are passed over.
#[inline]
pub fn image(decoders: &[Decoder], row: &mut Cursor<'_>, columns: &mut [Column]) -> Result<(), ColumnFault> {
    let nulls = row.take(decoders.len().div_ceil(8)).map_err(|fault| ColumnFault { column: None, fault })?;
    let shown = columns.len();
    for (i, (decoder, column)) in decoders.iter().zip(columns).enumerate() {
        if nulls[i >> 3] >> (i & 7) & 1 == 1 {
            column.push_null();
        } else {
            decoder.decode(row, column).map_err(|fault| ColumnFault { column: Some(i), fault })?;
        }
    }
    for (i, decoder) in decoders.iter().enumerate().skip(shown) {
        if nulls[i >> 3] >> (i & 7) & 1 == 0 {
            decoder.skip(row).map_err(|fault| ColumnFault { column: None, fault })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use sluicegate_model::change::DataType;

    fn one(decoder: &Decoder, data_type: DataType, bytes: &[u8]) -> Result<Values, Fault> {
        let mut column = Column::new(data_type);
        let mut row = Cursor(bytes);
        decoder.decode(&mut row, &mut column)?;
        assert!(row.is_empty());
        assert_eq!(column.len(), 1);
        Ok(column.values)
    }

    fn string(bytes: &[u8]) -> Strings {
        let mut strings = Strings::default();
        strings.push(bytes);
        strings
    }

    fn shared(labels: &[&str]) -> Arc<[Box<str>]> {
        labels.iter().map(|l| (*l).into()).collect()
    }

    #[test]
    fn negative_mediumint_stays_negative() {
        assert_eq!(one(&Decoder::Int24, DataType::Int64, &[0xff, 0xff, 0xff]), Ok(Values::Int64(vec![-1])));
        assert_eq!(one(&Decoder::Int24, DataType::Int64, &[0, 0, 0x80]), Ok(Values::Int64(vec![-8_388_608])));
        assert_eq!(one(&Decoder::UInt24, DataType::UInt64, &[0xff, 0xff, 0xff]), Ok(Values::UInt64(vec![16_777_215])));
    }

    #[test]
    fn the_largest_unsigned_bigint_is_exact() {
        assert_eq!(one(&Decoder::UInt64, DataType::UInt64, &[0xff; 8]), Ok(Values::UInt64(vec![u64::MAX])));
    }

    #[test]
    fn year_zero_stays_zero() {
        assert_eq!(one(&Decoder::Year, DataType::UInt64, &[0]), Ok(Values::UInt64(vec![0])));
        assert_eq!(one(&Decoder::Year, DataType::UInt64, &[255]), Ok(Values::UInt64(vec![2155])));
    }

    #[test]
    fn binary_gets_its_padding_back() {
        let decoder = Decoder::FixedBytes { prefix: 1, length: 4 };
        assert_eq!(one(&decoder, DataType::Bytes, &[1, b'a']), Ok(Values::Bytes(string(b"a\0\0\0"))));
    }

    #[test]
    fn enum_and_set_are_their_labels() {
        let decoder = Decoder::Enum { bytes: 1, labels: shared(&["red", "green"]) };
        assert_eq!(one(&decoder, DataType::Text, &[2]), Ok(Values::Text(string(b"green"))));
        assert_eq!(one(&decoder, DataType::Text, &[0]), Ok(Values::Text(string(b""))));
        assert!(one(&decoder, DataType::Text, &[3]).is_err());
        let decoder = Decoder::Set { bytes: 1, labels: shared(&["a", "b", "c"]) };
        assert_eq!(one(&decoder, DataType::Text, &[0b101]), Ok(Values::Text(string(b"a,c"))));
        assert_eq!(one(&decoder, DataType::Text, &[0]), Ok(Values::Text(string(b""))));
        assert!(one(&decoder, DataType::Text, &[8]).is_err());
    }

    #[test]
    fn bit_is_a_number() {
        assert_eq!(one(&Decoder::Bit(2), DataType::UInt64, &[1, 2]), Ok(Values::UInt64(vec![258])));
    }

    fn all_decoders() -> Vec<(Decoder, DataType)> {
        use Decoder::*;
        vec![
            (Int8, DataType::Int64),
            (Int16, DataType::Int64),
            (Int24, DataType::Int64),
            (Int32, DataType::Int64),
            (Int64, DataType::Int64),
            (UInt64, DataType::UInt64),
            (Float, DataType::Float32),
            (Double, DataType::Float64),
            (Decimal { precision: 12, scale: 2, bytes: 6 }, DataType::Decimal),
            (Year, DataType::UInt64),
            (Date, DataType::Date),
            (OldTime, DataType::Time),
            (OldDateTime, DataType::DateTime),
            (OldTimestamp, DataType::Timestamp),
            (Time(6), DataType::Time),
            (DateTime(3), DataType::DateTime),
            (Timestamp(1), DataType::Timestamp),
            (Bit(8), DataType::UInt64),
            (Enum { bytes: 2, labels: shared(&["x"]) }, DataType::Text),
            (Set { bytes: 8, labels: shared(&["x", "y"]) }, DataType::Text),
            (Text { prefix: 1, charset: Charset::Utf8 }, DataType::Text),
            (Text { prefix: 2, charset: Charset::Latin1 }, DataType::Text),
            (Bytes { prefix: 4 }, DataType::Bytes),
            (FixedBytes { prefix: 1, length: 16 }, DataType::Bytes),
            (Special { prefix: 1, special: super::Special::Uuid }, DataType::Text),
            (Json { prefix: 4 }, DataType::Json),
            (HiresTime(3), DataType::Time),
            (HiresDateTime(6), DataType::DateTime),
            (HiresTimestamp(1), DataType::Timestamp),
            (UInt8, DataType::UInt64),
            (UInt16, DataType::UInt64),
            (UInt24, DataType::UInt64),
            (UInt32, DataType::UInt64),
            (Compressed { prefix: 1, charset: Charset::Utf8, most: 1000 }, DataType::Text),
            (Compressed { prefix: 2, charset: Charset::Binary, most: 1000 }, DataType::Bytes),
        ]
    }

    proptest! {
        #[test]
        fn any_row_ends_in_values_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (decoders, types): (Vec<_>, Vec<_>) = all_decoders().into_iter().unzip();
            let mut columns: Vec<Column> = types.iter().map(|t| Column::new(*t)).collect();
            let _ = image(&decoders, &mut Cursor(&bytes), &mut columns);
            for (decoder, data_type) in all_decoders() {
                let mut column = Column::new(data_type);
                let mut row = Cursor(&bytes);
                if decoder.decode(&mut row, &mut column).is_ok() {
                    prop_assert_eq!(column.len(), 1);
                    let mut skipped = Cursor(&bytes);
                    prop_assert!(decoder.skip(&mut skipped).is_ok());
                    prop_assert_eq!(skipped.len(), row.len(), "{:?} is passed over in the same bytes", decoder);
                    if let Values::Text(text) = &column.values {
                        prop_assert!(std::str::from_utf8(text.get(0)).is_ok());
                    }
                }
            }
        }

        #[test]
        fn a_row_cut_anywhere_is_an_error(a: i32, b in ".{0,40}", c: f64, null: bool) {
            let decoders = [Decoder::Int32, Decoder::Text { prefix: 1, charset: Charset::Utf8 }, Decoder::Double];
            let types = [DataType::Int64, DataType::Text, DataType::Float64];
            let mut row = vec![u8::from(null) << 1];
            row.extend_from_slice(&a.to_le_bytes());
            if !null {
                row.push(b.len() as u8);
                row.extend_from_slice(b.as_bytes());
            }
            row.extend_from_slice(&c.to_le_bytes());
            prop_assume!(b.len() < 256);
            for cut in 0..=row.len() {
                let mut columns: Vec<Column> = types.iter().map(|t| Column::new(*t)).collect();
                let outcome = image(&decoders, &mut Cursor(&row[..cut]), &mut columns);
                prop_assert_eq!(outcome.is_ok(), cut == row.len());
            }
        }
    }
}
