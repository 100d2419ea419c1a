//! Values written in the configuration.

use sluicegate_plugin::{DataType, Value};

use crate::cast::is_decimal;

/// The configured value as one of a column of `data_type`; `None` when it does not fit.
pub fn fitting(value: &serde_json::Value, data_type: DataType) -> Option<Value<'static>> {
    use serde_json::Value::*;
    Some(match (data_type, value) {
        (_, Null) => Value::Null,
        (DataType::Boolean, Bool(value)) => Value::Bool(*value),
        (DataType::Int64, Number(number)) => Value::Int(number.as_i64()?),
        (DataType::Uint64, Number(number)) => Value::UInt(number.as_u64()?),
        (DataType::Float32 | DataType::Float64, Number(number)) => Value::Float(number.as_f64()?),
        (DataType::Decimal, Number(number)) if is_decimal(&number.to_string()) => Value::Text(number.to_string().into()),
        (DataType::Decimal, String(text)) if is_decimal(text) => Value::Text(text.clone().into()),
        (DataType::Text, String(text)) => Value::Text(text.clone().into()),
        (DataType::Json, String(text)) => {
            serde_json::from_str::<serde_json::Value>(text).ok()?;
            Value::Text(text.clone().into())
        }
        (DataType::Date, String(text)) if shaped(text, "0000-00-00") => Value::Text(text.clone().into()),
        (DataType::Time, String(text)) if shaped(text.strip_prefix('-').unwrap_or(text), "00:00:00") => Value::Text(text.clone().into()),
        (DataType::Datetime, String(text)) if shaped(text, "0000-00-00 00:00:00") => Value::Text(text.clone().into()),
        (DataType::Timestamp, String(text)) if text.ends_with('Z') && shaped(text.trim_end_matches('Z'), "0000-00-00T00:00:00") => {
            Value::Text(text.clone().into())
        }
        _ => return None,
    })
}

/// The configured value in the type that it has by itself.
pub fn natural(value: &serde_json::Value) -> Option<(DataType, Value<'static>)> {
    let data_type = match value {
        serde_json::Value::Bool(_) => DataType::Boolean,
        serde_json::Value::Number(number) if number.is_i64() => DataType::Int64,
        serde_json::Value::Number(number) if number.is_u64() => DataType::Uint64,
        serde_json::Value::Number(_) => DataType::Float64,
        serde_json::Value::String(_) => DataType::Text,
        _ => return None,
    };
    fitting(value, data_type).map(|value| (data_type, value))
}

/// Whether `text` has a digit wherever `shape` has one and the same signs elsewhere, with or without a fraction of a second.
fn shaped(text: &str, shape: &str) -> bool {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) if shape.contains(':') => (clock, fraction),
        Some(_) => return false,
        None => (text, "0"),
    };
    let same = |(byte, want): (u8, u8)| if want == b'0' { byte.is_ascii_digit() } else { byte == want };
    clock.len() == shape.len()
        && clock.bytes().zip(shape.bytes()).all(same)
        && (1..=6).contains(&fraction.len())
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}
