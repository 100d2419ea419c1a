//! PRELOGIN and LOGIN7.

use std::io;

use super::{
    link::{Encryption, Link},
    parameter::{Reader, wide},
    token::{self, End},
};
use crate::value::Collation;

const OFF: u8 = 0;
const ON: u8 = 1;
const NOT_SUPPORTED: u8 = 2;
const REQUIRED: u8 = 3;

/// What LOGIN7 says.
#[derive(Debug)]
pub struct Login {
    /// The login's name.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The database to be in; empty for the login's own.
    pub database: String,
    /// The packets' size that the client wants.
    pub packet_size: usize,
    /// ApplicationIntent=ReadOnly
    pub read_only: bool,
}

/// Whether all, or only the login, is encrypted from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secured {
    /// Nothing is.
    Nothing,
    /// The login.
    Login,
    /// All is.
    All,
}

/// The client's wish of encryption in its PRELOGIN.
fn wished(body: &[u8]) -> u8 {
    let mut at = 0;
    while let Some([token, offset @ .., _, _]) = body.get(at..at + 5).filter(|o| o[0] != 0xFF) {
        if *token == 1 {
            let offset = usize::from(u16::from_be_bytes([offset[0], offset[1]]));
            return body.get(offset).copied().unwrap_or(NOT_SUPPORTED);
        }
        at += 5;
    }
    NOT_SUPPORTED
}

/// Answers a PRELOGIN, and shakes hands where both sides want to.
pub fn prelogin(link: &mut Link, body: &[u8], encryption: &Encryption, secure_already: bool) -> io::Result<Secured> {
    let wish = wished(body);
    let (answer, secured, config) = match encryption {
        _ if secure_already => (ON, Secured::Nothing, None),
        Encryption::NotSupported => (NOT_SUPPORTED, Secured::Nothing, None),
        Encryption::Offered(config) => match wish {
            OFF => (OFF, Secured::Login, Some(config)),
            ON | REQUIRED => (ON, Secured::All, Some(config)),
            _ => (NOT_SUPPORTED, Secured::Nothing, None),
        },
        Encryption::Required(config) => match wish {
            NOT_SUPPORTED => (REQUIRED, Secured::Nothing, None),
            _ => (REQUIRED, Secured::All, Some(config)),
        },
    };
    let options: [(u8, &[u8]); 5] = [(0, &[17, 0, 0x0F, 0xE1, 0, 0]), (1, &[answer]), (2, &[0]), (3, &[]), (4, &[0])];
    let (mut out, mut data) = (Vec::new(), Vec::new());
    for (token, bytes) in options {
        out.push(token);
        out.extend((26 + data.len() as u16).to_be_bytes());
        out.extend((bytes.len() as u16).to_be_bytes());
        data.extend_from_slice(bytes);
    }
    out.push(0xFF);
    out.extend(data);
    super::connection::send(link, &out, 4096)?;
    if let Some(config) = config {
        link.secure(config.clone(), true)?;
    }
    Ok(secured)
}

/// Reads a LOGIN7.
pub fn read(body: &[u8]) -> io::Result<Login> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "a LOGIN7 that ends too early");
    let number = |at: usize| body.get(at..at + 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]]))).ok_or_else(bad);
    let field = |at: usize| -> io::Result<&[u8]> {
        let (offset, units) = (number(at)?, number(at + 2)?);
        body.get(offset..offset + units * 2).ok_or_else(bad)
    };
    let text = |bytes: &[u8]| String::from_utf16_lossy(&wide(bytes));
    let hidden: Vec<u8> = field(44)?.iter().map(|b| (b ^ 0xA5).rotate_left(4)).collect();
    let wanted = Reader::new(body.get(8..12).ok_or_else(bad)?).u32()? as usize;
    let packet_size = if (512..=32767).contains(&wanted) { wanted } else { 4096 };
    let read_only = body.get(26).is_some_and(|flags| flags & 0x20 != 0);
    Ok(Login { user: text(field(40)?), password: text(&hidden), database: text(field(68)?), packet_size, read_only })
}

/// What a login that succeeded is answered, in the recorded order (G115).
pub fn accepted(database: &str, packet_size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let info = |out: &mut Vec<u8>, number: i32, text: &str| {
        token::message(out, &crate::error::SqlError::new(number, text).class(10).state(2));
    };
    token::change_text(&mut out, 1, database, "master");
    info(&mut out, 5701, &format!("Changed database context to '{database}'."));
    token::change_text(&mut out, 2, "us_english", "");
    info(&mut out, 5703, "Changed language setting to us_english.");
    let mut collation = vec![5];
    collation.extend(Collation::of_server().wire);
    collation.push(0);
    token::change(&mut out, 7, &collation);
    let mut ack = vec![1, 0x74, 0, 0, 4];
    token::byte_text(&mut ack, "Microsoft SQL Server");
    ack.extend([17, 0, 0x0F, 0xE1]);
    out.push(0xAD);
    out.extend((ack.len() as u16).to_le_bytes());
    out.extend(ack);
    token::change_text(&mut out, 4, &packet_size.to_string(), "4096");
    token::done(&mut out, End::Batch, 0, 0);
    out
}

/// Sends a client with read-only intent to another address.
pub fn routed(out: &mut Vec<u8>, host: &str, port: u16) {
    let mut target = vec![0];
    target.extend(port.to_le_bytes());
    token::short_text(&mut target, host);
    let mut body = (target.len() as u16).to_le_bytes().to_vec();
    body.extend(target);
    body.extend([0, 0]);
    token::change(out, 20, &body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g115_a_login_is_answered_in_the_recorded_order() {
        let answer = accepted("shop", 4096);
        let (mut at, mut tokens) = (0, Vec::new());
        while let Some([token, low, high, kind, ..]) = answer.get(at..) {
            if *token == 0xFD {
                tokens.push((*token, 0));
                break;
            }
            tokens.push((*token, if *token == 0xE3 { *kind } else { 0 }));
            at += 3 + usize::from(u16::from_le_bytes([*low, *high]));
        }
        assert_eq!(tokens, [(0xE3, 1), (0xAB, 0), (0xE3, 2), (0xAB, 0), (0xE3, 7), (0xAD, 0), (0xE3, 4), (0xFD, 0)]);
    }
}
