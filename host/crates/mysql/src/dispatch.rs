//! What each event does to the stream.

use std::sync::Arc;

use mysql_async::binlog::events::{BinlogEventHeader, Event as RawEvent};

use super::{
    assembly::{self, Origin},
    catalogue::Known,
    cursor::Cursor,
    event::{self, MySqlGtid, Rows, kind},
    gtid::{Gtid, GtidSet},
    outcome::Outcome,
    partial_json, payload,
    place::Open,
    plan::Plan,
    position::Flavour,
    stream::{Halt, Stream},
};
use sluicegate_config::RowImage;
use sluicegate_model::{
    Error, ErrorKind,
    change::{Event, Transaction},
};

/// What helps where a partial update cannot be made whole.
const PARTIAL: &str = "Set binlog_row_image = FULL and binlog_row_value_options = '' on the server (globally and in every session), and move the \
    sinks past this place with `sluicegate checkpoint set --force`: what stands between is not delivered, so copy or compare the table.";

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
            kind::FORMAT_DESCRIPTION => self.place.describe(header.timestamp()),
            kind::GTID | kind::GTID_TAGGED => {
                let MySqlGtid { gtid, time_us, rows_only } = event::mysql_gtid(event).map_err(|f| self.fault(f))?;
                self.on_begin(start, Some(gtid), time_us, header.timestamp(), false);
                self.begin_group(rows_only);
            }
            kind::ANONYMOUS_GTID => {
                let (time_us, rows_only) = event::anonymous_gtid(event);
                self.on_begin(start, None, time_us, header.timestamp(), false);
                self.begin_group(rows_only);
            }
            kind::MARIADB_GTID => {
                let head = event::mariadb_gtid(event.data()).map_err(|f| self.fault(f))?;
                self.on_begin(start, Some(head.gtid(header.server_id())), None, header.timestamp(), !head.standalone);
                self.begin_group(false);
                self.half_alter = head.half_alter;
                if head.prepares {
                    self.know_group(Outcome::Prepared(Vec::new()));
                }
            }
            kind::PREVIOUS_GTIDS => self.on_previous_gtids(event, is_made_up(&header))?,
            kind::QUERY | kind::MARIADB_QUERY_COMPRESSED => self.on_query(event, start).await?,
            kind::EXECUTE_LOAD_QUERY => self.on_load(event, start).await?,
            kind::LOAD | kind::CREATE_FILE | kind::EXEC_LOAD | kind::NEW_LOAD => self.on_old_load()?,
            kind::XID => self.end_transaction(),
            kind::XA_PREPARE => self.on_xa_prepare(event)?,
            kind::TABLE_MAP => {
                self.open_transaction(start);
                self.on_table_map(event, start).await?;
            }
            kind::PARTIAL_UPDATE_ROWS => self.on_partial_rows(event, site).await?,
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
        if other_file {
            // servers never split a transaction; one that is cut off was not committed
            self.abandon_group()?;
        }
        self.place.rotate(&rotate.file, rotate.position);
        Ok(())
    }

    /// The open transaction; one is opened at `start` when there is none: old servers log no GTID event before it.
    pub(super) fn open_transaction(&mut self, start: u64) -> &mut Open {
        if self.place.open.is_none() {
            self.place.transaction(start);
            self.begin_group(false);
        }
        self.place.transaction(start)
    }

    /// Takes a table map in, unless the rows behind it were taken back.
    pub(super) async fn on_table_map(&mut self, event: &RawEvent, start: u64) -> Result<(), Halt> {
        if self.place.open.as_ref().is_some_and(|open| self.group.takes_back(open.events)) {
            return Ok(());
        }
        self.reader.catalogue.learn(event.data(), &self.server, &self.place, start).await?;
        if self.has_unexplained() {
            // in a box, so that no other event pays for its size
            Box::pin(self.tell_unexplained(start, event.header().timestamp())).await?;
        }
        Ok(())
    }

    fn on_begin(&mut self, start: u64, gtid: Option<Gtid>, time_us: Option<i64>, seconds: u32, begun: bool) {
        self.end_transaction();
        self.reader.catalogue.trim();
        self.reader.catalogue.schemas.trim(|| self.place.resume());
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

    /// An update with only the changed parts of JSON documents is read as the whole update that it stands for.
    pub(super) async fn on_partial_rows(&mut self, event: &RawEvent, site: Site) -> Result<(), Halt> {
        let id = event::table_id(event.data()).map_err(|f| self.fault(f))?;
        let number = self.open_transaction(site.start).events;
        let taken_back = self.group.takes_back(number);
        let whole = match self.reader.catalogue.get(id) {
            Some(Known::Captured(plan)) if !taken_back => {
                let whole = partial_json::expand(&plan.decoders, event.data(), self.reader.limits.row_bytes);
                Some(whole.map_err(|fault| {
                    self.fault(format_args!("an update of {} that cannot be read", plan.table.name)).caused_by(fault).remedy(PARTIAL)
                })?)
            }
            // the rows are passed over unread
            _ => None,
        };
        self.on_rows_of(&event.header(), kind::UPDATE_ROWS, whole.as_deref().unwrap_or(event.data()), site).await
    }

    pub(super) async fn on_rows(&mut self, event: &RawEvent, site: Site) -> Result<(), Halt> {
        let header = event.header();
        self.on_rows_of(&header, header.event_type_raw(), event.data(), site).await
    }

    async fn on_rows_of(
        &mut self,
        header: &BinlogEventHeader,
        event_type: u8,
        body: &[u8],
        Site { start, inner }: Site,
    ) -> Result<(), Halt> {
        let id = event::table_id(body).map_err(|f| self.fault(f))?;
        let open = self.open_transaction(start);
        open.events += 1;
        let number = open.events - 1;
        if self.group.takes_back(number) {
            return Ok(());
        }
        let plan = match self.reader.catalogue.get(id).cloned() {
            Some(Known::Captured(plan)) => plan,
            Some(Known::PassedOver) => {
                self.place.moved = true;
                return Ok(());
            }
            None if id == NO_TABLE => return Ok(()),
            None => {
                return Err(self
                    .fault("rows of a table that it has not described: the stream started inside a transaction")
                    .remedy("Start at the first event of a transaction (a GTID or BEGIN event).")
                    .into());
            }
        };
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
        let rows = event::rows(event_type, body, self.reader.limits.row_bytes)
            .map_err(|f| self.fault(format_args!("rows of {} that cannot be read: {f}", plan.table.name)))?;
        self.check_rows(&plan, &rows)?;
        let delivered = part_rows.saturating_sub(origin.event.rows_before);
        // an older version's count: whole events, then rows of the next one
        let counted = match number.cmp(&skip.events) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => skip.rows,
            std::cmp::Ordering::Greater => 0,
        };
        let already = if had { u64::MAX } else { delivered.max(counted) };
        let mut cursor = Cursor(&rows.data);
        let passed = assembly::pass_over(&plan, rows.kind, rows.partial.as_ref(), &mut cursor, already)?;
        let mut row = first_row.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
        self.note_rows(&origin, &plan, row);
        if number >= skip.events {
            self.place.pass_counted();
        }
        if !cursor.is_empty() && plan.begins() {
            // what stands before the open transaction, then what is held of that
            while !self.assembly.is_empty() {
                self.make_room().await?;
            }
            if self.group.takes_back(number) {
                return Ok(());
            }
        }
        if !cursor.is_empty() && self.assembly.holds_another_version(&plan.table) {
            self.send().await?;
            if self.assembly.holds_another_version(&plan.table) {
                // they are rows of the open transaction, which is held
                self.settle().await?;
                self.send().await?;
                if self.group.takes_back(number) {
                    return Ok(());
                }
            }
        }
        while !cursor.is_empty() {
            if self.assembly.is_full() {
                self.make_room().await?;
                if self.group.takes_back(number) {
                    return Ok(());
                }
            }
            let filled = self.assembly.fill(&origin, &plan, rows.kind, rows.partial.as_ref(), &mut cursor, &mut row);
            self.note_rows(&origin, &plan, row);
            filled?;
        }
        if inner {
            self.place.transaction(start).unpacked_rows = row;
        }
        // with whole transactions before the open one, it waits for the end of that, which is mostly the next event
        if self.assembly.is_full() && self.group.held_from().is_none() && self.group.begins_at().is_nothing() {
            self.send().await?;
        }
        Ok(())
    }

    /// Notes how far the event's rows have been read: up to its row `next`.
    fn note_rows(&mut self, origin: &Origin, plan: &Plan, next: u32) {
        self.place.read_up_to(&plan.counted, origin.event.rows_before(next));
    }

    fn check_rows(&self, plan: &Plan, rows: &Rows<'_>) -> Result<(), Halt> {
        if rows.columns != plan.decoders.len() {
            return Err(self.fault(format_args!("rows of {} with another number of columns than it described", plan.table.name)).into());
        }
        let Some(partial) = &rows.partial else { return Ok(()) };
        if self.reader.row_image == RowImage::Full && !partial.is_complete() {
            return Err(self
                .fault(format_args!("rows of {} that do not hold every column", plan.table.name))
                .remedy("Take them without the columns that are not logged: write `row_image: partial` at the source. Or set binlog_row_image = FULL \
                     globally, have sessions that overrode it reconnect, and move the sinks past this place with `sluicegate checkpoint set --force`: \
                     what stands between is not delivered, so copy or compare the table.")
                .into());
        }
        if partial.is_empty() {
            return Err(self
                .fault(format_args!("rows of {} of which no column is logged: all have their defaults", plan.table.name))
                .remedy("Set binlog_row_image = FULL globally, have sessions that overrode it reconnect, and move the sinks past this place with \
                     `sluicegate checkpoint set --force`: what stands between is not delivered, so copy or compare the table.")
                .into());
        }
        Ok(())
    }
}

/// Whether the server made the event up for this connection.
fn is_made_up(header: &BinlogEventHeader) -> bool {
    header.flags_raw() & event::ARTIFICIAL != 0 || header.log_pos() == 0
}
