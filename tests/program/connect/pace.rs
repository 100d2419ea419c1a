//! Heartbeats, rates and labels.

use std::time::Instant;

use sluicegate_harness::{free_port, host::metric};

use super::*;

#[test]
fn c15_c16_c43_a_heartbeat_statement_moves_an_idle_log_and_without_one_nothing_is_written() {
    for server in shared() {
        let (database, port) = (table(&server, "beats"), free_port());
        server.sql(&format!("CREATE DATABASE {database}_own; CREATE TABLE {database}_own.beat (id INT PRIMARY KEY, n INT)"));
        let statement = format!("INSERT INTO {database}_own.beat VALUES (1, 0) ON DUPLICATE KEY UPDATE n = n + 1");
        let reach = format!("host: 127.0.0.1, port: {}, {}", server.port(), account(&server));
        let text = |heartbeat: &str| {
            format!(
                "{}http: 127.0.0.1:{port}\nlabels: {{ environment: test }}\n",
                pipeline(&database, &format!("{reach}, heartbeat: {heartbeat}"), "")
            )
        };
        let beats = || server.query(&format!("SELECT COALESCE(SUM(n), -1) FROM {database}_own.beat"))[0][0].clone().expect("a number");
        let counted = |name: &str| metric(port, &format!("sluicegate_source_{name}{{environment=\"test\",pipeline=\"connect\"}}"));
        let host = Sluicegate::new(BINARY, &text("200ms"));
        let mut process = start(&host);
        server.sql(&format!("INSERT INTO {database}.t VALUES (1)"));
        wait_for(&mut process, &host, 1);
        // C41: the labels are there, too
        assert_eq!(counted("heartbeats_total"), Some(0.0));
        stop(process);
        assert_eq!(beats(), "-1", "nothing is written by default");
        // its own table is not captured, so none of it is delivered
        host.write_pipeline(&text(&format!("{{ every: 200ms, statement: '{statement}' }}")));
        let mut process = start(&host);
        process.wait_until("beats", PATIENCE, || beats().parse::<i64>().expect("a number") >= 3);
        process.wait_until("they are counted", PATIENCE, || counted("heartbeats_total").is_some_and(|beats| beats >= 3.0));
        // one that fails is told, and the stream goes on
        server.sql(&format!("DROP TABLE {database}_own.beat"));
        process.wait_for_line("the heartbeat statement fails; the stream goes on", PATIENCE);
        server.sql(&format!("INSERT INTO {database}.t VALUES (2)"));
        wait_for(&mut process, &host, 2);
        process.wait_until("failures are counted", PATIENCE, || counted("heartbeat_failures_total").is_some_and(|failures| failures > 0.0));
        // an idle server shows no lag
        process.wait_until("no lag", PATIENCE, || counted("lag_seconds") == Some(0.0));
        stop(process);
        assert_eq!(ids(&host), [1, 2]);
    }
}

#[test]
fn a_heartbeat_statement_that_fails_is_told_by_number_and_state_without_a_value() {
    for server in shared() {
        let database = table(&server, "secret_beats");
        server.sql(&format!("CREATE DATABASE {database}_own; CREATE TABLE {database}_own.beat (v VARCHAR(40) PRIMARY KEY)"));
        server.sql(&format!("INSERT INTO {database}_own.beat VALUES ('hidden value')"));
        let statement = format!("INSERT INTO {database}_own.beat VALUES (CONCAT(''hidden'', '' '', ''value''))");
        let reach = format!("host: 127.0.0.1, port: {}, {}", server.port(), account(&server));
        let text = pipeline(&database, &format!("{reach}, heartbeat: {{ every: 200ms, statement: '{statement}' }}"), "");
        let host = Sluicegate::new(BINARY, &text);
        let mut process = start(&host);
        let line = process.wait_for_line("the heartbeat statement fails; the stream goes on", PATIENCE);
        let ended = stop(process);
        assert!(line.contains("1062") && line.contains("23000"), "{line}");
        assert!(!ended.stderr.contains("hidden value"), "{}", ended.stderr);
    }
}

#[test]
fn c40_a_sink_takes_no_more_changes_a_second_than_its_settings_say_and_commits_meanwhile() {
    let text = "name: paced\nsource: { type: generator, changes: 250, seed: 3 }\nsinks:\n  \
         - { type: file, name: t, format: flat, folder: out, prefix: t, rows_per_second: 100 }\n  \
         - { type: file, name: u, format: flat, folder: out, prefix: u, bytes_per_second: 1GiB }\nlimits: { checkpoint_interval: 20ms }\n";
    let host = Sluicegate::new(BINARY, text);
    let begin = Instant::now();
    let mut process = host.spawn();
    // what it has taken is there while it rests
    process.wait_until("records", PATIENCE, || files::count_so_far(&host.path("out"), "t") > 0);
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    // the last batch is not waited for, and a tenth of a second comes at once
    assert!(begin.elapsed() >= Duration::from_millis(2200), "{:?}", begin.elapsed());
    assert_eq!([files::records(&host.path("out"), "t").len(), files::records(&host.path("out"), "u").len()], [250, 250]);
}

#[test]
fn c40_a_sink_that_rests_is_drained_at_a_stop_without_a_pause() {
    // a batch is paid for with a minute
    let text = "name: paced\nsource: { type: generator, seed: 3 }\nsinks:\n  \
         - { type: file, name: t, format: flat, folder: out, prefix: t, bytes_per_second: 1KiB }\nlimits: { checkpoint_interval: 20ms }\n";
    let host = Sluicegate::new(BINARY, text);
    let mut process = host.spawn();
    process.wait_until("records", PATIENCE, || files::count_so_far(&host.path("out"), "t") > 0);
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    // what comes behind the batch at which it rested, too
    let read: usize = files::records(&host.path("out"), "t").len();
    assert!(ended.stderr.contains(&format!("\"changes\":{read}")), "{read}: {}", ended.stderr);
}

#[test]
fn c40_no_more_rows_a_second_are_read_than_the_settings_say() {
    for server in shared() {
        let database = table(&server, "rate");
        let reach = format!("host: 127.0.0.1, port: {}, {}", server.port(), account(&server));
        let host = Sluicegate::new(BINARY, &pipeline(&database, &format!("{reach}, rows_per_second: 100"), ""));
        let mut process = start(&host);
        let begin = Instant::now();
        server.sql(&format!("INSERT INTO {database}.t SELECT seq FROM (WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < 150) SELECT seq FROM n) x"));
        wait_for(&mut process, &host, 150);
        // the last batch is not waited for, and a tenth of a second comes at once
        assert!(begin.elapsed() >= Duration::from_millis(1200), "{:?}", begin.elapsed());
        stop(process);
        assert_eq!(ids(&host).len(), 150);
    }
}
