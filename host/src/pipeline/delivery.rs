//! The thread of one sink: writes batches, makes them durable at intervals, and only then moves the checkpoint.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError},
    },
    time::{Duration, Instant},
};

use crate::{
    Result,
    change::{Batch, Position},
    limits::SINK_IDLE_INTERVAL,
    service::Status,
    sink::{DeadLetters, Sink},
    state::{Checkpoint, Progress},
};

/// The queues of all sinks.
pub(super) struct Sinks(pub Vec<SyncSender<Arc<Batch>>>);

impl Sinks {
    /// Hands a batch to every sink; `false` when one takes no more (its own error says why).
    pub fn send(&self, batch: &Arc<Batch>) -> bool {
        self.0.iter().all(|sink| sink.send(batch.clone()).is_ok())
    }
}

pub(super) struct Delivery {
    pub name: String,
    pub index: usize,
    pub sink: Box<dyn Sink>,
    /// Number of the first change that the sink does not have yet.
    pub sequence: u64,
    pub checkpoint: Arc<Checkpoint>,
    pub dead_letters: Arc<DeadLetters>,
    pub status: Arc<Status>,
    /// Time between two checkpoints.
    pub interval: Duration,
}

impl Delivery {
    /// Delivers until the queue is closed; then everything is durable and checkpointed.
    pub fn run(mut self, batches: &Receiver<Arc<Batch>>) -> Result<()> {
        let mut pending: Option<(u64, Position)> = None;
        let mut due = Instant::now() + self.interval;
        loop {
            let next = match batches.try_recv() {
                Err(TryRecvError::Empty) => {
                    self.sink.idle().map_err(|e| e.context(format_args!("sink `{}`", self.name)))?;
                    match &pending {
                        Some(_) => batches.recv_timeout(due.saturating_duration_since(Instant::now()).min(SINK_IDLE_INTERVAL)),
                        None => batches.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    }
                }
                other => other.map_err(|_| RecvTimeoutError::Disconnected),
            };
            let ended = match next {
                Ok(batch) => {
                    if pending.is_none() {
                        due = Instant::now() + self.interval;
                    }
                    self.write(&batch).map_err(|e| e.context(format_args!("sink `{}`", self.name)))?;
                    // what this sink already had before a restart comes with positions older than its own: passed over
                    if batch.next_sequence() >= self.sequence {
                        pending = Some((batch.next_sequence(), batch.position.clone()));
                    }
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if let Some((sequence, position)) = pending.take_if(|_| ended || Instant::now() >= due) {
                self.commit(sequence, position)?;
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Writes what the sink does not have yet: after a restart it may be ahead of another sink.
    fn write(&mut self, batch: &Arc<Batch>) -> Result<()> {
        if batch.changes.is_empty() || batch.next_sequence() <= self.sequence {
            return Ok(());
        }
        if batch.sequence >= self.sequence {
            return self.sink.write(batch);
        }
        let had = self.sequence - batch.sequence;
        let mut rest = Batch::clone(batch);
        rest.changes.retain(|c| u64::from(c.offset) >= had);
        if rest.changes.is_empty() { Ok(()) } else { self.sink.write(&rest) }
    }

    /// Durable first, then the checkpoint: it is never ahead.
    fn commit(&mut self, sequence: u64, position: Position) -> Result<()> {
        let state = self.sink.flush().map_err(|e| e.context(format_args!("sink `{}`", self.name)))?;
        self.dead_letters.sync()?;
        self.checkpoint.commit(&self.name, &Progress { sequence, position, state })?;
        self.sequence = sequence;
        if let Some(numbers) = self.status.sinks.get(self.index) {
            numbers.checkpoints.add(1);
            numbers.durable.set(sequence);
        }
        Ok(())
    }
}
