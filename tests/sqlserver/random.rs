//! Random changes, faults and kills while a pipeline copies and polls: what is delivered ends as the tables are.

use super::server::*;
use sluicegate_harness::host::Process;
use sluicegate_model::splitmix;
use sluicegate_mssql_simulator::Fault;

const STEPS: u64 = 150;

struct Chance(u64);

impl Chance {
    fn draw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        splitmix::mix(self.0) % below
    }
}

/// A statement that may fail.
fn statement(chance: &mut Chance) -> String {
    let (a, b) = (["b", "A", "a", "C", "é"][chance.draw(5) as usize], chance.draw(12));
    let key = format!("a = '{a}' AND b = {b}");
    match chance.draw(12) {
        0..=4 => format!("DELETE dbo.t WHERE {key}; INSERT dbo.t VALUES ('{a}', {b}, {})", chance.draw(1000)),
        5..=7 => format!("UPDATE dbo.t SET v = v + 1 WHERE b = {b}"),
        8 => format!("DELETE dbo.t WHERE {key}"),
        9 => format!("BEGIN TRANSACTION; UPDATE dbo.t SET v = {}; DELETE dbo.t WHERE b = {b}; ROLLBACK", chance.draw(1000)),
        10 => format!("BEGIN TRANSACTION; UPDATE dbo.t SET v = {} WHERE b > {b}; UPDATE dbo.u SET v = v + 1; COMMIT", chance.draw(1000)),
        _ => format!("DELETE dbo.u WHERE id = {b}; INSERT dbo.u VALUES ({b}, {})", chance.draw(1000)),
    }
}

fn fault(chance: &mut Chance, database: &Database) {
    let Some(simulator) = database.simulator() else { return };
    // each takes a while to get over
    if simulator.faults().left() > 0 {
        return;
    }
    match chance.draw(10) {
        0 => simulator.disconnect(),
        1 => simulator.plan("CHANGETABLE", Fault::DisconnectAfterRows(chance.draw(9) as usize)),
        2 => simulator.plan("CHANGETABLE", Fault::deadlock()),
        3 => simulator.plan("AS t WHERE", Fault::Disconnect),
        4 => drop(simulator.run(&database.name, "TRUNCATE TABLE dbo.u")),
        5 => simulator.clean(&database.name, chance.draw(20).cast_signed()),
        _ => {}
    }
}

fn differ(database: &mut Database, snapshot: bool, seed: u64) {
    let mut chance = Chance(std::env::var("CT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed));
    database.table("t", "a varchar(5) COLLATE Latin1_General_CS_AS NOT NULL, b int NOT NULL, v int NULL, PRIMARY KEY (b, a)");
    database.table("u", "id int NOT NULL PRIMARY KEY, v int NULL");
    let settings =
        ["tables: [{ start: snapshot-first }]", "headers: none", "lost_position: re-initialise", "batches_per_visit: 1", "threads: 2"];
    let host = database.pipeline_with(&settings, "{ type: file, format: flat, folder: out, prefix: t }", ", batch_changes: 7");
    let mut process: Option<Process> = None;
    for _ in 0..STEPS {
        let text = statement(&mut chance);
        database.connect_if_broken();
        database.sql(&text);
        fault(&mut chance, database);
        match (chance.draw(12), process.take()) {
            (0, Some(running)) => drop(running.kill9()),
            (_, None) => process = Some(host.spawn()),
            (_, running) => process = running,
        }
    }
    database.connect_if_broken();
    drop(process.map(Process::kill9));
    drain(&host);
    let all = records(&host);
    let t = replay(&all, "t", &["a", "b"]);
    let expected = database.texts("SELECT t.a, CAST(t.b AS nvarchar(20)), CAST(t.v AS nvarchar(20)) FROM dbo.t AS t");
    let mut expected: Vec<String> =
        expected.into_iter().map(|row| row.into_iter().map(Option::unwrap).collect::<Vec<_>>().join(",")).collect();
    let mut found: Vec<String> = t.values().map(|row| format!("{},{},{}", row["a"].as_str().unwrap(), row["b"], row["v"])).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let u = replay(&all, "u", &["id"]);
    let expected = database.texts("SELECT CAST(u.id AS nvarchar(20)), CAST(u.v AS nvarchar(20)) FROM dbo.u AS u");
    let mut expected: Vec<String> =
        expected.into_iter().map(|row| row.into_iter().map(Option::unwrap).collect::<Vec<_>>().join(",")).collect();
    let mut found: Vec<String> = u.values().map(|row| format!("{},{}", row["id"], row["v"])).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "under SNAPSHOT: {snapshot}");
}

#[test]
fn random_changes_and_faults_end_as_the_tables_are() {
    differ(&mut Database::new(), true, 1);
}

#[test]
fn random_changes_and_faults_end_as_the_tables_are_without_snapshot() {
    differ(&mut Database::without_snapshot(), false, 2);
}
