//! The memory of the whole process, measured from outside: what a plugin answers, what a row holds and how slow a sink is does not
//! take it beyond its budget and one batch.

use std::{
    fs,
    io::Read as _,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use sluicegate_guest_builder as guests;
use sluicegate_harness::{
    files, free_port,
    host::{self, Process, Sluicegate},
    mariadb, until,
};
use sluicegate_model::limits::ENCODED_GROWTH;

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;

/// Memory that is the process's own, not that of files; `None` once it has ended.
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().expect("a number") * 1024)
}

/// Runs until `done`, or to the end; answers the most memory that was seen.
fn peak(process: &mut Process, mut done: impl FnMut() -> bool) -> u64 {
    let mut most = 0;
    process.wait_for("the end", PATIENCE, |process| {
        let now = resident(process.pid());
        most = most.max(now.unwrap_or_default());
        (now.is_none() || done()).then_some(())
    });
    most
}

/// A program whose standard output nobody reads at first.
struct Unread(Child);

impl Drop for Unread {
    fn drop(&mut self) {
        // gone already where the test has passed
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The plugin refuses every batch of more than one row, and answers 10 MiB for each row of each of three tables: within every limit
/// of a single call. The sink stands still until somebody has to wait for memory.
#[test]
fn a_hostile_plugin_and_a_slow_sink_cannot_take_the_host_beyond_its_budget() {
    // 48 for the program, 64 for instances, 2.5 for the sink, and 20 for batches
    const MEMORY: u64 = 135;
    const ANSWER: u64 = 10;
    let (http, cache) = (free_port(), guests::repository().join("target/test-compiled"));
    let pipeline = format!(
        "name: memory
source: {{ type: generator, seed: 3, changes: 24 }}
plugins:
  - {{ name: evil, file: evil.wasm, on_error: skip, config: {{ behaviour: large-alone, value: {} }} }}
sinks: [{{ type: stdout, format: flat }}]
limits: {{ memory: {MEMORY}MiB, batch_changes: 4, batch_bytes: 64KiB, plugin_memory: 32MiB, plugin_output_bytes: 11MiB, plugin_call: 20s, queue_batches: 8, drain_timeout: 100s }}
http: 127.0.0.1:{http}
cache: {}
",
        ANSWER * MIB,
        cache.display()
    );
    let host = Sluicegate::new(BINARY, &pipeline);
    fs::write(host.path("evil.wasm"), guests::evil()).expect("written");
    let log = fs::File::create(host.path("log")).expect("made");
    let child = Command::new(BINARY).args(["run", "pipeline.yaml"]).current_dir(host.folder()).stdout(Stdio::piped()).stderr(log).spawn();
    let mut process = Unread(child.expect("started"));
    let metric = |name: &str| host::metric(http, &format!("sluicegate_memory_{name}{{pipeline=\"memory\"}}"));
    let mut most = 0;
    until("a batch waits for memory", PATIENCE, || {
        most = most.max(resident(process.0.id()).unwrap_or_default());
        metric("waits_total").is_some_and(|waits| waits > 0.0)
    });
    let budget = metric("budget_bytes").expect("a number") as u64;
    let reading = thread::spawn({
        let mut out = process.0.stdout.take().expect("piped");
        move || {
            let (mut lines, mut part) = (0, vec![0; 64 << 10]);
            loop {
                match out.read(&mut part).expect("read") {
                    0 => return lines,
                    bytes => lines += part[..bytes].iter().filter(|byte| **byte == b'\n').count(),
                }
            }
        }
    });
    let mut taken = 0;
    until("the end", PATIENCE, || {
        most = most.max(resident(process.0.id()).unwrap_or_default());
        taken = taken.max(metric("peak_bytes").unwrap_or_default() as u64);
        process.0.try_wait().expect("waited for").is_some()
    });
    let log = fs::read_to_string(host.path("log")).expect("the log");
    assert!(process.0.wait().expect("ended").success(), "{log}");
    assert_eq!(reading.join().expect("read"), 6, "a row of each batch is delivered\n{log}");
    // of the oldest batch: what it answered, an answer to come, and a record; here everything escapes to itself
    assert!(taken <= budget + (2 * ANSWER + 2 + ENCODED_GROWTH as u64 * ANSWER) * MIB, "{taken} of {budget}");
    assert!(most / MIB < MEMORY + 3 * ANSWER, "{} MiB", most / MIB);
}

#[test]
fn a_row_larger_than_the_budget_passes_alone() {
    const ROW: u64 = 32 * MIB;
    let server = mariadb::start(&["--max-allowed-packet=128M"]);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, b LONGBLOB)");
    let (port, user, password) = (server.port(), server.user(), server.password());
    let pipeline = format!(
        "name: memory
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['d.*'], start: earliest }}
sinks: [{{ type: file, format: flat, folder: out, prefix: s }}]
limits: {{ memory: 90MiB, batch_changes: 2 }}
"
    );
    let mut expected = Vec::new();
    for id in 1..10 {
        let bytes = if id % 3 == 0 { ROW } else { 10 };
        server.sql(&format!("INSERT INTO d.t VALUES ({id}, REPEAT('x', {bytes}))"));
        expected.push(id);
    }
    let host = Sluicegate::new(BINARY, &pipeline);
    let mut process = host.spawn();
    let folder = host.path("out");
    let most = peak(&mut process, || files::count_so_far(&folder, "s") == expected.len()) / MIB;
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let ids: Vec<u64> = files::records(&folder, "s").iter().map(|record| record["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids, expected);
    // the next event in the source's hand, the batch, and its record, as it grows
    assert!(most < 90 + (2 * ROW + ROW + 2 * ROW * 4 / 3) / MIB, "{most} MiB");
}

#[test]
fn plugins_that_leave_no_memory_for_a_batch_are_refused_at_the_start() {
    let pipeline = "name: memory
source: { type: generator, changes: 1 }
plugins: [{ use: filter, config: { tables: [] } }]
sinks: [{ type: stdout }]
limits: { memory: 128MiB }
";
    let host = Sluicegate::new(BINARY, pipeline);
    let refused = |command: &str| {
        let ended = host.run(&["--log-format", "text", command, "pipeline.yaml"], PATIENCE);
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        ended.stderr.split_once("error: ").expect("an error").1.to_owned()
    };
    let told = refused("run");
    assert_eq!(refused("check"), told);
    insta::assert_snapshot!(told, @"
    128 MiB of memory are not enough: the program and its buffers take 63 MiB, 2 plugin instances for each worker 128 MiB (those of a swap included), and one batch 4 MiB
    remedy: raise `limits.memory` or the memory limit of the container, or lower `limits.plugin_memory` or `workers`
    ");
}
