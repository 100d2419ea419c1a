//! Debezium's envelope, with or without its schema.

use std::borrow::Cow;

use super::{
    inferred,
    json_text::{self, Json, Malformed, Members},
    record::{Reading, Record, Row},
    unreadable::Unreadable,
    version::{Image, Name, Versions, image},
};
use sluicegate_config::TopicImages;
use sluicegate_model::change::Operation;

/// The connectors that write a placeholder where the database gave no value.
const PLACEHOLDERS: [&str; 2] = [POSTGRESQL, "oracle"];
/// The connector whose rows before a change may lack columns without saying so.
const POSTGRESQL: &str = "postgresql";

/// The members of an envelope that are read.
#[derive(Default)]
struct Envelope<'a> {
    before: Option<Json<'a>>,
    after: Option<Json<'a>>,
    source: Option<Json<'a>>,
    operation: Option<Json<'a>>,
    /// Whether it has two of one name.
    twice: bool,
}

fn no_envelope(what: &str) -> Unreadable {
    Unreadable::new(format!("it is no Debezium envelope: {what}")).remedy(
        "leave topics of other records (heartbeats, schema changes, transactions) out with `!NAME` in `topics`, or set another `format`",
    )
}

impl<'a> Envelope<'a> {
    fn take(&mut self, name: &str, value: Json<'a>) {
        let place = match name {
            "before" => &mut self.before,
            "after" => &mut self.after,
            "source" => &mut self.source,
            "op" => &mut self.operation,
            _ => return,
        };
        self.twice |= place.replace(value).is_some();
    }

    fn read(members: &mut Members<'a>) -> Result<Self, Malformed> {
        let mut envelope = Self::default();
        while let Some(name) = members.name() {
            envelope.take(&name?, members.value()?);
        }
        Ok(envelope)
    }
}

/// The text of the schema, if there is one, and the envelope, which may stand in a member of its own beside it. The record is passed
/// over once, and its schema not at all where it is the one that came last.
fn unwrapped<'a>(mut record: Members<'a>, last_schema: &str) -> Result<(Option<&'a str>, Envelope<'a>), Malformed> {
    let (mut schema, mut payload, mut others) = (None, None, false);
    let mut envelope = Envelope::default();
    while let Some(name) = record.name() {
        match &*name? {
            "schema" => schema = Some(record.value_like(last_schema)?),
            "payload" => {
                payload = match record.object()? {
                    Some(mut members) => {
                        let inner = Envelope::read(&mut members)?;
                        record.behind(members)?;
                        Some(inner)
                    }
                    None => record.value().map(|_| None)?,
                }
            }
            name => {
                others = true;
                envelope.take(name, record.value()?);
            }
        }
    }
    Ok(match (schema, payload) {
        (Some(Json::Object(schema)), Some(payload)) if !others => (Some(schema), payload),
        (Some(Json::Null) | None, Some(payload)) if !others => (None, payload),
        _ => (None, envelope),
    })
}

/// Where a change comes from.
#[derive(Default)]
struct Source<'a> {
    database: Option<Cow<'a, str>>,
    schema: Option<Cow<'a, str>>,
    table: Option<Cow<'a, str>>,
    connector: Option<Cow<'a, str>>,
    millis: Option<i64>,
    micros: Option<i64>,
}

impl<'a> Source<'a> {
    fn read(text: &'a str) -> Result<Self, Unreadable> {
        let mut source = Self::default();
        for member in json_text::members(text) {
            let (name, value) = member?;
            match (&*name, value) {
                ("db", Json::String(text)) => source.database = Some(text),
                ("schema", Json::String(text)) => source.schema = Some(text),
                ("table", Json::String(text)) => source.table = Some(text),
                ("connector", Json::String(text)) => source.connector = Some(text),
                // a time that is none must not become that of the record
                ("ts_ms", Json::Number(text)) => source.millis = Some(text.parse().map_err(|_| no_time())?),
                ("ts_us", Json::Number(text)) => source.micros = Some(text.parse().map_err(|_| no_time())?),
                _ => {}
            }
        }
        Ok(source)
    }
}

fn no_time() -> Unreadable {
    no_envelope("its `source` has a time that is none")
}

pub(super) fn read<'a>(
    record: Members<'a>,
    key: &[Cow<'a, str>],
    reading: Reading,
    versions: &mut Versions,
) -> Result<Record<'a>, Unreadable> {
    let (schema, envelope) = unwrapped(record, versions.last_schema())?;
    if envelope.twice {
        return Err(no_envelope("it has two members of one name"));
    }
    let Some(Json::String(operation)) = envelope.operation else { return Err(no_envelope("it has no `op`")) };
    let Some(Json::Object(source)) = envelope.source else { return Err(no_envelope("it has no `source`")) };
    let source = Source::read(source)?;
    let (Some(database), Some(table)) = (source.database, source.table) else {
        return Err(no_envelope("its `source` names no database and table"));
    };
    let name = Name { database, schema: source.schema, table };
    let millis = source.millis.map(|millis| millis.checked_mul(1000).ok_or_else(no_time)).transpose()?;
    let time_us = source.micros.or(millis);
    if operation == "t" {
        return Ok(Record::Truncate { name, time_us });
    }
    let operation =
        sluicegate_format::operation(&operation).ok_or_else(|| no_envelope("its `op` is none of `c`, `u`, `d`, `r` and `t`"))?;
    if source.connector.as_deref() == Some(POSTGRESQL)
        && reading.images == TopicImages::Whole
        && !reading.images_chosen
        && matches!(operation, Operation::Update | Operation::Delete)
        && matches!(envelope.before, Some(Json::Object(_)))
    {
        return Err(may_lack_columns());
    }
    let row = |value: Option<Json<'a>>| match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Object(text)) => image(text).map(Some),
        Some(_) => Err(no_envelope("its `before` or `after` is no object")),
    };
    let (before, after) = (row(envelope.before)?, row(envelope.after)?);
    let only_key = reading.images == TopicImages::Deletes;
    let (before, after) = match operation {
        Operation::Insert | Operation::Snapshot => (None, Some(after.ok_or_else(|| no_envelope("it has no `after`"))?)),
        // whether all of it is there is not known
        Operation::Update if only_key => (None, Some(after.ok_or_else(|| no_envelope("it has no `after`"))?)),
        Operation::Update => (Some(before.ok_or_else(lacks_before)?), Some(after.ok_or_else(|| no_envelope("it has no `after`"))?)),
        Operation::Delete => (Some(before.ok_or_else(lacks_before)?), None),
    };
    let version = match schema {
        Some(schema) => versions.described(&name, key, schema)?,
        None => inferred::version([before.as_ref(), after.as_ref()], &name, key, reading.numbers, versions)?,
    };
    let arranged = |image: Option<Image<'a>>| image.map(|image| version.arrange(image)).transpose();
    let (before, after) = (arranged(before)?, arranged(after)?);
    let placeholders = source.connector.is_some_and(|connector| PLACEHOLDERS.contains(&&*connector));
    let only_key = only_key && operation == Operation::Delete && version.table.has_key();
    Ok(Record::Row(Row { version, operation, before, after, only_key, placeholders, time_us }))
}

fn may_lack_columns() -> Unreadable {
    Unreadable::new(
        "it is of PostgreSQL's connector, whose rows before a change hold null or zero outside the key unless the table has REPLICA IDENTITY FULL",
    )
    .remedy(
        "set `before_images` in the source: `deletes`, so that only the key of deleted rows is used, or `whole` if all tables have REPLICA IDENTITY FULL",
    )
}

fn lacks_before() -> Unreadable {
    Unreadable::new("it lacks the row before the change").remedy(
        "let the database log whole rows (PostgreSQL: REPLICA IDENTITY FULL), or set `before_images: deletes` in the source: then only the key of deleted rows is used",
    )
}
