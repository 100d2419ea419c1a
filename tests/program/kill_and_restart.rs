//! kill -9 at any moment loses nothing and repeats nothing in files. The generator makes the same changes each time, so a
//! run that was killed has to write the same records as one that was not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use sluicegate_harness::{files, host::Sluicegate, mariadb};

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

/// A folder, and all folders inside.
fn folders(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    for entry in fs::read_dir(root).into_iter().flatten() {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            found.extend(folders(&path));
        }
    }
    found
}

/// The records of every folder that holds any, by its path inside `root`.
fn records(root: &Path) -> BTreeMap<PathBuf, Vec<Value>> {
    let inside = |folder: PathBuf| {
        let records = files::records(&folder, "shop");
        (folder.strip_prefix(root).expect("inside").to_owned(), records)
    };
    folders(root).into_iter().map(inside).filter(|(_, records)| !records.is_empty()).collect()
}

fn killed_ten_times_writes_the_same(pipeline: &str) {
    killed_ten_times_with(pipeline, None, &[""]);
}

/// `plugin`: what stands in `plugin.wasm`. `expected`: the folders that get records.
fn killed_ten_times_with(pipeline: &str, plugin: Option<Vec<u8>>, expected: &[&str]) {
    let start = || {
        let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), pipeline);
        if let Some(plugin) = &plugin {
            fs::write(host.path("plugin.wasm"), plugin).expect("written");
        }
        host
    };
    let whole = start();
    let ended = whole.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);

    let killed = start();
    let folder = killed.path("out");
    let bytes_so_far = || folders(&folder).iter().map(|folder| files::bytes_so_far(folder, "shop")).sum::<u64>();
    for kill in 0..10_u64 {
        let mut process = killed.spawn();
        // now and then while it starts, else after some more bytes
        if kill % 3 != 0 {
            let goal = bytes_so_far() + kill * 5_000;
            process.wait_until("more records", PATIENCE, || bytes_so_far() >= goal);
        }
        process.kill9();
    }
    let ended = killed.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);

    let (all, mut found) = (records(&whole.path("out")), records(&folder));
    assert_eq!(all.keys().map(|folder| folder.to_str().expect("a name")).collect::<Vec<_>>(), expected);
    for (place, expected) in &all {
        let found = found.remove(place).unwrap_or_default();
        assert_eq!(found.len(), expected.len(), "{}", place.display());
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(found == expected, "{}, record {i}:\n  found    {found}\n  expected {expected}", place.display());
        }
    }
    assert!(found.is_empty(), "{:?}", found.keys());
    assert!(folders(&folder).iter().any(|folder| files::list(folder, "shop").len() > 1), "files are rolled on the way");
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

#[test]
fn a_run_killed_ten_times_writes_the_same_files_in_every_chosen_folder() {
    const FOLDERS: [&str; 7] =
        ["", "status=cancelled", "status=delivered", "status=paid", "status=shipped", "tables/shop.customers", "tables/shop.order_lines"];
    // fewer files at a time than folders
    let pipeline = pipeline("plugins: [{ file: plugin.wasm }]", "").replace("300KiB", "100KiB").replace("20ms }", "20ms, open_files: 2 }");
    killed_ten_times_with(&pipeline, Some(sluicegate_guest_builder::route()), &FOLDERS);
}

#[test]
fn a_run_killed_ten_times_writes_the_same_files_in_every_folder_of_the_template() {
    const FOLDERS: [&str; 9] = [
        "SHOP/CUSTOMERS/delete",
        "SHOP/CUSTOMERS/insert",
        "SHOP/CUSTOMERS/update",
        "SHOP/ORDERS/delete",
        "SHOP/ORDERS/insert",
        "SHOP/ORDERS/update",
        "SHOP/ORDER_LINES/delete",
        "SHOP/ORDER_LINES/insert",
        "SHOP/ORDER_LINES/update",
    ];
    let pipeline = pipeline("", ", path: '{database}/{table}/{operation}', name_case: upper").replace("20ms }", "20ms, open_files: 2 }");
    killed_ten_times_with(&pipeline, None, &FOLDERS);
}

/// A lane that begins late does so at another transaction at each start, until its beginning is stored. From there on each sink has
/// every change of the lane, once.
#[test]
fn lanes_killed_ten_times_give_each_sink_the_same_changes_once() {
    let pipeline = "name: killed
source: { type: generator, seed: 7, changes: 5000, rate: 8000, lanes: 4, turbulence: 3 }
sinks:
  - { type: file, name: one, format: flat, folder: one, prefix: shop, roll: { bytes: 300KiB } }
  - { type: file, name: two, format: flat, folder: two, prefix: shop, zstd: 1 }
limits: { checkpoint_interval: 20ms, batch_changes: 50 }
";
    let killed = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), pipeline);
    let folder = killed.path("one");
    for kill in 0..10_u64 {
        let mut process = killed.spawn();
        if kill % 3 != 0 {
            let goal = files::bytes_so_far(&folder, "shop") + kill * 20_000;
            process.wait_until("more records", PATIENCE, || files::bytes_so_far(&folder, "shop") >= goal);
        }
        process.kill9();
    }
    let ended = killed.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);

    let (one, two) = (by_log(&folder), by_log(&killed.path("two")));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    for (log, changes) in &one {
        assert!(*changes == two[log], "the sinks have different changes of {log}");
        let numbers: Vec<u64> = changes.iter().map(|(number, _)| *number).collect();
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        assert_eq!(numbers, (first..=last).collect::<Vec<_>>(), "{log} has gaps or changes that come twice");
        assert!(first == 0 || log.ends_with(".1"), "only the first generation of a lane may begin later");
    }
    let lanes: BTreeSet<&str> = one.keys().filter_map(|log| log.split_once('.')).map(|(lane, _)| lane).collect();
    assert_eq!(lanes.len(), 4, "{lanes:?}");
}

/// The records of a folder by the log that they come from: a generation of a lane. Each with its number there, which they are sorted by.
fn by_log(folder: &Path) -> BTreeMap<String, Vec<(u64, Value)>> {
    let mut logs: BTreeMap<String, Vec<(u64, Value)>> = BTreeMap::new();
    for record in files::records(folder, "shop") {
        let number = record["_pos"].as_u64().zip(record["_row"].as_u64()).map(|(position, row)| position + row);
        let log = record["_file"].as_str().expect("a log file").to_owned();
        logs.entry(log).or_default().push((number.expect("a place"), record));
    }
    logs.values_mut().for_each(|changes| changes.sort_by_key(|(number, _)| *number));
    logs
}

/// "Now" is when the pipeline first started, not when it was started again.
#[test]
fn a_kill_before_the_first_checkpoint_loses_nothing_since_the_first_start() {
    let server = mariadb::shared();
    let database = server.database("now");
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY); INSERT INTO {database}.t VALUES (1)"));
    let (port, user, password) = (server.port(), server.user(), server.password());
    let pipeline = |checkpoint: &str| {
        format!(
            "name: now
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{database}.*'], start: now }}
sinks: [{{ type: file, format: flat, folder: out, prefix: t }}]
limits: {{ checkpoint_interval: {checkpoint} }}
"
        )
    };
    let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline("10m"));
    let mut process = host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    server.sql(&format!("INSERT INTO {database}.t VALUES (2), (3)"));
    process.kill9();

    host.write_pipeline(&pipeline("20ms"));
    let mut process = host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    server.sql(&format!("INSERT INTO {database}.t VALUES (4)"));
    let folder = host.path("out");
    process.wait_until("the last row", PATIENCE, || {
        files::list(&folder, "t").iter().any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains("\"id\":4}")))
    });
    process.sigterm();
    assert!(process.wait(PATIENCE).status.success());
    let ids: Vec<_> = files::records(&folder, "t").iter().map(|record| record["id"].as_u64()).collect();
    assert_eq!(ids, [Some(2), Some(3), Some(4)]);
}
