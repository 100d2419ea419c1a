//! The table map event: which columns the rows that follow have.
//!
//! Layout: "Table_map_event" in `rows_event.h` of the MySQL server. With `binlog_row_metadata = FULL` the optional part holds
//! all that is needed to read a row; otherwise the server's catalogue has to fill in.

use super::{
    column_type as ct,
    cursor::{Cursor, Fault},
    position::Flavour,
};

/// A column as the table map has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnMap {
    /// Column type; ENUM and SET, which travel as STRING, are already told apart.
    pub kind: u8,
    /// The type's metadata: a length in bytes, precision and scale (`precision << 8 | scale`), fraction digits, or bits.
    pub meta: u16,
    /// Whether it may be NULL.
    pub nullable: bool,
}

impl ColumnMap {
    /// Whether the optional metadata has a sign for it. YEAR counts.
    pub fn is_numeric(&self) -> bool {
        matches!(self.kind, ct::TINY | ct::SHORT | ct::INT24 | ct::LONG | ct::LONGLONG | ct::NEWDECIMAL | ct::FLOAT | ct::DOUBLE | ct::YEAR)
    }

    /// Whether the optional metadata has a collation for it.
    pub fn is_character(&self) -> bool {
        matches!(self.kind, ct::STRING | ct::VAR_STRING | ct::VARCHAR | ct::VARCHAR_COMPRESSED | ct::BLOB_COMPRESSED)
            || (ct::TINY_BLOB..=ct::BLOB).contains(&self.kind)
    }

    /// Whether MariaDB's optional metadata has a collation for it: geometries are blobs there.
    fn is_character_of_mariadb(&self) -> bool {
        self.is_character() || self.kind == ct::GEOMETRY
    }

    /// Whether it has labels.
    pub fn is_labelled(&self) -> bool {
        matches!(self.kind, ct::ENUM | ct::SET)
    }
}

/// What the optional metadata says, one entry for each column unless stated otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// Whether the column is unsigned; missing when the event does not say.
    pub unsigned: Option<Vec<bool>>,
    /// Number of the column's collation.
    pub collations: Vec<Option<u64>>,
    /// Names; missing when the event does not say.
    pub names: Option<Vec<&'a [u8]>>,
    /// Labels of ENUM and SET, in the column's character set.
    pub labels: Vec<Option<Vec<&'a [u8]>>>,
    /// Indices of the primary key's columns.
    pub primary_key: Vec<usize>,
}

/// A parsed table map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMap<'a> {
    /// Columns.
    pub columns: Vec<ColumnMap>,
    /// Optional metadata.
    pub metadata: Metadata<'a>,
}

/// The first part of a table map, enough to know whether the table is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The number that rows events refer to.
    pub id: u64,
    /// Database.
    pub database: &'a str,
    /// Table.
    pub table: &'a str,
    /// What follows the names; the same bytes mean the same version of the table.
    pub body: &'a [u8],
}

/// Reads id and names.
pub fn head(event: &[u8]) -> Result<Head<'_>, Fault> {
    let mut cursor = Cursor(event);
    let id = cursor.uint(6)?;
    cursor.u16()?;
    let mut name = || -> Result<&str, Fault> {
        let length = usize::from(cursor.u8()?);
        let name = cursor.take(length)?;
        cursor.u8()?;
        std::str::from_utf8(name).map_err(|_| Fault::Invalid("a name that is not UTF-8"))
    };
    let (database, table) = (name()?, name()?);
    Ok(Head { id, database, table, body: cursor.0 })
}

/// Reads the columns, as a server of this flavour logs them.
pub fn parse(body: &[u8], flavour: Flavour) -> Result<TableMap<'_>, Fault> {
    let mut cursor = Cursor(body);
    let count = cursor.lenenc()? as usize;
    let kinds = cursor.take(count)?;
    let mut metas = Cursor(cursor.lenenc_bytes()?);
    let nulls = cursor.take(count.div_ceil(8))?;
    let mut columns = Vec::with_capacity(count);
    for (i, kind) in kinds.iter().enumerate() {
        let (kind, meta) = column(*kind, &mut metas)?;
        columns.push(ColumnMap { kind, meta, nullable: nulls[i / 8] >> (i % 8) & 1 == 1 });
    }
    let metadata = optional(cursor, &columns, flavour)?;
    Ok(TableMap { columns, metadata })
}

/// A column's real type and metadata.
fn column(kind: u8, metas: &mut Cursor<'_>) -> Result<(u8, u16), Fault> {
    Ok(match kind {
        ct::FLOAT
        | ct::DOUBLE
        | ct::GEOMETRY
        | ct::JSON
        | ct::VECTOR
        | ct::BLOB_COMPRESSED
        | ct::TIME2
        | ct::DATETIME2
        | ct::TIMESTAMP2 => (kind, u16::from(metas.u8()?)),
        ct::TINY_BLOB..=ct::BLOB => (kind, u16::from(metas.u8()?)),
        ct::VARCHAR | ct::VAR_STRING | ct::VARCHAR_COMPRESSED => (kind, metas.u16()?),
        ct::BIT => {
            let (bits, bytes) = (metas.u8()?, metas.u8()?);
            (kind, u16::from(bytes) * 8 + u16::from(bits))
        }
        ct::NEWDECIMAL => (kind, u16::from_be_bytes([metas.u8()?, metas.u8()?])),
        ct::STRING | ct::ENUM | ct::SET => {
            // the two upper bits of a length above 255 are hidden, inverted, in the type
            let (first, second) = (metas.u8()?, metas.u8()?);
            if first & 0x30 == 0x30 {
                (first, u16::from(second))
            } else {
                (first | 0x30, u16::from(second) | u16::from((first & 0x30) ^ 0x30) << 4)
            }
        }
        _ => (kind, 0),
    })
}

fn optional<'a>(mut cursor: Cursor<'a>, columns: &[ColumnMap], flavour: Flavour) -> Result<Metadata<'a>, Fault> {
    let mut metadata = Metadata { collations: vec![None; columns.len()], labels: vec![None; columns.len()], ..Metadata::default() };
    let is_character: Of = match flavour {
        Flavour::MySql => ColumnMap::is_character,
        Flavour::MariaDb => ColumnMap::is_character_of_mariadb,
    };
    while !cursor.is_empty() {
        let kind = cursor.u8()?;
        let mut field = Cursor(cursor.lenenc_bytes()?);
        match kind {
            1 => metadata.unsigned = Some(signs(field, columns)?),
            2 => default_collations(field, columns, is_character, &mut metadata.collations)?,
            3 => all_collations(field, columns, is_character, &mut metadata.collations)?,
            4 => {
                let names = columns.iter().map(|_| field.lenenc_bytes()).collect::<Result<_, _>>()?;
                metadata.names = Some(names);
            }
            5 => labels(field, columns, ct::SET, &mut metadata.labels)?,
            6 => labels(field, columns, ct::ENUM, &mut metadata.labels)?,
            8 | 9 => {
                while !field.is_empty() {
                    let index = field.lenenc()? as usize;
                    if kind == 9 {
                        field.lenenc()?;
                    }
                    if index >= columns.len() {
                        return Err(Fault::Invalid("a key column that does not exist"));
                    }
                    metadata.primary_key.push(index);
                }
            }
            10 => default_collations(field, columns, ColumnMap::is_labelled, &mut metadata.collations)?,
            11 => all_collations(field, columns, ColumnMap::is_labelled, &mut metadata.collations)?,
            // geometry types, visibility, vector dimensions, and what later servers add
            _ => {}
        }
    }
    Ok(metadata)
}

/// One bit for each numeric column, most significant first.
fn signs(field: Cursor<'_>, columns: &[ColumnMap]) -> Result<Vec<bool>, Fault> {
    let mut bit = 0;
    let mut unsigned = Vec::with_capacity(columns.len());
    for column in columns {
        unsigned.push(if column.is_numeric() {
            let byte = field.0.get(bit / 8).ok_or(Fault::Truncated)?;
            bit += 1;
            byte >> (7 - (bit - 1) % 8) & 1 == 1
        } else {
            false
        });
    }
    Ok(unsigned)
}

type Of = fn(&ColumnMap) -> bool;

/// A default and the exceptions, as pairs of (index among the columns concerned, collation).
fn default_collations(mut field: Cursor<'_>, columns: &[ColumnMap], of: Of, collations: &mut [Option<u64>]) -> Result<(), Fault> {
    let default = field.lenenc()?;
    let concerned: Vec<usize> = (0..columns.len()).filter(|i| of(&columns[*i])).collect();
    concerned.iter().for_each(|i| collations[*i] = Some(default));
    while !field.is_empty() {
        let (index, collation) = (field.lenenc()? as usize, field.lenenc()?);
        let column = *concerned.get(index).ok_or(Fault::Invalid("a collation of a column that does not exist"))?;
        collations[column] = Some(collation);
    }
    Ok(())
}

fn all_collations(mut field: Cursor<'_>, columns: &[ColumnMap], of: Of, collations: &mut [Option<u64>]) -> Result<(), Fault> {
    for (column, collation) in columns.iter().zip(collations) {
        if of(column) {
            *collation = Some(field.lenenc()?);
        }
    }
    Ok(())
}

fn labels<'a>(mut field: Cursor<'a>, columns: &[ColumnMap], kind: u8, labels: &mut [Option<Vec<&'a [u8]>>]) -> Result<(), Fault> {
    for (column, labels) in columns.iter().zip(labels) {
        if column.kind == kind {
            let count = field.lenenc()?;
            let mut of_column = Vec::new();
            for _ in 0..count {
                of_column.push(field.lenenc_bytes()?);
            }
            *labels = Some(of_column);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Logged by MariaDB 10.11 for `v (a int primary key, b int as (a+1) virtual, c int as (a+2) stored, y year, u bigint unsigned)`.
    const LOGGED: &[u8] = &[
        0x12, 0, 0, 0, 0, 0, 1, 0, 4, b's', b'h', b'o', b'p', 0, 1, b'v', 0, 5, 3, 3, 3, 13, 8, 0, 0x1e, 1, 1, 0x18, 4, 10, 1, b'a', 1,
        b'b', 1, b'c', 1, b'y', 1, b'u', 8, 1, 0,
    ];

    #[test]
    fn a_logged_table_map_is_read_whole() {
        let head = head(LOGGED).unwrap();
        assert_eq!((head.id, head.database, head.table), (0x12, "shop", "v"));
        let map = parse(head.body, Flavour::MariaDb).unwrap();
        assert_eq!(map.columns.iter().map(|c| c.kind).collect::<Vec<_>>(), [ct::LONG, ct::LONG, ct::LONG, ct::YEAR, ct::LONGLONG]);
        assert_eq!(map.columns.iter().map(|c| c.nullable).collect::<Vec<_>>(), [false, true, true, true, true]);
        assert_eq!(map.metadata.unsigned.unwrap(), [false, false, false, true, true]);
        assert_eq!(map.metadata.names.unwrap(), [b"a", b"b", b"c", b"y", b"u"]);
        assert_eq!(map.metadata.primary_key, [0]);
    }

    #[test]
    fn geometries_count_as_text_in_mariadbs_metadata_and_not_in_mysqls() {
        // (a varchar in latin1, p point, b varchar in utf8mb3): MariaDB lists three collations, MySQL two
        let columns =
            [(ct::VARCHAR, 10), (ct::GEOMETRY, 4), (ct::VARCHAR, 30)].map(|(kind, meta)| ColumnMap { kind, meta, nullable: true });
        for (flavour, logged, geometry) in [(Flavour::MariaDb, &[3, 3, 8, 63, 33][..], Some(63)), (Flavour::MySql, &[3, 2, 8, 33], None)] {
            let metadata = optional(Cursor(logged), &columns, flavour).unwrap();
            assert_eq!(metadata.collations, [Some(8), geometry, Some(33)]);
        }
        // a default, and the exception of the last column
        for (flavour, logged) in [(Flavour::MariaDb, [2, 3, 8, 2, 33]), (Flavour::MySql, [2, 3, 8, 1, 33])] {
            let metadata = optional(Cursor(&logged), &columns, flavour).unwrap();
            assert_eq!((metadata.collations[0], metadata.collations[2]), (Some(8), Some(33)));
        }
    }

    #[test]
    fn long_char_columns_hide_their_length_in_the_type() {
        let mut metas = Cursor(&[0xee, 0xfc, 0xf7, 2, 0xfe, 255]);
        assert_eq!(column(ct::STRING, &mut metas).unwrap(), (ct::STRING, 508));
        assert_eq!(column(ct::STRING, &mut metas).unwrap(), (ct::ENUM, 2));
        assert_eq!(column(ct::STRING, &mut metas).unwrap(), (ct::STRING, 255));
    }

    proptest! {
        #[test]
        fn a_cut_or_garbled_table_map_never_panics(cut in 0..LOGGED.len(), at in 0..LOGGED.len(), byte: u8) {
            for bytes in [LOGGED[..cut].to_vec(), { let mut b = LOGGED.to_vec(); b[at] = byte; b }] {
                if let Ok(head) = head(&bytes) {
                    let _ = parse(head.body, Flavour::MariaDb);
                }
            }
        }

        #[test]
        fn any_bytes_end_in_a_table_map_or_an_error(bytes: Vec<u8>) {
            let _ = head(&bytes);
            let _ = parse(&bytes, Flavour::MySql);
            let _ = parse(&bytes, Flavour::MariaDb);
        }
    }
}
