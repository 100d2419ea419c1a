//! A reader of copies: one table after the other, chunk by chunk, on a connection of its own. While a chunk waits to be delivered, the
//! next one is read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sluicegate_table_pattern::name_parts;
use tokio::sync::{mpsc, oneshot};

use super::{
    super::{connection::Connector, position::Flavour},
    chunk::{Chunk, Outcome, Portion, Session},
    command::{Command, Merge, Merged, Recorded},
    key::Key,
    lanes::TableLane,
    place::{CopyPlace, KeyText, Reached},
    recording::Spoiled,
    table::{self, Copied, Found, Range, Reading},
    throttle::Throttle,
};
use sluicegate_config::{RowImage, Snapshot};
use sluicegate_model::{
    Error, ErrorKind,
    change::{Lane, TableName},
    limits::{COPY_CHUNK_ROWS, COPY_ESTIMATES, Limits},
};
use sluicegate_source::Patience;
use sluicegate_status::{CopyNumbers, CopyState, Status};

/// Rows of the first chunk, before it is known how long rows are.
const FIRST_ROWS: usize = 256;
/// How long to wait when the stream is on another server, which it may have left.
const ELSEWHERE: Duration = Duration::from_secs(1);

/// What all readers share.
pub struct Shared {
    /// How to reach the server.
    pub connector: Connector,
    /// Of batches and rows.
    pub limits: Limits,
    /// The numbers.
    pub status: Arc<Status>,
    /// How fast they read.
    pub throttle: Throttle,
    /// How tables are copied.
    pub settings: Snapshot,
    /// Whether the log has rows that lack columns.
    pub row_image: RowImage,
    /// Bytes of a chunk, after which the rest waits for the next one.
    pub chunk_bytes: usize,
    /// Whether the tables that wait have been looked at.
    pub estimated: AtomicBool,
}

/// Reads tables that are copied.
pub struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) session: Option<Session>,
    patience: Patience,
    /// The recording for a chunk that is not delivered yet.
    ticket: Option<u64>,
}

/// Why reading does not go on.
pub enum Halt {
    /// Nobody takes rows any more.
    Stop,
    /// An error.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// How the reading of a table came to an end.
pub(super) enum End {
    /// All of it was delivered.
    Done,
    /// It has to be described anew.
    Again,
}

/// How far the copy of a table is.
pub(super) struct Progress {
    pub lane: Lane,
    pub generation: u32,
    pub reached: Reached,
    pub rows: u64,
    /// The keys of sinks that are ahead, in the server's order.
    ahead: Vec<KeyText>,
    /// Whether a sink was told that the copy begins.
    pub begun: bool,
    /// Rows of the next chunk.
    chunk: usize,
    /// Bytes of a row, about.
    row_bytes: usize,
    /// The columns of the key, with what their order follows from; none of a table without one.
    pub key: Arc<str>,
    /// Whether rows were delivered that have to be void before others are.
    pub broken: bool,
    /// When the first view was opened that could not be used.
    pub tries_since: Option<Instant>,
    pending: Option<Pending>,
}

/// A chunk that waits to be delivered.
struct Pending {
    merged: oneshot::Receiver<Merged>,
    /// Where the copy is after it.
    reached: Reached,
    ahead: Vec<KeyText>,
}

impl Progress {
    /// Where the copy of a table begins: at the place of the sink that is behind the others, whose keys are in the server's order.
    fn new(lane: &TableLane, mut keys: Vec<KeyText>, key: Arc<str>) -> Self {
        let reached = if lane.from_the_start || keys.is_empty() { Reached::Nothing } else { Reached::Key(keys.remove(0)) };
        Self {
            lane: lane.lane.clone(),
            generation: lane.generation,
            begun: reached != Reached::Nothing,
            reached,
            rows: if lane.rows == u64::MAX { 0 } else { lane.rows },
            ahead: keys,
            chunk: FIRST_ROWS,
            row_bytes: 1,
            key,
            broken: lane.broken,
            tries_since: None,
            pending: None,
        }
    }

    /// The table has another key, or its copy cannot be continued: what comes after the last row that was delivered is not known.
    pub fn begin_again(&mut self, key: Arc<str>) {
        (self.generation, self.reached, self.rows) = (self.generation.saturating_add(1), Reached::Nothing, 0);
        (self.ahead, self.begun, self.key) = (Vec::new(), false, key);
    }

    /// The place at which so much is delivered.
    pub fn place(&self, reached: Reached) -> CopyPlace {
        let ahead = Some(self.ahead.iter().cloned().collect());
        CopyPlace { generation: self.generation, reached, key: self.key.clone(), rows: self.rows, fresh: false, ahead }
    }

    /// Where the next chunk begins.
    fn next(&self) -> (&Reached, &[KeyText]) {
        match &self.pending {
            Some(pending) => (&pending.reached, &pending.ahead),
            None => (&self.reached, &self.ahead),
        }
    }
}

impl Reader {
    pub fn new(shared: Arc<Shared>, commands: mpsc::Sender<Command>) -> Self {
        let patience = Patience::new(shared.limits.retry_window);
        Self { shared, commands, session: None, patience, ticket: None }
    }

    /// Copies one table, and tries again when a connection breaks.
    pub async fn copy(&mut self, lane: TableLane) -> Result<(), Halt> {
        let mut progress = None;
        loop {
            match self.described(&lane, &mut progress).await {
                Ok(End::Done) => return Ok(()),
                Ok(End::Again) => {}
                Err(Halt::Failed(error)) if error.kind() == ErrorKind::Connection => {
                    self.session = None;
                    let (delay, error) = self.patience.delay(error)?;
                    tracing::warn!(
                        table = %lane.name, error = error.chain(), retry_in_ms = delay.as_millis() as u64,
                        "lost the connection that copies the table, trying again"
                    );
                    tokio::time::sleep(delay).await;
                }
                Err(halt) => return Err(halt),
            }
            // what is still on its way counts, whatever came in between
            if let Some(progress) = &mut progress {
                self.settle(&lane, progress).await?;
            }
        }
    }

    /// Finds out what the table is, and reads it as far as that stays so.
    async fn described(&mut self, lane: &TableLane, progress: &mut Option<Progress>) -> Result<End, Halt> {
        let session = match &mut self.session {
            Some(session) => session,
            None => self.session.insert(Session::open(self.shared.connector.clone()).await?),
        };
        let mut copied = match table::find(&session.connector, &mut session.conn, session.server.flavour, &lane.name).await? {
            Found::Table(copied) => *copied,
            Found::Nothing => {
                tracing::warn!(table = %lane.name, "the table is not there any more: its copy ends");
                self.update(lane, |numbers| numbers.state = CopyState::Done);
                let generation = progress.as_ref().map_or(lane.generation, |progress| progress.generation);
                let rows = progress.as_ref().map_or(lane.rows, |progress| progress.rows);
                let place = CopyPlace { rows, ..CopyPlace::left_out(generation) };
                self.send(Command::Gone { lane: lane.lane.clone(), place }).await?;
                return Ok(End::Done);
            }
        };
        if self.shared.row_image == RowImage::Partial {
            // a row that is left out of a chunk for a change that holds only a part of it would be the only whole one
            copied.key = Err(table::IN_PART.to_owned());
        }
        let text: Arc<str> = copied.key.as_ref().map_or_else(|_| "".into(), |key| key.text.clone());
        let progress = match progress {
            Some(progress) => progress,
            None => {
                let keys = match &copied.key {
                    Ok(key) if lane.key.as_ref() == Some(&text) => in_order(session, (&copied, key), lane.keys.clone()).await?,
                    _ => lane.keys.clone(),
                };
                let same = lane.keys.is_empty() || lane.key.as_ref() == Some(&text);
                let estimate = session.estimate(&lane.name).await?;
                if !self.shared.estimated.swap(true, Ordering::Relaxed) {
                    estimate_waiting(session, &self.shared.status).await?;
                }
                // a name that no key has, so that the copy begins again
                let first = progress.insert(Progress::new(lane, keys, if same { text.clone() } else { "?".into() }));
                let (rows, shared) = (first.rows, self.shared.clone());
                shared.status.copies.update(&lane.name.to_string(), |numbers| *numbers = CopyNumbers::begin(rows, estimate));
                first
            }
        };
        if progress.key != text {
            tracing::warn!(table = %lane.name, "the key of the table is another one than before: its copy begins again");
            match self.shared.settings.overwrites {
                true => progress.begin_again(text),
                // what was delivered under the old key is void, and what a change left there that the log does not name
                false => (progress.key, progress.broken) = (text, true),
            }
        }
        let condition = self.shared.settings.conditions.get(&(lane.name.database.to_string(), lane.name.table.to_string())).cloned();
        let server = &self.session()?.server;
        let (mysql, gtids) = (server.flavour == Flavour::MySql, server.gtids);
        // MariaDB tells where a view is, and MySQL without GTIDs nothing of it
        let lock_table = self.shared.settings.share_locks && mysql;
        let reading = Reading { condition, share_locks: lock_table && !gtids, lock_table };
        let end = match &copied.key {
            Ok(key) => self.chunks(lane, (&copied, key), &reading, progress).await?,
            Err(why) => self.whole(lane, (&copied, why), &reading, progress).await?,
        };
        if matches!(end, End::Done) {
            tracing::info!(table = %lane.name, rows = progress.rows, "the table has been copied");
        }
        Ok(end)
    }

    /// Reads a table in the order of its key.
    async fn chunks(&mut self, lane: &TableLane, of: (&Copied, &Key), reading: &Reading, progress: &mut Progress) -> Result<End, Halt> {
        let (copied, key) = of;
        if progress.broken {
            self.empty(copied, progress).await?;
        }
        loop {
            let (reached, ahead) = progress.next();
            if *reached == Reached::All {
                match self.settle(lane, progress).await? {
                    None => return Ok(End::Done),
                    Some(Spoiled::Altered) => return Ok(End::Again),
                    Some(_) => continue,
                }
            }
            let (reached, ahead) = (reached.clone(), ahead.to_vec());
            self.may_read(lane).await?;
            let Recorded { ticket, delivered } = self.record(lane, key).await?;
            let after = match &reached {
                Reached::Key(key) => Some(key),
                _ => None,
            };
            let rows = progress.chunk.min(self.shared.throttle.rows_at_once(progress.row_bytes));
            let range = Range { after, up_to: ahead.first(), rows };
            let shared = self.shared.clone();
            let portion = Portion { bytes: shared.chunk_bytes, limits: &shared.limits };
            let outcome = self.session()?.read(of, range, reading, &delivered, portion).await?;
            let chunk = match outcome {
                Outcome::Read(chunk) => *chunk,
                Outcome::Altered => return Ok(End::Again),
                Outcome::Elsewhere => {
                    self.session = None;
                    tokio::time::sleep(ELSEWHERE).await;
                    return Ok(End::Again);
                }
            };
            let read = chunk.parts.iter().map(|part| part.rows.len()).sum::<usize>();
            shared.throttle.read(read, chunk.bytes);
            if let Some(row_bytes) = chunk.bytes.checked_div(read) {
                progress.row_bytes = row_bytes.max(1);
                progress.chunk = (shared.chunk_bytes / 2 / progress.row_bytes).clamp(1, COPY_CHUNK_ROWS);
            }
            match self.settle(lane, progress).await? {
                None => {}
                Some(Spoiled::Altered) => return Ok(End::Again),
                Some(_) => continue,
            }
            self.merge(ticket, of, chunk, progress).await?;
        }
    }

    /// Asks the stream to record what it delivers of the table.
    async fn record(&mut self, lane: &TableLane, key: &Key) -> Result<Recorded, Halt> {
        if let Some(ticket) = self.ticket.take() {
            self.send(Command::Forget(ticket)).await?;
        }
        let (answer, recorded) = oneshot::channel();
        self.send(Command::Record { table: lane.name.clone(), key: key.names(), answer }).await?;
        let recorded = recorded.await.map_err(|_| Halt::Stop)?;
        self.ticket = Some(recorded.ticket);
        Ok(recorded)
    }

    /// Has a chunk delivered.
    async fn merge(&mut self, ticket: u64, (copied, key): (&Copied, &Key), chunk: Chunk, progress: &mut Progress) -> Result<(), Halt> {
        let from = progress.place(progress.reached.clone());
        let last_keys = || chunk.parts.iter().filter_map(|part| part.last_key.clone());
        let places = last_keys().map(|key| progress.place(Reached::Key(key))).collect();
        let mut reached = last_keys().next_back().map_or_else(|| progress.reached.clone(), Reached::Key);
        let mut ahead = progress.ahead.clone();
        if chunk.last {
            // up to the next sink's place, or to the end
            reached = if ahead.is_empty() { Reached::All } else { Reached::Key(ahead.remove(0)) };
        }
        let end = chunk.last.then(|| CopyPlace { ahead: Some(ahead.iter().cloned().collect()), ..progress.place(reached.clone()) });
        let (answer, merged) = oneshot::channel();
        let merge = Merge {
            ticket,
            lane: progress.lane.clone(),
            chunk,
            key: key.places(),
            doubtful: key.doubtful(),
            begins: !progress.begun,
            from,
            places,
            end,
            table: copied.plan.table.clone(),
            answer,
        };
        self.send(Command::Merge(Box::new(merge))).await?;
        self.ticket = None;
        progress.pending = Some(Pending { merged, reached, ahead });
        Ok(())
    }

    /// Waits until the chunk that is on its way was delivered, or why it was not.
    async fn settle(&mut self, lane: &TableLane, progress: &mut Progress) -> Result<Option<Spoiled>, Halt> {
        let Some(Pending { merged, reached, ahead }) = progress.pending.take() else { return Ok(None) };
        match merged.await.map_err(|_| Halt::Stop)? {
            Merged::Delivered(delivered) => {
                (progress.reached, progress.ahead, progress.begun) = (reached, ahead, true);
                progress.rows += delivered;
                let (rows, done) = (progress.rows, progress.reached == Reached::All);
                self.update(lane, |numbers| numbers.advance(rows, done));
                self.patience.reset();
                Ok(None)
            }
            Merged::Again(why) => {
                tracing::debug!(table = %lane.name, ?why, "a chunk is read again");
                if why == Spoiled::TooManyKeys {
                    progress.chunk = (progress.chunk / 2).max(1);
                }
                Ok(Some(why))
            }
        }
    }

    /// Tells that all rows of the table that were delivered are void.
    pub(super) async fn empty(&mut self, copied: &Copied, progress: &mut Progress) -> Result<(), Halt> {
        progress.begin_again(progress.key.clone());
        let (answer, told) = oneshot::channel();
        let (lane, place) = (progress.lane.clone(), CopyPlace::beginning(progress.generation));
        self.send(Command::Empty { lane, place, table: copied.plan.table.clone(), answer }).await?;
        told.await.map_err(|_| Halt::Stop)?;
        progress.broken = false;
        Ok(())
    }

    /// Waits until the rates and the server's load allow to read more.
    pub(super) async fn may_read(&mut self, lane: &TableLane) -> Result<(), Halt> {
        let shared = self.shared.clone();
        shared.throttle.pace().await;
        let session = self.session()?;
        let tell = |why: Option<&str>| {
            let state = if why.is_some() { CopyState::Paused } else { CopyState::Copying };
            shared.status.copies.update(&lane.name.to_string(), |numbers| numbers.state = state);
        };
        Ok(shared.throttle.wait_for_load(session, tell).await?)
    }

    pub(super) fn session(&mut self) -> Result<&mut Session, Halt> {
        let missing = || Error::new(ErrorKind::Internal, "a copy without a connection");
        self.session.as_mut().ok_or_else(missing).map_err(Halt::Failed)
    }

    pub(super) fn update(&self, lane: &TableLane, change: impl FnOnce(&mut CopyNumbers)) {
        self.shared.status.copies.update(&lane.name.to_string(), change);
    }

    pub(super) async fn send(&self, command: Command) -> Result<(), Halt> {
        self.commands.send(command).await.map_err(|_| Halt::Stop)
    }
}

/// Notes how many rows the tables have that wait, for what is said of all of them together.
async fn estimate_waiting(session: &mut Session, status: &Status) -> sluicegate_model::Result<()> {
    let waiting = status.copies.all().into_iter().filter(|(_, numbers)| numbers.state == CopyState::Waiting);
    for (table, _) in waiting.take(COPY_ESTIMATES) {
        let Some([database, name]) = name_parts(&table).ok().and_then(|parts| <[String; 2]>::try_from(parts).ok()) else { continue };
        let rows = session.estimate(&TableName::new(database, name)).await?;
        status.copies.update(&table, |numbers| {
            if numbers.state == CopyState::Waiting {
                numbers.estimate = rows;
            }
        });
    }
    Ok(())
}

/// The keys in the server's order. Where no row is between two of them, either may come first.
async fn in_order(session: &mut Session, of: (&Copied, &Key), keys: Vec<KeyText>) -> sluicegate_model::Result<Vec<KeyText>> {
    let mut sorted: Vec<KeyText> = Vec::with_capacity(keys.len());
    for key in keys {
        let mut at = sorted.len();
        for (i, other) in sorted.iter().enumerate() {
            if session.has_rows(of, Range { after: Some(&key), up_to: Some(other), rows: 1 }).await? {
                at = i;
                break;
            }
        }
        sorted.insert(at, key);
    }
    Ok(sorted)
}
