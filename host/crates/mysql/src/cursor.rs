//! Reading of protocol bytes: every read is checked against the end, so garbled input ends in an error.

use std::fmt;

/// What is wrong with bytes from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They end before the value does.
    Truncated,
    /// They hold what the protocol does not allow.
    Invalid(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Truncated => f.write_str("the data ends too early"),
            Fault::Invalid(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Fault {}

/// The bytes that have not been read yet.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    /// Bytes left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all has been read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(Fault::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Fault::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, little-endian.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, little-endian.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    /// `n <= 8` bytes, little-endian.
    #[inline]
    pub fn uint(&mut self, n: usize) -> Result<u64, Fault> {
        Ok(self.take(n)?.iter().rev().fold(0, |value, b| value << 8 | u64::from(*b)))
    }

    /// `n <= 8` bytes, big-endian.
    #[inline]
    pub fn uint_be(&mut self, n: usize) -> Result<u64, Fault> {
        Ok(self.take(n)?.iter().fold(0, |value, b| value << 8 | u64::from(*b)))
    }

    /// A length-encoded integer
    /// (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html>).
    pub fn lenenc(&mut self) -> Result<u64, Fault> {
        match self.u8()? {
            first @ 0..=0xfa => Ok(u64::from(first)),
            0xfc => self.uint(2),
            0xfd => self.uint(3),
            0xfe => self.uint(8),
            _ => Err(Fault::Invalid("a length has an impossible first byte")),
        }
    }

    /// An integer of MySQL's serialization library, as tagged GTIDs have it: the lowest bits that are set in the first byte count
    /// the bytes behind it (`mysql/serialization/variable_length_integers.h` of the server).
    pub fn varlen(&mut self) -> Result<u64, Fault> {
        let more = self.0.first().ok_or(Fault::Truncated)?.trailing_ones();
        if more == 8 {
            self.u8()?;
            return self.u64();
        }
        Ok(self.uint(more as usize + 1)? >> (more + 1))
    }

    /// Bytes behind their length-encoded length.
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.lenenc()?;
        self.take(usize::try_from(length).map_err(|_| Fault::Truncated)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_of_every_width_are_read() {
        for (bytes, expected) in [
            (&[0x05][..], 5),
            (&[0xfa], 250),
            (&[0xfc, 0x01, 0x02], 0x0201),
            (&[0xfd, 1, 2, 3], 0x03_0201),
            (&[0xfe, 1, 0, 0, 0, 0, 0, 0, 0x80], 0x8000_0000_0000_0001),
        ] {
            assert_eq!(Cursor(bytes).lenenc(), Ok(expected));
        }
        assert_eq!(Cursor(&[0xfb]).lenenc(), Err(Fault::Invalid("a length has an impossible first byte")));
        assert_eq!(Cursor(&[0xfc, 1]).lenenc(), Err(Fault::Truncated));
        assert_eq!(Cursor(&[5, 1, 2]).lenenc_bytes(), Err(Fault::Truncated));
    }

    proptest! {
        #[test]
        fn integers_survive_a_round_trip(value: u64, width in 1_usize..=8) {
            let value = value >> (64 - 8 * width);
            let le = value.to_le_bytes();
            let be = value.to_be_bytes();
            prop_assert_eq!(Cursor(&le[..width]).uint(width), Ok(value));
            prop_assert_eq!(Cursor(&be[8 - width..]).uint_be(width), Ok(value));
        }
    }
}
