//! The dump: the events of the server's binlog, as the server sends them.
//!
//! A compressed transaction has to come out packed, so that [`payload`](super::payload) can unpack it event by event.
//! `mysql_async` does not let that happen: `BinlogStream::poll_next` unpacks it itself, into a buffer of the size that the
//! server declares, before it hands the event out, and neither packets nor the connection's socket can be had to read without
//! it. `mysql` (the blocking client of the same author, on the same protocol crate, with the same authentication and rustls)
//! hands such an event out as it came. So the dump of a MySQL server is read with `mysql`, on a thread of its own, and its
//! events come over a queue ([`event_queue`]). Everything else goes through `mysql_async`,
//! and two kinds of dump still do:
//!
//! - MariaDB's: it does not write such events. Its own compressed events are no matter of the library's.
//! - One that has a `ca_file`: `mysql` would trust the public authorities beside it, `mysql_async` trusts nothing else. There,
//!   and only there, a compressed transaction takes the memory that it unpacks to, in the library.

use std::{
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use futures_util::{Stream, StreamExt};
use mysql::prelude::Queryable as _;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn, IoError, Sid, binlog::events::Event, prelude::Queryable as _};
use tokio::sync::oneshot;

use super::{
    connection::{Connector, Server},
    event_queue::{self, Receiver, Sender},
    position::Flavour,
};
use sluicegate_model::{Error, ErrorKind, Result};

/// Periods of the heartbeat after which a read that brings nothing ends. The stream has given the connection up by then.
const SILENT_HEARTBEATS: u32 = 4;

/// What the server is asked for.
#[derive(Debug)]
pub(super) struct Request {
    /// The id to register under.
    pub(super) server_id: u32,
    /// How often the server says that it is there.
    pub(super) heartbeat: Duration,
    /// Statements to run first.
    pub(super) settings: Vec<String>,
    /// Where to begin.
    pub(super) begin: Begin,
    /// Whether the dump ends where the log ends, instead of waiting for more.
    pub(super) to_end: bool,
}

/// Where a dump begins.
#[derive(Debug)]
pub(super) enum Begin {
    /// At a position of a file.
    File {
        /// File name.
        file: String,
        /// Position of the first event.
        position: u64,
    },
    /// Behind these transactions.
    Gtids(Vec<Sid<'static>>),
    /// Where the session's settings say.
    Session,
}

/// A dump that has been asked for.
pub(super) enum Dump {
    /// Read by `mysql_async`.
    Task(Box<BinlogStream>),
    /// Read by `mysql`.
    Thread(Receiver<Item>),
}

/// What the thread hands over: an event or an error, or what it panicked with.
type Item = thread::Result<mysql_async::Result<Event>>;

impl Dump {
    /// Asks `server`, which answers on `conn`, for its binlog.
    pub(super) async fn open(connector: &Connector, mut conn: Conn, server: &Server, request: Request) -> Result<Self> {
        let blocking = match server.flavour {
            Flavour::MySql => connector.blocking().await?,
            Flavour::MariaDb => None,
        };
        if let Some(opts) = blocking {
            // the other library makes a connection of its own; the account may have no second one. Whether the server hears the
            // COM_QUIT makes no difference
            let _ = connector.within("leave", conn.disconnect()).await;
            return on_thread(connector, opts, server, request).await.map(Dump::Thread);
        }
        for statement in &request.settings {
            connector.within("prepare the connection to", conn.query_drop(statement)).await?;
        }
        let asked = BinlogStreamRequest::new(request.server_id);
        let asked = if request.to_end { asked.with_non_blocking() } else { asked };
        let asked = match &request.begin {
            Begin::File { file, position } => asked.with_filename(file.as_bytes()).with_pos(*position),
            Begin::Gtids(sids) => asked.with_gtid().with_gtid_set(sids.iter().cloned()),
            Begin::Session => asked,
        };
        let stream = connector.within("read the binlog of", conn.get_binlog_stream(asked)).await?;
        Ok(Dump::Task(Box::new(stream)))
    }
}

impl Stream for Dump {
    type Item = mysql_async::Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut *self {
            Dump::Thread(events) => match ready!(events.poll_next(context)) {
                Some(Ok(event)) => Poll::Ready(Some(event)),
                // it goes on here, as if the event had been read here
                Some(Err(panic)) => panic::resume_unwind(panic),
                None => Poll::Ready(None),
            },
            Dump::Task(stream) => loop {
                let event = ready!(stream.poll_next_unpin(context));
                // what the library has unpacked has no checksum; we do that ourselves
                if !matches!(&event, Some(Ok(event)) if !event.footer().get_checksum_enabled()) {
                    return Poll::Ready(event);
                }
            },
        }
    }
}

/// Starts the thread, and waits until it has asked for the dump.
async fn on_thread(connector: &Connector, opts: mysql::OptsBuilder, server: &Server, request: Request) -> Result<Receiver<Item>> {
    let opts = opts.read_timeout(Some(request.heartbeat.saturating_mul(SILENT_HEARTBEATS)));
    let (sender, events) = event_queue::new();
    let (opened, opening) = oneshot::channel();
    let identity = server.identity.clone();
    let read = move || match ask(opts, identity, request) {
        Ok(stream) => {
            // else nobody waits for it any more
            if opened.send(Ok(())).is_ok() {
                follow(stream, &sender);
            }
        }
        Err(error) => _ = opened.send(Err(translate(error))),
    };
    thread::Builder::new().name("binlog".to_owned()).spawn(read).map_err(|e| {
        // like a connection that fails, this may pass
        let error = Error::new(ErrorKind::Connection, "cannot start the thread that reads the binlog");
        error.caused_by(e).remedy("Allow the program more threads (ulimit -u, the container's pids limit).")
    })?;
    let opening = async { opening.await.unwrap_or_else(|_| Err(mysql_async::DriverError::ConnectionClosed.into())) };
    connector.within("read the binlog of", opening).await?;
    Ok(events)
}

/// Connects and asks for the dump.
fn ask(opts: mysql::OptsBuilder, identity: Option<Box<str>>, request: Request) -> mysql::Result<mysql::BinlogStream> {
    let mut conn = mysql::Conn::new(opts)?;
    // behind a proxy, two connections may end at two servers
    let reached: Option<String> = conn.query_first("SELECT @@server_uuid")?;
    if reached.as_deref() != identity.as_deref() {
        return Err(std::io::Error::other("two connections reached two different servers").into());
    }
    for statement in &request.settings {
        conn.query_drop(statement)?;
    }
    let flags = if request.to_end { mysql::BinlogDumpFlags::BINLOG_DUMP_NON_BLOCK } else { mysql::BinlogDumpFlags::empty() };
    let asked = mysql::BinlogRequest::new(request.server_id).with_flags(flags);
    conn.get_binlog_stream(match request.begin {
        Begin::File { file, position } => asked.with_filename(file.into_bytes()).with_pos(position),
        Begin::Gtids(sids) => asked.with_use_gtid(true).with_sids(sids),
        Begin::Session => asked,
    })
}

/// Hands on what comes, until it ends or nobody takes it any more. A server that has nothing to say sends heartbeats, so that
/// the end is noticed.
fn follow(mut stream: mysql::BinlogStream, events: &Sender<Item>) {
    loop {
        // the library slices without checks where an event is shorter than it says
        let item = match panic::catch_unwind(AssertUnwindSafe(|| stream.next())) {
            Ok(None) => return,
            Ok(Some(event)) => Ok(event.map_err(translate)),
            Err(panic) => Err(panic),
        };
        let size = match &item {
            Ok(Ok(event)) => event.header().event_size() as usize,
            Ok(Err(_)) | Err(_) => {
                events.send(item, 0);
                return;
            }
        };
        if !events.send(item, size) {
            return;
        }
    }
}

/// The one library's error as the other's.
fn translate(error: mysql::Error) -> mysql_async::Error {
    use mysql::{DriverError as From, Error};
    use mysql_async::DriverError as To;
    match error {
        Error::IoError(error) => mysql_async::Error::Io(IoError::Io(error)),
        Error::MySqlError(error) => {
            mysql_async::Error::Server(mysql_async::ServerError { code: error.code, message: error.message, state: error.state })
        }
        Error::DriverError(From::TlsNotSupported) => To::NoClientSslFlagFromServer.into(),
        Error::DriverError(From::UnknownAuthPlugin(name)) => To::UnknownAuthPlugin { name }.into(),
        Error::DriverError(From::OldMysqlPasswordDisabled) => To::MysqlOldPasswordDisabled.into(),
        Error::DriverError(From::CleartextPluginDisabled) => To::CleartextPluginDisabled.into(),
        other => mysql_async::Error::Other(Box::new(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_refuses_keeps_its_code_in_translation() {
        let refusal = mysql::MySqlError { state: "HY000".into(), message: "Could not find first log file".into(), code: 1236 };
        let translated = translate(mysql::Error::MySqlError(refusal));
        assert!(matches!(translated, mysql_async::Error::Server(server) if server.code == 1236 && server.message.contains("log file")));
    }
}
