//! The records of one change. All are encoded before any is sent, so that a change is delivered whole or set aside whole.

use std::sync::Arc;

use rdkafka::message::{Header, Headers as _, OwnedHeaders};

use sluicegate_model::{
    Error, ErrorKind,
    change::{Change, NO_IMAGE, Operation},
};

/// What a record takes beside its key, value and headers, at most; a batch takes [`BATCH`] more.
const OVERHEAD: usize = 36;
/// What a batch of records takes beside them.
const BATCH: usize = 61;

/// Where one image of a row goes, and with what.
pub(super) struct Place {
    pub topic: Arc<str>,
    /// `None`: the key decides.
    pub partition: Option<i32>,
    pub headers: Option<OwnedHeaders>,
}

/// Keys and values of the records of one change; used again for the next one.
#[derive(Default)]
pub(super) struct Buffers {
    /// Of the row that is there after the change.
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// Of the row that was there before it.
    pub old_key: Vec<u8>,
    pub old_value: Vec<u8>,
    /// What decides the partition of the one, where columns do, and of the other.
    pub shard: Vec<u8>,
    pub old_shard: Vec<u8>,
}

impl Buffers {
    pub(super) fn clear(&mut self) {
        let Self { key, value, old_key, old_value, shard, old_shard } = self;
        [key, value, old_key, old_value, shard, old_shard].into_iter().for_each(Vec::clear);
    }
}

/// Which records a change has; their keys and values stand in [`Buffers`].
pub(super) struct Records {
    /// Whether they have keys.
    pub keyed: bool,
    /// Where the delete of the old row goes, if there is one.
    pub gone: Option<Place>,
    /// Whether the format has a record for that.
    pub leaving: bool,
    /// Whether a record without a value follows it.
    pub tombstone: bool,
    /// Where the new row goes, if there is one.
    pub came: Option<Place>,
}

/// A record to be sent.
pub(super) struct Record<'a> {
    pub topic: Arc<str>,
    /// `None`: the key decides.
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Option<OwnedHeaders>,
}

impl Records {
    /// In the order in which they are sent.
    pub(super) fn list(self, buffers: &Buffers) -> [Option<Record<'_>>; 3] {
        let key = self.keyed.then_some(buffers.key.as_slice());
        let old_key = self.keyed.then_some(buffers.old_key.as_slice());
        let (mut gone, mut tombstone) = (None, None);
        if let Some(Place { topic, partition, headers }) = self.gone {
            if self.tombstone {
                tombstone = Some(Record { topic: topic.clone(), partition, key: old_key, value: None, headers: headers.clone() });
            }
            gone = self.leaving.then_some(Record { topic, partition, key: old_key, value: Some(&buffers.old_value), headers });
        }
        let came =
            self.came.map(|Place { topic, partition, headers }| Record { topic, partition, key, value: Some(&buffers.value), headers });
        [gone, tombstone, came]
    }
}

impl Record<'_> {
    /// Its size as librdkafka holds it against `message.max.bytes`.
    pub(super) fn size(&self) -> usize {
        let headers = self.headers.iter().flat_map(|headers| headers.iter());
        let headers: usize = headers.map(|header| prefixed(header.key.len()) + prefixed(header.value.map_or(0, <[u8]>::len))).sum();
        OVERHEAD + self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }

    /// Its size as a broker holds it against the topic's `max.message.bytes`, at most: in a batch of its own, not compressed.
    pub(super) fn size_in_batch(&self) -> usize {
        BATCH + self.size()
    }
}

/// Bytes of a text with its length in front.
fn prefixed(length: usize) -> usize {
    // zigzag, seven bits a byte
    let bits = usize::BITS - (length << 1).leading_zeros();
    length + bits.div_ceil(7).max(1) as usize
}

/// Adds a header.
pub(super) fn insert(headers: Option<OwnedHeaders>, key: &str, value: &[u8]) -> OwnedHeaders {
    headers.unwrap_or_else(|| OwnedHeaders::new_with_capacity(1)).insert(Header { key, value: Some(value) })
}

/// The delete and the insert that an update is told as.
pub(super) fn halves(change: &Change) -> (Change, Change) {
    let delete = Change { operation: Operation::Delete, after: NO_IMAGE, ..*change };
    (delete, Change { operation: Operation::Insert, before: NO_IMAGE, ..*change })
}

/// The error of a delete that only a record without a value could tell, under a key that stands for several rows.
pub(super) fn untold(table: &str) -> Error {
    let what =
        format!("a delete of table {table} would be told by a record without a value only, whose key would stand for other rows, too");
    Error::new(ErrorKind::Sink, what).remedy(
        "let the key hold the primary key, or set the format's `delete_tombstone_handling_mode` to another mode; then start again: nothing is lost",
    )
}
