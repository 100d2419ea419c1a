//! Decimals: digits with a scale, exact to 38 digits.

use crate::error::{Result, SqlError};

/// Bytes of a decimal of so many digits, with its sign.
pub fn storage(precision: u8) -> i64 {
    match precision {
        0..=9 => 5,
        10..=19 => 9,
        20..=28 => 13,
        _ => 17,
    }
}

/// Ten to that power; no more than 38 is asked for.
pub fn power(exponent: u8) -> i128 {
    10_i128.pow(u32::from(exponent.min(38)))
}

fn overflow(to: &str) -> SqlError {
    SqlError::new(8115, format!("Arithmetic overflow error converting numeric to data type {to}.")).state(8)
}

/// The digits at another scale, rounded half away from zero.
pub fn rescale(digits: i128, from: u8, to: u8) -> Result<i128> {
    if to >= from {
        return digits.checked_mul(power(to - from)).ok_or_else(|| overflow("numeric"));
    }
    let divisor = power(from - to);
    let (whole, rest) = (digits / divisor, digits % divisor);
    Ok(if rest.abs() * 2 >= divisor { whole + digits.signum() } else { whole })
}

/// The digits, when they fit a precision.
pub fn fit(digits: i128, precision: u8) -> Result<i128> {
    if digits.unsigned_abs() < power(precision).unsigned_abs() { Ok(digits) } else { Err(overflow("numeric")) }
}

/// A decimal of a text: digits and scale.
pub fn parse(text: &str) -> Option<(i128, u8)> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.get(..fraction.len().min(38))?;
    let mut digits = 0_i128;
    for digit in whole.bytes().chain(fraction.bytes()) {
        digits = digits.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    Some((if negative { -digits } else { digits }, u8::try_from(fraction.len()).ok()?))
}

/// A decimal as the server prints it, all places of the scale.
pub fn print(digits: i128, scale: u8) -> String {
    let sign = if digits < 0 { "-" } else { "" };
    let all = digits.unsigned_abs().to_string();
    if scale == 0 {
        return format!("{sign}{all}");
    }
    let scale = usize::from(scale);
    let padded = format!("{all:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// A float as the server prints it with style 0: six digits, or 3 for those of style 2 (16) and 3 (17).
pub fn print_float(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed =
        |text: &str| if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() };
    if digits > 6 || exponent < -5 || exponent >= i32::try_from(digits).unwrap_or(6) {
        let mantissa = if digits > 6 { mantissa.to_owned() } else { trimmed(mantissa) };
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:03}", exponent.abs());
    }
    let places = usize::try_from(i32::try_from(digits).unwrap_or(6) - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.places$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_to_38_digits() {
        let (digits, scale) = parse("-99999999999999999999999999999999999999").expect("a decimal");
        assert_eq!(print(digits, scale), "-99999999999999999999999999999999999999");
        assert_eq!(print(5, 4), "0.0005");
        assert_eq!(rescale(-15, 1, 0).expect("fits"), -2);
        assert_eq!(print_float(0.1, 6), "0.1");
        assert_eq!(print_float(1e20, 6), "1e+020");
        assert_eq!(print_float(123_456.0, 6), "123456");
    }
}
