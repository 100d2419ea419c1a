//! MySQL's binary JSON to text, the same text that `SELECT` prints.
//!
//! Layout: "JSON binary format" in `json_binary.h` of the MySQL server. Offsets come from the server and are not trusted:
//! depth and total work are bounded by the document's own size, so that overlapping offsets cannot blow it up.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    column_type,
    cursor::{Cursor, Fault},
    decimal,
    partial_json::Node,
    temporal,
};
use sluicegate_model::json;

/// The server refuses documents that are nested deeper.
const MAX_DEPTH: usize = 100;

const SMALL_OBJECT: u8 = 0;
pub(super) const LARGE_OBJECT: u8 = 1;
const SMALL_ARRAY: u8 = 2;
pub(super) const LARGE_ARRAY: u8 = 3;
const LITERAL: u8 = 4;
const INT16: u8 = 5;
const UINT16: u8 = 6;
const INT32: u8 = 7;
const UINT32: u8 = 8;
const INT64: u8 = 9;
const UINT64: u8 = 10;
const DOUBLE: u8 = 11;
const STRING: u8 = 12;
const OPAQUE: u8 = 15;

/// Appends the text of a binary JSON document.
pub fn write(document: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    // the server stores the JSON null that a non-strict insert makes of nothing as no bytes at all
    let Some((kind, data)) = document.split_first() else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    Writer { budget: 2 * document.len(), out }.value(*kind, data, 0)
}

/// A value that is no container: its type and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scalar<'a> {
    pub kind: u8,
    pub data: &'a [u8],
}

/// Whether values of this type stand in the entry of a container whose offsets are `width` bytes.
pub(super) fn is_inline(kind: u8, width: usize) -> bool {
    matches!(kind, LITERAL | INT16 | UINT16) || (width == 4 && matches!(kind, INT32 | UINT32))
}

/// Takes a document apart, so that it can be changed.
pub(super) fn parse(document: &[u8]) -> Result<Node<'_>, Fault> {
    let Some((kind, data)) = document.split_first() else {
        return Ok(Node::Scalar(Scalar { kind: LITERAL, data: &[0] }));
    };
    Parser { budget: 2 * document.len() }.value(*kind, data, 0)
}

struct Parser {
    /// As that of [`Writer`].
    budget: usize,
}

impl Parser {
    fn value<'a>(&mut self, kind: u8, data: &'a [u8], depth: usize) -> Result<Node<'a>, Fault> {
        let mut cursor = Cursor(data);
        match kind {
            SMALL_OBJECT | SMALL_ARRAY => return self.container(data, 2, kind == SMALL_OBJECT, depth),
            LARGE_OBJECT | LARGE_ARRAY => return self.container(data, 4, kind == LARGE_OBJECT, depth),
            LITERAL => cursor.take(1)?,
            INT16 | UINT16 => cursor.take(2)?,
            INT32 | UINT32 => cursor.take(4)?,
            INT64 | UINT64 | DOUBLE => cursor.take(8)?,
            STRING | OPAQUE => {
                if kind == OPAQUE {
                    cursor.u8()?;
                }
                let length = variable_length(&mut cursor)?;
                cursor.take(length)?
            }
            _ => return Err(Fault::Invalid("a JSON value of unknown type")),
        };
        let data = data.get(..data.len() - cursor.len()).ok_or(Fault::Truncated)?;
        self.budget = self.budget.checked_sub(data.len()).ok_or(OVERLAP)?;
        Ok(Node::Scalar(Scalar { kind, data }))
    }

    fn container<'a>(&mut self, data: &'a [u8], width: usize, object: bool, depth: usize) -> Result<Node<'a>, Fault> {
        let Head { count, entries: header, data, bytes } = head(data, width, object, depth)?;
        self.budget = self.budget.checked_sub(bytes).ok_or(OVERLAP)?;
        let (mut keys, mut values) = (header, header);
        let (mut members, mut cells) = (Vec::new(), Vec::new());
        if object {
            values.take(count.saturating_mul(width + 2))?;
        }
        for _ in 0..count {
            let kind = values.u8()?;
            let entry = values.take(width)?;
            let value =
                if is_inline(kind, width) { entry } else { data.get(Cursor(entry).uint(width)? as usize..).ok_or(Fault::Truncated)? };
            let value = self.value(kind, value, depth + 1)?;
            if object {
                let offset = keys.uint(width)? as usize;
                let length = usize::from(keys.u16()?);
                let key = data.get(offset..).and_then(|d| d.get(..length)).ok_or(Fault::Truncated)?;
                self.budget = self.budget.checked_sub(key.len()).ok_or(OVERLAP)?;
                members.push((key.into(), value));
            } else {
                cells.push(value);
            }
        }
        Ok(if object { Node::Object(members) } else { Node::Array(cells) })
    }
}

const OVERLAP: Fault = Fault::Invalid("a JSON document whose parts overlap");

struct Writer<'o> {
    /// What may still be visited; every visited byte of a well-formed document is visited once.
    budget: usize,
    out: &'o mut Vec<u8>,
}

impl Writer<'_> {
    fn spend(&mut self, cost: usize) -> Result<(), Fault> {
        self.budget = self.budget.checked_sub(cost).ok_or(OVERLAP)?;
        Ok(())
    }

    fn value(&mut self, kind: u8, data: &[u8], depth: usize) -> Result<(), Fault> {
        let mut cursor = Cursor(data);
        match kind {
            SMALL_OBJECT => self.container(data, 2, true, depth),
            LARGE_OBJECT => self.container(data, 4, true, depth),
            SMALL_ARRAY => self.container(data, 2, false, depth),
            LARGE_ARRAY => self.container(data, 4, false, depth),
            LITERAL => self.literal(cursor.u8()?),
            INT16 => self.integer(cursor.u16()? as i16),
            UINT16 => self.integer(cursor.u16()?),
            INT32 => self.integer(cursor.u32()? as i32),
            UINT32 => self.integer(cursor.u32()?),
            INT64 => self.integer(cursor.u64()? as i64),
            UINT64 => self.integer(cursor.u64()?),
            DOUBLE => self.double(f64::from_bits(cursor.u64()?)),
            STRING => {
                let length = variable_length(&mut cursor)?;
                self.string(cursor.take(length)?)
            }
            OPAQUE => {
                let kind = cursor.u8()?;
                let length = variable_length(&mut cursor)?;
                self.opaque(kind, cursor.take(length)?)
            }
            _ => Err(Fault::Invalid("a JSON value of unknown type")),
        }
    }

    fn literal(&mut self, literal: u8) -> Result<(), Fault> {
        self.out.extend_from_slice(match literal {
            0 => b"null",
            1 => b"true",
            2 => b"false",
            _ => return Err(Fault::Invalid("an unknown JSON literal")),
        });
        Ok(())
    }

    fn integer(&mut self, value: impl itoa::Integer) -> Result<(), Fault> {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        Ok(())
    }

    /// As the server's `my_gcvt`: shortest digits that read back the same, plain up to 15 places or with digits of a fraction, else with
    /// an exponent.
    fn double(&mut self, value: f64) -> Result<(), Fault> {
        if !value.is_finite() {
            return Err(Fault::Invalid("a JSON number that is not finite"));
        }
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').ok_or(Fault::Invalid("a JSON number"))?;
        let exponent: i32 = exponent.parse().map_err(|_| Fault::Invalid("a JSON number"))?;
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
        let has_fraction = usize::try_from(exponent).is_ok_and(|exponent| digits > exponent + 1);
        if (-15..15).contains(&exponent) || has_fraction {
            let plain = format!("{value}");
            self.out.extend_from_slice(plain.as_bytes());
            if !plain.contains('.') {
                self.out.extend_from_slice(b".0");
            }
        } else {
            self.out.extend_from_slice(mantissa.as_bytes());
            self.out.push(b'e');
            self.out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
        }
        Ok(())
    }

    fn string(&mut self, text: &[u8]) -> Result<(), Fault> {
        self.spend(text.len())?;
        if std::str::from_utf8(text).is_err() {
            return Err(Fault::Invalid("a JSON string that is not UTF-8"));
        }
        json::string(text, self.out);
        Ok(())
    }

    /// A value of an SQL type without a JSON counterpart.
    fn opaque(&mut self, kind: u8, data: &[u8]) -> Result<(), Fault> {
        self.spend(data.len())?;
        match kind {
            column_type::NEWDECIMAL => {
                let mut cursor = Cursor(data);
                let (precision, scale) = (cursor.u8()?, cursor.u8()?);
                let digits = cursor.take(decimal::size(precision, scale)?)?;
                decimal::write(digits, precision, scale, self.out)
            }
            column_type::DATE | column_type::TIME | column_type::DATETIME | column_type::TIMESTAMP => {
                self.out.push(b'"');
                temporal::json_temporal(kind, data, self.out)?;
                self.out.push(b'"');
                Ok(())
            }
            _ => {
                self.out.extend_from_slice(b"\"base64:type");
                self.integer(kind)?;
                self.out.push(b':');
                // the server breaks its base64 into lines
                for (i, line) in STANDARD.encode(data).as_bytes().chunks(76).enumerate() {
                    if i > 0 {
                        self.out.extend_from_slice(b"\\n");
                    }
                    self.out.extend_from_slice(line);
                }
                self.out.push(b'"');
                Ok(())
            }
        }
    }

    /// An object or array; offsets count from the start of `data`, sizes and offsets are `width` bytes.
    fn container(&mut self, data: &[u8], width: usize, object: bool, depth: usize) -> Result<(), Fault> {
        let Head { count, entries: header, data, bytes } = head(data, width, object, depth)?;
        self.spend(bytes)?;
        let mut keys = header;
        let mut values = header;
        if object {
            values.take(count.saturating_mul(width + 2))?;
        }
        self.out.push(if object { b'{' } else { b'[' });
        for i in 0..count {
            if i > 0 {
                self.out.extend_from_slice(b", ");
            }
            if object {
                let offset = keys.uint(width)? as usize;
                let length = usize::from(keys.u16()?);
                let key = data.get(offset..).and_then(|d| d.get(..length)).ok_or(Fault::Truncated)?;
                self.string(key)?;
                self.out.extend_from_slice(b": ");
            }
            let kind = values.u8()?;
            let entry = values.take(width)?;
            let value =
                if is_inline(kind, width) { entry } else { data.get(Cursor(entry).uint(width)? as usize..).ok_or(Fault::Truncated)? };
            self.value(kind, value, depth + 1)?;
        }
        self.out.push(if object { b'}' } else { b']' });
        Ok(())
    }
}

/// Seven bits a byte, least significant first, the top bit marks that more follow; at most five bytes.
fn variable_length(cursor: &mut Cursor<'_>) -> Result<usize, Fault> {
    let mut length = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = cursor.u8()?;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(length).map_err(|_| Fault::Truncated);
        }
    }
    Err(Fault::Invalid("a JSON length of more than five bytes"))
}

/// The beginning of an object or array.
struct Head<'a> {
    /// How many elements it has.
    count: usize,
    /// Their entries, those of the keys first.
    entries: Cursor<'a>,
    /// All of it; offsets count from here.
    data: &'a [u8],
    /// Bytes that its entries take.
    bytes: usize,
}

/// Reads the beginning of an object or array, whose sizes and offsets have `width` bytes.
fn head(data: &[u8], width: usize, object: bool, depth: usize) -> Result<Head<'_>, Fault> {
    if depth >= MAX_DEPTH {
        return Err(Fault::Invalid("a JSON document nested too deeply"));
    }
    let mut entries = Cursor(data);
    let count = entries.uint(width)? as usize;
    let size = entries.uint(width)? as usize;
    let data = data.get(..size).ok_or(Fault::Truncated)?;
    let per_element = 1 + width + if object { width + 2 } else { 0 };
    Ok(Head { count, entries, data, bytes: count.saturating_mul(per_element) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(document: &[u8]) -> Result<String, Fault> {
        let mut out = Vec::new();
        write(document, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    fn double(value: f64) -> String {
        let mut document = vec![DOUBLE];
        document.extend_from_slice(&value.to_le_bytes());
        text(&document).unwrap()
    }

    /// Encodes as the server does, small format, for values that fit.
    fn encode(value: &serde_json::Value) -> (u8, Vec<u8>) {
        use serde_json::Value::*;
        match value {
            Null => (LITERAL, vec![0]),
            Bool(b) => (LITERAL, vec![if *b { 1 } else { 2 }]),
            Number(n) if n.is_i64() => (INT64, n.as_i64().unwrap().to_le_bytes().to_vec()),
            Number(n) => (DOUBLE, n.as_f64().unwrap().to_le_bytes().to_vec()),
            String(s) => {
                let mut bytes = Vec::new();
                let mut length = s.len();
                loop {
                    bytes.push((length & 0x7f) as u8 | if length > 0x7f { 0x80 } else { 0 });
                    length >>= 7;
                    if length == 0 {
                        break;
                    }
                }
                bytes.extend_from_slice(s.as_bytes());
                (STRING, bytes)
            }
            Array(items) => (LARGE_ARRAY, container(items.iter().map(|v| (None, v)).collect())),
            Object(map) => (LARGE_OBJECT, container(map.iter().map(|(k, v)| (Some(k.as_str()), v)).collect())),
        }
    }

    fn container(items: Vec<(Option<&str>, &serde_json::Value)>) -> Vec<u8> {
        let object = items.first().is_some_and(|(k, _)| k.is_some());
        let header = 8 + items.len() * (5 + if object { 6 } else { 0 });
        let (mut keys, mut values, mut heap) = (Vec::new(), Vec::new(), Vec::new());
        for (key, _) in items.iter().filter(|_| object) {
            let key = key.unwrap();
            keys.extend_from_slice(&((header + heap.len()) as u32).to_le_bytes());
            keys.extend_from_slice(&(key.len() as u16).to_le_bytes());
            heap.extend_from_slice(key.as_bytes());
        }
        for (_, value) in &items {
            let (kind, bytes) = encode(value);
            values.push(kind);
            if kind == LITERAL {
                values.extend_from_slice(&[bytes[0], 0, 0, 0]);
            } else {
                values.extend_from_slice(&((header + heap.len()) as u32).to_le_bytes());
                heap.extend_from_slice(&bytes);
            }
        }
        let size = header + heap.len();
        let mut all = (items.len() as u32).to_le_bytes().to_vec();
        all.extend_from_slice(&(size as u32).to_le_bytes());
        all.extend(keys);
        all.extend(values);
        all.extend(heap);
        all
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<i32>().prop_map(|n| (f64::from(n) / 8.0).into()),
            ".{0,20}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..5).prop_map(serde_json::Value::from),
                prop::collection::btree_map(".{0,8}", inner, 1..5).prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn numbers_are_printed_as_the_server_prints_them() {
        assert_eq!(double(1.0), "1.0");
        assert_eq!(double(-0.5), "-0.5");
        assert_eq!(double(1e14), "100000000000000.0");
        assert_eq!(double(1e15), "1e15");
        assert_eq!(double(-1_039_514_241_563_211.8), "-1039514241563211.8");
        assert_eq!(double(1_039_514_241_563_211.0), "1.039514241563211e15");
        assert_eq!(double(12_345_678_901_234_568.0), "1.2345678901234568e16");
        assert_eq!(double(1.5e300), "1.5e300");
        assert_eq!(double(1e-15), "0.000000000000001");
        assert_eq!(double(1.25e-16), "1.25e-16");
    }

    #[test]
    fn a_decimal_inside_a_document_keeps_its_digits() {
        // P30: one decimal inside a document stopped the whole stream of a peer
        assert_eq!(text(&[OPAQUE, 246, 4, 3, 2, 0x81, 0x32]).unwrap(), "1.50");
    }

    #[test]
    fn long_bytes_are_broken_into_lines_as_the_server_does() {
        for (bytes, lines) in [(57, 1), (58, 2), (114, 2), (115, 3)] {
            let mut document = vec![OPAQUE, 15, bytes];
            document.extend(std::iter::repeat_n(b'x', usize::from(bytes)));
            let text = text(&document).unwrap();
            assert_eq!(text.matches("\\n").count(), lines - 1, "{bytes} bytes: {text}");
            assert!(!text.ends_with("\\n\""), "{text}");
        }
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(text(b"\x0c\x05\"\\\n\x01\x7f").unwrap(), "\"\\\"\\\\\\n\\u0001\x7f\"");
    }

    #[test]
    fn overlapping_parts_cannot_blow_up() {
        // an array of 2000 elements that all are the same 10,000-byte string
        let mut document = vec![LARGE_ARRAY];
        let header = 8 + 2000 * 5;
        document.extend_from_slice(&2000_u32.to_le_bytes());
        document.extend_from_slice(&((header + 10_002) as u32).to_le_bytes());
        for _ in 0..2000 {
            document.push(STRING);
            document.extend_from_slice(&(header as u32).to_le_bytes());
        }
        document.extend_from_slice(&[0x90, 0x4e]);
        document.extend_from_slice(&[b'x'; 10_000]);
        assert_eq!(text(&document), Err(Fault::Invalid("a JSON document whose parts overlap")));
    }

    proptest! {
        #[test]
        fn documents_survive(value in json()) {
            let (kind, bytes) = encode(&value);
            let mut document = vec![kind];
            document.extend(bytes);
            let parsed: serde_json::Value = serde_json::from_str(&text(&document).unwrap()).unwrap();
            prop_assert_eq!(parsed, value);
            for cut in 1..document.len() {
                let _ = text(&document[..cut]);
            }
        }

        #[test]
        fn doubles_read_back_the_same(value in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO) {
            prop_assert_eq!(double(value).parse::<f64>().unwrap(), value);
        }

        #[test]
        fn any_bytes_end_in_text_or_an_error(bytes: Vec<u8>) {
            let _ = text(&bytes);
        }
    }
}
