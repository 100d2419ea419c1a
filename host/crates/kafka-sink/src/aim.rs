//! Records whose bytes depend on the topic that they go to: the format is told before it writes them.

use std::sync::Arc;

use super::{KafkaSink, Route, topic::bad_destination};
use sluicegate_format::Encoder;
use sluicegate_model::{Error, ErrorKind, Result, change::Batch};
use sluicegate_sink::destination;

impl KafkaSink {
    /// The topic of the row's record.
    pub(super) fn topic_of(&mut self, batch: &Batch, table: u32, row: u32, route: &Route) -> Result<Arc<str>> {
        let dangling = || Error::new(ErrorKind::Internal, "a change of a table that the batch does not have");
        let rows = batch.tables.get(table as usize).ok_or_else(dangling)?;
        let own = route.column.map_or(Ok(None), |column| destination::of_row(rows, column, row))?;
        let topic = match own {
            Some(own) => self.topics.chosen(own)?,
            None => route.topic.clone(),
        };
        topic.ok_or_else(|| bad_destination(&rows.table.name))
    }

    /// Tells the format which topic the row's record goes to, if that matters to it.
    #[inline]
    pub(super) fn aim_at_row(&mut self, batch: &Batch, table: u32, row: u32, route: &Route) -> Result<()> {
        if self.framing > 0 {
            let topic = self.topic_of(batch, table, row, route)?;
            self.encoder.table(batch, table).aim(&topic);
        }
        Ok(())
    }
}

/// Tells the format which topic the next record goes to, if that matters to it.
#[inline]
pub(super) fn aim(encoder: &mut Encoder, framing: usize, batch: &Batch, table: u32, topic: &Arc<str>) {
    if framing > 0 {
        encoder.table(batch, table).aim(topic);
    }
}
