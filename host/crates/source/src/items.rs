//! What a source hands its items to: a bounded queue, and the budget that batches are counted in.

use std::sync::Arc;

use sluicegate_model::{
    budget::{Budget, Permit},
    change::{Batch, Item},
};
use tokio::sync::mpsc;

/// The way to the pipeline. Bounded in items and in bytes; whichever is full holds the source back.
#[derive(Clone, Debug)]
pub struct Items {
    queue: mpsc::Sender<Item>,
    budget: Arc<Budget>,
}

/// Nobody takes items any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl Items {
    /// The way into a queue. Each batch takes its size of `budget`, and gives it back when it is dropped.
    pub fn new(queue: mpsc::Sender<Item>, budget: Arc<Budget>) -> Self {
        Self { queue, budget }
    }

    /// Sends an item once there is room for it. Dropped before that, it sends nothing.
    ///
    /// # Errors
    /// Nobody takes it.
    pub async fn send(&self, mut item: Item) -> Result<(), Closed> {
        if let Item::Rows(batch) = &mut item {
            batch.permit = Permit::of(&self.budget, self.budget.acquire(batch.bytes).await);
        }
        self.queue.send(item).await.map_err(|_| Closed)
    }

    /// Waits until there is room for an item of so many bytes, which does not exist yet.
    ///
    /// # Errors
    /// Nobody would take it.
    pub async fn reserve(&self, bytes: usize) -> Result<Room<'_>, Closed> {
        let slot = self.queue.reserve().await.map_err(|_| Closed)?;
        let permit = Permit::of(&self.budget, self.budget.acquire(bytes).await);
        Ok(Room { slot, permit })
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
