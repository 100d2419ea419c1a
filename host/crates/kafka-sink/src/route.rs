//! Where the records of a table go, and what identifies them.

use std::sync::Arc;

use super::{
    KafkaSink,
    headers::Told,
    key::{KeyPlan, Partition},
    record::{Place, insert},
    topic::bad_destination,
};
use sluicegate_config::Field;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change},
};
use sluicegate_sink::{destination, route::Variant};

/// Our header that tells which plugins made the record.
const VERSIONS: &str = "sluicegate.plugins";

/// How the records of a table are delivered.
pub(super) struct Route {
    /// The table's number among those of the topics.
    pub table: usize,
    target: Target,
    pub plan: Arc<KeyPlan>,
    /// The column that holds the rows' own destinations.
    pub column: Option<usize>,
    /// Whether the topic follows the operation.
    pub by_operation: bool,
    /// Whether there are header columns.
    headers: bool,
    /// Whether rows of this batch may lack values.
    pub partial: bool,
}

/// Which topic it is.
enum Target {
    /// The same for all rows of the batch.
    One(Arc<str>),
    /// None: what a plugin chose for the table is no topic's name.
    None,
    /// That of each row.
    OfRow,
}

impl KafkaSink {
    /// Finds the topics and kinds of key of the batch's tables.
    pub(super) fn route(&mut self, batch: &Batch) -> Result<()> {
        self.routes.clear();
        self.topics.begin();
        let by_operation = self.topics.template().has(Field::Operation);
        for rows in &batch.tables {
            let table = &rows.table;
            let plan = self.keys.of(table, &self.settings)?;
            let number = self.topics.table(&table.name);
            let column = table.destination_column();
            let target = match column {
                None if !self.topics.template().varies() => {
                    let topic = self.topics.topic(number, table.destination.as_deref(), Variant::default())?;
                    topic.map_or(Target::None, Target::One)
                }
                _ => Target::OfRow,
            };
            let (headers, partial) = (table.has_headers(), rows.may_be_absent());
            self.routes.push(Arc::new(Route { table: number, target, plan, column, by_operation, headers, partial }));
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

    /// Where the row's record goes, and its headers: those of the table's columns, those of the change, then the plugins' versions.
    pub(super) fn place(&mut self, batch: &Batch, change: &Change, row: u32, route: &Route) -> Result<Place> {
        let dangling = || Error::new(ErrorKind::Internal, "a change of an event that the batch does not have");
        let topic = self.topic_of(batch, change, row, route)?;
        let partition = match &route.plan.partition {
            Partition::Key => None,
            Partition::First => Some(0),
            Partition::Columns(_) => {
                let decides = if row == change.after { &self.buffers.shard } else { &self.buffers.old_shard };
                let partition = self.partitions.of(&self.client, &topic, decides);
                Some(partition?)
            }
        };
        let mut headers = None;
        if route.headers {
            self.encoder.headers(batch, change.table, row, |name, value| headers = Some(insert(headers.take(), name, value)))?;
        }
        if let Some(own) = &mut self.headers {
            let (event, transaction) = batch.event(change).ok_or_else(dangling)?;
            headers =
                own.add(&Told { operation: change.operation.name(), lane: &batch.lane, event, transaction, row: change.row }, headers);
        }
        if self.versions
            && let Some(versions) = &batch.versions
        {
            headers = Some(insert(headers, VERSIONS, versions.as_bytes()));
        }
        Ok(Place { topic, partition, headers })
    }
}
