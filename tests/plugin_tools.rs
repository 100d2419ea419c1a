//! The author's commands on the real binary: a plugin from nothing to a component that is tested and measured.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use sluicegate_guest_builder as guests;

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");

/// Exit code, standard output, standard error.
fn outcome(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    (output.status.code().expect("it ended by itself"), text(output.stdout), text(output.stderr))
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(folder).env_remove("SLUICEGATE_LOG").env_remove("SLUICEGATE_LOG_FORMAT");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    outcome(command(folder, arguments).output().expect("the binary can be started"))
}

const ROWS: &str = r#"{"table": "shop.orders", "columns": {"id": "int64", "total": "decimal", "note": "text"}}
{"table": "shop.orders", "op": "insert", "after": {"id": 1, "total": "12.50", "note": "rush"}}
{"table": "shop.orders", "op": "insert", "after": {"id": 2, "total": 3.5}}
{"table": "shop.orders", "op": "update", "before": {"id": 1, "total": "12.50", "note": "rush"}, "after": {"id": 1, "total": "1", "note": ""}}
{"before": {"id": 1, "total": "20", "note": null}, "after": null, "source": {"db": "shop", "table": "orders", "ts_ms": 5}, "op": "d"}
"#;

const WHERE: &str = r#"{"where": "total >= 10"}"#;

fn with_rows() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rows.ndjson"), ROWS).unwrap();
    folder
}

#[test]
fn a_test_shows_what_becomes_of_each_change() {
    let folder = with_rows();
    let (code, out, err) = run(folder.path(), &["plugin", "test", "filter", "--config", WHERE, "--rows", "rows.ndjson"]);
    assert_eq!((code, err.as_str()), (0, ""));
    insta::assert_snapshot!(out, @r#"
    line 2: insert shop.orders
        table: shop.orders
        op: insert
        after
          id: 1
          total: "12.50"
          note: "rush"

    line 3: insert shop.orders: dropped
      - table: shop.orders
      - op: insert
      - after
      -   id: 2
      -   total: "3.5"
      -   note: null

    line 4: update shop.orders
        table: shop.orders
      - op: update
      + op: delete
        before
          id: 1
          total: "12.50"
          note: "rush"
      - after
      -   id: 1
      -   total: "1"
      -   note: ""

    line 5: delete shop.orders
        table: shop.orders
        op: delete
        before
          id: 1
          total: "20"
          note: null

    4 changes: 3 delivered, 1 dropped, 0 failed
    "#);
    let (_, colored, _) =
        run(folder.path(), &["plugin", "test", "filter", "--config", WHERE, "--rows", "rows.ndjson", "--color", "always"]);
    assert!(colored.contains("\u{1b}[31m  - op: update\u{1b}[0m") && colored.contains("\u{1b}[32m  + op: delete\u{1b}[0m"), "{colored}");
}

#[test]
fn expected_records_are_written_and_compared() {
    let folder = with_rows();
    fs::write(folder.path().join("config.json"), WHERE).unwrap();
    let test = |more: &[&str]| {
        let arguments = ["plugin", "test", "filter", "--config", "@config.json", "--rows", "rows.ndjson", "--expect", "expected.ndjson"];
        run(folder.path(), &[&arguments[..], more].concat())
    };
    let (code, _, err) = test(&[]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--update"), "{err}");
    assert_eq!(test(&["--update"]).0, 0);
    let expected = fs::read_to_string(folder.path().join("expected.ndjson")).unwrap();
    insta::assert_snapshot!(expected, @r#"
    {"table":"shop.orders","op":"insert","after":{"id":1,"total":"12.50","note":"rush"}}
    {"table":"shop.orders","op":"delete","before":{"id":1,"total":"12.50","note":"rush"}}
    {"table":"shop.orders","op":"delete","before":{"id":1,"total":"20","note":null}}
    "#);
    assert_eq!(test(&[]).0, 0);
    // blanks do not count, values do
    fs::write(folder.path().join("expected.ndjson"), expected.replace(':', ": ")).unwrap();
    assert_eq!(test(&[]).0, 0);
    fs::write(folder.path().join("expected.ndjson"), expected.replace("rush", "calm")).unwrap();
    let (code, out, err) = test(&[]);
    assert_eq!(code, 1, "{err}");
    assert!(out.contains("-") && out.contains("calm") && err.contains("differ"), "{out}{err}");
}

#[test]
fn a_change_that_the_plugin_refuses_is_told_and_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let rows = r#"{"table": "shop.orders", "op": "insert", "after": {"id": 1, "note": "12"}}
{"table": "shop.orders", "op": "insert", "after": {"id": 2, "note": "twelve"}}
{"table": "shop.orders", "op": "insert", "after": {"id": 3, "note": "13"}}
"#;
    fs::write(folder.path().join("rows.ndjson"), rows).unwrap();
    let config = r#"{"tables": [{"table": "*", "columns": [{"column": "note", "cast": "int"}]}]}"#;
    let (code, out, err) = run(folder.path(), &["plugin", "test", "rewrite-columns", "--config", config, "--rows", "rows.ndjson"]);
    assert_eq!(code, 1, "{err}");
    assert!(out.contains("line 2: insert shop.orders\n! ") && out.contains("3 changes: 2 delivered, 0 dropped, 1 failed"), "{out}");
    assert!(!out.lines().any(|line| line.starts_with("! ") && line.contains("twelve")), "no value in a message: {out}");
}

#[test]
fn rows_that_cannot_be_read_are_told_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let told: Vec<String> = [
        "{\n",
        r#"{"op": "insert", "after": {}}"#,
        r#"{"table": "orders", "op": "insert", "after": {}}"#,
        r#"{"table": "a.b", "op": "upsert", "after": {}}"#,
        r#"{"table": "a.b", "op": "update", "before": {}}"#,
        r#"{"table": "a.b", "columns": {"id": "integer"}}"#,
        "{\"table\": \"a.b\", \"op\": \"insert\", \"after\": {\"id\": 1}}\n{\"table\": \"a.b\", \"op\": \"insert\", \"after\": {\"id\": \"x\"}}",
        "{\"table\": \"a.b\", \"columns\": {\"id\": \"uint64\"}}\n{\"table\": \"a.b\", \"op\": \"insert\", \"after\": {\"id\": -1}}",
        "{\"table\": \"a.b\", \"columns\": {\"id\": \"uint64\"}}\n{\"table\": \"a.b\", \"op\": \"insert\", \"after\": {\"no\": 1}}",
    ]
    .into_iter()
    .map(|rows| {
        fs::write(folder.path().join("rows.ndjson"), rows).unwrap();
        let (code, _, err) = run(folder.path(), &["plugin", "test", "filter", "--config", WHERE, "--rows", "rows.ndjson"]);
        assert_eq!(code, 2, "{err}");
        err.lines().next().unwrap_or_default().to_owned()
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    error: rows.ndjson: line 1: this is no JSON object: EOF while parsing an object at line 1 column 1
    error: rows.ndjson: line 1: neither `table` nor `source` says which table it is
    error: rows.ndjson: line 1: `table` is written `database.table` or `database.schema.table`, with backticks around a part that holds a dot
    error: rows.ndjson: line 1: `op` is none of insert, update, delete, snapshot, c, u, d, r
    error: rows.ndjson: line 1: `before` and `after` do not fit `op`: insert and snapshot have `after`, delete `before`, update both or only `after`
    error: rows.ndjson: line 1: column `id` has an unknown type; it is one of boolean, int64, uint64, float32, float64, decimal, text, bytes, date, time, datetime, timestamp, json
    error: rows.ndjson: line 2: column `id` is text here and int64 before
    error: rows.ndjson: line 2: column `id` is no uint64
    error: rows.ndjson: line 2: column `no` was not declared
    "#);
}

#[test]
fn a_wrong_configuration_is_found_against_the_schema_before_the_plugin_runs() {
    let folder = with_rows();
    let wrong = r#"{"where": 7, "tables": [{"table": "x.y", "were": "secret"}]}"#;
    let (code, _, err) = run(folder.path(), &["plugin", "test", "filter", "--config", wrong, "--rows", "rows.ndjson"]);
    assert_eq!(code, 2);
    assert!(!err.contains("secret"), "{err}");
    insta::assert_snapshot!(err, @r#"
    error: plugin `filter`: its configuration is wrong: where: it is not of types "null", "string"; tables[0]: unknown key `were`
    remedy: correct the plugin's `config` in the pipeline file; `sluicegate plugin inspect` shows what it may be
    "#);
    let pipeline = "name: p\nsource: { type: generator, changes: 1 }\nsinks: [{ type: stdout }]\n\
        plugins: [{ use: map-names, config: { tables: [{ to: x, form: secret }] } }]\n";
    fs::write(folder.path().join("pipeline.yaml"), pipeline).unwrap();
    for command in ["check", "run"] {
        let (code, _, err) = run(folder.path(), &["--log-format", "text", command, "pipeline.yaml"]);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("tables[0]: unknown key `form`") && !err.contains("secret"), "{err}");
    }
}

#[test]
fn a_configuration_that_the_plugin_refuses_ends_with_2() {
    let folder = with_rows();
    let drop = r#"{"tables": [{"table": "shop.orders", "columns": [{"column": "note", "drop": false}]}]}"#;
    for (plugin, config) in [("rewrite-columns", drop), ("filter", r#"{"where": "total >="}"#)] {
        for command in ["test", "bench"] {
            let (code, _, err) = run(folder.path(), &["plugin", command, plugin, "--config", config, "--rows", "rows.ndjson"]);
            assert_eq!(code, 2, "{command} {plugin}: {err}");
        }
    }
}

#[test]
fn inspect_shows_the_schema_and_speaks_json() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = run(folder.path(), &["plugin", "inspect", "filter"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("grants     none needed\n") && out.contains("\"title\": \"Filter\""), "{out}");
    let (_, out, _) = run(folder.path(), &["plugin", "inspect", "--json", "rewrite-columns"]);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((told["name"].as_str(), told["interface"].as_str()), (Some("sluicegate-rewrite-columns"), Some("sluicegate:plugin@1.0.0")));
    assert_eq!(told["config_schema"]["required"], serde_json::json!(["tables"]));
}

#[test]
fn bench_prints_the_plugin_beside_a_plugin_that_does_nothing() {
    let folder = with_rows();
    let (code, out, err) = run(folder.path(), &["plugin", "bench", "filter", "--config", WHERE, "--rows", "rows.ndjson"]);
    assert_eq!((code, err.as_str()), (0, ""));
    for text in ["batch 1024", "copy in native code", "no-op plugin", "sluicegate-filter 0.1.0", "4 changes; nanoseconds a change"] {
        assert!(out.contains(text), "no {text:?} in\n{out}");
    }
}

/// A new plugin of this language, built with these variables, does what its template says.
fn from_nothing_to_tested(language: &str, environment: &[(String, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = run(folder.path(), &["plugin", "new", "--language", language, "hide-mail"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("cd hide-mail"), "{out}");
    let own = folder.path().join("hide-mail");
    let build = command(&own, &["plugin", "build"]).envs(environment.iter().map(|(k, v)| (k, v))).output().unwrap();
    let (code, out, err) = outcome(build);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("./hide-mail.wasm: "), "{out}");
    let (code, out, err) = run(&own, &["plugin", "test", "hide-mail.wasm", "--rows", "rows.ndjson", "--expect", "expected.ndjson"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, ..) = run(folder.path(), &["plugin", "new", "--language", language, "hide-mail"]);
    assert_eq!(code, 2, "a folder that holds something is left alone");
    folder
}

fn toolchain(variable: &str, script: &str) -> Vec<(String, String)> {
    let tool = guests::tool(script).unwrap_or_else(|error| panic!("{error}"));
    vec![(variable.to_owned(), tool.display().to_string())]
}

#[test]
fn a_new_plugin_in_rust_builds_and_its_tests_pass() {
    let mut environment = guests::toolchain().unwrap_or_else(|error| panic!("{error}")).to_vec();
    environment.push(("CARGO_TARGET_DIR".into(), guests::target_folder().display().to_string()));
    let folder = from_nothing_to_tested("rust", &environment);
    let own = folder.path().join("hide-mail");
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet"]).current_dir(&own).env("CARGO_TARGET_DIR", guests::target_folder());
    let (code, out, err) = outcome(cargo.output().unwrap());
    assert_eq!(code, 0, "{out}{err}");
    // the core module alone becomes the same component
    let module = guests::target_folder().join("wasm32-unknown-unknown/release/hide_mail.wasm");
    let (code, _, err) = run(&own, &["plugin", "build", &module.display().to_string(), "-o", "again.wasm"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(fs::read(own.join("again.wasm")).unwrap(), fs::read(own.join("hide-mail.wasm")).unwrap());
    // what does not compile is told by cargo, and the component stays
    let source = fs::read_to_string(own.join("src/lib.rs")).unwrap();
    fs::write(own.join("src/lib.rs"), source.replace("row.drop()", "row.nothing()")).unwrap();
    let before = fs::read(own.join("hide-mail.wasm")).unwrap();
    let (code, _, err) = outcome(command(&own, &["plugin", "build"]).envs(environment).output().unwrap());
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("nothing") && err.contains("error: the plugin does not compile"), "{err}");
    assert_eq!(fs::read(own.join("hide-mail.wasm")).unwrap(), before);
}

#[test]
fn a_new_plugin_in_c_builds_and_its_tests_pass() {
    let mut environment = toolchain("ZIG", "zig.sh");
    // what it makes of its C library is kept for the next plugin
    let kept = guests::target_folder().join("zig").display().to_string();
    environment.extend(["ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"].map(|name| (name.to_owned(), kept.clone())));
    from_nothing_to_tested("c", &environment);
}

#[test]
fn a_new_plugin_in_javascript_builds_and_its_tests_pass() {
    from_nothing_to_tested("javascript", &toolchain("COMPONENTIZE_JS", "javascript.sh"));
}

#[test]
fn a_new_plugin_in_python_builds_and_its_tests_pass() {
    from_nothing_to_tested("python", &toolchain("COMPONENTIZE_PY", "python.sh"));
}

#[test]
fn a_new_plugin_in_assemblyscript_builds_and_its_tests_pass() {
    from_nothing_to_tested("assemblyscript", &toolchain("ASC", "assemblyscript.sh"));
}

#[test]
fn a_new_plugin_in_go_builds_and_its_tests_pass() {
    let mut environment = toolchain("GO", "go.sh");
    // what it makes of its library is kept for the next plugin; the network is not needed
    let kept = |name: &str| guests::target_folder().join(name).display().to_string();
    let settings = [("GOCACHE", kept("go")), ("GOPATH", kept("go-path")), ("GOPROXY", "off".into()), ("GOTOOLCHAIN", "local".into())];
    environment.extend(settings.map(|(name, value)| (name.to_owned(), value)));
    from_nothing_to_tested("go", &environment);
}

#[test]
fn a_toolchain_that_is_missing_is_named_with_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    for (file, tool, remedy) in [
        ("plugin.c", "Zig", "pip install ziglang"),
        ("package.json", "componentize-js", "npm install"),
        ("asconfig.json", "asc", "npm install"),
        ("plugin.py", "componentize-py", "pip install componentize-py"),
        ("go.mod", "Go", "https://go.dev/dl"),
        ("Cargo.toml", "cargo", "rustup"),
    ] {
        let own = folder.path().join(file.replace('.', "-"));
        fs::create_dir(&own).unwrap();
        fs::write(own.join(file), "{}").unwrap();
        let mut build = command(&own, &["plugin", "build"]);
        build.env("PATH", folder.path());
        for variable in ["ZIG", "COMPONENTIZE_JS", "COMPONENTIZE_PY", "ASC", "CARGO", "GO"] {
            build.env_remove(variable);
        }
        let (code, _, err) = outcome(build.output().unwrap());
        assert_eq!(code, 3, "{file}: {err}");
        assert!(err.contains(tool) && err.contains("is not installed") && err.contains(remedy), "{file}: {err}");
    }
}

#[test]
fn names_that_no_package_can_have_end_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["Mask", "../up", "a b"] {
        assert_eq!(run(folder.path(), &["plugin", "new", "--language", "rust", name]).0, 2, "{name}");
    }
    assert_eq!(run(folder.path(), &["plugin", "new", "--language", "cobol", "x"]).0, 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
