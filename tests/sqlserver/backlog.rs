//! What a backlog costs the server: rows that CHANGETABLE goes through.

use super::server::*;

const T: &str = "id int NOT NULL PRIMARY KEY, v int NULL";
const SINK: &str = "{ type: file, format: flat, folder: out, prefix: t }";

/// Rows of a version.
const EACH: u64 = 500;
/// Rows of a turn.
const TURN: u64 = 100;

fn fill(database: &mut Database, table: &str, rows: u64) {
    database.table(table, T);
    for from in (0..rows).step_by(EACH as usize) {
        let rows: Vec<String> = (from..from + EACH).map(|id| format!("({id}, 0)")).collect();
        database.sql(&format!("INSERT dbo.{table} VALUES {}", rows.join(", ")));
    }
}

/// Drains a database with turns of a hundred rows. The rows that CHANGETABLE went through.
fn drained(database: &Database, more: &[&str]) -> Option<(u64, Vec<serde_json::Value>)> {
    let simulator = database.simulator()?;
    let settings: Vec<&str> = ["tables: [{ start: 0 }]", "headers: none", "batches_per_visit: 2"].iter().chain(more).copied().collect();
    let host = database.pipeline_with(&settings, SINK, ", batch_changes: 50");
    let before = simulator.tracked_rows();
    drain(&host);
    Some((simulator.tracked_rows() - before, records(&host)))
}

#[test]
fn the_backlog_of_a_table_is_gone_through_once() {
    for (make, rows) in [(Database::new as fn() -> Database, 2000), (Database::new, 8000), (Database::without_snapshot, 8000)] {
        let mut database = make();
        fill(&mut database, "t", rows);
        database.table("quiet", T);
        let Some((gone_through, records)) = drained(&database, &[]) else { return };
        assert_eq!(records.len() as u64, rows);
        // in turns of a hundred rows it were 20,000 and 320,000
        assert!(gone_through <= rows + rows / 10, "{gone_through} for {rows}");
    }
}

#[test]
fn backlogs_of_several_tables_are_gone_through_a_few_times_while_they_advance_together() {
    let mut database = Database::new();
    let rows = 4000;
    for table in ["a", "b", "c"] {
        fill(&mut database, table, rows);
    }
    let Some((gone_through, records)) = drained(&database, &[]) else { return };
    assert_eq!(records.len() as u64, 3 * rows);
    // in turns of a hundred rows it were 246,000
    assert!(gone_through <= 3 * rows * 6, "{gone_through}");
    let (mut delivered, tables) = ([0_u64; 3], ["a", "b", "c"]);
    for record in &records {
        delivered[tables.iter().position(|table| record["_table"] == *table).unwrap()] += 1;
        let (least, most) = (*delivered.iter().min().unwrap(), *delivered.iter().max().unwrap());
        // none has more than a turn before the others, and a turn is as long as all before it and one more
        assert!(most <= 2 * least + TURN, "{delivered:?}");
    }
}

#[test]
fn a_query_asks_for_no_more_rows_than_the_setting_however_long_a_turn_is() {
    let mut database = Database::new();
    fill(&mut database, "t", 2000);
    let Some(simulator) = database.simulator().cloned() else { return };
    simulator.faults().record();
    let Some((_, records)) = drained(&database, &["fetch_rows: 700"]) else { return };
    assert_eq!(records.len(), 2000);
    let queries = simulator.faults().recorded().iter().filter(|text| text.contains("LEFT OUTER JOIN [dbo].[t]")).count();
    assert_eq!(queries, 3);
}
