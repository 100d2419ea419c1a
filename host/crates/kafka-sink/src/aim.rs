//! Records whose bytes depend on the topic that they go to: the format is told before it writes them.

use std::sync::Arc;

use super::{
    KafkaSink,
    key::{Key, Partition, write_key},
    route::Route,
};
use sluicegate_format::Encoder;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change},
};
use sluicegate_sink::{destination, route::Variant};

impl KafkaSink {
    /// Tells the format which topic the row's record goes to, if that matters to it.
    #[inline]
    pub(super) fn aim_at_row(&mut self, batch: &Batch, change: &Change, row: u32, route: &Route) -> Result<()> {
        if self.framing > 0 {
            let topic = self.topic_of(batch, change, row, route)?;
            self.encoder.table(batch, change.table).aim(&topic);
        }
        Ok(())
    }

    /// Whether an update is told as a delete and an insert, because the key, the partition or what a plugin chose is another one. Where
    /// topics follow the operation, that has to be known before one is asked for: else a topic and a subject would be made for an update
    /// that is none.
    pub(super) fn moves(&mut self, batch: &Batch, change: &Change, route: &Route) -> Result<bool> {
        let dangling = || Error::new(ErrorKind::Internal, "a change of a table or an event that the batch does not have");
        let rows = batch.tables.get(change.table as usize).ok_or_else(dangling)?;
        let (one, other) = (&mut self.buffers.key, &mut self.buffers.old_key);
        if route.plan.key != Key::None {
            let whole = route.plan.key == Key::WholeRow;
            self.encoder.bare_key(batch, change.table, change.after, whole, one)?;
            self.encoder.bare_key(batch, change.table, change.before, whole, other)?;
        }
        let mut moves = one != other;
        one.clear();
        other.clear();
        if let Partition::Columns(columns) = &route.plan.partition {
            columns.write(rows, change.after, one);
            columns.write(rows, change.before, other);
            moves |= one != other;
            one.clear();
            other.clear();
        }
        if let (false, Some(column)) = (moves, route.column) {
            let chosen = |row| destination::of_row(rows, column, row).map(|own| own.or(rows.table.destination.as_deref()));
            let (left, entered) = (chosen(change.before)?, chosen(change.after)?);
            if left != entered {
                let (event, _) = batch.event(change).ok_or_else(dangling)?;
                let variant = Variant::of(self.topics.template(), change.operation, event.time_us);
                moves = self.topics.would_be(route.table, left, variant)? != self.topics.would_be(route.table, entered, variant)?;
            }
        }
        Ok(moves)
    }

    /// Writes the keys of both images again, for the topics that a delete and an insert in place of an update go to.
    pub(super) fn write_keys_again(&mut self, batch: &Batch, change: &Change, key: Key, old: &Arc<str>, new: &Arc<str>) -> Result<()> {
        if self.framing == 0 {
            return Ok(());
        }
        self.buffers.old_key.clear();
        self.buffers.key.clear();
        aim(&mut self.encoder, self.framing, batch, change.table, old);
        write_key(&mut self.encoder, key, batch, change.table, change.before, &mut self.buffers.old_key)?;
        aim(&mut self.encoder, self.framing, batch, change.table, new);
        write_key(&mut self.encoder, key, batch, change.table, change.after, &mut self.buffers.key)
    }
}

/// Tells the format which topic the next record goes to, if that matters to it.
#[inline]
pub(super) fn aim(encoder: &mut Encoder, framing: usize, batch: &Batch, table: u32, topic: &Arc<str>) {
    if framing > 0 {
        encoder.table(batch, table).aim(topic);
    }
}
