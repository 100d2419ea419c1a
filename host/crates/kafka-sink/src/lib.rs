//! Kafka: one record for each change, keyed by the primary key, in order per key, acknowledged by all in-sync replicas.
//!
//! Delivery is at-least-once (after a crash the records since the last checkpoint come again, in the same order) or exactly-once
//! (records are written in transactions, together with the sink's progress: see `transaction`).
//!
//! An update that changes the key is a delete under the old key and an insert under the new one. So is one whose topic
//! changes, when a plugin chooses topics for rows: nobody who reads one topic is left with a row that has gone to another.
//! Headers are those of the image that the record is about; a tombstone has those of its delete.
//!
//! A change is delivered whole or set aside whole. Of one that has several records, any of which the brokers may refuse for its
//! size, the record at risk is sent by itself and first: see [`KafkaSink::send_alone`].

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod again;
mod aim;
mod client;
mod consumed;
mod creation;
mod fence;
mod foresee;
mod headers;
mod heartbeat;
mod key;
mod letter_copy;
mod letters;
mod metadata;
mod notice;
mod partition;
mod positions;
mod record;
mod resume;
mod route;
mod size;
mod topic;
mod transaction;
mod transaction_fault;
mod whole;

use std::{
    collections::HashSet,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    error::KafkaError,
    producer::{BaseRecord, Producer},
    types::RDKafkaErrorCode as Code,
};

pub use client::precheck;
pub use foresee::{Foreseen, foresee};
pub use letters::LetterQueue;
pub use resume::KafkaResume;
pub use topic::metric;

use aim::aim;
use client::{Client, Failure, Reports, is_record};
use creation::Creation;
use headers::{ChangeHeaders, Told};
use heartbeat::Heartbeats;
use key::{Key, KeyPlans, Partition, write_key};
use metadata::Metadata;
use notice::Notice;
use partition::Partitions;
use record::{Buffers, Record, Records, halves, insert, untold};
use route::Route;
use size::Sizes;
use topic::{Topics, bad_destination};
use transaction::Transaction;
use whole::Whole;

use sluicegate_config::KafkaSink as Settings;
use sluicegate_dead_letter::Outgoing;
use sluicegate_format::Encoder;
use sluicegate_kafka::Tokens;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, Frontier, Mark, MarkKind, NO_IMAGE, Operation, Truncate},
};
use sluicegate_sink::{Numbers, Policy, Sink, SinkState, Urgency, destination, route::Variant};

/// Debezium's header on the delete of a row whose key changes: the key that it has from now on.
const NEW_KEY: &str = "__debezium.newkey";
/// Debezium's header on the insert that follows: the key that it had.
const OLD_KEY: &str = "__debezium.oldkey";

/// How long one look at the delivery reports waits for them.
const POLL: Duration = Duration::from_millis(1);
/// How often librdkafka is looked at while nothing comes, where it may need an access token.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks at the delivery reports after each batch: they take room in the queue until they are seen.
const POLLS_A_BATCH: usize = 16;
/// Batches that are kept, at most, until their records are acknowledged; their bytes are bounded, too.
const RETAINED_BATCHES: usize = 1024;
/// How much longer than the delivery timeout, at most, we wait for librdkafka to say that it has passed.
const GRACE: Duration = Duration::from_secs(60);

/// A Kafka sink.
pub struct KafkaSink {
    client: Client,
    settings: Settings,
    encoder: Encoder,
    /// Bytes that name a record's schema in front of it, and of its key; then the format is told the topic.
    framing: usize,
    topics: Topics,
    partitions: Partitions,
    keys: KeyPlans,
    sizes: Sizes,
    /// How long a look into the cluster may take when an error is to be explained.
    patience: Duration,
    /// Of every record, where any are wanted.
    headers: Option<ChangeHeaders>,
    /// Whether the plugins' versions are a header.
    versions: bool,
    policy: Policy,
    numbers: Numbers,
    /// Where the tables of the current batch go.
    routes: Vec<Arc<Route>>,
    /// Batches of which something may be unacknowledged: kept only where a failed record does not stop the pipeline, and those of the
    /// open transaction. A record's opaque number is its batch's place in here.
    retained: Vec<Retained>,
    retained_bytes: usize,
    retained_max: usize,
    /// Changes of `retained` that have been set aside already: batch and place of the change in it.
    set_aside: HashSet<(usize, usize)>,
    /// Their letters, where these belong into the open transaction.
    letters: Vec<Outgoing>,
    buffers: Buffers,
    /// Only with exactly-once.
    transaction: Option<Transaction>,
    heartbeats: Option<Heartbeats>,
    /// Where it commits between transactions of the source only.
    whole: Option<Whole>,
    /// Where it tells the source's transactions.
    metadata: Option<Metadata>,
}

/// Changes that may be unacknowledged.
struct Retained {
    /// Shared: what writes it again does so change by change.
    batch: Arc<Batch>,
    /// Which of its changes have been sent.
    sent: Range<usize>,
    /// Whether the transaction that is open behind them ended there.
    ends: bool,
}

impl KafkaSink {
    /// Sets the sink up. Connecting goes on in the background: [`precheck`] tells whether a broker is there.
    fn open(resume: KafkaResume, client: Client, transaction: Option<Transaction>, encoder: Encoder) -> Result<Self> {
        let KafkaResume { settings, versions, policy, limits, numbers, begun, .. } = resume;
        let metadata = settings.transaction_topic.as_deref().map(|topic| Metadata::new(topic, begun));
        let sizes = Sizes::new(client::config(&settings, &limits)?, Tokens::of(settings.connection()), limits.connect_timeout)?;
        Ok(Self {
            client,
            topics: Topics::new(&settings, limits.destinations, Creation::new(&settings, &limits)?),
            partitions: Partitions::new(limits.connect_timeout),
            keys: KeyPlans::default(),
            headers: ChangeHeaders::new(&settings.headers),
            heartbeats: settings.heartbeats.as_ref().map(Heartbeats::new),
            whole: Whole::of(&settings),
            metadata,
            settings,
            framing: encoder.framing(),
            encoder,
            sizes,
            patience: limits.connect_timeout,
            versions,
            policy,
            numbers,
            routes: Vec::new(),
            retained: Vec::new(),
            retained_bytes: 0,
            retained_max: limits.kafka_queue_bytes,
            set_aside: HashSet::new(),
            letters: Vec::new(),
            buffers: Buffers::default(),
            transaction,
        })
    }

    /// Gives the records of one change to librdkafka, all or none. Answers `false` when it has given none, because the brokers may
    /// refuse one of several: then [`Self::send_alone`] has to.
    ///
    /// # Errors
    /// `Record`: one of them cannot be sent; the policy decides. Everything else is final.
    fn send_change(&mut self, batch: &Batch, change: &Change, opaque: usize) -> Result<bool> {
        let sent = self.send_records(batch, change, opaque);
        if let (Err(_), Some(metadata)) = (&sent, &mut self.metadata) {
            metadata.undo_change();
        }
        sent
    }

    fn send_records(&mut self, batch: &Batch, change: &Change, opaque: usize) -> Result<bool> {
        let records = self.encode(batch, change)?;
        self.begin_told()?;
        let records = records.list(&self.buffers);
        let several = records.iter().flatten().count() > 1;
        if several {
            self.check_client(&records)?;
            // a transaction is refused whole
            if !self.policy.stops() && self.transaction.is_none() {
                let (client, sizes) = (&self.client, &mut self.sizes);
                if records.iter().flatten().any(|record| record.size_in_batch() > sizes.of_topic(client, &record.topic)) {
                    return Ok(false);
                }
            }
        }
        records.into_iter().flatten().try_for_each(|record| self.send(record, opaque))?;
        Ok(true)
    }

    /// Encodes the records of one change.
    fn encode(&mut self, batch: &Batch, change: &Change) -> Result<Records> {
        let dangling = || Error::new(ErrorKind::Internal, "a change of a table that the batch does not have");
        let route = self.routes.get(change.table as usize).ok_or_else(dangling)?.clone();
        self.buffers.clear();
        let (before, after) = (change.before != NO_IMAGE, change.after != NO_IMAGE);
        let plan = &route.plan;
        if plan.may_lack(route.partial) {
            let rows = batch.tables.get(change.table as usize).ok_or_else(dangling)?;
            let images = [change.before, change.after].into_iter().filter(|row| *row != NO_IMAGE);
            images.into_iter().try_for_each(|row| plan.check(rows, row, route.partial))?;
        }
        let moves = route.by_operation && change.operation == Operation::Update && before && after && self.moves(batch, change, &route)?;
        let (gone, came) = if moves { halves(change) } else { (*change, *change) };
        if after {
            self.aim_at_row(batch, &came, change.after, &route)?;
            write_key(&mut self.encoder, plan.key, batch, change.table, change.after, &mut self.buffers.key)?;
        }
        if before {
            self.aim_at_row(batch, &gone, change.before, &route)?;
            write_key(&mut self.encoder, plan.key, batch, change.table, change.before, &mut self.buffers.old_key)?;
        }
        // which schema a key has may follow from its topic
        let other_key = self.buffers.key.get(self.framing..) != self.buffers.old_key.get(self.framing..);
        let mut other_shard = false;
        if let Partition::Columns(columns) = &plan.partition {
            let rows = batch.tables.get(change.table as usize).ok_or_else(dangling)?;
            let Buffers { shard, old_shard, .. } = &mut self.buffers;
            for (row, out) in [(change.after, &mut *shard), (change.before, &mut *old_shard)] {
                if row != NO_IMAGE {
                    columns.write(rows, row, out);
                }
            }
            other_shard = before && after && shard != old_shard;
        }
        let pair = self.encoder.split(batch, change);
        let leaves = match change.operation {
            Operation::Delete => true,
            Operation::Update => after && (other_key || other_shard || route.column.is_some() || pair.is_some()),
            _ => false,
        };
        let old = if before && leaves { Some(self.place(batch, &gone, change.before, &route)?) } else { None };
        let new = if after { Some(self.place(batch, &came, change.after, &route)?) } else { None };
        let mut records = Records { keyed: plan.key != Key::None, tombstone: plan.tombstones, leaving: true, gone: None, came: None };
        match (change.operation, old, new) {
            (Operation::Delete, Some(old), _) => {
                aim(&mut self.encoder, self.framing, batch, change.table, &old.topic);
                metadata::number_record(&mut self.metadata, &mut self.encoder, batch, change.table)?;
                records.leaving = self.encoder.value(batch, change, &mut self.buffers.old_value)?;
                records.gone = Some(old);
            }
            (Operation::Update, Some(mut old), Some(mut new)) if other_key || other_shard || old.topic != new.topic => {
                if route.partial {
                    destination::check_whole(batch.tables.get(change.table as usize).ok_or_else(dangling)?, change.after)?;
                }
                let (delete, insertion) = halves(change);
                if !moves {
                    if route.by_operation || self.settings.headers.operation {
                        old = self.place(batch, &delete, change.before, &route)?;
                        new = self.place(batch, &insertion, change.after, &route)?;
                    }
                    self.write_keys_again(batch, change, plan.key, &old.topic, &new.topic)?;
                }
                let Buffers { key, old_key, value, old_value, .. } = &mut self.buffers;
                if other_key {
                    old.headers = Some(insert(old.headers, NEW_KEY, key));
                    new.headers = Some(insert(new.headers, OLD_KEY, old_key));
                }
                aim(&mut self.encoder, self.framing, batch, change.table, &old.topic);
                metadata::number_record(&mut self.metadata, &mut self.encoder, batch, change.table)?;
                records.leaving = self.encoder.value(batch, &delete, old_value)?;
                aim(&mut self.encoder, self.framing, batch, change.table, &new.topic);
                metadata::number_record(&mut self.metadata, &mut self.encoder, batch, change.table)?;
                self.encoder.value(batch, &insertion, value)?;
                (records.gone, records.came) = (Some(old), Some(new));
            }
            (Operation::Update, Some(old), Some(new)) if let Some([first, second]) = pair => {
                self.encoder.value(batch, &first, &mut self.buffers.old_value)?;
                self.encoder.value(batch, &second, &mut self.buffers.value)?;
                (records.gone, records.came, records.tombstone) = (Some(old), Some(new), false);
            }
            (_, _, Some(new)) => {
                aim(&mut self.encoder, self.framing, batch, change.table, &new.topic);
                metadata::number_record(&mut self.metadata, &mut self.encoder, batch, change.table)?;
                self.encoder.value(batch, change, &mut self.buffers.value)?;
                records.came = Some(new);
            }
            _ => return Err(Error::new(ErrorKind::Internal, "a change without the image that its operation has")),
        }
        if records.gone.is_some() && !records.leaving && !records.tombstone && self.settings.tombstones {
            let table = batch.tables.get(change.table as usize).map(|rows| rows.table.name.to_string()).unwrap_or_default();
            return Err(untold(&table));
        }
        Ok(records)
    }

    /// An error if the client takes one of the records for too large.
    fn check_client(&self, records: &[Option<Record<'_>>]) -> Result<()> {
        match records.iter().flatten().find(|record| record.size() > self.sizes.client) {
            Some(record) => Err(self.fault(Code::MessageSizeTooLarge, &record.topic)),
            None => Ok(()),
        }
    }

    /// Gives one record to librdkafka, and waits for room in its queue if need be.
    fn send(&self, record: Record<'_>, opaque: usize) -> Result<()> {
        let topic = record.topic.clone();
        let mut out: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(&record.topic, opaque);
        out.key = record.key;
        out.payload = record.value;
        out.headers = record.headers;
        out.partition = record.partition;
        self.give(out, &topic)
    }

    fn give(&self, mut out: BaseRecord<'_, [u8], [u8], usize>, topic: &str) -> Result<()> {
        let mut deadline = None;
        loop {
            match self.client.send(out) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                    out = back;
                    self.client.poll(POLL);
                    self.check_final()?;
                    self.check_deadline(deadline.get_or_insert_with(|| Instant::now() + self.settings.delivery_timeout + GRACE), topic)?;
                }
                Err((error, _)) => {
                    let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                    if let (Code::State | Code::Fatal, Some(transaction)) = (code, &self.transaction) {
                        transaction.broken.set(true);
                    }
                    return Err(self.fault(code, topic));
                }
            }
        }
    }

    fn fault(&self, code: Code, topic: &str) -> Error {
        client::fault(&self.client, &self.settings, self.patience, code, topic)
    }

    fn failure(&self) -> Option<Failure> {
        let reports: &Reports = self.client.context();
        reports.failure().clone()
    }

    /// An error if something failed that the policy cannot mend, or if the run ended without waiting for the brokers any longer.
    fn check_final(&self) -> Result<()> {
        if self.numbers.has_ended() {
            return Err(Error::new(ErrorKind::Sink, "the run ended before the brokers acknowledged its records")
                .remedy("nothing is lost: the next start goes on at the checkpoint"));
        }
        match self.failure() {
            Some(failure) if self.transaction.is_none() && (self.policy.stops() || !is_record(failure.code)) => {
                Err(self.fault(failure.code, &failure.topic))
            }
            _ => Ok(()),
        }
    }

    fn check_deadline(&self, deadline: &Instant, topic: &str) -> Result<()> {
        if Instant::now() < *deadline { Ok(()) } else { Err(self.fault(Code::MessageTimedOut, topic)) }
    }

    /// Waits until every record is acknowledged or has failed.
    fn wait_for_all(&self) -> Result<()> {
        let deadline = Instant::now() + self.settings.delivery_timeout + GRACE;
        while self.client.in_flight_count() > 0 {
            self.client.poll(POLL);
            self.check_final()?;
            self.check_deadline(&deadline, self.settings.topic.text())?;
        }
        self.check_final()
    }

    /// Takes the reports that are there.
    fn look(&self) {
        for _ in 0..POLLS_A_BATCH {
            self.client.poll(Duration::ZERO);
        }
    }

    /// Keeps changes until they are acknowledged.
    fn retain(&mut self, batch: &Batch, sent: Range<usize>) {
        let kept = !self.policy.stops() || self.transaction.is_some();
        if kept && !sent.is_empty() {
            self.retained_bytes += batch.bytes;
            self.retained.push(Retained { batch: Arc::new(batch.clone()), sent, ends: false });
        }
    }
}

impl Sink for KafkaSink {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        let full = self.retained_bytes + batch.bytes > self.retained_max || self.retained.len() >= RETAINED_BATCHES;
        if full && !self.retained.is_empty() && self.transaction.is_none() {
            self.settle()?;
        }
        self.begin_transaction()?;
        self.route(batch)?;
        self.metadata.iter_mut().for_each(Metadata::begin_batch);
        let mut from = 0;
        for (place, change) in batch.changes.iter().enumerate() {
            if self.broken() {
                break; // all of it is written again
            }
            let number = self.retained.len();
            self.enter(batch, change)?;
            match self.send_change(batch, change, number) {
                Ok(true) => {}
                Ok(false) => {
                    self.retain(batch, from..place);
                    self.settle()?;
                    self.route(batch)?;
                    self.send_alone(batch, change)?;
                    from = place + 1;
                }
                Err(error) if error.kind() == ErrorKind::Record => {
                    self.set_change_aside(error, batch, change)?;
                    self.set_aside.insert((number, place));
                }
                Err(_) if self.is_broken() => break,
                Err(error) => return Err(error),
            }
        }
        self.retain(batch, from..batch.changes.len());
        self.tell_end_in(batch)?;
        self.see(batch)?;
        self.look();
        self.check_final()
    }

    /// Transactions may end in a batch of which nothing is written, too.
    fn pass(&mut self, batch: &Batch) -> Result<()> {
        self.tell_end_of_passed(batch)?;
        self.see(batch)
    }

    /// Also without records, librdkafka wants to be looked at: it may need a new access token.
    fn idle(&mut self) -> Result<()> {
        self.look();
        self.check_length()?;
        self.beat()
    }

    fn patience(&self) -> Option<Duration> {
        let tokens = Tokens::of(self.settings.connection()).are_any().then_some(LOOK_EVERY);
        tokens.into_iter().chain(self.heartbeats.as_ref().map(|heartbeats| heartbeats.every().min(LOOK_EVERY))).min()
    }

    /// A table that was emptied is one record without a key in the first partition of its topic.
    fn mark(&mut self, mark: &Mark) -> Result<()> {
        self.tell_end_at(mark)?;
        if let Some(whole) = &mut self.whole {
            whole.see_mark(mark);
        }
        let truncate = match &mark.kind {
            MarkKind::Truncate(truncate) => truncate,
            MarkKind::Schema(change) => return self.schema_change(change),
            // a row follows that says so: whoever reads it has what came before it
            MarkKind::Drained(_) if self.transaction.is_none() => return self.settle(),
            _ => return Ok(()),
        };
        let table = &truncate.table;
        self.topics.begin();
        let number = self.topics.table(&table.name);
        let variant = Variant::of_truncate(self.topics.template(), truncate.event.time_us);
        let topic = self.topics.topic(number, table.destination.as_deref(), variant)?;
        let topic = topic.ok_or_else(|| bad_destination(&table.name).with_kind(ErrorKind::Sink))?;
        if self.framing > 0 {
            self.encoder.aim(table, &topic);
        }
        let Truncate { event, transaction, .. } = truncate;
        let told = Told { operation: "truncate", lane: &mark.lane, event, transaction, row: 0 };
        let headers = self.headers.as_mut().and_then(|headers| headers.add(&told, None));
        let mut value = Vec::new();
        self.encoder.truncate_value(truncate, &mut value)?;
        self.notify(Notice { topic, key: None, value, headers })
    }

    fn held(&self) -> usize {
        if self.is_inside() { 0 } else { self.retained_bytes }
    }

    fn is_ripe(&self) -> bool {
        !self.is_inside()
    }

    fn abandon(&mut self) -> Result<bool> {
        self.abandon_part()
    }

    fn commit(&mut self, progress: &Frontier) -> Result<SinkState> {
        let Some(state) = self.transaction.as_ref().map(|transaction| transaction.state.to_text()) else {
            self.settle()?;
            self.beat()?;
            return metadata::state_without(self.metadata.as_ref().and_then(Metadata::begun));
        };
        self.tell_cut();
        self.commit_transaction(progress)?;
        state
    }

    fn urgency(&self) -> Urgency {
        self.need_of_commit()
    }

    fn first_state(&self) -> Result<Option<SinkState>> {
        self.transaction.as_ref().map(|transaction| transaction.state.to_text()).transpose()
    }
}

#[cfg(test)]
mod tests;
