//! Random changes of rows and tables, savepoints, XA, kills of the program and of the server, and a failover, with a replica of the same
//! kind as the judge: what the files give when they are replayed is what the replica has. Short by default;
//! `SLUICEGATE_SOAK_SECONDS=3600` makes it a soak.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sluicegate_harness::{
    database::{Client, Flavor, Server},
    host::{Process, Sluicegate},
    mariadb, mysql, until,
};

use super::{
    evolution::{Random, printed},
    *,
};

const TABLES: [&str; 3] = ["a", "b", "c"];
/// Ids of rows.
const IDS: usize = 40;

/// A table's rows by their id, each as its columns are printed.
type Rows = BTreeMap<u64, Vec<String>>;

struct Soak {
    /// The one that is written to, and its replica.
    active: Server,
    replica: Server,
    host: Sluicegate,
    process: Option<Process>,
    random: Random,
}

impl Soak {
    fn start(active: Server, replica: Server, seed: u64) -> Self {
        let tables = TABLES.map(|table| format!("CREATE TABLE {table} (id INT PRIMARY KEY, v INT, touched INT NOT NULL DEFAULT 0);"));
        active.sql(&format!("CREATE DATABASE d; USE d; {} CREATE TABLE last (id INT PRIMARY KEY)", tables.concat()));
        failover::follow(&replica, &active);
        let host = Sluicegate::new(BINARY, &text(&active));
        let process = Some(start(&host));
        Self { active, replica, host, process, random: Random(seed) }
    }

    fn client(&self) -> Client {
        let mut client = self.active.client();
        client.sql("USE d");
        client
    }

    fn change(&mut self) -> String {
        let (table, id, value) = (self.random.of(&TABLES), self.random.below(IDS), self.random.below(1000));
        let column = self.random.of(&COLUMNS);
        match self.random.below(6) {
            0 | 1 => format!("INSERT INTO {table} (id, v) VALUES ({id}, {value}) ON DUPLICATE KEY UPDATE v = v + 1"),
            2 => format!("DELETE FROM {table} WHERE id = {id}"),
            3 => format!("UPDATE {table} SET v = {value} WHERE id BETWEEN {id} AND {id} + 5"),
            4 => format!("REPLACE INTO {table} (id, v) VALUES ({id}, {value})"),
            _ => format!("UPDATE IGNORE {table} SET {column} = {} WHERE id > {id}", value % 3 + 1),
        }
    }

    /// A transaction, and what ends it. A statement that the server refuses is none.
    fn transaction(&mut self, client: &mut Client, begin: &str, end: &str) {
        client.sql(begin);
        for number in 0..=self.random.below(5) {
            let change = self.change();
            let _ = client.try_sql(&change);
            match self.random.below(5) {
                0 => client.sql(&format!("SAVEPOINT s{number}")),
                1 => drop(client.try_sql("ROLLBACK TO s0")),
                _ => {}
            }
        }
        client.sql(end);
    }

    /// A change of a table; its rows come anew under the new columns.
    fn alter(&mut self, client: &mut Client) {
        let table = self.random.of(&TABLES);
        let (one, other) = (self.random.of(&COLUMNS), self.random.of(&COLUMNS));
        let column =
            self.random.of(&["INT", "BIGINT UNSIGNED DEFAULT 7", "VARCHAR(9) DEFAULT 'é'", "ENUM('x','1','2')", "ENUM('2','1','x')"]);
        let statement = match self.random.below(9) {
            0 => format!("ALTER TABLE {table} ADD {one} {column}"),
            1 => format!("ALTER TABLE {table} ADD {one} {column} AFTER id"),
            2 => format!("ALTER TABLE {table} DROP {one}"),
            3 => format!("ALTER TABLE {table} MODIFY {one} {column}"),
            4 => format!("ALTER TABLE {table} RENAME COLUMN {one} TO {other}"),
            5 => format!("ALTER TABLE {table} RENAME COLUMN {one} TO {other}, RENAME COLUMN {other} TO {one}"),
            6 => format!("TRUNCATE TABLE {table}"),
            7 => {
                let names =
                    [format!("DELETE FROM {table}"), "DELETE FROM a".into(), format!("RENAME TABLE {table} TO x, a TO {table}, x TO a")];
                // under another name, rows would be others
                if table == "a" { "TRUNCATE TABLE a".into() } else { names.join("; ") }
            }
            _ => format!("ALTER TABLE {table} CONVERT TO CHARACTER SET {}", self.random.of(&["latin1", "utf8mb4"])),
        };
        let _ = client.try_sql(&statement);
        for table in TABLES {
            client.sql(&format!("UPDATE {table} SET touched = touched + 1"));
        }
    }

    fn step(&mut self, client: &mut Client, number: usize) {
        match self.random.below(12) {
            0..=4 => self.transaction(client, "BEGIN", "COMMIT"),
            5 => self.transaction(client, "BEGIN", "ROLLBACK"),
            6 => {
                let name = format!("'x{number}'");
                self.transaction_of_xa(client, &name);
            }
            7..=9 => self.alter(client),
            10 => {
                let change = self.change();
                let _ = client.try_sql(&change);
            }
            _ => {
                self.process.take().expect("it runs").kill9();
                self.process = Some(self.host.spawn());
            }
        }
    }

    fn transaction_of_xa(&mut self, client: &mut Client, name: &str) {
        client.sql(&format!("XA START {name}"));
        for _ in 0..=self.random.below(3) {
            let change = self.change();
            let _ = client.try_sql(&change);
        }
        let end = self.random.of(&["COMMIT", "ROLLBACK"]);
        client.sql(&format!("XA END {name}; XA PREPARE {name}; XA {end} {name}"));
    }

    /// The replica has everything, and takes over; the other one follows it.
    fn fail_over(&mut self) {
        self.wait_for_replica();
        let stop = if self.active.flavor() == Flavor::MariaDb { "STOP SLAVE; RESET SLAVE ALL" } else { "STOP REPLICA; RESET REPLICA ALL" };
        self.replica.sql(stop);
        if self.active.flavor() == Flavor::MariaDb {
            self.active.sql("SET GLOBAL gtid_slave_pos = @@gtid_binlog_pos");
        }
        failover::follow(&self.active, &self.replica);
        std::mem::swap(&mut self.active, &mut self.replica);
        self.process.take().expect("it runs").kill9();
        self.host.write_pipeline(&text(&self.active));
        self.process = Some(self.host.spawn());
    }

    fn wait_for_replica(&self) {
        let mut client = self.replica.client();
        match self.active.flavor() {
            Flavor::MariaDb => {
                let position = self.active.query("SELECT @@gtid_binlog_pos").remove(0).remove(0).expect("a position");
                until("the replica has everything", PATIENCE, || {
                    client.value(&format!("SELECT MASTER_GTID_WAIT('{position}', 1)")).as_deref() == Some("0")
                });
            }
            Flavor::MySql => {
                let set = self.active.query("SELECT @@gtid_executed").remove(0).remove(0).expect("a set");
                until("the replica has everything", PATIENCE, || {
                    client.value(&format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{set}', 1)")).as_deref() == Some("0")
                });
            }
        }
    }

    fn check(mut self) {
        self.client().sql("INSERT INTO last VALUES (1)");
        let mut process = self.process.take().expect("it runs");
        wait_for(&mut process, &self.host, "t", "last", 1);
        stop(process);
        self.wait_for_replica();
        let replayed = replay(&self.host);
        for table in TABLES {
            let expected = on_server(&self.replica, table);
            assert_eq!(replayed.get(table).cloned().unwrap_or_default(), expected, "{table}");
        }
    }
}

const COLUMNS: [&str; 4] = ["p", "q", "`r s`", "u"];

fn text(server: &Server) -> String {
    pipeline(server, "['d.*']", &format!("[{}]", file("t")))
}

/// The tables as the files have them.
fn replay(host: &Sluicegate) -> BTreeMap<String, Rows> {
    let mut tables: BTreeMap<String, Rows> = BTreeMap::new();
    for record in files::records(&host.path("out"), "t") {
        let rows = tables.entry(record["_table"].as_str().expect("a table").to_owned()).or_default();
        let id = || record["id"].as_u64().expect("an id");
        match record["_op"].as_str().expect("an operation") {
            "t" => rows.clear(),
            "d" => assert!(rows.remove(&id()).is_some(), "a row is deleted that is not there: {record}"),
            operation => {
                let mut row: Vec<String> = printed(&record).split('\u{1f}').map(str::to_owned).collect();
                row.sort();
                let before = rows.insert(id(), row);
                assert_eq!(before.is_some(), operation == "u", "{record}");
            }
        }
    }
    tables
}

fn on_server(server: &Server, table: &str) -> Rows {
    let query =
        format!("SELECT column_name FROM information_schema.columns WHERE table_schema = 'd' AND table_name = '{table}' ORDER BY 1");
    let names: Vec<String> = server.query(&query).into_iter().map(|mut row| row.remove(0).expect("a name")).collect();
    let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let rows = server.query(&format!("SELECT id, {} FROM d.{table}", list.join(", ")));
    let row = |mut row: Vec<Option<String>>| {
        let id = row.remove(0).and_then(|id| id.parse().ok()).expect("an id");
        let values = row.into_iter().map(|value| value.unwrap_or("NULL".into()));
        let mut row: Vec<String> = names.iter().zip(values).map(|(name, value)| format!("{name}={value}")).collect();
        row.sort();
        (id, row)
    };
    rows.into_iter().map(row).collect()
}

fn soak(active: Server, replica: Server) {
    let seconds = std::env::var("SLUICEGATE_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(6);
    let seed = std::env::var("SLUICEGATE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed_50a4);
    let (began, length) = (Instant::now(), Duration::from_secs(seconds));
    let mut soak = Soak::start(active, replica, seed);
    let mut number = 0;
    // at least some of everything, however slow the machine is
    for phase in 1..=4_u32 {
        let mut client = soak.client();
        let least = number + 30;
        while number < least || began.elapsed() < length * phase / 4 {
            number += 1;
            soak.step(&mut client, number);
        }
        drop(client);
        match phase {
            1 => {
                soak.active.kill9();
                soak.active.start_again();
            }
            2 => soak.fail_over(),
            _ => {}
        }
    }
    soak.check();
}

#[test]
fn files_end_as_a_replica_does_whatever_happens_mariadb() {
    let options = ["--binlog-row-metadata=NO_LOG", "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1"];
    let replica = ["--server-id=2002", "--log-bin=other", "--log-slave-updates"];
    soak(mariadb::start(&options), mariadb::start(&[&options[..], &replica].concat()));
}

#[test]
fn files_end_as_a_replica_does_whatever_happens_mysql() {
    let options = ["--binlog-row-metadata=MINIMAL"];
    soak(mysql::start(&options), mysql::start(&["--binlog-row-metadata=MINIMAL", "--server-id=1002", "--log-bin=other"]));
}
