//! The real binary: usage, exit codes, help, schema, and what it says when it fails.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use sluicegate_harness::host::{Sluicegate, http_get, metric};

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");

fn sluicegate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .current_dir(folder)
        .env_remove("SLUICEGATE_LOG")
        .env_remove("SLUICEGATE_LOG_FORMAT")
        .output()
        .expect("the binary can be started")
}

/// Exit code, standard output, standard error.
fn outcome(arguments: &[&str]) -> (i32, String, String) {
    outcome_in(Path::new("."), arguments)
}

fn outcome_in(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = sluicegate(folder, arguments);
    (
        output.status.code().expect("it ended by itself"),
        String::from_utf8(output.stdout).expect("output is UTF-8"),
        String::from_utf8(output.stderr).expect("output is UTF-8"),
    )
}

fn folder_with(pipeline: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pipeline.yaml"), pipeline).unwrap();
    folder
}

#[test]
fn help_teaches_with_examples_and_exit_codes() {
    let (code, out, err) = outcome(&["--help"]);
    assert_eq!((code, err.as_str()), (0, ""));
    for text in
        ["run", "check", "plugin", "schema", "sluicegate run examples/quickstart.yaml", "Exit codes:", "  3  something is not ready"]
    {
        assert!(out.contains(text), "no {text:?} in\n{out}");
    }
    let (code, out, _) = outcome(&["run", "--help"]);
    assert_eq!(code, 0);
    assert!(out.contains("source: { type: generator, changes: 1000 }"), "{out}");
    assert_eq!(outcome(&["plugin", "inspect", "--help"]).0, 0);
}

#[test]
fn the_version_is_told() {
    assert_eq!(outcome(&["--version"]), (0, format!("sluicegate {}\n", env!("CARGO_PKG_VERSION")), String::new()));
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [
        &[][..],
        &["run"],
        &["chek", "x.yaml"],
        &["run", "a.yaml", "b.yaml"],
        &["--log-format", "xml", "schema"],
        &["--log-level", "sluicegate=loud", "schema"],
        &["plugin"],
    ] {
        let (code, out, err) = outcome(arguments);
        assert_eq!(code, 2, "{arguments:?}: {err}");
        assert_eq!(out, "", "{arguments:?}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
    let (_, _, err) = outcome(&["chek", "x.yaml"]);
    assert!(err.contains("'check'"), "the nearest command is named: {err}");
}

#[test]
fn a_wrong_pipeline_file_ends_with_2_and_tells_line_path_and_remedy() {
    let folder = folder_with("name: shop\nsource: { type: generator }\nsink: []\nsinks: [{ type: stdout }]\n");
    let (code, out, err) = outcome_in(folder.path(), &["check", "pipeline.yaml"]);
    assert_eq!((code, out.as_str()), (2, ""));
    insta::assert_snapshot!(err, @r"
    error: pipeline.yaml: line 3, sink: unknown key
    remedy: did you mean `sinks`?
    ");
    let (code, _, err) = outcome_in(folder.path(), &["--log-format", "text", "run", "pipeline.yaml"]);
    assert_eq!(code, 2);
    assert!(err.contains("error: pipeline.yaml: line 3"), "{err}");
}

#[test]
fn in_a_json_log_the_error_is_json_too() {
    let folder = folder_with("name: shop\n");
    let (code, _, err) = outcome_in(folder.path(), &["--log-format", "json", "run", "pipeline.yaml"]);
    assert_eq!(code, 2);
    let lines: Vec<serde_json::Value> = err.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 1, "{err}");
    assert_eq!(lines[0]["level"], "ERROR");
    assert_eq!(lines[0]["message"], "pipeline.yaml: line 1: `source` is missing");
    assert_eq!(lines[0]["remedy"], "add `source: …`");
}

#[test]
fn a_missing_pipeline_file_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = outcome_in(folder.path(), &["check", "none.yaml"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(err, @r"
    error: the pipeline file none.yaml cannot be read
    caused by: No such file or directory (os error 2)
    remedy: check the path; `sluicegate run --help` shows a first pipeline file
    ");
}

#[test]
fn secrets_stay_hidden_at_every_log_level() {
    let folder = folder_with(
        "name: shop\nsource:\n  type: mysql\n  host: 127.0.0.1\n  port: 1\n  user: u\n  password: ${PASSWORD}\nsinks:\n  - { type: stdout }\nlimits: { connect_timeout: 1s, retry_window: 0s }\n",
    );
    let output = Command::new(BINARY)
        .args(["--log-level", "trace", "check", "pipeline.yaml"])
        .current_dir(folder.path())
        .env("PASSWORD", "hunter2-secret")
        .output()
        .unwrap();
    let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_ne!(output.status.code(), Some(0));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_schema_is_json_and_describes_the_keys() {
    let (code, out, _) = outcome(&["schema"]);
    assert_eq!(code, 0);
    let schema: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(schema["title"], "Sluicegate pipeline");
    for key in ["name", "source", "plugins", "sinks", "state", "http", "limits"] {
        assert!(schema["properties"][key].is_object(), "no {key}");
    }
}

#[test]
fn a_file_that_is_no_component_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.wasm"), "not a component").unwrap();
    for file in ["x.wasm", "missing.wasm"] {
        let (code, out, err) = outcome_in(folder.path(), &["plugin", "inspect", file]);
        assert_eq!((code, out.as_str()), (3, ""), "{err}");
        assert!(err.starts_with("error: ") && err.contains("\nremedy: "), "{err}");
    }
}

#[test]
fn a_missing_plugin_file_ends_with_3_and_names_it() {
    let folder = folder_with(
        "name: p\nsource: { type: generator, changes: 1 }\nplugins: [{ file: ./gone.wasm }]\nsinks: [{ type: file, folder: out }]\n",
    );
    for command in ["run", "check"] {
        let (code, _, stderr) = outcome_in(folder.path(), &["--log-format", "text", command, "pipeline.yaml"]);
        assert_eq!(code, 3, "{stderr}");
        assert!(stderr.contains("the plugin file cannot be read") && stderr.contains("gone.wasm") && stderr.contains("remedy"), "{stderr}");
    }
}

/// Neither waits for a pipe's writer nor takes all memory for a device without an end.
#[test]
fn only_regular_files_are_read() {
    let host = Sluicegate::new(
        BINARY,
        "name: p\nsource: { type: mysql, host: h, user: u, password: { file: pipe }, tables: ['a.*'] }\nsinks: [{ type: stdout }]\n",
    );
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, host.path("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    std::fs::write(host.path("rows"), "").unwrap();
    for file in ["pipe", "/dev/zero"] {
        let config = format!("@{file}");
        for (arguments, code) in [
            (&["check", file][..], 2),
            (&["check", "pipeline.yaml"], 2),
            (&["plugin", "inspect", file], 3),
            (&["plugin", "test", "filter", "--rows", file], 2),
            (&["plugin", "test", "filter", "--rows", "rows", "--config", &config], 2),
        ] {
            let ended = host.run(arguments, LONG);
            assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {}", ended.stderr);
            assert!(ended.stderr.contains("it is not a regular file"), "{arguments:?}: {}", ended.stderr);
        }
    }
}

#[test]
fn a_second_process_on_one_checkpoint_is_refused() {
    let host = endless("");
    let mut first = host.spawn();
    let out = host.path("out");
    first.wait_until("the first one to deliver", LONG, || sluicegate_harness::files::bytes_so_far(&out, "shop") > 0);
    let second = host.run(&["--log-format", "text", "run", "pipeline.yaml"], LONG);
    assert_ne!(second.status.code(), Some(0));
    assert!(second.stderr.contains("remedy") && second.stderr.contains(".lock"), "{}", second.stderr);
    assert!(first.is_running());
}

#[test]
fn a_port_that_is_taken_ends_with_3() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = folder_with(&format!("name: shop\nsource: {{ type: generator }}\nsinks: [{{ type: stdout }}]\nhttp: {address}\n"));
    let (code, _, err) = outcome_in(folder.path(), &["--log-format", "text", "run", "pipeline.yaml"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains(&format!("error: the HTTP address {address} cannot be bound")), "{err}");
}

const LONG: Duration = Duration::from_secs(60);

/// A generator that never ends, into files.
fn endless(more: &str) -> Sluicegate {
    Sluicegate::new(
        BINARY,
        &format!("name: shop\nsource: {{ type: generator, rate: 2000 }}\nsinks:\n  - {{ type: file, folder: out, format: flat }}\n{more}"),
    )
}

#[test]
fn sigterm_and_ctrl_c_drain_and_end_with_0() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let host = endless("");
        let mut process = host.spawn();
        process.wait_until("records in a file", LONG, || host.path("out/shop-00000001.ndjson").metadata().is_ok_and(|m| m.len() > 0));
        process.signal(signal);
        let ended = process.wait(LONG);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        // what it counted is what the files hold, and every line of the log is JSON
        let log: Vec<serde_json::Value> =
            ended.stderr.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
        let done = log.iter().find(|l| l["message"] == "done").unwrap_or_else(|| panic!("no last line in {}", ended.stderr));
        assert_eq!(done["changes"].as_u64(), Some(records(&host).len() as u64));
        assert_eq!(done["pipeline"], "shop");
    }
}

fn records(host: &Sluicegate) -> Vec<serde_json::Value> {
    let folder = host.path("out");
    if folder.is_dir() { sluicegate_harness::files::records(&folder, "shop") } else { Vec::new() }
}

#[test]
fn a_second_signal_ends_at_once_with_1() {
    // nobody reads standard output: draining cannot end by itself
    let folder = folder_with("name: shop\nsource: { type: generator }\nsinks: [{ type: stdout }]\n");
    let mut child = Command::new(BINARY)
        .args(["--log-format", "text", "run", "pipeline.yaml"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    let mut until = |text: &str| {
        while !seen.contains(text) {
            assert_ne!(err.read_line(&mut seen).unwrap(), 0, "no {text:?} in\n{seen}");
        }
    };
    until("starting");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    until("draining what has been read");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    until("ended at once by a second signal");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn health_readiness_and_metrics_are_served_while_it_runs() {
    let port = sluicegate_harness::free_port();
    let host = endless(&format!("http: 127.0.0.1:{port}\n"));
    let mut process = host.spawn();
    process
        .wait_until("readiness", LONG, || http_get(port, "/readyz").is_some_and(|(code, body)| code == 200 && body.contains("streaming")));
    assert_eq!(http_get(port, "/healthz").map(|(code, _)| code), Some(200));
    process.wait_until("records in the metrics", LONG, || {
        metric(port, r#"sluicegate_sink_records_total{pipeline="shop",sink="file"}"#).is_some_and(|n| n > 0.0)
    });
    process.sigterm();
    assert_eq!(process.wait(LONG).status.code(), Some(0));
}

#[test]
fn a_second_run_of_a_generator_that_ends_says_that_nothing_is_new() {
    let host = Sluicegate::new(
        BINARY,
        "name: shop\nsource: { type: generator, changes: 500 }\nsinks:\n  - { type: file, folder: out, format: flat }\n",
    );
    let first = host.run(&["--log-format", "text", "run", "pipeline.yaml"], LONG);
    assert_eq!(first.status.code(), Some(0), "{}", first.stderr);
    assert!(first.stderr.contains("in      500 changes") && first.stderr.contains("file: 500 records"), "{}", first.stderr);
    let second = host.run(&["--log-format", "text", "run", "pipeline.yaml"], LONG);
    assert_eq!(second.status.code(), Some(0), "{}", second.stderr);
    assert!(second.stderr.contains("nothing new: all 500 changes were delivered before"), "{}", second.stderr);
    assert_eq!(records(&host).len(), 500);
}

#[test]
fn check_says_what_is_ready_and_delivers_nothing() {
    let folder = folder_with("name: shop\nsource: { type: generator }\nsinks:\n  - { type: file, folder: out }\n");
    let (code, out, err) = outcome_in(folder.path(), &["check", "pipeline.yaml"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("ok  pipeline.yaml: the pipeline file is right\n") && out.ends_with("ready\n"), "{out}");
    assert!(!folder.path().join("sluicegate-state/shop.db").exists());
    assert!(!folder.path().join("out/shop-00000001.ndjson").exists());
}

#[test]
fn check_works_while_the_pipeline_runs() {
    let host = endless("");
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", LONG);
    let ended = host.run(&["check", "pipeline.yaml"], LONG);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    process.sigterm();
    assert_eq!(process.wait(LONG).status.code(), Some(0));
}
