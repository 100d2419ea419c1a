//! Steps on columns of text. Most text is ASCII, where a character is a byte: those columns take the short way.

use sluicegate_plugin::{Strings, Vector, null_at, text_at};

use crate::hash::Hmac;

/// Which characters stay, and what the others become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Characters kept at the start.
    pub first: usize,
    /// Characters kept at the end.
    pub last: usize,
    /// Stands for each hidden character.
    pub with: char,
}

/// The bounds of a row's bytes.
fn ends(strings: &Strings) -> impl Iterator<Item = (usize, usize)> + '_ {
    strings.offsets.windows(2).map(|ends| match ends {
        [start, end] => (*start as usize, *end as usize),
        _ => (0, 0),
    })
}

/// Builds a column row by row; nulls stay null.
fn each(strings: &Strings, mut append: impl FnMut(&[u8], &mut Vec<u8>)) -> Strings {
    let mut out = Strings { offsets: Vec::with_capacity(strings.offsets.len()), data: Vec::with_capacity(strings.data.len()) };
    out.offsets.push(0);
    for (start, end) in ends(strings) {
        append(strings.data.get(start..end).unwrap_or_default(), &mut out.data);
        out.offsets.push(out.data.len() as u32);
    }
    out
}

/// Hides all but the first and last characters, or all of a value that is not longer than both together.
pub fn mask(strings: Strings, mask: Mask) -> Strings {
    if mask.with.is_ascii() && is_ascii(&strings.data) {
        return Strings { data: mask_ascii(&strings, mask), offsets: strings.offsets };
    }
    each(&strings, |row, out| {
        let row = String::from_utf8_lossy(row);
        let hidden = hidden(row.chars().count(), mask);
        let mut buffer = [0; 4];
        for (i, character) in row.chars().enumerate() {
            let shown = if hidden.contains(&i) { mask.with } else { character };
            out.extend_from_slice(shown.encode_utf8(&mut buffer).as_bytes());
        }
    })
}

/// Whether each character is a byte. By blocks of words: each turn of a loop looks at the deadline, too, which costs as much as a
/// word, and the standard library's takes words of 32 bits.
fn is_ascii(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<64>();
    let words = |high, block: &[u8; 64]| block.as_chunks().0.iter().fold(high, |high, word| high | u64::from_ne_bytes(*word));
    blocks.iter().fold(0, words) & 0x8080_8080_8080_8080 == 0 && rest.is_ascii()
}

/// A character is a byte here. All is hidden at once, then the ends of each row are brought back: by words of fixed length, for a
/// loop mispredicts its end, and a copy or a fill of changing length is a call out of the component; each costs more than the
/// rest of the row.
fn mask_ascii(strings: &Strings, mask: Mask) -> Vec<u8> {
    let mut out = vec![mask.with as u8; strings.data.len()];
    for (start, end) in ends(strings) {
        let hidden = hidden(end - start, mask);
        show(&strings.data, &mut out, start, start + hidden.start, mask.with as u8);
        show(&strings.data, &mut out, start + hidden.end, end, mask.with as u8);
    }
    out
}

/// Copies `start..end`; what stands behind may be hidden again.
#[inline]
fn show(from: &[u8], to: &mut [u8], start: usize, end: usize, with: u8) {
    let bytes = end - start;
    if bytes <= 8
        && let Some(source) = from.get(start..).and_then(|from| from.first_chunk())
        && let Some(target) = to.get_mut(start..).and_then(|to| to.first_chunk_mut())
    {
        // written without a look at what is there: reading back a word that was just written in part would wait for it
        let behind = u64::MAX.checked_shl(8 * bytes as u32).unwrap_or(0);
        *target = (u64::from_ne_bytes([with; 8]) & behind | u64::from_le_bytes(*source) & !behind).to_le_bytes();
    } else if let (Some(source), Some(target)) = (from.get(start..end), to.get_mut(start..end)) {
        target.copy_from_slice(source);
    }
}

/// The characters that are hidden of `length`.
fn hidden(length: usize, mask: Mask) -> std::ops::Range<usize> {
    if length <= mask.first.saturating_add(mask.last) { 0..length } else { mask.first..length - mask.last }
}

/// Keeps at most `length` characters.
pub fn truncate(strings: &Strings, length: usize) -> Strings {
    let ascii = is_ascii(&strings.data);
    each(strings, |row, out| {
        let end = match std::str::from_utf8(row) {
            Ok(text) if !ascii => text.char_indices().nth(length).map_or(row.len(), |(at, _)| at),
            _ => length.min(row.len()),
        };
        out.extend_from_slice(row.get(..end).unwrap_or(row));
    })
}

/// The keyed hash of every row that is not null, in hexadecimal.
pub fn hash(strings: &Strings, nulls: &Vector, hmac: &Hmac) -> Strings {
    let mut i = 0;
    each(strings, |row, out| {
        if !null_at(nulls, i) {
            hmac.append_hex(row, out);
        }
        i += 1;
    })
}

/// One part of a concatenation.
#[derive(Debug)]
pub enum Piece {
    /// A column of text, with its nulls.
    Column(Strings, Vec<u8>),
    /// The same text in every row.
    Text(String),
}

/// Joins the parts of each row; nulls, and their separators, are left out.
pub fn concat(pieces: &[Piece], separator: &str, count: usize) -> Strings {
    let size = pieces.iter().map(|piece| match piece {
        Piece::Column(strings, _) => strings.data.len(),
        Piece::Text(text) => text.len() * count,
    });
    let mut out =
        Strings { offsets: Vec::with_capacity(count + 1), data: Vec::with_capacity(size.sum::<usize>() + separator.len() * count) };
    out.offsets.push(0);
    for row in 0..count {
        let mut first = true;
        for piece in pieces {
            let part = match piece {
                Piece::Column(_, nulls) if nulls.get(row >> 3).is_some_and(|byte| byte >> (row & 7) & 1 == 1) => continue,
                Piece::Column(strings, _) => text_at(strings, row),
                Piece::Text(text) => text.as_bytes(),
            };
            if !first {
                out.data.extend_from_slice(separator.as_bytes());
            }
            first = false;
            out.data.extend_from_slice(part);
        }
        out.offsets.push(out.data.len() as u32);
    }
    out
}
