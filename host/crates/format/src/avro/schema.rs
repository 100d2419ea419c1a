//! Avro schemas: the types of columns, and what stands around them.
//!
//! Debezium's envelope has the schemas that Confluent's converter makes of Debezium's: the meaning of a type is in `connect.name` and
//! `connect.version`, its parameters in `connect.parameters`. Rows without an envelope have Avro's own logical types.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{
    super::{
        connect::{self, Kind},
        form::{Form, GeometryForm, bits, datetime_unit, fraction_digits, is_geometry, is_long_unsigned, is_vector, scale, time_number},
        temporal::Unit,
    },
    name,
    value::Write,
};
use sluicegate_config::{BigintUnsignedMode, BinaryMode, DecimalMode, Envelope, GeometryMode, TimeMode, ValueModes};
use sluicegate_model::change::{ColumnInfo, DataType};

/// The precision of a decimal of which none is told: the most that a server has.
const MOST_PRECISION: u32 = 65;
/// The precision that Confluent's converter writes in that case.
const CONNECT_PRECISION: u32 = 64;

/// How the values of a column are written, and as which type.
pub(super) struct Typed {
    pub(super) schema: Value,
    pub(super) write: Write,
}

impl Typed {
    /// The type of a column in such an envelope.
    pub(super) fn of(column: &ColumnInfo, modes: &ValueModes, envelope: Envelope) -> Self {
        match envelope {
            Envelope::Debezium => Self::connect(column, modes),
            Envelope::Flat => Self::logical(column, modes).unwrap_or_else(|| {
                let mut typed = Self::connect(column, modes);
                // what the meaning of a type is called matters to Kafka Connect only
                if let Some(plain) = typed.schema.get("type").filter(|of| matches!(of.as_str(), Some(of) if is_primitive(of))) {
                    typed.schema = plain.clone();
                }
                typed
            }),
        }
    }

    fn new(schema: Value, write: Write) -> Self {
        Self { schema, write }
    }

    /// With the names of Debezium's and Kafka Connect's types.
    fn connect(column: &ColumnInfo, modes: &ValueModes) -> Self {
        if is_geometry(column) && modes.geometry == GeometryMode::Debezium {
            return Self::new(geometry(), Write::Geometry);
        }
        if is_vector(column) && modes.debezium {
            let meaning = "io.debezium.data.FloatVector";
            return Self::new(json!({ "type": "array", "items": "float", "connect.version": 1, "connect.name": meaning }), Write::Floats);
        }
        let kind = connect::kind(column, modes);
        let write = writing(Form::of(column, modes), column.data_type, kind.of);
        Self::new(annotated(&kind), write)
    }

    /// With one of Avro's logical types, where there is one.
    fn logical(column: &ColumnInfo, modes: &ValueModes) -> Option<Self> {
        let logical = |of: &str, name: &str| json!({ "type": of, "logicalType": name });
        let decimal = |precision: u32, scale: u32| {
            let precision = precision.max(scale).max(1);
            json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale })
        };
        let adaptive = matches!(modes.time, TimeMode::Adaptive | TimeMode::AdaptiveMicroseconds);
        match column.data_type {
            DataType::Date if !matches!(modes.time, TimeMode::Text | TimeMode::IsoString) => {
                Some(Self::new(logical("int", "date"), Write::Days))
            }
            // a duration, which may be beyond a day, unless the mode sees to it that it is not
            DataType::Time => match time_number(column, modes)? {
                (unit @ Unit::Millis, width) if modes.time == TimeMode::Connect => {
                    Some(Self::new(logical("int", "time-millis"), Write::Time(unit, width)))
                }
                (unit @ Unit::Micros, width) => {
                    // no digit is cut off where the mode follows the column
                    let unit = if adaptive && fraction_digits(column) > 6 { Unit::Nanos } else { unit };
                    Some(Self::new("long".into(), Write::Time(unit, width)))
                }
                _ => None,
            },
            DataType::DateTime | DataType::Timestamp => {
                let local = if column.data_type == DataType::DateTime { "local-" } else { "" };
                Some(match datetime_unit(column, modes)? {
                    Unit::Millis => Self::new(logical("long", &format!("{local}timestamp-millis")), Write::SinceEpoch(Unit::Millis)),
                    Unit::Micros => Self::new(logical("long", &format!("{local}timestamp-micros")), Write::SinceEpoch(Unit::Micros)),
                    // 64 bits of nanoseconds end in 2262
                    Unit::Nanos if adaptive => Self::new("string".into(), Write::Text),
                    Unit::Nanos => Self::new(logical("long", &format!("{local}timestamp-nanos")), Write::SinceEpoch(Unit::Nanos)),
                })
            }
            DataType::Decimal if modes.decimal == DecimalMode::Precise => {
                let scale = scale(column)?;
                let precision = column.native_type.precision().unwrap_or(MOST_PRECISION);
                Some(Self::new(decimal(precision, scale), Write::Unscaled { scale: scale as usize }))
            }
            DataType::UInt64 => match bits(column) {
                Some(64..) if !modes.debezium => Some(Self::new(decimal(20, 0), Write::UnscaledUnsigned)),
                None if is_long_unsigned(column) && modes.bigint_unsigned == BigintUnsignedMode::Precise => {
                    Some(Self::new(decimal(20, 0), Write::UnscaledUnsigned))
                }
                _ => None,
            },
            DataType::Text if matches!(column.native_type.name(), "uuid" | "uniqueidentifier") => {
                Some(Self::new(logical("string", "uuid"), Write::Text))
            }
            _ => None,
        }
    }
}

/// How values of a form are written as one of Connect's types.
fn writing(form: Form, of: DataType, connect: &str) -> Write {
    match form {
        Form::Own => match of {
            DataType::Boolean => Write::Boolean,
            DataType::Int64 => Write::Int,
            DataType::UInt64 => Write::Unsigned,
            DataType::Float32 => Write::Float,
            DataType::Float64 => Write::Double,
            DataType::Bytes if connect != "bytes" => Write::String(Form::Binary(BinaryMode::Base64)),
            _ => Write::Text,
        },
        Form::Double => Write::ParsedDouble,
        Form::Unscaled { scale } => Write::Unscaled { scale },
        Form::UnscaledUnsigned => Write::UnscaledUnsigned,
        Form::Long => Write::Wrapped,
        Form::Flag => Write::Flag,
        Form::LowerBytes(bytes) => Write::LowerBytes(bytes),
        Form::Days => Write::Days,
        Form::Time(unit, width) => Write::Time(unit, width),
        Form::SinceEpoch(unit) => Write::SinceEpoch(unit),
        Form::Instant => Write::Instant,
        Form::Floats => Write::Floats,
        Form::LabelNumber(_) | Form::LabelBits(_) => Write::Number(form),
        Form::Geometry(GeometryForm::Wkb, BinaryMode::Bytes) => Write::Wkb,
        Form::Geometry(GeometryForm::Ewkb, BinaryMode::Bytes) => Write::Ewkb,
        other => Write::String(other),
    }
}

fn is_primitive(of: &str) -> bool {
    matches!(of, "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string")
}

/// A type of Connect's in Avro.
fn primitive(connect: &str) -> &'static str {
    match connect {
        "boolean" => "boolean",
        "int16" | "int32" => "int",
        "int64" => "long",
        "float" => "float",
        "double" => "double",
        "bytes" => "bytes",
        _ => "string",
    }
}

/// A type with its meaning, as Confluent's converter writes it.
fn annotated(kind: &Kind) -> Value {
    let of = primitive(kind.of);
    if kind.name.is_none() && kind.of != "int16" {
        return of.into();
    }
    let mut schema = Map::new();
    schema.insert("type".into(), of.into());
    let parameter = |name: &str| kind.parameters.iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.parse::<u32>().ok());
    let meaning = kind.name.map(|(name, _)| name).unwrap_or_default();
    let decimal = meaning == "org.apache.kafka.connect.data.Decimal";
    let (scale, precision) = (parameter("scale").unwrap_or(0), parameter("connect.decimal.precision").unwrap_or(CONNECT_PRECISION));
    if decimal {
        schema.insert("scale".into(), scale.into());
        schema.insert("precision".into(), precision.into());
    }
    if kind.of == "int16" {
        schema.insert("connect.type".into(), "int16".into());
    }
    if let Some((name, version)) = kind.name {
        schema.insert("connect.version".into(), version.into());
        if !kind.parameters.is_empty() {
            let parameters = kind.parameters.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
            schema.insert("connect.parameters".into(), Value::Object(parameters.collect()));
        }
        schema.insert("connect.name".into(), name.into());
    }
    let logical = match meaning {
        "org.apache.kafka.connect.data.Date" => Some("date"),
        "org.apache.kafka.connect.data.Time" => Some("time-millis"),
        "org.apache.kafka.connect.data.Timestamp" => Some("timestamp-millis"),
        _ => (decimal && scale <= precision).then_some("decimal"),
    };
    if let Some(logical) = logical {
        schema.insert("logicalType".into(), logical.into());
    }
    Value::Object(schema)
}

fn geometry() -> Value {
    let fields = vec![field("wkb", "bytes".into(), false), field("srid", "int".into(), true)];
    let mut schema = record("io.debezium.data.geometry.Geometry", fields, Some(1), true);
    schema["connect.doc"] = "Geometry".into();
    schema
}

/// A field of a record.
pub(super) fn field(name: &str, schema: Value, optional: bool) -> Value {
    if optional { json!({ "name": name, "type": ["null", schema], "default": null }) } else { json!({ "name": name, "type": schema }) }
}

/// A record of that full name.
pub(super) fn record(full: &str, fields: Vec<Value>, version: Option<u8>, connect: bool) -> Value {
    let (namespace, name) = name::parts(full);
    let mut schema = Map::new();
    schema.insert("type".into(), "record".into());
    schema.insert("name".into(), name.into());
    schema.insert("namespace".into(), namespace.into());
    schema.insert("fields".into(), fields.into());
    if let Some(version) = version {
        schema.insert("connect.version".into(), version.into());
    }
    if connect {
        schema.insert("connect.name".into(), full.into());
    }
    Value::Object(schema)
}

fn simple<'a>(fields: &'a [(&'a str, bool, &'a str)]) -> impl Iterator<Item = Value> + 'a {
    fields.iter().map(|(of, optional, name)| field(name, primitive(of).into(), *optional))
}

/// Debezium's envelope around rows of `value`, for sources with schemas or without.
pub(super) fn envelope(base: &str, value: &Value, connector: &str, schemas: bool, versions: bool) -> Value {
    let snapshot = json!({
        "type": "string", "connect.version": 1, "connect.parameters": { "allowed": connect::SNAPSHOTS },
        "connect.default": "false", "connect.name": "io.debezium.data.Enum"
    });
    let mut source: Vec<Value> = simple(&connect::SOURCE).collect();
    source.push(json!({ "name": "snapshot", "type": [snapshot, "null"], "default": "false" }));
    source.extend(simple(&connect::TIMES));
    source.extend(simple(&[("string", false, "schema")]).filter(|_| schemas));
    source.extend(simple(&connect::PLACE));
    let source = record(&name::full(&format!("io.debezium.connector.{connector}.Source")), source, None, true);
    let block = record("event.block", simple(&connect::TRANSACTION).collect(), Some(1), true);
    let mut fields = vec![
        field("before", value.clone(), true),
        field("after", value.clone(), true),
        field("source", source, false),
        field("transaction", block, true),
    ];
    fields.extend(simple(&connect::ENVELOPE));
    fields.extend(versions.then(|| field("plugins", "string".into(), true)));
    record(&format!("{base}.Envelope"), fields, Some(2), true)
}

/// The text of a schema. A record that stands in it a second time is its name there, as Avro wants it.
pub(super) fn text(mut schema: Value) -> String {
    name_again(&mut schema, &mut HashSet::new());
    schema.to_string()
}

fn name_again(schema: &mut Value, known: &mut HashSet<String>) {
    match schema {
        Value::Array(parts) => parts.iter_mut().for_each(|part| name_again(part, known)),
        Value::Object(members) => {
            if members.get("type").is_some_and(|of| of == "record") {
                let part = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
                let full = format!("{}.{}", part("namespace"), part("name"));
                if !known.insert(full.clone()) {
                    *schema = full.into();
                    return;
                }
            }
            for member in ["type", "items", "fields"] {
                if let Some(part) = members.get_mut(member) {
                    name_again(part, known);
                }
            }
        }
        _ => {}
    }
}
