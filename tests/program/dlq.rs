//! Changes that plugins and sinks set aside: listed, shown and replayed, each once.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, time::Duration};

use serde_json::{Value, json};
use sluicegate_guest_builder::repository;
use sluicegate_harness::{
    database::Server,
    files,
    host::{Ended, Process, Sluicegate},
    kafka, mariadb, mysql,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Rows whose amount is none.
const BAD: usize = 400;

fn pipeline(server: &Server, database: &str, plugins: &str, sinks: &str) -> String {
    let (port, user, password) = (server.port(), server.user(), server.password());
    format!(
        "name: dlq
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{database}.*'], heartbeat: 1s }}
plugins: [{plugins}]
sinks: [{sinks}]
limits: {{ checkpoint_interval: 20ms, batch_changes: 16 }}
cache: {}
",
        repository().join("target/test-compiled").display()
    )
}

const FILES: &str = "{ type: file, format: flat, folder: out, prefix: s }";
/// Refuses amounts that are no numbers.
const STRICT: &str = "{ use: rewrite-columns, name: strict, on_error: dead-letter, config: { tables: [{ table: '*.orders', columns: [{ column: amount, cast: decimal }] }] } }";

fn host(pipeline: &str) -> Sluicegate {
    Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), pipeline)
}

#[track_caller]
fn begin(host: &Sluicegate) -> Process {
    let mut process = host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    process
}

#[track_caller]
fn stop(process: Process) {
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
}

/// The command's output.
#[track_caller]
fn dlq(host: &Sluicegate, arguments: &[&str]) -> String {
    let ended = run(host, arguments);
    assert!(ended.status.success(), "{}", ended.stderr);
    ended.stdout
}

fn run(host: &Sluicegate, arguments: &[&str]) -> Ended {
    let command = ["--log-level", "warn", "dlq", arguments[0], "pipeline.yaml"];
    host.run(&[&command[..], &arguments[1..]].concat(), PATIENCE)
}

/// Records by what they are.
fn sorted(mut records: Vec<Value>) -> Vec<String> {
    records.sort_by_key(|record| (record["_pos"].as_u64(), record["_row"].as_u64()));
    records.iter().map(Value::to_string).collect()
}

#[test]
fn letters_of_a_plugin_are_replayed_through_the_plugins_of_today_each_once_whatever_is_killed() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("dlq");
        server.sql(&format!(
            "CREATE TABLE {database}.orders (id INT PRIMARY KEY, amount VARCHAR(20), d DECIMAL(12,3), f FLOAT, g DOUBLE, u BIGINT UNSIGNED, b VARBINARY(9),
               t DATETIME(6), ts TIMESTAMP(3) NULL, y YEAR, e ENUM('a','b'), s SET('x','y'), j JSON, note TEXT, bits BIT(9))"
        ));
        let host = host(&pipeline(&server, &database, STRICT, FILES));
        // the same changes without the plugin: what a replay has to give in the end
        let expected = self::host(&pipeline(&server, &database, "", FILES));
        let (mut process, mut beside) = (begin(&host), begin(&expected));
        let row = |id: usize, amount: &str| {
            format!(
                "({id}, '{amount}', -0.001, 0.1, 1e300, 18446744073709551615, X'ff00', '2024-02-29 13:14:15.000001', '2024-02-29 13:14:15.5', 1999, 'b', 'x,y', '{{\"a\": [1]}}', 'é\\n', 257)"
            )
        };
        let bad: Vec<String> = (1..=BAD).map(|id| row(id, "n/a")).collect();
        server.sql(&format!(
            "USE {database}; INSERT INTO orders VALUES {}; INSERT INTO orders (id, amount) VALUES (1000, '1'), (1001, 'none');
             UPDATE orders SET amount = '7' WHERE id = 1; DELETE FROM orders WHERE id = 2; INSERT INTO orders (id, amount) VALUES (2000, '2')",
            bad.join(", ")
        ));
        let letters = BAD + 3;
        let (out, all) = (host.path("out"), expected.path("out"));
        process.wait_until("the rest", PATIENCE, || files::count_so_far(&out, "s") == 2);
        beside.wait_until("all", PATIENCE, || files::count_so_far(&all, "s") == letters + 2);
        stop(beside);

        // also while the pipeline runs
        let list = dlq(&host, &["list"]).replace(&database, "DB");
        let told = format!("plugin `strict`: {letters} letters, {letters} not replayed\n");
        assert!(list.starts_with(&told) && list.contains(&format!("  {letters} of DB.orders: ")), "{list}");
        let json: Value = serde_json::from_str(&dlq(&host, &["list", "--json"])).expect("JSON");
        assert_eq!((&json["files"][0]["plugin"], &json["files"][0]["waiting"]), (&"strict".into(), &letters.into()));
        let shown = dlq(&host, &["show", "--letter", "2"]);
        assert!(shown.contains("\"amount\": \"…\""), "{shown}");
        assert!(!shown.contains("n/a") && shown.contains("\"type\": \"decimal\"") && shown.contains("\"plugins\": \"strict@"), "{shown}");
        assert!(dlq(&host, &["show", "--plugin", "strict", "--letter", "2", "--values"]).contains("\"amount\": \"n/a\""));
        let beyond = run(&host, &["show", "--letter", "9999"]);
        assert!(beyond.status.code() == Some(2) && beyond.stderr.contains(&format!("has {letters} letters")), "{}", beyond.stderr);
        let nobody = run(&host, &["replay", "--plugin", "nobody"]);
        assert!(
            nobody.status.code() == Some(2) && nobody.stderr.contains("nothing was set aside by a plugin `nobody`"),
            "{}",
            nobody.stderr
        );

        // what fails again is set aside again
        let tried = dlq(&host, &["replay", "--dry-run"]);
        assert_eq!(
            tried,
            format!("plugin `strict`: {letters} letters would be replayed: 0 delivered, {letters} set aside again, 0 passed over\n")
        );
        assert_eq!(
            dlq(&host, &["replay"]),
            format!("plugin `strict`: {letters} letters replayed, {letters} of them set aside again, 0 skipped by a policy\n")
        );
        assert!(dlq(&host, &["list"]).starts_with(&format!("plugin `strict`: {} letters, {letters} not replayed\n", 2 * letters)));

        // the plugins of today, with kills
        host.write_pipeline(&pipeline(&server, &database, "", FILES));
        let tried = dlq(&host, &["replay", "--plugin", "strict", "--dry-run"]);
        assert_eq!(
            tried,
            format!("plugin `strict`: {letters} letters would be replayed: {letters} delivered, 0 set aside again, 0 passed over\n")
        );
        assert!(files::list(&out, "s-replay-plugin.strict").is_empty(), "a dry run delivers nothing");
        for goal in [1, letters / 2] {
            let mut replay = host.spawn_with(&["dlq", "replay", "pipeline.yaml"]);
            replay.wait_for("records", PATIENCE, |_| (files::count_so_far(&out, "s-replay-plugin.strict") >= goal).then_some(()));
            replay.kill9();
        }
        dlq(&host, &["replay"]);
        assert_eq!(dlq(&host, &["replay"]), "plugin `strict`: 0 letters replayed, 0 of them set aside again, 0 skipped by a policy\n");
        assert!(dlq(&host, &["list"]).contains("letters, 0 not replayed"));
        stop(process);
        let replayed = files::records(&out, "s-replay-plugin.strict");
        assert_eq!(replayed.len(), letters);
        let delivered = [files::records(&out, "s"), replayed].concat();
        assert_eq!(sorted(delivered), sorted(files::records(&all, "s")), "as if the plugin had never been there");
        let mode = |name: &str| fs::metadata(host.path(name)).expect("there").permissions().mode() & 0o777;
        let folder = "sluicegate-state/dlq-dead-letters";
        assert_eq!((mode(folder), mode(&format!("{folder}/plugin.strict.ndjson"))), (0o700, 0o600));

        // new letters go on behind those that were replayed, in a new file from its beginning
        fs::remove_file(host.path(&format!("{folder}/plugin.strict.ndjson"))).expect("removed");
        host.write_pipeline(&pipeline(&server, &database, STRICT, FILES));
        let mut process = begin(&host);
        server.sql(&format!(
            "USE {database}; INSERT INTO orders (id, amount) VALUES (3000, 'none'); INSERT INTO orders (id, amount) VALUES (3001, '1')"
        ));
        process.wait_until("the rest", PATIENCE, || files::count_so_far(&out, "s") == 3);
        stop(process);
        host.write_pipeline(&pipeline(&server, &database, "", FILES));
        dlq(&host, &["replay"]);
        assert_eq!(files::records(&out, "s-replay-plugin.strict").pop().expect("a record")["id"], 3000);
    }
}

#[test]
fn rows_that_a_fail_closed_plugin_set_aside_pass_no_replay_without_it() {
    let server = mariadb::shared();
    let database = server.database("dlq_closed");
    server.sql(&format!("CREATE TABLE {database}.orders (id INT PRIMARY KEY, amount VARCHAR(20))"));
    let strict = STRICT.replace("name: strict", "name: strict, fail_closed: true");
    let host = host(&pipeline(&server, &database, &strict, FILES));
    let mut process = begin(&host);
    server.sql(&format!("USE {database}; INSERT INTO orders VALUES (1, 'secret'), (2, '7')"));
    let out = host.path("out");
    process.wait_until("the row", PATIENCE, || files::count_so_far(&out, "s") == 1);
    stop(process);
    let refused = run(&host, &["replay", "--plugin", "strict", "--as-is"]);
    assert!(refused.status.code() == Some(2) && refused.stderr.contains("the plugin `strict` is `fail_closed`"), "{}", refused.stderr);
    host.write_pipeline(&pipeline(&server, &database, &strict.replace("amount, cast: decimal", "id, cast: text"), FILES));
    for arguments in [&["replay"][..], &["replay", "--dry-run"]] {
        let refused = run(&host, arguments);
        assert!(
            refused.stderr.contains("`amount` of table") && refused.stderr.contains("would pass the plugin as it is"),
            "{}",
            refused.stderr
        );
    }
    host.write_pipeline(&pipeline(&server, &database, &strict.replace("cast: decimal", "mask: {}"), FILES));
    dlq(&host, &["replay"]);
    assert_eq!(files::records(&out, "s-replay-plugin.strict")[0]["amount"], "******");
}

#[test]
fn what_a_fail_closed_plugin_set_aside_stays_back_without_its_entry_until_it_is_released() {
    let server = mariadb::shared();
    let database = server.database("dlq_gone");
    server.sql(&format!("CREATE TABLE {database}.orders (id INT PRIMARY KEY, amount VARCHAR(20))"));
    let strict = STRICT.replace("name: strict", "name: strict, fail_closed: true");
    let host = host(&pipeline(&server, &database, &strict, FILES));
    let mut process = begin(&host);
    server.sql(&format!("USE {database}; INSERT INTO orders VALUES (1, 'secret'), (2, '7')"));
    let out = host.path("out");
    process.wait_until("the row", PATIENCE, || files::count_so_far(&out, "s") == 1);
    stop(process);
    let other = strict.replace("name: strict, fail_closed: true", "name: other").replace("amount, cast: decimal", "id, cast: text");
    let ways: [&[&str]; 4] =
        [&["replay", "--plugin", "strict"], &["replay"], &["replay", "--dry-run"], &["replay", "--plugin", "strict", "--as-is"]];
    for plugins in ["", &other, &STRICT.replace("amount, cast: decimal", "id, cast: text")] {
        host.write_pipeline(&pipeline(&server, &database, plugins, FILES));
        for arguments in ways {
            let refused = run(&host, arguments);
            let told = refused.stderr.contains("the plugin `strict`, which was `fail_closed` until now");
            assert!(!refused.status.success() && told, "{plugins} {arguments:?}: {} {}", refused.stdout, refused.stderr);
        }
    }
    // the checkpoint of the replay learns of the protection, and that it is given up
    host.write_pipeline(&pipeline(&server, &database, &strict.replace("amount, cast: decimal", "id, cast: text"), FILES));
    assert!(run(&host, &["replay"]).stderr.contains("would pass the plugin as it is"));
    let released = host.run(&["checkpoint", "release", "pipeline.yaml", "--plugin", "strict"], PATIENCE);
    assert!(released.status.success(), "{}", released.stderr);
    assert!(files::list(&out, "s-replay-plugin.strict").is_empty());
    host.write_pipeline(&pipeline(&server, &database, "", FILES));
    dlq(&host, &["replay", "--plugin", "strict"]);
    assert_eq!(files::records(&out, "s-replay-plugin.strict")[0]["amount"], "secret");
}

/// Writes letters of a row each; `passed` are the plugins that the row has passed.
fn write_letters(host: &Sluicegate, file: &str, passed: &[Option<&str>]) {
    let folder = host.path("sluicegate-state/dlq-dead-letters");
    fs::create_dir_all(&folder).expect("a folder");
    let letter = |(id, plugins): (usize, &Option<&str>)| {
        let source = json!({ "file": "log", "position": 100 + id, "row": 0, "transaction": null, "server_id": 1, "time": null });
        let letter = json!({
            "stage": "x", "error": "none", "time": "2026-01-01T00:00:00Z", "source": source, "database": "shop", "schema": null,
            "table": "orders", "operation": "insert", "plugins": plugins, "destination": null, "before": null,
            "columns": [{ "name": "id", "type": "int64", "native": "int", "nullable": false, "key": true }], "after": { "id": id },
        });
        format!("{letter}\n")
    };
    fs::write(folder.join(file), passed.iter().enumerate().map(letter).collect::<String>()).expect("written");
}

fn generated(plugins: &str, sinks: &str) -> String {
    let cache = repository().join("target/test-compiled");
    format!("name: dlq\nsource: {{ type: generator, changes: 10 }}\nplugins: [{plugins}]\nsinks: [{sinks}]\ncache: {}\n", cache.display())
}

#[test]
fn letters_of_a_sink_that_did_not_pass_what_is_fail_closed_now_are_not_replayed() {
    let strict = STRICT.replace("name: strict", "name: strict, fail_closed: true");
    let host = host(&generated(&strict, FILES));
    let out = host.path("out");
    write_letters(&host, "sink.file.ndjson", &[Some("strict@0.1.0+abc, other@1+d"), Some("strict@0.2.0+abd")]);
    dlq(&host, &["replay"]);
    assert_eq!(files::records(&out, "s-replay-sink.file").len(), 2);
    for passed in [None, Some("other@1+d"), Some("strict2@1+d"), Some("other@strict+d")] {
        write_letters(&host, "sink.file.ndjson", &[passed]);
        for arguments in [&["replay"][..], &["replay", "--dry-run"], &["replay", "--sink", "file", "--to", "file"]] {
            let refused = run(&host, arguments);
            let told = "the row was set aside before the plugin `strict` was there, which is `fail_closed`";
            assert!(!refused.status.success() && refused.stderr.contains(told), "{passed:?}: {} {}", refused.stdout, refused.stderr);
        }
    }
    assert_eq!(files::records(&out, "s-replay-sink.file").len(), 2);
    // as the remedy says
    host.write_pipeline(&generated("", FILES));
    dlq(&host, &["replay"]);
    assert_eq!(files::records(&out, "s-replay-sink.file").len(), 3);
}

#[test]
fn each_file_of_letters_goes_into_files_of_its_own_and_a_dry_run_tells_of_the_sinks_that_are_asked_for() {
    let sinks =
        "{ type: file, name: a, format: flat, folder: out, prefix: a }, { type: file, name: b, format: flat, folder: out, prefix: b }";
    let host = host(&generated("", sinks));
    let out = host.path("out");
    for file in ["plugin.one.ndjson", "plugin.two.ndjson", "sink.a.ndjson"] {
        write_letters(&host, file, &[None, None]);
    }
    let told = |letters: usize| {
        let line = |of: &str| format!("{of}: {letters} letters would be replayed: {letters} delivered, 0 set aside again, 0 passed over\n");
        ["plugin `one`", "plugin `two`", "sink `a`"].map(line).concat()
    };
    assert_eq!(dlq(&host, &["replay", "--to", "a", "--dry-run"]), told(2));
    dlq(&host, &["replay", "--to", "a"]);
    let counted =
        |sink: &str| ["plugin.one", "plugin.two", "sink.a"].map(|letters| files::records(&out, &format!("{sink}-replay-{letters}")).len());
    assert_eq!((counted("a"), counted("b")), ([2, 2, 2], [0, 0, 0]));
    assert_eq!(dlq(&host, &["replay", "--to", "a", "--dry-run"]), told(0));
    assert_eq!(dlq(&host, &["replay", "--to", "b", "--dry-run"]), told(2));
    dlq(&host, &["replay", "--to", "b"]);
    assert_eq!((counted("a"), counted("b")), ([2, 2, 2], [2, 2, 2]));
}

#[test]
fn letters_of_a_kafka_sink_are_replayed_as_they_are_each_once_whatever_is_killed() {
    const MASK: &str = "{ use: rewrite-columns, config: { tables: [{ table: '*', columns: [{ column: name, mask: { first: 1 } }] }] } }";
    let (server, broker) = (mysql::shared(), kafka::shared());
    let database = server.database("dlq_kafka");
    server.sql(&format!("CREATE TABLE {database}.orders (id INT PRIMARY KEY, name VARCHAR(20), note MEDIUMTEXT)"));
    let (small, large) = (format!("{database}.small"), format!("{database}.large"));
    broker.create_topic_with(&small, 1, &[("max.message.bytes", "20000")]);
    broker.create_topic(&large, 1);
    let sink = |topic: &str| {
        format!(
            "{{ type: kafka, brokers: '{}', topic: {topic}, format: flat, delivery: exactly-once, on_error: dead-letter, transactional_id: {database}, positions_topic: {database}.positions }}",
            broker.brokers()
        )
    };
    let host = host(&pipeline(&server, &database, MASK, &sink(&small)));
    let process = begin(&host);
    let rows: Vec<String> = (1..=30).map(|id| format!("({id}, 'ada{id}', '{}')", "x".repeat(30_000))).collect();
    server.sql(&format!("USE {database}; INSERT INTO orders VALUES {}; INSERT INTO orders VALUES (99, 'bob', 'small')", rows.join(", ")));
    let delivered = broker.wait_for_records(&small, 1, PATIENCE);
    stop(process);
    assert_eq!(delivered.len(), 1);
    assert!(dlq(&host, &["list"]).starts_with("sink `kafka`: 30 letters, 30 not replayed\n"));
    // where there is room for them; what the plugin did is done
    host.write_pipeline(&pipeline(&server, &database, MASK, &sink(&large)));
    for _ in 0..2 {
        let mut replay = host.spawn_with(&["--log-format", "json", "dlq", "replay", "pipeline.yaml", "--sink", "kafka"]);
        // the one before may have come to its end before it was killed
        replay.wait_for("the stream, or the end of one that has nothing to do", PATIENCE, |replay| {
            (replay.stderr().contains("streaming from this position on") || replay.stdout().contains("letters replayed")).then_some(())
        });
        if replay.is_running() {
            replay.kill9();
        }
    }
    dlq(&host, &["replay", "--sink", "kafka"]);
    assert_eq!(
        dlq(&host, &["replay", "--sink", "kafka"]),
        "sink `kafka`: 0 letters replayed, 0 of them set aside again, 0 skipped by a policy\n"
    );
    let mut names = BTreeMap::new();
    for record in broker.records(&large) {
        let value: Value = serde_json::from_str(record.value.as_deref().expect("a value")).expect("JSON");
        *names.entry((value["id"].as_u64().expect("an id"), value["name"].as_str().expect("a name").to_owned())).or_insert(0) += 1;
    }
    let expected = (1..=30).map(|id: u64| ((id, format!("a{}", "*".repeat(2 + id.to_string().len()))), 1));
    assert_eq!(names, expected.collect());
}
