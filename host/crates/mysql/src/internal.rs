//! What a server keeps for itself in tables and logs with them: sequences, the columns of hash indexes, the limits of versioned rows.
//! Only MariaDB logs any of these; MySQL leaves the hidden columns of functional indexes out of its log.

use mysql_async::{Conn, prelude::Queryable};

use super::{
    column_type as ct,
    connection::Connector,
    table_map::{ColumnMap, TableMap},
};
use sluicegate_model::{Result, change::TableName};

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

/// What the server's catalogue says of a table beside its columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `BASE TABLE`, `SYSTEM VERSIONED`, `SEQUENCE`, …
    pub kind: String,
    /// The declared column that says when a row ended.
    pub row_end: Option<String>,
    /// Indexes that need a hidden column each.
    pub hash_indexes: usize,
}

impl Facts {
    /// Asks for them; `None` when there is no such table.
    pub async fn ask(connector: &Connector, conn: &mut Conn, name: &TableName) -> Result<Option<Self>> {
        let query = "SELECT t.table_type, (SELECT MAX(c.column_name) FROM information_schema.columns c WHERE c.table_schema = t.table_schema \
            AND c.table_name = t.table_name AND c.generation_expression = 'ROW END'), (SELECT COUNT(DISTINCT s.index_name) FROM \
            information_schema.statistics s WHERE s.table_schema = t.table_schema AND s.table_name = t.table_name AND s.index_type = 'HASH' \
            AND s.non_unique = 0 AND COALESCE(t.engine, '') <> 'MEMORY') FROM information_schema.tables t WHERE t.table_schema = ? AND t.table_name = ?";
        let row: Option<(String, Option<String>, usize)> =
            connector.within("query", conn.exec_first(query, (&name.database, &name.table))).await?;
        Ok(row.map(|(kind, row_end, hash_indexes)| Self { kind, row_end, hash_indexes }))
    }
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

/// Whether it is one. Of a sequence that is gone, only its columns are known, which nobody else declares so.
pub fn is_sequence(facts: Option<&Facts>) -> bool {
    facts.is_none_or(|facts| facts.kind == "SEQUENCE")
}

fn may_be_limit(column: &ColumnMap) -> bool {
    column.kind == ct::TIMESTAMP2 && column.meta == 6 && !column.nullable
}

/// Whether a table map with names may have columns that are not the user's.
pub fn may_have_any(map: &TableMap<'_>) -> bool {
    let hash = map.metadata.names.as_ref().and_then(|names| names.last()).is_some_and(|name| name.starts_with(HASH));
    hash || map.columns.iter().filter(|column| may_be_limit(column)).count() >= 2
}

/// Finds them. `declared` are the columns that the catalogue shows, in their order.
pub fn find(map: &TableMap<'_>, facts: Option<&Facts>, declared: &[&str]) -> Internals {
    let names = map.metadata.names.as_deref();
    let is_declared = |name: &[u8]| declared.iter().any(|column| column.as_bytes() == name);
    let mut rest = map.columns.len();
    // hash columns stand last
    let mut unnamed = facts.map_or(0, |facts| facts.hash_indexes);
    while let Some(last) = rest.checked_sub(1) {
        let hidden = match names {
            Some(names) => names[last].starts_with(HASH) && !is_declared(names[last]),
            None => unnamed > 0 && rest > declared.len(),
        };
        if !hidden || map.columns[last].kind != ct::LONGLONG {
            break;
        }
        unnamed = unnamed.saturating_sub(1);
        rest = last;
    }
    // the limits of a table that is versioned without naming them stand before
    let limits = rest.checked_sub(2).filter(|start| map.columns[*start..rest].iter().all(may_be_limit)).is_some_and(|start| match names {
        Some(names) => {
            names[start] == b"row_start" && names[start + 1] == b"row_end" && !(is_declared(names[start]) && is_declared(names[start + 1]))
        }
        None => start == declared.len() && facts.is_some_and(|facts| facts.kind == "SYSTEM VERSIONED" && facts.row_end.is_none()),
    });
    if limits {
        return Internals { hidden: map.columns.len() - rest + 2, row_end: Some(rest - 1) };
    }
    let declared_end = facts.and_then(|facts| facts.row_end.as_deref());
    let row_end = declared_end.and_then(|end| match names {
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

    fn facts(kind: &str, row_end: Option<&str>, hash_indexes: usize) -> Facts {
        Facts { kind: kind.into(), row_end: row_end.map(Into::into), hash_indexes }
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
        assert!(is_sequence(Some(&facts("SEQUENCE", None, 0))));
        assert!(is_sequence(None));
        assert!(!is_sequence(Some(&facts("BASE TABLE", None, 0))));
    }

    #[test]
    fn hidden_columns_are_those_at_the_end_that_the_catalogue_does_not_show() {
        let (int, blob, hash) = (column(ct::LONG, 0, false), column(ct::BLOB, 2, true), column(ct::LONGLONG, 0, true));
        let limit = column(ct::TIMESTAMP2, 6, false);
        let all = vec![int, blob, limit, limit, hash];
        let names = ["id", "b", "row_start", "row_end", "DB_ROW_HASH_1"];
        let versioned = facts("SYSTEM VERSIONED", None, 1);
        let both = Internals { hidden: 3, row_end: Some(3) };
        assert_eq!(find(&map(all.clone(), Some(&names)), Some(&versioned), &["id", "b"]), both);
        assert_eq!(find(&map(all.clone(), None), Some(&versioned), &["id", "b"]), both);
        // the table is gone
        assert_eq!(find(&map(all.clone(), Some(&names)), None, &[]), both);
        // the user's own columns with such names
        assert_eq!(find(&map(all, Some(&names)), Some(&facts("BASE TABLE", None, 0)), &names), Internals::default());
        let hashed = map(vec![int, blob, hash], None);
        assert_eq!(find(&hashed, Some(&facts("BASE TABLE", None, 1)), &["id", "b"]), Internals { hidden: 1, row_end: None });
        // a column that was dropped is none of the server's
        assert_eq!(find(&hashed, Some(&facts("BASE TABLE", None, 0)), &["id", "b"]), Internals::default());
    }

    #[test]
    fn declared_limits_stay_columns() {
        let limit = column(ct::TIMESTAMP2, 6, false);
        let columns = vec![column(ct::LONG, 0, false), limit, limit];
        let names = ["id", "s", "e"];
        let facts = facts("SYSTEM VERSIONED", Some("e"), 0);
        let expected = Internals { hidden: 0, row_end: Some(2) };
        assert_eq!(find(&map(columns.clone(), Some(&names)), Some(&facts), &names), expected);
        assert_eq!(find(&map(columns, None), Some(&facts), &names), expected);
    }
}
