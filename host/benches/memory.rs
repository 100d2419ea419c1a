//! Memory of the whole process: what is resident at most, beside what the budget gave to batches.
//!
//! Cost model: a batch holds its columns (4 MiB at most, or one larger row), what plugins answered, and while a sink writes it the
//! text of one record; plugin instances and the sinks' buffers come on top, and the program itself takes some 50 MiB. Queues of four
//! batches stand between the parts. So a run of small rows should stay below 100 MiB whatever the sink does, and the others below
//! `limits.memory` and what one batch may take.
//!
//! Each variant runs in a process of its own. Run with `cargo bench --bench memory [-- CHANGES]`.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use sluicegate_config as config;
use sluicegate_guest_builder as guests;
use sluicegate_pipeline as pipeline;
use tokio_util::sync::CancellationToken;

/// Bytes that the slow reader takes at a time.
const SIP: usize = 64 << 10;

struct Variant {
    name: &'static str,
    source: &'static str,
    /// What the evil guest does; nothing without it.
    plugin: &'static str,
    sink: &'static str,
    limits: &'static str,
    /// The part of the changes that the variant has: one in so many.
    share: u64,
}

const FILE: &str = "{ type: file, format: flat, folder: out }";
const PRINTED: &str = "{ type: stdout, format: flat }";

const VARIANTS: [Variant; 6] = [
    Variant { name: "file", source: "", plugin: "", sink: FILE, limits: "", share: 1 },
    Variant { name: "slow sink", source: "", plugin: "", sink: PRINTED, limits: "", share: 1 },
    Variant {
        name: "slow sink, long queues",
        source: "",
        plugin: "",
        sink: PRINTED,
        limits: "memory: 128MiB, queue_batches: 1024",
        share: 1,
    },
    Variant { name: "66 tables in 22 lanes", source: "lanes: 22, ", plugin: "", sink: FILE, limits: "", share: 1 },
    Variant {
        name: "hostile plugin, slow sink",
        source: "",
        plugin: "value: 25165824",
        sink: PRINTED,
        limits: "memory: 256MiB, batch_changes: 12, batch_bytes: 64KiB, plugin_memory: 80MiB, plugin_output_bytes: 25MiB, plugin_call: 20s",
        share: 1000,
    },
    Variant {
        name: "rows larger than the budget",
        source: "",
        plugin: "value: 33554432",
        sink: FILE,
        limits: "memory: 256MiB, batch_changes: 1, batch_bytes: 64KiB, plugin_memory: 90MiB, plugin_output_bytes: 33MiB, plugin_call: 20s",
        share: 10_000,
    },
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [run, index, changes, folder] = args.as_slice()
        && run == "--run"
    {
        return measured(&VARIANTS[index.parse::<usize>().unwrap()], changes.parse().unwrap(), Path::new(folder));
    }
    let changes: u64 = args.first().map_or(200_000, |a| a.parse().unwrap());
    println!("{:<30} {:>9} {:>9} {:>11} {:>11} {:>7}", "variant", "changes", "peak MB", "budget MB", "batches MB", "waits");
    for (index, variant) in VARIANTS.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let changes = (changes / variant.share).max(12);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--run", &index.to_string(), &changes.to_string()])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        sip(child.stdout.take().unwrap());
        let told = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success(), "{}: {text}", variant.name);
        println!("{:<30} {changes:>9} {}", variant.name, text.lines().last().unwrap_or_default());
    }
}

/// Reads slowly at first, until everything that may wait does, and then to the end.
fn sip(mut out: impl std::io::Read) {
    let mut cup = vec![0; SIP];
    let begin = Instant::now();
    while out.read(&mut cup).unwrap() > 0 {
        if begin.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn measured(variant: &Variant, changes: u64, folder: &Path) {
    let plugins = if variant.plugin.is_empty() {
        String::new()
    } else {
        std::fs::write(folder.join("evil.wasm"), guests::evil()).unwrap();
        format!("plugins: [{{ name: evil, file: evil.wasm, on_error: skip, config: {{ behaviour: large-alone, {} }} }}]\n", variant.plugin)
    };
    let text = format!(
        "name: bench\nsource: {{ type: generator, seed: 1, {}changes: {changes} }}\n{plugins}sinks: [{}]\nlimits: {{ {} }}\n",
        variant.source, variant.sink, variant.limits
    );
    let pipeline = config::load_str(&text, folder, |_| None).unwrap();
    let status = pipeline::status(&pipeline);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(pipeline::run(pipeline, status.clone(), CancellationToken::new())).unwrap();
    let budget = status.budget.get().unwrap();
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    eprintln!("{:>9.0} {:>11.1} {:>11.1} {:>7}", peak_megabytes(), mib(budget.most()), mib(budget.peak()), budget.waits());
}

/// The most memory that was resident at once.
fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
