//! The thread between source and sinks: takes batches from the source, lets them pass the plugins, here or on several
//! workers, and lets new chains take over between two batches, also when no batch comes.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{
    gate::Gate,
    hub::Sinks,
    parallel::Workers,
    sample::Sampler,
    swap::{Reached, Swap},
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Item, LaneEvent, Mark, MarkKind},
};
use sluicegate_plugin_host::Chain;
use sluicegate_status::Status;

pub(super) struct Worker {
    pub way: Way,
    pub from_source: mpsc::Receiver<Item>,
    pub swaps: mpsc::Receiver<Swap>,
    pub sampler: Sampler,
    pub status: Arc<Status>,
    pub reached: Reached,
    pub checkpoint: Arc<Gate>,
}

/// Where batches pass the plugins.
pub(super) enum Way {
    /// On this thread, and from here to the sinks.
    Here { chain: Box<Chain>, to_sinks: Sinks },
    /// On threads of their own.
    Workers(Workers),
}

enum Next {
    Item(Option<Item>),
    Swap(Box<Swap>),
}

impl Worker {
    pub fn run(mut self) -> Result<()> {
        // only to wait on two queues at once; everything else on this thread is synchronous
        let waiting = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|e| Error::new(ErrorKind::Internal, "the plugin thread cannot wait").caused_by(e))?;
        loop {
            let (items, swaps) = (&mut self.from_source, &mut self.swaps);
            let next = waiting.block_on(async {
                tokio::select! {
                    biased;
                    Some(swap) = swaps.recv() => Next::Swap(Box::new(swap)),
                    item = items.recv() => Next::Item(item),
                }
            });
            let goes_on = match next {
                Next::Swap(swap) => self.swap(*swap),
                Next::Item(None) => false,
                Next::Item(Some(Item::Rows(batch))) => self.pass(batch)?,
                Next::Item(Some(Item::Mark(mark))) => self.mark(mark)?,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Passes one batch on; `false` when nobody takes any more (an error elsewhere says why).
    fn pass(&mut self, batch: Batch) -> Result<bool> {
        let source = &self.status.source;
        source.changes.add(u64::from(batch.taken));
        source.bytes.add(batch.bytes as u64);
        source.batches.add(1);
        self.reached.pass(batch.next_number(), &batch.lane, &batch.offset);
        self.sampler.see(&batch);
        match &mut self.way {
            Way::Here { chain, to_sinks } => {
                let batch = chain.apply(batch)?;
                tracing::trace!(number = batch.number, taken = batch.taken, "batch passed");
                Ok(to_sinks.send(&Arc::new(Item::Rows(batch))))
            }
            Way::Workers(workers) => Ok(workers.pass(batch)),
        }
    }

    /// Passes a mark on, behind what was passed before. `false` as in [`Self::pass`].
    fn mark(&mut self, mark: Mark) -> Result<bool> {
        if matches!(mark.kind, MarkKind::Lane(LaneEvent::Begins)) {
            // before any sink gets the mark: a crash from now on leaves no sink without the lane's beginning
            self.checkpoint.begin_lane(&mark.lane, &mark.offset)?;
        }
        self.reached.pass(self.reached.number, &mark.lane, &mark.offset);
        match &mut self.way {
            Way::Here { chain, to_sinks } => Ok(to_sinks.send(&Arc::new(Item::Mark(chain.mark(mark)?)))),
            Way::Workers(workers) => workers.mark(mark),
        }
    }

    /// Lets new chains take over after what was passed last. `false` as in [`Self::pass`].
    fn swap(&mut self, mut swap: Swap) -> bool {
        // tables may have come since the chains were prepared: they are planned before the old ones are let go
        let planned = swap.plan_known();
        let mut goes_on = true;
        if planned.is_ok() {
            match &mut self.way {
                Way::Here { chain, .. } => {
                    for new in swap.chains {
                        // there is room; when nobody waits for it any more it is dropped here
                        let _ = swap.retired.try_send(std::mem::replace(&mut **chain, new));
                    }
                }
                Way::Workers(workers) => goes_on = workers.swap(swap.chains, &swap.retired),
            }
        }
        // the other side is gone only when the pipeline ends
        let _ = swap.answer.try_send(planned.map(|()| self.reached.taken()));
        goes_on
    }
}
