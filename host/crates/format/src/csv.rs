//! CSV (RFC 4180) for files: a record a line, which ends with CR LF, and a line of names in front.
//!
//! The columns are those of the flat form: what happened and where, then the row's, as they are after the change, for a delete as they
//! were before. NULL is an empty field without quotes, the empty text one with quotes. A field has quotes where it needs them, and where it
//! would be empty. Bytes are in base64. A file holds records of tables with the same columns only.

use std::sync::Arc;

use super::{
    encoder::{Format, Records, TableEncoder},
    flat,
    head::Stamp,
    json::{self, signed, unsigned},
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, Column, NO_IMAGE, Place, Table, TableName, TableRows, Truncate, Values, write_timestamp},
};

/// The columns in front of the table's.
const OWN: [&str; 9] = ["_op", "_database", "_schema", "_table", "_ts", "_gtid", "_file", "_pos", "_row"];

/// CSV records.
#[derive(Clone, Copy, Debug, Default)]
pub struct CsvFormat;

impl Format for CsvFormat {
    fn names_row_before(&self) -> bool {
        false
    }

    fn check(&self, table: &Table) -> Result<()> {
        if !table.has_headers() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Sink,
            format!("plugins deliver columns of table {} as headers, and CSV has no place for them", table.name),
        )
        .remedy("let the plugins deliver them as columns, or use a format of JSON"))
    }

    fn table(&self, table: &Arc<Table>) -> Box<dyn TableEncoder> {
        let columns: Vec<usize> = (0..table.columns.len()).filter(|column| table.columns[*column].place == Place::Value).collect();
        let mut header = Vec::new();
        let names = columns.iter().map(|column| flat::member_name(&table.columns[*column].name));
        for (i, name) in OWN.iter().map(|name| (*name).to_owned()).chain(names).enumerate() {
            if i > 0 {
                header.push(b',');
            }
            field(name.as_bytes(), &mut header);
        }
        header.extend_from_slice(b"\r\n");
        let mut name = b",".to_vec();
        field(table.name.database.as_bytes(), &mut name);
        name.push(b',');
        if let Some(schema) = &table.name.schema {
            field(schema.as_bytes(), &mut name);
        }
        name.push(b',');
        field(table.name.table.as_bytes(), &mut name);
        name.push(b',');
        Box::new(CsvEncoder { columns, header, front: name, name: table.name.clone() })
    }
}

/// What is constant for a table version.
struct CsvEncoder {
    columns: Vec<usize>,
    header: Vec<u8>,
    /// `,database,schema,table,`
    front: Vec<u8>,
    name: TableName,
}

impl CsvEncoder {
    fn place(&self, operation: u8, stamp: &Stamp<'_>, row: u32, out: &mut Vec<u8>) {
        out.push(operation);
        out.extend_from_slice(&self.front);
        write_timestamp(stamp.time_us, out);
        out.push(b',');
        if let Some(id) = stamp.id {
            field(id.as_bytes(), out);
        }
        out.push(b',');
        if !stamp.file.is_empty() {
            field(stamp.file.as_bytes(), out);
        }
        out.push(b',');
        unsigned(stamp.position, out);
        out.push(b',');
        unsigned(row.into(), out);
    }

    #[cold]
    fn absent(&self, rows: &TableRows, column: usize) -> Error {
        let column = rows.table.columns.get(column).map(|column| column.name.as_str()).unwrap_or_default();
        Error::new(
            ErrorKind::Record,
            format!("the source did not send column `{column}` of a row of table {}, and CSV cannot tell that from NULL", self.name),
        )
        .remedy("let the source send whole rows (mysql: binlog_row_image = FULL), use a format of JSON, or set `on_error`")
    }
}

/// Appends a text as a field. One that is empty gets quotes, so that it is not NULL.
fn field(text: &[u8], out: &mut Vec<u8>) {
    let plain = !text.is_empty() && !text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
    if plain {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    for part in text.split_inclusive(|byte| *byte == b'"') {
        out.extend_from_slice(part);
        if part.ends_with(b"\"") {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

/// Appends a value that is not null.
fn value(column: &Column, row: usize, out: &mut Vec<u8>) {
    match &column.values {
        Values::Text(text) => field(text.get(row), out),
        Values::Int64(v) => signed(v[row], out),
        Values::UInt64(v) => unsigned(v[row], out),
        Values::Boolean(v) => out.extend_from_slice(if v[row] == 0 { b"false" } else { b"true" }),
        Values::Float32(v) if !v[row].is_finite() => {}
        Values::Float64(v) if !v[row].is_finite() => {}
        Values::Bytes(bytes) if bytes.get(row).is_empty() => out.extend_from_slice(b"\"\""),
        Values::Bytes(bytes) => json::base64(bytes.get(row), out),
        values => json::number(values, row, out),
    }
}

impl TableEncoder for CsvEncoder {
    fn encode(&mut self, batch: &Batch, changes: &[Change], out: &mut dyn Records) -> Result<()> {
        for change in changes {
            let rows = &batch.tables[change.table as usize];
            let image = if change.after == NO_IMAGE { change.before } else { change.after };
            if let Some(column) = rows.first_absent(self.columns.iter().copied(), image) {
                return Err(self.absent(rows, column));
            }
            let buffer = out.buffer();
            self.place(super::code(change.operation), &Stamp::new(batch, change), change.row, buffer);
            for column in &self.columns {
                buffer.push(b',');
                let column = &rows.columns[*column];
                if !column.nulls.get(image as usize) {
                    value(column, image as usize, buffer);
                }
            }
            out.end(1)?;
        }
        Ok(())
    }

    fn file_header(&self) -> Option<&[u8]> {
        Some(&self.header)
    }

    fn truncate(&mut self, truncate: &Truncate, out: &mut dyn Records) -> Result<()> {
        let buffer = out.buffer();
        self.place(b't', &Stamp::of_event(&truncate.event, &truncate.transaction), 0, buffer);
        buffer.extend(std::iter::repeat_n(b',', self.columns.len()));
        out.end(0)
    }

    fn key(&mut self, _rows: &TableRows, _row: u32, _out: &mut Vec<u8>) -> Result<bool> {
        Ok(false)
    }

    fn row_key(&mut self, _rows: &TableRows, _row: u32, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn headers(&mut self, _rows: &TableRows, _row: u32, _each: &mut dyn FnMut(&str, &[u8])) -> Result<()> {
        Ok(())
    }
}
