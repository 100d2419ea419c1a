//! Runs the source of the library and collects what it sends.

use std::{
    sync::{Arc, atomic::AtomicU32, atomic::Ordering},
    time::{Duration, Instant},
};

use sluicegate_config::{Address, Heartbeat, MySqlSource, Rate, RowImage, Secret, Snapshot, StartAt, TablePatterns, TlsMode, Unlogged};
use sluicegate_harness::database::Server;
use sluicegate_model::{
    Error, Result,
    change::{Batch, Change, Column, Frontier, Item, Lane, MarkKind, NO_IMAGE, Offset, Operation, Values},
    limits::Limits,
};
use sluicegate_mysql::MySql;
use sluicegate_source::{Begin, Source};
use sluicegate_status::Status;
use tokio::{runtime::Runtime, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub const DEADLINE: Duration = Duration::from_secs(60);

/// An image as text, in the forms of the records.
pub type TextRow = Vec<Option<String>>;

/// A change with its images as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextChange {
    pub table: String,
    pub operation: Operation,
    pub before: Option<TextRow>,
    pub after: Option<TextRow>,
}

/// Settings for a database of `server`, from now on, with a server id of its own.
pub fn settings(server: &Server, database: &str) -> MySqlSource {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    MySqlSource {
        addresses: vec![Address::Tcp { host: "127.0.0.1".into(), port: server.port() }],
        user: server.user().into(),
        password: Secret::new(server.password()),
        tls: TlsMode::Disabled,
        ca_file: None,
        client: None,
        server_id: Some((std::process::id() << 8) + NEXT.fetch_add(1, Ordering::Relaxed)),
        tables: TablePatterns::new(&[format!("{database}.*")]).expect("a pattern"),
        start: StartAt::Now,
        snapshot: Snapshot::default(),
        heartbeat: Heartbeat { every: Duration::from_secs(2), statement: None },
        rate: Rate::default(),
        row_image: RowImage::Full,
        statements: Unlogged::Stop,
        rows_by_ddl: Unlogged::Warn,
        schema_changes: false,
    }
}

/// Leaves tables of the database out.
pub fn leave_out(settings: &mut MySqlSource, database: &str, tables: &str) {
    settings.tables = TablePatterns::new(&[format!("{database}.*"), format!("!{database}.{tables}")]).expect("patterns");
}

/// A running source.
pub struct Capture {
    runtime: Runtime,
    items: mpsc::Receiver<Item>,
    task: Option<JoinHandle<Result<()>>>,
    stop: CancellationToken,
    pub status: Arc<Status>,
    pub held: Vec<Batch>,
    /// Where the stream is.
    place: Offset,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// The source's only lane.
pub const LANE: &str = "binlog";

/// Where the source says that a sink begins.
pub fn precheck(settings: MySqlSource, begin: &Begin) -> Result<Frontier> {
    let limits = Limits { connect_timeout: Duration::from_secs(5), ..Limits::default() };
    let mut source = MySql::new(settings, limits, Arc::default(), "test");
    runtime().block_on(source.check(std::slice::from_ref(begin))).map(|mut places| places.remove(0))
}

pub fn anew() -> Begin {
    Begin::First
}

/// Where a sink's progress ends.
pub fn at(offset: &Offset) -> Begin {
    // as it comes out of the checkpoint: as text
    Begin::At(Frontier::of(Lane::new(LANE), Offset::from_json(offset.to_json())))
}

/// The text of the place that a sink begins at.
pub fn text_of(begin: &Begin) -> String {
    match begin {
        Begin::At(frontier) => frontier.get(LANE).expect("the lane").to_json(),
        _ => panic!("a place"),
    }
}

impl Capture {
    /// Starts a source the way a pipeline does; returns once it knows where it starts.
    pub fn start(settings: MySqlSource, begin: Begin, limits: Limits) -> Self {
        Self::try_start(settings, begin, limits).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The same; an error of the check is answered.
    pub fn try_start(settings: MySqlSource, begin: Begin, limits: Limits) -> Result<Self> {
        let runtime = runtime();
        let status = Arc::new(Status::default());
        let mut source = MySql::new(settings, limits, status.clone(), "test");
        let places = runtime.block_on(source.check(&[begin]))?;
        Ok(Self::run(runtime, status, source, places))
    }

    /// Starts a source at a place that was not checked.
    pub fn unchecked(settings: MySqlSource, begin: &Begin, limits: Limits) -> Self {
        let Begin::At(place) = begin else { panic!("a place") };
        let status = Arc::new(Status::default());
        let source = MySql::new(settings, limits, status.clone(), "test");
        Self::run(runtime(), status, source, vec![place.clone()])
    }

    /// Starts a source from now on, although its check would refuse tables that are there.
    pub fn in_spite(settings: MySqlSource, limits: Limits) -> Self {
        let none = MySqlSource { tables: TablePatterns::new(&["!*.*"]).expect("a pattern"), ..settings.clone() };
        let place = precheck(none, &anew()).unwrap_or_else(|e| panic!("{e}"));
        Self::unchecked(settings, &Begin::At(place), limits)
    }

    fn run(runtime: Runtime, status: Arc<Status>, source: MySql, places: Vec<Frontier>) -> Self {
        let stop = CancellationToken::new();
        let (out, items) = mpsc::channel(4);
        let place = places[0].get(LANE).expect("the lane").clone();
        let task = runtime.spawn(source.run(places, out.into(), stop.clone()));
        Self { runtime, items, task: Some(task), stop, status, held: Vec::new(), place }
    }

    /// The next item; `None` when the source has ended.
    pub fn item(&mut self) -> Option<Item> {
        let receive = async { tokio::time::timeout(DEADLINE, self.items.recv()).await };
        let item = self.runtime.block_on(receive).expect("an item before the deadline")?;
        self.place = item.offset().clone();
        Some(item)
    }

    /// The next batch, checked; `None` when the source has ended.
    pub fn next(&mut self) -> Option<Batch> {
        loop {
            let Item::Rows(batch) = self.item()? else { continue };
            batch.validate().unwrap();
            if let Some(last) = self.held.last() {
                assert_eq!(batch.number, last.next_number(), "no gap and no overlap in the numbers");
            }
            self.held.push(batch.clone());
            return Some(batch);
        }
    }

    /// Where the stream is after the next heartbeat.
    pub fn heartbeat(&mut self) -> Offset {
        loop {
            match self.item().expect("the source runs") {
                Item::Mark(mark) if matches!(mark.kind, MarkKind::Heartbeat) => return mark.offset,
                Item::Rows(batch) => self.held.push(batch),
                _ => {}
            }
        }
    }

    /// Reads until `count` changes have come; returns all of them.
    pub fn changes(&mut self, count: usize) -> Vec<TextChange> {
        let deadline = Instant::now() + DEADLINE;
        while self.held.iter().map(|b| b.taken as usize).sum::<usize>() < count {
            assert!(Instant::now() < deadline, "only {} of {count} changes", self.held.iter().map(|b| b.taken).sum::<u32>());
            if self.next().is_none() {
                panic!("the source ended: {:?}", self.end());
            }
        }
        let changes: Vec<_> = self.held.iter().flat_map(text_changes).collect();
        assert_eq!(changes.len(), count);
        changes
    }

    /// Where to resume after all that was read.
    pub fn position(&self) -> Begin {
        at(&self.place)
    }

    /// Waits for the error that ends the source.
    pub fn failure(&mut self) -> Error {
        while self.next().is_some() {}
        self.end().expect_err("the source fails")
    }

    fn end(&mut self) -> Result<()> {
        let task = self.task.take().expect("not ended yet");
        self.runtime.block_on(async { tokio::time::timeout(DEADLINE, task).await }).expect("the source ends").unwrap()
    }

    /// Asks the source to stop, and waits for it.
    pub fn stop(mut self) {
        self.stop.cancel();
        let begin = Instant::now();
        self.end().expect("a clean stop");
        assert!(begin.elapsed() < Duration::from_secs(2), "a stop is prompt");
    }
}

/// A batch's changes as text.
pub fn text_changes(batch: &Batch) -> Vec<TextChange> {
    let image = |change: &Change, row: u32| {
        let rows = &batch.tables[change.table as usize];
        (row != NO_IMAGE).then(|| rows.columns.iter().map(|c| text(c, row as usize)).collect::<TextRow>())
    };
    batch
        .changes
        .iter()
        .map(|change| TextChange {
            table: batch.tables[change.table as usize].table.name.table.clone(),
            operation: change.operation,
            before: image(change, change.before),
            after: image(change, change.after),
        })
        .collect()
}

/// A value as text; `None` is null, or absent.
pub fn text(column: &Column, row: usize) -> Option<String> {
    if column.nulls.get(row) {
        return None;
    }
    Some(match &column.values {
        Values::Boolean(v) => v[row].to_string(),
        Values::Int64(v) => v[row].to_string(),
        Values::UInt64(v) => v[row].to_string(),
        Values::Float32(v) => v[row].to_string(),
        Values::Float64(v) => v[row].to_string(),
        Values::Text(v) => std::str::from_utf8(v.get(row)).unwrap().to_owned(),
        Values::Bytes(v) => v.get(row).iter().map(|b| format!("{b:02X}")).collect(),
    })
}
