//! A sink.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::{
        Delivery, FileRecords, FileSink, Heartbeats, KafkaSink, Keyless, OnError, PluginVersions, RecordHeaders, Roll, Sink, SinkKind,
        Transactions, WhenSlow,
        raw::{
            RawDelivery, RawFileSink, RawHeader, RawKafkaSink, RawKeyless, RawMemberVersions, RawOnError, RawPluginVersions, RawRoll,
            RawShared, RawSink, RawWhenSlow,
        },
        refused_option,
    },
    check::Check,
    kafka_security::RawConnection,
    routing::{is_topic, name_case},
};

impl Check<'_> {
    pub(super) fn sink(&mut self, path: &str, pipeline: &str, labels: &BTreeMap<String, String>, raw: RawSink) -> Sink {
        let mut tombstones = None;
        let schema_changes;
        let raw_rate = match &raw {
            RawSink::Stdout(raw) => (raw.rows_per_second, raw.bytes_per_second),
            RawSink::File(raw) => (raw.rows_per_second, raw.bytes_per_second),
            RawSink::Kafka(raw) => (raw.rows_per_second, raw.bytes_per_second),
        };
        let rate = self.rate_of(path, raw_rate.0, raw_rate.1);
        let (name, start, mut format, policy, when_slow, plugin_versions, kind) = match raw {
            RawSink::Stdout(raw) => {
                schema_changes = raw.schema_changes == Some(true);
                let name = raw.name.unwrap_or_else(|| "stdout".into());
                (name, raw.start, raw.format, raw.on_error, raw.when_slow, member(raw.plugin_versions), SinkKind::Stdout)
            }
            RawSink::File(mut raw) => {
                schema_changes = raw.schema_changes == Some(true);
                let (name, start) = (raw.name.clone().unwrap_or_else(|| "file".into()), raw.start.take());
                let format = raw.format.take();
                (name, start, format, raw.on_error, raw.when_slow, member(raw.plugin_versions), self.file(path, pipeline, raw))
            }
            RawSink::Kafka(mut raw) => {
                let (name, start) = (raw.name.clone().unwrap_or_else(|| "kafka".into()), raw.start.take());
                let versions = match raw.plugin_versions {
                    None | Some(RawPluginVersions::None) => PluginVersions::Omitted,
                    Some(RawPluginVersions::Member) => PluginVersions::Member,
                    Some(RawPluginVersions::Header) => PluginVersions::Header,
                };
                tombstones = raw.tombstones;
                schema_changes = raw.schema_changes.is_some();
                (name, start, raw.format.take(), raw.on_error, raw.when_slow, versions, self.kafka(path, pipeline, labels, raw))
            }
        };
        self.name(&format!("{path}.name"), &name);
        let metadata = format.as_mut().and_then(|raw| raw.0.transaction_metadata.take());
        let format = self.format(&format!("{path}.format"), format, matches!(kind, SinkKind::Kafka(_)));
        let mut kind = self.tombstones(path, &format, kind, tombstones);
        self.transaction_metadata(path, pipeline, metadata, &format, on_error(policy), &mut kind);
        self.csv(path, &format, plugin_versions, &mut kind);
        if schema_changes && !format.record.tells_schema_changes() {
            self.refuse(
                format!("{path}.schema_changes"),
                format!("the format `{}` has no record of a changed schema", format.record.name()),
                "use `debezium`, `debezium-flattened`, `flat` or `canal`; or remove it",
            );
        }
        if let SinkKind::Kafka(kafka) = &kind
            && kafka.heartbeats.is_some()
            && !format.record.tells_heartbeats()
        {
            self.refuse(
                format!("{path}.heartbeats"),
                format!("the format `{}` has no record of a heartbeat", format.record.name()),
                "use another format, or remove it",
            );
        }
        self.whole_files(path, &format, &mut kind);
        self.with_registry(path, &format, &kind);
        let start = start.map(|raw| self.start(&format!("{path}.start"), raw));
        let when_slow = match when_slow {
            None | Some(RawWhenSlow::Hold) => WhenSlow::Hold,
            Some(RawWhenSlow::Apart) => WhenSlow::Apart,
        };
        Sink { name, start, format, plugin_versions, schema_changes, on_error: on_error(policy), when_slow, rate, kind }
    }

    fn file(&mut self, path: &str, pipeline: &str, raw: RawFileSink) -> SinkKind {
        let prefix = raw.prefix.unwrap_or_else(|| pipeline.to_owned());
        self.name(&format!("{path}.prefix"), &prefix);
        if raw.zstd.is_some_and(|level| !(1..=19).contains(&level)) {
            self.refuse(format!("{path}.zstd"), "there is no such zstd level", "write a level from 1 (fast) to 19 (small)");
        }
        let folder = self.path(&format!("{path}.folder"), &raw.folder);
        let shared = matches!(raw.shared_path, Some(RawShared::Allow));
        let inside = self.folders(path, raw.path.as_deref(), shared, raw.name_case);
        SinkKind::File(FileSink {
            folder,
            path: inside,
            prefix,
            roll: self.roll(path, &raw.roll),
            zstd: raw.zstd,
            records: FileRecords::Lines,
        })
    }

    fn roll(&mut self, path: &str, raw: &RawRoll) -> Roll {
        let bytes = self.size(&format!("{path}.roll.bytes"), raw.bytes, 256 << 20, 4 << 10, 1 << 40);
        let every = raw.every.map(|every| {
            let most = Duration::from_secs(366 * 24 * 3600);
            self.time(&format!("{path}.roll.every"), Some(every), Duration::ZERO, Duration::from_millis(100), most)
        });
        Roll { bytes, every }
    }

    fn kafka(&mut self, path: &str, pipeline: &str, labels: &BTreeMap<String, String>, mut raw: RawKafkaSink) -> SinkKind {
        let delivery = self.delivery(path, pipeline, &raw);
        let align = self.align(path, &raw, &delivery);
        let security = self.kafka_security(
            path,
            RawConnection {
                brokers: &raw.brokers,
                options: &raw.options,
                tls: raw.tls,
                ca_file: raw.ca_file.take(),
                cert_file: raw.cert_file.take(),
                key_file: raw.key_file.take(),
                key_password: raw.key_password.take(),
                sasl: raw.sasl.take(),
            },
        );
        let options = self.kafka_options(path, raw.options, refused_option);
        let topic = self.topic(&format!("{path}.topic"), raw.topic.as_deref());
        let topics = self.topics(&format!("{path}.topics"), raw.topics);
        self.fixed_topic(&format!("{path}.schema_changes"), raw.schema_changes.as_deref());
        let has = |header| raw.headers.contains(&header);
        let headers = RecordHeaders {
            operation: has(RawHeader::Operation),
            position: has(RawHeader::Position),
            source_time: has(RawHeader::SourceTime),
            labels: if has(RawHeader::Labels) { labels.clone() } else { BTreeMap::new() },
        };
        let keys = self.keys(path, raw.key, raw.partition_by, raw.per_table);
        let heartbeats = raw.heartbeats.map(|raw| {
            let topic = raw.topic.unwrap_or_else(|| format!("__debezium-heartbeat.{pipeline}"));
            self.fixed_topic(&format!("{path}.heartbeats.topic"), Some(&topic));
            let (default, most) = (Duration::from_secs(10), Duration::from_secs(24 * 3600));
            Heartbeats {
                topic,
                every: self.time(&format!("{path}.heartbeats.every"), raw.every, default, Duration::from_millis(100), most),
            }
        });
        let positions = match &delivery {
            Delivery::ExactlyOnce(transactions) => Some(("positions_topic", transactions.positions_topic.as_str())),
            Delivery::AtLeastOnce => None,
        };
        let schemas = raw.schema_changes.as_deref().map(|topic| ("schema_changes", topic));
        let beats = heartbeats.as_ref().map(|heartbeats: &Heartbeats| ("heartbeats", heartbeats.topic.as_str()));
        let fixed: Vec<(&str, &str)> = [positions, schemas, beats].into_iter().flatten().collect();
        for (nth, (name, topic)) in fixed.iter().enumerate() {
            if let Some((other, _)) = fixed[..nth].iter().find(|(_, known)| known.replace('.', "_") == topic.replace('.', "_")) {
                self.refuse(format!("{path}.{name}"), format!("it has the same topic as `{other}`"), "give one of them another topic");
            }
        }
        SinkKind::Kafka(KafkaSink {
            schema_topic: raw.schema_changes,
            heartbeats,
            brokers: self.text(format!("{path}.brokers"), raw.brokers, "`host:port`, several separated by commas"),
            security,
            topic,
            shared_topic: matches!(raw.shared_topic, Some(RawShared::Allow)),
            name_case: name_case(raw.name_case),
            topics,
            keys,
            headers,
            tombstones: raw.tombstones.unwrap_or(true),
            keyless: match raw.keyless {
                None | Some(RawKeyless::Stop) => Keyless::Stop,
                Some(RawKeyless::WholeRow) => Keyless::WholeRow,
                Some(RawKeyless::NoKey) => Keyless::NoKey,
            },
            delivery,
            align,
            transaction_topic: None,
            letter_topic: None,
            in_group: false,
            delivery_timeout: self.time(
                &format!("{path}.delivery_timeout"),
                raw.delivery_timeout,
                Duration::from_secs(120),
                Duration::from_secs(1),
                Duration::from_secs(24 * 3600),
            ),
            options,
        })
    }

    fn delivery(&mut self, path: &str, pipeline: &str, raw: &RawKafkaSink) -> Delivery {
        let Some(RawDelivery::ExactlyOnce) = raw.delivery else {
            for (name, set) in [("transactional_id", &raw.transactional_id), ("positions_topic", &raw.positions_topic)] {
                if set.is_some() {
                    self.refuse(format!("{path}.{name}"), "it has no effect", "set `delivery: exactly-once`, or remove it");
                }
            }
            return Delivery::AtLeastOnce;
        };
        let sink = raw.name.as_deref().unwrap_or("kafka");
        let transactional_id = raw.transactional_id.clone().unwrap_or_else(|| format!("sluicegate.{pipeline}.{sink}"));
        let positions_topic = raw.positions_topic.clone().unwrap_or_else(|| format!("sluicegate.positions.{pipeline}.{sink}"));
        if !is_topic(&positions_topic) || positions_topic.len() > 249 {
            self.refuse(format!("{path}.positions_topic"), "Kafka allows no such topic name", "use letters, digits, `.`, `_` and `-`");
        }
        Delivery::ExactlyOnce(Transactions {
            transactional_id: self.text(format!("{path}.transactional_id"), transactional_id, "a name of the sink's own"),
            positions_topic,
        })
    }
}

fn on_error(raw: Option<RawOnError>) -> OnError {
    match raw {
        None | Some(RawOnError::Stop) => OnError::Stop,
        Some(RawOnError::Skip) => OnError::Skip,
        Some(RawOnError::DeadLetter) => OnError::DeadLetter,
    }
}

fn member(raw: Option<RawMemberVersions>) -> PluginVersions {
    match raw {
        None | Some(RawMemberVersions::None) => PluginVersions::Omitted,
        Some(RawMemberVersions::Member) => PluginVersions::Member,
    }
}
