//! A recent batch, kept for the rehearsal of new chains.
//!
//! The chain moves a batch's columns on, so that keeping a batch means copying it. A copy is made when the time spent on
//! copies stays below one part in [`SAMPLE_SHARE`]: a stream that is not busy has its last batch kept always, and at full
//! load the kept one is some milliseconds old.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use sluicegate_model::{change::Batch, limits::SAMPLE_SHARE};

/// Where the kept batch is found.
pub(super) type Samples = Arc<Mutex<Option<Arc<Batch>>>>;

/// The batch that is kept now.
pub(super) fn recent(samples: &Samples) -> Option<Arc<Batch>> {
    // a panic elsewhere leaves the last batch whole
    samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Decides which batches are copied.
pub(super) struct Sampler {
    samples: Option<Samples>,
    /// Larger batches are not kept: single rows of any size.
    most_bytes: usize,
    due: Instant,
}

impl Sampler {
    /// Nothing is copied without a place for it: when nothing can be swapped.
    pub fn new(samples: Option<Samples>, most_bytes: usize) -> Self {
        Self { samples, most_bytes, due: Instant::now() }
    }

    /// Keeps a copy of the batch if it is time.
    pub fn see(&mut self, batch: &Batch) {
        let Some(samples) = &self.samples else { return };
        if batch.changes.is_empty() || batch.bytes > self.most_bytes {
            return;
        }
        let begin = Instant::now();
        if begin < self.due {
            return;
        }
        let copy = Arc::new(batch.clone());
        let before = samples.lock().unwrap_or_else(PoisonError::into_inner).replace(copy);
        // outside of the lock, and part of the cost
        drop(before);
        self.due = begin + begin.elapsed() * SAMPLE_SHARE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::change::{Change, Lane, NO_IMAGE, Offset, Operation};

    fn batch(number: u64, bytes: usize) -> Batch {
        let change = Change { table: 0, before: NO_IMAGE, after: 0, operation: Operation::Insert, event: 0, row: 0 };
        Batch { changes: vec![change], bytes, ..empty(number) }
    }

    fn empty(number: u64) -> Batch {
        Batch::empty(number, Lane::new("binlog"), Offset::from_json("{}"))
    }

    #[test]
    fn the_last_batch_is_kept_unless_it_is_empty_or_huge() {
        let samples = Samples::default();
        let mut sampler = Sampler::new(Some(samples.clone()), 1000);
        let mut see = |batch: &Batch| {
            sampler.due = Instant::now();
            sampler.see(batch);
            recent(&samples).map(|b| b.number)
        };
        assert_eq!(see(&empty(1)), None);
        assert_eq!(see(&batch(2, 10)), Some(2));
        assert_eq!(see(&batch(3, 10)), Some(3));
        assert_eq!(see(&batch(4, 1001)), Some(3));
    }
}
