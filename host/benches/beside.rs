//! This build's program beside another one, such as the last release's, on one binlog of a real MariaDB: changes per CPU-second, peak
//! memory, and the ratio of both.
//!
//! Cost model: as in binlog.rs; a transaction of one row adds its own events (GTID, table map, XID: some 150 bytes) to each row. Both
//! programs run by turns, each as its users run it, with plugins that were compiled before, so that the ratio counts and the
//! machine's noise does not. Parsing the arguments, connecting and ending (some 20 ms of CPU) are in the figures of both.
//!
//! Starts a server of its own (tests/servers/mariadb.sh installs it). Run with `cargo bench --bench beside -- PROGRAM [ROWS]`, where
//! PROGRAM is the other one's executable. Without a program, there is nothing to compare, and it says so.

mod orders;
mod usage;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use sluicegate_harness::{database::Server, mariadb};
use usage::{PLUGINS, cpu_seconds, peak_megabytes};

/// How often each program runs each variant; the run in the middle counts.
const TURNS: usize = 5;
/// No slower than this.
const BAR: f64 = 0.97;
/// A program that has written, and then neither written nor used CPU for so long, has caught up.
const QUIET: Duration = Duration::from_millis(1500);
/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(300);

struct Variant {
    name: &'static str,
    plugins: &'static str,
    format: &'static str,
}

/// What is read from a log of large transactions.
const VARIANTS: [Variant; 4] = [
    Variant { name: "flat, no plugins", plugins: "", format: "flat" },
    Variant { name: "flat, three plugins", plugins: PLUGINS, format: "flat" },
    Variant { name: "debezium, no plugins", plugins: "", format: "debezium" },
    Variant { name: "debezium, three plugins", plugins: PLUGINS, format: "debezium" },
];
/// What is read from a log of transactions of one row.
const SINGLE: [Variant; 2] = [
    Variant { name: "flat, single-row transactions", plugins: "", format: "flat" },
    Variant { name: "debezium, single-row transactions", plugins: "", format: "debezium" },
];

/// One run of a program.
struct Run {
    cpu: f64,
    peak: f64,
    records: usize,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some(other) = args.first() else {
        return println!("nothing to compare with: name the executable of another build");
    };
    let rows: u64 = args.get(1).map_or(1_000_000, |a| a.parse().unwrap());
    println!("orders in the binlog; the middle of {TURNS} runs by turns, with the smallest and the largest ratio of two runs in turn\n");
    println!(
        "{:<36} {:>9} {:>12} {:>12} {:>6} {:>13} {:>15} {:>11}",
        "variant", "orders", "other/CPU-s", "this/CPU-s", "ratio", "from - to", "peak MB", "of the bar"
    );
    compare(other, &VARIANTS, rows, 1000);
    compare(other, &SINGLE, rows / 5, 1);
    println!("\nbar: no slower than {:.0} %", (1.0 - BAR) * 100.0);
}

/// Prints a line for each variant: both programs on one log of so many orders.
fn compare(other: &str, variants: &[Variant], rows: u64, a_transaction: u64) {
    let server = mariadb::start(&["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0"]);
    orders::fill(&server, "orders", rows, a_transaction);
    for variant in variants {
        let programs = [other, env!("CARGO_BIN_EXE_sluicegate")].map(|program| (program, tempfile::tempdir().unwrap()));
        let turn = || programs.each_ref().map(|(program, cache)| run(program, variant, &server, cache.path()));
        // compiles the plugins
        turn();
        let mut turns: Vec<[Run; 2]> = (0..TURNS).map(|_| turn()).collect();
        assert!(turns.iter().flatten().all(|run| run.records == turns[0][0].records), "{}: all write as many records", variant.name);
        let ratio = |[other, this]: &[Run; 2]| other.cpu / this.cpu;
        turns.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let range = format!("{:.2} - {:.2}", ratio(&turns[0]), ratio(&turns[TURNS - 1]));
        let peaks = [0, 1].map(|index| turns.iter().map(|turn| turn[index].peak).fold(0.0, f64::max));
        let middle = &turns[TURNS / 2];
        let [other, this] = middle.each_ref().map(|run| rows as f64 / run.cpu);
        let peaks = format!("{:.0}, {:.0}", peaks[0], peaks[1]);
        let bar = ratio(middle) / BAR;
        println!("{:<36} {rows:>9} {other:>12.0} {this:>12.0} {:>6.2} {range:>13} {peaks:>15} {bar:>9.2} x", variant.name, ratio(middle));
    }
}

/// Runs a program from the log's beginning until it has caught up, and ends it.
fn run(program: &str, variant: &Variant, server: &Server, cache: &Path) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let (port, user, password) = (server.port(), server.user(), server.password());
    let Variant { name, plugins, format } = variant;
    let text = format!(
        "name: bench
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['shop.*'], start: earliest }}
{plugins}
state: state.db
cache: {}
sinks: [{{ type: file, folder: out, format: {format} }}]
",
        cache.display()
    );
    fs::write(folder.path().join("pipeline.yaml"), text).unwrap();
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(program);
    command.args(["--log-format", "json", "run", "pipeline.yaml"]).current_dir(folder.path());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let (cpu, peak) = caught_up(&mut child, folder.path()).unwrap_or_else(|| {
        let log = fs::read_to_string(folder.path().join("log"));
        let _ = child.kill();
        panic!("{program}, {name}: {log:?}")
    });
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success(), "{program}, {name}: {:?}", fs::read_to_string(folder.path().join("log")));
    let files = fs::read_dir(folder.path().join("out")).unwrap();
    let records = files.map(|file| memchr::memchr_iter(b'\n', &fs::read(file.unwrap().path()).unwrap()).count()).sum();
    Run { cpu, peak, records }
}

/// Waits until the program has written and then used nearly no CPU for a while: CPU seconds, peak megabytes. Nothing if it ends or takes
/// too long.
fn caught_up(child: &mut Child, folder: &Path) -> Option<(f64, f64)> {
    let began = Instant::now();
    let mut quiet = (Instant::now(), 0.0, 0);
    while began.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        let files = fs::read_dir(folder.join("out")).into_iter().flatten();
        let written: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        let cpu = cpu_seconds(child.id());
        // a program that waits still makes checkpoints and beats: a tick or two
        if written != quiet.2 || cpu > quiet.1 + 0.025 {
            quiet = (Instant::now(), cpu, written);
        }
        if written > 0 && quiet.0.elapsed() > QUIET {
            return Some((cpu, peak_megabytes(child.id())));
        }
    }
    None
}
