//! A session that is a member of a consumer group: partitions come and go with the assignment.
//!
//! Where a partition begins, the group's committed offset says, and nothing else. It stands in the sink's transactions ([`Membership`]).
//! Before partitions go to others, everything that was sent of them is delivered and committed; if that cannot be, the session ends. What
//! was not sent or not committed is read by whoever has the partition then.

use std::{
    collections::BTreeMap,
    ffi::CString,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset as KafkaOffset, TopicPartitionList,
    bindings::{
        rd_kafka_consumer_group_metadata, rd_kafka_consumer_group_metadata_destroy, rd_kafka_consumer_group_metadata_generation_id,
        rd_kafka_topic_partition_list_find,
    },
    consumer::{Consumer as _, ConsumerGroupMetadata},
    types::RDKafkaErrorCode as Code,
};

use super::{
    client::{Client, Rebalance},
    cluster::{Fault, Topic, fault},
    partition::Partition,
    place::{KafkaPlace, Last, partition_of},
    session::{End, Session, internal, out_of_range},
};
use sluicegate_kafka::Membership;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, LaneEvent, MarkKind},
    limits::KAFKA_REVOKED_WITHIN,
};

/// What a frontier says in Kafka's words: the offset, and beside it, as text, what proves it.
pub(super) fn offsets(frontier: &Frontier) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (lane, offset) in frontier.lanes() {
        let Some((topic, partition)) = partition_of(lane.name()) else { continue };
        let place = KafkaPlace::of(offset)?;
        let mut element = list.add_partition(topic, partition);
        element.set_offset(KafkaOffset::Offset(place.offset)).map_err(|e| internal(&e))?;
        element.set_metadata(proof(&place));
    }
    Ok(list)
}

/// What stands beside a committed offset: the topic's id, and offset and time of the record before.
fn proof(place: &KafkaPlace) -> String {
    match place.last {
        Some(last) => format!("{} {} {}", place.topic_id, last.offset, last.time),
        None => place.topic_id.to_string(),
    }
}

/// Whether a text is a topic's id: 16 bytes in base64url.
fn is_id(text: &str) -> bool {
    text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The text beside a committed offset. Other programs may have written bytes there that are none: they are replaced.
#[allow(unsafe_code, reason = "the library ends the program where it is not UTF-8")]
fn beside(list: &TopicPartitionList, topic: &str, partition: i32) -> String {
    let Ok(topic) = CString::new(topic) else { return String::new() };
    // SAFETY: `list` is borrowed, so that its handle and elements are alive and do not change. The name ends with a zero and is only
    // looked at. The element is read if it is not null; its text is `metadata_size` bytes from `metadata`, and copied before it returns.
    unsafe {
        let element = rd_kafka_topic_partition_list_find(list.ptr(), topic.as_ptr(), partition);
        if element.is_null() || (*element).metadata.is_null() {
            return String::new();
        }
        let bytes = std::slice::from_raw_parts((*element).metadata.cast::<u8>(), (*element).metadata_size);
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// The place that a committed offset says. Offsets that another program committed prove nothing.
fn place(offset: i64, proof: &str, topic: &Topic) -> KafkaPlace {
    let mut parts = proof.split(' ');
    let id = parts.next().filter(|id| is_id(id));
    let number = |part: Option<&str>| part.and_then(|part| part.parse().ok());
    let last = match (number(parts.next()), number(parts.next())) {
        (Some(last), Some(time)) if id.is_some() && (0..offset).contains(&last) => Some(Last { offset: last, time }),
        _ => None,
    };
    KafkaPlace { topic_id: id.map_or_else(|| topic.id.clone(), Into::into), offset, last }
}

impl Session {
    /// Becomes a member, or one that reads further topics.
    pub(super) fn subscribe(&mut self, topics: &BTreeMap<String, Topic>) -> Result<()> {
        for (name, topic) in topics {
            self.topics.reads(&name.as_str().into(), &topic.id);
        }
        // a topic that is missing stays among them: it is known to be gone only when it was missing several times
        let mut all = self.subscribed.clone();
        all.extend(topics.keys().cloned());
        if all.len() > self.subscribed.len() {
            let names: Vec<&str> = all.iter().map(String::as_str).collect();
            self.client().subscribe(&names).map_err(|e| internal(&e))?;
            self.subscribed = all;
        }
        Ok(())
    }

    /// Follows what the group decided.
    pub(super) fn follow(&mut self, membership: &Membership) -> Result<(), End> {
        let client = self.client().clone();
        while let Some(rebalance) = client.context().rebalance() {
            let followed = match rebalance {
                Rebalance::Assigned(list) => self.assigned(membership, &client, &list),
                Rebalance::Revoked => self.revoked(membership, &client),
            };
            match followed {
                // it has decided something else since
                Ok(()) | Err(End::Rebalance) => {}
                Err(end) => return Err(end),
            }
        }
        Ok(())
    }

    fn assigned(&mut self, membership: &Membership, client: &Client, list: &TopicPartitionList) -> Result<(), End> {
        if self.has_partitions() {
            let what = "the group gives partitions before it has taken the others back";
            return Err(Error::new(ErrorKind::Internal, what).that_may_pass(true).into());
        }
        let metadata = metadata(client).ok_or_else(|| membership.lost())?;
        // with brokers that are away the session begins anew
        let passing = |error: Error| error.with_kind(ErrorKind::Source).that_may_pass(true);
        let topics = self.cluster().topics().map_err(passing)?;
        self.topics.are_the_same(&topics, &self.set_place)?;
        let committed = self.committed(membership, client, list)?;
        let mut partitions = Vec::new();
        for element in committed.elements() {
            let (name, number) = (element.topic(), element.partition());
            let topic = topics.get(name).ok_or_else(|| {
                Error::new(ErrorKind::Source, format!("the group gives partitions of topic `{name}`, which the brokers do not tell of"))
                    .remedy("see that all brokers run; a topic that was just made or deleted becomes known to them one after the other")
                    .that_may_pass(true)
            })?;
            element.error().map_err(|error| {
                Error::new(
                    ErrorKind::Source,
                    format!("the offset of the consumer group `{}` in topic `{name}` is not told", membership.group()),
                )
                .caused_by(error)
                .remedy("grant the account READ on the group, and READ and DESCRIBE on the topic; then start again: nothing is lost")
                .that_may_pass(true)
            })?;
            if self.stop().is_cancelled() {
                return Err(End::Stopped);
            }
            let remedy = self.set_place.of(name, number);
            let ends = self.cluster().ends(name, number).map_err(passing)?;
            let place = match element.offset() {
                KafkaOffset::Offset(offset) => place(offset, &beside(&committed, name, number), topic),
                // the sink commits it, in a transaction of this generation, before or with what is read of it
                _ => KafkaPlace { topic_id: topic.id.clone(), offset: ends.0, last: None },
            };
            let partition = Partition::new(name.into(), number, &place, self.set_place.clone());
            if !matches!(element.offset(), KafkaOffset::Offset(_)) && self.has_read(&partition.lane) {
                let what = format!(
                    "the consumer group `{}` has no offset of partition {} any longer, which this pipeline has read: the brokers forget those \
                     of a group that had no members for `offsets.retention.minutes`",
                    membership.group(),
                    partition.file
                );
                let show = "`sluicegate checkpoint show` tells how far this host had come";
                return Err(Error::new(ErrorKind::Source, what).remedy(format!("{remedy}; {show}")).into());
            }
            if place.topic_id != topic.id {
                let what =
                    format!("topic `{name}` was deleted, and another one of its name was made: the group's offset is in the old one");
                return Err(Error::new(ErrorKind::Source, what).remedy(remedy).into());
            }
            if place.offset < ends.0 || place.offset > ends.1 {
                return Err(out_of_range(&partition.file, place.offset, ends, ErrorKind::Source, remedy).into());
            }
            partitions.push((partition, ends.0));
        }
        membership.assign(metadata);
        let mut assigned = TopicPartitionList::new();
        for (partition, low) in partitions {
            tracing::info!(lane = %partition.lane, offset = partition.next(), "the group gives a partition");
            let at = self.add(partition, low, &mut assigned)?;
            self.mark(at, MarkKind::Lane(LaneEvent::Begins))?;
        }
        client.assign(&assigned).map_err(|e| internal(&e))?;
        Ok(())
    }

    /// The group's offsets. One in a transaction that is not decided yet is waited for: that of a member that was killed ends by itself.
    fn committed(&self, membership: &Membership, client: &Client, list: &TopicPartitionList) -> Result<TopicPartitionList, End> {
        let (deadline, stop) = (Instant::now() + KAFKA_REVOKED_WITHIN, self.stop());
        loop {
            match client.committed_offsets(list.clone(), self.timeout()) {
                Ok(committed) => return Ok(committed),
                Err(_) if stop.is_cancelled() => return Err(End::Stopped),
                Err(error) if Instant::now() < deadline && error.rdkafka_error_code() == Some(Code::OperationTimedOut) => {
                    tracing::debug!(%error, "waiting for the group's offsets");
                    self.take_part()?;
                }
                Err(error) => {
                    let what = format!("the offsets of the consumer group `{}` are not told", membership.group());
                    return Err(Error::new(ErrorKind::Source, what)
                        .caused_by(error)
                        .remedy("grant the account READ on the group, and see that the brokers run; then start again: nothing is lost")
                        .that_may_pass(true)
                        .into());
                }
            }
        }
    }

    /// The partitions go to others: first everything that was sent of them is committed. Nothing else is sent, since nobody may take it for
    /// long, and the group waits.
    fn revoked(&mut self, membership: &Membership, client: &Client) -> Result<(), End> {
        let sent = self.sent();
        let wanted: Vec<(&str, i32, i64)> = sent.iter().map(|(topic, number, offset)| (&**topic, *number, *offset)).collect();
        let (stop, mut failed) = (self.stop(), None);
        let gives_up = || {
            // a record that comes all the same is read by another member
            if let Some(Err(error)) = client.poll(Duration::ZERO)
                && let Fault::Final(error) = fault(error, &self.set_place)
            {
                failed = Some(error);
            }
            failed.is_some() || stop.is_cancelled() || client.assignment_lost()
        };
        if client.assignment_lost() || !membership.wait(&wanted, KAFKA_REVOKED_WITHIN, gives_up) {
            if stop.is_cancelled() {
                return Err(End::Stopped);
            }
            membership.end();
            return Err(failed.unwrap_or_else(|| membership.lost().with_kind(ErrorKind::Source)).into());
        }
        membership.revoke();
        tracing::info!(partitions = wanted.len(), "the group takes the partitions back; everything of them is committed");
        self.forget();
        client.unassign().map_err(|e| internal(&e))?;
        Ok(())
    }
}

/// The group's metadata in its present generation; `None` when it is no member.
fn metadata(client: &Client) -> Option<ConsumerGroupMetadata> {
    let before = generation(client).filter(|generation| *generation >= 0)?;
    let metadata = client.group_metadata()?;
    // with a generation that is none, the brokers would not check it
    (generation(client) == Some(before)).then_some(metadata)
}

#[allow(unsafe_code, reason = "the library does not tell it")]
fn generation(client: &Client) -> Option<i32> {
    // SAFETY: the client is borrowed, so that its handle is alive, and librdkafka's handles may be used by any thread. The metadata is a
    // copy of its own: it is looked at only if it is not null, and given back once.
    unsafe {
        let metadata = rd_kafka_consumer_group_metadata(client.client().native_ptr());
        if metadata.is_null() {
            return None;
        }
        let generation = rd_kafka_consumer_group_metadata_generation_id(metadata);
        rd_kafka_consumer_group_metadata_destroy(metadata);
        Some(generation)
    }
}

/// What the members of the group share with the sink.
pub(super) fn membership(group: &str) -> Arc<Membership> {
    Arc::new(Membership::new(group, offsets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::lane;
    use sluicegate_model::change::Offset;

    #[test]
    fn a_committed_offset_tells_what_proves_it() {
        let topic = Topic { id: "today".into(), partitions: 1 };
        let there = KafkaPlace { topic_id: "9SGwVIyJQyGf3-LLJ8Yn_Q".into(), offset: 8, last: Some(Last { offset: 6, time: 70 }) };
        for place in [there.clone(), KafkaPlace { last: None, ..there }] {
            let list = offsets(&Frontier::of(lane("orders", 3), Offset::new(place.clone()))).unwrap();
            let element = list.find_partition("orders", 3).unwrap();
            assert_eq!(element.offset(), KafkaOffset::Offset(8));
            assert_eq!(super::place(8, &beside(&list, "orders", 3), &topic), place);
        }
        for foreign in ["", "id 6 70", "id x y", "my-app", "9SGwVIyJQyGf3.LLJ8Yn_Q 6 70", "\u{fffd}\u{fffd}"] {
            let place = place(8, foreign, &topic);
            assert_eq!((&*place.topic_id, place.last), ("today", None), "{foreign}");
        }
        assert_eq!(place(8, "9SGwVIyJQyGf3-LLJ8Yn_Q 9 70", &topic).last, None, "a record behind the offset");
        assert_eq!(beside(&TopicPartitionList::new(), "orders", 3), "");
    }
}
