//! The producer: its settings, what it reports, and what its errors mean.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Message,
    admin::AdminClient,
    client::OAuthToken,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseProducer, Producer, ProducerContext},
    types::{RDKafkaConfRes, RDKafkaErrorCode as Code},
};

use super::topic::metric;
use sluicegate_config::{Delivery, KafkaSink as Settings, TopicCreation};
use sluicegate_kafka::{Tokens, Trouble, Troubles, explain, renewed, suspect};
use sluicegate_model::{Error, ErrorKind, Result, limits::Limits};
use sluicegate_sink::Numbers;

/// Kafka's default for the time after which brokers abort a transaction.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Milliseconds that a record of a transaction waits for others in its partition; librdkafka's default is 5.
const LINGER: &str = "1";

/// How long one question at a start waits before reports are looked at.
const STEP: Duration = Duration::from_millis(250);
/// How long other brokers have to answer when one keeps us out.
const OTHERS: Duration = Duration::from_secs(3);

pub(super) type Client = BaseProducer<Reports>;

/// Opaque number of records that are the sink's own: they are no change's, and are not counted.
pub(super) const OWN: usize = usize::MAX;
/// That of records of emptied tables and changed schemas: no change's either.
pub(super) const NOTICE: usize = usize::MAX - 1;

/// That of dead letters, which are no change's records either.
pub(super) const LETTER: usize = usize::MAX - 2;

/// What librdkafka reports: delivered records, the first that failed, and trouble with the brokers.
pub(super) struct Reports {
    numbers: Option<Numbers>,
    /// Records count when their transaction is committed.
    transactional: bool,
    /// Records and bytes in the open transaction.
    open: (AtomicU64, AtomicU64),
    failure: Mutex<Option<Failure>>,
    /// Whether records of the open transaction were dropped because it had failed.
    dropped: AtomicBool,
    troubles: Troubles,
    tokens: Tokens,
}

/// Records that were not delivered.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// Why; the first that is final, if any is.
    pub code: Code,
    /// Topic of that record.
    pub topic: String,
    /// The least opaque number among those that failed.
    pub least: usize,
}

impl Reports {
    pub(super) fn new(numbers: Option<Numbers>) -> Self {
        Self {
            numbers,
            transactional: false,
            open: (AtomicU64::new(0), AtomicU64::new(0)),
            failure: Mutex::new(None),
            dropped: AtomicBool::new(false),
            troubles: Troubles::default(),
            tokens: Tokens::default(),
        }
    }

    /// Those of a producer with transactions.
    pub(super) fn transactional(self) -> Self {
        Self { transactional: true, ..self }
    }

    /// Counts the records of a transaction that was committed.
    pub(super) fn count_committed(&self) {
        let (records, bytes) = (self.open.0.swap(0, Ordering::Relaxed), self.open.1.swap(0, Ordering::Relaxed));
        if let Some(numbers) = &self.numbers {
            numbers.count(usize::try_from(records).unwrap_or(usize::MAX), usize::try_from(bytes).unwrap_or(usize::MAX));
        }
    }

    /// Forgets what was reported of a transaction that was aborted.
    pub(super) fn forget(&self) {
        self.open.0.store(0, Ordering::Relaxed);
        self.open.1.store(0, Ordering::Relaxed);
        self.dropped.store(false, Ordering::Relaxed);
        *self.failure() = None;
    }

    /// Whether records of the open transaction were dropped because it had failed, whatever it failed of.
    pub(super) fn has_dropped(&self) -> bool {
        self.dropped.load(Ordering::Relaxed)
    }

    /// What failed so far.
    pub(super) fn failure(&self) -> MutexGuard<'_, Option<Failure>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was last reported of the connections.
    pub(super) fn last_trouble(&self) -> Option<Trouble> {
        self.troubles.last()
    }
}

impl ClientContext for Reports {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.tokens.refreshed()
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        sluicegate_kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.hear(&error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        match result {
            Ok(message) => {
                self.troubles.forget();
                if matches!(opaque, OWN | LETTER) {
                    return;
                }
                if self.transactional {
                    self.open.0.fetch_add(1, Ordering::Relaxed);
                    self.open.1.fetch_add(message.payload_len() as u64, Ordering::Relaxed);
                } else if let Some(numbers) = &self.numbers {
                    numbers.count(1, message.payload_len());
                }
            }
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                // what is dropped of a transaction that failed says nothing of why
                if self.transactional && matches!(code, Code::PurgeQueue | Code::PurgeInflight) {
                    self.dropped.store(true, Ordering::Relaxed);
                    return;
                }
                let mut failure = self.failure();
                match &mut *failure {
                    Some(known) => {
                        known.least = known.least.min(opaque);
                        if is_record(known.code) && !is_record(code) {
                            known.code = code;
                            message.topic().clone_into(&mut known.topic);
                        }
                    }
                    None => *failure = Some(Failure { code, topic: message.topic().to_owned(), least: opaque }),
                }
            }
        }
    }
}

/// Whether the record is at fault, not the sink as a whole.
pub(super) fn is_record(code: Code) -> bool {
    matches!(code, Code::MessageSizeTooLarge | Code::InvalidMessage | Code::InvalidMessageSize | Code::InvalidRecord)
}

/// How long a transaction may be open. What is sent has to end within it; of a member of a group that was killed, nobody goes on before.
pub(super) fn transaction_timeout(settings: &Settings) -> Duration {
    if settings.in_group { settings.delivery_timeout } else { settings.delivery_timeout.max(TRANSACTION_TIMEOUT) }
}

/// Our settings with the user's on top.
pub(super) fn config(settings: &Settings, limits: &Limits) -> Result<ClientConfig> {
    let milliseconds = |d: Duration| d.as_millis().clamp(1, i32::MAX as u128).to_string();
    let mut config = ClientConfig::new();
    config
        .set_log_level(RDKafkaLogLevel::Notice)
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", "sluicegate")
        // retries neither repeat nor reorder; implies acks=all and at most 5 requests in flight
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // the Java client's: a key's partition is the same whoever produces it
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", milliseconds(settings.delivery_timeout))
        .set("socket.connection.setup.timeout.ms", milliseconds(limits.connect_timeout.max(Duration::from_secs(1))))
        .set("queue.buffering.max.messages", limits.kafka_queue_records.to_string())
        .set("queue.buffering.max.kbytes", (limits.kafka_queue_bytes >> 10).max(1).to_string());
    if settings.topics != TopicCreation::Automatic {
        config.set("allow.auto.create.topics", "false");
    }
    if let Delivery::ExactlyOnce(transactions) = &settings.delivery {
        config
            .set("transactional.id", &transactions.transactional_id)
            // a commit waits for what lingers, and what comes before the partition is in the transaction is collected anyhow
            .set("linger.ms", LINGER)
            .set("transaction.timeout.ms", milliseconds(transaction_timeout(settings)));
    }
    for (name, value) in &settings.options {
        if let Some(reason) = sluicegate_config::refused_option(name) {
            return Err(Error::new(ErrorKind::Config, format!("the Kafka option `{name}` cannot be set: {reason}")).remedy("remove it"));
        }
        config.set(name, renewed(settings.connection(), value, name)?.reveal());
    }
    sluicegate_kafka::apply(&mut config, settings.connection())?;
    Ok(config)
}

/// A producer.
pub(super) fn connect(settings: &Settings, limits: &Limits, reports: Reports) -> Result<Client> {
    let (config, tokens) = (config(settings, limits)?, Tokens::of(settings.connection()));
    let reports = Reports { tokens: tokens.clone(), ..reports };
    let client = Client::from_config_and_context(&config, reports).map_err(|e| not_set_up(settings, e))?;
    tokens.give(client.client())?;
    Ok(client)
}

/// A client for questions, with the producer's settings.
pub(super) fn admin(config: &ClientConfig, tokens: &Tokens) -> Result<AdminClient<Reports>> {
    let admin = AdminClient::from_config_and_context(config, Reports::new(None))
        .map_err(|e| Error::new(ErrorKind::Sink, "the Kafka client for questions cannot be set up").caused_by(e))?;
    tokens.give(admin.inner())?;
    Ok(admin)
}

fn not_set_up(settings: &Settings, error: KafkaError) -> Error {
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
        KafkaError::ClientCreation(text) if text.contains("ssl.") && settings.security.is_some() => {
            Error::new(ErrorKind::Precheck, "the sink's certificates cannot be used").caused_by(text).remedy(
                "see that `ca_file` and `cert_file` hold certificates, and that `key_file` belongs to `cert_file`, and `key_password` to it (PEM)",
            )
        }
        KafkaError::ClientCreation(text) => {
            Error::new(ErrorKind::Config, "the Kafka client cannot be set up").caused_by(text).remedy("correct the sink's `options`")
        }
        other => Error::new(ErrorKind::Sink, "the Kafka client cannot be set up").caused_by(other),
    }
}

/// The error of a record, or of the sink, that librdkafka gave up on. `patience` bounds a look into the cluster for the cause.
pub(super) fn fault(client: &Client, settings: &Settings, patience: Duration, code: Code, topic: &str) -> Error {
    let reports: &Reports = client.context();
    let trouble = reports.last_trouble();
    let sink = |text: String, remedy: &str| {
        let error = Error::new(ErrorKind::Sink, text).remedy(remedy);
        match &trouble {
            Some(trouble) => error.caused_by(trouble.text.clone()),
            None => error.caused_by(code),
        }
    };
    // passwords, tokens and certificates are renewed, on either side
    let kept_out = || Some(explain(settings.connection(), trouble.as_ref()?, patience)?.with_kind(ErrorKind::Sink).that_may_pass(true));
    let forbidden = |code: Code| {
        Error::new(ErrorKind::Sink, format!("the account may not write to topic `{topic}`"))
            .caused_by(code)
            .remedy("grant it WRITE and DESCRIBE on the topic (and CREATE, or make the topic first), then start again: nothing is lost")
    };
    // told as an unknown topic, or, with a short `delivery_timeout`, as none at all
    let meets = || {
        let other = same_for_metrics(client, topic, patience)?;
        let what = format!(
            "topic `{topic}` cannot be created beside topic `{other}`: Kafka takes `.` and `_` for the same in the names of its metrics"
        );
        let remedy = "change the sink's `topic` template, or give the table another name with the `map-names` plugin; then start again: nothing is lost";
        Some(Error::new(ErrorKind::Sink, what).caused_by(code).remedy(remedy))
    };
    if let Some((fatal, text)) = client.client().fatal_error() {
        // an account without any WRITE is refused its producer id, before or after its first record is
        if is_forbidden(fatal) {
            return forbidden(fatal);
        }
        return Error::new(ErrorKind::Sink, format!("the idempotent producer can no longer tell what the brokers hold ({fatal})"))
            .caused_by(text)
            .remedy("start again: what was not acknowledged is sent again, so nothing is lost")
            // no other process has the id of a member's transactions: one that stayed open for too long was ended
            .that_may_pass(settings.in_group);
    }
    match code {
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => {
            Error::new(ErrorKind::Record, format!("a record, or a batch of records, is larger than topic `{topic}` or the client allows")).remedy(
                "raise `max.message.bytes` of the topic and `message.max.bytes` in the sink's `options`, keep `batch.size` below the topic's limit, or set `on_error`",
            )
        }
        code if is_record(code) => Error::new(ErrorKind::Record, format!("the broker refused a record for topic `{topic}`"))
            .caused_by(code)
            .remedy("see the broker's log for the reason, or set `on_error`"),
        code if is_forbidden(code) => forbidden(code),
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            if let Some(error) = meets() {
                return error;
            }
            Error::new(ErrorKind::Sink, format!("topic `{topic}` does not exist, and the brokers do not make it"))
                .caused_by(code)
                .remedy("make the topic, or let the brokers do it (`auto.create.topics.enable`), then start again: nothing is lost")
                .that_may_pass(true)
        }
        Code::InvalidTopic => Error::new(ErrorKind::Sink, format!("Kafka does not allow the topic name `{topic}`"))
            .caused_by(code)
            .remedy("change the sink's `topic` template"),
        _ if trouble.as_ref().is_some_and(Trouble::is_login) && let Some(error) = kept_out() => error,
        Code::MessageTimedOut | Code::TimedOutQueue | Code::RequestTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown => {
            if let Some(error) = kept_out() {
                return error;
            }
            let told = || {
                sink(
                    format!("{} did not acknowledge records for topic `{topic}` within {:?}", settings.brokers, settings.delivery_timeout),
                    "see that the brokers run and can be reached, and that the topic has its in-sync replicas; then start again: nothing is lost",
                )
                .that_may_pass(true)
            };
            // brokers that are out of reach cannot tell of other topics, and are not waited for again
            (code == Code::MessageTimedOut && trouble.is_none()).then(meets).flatten().unwrap_or_else(told)
        }
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => sink(
            format!("topic `{topic}` has fewer in-sync replicas than its `min.insync.replicas`"),
            "bring the missing brokers back, then start again: nothing is lost",
        )
        .that_may_pass(true),
        _ => Error::new(ErrorKind::Sink, format!("records for topic `{topic}` cannot be delivered"))
            .caused_by(code)
            .remedy("see the broker's log, then start again: nothing is lost"),
    }
}

/// The topic that keeps the brokers from making this one, if there is one: they tell it to their log only.
fn same_for_metrics(client: &Client, topic: &str, patience: Duration) -> Option<String> {
    let cluster = client.client().fetch_metadata(None, patience).inspect_err(|error| {
        tracing::debug!(%error, "the cluster's topics are not known");
    });
    let wanted = metric(topic);
    cluster.ok()?.topics().iter().map(|other| other.name()).find(|other| *other != topic && metric(other) == wanted).map(str::to_owned)
}

fn is_forbidden(code: Code) -> bool {
    matches!(code, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed | Code::TransactionalIdAuthorizationFailed)
}

/// Checks that a broker answers within the connect timeout.
///
/// # Errors
/// `Connection`: none answers, and another attempt may work. `Precheck`: TLS or the login keeps us out.
pub fn precheck(settings: &Settings, limits: &Limits) -> Result<()> {
    let client = connect(settings, limits, Reports::new(None))?;
    let reports: &Reports = client.context();
    let begin = Instant::now();
    let error = loop {
        let left = limits.connect_timeout.saturating_sub(begin.elapsed());
        let Err(error) = client.client().fetch_metadata(None, left.min(STEP)) else { return Ok(()) };
        // brings in why, if anything is known
        client.poll(Duration::from_millis(10));
        let kept_out = reports.last_trouble().is_some_and(|trouble| trouble.is_final());
        if left <= STEP || (kept_out && (begin.elapsed() >= OTHERS || !settings.brokers.contains(','))) {
            break error;
        }
    };
    for _ in 0..20 {
        client.poll(Duration::from_millis(10));
        if reports.last_trouble().is_some() {
            break;
        }
    }
    let trouble = reports.last_trouble();
    let patience = limits.connect_timeout;
    let explained = trouble
        .as_ref()
        .and_then(|trouble| explain(settings.connection(), trouble, patience))
        .or_else(|| suspect(settings.connection(), patience));
    if let Some(error) = explained {
        return Err(error);
    }
    let failed =
        Error::new(ErrorKind::Connection, format!("no Kafka broker answered at {} within {:?}", settings.brokers, limits.connect_timeout))
            .remedy("start the brokers, or correct `brokers` and, for TLS or a login, the sink's `tls` and `sasl`");
    Err(match trouble {
        Some(trouble) => failed.caused_by(trouble.text),
        None => failed.caused_by(error),
    })
}
