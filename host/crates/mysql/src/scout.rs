//! The scout: reads ahead in the log on a connection of its own, up to the log's present end, and stops there.
//!
//! It asks as `mysqlbinlog` does, with the server id 0 and without waiting for more. A server ends an older dump of the same id when
//! a new one comes, but not for 0, so a scout ends no other dump, and none ends it.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt};
use mysql_async::binlog::events::Event;
use tokio::time::timeout;

use super::{
    connection::{Connector, Server},
    dump::{Begin, Dump, Request},
    event::{self, kind},
    gtid::GtidSet,
    place::widen,
    position::BinlogPosition,
    proof::Proof,
    start::FIRST,
    stream,
};
use sluicegate_model::{Error, ErrorKind, Result};

/// Heartbeats' time that may pass without an event before the connection counts as dead.
const PATIENCE: u32 = 3;

/// An event that stands in the log, and where.
#[derive(Debug)]
pub struct Scouted {
    /// The event, as it was logged: a compressed transaction comes packed.
    pub event: Event,
    /// The position of its first byte in [`Scout::file`].
    pub start: u64,
}

/// A dump from a place of the log to the log's present end.
pub struct Scout {
    dump: Dump,
    address: String,
    patience: Duration,
    file: Arc<str>,
    position: u64,
    /// Events before this position of the first file are not asked for.
    from: u64,
}

impl Scout {
    /// Begins at a place of the log of `server`, where an event has to begin.
    ///
    /// # Errors
    /// `Connection`: another attempt may work; also when another server answers now. `Source`: the server no longer has the file.
    pub async fn open(connector: &Connector, server: &Server, heartbeat: Duration, file: &str, position: u64) -> Result<Self> {
        // the protocol cannot name a place beyond 4 GiB: there the file is read from its first event on
        let asked = if position > u64::from(u32::MAX) { FIRST } else { position };
        let begin = Begin::File { file: file.to_owned(), position: asked };
        let dump = ask(connector, server, heartbeat, begin, None).await?;
        let address = connector.address().to_owned();
        Ok(Self { dump, address, patience: heartbeat * PATIENCE, file: file.into(), position: asked, from: position })
    }

    /// Begins behind a place that may have been read from another server.
    ///
    /// # Errors
    /// As of [`Self::open`]; `Source` also where the server no longer has what follows.
    pub async fn behind(connector: &Connector, server: &Server, heartbeat: Duration, place: &BinlogPosition) -> Result<Self> {
        let begin = stream::begin_at(server, place, Proof::Gtids)?;
        let dump = ask(connector, server, heartbeat, begin, place.resumable_gtids().map(GtidSet::position_text)).await?;
        let address = connector.address().to_owned();
        // the server says at first which file it is
        Ok(Self { dump, address, patience: heartbeat * PATIENCE, file: "".into(), position: FIRST, from: 0 })
    }

    /// The file of the event that came last.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The position behind the event that came last; once [`Self::next`] has answered `None`, the log's end.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next event that stands in the log; `None` at its end.
    ///
    /// # Errors
    /// `Connection` when it breaks or falls silent; `Source` when an event is damaged.
    pub async fn next(&mut self, connector: &Connector) -> Result<Option<Scouted>> {
        loop {
            let Some(event) = self.read(connector).await? else { return Ok(None) };
            let header = event.header();
            let event_type = header.event_type_raw();
            let made_up = header.flags_raw() & event::ARTIFICIAL != 0
                || matches!(event_type, kind::HEARTBEAT | kind::HEARTBEAT_V2)
                || (header.log_pos() == 0 && matches!(event_type, kind::FORMAT_DESCRIPTION | kind::ROTATE));
            if !made_up && !event::checksum_holds(&event) {
                return Err(self.damaged("whose checksum does not fit its bytes"));
            }
            let size = u64::from(header.event_size());
            if event_type == kind::ROTATE {
                let rotate = event::rotate(&event).map_err(|fault| self.damaged("that cannot be read").caused_by(fault))?;
                if *rotate.file != *self.file {
                    // the first file is the one that was asked for
                    (self.file, self.from) = (rotate.file.into(), 0);
                }
                self.position = rotate.position;
                continue;
            }
            // at the start of a dump the server sends the file's description, also when it begins further on
            if made_up || (event_type == kind::FORMAT_DESCRIPTION && u64::from(header.log_pos()) <= self.position && self.position != FIRST)
            {
                continue;
            }
            let end = match header.log_pos() {
                0 => self.position + size,
                low => widen(self.position, low),
            };
            self.position = end;
            let start = end.saturating_sub(size);
            if start >= self.from {
                return Ok(Some(Scouted { event, start }));
            }
        }
    }

    async fn read(&mut self, connector: &Connector) -> Result<Option<Event>> {
        // the usual case costs no timer
        let event = match AssertUnwindSafe(self.dump.next()).catch_unwind().now_or_never() {
            Some(event) => event,
            None => match timeout(self.patience, AssertUnwindSafe(self.dump.next()).catch_unwind()).await {
                Ok(event) => event,
                Err(_) => {
                    let text = format!("nothing came from {} for {:?} while its log was read ahead", self.address, self.patience);
                    return Err(Error::new(ErrorKind::Connection, text));
                }
            },
        };
        match event {
            Ok(Some(Ok(event))) => Ok(Some(event)),
            Ok(Some(Err(error))) => {
                Err(connector.explain("read ahead in the binlog of", error).context(format_args!("behind {}:{}", self.file, self.position)))
            }
            Ok(None) => Ok(None),
            // the library slices without checks where an event is shorter than it says
            Err(_) => Err(self.damaged("that cannot be read")),
        }
    }

    fn damaged(&self, what: &str) -> Error {
        Error::new(ErrorKind::Source, format!("{} sent an event {what}, behind {}:{}", self.address, self.file, self.position))
            .remedy("Check the server's binlog with mysqlbinlog --verify-binlog-checksum.")
    }
}

/// Opens a dump to the log's end.
async fn ask(connector: &Connector, server: &Server, heartbeat: Duration, begin: Begin, gtids: Option<String>) -> Result<Dump> {
    let mut conn = connector.connect().await?;
    let reached = connector.identify(&mut conn).await?;
    if reached.flavour != server.flavour || reached.identity != server.identity {
        return Err(Error::new(ErrorKind::Connection, format!("{} is another server than a moment ago", connector.address()))
            .remedy("If several servers are behind one address, let it lead to one of them at a time."));
    }
    let settings = stream::session_settings(server, heartbeat, gtids);
    Dump::open(connector, conn, server, Request { server_id: 0, heartbeat, settings, begin, to_end: true }).await
}
