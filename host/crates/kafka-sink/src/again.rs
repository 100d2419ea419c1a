//! At least once: what the brokers refused is found out by sending it again, change by change.

use std::collections::HashSet;

use rdkafka::producer::Producer as _;

use super::{KafkaSink, Retained, client::Reports, record::Record};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change},
};

impl KafkaSink {
    /// Waits for everything, mends what failed, and forgets the retained batches.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.wait_for_all()?;
        let reports: &Reports = self.client.context();
        let failure = reports.failure().take();
        let retained = std::mem::take(&mut self.retained);
        let set_aside = std::mem::take(&mut self.set_aside);
        self.retained_bytes = 0;
        match failure {
            None => Ok(()),
            Some(failure) => self.send_again(&retained, &set_aside, failure.least),
        }
    }

    /// A refused request takes every record in it down, whichever was at fault, and later ones may have got through. So all
    /// changes since the first that failed are sent again, each by itself: the bad ones are found, nothing else is lost, and
    /// the last record of every key is the right one again.
    fn send_again(&mut self, retained: &[Retained], set_aside: &HashSet<(usize, usize)>, first: usize) -> Result<()> {
        tracing::warn!(batches = retained.len().saturating_sub(first), "records were refused: sending again one by one");
        for (number, Retained { batch, sent, .. }) in retained.iter().enumerate().skip(first) {
            self.route(batch)?;
            for (place, change) in batch.changes.iter().enumerate().take(sent.end).skip(sent.start) {
                if !set_aside.contains(&(number, place)) {
                    self.send_alone(batch, change)?;
                }
            }
        }
        Ok(())
    }

    /// Sends one change and waits for its records, or sets it aside. Everything before it has to be settled.
    ///
    /// Of several records, the one with the least room in its topic goes first: when the brokers refuse it, nothing of the change
    /// has been delivered. A delete and the insert that follows differ in key or topic, so that the order of no key changes.
    pub(super) fn send_alone(&mut self, batch: &Batch, change: &Change) -> Result<()> {
        match self.try_alone(batch, change) {
            Err(error) if error.kind() == ErrorKind::Record => self.set_change_aside(error, batch, change),
            other => other,
        }
    }

    fn try_alone(&mut self, batch: &Batch, change: &Change) -> Result<()> {
        let records = self.encode(batch, change)?.list(&self.buffers);
        self.check_client(&records)?;
        let mut records: Vec<Record<'_>> = records.into_iter().flatten().collect();
        if records.len() > 1 {
            let (client, sizes) = (&self.client, &mut self.sizes);
            let room = |record: &Record<'_>| sizes.of_topic(client, &record.topic) as i64 - record.size_in_batch() as i64;
            let rooms: Vec<i64> = records.iter().map(room).collect();
            let least = (0..records.len()).min_by_key(|at| rooms[*at]).unwrap_or_default();
            records[..=least].rotate_right(1);
        }
        for (delivered, record) in records.into_iter().enumerate() {
            let topic = record.topic.clone();
            let sent = self.send(record, 0);
            self.wait_for_all()?;
            let reports: &Reports = self.client.context();
            let failure = reports.failure().take();
            let outcome = sent.and_then(|()| match failure {
                Some(failure) => Err(self.fault(failure.code, &failure.topic)),
                None => Ok(()),
            });
            match outcome {
                Err(error) if delivered > 0 && error.kind() == ErrorKind::Record => {
                    let table = batch.tables.get(change.table as usize).map(|rows| rows.table.name.to_string()).unwrap_or_default();
                    let what = format!("a change of table {table} is delivered in part: a record of it was refused for topic `{topic}`");
                    return Err(Error::new(ErrorKind::Sink, what)
                        .caused_by(error)
                        .remedy("raise the topic's `max.message.bytes`, then start again: the change is sent again, whole"));
                }
                other => other?,
            }
        }
        Ok(())
    }
}
