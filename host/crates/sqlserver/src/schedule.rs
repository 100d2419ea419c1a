//! Which table is read when. One connection asks at each interval which tables have changes; those are read in turn, each thread on a
//! connection of its own. A table that has more goes behind the others (turns.rs).

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use tokio::{
    select,
    sync::OwnedSemaphorePermit,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    catalogue::{self, Facts, Listed, Tracking},
    events::Told,
    fault::Fault,
    place::CtPlace,
    precheck::starts_later,
    row::Cells,
    sql,
    tracked_lane::TrackedLane,
    turns::Turns,
    value::Parameter,
    visit::{Session, Visited, Visitor},
};
use sluicegate_config::TrackedStart;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Drained, LaneEvent, MarkKind, TableName},
    finding::listed as named,
    limits::{CHECK_NAMES, QUIET_BRANCHES, QUIET_INTERVAL, QUIET_TABLES},
};
use sluicegate_source::Patience;

/// The tables and what is done with them.
pub(super) struct Schedule {
    visitor: Arc<Visitor>,
    stop: CancellationToken,
    /// The tables that are not being read.
    idle: BTreeMap<TableName, TrackedLane>,
    /// Those of them that have something to read, in the order of their turns.
    ready: Turns,
    /// The tables that are being read.
    busy: HashSet<TableName>,
    /// Connections that are free.
    free: Vec<Session>,
    watcher: Option<Session>,
    /// The database, once it was looked at.
    database: Option<Arc<str>>,
    /// Tables that match and are not tracked, of which that was said.
    untracked: HashSet<TableName>,
    /// The version of the last look, that of an earlier run included; `None`: there was none.
    seen: Option<i64>,
    /// The version up to which everything is read in a run that ends once it is drained.
    goal: Option<i64>,
    /// How many of its tables are being read or wait for it, by schema.
    pending: BTreeMap<String, usize>,
    /// Changes and rows of each schema that were read since its last event.
    news: BTreeMap<String, u64>,
    /// When `no-more-data` is due.
    tell_at: Option<Instant>,
    /// How many of its tables that entries match are not there, or not tracked.
    absent: u64,
}

/// A visit that has ended.
struct Done {
    lane: TrackedLane,
    session: Option<Session>,
    outcome: Result<Visited, Fault>,
    /// Kept until its connection is free for the next visit.
    thread: OwnedSemaphorePermit,
}

/// What a look at all tables found.
struct Look {
    /// The version that was the current one before.
    current: i64,
    /// The tables that were asked about.
    asked: HashSet<TableName>,
    /// Those of them that have, or may have, changes.
    changed: HashSet<TableName>,
    listed: Vec<Listed>,
    /// The tables with a place that no entry matches any more.
    unmatched: HashSet<TableName>,
    facts: Facts,
}

impl Schedule {
    pub(super) fn new(visitor: Arc<Visitor>, lanes: Vec<TrackedLane>, stop: CancellationToken) -> Self {
        let seen = lanes.iter().map(|lane| lane.place.version).max();
        let idle = lanes.into_iter().map(|lane| (lane.name.clone(), lane)).collect();
        let ready = Turns::new(visitor.shared.demand.clone());
        Self {
            visitor,
            stop,
            idle,
            ready,
            busy: HashSet::new(),
            free: Vec::new(),
            watcher: None,
            database: None,
            untracked: HashSet::new(),
            seen,
            goal: None,
            pending: BTreeMap::new(),
            news: BTreeMap::new(),
            tell_at: None,
            absent: 0,
        }
    }

    /// Reads until it is stopped, or drained where the settings want it to end then.
    pub(super) async fn run(mut self) -> Result<()> {
        let stop = self.stop.clone();
        let outcome = select! {
            biased;
            () = stop.cancelled() => Ok(()),
            outcome = self.follow() => outcome,
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(fault) => fault.into_error().map_or(Ok(()), Err),
        }
    }

    async fn follow(&mut self) -> Result<(), Fault> {
        let mut visits: JoinSet<Done> = JoinSet::new();
        let mut due = Instant::now();
        loop {
            if Instant::now() >= due {
                due = Instant::now() + self.visitor.settings.interval;
                self.look().await?;
            }
            self.note_rest();
            if let Some(goal) = self.goal
                && self.is_over(goal)
            {
                self.missed(goal)?;
                return self.tell_rest().await;
            }
            let threads = self.visitor.shared.threads.clone();
            select! {
                () = sleep_until(due) => {}
                () = sleep_until(self.close_old().unwrap_or(due)) => {}
                Ok(thread) = threads.acquire_owned(), if !self.ready.is_empty() => {
                    if let Some(lane) = self.next() {
                        visits.spawn(visit(self.visitor.clone(), lane, self.free.pop(), thread));
                    }
                }
                () = sleep_until(self.tell_at.unwrap_or(due)), if self.tell_at.is_some() => self.tell_rest().await?,
                Some(done) = visits.join_next() => {
                    let done = done.map_err(|error| {
                        Fault::Final(Error::new(ErrorKind::Internal, "a table's reader failed").caused_by(error))
                    })?;
                    self.finish(done).await?;
                }
            }
        }
    }

    /// The next table to read.
    fn next(&mut self) -> Option<TrackedLane> {
        loop {
            let name = self.ready.next()?;
            match self.idle.remove(&name) {
                Some(lane) => {
                    self.busy.insert(name);
                    return Some(lane);
                }
                None => self.end_turn(&name),
            }
        }
    }

    async fn finish(&mut self, done: Done) -> Result<(), Fault> {
        let Done { mut lane, session, outcome, thread } = done;
        self.busy.remove(&lane.name);
        self.free.extend(session.map(Session::rest));
        drop(thread);
        let visited = outcome?;
        let schema = lane.name.schema.clone().unwrap_or_default();
        match visited {
            Visited::More => {
                lane.turns = lane.turns.saturating_add(1);
                self.ready.wait_again(lane.name.clone());
            }
            Visited::Drained | Visited::Absent => {
                lane.turns = 0;
                self.end_turn(&lane.name);
            }
        }
        if visited == Visited::Drained && lane.news > 0 {
            let changes = std::mem::take(&mut lane.news);
            *self.news.entry(schema.clone()).or_default() += changes;
            let drained = Drained::Table(lane.name.clone());
            self.visitor.tell(&mut lane, Told { drained, changes }).await?;
        }
        if !self.pending.contains_key(&schema)
            && let Some(changes) = self.news.remove(&schema)
        {
            let of = |other: &&TrackedLane| other.name.schema == lane.name.schema && !other.said_absent;
            let mut tables: Vec<String> = self.idle.values().filter(of).map(|other| other.name.table.clone()).collect();
            tables.push(lane.name.table.clone());
            tables.sort();
            let drained = Drained::Schema { database: lane.name.database.clone(), schema, tables };
            self.visitor.tell(&mut lane, Told { drained, changes }).await?;
        }
        self.idle.insert(lane.name.clone(), lane);
        Ok(())
    }

    /// A table has nothing to read.
    fn end_turn(&mut self, name: &TableName) {
        let schema = name.schema.as_deref().unwrap_or_default();
        if let Some(left) = self.pending.get_mut(schema) {
            *left -= 1;
            if *left == 0 {
                self.pending.remove(schema);
            }
        }
    }

    /// Notes whether anything is left to read; if not, when that is to be told.
    fn note_rest(&mut self) {
        let Some(database) = &self.database else { return };
        if !self.busy.is_empty() || !self.ready.is_empty() {
            self.visitor.shared.rest.work(database);
            self.tell_at = None;
        } else {
            // without a table there is nothing to tell it with: another database does
            self.tell_at = self.visitor.shared.rest.rest(database).filter(|_| !self.idle.is_empty());
        }
    }

    /// Tells that nothing is left, unless another database has something, or it was told before.
    async fn tell_rest(&mut self) -> Result<(), Fault> {
        self.tell_at = None;
        let Some(mut lane) = self.idle.first_entry() else { return Ok(()) };
        match self.visitor.shared.rest.take() {
            Some(changes) => self.visitor.tell(lane.get_mut(), Told { drained: Drained::Everything, changes }).await,
            None => Ok(()),
        }
    }

    /// Closes connections that have waited, or were used, for as long as they may. When the next one is due.
    fn close_old(&mut self) -> Option<Instant> {
        let (settings, now) = (&self.visitor.settings, Instant::now());
        self.free.retain(|session| session.ends(settings) > now);
        self.watcher = self.watcher.take().filter(|session| session.ends(settings) > now);
        self.free.iter().chain(&self.watcher).map(|session| session.ends(settings)).min()
    }

    /// Whether everything up to the goal is read that can be.
    fn is_over(&self, goal: i64) -> bool {
        self.busy.is_empty() && self.ready.is_empty() && self.idle.values().all(|lane| lane.said_absent || lane.has(goal))
    }

    /// Whether tables that are to be read could not be read up to the goal.
    fn missed(&self, goal: i64) -> Result<(), Fault> {
        let missed: Vec<String> =
            self.idle.values().filter(|lane| lane.is_missed() && !lane.has(goal)).map(|lane| lane.name.to_string()).collect();
        if missed.is_empty() {
            return Ok(());
        }
        let names = named(missed.iter().map(String::as_str), CHECK_NAMES);
        Err(Fault::Final(
            Error::new(
                ErrorKind::Source,
                format!("not there, not tracked, or not to be seen by the account, so not read to the end: {names}"),
            )
            .remedy(
                "Grant the account SELECT and VIEW CHANGE TRACKING on them, or enable Change Tracking; a table that is not to be read any \
                     more is left out with `exclude`.",
            ),
        ))
    }

    /// Counts the tables that are missed.
    fn count_absent(&mut self) {
        let absent = self.idle.values().filter(|lane| lane.is_missed()).count() as u64;
        self.visitor.status.source.absent_tables.exchange(self.absent, absent);
        self.absent = absent;
    }

    /// Asks which tables there are and which have changes.
    async fn look(&mut self) -> Result<(), Fault> {
        let look = self.ask_patiently().await?;
        if self.visitor.settings.until_drained {
            self.goal.get_or_insert(look.current);
        }
        self.database.get_or_insert_with(|| look.facts.database.as_str().into());
        self.begin_new(&look).await?;
        self.seen = Some(look.current);
        let listed: BTreeMap<&TableName, &Listed> = look.listed.iter().map(|listed| (&listed.name, listed)).collect();
        let waiting: HashSet<TableName> = self.ready.names().cloned().collect();
        let (mut ready, mut quiet, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for (name, lane) in &self.idle {
            if waiting.contains(name) {
                continue;
            }
            let is_same = |listed: &&Listed| {
                let own = &lane.place.identity;
                let has_all = |of: Tracking| of.begin == own.begin && of.minimum.is_some_and(|minimum| minimum <= lane.place.version);
                listed.object == own.object && listed.tracked.is_some_and(has_all)
            };
            let unchanged =
                lane.void.is_none() && lane.place.identity.database == look.facts.identity && lane.place.reached() <= look.current;
            let is_known = lane.place.version == look.current || look.asked.contains(name);
            let is_quiet = unchanged && is_known && lane.place.is_copied() && lane.place.inside.is_none() && !look.changed.contains(name);
            match listed.get(name) {
                Some(one) if is_quiet && is_same(one) => quiet.push(name.clone()),
                None => gone.push(name.clone()),
                Some(_) => ready.push(name.clone()),
            }
        }
        for name in gone {
            let Some(lane) = self.idle.get_mut(&name).filter(|lane| !lane.said_absent) else { continue };
            (lane.said_absent, lane.unmatched) = (true, look.unmatched.contains(&name));
            if lane.unmatched {
                tracing::warn!(table = %name, "no entry of `tables` matches it any more: nothing of it is read");
            } else {
                tracing::warn!(table = %name, "it is not there, or the account cannot see it: nothing of it is read");
            }
        }
        self.count_absent();
        for name in quiet {
            let Some(lane) = self.idle.get_mut(&name) else { continue };
            if lane.place.version < look.current {
                lane.place.version = look.current;
                if lane.is_quiet_for(QUIET_INTERVAL) {
                    self.visitor.mark(lane, MarkKind::Heartbeat).await?;
                }
            }
        }
        let order: BTreeMap<&TableName, usize> = look.listed.iter().enumerate().map(|(at, listed)| (&listed.name, at)).collect();
        if !self.visitor.settings.alphabetical {
            ready.sort_by_key(|name| order.get(name).copied().unwrap_or(usize::MAX));
        }
        for name in &ready {
            *self.pending.entry(name.schema.clone().unwrap_or_default()).or_default() += 1;
        }
        ready.into_iter().for_each(|name| self.ready.wait_first(name));
        self.visitor.status.source.hear();
        if self.ready.is_empty() && self.busy.is_empty() {
            self.visitor.status.source.see_event(0);
        }
        Ok(())
    }

    async fn ask_patiently(&mut self) -> Result<Look, Fault> {
        let mut patience = Patience::new(self.visitor.limits.retry_window);
        let mut tries = 0;
        loop {
            let mut session = match self.watcher.take() {
                Some(session) => Ok(session),
                None => self.visitor.open().await,
            };
            let asked = match &mut session {
                Ok(session) => self.ask(session).await,
                Err(_) => Err(Fault::Closed),
            };
            let fault = match (session, asked) {
                (Ok(session), Ok(look)) => {
                    self.watcher = Some(session.rest());
                    self.visitor.status.source.connect();
                    return Ok(look);
                }
                (Ok(_), Err(fault)) | (Err(fault), _) => fault,
            };
            let (pause, error) = match fault {
                Fault::Transient(error) if tries < self.visitor.settings.retries => {
                    tries += 1;
                    patience.delay(error)?
                }
                Fault::Broken(error) => {
                    self.visitor.status.source.disconnect();
                    self.visitor.status.source.reconnects.add(1);
                    patience.delay(error)?
                }
                fault => return Err(fault),
            };
            tracing::warn!(error = %error.chain(), "the server is asked again in {pause:?}");
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks. In this order: the current version, which tables have changes, and only then whether what they have is all of it.
    async fn ask(&self, session: &mut Session) -> Result<Look, Fault> {
        let mut current = catalogue::current(&mut session.conn).await?;
        let mut behind = self.behind(current);
        // one table is read without being asked about
        let mut snapshot = behind.len() > 1 && self.visitor.begin(session).await?;
        if snapshot {
            // the version and the changes are of one instant
            current = catalogue::current(&mut session.conn).await?;
            behind = self.behind(current);
        }
        let asked = behind.iter().map(|lane| lane.name.clone()).collect();
        let mut changed = HashSet::new();
        for some in behind.chunks(QUIET_TABLES) {
            if let [only] = some {
                changed.insert(only.name.clone());
                continue;
            }
            match ask_changed(session, some).await {
                Ok(numbers) => changed.extend(numbers.into_iter().filter_map(|number| some.get(number)).map(|lane| lane.name.clone())),
                // one of them is gone, or not tracked: the batch does nothing at all, so each is looked at by itself
                Err(Fault::Transient(_)) => {
                    changed.extend(some.iter().map(|lane| lane.name.clone()));
                    *session = self.visitor.open().await?;
                    snapshot = self.visitor.begin(session).await?;
                }
                Err(fault) => return Err(fault),
            }
        }
        self.visitor.end(session, snapshot).await?;
        let listed =
            catalogue::discover(&mut session.conn, &session.facts.database, &self.visitor.entries, self.visitor.limits.known_tables)
                .await?
                .tables;
        let names: HashSet<&TableName> = listed.iter().map(|listed| &listed.name).collect();
        let mut unmatched = HashSet::new();
        for lane in self.idle.values().filter(|lane| !lane.said_absent && !names.contains(&lane.name)) {
            if !catalogue::matches(&mut session.conn, &self.visitor.entries, &lane.name).await? {
                unmatched.insert(lane.name.clone());
            }
        }
        Ok(Look { current, asked, changed, listed, unmatched, facts: session.facts.clone() })
    }

    /// The tables that may have changes up to a version, and nothing else to read.
    fn behind(&self, current: i64) -> Vec<&TrackedLane> {
        let waiting: HashSet<&TableName> = self.ready.names().collect();
        let behind = self.idle.values().filter(|lane| {
            !waiting.contains(&lane.name)
                && !lane.said_absent
                && lane.place.is_copied()
                && lane.place.inside.is_none()
                && lane.place.version < current
        });
        behind.collect()
    }

    /// Begins the lanes of tables that are new.
    async fn begin_new(&mut self, look: &Look) -> Result<(), Fault> {
        for listed in &look.listed {
            let Some(tracked @ Tracking { begin, minimum }) = listed.tracked else {
                if self.untracked.insert(listed.name.clone()) {
                    tracing::warn!(table = %listed.name, "the table matches and has no Change Tracking: {}", enable(&listed.name));
                }
                continue;
            };
            self.untracked.remove(&listed.name);
            if self.busy.contains(&listed.name) {
                continue;
            }
            if let Some(lane) = self.idle.get_mut(&listed.name) {
                lane.start = listed.start;
                lane.said_absent = false;
                continue;
            }
            let identity = catalogue::identity(&look.facts, listed.object, begin);
            let place = match listed.start {
                TrackedStart::Copy => CtPlace::copy(identity, tracked.first(look.current), 1),
                TrackedStart::After(version) if version > look.current && !self.visitor.settings.re_initialise => {
                    let error = starts_later(version, look.current).with_kind(ErrorKind::Source);
                    return Err(Fault::Final(error.context(format_args!("table {}", listed.name))));
                }
                // what was cleaned up of the rest is missed, and told to be
                TrackedStart::After(version) => CtPlace::behind(identity, version.max(begin)),
                // it is tracked since the last look, when everything of it was new
                TrackedStart::Now if self.seen.is_some_and(|seen| begin >= seen) => CtPlace::behind(identity, begin),
                // it was there, under another name, without an entry or in a database without one: what the server still has may be new
                TrackedStart::Now => CtPlace::behind(identity, minimum.unwrap_or(begin)),
            };
            tracing::info!(table = %listed.name, "a table was found");
            let mut lane = TrackedLane::new(listed.name.clone(), place, listed.start);
            self.visitor.mark(&mut lane, MarkKind::Lane(LaneEvent::Begins)).await?;
            self.idle.insert(listed.name.clone(), lane);
        }
        Ok(())
    }
}

/// The numbers of the tables that have changes.
async fn ask_changed(session: &mut Session, lanes: &[&TrackedLane]) -> Result<Vec<usize>, Fault> {
    let names: Vec<&str> = lanes.iter().map(|lane| lane.quoted.as_str()).collect();
    let parameters: Vec<Parameter> = lanes.iter().map(|lane| Parameter::Integer(lane.place.version)).collect();
    let rows = session.conn.rows(&sql::changed(&names, QUIET_BRANCHES), &parameters).await?;
    let number = |row| usize::try_from(Cells::from(row).some_number(0)?).map_err(|_| super::row::unexpected());
    rows.into_iter().map(number).collect()
}

/// How Change Tracking is enabled for a table.
pub(super) fn enable(name: &TableName) -> String {
    let table = sql::quoted_table(name.schema.as_deref().unwrap_or_default(), &name.table);
    format!("ALTER TABLE {table} ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON);")
}

/// Visits a table.
async fn visit(visitor: Arc<Visitor>, mut lane: TrackedLane, mut session: Option<Session>, thread: OwnedSemaphorePermit) -> Done {
    let outcome = loop {
        let outcome = visitor.visit(&mut session, &mut lane).await;
        // `drain-table`: the table keeps its thread until it has no further changes
        if !matches!(outcome, Ok(Visited::More)) || visitor.settings.batches_per_visit.is_some() {
            break outcome;
        }
    };
    Done { lane, session, outcome, thread }
}
