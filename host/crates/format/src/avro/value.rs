//! Avro's binary encoding of values, straight from columns.

use super::super::{
    decimal::{self, Unscaled},
    form::{Form, Width},
    geometry,
    temporal::{self, Read, Unit},
};
use sluicegate_model::change::{Column, Strings, Values};

/// How the values of a column are written. Decided once for a table version.
pub(super) enum Write {
    Boolean,
    /// Whether an unsigned number is not 0.
    Flag,
    /// `int` or `long`, which are written alike.
    Int,
    /// The same of an unsigned number, if it fits.
    Unsigned,
    /// The same, whether it fits or not.
    Wrapped,
    Float,
    Double,
    /// Text or bytes as they are.
    Text,
    /// A decimal as a number of double precision.
    ParsedDouble,
    /// A decimal as the bytes of its unscaled number.
    Unscaled {
        scale: usize,
    },
    /// An unsigned number as bytes of a decimal without places.
    UnscaledUnsigned,
    /// The lower bytes of an unsigned number, the least significant first.
    LowerBytes(usize),
    /// A date as days since 1970.
    Days,
    Time(Unit, Width),
    /// A date and time, or an instant, as a number since 1970.
    SinceEpoch(Unit),
    /// An instant as text, but for one that no calendar has.
    Instant,
    /// Little-endian numbers of single precision as an array.
    Floats,
    Wkb,
    Ewkb,
    /// A geometry as a record of `wkb` and `srid`.
    Geometry,
    /// What a form of JSON writes as a string.
    String(Form),
    /// What it writes as a number.
    Number(Form),
}

/// What became of a value.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Written {
    Value,
    /// It is a date that no calendar has, and nothing was appended.
    NoDate,
    /// It does not fit its type; something may have been appended.
    Misfit,
}

/// The branch of a union of null and a type that has a value.
pub(super) const SOME: u8 = 2;

/// A number as Avro writes an `int` or a `long`: small ones of either sign are small.
#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Appends an `int` or a `long`.
#[inline]
pub(super) fn long(value: i64, out: &mut Vec<u8>) {
    let number = zigzag(value);
    if number < 0x80 {
        return out.push(number as u8);
    }
    if number < EIGHT_GROUPS {
        let (groups, length) = groups(number);
        let end = out.len() + length;
        // a copy of a constant size is one move
        out.extend_from_slice(&groups);
        return out.truncate(end);
    }
    out.extend_from_slice(&(spread(number) | FOLLOW).to_le_bytes());
    match ((number >> 56) as u8, (number >> 63) as u8) {
        (ninth, 0) => out.push(ninth),
        (ninth, tenth) => out.extend_from_slice(&[ninth | 0x80, tenth]),
    }
}

/// The first number that has more than eight groups of seven bits.
const EIGHT_GROUPS: u64 = 1 << 56;
/// The bits of eight bytes that say that another group follows.
const FOLLOW: u64 = 0x8080_8080_8080_8080;

/// The groups of a number of at most eight, the lowest first, and how many there are.
#[inline]
fn groups(number: u64) -> ([u8; 8], usize) {
    let length = (70 - (number | 1).leading_zeros() as usize) / 7;
    let follow = FOLLOW & ((1 << (8 * (length - 1))) - 1);
    ((spread(number) | follow).to_le_bytes(), length)
}

/// The lowest eight groups of a number, each in a byte.
#[inline]
fn spread(number: u64) -> u64 {
    let halves = (number & 0x00ff_ffff_f000_0000) << 4 | number & 0x0fff_ffff;
    let quarters = (halves & 0x0fff_c000_0fff_c000) << 2 | halves & 0x0000_3fff_0000_3fff;
    (quarters & 0x3f80_3f80_3f80_3f80) << 1 | quarters & 0x007f_007f_007f_007f
}

/// Appends `bytes` or a `string`.
#[inline]
pub(super) fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value);
}

/// Appends a `string` or its absence: of a union of `null` and `string`.
pub(super) fn optional(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(2);
            bytes(value, out);
        }
    }
}

/// The epoch, where there has to be a value.
pub(super) fn epoch(write: &Write, out: &mut Vec<u8>) {
    match write {
        Write::Instant => bytes(b"1970-01-01T00:00:00Z", out),
        _ => out.push(0),
    }
}

/// Bytes of a text that is moved at once.
const SHORT_TEXT: usize = 32;
/// Bytes of a value that [`Write::short`] writes, with the branch of its union and a length in front, and of what it writes behind it.
pub(super) const SHORT: usize = 2 + SHORT_TEXT;

impl Write {
    /// Writes the value of row `row`, which is not null, into `to`, of a union with its branch in front: how many bytes it has; what stands
    /// behind them means nothing. `None`: it is not short, or seldom, and [`Self::value`] has to append it. The bytes are moved in parts of
    /// constant sizes.
    #[inline]
    pub(super) fn short(&self, column: &Column, row: usize, union: bool, to: &mut [u8; SHORT]) -> Option<usize> {
        to[0] = SOME;
        let front = usize::from(union);
        match (self, &column.values) {
            (Self::Text, Values::Text(strings) | Values::Bytes(strings)) => short_text(strings, row, front, to),
            (Self::Int, Values::Int64(v)) => short_number(v[row], front, to),
            (Self::Unscaled { scale }, Values::Text(strings)) => {
                let number = decimal::small(strings.get(row), *scale)?;
                let width = decimal::width(number);
                to[front] = (width as u8) << 1;
                to[front + 1..front + 9].copy_from_slice(&(number << (64 - 8 * width)).to_be_bytes());
                Some(front + 1 + width)
            }
            (Self::SinceEpoch(unit), Values::Text(strings)) => match temporal::datetime(strings.get(row)) {
                Read::Value((days, nanos)) => short_number(temporal::since_epoch(days, nanos, *unit)?, front, to),
                Read::NoDate | Read::Bad => None,
            },
            _ => None,
        }
    }

    /// Appends the value of row `row`, which is not null. `nullable`: whether null could stand in its place.
    #[inline]
    pub(super) fn value(&self, column: &Column, row: usize, nullable: bool, out: &mut Vec<u8>) -> Written {
        match (self, &column.values) {
            (Self::Text, Values::Text(text) | Values::Bytes(text)) => bytes(text.get(row), out),
            (Self::Int, Values::Int64(v)) => long(v[row], out),
            (Self::Boolean, Values::Boolean(v)) => out.push(u8::from(v[row] != 0)),
            (Self::Float, Values::Float32(v)) => out.extend_from_slice(&v[row].to_le_bytes()),
            (Self::Double, Values::Float64(v)) => out.extend_from_slice(&v[row].to_le_bytes()),
            (_, Values::UInt64(v)) => return self.number(v[row], column, row, nullable, out),
            (_, Values::Text(text)) => return self.text(text.get(row), column, row, nullable, out),
            (_, Values::Bytes(bytes)) => return self.bytes(bytes.get(row), column, row, nullable, out).unwrap_or(Written::Misfit),
            _ => return self.through_json(column, row, nullable, out).unwrap_or(Written::Misfit),
        }
        Written::Value
    }

    fn number(&self, value: u64, column: &Column, row: usize, nullable: bool, out: &mut Vec<u8>) -> Written {
        match self {
            Self::Unsigned => match i64::try_from(value) {
                Ok(value) => long(value, out),
                Err(_) => return Written::Misfit,
            },
            Self::Wrapped => long(value as i64, out),
            Self::Flag => out.push(u8::from(value != 0)),
            Self::UnscaledUnsigned => bytes(Unscaled::of(value).bytes(), out),
            Self::LowerBytes(lower) => bytes(&value.to_le_bytes()[..(*lower).min(8)], out),
            _ => return self.through_json(column, row, nullable, out).unwrap_or(Written::Misfit),
        }
        Written::Value
    }

    fn text(&self, value: &[u8], column: &Column, row: usize, nullable: bool, out: &mut Vec<u8>) -> Written {
        self.some_text(value, out).unwrap_or_else(|| self.through_json(column, row, nullable, out).unwrap_or(Written::Misfit))
    }

    /// `None`: it has none of these forms.
    #[inline]
    fn some_text(&self, value: &[u8], out: &mut Vec<u8>) -> Option<Written> {
        let read = match self {
            Self::Unscaled { scale } => Unscaled::parse(value, *scale).map(|unscaled| bytes(unscaled.bytes(), out)),
            Self::ParsedDouble => {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<f64>().ok());
                number.map(|number| out.extend_from_slice(&number.to_le_bytes()))
            }
            Self::Days => match temporal::date(value) {
                Read::Value(days) => {
                    long(days, out);
                    Some(())
                }
                Read::NoDate => return Some(Written::NoDate),
                Read::Bad => None,
            },
            Self::SinceEpoch(unit) => match temporal::datetime(value) {
                Read::Value((days, nanos)) => temporal::since_epoch(days, nanos, *unit).map(|number| long(number, out)),
                Read::NoDate => return Some(Written::NoDate),
                Read::Bad => None,
            },
            Self::Time(unit, width) => temporal::time(value)
                .map(|nanos| nanos / unit.nanos())
                .filter(|number| width.holds(*number))
                .map(|number| long(number, out)),
            Self::Instant => match temporal::datetime(value) {
                Read::NoDate => return Some(Written::NoDate),
                _ => {
                    bytes(value, out);
                    Some(())
                }
            },
            _ => return None,
        };
        Some(if read.is_some() { Written::Value } else { Written::Misfit })
    }

    fn bytes(&self, value: &[u8], column: &Column, row: usize, nullable: bool, out: &mut Vec<u8>) -> Option<Written> {
        match self {
            Self::Floats => {
                let (numbers, rest) = value.as_chunks::<4>();
                rest.is_empty().then_some(())?;
                if !numbers.is_empty() {
                    long(numbers.len() as i64, out);
                    out.extend_from_slice(value);
                }
                out.push(0);
            }
            Self::Wkb => bytes(geometry::parts(value)?.1, out),
            Self::Ewkb => {
                let (srid, wkb) = geometry::parts(value)?;
                let mut ewkb = Vec::with_capacity(wkb.len() + 4);
                geometry::ewkb(srid, wkb, &mut ewkb)?;
                bytes(&ewkb, out);
            }
            Self::Geometry => {
                let (srid, wkb) = geometry::parts(value)?;
                bytes(wkb, out);
                if srid == 0 {
                    out.push(0);
                } else {
                    out.push(2);
                    long(i64::from(srid), out);
                }
            }
            _ => return self.through_json(column, row, nullable, out),
        }
        Some(Written::Value)
    }

    /// Forms that are seldom asked for are those of JSON.
    #[cold]
    fn through_json(&self, column: &Column, row: usize, nullable: bool, out: &mut Vec<u8>) -> Option<Written> {
        let mut literal = Vec::new();
        match self {
            Self::String(form) => {
                form.literal(column, row, nullable, &mut literal).then_some(())?;
                match serde_json::from_slice::<Option<String>>(&literal).ok()? {
                    Some(text) => bytes(text.as_bytes(), out),
                    None => return Some(Written::NoDate),
                }
            }
            Self::Number(form) => {
                form.literal(column, row, nullable, &mut literal).then_some(())?;
                long(serde_json::from_slice(&literal).ok()?, out);
            }
            _ => return None,
        }
        Some(Written::Value)
    }
}

#[inline]
fn short_number(value: i64, front: usize, to: &mut [u8; SHORT]) -> Option<usize> {
    let number = zigzag(value);
    if number >= EIGHT_GROUPS {
        return None;
    }
    let (bytes, length) = groups(number);
    to[front..front + 8].copy_from_slice(&bytes);
    Some(front + length)
}

#[inline]
fn short_text(strings: &Strings, row: usize, front: usize, to: &mut [u8; SHORT]) -> Option<usize> {
    let (start, end) = (strings.offsets[row] as usize, strings.offsets[row + 1] as usize);
    // with some of the rows behind it
    let wide = strings.data.get(start..)?.first_chunk::<SHORT_TEXT>().filter(|_| end - start <= SHORT_TEXT)?;
    to[front] = ((end - start) as u8) << 1;
    to[front + 1..front + 1 + SHORT_TEXT].copy_from_slice(wide);
    Some(front + 1 + end - start)
}

#[cfg(test)]
mod tests {
    use apache_avro::{Schema, from_avro_datum, types::Value};
    use proptest::prelude::*;

    use super::*;
    use sluicegate_model::change::Nulls;

    /// A number written byte by byte, as the specification has it.
    fn bytewise(number: i64) -> Vec<u8> {
        let (mut rest, mut out) = (((number << 1) ^ (number >> 63)) as u64, Vec::new());
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
        out
    }

    proptest! {
        #[test]
        fn every_number_reads_back(number: i64, shift in 0u32..64, small in -200i64..200) {
            for number in [number, small, number >> shift, i64::MIN, i64::MAX] {
                let mut out = Vec::new();
                long(number, &mut out);
                prop_assert_eq!(&out, &bytewise(number));
                let read = from_avro_datum(&Schema::Long, &mut &out[..], None).unwrap();
                prop_assert_eq!(read, Value::Long(number));
                let mut short = [0; SHORT];
                if let Some(length) = short_number(number, 1, &mut short) {
                    prop_assert_eq!(&short[1..length], bytewise(number));
                } else {
                    prop_assert!(out.len() > 8);
                }
            }
        }

        #[test]
        fn a_short_value_is_the_one_that_is_appended(
            values in prop::collection::vec(prop_oneof!["[a-zé]{0,40}", "-?[0-9]{1,20}(\\.[0-9]{0,3})?", "20[0-9]{2}-[01][0-9]-[0-3][0-9] [0-9:]{8}(\\.[0-9]{0,7})?"], 1..6),
            number: i64,
            union: bool,
        ) {
            let mut strings = Strings::default();
            values.iter().for_each(|value| strings.push(value.as_bytes()));
            let texts = Column::of(Values::Text(strings), Nulls::default());
            let numbers = Column::of(Values::Int64(vec![number; values.len()]), Nulls::default());
            for (row, value) in values.iter().enumerate() {
                let units = [Unit::Millis, Unit::Micros, Unit::Nanos].map(Write::SinceEpoch);
                let writes = [Write::Text, Write::Unscaled { scale: 3 }].into_iter().chain(units).map(|write| (write, &texts));
                for (write, column) in writes.chain([(Write::Int, &numbers)]) {
                    let mut short = [7; SHORT];
                    let Some(length) = write.short(column, row, union, &mut short) else { continue };
                    let mut appended = if union { vec![SOME] } else { Vec::new() };
                    prop_assert!(write.value(column, row, union, &mut appended) == Written::Value);
                    prop_assert_eq!(&short[..length], appended, "{}", value);
                }
            }
        }
    }
}
