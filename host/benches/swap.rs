//! How long a swap holds the stream up.
//!
//! Cost model: a new component is compiled, instantiated, planned and rehearsed on a thread of its own, while the stream goes
//! on. At the boundary the worker compares one number (has a table come since?), exchanges two pointers and answers; the old
//! chain is dropped elsewhere. That is some microseconds. What can be felt on top: the first batch finds cold caches, and on
//! a machine without a free core the preparing thread takes turns with the worker.
//!
//! Measured at the worker, as fast as the source goes: the time from the end of the last batch before the swap to the end of
//! the first batch after it, less the median time between two batches without a swap. The process swaps between two components
//! that differ in bytes that do nothing; their compiled forms are cached after the first time, so that a swap costs no
//! compilation, which would only make the swaps rarer.
//!
//! Run with `cargo bench --bench swap [-- SWAPS]`.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use sluicegate_config as config;
use sluicegate_pipeline::{
    self as pipeline,
    request::{Action, Request, SwapRequest},
};
use sluicegate_plugin_host as plugin;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt as _};

const BAR: Duration = Duration::from_millis(5);

/// When the batch that begins with this change had passed the plugins.
type Passed = Arc<Mutex<Vec<(u64, Instant)>>>;

/// Notes when batches pass.
struct Watch(Passed);

#[derive(Default)]
struct Number(Option<u64>);

impl Visit for Number {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "number" {
            self.0 = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: tracing::Subscriber> Layer<S> for Watch {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let now = Instant::now();
        let mut number = Number::default();
        event.record(&mut number);
        if let Some(number) = number.0 {
            self.0.lock().unwrap().push((number, now));
        }
    }
}

fn main() {
    let swaps: usize = std::env::args().skip(1).find(|a| a != "--bench").map_or(300, |a| a.parse().unwrap());
    let passed = Passed::default();
    let only_batches = Targets::new().with_target("sluicegate_pipeline::worker", tracing::Level::TRACE);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Watch(passed.clone()).with_filter(only_batches))).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let boundaries = runtime.block_on(swap(swaps));
    let passed = passed.lock().unwrap();
    let gap = |index: usize| passed[index].1 - passed[index - 1].1;
    let at: Vec<usize> = boundaries
        .iter()
        .map(|changes| passed.partition_point(|(number, _)| number < changes))
        .filter(|i| *i > 0 && *i < passed.len())
        .collect();
    let mut ordinary: Vec<Duration> = (1..passed.len()).filter(|i| !at.contains(i)).map(gap).collect();
    ordinary.sort_unstable();
    let usual = ordinary[ordinary.len() / 2];
    let mut pauses: Vec<Duration> = at.iter().map(|i| gap(*i).saturating_sub(usual)).collect();
    pauses.sort_unstable();
    let part = |all: &[Duration], percent: usize| all[(all.len() * percent / 100).min(all.len() - 1)].as_secs_f64() * 1e3;
    println!("{} swaps under full load, {} batches; milliseconds\n", pauses.len(), passed.len());
    println!("{:<38} {:>8} {:>8} {:>8}", "", "p50", "p99", "most");
    let line = |name: &str, all: &[Duration]| println!("{name:<38} {:>8.3} {:>8.3} {:>8.3}", part(all, 50), part(all, 99), part(all, 100));
    line("between two batches, without a swap", &ordinary);
    line("a swap's pause, beyond the median of that", &pauses);
    println!("\nbar: p99 below {} ms", BAR.as_millis());
}

/// Runs a pipeline and swaps one of its plugins; the first change that each new version saw.
async fn swap(swaps: usize) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let component = plugin::embedded("rewrite-columns").unwrap();
    let file = folder.path().join("hash.wasm");
    std::fs::write(&file, component).unwrap();
    let text = "name: bench
source: { type: generator, seed: 1 }
plugins:
  - file: hash.wasm
    config: { tables: [{ table: shop.orders, columns: [{ column: email, hash: { salt: a-salt-that-is-long-enough } }] }] }
  # nothing is written: minutes at full speed would fill a disk
  - use: filter
    config:
      tables:
        - { table: shop.customers, where: id < 0 }
        - { table: shop.orders, where: id < 0 }
        - { table: shop.order_lines, where: order_id < 0 }
sinks: [{ type: file, folder: out, format: flat }]
limits: { checkpoint_interval: 10m, queue_batches: 64 }
";
    let pipeline = config::load_str(text, folder.path(), |_| None).unwrap_or_else(|e| panic!("{e}"));
    let status = pipeline::status(&pipeline);
    let (requests, received) = tokio::sync::mpsc::channel(1);
    let stop = CancellationToken::new();
    let run = tokio::spawn(pipeline::run_with(
        pipeline,
        status,
        stop.clone(),
        pipeline::Commands { requests: Some(received), ..Default::default() },
    ));
    let mut boundaries = Vec::new();
    for number in 0..swaps + 2 {
        // a custom section that says nothing, and so the same work in other bytes
        let action = Action::Replace([component, &[0, 3, 1, b'v', (number % 2) as u8]].concat());
        let (answer, outcome) = oneshot::channel();
        requests.send(Request::Swap(SwapRequest { plugin: "hash".into(), action, answer })).await.unwrap();
        let taken = outcome.await.unwrap().unwrap_or_else(|refusal| panic!("{}", refusal.error));
        // both versions have been compiled after the first two
        if number >= 2 {
            boundaries.push(taken.changes);
        }
        // a few hundred batches in between
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    run.await.unwrap().unwrap_or_else(|e| panic!("{e}"));
    boundaries
}
