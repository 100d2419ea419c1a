//! What the bytes of most character sets stand for, as the servers themselves convert them.
//!
//! `charset_tables.zst` was read out of MariaDB 10.11 (gb18030: MySQL 9.7) with `CONVERT(… USING utf8mb4)`, code by code; where both
//! have a character set, they agree in every code. The tests in `tests/mysql_source/charsets.rs` compare it with running
//! servers. No library has these tables: of these sets `encoding_rs` lacks nine and differs from the servers in
//! twelve more, in big5, ujis and eucjpms by hundreds of characters.
//!
//! The file is zstd over 16-bit numbers, little-endian, each the difference to the one before. For each set of [`SETS`] in turn
//! there are 256 characters of one byte; for those of several bytes the characters of two bytes from 0x8000 on follow, then those of
//! three bytes behind 0x8f (96 rows and columns from 0xa0 on), or the linear codes of four bytes. 0 stands for none.

use std::{
    collections::BTreeSet,
    sync::{LazyLock, OnceLock},
};

use super::cursor::Fault;

/// How many bytes a character may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    One,
    Two,
    /// Two, or three behind 0x8f.
    Three,
    /// Two, or four.
    Four,
}

/// The sets in the order of the file. New ones come last.
const SETS: &[(&str, Shape)] = &[
    ("armscii8", Shape::One),
    ("cp1250", Shape::One),
    ("cp1251", Shape::One),
    ("cp1256", Shape::One),
    ("cp1257", Shape::One),
    ("cp850", Shape::One),
    ("cp852", Shape::One),
    ("cp866", Shape::One),
    ("dec8", Shape::One),
    ("geostd8", Shape::One),
    ("greek", Shape::One),
    ("hebrew", Shape::One),
    ("hp8", Shape::One),
    ("keybcs2", Shape::One),
    ("koi8r", Shape::One),
    ("koi8u", Shape::One),
    ("latin2", Shape::One),
    ("latin5", Shape::One),
    ("latin7", Shape::One),
    ("macce", Shape::One),
    ("macroman", Shape::One),
    ("swe7", Shape::One),
    ("tis620", Shape::One),
    ("big5", Shape::Two),
    ("cp932", Shape::Two),
    ("euckr", Shape::Two),
    ("gb18030", Shape::Four),
    ("gb2312", Shape::Two),
    ("gbk", Shape::Two),
    ("sjis", Shape::Two),
    ("eucjpms", Shape::Three),
    ("ujis", Shape::Three),
];

const TWO: usize = 0x8000;
const THREE: usize = 96 * 96;
/// Codes of four bytes below U+10000.
const FOUR: usize = 39_420;
/// The linear number of the code that stands for U+10000.
const SUPPLEMENTARY: u32 = 189_000;

static PACKED: &[u8] = include_bytes!("charset_tables.zst");
static UNPACKED: LazyLock<Vec<u16>> = LazyLock::new(unpack);

/// One of the sets of [`SETS`], by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tabled(u8);

/// Where the table of each set begins.
const STARTS: [usize; SETS.len()] = starts();

const fn starts() -> [usize; SETS.len()] {
    let mut starts = [0; SETS.len()];
    let mut set = 1;
    while set < SETS.len() {
        starts[set] = starts[set - 1] + SETS[set - 1].1.length();
        set += 1;
    }
    starts
}

impl Shape {
    const fn length(self) -> usize {
        256 + match self {
            Shape::One => 0,
            Shape::Two => TWO,
            Shape::Three => TWO + THREE,
            Shape::Four => TWO + FOUR,
        }
    }
}

/// Empty when the file is not what it should be, which a test rules out: every code is an error then.
fn unpack() -> Vec<u16> {
    let length: usize = SETS.iter().map(|(_, shape)| shape.length()).sum();
    let bytes = zstd::bulk::decompress(PACKED, 2 * length).unwrap_or_default();
    let mut last = 0_u16;
    let differences = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    differences
        .map(|difference| {
            last = last.wrapping_add(difference);
            last
        })
        .collect()
}

const INVALID: Fault = Fault::Invalid("text that is not valid in the column's character set");

impl Tabled {
    /// By the server's name.
    pub fn named(name: &str) -> Option<Self> {
        SETS.iter().position(|(set, _)| *set == name).and_then(|place| u8::try_from(place).ok()).map(Tabled)
    }

    /// The server's name of it.
    pub fn name(self) -> &'static str {
        SETS.get(usize::from(self.0)).map_or("", |(name, _)| *name)
    }

    /// The characters that several codes stand for.
    pub fn doubled(self) -> &'static BTreeSet<char> {
        static DOUBLED: [OnceLock<BTreeSet<char>>; SETS.len()] = [const { OnceLock::new() }; SETS.len()];
        static NONE: BTreeSet<char> = BTreeSet::new();
        let place = usize::from(self.0);
        let Some((doubled, (_, shape))) = DOUBLED.get(place).zip(SETS.get(place)) else { return &NONE };
        doubled.get_or_init(|| {
            let start = STARTS.get(place).copied().unwrap_or_default();
            let mut codes = UNPACKED.get(start..start + shape.length()).unwrap_or_default().to_vec();
            codes.sort_unstable();
            let twice = codes.windows(2).filter(|pair| pair[0] == pair[1] && pair[0] != 0);
            twice.filter_map(|pair| char::from_u32(pair[0].into())).collect()
        })
    }

    /// Bytes that a character can take.
    pub fn width(self) -> u32 {
        match SETS.get(usize::from(self.0)).map_or(Shape::One, |(_, shape)| *shape) {
            Shape::One => 1,
            Shape::Two => 2,
            Shape::Three => 3,
            Shape::Four => 4,
        }
    }

    /// Appends `text` as UTF-8.
    pub fn write(self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let place = usize::from(self.0);
        let (name, shape) = *SETS.get(place).ok_or(INVALID)?;
        // every set but this one has ASCII below 0x80
        if text.is_ascii() && name != "swe7" {
            out.extend_from_slice(text);
            return Ok(());
        }
        let start = STARTS[place];
        let table = UNPACKED.get(start..start + shape.length()).ok_or(INVALID)?;
        let (one, more) = table.split_at(256);
        let mut rest = text;
        while let Some((first, tail)) = rest.split_first() {
            let character = match one[usize::from(*first)] {
                0 if *first != 0 => {
                    let (character, length) = long(shape, more, rest)?;
                    rest = rest.get(length..).unwrap_or_default();
                    character
                }
                character => {
                    rest = tail;
                    u32::from(character)
                }
            };
            let character = char::from_u32(character).ok_or(INVALID)?;
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

/// The character of several bytes that `text` begins with, and how many.
fn long(shape: Shape, table: &[u16], text: &[u8]) -> Result<(u32, usize), Fault> {
    let found = match (shape, text) {
        (Shape::Three, [0x8f, a, b, ..]) => {
            let (row, column) = (a.checked_sub(0xa0).ok_or(INVALID)?, b.checked_sub(0xa0).ok_or(INVALID)?);
            (table.get(TWO + usize::from(row) * 96 + usize::from(column)).copied().unwrap_or(0).into(), 3)
        }
        (Shape::Four, [a @ 0x81..=0xfe, b @ 0x30..=0x39, c @ 0x81..=0xfe, d @ 0x30..=0x39, ..]) => {
            let digits = [(*a, 0x81), (*b, 0x30), (*c, 0x81), (*d, 0x30)].map(|(byte, first)| u32::from(byte - first));
            let linear = ((digits[0] * 10 + digits[1]) * 126 + digits[2]) * 10 + digits[3];
            let below = table.get(TWO..).and_then(|table| table.get(linear as usize)).copied().map(u32::from);
            (below.unwrap_or_else(|| linear.checked_sub(SUPPLEMENTARY).map_or(0, |above| 0x1_0000 + above)), 4)
        }
        (Shape::One, _) => return Err(INVALID),
        (_, [a @ 0x80..=0xff, b, ..]) => (table.get((usize::from(*a) << 8 | usize::from(*b)) - TWO).copied().unwrap_or(0).into(), 2),
        _ => return Err(INVALID),
    };
    if found.0 == 0 { Err(INVALID) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(name: &str, bytes: &[u8]) -> Result<String, Fault> {
        let mut out = Vec::new();
        Tabled::named(name).unwrap().write(bytes, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_file_is_whole() {
        assert_eq!(UNPACKED.len(), SETS.iter().map(|(_, shape)| shape.length()).sum::<usize>());
    }

    #[test]
    fn characters_with_several_codes_are_known() {
        let doubled = |name: &str| Tabled::named(name).unwrap().doubled();
        assert!(["gbk", "gb18030", "gb2312", "euckr", "koi8r", "cp1251"].iter().all(|name| doubled(name).is_empty()));
        assert_eq!(doubled("sjis").iter().collect::<String>(), "\\");
        assert_eq!(doubled("ujis").iter().collect::<String>(), "\\~");
        assert_eq!(doubled("cp932").len(), 396);
    }

    #[test]
    fn known_words() {
        for (name, bytes, expected) in [
            ("gbk", &b"\xc4\xe3\xba\xc3 ok"[..], "你好 ok"),
            ("gb2312", b"\xc4\xe3\xba\xc3", "你好"),
            ("gb18030", b"\xc4\xe3\x81\x30\x81\x30\x90\x30\x81\x30\xe3\x32\x9a\x35", "你\u{80}\u{10000}\u{10ffff}"),
            ("big5", b"\xa7\x41\xa6\x6e", "你好"),
            ("sjis", b"\x83\x65\xb1\x5c", "テｱ\\"),
            ("cp932", b"\x87\x40\x81\x60", "①～"),
            ("ujis", b"\xa4\xa2\x8e\xb1\x8f\xb0\xa1", "あｱ丂"),
            ("eucjpms", b"\xad\xa1", "①"),
            ("euckr", b"\xb0\xa1", "가"),
            ("koi8r", b"\xf0\xd2\xc9", "При"),
            ("koi8u", b"\xa4", "є"),
            ("cp1251", b"\xcf", "П"),
            ("greek", b"\xe1", "α"),
            ("swe7", b"[\\]", "ÄÖÅ"),
            ("tis620", b"\xa1", "ก"),
        ] {
            assert_eq!(text(name, bytes).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn bytes_without_a_character_are_errors() {
        for (name, bytes) in [
            ("gbk", &b"\xc4"[..]),
            ("gbk", b"\x80\x40"),
            ("cp1250", b"\x81"),
            ("hebrew", b"\xff"),
            ("ujis", b"\x8f\xb0"),
            ("ujis", b"\x8f\x20\x20"),
            ("gb18030", b"\xe3\x32\x9a\x36"),
            ("gb18030", b"\x84\x31\xa5\x30"),
            ("swe7", b"\x80"),
        ] {
            assert_eq!(text(name, bytes), Err(INVALID), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_text_or_an_error(bytes: Vec<u8>) {
            for (name, _) in SETS {
                let _ = text(name, &bytes);
            }
        }
    }
}
