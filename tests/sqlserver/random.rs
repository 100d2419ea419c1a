//! Random changes, faults and kills while a pipeline copies and polls: what is delivered ends as the tables are.
//!
//! `SLUICEGATE_CT_STEPS` makes each run longer than its 150 steps, `SLUICEGATE_CT_SEED` begins with another seed than 1 (without
//! SNAPSHOT 2), and `SLUICEGATE_CT_RUNS` goes on with so many seeds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::server::*;
use sluicegate_harness::host::{Process, Sluicegate};
use sluicegate_model::splitmix;
use sluicegate_mssql_simulator::{Copy, Fault, Simulator};

struct Chance(u64);

impl Chance {
    fn draw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        splitmix::mix(self.0) % below
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// A statement of rows.
fn statement(chance: &mut Chance) -> String {
    let (a, b) = (["b", "A", "a", "C", "é"][chance.draw(5) as usize], chance.draw(12));
    let key = format!("a = '{a}' AND b = {b}");
    match chance.draw(12) {
        0..=4 => format!("DELETE dbo.t WHERE {key}; INSERT dbo.t (a, b, v) VALUES ('{a}', {b}, {})", chance.draw(1000)),
        5..=7 => format!("UPDATE dbo.t SET v = v + 1 WHERE b = {b}"),
        8 => format!("DELETE dbo.t WHERE {key}"),
        9 => format!("BEGIN TRANSACTION; UPDATE dbo.t SET v = {}; DELETE dbo.t WHERE b = {b}; ROLLBACK", chance.draw(1000)),
        10 => format!("BEGIN TRANSACTION; UPDATE dbo.t SET v = {} WHERE b > {b}; UPDATE dbo.u SET v = v + 1; COMMIT", chance.draw(1000)),
        _ => format!("DELETE dbo.u WHERE id = {b}; INSERT dbo.u (id, v) VALUES ({b}, {})", chance.draw(1000)),
    }
}

/// A run of the model.
struct Model {
    chance: Chance,
    database: Database,
    host: Sluicegate,
    process: Option<Process>,
    /// Columns that were added to `u`.
    added: u64,
    /// The databases as they were some steps ago.
    copy: Option<Copy>,
}

impl Model {
    fn new(mut database: Database, seed: u64) -> Self {
        database.table("t", "a varchar(5) COLLATE Latin1_General_CS_AS NOT NULL, b int NOT NULL, v int NULL, PRIMARY KEY (b, a)");
        database.table("u", "id int NOT NULL PRIMARY KEY, v int NULL");
        // what happens to a table is told from nothing by the database's version alone
        database.table("tick", "n int NOT NULL PRIMARY KEY");
        database.sql("INSERT dbo.tick VALUES (0)");
        // results that end inside of versions, or that are left when another table waits
        let (rows, threads) = if seed % 2 == 1 { (7, 3) } else { (1_000_000, 1) };
        let settings = [
            "tables: [{ like: '_', start: snapshot-first }]",
            "headers: none",
            "lost_position: re-initialise",
            "batches_per_visit: 1",
            &format!("fetch_rows: {rows}"),
            &format!("threads: {threads}"),
        ];
        let host = database.pipeline_with(&settings, "{ type: file, format: flat, folder: out, prefix: t }", ", batch_changes: 7");
        Self { chance: Chance(seed), database, host, process: None, added: 0, copy: None }
    }

    fn sql(&mut self, text: &str) {
        self.database.connect_if_broken();
        self.database.sql(text);
    }

    /// Something that befalls the server or the definitions of its tables.
    fn befall(&mut self) {
        let Some(simulator) = self.database.simulator().cloned() else { return };
        // each takes a while to get over
        if simulator.faults().left() > 0 {
            return;
        }
        match self.chance.draw(24) {
            0 | 1 => simulator.disconnect(),
            2 | 3 => simulator.plan("CHANGETABLE", Fault::DisconnectAfterRows(self.chance.draw(9) as usize)),
            4 | 5 => simulator.plan("CHANGETABLE", Fault::deadlock()),
            6 | 7 => simulator.plan("AS t WHERE", Fault::Disconnect),
            8 => simulator.clean(&self.database.name, self.chance.draw(20).cast_signed()),
            9 => self.sql("UPDATE dbo.tick SET n = n + 1; TRUNCATE TABLE dbo.u"),
            10 => {
                self.sql("ALTER TABLE dbo.u DISABLE CHANGE_TRACKING");
                self.sql("UPDATE dbo.tick SET n = n + 1; UPDATE dbo.u SET v = v + 1");
                self.sql("ALTER TABLE dbo.u ENABLE CHANGE_TRACKING");
            }
            11 => {
                self.added += 1;
                self.sql(&format!("ALTER TABLE dbo.u ADD x{} int NULL", self.added));
            }
            12 if self.added > 0 => {
                self.sql(&format!("ALTER TABLE dbo.u DROP COLUMN x{}", self.added));
                self.added -= 1;
            }
            13 if self.copy.is_none() => self.copy = Some(simulator.copy()),
            14 => {
                if let Some(copy) = self.copy.take() {
                    self.fail_over(&simulator, &copy);
                }
            }
            _ => {}
        }
    }

    /// The server fails over to an older copy. A place of what the copy does not have is noticed by its version alone, so nothing is changed
    /// before it is.
    fn fail_over(&mut self, simulator: &Simulator, to: &Copy) {
        drop(self.process.take().map(Process::kill9));
        simulator.fail_over(to);
        self.database.connect_if_broken();
        let current = self.database.texts("SELECT CAST(CHANGE_TRACKING_CURRENT_VERSION() AS nvarchar(20))");
        let current: u64 = current[0][0].as_ref().expect("a version").parse().expect("a number");
        let columns =
            self.database.texts("SELECT c.name FROM sys.columns AS c WHERE c.object_id = OBJECT_ID('dbo.u') AND c.name LIKE 'x%'");
        self.added = columns.len() as u64;
        let generation = |place: &Value| place["generation"].as_u64().expect("a number");
        let void: BTreeMap<String, u64> = lanes(&self.host)
            .into_iter()
            .filter(|(_, place)| ["version", "inside", "known"].iter().any(|reached| place[*reached].as_u64() > Some(current)))
            .map(|(lane, place)| (lane, generation(&place)))
            .collect();
        if void.is_empty() {
            return;
        }
        let mut process = self.host.spawn();
        process.wait_until("tables that begin anew", PATIENCE, || {
            let now = lanes(&self.host);
            void.iter().all(|(lane, before)| now.get(lane).is_some_and(|place| generation(place) > *before))
        });
        self.process = Some(process);
    }

    fn step(&mut self) {
        let text = statement(&mut self.chance);
        self.sql(&text);
        self.befall();
        match (self.chance.draw(12), self.process.take()) {
            (0, Some(running)) => drop(running.kill9()),
            (_, None) => self.process = Some(self.host.spawn()),
            (_, running) => self.process = running,
        }
    }

    /// What was delivered, and the tables.
    fn compare(mut self, said: &str) {
        self.database.connect_if_broken();
        drop(self.process.take().map(Process::kill9));
        drain(&self.host);
        let all = records(&self.host);
        let t = replay(&all, "t", &["a", "b"]).into_values().map(|row| format!("{},{},{}", row["a"].as_str().unwrap(), row["b"], row["v"]));
        let u = replay(&all, "u", &["id"]).into_values().map(|row| format!("{},{}", row["id"], row["v"]));
        let tables = [
            (t.collect::<Vec<_>>(), "SELECT t.a, CAST(t.b AS nvarchar(20)), CAST(t.v AS nvarchar(20)) FROM dbo.t AS t"),
            (u.collect(), "SELECT CAST(u.id AS nvarchar(20)), CAST(u.v AS nvarchar(20)) FROM dbo.u AS u"),
        ];
        for (mut found, query) in tables {
            let rows = self.database.texts(query);
            let mut expected: Vec<String> =
                rows.into_iter().map(|row| row.into_iter().map(Option::unwrap).collect::<Vec<_>>().join(",")).collect();
            expected.sort();
            found.sort();
            assert_eq!(found, expected, "{said}");
        }
    }
}

fn differ(database: fn() -> Database, seed: u64, said: &str) {
    let first = number("SLUICEGATE_CT_SEED", seed);
    for seed in first..first + number("SLUICEGATE_CT_RUNS", 1) {
        let mut model = Model::new(database(), seed);
        for _ in 0..number("SLUICEGATE_CT_STEPS", 150) {
            model.step();
        }
        model.compare(&format!("seed {seed}, {said}"));
    }
}

#[test]
fn random_changes_and_faults_end_as_the_tables_are() {
    differ(Database::new, 1, "under SNAPSHOT");
}

#[test]
fn random_changes_and_faults_end_as_the_tables_are_without_snapshot() {
    differ(Database::without_snapshot, 2, "without SNAPSHOT");
}
