//! Instants in their canonical text.

/// Appends the canonical form of a [`Timestamp`](super::DataType::Timestamp), `2024-02-29T13:14:15.123456Z`, of
/// `time_us` microseconds since 1970 UTC. Years are written with at least four digits.
pub fn write_timestamp(time_us: i64, out: &mut Vec<u8>) {
    write_civil(time_us, b"-00-00T00:00:00.000000Z", out);
}

/// Appends the canonical form of a [`DateTime`](super::DataType::DateTime), `2024-02-29 13:14:15.123456`.
pub fn write_datetime(time_us: i64, out: &mut Vec<u8>) {
    write_civil(time_us, b"-00-00 00:00:00.000000", out);
}

/// Appends the canonical form of a [`Date`](super::DataType::Date), `2024-02-29`: the day of `time_us` in UTC.
pub fn write_date(time_us: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(time_us.div_euclid(MICROS_OF_DAY));
    write_year(year, out);
    let form = append(b"-00-00", out);
    pair(month, 1, form);
    pair(day, 4, form);
}

const MICROS_OF_DAY: i64 = 86_400_000_000;

/// `form` is what follows the year.
#[inline]
fn write_civil<const N: usize>(time_us: i64, form: &[u8; N], out: &mut Vec<u8>) {
    let (days, of_day) = (time_us.div_euclid(MICROS_OF_DAY), time_us.rem_euclid(MICROS_OF_DAY) as u64);
    let (year, month, day) = civil(days);
    let (seconds, micros) = ((of_day / 1_000_000) as u32, (of_day % 1_000_000) as u32);
    write_year(year, out);
    let form = append(form, out);
    let pairs = [month, day, seconds / 3600, seconds / 60 % 60, seconds % 60, micros / 10_000, micros / 100 % 100, micros % 100];
    for (n, at) in pairs.into_iter().zip([1, 4, 7, 10, 13, 16, 18, 20]) {
        pair(n, at, form);
    }
}

fn write_year(year: i64, out: &mut Vec<u8>) {
    if (0..10_000).contains(&year) {
        let form = append(b"0000", out);
        pair(year as u32 / 100, 0, form);
        pair(year as u32 % 100, 2, form);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(year).as_bytes());
    }
}

/// Appends `form` and gives it back to be filled in where it stands.
#[inline]
fn append<'a, const N: usize>(form: &[u8; N], out: &'a mut Vec<u8>) -> &'a mut [u8] {
    let start = out.len();
    out.extend_from_slice(form);
    &mut out[start..]
}

/// Writes the two digits of a number below 100 at `form[at]`.
#[inline]
fn pair(n: u32, at: usize, form: &mut [u8]) {
    form[at] = b'0' + (n / 10) as u8;
    form[at + 1] = b'0' + (n % 10) as u8;
}

/// Year, month and day of a number of days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`). The library for dates does the same at several
/// times the cost, and every flat record needs it.
///
/// `days` is at least 719,468 from either end of its range.
#[inline]
pub fn civil(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097) as u32;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (i64::from(year_of_era) + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl Fn(i64, &mut Vec<u8>), time_us: i64) -> String {
        let mut out = Vec::new();
        write(time_us, &mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn agrees_with_the_date_library(time_us in -62_135_596_800_000_000i64..253_402_207_200_000_000) {
            let expected = jiff::Timestamp::from_microsecond(time_us).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            prop_assert_eq!(text(write_timestamp, time_us), expected.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string());
            prop_assert_eq!(text(write_datetime, time_us), expected.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string());
            prop_assert_eq!(text(write_date, time_us), expected.strftime("%Y-%m-%d").to_string());
        }
    }

    #[test]
    fn extremes_do_not_panic() {
        insta::assert_snapshot!(text(write_timestamp, i64::MAX), @"294247-01-10T04:00:54.775807Z");
        insta::assert_snapshot!(text(write_timestamp, i64::MIN), @"-290308-12-21T19:59:05.224192Z");
        insta::assert_snapshot!(text(write_timestamp, 0), @"1970-01-01T00:00:00.000000Z");
    }
}
