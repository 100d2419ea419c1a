//! One round of a table's changes: its place is proven, everything after it is read in the order of version and key, and the place moves.
//!
//! Under SNAPSHOT all of that is one instant. Without it, whether the changes were all there is asked again behind the last row, and only
//! then the place moves; what was committed meanwhile may come again with the next round.

use std::sync::Arc;

use futures_util::TryStreamExt;

use super::{
    assembly::{Assembly, Row},
    catalogue,
    connection::Conn,
    fault::Fault,
    headers::Tracked,
    place::{Ahead, CtPlace, Inside},
    row::{Cells, unexpected},
    sql,
    table::TrackedTable,
    tracked_lane::TrackedLane,
    value::{self, Parameter},
    visit::{Session, Settled, Visited, Visitor},
};
use sluicegate_model::{
    Error, ErrorKind,
    change::{MarkKind, Offset, Operation},
    limits::QUIET_INTERVAL,
    now_us,
};

/// Columns of the answer before the flags.
const TRACKED: usize = 5;

/// The last row that was read.
struct Last {
    version: i64,
    /// Which places of sinks it has not passed.
    ahead: Vec<bool>,
    cells: Cells,
}

/// What a round goes by.
struct Round {
    table: Arc<TrackedTable>,
    insides: Vec<Inside>,
    current: i64,
    snapshot: bool,
    tracking_only: bool,
    /// Where in the answer the first column of the key stands in the current row.
    live_at: usize,
    /// A row that was inserted up to this version may be in a sink already; `None`: each may.
    known: Option<i64>,
}

impl Visitor {
    /// Reads changes, up to as many as a visit may have.
    pub(super) async fn changes(&self, session: &mut Session, lane: &mut TrackedLane) -> Result<Visited, Fault> {
        self.shared.pace.wait().await;
        let snapshot = self.begin(session).await?;
        let standing = catalogue::standing(&mut session.conn, &lane.quoted).await?;
        let settled = self.settle(&session.facts, lane, standing.as_ref()).await?;
        let (current, standing) = match (settled, standing) {
            (Settled::Fine(current), Some(standing)) => (current, standing),
            (Settled::Anew, Some(standing)) => {
                self.empty(session, lane, &standing).await?;
                self.end(session, snapshot).await?;
                return Ok(Visited::More);
            }
            _ => {
                self.end(session, snapshot).await?;
                return Ok(Visited::Absent);
            }
        };
        if let Some(place) = lane.unproven.take() {
            lane.place = place;
        }
        let table = self.table(&mut session.conn, lane, &standing).await?;
        let round = Round::new(table, lane, current, snapshot, self.settings.tracking_only);
        let turn = self.settings.batches_per_visit.map_or(u64::MAX, |batches| batches.saturating_mul(self.limits.batch_changes as u64));
        let demand = &self.shared.demand;
        let most = demand.rows(turn, lane.turns).min(self.settings.fetch_rows);
        let Some((text, parameters)) = round.query(lane, most) else {
            self.give_up(session, lane, snapshot).await?;
            return Ok(Visited::More);
        };
        let mut assembly = Assembly::new(round.table.clone(), (self.limits.batch_changes, self.limits.batch_bytes), self.limits.row_bytes);
        let (mut last, mut rows): (Option<Last>, u64) = (None, 0);
        // whether the version of the last row ends, where the rest is left to a later turn
        let mut left = None;
        {
            let mut answer = session.conn.stream(&text, &parameters).await?;
            let address = self.connector.address();
            while let Some(item) = answer.try_next().await.map_err(|error| Conn::explain(address, error))? {
                let Some(row) = item.into_row() else { continue };
                let next = round.last(Cells::from(row))?;
                // other tables may wait by now
                if rows >= turn && rows.is_multiple_of(self.limits.batch_changes as u64) && rows >= demand.rows(turn, lane.turns) {
                    left = last.as_ref().map(|last| next.version > last.version);
                    break;
                }
                if let Some(last) = &last
                    && !assembly.is_empty()
                    && (assembly.is_full() || last.ahead != next.ahead)
                {
                    let ends = next.version > last.version;
                    let place = if snapshot { round.behind(lane, last, ends)? } else { round.held(lane, last) };
                    let batch = assembly.take(0, lane.lane.clone(), Offset::new(place.clone()), ends);
                    lane.place = place;
                    if snapshot {
                        self.send_soon(lane, batch).await?;
                    } else {
                        // the visit would begin anew
                        self.send(lane, batch).await?;
                    }
                }
                self.push(&round, &mut assembly, &next)?;
                rows += 1;
                last = Some(next);
            }
        }
        if let (Some(ends), Some(last)) = (left, &last) {
            return Err(self.leave(&round, lane, (assembly, last), ends)?);
        }
        let cut = rows >= most;
        if snapshot {
            self.end(session, true).await?;
        } else {
            // rows may have been cleaned up, or the table emptied, while it was read
            let standing = catalogue::standing(&mut session.conn, &lane.quoted).await?;
            match self.settle(&session.facts, lane, standing.as_ref()).await? {
                Settled::Fine(_) => {}
                Settled::Anew => {
                    if let Some(standing) = &standing {
                        self.empty(session, lane, standing).await?;
                    }
                    return Ok(Visited::More);
                }
                Settled::Absent => return Ok(Visited::Absent),
            }
        }
        let mut place = match &last {
            Some(last) if cut => round.behind(lane, last, false)?,
            _ => round.drained(lane, last.as_ref()),
        };
        if let Some(last) = last.as_ref().filter(|last| last.version > current) {
            // they come again: by then they are no news
            place.known = place.known.max(last.version);
        }
        let moved = place != lane.place;
        lane.place = place;
        if !assembly.is_empty() {
            let batch = assembly.take(0, lane.lane.clone(), lane.offset(), !cut);
            self.send(lane, batch).await?;
        } else if moved && (rows > 0 || lane.is_quiet_for(QUIET_INTERVAL)) {
            self.mark(lane, MarkKind::Heartbeat).await?;
        }
        self.status.source.hear();
        self.status.source.see_event(if cut { now_us() } else { 0 });
        Ok(if cut { Visited::More } else { Visited::Drained })
    }

    /// Goes behind the last row that was taken of a result whose rest is left. Without SNAPSHOT only once the next round has found that
    /// everything was there.
    fn leave(&self, round: &Round, lane: &mut TrackedLane, (mut assembly, last): (Assembly, &Last), ends: bool) -> Result<Fault, Fault> {
        let behind = round.behind(lane, last, ends)?;
        if round.snapshot {
            lane.place = behind;
        } else {
            lane.place = round.held(lane, last);
            lane.unproven = Some(behind);
        }
        self.status.source.hear();
        self.status.source.see_event(now_us());
        let batch = (!assembly.is_empty()).then(|| Box::new(assembly.take(0, lane.lane.clone(), lane.offset(), ends)));
        Ok(Fault::Left(batch))
    }

    /// Adds a row to the batch, unless its context is one to leave out.
    fn push(&self, round: &Round, assembly: &mut Assembly, row: &Last) -> Result<(), Fault> {
        let cells = &row.cells;
        let context = cells.bytes(4)?;
        if context.is_some_and(|context| self.settings.ignore_context.iter().any(|ignored| ignored == context)) {
            self.status.source.skipped.add(1);
            return Ok(());
        }
        let creation = cells.number(1)?;
        let operation = *cells.some_text(2)?.as_bytes().first().ok_or_else(unexpected)?;
        let flags = round.insides.len();
        let key = cells.slice(TRACKED + flags, round.table.key_width())?;
        // a row that was deleted since its change; and one that is there although the server says that it was deleted, which old servers do
        let live = round.tracking_only || cells.0.get(round.live_at).is_some_and(|cell| !value::is_null(cell));
        let change = match operation {
            b'D' if round.tracking_only || !live => Operation::Delete,
            _ if !live && round.snapshot => return Err(hidden(&round.table.quoted)),
            _ if !live => Operation::Delete,
            b'I' => {
                let inside = |(number, inside): (usize, &Inside)| creation == Some(inside.version) && round.is_up_to(cells, number);
                let known = creation.is_some_and(|creation| round.known.is_none_or(|known| creation <= known));
                let had = known || round.insides.iter().enumerate().any(inside);
                if had { Operation::Update } else { Operation::Insert }
            }
            b'U' | b'D' => Operation::Update,
            _ => return Err(unexpected()),
        };
        let code = match change {
            Operation::Delete => 2,
            Operation::Insert => 1,
            _ => 3,
        };
        let tracked = Tracked {
            version: row.version,
            creation,
            operation,
            code,
            mask: cells.bytes(3)?,
            context,
            tracks_columns: round.table.tracks_columns,
        };
        let image = if change == Operation::Delete || round.tracking_only {
            Row::Key(key)
        } else {
            Row::Whole(cells.0.get(TRACKED + flags + round.table.key_width()..).ok_or_else(unexpected)?)
        };
        assembly.push(change, &image, row.version, Some(&tracked))
    }
}

/// A row that was inserted or updated is not there at the same instant.
fn hidden(table: &str) -> Fault {
    Fault::Transient(Error::new(ErrorKind::Source, format!("{table} has a change of a row that the account does not see")).remedy(
        "Look for row-level security: a policy that hides rows has to let the account see all of them. Or write `record: tracking-only` at \
             the source.",
    ))
}

impl Round {
    fn new(table: Arc<TrackedTable>, lane: &TrackedLane, current: i64, snapshot: bool, tracking_only: bool) -> Self {
        let insides = lane.insides();
        let first = table.key.first().copied().unwrap_or_default();
        let before: usize = table.columns.iter().take(first).map(super::column::Column::width).sum();
        let live_at = TRACKED + insides.len() + table.key_width() + before;
        // as it is before the first row: what this round delivers moves it
        let known = lane.known();
        Self { table, insides, current, snapshot, tracking_only, live_at, known }
    }

    /// `None` where a place has no key of the table.
    fn query(&self, lane: &TrackedLane, most: u64) -> Option<(String, Vec<Parameter>)> {
        let mut parameters = vec![Parameter::Integer(lane.place.version), Parameter::Integer(most.cast_signed())];
        if let Some(inside) = &lane.place.inside {
            parameters.push(Parameter::Integer(inside.version));
            Visitor::parts(&self.table, &inside.key, &mut parameters)?;
        }
        for inside in &self.insides {
            Visitor::parts(&self.table, &inside.key, &mut parameters)?;
        }
        Some((sql::changes(&self.table, self.tracking_only, lane.place.inside.is_some(), self.insides.len()), parameters))
    }

    /// Whether a row's key is up to that of a place inside of a version.
    fn is_up_to(&self, cells: &Cells, number: usize) -> bool {
        cells.0.get(TRACKED + number).and_then(value::integer) == Some(1)
    }

    fn last(&self, cells: Cells) -> Result<Last, Fault> {
        let version = cells.some_number(0)?;
        let ahead =
            |(number, inside): (usize, &Inside)| version < inside.version || (version == inside.version && self.is_up_to(&cells, number));
        let ahead = self.insides.iter().enumerate().map(ahead).collect();
        Ok(Last { version, ahead, cells })
    }

    fn ahead(&self, lane: &TrackedLane, last: Option<&Last>) -> Arc<Ahead> {
        let inside = match last {
            Some(last) => self.insides.iter().zip(&last.ahead).filter(|(_, ahead)| **ahead).map(|(inside, _)| inside.clone()).collect(),
            None => self.insides.iter().filter(|inside| inside.version > self.current).cloned().collect(),
        };
        let copied = lane.place.ahead.as_ref().map_or_else(|| lane.sinks.copied.clone(), |ahead| ahead.copied.clone());
        Arc::new(Ahead { inside, copied })
    }

    /// The place behind a row; `ends` = its version has no further rows.
    fn behind(&self, lane: &TrackedLane, last: &Last, ends: bool) -> Result<CtPlace, Fault> {
        let mut place = CtPlace { ahead: Some(self.ahead(lane, Some(last))), inside: None, ..lane.place.clone() };
        if last.version > self.current {
            // what is committed since the round began is asked for again
            place.version = place.version.max(self.current);
        } else if ends {
            place.version = last.version;
        } else {
            let cells = last.cells.slice(TRACKED + self.insides.len(), self.table.key_width())?;
            place.version = last.version - 1;
            place.inside = Some(Inside { version: last.version, key: self.table.key_text(cells)? });
        }
        Ok(place)
    }

    /// The place as it was, for rows that may come again: by then they are no news.
    fn held(&self, lane: &TrackedLane, last: &Last) -> CtPlace {
        debug_assert!(!self.snapshot, "a round under SNAPSHOT moves the place");
        let known = lane.place.known.max(last.version);
        CtPlace { ahead: Some(self.ahead(lane, Some(last))), known, ..lane.place.clone() }
    }

    /// The place when nothing is left.
    fn drained(&self, lane: &TrackedLane, last: Option<&Last>) -> CtPlace {
        let version = lane.place.version.max(self.current);
        CtPlace { ahead: Some(self.ahead(lane, last)), inside: None, version, ..lane.place.clone() }
    }
}
