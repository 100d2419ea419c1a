//! A visit of a table: one round of its changes, and some of its copy.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    catalogue::{self, Facts, Standing},
    connection::{Conn, Connector},
    events::Rest,
    fault::Fault,
    pace::Pace,
    place::KeyText,
    sql,
    table::TrackedTable,
    tracked_lane::{TrackedLane, Verdict, judge},
    turns::Demand,
    value::Parameter,
};
use sluicegate_config::{Isolation, SqlServerSource, TrackedTables};
use sluicegate_model::{
    Error, ErrorKind,
    change::{Batch, Event, Item, Mark, MarkKind, Renamed, SchemaChange, SchemaEffect, Table, Transaction, Truncate},
    limits::{Limits, OPEN_RESULT, QUERY_RETRY_PAUSE},
    now_us,
};
use sluicegate_source::{Items, Patience};
use sluicegate_status::{CopyState, Status};

/// What all visits of a database share.
pub(super) struct Visitor {
    pub(super) settings: Arc<SqlServerSource>,
    pub(super) limits: Limits,
    pub(super) status: Arc<Status>,
    pub(super) connector: Connector,
    pub(super) out: Items,
    /// The entries of `tables` that are for its database.
    pub(super) entries: Vec<TrackedTables>,
    /// The table whose rows events are, once there was one.
    pub(super) events: OnceLock<Arc<Table>>,
    pub(super) shared: Arc<Shared>,
}

/// What the visits of all databases share.
pub(super) struct Shared {
    pub(super) pace: Pace,
    pub(super) rest: Rest,
    /// One for each table that is read at a time.
    pub(super) threads: Arc<Semaphore>,
    pub(super) demand: Arc<Demand>,
    /// Changes that were given.
    given: AtomicU64,
}

impl Shared {
    /// `working`: databases with tables.
    pub(super) fn new(settings: &SqlServerSource, working: impl Iterator<Item = Arc<str>>) -> Arc<Self> {
        Arc::new(Self {
            pace: Pace::new(settings.queries_per_second),
            rest: Rest::new(settings, working),
            threads: Arc::new(Semaphore::new(settings.threads)),
            demand: Arc::default(),
            given: AtomicU64::new(0),
        })
    }
}

/// A connection, and what it is connected to.
pub(super) struct Session {
    pub(super) conn: Conn,
    pub(super) facts: Facts,
    /// When it was made, and when it was used last.
    opened: Instant,
    used: Instant,
}

impl Session {
    /// When it is to be closed if nothing uses it.
    pub(super) fn ends(&self, settings: &SqlServerSource) -> Instant {
        (self.used + settings.idle_timeout).min(self.opened + settings.max_lifetime)
    }

    /// It waits for work from now on.
    pub(super) fn rest(mut self) -> Self {
        self.used = Instant::now();
        self
    }
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visited {
    /// Everything up to the current version was read.
    Drained,
    /// There is more.
    More,
    /// The table is not there, or not tracked.
    Absent,
}

/// What a table's place means now.
pub(super) enum Settled {
    /// Changes can be read up to this version.
    Fine(i64),
    /// The table begins anew.
    Anew,
    Absent,
}

impl Visitor {
    /// Opens a session.
    pub(super) async fn open(&self) -> Result<Session, Fault> {
        let mut conn = self.connector.connect().await?;
        let facts = catalogue::facts(&mut conn).await?;
        if !facts.writable {
            return Err(Fault::Final(read_only()));
        }
        let now = Instant::now();
        Ok(Session { conn, facts, opened: now, used: now })
    }

    /// Whether rounds run under SNAPSHOT.
    pub(super) fn is_snapshot(&self, session: &Session) -> bool {
        match self.settings.isolation {
            Isolation::Auto => session.facts.snapshot == 1,
            Isolation::Snapshot => true,
            Isolation::ReadCommitted | Isolation::RepeatableRead | Isolation::Serializable => false,
        }
    }

    /// Visits a table, again after faults that pass. What is delivered before one is not read again.
    pub(super) async fn visit(&self, slot: &mut Option<Session>, lane: &mut TrackedLane) -> Result<Visited, Fault> {
        let mut patience = Patience::new(self.limits.retry_window);
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(QUERY_RETRY_PAUSE)
            .with_jitter()
            .without_max_times()
            .build();
        let mut tries = 0;
        loop {
            let fault = match self.attempt(slot, lane).await {
                Ok(visited) => return Ok(visited),
                Err(fault) => fault,
            };
            let (pause, error) = match fault {
                Fault::Left(batch) => {
                    match batch {
                        Some(batch) => self.send(lane, *batch).await?,
                        None => self.mark(lane, MarkKind::Heartbeat).await?,
                    }
                    return Ok(Visited::More);
                }
                Fault::Transient(error) if tries < self.settings.retries => {
                    tries += 1;
                    // a column may have another name although nothing says that the table was altered
                    lane.read_columns = true;
                    (pauses.next().unwrap_or(QUERY_RETRY_PAUSE), error)
                }
                Fault::Broken(error) => {
                    self.status.source.disconnect();
                    self.status.source.reconnects.add(1);
                    patience.delay(error)?
                }
                fault => return Err(fault.context(&format!("table {}", lane.name))),
            };
            tracing::warn!(table = %lane.name, error = %error.chain(), "the table is read again in {pause:?}");
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, slot: &mut Option<Session>, lane: &mut TrackedLane) -> Result<Visited, Fault> {
        let mut session = match slot.take() {
            Some(session) => session,
            None => self.open().await?,
        };
        self.status.source.connect();
        let visited = self.read(&mut session, lane).await?;
        // after a fault it is dropped: its stream may be out of step
        *slot = Some(session);
        Ok(visited)
    }

    async fn read(&self, session: &mut Session, lane: &mut TrackedLane) -> Result<Visited, Fault> {
        if lane.place.is_copied() {
            return self.changes(session, lane).await;
        }
        let interval = i64::try_from(self.settings.interval.as_micros()).unwrap_or(i64::MAX);
        if lane.polled_us == 0 {
            lane.polled_us = now_us();
        } else if now_us() - lane.polled_us >= interval {
            // the copy of a large table may take longer than changes are kept, and they are due until there are none
            match self.changes(session, lane).await? {
                Visited::Absent => return Ok(Visited::Absent),
                Visited::Drained => lane.polled_us = now_us(),
                Visited::More => {}
            }
        }
        if lane.place.is_copied() {
            return Ok(Visited::More);
        }
        self.copy(session, lane).await
    }

    /// What the lane's place means, by how its table stands now. A table that is lost begins anew, by policy.
    pub(super) async fn settle(&self, facts: &Facts, lane: &mut TrackedLane, standing: Option<&Standing>) -> Result<Settled, Fault> {
        let reason = match judge(&lane.place, &facts.identity, standing) {
            Verdict::Fine(current) => match &lane.void {
                None => {
                    lane.said_absent = false;
                    return Ok(if lane.must_empty { Settled::Anew } else { Settled::Fine(current) });
                }
                Some(reason) => reason.clone(),
            },
            Verdict::Lost(reason) => reason,
            Verdict::Absent(reason) => {
                if !lane.said_absent {
                    lane.said_absent = true;
                    tracing::warn!(table = %lane.name, "{reason}: it is waited for");
                }
                return Ok(Settled::Absent);
            }
            Verdict::Forbidden => {
                return Err(Fault::Final(
                    Error::new(ErrorKind::Precheck, "the account may not read its changes")
                        .remedy(format!("GRANT VIEW CHANGE TRACKING ON {} TO the account; and GRANT SELECT on it.", lane.quoted)),
                ));
            }
            Verdict::Incoherent => {
                return Err(Fault::Final(
                    Error::new(ErrorKind::Source, "its minimum valid version is above the database's current one")
                        .remedy("Connect to the primary replica: the numbers of a secondary do not hold."),
                ));
            }
        };
        if !self.settings.re_initialise {
            return Err(Fault::Final(lost(&reason)));
        }
        let Some(Standing { current: Some(current), object, begin: Some(begin), .. }) = standing else { return Ok(Settled::Absent) };
        tracing::warn!(table = %lane.name, "{reason}: the table is emptied and copied anew");
        lane.begin_anew(catalogue::identity(facts, *object, *begin), *current);
        Ok(Settled::Anew)
    }

    /// Tells that a table begins anew. The truncate is the first mark of the new generation, whatever else changed: a sink that has any
    /// other is taken to have had it.
    pub(super) async fn empty(&self, session: &mut Session, lane: &mut TrackedLane, standing: &Standing) -> Result<(), Fault> {
        let mut table = catalogue::table(&mut session.conn, &lane.name, standing, &self.settings, self.limits.row_bytes).await?;
        if let Some(before) = lane.table.as_ref().filter(|before| before.delivered == table.delivered) {
            table.delivered = before.delivered.clone();
        }
        let generation = u64::from(lane.place.generation);
        let transaction = Transaction { position: generation, complete: true, ..Transaction::default() };
        let event = Event { time_us: now_us(), position: lane.place.version.cast_unsigned(), ..Event::default() };
        let kind = MarkKind::Truncate(Truncate { table: table.delivered.clone(), event, transaction });
        lane.polled_us = now_us();
        self.mark(lane, kind).await?;
        lane.must_empty = false;
        self.take_table(lane, table).await?;
        Ok(())
    }

    /// The table as it is now. A change of its columns is told before the first row that has it.
    pub(super) async fn table(&self, conn: &mut Conn, lane: &mut TrackedLane, standing: &Standing) -> Result<Arc<TrackedTable>, Fault> {
        if let Some(table) = &lane.table
            && !lane.read_columns
            && table.modified == standing.modified
            && table.tracks_columns == standing.tracks_columns
        {
            return Ok(table.clone());
        }
        let table = catalogue::table(conn, &lane.name, standing, &self.settings, self.limits.row_bytes).await?;
        self.take_table(lane, table).await
    }

    /// Goes on with a table as it was just read.
    async fn take_table(&self, lane: &mut TrackedLane, mut table: TrackedTable) -> Result<Arc<TrackedTable>, Fault> {
        let before = lane.table.clone();
        if before.as_ref().is_none_or(|before| before.numbered != table.numbered) {
            // before anything has the new names; those of an earlier run are known to who is told
            let renamed = Renamed { numbered: Some(table.numbered.clone()), ..Renamed::new(lane.name.clone(), lane.name.clone()) };
            self.mark(lane, MarkKind::Renamed(Box::new(renamed))).await?;
        }
        if let Some(before) = &before {
            if before.delivered == table.delivered {
                // one version is one pointer
                table.delivered = before.delivered.clone();
            } else {
                let change = SchemaChange {
                    name: lane.name.clone(),
                    effect: SchemaEffect::Altered,
                    table: Some(table.delivered.clone()),
                    statement: None,
                };
                self.mark(lane, MarkKind::Schema(change)).await?;
            }
        }
        let table = Arc::new(table);
        (lane.table, lane.read_columns) = (Some(table.clone()), false);
        Ok(table)
    }

    pub(super) async fn mark(&self, lane: &mut TrackedLane, kind: MarkKind) -> Result<(), Fault> {
        lane.told_us = now_us();
        let mark = Mark { lane: lane.lane.clone(), offset: lane.offset(), kind };
        self.out.send(Item::Mark(mark)).await.map_err(|_| Fault::Closed)
    }

    pub(super) async fn send(&self, lane: &mut TrackedLane, mut batch: Batch) -> Result<(), Fault> {
        self.note(lane, &mut batch);
        self.out.send(Item::Rows(batch)).await.map_err(|_| Fault::Closed)
    }

    /// Sends a batch out of a result that stays open, while there is room for it soon.
    pub(super) async fn send_soon(&self, lane: &mut TrackedLane, mut batch: Batch) -> Result<(), Fault> {
        let room = match timeout(OPEN_RESULT.min(self.settings.query_timeout), self.out.reserve(batch.bytes)).await {
            Err(_) => return Err(Fault::Left(Some(Box::new(batch)))),
            Ok(room) => room.map_err(|_| Fault::Closed)?,
        };
        self.note(lane, &mut batch);
        room.send(Item::Rows(batch));
        Ok(())
    }

    /// Counts a batch of rows that is sent.
    fn note(&self, lane: &mut TrackedLane, batch: &mut Batch) {
        lane.news += u64::from(batch.taken);
        self.shared.rest.note_news(batch.taken.into());
        self.number(lane, batch);
    }

    fn number(&self, lane: &mut TrackedLane, batch: &mut Batch) {
        batch.number = self.shared.given.fetch_add(batch.taken.into(), Ordering::Relaxed);
        self.status.source.hear();
        lane.told_us = now_us();
    }

    /// Sends a batch that may be no news.
    pub(super) async fn give(&self, lane: &mut TrackedLane, mut batch: Batch) -> Result<(), Fault> {
        self.number(lane, &mut batch);
        self.out.send(Item::Rows(batch)).await.map_err(|_| Fault::Closed)
    }

    /// The parts of a key as parameters; `None` where they are none of the table's key.
    pub(super) fn parts(table: &TrackedTable, key: &KeyText, into: &mut Vec<Parameter>) -> Option<()> {
        let parts: Option<Vec<Parameter>> =
            table.key_columns().zip(key.iter()).map(|(column, text)| Parameter::of_key(column, text)).collect();
        into.extend(parts.filter(|parts| parts.len() == table.key.len() && key.len() == parts.len())?);
        Some(())
    }

    /// Ends a round whose place has parts of another key than the table's: the next one settles what is done.
    pub(super) async fn give_up(&self, session: &mut Session, lane: &mut TrackedLane, snapshot: bool) -> Result<(), Fault> {
        lane.void = Some("the place is at a key, and the table's key has other columns than it had".to_owned());
        self.end(session, snapshot).await
    }

    pub(super) async fn begin(&self, session: &mut Session) -> Result<bool, Fault> {
        let snapshot = self.is_snapshot(session);
        if snapshot {
            session.conn.batch(sql::BEGIN).await?;
        }
        Ok(snapshot)
    }

    pub(super) async fn end(&self, session: &mut Session, snapshot: bool) -> Result<(), Fault> {
        if snapshot { session.conn.batch(sql::COMMIT).await } else { Ok(()) }
    }

    pub(super) fn note_copy(&self, lane: &TrackedLane, state: CopyState) {
        let rows = lane.copied_rows;
        self.status.copies.update(&lane.name.to_string(), |numbers| {
            numbers.state = state;
            numbers.rows = rows;
        });
    }
}

/// Change Tracking does not work on a replica.
pub(super) fn read_only() -> Error {
    Error::new(ErrorKind::Precheck, "the database is read-only: Change Tracking cannot be read on a secondary replica")
        .remedy("Connect to the primary replica: leave `read_only_intent` out, and name the availability group's listener as `host`.")
}

/// The changes after a place are not there.
pub(super) fn lost(reason: &str) -> Error {
    Error::new(ErrorKind::Source, format!("the changes after the stored place are lost: {reason}")).remedy(
        "Write `lost_position: re-initialise` at the source: consumers get a truncate of the table, and its rows anew. Or leave the table out.",
    )
}
