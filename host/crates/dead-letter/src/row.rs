//! A row as a JSON object, for people and tools that look at single changes: integers and floats as numbers, bytes in base64,
//! everything else as its text. JSON has no word for infinities and NaN; they stand as text (`inf`, `-inf`, `NaN`).

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Map, Value, json};

use sluicegate_model::change::{Column, ColumnInfo, Image, TableRows, Values};

/// The columns of one row that `chosen` says; what is absent is left out.
pub fn object(rows: &TableRows, row: u32, chosen: impl Fn(&ColumnInfo) -> bool) -> Map<String, Value> {
    let columns = rows.table.columns.iter().zip(&rows.columns).filter(|(info, _)| chosen(info));
    let there = columns.filter(|(_, column)| !column.is_absent(row as usize));
    there.map(|(info, column)| (info.name.clone(), value(column, row as usize))).collect()
}

fn value(column: &Column, row: usize) -> Value {
    if column.nulls.get(row) {
        return Value::Null;
    }
    match &column.values {
        Values::Boolean(v) => Value::from(v[row] != 0),
        Values::Int64(v) => Value::from(v[row]),
        Values::UInt64(v) => Value::from(v[row]),
        // through its shortest text: as a double, 0.1 of single precision would get sixteen digits
        Values::Float32(v) => float(v[row].to_string()),
        Values::Float64(v) => float(v[row].to_string()),
        Values::Text(v) => match std::str::from_utf8(v.get(row)) {
            Ok(text) => Value::from(text),
            Err(_) => json!({ "base64": BASE64.encode(v.get(row)) }),
        },
        Values::Bytes(v) => Value::from(BASE64.encode(v.get(row))),
    }
}

fn float(text: String) -> Value {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Value::from(value),
        _ => Value::from(text),
    }
}

/// Appends a row that [`object`] made of all its columns. A column that is not in the object is absent.
///
/// # Errors
/// The column whose value is not of its type; the rows are as before.
pub fn push(rows: &mut TableRows, image: Image, object: &Map<String, Value>) -> Result<(), String> {
    let row = rows.len();
    let TableRows { table, columns, .. } = rows;
    for (info, column) in table.columns.iter().zip(columns) {
        let value = object.get(&info.name);
        let there = value.filter(|value| !value.is_null());
        if there.is_none_or(|value| append(&mut column.values, value).is_none()) {
            if there.is_some() {
                let name = info.name.clone();
                rows.truncate(row);
                return Err(name);
            }
            column.values.push_default();
            column.nulls.set(row);
            if value.is_none() {
                column.absent.set(row);
            }
        }
    }
    rows.images.push(image as u8);
    Ok(())
}

/// Appends a value, if it can be one of these.
fn append(values: &mut Values, value: &Value) -> Option<()> {
    match values {
        Values::Boolean(v) => v.push(u8::from(value.as_bool()?)),
        Values::Int64(v) => v.push(value.as_i64()?),
        Values::UInt64(v) => v.push(value.as_u64()?),
        Values::Float32(v) => v.push(number(value)?.parse().ok()?),
        Values::Float64(v) => v.push(number(value)?.parse().ok()?),
        Values::Text(v) => match value {
            Value::String(text) => v.push(text.as_bytes()),
            other => v.push(&BASE64.decode(other.get("base64")?.as_str()?).ok()?),
        },
        Values::Bytes(v) => v.push(&BASE64.decode(value.as_str()?).ok()?),
    }
    Some(())
}

/// The text of a float, which JSON's numbers cannot always be.
fn number(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sluicegate_model::change::{DataType, NativeType, Place, Table, TableName};

    use super::*;

    #[test]
    fn every_value_can_be_told_from_every_other() {
        let kinds = [DataType::Float32, DataType::Float64, DataType::Boolean, DataType::UInt64, DataType::Bytes, DataType::Text];
        let columns = kinds.iter().map(|data_type| ColumnInfo {
            name: format!("{data_type:?}"),
            data_type: *data_type,
            native_type: NativeType::default(),
            nullable: true,
            primary_key: false,
            place: if *data_type == DataType::Boolean { Place::Header } else { Place::Value },
        });
        let table = Table { name: TableName::new("d", "t"), destination: None, columns: columns.collect() };
        let mut rows = TableRows::new(Arc::new(table));
        for (single, double) in [(0.1, -1e300), (3.0, 0.1), (f32::NAN, f64::NEG_INFINITY)] {
            for column in &mut rows.columns {
                match &mut column.values {
                    Values::Float32(v) => v.push(single),
                    Values::Float64(v) => v.push(double),
                    Values::Boolean(v) => v.push(1),
                    Values::UInt64(v) => v.push(u64::MAX),
                    Values::Bytes(v) | Values::Text(v) => v.push(b"\xff\0"),
                    Values::Int64(_) => unreachable!("no such column"),
                }
            }
        }
        let told = |row, place| Value::from(object(&rows, row, |info| info.place == place)).to_string();
        let rest = r#""UInt64":18446744073709551615,"Bytes":"/wA=","Text":{"base64":"/wA="}}"#;
        assert_eq!(told(0, Place::Value), format!(r#"{{"Float32":0.1,"Float64":-1e+300,{rest}"#));
        assert_eq!(told(1, Place::Value), format!(r#"{{"Float32":3.0,"Float64":0.1,{rest}"#));
        assert_eq!(told(2, Place::Value), format!(r#"{{"Float32":"NaN","Float64":"-inf",{rest}"#));
        assert_eq!(told(0, Place::Header), r#"{"Boolean":true}"#);
        // and is read back; what is not there is absent
        rows.images = vec![Image::After as u8; 3];
        let mut read = TableRows::new(rows.table.clone());
        for row in 0..3 {
            push(&mut read, Image::After, &object(&rows, row, |_| true)).unwrap();
        }
        assert_eq!(format!("{read:?}"), format!("{rows:?}"));
        let mut values = object(&rows, 0, |info| info.name != "Bytes");
        push(&mut read, Image::After, &values).unwrap();
        assert!(read.columns[4].is_absent(3) && !read.columns[3].is_absent(3));
        values.insert("UInt64".into(), json!(-1));
        let before = read.clone();
        assert_eq!(push(&mut read, Image::After, &values), Err("UInt64".into()));
        assert_eq!(format!("{read:?}"), format!("{before:?}"));
    }
}
