//! Exact decimals as text, compared without being converted.

use std::cmp::Ordering;

use crate::digits::{MOST, short};

/// A decimal number: digits without leading zeros before the point and without trailing zeros after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    whole: Vec<u8>,
    fraction: Vec<u8>,
    /// By the number of places after the point: the largest integer of that many places that is not larger than the number,
    /// and whether it is the number itself. A value that [`short`] reads is compared with one of them.
    scaled: Box<[(i64, bool)]>,
}

/// Sign, digits before the point without leading zeros, digits after it without trailing zeros. Zero has no sign.
fn split(text: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let (mut whole, mut fraction) = match point {
        Some(at) => (digits.get(..at)?, digits.get(at + 1..)?),
        None => (digits, &[][..]),
    };
    if whole.len() + fraction.len() == 0 || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    while let [b'0', rest @ ..] = whole {
        whole = rest;
    }
    while let [rest @ .., b'0'] = fraction {
        fraction = rest;
    }
    Some((negative && !(whole.is_empty() && fraction.is_empty()), whole, fraction))
}

fn compare(a: (bool, &[u8], &[u8]), b: (bool, &[u8], &[u8])) -> Ordering {
    let magnitude = || a.1.len().cmp(&b.1.len()).then_with(|| a.1.cmp(b.1)).then_with(|| a.2.cmp(b.2));
    match (a.0, b.0) {
        (false, false) => magnitude(),
        (true, true) => magnitude().reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

/// Compares two decimals in text form; `None` when one of them is none.
pub fn compare_text(a: &[u8], b: &[u8]) -> Option<Ordering> {
    Some(compare(split(a)?, split(b)?))
}

impl Decimal {
    /// A decimal from a literal without an exponent, `-12.50`.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, whole, fraction) = split(text.as_bytes())?;
        let scaled = (0..=MOST).map(|places| floor_at(negative, whole, fraction, places)).collect();
        Some(Self { negative, whole: whole.to_vec(), fraction: fraction.to_vec(), scaled })
    }

    /// How the decimal in `data[start..end]` compares to this one; `None` when it is none.
    #[inline]
    pub fn compare_to(&self, data: &[u8], start: usize, end: usize) -> Option<Ordering> {
        if let Some((value, places)) = short(data, start, end)
            && let Some((floor, exact)) = self.scaled.get(places)
        {
            let ordering = value.cmp(floor);
            return Some(if ordering == Ordering::Equal && !exact { Ordering::Less } else { ordering });
        }
        Some(compare(split(data.get(start..end)?)?, (self.negative, &self.whole, &self.fraction)))
    }

    /// The largest integer that is not larger, and whether that is the number itself; `None` beyond 128 bits.
    pub fn floor(&self) -> Option<(i128, bool)> {
        let mut value: i128 = 0;
        for digit in &self.whole {
            value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let exact = self.fraction.is_empty();
        let value = if self.negative { -value - i128::from(!exact) } else { value };
        Some((value, exact))
    }

    /// Whether the number is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }
}

/// The largest integer of `places` places after the point that is not larger than the number, and whether it is the number.
/// A number beyond 64 bits becomes the nearest one that no value of [`MOST`] digits reaches.
fn floor_at(negative: bool, whole: &[u8], fraction: &[u8], places: usize) -> (i64, bool) {
    let mut digits = whole.iter().chain(fraction.iter().chain(std::iter::repeat(&b'0')).take(places));
    let magnitude = digits.try_fold(0_i64, |value, digit| value.checked_mul(10)?.checked_add(i64::from(digit.wrapping_sub(b'0'))));
    let exact = fraction.len() <= places;
    match magnitude {
        Some(magnitude) if negative => (-magnitude - i64::from(!exact), exact),
        Some(magnitude) => (magnitude, exact),
        None if negative => (i64::MIN, true),
        None => (i64::MAX, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compare_to(literal: &str, text: &str) -> Option<Ordering> {
        Decimal::parse(literal).unwrap().compare_to(text.as_bytes(), 0, text.len())
    }

    #[test]
    fn decimals_compare_as_numbers() {
        for (a, b, expected) in [
            ("10", "9", Ordering::Greater),
            ("1.50", "1.5", Ordering::Equal),
            ("-0.00", "0", Ordering::Equal),
            ("-2", "-10", Ordering::Greater),
            ("0.09", "0.1", Ordering::Less),
            ("007", "7.0", Ordering::Equal),
            ("99999999999999999999999999999999.1", "99999999999999999999999999999999.2", Ordering::Less),
        ] {
            assert_eq!(compare_text(a.as_bytes(), b.as_bytes()), Some(expected), "{a} {b}");
            assert_eq!(compare_to(b, a), Some(expected), "{a} {b}");
        }
        let nineteen = compare_to("0", "9300000000000000000");
        assert_eq!(nineteen, Some(Ordering::Greater), "too long for the short way");
        for text in ["", "-", ".", "1.2.3", "1,5", "abc", "1e5"] {
            assert_eq!(compare_text(text.as_bytes(), b"0"), None, "{text}");
        }
    }

    #[test]
    fn a_literal_has_a_floor() {
        assert_eq!(Decimal::parse("1e5"), None);
        assert_eq!(Decimal::parse("-1.5").unwrap().floor(), Some((-2, false)));
        assert_eq!(Decimal::parse("18446744073709551615").unwrap().floor(), Some((u64::MAX.into(), true)));
    }

    proptest! {
        #[test]
        fn comparison_agrees_with_scaled_integers(a in -100_000i64..100_000, b in -100_000i64..100_000) {
            let text = |v: i64| format!("{}{}.{:02}", if v < 0 { "-" } else { "" }, v.abs() / 100, v.abs() % 100);
            prop_assert_eq!(compare_text(text(a).as_bytes(), text(b).as_bytes()), Some(a.cmp(&b)));
            prop_assert_eq!(compare_to(&text(b), &text(a)), Some(a.cmp(&b)));
        }

        #[test]
        fn a_parsed_decimal_compares_as_its_text_does(a in "-?[0-9]{0,21}(\\.[0-9]{0,21})?", b in "-?[0-9]{1,21}(\\.[0-9]{0,21})?") {
            prop_assert_eq!(compare_to(&b, &a), compare_text(a.as_bytes(), b.as_bytes()), "{} {}", a, b);
        }
    }
}
