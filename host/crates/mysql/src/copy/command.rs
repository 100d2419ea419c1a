//! What the readers of copies ask of the stream. It answers between two transactions.

use std::{convert::Infallible, sync::Arc};

use tokio::sync::oneshot;

use super::{
    super::{gtid::GtidSet, position::BinlogPosition},
    chunk::{Chunk, High, Part},
    key::Doubtful,
    place::CopyPlace,
    recording::Spoiled,
};
use sluicegate_model::{
    Error,
    change::{Lane, Table, TableName},
};

/// What a reader of copies asks of the stream.
#[derive(Debug)]
pub enum Command {
    /// To record the keys of what it delivers of a table from now on.
    Record {
        /// The table.
        table: TableName,
        /// The names of the key's columns.
        key: Arc<[Box<str>]>,
        /// Takes where the stream is.
        answer: oneshot::Sender<Recorded>,
    },
    /// To stop recording for a chunk that is not delivered.
    Forget(u64),
    /// To deliver a chunk.
    Merge(Box<Merge>),
    /// To tell when it has passed a place: a view is not to be kept open while it catches up.
    Reach {
        /// The place.
        place: High,
        /// The server that it is of.
        server: Option<Box<str>>,
        /// Takes that it was passed, or that the stream is on another server.
        answer: oneshot::Sender<()>,
    },
    /// To stop where it is, until it is let go: a table without a key is to be copied.
    Hold {
        /// The table.
        table: TableName,
        /// Closed when its reader is gone: the stream goes on then.
        reader: oneshot::Receiver<Infallible>,
        /// Takes where the stream is.
        answer: oneshot::Sender<Recorded>,
    },
    /// To go on from where it was held, up to the view.
    GoTo {
        /// What was answered when it was held.
        ticket: u64,
        /// Where it stops again.
        view: View,
        /// Takes that it is there, and whether anything of the table may have been delivered before; or why the view cannot be used.
        answer: oneshot::Sender<Result<bool, Spoiled>>,
    },
    /// To deliver rows of a table without a key, while the stream is held.
    Rows(Box<Rows>),
    /// To tell that a table is empty, because its copy begins anew.
    Empty {
        /// The lane of the copy.
        lane: Lane,
        /// Its beginning.
        place: CopyPlace,
        /// The table.
        table: Arc<Table>,
        /// Takes that it was told.
        answer: oneshot::Sender<()>,
    },
    /// To note that the table is not there any more.
    Gone {
        /// Its lane.
        lane: Lane,
        /// The lane's end.
        place: CopyPlace,
    },
    /// Everything has been copied.
    Finished,
    /// Copies cannot go on.
    Failed(Error),
}

/// The stream records.
#[derive(Debug)]
pub struct Recorded {
    /// Which recording it is.
    pub ticket: u64,
    /// What was delivered before.
    pub delivered: BinlogPosition,
}

/// A view of a table without a key.
#[derive(Clone, Debug)]
pub struct View {
    /// Its place in the log, or one behind it.
    pub place: High,
    /// The transactions that it is known to have. `None`: those up to its place, and no others.
    pub has: Option<Arc<GtidSet>>,
}

/// A chunk to deliver.
#[derive(Debug)]
pub struct Merge {
    /// What was answered when the recording began.
    pub ticket: u64,
    /// The lane of the copy.
    pub lane: Lane,
    /// The rows.
    pub chunk: Chunk,
    /// Where the columns of their key are.
    pub key: Vec<usize>,
    /// Those in whose character set different texts may be the same in UTF-8.
    pub doubtful: Vec<Doubtful>,
    /// Whether the copy begins with it.
    pub begins: bool,
    /// The place before it.
    pub from: CopyPlace,
    /// The places after each of its parts; their counts of rows are filled in.
    pub places: Vec<CopyPlace>,
    /// The place behind the last part, if that is another one.
    pub end: Option<CopyPlace>,
    /// The table, where there is no part.
    pub table: Arc<Table>,
    /// Takes what became of it.
    pub answer: oneshot::Sender<Merged>,
}

/// Rows of a table without a key.
#[derive(Debug)]
pub struct Rows {
    /// What was answered when the stream was held.
    pub ticket: u64,
    /// The lane of the copy.
    pub lane: Lane,
    /// The table.
    pub table: Arc<Table>,
    /// The rows; none behind the last ones.
    pub part: Option<Part>,
    /// The place before the first row, where the copy begins with these.
    pub begins: Option<CopyPlace>,
    /// The place after them. Behind the last ones the stream goes on.
    pub place: CopyPlace,
    /// The view that they were read in.
    pub view: View,
    /// When it was opened, microseconds since 1970.
    pub time_us: i64,
    /// The server's own id.
    pub server_id: u32,
    /// Takes whether they were delivered.
    pub answer: oneshot::Sender<bool>,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It was delivered: so many of its rows.
    Delivered(u64),
    /// It has to be read again.
    Again(Spoiled),
}
