//! Variants of a run, each measured in a process of its own, so that its peak memory is its own.

#[path = "../usage/mod.rs"]
mod usage;

use std::{path::Path, process::Command, time::Instant};

use usage::{PLUGINS, cpu_seconds, peak_megabytes};

/// How often each variant runs; the run in the middle counts.
const TURNS: usize = 5;

/// What runs, and how fast it has to be.
#[derive(Clone, Copy)]
pub struct Variant {
    pub name: &'static str,
    /// The pipeline file's `plugins`, or nothing.
    pub plugins: &'static str,
    /// What is written: a record format, or something that the bench knows.
    pub written: &'static str,
    /// Whether the plugins were compiled before; compiling them is part of the run otherwise.
    pub compiled: bool,
    /// Changes per CPU-second.
    pub bar: Option<f64>,
}

impl Variant {
    const fn new(name: &'static str, plugins: &'static str, written: &'static str, bar: Option<f64>) -> Self {
        Self { name, plugins, written, compiled: false, bar }
    }
}

/// The source alone, and what the whole program is measured with.
pub const fn variants(source: &'static str, written: &'static str) -> [Variant; 6] {
    [
        Variant::new(source, "", written, None),
        Variant::new("flat, no plugins", "", "flat", Some(600e3)),
        Variant::new("flat, three plugins", PLUGINS, "flat", Some(400e3)),
        Variant { compiled: true, ..Variant::new("flat, three plugins compiled before", PLUGINS, "flat", None) },
        Variant::new("debezium, no plugins", "", "debezium", Some(300e3)),
        Variant::new("debezium, three plugins", PLUGINS, "debezium", None),
    ]
}

/// CPU seconds, peak megabytes, megabytes written, wall seconds.
type Run = [f64; 4];

/// Runs this program again for each variant, as `--run INDEX CHANGES FOLDER CACHE MORE…`, and prints a line of figures for each.
///
/// The variants run by turns, so that a machine that is slow for a while is so for all of them.
pub fn compare(variants: &[Variant], changes: u64, more: &[&str]) {
    println!("the middle of {TURNS} runs by turns, with the slowest and the fastest\n");
    println!(
        "{:<36} {:>13} {:>19} {:>7} {:>7} {:>8} {:>7} {:>11}",
        "variant", "changes/CPU-s", "from - to, 1000s", "CPU s", "wall s", "peak MB", "MB out", "of the bar"
    );
    let compiled = tempfile::tempdir().unwrap();
    if let Some(index) = variants.iter().position(|variant| variant.compiled) {
        run(index, variants[index].name, 1000, compiled.path(), more);
    }
    let mut runs = vec![Vec::new(); variants.len()];
    for _ in 0..TURNS {
        for (index, (variant, runs)) in variants.iter().zip(&mut runs).enumerate() {
            let empty = tempfile::tempdir().unwrap();
            let cache = if variant.compiled { &compiled } else { &empty };
            runs.push(run(index, variant.name, changes, cache.path(), more));
        }
    }
    for (variant, mut runs) in variants.iter().zip(runs) {
        runs.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let rate = |run: &Run| changes as f64 / run[0];
        let [cpu, _, out, wall] = runs[TURNS / 2];
        let peak = runs.iter().map(|run| run[1]).fold(0.0, f64::max);
        let middle = rate(&runs[TURNS / 2]);
        let bar = variant.bar.map_or_else(|| "-".to_owned(), |bar| format!("{:.2} x", middle / bar));
        let range = format!("{:.0} - {:.0}", rate(&runs[TURNS - 1]) / 1e3, rate(&runs[0]) / 1e3);
        println!("{:<36} {middle:>13.0} {range:>19} {cpu:>7.2} {wall:>7.2} {peak:>8.0} {out:>7.0} {bar:>11}", variant.name);
    }
}

/// One run in a process of its own.
fn run(index: usize, name: &str, changes: u64, cache: &Path, more: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--run", &index.to_string(), &changes.to_string()])
        .args([folder.path(), cache])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = told.split_whitespace().map(|n| n.parse().unwrap()).collect();
    [numbers[0], numbers[1], numbers[2], begin.elapsed().as_secs_f64()]
}

/// What [`compare`] reads: CPU seconds, peak megabytes, megabytes in the files of `folder/out`.
pub fn tell(folder: &Path) {
    let files = std::fs::read_dir(folder.join("out"));
    let written: u64 = files.map_or(0, |files| files.map(|f| f.unwrap().metadata().unwrap().len()).sum());
    let process = std::process::id();
    println!("{} {} {}", cpu_seconds(process), peak_megabytes(process), written as f64 / 1e6);
}
