//! Kafka: one record for each change, keyed by the primary key, in order per key, acknowledged by all in-sync replicas.
//!
//! Delivery is at-least-once: after a crash the records since the last checkpoint come again, in the same order.
//!
//! An update that changes the key is a delete under the old key and an insert under the new one. So is one whose topic
//! changes, when a plugin chooses topics for rows: nobody who reads one topic is left with a row that has gone to another.
//! Headers are those of the image that the record is about; a tombstone has those of its delete.

mod client;
mod topic;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer},
    types::RDKafkaErrorCode as Code,
};

pub(super) use client::precheck;

use client::{Client, Failure, Reports, is_record};
use topic::{Topics, bad_destination};

use super::{Numbers, Policy, Sink, SinkState, destination};
use crate::{
    Error, ErrorKind, Result,
    change::{Batch, Change, NO_IMAGE, Operation},
    config::{KafkaSink as Settings, Keyless},
    format::Encoder,
    limits::Limits,
};

/// Debezium's header on the delete of a row whose key changes: the key that it has from now on.
const NEW_KEY: &str = "__debezium.newkey";
/// Debezium's header on the insert that follows: the key that it had.
const OLD_KEY: &str = "__debezium.oldkey";

/// Our header that tells which plugins made the record.
const VERSIONS: &str = "sluicegate.plugins";

/// How long one look at the delivery reports waits for them.
const POLL: Duration = Duration::from_millis(1);
/// Looks at the delivery reports after each batch: they take room in the queue until they are seen.
const POLLS_A_BATCH: usize = 16;
/// Batches that are kept, at most, until their records are acknowledged; their bytes are bounded, too.
const RETAINED_BATCHES: usize = 1024;
/// How much longer than the delivery timeout, at most, we wait for librdkafka to say that it has passed.
const GRACE: Duration = Duration::from_secs(60);

/// A Kafka sink.
pub(super) struct KafkaSink {
    client: Client,
    settings: Settings,
    encoder: Encoder,
    topics: Topics,
    /// Whether the plugins' versions are a header.
    versions: bool,
    policy: Policy,
    numbers: Numbers,
    /// Where the tables of the batch at hand go.
    routes: Vec<Route>,
    /// Batches of which something may be unacknowledged: kept only where a failed record does not stop the pipeline. A
    /// record's opaque number is its batch's place in here.
    retained: Vec<Batch>,
    retained_bytes: usize,
    retained_max: usize,
    /// Changes of `retained` that have been set aside already: batch and place of the change in it.
    set_aside: HashSet<(usize, usize)>,
    key: Vec<u8>,
    old_key: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Clone)]
struct Route {
    /// The table's topic; `None` when a plugin chose one that no topic can have.
    topic: Option<Arc<str>>,
    key: Key,
    /// The column that holds the rows' own topics.
    column: Option<usize>,
    /// Whether there are header columns.
    headers: bool,
}

/// What the key of a table's records is.
#[derive(Clone, Copy, PartialEq)]
enum Key {
    Primary,
    WholeRow,
    None,
}

/// Where one image of a row goes, and with what.
struct Place {
    topic: Arc<str>,
    headers: Option<OwnedHeaders>,
}

/// A record to be sent.
struct Record<'a> {
    topic: &'a str,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Option<OwnedHeaders>,
}

impl KafkaSink {
    /// Sets the producer up. Connecting goes on in the background: [`precheck`] tells whether a broker is there.
    /// `versions`: whether the plugins' versions are a header.
    pub(super) fn open(
        settings: &Settings,
        encoder: Encoder,
        versions: bool,
        policy: Policy,
        limits: &Limits,
        numbers: Numbers,
    ) -> Result<Self> {
        let client = client::connect(settings, limits, Reports::new(Some(numbers.clone())))?;
        Ok(Self {
            client,
            settings: settings.clone(),
            encoder,
            topics: Topics::new(&settings.topic, limits.destinations),
            versions,
            policy,
            numbers,
            routes: Vec::new(),
            retained: Vec::new(),
            retained_bytes: 0,
            retained_max: limits.kafka_queue_bytes,
            set_aside: HashSet::new(),
            key: Vec::new(),
            old_key: Vec::new(),
            value: Vec::new(),
        })
    }

    /// Finds the topics and kinds of key of the batch's tables.
    fn route(&mut self, batch: &Batch) -> Result<()> {
        self.routes.clear();
        for rows in &batch.tables {
            let key = match self.settings.keyless {
                _ if rows.table.has_key() => Key::Primary,
                Keyless::WholeRow => Key::WholeRow,
                Keyless::NoKey => Key::None,
                Keyless::Stop => {
                    return Err(Error::new(
                        ErrorKind::Sink,
                        format!("table {} has no primary key, so its records have no key", rows.table.name),
                    )
                    .remedy("give the table a primary key, set `keyless` to `whole-row` or `no-key`, or leave the table out"));
                }
            };
            let table = &rows.table;
            let topic = match &table.destination {
                None => Some(self.topics.topic(&table.name)?),
                Some(chosen) => self.topics.chosen(chosen)?,
            };
            self.routes.push(Route { topic, key, column: table.destination_column(), headers: table.has_headers() });
        }
        Ok(())
    }

    /// Sends the records of one change.
    ///
    /// # Errors
    /// `Record`: one of them cannot be sent; the policy decides. Everything else is final.
    fn send_change(&mut self, batch: &Batch, change: &Change, opaque: usize) -> Result<()> {
        let dangling = || Error::new(ErrorKind::Internal, "a change of a table that the batch does not have");
        let route = self.routes.get(change.table as usize).ok_or_else(dangling)?.clone();
        self.key.clear();
        self.old_key.clear();
        let (before, after) = (change.before != NO_IMAGE, change.after != NO_IMAGE);
        if after {
            write_key(&mut self.encoder, route.key, batch, change.table, change.after, &mut self.key);
        }
        if before {
            write_key(&mut self.encoder, route.key, batch, change.table, change.before, &mut self.old_key);
        }
        // both before anything is sent: a change is delivered whole or set aside whole
        let leaves = match change.operation {
            Operation::Delete => true,
            Operation::Update => after && (self.key != self.old_key || route.column.is_some()),
            _ => false,
        };
        let old = if before && leaves { Some(self.place(batch, change.table, change.before, &route)?) } else { None };
        let new = if after { Some(self.place(batch, change.table, change.after, &route)?) } else { None };
        match (change.operation, old, new) {
            (Operation::Delete, Some(old), _) => self.send_delete(batch, change, &route, old, opaque),
            (Operation::Update, Some(mut old), Some(mut new)) if self.key != self.old_key || old.topic != new.topic => {
                if self.key != self.old_key {
                    old.headers = Some(insert(old.headers, NEW_KEY, &self.key));
                    new.headers = Some(insert(new.headers, OLD_KEY, &self.old_key));
                }
                let gone = Change { operation: Operation::Delete, after: NO_IMAGE, ..*change };
                self.send_delete(batch, &gone, &route, old, opaque)?;
                let came = Change { operation: Operation::Insert, before: NO_IMAGE, ..*change };
                self.send_row(batch, &came, &route, new, opaque)
            }
            (_, _, Some(new)) => self.send_row(batch, change, &route, new, opaque),
            _ => Err(Error::new(ErrorKind::Internal, "a change without the image that its operation has")),
        }
    }

    /// Where the row's record goes, and its headers: those of the table's columns, then the plugins' versions.
    fn place(&mut self, batch: &Batch, table: u32, row: u32, route: &Route) -> Result<Place> {
        let dangling = || Error::new(ErrorKind::Internal, "a change of a table that the batch does not have");
        let rows = batch.tables.get(table as usize).ok_or_else(dangling)?;
        let own = route.column.map_or(Ok(None), |column| destination::of_row(rows, column, row))?;
        let topic = match own {
            Some(own) => self.topics.chosen(own)?,
            None => route.topic.clone(),
        };
        let topic = topic.ok_or_else(|| bad_destination(&rows.table.name))?;
        let mut headers = None;
        if route.headers {
            self.encoder.headers(batch, table, row, |name, value| headers = Some(insert(headers.take(), name, value)))?;
        }
        if self.versions
            && let Some(versions) = &batch.versions
        {
            headers = Some(insert(headers, VERSIONS, versions.as_bytes()));
        }
        Ok(Place { topic, headers })
    }

    fn send_row(&mut self, batch: &Batch, change: &Change, route: &Route, place: Place, opaque: usize) -> Result<()> {
        self.value.clear();
        self.encoder.value(batch, change, &mut self.value)?;
        let key = (route.key != Key::None).then_some(self.key.as_slice());
        self.send(Record { topic: &place.topic, key, value: Some(&self.value), headers: place.headers }, opaque)
    }

    fn send_delete(&mut self, batch: &Batch, change: &Change, route: &Route, place: Place, opaque: usize) -> Result<()> {
        self.value.clear();
        self.encoder.value(batch, change, &mut self.value)?;
        let key = (route.key != Key::None).then_some(self.old_key.as_slice());
        let topic = &*place.topic;
        if self.settings.tombstones && key.is_some() {
            self.send(Record { topic, key, value: Some(&self.value), headers: place.headers.clone() }, opaque)?;
            return self.send(Record { topic, key, value: None, headers: place.headers }, opaque);
        }
        self.send(Record { topic, key, value: Some(&self.value), headers: place.headers }, opaque)
    }

    /// Gives one record to librdkafka, and waits for room in its queue if need be.
    fn send(&self, record: Record<'_>, opaque: usize) -> Result<()> {
        let mut out: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(record.topic, opaque);
        out.key = record.key;
        out.payload = record.value;
        out.headers = record.headers;
        if record.key.is_none() {
            out.partition = Some(0); // one partition, so that the order is kept
        }
        let mut deadline = None;
        loop {
            match self.client.send(out) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                    out = back;
                    self.client.poll(POLL);
                    self.check_final()?;
                    self.check_deadline(
                        deadline.get_or_insert_with(|| Instant::now() + self.settings.delivery_timeout + GRACE),
                        record.topic,
                    )?;
                }
                Err((error, _)) => {
                    let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                    return Err(client::fault(&self.client, &self.settings, code, record.topic));
                }
            }
        }
    }

    fn failure(&self) -> Option<Failure> {
        let reports: &Reports = self.client.context();
        reports.failure().clone()
    }

    /// An error if something failed that the policy cannot mend.
    fn check_final(&self) -> Result<()> {
        match self.failure() {
            Some(failure) if self.policy.stops() || !is_record(failure.code) => {
                Err(client::fault(&self.client, &self.settings, failure.code, &failure.topic))
            }
            _ => Ok(()),
        }
    }

    fn check_deadline(&self, deadline: &Instant, topic: &str) -> Result<()> {
        if Instant::now() < *deadline { Ok(()) } else { Err(client::fault(&self.client, &self.settings, Code::MessageTimedOut, topic)) }
    }

    /// Waits until every record is acknowledged or has failed.
    fn wait_for_all(&self) -> Result<()> {
        let deadline = Instant::now() + self.settings.delivery_timeout + GRACE;
        while self.client.in_flight_count() > 0 {
            self.client.poll(POLL);
            self.check_final()?;
            self.check_deadline(&deadline, &self.settings.topic)?;
        }
        self.check_final()
    }

    /// Waits for everything, mends what failed, and forgets the retained batches.
    fn settle(&mut self) -> Result<()> {
        self.wait_for_all()?;
        let reports: &Reports = self.client.context();
        let failure = reports.failure().take();
        let retained = std::mem::take(&mut self.retained);
        let set_aside = std::mem::take(&mut self.set_aside);
        self.retained_bytes = 0;
        match failure {
            None => Ok(()),
            Some(failure) => self.send_again(&retained, &set_aside, failure.least),
        }
    }

    /// A refused request takes every record in it down, whichever was at fault, and later ones may have got through. So all
    /// changes since the first that failed are sent again, each by itself: the bad ones are found, nothing else is lost, and
    /// the last record of every key is the right one again.
    fn send_again(&mut self, retained: &[Batch], set_aside: &HashSet<(usize, usize)>, first: usize) -> Result<()> {
        tracing::warn!(batches = retained.len().saturating_sub(first), "records were refused: sending again one by one");
        for (number, batch) in retained.iter().enumerate().skip(first) {
            self.route(batch)?;
            for (place, change) in batch.changes.iter().enumerate() {
                if set_aside.contains(&(number, place)) {
                    continue;
                }
                match self.send_alone(batch, change) {
                    Err(error) if error.kind() == ErrorKind::Record => self.policy.apply(&self.numbers, error, batch, change)?,
                    other => other?,
                }
            }
        }
        Ok(())
    }

    /// Sends one change, and waits for its records.
    fn send_alone(&mut self, batch: &Batch, change: &Change) -> Result<()> {
        let sent = self.send_change(batch, change, 0);
        self.wait_for_all()?;
        let reports: &Reports = self.client.context();
        let failure = reports.failure().take();
        sent?;
        match failure {
            Some(failure) => Err(client::fault(&self.client, &self.settings, failure.code, &failure.topic)),
            None => Ok(()),
        }
    }
}

fn insert(headers: Option<OwnedHeaders>, key: &str, value: &[u8]) -> OwnedHeaders {
    headers.unwrap_or_else(|| OwnedHeaders::new_with_capacity(1)).insert(Header { key, value: Some(value) })
}

/// Writes the key of a row image.
fn write_key(encoder: &mut Encoder, key: Key, batch: &Batch, table: u32, row: u32, out: &mut Vec<u8>) {
    match key {
        Key::Primary => {
            encoder.key(batch, table, row, out);
        }
        Key::WholeRow => encoder.row_key(batch, table, row, out),
        Key::None => {}
    }
}

impl Sink for KafkaSink {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        let keep = !self.policy.stops();
        let full = self.retained_bytes + batch.bytes > self.retained_max || self.retained.len() >= RETAINED_BATCHES;
        if full && !self.retained.is_empty() {
            self.settle()?;
        }
        self.route(batch)?;
        let number = self.retained.len();
        for (place, change) in batch.changes.iter().enumerate() {
            match self.send_change(batch, change, number) {
                Err(error) if error.kind() == ErrorKind::Record => {
                    self.policy.apply(&self.numbers, error, batch, change)?;
                    self.set_aside.insert((number, place));
                }
                other => other?,
            }
        }
        if keep {
            self.retained_bytes += batch.bytes;
            self.retained.push(batch.clone());
        }
        for _ in 0..POLLS_A_BATCH {
            self.client.poll(Duration::ZERO);
        }
        self.check_final()
    }

    fn flush(&mut self) -> Result<SinkState> {
        self.settle()?;
        Ok("{}".to_owned())
    }
}

#[cfg(test)]
mod tests;
