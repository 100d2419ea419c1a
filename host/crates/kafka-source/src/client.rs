//! The consumer: its settings, what it reports, and what its errors mean.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
    types::{RDKafkaConfRes, RDKafkaRespErr},
};

use sluicegate_config::{KafkaSource, refused_source_option};
use sluicegate_kafka::{Tokens, Troubles, apply, explain, renewed, suspect};
use sluicegate_model::{
    Error, ErrorKind, Result,
    limits::{KAFKA_ANSWER_BYTES, KAFKA_FETCH_BYTES, KAFKA_FETCH_PARTITION_BYTES, KAFKA_READ_BYTES, KAFKA_TOPICS_INTERVAL, Limits},
};

pub(super) type Client = BaseConsumer<Reports>;

/// What librdkafka reports.
#[derive(Default)]
pub(super) struct Reports {
    troubles: Troubles,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// Whether there are any: it is asked for each record.
    decided: AtomicBool,
    /// Whether what comes is of no interest any more.
    closing: AtomicBool,
    /// Whether a broker's answer was larger than what is taken at all.
    too_large: AtomicBool,
    tokens: Tokens,
}

impl Reports {
    /// Whether the group has decided something.
    pub(super) fn has_decided(&self) -> bool {
        self.decided.load(Ordering::Acquire)
    }

    /// What the group decided next.
    pub(super) fn rebalance(&self) -> Option<Rebalance> {
        if !self.has_decided() {
            return None;
        }
        let mut rebalances = self.rebalances.lock().unwrap_or_else(PoisonError::into_inner);
        let next = rebalances.pop_front();
        self.decided.store(!rebalances.is_empty(), Ordering::Release);
        next
    }

    /// The group decided something.
    pub(super) fn decide(&self, rebalance: Rebalance) {
        let mut rebalances = self.rebalances.lock().unwrap_or_else(PoisonError::into_inner);
        rebalances.push_back(rebalance);
        self.decided.store(true, Ordering::Release);
    }

    /// Whether a broker's answer was larger than what is taken: it would come again and again.
    pub(super) fn too_large(&self) -> bool {
        self.too_large.load(Ordering::Relaxed)
    }

    fn hear(&self, text: &str) {
        // librdkafka tells it by a text alone
        if text.contains("increase receive.message.max.bytes") {
            self.too_large.store(true, Ordering::Relaxed);
        }
    }

    /// The brokers have answered.
    pub(super) fn forget(&self) {
        self.troubles.forget();
    }
}

impl ClientContext for Reports {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.tokens.refreshed()
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.hear(message);
        sluicegate_kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.hear(reason);
        self.troubles.hear(&error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}
}

/// What the group decided. Nothing is read of other partitions, and the group waits, until the session has followed.
pub(super) enum Rebalance {
    /// These partitions are the member's.
    Assigned(TopicPartitionList),
    /// It has none any longer.
    Revoked,
}

impl ConsumerContext for Reports {
    fn rebalance(&self, client: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let event = match event {
            _ if self.closing.load(Ordering::Acquire) => {
                // nobody waits for it any more
                if let Err(error) = client.unassign() {
                    tracing::debug!(%error, "leaving the group");
                }
                return;
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assigned(list.clone()),
            _ => Rebalance::Revoked,
        };
        self.decide(event);
    }
}

/// A client that leaves its group when it is dropped.
pub(super) struct Member(pub std::sync::Arc<Client>);

impl Drop for Member {
    fn drop(&mut self) {
        let reports: &Reports = self.0.context();
        reports.closing.store(true, Ordering::Release);
        if let Err(error) = self.0.unassign() {
            tracing::debug!(%error, "leaving the group");
        }
    }
}

/// Our settings with the user's on top.
fn config(settings: &KafkaSource, limits: &Limits) -> Result<ClientConfig> {
    let milliseconds = |d: Duration| d.as_millis().clamp(1, i32::MAX as u128).to_string();
    let mut config = ClientConfig::new();
    config
        .set_log_level(RDKafkaLogLevel::Notice)
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", "sluicegate")
        // without a group a name is needed all the same, and nothing is committed under it
        .set("group.id", settings.group.as_deref().unwrap_or("sluicegate"))
        // all partitions are given back before others are taken
        .set("partition.assignment.strategy", "range,roundrobin")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false")
        .set("enable.partition.eof", "false")
        // what is damaged must not be read as something else
        .set("check.crcs", "true")
        .set("isolation.level", "read_committed")
        // records that are gone are an error, and never passed over
        .set("auto.offset.reset", "error")
        .set("socket.connection.setup.timeout.ms", milliseconds(limits.connect_timeout.max(Duration::from_secs(1))))
        .set("queued.max.messages.kbytes", (KAFKA_READ_BYTES >> 10).to_string())
        .set("fetch.max.bytes", KAFKA_FETCH_BYTES.to_string())
        .set("fetch.message.max.bytes", KAFKA_FETCH_PARTITION_BYTES.to_string())
        .set("receive.message.max.bytes", KAFKA_ANSWER_BYTES.to_string());
    if settings.group.is_some() {
        // partitions that are new are given out as soon as they are found without a group
        config.set("topic.metadata.refresh.interval.ms", milliseconds(KAFKA_TOPICS_INTERVAL));
    }
    let connection = settings.connection();
    for (name, value) in &settings.options {
        if let Some(reason) = refused_source_option(name) {
            return Err(Error::new(ErrorKind::Config, format!("the Kafka option `{name}` cannot be set: {reason}")).remedy("remove it"));
        }
        config.set(name, renewed(connection, value, name)?.reveal());
    }
    apply(&mut config, connection)?;
    Ok(config)
}

/// A consumer.
pub(super) fn connect(settings: &KafkaSource, limits: &Limits) -> Result<Client> {
    let (config, tokens) = (config(settings, limits)?, Tokens::of(settings.connection()));
    // without a group there is nobody who decides anything
    let closing = AtomicBool::new(settings.group.is_none());
    let reports = Reports { tokens: tokens.clone(), closing, ..Reports::default() };
    let client: Client = config.create_with_context(reports).map_err(not_set_up)?;
    tokens.give(client.client())?;
    Ok(client)
}

fn not_set_up(error: KafkaError) -> Error {
    match error {
        // the library's text would show the value
        KafkaError::ClientConfig(result, _, name, _) => {
            let what = match result {
                RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN => "does not exist",
                _ => "does not take this value, or this build of librdkafka lacks what it needs",
            };
            Error::new(ErrorKind::Config, format!("the Kafka option `{name}` {what}"))
                .remedy("look it up in librdkafka's CONFIGURATION.md, and correct or remove it")
        }
        KafkaError::ClientCreation(text) if text.contains("ssl.") => {
            Error::new(ErrorKind::Precheck, "the source's certificates cannot be used").caused_by(text).remedy(
                "see that `ca_file` and `cert_file` hold certificates, and that `key_file` belongs to `cert_file`, and `key_password` to it (PEM)",
            )
        }
        other => Error::new(ErrorKind::Config, "the Kafka client cannot be set up").caused_by(other).remedy("correct the source's `options`"),
    }
}

/// The error when the brokers do not answer.
pub(super) fn silent(client: &Client, settings: &KafkaSource, patience: Duration, cause: impl ToString) -> Error {
    let reports: &Reports = client.context();
    let trouble = reports.troubles.last();
    let connection = settings.connection();
    let explained = trouble.as_ref().and_then(|trouble| explain(connection, trouble, patience)).or_else(|| suspect(connection, patience));
    if let Some(error) = explained {
        return error;
    }
    let cause = trouble.map_or_else(|| cause.to_string(), |trouble| trouble.text);
    Error::new(ErrorKind::Connection, format!("no Kafka broker answered at {} within {patience:?}", settings.brokers))
        .caused_by(cause)
        .remedy("start the brokers, or correct `brokers` and, for TLS or a login, the source's `tls` and `sasl`")
}

/// The error when a broker's answer is larger than what is taken.
pub(super) fn too_large() -> Error {
    Error::new(ErrorKind::Source, format!("a broker answered with more than {KAFKA_ANSWER_BYTES} bytes: a topic holds a larger batch of records"))
        .remedy("see the log for the broker; let the topic's producers write smaller batches (the topic's `max.message.bytes` bounds them), and set the partition's place behind this one or leave the topic out with `!NAME` in `topics`")
}

#[cfg(test)]
mod tests {
    use rdkafka::types::RDKafkaErrorCode as Code;

    use super::*;

    #[test]
    fn an_answer_that_is_too_large_is_known_by_its_text() {
        let reports = Reports::default();
        reports.error(KafkaError::Global(Code::BadMessage), "b:9092/1: Receive failed: Disconnected");
        assert!(!reports.too_large());
        reports.error(
            KafkaError::Global(Code::BadMessage),
            "b:9092/1: Receive failed: Invalid response size 200000000 (0..100000000): increase receive.message.max.bytes",
        );
        assert!(reports.too_large() && too_large().remedy_text().is_some());
    }
}
