//! Hot swap, on the real program: an idle stream, a busy one, files that are broken, half written, gone.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;
use sluicegate_guest_builder as guests;
use sluicegate_harness::{
    files,
    host::{Process, Sluicegate},
    mariadb,
};

const PATIENCE: Duration = Duration::from_secs(60);

fn lines(process: &Process, message: &str) -> Vec<Value> {
    process.log().into_iter().filter(|line| line["message"].as_str().is_some_and(|m| m.starts_with(message))).collect()
}

fn wait_for_lines(process: &mut Process, message: &str, count: usize) -> Vec<Value> {
    process.wait_for(message, PATIENCE, |p| Some(lines(p, message)).filter(|lines| lines.len() >= count))
}

/// As editors do: the new content under another name, then a rename.
fn install(file: &Path, component: &[u8]) {
    let new = file.with_extension("new");
    fs::write(&new, component).expect("written");
    fs::rename(new, file).expect("renamed");
}

const BUSY: &str = "name: swap
source: { type: generator, seed: 3, rate: 20000 }
plugins: [{ file: stamp.wasm }]
sinks: [{ type: file, format: flat, folder: out, prefix: s, plugin_versions: member }]
limits: { checkpoint_interval: 50ms, plugin_debounce: 20ms }
";

fn busy() -> (Sluicegate, Process) {
    let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), BUSY);
    fs::write(host.path("stamp.wasm"), guests::stamp(1)).expect("written");
    let mut process = host.spawn();
    let folder = host.path("out");
    process.wait_until("records", PATIENCE, || files::bytes_so_far(&folder, "s") > 10_000);
    (host, process)
}

/// The version that each record was stamped with, in order.
fn versions(host: &Sluicegate) -> Vec<String> {
    files::records(&host.path("out"), "s").iter().map(|r| r["plugin_version"].as_str().expect("a stamp").to_owned()).collect()
}

fn end(process: Process) {
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn an_idle_stream_swaps_at_once() {
    let server = mariadb::shared();
    let database = server.database("idle");
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY)"));
    let pipeline = format!(
        "name: swap
source: {{ type: mysql, host: 127.0.0.1, port: {}, user: {}, password: {}, tables: ['{database}.*'] }}
plugins: [{{ file: stamp.wasm }}]
sinks: [{{ type: file, format: flat, folder: out, prefix: s }}]
limits: {{ checkpoint_interval: 50ms }}
",
        server.port(),
        server.user(),
        server.password()
    );
    let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline);
    fs::write(host.path("stamp.wasm"), guests::stamp(1)).expect("written");
    let mut process = host.spawn();
    wait_for_lines(&mut process, "streaming from this position on", 1);
    let folder = host.path("out");
    // the stream stands when the first record is through; from then on nothing is written to the captured table
    server.sql(&format!("INSERT INTO {database}.t VALUES (1)"));
    process.wait_until("the first record", PATIENCE, || files::count_so_far(&folder, "s") >= 1);
    install(&host.path("stamp.wasm"), &guests::stamp(2));
    let swapped = wait_for_lines(&mut process, "plugin swapped", 1);
    let [from, to] = [1, 2].map(|version| sluicegate_plugin_host::sha256(&guests::stamp(version)));
    assert_eq!((&swapped[0]["from"], &swapped[0]["to"]), (&from.into(), &to.into()), "both contents are named");
    let position: Value = serde_json::from_str(swapped[0]["position"].as_str().expect("a position")).expect("JSON");
    assert!(position["file"].as_str().is_some_and(|file| !file.is_empty()), "a place in the binlog: {position}");
    assert_eq!(swapped[0]["changes"], 1, "after the first change: {}", swapped[0]);
    server.sql(&format!("INSERT INTO {database}.t VALUES (2)"));
    process.wait_until("the second record", PATIENCE, || files::count_so_far(&folder, "s") >= 2);
    end(process);
    assert_eq!(versions(&host), ["VERSION-0001", "VERSION-0002"]);
}

#[test]
fn a_busy_stream_loses_repeats_and_mixes_nothing() {
    let (host, mut process) = busy();
    for version in 2..=6 {
        install(&host.path("stamp.wasm"), &guests::stamp(version));
        wait_for_lines(&mut process, "plugin swapped", version as usize - 1);
    }
    let places: Vec<u64> = lines(&process, "plugin swapped").iter().map(|l| l["changes"].as_u64().expect("a number")).collect();
    end(process);
    let records = files::records(&host.path("out"), "s");
    // the generator numbers its changes: event position and row
    let numbers: Vec<u64> = records.iter().map(|r| r["_pos"].as_u64().expect("a position") + r["_row"].as_u64().expect("a row")).collect();
    assert!(numbers.iter().enumerate().all(|(i, n)| *n == i as u64), "each change once, in order");
    let hashes: Vec<String> = (1..=6).map(|version| sluicegate_plugin_host::sha256(&guests::stamp(version))).collect();
    for (number, record) in numbers.iter().zip(&records) {
        let version = 1 + places.iter().filter(|place| *number >= **place).count();
        assert_eq!(record["_plugins"], format!("stamp@VERSION-{version:04}+{}", &hashes[version - 1][..12]));
        assert_eq!(record["plugin_version"], format!("VERSION-{version:04}"), "change {number}, swaps at {places:?}");
    }
}

#[test]
fn broken_files_leave_the_old_version_running_and_are_reported_once() {
    let (host, mut process) = busy();
    let file = host.path("stamp.wasm");
    let broken = [guests::truncated(), guests::core_module(), guests::without_export(), b"text".to_vec(), Vec::new()];
    for (i, component) in broken.iter().enumerate() {
        install(&file, component);
        let told = wait_for_lines(&mut process, "the new plugin file is refused", i + 1);
        assert!(!told[i]["error"].as_str().expect("a reason").is_empty() && !told[i]["remedy"].as_str().expect("a remedy").is_empty());
    }
    // the same content again is nothing new
    install(&file, broken.last().expect("one"));
    // a good component that cannot do with the configuration in the pipeline file
    install(&file, &guests::standard("filter"));
    let told = wait_for_lines(&mut process, "the new plugin file is refused", broken.len() + 1);
    assert_eq!(told.len(), broken.len() + 1, "each content is reported once: {told:#?}");
    install(&file, &guests::stamp(2));
    wait_for_lines(&mut process, "plugin swapped", 1);
    end(process);
    let versions = versions(&host);
    assert!(versions.is_sorted() && versions.iter().all(|v| v == "VERSION-0001" || v == "VERSION-0002"));
}

#[test]
fn a_file_written_slowly_in_place_is_taken_when_it_is_whole() {
    let (host, mut process) = busy();
    let component = guests::stamp(2);
    let (first, rest) = component.split_at(component.len() / 2);
    let file = host.path("stamp.wasm");
    fs::write(&file, first).expect("written");
    wait_for_lines(&mut process, "the new plugin file is refused", 1);
    fs::OpenOptions::new().append(true).open(&file).and_then(|mut f| std::io::Write::write_all(&mut f, rest)).expect("written");
    wait_for_lines(&mut process, "plugin swapped", 1);
    end(process);
    assert!(versions(&host).is_sorted());
}

#[test]
fn a_deleted_file_keeps_the_last_version_running() {
    let (host, mut process) = busy();
    let file = host.path("stamp.wasm");
    fs::remove_file(&file).expect("removed");
    wait_for_lines(&mut process, "the plugin file is gone", 1);
    let (folder, before) = (host.path("out"), files::bytes_so_far(&host.path("out"), "s"));
    process.wait_until("more records", PATIENCE, || files::bytes_so_far(&folder, "s") > before + 10_000);
    fs::write(&file, guests::stamp(2)).expect("written");
    wait_for_lines(&mut process, "plugin swapped", 1);
    end(process);
    assert!(versions(&host).is_sorted());
}
