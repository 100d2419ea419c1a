//! A topic of dead letters: each letter is a record, with the same JSON as in a file.
//!
//! The sink whose brokers have it, if it delivers exactly once, sends the letters of its own changes in the transaction of their neighbours.
//! Everything else has a producer of its own, whose records are acknowledged before any progress moves past their changes.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer as _},
    types::RDKafkaErrorCode as Code,
};

use super::{
    GRACE, KafkaSink, POLL,
    client::{self, Client, LETTER, Reports, is_record},
};
use sluicegate_config::{Delivery, KafkaSink as Settings, LetterTopic, TopicCreation};
use sluicegate_dead_letter::{Outgoing, Queue};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change},
    limits::Limits,
};

/// Header that says who set a letter aside: `plugin`, `sink` or `source`.
pub(super) const KIND: &str = "sluicegate.kind";
/// Header with the name of the plugin or sink, or the kind of source.
pub(super) const STAGE: &str = "sluicegate.stage";
/// Header with the versions of the plugins that the change has passed.
const PLUGINS: &str = "sluicegate.plugins";

/// A topic of dead letters.
pub struct LetterQueue {
    topic: String,
    /// The sink whose brokers have it.
    sink: String,
    /// Whether that sink sends its own letters.
    transactional: bool,
    settings: Settings,
    limits: Limits,
    /// Made with the first letter.
    client: Mutex<Option<Client>>,
}

impl fmt::Debug for LetterQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LetterQueue").field("topic", &self.topic).field("sink", &self.sink).finish_non_exhaustive()
    }
}

impl LetterQueue {
    /// The topic that the pipeline file names.
    pub fn new(letters: &LetterTopic, limits: &Limits) -> Self {
        let LetterTopic { topic, sink, settings } = letters.clone();
        let transactional = matches!(settings.delivery, Delivery::ExactlyOnce(_));
        // the letters of others have no part in its transactions
        let settings = Settings { delivery: Delivery::AtLeastOnce, topics: TopicCreation::MustExist, ..*settings };
        Self { topic, sink, transactional, settings, limits: limits.clone(), client: Mutex::new(None) }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn client(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error if a letter was not delivered: from then on nobody knows which ones were.
    fn check(&self, client: &Client) -> Result<()> {
        let reports: &Reports = client.context();
        let failure = reports.failure().clone();
        match failure {
            Some(failure) => Err(self.refused(client, failure.code)),
            None => Ok(()),
        }
    }

    fn refused(&self, client: &Client, code: Code) -> Error {
        if is_record(code) {
            return refused(&self.topic, code);
        }
        client::fault(client, &self.settings, self.limits.connect_timeout, code, &self.topic).context("a dead letter")
    }

    /// Checks that the topic is there.
    ///
    /// # Errors
    /// `Connection`: the brokers do not answer. `Precheck`: it is not there, or the account may not see it.
    pub fn precheck(&self) -> Result<()> {
        let client = client::connect(&self.settings, &self.limits, Reports::new(None))?;
        let name = self.topic.as_str();
        let cluster = client.client().fetch_metadata(Some(name), self.limits.connect_timeout).map_err(|e| {
            Error::new(ErrorKind::Connection, format!("no Kafka broker answered a question about the dead-letter topic `{name}`"))
                .caused_by(e)
                .remedy("start the brokers, or correct the `brokers` of the sink whose topic it is")
        })?;
        let code = cluster.topics().iter().find(|topic| topic.name() == name).map(|topic| topic.error().map(Code::from));
        match code {
            Some(None) => Ok(()),
            Some(Some(code @ Code::TopicAuthorizationFailed)) => {
                Err(Error::new(ErrorKind::Precheck, format!("the account may not see the dead-letter topic `{name}`"))
                    .caused_by(code)
                    .remedy("grant it WRITE and DESCRIBE on the topic, and READ to those who run `sluicegate dlq`"))
            }
            _ => Err(Error::new(ErrorKind::Precheck, format!("the dead-letter topic `{name}` is not there")).remedy(
                "make it (`kafka-topics.sh --create`), with a retention as long as letters may wait; the pipeline does not make it",
            )),
        }
    }
}

impl KafkaSink {
    /// Does with a change that cannot be delivered what the policy says.
    pub(super) fn set_change_aside(&mut self, error: Error, batch: &Batch, change: &Change) -> Result<()> {
        if self.transaction.is_none() || self.policy.queue().is_none() {
            return self.policy.apply(&self.numbers, error, batch, change);
        }
        let before = self.letters.len();
        self.policy.apply_to(&self.numbers, error, batch, change, &mut self.letters)?;
        self.retained_bytes += self.letters.iter().skip(before).map(|letter| letter.text.len()).sum::<usize>();
        Ok(())
    }

    /// Sends the letters of the open transaction. Answers what kept one from being sent, if the transaction is lost.
    ///
    /// # Errors
    /// The client does not take one.
    pub(super) fn send_letters(&mut self) -> Result<Option<Error>> {
        let Some(queue) = self.policy.queue().cloned() else { return Ok(None) };
        let topic = queue.topic();
        match self.letters.iter().find_map(|letter| self.give(record(topic, letter), topic).err()) {
            Some(error) if error.kind() == ErrorKind::Record => {
                self.abort()?;
                Err(refused(topic, error))
            }
            other => Ok(other),
        }
    }
}

impl Queue for LetterQueue {
    fn is_sent_by(&self, sink: &str) -> bool {
        self.transactional && self.sink == sink
    }

    fn topic(&self) -> &str {
        &self.topic
    }

    fn send(&self, letter: &Outgoing) -> Result<()> {
        let mut client = self.client();
        let client = match &mut *client {
            Some(client) => client,
            none => none.insert(client::connect(&self.settings, &self.limits, Reports::new(None))?),
        };
        self.check(client)?;
        let mut out = record(&self.topic, letter);
        let deadline = Instant::now() + self.settings.delivery_timeout + GRACE;
        loop {
            match client.send(out) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                    out = back;
                    client.poll(POLL);
                    self.check(client)?;
                    if Instant::now() >= deadline {
                        return Err(self.refused(client, Code::MessageTimedOut));
                    }
                }
                Err((error, _)) => return Err(self.refused(client, error.rdkafka_error_code().unwrap_or(Code::Fail))),
            }
        }
    }

    fn sync(&self) -> Result<()> {
        let client = self.client();
        let Some(client) = &*client else { return Ok(()) };
        // also without letters: it may need an access token
        client.poll(Duration::ZERO);
        let deadline = Instant::now() + self.settings.delivery_timeout + GRACE;
        while client.in_flight_count() > 0 {
            client.poll(POLL);
            self.check(client)?;
            if Instant::now() >= deadline {
                return Err(self.refused(client, Code::MessageTimedOut));
            }
        }
        self.check(client)
    }
}

/// A letter as a record: keyed by its table, so that those of one table stay in order.
pub(super) fn record<'l>(topic: &'l str, letter: &'l Outgoing) -> BaseRecord<'l, [u8], [u8], usize> {
    let mut out: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(topic, LETTER);
    out.key = Some(letter.of.as_bytes());
    out.payload = Some(&letter.text);
    let header = |headers: OwnedHeaders, key, value: &str| headers.insert(Header { key, value: Some(value) });
    let headers = header(header(OwnedHeaders::new_with_capacity(3), KIND, letter.kind.name()), STAGE, &letter.stage);
    out.headers = Some(match &letter.plugins {
        Some(plugins) => header(headers, PLUGINS, plugins),
        None => headers,
    });
    out
}

/// The error of a letter that the brokers do not take.
pub(super) fn refused(topic: &str, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Sink, format!("the dead-letter topic `{topic}` does not take a letter"))
        .caused_by(why)
        .remedy("raise `max.message.bytes` of the topic, and `message.max.bytes` in the sink's `options`, and keep its `batch.size` below the topic's limit: a letter has both images of the row; then start again: nothing is lost")
}
