//! The order of values: bytes that compare as the values do, for keys, sorting and joins.

use std::cmp::Ordering;

use super::{Datum, Kind, Type, number, time};

/// uniqueidentifier is ordered by these bytes of the wire's form, the first one first.
const GUID_ORDER: [usize; 16] = [10, 11, 12, 13, 14, 15, 8, 9, 6, 7, 4, 5, 0, 1, 2, 3];

/// Appends bytes that order as the value does among values of the type. NULL comes first. No value's bytes begin with another's.
pub fn push_key(key: &mut Vec<u8>, value: &Datum, of: &Type) {
    if value.is_null() {
        key.push(0);
        return;
    }
    key.push(1);
    match value {
        Datum::Null => {}
        Datum::Bit(b) => key.push(u8::from(*b)),
        Datum::Int(n) | Datum::Money(n) => key.extend(((*n as u64) ^ (1 << 63)).to_be_bytes()),
        Datum::Decimal(digits, _) => key.extend(((*digits as u128) ^ (1 << 127)).to_be_bytes()),
        Datum::Float(f) => push_float(key, *f),
        Datum::Real(f) => push_float(key, f64::from(*f)),
        Datum::Text(units) => push_bytes(key, &of.collation.sort_key(units)),
        // trailing zero bytes do not count, as trailing spaces of text do not
        Datum::Bytes(bytes) => {
            let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
            push_bytes(key, bytes.get(..end).unwrap_or_default());
        }
        Datum::Date(day) => key.extend((*day as u32).to_be_bytes()),
        Datum::Time(time) => key.extend(time.to_be_bytes()),
        Datum::DateTime(day, ticks) => {
            key.extend(((*day as u32) ^ (1 << 31)).to_be_bytes());
            key.extend(ticks.to_be_bytes());
        }
        Datum::SmallDateTime(day, minutes) => {
            key.extend(day.to_be_bytes());
            key.extend(minutes.to_be_bytes());
        }
        Datum::DateTime2(day, time) | Datum::DateTimeOffset(day, time, _) => {
            key.extend((*day as u32).to_be_bytes());
            key.extend(time.to_be_bytes());
        }
        Datum::Guid(guid) => key.extend(GUID_ORDER.map(|at| guid[at])),
        Datum::Variant(inner) => push_variant(key, &inner.1, &inner.0),
    }
}

/// Variants are ordered by families of types first; in one family, values are compared whatever their exact types.
fn push_variant(key: &mut Vec<u8>, value: &Datum, of: &Type) {
    let exact = |digits: i128, scale: u8| {
        let common = number::rescale(digits, scale, 18).unwrap_or(if digits < 0 { i128::MIN } else { i128::MAX });
        (4, Datum::Decimal(common, 18))
    };
    let (family, value) = match value {
        Datum::Bytes(_) => (1, value.clone()),
        Datum::Guid(_) => (2, value.clone()),
        Datum::Bit(b) => exact(i128::from(*b), 0),
        Datum::Int(n) => exact(i128::from(*n), 0),
        Datum::Money(n) => exact(i128::from(*n), 4),
        Datum::Decimal(digits, scale) => exact(*digits, *scale),
        Datum::Float(_) | Datum::Real(_) => (5, value.clone()),
        Datum::Text(_) | Datum::Null | Datum::Variant(_) => (3, value.clone()),
        _ => {
            let moment = time::parts(value).and_then(|parts| time::make(parts, Kind::DateTimeOffset(7)).ok());
            (6, moment.unwrap_or_else(|| value.clone()))
        }
    };
    key.push(family);
    push_key(key, &value, of);
}

fn push_float(key: &mut Vec<u8>, f: f64) {
    let bits = if f == 0.0 { 0 } else { f.to_bits() };
    key.extend(if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }.to_be_bytes());
}

fn push_bytes(key: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xFF);
        }
    }
    key.extend([0, 0]);
}

/// The key of one value.
pub fn key(value: &Datum, of: &Type) -> Vec<u8> {
    let mut key = Vec::new();
    push_key(&mut key, value, of);
    key
}

/// The order of two values of one type, neither of them NULL.
pub fn order(a: &Datum, b: &Datum, of: &Type) -> Ordering {
    match (a, b) {
        (Datum::Int(a), Datum::Int(b)) | (Datum::Money(a), Datum::Money(b)) => a.cmp(b),
        (Datum::Bit(a), Datum::Bit(b)) => a.cmp(b),
        (Datum::Decimal(a, _), Datum::Decimal(b, _)) => a.cmp(b),
        _ => key(a, of).cmp(&key(b, of)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Collation, convert::literal};

    fn ascending(kind: Kind, texts: &[&str]) {
        let of = Type { kind, collation: Collation::of_server() };
        let keys: Vec<_> = texts.iter().map(|t| key(&literal(t, &of).expect("a value"), &of)).collect();
        assert!(keys.is_sorted(), "{kind:?}: {texts:?}");
    }

    #[test]
    fn keys_order_as_their_values() {
        ascending(Kind::BigInt, &["-9223372036854775808", "-1", "0", "9223372036854775807"]);
        ascending(Kind::Decimal(38, 4), &["-99999.9999", "-0.0001", "0", "0.0001", "7"]);
        ascending(Kind::Float, &["-1e300", "-0.5", "0", "1e-300", "2"]);
        ascending(Kind::DateTime, &["1753-01-01", "1899-12-31 23:59:59", "1900-01-01", "9999-12-31"]);
        ascending(Kind::DateTimeOffset(7), &["2020-01-01 02:00:00 +02:00", "2020-01-01 00:30:00 +00:00", "2020-01-01 00:00:00 -01:00"]);
    }

    #[test]
    fn a_guid_is_ordered_by_its_last_six_bytes_first() {
        ascending(
            Kind::UniqueIdentifier,
            &[
                "FFFFFFFF-FFFF-FFFF-FFFF-000000000000",
                "00000000-0000-0000-0100-010000000000",
                "00000000-0000-0000-0200-010000000000",
                "00000000-0000-0000-0000-020000000000",
            ],
        );
    }
}
