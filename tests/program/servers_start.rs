//! The servers that the other tests stand on start, answer and end.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use sluicegate_harness::{database::Server, kafka, mariadb, mysql, until, until_some};

fn answers_and_goes_on_after_kill9(mut server: Server) {
    let mut client = server.client();
    client.sql("CREATE TABLE shop.t (id INT PRIMARY KEY, name TEXT); INSERT INTO shop.t VALUES (2, NULL), (10, 'ten')");
    let rows = vec![vec![Some("2".to_owned()), None], vec![Some("10".to_owned()), Some("ten".to_owned())]];
    assert_eq!(client.table("shop.t"), rows);
    assert_eq!(client.value("SELECT @@binlog_format").as_deref(), Some("ROW"));
    assert_eq!(client.value("SELECT @@binlog_row_metadata").as_deref(), Some("FULL"));
    let port = server.port();
    server.kill9();
    server.start_again();
    assert_eq!(server.port(), port);
    assert_eq!(server.client().table("shop.t"), rows);
    let folder = server.folder().to_owned();
    server.stop();
    drop(server);
    assert!(!folder.exists(), "the folder goes with the server");
}

#[test]
fn mariadb_starts_answers_and_goes_on_after_kill9() {
    answers_and_goes_on_after_kill9(mariadb::start(&[]));
}

#[test]
fn mysql_starts_answers_and_goes_on_after_kill9() {
    answers_and_goes_on_after_kill9(mysql::start(&[]));
}

#[test]
fn options_reach_the_server() {
    let server = mariadb::start(&["--binlog-format=STATEMENT"]);
    assert_eq!(server.client().value("SELECT @@binlog_format").as_deref(), Some("STATEMENT"));
}

#[test]
fn a_dropped_server_is_gone() {
    let server = mariadb::start(&[]);
    let pid = fs::read_to_string(server.folder().join("pid")).unwrap();
    let process = Path::new("/proc").join(pid.trim());
    assert!(process.exists());
    drop(server);
    until("the process is gone", Duration::from_secs(10), || !process.exists());
}

#[test]
#[should_panic = "unknown option '--no-such-option'"]
fn a_server_that_cannot_start_shows_the_end_of_its_log() {
    mariadb::start(&["--no-such-option"]);
}

#[test]
fn the_shared_server_is_one_for_the_whole_run() {
    let (one, two) = (mariadb::shared(), mariadb::shared());
    assert_eq!(one.port(), two.port());
    assert_ne!(one.database("run"), two.database("run"));
}

/// Not a test of its own: the next one runs it in a process that it kills.
#[test]
fn held_for_the_test_that_kills_its_process() {
    if let Some(report) = env::var_os("SLUICEGATE_HELD_SERVER") {
        let server = mariadb::start(&[]);
        fs::write(report, server.folder().to_str().unwrap()).unwrap();
        std::thread::park();
    }
}

#[test]
fn a_server_ends_when_its_test_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("server");
    let mut test = Command::new(env::current_exe().unwrap())
        .args(["--exact", "servers_start::held_for_the_test_that_kills_its_process"])
        .env("SLUICEGATE_HELD_SERVER", &report)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = until_some("a server has started", Duration::from_secs(60), || {
        let folder = PathBuf::from(fs::read_to_string(&report).ok().filter(|text| !text.is_empty())?);
        Some((Path::new("/proc").join(fs::read_to_string(folder.join("pid")).unwrap().trim()), folder))
    });
    assert!(server.0.exists());
    test.kill().unwrap();
    test.wait().unwrap();
    until("server and folder are gone", Duration::from_secs(30), || !server.0.exists() && !server.1.exists());
}

mod with_kafka {
    use super::*;
    use rdkafka::{
        ClientConfig,
        producer::{BaseProducer, BaseRecord, Producer},
    };

    #[test]
    fn kafka_starts_answers_and_goes_on_after_kill9() {
        let mut broker = kafka::start(&[]);
        broker.create_topic("t", 3);
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", broker.brokers()).create().unwrap();
        for i in 0..10 {
            let (key, value) = (format!("k{}", i % 4), format!("v{i}"));
            producer.send(BaseRecord::to("t").key(&key).payload(&value)).unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        let records = broker.records("t");
        assert_eq!(records.len(), 10);
        let k1: Vec<_> = records.iter().filter(|r| r.key.as_deref() == Some("k1")).filter_map(|r| r.value.as_deref()).collect();
        assert_eq!(k1, ["v1", "v5", "v9"]);
        broker.kill9();
        broker.start_again();
        assert_eq!(broker.records("t"), records);
    }
}
