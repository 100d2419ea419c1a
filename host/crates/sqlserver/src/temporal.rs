//! Dates and times as the server prints them, from the driver's raw counts: its conversions would round.

use std::io::Write as _;

use sluicegate_model::change::civil;

/// Days from 0001-01-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_162;
/// Days from 1900-01-01 to 1970-01-01.
const DAYS_FROM_1900: i64 = 25_567;
const MINUTES_OF_DAY: i64 = 1440;

/// Two digits, of a number below 100.
fn two(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
}

/// A date, from days since 0001-01-01.
pub(super) fn date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days - DAYS_TO_1970);
    match u32::try_from(year) {
        Ok(year @ ..=9999) => {
            two(year / 100, out);
            two(year % 100, out);
        }
        // writing to a Vec cannot fail
        _ => drop(write!(out, "{year:04}")),
    }
    for part in [month, day] {
        out.push(b'-');
        two(part, out);
    }
}

/// A date, from days since 1900-01-01.
pub(super) fn date_of_1900(days: i64, out: &mut Vec<u8>) {
    date(days - DAYS_FROM_1900 + DAYS_TO_1970, out);
}

/// A time of day, from a count of 10^-scale seconds.
pub(super) fn time(count: u64, scale: u8, out: &mut Vec<u8>) {
    let unit = 10_u64.pow(u32::from(scale.min(9)));
    let (seconds, mut fraction) = (count / unit, count % unit);
    match u32::try_from(seconds) {
        Ok(seconds @ ..360_000) => two(seconds / 3600, out),
        _ => drop(write!(out, "{:02}", seconds / 3600)),
    }
    for part in [seconds / 60 % 60, seconds % 60] {
        out.push(b':');
        two(part as u32, out);
    }
    if scale > 0 {
        out.push(b'.');
        let start = out.len();
        for _ in 0..scale {
            out.push(b'0' + (fraction % 10) as u8);
            fraction /= 10;
        }
        out[start..].reverse();
    }
}

/// A time of day of `datetime`, from a count of 1/300 s: .000, .003, .007.
pub(super) fn three_hundredths(count: u32, out: &mut Vec<u8>) {
    time((u64::from(count) * 10 + 1) / 3, 3, out);
}

/// A moment with its offset, from the day and the count in UTC and minutes of the offset.
pub(super) fn with_offset(days: i64, count: u64, scale: u8, offset: i16, out: &mut Vec<u8>) {
    let minute = 60 * 10_u64.pow(u32::from(scale.min(9)));
    let local = (count / minute).cast_signed() + i64::from(offset);
    date(days + local.div_euclid(MINUTES_OF_DAY), out);
    out.push(b' ');
    time(local.rem_euclid(MINUTES_OF_DAY).cast_unsigned() * minute + count % minute, scale, out);
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.unsigned_abs();
    let _ = write!(out, " {sign}{:02}:{:02}", minutes / 60, minutes % 60);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::splitmix;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn g102_three_hundredths_of_a_second_are_printed_as_the_server_does() {
        for (count, expected) in
            [(0, "00:00:00.000"), (1, "00:00:00.003"), (2, "00:00:00.007"), (3, "00:00:00.010"), (25_919_999, "23:59:59.997")]
        {
            assert_eq!(text(|out| three_hundredths(count, out)), expected);
        }
        // '12:34:56.789' is stored as .790
        assert_eq!(text(|out| three_hundredths((12 * 3600 + 34 * 60 + 56) * 300 + 237, out)), "12:34:56.790");
    }

    #[test]
    fn every_date_and_time_is_written_with_its_digits() {
        for day in 0..3_652_059 {
            let (year, month, of_month) = civil(day - DAYS_TO_1970);
            if day % 97 == 0 || of_month == 1 {
                assert_eq!(text(|out| date(day, out)), format!("{year:04}-{month:02}-{of_month:02}"));
            }
        }
        for n in 0..20_000 {
            let (scale, count) = ((n % 10) as u8, splitmix::mix(n));
            let unit = 10_u64.pow(scale.into());
            for count in [count % (86_400 * unit), count] {
                let (seconds, fraction) = (count / unit, count % unit);
                let whole = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
                let expected = if scale > 0 { format!("{whole}.{fraction:0width$}", width = usize::from(scale)) } else { whole };
                assert_eq!(text(|out| time(count, scale, out)), expected);
            }
        }
    }

    #[test]
    fn dates_reach_from_the_first_to_the_last_of_the_server() {
        assert_eq!(text(|out| date(0, out)), "0001-01-01");
        assert_eq!(text(|out| date(3_652_058, out)), "9999-12-31");
        assert_eq!(text(|out| date_of_1900(0, out)), "1900-01-01");
        assert_eq!(text(|out| date_of_1900(-53_690, out)), "1753-01-01");
    }

    #[test]
    fn a_moment_is_printed_in_its_own_offset() {
        assert_eq!(text(|out| with_offset(738_944, 0, 0, -90, out)), "2024-02-28 22:30:00 -01:30");
        assert_eq!(text(|out| with_offset(738_944, 863_999_999_999, 7, 14 * 60, out)), "2024-03-01 13:59:59.9999999 +14:00");
    }
}
