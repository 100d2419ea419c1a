//! A log that was cut or reset is never taken for one that has nothing new. A healthy one is never refused.

use std::fs::OpenOptions;

use sluicegate_harness::{
    database::{Flavor, Server},
    host::Sluicegate,
    mariadb, mysql,
};

use super::*;

fn servers() -> [Server; 2] {
    [mariadb::start(&[]), mysql::start(&[])]
}

/// A pipeline over a table `d.last`, which has read the row 1.
fn pipeline_at_row_1(server: &Server) -> Sluicegate {
    server.sql("CREATE DATABASE d; CREATE TABLE d.last (id INT PRIMARY KEY)");
    let host = Sluicegate::new(BINARY, &pipeline(server, "['d.*']", &format!("[{}]", file("t"))));
    stop(start(&host));
    server.sql("INSERT INTO d.last VALUES (1)");
    run_to(&host, &["t"], 1);
    host
}

/// The start is refused with these words, and nothing is delivered or committed.
#[track_caller]
fn is_refused(host: &Sluicegate, code: i32, words: &[&str]) -> String {
    let (files, place) = (contents(&host.path("out")), shown(host, "t")["lanes"].clone());
    let (found, said) = refused(host);
    assert_eq!(found, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(contents(&host.path("out")), files);
    assert_eq!(shown(host, "t")["lanes"], place);
    said
}

fn reset(server: &Server) {
    server.sql(match server.flavor() {
        Flavor::MariaDb => "RESET MASTER",
        Flavor::MySql => "RESET BINARY LOGS AND GTIDS",
    });
}

fn newest_file(server: &Server) -> String {
    server.query("SHOW BINARY LOGS").pop().expect("a file").remove(0).expect("a name")
}

/// kill -9, and the newest binlog file loses what comes from `end` on: a crash without synced writes.
fn lose_the_end(server: &mut Server, end: u64) {
    let path = server.folder().join("data").join(newest_file(server));
    server.kill9();
    OpenOptions::new().write(true).open(&path).expect("the file").set_len(end).expect("cut");
    server.start_again();
}

/// Where the log ends now: at the end of a transaction.
fn end_of_log(server: &Server) -> u64 {
    let query = match server.flavor() {
        Flavor::MariaDb => "SHOW MASTER STATUS",
        Flavor::MySql => "SHOW BINARY LOG STATUS",
    };
    server.query(query).remove(0).remove(1).expect("a position").parse().expect("a number")
}

#[test]
fn a_reset_log_is_refused_whether_it_is_shorter_or_longer_than_the_place() {
    for server in servers() {
        let host = pipeline_at_row_1(&server);
        reset(&server);
        server.sql("INSERT INTO d.last VALUES (2)");
        is_refused(&host, 3, &["remedy: "]);
        // longer than before, with the numbers of the lost transactions, and more
        for id in 3..30 {
            server.sql(&format!("INSERT INTO d.last VALUES ({id})"));
        }
        let said = is_refused(&host, 3, &["remedy: "]);
        match server.flavor() {
            Flavor::MariaDb => assert!(said.contains("was cut or reset: it does not hold the place binlog.000001"), "{said}"),
            Flavor::MySql => assert!(said.contains("cut or reset"), "{said}"),
        }
    }
}

/// The log begins anew, with the statements that a pipeline at row 1 read first.
fn begin_log_anew(server: &Server) {
    reset(server);
    server.sql("DROP DATABASE IF EXISTS d; CREATE DATABASE d; CREATE TABLE d.last (id INT PRIMARY KEY)");
}

#[test]
fn a_reset_log_is_refused_also_where_an_event_ends_at_the_place_by_chance() {
    for server in [mariadb::start(&[]), mysql::start(&[]), mysql::start(&["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"])] {
        server.sql("CREATE DATABASE d");
        begin_log_anew(&server);
        let host = Sluicegate::new(BINARY, &pipeline(&server, "['d.*']", &format!("[{}]", file("t"))));
        stop(start(&host));
        server.sql("INSERT INTO d.last VALUES (1)");
        run_to(&host, &["t"], 1);
        let end = end_of_log(&server);
        let place = shown(&host, "t")["lanes"]["binlog"].clone();
        assert_eq!(place["position"], end);
        // the file says only in whole seconds when it was begun
        let created = place["created"].as_u64().expect("when the file was begun");
        wait_for_second(&server, created + 1);
        begin_log_anew(&server);
        server.sql("INSERT INTO d.last VALUES (2)");
        assert_eq!(end_of_log(&server), end, "an event ends at the place");
        server.sql("INSERT INTO d.last VALUES (3)");
        let said =
            is_refused(&host, 3, &["was cut or reset: it does not hold the place binlog.000001", "has begun a file of this name again"]);
        assert!(said.contains("remedy: Find out what the server lost"), "{said}");
        let checked = command(&host, &["check", "pipeline.yaml"]);
        assert!(checked.0 == Some(3) && checked.1.contains("was cut or reset"), "{}", checked.1);
        server.sql("INSERT INTO d.last VALUES (4)");
        // a checkpoint of an older version does not say when the file was begun: it goes on as it did
        let mut older = place.clone();
        older.as_object_mut().expect("an object").remove("created");
        set_place(&host, "t", &older);
        run_to(&host, &["t"], 4);
        assert_eq!(ids(&host, "t", "last"), [1, 3, 4]);
    }
}

/// Waits until the server's clock shows this second.
fn wait_for_second(server: &Server, second: u64) {
    sluicegate_harness::wait::until("a second has passed", PATIENCE, || {
        let now = server.client().value("SELECT UNIX_TIMESTAMP()").and_then(|now| now.parse::<u64>().ok());
        now.is_some_and(|now| now >= second)
    });
}

/// What `mariadb-binlog | mariadb` does: transactions come again under the numbers that they had. With `gtid_strict_mode` off, which is
/// the server's default, that is no error.
#[test]
fn a_mariadb_transaction_with_a_lower_number_is_delivered_on_the_server_that_was_read() {
    let server = mariadb::start(&["--gtid-strict-mode=OFF"]);
    let host = pipeline_at_row_1(&server);
    let mut client = server.client();
    let mut insert = |id: u32, gtid: &str| {
        let (domain, rest) = gtid.split_once('-').expect("a GTID");
        let (server_id, sequence) = rest.split_once('-').expect("a GTID");
        client.sql(&format!(
            "SET SESSION gtid_domain_id = {domain}, SESSION server_id = {server_id}, gtid_seq_no = {sequence}; \
             INSERT INTO d.last VALUES ({id})"
        ));
    };
    let later = |id: u32| server.sql(&format!("INSERT INTO d.last VALUES ({id})"));
    // between two runs: numbers that were had, of this server and of another, also in another domain
    for (id, gtid) in [(2, "0-2001-100"), (3, "0-77-200"), (4, "3-2001-50")] {
        insert(id, gtid);
    }
    run_to(&host, &["t"], 4);
    for (id, gtid) in [(5, "0-2001-3"), (6, "0-77-40"), (7, "3-2001-7"), (8, "0-2001-4")] {
        insert(id, gtid);
    }
    // the last one of the log has a lower number: that is a place, too
    run_to(&host, &["t"], 8);
    insert(9, "0-2001-2");
    let (code, said) = command(&host, &["check", "pipeline.yaml"]);
    assert_eq!(code, Some(0), "{said}");
    // also in another file, at whose head the list of numbers has lower ones than were had
    server.sql("FLUSH BINARY LOGS");
    insert(10, "0-2001-5");
    let mut process = start(&host);
    wait_for(&mut process, &host, "t", "last", 10);
    // while it runs
    for (id, gtid) in [(11, "0-2001-300"), (12, "0-2001-6"), (13, "0-2001-7"), (14, "0-77-41")] {
        insert(id, gtid);
    }
    later(15);
    wait_for(&mut process, &host, "t", "last", 15);
    stop(process);
    later(16);
    // two sinks at two places: what one had, the other gets
    host.write_pipeline(&pipeline(&server, "['d.*']", &format!("[{}, {}]", file("t"), file("u"))));
    let place = shown(&host, "t")["lanes"]["binlog"].clone();
    set_place(&host, "u", &place);
    host.write_pipeline(&pipeline(&server, "['d.*']", &format!("[{}]", file("t"))));
    insert(17, "0-2001-8");
    run_to(&host, &["t"], 17);
    host.write_pipeline(&pipeline(&server, "['d.*']", &format!("[{}, {}]", file("t"), file("u"))));
    insert(18, "0-77-42");
    run_to(&host, &["t", "u"], 18);
    assert_eq!(ids(&host, "t", "last"), (1..=18).collect::<Vec<_>>());
    assert_eq!(ids(&host, "u", "last"), [16, 17, 18]);
}

#[test]
fn a_mariadb_log_that_lost_its_end_is_refused_although_its_numbers_come_again() {
    let mut server = mariadb::start(&[]);
    let host = pipeline_at_row_1(&server);
    let cut = end_of_log(&server);
    let mut process = start(&host);
    server.sql("INSERT INTO d.last VALUES (2)");
    wait_for(&mut process, &host, "t", "last", 2);
    let before = server.client().value("SELECT @@gtid_binlog_pos");
    lose_the_end(&mut server, cut);
    server.sql("INSERT INTO d.last VALUES (3)");
    assert_eq!(server.client().value("SELECT @@gtid_binlog_pos"), before, "the lost number came again");
    server.sql("INSERT INTO d.last VALUES (4)");
    // the one that runs, at its next connection
    let ended = process.wait(PATIENCE);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("was cut or reset: it does not hold the place"), "{}", ended.stderr);
    is_refused(&host, 3, &["was cut or reset: it does not hold the place", "the file ends at"]);
    assert_eq!(ids(&host, "t", "last"), [1, 2]);
}

#[test]
fn a_mysql_log_that_lost_its_end_is_refused_to_a_reader_at_the_end() {
    let mut server = mysql::start(&[]);
    let host = pipeline_at_row_1(&server);
    let cut = end_of_log(&server);
    server.sql("INSERT INTO d.last VALUES (2); FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS");
    run_to(&host, &["t"], 2);
    let before = server.client().value("SELECT @@GLOBAL.gtid_executed");
    lose_the_end(&mut server, cut);
    assert_eq!(server.client().value("SELECT @@GLOBAL.gtid_executed"), before, "the lost transaction counts as executed");
    server.sql("INSERT INTO d.last VALUES (3)");
    is_refused(&host, 3, &["was cut or reset: it does not hold the place", "the file ends at"]);
}

#[test]
fn a_mysql_log_that_lost_its_end_is_refused_to_a_reader_behind() {
    let mut server = mysql::start(&[]);
    let host = pipeline_at_row_1(&server);
    let cut = end_of_log(&server);
    // durable in the tables, and not in the log
    server.sql("INSERT INTO d.last VALUES (2); FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS");
    let before = server.client().value("SELECT @@GLOBAL.gtid_executed");
    lose_the_end(&mut server, cut);
    assert_eq!(server.client().value("SELECT @@GLOBAL.gtid_executed"), before, "the lost transaction counts as executed");
    server.sql("INSERT INTO d.last VALUES (3)");
    // since its restart the server counts it as purged
    is_refused(&host, 3, &["the server has purged transactions that were not read yet"]);
    assert_eq!(ids(&host, "t", "last"), [1], "what comes behind the gap is not delivered");
}

fn is_not_refused(mut server: Server) {
    let host = pipeline_at_row_1(&server);
    let mut process = start(&host);
    let mut next = 2;
    let mut insert_and_see = |server: &Server, process: &mut Process| {
        server.sql(&format!("INSERT INTO d.last VALUES ({next})"));
        wait_for(process, &host, "t", "last", next);
        next += 1;
    };
    // while it reads: new files, old ones removed, restarts
    server.sql("FLUSH BINARY LOGS");
    insert_and_see(&server, &mut process);
    server.sql(&format!("PURGE BINARY LOGS TO '{}'", newest_file(&server)));
    insert_and_see(&server, &mut process);
    server.kill9();
    server.start_again();
    insert_and_see(&server, &mut process);
    stop(process);
    // while it does not: the file of its place is gone, too
    server.sql("FLUSH BINARY LOGS; FLUSH BINARY LOGS");
    let mut process = start(&host);
    insert_and_see(&server, &mut process);
    stop(process);
    server.sql("FLUSH BINARY LOGS");
    server.purge_logs();
    server.stop();
    server.start_again();
    let mut process = start(&host);
    insert_and_see(&server, &mut process);
    stop(process);
    assert_eq!(ids(&host, "t", "last"), (1..u64::from(next)).collect::<Vec<_>>());
}

#[test]
fn a_healthy_log_is_not_refused_mariadb() {
    is_not_refused(mariadb::start(&[]));
}

#[test]
fn a_healthy_log_is_not_refused_mysql() {
    is_not_refused(mysql::start(&[]));
}

/// Nothing is undone that the source cannot give again: what was written after the checkpoint may be the only copy.
#[test]
fn a_purged_log_leaves_the_files_as_they_are() {
    for server in servers() {
        let host = pipeline_at_row_1(&server);
        // written after the last commit, as a kill leaves it: a tail, and a later file
        let newest = files::list(&host.path("out"), "t").pop().expect("a file");
        let whole = fs::read(&newest).expect("the file");
        fs::write(&newest, [&whole[..], b"{\"_table\":\"last\",\"id\":2}\n"].concat()).expect("written");
        let later = newest.file_name().and_then(|name| name.to_str()).expect("a name").replace("00001", "00002");
        let later = newest.with_file_name(later);
        assert_ne!(later, newest);
        fs::write(&later, b"{\"_table\":\"last\",\"id\":3}\n").expect("written");
        server.sql("FLUSH BINARY LOGS; INSERT INTO d.last VALUES (2); FLUSH BINARY LOGS");
        server.purge_logs();
        is_refused(&host, 3, &["the server has purged transactions that were not read yet"]);
    }
}
