//! The thread of one sink: writes batches, makes them durable at intervals, and only then moves the checkpoint.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{
    gate::Gate,
    hub::{Next, Reader},
    reached::{self, Reached},
};
use sluicegate_config::Rate;
use sluicegate_dead_letter::DeadLetters;
use sluicegate_model::{
    Error, Result,
    budget::Budget,
    change::{Batch, Frontier, Item, Mark, MarkKind},
    limits::{ENCODED_BYTES, ENCODED_GROWTH, SINK_IDLE_INTERVAL},
};
use sluicegate_sink::{Sink, SinkState, Urgency};
use sluicegate_source::Pace;
use sluicegate_status::{Standing, Status};

/// How a delivery from one stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The stream has ended, and everything is durable and committed.
    Ended,
    /// The stream goes on without the sink, or the sink wants another one. What was written is committed.
    Left,
    /// The sink has joined the stream of the others.
    Joined,
}

/// What a sink does between two items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It goes on.
    On,
    /// It wants another stream.
    Leave,
    /// It has a place in another stream.
    Joined,
}

/// What a delivery needs beside its sink.
#[derive(Clone)]
pub(super) struct Context {
    pub name: String,
    pub index: usize,
    pub checkpoint: Arc<Gate>,
    pub dead_letters: Arc<DeadLetters>,
    pub status: Arc<Status>,
    /// Time between two commits.
    pub interval: Duration,
    /// How fast the sink takes changes at most, until the run stops.
    pub rate: Rate,
    /// Cancelled when the run stops: what was read is delivered without a pause.
    pub stop: CancellationToken,
}

pub(super) struct Delivery {
    context: Context,
    sink: Box<dyn Sink>,
    pub reached: Reached,
    /// Of the stream that it reads.
    pub budget: Arc<Budget>,
    /// Number of the stream's next change.
    delivered: u64,
    /// Whether an error came from the sink itself.
    failed: bool,
    /// Whether anything was committed since it was last asked.
    committed: bool,
    /// What is durable in a sink that keeps its progress itself, and not in the checkpoint yet.
    unstored: Option<Unstored>,
    pace: Pace,
    /// Until when nothing is taken.
    rests: Option<Instant>,
    /// Bytes that the sink had written when they were counted last.
    written: u64,
}

/// Progress that the checkpoint does not have.
struct Unstored {
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
    pub fn new(context: Context, sink: Box<dyn Sink>, reached: Reached, budget: Arc<Budget>) -> Self {
        let pace = Pace::new(context.rate);
        let (delivered, failed, committed) = (0, false, false);
        let written = context.status.sinks.get(context.index).map_or(0, |numbers| numbers.bytes.get());
        Self { context, sink, reached, budget, delivered, failed, committed, unstored: None, pace, rests: None, written }
    }

    /// Whether it was the sink that failed.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether anything was committed since the last call.
    pub fn take_committed(&mut self) -> bool {
        std::mem::take(&mut self.committed)
    }

    /// Delivers until the stream ends, goes on without the sink, or `turn` says so, which is asked behind each item, and every so often
    /// when none comes. Or until the run has ended without it, because one call of the sink took too long: then nothing more is written.
    pub fn run(&mut self, items: &Reader, every: Option<Duration>, mut turn: impl FnMut(&Reached) -> Result<Turn>) -> Result<Outcome> {
        let mut due = Instant::now() + self.context.interval;
        if let (None, Some(state)) = (&self.unstored, self.sink.first_state()?) {
            self.context.checkpoint.commit(&self.context.name, &Frontier::default(), &state)?;
            self.unstored = Some(Unstored { moved: Frontier::default(), state });
        }
        loop {
            let rest = self.rest();
            let next = match if rest.is_some() { Next::Nothing } else { items.next(Some(Duration::ZERO)) } {
                Next::Nothing => {
                    self.call(|sink| sink.idle())?;
                    if self.sink.urgency() != Urgency::Interval {
                        self.commit()?;
                    }
                    let wait = match self.has_moved() {
                        true if self.sink.is_ripe() => Some(due.saturating_duration_since(Instant::now()).min(SINK_IDLE_INTERVAL)),
                        true => Some(SINK_IDLE_INTERVAL),
                        false => every.into_iter().chain(self.sink.patience()).min(),
                    };
                    match rest {
                        Some(rest) => {
                            std::thread::sleep(wait.map_or(rest, |wait| rest.min(wait)).min(SINK_IDLE_INTERVAL));
                            Next::Nothing
                        }
                        None => items.next(wait),
                    }
                }
                other => other,
            };
            if self.context.checkpoint.is_closed() {
                return Ok(Outcome::Ended);
            }
            let mut ended = match next {
                Next::Item(item) => {
                    if !self.has_moved() {
                        due = Instant::now() + self.context.interval;
                    }
                    // readers of another partition could be past a mark
                    let told = |mark: &Mark| !matches!(mark.kind, MarkKind::TransactionEnds(_));
                    let alone = self.unstored.is_some() && matches!(&*item, Item::Mark(mark) if told(mark));
                    if alone && self.sink.urgency() != Urgency::Interval {
                        self.commit()?;
                    }
                    self.take(&item)?;
                    if self.sink.urgency() == Urgency::Now || (alone && self.sink.urgency() != Urgency::Interval) {
                        self.commit()?;
                    }
                    if let Item::Rows(batch) = &*item {
                        self.delivered = batch.next_number();
                        self.pay(batch.changes.len());
                    }
                    None
                }
                Next::Nothing => None,
                Next::Ended => Some(Outcome::Ended),
                Next::Left => Some(Outcome::Left),
            };
            if ended.is_none() {
                match turn(&self.reached)? {
                    Turn::On => {}
                    Turn::Leave => ended = Some(Outcome::Left),
                    Turn::Joined => return Ok(Outcome::Joined),
                }
            }
            let due_now =
                ended.is_some() || (Instant::now() >= due && self.sink.is_ripe()) || (self.budget.is_waited_for() && self.sink.held() > 0);
            if due_now {
                if ended.is_some() && self.call(|sink| sink.abandon())? {
                    self.reached.forget_moved();
                }
                if self.reached.has_moved() {
                    self.commit()?;
                }
                self.store()?;
            }
            if let Some(outcome) = ended {
                return Ok(outcome);
            }
        }
    }

    /// How much longer nothing is taken, because the sink has a rate.
    fn rest(&mut self) -> Option<Duration> {
        let left = self.rests?.saturating_duration_since(Instant::now());
        if left.is_zero() || self.context.stop.is_cancelled() {
            self.rests = None;
        }
        self.rests.map(|_| left)
    }

    /// Pays for changes, and for what the sink has written since the last time.
    fn pay(&mut self, changes: usize) {
        if self.context.rate == Rate::default() {
            return;
        }
        let written = self.context.status.sinks.get(self.context.index).map_or(0, |numbers| numbers.bytes.get());
        let bytes = usize::try_from(written.saturating_sub(self.written)).unwrap_or(usize::MAX);
        self.written = written;
        let now = Instant::now();
        self.rests = self.pace.after(changes, bytes, now).map(|wait| now + wait);
    }

    /// Has the sink do something; notes that it was the sink that failed.
    fn call<T>(&mut self, act: impl FnOnce(&mut dyn Sink) -> Result<T>) -> Result<T> {
        act(&mut *self.sink).map_err(|e| {
            self.failed = true;
            e.context(format_args!("sink `{}`", self.context.name))
        })
    }

    fn take(&mut self, item: &Item) -> Result<()> {
        let named = |e: Error| e.context(format_args!("sink `{}`", self.context.name));
        match item {
            Item::Rows(batch) => {
                let had = self.reached.had(batch).map_err(named)?;
                self.write(batch, &had)?;
            }
            Item::Mark(mark) if self.reached.had_mark(mark).map_err(named)? => {}
            Item::Mark(mark) => self.call(|sink| sink.mark(mark))?,
        }
        self.reached.pass(item).map_err(|e| e.context(format_args!("sink `{}`", self.context.name)))
    }

    /// Writes what the sink does not have yet.
    fn write(&mut self, batch: &Batch, had: &[Range<usize>]) -> Result<()> {
        if batch.changes.is_empty() {
            return self.call(|sink| sink.pass(batch));
        }
        let _records = encoded(batch).map(|bytes| batch.permit.hold(bytes));
        if had.is_empty() {
            return self.call(|sink| sink.write(batch));
        }
        let _copy = batch.permit.hold(batch.bytes);
        let rest = reached::without(batch, had);
        match rest.changes.is_empty() {
            true => self.call(|sink| sink.pass(&rest)),
            false => self.call(|sink| sink.write(&rest)),
        }
    }

    /// Whether the checkpoint lacks something.
    fn has_moved(&self) -> bool {
        self.reached.has_moved() || self.unstored.as_ref().is_some_and(|unstored| !unstored.moved.is_empty())
    }

    /// Durable first, then the checkpoint: it is never ahead.
    fn commit(&mut self) -> Result<()> {
        if self.unstored.is_some() {
            self.context.checkpoint.prepare(&self.context.name)?;
        }
        let moved = self.reached.take_moved()?;
        let state = self.call(|sink| sink.commit(&moved))?;
        self.committed = true;
        match &mut self.unstored {
            Some(unstored) => {
                moved.lanes().for_each(|(lane, offset)| unstored.moved.set(lane.clone(), offset.clone()));
                unstored.state = state;
            }
            None => self.store_as(&moved, &state)?,
        }
        if let Some(numbers) = self.context.status.sinks.get(self.context.index) {
            // the numbers of another stream say nothing of this one's
            if numbers.apart.standing() == Standing::Together {
                numbers.durable.set(self.delivered);
            }
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
        self.context.dead_letters.sync()?;
        self.context.checkpoint.commit(&self.context.name, moved, state)?;
        self.call(|sink| sink.stored())?;
        if let Some(numbers) = self.context.status.sinks.get(self.context.index) {
            numbers.checkpoints.add(1);
        }
        Ok(())
    }
}
