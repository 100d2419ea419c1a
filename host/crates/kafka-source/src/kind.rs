//! What the values of a column are, by a Kafka Connect schema or by a JSON value alone, and how they are read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{
    decimal,
    json_text::{self, Json},
    temporal::{self, Unit},
};
use sluicegate_model::change::{Column, DataType, NativeType, Values};

/// The text that Debezium's connectors write in place of a value that the database did not give.
pub(super) const UNAVAILABLE: &str = "__debezium_unavailable_value";
/// Its bytes in hexadecimal digits.
const UNAVAILABLE_IN_HEX: &str = "5f5f646562657a69756d5f756e617661696c61626c655f76616c7565";
/// The UUID of its bytes (version 3).
const UNAVAILABLE_AS_UUID: &str = "b68a35a7-17ad-35b3-af2a-ae46edb4545a";

/// What a column's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Boolean,
    /// A whole number from -2^(bits-1) to 2^(bits-1)-1.
    Integer {
        bits: u8,
    },
    /// A whole number that is not negative.
    Unsigned,
    Year,
    Float,
    Double,
    /// A number, kept as a decimal.
    Number,
    Text,
    Bytes,
    /// A string that holds a JSON document.
    Document,
    /// Whatever JSON value it is, kept as its text.
    Nested,
    /// The bytes of an unscaled number.
    Decimal {
        scale: i16,
        precision: Option<u16>,
    },
    /// An object of scale and unscaled number.
    ScaledDecimal,
    Date,
    IsoDate,
    Time(Unit),
    IsoTime,
    DateTime(Unit),
    IsoDateTime,
    /// An instant's text.
    Instant,
    /// Bytes of a bit string, the lowest first.
    Bits {
        bits: u8,
    },
    /// An object of a geometry's bytes and its SRID.
    Geometry,
    /// A list of numbers of single precision.
    Floats,
}

/// The value has not the form that its column says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit;

/// A schema as Kafka Connect's JSON converter writes it.
#[derive(Debug, Deserialize)]
pub(super) struct Schema {
    #[serde(rename = "type")]
    pub of: String,
    #[serde(default)]
    pub optional: bool,
    pub name: Option<String>,
    #[serde(default)]
    pub parameters: Option<serde_json::Map<String, serde_json::Value>>,
    pub field: Option<String>,
}

impl Schema {
    fn parameter<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.parameters.as_ref()?.get(name)?.as_str()?.parse().ok()
    }
}

impl Kind {
    /// What a schema says. `None`: it says nothing that can be read.
    pub(super) fn of(schema: &Schema) -> Option<Self> {
        let of = schema.of.as_str();
        Some(match (schema.name.as_deref().unwrap_or_default(), of) {
            ("org.apache.kafka.connect.data.Decimal", "bytes") => {
                Self::Decimal { scale: schema.parameter("scale")?, precision: schema.parameter("connect.decimal.precision") }
            }
            ("io.debezium.data.VariableScaleDecimal", "struct") => Self::ScaledDecimal,
            ("io.debezium.time.Date" | "org.apache.kafka.connect.data.Date", "int32") => Self::Date,
            ("io.debezium.time.IsoDate", "string") => Self::IsoDate,
            ("io.debezium.time.Time" | "org.apache.kafka.connect.data.Time", "int32") => Self::Time(Unit::Millis),
            ("io.debezium.time.MicroTime", "int64") => Self::Time(Unit::Micros),
            ("io.debezium.time.NanoTime", "int64") => Self::Time(Unit::Nanos),
            ("io.debezium.time.IsoTime", "string") => Self::IsoTime,
            ("io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp", "int64") => Self::DateTime(Unit::Millis),
            ("io.debezium.time.MicroTimestamp", "int64") => Self::DateTime(Unit::Micros),
            ("io.debezium.time.NanoTimestamp", "int64") => Self::DateTime(Unit::Nanos),
            ("io.debezium.time.IsoTimestamp", "string") => Self::IsoDateTime,
            ("io.debezium.time.ZonedTimestamp", "string") => Self::Instant,
            ("io.debezium.time.Year", "int32") => Self::Year,
            ("io.debezium.data.Json", "string") => Self::Document,
            ("io.debezium.data.Bits", "bytes") => match schema.parameter::<u32>("length")? {
                bits @ 1..=64 => Self::Bits { bits: bits as u8 },
                _ => Self::Bytes,
            },
            ("io.debezium.data.FloatVector", "array") => Self::Floats,
            (
                "io.debezium.data.geometry.Geometry" | "io.debezium.data.geometry.Point" | "io.debezium.data.geometry.Geography",
                "struct",
            ) => Self::Geometry,
            (_, "boolean") => Self::Boolean,
            (_, "int8") => Self::Integer { bits: 8 },
            (_, "int16") => Self::Integer { bits: 16 },
            (_, "int32") => Self::Integer { bits: 32 },
            (_, "int64") => Self::Integer { bits: 64 },
            (_, "float" | "float32") => Self::Float,
            (_, "double" | "float64") => Self::Double,
            (_, "string") => Self::Text,
            (_, "bytes") => Self::Bytes,
            (_, "array" | "map" | "struct") => Self::Nested,
            _ => return None,
        })
    }

    /// What the model calls them.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer { .. } | Self::Year => DataType::Int64,
            Self::Unsigned | Self::Bits { .. } => DataType::UInt64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Number | Self::Decimal { .. } | Self::ScaledDecimal => DataType::Decimal,
            Self::Text => DataType::Text,
            Self::Bytes | Self::Geometry | Self::Floats => DataType::Bytes,
            Self::Document | Self::Nested => DataType::Json,
            Self::Date | Self::IsoDate => DataType::Date,
            Self::Time(_) | Self::IsoTime => DataType::Time,
            Self::DateTime(_) | Self::IsoDateTime => DataType::DateTime,
            Self::Instant => DataType::Timestamp,
        }
    }

    /// A database's type with the same values: of what the schema says, and no more.
    pub(super) fn native_type(self) -> NativeType {
        match self {
            Self::Integer { bits: 8 | 16 } => NativeType::named("smallint"),
            Self::Integer { bits: 32 } => NativeType::named("int"),
            Self::Integer { .. } => NativeType::named("bigint"),
            Self::Year => NativeType::named("year"),
            Self::Float => NativeType::named("float"),
            Self::Double => NativeType::named("double"),
            Self::Decimal { scale, precision: Some(precision) } if scale >= 0 => {
                NativeType::with_precision("decimal", precision.into(), u32::from(scale.unsigned_abs()))
            }
            // of a long number without a sign, say: what no server's is beyond
            Self::Decimal { scale: scale @ 0..=30, precision: None } => {
                NativeType::with_precision("decimal", 65, u32::from(scale.unsigned_abs()))
            }
            Self::Bits { bits } => NativeType::with_number("bit", bits.into()),
            Self::Geometry => NativeType::named("geometry"),
            Self::Floats => NativeType::named("vector"),
            Self::Date | Self::IsoDate => NativeType::named("date"),
            Self::Time(unit) => NativeType::with_number("time", unit.digits()),
            Self::IsoTime => NativeType::with_number("time", 6),
            Self::DateTime(unit) => NativeType::with_number("datetime", unit.digits()),
            Self::IsoDateTime => NativeType::with_number("datetime", 6),
            Self::Instant => NativeType::with_number("timestamp", 6),
            Self::Document => NativeType::named("json"),
            Self::Boolean
            | Self::Unsigned
            | Self::Number
            | Self::Text
            | Self::Bytes
            | Self::Nested
            | Self::Decimal { .. }
            | Self::ScaledDecimal => NativeType::default(),
        }
    }

    /// Whether a text in the place of a value may say that the value is not available.
    pub(super) fn says_unavailable(self, value: &Json<'_>) -> bool {
        match (self, value) {
            (Self::Bytes | Self::Bits { .. }, Json::String(text)) => says_in_base64(text),
            // without a schema, or with `binary.handling.mode` and `hstore.handling.mode`, bytes and maps are texts
            (Self::Text | Self::Document, Json::String(text)) => {
                text == UNAVAILABLE || text == UNAVAILABLE_IN_HEX || says_in_base64(text) || says_in_map(text)
            }
            (_, Json::String(text)) => text == UNAVAILABLE,
            (_, Json::Array(text)) => says_in_list(text),
            (Self::Geometry | Self::Nested, Json::Object(text)) => is_map_of_it(text) || is_geometry_of_it(text),
            _ => false,
        }
    }

    /// Appends a value that is not null.
    pub(super) fn push(self, value: &Json<'_>, column: &mut Column) -> Result<(), Unfit> {
        match &mut column.values {
            Values::Boolean(values) => match value {
                Json::Bool(value) => values.push(u8::from(*value)),
                _ => return Err(Unfit),
            },
            Values::Int64(values) => {
                let number = integer(value)?;
                let bits = if let Self::Integer { bits } = self { bits } else { 32 };
                let most = i64::MAX >> (64 - bits);
                values.push(Some(number).filter(|number| (-most - 1..=most).contains(number)).ok_or(Unfit)?);
            }
            Values::UInt64(values) => values.push(self.unsigned(value)?),
            Values::Float32(values) => values.push(match value {
                Json::Number(text) => text.parse::<f32>().ok().filter(|number| number.is_finite()).ok_or(Unfit)?,
                Json::String(text) => special(text)? as f32,
                _ => return Err(Unfit),
            }),
            Values::Float64(values) => values.push(match value {
                Json::Number(text) => self.double(text)?,
                Json::String(text) => special(text)?,
                _ => return Err(Unfit),
            }),
            Values::Bytes(values) => {
                let start = values.data.len();
                match self.bytes(value, &mut values.data) {
                    Ok(()) => values.finish_row(),
                    Err(unfit) => {
                        values.data.truncate(start);
                        return Err(unfit);
                    }
                }
            }
            Values::Text(values) => {
                let start = values.data.len();
                match self.text(value, &mut values.data) {
                    Ok(()) => values.finish_row(),
                    Err(unfit) => {
                        values.data.truncate(start);
                        return Err(unfit);
                    }
                }
            }
        }
        Ok(())
    }

    fn unsigned(self, value: &Json<'_>) -> Result<u64, Unfit> {
        match (self, value) {
            (Self::Bits { bits }, Json::String(text)) => {
                let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| Unfit)?;
                let mut number = [0; 8];
                // the converter may write more bytes than the bits need
                for (at, byte) in bytes.iter().enumerate() {
                    match number.get_mut(at) {
                        Some(to) => *to = *byte,
                        None if *byte == 0 => {}
                        None => return Err(Unfit),
                    }
                }
                let number = u64::from_le_bytes(number);
                if bits < 64 && number >> bits != 0 { Err(Unfit) } else { Ok(number) }
            }
            (Self::Unsigned, Json::Number(text)) => text.parse().map_err(|_| Unfit),
            _ => Err(Unfit),
        }
    }

    fn double(self, text: &str) -> Result<f64, Unfit> {
        let number: f64 = text.parse().map_err(|_| Unfit)?;
        // a whole number beside numbers with a fraction has to be one of double precision, too
        let exact = match text.parse::<i128>() {
            Ok(whole) => number as i128 == whole,
            Err(_) => true,
        };
        if number.is_finite() && exact { Ok(number) } else { Err(Unfit) }
    }

    fn bytes(self, value: &Json<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        match (self, value) {
            (Self::Bytes, Json::String(text)) => STANDARD.decode_vec(text.as_bytes(), out).map_err(|_| Unfit),
            (Self::Geometry, Json::Object(text)) => {
                let (mut wkb, mut srid) = (None, 0u32);
                for member in json_text::members(text) {
                    match member.map_err(|_| Unfit)? {
                        (name, Json::String(text)) if name == "wkb" => wkb = Some(STANDARD.decode(text.as_bytes()).map_err(|_| Unfit)?),
                        (name, Json::Number(text)) if name == "srid" => srid = text.parse().map_err(|_| Unfit)?,
                        _ => {}
                    }
                }
                out.extend_from_slice(&srid.to_le_bytes());
                out.extend_from_slice(&wkb.ok_or(Unfit)?);
                Ok(())
            }
            (Self::Floats, Json::Array(text)) => {
                for element in json_text::elements(text) {
                    let Json::Number(text) = element.map_err(|_| Unfit)? else { return Err(Unfit) };
                    let number: f32 = text.parse().map_err(|_| Unfit)?;
                    out.extend_from_slice(&Some(number).filter(|number| number.is_finite()).ok_or(Unfit)?.to_le_bytes());
                }
                Ok(())
            }
            _ => Err(Unfit),
        }
    }

    fn text(self, value: &Json<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        match (self, value) {
            (Self::Text | Self::Document, Json::String(text)) => out.extend_from_slice(text.as_bytes()),
            (Self::Number, Json::Number(text)) => decimal::plain(text, out).ok_or(Unfit)?,
            (Self::Decimal { scale, .. }, Json::String(text)) => decimal::of_base64(text, scale.into(), out).ok_or(Unfit)?,
            // the converter's `decimal.format=NUMERIC`
            (Self::Decimal { .. }, Json::Number(text)) => decimal::plain(text, out).ok_or(Unfit)?,
            (Self::ScaledDecimal, Json::Object(text)) => {
                let (mut scale, mut unscaled) = (None, None);
                for member in json_text::members(text) {
                    match member.map_err(|_| Unfit)? {
                        (name, Json::Number(text)) if name == "scale" => scale = Some(text.parse::<i32>().map_err(|_| Unfit)?),
                        (name, Json::String(text)) if name == "value" => unscaled = Some(text),
                        _ => {}
                    }
                }
                decimal::of_base64(&unscaled.ok_or(Unfit)?, scale.ok_or(Unfit)?.into(), out).ok_or(Unfit)?;
            }
            (Self::Date, value) => temporal::date(integer(value)?, out).ok_or(Unfit)?,
            (Self::Time(unit), value) => temporal::time(integer(value)?, unit, out),
            (Self::DateTime(unit), value) => temporal::datetime(integer(value)?, unit, out).ok_or(Unfit)?,
            (Self::IsoDate, Json::String(text)) => {
                let date = text.strip_suffix('Z').unwrap_or(text).as_bytes();
                out.extend_from_slice(Some(date).filter(|date| temporal::is_date(date)).ok_or(Unfit)?);
            }
            (Self::IsoTime, Json::String(text)) => {
                let time = text.strip_suffix('Z').unwrap_or(text).as_bytes();
                out.extend_from_slice(Some(time).filter(|time| temporal::is_time(time)).ok_or(Unfit)?);
            }
            (Self::IsoDateTime, Json::String(text)) => {
                let (date, time) = text.strip_suffix('Z').unwrap_or(text).split_once('T').ok_or(Unfit)?;
                if !temporal::is_date(date.as_bytes()) || !temporal::is_time(time.as_bytes()) {
                    return Err(Unfit);
                }
                out.extend_from_slice(date.as_bytes());
                out.push(b' ');
                out.extend_from_slice(time.as_bytes());
            }
            (Self::Instant, Json::String(text)) => temporal::instant(text, out).ok_or(Unfit)?,
            (Self::Nested, Json::Object(text) | Json::Array(text) | Json::Number(text)) => out.extend_from_slice(text.as_bytes()),
            _ => return Err(Unfit),
        }
        Ok(())
    }
}

fn says_in_base64(text: &str) -> bool {
    text.len() == UNAVAILABLE.len().div_ceil(3) * 4 && STANDARD.decode(text.as_bytes()).is_ok_and(|bytes| bytes == UNAVAILABLE.as_bytes())
}

/// Whether a text is a JSON object that maps the placeholder to itself.
fn says_in_map(text: &str) -> bool {
    if !text.starts_with('{') || text.len() > 4 * UNAVAILABLE.len() {
        return false;
    }
    let Ok(Json::Object(text)) = json_text::value(text) else { return false };
    is_map_of_it(text)
}

/// Whether an object maps the placeholder to itself.
fn is_map_of_it(text: &str) -> bool {
    let mut members = json_text::members(text);
    let is_placeholder = matches!(members.next(), Some(Ok((name, Json::String(text)))) if name == UNAVAILABLE && text == UNAVAILABLE);
    is_placeholder && members.next().is_none()
}

/// Whether an object is a geometry whose bytes are the placeholder.
fn is_geometry_of_it(text: &str) -> bool {
    // of `wkb` and `srid`
    json_text::members(text)
        .take(2)
        .any(|member| matches!(member, Ok((name, Json::String(text))) if name == "wkb" && says_in_base64(&text)))
}

/// Whether a list is the placeholder as a text or as a UUID made of it, or the numbers of its bytes.
fn says_in_list(text: &str) -> bool {
    let mut elements = json_text::elements(text);
    match elements.next() {
        Some(Ok(Json::String(text))) => (text == UNAVAILABLE || text == UNAVAILABLE_AS_UUID) && elements.next().is_none(),
        Some(Ok(Json::Number(_))) => {
            let mut bytes = UNAVAILABLE.bytes();
            let same = json_text::elements(text).all(|element| {
                matches!((element, bytes.next()), (Ok(Json::Number(text)), Some(byte)) if text.parse::<f64>().is_ok_and(|number| number == f64::from(byte)))
            });
            same && bytes.next().is_none()
        }
        _ => false,
    }
}

/// A whole number as it is written, without a fraction and an exponent.
fn integer(value: &Json<'_>) -> Result<i64, Unfit> {
    match value {
        Json::Number(text) => text.parse().map_err(|_| Unfit),
        _ => Err(Unfit),
    }
}

/// What JSON has no number for, as Kafka Connect's converter writes it.
fn special(text: &str) -> Result<f64, Unfit> {
    match text {
        "NaN" => Ok(f64::NAN),
        "Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        _ => Err(Unfit),
    }
}
