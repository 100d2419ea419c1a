//! DECIMAL in its binlog form, to exact text.
//!
//! Groups of nine digits in four bytes, left-over digits in fewer, big-endian; the top bit is inverted, and negative numbers
//! are inverted as a whole (`decimal.cc` of the MySQL server, `bin2decimal`).

use super::cursor::Fault;

const DIGITS: usize = 9;
const LEFTOVER_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// Bytes that a DECIMAL(`precision`, `scale`) takes.
pub fn size(precision: u8, scale: u8) -> Result<usize, Fault> {
    let whole = usize::from(precision.checked_sub(scale).ok_or(Fault::Invalid("a decimal's scale exceeds its precision"))?);
    let scale = usize::from(scale);
    Ok(whole / DIGITS * 4 + LEFTOVER_BYTES[whole % DIGITS] + scale / DIGITS * 4 + LEFTOVER_BYTES[scale % DIGITS])
}

/// Appends the text of the decimal in `bytes`, which are [`size`] long: `-12.50`, all digits of the scale.
#[inline]
pub fn write(bytes: &[u8], precision: u8, scale: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let first = *bytes.first().ok_or(Fault::Truncated)?;
    let mask = if first & 0x80 == 0 { 0xff } else { 0 };
    let (whole, scale) = (usize::from(precision.saturating_sub(scale)), usize::from(scale));
    let mut position = 0;
    let mut group = |digits: usize| -> Result<u32, Fault> {
        let width = LEFTOVER_BYTES[digits];
        let part = bytes.get(position..position + width).ok_or(Fault::Truncated)?;
        let mut value = 0_u32;
        for (i, byte) in part.iter().enumerate() {
            let byte = if position + i == 0 { byte ^ 0x80 } else { *byte };
            value = value << 8 | u32::from(byte ^ mask);
        }
        position += width;
        if value < 10_u32.pow(digits as u32) { Ok(value) } else { Err(Fault::Invalid("a decimal's group has too many digits")) }
    };

    let start = out.len();
    if mask != 0 {
        out.push(b'-');
    }
    let digits = out.len();
    let mut any = false;
    for digits in [whole % DIGITS].into_iter().filter(|d| *d > 0).chain(std::iter::repeat_n(DIGITS, whole / DIGITS)) {
        let value = group(digits)?;
        if out.len() > start + usize::from(mask != 0) {
            padded(out, value, DIGITS);
        } else if value > 0 {
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        }
        any |= value > 0;
    }
    if out.len() == digits {
        out.push(b'0');
    }
    if scale > 0 {
        out.push(b'.');
        for digits in std::iter::repeat_n(DIGITS, scale / DIGITS).chain([scale % DIGITS].into_iter().filter(|d| *d > 0)) {
            let value = group(digits)?;
            padded(out, value, digits);
            any |= value > 0;
        }
    }
    if !any && mask != 0 {
        // MariaDB can log a negative zero; SQL prints it without the sign
        out.remove(start);
    }
    Ok(())
}

#[inline]
fn padded(out: &mut Vec<u8>, mut value: u32, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the server packs: the inverse of [`write`], from its description.
    fn pack(negative: bool, whole: &str, fraction: &str, precision: u8, scale: u8) -> Vec<u8> {
        let digits = usize::from(precision - scale);
        let whole = format!("{whole:0>digits$}");
        let mut bytes = Vec::new();
        let mut group = |text: &str| {
            if !text.is_empty() {
                let value: u32 = text.parse().unwrap();
                bytes.extend_from_slice(&value.to_be_bytes()[4 - LEFTOVER_BYTES[text.len()]..]);
            }
        };
        let (head, rest) = whole.split_at(digits % DIGITS);
        group(head);
        (0..rest.len()).step_by(DIGITS).for_each(|i| group(&rest[i..i + DIGITS]));
        (0..fraction.len()).step_by(DIGITS).for_each(|i| group(&fraction[i..(i + DIGITS).min(fraction.len())]));
        if negative {
            bytes.iter_mut().for_each(|b| *b = !*b);
        }
        bytes[0] ^= 0x80;
        bytes
    }

    fn text(bytes: &[u8], precision: u8, scale: u8) -> Result<String, Fault> {
        let mut out = Vec::new();
        write(bytes, precision, scale, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_manuals_example() {
        // 1234567890.1234, DECIMAL(14,4): 81 0D FB 38 D2 04 D2
        assert_eq!(text(&[0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2], 14, 4).unwrap(), "1234567890.1234");
        assert_eq!(text(&[0x7e, 0xf2, 0x04, 0xc7, 0x2d, 0xfb, 0x2d], 14, 4).unwrap(), "-1234567890.1234");
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(text(&[0x80, 0], 3, 2).unwrap(), "0.00");
        assert_eq!(text(&[0x7f, 0xff], 3, 2).unwrap(), "0.00");
    }

    proptest! {
        #[test]
        fn decimals_survive(precision in 1_u8..=65, scale in 0_u8..=38, seed in "[0-9]{65}", zeros in 0_usize..=65, negative: bool) {
            let scale = scale.min(precision);
            let digits = usize::from(precision);
            let text_digits: String = seed[..digits].chars().enumerate().map(|(i, c)| if i < zeros.min(digits) { '0' } else { c }).collect();
            let (whole, fraction) = text_digits.split_at(digits - usize::from(scale));
            let bytes = pack(negative, whole, fraction, precision, scale);
            prop_assert_eq!(bytes.len(), size(precision, scale).unwrap());
            let whole = whole.trim_start_matches('0');
            let mut expected = if whole.is_empty() { "0".to_owned() } else { whole.to_owned() };
            if scale > 0 {
                expected = format!("{expected}.{fraction}");
            }
            if negative && text_digits.bytes().any(|b| b != b'0') {
                expected.insert(0, '-');
            }
            prop_assert_eq!(text(&bytes, precision, scale).unwrap(), expected);
            for cut in 0..bytes.len() {
                prop_assert!(text(&bytes[..cut], precision, scale).is_err());
            }
        }

        #[test]
        fn any_bytes_end_in_text_or_an_error(bytes: Vec<u8>, precision in 1_u8..=65, scale in 0_u8..=38) {
            let _ = text(&bytes, precision, scale.min(precision));
        }
    }
}
