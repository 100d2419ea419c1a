//! Runs the source of the library and collects what it sends.

use std::{
    sync::{Arc, atomic::AtomicU32, atomic::Ordering},
    time::{Duration, Instant},
};

use sluicegate::{
    Error, Result,
    change::{Batch, Change, Column, NO_IMAGE, Operation, Position, Values},
    config::{MySqlSource, Secret, StartAt, TablePatterns, TlsMode},
    limits::Limits,
    service::Status,
    source::{Source, Start, mysql::MySql},
};
use sluicegate_harness::database::Server;
use tokio::{runtime::Runtime, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub const DEADLINE: Duration = Duration::from_secs(60);

/// An image as text, in the forms of the records.
pub type TextRow = Vec<Option<String>>;

/// A change with its images as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextChange {
    pub sequence: u64,
    pub table: String,
    pub operation: Operation,
    pub before: Option<TextRow>,
    pub after: Option<TextRow>,
}

/// Settings for a database of `server`, from now on, with a server id of its own.
pub fn settings(server: &Server, database: &str) -> MySqlSource {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    MySqlSource {
        host: "127.0.0.1".into(),
        port: server.port(),
        user: server.user().into(),
        password: Secret::new(server.password()),
        tls: TlsMode::Disabled,
        ca_file: None,
        server_id: Some((std::process::id() << 8) + NEXT.fetch_add(1, Ordering::Relaxed)),
        tables: TablePatterns::new(&[format!("{database}.*")]).expect("a pattern"),
        start: StartAt::Now,
        heartbeat: Duration::from_secs(2),
    }
}

/// Leaves tables of the database out.
pub fn leave_out(settings: &mut MySqlSource, database: &str, tables: &str) {
    settings.tables = TablePatterns::new(&[format!("{database}.*"), format!("!{database}.{tables}")]).expect("patterns");
}

/// A running source.
pub struct Capture {
    runtime: Runtime,
    batches: mpsc::Receiver<Batch>,
    task: Option<JoinHandle<Result<()>>>,
    stop: CancellationToken,
    pub status: Arc<Status>,
    pub held: Vec<Batch>,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// What the precheck says.
pub fn precheck(settings: MySqlSource, start: &Start) -> Result<Position> {
    let limits = Limits { connect_timeout: Duration::from_secs(5), ..Limits::default() };
    let mut source = MySql::new(settings, limits, Arc::default(), "test");
    runtime().block_on(source.precheck(start))
}

pub fn anew() -> Start {
    Start { position: None, sequence: 0 }
}

impl Capture {
    /// Starts a source; on a first start, returns once it knows where it starts.
    pub fn start(settings: MySqlSource, start: Start, limits: Limits) -> Self {
        let runtime = runtime();
        let status = Arc::new(Status::default());
        let stop = CancellationToken::new();
        let (out, batches) = mpsc::channel(4);
        let source = MySql::new(settings, limits, status.clone(), "test");
        let first = start.position.is_none();
        let task = runtime.spawn(source.run(start, out, stop.clone()));
        let mut capture = Self { runtime, batches, task: Some(task), stop, status, held: Vec::new() };
        if first {
            let batch = capture.next().unwrap_or_else(|| panic!("the source ended: {:?}", capture.end()));
            assert_eq!(batch.taken, 0, "the first batch only says where the source starts");
        }
        capture
    }

    /// The next batch, checked; `None` when the source has ended.
    pub fn next(&mut self) -> Option<Batch> {
        let receive = async { tokio::time::timeout(DEADLINE, self.batches.recv()).await };
        let batch = self.runtime.block_on(receive).expect("a batch before the deadline")?;
        batch.validate().unwrap();
        if let Some(last) = self.held.last() {
            assert_eq!(batch.sequence, last.next_sequence(), "no gap and no overlap in the numbers");
        }
        self.held.push(batch.clone());
        Some(batch)
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
    pub fn position(&self) -> Start {
        let last = self.held.last().expect("a batch");
        Start { position: Some(last.position.clone()), sequence: last.next_sequence() }
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
            sequence: batch.sequence + u64::from(change.offset),
            table: batch.tables[change.table as usize].table.name.table.clone(),
            operation: change.operation,
            before: image(change, change.before),
            after: image(change, change.after),
        })
        .collect()
}

fn text(column: &Column, row: usize) -> Option<String> {
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

/// The start after everything that `position` names.
pub fn at(position: &Position, sequence: u64) -> Start {
    Start { position: Some(position.clone()), sequence }
}
