//! Outputs that are added, removed, changed and begun elsewhere while the pipeline runs.

use super::*;
use sluicegate_guest_builder as guests;
use sluicegate_harness::{
    database::Server,
    files, free_port,
    host::{Process, http_request},
    mariadb, mysql,
};

/// A pipeline with a table of its own, and the outputs that a test gives it.
struct Shop<'s> {
    server: &'s Server,
    table: String,
    port: u16,
    host: Sluicegate,
}

impl<'s> Shop<'s> {
    fn new(server: &'s Server) -> Self {
        let database = server.database("outputs");
        let table = format!("{database}.t");
        server.sql(&format!("CREATE TABLE {table} (id BIGINT PRIMARY KEY, note VARCHAR(9) DEFAULT 'secret')"));
        Self { server, table, port: free_port(), host: Sluicegate::new(BINARY, "") }
    }

    fn write(&self, sinks: &[&str], rest: &str) {
        let (port, user, password) = (self.server.port(), self.server.user(), self.server.password());
        let (table, http, sinks) = (&self.table, self.port, sinks.join("\n  - "));
        self.host.write_pipeline(&format!(
            "name: outputs
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{table}'], heartbeat: 1s }}
sinks:
  - {sinks}
limits: {{ checkpoint_interval: 20ms }}
http: {{ listen: '127.0.0.1:{http}', admin: true }}
{rest}"
        ));
    }

    fn insert(&self, ids: std::ops::Range<u64>) {
        let rows: Vec<String> = ids.map(|id| format!("({id})")).collect();
        self.server.sql(&format!("INSERT INTO {} (id) VALUES {}", self.table, rows.join(", ")));
    }

    /// The ids that stand in an output's files, in their order; none while a record is half there.
    fn ids(&self, output: &str) -> Vec<u64> {
        let text: String = files::list(&self.host.path(output), "t").iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
        let records: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>().unwrap_or_default();
        records.iter().map(|record| record["id"].as_u64().expect("an id")).collect()
    }

    #[track_caller]
    fn has(&self, process: &mut Process, output: &str, ids: impl IntoIterator<Item = u64>) {
        let ids: Vec<u64> = ids.into_iter().collect();
        process.wait_until(&format!("`{output}` has its rows"), PATIENCE, || self.ids(output) == ids);
    }

    /// Waits until it streams to these outputs.
    #[track_caller]
    fn runs_with(&self, process: &mut Process, outputs: &[&str]) {
        process.wait_until("it runs with other outputs", PATIENCE, || {
            let names = || {
                let answer: Value = serde_json::from_str(&host::http_get(self.port, "/outputs")?.1).ok()?;
                let names = answer["outputs"].as_array()?.iter().map(|output| output["name"].as_str().unwrap_or_default().to_owned());
                Some(names.collect::<Vec<_>>())
            };
            // in this order: the run before answers, too
            names().is_some_and(|names| names == outputs) && host::http_get(self.port, "/readyz").is_some_and(|(code, _)| code == 200)
        });
    }

    fn ask(&self, what: &str, body: &str) -> (u16, String) {
        http_request(self.port, "POST", &format!("/outputs/{what}"), &[], body.as_bytes()).expect("an answer")
    }
}

const ONE: &str = "{ type: file, name: one, format: flat, folder: one, prefix: t }";
const TWO: &str = "{ type: file, name: two, format: flat, folder: two, prefix: t, start: earliest }";

fn outputs_come_and_go(server: &Server) {
    let shop = Shop::new(server);
    shop.write(&[ONE], "");
    let mut process = shop.host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    shop.insert(0..10);
    shop.has(&mut process, "one", 0..10);

    // what does not say where it begins is refused as at a start, and what runs goes on
    shop.write(&[ONE, &TWO.replace(", start: earliest", "")], "");
    let refused = process.wait_for_line("the edited pipeline file is refused", PATIENCE);
    assert!(refused.contains("the sink `two` has no progress in the checkpoint"), "{refused}");
    shop.insert(10..20);
    shop.has(&mut process, "one", 0..20);

    shop.write(&[ONE, TWO], "");
    process.wait_for_line("outputs edited", PATIENCE);
    shop.has(&mut process, "two", 0..20);
    shop.insert(20..30);
    shop.has(&mut process, "one", 0..30);
    shop.has(&mut process, "two", 0..30);

    shop.write(&[TWO], "");
    shop.runs_with(&mut process, &["two"]);
    shop.insert(30..40);
    shop.has(&mut process, "two", 0..40);
    assert_eq!(shop.ids("one"), (0..30).collect::<Vec<_>>());

    // it goes on where it was, and a plugin of the same edit with both
    let renamed = format!("plugins: [{{ use: map-names, config: {{ columns: [{{ table: {}, from: id, to: number }}] }} }}]", shop.table);
    let keeps = TWO.replace("two", "three").replace(", start: earliest", ", start: now");
    shop.write(&[ONE, TWO, &keeps], &renamed);
    shop.runs_with(&mut process, &["one", "two", "three"]);
    shop.insert(40..50);
    let last = |output: &str| {
        let records = files::list(&shop.host.path(output), "t").iter().filter_map(|f| fs::read_to_string(f).ok()).collect::<String>();
        (records.lines().count(), records.contains("\"number\":49"))
    };
    process.wait_until("all have what is new", PATIENCE, || ["one", "two", "three"].iter().all(|output| last(output).1));
    assert_eq!([last("one").0, last("two").0, last("three").0], [50, 50, 10]);
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
}

#[test]
fn outputs_come_and_go_while_mariadb_is_read() {
    outputs_come_and_go(&mariadb::shared());
}

#[test]
fn outputs_come_and_go_while_mysql_is_read() {
    outputs_come_and_go(&mysql::shared());
}

/// What is only found out as the run begins: another process writes the same files.
#[test]
fn outputs_that_cannot_begin_leave_those_before_running() {
    let server = mariadb::shared();
    let (shop, other) = (Shop::new(&server), Shop::new(&server));
    let shared = other.host.path("one");
    other.write(&[ONE], "");
    let mut holder = other.host.spawn();
    holder.wait_for_line("starting to read the binlog", PATIENCE);
    other.insert(0..1);
    other.has(&mut holder, "one", 0..1);

    shop.write(&[ONE], "");
    let mut process = shop.host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    shop.insert(0..5);
    shop.has(&mut process, "one", 0..5);
    // an edit of the plugins before is not taken back with the outputs
    let hides = format!(
        "plugins: [{{ use: rewrite-columns, config: {{ tables: [{{ table: {}, columns: [{{ column: note, mask: {{ first: 1 }} }}] }}] }} }}]",
        shop.table
    );
    shop.write(&[ONE], &hides);
    process.wait_for_line("pipeline edited", PATIENCE);
    let taken = format!("{{ type: file, name: two, format: flat, folder: {}, prefix: t, start: now }}", shared.display());
    shop.write(&[ONE, &taken], &hides);
    process.wait_for_line("it goes on as before", PATIENCE);
    shop.insert(5..10);
    shop.has(&mut process, "one", 0..10);
    let text = || fs::read_to_string(files::list(&shop.host.path("one"), "t").pop().expect("a file")).expect("text");
    assert!(text().lines().last().is_some_and(|line| line.contains("s*****")), "{}", text());
    assert_eq!(process.stderr().matches("outputs edited").count(), 1, "it is not tried again and again");

    // with another folder it is another edit
    shop.write(&[ONE, &TWO.replace("earliest", "now")], &hides);
    shop.runs_with(&mut process, &["one", "two"]);
    shop.insert(10..15);
    shop.has(&mut process, "one", 0..15);
    shop.has(&mut process, "two", 10..15);
}

#[test]
fn an_output_is_begun_at_another_place() {
    let server = mariadb::shared();
    let shop = Shop::new(&server);
    shop.write(&[ONE, &TWO.replace("earliest", "now")], "");
    let mut process = shop.host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    shop.insert(0..10);
    shop.has(&mut process, "one", 0..10);
    shop.has(&mut process, "two", 0..10);

    let earliest = r#"{"start":"earliest"}"#;
    let (code, answer) = shop.ask("three/reset", earliest);
    assert_eq!(code, 404, "{answer}");
    for body in ["", "earliest", "{}", r#"{"start":"yesterday"}"#, r#"{"start":{"position":4}}"#, r#"{"start":"now","more":1}"#] {
        let (code, answer) = shop.ask("two/reset", body);
        assert_eq!(code, 400, "{body}: {answer}");
    }
    let (code, answer) = shop.ask("two/reset", r#"{"start":{"file":"binlog.999999"}}"#);
    assert_eq!(code, 422, "{answer}");
    assert!(process.is_running() && !process.stderr().contains("starts over"), "{}", process.stderr());

    let (code, answer) = shop.ask("two/reset", earliest);
    assert_eq!(code, 202, "{answer}");
    shop.has(&mut process, "two", (0..10).chain(0..10));
    shop.insert(10..20);
    shop.has(&mut process, "one", 0..20);
    shop.has(&mut process, "two", (0..10).chain(0..20));
    process.sigterm();
    assert!(process.wait(PATIENCE).status.success());
    // the next start goes on there
    let mut process = shop.host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    shop.insert(20..30);
    shop.has(&mut process, "one", 0..30);
    shop.has(&mut process, "two", (0..10).chain(0..30));
}

/// What was refused beside the stream is not taken by the start that follows a failure that passes: a plugin's file with other content, and a
/// configuration that a table does not fit.
#[test]
fn what_was_refused_does_not_take_effect_as_the_pipeline_starts_over_after_a_failure_that_passes() {
    let server = mariadb::shared();
    let shop = Shop::new(&server);
    let file = shop.host.path("stamp.wasm");
    fs::write(&file, guests::stamp(1)).expect("written");
    let stamp = "{ name: stamp, file: stamp.wasm }";
    shop.write(&[ONE], &format!("plugins: [{stamp}]"));
    let user = shop.table.trim_end_matches(".t");
    let account = format!("'{user}'@'127.0.0.1'");
    server.sql(&format!("CREATE USER {account} IDENTIFIED BY 'one'; GRANT ALL ON *.* TO {account}"));
    let text = fs::read_to_string(shop.host.path("pipeline.yaml")).expect("text");
    let of_server = format!("user: {}, password: {}", server.user(), server.password());
    let text = text.replace(&of_server, &format!("user: {user}, password: one"));
    shop.host.write_pipeline(&text);
    let mut process = shop.host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    shop.insert(0..5);
    shop.has(&mut process, "one", 0..5);
    fs::write(&file, "no component").expect("written");
    process.wait_for_line("the new plugin file is refused", PATIENCE);
    // a condition over a column that is not there is found on a recent batch
    let filter = |condition: &str| {
        let filter = format!("{{ use: filter, config: {{ tables: [{{ table: {}, where: {condition} }}] }} }}", shop.table);
        text.replace(&format!("[{stamp}]"), &format!("[{stamp}, {filter}]"))
    };
    shop.host.write_pipeline(&filter("nothing = 1"));
    process.wait_for_line("the edited pipeline file is refused", PATIENCE);

    server.sql(&format!("ALTER USER {account} IDENTIFIED BY 'two'"));
    for session in
        server.query(&format!("SELECT id FROM information_schema.processlist WHERE user = '{user}'")).into_iter().flatten().flatten()
    {
        // it may have ended by itself
        let _ = server.client().try_sql(&format!("KILL {session}"));
    }
    process.wait_for_line("starts over at its checkpoint", PATIENCE);
    shop.insert(5..10);
    server.sql(&format!("ALTER USER {account} IDENTIFIED BY 'one'"));
    shop.has(&mut process, "one", 0..10);
    // what is corrected takes effect, each for itself
    shop.host.write_pipeline(&filter("id <> 11"));
    process.wait_for_line("pipeline edited", PATIENCE);
    fs::write(&file, guests::stamp(2)).expect("written");
    process.wait_for_line("plugin swapped", PATIENCE);
    shop.insert(10..15);
    shop.has(&mut process, "one", (0..10).chain([10, 12, 13, 14]));
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let versions = files::records(&shop.host.path("one"), "t").into_iter().map(|record| record["plugin_version"].clone());
    let expected = [("VERSION-0001", 10), ("VERSION-0002", 4)].map(|(version, count)| vec![Value::from(version); count]);
    assert_eq!(versions.collect::<Vec<_>>(), expected.concat());
    server.sql(&format!("DROP USER {account}"));
}
