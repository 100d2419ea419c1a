//! kill -9 at any moment loses nothing and repeats nothing in files, without any server: the generator makes the same
//! changes each time, so a run that was killed has to write the same bytes as one that was not.

use std::time::Duration;

use sluicegate_harness::{files, host::Sluicegate};

const PATIENCE: Duration = Duration::from_secs(60);
const CHANGES: usize = 40_000;

fn pipeline(plugins: &str, zstd: &str) -> String {
    format!(
        "name: killed
source: {{ type: generator, seed: 7, changes: {CHANGES}, rate: 15000 }}
{plugins}
sinks:
  - {{ type: file, format: flat, folder: out, prefix: shop, roll: {{ bytes: 300KiB }}{zstd} }}
limits: {{ checkpoint_interval: 20ms }}
"
    )
}

fn killed_ten_times_writes_the_same(pipeline: &str) {
    let whole = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), pipeline);
    let ended = whole.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);

    let killed = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), pipeline);
    let folder = killed.path("out");
    for kill in 0..10_u64 {
        let mut process = killed.spawn();
        // now and then while it starts, else after some more bytes
        if kill % 3 != 0 {
            let goal = files::bytes_so_far(&folder, "shop") + kill * 5_000;
            process.wait_until("more records", PATIENCE, || files::bytes_so_far(&folder, "shop") >= goal);
        }
        process.kill9();
    }
    let ended = killed.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);

    let (expected, found) = (files::records(&whole.path("out"), "shop"), files::records(&folder, "shop"));
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!(found == expected, "record {i}:\n  found    {found}\n  expected {expected}");
    }
    assert!(files::list(&folder, "shop").len() > 1, "files are rolled on the way");
}

#[test]
fn a_run_killed_ten_times_writes_the_same_files() {
    killed_ten_times_writes_the_same(&pipeline("", ""));
}

#[test]
fn a_run_killed_ten_times_writes_the_same_compressed_files() {
    killed_ten_times_writes_the_same(&pipeline("", ", zstd: 1").replace("300KiB", "60KiB"));
}

#[test]
fn a_run_killed_ten_times_with_plugins_writes_the_same_files() {
    let plugins = r#"plugins:
  - use: filter
    tables: [shop.orders]
    config: { tables: [{ table: shop.orders, where: "status <> 'cancelled'" }] }
  - use: map-names
    config: { tables: [{ from: shop.orders, to: sales.orders }] }"#;
    killed_ten_times_writes_the_same(&pipeline(plugins, ""));
}
