//! What a row's columns are where no schema says so: what its JSON values are. Only a null says nothing: its column is of the type that
//! it had in the record of the table before, if any.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use super::{
    json_text::Json,
    kind::Kind,
    unreadable::Unreadable,
    version::{Field, Image, Name, Version, Versions},
};
use sluicegate_config::TopicNumbers;

/// The version of a change's rows.
pub(super) fn version(
    images: [Option<&Image<'_>>; 2],
    name: &Name<'_>,
    key: &[Cow<'_, str>],
    numbers: TopicNumbers,
    versions: &mut Versions,
) -> Result<Arc<Version>, Unreadable> {
    let last = versions.last(name).cloned();
    match last {
        Some(last) if last.is_of(name, key) && fits(images, numbers, &last) => Ok(last),
        last => {
            let fields = fields(images, key, numbers, last.as_deref())?;
            versions.of(name, key, &fields)
        }
    }
}

/// Whether [`fields`] would give the columns of a version; most rows are of the version that the row before them had.
fn fits(images: [Option<&Image<'_>>; 2], numbers: TopicNumbers, last: &Version) -> bool {
    let [before, after] = images;
    let (Some(row), other) = (if after.is_some() { (after, before) } else { (before, None) }) else { return false };
    let columns = &last.table.columns;
    if row.len() != columns.len() || other.is_some_and(|other| other.len() != row.len()) {
        return false;
    }
    row.iter().enumerate().zip(columns.iter().zip(&last.kinds)).all(|((at, (name, value)), (column, kind))| {
        let mut seen = Some(Seen::of(value, numbers));
        if let Some((other, value)) = other.and_then(|other| other.get(at)) {
            seen = seen.filter(|_| *other == column.name).and_then(|seen| seen.and(Seen::of(value, numbers)));
        }
        let same = |seen: Seen| seen.kind.is_none_or(|seen| seen == *kind) && column.nullable == (seen.null || !column.primary_key);
        *name == column.name && seen.is_some_and(same)
    })
}

/// The columns of a change's rows, in the order of the later one.
fn fields<'i, 'a>(
    images: [Option<&'i Image<'a>>; 2],
    key: &[Cow<'_, str>],
    numbers: TopicNumbers,
    last: Option<&Version>,
) -> Result<Vec<Field<'a>>, Unreadable> {
    let [before, after] = images;
    let mut columns: Vec<(&'i Cow<'a, str>, Seen)> = Vec::new();
    let mut places: HashMap<&'i str, usize> = HashMap::new();
    for image in [after, before].into_iter().flatten() {
        for (name, value) in image {
            let seen = Seen::of(value, numbers);
            match places.get(&**name).and_then(|at| columns.get_mut(*at)) {
                Some((_, column)) => {
                    *column = column
                        .and(seen)
                        .ok_or_else(|| Unreadable::column(name, "is of one kind before the change and of another one after it"))?;
                }
                None => {
                    places.insert(name, columns.len());
                    columns.push((name, seen));
                }
            }
        }
    }
    let field = |(name, seen): (&Cow<'a, str>, Seen)| {
        // a null says nothing: what the column was before is as good as anything, and no other version of the table
        let before = || last.and_then(|last| last.kind(name));
        let kind = seen.kind.or_else(before).unwrap_or(Kind::Text);
        Field { name: name.clone(), kind, nullable: seen.null || !key.contains(name) }
    };
    Ok(columns.into_iter().map(field).collect())
}

/// What the values of a column are that were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// `None`: nothing but nulls.
    kind: Option<Kind>,
    /// Whether one is less than 0.
    negative: bool,
    /// Whether one is null.
    null: bool,
}

impl Seen {
    fn of(value: &Json<'_>, numbers: TopicNumbers) -> Self {
        let negative = matches!(value, Json::Number(text) if text.starts_with('-'));
        Self { kind: kind(value, numbers), negative, null: *value == Json::Null }
    }

    /// What the values of both are; `None`: they do not go together.
    fn and(self, other: Self) -> Option<Self> {
        let negative = self.negative || other.negative;
        Some(Self { kind: both(self.kind, other.kind, negative).ok()?, negative, null: self.null || other.null })
    }
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
