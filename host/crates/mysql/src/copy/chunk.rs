//! One chunk of a table: read in one view, with the place that the stream has to reach before it is delivered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mysql_async::{Conn, Row, prelude::Queryable};

use super::{
    super::{
        connection::{Connector, Server},
        ledger,
        position::{BinlogPosition, Flavour},
        start,
    },
    command::View,
    filling::Filling,
    key::Key,
    place::KeyText,
    table::{Copied, Range, Reading},
};
use crate::gtid::GtidSet;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{TableName, TableRows},
    limits::{COPY_SELECT_TIME, Limits},
    now_us,
};

/// How long to wait before what a query sees is asked for again.
const AGAIN: Duration = Duration::from_millis(10);
/// How long that may go on before it is told.
const SLOW: Duration = Duration::from_secs(30);
/// How long a table may be waited for that has to be locked.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// MySQL's and MariaDB's error for a table that was altered after the view was opened.
const DEFINITION_CHANGED: u16 = 1412;
/// Their errors for a table, a column or an index that is not there.
const NOT_THERE: [u16; 4] = [1146, 1054, 1176, 1051];

/// How to reach the server, and what it is.
pub struct Session {
    /// How to reach it.
    pub connector: Connector,
    /// The connection.
    pub conn: Conn,
    /// The server.
    pub server: Server,
}

/// How much is read at once.
#[derive(Clone, Copy, Debug)]
pub struct Portion<'a> {
    /// Bytes of rows, after which a chunk ends.
    pub bytes: usize,
    /// Of the batches that its rows stand in.
    pub limits: &'a Limits,
}

/// Rows in the order of their key.
#[derive(Debug)]
pub struct Chunk {
    /// The rows, in parts that are as large as a batch.
    pub parts: Vec<Part>,
    /// Whether there are no rows behind them, up to where they were asked for.
    pub last: bool,
    /// Bytes that the rows take.
    pub bytes: usize,
    /// The end of the log after the view was opened.
    pub high: High,
    /// When the view was opened, microseconds since 1970.
    pub time_us: i64,
    /// The server's own id.
    pub server_id: u32,
}

/// A part of a chunk.
#[derive(Debug)]
pub struct Part {
    /// Its rows.
    pub rows: TableRows,
    /// The key of the last one, where the table has one.
    pub last_key: Option<KeyText>,
}

/// A place that the stream has to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct High {
    /// The log file.
    pub file: String,
    /// The position in it.
    pub position: u64,
    /// MariaDB: the GTIDs there, or further on.
    pub gtids: Option<String>,
}

/// What became of reading a chunk.
pub enum Outcome {
    /// Its rows.
    Read(Box<Chunk>),
    /// The table was altered meanwhile: it has to be described anew.
    Altered,
    /// The server is another one than the stream's.
    Elsewhere,
}

impl Session {
    /// Connects for copies.
    pub async fn open(connector: Connector) -> Result<Self> {
        let mut conn = connector.connect().await?;
        let server = connector.identify(&mut conn).await?;
        let unlimited = match server.flavour {
            Flavour::MySql => "max_execution_time = 0",
            Flavour::MariaDb => "max_statement_time = 0",
        };
        let settings = format!(
            "SET SESSION time_zone = '+00:00', sql_mode = '', net_write_timeout = 3600, {unlimited}, \
             character_set_client = utf8mb4, collation_connection = utf8mb4_general_ci, character_set_results = NULL"
        );
        connector.within("query", conn.query_drop(settings)).await?;
        connector.within("query", conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")).await?;
        Ok(Self { connector, conn, server })
    }

    /// Reads a chunk. `delivered` is what the stream had delivered before it recorded keys.
    pub async fn read(
        &mut self,
        (table, key): (&Copied, &Key),
        range: Range<'_>,
        reading: &Reading,
        delivered: &BinlogPosition,
        portion: Portion<'_>,
    ) -> Result<Outcome> {
        if delivered.is_of_another_server(self.server.identity.as_deref()) {
            return Ok(Outcome::Elsewhere);
        }
        if reading.share_locks {
            // rows of transactions that a query does not see yet are still locked by them: a locking read waits, and sees them then
            self.connector.within("query", self.conn.query_drop("START TRANSACTION")).await?;
        } else {
            self.open_view(delivered).await?;
        }
        let time_us = now_us();
        // what an engine without views, or a locking read, gives may be newer than the view: the log's end after it counts
        let early = if table.transactional && !reading.share_locks { Some(self.log_end().await?) } else { None };
        let read = self.select(table, key, range, reading, portion).await?;
        let Some(Selected { parts, last, bytes }) = read else {
            self.close_view().await?;
            return Ok(Outcome::Altered);
        };
        let high = match early {
            Some(high) => high,
            None => self.log_end().await?,
        };
        // while the transaction is open nobody can alter the table, so the catalogue says what the rows were read by
        let unchanged = table.is_unchanged(&self.connector, &mut self.conn).await?;
        let server_id = self.server_id().await?;
        self.close_view().await?;
        Ok(if unchanged { Outcome::Read(Box::new(Chunk { parts, last, bytes, high, time_us, server_id })) } else { Outcome::Altered })
    }

    /// Opens a view in which everything is that was delivered, to read all of a table; `None` when that has changed meanwhile. Up to
    /// the end of the transaction nobody can alter the table.
    pub async fn open_whole(&mut self, table: &Copied, reading: &Reading, delivered: &BinlogPosition) -> Result<Option<View>> {
        let mut lock = match reading.lock_table {
            true => Some(self.lock(table).await?),
            false => None,
        };
        let view = match &lock {
            // while it is locked, no transaction of it is under way
            Some(_) => {
                self.start_view().await?;
                View { place: self.log_end().await?, has: None }
            }
            None => {
                let Opened { at, has } = self.open_view(delivered).await?;
                match at {
                    Some((file, position)) => {
                        let gtids = start::mariadb_gtids(&self.connector, &mut self.conn, &file, position).await?;
                        View { place: High { file, position, gtids: Some(gtids) }, has: None }
                    }
                    None => View { place: self.log_end().await?, has },
                }
            }
        };
        // the first look at the table keeps it from being altered
        let look = self.conn.query_drop(format!("SELECT 1 FROM {} LIMIT 1", table.quoted())).await;
        if let Some(mut lock) = lock.take() {
            self.connector.within("query", lock.query_drop("UNLOCK TABLES")).await?;
        }
        let unchanged = match look {
            Ok(()) => table.is_unchanged(&self.connector, &mut self.conn).await?,
            Err(mysql_async::Error::Server(error)) if is_of_altered_table(error.code) => false,
            Err(error) => return Err(self.connector.explain("query", error)),
        };
        if !unchanged {
            self.close_view().await?;
        }
        Ok(unchanged.then_some(view))
    }

    /// A connection that holds the table against changes.
    async fn lock(&self, table: &Copied) -> Result<Conn> {
        let mut conn = self.connector.connect().await?;
        let wait = format!("SET SESSION lock_wait_timeout = {}", LOCK_WAIT.as_secs());
        self.connector.within("query", conn.query_drop(wait)).await?;
        let lock = conn.query_drop(format!("LOCK TABLES {} READ", table.quoted())).await;
        lock.map_err(|error| self.connector.explain(&format!("lock {} on", table.plan.table.name), error))?;
        Ok(conn)
    }

    /// The server's own id.
    pub async fn server_id(&mut self) -> Result<u32> {
        self.connector.one(&mut self.conn, "SELECT @@GLOBAL.server_id").await
    }

    /// How many rows the table has, as the server estimates it.
    pub async fn estimate(&mut self, name: &TableName) -> Result<u64> {
        let query = "SELECT COALESCE(table_rows, 0) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?";
        let rows: Option<u64> = self.connector.within("query", self.conn.exec_first(query, (&name.database, &name.table))).await?;
        Ok(rows.unwrap_or_default())
    }

    /// Whether the table has any such rows.
    pub async fn has_rows(&mut self, (table, key): (&Copied, &Key), range: Range<'_>) -> Result<bool> {
        let query = format!("SELECT EXISTS({})", table.select(key, range, &Reading::default())?);
        let found: Option<u8> = self.connector.within("query", self.conn.query_first(query)).await?;
        Ok(found == Some(1))
    }

    /// Opens a view in which everything is that was delivered. The log is ahead of what a query sees: both servers send a transaction
    /// to replicas before its engine commits it.
    async fn open_view(&mut self, delivered: &BinlogPosition) -> Result<Opened> {
        let begin = Instant::now();
        let mut told = false;
        loop {
            if self.server.flavour == Flavour::MySql {
                if let Some(has) = self.sees(delivered).await? {
                    self.start_view().await?;
                    return Ok(Opened { at: None, has: Some(Arc::new(has)) });
                }
                self.wait(&mut told, begin).await;
                continue;
            }
            self.start_view().await?;
            if let Some(at) = self.view_behind(delivered).await? {
                return Ok(Opened { at: Some(at), has: None });
            }
            self.close_view().await?;
            self.wait(&mut told, begin).await;
        }
    }

    async fn start_view(&mut self) -> Result<()> {
        let open = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
        self.connector.within("query", self.conn.query_drop(open)).await
    }

    async fn wait(&self, told: &mut bool, begin: Instant) {
        if !*told && begin.elapsed() > SLOW {
            *told = true;
            tracing::warn!(
                server = self.connector.address(),
                "the copy of tables waits: queries still do not see a transaction that the log has; look for a replica that does not acknowledge (semi-synchronous replication)"
            );
        }
        tokio::time::sleep(AGAIN).await;
    }

    /// MySQL: what a query sees, if that is all that was delivered.
    async fn sees(&mut self, delivered: &BinlogPosition) -> Result<Option<GtidSet>> {
        let Some(set) = &delivered.gtid_set else { return Err(without_gtids()) };
        let text: String = self.connector.one(&mut self.conn, "SELECT @@GLOBAL.gtid_executed").await?;
        let executed = start::parse_gtids(Flavour::MySql, &text)?;
        Ok(executed.covers(set).then_some(executed))
    }

    /// MariaDB: where in its log the view was opened, if that is at or behind what was delivered.
    async fn view_behind(&mut self, delivered: &BinlogPosition) -> Result<Option<(String, u64)>> {
        let query = "SHOW STATUS LIKE 'binlog_snapshot_%'";
        let status: Vec<(String, String)> = self.connector.within("query", self.conn.query(query)).await?;
        let value = |name: &str| status.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
        let place = value("binlog_snapshot_file").zip(value("binlog_snapshot_position").and_then(|position| position.parse::<u64>().ok()));
        let place = place.and_then(|(file, position)| Some((file.to_owned(), ledger::file_number(file)?, position)));
        let Some((file, number, position)) = place else {
            return Err(Error::new(
                ErrorKind::Source,
                format!("{} does not say where in its log a view was opened", self.connector.address()),
            )
            .remedy("Start the server with log_bin, or set the source's snapshot to never."));
        };
        // the stream reads this server's log, so its place has a file
        let behind = ledger::file_number(&delivered.file).is_none_or(|file| (file, delivered.position) <= (number, position));
        Ok(behind.then_some((file, position)))
    }

    pub async fn close_view(&mut self) -> Result<()> {
        self.connector.within("query", self.conn.query_drop("ROLLBACK")).await
    }

    /// The end of the log.
    pub async fn log_end(&mut self) -> Result<High> {
        let (file, position, _) = start::log_end(&self.connector, &mut self.conn, &self.server).await?;
        // asked for afterwards, so that it is not before that place
        let gtids = match self.server.flavour {
            Flavour::MariaDb => Some(self.connector.one(&mut self.conn, "SELECT @@GLOBAL.gtid_binlog_pos").await?),
            Flavour::MySql => None,
        };
        Ok(High { file, position, gtids })
    }

    /// The rows; `None` when the table is not as it was described.
    async fn select(
        &mut self,
        table: &Copied,
        key: &Key,
        range: Range<'_>,
        reading: &Reading,
        portion: Portion<'_>,
    ) -> Result<Option<Selected>> {
        let statement = table.select(key, range, reading)?;
        let name = &table.plan.table.name;
        let selected = tokio::time::timeout(COPY_SELECT_TIME, rows(&mut self.conn, &statement, (table, key), range.rows, portion)).await;
        let error = match selected {
            Ok(Ok(selected)) => return Ok(Some(selected)),
            Ok(Err(SelectFault::Row(error))) => error,
            Ok(Err(SelectFault::Server(mysql_async::Error::Server(server)))) if is_of_altered_table(server.code) => return Ok(None),
            Ok(Err(SelectFault::Server(error))) => return Err(self.connector.explain(&format!("read {name} on"), error)),
            Err(_) => return Err(slow(&self.connector, name)),
        };
        // a value that does not fit may be one of a column that was altered
        if table.is_unchanged(&self.connector, &mut self.conn).await? { Err(error) } else { Ok(None) }
    }
}

/// A view that was opened.
struct Opened {
    /// MariaDB: the file and the position that it stands at.
    at: Option<(String, u64)>,
    /// MySQL: the transactions that it has for certain.
    has: Option<Arc<GtidSet>>,
}

struct Selected {
    parts: Vec<Part>,
    bytes: usize,
    last: bool,
}

enum SelectFault {
    Server(mysql_async::Error),
    Row(Error),
}

impl From<mysql_async::Error> for SelectFault {
    fn from(error: mysql_async::Error) -> Self {
        Self::Server(error)
    }
}

/// Whether a statement failed because the table is not as it was described.
pub fn is_of_altered_table(code: u16) -> bool {
    code == DEFINITION_CHANGED || NOT_THERE.contains(&code)
}

/// The error for rows that do not come.
pub fn slow(connector: &Connector, name: &TableName) -> Error {
    let text = format!("{} gave no rows of {name} within {COPY_SELECT_TIME:?}", connector.address());
    Error::new(ErrorKind::Connection, text).remedy("Look for locks and load on the server.")
}

/// The error for MySQL without GTIDs, which does not tell what a query sees.
pub fn without_gtids() -> Error {
    Error::new(ErrorKind::Source, "tables cannot be copied while the log has no GTIDs, unless their rows may be locked meanwhile")
        .remedy("Switch gtid_mode to ON; or set the source's snapshot.share_locks to true, or its snapshot to never.")
}

/// The rows of a statement, of which there are `most` at most.
async fn rows(
    conn: &mut Conn,
    statement: &str,
    (table, key): (&Copied, &Key),
    most: usize,
    portion: Portion<'_>,
) -> std::result::Result<Selected, SelectFault> {
    let mut result = conn.exec_iter(statement, ()).await?;
    let (mut parts, mut bytes, mut count) = (Vec::new(), 0, 0);
    let mut filling = Filling::new(table, portion.limits);
    let mut last: Option<Row> = None;
    while let Some(row) = result.next().await? {
        bytes += filling.push(&row).map_err(SelectFault::Row)?;
        count += 1;
        let full = bytes >= portion.bytes;
        if full || filling.is_full() {
            parts.push(finish(key, filling.take(), &row).map_err(SelectFault::Row)?);
        }
        if full {
            // what is left of the answer is passed over before the connection's next use
            return Ok(Selected { parts, bytes, last: false });
        }
        last = Some(row);
    }
    if let Some(row) = last.filter(|_| !filling.is_empty()) {
        parts.push(finish(key, filling.take(), &row).map_err(SelectFault::Row)?);
    }
    Ok(Selected { parts, bytes, last: count < most })
}

fn finish(key: &Key, rows: TableRows, row: &Row) -> Result<Part> {
    let last = rows.len().checked_sub(1).and_then(|last| key.text(&rows.columns, last, row));
    let last_key = last.ok_or_else(|| Error::new(ErrorKind::Internal, "rows of a table without their key"))?;
    Ok(Part { rows, last_key: Some(last_key) })
}
