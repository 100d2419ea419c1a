//! Decimals as the bytes of their unscaled number: two's complement, the most significant byte first, as few bytes as hold it, as
//! Java's `BigInteger` and Kafka Connect's `Decimal` have them.

/// Digits of 64 bits.
const CHUNK: usize = 18;
/// Bits for 76 digits: the servers have 65.
const LIMBS: usize = 4;
/// Digits that fit into them in any case.
const MOST_DIGITS: usize = 76;

/// The unscaled number of a decimal as [`Unscaled::parse`] reads it, where that has all its places and at most 18 digits, as nearly all
/// have. `None`: it has not, or is no decimal.
#[inline]
pub(super) fn small(text: &[u8], scale: usize) -> Option<i64> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let (whole, fraction) = match scale {
        0 => (digits, &[][..]),
        _ => match digits.split_at_checked(digits.len().checked_sub(scale + 1)?)? {
            (whole, [b'.', fraction @ ..]) => (whole, fraction),
            _ => return None,
        },
    };
    if whole.is_empty() || whole.len() + scale > CHUNK {
        return None;
    }
    let (mut value, mut bad) = (0_i64, false);
    for part in [whole, fraction] {
        for byte in part {
            let digit = byte.wrapping_sub(b'0');
            bad |= digit > 9;
            // what is no digit may be too large
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
        }
    }
    (!bad).then_some(if negative { -value } else { value })
}

/// How many bytes hold a number in two's complement.
#[inline]
pub(super) fn width(number: i64) -> usize {
    (64 - (number ^ (number >> 63)).leading_zeros() as usize) / 8 + 1
}

/// The unscaled number of a decimal.
pub(super) struct Unscaled {
    bytes: [u8; LIMBS * 8],
    start: usize,
}

impl Unscaled {
    /// Reads `-12.50` as a decimal of so many places. `None`: it is none, or has more places or digits.
    pub(super) fn parse(text: &[u8], scale: usize) -> Option<Self> {
        small(text, scale).map(Self::of_small).or_else(|| Self::parse_large(text, scale))
    }

    fn of_small(number: i64) -> Self {
        let mut bytes = [0; LIMBS * 8];
        let (start, last) = (bytes.len() - width(number), bytes.len() - 8);
        bytes[last..].copy_from_slice(&number.to_be_bytes());
        Self { bytes, start }
    }

    fn parse_large(text: &[u8], scale: usize) -> Option<Self> {
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, text),
        };
        let point = digits.iter().position(|b| *b == b'.').unwrap_or(digits.len());
        let whole = &digits[..point];
        let fraction = digits.get(point + 1..).unwrap_or_default();
        let missing = scale.checked_sub(fraction.len())?;
        if whole.is_empty() || whole.len() + scale > MOST_DIGITS {
            return None;
        }
        let mut number = [0u64; LIMBS];
        for part in [whole, fraction] {
            for chunk in part.chunks(CHUNK) {
                let mut value = 0;
                for digit in chunk {
                    value = value * 10 + u64::from(digit.checked_sub(b'0').filter(|d| *d < 10)?);
                }
                multiply_add(&mut number, 10u64.pow(chunk.len() as u32), value);
            }
        }
        for chunk in (0..missing).step_by(CHUNK) {
            multiply_add(&mut number, 10u64.pow((missing - chunk).min(CHUNK) as u32), 0);
        }
        Some(Self::new(number, negative))
    }

    /// An integer that is not negative.
    pub(super) fn of(value: u64) -> Self {
        Self::new([value, 0, 0, 0], false)
    }

    fn new(mut number: [u64; LIMBS], negative: bool) -> Self {
        if negative {
            let mut carry = true;
            for limb in &mut number {
                (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
            }
        }
        let mut bytes = [0; LIMBS * 8];
        for (limb, to) in number.iter().rev().zip(bytes.chunks_exact_mut(8)) {
            to.copy_from_slice(&limb.to_be_bytes());
        }
        // zero is not negative, whatever its sign
        let filler = if bytes[0] & 0x80 != 0 { 0xff } else { 0 };
        let mut start = 0;
        while start + 1 < bytes.len() && bytes[start] == filler && (bytes[start + 1] ^ filler) & 0x80 == 0 {
            start += 1;
        }
        Self { bytes, start }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// `number * factor + add`; what does not fit is lost.
fn multiply_add(number: &mut [u64; LIMBS], factor: u64, add: u64) {
    let mut carry = u128::from(add);
    for limb in number {
        carry += u128::from(*limb) * u128::from(factor);
        *limb = carry as u64;
        carry >>= 64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str, scale: usize) -> Option<String> {
        Unscaled::parse(text.as_bytes(), scale).map(|unscaled| unscaled.bytes().iter().map(|b| format!("{b:02x}")).collect())
    }

    /// What Java's `new BigDecimal(text).setScale(scale).unscaledValue().toByteArray()` gives.
    #[test]
    fn the_bytes_are_those_of_java() {
        for (text, scale, expected) in [
            ("0", 0, "00"),
            ("-0.00", 2, "00"),
            ("1.27", 2, "7f"),
            ("1.28", 2, "0080"),
            ("-1.28", 2, "80"),
            ("-1.29", 2, "ff7f"),
            ("-12.50", 2, "fb1e"),
            ("12.5", 2, "04e2"),
            ("255", 0, "00ff"),
            ("18446744073709551615", 0, "00ffffffffffffffff"),
            (
                "99999999999999999999999999999999999.999999999999999999999999999999",
                30,
                "00f316271c7fc3908a8bef464e3945ef7a253609ffffffffffffffff",
            ),
        ] {
            assert_eq!(hex(text, scale).as_deref(), Some(expected), "{text}");
        }
        for (text, scale) in [("1.5", 0), ("x", 0), ("1.x", 1), ("", 0), ("-", 0)] {
            assert_eq!(hex(text, scale), None, "{text}");
        }
    }

    /// Digits with a sign, a point and what is none of these.
    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "-?[0-9]{1,20}(\\.[0-9]{0,12})?",
            "-?[0-9]{1,9}\\.[0-9]{1,9}",
            "-?[0-9.]{0,22}",
            "[-+0-9. eE/:]{0,12}",
            "-?0{0,3}[0-9]{17,19}",
        ]
    }

    proptest! {
        #[test]
        fn a_number_of_few_digits_is_read_as_one_of_many(text in texts(), scale in 0usize..20) {
            let bytes = |unscaled: Unscaled| unscaled.bytes().to_vec();
            let of_many = Unscaled::parse_large(text.as_bytes(), scale).map(bytes);
            if let Some(number) = small(text.as_bytes(), scale) {
                prop_assert_eq!(Some(&number.to_be_bytes()[8 - width(number)..]), of_many.as_deref(), "{}", text);
            }
            prop_assert_eq!(Unscaled::parse(text.as_bytes(), scale).map(bytes), of_many);
        }

        #[test]
        fn the_width_of_a_number_is_the_least(number: i64, shift in 0u32..64) {
            let number = number >> shift;
            let bytes = number.to_be_bytes();
            let width = width(number);
            prop_assert_eq!(number << (64 - 8 * width) >> (64 - 8 * width), number);
            prop_assert!(width == 1 || i64::from(bytes[9 - width].cast_signed()) >> 7 != number >> 63 || ![0, 0xff].contains(&bytes[8 - width]));
        }

        #[test]
        fn every_number_of_128_bits_is_read(number: i128, scale in 0usize..30) {
            let digits = format!("{:0>1$}", number.unsigned_abs(), scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            let text = format!("{}{whole}{}{fraction}", if number < 0 { "-" } else { "" }, if scale > 0 { "." } else { "" });
            let unscaled = Unscaled::parse(text.as_bytes(), scale).unwrap();
            let mut wide = [if unscaled.bytes()[0] & 0x80 != 0 { 0xff } else { 0 }; 32];
            wide[32 - unscaled.bytes().len()..].copy_from_slice(unscaled.bytes());
            prop_assert_eq!(i128::from_be_bytes(wide[16..].try_into().unwrap()), number);
            let filler = if number < 0 { 0xff } else { 0 };
            prop_assert!(wide[..16].iter().all(|b| *b == filler));
            let shorter = &unscaled.bytes()[1..];
            prop_assert!(shorter.is_empty() || (shorter[0] ^ unscaled.bytes()[0]) & 0x80 != 0 || !matches!(unscaled.bytes()[0], 0 | 0xff));
        }
    }
}
