//! Files that can be read as a whole, of Parquet or Avro: a folder for each table, a file for each version of it, all of them finished
//! together.
//!
//! A Parquet file can be read once it has been ended, and one of Avro has to end with a block, so nothing is durable before. The sink
//! therefore ends its files at intervals (`roll.every`), or early where they are full, and only then can the checkpoint move: what was
//! written since is written again after a crash, into new files. Files are written in a hidden folder. The checkpoint names those that were ended with it and where they belong; then
//! they are renamed into place. A start renames what the checkpoint names, and removes the rest. So a reader sees whole files only, each
//! change in them once, and a file that it has seen stays as it is.

mod contents;
mod parts;
mod stream;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{bad_destination, dangling, naming};
use contents::Contents;
pub(super) use parts::reads;
use parts::{Parts, State};
use stream::Stream;

use sluicegate_config::{FileRecords, FileSink as Settings};
use sluicegate_format::Encoder;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, Frontier, Mark, MarkKind, NO_IMAGE, Operation, Table},
    limits::{Limits, WHOLE_FILES_BYTES},
};
use sluicegate_sink::{Final, Numbers, Policy, Resume, Sink, SinkState, destination, key_change};

/// A sink of such files before it begins. Nothing of its folder has been changed.
pub struct WholeFileResume {
    settings: Settings,
    versions: bool,
    policy: Policy,
    state: Option<String>,
    limits: Limits,
    numbers: Numbers,
}

impl WholeFileResume {
    /// A sink that goes on at `state`, what its last stored commit answered. `versions`: whether rows tell which plugins made them.
    pub fn new(settings: &Settings, versions: bool, policy: Policy, state: Option<&str>, limits: &Limits, numbers: Numbers) -> Self {
        Self { settings: settings.clone(), versions, policy, state: state.map(str::to_owned), limits: limits.clone(), numbers }
    }
}

impl Resume for WholeFileResume {
    fn resume(&mut self) -> Result<Option<Frontier>> {
        parts::look(&self.settings, self.state.as_deref()).map(|()| None)
    }

    fn begin(self: Box<Self>, _frontier: &Frontier, encoder: Encoder) -> Result<Box<dyn Sink>> {
        let Self { settings, versions, policy, state, limits, numbers } = *self;
        let parts = Parts::recover(&settings, state.as_deref())?;
        let every = settings.roll.every.unwrap_or(Duration::ZERO);
        numbers.get().gathers_ms.set(u64::try_from(every.as_millis()).unwrap_or(u64::MAX));
        Ok(Final::boxed(WholeFileSink {
            every,
            settings,
            versions,
            encoder,
            policy,
            numbers,
            most_streams: limits.destinations,
            most_open: limits.open_files,
            parts,
            streams: Vec::new(),
            gathered: 0,
            by_folder: HashMap::new(),
            routes: Vec::new(),
            since: None,
            writes: 0,
        }))
    }
}

/// A sink of files that are finished together.
struct WholeFileSink {
    settings: Settings,
    every: Duration,
    /// Whether rows of Parquet tell which plugins made them.
    versions: bool,
    /// What makes the records of Avro.
    encoder: Encoder,
    policy: Policy,
    numbers: Numbers,
    most_streams: usize,
    most_open: usize,
    parts: Parts,
    streams: Vec<Stream>,
    /// Bytes of rows in memory, of all streams.
    gathered: usize,
    by_folder: HashMap<String, usize>,
    /// Where the tables of the batch at hand go.
    routes: Vec<Route>,
    /// When the first row came that is not durable.
    since: Option<Instant>,
    writes: u64,
}

struct Route {
    /// The table. Where several of a batch are the same one, they share its address.
    table: Arc<Table>,
    /// The folder in the sink's, or in a destination's.
    folder: Arc<str>,
    /// The table's stream; `None` when a plugin chose a destination that cannot be a folder.
    stream: Option<usize>,
    /// The column that holds the rows' own destinations.
    column: Option<usize>,
    /// The streams of those that were met in the batch.
    chosen: HashMap<Box<str>, usize>,
}

impl WholeFileSink {
    fn route(&mut self, batch: &Batch) -> Result<()> {
        self.routes.clear();
        // plugins may make several tables one: then rows of the same table come under several addresses
        let mut met: HashMap<usize, Arc<Table>> = HashMap::new();
        for rows in &batch.tables {
            let folder: Arc<str> = naming::table_folder(&rows.table.name).into();
            let stream = self.stream_in(rows.table.destination.as_deref(), &folder, &rows.table)?;
            let mut table = rows.table.clone();
            if let Some(known) = stream.and_then(|stream| met.get(&stream)).filter(|known| **known == table) {
                table = known.clone();
            } else if let Some(stream) = stream {
                met.insert(stream, table.clone());
            }
            self.routes.push(Route { table, folder, stream, column: rows.table.destination_column(), chosen: HashMap::new() });
        }
        Ok(())
    }

    /// What the files of a table version hold.
    fn contents(&mut self, table: &Arc<Table>) -> Result<Contents> {
        Ok(match self.settings.records {
            FileRecords::Avro => Contents::avro(self.encoder.file_header(table)),
            _ => Contents::parquet(table, self.versions)?,
        })
    }

    /// The stream of a table in a destination, if there is one; `None`: it cannot be a folder.
    fn stream_in(&mut self, destination: Option<&str>, folder: &str, table: &Arc<Table>) -> Result<Option<usize>> {
        let folder = destination.map_or_else(|| folder.to_owned(), |destination| format!("{destination}/{folder}"));
        let number = match self.by_folder.get(&folder) {
            Some(number) => *number,
            None if !naming::is_folder(&folder) => return Ok(None),
            None => {
                if self.streams.len() >= self.most_streams {
                    return Err(destination::too_many(self.most_streams));
                }
                let contents = self.contents(table)?;
                self.streams.push(Stream::new(&folder, table, contents));
                self.by_folder.insert(folder, self.streams.len() - 1);
                self.streams.len() - 1
            }
        };
        Ok(Some(number))
    }

    /// The stream that a row's own destination, or its table's, names.
    fn stream_of(&mut self, batch: &Batch, change: &Change, row: u32) -> Result<usize> {
        let route = self.routes.get(change.table as usize).ok_or_else(dangling)?;
        let rows = batch.tables.get(change.table as usize).ok_or_else(dangling)?;
        let own = route.column.map_or(Ok(None), |column| destination::of_row(rows, column, row))?;
        let stream = match own {
            None => route.stream,
            Some(own) => match route.chosen.get(own) {
                Some(stream) => Some(*stream),
                None => self.choose(change.table as usize, own)?,
            },
        };
        stream.ok_or_else(|| bad_destination(batch, change))
    }

    /// The stream of a destination that a row chooses, the first time in a batch.
    fn choose(&mut self, table: usize, own: &str) -> Result<Option<usize>> {
        let (folder, of) = (self.routes[table].folder.clone(), self.routes[table].table.clone());
        let stream = self.stream_in(Some(own), &folder, &of)?;
        if let Some(stream) = stream {
            self.routes[table].chosen.insert(own.into(), stream);
        }
        Ok(stream)
    }

    /// Appends the row of a change. An update whose row goes to another destination is a delete in the one and an insert in the other.
    fn deliver(&mut self, batch: &Batch, change: &Change) -> Result<usize> {
        let row = if change.after == NO_IMAGE { change.before } else { change.after };
        let entered = self.stream_of(batch, change, row)?;
        let moves = change.operation == Operation::Update && change.before != NO_IMAGE && change.after != NO_IMAGE;
        let left = if moves { self.stream_of(batch, change, change.before)? } else { entered };
        let is_one_record = !key_change::before(&self.encoder, batch, std::slice::from_ref(change)).is_empty();
        if left == entered && is_one_record {
            self.push(entered, batch, change)?;
            return Ok(1);
        }
        if let Some(rows) = batch.tables.get(change.table as usize).filter(|rows| rows.may_be_absent()) {
            destination::check_whole(rows, change.after)?;
        }
        let [gone, came] = key_change::parts(change);
        // a value that does not fit in one image may fit in the other: both are tried before either is kept
        self.follow_of(entered, change)?;
        self.streams[entered].contents.fits(&mut self.encoder, batch, &came)?;
        self.push(left, batch, &gone)?;
        self.push(entered, batch, &came)?;
        Ok(2)
    }

    fn push(&mut self, number: usize, batch: &Batch, change: &Change) -> Result<()> {
        self.follow_of(number, change)?;
        let before = self.streams[number].contents.bytes();
        self.streams[number].contents.push(&mut self.encoder, batch, change)?;
        self.settle(number, before)
    }

    /// Follows the version of the table that a change is of.
    fn follow_of(&mut self, number: usize, change: &Change) -> Result<()> {
        let table = self.routes.get(change.table as usize).ok_or_else(dangling)?.table.clone();
        self.follow(number, &table)
    }

    /// A version of a table has files of its own.
    fn follow(&mut self, number: usize, table: &Arc<Table>) -> Result<()> {
        if !self.streams[number].is_of(table) {
            self.end(number)?;
            let contents = self.contents(table)?;
            self.streams[number].follow(table, contents);
        }
        Ok(())
    }

    /// Writes rows out where there are too many in memory. `before`: how many bytes of them the stream had.
    fn settle(&mut self, number: usize, before: usize) -> Result<()> {
        self.since.get_or_insert_with(Instant::now);
        self.writes += 1;
        self.streams[number].used = self.writes;
        self.gathered += self.streams[number].contents.bytes() - before;
        if self.streams[number].contents.is_full() {
            self.write_out(number)?;
        }
        while self.gathered > WHOLE_FILES_BYTES {
            let Some(largest) = (0..self.streams.len()).max_by_key(|number| self.streams[*number].contents.bytes()) else { break };
            self.write_out(largest)?;
        }
        Ok(())
    }

    fn write_out(&mut self, number: usize) -> Result<()> {
        if !self.streams[number].is_open() && self.streams.iter().filter(|stream| stream.is_open()).count() >= self.most_open {
            let open = (0..self.streams.len()).filter(|number| self.streams[*number].is_open());
            if let Some(oldest) = open.min_by_key(|number| self.streams[*number].used) {
                self.end(oldest)?;
            }
        }
        self.gathered -= self.streams[number].contents.bytes();
        self.streams[number].write_out(&mut self.parts, &self.settings)?;
        if self.streams[number].file_bytes() >= self.settings.roll.bytes {
            self.end(number)?;
        }
        Ok(())
    }

    /// Writes a stream's rows out, and ends its file.
    fn end(&mut self, number: usize) -> Result<()> {
        self.gathered -= self.streams[number].contents.bytes();
        self.streams[number].end(&mut self.parts, &self.settings)
    }
}

impl Sink for WholeFileSink {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        self.route(batch)?;
        let mut rows = 0;
        for change in &batch.changes {
            match self.deliver(batch, change) {
                Ok(count) => rows += count,
                Err(error) => self.policy.apply(&self.numbers, error, batch, change)?,
            }
        }
        self.numbers.count(rows, batch.bytes);
        Ok(())
    }

    fn mark(&mut self, mark: &Mark) -> Result<()> {
        let MarkKind::Truncate(truncate) = &mark.kind else { return Ok(()) };
        let folder = naming::table_folder(&truncate.table.name);
        let stream = self.stream_in(truncate.table.destination.as_deref(), &folder, &truncate.table)?.ok_or_else(|| {
            Error::new(ErrorKind::Sink, format!("the destination that a plugin chose for table {} cannot be a folder", truncate.table.name))
                .remedy("let the plugin choose names of at most 255 bytes, 512 in all, with `/` between them")
        })?;
        self.follow(stream, &truncate.table)?;
        let before = self.streams[stream].contents.bytes();
        self.streams[stream].contents.push_truncate(&mut self.encoder, truncate)?;
        self.numbers.count(1, 0);
        self.settle(stream, before)
    }

    fn is_ripe(&self) -> bool {
        self.since.is_none_or(|since| since.elapsed() >= self.every)
    }

    fn commit(&mut self, _progress: &Frontier) -> Result<SinkState> {
        (0..self.streams.len()).try_for_each(|number| self.end(number))?;
        self.since = None;
        let state: State = self.parts.commit()?;
        serde_json::to_string(&state).map_err(|e| Error::new(ErrorKind::Internal, "the state cannot be written as JSON").caused_by(e))
    }

    fn stored(&mut self) -> Result<()> {
        self.parts.publish()
    }
}
