//! Records that no row could be made of.

/// A record of a topic as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// The place in the partition.
    pub offset: i64,
    /// When it was written, in microseconds since 1970.
    pub time_us: Option<i64>,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's.
    pub value: Option<&'a [u8]>,
}
