//! What clients ask for: batches, procedures, transactions.

use std::io;

use super::parameter::{Reader, read, wide};
use crate::{
    execute::Parameter,
    sql::ast::Isolation,
    value::{Datum, Type},
};

/// A call of a procedure.
#[derive(Debug)]
pub struct Call {
    /// The name; the numbered ones have theirs.
    pub name: String,
    /// The parameters in order.
    pub parameters: Vec<Parameter>,
}

/// A request to the transaction manager.
#[derive(Debug)]
pub enum Transaction {
    Begin(Option<Isolation>),
    Commit { again: Option<Option<Isolation>> },
    Rollback { name: String, again: Option<Option<Isolation>> },
    Save(String),
}

/// A message without the headers before it.
pub fn behind_headers(body: &[u8]) -> &[u8] {
    let length = body.get(..4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    if (4..=body.len().min(4096)).contains(&length) { &body[length..] } else { body }
}

/// The text of a batch.
pub fn batch(body: &[u8]) -> String {
    String::from_utf16_lossy(&wide(behind_headers(body)))
}

/// A call of a procedure.
pub fn call(body: &[u8]) -> io::Result<Call> {
    let mut reader = Reader::new(behind_headers(body));
    let length = reader.u16()?;
    let name = if length == 0xFFFF {
        match reader.u16()? {
            10 => "sp_executesql".to_owned(),
            11 => "sp_prepare".to_owned(),
            12 => "sp_execute".to_owned(),
            13 => "sp_prepexec".to_owned(),
            15 => "sp_unprepare".to_owned(),
            other => format!("procedure number {other}"),
        }
    } else {
        reader.text(usize::from(length))?
    };
    reader.u16()?;
    let mut parameters = Vec::new();
    while reader.left() > 0 {
        if matches!(reader.peek(), Some(0x80 | 0xFE | 0xFF)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "several calls in one message"));
        }
        let length = usize::from(reader.u8()?);
        let name = reader.text(length)?;
        reader.u8()?;
        let (of, value): (Type, Datum) = read(&mut reader)?;
        parameters.push((name, of, value));
    }
    Ok(Call { name, parameters })
}

fn level(byte: u8) -> Option<Isolation> {
    match byte {
        1 => Some(Isolation::ReadUncommitted),
        2 => Some(Isolation::ReadCommitted),
        3 => Some(Isolation::RepeatableRead),
        4 => Some(Isolation::Serializable),
        5 => Some(Isolation::Snapshot),
        _ => None,
    }
}

/// A request to the transaction manager.
pub fn transaction(body: &[u8]) -> io::Result<Transaction> {
    let mut reader = Reader::new(behind_headers(body));
    let kind = reader.u16()?;
    let name = |reader: &mut Reader<'_>| -> io::Result<String> {
        let length = usize::from(reader.u8()?);
        Ok(String::from_utf16_lossy(&wide(reader.take(length)?)))
    };
    let again = |reader: &mut Reader<'_>| -> io::Result<Option<Option<Isolation>>> {
        if reader.left() == 0 || reader.u8()? & 1 == 0 {
            return Ok(None);
        }
        Ok(Some(level(reader.u8()?)))
    };
    Ok(match kind {
        5 => Transaction::Begin(level(reader.u8()?)),
        7 => {
            name(&mut reader)?;
            Transaction::Commit { again: again(&mut reader)? }
        }
        8 => {
            let name = name(&mut reader)?;
            Transaction::Rollback { name, again: again(&mut reader)? }
        }
        9 => Transaction::Save(name(&mut reader)?),
        other => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("transaction request {other}"))),
    })
}
