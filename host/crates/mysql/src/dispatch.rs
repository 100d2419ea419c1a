//! What each event does to the stream.

use std::sync::Arc;

use mysql_async::binlog::events::{BinlogEventHeader, Event as RawEvent};

use super::{
    assembly::{self, Origin},
    catalogue::Known,
    cursor::Cursor,
    event::{self, Query, kind},
    gtid::{Gtid, GtidSet},
    payload,
    plan::Plan,
    position::Flavour,
    statement::{self, Statement},
    stream::{Halt, Stream},
};
use sluicegate_model::{
    Error, ErrorKind,
    change::{Event, MarkKind, TableName, Transaction, Truncate},
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
            kind::QUERY | kind::MARIADB_QUERY_COMPRESSED => self.on_query(event, start).await?,
            kind::XID | kind::XA_PREPARE => self.end_transaction(),
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
            _ if event::rows_kind(event_type).is_some() => self.on_rows(event, site).await?,
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
            self.place.abandon();
        }
        self.place.rotate(&rotate.file, rotate.position);
        Ok(())
    }

    /// The open transaction ends, if there is one.
    fn end_transaction(&mut self) {
        if let Some(open) = &self.place.open {
            self.assembly.end_transaction(open.position);
        }
        self.place.end();
    }

    fn on_begin(&mut self, start: u64, gtid: Option<Gtid>, time_us: Option<i64>, seconds: u32, begun: bool) {
        self.end_transaction();
        self.reader.catalogue.trim();
        self.see(time_us.unwrap_or_else(|| i64::from(seconds) * 1_000_000));
        self.place.begin(start, gtid, time_us, begun);
    }

    /// The set at the start of a file, which holds everything that all files before it should. Where ours is not known, it is from
    /// here on; where it is, the server's must not have more: then files before it lost their end.
    fn on_previous_gtids(&mut self, event: &RawEvent, made_up: bool) -> Result<(), Halt> {
        if !self.server.gtids || made_up || self.server.flavour != Flavour::MySql {
            return Ok(());
        }
        let previous = GtidSet::decode_mysql(event.data()).map_err(|f| self.fault("a list of GTIDs that cannot be read").caused_by(f))?;
        match &self.place.executed {
            Some(executed) if executed.covers(&previous) => {}
            Some(_) => {
                return Err(self
                    .fault("a binlog file whose list of GTIDs names transactions that no file before it holds: the log lost its end")
                    .remedy(
                        "Find out what the server lost (a crash with sync_binlog other than 1), and copy the tables anew or compare them. Then \
                         `sluicegate checkpoint drop` the sinks, and set the source's `start`.",
                    )
                    .into());
            }
            None => {
                self.place.executed = Some(Arc::new(previous));
                self.place.moved = true;
            }
        }
        Ok(())
    }

    async fn on_query(&mut self, event: &RawEvent, start: u64) -> Result<(), Halt> {
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
            Statement::Commit => self.end_transaction(),
            Statement::Rollback => {
                if open.events > 0 {
                    tracing::warn!(
                        transaction = open.id.as_deref(),
                        "the log holds rows of a transaction that was rolled back (tables without transactions)"
                    );
                }
                self.end_transaction();
            }
            Statement::XaEnd { rolled_back } => {
                if rolled_back {
                    tracing::warn!(
                        transaction = open.id.as_deref(),
                        "a prepared XA transaction was rolled back; its rows were delivered when it was prepared"
                    );
                }
                self.end_transaction();
            }
            Statement::Ddl { opens } => {
                self.reader.catalogue.schema_changed();
                if let Some(copying) = &mut self.copying {
                    copying.schema_changed();
                }
                if opens {
                    open.begun = true;
                } else if !open.begun {
                    self.end_transaction();
                }
            }
            Statement::Truncate { table } => self.on_truncate(table, start, event.header().server_id()).await?,
            Statement::Dml { table } => {
                let begun = open.begun;
                self.check_statement(&database, table)?;
                if !begun {
                    self.end_transaction();
                }
            }
            Statement::Other if !open.begun => self.end_transaction(),
            Statement::Other => {}
        }
        Ok(())
    }

    /// A table was emptied, in a transaction of its own.
    async fn on_truncate(&mut self, name: TableName, start: u64, server_id: u32) -> Result<(), Halt> {
        let open = self.place.transaction(start);
        let time_us = open.time_us.unwrap_or_default();
        let transaction = Transaction { id: open.id.clone(), file: open.file.clone(), position: open.position, complete: true };
        let had = open.had;
        self.end_transaction();
        if had || !self.reader.catalogue.captures(&name) {
            return Ok(());
        }
        let table = self.reader.catalogue.latest(&name).await?;
        let event = Event { position: start, time_us, server_id, ..Event::default() };
        self.mark(MarkKind::Truncate(Truncate { table, event, transaction })).await
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
            .remedy("Set binlog_format = ROW globally, have sessions that overrode it reconnect, and move the sinks past this place with `sluicegate checkpoint set --force`: \
                     what stands between is not delivered, so copy or compare the table.")
            .into())
    }

    fn on_partial_rows(&mut self, event: &RawEvent, start: u64) -> Result<(), Halt> {
        let id = event::table_id(event.data()).map_err(|f| self.fault(f))?;
        if let Some(Known::Captured(plan)) = self.reader.catalogue.get(id) {
            return Err(self
                .fault(format_args!("an update of {} with only the changed part of a JSON document", plan.table.name))
                .remedy("Set binlog_row_value_options = '' on the server (globally and in every session), and move the sinks past this place with \
                     `sluicegate checkpoint set --force`: what stands between is not delivered, so copy or compare the table.")
                .into());
        }
        self.place.transaction(start).events += 1;
        Ok(())
    }

    async fn on_rows(&mut self, event: &RawEvent, Site { start, inner }: Site) -> Result<(), Halt> {
        let header = event.header();
        let id = event::table_id(event.data()).map_err(|f| self.fault(f))?;
        let known = self.reader.catalogue.get(id).cloned();
        let open = self.place.transaction(start);
        let plan = match known {
            Some(Known::Captured(plan)) => plan,
            Some(Known::PassedOver) => {
                open.events += 1;
                self.place.moved = true;
                return Ok(());
            }
            None if id == NO_TABLE => {
                open.events += 1;
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
        open.events += 1;
        let open = self.place.transaction(start);
        let time_us = open.time_us.unwrap_or_else(|| i64::from(header.timestamp()) * 1_000_000);
        let first_row = if inner { open.unpacked_rows } else { 0 };
        let mut origin = Origin {
            event: Event {
                transaction: 0,
                position: start,
                first_row,
                table: Some(plan.counted.clone()),
                rows_before: 0,
                time_us,
                server_id: header.server_id(),
            },
            transaction: Transaction { id: open.id.clone(), file: open.file.clone(), position: open.position, complete: false },
            number: self.events,
        };
        let (part_rows, skip, had) =
            (open.part.as_ref().map_or(0, |part| part.rows.get(&*plan.counted).copied().unwrap_or(0)), open.skip, open.had);
        origin.event.rows_before = self.place.rows_read(&plan.counted);
        self.see(time_us);
        let rows = event::rows(header.event_type_raw(), event.data(), self.reader.limits.row_bytes)
            .map_err(|f| self.fault(format_args!("rows of {} that cannot be read: {f}", plan.table.name)))?;
        self.check_rows(&plan, rows.columns, rows.full)?;
        let delivered = part_rows.saturating_sub(origin.event.rows_before);
        // an older version's count: whole events, then rows of the next one
        let counted = match number.cmp(&skip.events) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => skip.rows,
            std::cmp::Ordering::Greater => 0,
        };
        let already = if had { u64::MAX } else { delivered.max(counted) };
        let mut cursor = Cursor(&rows.data);
        let passed = assembly::pass_over(&plan, rows.kind, &mut cursor, already)?;
        let mut row = first_row.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
        self.note_rows(&origin, &plan, row);
        if number >= skip.events {
            self.place.pass_counted();
        }
        while !cursor.is_empty() {
            if self.assembly.is_full() {
                self.send().await?;
            }
            let filled = self.assembly.fill(&origin, &plan, rows.kind, &mut cursor, &mut row);
            self.note_rows(&origin, &plan, row);
            filled?;
        }
        if inner {
            self.place.transaction(start).unpacked_rows = row;
        }
        if self.assembly.is_full() {
            self.send().await?;
        }
        Ok(())
    }

    /// Notes how far the event's rows have been read: up to its row `next`.
    fn note_rows(&mut self, origin: &Origin, plan: &Plan, next: u32) {
        self.place.read_up_to(&plan.counted, origin.event.rows_before(next));
    }

    fn check_rows(&self, plan: &Plan, columns: usize, full: bool) -> Result<(), Halt> {
        if columns != plan.decoders.len() {
            return Err(self.fault(format_args!("rows of {} with another number of columns than it described", plan.table.name)).into());
        }
        if !full {
            return Err(self
                .fault(format_args!("rows of {} that do not hold every column", plan.table.name))
                .remedy("Set binlog_row_image = FULL globally, have sessions that overrode it reconnect, and move the sinks past this place with `sluicegate checkpoint set --force`: \
                     what stands between is not delivered, so copy or compare the table.")
                .into());
        }
        Ok(())
    }
}

/// Whether the server made the event up for this connection.
fn is_made_up(header: &BinlogEventHeader) -> bool {
    header.flags_raw() & event::ARTIFICIAL != 0 || header.log_pos() == 0
}
