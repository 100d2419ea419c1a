//! The main job: a MariaDB that is written to all the time, through the standard plugins and one that is swapped ten times
//! (two of the files are broken), into files and into Kafka, while the program is killed ten times.
//!
//! At the end the files hold exactly what the database executed, each change once, in order, transformed by the version
//! in force; Kafka holds each change at least once, with the order of each key kept.
//!
//! The seed is printed; `SLUICEGATE_SEED` repeats its decisions.

mod expected;
mod random;
mod shop;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use expected::Delivered;
use random::Random;
use serde_json::{Map, Value};
use shop::{LAST_CUSTOMER, Shop};
use sluicegate_guest_builder as guests;
use sluicegate_harness::{
    database::{Client, Server},
    files,
    host::{Ended, Process, Sluicegate},
    kafka::{self, Broker},
    mariadb,
};

/// For anything that takes a moment; machines under load take several.
const PATIENCE: Duration = Duration::from_secs(60);

fn pipeline(server: &Server, database: &str, brokers: &str) -> String {
    let (port, user, password) = (server.port(), server.user(), server.password());
    format!(
        r#"
name: main-job
source:
  type: mysql
  host: 127.0.0.1
  port: {port}
  user: {user}
  password: {password}
  tables: ["{database}.customers", "{database}.orders", "{database}.order_lines"]
  start: earliest
plugins:
  - use: filter
    tables: ["{database}.orders"]
    config:
      tables:
        - table: {database}.orders
          where: status <> 'test' AND total >= 10
  - use: map-names
    config:
      databases: [{{ from: {database}, to: {database}_out }}]
      tables: [{{ from: "{database}.orders", to: "{database}_out.sales_orders" }}]
      columns: [{{ table: "{database}.customers", from: email, to: contact }}]
  - use: rewrite-columns
    config:
      tables:
        - table: {database}_out.customers
          columns: [{{ column: contact, mask: {{ first: 2 }} }}]
        - table: {database}_out.sales_orders
          columns: [{{ column: note, drop: true }}, {{ column: revision, rename: version }}]
        - table: {database}_out.order_lines
          columns: [{{ column: origin, constant: web }}]
  - file: stamp.wasm
sinks:
  - type: file
    format: flat
    folder: out
    prefix: shop
    roll: {{ bytes: 256KiB }}
  - type: kafka
    format: flat
    brokers: {brokers}
    topic: "{{database}}.{{table}}"
limits:
  checkpoint_interval: 50ms
  plugin_debounce: 20ms
"#
    )
}

/// What happens to the program while the shop trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Kill,
    Swap,
    /// A file that is cut off.
    SwapToTruncated,
    /// A file that is no component, still there at the next start.
    SwapToText,
}

/// The program and everything that its processes said about plugin versions.
struct Operation {
    host: Sluicegate,
    process: Option<Process>,
    random: Random,
    /// The newest good version installed; 1 from the start.
    version: u32,
    /// Versions that were seen to take over.
    seen: usize,
    log: Vec<Value>,
}

impl Operation {
    fn start(binary: &str, pipeline: &str, seed: u64) -> Self {
        let host = Sluicegate::new(binary, pipeline);
        fs::write(host.path("stamp.wasm"), guests::stamp(1)).unwrap();
        let process = Some(host.spawn());
        Self { host, process, random: Random::new(seed), version: 1, seen: 0, log: Vec::new() }
    }

    fn run(&mut self) {
        let mut steps = vec![Step::Kill; 10];
        steps.extend([Step::Swap; 8]);
        steps.extend([Step::SwapToTruncated, Step::SwapToText]);
        self.random.shuffle(&mut steps);
        for (i, step) in steps.iter().enumerate() {
            eprintln!("{:2} of {}: {step:?}", i + 1, steps.len());
            let kill_follows = steps.get(i + 1) == Some(&Step::Kill);
            match step {
                Step::Kill => self.kill(),
                Step::Swap => self.swap(kill_follows),
                Step::SwapToTruncated => self.swap_to_truncated(),
                Step::SwapToText => self.swap_to_text(),
            }
        }
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("there is one between two steps")
    }

    /// kill -9 and a new start: now and then at once, that is while it starts itself, else after some more records.
    fn kill(&mut self) {
        if !self.random.once_in(3) {
            self.wait_for_progress();
        }
        self.restart();
    }

    fn restart(&mut self) {
        let ended = self.process.take().expect("there is one between two steps").kill9();
        self.hear(&ended);
        self.process = Some(self.host.spawn());
    }

    /// Installs a new version; a kill that follows at once hits any moment of its taking over.
    fn swap(&mut self, kill_follows: bool) {
        self.wait_for_progress();
        self.version += 1;
        self.install(&guests::stamp(self.version));
        if !(kill_follows && self.random.once_in(2)) {
            let version = marker(self.version);
            self.process().wait_for("the new version", PATIENCE, |process| {
                process.log().iter().any(|line| says(line, "plugin swapped") && *field(line, "version") == *version).then_some(())
            });
            self.seen += 1;
        }
    }

    fn swap_to_truncated(&mut self) {
        self.wait_for_progress();
        let before = refusals(self.process());
        self.install(&guests::truncated());
        self.process().wait_for("the refusal", PATIENCE, |process| (refusals(process) > before).then_some(()));
        self.install(&guests::stamp(self.version));
    }

    fn swap_to_text(&mut self) {
        self.wait_for_progress();
        let before = refusals(self.process());
        self.install(b"this is no component");
        self.process().wait_for("the refusal", PATIENCE, |process| (refusals(process) > before).then_some(()));
        // a start with the broken file is refused, too, and harms nothing
        self.restart();
        let refused = self.process.take().expect("just started").wait(PATIENCE);
        assert_eq!(refused.status.code(), Some(3), "{}", refused.stderr);
        assert!(refused.stderr.contains("remedy"), "{}", refused.stderr);
        self.install(&guests::stamp(self.version));
        self.process = Some(self.host.spawn());
    }

    /// Some tools rename over a file, others write it in place.
    fn install(&mut self, component: &[u8]) {
        let file = self.host.path("stamp.wasm");
        if self.random.once_in(2) {
            fs::write(file, component).unwrap();
        } else {
            let new = self.host.path("stamp.wasm.new");
            fs::write(&new, component).unwrap();
            fs::rename(new, file).unwrap();
        }
    }

    fn wait_for_progress(&mut self) {
        let folder = self.host.path("out");
        let goal = files::bytes_so_far(&folder, "shop") + 500 + self.random.below(60_000);
        self.process().wait_until("more records", PATIENCE, || files::bytes_so_far(&folder, "shop") >= goal);
    }

    /// Waits for the last change, ends the program in order, and gives its whole log.
    fn finish(mut self) -> (Sluicegate, Vec<Value>) {
        let folder = self.host.path("out");
        let last = format!("\"id\":{LAST_CUSTOMER},");
        self.process().wait_until("the last change", PATIENCE, || {
            files::list(&folder, "shop").last().is_some_and(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(&last)))
        });
        let process = self.process.take().expect("there is one between two steps");
        process.sigterm();
        let ended = process.wait(PATIENCE);
        assert!(ended.status.success(), "{}", ended.stderr);
        self.hear(&ended);
        (self.host, self.log)
    }

    fn hear(&mut self, ended: &Ended) {
        self.log.extend(ended.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()));
    }
}

/// A field of a log line.
fn field<'a>(line: &'a Value, name: &str) -> &'a Value {
    line["fields"].get(name).or_else(|| line.get(name)).unwrap_or(&Value::Null)
}

fn says(line: &Value, text: &str) -> bool {
    field(line, "message").as_str().is_some_and(|message| message.contains(text))
}

fn refusals(process: &Process) -> usize {
    process.log().iter().filter(|line| says(line, "the new plugin file is refused")).count()
}

/// The text that version `version` of the test plugin stamps.
fn marker(version: u32) -> String {
    format!("VERSION-{version:04}")
}

/// Takes what the plugin stamped from a record.
fn version_of(record: &Value) -> &str {
    record["plugin_version"].as_str().expect("every record is stamped")
}

/// Log file, position of the event, row in the event: the place of a change in the database's own log.
fn place(record: &Value) -> (String, u64, u64) {
    (record["_file"].as_str().unwrap().to_owned(), record["_pos"].as_u64().unwrap(), record["_row"].as_u64().unwrap())
}

/// The columns alone.
fn columns(record: &Value) -> Map<String, Value> {
    record
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| !name.starts_with('_') && *name != "plugin_version")
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect()
}

fn check_files(records: &[Value], expected: &[Delivered], database: &str) {
    for (i, (record, expected)) in records.iter().zip(expected).enumerate() {
        let found = (&record["_op"], &record["_database"], &record["_table"]);
        assert!(
            found.0 == expected.operation && found.1 == database && found.2 == expected.table && columns(record) == expected.row,
            "record {i} of {}:\n  found    {record}\n  expected {expected:?}",
            records.len()
        );
    }
    assert_eq!(records.len(), expected.len(), "one record for each change that passes");
    let places: Vec<_> = records.iter().map(place).collect();
    assert!(places.is_sorted_by(|a, b| a < b), "the order is that of the database's log, and nothing comes twice");
}

/// Each record carries the version in force: versions never go back, only announced ones occur, and from the change on
/// with which a version took over no older one occurs.
fn check_versions(records: &[Value], log: &[Value], newest: u32, seen: usize) {
    let versions: Vec<&str> = records.iter().map(version_of).collect();
    assert!(versions.is_sorted(), "versions never go back along the files");
    let swapped = log.iter().filter(|line| says(line, "plugin swapped"));
    let ready = log.iter().filter(|line| says(line, "plugin ready") && field(line, "plugin") == "stamp");
    let announced: BTreeSet<&str> = swapped.clone().chain(ready).filter_map(|line| field(line, "version").as_str()).collect();
    for version in versions.iter().collect::<BTreeSet<_>>() {
        assert!(announced.contains(version), "{version} was never announced");
    }
    assert_eq!(versions.last(), Some(&&*marker(newest)), "the last record has the newest version");
    let mut takeovers = 0;
    for line in swapped {
        let (from, version) = (field(line, "position").as_str().unwrap(), field(line, "version").as_str().unwrap());
        let position: Value = serde_json::from_str(from).unwrap();
        // a transaction that was read in part stands behind the position as a whole
        let open: Vec<&Value> = position["open"].as_array().into_iter().flatten().map(|part| &part["transaction"]).collect();
        let behind = |record: &&Value| {
            (record["_file"].as_str(), record["_pos"].as_u64()) >= (position["file"].as_str(), position["position"].as_u64())
                && !open.contains(&&record["_gtid"])
        };
        if let Some(found) = records.iter().find(behind).map(version_of) {
            assert!(found >= version, "{version} took over at {from}, and a later change has {found}");
        }
        takeovers += 1;
    }
    eprintln!("{} versions in the files, {takeovers} swaps took over while rows flowed", versions.iter().collect::<BTreeSet<_>>().len());
    assert!(takeovers >= seen, "every takeover is in the log");
}

/// At least once, and for each key in order: a restart may go back, but never leaves a change out or turns two round.
fn check_kafka(broker: &Broker, records: &[Value], database: &str) {
    for (table, key_columns) in [("customers", &["id"][..]), ("sales_orders", &["id"]), ("order_lines", &["order_id", "line"])] {
        let key = |record: &Value| {
            let key: Map<String, Value> = key_columns.iter().map(|column| ((*column).to_owned(), record[*column].clone())).collect();
            serde_json::to_string(&key).unwrap()
        };
        let mut expected: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        for record in records.iter().filter(|record| record["_table"] == table) {
            expected.entry(key(record)).or_default().push(record);
        }
        let mut found: BTreeMap<String, Vec<Option<Value>>> = BTreeMap::new();
        for record in broker.records(&format!("{database}.{table}")) {
            let value = record.value.map(|text| serde_json::from_str(&text).unwrap());
            found.entry(record.key.expect("every table has a key")).or_default().push(value);
        }
        assert_eq!(found.len(), expected.len(), "keys in {table}");
        for (key, expected) in expected {
            let found = found.get(&key).unwrap_or_else(|| panic!("nothing with key {key} in {table}"));
            let mut next = 0;
            for value in found.iter().flatten() {
                let index = expected.iter().position(|e| place(e) == place(value)).unwrap_or_else(|| panic!("{value} was never made"));
                assert!(index <= next, "{table} {key}: a change is missing before {value}");
                assert!(columns(expected[index]) == columns(value) && expected[index]["_op"] == value["_op"], "{value}");
                next = index + 1;
            }
            assert_eq!(next, expected.len(), "{table} {key}: the last change is the last record");
            let deleted = expected[expected.len() - 1]["_op"] == "d";
            assert_eq!(found[found.len() - 1].is_none(), deleted, "{table} {key}: a tombstone follows a delete");
        }
    }
}

/// Writes to a table that is not captured, and begins new log files.
fn make_noise(mut client: Client, database: &str, stop: &AtomicBool) {
    for round in 1.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        client.sql(&format!("INSERT INTO {database}.noise (text) VALUES (REPEAT('x', 150)); DO SLEEP(0.01)"));
        if round % 300 == 0 {
            client.sql("FLUSH BINARY LOGS");
        }
    }
}

/// The main test compares with the shop's journal, so that has to be right.
#[test]
fn the_journal_of_the_shop_tells_what_the_database_holds() {
    let server = mariadb::shared();
    let mut shop = Shop::new(server.client(), &server.database("journal"), 1);
    for _ in 0..300 {
        shop.transaction();
    }
    shop.close();
    shop.compare_with_database();
    assert!(shop.journal().len() > 1000);
}

mod with_kafka {
    use super::*;

    #[test]
    fn every_change_once_in_order_by_the_version_in_force_through_ten_swaps_and_ten_kills() {
        let seed = match env::var("SLUICEGATE_SEED") {
            Ok(seed) => seed.parse().expect("SLUICEGATE_SEED is a number"),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64,
        };
        eprintln!("seed: SLUICEGATE_SEED={seed}");
        // what takes time to build is there before the shop begins to trade
        guests::build_guests().unwrap();
        let (server, broker) = (mariadb::start(&[]), kafka::shared());
        let database = server.database("shop");
        let delivered_database = format!("{database}_out");
        for table in ["customers", "sales_orders", "order_lines"] {
            broker.create_topic(&format!("{delivered_database}.{table}"), 3);
        }
        let mut shop = Shop::new(server.client(), &database, seed);
        let mut operation = Operation::start(env!("CARGO_BIN_EXE_sluicegate"), &pipeline(&server, &database, broker.brokers()), seed);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            // also when a step fails: the others must end for the scope to end
            let _stop = StopOnDrop(&stop);
            scope.spawn(|| shop.trade(&stop));
            scope.spawn(|| make_noise(server.client(), &database, &stop));
            operation.run();
        });
        shop.close();
        shop.compare_with_database();
        let (newest, seen) = (operation.version, operation.seen);
        let (host, log) = operation.finish();

        let records = files::records(&host.path("out"), "shop");
        let expected = expected::delivered(shop.journal());
        eprintln!("{} changes in the database, {} delivered", shop.journal().len(), expected.len());
        check_files(&records, &expected, &delivered_database);
        check_versions(&records, &log, newest, seen);
        check_kafka(&broker, &records, &delivered_database);
    }

    struct StopOnDrop<'a>(&'a AtomicBool);

    impl Drop for StopOnDrop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
