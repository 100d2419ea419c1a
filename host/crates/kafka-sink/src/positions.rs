//! The progress of sinks that deliver exactly once. It stands in a compacted topic of one partition, a record for each lane, written
//! in the same transactions as the records that it is about. What was read of it at a start counts before the checkpoint.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset as KafkaOffset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::OAuthToken,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    types::RDKafkaErrorCode as Code,
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::{
    client::{self, Reports},
    metadata::Begun,
};
use sluicegate_config::{KafkaSink as Settings, Transactions};
use sluicegate_kafka::{Tokens, is_connection_option, renewed};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, Lane, Offset},
    limits::KAFKA_POSITIONS_BYTES,
};

/// Progress of one sink and lane is written to this partition, so that one reader finds all of it.
pub(super) const PARTITION: i32 = 0;
/// Old records of the topic are removed a segment at a time.
const SEGMENT_BYTES: &str = "16777216";
/// How long one look for a record waits.
const LOOK: Duration = Duration::from_millis(50);

/// Which record of the topic is about what. An `incarnation` begins when a sink starts to deliver exactly once: what an earlier one
/// left in the topic says nothing of it.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Key {
    pub sink: String,
    pub incarnation: String,
    pub lane: String,
}

/// A lane's offset, as the source wrote it.
#[derive(Deserialize, Serialize)]
struct Value {
    offset: serde_json::Value,
    /// The source's transaction that is told in part there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transaction: Option<Begun>,
}

/// A record of the topic.
pub(super) struct Record {
    pub key: String,
    /// `None`: the lane is forgotten.
    pub value: Option<String>,
}

/// What the topic holds of a sink.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Each incarnation's progress, in the order of their last records.
    incarnations: Vec<(String, BTreeMap<String, Stored>)>,
}

/// A lane's offset, and what of a transaction is told there.
#[derive(Debug, PartialEq)]
struct Stored {
    offset: String,
    transaction: Option<Begun>,
}

impl Found {
    /// The newest incarnation.
    pub fn newest(&self) -> Option<&str> {
        self.incarnations.last().map(|(name, _)| name.as_str())
    }

    /// Progress of an incarnation.
    pub fn frontier(&self, incarnation: &str) -> Option<Frontier> {
        let (_, lanes) = self.incarnations.iter().find(|(name, _)| name == incarnation)?;
        Some(lanes.iter().map(|(lane, stored)| (Lane::new(lane.as_str()), Offset::from_json(stored.offset.as_str()))).collect())
    }

    /// The source's transaction that an incarnation has told in part.
    pub fn begun(&self, incarnation: &str) -> Option<Begun> {
        let (_, lanes) = self.incarnations.iter().find(|(name, _)| name == incarnation)?;
        lanes.values().find_map(|stored| stored.transaction.clone())
    }

    /// What makes the topic forget every incarnation but one.
    pub fn forget_all_but(&self, sink: &str, incarnation: &str) -> Result<Vec<Record>> {
        let others = self.incarnations.iter().filter(|(name, _)| name != incarnation);
        let keys = others.flat_map(|(name, lanes)| lanes.keys().map(move |lane| key(sink, name, lane)));
        keys.map(|key| Ok(Record { key: key?, value: None })).collect()
    }

    fn take(&mut self, key: Key, value: Option<&str>) -> Result<()> {
        let place = self.incarnations.iter().position(|(name, _)| *name == key.incarnation);
        let (name, mut lanes) = place.map(|place| self.incarnations.remove(place)).unwrap_or((key.incarnation, BTreeMap::new()));
        match value {
            Some(text) => {
                let value: Value = serde_json::from_str(text).map_err(|e| foreign().caused_by(e))?;
                lanes.insert(key.lane, Stored { offset: value.offset.to_string(), transaction: value.transaction });
            }
            None => drop(lanes.remove(&key.lane)),
        }
        if !lanes.is_empty() {
            self.incarnations.push((name, lanes));
        }
        Ok(())
    }
}

fn key(sink: &str, incarnation: &str, lane: &str) -> Result<String> {
    serde_json::to_string(&Key { sink: sink.to_owned(), incarnation: incarnation.to_owned(), lane: lane.to_owned() })
        .map_err(|e| Error::new(ErrorKind::Internal, "the key of a position cannot be written as JSON").caused_by(e))
}

/// The records that say how far a sink is.
pub(super) fn records(sink: &str, incarnation: &str, progress: &Frontier, begun: Option<&Begun>) -> Result<Vec<Record>> {
    let record = |(lane, offset): (&Lane, &Offset)| {
        let text = offset.to_json();
        let value = serde_json::from_str(&text)
            .and_then(|offset| {
                let transaction = begun.filter(|begun| begun.is_of(lane)).cloned();
                serde_json::to_string(&Value { offset, transaction })
            })
            .map_err(|e| Error::new(ErrorKind::Internal, format!("the offset of the lane `{lane}` is not JSON")).caused_by(e))?;
        Ok(Record { key: key(sink, incarnation, lane.name())?, value: Some(value) })
    };
    progress.lanes().map(record).collect()
}

fn foreign() -> Error {
    Error::new(ErrorKind::State, "the positions topic holds a record that no sink of this program wrote").remedy(
        "set another `positions_topic`, or remove the record (write one with its key and no value); a newer program may have written it: run that one",
    )
}

/// What the brokers tell of a topic's `cleanup.policy`.
pub(super) enum Policy {
    Is(String),
    /// The account may not see whether the topic is there.
    Hidden,
    /// The topic is there, but not its settings: the account may not see them, or the broker that was asked has not heard of it yet.
    Untold,
    /// The topic is not there, or not known to all brokers yet.
    Unknown,
}

/// The topic, and how to reach it.
pub(super) struct Topic<'a> {
    pub settings: &'a Settings,
    pub transactions: &'a Transactions,
    /// The producer's.
    pub config: &'a ClientConfig,
    /// Bounds each request.
    pub timeout: Duration,
}

impl Topic<'_> {
    /// Makes the topic if it is not there, and checks that it keeps the last record of each key.
    ///
    /// # Errors
    /// `Connection`: the brokers do not answer. `Sink`: the topic cannot be made, or is not compacted.
    pub fn ensure(&self) -> Result<()> {
        let name = self.transactions.positions_topic.as_str();
        let (admin, runtime) = self.admin()?;
        let options = self.options();
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(-1))
            .set("cleanup.policy", "compact")
            .set("segment.bytes", SEGMENT_BYTES)
            .set("min.cleanable.dirty.ratio", "0.1");
        let made = runtime.block_on(admin.create_topics([&topic], &options)).map_err(|e| self.silent(e))?;
        let refused = made.into_iter().find_map(std::result::Result::err).map(|(_, code)| code);
        // brokers hear of a new topic one after the other
        let deadline = Instant::now() + self.timeout;
        loop {
            let refused = refused.filter(|code| *code != Code::TopicAlreadyExists);
            let code = match (self.policy_told_to(&admin, &runtime)?, refused) {
                (Policy::Is(policy), _) => return self.check_policy(&policy),
                (Policy::Hidden, _) => return Err(self.hidden()),
                (Policy::Untold, _) if Instant::now() >= deadline => return Err(self.hidden()),
                (Policy::Untold, _) => None,
                (Policy::Unknown, code) => code,
            };
            if let Some(code) = code {
                return Err(Error::new(ErrorKind::Sink, format!("the positions topic `{name}` cannot be made"))
                    .caused_by(code)
                    .remedy("make it with one partition and `cleanup.policy=compact`, or grant the account CREATE on it"));
            }
            if Instant::now() >= deadline {
                let what = format!("the brokers do not tell the settings of the positions topic `{name}`, which is there");
                return Err(Error::new(ErrorKind::Connection, what).remedy("see that all brokers run, then start again"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The topic's `cleanup.policy`.
    ///
    /// # Errors
    /// `Connection`: the brokers do not answer.
    pub fn policy(&self) -> Result<Policy> {
        let (admin, runtime) = self.admin()?;
        self.policy_told_to(&admin, &runtime)
    }

    fn policy_told_to(&self, admin: &AdminClient<Reports>, runtime: &Runtime) -> Result<Policy> {
        let topic = ResourceSpecifier::Topic(&self.transactions.positions_topic);
        let told = runtime.block_on(admin.describe_configs([&topic], &self.options())).map_err(|e| self.silent(e))?;
        if let Some(policy) = told.iter().flatten().find_map(|settings| settings.get("cleanup.policy")?.value.clone()) {
            return Ok(Policy::Is(policy));
        }
        // why they are not told is not passed on to us; a consumer's question does not make the topic
        let name = self.transactions.positions_topic.as_str();
        let cluster = self.consumer("read_uncommitted")?.fetch_metadata(Some(name), self.timeout).map_err(|e| self.silent(e))?;
        let fault = cluster.topics().iter().find(|topic| topic.name() == name).map(|topic| topic.error().map(Code::from));
        Ok(match fault {
            Some(None) => Policy::Untold,
            Some(Some(Code::TopicAuthorizationFailed)) => Policy::Hidden,
            _ => Policy::Unknown,
        })
    }

    /// The error when the account may not see the topic's settings.
    pub fn hidden(&self) -> Error {
        let name = &self.transactions.positions_topic;
        let what = format!("the account may not see whether the positions topic `{name}` keeps the sink's progress");
        Error::new(ErrorKind::Sink, what).remedy(
            "grant it READ, WRITE, DESCRIBE and DESCRIBE_CONFIGS on the topic; and CREATE, or make the topic with one partition and `cleanup.policy=compact`",
        )
    }

    /// # Errors
    /// `Sink`: a topic with this policy loses progress.
    pub fn check_policy(&self, policy: &str) -> Result<()> {
        if !policy.split(',').any(|part| part.trim() == "delete") {
            return Ok(());
        }
        let name = &self.transactions.positions_topic;
        let what = format!("the positions topic `{name}` has `cleanup.policy={policy}`: the sink's progress would be removed with age");
        Err(Error::new(ErrorKind::Sink, what)
            .remedy("set `cleanup.policy=compact` for the topic (`kafka-configs.sh --alter --add-config`), or another `positions_topic`"))
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    fn admin(&self) -> Result<(AdminClient<Reports>, Runtime)> {
        let admin = client::admin(self.config, &Tokens::of(self.settings.connection()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|e| Error::new(ErrorKind::Internal, "no answer of the brokers can be waited for").caused_by(e))?;
        Ok((admin, runtime))
    }

    /// What the topic holds of the sink, up to its present end. The sink's own transactions have to be decided: the producer's
    /// `init_transactions` does that.
    ///
    /// # Errors
    /// `Connection`: the brokers do not answer in time. `State`: there are records of somebody else's.
    pub fn read(&self) -> Result<Found> {
        let name = self.transactions.positions_topic.as_str();
        // a reader of what is committed is told an end before the first open transaction, which may be another sink's: behind it
        // may stand what this one committed
        let (low, end) = self.consumer("read_uncommitted")?.fetch_watermarks(name, PARTITION, self.timeout).map_err(|e| self.silent(e))?;
        let consumer = self.consumer("read_committed")?;
        let mut found = Found::default();
        if low >= end {
            return Ok(found);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(name, PARTITION, KafkaOffset::Offset(low))
            .and_then(|()| consumer.assign(&list))
            .map_err(|e| Error::new(ErrorKind::Internal, format!("the positions topic `{name}` cannot be read")).caused_by(e))?;
        // records keep coming as long as there are any: the limit is for the wait without one
        let (mut last, mut bytes) = (Instant::now(), 0);
        loop {
            match consumer.poll(LOOK) {
                Some(Ok(message)) => {
                    last = Instant::now();
                    let key = message.key().ok_or_else(foreign)?;
                    bytes += key.len() + message.payload_len();
                    if bytes > KAFKA_POSITIONS_BYTES {
                        return Err(Error::new(
                            ErrorKind::State,
                            format!("the positions topic `{name}` holds more than {} MiB", KAFKA_POSITIONS_BYTES >> 20),
                        )
                        .remedy("let the brokers compact it: set `segment.bytes` and `min.cleanable.dirty.ratio` lower, see that the log cleaner runs"));
                    }
                    let key: Key = serde_json::from_slice(key).map_err(|e| foreign().caused_by(e))?;
                    if key.sink == self.transactions.transactional_id {
                        let text = message.payload().map(std::str::from_utf8).transpose().map_err(|e| foreign().caused_by(e))?;
                        found.take(key, text)?;
                    }
                }
                Some(Err(KafkaError::MessageConsumption(Code::GroupAuthorizationFailed))) | None => {}
                Some(Err(error)) if is_fault(&error) => {
                    return Err(Error::new(ErrorKind::Sink, format!("the positions topic `{name}` cannot be read"))
                        .caused_by(error)
                        .remedy("grant the account READ and DESCRIBE on the topic"));
                }
                Some(Err(error)) => tracing::debug!(%error, "reading the positions topic"),
            }
            // the position passes the marks of transactions, too
            let position = consumer.position().ok();
            let at = position.as_ref().and_then(|list| list.find_partition(name, PARTITION)).map(|partition| partition.offset());
            if matches!(at, Some(KafkaOffset::Offset(next)) if next >= end) {
                return Ok(found);
            }
            if last.elapsed() > self.timeout {
                return Err(Error::new(
                    ErrorKind::Connection,
                    format!("the positions topic `{name}` was not read to its end within {:?} without a record", self.timeout),
                )
                .remedy(
                    "see that its partition has a leader; a transaction of another sink that stays open ends with its timeout; one that the \
                     brokers forgot to end never does: stop the pipeline, find it with `kafka-transactions.sh find-hanging`, and abort it in \
                     every partition",
                ));
            }
        }
    }

    fn consumer(&self, isolation: &str) -> Result<BaseConsumer<Quiet>> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.settings.brokers)
            .set("client.id", "sluicegate")
            // no member of a group: a name is needed, and nothing is committed under it
            .set("group.id", &self.transactions.transactional_id)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("allow.auto.create.topics", "false")
            .set("isolation.level", isolation)
            .set("auto.offset.reset", "earliest");
        for (name, value) in &self.settings.options {
            if is_connection_option(name) {
                config.set(name, renewed(self.settings.connection(), value, name)?.reveal());
            }
        }
        sluicegate_kafka::apply(&mut config, self.settings.connection())?;
        let tokens = Tokens::of(self.settings.connection());
        let consumer: BaseConsumer<Quiet> = config
            .create_with_context(Quiet(tokens.clone()))
            .map_err(|e| Error::new(ErrorKind::Sink, "the Kafka client that reads the positions topic cannot be set up").caused_by(e))?;
        tokens.give(consumer.client())?;
        Ok(consumer)
    }

    fn silent(&self, error: KafkaError) -> Error {
        let what = format!("no Kafka broker answered a question about the topic `{}`", self.transactions.positions_topic);
        Error::new(ErrorKind::Connection, what)
            .caused_by(error)
            .remedy("start the brokers, or correct `brokers` and, for TLS or a login, the sink's `tls` and `sasl`")
    }
}

/// Whether waiting cannot mend it.
fn is_fault(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(Code::TopicAuthorizationFailed | Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::OffsetOutOfRange)
    )
}

/// The consumer's log lines are the producer's, told twice.
pub(super) struct Quiet(pub Tokens);

impl rdkafka::ClientContext for Quiet {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.0.refreshed()
    }

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl rdkafka::consumer::ConsumerContext for Quiet {}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(records: &[Record]) -> Found {
        let mut found = Found::default();
        for Record { key, value } in records {
            found.take(serde_json::from_str(key).unwrap(), value.as_deref()).unwrap();
        }
        found
    }

    fn at(lane: &str, offset: &str) -> Frontier {
        Frontier::of(Lane::new(lane), Offset::from_json(offset))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut progress = at("binlog", r#"{"gtid_set":"0-1-7"}"#);
        progress.set(Lane::new("copy:`a`.`b`/1"), Offset::from_json("[1]"));
        let mut records = records("sluicegate.p.s", "one", &progress, None).unwrap();
        insta::assert_snapshot!(format!("{} = {}", records[0].key, records[0].value.as_deref().unwrap()),
            @r#"{"sink":"sluicegate.p.s","incarnation":"one","lane":"binlog"} = {"offset":{"gtid_set":"0-1-7"}}"#);
        records.extend(super::records("sluicegate.p.s", "one", &at("binlog", "8"), None).unwrap());
        progress.set(Lane::new("binlog"), Offset::from_json("8"));
        assert_eq!(found(&records).frontier("one"), Some(progress));
    }

    #[test]
    fn a_later_incarnation_knows_nothing_of_the_earlier_one() {
        let mut records = records("s", "one", &at("binlog", "9"), None).unwrap();
        records.extend(super::records("s", "two", &at("late", "1"), None).unwrap());
        let both = found(&records);
        assert_eq!((both.newest(), both.frontier("two")), (Some("two"), Some(at("late", "1"))));
        assert_eq!(both.frontier("three"), None);
        records.extend(both.forget_all_but("s", "two").unwrap());
        let one = found(&records);
        assert_eq!((one.frontier("one"), one.frontier("two")), (None, Some(at("late", "1"))));
    }

    #[test]
    fn records_of_others_are_an_error() {
        let key = Key { sink: "s".into(), incarnation: "one".into(), lane: "binlog".into() };
        let error = Found::default().take(key, Some("7")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
    }
}
