//! The thread of one sink: writes batches, makes them durable at intervals, and only then moves the checkpoint.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError},
    },
    time::{Duration, Instant},
};

use super::{
    gate::Gate,
    reached::{self, Reached},
};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_model::{
    Result,
    budget::Budget,
    change::{Batch, Frontier, Item},
    limits::{ENCODED_BYTES, ENCODED_GROWTH, SINK_IDLE_INTERVAL},
};
use sluicegate_sink::{Sink, SinkState, Urgency};
use sluicegate_status::Status;

/// The queues of all sinks.
pub(super) struct Sinks(pub Vec<SyncSender<Arc<Item>>>);

impl Sinks {
    /// Hands an item to every sink; `false` when one takes no more (its own error says why).
    pub fn send(&self, item: &Arc<Item>) -> bool {
        self.0.iter().all(|sink| sink.send(item.clone()).is_ok())
    }
}

pub(super) struct Delivery {
    pub name: String,
    pub index: usize,
    pub sink: Box<dyn Sink>,
    pub reached: Reached,
    pub checkpoint: Arc<Gate>,
    pub dead_letters: Arc<DeadLetters>,
    pub status: Arc<Status>,
    /// Time between two commits.
    pub interval: Duration,
    pub budget: Arc<Budget>,
    /// What is durable in a sink that keeps its progress itself, and not in the checkpoint yet.
    pub unstored: Option<Unstored>,
}

/// Progress that the checkpoint does not have.
#[derive(Default)]
pub(super) struct Unstored {
    moved: Frontier,
    state: SinkState,
}

/// Bytes that a sink may take for records of the batch beside its buffers, if they are more than every sink may: those of the
/// largest change, since records are given on one by one.
fn encoded(batch: &Batch) -> Option<usize> {
    // a small batch has no large change
    let most = |bytes: usize| Some(bytes.saturating_mul(ENCODED_GROWTH)).filter(|bytes| *bytes > ENCODED_BYTES);
    most(batch.bytes).and_then(|_| most(batch.largest_change()))
}

impl Delivery {
    /// Delivers until the queue is closed; then everything is durable and committed. Or until the run has ended without it,
    /// because one call of the sink took too long: then nothing more is written.
    pub fn run(mut self, items: &Receiver<Arc<Item>>) -> Result<()> {
        let mut delivered = 0;
        let mut due = Instant::now() + self.interval;
        if let Some(state) = self.sink.first_state()? {
            self.checkpoint.commit(&self.name, &Frontier::default(), &state)?;
            self.unstored = Some(Unstored { moved: Frontier::default(), state });
        }
        loop {
            let next = match items.try_recv() {
                Err(TryRecvError::Empty) => {
                    self.sink.idle().map_err(|e| e.context(format_args!("sink `{}`", self.name)))?;
                    if self.sink.urgency() != Urgency::Interval {
                        self.commit(delivered)?;
                    }
                    match self.has_moved() {
                        true => items.recv_timeout(due.saturating_duration_since(Instant::now()).min(SINK_IDLE_INTERVAL)),
                        false => items.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    }
                }
                other => other.map_err(|_| RecvTimeoutError::Disconnected),
            };
            if self.checkpoint.is_closed() {
                return Ok(());
            }
            let ended = match next {
                Ok(item) => {
                    if !self.has_moved() {
                        due = Instant::now() + self.interval;
                    }
                    // readers of another partition or file could be past a mark
                    let apart = self.unstored.is_some() && matches!(&*item, Item::Mark(_));
                    if apart && self.sink.urgency() != Urgency::Interval {
                        self.commit(delivered)?;
                    }
                    self.take(&item).map_err(|e| e.context(format_args!("sink `{}`", self.name)))?;
                    if self.sink.urgency() == Urgency::Now || (apart && self.sink.urgency() != Urgency::Interval) {
                        self.commit(delivered)?;
                    }
                    if let Item::Rows(batch) = &*item {
                        delivered = batch.next_number();
                    }
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            let due_now = ended || Instant::now() >= due || (self.budget.is_waited_for() && self.sink.held() > 0);
            if due_now {
                if self.reached.has_moved() {
                    self.commit(delivered)?;
                }
                self.store()?;
            }
            if ended {
                return Ok(());
            }
        }
    }

    fn take(&mut self, item: &Item) -> Result<()> {
        match item {
            Item::Rows(batch) => self.write(batch)?,
            Item::Mark(mark) if self.reached.had_mark(mark)? => {}
            Item::Mark(mark) => self.sink.mark(mark)?,
        }
        self.reached.pass(item)
    }

    /// Writes what the sink does not have yet.
    fn write(&mut self, batch: &Batch) -> Result<()> {
        if batch.changes.is_empty() {
            return Ok(());
        }
        let had = self.reached.had(batch)?;
        let _records = encoded(batch).map(|bytes| batch.permit.hold(bytes));
        if had.is_empty() {
            return self.sink.write(batch);
        }
        let _copy = batch.permit.hold(batch.bytes);
        let rest = reached::without(batch, &had);
        if rest.changes.is_empty() { Ok(()) } else { self.sink.write(&rest) }
    }

    /// Whether the checkpoint lacks something.
    fn has_moved(&self) -> bool {
        self.reached.has_moved() || self.unstored.as_ref().is_some_and(|unstored| !unstored.moved.is_empty())
    }

    /// Durable first, then the checkpoint: it is never ahead.
    fn commit(&mut self, delivered: u64) -> Result<()> {
        if self.unstored.is_some() {
            self.checkpoint.prepare(&self.name)?;
        }
        let moved = self.reached.take_moved()?;
        let state = self.sink.commit(&moved).map_err(|e| e.context(format_args!("sink `{}`", self.name)))?;
        match &mut self.unstored {
            Some(unstored) => {
                moved.lanes().for_each(|(lane, offset)| unstored.moved.set(lane.clone(), offset.clone()));
                unstored.state = state;
            }
            None => self.store_as(&moved, &state)?,
        }
        if let Some(numbers) = self.status.sinks.get(self.index) {
            numbers.durable.set(delivered);
        }
        Ok(())
    }

    /// Stores what a sink that keeps its progress itself has committed since the last time.
    fn store(&mut self) -> Result<()> {
        let Some(unstored) = self.unstored.as_mut().filter(|unstored| !unstored.moved.is_empty()) else { return Ok(()) };
        let (moved, state) = (std::mem::take(&mut unstored.moved), unstored.state.clone());
        self.store_as(&moved, &state)
    }

    fn store_as(&mut self, moved: &Frontier, state: &str) -> Result<()> {
        self.dead_letters.sync()?;
        self.checkpoint.commit(&self.name, moved, state)?;
        self.sink.stored().map_err(|e| e.context(format_args!("sink `{}`", self.name)))?;
        if let Some(numbers) = self.status.sinks.get(self.index) {
            numbers.checkpoints.add(1);
        }
        Ok(())
    }
}
