//! What identifies the records of a table, and what decides their partition: found out once for a table version.

use std::{collections::HashMap, sync::Arc};

use sluicegate_config::{KafkaSink as Settings, KeyColumns, Keyless, PartitionBy};
use sluicegate_format::{Encoder, PartitionKey};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Place, Table, TableRows},
    limits::ENCODER_PLANS,
};

/// What the key of a table's records is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Key {
    /// That of the encoder: the primary key, or the columns that the settings name.
    Columns,
    WholeRow,
    None,
}

/// What decides the partition of a table's records.
pub(super) enum Partition {
    /// librdkafka, by their key.
    Key,
    /// All go to the first.
    First,
    Columns(PartitionKey),
}

/// What is constant for a table version.
pub(super) struct KeyPlan {
    pub key: Key,
    pub partition: Partition,
    /// Whether a record without a value may follow a delete: its key stands for one row only.
    pub tombstones: bool,
    /// Columns of a key that was chosen and may hold NULL.
    nullable: Vec<usize>,
    /// Columns that the key is made of.
    columns: Vec<usize>,
    /// Columns that decide the partition.
    partition_columns: Vec<usize>,
}

/// The plans of the table versions seen so far.
#[derive(Default)]
pub(super) struct KeyPlans {
    /// By the table's address, which stays taken while it is held here.
    by_address: HashMap<usize, (Arc<Table>, Arc<KeyPlan>)>,
}

impl KeyPlans {
    /// The plan of a table version.
    ///
    /// # Errors
    /// `Sink`: it has no primary key and needs one, or it lacks a column that the settings name.
    pub(super) fn of(&mut self, table: &Arc<Table>, settings: &Settings) -> Result<Arc<KeyPlan>> {
        let address = Arc::as_ptr(table) as usize;
        if let Some((_, plan)) = self.by_address.get(&address) {
            return Ok(plan.clone());
        }
        let plan = Arc::new(KeyPlan::new(table, settings)?);
        if self.by_address.len() >= ENCODER_PLANS {
            self.by_address.clear();
        }
        self.by_address.insert(address, (table.clone(), plan.clone()));
        Ok(plan)
    }
}

impl KeyPlan {
    /// # Errors
    /// As of [`KeyPlans::of`].
    pub(super) fn new(table: &Table, settings: &Settings) -> Result<Self> {
        let (mut columns, mut nullable, mut unique) = (Vec::new(), Vec::new(), true);
        let key = match settings.keys.key(&table.name) {
            KeyColumns::Columns(names) => {
                columns = found(table, names, "key")?;
                nullable = columns.iter().copied().filter(|column| table.columns[*column].nullable).collect();
                unique = table.has_key() && table.key().all(|column| columns.contains(&column));
                Key::Columns
            }
            KeyColumns::None => Key::None,
            KeyColumns::Primary if table.has_key() => {
                columns = table.key().collect();
                Key::Columns
            }
            KeyColumns::Primary => match settings.keyless {
                Keyless::WholeRow => {
                    columns = (0..table.columns.len()).filter(|column| table.columns[*column].place == Place::Value).collect();
                    Key::WholeRow
                }
                Keyless::NoKey => Key::None,
                Keyless::Stop => {
                    let what = format!("table {} has no primary key, so its records have no key", table.name);
                    return Err(Error::new(ErrorKind::Sink, what)
                        .remedy("give the table a primary key, set `keyless` to `whole-row` or `no-key`, or leave the table out"));
                }
            },
        };
        let mut partition_columns = Vec::new();
        let partition = match settings.keys.partition_by(&table.name) {
            PartitionBy::Columns(names) => {
                partition_columns = found(table, names, "partition_by")?;
                Partition::Columns(PartitionKey::new(table, &partition_columns))
            }
            // one partition, so that the order is kept
            PartitionBy::Key if key == Key::None => Partition::First,
            PartitionBy::Key => Partition::Key,
            PartitionBy::One => Partition::First,
        };
        let tombstones = settings.tombstones && key != Key::None && unique;
        Ok(Self { key, partition, tombstones, nullable, columns, partition_columns })
    }

    /// Checks that key and partition of a row are made of values. `partial`: whether some may be absent.
    ///
    /// # Errors
    /// `Record`: one of them is not there, or is NULL in a key.
    #[inline]
    pub(super) fn check(&self, rows: &TableRows, row: u32, partial: bool) -> Result<()> {
        if partial {
            if let Some(column) = rows.first_absent(self.columns.iter().copied(), row) {
                return Err(absent(&rows.table, column, "whole key"));
            }
            if let Some(column) = rows.first_absent(self.partition_columns.iter().copied(), row) {
                return Err(absent(&rows.table, column, "partition"));
            }
        }
        match self.nullable.iter().find(|column| rows.columns.get(**column).is_some_and(|values| values.nulls.get(row as usize))) {
            None => Ok(()),
            Some(column) => Err(null(&rows.table, *column)),
        }
    }

    /// Columns of the key that may be NULL, with their table.
    pub(super) fn nullable(&self, table: &Table) -> impl Iterator<Item = String> {
        self.nullable.iter().filter_map(|column| table.columns.get(*column)).map(|column| format!("{}.{}", table.name, column.name))
    }

    /// Columns that a record cannot do without, each once, with their names.
    pub(super) fn needs<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = (usize, &'a str)> {
        let partition = self.partition_columns.iter().filter(|column| !self.columns.contains(column));
        self.columns.iter().chain(partition).filter_map(|column| Some((*column, table.columns.get(*column)?.name.as_str())))
    }

    /// Whether [`Self::check`] has anything to find in a batch.
    pub(super) fn may_lack(&self, partial: bool) -> bool {
        partial || !self.nullable.is_empty()
    }
}

/// The columns of these names that stand in records.
fn found(table: &Table, names: &[String], setting: &str) -> Result<Vec<usize>> {
    let index = |name: &String| {
        let found = table.columns.iter().position(|column| column.place == Place::Value && column.name == *name);
        found.ok_or_else(|| {
            Error::new(ErrorKind::Sink, format!("table {} has no column `{name}`, which the sink's `{setting}` names", table.name))
                .remedy(format!("correct `{setting}` (names are those that are delivered), or say something else of the table in `per_table`; then start again: nothing is lost"))
        })
    };
    names.iter().map(index).collect()
}

#[cold]
fn absent(table: &Table, column: usize, what: &str) -> Error {
    let column = table.columns.get(column).map(|column| column.name.as_str()).unwrap_or_default();
    Error::new(
        ErrorKind::Record,
        format!("a record of table {} has no {what}: the source did not send column `{column}` with the row", table.name),
    )
    .remedy("make `key` and `partition_by` of columns of the primary key, which every row has; or let the source send whole rows (mysql: binlog_row_image = FULL; sqlserver cannot); for a table without a primary key, give it one, or set `keyless: no-key`")
}

#[cold]
fn null(table: &Table, column: usize) -> Error {
    let column = table.columns.get(column).map(|column| column.name.as_str()).unwrap_or_default();
    Error::new(ErrorKind::Record, format!("a record of table {} has no key: its column `{column}` is NULL", table.name))
        .remedy("make the key of columns that are never NULL, or set `on_error`")
}

/// Writes the key of a row image.
pub(super) fn write_key(encoder: &mut Encoder, key: Key, batch: &Batch, table: u32, row: u32, out: &mut Vec<u8>) -> Result<()> {
    match key {
        Key::Columns => encoder.key(batch, table, row, out).map(drop),
        Key::WholeRow => encoder.row_key(batch, table, row, out),
        Key::None => Ok(()),
    }
}
