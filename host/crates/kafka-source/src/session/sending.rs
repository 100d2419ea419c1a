//! Sends items, and what happens while nobody takes them.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::{End, LOOK, Session, Setup, internal};
use sluicegate_model::{
    Error, ErrorKind,
    change::{Item, Mark, MarkKind},
};

/// How long an item waits to be taken before a member of a group looks what the group decides. Then it reads nothing, and what was
/// fetched before is fetched again.
const HELD_UP: Duration = Duration::from_millis(500);

impl Session {
    /// Sends a mark with the partition's place.
    pub(crate) fn mark(&mut self, at: usize, kind: MarkKind) -> Result<(), End> {
        let Some(partition) = self.partitions.get(at) else { return Ok(()) };
        self.send(Item::Mark(Mark { lane: partition.lane.clone(), offset: partition.offset(), kind }))?;
        self.has_sent(at);
        Ok(())
    }

    fn send(&self, item: Item) -> Result<(), End> {
        self.wait(async { self.setup.out.send(item).await.map_err(|_| End::Stopped) })
    }

    /// Waits for what is wanted. A member of a group takes part in it meanwhile, or it would count as gone, and the others would wait.
    fn wait<T>(&self, wanted: impl Future<Output = Result<T, End>>) -> Result<T, End> {
        let Setup { runtime, stop, client, membership, .. } = &self.setup;
        let mut wanted = std::pin::pin!(wanted);
        let mut paused = None;
        let ended = loop {
            let step = if paused.is_some() { LOOK } else { HELD_UP };
            let ended = runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => Some(Err(End::Stopped)),
                    ended = &mut wanted => Some(ended),
                    () = tokio::time::sleep(step), if membership.is_some() => None,
                }
            });
            if let Some(ended) = ended {
                break ended;
            }
            if paused.is_none() {
                let all = client.assignment().map_err(|e| internal(&e))?;
                client.pause(&all).map_err(|e| internal(&e))?;
                tracing::debug!("fetching pauses: nobody takes what was read");
                paused = Some(all);
            }
            if let Err(end) = self.take_part() {
                break Err(end);
            }
        };
        let resumed = paused.map_or(Ok(()), |all| client.resume(&all).map_err(|e| internal(&e).into()));
        ended.and_then(|ended| resumed.map(|()| ended))
    }

    /// Looks what the group decides while no partition is read.
    pub(crate) fn take_part(&self) -> Result<(), End> {
        let client = &self.setup.client;
        match client.poll(Duration::ZERO) {
            None => {}
            Some(Err(error)) => self.trouble(error)?,
            Some(Ok(_)) => {
                let what = "a record came of a partition that was not to be read just now";
                return Err(Error::new(ErrorKind::Internal, what).that_may_pass(true).into());
            }
        }
        if client.context().has_decided() { Err(End::Rebalance) } else { Ok(()) }
    }

    /// Sends the batches of all partitions.
    pub(crate) fn flush(&mut self) -> Result<(), End> {
        (self.waiting, self.since) = ((0, 0), None);
        let mut sent = (0, 0);
        for at in 0..self.partitions.len() {
            let (changes, bytes) = self.send_batch(at)?;
            sent = (sent.0 + changes, sent.1 + bytes);
        }
        self.keep_pace(sent)
    }

    /// Sends the batch of one partition.
    pub(super) fn flush_partition(&mut self, at: usize) -> Result<(), End> {
        let (changes, bytes) = self.partitions.get(at).map_or((0, 0), |partition| partition.assembly.size());
        self.waiting = (self.waiting.0.saturating_sub(changes), self.waiting.1.saturating_sub(bytes));
        if self.waiting.0 == 0 {
            self.since = None;
        }
        let sent = self.send_batch(at)?;
        self.keep_pace(sent)
    }

    /// Sends the batch of a partition, if it has one; answers its changes and bytes.
    fn send_batch(&mut self, at: usize) -> Result<(usize, usize), End> {
        let Some(partition) = self.partitions.get_mut(at).filter(|partition| !partition.assembly.is_empty()) else { return Ok((0, 0)) };
        let batch = partition.assembly.take(&partition.lane, partition.offset(), self.number, &partition.file);
        batch.tables.iter().for_each(|rows| self.topics.gave(&rows.table.name, &partition.topic));
        self.number = batch.next_number();
        let size = (batch.changes.len(), batch.bytes);
        let time = batch.events.last().map_or(0, |event| event.time_us);
        self.send(Item::Rows(batch))?;
        self.has_sent(at);
        self.setup.status.source.see_event(time);
        Ok(size)
    }

    /// Waits as long as the settings say behind so many changes and bytes.
    fn keep_pace(&mut self, (changes, bytes): (usize, usize)) -> Result<(), End> {
        let Some(wait) = self.pace.after(changes, bytes, Instant::now()) else { return Ok(()) };
        self.wait(async {
            tokio::time::sleep(wait).await;
            Ok(())
        })
    }

    fn has_sent(&mut self, at: usize) {
        if let Some(partition) = self.partitions.get_mut(at) {
            partition.sent();
        }
    }
}
