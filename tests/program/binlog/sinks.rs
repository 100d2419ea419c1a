//! Sinks that get another name, are added, lag, or lose their progress.

use std::fs;

use sluicegate_harness::{host::Sluicegate, mariadb, mysql};

use super::*;

fn table(server: &Server, prefix: &str) -> String {
    let database = server.database(prefix);
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY)"));
    database
}

fn named(name: &str, prefix: &str, more: &str) -> String {
    format!("{{ type: file, name: {name}, format: flat, folder: out, prefix: {prefix}{more} }}")
}

#[test]
fn a_renamed_sink_is_a_question_and_goes_on_where_it_was_once_that_is_answered() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = table(&server, "renamed");
        let tables = format!("['{database}.*']");
        let host = Sluicegate::new(BINARY, &pipeline(&server, &tables, &format!("[{}]", named("old", "t", ""))));
        let mut process = start(&host);
        server.sql(&format!("INSERT INTO {database}.t VALUES (1), (2)"));
        wait_for(&mut process, &host, "t", "t", 2);
        stop(process);
        server.sql(&format!("INSERT INTO {database}.t VALUES (3)"));

        host.write_pipeline(&pipeline(&server, &tables, &format!("[{}]", named("new", "t", ""))));
        let (files, place) = (contents(&host.path("out")), shown(&host, "old")["lanes"].clone());
        let (code, said) = refused(&host);
        assert_eq!(code, Some(2), "{said}");
        insta::allow_duplicates! { insta::assert_snapshot!(said, @r"
        error: the sink `new` has no progress in the checkpoint, which has that of `old`: where it begins is not known
        remedy: if it is `old` under another name, run `sluicegate checkpoint set FILE --sink new --from old`; if it is new, give it a `start` in the pipeline file: `now`, `earliest`, `copy` or a position
        "); }
        assert_eq!(contents(&host.path("out")), files, "nothing is delivered");
        assert_eq!(shown(&host, "old")["lanes"], place, "nothing is committed");

        let (code, said) = command(&host, &["checkpoint", "set", "pipeline.yaml", "--sink", "new", "--from", "old"]);
        assert_eq!(code, Some(0), "{said}");
        let mut process = start(&host);
        server.sql(&format!("INSERT INTO {database}.t VALUES (4)"));
        wait_for(&mut process, &host, "t", "t", 4);
        stop(process);
        assert_eq!(ids(&host, "t", "t"), [1, 2, 3, 4]);
    }
}

#[test]
fn a_lagging_sink_that_is_renamed_goes_on_where_it_lagged() {
    let server = mariadb::shared();
    let database = table(&server, "lagging");
    let tables = format!("['{database}.*']");
    let sinks = |lagging: &str| pipeline(&server, &tables, &format!("[{}, {}]", named("quick", "quick", ""), named(lagging, "slow", "")));
    let host = Sluicegate::new(BINARY, &sinks("slow"));
    let mut process = start(&host);
    server.sql(&format!("INSERT INTO {database}.t VALUES (1)"));
    wait_for(&mut process, &host, "quick", "t", 1);
    wait_for(&mut process, &host, "slow", "t", 1);
    stop(process);

    // the other sink alone goes further
    host.write_pipeline(&pipeline(&server, &tables, &format!("[{}]", named("quick", "quick", ""))));
    server.sql(&format!("INSERT INTO {database}.t VALUES (2)"));
    let mut process = start(&host);
    wait_for(&mut process, &host, "quick", "t", 2);
    stop(process);

    host.write_pipeline(&sinks("slower"));
    let (code, said) = refused(&host);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--sink slower --from slow`"), "{said}");
    let (code, said) = command(&host, &["checkpoint", "set", "pipeline.yaml", "--sink", "slower", "--from", "slow"]);
    assert_eq!(code, Some(0), "{said}");
    let mut process = start(&host);
    server.sql(&format!("INSERT INTO {database}.t VALUES (3)"));
    wait_for(&mut process, &host, "quick", "t", 3);
    wait_for(&mut process, &host, "slow", "t", 3);
    stop(process);
    assert_eq!(ids(&host, "quick", "t"), [1, 2, 3]);
    assert_eq!(ids(&host, "slow", "t"), [1, 2, 3]);
}

#[test]
fn an_added_sink_begins_where_its_start_says_and_without_one_it_is_a_question() {
    let server = mariadb::start(&[]);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)");
    let sinks = |added: &str| pipeline(&server, "['d.*']", &format!("[{}{added}]", named("first", "first", "")));
    let host = Sluicegate::new(BINARY, &sinks(""));
    let mut process = start(&host);
    server.sql("INSERT INTO d.t VALUES (1)");
    wait_for(&mut process, &host, "first", "t", 1);
    stop(process);
    server.sql("INSERT INTO d.t VALUES (2)");

    host.write_pipeline(&sinks(&format!(", {}", named("added", "added", ""))));
    let (code, said) = refused(&host);
    assert_eq!(code, Some(2), "{said}");
    insta::assert_snapshot!(said, @r"
    error: the sink `added` has no progress in the checkpoint, which has that of `first`: where it begins is not known
    remedy: if it goes on for another sink, run `sluicegate checkpoint set FILE --sink added --from NAME`; if it is new, give it a `start` in the pipeline file: `now`, `earliest`, `copy` or a position
    ");

    let both = format!(", {}, {}", named("now", "now", ", start: now"), named("all", "all", ", start: earliest"));
    host.write_pipeline(&sinks(&both));
    let mut process = start(&host);
    server.sql("INSERT INTO d.t VALUES (3)");
    for sink in ["first", "now", "all"] {
        wait_for(&mut process, &host, sink, "t", 3);
    }
    stop(process);
    // `start` counts once: from now on each has a place
    server.sql("INSERT INTO d.t VALUES (4)");
    let mut process = start(&host);
    for sink in ["first", "now", "all"] {
        wait_for(&mut process, &host, sink, "t", 4);
    }
    stop(process);
    assert_eq!(ids(&host, "first", "t"), [1, 2, 3, 4]);
    assert_eq!(ids(&host, "now", "t"), [3, 4]);
    assert_eq!(ids(&host, "all", "t"), [1, 2, 3, 4]);
}

#[test]
fn files_are_written_on_where_an_operator_lets_their_sink_begin_elsewhere() {
    let server = mariadb::start(&[]);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)");
    for format in ["flat", "parquet"] {
        let tables = "['d.*']";
        let sink = |prefix: &str, more: &str| {
            format!("[{{ type: file, name: s, format: {format}, folder: out, roll: {{ every: 1s }}, prefix: {prefix}{more} }}]")
        };
        let host = Sluicegate::new(BINARY, &pipeline(&server, tables, &sink("p", "")));
        let count = |folder: &str| match format {
            "flat" => files::count_so_far(&host.path(folder), "p"),
            _ => fs::read_dir(host.path(&format!("{folder}/d.t"))).map_or(0, |files| files.flatten().count()),
        };
        server.sql("TRUNCATE TABLE d.t");
        let mut process = start(&host);
        server.sql("INSERT INTO d.t VALUES (1)");
        process.wait_until("a record", PATIENCE, || count("out") > 0);
        stop(process);
        let (early, before) = (shown(&host, "s")["lanes"]["binlog"].to_string(), count("out"));
        assert!(before > 0, "{format}");
        server.sql("INSERT INTO d.t VALUES (2)");
        stop(start_and_wait(&host, || count("out") > before));
        // the same change once more, behind what stands there
        let before = count("out");
        let set = ["checkpoint", "set", "pipeline.yaml", "--sink", "s", "--lane", "binlog", "--offset", &early, "--force"];
        assert_eq!(command(&host, &set).0, Some(0));
        stop(start_and_wait(&host, || count("out") > before));
        // all that the log has, behind what stands there
        host.write_pipeline(&pipeline(&server, tables, &sink("p", ", start: earliest")));
        let drop = ["checkpoint", "drop", "pipeline.yaml", "--sink", "s"];
        let (code, said) = command(&host, &drop);
        assert!(code == Some(2) && said.contains("with --force its place is forgotten"), "{said}");
        let before = count("out");
        assert_eq!(command(&host, &[&drop[..], &["--force"]].concat()).0, Some(0));
        stop(start_and_wait(&host, || count("out") > before));
        // what a sink of another kind keeps is forgotten, as the error says
        let other = if format == "flat" { "parquet" } else { "flat" };
        let other = sink("q", ", start: now").replace(&format!("format: {format}"), &format!("format: {other}"));
        host.write_pipeline(&pipeline(&server, tables, &other));
        let (code, said) = refused(&host);
        assert!(code == Some(1) && said.contains("the checkpoint holds a state that no"), "{code:?} {said}");
        assert_eq!(command(&host, &[&drop[..], &["--force"]].concat()).0, Some(0));
        stop(start(&host));
    }
}

#[track_caller]
fn start_and_wait(host: &Sluicegate, mut until: impl FnMut() -> bool) -> Process {
    let mut process = start(host);
    process.wait_until("more records", PATIENCE, &mut until);
    process
}

#[test]
fn a_lost_state_file_beside_files_is_refused_and_not_a_start_at_now() {
    let server = mariadb::shared();
    let database = table(&server, "lost");
    let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t"))));
    let mut process = start(&host);
    server.sql(&format!("INSERT INTO {database}.t VALUES (1)"));
    wait_for(&mut process, &host, "t", "t", 1);
    stop(process);
    let kept = fs::read(state(&host)).unwrap();
    let files = contents(&host.path("out"));
    server.sql(&format!("INSERT INTO {database}.t VALUES (2)"));
    fs::remove_file(state(&host)).unwrap();
    // neither the first start without it nor the ones after that
    for _ in 0..2 {
        let (code, said) = refused(&host);
        assert_eq!(code, Some(1), "{said}");
        insta::allow_duplicates! { insta::assert_snapshot!(said, @r"
        error: sink `t`: FOLDER/out/t-00000001.ndjson is there already, but the checkpoint knows nothing of it
        remedy: move the files of an earlier run away, set another `folder` or `prefix`, or put that run's checkpoint back
        "); }
        assert_eq!(contents(&host.path("out")), files);
    }
    // the remedy works
    fs::write(state(&host), kept).unwrap();
    let mut process = start(&host);
    wait_for(&mut process, &host, "t", "t", 2);
    stop(process);
    assert_eq!(ids(&host, "t", "t"), [1, 2]);
}

#[test]
fn a_checkpoint_is_shown_and_what_would_lose_changes_is_refused() {
    let server = mariadb::start(&[]);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)");
    let host = Sluicegate::new(BINARY, &pipeline(&server, "['d.*']", &format!("[{}]", file("t"))));
    let on = |arguments: &[&str]| {
        let all: Vec<&str> = ["checkpoint", arguments[0], "pipeline.yaml"].iter().chain(&arguments[1..]).copied().collect();
        let (code, said) = command(&host, &all);
        format!("{}: {said}", code.unwrap())
    };
    insta::assert_snapshot!(on(&["show"]), @r"
    2: error: the pipeline has no checkpoint yet: FOLDER/sluicegate-state/binlog.db is not there
    remedy: run the pipeline once, or correct `state` in the pipeline file
    ");
    let mut process = start(&host);
    server.sql("INSERT INTO d.t VALUES (1)");
    wait_for(&mut process, &host, "t", "t", 1);
    // while it runs the checkpoint can be looked at, and not be changed
    assert!(on(&["show"]).starts_with("0: {"), "{}", on(&["show"]));
    let pid = process.pid().to_string();
    let place = r#"{"flavor":"mariadb","file":"binlog.000001","position":4,"gtid_set":null}"#;
    let running = [on(&["set", "--sink", "t", "--lane", "binlog", "--offset", place, "--force"]), on(&["drop", "--sink", "t", "--force"])];
    insta::assert_snapshot!(running.join("\n").replace(&pid, "PID"), @r"
    1: error: the checkpoint FOLDER/sluicegate-state/binlog.db is in use by process PID
    remedy: stop the other process (it holds the lock on FOLDER/sluicegate-state/binlog.db.lock), or give this pipeline a `state` file of its own
    1: error: the checkpoint FOLDER/sluicegate-state/binlog.db is in use by process PID
    remedy: stop the other process (it holds the lock on FOLDER/sluicegate-state/binlog.db.lock), or give this pipeline a `state` file of its own
    ");
    stop(process);

    let identity = shown(&host, "t")["lanes"]["binlog"]["server"].as_str().unwrap_or("-").to_owned();
    let (file, gtids) =
        (shown(&host, "t")["lanes"]["binlog"]["position"].to_string(), shown(&host, "t")["lanes"]["binlog"]["gtid_set"].clone());
    // the time first: the digits of the place may stand in it
    let show = regex_lite::Regex::new(r#""opened_us": \d+"#).unwrap().replace(&on(&["show"]), r#""opened_us": TIME"#).into_owned();
    let created = regex_lite::Regex::new(r#"("created": ?)\d+"#).unwrap();
    let show = created.replace(&show, "${1}BEGUN").into_owned();
    let show = show.replace(&identity, "SERVER").replace(&file, "POSITION").replace(gtids.as_str().unwrap(), "GTIDS");
    insta::assert_snapshot!(show, @r#"
    0: {
      "pipeline": "binlog",
      "checkpoint": "FOLDER/sluicegate-state/binlog.db",
      "sinks": [
        {
          "sink": "t",
          "in_pipeline": true,
          "lanes": {
            "binlog": {
              "flavor": "mariadb",
              "server": "SERVER",
              "file": "binlog.000001",
              "position": POSITION,
              "gtid_set": "GTIDS",
              "created": BEGUN
            }
          },
          "state": {
            "file": "t-00000001.ndjson",
            "number": 1,
            "bytes": 147,
            "records": 1,
            "opened_us": TIME
          }
        }
      ]
    }
    "#);
    let refusals = [
        on(&["set", "--sink", "t", "--lane", "binlog", "--offset", place]),
        on(&["set", "--sink", "t", "--lane", "binlog", "--offset", "{}", "--force"]),
        on(&["set", "--sink", "t", "--lane", "binlog", "--offset", "binlog.000001:4", "--force"]),
        on(&["set", "--sink", "t", "--lane", "copy", "--offset", place, "--force"]),
        on(&["set", "--sink", "t", "--from", "nobody", "--force"]),
        on(&["set", "--sink", "other", "--from", "t"]),
        on(&["drop", "--sink", "t"]),
        on(&["drop", "--sink", "other"]),
    ];
    let before = on(&["show"]);
    insta::assert_snapshot!(created.replace(&refusals.join("\n"), "${1}BEGUN").into_owned(), @r#"
    2: error: the sink `t` has a place already: binlog {"flavor":"mariadb","server":"server_id 2001","file":"binlog.000001","position":811,"gtid_set":"0-2001-3","created":BEGUN}
    remedy: with --force it goes on at the other place all the same: changes between the two may be lost or delivered again
    2: error: the stored position is not one of a MySQL or MariaDB source
    caused by: missing field `flavor` at line 1 column 2
    remedy: Write the place as `sluicegate checkpoint show` prints it.
    2: error: the stored position is not one of a MySQL or MariaDB source
    caused by: expected value at line 1 column 1
    remedy: Write the place as `sluicegate checkpoint show` prints it.
    2: error: a MySQL or MariaDB source has no lane `copy`
    remedy: Its lanes are `binlog`, and `copy:database.table/1` of a table that is copied.
    2: error: the checkpoint has no sink `nobody`
    remedy: `sluicegate checkpoint show` lists those that it has
    2: error: the pipeline file has no sink `other`
    remedy: name the sink as the pipeline file does, after it got its new name there
    2: error: the pipeline file has the sink `t`
    remedy: with --force its place is forgotten all the same: it begins where the pipeline file says, and changes before that are lost
    2: error: the checkpoint has no sink `other`
    remedy: `sluicegate checkpoint show` lists those that it has
    "#);
    assert_eq!(on(&["show"]), before, "nothing was changed");
}
