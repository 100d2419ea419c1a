//! What a row's columns are where no schema says so: what its JSON values are. Only a null says nothing: its column is of the type that
//! it had in the record of the table before, if any.

use std::borrow::Cow;

use super::{
    json_text::Json,
    kind::Kind,
    unreadable::Unreadable,
    version::{Field, Image, Version},
};
use sluicegate_config::TopicNumbers;

/// The columns of a change's rows, in the order of the later one.
pub(super) fn fields<'a>(
    images: [Option<&Image<'a>>; 2],
    key: &[Cow<'_, str>],
    numbers: TopicNumbers,
    last: Option<&Version>,
) -> Result<Vec<Field<'a>>, Unreadable> {
    let [before, after] = images;
    let mut fields: Vec<Field<'a>> = Vec::new();
    let mut kinds: Vec<Option<Kind>> = Vec::new();
    let mut negative: Vec<bool> = Vec::new();
    for image in [after, before].into_iter().flatten() {
        // the members of both rows mostly come in the same order
        for (at, (name, value)) in image.iter().enumerate() {
            let same = fields.get(at).is_some_and(|field| field.name == *name);
            let place = if same { Some(at) } else { fields.iter().position(|field| field.name == *name) };
            let kind = kind(value, numbers);
            let below = matches!(value, Json::Number(text) if text.starts_with('-'));
            match place {
                Some(place) => {
                    negative[place] |= below;
                    let both = both(kinds[place], kind, negative[place]);
                    kinds[place] =
                        both.map_err(|()| Unreadable::column(name, "is of one kind before the change and of another one after it"))?;
                    fields[place].nullable |= *value == Json::Null;
                }
                None => {
                    let nullable = *value == Json::Null || !key.contains(name);
                    fields.push(Field { name: name.clone(), kind: Kind::Text, nullable });
                    kinds.push(kind);
                    negative.push(below);
                }
            }
        }
    }
    for (at, (field, kind)) in fields.iter_mut().zip(kinds).enumerate() {
        // a null says nothing: what the column was before is as good as anything, and no other version of the table
        let before = || {
            let last = last?;
            let same = last.table.columns.get(at).is_some_and(|column| column.name == field.name);
            let place = if same { Some(at) } else { last.table.columns.iter().position(|column| column.name == field.name) };
            last.kinds.get(place?).copied()
        };
        field.kind = kind.or_else(before).unwrap_or(Kind::Text);
    }
    Ok(fields)
}

/// What a value is by itself; `None` for null.
fn kind(value: &Json<'_>, numbers: TopicNumbers) -> Option<Kind> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(_) => Kind::Boolean,
        Json::Number(text) => {
            let whole = !text.contains(['.', 'e', 'E']);
            match numbers {
                _ if whole && text.parse::<i64>().is_ok() => Kind::Integer { bits: 64 },
                _ if whole && text.parse::<u64>().is_ok() => Kind::Unsigned,
                TopicNumbers::Double if !whole => Kind::Double,
                TopicNumbers::Decimal | TopicNumbers::Double => Kind::Number,
            }
        }
        Json::String(_) => Kind::Text,
        Json::Object(_) | Json::Array(_) => Kind::Nested,
    })
}

/// What two values of one column are; `negative`: whether one is less than 0.
fn both(one: Option<Kind>, other: Option<Kind>, negative: bool) -> Result<Option<Kind>, ()> {
    let (Some(a), Some(b)) = (one, other) else { return Ok(one.or(other)) };
    let is_number = |kind| matches!(kind, Kind::Integer { .. } | Kind::Unsigned | Kind::Number | Kind::Double);
    Ok(Some(match (a, b) {
        _ if a == b => a,
        _ if !is_number(a) || !is_number(b) => return Err(()),
        (Kind::Double, _) | (_, Kind::Double) => Kind::Double,
        (Kind::Integer { .. } | Kind::Unsigned, Kind::Integer { .. } | Kind::Unsigned) if !negative => Kind::Unsigned,
        _ => Kind::Number,
    }))
}
