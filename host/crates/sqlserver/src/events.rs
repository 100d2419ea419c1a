//! Events: a table, a schema or the whole source has been read to its end for now. Each event is a log line, a metric and a mark; with
//! `events: true` also a row of a table of its own, which outputs get as they get every other row.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{fault::Fault, tracked_lane::TrackedLane, visit::Visitor};
use sluicegate_config::SqlServerSource;
use sluicegate_model::{
    change::{
        Batch, Change, Column, ColumnInfo, DataType, Drained, Event, Image, MarkKind, NO_IMAGE, NativeType, Operation, Place, Table,
        TableName, TableRows, Transaction, Values,
    },
    json, now_us,
};

/// The schema and the name of the table whose rows events are.
const NAME: [&str; 2] = ["sluicegate", "events"];

/// The table whose rows events are.
pub(super) fn table(database: &str) -> Table {
    let column = |name: &str, data_type, primary_key| ColumnInfo {
        name: name.into(),
        data_type,
        native_type: NativeType::default(),
        nullable: data_type == DataType::Json,
        primary_key,
        place: Place::Value,
    };
    Table {
        name: TableName { database: database.into(), schema: Some(NAME[0].into()), table: NAME[1].into() },
        destination: None,
        columns: vec![
            column("event", DataType::Text, true),
            column("schema", DataType::Text, true),
            column("table", DataType::Text, true),
            column("tables", DataType::Json, false),
            column("changes", DataType::Int64, false),
        ],
    }
}

/// What has been read to its end, and how many changes and rows it had since the last time.
pub(super) struct Told {
    pub(super) drained: Drained,
    pub(super) changes: u64,
}

impl Told {
    fn name(&self) -> &'static str {
        match self.drained {
            Drained::Table(_) => "table-finished",
            Drained::Schema { .. } => "schema-finished",
            Drained::Everything => "no-more-data",
        }
    }
}

/// Whether everything has been read: what all databases of a source share.
#[derive(Debug)]
pub(super) struct Rest {
    delay: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Databases that have something to read.
    working: BTreeSet<Arc<str>>,
    /// Since when there has been none.
    since: Option<Instant>,
    /// Changes and rows that were read since it was told.
    news: u64,
    /// Whether it was told in this run.
    told: bool,
}

impl Rest {
    /// `working`: databases with tables, of which it is not known yet what they have.
    pub(super) fn new(settings: &SqlServerSource, working: impl Iterator<Item = Arc<str>>) -> Self {
        let state = State { working: working.collect(), ..State::default() };
        Self { delay: settings.no_more_data_delay, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // a panic elsewhere leaves it whole
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes or rows were read.
    pub(super) fn note_news(&self, number: u64) {
        self.state().news += number;
    }

    /// A database has something to read.
    pub(super) fn work(&self, database: &Arc<str>) {
        let mut state = self.state();
        state.working.insert(database.clone());
        state.since = None;
    }

    /// A database has nothing to read. When that is to be told, if none has.
    pub(super) fn rest(&self, database: &Arc<str>) -> Option<Instant> {
        let mut state = self.state();
        state.working.remove(database);
        if !state.working.is_empty() || (state.told && state.news == 0) {
            return None;
        }
        Some(*state.since.get_or_insert_with(Instant::now) + self.delay)
    }

    /// Whether it is to be told now that everything is at rest: how many changes and rows were read since the last time.
    pub(super) fn take(&self) -> Option<u64> {
        let mut state = self.state();
        if !state.working.is_empty() || (state.told && state.news == 0) {
            return None;
        }
        state.told = true;
        Some(std::mem::take(&mut state.news))
    }
}

impl Visitor {
    /// Tells an event of a lane's table, of its schema or of everything.
    pub(super) async fn tell(&self, lane: &mut TrackedLane, told: Told) -> Result<(), Fault> {
        let source = &self.status.source;
        match &told.drained {
            Drained::Table(table) => {
                tracing::debug!(%table, changes = told.changes, "table finished");
                source.finished_tables.add(1);
            }
            Drained::Schema { database, schema, .. } => {
                tracing::debug!(database, schema, changes = told.changes, "schema finished");
                source.finished_schemas.add(1);
            }
            Drained::Everything => {
                tracing::info!(changes = told.changes, "no more data");
                source.no_more_data.add(1);
            }
        }
        if !self.settings.events {
            return Ok(());
        }
        // before the row: whoever has the row has what came before it
        self.mark(lane, MarkKind::Drained(told.drained.clone())).await?;
        // one version is one pointer
        let table = self.events.get_or_init(|| table(&lane.name.database).into());
        let batch = row(table, lane, &told);
        self.give(lane, batch).await
    }
}

/// A batch with the row of an event.
fn row(table: &Arc<Table>, lane: &TrackedLane, told: &Told) -> Batch {
    let mut rows = TableRows::new(table.clone());
    let text = |column: &mut Column, text: Option<&[u8]>| match (&mut column.values, text) {
        (Values::Text(strings), Some(text)) => strings.push(text),
        _ => column.push_null(),
    };
    // texts of a key are never null: what an event is not about is empty
    let (schema, name, tables) = match &told.drained {
        Drained::Table(table) => (table.schema.as_deref().unwrap_or_default(), table.table.as_str(), None),
        Drained::Schema { schema, tables, .. } => (schema.as_str(), "", Some(list(tables))),
        Drained::Everything => ("", "", None),
    };
    let texts = [Some(told.name().as_bytes()), Some(schema.as_bytes()), Some(name.as_bytes()), tables.as_deref()];
    for (column, value) in rows.columns.iter_mut().zip(texts) {
        text(column, value);
    }
    if let Some(Values::Int64(values)) = rows.columns.last_mut().map(|column| &mut column.values) {
        values.push(told.changes.cast_signed());
    }
    rows.images.push(Image::After as u8);
    let version = lane.place.version.cast_unsigned();
    let mut batch = Batch::empty(0, lane.lane.clone(), lane.offset());
    batch.transactions.push(Transaction { position: version, complete: true, ..Transaction::default() });
    batch.events.push(Event { position: version, time_us: now_us(), ..Event::default() });
    batch.changes.push(Change { table: 0, before: NO_IMAGE, after: 0, operation: Operation::Insert, event: 0, row: 0 });
    batch.taken = 1;
    batch.tables = vec![rows];
    batch.bytes = batch.measure();
    batch
}

/// Names as a JSON list.
fn list(names: &[String]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::string(name.as_bytes(), &mut out);
    }
    out.push(b']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(working: &[&str]) -> Rest {
        let state = State { working: working.iter().map(|name| Arc::from(*name)).collect(), ..State::default() };
        Rest { delay: Duration::ZERO, state: Mutex::new(state) }
    }

    #[test]
    fn a25_no_more_data_is_told_once_and_again_after_new_data() {
        let (rest, a) = (rest(&["a"]), Arc::from("a"));
        rest.note_news(5);
        assert_eq!(rest.take(), None, "it is not read to its end");
        assert!(rest.rest(&a).is_some());
        assert_eq!(rest.take(), Some(5));
        assert_eq!(rest.rest(&a), None);
        assert_eq!(rest.take(), None);
        rest.work(&a);
        rest.rest(&a);
        assert_eq!(rest.take(), None, "it was looked at, and had nothing");
        rest.work(&a);
        rest.note_news(1);
        rest.note_news(2);
        assert_eq!(rest.take(), None);
        assert!(rest.rest(&a).is_some());
        assert_eq!(rest.take(), Some(3));
    }

    #[test]
    fn a25_no_more_data_is_told_by_the_last_of_several_databases() {
        let (rest, a, b) = (rest(&["a", "b"]), Arc::from("a"), Arc::from("b"));
        assert_eq!(rest.rest(&a), None);
        assert_eq!(rest.take(), None);
        assert!(rest.rest(&b).is_some());
        assert_eq!(rest.take(), Some(0));
        assert_eq!(rest.take(), None);
    }
}
