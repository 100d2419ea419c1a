//! What a start needs: brokers that answer, topics that are there, and places in them from which everything can be given.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
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
    change::{Frontier, Offset, Table},
    finding::{Finding, listed},
    limits::{CHECK_NAMES, Limits},
};
use sluicegate_source::{Begin, Inventory};

/// Offsets from the end of a partition among which a check looks for its last record: the last ones may be tombstones and ends of
/// transactions.
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
        self.match_something(&cluster, &topics)?;
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

    /// Whether each pattern selects, and each name leaves out, a topic of today.
    fn match_something(&mut self, cluster: &Cluster<'_>, topics: &BTreeMap<String, Topic>) -> Result<()> {
        let patterns = &self.settings.topics;
        let left_out: Vec<&str> = patterns.left_out().collect();
        let there = if left_out.is_empty() { BTreeSet::new() } else { cluster.names()? };
        let useless = patterns.without_effect(topics.keys().map(String::as_str)).map(|pattern| format!("`{pattern}`"));
        let not_there = left_out.iter().filter(|name| !there.contains(**name) || !patterns.includes(name)).map(|name| format!("`!{name}`"));
        let useless: Vec<String> = useless.chain(not_there).collect();
        if !topics.is_empty() && !useless.is_empty() {
            self.findings.push(Finding::warn(
                "topics",
                format!("entries of `topics` match no topic: {}", listed(useless.iter().map(String::as_str), CHECK_NAMES)),
                "correct them, or leave them so if the topics are made later",
            ));
        }
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

/// The tables that the last records of each partition hold; and what keeps them from being read.
pub(super) fn look_into(settings: &KafkaSource, limits: &Limits) -> Result<(Inventory, Vec<Finding>)> {
    let client = client::connect(settings, limits)?;
    let cluster = Cluster { client: &client, settings, timeout: limits.connect_timeout };
    let topics = cluster.topics()?;
    let mut list = TopicPartitionList::new();
    let mut ends: BTreeMap<(String, i32), i64> = BTreeMap::new();
    for (name, topic) in &topics {
        for partition in 0..topic.partitions {
            let (low, high) = cluster.ends(name, partition)?;
            if low < high {
                let from = KafkaOffset::Offset((high - LAST).max(low));
                list.add_partition_offset(name, partition, from)
                    .map_err(|e| Error::new(ErrorKind::Internal, "an offset of a partition is none").caused_by(e))?;
                ends.insert((name.clone(), partition), high);
            }
        }
    }
    if settings.group.is_some() {
        may_be_member(&client, &list, limits)?;
    }
    client.assign(&list).map_err(|e| Error::new(ErrorKind::Internal, "partitions cannot be assigned").caused_by(e))?;
    let last = read_last(&client, settings, limits, ends)?;
    let mut inventory = Inventory::default();
    for table in last.values().filter_map(|last| last.table.as_ref()) {
        // partitions may hold different versions of it
        let same = |known: &Arc<Table>| {
            known.name == table.name && known.columns.iter().map(|c| &c.name).eq(table.columns.iter().map(|c| &c.name))
        };
        if !inventory.captured.iter().any(same) {
            inventory.captured.push(table.clone());
        }
        if !inventory.seen.contains(&table.name) {
            inventory.seen.push(table.name.clone());
        }
    }
    let of = |wanted: fn(&Last) -> bool| -> BTreeSet<&str> {
        last.iter().filter(|(_, last)| wanted(last)).map(|((topic, _), _)| topic.as_str()).collect()
    };
    let (refused, with) = (of(|last| last.refused.is_some()), of(|last| last.table.is_some()));
    let (read, unread) = (with.difference(&refused).count(), refused.len());
    let mut findings: Vec<Finding> = last.values().filter_map(|last| last.refused.clone()).take(CHECK_NAMES).collect();
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

/// What the last records of a partition say.
#[derive(Default)]
struct Last {
    /// The table of the last row.
    table: Option<Arc<Table>>,
    /// Why what came after it cannot be read.
    refused: Option<Finding>,
}

/// Reads up to the `ends` of the partitions, as far as `limits.connect_timeout` lets it.
fn read_last(
    client: &Client,
    settings: &KafkaSource,
    limits: &Limits,
    mut ends: BTreeMap<(String, i32), i64>,
) -> Result<BTreeMap<(String, i32), Last>> {
    let reading = Reading::of(settings, limits);
    let mut versions = Versions::default();
    let set_place = SetPlace::new(settings);
    let deadline = Instant::now() + limits.connect_timeout;
    let mut all: BTreeMap<(String, i32), Last> = BTreeMap::new();
    while !ends.is_empty() && Instant::now() < deadline {
        if client.context().too_large() {
            return Err(client::too_large().not_ready());
        }
        let message = match client.poll(std::time::Duration::from_millis(50)) {
            Some(Ok(message)) => message,
            Some(Err(error)) => match fault(error, &set_place) {
                Fault::Final(error) => return Err(error.not_ready()),
                Fault::Passes | Fault::Gone => continue,
            },
            None => {
                // behind the last record may be the end of a transaction
                let positions = client.position().map_err(|e| Error::new(ErrorKind::Internal, "positions are not told").caused_by(e))?;
                for place in positions.elements() {
                    let partition = (place.topic().to_owned(), place.partition());
                    if let KafkaOffset::Offset(offset) = place.offset()
                        && ends.get(&partition).is_some_and(|end| offset >= *end)
                    {
                        ends.remove(&partition);
                    }
                }
                continue;
            }
        };
        let partition = (message.topic().to_owned(), message.partition());
        let Some(end) = ends.get(&partition).copied() else { continue };
        if message.offset() >= end {
            // it came after the check had begun
            ends.remove(&partition);
            continue;
        }
        let last = all.entry(partition.clone()).or_default();
        match record::read(message.key(), message.payload(), reading, &mut versions) {
            Ok(Record::Row(row)) => *last = Last { table: Some(row.version.table.clone()), refused: None },
            Ok(Record::Truncate { .. }) => last.refused = None,
            Ok(Record::Tombstone) => {}
            Err(unreadable) => {
                let what = format!(
                    "the record at offset {} of partition {}/{} cannot be read: {}",
                    message.offset(),
                    message.topic(),
                    message.partition(),
                    unreadable.what
                );
                let remedy = unreadable.remedy.unwrap_or("correct the source's `format`, or set `on_unreadable: dead-letter`, or `skip`");
                last.refused = Some(match settings.on_unreadable {
                    OnUnreadable::Stop => Finding::fail("records", what, remedy),
                    OnUnreadable::Skip | OnUnreadable::DeadLetter => Finding::warn("records", what, remedy),
                });
            }
        }
        if message.offset() + 1 >= end {
            ends.remove(&partition);
        }
    }
    Ok(all)
}
