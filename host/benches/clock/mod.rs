//! CPU time, and the generator's changes as input.

use std::{sync::Arc, time::Instant};

use sluicegate_config::GeneratorSource;
use sluicegate_generator::Generator;
use sluicegate_model::{
    change::{Batch, Item},
    limits::Limits,
};
use sluicegate_source::{Begin, Source};
use sluicegate_status::Status;
use tokio_util::sync::CancellationToken;

/// Nanoseconds that this thread has run: other work on the machine does not count. Wall time where the system does not
/// tell.
pub fn cpu_ns() -> f64 {
    thread_local!(static BEGAN: Instant = Instant::now());
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = spent.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    told.unwrap_or_else(|| BEGAN.with(|began| began.elapsed().as_nanos() as f64))
}

/// Nanoseconds for each of `count` items of the work, the best of some rounds. A round repeats the work until it has taken
/// long enough for a clock that some systems advance by milliseconds only.
pub fn best(count: usize, mut work: impl FnMut()) -> f64 {
    const ENOUGH_NS: f64 = 100e6;
    let mut round = |repeats: u32| {
        let began = cpu_ns();
        (0..repeats).for_each(|_| work());
        cpu_ns() - began
    };
    let mut repeats = 1;
    while round(repeats) < ENOUGH_NS {
        repeats *= 2;
    }
    let shortest = (0..7).map(|_| round(repeats)).fold(f64::INFINITY, f64::min);
    shortest / f64::from(repeats) / count as f64
}

/// Runs the generator for `changes` changes and hands every batch to `take`.
pub fn generate(changes: u64, mut take: impl FnMut(Batch)) {
    let settings = GeneratorSource { changes: Some(changes), ..GeneratorSource::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (out, mut items) = tokio::sync::mpsc::channel(4);
        let mut generator = Generator::new(settings, Limits::default(), Arc::new(Status::default()));
        let sinks = generator.check(&[Begin::First]).await.unwrap();
        let run = generator.run(sinks, out.into(), CancellationToken::new());
        let drain = async {
            while let Some(item) = items.recv().await {
                if let Item::Rows(batch) = item {
                    take(batch);
                }
            }
        };
        tokio::join!(async { run.await.unwrap() }, drain);
    });
}

/// The changes of the table `orders` among the first `changes`.
#[allow(dead_code, reason = "each bench is a program of its own and not all use it")]
pub fn orders(changes: u64) -> Vec<Batch> {
    let mut all = Vec::new();
    generate(changes, |mut batch| {
        let orders = batch.tables.iter().position(|rows| rows.table.name.table == "orders");
        batch.changes.retain(|change| Some(change.table as usize) == orders);
        all.push(batch);
    });
    all
}
