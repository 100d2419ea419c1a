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
