//! What ARCHITECTURE.md says about the structure is true of the sources.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use sluicegate_guest_builder::repository;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn all(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&repository().join(folder), &mut found);
    let named = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source");
        (path.strip_prefix(repository()).expect("inside").display().to_string(), text)
    };
    found.into_iter().map(named).collect()
}

/// The arrows between our crates: each with what it depends on, and what only its tests and fuzz targets need besides. The order is
/// that of the data: a crate depends on none behind it. An arrow that is new here is a decision about the architecture.
const ARROWS: [(&str, &str, &str); 22] = [
    ("table-pattern", "", ""),
    ("storage", "", ""),
    ("model", "table-pattern", ""),
    ("status", "model", ""),
    ("config", "model storage table-pattern", ""),
    ("source", "config model", ""),
    ("kafka", "config model storage", ""),
    ("mysql", "config model source status storage table-pattern", ""),
    ("sqlserver", "config model source status storage table-pattern", ""),
    ("generator", "config model source status", "format"),
    ("dead-letter", "model storage", ""),
    ("plugin-host", "config dead-letter model status storage", ""),
    ("format", "config model", ""),
    ("kafka-source", "config format kafka model source status", ""),
    ("registry", "config format model storage", ""),
    ("sink", "config dead-letter format model status", ""),
    ("file-sink", "config format model sink storage", "dead-letter status"),
    ("kafka-sink", "config dead-letter format kafka model sink", "status"),
    ("state", "model storage", ""),
    (
        "pipeline",
        "config dead-letter file-sink format generator kafka kafka-sink kafka-source model mysql plugin-host registry sink source sqlserver state status storage",
        "",
    ),
    ("authoring", "config dead-letter model plugin-host status storage table-pattern", "format"),
    ("", "authoring config generator model pipeline plugin-host source state status storage", "dead-letter format mysql sink"),
];

/// The crates that only tests use; any crate's tests may.
const OF_TESTS: [&str; 4] = ["guest-builder", "harness", "mssql-simulator", "samples"];

/// Differences between [`ARROWS`] and what `cargo metadata` says of the workspace's packages.
fn differences(metadata: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut missing: BTreeSet<&str> = ARROWS.iter().map(|(name, ..)| *name).collect();
    for package in metadata["packages"].as_array().expect("packages") {
        let manifest = package["manifest_path"].as_str().expect("a path");
        // the one crate that host and plugins share
        if !manifest.contains("/host/") && !manifest.contains("/plugins/table-pattern/") {
            continue;
        }
        let name = short(&package["name"]).unwrap_or_else(|| panic!("the crate {} is not called sluicegate-…", package["name"]));
        let Some((_, built, tested)) = ARROWS.iter().find(|(known, ..)| *known == name) else {
            found.push(format!("the crate {name} is not in the table"));
            continue;
        };
        missing.remove(name);
        let (mut real, mut real_tested) = (BTreeSet::new(), BTreeSet::new());
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let only_tests = dependency["kind"] == "dev" || dependency["target"] == "cfg(fuzzing)";
            match short(&dependency["name"]) {
                Some(to) if only_tests && OF_TESTS.contains(&to) => {}
                Some(to) if only_tests => drop(real_tested.insert(to)),
                Some(to) => drop(real.insert(to)),
                None => {}
            }
        }
        for (real, known, what) in [(real, built, "depends on"), (real_tested, tested, "is tested with")] {
            let known: BTreeSet<&str> = known.split_whitespace().collect();
            found.extend(real.difference(&known).map(|to| format!("{name} {what} {to}, which the table does not allow")));
            found.extend(known.difference(&real).map(|to| format!("{name} no longer {what} {to}")));
        }
    }
    found.extend(missing.into_iter().map(|name| format!("the crate {name} is gone")));
    found
}

/// The name of one of our crates without `sluicegate-`; empty for the program.
fn short(name: &Value) -> Option<&str> {
    name.as_str().and_then(|name| name.strip_prefix("sluicegate")).map(|name| name.trim_start_matches('-'))
}

fn metadata() -> Value {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn data_runs_one_way() {
    assert_eq!(differences(&metadata()), [""; 0]);
}

#[test]
fn the_table_of_arrows_is_in_the_order_of_the_data() {
    for (place, (name, built, _)) in ARROWS.iter().enumerate() {
        let before: Vec<&str> = ARROWS[..place].iter().map(|(name, ..)| *name).collect();
        for to in built.split_whitespace() {
            assert!(before.contains(&to), "{name} depends on {to}, which stands behind it");
        }
    }
}

#[test]
fn an_arrow_that_the_table_does_not_allow_is_found() {
    let mut forbidden = metadata();
    let packages = forbidden["packages"].as_array_mut().expect("packages");
    packages.retain(|package| package["name"] != "sluicegate-storage");
    for package in packages.iter_mut() {
        let name = package["name"].clone();
        let dependencies = package["dependencies"].as_array_mut().expect("dependencies");
        match name.as_str() {
            Some("sluicegate-status") => dependencies.clear(),
            Some("sluicegate-source") => dependencies.extend([
                json!({ "name": "sluicegate-plugin-host", "kind": null, "target": null }),
                json!({ "name": "sluicegate-state", "kind": "dev", "target": null }),
                json!({ "name": "sluicegate-samples", "kind": null, "target": null }),
            ]),
            _ => {}
        }
    }
    packages.push(json!({ "name": "sluicegate-helpers", "manifest_path": "/host/crates/helpers/Cargo.toml", "dependencies": [] }));
    let mut found = differences(&forbidden);
    found.sort();
    assert_eq!(
        found,
        [
            "source depends on plugin-host, which the table does not allow",
            "source depends on samples, which the table does not allow",
            "source is tested with state, which the table does not allow",
            "status no longer depends on model",
            "the crate helpers is not in the table",
            "the crate storage is gone",
        ]
    );
}

#[test]
fn every_fuzz_target_is_one_function_that_its_crates_tests_run() {
    let fuzz = repository().join("host/fuzz");
    let names = |folder: &str| -> BTreeSet<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").path().file_stem().expect("a name").to_owned();
        let entries = fs::read_dir(fuzz.join(folder)).expect("a folder").map(name);
        entries.map(|name| name.into_string().expect("text")).collect()
    };
    let targets = names("fuzz_targets");
    assert_eq!(names("seeds"), targets);
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("a manifest");
    let bins = manifest.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let bins: BTreeSet<String> = bins.filter(|name| *name != "sluicegate-fuzz").map(str::to_owned).collect();
    assert_eq!(bins, targets);
    for target in targets {
        let source = fs::read_to_string(fuzz.join(format!("fuzz_targets/{target}.rs"))).expect("a target");
        let path = source
            .strip_prefix("#![no_main]\n\nlibfuzzer_sys::fuzz_target!(|data: &[u8]| ")
            .and_then(|rest| rest.strip_suffix("(data));\n"))
            .unwrap_or_else(|| panic!("{target} is not one function"));
        let (module, function) = path.rsplit_once("::fuzz::").expect("a function in a module `fuzz`");
        let file = match module.strip_prefix("sluicegate_") {
            Some(name) => format!("host/crates/{}/src/fuzz.rs", name.replace('_', "-")),
            None => "host/src/service/fuzz.rs".to_owned(),
        };
        let body = fs::read_to_string(repository().join(&file)).expect("the body's file");
        assert!(body.contains(&format!("pub fn {function}(data: &[u8])")), "{path}");
        assert!(body.contains(&format!("fuzz::run(\"{target}\", super::{function}, ")), "{file} has no test that runs {target}");
    }
}

#[test]
fn no_file_is_longer_than_600_lines_and_no_module_is_a_drawer() {
    for folder in ["host", "plugins", "tests", "examples"] {
        for (path, text) in all(folder) {
            assert!(text.lines().count() <= 600, "{path} is too long");
            let drawer = ["utils", "util", "common", "types", "helpers", "misc"];
            assert!(!Path::new(&path).iter().any(|part| drawer.contains(&part.to_string_lossy().trim_end_matches(".rs"))), "{path}");
        }
    }
}

#[test]
fn the_architecture_page_is_short_and_its_code_map_exists() {
    let page = fs::read_to_string(repository().join("ARCHITECTURE.md")).expect("the page");
    assert!(page.lines().count() < 200);
    let map = page.split("## Code map").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a code map");
    for line in map.lines().filter_map(|l| l.strip_prefix("    ")) {
        let path = line.split_whitespace().next().expect("a path").trim_end_matches('/');
        assert!(repository().join(path).exists(), "the code map names {path}");
    }
}
