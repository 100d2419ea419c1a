//! A table without a key is read whole, in one view, while the stream waits.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tokio::sync::oneshot;

use super::{
    chunk::{Part, is_of_altered_table, slow},
    command::{Command, Recorded, Rows, View},
    filling::Filling,
    lanes::TableLane,
    place::{CopyPlace, Reached},
    reader::{End, Halt, Progress, Reader},
    table::{self, Copied, Reading},
};
use sluicegate_model::{change::TableRows, limits::COPY_SELECT_TIME, now_us};

/// After how long it is told that no view can be used.
const SLOW: Duration = Duration::from_secs(30);

/// Where the rows of a view go.
struct Target<'a> {
    ticket: u64,
    view: View,
    time_us: i64,
    server_id: u32,
    table: &'a Copied,
}

impl Reader {
    /// Reads a table that has no key. It cannot be continued: what a run left unfinished begins again.
    pub(super) async fn whole(
        &mut self,
        lane: &TableLane,
        (copied, why): (&Copied, &String),
        reading: &Reading,
        progress: &mut Progress,
    ) -> Result<End, Halt> {
        if !copied.transactional {
            return Err(table::without_view(&lane.name, why).into());
        }
        self.may_read(lane).await?;
        let session = self.session()?;
        let (place, server) = (session.log_end().await?, session.server.identity.clone());
        let (answer, reached) = oneshot::channel();
        self.send(Command::Reach { place, server, answer }).await?;
        reached.await.map_err(|_| Halt::Stop)?;
        // closed when this ends in any way: the stream goes on then
        let (_held, reader) = oneshot::channel();
        let (answer, recorded) = oneshot::channel();
        self.send(Command::Hold { table: lane.name.clone(), reader, answer }).await?;
        let Recorded { ticket, delivered } = recorded.await.map_err(|_| Halt::Stop)?;
        let session = self.session()?;
        if delivered.is_of_another_server(session.server.identity.as_deref()) {
            self.session = None;
            return Ok(End::Again);
        }
        let Some(view) = session.open_whole(copied, reading, &delivered).await? else { return Ok(End::Again) };
        let (time_us, server_id) = (now_us(), session.server_id().await?);
        let (answer, arrived) = oneshot::channel();
        self.send(Command::GoTo { ticket, view: view.clone(), answer }).await?;
        let changed = match arrived.await.map_err(|_| Halt::Stop)? {
            Ok(changed) => changed,
            Err(why) => {
                tracing::debug!(table = %lane.name, ?why, "another view is opened");
                self.session()?.close_view().await?;
                let since = *progress.tries_since.get_or_insert_with(Instant::now);
                if since.elapsed() > SLOW {
                    progress.tries_since = Some(Instant::now());
                    tracing::warn!(
                        table = %lane.name,
                        "the table has no key and changes all the time, so that no view of it can be told apart from its changes: give it a primary \
                         key, or set the source's snapshot.share_locks to true to lock it for a moment"
                    );
                }
                return Ok(End::Again);
            }
        };
        if changed || progress.broken || progress.generation > lane.generation {
            self.empty(copied, progress).await?;
        }
        progress.broken = true;
        let target = Target { ticket, view, time_us, server_id, table: copied };
        if !self.rows(lane, &target, reading, progress).await? {
            return Ok(End::Again);
        }
        progress.broken = false;
        progress.reached = Reached::All;
        self.session()?.close_view().await?;
        Ok(End::Done)
    }

    /// Reads and delivers the rows; `false` when another view is needed.
    async fn rows(&mut self, lane: &TableLane, target: &Target<'_>, reading: &Reading, progress: &mut Progress) -> Result<bool, Halt> {
        let (shared, copied) = (self.shared.clone(), target.table);
        let mut session = self.session.take().ok_or(Halt::Stop)?;
        let mut result = match session.conn.exec_iter(copied.select_all(reading), ()).await {
            Ok(result) => result,
            Err(mysql_async::Error::Server(error)) if is_of_altered_table(error.code) => return Ok(false),
            Err(error) => return Err(session.connector.explain(&format!("read {} on", lane.name), error).into()),
        };
        let mut filling = Filling::new(copied, &shared.limits);
        loop {
            let row = match tokio::time::timeout(COPY_SELECT_TIME, result.next()).await {
                Ok(Ok(row)) => row,
                Ok(Err(error)) => return Err(session.connector.explain(&format!("read {} on", lane.name), error).into()),
                Err(_) => return Err(slow(&session.connector, &lane.name).into()),
            };
            let last = row.is_none();
            if let Some(row) = row {
                filling.push(&row)?;
            }
            if !filling.is_empty() && (last || filling.is_full()) {
                let (size, rows) = (filling.bytes(), filling.take());
                let count = rows.len();
                if !self.deliver(lane, target, Some(rows), progress).await? {
                    return Ok(false);
                }
                shared.throttle.read(count, size);
                shared.throttle.pace().await;
            }
            if last {
                break;
            }
        }
        drop(result);
        self.session = Some(session);
        self.deliver(lane, target, None, progress).await
    }

    /// Has rows delivered, or the end told.
    async fn deliver(
        &mut self,
        lane: &TableLane,
        target: &Target<'_>,
        rows: Option<TableRows>,
        progress: &mut Progress,
    ) -> Result<bool, Halt> {
        let begins = (!progress.begun).then(|| progress.place(Reached::Nothing));
        progress.rows += rows.as_ref().map_or(0, |rows| rows.len() as u64);
        let done = rows.is_none();
        let place = CopyPlace { ahead: None, ..progress.place(if done { Reached::All } else { Reached::Some }) };
        let (answer, delivered) = oneshot::channel();
        let rows = Rows {
            ticket: target.ticket,
            lane: progress.lane.clone(),
            table: target.table.plan.table.clone(),
            part: rows.map(|rows| Part { rows, last_key: None }),
            begins,
            place,
            view: target.view.clone(),
            time_us: target.time_us,
            server_id: target.server_id,
            answer,
        };
        self.send(Command::Rows(Box::new(rows))).await?;
        if !delivered.await.map_err(|_| Halt::Stop)? {
            return Ok(false);
        }
        progress.begun = true;
        let rows = progress.rows;
        self.update(lane, |numbers| numbers.advance(rows, done));
        Ok(true)
    }
}
