//! What a server keeps for itself in tables and logs with them: sequences, the columns of hash indexes, the limits of versioned rows.
//! Only MariaDB logs any of these; MySQL leaves the hidden columns of functional indexes out of its log.

use super::{
    column_type as ct,
    schema::{CatalogueColumn, Schema},
    table_map::{ColumnMap, TableMap},
};

/// The columns of a sequence, as MariaDB makes them. From 11.5 on the first four may be of any integer type.
const SEQUENCE: [(&[u8], u8); 8] = [
    (b"next_not_cached_value", ct::LONGLONG),
    (b"minimum_value", ct::LONGLONG),
    (b"maximum_value", ct::LONGLONG),
    (b"start_value", ct::LONGLONG),
    (b"increment", ct::LONGLONG),
    (b"cache_size", ct::LONGLONG),
    (b"cycle_option", ct::TINY),
    (b"cycle_count", ct::LONGLONG),
];
const HASH: &[u8] = b"DB_ROW_HASH_";

/// Columns that are not the user's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Internals {
    /// Columns at the end of a row that no query shows.
    pub hidden: usize,
    /// The column that says when a row of a versioned table ended.
    pub row_end: Option<usize>,
}

/// Whether a table map may be that of a sequence.
pub fn may_be_sequence(map: &TableMap<'_>) -> bool {
    let shape = |(column, (_, kind)): (&ColumnMap, &(&[u8], u8))| {
        !column.nullable
            && (column.kind == *kind || *kind == ct::LONGLONG && matches!(column.kind, ct::TINY | ct::SHORT | ct::INT24 | ct::LONG))
    };
    let named = |names: &Vec<&[u8]>| names.iter().zip(&SEQUENCE).all(|(name, (expected, _))| name == expected);
    map.columns.len() == SEQUENCE.len() && map.columns.iter().zip(&SEQUENCE).all(shape) && map.metadata.names.as_ref().is_none_or(named)
}

/// Whether it is one, by the type that the catalogue gives the table; `None` of one that is gone.
pub fn is_sequence(table_type: Option<&str>) -> Option<bool> {
    table_type.map(|kind| kind == "SEQUENCE")
}

/// The schema of a sequence.
pub(super) fn sequence() -> Schema {
    let column = |(name, kind): &(&[u8], u8)| {
        let data_type = if *kind == ct::TINY { "tinyint" } else { "bigint" };
        CatalogueColumn {
            name: String::from_utf8_lossy(name).into_owned(),
            data_type: data_type.to_owned(),
            column_type: data_type.to_owned(),
            charset: None,
            key: String::new(),
            nullable: Some(false),
            bytes: None,
        }
    };
    Schema::of(SEQUENCE.iter().map(column).collect())
}

/// Whether a schema has the columns of a sequence, which nobody else declares so.
pub(super) fn is_of_sequence(schema: &Schema) -> bool {
    schema.columns.len() == SEQUENCE.len()
        && schema.columns.iter().zip(&SEQUENCE).all(|(column, (name, _))| column.name.as_bytes() == *name)
}

fn may_be_limit(column: &ColumnMap) -> bool {
    column.kind == ct::TIMESTAMP2 && column.meta == 6 && !column.nullable
}

/// Whether the key of a table map with one may hold the end of a versioned row, which the server adds to it.
pub fn may_end_in_key(map: &TableMap<'_>) -> bool {
    let key = &map.metadata.primary_key;
    key.len() > 1 && key.last().and_then(|last| map.columns.get(*last)).is_some_and(may_be_limit)
}

/// Whether a table map with names may have columns that are not the user's.
pub fn may_have_any(map: &TableMap<'_>) -> bool {
    let hash = map.metadata.names.as_ref().and_then(|names| names.last()).is_some_and(|name| name.starts_with(HASH));
    hash || map.columns.iter().filter(|column| may_be_limit(column)).count() >= 2
}

/// Finds them. `declared` are the columns that the catalogue shows, in their order, and `row_end` the one of them that says when a row
/// ended.
pub fn find(map: &TableMap<'_>, declared: &[&str], row_end: Option<&str>) -> Internals {
    let names = map.metadata.names.as_deref();
    let is_declared = |name: &[u8]| declared.iter().any(|column| column.as_bytes() == name);
    let mut rest = map.columns.len();
    // hash columns stand last
    while let Some(last) = rest.checked_sub(1) {
        let hidden = match names {
            Some(names) => names[last].starts_with(HASH) && !is_declared(names[last]),
            None => rest > declared.len(),
        };
        if !hidden || map.columns[last].kind != ct::LONGLONG {
            break;
        }
        rest = last;
    }
    // the limits of a table that is versioned without naming them stand before
    let limits = rest.checked_sub(2).filter(|start| map.columns[*start..rest].iter().all(may_be_limit)).is_some_and(|start| match names {
        Some(names) => {
            names[start] == b"row_start" && names[start + 1] == b"row_end" && !(is_declared(names[start]) && is_declared(names[start + 1]))
        }
        None => start == declared.len(),
    });
    if limits {
        return Internals { hidden: map.columns.len() - rest + 2, row_end: Some(rest - 1) };
    }
    let row_end = row_end.and_then(|end| match names {
        Some(names) => names.iter().position(|name| *name == end.as_bytes()),
        None => declared.iter().position(|name| *name == end),
    });
    Internals { hidden: map.columns.len() - rest, row_end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table_map::Metadata;

    fn column(kind: u8, meta: u16, nullable: bool) -> ColumnMap {
        ColumnMap { kind, meta, nullable }
    }

    fn map<'a>(columns: Vec<ColumnMap>, names: Option<&[&'a str]>) -> TableMap<'a> {
        let names = names.map(|names| names.iter().map(|name| name.as_bytes()).collect());
        TableMap { columns, metadata: Metadata { names, ..Metadata::default() } }
    }

    const NAMES: [&str; 8] = [
        "next_not_cached_value",
        "minimum_value",
        "maximum_value",
        "start_value",
        "increment",
        "cache_size",
        "cycle_option",
        "cycle_count",
    ];

    #[test]
    fn a_sequence_is_known_by_its_columns_and_the_catalogue() {
        let columns: Vec<_> = SEQUENCE.iter().map(|(_, kind)| column(*kind, 0, false)).collect();
        assert!(may_be_sequence(&map(columns.clone(), None)));
        assert!(may_be_sequence(&map(columns.clone(), Some(&NAMES))));
        let mut others = NAMES;
        others[3] = "first_value";
        assert!(!may_be_sequence(&map(columns.clone(), Some(&others))));
        assert!(!may_be_sequence(&map(columns[1..].to_vec(), None)));
        assert_eq!(is_sequence(Some("SEQUENCE")), Some(true));
        assert_eq!(is_sequence(None), None);
        assert_eq!(is_sequence(Some("BASE TABLE")), Some(false));
        assert!(is_of_sequence(&sequence()));
        assert!(!is_of_sequence(&Schema::default()));
    }

    #[test]
    fn hidden_columns_are_those_at_the_end_that_the_catalogue_does_not_show() {
        let (int, blob, hash) = (column(ct::LONG, 0, false), column(ct::BLOB, 2, true), column(ct::LONGLONG, 0, true));
        let limit = column(ct::TIMESTAMP2, 6, false);
        let all = vec![int, blob, limit, limit, hash];
        let names = ["id", "b", "row_start", "row_end", "DB_ROW_HASH_1"];
        let both = Internals { hidden: 3, row_end: Some(3) };
        assert_eq!(find(&map(all.clone(), Some(&names)), &["id", "b"], None), both);
        assert_eq!(find(&map(all.clone(), None), &["id", "b"], None), both);
        // the table is gone
        assert_eq!(find(&map(all.clone(), Some(&names)), &[], None), both);
        // the user's own columns with such names
        assert_eq!(find(&map(all, Some(&names)), &names, None), Internals::default());
        let hashed = map(vec![int, blob, hash], None);
        assert_eq!(find(&hashed, &["id", "b"], None), Internals { hidden: 1, row_end: None });
        // a column of another type is none of the server's
        assert_eq!(find(&map(vec![int, blob, int], None), &["id", "b"], None), Internals::default());
    }

    #[test]
    fn declared_limits_stay_columns() {
        let limit = column(ct::TIMESTAMP2, 6, false);
        let columns = vec![column(ct::LONG, 0, false), limit, limit];
        let names = ["id", "s", "e"];
        let expected = Internals { hidden: 0, row_end: Some(2) };
        assert_eq!(find(&map(columns.clone(), Some(&names)), &names, Some("e")), expected);
        assert_eq!(find(&map(columns, None), &names, Some("e")), expected);
    }
}
