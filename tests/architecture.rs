//! What ARCHITECTURE.md says about the structure is true of the sources.

use std::{
    fs,
    path::{Path, PathBuf},
};

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

/// Lines outside the tests of files below `folder` that name one of `modules`.
fn uses(folder: &str, modules: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in all(folder) {
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
            if !path.ends_with("tests.rs") && modules.iter().any(|m| line.contains(&format!("crate::{m}"))) {
                found.push(format!("{path}: {}", line.trim()));
            }
        }
    }
    found
}

#[test]
fn data_runs_one_way() {
    let none: Vec<String> = Vec::new();
    assert_eq!(uses("host/src/change", &["source", "plugin", "format", "sink", "state", "pipeline", "service", "cli", "config"]), none);
    assert_eq!(uses("host/src/source", &["plugin", "format", "sink", "state", "pipeline", "cli"]), none);
    assert_eq!(uses("host/src/format", &["source", "plugin", "sink", "state", "pipeline", "cli"]), none);
    assert_eq!(uses("host/src/sink", &["source", "plugin", "pipeline", "cli"]), none);
    assert_eq!(uses("host/src/config", &["source", "plugin", "format", "sink", "state", "pipeline", "cli"]), none);
    let plugin = uses("host/src/plugin", &["source", "format", "sink", "state", "pipeline", "cli"]);
    assert!(plugin.iter().all(|line| line.contains("sink::DeadLetters")), "{plugin:#?}");
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
