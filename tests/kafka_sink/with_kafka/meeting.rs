//! Tables whose topics would meet, from a real database on.

use sluicegate_harness::{host::Sluicegate, mariadb};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn two_tables_that_meet_in_a_topic_by_accident_stop_the_pipeline_until_one_has_another_name() {
    let (server, broker) = (mariadb::shared(), kafka::shared());
    let database = server.database("meeting");
    server.sql(&format!(
        "CREATE DATABASE `{database}.eu`; CREATE TABLE `{database}`.`eu.t` (id int PRIMARY KEY, note text);
         CREATE TABLE `{database}.eu`.t (id int PRIMARY KEY, note text)"
    ));
    let pipeline = |plugins: &str| {
        format!(
            "name: meeting\nsource:\n  type: mysql\n  host: 127.0.0.1\n  port: {}\n  user: {}\n  password: \"{}\"\n  tables: [{database}.eu.t]\n\
             {plugins}sinks:\n  - {{ type: kafka, brokers: \"{}\", topic: \"{{database}}.{{table}}\", format: flat }}\n",
            server.port(),
            server.user(),
            server.password(),
            broker.brokers(),
        )
    };
    let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline(""));
    let mut process = host.spawn();
    process.wait_for_line("streaming from this position on", PATIENCE);
    server.sql(&format!("INSERT INTO `{database}`.`eu.t` VALUES (1, 'first'); INSERT INTO `{database}.eu`.t VALUES (1, 'second')"));
    let ended = process.wait(PATIENCE);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let told = format!("tables {database}.`eu.t` and `{database}.eu`.t would share topic `{database}.eu.t`");
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);

    // as the error says
    let renamed = format!(
        "plugins:\n  - use: map-names\n    config:\n      tables:\n        - {{ from: \"`{database}.eu`.t\", to: {database}.second }}\n"
    );
    host.write_pipeline(&pipeline(&renamed));
    let process = host.spawn();
    let notes = |topic: &str| -> Vec<Value> {
        let records = broker.wait_for_records(&format!("{database}.{topic}"), 1, PATIENCE);
        records.iter().map(|record| field(record, "note").unwrap()).collect()
    };
    assert_eq!(notes("second"), ["second"]);
    // what was sent before the stop is sent again
    assert!(notes("eu.t").iter().all(|note| note == "first"));
    process.sigterm();
    assert_eq!(process.wait(PATIENCE).status.code(), Some(0));
}

#[test]
fn check_foresees_topics_that_meet_and_tables_without_a_key() {
    let (server, broker) = (mariadb::shared(), kafka::shared());
    let (a, b) = (server.database("meet"), server.database("meet"));
    server.sql(&format!(
        "CREATE TABLE {a}.fine (id INT PRIMARY KEY); CREATE TABLE {a}.loose (id INT);
         CREATE TABLE `{a}`.`x.t` (id INT PRIMARY KEY); CREATE DATABASE `{a}.x`; CREATE TABLE `{a}.x`.t (id INT PRIMARY KEY);
         CREATE TABLE {b}.taken (id INT PRIMARY KEY)"
    ));
    // as another program has it already
    broker.create_topic(&format!("{b}_taken"), 1);
    let check = |tables: &str, more: &str| {
        let pipeline = format!(
            "name: p\nsource: {{ type: mysql, host: 127.0.0.1, port: {}, user: {}, password: {}, tables: {tables} }}\n\
             sinks: [{{ type: kafka, brokers: '{}', format: flat{more} }}]\n",
            server.port(),
            server.user(),
            server.password(),
            broker.brokers()
        );
        let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline);
        let ended = host.run(&["check", "--effective", "pipeline.yaml"], Duration::from_secs(60));
        let lines = ended
            .stdout
            .lines()
            .filter(|line| ["fail  ", "ok  topics", "DB"].iter().any(|begin| line.replace(&a, "DB").starts_with(begin)));
        let shown = lines.collect::<Vec<_>>().join("\n").replace(&a, "DB").replace(&b, "OTHER");
        format!("exit {}\n{shown}", ended.status.code().expect("a code"))
    };
    let told = [
        check(&format!("['{a}.fine']"), ""),
        check(&format!("['{a}.fine', '{a}.loose']"), ""),
        check(&format!("['{a}.loose']"), ", keyless: no-key"),
        check(&format!("['{a}.x.t']"), ""),
        check(&format!("['{b}.taken']"), ""),
        check(&format!("['{b}.taken']"), ", topic: 'all-of-{database}'"),
    ];
    insta::assert_snapshot!(told.join("\n\n"), @r"
    exit 0
    ok  topics: sink `kafka`: 1 of 1 are not there yet, and are made with their first record if the brokers make topics by themselves: DB.fine
    DB.fine, topic DB.fine of `kafka`: as it is

    exit 3
    fail  keyless tables: sink `kafka`: tables without a primary key would stop the pipeline at their first row (`keyless: stop`): DB.loose
    ok  topics: sink `kafka`: 2 of 2 are not there yet, and are made with their first record if the brokers make topics by themselves: DB.fine, DB.loose
    DB.fine, topic DB.fine of `kafka`: as it is
    DB.loose, topic DB.loose of `kafka`: as it is

    exit 0
    ok  topics: sink `kafka`: 1 of 1 are not there yet, and are made with their first record if the brokers make topics by themselves: DB.loose
    DB.loose, topic DB.loose of `kafka`: as it is

    exit 3
    fail  topics: sink `kafka`: tables DB.`x.t` and `DB.x`.t would share topic `DB.x.t`, because the parts of their names run together in `{database}.{table}`
    DB.`x.t`, topic DB.x.t of `kafka`: as it is

    exit 3
    fail  topics: sink `kafka`: Kafka cannot have the topic `OTHER.taken` beside its topic `OTHER_taken`: it takes `.` and `_` for the same in the names of its metrics

    exit 0
    ok  topics: sink `kafka`: 1 of 1 are not there yet, and are made with their first record if the brokers make topics by themselves: all-of-OTHER
    ");
}
