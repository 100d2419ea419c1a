//! Schemas as Kafka Connect's JSON converter writes them: of Debezium's envelope, and of keys.
//!
//! The order of a schema's members is the converter's: type, what the type needs, `optional`, `name`, `version`, `doc`, `parameters`,
//! `default`, and `field` at the end.

use super::{
    form::{bits, datetime_unit, is_geometry, is_long_unsigned, is_vector, labelled, scale, time_number},
    format_options::Origin,
    temporal::Unit,
};
use sluicegate_config::{BigintUnsignedMode, BinaryMode, DecimalMode, GeometryMode, LabelMode, TimeMode, ValueModes};
use sluicegate_model::{
    change::{ColumnInfo, DataType, Place, Table},
    json::string,
};

/// The type of values.
pub(super) struct Kind {
    /// Connect's type.
    pub(super) of: &'static str,
    /// Its name and version, if it is more than that.
    pub(super) name: Option<(&'static str, u8)>,
    pub(super) parameters: Vec<(&'static str, String)>,
}

impl Kind {
    fn plain(of: &'static str) -> Self {
        Self { of, name: None, parameters: Vec::new() }
    }

    fn named(of: &'static str, name: &'static str) -> Self {
        Self { of, name: Some((name, 1)), parameters: Vec::new() }
    }

    fn with(mut self, parameter: &'static str, value: String) -> Self {
        self.parameters.push((parameter, value));
        self
    }

    fn decimal(scale: u32) -> Self {
        Self::named("bytes", "org.apache.kafka.connect.data.Decimal").with("scale", scale.to_string())
    }
}

/// The type of a column's values, unless it is an object.
pub(super) fn kind(column: &ColumnInfo, modes: &ValueModes) -> Kind {
    use DataType::*;
    let native = &column.native_type;
    let connect = modes.time == TimeMode::Connect;
    match column.data_type {
        Boolean => Kind::plain("boolean"),
        Int64 | UInt64 if native.name() == "year" => Kind::named("int32", "io.debezium.time.Year"),
        Int64 => Kind::plain(match native.name() {
            "tinyint" | "smallint" => "int16",
            "mediumint" | "int" => "int32",
            _ => "int64",
        }),
        UInt64 => match bits(column) {
            Some(1) if modes.debezium => Kind::plain("boolean"),
            Some(bits) if modes.debezium => Kind::named("bytes", "io.debezium.data.Bits").with("length", bits.to_string()),
            Some(_) => Kind::plain("int64"),
            None if is_long_unsigned(column) && modes.bigint_unsigned == BigintUnsignedMode::Precise => Kind::decimal(0),
            None => Kind::plain(match native.name() {
                "tinyint" => "int16",
                "smallint" | "mediumint" => "int32",
                _ => "int64",
            }),
        },
        Float32 => Kind::plain("float"),
        Float64 => Kind::plain("double"),
        Decimal => match (modes.decimal, scale(column)) {
            (DecimalMode::Double, _) => Kind::plain("double"),
            (DecimalMode::Precise, Some(scale)) => {
                let kind = Kind::decimal(scale);
                match native.precision() {
                    Some(precision) => kind.with("connect.decimal.precision", precision.to_string()),
                    None => kind,
                }
            }
            (DecimalMode::Precise, None) | (DecimalMode::String, _) => Kind::plain("string"),
        },
        Text => match (labelled(column), modes.labels) {
            (Some(set), LabelMode::Labels) => {
                let labels: Vec<&str> = native.labels().iter().flat_map(|labels| labels.iter()).map(|label| &**label).collect();
                let name = if set { "io.debezium.data.EnumSet" } else { "io.debezium.data.Enum" };
                Kind::named("string", name).with("allowed", labels.join(","))
            }
            (Some(_), LabelMode::Numbers) => Kind::plain("int64"),
            (None, _) => Kind::plain("string"),
        },
        Bytes if is_geometry(column) && modes.geometry == GeometryMode::GeoJson => Kind::named("string", "io.debezium.data.Json"),
        Bytes => Kind::plain(if modes.binary == BinaryMode::Bytes { "bytes" } else { "string" }),
        Date => match modes.time {
            TimeMode::Text => Kind::plain("string"),
            TimeMode::IsoString => Kind::named("string", "io.debezium.time.IsoDate"),
            TimeMode::Connect => Kind::named("int32", "org.apache.kafka.connect.data.Date"),
            _ => Kind::named("int32", "io.debezium.time.Date"),
        },
        Time => match time_number(column, modes) {
            None if modes.time == TimeMode::IsoString => Kind::named("string", "io.debezium.time.IsoTime"),
            None => Kind::plain("string"),
            Some((Unit::Millis, _)) if connect => Kind::named("int32", "org.apache.kafka.connect.data.Time"),
            Some((Unit::Millis, _)) => Kind::named("int32", "io.debezium.time.Time"),
            Some((Unit::Micros, _)) => Kind::named("int64", "io.debezium.time.MicroTime"),
            Some((Unit::Nanos, _)) => Kind::named("int64", "io.debezium.time.NanoTime"),
        },
        DateTime => match datetime_unit(column, modes) {
            None if modes.time == TimeMode::IsoString => Kind::named("string", "io.debezium.time.IsoTimestamp"),
            None => Kind::plain("string"),
            Some(Unit::Millis) if connect => Kind::named("int64", "org.apache.kafka.connect.data.Timestamp"),
            Some(Unit::Millis) => Kind::named("int64", "io.debezium.time.Timestamp"),
            Some(Unit::Micros) => Kind::named("int64", "io.debezium.time.MicroTimestamp"),
            Some(Unit::Nanos) => Kind::named("int64", "io.debezium.time.NanoTimestamp"),
        },
        Timestamp => Kind::named("string", "io.debezium.time.ZonedTimestamp"),
        Json => Kind::named("string", "io.debezium.data.Json"),
    }
}

/// Appends the schema of a column's values as a field.
fn column(column: &ColumnInfo, optional: bool, modes: &ValueModes, out: &mut Vec<u8>) {
    if is_geometry(column) && modes.geometry == GeometryMode::Debezium {
        out.extend_from_slice(
            b"{\"type\":\"struct\",\"fields\":[{\"type\":\"bytes\",\"optional\":false,\"field\":\"wkb\"},{\"type\":\"int32\",\"optional\":true,\"field\":\"srid\"}],\"optional\":",
        );
        boolean(optional, out);
        out.extend_from_slice(b",\"name\":\"io.debezium.data.geometry.Geometry\",\"version\":1,\"doc\":\"Geometry\"");
        return field(&column.name, out);
    }
    if is_vector(column) && modes.debezium {
        out.extend_from_slice(b"{\"type\":\"array\",\"items\":{\"type\":\"float\",\"optional\":false},\"optional\":");
        boolean(optional, out);
        out.extend_from_slice(b",\"name\":\"io.debezium.data.FloatVector\",\"version\":1");
        return field(&column.name, out);
    }
    let Kind { of, name, parameters } = kind(column, modes);
    begin(of, optional, out);
    if let Some((name, version)) = name {
        out.extend_from_slice(format!(",\"name\":\"{name}\",\"version\":{version}").as_bytes());
    }
    for (i, (parameter, value)) in parameters.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b",\"parameters\":{" } else { b"," });
        string(parameter.as_bytes(), out);
        out.push(b':');
        string(value.as_bytes(), out);
    }
    if !parameters.is_empty() {
        out.push(b'}');
    }
    field(&column.name, out);
}

fn begin(of: &str, optional: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":");
    string(of.as_bytes(), out);
    out.extend_from_slice(b",\"optional\":");
    boolean(optional, out);
}

fn boolean(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Ends the schema of a field.
fn field(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"field\":");
    string(name.as_bytes(), out);
    out.push(b'}');
}

/// Appends a list of the columns' schemas.
fn columns<'a>(columns: impl Iterator<Item = &'a ColumnInfo>, key: bool, modes: &ValueModes, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"struct\",\"fields\":[");
    for (i, info) in columns.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        column(info, info.nullable && !(key && info.primary_key), modes, out);
    }
    out.push(b']');
}

/// What the schemas of a table are called, without what is behind the last dot.
pub(super) fn base(table: &Table, origin: &Origin) -> String {
    let name = &table.name;
    let parts = [Some(origin.pipeline.as_str()), Some(&name.database), name.schema.as_deref(), Some(&name.table)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(".")
}

/// The fields of `source` around those of the name and of the place in the log: type, whether it is optional, name.
pub(super) const SOURCE: [(&str, bool, &str); 4] =
    [("string", false, "version"), ("string", false, "connector"), ("string", false, "name"), ("int64", false, "ts_ms")];
pub(super) const TIMES: [(&str, bool, &str); 4] =
    [("string", false, "db"), ("string", true, "sequence"), ("int64", true, "ts_us"), ("int64", true, "ts_ns")];
pub(super) const PLACE: [(&str, bool, &str); 8] = [
    ("string", true, "table"),
    ("int64", false, "server_id"),
    ("string", true, "gtid"),
    ("string", false, "file"),
    ("int64", false, "pos"),
    ("int32", false, "row"),
    ("int64", true, "thread"),
    ("string", true, "query"),
];
pub(super) const TRANSACTION: [(&str, bool, &str); 3] =
    [("string", false, "id"), ("int64", false, "total_order"), ("int64", false, "data_collection_order")];
pub(super) const ENVELOPE: [(&str, bool, &str); 4] =
    [("string", false, "op"), ("int64", true, "ts_ms"), ("int64", true, "ts_us"), ("int64", true, "ts_ns")];

/// What `snapshot` in `source` may be.
pub(super) const SNAPSHOTS: &str = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental";

const SNAPSHOT: &str = "{\"type\":\"string\",\"optional\":true,\"name\":\"io.debezium.data.Enum\",\"version\":1,\"parameters\":{\"allowed\":\
    \"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental\"},\"default\":\"false\",\"field\":\"snapshot\"}";

/// Appends schemas of simple fields, each with a comma in front of it that follows another one.
fn simple(fields: &[(&str, bool, &str)], out: &mut Vec<u8>) {
    for (of, optional, name) in fields {
        if out.last() == Some(&b'}') {
            out.push(b',');
        }
        begin(of, *optional, out);
        field(name, out);
    }
}

/// Appends the schema of the envelope of a table's changes.
pub(super) fn envelope(table: &Table, modes: &ValueModes, origin: &Origin, out: &mut Vec<u8>) {
    let base = base(table, origin);
    out.extend_from_slice(b"{\"type\":\"struct\",\"fields\":[");
    for image in ["before", "after"] {
        if image == "after" {
            out.push(b',');
        }
        columns(table.columns.iter().filter(|column| column.place == Place::Value), false, modes, out);
        out.extend_from_slice(b",\"optional\":true,\"name\":");
        string(format!("{base}.Value").as_bytes(), out);
        field(image, out);
    }
    out.extend_from_slice(b",{\"type\":\"struct\",\"fields\":[");
    simple(&SOURCE, out);
    out.push(b',');
    out.extend_from_slice(SNAPSHOT.as_bytes());
    simple(&TIMES, out);
    if table.name.schema.is_some() {
        simple(&[("string", false, "schema")], out);
    }
    simple(&PLACE, out);
    out.extend_from_slice(b"],\"optional\":false,\"name\":");
    string(format!("io.debezium.connector.{}.Source", origin.connector).as_bytes(), out);
    field("source", out);
    out.extend_from_slice(b",{\"type\":\"struct\",\"fields\":[");
    simple(&TRANSACTION, out);
    out.extend_from_slice(b"],\"optional\":true,\"name\":\"event.block\",\"version\":1");
    field("transaction", out);
    simple(&ENVELOPE, out);
    out.extend_from_slice(b"],\"optional\":false,\"name\":");
    string(format!("{base}.Envelope").as_bytes(), out);
    out.extend_from_slice(b",\"version\":2}");
}

/// Appends the schema of a key of the columns that are `chosen`.
pub(super) fn key(table: &Table, modes: &ValueModes, origin: &Origin, chosen: impl Fn(&ColumnInfo) -> bool, out: &mut Vec<u8>) {
    columns(table.columns.iter().filter(|column| column.place == Place::Value && chosen(column)), true, modes, out);
    out.extend_from_slice(b",\"optional\":false,\"name\":");
    string(format!("{}.Key", base(table, origin)).as_bytes(), out);
    out.push(b'}');
}
