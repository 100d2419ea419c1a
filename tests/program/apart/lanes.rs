//! With the generator's lanes, which come otherwise in each session.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::*;
use sluicegate_harness::{files, free_port, host::Process};
use sluicegate_state::Checkpoint;

/// The records of a folder by the log that they come from: a generation of a lane. Each with its number there, which they are sorted by.
fn by_log(records: Vec<Value>) -> BTreeMap<String, Vec<(u64, Value)>> {
    let mut logs: BTreeMap<String, Vec<(u64, Value)>> = BTreeMap::new();
    for record in records {
        let number = record["_pos"].as_u64().zip(record["_row"].as_u64()).map(|(position, row)| position + row);
        let log = record["_file"].as_str().expect("a log file").to_owned();
        logs.entry(log).or_default().push((number.expect("a place"), record));
    }
    logs.values_mut().for_each(|changes| changes.sort_by_key(|(number, _)| *number));
    logs
}

/// Every change of the four lanes, once, but for those before a lane's beginning.
#[track_caller]
fn has_all(of: &BTreeMap<String, Vec<(u64, Value)>>) {
    for (log, changes) in of {
        let numbers: Vec<u64> = changes.iter().map(|(number, _)| *number).collect();
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        assert_eq!(numbers, (first..=last).collect::<Vec<_>>(), "{log} has gaps or changes that come twice");
        assert!(first == 0 || log.ends_with(".1"), "only the first generation of a lane may begin later");
    }
    let lanes: BTreeSet<&str> = of.keys().filter_map(|log| log.split_once('.')).map(|(lane, _)| lane).collect();
    assert_eq!(lanes.len(), 4, "{lanes:?}");
}

/// The pipeline once more, to an end that no sink has reached: then each has every change, once. `source`: its text with further settings of
/// the source in place of `MORE`.
#[track_caller]
fn end_with_all(host: &Sluicegate, pipeline: &str, sinks: &[&str]) {
    let logs = |sink: &&str| by_log(files::records(&host.path(sink), "shop"));
    let mut lanes: BTreeMap<(usize, String), usize> = BTreeMap::new();
    for (sink, logs) in sinks.iter().map(logs).enumerate() {
        for (log, changes) in logs {
            *lanes.entry((sink, log.split_once('.').expect("a generation").0.to_owned())).or_default() += changes.len();
        }
    }
    // a lane may lack its first changes
    let end = lanes.into_values().max().unwrap_or_default() + 500;
    host.write_pipeline(&pipeline.replace("MORE", &format!("changes: {end}")));
    let ended = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let all: Vec<_> = sinks.iter().map(logs).collect();
    for (sink, of) in sinks.iter().zip(&all) {
        assert_eq!(of.keys().collect::<Vec<_>>(), all[0].keys().collect::<Vec<_>>(), "{sink}");
        assert!(*of == all[0], "`{sink}` has other changes than `{}`", sinks[0]);
    }
    has_all(&all[0]);
}

fn told(process: &Process, text: &str, sink: &str) -> usize {
    process.log().iter().filter(|line| line["message"].as_str().is_some_and(|m| m.starts_with(text)) && line["sink"] == sink).count()
}

/// One output is slow, one fails now and then, and the program is killed at any moment: each has the same changes, once.
#[test]
fn outputs_that_are_apart_killed_eight_times_have_the_same_changes_once() {
    let pipeline = "name: apart
source: { type: generator, seed: 7, lanes: 4, turbulence: 3, MORE }
sinks:
  - { type: file, name: one, format: flat, folder: one, prefix: shop, roll: { bytes: 300KiB } }
  - { type: file, name: two, format: flat, folder: two, prefix: shop, zstd: 12, when_slow: apart }
  - { type: file, name: three, format: flat, folder: three, prefix: shop, roll: { bytes: 20KiB }, when_slow: apart }
limits: { checkpoint_interval: 20ms, batch_changes: 50, queue_batches: 1, apart_after: 10ms }
";
    let killed = Sluicegate::new(BINARY, &pipeline.replace("MORE", "rate: 5000"));
    let (folder, away) = (killed.path("three"), killed.path("three.away"));
    let bytes = |name: &str| files::bytes_so_far(&killed.path(name), "shop");
    let move_back = || {
        fs::remove_file(&folder).expect("removed");
        fs::rename(&away, &folder).expect("moved back");
    };
    // what the sink that fails has committed
    let state = || {
        let file = killed.path("sluicegate-state/apart.db");
        let all = if file.exists() { Checkpoint::look(&file, "apart").expect("a checkpoint") } else { Vec::new() };
        all.into_iter().find(|(name, _)| name == "three").map(|(_, progress)| progress.state).unwrap_or_default()
    };
    let mut departures = [0, 0];
    for kill in 0..8_u64 {
        let before = state();
        let mut process = killed.spawn();
        if kill % 3 != 0 {
            let goal = bytes("one") + kill * 20_000;
            process.wait_until("more records", PATIENCE, || bytes("one") >= goal);
        }
        // it has begun then, and would not begin anew in an empty folder
        if kill % 2 == 1 {
            process.wait_until("a commit", PATIENCE, || {
                let now = state();
                !now.is_empty() && now != before
            });
            fs::rename(&folder, &away).expect("moved");
            fs::write(&folder, "no folder").expect("written");
            process
                .wait_for("a failure", PATIENCE, |process| (told(process, "the output is apart, and failed", "three") > 0).then_some(()));
            let goal = bytes("one") + 20_000;
            process.wait_until("the others go on", PATIENCE, || bytes("one") >= goal);
            if kill % 4 == 3 {
                move_back();
                let before = bytes("three");
                process.wait_until("it goes on", PATIENCE, || bytes("three") > before);
            }
        }
        departures[0] += told(&process, "the output goes apart", "two");
        departures[1] += told(&process, "the output is apart, and failed", "three");
        process.kill9();
        if away.exists() {
            move_back();
        }
    }
    assert!(departures.iter().all(|departures| *departures > 0), "{departures:?}");
    end_with_all(&killed, pipeline, &["one", "two", "three"]);
}

/// Changes of each lane.
const STILL: usize = 3000;

/// Nobody reads the one output until the other has everything.
#[test]
fn an_output_that_stands_still_holds_up_no_other_and_catches_up() {
    let port = free_port();
    let pipeline = format!(
        "name: apart
source: {{ type: generator, seed: 7, changes: {STILL}, lanes: 4, turbulence: 3 }}
sinks:
  - {{ type: stdout, name: still, format: flat, when_slow: apart }}
  - {{ type: file, name: quick, format: flat, folder: quick, prefix: shop }}
limits: {{ checkpoint_interval: 20ms, batch_changes: 50, apart_after: 50ms }}
http: 127.0.0.1:{port}
"
    );
    let host = Sluicegate::new(BINARY, &pipeline);
    let mut process = Unread::start(&host);
    process.until("it is apart", |_| is_apart(port, "apart", "still"));
    let folder = host.path("quick");
    process.until("the other has everything", |_| ends(&folder));
    let readiness: Value = serde_json::from_str(&host::http_get(port, "/readyz").expect("an answer").1).expect("JSON");
    assert_eq!(readiness["apart"][0]["sink"], "still", "{readiness}");
    assert_eq!(readiness["apart"][0]["reason"], "it held the others back for more than 50ms");
    process.read();
    let ended = sluicegate_harness::until_some("the end", PATIENCE, || process.child.try_wait().expect("waited for"));
    assert!(ended.success(), "{}", process.log());
    sluicegate_harness::until("all is read", PATIENCE, || process.records().len() == files::records(&folder, "shop").len());
    let (quick, still) = (by_log(files::records(&folder, "shop")), by_log(process.records()));
    has_all(&quick);
    assert!(quick == still, "the sinks have different changes");
}

/// Whether nearly all of each lane has come: a lane may begin late.
fn ends(folder: &Path) -> bool {
    files::count_so_far(folder, "shop") >= 4 * (STILL - 100)
}

/// An operator pauses an output over HTTP, and lets it go on.
#[test]
fn an_output_is_paused_and_goes_on_where_it_was() {
    let port = free_port();
    let pipeline = format!(
        "name: apart
source: {{ type: generator, seed: 7, lanes: 4, turbulence: 3, MORE }}
sinks:
  - {{ type: file, name: one, format: flat, folder: one, prefix: shop }}
  - {{ type: file, name: two, format: flat, folder: two, prefix: shop, when_slow: apart }}
limits: {{ checkpoint_interval: 20ms, batch_changes: 50, apart_after: 60s }}
http: {{ listen: '127.0.0.1:{port}', admin: true }}
"
    );
    let host = Sluicegate::new(BINARY, &pipeline.replace("MORE", "rate: 3000"));
    let mut process = host.spawn();
    let count = |name: &str| files::count_so_far(&host.path(name), "shop");
    process.wait_until("both get something", PATIENCE, || count("one") > 500 && count("two") > 500);
    let ask = |output: &str, what: &str| {
        let (code, body) = host::http_request(port, "POST", &format!("/outputs/{output}/{what}"), &[], &[]).expect("an answer");
        (code, serde_json::from_str::<Value>(&body).expect("JSON"))
    };
    let state = || {
        let (_, body) = host::http_get(port, "/outputs").expect("an answer");
        let all: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(all["outputs"][0]["state"], "together", "{all}");
        all["outputs"][1]["state"].as_str().expect("a state").to_owned()
    };
    assert_eq!(state(), "together");
    assert_eq!((ask("one", "pause").0, ask("three", "pause").0), (409, 404));
    assert_eq!(ask("two", "pause").0, 202);
    process.wait_until("it is paused", PATIENCE, || state() == "paused");
    let (before, goal) = (count("two"), count("one") + 2000);
    process.wait_until("the other goes on", PATIENCE, || count("one") >= goal);
    assert_eq!(count("two"), before);
    // a pause outlasts a start, also after a kill
    process.kill9();
    let mut process = host.spawn();
    process.wait_until("it is paused again", PATIENCE, || host::http_get(port, "/outputs").is_some() && state() == "paused");
    let goal = count("one") + 500;
    process.wait_until("the other goes on again", PATIENCE, || count("one") >= goal);
    assert_eq!(count("two"), before);
    assert_eq!(ask("two", "resume").0, 202);
    process.wait_until("it has caught up", PATIENCE, || state() == "together");
    let goal = count("two") + 500;
    process.wait_until("it goes on with the others", PATIENCE, || count("two") >= goal);
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    end_with_all(&host, &pipeline, &["one", "two"]);
}
