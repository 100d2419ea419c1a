//! Values as a SELECT gives them, into the columns that the log's values go to: in the same form, byte for byte.
//!
//! The server is asked over its binary protocol, so that numbers are exact, without conversion of character sets
//! (`character_set_results = NULL`), so that texts are the bytes that it stores, and in UTC. ENUM and SET are asked for as numbers.

use mysql_async::Value;

use super::super::{
    charset,
    cursor::Fault,
    decoder::{self, Decoder},
    temporal,
};
use sluicegate_model::change::{Column, Strings, Values};

const MISMATCH: Fault = Fault::Invalid("a value of another type than the column's");

/// Bytes that a value has, about.
pub fn size(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        _ => size_of::<u64>(),
    }
}

/// Appends a value to its column.
pub fn append(decoder: &Decoder, value: &Value, column: &mut Column) -> Result<(), Fault> {
    if *value == Value::NULL {
        column.push_null();
        return Ok(());
    }
    match &mut column.values {
        Values::Int64(values) => values.push(match value {
            Value::Int(number) => *number,
            Value::UInt(number) => i64::try_from(*number).map_err(|_| MISMATCH)?,
            _ => return Err(MISMATCH),
        }),
        Values::UInt64(values) => values.push(unsigned(value)?),
        Values::Float32(values) => match value {
            Value::Float(number) => values.push(*number),
            _ => return Err(MISMATCH),
        },
        Values::Float64(values) => match value {
            Value::Double(number) => values.push(*number),
            _ => return Err(MISMATCH),
        },
        Values::Bytes(strings) => {
            let Value::Bytes(bytes) = value else { return Err(MISMATCH) };
            strings.data.extend_from_slice(bytes);
            if let Decoder::FixedBytes { length, .. } = decoder {
                let missing = usize::from(*length).saturating_sub(bytes.len());
                strings.data.resize(strings.data.len() + missing, 0);
            }
            strings.finish_row();
        }
        Values::Text(strings) => {
            let written = text(decoder, value, strings);
            strings.finish_row();
            written?;
        }
        Values::Boolean(_) => return Err(MISMATCH),
    }
    Ok(())
}

fn unsigned(value: &Value) -> Result<u64, Fault> {
    match value {
        Value::UInt(number) => Ok(*number),
        Value::Int(number) => u64::try_from(*number).map_err(|_| MISMATCH),
        // BIT, its most significant byte first
        Value::Bytes(bytes) if bytes.len() <= 8 => Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))),
        _ => Err(MISMATCH),
    }
}

fn text(decoder: &Decoder, value: &Value, strings: &mut Strings) -> Result<(), Fault> {
    let out = &mut strings.data;
    match (decoder, value) {
        (Decoder::Text { charset, .. }, Value::Bytes(bytes)) => charset::write(charset, bytes, out),
        (Decoder::Decimal { .. }, Value::Bytes(bytes)) => decimal(bytes, out),
        (Decoder::Json { .. }, Value::Bytes(bytes)) => utf8(bytes, out),
        (Decoder::Enum { labels, .. }, number) => decoder::enumeration(unsigned(number)?, labels, out),
        (Decoder::Set { labels, .. }, number) => decoder::set(unsigned(number)?, labels, out),
        // the server unpacks it
        (Decoder::Compressed { charset, .. }, Value::Bytes(bytes)) => charset::write(charset, bytes, out),
        // MariaDB gives its fixed binary types as text
        (Decoder::Special { .. }, Value::Bytes(bytes)) => ascii(bytes, out),
        (Decoder::Date, Value::Date(year, month, day, ..)) => {
            temporal::date_parts(out, (*year).into(), (*month).into(), (*day).into());
            Ok(())
        }
        (Decoder::DateTime(fsp), value) => datetime(value, *fsp, out),
        (Decoder::OldDateTime, value) => datetime(value, 0, out),
        (Decoder::Timestamp(fsp), value) => timestamp(value, *fsp, out),
        (Decoder::OldTimestamp, value) => timestamp(value, 0, out),
        (Decoder::HiresDateTime(fsp), value) => datetime(value, *fsp, out),
        (Decoder::HiresTimestamp(fsp), value) => timestamp(value, *fsp, out),
        (Decoder::Time(fsp) | Decoder::HiresTime(fsp), value) => time(value, *fsp, out),
        (Decoder::OldTime, value) => time(value, 0, out),
        _ => Err(MISMATCH),
    }
}

fn datetime(value: &Value, fsp: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let Value::Date(year, month, day, hour, minute, second, micros) = *value else { return Err(MISMATCH) };
    let time = (u32::from(hour) << 12) | (u32::from(minute) << 6) | u32::from(second);
    temporal::write_datetime(year.into(), month.into(), day.into(), time, micros, fsp, out)
}

fn timestamp(value: &Value, fsp: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    datetime(value, fsp, out)?;
    if let Some(separator) = out.get_mut(start + "2024-02-29".len()) {
        *separator = b'T';
    }
    out.push(b'Z');
    Ok(())
}

fn time(value: &Value, fsp: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let Value::Time(negative, days, hours, minutes, seconds, micros) = *value else { return Err(MISMATCH) };
    let hours = days.saturating_mul(24).saturating_add(hours.into());
    temporal::write_time(negative, hours, minutes.into(), seconds.into(), micros, fsp, out)
}

/// The server pads ZEROFILL columns; the log does not.
fn decimal(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let (sign, digits) = text.strip_prefix(b"-").map_or((&b""[..], text), |digits| (&b"-"[..], digits));
    let padding = digits.windows(2).take_while(|pair| pair[0] == b'0' && pair[1].is_ascii_digit()).count();
    let digits = &digits[padding..];
    // MariaDB can hold a negative zero
    let zero = digits.iter().all(|digit| matches!(digit, b'0' | b'.'));
    if !zero {
        out.extend_from_slice(sign);
    }
    if digits.first() == Some(&b'.') {
        out.push(b'0');
    }
    if !digits.iter().all(|digit| digit.is_ascii_digit() || *digit == b'.') || digits.is_empty() {
        return Err(MISMATCH);
    }
    out.extend_from_slice(digits);
    Ok(())
}

fn utf8(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    std::str::from_utf8(text).map_err(|_| Fault::Invalid("a JSON document that is not UTF-8"))?;
    out.extend_from_slice(text);
    Ok(())
}

fn ascii(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    if !text.is_ascii() {
        return Err(MISMATCH);
    }
    out.extend_from_slice(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::change::DataType;

    fn one(decoder: &Decoder, data_type: DataType, value: Value) -> Result<String, Fault> {
        let mut column = Column::new(data_type);
        let appended = append(decoder, &value, &mut column);
        assert_eq!(column.len(), usize::from(appended.is_ok() || data_type.is_textual()));
        appended?;
        Ok(match &column.values {
            Values::Text(strings) => String::from_utf8(strings.get(0).to_vec()).unwrap(),
            Values::UInt64(values) => values[0].to_string(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn what_the_server_pads_or_writes_in_several_ways_has_one_form() {
        let decimal = |text: &str| one(&Decoder::Decimal { precision: 5, scale: 2, bytes: 3 }, DataType::Decimal, text.into());
        assert_eq!(decimal("00012.50").unwrap(), "12.50");
        assert_eq!(decimal("-0.50").unwrap(), "-0.50");
        assert_eq!(decimal("-0.00").unwrap(), "0.00");
        assert_eq!(decimal(".5").unwrap(), "0.5");
        assert!(decimal("1e5").is_err() && decimal("").is_err());
        assert_eq!(one(&Decoder::Bit(2), DataType::UInt64, Value::Bytes(vec![1, 2])).unwrap(), "258");
    }

    #[test]
    fn a_value_of_another_type_is_an_error() {
        assert!(one(&Decoder::Date, DataType::Date, "2024-02-29".into()).is_err());
        assert!(one(&Decoder::Int8, DataType::Int64, "1".into()).is_err());
        assert!(one(&Decoder::UInt8, DataType::UInt64, Value::Int(-1)).is_err());
    }
}
