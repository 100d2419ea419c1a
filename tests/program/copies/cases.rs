//! What else may happen while tables are copied, and what cannot be copied.

use sluicegate_harness::{database::Server, host::Sluicegate, mariadb, mysql};

use super::*;

/// A query sees a transaction long after the log has it: group commit is delayed, or a replica's answer is waited for. D1 and D2.
fn a_log_that_is_ahead_of_what_a_query_sees(server: &Server, between: &str) {
    random::a_changing_table_ends_equal(server, 400, "{ rows_per_second: 100 }", between);
    keyless::ends_equal(server, 200, "{ rows_per_second: 200, share_locks: true }", between);
}

#[test]
fn d1_a_row_is_not_copied_as_it_was_before_a_change_that_was_delivered_mysql() {
    a_log_that_is_ahead_of_what_a_query_sees(&mysql::start(&["--binlog-group-commit-sync-delay=200000"]), "DO 0");
}

#[test]
fn d1_a_row_is_not_copied_as_it_was_before_a_change_that_was_delivered_mariadb() {
    // no replica ever answers: each transaction is in the log for as long before it is seen
    let options =
        ["--rpl-semi-sync-master-enabled=ON", "--rpl-semi-sync-master-wait-point=AFTER_SYNC", "--rpl-semi-sync-master-timeout=200"];
    // the server waits for no more answers after one that did not come
    let waits_again = "SET GLOBAL rpl_semi_sync_master_enabled = OFF; SET GLOBAL rpl_semi_sync_master_enabled = ON";
    a_log_that_is_ahead_of_what_a_query_sees(&mariadb::start(&options), waits_again);
}

/// What the check says of a pipeline.
fn check(host: &Sluicegate) -> (Option<i32>, String) {
    let ended = host.run(&["--log-format", "text", "check", "pipeline.yaml"], PATIENCE);
    (ended.status.code(), ended.stderr.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join("\n"))
}

#[test]
fn tables_that_cannot_be_copied_are_named_with_what_to_do() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("uncopied");
        server.sql(&format!(
            "CREATE TABLE {database}.none (id INT) ENGINE=MyISAM; CREATE TABLE {database}.nullable (id INT UNIQUE) ENGINE=MyISAM;
             CREATE TABLE {database}.prefix (name TEXT NOT NULL, UNIQUE KEY p (name(10))) ENGINE=MyISAM;
             CREATE TABLE {database}.bare (id INT); CREATE TABLE {database}.good (id INT PRIMARY KEY)"
        ));
        let text = |snapshot: &str| pipeline(&server, &format!("['{database}.*']"), snapshot, &["a"], "");
        let host = Sluicegate::new(BINARY, &text("initial"));
        let (code, said) = check(&host);
        assert_eq!(code, Some(3), "{said}");
        let said = said.replace(&database, "DATABASE").replace(&server.port().to_string(), "PORT");
        insta::allow_duplicates! {
            insta::assert_snapshot!(said, @r"
            error: 127.0.0.1:PORT is not ready, 3 faults:
              - DATABASE.none cannot be copied, because it has no usable key and its engine gives no consistent view of it: it has no unique key
                remedy: Give it a primary key, or a unique key without NULL; or ALTER TABLE DATABASE.none ENGINE=InnoDB; or leave it out of the copy by adding '!DATABASE.none' to the source's snapshot.tables: then only its changes are delivered.
              - DATABASE.nullable cannot be copied, because it has no usable key and its engine gives no consistent view of it: id: id may be NULL
                remedy: Give it a primary key, or a unique key without NULL; or ALTER TABLE DATABASE.nullable ENGINE=InnoDB; or leave it out of the copy by adding '!DATABASE.nullable' to the source's snapshot.tables: then only its changes are delivered.
              - DATABASE.prefix cannot be copied, because it has no usable key and its engine gives no consistent view of it: p: only the beginning of name
                remedy: Give it a primary key, or a unique key without NULL; or ALTER TABLE DATABASE.prefix ENGINE=InnoDB; or leave it out of the copy by adding '!DATABASE.prefix' to the source's snapshot.tables: then only its changes are delivered.
            ");
        }
        host.write_pipeline(&text(&format!("{{ tables: ['{database}.good', '{database}.bare'] }}")));
        assert_eq!(check(&host).0, Some(0));
        host.write_pipeline(&text("never"));
        assert_eq!(check(&host).0, Some(0));
    }
}

/// The server answers with a few rows only, unless a session says otherwise.
#[test]
fn a_limit_on_answers_leaves_out_no_table_no_column_and_no_row() {
    for server in [mariadb::start(&[]), mysql::start(&[])] {
        let database = server.database("limited");
        for table in 0..12 {
            server.sql(&format!(
                "CREATE TABLE {database}.t{table} (id INT PRIMARY KEY, a INT, b INT, c INT); INSERT INTO {database}.t{table} VALUES (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3)"
            ));
        }
        server
            .sql("SET GLOBAL sql_select_limit = 2, GLOBAL sql_quote_show_create = 0, GLOBAL sql_big_selects = 0, GLOBAL max_join_size = 1");
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), "{ mode: only }", &["a"], ""));
        let ended = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
        assert!(ended.status.success(), "{}", ended.stderr);
        let rows: Vec<Value> = files::records(&host.path("out"), "a").into_iter().filter(|record| record["op"] == "r").collect();
        assert_eq!(rows.len(), 36, "{}", ended.stderr);
        assert!(rows.iter().all(|record| record["after"]["c"] == record["after"]["id"]), "{rows:?}");
    }
}

#[test]
fn a_copy_whose_tables_match_nothing_says_so_at_the_run() {
    let server = mariadb::shared();
    let database = server.database("copied_nothing");
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY)"));
    let snapshot = format!("{{ mode: only, tables: ['{database}.nope'] }}");
    let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &snapshot, &["a"], ""));
    let ended = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let told = format!(r#""pattern":"{database}.nope""#);
    assert!(ended.stderr.contains("matches no captured table") && ended.stderr.contains(&told), "{}", ended.stderr);
}

/// The table is altered, emptied and dropped while it is copied.
fn altered_and_emptied(server: &Server) {
    let database = server.database("copied_altered");
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    create(&mut client, &database, 2000);
    client.sql(&format!(
        "CREATE TABLE {database}.gone (id INT PRIMARY KEY); INSERT INTO {database}.gone SELECT id FROM {database}.t;
         CREATE TABLE {database}.emptied (name VARCHAR(20), id INT PRIMARY KEY, v BIGINT); INSERT INTO {database}.emptied SELECT * FROM {database}.t"
    ));
    let snapshot = "{ mode: initial, rows_per_second: 3000 }";
    let host = Sluicegate::new(BINARY, &pipeline(server, &format!("['{database}.*']"), snapshot, &["a"], ""));
    let mut process = host.spawn();
    let reads = |table: &str| {
        let wanted = format!("\"table\":\"{table}\"");
        let files = files::list(&host.path("out"), "a");
        files.iter().map(|file| std::fs::read_to_string(file).map_or(0, |text| text.matches(&wanted).count())).sum::<usize>()
    };
    process.wait_until("rows of the table that is emptied", PATIENCE, || reads("emptied") >= 300);
    client.sql(&format!("TRUNCATE TABLE {database}.emptied; INSERT INTO {database}.emptied VALUES ('x', 7, 9000)"));
    process.wait_until("rows of the table that is dropped", PATIENCE, || reads("gone") >= 300);
    client.sql(&format!("DROP TABLE {database}.gone"));
    process.wait_until("rows of the table that is altered", PATIENCE, || reads("t") >= 300);
    client.sql(&format!("ALTER TABLE {database}.t ADD more INT DEFAULT 5, MODIFY v VARCHAR(30)"));
    client.sql(&format!("UPDATE {database}.t SET v = '9000' WHERE id = 3"));
    random::wait_for_copy(&mut process, &host);
    client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    random::wait_for_last(&mut process, &host, "a", 1);
    random::stop(process);
    assert_eq!(replay(&host, "a", "emptied"), BTreeMap::from([(("x".to_owned(), 7), 9000)]));
    let records = files::records(&host.path("out"), "a");
    let of_table: Vec<&Value> = records.iter().filter(|record| record["source"]["table"] == "t").collect();
    // from some row on, every row has the new column
    let first = of_table.iter().position(|record| record["after"].get("more").is_some()).expect("rows of the new version");
    assert!(of_table[first..].iter().all(|record| record["after"]["more"] == 5 && record["after"]["v"].is_string()));
    let different: std::collections::BTreeSet<u64> = of_table.iter().map(|record| record["after"]["id"].as_u64().expect("an id")).collect();
    assert_eq!((different.len(), first > 200), (2000, true));
}

#[test]
fn d5_a_table_that_is_altered_or_emptied_is_copied_as_it_is_then_mariadb() {
    altered_and_emptied(&mariadb::shared());
}

#[test]
fn d5_a_table_that_is_altered_or_emptied_is_copied_as_it_is_then_mysql() {
    altered_and_emptied(&mysql::shared());
}

/// The log lost what a sink had not read: the tables are copied anew, behind a truncate, to that sink only.
fn purged(server: &Server) {
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4; CREATE DATABASE d");
    create(&mut client, "d", 500);
    let text = |snapshot: &str, sinks: &[&str]| pipeline(server, "['d.*']", snapshot, sinks, "");
    let host = Sluicegate::new(BINARY, &text("when-needed", &["a", "b"]));
    let mut process = host.spawn();
    random::wait_for_copy(&mut process, &host);
    random::stop(process);
    // b goes on, a does not
    host.write_pipeline(&text("when-needed", &["b"]));
    client.sql("DELETE FROM d.t WHERE id < 100; UPDATE d.t SET v = v + 1000 WHERE id < 200");
    client.sql("INSERT INTO d.last VALUES (1)");
    let mut process = host.spawn();
    random::wait_for_last(&mut process, &host, "b", 1);
    random::stop(process);
    let file = match server.flavor() {
        sluicegate_harness::database::Flavor::MariaDb => "SHOW MASTER STATUS",
        sluicegate_harness::database::Flavor::MySql => "SHOW BINARY LOG STATUS",
    };
    client.sql("FLUSH BINARY LOGS");
    let file = client.query(file)[0][0].clone().expect("a file");
    // a file that a connection still reads, which has just been closed, is not removed
    sluicegate_harness::until("the log is purged", PATIENCE, || {
        client.sql(&format!("PURGE BINARY LOGS TO '{file}'"));
        client.query("SHOW BINARY LOGS")[0][0].as_ref() == Some(&file)
    });
    host.write_pipeline(&text("initial", &["a", "b"]));
    let (code, said) = check(&host);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("has purged transactions"), "{said}");
    host.write_pipeline(&text("when-needed", &["a", "b"]));
    let mut process = host.spawn();
    random::wait_for_copy_number(&mut process, &host, 2);
    client.sql("INSERT INTO d.last VALUES (2)");
    random::wait_for_last(&mut process, &host, "a", 2);
    random::wait_for_last(&mut process, &host, "b", 2);
    random::stop(process);
    for sink in ["a", "b"] {
        equal(&replay(&host, sink, "t"), &on_server(server, "d"));
    }
    let (a, b) = (operations(&host, "a", "t"), operations(&host, "b", "t"));
    assert_eq!((a["t"], a["r"]), (1, 900));
    assert_eq!((b.get("t"), b["r"]), (None, 500));
}

#[test]
fn d12_a_sink_whose_place_is_purged_gets_a_truncate_and_the_rows_anew_mariadb() {
    purged(&mariadb::start(&[]));
}

#[test]
fn d12_a_sink_whose_place_is_purged_gets_a_truncate_and_the_rows_anew_mysql() {
    purged(&mysql::start(&[]));
}

/// The table gets another key in the middle of its copy, also while nothing runs.
fn another_key(server: &Server) {
    let database = server.database("copied_another_key");
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    create(&mut client, &database, 1500);
    let snapshot = "{ mode: initial, rows_per_second: 2000 }";
    let host = Sluicegate::new(BINARY, &pipeline(server, &format!("['{database}.*']"), snapshot, &["a"], ""));
    let reads = || operations_so_far(&host, "a");
    let mut process = host.spawn();
    process.wait_until("rows", PATIENCE, || reads() >= 400);
    client.sql(&format!("ALTER TABLE {database}.t DROP PRIMARY KEY, ADD PRIMARY KEY (id, name)"));
    process.wait_until("rows in the other order", PATIENCE, || reads() >= 1000);
    random::stop(process);
    client.sql(&format!("ALTER TABLE {database}.t DROP PRIMARY KEY, ADD PRIMARY KEY (v)"));
    let mut process = host.spawn();
    process.wait_until("the end of the copy", PATIENCE, || random::copies(&host).iter().all(|lane| lane["done"] == true));
    random::stop(process);
    equal(&replay(&host, "a", "t"), &on_server(server, &database));
    let generation = random::copies(&host).iter().filter_map(|lane| lane["copy"].as_u64()).max();
    assert_eq!(generation, Some(3));
}

/// Records of rows that were copied, while they are written.
fn operations_so_far(host: &Sluicegate, sink: &str) -> usize {
    let files = files::list(&host.path("out"), sink);
    files.iter().map(|file| std::fs::read_to_string(file).map_or(0, |text| text.matches("\"op\":\"r\"").count())).sum()
}

#[test]
fn a_table_that_gets_another_key_is_copied_from_its_beginning_mariadb() {
    another_key(&mariadb::shared());
}

#[test]
fn a_table_that_gets_another_key_is_copied_from_its_beginning_mysql() {
    another_key(&mysql::shared());
}

/// Rows of which few fill a chunk.
#[test]
fn rows_that_are_large_are_copied_a_few_at_a_time() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("copied_large");
        server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY, body LONGBLOB)"));
        for id in 0..22 {
            server.sql(&format!("INSERT INTO {database}.t VALUES ({id}, REPEAT(x'{id:02x}', 1000000))"));
        }
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), "only", &["a"], ""));
        let ended = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
        assert!(ended.status.success(), "{}", ended.stderr);
        let records = files::records(&host.path("out"), "a");
        let ids: Vec<u64> = records.iter().map(|record| record["after"]["id"].as_u64().expect("an id")).collect();
        assert_eq!(ids, (0..22).collect::<Vec<_>>());
    }
}

/// A sink that is added with `start: copy` gets all rows, and the others none of them. It is killed in the middle.
fn added_sink(server: &Server) {
    let database = server.database("copied_added");
    let mut client = server.client();
    client.sql("SET NAMES utf8mb4");
    create(&mut client, &database, 1500);
    let tables = format!("['{database}.*']");
    let host = Sluicegate::new(BINARY, &pipeline(server, &tables, "{ mode: never, rows_per_second: 1000 }", &["a"], ""));
    let mut process = host.spawn();
    process.wait_for_line("starting to read the binlog", PATIENCE);
    client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
    random::wait_for_last(&mut process, &host, "a", 1);
    random::stop(process);
    let with_b =
        pipeline(server, &tables, "{ mode: never, rows_per_second: 1000 }", &["a", "b"], "").replace("name: b,", "name: b, start: copy,");
    host.write_pipeline(&with_b);
    let writer = Writer::start(server, &database, 11, 1500);
    let mut process = host.spawn();
    process.wait_until("rows", PATIENCE, || operations_so_far(&host, "b") >= 300);
    process.kill9();
    let mut process = host.spawn();
    random::wait_for_copy(&mut process, &host);
    writer.stop();
    client.sql(&format!("INSERT INTO {database}.last VALUES (2)"));
    random::wait_for_last(&mut process, &host, "a", 2);
    random::wait_for_last(&mut process, &host, "b", 2);
    random::stop(process);
    equal(&replay(&host, "b", "t"), &on_server(server, &database));
    assert_eq!(operations(&host, "a", "t").get("r"), None);
}

#[test]
fn a_sink_that_is_added_with_a_copy_gets_all_rows_and_the_others_none_mariadb() {
    added_sink(&mariadb::shared());
}

#[test]
fn a_sink_that_is_added_with_a_copy_gets_all_rows_and_the_others_none_mysql() {
    added_sink(&mysql::shared());
}
