//! What can be said before anything runs of the tables that would come: which topics they go to, and whether Kafka can have these.

use std::{collections::BTreeSet, sync::Arc};

use rdkafka::producer::Producer as _;

use sluicegate_config::{Delivery, Field, KafkaSink as Settings, KeyColumns, Keyless, TopicCreation, TopicSettings, Transactions};
use sluicegate_model::{
    Result,
    change::{Operation, Table},
    finding::{Finding, Verdict, listed},
    limits::{CHECK_NAMES, Limits},
    now_us,
};
use sluicegate_sink::route::Variant;

use super::{
    client::{Reports, config, connect},
    creation::Creation,
    key::KeyPlan,
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

/// Looks at the tables as they would be delivered, and asks the brokers which topics there are. `lacking`: for each table the columns that
/// a delete never has. `stops`: a record that cannot be delivered stops the pipeline.
///
/// # Errors
/// The brokers cannot be asked.
pub fn foresee(settings: &Settings, tables: &[Arc<Table>], lacking: &[&[usize]], stops: bool, limits: &Limits) -> Result<Foreseen> {
    let mut findings = Vec::new();
    let mut topics = Topics::new(settings, usize::MAX, None);
    let mut given = Vec::with_capacity(tables.len());
    let mut wanted = BTreeSet::new();
    // a change of each kind, now
    let variants: Vec<Variant> = match settings.topic.has(Field::Operation) {
        true => [Operation::Insert, Operation::Update, Operation::Delete].map(|what| Variant::of(&settings.topic, what, now_us())).into(),
        false => vec![Variant::of(&settings.topic, Operation::Insert, now_us())],
    };
    for table in tables {
        let number = topics.table(&table.name);
        let mut first = None;
        for variant in &variants {
            match topics.topic(number, table.destination.as_deref(), *variant) {
                Ok(Some(topic)) => {
                    first.get_or_insert(topic.clone());
                    wanted.insert(topic);
                }
                // the policy decides
                Ok(None) => {}
                Err(error) => {
                    if findings.len() < CHECK_NAMES {
                        findings.push(Finding::of("topics", &error));
                    }
                    break;
                }
            }
        }
        given.push(first);
    }
    findings.extend(wanted.iter().filter(|topic| topic.starts_with("__")).take(CHECK_NAMES).map(|topic| of_kafka(topic)));
    keys(settings, tables, &mut findings);
    findings.extend(keys_of_deletes(settings, tables, lacking, stops));
    if let Delivery::ExactlyOnce(transactions) = &settings.delivery
        && !settings.in_group
    {
        findings.push(positions(settings, transactions, limits)?);
    }
    there(settings, &wanted.iter().map(|topic| &**topic).collect(), limits, &mut findings)?;
    Ok(Foreseen { findings, topics: given })
}

/// A topic whose name begins as those of Kafka's own. Brokers refuse records of others in these.
fn of_kafka(topic: &str) -> Finding {
    const INTERNAL: [&str; 4] = ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"];
    let remedy = "write another `topic` template, or give the table another name with the `map-names` plugin";
    match INTERNAL.contains(&topic) {
        true => Finding::fail("topics", format!("`{topic}` is a topic of Kafka's own, which takes no records of others"), remedy),
        false => {
            let what = format!("`{topic}` begins with `__`, as Kafka's own topics do: consumers leave such topics out of their patterns");
            Finding::warn("topics", what, remedy)
        }
    }
}

/// Tables that would stop the pipeline at their first row for want of a key, and columns of keys that may be NULL.
fn keys(settings: &Settings, tables: &[Arc<Table>], findings: &mut Vec<Finding>) {
    let by_primary = |table: &Table| *settings.keys.key(&table.name) == KeyColumns::Primary;
    let keyless: Vec<String> =
        tables.iter().filter(|table| by_primary(table) && !table.has_key()).map(|table| table.name.to_string()).collect();
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
    let mut nullable = Vec::new();
    for table in tables.iter().filter(|table| !by_primary(table) || table.has_key()) {
        match KeyPlan::new(table, settings) {
            Ok(plan) => nullable.extend(plan.nullable(table)),
            Err(error) if findings.len() < CHECK_NAMES => findings.push(Finding::of("keys", &error)),
            Err(_) => {}
        }
    }
    if !nullable.is_empty() {
        findings.push(Finding::warn(
            "keys",
            format!(
                "columns of keys may be NULL, and such rows cannot be delivered: {}",
                listed(nullable.iter().map(String::as_str), CHECK_NAMES)
            ),
            "make keys of columns that are NOT NULL, or set `on_error` of the sink",
        ));
    }
}

/// Columns of keys and partitions that a delete never has.
fn keys_of_deletes(settings: &Settings, tables: &[Arc<Table>], lacking: &[&[usize]], stops: bool) -> Option<Finding> {
    let mut found = Vec::new();
    for (table, lacking) in tables.iter().zip(lacking).filter(|(_, lacking)| !lacking.is_empty()) {
        // what cannot be planned is told
        let Ok(plan) = KeyPlan::new(table, settings) else { continue };
        let lacks = plan.needs(table).filter(|(column, _)| lacking.contains(column));
        found.extend(lacks.map(|(_, name)| format!("{}.{name}", table.name)));
    }
    let what = format!(
        "the source sends the primary key of a deleted row alone, so no delete can be delivered whose key or partition is made of: {}",
        listed(found.iter().map(String::as_str), CHECK_NAMES)
    );
    let remedy = "make `key` and `partition_by` of columns of the primary key, of single tables in `per_table`; or leave deletes out with \
                  `operations` of the `filter` plugin";
    match found.is_empty() {
        true => None,
        false if stops => Some(Finding::fail("keys", what, remedy)),
        false => Some(Finding::warn("keys", what, remedy)),
    }
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
    let clashing = findings.len();
    for topic in missing.iter().take(CHECK_NAMES) {
        if let Some(other) = there.iter().find(|other| metric(other) == metric(topic)) {
            findings.push(Finding::fail(
                "topics",
                format!("Kafka cannot have the topic `{topic}` beside its topic `{other}`: it takes `.` and `_` for the same in the names of its metrics"),
                "give the table another name with the `map-names` plugin, write another `topic` template, or remove the other topic",
            ));
        }
    }
    // what was told above is not asked for
    if findings.len() == clashing {
        let asked = missing.get(..missing.len().min(CHECK_NAMES)).unwrap_or_default();
        findings.extend(Creation::foresee(settings, limits, asked)?.iter().map(|error| Finding::of("topics", error)));
    }
    let found =
        metadata.topics().iter().filter(|topic| wanted.contains(topic.name())).map(|topic| (topic.name(), topic.partitions().len()));
    findings.extend(other_partitions(&settings.topics, found));
    if missing.is_empty() {
        findings.push(Finding::pass("topics", format!("all {} are there", wanted.len())));
    } else if settings.topics == TopicCreation::MustExist {
        findings.push(Finding::fail(
            "topics",
            format!("topics that are not there, or that the account may not see: {}", listed(missing.iter().copied(), CHECK_NAMES)),
            "make them, grant the account DESCRIBE on them, or let the sink make topics: `topics: { partitions: … }`",
        ));
    } else if !findings.iter().any(|finding| finding.item == "topics" && finding.verdict == Verdict::Fail) {
        findings.push(Finding::pass(
            "topics",
            format!(
                "{} of {} are not there yet, and are made with their first record{}: {}",
                missing.len(),
                wanted.len(),
                if settings.topics == TopicCreation::Automatic { " if the brokers make topics by themselves" } else { "" },
                listed(missing.iter().copied(), CHECK_NAMES)
            ),
        ));
    }
    Ok(())
}

/// Topics that have another number of partitions than those that the sink makes: they keep it.
fn other_partitions<'a>(topics: &TopicCreation, found: impl Iterator<Item = (&'a str, usize)>) -> Option<Finding> {
    let TopicCreation::Create(TopicSettings { partitions: Some(wanted), .. }) = topics else { return None };
    let other: Vec<String> = found.filter(|(_, count)| *count as u64 != *wanted).map(|(name, count)| format!("{name} ({count})")).collect();
    (!other.is_empty()).then(|| {
        Finding::warn(
            "topics",
            format!(
                "topics that exist have another number of partitions than {wanted}, and keep it: {}",
                listed(other.iter().map(String::as_str), CHECK_NAMES)
            ),
            "leave them so, or change them with Kafka's tools: records of a key then go to another partition",
        )
    })
}
