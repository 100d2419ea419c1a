//! JSON strings, escaped as RFC 8259 demands and no further: `"`, `\` and the controls below U+0020.

/// Appends `text` as a string with its quotes. `text` is UTF-8.
#[inline]
pub fn string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escaped(text, 0, text.len(), out);
    out.push(b'"');
}

/// What stands for a byte inside a string: 0 = itself, `u` = `\u00XX`, anything else = a backslash and this.
const ESCAPE: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = b'u';
        i += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Bytes that are judged and copied at once.
const LANES: usize = 16;

/// Appends the UTF-8 text `data[start..end]`, escaped, without quotes. What follows it in `data` may be looked at, but not
/// appended: whole registers are read wherever there are as many bytes left.
#[inline]
pub fn escaped(data: &[u8], mut start: usize, end: usize, out: &mut Vec<u8>) {
    while start < end {
        let length = (end - start).min(LANES);
        match data[start..].first_chunk::<LANES>() {
            Some(chunk) if clean(chunk, length) => {
                let end = out.len() + length;
                out.extend_from_slice(chunk);
                out.truncate(end);
            }
            _ => escaped_slow(&data[start..start + length], out),
        }
        start += length;
    }
}

/// Whether nothing in the first `length` (1 to 16) bytes of the chunk needs escaping. Eight bytes at a time in a plain
/// register: a subtraction borrows into the top bit of the bytes that are too small (Mycroft's test). A borrow can also
/// taint the byte above such a one, but none below, so cutting at `length` leaves the answer exact.
#[inline]
fn clean(chunk: &[u8; LANES], length: usize) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let dirty = |bytes: u64| {
        let (quote, backslash) = (bytes ^ (ONES * b'"' as u64), bytes ^ (ONES * b'\\' as u64));
        let control = bytes.wrapping_sub(ONES * 0x20) & !bytes;
        (control | (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & (ONES * 0x80)
    };
    let bytes = u128::from_le_bytes(*chunk);
    let dirty = u128::from(dirty(bytes as u64)) | u128::from(dirty((bytes >> 64) as u64)) << 64;
    dirty << (128 - 8 * length) == 0
}

#[inline(never)]
fn escaped_slow(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &b in text {
        match ESCAPE[b as usize] {
            0 => out.push(b),
            b'u' => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[(b >> 4) as usize], HEX[(b & 15) as usize]]),
            short => out.extend_from_slice(&[b'\\', short]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole register is read, but what stands behind a text must not count, and what stands in it must.
    #[test]
    fn every_byte_at_every_place_is_escaped_as_it_should_be() {
        for length in 1..=33usize {
            for at in 0..length + 3 {
                for byte in 0..128u8 {
                    let mut data = vec![b'a'; 64];
                    data[at] = byte;
                    let text = String::from_utf8(data[..length].to_vec()).unwrap();
                    let mut out = Vec::new();
                    escaped(&data, 0, length, &mut out);
                    let expected = serde_json::to_string(&text).unwrap();
                    assert_eq!(String::from_utf8(out).unwrap(), expected[1..expected.len() - 1], "{byte} at {at} of {length}");
                }
            }
        }
    }
}
