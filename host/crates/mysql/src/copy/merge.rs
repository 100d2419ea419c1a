//! The stream's part in copies: it records what it delivers while a chunk is read, and delivers the chunk between two transactions.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::{mpsc, oneshot};

use super::{
    super::{
        gtid::GtidSet,
        ledger,
        position::BinlogPosition,
        statement::Touched,
        stream::{self, Halt, Stream},
    },
    chunk::{Chunk, High},
    lanes::Lanes,
    place::{self, CopyPlace},
    reader::Reader,
    recording::{Recording, Spoiled},
};
use sluicegate_model::{
    Error,
    change::{Batch, Change, Event, Item, Lane, Mark, MarkKind, NO_IMAGE, Offset, Operation, TableName, TableRows, Transaction, Truncate},
    now_us,
};

/// What the reader of copies asks of the stream.
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
    /// To deliver a chunk.
    Merge(Box<Merge>),
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
    /// Which chunk it records for.
    pub ticket: u64,
    /// What was delivered before.
    pub delivered: BinlogPosition,
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
    /// Whether the copy begins with it.
    pub begins: bool,
    /// The place before it.
    pub from: CopyPlace,
    /// The places after each of its parts; their counts of rows are filled in.
    pub places: Vec<CopyPlace>,
    /// The place behind the last part, if that is another one.
    pub end: Option<CopyPlace>,
    /// The table, where there is no part.
    pub table: Arc<sluicegate_model::change::Table>,
    /// Takes what became of it.
    pub answer: oneshot::Sender<Merged>,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It was delivered: so many of its rows.
    Delivered(u64),
    /// It has to be read again.
    Again(Spoiled),
}

/// The stream's side of copies.
#[derive(Debug)]
pub struct Copying {
    commands: mpsc::Receiver<Command>,
    /// What has to wait for the stream.
    waiting: Option<Command>,
    recording: Option<Recording>,
    tickets: u64,
    sinks: Vec<BinlogPosition>,
    only: bool,
    /// The copies that are not their tables' first, until it has been told.
    anew: VecDeque<(TableName, u32)>,
    reader: tokio::task::JoinHandle<()>,
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Copying {
    /// Begins to copy.
    pub(crate) fn start(lanes: Lanes, stream: &stream::Reader) -> Self {
        let (sender, commands) = mpsc::channel(1);
        let (sinks, only) = (lanes.sinks, lanes.only);
        let anew = lanes.tables.iter().filter(|table| table.anew).map(|table| (table.name.clone(), table.generation)).collect();
        let (connector, limits, status) = (stream.connector.clone(), stream.limits.clone(), stream.status.clone());
        let reader = Reader::new(lanes.tables, lanes.rows_per_second, connector, limits, status, sender);
        let reader = tokio::spawn(reader.run());
        Self { commands, waiting: None, recording: None, tickets: 0, sinks, only, anew, reader }
    }

    /// Takes in what the stream delivers.
    pub fn see(&mut self, item: &Item) {
        if let Some(recording) = &mut self.recording {
            recording.see(item);
        }
    }

    /// The chunk that is read has to be read again.
    pub fn spoil(&mut self, why: Spoiled) {
        if let Some(recording) = &mut self.recording {
            recording.spoil(why);
        }
    }

    /// The stream's connection has broken.
    pub fn reconnected(&mut self) {
        self.spoil(Spoiled::Reconnected);
    }

    /// A statement may have altered these tables, or changed rows of them that the log does not hold.
    fn statement_touched(&mut self, touched: &Touched) {
        if let Some(recording) = &mut self.recording
            && touched.may_be(&recording.table)
        {
            recording.spoil(Spoiled::Altered);
        }
    }

    /// Waits until the reader asks for something. What already waits for the stream is asked for as it goes on.
    pub async fn asked(&mut self) {
        if self.waiting.is_none()
            && let Some(command) = self.commands.recv().await
        {
            self.waiting = Some(command);
            return;
        }
        std::future::pending::<()>().await;
    }

    fn next(&mut self) -> Option<Command> {
        self.waiting.take().or_else(|| self.commands.try_recv().ok())
    }

    fn record(&mut self, table: TableName, key: Arc<[Box<str>]>) -> u64 {
        self.tickets += 1;
        self.recording = Some(Recording::new(self.tickets, table, key));
        self.tickets
    }
}

/// Waits until copies ask for something; for ever where there are none.
pub async fn asked(copying: &mut Option<Box<Copying>>) {
    match copying {
        Some(copying) => copying.asked().await,
        None => std::future::pending().await,
    }
}

impl Stream {
    /// Does what the reader of copies asks for, as far as it can be done now: between two transactions.
    pub(crate) async fn serve_copies(&mut self) -> Result<(), Halt> {
        while let Some(copying) = &mut self.copying {
            let Some(command) = copying.next() else { break };
            if let Some(waits) = self.serve(command).await? {
                if let Some(copying) = &mut self.copying {
                    copying.waiting = Some(waits);
                }
                break;
            }
        }
        Ok(())
    }

    /// Gives back what has to wait.
    async fn serve(&mut self, command: Command) -> Result<Option<Command>, Halt> {
        match command {
            Command::Record { .. } if !self.has_what_sinks_have()? => return Ok(Some(command)),
            Command::Record { table, key, answer } => {
                // what was read and not delivered counts as delivered before
                self.send_held().await?;
                let delivered = self.place.resume();
                if let Some(copying) = &mut self.copying {
                    let ticket = copying.record(table, key);
                    // a reader that is gone needs no answer
                    let _ = answer.send(Recorded { ticket, delivered });
                }
            }
            Command::Merge(merge) => {
                let recording = self.copying.as_ref().and_then(|copying| copying.recording.as_ref());
                let spoiled = match recording {
                    Some(recording) if recording.ticket == merge.ticket => recording.spoiled(),
                    _ => Some(Spoiled::Reconnected),
                };
                // with too many changes the stream has to catch up first
                if spoiled.is_none_or(|why| why == Spoiled::TooManyKeys) && !self.has_passed(&merge.chunk.high) {
                    return Ok(Some(Command::Merge(merge)));
                }
                match spoiled {
                    Some(why) => drop(merge.answer.send(Merged::Again(why))),
                    None => self.merge(*merge).await?,
                }
            }
            Command::Gone { lane, place } => {
                self.send_held().await?;
                self.give(Item::Mark(Mark { lane, offset: Offset::new(place), kind: MarkKind::Heartbeat })).await?;
            }
            Command::Failed(error) => return Err(error.into()),
            Command::Finished => {
                let only = self.copying.take().is_some_and(|copying| copying.only);
                if only && self.capturing.ends_with_copies() {
                    self.send().await?;
                    tracing::info!("everything has been copied");
                    return Err(Halt::Stop);
                }
            }
        }
        Ok(None)
    }

    /// Tells that tables are copied anew: what was delivered of them is void. Before anything else, so that no place in the log is
    /// stored before all of that is.
    pub(crate) async fn empty_tables(&mut self) -> Result<(), Halt> {
        while let Some((name, generation)) = self.copying.as_ref().and_then(|copying| copying.anew.front().cloned()) {
            let table = self.reader.catalogue.latest(&name).await?;
            let event = Event { time_us: now_us(), ..Event::default() };
            let transaction = Transaction { position: generation.into(), complete: true, ..Transaction::default() };
            let kind = MarkKind::Truncate(Truncate { table, event, transaction });
            self.give(Item::Mark(Mark { lane: place::lane(&name), offset: Offset::new(CopyPlace::beginning(generation)), kind })).await?;
            if let Some(copying) = &mut self.copying {
                copying.anew.pop_front();
            }
        }
        Ok(())
    }

    /// A statement may have altered these tables, or changed rows of them that the log does not hold: a chunk of them is read again.
    pub(crate) fn reread_copies(&mut self, touched: &Touched) {
        if let Some(copying) = &mut self.copying {
            copying.statement_touched(touched);
        }
    }

    /// Whether everything was delivered, in this run, that a sink had before it.
    fn has_what_sinks_have(&self) -> Result<bool, Halt> {
        let place = self.place.resume();
        // right after a failover the place has no file: on MariaDB, what a query sees is compared by it
        if !place.open.is_empty() || place.skip.is_some() || !place.has_file() {
            return Ok(false);
        }
        let sinks = self.copying.iter().flat_map(|copying| &copying.sinks);
        for sink in sinks {
            if !place.covers(sink)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the stream has passed a place of the log that it reads.
    fn has_passed(&self, high: &High) -> bool {
        let place = ledger::file_number(&self.place.file).map(|file| (file, self.place.position));
        if place.zip(ledger::file_number(&high.file)).is_some_and(|(place, file)| place >= (file, high.position)) {
            return true;
        }
        // MariaDB does not say where it is in its log before there is something new: but it has nothing more than what was read
        let executed = self.place.executed.as_deref().map(GtidSet::position_text);
        let ends = high.gtids.as_deref().and_then(|gtids| GtidSet::parse_mariadb(gtids).ok()).map(|gtids| gtids.position_text());
        executed.is_some() && executed == ends
    }

    /// Delivers a chunk without what the stream has delivered since.
    async fn merge(&mut self, merge: Merge) -> Result<(), Halt> {
        // the place of the log in front of the rows is one at which all that they were read behind was delivered
        if self.place.moved {
            self.send().await?;
        } else {
            self.send_held().await?;
        }
        let Merge { lane, chunk, key, begins, from, places, end, table, answer, .. } = merge;
        let Chunk { parts, high, time_us, server_id, .. } = chunk;
        let table = self.reader.catalogue.adopt(&table);
        if begins {
            let kind = MarkKind::Copy { table: table.clone(), ends: false };
            self.give(Item::Mark(Mark { lane: lane.clone(), offset: Offset::new(from.clone()), kind })).await?;
        }
        let file: Arc<str> = high.file.as_str().into();
        let (mut delivered, mut row) = (0, 0);
        for (part, place) in parts.into_iter().zip(places) {
            let mut rows = part.rows;
            let Some(recording) = self.copying.as_mut().and_then(|copying| copying.recording.as_mut()) else { break };
            let unchanged = recording.unchanged(&key, &rows);
            rows.table = table.clone();
            delivered += unchanged.len() as u64;
            let offset = Offset::new(CopyPlace { rows: from.rows + delivered, ..place });
            let length = rows.len() as u32;
            let item = if unchanged.is_empty() {
                Item::Mark(Mark { lane: lane.clone(), offset, kind: MarkKind::Heartbeat })
            } else {
                let number = self.assembly.count(unchanged.len() as u64);
                let origin = Event { position: high.position, time_us, server_id, ..Event::default() };
                Item::Rows(batch(number, lane.clone(), offset, rows, &unchanged, row, origin, file.clone()))
            };
            row += length;
            self.give(item).await?;
        }
        if let Some(end) = end {
            let kind = if end.is_done() { MarkKind::Copy { table, ends: true } } else { MarkKind::Heartbeat };
            let offset = Offset::new(CopyPlace { rows: from.rows + delivered, ..end });
            self.give(Item::Mark(Mark { lane, offset, kind })).await?;
        }
        if let Some(copying) = &mut self.copying {
            copying.recording = None;
        }
        // a reader that is gone needs no answer
        let _ = answer.send(Merged::Delivered(delivered));
        Ok(())
    }
}

/// A batch of rows that were read. `first` is the number of the first row in its chunk.
#[allow(clippy::too_many_arguments, reason = "the parts of one batch")]
fn batch(number: u64, lane: Lane, offset: Offset, rows: TableRows, unchanged: &[u32], first: u32, event: Event, file: Arc<str>) -> Batch {
    let transaction = Transaction { id: None, file, position: event.position, complete: true };
    let change = |row: &u32| Change { table: 0, before: NO_IMAGE, after: *row, operation: Operation::Snapshot, event: 0, row: first + row };
    let mut batch = Batch::empty(number, lane, offset);
    batch.changes = unchanged.iter().map(change).collect();
    batch.taken = batch.changes.len() as u32;
    batch.tables = vec![rows];
    batch.events = vec![event];
    batch.transactions = vec![transaction];
    batch.bytes = batch.measure();
    batch
}
