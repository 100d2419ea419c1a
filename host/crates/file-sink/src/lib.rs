//! NDJSON or CSV files in a folder (Parquet and Avro: [`whole`]): rolled by size and time, optionally compressed, each change in them exactly once.
//!
//! Where a plugin chooses destinations, each has a folder inside the sink's, with rolled files of its own: a stream. An update
//! whose row goes from one destination to another is a delete in the one and an insert in the other.
//!
//! The checkpoint holds the durable length of each stream's current file. A start after a crash cuts these files and
//! removes those that came later, so what was written after the checkpoint is undone before it is written again. A
//! destination that is new since the checkpoint stands in a journal before its first file is made.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod foresee;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod journal;
mod naming;
mod output;
mod paths;
mod place;
mod recovery;
mod retired;
mod root;
mod stream;
mod streams;
mod whole;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

pub use foresee::foresee;
pub use whole::WholeFileResume;

use naming::Naming;
use paths::Paths;
use root::Root;
use stream::Layout;
use streams::{PLAIN, Streams};

use sluicegate_config::{Field, FileRecords, FileSink as Settings};
use sluicegate_format::{CsvLines, Encoder, FileFormat, Lines, Records as _};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, Frontier, Mark, MarkKind, NO_IMAGE, Operation, SchemaChange, Table, TableName},
    limits::Limits,
};
use sluicegate_sink::{Final, Numbers, Policy, Resume, Sink, SinkState, destination, key_change, route::Variant};
use sluicegate_storage::Lock;

/// Whether a sink of these settings goes on with a state: one that a sink of its kind wrote.
pub fn reads(settings: &Settings, state: &str) -> bool {
    if settings.records.are_whole() { whole::reads(state, settings) } else { recovery::reads(state) }
}

/// A file sink.
pub struct FileSink {
    streams: Streams,
    /// By the sink's template, if it has one.
    paths: Option<Paths>,
    encoder: Encoder,
    policy: Policy,
    numbers: Numbers,
    /// Where the tables of the current batch go.
    routes: Vec<Route>,
    /// How records stand in the files.
    records: FileRecords,
    uncommitted: Option<PathBuf>,
    _lock: Lock,
}

#[derive(Clone)]
struct Route {
    /// The table's stream; `None` when a plugin chose a destination that cannot be a folder.
    stream: Option<usize>,
    /// The table's own folder in that of its destination, where files hold records of one table.
    folder: Option<Arc<str>>,
    /// The table's number among those of the paths.
    table: usize,
    /// Whether rows of it may go to different streams.
    varies: bool,
    /// The column that holds the rows' own destinations.
    column: Option<usize>,
}

/// What was written of a batch.
#[derive(Default)]
struct Written {
    /// Changes that are done with.
    changes: usize,
    records: usize,
    bytes: usize,
}

fn dangling() -> Error {
    Error::new(
        ErrorKind::Internal,
        "a change of a table that the batch does not have, or an encoder that told of another number of changes than it was given",
    )
}

/// A file sink before it begins. Nothing of its folder has been changed.
pub struct FileResume {
    settings: Settings,
    policy: Policy,
    /// What the checkpoint keeps for the sink.
    state: Option<String>,
    limits: Limits,
    numbers: Numbers,
}

impl FileResume {
    /// A sink that goes on at `state`, what its last stored commit answered.
    pub fn new(settings: &Settings, policy: Policy, state: Option<&str>, limits: &Limits, numbers: Numbers) -> Self {
        Self { settings: settings.clone(), policy, state: state.map(str::to_owned), limits: limits.clone(), numbers }
    }

    fn naming(&self) -> Naming {
        Naming { prefix: self.settings.prefix.clone(), records: self.settings.records, zstd: self.settings.zstd.is_some() }
    }

    /// Cuts the files to their durable length, and removes those that came later.
    fn open(self, encoder: Encoder) -> Result<FileSink> {
        let naming = self.naming();
        let Self { settings, policy, state, limits, numbers } = self;
        let mut recovered = recovery::recover(&settings.folder, &naming, state.as_deref())?;
        let format: Box<dyn FileFormat> = match settings.records {
            FileRecords::Lines => Box::new(Lines),
            FileRecords::Csv => Box::new(CsvLines),
            FileRecords::Parquet | FileRecords::Avro => {
                return Err(Error::new(ErrorKind::Internal, "Parquet and Avro files have a sink of their own"));
            }
        };
        if settings.records == FileRecords::Csv {
            recovered.plain = recovered.plain.in_next_file();
            recovered.destinations = recovered.destinations.into_iter().map(|(name, start)| (name, start.in_next_file())).collect();
        }
        let root = Root::open(settings.folder.clone(), &naming)?;
        let paths = Paths::new(&settings, root.ignores_case()?);
        let layout = Layout { root, naming, roll: settings.roll, zstd: settings.zstd, format };
        // new folders come with the time
        let retires = paths.as_ref().is_some_and(|paths| [Field::Date, Field::Hour].into_iter().any(|field| paths.template().has(field)));
        Ok(FileSink {
            streams: Streams::new(layout, &recovered, &limits, retires),
            paths,
            encoder,
            policy,
            numbers,
            routes: Vec::new(),
            records: settings.records,
            uncommitted: recovered.uncommitted,
            _lock: recovered.lock,
        })
    }
}

impl Resume for FileResume {
    /// The checkpoint keeps the progress: files have no place for it.
    fn resume(&mut self) -> Result<Option<Frontier>> {
        recovery::look(&self.settings.folder, self.state.as_deref()).map(|()| None)
    }

    fn begin(self: Box<Self>, _frontier: &Frontier, encoder: Encoder) -> Result<Box<dyn Sink>> {
        self.open(encoder).map(Final::boxed)
    }
}

impl FileSink {
    /// Finds the streams of the batch's tables.
    fn route(&mut self, batch: &Batch) -> Result<()> {
        self.routes.clear();
        if let Some(paths) = &mut self.paths {
            paths.begin();
        }
        for rows in &batch.tables {
            let folder = self.table_folder(&rows.table);
            let column = rows.table.destination_column();
            let (mut table, mut varies) = (0, column.is_some());
            if let Some(paths) = &mut self.paths {
                table = paths.table(&rows.table.name);
                varies |= paths.template().varies();
            }
            let mut route = Route { stream: None, folder, table, varies, column };
            if !varies {
                route.stream = self.stream_for(&route, rows.table.destination.as_deref(), Variant::default())?;
            }
            self.routes.push(route);
        }
        Ok(())
    }

    /// The stream of a table's records for which a plugin chose this, if anything; `None`: it cannot be a folder.
    fn stream_for(&mut self, route: &Route, chosen: Option<&str>, variant: Variant) -> Result<Option<usize>> {
        match &mut self.paths {
            Some(paths) if paths.covers(chosen) => match paths.folder(route.table, chosen, variant)? {
                Some(folder) => self.streams.find(&folder),
                None => Ok(None),
            },
            _ => self.stream_in(chosen, route.folder.as_deref()),
        }
    }

    /// The folder of the table's own, where files hold records of one table.
    fn table_folder(&self, table: &Table) -> Option<Arc<str>> {
        (self.records == FileRecords::Csv).then(|| naming::table_folder(&table.name).into())
    }

    /// The stream of a destination, if there is one, and of a folder in it, if there is one; `None`: it cannot be a folder.
    fn stream_in(&mut self, destination: Option<&str>, folder: Option<&str>) -> Result<Option<usize>> {
        match (destination, folder) {
            (None, None) => Ok(Some(PLAIN)),
            (Some(only), None) | (None, Some(only)) => self.streams.find(only),
            (Some(destination), Some(folder)) => self.streams.find(&format!("{destination}/{folder}")),
        }
    }

    /// Writes the records of changes of one table, as far as they go to one stream. Tells in `written` how many of the changes are.
    ///
    /// # Errors
    /// `Record`: a record of the change behind those cannot be written, and none of it was; the policy decides. Everything else is
    /// final.
    fn deliver(&mut self, batch: &Batch, changes: &[Change], written: &mut Written) -> Result<()> {
        let Some(change) = changes.first() else { return Ok(()) };
        let route = self.routes.get(change.table as usize).ok_or_else(dangling)?.clone();
        let (stream, changes) = if !route.varies {
            (route.stream.ok_or_else(|| bad_destination(batch, change))?, changes)
        } else {
            let row = if change.after == NO_IMAGE { change.before } else { change.after };
            let stream = self.stream_of(batch, change, &route, row)?;
            if change.operation == Operation::Update && change.before != NO_IMAGE && change.after != NO_IMAGE {
                let left = self.stream_of(batch, change, &route, change.before)?;
                if left != stream {
                    let [gone, came] = key_change::parts(change);
                    let left = self.stream_of(batch, &gone, &route, change.before)?;
                    let stream = self.stream_of(batch, &came, &route, change.after)?;
                    return self.deliver_move(batch, change, left, stream, written);
                }
            }
            // those that follow go to the same one if nothing of the rows decides
            let same = match route.column {
                Some(_) => 1,
                None => changes.iter().take_while(|other| self.variant(batch, other) == self.variant(batch, change)).count(),
            };
            (stream, &changes[..same])
        };
        let changes = key_change::before(&self.encoder, batch, changes);
        if changes.is_empty() {
            return self.deliver_move(batch, change, stream, stream, written);
        }
        let encoder = self.encoder.table(batch, change.table);
        if let Some(header) = encoder.file_header() {
            self.streams.begin_with(stream, header)?;
        }
        let mut appending = self.streams.appending(stream, written);
        let encoded = encoder.encode(batch, changes, &mut appending);
        encoded.inspect_err(|_| appending.undo())
    }

    /// What the sink's template takes of a change.
    fn variant(&self, batch: &Batch, change: &Change) -> Variant {
        match (&self.paths, batch.event(change)) {
            (Some(paths), Some((event, _))) => Variant::of(paths.template(), change.operation, event.time_us),
            _ => Variant::default(),
        }
    }

    /// The stream that a row's own destination, or its table's, names.
    fn stream_of(&mut self, batch: &Batch, change: &Change, route: &Route, row: u32) -> Result<usize> {
        let rows = batch.tables.get(change.table as usize).ok_or_else(dangling)?;
        let own = route.column.map_or(Ok(None), |column| destination::of_row(rows, column, row))?;
        let chosen = own.or(rows.table.destination.as_deref());
        let stream = self.stream_for(route, chosen, self.variant(batch, change))?;
        stream.ok_or_else(|| bad_destination(batch, change))
    }

    /// Writes an update whose row goes from one stream to another, or to another key, as a delete and an insert.
    fn deliver_move(&mut self, batch: &Batch, change: &Change, left: usize, entered: usize, written: &mut Written) -> Result<()> {
        if let Some(rows) = batch.tables.get(change.table as usize).filter(|rows| rows.may_be_absent()) {
            destination::check_whole(rows, change.after)?;
        }
        if let Some(header) = self.encoder.table(batch, change.table).file_header() {
            self.streams.begin_with(left, header)?;
            self.streams.begin_with(entered, header)?;
        }
        let [gone, came] = key_change::parts(change);
        let leaving = self.streams.append(left, |out| self.encoder.value(batch, &gone, out))?;
        let entering = self.streams.append(entered, |out| self.encoder.value(batch, &came, out));
        let entering = entering.inspect_err(|_| self.streams.undo(left, leaving))?;
        self.streams.settle(left)?;
        self.streams.settle(entered)?;
        written.records += usize::from(leaving > 0) + usize::from(entering > 0);
        written.bytes += leaving + entering;
        written.changes += 1;
        Ok(())
    }
}

impl Sink for FileSink {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        let came = Instant::now();
        self.route(batch)?;
        let mut written = Written::default();
        // where the run of changes of one table ends
        let mut end = 0;
        while let Some(change) = batch.changes.get(written.changes) {
            let from = written.changes;
            if from == end {
                end += batch.changes[from..].iter().take_while(|other| other.table == change.table).count();
            }
            let delivered = self.deliver(batch, &batch.changes[from..end], &mut written);
            if let Err(error) = delivered {
                // what fails behind the last change is not about a change
                let Some(change) = batch.changes[..end].get(written.changes) else { return Err(error) };
                self.policy.apply(&self.numbers, error, batch, change)?;
                written.changes += 1;
            }
            if written.changes == from || written.changes > end {
                return Err(dangling());
            }
        }
        self.numbers.count(written.records, written.bytes);
        self.streams.roll_aged()?;
        self.streams.end_batch(came)
    }

    fn idle(&mut self) -> Result<()> {
        self.streams.idle()
    }

    fn mark(&mut self, mark: &Mark) -> Result<()> {
        let truncate = match &mark.kind {
            MarkKind::Truncate(truncate) => truncate,
            MarkKind::Schema(change) => return self.schema_change(change),
            _ => return Ok(()),
        };
        let folder = self.table_folder(&truncate.table);
        let (mut table, mut variant) = (0, Variant::default());
        if let Some(paths) = &mut self.paths {
            paths.begin();
            table = paths.table(&truncate.table.name);
            variant = Variant::of_truncate(paths.template(), truncate.event.time_us);
        }
        let route = Route { stream: None, folder, table, varies: true, column: None };
        let stream = self.stream_for(&route, truncate.table.destination.as_deref(), variant)?.ok_or_else(|| {
            Error::new(ErrorKind::Sink, format!("the destination that a plugin chose for table {} cannot be a folder", truncate.table.name))
                .remedy("let the plugin choose names of at most 255 bytes, 512 in all, with `/` between them")
        })?;
        if let Some(header) = self.encoder.file_header(&truncate.table) {
            self.streams.begin_with(stream, header)?;
        }
        let mut written = Written::default();
        self.encoder.truncate(truncate, &mut self.streams.appending(stream, &mut written))?;
        self.numbers.count(written.records, written.bytes);
        Ok(())
    }

    fn commit(&mut self, _progress: &Frontier) -> Result<SinkState> {
        let state = self.streams.flush()?;
        let retired = self.streams.take_retired();
        if let Some(paths) = &mut self.paths {
            paths.forget(&retired);
        }
        serde_json::to_string(&state).map_err(|e| Error::new(ErrorKind::Internal, "the state cannot be written as JSON").caused_by(e))
    }

    /// From now on a checkpoint names our files: without it they are not taken for leftovers.
    fn stored(&mut self) -> Result<()> {
        match self.uncommitted.take() {
            Some(marker) => remove_file(&marker),
            None => Ok(()),
        }
    }
}

impl FileSink {
    /// Changes of schemas stand among the records that have no folder of their own.
    fn schema_change(&mut self, change: &SchemaChange) -> Result<()> {
        let mut written = Written::default();
        let mut appending = self.streams.appending(PLAIN, &mut written);
        if self.encoder.schema_change(change, &mut Vec::new(), appending.buffer()) {
            appending.end(0)?;
        }
        self.numbers.count(written.records, written.bytes);
        Ok(())
    }
}

/// The error of a record whose destination cannot be a folder. It may come from a value, so it is not shown.
fn bad_destination(batch: &Batch, change: &Change) -> Error {
    let rows = batch.tables.get(change.table as usize);
    // no plugin chose anything: the table's own name cannot be one
    if let Some(rows) = rows.filter(|rows| rows.table.destination.is_none() && rows.table.destination_column().is_none()) {
        return bad_table_folder(&rows.table.name);
    }
    let table = batch.tables.get(change.table as usize).map(|rows| rows.table.name.to_string()).unwrap_or_default();
    Error::new(ErrorKind::Record, format!("the destination that a plugin chose for a record of table {table} cannot be a folder"))
        .remedy("let the plugin choose names of at most 255 bytes, 512 in all, with `/` between them; none may be empty, begin with `.`, end in `.ndjson`, or hold `\\` or control characters; or set `on_error`")
}

/// The error of a table whose name gives no folder.
fn bad_table_folder(table: &TableName) -> Error {
    Error::new(ErrorKind::Record, format!("the name of table {table} is too long for a folder, which may have 255 bytes"))
        .remedy("give the table a shorter name with the `map-names` plugin, or write a `path`; or set `on_error`")
}

/// Checks that the folder can be written or, if it is not there, made. Leaves nothing behind.
pub fn precheck(settings: &Settings) -> Result<()> {
    let there = settings.folder.ancestors().find(|f| f.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    // others may write there, too: the name cannot be foreseen, and a file or link of that name would be an error
    let probe = tempfile::Builder::new().prefix(&format!(".{}.probe-", settings.prefix)).tempfile_in(there);
    probe.and_then(tempfile::NamedTempFile::close).map_err(|e| {
        Error::new(ErrorKind::Precheck, format!("the folder {} cannot be written", settings.folder.display()))
            .remedy(remedy(&e))
            .caused_by(e)
    })
}

/// Removes a file that may be gone already.
fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(fault(path, "the file cannot be removed", e)),
        _ => Ok(()),
    }
}

/// The error of an operation on `path`: stops the pipeline, and nothing is lost.
fn fault(path: &Path, what: &str, error: io::Error) -> Error {
    let may_pass = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    Error::new(ErrorKind::Sink, format!("{}: {what}", path.display())).remedy(remedy(&error)).caused_by(error).that_may_pass(may_pass)
}

fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind::*;
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => "free space on that file system, then start again: nothing is lost",
        PermissionDenied | ReadOnlyFilesystem => {
            "let the account that runs the pipeline write there, or set another `folder`, then start again"
        }
        AlreadyExists | NotADirectory => "move what is there away, or set another `folder` or `prefix`, then start again",
        NotFound => "put the folder back, or set another `folder`, then start again: nothing is lost",
        _ => "check the file system that it stands on, then start again: nothing is lost",
    }
}

#[cfg(test)]
mod tests;
