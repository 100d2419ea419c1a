//! JSON Schemas (draft 7) of records and keys, with what Confluent's `JsonSchemaConverter` reads in them: a type's meaning is its `title`
//! and `connect.version`, its width `connect.type`, its parameters `connect.parameters`; `connect.index` is a field's place.
//!
//! Objects have no members but those that their schemas name. Were others allowed, an older record might hold one of any type, and a
//! registry would take no new column as compatible with it (`BACKWARD`).

use serde_json::{Map, Value, json};

use super::super::{
    connect::{self, Kind},
    flat::member_name,
    form::{Form, bits, is_geometry, is_long_unsigned, is_vector},
};
use sluicegate_config::{BinaryMode, GeometryMode, ValueModes};
use sluicegate_model::change::{ColumnInfo, DataType, Place, Table};

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// What the schemas of a table are named by.
pub(super) struct Names<'a> {
    /// What they are called, without what is behind the last dot.
    pub(super) base: String,
    /// The kind of source.
    pub(super) connector: &'a str,
}

/// A member of an object.
struct Property {
    name: String,
    schema: Map<String, Value>,
    /// Whether it may be null, or not be there.
    optional: bool,
}

impl Property {
    fn new(name: impl Into<String>, schema: Map<String, Value>, optional: bool) -> Self {
        Self { name: name.into(), schema, optional }
    }

    /// One of a type of Connect's.
    fn simple(name: &str, of: &'static str, optional: bool) -> Self {
        Self::new(name, typed(&plain(of)), optional)
    }
}

/// Schema and title of Debezium's envelope around rows.
pub(super) fn envelope(
    table: &Table,
    names: &Names<'_>,
    versions: bool,
    optional: impl Fn(&ColumnInfo) -> bool,
    modes: &ValueModes,
) -> (String, String) {
    let base = &names.base;
    let columns = in_record(table).map(|info| Property::new(&info.name, column(info, modes), optional(info)));
    let row = object(&format!("{base}.Value"), None, columns.collect());
    let of = |fields: &[(&'static str, bool, &str)]| -> Vec<Property> {
        fields.iter().map(|(of, optional, name)| Property::simple(name, of, *optional)).collect()
    };
    let mut source = of(&connect::SOURCE);
    source.push(Property::new("snapshot", snapshot(), true));
    source.extend(of(&connect::TIMES));
    source.extend(table.name.schema.is_some().then(|| Property::simple("schema", "string", false)));
    source.extend(of(&connect::PLACE));
    let mut fields = vec![
        Property::new("before", row.clone(), true),
        Property::new("after", row, true),
        Property::new("source", object(&format!("io.debezium.connector.{}.Source", names.connector), None, source), false),
        Property::new("transaction", object("event.block", Some(1), of(&connect::TRANSACTION)), true),
    ];
    fields.extend(of(&connect::ENVELOPE));
    fields.extend(versions.then(|| Property::simple("plugins", "string", true)));
    let title = format!("{base}.Envelope");
    (document(object(&title, Some(2), fields)), title)
}

/// Schema and title of rows without an envelope. Every column may be null or not be there: a table that was emptied has none.
pub(super) fn flat(table: &Table, names: &Names<'_>, versions: bool, modes: &ValueModes) -> (String, String) {
    let text = |name: &str, optional: bool| Property::simple(name, "string", optional);
    let mut fields = vec![text("_op", false), text("_database", false)];
    fields.extend(table.name.schema.is_some().then(|| text("_schema", false)));
    fields.extend([text("_table", false), text("_ts", false)]);
    fields.extend(versions.then(|| text("_plugins", true)));
    fields.extend([text("_gtid", true), text("_file", true)]);
    fields.extend([Property::simple("_pos", "int64", false), Property::simple("_row", "int32", false)]);
    fields.extend(in_record(table).map(|info| Property::new(member_name(&info.name), column(info, modes), true)));
    let title = format!("{}.Row", names.base);
    (document(object(&title, None, fields)), title)
}

/// Schema of keys.
pub(super) fn key(title: &str, columns: &[&ColumnInfo], optional: impl Fn(&ColumnInfo) -> bool, modes: &ValueModes) -> String {
    let fields = columns.iter().map(|info| Property::new(&info.name, column(info, modes), optional(info)));
    document(object(title, None, fields.collect()))
}

fn in_record(table: &Table) -> impl Iterator<Item = &ColumnInfo> {
    table.columns.iter().filter(|column| column.place == Place::Value)
}

/// The type of a column's values.
fn column(info: &ColumnInfo, modes: &ValueModes) -> Map<String, Value> {
    if is_geometry(info) && modes.geometry == GeometryMode::Debezium {
        let fields = vec![Property::new("wkb", encoded(typed(&plain("bytes"))), false), Property::simple("srid", "int32", true)];
        let mut geometry = object("io.debezium.data.geometry.Geometry", Some(1), fields);
        geometry.insert("description".into(), "Geometry".into());
        return geometry;
    }
    if is_vector(info) && modes.debezium {
        let mut vector = Map::new();
        vector.insert("title".into(), "io.debezium.data.FloatVector".into());
        vector.insert("type".into(), "array".into());
        vector.insert("items".into(), Value::Object(typed(&plain("float"))));
        vector.insert("connect.version".into(), 1.into());
        return vector;
    }
    let kind = connect::kind(info, modes);
    let mut schema = typed(&kind);
    let own = matches!(Form::of(info, modes), Form::Own);
    if info.data_type == DataType::UInt64 && own && (is_long_unsigned(info) || bits(info).is_some_and(|bits| bits > 63)) {
        // beyond Connect's widest type
        schema.remove("connect.type");
    }
    let text = info.data_type == DataType::Bytes && kind.name.is_none() && modes.binary == BinaryMode::Base64;
    if kind.of == "bytes" || text { encoded(schema) } else { schema }
}

fn plain(of: &'static str) -> Kind {
    Kind { of, name: None, parameters: Vec::new() }
}

/// A string of bytes in base64.
fn encoded(mut schema: Map<String, Value>) -> Map<String, Value> {
    schema.insert("contentEncoding".into(), "base64".into());
    schema
}

/// A type of Connect's. Unlike the converter, which says that the type of a decimal is `number` and writes a string.
fn typed(kind: &Kind) -> Map<String, Value> {
    let (of, width) = match kind.of {
        "boolean" => ("boolean", None),
        "int16" | "int32" | "int64" => ("integer", Some(kind.of)),
        "float" => ("number", Some("float32")),
        "double" => ("number", Some("float64")),
        "bytes" => ("string", Some("bytes")),
        _ => ("string", None),
    };
    let mut schema = Map::new();
    if let Some((name, _)) = kind.name {
        schema.insert("title".into(), name.into());
    }
    schema.insert("type".into(), of.into());
    if let Some(width) = width {
        schema.insert("connect.type".into(), width.into());
    }
    if let Some((_, version)) = kind.name {
        schema.insert("connect.version".into(), version.into());
    }
    if !kind.parameters.is_empty() {
        let parameters = kind.parameters.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
        schema.insert("connect.parameters".into(), Value::Object(parameters.collect()));
    }
    schema
}

fn snapshot() -> Map<String, Value> {
    let name = Some(("io.debezium.data.Enum", 1));
    let mut schema = typed(&Kind { of: "string", name, parameters: vec![("allowed", connect::SNAPSHOTS.to_owned())] });
    schema.insert("default".into(), "false".into());
    schema
}

/// An object that has these members only.
fn object(title: &str, version: Option<u8>, properties: Vec<Property>) -> Map<String, Value> {
    let required: Vec<Value> = properties.iter().filter(|one| !one.optional).map(|one| one.name.as_str().into()).collect();
    let members = properties.into_iter().enumerate().map(|(index, Property { name, mut schema, optional })| {
        if optional {
            (name, json!({ "connect.index": index, "oneOf": [{ "type": "null" }, schema] }))
        } else {
            schema.insert("connect.index".into(), index.into());
            (name, Value::Object(schema))
        }
    });
    let mut schema = Map::new();
    schema.insert("title".into(), title.into());
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), Value::Object(members.collect()));
    if !required.is_empty() {
        schema.insert("required".into(), required.into());
    }
    schema.insert("additionalProperties".into(), false.into());
    if let Some(version) = version {
        schema.insert("connect.version".into(), version.into());
    }
    schema
}

/// The text of a schema.
fn document(object: Map<String, Value>) -> String {
    let mut schema = Map::new();
    schema.insert("$schema".into(), DRAFT.into());
    schema.extend(object);
    Value::Object(schema).to_string()
}
