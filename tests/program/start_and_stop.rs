//! Starts and stops that take long: a stop is heard while a plugin is made ready, and a run that gave up on a stuck thread
//! leaves nothing behind that commits.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use sluicegate_config::{self as config, Pipeline};
use sluicegate_guest_builder::handmade::Handmade;
use sluicegate_harness::{
    free_port,
    host::{Sluicegate, http_get},
    until,
};
use sluicegate_pipeline as pipeline;
use sluicegate_state::Checkpoint;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const LONG: Duration = Duration::from_secs(60);

fn load(text: &str, folder: &Path) -> Pipeline {
    config::load_str(text, folder, |_| None).expect("a pipeline")
}

/// A plugin that takes many seconds to compile: functions of one long chain of operations each.
fn large() -> Vec<u8> {
    let mut fields = String::new();
    for function in 0..24 {
        fields.push_str("(func (param i64) (result i64) (local $a i64) (local $b i64)\n");
        for step in 0..12_000 {
            let number = step * 31 + function;
            let line = format!(
                "(local.set $a (i64.xor (i64.mul (local.get $b) (i64.const {number})) (i64.rotl (local.get $a) (local.get 0))))
                 (if (i64.gt_u (local.get $a) (local.get $b)) (then (local.set $b (i64.add (local.get $a) (i64.const {step})))))"
            );
            writeln!(fields, "{line}").expect("memory");
        }
        fields.push_str("(local.get $b))\n");
    }
    Handmade { fields: fields.leak(), ..Default::default() }.build()
}

#[test]
fn a_stop_while_a_component_compiles_ends_the_run_at_once_with_0() {
    let port = free_port();
    let text = "name: shop\nsource: { type: generator }\nplugins: [{ file: large.wasm }]\nsinks: [{ type: file, folder: out }]\n";
    let host = Sluicegate::new(BINARY, &format!("{text}http: 127.0.0.1:{port}\n"));
    std::fs::write(host.path("large.wasm"), large()).unwrap();
    let mut process = host.spawn_with(&["--log-format", "json", "--log-level", "debug", "run", "pipeline.yaml"]);
    process.wait_for_line("compiling, unless the cache has it", LONG);
    assert_eq!(http_get(port, "/healthz").map(|(code, _)| code), Some(200));
    let (code, body) = http_get(port, "/readyz").expect("an answer");
    assert!(code == 503 && body.contains("being made ready"), "{body}");
    process.sigterm();
    let ended = process.wait(LONG);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("stopped before the stream began: nothing was delivered"), "{}", ended.stderr);
    // it did not wait for the compiler
    assert!(!ended.stderr.contains("plugin ready"), "{}", ended.stderr);
}

#[test]
fn a_stop_while_a_plugin_is_made_ready_leaves_the_runtime_and_the_state_free() {
    let folder = tempfile::tempdir().unwrap();
    // opening it blocks until somebody writes, which nobody does
    assert!(Command::new("mkfifo").arg(folder.path().join("never.wasm")).status().unwrap().success());
    let text = "name: p\nsource: { type: generator }\nplugins: [{ file: never.wasm }]\nsinks: [{ type: file, folder: out }]\nstate: p.db\n";
    let pipeline = load(text, folder.path());
    let (state, status, stop) = (pipeline.state.clone(), pipeline::status(&pipeline), CancellationToken::new());
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // the state file is there before the plugin is read
    let stopping = async {
        while !state.exists() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (summary, ()) = runtime.block_on(async { tokio::join!(pipeline::run(pipeline, status, stop.clone()), stopping) });
    assert!(!summary.expect("a stop is no error").began);
    Checkpoint::open(&state, "p").expect("the lock is free");
}

#[test]
fn a_hangup_drains_as_sigterm_does() {
    let host = Sluicegate::new(BINARY, "name: p\nsource: { type: generator, rate: 100 }\nsinks: [{ type: file, folder: out }]\n");
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", LONG);
    process.signal(rustix::process::Signal::HUP);
    let ended = process.wait(LONG);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains(r#""signal":"SIGHUP""#), "{}", ended.stderr);
}

#[test]
fn a_state_that_is_a_folder_and_a_folder_that_cannot_be_made_end_with_3() {
    for settings in [
        "sinks: [{ type: stdout }]\nstate: .\n",
        "sinks: [{ type: stdout }]\nstate: file/p.db\n",
        "sinks: [{ type: file, folder: file/out }]\n",
    ] {
        let host = Sluicegate::new(BINARY, &format!("name: p\nsource: {{ type: generator, changes: 1 }}\n{settings}"));
        std::fs::write(host.path("file"), "").unwrap();
        let ended = host.run(&["run", "pipeline.yaml"], LONG);
        assert_eq!(ended.status.code(), Some(3), "{settings}: {}", ended.stderr);
    }
}

#[test]
fn a_drain_that_takes_too_long_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name: shop\nsource: { type: generator }\nsinks: [{ type: stdout }]\nlimits: { drain_timeout: 1s }\n";
    std::fs::write(folder.path().join("pipeline.yaml"), text).unwrap();
    // nobody reads standard output
    let mut child = Command::new(BINARY)
        .args(["--log-format", "text", "run", "pipeline.yaml"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = String::new();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    while !seen.contains("streaming from this position on") {
        assert_ne!(err.read_line(&mut seen).unwrap(), 0, "{seen}");
    }
    // the source stands still: what was read is more than the pipe takes
    let mut first = [0; 1];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    err.read_to_string(&mut seen).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{seen}");
    assert!(seen.contains("did not drain within 1 s") && seen.contains("raise limits.drain_timeout"), "{seen}");
}

/// Set in the process whose standard output nobody reads at first.
const STUCK: &str = "SLUICEGATE_TEST_STUCK";
const GAVE_UP: &str = "the run gave up";

#[test]
fn a_run_that_gave_up_on_a_stuck_sink_commits_nothing_more_and_frees_the_state_when_the_sink_has_ended() {
    if std::env::var_os(STUCK).is_some() {
        return stuck();
    }
    let name = "start_and_stop::a_run_that_gave_up_on_a_stuck_sink_commits_nothing_more_and_frees_the_state_when_the_sink_has_ended";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(STUCK, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    while !seen.contains(GAVE_UP) {
        assert_ne!(err.read_line(&mut seen).unwrap(), 0, "{seen}");
    }
    // the call that is stuck goes on
    let mut out = child.stdout.take().unwrap();
    let reading = thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()).unwrap());
    err.read_to_string(&mut seen).unwrap();
    assert!(child.wait().unwrap().success(), "{seen}");
    reading.join().unwrap();
}

/// Runs a pipeline into standard output in this process.
fn stuck() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name: p\nsource: { type: generator }\nsinks: [{ type: stdout, name: out }]\nstate: p.db\n\
        limits: { drain_timeout: 1s, checkpoint_interval: 10ms }\n";
    let pipeline = load(text, folder.path());
    let (state, status, stop) = (pipeline.state.clone(), pipeline::status(&pipeline), CancellationToken::new());
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let running = runtime.spawn(pipeline::run(pipeline, status.clone(), stop.clone()));
    // far more than a pipe takes
    until("changes", LONG, || status.source.changes.get() > 3000);
    stop.cancel();
    let error = runtime.block_on(running).unwrap().unwrap_err();
    assert!(error.message().contains("did not drain within 1 s"), "{error}");
    let committed = || Checkpoint::look(&state, "p").unwrap().remove(0).1.frontier.to_string();
    let before = committed();
    assert!(Checkpoint::open(&state, "p").is_err(), "the thread may still write, so nobody else may begin");
    eprintln!("{GAVE_UP}");
    until("the state is free", LONG, || Checkpoint::open(&state, "p").is_ok());
    assert_eq!(committed(), before, "committed after the run had returned");
}
