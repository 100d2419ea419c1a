//! One chunk of a table: read in one view, with the place that the stream has to reach before it is delivered.

use std::time::{Duration, Instant};

use mysql_async::{Conn, Row, prelude::Queryable};

use super::{
    super::{
        connection::{Connector, Server},
        ledger,
        position::{BinlogPosition, Flavour},
        start,
    },
    place::KeyText,
    table::Copied,
    values,
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Image, TableName, TableRows},
    limits::{COPY_CHUNK_BYTES, COPY_SELECT_TIME, Limits},
    now_us,
};

/// How long to wait before what a query sees is asked for again.
const AGAIN: Duration = Duration::from_millis(10);
/// How long that may go on before it is told.
const SLOW: Duration = Duration::from_secs(30);
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
    /// The key of the last one.
    pub last_key: KeyText,
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
            "SET SESSION time_zone = '+00:00', sql_mode = '', sql_select_limit = DEFAULT, net_write_timeout = 3600, {unlimited}, \
             character_set_client = utf8mb4, collation_connection = utf8mb4_general_ci, character_set_results = NULL"
        );
        connector.within("query", conn.query_drop(settings)).await?;
        connector.within("query", conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")).await?;
        Ok(Self { connector, conn, server })
    }

    /// Reads a chunk of at most `rows` rows. `delivered` is what the stream had delivered before it recorded keys.
    pub async fn read(&mut self, table: &Copied, range: Range<'_>, delivered: &BinlogPosition, limits: &Limits) -> Result<Outcome> {
        if delivered.is_of_another_server(self.server.identity.as_deref()) {
            return Ok(Outcome::Elsewhere);
        }
        self.open_view(delivered).await?;
        let time_us = now_us();
        // what an engine without views gives may be newer than the view: the log's end after it counts
        let early = if table.transactional { Some(self.log_end().await?) } else { None };
        let read = self.select(table, range, limits).await?;
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
        let server_id: u32 = self.connector.one(&mut self.conn, "SELECT @@GLOBAL.server_id").await?;
        self.close_view().await?;
        Ok(if unchanged { Outcome::Read(Box::new(Chunk { parts, last, bytes, high, time_us, server_id })) } else { Outcome::Altered })
    }

    /// How many rows the table has, as the server estimates it.
    pub async fn estimate(&mut self, name: &TableName) -> Result<u64> {
        let query = "SELECT COALESCE(table_rows, 0) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?";
        let rows: Option<u64> = self.connector.within("query", self.conn.exec_first(query, (&name.database, &name.table))).await?;
        Ok(rows.unwrap_or_default())
    }

    /// Whether the table has any such rows.
    pub async fn has_rows(&mut self, table: &Copied, range: Range<'_>) -> Result<bool> {
        let query = format!("SELECT EXISTS({})", table.select(range.after, range.up_to, range.rows)?);
        let found: Option<u8> = self.connector.within("query", self.conn.query_first(query)).await?;
        Ok(found == Some(1))
    }

    /// Opens a view in which everything is that was delivered. The log is ahead of what a query sees: both servers send a transaction
    /// to replicas before its engine commits it.
    async fn open_view(&mut self, delivered: &BinlogPosition) -> Result<()> {
        let begin = Instant::now();
        let mut told = false;
        loop {
            if self.server.flavour == Flavour::MySql && !self.sees(delivered).await? {
                self.wait(&mut told, begin).await;
                continue;
            }
            let open = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
            self.connector.within("query", self.conn.query_drop(open)).await?;
            if self.server.flavour == Flavour::MySql || self.view_is_behind(delivered).await? {
                return Ok(());
            }
            self.close_view().await?;
            self.wait(&mut told, begin).await;
        }
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

    /// MySQL: whether a query sees all that was delivered.
    async fn sees(&mut self, delivered: &BinlogPosition) -> Result<bool> {
        let Some(set) = &delivered.gtid_set else {
            return Err(Error::new(ErrorKind::Source, "tables cannot be copied while the log has no GTIDs")
                .remedy("Switch gtid_mode to ON, or set the source's snapshot to never."));
        };
        let query = "SELECT GTID_SUBSET(?, @@GLOBAL.gtid_executed)";
        let seen: Option<u8> = self.connector.within("query", self.conn.exec_first(query, (set.to_string(),))).await?;
        Ok(seen == Some(1))
    }

    /// MariaDB: whether the view was opened at or behind a place of its log.
    async fn view_is_behind(&mut self, delivered: &BinlogPosition) -> Result<bool> {
        let query = "SHOW STATUS LIKE 'binlog_snapshot_%'";
        let status: Vec<(String, String)> = self.connector.within("query", self.conn.query(query)).await?;
        let value = |name: &str| status.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
        let place = value("binlog_snapshot_file").zip(value("binlog_snapshot_position").and_then(|position| position.parse::<u64>().ok()));
        let place = place.and_then(|(file, position)| Some((ledger::file_number(file)?, position)));
        let Some(place) = place else {
            return Err(Error::new(
                ErrorKind::Source,
                format!("{} does not say where in its log a view was opened", self.connector.address()),
            )
            .remedy("Start the server with log_bin, or set the source's snapshot to never."));
        };
        // the stream reads this server's log, so its place has a file
        Ok(ledger::file_number(&delivered.file).is_none_or(|file| (file, delivered.position) <= place))
    }

    async fn close_view(&mut self) -> Result<()> {
        self.connector.within("query", self.conn.query_drop("ROLLBACK")).await
    }

    async fn log_end(&mut self) -> Result<High> {
        let (file, position, _) = start::log_end(&self.connector, &mut self.conn, &self.server).await?;
        // asked for afterwards, so that it is not before that place
        let gtids = match self.server.flavour {
            Flavour::MariaDb => Some(self.connector.one(&mut self.conn, "SELECT @@GLOBAL.gtid_binlog_pos").await?),
            Flavour::MySql => None,
        };
        Ok(High { file, position, gtids })
    }

    /// The rows; `None` when the table is not as it was described.
    async fn select(&mut self, table: &Copied, range: Range<'_>, limits: &Limits) -> Result<Option<Selected>> {
        let statement = table.select(range.after, range.up_to, range.rows)?;
        let name = &table.plan.table.name;
        let selected = tokio::time::timeout(COPY_SELECT_TIME, rows(&mut self.conn, &statement, table, range.rows, limits)).await;
        let error = match selected {
            Ok(Ok(selected)) => return Ok(Some(selected)),
            Ok(Err(SelectFault::Row(error))) => error,
            Ok(Err(SelectFault::Server(mysql_async::Error::Server(server))))
                if server.code == DEFINITION_CHANGED || NOT_THERE.contains(&server.code) =>
            {
                return Ok(None);
            }
            Ok(Err(SelectFault::Server(error))) => return Err(self.connector.explain(&format!("read {name} on"), error)),
            Err(_) => {
                let text = format!("{} did not give a chunk of {name} within {COPY_SELECT_TIME:?}", self.connector.address());
                return Err(Error::new(ErrorKind::Connection, text).remedy("Look for locks and load on the server."));
            }
        };
        // a value that does not fit may be one of a column that was altered
        if table.is_unchanged(&self.connector, &mut self.conn).await? { Err(error) } else { Ok(None) }
    }
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

/// The rows of a statement, of which there are `most` at most.
async fn rows(
    conn: &mut Conn,
    statement: &str,
    table: &Copied,
    most: usize,
    limits: &Limits,
) -> std::result::Result<Selected, SelectFault> {
    let mut result = conn.exec_iter(statement, ()).await?;
    let (mut parts, mut bytes, mut count) = (Vec::new(), 0, 0);
    let (mut part, mut part_bytes) = (TableRows::new(table.plan.table.clone()), 0);
    while let Some(row) = result.next().await? {
        let size = push(table, row, &mut part, limits.row_bytes).map_err(SelectFault::Row)?;
        (bytes, part_bytes, count) = (bytes + size, part_bytes + size, count + 1);
        let full = bytes >= COPY_CHUNK_BYTES;
        if full || part.len() >= limits.batch_changes.max(1) || part_bytes >= limits.batch_bytes {
            let whole = std::mem::replace(&mut part, TableRows::new(table.plan.table.clone()));
            parts.push(finish(table, whole).map_err(SelectFault::Row)?);
            part_bytes = 0;
        }
        if full {
            // what is left of the answer is passed over before the connection's next use
            return Ok(Selected { parts, bytes, last: false });
        }
    }
    if !part.is_empty() {
        parts.push(finish(table, part).map_err(SelectFault::Row)?);
    }
    Ok(Selected { parts, bytes, last: count < most })
}

/// Which rows of a table.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// Those after this key.
    pub after: Option<&'a KeyText>,
    /// Those up to this key.
    pub up_to: Option<&'a KeyText>,
    /// At most so many.
    pub rows: usize,
}

fn finish(table: &Copied, rows: TableRows) -> Result<Part> {
    let last = rows.len().checked_sub(1).and_then(|last| table.key.text(&rows.columns, last));
    let last_key = last.ok_or_else(|| Error::new(ErrorKind::Internal, "rows of a table without their key"))?;
    Ok(Part { rows, last_key })
}

/// Takes one row in; answers how many bytes it has.
fn push(table: &Copied, row: Row, rows: &mut TableRows, most: usize) -> Result<usize> {
    let before: usize = rows.columns.iter().map(sluicegate_model::change::Column::bytes).sum();
    let values = row.unwrap();
    for (i, ((decoder, column), value)) in table.plan.decoders.iter().zip(&mut rows.columns).zip(values).enumerate() {
        values::append(decoder, value, column).map_err(|fault| {
            let name = table.plan.table.columns.get(i).map_or("", |column| column.name.as_str());
            Error::new(ErrorKind::Source, format!("cannot copy column {}.{name}", table.plan.table.name)).caused_by(fault)
        })?;
        if column.overflows() {
            return Err(Error::new(ErrorKind::Source, format!("a row of {} has text of more than 4 GiB", table.plan.table.name)));
        }
    }
    rows.images.push(Image::After as u8);
    let after: usize = rows.columns.iter().map(sluicegate_model::change::Column::bytes).sum();
    let size = after.saturating_sub(before);
    if size > most {
        return Err(Error::new(ErrorKind::Source, format!("a row of {} has {size} bytes, the limit is {most}", table.plan.table.name))
            .remedy(format!(
                "Raise limits.row_bytes, or leave the table out of the copy by adding '!{}' to the source's snapshot.tables.",
                table.plan.table.name
            )));
    }
    Ok(size)
}
