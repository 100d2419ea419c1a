//! Where the records of a table go, and what identifies them.

use std::sync::Arc;

use super::{
    KafkaSink,
    record::{Place, insert},
    topic::bad_destination,
};
use sluicegate_config::Keyless;
use sluicegate_format::Encoder;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, Place as ColumnPlace, TableRows},
};
use sluicegate_sink::{destination, route::Variant};

/// Our header that tells which plugins made the record.
const VERSIONS: &str = "sluicegate.plugins";

/// How the records of a table are delivered.
#[derive(Clone)]
pub(super) struct Route {
    /// The table's number among those of the topics.
    table: usize,
    target: Target,
    pub key: Key,
    /// The column that holds the rows' own destinations.
    pub column: Option<usize>,
    /// Whether there are header columns.
    headers: bool,
    /// Whether rows of this batch may lack values.
    pub partial: bool,
}

/// Which topic it is.
#[derive(Clone)]
enum Target {
    /// The same for all rows of the batch.
    One(Arc<str>),
    /// None: what a plugin chose for the table is no topic's name.
    None,
    /// That of each row.
    OfRow,
}

/// What the key of a table's records is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Key {
    Primary,
    WholeRow,
    None,
}

impl KafkaSink {
    /// Finds the topics and kinds of key of the batch's tables.
    pub(super) fn route(&mut self, batch: &Batch) -> Result<()> {
        self.routes.clear();
        self.topics.begin();
        for rows in &batch.tables {
            let key = match self.settings.keyless {
                _ if rows.table.has_key() => Key::Primary,
                Keyless::WholeRow => Key::WholeRow,
                Keyless::NoKey => Key::None,
                Keyless::Stop => {
                    return Err(Error::new(
                        ErrorKind::Sink,
                        format!("table {} has no primary key, so its records have no key", rows.table.name),
                    )
                    .remedy("give the table a primary key, set `keyless` to `whole-row` or `no-key`, or leave the table out"));
                }
            };
            let table = &rows.table;
            let number = self.topics.table(&table.name);
            let column = table.destination_column();
            let target = match column {
                None if !self.topics.template().varies() => {
                    let topic = self.topics.topic(number, table.destination.as_deref(), Variant::default())?;
                    topic.map_or(Target::None, Target::One)
                }
                _ => Target::OfRow,
            };
            self.routes.push(Route { table: number, target, key, column, headers: table.has_headers(), partial: rows.may_be_absent() });
        }
        Ok(())
    }

    /// The topic of the row's record.
    pub(super) fn topic_of(&mut self, batch: &Batch, change: &Change, row: u32, route: &Route) -> Result<Arc<str>> {
        let dangling = || Error::new(ErrorKind::Internal, "a change of a table or an event that the batch does not have");
        let rows = batch.tables.get(change.table as usize).ok_or_else(dangling)?;
        let topic = match &route.target {
            Target::One(topic) => Some(topic.clone()),
            Target::None => None,
            Target::OfRow => {
                let own = route.column.map_or(Ok(None), |column| destination::of_row(rows, column, row))?;
                let (event, _) = batch.event(change).ok_or_else(dangling)?;
                let variant = Variant::of(self.topics.template(), change.operation, event.time_us);
                self.topics.topic(route.table, own.or(rows.table.destination.as_deref()), variant)?
            }
        };
        topic.ok_or_else(|| bad_destination(&rows.table.name))
    }

    /// Where the row's record goes, and its headers: those of the table's columns, then the plugins' versions.
    pub(super) fn place(&mut self, batch: &Batch, change: &Change, row: u32, route: &Route) -> Result<Place> {
        let topic = self.topic_of(batch, change, row, route)?;
        let mut headers = None;
        if route.headers {
            self.encoder.headers(batch, change.table, row, |name, value| headers = Some(insert(headers.take(), name, value)))?;
        }
        if self.versions
            && let Some(versions) = &batch.versions
        {
            headers = Some(insert(headers, VERSIONS, versions.as_bytes()));
        }
        Ok(Place { topic, headers })
    }
}

/// A key is made of values that are there.
#[cold]
pub(super) fn check_key(rows: &TableRows, key: Key, row: u32) -> Result<()> {
    let table = &rows.table;
    let absent = match key {
        Key::Primary => rows.first_absent(table.key(), row),
        Key::WholeRow => {
            rows.first_absent((0..table.columns.len()).filter(|column| table.columns[*column].place == ColumnPlace::Value), row)
        }
        Key::None => None,
    };
    match absent.and_then(|column| table.columns.get(column)) {
        None => Ok(()),
        Some(column) => Err(Error::new(
            ErrorKind::Record,
            format!("a record of table {} has no whole key: the source did not send column `{}` with the row", table.name, column.name),
        )
        .remedy("let the source send whole rows (mysql: binlog_row_image = FULL); for a table without a primary key, give it one, or set `keyless: no-key`")),
    }
}

/// Writes the key of a row image.
pub(super) fn write_key(encoder: &mut Encoder, key: Key, batch: &Batch, table: u32, row: u32, out: &mut Vec<u8>) -> Result<()> {
    match key {
        Key::Primary => encoder.key(batch, table, row, out).map(drop),
        Key::WholeRow => encoder.row_key(batch, table, row, out),
        Key::None => Ok(()),
    }
}
