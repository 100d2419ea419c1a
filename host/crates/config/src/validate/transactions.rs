//! What a Kafka sink makes of the source's transactions: where it commits, and what it tells of them.

use super::{
    super::{
        Delivery, Format, KafkaSink, LongTransactions, OnError, RecordFormat, Sink, SinkKind, Source,
        raw::{RawAlign, RawKafkaSink, RawLongTransactions, RawTransactionMetadata},
    },
    check::Check,
};

impl Check<'_> {
    /// Whether a sink commits between transactions of the source only, and what it does with those that are too long for it.
    pub(super) fn align(&mut self, path: &str, raw: &RawKafkaSink, delivery: &Delivery) -> Option<LongTransactions> {
        let aligned = matches!(raw.align, Some(RawAlign::SourceTransactions));
        if aligned && *delivery == Delivery::AtLeastOnce {
            self.refuse(
                format!("{path}.align"),
                "there are no transactions in Kafka to align",
                "set `delivery: exactly-once`, or remove it",
            );
        }
        if !aligned && raw.long_transactions.is_some() {
            self.refuse(format!("{path}.long_transactions"), "it has no effect", "set `align: source-transactions`, or remove it");
        }
        let long = match raw.long_transactions {
            None | Some(RawLongTransactions::Cut) => LongTransactions::Cut,
            Some(RawLongTransactions::Stop) => LongTransactions::Stop,
        };
        aligned.then_some(long)
    }

    /// The topic to which the source's transactions are told.
    pub(super) fn transaction_metadata(
        &mut self,
        path: &str,
        pipeline: &str,
        raw: Option<RawTransactionMetadata>,
        format: &Format,
        on_error: OnError,
        kind: &mut SinkKind,
    ) {
        let Some(raw) = raw else { return };
        let option = format!("{path}.format.transaction_metadata");
        if format.record != RecordFormat::Debezium {
            self.refuse(option, format!("the format `{}` has no such option", format.record.name()), "remove it; it is of `debezium`");
            return;
        }
        let SinkKind::Kafka(kafka) = kind else {
            self.refuse(option, "transactions are told to a topic, which only Kafka has", "remove it, or use a sink of `type: kafka`");
            return;
        };
        if on_error != OnError::Stop && kafka.delivery == Delivery::AtLeastOnce {
            self.refuse(
                &option,
                "a transaction would be told with records that the brokers refuse afterwards, and `on_error` passes over",
                "set `delivery: exactly-once`, or `on_error: stop`",
            );
        }
        let topic = raw.topic.unwrap_or_else(|| format!("{pipeline}.transaction"));
        self.fixed_topic(&format!("{option}.topic"), Some(&topic));
        if let Some(other) = same_topic(kafka, &topic) {
            self.refuse(option, format!("it has the same topic as `{other}`"), "give one of them another topic");
        }
        kafka.transaction_topic = Some(topic);
    }

    /// Refuses sinks that go by the source's transactions where the source has none.
    pub(super) fn transactions_of_source(&mut self, source: &Source, sinks: &[Sink]) {
        let why = match source {
            Source::SqlServer(_) => {
                "change tracking gives the changes of one table after those of another, and not which of them were one transaction"
            }
            Source::Kafka(_) => "the records of topics do not say which of them were one transaction",
            Source::Generator(_) | Source::MySql(_) | Source::DeadLetters(_) => return,
        };
        for (i, sink) in sinks.iter().enumerate() {
            let SinkKind::Kafka(kafka) = &sink.kind else { continue };
            let given = [("align", kafka.align.is_some()), ("format.transaction_metadata", kafka.transaction_topic.is_some())];
            for (option, _) in given.into_iter().filter(|(_, given)| *given) {
                self.refuse(format!("sinks[{i}].{option}"), why, "remove it: only MySQL and MariaDB log their transactions");
            }
        }
    }

    /// Refuses formats that give each record an id of its own where the source's positions do not.
    pub(super) fn ids_of_source(&mut self, source: &Source, sinks: &[Sink]) {
        let Source::SqlServer(_) = source else { return };
        for (i, sink) in sinks.iter().enumerate().filter(|(_, sink)| sink.format.record.numbers_changes()) {
            self.refuse(
                format!("sinks[{i}].format"),
                format!(
                    "the ids of the format `{}` are made of positions, and change tracking gives all changes of a transaction one: consumers \
                     that leave out records with an id that they had would lose rows",
                    sink.format.record.name()
                ),
                "use another format, such as `debezium` or `flat`: there the table, its key and the version tell a change",
            );
        }
    }
}

/// The setting whose topic Kafka takes for the same.
pub(super) fn same_topic(kafka: &KafkaSink, topic: &str) -> Option<&'static str> {
    let positions = match &kafka.delivery {
        Delivery::ExactlyOnce(transactions) => Some(transactions.positions_topic.as_str()),
        Delivery::AtLeastOnce => None,
    };
    let fixed = [
        ("positions_topic", positions),
        ("schema_changes", kafka.schema_topic.as_deref()),
        ("heartbeats", kafka.heartbeats.as_ref().map(|heartbeats| heartbeats.topic.as_str())),
    ];
    let same = |known: &str| known.replace('.', "_") == topic.replace('.', "_");
    fixed.into_iter().find(|(_, known)| known.is_some_and(same)).map(|(name, _)| name)
}
