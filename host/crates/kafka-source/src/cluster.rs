//! The topics that there are, their ids and partitions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rdkafka::{consumer::Consumer as _, error::KafkaError, types::RDKafkaErrorCode as Code};

use super::{
    client::{Client, silent},
    partition::SetPlace,
    topic_ids::{self, Described, NO_ID},
};
use sluicegate_config::KafkaSource;
use sluicegate_model::{Error, ErrorKind, Result, limits::KAFKA_PARTITIONS};

/// Topics that one request describes.
const AT_ONCE: usize = 1000;

/// A topic that is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub id: Arc<str>,
    pub partitions: i32,
}

/// The brokers, as they are asked.
pub(super) struct Cluster<'a> {
    pub client: &'a Client,
    pub settings: &'a KafkaSource,
    /// Bounds each request.
    pub timeout: Duration,
}

impl Cluster<'_> {
    /// The selected topics that there are.
    ///
    /// # Errors
    /// `Connection`: the brokers do not answer. `Precheck`: they refuse.
    pub(super) fn topics(&self) -> Result<BTreeMap<String, Topic>> {
        let mut names: Vec<String> = self.settings.topics.named().map(str::to_owned).collect();
        if self.settings.topics.has_patterns() {
            let all = self.client.fetch_metadata(None, self.timeout).map_err(|e| self.silent(&e))?;
            names.extend(all.topics().iter().map(|topic| topic.name().to_owned()).filter(|name| self.settings.topics.selects(name)));
            names.sort();
            names.dedup();
        }
        let (mut topics, mut partitions) = (BTreeMap::new(), 0);
        for names in names.chunks(AT_ONCE) {
            let described = topic_ids::describe(self.client.client(), names, self.timeout).map_err(|code| match code {
                Code::UnsupportedFeature => without_ids(),
                code => self.silent(&code),
            })?;
            for (name, description) in described {
                match description {
                    Described::There { id, .. } if id == NO_ID => return Err(without_ids()),
                    Described::There { id, partitions: count } => {
                        partitions += count;
                        topics.insert(name, Topic { id: id.into(), partitions: i32::try_from(count).unwrap_or(i32::MAX) });
                    }
                    Described::Refused(Code::TopicAuthorizationFailed) => return Err(forbidden(&name)),
                    Described::Refused(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {}
                    // a leader is chosen just now, say
                    Described::Refused(code) => return Err(self.silent(&code)),
                }
            }
        }
        if partitions > KAFKA_PARTITIONS {
            return Err(Error::new(ErrorKind::Config, format!("the selected topics have more than {KAFKA_PARTITIONS} partitions"))
                .remedy("select fewer with `topics`, and let several pipelines read them"));
        }
        self.client.context().forget();
        Ok(topics)
    }

    /// The names of all topics that the account sees.
    ///
    /// # Errors
    /// As of [`Self::topics`].
    pub(super) fn names(&self) -> Result<BTreeSet<String>> {
        let all = self.client.fetch_metadata(None, self.timeout).map_err(|e| self.silent(&e))?;
        Ok(all.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// The offset of a partition's oldest record, and the end of what is committed.
    ///
    /// # Errors
    /// As of [`Self::topics`].
    pub(super) fn ends(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        self.client.fetch_watermarks(topic, partition, self.timeout).map_err(|error| match error.rdkafka_error_code() {
            Some(Code::TopicAuthorizationFailed) => forbidden(topic),
            // the brokers have answered
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::LeaderNotAvailable) => {
                Error::new(ErrorKind::Connection, format!("partition {topic}/{partition} has no leader, or was just made or deleted"))
                    .caused_by(error)
                    .remedy("see that all brokers run, and that the topic is there")
            }
            _ => self.silent(&error),
        })
    }

    fn silent(&self, cause: &impl ToString) -> Error {
        silent(self.client, self.settings, self.timeout, cause.to_string())
    }
}

fn without_ids() -> Error {
    Error::new(
        ErrorKind::Precheck,
        "the brokers tell no ids of topics, so that a topic that was made anew could not be told from the old one",
    )
    .remedy("use brokers of Kafka 2.8 or later (with ZooKeeper: `inter.broker.protocol.version` 2.8 or later)")
}

/// The error when the account may not be a member of the group.
pub(super) fn no_group(cause: String, kind: ErrorKind) -> Error {
    Error::new(kind, "the account may not be a member of the source's consumer group")
        .caused_by(cause)
        .remedy("grant it READ on the group, then start again: nothing is lost")
}

pub(super) fn forbidden(topic: &str) -> Error {
    Error::new(ErrorKind::Precheck, format!("the account may not read topic `{topic}`"))
        .remedy(format!("grant it READ and DESCRIBE on the topic, or leave it out with `!{topic}` in `topics`"))
}

/// What an error of reading means.
pub(super) enum Fault {
    /// librdkafka goes on by itself.
    Passes,
    /// Records that come next are no longer there.
    Gone,
    Final(Error),
}

/// What an error says that came in place of a record.
pub(super) fn fault(error: KafkaError, set_place: &SetPlace) -> Fault {
    let code = match &error {
        KafkaError::MessageConsumption(code) | KafkaError::MessageConsumptionFatal(code) => *code,
        _ => Code::Fail,
    };
    match code {
        Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => Fault::Gone,
        Code::TopicAuthorizationFailed => Fault::Final(
            Error::new(ErrorKind::Source, "the account may not read one of the topics")
                .caused_by(error)
                .remedy("grant it READ and DESCRIBE on the source's topics; the log says which was refused"),
        ),
        Code::BadMessage | Code::BadCompression | Code::InvalidMessage => Fault::Final(
            Error::new(ErrorKind::Source, "records of a topic are damaged, or compressed in a way that is not known")
                .caused_by(error)
                .remedy(format!("see the log for the partition; restore it from a replica, or {}", set_place.briefly())),
        ),
        Code::GroupAuthorizationFailed if set_place.in_group() => Fault::Final(no_group(error.to_string(), ErrorKind::Source)),
        Code::InconsistentGroupProtocol | Code::InvalidSessionTimeout | Code::GroupMaxSizeReached if set_place.in_group() => {
            let remedy = match code {
                Code::InconsistentGroupProtocol => {
                    "use a group that only members of Sluicegate are in: others share out its partitions in another way"
                }
                Code::InvalidSessionTimeout => {
                    "choose `session.timeout.ms` in the source's `options` between the brokers' `group.min.session.timeout.ms` and `group.max.session.timeout.ms`"
                }
                _ => "run fewer members, or raise the brokers' `group.max.size`",
            };
            Fault::Final(Error::new(ErrorKind::Source, "the consumer group does not take this member").caused_by(error).remedy(remedy))
        }
        _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => Fault::Final(
            Error::new(ErrorKind::Source, "the Kafka client can no longer read").caused_by(error).remedy("start again: nothing is lost"),
        ),
        _ => {
            tracing::debug!(%error, "reading topics");
            Fault::Passes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_group_refuses_ends_a_member() {
        let group = SetPlace::of_group("clean");
        for code in
            [Code::GroupAuthorizationFailed, Code::InconsistentGroupProtocol, Code::InvalidSessionTimeout, Code::GroupMaxSizeReached]
        {
            let Fault::Final(error) = fault(KafkaError::MessageConsumption(code), &group) else { panic!("{code} passes") };
            assert!(error.remedy_text().is_some(), "{error}");
            assert!(matches!(fault(KafkaError::MessageConsumption(code), &SetPlace::default()), Fault::Passes), "nobody is in a group");
        }
        assert!(matches!(fault(KafkaError::MessageConsumption(Code::AllBrokersDown), &group), Fault::Passes));
    }

    #[test]
    fn damaged_records_are_told_with_the_remedy_that_has_an_effect() {
        for (set_place, remedy) in
            [(SetPlace::of_group("clean"), "kafka-consumer-groups.sh --reset-offsets"), (SetPlace::default(), "sluicegate checkpoint set")]
        {
            let Fault::Final(error) = fault(KafkaError::MessageConsumption(Code::BadMessage), &set_place) else { panic!("it passes") };
            assert!(error.remedy_text().unwrap().contains(remedy), "{error:?}");
        }
    }
}
