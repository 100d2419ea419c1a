//! The stream: connect, read events, fill batches, hand them on; and again when the connection breaks.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt};
use mysql_async::binlog::events::Event as RawEvent;
use tokio_util::sync::CancellationToken;

use super::{
    assembly::Assembly,
    capturing::Capturing,
    catalogue::Catalogue,
    connection::{Connector, Server},
    copy::{self, Copying},
    dump::{Begin, Dump, Request},
    ends::Ends,
    group::Group,
    gtid::GtidSet,
    hosts,
    place::Place,
    position::{BinlogPosition, Flavour, LANE},
    proof::Proof,
    query::Watch,
    survey::Spot,
};
use sluicegate_config::RowImage;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Lane},
    limits::{Limits, POSITION_INTERVAL},
};
use sluicegate_source::{Items, Pace, Patience};
use sluicegate_status::Status;

/// After this long without an event everything has been read.
const IDLE: Duration = Duration::from_millis(100);
/// Times of `batch_wait` that changes before a transaction wait for its end, when that has to be waited for.
const HELD_PATIENCE: u32 = 4;
/// Heartbeats that may stay away before the connection counts as dead.
const MISSED_HEARTBEATS: u32 = 3;

/// What `/readyz` calls the source while it is waited for.
const SOURCE: &str = "the source";

/// Why the stream does not go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// It was asked to stop, or nobody takes its batches any more.
    Stop,
    /// An error.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Halt::Failed(error)
    }
}

/// Everything that outlives a connection.
pub(super) struct Reader {
    pub(super) connector: Connector,
    pub(super) server_id: u32,
    pub(super) heartbeat: Duration,
    pub(super) row_image: RowImage,
    pub(super) limits: Limits,
    pub(super) status: Arc<Status>,
    pub(super) catalogue: Catalogue,
    pub(super) pace: Pace,
    pub(super) watch: Watch,
    pub(super) out: Items,
    pub(super) stop: CancellationToken,
}

/// A stream that has found its place.
pub(super) struct Stream {
    pub(super) reader: Reader,
    pub(super) server: Server,
    pub(super) place: Place,
    pub(super) assembly: Assembly,
    pub(super) lane: Lane,
    /// Events read, to tell them apart.
    pub(super) events: u64,
    /// Whether the open transaction holds an ALTER TABLE that is not done (MariaDB's `binlog_alter_two_phase`).
    pub(super) half_alter: bool,
    /// The copies of tables, until they are done.
    pub(super) copying: Option<Box<Copying>>,
    /// Which tables are captured and copied.
    pub(super) capturing: Capturing,
    /// The open transaction, whose rows may be taken back.
    pub(super) group: Group,
    /// Batches to be sent before everything else.
    pub(super) ready: Vec<Batch>,
    /// The end of the transaction whose rows were given last.
    pub(super) ends: Ends,
    pub(super) sent: Instant,
    heard: Instant,
    idle: bool,
}

impl Reader {
    /// Streams from a position on until stopped or until an error is final.
    pub(super) async fn run(self, start: BinlogPosition, capturing: Capturing) -> Result<()> {
        match self.run_to_halt(&start, capturing).await {
            Halt::Stop => Ok(()),
            Halt::Failed(error) => Err(error),
        }
    }

    async fn run_to_halt(self, start: &BinlogPosition, mut capturing: Capturing) -> Halt {
        let mut patience = Patience::new(self.limits.retry_window);
        let mut reader = self;
        let mut stream = loop {
            match reader.identify(start).await {
                Ok(server) => {
                    tracing::info!(
                        server = reader.connector.address(), version = server.version, position = %start, "starting to read the binlog"
                    );
                    reader.catalogue.fit(&server);
                    let copies = match reader.begin_captures(&mut capturing, &server).await {
                        Ok(copies) => copies,
                        Err(halt) => return halt,
                    };
                    reader.out.begin();
                    let mut stream = Stream::new(reader, server, Place::new(start), capturing);
                    stream.copying = copies.map(|copies| Box::new(Copying::start(copies, &stream.reader)));
                    break stream;
                }
                Err(Halt::Failed(error)) if error.kind() == ErrorKind::Connection => {
                    if let Err(halt) = wait(&mut patience, error, &reader.stop, &reader.status).await {
                        return halt;
                    }
                }
                Err(halt) => return halt,
            }
            reader.catalogue.disconnect();
        };
        let mut connections = 0_u64;
        loop {
            let halt = stream.connect_and_follow(&mut connections, &mut patience).await;
            stream.reader.status.source.disconnect();
            stream.reader.catalogue.disconnect();
            if let Some(copying) = &mut stream.copying {
                copying.reconnected();
            }
            let Halt::Failed(error) = halt else {
                let place = stream.place.resume();
                return match stream.reader.catalogue.schemas.note(&place).await {
                    Ok(()) => halt,
                    Err(failed) => failed,
                };
            };
            // what was read whole is delivered, whatever came behind it; the place knows how far into the transaction that is
            let passed = match stream.send_whole(&error).await {
                Ok(passed) => passed,
                Err(stopped) => return if error.kind() == ErrorKind::Connection { stopped } else { error.into() },
            };
            if passed {
                continue;
            }
            match error.kind() {
                ErrorKind::Connection => {
                    if let Err(halt) = wait(&mut patience, error, &stream.reader.stop, &stream.reader.status).await {
                        return halt;
                    }
                }
                _ => return error.into(),
            }
        }
    }

    /// Keeps what is captured from here on. Answers what is left to copy; stops where that is all that there is to do.
    async fn begin_captures(&self, capturing: &mut Capturing, server: &Server) -> Result<Option<copy::Lanes>, Halt> {
        self.catalogue.schemas.keep_captured(capturing.kept().to_json()).await?;
        let copies = capturing.lanes(server)?;
        if copies.is_none() && capturing.ends_with_copies() { Err(Halt::Stop) } else { Ok(copies) }
    }

    /// Finds out what the server is, and which schemas hold at the place where the stream begins: before it is said to begin, so that
    /// whatever happens to it from then on, they are known.
    async fn identify(&mut self, start: &BinlogPosition) -> Result<Server, Halt> {
        let stop = self.stop.clone();
        let identify = async {
            let (mut conn, server, _) = hosts::reach(&self.connector, start).await?;
            self.catalogue.schemas.begin(&mut conn, &server, start).await?;
            Ok(server)
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Halt::Stop),
            server = identify => server,
        }
    }
}

impl Stream {
    /// A stream from a place on.
    pub(super) fn new(reader: Reader, server: Server, place: Place, capturing: Capturing) -> Self {
        let lane = Lane::new(LANE);
        let assembly = Assembly::new(&reader.limits, lane.clone());
        let now = Instant::now();
        let (group, ready) = (Group::default(), Vec::new());
        Self {
            reader,
            server,
            place,
            assembly,
            lane,
            events: 0,
            half_alter: false,
            copying: None,
            capturing,
            group,
            ready,
            ends: Ends::default(),
            sent: now,
            heard: now,
            idle: true,
        }
    }

    /// One connection's life.
    async fn connect_and_follow(&mut self, connections: &mut u64, patience: &mut Patience) -> Halt {
        let stop = self.reader.stop.clone();
        let stream = tokio::select! {
            biased;
            () = stop.cancelled() => return Halt::Stop,
            stream = self.open() => stream,
        };
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(halt) => return halt,
        };
        if let Err(halt) = self.empty_tables().await {
            return halt;
        }
        self.heard = Instant::now();
        let opened = Instant::now();
        let (mut connected, mut healthy) = (false, false);
        loop {
            let event = match self.next(&mut stream).await {
                Ok(event) => event,
                Err(halt) => return halt,
            };
            if !connected {
                // the server refuses a dump only here, not when it is asked for
                connected = true;
                self.reader.status.source.connect();
                self.reader.status.waiting.end(SOURCE);
                if *connections > 0 {
                    self.reader.status.source.reconnects.add(1);
                    tracing::info!(server = self.reader.connector.address(), position = %self.place.resume(), "connected again");
                }
                *connections += 1;
            }
            if let Err(halt) = self.take_event(&event).await {
                return halt;
            }
            if self.place.open.is_none()
                && self.capturing.is_due()
                && let Err(halt) = self.serve_requests().await
            {
                return halt;
            }
            if self.copying.is_some()
                && self.place.open.is_none()
                && let Err(halt) = self.serve_copies().await
            {
                return halt;
            }
            // a connection that breaks at the same transaction again and again must not count as a success each time
            if !healthy && (self.place.ended > 0 || opened.elapsed() >= self.reader.heartbeat) {
                healthy = true;
                patience.reset();
            }
            if let Err(halt) = self.flush_if_due().await {
                return halt;
            }
        }
    }

    /// Opens the dump at the present place.
    async fn open(&mut self) -> Result<Dump, Halt> {
        let reader = &mut self.reader;
        // an event that was cut off is read again from the start of its transaction
        let resume = self.place.resume();
        let (mut conn, server, proof) = hosts::reach(&reader.connector, &resume).await?;
        reader.catalogue.schemas.begin(&mut conn, &server, &resume).await?;
        reader.catalogue.follow().await?;
        if resume.is_of_another_server(server.identity.as_deref()) {
            // which of its transactions come again is not known
            reader.catalogue.unexplained.forget();
        }
        self.place.restart(&resume, server.identity.clone());
        let begin = begin_at(&server, &resume, proof)?;
        // with a set, the server begins behind it, whatever file and position it is asked for
        let gtids = resume.resumable_gtids().filter(|_| matches!(begin, Begin::Session));
        let settings = session_settings(&server, reader.heartbeat, gtids.map(GtidSet::position_text));
        let request = Request { server_id: reader.server_id, heartbeat: reader.heartbeat, settings, begin, to_end: false };
        let dump = Dump::open(&reader.connector, conn, &server, request).await?;
        self.server = server;
        Ok(dump)
    }

    /// The next event. While none is there: flushes, sends the position, notices a dead connection and the request to stop.
    async fn next(&mut self, stream: &mut Dump) -> Result<RawEvent, Halt> {
        // the usual case under load costs no timer
        if let Some(event) = AssertUnwindSafe(stream.next()).catch_unwind().now_or_never() {
            if self.reader.stop.is_cancelled() {
                return Err(Halt::Stop);
            }
            return self.hear(event);
        }
        let patience = self.reader.heartbeat * MISSED_HEARTBEATS;
        let waiting = Instant::now();
        // the time that we kept the server waiting does not count
        self.heard = waiting;
        loop {
            let dead = self.heard + patience;
            let mut wake = dead;
            if let Some(due) = self.batch_due() {
                wake = wake.min(due);
            }
            if self.place.moved {
                wake = wake.min(self.sent + POSITION_INTERVAL);
            }
            if !self.idle {
                wake = wake.min(waiting + IDLE);
            }
            let stop = self.reader.stop.clone();
            let between = self.place.open.is_none();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Halt::Stop),
                () = copy::asked(&mut self.copying), if between => {
                    self.serve_copies().await?;
                    if self.capturing.is_due() {
                        self.serve_requests().await?;
                    }
                }
                () = self.capturing.asked(), if between => self.serve_requests().await?,
                event = AssertUnwindSafe(stream.next()).catch_unwind() => return self.hear(event),
                () = tokio::time::sleep_until(wake.into()) => {
                    self.flush_if_due().await?;
                    let now = Instant::now();
                    if !self.idle && now >= waiting + IDLE {
                        self.idle = true;
                        self.reader.status.source.see_event(0);
                        self.catch_up_with_schemas().await?;
                    }
                    if now >= dead {
                        let text = format!("nothing came from {} for {patience:?}, not even a heartbeat", self.reader.connector.address());
                        return Err(Error::new(ErrorKind::Connection, text).into());
                    }
                }
            }
        }
    }

    fn hear(&mut self, event: Result<Option<mysql_async::Result<RawEvent>>, Box<dyn std::any::Any + Send>>) -> Result<RawEvent, Halt> {
        let address = self.reader.connector.address();
        match event {
            Ok(Some(Ok(event))) => {
                self.heard = Instant::now();
                self.reader.status.source.hear();
                Ok(event)
            }
            Ok(Some(Err(error))) => {
                let error = self.reader.connector.explain("read the binlog of", error);
                Err(error.context(format_args!("at {}", self.place.resume())).into())
            }
            Ok(None) => Err(Error::new(ErrorKind::Connection, format!("{address} ended the binlog stream")).into()),
            // the library slices without checks where an event is shorter than it says
            Err(_) => {
                Err(Error::new(ErrorKind::Source, format!("{address} sent an event that cannot be read, after {}", self.place.resume()))
                    .remedy("Check the server's binlog with mysqlbinlog --verify-binlog-checksum.")
                    .into())
            }
        }
    }

    /// Sends what has waited long enough, or the position alone when it has moved for a while.
    pub(super) async fn flush_if_due(&mut self) -> Result<(), Halt> {
        if !self.ready.is_empty() {
            self.send_ready().await?;
        }
        if self.ends.are_due() {
            self.give_end().await?;
        }
        let now = Instant::now();
        let batch_due = self.batch_due().is_some_and(|due| now >= due);
        let position_due = self.place.moved && now >= self.sent + POSITION_INTERVAL;
        if self.reader.catalogue.schemas.is_due(now) {
            self.catch_up_with_schemas().await?;
        }
        let ended = self.assembly.is_full() && self.place.open.is_none();
        if ended || batch_due || position_due { self.send().await } else { Ok(()) }
    }

    /// Learns the schemas that changed before the present place, as far as that is possible.
    async fn catch_up_with_schemas(&mut self) -> Result<(), Halt> {
        let spot = Spot { file: self.place.file.clone(), position: self.place.position };
        let place = || self.place.resume();
        self.reader.catalogue.schemas.catch_up(&self.server, &spot, place).await
    }

    /// When changes that wait have to be sent.
    fn batch_due(&self) -> Option<Instant> {
        let patience = match self.group.held_from() {
            None => 1,
            // they are all of a transaction that is held
            Some(begin) if begin.is_nothing() => return None,
            // the transaction's end is on its way: cutting off what is before it costs more
            Some(_) => HELD_PATIENCE,
        };
        self.assembly.since().map(|since| since + self.reader.limits.batch_wait * patience)
    }

    /// Sends what is held, if anything.
    pub(super) async fn send_held(&mut self) -> Result<(), Halt> {
        self.send_ready().await?;
        if !self.assembly.is_empty() {
            self.send().await?;
        }
        // what stood before the open transaction has gone, and the rows of that have not
        if self.assembly.is_empty() || self.group.held_from().is_some() { Ok(()) } else { self.send().await }
    }

    /// After an error: sends what is whole, and takes a transaction back of which is not known what becomes of it. Answers whether the
    /// stream goes on at once: the error came of a transaction that was torn, or of rows that were taken back.
    async fn send_whole(&mut self, error: &Error) -> Result<bool, Halt> {
        let passed = match self.pass(error).await {
            Ok(passed) => passed,
            Err(Halt::Failed(fault)) if fault.kind() == ErrorKind::Connection => {
                tracing::warn!(error = fault.chain(), "cannot find out what became of a transaction: none of it is delivered yet");
                false
            }
            Err(halt) => return Err(halt),
        };
        self.withdraw_group();
        self.send_held().await?;
        Ok(passed)
    }

    /// Whether the error can be passed over. What stands before one that cannot is delivered, also of a transaction that was held.
    async fn pass(&mut self, error: &Error) -> Result<bool, Halt> {
        if error.kind() == ErrorKind::Connection {
            return Ok(false);
        }
        if self.passed_torn_end(error).await? {
            return Ok(true);
        }
        let held = self.group.held_from().is_some();
        self.settle().await?;
        let events = self.place.open.as_ref().map_or(0, |open| open.events);
        // of the rows event that was being read, or of the table map before the next; it comes again if it was neither
        Ok(held && (self.group.takes_back(events.saturating_sub(1)) || self.group.takes_back(events)))
    }

    /// Notes when the source executed what is being read, for the lag.
    pub(super) fn see(&mut self, time_us: i64) {
        self.idle = false;
        self.reader.status.source.see_event(time_us);
    }
}

/// Where a dump begins that goes on from a position: behind its transactions, or without GTIDs at its file and position. There, too,
/// in the log of MariaDB that it was read from: with `gtid_strict_mode` off, its numbers do not say what comes next.
pub(super) fn begin_at(server: &Server, position: &BinlogPosition, proof: Proof) -> Result<Begin> {
    if (server.flavour, proof) == (Flavour::MariaDb, Proof::File) && position.position <= u64::from(u32::MAX) {
        return Ok(Begin::File { file: position.file.to_string(), position: position.position });
    }
    Ok(match (server.flavour, position.resumable_gtids()) {
        (Flavour::MySql, Some(set)) => {
            Begin::Gtids(set.sids().map_err(|e| Error::new(ErrorKind::Internal, "cannot ask for the GTID set").caused_by(e))?)
        }
        (Flavour::MariaDb, Some(_)) => Begin::Session,
        (_, None) => {
            if position.position > u64::from(u32::MAX) {
                return Err(Error::new(ErrorKind::Source, format!("{position} lies beyond 4 GiB, where the protocol cannot start"))
                    .remedy("Switch GTIDs on, or start from the next binlog file."));
            }
            Begin::File { file: position.file.to_string(), position: position.position }
        }
    })
}

/// What the session has to say before it asks for the log. User variables that a server does not know do no harm.
pub(super) fn session_settings(server: &Server, heartbeat: Duration, gtids: Option<String>) -> Vec<String> {
    let period = heartbeat.as_nanos();
    let mut statements = vec![
        format!("SET @master_heartbeat_period = {period}, @source_heartbeat_period = {period}"),
        // while the sinks hold us back nothing is read; the server must not take that for a dead client at once
        "SET SESSION net_write_timeout = 3600".to_owned(),
    ];
    if server.flavour == Flavour::MariaDb {
        // 4 = understands GTID events; without it they come as made-up statements
        statements.push("SET @mariadb_slave_capability = 4".to_owned());
        if let Some(gtids) = gtids {
            // the set was parsed: it holds digits, commas and dashes only
            statements
                .push(format!("SET @slave_connect_state = '{gtids}', @slave_gtid_strict_mode = 0, @slave_gtid_ignore_duplicates = 0"));
        }
    }
    statements
}

/// File names and positions mean nothing on another server, and GTIDs nothing on one of the other flavour.
pub(super) fn check_same_server(position: &BinlogPosition, server: &Server, address: &str) -> Result<()> {
    let other = |what: &str| {
        Err(Error::new(ErrorKind::Precheck, format!("the stored position belongs to another server than {address}: {what}"))
            .remedy("Connect to the server that the position belongs to, or start anew with a new state file."))
    };
    if position.flavour != server.flavour {
        return other("one is MySQL, the other MariaDB");
    }
    if position.resumable_gtids().is_some() {
        return if server.gtids { Ok(()) } else { other("it needs GTIDs, and gtid_mode is not ON") };
    }
    match (&position.server, &server.identity) {
        (Some(stored), Some(present)) if stored != present => {
            other("it was read from a server with another identity, and without GTIDs a position has no meaning there")
        }
        _ => Ok(()),
    }
}

/// Waits before the next attempt; gives the error back when none has worked for too long.
async fn wait(patience: &mut Patience, error: Error, stop: &CancellationToken, status: &Status) -> Result<(), Halt> {
    let (delay, error) = patience.delay(error)?;
    status.waiting.begin(SOURCE, error.message());
    tracing::warn!(error = error.chain(), retry_in_ms = delay.as_millis() as u64, "lost the connection to the source, trying again");
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Halt::Stop),
        () = tokio::time::sleep(delay) => Ok(()),
    }
}
