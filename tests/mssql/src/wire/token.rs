//! Tokens of answers.

use super::{types, value};
use crate::{
    error::{Result, SqlError},
    execute::{OutColumn, ResultSet},
};

/// More tokens of the same answer follow.
pub const MORE: u16 = 1;
/// The statement failed.
pub const ERROR: u16 = 2;
/// The number of rows counts.
pub const COUNT: u16 = 0x10;
/// The client's cancellation is acknowledged.
pub const ATTENTION: u16 = 0x20;

/// The end of a batch's statement, of a procedure's statement, of a procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Batch,
    Statement,
    Procedure,
}

/// A text with its length in one byte.
pub fn byte_text(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take(255).collect();
    out.push(units.len() as u8);
    out.extend(units.iter().flat_map(|u| u.to_le_bytes()));
}

/// A text with its length in two bytes.
pub fn short_text(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take(0xFFFF).collect();
    out.extend((units.len() as u16).to_le_bytes());
    out.extend(units.iter().flat_map(|u| u.to_le_bytes()));
}

/// DONE, DONEINPROC or DONEPROC.
pub fn done(out: &mut Vec<u8>, end: End, status: u16, count: u64) {
    out.push(match end {
        End::Batch => 0xFD,
        End::Statement => 0xFF,
        End::Procedure => 0xFE,
    });
    out.extend(status.to_le_bytes());
    out.extend(0xC1_u16.to_le_bytes());
    out.extend(count.to_le_bytes());
}

/// ERROR or INFO, and what follows it.
pub fn message(out: &mut Vec<u8>, error: &SqlError) {
    let mut body = Vec::new();
    body.extend(error.number.to_le_bytes());
    // severities up to 10 are no errors
    body.extend([error.state, error.class]);
    short_text(&mut body, &error.text);
    byte_text(&mut body, "SIMULATOR");
    byte_text(&mut body, "");
    body.extend(1_u32.to_le_bytes());
    out.push(if error.class > 10 { 0xAA } else { 0xAB });
    out.extend((body.len() as u16).to_le_bytes());
    out.extend(body);
    if let Some(next) = &error.followed_by {
        message(out, next);
    }
}

/// ENVCHANGE
pub fn change(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(0xE3);
    out.extend((body.len() as u16 + 1).to_le_bytes());
    out.push(kind);
    out.extend(body);
}

/// ENVCHANGE of a text.
pub fn change_text(out: &mut Vec<u8>, kind: u8, new: &str, old: &str) {
    let mut body = Vec::new();
    byte_text(&mut body, new);
    byte_text(&mut body, old);
    change(out, kind, &body);
}

/// RETURNSTATUS
pub fn return_status(out: &mut Vec<u8>, status: i32) {
    out.push(0x79);
    out.extend(status.to_le_bytes());
}

/// RETURNVALUE of an int, such as a statement's handle.
pub fn return_int(out: &mut Vec<u8>, ordinal: u16, name: &str, number: i32) {
    out.push(0xAC);
    out.extend(ordinal.to_le_bytes());
    byte_text(out, name);
    out.push(1);
    out.extend([0; 6]);
    out.extend([0x26, 4, 4]);
    out.extend(number.to_le_bytes());
}

/// COLMETADATA
pub fn columns(out: &mut Vec<u8>, columns: &[OutColumn]) {
    out.push(0x81);
    out.extend((columns.len() as u16).to_le_bytes());
    for column in columns {
        out.extend(types::user_type(column.of.kind).to_le_bytes());
        let case = column.of.kind.is_text() && column.of.collation.is_case_sensitive();
        let flags = u16::from(column.nullable)
            | u16::from(case) << 1
            | u16::from(column.stored) << 3
            | u16::from(column.identity) << 4
            | u16::from(!column.stored && !column.read_only && !column.identity) << 5;
        out.extend(flags.to_le_bytes());
        types::push(out, column);
        byte_text(out, &column.name);
    }
}

/// ROW, or NBCROW where a bitmap of the NULLs is shorter.
pub fn row(out: &mut Vec<u8>, set: &ResultSet, at: usize) -> Result<()> {
    let Some(row) = set.rows.get(at) else { return Ok(()) };
    let bitmap = set.columns.len().div_ceil(8);
    let nulls = row.iter().filter(|v| v.is_null()).count();
    if nulls <= bitmap {
        out.push(0xD1);
        return row.iter().zip(&set.columns).try_for_each(|(value, column)| value::push(out, value, column));
    }
    out.push(0xD2);
    let mut bits = vec![0_u8; bitmap];
    for (at, _) in row.iter().enumerate().filter(|(_, v)| v.is_null()) {
        bits[at / 8] |= 1 << (at % 8);
    }
    out.extend(bits);
    row.iter().zip(&set.columns).filter(|(v, _)| !v.is_null()).try_for_each(|(value, column)| value::push(out, value, column))
}
