//! Several workers, each with a chain of its own. Batches are dealt out in turn and collected in the same turn, so that they
//! leave in the order in which they came, whichever is faster.
//!
//! A swap is dealt out in the same queues between the same two batches, so that it takes over at one boundary for all
//! workers. The first batch in order that fails is the error; nothing behind it is delivered.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use super::hub::Sinks;
use sluicegate_model::{
    Result,
    change::{Batch, Item, Mark, MarkKind, TableName},
    limits::WORKER_QUEUE_BATCHES,
};
use sluicegate_plugin_host::{Chain, KnownTables};

/// The queues to the workers.
pub(super) struct Workers {
    queues: Vec<SyncSender<Job>>,
    /// Whose turn it is.
    turn: usize,
    known: Arc<KnownTables>,
}

/// What a worker does next.
enum Job {
    Batch(Batch),
    Mark(Box<Mark>),
    Swap(Box<Chain>, SyncSender<Chain>),
    /// Forgets the plans of these tables, and lets go of the sender: everything before it is done.
    Rest(SyncSender<Infallible>, Box<[TableName]>),
}

/// A worker's thread.
pub(super) struct Applier {
    chain: Chain,
    jobs: Receiver<Job>,
    done: SyncSender<Result<Item>>,
}

/// The thread that puts the workers' batches in order again.
pub(super) struct Collector {
    done: Vec<Receiver<Result<Item>>>,
    to_sinks: Sinks,
}

/// A worker for each chain, and the collector behind them.
pub(super) fn workers(chains: Vec<Chain>, known: Arc<KnownTables>, to_sinks: Sinks) -> (Workers, Vec<Applier>, Collector) {
    let (mut queues, mut appliers, mut all_done) = (Vec::new(), Vec::new(), Vec::new());
    for chain in chains {
        let (queue, jobs) = sync_channel(WORKER_QUEUE_BATCHES);
        let (done, collected) = sync_channel(WORKER_QUEUE_BATCHES);
        queues.push(queue);
        appliers.push(Applier { chain, jobs, done });
        all_done.push(collected);
    }
    (Workers { queues, turn: 0, known }, appliers, Collector { done: all_done, to_sinks })
}

impl Workers {
    /// Hands a batch to the worker whose turn it is; `false` when that one has ended.
    pub fn pass(&mut self, batch: Batch) -> bool {
        // noted here and not when a worker plans them: a swap plans what stands before it in the stream
        let others = batch.tables.iter().filter(|rows| self.known.add(&rows.table)).count();
        if others > 0 {
            // what plugins do to columns is judged by the version before, which another worker may still have to plan
            self.rest(&[]);
        }
        self.give(Job::Batch(batch))
    }

    /// Hands a mark to the worker whose turn it is; `false` when that one has ended.
    pub fn mark(&mut self, mut mark: Mark) -> Result<bool> {
        if let MarkKind::Renamed(renamed) = &mark.kind {
            // before any worker has something from behind it, and after all have planned what stands before it
            self.rest(&[]);
            let names = self.known.treatments().rename(renamed)?;
            self.rest(&names);
            mark.kind = MarkKind::Heartbeat;
        }
        Ok(self.give(Job::Mark(Box::new(mark))))
    }

    fn give(&mut self, job: Job) -> bool {
        let sent = self.queues[self.turn].send(job).is_ok();
        self.turn = (self.turn + 1) % self.queues.len();
        sent
    }

    /// Waits until the workers have done what they have. They forget the plans of these tables.
    fn rest(&self, forgotten: &[TableName]) {
        let (working, done) = sync_channel::<Infallible>(1);
        for queue in &self.queues {
            // one that has ended has nothing left to do
            let _ = queue.send(Job::Rest(working.clone(), forgotten.into()));
        }
        drop(working);
        // an error once the last of them has let go
        let _ = done.recv();
    }

    /// Gives each worker a new chain, behind the batches that it has; `false` when one has ended.
    pub fn swap(&mut self, chains: Vec<Chain>, retired: &SyncSender<Chain>) -> bool {
        self.queues.iter().zip(chains).all(|(queue, chain)| queue.send(Job::Swap(Box::new(chain), retired.clone())).is_ok())
    }
}

impl Applier {
    /// Works until its queue is closed or a batch fails. The failure goes to the collector, which knows what came before it.
    pub fn run(mut self) -> Result<()> {
        for job in self.jobs {
            let done = match job {
                Job::Batch(batch) => self.chain.apply(batch).map(Item::Rows),
                Job::Mark(mark) => self.chain.mark(*mark).map(Item::Mark),
                Job::Rest(working, tables) => {
                    self.chain.forget(&tables);
                    drop(working);
                    continue;
                }
                Job::Swap(chain, retired) => {
                    // there is room; when nobody waits for it any more it is dropped here
                    let _ = retired.try_send(std::mem::replace(&mut self.chain, *chain));
                    continue;
                }
            };
            let failed = done.is_err();
            if self.done.send(done).is_err() || failed {
                break;
            }
        }
        Ok(())
    }
}

impl Collector {
    /// Hands on what the workers have done, in turn, until the first failure or the end.
    pub fn run(self) -> Result<()> {
        loop {
            for done in &self.done {
                // a worker that has ended has nothing for its turn: nothing comes behind it either
                let Ok(item) = done.recv() else { return Ok(()) };
                let item = item?;
                if let Item::Rows(batch) = &item {
                    tracing::trace!(number = batch.number, taken = batch.taken, "batch passed");
                }
                if !self.to_sinks.send(&Arc::new(item)) {
                    return Ok(());
                }
            }
        }
    }
}
