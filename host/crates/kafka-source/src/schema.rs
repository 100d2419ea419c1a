//! The schemas that stand in envelopes, and the columns that they describe.

use std::{collections::HashMap, sync::Arc};

use super::{
    json_text::{self, Json},
    kind::{Kind, Schema},
    unreadable::Unreadable,
    version::{Field, name_too_long},
};
use sluicegate_model::limits::{KAFKA_COLUMNS, KAFKA_NAME_BYTES, KAFKA_SCHEMA_BYTES, KAFKA_SCHEMA_LENGTH, KAFKA_SCHEMAS};

/// A schema that was read.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub text: Arc<str>,
    pub fields: Arc<[Field<'static>]>,
}

/// Schemas that were read.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    known: HashMap<Arc<str>, Arc<[Field<'static>]>>,
    bytes: usize,
    last: Option<Arc<str>>,
}

impl Schemas {
    /// The text of the schema that came last; empty if none did.
    pub(super) fn last(&self) -> &str {
        self.last.as_deref().unwrap_or_default()
    }

    /// What a schema describes; and whether all others were forgotten.
    pub(super) fn read(&mut self, text: &str) -> Result<(Described, bool), Unreadable> {
        if text.len() > KAFKA_SCHEMA_LENGTH {
            return Err(Unreadable::new(format!("its schema has more than {KAFKA_SCHEMA_LENGTH} bytes"))
                .remedy("let the connector leave columns out, or write records without schemas (`schemas.enable=false`)"));
        }
        if let Some((text, fields)) = self.known.get_key_value(text) {
            self.last = Some(text.clone());
            return Ok((Described { text: text.clone(), fields: fields.clone() }, false));
        }
        let fields: Arc<[Field<'static>]> = columns(text)?.into();
        let bytes = text.len() + size_of_val(&*fields) + fields.iter().map(|field| field.name.len()).sum::<usize>();
        let full = self.known.len() >= KAFKA_SCHEMAS || self.bytes + bytes > KAFKA_SCHEMA_BYTES;
        if full {
            self.known.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        let text: Arc<str> = text.into();
        self.known.insert(text.clone(), fields.clone());
        self.last = Some(text.clone());
        Ok((Described { text, fields }, full))
    }
}

fn unknown() -> Unreadable {
    Unreadable::new("its schema is not that of a Debezium envelope").remedy("leave topics of other records out with `!NAME` in `topics`")
}

/// A member of an object that may stand in it once.
fn member<'a>(object: &'a str, wanted: &str) -> Result<Option<Json<'a>>, Unreadable> {
    let mut found = None;
    for member in json_text::members(object) {
        let (name, value) = member?;
        if name == wanted && found.replace(value).is_some() {
            return Err(unknown());
        }
    }
    Ok(found)
}

/// The columns of a row, by the schema of its envelope. They are counted before any of them is read.
fn columns(text: &str) -> Result<Vec<Field<'static>>, Unreadable> {
    let Some(Json::Array(members)) = member(text, "fields")? else { return Err(unknown()) };
    let (mut before, mut after) = (None, None);
    for schema in json_text::elements(members) {
        let Json::Object(schema) = schema? else { return Err(unknown()) };
        let Some(Json::String(name)) = member(schema, "field")? else { continue };
        let place = match &*name {
            "before" => &mut before,
            "after" => &mut after,
            _ => continue,
        };
        place.get_or_insert(schema);
    }
    let row = after.or(before).ok_or_else(unknown)?;
    let is_struct = member(row, "type")? == Some(Json::String("struct".into()));
    let fields = match member(row, "fields")? {
        Some(Json::Array(fields)) if is_struct => fields,
        None if is_struct => "[]",
        _ => return Err(unknown()),
    };
    if json_text::elements(fields).take(KAFKA_COLUMNS + 1).count() > KAFKA_COLUMNS {
        return Err(Unreadable::new(format!("its schema has more than {KAFKA_COLUMNS} columns"))
            .remedy("let the connector leave columns out, or leave the topic out with `!NAME` in `topics`"));
    }
    json_text::elements(fields).map(|column| field(column?)).collect()
}

fn field(column: Json<'_>) -> Result<Field<'static>, Unreadable> {
    let Json::Object(column) = column else { return Err(unknown()) };
    let schema: Schema = serde_json::from_str(column).map_err(|_| unknown())?;
    let name = schema.field.clone().ok_or_else(unknown)?;
    if name.len() > KAFKA_NAME_BYTES {
        return Err(name_too_long(&name));
    }
    let kind = Kind::of(&schema).ok_or_else(|| {
        Unreadable::column(&name, "has a type that is not known")
            .remedy("let the connector's settings write it as another type, or leave the column out there")
    })?;
    Ok(Field { name: name.into(), kind, nullable: schema.optional })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[String]) -> String {
        format!(r#"{{"type":"struct","fields":[{{"field":"after","type":"struct","fields":[{}]}}]}}"#, columns.join(","))
    }

    fn column(name: &str) -> String {
        format!(r#"{{"type":"int32","field":"{name}"}}"#)
    }

    fn refused(text: &str) -> String {
        let refused = Schemas::default().read(text).unwrap_err();
        assert!(refused.remedy.is_some(), "{refused:?}");
        refused.what
    }

    #[test]
    fn what_is_no_schema_of_an_envelope_is_refused() {
        for text in [
            "{}",
            r#"{"type":"struct","fields":[]}"#,
            r#"{"type":"struct","fields":[1]}"#,
            r#"{"type":"struct","fields":[{"field":"after","type":"int32"}]}"#,
            r#"{"type":"struct","fields":[{"field":"after","type":"struct","fields":{}}]}"#,
            r#"{"type":"struct","fields":[{"field":"after","type":"struct","fields":[{"type":"int32"}]}]}"#,
            r#"{"type":"struct","fields":[{"field":"after","type":"struct","fields":[],"fields":[]}]}"#,
        ] {
            assert_eq!(refused(text), "its schema is not that of a Debezium envelope", "{text}");
        }
        assert!(Schemas::default().read(&schema(&[])).is_ok());
    }

    #[test]
    fn columns_names_and_bytes_of_a_schema_are_bounded() {
        let many: Vec<String> = (0..=KAFKA_COLUMNS).map(|n| column(&n.to_string())).collect();
        assert_eq!(refused(&schema(&many)), "its schema has more than 10000 columns");
        let read = Schemas::default().read(&schema(&many[1..]));
        assert_eq!(read.map(|(read, _)| read.fields.len()), Ok(KAFKA_COLUMNS));
        let long = "n".repeat(KAFKA_NAME_BYTES + 1);
        assert!(refused(&schema(&[column(&long)])).ends_with("has a name of more than 1024 bytes"));
        let padded = format!("{}{}", " ".repeat(KAFKA_SCHEMA_LENGTH), schema(&[]));
        assert_eq!(refused(&padded), "its schema has more than 8388608 bytes");
    }

    #[test]
    fn schemas_are_remembered_up_to_their_bytes() {
        let mut schemas = Schemas::default();
        let of = |n: usize| format!("{}{}", schema(&[column(&n.to_string())]), " ".repeat(KAFKA_SCHEMA_LENGTH / 2));
        let mut most = 0;
        for n in 0..20 {
            let (read, forgot) = schemas.read(&of(n)).unwrap();
            assert_eq!((&*read.fields[0].name, forgot), (n.to_string().as_str(), n > 0 && schemas.known.len() == 1));
            assert!(schemas.bytes <= KAFKA_SCHEMA_BYTES);
            most = most.max(schemas.known.len());
            // one that is known is the same text, not another one
            let (again, _) = schemas.read(&of(n)).unwrap();
            assert!(Arc::ptr_eq(&again.text, &read.text) && schemas.last() == of(n));
        }
        assert!((2..20).contains(&most));
    }
}
