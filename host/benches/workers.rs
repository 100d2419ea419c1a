//! What a second worker brings to a plugin that is heavy on the CPU.
//!
//! The plugin: the standard `rewrite-columns`, with salted hashes (HMAC-SHA-256) of three or four columns of every
//! table, each hashed three times over.
//!
//! Cost model: a change costs the source 100-200 ns, the dispatcher the copy of a few words, the sink about 300 ns of
//! formatting, and the plugin about 0.6 us for each hash, 5 us or more. With one worker the plugin's thread is the narrow
//! place; with two, each does half, and nothing is copied that was not copied before. Two cores also run source and sink, about
//! an eighth of the work: at best 1.75 or so.
//!
//! Run with `cargo bench --bench workers [-- CHANGES]`. Wall time, the best of several rounds, one and two workers in turn.
//! Beside it, for a machine that has other work to do: the CPU time of the busiest thread, which is the wall time where every
//! thread has a core, and the process' CPU time halved, which no two cores can beat. The greater of the two is what two free
//! cores would take.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sluicegate_config as config;
use sluicegate_pipeline as pipeline;
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 5;
const BAR: f64 = 1.6;

/// Seconds that a run took.
#[derive(Clone, Copy)]
struct Took {
    wall: f64,
    two_cores: f64,
}

fn main() {
    let changes: u64 = std::env::args().skip(1).find(|a| a != "--bench").map_or(300_000, |a| a.parse().unwrap());
    println!("{changes} changes of the generated shop through nine to twelve salted hashes each into a file\n");
    let mut best = [Took { wall: f64::INFINITY, two_cores: f64::INFINITY }; 2];
    for _ in 0..ROUNDS {
        for (best, workers) in best.iter_mut().zip([1, 2]) {
            let took = run(workers, changes);
            *best = Took { wall: best.wall.min(took.wall), two_cores: best.two_cores.min(took.two_cores) };
        }
    }
    println!("{:<10} {:>12} {:>12} {:>16}", "workers", "wall s", "changes/s", "two free cores s");
    for (took, workers) in best.iter().zip([1, 2]) {
        println!("{workers:<10} {:>12.2} {:>12.0} {:>16.2}", took.wall, changes as f64 / took.wall, took.two_cores);
    }
    println!("\nratio: {:.2} in wall time, {:.2} on two free cores", best[0].wall / best[1].wall, best[0].two_cores / best[1].two_cores);
    println!("bar: at least {BAR:.2}");
}

fn run(workers: usize, changes: u64) -> Took {
    let folder = tempfile::tempdir().unwrap();
    let hashed = |table: &str, columns: &[&str]| {
        let step = |column: &str, salt: usize| format!("{{ column: {column}, hash: {{ salt: a-salt-that-is-long-enough-{salt} }} }}");
        let steps: Vec<String> = columns.iter().flat_map(|column| (0..3).map(move |salt| step(column, salt))).collect();
        format!("{{ table: shop.{table}, columns: [{}] }}", steps.join(", "))
    };
    let tables = [
        hashed("customers", &["name", "email", "country"]),
        hashed("orders", &["email", "order_no", "status", "note"]),
        hashed("order_lines", &["product", "line_no", "quantity"]),
    ]
    .join(", ");
    let text = format!(
        "name: bench
workers: {workers}
source: {{ type: generator, seed: 1, changes: {changes} }}
plugins: [{{ use: rewrite-columns, config: {{ tables: [{tables}] }} }}]
sinks: [{{ type: file, folder: out, format: flat }}]
cache: {}
",
        std::env::temp_dir().join("sluicegate-bench-cache").display()
    );
    let pipeline = config::load_str(&text, folder.path(), |_| None).unwrap_or_else(|e| panic!("{e}"));
    let status = pipeline::status(&pipeline);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let watching = std::thread::spawn({
        let over = over.clone();
        move || watch(&over)
    });
    let summary = runtime.block_on(pipeline::run(pipeline, status, CancellationToken::new())).unwrap_or_else(|e| panic!("{e}"));
    over.store(true, Ordering::Relaxed);
    let threads = watching.join().unwrap();
    let (busiest, all) = threads.values().fold((0.0_f64, 0.0), |(most, sum), s| (most.max(*s), sum + s));
    Took { wall: summary.elapsed.as_secs_f64(), two_cores: busiest.max(all / 2.0) }
}

/// CPU seconds of each thread that began after this, as far as they were seen, until `over`.
fn watch(over: &AtomicBool) -> HashMap<u32, f64> {
    let all = || -> Vec<(u32, f64)> {
        let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
        tasks
            .filter_map(|task| {
                let task = task.ok()?;
                let spent = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
                Some((task.file_name().to_str()?.parse().ok()?, spent.split(' ').next()?.parse::<f64>().ok()? / 1e9))
            })
            .collect()
    };
    let before: HashMap<u32, f64> = all().into_iter().collect();
    let mut seen = HashMap::new();
    while !over.load(Ordering::Relaxed) {
        for (id, spent) in all() {
            seen.insert(id, spent - before.get(&id).copied().unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    seen
}
