//! Times do not depend on the time zones of the server and of the sessions that write them.

use std::collections::BTreeMap;

use sluicegate_harness::{
    database::{Client, Flavor, Server},
    files,
    host::Sluicegate,
    mariadb, mysql,
};

use super::*;

/// A zone with a summer time of its own, as the servers load them: CEST from 2023-03-26 01:00 UTC to 2023-10-29 01:00 UTC.
const ZONE: &str = "INSERT INTO mysql.time_zone (time_zone_id, use_leap_seconds) VALUES (900, 'N');
    INSERT INTO mysql.time_zone_name (name, time_zone_id) VALUES ('Test/Berlin', 900);
    INSERT INTO mysql.time_zone_transition_type (time_zone_id, transition_type_id, `offset`, is_dst, abbreviation)
        VALUES (900, 0, 3600, 0, 'CET'), (900, 1, 7200, 1, 'CEST');
    INSERT INTO mysql.time_zone_transition (time_zone_id, transition_time, transition_type_id)
        VALUES (900, 1679792400, 1), (900, 1698541200, 0)";

/// What the writers' sessions say their time zone is.
const ZONES: [&str; 5] = ["DEFAULT", "'+00:00'", "'-11:30'", "'+13:00'", "'Test/Berlin'"];

/// Rows of every kind of time. `@at` is the time that the session takes for now.
const ROWS: &[&str] = &[
    "(ts, ts6, dt, dt6, d, t) VALUES ('2023-10-29 02:30:00', '2023-10-29 02:30:00.123456', '2023-10-29 02:30:00', '2023-10-29 02:30:00.5', '2023-10-29', '-838:59:59')",
    "(ts, ts6, dt, dt6, d, t) VALUES ('1970-01-02 00:00:00', '2038-01-18 03:14:07.999999', '1000-01-01 00:00:00', '9999-12-31 23:59:59.999999', '0000-00-00', '25:00:00.25')",
    "(ts, ts6, dt, dt6, d, t) VALUES ('0000-00-00', '0000-00-00', '0000-00-00', '0000-00-00', '2023-00-00', 0)",
    // the defaults, and an update of them, in both hours that are 02:30 in Berlin
    "(d, t) VALUES (CURRENT_DATE, CURRENT_TIME(6))",
    "(dt, dt6, d, t) VALUES (NOW(), NOW(6), NOW(), NOW(6))",
    "(ts, ts6) VALUES (FROM_UNIXTIME(1698539400), FROM_UNIXTIME(1698543000.75))",
];

fn write(client: &mut Client, first: usize) {
    let mut id = first;
    for zone in ZONES {
        client.sql(&format!("SET time_zone = {zone}"));
        for at in ["1698539400.125", "1698543000.654321"] {
            client.sql(&format!("SET timestamp = {at}"));
            for row in ROWS {
                client.sql(&format!("INSERT INTO t {}", row.replacen('(', "(id, ", 1).replacen("VALUES (", &format!("VALUES ({id}, "), 1)));
                id += 1;
            }
            client.sql(&format!("UPDATE t SET n = 1 WHERE id = {}", id - 3));
        }
    }
}

/// The rows by their id, as the records have them.
fn read(host: &Sluicegate) -> BTreeMap<u64, Vec<String>> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let records = files::records(&host.path("out"), "a").into_iter().filter(|record| record["_table"] == "t");
    records
        .map(|record| {
            (record["id"].as_u64().expect("an id"), ["ts", "ts6", "dt", "dt6", "d", "t", "n"].map(|name| text(&record[name])).to_vec())
        })
        .collect()
}

/// The same as the server has them, in UTC.
fn selected(client: &mut Client) -> BTreeMap<u64, Vec<String>> {
    client.sql("SET time_zone = '+00:00'");
    let rows = client.query("SELECT id, ts, ts6, dt, dt6, d, t, n FROM t").into_iter();
    rows.map(|row| {
        let mut values = row.into_iter().map(|value| value.unwrap_or_else(|| "null".to_owned()));
        let id = values.next().and_then(|id| id.parse().ok()).expect("an id");
        let zoned = |(at, value): (usize, String)| if at < 2 && value != "null" { value.replace(' ', "T") + "Z" } else { value };
        (id, values.enumerate().map(zoned).collect())
    })
    .collect()
}

fn times_are_the_servers_own(server: &Server, named: bool) {
    let database = server.database("zones");
    let mut client = server.client();
    if named {
        client.sql("SET GLOBAL time_zone = 'Test/Berlin'");
        client = server.client();
    }
    let explicit = if server.flavor() == Flavor::MySql { "" } else { "SET explicit_defaults_for_timestamp = ON;" };
    client.sql(&format!(
        "USE {database}; SET sql_mode = ''; {explicit}
         CREATE TABLE t (id INT NOT NULL, ts TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
            ts6 TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
            dt DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, dt6 DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6),
            d DATE, t TIME(6), n INT, PRIMARY KEY (ts, id));
         CREATE TABLE last (id INT PRIMARY KEY)"
    ));
    write(&mut client, 1);
    let text = pipeline(server, &format!("['{database}.*']"), "initial", &["a"], ", batch_changes: 7").replace("debezium", "flat");
    let host = Sluicegate::new(BINARY, &text);
    let mut process = host.spawn();
    let rows = ZONES.len() * 2 * ROWS.len();
    process.wait_until("the rows are copied", PATIENCE, || read_so_far(&host, "\"_table\":\"t\",") >= rows);
    write(&mut client, 1001);
    client.sql("INSERT INTO last VALUES (1)");
    process.wait_until("the rows are streamed", PATIENCE, || read_so_far(&host, "\"_table\":\"last\",") > 0);
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    let (records, server_has) = (read(&host), selected(&mut client));
    assert_eq!(records.len(), 2 * rows);
    assert_eq!(records, server_has);
    for id in 1..=rows as u64 {
        assert_eq!(records[&id], records[&(id + 1000)], "the copy's and the log's row {id}");
    }
    if named {
        client.sql("SET GLOBAL time_zone = 'SYSTEM'");
    }
}

/// Records that hold the text, and are whole.
fn read_so_far(host: &Sluicegate, text: &str) -> usize {
    let files = files::list(&host.path("out"), "a");
    files.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default().lines().filter(|line| line.contains(text)).count()).sum()
}

fn times_do_not_depend_on_time_zones(start: fn(&[&str]) -> Server) {
    let server = start(&["--default-time-zone=+05:30"]);
    server.sql(ZONE);
    times_are_the_servers_own(&server, false);
    times_are_the_servers_own(&server, true);
}

#[test]
fn times_do_not_depend_on_the_time_zones_of_mariadb_and_its_sessions() {
    times_do_not_depend_on_time_zones(mariadb::start);
}

#[test]
fn times_do_not_depend_on_the_time_zones_of_mysql_and_its_sessions() {
    times_do_not_depend_on_time_zones(mysql::start);
}
