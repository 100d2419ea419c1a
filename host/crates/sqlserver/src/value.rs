//! Values of the driver, into the columns of a batch: the same from a change and from a copy.

use std::io::Write as _;

use tiberius::{ColumnData, IntoSql, ToSql, numeric::Numeric};

use super::{
    column::{Column, Form},
    temporal,
};
use sluicegate_model::{
    change::{self, Values},
    json,
};

/// Why a value cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is of another type than the column's.
    Type,
    /// It is larger than a row may be, so it did not come.
    Size,
}

/// Appends the value of a column, which may be NULL. `cells` are the columns of the result that it takes. Answers how long the whole value
/// is where it was cut.
pub(super) fn append(column: &Column, cells: &[ColumnData<'static>], out: &mut change::Column) -> Result<Option<usize>, Unfit> {
    // of a variant the second or the third cell is NULL
    let cell = match cells {
        [_, value, text] if is_null(text) => value,
        [.., cell] => cell,
        [] => return Err(Unfit::Type),
    };
    let mut whole = None;
    if let (Some(most), [length, _]) = (column.most, cells) {
        let length = integer(length);
        match column.cut {
            // a collation that counts a pair of surrogates as one character gives more of it
            Some(cut) => whole = length.and_then(|length| cut.whole(length)).filter(|whole| units(cell) < *whole),
            None if length.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > most)) => return Err(Unfit::Size),
            // the row's values are too large together
            None if length.is_some() && is_null(cell) => return Err(Unfit::Size),
            None => {}
        }
    }
    if is_null(cell) {
        out.push_null();
        return Ok(None);
    }
    match &mut out.values {
        Values::Boolean(values) => match cell {
            ColumnData::Bit(Some(bit)) => values.push(u8::from(*bit)),
            _ => return Err(Unfit::Type),
        },
        Values::Int64(values) => values.push(integer(cell).ok_or(Unfit::Type)?),
        Values::Float32(values) => match cell {
            ColumnData::F32(Some(number)) => values.push(*number),
            _ => return Err(Unfit::Type),
        },
        Values::Float64(values) => match cell {
            ColumnData::F64(Some(number)) => values.push(*number),
            ColumnData::F32(Some(number)) => values.push((*number).into()),
            _ => return Err(Unfit::Type),
        },
        Values::Bytes(strings) => match cell {
            ColumnData::Binary(Some(bytes)) => strings.push(bytes),
            _ => return Err(Unfit::Type),
        },
        Values::Text(strings) => {
            let written = match (column.form, cells) {
                (Form::Variant, [base, ..]) => variant(base, cell, &mut strings.data),
                (form, _) => text(form, cell, &mut strings.data),
            };
            strings.finish_row();
            written?;
        }
        Values::UInt64(_) => return Err(Unfit::Type),
    }
    Ok(whole)
}

pub(super) fn integer(cell: &ColumnData<'_>) -> Option<i64> {
    match cell {
        ColumnData::U8(number) => number.map(i64::from),
        ColumnData::I16(number) => number.map(i64::from),
        ColumnData::I32(number) => number.map(i64::from),
        ColumnData::I64(number) => *number,
        ColumnData::Bit(bit) => bit.map(i64::from),
        _ => None,
    }
}

/// How long a text is as UTF-16, or how many bytes there are.
fn units(cell: &ColumnData<'_>) -> usize {
    match cell {
        ColumnData::String(Some(text)) => text.encode_utf16().count(),
        ColumnData::Binary(Some(bytes)) => bytes.len(),
        _ => 0,
    }
}

/// Whether it is NULL.
pub(super) fn is_null(cell: &ColumnData<'_>) -> bool {
    match cell {
        ColumnData::U8(value) => value.is_none(),
        ColumnData::I16(value) => value.is_none(),
        ColumnData::I32(value) => value.is_none(),
        ColumnData::I64(value) => value.is_none(),
        ColumnData::F32(value) => value.is_none(),
        ColumnData::F64(value) => value.is_none(),
        ColumnData::Bit(value) => value.is_none(),
        ColumnData::String(value) => value.is_none(),
        ColumnData::Guid(value) => value.is_none(),
        ColumnData::Binary(value) => value.is_none(),
        ColumnData::Numeric(value) => value.is_none(),
        ColumnData::Xml(value) => value.is_none(),
        ColumnData::DateTime(value) => value.is_none(),
        ColumnData::SmallDateTime(value) => value.is_none(),
        ColumnData::Time(value) => value.is_none(),
        ColumnData::Date(value) => value.is_none(),
        ColumnData::DateTime2(value) => value.is_none(),
        ColumnData::DateTimeOffset(value) => value.is_none(),
    }
}

fn text(form: Form, cell: &ColumnData<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
    match (form, cell) {
        (Form::Text, ColumnData::String(Some(text))) => out.extend_from_slice(text.as_bytes()),
        (Form::Decimal(_), ColumnData::Numeric(Some(number))) => decimal(*number, out),
        (Form::Guid, ColumnData::Guid(Some(_)))
        | (Form::Date, ColumnData::Date(Some(_)))
        | (Form::Time(_), ColumnData::Time(Some(_)))
        | (Form::DateTime, ColumnData::DateTime(Some(_)))
        | (Form::SmallDateTime, ColumnData::SmallDateTime(Some(_)))
        | (Form::DateTime2(_), ColumnData::DateTime2(Some(_)))
        | (Form::DateTimeOffset(_), ColumnData::DateTimeOffset(Some(_))) => plain(cell, out),
        _ => return Err(Unfit::Type),
    }
    Ok(())
}

/// The text of a value by its own type.
fn plain(cell: &ColumnData<'_>, out: &mut Vec<u8>) {
    // writing to a Vec cannot fail
    let _ = match cell {
        ColumnData::Guid(Some(guid)) => write!(out, "{}", guid.hyphenated().to_string().to_uppercase()),
        ColumnData::Numeric(Some(number)) => {
            decimal(*number, out);
            Ok(())
        }
        ColumnData::Date(Some(date)) => {
            temporal::date(date.days().into(), out);
            Ok(())
        }
        ColumnData::Time(Some(time)) => {
            temporal::time(time.increments(), time.scale(), out);
            Ok(())
        }
        ColumnData::DateTime(Some(moment)) => {
            temporal::date_of_1900(moment.days().into(), out);
            out.push(b' ');
            temporal::three_hundredths(moment.seconds_fragments(), out);
            Ok(())
        }
        ColumnData::SmallDateTime(Some(moment)) => {
            temporal::date_of_1900(moment.days().into(), out);
            out.push(b' ');
            // minutes of the day
            temporal::time(u64::from(moment.seconds_fragments()) * 60, 0, out);
            Ok(())
        }
        ColumnData::DateTime2(Some(moment)) => {
            temporal::date(moment.date().days().into(), out);
            out.push(b' ');
            temporal::time(moment.time().increments(), moment.time().scale(), out);
            Ok(())
        }
        ColumnData::DateTimeOffset(Some(moment)) => {
            let utc = moment.datetime2();
            temporal::with_offset(utc.date().days().into(), utc.time().increments(), utc.time().scale(), moment.offset(), out);
            Ok(())
        }
        ColumnData::String(Some(text)) => out.write_all(text.as_bytes()),
        ColumnData::Bit(Some(bit)) => write!(out, "{}", u8::from(*bit)),
        ColumnData::F32(Some(number)) => write!(out, "{number}"),
        ColumnData::F64(Some(number)) => write!(out, "{number}"),
        ColumnData::Binary(Some(bytes)) => {
            out.extend_from_slice(b"0x");
            hexadecimal(bytes, out);
            Ok(())
        }
        number => match integer(number) {
            Some(number) => write!(out, "{number}"),
            None => Ok(()),
        },
    };
}

/// A variant: its base type, and its value as text.
fn variant(base: &ColumnData<'_>, cell: &ColumnData<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
    let ColumnData::String(Some(base)) = base else { return Err(Unfit::Type) };
    out.extend_from_slice(b"{\"type\":");
    json::string(base.as_bytes(), out);
    out.extend_from_slice(b",\"value\":");
    let mut value = Vec::new();
    plain(cell, &mut value);
    json::string(&value, out);
    out.push(b'}');
    Ok(())
}

fn decimal(number: Numeric, out: &mut Vec<u8>) {
    let (scale, value, start) = (usize::from(number.scale()), number.value(), out.len());
    let (mut large, mut places) = (value.unsigned_abs(), 0);
    // from the last digit on; a division of 64 bits is much faster than one of 128
    while u64::try_from(large).is_err() {
        digit((large % 10) as u8, &mut places, scale, out);
        large /= 10;
    }
    let mut rest = large as u64;
    while rest > 0 || places <= scale {
        digit((rest % 10) as u8, &mut places, scale, out);
        rest /= 10;
    }
    if value < 0 {
        out.push(b'-');
    }
    out[start..].reverse();
}

/// Appends a digit, and the point where so many are behind it.
fn digit(digit: u8, places: &mut usize, scale: usize, out: &mut Vec<u8>) {
    out.push(b'0' + digit);
    *places += 1;
    if *places == scale {
        out.push(b'.');
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Bytes as hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// A part of a key as text, from which [`Parameter::of_key`] makes the same value again.
pub(super) fn key_text(column: &Column, cell: &ColumnData<'static>) -> Result<Box<str>, Unfit> {
    if is_null(cell) {
        return Err(Unfit::Type);
    }
    let mut out = Vec::new();
    plain(cell, &mut out);
    let text = String::from_utf8(out).map_err(|_| Unfit::Type)?;
    match column.form {
        Form::Bytes if !text.starts_with("0x") => Err(Unfit::Type),
        _ => Ok(text.into()),
    }
}

/// A parameter of a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parameter {
    Integer(i64),
    Small(i32),
    Float(f64),
    Real(f32),
    Bit(bool),
    Text(Box<str>),
    Bytes(Vec<u8>),
}

impl Parameter {
    /// A part of a key, from its text; `None` where it is not one of the column.
    pub(super) fn of_key(column: &Column, text: &str) -> Option<Self> {
        Some(match column.form {
            Form::Bit => Self::Bit(text != "0"),
            Form::Integer => Self::Integer(text.parse().ok()?),
            Form::Real => Self::Real(text.parse().ok()?),
            Form::Float => Self::Float(text.parse().ok()?),
            Form::Bytes => {
                let digits = text.strip_prefix("0x")?;
                let digit = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
                Self::Bytes((0..digits.len()).step_by(2).map(digit).collect::<Option<_>>()?)
            }
            _ => Self::Text(text.into()),
        })
    }
}

impl ToSql for Parameter {
    fn to_sql(&self) -> ColumnData<'_> {
        match self {
            Self::Integer(number) => ColumnData::I64(Some(*number)),
            Self::Small(number) => ColumnData::I32(Some(*number)),
            Self::Float(number) => ColumnData::F64(Some(*number)),
            Self::Real(number) => ColumnData::F32(Some(*number)),
            Self::Bit(bit) => ColumnData::Bit(Some(*bit)),
            Self::Text(text) => (&**text).into_sql(),
            Self::Bytes(bytes) => bytes.as_slice().into_sql(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::splitmix;

    #[test]
    fn a_decimal_has_its_places_and_all_digits() {
        let written = |value: i128, scale: u8| {
            let mut out = b"x".to_vec();
            decimal(Numeric::new_with_scale(value, scale), &mut out);
            String::from_utf8(out).unwrap()
        };
        for (value, scale, expected) in [(0, 0, "0"), (0, 2, "0.00"), (5, 2, "0.05"), (-5, 2, "-0.05"), (1250, 2, "12.50"), (-7, 0, "-7")] {
            assert_eq!(written(value, scale), format!("x{expected}"));
        }
        let most = 10_i128.pow(38) - 1;
        for n in 0..20_000 {
            let wide = i128::from(splitmix::mix(n).cast_signed()) << 64 | i128::from(splitmix::mix(n + 1));
            let (value, scale) = ((wide >> (n % 127)).clamp(-most, most), (n % 38) as u8);
            for value in [value, i128::from(u64::MAX) + value % 3, most] {
                let digits = format!("{:0width$}", value.unsigned_abs(), width = usize::from(scale) + 1);
                let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
                let (sign, point) = (if value < 0 { "-" } else { "" }, if scale > 0 { "." } else { "" });
                assert_eq!(written(value, scale), format!("x{sign}{whole}{point}{fraction}"));
            }
        }
    }
}
