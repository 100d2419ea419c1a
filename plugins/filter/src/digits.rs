//! Short decimals as numbers, eight characters at a time: texts of changing length make a loop over their digits mispredict
//! its end in nearly every row. The arithmetic within a word is that of Lemire, "Number parsing at a gigabyte per second",
//! Software: Practice and Experience 51 (2021).

/// Characters that a number may have here, but for its sign.
pub const MOST: usize = 16;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// The decimal in `data[start..end]`: the number without its point, and the digits after it. `None` when it is none, or longer
/// than [`MOST`].
#[inline]
pub fn short(data: &[u8], start: usize, end: usize) -> Option<(i64, usize)> {
    let negative = data.get(start) == Some(&b'-');
    let start = start + usize::from(negative);
    let length = end.checked_sub(start).filter(|length| (1..=MOST).contains(length))?;
    let (low, point) = without_point(word(data, start.max(end.saturating_sub(8)), end));
    let (digits, magnitude, places) = if length <= 8 {
        let digits = are_digits(low) && length > usize::from(point.is_some());
        (digits, number(low), point.unwrap_or(0))
    } else {
        let high = word(data, start, end - 8);
        match point {
            Some(places) => (are_digits(low) && are_digits(high), number(high) * 10_000_000 + number(low), places),
            None => {
                let (high, point) = without_point(high);
                (are_digits(low) && are_digits(high), number(high) * 100_000_000 + number(low), point.map_or(0, |places| places + 8))
            }
        }
    };
    let magnitude = i64::try_from(magnitude).ok().filter(|_| digits)?;
    Some((if negative { -magnitude } else { magnitude }, places))
}

/// At most eight characters, the first in the lowest byte that is used, the last in the highest; each as its difference to `0`.
#[inline]
fn word(data: &[u8], start: usize, end: usize) -> u64 {
    // what stands before the text is read too, and cut off: one load, whatever the length
    let bytes = match data.get(end.wrapping_sub(8)..end).and_then(|bytes| bytes.first_chunk()) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => data.get(start..end).unwrap_or_default().iter().fold(0, |word, byte| word >> 8 | u64::from(*byte) << 56),
    };
    let used = u64::MAX.checked_shl(64 - 8 * (end - start) as u32).unwrap_or(0);
    (bytes ^ (ONES * u64::from(b'0'))) & used
}

/// Takes the first point out of a word, and tells how many characters stand behind it.
#[inline]
fn without_point(word: u64) -> (u64, Option<usize>) {
    let differs = word ^ (ONES * u64::from(b'.' ^ b'0'));
    // the lowest byte that is zero; higher ones are not told reliably
    let found = differs.wrapping_sub(ONES) & !differs & HIGHS;
    if found == 0 {
        return (word, None);
    }
    let at = found.trailing_zeros() & !7;
    let behind = u64::MAX << at << 8;
    ((word & behind) | (word << 8 & !behind), Some(7 - (at >> 3) as usize))
}

/// Whether each byte is at most nine.
#[inline]
fn are_digits(word: u64) -> bool {
    (word.wrapping_add(ONES * 0x76) | word) & HIGHS == 0
}

/// The number of eight digits: pairs, then fours, then all.
#[inline]
fn number(word: u64) -> u64 {
    let pairs = word.wrapping_mul(10 * 256 + 1) >> 8 & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100 * 65_536 + 1) >> 16 & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul((10_000 << 32) + 1) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same, a character at a time.
    fn slow(text: &str) -> Option<(i64, usize)> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{fraction}");
        (digits.len() <= MOST && !all.is_empty() && all.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| (sign * all.parse::<i64>().unwrap(), fraction.len()))
    }

    fn agrees(before: &str, text: &str) {
        let data = format!("{before}{text}9");
        let end = before.len() + text.len();
        assert_eq!(short(data.as_bytes(), before.len(), end), slow(text), "{before:?} {text:?}");
    }

    #[test]
    fn every_place_of_the_point_at_every_length() {
        for length in 1..=MOST + 2 {
            let digits = &"9081726354908172635490"[..length];
            for before in ["", "7", ".", "-", "5.55555555", "123456789012345678"] {
                agrees(before, digits);
                agrees(before, &format!("-{digits}"));
                for at in 0..length {
                    agrees(before, &format!("{}.{}", &digits[..at], &digits[at + 1..]));
                    agrees(before, &format!("{}-{}", &digits[..at], &digits[at + 1..]));
                    agrees(before, &format!("{}/{}", &digits[..at], &digits[at + 1..]));
                }
            }
        }
        for text in ["", "-", ".", "-.", "..", "--1", "1.2.3", "1.23456789.1", "1.3456789012345.", "1e5", "+1", " 1", "é"] {
            agrees("12345678", text);
            agrees("", text);
        }
    }

    proptest! {
        #[test]
        fn words_read_what_a_loop_reads(before in "[0-9.]{0,12}", text in "-?[0-9]{0,9}[.]?[0-9]{0,9}") {
            agrees(&before, &text);
        }

        #[test]
        fn no_byte_passes_for_a_digit(before in any::<[u8; 9]>(), text in proptest::collection::vec(any::<u8>(), 0..18)) {
            let data = [&before[..], &text].concat();
            let expected = std::str::from_utf8(&text).ok().and_then(slow);
            prop_assert_eq!(short(&data, before.len(), data.len()), expected);
        }
    }
}
