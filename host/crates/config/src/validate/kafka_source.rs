//! The Kafka source.

use std::collections::BTreeMap;

use super::{
    super::{
        Delivery, KafkaSource, Sink, SinkKind, Source, TopicFormat, TopicImages, TopicNumbers, TopicPatterns, WhenSlow,
        kafka_option::refused_source_option,
        raw::{RawKafkaSource, RawTopicFormat, RawTopicImages, RawTopicNumbers, RawTopicStart, RawUnreadable},
    },
    check::Check,
    kafka_security::RawConnection,
};
use sluicegate_model::limits::MOST_TOPIC_ENTRIES;

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
        let mut options = BTreeMap::new();
        for (name, value) in raw.options {
            let at = format!("source.options.{name}");
            if let Some(reason) = refused_source_option(&name) {
                self.refuse(&at, format!("this setting is not free: {reason}"), "remove it");
            }
            let value = self.secret(&at, value.0);
            options.insert(name, value);
        }
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
            numbers: match raw.numbers {
                None | Some(RawTopicNumbers::Decimal) => TopicNumbers::Decimal,
                Some(RawTopicNumbers::Double) => TopicNumbers::Double,
            },
            skips_unreadable: matches!(raw.on_unreadable, Some(RawUnreadable::Skip)),
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
            }
        }
    }

    /// A group's offsets are committed with the records, in one transaction of one cluster.
    pub(super) fn group_has_one_sink(&mut self, source: &Source, sinks: &mut [Sink]) {
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
        for sink in sinks {
            if let SinkKind::Kafka(kafka) = &mut sink.kind {
                kafka.in_group = true;
            }
        }
    }
}
