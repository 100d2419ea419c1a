//! JSON text, written straight into the record's buffer: names, strings, numbers, and the columns of a row.
//!
//! | values | written as |
//! |---|---|
//! | boolean | `true`, `false` |
//! | integers, signed and unsigned | exact numbers, up to 18446744073709551615 |
//! | single and double precision | the shortest number that reads back as the same value of that precision; NaN and infinities, which JSON lacks and only a computation can yield, as `null` |
//! | text and everything carried as text (decimal, date, time, datetime, timestamp, JSON documents) | a string with exactly those characters |
//! | bytes | a string in base64 (RFC 4648, section 4, padded) |
//! | NULL | `null` |
//!
//! Strings are escaped as RFC 8259 demands and no further: `"`, `\` and the controls below U+0020.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::change::{Column, Values};

/// A member's name with everything around it, `,"name":"`, made once for a table version.
///
/// Short ones are copied as a whole array and cut: a copy of a constant size is two moves, one of a variable size a call.
pub(super) struct Name {
    short: [u8; Self::SHORT],
    text: Box<[u8]>,
}

impl Name {
    const SHORT: usize = 32;

    /// `lead` is the separator before the member: `,` or the object's `{`.
    pub(super) fn new(lead: u8, name: &str) -> Self {
        let mut text = vec![lead];
        string(name.as_bytes(), &mut text);
        text.extend_from_slice(b":\"");
        let mut short = [0; Self::SHORT];
        if let Some(start) = short.get_mut(..text.len()) {
            start.copy_from_slice(&text);
        }
        Self { short, text: text.into() }
    }

    /// Appends the name, the colon, and the quote that opens a string.
    #[inline]
    fn before_string(&self, out: &mut Vec<u8>) {
        self.put(self.text.len(), out);
    }

    /// Appends the name and the colon.
    #[inline]
    fn before_literal(&self, out: &mut Vec<u8>) {
        self.put(self.text.len() - 1, out);
    }

    #[inline]
    fn put(&self, length: usize, out: &mut Vec<u8>) {
        if self.text.len() <= Self::SHORT {
            let end = out.len() + length;
            out.extend_from_slice(&self.short);
            out.truncate(end);
        } else {
            out.extend_from_slice(&self.text[..length]);
        }
    }
}

/// One column of a row as a member of an object.
pub(super) struct Field {
    /// Its index in the table.
    pub(super) column: usize,
    /// Its name.
    pub(super) name: Name,
}

/// Appends the members of `fields` with the values of row `row`.
#[inline]
pub(super) fn members(fields: &[Field], columns: &[Column], row: u32, out: &mut Vec<u8>) {
    let row = row as usize;
    for Field { column, name } in fields {
        let column = &columns[*column];
        if column.nulls.get(row) {
            name.before_literal(out);
            out.extend_from_slice(b"null");
            continue;
        }
        match &column.values {
            Values::Text(text) => {
                name.before_string(out);
                escaped(text.get(row), out);
                out.push(b'"');
            }
            Values::Int64(v) => {
                name.before_literal(out);
                integer(v[row], out);
            }
            Values::UInt64(v) => {
                name.before_literal(out);
                integer(v[row], out);
            }
            Values::Boolean(v) => {
                name.before_literal(out);
                out.extend_from_slice(if v[row] == 0 { b"false" } else { b"true" });
            }
            Values::Float32(v) => {
                name.before_literal(out);
                float(v[row], v[row].is_finite(), out);
            }
            Values::Float64(v) => {
                name.before_literal(out);
                float(v[row], v[row].is_finite(), out);
            }
            Values::Bytes(bytes) => {
                name.before_string(out);
                base64(bytes.get(row), out);
                out.push(b'"');
            }
        }
    }
}

/// Appends an object of `fields`, whose first name was made with a leading `{`.
#[inline]
pub(super) fn object(fields: &[Field], columns: &[Column], row: u32, out: &mut Vec<u8>) {
    if fields.is_empty() {
        out.push(b'{');
    }
    members(fields, columns, row, out);
    out.push(b'}');
}

/// Appends `text` as a string with its quotes. `text` is UTF-8.
pub(super) fn string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escaped(text, out);
    out.push(b'"');
}

/// Appends an integer.
#[inline]
pub(super) fn integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[inline]
fn float(value: impl zmij::Float, finite: bool, out: &mut Vec<u8>) {
    if finite {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    if STANDARD.encode_slice(bytes, &mut out[start..]).is_err() {
        unreachable!("padded base64 takes four characters for every three bytes begun");
    }
}

/// What stands for a byte inside a string: 0 = itself, `u` = `\u00XX`, anything else = a backslash and this.
const ESCAPE: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = b'u';
        i += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Bytes that are judged and copied at once: one vector register on every target.
const LANES: usize = 16;

/// Appends UTF-8 `text`, escaped, without quotes.
#[inline]
fn escaped(text: &[u8], out: &mut Vec<u8>) {
    let (chunks, rest) = text.as_chunks::<LANES>();
    for chunk in chunks {
        if clean(chunk) {
            out.extend_from_slice(chunk);
        } else {
            escaped_slow(chunk, out);
        }
    }
    if rest.is_empty() {
        return;
    }
    let mut last = [b' '; LANES];
    last[..rest.len()].copy_from_slice(rest);
    if clean(&last) {
        let end = out.len() + rest.len();
        out.extend_from_slice(&last);
        out.truncate(end);
    } else {
        escaped_slow(rest, out);
    }
}

/// Whether nothing in the chunk needs escaping. Without an early exit, so that the compiler makes vector code of it.
#[inline]
fn clean(chunk: &[u8; LANES]) -> bool {
    let mut dirty = 0;
    for &b in chunk {
        dirty |= u8::from(b < 0x20) | u8::from(b == b'"') | u8::from(b == b'\\');
    }
    dirty == 0
}

#[inline(never)]
fn escaped_slow(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &b in text {
        match ESCAPE[b as usize] {
            0 => out.push(b),
            b'u' => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[(b >> 4) as usize], HEX[(b & 15) as usize]]),
            short => out.extend_from_slice(&[b'\\', short]),
        }
    }
}
