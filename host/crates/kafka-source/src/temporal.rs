//! Dates and times: from numbers since 1970 to the canonical text that the model carries them in.

use std::io::Write as _;

use sluicegate_model::change::{civil, write_date};

/// Days that [`civil`] is asked for: ten thousand years either way.
const MOST_DAYS: i64 = 4_000_000;
/// Nanoseconds of a second.
const NANOS: i64 = 1_000_000_000;

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// Digits of a second's fraction.
    pub(super) fn digits(self) -> u32 {
        match self {
            Self::Millis => 3,
            Self::Micros => 6,
            Self::Nanos => 9,
        }
    }

    fn per_second(self) -> i64 {
        10i64.pow(self.digits())
    }
}

/// `2024-02-29` of days since 1970. `None`: no such date has a text.
pub(super) fn date(days: i64, out: &mut Vec<u8>) -> Option<()> {
    (days.abs() <= MOST_DAYS && (0..10_000).contains(&civil(days).0)).then(|| write_date(days * 86_400_000_000, out))
}

/// `-838:59:59.000000` of a number of units.
pub(super) fn time(number: i64, unit: Unit, out: &mut Vec<u8>) {
    let (magnitude, per_second) = (number.unsigned_abs(), unit.per_second().unsigned_abs());
    if number < 0 {
        out.push(b'-');
    }
    of_day(magnitude / per_second, magnitude % per_second, unit, out);
}

/// `2024-02-29 13:14:15.123` of a number of units since 1970. `None`: no such date has a text.
pub(super) fn datetime(number: i64, unit: Unit, out: &mut Vec<u8>) -> Option<()> {
    let of_a_day = 86_400 * unit.per_second();
    let (days, rest) = (number.div_euclid(of_a_day), number.rem_euclid(of_a_day).unsigned_abs());
    date(days, out)?;
    out.push(b' ');
    let per_second = unit.per_second().unsigned_abs();
    of_day(rest / per_second, rest % per_second, unit, out);
    Some(())
}

fn of_day(seconds: u64, fraction: u64, unit: Unit, out: &mut Vec<u8>) {
    let (hours, minutes, seconds, width) = (seconds / 3600, seconds / 60 % 60, seconds % 60, unit.digits() as usize);
    // writing to memory does not fail
    let _ = write!(out, "{hours:02}:{minutes:02}:{seconds:02}.{fraction:0width$}");
}

/// An instant's text in UTC: what ends in `Z` stays as it is, another offset is taken off. `None`: it is no instant.
pub(super) fn instant(text: &str, out: &mut Vec<u8>) -> Option<()> {
    if text.ends_with('Z') && is_instant(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
        return Some(());
    }
    let digits = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
    let instant: jiff::Timestamp = text.parse().ok()?;
    let (seconds, nanos) = (instant.as_second(), instant.subsec_nanosecond());
    // before 1970 both are negative
    let (seconds, nanos) = if nanos < 0 { (seconds - 1, i64::from(nanos) + NANOS) } else { (seconds, i64::from(nanos)) };
    date(seconds.div_euclid(86_400), out)?;
    let of_day = seconds.rem_euclid(86_400);
    let _ = write!(out, "T{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
    if digits > 0 {
        let start = out.len();
        let _ = write!(out, ".{nanos:09}");
        out.truncate(start + 1 + digits.min(9));
    }
    out.push(b'Z');
    Some(())
}

/// Microseconds since 1970 of an instant's text.
pub(super) fn micros(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

/// Whether a text has the form `2024-02-29T13:14:15.123456Z`, whatever its numbers: zero dates have it, too.
fn is_instant(text: &[u8]) -> bool {
    let Some((date, rest)) = text.split_at_checked(10) else { return false };
    let Some(time) = rest.strip_prefix(b"T").and_then(|rest| rest.strip_suffix(b"Z")) else { return false };
    is_date(date) && is_time(time)
}

/// Whether a text has the form `2024-02-29`, whatever its numbers.
pub(super) fn is_date(text: &[u8]) -> bool {
    text.len() == 10 && text.iter().enumerate().all(|(at, b)| if matches!(at, 4 | 7) { *b == b'-' } else { b.is_ascii_digit() })
}

/// Whether a text has the form `13:14:15.123456`, with or without the fraction and the minus, of two or more digits of hours.
pub(super) fn is_time(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, fraction) = match text.iter().position(|b| *b == b'.') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b"0"[..]),
    };
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = whole.split(|b| *b == b':');
    let (Some(hours), Some(minutes), Some(seconds), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return false };
    (2..=4).contains(&hours.len())
        && minutes.len() == 2
        && seconds.len() == 2
        && fraction.len() <= 9
        && [hours, minutes, seconds, fraction].into_iter().all(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<String> {
        let mut out = Vec::new();
        write(&mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn numbers_become_dates_and_times() {
        assert_eq!(text(|out| date(19_782, out)).as_deref(), Some("2024-02-29"));
        assert_eq!(text(|out| date(-719_528, out)).as_deref(), Some("0000-01-01"));
        assert_eq!(text(|out| date(-719_529, out)), None);
        assert_eq!(text(|out| date(2_932_897, out)), None, "the year 10000");
        assert_eq!(text(|out| date(i64::MAX, out)), None);
        for (number, unit, expected) in [
            (0, Unit::Millis, "00:00:00.000"),
            (-500_000, Unit::Micros, "-00:00:00.500000"),
            (-3_020_399_000_000, Unit::Micros, "-838:59:59.000000"),
            (47_655_123_456_700, Unit::Nanos, "13:14:15.123456700"),
        ] {
            let mut out = Vec::new();
            time(number, unit, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        for (number, unit, expected) in [
            (1_709_212_455_123, Unit::Millis, Some("2024-02-29 13:14:15.123")),
            (1_709_212_455_123_456, Unit::Micros, Some("2024-02-29 13:14:15.123456")),
            (-1, Unit::Nanos, Some("1969-12-31 23:59:59.999999999")),
            (i64::MAX, Unit::Millis, None),
            (i64::MIN, Unit::Micros, None),
        ] {
            assert_eq!(text(|out| datetime(number, unit, out)).as_deref(), expected);
        }
    }

    #[test]
    fn a_text_is_a_time_only_in_the_form_of_one() {
        for time in ["13:14:15", "-838:59:59.123456", "00:00:00.123456789", "1000:00:00"] {
            assert!(is_time(time.as_bytes()), "{time}");
        }
        for other in ["", "13:14", "13:14:15:16", "1:14:15", "13:1:15", "13:14:15.", "13:14:15.1234567890", "10000:00:00", "13:14:1x", "::"]
        {
            assert!(!is_time(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn an_instant_is_in_utc_and_keeps_its_digits() {
        for (from, to) in [
            ("2024-02-29T13:14:15.123456Z", Some("2024-02-29T13:14:15.123456Z")),
            ("0000-00-00T00:00:00Z", Some("0000-00-00T00:00:00Z")),
            ("2024-02-29T13:14:15+02:00", Some("2024-02-29T11:14:15Z")),
            ("1969-12-31T23:00:00.250-02:00", Some("1970-01-01T01:00:00.250Z")),
            ("1969-12-31T23:00:00.250+01:00", Some("1969-12-31T22:00:00.250Z")),
            ("today", None),
            ("todayZ", None),
            ("2024-02-29T13:14:15", None),
        ] {
            assert_eq!(text(|out| instant(from, out)).as_deref(), to, "{from}");
        }
    }
}
