//! XA transactions: their rows stand in the log where they were prepared, and are delivered where they are committed.
//!
//! Both servers log what was prepared as a transaction of its own, and its `XA COMMIT` or `XA ROLLBACK` under another GTID, after any
//! time, from any session. So rows are passed over at the prepare, whose place is noted in the offset, and are read again from there
//! when the commit comes: in the order of commits, under the commit's GTID and place. They count as rows of the commit. Nothing of it is
//! held in memory. A prepare whose place is not noted (it stands before the start of the pipeline, or was read from another server) is
//! searched for in the log, from the commit backwards. Where it is no longer there, the stream stops: its rows would be lost.

use std::sync::Arc;

use mysql_async::binlog::events::Event as RawEvent;
use serde::{Deserialize, Serialize};
use sluicegate_model::{Error, ErrorKind, Result};

use super::{
    cursor::{Cursor, Fault},
    dispatch::Site,
    event::{self, kind},
    ledger::file_number,
    outcome::Outcome,
    payload::Payload,
    scout::Scouted,
    start,
    stream::{Halt, Stream},
};

/// An XA transaction that is prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepared {
    /// Its identifier as servers write it: `X'7831',X'',1`.
    pub xid: Arc<str>,
    /// The GTID under which it was prepared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub transaction: Option<Arc<str>>,
    /// The file that it was prepared in; on the server that the offset is of.
    pub file: Arc<str>,
    /// The position of its first event.
    pub position: u64,
}

/// How an XA transaction is named in the log.
pub fn xid(format: u32, global: &[u8], branch: &[u8]) -> Arc<str> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("X'{}',X'{}',{format}", hex(global), hex(branch)).into()
}

/// The event that ends what was prepared: whether it was committed in one phase, and its name.
pub fn prepare_event(body: &[u8]) -> Result<(bool, Arc<str>), Fault> {
    let mut cursor = Cursor(body);
    let one_phase = cursor.u8()? != 0;
    let format = cursor.u32()?;
    let (global, branch) = (cursor.u32()? as usize, cursor.u32()? as usize);
    if global > 64 || branch > 64 {
        return Err(Fault::Invalid("an XA identifier that is too long"));
    }
    let (global, branch) = (cursor.take(global)?, cursor.take(branch)?);
    Ok((one_phase, xid(format, global, branch)))
}

/// The name in `XA COMMIT X'…',X'…',…`.
pub fn named(text: &str) -> Option<Arc<str>> {
    let text = text.trim_start().get(2..)?.trim_start();
    let name = text.split_once(char::is_whitespace)?.1.trim();
    let mut parts = name.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
    let mut bytes = || {
        let hex = parts.next()?.strip_prefix(['X', 'x'])?.strip_prefix('\'')?.strip_suffix('\'')?;
        hex.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| hex.to_ascii_lowercase())
    };
    let (global, branch) = (bytes()?, bytes()?);
    let format: u32 = parts.next()?.parse().ok()?;
    Some(format!("X'{global}',X'{branch}',{format}").into())
}

impl Stream {
    /// An XA transaction begins in the log (MySQL): whether it is only prepared is known at its end.
    pub(super) fn begin_xa(&mut self) {
        if self.place.open.as_ref().is_some_and(|open| open.events == 0)
            && self.group.held_from().is_none()
            && self.group.outcome().is_none()
        {
            self.begin_group(false);
        }
        self.group.mark_xa();
    }

    /// The end of what was prepared, or committed in one phase.
    pub(super) fn on_xa_prepare(&mut self, event: &RawEvent) -> Result<(), Halt> {
        let (one_phase, xid) = prepare_event(event.data()).map_err(|fault| self.fault(fault))?;
        if !one_phase {
            if !matches!(self.group.outcome(), Some(Outcome::Prepared(_))) {
                self.roll_back_group()?;
            }
            self.place.prepare(xid);
        }
        self.end_transaction();
        Ok(())
    }

    /// `XA COMMIT` or `XA ROLLBACK` of what was prepared.
    pub(super) async fn on_xa_end(&mut self, text: &str, start: u64, rolled_back: bool) -> Result<(), Halt> {
        let xid = named(text).ok_or_else(|| self.fault("the end of an XA transaction whose name cannot be read"))?;
        let had = self.place.open.as_ref().is_some_and(|open| open.had);
        if !rolled_back && !had {
            let prepared = match self.place.prepared(&xid) {
                Some(prepared) => Some(prepared.clone()),
                None => self.find_prepared(&xid).await?,
            };
            if let Some(prepared) = prepared {
                self.replay(&prepared, start).await?;
            }
        }
        self.place.end_prepared(&xid);
        self.end_transaction();
        Ok(())
    }

    /// Takes in the rows of a transaction that was prepared, as rows of the open one.
    async fn replay(&mut self, prepared: &Prepared, start: u64) -> Result<(), Halt> {
        let outcome = match self.read_outcome(&prepared.file, prepared.position).await {
            Ok(Outcome::Prepared(taken_back)) => Outcome::Committed(taken_back),
            Ok(_) => return Err(self.not_there(&prepared.xid).into()),
            Err(Halt::Failed(error)) if error.kind() == ErrorKind::Source && !self.has_file(&prepared.file).await? => {
                return Err(self.not_there(&prepared.xid).caused_by(error).into());
            }
            Err(halt) => return Err(halt),
        };
        self.know_group(outcome);
        let mut scout = self.scout(&prepared.file, prepared.position).await?;
        let site = Site { start, inner: true };
        loop {
            let Some(Scouted { event, .. }) = scout.next(&self.reader.connector).await? else {
                return Err(Error::new(ErrorKind::Connection, "the log ended in the middle of a transaction that is read again").into());
            };
            match event.header().event_type_raw() {
                kind::TRANSACTION_PAYLOAD => {
                    let mut payload = Payload::open(event.data(), self.reader.limits.row_bytes).map_err(|refusal| self.refuse(refusal))?;
                    while let Some(inner) = payload.next().map_err(|refusal| self.refuse(refusal))? {
                        if self.replay_event(&inner, site).await? {
                            return Ok(());
                        }
                    }
                }
                _ => {
                    if self.replay_event(&event, site).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes one of its events in; answers whether it was the last.
    async fn replay_event(&mut self, event: &RawEvent, site: Site) -> Result<bool, Halt> {
        self.events += 1;
        match event.header().event_type_raw() {
            kind::XA_PREPARE => return Ok(true),
            kind::TABLE_MAP => self.on_table_map(event, site.start).await?,
            kind::PARTIAL_UPDATE_ROWS => self.on_partial_rows(event, site).await?,
            event_type if event::rows_kind(event_type).is_some() => self.on_rows(event, site).await?,
            kind::QUERY | kind::MARIADB_QUERY_COMPRESSED | kind::EXECUTE_LOAD_QUERY => self.replay_statement(event, site.start).await?,
            _ => {}
        }
        if self.reader.stop.is_cancelled() {
            return Err(Halt::Stop);
        }
        self.reader.status.source.hear();
        self.flush_if_due().await?;
        tokio::task::consume_budget().await;
        Ok(false)
    }

    /// Searches the log for the prepare, from the open transaction backwards.
    async fn find_prepared(&self, xid: &str) -> Result<Option<Prepared>, Halt> {
        let stop = self.reader.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Halt::Stop),
            found = self.search(xid) => Ok(found?),
        }
    }

    async fn search(&self, xid: &str) -> Result<Option<Prepared>> {
        let Some(open) = &self.place.open else { return Ok(None) };
        tracing::info!(xid, "searching the log for an XA transaction that was prepared before this stream began, and is committed now");
        let connector = &self.reader.connector;
        let mut conn = connector.connect().await?;
        let mut files = start::log_files(connector, &mut conn).await?;
        drop(conn);
        if let Some(at) = files.iter().position(|file| *file.name == *open.file) {
            files.truncate(at + 1);
        }
        let whole = files.first().is_some_and(|file| file_number(&file.name) == Some(1));
        for file in files.iter().rev() {
            let end = if *file.name == *open.file { open.position } else { u64::MAX };
            if let Some(found) = self.search_file(&file.name, end, xid).await? {
                return Ok(Some(found));
            }
        }
        // with the whole log at hand, it was prepared without a change that is logged
        if whole { Ok(None) } else { Err(self.not_there(xid)) }
    }

    /// The last prepare of a file that ends before a position.
    async fn search_file(&self, file: &str, end: u64, xid: &str) -> Result<Option<Prepared>> {
        let mut scout = self.scout(file, start::FIRST).await?;
        let mut found = None;
        let (mut begin, mut transaction) = (start::FIRST, None);
        loop {
            let event = match scout.next(&self.reader.connector).await {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(found),
                Err(error) if super::ahead::is_cut_off(&error) => return Ok(found),
                Err(error) => return Err(error),
            };
            if **scout.file() != *file || event.start >= end {
                return Ok(found);
            }
            let mut look = |inner: &RawEvent| -> Result<(), Fault> {
                if inner.header().event_type_raw() == kind::XA_PREPARE && prepare_event(inner.data())? == (false, xid.into()) {
                    found = Some(Prepared { xid: xid.into(), transaction: transaction.clone(), file: file.into(), position: begin });
                }
                Ok(())
            };
            let unreadable = |fault| self.fault("an XA prepare that cannot be read").caused_by(fault);
            match event.event.header().event_type_raw() {
                kind::GTID | kind::GTID_TAGGED => {
                    (begin, transaction) = (event.start, event::mysql_gtid(&event.event).ok().map(|head| head.gtid.to_string().into()));
                }
                kind::MARIADB_GTID => {
                    let server = event.event.header().server_id();
                    let gtid = event::mariadb_gtid(event.event.data()).ok().map(|head| head.gtid(server).to_string().into());
                    (begin, transaction) = (event.start, gtid);
                }
                kind::ANONYMOUS_GTID => (begin, transaction) = (event.start, None),
                kind::TRANSACTION_PAYLOAD => {
                    let mut payload =
                        Payload::open(event.event.data(), self.reader.limits.row_bytes).map_err(|_| unreadable(Fault::Truncated))?;
                    while let Some(inner) = payload.next().map_err(|_| unreadable(Fault::Truncated))? {
                        look(&inner).map_err(unreadable)?;
                    }
                }
                _ => look(&event.event).map_err(unreadable)?,
            }
            self.reader.status.source.hear();
        }
    }

    async fn has_file(&self, file: &str) -> Result<bool> {
        let connector = &self.reader.connector;
        let mut conn = connector.connect().await?;
        Ok(start::log_files(connector, &mut conn).await?.iter().any(|known| known.name == file))
    }

    fn not_there(&self, xid: &str) -> Error {
        self.fault(format_args!("the commit of the XA transaction {xid}, whose rows stand where it was prepared: no longer in its log"))
            .remedy(
                "Keep binlogs longer than XA transactions stay prepared (binlog_expire_logs_seconds, XA RECOVER). To go on, move the sinks past \
                 this commit with `sluicegate checkpoint set --force`: its rows are not delivered, so copy or compare the tables that it changed.",
            )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_name_in_a_statement_is_that_of_the_event() {
        assert_eq!(named("XA COMMIT X'7831',X'',1").as_deref(), Some("X'7831',X'',1"));
        assert_eq!(named("XA ROLLBACK X'00ff41',X'62',3").as_deref(), Some("X'00ff41',X'62',3"));
        assert_eq!(named("xa  commit  x'00FF41',x'62',3 ONE PHASE").as_deref(), Some("X'00ff41',X'62',3"));
        assert_eq!(&*xid(3, &[0, 0xff, 0x41], b"b"), "X'00ff41',X'62',3");
        // as seen in logs
        let body = [0, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0xff, 0x41, 0x62];
        assert_eq!(prepare_event(&body), Ok((false, "X'00ff41',X'62',3".into())));
        let body = [1, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0x78, 0x33];
        assert_eq!(prepare_event(&body), Ok((true, "X'7833',X'',1".into())));
    }

    proptest! {
        #[test]
        fn any_bytes_and_any_text_are_answered(bytes: Vec<u8>, text in ".{0,40}") {
            let _ = prepare_event(&bytes);
            named(&text);
            named(&format!("XA COMMIT {text}"));
        }

        #[test]
        fn any_name_is_read_as_it_is_written(format: u32, global in prop::collection::vec(any::<u8>(), 1..64), branch in prop::collection::vec(any::<u8>(), 0..64)) {
            let xid = xid(format, &global, &branch);
            prop_assert_eq!(named(&format!("XA COMMIT {xid}")), Some(xid));
        }
    }
}
