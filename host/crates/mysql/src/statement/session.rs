//! What the log tells of the session that ran a statement: its default database, how it reads quotes, its character set, and
//! which databases the statement used.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Query__event.html>

use std::borrow::Cow;

use super::{
    super::{
        charset::{self, Charset, Collations},
        connection::Server,
        cursor::{Cursor, Fault},
        definition::{self, Session, Step},
        event,
        position::Flavour,
    },
    Statement,
    token::Syntax,
};

const ANSI_QUOTES: u64 = 4;
const NO_BACKSLASH_ESCAPES: u64 = 0x10_0000;
const REAL_AS_FLOAT: u64 = 1;
/// STRICT_TRANS_TABLES and STRICT_ALL_TABLES: for what alters a table they are the same.
const STRICT: u64 = 0x20_0000 | 0x40_0000;
/// Of MariaDB.
const MSSQL: u64 = 0x400;
/// MariaDB's ORACLE, MSSQL, MAXDB and their like, under which names of types mean something else.
const OTHER_DIALECTS: u64 = 0x100 | 0x200 | 0x400 | 0x800 | 0x1000;
/// In place of a number of databases: more than the event can name.
const TOO_MANY: u8 = 254;

/// A statement event.
#[derive(Clone, Debug)]
pub struct Logged<'a> {
    /// The session's number.
    pub thread: u32,
    /// The session's default database; empty = none.
    pub database: Cow<'a, str>,
    /// `sql_mode`.
    sql_mode: u64,
    /// The number of the collation that the client wrote in.
    client: Option<u16>,
    /// The number of the collation that new databases have by default.
    server_collation: Option<u16>,
    /// `explicit_defaults_for_timestamp`, where the event tells it (MySQL).
    explicit_timestamps: Option<bool>,
    /// The error that the statement ended with; 0 = none.
    error: u16,
    /// The databases whose tables the statement changed or read, where the event names all of them (MySQL).
    pub used: Option<Vec<String>>,
    /// The statement, in the client's character set.
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> Logged<'a> {
    /// Reads a query event; `compressed` = MariaDB's compressed form. Text that is longer than `limit` is not unpacked.
    pub fn read(body: &'a [u8], compressed: bool, limit: usize) -> Result<Self, Fault> {
        Self::read_with(body, compressed, limit, 0)
    }

    /// Reads the event that runs a `LOAD DATA`.
    pub fn read_load(body: &'a [u8]) -> Result<Self, Fault> {
        // the file's number, where its name stands in the text (two numbers), how it treats duplicates
        Self::read_with(body, false, 0, 4 + 4 + 4 + 1)
    }

    fn read_with(body: &'a [u8], compressed: bool, limit: usize, passed_over: usize) -> Result<Self, Fault> {
        let mut cursor = Cursor(body);
        let thread = cursor.u32()?;
        cursor.take(4)?;
        let database = usize::from(cursor.u8()?);
        let error = cursor.u16()?;
        let variables = usize::from(cursor.u16()?);
        cursor.take(passed_over)?;
        let variables = cursor.take(variables)?;
        let database = String::from_utf8_lossy(cursor.take(database)?);
        cursor.u8()?;
        let bytes = if compressed { Cow::Owned(event::unpack(cursor.0, limit)?) } else { Cow::Borrowed(cursor.0) };
        let (sql_mode, client, server_collation, explicit_timestamps, used) = (0, None, None, None, None);
        let mut logged = Self { thread, database, sql_mode, client, server_collation, explicit_timestamps, error, used, bytes };
        // what comes behind a variable that is not known cannot be told apart; what stands before it counts
        let _ = logged.read_variables(&mut Cursor(variables));
        Ok(logged)
    }

    fn read_variables(&mut self, variables: &mut Cursor<'_>) -> Result<(), Fault> {
        while !variables.is_empty() {
            match variables.u8()? {
                // flags2
                0 => drop(variables.take(4)?),
                1 => self.sql_mode = variables.u64()?,
                // the catalogue as old servers wrote it, with a zero behind it
                2 => {
                    let length = usize::from(variables.u8()?);
                    variables.take(length + 1)?;
                }
                // auto_increment; data written
                3 | 10 => drop(variables.take(4)?),
                4 => {
                    self.client = Some(variables.u16()?);
                    variables.take(2)?;
                    self.server_collation = Some(variables.u16()?);
                }
                // time zone, catalogue
                5 | 6 => {
                    let length = usize::from(variables.u8()?);
                    variables.take(length)?;
                }
                // lc_time_names, collation of the database, default collation for utf8mb4
                7 | 8 | 18 => drop(variables.take(2)?),
                // tables of an update; the transaction's number (MySQL, MariaDB)
                9 | 17 | 129 => drop(variables.take(8)?),
                // user and host that invoked it
                11 => {
                    for _ in 0..2 {
                        let length = usize::from(variables.u8()?);
                        variables.take(length)?;
                    }
                }
                12 => self.used = databases(variables)?,
                // microseconds
                13 | 128 => drop(variables.take(3)?),
                16 => self.explicit_timestamps = Some(variables.u8()? != 0),
                // sql_require_primary_key, default_table_encryption
                19 | 20 => drop(variables.take(1)?),
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// What it means on this server.
    pub fn classify(&self, server: &Server) -> Statement {
        let syntax = Syntax { lower_case_names: server.lower_case_names, ..self.syntax(server.flavour) };
        super::classify(&self.database, &self.text(&server.collations), syntax)
    }

    /// What it makes of tables and databases, where that is sure.
    pub fn definitions(&self, server: &Server) -> Option<Vec<Step>> {
        let charset = self.client.and_then(|id| server.collations.charset_name(u64::from(id)));
        // bytes of no character set in particular, or text that its client took for another one
        let sure = self.bytes.is_ascii() || charset.is_some_and(|charset| charset != "binary" && charset != "ascii");
        if self.error != 0 || !sure || self.sql_mode & OTHER_DIALECTS != 0 && server.flavour == Flavour::MariaDb {
            return None;
        }
        let session = Session {
            database: &self.database,
            flavour: server.flavour,
            collations: &server.collations,
            server_charset: self.server_collation.and_then(|id| server.collations.charset_name(u64::from(id))),
            real_as_float: self.sql_mode & REAL_AS_FLOAT != 0,
            explicit_timestamps: self.explicit_timestamps,
        };
        let syntax = Syntax { lower_case_names: server.lower_case_names, ..self.syntax(server.flavour) };
        definition::read(&self.text(&server.collations), syntax, &session)
    }

    /// Whether the session refuses values that do not fit.
    pub fn is_strict(&self) -> bool {
        self.sql_mode & STRICT != 0
    }

    /// How it is to be read.
    pub fn syntax(&self, flavour: Flavour) -> Syntax {
        Syntax {
            flavour,
            ansi_quotes: self.sql_mode & ANSI_QUOTES != 0,
            brackets: flavour == Flavour::MariaDb && self.sql_mode & MSSQL != 0,
            no_backslash_escapes: self.sql_mode & NO_BACKSLASH_ESCAPES != 0,
            lower_case_names: false,
        }
    }

    /// The statement. Bytes that cannot be converted become U+FFFD: names that hold it are not known.
    pub fn text(&self, collations: &Collations) -> Cow<'_, str> {
        if self.bytes.is_ascii() {
            return String::from_utf8_lossy(&self.bytes);
        }
        let charset = self.client.and_then(|id| collations.charset_name(u64::from(id))).map(Charset::named);
        match charset {
            None | Some(Charset::Utf8 | Charset::Ascii | Charset::Binary) => String::from_utf8_lossy(&self.bytes),
            Some(charset) => {
                let mut text = Vec::new();
                match charset::write(&charset, &self.bytes, &mut text) {
                    Ok(()) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
                    Err(_) => Cow::Owned(ascii_only(&charset, &self.bytes)),
                }
            }
        }
    }
}

/// The text with U+FFFD in place of every character that is not ASCII. In some character sets the second byte of such a character
/// looks like a letter or a backtick.
fn ascii_only(charset: &Charset, bytes: &[u8]) -> String {
    let leads = |byte: u8| match charset {
        Charset::Unsupported(name) => match &**name {
            "gbk" | "gb18030" | "big5" => byte > 0x80,
            "sjis" | "cp932" => matches!(byte, 0x81..=0x9f | 0xe0..=0xfc),
            _ => false,
        },
        _ => false,
    };
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        text.push(if byte.is_ascii() { char::from(*byte) } else { char::REPLACEMENT_CHARACTER });
        if leads(*byte) {
            rest.next();
        }
    }
    text
}

/// The databases that a statement used; `None` where they are too many to be named.
fn databases(variables: &mut Cursor<'_>) -> Result<Option<Vec<String>>, Fault> {
    let count = variables.u8()?;
    if count == TOO_MANY {
        return Ok(None);
    }
    let mut databases = Vec::new();
    for _ in 0..count {
        let length = variables.0.iter().position(|b| *b == 0).ok_or(Fault::Truncated)?;
        databases.push(String::from_utf8_lossy(variables.take(length)?).into_owned());
        variables.take(1)?;
    }
    // none at all tells nothing: not every statement has them
    Ok((!databases.is_empty()).then_some(databases))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(variables: &[u8], text: &[u8]) -> Vec<u8> {
        let mut body = vec![7, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0];
        body.extend_from_slice(&(variables.len() as u16).to_le_bytes());
        body.extend_from_slice(variables);
        body.extend_from_slice(b"shop\0");
        body.extend_from_slice(text);
        body
    }

    #[test]
    fn the_session_is_read_from_the_variables() {
        let variables = [
            &[0, 0, 0, 0, 0, 1][..],
            &(ANSI_QUOTES | NO_BACKSLASH_ESCAPES).to_le_bytes(),
            &[6, 3, b's', b't', b'd', 4, 8, 0, 8, 0, 8, 0, 12, 2],
            b"shop\0other\0",
        ]
        .concat();
        let body = event(&variables, b"ALTER TABLE gr\xf6\xdfe");
        let logged = Logged::read(&body, false, 0).unwrap();
        assert_eq!((logged.thread, &*logged.database), (7, "shop"));
        let syntax = logged.syntax(Flavour::MySql);
        assert!(syntax.ansi_quotes && syntax.no_backslash_escapes);
        assert_eq!(logged.used.as_deref(), Some(&["shop".to_owned(), "other".to_owned()][..]));
        let collations = Collations::new([(8, "latin1".to_owned()), (28, "gbk".to_owned())]);
        assert_eq!(logged.text(&collations), "ALTER TABLE größe");
        assert_eq!(logged.text(&Collations::default()), "ALTER TABLE gr\u{fffd}\u{fffd}e");
        let body = event(&[4, 28, 0, 28, 0, 28, 0, 12, TOO_MANY], b"ALTER TABLE `\x81\x60`");
        let logged = Logged::read(&body, false, 0).unwrap();
        assert_eq!(logged.used, None);
        assert_eq!(logged.text(&collations), "ALTER TABLE `乣`", "the second byte is no backtick");
    }

    proptest! {
        #[test]
        fn any_variables_end_in_a_statement_or_an_error(variables in prop::collection::vec(any::<u8>(), 0..100), cut: prop::sample::Index) {
            let body = event(&variables, b"x");
            prop_assert!(Logged::read(&body, false, 0).is_ok());
            let _ = Logged::read(&body[..cut.index(body.len())], false, 0);
        }
    }
}
