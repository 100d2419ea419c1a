//! TIME, DATETIME and TIMESTAMP with a fraction as MariaDB stored them before 10.1, and still does in tables that were made then or with
//! `mysql56_temporal_format` off.
//!
//! All are big-endian numbers; a fraction of n digits counts n-th decimals (`Field_time_hires` and its like in `field.cc` of the
//! MariaDB server). The log does not say how many digits there are.

use super::{
    cursor::{Cursor, Fault},
    temporal::{self, IMPOSSIBLE},
};

/// Bytes of a TIME, by the digits of its fraction.
pub const TIME_BYTES: [usize; 7] = [3, 4, 4, 5, 5, 5, 6];
/// Bytes of a DATETIME.
pub const DATETIME_BYTES: [usize; 7] = [5, 6, 6, 7, 7, 7, 8];
/// What stands for 00:00:00, in seconds.
const ZERO: i64 = 838 * 3600 + 59 * 60 + 59 + 1;

/// Units of the fraction in a second, and microseconds in a unit.
fn units(fsp: u8) -> (u64, u64) {
    let units = 10_u64.pow(u32::from(fsp.min(6)));
    (units, 1_000_000 / units)
}

/// The time of a day or longer, as `temporal` packs it.
fn pack(seconds: u64) -> Result<u32, Fault> {
    u32::try_from((seconds / 3600) << 12 | (seconds / 60 % 60) << 6 | (seconds % 60)).map_err(|_| IMPOSSIBLE)
}

/// TIME: counted from the least one.
pub fn time(row: &mut Cursor<'_>, fsp: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (units, micros) = units(fsp);
    let value = row.uint_be(TIME_BYTES[usize::from(fsp.min(6))])?;
    let value = i64::try_from(value).map_err(|_| IMPOSSIBLE)? - ZERO * units as i64;
    let magnitude = value.unsigned_abs();
    let (whole, fraction) = (pack(magnitude / units)?, (magnitude % units * micros) as u32);
    temporal::write_time(value < 0, whole >> 12, whole >> 6 & 63, whole & 63, fraction, fsp, out)
}

/// DATETIME: year, month, day, hour, minute, second and fraction, each in the base of the next.
pub fn datetime(row: &mut Cursor<'_>, fsp: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (units, micros) = units(fsp);
    let value = row.uint_be(DATETIME_BYTES[usize::from(fsp.min(6))])?;
    let (seconds, fraction) = (value / units, (value % units * micros) as u32);
    let (days, time) = (seconds / 86_400, pack(seconds % 86_400)?);
    let months = u32::try_from(days / 32).map_err(|_| IMPOSSIBLE)?;
    temporal::write_datetime(months / 13, months % 13, (days % 32) as u32, time, fraction, fsp, out)
}

/// TIMESTAMP: seconds since 1970 UTC, and the fraction.
pub fn timestamp(row: &mut Cursor<'_>, fsp: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (units, micros) = units(fsp);
    let seconds = row.uint_be(4)? as u32;
    let fraction = row.uint_be(temporal::fraction_bytes(fsp))?;
    if fraction >= units {
        return Err(IMPOSSIBLE);
    }
    temporal::write_timestamp(seconds, (fraction * micros) as u32, fsp, out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Decode = fn(&mut Cursor<'_>, u8, &mut Vec<u8>) -> Result<(), Fault>;

    #[test]
    fn values_that_mariadb_logged() {
        for (decode, fsp, bytes, expected) in [
            (time as Decode, 3, &[0, 0xb3, 0xce, 0xd4, 0xc0][..], "-01:02:03.456"),
            (time, 6, &[0x02, 0xbf, 0x3d, 0xde, 0x7b, 0xff], "-00:00:00.000001"),
            (time, 6, &[0, 0, 0, 0x0f, 0x42, 0x41], "-838:59:58.999999"),
            (datetime, 6, &[0x01, 0x02, 0x7a, 0xbe, 0, 0x15, 0x5a, 0], "2024-02-29 13:14:15.123456"),
            (datetime, 2, &[0x06, 0x9d, 0xf8, 0x93, 0x75, 0x48], "2024-02-29 13:14:15.12"),
            (datetime, 6, &[0; 8], "0000-00-00 00:00:00.000000"),
            (timestamp, 1, &[0x65, 0xe0, 0x83, 0x27, 5], "2024-02-29T13:14:15.5Z"),
            (timestamp, 6, &[0, 0, 0, 0, 0x07, 0xa1, 0x20], "1970-01-01T00:00:00.500000Z"),
            (timestamp, 1, &[0; 5], "0000-00-00T00:00:00.0Z"),
        ] {
            let (mut out, mut row) = (Vec::new(), Cursor(bytes));
            decode(&mut row, fsp, &mut out).unwrap();
            assert_eq!((String::from_utf8(out).unwrap().as_str(), row.len()), (expected, 0));
        }
    }
}
