//! What a start needs: brokers that answer, topics that are there, and places in them from which everything can be given.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use rdkafka::{Message as _, Offset as KafkaOffset, TopicPartitionList, consumer::Consumer as _, types::RDKafkaErrorCode as Code};

use super::{
    client::{self, Client},
    cluster::{Cluster, Fault, Topic, fault, no_group},
    partition::SetPlace,
    place::{KafkaPlace, lane, partition_of},
    record::{self, Reading, Record},
    session::{gone_topic, out_of_range},
    version::Versions,
};
use sluicegate_config::{KafkaSource, OnUnreadable, StartAt};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, Offset},
    finding::Finding,
    limits::{CHECK_NAMES, Limits},
};
use sluicegate_source::{Begin, Inventory};

/// Records from the end of a partition among which a check looks for one that it can read: the last ones may be ends of transactions.
const LAST: i64 = 20;

/// Looks at the cluster.
pub(super) struct Checked<'a> {
    pub settings: &'a KafkaSource,
    pub limits: &'a Limits,
    pub findings: Vec<Finding>,
}

impl Checked<'_> {
    /// Where each sink begins.
    pub(super) fn check(&mut self, sinks: &[Begin]) -> Result<Vec<Frontier>> {
        let client = client::connect(self.settings, self.limits)?;
        let cluster = Cluster { client: &client, settings: self.settings, timeout: self.limits.connect_timeout };
        let topics = cluster.topics()?;
        self.findings.push(Finding::pass("connection", format!("the brokers at {} answer", self.settings.brokers)));
        self.are_there(&topics)?;
        if self.settings.group.is_some() {
            // the group's offsets say where each partition begins, when it is given out
            return Ok(sinks.iter().map(|_| Frontier::default()).collect());
        }
        let mut ends: BTreeMap<(String, i32), (i64, i64)> = BTreeMap::new();
        for (name, topic) in &topics {
            for partition in 0..topic.partitions {
                ends.insert((name.clone(), partition), cluster.ends(name, partition)?);
            }
        }
        let frontier = |latest: bool| -> Frontier {
            let place = |((name, partition), (low, high)): (&(String, i32), &(i64, i64))| {
                let id = topics.get(name)?.id.clone();
                let place = KafkaPlace { topic_id: id, offset: if latest { *high } else { *low }, last: None };
                Some((lane(name, *partition), Offset::new(place)))
            };
            ends.iter().filter_map(place).collect()
        };
        let begin = |begin: &Begin| match begin {
            Begin::At(known) => self.proven(known, &topics, &ends).map(|()| known.clone()),
            Begin::First => Ok(frontier(self.settings.latest)),
            Begin::Start(StartAt::Earliest) => Ok(frontier(false)),
            Begin::Start(StartAt::Now) => Ok(frontier(true)),
            Begin::Start(_) => Err(Error::new(ErrorKind::Config, "a Kafka source has no tables to copy and no positions of a binlog")
                .remedy("write `start: now` or `start: earliest` at the sink, or give it a place with `sluicegate checkpoint set`")),
        };
        sinks.iter().map(begin).collect()
    }

    fn are_there(&mut self, topics: &BTreeMap<String, Topic>) -> Result<()> {
        let missing: Vec<&str> = self.settings.topics.named().filter(|name| !topics.contains_key(*name)).collect();
        if !missing.is_empty() {
            let names = missing.iter().take(CHECK_NAMES).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(Error::new(ErrorKind::Precheck, format!("topics that the source names are not there: {names}"))
                .remedy("correct `topics`, or make them first; a pattern (`shop.*`) also takes topics that are made later"));
        }
        if topics.is_empty() {
            self.findings.push(Finding::warn(
                "topics",
                "no topic matches the patterns yet",
                "correct `topics` if there should be some; those that come later are read from their beginning",
            ));
            return Ok(());
        }
        let partitions: i64 = topics.values().map(|topic| i64::from(topic.partitions)).sum();
        self.findings.push(Finding::pass("topics", format!("{} topics with {partitions} partitions", topics.len())));
        Ok(())
    }

    /// Whether everything behind a place is there.
    fn proven(&self, known: &Frontier, topics: &BTreeMap<String, Topic>, ends: &BTreeMap<(String, i32), (i64, i64)>) -> Result<()> {
        let set_place = SetPlace::new(self.settings);
        for (lane, offset) in known.lanes() {
            let Some((topic, partition)) = partition_of(lane.name()) else {
                return Err(Error::new(
                    ErrorKind::State,
                    format!("the checkpoint holds progress in `{lane}`, which is no lane of a Kafka source"),
                )
                .remedy("give this pipeline a state file of its own, or remove the file to begin anew"));
            };
            if !self.settings.topics.selects(topic) {
                continue;
            }
            let place = KafkaPlace::of(offset)?;
            let Some(found) = topics.get(topic) else { return Err(gone_topic(topic, ErrorKind::Precheck, &set_place)) };
            if found.id != place.topic_id {
                let what =
                    format!("topic `{topic}` was deleted, and another one of its name was made: the checkpoint's place is in the old one");
                return Err(Error::new(ErrorKind::Precheck, what).remedy(set_place.of(topic, partition)));
            }
            let Some(ends) = ends.get(&(topic.to_owned(), partition)) else {
                return Err(Error::new(ErrorKind::Precheck, format!("topic `{topic}` has no partition {partition}, which was read"))
                    .remedy("start again when all brokers run"));
            };
            if place.offset < ends.0 || place.offset > ends.1 {
                let file = format!("{topic}/{partition}");
                return Err(out_of_range(&file, place.offset, *ends, ErrorKind::Precheck, set_place.of(topic, partition)));
            }
        }
        Ok(())
    }
}

/// The tables that the last records of each topic hold; and what keeps topics from being read.
pub(super) fn look_into(settings: &KafkaSource, limits: &Limits) -> Result<(Inventory, Vec<Finding>)> {
    let client = client::connect(settings, limits)?;
    let cluster = Cluster { client: &client, settings, timeout: limits.connect_timeout };
    let topics = cluster.topics()?;
    let mut list = TopicPartitionList::new();
    let mut waiting: BTreeSet<String> = BTreeSet::new();
    for (name, topic) in &topics {
        for partition in 0..topic.partitions {
            let (low, high) = cluster.ends(name, partition)?;
            if low < high {
                let from = KafkaOffset::Offset((high - LAST).max(low));
                list.add_partition_offset(name, partition, from)
                    .map_err(|e| Error::new(ErrorKind::Internal, "an offset of a partition is none").caused_by(e))?;
                waiting.insert(name.clone());
            }
        }
    }
    if settings.group.is_some() {
        may_be_member(&client, &list, limits)?;
    }
    client.assign(&list).map_err(|e| Error::new(ErrorKind::Internal, "partitions cannot be assigned").caused_by(e))?;
    let mut found = Looked { inventory: Inventory::default(), refused: BTreeMap::new(), with: waiting.len() };
    read_one_of_each(&client, settings, limits, &mut waiting, &mut found)?;
    let Looked { inventory, mut refused, with } = found;
    // a topic of which another record could be read is one that is read
    refused.retain(|topic, _| waiting.contains(topic));
    waiting.retain(|topic| !refused.contains_key(topic));
    let unread = refused.len();
    let mut findings: Vec<Finding> = refused.into_values().take(CHECK_NAMES).collect();
    let read = with - waiting.len() - unread;
    if read > 0 || findings.is_empty() {
        findings.push(Finding::pass(
            "records",
            format!("{read} topics have a last record that was read; {} have none", topics.len() - read - unread),
        ));
    }
    Ok((inventory, findings))
}

/// Whether the account may see the group's offsets. It waits for none that stands in a transaction which is still open.
fn may_be_member(client: &Client, list: &TopicPartitionList, limits: &Limits) -> Result<()> {
    match client.committed_offsets(list.clone(), limits.connect_timeout) {
        Err(error) if error.rdkafka_error_code() == Some(Code::GroupAuthorizationFailed) => {
            Err(no_group(error.to_string(), ErrorKind::Precheck))
        }
        Err(error) => {
            tracing::debug!(%error, "the group's offsets are not told yet");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

struct Looked {
    inventory: Inventory,
    refused: BTreeMap<String, Finding>,
    with: usize,
}

fn read_one_of_each(
    client: &Client,
    settings: &KafkaSource,
    limits: &Limits,
    waiting: &mut BTreeSet<String>,
    found: &mut Looked,
) -> Result<()> {
    let reading = Reading::of(settings, limits);
    let mut versions = Versions::default();
    let set_place = SetPlace::new(settings);
    let deadline = Instant::now() + limits.connect_timeout;
    while !waiting.is_empty() && Instant::now() < deadline {
        if client.context().too_large() {
            return Err(client::too_large().not_ready());
        }
        let message = match client.poll(std::time::Duration::from_millis(50)) {
            Some(Ok(message)) => message,
            Some(Err(error)) => match fault(error, &set_place) {
                Fault::Final(error) => return Err(error.not_ready()),
                Fault::Passes | Fault::Gone => continue,
            },
            None => continue,
        };
        let topic = message.topic();
        if !waiting.contains(topic) {
            continue;
        }
        match record::read(message.key(), message.payload(), reading, &mut versions) {
            Ok(Record::Row(row)) => {
                waiting.remove(topic);
                let table = &row.version.table;
                if !found.inventory.captured.iter().any(|known| known.name == table.name) {
                    found.inventory.captured.push(table.clone());
                    found.inventory.seen.push(table.name.clone());
                }
            }
            Ok(Record::Tombstone | Record::Truncate { .. }) => {}
            Err(unreadable) => {
                let what = format!(
                    "the record at offset {} of partition {topic}/{} cannot be read: {}",
                    message.offset(),
                    message.partition(),
                    unreadable.what
                );
                let remedy = unreadable.remedy.unwrap_or("correct the source's `format`, or set `on_unreadable: dead-letter`, or `skip`");
                let finding = match settings.on_unreadable {
                    OnUnreadable::Stop => Finding::fail("records", what, remedy),
                    OnUnreadable::Skip | OnUnreadable::DeadLetter => Finding::warn("records", what, remedy),
                };
                found.refused.insert(topic.to_owned(), finding);
            }
        }
    }
    Ok(())
}
