//! The worker that owns the chain: takes batches from the source, passes them through the plugins, hands them to every
//! sink, and lets a new chain take over between two batches, also when no batch comes.

use std::sync::{Arc, PoisonError, mpsc::SyncSender};

use tokio::sync::mpsc;

use crate::{
    Error, ErrorKind, Result,
    change::{Batch, Position},
    plugin::{Chain, Swap},
    service::Status,
};

pub(super) struct Worker {
    pub chain: Chain,
    pub from_source: mpsc::Receiver<Batch>,
    pub swaps: mpsc::Receiver<Swap>,
    pub to_sinks: Vec<SyncSender<Arc<Batch>>>,
    pub status: Arc<Status>,
    /// Number of the next change, and the position before it.
    pub reached: (u64, Option<Position>),
}

enum Next {
    Batch(Option<Batch>),
    Swap(Box<Swap>),
}

impl Worker {
    pub fn run(mut self) -> Result<()> {
        // only to wait on two queues at once; everything else on this thread is synchronous
        let waiting = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|e| Error::new(ErrorKind::Internal, "the plugin thread cannot wait").caused_by(e))?;
        loop {
            let (batches, swaps) = (&mut self.from_source, &mut self.swaps);
            let next = waiting.block_on(async {
                tokio::select! {
                    biased;
                    Some(swap) = swaps.recv() => Next::Swap(Box::new(swap)),
                    batch = batches.recv() => Next::Batch(batch),
                }
            });
            match next {
                Next::Swap(swap) => self.swap(*swap),
                Next::Batch(None) => return Ok(()),
                Next::Batch(Some(batch)) => {
                    if !self.pass(batch)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Passes one batch on; `false` when no sink takes any more (its own error says why).
    fn pass(&mut self, batch: Batch) -> Result<bool> {
        let source = &self.status.source;
        source.changes.add(u64::from(batch.taken));
        source.bytes.add(batch.bytes as u64);
        source.batches.add(1);
        self.reached = (batch.next_sequence(), Some(batch.position.clone()));
        let batch = Arc::new(self.chain.apply(batch)?);
        Ok(self.to_sinks.iter().all(|sink| sink.send(batch.clone()).is_ok()))
    }

    fn swap(&mut self, swap: Swap) {
        let Swap { mut chain, changes, answer } = swap;
        // a table may have come since the new chain was prepared: it is planned before the old chain is let go
        let planned = chain.plan_known();
        if planned.is_ok() {
            self.chain = chain;
            let position = self.reached.1.as_ref().map_or("", |p| &*p.0);
            for change in &changes {
                let version = self.chain.descriptions().nth(change.index).map_or("", |d| &d.version);
                if let Some(numbers) = self.status.plugins.get(change.index) {
                    *numbers.version.write().unwrap_or_else(PoisonError::into_inner) = (version.to_owned(), change.to.to_string());
                    numbers.swaps.add(1);
                }
                tracing::info!(
                    plugin = %change.name, from = %change.from, to = %change.to, version, sequence = self.reached.0, position,
                    "plugin swapped: the new version takes over after this position"
                );
            }
        }
        // the other side is gone only when the pipeline ends
        let _ = answer.send(planned);
    }
}
