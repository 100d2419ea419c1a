//! How fast copies read, over all readers: rows, bytes and statements a second, and the load of the server above which they wait.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use mysql_async::{Row, prelude::Queryable};

use super::{super::position::Flavour, chunk::Session};
use sluicegate_config::Snapshot;
use sluicegate_model::{Error, ErrorKind, Result, limits::COPY_LOAD_INTERVAL};

/// Parts of a second that a chunk takes at the wanted rate, so that the load on the server is even.
const PARTS: u64 = 10;

/// The rates, and what was read.
#[derive(Debug)]
pub struct Throttle {
    rows: Option<u64>,
    bytes: Option<u64>,
    queries: Option<u64>,
    most_threads_running: Option<u64>,
    most_replication_lag: Option<Duration>,
    /// When the next statement may begin.
    next: Mutex<Option<Instant>>,
    /// When the server's load was asked for last, and found low enough.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl Throttle {
    /// As the settings say.
    pub fn new(settings: &Snapshot) -> Self {
        Self {
            rows: settings.rows_per_second,
            bytes: settings.bytes_per_second,
            queries: settings.queries_per_second,
            most_threads_running: settings.most_threads_running,
            most_replication_lag: settings.most_replication_lag,
            next: Mutex::new(None),
            asked: tokio::sync::Mutex::new(None),
        }
    }

    /// Rows that one statement should read, given the bytes of a row.
    pub fn rows_at_once(&self, row_bytes: usize) -> usize {
        let part = |rate: u64, size: u64| usize::try_from(rate / PARTS / size.max(1)).unwrap_or(usize::MAX).max(1);
        let rows = self.rows.map_or(usize::MAX, |rate| part(rate, 1));
        let bytes = self.bytes.map_or(usize::MAX, |rate| part(rate, row_bytes as u64));
        rows.min(bytes)
    }

    /// Waits until a statement may read more, as far as the rates go.
    pub async fn pace(&self) {
        while let Some(next) = self.next().filter(|next| *next > Instant::now()) {
            tokio::time::sleep_until(next.into()).await;
        }
        self.charge(self.queries.map(|rate| Duration::from_secs_f64(1.0 / rate as f64)).unwrap_or_default());
    }

    /// Notes what was read.
    pub fn read(&self, rows: usize, bytes: usize) {
        let time = |read: usize, rate: Option<u64>| rate.map(|rate| Duration::from_secs_f64(read as f64 / rate.max(1) as f64));
        let [rows, bytes] = [time(rows, self.rows), time(bytes, self.bytes)].map(Option::unwrap_or_default);
        self.charge(rows.max(bytes));
    }

    /// Lets the next statement begin so much later.
    fn charge(&self, time: Duration) {
        if !time.is_zero() {
            let now = Instant::now();
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next = Some(next.map_or(now, |next| next.max(now)) + time);
        }
    }

    fn next(&self) -> Option<Instant> {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server's load is looked at.
    pub fn looks_at_load(&self) -> bool {
        self.most_threads_running.is_some() || self.most_replication_lag.is_some()
    }

    /// Waits while the server is loaded with more than it may be. `tell` is told why, and that it is over.
    pub async fn wait_for_load(&self, session: &mut Session, mut tell: impl FnMut(Option<&str>)) -> Result<()> {
        if !self.looks_at_load() {
            return Ok(());
        }
        // one reader asks for all of them
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < COPY_LOAD_INTERVAL) {
            return Ok(());
        }
        let mut waits = false;
        while let Some(why) = self.overload(session).await? {
            if !waits {
                tracing::info!(server = session.connector.address(), why, "the copy of tables waits for the server's load");
            }
            waits = true;
            tell(Some(&why));
            tokio::time::sleep(COPY_LOAD_INTERVAL).await;
        }
        *asked = Some(Instant::now());
        if waits {
            tracing::info!(server = session.connector.address(), "the copy of tables goes on");
            tell(None);
        }
        Ok(())
    }

    /// What the server is loaded with more than it may be.
    async fn overload(&self, session: &mut Session) -> Result<Option<String>> {
        if let Some(most) = self.most_threads_running {
            let status = session.conn.query_first("SHOW GLOBAL STATUS LIKE 'Threads_running'");
            let status: Option<(String, u64)> = session.connector.within("query", status).await?;
            let running = status.map(|(_, running)| running).unwrap_or_default();
            if running > most {
                return Ok(Some(format!("{running} threads run a statement, more than {most}")));
            }
        }
        if let Some(most) = self.most_replication_lag
            && let Some(lag) = replication_lag(session).await?.filter(|lag| *lag > most)
        {
            return Ok(Some(format!("the server is {} s behind its source, more than {most:?}", lag.as_secs())));
        }
        Ok(None)
    }
}

/// How far the server is behind its sources; `None` for one that is no replica, or that has stopped to be one.
pub async fn replication_lag(session: &mut Session) -> Result<Option<Duration>> {
    let mysql = session.server.flavour == Flavour::MySql;
    let (statement, column) = match mysql {
        true if session.conn.server_version() >= (8, 0, 22) => ("SHOW REPLICA STATUS", "Seconds_Behind_Source"),
        true => ("SHOW SLAVE STATUS", "Seconds_Behind_Master"),
        false => ("SHOW ALL SLAVES STATUS", "Seconds_Behind_Master"),
    };
    let rows: Vec<Row> = match session.connector.within("ask for the replication lag of", session.conn.query(statement)).await {
        // the server's remedy is that for the stream's own grants
        Err(error) if error.kind() == ErrorKind::Precheck => {
            let grant = if mysql { "REPLICATION CLIENT" } else { "SLAVE MONITOR (before MariaDB 10.5: REPLICATION CLIENT)" };
            return Err(Error::new(ErrorKind::Precheck, "the account may not ask for the replication lag").caused_by(error).remedy(
                format!("Grant {grant} ON *.* to the account, or take replication_lag out of the source's snapshot.pause_above."),
            ));
        }
        rows => rows?,
    };
    let lag = |mut row: Row| row.take_opt::<Option<u64>, _>(column).and_then(std::result::Result::ok).flatten();
    Ok(rows.into_iter().filter_map(lag).max().map(Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_reads_what_the_rates_allow_in_a_tenth_of_a_second() {
        let settings = Snapshot { rows_per_second: Some(1000), bytes_per_second: Some(50_000), ..Snapshot::default() };
        let throttle = Throttle::new(&settings);
        assert_eq!([10, 100, 1_000_000].map(|bytes| throttle.rows_at_once(bytes)), [100, 50, 1]);
        assert_eq!(Throttle::new(&Snapshot::default()).rows_at_once(1), usize::MAX);
    }

    #[test]
    fn what_was_read_puts_the_next_statement_off_by_the_slowest_rate() {
        let begin = Instant::now();
        let throttle = Throttle::new(&Snapshot { rows_per_second: Some(1000), bytes_per_second: Some(1000), ..Snapshot::default() });
        throttle.read(2000, 9000);
        let next = throttle.next().unwrap();
        assert!(next >= begin + Duration::from_secs(9) && next < Instant::now() + Duration::from_secs(10));
        throttle.read(2000, 1000);
        assert!(throttle.next().unwrap() >= next + Duration::from_secs(2));
    }
}
