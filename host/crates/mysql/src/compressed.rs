//! Values of MariaDB's COMPRESSED columns.
//!
//! Nothing for the empty string; otherwise one byte, whose upper half is the method: 0 = the value follows as it is; 8 = zlib. With
//! zlib, the lower three bits count the bytes of the unpacked length, which follows big-endian, and bit 3 tells that the stream
//! lacks zlib's own frame (`Field_longstr::uncompress` and `column_compression_zlib_wrap` of the MariaDB server).

use flate2::{Decompress, FlushDecompress, Status};

use super::cursor::{Cursor, Fault};

const ZLIB: u8 = 8;
const BARE: u8 = 8;

const BROKEN: Fault = Fault::Invalid("a compressed value that cannot be unpacked");

/// Appends the value that `packed` holds; one of more than `most` bytes is refused before it is unpacked.
pub fn unpack(packed: &[u8], most: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let Some((head, rest)) = packed.split_first() else { return Ok(()) };
    match head >> 4 {
        0 => out.extend_from_slice(rest),
        ZLIB => {
            let mut rest = Cursor(rest);
            let length = usize::try_from(rest.uint_be(usize::from(head & 7))?).map_err(|_| Fault::Truncated)?;
            if length > most {
                return Err(Fault::Invalid("a compressed value that unpacks to more than limits.row_bytes"));
            }
            inflate(rest.0, head & BARE == 0, length, out)?;
        }
        _ => return Err(Fault::Invalid("an unknown compression")),
    }
    Ok(())
}

fn inflate(stream: &[u8], framed: bool, length: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    // a stream of n bytes unpacks to at most about 1032 n: what it says beyond that is a lie, and not allocated
    if length > stream.len().saturating_mul(1040) {
        return Err(BROKEN);
    }
    let before = out.len();
    out.resize(before + length, 0);
    let mut inflater = Decompress::new(framed);
    let target = out.get_mut(before..).ok_or(BROKEN)?;
    let status = inflater.decompress(stream, target, FlushDecompress::Finish);
    let whole = matches!(status, Ok(Status::StreamEnd)) && inflater.total_out() == length as u64;
    if whole { Ok(()) } else { Err(BROKEN) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn pack(value: &[u8], framed: bool) -> Vec<u8> {
        let mut packed = vec![0x84 | if framed { 0 } else { BARE }];
        packed.extend_from_slice(&(value.len() as u32).to_be_bytes());
        if framed {
            let mut encoder = flate2::write::ZlibEncoder::new(packed, flate2::Compression::fast());
            encoder.write_all(value).unwrap();
            encoder.finish().unwrap()
        } else {
            let mut encoder = flate2::write::DeflateEncoder::new(packed, flate2::Compression::fast());
            encoder.write_all(value).unwrap();
            encoder.finish().unwrap()
        }
    }

    fn unpacked(packed: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
        let mut out = b"before".to_vec();
        unpack(packed, most, &mut out).map(|()| out.split_off(6))
    }

    #[test]
    fn values_that_the_server_logged() {
        // MariaDB 10.11: '' and 'short' in a compressed text, 150 times 'a' without and with zlib's frame
        assert_eq!(unpacked(b"", 10).unwrap(), b"");
        assert_eq!(unpacked(b"\0short", 10).unwrap(), b"short");
        assert_eq!(unpacked(&[0x89, 0x96, 0x4b, 0x4c, 0x1c, 0x8c, 0, 0], 150).unwrap(), [b'a'; 150]);
        let framed = [0x81, 0x96, 0x78, 0x9c, 0x4b, 0x4c, 0x1c, 0x8c, 0, 0, 0xc4, 0xa3, 0x38, 0xd7];
        assert_eq!(unpacked(&framed, 150).unwrap(), [b'a'; 150]);
    }

    #[test]
    fn a_declared_length_beyond_the_limit_is_refused_before_unpacking() {
        assert!(matches!(unpacked(&pack(&[0; 1000], false), 999), Err(Fault::Invalid(_))));
        assert!(unpacked(&[0x84, 0xff, 0xff, 0xff, 0xff, 0], usize::MAX).is_err());
        let mut lying = pack(b"abcdef", false);
        lying[4] = 2;
        assert!(unpacked(&lying, 100).is_err());
    }

    proptest! {
        #[test]
        fn packed_values_survive(value: Vec<u8>, framed: bool) {
            let packed = pack(&value, framed);
            prop_assert_eq!(unpacked(&packed, value.len()).unwrap(), value);
            for cut in 1..packed.len() {
                prop_assert!(unpacked(&packed[..cut], 1 << 20).is_err());
            }
        }

        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes: Vec<u8>) {
            let _ = unpacked(&bytes, 1 << 16);
        }
    }
}
