//! This program's flat JSON.

use std::borrow::Cow;

use super::{
    inferred,
    json_text::{Json, Members},
    record::{Reading, Record, Row},
    temporal,
    unreadable::Unreadable,
    version::{Image, Name, Versions, too_many_members},
};
use sluicegate_format::{FlatMember, flat_member};
use sluicegate_model::{change::Operation, limits::KAFKA_COLUMNS};

fn not_flat(what: &str) -> Unreadable {
    Unreadable::new(format!("it is no flat record: {what}"))
        .remedy("leave topics of other records (heartbeats, schema changes) out with `!NAME` in `topics`, or set another `format`")
}

pub(super) fn read<'a>(
    record: Members<'a>,
    key: &[Cow<'a, str>],
    reading: Reading,
    versions: &mut Versions,
) -> Result<Record<'a>, Unreadable> {
    let (mut operation, mut database, mut schema, mut table, mut time) = (None, None, None, None, None);
    let mut image = Image::new();
    for member in record {
        let (name, value) = member?;
        match flat_member(&name) {
            FlatMember::Column(column) => {
                if image.len() == KAFKA_COLUMNS {
                    return Err(too_many_members());
                }
                let column = if column.len() == name.len() { name } else { Cow::Owned(column.to_owned()) };
                image.push((column, value));
            }
            FlatMember::Own(own) => {
                let place = match own {
                    "op" => &mut operation,
                    "database" => &mut database,
                    "schema" => &mut schema,
                    "table" => &mut table,
                    "ts" => &mut time,
                    // headers stand beside a row, and the places are those of another log
                    _ => continue,
                };
                let Json::String(text) = value else { return Err(not_flat("one of its fields is no string")) };
                if place.replace(text).is_some() {
                    return Err(not_flat("it has two members of one name"));
                }
            }
        }
    }
    let operation = operation.ok_or_else(|| not_flat("it has no `_op`"))?;
    let (Some(database), Some(table)) = (database, table) else { return Err(not_flat("it has no `_database` and `_table`")) };
    let name = Name { database, schema, table };
    // a time that is none must not become that of the record
    let time_us = time.map(|time| temporal::micros(&time).ok_or_else(|| not_flat("its `_ts` is no instant"))).transpose()?;
    if operation == "t" {
        return Ok(Record::Truncate { name, time_us });
    }
    let operation = sluicegate_format::operation(&operation).ok_or_else(|| not_flat("its `_op` is none of `c`, `u`, `d`, `r` and `t`"))?;
    // a key is named as the column, not as the member
    let version = inferred::version([None, Some(&image)], &name, key, reading.numbers, versions)?;
    let row = version.arrange(image)?;
    let (before, after) = if operation == Operation::Delete { (Some(row), None) } else { (None, Some(row)) };
    Ok(Record::Row(Row { version, operation, before, after, only_key: false, placeholders: false, time_us }))
}
