//! Files of the whole program, as those see them who read them and who tidy up.

use std::{fs, path::Path, time::Duration};

use sluicegate_harness::{
    database::Server,
    files, free_port,
    host::{self, Process, Sluicegate},
    mariadb,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A table `t (id)` of its own, and a pipeline that writes its changes into `out`.
struct Stream {
    server: Server,
    database: String,
    host: Sluicegate,
    http: u16,
}

impl Stream {
    fn new(checkpoint: &str, sink: &str) -> Self {
        let server = mariadb::shared();
        let database = server.database("files");
        server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY)"));
        let (port, user, password, http) = (server.port(), server.user(), server.password(), free_port());
        let pipeline = format!(
            "name: files
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{database}.*'], start: now }}
sinks: [{{ type: file, format: flat, folder: out, prefix: t{sink} }}]
limits: {{ checkpoint_interval: {checkpoint} }}
http: 127.0.0.1:{http}
"
        );
        let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline);
        Self { server, database, host, http }
    }

    fn start(&self) -> Process {
        let mut process = self.host.spawn();
        process.wait_for_line("starting to read the binlog", PATIENCE);
        process
    }

    fn insert(&self, ids: &str) {
        self.server.sql(&format!("INSERT INTO {}.t VALUES {ids}", self.database));
    }

    fn wait_for_records(&self, process: &mut Process, count: usize) {
        let folder = self.host.path("out");
        process.wait_until("the records", PATIENCE, || files::count_so_far(&folder, "t") >= count);
    }

    fn wait_until_durable(&self, process: &mut Process, changes: f64) {
        let metric = "sluicegate_sink_durable_changes{pipeline=\"files\",sink=\"file\"}";
        process.wait_until("the checkpoint", PATIENCE, || host::metric(self.http, metric).is_some_and(|n| n >= changes));
    }

    fn ids(&self, folder: &Path) -> Vec<u64> {
        files::records(folder, "t").iter().map(|record| record["id"].as_u64().expect("an id")).collect()
    }
}

#[test]
fn a_record_is_visible_without_a_checkpoint() {
    for sink in ["", ", zstd: 3"] {
        let stream = Stream::new("10m", sink);
        let mut process = stream.start();
        for (count, id) in [(1, "(1)"), (3, "(2), (3)")] {
            stream.insert(id);
            stream.wait_for_records(&mut process, count);
        }
        assert!(!process.stderr().contains("\"level\":\"ERROR\""), "{}", process.stderr());
        let metric = "sluicegate_sink_checkpoints_total{pipeline=\"files\",sink=\"file\"}";
        assert_eq!(host::metric(stream.http, metric), Some(0.0));
    }
}

#[test]
fn a_file_that_is_taken_away_stops_the_program_and_the_next_start_goes_on() {
    for moved in [false, true] {
        let stream = Stream::new("20ms", "");
        let (folder, away) = (stream.host.path("out"), stream.host.path("away"));
        fs::create_dir(&away).expect("a folder");
        let mut process = stream.start();
        stream.insert("(1), (2), (3)");
        stream.wait_for_records(&mut process, 3);
        stream.wait_until_durable(&mut process, 3.0);
        let file = folder.join("t-00000001.ndjson");
        if moved {
            fs::rename(&file, away.join("t-00000001.ndjson")).expect("moved");
        } else {
            fs::remove_file(&file).expect("removed");
        }
        stream.insert("(4), (5), (6)");
        let ended = process.wait(PATIENCE);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("t-00000001.ndjson was moved away or removed while it was written to"), "{}", ended.stderr);

        let mut process = stream.start();
        stream.insert("(7)");
        stream.wait_for_records(&mut process, 4);
        process.sigterm();
        let ended = process.wait(PATIENCE);
        assert!(ended.status.success(), "{}", ended.stderr);
        assert!(ended.stderr.contains("the file that was written to is missing"), "{}", ended.stderr);
        assert_eq!(stream.ids(&folder), [4, 5, 6, 7]);
        if moved {
            assert_eq!(stream.ids(&away)[..3], [1, 2, 3]);
        }
    }
}

#[test]
fn two_sinks_do_not_write_into_one_folder_that_links_give_two_names() {
    let pipeline = |folder: &str, prefix: &str| {
        format!(
            "name: links
source: {{ type: generator, changes: 10, seed: 1 }}
sinks:
  - {{ type: file, name: one, format: flat, folder: out, prefix: t }}
  - {{ type: file, name: two, format: flat, folder: {folder}, prefix: {prefix} }}
"
        )
    };
    let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline("link", "t"));
    fs::create_dir(host.path("out")).expect("made");
    std::os::unix::fs::symlink(host.path("out"), host.path("link")).expect("linked");
    for (folder, told) in [("link", "are the same one"), ("link/inner/not-there", "lie one inside the other")] {
        host.write_pipeline(&pipeline(folder, "t"));
        let ended = host.run(&["check", "pipeline.yaml"], PATIENCE);
        let fails = format!("fail  sinks: the folders of sinks `one` and `two`, which both write files of the prefix `t`, {told}");
        assert!(ended.status.code() == Some(3) && ended.stdout.contains(&fails), "{}", ended.stdout);
        let ended = host.run(&["run", "pipeline.yaml"], PATIENCE);
        assert!(!ended.status.success() && ended.stderr.contains(told), "{}", ended.stderr);
    }
    assert_eq!(fs::read_dir(host.path("out")).expect("readable").count(), 0, "nothing was written");
    for (folder, prefix) in [("link", "other"), ("beside", "t")] {
        host.write_pipeline(&pipeline(folder, prefix));
        let ended = host.run(&["check", "pipeline.yaml"], PATIENCE);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    }
}

/// Where a record has the row after a change only, an update of the key is two records: else nobody knows which row is gone. Rows before and
/// behind it in the same statement keep their places.
#[test]
fn an_update_of_the_key_names_the_row_that_is_gone_in_every_format() {
    let server = mariadb::shared();
    let database = server.database("keys");
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY, v INT)"));
    let formats = ["flat", "csv", "debezium-flattened", "debezium", "maxwell"];
    let file = |name: &&str| format!("  - {{ type: file, name: {name}, format: {name}, folder: {name}, prefix: t }}\n");
    let (port, user, password) = (server.port(), server.user(), server.password());
    let pipeline = format!(
        "name: keys
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{database}.*'], start: now }}
sinks:
{}  - {{ type: stdout, format: flat }}
limits: {{ checkpoint_interval: 20ms }}
",
        formats.iter().map(file).collect::<String>()
    );
    let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline);
    let mut process = host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    server.sql(&format!("INSERT INTO {database}.t VALUES (1, 1), (2, 2), (3, 3)"));
    server.sql(&format!("UPDATE {database}.t SET v = v + 10, id = IF(id = 2, 20, id)"));
    // each row with its operation and its id
    let told = |name: &str, op: &str, id: &dyn Fn(&serde_json::Value) -> serde_json::Value| {
        let files = files::list(&host.path(name), "t");
        let lines: Vec<String> = files.iter().flat_map(|file| files::lines_so_far(file)).collect();
        let records = lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        records.map(|record| format!("{} {}", record[op].as_str().expect("an operation"), id(&record))).collect::<Vec<_>>()
    };
    let as_two = ["c 1", "c 2", "c 3", "u 1", "d 2", "c 20", "u 3"];
    process.wait_until("flat rows", PATIENCE, || told("flat", "_op", &|record| record["id"].clone()) == as_two);
    let csv = || {
        let files: Vec<_> = fs::read_dir(host.path("csv")).into_iter().flatten().map(|folder| folder.expect("a folder").path()).collect();
        let files = files.iter().filter(|path| path.is_dir()).flat_map(|folder| fs::read_dir(folder).expect("a folder"));
        let text: String = files.map(|file| fs::read_to_string(file.expect("a file").path()).expect("text")).collect();
        let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
        rows.map(|fields| format!("{} {}", fields[0], fields[fields.len() - 2])).collect::<Vec<_>>()
    };
    process.wait_until("rows of CSV", PATIENCE, || csv() == as_two);
    let flattened = || told("debezium-flattened", "__deleted", &|record| record["id"].clone());
    let expected = ["false 1", "false 2", "false 3", "false 1", "true 2", "false 20", "false 3"];
    process.wait_until("flattened rows", PATIENCE, || flattened() == expected);
    // these name the row before: one record says all
    let envelope = || told("debezium", "op", &|record| record["before"]["id"].clone());
    process.wait_until("envelopes", PATIENCE, || envelope() == ["c null", "c null", "c null", "u 1", "u 2", "u 3"]);
    let old = || told("maxwell", "type", &|record| record["old"]["id"].clone());
    let expected = ["insert null", "insert null", "insert null", "update null", "update 2", "update null"];
    process.wait_until("Maxwell's rows", PATIENCE, || old() == expected);
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let printed = ended.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let printed: Vec<String> =
        printed.map(|record| format!("{} {}", record["_op"].as_str().expect("an operation"), record["id"])).collect();
    assert_eq!(printed, as_two);
}
