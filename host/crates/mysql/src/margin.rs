//! How near the sinks' places are to what the server removes of its log, told before a place is lost.
//!
//! Servers remove a binlog file when its last event is older than they keep binlogs, and only whole files, oldest first; the newest one
//! they keep. The file behind begins when a file got its last event.

use std::{sync::Arc, time::Duration};

use mysql_async::Conn;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    connection::{Connector, Server},
    ledger::file_number,
    logging,
    position::BinlogPosition,
    precheck::Faults,
    scout::Scout,
    start::{self, FIRST},
};
use sluicegate_model::{Error, ErrorKind, Result, limits::MARGIN_INTERVAL};
use sluicegate_source::SchemaStore;
use sluicegate_status::{LogMargin, Status};

/// Less than this is short, however long binlogs are kept.
const SHORT: Duration = Duration::from_secs(3600);
/// When to look again where that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// What is left of the log before the oldest place.
#[derive(Debug)]
pub(super) struct Margin {
    numbers: LogMargin,
    /// The file with the oldest place.
    file: String,
    /// The server still writes to it.
    newest: bool,
    /// How to keep binlogs twice as long.
    remedy: String,
}

impl Margin {
    /// What is to be told, if the place may be lost soon.
    fn told(&self) -> Option<String> {
        let (left, kept) = (self.numbers.left?, self.numbers.kept?);
        if self.newest || left >= SHORT.max(kept / 4) {
            return None;
        }
        let when = if left.is_zero() { "at any time".to_owned() } else { format!("in {}", about(left)) };
        Some(format!("the oldest place of the sinks is in {}, which the server may remove {when}", self.file))
    }

    fn remedy(&self) -> String {
        format!("Let the sinks catch up before that: a place whose file is gone is lost. Or keep binlogs longer: {}", self.remedy)
    }

    /// Says so in a check.
    pub(super) fn warn_if_short(&self, faults: &mut Faults) {
        if let Some(told) = self.told() {
            faults.warn(told, self.remedy());
        }
    }
}

/// For people.
fn about(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7200 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// Looks where the oldest of the places is in the log; `None` where they are of another server's log, or no file of this one.
pub(super) async fn look(
    connector: &Connector,
    conn: &mut Conn,
    server: &Server,
    heartbeat: Duration,
    places: &[BinlogPosition],
) -> Result<Option<Margin>> {
    let here = places.iter().filter(|place| place.has_file() && !place.is_of_another_server(server.identity.as_deref()));
    let Some(oldest) = here.min_by_key(|place| file_number(&place.file)) else { return Ok(None) };
    let files = start::log_files(connector, conn).await?;
    let kept = logging::kept_seconds(connector, conn).await?;
    let kept = (kept > 0).then(|| Duration::from_secs(kept));
    let at = match files.iter().position(|file| *file.name == *oldest.file) {
        Some(at) => at,
        // it is gone, or the log is another one: that is found out where the place is needed
        None => return Ok(None),
    };
    let left = match (kept, files.get(at + 1)) {
        (Some(kept), Some(behind)) => {
            let now: u64 = connector.one(conn, "SELECT UNIX_TIMESTAMP()").await?;
            let written = begin_of(connector, server, heartbeat, &behind.name).await?;
            Some(Duration::from_secs((written + kept.as_secs()).saturating_sub(now)))
        }
        (kept, _) => kept,
    };
    let remedy = logging::how_to_keep(connector, conn, kept.unwrap_or_default().as_secs() * 2).await?;
    let numbers = LogMargin { files: at as u64, left, kept };
    Ok(Some(Margin { numbers, file: oldest.file.to_string(), newest: at + 1 == files.len(), remedy }))
}

/// When the server began a file, in seconds since 1970.
pub(super) async fn begin_of(connector: &Connector, server: &Server, heartbeat: Duration, file: &str) -> Result<u64> {
    let mut scout = Scout::open(connector, server, heartbeat, file, FIRST).await?;
    let first = scout.next(connector).await?;
    let first = first.ok_or_else(|| Error::new(ErrorKind::Connection, format!("{file} of {} has no event yet", connector.address())))?;
    Ok(u64::from(first.event.header().timestamp()))
}

/// Begins to look again and again, until the guard is dropped.
pub(super) fn watch(connector: &Connector, heartbeat: Duration, store: &Arc<dyn SchemaStore>, status: &Arc<Status>) -> DropGuard {
    let watcher = Watcher { connector: connector.clone(), heartbeat, store: store.clone(), status: status.clone(), short: false };
    let stop = CancellationToken::new();
    let over = stop.clone();
    tokio::spawn(async move { over.run_until_cancelled(watcher.go_on()).await });
    stop.drop_guard()
}

struct Watcher {
    connector: Connector,
    heartbeat: Duration,
    store: Arc<dyn SchemaStore>,
    status: Arc<Status>,
    /// Whether it was told of.
    short: bool,
}

impl Watcher {
    async fn go_on(mut self) {
        loop {
            let found = self.margin().await;
            let again = if found.is_ok() { MARGIN_INTERVAL } else { AFTER_FAILURE };
            // the stream tells of a server that cannot be reached
            let margin = found.unwrap_or_else(|error| {
                tracing::debug!(error = error.chain(), "cannot find out how long the server keeps the sinks' places");
                None
            });
            self.status.source.log_margin.note(margin.as_ref().map(|margin| margin.numbers));
            if let Some(margin) = margin {
                self.tell(&margin);
            }
            sleep(again).await;
        }
    }

    fn tell(&mut self, margin: &Margin) {
        let told = margin.told();
        match &told {
            Some(told) if !self.short => tracing::warn!(remedy = margin.remedy(), "{told}"),
            None if self.short => tracing::info!(file = margin.file, "the server keeps the sinks' places for long enough again"),
            _ => {}
        }
        self.short = told.is_some();
    }

    async fn margin(&self) -> Result<Option<Margin>> {
        let store = self.store.clone();
        let durable = tokio::task::spawn_blocking(move || store.durable()).await;
        let durable =
            durable.map_err(|e| Error::new(ErrorKind::Internal, "the thread that reads the checkpoint panicked").caused_by(e))??;
        let places = durable.iter().map(super::place_of).collect::<Result<Vec<_>>>()?;
        if places.is_empty() {
            return Ok(None);
        }
        let mut conn = self.connector.connect().await?;
        let server = self.connector.identify(&mut conn).await?;
        let margin = look(&self.connector, &mut conn, &server, self.heartbeat, &places).await?;
        let _ = self.connector.within("leave", conn.disconnect()).await;
        Ok(margin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_of_before_its_file_may_be_removed() {
        let told = |left: u64, kept: u64, newest: bool| {
            let numbers = LogMargin { files: 0, left: Some(Duration::from_secs(left)), kept: Some(Duration::from_secs(kept)) };
            Margin { numbers, file: "binlog.000007".to_owned(), newest, remedy: String::new() }.told()
        };
        let week = 7 * 86_400;
        assert_eq!(told(week / 4, week, false), None);
        let told_of = |when: &str| Some(format!("the oldest place of the sinks is in binlog.000007, which the server may remove {when}"));
        assert_eq!(told(week / 4 - 1, week, false), told_of("in 41 h"));
        assert_eq!(told(3599, 7200, false), told_of("in 59 min"));
        assert_eq!(told(0, week, false), told_of("at any time"));
        // what is written to stays
        assert_eq!(told(60, 60, true), None);
        let never = LogMargin { files: 3, left: None, kept: None };
        assert_eq!(Margin { numbers: never, file: String::new(), newest: false, remedy: String::new() }.told(), None);
    }
}
