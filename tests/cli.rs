//! The real binary: usage, exit codes, help, schema, and what it says when it fails.

use std::{
    path::Path,
    process::{Command, Output},
};

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
    for text in ["run", "check", "plugin", "schema", "sluicegate run examples/quickstart.yaml", "Exit codes:", "  3  something is not ready"] {
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
fn a_port_that_is_taken_ends_with_3() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = folder_with(&format!("name: shop\nsource: {{ type: generator }}\nsinks: [{{ type: stdout }}]\nhttp: {address}\n"));
    let (code, _, err) = outcome_in(folder.path(), &["--log-format", "text", "run", "pipeline.yaml"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains(&format!("error: the HTTP address {address} cannot be bound")), "{err}");
}
