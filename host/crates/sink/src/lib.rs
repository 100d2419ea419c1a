//! Sinks: where records go.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

pub mod destination;
pub mod key_change;
mod policy;
pub mod route;
mod stdout;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

pub use policy::Policy;
pub use stdout::{StdoutResume, StdoutSink};

use sluicegate_format::Encoder;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Frontier, Mark},
};
use sluicegate_status::{SinkStatus, Status};

/// What a sink has to remember to go on after a restart (a file's name and durable length, say): JSON text that only the
/// sink interprets, kept in the checkpoint beside the frontier that it belongs to.
pub type SinkState = String;

/// A sink that has not begun. A start has two steps, so that nothing is undone that the source cannot give again:
///
/// 1. [`Self::resume`] says what the sink knows of its progress, and changes nothing, also where the sink writes.
/// 2. The source checks that it can give everything from there on. If it cannot, the start ends here.
/// 3. [`Self::begin`] undoes what was written after the checkpoint, if it can, and gives the sink that takes items.
///
/// There is no [`Sink`] before the second step, so nothing can be written before it.
pub trait Resume: Send {
    /// The progress that the sink stores itself, beside what it wrote; `None`: what the checkpoint says counts. Tells early,
    /// without a trace, what stands against a start: a folder that is another one, files that are shorter than they were.
    ///
    /// # Errors
    /// `Sink` or `State`: the place cannot be used, or no longer holds what the checkpoint says.
    fn resume(&mut self) -> Result<Option<Frontier>>;

    /// Begins at `frontier`, from which on the source gives everything: what was written after it is undone, or comes again.
    /// `encoder` makes the records.
    ///
    /// # Errors
    /// As of [`Self::resume`].
    fn begin(self: Box<Self>, frontier: &Frontier, encoder: Encoder) -> Result<Box<dyn Sink>>;
}

/// A sink that has begun. It runs on a thread of its own and may block. The contract:
///
/// - `write` takes the batch's changes in order; it may keep them in a buffer that is bounded in records, bytes and time.
/// - `idle` says that no further item waits: what was written is sent on its way and becomes visible to readers. Durability
///   is not its work. It is called again after [`SINK_IDLE_INTERVAL`](sluicegate_model::limits::SINK_IDLE_INTERVAL) as long as nothing
///   comes and something is not flushed, and has to be cheap when there is nothing to do.
/// - `commit` returns only when every change written so far is durable; those that were set aside are in the dead-letter queue, which
///   the caller syncs. It learns the progress that becomes durable with them: a sink that keeps progress itself stores both together.
///   What it answers is stored, in one transaction with that progress, before `commit` is called again; the next start of the sink
///   gets the last stored state, and its [`Resume::begin`] undoes what was written after it, if it can (then delivery is exactly-once).
/// - A sink that commits between transactions of the source only asks for no commit inside of one (its `urgency` is `Interval`, and it is not
///   ripe). Where the stream leaves it inside of one, [`Sink::abandon`] undoes the part.
/// - An error is final: the pipeline stops, and the checkpoint stays behind what was not durable.
///
/// A sink that keeps its progress itself answers a [`Self::first_state`], which is stored before it gets anything. Readers see what it
/// wrote after `commit`, so it says with [`Self::urgency`] how soon it needs one; the checkpoint's copy of its progress is stored at the
/// pipeline's interval.
pub trait Sink: Send {
    /// Takes a batch. An empty batch is never written.
    fn write(&mut self, batch: &Batch) -> Result<()>;

    /// A batch of which there is nothing to write: its changes were filtered away, or had. Transactions may end in it all the same.
    fn pass(&mut self, _batch: &Batch) -> Result<()> {
        Ok(())
    }

    /// Takes an item without rows, in its place between the batches. Sinks that have nothing to tell of it leave it out.
    fn mark(&mut self, _mark: &Mark) -> Result<()> {
        Ok(())
    }

    /// Lets readers see everything written. There is nothing to do for a sink that keeps nothing back.
    fn idle(&mut self) -> Result<()> {
        Ok(())
    }

    /// How long it may be left alone while nothing comes: then [`Self::idle`] is called. `None` = for ever.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// Makes everything written durable, with `progress`: the lanes that moved since the last commit, each where the sink is in it
    /// when the commit is done.
    fn commit(&mut self, progress: &Frontier) -> Result<SinkState>;

    /// The stream ends here for the sink. Answers whether what was written since the last commit was undone, because it is a part of a
    /// transaction: then nothing is to be committed, and the sink begins anew where the last commit was.
    fn abandon(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Bytes that it keeps until its next `commit`, beside its own buffers: when memory runs short, it is asked to commit before its
    /// interval.
    fn held(&self) -> usize {
        0
    }

    /// What the last `commit` answered is stored in the checkpoint.
    fn stored(&mut self) -> Result<()> {
        Ok(())
    }

    /// Whether the pipeline's interval is enough for a `commit`: one ends what takes a while to be worth it. The end of the stream asks for
    /// one in any case.
    fn is_ripe(&self) -> bool {
        true
    }

    /// The state of a sink that keeps its progress itself.
    fn first_state(&self) -> Result<Option<SinkState>> {
        Ok(None)
    }

    /// How soon it needs a `commit`.
    fn urgency(&self) -> Urgency {
        Urgency::Interval
    }
}

/// How soon a sink needs a `commit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// At the pipeline's interval.
    Interval,
    /// When no further item waits.
    Idle,
    /// Before the next item.
    Now,
}

/// Holds a sink to its contract: after an error nobody knows what is durable (a failed sync may even drop what it could not
/// write), so no later commit may answer that everything is.
pub struct Final<S> {
    sink: S,
    failed: bool,
}

impl<S: Sink + 'static> Final<S> {
    /// The sink, held to it.
    pub fn boxed(sink: S) -> Box<dyn Sink> {
        Box::new(Self { sink, failed: false })
    }

    fn guard<T>(&mut self, act: impl FnOnce(&mut S) -> Result<T>) -> Result<T> {
        if self.failed {
            return Err(Error::new(ErrorKind::Internal, "a sink was used after it had failed"));
        }
        act(&mut self.sink).inspect_err(|_| self.failed = true)
    }
}

impl<S: Sink + 'static> Sink for Final<S> {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        self.guard(|sink| sink.write(batch))
    }

    fn pass(&mut self, batch: &Batch) -> Result<()> {
        self.guard(|sink| sink.pass(batch))
    }

    fn mark(&mut self, mark: &Mark) -> Result<()> {
        self.guard(|sink| sink.mark(mark))
    }

    fn idle(&mut self) -> Result<()> {
        self.guard(S::idle)
    }

    fn patience(&self) -> Option<Duration> {
        self.sink.patience()
    }

    fn commit(&mut self, progress: &Frontier) -> Result<SinkState> {
        self.guard(|sink| sink.commit(progress))
    }

    fn abandon(&mut self) -> Result<bool> {
        self.guard(S::abandon)
    }

    fn held(&self) -> usize {
        self.sink.held()
    }

    fn stored(&mut self) -> Result<()> {
        self.guard(S::stored)
    }

    fn is_ripe(&self) -> bool {
        self.sink.is_ripe()
    }

    fn first_state(&self) -> Result<Option<SinkState>> {
        self.sink.first_state()
    }

    fn urgency(&self) -> Urgency {
        self.sink.urgency()
    }
}

/// A sink's place in the pipeline's numbers.
#[derive(Clone)]
pub struct Numbers {
    status: Arc<Status>,
    index: usize,
}

impl Numbers {
    /// The numbers of the sink at `index` in `status.sinks`.
    pub fn new(status: Arc<Status>, index: usize) -> Result<Self> {
        if index >= status.sinks.len() {
            return Err(Error::new(ErrorKind::Internal, format!("sink {index} has no place in the pipeline's numbers")));
        }
        Ok(Self { status, index })
    }

    /// The numbers.
    pub fn get(&self) -> &SinkStatus {
        &self.status.sinks[self.index] // checked in `new`; the list never changes
    }

    /// Whether the run is over, although this sink could not be ended in time.
    pub fn has_ended(&self) -> bool {
        self.status.ended.load(Ordering::Acquire)
    }

    /// Counts what was written.
    pub fn count(&self, records: usize, bytes: usize) {
        self.get().records.add(records as u64);
        self.get().bytes.add(bytes as u64);
    }
}
