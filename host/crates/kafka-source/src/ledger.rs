//! How places in partitions compare: the offsets of one topic are in one order.

use std::ops::Range;

use super::place::{KafkaPlace, partition_of};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Offset, Transaction},
};
use sluicegate_source::Ledger;

/// Compares offsets.
#[derive(Debug)]
pub(super) struct Offsets;

fn other_topic() -> Error {
    Error::new(
        ErrorKind::State,
        "two places of one partition are of different topics: one was deleted, and another one of its name was made",
    )
    .remedy("give every sink a place in the topic of today: `sluicegate checkpoint set FILE --sink NAME --lane LANE --offset JSON --force`")
}

impl Ledger for Offsets {
    fn had(&self, offset: &Offset, batch: &Batch) -> Result<Vec<Range<usize>>> {
        let (sink, stream) = (KafkaPlace::of(offset)?, KafkaPlace::of(&batch.offset)?);
        if sink.topic_id != stream.topic_id {
            return Err(other_topic());
        }
        // an event's position is the offset of its record
        let next = sink.offset.unsigned_abs();
        let had = batch.changes.partition_point(|change| batch.event(change).is_some_and(|(event, _)| event.position < next));
        Ok(if had == 0 { Vec::new() } else { vec![Range { start: 0, end: had }] })
    }

    fn had_whole(&self, offset: &Offset, transaction: &Transaction, _now: &Offset) -> Result<bool> {
        Ok(transaction.position < KafkaPlace::of(offset)?.offset.unsigned_abs())
    }

    fn covers(&self, offset: &Offset, other: &Offset) -> Result<bool> {
        let (one, two) = (KafkaPlace::of(offset)?, KafkaPlace::of(other)?);
        if one.topic_id == two.topic_id { Ok(one.offset >= two.offset) } else { Err(other_topic()) }
    }

    fn join(&self, offset: &Offset, other: &Offset) -> Result<Offset> {
        let (one, two) = (KafkaPlace::of(offset)?, KafkaPlace::of(other)?);
        if one.topic_id != two.topic_id {
            return Err(other_topic());
        }
        Ok(Offset::new(if one.offset >= two.offset { one.into_owned() } else { two.into_owned() }))
    }

    fn check(&self, lane: &str, offset: &Offset) -> Result<()> {
        if partition_of(lane).is_none() {
            return Err(Error::new(ErrorKind::State, format!("{lane} is not a lane of a partition"))
                .remedy("Lanes of a Kafka source are called `kafka:TOPIC/PARTITION`; use the state file that belongs to this pipeline, or a new one."));
        }
        KafkaPlace::of(offset).map(|_| ())
    }
}
