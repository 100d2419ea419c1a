//! The copy of a table: its rows in the order of its key, chunk by chunk, while its changes go on beside it. The version behind which
//! changes are read was the current one before the first chunk, so a row is at least as new as the place, and what a chunk misses comes
//! as a change.

use std::{sync::Arc, time::Duration};

use futures_util::TryStreamExt;

use super::{
    assembly::{Assembly, Row},
    catalogue,
    connection::Conn,
    fault::Fault,
    place::{Ahead, Copied, CtPlace, KeyText},
    row::{Cells, unexpected},
    sql,
    table::TrackedTable,
    tracked_lane::TrackedLane,
    value::{self, Parameter},
    visit::{Session, Settled, Visited, Visitor},
};
use sluicegate_model::{
    change::{MarkKind, Offset, Operation},
    limits::COPY_CHUNK_ROWS,
};
use sluicegate_status::CopyState;

/// What a chunk goes by.
struct Chunk {
    table: Arc<TrackedTable>,
    /// Keys at which sinks stand.
    keys: Vec<KeyText>,
    tracking_only: bool,
}

/// The last row that was read.
struct Last {
    /// Which keys of sinks it has not passed.
    ahead: Vec<bool>,
    cells: Cells,
}

impl Visitor {
    /// Reads rows, up to as many as a visit may have.
    pub(super) async fn copy(&self, session: &mut Session, lane: &mut TrackedLane) -> Result<Visited, Fault> {
        let most = self.settings.batches_per_visit.map_or(u64::MAX, |batches| batches.saturating_mul(self.limits.batch_changes as u64));
        let mut rows = 0;
        while rows < most && !lane.place.is_copied() {
            let chunk = most.saturating_sub(rows).min(COPY_CHUNK_ROWS as u64).min(self.settings.fetch_rows);
            match self.chunk(session, lane, chunk).await? {
                Some(0) if !lane.place.is_copied() => return Ok(Visited::More),
                Some(read) => rows += read,
                None => return Ok(Visited::Absent),
            }
            if self.settings.batches_per_visit.is_none() {
                // changes are due now and then
                break;
            }
        }
        Ok(Visited::More)
    }

    /// Reads up to `most` rows; `None` where the table is not there.
    async fn chunk(&self, session: &mut Session, lane: &mut TrackedLane, most: u64) -> Result<Option<u64>, Fault> {
        self.shared.pace.wait().await;
        let snapshot = self.begin(session).await?;
        let standing = catalogue::standing(&mut session.conn, &lane.quoted).await?;
        let settled = self.settle(&session.facts, lane, standing.as_ref()).await?;
        let (mut current, standing) = match (settled, standing) {
            (Settled::Fine(current), Some(standing)) => (current, standing),
            (Settled::Anew, Some(standing)) => {
                self.empty(session, lane, &standing).await?;
                self.end(session, snapshot).await?;
                return Ok(Some(0));
            }
            _ => {
                self.end(session, snapshot).await?;
                return Ok(None);
            }
        };
        let table = self.table(&mut session.conn, lane, &standing).await?;
        lane.place.known = lane.place.known.max(current);
        if !lane.said_copy {
            lane.said_copy = true;
            self.mark(lane, MarkKind::Copy { table: table.delivered.clone(), ends: false }).await?;
        }
        let chunk = Chunk { table, keys: lane.sinks.copied.clone(), tracking_only: self.settings.tracking_only };
        let Some((text, parameters)) = chunk.query(lane, most) else {
            self.give_up(session, lane, snapshot).await?;
            return Ok(Some(0));
        };
        let mut assembly = Assembly::new(chunk.table.clone(), (self.limits.batch_changes, self.limits.batch_bytes), self.limits.row_bytes);
        let (mut last, mut rows): (Option<Last>, u64) = (None, 0);
        {
            let mut answer = session.conn.stream(&text, &parameters).await?;
            let address = self.connector.address();
            while let Some(item) = answer.try_next().await.map_err(|error| Conn::explain(address, error))? {
                let Some(row) = item.into_row() else { continue };
                let next = chunk.last(Cells::from(row));
                if let Some(last) = &last
                    && !assembly.is_empty()
                    && (assembly.is_full() || last.ahead != next.ahead)
                {
                    lane.place = chunk.behind(lane, last)?;
                    let batch = assembly.take(0, lane.lane.clone(), lane.offset(), true);
                    lane.copied_rows += u64::from(batch.taken);
                    self.send_soon(lane, batch).await?;
                }
                let values = next.cells.0.get(chunk.values_at()..).ok_or_else(unexpected)?;
                assembly.push(Operation::Snapshot, &Row::Whole(values), lane.place.version, None)?;
                rows += 1;
                last = Some(next);
            }
        }
        let done = rows < most;
        if snapshot {
            self.end(session, true).await?;
        } else {
            // a table that was emptied while it was read begins anew; what was inserted while it was read may have been read
            let standing = catalogue::standing(&mut session.conn, &lane.quoted).await?;
            match self.settle(&session.facts, lane, standing.as_ref()).await? {
                Settled::Fine(now) => current = now,
                Settled::Anew => {
                    if let Some(standing) = &standing {
                        self.empty(session, lane, standing).await?;
                    }
                    return Ok(Some(0));
                }
                Settled::Absent => return Ok(None),
            }
        }
        if let Some(last) = &last {
            lane.place = chunk.behind(lane, last)?;
        }
        lane.place.known = lane.place.known.max(current);
        if done {
            lane.place.copied = Copied::All;
        }
        if !assembly.is_empty() {
            let batch = assembly.take(0, lane.lane.clone(), Offset::new(lane.place.clone()), true);
            lane.copied_rows += u64::from(batch.taken);
            self.send(lane, batch).await?;
        }
        if done {
            lane.sinks.copied.clear();
            self.mark(lane, MarkKind::Copy { table: chunk.table.delivered.clone(), ends: true }).await?;
            tracing::info!(table = %lane.name, rows = lane.copied_rows, "the table is copied");
        }
        self.note_copy(lane, if done { CopyState::Done } else { CopyState::Copying });
        if let Some(rate) = self.settings.copy_rows_per_second {
            tokio::time::sleep(Duration::from_secs(rows) / u32::try_from(rate).unwrap_or(u32::MAX).max(1)).await;
        }
        Ok(Some(rows))
    }
}

impl Chunk {
    /// `None` where a place has no key of the table.
    fn query(&self, lane: &TrackedLane, most: u64) -> Option<(String, Vec<Parameter>)> {
        let mut parameters = vec![Parameter::Integer(most.cast_signed())];
        let after = match &lane.place.copied {
            Copied::Key(key) => {
                Visitor::parts(&self.table, key, &mut parameters)?;
                true
            }
            Copied::Nothing | Copied::All => false,
        };
        for key in &self.keys {
            Visitor::parts(&self.table, key, &mut parameters)?;
        }
        Some((sql::rows(&self.table, self.tracking_only, after, self.keys.len()), parameters))
    }

    /// Where in the answer the values begin that are delivered.
    fn values_at(&self) -> usize {
        self.keys.len() + if self.tracking_only { 0 } else { self.table.key_width() }
    }

    fn last(&self, cells: Cells) -> Last {
        let ahead = (0..self.keys.len()).map(|number| cells.0.get(number).and_then(value::integer) == Some(1)).collect();
        Last { ahead, cells }
    }

    /// The place behind a row.
    fn behind(&self, lane: &TrackedLane, last: &Last) -> Result<CtPlace, Fault> {
        let cells = last.cells.slice(self.keys.len(), self.table.key_width())?;
        let key = self.table.key_text(cells)?;
        let ahead = Ahead {
            inside: lane.place.ahead.as_ref().map_or_else(|| lane.sinks.inside.clone(), |ahead| ahead.inside.clone()),
            copied: self.keys.iter().zip(&last.ahead).filter(|(_, ahead)| **ahead).map(|(key, _)| key.clone()).collect(),
        };
        Ok(CtPlace { copied: Copied::Key(key), ahead: Some(Arc::new(ahead)), ..lane.place.clone() })
    }
}
