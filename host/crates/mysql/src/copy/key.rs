//! Keys of rows: which columns they are, how the server is asked for what comes after one, and how the stream's changes are told
//! from the rows of a chunk.
//!
//! What comes before what is a matter of collations, and only the server decides it. Whether a change and a row are of the same
//! version is decided here, byte by byte: the change that made a version of a row has exactly its key in the after image, and the
//! change that replaced it has exactly its key in the before image. So `'a'` never has to be compared with `'A'`.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use mysql_async::{Row, Value};

use super::{super::decoder::Decoder, place::KeyText};
use crate::charset::Charset;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Column, TableName, Values},
};

/// The columns of a unique key none of whose columns may be NULL.
#[derive(Clone, Debug)]
pub struct Key {
    /// The index that has it.
    pub index: String,
    /// Its columns.
    pub columns: Vec<KeyColumn>,
    /// Its columns with their types and collations, for people and to notice that rows have another order.
    pub text: Arc<str>,
}

/// A column of a key.
#[derive(Clone, Debug)]
pub struct KeyColumn {
    /// Its name.
    pub name: Box<str>,
    /// Its place in the table.
    pub at: usize,
    /// How its values are stored.
    pub decoder: Decoder,
}

/// A column of a key in whose character set several codes stand for one character.
#[derive(Clone, Copy, Debug)]
pub struct Doubtful {
    at: usize,
    characters: &'static BTreeSet<char>,
}

impl Doubtful {
    /// Whether the text of row `row` may be that of another one.
    pub fn may_be_another(&self, columns: &[Column], row: usize) -> bool {
        let Some(Values::Text(strings)) = columns.get(self.at).map(|column| &column.values) else { return true };
        std::str::from_utf8(strings.get(row)).map_or(true, |text| text.chars().any(|c| self.characters.contains(&c)))
    }
}

/// Why a column cannot belong to the key that a copy goes by; `None` if it can.
pub fn unusable(decoder: &Decoder) -> Option<&'static str> {
    match decoder {
        Decoder::Text { charset: Charset::Binary | Charset::Unsupported(_), .. } => Some("its character set"),
        Decoder::Text { .. } => None,
        // number 0 and such a label have the same text
        Decoder::Enum { labels, .. } if labels.iter().any(|label| label.is_empty()) => Some("its empty label"),
        Decoder::Json { .. } | Decoder::Compressed { .. } => Some("its type"),
        _ => None,
    }
}

/// A name as SQL takes it.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl Key {
    /// What rows are ordered by: the columns, or their numbers where SQL would compare them otherwise than it orders them.
    pub fn order(&self) -> String {
        self.columns.iter().map(KeyColumn::expression).collect::<Vec<_>>().join(", ")
    }

    /// The condition that a row comes after `key`. Written so that the server finds the first one with the index.
    pub fn after(&self, table: &TableName, key: &KeyText) -> Result<String> {
        self.compare(table, key, ">")
    }

    /// The condition that a row comes up to `key`, that row included.
    pub fn up_to(&self, table: &TableName, key: &KeyText) -> Result<String> {
        self.compare(table, key, "<")
    }

    fn compare(&self, table: &TableName, key: &KeyText, sign: &str) -> Result<String> {
        if key.len() != self.columns.len() {
            return Err(misfit(table));
        }
        let mut condition = String::new();
        for (i, (column, text)) in self.columns.iter().zip(key.iter()).enumerate().rev() {
            let (expression, literal) = (column.expression(), literal(&column.decoder, text).ok_or_else(|| misfit(table))?);
            let last = i + 1 == self.columns.len();
            condition = match (last, sign) {
                (true, "<") => format!("{expression} <= {literal}"),
                (true, _) => format!("{expression} {sign} {literal}"),
                // the first part alone bounds the range of the index
                (false, _) => format!("{expression} {sign}= {literal} AND ({expression} {sign} {literal} OR ({condition}))"),
            };
        }
        Ok(condition)
    }

    /// The key of row `row`, in the text that an offset holds. `stored` is that row as the server gave it: in some character sets two
    /// codes stand for one character, and so their bytes are what tells.
    pub fn text(&self, columns: &[Column], row: usize, stored: &Row) -> Option<KeyText> {
        let text = |column: &KeyColumn| match (&column.decoder, stored.as_ref(column.at)) {
            (Decoder::Text { charset: Charset::Tabled(_), .. }, Some(Value::Bytes(bytes))) => Some(hexadecimal(bytes).into()),
            (Decoder::Text { charset: Charset::Tabled(_), .. }, _) => None,
            _ => value_text(columns.get(column.at)?, row),
        };
        self.columns.iter().map(text).collect()
    }

    /// The columns in whose character set different texts may be the same in UTF-8.
    pub fn doubtful(&self) -> Vec<Doubtful> {
        let of = |column: &KeyColumn| match &column.decoder {
            Decoder::Text { charset: Charset::Tabled(set), .. } if !set.doubled().is_empty() => {
                Some(Doubtful { at: column.at, characters: set.doubled() })
            }
            _ => None,
        };
        self.columns.iter().filter_map(of).collect()
    }

    /// Appends the bytes of the key of row `row`: equal where the values of all its columns are. `false` if there is none.
    pub fn bytes(places: &[usize], columns: &[Column], row: usize, out: &mut Vec<u8>) -> bool {
        places.iter().all(|at| columns.get(*at).is_some_and(|column| value_bytes(column, row, out)))
    }

    /// Where its columns are.
    pub fn places(&self) -> Vec<usize> {
        self.columns.iter().map(|column| column.at).collect()
    }

    /// Their names.
    pub fn names(&self) -> Arc<[Box<str>]> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }
}

impl KeyColumn {
    fn expression(&self) -> String {
        let name = quoted(&self.name);
        match self.decoder {
            Decoder::Enum { .. } | Decoder::Set { .. } => format!("CAST({name} AS UNSIGNED)"),
            // two digits would be read as a year of 1970 to 2069
            Decoder::Year | Decoder::Bit(_) => format!("({name} + 0)"),
            _ => name,
        }
    }
}

fn misfit(table: &TableName) -> Error {
    Error::new(ErrorKind::State, format!("the checkpoint has a key of {table} that does not fit the table's own key: it has changed since"))
        .remedy("Let the copy of the table begin again: `sluicegate checkpoint set` its lane to '{\"copy\":1,\"rows\":0}'.")
}

fn value_text(column: &Column, row: usize) -> Option<Box<str>> {
    Some(match &column.values {
        Values::Int64(values) => values.get(row)?.to_string().into(),
        Values::UInt64(values) => values.get(row)?.to_string().into(),
        Values::Float32(values) => values.get(row)?.to_string().into(),
        Values::Float64(values) => values.get(row)?.to_string().into(),
        Values::Text(strings) => std::str::from_utf8(strings.get(row)).ok()?.into(),
        Values::Bytes(strings) => hexadecimal(strings.get(row)).into(),
        Values::Boolean(_) => return None,
    })
}

fn value_bytes(column: &Column, row: usize, out: &mut Vec<u8>) -> bool {
    match &column.values {
        Values::Int64(values) => out.extend_from_slice(&values[row].to_le_bytes()),
        Values::UInt64(values) => out.extend_from_slice(&values[row].to_le_bytes()),
        Values::Float32(values) => out.extend_from_slice(&values[row].to_le_bytes()),
        Values::Float64(values) => out.extend_from_slice(&values[row].to_le_bytes()),
        Values::Text(strings) | Values::Bytes(strings) => {
            let value = strings.get(row);
            out.extend_from_slice(&(value.len() as u64).to_le_bytes());
            out.extend_from_slice(value);
        }
        Values::Boolean(_) => return false,
    }
    true
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // writing into a String cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A value of a key as SQL takes it; `None` for a text that is no value of the column's type. Nothing of the text gets into the
/// statement unchecked.
fn literal(decoder: &Decoder, text: &str) -> Option<String> {
    let of_characters = |allowed: &[char]| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || allowed.contains(&c));
    Some(match decoder {
        Decoder::Int8 | Decoder::Int16 | Decoder::Int24 | Decoder::Int32 | Decoder::Int64 => text.parse::<i64>().ok()?.to_string(),
        Decoder::UInt8 | Decoder::UInt16 | Decoder::UInt24 | Decoder::UInt32 | Decoder::UInt64 | Decoder::Year | Decoder::Bit(_) => {
            text.parse::<u64>().ok()?.to_string()
        }
        // the server compares a FLOAT with the same number as a DOUBLE
        Decoder::Float => format!("{:e}", f64::from(text.parse::<f32>().ok().filter(|number| number.is_finite())?)),
        Decoder::Double => format!("{:e}", text.parse::<f64>().ok().filter(|number| number.is_finite())?),
        Decoder::Decimal { .. } => of_characters(&['-', '.']).then(|| text.to_owned())?,
        Decoder::Date | Decoder::Time(_) | Decoder::OldTime | Decoder::HiresTime(_) => {
            of_characters(&['-', ':', '.']).then(|| format!("'{text}'"))?
        }
        Decoder::DateTime(_) | Decoder::OldDateTime | Decoder::HiresDateTime(_) => {
            of_characters(&['-', ':', '.', ' ']).then(|| format!("'{text}'"))?
        }
        Decoder::Timestamp(_) | Decoder::OldTimestamp | Decoder::HiresTimestamp(_) => {
            of_characters(&['-', ':', '.', 'T', 'Z']).then(|| format!("'{}'", text.trim_end_matches('Z').replace('T', " ")))?
        }
        Decoder::Text { charset: Charset::Tabled(set), .. } => {
            let stored = (text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(text)?;
            format!("_{} X'{stored}'", set.name())
        }
        Decoder::Special { .. } => format!("_utf8mb4 X'{}'", hexadecimal(text.as_bytes())),
        Decoder::Text { .. } => format!("_utf8mb4 X'{}'", hexadecimal(text.as_bytes())),
        Decoder::Bytes { .. } | Decoder::FixedBytes { .. } => {
            (text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| format!("X'{text}'"))?
        }
        Decoder::Enum { labels, .. } if text.is_empty() || labels.is_empty() => "0".to_owned(),
        Decoder::Enum { labels, .. } => (labels.iter().position(|label| **label == *text)? + 1).to_string(),
        Decoder::Set { labels, .. } => {
            let bit = |label: &str| labels.iter().position(|known| **known == *label).map(|at| 1_u64 << at);
            text.split(',').filter(|label| !label.is_empty()).map(bit).sum::<Option<u64>>()?.to_string()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(columns: &[(&str, Decoder)]) -> Key {
        let columns =
            columns.iter().enumerate().map(|(at, (name, decoder))| KeyColumn { name: (*name).into(), at, decoder: decoder.clone() });
        Key { index: "PRIMARY".into(), columns: columns.collect(), text: "".into() }
    }

    fn texts(texts: &[&str]) -> KeyText {
        texts.iter().map(|text| Box::from(*text)).collect()
    }

    #[test]
    fn the_condition_of_a_composite_key_is_lexicographic() {
        let key = key(&[("a", Decoder::Int32), ("b`c", Decoder::Text { prefix: 1, charset: Charset::Utf8 }), ("d", Decoder::Date)]);
        let table = TableName::new("s", "t");
        let after = "`a` >= -5 AND (`a` > -5 OR (`b``c` >= _utf8mb4 X'6f2778' AND (`b``c` > _utf8mb4 X'6f2778' OR (`d` > '2024-02-29'))))";
        assert_eq!(key.after(&table, &texts(&["-5", "o'x", "2024-02-29"])).unwrap(), after);
        let up_to = "`a` <= 5 AND (`a` < 5 OR (`b``c` <= _utf8mb4 X'' AND (`b``c` < _utf8mb4 X'' OR (`d` <= '0000-00-00'))))";
        assert_eq!(key.up_to(&table, &texts(&["5", "", "0000-00-00"])).unwrap(), up_to);
        let error = key.after(&table, &texts(&["5"])).unwrap_err().to_string();
        assert!(error.starts_with("the checkpoint has a key of s.t that does not fit the table's own key"), "{error}");
    }

    #[test]
    fn no_text_of_an_offset_gets_into_a_statement_as_it_is() {
        let labels: Arc<[Box<str>]> = Arc::from([Box::from("a"), Box::from("b'")]);
        for decoder in [
            Decoder::Int32,
            Decoder::UInt64,
            Decoder::Float,
            Decoder::Double,
            Decoder::Decimal { precision: 3, scale: 1, bytes: 2 },
            Decoder::Date,
            Decoder::Time(0),
            Decoder::DateTime(6),
            Decoder::Timestamp(0),
            Decoder::Bytes { prefix: 1 },
            Decoder::Enum { bytes: 1, labels: labels.clone() },
            Decoder::Set { bytes: 1, labels: labels.clone() },
        ] {
            for text in ["1 OR 1", "' OR '", "x'", "nan", "1;", "\\"] {
                assert_eq!(literal(&decoder, text), None, "{decoder:?} {text}");
            }
        }
        assert_eq!(literal(&Decoder::Set { bytes: 1, labels: labels.clone() }, "a,b'"), Some("3".into()));
        assert_eq!(literal(&Decoder::Enum { bytes: 1, labels }, "b'"), Some("2".into()));
        assert_eq!(literal(&Decoder::Float, "0.1"), Some("1.0000000149011612e-1".into()));
        assert_eq!(literal(&Decoder::Timestamp(1), "2024-02-29T13:14:15.5Z"), Some("'2024-02-29 13:14:15.5'".into()));
    }
}
