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
//! | absent: not sent by the source | no member |
//!
//! Strings are escaped as [`sluicegate_model::json`] says.

use base64::{Engine, engine::general_purpose::STANDARD};

use sluicegate_model::{
    change::{Column, Values},
    json::{escaped, string},
};

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
    pub(super) fn before_literal(&self, out: &mut Vec<u8>) {
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
            // what is absent has no member: nobody may take it for null
            if !column.is_absent(row) {
                null(name, out);
            }
            continue;
        }
        value(&column.values, row, name, out);
    }
}

/// Appends a member that is null.
#[inline]
pub(super) fn null(name: &Name, out: &mut Vec<u8>) {
    name.before_literal(out);
    out.extend_from_slice(b"null");
}

/// Appends a member with the value of row `row`, which is not null.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a call for each value costs a tenth of the encoding")]
pub(super) fn value(values: &Values, row: usize, name: &Name, out: &mut Vec<u8>) {
    match values {
        Values::Text(text) => {
            name.before_string(out);
            escaped(&text.data, text.offsets[row] as usize, text.offsets[row + 1] as usize, out);
            out.push(b'"');
        }
        Values::Int64(v) => {
            name.before_literal(out);
            signed(v[row], out);
        }
        Values::UInt64(v) => {
            name.before_literal(out);
            unsigned(v[row], out);
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

/// Appends an integer.
#[inline]
pub(super) fn signed(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(value.unsigned_abs(), out);
}

/// Appends an integer. Its digits are written where they stay: to copy them right after they were written one by one
/// would wait until they have all left the store buffer.
#[inline]
pub(super) fn unsigned(value: u64, out: &mut Vec<u8>) {
    let end = out.len() + value.checked_ilog10().unwrap_or(0) as usize + 1;
    let start = out.len();
    out.extend_from_slice(&[b'0'; 20]);
    out.truncate(end);
    let mut rest = value;
    let mut pairs = out[start..].rchunks_exact_mut(2);
    for pair in &mut pairs {
        pair.copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    if let [first] = pairs.into_remainder() {
        *first = b'0' + rest as u8;
    }
}

/// The two digits of every number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

/// Appends row `row` of values that are numbers.
pub(super) fn number(values: &Values, row: usize, out: &mut Vec<u8>) {
    match values {
        Values::Int64(v) => signed(v[row], out),
        Values::UInt64(v) => unsigned(v[row], out),
        Values::Float32(v) => float(v[row], v[row].is_finite(), out),
        Values::Float64(v) => float(v[row], v[row].is_finite(), out),
        Values::Boolean(_) | Values::Text(_) | Values::Bytes(_) => unreachable!("told apart before"),
    }
}

/// Appends a number of floating point, or null when it is not `finite`.
#[inline]
pub(super) fn float(value: impl zmij::Float, finite: bool, out: &mut Vec<u8>) {
    if finite {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

pub(super) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    if STANDARD.encode_slice(bytes, &mut out[start..]).is_err() {
        unreachable!("padded base64 takes four characters for every three bytes begun");
    }
}
