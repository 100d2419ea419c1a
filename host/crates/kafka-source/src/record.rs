//! A record of a topic: what it says of a row.

use std::{borrow::Cow, sync::Arc};

use super::{
    debezium, flat,
    json_text::{self, Json},
    unreadable::Unreadable,
    version::{Name, Version, Versions},
};
use sluicegate_config::{KafkaSource, TopicFormat, TopicImages, TopicNumbers};
use sluicegate_model::{
    change::Operation,
    limits::{KAFKA_KEY_COLUMNS, Limits},
};

/// How a topic's records are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub format: TopicFormat,
    pub images: TopicImages,
    /// Whether the user chose `images`.
    pub images_chosen: bool,
    pub numbers: TopicNumbers,
    /// Bytes of a record, at most.
    pub most_bytes: usize,
}

impl Reading {
    pub(super) fn of(settings: &KafkaSource, limits: &Limits) -> Self {
        Self {
            format: settings.format,
            images: settings.before_images,
            images_chosen: settings.before_images_chosen,
            numbers: settings.numbers,
            most_bytes: limits.row_bytes,
        }
    }
}

/// What a record says.
#[derive(Debug)]
pub(super) enum Record<'a> {
    /// Nothing: it lets a compacted topic forget a key.
    Tombstone,
    Row(Row<'a>),
    /// All rows of a table are gone.
    Truncate {
        name: Name<'a>,
        time_us: Option<i64>,
    },
}

/// A change of a row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub version: Arc<Version>,
    pub operation: Operation,
    pub before: Option<Vec<Option<Json<'a>>>>,
    pub after: Option<Vec<Option<Json<'a>>>>,
    /// Whether the before image is only relied on for its key.
    pub only_key: bool,
    /// Whether the text [`super::kind::UNAVAILABLE`] stands for values that the database did not give.
    pub placeholders: bool,
    /// When the database executed it, if the record says so.
    pub time_us: Option<i64>,
}

/// Reads a record.
pub(super) fn read<'a>(
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    reading: Reading,
    versions: &mut Versions,
) -> Result<Record<'a>, Unreadable> {
    let Some(value) = value else { return Ok(Record::Tombstone) };
    if value.len() + key.map_or(0, <[u8]>::len) > reading.most_bytes {
        return Err(Unreadable::new(format!("it has more than {} bytes", reading.most_bytes)).remedy("raise `limits.row_bytes`"));
    }
    let not_text = |_| Unreadable::new("it is not UTF-8").remedy("name topics of JSON records only; Avro is not read");
    let text = std::str::from_utf8(value).map_err(not_text)?;
    let Some(record) = json_text::document(text)? else { return Err(Unreadable::new("it is no JSON object")) };
    let key = key.map(|key| std::str::from_utf8(key).map_err(not_text)).transpose()?;
    let key = key.map(key_columns).transpose()?.unwrap_or_default();
    match reading.format {
        TopicFormat::Debezium => debezium::read(record, &key, reading, versions),
        TopicFormat::Flat => flat::read(record, &key, reading, versions),
    }
}

/// The names of a key's columns.
fn key_columns(text: &str) -> Result<Vec<Cow<'_, str>>, Unreadable> {
    let not_columns =
        || Unreadable::new("its key is no JSON object of columns").remedy("let the producer write the key's columns as JSON, or no key");
    let malformed = |_| not_columns();
    let Some(mut key) = json_text::document(text).map_err(malformed)? else {
        return if json_text::value(text) == Ok(Json::Null) { Ok(Vec::new()) } else { Err(not_columns()) };
    };
    let (mut names, mut payload, mut schema) = (Vec::new(), None, false);
    while let Some(name) = key.name() {
        let name = name.map_err(malformed)?;
        match key.object().map_err(malformed)? {
            Some(mut members) if name == "payload" => {
                let mut inner = Vec::new();
                while let Some(name) = members.name() {
                    push(&mut inner, name.map_err(malformed)?)?;
                    members.value().map_err(malformed)?;
                }
                key.behind(members).map_err(malformed)?;
                payload = Some(inner);
            }
            object => {
                key.value().map_err(malformed)?;
                schema |= name == "schema" && object.is_some();
            }
        }
        push(&mut names, name)?;
    }
    match payload {
        // with its schema
        Some(inner) if schema && names.len() == 2 => Ok(inner),
        _ => Ok(names),
    }
}

fn push<'a>(names: &mut Vec<Cow<'a, str>>, name: Cow<'a, str>) -> Result<(), Unreadable> {
    if names.len() == KAFKA_KEY_COLUMNS {
        return Err(Unreadable::new(format!("its key has more than {KAFKA_KEY_COLUMNS} members"))
            .remedy("let the producer write fewer columns into the key, or no key"));
    }
    names.push(name);
    Ok(())
}
