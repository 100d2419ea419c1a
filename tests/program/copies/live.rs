//! Tables that are added to a running pipeline, removed from it, and copied anew, while the others stream.

use std::collections::BTreeSet;

use sluicegate_harness::{
    database::Server,
    files, free_port,
    host::{Process, Sluicegate, http_request},
    mariadb, mysql,
};

use super::*;

/// The tables of these tests: rows by their key.
pub(super) type Rows = BTreeMap<u64, u64>;

/// The pipeline's file, with what stands in its source beside the server, and a file sink for each of these names.
pub(super) fn text(server: &Server, source: &str, sinks: &[&str], port: u16) -> String {
    let text = pipeline(server, "TABLES", "SNAPSHOT", sinks, "");
    let text = text.replace("tables: TABLES, heartbeat: 1s, snapshot: SNAPSHOT", &format!("heartbeat: 1s, {source}"));
    format!("{text}http: {{ listen: '127.0.0.1:{port}', admin: true }}\n")
}

/// Writes the pipeline file as editors do.
pub(super) fn edit(host: &Sluicegate, text: &str) {
    let new = host.path("pipeline.yaml.new");
    std::fs::write(&new, text).expect("a file");
    std::fs::rename(new, host.path("pipeline.yaml")).expect("a file");
}

/// A table with rows.
pub(super) fn fill(client: &mut Client, table: &str, rows: u64) {
    client.sql(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, v BIGINT NOT NULL)"));
    let values: Vec<String> = (1..=rows).map(|id| format!("({id}, {id})")).collect();
    for some in values.chunks(1000) {
        client.sql(&format!("INSERT INTO {table} VALUES {}", some.join(", ")));
    }
}

/// What a reader of the records has of a table so far, and whether every change came once and none was older than one before.
pub(super) fn replayed(host: &Sluicegate, sink: &str, table: &str) -> Rows {
    let (mut rows, mut newest, mut seen) = (Rows::new(), Rows::new(), BTreeSet::new());
    for record in written(host, sink, table) {
        let of = |row: &Value| (row["id"].as_u64().expect("a key"), row["v"].as_u64().expect("a number"));
        if record["op"] == "t" {
            rows.clear();
            continue;
        }
        if record["op"] != "r" {
            let source = &record["source"];
            let place = format!("{} {} {} {}", source["file"], source["pos"], source["row"], record["after"].is_null());
            assert!(seen.insert(place), "twice: {record}");
        }
        if !record["before"].is_null() {
            rows.remove(&of(&record["before"]).0);
        }
        if !record["after"].is_null() {
            let (key, version) = of(&record["after"]);
            let before = newest.insert(key, version).unwrap_or_default();
            assert!(before <= version, "{table} {key} went back from {before} to {version}: {record}");
            rows.insert(key, version);
        }
    }
    rows
}

/// The whole records of a table that are written so far, while the sink goes on.
fn written(host: &Sluicegate, sink: &str, table: &str) -> Vec<Value> {
    let (mut records, wanted) = (Vec::new(), format!("\"table\":\"{table}\""));
    for file in files::list(&host.path("out"), sink) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines().filter(|line| line.contains(&wanted));
        records.extend(lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON")));
    }
    records
}

/// Bytes of the records that are written so far.
fn bytes(host: &Sluicegate, sink: &str) -> u64 {
    files::list(&host.path("out"), sink).iter().map(|file| std::fs::metadata(file).map_or(0, |file| file.len())).sum()
}

pub(super) fn there(server: &Server, table: &str) -> Rows {
    let rows = server.query(&format!("SELECT id, v FROM {table}"));
    let number = |value: &Option<String>| value.as_ref().expect("not null").parse().expect("a number");
    rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect()
}

/// Waits until a sink has of these tables what the server has.
#[track_caller]
pub(super) fn wait_until_equal(process: &mut Process, host: &Sluicegate, server: &Server, database: &str, tables: &[&str], sinks: &[&str]) {
    for (sink, table) in sinks.iter().flat_map(|sink| tables.iter().map(move |table| (sink, table))) {
        let wanted = there(server, &format!("{database}.{table}"));
        process.wait_until(&format!("{table} in {sink}"), PATIENCE, || replayed(host, sink, table) == wanted);
    }
}

/// Asks for a copy over HTTP.
fn copy_anew(port: u16, table: &str) -> (u16, Value) {
    let (code, text) = http_request(port, "POST", &format!("/tables/{table}/copy"), &[], &[]).expect("an answer");
    (code, serde_json::from_str(&text).expect("JSON"))
}

fn edited(process: &mut Process, count: usize) -> Value {
    process.wait_for("the edited tables", PATIENCE, |process| {
        let lines: Vec<Value> =
            process.log().into_iter().filter(|line| line["message"].as_str().is_some_and(|m| m.starts_with("tables edited"))).collect();
        lines.get(count - 1).cloned()
    })
}

fn counts(host: &Sluicegate, sink: &str, table: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for record in written(host, sink, table) {
        *counts.entry(record["op"].as_str().expect("an operation").to_owned()).or_default() += 1;
    }
    counts
}

fn of(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(op, count)| ((*op).to_owned(), *count)).collect()
}

/// Each step is an edit; the process is never started again until the end.
fn added_and_removed(server: &Server) {
    let database = server.database("live");
    let mut client = server.client();
    for table in ["a", "first", "later", "bad"] {
        fill(&mut client, &format!("{database}.{table}"), 300);
    }
    client.sql(&format!("CREATE TABLE {database}.keyless (id INT, v BIGINT) ENGINE=MyISAM; ALTER TABLE {database}.bad DROP COLUMN v"));
    let port = free_port();
    let with = |tables: &str, snapshot: &str| text(server, &format!("tables: [{tables}], snapshot: {snapshot}"), &["x", "y"], port);
    let table = |name: &str| format!("{database}.{name}");
    let host = Sluicegate::new(BINARY, &with(&table("a"), "initial"));
    let mut process = host.spawn();
    wait_until_equal(&mut process, &host, server, &database, &["a"], &["x", "y"]);

    // the rows of one come first, of the other only its changes
    edit(&host, &with(&format!("{}, {}", table("a"), table("first")), "initial"));
    let line = edited(&mut process, 1);
    assert_eq!((&line["added"], &line["copied"], &line["removed"]), (&table("first").into(), &table("first").into(), &"".into()));
    wait_until_equal(&mut process, &host, server, &database, &["first"], &["x", "y"]);
    let three = format!("{}, {}, {}", table("a"), table("first"), table("later"));
    edit(&host, &with(&three, "{ added: changes-only }"));
    let line = edited(&mut process, 2);
    assert_eq!((&line["added"], &line["copied"]), (&table("later").into(), &"".into()));
    client.sql(&format!("UPDATE {database}.later SET v = 1000 WHERE id = 7; DELETE FROM {database}.first WHERE id = 3"));
    wait_until_equal(&mut process, &host, server, &database, &["a", "first"], &["x", "y"]);
    for sink in ["x", "y"] {
        process.wait_until("the change of the table without a copy", PATIENCE, || counts(&host, sink, "later") == of(&[("u", 1)]));
        assert_eq!(counts(&host, sink, "first"), of(&[("r", 300), ("d", 1)]), "no truncate before a first copy");
    }

    // what will not do is refused, and everything goes on
    let refused = |process: &mut Process, count: usize| {
        process.wait_for("a refusal", PATIENCE, |process| {
            let lines: Vec<Value> = process
                .log()
                .into_iter()
                .filter(|line| line["message"].as_str().is_some_and(|m| m.contains("pipeline file is refused")))
                .collect();
            lines.get(count - 1).map(|line| line["error"].as_str().expect("a reason").to_owned())
        })
    };
    edit(&host, &with(&format!("{three}, {}", table("keyless")), "initial"));
    let reason = refused(&mut process, 1);
    assert!(reason.contains(&format!("{} cannot be copied", table("keyless"))), "{reason}");
    let filter =
        format!("plugins: [{{ use: filter, config: {{ tables: [{{ table: '{database}.*', where: v > 0, missing: error }}] }} }}]\n");
    edit(&host, &format!("{}{filter}", with(&format!("{three}, {}", table("bad")), "initial")));
    let reason = refused(&mut process, 2);
    assert!(reason.contains("bad") && reason.contains('v'), "{reason}");
    client.sql(&format!("INSERT INTO {database}.a VALUES (1001, 1001); INSERT INTO {database}.bad VALUES (1001)"));
    wait_until_equal(&mut process, &host, server, &database, &["a", "first"], &["x", "y"]);

    // removed, changed meanwhile, and added again: behind a truncate, with another column
    edit(&host, &with(&table("a"), "initial"));
    assert_eq!(edited(&mut process, 3)["removed"], format!("{}, {}", table("first"), table("later")));
    client.sql(&format!("DELETE FROM {database}.first WHERE id < 100; ALTER TABLE {database}.first ADD w INT FIRST; INSERT INTO {database}.a VALUES (1002, 1002)"));
    wait_until_equal(&mut process, &host, server, &database, &["a"], &["x", "y"]);
    edit(&host, &with(&format!("{}, {}", table("a"), table("first")), "initial"));
    assert_eq!(edited(&mut process, 4)["copied"], table("first"));
    client.sql(&format!("UPDATE {database}.first SET w = 5, v = v + 1000 WHERE id = 200"));
    wait_until_equal(&mut process, &host, server, &database, &["a", "first"], &["x", "y"]);
    assert_eq!(counts(&host, "x", "first").get("t"), Some(&1));

    // asked for over HTTP: what no log tells comes
    let (code, said) = copy_anew(port, &table("nothing"));
    assert_eq!((code, said["error"].as_str().is_some_and(|e| e.contains("not a captured table"))), (404, true), "{said}");
    client.sql(&format!("SET sql_log_bin = 0; DELETE FROM {database}.a WHERE id < 50; SET sql_log_bin = 1"));
    let (code, said) = copy_anew(port, &table("a"));
    assert_eq!((code, &said["copy"]), (200, &2.into()), "{said}");
    wait_until_equal(&mut process, &host, server, &database, &["a", "first"], &["x", "y"]);
    random::stop(process);
    let read = counts(&host, "y", "a");
    assert_eq!((read["t"], read["r"]), (1, 300 + 253));

    // the same while nothing runs
    client.sql(&format!("SET sql_log_bin = 0; DELETE FROM {database}.a WHERE id < 60; SET sql_log_bin = 1"));
    let asked = host.run(&["checkpoint", "copy", "pipeline.yaml", "--table", &table("a")], PATIENCE);
    assert!(asked.stdout.contains("copy number 3"), "{} {}", asked.stdout, asked.stderr);
    let asked = host.run(&["checkpoint", "copy", "pipeline.yaml", "--table", &table("bad")], PATIENCE);
    assert!(asked.status.code() == Some(2) && asked.stderr.contains("is not a table that the pipeline captures"), "{}", asked.stderr);
    let mut process = host.spawn();
    wait_until_equal(&mut process, &host, server, &database, &["a", "first"], &["x", "y"]);
    random::stop(process);
    assert_eq!(counts(&host, "y", "a")["t"], 2);

    // a start with the same file changes nothing, with another one it takes it up
    let before = [counts(&host, "x", "a"), counts(&host, "y", "first")];
    let mut process = host.spawn();
    client.sql(&format!("INSERT INTO {database}.first VALUES (1, 5001, 5001)"));
    wait_until_equal(&mut process, &host, server, &database, &["a", "first"], &["x", "y"]);
    random::stop(process);
    assert_eq!((counts(&host, "x", "a"), counts(&host, "y", "first")["r"]), (before[0].clone(), before[1]["r"]));
    edit(&host, &with(&format!("{}, {}", table("a"), table("later")), "initial"));
    let mut process = host.spawn();
    wait_until_equal(&mut process, &host, server, &database, &["a", "later"], &["x", "y"]);
    random::stop(process);
    assert_eq!(counts(&host, "x", "later"), of(&[("u", 1), ("t", 1), ("r", 300)]), "what was left of it before is told to be gone");
}

#[test]
fn p18_b5_tables_are_added_removed_and_copied_anew_while_the_others_stream_mariadb() {
    added_and_removed(&mariadb::shared());
}

#[test]
fn p18_b5_tables_are_added_removed_and_copied_anew_while_the_others_stream_mysql() {
    added_and_removed(&mysql::shared());
}

const TABLES: [&str; 4] = ["a", "b", "c", "d"];

/// Changes rows of all tables until it is dropped.
struct Changes {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Changes {
    fn start(server: &Server, database: &str, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, opts, database) = (stop.clone(), server.opts(), database.to_owned());
        let thread = thread::spawn(move || {
            let mut client = Client::connect(opts);
            let (mut random, mut version) = (seed, 10_000);
            while !ended.load(Ordering::Relaxed) {
                version += 1;
                let mut next = |below: u64| splitmix::next(&mut random) % below;
                let (id, table) = (1 + next(600), format!("{database}.{}", TABLES[next(4) as usize]));
                let other = format!("{database}.{}", TABLES[next(4) as usize]);
                client.sql(&match next(6) {
                    0 => format!("DELETE FROM {table} WHERE id = {id}"),
                    1 | 2 => format!("REPLACE INTO {table} VALUES ({id}, {version})"),
                    // one transaction over two tables
                    3 => format!("BEGIN; UPDATE {table} SET v = {version} WHERE id < {id} LIMIT 5; REPLACE INTO {other} VALUES ({id}, {version}); COMMIT"),
                    _ => format!("UPDATE {table} SET v = {version} WHERE id BETWEEN {id} AND {id} + 3"),
                });
                // the log must not grow faster than it is looked through
                client.sql("DO SLEEP(0.003)");
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Random edits, requests and kills under random writes: in the end both sinks have what the server has.
fn random_edits(server: &Server, seed: u64) {
    let seed = std::env::var("COPIES_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
    let database = server.database("live_random");
    let mut client = server.client();
    for table in TABLES {
        fill(&mut client, &format!("{database}.{table}"), 400);
    }
    let port = free_port();
    let with = |captured: &BTreeSet<&str>| {
        let tables: Vec<String> = captured.iter().map(|table| format!("{database}.{table}")).collect();
        let snapshot = "{ mode: initial, rows_per_second: 4000 }";
        text(server, &format!("tables: [{}], snapshot: {snapshot}", tables.join(", ")), &["x", "y"], port)
    };
    let mut random = seed;
    let mut next = |below: usize| (splitmix::next(&mut random) % below as u64) as usize;
    let mut captured = BTreeSet::from(["a", "b"]);
    let host = Sluicegate::new(BINARY, &with(&captured));
    let changes = Changes::start(server, &database, seed);
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", PATIENCE);
    let (mut edits, mut kills) = (0, 0);
    for step in 0..12 {
        match next(8) {
            // the file never names nothing: that would be every table
            0..=4 => {
                let table = TABLES[next(4)];
                if !captured.remove(table) || captured.is_empty() {
                    captured.insert(table);
                }
                // whatever comes next may meet it half done
                edit(&host, &with(&captured));
                edits += 1;
            }
            5 => {
                let table = *captured.iter().nth(next(captured.len())).expect("a table");
                let (code, said) = copy_anew(port, &format!("{database}.{table}"));
                // the edit that captures it may not have taken effect yet
                assert!(matches!(code, 200 | 404 | 503), "{code} {said}");
            }
            _ => {
                process.kill9();
                kills += 1;
                process = host.spawn();
                if next(2) == 0 {
                    process.wait_for_line("streaming from this position on", PATIENCE);
                }
            }
        }
        assert!(process.is_running(), "step {step}: {}", process.stderr());
        // some changes in between
        let before = bytes(&host, "x");
        process.wait_until("more records", PATIENCE, || bytes(&host, "x") > before + 10_000);
    }
    drop(changes);
    let tables: Vec<&str> = captured.iter().copied().collect();
    wait_until_equal(&mut process, &host, server, &database, &tables, &["x", "y"]);
    // what is captured is so after a start, too
    process.kill9();
    let mut process = host.spawn();
    client.sql(&format!("UPDATE {database}.{} SET v = 10000000 WHERE id BETWEEN 10 AND 20", tables[0]));
    wait_until_equal(&mut process, &host, server, &database, &tables, &["x", "y"]);
    random::stop(process);
    eprintln!("{edits} edits, {kills} kills, {tables:?} captured in the end");
}

#[test]
fn random_edits_requests_and_kills_end_with_what_the_server_has_mariadb() {
    random_edits(&mariadb::shared(), 21);
}

#[test]
fn random_edits_requests_and_kills_end_with_what_the_server_has_mysql() {
    random_edits(&mysql::shared(), 22);
}
