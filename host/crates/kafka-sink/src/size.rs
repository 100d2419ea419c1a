//! How large records may be: for the client, and for the brokers in each topic.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    error::KafkaError,
    producer::Producer,
};

use super::client::{self, Client, Reports};
use sluicegate_kafka::Tokens;
use sluicegate_model::{
    Error, ErrorKind, Result,
    limits::{KAFKA_TOPIC_LIMIT_AGE, KAFKA_TOPIC_LIMIT_PAUSE},
};

/// A topic's limit where nobody has set another.
const DEFAULT: usize = 1_048_588;

/// Pause before the limit of a topic that is being created is asked for again.
const PAUSE: Duration = Duration::from_millis(20);
/// Answers without a limit of a topic that exists, before they count as a refusal: brokers hear of a new topic one after the other.
const REFUSALS: usize = 5;

/// The limits. Those of topics are asked for when they are needed, and again after a while.
pub(super) struct Sizes {
    /// The client's: `message.max.bytes`.
    pub client: usize,
    config: ClientConfig,
    tokens: Tokens,
    admin: Option<AdminClient<Reports>>,
    /// Each topic's, and until when that counts.
    topics: HashMap<Arc<str>, (usize, Instant)>,
    /// Until when the brokers are not asked, because they did not answer.
    silent: Option<Instant>,
    timeout: Duration,
}

impl Sizes {
    /// `timeout` bounds the wait for a topic's limit.
    pub(super) fn new(config: ClientConfig, tokens: Tokens, timeout: Duration) -> Result<Self> {
        let unknown = |error: Error| error.context("the client's `message.max.bytes`");
        let text = config
            .create_native_config()
            .and_then(|config| config.get("message.max.bytes"))
            .map_err(|e| unknown(Error::new(ErrorKind::Internal, "it cannot be read").caused_by(e)))?;
        let client = text.parse().map_err(|e| unknown(Error::new(ErrorKind::Internal, "it is no number").caused_by(e)))?;
        Ok(Self { client, config, tokens, admin: None, topics: HashMap::new(), silent: None, timeout })
    }

    /// How large a batch of records may be in a topic. Where that cannot be found out, what is so by default.
    pub(super) fn of_topic(&mut self, client: &Client, topic: &Arc<str>) -> usize {
        let now = Instant::now();
        if let Some((limit, until)) = self.topics.get(topic)
            && now < *until
        {
            return *limit;
        }
        if self.silent.is_some_and(|until| now < until) {
            return DEFAULT;
        }
        let (limit, until) = match self.ask(client, topic) {
            Ok(Some(limit)) => (limit, now + KAFKA_TOPIC_LIMIT_AGE),
            Ok(None) => {
                unknown(topic, "the account may not read the topic's settings");
                (DEFAULT, Instant::now() + KAFKA_TOPIC_LIMIT_PAUSE)
            }
            Err(error) => {
                unknown(topic, &error.chain());
                self.silent = Some(Instant::now() + KAFKA_TOPIC_LIMIT_PAUSE);
                return DEFAULT;
            }
        };
        self.topics.insert(topic.clone(), (limit, until));
        limit
    }

    /// A topic's limit; `None` when the brokers keep it to themselves. An error when they do not answer.
    fn ask(&mut self, client: &Client, topic: &str) -> Result<Option<usize>> {
        let fault = |text: &str| Error::new(ErrorKind::Sink, text);
        let silent = |e: KafkaError| fault("the brokers did not answer").caused_by(e);
        let admin = match self.admin.take() {
            Some(admin) => {
                // nobody polls it, so that it asks for none
                self.tokens.give(admin.inner())?;
                admin
            }
            None => client::admin(&self.config, &self.tokens)?,
        };
        let admin = self.admin.insert(admin);
        let runtime =
            tokio::runtime::Builder::new_current_thread().build().map_err(|e| fault("no answer can be waited for").caused_by(e))?;
        let end = Instant::now() + self.timeout;
        let mut refusals = 0;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(fault("the brokers did not create the topic in time"));
            }
            let options = AdminOptions::new().request_timeout(Some(left));
            let answers = runtime.block_on(admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options)).map_err(silent)?;
            let told = answers.iter().flatten().find_map(|settings| settings.get("max.message.bytes")?.value.as_ref()?.parse().ok());
            if told.is_some() {
                return Ok(told);
            }
            // no settings: the topic does not exist yet, or the account may not see them; asking lets the brokers create it, as the
            // first record would
            let cluster = client.client().fetch_metadata(Some(topic), left).map_err(silent)?;
            if cluster.topics().iter().any(|topic| topic.error().is_none()) {
                refusals += 1;
                if refusals == REFUSALS {
                    return Ok(None);
                }
            }
            client.poll(PAUSE);
        }
    }
}

fn unknown(topic: &str, why: &str) {
    tracing::warn!(
        topic,
        assumed = DEFAULT,
        remedy = "grant DESCRIBE_CONFIGS on the topic: where its limit is lower than this, a change of several records may be delivered in part \
            before it is set aside",
        "the topic's `max.message.bytes` is not known: {why}"
    );
}
