//! Decimals as the bytes of their unscaled number: two's complement, the most significant byte first, as few bytes as hold it, as
//! Java's `BigInteger` and Kafka Connect's `Decimal` have them.

/// Digits of 64 bits.
const CHUNK: usize = 18;
/// Bits for 76 digits: the servers have 65.
const LIMBS: usize = 4;
/// Digits that fit into them in any case.
const MOST_DIGITS: usize = 76;

/// The unscaled number of a decimal.
pub(super) struct Unscaled {
    bytes: [u8; LIMBS * 8],
    start: usize,
}

impl Unscaled {
    /// Reads `-12.50` as a decimal of so many places. `None`: it is none, or has more places or digits.
    pub(super) fn parse(text: &[u8], scale: usize) -> Option<Self> {
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

    proptest! {
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
