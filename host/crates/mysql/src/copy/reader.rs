//! The reader of copies: one table after the other, chunk by chunk, on a connection of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    super::connection::Connector,
    chunk::{Outcome, Range, Session},
    lanes::TableLane,
    merge::{Command, Merge, Merged, Recorded},
    place::{CopyPlace, KeyText, Reached},
    recording::Spoiled,
    table::{self, Copied, Found},
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::Lane,
    limits::{COPY_CHUNK_BYTES, COPY_CHUNK_ROWS, Limits},
};
use sluicegate_source::Patience;
use sluicegate_status::{CopyNumbers, CopyState, Status};

/// Rows of the first chunk, before it is known how long rows are.
const FIRST_ROWS: usize = 256;
/// How long to wait when the stream is on another server, which it may have left.
const ELSEWHERE: Duration = Duration::from_secs(1);

/// Reads the tables that are copied.
pub struct Reader {
    tables: Vec<TableLane>,
    rows_per_second: Option<u64>,
    connector: Connector,
    limits: Limits,
    status: Arc<Status>,
    commands: mpsc::Sender<Command>,
    session: Option<Session>,
    patience: Patience,
}

/// Why reading does not go on.
enum Halt {
    /// Nobody takes rows any more.
    Stop,
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// How far the copy of a table is.
struct Progress {
    lane: Lane,
    generation: u32,
    reached: Reached,
    rows: u64,
    /// The keys of sinks that are ahead, in the server's order.
    ahead: Vec<KeyText>,
    /// Whether a sink was told that the copy begins.
    begun: bool,
    /// Rows of the next chunk.
    chunk: usize,
    /// The columns of the key, with what their order follows from.
    key: Arc<str>,
}

impl Progress {
    /// Where the copy of a table begins: at the place of the sink that is behind the others, whose keys are in the server's order.
    fn new(lane: &TableLane, mut keys: Vec<KeyText>, key: Arc<str>) -> Self {
        let reached = if lane.from_the_start || keys.is_empty() { Reached::Nothing } else { Reached::Key(keys.remove(0)) };
        let begun = reached != Reached::Nothing;
        let rows = if lane.rows == u64::MAX { 0 } else { lane.rows };
        Self { lane: lane.lane.clone(), generation: lane.generation, reached, rows, ahead: keys, begun, chunk: FIRST_ROWS, key }
    }

    /// The table has another key: what comes after the last one that was delivered is no longer known. The stream has no gap, so nothing
    /// that was delivered is void.
    fn begin_again(&mut self, key: Arc<str>) {
        (self.generation, self.reached, self.rows) = (self.generation.saturating_add(1), Reached::Nothing, 0);
        (self.ahead, self.begun, self.key) = (Vec::new(), false, key);
    }

    fn place(&self, reached: Reached) -> CopyPlace {
        let ahead = Some(self.ahead.iter().cloned().collect());
        CopyPlace { generation: self.generation, reached, key: self.key.clone(), rows: self.rows, ahead }
    }
}

impl Reader {
    pub fn new(
        tables: Vec<TableLane>,
        rows_per_second: Option<u64>,
        connector: Connector,
        limits: Limits,
        status: Arc<Status>,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        let patience = Patience::new(limits.retry_window);
        for table in &tables {
            status.copies.update(&table.name.to_string(), |numbers| numbers.state = CopyState::Waiting);
        }
        Self { tables, rows_per_second, connector, limits, status, commands, session: None, patience }
    }

    /// Copies all tables.
    pub async fn run(mut self) {
        for table in std::mem::take(&mut self.tables) {
            match self.copy(table).await {
                Ok(()) => {}
                Err(Halt::Stop) => return,
                Err(Halt::Failed(error)) => {
                    // the stream's own connection is not at fault
                    let error = if error.kind() == ErrorKind::Connection { error.with_kind(ErrorKind::Source) } else { error };
                    let _ = self.commands.send(Command::Failed(error)).await;
                    return;
                }
            }
        }
        let _ = self.commands.send(Command::Finished).await;
    }

    /// Copies one table, and tries again when a connection breaks.
    async fn copy(&mut self, lane: TableLane) -> Result<(), Halt> {
        let mut table = None;
        let mut progress = None;
        loop {
            match self.chunk(&lane, &mut table, &mut progress).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
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
        }
    }

    /// Copies a chunk; `true` when it was the last one.
    async fn chunk(&mut self, lane: &TableLane, table: &mut Option<Copied>, progress: &mut Option<Progress>) -> Result<bool, Halt> {
        let begin = Instant::now();
        let session = match &mut self.session {
            Some(session) => session,
            None => self.session.insert(Session::open(self.connector.clone()).await?),
        };
        let copied = match table {
            Some(copied) => copied,
            None => match table::find(&session.connector, &mut session.conn, session.server.flavour, &lane.name).await? {
                Found::Table(copied) => table.insert(*copied),
                Found::Nothing => {
                    tracing::warn!(table = %lane.name, "the table is not there any more: its copy ends");
                    self.status.copies.update(&lane.name.to_string(), |numbers| numbers.state = CopyState::Done);
                    let place = CopyPlace { rows: lane.rows, ..CopyPlace::left_out(lane.generation) };
                    self.send(Command::Gone { lane: lane.lane.clone(), place }).await?;
                    return Ok(true);
                }
                Found::NoKey(why) => return Err(table::without_key(&lane.name, &why).into()),
            },
        };
        let progress = match progress {
            Some(progress) => progress,
            None => {
                let same = lane.keys.is_empty() || lane.key.as_ref() == Some(&copied.key.text);
                let keys = if same { in_order(session, copied, lane.keys.clone()).await? } else { lane.keys.clone() };
                let key = if same { copied.key.text.clone() } else { "".into() };
                let estimate = session.estimate(&lane.name).await?;
                let first = progress.insert(Progress::new(lane, keys, key));
                self.status.copies.update(&lane.name.to_string(), |numbers| {
                    *numbers = CopyNumbers { state: CopyState::Copying, rows: first.rows, estimate };
                });
                first
            }
        };
        if progress.key != copied.key.text {
            tracing::warn!(table = %lane.name, "the key of the table is another one than before: its copy begins again");
            progress.begin_again(copied.key.text.clone());
        }
        let (answer, recorded) = oneshot::channel();
        let record = Command::Record { table: lane.name.clone(), key: copied.key.names(), answer };
        self.commands.send(record).await.map_err(|_| Halt::Stop)?;
        let Recorded { ticket, delivered } = recorded.await.map_err(|_| Halt::Stop)?;
        let after = match &progress.reached {
            Reached::Key(key) => Some(key),
            _ => None,
        };
        // with a rate, what is read in a tenth of a second, so that the load on the server is even
        let even = self.rows_per_second.map_or(usize::MAX, |rate| usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1));
        let rows = progress.chunk.min(even);
        let range = Range { after, up_to: progress.ahead.first(), rows };
        let chunk = match session.read(copied, range, &delivered, &self.limits).await? {
            Outcome::Read(chunk) => *chunk,
            Outcome::Altered => {
                *table = None;
                return Ok(false);
            }
            Outcome::Elsewhere => {
                self.session = None;
                tokio::time::sleep(ELSEWHERE).await;
                return Ok(false);
            }
        };
        let (read, bytes) = (chunk.parts.iter().map(|part| part.rows.len()).sum::<usize>(), chunk.bytes);
        let from = progress.place(progress.reached.clone());
        let places = chunk.parts.iter().map(|part| progress.place(Reached::Key(part.last_key.clone()))).collect();
        let mut reached = chunk.parts.last().map_or_else(|| progress.reached.clone(), |part| Reached::Key(part.last_key.clone()));
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
            key: copied.key.places(),
            begins: !progress.begun,
            from,
            places,
            end,
            table: copied.plan.table.clone(),
            answer,
        };
        self.commands.send(Command::Merge(Box::new(merge))).await.map_err(|_| Halt::Stop)?;
        match merged.await.map_err(|_| Halt::Stop)? {
            Merged::Delivered(delivered) => {
                (progress.reached, progress.ahead, progress.begun) = (reached, ahead, true);
                progress.rows += delivered;
                let done = progress.reached == Reached::All;
                self.status.copies.update(&lane.name.to_string(), |numbers| {
                    numbers.rows = progress.rows;
                    if done {
                        numbers.state = CopyState::Done;
                    }
                });
            }
            Merged::Again(why) => {
                tracing::debug!(table = %lane.name, ?why, "a chunk is read again");
                if why == Spoiled::Altered {
                    *table = None;
                }
                return Ok(false);
            }
        }
        self.patience.reset();
        if let Some(longest) = (COPY_CHUNK_BYTES / 2 * read).checked_div(bytes) {
            progress.chunk = longest.clamp(1, COPY_CHUNK_ROWS);
        }
        if progress.reached == Reached::All {
            tracing::info!(table = %lane.name, rows = progress.rows, "the table has been copied");
            return Ok(true);
        }
        if let Some(rate) = self.rows_per_second {
            let due = Duration::from_secs_f64(read as f64 / rate.max(1) as f64);
            tokio::time::sleep(due.saturating_sub(begin.elapsed())).await;
        }
        Ok(false)
    }

    async fn send(&self, command: Command) -> Result<(), Halt> {
        self.commands.send(command).await.map_err(|_| Halt::Stop)
    }
}

/// The keys in the server's order. Where no row is between two of them, either may come first.
async fn in_order(session: &mut Session, table: &Copied, keys: Vec<KeyText>) -> Result<Vec<KeyText>> {
    let mut sorted: Vec<KeyText> = Vec::with_capacity(keys.len());
    for key in keys {
        let mut at = sorted.len();
        for (i, other) in sorted.iter().enumerate() {
            if session.has_rows(table, Range { after: Some(&key), up_to: Some(other), rows: 1 }).await? {
                at = i;
                break;
            }
        }
        sorted.insert(at, key);
    }
    Ok(sorted)
}
