//! What a source that is a member of a consumer group shares with the sink that commits its offsets.
//!
//! The offsets stand in the sink's transactions, with the group's generation (KIP-447): a member whose partitions were given to another
//! one can commit nothing any more. The brokers check the generation, not who has which partition; so once partitions were given back
//! before everything of them was committed, or were lost, the membership ends here, and nothing is committed under a later generation.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{Offset as KafkaOffset, TopicPartitionList, consumer::ConsumerGroupMetadata};

use sluicegate_model::{Error, ErrorKind, Result, change::Frontier};

/// A member of a consumer group.
pub struct Membership {
    group: String,
    /// The offsets that a frontier of the source's says.
    offsets: fn(&Frontier) -> Result<TopicPartitionList>,
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    /// Of the generation in which the partitions were assigned.
    metadata: Option<Arc<ConsumerGroupMetadata>>,
    /// The client that is the member: it stays one until everything is committed.
    client: Option<Arc<dyn Any + Send + Sync>>,
    /// By topic, the offset of each partition.
    committed: HashMap<String, HashMap<i32, i64>>,
    ended: bool,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Membership {
    /// Not yet a member. `offsets`: what a frontier of the source's says in Kafka's words.
    pub fn new(group: &str, offsets: fn(&Frontier) -> Result<TopicPartitionList>) -> Self {
        Self { group: group.to_owned(), offsets, state: Mutex::default(), moved: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group's name.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// This client is the member: it is kept until the run has ended, so that what was read can be committed.
    pub fn keep(&self, client: Arc<dyn Any + Send + Sync>) {
        self.state().client = Some(client);
    }

    /// Partitions were assigned, in the generation of this metadata: what is committed from now on is of them.
    pub fn assign(&self, metadata: ConsumerGroupMetadata) {
        let mut state = self.state();
        state.committed.clear();
        state.metadata = Some(Arc::new(metadata)).filter(|_| !state.ended);
    }

    /// The partitions are given back, and everything of them is committed.
    pub fn revoke(&self) {
        self.state().metadata = None;
    }

    /// Partitions were lost, or given back before they were committed: nothing is committed any more.
    pub fn end(&self) {
        let mut state = self.state();
        (state.ended, state.metadata) = (true, None);
        self.moved.notify_all();
    }

    /// What a transaction commits with the progress; `None` where that is nothing.
    ///
    /// # Errors
    /// `Sink`: the partitions are no longer the member's.
    pub fn consumed(&self, progress: &Frontier) -> Result<Option<(TopicPartitionList, Arc<ConsumerGroupMetadata>)>> {
        if progress.is_empty() {
            return Ok(None);
        }
        let list = (self.offsets)(progress)?;
        let metadata = self.state().metadata.clone();
        metadata.map(|metadata| Some((list, metadata))).ok_or_else(|| self.lost())
    }

    /// The error when the group has given the partitions to others.
    pub fn lost(&self) -> Error {
        Error::new(ErrorKind::Sink, format!("the consumer group `{}` has given partitions to another member before they were committed", self.group))
            .remedy("nothing is lost or repeated: what was not committed is read by the other member; if it happens often, raise `session.timeout.ms` or `max.poll.interval.ms` in the source's `options`")
            .that_may_pass(true)
    }

    /// A transaction with these offsets was committed.
    pub fn committed(&self, list: &TopicPartitionList) {
        let mut state = self.state();
        for element in list.elements() {
            let KafkaOffset::Offset(offset) = element.offset() else { continue };
            match state.committed.get_mut(element.topic()) {
                Some(partitions) => drop(partitions.insert(element.partition(), offset)),
                None => drop(state.committed.insert(element.topic().to_owned(), HashMap::from([(element.partition(), offset)]))),
            }
        }
        self.moved.notify_all();
    }

    /// Waits until each of these offsets is committed. Answers whether they are; `gives_up` is asked now and then.
    pub fn wait(&self, offsets: &[(&str, i32, i64)], most: Duration, mut gives_up: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + most;
        let mut state = self.state();
        loop {
            let is_there = |(topic, partition, offset): &(&str, i32, i64)| {
                state.committed.get(*topic).and_then(|partitions| partitions.get(partition)).is_some_and(|at| at >= offset)
            };
            if offsets.iter().all(is_there) {
                return true;
            }
            if state.ended || Instant::now() >= deadline || gives_up() {
                return false;
            }
            state = self.moved.wait_timeout(state, Duration::from_millis(50)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_waited_for_in_each_partition_of_each_topic() {
        let membership = Membership::new("clean", |_| Ok(TopicPartitionList::new()));
        let commit = |offsets: &[(&str, i32, i64)]| {
            let mut list = TopicPartitionList::new();
            for (topic, partition, offset) in offsets {
                list.add_partition_offset(topic, *partition, KafkaOffset::Offset(*offset)).unwrap();
            }
            membership.committed(&list);
        };
        let wanted = [("orders", 0, 5), ("orders", 1, 7), ("lines", 0, 0)];
        let is_there = || membership.wait(&wanted, Duration::from_secs(60), || true);
        assert!(membership.wait(&[], Duration::ZERO, || false), "nothing is waited for");
        for (offsets, there) in [
            (&[("orders", 0, 9), ("lines", 1, 9)][..], false),
            (&[("lines", 0, 0)], false),
            (&[("orders", 1, 6)], false),
            (&[("orders", 1, 7)], true),
            // another partition's commit takes nothing back
            (&[("lines", 0, 3)], true),
        ] {
            commit(offsets);
            assert_eq!(is_there(), there, "{offsets:?}");
        }
        assert!(!membership.wait(&[("orders", 2, 0)], Duration::ZERO, || false), "the time is up");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| membership.wait(&[("orders", 2, 4)], Duration::from_secs(60), || false));
            commit(&[("orders", 2, 4)]);
            assert!(waiting.join().unwrap());
        });
        membership.end();
        assert!(!membership.wait(&[("orders", 3, 0)], Duration::from_secs(60), || false), "it is a member no longer");
    }
}
