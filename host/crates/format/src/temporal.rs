//! Dates and times as numbers, read from the canonical text that the model carries them in.

const NANOS: i64 = 1_000_000_000;

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// How many nanoseconds it has.
    pub(super) fn nanos(self) -> i64 {
        match self {
            Self::Millis => 1_000_000,
            Self::Micros => 1_000,
            Self::Nanos => 1,
        }
    }
}

/// What stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read<T> {
    Value(T),
    /// A date that no calendar has: `0000-00-00`, `2024-00-00`, `2024-02-31`.
    NoDate,
    /// Something else.
    Bad,
}

/// Digits as a number.
fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0, |sum, digit| Some(sum * 10 + i64::from(digit.checked_sub(b'0').filter(|d| *d < 10)?)))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Days since 1970-01-01 of `2024-02-29`.
pub(super) fn date(text: &[u8]) -> Read<i64> {
    let mut parts = text.splitn(3, |b| *b == b'-').map(number);
    let (Some(Some(year)), Some(Some(month)), Some(Some(day))) = (parts.next(), parts.next(), parts.next()) else { return Read::Bad };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    if (1..=last).contains(&day) { Read::Value(days_from_civil(year, month, day)) } else { Read::NoDate }
}

/// Nanoseconds of `-838:59:59.000000`.
pub(super) fn time(text: &[u8]) -> Option<i64> {
    let (negative, text) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let (whole, fraction) = match text.iter().position(|b| *b == b'.') {
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &[][..]),
    };
    let mut parts = whole.splitn(3, |b| *b == b':').map(number);
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let nanos = if fraction.is_empty() { 0 } else { number(fraction)? * 10i64.pow(9 - fraction.len() as u32) };
    let nanos = hours.checked_mul(3600)?.checked_add(minutes * 60 + seconds)?.checked_mul(NANOS)?.checked_add(nanos)?;
    Some(if negative { -nanos } else { nanos })
}

/// Days since 1970-01-01 and nanoseconds of the day, of `2024-02-29 13:14:15.123456`, or with `T` and `Z`.
pub(super) fn datetime(text: &[u8]) -> Read<(i64, i64)> {
    let Some(middle) = text.iter().position(|b| matches!(b, b' ' | b'T')) else { return Read::Bad };
    let of_day = &text[middle + 1..];
    let Some(nanos) = time(of_day.strip_suffix(b"Z").unwrap_or(of_day)).filter(|nanos| *nanos >= 0) else { return Read::Bad };
    match date(&text[..middle]) {
        Read::Value(days) => Read::Value((days, nanos)),
        Read::NoDate => Read::NoDate,
        Read::Bad => Read::Bad,
    }
}

/// The number of `unit`s since 1970; `None` when 64 bits cannot hold it. What is finer than the unit is cut off.
pub(super) fn since_epoch(days: i64, nanos: i64, unit: Unit) -> Option<i64> {
    (86_400 * NANOS / unit.nanos()).checked_mul(days)?.checked_add(nanos / unit.nanos())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_instant_is_read_back(time_us in -62_135_596_800_000_000i64..253_402_300_799_999_999) {
            let mut text = Vec::new();
            sluicegate_model::change::write_datetime(time_us, &mut text);
            let Read::Value((days, nanos)) = datetime(&text) else { panic!("{text:?}") };
            prop_assert_eq!(since_epoch(days, nanos, Unit::Micros), Some(time_us));
            text.clear();
            sluicegate_model::change::write_timestamp(time_us, &mut text);
            prop_assert_eq!(datetime(&text), Read::Value((days, nanos)));
        }
    }

    #[test]
    fn what_is_no_date_is_told_apart_from_what_is_none_at_all() {
        for text in ["0000-00-00", "2024-00-00", "2024-01-00", "2023-02-29", "2024-13-01"] {
            assert_eq!(date(text.as_bytes()), Read::NoDate, "{text}");
        }
        for text in ["", "2024", "2024-01", "x-01-01", "2024-01-0x"] {
            assert_eq!(date(text.as_bytes()), Read::Bad, "{text}");
        }
        assert_eq!(datetime(b"0000-00-00 00:00:00"), Read::NoDate);
        assert_eq!(time(b"-838:59:59"), Some(-3_020_399 * NANOS));
        assert_eq!(time(b"-00:00:00.500"), Some(-500_000_000));
        assert_eq!(time(b"00:00:00.1234567"), Some(123_456_700));
        assert_eq!(time(b"12:00"), None);
    }
}
