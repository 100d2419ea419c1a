//! While one plugin misbehaves, the chain of another pipeline in the same process, on the same engine, notices nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use sluicegate_config::OnError;
use sluicegate_guest_builder::{self as guests, handmade::Handmade};
use sluicegate_model::{change::Batch, limits::Limits};

use crate::{
    faults::APPLY,
    workbench::{Bench, chain, chain_within, engine, inserts, limits, orders},
};

/// A pipeline's chain that works without a pause, and compares each delivered batch with the first.
struct Neighbour {
    stop: Arc<AtomicBool>,
    batches: Arc<AtomicU64>,
    thread: JoinHandle<Duration>,
}

fn busy() -> Bench {
    let filter = r#"{"tables": [{"table": "shop.orders", "where": "id <> 7"}]}"#;
    let mask = r#"{"tables": [{"table": "*.*", "columns": [{"column": "email", "mask": {"first": 1, "last": 4}}]}]}"#;
    let members: [(&[u8], &str); 3] =
        [(&guests::standard("filter"), filter), (&guests::standard("rewrite-columns"), mask), (&guests::stamp(1), "")];
    chain(&members, OnError::Stop).expect("configured")
}

fn content(batch: &Batch) -> String {
    format!("{:?} {:?}", batch.tables, batch.changes)
}

impl Neighbour {
    fn start() -> Self {
        let mut bench = busy();
        let given = inserts(&orders(), 100);
        let expected = content(&bench.chain.apply(given.clone()).expect("passes"));
        let (stop, batches) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, counted) = (stop.clone(), batches.clone());
        let thread = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !told.load(Ordering::Relaxed) {
                let begin = Instant::now();
                let delivered = bench.chain.apply(given.clone()).expect("passes");
                longest = longest.max(begin.elapsed());
                assert_eq!(content(&delivered), expected);
                counted.fetch_add(1, Ordering::Relaxed);
            }
            let faults: u64 = bench.status.plugins.all().iter().map(|p| p.failures.get() + p.restarts.get()).sum();
            assert_eq!(faults, 0, "the neighbour was disturbed");
            longest
        });
        Self { stop, batches, thread }
    }

    /// How many batches it has passed, and the longest time that one took.
    fn finish(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let longest = self.thread.join().expect("every batch was the same");
        (self.batches.load(Ordering::Relaxed), longest)
    }
}

/// Runs `misbehave` beside a neighbour, who must not once wait as long as a call may take.
fn beside(what: &str, deadline: Duration, misbehave: impl FnOnce()) {
    let neighbour = Neighbour::start();
    misbehave();
    let (batches, longest) = neighbour.finish();
    assert!(batches > 0, "{what}: the neighbour stood still");
    assert!(longest < deadline, "{what}: a batch of the neighbour took {longest:?}");
}

#[test]
fn a_plugin_that_spins_in_any_export_holds_nobody_up() {
    // a neighbour that were held up by a spin would wait for its whole deadline
    const CALL: Duration = Duration::from_secs(3);
    let slow = || Limits { plugin_call: CALL, plugin_start: CALL, ..limits() };
    let spin = "(loop (br 0)) unreachable";
    let start = Handmade { fields: "(func $start (loop (br 0))) (start $start)", ..Default::default() };
    for (export, plugin) in [("start", start), ("describe", Handmade { describe: spin, ..Default::default() })] {
        beside(export, CALL, || drop(chain_within(slow(), &[(&plugin.build(), "{}")], OnError::Stop).err().expect(export)));
    }
    let evil = guests::evil();
    let config = |export: &str| format!(r#"{{"behaviour": "spin-{export}"}}"#);
    beside("configure", CALL, || drop(chain_within(slow(), &[(&evil, &config("configure"))], OnError::Stop).err().expect("spins")));
    for export in ["plan", "apply"] {
        let mut bench = chain_within(slow(), &[(&evil, &config(export))], OnError::Stop).expect("configured");
        beside(export, CALL, || drop(bench.chain.apply(inserts(&orders(), 10)).expect_err(export)));
    }
}

#[test]
fn whatever_apply_does_the_neighbours_output_is_the_same() {
    let evil = guests::evil();
    beside("all of it", Duration::from_secs(60), || {
        for behaviour in APPLY.into_iter().chain(["log-flood", "leak"]) {
            let config = format!(r#"{{"behaviour": "{behaviour}"}}"#);
            let mut bench = chain(&[(&evil, &config)], OnError::DeadLetter).expect("configured");
            // two batches: what is made anew misbehaves as well
            (0..2).for_each(|_| drop(bench.chain.apply(inserts(&orders(), 2))));
        }
    });
}

#[test]
fn files_that_cannot_be_compiled_disturb_nobody() {
    let large = vec![0; 100_000_000];
    beside("files", Duration::from_secs(60), || {
        for file in [&guests::truncated(), &guests::core_module(), &guests::without_export(), &large] {
            assert!(engine().compile(file, &limits()).is_err());
        }
    });
}

/// User pain: a deadline that never fires, because the ticker was a task of the runtime that the endless guest held.
#[test]
fn the_deadline_holds_on_every_runtime() {
    let spin = || {
        let mut bench = crate::workbench::evil("spin-apply", OnError::Stop).expect("configured");
        let begin = Instant::now();
        let error = bench.chain.apply(inserts(&orders(), 1)).expect_err("endless");
        assert!(error.message().ends_with("no answer within 200 ms"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(30));
    };
    // the guest on the only thread of a runtime, which can run nothing else meanwhile
    let single = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    single.block_on(async { spin() });
    // and on every worker of a pool
    let pool = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    pool.block_on(async {
        let held = [tokio::spawn(async move { spin() }), tokio::spawn(async move { spin() })];
        for task in held {
            task.await.expect("the deadline fired");
        }
    });
    // and without any
    thread::spawn(spin).join().expect("the deadline fired");
}
