//! The Kafka source.

use super::{
    super::{
        Delivery, KafkaSource, OnUnreadable, Plugin, Sink, SinkKind, Source, TopicFormat, TopicImages, TopicNumbers, TopicPatterns,
        WhenSlow,
        kafka_option::refused_source_option,
        raw::{RawKafkaSource, RawTopicFormat, RawTopicImages, RawTopicNumbers, RawTopicStart, RawUnreadable},
    },
    check::Check,
    kafka_security::RawConnection,
};
use sluicegate_model::limits::{KAFKA_GROUP_INTERVAL, KAFKA_GROUP_TRANSACTION, Limits, MOST_TOPIC_ENTRIES};

impl Check<'_> {
    pub(super) fn kafka_source(&mut self, raw: RawKafkaSource) -> KafkaSource {
        let security = self.kafka_security(
            "source",
            RawConnection {
                brokers: &raw.brokers,
                options: &raw.options,
                tls: raw.tls,
                ca_file: raw.ca_file,
                cert_file: raw.cert_file,
                key_file: raw.key_file,
                key_password: raw.key_password,
                sasl: raw.sasl,
            },
        );
        let options = self.kafka_options("source", raw.options, refused_source_option);
        self.topic_patterns(&raw.topics);
        let format = match raw.format {
            RawTopicFormat::Debezium => TopicFormat::Debezium,
            RawTopicFormat::Flat => TopicFormat::Flat,
        };
        if format == TopicFormat::Flat && raw.before_images == Some(RawTopicImages::Whole) {
            self.refuse(
                "source.before_images",
                "flat records do not hold the row before an update",
                "leave it out, or read topics of `format: debezium`",
            );
        }
        if raw.group.is_some() && matches!(raw.start, Some(RawTopicStart::Latest)) {
            self.refuse(
                "source.start",
                "members of a group begin with the oldest records where the group has committed no offsets",
                "leave it out; `kafka-consumer-groups.sh --reset-offsets --to-latest` sets the group's offsets before the first start",
            );
        }
        let before_images = match (raw.before_images, format) {
            (Some(RawTopicImages::Whole), _) | (None, TopicFormat::Debezium) => TopicImages::Whole,
            (Some(RawTopicImages::Deletes), _) | (None, TopicFormat::Flat) => TopicImages::Deletes,
        };
        KafkaSource {
            brokers: self.text("source.brokers".into(), raw.brokers, "`host:port`, several separated by commas"),
            security,
            topics: TopicPatterns::new(&raw.topics),
            format,
            group: raw.group.map(|group| self.text("source.group".into(), group, "the group's name")),
            latest: matches!(raw.start, Some(RawTopicStart::Latest)),
            before_images,
            before_images_chosen: raw.before_images.is_some(),
            numbers: match raw.numbers {
                None | Some(RawTopicNumbers::Decimal) => TopicNumbers::Decimal,
                Some(RawTopicNumbers::Double) => TopicNumbers::Double,
            },
            on_unreadable: match raw.on_unreadable {
                None | Some(RawUnreadable::Stop) => OnUnreadable::Stop,
                Some(RawUnreadable::Skip) => OnUnreadable::Skip,
                Some(RawUnreadable::DeadLetter) => OnUnreadable::DeadLetter,
            },
            rate: self.rate_of("source", raw.rows_per_second, raw.bytes_per_second),
            options,
        }
    }

    fn topic_patterns(&mut self, topics: &[String]) {
        if topics.iter().all(|topic| topic.starts_with('!')) {
            self.refuse("source.topics", "this selects no topic", "name at least one, e.g. `topics: [shop.orders]`, or `['shop.*']`");
        }
        if topics.len() > MOST_TOPIC_ENTRIES {
            self.refuse("source.topics", format!("there are {} entries", topics.len()), format!("use at most {MOST_TOPIC_ENTRIES}"));
        }
        for (i, topic) in topics.iter().enumerate() {
            let name = topic.strip_prefix('!').unwrap_or(topic);
            let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'*' | b'?');
            if name.is_empty() || name.len() > 249 || !name.bytes().all(fits) {
                let what = "this is neither a topic's name nor a pattern";
                self.refuse(format!("source.topics[{i}]"), what, "use letters, digits, `.`, `_` and `-`, and `*` and `?` for others");
            } else if let Some(first) = topics.iter().take(i).position(|before| before == topic) {
                self.refuse(
                    format!("source.topics[{i}]"),
                    format!("`{topic}` stands in source.topics[{first}] already"),
                    "remove one of the two",
                );
            }
        }
    }

    /// A group's offsets are committed with the records, in one transaction of one cluster.
    ///
    /// `delivery_timeouts`: whether each sink sets its `delivery_timeout`.
    pub(super) fn group_has_one_sink(&mut self, source: &Source, sinks: &mut [Sink], delivery_timeouts: &[bool]) {
        let Source::Kafka(KafkaSource { group: Some(_), brokers, .. }) = source else { return };
        let what = "a source that is a member of a group commits its offsets in the sink's transactions";
        let remedy = "keep one sink: `type: kafka` with `delivery: exactly-once`, the `brokers` of the source and `when_slow: hold`; or leave the source's `group` out";
        let fits = |sink: &Sink| match &sink.kind {
            SinkKind::Kafka(kafka) => {
                matches!(kafka.delivery, Delivery::ExactlyOnce(_)) && kafka.brokers == *brokers && sink.when_slow == WhenSlow::Hold
            }
            SinkKind::Stdout | SinkKind::File(_) => false,
        };
        if sinks.len() > 1 {
            self.refuse("sinks", what, remedy);
        }
        for (i, _) in sinks.iter().enumerate().filter(|(_, sink)| !fits(sink)) {
            self.refuse(format!("sinks[{i}]"), what, remedy);
        }
        for (i, sink) in sinks.iter_mut().enumerate() {
            if let SinkKind::Kafka(kafka) = &mut sink.kind {
                kafka.in_group = true;
                if kafka.delivery_timeout <= KAFKA_GROUP_TRANSACTION {
                    continue;
                }
                if delivery_timeouts.get(i) == Some(&true) {
                    self.refuse(
                        format!("sinks[{i}].delivery_timeout"),
                        format!(
                            "this is more than {} seconds: nobody reads on behind a member of a group that was killed before its transaction ends",
                            KAFKA_GROUP_TRANSACTION.as_secs()
                        ),
                        format!("write at most {}s, or leave it out", KAFKA_GROUP_TRANSACTION.as_secs()),
                    );
                }
                kafka.delivery_timeout = KAFKA_GROUP_TRANSACTION;
            }
        }
    }

    /// What a `fail_closed` plugin hid of a table stands in each host's checkpoint, and partitions move between hosts.
    pub(super) fn group_hides_nothing(&mut self, source: &Source, plugins: &[Plugin]) {
        let Source::Kafka(KafkaSource { group: Some(_), .. }) = source else { return };
        for (i, _) in plugins.iter().enumerate().filter(|(_, plugin)| plugin.fail_closed) {
            self.refuse(
                format!("plugins[{i}].fail_closed"),
                "members of a group do not share which columns a plugin hides: one that has not seen the old name of a column would let the new one pass",
                "hide the columns in the pipeline that writes the topics; or leave the source's `group` out, so that one process reads them all",
            );
        }
    }

    /// Partitions go to other members only once everything that was read of them is committed.
    pub(super) fn group_commits_often(&mut self, source: &Source, limits: &Limits) {
        let Source::Kafka(KafkaSource { group: Some(_), .. }) = source else { return };
        if limits.checkpoint_interval > KAFKA_GROUP_INTERVAL {
            self.refuse(
                "limits.checkpoint_interval",
                format!(
                    "this is more than {} seconds: the whole group waits so long at each change of its members",
                    KAFKA_GROUP_INTERVAL.as_secs()
                ),
                format!("write at most {}s", KAFKA_GROUP_INTERVAL.as_secs()),
            );
        }
    }
}
