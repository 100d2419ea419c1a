//! Released versions of the plugin interface never change, and plugins that were built for them keep running.

use std::fs;

use sluicegate_config::OnError;
use sluicegate_guest_builder::repository;
use sluicegate_plugin_host::{inspect, sha256};

use crate::workbench::{chain, inserts, orders, texts};

/// SHA-256 of every released interface, and of the components kept for it, below the repository. Add to it; never change it.
const RELEASED: [(&str, &str); 3] = [
    ("wit/released/plugin-1.0.0.wit", "833d19bd96c41336956198eabba17b44de25156a680df3466a596e188f6a41c6"),
    ("tests/fixtures/plugins/1.0.0/rewrite-columns.wasm", "9aa5e6576f7479ec904c2e5489aae45b87c84a7a1eaaceefb927a0626d0fd505"),
    ("tests/fixtures/plugins/1.0.0/stamp.wasm", "9c441a3df6bf838657d8d19a7e4a70a140208b119bb5eff1e947068e44ea738b"),
];

#[test]
fn a_released_file_never_changes() {
    for (path, digest) in RELEASED {
        let bytes = fs::read(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(sha256(&bytes), digest, "{path} is released: make a new version instead of changing it");
    }
    let known = |path: &str| RELEASED.iter().any(|(released, _)| *released == path);
    for entry in fs::read_dir(repository().join("wit/released")).expect("the folder") {
        let name = format!("wit/released/{}", entry.expect("an entry").file_name().display());
        assert!(known(&name), "{name} is not listed here");
    }
}

#[test]
fn the_interface_in_force_is_the_released_one_of_its_version() {
    let current = fs::read_to_string(repository().join("wit/plugin.wit")).expect("the interface");
    let version = current
        .lines()
        .find_map(|line| line.strip_prefix("package sluicegate:plugin@")?.strip_suffix(';'))
        .expect("wit/plugin.wit says its version");
    let released = fs::read_to_string(repository().join(format!("wit/released/plugin-{version}.wit")))
        .unwrap_or_else(|error| panic!("version {version} is not in wit/released: {error}"));
    assert!(current == released, "wit/plugin.wit differs from the released version {version}: give it a new version");
}

#[test]
fn plugins_built_for_1_0_0_run_as_they_did() {
    let fixture = |name: &str| repository().join(format!("tests/fixtures/plugins/1.0.0/{name}.wasm"));
    let mut told = String::new();
    for (name, config) in [
        ("stamp", r#"{"column": "made_by"}"#),
        ("rewrite-columns", r#"{"tables": [{"table": "shop.orders", "columns": [{"column": "email", "mask": {"first": 1, "last": 4}}]}]}"#),
    ] {
        let inspection = inspect(&fixture(name)).expect("it keeps loading");
        told.push_str(&format!(
            "{name}: {} {} for {}\n",
            inspection.description.name, inspection.description.version, inspection.interface
        ));
        let component = fs::read(fixture(name)).expect("a fixture");
        let mut bench = chain(&[(&component, config)], OnError::Stop).expect("it keeps configuring");
        let delivered = bench.chain.apply(inserts(&orders(), 2)).expect("it keeps answering");
        delivered.validate().expect("a sound batch");
        for column in delivered.tables[0].table.columns.iter().skip(1) {
            told.push_str(&format!("  {} {:?}: {:?}\n", column.name, column.data_type, texts(&delivered, &column.name)));
        }
    }
    insta::assert_snapshot!(told, @r#"
    stamp: stamp VERSION-0000 for sluicegate:plugin@1.0.0
      email Text: [Some("user0@example.com"), Some("user1@example.com")]
      made_by Text: [Some("VERSION-0000"), Some("VERSION-0000")]
    rewrite-columns: sluicegate-rewrite-columns 0.1.0 for sluicegate:plugin@1.0.0
      email Text: [Some("u************.com"), Some("u************.com")]
    "#);
}
