//! Two whole pipelines in one process, on one runtime: whatever the plugin of one does, the files of the other are what they
//! would be without it.

use std::{fs, path::Path, sync::Arc, time::Duration};

use sluicegate_config::{self as config, Pipeline};
use sluicegate_guest_builder as guests;
use sluicegate_harness::until;
use sluicegate_pipeline as pipeline;
use sluicegate_status::Status;
use tokio_util::sync::CancellationToken;

use crate::faults::APPLY;

/// More changes than the neighbour gets to while it is stopped by hand.
const CHANGES: u64 = 10_000_000;
const DEADLINE: Duration = Duration::from_secs(60);

fn load(folder: &Path, name: &str, source: &str, plugins: &str) -> Pipeline {
    let text = format!(
        "name: {name}\nsource: {{ type: generator, seed: 1, {source} }}\nplugins:\n{plugins}\nstate: state/{name}.db\n\
         sinks: [ {{ type: file, folder: out/{name}, format: flat }} ]\n\
         limits: {{ plugin_call: 200ms, plugin_start: 5s, plugin_memory: 16MiB }}\n"
    );
    config::load_str(&text, folder, |_| None).expect("a pipeline")
}

fn neighbour(folder: &Path, name: &str, source: &str) -> Pipeline {
    let plugins = r#"
  - use: filter
    config: { tables: [ { table: shop.orders, where: "amount >= 10" } ] }
  - use: rewrite-columns
    config: { tables: [ { table: shop.customers, columns: [ { column: email, mask: { first: 1, last: 4 } } ] } ] }"#;
    load(folder, name, source, plugins)
}

fn delivered(folder: &Path, name: &str) -> String {
    let mut files: Vec<_> = fs::read_dir(folder.join("out").join(name)).expect("files").map(|f| f.expect("a file").path()).collect();
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).expect("text")).collect()
}

/// Waits until the pipeline has read more than `than` changes.
fn further(status: &Status, than: u64) -> u64 {
    tokio::task::block_in_place(|| until("the neighbour goes on", DEADLINE, || status.source.changes.get() > than));
    status.source.changes.get()
}

#[test]
fn whatever_a_plugin_does_the_neighbour_pipeline_delivers_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    fs::write(at.join("evil.wasm"), guests::evil()).expect("written");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let beside = neighbour(at, "beside", &format!("changes: {CHANGES}, rate: 20000"));
        let (status, stop) = (pipeline::status(&beside), CancellationToken::new());
        let running = tokio::spawn(pipeline::run(beside, Arc::clone(&status), stop.clone()));
        let mut seen = further(&status, 0);
        for behaviour in APPLY {
            let plugin = format!("  - {{ file: ./evil.wasm, config: {{ behaviour: {behaviour} }} }}");
            let evil = load(at, behaviour, "changes: 300", &plugin);
            let its = pipeline::status(&evil);
            let error = pipeline::run(evil, its, CancellationToken::new()).await.expect_err(behaviour);
            assert!(error.to_string().contains("evil"), "{behaviour}: {error}");
            seen = further(&status, seen);
        }
        stop.cancel();
        let summary = running.await.expect("no panic").expect("the neighbour noticed nothing");
        let faults: u64 = status.plugins.all().iter().map(|p| p.failures.get() + p.restarts.get()).sum();
        assert_eq!(faults, 0);

        let alone = neighbour(at, "alone", &format!("changes: {}", summary.changes));
        let status = pipeline::status(&alone);
        pipeline::run(alone, status, CancellationToken::new()).await.expect("runs alone");
    });
    let (beside, alone) = (delivered(at, "beside"), delivered(at, "alone"));
    assert!(beside.lines().count() > 1000);
    assert!(beside == alone, "the neighbour delivered something else");
}
