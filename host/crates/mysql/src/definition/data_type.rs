//! Types of columns as statements write them, by the grammars of both servers.

use super::{
    super::{charset::Charset, native, position::Flavour, schema::CatalogueColumn, statement::Tokens},
    Session,
};

/// The lengths of TEXT and BLOB types.
const BLOBS: [(&str, &str, u64); 4] = [
    ("tinytext", "tinyblob", u8::MAX as u64),
    ("text", "blob", u16::MAX as u64),
    ("mediumtext", "mediumblob", (1 << 24) - 1),
    ("longtext", "longblob", u32::MAX as u64),
];
/// What the servers' latin1 holds beside ISO 8859-1.
const CP1252: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ";
/// Bytes of a VARCHAR or VARBINARY, at most.
const VARCHAR_BYTES: u64 = u16::MAX as u64;

/// A type, before the column's character set is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Without characters.
    Plain {
        /// As the catalogue names it.
        data_type: &'static str,
        /// With its lengths.
        declared: String,
        /// Bytes, of BINARY and VARBINARY.
        bytes: Option<u64>,
    },
    Char(u64),
    Varchar(u64),
    /// One of [`BLOBS`] by its place; a length in characters chooses another one.
    Text(usize, Option<u64>),
    /// ENUM or SET.
    Labels {
        data_type: &'static str,
        labels: Vec<String>,
        /// Some are written as bytes in the column's character set, which are taken for UTF-8 here.
        coded: bool,
    },
}

/// A type, and what its name says beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DataType {
    pub kind: Kind,
    /// The character set that the type's name stands for.
    pub charset: Option<&'static str>,
    /// SERIAL: a column that counts, unsigned, not NULL and a key.
    pub serial: bool,
    /// Digits that FLOAT or DOUBLE is rounded to, in all and behind the point. The log has none of them.
    pub rounded: Option<(u64, u64)>,
}

fn plain(data_type: &'static str, declared: impl Into<String>) -> DataType {
    of(Kind::Plain { data_type, declared: declared.into(), bytes: None })
}

fn of(kind: Kind) -> DataType {
    DataType { kind, charset: None, serial: false, rounded: None }
}

/// Takes a type.
pub(super) fn read(tokens: &mut Tokens<'_>, session: &Session<'_>) -> Option<DataType> {
    let Some(super::super::statement::Token::Word(word)) = tokens.next() else { return None };
    let mariadb = session.flavour == Flavour::MariaDb;
    let word = word.to_ascii_uppercase();
    Some(match word.as_str() {
        "TINYINT" | "INT1" => integer(tokens, "tinyint")?,
        "SMALLINT" | "INT2" => integer(tokens, "smallint")?,
        "MEDIUMINT" | "INT3" | "MIDDLEINT" => integer(tokens, "mediumint")?,
        "INT" | "INTEGER" | "INT4" => integer(tokens, "int")?,
        "BIGINT" | "INT8" => integer(tokens, "bigint")?,
        "BOOL" | "BOOLEAN" => plain("tinyint", "tinyint(1)"),
        "SERIAL" => DataType { serial: true, ..plain("bigint", "bigint unsigned") },
        "DECIMAL" | "DEC" | "NUMERIC" | "FIXED" => {
            let (precision, scale) = pair(tokens)?;
            let precision = precision.filter(|precision| *precision > 0).unwrap_or(10);
            plain("decimal", format!("decimal({precision},{})", scale.unwrap_or(0)))
        }
        "FLOAT" => match pair(tokens)? {
            (Some(25..), None) => plain("double", "double"),
            (digits, scale) => DataType { rounded: digits.zip(scale), ..plain("float", "float") },
        },
        "REAL" if session.real_as_float => {
            let (digits, scale) = pair(tokens)?;
            DataType { rounded: digits.zip(scale), ..plain("float", "float") }
        }
        "FLOAT4" => plain("float", "float"),
        "DOUBLE" | "REAL" | "FLOAT8" => {
            if word == "DOUBLE" {
                tokens.word("PRECISION");
            }
            let (digits, scale) = pair(tokens)?;
            DataType { rounded: digits.zip(scale), ..plain("double", "double") }
        }
        "BIT" => plain("bit", format!("bit({})", length(tokens)?.unwrap_or(1))),
        "YEAR" => {
            length(tokens)?;
            plain("year", "year")
        }
        "DATE" => plain("date", "date"),
        "TIME" => fraction(tokens, "time")?,
        "DATETIME" => fraction(tokens, "datetime")?,
        "TIMESTAMP" => fraction(tokens, "timestamp")?,
        "NATIONAL" => {
            let text = match tokens.word("CHAR") || tokens.word("CHARACTER") {
                true => characters(tokens)?,
                false if tokens.word("VARCHAR") || tokens.word("VARCHARACTER") => of(Kind::Varchar(length(tokens)??)),
                false => return None,
            };
            DataType { charset: Some("utf8mb3"), ..text }
        }
        "NCHAR" => {
            let varying = tokens.word("VARCHAR") || tokens.word("VARCHARACTER");
            let text = if varying { of(Kind::Varchar(length(tokens)??)) } else { characters(tokens)? };
            DataType { charset: Some("utf8mb3"), ..text }
        }
        "NVARCHAR" => DataType { charset: Some("utf8mb3"), ..of(Kind::Varchar(length(tokens)??)) },
        "CHAR" | "CHARACTER" => characters(tokens)?,
        "VARCHAR" | "VARCHARACTER" => of(Kind::Varchar(length(tokens)??)),
        "BINARY" => {
            let length = length(tokens)?.unwrap_or(1);
            of(Kind::Plain { data_type: "binary", declared: format!("binary({length})"), bytes: Some(length) })
        }
        "VARBINARY" => DataType { charset: Some("binary"), ..of(Kind::Varchar(length(tokens)??)) },
        "TINYTEXT" => of(Kind::Text(0, None)),
        "TEXT" => of(Kind::Text(1, length(tokens)?)),
        "MEDIUMTEXT" => of(Kind::Text(2, None)),
        "LONGTEXT" => of(Kind::Text(3, None)),
        "TINYBLOB" => plain("tinyblob", "tinyblob"),
        "BLOB" => DataType { charset: Some("binary"), ..of(Kind::Text(1, length(tokens)?)) },
        "MEDIUMBLOB" => plain("mediumblob", "mediumblob"),
        "LONGBLOB" => plain("longblob", "longblob"),
        "LONG" if tokens.word("VARBINARY") => plain("mediumblob", "mediumblob"),
        "LONG" => {
            if tokens.word("CHAR") || tokens.word("CHARACTER") {
                tokens.word("VARYING").then_some(())?;
            } else if !tokens.word("VARCHAR") {
                tokens.word("VARCHARACTER");
            }
            of(Kind::Text(2, None))
        }
        "ENUM" => labels(tokens, "enum")?,
        "SET" => labels(tokens, "set")?,
        "JSON" if mariadb => DataType { charset: Some("utf8mb4"), ..of(Kind::Text(3, None)) },
        "JSON" => plain("json", "json"),
        "VECTOR" => {
            length(tokens)?;
            plain("vector", "vector")
        }
        "UUID" if mariadb => plain("uuid", "uuid"),
        "INET4" if mariadb => plain("inet4", "inet4"),
        "INET6" if mariadb => plain("inet6", "inet6"),
        other if native::is_geometry(&other.to_ascii_lowercase()) => {
            length(tokens)?;
            plain("geometry", "geometry")
        }
        _ => return None,
    })
}

/// `(n)`: `None` inside where it is not there, and outside where it cannot be read.
#[allow(clippy::option_option, reason = "not there, and not readable, are two things")]
fn length(tokens: &mut Tokens<'_>) -> Option<Option<u64>> {
    match pair(tokens)? {
        (length, None) => Some(length),
        _ => None,
    }
}

/// `(n)`, `(n,m)`, or nothing.
fn pair(tokens: &mut Tokens<'_>) -> Option<(Option<u64>, Option<u64>)> {
    if !tokens.sign('(') {
        return Some((None, None));
    }
    let first = tokens.name()?.parse().ok()?;
    let second = match tokens.sign(',') {
        true => Some(tokens.name()?.parse().ok()?),
        false => None,
    };
    tokens.sign(')').then_some((Some(first), second))
}

fn integer(tokens: &mut Tokens<'_>, data_type: &'static str) -> Option<DataType> {
    length(tokens)?;
    Some(plain(data_type, data_type))
}

fn fraction(tokens: &mut Tokens<'_>, data_type: &'static str) -> Option<DataType> {
    Some(match length(tokens)? {
        None | Some(0) => plain(data_type, data_type),
        Some(digits) => plain(data_type, format!("{data_type}({digits})")),
    })
}

/// Behind CHAR.
fn characters(tokens: &mut Tokens<'_>) -> Option<DataType> {
    Some(match tokens.word("VARYING") {
        true => of(Kind::Varchar(length(tokens)??)),
        false => of(Kind::Char(length(tokens)?.unwrap_or(1))),
    })
}

fn labels(tokens: &mut Tokens<'_>, data_type: &'static str) -> Option<DataType> {
    tokens.sign('(').then_some(())?;
    let (mut labels, mut coded) = (Vec::new(), false);
    loop {
        labels.push(match tokens.text() {
            Some(text) => text,
            None => {
                coded = true;
                String::from_utf8(tokens.coded()?).ok()?
            }
        });
        if !tokens.sign(',') {
            return tokens.sign(')').then(|| of(Kind::Labels { data_type, labels, coded }));
        }
    }
}

/// Bytes of a character, at most; `None` where that is not known.
pub(super) fn width(charset: &str) -> Option<u64> {
    match Charset::named(charset) {
        Charset::Unsupported(_) => None,
        known => Some(u64::from(known.bytes_a_character(charset))),
    }
}

/// The place in [`BLOBS`] of the type that holds so many bytes.
fn for_bytes(bytes: u64) -> usize {
    BLOBS.iter().position(|(_, _, most)| bytes <= *most).unwrap_or(BLOBS.len() - 1)
}

/// The catalogue's name of the type, its declaration, and how many bytes of text it holds (where the log says so), in a character set.
pub(super) fn declare(kind: &Kind, charset: Option<&str>) -> Option<(&'static str, String, Option<u64>)> {
    let binary = charset == Some("binary");
    let blob = |place: usize| {
        let (text, blob, _) = BLOBS[place];
        let name = if binary { blob } else { text };
        (name, name.to_owned(), None)
    };
    let of_length = |length: u64| Some(length.saturating_mul(width(charset?)?));
    Some(match kind {
        Kind::Plain { data_type, declared, bytes } => (data_type, declared.clone(), *bytes),
        Kind::Char(length) if *length > 255 => return None,
        Kind::Char(length) => {
            let name = if binary { "binary" } else { "char" };
            (name, format!("{name}({length})"), Some(of_length(*length)?))
        }
        Kind::Varchar(length) => match of_length(*length)? {
            bytes @ ..=VARCHAR_BYTES => {
                let name = if binary { "varbinary" } else { "varchar" };
                (name, format!("{name}({length})"), Some(bytes))
            }
            // without strict mode
            more => blob(for_bytes(more)),
        },
        Kind::Text(1, Some(length)) if *length > 0 => blob(for_bytes(of_length(*length)?)),
        Kind::Text(place, _) => blob(*place),
        Kind::Labels { coded: true, labels, .. } if !is_utf8(charset?, labels) => return None,
        Kind::Labels { data_type, labels, .. } => (data_type, format!("{data_type}({})", listed(labels, charset?)?), None),
    })
}

/// Whether bytes that are UTF-8 for these labels are the same in a character set.
fn is_utf8(charset: &str, labels: &[String]) -> bool {
    match charset {
        "utf8mb4" | "utf8mb3" | "utf8" => true,
        // some of them hold other characters in place of a few of ASCII
        _ => width(charset) == Some(1) && labels.iter().all(|label| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ')),
    }
}

/// Labels as the catalogue writes them.
fn listed(labels: &[String], charset: &str) -> Option<String> {
    labels
        .iter()
        .all(|label| holds(charset, label))
        .then(|| native::list(labels.iter().map(|label| if charset == "binary" { label.as_str() } else { label.trim_end_matches(' ') })))
}

/// Whether a character set certainly holds a text. Without strict mode, a server replaces characters that it does not hold.
fn holds(charset: &str, text: &str) -> bool {
    match charset {
        "utf8mb4" | "utf16" | "utf16le" | "utf32" => true,
        "utf8mb3" | "utf8" | "ucs2" => text.chars().all(|c| u32::from(c) <= 0xffff),
        "latin1" => text.chars().all(|c| c.is_ascii() || ('\u{a0}'..='\u{ff}').contains(&c) || CP1252.contains(c)),
        _ => text.is_ascii(),
    }
}

/// The column in another character set, as CONVERT TO leaves it.
pub(super) fn convert(column: CatalogueColumn, charset: &str) -> Option<CatalogueColumn> {
    let Some(own) = column.charset.as_deref().filter(|own| *own != "binary") else { return Some(column) };
    if own == charset {
        return Some(column);
    }
    let data_type = column.data_type.as_str();
    let native = column.native_type();
    let kind = match data_type {
        "char" => Kind::Char(u64::from(native.length()?)),
        "varchar" => Kind::Varchar(u64::from(native.length()?)),
        "enum" | "set" => {
            let labels = native.labels()?.iter().map(|label| (**label).to_owned()).collect();
            Kind::Labels { data_type: if data_type == "enum" { "enum" } else { "set" }, labels, coded: false }
        }
        _ => {
            let place = BLOBS.iter().position(|(text, ..)| *text == data_type)?;
            // as many characters as it had room for
            match place {
                3 => Kind::Text(3, None),
                place => Kind::Text(1, Some(BLOBS[place].2 / width(own)?)),
            }
        }
    };
    let (data_type, column_type, bytes) = declare(&kind, Some(charset))?;
    let charset = (charset != "binary" || matches!(kind, Kind::Labels { .. })).then(|| charset.to_owned());
    Some(CatalogueColumn { data_type: data_type.to_owned(), column_type, charset, bytes, ..column })
}
