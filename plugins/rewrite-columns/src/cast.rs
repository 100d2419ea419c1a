//! Casts that never lose anything: what cannot be represented exactly is refused.

use std::borrow::Cow;

use sluicegate_plugin::{DataType, Value, is_textual};

/// Whether there is a cast at all.
pub fn possible(from: DataType, to: DataType) -> bool {
    use DataType::*;
    let number = |data_type| matches!(data_type, Int64 | Uint64 | Float32 | Float64 | Decimal);
    match to {
        _ if from == to => true,
        Text => true,
        Boolean => matches!(from, Int64 | Uint64 | Text),
        Int64 | Uint64 => number(from) || matches!(from, Boolean | Text),
        Float64 | Decimal => number(from) || from == Text,
        Bytes => is_textual(from),
        _ => false,
    }
}

/// The value as one of type `to`; `None` when it cannot be represented. NULL stays NULL. A cast between integers and
/// `float64` may round, as it does everywhere.
pub fn cast<'a>(value: Value<'a>, to: DataType) -> Option<Value<'a>> {
    use DataType::*;
    if value == Value::Null {
        return Some(value);
    }
    Some(match to {
        Boolean => Value::Bool(match value {
            Value::Bool(value) => value,
            Value::Int(0) | Value::UInt(0) => false,
            Value::Int(1) | Value::UInt(1) => true,
            Value::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => return None,
            },
            _ => return None,
        }),
        Int64 => Value::Int(i64::try_from(integer(&value)?).ok()?),
        Uint64 => Value::UInt(u64::try_from(integer(&value)?).ok()?),
        Float64 => Value::Float(match value {
            Value::Int(value) => value as f64,
            Value::UInt(value) => value as f64,
            Value::Float(value) => value,
            Value::Text(text) => text.parse::<f64>().ok().filter(|value| value.is_finite())?,
            _ => return None,
        }),
        Decimal => Value::Text(match value {
            Value::Int(value) => value.to_string().into(),
            Value::UInt(value) => value.to_string().into(),
            Value::Float(value) if value.is_finite() => value.to_string().into(),
            Value::Text(text) if is_decimal(&text) => text,
            _ => return None,
        }),
        Bytes => match value {
            Value::Text(Cow::Borrowed(text)) => Value::Bytes(Cow::Borrowed(text.as_bytes())),
            Value::Text(Cow::Owned(text)) => Value::Bytes(Cow::Owned(text.into_bytes())),
            Value::Bytes(_) => value,
            _ => return None,
        },
        _ => Value::Text(match value {
            Value::Text(text) => text,
            Value::Int(value) => value.to_string().into(),
            Value::UInt(value) => value.to_string().into(),
            Value::Float(value) => value.to_string().into(),
            Value::Bool(value) => if value { "true" } else { "false" }.into(),
            Value::Bytes(bytes) => String::from_utf8(bytes.into_owned()).ok()?.into(),
            Value::Null => return None,
        }),
    })
}

/// `-12.50`: digits, and a fraction if there is a point.
pub fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    match text.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(text),
    }
}

/// The value as an integer, if it is one.
fn integer(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::UInt(value) => Some(i128::from(*value)),
        Value::Bool(value) => Some(i128::from(*value)),
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 1e20 => Some(*value as i128),
        Value::Text(text) if is_decimal(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            if fraction.bytes().all(|byte| byte == b'0') { whole.parse().ok() } else { None }
        }
        _ => None,
    }
}
