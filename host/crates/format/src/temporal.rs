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

/// Eight bytes, of which those that `form` has as `0` are digits: the number that each makes with the one behind it. `None`: one of them is
/// none, or another byte is not that of `form`. All at once: a byte of the word is a digit.
#[inline]
fn pairs(text: &[u8; 8], form: &[u8; 8]) -> Option<[u8; 8]> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // what is as in the form is 0, and a digit its value
    let values = u64::from_le_bytes(*text) ^ u64::from_le_bytes(*form);
    let mut most = 0;
    for byte in form.iter().rev() {
        most = most << 8 | if *byte == b'0' { 0x76 } else { 0x7f };
    }
    if (values | values.wrapping_add(most)) & (0x80 * ONES) != 0 {
        return None;
    }
    // no byte is above 99
    Some((values * 10 + (values >> 8)).to_le_bytes())
}

/// Days since 1970-01-01 of a date of a year of four digits.
#[inline]
fn usual_days([century, of_century, month, day]: [u8; 4]) -> Read<i64> {
    const LAST: [u8; 16] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0, 0, 0];
    let leap = (if of_century == 0 { century } else { of_century }).is_multiple_of(4);
    let last = LAST.get(usize::from(month)).map_or(0, |last| last + u8::from(leap && month == 2));
    if day == 0 || day > last {
        return Read::NoDate;
    }
    // as `days_from_civil`, 400 years later, so that nothing is negative
    let [century, of_century, month, day] = [century, of_century, month, day].map(u32::from);
    let early = month <= 2;
    let year = 400 + century * 100 + of_century - u32::from(early);
    let of_year = (153 * (if early { month + 9 } else { month - 3 }) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year;
    Read::Value(i64::from(days) - 719_468 - 146_097)
}

/// [`date`] of `2024-02-29`; `None`: it has another form.
#[inline]
fn usual_date(text: &[u8; 10]) -> Option<Read<i64>> {
    let [century, _, of_century, _, _, month, ..] = pairs(text.first_chunk()?, b"0000-00-")?;
    let [.., day, _] = pairs(text.last_chunk()?, b"00-00-00")?;
    Some(usual_days([century, of_century, month, day]))
}

/// [`time`] of `13:14:15`, `13:14:15.123`, `13:14:15.123456` or `13:14:15.1234567`; `None`: it has another form.
#[inline]
fn usual_time(text: &[u8]) -> Option<i64> {
    let (clock, rest) = text.split_first_chunk::<8>()?;
    let [hours, _, _, minutes, _, _, seconds, _] = pairs(clock, b"00:00:00")?;
    let nanos = match *rest {
        [] => 0,
        [b'.', a, b, c] => fraction([a, b, c, b'0', b'0', b'0', b'0', b'0'])?,
        [b'.', a, b, c, d, e, f] => fraction([a, b, c, d, e, f, b'0', b'0'])?,
        [b'.', a, b, c, d, e, f, g] => fraction([a, b, c, d, e, f, g, b'0'])?,
        _ => return None,
    };
    let [hours, minutes, seconds] = [hours, minutes, seconds].map(i64::from);
    Some((hours * 3600 + minutes * 60 + seconds) * NANOS + nanos)
}

/// Nanoseconds of eight digits behind the point.
#[inline]
fn fraction(digits: [u8; 8]) -> Option<i64> {
    let [first, _, second, _, third, _, fourth, _] = pairs(&digits, b"00000000")?.map(u32::from);
    Some(i64::from((first * 100 + second) * 10_000 + third * 100 + fourth) * 10)
}

/// [`datetime`] of `2024-02-29 13:14:15.123456` and the like; `None`: it has another form.
#[inline]
fn usual_datetime(text: &[u8]) -> Option<Read<(i64, i64)>> {
    let (of_date, rest) = text.split_first_chunk::<10>()?;
    let (b' ' | b'T', of_day) = rest.split_first()? else { return None };
    let nanos = usual_time(of_day.strip_suffix(b"Z").unwrap_or(of_day))?;
    Some(match usual_date(of_date)? {
        Read::Value(days) => Read::Value((days, nanos)),
        Read::NoDate => Read::NoDate,
        Read::Bad => Read::Bad,
    })
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
    text.as_array().and_then(usual_date).unwrap_or_else(|| any_date(text))
}

fn any_date(text: &[u8]) -> Read<i64> {
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
    usual_time(text).or_else(|| any_time(text))
}

fn any_time(text: &[u8]) -> Option<i64> {
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
#[inline]
pub(super) fn datetime(text: &[u8]) -> Read<(i64, i64)> {
    usual_datetime(text).unwrap_or_else(|| any_datetime(text))
}

fn any_datetime(text: &[u8]) -> Read<(i64, i64)> {
    let Some(middle) = text.iter().position(|b| matches!(b, b' ' | b'T')) else { return Read::Bad };
    let of_day = &text[middle + 1..];
    let Some(nanos) = any_time(of_day.strip_suffix(b"Z").unwrap_or(of_day)).filter(|nanos| *nanos >= 0) else { return Read::Bad };
    match any_date(&text[..middle]) {
        Read::Value(days) => Read::Value((days, nanos)),
        Read::NoDate => Read::NoDate,
        Read::Bad => Read::Bad,
    }
}

/// The number of `unit`s since 1970; `None` when 64 bits cannot hold it. What is finer than the unit is cut off.
#[inline]
pub(super) fn since_epoch(days: i64, nanos: i64, unit: Unit) -> Option<i64> {
    // by constants, since a division by another number is slow
    let (of_day, rest) = match unit {
        Unit::Millis => (86_400_000, nanos / 1_000_000),
        Unit::Micros => (86_400_000_000, nanos / 1_000),
        Unit::Nanos => (86_400 * NANOS, nanos),
    };
    days.checked_mul(of_day)?.checked_add(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Dates and times, those that no calendar has, and what is nearly one.
    fn texts() -> impl Strategy<Value = String> {
        let date = prop_oneof![
            "[0-9]{4}-[0-1][0-9]-[0-3][0-9]",
            "[0-9]{1,5}-[0-9]{1,2}-[0-9]{1,3}",
            "(0000|1900|2000|2023|2024)-0[0-3]-(00|28|29|30|31)"
        ];
        let time = prop_oneof!["[0-2][0-9]:[0-9]{2}:[0-9]{2}", "-?[0-9]{1,3}:[0-9]{1,2}:[0-9]{1,2}", "[0-9]{2}.[0-9]{2}:[0-9]{2}"];
        let fraction = prop_oneof!["", "\\.[0-9]{0,10}", "\\.[0-9]{5}[/:x ]"];
        let parts = (date, prop_oneof![" ", "T", "t", ""], time, fraction, prop_oneof!["", "Z", "x"]);
        let whole = parts.prop_map(|(date, middle, time, fraction, zone)| format!("{date}{middle}{time}{fraction}{zone}"));
        prop_oneof![4 => whole.clone(), 1 => (whole, any::<prop::sample::Index>(), any::<char>()).prop_map(|(text, at, other)| {
            let mut all: Vec<char> = text.chars().collect();
            let at = at.index(all.len());
            all[at] = other;
            all.into_iter().collect()
        })]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn what_has_its_usual_width_is_read_as_what_has_not(text in texts()) {
            let text = text.as_bytes();
            prop_assert_eq!(datetime(text), any_datetime(text));
            for middle in 0..=text.len() {
                prop_assert_eq!(date(&text[..middle]), any_date(&text[..middle]));
                prop_assert_eq!(time(&text[middle..]), any_time(&text[middle..]));
            }
        }
    }

    #[test]
    fn every_day_of_the_calendar_is_read() {
        let mut days = any_date(b"0000-01-01");
        for year in 0..10_000 {
            for month in 1..=12 {
                for day in 1..=32 {
                    let text = format!("{year:04}-{month:02}-{day:02}");
                    let read = date(text.as_bytes());
                    let Read::Value(number) = read else { continue };
                    assert_eq!(Read::Value(number), days, "{text}");
                    days = Read::Value(number + 1);
                }
            }
        }
        assert_eq!(days, Read::Value(days_from_civil(10_000, 1, 1)));
    }

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
