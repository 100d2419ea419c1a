//! Decimals: from the bytes of their unscaled number, as Kafka Connect has them, and from JSON numbers.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use sluicegate_model::limits::KAFKA_EXPONENT;

/// Bytes of an unscaled number, at most: 700 digits, more than any server has, and a bound on the work, which grows with the square.
const MOST_BYTES: usize = 300;
/// Digits behind the point, at most.
const MOST_SCALE: usize = 1000;
/// What a limb holds: digits that can be written one limb after the other.
const LIMB: u64 = 1_000_000_000;

/// Appends a decimal's text: `text` has the bytes of its unscaled number in base64. `None`: it has none, or too many; nothing is appended.
pub(super) fn of_base64(text: &str, scale: i64, out: &mut Vec<u8>) -> Option<()> {
    let mut bytes = [0; MOST_BYTES];
    let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
    of_unscaled(bytes.get(..length)?, scale, out)
}

/// Appends a decimal's text: `bytes` are its unscaled number in two's complement, the most significant byte first.
fn of_unscaled(bytes: &[u8], scale: i64, out: &mut Vec<u8>) -> Option<()> {
    let negative = bytes.first()? & 0x80 != 0;
    // what fits into a number of the machine, as that of every server's type but the largest does
    let mut small = [if negative { 0xff } else { 0 }; size_of::<i128>()];
    if let Some(place) = small.len().checked_sub(bytes.len()).and_then(|start| small.get_mut(start..)) {
        place.copy_from_slice(bytes);
        return scaled(negative, itoa::Buffer::new().format(i128::from_be_bytes(small).unsigned_abs()), scale, out);
    }
    // the magnitude, in base 10^9, the least significant limb first
    let mut limbs: Vec<u64> = vec![0];
    let mut carry_in = |factor: u64, add: u64| {
        let mut carry = add;
        for limb in &mut limbs {
            let value = *limb * factor + carry;
            *limb = value % LIMB;
            carry = value / LIMB;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    };
    for byte in bytes {
        carry_in(256, u64::from(if negative { !byte } else { *byte }));
    }
    if negative {
        carry_in(1, 1);
    }
    let mut digits = limbs.last()?.to_string();
    limbs.iter().rev().skip(1).for_each(|limb| digits.push_str(&format!("{limb:09}")));
    scaled(negative, &digits, scale, out)
}

/// Appends digits with the point so many places from their end.
fn scaled(negative: bool, digits: &str, scale: i64, out: &mut Vec<u8>) -> Option<()> {
    let places = usize::try_from(scale.unsigned_abs()).ok().filter(|places| *places <= MOST_SCALE)?;
    if negative && digits.bytes().any(|b| b != b'0') {
        out.push(b'-');
    }
    let digits = digits.as_bytes();
    if scale <= 0 {
        out.extend_from_slice(digits);
        out.resize(out.len() + if digits == b"0" { 0 } else { places }, b'0');
        return Some(());
    }
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(places));
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    out.push(b'.');
    out.resize(out.len() + places.saturating_sub(fraction.len()), b'0');
    out.extend_from_slice(fraction);
    Some(())
}

/// Appends the text of a JSON number without an exponent: as it is written where it has none. `None`: the exponent is too large; nothing
/// is appended.
pub(super) fn plain(number: &str, out: &mut Vec<u8>) -> Option<()> {
    let Some((mantissa, exponent)) = number.split_once(['e', 'E']) else {
        out.extend_from_slice(number.as_bytes());
        return Some(());
    };
    let exponent: i64 = exponent.parse().ok()?;
    if exponent.unsigned_abs() > u64::from(KAFKA_EXPONENT) {
        return None;
    }
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = match digits.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    scaled(negative, digits, fraction.len() as i64 - exponent, out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is appended to a text that was there.
    fn appended(append: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<String> {
        let mut out = b"before ".to_vec();
        let done = append(&mut out);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out == "before ", done.is_none());
        done.map(|()| out["before ".len()..].to_owned())
    }

    fn unscaled(bytes: &[u8], scale: i64) -> Option<String> {
        appended(|out| of_base64(&STANDARD.encode(bytes), scale, out))
    }

    proptest! {
        #[test]
        fn every_number_of_128_bits_is_written(number: i128, filler in 0usize..4) {
            let bytes = [vec![if number < 0 { 0xff } else { 0 }; filler], number.to_be_bytes().to_vec()].concat();
            prop_assert_eq!(unscaled(&bytes, 0), Some(number.to_string()));
        }

        #[test]
        fn an_exponent_moves_the_point(number: i32, places in 0i64..12) {
            let shifted = unscaled(&number.to_be_bytes(), places);
            prop_assert_eq!(appended(|out| plain(&format!("{number}e-{places}"), out)), shifted);
        }
    }

    #[test]
    fn the_texts_are_those_of_java() {
        for (bytes, scale, text) in [
            (&[0x00][..], 0, "0"),
            (&[0x00], 2, "0.00"),
            (&[0x7f], 2, "1.27"),
            (&[0x80], 2, "-1.28"),
            (&[0xfb, 0x1e], 2, "-12.50"),
            (&[0xff], 3, "-0.001"),
            (&[0x05], -3, "5000"),
            (&[0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 0, "18446744073709551615"),
        ] {
            assert_eq!(unscaled(bytes, scale).as_deref(), Some(text));
        }
        for (bytes, scale) in [(&[][..], 0), (&[1][..], 1001), (&[1; 301][..], 0)] {
            assert_eq!(unscaled(bytes, scale), None);
        }
        assert_eq!(unscaled(&[1; 300], 700).map(|text| text.len()), Some(722), "the longest that is read");
    }

    #[test]
    fn a_number_without_an_exponent_stays_as_it_is() {
        for (number, text) in [
            ("-12.500", Some("-12.500")),
            ("1e3", Some("1000")),
            ("-1.5E+2", Some("-150")),
            ("1.25e1", Some("12.5")),
            ("1e-7", Some("0.0000001")),
            ("0e5", Some("0")),
            ("-0e-2", Some("0.00")),
            ("1e401", None),
            ("1e99999999999999999999", None),
        ] {
            assert_eq!(appended(|out| plain(number, out)).as_deref(), text, "{number}");
        }
    }
}
