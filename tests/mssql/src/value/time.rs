//! Dates and times: the calendar, what texts mean, how they are printed.

use super::{Datum, Kind};
use crate::error::{Result, SqlError};

/// Days from 0001-01-01 to 1900-01-01.
pub const DAYS_TO_1900: i32 = 693_595;
/// Units of 100 ns in a day.
pub const DAY: u64 = 864_000_000_000;
const LAST_DAY: i32 = 3_652_058; // 9999-12-31

/// Days since 0001-01-01.
pub fn days(year: i32, month: u32, day: u32) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    if !(1..=9999).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334].get(usize::try_from(month).ok()? - 1)?;
    let y = year - 1;
    let leap_day = i32::from(leap && month > 2);
    Some(y * 365 + y / 4 - y / 100 + y / 400 + before + leap_day + i32::try_from(day).ok()? - 1)
}

/// Year, month and day.
pub fn civil(days: i32) -> (i32, u32, u32) {
    // the algorithm counts from 0000-03-01
    let z = i64::from(days) + 306;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = u32::try_from(of_year - (153 * shifted + 2) / 5 + 1).unwrap_or(1);
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (i32::try_from(year).unwrap_or(1), u32::try_from(month).unwrap_or(1), day)
}

/// What a text says: a day, a time of the day, an offset in minutes.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    day: Option<i32>,
    time: u64,
    offset: Option<i16>,
}

fn time_of(text: &str) -> Option<u64> {
    let (text, afternoon) = match text.to_ascii_uppercase() {
        t if t.ends_with("AM") => (text[..text.len() - 2].trim_end(), Some(false)),
        t if t.ends_with("PM") => (text[..text.len() - 2].trim_end(), Some(true)),
        _ => (text, None),
    };
    let mut parts = text.split(':');
    let mut hour: u64 = parts.next()?.parse().ok()?;
    let minute: u64 = parts.next().map_or(Some(0), |p| p.parse().ok())?;
    let (second, fraction) = match parts.next() {
        None => (0, 0),
        Some(text) => {
            let (second, fraction) = text.split_once('.').unwrap_or((text, ""));
            let digits = format!("{:0<7}", fraction.get(..fraction.len().min(7))?);
            (second.parse().ok()?, digits.parse::<u64>().ok()?)
        }
    };
    if let Some(afternoon) = afternoon {
        hour = hour % 12 + if afternoon { 12 } else { 0 };
    }
    (parts.next().is_none() && hour < 24 && minute < 60 && second < 60)
        .then_some(((hour * 60 + minute) * 60 + second) * 10_000_000 + fraction)
}

fn date_of(text: &str) -> Option<i32> {
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        return days(text[..4].parse().ok()?, text[4..6].parse().ok()?, text[6..].parse().ok()?);
    }
    let separator = if text.contains('/') { '/' } else { '-' };
    let parts: Vec<&str> = text.split(separator).collect();
    let [a, b, c] = parts.as_slice() else { return None };
    if a.len() == 4 {
        days(a.parse().ok()?, b.parse().ok()?, c.parse().ok()?)
    } else {
        days(c.parse().ok().filter(|_| c.len() == 4)?, a.parse().ok()?, b.parse().ok()?)
    }
}

/// Reads ISO forms and month/day/year; nothing that depends on a language.
pub fn parse(text: &str) -> Option<Parts> {
    let text = text.trim();
    let (text, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(rest) => (rest, Some(0)),
        None => match text.rfind(['+', '-']).filter(|at| text[*at..].len() == 6 && text[*at..].contains(':')) {
            Some(at) => {
                let sign = if text[at..].starts_with('-') { -1 } else { 1 };
                let minutes = text[at + 1..at + 3].parse::<i16>().ok()? * 60 + text[at + 4..].parse::<i16>().ok()?;
                (text[..at].trim_end(), Some(sign * minutes))
            }
            None => (text, None),
        },
    };
    if text.is_empty() {
        return Some(Parts { day: Some(DAYS_TO_1900), time: 0, offset });
    }
    if let Some((date, time)) = text.split_once(['T', ' ']) {
        return Some(Parts { day: Some(date_of(date)?), time: time_of(time.trim())?, offset });
    }
    if text.contains(':') {
        return Some(Parts { day: None, time: time_of(text)?, offset });
    }
    Some(Parts { day: Some(date_of(text)?), time: 0, offset })
}

/// The parts of a value, in local time.
pub fn parts(value: &Datum) -> Option<Parts> {
    Some(match value {
        Datum::Date(day) => Parts { day: Some(*day), time: 0, offset: None },
        Datum::Time(time) => Parts { day: None, time: *time, offset: None },
        Datum::DateTime(day, ticks) => {
            Parts { day: Some(day + DAYS_TO_1900), time: (u64::from(*ticks) * 10 / 3 + u64::from(*ticks % 3 == 2)) * 10_000, offset: None }
        }
        Datum::SmallDateTime(day, minutes) => {
            Parts { day: Some(i32::from(*day) + DAYS_TO_1900), time: u64::from(*minutes) * 600_000_000, offset: None }
        }
        Datum::DateTime2(day, time) => Parts { day: Some(*day), time: *time, offset: None },
        Datum::DateTimeOffset(day, time, offset) => {
            let local = i64::from(*day) * DAY as i64 + *time as i64 + i64::from(*offset) * 600_000_000;
            let day = i32::try_from(local.div_euclid(DAY as i64)).ok()?;
            Parts { day: Some(day), time: local.rem_euclid(DAY as i64) as u64, offset: Some(*offset) }
        }
        _ => return None,
    })
}

fn rounded(parts: Parts, unit: u64) -> (i32, u64) {
    let day = parts.day.unwrap_or(DAYS_TO_1900);
    let time = (parts.time + unit / 2) / unit * unit;
    if time >= DAY { (day + 1, time - DAY) } else { (day, time) }
}

fn unit(scale: u8) -> u64 {
    10_u64.pow(u32::from(7 - scale.min(7)))
}

/// The parts as a value of that type.
pub fn make(parts: Parts, kind: Kind) -> Result<Datum> {
    let out_of_range = || {
        let text = format!("The conversion to a {} data type resulted in an out-of-range value.", kind.name());
        SqlError::new(242, text).state(3)
    };
    let checked = |day: i32| if (0..=LAST_DAY).contains(&day) { Ok(day) } else { Err(out_of_range()) };
    Ok(match kind {
        Kind::Date => Datum::Date(checked(parts.day.unwrap_or(DAYS_TO_1900))?),
        Kind::Time(scale) => Datum::Time(rounded(parts, unit(scale)).1),
        Kind::DateTime => {
            let ticks = (parts.time * 3 + 50_000) / 100_000;
            let day = parts.day.unwrap_or(DAYS_TO_1900) - DAYS_TO_1900;
            let (day, ticks) = if ticks >= 25_920_000 { (day + 1, ticks - 25_920_000) } else { (day, ticks) };
            // the type begins in 1753
            if day < -53_690 || day + DAYS_TO_1900 > LAST_DAY {
                return Err(out_of_range());
            }
            Datum::DateTime(day, u32::try_from(ticks).unwrap_or(0))
        }
        Kind::SmallDateTime => {
            // from 29.999 seconds on, the next minute
            let seconds_up = Parts { time: parts.time + 10_000, ..parts };
            let (day, time) = rounded(seconds_up, 600_000_000);
            let day = u16::try_from(day - DAYS_TO_1900).map_err(|_| out_of_range())?;
            Datum::SmallDateTime(day, u16::try_from(time / 600_000_000).unwrap_or(0))
        }
        Kind::DateTime2(scale) => {
            let (day, time) = rounded(parts, unit(scale));
            Datum::DateTime2(checked(day)?, time)
        }
        Kind::DateTimeOffset(scale) => {
            let (day, time) = rounded(parts, unit(scale));
            let offset = parts.offset.unwrap_or(0);
            if !(-840..=840).contains(&offset) {
                return Err(out_of_range());
            }
            let utc = i64::from(day) * DAY as i64 + time as i64 - i64::from(offset) * 600_000_000;
            let day = i32::try_from(utc.div_euclid(DAY as i64)).map_err(|_| out_of_range())?;
            Datum::DateTimeOffset(checked(day)?, utc.rem_euclid(DAY as i64) as u64, offset)
        }
        _ => return Err(SqlError::unsupported(format_args!("a date as {}", kind.name()))),
    })
}

/// The moment that a clock shows, in UTC.
pub fn now() -> Parts {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let day = i32::try_from(since.as_secs() / 86_400).unwrap_or(0) + 719_162;
    let time = since.as_secs() % 86_400 * 10_000_000 + u64::from(since.subsec_nanos()) / 100;
    Parts { day: Some(day), time, offset: None }
}

fn clock(time: u64, scale: u8) -> String {
    let (seconds, fraction) = (time / 10_000_000, time % 10_000_000);
    let whole = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match scale {
        0 => whole,
        _ => format!("{whole}.{:0width$}", fraction / unit(scale), width = usize::from(scale)),
    }
}

/// The value as text, by the styles that do not depend on a language (0 for the newer types, 121, 126, 127), and style 0 of the older ones.
pub fn print(value: &Datum, kind: Kind, style: i64) -> Result<String> {
    let parts = parts(value).ok_or_else(|| SqlError::unsupported("a date of another type"))?;
    let (year, month, day) = civil(parts.day.unwrap_or(DAYS_TO_1900));
    let date = format!("{year:04}-{month:02}-{day:02}");
    let offset =
        parts.offset.map_or(String::new(), |o| format!(" {}{:02}:{:02}", if o < 0 { '-' } else { '+' }, o.abs() / 60, o.abs() % 60));
    let iso = matches!(style, 126 | 127);
    let between = if iso { "T" } else { " " };
    match (kind, style) {
        (Kind::Date, 0 | 20 | 21 | 23 | 120 | 121 | 126 | 127) => Ok(date),
        (Kind::Date, 112) => Ok(format!("{year:04}{month:02}{day:02}")),
        (Kind::Time(scale), 0 | 14 | 114 | 21 | 121 | 126 | 127) => Ok(clock(parts.time, scale)),
        (Kind::DateTime | Kind::SmallDateTime, 0 | 100) => {
            let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let name = names.get(usize::try_from(month).unwrap_or(1) - 1).unwrap_or(&"Jan");
            let minutes = parts.time / 600_000_000;
            let (hour, minute) = (minutes / 60, minutes % 60);
            let half = if hour < 12 { "AM" } else { "PM" };
            Ok(format!("{name} {day:>2} {year:04} {:>2}:{minute:02}{half}", if hour % 12 == 0 { 12 } else { hour % 12 }))
        }
        (Kind::DateTime | Kind::SmallDateTime, 20 | 120) => Ok(format!("{date} {}", clock(parts.time, 0))),
        (Kind::DateTime | Kind::SmallDateTime, 23) => Ok(date),
        // style 126 leaves out a fraction that is nothing
        (Kind::DateTime, 126 | 127) if parts.time % 10_000_000 == 0 => Ok(format!("{date}T{}", clock(parts.time, 0))),
        (Kind::SmallDateTime, 126 | 127) => Ok(format!("{date}T{}", clock(parts.time, 0))),
        (Kind::DateTime | Kind::SmallDateTime, 21 | 25 | 121 | 126 | 127) => Ok(format!("{date}{between}{}", clock(parts.time, 3))),
        (Kind::DateTime2(scale), 0 | 21 | 25 | 121 | 126 | 127) => Ok(format!("{date}{between}{}", clock(parts.time, scale))),
        (Kind::DateTime2(_), 20 | 120) => Ok(format!("{date} {}", clock(parts.time, 0))),
        (Kind::DateTimeOffset(scale), 0 | 21 | 25 | 121) => Ok(format!("{date} {}{offset}", clock(parts.time, scale))),
        (Kind::DateTimeOffset(scale), 126) => Ok(format!("{date}T{}{}", clock(parts.time, scale), offset.trim_start())),
        (Kind::DateTimeOffset(scale), 127) => {
            let utc = make(Parts { offset: None, ..self::parts(&utc(value)).unwrap_or(parts) }, Kind::DateTime2(7))?;
            print(&utc, Kind::DateTime2(scale), 126).map(|text| text + "Z")
        }
        _ => Err(SqlError::unsupported(format_args!("{} as text in style {style}", kind.name()))),
    }
}

fn utc(value: &Datum) -> Datum {
    match value {
        Datum::DateTimeOffset(day, time, _) => Datum::DateTime2(*day, *time),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, kind: Kind) -> String {
        print(&make(parse(text).expect("a date"), kind).expect("in range"), kind, 121).expect("printed")
    }

    #[test]
    fn g102_datetime_counts_in_300ths_and_smalldatetime_rounds_to_minutes() {
        assert_eq!(read("2020-01-02 12:34:56.789", Kind::DateTime), "2020-01-02 12:34:56.790");
        assert_eq!(read("2020-01-02 23:59:59.999", Kind::DateTime), "2020-01-03 00:00:00.000");
        assert_eq!(read("2020-01-02 12:34:56", Kind::SmallDateTime), "2020-01-02 12:35:00.000");
        for (thousandth, printed) in [("001", "000"), ("002", "003"), ("005", "007"), ("009", "010")] {
            assert_eq!(read(&format!("2020-01-02 00:00:00.{thousandth}"), Kind::DateTime), format!("2020-01-02 00:00:00.{printed}"));
        }
    }

    #[test]
    fn every_day_is_itself_again() {
        for day in (0..=LAST_DAY).step_by(97).chain([0, LAST_DAY]) {
            let (y, m, d) = civil(day);
            assert_eq!(days(y, m, d), Some(day), "{y}-{m}-{d}");
        }
        assert_eq!(days(1900, 1, 1), Some(DAYS_TO_1900));
        assert_eq!(days(1970, 1, 1), Some(719_162));
    }

    #[test]
    fn offsets_are_kept_beside_the_moment() {
        assert_eq!(read("2020-01-01 00:30:00.1234567 +01:00", Kind::DateTimeOffset(7)), "2020-01-01 00:30:00.1234567 +01:00");
    }
}
