//! Versions of tables, as records describe them: by their schema, or by their members alone.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use super::{
    json_text::{self, Json},
    kind::{Kind, Schema},
    unreadable::Unreadable,
};
use sluicegate_model::{
    change::{ColumnInfo, Place, Table, TableName},
    limits::{KAFKA_COLUMNS, KAFKA_SCHEMA_BYTES, KAFKA_SCHEMAS, KAFKA_TABLE_VERSIONS},
};

/// A version of a table.
#[derive(Debug)]
pub(super) struct Version {
    pub table: Arc<Table>,
    pub kinds: Vec<Kind>,
    places: HashMap<Box<str>, usize>,
}

/// A table's name as a record has it.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub database: Cow<'a, str>,
    pub schema: Option<Cow<'a, str>>,
    pub table: Cow<'a, str>,
}

impl Name<'_> {
    pub(super) fn owned(&self) -> TableName {
        TableName {
            database: self.database.to_string(),
            schema: self.schema.as_ref().map(ToString::to_string),
            table: self.table.to_string(),
        }
    }

    fn is(&self, name: &TableName) -> bool {
        self.database == name.database && self.schema.as_deref() == name.schema.as_deref() && self.table == name.table
    }
}

/// A column as a record has it.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub name: Cow<'a, str>,
    pub kind: Kind,
    pub nullable: bool,
}

/// The members of a row.
pub(super) type Image<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// Reads a row.
pub(super) fn image(object: &str) -> Result<Image<'_>, Unreadable> {
    let mut image = Image::new();
    for member in json_text::members(object) {
        if image.len() == KAFKA_COLUMNS {
            return Err(Unreadable::new(format!("its row has more than {KAFKA_COLUMNS} members")));
        }
        image.push(member?);
    }
    Ok(image)
}

impl Version {
    /// The values of the columns, in their order; `None` where the row has no such member.
    pub(super) fn arrange<'a>(&self, image: Image<'a>) -> Result<Vec<Option<Json<'a>>>, Unreadable> {
        let columns = &self.table.columns;
        if image.len() == columns.len() && image.iter().zip(columns).all(|((name, _), column)| *name == column.name) {
            return Ok(image.into_iter().map(|(_, value)| Some(value)).collect());
        }
        let mut values: Vec<Option<Json<'a>>> = vec![None; columns.len()];
        for (name, value) in image {
            let Some(place) = self.places.get(&*name).and_then(|at| values.get_mut(*at)) else {
                return Err(Unreadable::new("its row has a member that its schema does not have"));
            };
            if place.replace(value).is_some() {
                return Err(twice());
            }
        }
        Ok(values)
    }
}

fn twice() -> Unreadable {
    Unreadable::new("its row has two members of one name").remedy("let the producer write each column once")
}

/// What is remembered of tables and schemas.
#[derive(Debug, Default)]
pub(super) struct Versions {
    hasher: RandomState,
    known: HashMap<u64, Vec<Arc<Version>>>,
    count: usize,
    /// The last one of each table.
    last: HashMap<u64, Arc<Version>>,
    schemas: HashMap<Box<str>, Arc<[Field<'static>]>>,
    schema_bytes: usize,
    last_schema: Option<(Box<str>, Arc<[Field<'static>]>)>,
}

impl Versions {
    /// The version with these columns, of which those with a name in `key` are the primary key; and whether it was not known before.
    pub(super) fn of(&mut self, name: &Name<'_>, key: &[Cow<'_, str>], fields: &[Field<'_>]) -> Result<(Arc<Version>, bool), Unreadable> {
        let hash = self.hasher.hash_one((name, key, fields));
        let is_key = |field: &Field<'_>| key.contains(&field.name);
        let same = |version: &&Arc<Version>| {
            let table = &version.table;
            name.is(&table.name)
                && table.columns.len() == fields.len()
                && table.columns.iter().zip(&version.kinds).zip(fields).all(|((column, kind), field)| {
                    column.name == field.name
                        && column.nullable == field.nullable
                        && *kind == field.kind
                        && column.primary_key == is_key(field)
                })
        };
        let version = match self.known.get(&hash).and_then(|known| known.iter().find(same)) {
            Some(version) => (version.clone(), false),
            None => (self.add(hash, name, key, fields)?, true),
        };
        let of_name = self.hasher.hash_one(name);
        if self.last.get(&of_name).is_none_or(|last| !Arc::ptr_eq(last, &version.0)) {
            self.last.insert(of_name, version.0.clone());
        }
        Ok(version)
    }

    fn add(&mut self, hash: u64, name: &Name<'_>, key: &[Cow<'_, str>], fields: &[Field<'_>]) -> Result<Arc<Version>, Unreadable> {
        if !key.iter().all(|name| fields.iter().any(|field| field.name == *name)) {
            return Err(Unreadable::new("its key has a member that is no column of its row")
                .remedy("let the producer write the key's columns into the row, too, or no key"));
        }
        if self.count >= KAFKA_TABLE_VERSIONS {
            self.known.clear();
            self.last.clear();
            self.count = 0;
        }
        let column = |field: &Field<'_>| ColumnInfo {
            name: field.name.to_string(),
            data_type: field.kind.data_type(),
            native_type: field.kind.native_type(),
            nullable: field.nullable,
            primary_key: key.contains(&field.name),
            place: Place::Value,
        };
        let places: HashMap<Box<str>, usize> = fields.iter().enumerate().map(|(at, field)| ((*field.name).into(), at)).collect();
        if places.len() < fields.len() {
            return Err(twice());
        }
        let table = Table { name: name.owned(), destination: None, columns: fields.iter().map(column).collect() };
        let version = Arc::new(Version { table: Arc::new(table), kinds: fields.iter().map(|field| field.kind).collect(), places });
        self.known.entry(hash).or_default().push(version.clone());
        self.count += 1;
        Ok(version)
    }

    /// The version of a table's last row.
    pub(super) fn last(&self, name: &Name<'_>) -> Option<&Arc<Version>> {
        self.last.get(&self.hasher.hash_one(name)).filter(|version| name.is(&version.table.name))
    }

    /// The columns that the schema of an envelope describes.
    pub(super) fn schema(&mut self, text: &str) -> Result<Arc<[Field<'static>]>, Unreadable> {
        if let Some((known, fields)) = &self.last_schema
            && **known == *text
        {
            return Ok(fields.clone());
        }
        let fields = match self.schemas.get(text) {
            Some(fields) => fields.clone(),
            None => {
                let fields: Arc<[Field<'static>]> = columns(text)?.into();
                if self.schemas.len() >= KAFKA_SCHEMAS || self.schema_bytes + text.len() > KAFKA_SCHEMA_BYTES {
                    self.schemas.clear();
                    self.schema_bytes = 0;
                }
                self.schema_bytes += text.len();
                self.schemas.insert(text.into(), fields.clone());
                fields
            }
        };
        self.last_schema = Some((text.into(), fields.clone()));
        Ok(fields)
    }
}

/// The columns of a row, by the schema of its envelope.
fn columns(text: &str) -> Result<Vec<Field<'static>>, Unreadable> {
    let unknown = || {
        Unreadable::new("its schema is not that of a Debezium envelope")
            .remedy("leave topics of other records out with `!NAME` in `topics`")
    };
    let envelope: Schema = serde_json::from_str(text).map_err(|_| unknown())?;
    let named = |name: &str| envelope.fields.iter().find(|field| field.field.as_deref() == Some(name));
    let row = named("after").or_else(|| named("before")).filter(|row| row.of == "struct").ok_or_else(unknown)?;
    if row.fields.len() > KAFKA_COLUMNS {
        return Err(Unreadable::new(format!("its schema has more than {KAFKA_COLUMNS} columns")));
    }
    let field = |schema: &Schema| {
        let name = schema.field.clone().ok_or_else(unknown)?;
        let kind = Kind::of(schema).ok_or_else(|| {
            Unreadable::column(&name, "has a type that is not known")
                .remedy("let the connector's settings write it as another type, or leave the column out there")
        })?;
        Ok(Field { name: name.into(), kind, nullable: schema.optional })
    };
    row.fields.iter().map(field).collect()
}
