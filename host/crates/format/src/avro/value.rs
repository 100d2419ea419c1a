//! Avro's binary encoding of values, straight from columns.

use super::super::{
    decimal::Unscaled,
    form::{Form, Width},
    geometry,
    temporal::{self, Read, Unit},
};
use sluicegate_model::change::{Column, Values};

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

/// Appends an `int` or a `long`.
#[inline]
pub(super) fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    if rest < 0x80 {
        return out.push(rest as u8);
    }
    let mut bytes = [0; 10];
    let mut length = 0;
    for byte in &mut bytes {
        length += 1;
        if rest < 0x80 {
            *byte = rest as u8;
            break;
        }
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    let end = out.len() + length;
    // a copy of a constant size is two moves
    out.extend_from_slice(&bytes);
    out.truncate(end);
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

impl Write {
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

#[cfg(test)]
mod tests {
    use apache_avro::{Schema, from_avro_datum, types::Value};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_reads_back(number: i64, small in -200i64..200) {
            for number in [number, small, number >> 32, i64::MIN, i64::MAX] {
                let mut out = Vec::new();
                super::long(number, &mut out);
                let read = from_avro_datum(&Schema::Long, &mut &out[..], None).unwrap();
                prop_assert_eq!(read, Value::Long(number));
            }
        }
    }
}
