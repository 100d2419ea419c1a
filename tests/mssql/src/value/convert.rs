//! Conversions between types, with the server's errors.

use std::sync::Arc;

use super::{Datum, Kind, Type, number, text, time};
use crate::error::{Ends, Result, SqlError};

/// The value as another type: what CAST does, and CONVERT with a style.
pub fn convert(value: &Datum, from: &Type, to: &Type, style: Option<i64>) -> Result<Datum> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    if let Datum::Variant(inner) = value {
        return if to.kind == Kind::Variant { Ok(value.clone()) } else { convert(&inner.1, &inner.0, to, style) };
    }
    let fails = || {
        let text = format!("Error converting data type {} to {}.", from.kind.name(), to.kind.name());
        SqlError::new(8114, text).state(5).ends(Ends::Batch)
    };
    let forbidden = || {
        let text = format!("Explicit conversion from data type {} to {} is not allowed.", from.kind.name(), to.kind.name());
        SqlError::new(529, text).state(2)
    };
    match to.kind {
        Kind::Variant if from.kind.is_large() => Err(forbidden()),
        Kind::Variant => Ok(Datum::Variant(Arc::new((*from, value.clone())))),
        Kind::Bit => match number_of(value, from, to)? {
            Some(Number::Exact(digits, _)) => Ok(Datum::Bit(digits != 0)),
            Some(Number::Float(f)) => Ok(Datum::Bit(f != 0.0)),
            None => Err(fails()),
        },
        Kind::TinyInt | Kind::SmallInt | Kind::Int | Kind::BigInt => {
            let (low, high) = match to.kind {
                Kind::TinyInt => (0, 255),
                Kind::SmallInt => (i64::from(i16::MIN), i64::from(i16::MAX)),
                Kind::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
                _ => (i64::MIN, i64::MAX),
            };
            let whole = match number_of(value, from, to)? {
                // fractions are cut off
                Some(Number::Exact(digits, scale)) => digits / number::power(scale),
                Some(Number::Float(f)) if f.is_finite() => f.trunc() as i128,
                _ => return Err(fails()),
            };
            i64::try_from(whole).ok().filter(|n| (low..=high).contains(n)).map(Datum::Int).ok_or_else(|| {
                let text = format!("Arithmetic overflow error converting expression to data type {}.", to.kind.name());
                SqlError::new(8115, text).state(2)
            })
        }
        Kind::Decimal(precision, scale) => match number_of(value, from, to)? {
            Some(Number::Exact(digits, from)) => Ok(Datum::Decimal(number::fit(number::rescale(digits, from, scale)?, precision)?, scale)),
            Some(Number::Float(f)) => {
                let printed = format!("{f:.*}", usize::from(scale));
                let (digits, _) = number::parse(&printed).ok_or_else(fails)?;
                Ok(Datum::Decimal(number::fit(digits, precision)?, scale))
            }
            None => Err(fails()),
        },
        Kind::Money | Kind::SmallMoney => {
            let digits = match number_of(value, from, to)? {
                Some(Number::Exact(digits, from)) => number::rescale(digits, from, 4)?,
                Some(Number::Float(f)) => (f * 10_000.0).round() as i128,
                None => return Err(fails()),
            };
            let fits = |n: &i64| to.kind == Kind::Money || i32::try_from(*n).is_ok();
            i64::try_from(digits).ok().filter(fits).map(Datum::Money).ok_or_else(|| {
                SqlError::new(8115, format!("Arithmetic overflow error converting expression to data type {}.", to.kind.name())).state(4)
            })
        }
        Kind::Float | Kind::Real => {
            let f = match number_of(value, from, to)? {
                Some(Number::Exact(digits, scale)) => number::print(digits, scale).parse().unwrap_or(0.0),
                Some(Number::Float(f)) => f,
                None => return Err(fails()),
            };
            Ok(if to.kind == Kind::Real { Datum::Real(f as f32) } else { Datum::Float(f) })
        }
        Kind::Char(_)
        | Kind::VarChar(_)
        | Kind::NChar(_)
        | Kind::NVarChar(_)
        | Kind::Text
        | Kind::NText
        | Kind::Xml
        | Kind::Json
        | Kind::Vector(_) => {
            let units: Arc<[u16]> = match value {
                Datum::Text(units) => units.clone(),
                Datum::Bytes(bytes) => bytes_as_text(bytes, from, to, style.unwrap_or(0))?,
                other => print(other, from, style)?.encode_utf16().collect(),
            };
            // a number that does not fit is no text at all
            let length = text_length(&units, to)?;
            if matches!(value, Datum::Int(_) | Datum::Decimal(..)) && longest(to.kind).is_some_and(|most| length > most) {
                let text = format!("Arithmetic overflow error converting expression to data type {}.", to.kind.name());
                return Err(SqlError::new(8115, text).state(2));
            }
            Ok(Datum::Text(shaped(&units, to)?))
        }
        Kind::Binary(_) | Kind::VarBinary(_) | Kind::Image | Kind::RowVersion => {
            let bytes: Vec<u8> = match (value, from.kind) {
                (Datum::Bytes(bytes), _) => bytes.to_vec(),
                (Datum::Text(units), _) if matches!(style, Some(1 | 2)) => {
                    hex(&String::from_utf16_lossy(units), style == Some(1)).ok_or_else(fails)?
                }
                (Datum::Text(units), kind) if kind.is_wide() => units.iter().flat_map(|u| u.to_le_bytes()).collect(),
                (Datum::Text(units), _) => text::encode(units, from.collation.code_page)?,
                (Datum::Int(n), Kind::TinyInt) => vec![*n as u8],
                (Datum::Int(n), Kind::SmallInt) => (*n as i16).to_be_bytes().into(),
                (Datum::Int(n), Kind::Int) => (*n as i32).to_be_bytes().into(),
                (Datum::Int(n) | Datum::Money(n), _) => n.to_be_bytes().into(),
                (Datum::Bit(b), _) => vec![u8::from(*b)],
                (Datum::Guid(guid), _) => guid.to_vec(),
                _ => return Err(SqlError::unsupported(format_args!("{} as {}", from.kind.name(), to.kind.name()))),
            };
            let number = matches!(value, Datum::Int(_) | Datum::Money(_) | Datum::Bit(_));
            Ok(match (to.kind, longest(to.kind)) {
                // numbers keep their last bytes, anything else its first
                (Kind::Binary(n), _) if number && bytes.len() < usize::from(n) => {
                    let mut padded = vec![0; usize::from(n) - bytes.len()];
                    padded.extend(bytes);
                    Datum::bytes(&padded)
                }
                (_, Some(most)) if number && bytes.len() > most => Datum::bytes(&bytes[bytes.len() - most..]),
                (Kind::Binary(n), _) => {
                    let mut bytes = bytes;
                    bytes.resize(usize::from(n), 0);
                    Datum::bytes(&bytes)
                }
                (_, most) => Datum::bytes(&bytes[..bytes.len().min(most.unwrap_or(usize::MAX))]),
            })
        }
        Kind::Date | Kind::Time(_) | Kind::DateTime | Kind::SmallDateTime | Kind::DateTime2(_) | Kind::DateTimeOffset(_) => {
            let parts = match value {
                Datum::Text(units) => time::parse(&String::from_utf16_lossy(units)).ok_or_else(|| {
                    SqlError::new(241, "Conversion failed when converting date and/or time from character string.").ends(Ends::Batch)
                })?,
                other => time::parts(other).ok_or_else(forbidden)?,
            };
            time::make(parts, to.kind)
        }
        Kind::UniqueIdentifier => match value {
            Datum::Guid(_) => Ok(value.clone()),
            Datum::Text(units) => guid(&String::from_utf16_lossy(units)).map(Datum::Guid).ok_or_else(|| {
                SqlError::new(8169, "Conversion failed when converting from a character string to uniqueidentifier.")
                    .state(2)
                    .ends(Ends::Batch)
            }),
            Datum::Bytes(bytes) => bytes.get(..16).and_then(|b| b.try_into().ok()).map(Datum::Guid).ok_or_else(fails),
            _ => Err(forbidden()),
        },
        Kind::HierarchyId | Kind::Geometry | Kind::Geography => match value {
            Datum::Bytes(_) => Ok(value.clone()),
            _ => Err(SqlError::unsupported(format_args!("{} from anything but its bytes", to.kind.name()))),
        },
    }
}

/// A text as a value, as a literal assigned to a column is.
pub fn literal(text: &str, to: &Type) -> Result<Datum> {
    let from = Type { kind: Kind::NVarChar(None), collation: to.collation };
    convert(&Datum::text(text), &from, to, None)
}

/// A value that is stored or compared as the other type: the same, but nothing may be cut off.
pub fn assign(value: &Datum, from: &Type, to: &Type) -> Result<Datum> {
    let implicit = |kind: Kind| matches!(kind, Kind::DateTime | Kind::SmallDateTime | Kind::Date | Kind::DateTime2(_));
    if implicit(from.kind) && to.kind.is_integer() || from.kind.is_text() && to.kind.is_binary() {
        let text = format!(
            "Implicit conversion from data type {} to {} is not allowed. Use the CONVERT function to run this query.",
            from.kind.name(),
            to.kind.name()
        );
        return Err(SqlError::new(257, text).state(3).ends(Ends::Batch));
    }
    let too_long = match value {
        Datum::Text(units) if to.kind.is_text() => {
            let end = units.iter().rposition(|u| *u != 0x20).map_or(0, |at| at + 1);
            longest(to.kind).is_some_and(|most| text_length(units.get(..end).unwrap_or_default(), to).is_ok_and(|n| n > most))
        }
        Datum::Bytes(bytes) if to.kind.is_binary() => {
            let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
            longest(to.kind).is_some_and(|most| end > most)
        }
        _ => false,
    };
    if too_long {
        return Err(SqlError::new(8152, "String or binary data would be truncated.").state(30));
    }
    convert(value, from, to, None)
}

fn longest(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Char(n) | Kind::NChar(n) | Kind::Binary(n) => Some(usize::from(n)),
        Kind::VarChar(n) | Kind::NVarChar(n) | Kind::VarBinary(n) => n.map(usize::from),
        Kind::RowVersion => Some(8),
        _ => None,
    }
}

/// In the unit of the type's length: bytes for char and varchar, UTF-16 units for the others.
fn text_length(units: &[u16], of: &Type) -> Result<usize> {
    Ok(if of.kind.is_wide() { units.len() } else { text::encode(units, of.collation.code_page)?.len() })
}

/// Cut and padded as the type has it; what its code page lacks is replaced.
fn shaped(units: &Arc<[u16]>, to: &Type) -> Result<Arc<[u16]>> {
    let mut units = units.clone();
    if to.kind.is_text() && !to.kind.is_wide() && units.iter().any(|u| *u >= 0x80) {
        let mut bytes = text::encode(&units, to.collation.code_page)?;
        if let Some(most) = longest(to.kind) {
            bytes.truncate(most);
        }
        units = text::decode(&bytes, to.collation.code_page)?.into();
    }
    let Some(most) = longest(to.kind) else { return Ok(units) };
    if units.len() > most {
        units = units.get(..most).unwrap_or_default().into();
    }
    let have = text_length(&units, to)?;
    if matches!(to.kind, Kind::Char(_) | Kind::NChar(_)) && have < most {
        let mut padded = units.to_vec();
        padded.extend(std::iter::repeat_n(0x20, most - have));
        units = padded.into();
    }
    Ok(units)
}

fn bytes_as_text(bytes: &[u8], from: &Type, to: &Type, style: i64) -> Result<Arc<[u16]>> {
    let digits = || bytes.iter().map(|b| format!("{b:02X}")).collect::<String>();
    match style {
        _ if from.kind.is_clr() => Err(SqlError::unsupported(format_args!("{} as text", from.kind.name()))),
        1 => Ok(format!("0x{}", digits()).encode_utf16().collect()),
        2 => Ok(digits().encode_utf16().collect()),
        0 if to.kind.is_wide() => {
            let pairs = bytes.chunks(2).map(|pair| u16::from(pair[0]) | pair.get(1).map_or(0, |high| u16::from(*high) << 8));
            Ok(pairs.collect())
        }
        0 => Ok(text::decode(bytes, to.collation.code_page)?.into()),
        _ => Err(SqlError::unsupported(format_args!("bytes as text in style {style}"))),
    }
}

enum Number {
    Exact(i128, u8),
    Float(f64),
}

fn number_of(value: &Datum, from: &Type, to: &Type) -> Result<Option<Number>> {
    Ok(Some(match value {
        Datum::Bit(b) => Number::Exact(i128::from(*b), 0),
        Datum::Int(n) => Number::Exact(i128::from(*n), 0),
        Datum::Decimal(digits, scale) => Number::Exact(*digits, *scale),
        Datum::Money(n) => Number::Exact(i128::from(*n), 4),
        Datum::Float(f) => Number::Float(*f),
        Datum::Real(f) => Number::Float(f64::from(*f)),
        Datum::Bytes(bytes) if to.kind.is_integer() => {
            let tail = bytes.get(bytes.len().saturating_sub(8)..).unwrap_or_default();
            let wide = tail.iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
            let n = match to.kind {
                Kind::TinyInt => i64::from(wide as u8),
                Kind::SmallInt => i64::from(wide as i16),
                Kind::Int => i64::from(wide as i32),
                _ => wide as i64,
            };
            Number::Exact(i128::from(n), 0)
        }
        Datum::Text(units) => {
            let text = String::from_utf16_lossy(units);
            let text = text.trim();
            let bad = || {
                let message = match to.kind {
                    Kind::BigInt | Kind::Decimal(..) | Kind::Float | Kind::Real => {
                        let text = format!("Error converting data type {} to {}.", from.kind.name(), to.kind.name());
                        return SqlError::new(8114, text).state(5).ends(Ends::Batch);
                    }
                    Kind::Money | Kind::SmallMoney => {
                        return SqlError::new(235, "Cannot convert a char value to money. The char value has incorrect syntax.")
                            .ends(Ends::Batch);
                    }
                    _ => format!(
                        "Conversion failed when converting the {} value '{text}' to data type {}.",
                        from.kind.name(),
                        to.kind.name()
                    ),
                };
                SqlError::new(245, message).ends(Ends::Batch)
            };
            if text.is_empty() && !matches!(to.kind, Kind::Decimal(..)) {
                return Ok(Some(Number::Exact(0, 0)));
            }
            if to.kind == Kind::Bit && text.eq_ignore_ascii_case("true") {
                return Ok(Some(Number::Exact(1, 0)));
            }
            if to.kind == Kind::Bit && text.eq_ignore_ascii_case("false") {
                return Ok(Some(Number::Exact(0, 0)));
            }
            if matches!(to.kind, Kind::Float | Kind::Real) {
                return text.parse().ok().filter(|f: &f64| f.is_finite()).map(|f| Some(Number::Float(f))).ok_or_else(bad);
            }
            let (digits, scale) = number::parse(text).ok_or_else(bad)?;
            if to.kind.is_integer() && scale > 0 {
                return Err(bad());
            }
            Number::Exact(digits, scale)
        }
        _ => return Ok(None),
    }))
}

/// A value as text, as CAST and CONVERT print it.
pub fn print(value: &Datum, of: &Type, style: Option<i64>) -> Result<String> {
    let style_or = |default: i64| style.unwrap_or(default);
    Ok(match value {
        Datum::Bit(b) => i64::from(*b).to_string(),
        Datum::Int(n) => n.to_string(),
        Datum::Decimal(digits, scale) => number::print(*digits, *scale),
        Datum::Money(n) => match style_or(0) {
            0 => number::print(number::rescale(i128::from(*n), 4, 2)?, 2),
            2 => number::print(i128::from(*n), 4),
            style => return Err(SqlError::unsupported(format_args!("money as text in style {style}"))),
        },
        Datum::Float(f) => match style_or(0) {
            0 => number::print_float(*f, 6),
            2 => number::print_float(*f, 16),
            3 => number::print_float(*f, 17),
            style => return Err(SqlError::unsupported(format_args!("float as text in style {style}"))),
        },
        Datum::Real(f) => match style_or(0) {
            0 => number::print_float(f64::from(*f), 6),
            2 => number::print_float(f64::from(*f), 8),
            3 => number::print_float(f64::from(*f), 9),
            style => return Err(SqlError::unsupported(format_args!("real as text in style {style}"))),
        },
        Datum::Text(units) => String::from_utf16_lossy(units),
        Datum::Guid(guid) => print_guid(guid),
        Datum::Date(_)
        | Datum::Time(_)
        | Datum::DateTime(..)
        | Datum::SmallDateTime(..)
        | Datum::DateTime2(..)
        | Datum::DateTimeOffset(..) => time::print(value, of.kind, style_or(0))?,
        Datum::Null | Datum::Bytes(_) | Datum::Variant(_) => {
            return Err(SqlError::unsupported(format_args!("{} printed", of.kind.name())));
        }
    })
}

/// The bytes of hexadecimal digits, behind `0x` where that must stand.
pub fn hex(text: &str, prefixed: bool) -> Option<Vec<u8>> {
    let digits = if prefixed { text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))? } else { text };
    let digits = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits.to_owned() };
    digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn guid(text: &str) -> Option<[u8; 16]> {
    let text = text.trim().trim_start_matches('{').trim_end_matches('}');
    let groups: Vec<&str> = text.get(..36)?.split('-').collect();
    if groups.iter().map(|g| g.len()).ne([8, 4, 4, 4, 12]) {
        return None;
    }
    let mut bytes = hex(&groups.concat(), false)?;
    bytes.get_mut(..4)?.reverse();
    bytes.get_mut(4..6)?.reverse();
    bytes.get_mut(6..8)?.reverse();
    bytes.try_into().ok()
}

fn print_guid(g: &[u8; 16]) -> String {
    format!(
        "{:02X}{:02X}{:02X}{:02X}-{:02X}{:02X}-{:02X}{:02X}-{:02X}{:02X}-{:02X}{:02X}{:02X}{:02X}{:02X}{:02X}",
        g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]
    )
}
