//! A partition that is read: where it is, and the batch that its records fill.

use std::sync::Arc;

use super::{
    assembly::Assembly,
    place::{KafkaPlace, Last, lane},
};
use sluicegate_config::KafkaSource;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Lane, Offset},
};

/// A partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub topic: Arc<str>,
    pub number: i32,
    pub lane: Lane,
    /// How it stands in records as a log file: `orders/3`.
    pub file: Arc<str>,
    /// What to do when it cannot go on where it is.
    set_place: SetPlace,
    topic_id: Arc<str>,
    /// Offset of the next record.
    next: i64,
    /// The offset up to which items were sent, and whether any was.
    sent: i64,
    begun: bool,
    last: Option<Last>,
    /// The record before the place at which it began, until it has been met.
    proof: Option<Last>,
    pub assembly: Assembly,
}

impl Partition {
    pub(super) fn new(topic: Arc<str>, number: i32, place: &KafkaPlace, set_place: SetPlace) -> Self {
        let (lane, file) = (lane(&topic, number), format!("{topic}/{number}").into());
        let KafkaPlace { topic_id, offset, last } = place.clone();
        Self {
            topic,
            number,
            lane,
            file,
            set_place,
            topic_id,
            next: offset,
            sent: offset,
            begun: false,
            last,
            proof: last,
            assembly: Assembly::default(),
        }
    }

    /// The id of its topic.
    pub(super) fn topic_id(&self) -> &Arc<str> {
        &self.topic_id
    }

    /// Where reading begins: with the last record that was read, if the brokers still have it. It proves the place.
    pub(super) fn begin(&self, low: i64) -> i64 {
        self.proof.map(|last| last.offset).filter(|offset| *offset >= low).unwrap_or(self.next)
    }

    /// Offset of the next record.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Its place.
    pub(super) fn offset(&self) -> Offset {
        Offset::new(KafkaPlace { topic_id: self.topic_id.clone(), offset: self.next, last: self.last })
    }

    /// Whether a record is new. One before the place only proves it.
    ///
    /// # Errors
    /// `Source`: the record is not the one that stood there.
    pub(super) fn meets(&mut self, offset: i64, time: Option<i64>) -> Result<bool> {
        if offset >= self.next {
            self.proof = None;
            return Ok(true);
        }
        match self.proof {
            Some(proof) if proof.offset == offset && time != Some(proof.time) => Err(Error::new(
                ErrorKind::Source,
                format!(
                    "partition {} holds another record at offset {offset} than was read there: its log was cut and written anew",
                    self.file
                ),
            )
            .remedy(self.set_place())),
            _ => Ok(false),
        }
    }

    /// The record at `offset` has been read.
    pub(super) fn pass(&mut self, offset: i64, time: Option<i64>) {
        self.next = offset + 1;
        self.last = time.map(|time| Last { offset, time });
    }

    /// There are no records before `offset`, but ends of transactions and what they took back.
    pub(super) fn pass_to(&mut self, offset: i64) {
        self.next = self.next.max(offset);
    }

    /// Whether it has moved since an item was sent.
    pub(super) fn has_moved(&self) -> bool {
        self.next > self.sent
    }

    /// An item with its place has been sent.
    pub(super) fn sent(&mut self) {
        (self.sent, self.begun) = (self.next, true);
    }

    /// The offset up to which items were sent; `None` before the first one.
    pub(super) fn sent_to(&self) -> Option<i64> {
        Some(self.sent).filter(|_| self.begun)
    }

    /// What to do when it cannot go on where it is.
    pub(super) fn set_place(&self) -> String {
        self.set_place.of(&self.topic, self.number)
    }
}

/// What to do when a partition cannot go on where it is: what a member of a group does not keep in its checkpoint is set in the group.
#[derive(Clone, Debug, Default)]
pub(super) struct SetPlace(Option<Arc<str>>);

impl SetPlace {
    pub(super) fn new(settings: &KafkaSource) -> Self {
        Self(settings.group.as_deref().map(Into::into))
    }

    /// How a partition gets another place.
    pub(super) fn of(&self, topic: &str, partition: i32) -> String {
        match &self.0 {
            Some(group) => format!(
                "find out what was lost; then set the group's offset while no member runs: `kafka-consumer-groups.sh --group {group} --topic \
                 {topic}:{partition} --reset-offsets --to-offset … --execute`"
            ),
            None => format!(
                "find out what was lost; then let each sink go on at a place that is there: `sluicegate checkpoint set FILE --sink NAME --lane {} \
                 --offset '{{\"topic_id\":\"…\",\"offset\":…}}' --force` (`kafka-topics.sh --describe` tells the id, `kafka-get-offsets.sh` the \
                 offsets)",
                lane(topic, partition)
            ),
        }
    }

    /// How a partition that is not known gets one.
    pub(super) fn briefly(&self) -> &'static str {
        match self.0 {
            Some(_) => "set the group's offset behind it with `kafka-consumer-groups.sh --reset-offsets` while no member runs",
            None => "give the lane a place behind it with `sluicegate checkpoint set`",
        }
    }

    #[cfg(test)]
    pub(super) fn of_group(group: &str) -> Self {
        Self(Some(group.into()))
    }

    pub(super) fn in_group(&self) -> bool {
        self.0.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> Partition {
        let last = Some(Last { offset: 6, time: 70 });
        Partition::new("orders".into(), 3, &KafkaPlace { topic_id: "id".into(), offset: 8, last }, SetPlace::default())
    }

    #[test]
    fn the_record_before_the_place_proves_it() {
        let mut same = partition();
        assert_eq!((same.begin(0), same.begin(6), same.begin(7)), (6, 6, 8), "it may be gone");
        assert_eq!(same.meets(6, Some(70)).ok(), Some(false));
        assert_eq!(same.meets(8, Some(1)).ok(), Some(true));
        let error = partition().meets(6, Some(71)).unwrap_err();
        assert!(error.message().contains("partition orders/3 holds another record at offset 6"), "{error}");
        // a compacted topic has forgotten it
        assert_eq!(partition().meets(9, Some(80)).ok(), Some(true));
    }

    #[test]
    fn a_member_of_a_group_is_told_to_set_the_offset_of_the_group() {
        let place = KafkaPlace { topic_id: "id".into(), offset: 8, last: Some(Last { offset: 6, time: 70 }) };
        let mut member = Partition::new("orders".into(), 3, &place, SetPlace::of_group("clean"));
        let error = member.meets(6, Some(71)).unwrap_err();
        let remedy = error.remedy_text().unwrap();
        assert!(remedy.contains("kafka-consumer-groups.sh --group clean --topic orders:3 --reset-offsets"), "{remedy}");
        assert!(!remedy.contains("checkpoint set"), "{remedy}");
        let error = partition().meets(6, Some(71)).unwrap_err();
        assert!(error.remedy_text().unwrap().contains("checkpoint set FILE --sink NAME --lane kafka:orders/3"), "{error:?}");
    }

    #[test]
    fn a_place_moves_with_records_and_behind_the_ends_of_transactions() {
        let mut partition = partition();
        assert!(!partition.has_moved());
        partition.pass(9, Some(90));
        assert!(partition.has_moved());
        assert_eq!(partition.offset().to_json(), r#"{"topic_id":"id","offset":10,"last":{"offset":9,"time":90}}"#);
        partition.sent();
        partition.pass_to(12);
        assert_eq!(partition.offset().to_json(), r#"{"topic_id":"id","offset":12,"last":{"offset":9,"time":90}}"#);
        partition.sent();
        partition.pass_to(11);
        assert!(!partition.has_moved(), "it never goes back");
    }
}
