//! A copy of a topic of dead letters in files, which the commands for letters read: what is committed in the topic is fetched from where
//! the last copy ended.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
    types::RDKafkaErrorCode as Code,
};

use super::{
    letters::{KIND, LetterQueue, STAGE},
    positions::Quiet,
};
use sluicegate_dead_letter::{Kind, LetterCopy, Queue as _};
use sluicegate_kafka::{Tokens, is_connection_option, renewed};
use sluicegate_model::{Error, ErrorKind, Result, limits::KAFKA_LETTERS_MARKED};

/// How long one look for a record waits.
const LOOK: Duration = Duration::from_millis(50);

impl LetterQueue {
    /// Appends to the copy what came into the topic since, up to its present end. Answers how many records of the topic are no letters.
    ///
    /// # Errors
    /// `Connection`: the brokers do not answer. `Sink`: the topic or the copy cannot be read or written.
    pub fn copy_to(&self, copy: &mut LetterCopy) -> Result<u64> {
        self.precheck()?;
        let (name, timeout) = (self.topic(), self.limits().connect_timeout);
        let consumer = self.consumer("read_committed")?;
        let cluster = consumer.fetch_metadata(Some(name), timeout).map_err(|e| self.silent(e))?;
        let partitions = cluster.topics().iter().filter(|topic| topic.name() == name).flat_map(|topic| topic.partitions());
        let everything = self.consumer("read_uncommitted")?;
        let mut ends = BTreeMap::new();
        let mut list = TopicPartitionList::new();
        let patience = Instant::now() + KAFKA_LETTERS_MARKED;
        for partition in partitions.map(|partition| partition.id()) {
            let (_, written) = everything.fetch_watermarks(name, partition, timeout).map_err(|e| self.silent(e))?;
            let (low, end) = loop {
                // a reader of what is committed is told an end before the first transaction that is open
                let (low, end) = consumer.fetch_watermarks(name, partition, timeout).map_err(|e| self.silent(e))?;
                if end >= written || Instant::now() >= patience {
                    break (low, end);
                }
                std::thread::sleep(LOOK);
            };
            let begin = copy.next(partition).max(low);
            if begin < end {
                ends.insert(partition, end);
                list.add_partition_offset(name, partition, KafkaOffset::Offset(begin)).map_err(|e| self.unreadable(e))?;
            }
        }
        consumer.assign(&list).map_err(|e| self.unreadable(e))?;
        let (mut last, mut strangers) = (Instant::now(), 0);
        while !ends.is_empty() {
            match consumer.poll(LOOK) {
                Some(Ok(message)) => {
                    last = Instant::now();
                    let (partition, offset) = (message.partition(), message.offset());
                    if ends.get(&partition).is_some_and(|end| offset < *end) {
                        match letter(&message) {
                            Some((kind, stage, text)) if copy.append(kind, stage, text, partition, offset)? => {}
                            _ => strangers += 1,
                        }
                    }
                }
                Some(Err(error)) if is_fault(&error) => return Err(self.unreadable(error)),
                Some(Err(error)) => tracing::debug!(%error, "reading the dead-letter topic"),
                None => {}
            }
            // the position passes the marks of transactions, too
            let position = consumer.position().map_err(|e| self.unreadable(e))?;
            ends.retain(|partition, end| {
                let at = position.find_partition(name, *partition).map(|partition| partition.offset());
                !matches!(at, Some(KafkaOffset::Offset(next)) if next >= *end)
            });
            if last.elapsed() > timeout {
                return Err(Error::new(
                    ErrorKind::Connection,
                    format!("the dead-letter topic `{name}` was not read to its end within {timeout:?} without a record"),
                )
                .remedy("see that its partitions have leaders, then run the command again"));
            }
        }
        let read = list.elements().into_iter().map(|element| element.partition());
        let position = consumer.position().map_err(|e| self.unreadable(e))?;
        let next = read.filter_map(|partition| match position.find_partition(name, partition)?.offset() {
            KafkaOffset::Offset(next) => Some((partition, next)),
            _ => None,
        });
        copy.finish(next.collect::<Vec<_>>())?;
        Ok(strangers)
    }

    fn consumer(&self, isolation: &str) -> Result<BaseConsumer<Quiet>> {
        let settings = self.settings();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &settings.brokers)
            .set("client.id", "sluicegate")
            // no member of a group: a name is needed, and nothing is committed under it
            .set("group.id", format!("sluicegate.{}", self.topic()))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("allow.auto.create.topics", "false")
            .set("isolation.level", isolation)
            .set("auto.offset.reset", "error");
        for (name, value) in &settings.options {
            if is_connection_option(name) {
                config.set(name, renewed(settings.connection(), value, name)?.reveal());
            }
        }
        sluicegate_kafka::apply(&mut config, settings.connection())?;
        let tokens = Tokens::of(settings.connection());
        let consumer: BaseConsumer<Quiet> = config
            .create_with_context(Quiet(tokens.clone()))
            .map_err(|e| Error::new(ErrorKind::Sink, "the Kafka client that reads the dead-letter topic cannot be set up").caused_by(e))?;
        tokens.give(consumer.client())?;
        Ok(consumer)
    }

    fn silent(&self, error: KafkaError) -> Error {
        if is_fault(&error) {
            return self.unreadable(error);
        }
        let what = format!("no Kafka broker answered a question about the dead-letter topic `{}`", self.topic());
        Error::new(ErrorKind::Connection, what).caused_by(error).remedy("start the brokers, then run the command again")
    }

    fn unreadable(&self, error: KafkaError) -> Error {
        Error::new(ErrorKind::Sink, format!("the dead-letter topic `{}` cannot be read", self.topic()))
            .caused_by(error)
            .remedy("grant the account READ and DESCRIBE on the topic, then run the command again")
    }
}

/// What a record says, if it is a letter.
fn letter<'m>(message: &'m BorrowedMessage<'_>) -> Option<(Kind, &'m str, &'m [u8])> {
    let headers = message.headers()?;
    let header = |name: &str| headers.iter().find(|header| header.key == name).and_then(|header| std::str::from_utf8(header.value?).ok());
    Some((Kind::named(header(KIND)?)?, header(STAGE)?, message.payload()?))
}

/// Whether waiting cannot mend it.
fn is_fault(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::TopicAuthorizationFailed
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::OffsetOutOfRange
                | Code::AutoOffsetReset
        )
    )
}
