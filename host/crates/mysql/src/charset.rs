//! Character sets: what a collation's number means, and text to UTF-8.

use std::collections::HashMap;

use super::{charset_tables::Tabled, cursor::Fault};

/// How a column's bytes become UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Charset {
    /// utf8mb4 and utf8mb3: they are UTF-8 already.
    Utf8,
    /// ASCII.
    Ascii,
    /// The server's latin1, which is Windows' code page 1252.
    Latin1,
    /// UCS-2, and UTF-16 in either order of bytes.
    Utf16 {
        /// Whether the lower byte of a unit comes first.
        little: bool,
    },
    /// UTF-32, big-endian.
    Utf32,
    /// One that goes by a table.
    Tabled(Tabled),
    /// No characters at all: bytes.
    Binary,
    /// One that no server known so far has, by its name.
    Unsupported(Box<str>),
}

impl Charset {
    /// By the server's name, e.g. `utf8mb4`.
    pub fn named(name: &str) -> Self {
        match name {
            "utf8mb4" | "utf8mb3" | "utf8" => Charset::Utf8,
            "ascii" => Charset::Ascii,
            "latin1" => Charset::Latin1,
            "binary" => Charset::Binary,
            // in UCS-2, surrogates are no characters: a lone one is an error here as well
            "ucs2" | "utf16" => Charset::Utf16 { little: false },
            "utf16le" => Charset::Utf16 { little: true },
            "utf32" => Charset::Utf32,
            other => Tabled::named(other).map_or_else(|| Charset::Unsupported(other.into()), Charset::Tabled),
        }
    }

    /// Bytes that a character can take, as far as known: turns a column's length in bytes into characters.
    pub fn bytes_a_character(&self, name: &str) -> u32 {
        match (self, name) {
            (Charset::Utf8, "utf8mb4") => 4,
            (Charset::Utf8, _) => 3,
            (_, "ucs2") => 2,
            (Charset::Utf16 { .. } | Charset::Utf32, _) => 4,
            (Charset::Tabled(set), _) => set.width(),
            _ => 1,
        }
    }
}

/// The server's collations, by number.
#[derive(Clone, Debug, Default)]
pub struct Collations(HashMap<u64, Box<str>>);

impl Collations {
    /// From number and character set name.
    pub fn new(known: impl IntoIterator<Item = (u64, String)>) -> Self {
        Self(known.into_iter().map(|(id, name)| (id, name.into())).collect())
    }

    /// Whether the server has the character set.
    pub fn has(&self, charset: &str) -> bool {
        self.0.values().any(|known| **known == *charset)
    }

    /// The character set's name of the collation `id`.
    pub fn charset_name(&self, id: u64) -> Option<&str> {
        // 63 is "binary" on every server, also when the list could not be read
        if id == 63 { Some("binary") } else { self.0.get(&id).map(|n| &**n) }
    }
}

/// Code page 1252 where it differs from Unicode's first 256 code points; the five holes map to themselves, as the server
/// does it.
const CP1252: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2c6}', '\u{2030}', '\u{160}',
    '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}',
    '\u{2014}', '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

const INVALID: Fault = Fault::Invalid("text that is not valid in the column's character set");

/// Appends `text`, which is in `charset`, as UTF-8.
#[inline]
pub fn write(charset: &Charset, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    match charset {
        Charset::Utf8 => {
            let valid = if text.len() < 64 { std::str::from_utf8(text).is_ok() } else { simdutf8::basic::from_utf8(text).is_ok() };
            if !valid {
                return Err(INVALID);
            }
            out.extend_from_slice(text);
            Ok(())
        }
        Charset::Ascii if text.is_ascii() => {
            out.extend_from_slice(text);
            Ok(())
        }
        Charset::Ascii => Err(INVALID),
        Charset::Latin1 => {
            latin1(text, out);
            Ok(())
        }
        Charset::Tabled(set) => set.write(text, out),
        Charset::Utf16 { little } => utf16(text, *little, out),
        Charset::Utf32 => utf32(text, out),
        Charset::Binary | Charset::Unsupported(_) => Err(Fault::Invalid("text in a character set that is not converted")),
    }
}

fn latin1(text: &[u8], out: &mut Vec<u8>) {
    if text.is_ascii() {
        return out.extend_from_slice(text);
    }
    for byte in text {
        let character = match byte {
            0x80..=0x9f => CP1252[usize::from(byte - 0x80)],
            _ => char::from(*byte),
        };
        push(character, out);
    }
}

fn push(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

fn utf16(text: &[u8], little: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (pairs, []) = text.as_chunks::<2>() else { return Err(INVALID) };
    let units = pairs.iter().map(|pair| if little { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) });
    for character in char::decode_utf16(units) {
        push(character.map_err(|_| INVALID)?, out);
    }
    Ok(())
}

fn utf32(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let (units, []) = text.as_chunks::<4>() else { return Err(INVALID) };
    for unit in units {
        push(char::from_u32(u32::from_be_bytes(*unit)).ok_or(INVALID)?, out);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(charset: &Charset, bytes: &[u8]) -> Result<String, Fault> {
        let mut out = Vec::new();
        write(charset, bytes, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn latin1_is_code_page_1252() {
        assert_eq!(text(&Charset::Latin1, b"\x80uro \xe9t\xe9 \x9f\x81").unwrap(), "€uro été Ÿ\u{81}");
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(text(&Charset::Latin1, &all).unwrap().chars().count(), 256);
    }

    #[test]
    fn invalid_text_is_an_error_never_a_replacement_character() {
        assert!(text(&Charset::Utf8, b"\xff").is_err());
        assert!(text(&Charset::Utf8, &[0xff; 100]).is_err());
        assert!(text(&Charset::Ascii, b"\x80").is_err());
        assert!(text(&Charset::Unsupported("klingon".into()), b"a").is_err());
        assert!(text(&Charset::named("utf16"), b"\xd8\x00").is_err());
        assert!(text(&Charset::named("utf16"), b"\x00").is_err());
        assert!(text(&Charset::named("utf32"), b"\x00\x11\x00\x00").is_err());
    }

    #[test]
    fn wide_units_are_read_in_their_order() {
        assert_eq!(text(&Charset::named("ucs2"), b"\x20\xac\x00a").unwrap(), "€a");
        assert_eq!(text(&Charset::named("utf16"), b"\xd8\x3d\xde\x00").unwrap(), "😀");
        assert_eq!(text(&Charset::named("utf16le"), b"\x3d\xd8\x00\xde").unwrap(), "😀");
        assert_eq!(text(&Charset::named("utf32"), b"\x00\x01\xf6\x00").unwrap(), "😀");
    }
}
