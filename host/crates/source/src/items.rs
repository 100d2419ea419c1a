//! What a source hands its items to: a bounded queue, and the budget that batches are counted in.

use std::sync::Arc;

use sluicegate_model::{
    budget::{Budget, Permit},
    change::{Batch, Item},
};
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio_util::sync::CancellationToken;

/// The way to the pipeline. Bounded in items and in bytes; whichever is full holds the source back.
#[derive(Clone, Debug)]
pub struct Items {
    queue: mpsc::Sender<Item>,
    budget: Arc<Budget>,
    /// Held by the reader whose batch comes next. The budget never lets the oldest batch wait, and the pipeline takes them one after the other: a
    /// batch that stands in the queue behind a younger one would hold that one back, and it would hold the queue.
    turn: Arc<Mutex<()>>,
    begun: CancellationToken,
}

/// Nobody takes items any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl Items {
    /// The way into a queue. Each batch takes its size of `budget`, and gives it back when it is dropped.
    pub fn new(queue: mpsc::Sender<Item>, budget: Arc<Budget>) -> Self {
        Self { queue, budget, turn: Arc::default(), begun: CancellationToken::new() }
    }

    /// The source has found its place, and knows what it needs of the time that begins here: whatever is changed from now on is
    /// followed. Until then nobody is told that the pipeline streams.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Cancelled when the source begins.
    pub fn begun(&self) -> CancellationToken {
        self.begun.clone()
    }

    /// Sends an item once there is room for it. Dropped before that, it sends nothing.
    ///
    /// # Errors
    /// Nobody takes it.
    pub async fn send(&self, mut item: Item) -> Result<(), Closed> {
        let Item::Rows(batch) = &mut item else {
            return self.queue.send(item).await.map_err(|_| Closed);
        };
        let _turn = self.turn.lock().await;
        batch.permit = Permit::of(&self.budget, self.budget.acquire(batch.bytes).await);
        self.queue.send(item).await.map_err(|_| Closed)
    }

    /// Waits until there is room for an item of so many bytes, which does not exist yet. Nobody else sends a batch until it is sent or dropped.
    ///
    /// # Errors
    /// Nobody would take it.
    pub async fn reserve(&self, bytes: usize) -> Result<Room<'_>, Closed> {
        let turn = self.turn.lock().await;
        let slot = self.queue.reserve().await.map_err(|_| Closed)?;
        let permit = Permit::of(&self.budget, self.budget.acquire(bytes).await);
        Ok(Room { slot, permit, _turn: turn })
    }

    /// Waits until nobody takes items any more.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }
}

/// Without a budget: for readers that take one batch after the other.
impl From<mpsc::Sender<Item>> for Items {
    fn from(queue: mpsc::Sender<Item>) -> Self {
        Self::new(queue, Budget::unlimited())
    }
}

/// Room for one item.
#[derive(Debug)]
pub struct Room<'a> {
    slot: mpsc::Permit<'a, Item>,
    permit: Permit,
    _turn: MutexGuard<'a, ()>,
}

impl Room<'_> {
    /// Sends the item.
    pub fn send(self, mut item: Item) {
        if let Item::Rows(Batch { permit, bytes, .. }) = &mut item {
            self.permit.measured(*bytes);
            *permit = self.permit;
        }
        self.slot.send(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use sluicegate_model::change::{Lane, Offset};

    fn batch(bytes: usize) -> Batch {
        Batch { bytes, ..Batch::empty(0, Lane::new("a"), Offset::from_json("{}")) }
    }

    /// Each batch takes more memory where it is worked on, until there is none: only the oldest does not wait then.
    #[test]
    fn batches_of_many_readers_come_in_the_order_of_their_age() {
        const READERS: usize = 8;
        const EACH: usize = 400;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
        let (queue, mut batches) = mpsc::channel(2);
        let items = Items::new(queue, Budget::new(1000));
        for reader in 0..READERS {
            let items = items.clone();
            runtime.spawn(async move {
                for number in 0..EACH {
                    let bytes = 100 + number % 7;
                    match (reader + number) % 3 {
                        0 => items.reserve(bytes).await.unwrap().send(Item::Rows(batch(bytes))),
                        _ => items.send(Item::Rows(batch(bytes))).await.unwrap(),
                    }
                }
            });
        }
        drop(items);
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut taken = 0;
            while let Some(item) = batches.blocking_recv() {
                let Item::Rows(batch) = item else { continue };
                drop(batch.permit.hold(1000));
                taken += 1;
            }
            done.send(taken)
        });
        assert_eq!(ended.recv_timeout(Duration::from_secs(60)), Ok(READERS * EACH), "a batch waits for an older one behind it");
    }
}
