//! Which tables are captured, and which are copied anew, while the stream runs.
//!
//! What is asked for takes effect between two transactions, and is kept before anything from behind that place is delivered: a start
//! that reads the log again captures the same of it. A copy that is asked for is one for every sink, whatever it has of earlier
//! copies of the table; also that is kept, until every sink has begun with it.

mod kept;
mod serve;
mod unlogged;

use std::collections::{BTreeSet, VecDeque};

use tokio::sync::mpsc;

use self::kept::Version;
pub use self::kept::{Anew, Kept};
use super::{
    captured::Captured,
    connection::Server,
    copy::{
        Lanes,
        place::{self, CopyPlace},
    },
    position::BinlogPosition,
    survey::Spot,
};
use sluicegate_config::{MySqlSource, Snapshot, SnapshotMode, TablePatterns};
use sluicegate_model::{
    Result,
    change::{Frontier, Lane, Offset, TableName},
};
use sluicegate_source::Request;

/// What is captured and copied in this run.
#[derive(Debug, Default)]
pub struct Capturing {
    requests: Option<mpsc::Receiver<Request>>,
    /// What is being asked for.
    waiting: Option<Request>,
    /// Behind which place it can be done.
    not_before: Option<Spot>,
    kept: Kept,
    /// What was captured behind places that the stream reaches again.
    pending: VecDeque<Version>,
    /// How far each sink is in the copies of tables: in this run, or where it began.
    frontiers: Vec<Frontier>,
    /// Where the sinks were in the log when the run began.
    sinks: Vec<BinlogPosition>,
    snapshot: Snapshot,
    /// The tables that are being copied.
    running: BTreeSet<TableName>,
    /// Those of them that are copied again behind that.
    again: BTreeSet<TableName>,
    /// Whether copies have to begin.
    due: bool,
}

impl Capturing {
    /// A run begins at a place of the log. Answers also which tables are captured there.
    pub fn begin(
        mut kept: Kept,
        place: &BinlogPosition,
        settings: &MySqlSource,
        frontiers: &[Frontier],
        sinks: Vec<BinlogPosition>,
    ) -> (Self, TablePatterns) {
        let at = kept.begin(place, &settings.tables);
        let tables = kept.versions.get(at).map_or_else(|| settings.tables.clone(), |version| version.tables.clone());
        let pending = kept.versions.iter().skip(at + 1).cloned().collect();
        let copies = |frontier: &Frontier| {
            let copies = frontier.lanes().filter(|(lane, _)| place::is_copy(lane.name()));
            copies.map(|(lane, offset)| (lane.clone(), offset.clone())).collect()
        };
        let frontiers = frontiers.iter().map(copies).collect();
        let capturing = Self { kept, pending, frontiers, sinks, snapshot: settings.snapshot.clone(), ..Self::default() };
        (capturing, tables)
    }

    /// The same, taking requests.
    pub fn taking(self, requests: mpsc::Receiver<Request>) -> Self {
        Self { requests: Some(requests), ..self }
    }

    /// Whether the run ends when all copies are done.
    pub fn ends_with_copies(&self) -> bool {
        self.snapshot.mode == SnapshotMode::Only && !self.due && self.again.is_empty()
    }

    /// How tables are copied.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What is to be kept.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// What is left to copy of the tables that are captured last.
    pub fn lanes(&mut self, server: &Server) -> Result<Option<Lanes>> {
        let captured = Captured::on(server, self.kept.last().cloned().unwrap_or_default());
        let captures = |name: &TableName| captured.captures(name);
        let lanes = Lanes::of(&self.frontiers, self.sinks.clone(), &self.snapshot, &self.kept.copies, captures)?;
        self.running = lanes.iter().flat_map(|lanes| &lanes.tables).map(|table| table.name.clone()).collect();
        self.again.clear();
        self.due = false;
        Ok(lanes)
    }

    /// The place in the copy of a table moves: no sink is behind it any more.
    pub fn note(&mut self, lane: &Lane, offset: &Offset) -> Result<()> {
        let Some(to) = offset.place::<CopyPlace>() else { return Ok(()) };
        for frontier in &mut self.frontiers {
            let passed = match frontier.get(lane.name()) {
                None => true,
                Some(own) => {
                    let own = CopyPlace::of(own)?;
                    // what this run has moved goes on with it
                    own.generation < to.generation || own.generation == to.generation && (own.ahead.is_some() || to.covers(&own)?)
                }
            };
            if passed {
                frontier.set(lane.clone(), offset.clone());
            }
        }
        if to.is_done()
            && let Some(table) = place::table_of(lane.name())
        {
            self.running.remove(&table);
            self.due |= self.again.contains(&table);
        }
        Ok(())
    }

    /// Whether there is something to do between two transactions.
    pub fn is_due(&self) -> bool {
        let asked = self.waiting.is_some() || self.requests.as_ref().is_some_and(|requests| !requests.is_empty());
        asked || self.due || !self.pending.is_empty()
    }

    /// Waits until something is asked for. What already waits for the stream is looked at as it goes on.
    pub async fn asked(&mut self) {
        if self.waiting.is_none()
            && let Some(requests) = &mut self.requests
        {
            match requests.recv().await {
                Some(request) => {
                    self.waiting = Some(request);
                    return;
                }
                None => self.requests = None,
            }
        }
        std::future::pending::<()>().await;
    }

    /// Whether a copy of the table was asked for and has not begun: it makes void whatever is delivered until then. One that has begun does
    /// not, also if it waits for its first row: the stream may have delivered changes behind its beginning.
    fn is_to_be_emptied(&self, table: &TableName) -> Result<bool> {
        let asked = self.kept.copies.get(table).is_some_and(|copy| copy.number > 0) && !self.running.contains(table);
        Ok(self.again.contains(table) || asked && self.is_before_a_copy(table)?)
    }

    /// Whether a copy of the table is to come, or runs, of which no sink has a row.
    fn is_before_a_copy(&self, table: &TableName) -> Result<bool> {
        let lane = place::lane(table);
        let number = self.kept.copies.get(table).map_or(0, |copy| copy.number);
        let (mut most, mut places) = (number, Vec::new());
        for frontier in &self.frontiers {
            let place = frontier.get(lane.name()).map(CopyPlace::of).transpose()?;
            most = most.max(place.as_ref().map_or(0, |place| place.generation));
            places.push(place);
        }
        let before = |place: &Option<std::borrow::Cow<'_, CopyPlace>>| match place {
            None => true,
            Some(place) => place.generation < most || place.reached == place::Reached::Nothing,
        };
        // without one that was asked for, a lane that a sink lacks is none
        let exists = number > 0 || places.iter().all(Option::is_some);
        Ok(most > 0 && exists && places.iter().all(before))
    }
}
