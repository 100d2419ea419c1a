//! What each event does to the stream.

use std::sync::Arc;

use mysql_async::binlog::events::{BinlogEventHeader, Event as RawEvent};

use super::{
    assembly::{self, Origin},
    catalogue::Known,
    cursor::{Cursor, Fault},
    event::{self, Query, RowsKind, kind},
    gtid::{Gtid, GtidSet},
    payload,
    place::Open,
    plan::Plan,
    position::{Flavour, Skip},
    statement::{self, Statement},
    stream::{Halt, Stream},
};
use crate::{
    Error,
    change::{Event, TableName, Transaction},
    error::ErrorKind,
};

/// The table id of a rows event that only ends a statement.
const NO_TABLE: u64 = 0xff_ffff;

/// Where an event stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    /// Its position in the file; inside a compressed transaction, that of the whole.
    pub(super) start: u64,
    /// Whether it comes out of a compressed transaction: several events have the same position then.
    pub(super) inner: bool,
}

impl Stream {
    /// Takes one event of the log in.
    pub(super) async fn take_event(&mut self, event: &RawEvent) -> Result<(), Halt> {
        let header = event.header();
        let event_type = header.event_type_raw();
        let heartbeat = matches!(event_type, kind::HEARTBEAT | kind::HEARTBEAT_V2);
        let made_up = is_made_up(&header);
        // the library takes four bytes for a checksum from what the server makes up, whether it has one or not
        let unchecked = heartbeat || (made_up && matches!(event_type, kind::ROTATE | kind::FORMAT_DESCRIPTION));
        if !unchecked && !event::checksum_holds(event) {
            return Err(self
                .fault("an event whose checksum does not fit its bytes")
                .remedy("Check the server's binlog with mysqlbinlog --verify-binlog-checksum.")
                .into());
        }
        let start = self.place.locate(&header);
        if event_type == kind::TRANSACTION_PAYLOAD {
            // in a box, so that no other event pays for its size
            return Box::pin(self.on_payload(event.data(), start)).await;
        }
        self.dispatch(event, Site { start, inner: false }).await
    }

    /// Does what the event says.
    pub(super) async fn dispatch(&mut self, event: &RawEvent, site: Site) -> Result<(), Halt> {
        let header = event.header();
        let (event_type, start) = (header.event_type_raw(), site.start);
        debug_assert!(!site.inner || !payload::stands_alone(event_type), "payloads refuse these");
        self.events += 1;
        match event_type {
            kind::HEARTBEAT => self.place.heartbeat(header.log_pos()),
            kind::ROTATE => self.on_rotate(event)?,
            kind::GTID | kind::GTID_TAGGED => {
                let (gtid, time) = event::mysql_gtid(event).map_err(|f| self.fault(f))?;
                self.on_begin(start, Some(gtid), time, header.timestamp(), false);
            }
            kind::ANONYMOUS_GTID => self.on_begin(start, None, event::anonymous_time(event), header.timestamp(), false),
            kind::MARIADB_GTID => {
                let gtid = event::mariadb_gtid(event.data()).map_err(|f| self.fault(f))?;
                let identity = Gtid::MariaDb { domain: gtid.domain, server: header.server_id(), sequence: gtid.sequence };
                self.on_begin(start, Some(identity), None, header.timestamp(), !gtid.standalone);
            }
            kind::PREVIOUS_GTIDS => self.on_previous_gtids(event, is_made_up(&header))?,
            kind::QUERY | kind::MARIADB_QUERY_COMPRESSED => self.on_query(event, start)?,
            kind::XID | kind::XA_PREPARE => self.place.end(),
            kind::TABLE_MAP => {
                self.place.transaction(start);
                self.reader.catalogue.learn(event.data(), &self.server).await?;
            }
            kind::PARTIAL_UPDATE_ROWS => self.on_partial_rows(event, start)?,
            kind::INCIDENT => {
                return Err(self
                    .fault("an incident event: the server lost changes before it could log them")
                    .remedy("Find the cause in the server's error log; then start anew with a new state file.")
                    .into());
            }
            _ if event::rows_kind(event_type).is_some() => self.on_rows(event, start).await?,
            // up to 42: MySQL's; 160 to 164: MariaDB's notes, checkpoints and GTID lists; none of them changes rows
            1..=42 | 160..=164 => {}
            _ if header.flags_raw() & event::IGNORABLE != 0 => {}
            other => {
                return Err(self
                    .fault(format_args!("an event of the unknown type {other}"))
                    .remedy("The server is newer than this program: update the program.")
                    .into());
            }
        }
        Ok(())
    }

    pub(super) fn fault(&self, what: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Source, format!("{} sent {what}, after {}", self.reader.connector.address(), self.place.resume()))
    }

    fn on_rotate(&mut self, event: &RawEvent) -> Result<(), Halt> {
        let rotate = event::rotate(event).map_err(|f| self.fault(format_args!("a rotate event that cannot be read: {f}")))?;
        let other_file = *rotate.file != *self.place.file;
        if let Some(open) = &self.place.open
            && other_file
        {
            // servers never split a transaction; one that is cut off was not committed
            tracing::warn!(file = %open.file, position = open.position, "a transaction has no end in its binlog file");
            self.place.open = None;
        }
        self.place.rotate(&rotate.file, rotate.position);
        Ok(())
    }

    fn on_begin(&mut self, start: u64, gtid: Option<Gtid>, time_us: Option<i64>, seconds: u32, begun: bool) {
        self.place.end();
        self.reader.catalogue.trim();
        self.see(time_us.unwrap_or_else(|| i64::from(seconds) * 1_000_000));
        self.place.begin(start, gtid, time_us, begun);
    }

    /// The set at the start of a file: where ours is not known, it is from here on.
    fn on_previous_gtids(&mut self, event: &RawEvent, made_up: bool) -> Result<(), Halt> {
        if self.place.executed.is_some() || !self.server.gtids || made_up || self.server.flavour != Flavour::MySql {
            return Ok(());
        }
        let previous = GtidSet::decode_mysql(event.data()).map_err(|f| self.fault("a list of GTIDs that cannot be read").caused_by(f))?;
        self.place.executed = Some(previous);
        self.place.moved = true;
        Ok(())
    }

    fn on_query(&mut self, event: &RawEvent, start: u64) -> Result<(), Halt> {
        let compressed = event.header().event_type_raw() == kind::MARIADB_QUERY_COMPRESSED;
        let Query { database, text } = event::query(event.data(), compressed, self.reader.limits.row_bytes)
            .map_err(|f| self.fault(format_args!("a statement that cannot be read: {f}")))?;
        let statement = match &*text {
            "BEGIN" => Statement::Begin,
            "COMMIT" => Statement::Commit,
            text => statement::classify(&database, text),
        };
        if self.place.open.is_none() {
            // old servers log no GTID event before it
            self.place.begin(start, None, None, false);
        }
        let open = self.place.transaction(start);
        match statement {
            Statement::Begin => open.begun = true,
            Statement::Commit => self.place.end(),
            Statement::Rollback => {
                if open.done != Skip::default() {
                    tracing::warn!(
                        transaction = open.id.as_deref(),
                        "the log holds rows of a transaction that was rolled back (tables without transactions)"
                    );
                }
                self.place.end();
            }
            Statement::XaEnd { rolled_back } => {
                if rolled_back {
                    tracing::warn!(
                        transaction = open.id.as_deref(),
                        "a prepared XA transaction was rolled back; its rows were delivered when it was prepared"
                    );
                }
                self.place.end();
            }
            Statement::Ddl { opens } => {
                self.reader.catalogue.schema_changed();
                if opens {
                    open.begun = true;
                } else if !open.begun {
                    self.place.end();
                }
            }
            Statement::Dml { table } => {
                let begun = open.begun;
                self.check_statement(&database, table)?;
                if !begun {
                    self.place.end();
                }
            }
            Statement::Other if !open.begun => self.place.end(),
            Statement::Other => {}
        }
        Ok(())
    }

    /// Changes that were logged as statements cannot be followed; elsewhere they do not concern us.
    fn check_statement(&self, database: &str, table: Option<TableName>) -> Result<(), Halt> {
        let concerned = match &table {
            Some(table) => self.reader.catalogue.captures(table),
            None => self.reader.catalogue.may_capture_in(database),
        };
        if !concerned {
            return Ok(());
        }
        let what = table.map_or_else(|| format!("the database {database}"), |t| t.to_string());
        Err(self
            .fault(format_args!("a change of {what} as a statement instead of rows"))
            .remedy("Set binlog_format = ROW globally, have sessions that overrode it reconnect, and start from a later position.")
            .into())
    }

    fn on_partial_rows(&mut self, event: &RawEvent, start: u64) -> Result<(), Halt> {
        let id = event::table_id(event.data()).map_err(|f| self.fault(f))?;
        if let Some(Known::Captured(plan)) = self.reader.catalogue.get(id) {
            return Err(self
                .fault(format_args!("an update of {} with only the changed part of a JSON document", plan.table.name))
                .remedy("Set binlog_row_value_options = '' on the server (globally and in every session), and start from a later position.")
                .into());
        }
        let open = self.place.transaction(start);
        count_event(open);
        Ok(())
    }

    async fn on_rows(&mut self, event: &RawEvent, start: u64) -> Result<(), Halt> {
        let header = event.header();
        let id = event::table_id(event.data()).map_err(|f| self.fault(f))?;
        let known = self.reader.catalogue.get(id).cloned();
        let open = self.place.transaction(start);
        let plan = match known {
            Some(Known::Captured(plan)) => plan,
            Some(Known::PassedOver) => {
                count_event(open);
                self.place.moved = true;
                return Ok(());
            }
            None if id == NO_TABLE => {
                count_event(open);
                return Ok(());
            }
            None => {
                return Err(self
                    .fault("rows of a table that it has not described: the stream started inside a transaction")
                    .remedy("Start at the first event of a transaction (a GTID or BEGIN event).")
                    .into());
            }
        };
        let number = open.events;
        if number < open.skip.events {
            open.events += 1;
            return Ok(());
        }
        let already = if number == open.skip.events { open.skip.rows } else { 0 };
        let time_us = open.time_us.unwrap_or_else(|| i64::from(header.timestamp()) * 1_000_000);
        let origin = Origin {
            event: Event { transaction: 0, position: start, time_us, server_id: header.server_id() },
            transaction: Transaction { id: open.id.clone(), file: open.file.clone() },
            number: self.events,
        };
        self.see(time_us);
        let rows = event::rows(header.event_type_raw(), event.data(), self.reader.limits.row_bytes)
            .map_err(|f| self.fault(format_args!("rows of {} that cannot be read: {f}", plan.table.name)))?;
        self.check_rows(&plan, rows.columns, rows.full)?;
        let mut cursor = Cursor(&rows.data);
        let mut first = assembly::pass_over(&plan, rows.kind, &mut cursor, already)?;
        if first < already {
            return Err(self.fault(format_args!("fewer rows of {} than were delivered before the restart", plan.table.name)).into());
        }
        self.deliver(&origin, &plan, rows.kind, &mut cursor, number, &mut first).await?;
        let open = self.place.transaction(start);
        count_event(open);
        Ok(())
    }

    async fn deliver(
        &mut self,
        origin: &Origin,
        plan: &Arc<Plan>,
        kind: RowsKind,
        rows: &mut Cursor<'_>,
        number: u64,
        first: &mut u64,
    ) -> Result<(), Halt> {
        while !rows.is_empty() {
            if self.assembly.is_full() {
                self.send().await?;
            }
            let row = u32::try_from(*first).map_err(|_| self.fault(Fault::Invalid("an event with too many rows")))?;
            *first += u64::from(self.assembly.fill(origin, plan, kind, rows, row)?);
            if let Some(open) = &mut self.place.open {
                open.done = if rows.is_empty() { Skip { events: number + 1, rows: 0 } } else { Skip { events: number, rows: *first } };
            }
        }
        if self.assembly.is_full() {
            self.send().await?;
        }
        Ok(())
    }

    fn check_rows(&self, plan: &Plan, columns: usize, full: bool) -> Result<(), Halt> {
        if columns != plan.decoders.len() {
            return Err(self.fault(format_args!("rows of {} with another number of columns than it described", plan.table.name)).into());
        }
        if !full {
            return Err(self
                .fault(format_args!("rows of {} that do not hold every column", plan.table.name))
                .remedy("Set binlog_row_image = FULL globally, have sessions that overrode it reconnect, and start from a later position.")
                .into());
        }
        Ok(())
    }
}

/// Whether the server made the event up for this connection.
fn is_made_up(header: &BinlogEventHeader) -> bool {
    header.flags_raw() & event::ARTIFICIAL != 0 || header.log_pos() == 0
}

/// A rows event has been dealt with whole.
fn count_event(open: &mut Open) {
    open.events += 1;
    if open.events > open.skip.events {
        open.done = Skip { events: open.events, rows: 0 };
    }
}
