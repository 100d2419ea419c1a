//! Exactly once: records are written in transactions, together with the sink's progress.
//!
//! A transaction begins with the first record after a commit, and ends when the pipeline says so ([`Sink::commit`]), with the records
//! of the positions topic. Everything in it is kept until then: when the brokers abort it, it is written again. A record that they
//! refuse takes its whole transaction down; which one it was is found out by transactions that are aborted on purpose.
//!
//! Sources: KIP-98 (transactions), KIP-360 (producer epochs), librdkafka's `INTRODUCTION.md`, "Transactional producer".
//!
//! [`Sink::commit`]: sluicegate_sink::Sink::commit

use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    error::KafkaError,
    producer::{BaseRecord, Producer},
    types::RDKafkaErrorCode as Code,
};
use serde::{Deserialize, Serialize};

use super::{
    GRACE, KafkaSink, POLL, Retained,
    client::{Failure, LETTER, NOTICE, OWN, Reports, is_record},
    heartbeat::Heartbeats,
    letters,
    metadata::{Metadata, begun_in},
    notice::Notice,
    positions::{self, PARTITION},
    transaction_fault::transaction_fault,
};
use sluicegate_config::KafkaSink as Settings;
use sluicegate_kafka::Membership;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::Frontier,
    limits::{KAFKA_SHORT_TRANSACTION, KAFKA_TRANSACTION, KAFKA_TRANSACTION_ATTEMPTS, KAFKA_TRANSACTION_COMMITS},
};
use sluicegate_sink::{SinkState, Urgency};

/// How long one call that ends a transaction waits before reports are looked at.
const ABORT_STEP: Duration = Duration::from_millis(50);

/// How long the report of a record that made a transaction fail is waited for.
const REPORTED_WITHIN: Duration = Duration::from_secs(1);

/// What the checkpoint keeps of a sink that delivers exactly once.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct State {
    /// The topic that holds its progress.
    pub positions_topic: String,
    /// The name under which it stands there.
    pub transactional_id: String,
    /// Since when it delivers exactly once, without a break.
    pub incarnation: String,
    /// The consumer group whose offsets are its progress, in place of the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl State {
    /// The state that a sink of this kind left; none where it delivered at least once, or was set to a place by hand.
    pub fn parse(state: Option<&str>) -> Result<Option<Self>> {
        let Some(state) = state.filter(|state| !state.is_empty() && *state != "{}") else { return Ok(None) };
        if begun_in(Some(state)).is_some() {
            return Ok(None);
        }
        serde_json::from_str(state).map(Some).map_err(|e| {
            Error::new(ErrorKind::State, "the checkpoint holds a state of this sink that is not that of a Kafka sink").caused_by(e).remedy(
                "set the sink's kind back; or begin it anew: `sluicegate checkpoint drop --force` it and give it a `start`, which may lose changes",
            )
        })
    }

    pub fn to_text(&self) -> Result<SinkState> {
        serde_json::to_string(self).map_err(|e| Error::new(ErrorKind::Internal, "the state cannot be written as JSON").caused_by(e))
    }
}

/// The current transaction.
pub(super) struct Transaction {
    pub state: State,
    /// The member of a group whose offsets are committed in it.
    membership: Option<Arc<Membership>>,
    /// Since when it is open.
    open: Option<Instant>,
    /// How long the last commit took.
    took: Duration,
    /// Nothing more can be written into it: it has to be aborted.
    pub broken: Cell<bool>,
    /// The record that stands in it by itself.
    notice: Option<Notice>,
}

impl Transaction {
    pub fn new(state: State, membership: Option<Arc<Membership>>) -> Self {
        Self { state, membership, open: None, took: Duration::ZERO, broken: Cell::new(false), notice: None }
    }

    /// Whether anything stands in it.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How long it has been open.
    pub fn age(&self) -> Option<Duration> {
        self.open.map(|open| open.elapsed())
    }

    /// How soon it has to be committed. `full`: nothing further may be kept.
    pub fn urgency(&self, full: bool) -> Urgency {
        match self.open {
            None => Urgency::Interval,
            Some(_) if full || self.broken.get() => Urgency::Now,
            Some(open) if open.elapsed() >= open_for(self.took) => Urgency::Now,
            Some(_) => Urgency::Idle,
        }
    }
}

/// How long a transaction stays open while further batches keep coming. Nothing is encoded during a commit, so that the time for one is to
/// be a small part of the whole.
fn open_for(last_commit: Duration) -> Duration {
    last_commit.saturating_mul(KAFKA_TRANSACTION_COMMITS).clamp(KAFKA_SHORT_TRANSACTION, KAFKA_TRANSACTION)
}

/// How long one request that ends a transaction may take.
pub(super) fn patience(settings: &Settings) -> Duration {
    settings.delivery_timeout + GRACE
}

/// A change in [`KafkaSink::retained`]: batch and place.
type At = (usize, usize);

impl KafkaSink {
    /// Opens a transaction if there is none. Nothing to do for a sink without transactions.
    pub(super) fn begin_transaction(&mut self) -> Result<()> {
        let Some(transaction) = self.transaction.as_mut().filter(|transaction| transaction.open.is_none()) else { return Ok(()) };
        self.client
            .begin_transaction()
            .map_err(|error| transaction_fault(&self.client, self.settings.in_group, &transaction.state.transactional_id, error))?;
        transaction.open = Some(Instant::now());
        Ok(())
    }

    /// After a change could not be sent: whether that is because the transaction is lost, which its commit mends.
    pub(super) fn is_broken(&self) -> bool {
        let failed = self.failure().is_some() && !self.numbers.has_ended();
        match &self.transaction {
            Some(transaction) if failed || transaction.broken.get() => {
                transaction.broken.set(true);
                true
            }
            _ => false,
        }
    }

    /// Whether the current transaction takes no further records.
    pub(super) fn broken(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.broken.get())
    }

    /// Commits the records since the last commit with the progress that they make, in one transaction.
    ///
    /// # Errors
    /// Nobody knows whether it was committed; the next start reads it in the positions topic.
    pub(super) fn commit_transaction(&mut self, progress: &Frontier) -> Result<()> {
        let began = Instant::now();
        let mut attempt = 1;
        let (mut refused, mut groups): (bool, Option<Vec<Vec<At>>>) = (false, None);
        loop {
            self.begin_transaction()?;
            let next = match self.try_commit(progress)? {
                Committed::Yes => break,
                // each by itself when that did not do: a request of several records may be too large although none of them is
                Committed::Refused(_) if refused => self.kept().into_iter().map(|at| vec![at]).collect(),
                Committed::Refused(failure) => {
                    refused = true;
                    self.set_refused_aside(&failure)?
                }
                Committed::Aborted(error) => {
                    tracing::warn!(attempt, error = %error.chain(), "the brokers aborted a transaction: writing it again");
                    if attempt == KAFKA_TRANSACTION_ATTEMPTS {
                        return Err(error);
                    }
                    groups.take().unwrap_or_else(|| vec![self.kept()])
                }
            };
            if attempt == KAFKA_TRANSACTION_ATTEMPTS {
                return Err(Error::new(ErrorKind::Sink, "the brokers refused a transaction although each of its changes was accepted")
                    .remedy("see the brokers' log, then start again: nothing is lost or repeated"));
            }
            attempt += 1;
            self.write_again(&next)?;
            groups = Some(next);
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.took = began.elapsed();
        }
        self.forget_retained();
        self.metadata.iter_mut().for_each(Metadata::committed);
        self.heartbeats.iter_mut().for_each(Heartbeats::delivered);
        Ok(())
    }

    /// What was kept for the transaction is needed no longer.
    pub(super) fn forget_retained(&mut self) {
        self.retained.clear();
        self.set_aside.clear();
        self.letters.clear();
        self.retained_bytes = 0;
        if let Some(transaction) = &mut self.transaction {
            transaction.notice = None;
        }
    }

    /// The pipeline commits before and behind it.
    pub(super) fn notify_in_transaction(&mut self, notice: Notice) -> Result<()> {
        self.begin_transaction()?;
        if let Some(transaction) = &mut self.transaction {
            transaction.notice = Some(notice);
        }
        self.notify_again()
    }

    fn notify_again(&mut self) -> Result<()> {
        let Some(notice) = self.transaction.as_ref().and_then(|transaction| transaction.notice.clone()) else { return Ok(()) };
        match self.send_notice(&notice) {
            Err(_) if self.is_broken() => Ok(()),
            other => other,
        }
    }

    fn try_commit(&mut self, progress: &Frontier) -> Result<Committed> {
        let Some(transaction) = &self.transaction else { return Ok(Committed::Yes) };
        let (state, membership) = (transaction.state.clone(), transaction.membership.clone());
        let mut unsent = None;
        if !transaction.broken.get() {
            if let Some(heartbeat) = self.heartbeat()? {
                match self.send_notice(&heartbeat) {
                    Err(_) if self.is_broken() => {}
                    other => other?,
                }
            }
            let begun = self.metadata.as_ref().and_then(Metadata::begun);
            let records = match &membership {
                Some(_) => Vec::new(),
                None => positions::records(&state.transactional_id, &state.incarnation, progress, begun)?,
            };
            unsent = self.send_letters()?;
            if unsent.is_none() {
                unsent = records.iter().find_map(|record| self.send_position(&state, record).err());
            }
            self.flush()?;
        }
        if self.broken() {
            self.learn_why();
        }
        if let Some(failure) = self.failure() {
            let error = match failure.least {
                OWN if is_record(failure.code) => position_refused(&state, failure.code),
                LETTER if is_record(failure.code) => letters::refused(&failure.topic, failure.code),
                NOTICE if is_record(failure.code) => self.notice_refused(&failure.topic, failure.code),
                _ => self.fault(failure.code, &failure.topic),
            };
            let aborted = self.abort();
            return match failure.code {
                code if is_record(code) && !self.policy.stops() && failure.least < LETTER => aborted.map(|()| Committed::Refused(failure)),
                code if may_pass(code) => aborted.map(|()| Committed::Aborted(error)),
                // why it failed says more than that it cannot be aborted
                _ => Err(error),
            };
        }
        let broken = self.broken();
        if let Some(error) = unsent.filter(|_| !broken) {
            self.abort()?;
            return match error.kind() {
                ErrorKind::Record => Err(position_refused(&state, error)),
                _ => Ok(Committed::Aborted(error)),
            };
        }
        if !broken {
            // a dead letter counts as delivered with this transaction
            self.policy.sync()?;
        }
        let mut consumed = None;
        if let Some(membership) = membership.filter(|_| !broken) {
            match self.send_consumed(&membership, progress, &state)? {
                Ok(list) => consumed = list.map(|list| (membership, list)),
                Err(committed) => return Ok(committed),
            }
        }
        // when it is broken, librdkafka commits nothing, and says why
        let deadline = Instant::now() + patience(&self.settings);
        loop {
            if self.numbers.has_ended() {
                return Err(Error::new(ErrorKind::Sink, "the run ended before a transaction was committed")
                    .remedy("nothing is lost: the next start finds out whether it was, and goes on there"));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.client.commit_transaction(left.min(Duration::from_secs(1))) {
                Ok(()) if broken => return Err(Error::new(ErrorKind::Internal, "a transaction was committed that had failed")),
                Ok(()) => {
                    if let Some(transaction) = &mut self.transaction {
                        transaction.open = None;
                    }
                    let reports: &Reports = self.client.context();
                    reports.count_committed();
                    if let Some((membership, list)) = &consumed {
                        membership.committed(list);
                    }
                    return Ok(Committed::Yes);
                }
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !left.is_zero() => {
                    self.client.poll(POLL);
                }
                Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                    let forbidden = error.code() == Code::TopicAuthorizationFailed;
                    let fault =
                        transaction_fault(&self.client, self.settings.in_group, &state.transactional_id, KafkaError::Transaction(error));
                    let aborted = self.abort();
                    return if forbidden { Err(fault) } else { aborted.map(|()| Committed::Aborted(fault)) };
                }
                Err(error) => return Err(transaction_fault(&self.client, self.settings.in_group, &state.transactional_id, error)),
            }
        }
    }

    /// A record of the positions topic.
    fn send_position(&self, state: &State, record: &positions::Record) -> Result<()> {
        let mut out: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(&state.positions_topic, OWN);
        out.key = Some(record.key.as_bytes());
        out.payload = record.value.as_deref().map(str::as_bytes);
        out.partition = Some(PARTITION);
        self.give(out, &state.positions_topic)
    }

    /// Writes how far the sink is before anything else, and lets the topic forget what is older.
    pub(super) fn begin_incarnation(&mut self, frontier: &Frontier, found: &positions::Found) -> Result<()> {
        let Some(transaction) = &self.transaction else { return Ok(()) };
        let state = transaction.state.clone();
        self.begin_transaction()?;
        for record in found.forget_all_but(&state.transactional_id, &state.incarnation)? {
            self.send_position(&state, &record)?;
        }
        self.commit_transaction(frontier)
    }

    /// Sends what librdkafka holds, and waits until it knows what became of it.
    fn flush(&self) -> Result<()> {
        let deadline = Instant::now() + patience(&self.settings);
        while self.client.in_flight_count() > 0 && self.failure().is_none() {
            if self.numbers.has_ended() {
                return Err(Error::new(ErrorKind::Sink, "the run ended before the brokers acknowledged its records")
                    .remedy("nothing is lost: the next start goes on at the sink's last transaction"));
            }
            self.client.poll(POLL);
            self.check_deadline(&deadline, self.settings.topic.text())?;
        }
        Ok(())
    }

    /// librdkafka refuses further records as soon as one has failed, before it reports that one.
    fn learn_why(&self) {
        let deadline = Instant::now() + REPORTED_WITHIN;
        while self.failure().is_none() && Instant::now() < deadline {
            self.client.poll(POLL);
        }
    }

    /// Ends the transaction so that nobody sees it.
    pub(super) fn abort(&mut self) -> Result<()> {
        let Some(transaction) = self.transaction.as_mut().filter(|transaction| transaction.open.is_some()) else { return Ok(()) };
        transaction.open = None;
        transaction.broken.set(false);
        let id = transaction.state.transactional_id.clone();
        let deadline = Instant::now() + patience(&self.settings);
        loop {
            // librdkafka drops what it has not sent, waits for what is on its way, and for us to take the reports: a call at a time
            match self.client.abort_transaction(ABORT_STEP) {
                Ok(()) => break,
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {
                    while self.client.in_flight_count() > 0 && Instant::now() < deadline {
                        let before = self.client.in_flight_count();
                        self.client.poll(POLL);
                        if self.client.in_flight_count() == before {
                            break;
                        }
                    }
                }
                Err(error) => return Err(transaction_fault(&self.client, self.settings.in_group, &id, error)),
            }
        }
        // no report of this transaction may be taken for one of the next
        while self.client.in_flight_count() > 0 && Instant::now() < deadline {
            self.client.poll(POLL);
        }
        let reports: &Reports = self.client.context();
        reports.forget();
        Ok(())
    }

    /// Writes everything since the last commit again. No request holds records of two groups.
    fn write_again(&mut self, groups: &[Vec<At>]) -> Result<()> {
        self.begin_transaction()?;
        self.tell_again()?;
        let mut told = 0;
        for (number, group) in groups.iter().enumerate() {
            if number > 0 {
                self.flush()?;
            }
            self.write_some(group, Some(&mut told))?;
        }
        self.tell_ends_again(&mut told, self.retained.len())?;
        self.notify_again()
    }

    /// The changes since the last commit that were not set aside, in their order.
    fn kept(&self) -> Vec<At> {
        let batches = self.retained.iter().enumerate();
        let changes = batches.flat_map(|(number, Retained { sent, .. })| sent.clone().map(move |place| (number, place)));
        changes.filter(|at| !self.set_aside.contains(at)).collect()
    }

    /// `told`: up to which batch it is told where the source's transactions end; nothing is told of what nobody will see.
    fn write_some(&mut self, changes: &[At], mut told: Option<&mut usize>) -> Result<()> {
        let mut routed = usize::MAX;
        for (number, place) in changes {
            if self.set_aside.contains(&(*number, *place)) {
                continue;
            }
            let Some(Retained { batch, .. }) = self.retained.get(*number) else { continue };
            let batch = batch.clone();
            if routed != *number {
                if let Some(told) = &mut told {
                    self.tell_ends_again(told, *number)?;
                }
                self.route(&batch)?;
                self.metadata.iter_mut().for_each(Metadata::begin_batch);
                routed = *number;
            }
            let Some(change) = batch.changes.get(*place) else { continue };
            if told.is_some() {
                self.enter(&batch, change)?;
            }
            match self.send_change(&batch, change, *number) {
                Err(_) if self.is_broken() => return Ok(()),
                // it was not tried before: the transaction was lost in front of it
                Err(error) if error.kind() == ErrorKind::Record => {
                    self.set_change_aside(error, &batch, change)?;
                    self.set_aside.insert((*number, *place));
                }
                other => other.map(drop)?,
            }
        }
        Ok(())
    }

    /// Finds the changes of which the brokers refuse a record, and does with them what the policy says. Everything that is written
    /// for it is aborted. Answers the others, in groups that the brokers took.
    fn set_refused_aside(&mut self, first: &Failure) -> Result<Vec<Vec<At>>> {
        tracing::warn!(batches = self.retained.len(), "records were refused: finding out which");
        let (before, suspects) = self.kept().into_iter().partition(|(number, _)| *number < first.least);
        let mut groups: Vec<Vec<At>> = vec![before];
        // halves that wait for their turn, in order: what is set aside is told in the order of the stream
        let mut waiting: Vec<Vec<At>> = vec![suspects];
        while let Some(mut part) = waiting.pop() {
            let Some(failure) = self.probe(&part)? else {
                groups.push(part);
                continue;
            };
            if let [(number, place)] = part[..] {
                let error = self.fault(failure.code, &failure.topic);
                let Some(Retained { batch, .. }) = self.retained.get(number) else { continue };
                let batch = batch.clone();
                let Some(change) = batch.changes.get(place) else { continue };
                self.set_change_aside(error, &batch, change)?;
                self.set_aside.insert((number, place));
            } else {
                let second = part.split_off(part.len() / 2);
                waiting.extend([second, part]);
            }
        }
        Ok(groups)
    }

    /// Whether the brokers take the changes' records. Nobody sees them.
    fn probe(&mut self, changes: &[At]) -> Result<Option<Failure>> {
        if changes.is_empty() {
            return Ok(None);
        }
        for _ in 0..KAFKA_TRANSACTION_ATTEMPTS {
            self.begin_transaction()?;
            self.write_some(changes, None)?;
            self.flush()?;
            if self.broken() {
                self.learn_why();
            }
            let failure = self.failure();
            let reports: &Reports = self.client.context();
            let lost = self.broken() || reports.has_dropped();
            self.abort()?;
            match failure {
                Some(failure) if is_record(failure.code) => return Ok(Some(failure)),
                Some(failure) if !may_pass(failure.code) => return Err(self.fault(failure.code, &failure.topic)),
                None if !lost => return Ok(None),
                // the first request behind a refused one is out of sequence, and takes its transaction down: it says nothing of these
                _ => {}
            }
        }
        Err(Error::new(
            ErrorKind::Sink,
            "the brokers gave up one transaction after the other while it was found out which record they refuse",
        )
        .remedy("see the brokers' log, then start again: nothing is lost or repeated"))
    }
}

/// Whether writing the records again may mend it. What librdkafka tried until its time was up does not pass.
fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidProducerEpoch | Code::InvalidProducerIdMapping | Code::InvalidTransactionalState | Code::ConcurrentTransactions
    )
}

/// The error of progress that its topic does not take.
fn position_refused(state: &State, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let what = format!("the positions topic `{}` does not take the sink's progress", state.positions_topic);
    Error::new(ErrorKind::Sink, what).caused_by(why).remedy(
        "raise `max.message.bytes` of the topic, and `message.max.bytes` in the sink's `options`; then start again: nothing is lost or repeated",
    )
}

/// What became of a transaction.
pub(super) enum Committed {
    Yes,
    /// The brokers refused a record.
    Refused(Failure),
    /// They gave the transaction up.
    Aborted(Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_stays_open_for_the_longer_the_longer_a_commit_takes() {
        let open_for = |milliseconds| open_for(Duration::from_millis(milliseconds)).as_millis();
        assert_eq!([0, 3, 5, 40, 100, 60_000].map(open_for), [10, 10, 15, 120, 250, 250]);
        let mut transaction = Transaction::new(
            State { positions_topic: String::new(), transactional_id: String::new(), incarnation: String::new(), group: None },
            None,
        );
        transaction.open = Some(Instant::now() - Duration::from_millis(100));
        assert_eq!(transaction.urgency(false), Urgency::Now);
        transaction.took = Duration::from_secs(1);
        assert_eq!(transaction.urgency(false), Urgency::Idle);
    }
}
