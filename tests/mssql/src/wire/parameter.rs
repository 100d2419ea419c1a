//! What clients send: numbers, texts, typed parameters.

use std::{io, sync::Arc};

use crate::value::{Collation, Datum, Kind, Type, text};

/// Reads a message; a message that is too short is an error of the connection.
pub struct Reader<'a> {
    bytes: &'a [u8],
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message that ends too early")
}

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes that are left.
    pub fn left(&self) -> usize {
        self.bytes.len()
    }

    /// The next byte, which stays.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    /// So many bytes.
    pub fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(short)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| short())
    }

    /// A byte.
    pub fn u8(&mut self) -> io::Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes.
    pub fn u16(&mut self) -> io::Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A text of so many units.
    pub fn text(&mut self, units: usize) -> io::Result<String> {
        Ok(String::from_utf16_lossy(&wide(self.take(units * 2)?)))
    }

    fn partial(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.u64()? == u64::MAX {
            return Ok(None);
        }
        let mut found = Vec::new();
        loop {
            let length = self.u32()? as usize;
            if length == 0 {
                return Ok(Some(found));
            }
            found.extend_from_slice(self.take(length)?);
        }
    }

    fn counted(&mut self, longest: u16) -> io::Result<Option<Vec<u8>>> {
        if longest == 0xFFFF {
            return self.partial();
        }
        match self.u16()? {
            0xFFFF => Ok(None),
            length => Ok(Some(self.take(usize::from(length))?.to_vec())),
        }
    }
}

/// UTF-16 units of bytes.
pub fn wide(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn whole(bytes: &[u8]) -> i64 {
    match bytes {
        [a] => i64::from(*a),
        [a, b] => i64::from(i16::from_le_bytes([*a, *b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([*a, *b, *c, *d])),
        other => other.try_into().map(i64::from_le_bytes).unwrap_or(0),
    }
}

fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

fn unknown(token: u8) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a parameter of the type {token:#04x}"))
}

fn code_page(collation: [u8; 5]) -> (u16, &'static Collation) {
    // the language decides, but for UTF-8
    let flags = u32::from_le_bytes([collation[0], collation[1], collation[2], collation[3]]);
    if flags >> 26 & 1 == 1 {
        return (65001, Collation::of_server());
    }
    (1252, Collation::of_server())
}

/// A parameter: its type and its value.
pub fn read(reader: &mut Reader<'_>) -> io::Result<(Type, Datum)> {
    let token = reader.u8()?;
    let (kind, value) = match token {
        0x1F => (Kind::Int, Datum::Null),
        0x30 => (Kind::TinyInt, Datum::Int(i64::from(reader.u8()?))),
        0x32 => (Kind::Bit, Datum::Bit(reader.u8()? != 0)),
        0x34 => (Kind::SmallInt, Datum::Int(whole(reader.take(2)?))),
        0x38 => (Kind::Int, Datum::Int(whole(reader.take(4)?))),
        0x7F => (Kind::BigInt, Datum::Int(whole(reader.take(8)?))),
        0x3B => (Kind::Real, Datum::Real(f32::from_le_bytes(reader.array()?))),
        0x3E => (Kind::Float, Datum::Float(f64::from_le_bytes(reader.array()?))),
        0x26 => {
            let kind = match reader.u8()? {
                1 => Kind::TinyInt,
                2 => Kind::SmallInt,
                4 => Kind::Int,
                _ => Kind::BigInt,
            };
            let length = usize::from(reader.u8()?);
            (kind, if length == 0 { Datum::Null } else { Datum::Int(whole(reader.take(length)?)) })
        }
        0x68 => {
            reader.u8()?;
            (Kind::Bit, if reader.u8()? == 0 { Datum::Null } else { Datum::Bit(reader.u8()? != 0) })
        }
        0x6D => {
            let kind = if reader.u8()? == 4 { Kind::Real } else { Kind::Float };
            let value = match reader.u8()? {
                0 => Datum::Null,
                4 => Datum::Real(f32::from_le_bytes(reader.array()?)),
                _ => Datum::Float(f64::from_le_bytes(reader.array()?)),
            };
            (kind, value)
        }
        0x6E => {
            let kind = if reader.u8()? == 4 { Kind::SmallMoney } else { Kind::Money };
            let value = match reader.u8()? {
                0 => Datum::Null,
                4 => Datum::Money(whole(reader.take(4)?)),
                _ => {
                    let (high, low) = (whole(reader.take(4)?), reader.u32()?);
                    Datum::Money(high << 32 | i64::from(low))
                }
            };
            (kind, value)
        }
        0x6F => {
            let kind = if reader.u8()? == 4 { Kind::SmallDateTime } else { Kind::DateTime };
            let value = match reader.u8()? {
                0 => Datum::Null,
                4 => Datum::SmallDateTime(reader.u16()?, reader.u16()?),
                _ => Datum::DateTime(whole(reader.take(4)?) as i32, reader.u32()?),
            };
            (kind, value)
        }
        0x6A | 0x6C => {
            reader.u8()?;
            let (precision, scale) = (reader.u8()?, reader.u8()?);
            let value = match usize::from(reader.u8()?) {
                0 => Datum::Null,
                length => {
                    let negative = reader.u8()? == 0;
                    let digits = reader.take(length - 1)?.iter().rev().fold(0_i128, |n, b| n << 8 | i128::from(*b));
                    Datum::Decimal(if negative { -digits } else { digits }, scale)
                }
            };
            (Kind::Decimal(precision, scale), value)
        }
        0x24 => {
            reader.u8()?;
            (Kind::UniqueIdentifier, if reader.u8()? == 0 { Datum::Null } else { Datum::Guid(reader.array()?) })
        }
        0x28 => (Kind::Date, if reader.u8()? == 0 { Datum::Null } else { Datum::Date(unsigned(reader.take(3)?) as i32) }),
        0x29..=0x2B => time(reader, token)?,
        0xE7 | 0xEF | 0xA7 | 0xAF => {
            let longest = reader.u16()?;
            let (page, _) = code_page(reader.array()?);
            let bytes = reader.counted(longest)?;
            let wide_text = matches!(token, 0xE7 | 0xEF);
            let length = if longest == 0xFFFF { None } else { Some((longest / if wide_text { 2 } else { 1 }).max(1)) };
            let kind = if wide_text { Kind::NVarChar(length) } else { Kind::VarChar(length) };
            (kind, texts(bytes, wide_text, page))
        }
        0x63 | 0x23 => {
            reader.u32()?;
            let (page, _) = code_page(reader.array()?);
            let bytes = match reader.u32()? {
                u32::MAX => None,
                length => Some(reader.take(length as usize)?.to_vec()),
            };
            (if token == 0x63 { Kind::NVarChar(None) } else { Kind::VarChar(None) }, texts(bytes, token == 0x63, page))
        }
        0xA5 | 0xAD => {
            let longest = reader.u16()?;
            let bytes = reader.counted(longest)?;
            let kind = Kind::VarBinary(if longest == 0xFFFF { None } else { Some(longest.max(1)) });
            (kind, bytes.map_or(Datum::Null, |b| Datum::Bytes(b.into())))
        }
        0x22 => {
            reader.u32()?;
            let value = match reader.u32()? {
                u32::MAX => Datum::Null,
                length => Datum::bytes(reader.take(length as usize)?),
            };
            (Kind::VarBinary(None), value)
        }
        0xF1 => {
            if reader.u8()? != 0 {
                return Err(unknown(token));
            }
            (Kind::Xml, reader.partial()?.map_or(Datum::Null, |b| Datum::Text(wide(&b).into())))
        }
        _ => return Err(unknown(token)),
    };
    Ok((kind.into(), value))
}

fn texts(bytes: Option<Vec<u8>>, wide_text: bool, page: u16) -> Datum {
    let units: Option<Arc<[u16]>> =
        bytes.map(|bytes| if wide_text { wide(&bytes).into() } else { text::decode(&bytes, page).unwrap_or_default().into() });
    units.map_or(Datum::Null, Datum::Text)
}

fn time(reader: &mut Reader<'_>, token: u8) -> io::Result<(Kind, Datum)> {
    let scale = reader.u8()?;
    let unit = 10_u64.pow(u32::from(7 - scale.min(7)));
    let length = usize::from(reader.u8()?);
    let kind = match token {
        0x29 => Kind::Time(scale),
        0x2A => Kind::DateTime2(scale),
        _ => Kind::DateTimeOffset(scale),
    };
    if length == 0 {
        return Ok((kind, Datum::Null));
    }
    let of_day = length.checked_sub(match token {
        0x29 => 0,
        0x2A => 3,
        _ => 5,
    });
    let ticks = unsigned(reader.take(of_day.ok_or_else(short)?)?) * unit;
    Ok((
        kind,
        match token {
            0x29 => Datum::Time(ticks),
            0x2A => Datum::DateTime2(unsigned(reader.take(3)?) as i32, ticks),
            _ => {
                let days = unsigned(reader.take(3)?) as i32;
                Datum::DateTimeOffset(days, ticks, reader.u16()? as i16)
            }
        },
    ))
}
