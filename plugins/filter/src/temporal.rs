//! Dates and times in the canonical text forms of the plugin interface, and literals brought into them.

use std::cmp::Ordering;

use sluicegate_plugin::DataType;

/// The longest TIME of MySQL and MariaDB, in microseconds: 838:59:59.
const LONGEST: i64 = (838 * 3600 + 59 * 60 + 59) * 1_000_000;

/// A literal in the form in which `data_type` is carried, so that it compares with [`compare`]; `None` when it is none.
/// A date stands for its midnight; a timestamp is in UTC.
pub fn canonical(literal: &str, data_type: DataType) -> Option<String> {
    if data_type == DataType::Time {
        let fraction = literal.split_once('.').map(|(_, fraction)| fraction);
        let fits = microseconds(literal.as_bytes())?.abs() <= LONGEST && fraction.is_none_or(|fraction| (1..=6).contains(&fraction.len()));
        return fits.then(|| literal.to_string());
    }
    let (date, rest) = (literal.get(..10)?, literal.get(10..)?);
    let digits = |text: &str, shape: &[u8]| {
        text.len() == shape.len()
            && text.bytes().zip(shape).all(|(byte, want)| if *want == b'0' { byte.is_ascii_digit() } else { byte == *want })
    };
    if !digits(date, b"0000-00-00") || !is_in_the_calendar(date)? {
        return None;
    }
    let time = match rest.as_bytes().first() {
        None => "00:00:00".to_string(),
        Some(b' ' | b'T') => {
            let rest = rest.get(1..)?;
            let rest = if data_type == DataType::Timestamp { rest.strip_suffix('Z').unwrap_or(rest) } else { rest };
            let (clock, fraction) = rest.split_once('.').map_or((rest, None), |(clock, fraction)| (clock, Some(fraction)));
            let clock = if digits(clock, b"00:00") { format!("{clock}:00") } else { clock.to_string() };
            if !digits(&clock, b"00:00:00") || clock.as_str() > "23:59:60" || clock.get(3..5)? > "59" || clock.get(6..8)? > "59" {
                return None;
            }
            match fraction {
                Some(f) if f.is_empty() || f.len() > 6 || !f.bytes().all(|b| b.is_ascii_digit()) => return None,
                Some(fraction) => format!("{clock}.{fraction}"),
                None => clock,
            }
        }
        Some(_) => return None,
    };
    Some(match data_type {
        DataType::Date if rest.is_empty() => date.to_string(),
        DataType::Datetime => format!("{date} {time}"),
        DataType::Timestamp => format!("{date}T{time}Z"),
        _ => return None,
    })
}

/// Whether there is such a day. The server's zero dates are: without a day, or without a month and a day.
fn is_in_the_calendar(date: &str) -> Option<bool> {
    let number = |from: usize, to: usize| date.get(from..to)?.parse::<u32>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) && year > 0;
    let days = match month {
        0 => 0,
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return Some(false),
    };
    Some(day <= days)
}

/// Compares two values of the same temporal type; fractions of different length compare by what they mean. `None` when a
/// time cannot be read.
pub fn compare(a: &[u8], b: &[u8], data_type: DataType) -> Option<Ordering> {
    match data_type {
        DataType::Time => Some(microseconds(a)?.cmp(&microseconds(b)?)),
        _ => {
            let ((a, a_fraction), (b, b_fraction)) = (parts(a), parts(b));
            Some(a.cmp(b).then_with(|| a_fraction.cmp(b_fraction)))
        }
    }
}

/// What stands before the fraction, and the fraction without trailing zeros.
fn parts(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.strip_suffix(b"Z").unwrap_or(text);
    match text.get(19..) {
        Some([b'.', fraction @ ..]) => {
            let mut fraction = fraction;
            while let [rest @ .., b'0'] = fraction {
                fraction = rest;
            }
            (text.get(..19).unwrap_or(text), fraction)
        }
        _ => (text, &[]),
    }
}

/// A duration `[-]H…:MM[:SS[.ffffff]]` in microseconds.
fn microseconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number = |part: &str, most: i64| {
        let fits = !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| part.parse::<i64>().ok()).flatten().filter(|n| *n <= most)
    };
    let mut parts = clock.split(':');
    let (hours, minutes) = (number(parts.next()?, 9999)?, number(parts.next()?, 59)?);
    let seconds = parts.next().map_or(Some(0), |part| number(part, 59))?;
    if parts.next().is_some() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut micros = 0;
    for place in 0..6 {
        micros = micros * 10 + i64::from(fraction.as_bytes().get(place).map_or(0, |digit| digit - b'0'));
    }
    Some(sign * (((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_plugin::DataType::*;

    #[test]
    fn literals_become_canonical_or_are_refused() {
        for (literal, data_type, expected) in [
            ("2024-02-29", Date, Some("2024-02-29")),
            ("2024-02-29", Datetime, Some("2024-02-29 00:00:00")),
            ("2024-02-29T13:14", Datetime, Some("2024-02-29 13:14:00")),
            ("2024-02-29 13:14:15.5", Timestamp, Some("2024-02-29T13:14:15.5Z")),
            ("2024-02-29T13:14:15Z", Timestamp, Some("2024-02-29T13:14:15Z")),
            ("2024-02-29T13:14:15Z", Datetime, None),
            ("2024-02-29T13:14:15+02:00", Timestamp, None),
            ("2024-02-29 10:00:00", Date, None),
            ("0000-00-00", Date, Some("0000-00-00")),
            ("-838:59:59", Time, Some("-838:59:59")),
            ("29.02.2024", Date, None),
            ("2024-13-01", Date, None),
            ("2023-02-29", Date, None),
            ("2000-02-29", Date, Some("2000-02-29")),
            ("1900-02-29", Date, None),
            ("2024-04-31", Datetime, None),
            ("2024-00-00", Date, Some("2024-00-00")),
            ("2024-00-01", Date, None),
            (" 2024-02-29", Date, None),
            ("2024-02-29 13:14:15.1234567", Datetime, None),
            ("2024-02-29 13:14:15.", Datetime, None),
            ("838:59:59.000001", Time, None),
            ("10:00:00.", Time, None),
            ("yesterday", Timestamp, None),
        ] {
            assert_eq!(canonical(literal, data_type).as_deref(), expected, "{literal}");
        }
    }

    #[test]
    fn fractions_and_signs_compare_by_what_they_mean() {
        for (a, b, data_type, expected) in [
            ("2024-02-29 13:14:15", "2024-02-29 13:14:15.000", Datetime, Ordering::Equal),
            ("2024-02-29T13:14:15.2Z", "2024-02-29T13:14:15.19Z", Timestamp, Ordering::Greater),
            ("2024-02-29", "2024-03-01", Date, Ordering::Less),
            ("-01:00:00", "-02:00:00", Time, Ordering::Greater),
            ("100:00:00", "99:00:00", Time, Ordering::Greater),
            ("00:00:01.5", "00:00:01.500000", Time, Ordering::Equal),
        ] {
            assert_eq!(compare(a.as_bytes(), b.as_bytes(), data_type), Some(expected), "{a} {b}");
        }
    }
}
