//! Places in a partition: the topic's id, and the offset of the next record. Beside them stands the last record that was read: a log
//! that was cut and written anew is known by it.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Lane, LanePlace, Offset},
};

/// In front of the names of lanes.
const PREFIX: &str = "kafka:";

/// A place: `{"topic_id":"9SGwVIyJQyGf3-LLJ8Yn_Q","offset":17,"last":{"offset":16,"time":1700000000000}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KafkaPlace {
    /// The id that Kafka gave the topic: another one of the same name has another.
    pub topic_id: Arc<str>,
    /// Offset of the next record.
    pub offset: i64,
    /// The last record before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
}

/// A record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Last {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, in milliseconds since 1970.
    pub time: i64,
}

impl LanePlace for KafkaPlace {
    fn to_json(&self) -> String {
        // numbers and an id always have a JSON text
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl KafkaPlace {
    /// The place that an offset holds, or that its text says.
    pub(super) fn of(offset: &Offset) -> Result<Cow<'_, Self>> {
        if let Some(place) = offset.place::<Self>() {
            return Ok(Cow::Borrowed(place));
        }
        let refused = || {
            Error::new(ErrorKind::State, "the checkpoint holds no place in a topic of Kafka").remedy(
                "write the place as `sluicegate checkpoint show` prints it: `{\"topic_id\":\"…\",\"offset\":17}`; `kafka-topics.sh --describe` tells the id",
            )
        };
        let place: Self = serde_json::from_str(&offset.to_json()).map_err(|e| refused().caused_by(e))?;
        let sound = place.offset >= 0 && place.last.is_none_or(|last| (0..place.offset).contains(&last.offset));
        if sound { Ok(Cow::Owned(place)) } else { Err(refused()) }
    }
}

/// The lane of a partition. Topics' names hold no slash.
pub(super) fn lane(topic: &str, partition: i32) -> Lane {
    Lane::new(format!("{PREFIX}{topic}/{partition}"))
}

/// Topic and partition of a lane; `None` for a name that is none of ours.
pub(super) fn partition_of(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.strip_prefix(PREFIX)?.rsplit_once('/')?;
    let partition = partition.parse().ok().filter(|partition| *partition >= 0)?;
    (!topic.is_empty() && lane(topic, partition).name() == name).then_some((topic, partition))
}
