//! Records whose bytes depend on the topic that they go to: the format is told before it writes them.

use std::sync::Arc;

use super::{
    KafkaSink,
    key::{Key, write_key},
    route::Route,
};
use sluicegate_format::Encoder;
use sluicegate_model::{
    Result,
    change::{Batch, Change},
};

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
