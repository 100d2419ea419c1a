//! DATE, TIME, DATETIME, TIMESTAMP and YEAR in their binlog forms, to canonical text. Zero parts stay zero; fractions have
//! exactly the digits that the column declares, as `SELECT` prints them.
//!
//! Packed forms: `my_time.cc` and `log_event.cc` of the MySQL server; the "2" types carry `(fsp + 1) / 2` bytes of
//! fraction, big-endian.

use super::cursor::{Cursor, Fault};
use sluicegate_model::change::civil;

const SECONDS_A_DAY: u32 = 86_400;

/// Appends `value` with two digits, or all its digits when it has more.
#[inline]
fn two(out: &mut Vec<u8>, value: u32) {
    if value < 100 {
        out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

#[inline]
fn four(out: &mut Vec<u8>, value: u32) {
    two(out, value / 100);
    two(out, value % 100);
}

/// Appends `2024-02-29`.
#[inline]
pub fn date_parts(out: &mut Vec<u8>, year: u32, month: u32, day: u32) {
    four(out, year);
    out.push(b'-');
    two(out, month);
    out.push(b'-');
    two(out, day);
}

#[inline]
fn time_parts(out: &mut Vec<u8>, hour: u32, minute: u32, second: u32) {
    two(out, hour);
    out.push(b':');
    two(out, minute);
    out.push(b':');
    two(out, second);
}

/// Appends `.` and the first `fsp` digits of `micros` (0..1,000,000); nothing when `fsp` is 0.
#[inline]
fn fraction(out: &mut Vec<u8>, micros: u32, fsp: u8) {
    if fsp == 0 {
        return;
    }
    out.push(b'.');
    let mut divisor = 100_000;
    for _ in 0..fsp.min(6) {
        out.push(b'0' + (micros / divisor % 10) as u8);
        divisor /= 10;
    }
}

/// Bytes of a fraction of `fsp` digits.
pub fn fraction_bytes(fsp: u8) -> usize {
    usize::from(fsp).div_ceil(2)
}

/// The fraction in its packed unit (hundredths, ten-thousandths or millionths, by width), to microseconds.
fn micros(raw: u32, width: usize) -> Result<u32, Fault> {
    let micros = match width {
        0 => Some(0),
        1 => raw.checked_mul(10_000),
        2 => raw.checked_mul(100),
        _ => Some(raw),
    }
    .ok_or(IMPOSSIBLE)?;
    if micros < 1_000_000 { Ok(micros) } else { Err(IMPOSSIBLE) }
}

pub(super) const IMPOSSIBLE: Fault = Fault::Invalid("a date or time that cannot be");

/// DATE: 3 bytes little-endian, `year << 9 | month << 5 | day`.
#[inline]
pub fn date(row: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let packed = row.uint(3)? as u32;
    write_date(packed, out)
}

fn write_date(packed: u32, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (year, month, day) = (packed >> 9, packed >> 5 & 15, packed & 31);
    if month > 12 || year > 9999 {
        return Err(IMPOSSIBLE);
    }
    date_parts(out, year, month, day);
    Ok(())
}

/// DATETIME of MySQL 5.6 and later: 5 bytes big-endian and the fraction.
#[inline]
pub fn datetime2(row: &mut Cursor<'_>, fsp: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let packed = row.uint_be(5)?;
    let width = fraction_bytes(fsp);
    let micros = micros(row.uint_be(width)? as u32, width)?;
    // a cleared top bit would be a negative datetime, which no server stores
    let packed = packed.checked_sub(0x80_0000_0000).ok_or(IMPOSSIBLE)?;
    let (days, time) = ((packed >> 17) as u32, (packed & 0x1_ffff) as u32);
    write_datetime((days >> 5) / 13, (days >> 5) % 13, days & 31, time, micros, fsp, out)
}

/// Appends a date and a time of day, packed as `hour << 12 | minute << 6 | second`, with a fraction of `fsp` digits.
pub(super) fn write_datetime(year: u32, month: u32, day: u32, time: u32, micros: u32, fsp: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (hour, minute, second) = (time >> 12, time >> 6 & 63, time & 63);
    if year > 9999 || hour > 23 || minute > 59 || second > 59 {
        return Err(IMPOSSIBLE);
    }
    date_parts(out, year, month, day);
    out.push(b' ');
    time_parts(out, hour, minute, second);
    fraction(out, micros, fsp);
    Ok(())
}

/// DATETIME before MySQL 5.6: the decimal number `YYYYMMDDhhmmss` in 8 bytes little-endian.
pub fn datetime_old(row: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let packed = row.u64()?;
    let (date, time) = (packed / 1_000_000, (packed % 1_000_000) as u32);
    let date = u32::try_from(date).map_err(|_| IMPOSSIBLE)?;
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    if month > 12 || day > 31 {
        return Err(IMPOSSIBLE);
    }
    let time = ((time / 10_000) << 12) | ((time / 100 % 100) << 6) | (time % 100);
    write_datetime(year, month, day, time, 0, 0, out)
}

/// TIMESTAMP of MySQL 5.6 and later: seconds since 1970 UTC in 4 bytes big-endian, and the fraction.
#[inline]
pub fn timestamp2(row: &mut Cursor<'_>, fsp: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let seconds = row.uint_be(4)? as u32;
    let width = fraction_bytes(fsp);
    let micros = micros(row.uint_be(width)? as u32, width)?;
    write_timestamp(seconds, micros, fsp, out);
    Ok(())
}

/// TIMESTAMP before MySQL 5.6: 4 bytes little-endian.
pub fn timestamp_old(row: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    write_timestamp(row.u32()?, 0, 0, out);
    Ok(())
}

pub(super) fn write_timestamp(seconds: u32, micros: u32, fsp: u8, out: &mut Vec<u8>) {
    // second 0 without a fraction is how servers store the zero timestamp; MariaDB takes the rest of that second as it is
    let zero = seconds == 0 && micros == 0;
    let (year, month, day) = if zero { (0, 0, 0) } else { civil(i64::from(seconds / SECONDS_A_DAY)) };
    date_parts(out, year as u32, month, day);
    out.push(b'T');
    let second = seconds % SECONDS_A_DAY;
    time_parts(out, second / 3600, second / 60 % 60, second % 60);
    fraction(out, micros, fsp);
    out.push(b'Z');
}

/// TIME of MySQL 5.6 and later: 3 bytes big-endian with offset 0x800000, and the fraction; both together are one number, so
/// that negative values borrow from the whole seconds.
#[inline]
pub fn time2(row: &mut Cursor<'_>, fsp: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let width = fraction_bytes(fsp);
    let packed = row.uint_be(3 + width)? as i64 - (0x80_0000_i64 << (8 * width));
    let magnitude = packed.unsigned_abs();
    let whole = (magnitude >> (8 * width)) as u32;
    let raw = (magnitude & ((1_u64 << (8 * width)) - 1)) as u32;
    write_time(packed < 0, whole >> 12, whole >> 6 & 63, whole & 63, micros(raw, width)?, fsp, out)
}

/// Appends a duration with a fraction of `fsp` digits.
pub(super) fn write_time(
    negative: bool,
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
    fsp: u8,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    if hour > 838 || minute > 59 || second > 59 {
        return Err(IMPOSSIBLE);
    }
    if negative {
        out.push(b'-');
    }
    time_parts(out, hour, minute, second);
    fraction(out, micros, fsp);
    Ok(())
}

/// TIME before MySQL 5.6: the decimal number `hhmmss`, signed, in 3 bytes little-endian.
pub fn time_old(row: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let packed = ((row.uint(3)? as i32) << 8) >> 8;
    let value = packed.unsigned_abs();
    write_time(packed < 0, value / 10_000, value / 100 % 100, value % 100, 0, 0, out)
}

/// A date, datetime or time inside a JSON document: 8 bytes, `value << 24 | micros` of the packed forms (`my_time.cc`,
/// `TIME_from_longlong_datetime_packed`), little-endian. `kind` is the column type. JSON always prints six digits.
pub fn json_temporal(kind: u8, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let packed = Cursor(bytes).u64()? as i64;
    let magnitude = packed.unsigned_abs();
    let (whole, micros) = (magnitude >> 24, micros((magnitude & 0xff_ffff) as u32, 3)?);
    if kind == super::column_type::TIME {
        let whole = u32::try_from(whole).map_err(|_| IMPOSSIBLE)?;
        return write_time(packed < 0, whole >> 12 & 1023, whole >> 6 & 63, whole & 63, micros, 6, out);
    }
    let (days, time) = (u32::try_from(whole >> 17).map_err(|_| IMPOSSIBLE)?, (whole & 0x1_ffff) as u32);
    let (year, month, day) = ((days >> 5) / 13, (days >> 5) % 13, days & 31);
    if kind == super::column_type::DATE {
        if year > 9999 {
            return Err(IMPOSSIBLE);
        }
        date_parts(out, year, month, day);
        return Ok(());
    }
    write_datetime(year, month, day, time, micros, 6, out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(decode: impl FnOnce(&mut Cursor<'_>, &mut Vec<u8>) -> Result<(), Fault>, bytes: &[u8]) -> Result<String, Fault> {
        let mut out = Vec::new();
        let mut row = Cursor(bytes);
        decode(&mut row, &mut out)?;
        assert!(row.is_empty(), "all bytes are used");
        Ok(String::from_utf8(out).unwrap())
    }

    /// What the server packs for a TIME.
    fn pack_time(negative: bool, whole: u64, micros: u64, fsp: u8) -> Vec<u8> {
        let width = fraction_bytes(fsp);
        let raw = micros / [1, 10_000, 100, 1][width];
        let value = ((whole << (8 * width)) | raw) as i64 * if negative { -1 } else { 1 };
        let value = (value + (0x80_0000_i64 << (8 * width))) as u64;
        value.to_be_bytes()[8 - 3 - width..].to_vec()
    }

    fn pack_datetime(year: u64, month: u64, day: u64, time: u64, micros: u64, fsp: u8) -> Vec<u8> {
        let packed = 0x80_0000_0000 | ((year * 13 + month) << 5 | day) << 17 | time;
        let width = fraction_bytes(fsp);
        let mut bytes = packed.to_be_bytes()[3..].to_vec();
        let raw = (micros / [1, 10_000, 100, 1][width]) as u32;
        bytes.extend_from_slice(&raw.to_be_bytes()[4 - width..]);
        bytes
    }

    #[test]
    fn zero_parts_stay_zero() {
        assert_eq!(text(date, &[0, 0, 0]).unwrap(), "0000-00-00");
        assert_eq!(text(|r, o| datetime2(r, 0, o), &pack_datetime(0, 0, 0, 0, 0, 0)).unwrap(), "0000-00-00 00:00:00");
        assert_eq!(text(|r, o| datetime2(r, 0, o), &pack_datetime(2024, 0, 3, 0, 0, 0)).unwrap(), "2024-00-03 00:00:00");
        assert_eq!(text(|r, o| timestamp2(r, 0, o), &[0; 4]).unwrap(), "0000-00-00T00:00:00Z");
        assert_eq!(text(datetime_old, &[0; 8]).unwrap(), "0000-00-00 00:00:00");
    }

    #[test]
    fn the_first_second_of_1970_is_the_zero_date_only_without_a_fraction() {
        for (fsp, bytes, expected) in [
            (1, &[0, 0, 0, 0, 50][..], "1970-01-01T00:00:00.5Z"),
            (2, &[0, 0, 0, 0, 1], "1970-01-01T00:00:00.01Z"),
            (3, &[0, 0, 0, 0, 0, 10], "1970-01-01T00:00:00.001Z"),
            (6, &[0, 0, 0, 0, 0, 0, 1], "1970-01-01T00:00:00.000001Z"),
            (6, &[0, 0, 0, 0, 0, 0, 0], "0000-00-00T00:00:00.000000Z"),
            (6, &[0, 0, 0, 1, 0, 0, 0], "1970-01-01T00:00:01.000000Z"),
        ] {
            assert_eq!(text(|r, o| timestamp2(r, fsp, o), bytes).unwrap(), expected);
        }
    }

    #[test]
    fn known_instants() {
        assert_eq!(text(|r, o| timestamp2(r, 6, o), &[0x65, 0xe0, 0x82, 0x9b, 1, 0xe2, 0x40]).unwrap(), "2024-02-29T13:11:55.123456Z");
        assert_eq!(text(|r, o| timestamp2(r, 0, o), &u32::MAX.to_be_bytes()).unwrap(), "2106-02-07T06:28:15Z");
        assert_eq!(text(datetime_old, &20_240_229_131_415_u64.to_le_bytes()).unwrap(), "2024-02-29 13:14:15");
        assert_eq!(text(time_old, &(-8_385_959_i32).to_le_bytes()[..3]).unwrap(), "-838:59:59");
    }

    #[test]
    fn negative_times_borrow_from_the_seconds() {
        let half = pack_time(true, 0, 500_000, 1);
        assert_eq!(text(|r, o| time2(r, 1, o), &half).unwrap(), "-00:00:00.5");
        let long = pack_time(true, 838 << 12 | 59 << 6 | 59, 0, 6);
        assert_eq!(text(|r, o| time2(r, 6, o), &long).unwrap(), "-838:59:59.000000");
    }

    #[test]
    fn impossible_values_are_errors() {
        assert_eq!(text(|r, o| datetime2(r, 0, o), &[0; 5]), Err(IMPOSSIBLE));
        assert_eq!(text(|r, o| datetime2(r, 0, o), &[0xff; 5]), Err(IMPOSSIBLE));
        assert_eq!(text(date, &[0xff, 0xff, 0xff]), Err(IMPOSSIBLE));
        assert_eq!(text(|r, o| time2(r, 2, o), &[0x80, 0, 0, 0xff]), Err(IMPOSSIBLE));
    }

    proptest! {
        #[test]
        fn datetimes_survive(year in 0_u64..10_000, month in 0_u64..13, day in 0_u64..32, h in 0_u64..24, m in 0_u64..60, s in 0_u64..60,
                             micros in 0_u64..1_000_000, fsp in 0_u8..=6) {
            let step = 10_u64.pow(6 - u32::from(fsp));
            let micros = micros / step * step;
            let bytes = pack_datetime(year, month, day, h << 12 | m << 6 | s, micros, fsp);
            let mut expected = format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}");
            if fsp > 0 {
                expected.push_str(&format!(".{micros:06}")[..usize::from(fsp) + 1]);
            }
            prop_assert_eq!(text(|r, o| datetime2(r, fsp, o), &bytes).unwrap(), expected);
            for cut in 0..bytes.len() {
                prop_assert_eq!(text(|r, o| datetime2(r, fsp, o), &bytes[..cut]), Err(Fault::Truncated));
            }
        }

        #[test]
        fn times_survive(negative: bool, h in 0_u64..839, m in 0_u64..60, s in 0_u64..60, micros in 0_u64..1_000_000, fsp in 0_u8..=6) {
            let step = 10_u64.pow(6 - u32::from(fsp));
            let micros = micros / step * step;
            let negative = negative && (h | m | s | micros) != 0;
            let bytes = pack_time(negative, h << 12 | m << 6 | s, micros, fsp);
            let mut expected = format!("{}{h:02}:{m:02}:{s:02}", if negative { "-" } else { "" });
            if fsp > 0 {
                expected.push_str(&format!(".{micros:06}")[..usize::from(fsp) + 1]);
            }
            prop_assert_eq!(text(|r, o| time2(r, fsp, o), &bytes).unwrap(), expected);
        }

        #[test]
        fn timestamps_agree_with_a_calendar_library(seconds in 1_u32..) {
            let expected = jiff::Timestamp::from_second(i64::from(seconds)).unwrap().to_string();
            prop_assert_eq!(text(|r, o| timestamp2(r, 0, o), &seconds.to_be_bytes()).unwrap(), expected);
        }

        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes: [u8; 8], fsp in 0_u8..=6) {
            let mut out = Vec::new();
            let _ = datetime2(&mut Cursor(&bytes), fsp, &mut out);
            let _ = time2(&mut Cursor(&bytes), fsp, &mut out);
            let _ = timestamp2(&mut Cursor(&bytes), fsp, &mut out);
            let _ = date(&mut Cursor(&bytes), &mut out);
            let _ = datetime_old(&mut Cursor(&bytes), &mut out);
            let _ = time_old(&mut Cursor(&bytes), &mut out);
            for kind in [10, 11, 12] {
                let _ = json_temporal(kind, &bytes, &mut out);
            }
            prop_assert!(out.is_ascii());
        }
    }
}
