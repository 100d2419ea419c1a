//! What can be said before anything runs of the tables that would come: which topics they go to, and whether Kafka can have these.

use std::{collections::BTreeSet, sync::Arc};

use rdkafka::producer::Producer as _;

use sluicegate_config::{Delivery, KafkaSink as Settings, Keyless, Transactions};
use sluicegate_model::{
    Result,
    change::Table,
    finding::Finding,
    finding::listed,
    limits::{CHECK_NAMES, Limits},
};

use super::{
    client::{Reports, config, connect},
    positions::{self, Policy},
    topic::{Topics, metric},
};

/// What was foreseen.
pub struct Foreseen {
    /// Item by item.
    pub findings: Vec<Finding>,
    /// For each table its topic, where it has one.
    pub topics: Vec<Option<Arc<str>>>,
}

/// Looks at the tables as they would be delivered, and asks the brokers which topics there are.
///
/// # Errors
/// The brokers cannot be asked.
pub fn foresee(settings: &Settings, tables: &[Arc<Table>], limits: &Limits) -> Result<Foreseen> {
    let mut findings = Vec::new();
    let mut topics = Topics::new(&settings.topic, 0);
    let mut given = Vec::with_capacity(tables.len());
    for table in tables {
        // topics that plugins choose are taken as they are
        given.push(match &table.destination {
            Some(chosen) => Some(Arc::from(chosen.as_str())),
            None => match topics.topic(&table.name) {
                Ok(topic) => Some(topic),
                Err(error) => {
                    if findings.len() < CHECK_NAMES {
                        findings.push(Finding::of("topics", &error));
                    }
                    None
                }
            },
        });
    }
    let keyless: Vec<String> = tables.iter().filter(|table| !table.has_key()).map(|table| table.name.to_string()).collect();
    if settings.keyless == Keyless::Stop && !keyless.is_empty() {
        findings.push(Finding::fail(
            "keyless tables",
            format!(
                "tables without a primary key would stop the pipeline at their first row (`keyless: stop`): {}",
                listed(keyless.iter().map(String::as_str), CHECK_NAMES)
            ),
            "give them a primary key, set `keyless` of the sink to `whole-row` or `no-key`, or leave the tables out",
        ));
    }
    if let Delivery::ExactlyOnce(transactions) = &settings.delivery {
        findings.push(positions(settings, transactions, limits)?);
    }
    let wanted: BTreeSet<&str> = given.iter().flatten().map(|topic| &**topic).collect();
    there(settings, &wanted, limits, &mut findings)?;
    Ok(Foreseen { findings, topics: given })
}

/// Whether the topic that is to hold the sink's progress keeps it.
fn positions(settings: &Settings, transactions: &Transactions, limits: &Limits) -> Result<Finding> {
    const ITEM: &str = "positions topic";
    let config = config(settings, limits)?;
    let topic = positions::Topic { settings, transactions, config: &config, timeout: limits.connect_timeout };
    let name = &transactions.positions_topic;
    Ok(match topic.policy()? {
        Policy::Is(policy) => match topic.check_policy(&policy) {
            Ok(()) => Finding::pass(ITEM, format!("`{name}` keeps progress (`cleanup.policy={policy}`)")),
            Err(error) => Finding::of(ITEM, &error),
        },
        Policy::Hidden | Policy::Untold => Finding::of(ITEM, &topic.hidden()),
        Policy::Unknown => Finding::pass(ITEM, format!("`{name}` is not there yet; the first start makes it")),
    })
}

/// Compares the topics with those of the brokers.
fn there(settings: &Settings, wanted: &BTreeSet<&str>, limits: &Limits, findings: &mut Vec<Finding>) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let client = connect(settings, limits, Reports::new(None))?;
    let Ok(metadata) = client.client().fetch_metadata(None, limits.connect_timeout) else { return Ok(()) };
    let there: BTreeSet<&str> = metadata.topics().iter().map(rdkafka::metadata::MetadataTopic::name).collect();
    let missing: Vec<&str> = wanted.iter().copied().filter(|topic| !there.contains(topic)).collect();
    for topic in missing.iter().take(CHECK_NAMES) {
        if let Some(other) = there.iter().find(|other| metric(other) == metric(topic)) {
            findings.push(Finding::fail(
                "topics",
                format!("Kafka cannot have the topic `{topic}` beside its topic `{other}`: it takes `.` and `_` for the same in the names of its metrics"),
                "give the table another name with the `map-names` plugin, write another `topic` template, or remove the other topic",
            ));
        }
    }
    if missing.is_empty() {
        findings.push(Finding::pass("topics", format!("all {} are there", wanted.len())));
    } else if !findings.iter().any(|finding| finding.item == "topics") {
        findings.push(Finding::pass(
            "topics",
            format!(
                "{} of {} are not there yet, and are made with their first record if the brokers make topics by themselves: {}",
                missing.len(),
                wanted.len(),
                listed(missing.iter().copied(), CHECK_NAMES)
            ),
        ));
    }
    Ok(())
}
