//! What the core promises of lanes, offsets and frontiers, held against the generator's turbulence: lanes that interleave otherwise at
//! each start, fail, begin late and begin anew, transactions in another order, kills at any moment, sinks that stand far behind, new
//! ones and renamed ones. Whatever happens, every file sink gets every change that it should, once, and in order for each key.
//!
//! Tables are not added or removed: the generator has no choice of tables.

mod model;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use model::{From, Id, Log, Sink, judge, lane_of, records};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::Value;
use sluicegate_config::{Pipeline, load_str};
use sluicegate_model::{
    ErrorKind,
    change::{Frontier, Lane, Offset},
};
use sluicegate_state::{Checkpoint, Progress};
use sluicegate_status::Standing;
use tokio_util::sync::CancellationToken;

const LANES: u16 = 3;
const CHANGES: u64 = 320;
/// How long histories are tried until an output went apart and joined the others again: few do before the end.
const PATIENCE: Duration = Duration::from_secs(120);

/// A sink that the pipeline does not have: it stays where lanes began.
const WITNESS: &str = "witness";

/// How often outputs went apart, in all cases.
static DEPARTURES: AtomicU64 = AtomicU64::new(0);
/// How many of them went with the others again when the run ended.
static JOINED: AtomicU64 = AtomicU64::new(0);

/// What happens between two starts, and in the run behind it.
#[derive(Clone, Debug)]
struct Step {
    turbulence: u64,
    batch_changes: usize,
    workers: usize,
    /// Milliseconds; `None` = never but at an orderly end.
    commits: Option<u64>,
    /// The run ends after so many changes from the source.
    changes: u64,
    orderly: bool,
    /// The sink that blocked from the middle of the run on, if any.
    blocked: usize,
    /// Sinks that may go apart, and do as soon as they hold the others back at all: one bit for each.
    apart: u8,
    before: Before,
}

#[derive(Clone, Debug)]
enum Before {
    Nothing,
    AddEarliest,
    AddNow,
    Rename(usize),
}

struct World {
    folder: tempfile::TempDir,
    sinks: Vec<Sink>,
    names: usize,
    log: Log,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut world = Self { folder, sinks: Vec::new(), names: 0, log: BTreeMap::new() };
        for (id, record) in whole_log() {
            world.log.entry(lane_of(&id.0)).or_default().insert(id, record);
        }
        Checkpoint::open(&world.state(), "lanes").and_then(|c| c.begin([(WITNESS, &Frontier::default())])).expect("begun");
        world.add("earliest", BTreeMap::new());
        world.add("earliest", BTreeMap::new());
        world
    }

    fn add(&mut self, start: &'static str, lanes: BTreeMap<String, From>) {
        self.names += 1;
        let (name, folder) = (format!("sink{}", self.names), format!("out{}", self.names));
        self.sinks.push(Sink { name, folder, start, lanes });
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    fn pipeline(&self, step: &Step) -> Pipeline {
        let apart = |index: usize| step.apart >> (index % 8) & 1 == 1;
        let text = |(index, sink): (usize, &Sink)| sink_text(&sink.name, &sink.folder, sink.start, apart(index));
        let sinks: String = self.sinks.iter().enumerate().map(text).collect();
        let mut pipeline = pipeline(self.folder.path(), step.turbulence, &sinks);
        pipeline.workers = step.workers;
        pipeline.limits.batch_changes = step.batch_changes;
        pipeline.limits.queue_batches = 1;
        pipeline.limits.apart_after = Duration::ZERO;
        pipeline.limits.checkpoint_interval = step.commits.map_or(Duration::from_secs(3600), Duration::from_millis);
        pipeline
    }

    fn progress(&self) -> Vec<(String, Progress)> {
        Checkpoint::look(&self.state(), "lanes").expect("a checkpoint")
    }

    /// What the sink has in its files: in order, and where each change stands.
    fn files(&self, sink: &Sink) -> Vec<(Id, Value)> {
        records(&self.folder.path().join(&sink.folder))
    }

    /// Changes the sinks as the step says, and what they should get.
    fn change_sinks(&mut self, before: &Before) {
        let progress = self.progress();
        match before {
            Before::Nothing => {}
            Before::AddEarliest => {
                let known = known_lanes(&progress);
                self.add("earliest", known.into_iter().map(|lane| (lane, From::Earliest)).collect());
            }
            Before::AddNow => {
                // a run that ends in order: nothing stands in the files that is not committed
                self.orderly_pause();
                let had: BTreeSet<Id> = self.sinks.iter().flat_map(|sink| self.files(sink)).map(|(id, _)| id).collect();
                let known = known_lanes(&self.progress()).into_iter();
                self.add("now", known.map(|lane| (lane, From::Now(had.clone()))).collect());
            }
            Before::Rename(which) => self.rename(which % self.sinks.len(), &progress),
        }
    }

    /// The pipeline refuses a sink that it does not know; an operator tells that it is another one.
    fn rename(&mut self, which: usize, progress: &[(String, Progress)]) {
        self.names += 1;
        let before = std::mem::replace(&mut self.sinks[which].name, format!("sink{}", self.names));
        let Some((_, known)) = progress.iter().find(|(name, _)| *name == before) else { return };
        let sink = &mut self.sinks[which];
        sink.start = "";
        let name = sink.name.clone();
        let refused = execute(self.pipeline(&Step::last(0)), |_| false).expect_err("a sink that nobody knows");
        assert_eq!(refused.kind(), ErrorKind::Config, "{refused}");
        let checkpoint = Checkpoint::open(&self.state(), "lanes").expect("a checkpoint");
        checkpoint.set(&name, known).expect("set");
        checkpoint.drop_sink(&before).expect("dropped");
    }

    /// A run that commits what it reads, and ends soon.
    fn orderly_pause(&self) {
        let goal = |status: &sluicegate_status::Status| status.source.changes.get() > 0;
        execute(self.pipeline(&Step { orderly: true, ..Step::last(1) }), goal).expect("an orderly run");
    }

    fn run(&mut self, step: &Step) {
        self.change_sinks(&step.before);
        let mut earlier = Vec::new();
        let ended = execute(self.pipeline(step), |status| {
            let changes = status.source.changes.get();
            if changes >= step.changes / 2 && earlier.is_empty() {
                earlier = self.progress();
            }
            let ends = changes >= step.changes;
            // as kill -9: nothing is committed any more
            status.ended.fetch_or(ends && !step.orderly, Ordering::AcqRel);
            ends
        });
        if step.orderly {
            ended.expect("an orderly run");
        }
        // a sink that blocked committed nothing since: its files are longer than it knows, as after a crash
        if let Some(name) = self.sinks.get(step.blocked).map(|sink| &sink.name)
            && let Some((_, progress)) = earlier.iter_mut().find(|(known, progress)| known == name && !progress.state.is_empty())
        {
            let progress_now = self.progress();
            let (_, witness) = progress_now.iter().find(|(name, _)| name == WITNESS).expect("the witness");
            for (lane, beginning) in witness.frontier.lanes() {
                if progress.frontier.get(lane.name()).is_none() {
                    progress.frontier.set(lane.clone(), beginning.clone());
                }
            }
            Checkpoint::open(&self.state(), "lanes").and_then(|checkpoint| checkpoint.set(name, progress)).expect("set");
        }
    }
}

impl Step {
    /// The last one: to the end.
    fn last(batch_changes: usize) -> Self {
        let before = Before::Nothing;
        let changes = u64::MAX;
        Self {
            turbulence: 1,
            batch_changes: batch_changes.max(1),
            workers: 1,
            commits: Some(50),
            changes,
            orderly: true,
            blocked: 99,
            apart: 0,
            before,
        }
    }
}

fn sink_text(name: &str, folder: &str, start: &str, apart: bool) -> String {
    let apart = if apart { ", when_slow: apart" } else { "" };
    let start = if start.is_empty() { String::new() } else { format!(", start: {start}") };
    format!("  - {{ type: file, format: flat, name: {name}, folder: {folder}, prefix: shop{start}{apart} }}\n")
}

fn pipeline(folder: &Path, turbulence: u64, sinks: &str) -> Pipeline {
    let text = format!(
        "name: lanes
source: {{ type: generator, seed: 7, changes: {CHANGES}, lanes: {LANES}, turbulence: {turbulence} }}
state: state.db
sinks:
{sinks}"
    );
    load_str(&text, folder, |_| None).expect("a pipeline")
}

/// Runs the pipeline; it is stopped when `ends` says so, which is asked all the time.
fn execute(pipeline: Pipeline, mut ends: impl FnMut(&sluicegate_status::Status) -> bool) -> sluicegate_model::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (status, stop) = (sluicegate_pipeline::status(&pipeline), CancellationToken::new());
        let mut run = std::pin::pin!(sluicegate_pipeline::run(pipeline, status.clone(), stop.clone()));
        loop {
            tokio::select! {
                ended = &mut run => {
                    for apart in status.sinks.iter().map(|sink| &sink.apart).filter(|apart| apart.departures.get() > 0) {
                        DEPARTURES.fetch_add(apart.departures.get(), Ordering::Relaxed);
                        JOINED.fetch_add(u64::from(apart.standing() == Standing::Together), Ordering::Relaxed);
                    }
                    return ended.map(|_| ());
                }
                () = tokio::time::sleep(Duration::from_micros(300)) => if ends(&status) { stop.cancel() },
            }
        }
    })
}

/// All changes of all lanes, from one run that nothing disturbs.
fn whole_log() -> Vec<(Id, Value)> {
    let folder = tempfile::tempdir().expect("a folder");
    let beginning = Offset::from_json(r#"{"seed":7,"generation":1,"below":0}"#);
    let frontier: Frontier = (1..=LANES).map(|n| (Lane::new(format!("generator/{n}")), beginning.clone())).collect();
    let checkpoint = Checkpoint::open(&folder.path().join("state.db"), "lanes").expect("a checkpoint");
    checkpoint.begin([("all", &frontier)]).expect("begun");
    drop(checkpoint);
    execute(pipeline(folder.path(), 3, &sink_text("all", "out", "", false)), |_| false).expect("a run");
    records(&folder.path().join("out"))
}

fn known_lanes(progress: &[(String, Progress)]) -> BTreeSet<String> {
    progress.iter().flat_map(|(_, progress)| progress.frontier.lanes()).map(|(lane, _)| lane.name().to_owned()).collect()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let before = prop_oneof![
        4 => Just(Before::Nothing),
        1 => Just(Before::AddEarliest),
        1 => Just(Before::AddNow),
        1 => (0..4_usize).prop_map(Before::Rename),
    ];
    let commits = prop_oneof![2 => Just(Some(0)), 2 => (1..8_u64).prop_map(Some), 1 => Just(None)];
    let apart = prop_oneof![1 => Just(0), 1 => any::<u8>()];
    let run = (any::<u64>(), 1..30_usize, 1..3_usize, commits, 0..400_u64, prop::bool::weighted(0.3), 0..5_usize, apart, before);
    let step = run.prop_map(|(turbulence, batch_changes, workers, commits, changes, orderly, blocked, apart, before)| Step {
        turbulence,
        batch_changes,
        workers,
        commits,
        changes,
        orderly,
        blocked,
        apart,
        before,
    });
    prop::collection::vec(step, 2..7)
}

#[test]
fn every_sink_gets_every_change_that_it_should_once_and_in_order() {
    let config = ProptestConfig { cases: 16, failure_persistence: None, max_shrink_iters: 40, ..ProptestConfig::default() };
    // which outputs go apart, and join again before the end, hangs on how fast each of them is: until both were among the histories
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        // one runner gives its cases once only
        let outcome = TestRunner::new(config.clone()).run(&steps(), |steps| {
            let mut world = World::new();
            for step in &steps {
                world.run(step);
            }
            world.run(&Step { apart: 0b10, ..Step::last(20) });
            judge(world.folder.path(), &world.sinks, &world.log);
            Ok(())
        });
        outcome.unwrap_or_else(|fault| panic!("{fault}"));
        if DEPARTURES.load(Ordering::Relaxed) > 0 && JOINED.load(Ordering::Relaxed) > 0 {
            return;
        }
    }
    panic!("no output joined the others again within {PATIENCE:?}; {} went apart", DEPARTURES.load(Ordering::Relaxed));
}
