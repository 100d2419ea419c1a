//! Topics that have to be there before their first record, or that are made for it.

use std::{collections::HashSet, time::Duration};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    error::KafkaError,
    types::RDKafkaErrorCode as Code,
};
use tokio::runtime::Runtime;

use super::{
    client::{self, Reports},
    topic::metric,
};
use sluicegate_config::{KafkaSink as Settings, TopicCreation, TopicSettings};
use sluicegate_kafka::Tokens;
use sluicegate_model::{Error, ErrorKind, Result, limits::Limits};

/// Asks the brokers for topics.
pub(super) struct Creation {
    /// With which they are made; `None`: they have to be there.
    settings: Option<TopicSettings>,
    config: ClientConfig,
    tokens: Tokens,
    admin: Option<(AdminClient<Reports>, Runtime)>,
    there: HashSet<Box<str>>,
    timeout: Duration,
}

impl Creation {
    /// As the sink's `topics` says; `None` where that is left to the brokers.
    ///
    /// # Errors
    /// `Config`: the client cannot have these settings.
    pub(super) fn new(settings: &Settings, limits: &Limits) -> Result<Option<Self>> {
        let wanted = match &settings.topics {
            TopicCreation::Automatic => return Ok(None),
            TopicCreation::MustExist => None,
            TopicCreation::Create(wanted) => Some(wanted.clone()),
        };
        let mut config = client::config(settings, limits)?;
        // an administrator is no producer of the transactions
        config.remove("transactional.id");
        config.remove("transaction.timeout.ms");
        let (tokens, there) = (Tokens::of(settings.connection()), HashSet::new());
        Ok(Some(Self { settings: wanted, config, tokens, admin: None, there, timeout: limits.connect_timeout }))
    }

    /// Asks the brokers whether they would make these topics, and makes none: an error for each that they would not.
    ///
    /// # Errors
    /// `Sink`: the brokers do not answer. `Config`: the client cannot have these settings.
    pub(super) fn foresee(settings: &Settings, limits: &Limits, topics: &[&str]) -> Result<Vec<Error>> {
        let Some(mut creation) = Self::new(settings, limits)? else { return Ok(Vec::new()) };
        let Some(wanted) = creation.settings.clone().filter(|_| !topics.is_empty()) else { return Ok(Vec::new()) };
        let topics: Vec<NewTopic<'_>> = topics.iter().map(|topic| new_topic(topic, &wanted)).collect();
        let options = AdminOptions::new().request_timeout(Some(creation.timeout)).validate_only(true);
        let (admin, runtime) = creation.admin()?;
        let answers = runtime.block_on(admin.create_topics(&topics, &options)).map_err(silent)?;
        let refused = answers.into_iter().filter_map(std::result::Result::err).filter(|(_, code)| *code != Code::TopicAlreadyExists);
        Ok(refused.map(|(topic, code)| creation.refused(&topic, code)).collect())
    }

    /// Sees to it that a topic is there.
    ///
    /// # Errors
    /// `Sink`: it is not, and may not or cannot be made; or the brokers do not answer.
    pub(super) fn ensure(&mut self, topic: &str) -> Result<()> {
        // one that is to be made is only asked for: what exists already stays as it is
        let known = self.there.contains(topic) || ((self.there.is_empty() || self.settings.is_none()) && self.look(topic)?);
        if known {
            return Ok(());
        }
        let Some(settings) = self.settings.clone() else { return Err(missing(topic)) };
        self.make(topic, &settings)?;
        self.there.insert(topic.into());
        Ok(())
    }

    /// Looks at the topics of today. That makes none, as a question for one of them might.
    fn look(&mut self, topic: &str) -> Result<bool> {
        let timeout = self.timeout;
        let (admin, _) = self.admin()?;
        let cluster = admin.inner().fetch_metadata(None, timeout).map_err(silent)?;
        self.there = cluster.topics().iter().map(|topic| topic.name().into()).collect();
        Ok(self.there.contains(topic))
    }

    fn make(&mut self, topic: &str, settings: &TopicSettings) -> Result<()> {
        let timeout = self.timeout;
        let wanted = new_topic(topic, settings);
        let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
        let (admin, runtime) = self.admin()?;
        let made = runtime.block_on(admin.create_topics([&wanted], &options)).map_err(silent)?;
        match made.into_iter().find_map(std::result::Result::err) {
            // also by another sink in this moment
            None | Some((_, Code::TopicAlreadyExists)) => {}
            Some((_, code)) => return Err(self.refused(topic, code)),
        }
        tracing::info!(topic, partitions = settings.partitions, "the topic was made");
        Ok(())
    }

    fn refused(&self, topic: &str, code: Code) -> Error {
        let other = self.there.iter().find(|other| ***other != *topic && metric(other) == metric(topic));
        let (what, remedy) = match (code, other) {
            (Code::InvalidTopic, Some(other)) => (
                format!(
                    "topic `{topic}` cannot be created beside topic `{other}`: Kafka takes `.` and `_` for the same in the names of its metrics"
                ),
                "change the sink's `topic` template, or give the table another name with the `map-names` plugin",
            ),
            (Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed, _) => (
                format!("the account may not make topic `{topic}`"),
                "grant it CREATE on the topic, or make the topic and set `topics: must-exist`",
            ),
            (Code::InvalidReplicationFactor, _) => (
                format!("the brokers are too few for the `replication_factor` of topic `{topic}`"),
                "lower `topics.replication_factor` of the sink, or leave it out",
            ),
            (Code::InvalidConfig, _) => (
                format!("the brokers do not take the settings of topic `{topic}`"),
                "correct `topics.config` of the sink: names and values are those of Kafka's topic configuration",
            ),
            _ => (format!("the brokers refuse to make topic `{topic}`"), "correct the sink's `topics`, or make the topic"),
        };
        Error::new(ErrorKind::Sink, what).caused_by(code).remedy(format!("{remedy}; then start again: nothing is lost"))
    }

    fn admin(&mut self) -> Result<(&AdminClient<Reports>, &Runtime)> {
        let fault = |text: &str| Error::new(ErrorKind::Sink, text);
        let admin = match self.admin.take() {
            Some((admin, runtime)) => {
                // nobody polls it, so that it asks for none
                self.tokens.give(admin.inner())?;
                (admin, runtime)
            }
            None => {
                let admin = client::admin(&self.config, &self.tokens)?;
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                (admin, runtime.map_err(|e| fault("no answer can be waited for").caused_by(e))?)
            }
        };
        let (admin, runtime) = self.admin.insert(admin);
        Ok((admin, runtime))
    }
}

/// A topic of these settings.
fn new_topic<'a>(topic: &'a str, settings: &'a TopicSettings) -> NewTopic<'a> {
    let partitions = settings.partitions.and_then(|count| i32::try_from(count).ok()).unwrap_or(-1);
    let replicas = settings.replication_factor.and_then(|count| i32::try_from(count).ok()).unwrap_or(-1);
    let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
    settings.config.iter().fold(wanted, |wanted, (name, value)| wanted.set(name, value))
}

/// The error of a topic that is not there, where it has to be.
fn missing(topic: &str) -> Error {
    Error::new(ErrorKind::Sink, format!("topic `{topic}` does not exist, or the account may not see it, and the sink has `topics: must-exist`"))
        .remedy("make the topic, grant the account DESCRIBE on it, or let the sink make topics: `topics: { partitions: … }`; then start again: nothing is lost")
        .that_may_pass(true)
}

fn silent(error: KafkaError) -> Error {
    Error::new(ErrorKind::Sink, "the brokers did not answer when they were asked for a topic")
        .caused_by(error)
        .remedy("see that the brokers run and can be reached; then start again: nothing is lost")
        .that_may_pass(true)
}
