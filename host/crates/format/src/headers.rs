//! Headers: columns that are delivered beside the record, not in it.
//!
//! A header's value is the text that [`super::json`] writes, without quotes and escapes; bytes stay bytes. What is null
//! in JSON (NULL, NaN, infinities) sets no header. Where a sink has no headers of its own, they are an object of strings
//! in the record, in which bytes are base64.

use super::json;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Column, Place, Table, Values},
    json::string,
    limits::Limits,
};

/// How many headers a record may have, and of how many bytes.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    count: usize,
    bytes: usize,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        Self { count: limits.record_headers, bytes: limits.record_header_bytes }
    }
}

/// The header columns of a table version.
pub(super) struct Plan {
    columns: Vec<(usize, Box<str>)>,
    table: String,
}

/// The error of a table with header columns where `whatever` has no place for them.
pub(super) fn no_place(table: &Table, whatever: &str) -> Error {
    let what = format!("plugins deliver columns of table {} as headers, and {whatever} has no place for them", table.name);
    Error::new(ErrorKind::Sink, what).remedy("let the plugins deliver them as columns, or use a format of JSON")
}

impl Plan {
    pub(super) fn new(table: &Table) -> Self {
        let columns = table.columns.iter().enumerate().filter(|(_, c)| c.place == Place::Header);
        Self { columns: columns.map(|(i, c)| (i, c.name.as_str().into())).collect(), table: table.name.to_string() }
    }

    /// Hands the row's headers to `each`: name, value, and whether the value is bytes and not text.
    ///
    /// # Errors
    /// `Record`: there are too many of them; `each` has seen some.
    pub(super) fn each(&self, columns: &[Column], row: u32, bounds: Bounds, mut each: impl FnMut(&str, &[u8], bool)) -> Result<()> {
        let row = row as usize;
        let (mut count, mut bytes) = (0, 0);
        let mut number = Vec::new();
        for (column, name) in &self.columns {
            let column = &columns[*column];
            if column.nulls.get(row) {
                continue;
            }
            number.clear();
            let value = match &column.values {
                Values::Text(strings) | Values::Bytes(strings) => strings.get(row),
                Values::Boolean(v) if v[row] == 0 => b"false",
                Values::Boolean(_) => b"true",
                Values::Float32(v) if !v[row].is_finite() => continue,
                Values::Float64(v) if !v[row].is_finite() => continue,
                values => {
                    json::number(values, row, &mut number);
                    &number
                }
            };
            count += 1;
            bytes += name.len() + value.len();
            if count > bounds.count {
                return Err(Error::new(
                    ErrorKind::Record,
                    format!("a record of table {} would have more than {} headers", self.table, bounds.count),
                )
                .remedy("let the plugins deliver fewer columns as headers, or raise `limits.record_headers`"));
            }
            if bytes > bounds.bytes {
                return Err(Error::new(
                    ErrorKind::Record,
                    format!("the headers of a record of table {} would have more than {} bytes", self.table, bounds.bytes),
                )
                .remedy("let the plugins deliver smaller columns as headers, or raise `limits.record_header_bytes`"));
            }
            each(name, value, matches!(column.values, Values::Bytes(_)));
        }
        Ok(())
    }

    /// Puts them into the record that ends `out`, before its closing brace, as member `name`.
    pub(super) fn insert(&self, name: &str, columns: &[Column], row: u32, bounds: Bounds, out: &mut Vec<u8>) -> Result<()> {
        out.pop();
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":{");
        let mut lead = None;
        self.each(columns, row, bounds, |name, value, bytes| {
            out.extend(lead.replace(b','));
            string(name.as_bytes(), out);
            out.push(b':');
            if bytes {
                out.push(b'"');
                json::base64(value, out);
                out.push(b'"');
            } else {
                string(value, out);
            }
        })?;
        out.extend_from_slice(b"}}");
        Ok(())
    }
}
