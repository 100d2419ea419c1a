//! The forms of values that are not [`json`]'s own: which one a column has is decided once, for a table version.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE};
use serde::de::IgnoredAny;

use super::{
    decimal::Unscaled,
    geometry,
    json::{self, Name, signed, unsigned},
    temporal::{self, Read, Unit},
};
use sluicegate_config::{BigintUnsignedMode, BinaryMode, DecimalMode, GeometryMode, LabelMode, TimeMode, ValueModes};
use sluicegate_model::{
    change::{Column, ColumnInfo, DataType, Values},
    json::{escaped, string},
};

/// How the values of a column are written.
pub(super) enum Form {
    /// As [`json::value`] writes them.
    Own,
    /// The text of a number, without quotes.
    Literal,
    /// A decimal as a number of double precision.
    Double,
    /// A decimal as the bytes of its unscaled number.
    Unscaled { scale: usize },
    /// An unsigned number as bytes of a decimal without places.
    UnscaledUnsigned,
    /// An unsigned number as a signed one.
    Long,
    /// Whether an unsigned number is not 0.
    Flag,
    /// The lower bytes of an unsigned number, the least significant first.
    LowerBytes(usize),
    /// Bytes, or a decimal's bytes.
    Binary(BinaryMode),
    /// A date as days since 1970.
    Days,
    /// A time.
    Time(Unit, Width),
    /// A date and time as a number since 1970.
    SinceEpoch(Unit),
    /// ISO 8601, from text that is almost that: with `T`, without zeros at the end of a fraction, with `Z`.
    Iso,
    /// An instant: text already, but for one that no calendar has.
    Instant,
    /// An instant without `T` and `Z`, as SQL has it.
    SqlInstant,
    /// The place of a label, from 1.
    LabelNumber(HashMap<Box<[u8]>, u64>),
    /// The sum of the bits of labels.
    LabelBits(HashMap<Box<[u8]>, u64>),
    /// The labels of a set as a list.
    LabelList,
    /// A geometry.
    Geometry(GeometryForm, BinaryMode),
    /// Little-endian numbers of single precision as a list.
    Floats,
    /// A JSON document as it is, without quotes.
    Document,
    /// Whatever it is, as a string of its text.
    Text,
    /// The same, bytes as characters of the same number.
    Latin1,
}

/// What a number of a time has room for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Width {
    /// 32 bits.
    Narrow,
    /// The milliseconds of a day.
    Day,
    /// 64 bits.
    Wide,
}

impl Width {
    /// Whether a number has room.
    pub(super) fn holds(self, number: i64) -> bool {
        match self {
            Self::Narrow => i32::try_from(number).is_ok(),
            Self::Day => (0..86_400_000).contains(&number),
            Self::Wide => true,
        }
    }
}

/// What is written of a geometry.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum GeometryForm {
    Wkb,
    Ewkb,
    GeoJson,
    Wkt,
    /// An object of `wkb` and `srid`.
    Object,
}

/// The unit that so many digits of a fraction ask for.
pub(super) fn unit(digits: u32) -> Unit {
    match digits {
        0..=3 => Unit::Millis,
        4..=6 => Unit::Micros,
        _ => Unit::Nanos,
    }
}

/// Digits of a second's fraction that a column's values may have.
pub(super) fn fraction_digits(column: &ColumnInfo) -> u32 {
    let native = &column.native_type;
    native.fraction_digits().unwrap_or_else(|| match native.name() {
        "" => 6,
        "datetime2" | "datetimeoffset" => 7,
        _ => 0,
    })
}

/// How a time is written as a number; `None`: as text.
pub(super) fn time_number(column: &ColumnInfo, modes: &ValueModes) -> Option<(Unit, Width)> {
    match modes.time {
        TimeMode::Text | TimeMode::IsoString => None,
        TimeMode::Adaptive => Some(match unit(fraction_digits(column)) {
            Unit::Millis => (Unit::Millis, Width::Narrow),
            unit => (unit, Width::Wide),
        }),
        TimeMode::AdaptiveMicroseconds | TimeMode::Microseconds => Some((Unit::Micros, Width::Wide)),
        TimeMode::Connect => Some((Unit::Millis, Width::Day)),
        TimeMode::Nanoseconds => Some((Unit::Nanos, Width::Wide)),
    }
}

/// The unit of a date and time as a number; `None`: as text.
pub(super) fn datetime_unit(column: &ColumnInfo, modes: &ValueModes) -> Option<Unit> {
    match modes.time {
        TimeMode::Text | TimeMode::IsoString => None,
        TimeMode::Adaptive | TimeMode::AdaptiveMicroseconds => Some(unit(fraction_digits(column))),
        TimeMode::Connect => Some(Unit::Millis),
        TimeMode::Microseconds => Some(Unit::Micros),
        TimeMode::Nanoseconds => Some(Unit::Nanos),
    }
}

/// Bits of a column that is BIT.
pub(super) fn bits(column: &ColumnInfo) -> Option<u32> {
    (column.native_type.name() == "bit" && column.data_type == DataType::UInt64).then(|| column.native_type.length().unwrap_or(1))
}

/// Whether an unsigned number may be beyond 63 bits.
pub(super) fn is_long_unsigned(column: &ColumnInfo) -> bool {
    column.data_type == DataType::UInt64 && matches!(column.native_type.name(), "" | "bigint")
}

/// A decimal's scale, where it is known.
pub(super) fn scale(column: &ColumnInfo) -> Option<u32> {
    match column.native_type.name() {
        "money" | "smallmoney" => Some(4),
        _ => column.native_type.scale(),
    }
}

/// Whether a column is of a type of geometry.
pub(super) fn is_geometry(column: &ColumnInfo) -> bool {
    column.data_type == DataType::Bytes && column.native_type.name() == "geometry"
}

/// Whether a column is of the type VECTOR.
pub(super) fn is_vector(column: &ColumnInfo) -> bool {
    column.data_type == DataType::Bytes && column.native_type.name() == "vector"
}

/// Whether its values are labels: whether of a set.
pub(super) fn labelled(column: &ColumnInfo) -> Option<bool> {
    let of_text = column.data_type == DataType::Text && column.native_type.labels().is_some();
    of_text.then(|| column.native_type.name() == "set")
}

impl Form {
    /// The form of a column in formats that leave it to the settings.
    pub(super) fn of(column: &ColumnInfo, modes: &ValueModes) -> Self {
        use DataType::*;
        match column.data_type {
            Decimal => match (modes.decimal, scale(column)) {
                (DecimalMode::Double, _) => Self::Double,
                (DecimalMode::Precise, Some(scale)) => Self::Unscaled { scale: scale as usize },
                // the scale of what a plugin computes is not known
                (DecimalMode::Precise, None) | (DecimalMode::String, _) => Self::Own,
            },
            UInt64 => match (bits(column), modes.bigint_unsigned) {
                (Some(1), _) if modes.debezium => Self::Flag,
                (Some(bits), _) if modes.debezium => Self::LowerBytes(bits.div_ceil(8).min(8) as usize),
                (None, BigintUnsignedMode::Long) if is_long_unsigned(column) => Self::Long,
                (None, BigintUnsignedMode::Precise) if is_long_unsigned(column) => Self::UnscaledUnsigned,
                _ => Self::Own,
            },
            Text => match (labelled(column), column.native_type.labels()) {
                (Some(set), Some(labels)) if modes.labels == LabelMode::Numbers => {
                    let number = |i: usize| if set { 1u64.checked_shl(i as u32).unwrap_or_default() } else { i as u64 + 1 };
                    let numbers = labels.iter().enumerate().map(|(i, label)| (label.as_bytes().into(), number(i))).collect();
                    if set { Self::LabelBits(numbers) } else { Self::LabelNumber(numbers) }
                }
                _ => Self::Own,
            },
            Bytes if is_geometry(column) => match modes.geometry {
                GeometryMode::Native => Self::binary(modes),
                GeometryMode::Wkb => Self::Geometry(GeometryForm::Wkb, modes.binary),
                GeometryMode::Ewkb => Self::Geometry(GeometryForm::Ewkb, modes.binary),
                GeometryMode::GeoJson => Self::Geometry(GeometryForm::GeoJson, modes.binary),
                // Debezium's object holds bytes, whatever the mode of other columns
                GeometryMode::Debezium => Self::Geometry(GeometryForm::Object, BinaryMode::Bytes),
            },
            Bytes if is_vector(column) && modes.debezium => Self::Floats,
            Bytes => Self::binary(modes),
            Date => match modes.time {
                TimeMode::Text => Self::Own,
                TimeMode::IsoString => Self::Iso,
                _ => Self::Days,
            },
            Time | DateTime if modes.time == TimeMode::IsoString => Self::Iso,
            Time => time_number(column, modes).map_or(Self::Own, |(unit, width)| Self::Time(unit, width)),
            DateTime => datetime_unit(column, modes).map_or(Self::Own, Self::SinceEpoch),
            Timestamp if modes.time != TimeMode::Text => Self::Instant,
            Boolean | Int64 | Float32 | Float64 | Timestamp | Json => Self::Own,
        }
    }

    fn binary(modes: &ValueModes) -> Self {
        match modes.binary {
            BinaryMode::Base64 | BinaryMode::Bytes => Self::Own,
            other => Self::Binary(other),
        }
    }

    /// Appends a column as a member, whose name `name` is, with the value of row `row`, which is not null. Answers `false` when the
    /// value has no such form; then something may have been appended.
    pub(super) fn write(&self, column: &Column, row: usize, nullable: bool, name: &Name, out: &mut Vec<u8>) -> bool {
        if matches!(self, Self::Own) {
            json::value(&column.values, row, name, out);
            return true;
        }
        name.before_literal(out);
        self.literal(column, row, nullable, out)
    }

    /// The same without a name, of a form that is not [`Self::Own`].
    pub(super) fn literal(&self, column: &Column, row: usize, nullable: bool, out: &mut Vec<u8>) -> bool {
        match &column.values {
            Values::Text(text) => self.text(text.get(row), nullable, out),
            Values::Bytes(bytes) => self.bytes(bytes.get(row), out),
            Values::UInt64(v) => self.number(v[row], out),
            Values::Boolean(v) if matches!(self, Self::Text | Self::Latin1) => {
                out.extend_from_slice(if v[row] == 0 { b"\"0\"" } else { b"\"1\"" });
                Some(())
            }
            Values::Float32(v) if !v[row].is_finite() => json_null(out),
            Values::Float64(v) if !v[row].is_finite() => json_null(out),
            values if matches!(self, Self::Text | Self::Latin1) => {
                out.push(b'"');
                json::number(values, row, out);
                out.push(b'"');
                Some(())
            }
            _ => None,
        }
        .is_some()
    }

    fn number(&self, value: u64, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Long => signed(value as i64, out),
            Self::UnscaledUnsigned => quoted(out, |out| json::base64(Unscaled::of(value).bytes(), out)),
            Self::Flag => out.extend_from_slice(if value == 0 { b"false" } else { b"true" }),
            Self::LowerBytes(bytes) => quoted(out, |out| json::base64(&value.to_le_bytes()[..(*bytes).min(8)], out)),
            Self::Text | Self::Latin1 => quoted(out, |out| unsigned(value, out)),
            _ => return None,
        }
        Some(())
    }

    fn bytes(&self, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Binary(mode) => binary(value, *mode, out),
            Self::Text => binary(value, BinaryMode::Base64, out),
            Self::Latin1 => latin1(value, out),
            Self::Floats => floats(value, out)?,
            Self::Geometry(form, mode) => return geometry_in(*form, value, *mode, out),
            _ => return None,
        }
        Some(())
    }

    fn text(&self, value: &[u8], nullable: bool, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Literal => out.extend_from_slice(value),
            Self::Document => document(value, out)?,
            Self::Double => {
                let number: f64 = std::str::from_utf8(value).ok()?.parse().ok()?;
                json::float(number, number.is_finite(), out);
            }
            Self::Unscaled { scale } => {
                let unscaled = Unscaled::parse(value, *scale)?;
                quoted(out, |out| json::base64(unscaled.bytes(), out));
            }
            Self::Days => match temporal::date(value) {
                Read::Value(days) => signed(days, out),
                Read::NoDate => no_date(nullable, b"0", out),
                Read::Bad => return None,
            },
            Self::Time(unit, width) => {
                let number = temporal::time(value)? / unit.nanos();
                signed(width.holds(number).then_some(number)?, out);
            }
            Self::SinceEpoch(unit) => match temporal::datetime(value) {
                Read::Value((days, nanos)) => signed(temporal::since_epoch(days, nanos, *unit)?, out),
                Read::NoDate => no_date(nullable, b"0", out),
                Read::Bad => return None,
            },
            Self::Iso => iso(value, nullable, out)?,
            Self::Instant => match temporal::datetime(value) {
                Read::NoDate => no_date(nullable, b"\"1970-01-01T00:00:00Z\"", out),
                _ => string(value, out),
            },
            Self::SqlInstant => quoted(out, |out| {
                let start = out.len();
                out.extend_from_slice(value.strip_suffix(b"Z").unwrap_or(value));
                if let Some(t) = out[start..].iter_mut().find(|b| **b == b'T') {
                    *t = b' ';
                }
            }),
            Self::LabelNumber(numbers) => match numbers.get(value) {
                Some(number) => unsigned(*number, out),
                // a value that was not valid
                None if value.is_empty() => out.push(b'0'),
                None => return None,
            },
            Self::LabelBits(numbers) => {
                let labels = value.split(|b| *b == b',').filter(|_| !value.is_empty());
                unsigned(labels.map(|label| numbers.get(label)).try_fold(0, |sum, bit| Some(sum | bit?))?, out);
            }
            Self::LabelList => {
                out.push(b'[');
                for (i, label) in value.split(|b| *b == b',').filter(|_| !value.is_empty()).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    string(label, out);
                }
                out.push(b']');
            }
            Self::Text | Self::Latin1 => string(value, out),
            _ => return None,
        }
        Some(())
    }
}

fn json_null(out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(b"null");
    Some(())
}

/// What stands for a date that no calendar has: null, or where that may not be, 1970.
fn no_date(nullable: bool, epoch: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(if nullable { b"null" } else { epoch });
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// Appends bytes as a string.
fn binary(value: &[u8], mode: BinaryMode, out: &mut Vec<u8>) {
    quoted(out, |out| match mode {
        BinaryMode::Base64 | BinaryMode::Bytes => json::base64(value, out),
        BinaryMode::Base64UrlSafe => {
            let start = out.len();
            out.resize(start + value.len().div_ceil(3) * 4, 0);
            if URL_SAFE.encode_slice(value, &mut out[start..]).is_err() {
                unreachable!("padded base64 takes four characters for every three bytes begun");
            }
        }
        BinaryMode::Hex => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend(value.iter().flat_map(|b| [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]));
        }
    });
}

/// Appends bytes as the characters of the same numbers.
fn latin1(value: &[u8], out: &mut Vec<u8>) {
    quoted(out, |out| {
        for byte in value {
            if byte.is_ascii() {
                escaped(&[*byte], 0, 1, out);
            } else {
                out.extend_from_slice(&[0xc0 | byte >> 6, 0x80 | byte & 0x3f]);
            }
        }
    });
}

/// Appends a JSON document on one line.
fn document(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    serde_json::from_slice::<IgnoredAny>(value).ok()?;
    // in JSON, the end of a line stands between values only
    out.extend(value.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    Some(())
}

fn floats(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (numbers, rest) = value.as_chunks::<4>();
    rest.is_empty().then_some(())?;
    out.push(b'[');
    for (i, bytes) in numbers.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let number = f32::from_le_bytes(*bytes);
        json::float(number, number.is_finite(), out);
    }
    out.push(b']');
    Some(())
}

fn geometry_in(form: GeometryForm, value: &[u8], mode: BinaryMode, out: &mut Vec<u8>) -> Option<()> {
    let (srid, wkb) = geometry::parts(value)?;
    match form {
        GeometryForm::Wkb => binary(wkb, mode, out),
        GeometryForm::Ewkb => {
            let mut ewkb = Vec::with_capacity(wkb.len() + 4);
            geometry::ewkb(srid, wkb, &mut ewkb)?;
            binary(&ewkb, mode, out);
        }
        GeometryForm::GeoJson => {
            let mut text = Vec::new();
            geometry::geojson(wkb, &mut text)?;
            string(&text, out);
        }
        GeometryForm::Wkt => {
            out.push(b'"');
            geometry::wkt(wkb, out)?;
            out.push(b'"');
        }
        GeometryForm::Object => {
            out.extend_from_slice(b"{\"wkb\":");
            binary(wkb, mode, out);
            out.extend_from_slice(b",\"srid\":");
            if srid == 0 {
                out.extend_from_slice(b"null");
            } else {
                unsigned(srid.into(), out);
            }
            out.push(b'}');
        }
    }
    Some(())
}

/// Appends a date, a time or both as ISO 8601, in UTC.
fn iso(value: &[u8], nullable: bool, out: &mut Vec<u8>) -> Option<()> {
    let middle = value.iter().position(|b| *b == b' ');
    let (date, time) = match middle {
        Some(middle) => (Some(&value[..middle]), Some(&value[middle + 1..])),
        None if value.contains(&b':') => (None, Some(value)),
        None => (Some(value), None),
    };
    match date.map(temporal::date) {
        Some(Read::Bad) => return None,
        Some(Read::NoDate) => {
            let epoch: &[u8] = if time.is_some() { b"\"1970-01-01T00:00:00Z\"" } else { b"\"1970-01-01Z\"" };
            no_date(nullable, epoch, out);
            return Some(());
        }
        Some(Read::Value(_)) | None => {}
    }
    quoted(out, |out| {
        out.extend_from_slice(date.unwrap_or_default());
        if date.is_some() && time.is_some() {
            out.push(b'T');
        }
        let mut time = time.unwrap_or_default();
        if time.contains(&b'.') {
            while let Some(shorter) = time.strip_suffix(b"0") {
                time = shorter;
            }
            time = time.strip_suffix(b".").unwrap_or(time);
        }
        out.extend_from_slice(time);
        out.push(b'Z');
    });
    Some(())
}
