//! A table with many changes, while others have some: against the simulator.

use std::time::Duration;

use sluicegate_model::{
    change::{Item, Mark, MarkKind},
    limits::Limits,
};
use sluicegate_mssql_simulator::Simulator;

use super::{
    items::{Running, reading, rows, run, tracked, until},
    *,
};

/// Changes of the large table.
const LARGE: usize = 200;
/// Items that the source is ahead of who takes them, and some.
const AHEAD: usize = 25;

/// Reads a large table, `t`, one row a batch and one batch a turn, until nothing further is taken; then `u` gets its first row, and is found.
async fn with_a_small_one(simulator: &Simulator, snapshot: bool) -> Running {
    let isolation = if snapshot { Isolation::Snapshot } else { Isolation::ReadCommitted };
    run(simulator, "sales", "CREATE TABLE dbo.u (id int PRIMARY KEY)").await;
    run(simulator, "sales", "ALTER TABLE dbo.u ENABLE CHANGE_TRACKING").await;
    run(simulator, "master", "ALTER DATABASE sales SET ALLOW_SNAPSHOT_ISOLATION ON").await;
    let settings = SqlServerSource { isolation, ..reading(simulator) };
    simulator.faults().record();
    let running = Running::start(settings, Limits { batch_changes: 1, ..Limits::default() }).await;
    let mut asked = 0;
    until("the large table is read", || {
        asked += simulator.faults().recorded().iter().filter(|text| text.contains("LEFT OUTER JOIN [dbo].[t]")).count();
        asked > 0 && running.items.len() == running.items.max_capacity()
    })
    .await;
    run(simulator, "sales", "INSERT dbo.u VALUES (7)").await;
    simulator.faults().recorded();
    let mut looks = 0;
    // the second one begins when what the first one found waits for its turn
    until("two looks", || {
        looks += simulator.faults().recorded().iter().filter(|text| text.contains("t.name LIKE @P2 ORDER BY")).count();
        looks >= 2
    })
    .await;
    assert_eq!(asked, 1, "one query is open");
    running
}

#[tokio::test]
async fn a8_a_table_that_gets_changes_has_its_turn_while_a_large_one_is_read() {
    for (snapshot, statements) in [(true, 1), (true, LARGE), (false, 1), (false, LARGE)] {
        let simulator = tracked("CREATE TABLE dbo.t (id int PRIMARY KEY)").await;
        let each = (LARGE / statements) as u32;
        for n in 0..statements as u32 {
            run(&simulator, "sales", rows(n * each..(n + 1) * each)).await;
        }
        let mut running = with_a_small_one(&simulator, snapshot).await;
        let (mut ids, mut small_at) = (Vec::new(), None);
        while ids.len() < LARGE || small_at.is_none() {
            let Item::Rows(batch) = running.next().await else { continue };
            if batch.tables[0].table.name.table == "u" {
                small_at = Some(ids.len());
                continue;
            }
            let Values::Int64(values) = &batch.tables[0].columns[0].values else { panic!("{batch:?}") };
            ids.extend(values.iter().copied());
        }
        assert!(small_at < Some(AHEAD), "{small_at:?}");
        // what was left is read on from there, also inside of a version
        assert!(ids.iter().copied().eq(0..LARGE as i64), "{ids:?}");
        running.stop().await;
        // a turn of the small one is full with its only row, so it has a second one
        assert!(simulator.tracked_rows() < 5 * LARGE as u64, "{}", simulator.tracked_rows());
    }
}

#[tokio::test]
async fn d12_without_snapshot_a_result_that_was_left_counts_once_everything_is_found_to_have_been_there() {
    let simulator = tracked("CREATE TABLE dbo.t (id int PRIMARY KEY)").await;
    for n in 0..LARGE as u32 {
        run(&simulator, "sales", rows(n..n + 1)).await;
    }
    let mut running = with_a_small_one(&simulator, false).await;
    // the rows up to it were taken already, and nothing says that they were all there
    simulator.clean("sales", 10);
    let mut changes = 0;
    loop {
        match running.next().await {
            Item::Rows(batch) if batch.tables[0].table.name.table == "t" => changes += batch.changes.len(),
            Item::Mark(Mark { kind: MarkKind::Truncate(truncate), .. }) => {
                assert_eq!(truncate.table.name.table, "t");
                break;
            }
            _ => {}
        }
    }
    assert!((11..AHEAD).contains(&changes), "{changes}");
    running.stop().await;
}

#[tokio::test]
async fn a8_changes_that_are_left_out_count_in_a_turn() {
    let simulator = tracked("CREATE TABLE dbo.t (id int PRIMARY KEY)").await;
    run(&simulator, "sales", rows(0..300)).await;
    run(&simulator, "sales", "CREATE TABLE dbo.u (id int PRIMARY KEY)").await;
    run(&simulator, "sales", "ALTER TABLE dbo.u ENABLE CHANGE_TRACKING").await;
    run(&simulator, "sales", "INSERT dbo.u VALUES (1), (2), (3)").await;
    let settings = SqlServerSource { ignore_context: vec![b"own".to_vec()], interval: Duration::from_secs(3600), ..reading(&simulator) };
    run(&simulator, "sales", "WITH CHANGE_TRACKING_CONTEXT (0x6F776E) UPDATE dbo.t SET id = id").await;
    let mut running = Running::start(settings, Limits { batch_changes: 1, ..Limits::default() }).await;
    let mut found = 0;
    while found < 3 {
        if let Item::Rows(batch) = running.next().await {
            assert_eq!(batch.tables[0].table.name.table, "u");
            found += batch.changes.len();
        }
    }
    running.stop().await;
    // turns of 1, 2, 4, … rows
    assert!(simulator.tracked_rows() < 3000, "{}", simulator.tracked_rows());
}
