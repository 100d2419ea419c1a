//! Reads partitions, on a thread of its own, since librdkafka's calls block.

mod sending;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset as KafkaOffset, TopicPartitionList, consumer::Consumer as _, error::KafkaError, message::BorrowedMessage,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    assembly::written_us,
    client::{Client, too_large},
    cluster::{Cluster, Fault, Topic, fault},
    partition::{Partition, SetPlace},
    place::{KafkaPlace, partition_of},
    read_topics::ReadTopics,
    record::{self, Reading, Record, Row},
    unreadable::Unreadable,
    version::Versions,
};
use sluicegate_config::{KafkaSource, OnUnreadable};
use sluicegate_kafka::Membership;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Event, Frontier, Lane, LaneEvent, MarkKind, RawRecord, Table, Transaction, Truncate},
    limits::{KAFKA_TOPICS_INTERVAL, Limits},
};
use sluicegate_source::{Items, Pace, Patience, SetAside};
use sluicegate_status::Status;

/// How long one look for a record waits.
const LOOK: Duration = Duration::from_millis(50);
/// How often a place moves on that has no records to deliver.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often records that cannot be read are told, at most.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What a session needs.
pub(super) struct Setup {
    pub settings: KafkaSource,
    pub limits: Limits,
    pub status: Arc<Status>,
    pub client: Arc<Client>,
    pub out: Items,
    /// Cancelled when nobody takes items any more, too.
    pub stop: CancellationToken,
    pub runtime: Handle,
    /// In a consumer group: what the sink that commits its offsets shares.
    pub membership: Option<Arc<Membership>>,
    /// Where records that cannot be read are set aside.
    pub letters: Option<Arc<dyn SetAside>>,
    /// In a consumer group: where the checkpoint has progress. It counts for nothing but that there was some.
    pub stored: Frontier,
}

/// Why reading ends.
pub(super) enum End {
    /// Nobody wants more.
    Stopped,
    /// Only what was under way ends: the group decided something while an item waited to be taken. It was not sent.
    Rebalance,
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(super) struct Session {
    setup: Setup,
    reading: Reading,
    partitions: Vec<Partition>,
    /// Where they stand in `partitions`, by topic and number.
    indices: HashMap<Arc<str>, BTreeMap<i32, usize>>,
    pub(super) topics: ReadTopics,
    pub(super) set_place: SetPlace,
    /// Partitions whose leader did not answer: others are asked before them.
    unready: BTreeSet<(String, i32)>,
    versions: Versions,
    /// Number of the next change.
    number: u64,
    pace: Pace,
    patience: Patience,
    /// Changes and bytes that wait in the partitions' batches, and since when.
    waiting: (usize, usize),
    since: Option<Instant>,
    next_look: Instant,
    next_heartbeat: Instant,
    told: Option<Instant>,
    most_changes: usize,
    /// Topics that the group's member asks for.
    pub(super) subscribed: BTreeSet<String>,
}

impl Session {
    pub(super) fn new(setup: Setup) -> Self {
        let (settings, limits) = (&setup.settings, &setup.limits);
        let reading = Reading::of(settings, limits);
        let (pace, patience) = (Pace::new(settings.rate), Patience::new(limits.retry_window));
        let most_changes = Pace::batch(settings.rate, limits.batch_changes);
        let now = Instant::now();
        Self {
            reading,
            partitions: Vec::new(),
            indices: HashMap::new(),
            topics: ReadTopics::default(),
            set_place: SetPlace::new(settings),
            unready: BTreeSet::new(),
            versions: Versions::default(),
            number: 0,
            pace,
            patience,
            waiting: (0, 0),
            since: None,
            next_look: now,
            next_heartbeat: now + HEARTBEAT,
            told: None,
            most_changes,
            subscribed: BTreeSet::new(),
            setup,
        }
    }

    /// Reads from the least of the sinks' places on, until nobody wants more. What was read before an error has been sent.
    pub(super) fn run(mut self, sinks: &[Frontier]) -> Result<()> {
        let ended = self.begin(sinks).and_then(|()| self.read());
        match ended {
            Ok(()) | Err(End::Stopped) => Ok(()),
            Err(End::Rebalance) => Err(Error::new(ErrorKind::Internal, "the session ended with what its group decided")),
            Err(End::Failed(error)) => match self.flush() {
                Ok(()) | Err(_) => Err(error),
            },
        }
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        &self.setup.client
    }

    /// How long one request may take.
    pub(super) fn timeout(&self) -> Duration {
        self.setup.limits.connect_timeout
    }

    /// Whether this host has read of a lane before.
    pub(super) fn has_read(&self, lane: &Lane) -> bool {
        self.setup.stored.get(lane.name()).is_some()
    }

    pub(super) fn stop(&self) -> CancellationToken {
        self.setup.stop.clone()
    }

    /// Of each partition of which items were sent, the offset up to which they were.
    pub(super) fn sent(&self) -> Vec<(Arc<str>, i32, i64)> {
        let begun = self.partitions.iter().filter_map(|partition| Some((partition, partition.sent_to()?)));
        begun.map(|(partition, sent)| (partition.topic.clone(), partition.number, sent)).collect()
    }

    /// Whether partitions are read.
    pub(super) fn has_partitions(&self) -> bool {
        !self.partitions.is_empty()
    }

    /// Nothing is read any more.
    pub(super) fn forget(&mut self) {
        self.partitions.clear();
        self.indices.clear();
        (self.waiting, self.since) = ((0, 0), None);
    }

    pub(super) fn cluster(&self) -> Cluster<'_> {
        Cluster { client: &self.setup.client, settings: &self.setup.settings, timeout: self.setup.limits.connect_timeout }
    }

    fn begin(&mut self, sinks: &[Frontier]) -> Result<(), End> {
        let topics = self.cluster().topics()?;
        if self.setup.membership.is_some() {
            self.subscribe(&topics)?;
            self.setup.status.source.connect();
            self.setup.out.begin();
            self.topics.are_the_same(&topics, &self.set_place)?;
            return Ok(());
        }
        let mut least: BTreeMap<(Arc<str>, i32), (KafkaPlace, usize)> = BTreeMap::new();
        for (lane, offset) in sinks.iter().flat_map(Frontier::lanes) {
            let Some((topic, partition)) = partition_of(lane.name()) else { continue };
            if !self.setup.settings.topics.selects(topic) {
                tracing::warn!(%lane, "the checkpoint has progress in a topic that is not among the source's `topics`: nothing of it is read");
                continue;
            }
            let place = KafkaPlace::of(offset)?.into_owned();
            let known = least.entry((topic.into(), partition)).or_insert_with(|| (place.clone(), 0));
            known.1 += 1;
            if place.offset < known.0.offset {
                known.0 = place;
            }
        }
        // a lane that some sink lacks begins for it like a new one: at its oldest record
        least.retain(|_, (_, known)| *known == sinks.len());
        let mut list = TopicPartitionList::new();
        for ((topic, number), (place, _)) in least {
            if self.setup.stop.is_cancelled() {
                return Err(End::Stopped);
            }
            let (low, _) = self.cluster().ends(&topic, number)?;
            let partition = Partition::new(topic, number, &place, self.set_place.clone());
            self.add(partition, low, &mut list)?;
        }
        self.topics.are_the_same(&topics, &self.set_place)?;
        self.setup.client.assign(&list).map_err(|e| internal(&e))?;
        self.setup.status.source.connect();
        self.setup.out.begin();
        Ok(())
    }

    /// Takes a partition in; it is read once `list` is assigned.
    pub(super) fn add(&mut self, partition: Partition, low: i64, list: &mut TopicPartitionList) -> Result<usize> {
        let from = KafkaOffset::Offset(partition.begin(low));
        list.add_partition_offset(&partition.topic, partition.number, from).map_err(|e| internal(&e))?;
        self.topics.reads(&partition.topic, partition.topic_id());
        self.indices.entry(partition.topic.clone()).or_default().insert(partition.number, self.partitions.len());
        self.partitions.push(partition);
        Ok(self.partitions.len() - 1)
    }

    fn read(&mut self) -> Result<(), End> {
        let (client, membership) = (self.setup.client.clone(), self.setup.membership.clone());
        loop {
            match self.step(&client) {
                // what was not sent is read by whoever gets its partition
                Ok(()) | Err(End::Rebalance) => {}
                Err(end) => return Err(end),
            }
            if let Some(membership) = &membership {
                self.follow(membership)?;
            }
        }
    }

    /// Does what is due, and takes one record.
    fn step(&mut self, client: &Client) -> Result<(), End> {
        if self.setup.stop.is_cancelled() {
            return Err(End::Stopped);
        }
        let now = Instant::now();
        if now >= self.next_look {
            self.look()?;
        }
        if now >= self.next_heartbeat {
            self.heartbeat()?;
        }
        let left = self.since.map(|since| self.setup.limits.batch_wait.saturating_sub(since.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            return self.flush();
        }
        if client.context().too_large() {
            return Err(too_large().into());
        }
        match client.poll(left.unwrap_or(LOOK).min(LOOK)) {
            Some(Ok(message)) => self.take(&message),
            Some(Err(error)) => self.trouble(error),
            None if self.since.is_some() => self.flush(),
            None => {
                self.setup.status.source.see_event(0);
                Ok(())
            }
        }
    }

    /// An error came in place of a record.
    fn trouble(&self, error: KafkaError) -> Result<(), End> {
        match fault(error, &self.set_place) {
            Fault::Passes => Ok(()),
            Fault::Gone => Err(self.gone().into()),
            Fault::Final(error) => Err(error.into()),
        }
    }

    /// A record came.
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), End> {
        let Some(at) = self.index_of(message.topic(), message.partition()) else { return Ok(()) };
        let (offset, time) = (message.offset(), message.timestamp().to_millis());
        let Some(partition) = self.partitions.get_mut(at) else { return Ok(()) };
        if !partition.meets(offset, time)? {
            return Ok(());
        }
        let record = record::read(message.key(), message.payload(), self.reading, &mut self.versions);
        self.setup.status.source.hear();
        let read = match record {
            Ok(Record::Tombstone) => Ok(()),
            Ok(Record::Truncate { name, time_us }) => {
                // from now on it is known where all rows came from
                self.flush()?;
                let owned = name.owned();
                if self.topics.is_alone(&owned, message.topic()) {
                    let table = match self.versions.last(&name) {
                        Some(version) => version.table.clone(),
                        None => Arc::new(Table { name: owned, destination: None, columns: Vec::new() }),
                    };
                    return self.truncate(at, table, time_us.unwrap_or_else(|| written_us(time)), offset, time);
                }
                Err(Unreadable::new("it empties a table whose rows come from several partitions or topics, so that it has no place among them")
                    .remedy("empty the target by hand if that is wanted, and set `on_unreadable: skip` in the source until it has passed; or read topics of one partition, one for each table"))
            }
            Ok(Record::Row(row)) => self.put(at, &row, offset, time)?,
            Err(unreadable) => Err(unreadable),
        };
        if let Err(unreadable) = read {
            self.unreadable(message, unreadable)?;
        }
        if let Some(partition) = self.partitions.get_mut(at) {
            partition.pass(offset, time);
        }
        Ok(())
    }

    /// Puts a row into the batch of its partition; or it cannot be read.
    fn put(&mut self, at: usize, row: &Row<'_>, offset: i64, time: Option<i64>) -> Result<Result<(), Unreadable>, End> {
        // the first rows of a version begin a batch, and come before any other of their version
        let first = !row.version.has_begun();
        if first {
            self.flush()?;
        } else if self.partitions.get(at).is_some_and(|partition| partition.assembly.has_other(&row.version)) {
            self.flush_partition(at)?;
        }
        let Some(partition) = self.partitions.get_mut(at) else { return Ok(Ok(())) };
        let before = partition.assembly.size();
        if let Err(unreadable) = partition.assembly.push(row, offset, written_us(time), self.reading.most_bytes) {
            return Ok(Err(unreadable));
        }
        let size = partition.assembly.size();
        partition.pass(offset, time);
        self.waiting.0 += size.0 - before.0;
        self.waiting.1 += size.1 - before.1;
        self.since.get_or_insert_with(Instant::now);
        if first || self.waiting.0 >= self.most_changes || self.waiting.1 >= self.setup.limits.batch_bytes {
            self.flush()?;
            row.version.begin();
        }
        Ok(Ok(()))
    }

    fn index_of(&self, topic: &str, partition: i32) -> Option<usize> {
        self.indices.get(topic)?.get(&partition).copied()
    }

    /// A record cannot be read.
    fn unreadable(&mut self, message: &BorrowedMessage<'_>, unreadable: Unreadable) -> Result<()> {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        let what = format!("the record at offset {offset} of partition {topic}/{partition} cannot be read: {}", unreadable.what);
        let source = &self.setup.status.source;
        let became = match self.setup.settings.on_unreadable {
            OnUnreadable::Stop => {
                let pass = "set `on_unreadable: dead-letter` in the source to set such records aside, or `skip` to pass over them";
                let remedy = unreadable.remedy.map_or_else(|| pass.to_owned(), |remedy| format!("{remedy}; or {pass}"));
                return Err(Error::new(ErrorKind::Source, what).remedy(remedy));
            }
            OnUnreadable::Skip => {
                source.skipped.add(1);
                "it is skipped"
            }
            OnUnreadable::DeadLetter => {
                let nowhere = || Error::new(ErrorKind::Internal, "a record is to be set aside, and there is no place for it");
                let letters = self.setup.letters.as_ref().ok_or_else(nowhere)?;
                let time_us = message.timestamp().to_millis().and_then(|millis| millis.checked_mul(1000));
                let record = RawRecord { topic, partition, offset, time_us, key: message.key(), value: message.payload() };
                letters.set_aside(&record, &Error::new(ErrorKind::Record, unreadable.what))?;
                source.dead_lettered.add(1);
                "it is set aside"
            }
        };
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            tracing::warn!(bytes = message.payload_len() + message.key_len(), "{what}; {became}");
        }
        Ok(())
    }

    /// A table is emptied, behind everything that was read before.
    fn truncate(&mut self, at: usize, table: Arc<Table>, time_us: i64, offset: i64, time: Option<i64>) -> Result<(), End> {
        self.flush()?;
        let Some(partition) = self.partitions.get_mut(at) else { return Ok(()) };
        partition.pass(offset, time);
        let position = offset.unsigned_abs();
        let transaction = Transaction { id: None, file: partition.file.clone(), position, complete: true };
        let event = Event { position, time_us, ..Event::default() };
        self.mark(at, MarkKind::Truncate(Truncate { table, event, transaction }))
    }

    /// Moves places on that have no records to deliver: tombstones, records that were skipped, ends of transactions.
    fn heartbeat(&mut self) -> Result<(), End> {
        self.next_heartbeat = Instant::now() + HEARTBEAT;
        let positions = self.setup.client.position().map_err(|e| internal(&e))?;
        for element in positions.elements() {
            let (Some(at), KafkaOffset::Offset(next)) = (self.index_of(element.topic(), element.partition()), element.offset()) else {
                continue;
            };
            let Some(partition) = self.partitions.get_mut(at).filter(|partition| partition.assembly.is_empty()) else { continue };
            partition.pass_to(next);
            if partition.has_moved() {
                self.mark(at, MarkKind::Heartbeat)?;
            }
        }
        Ok(())
    }

    /// Looks whether topics are still the same, and for partitions that are new.
    fn look(&mut self) -> Result<(), End> {
        let topics = match self.cluster().topics() {
            Ok(topics) => topics,
            Err(error) if error.kind() == ErrorKind::Connection => {
                let source = &self.setup.status.source;
                if source.is_connected() {
                    source.disconnect();
                }
                let (delay, error) = self.patience.delay(error)?;
                tracing::warn!(error = error.chain(), retry_in_ms = delay.as_millis() as u64, "the brokers cannot be reached");
                self.next_look = Instant::now() + delay;
                return Ok(());
            }
            Err(error) => return Err(error.with_kind(ErrorKind::Source).into()),
        };
        let source = &self.setup.status.source;
        if !source.is_connected() {
            source.connect();
            source.reconnects.add(1);
        }
        source.hear();
        self.patience.reset();
        self.next_look = Instant::now() + KAFKA_TOPICS_INTERVAL;
        self.topics.are_the_same(&topics, &self.set_place)?;
        self.topics.are_there(&topics, &self.set_place)?;
        // new partitions are given out by the group
        if self.setup.membership.is_some() { Ok(self.subscribe(&topics)?) } else { self.begin_new(&topics) }
    }

    /// Begins to read partitions that are new, each at its oldest record.
    fn begin_new(&mut self, topics: &BTreeMap<String, Topic>) -> Result<(), End> {
        let mut list = TopicPartitionList::new();
        let (mut wanted, mut new) = (Vec::new(), Vec::new());
        for (name, topic) in topics {
            let known = self.indices.get(name.as_str());
            for number in (0..topic.partitions).filter(|number| known.is_none_or(|known| !known.contains_key(number))) {
                wanted.push((name.clone(), number, &topic.id));
            }
        }
        // stable: by name and number
        wanted.sort_by_cached_key(|(name, number, _)| self.unready.contains(&(name.clone(), *number)));
        for (name, number, id) in wanted {
            if self.setup.stop.is_cancelled() {
                return Err(End::Stopped);
            }
            match self.cluster().ends(&name, number) {
                Ok((low, _)) => {
                    let place = KafkaPlace { topic_id: id.clone(), offset: low, last: None };
                    new.push((Partition::new(name.as_str().into(), number, &place, self.set_place.clone()), low));
                    self.unready.remove(&(name, number));
                }
                // one that has just been made has no leader yet, and each such request takes its time: the next look goes on
                Err(error) if error.kind() == ErrorKind::Connection => {
                    tracing::debug!(error = error.chain(), "a partition is not ready");
                    self.unready.insert((name, number));
                    break;
                }
                Err(error) => return Err(error.with_kind(ErrorKind::Source).into()),
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        self.flush()?;
        for (partition, low) in new {
            tracing::info!(lane = %partition.lane, offset = low, "a partition begins");
            let at = self.add(partition, low, &mut list)?;
            // where it begins is stored for every sink before anything of it is delivered
            self.mark(at, MarkKind::Lane(LaneEvent::Begins))?;
        }
        self.setup.client.incremental_assign(&list).map_err(|e| internal(&e))?;
        Ok(())
    }

    /// The error when records that come next are no longer there.
    fn gone(&self) -> Error {
        for partition in self.partitions.iter().take_while(|_| !self.setup.stop.is_cancelled()) {
            match self.cluster().ends(&partition.topic, partition.number) {
                Ok(ends) if partition.next() < ends.0 || partition.next() > ends.1 => {
                    return out_of_range(&partition.file, partition.next(), ends, ErrorKind::Source, partition.set_place());
                }
                Ok(_) => {}
                // the next start asks again
                Err(error) => return error.with_kind(ErrorKind::Source).that_may_pass(true),
            }
        }
        Error::new(ErrorKind::Source, "a partition no longer has the records that come next: they were removed, or its log was cut")
            .remedy("start again: the check says which partition it is")
    }
}

/// The error when a place is outside of what a partition holds.
pub(super) fn out_of_range(file: &str, next: i64, (low, high): (i64, i64), kind: ErrorKind, remedy: String) -> Error {
    let what = if next < low {
        format!("partition {file} no longer has the records from offset {next} on: the oldest is {low}, those before it were removed")
    } else {
        format!("partition {file} ends at offset {high}, before offset {next}, which was read: its log was cut, or the topic made anew")
    };
    Error::new(kind, what).remedy(remedy)
}

/// The error when a topic is no longer there.
pub(super) fn gone_topic(topic: &str, kind: ErrorKind, set_place: &SetPlace) -> Error {
    Error::new(kind, format!("topic `{topic}`, which is read, no longer exists")).remedy(format!(
        "if it was deleted on purpose, leave it out of the source's `topics` (`'!{topic}'` beside a pattern); else make it again and {}",
        set_place.of(topic, 0)
    ))
}

pub(super) fn internal(error: &KafkaError) -> Error {
    Error::new(ErrorKind::Internal, "the Kafka client refused what it was asked").caused_by(error.to_string())
}
