//! Versions of tables, as records describe them: by their schema, or by their members alone.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    json_text::{self, Json},
    kind::Kind,
    schema::{Described, Schemas},
    unreadable::Unreadable,
};
use sluicegate_model::{
    change::{ColumnInfo, Place, Table, TableName},
    limits::{KAFKA_COLUMNS, KAFKA_NAME_BYTES, KAFKA_TABLE_VERSIONS, KAFKA_VERSION_BYTES},
};

/// Bytes that a version takes for each column beside its name, roughly: of the name there are two copies.
const COLUMN_BYTES: usize = 2 * size_of::<ColumnInfo>() + size_of::<Kind>() + size_of::<(Box<str>, usize)>();

/// A version of a table.
#[derive(Debug)]
pub(super) struct Version {
    pub table: Arc<Table>,
    pub kinds: Vec<Kind>,
    /// The columns by their names.
    places: HashMap<Box<str>, usize>,
    /// The names of the key's columns, as records have them.
    key: Box<[Box<str>]>,
    /// Whether rows of it were sent.
    begun: AtomicBool,
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
            return Err(too_many_members());
        }
        image.push(member?);
    }
    Ok(image)
}

impl Version {
    /// Whether rows of it were sent: its first ones begin a batch.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Rows of it were sent.
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Whether it is one of the table with this name and this key.
    pub(super) fn is_of(&self, name: &Name<'_>, key: &[Cow<'_, str>]) -> bool {
        self.key.len() == key.len() && self.key.iter().zip(key).all(|(known, key)| **known == **key) && name.is(&self.table.name)
    }

    fn has(&self, fields: &[Field<'_>]) -> bool {
        let columns = &self.table.columns;
        columns.len() == fields.len()
            && columns
                .iter()
                .zip(&self.kinds)
                .zip(fields)
                .all(|((column, kind), field)| column.name == field.name && column.nullable == field.nullable && *kind == field.kind)
    }

    /// What the values of a column are.
    pub(super) fn kind(&self, column: &str) -> Option<Kind> {
        self.kinds.get(*self.places.get(column)?).copied()
    }

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

pub(super) fn too_many_members() -> Unreadable {
    Unreadable::new(format!("its row has more than {KAFKA_COLUMNS} members"))
        .remedy("let the producer write fewer columns, or leave the topic out with `!NAME` in `topics`")
}

/// The error of a column with a name that is too long.
pub(super) fn name_too_long(name: &str) -> Unreadable {
    Unreadable::column(name, &format!("has a name of more than {KAFKA_NAME_BYTES} bytes"))
        .remedy("let the producer write shorter names, or leave the topic out with `!NAME` in `topics`")
}

/// What is remembered of tables and schemas.
#[derive(Debug, Default)]
pub(super) struct Versions {
    hasher: RandomState,
    known: HashMap<u64, Vec<Arc<Version>>>,
    count: usize,
    bytes: usize,
    /// The last one of each table.
    last: HashMap<u64, Last>,
    schemas: Schemas,
}

/// The version of a table's last row.
#[derive(Debug)]
struct Last {
    version: Arc<Version>,
    /// The schema that described it.
    schema: Option<Arc<str>>,
}

impl Versions {
    /// The version with these columns, of which those with a name in `key` are the primary key.
    pub(super) fn of(&mut self, name: &Name<'_>, key: &[Cow<'_, str>], fields: &[Field<'_>]) -> Result<Arc<Version>, Unreadable> {
        let hash = self.hasher.hash_one((name, key, fields));
        let same = |version: &&Arc<Version>| version.is_of(name, key) && version.has(fields);
        let version = match self.known.get(&hash).and_then(|known| known.iter().find(same)) {
            Some(version) => version.clone(),
            None => self.add(hash, name, key, fields)?,
        };
        self.last.insert(self.hasher.hash_one(name), Last { version: version.clone(), schema: None });
        Ok(version)
    }

    /// The version with the columns that the schema of an envelope describes.
    pub(super) fn described(&mut self, name: &Name<'_>, key: &[Cow<'_, str>], schema: &str) -> Result<Arc<Version>, Unreadable> {
        let of_name = self.hasher.hash_one(name);
        if let Some(last) = self.last.get(&of_name)
            && last.schema.as_deref() == Some(schema)
            && last.version.is_of(name, key)
        {
            return Ok(last.version.clone());
        }
        let (Described { text, fields }, forgot) = self.schemas.read(schema)?;
        if forgot {
            self.last.values_mut().for_each(|last| last.schema = None);
        }
        let found = self.of(name, key, &fields)?;
        if let Some(last) = self.last.get_mut(&of_name) {
            last.schema = Some(text);
        }
        Ok(found)
    }

    fn add(&mut self, hash: u64, name: &Name<'_>, key: &[Cow<'_, str>], fields: &[Field<'_>]) -> Result<Arc<Version>, Unreadable> {
        let parts = [Some(&name.database), name.schema.as_ref(), Some(&name.table)];
        if parts.into_iter().flatten().any(|part| part.len() > KAFKA_NAME_BYTES) {
            return Err(Unreadable::new(format!("its table has a name of more than {KAFKA_NAME_BYTES} bytes"))
                .remedy("let the producer write shorter names, or leave the topic out with `!NAME` in `topics`"));
        }
        if let Some(field) = fields.iter().find(|field| field.name.len() > KAFKA_NAME_BYTES) {
            return Err(name_too_long(&field.name));
        }
        let places: HashMap<Box<str>, usize> = fields.iter().enumerate().map(|(at, field)| ((*field.name).into(), at)).collect();
        if places.len() < fields.len() {
            return Err(twice());
        }
        let mut in_key = vec![false; fields.len()];
        for column in key {
            let Some(place) = places.get(&**column).and_then(|at| in_key.get_mut(*at)) else {
                return Err(Unreadable::new("its key has a member that is no column of its row")
                    .remedy("let the producer write the key's columns into the row, too, or no key"));
            };
            *place = true;
        }
        let names = fields.iter().map(|field| &field.name).chain(key).chain(parts.into_iter().flatten());
        let bytes =
            size_of::<Version>() + size_of::<Table>() + fields.len() * COLUMN_BYTES + names.map(|name| 2 * name.len()).sum::<usize>();
        if self.count >= KAFKA_TABLE_VERSIONS || self.bytes + bytes > KAFKA_VERSION_BYTES {
            self.known.clear();
            self.last.clear();
            (self.count, self.bytes) = (0, 0);
        }
        let column = |(field, in_key): (&Field<'_>, bool)| ColumnInfo {
            name: field.name.to_string(),
            data_type: field.kind.data_type(),
            native_type: field.kind.native_type(),
            nullable: field.nullable,
            primary_key: in_key,
            place: Place::Value,
        };
        let table = Table { name: name.owned(), destination: None, columns: fields.iter().zip(in_key).map(column).collect() };
        let version = Arc::new(Version {
            table: Arc::new(table),
            kinds: fields.iter().map(|field| field.kind).collect(),
            places,
            key: key.iter().map(|column| (**column).into()).collect(),
            begun: AtomicBool::new(false),
        });
        self.known.entry(hash).or_default().push(version.clone());
        self.count += 1;
        self.bytes += bytes;
        Ok(version)
    }

    /// The version of a table's last row.
    pub(super) fn last(&self, name: &Name<'_>) -> Option<&Arc<Version>> {
        let last = self.last.get(&self.hasher.hash_one(name))?;
        Some(&last.version).filter(|version| name.is(&version.table.name))
    }

    /// The text of the schema that came last; empty if none did.
    pub(super) fn last_schema(&self) -> &str {
        self.schemas.last()
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.count, self.bytes)
    }
}
