//! A tracked table: its columns and key, and the table as it is delivered.

use std::sync::Arc;

use tiberius::ColumnData;

use super::{
    column::{CatalogueColumn, Column, Unusable},
    fault::Fault,
    headers::Headers,
    place::KeyText,
    row::unexpected,
    sql, value,
};
use sluicegate_config::{SqlServerSource, UnknownTypes};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{ColumnInfo, NumberedColumns, Place, Table, TableName},
};

/// One version of a tracked table.
#[derive(Debug)]
pub(super) struct TrackedTable {
    /// Its name in SQL.
    pub(super) quoted: String,
    /// The columns whose values are delivered, in the table's order; with `tracking-only` those of the key, in the key's order.
    pub(super) columns: Vec<Column>,
    /// The key: indices of columns, in the key's order.
    pub(super) key: Vec<usize>,
    /// What stands beside each record.
    pub(super) headers: Headers,
    /// As it is delivered: the columns, then those of the headers.
    pub(super) delivered: Arc<Table>,
    /// Whether the table's changed columns are tracked.
    pub(super) tracks_columns: bool,
    /// When its definition was changed last.
    pub(super) modified: Box<str>,
    /// All its columns by their ids, also those that are not delivered, under its object id; that is 0 where it was not asked for.
    pub(super) numbered: NumberedColumns,
}

impl TrackedTable {
    /// The table `name` with columns of the catalogue.
    ///
    /// # Errors
    /// `Source`: a column cannot be read, or the table has no key.
    pub(super) fn new(
        name: &TableName,
        catalogue: &[CatalogueColumn],
        tracks_columns: bool,
        modified: &str,
        settings: &SqlServerSource,
        row_bytes: usize,
    ) -> Result<Self> {
        let mut columns = Vec::new();
        let mut ordinals = Vec::new();
        for from in catalogue {
            if settings.tracking_only && from.key.is_none() {
                continue;
            }
            match Column::new(from, settings, row_bytes) {
                Ok(column) => {
                    ordinals.push(from.key);
                    columns.push(column);
                }
                Err(Unusable::Skipped) => {}
                Err(fault) => return Err(unusable(name, &from.name, &fault)),
            }
        }
        let mut key: Vec<usize> = (0..columns.len()).filter(|at| ordinals[*at].is_some()).collect();
        key.sort_by_key(|at| ordinals[*at]);
        if key.is_empty() {
            return Err(Error::new(ErrorKind::Source, format!("table {name} has no primary key that the account sees"))
                .remedy("Grant the account SELECT on the table, or leave the table out with `exclude`."));
        }
        if settings.tracking_only {
            columns = key.iter().map(|at| columns[*at].clone()).collect();
            key = (0..columns.len()).collect();
        }
        let headers = Headers::new(settings, &name.table, &columns, catalogue);
        let info = |(at, column): (usize, &Column)| ColumnInfo {
            name: column.name.clone(),
            data_type: column.data_type,
            native_type: column.native.clone(),
            nullable: column.nullable,
            primary_key: key.contains(&at),
            place: Place::Value,
        };
        let mut infos: Vec<ColumnInfo> = columns.iter().enumerate().map(info).collect();
        infos.extend(headers.columns());
        let delivered = Arc::new(Table { name: name.clone(), destination: None, columns: infos });
        let numbered = catalogue.iter().map(|column| (column.id.into(), column.name.clone())).collect();
        let schema = name.schema.as_deref().unwrap_or_default();
        Ok(Self {
            quoted: sql::quoted_table(schema, &name.table),
            columns,
            key,
            headers,
            delivered,
            tracks_columns,
            modified: modified.into(),
            numbered: NumberedColumns { table: 0, columns: numbered },
        })
    }

    /// The columns of the key, in the key's order.
    pub(super) fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().filter_map(|at| self.columns.get(*at))
    }

    /// The key of a row, from its cells, for a place.
    ///
    /// # Errors
    /// Its text is not what the server has: a place would be at another key.
    pub(super) fn key_text(&self, cells: &[ColumnData<'static>]) -> Result<KeyText, Fault> {
        let mut parts: Vec<Box<str>> = Vec::with_capacity(self.key.len());
        for (column, cell) in self.key_columns().zip(cells) {
            let text = value::key_text(column, cell).map_err(|_| unexpected())?;
            if column.replaces && text.contains(char::REPLACEMENT_CHARACTER) {
                let (table, column) = (&self.delivered.name, &column.name);
                return Err(Fault::Final(
                    Error::new(
                        ErrorKind::Source,
                        format!(
                            "table {table}: the key column {column} has text that is no valid Unicode, behind which nothing can be read on"
                        ),
                    )
                    .remedy("Correct the key of that row, or leave the table out with `exclude`."),
                ));
            }
            parts.push(text);
        }
        Ok(parts.into())
    }

    /// Columns of a result that the key takes; no column of a key takes two.
    pub(super) fn key_width(&self) -> usize {
        self.key.len()
    }
}

fn unusable(table: &TableName, column: &str, fault: &Unusable) -> Error {
    match fault {
        Unusable::Key(native) => Error::new(
            ErrorKind::Source,
            format!("table {table}: its key has the column {column} of the type {native}, of which a value cannot be compared"),
        )
        .remedy("Leave the table out with `exclude`, or give it a primary key of other types."),
        Unusable::Unknown(native) => {
            Error::new(ErrorKind::Source, format!("table {table}: the column {column} has the type {native}, which is not known"))
                .remedy("Write `unknown_types: text` or `unknown_types: skip` at the source, or leave the table out with `exclude`.")
        }
        Unusable::Encrypted => Error::new(
            ErrorKind::Source,
            format!("table {table}: the column {column} is encrypted by Always Encrypted, and the server does not have its key"),
        )
        .remedy("Leave the table out with `exclude`, or write `record: tracking-only` at the source to read keys alone."),
        Unusable::Skipped => Error::new(ErrorKind::Internal, format!("table {table}: the column {column} was left out")),
    }
}

/// Whether columns of unknown types are left out of tables.
pub(super) fn skips(settings: &SqlServerSource, columns: &[CatalogueColumn]) -> Vec<String> {
    if settings.unknown_types != UnknownTypes::Skip {
        return Vec::new();
    }
    let skipped = |column: &&CatalogueColumn| Column::new(column, settings, 0) == Err(Unusable::Skipped);
    columns.iter().filter(skipped).map(|column| column.name.clone()).collect()
}
