//! The part of a record that is the same for all rows of an event, rendered once.

use sluicegate_model::change::{Batch, Change, Event, Operation, Transaction};

/// What a record tells about the place that its change stands in.
pub(super) struct Stamp<'a> {
    /// Whether a snapshot read the row.
    pub(super) snapshot: bool,
    /// The event's position in the file.
    pub(super) position: u64,
    /// When the source executed it, microseconds since 1970.
    pub(super) time_us: i64,
    /// The server that executed it.
    pub(super) server_id: u32,
    /// The log file.
    pub(super) file: &'a str,
    /// The transaction's GTID.
    pub(super) id: Option<&'a str>,
}

impl<'a> Stamp<'a> {
    pub(super) fn new(batch: &'a Batch, change: &Change) -> Self {
        let event = &batch.events[change.event as usize];
        let transaction = &batch.transactions[event.transaction as usize];
        Self { snapshot: change.operation == Operation::Snapshot, ..Self::of_event(event, transaction) }
    }

    /// What a record tells that is about an event as a whole.
    pub(super) fn of_event(event: &'a Event, transaction: &'a Transaction) -> Self {
        Self {
            snapshot: false,
            position: event.position,
            time_us: event.time_us,
            server_id: event.server_id,
            file: &transaction.file,
            id: transaction.id.as_deref(),
        }
    }
}

/// The last rendered part and what it was rendered from. Compared by content: event numbers mean nothing in the next batch.
#[derive(Default)]
pub(super) struct Head {
    text: Vec<u8>,
    snapshot: bool,
    position: u64,
    time_us: i64,
    server_id: u32,
    file: String,
    id: String,
    has_id: bool,
}

impl Head {
    /// Appends the part for `stamp`, rendering it first when it is another than the last one.
    #[inline]
    pub(super) fn append(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>, render: impl FnOnce(&mut Vec<u8>)) {
        if !self.is_of(stamp) {
            self.text.clear();
            render(&mut self.text);
            self.keep(stamp);
        }
        out.extend_from_slice(&self.text);
    }

    /// Forgets the part: what is rendered has changed.
    pub(super) fn clear(&mut self) {
        self.text.clear();
    }

    #[inline]
    fn is_of(&self, stamp: &Stamp<'_>) -> bool {
        // an empty text is none: every rendering has names in it
        !self.text.is_empty()
            && self.position == stamp.position
            && self.time_us == stamp.time_us
            && self.snapshot == stamp.snapshot
            && self.server_id == stamp.server_id
            && self.file == stamp.file
            && self.has_id == stamp.id.is_some()
            && self.id == stamp.id.unwrap_or_default()
    }

    fn keep(&mut self, stamp: &Stamp<'_>) {
        (self.snapshot, self.position) = (stamp.snapshot, stamp.position);
        (self.time_us, self.server_id, self.has_id) = (stamp.time_us, stamp.server_id, stamp.id.is_some());
        if self.file != stamp.file {
            self.file.clear();
            self.file.push_str(stamp.file);
        }
        self.id.clear();
        self.id.push_str(stamp.id.unwrap_or_default());
    }
}
