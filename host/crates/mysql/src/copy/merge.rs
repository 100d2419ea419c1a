//! The stream's part in copies: it records what it delivers while a chunk is read, and delivers the chunk between two transactions.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tokio::sync::mpsc;

use super::{
    super::{
        gtid::GtidSet,
        ledger,
        position::BinlogPosition,
        statement::Touched,
        stream::{self, Halt, Stream},
    },
    chunk::{Chunk, High},
    command::{Command, Merge, Merged, Recorded},
    hold::{self, Hold},
    lanes::Lanes,
    place::{self, CopyPlace},
    readers::Readers,
    recording::{Recording, Spoiled},
};
use sluicegate_model::{
    change::{
        Batch, Change, Event, Item, Lane, Mark, MarkKind, NO_IMAGE, Offset, Operation, Table, TableName, TableRows, Transaction, Truncate,
    },
    limits::COPY_COMMANDS,
    now_us,
};

/// The stream's side of copies.
#[derive(Debug)]
pub struct Copying {
    pub(super) commands: mpsc::Receiver<Command>,
    /// What has to wait for the stream.
    pub(super) waiting: VecDeque<Command>,
    /// What is delivered while chunks are read, by ticket.
    recordings: BTreeMap<u64, Recording>,
    pub(super) hold: Option<Hold>,
    tickets: u64,
    /// Keys that one recording may keep, a part of what all of them may.
    share: u32,
    sinks: Vec<BinlogPosition>,
    only: bool,
    /// The copies that are not their tables' first, until it has been told.
    anew: VecDeque<(TableName, u32)>,
    /// The tables that are copied: whether anything of them may have been delivered before.
    delivered: BTreeMap<TableName, bool>,
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
        let (sinks, only, share) = (lanes.sinks, lanes.settings.mode == sluicegate_config::SnapshotMode::Only, lanes.settings.readers());
        let anew = lanes.tables.iter().filter(|table| table.anew).map(|table| (table.name.clone(), table.generation)).collect();
        let delivered = lanes.tables.iter().map(|table| (table.name.clone(), !table.fresh)).collect();
        let readers = Readers::new(lanes.tables, &lanes.settings, stream, sender);
        let reader = tokio::spawn(readers.run());
        let (recordings, waiting) = (BTreeMap::new(), VecDeque::new());
        Self { commands, waiting, recordings, hold: None, tickets: 0, share, sinks, only, anew, delivered, reader }
    }

    /// Takes in what the stream delivers.
    pub fn see(&mut self, item: &Item) {
        self.recordings.values_mut().for_each(|recording| recording.see(item));
        if let Some(hold) = &mut self.hold {
            hold.see(item);
        }
        if let Item::Rows(batch) = item {
            for rows in &batch.tables {
                if let Some(delivered) = self.delivered.get_mut(&rows.table.name) {
                    *delivered = true;
                }
            }
        }
    }

    /// The stream's connection has broken: what is read has to be read again.
    pub fn reconnected(&mut self) {
        self.recordings.values_mut().for_each(|recording| recording.spoil(Spoiled::Reconnected));
        if let Some(hold) = &mut self.hold {
            hold.spoil(Spoiled::Reconnected);
        }
    }

    /// A statement may have altered these tables, or changed rows of them that the log does not hold.
    fn statement_touched(&mut self, touched: &Touched) {
        for recording in self.recordings.values_mut().filter(|recording| touched.may_be(&recording.table)) {
            recording.spoil(Spoiled::Altered);
        }
        if let Some(hold) = &mut self.hold
            && touched.may_be(hold.table())
        {
            hold.spoil(Spoiled::Altered);
        }
    }

    /// Waits until a reader asks for something. What already waits for the stream is asked for as it goes on.
    pub async fn asked(&mut self) {
        if self.waiting.len() < COPY_COMMANDS
            && let Some(command) = self.commands.recv().await
        {
            self.waiting.push_back(command);
            return;
        }
        std::future::pending::<()>().await;
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Whether anything of a table may have been delivered before.
    pub(super) fn may_have_delivered(&self, table: &TableName) -> bool {
        self.delivered.get(table).copied().unwrap_or(true)
    }
}

/// Waits until copies ask for something; never returns where there are none.
pub async fn asked(copying: &mut Option<Box<Copying>>) {
    match copying {
        Some(copying) => copying.asked().await,
        None => std::future::pending().await,
    }
}

impl Stream {
    /// Does what the readers of copies ask for, as far as it can be done now: between two transactions.
    pub(crate) async fn serve_copies(&mut self) -> Result<(), Halt> {
        loop {
            let mut waits = VecDeque::new();
            while let Some(copying) = &mut self.copying {
                let room = copying.waiting.len() + waits.len() < COPY_COMMANDS;
                let next = copying.waiting.pop_front().or_else(|| if room { copying.commands.try_recv().ok() } else { None });
                let Some(command) = next else { break };
                waits.extend(self.serve(command).await?);
            }
            if let Some(copying) = &mut self.copying {
                copying.waiting = waits;
            }
            if !self.is_held().await? {
                return Ok(());
            }
            self.wait_held().await?;
        }
    }

    /// Gives back what has to wait.
    async fn serve(&mut self, command: Command) -> Result<Option<Command>, Halt> {
        let held = self.copying.as_ref().is_some_and(|copying| copying.hold.is_some());
        if hold::has_to_wait(&command, held) {
            return Ok(Some(command));
        }
        if let Command::Reach { place, server, .. } = &command
            && self.server.identity == *server
            && !self.has_passed(place)
        {
            return Ok(Some(command));
        }
        match command {
            Command::Record { .. } | Command::Hold { .. } if !self.has_what_sinks_have()? => return Ok(Some(command)),
            Command::Record { table, key, answer } => {
                // what was read and not delivered counts as delivered before
                self.send_held().await?;
                let delivered = self.place.resume();
                if let Some(copying) = &mut self.copying {
                    let ticket = copying.ticket();
                    copying.recordings.insert(ticket, Recording::new(table, key, copying.share));
                    // a reader that is gone needs no answer
                    let _ = answer.send(Recorded { ticket, delivered });
                }
            }
            Command::Forget(ticket) => {
                if let Some(copying) = &mut self.copying {
                    copying.recordings.remove(&ticket);
                }
            }
            Command::Merge(merge) => {
                let recording = self.copying.as_ref().and_then(|copying| copying.recordings.get(&merge.ticket));
                let spoiled = recording.map_or(Some(Spoiled::Reconnected), Recording::spoiled);
                // with too many changes the stream has to catch up first
                if spoiled.is_none_or(|why| why == Spoiled::TooManyKeys) && !self.has_passed(&merge.chunk.high) {
                    return Ok(Some(Command::Merge(merge)));
                }
                let (ticket, why) = (merge.ticket, spoiled);
                match why {
                    Some(why) => drop(merge.answer.send(Merged::Again(why))),
                    None => self.merge(*merge).await?,
                }
                if let Some(copying) = &mut self.copying {
                    copying.recordings.remove(&ticket);
                }
            }
            // a reader that is gone needs no answer
            Command::Reach { answer, .. } => drop(answer.send(())),
            Command::Hold { table, reader, answer } => {
                self.send_held().await?;
                let delivered = self.place.resume();
                if let Some(copying) = &mut self.copying {
                    let ticket = copying.ticket();
                    copying.hold = Some(Hold::new(ticket, table, reader));
                    // a reader that is gone needs no answer
                    let _ = answer.send(Recorded { ticket, delivered });
                }
            }
            Command::GoTo { ticket, view, answer } => self.go_to(ticket, view, answer),
            Command::Rows(rows) => self.deliver_rows(*rows).await?,
            Command::Empty { lane, place, table, answer } => {
                self.send_held().await?;
                self.empty(lane, place, table).await?;
                // a reader that is gone needs no answer
                let _ = answer.send(());
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
            self.empty(place::lane(&name), CopyPlace::beginning(generation), table).await?;
            if let Some(copying) = &mut self.copying {
                copying.anew.pop_front();
            }
        }
        Ok(())
    }

    /// Tells that all rows of a table that were delivered are void.
    async fn empty(&mut self, lane: Lane, place: CopyPlace, table: Arc<Table>) -> Result<(), Halt> {
        let event = Event { time_us: now_us(), ..Event::default() };
        let transaction = Transaction { position: place.generation.into(), complete: true, ..Transaction::default() };
        let kind = MarkKind::Truncate(Truncate { table, event, transaction });
        self.give(Item::Mark(Mark { lane, offset: Offset::new(place), kind })).await
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
    pub(super) fn has_passed(&self, high: &High) -> bool {
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
        let Merge { ticket, lane, chunk, key, doubtful, begins, from, places, end, table, answer } = merge;
        let Chunk { parts, high, time_us, server_id, .. } = chunk;
        let Some(recording) = self.copying.as_mut().and_then(|copying| copying.recordings.get_mut(&ticket)) else { return Ok(()) };
        let unchanged = parts.iter().map(|part| recording.unchanged(&key, &doubtful, &part.rows));
        let Some(unchanged) = unchanged.collect::<Option<Vec<_>>>() else {
            // a reader that is gone needs no answer
            let _ = answer.send(Merged::Again(Spoiled::Changed));
            return Ok(());
        };
        let table = self.reader.catalogue.adopt(&table);
        if begins {
            let kind = MarkKind::Copy { table: table.clone(), ends: false };
            self.give(Item::Mark(Mark { lane: lane.clone(), offset: Offset::new(from.clone()), kind })).await?;
        }
        let file: Arc<str> = high.file.as_str().into();
        let (mut delivered, mut row) = (0, 0);
        for ((part, place), unchanged) in parts.into_iter().zip(places).zip(unchanged) {
            let mut rows = part.rows;
            rows.table = table.clone();
            delivered += unchanged.len() as u64;
            let offset = Offset::new(CopyPlace { rows: from.rows + delivered, ..place });
            let length = rows.len() as u32;
            let item = if unchanged.is_empty() {
                Item::Mark(Mark { lane: lane.clone(), offset, kind: MarkKind::Heartbeat })
            } else {
                let number = self.assembly.count(unchanged.len() as u64);
                let event = Event { position: high.position, time_us, server_id, ..Event::default() };
                let origin = Origin { first: row, event, file: file.clone() };
                Item::Rows(batch(number, lane.clone(), offset, rows, &unchanged, origin))
            };
            row += length;
            self.give(item).await?;
        }
        if let Some(end) = end {
            let kind = if end.is_done() { MarkKind::Copy { table, ends: true } } else { MarkKind::Heartbeat };
            let offset = Offset::new(CopyPlace { rows: from.rows + delivered, ..end });
            self.give(Item::Mark(Mark { lane, offset, kind })).await?;
        }
        // a reader that is gone needs no answer
        let _ = answer.send(Merged::Delivered(delivered));
        Ok(())
    }
}

/// Where rows that were read come from.
pub(super) struct Origin {
    /// The number of the first one in its chunk.
    pub first: u32,
    /// The place of the chunk.
    pub event: Event,
    /// The log file of that place.
    pub file: Arc<str>,
}

/// A batch of rows that were read.
pub(super) fn batch(number: u64, lane: Lane, offset: Offset, rows: TableRows, unchanged: &[u32], origin: Origin) -> Batch {
    let Origin { first, event, file } = origin;
    let transaction = Transaction { id: None, file, position: event.position, complete: true };
    let row = |row: u32| first.wrapping_add(row);
    let change = |at: &u32| Change { table: 0, before: NO_IMAGE, after: *at, operation: Operation::Snapshot, event: 0, row: row(*at) };
    let mut batch = Batch::empty(number, lane, offset);
    batch.changes = unchanged.iter().map(change).collect();
    batch.taken = batch.changes.len() as u32;
    batch.tables = vec![rows];
    batch.events = vec![event];
    batch.transactions = vec![transaction];
    batch.bytes = batch.measure();
    batch
}
