//! Values as rows have them.

use crate::{
    error::{Result, SqlError},
    execute::OutColumn,
    value::{Datum, Kind, Type, number, text},
};

/// Appends a value of a column.
pub fn push(out: &mut Vec<u8>, value: &Datum, column: &OutColumn) -> Result<()> {
    let of = &column.of;
    if value.is_null() {
        return null(out, column);
    }
    let fixed = !column.nullable;
    let short = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.push(bytes.len() as u8);
        out.extend(bytes);
    };
    match of.kind {
        Kind::Bit
        | Kind::TinyInt
        | Kind::SmallInt
        | Kind::Int
        | Kind::BigInt
        | Kind::Real
        | Kind::Float
        | Kind::SmallMoney
        | Kind::Money
        | Kind::SmallDateTime
        | Kind::DateTime => {
            let bytes = bytes(value, of)?;
            if fixed {
                out.extend(bytes);
            } else {
                short(out, &bytes);
            }
        }
        Kind::Decimal(precision, _) => {
            let all = bytes(value, of)?;
            let length = number::storage(precision) as usize;
            short(out, all.get(..length).ok_or_else(|| wrong(of))?);
        }
        Kind::UniqueIdentifier | Kind::Date | Kind::Time(_) | Kind::DateTime2(_) | Kind::DateTimeOffset(_) => {
            short(out, &bytes(value, of)?);
        }
        Kind::VarChar(None)
        | Kind::NVarChar(None)
        | Kind::VarBinary(None)
        | Kind::Xml
        | Kind::Json
        | Kind::Vector(_)
        | Kind::HierarchyId
        | Kind::Geometry
        | Kind::Geography => partial(out, &bytes(value, of)?),
        Kind::Char(_) | Kind::VarChar(_) | Kind::NChar(_) | Kind::NVarChar(_) | Kind::Binary(_) | Kind::VarBinary(_) | Kind::RowVersion => {
            let bytes = bytes(value, of)?;
            out.extend(u16::try_from(bytes.len()).map_err(|_| wrong(of))?.to_le_bytes());
            out.extend(bytes);
        }
        Kind::Text | Kind::NText | Kind::Image => {
            let bytes = bytes(value, of)?;
            out.push(16);
            out.extend(b"dummy textptr\0\0\0");
            out.extend(b"dummyTS\0");
            out.extend(u32::try_from(bytes.len()).map_err(|_| wrong(of))?.to_le_bytes());
            out.extend(bytes);
        }
        Kind::Variant => variant(out, value)?,
    }
    Ok(())
}

fn wrong(of: &Type) -> SqlError {
    SqlError::unsupported(format_args!("a value that is no {of}"))
}

fn null(out: &mut Vec<u8>, column: &OutColumn) -> Result<()> {
    if !column.nullable {
        return Err(SqlError::unsupported(format_args!("NULL in the column '{}', which cannot be NULL", column.name)));
    }
    match column.of.kind {
        Kind::VarChar(None)
        | Kind::NVarChar(None)
        | Kind::VarBinary(None)
        | Kind::Xml
        | Kind::Json
        | Kind::Vector(_)
        | Kind::HierarchyId
        | Kind::Geometry
        | Kind::Geography => out.extend(u64::MAX.to_le_bytes()),
        Kind::Char(_) | Kind::VarChar(_) | Kind::NChar(_) | Kind::NVarChar(_) | Kind::Binary(_) | Kind::VarBinary(_) | Kind::RowVersion => {
            out.extend([0xFF, 0xFF]);
        }
        Kind::Variant => out.extend([0; 4]),
        _ => out.push(0),
    }
    Ok(())
}

/// A value in parts, with its whole length before them; of some size, so that drivers have to put parts together.
fn partial(out: &mut Vec<u8>, bytes: &[u8]) {
    const PART: usize = 8000;
    out.extend((bytes.len() as u64).to_le_bytes());
    for part in bytes.chunks(PART) {
        out.extend((part.len() as u32).to_le_bytes());
        out.extend(part);
    }
    out.extend([0; 4]);
}

/// Units of a time at its scale.
fn clock(time: u64, scale: u8) -> Vec<u8> {
    let count = time / 10_u64.pow(u32::from(7 - scale.min(7)));
    let length = match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    };
    count.to_le_bytes()[..length].to_vec()
}

fn day(days: i32) -> [u8; 3] {
    let [a, b, c, _] = days.to_le_bytes();
    [a, b, c]
}

fn bytes(value: &Datum, of: &Type) -> Result<Vec<u8>> {
    Ok(match (value, of.kind) {
        (Datum::Bit(b), _) => vec![u8::from(*b)],
        (Datum::Int(n), Kind::TinyInt) => vec![*n as u8],
        (Datum::Int(n), Kind::SmallInt) => (*n as i16).to_le_bytes().into(),
        (Datum::Int(n), Kind::Int) => (*n as i32).to_le_bytes().into(),
        (Datum::Int(n), Kind::BigInt) => n.to_le_bytes().into(),
        (Datum::Decimal(digits, _), _) => {
            let mut all = vec![u8::from(*digits >= 0)];
            all.extend(digits.unsigned_abs().to_le_bytes());
            all
        }
        (Datum::Money(n), Kind::SmallMoney) => i32::try_from(*n).map_err(|_| wrong(of))?.to_le_bytes().into(),
        // the high half comes first (G109)
        (Datum::Money(n), _) => [((n >> 32) as i32).to_le_bytes(), (*n as i32).to_le_bytes()].concat(),
        (Datum::Float(f), _) => f.to_le_bytes().into(),
        (Datum::Real(f), _) => f.to_le_bytes().into(),
        (Datum::Text(units), kind) if kind.is_wide() => units.iter().flat_map(|u| u.to_le_bytes()).collect(),
        (Datum::Text(units), _) => text::encode(units, of.collation.code_page)?,
        (Datum::Bytes(bytes), _) => bytes.to_vec(),
        (Datum::Date(days), _) => day(*days).into(),
        (Datum::Time(time), Kind::Time(scale)) => clock(*time, scale),
        (Datum::DateTime(days, ticks), _) => [days.to_le_bytes(), ticks.to_le_bytes()].concat(),
        (Datum::SmallDateTime(days, minutes), _) => [days.to_le_bytes(), minutes.to_le_bytes()].concat(),
        (Datum::DateTime2(days, time), Kind::DateTime2(scale)) => {
            let mut all = clock(*time, scale);
            all.extend(day(*days));
            all
        }
        (Datum::DateTimeOffset(days, time, offset), Kind::DateTimeOffset(scale)) => {
            let mut all = clock(*time, scale);
            all.extend(day(*days));
            all.extend(offset.to_le_bytes());
            all
        }
        (Datum::Guid(guid), _) => guid.to_vec(),
        _ => return Err(wrong(of)),
    })
}

/// A value with its type before it (G110).
fn variant(out: &mut Vec<u8>, value: &Datum) -> Result<()> {
    let Datum::Variant(inner) = value else { return Err(SqlError::unsupported("a variant without a type")) };
    let (of, value) = (&inner.0, &inner.1);
    let raw = bytes(value, of)?;
    let length = |n: Option<u16>, width: u16| n.map_or(8000, |n| n * width).to_le_bytes();
    let text = |n: Option<u16>, width: u16| [of.collation.wire.as_slice(), &length(n, width)].concat();
    let (token, properties): (u8, Vec<u8>) = match of.kind {
        Kind::Bit => (0x32, Vec::new()),
        Kind::TinyInt => (0x30, Vec::new()),
        Kind::SmallInt => (0x34, Vec::new()),
        Kind::Int => (0x38, Vec::new()),
        Kind::BigInt => (0x7F, Vec::new()),
        Kind::Real => (0x3B, Vec::new()),
        Kind::Float => (0x3E, Vec::new()),
        Kind::SmallMoney => (0x7A, Vec::new()),
        Kind::Money => (0x3C, Vec::new()),
        Kind::SmallDateTime => (0x3A, Vec::new()),
        Kind::DateTime => (0x3D, Vec::new()),
        Kind::UniqueIdentifier => (0x24, Vec::new()),
        Kind::Date => (0x28, Vec::new()),
        Kind::Decimal(p, s) => (0x6A, vec![p, s]),
        Kind::Time(s) => (0x29, vec![s]),
        Kind::DateTime2(s) => (0x2A, vec![s]),
        Kind::DateTimeOffset(s) => (0x2B, vec![s]),
        Kind::Char(n) => (0xAF, text(Some(n), 1)),
        Kind::VarChar(n) => (0xA7, text(n, 1)),
        Kind::NChar(n) => (0xEF, text(Some(n), 2)),
        Kind::NVarChar(n) => (0xE7, text(n, 2)),
        Kind::Binary(n) => (0xAD, length(Some(n), 1).into()),
        Kind::VarBinary(n) => (0xA5, length(n, 1).into()),
        _ => return Err(wrong(of)),
    };
    out.extend(u32::try_from(raw.len() + properties.len() + 2).map_err(|_| wrong(of))?.to_le_bytes());
    out.extend([token, properties.len() as u8]);
    out.extend(properties);
    out.extend(raw);
    Ok(())
}
