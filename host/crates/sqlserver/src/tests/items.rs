//! The order of items, against the simulator.

use std::time::Duration;

use sluicegate_model::{
    change::{Drained, Frontier, Item, Mark, MarkKind},
    limits::Limits,
};
use sluicegate_mssql_simulator::{Fault, Simulator};
use sluicegate_source::{Begin, Items, Source as _};
use sluicegate_status::Status;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::SqlServer;

pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(simulator: &Simulator, database: &'static str, sql: &'static str) {
    let simulator = simulator.clone();
    let outcome = tokio::task::spawn_blocking(move || simulator.run(database, sql).map(drop));
    outcome.await.expect("it runs").unwrap_or_else(|error| panic!("{error:?}: {sql}"));
}

/// A simulator with a tracked table.
pub(super) async fn tracked(columns: &'static str) -> Simulator {
    let simulator = Simulator::start();
    run(&simulator, "master", "CREATE DATABASE sales").await;
    run(&simulator, "master", "ALTER DATABASE sales SET CHANGE_TRACKING = ON").await;
    run(&simulator, "sales", columns).await;
    run(&simulator, "sales", "ALTER TABLE dbo.t ENABLE CHANGE_TRACKING").await;
    simulator
}

/// Reads all of it from its first version on.
pub(super) fn reading(simulator: &Simulator) -> SqlServerSource {
    SqlServerSource {
        port: simulator.port(),
        host: "127.0.0.1".into(),
        login: SqlLogin::Password { user: "sa".into(), password: Secret::new(Simulator::PASSWORD) },
        tables: vec![TrackedTables {
            database: None,
            schema: "dbo".into(),
            like: "%".into(),
            exclude: None,
            start: TrackedStart::After(0),
        }],
        re_initialise: true,
        interval: Duration::from_millis(10),
        retries: 10,
        query_timeout: PATIENCE,
        ..settings()
    }
}

/// A source that runs.
pub(super) struct Running {
    pub(super) items: mpsc::Receiver<Item>,
    stop: CancellationToken,
    ends: tokio::task::JoinHandle<sluicegate_model::Result<()>>,
}

impl Running {
    pub(super) async fn start(settings: SqlServerSource, limits: Limits) -> Self {
        Self::start_at(settings, limits, Begin::First).await
    }

    async fn start_at(settings: SqlServerSource, limits: Limits, begin: Begin) -> Self {
        Self::start_counted(settings, limits, begin, Arc::default()).await
    }

    /// Its numbers are counted in `status`.
    async fn start_counted(settings: SqlServerSource, limits: Limits, begin: Begin, status: Arc<Status>) -> Self {
        let mut source = SqlServer::new(settings, limits, status);
        let frontiers = source.check(&[begin]).await.unwrap();
        let (out, items) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let ends = tokio::spawn(source.run(frontiers, Items::from(out), stop.clone()));
        Self { items, stop, ends }
    }

    pub(super) async fn next(&mut self) -> Item {
        timeout(PATIENCE, self.items.recv()).await.expect("an item in time").expect("it reads")
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        drop(self.items);
        self.ends.await.expect("it ends").unwrap();
    }
}

#[tokio::test]
async fn a10_no_batch_holds_more_changes_than_the_limit() {
    let simulator = tracked("CREATE TABLE dbo.t (id int PRIMARY KEY)").await;
    run(&simulator, "sales", "INSERT dbo.t VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10)").await;
    let settings = SqlServerSource { batches_per_visit: Some(100), ..reading(&simulator) };
    let mut running = Running::start(settings, Limits { batch_changes: 4, ..Limits::default() }).await;
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 10 {
        if let Item::Rows(batch) = running.next().await {
            sizes.push(batch.changes.len());
        }
    }
    assert_eq!(sizes, [4, 4, 2]);
    running.stop().await;
}

#[tokio::test]
async fn d12_a_truncate_is_the_first_of_the_items_of_a_table_that_begins_anew_with_other_columns() {
    let simulator = tracked("CREATE TABLE dbo.t (id int PRIMARY KEY, a int)").await;
    run(&simulator, "sales", "INSERT dbo.t VALUES (1, 1)").await;
    let mut running = Running::start(reading(&simulator), Limits::default()).await;
    while !matches!(running.next().await, Item::Rows(_)) {}
    run(&simulator, "sales", "DROP TABLE dbo.t").await;
    run(&simulator, "sales", "CREATE TABLE dbo.t (id int PRIMARY KEY, b int, c int)").await;
    run(&simulator, "sales", "ALTER TABLE dbo.t ENABLE CHANGE_TRACKING").await;
    let first = loop {
        let item = running.next().await;
        if CtPlace::of(item.offset()).unwrap().generation == 2 {
            break item;
        }
    };
    let Item::Mark(Mark { kind: MarkKind::Truncate(truncate), .. }) = first else { panic!("{first:?}") };
    assert!(truncate.table.columns.iter().any(|column| column.name == "c"));
    // and the next ones say what else is new
    let second = running.next().await;
    assert!(matches!(&second, Item::Mark(Mark { kind: MarkKind::Renamed(_), .. })), "{second:?}");
    let third = running.next().await;
    assert!(matches!(&third, Item::Mark(Mark { kind: MarkKind::Schema(_), .. })), "{third:?}");
    running.stop().await;
}

/// A second database with a tracked table, that was cleaned up after two rows.
async fn with_another(simulator: &Simulator) {
    run(simulator, "master", "CREATE DATABASE other").await;
    run(simulator, "master", "ALTER DATABASE other SET CHANGE_TRACKING = ON").await;
    run(simulator, "other", "CREATE TABLE dbo.u (id int PRIMARY KEY)").await;
    run(simulator, "other", "ALTER TABLE dbo.u ENABLE CHANGE_TRACKING").await;
    run(simulator, "other", "INSERT dbo.u VALUES (1)").await;
    run(simulator, "other", "INSERT dbo.u VALUES (2)").await;
    simulator.clean("other", 2);
}

/// Databases that are read from now on.
fn from_now(simulator: &Simulator, databases: &[&str]) -> SqlServerSource {
    let mut settings = SqlServerSource { re_initialise: false, ..reading(simulator) };
    settings.databases = databases.iter().map(|name| (*name).to_owned()).collect();
    settings.tables.iter_mut().for_each(|entry| entry.start = TrackedStart::Now);
    settings
}

#[tokio::test]
async fn a_database_that_is_added_is_read_from_what_the_server_still_has_of_it() {
    let simulator = tracked("CREATE TABLE dbo.t (id int PRIMARY KEY)").await;
    with_another(&simulator).await;
    let mut before = SqlServer::new(from_now(&simulator, &["sales"]), Limits::default(), Arc::default());
    let frontier = before.check(&[Begin::First]).await.unwrap().remove(0);
    run(&simulator, "other", "INSERT dbo.u VALUES (3)").await;
    let both = from_now(&simulator, &["sales", "other"]);
    let mut running = Running::start_at(both, Limits::default(), Begin::At(frontier)).await;
    let batch = loop {
        if let Item::Rows(batch) = running.next().await {
            break batch;
        }
    };
    assert_eq!((batch.tables[0].table.name.table.as_str(), batch.changes.len()), ("u", 1));
    running.stop().await;
}

#[tokio::test]
async fn a25_no_more_data_is_told_after_a_database_was_removed() {
    let simulator = tracked("CREATE TABLE dbo.t (id int PRIMARY KEY)").await;
    with_another(&simulator).await;
    let mut before = SqlServer::new(from_now(&simulator, &["sales", "other"]), Limits::default(), Arc::default());
    let frontier = before.check(&[Begin::First]).await.unwrap().remove(0);
    let one = SqlServerSource { events: true, ..from_now(&simulator, &["sales"]) };
    let mut running = Running::start_at(one, Limits::default(), Begin::At(frontier)).await;
    let is_end = |item: &Item| matches!(item, Item::Mark(Mark { kind: MarkKind::Drained(Drained::Everything), .. }));
    while !is_end(&running.next().await) {}
    running.stop().await;
}

/// Waits until something is so.
pub(super) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("{what}"));
}

/// Rows with these ids.
pub(super) fn rows(ids: std::ops::Range<u32>) -> &'static str {
    let values: Vec<String> = ids.map(|id| format!("({id})")).collect();
    format!("INSERT dbo.t VALUES {}", values.join(", ")).leak()
}

#[tokio::test]
async fn no_connection_and_no_transaction_stays_open_while_nobody_takes_rows() {
    for start in [TrackedStart::After(0), TrackedStart::Copy] {
        let simulator = tracked("CREATE TABLE dbo.t (id int PRIMARY KEY)").await;
        run(&simulator, "master", "ALTER DATABASE sales SET ALLOW_SNAPSHOT_ISOLATION ON").await;
        // more than the queue holds
        run(&simulator, "sales", rows(0..60)).await;
        let mut settings = SqlServerSource { batches_per_visit: Some(100), query_timeout: Duration::from_secs(1), ..reading(&simulator) };
        let hour = Duration::from_secs(3600);
        (settings.interval, settings.idle_timeout, settings.max_lifetime) = (hour, hour, hour);
        settings.tables.iter_mut().for_each(|entry| entry.start = start);
        let mut running = Running::start(settings, Limits { batch_changes: 1, ..Limits::default() }).await;
        simulator.faults().record();
        let mut read = false;
        until("the rows are asked for", || {
            read |= simulator.faults().recorded().iter().any(|text| text.contains("[dbo].[t] AS t"));
            read
        })
        .await;
        // the one that looks for changes is left
        until("the connection is closed", || simulator.connections() == 1).await;
        let mut changes = 0;
        while changes < 60 {
            if let Item::Rows(batch) = running.next().await {
                changes += batch.changes.len();
            }
        }
        assert_eq!(changes, 60);
        running.stop().await;
    }
}

#[tokio::test]
async fn changes_are_read_to_their_end_while_a_table_is_copied() {
    let simulator = tracked("CREATE TABLE dbo.t (id int PRIMARY KEY)").await;
    run(&simulator, "sales", rows(0..2000)).await;
    // a chunk takes a hundredth of a second, and there are thirty in an interval
    let interval = Duration::from_millis(300);
    let mut settings = SqlServerSource { interval, copy_rows_per_second: Some(1000), fetch_rows: 10, ..reading(&simulator) };
    settings.tables.iter_mut().for_each(|entry| entry.start = TrackedStart::Copy);
    let behind = simulator.clone();
    let change = move || {
        behind.run("sales", rows(10_000..10_100)).expect("changes");
    };
    simulator.plan("FROM [dbo].[t] AS t", Fault::Before(Box::new(change)));
    let mut running = Running::start(settings, Limits { batch_changes: 10, ..Limits::default() }).await;
    // chunks and visits have ten each: of 100 changes there is one visit for each chunk
    let (mut changed, mut chunks) = (0, 0);
    while changed < 100 {
        let Item::Rows(batch) = running.next().await else { continue };
        if batch.changes[0].operation == Operation::Snapshot {
            chunks += u32::from(changed > 0);
        } else {
            changed += batch.changes.len();
        }
    }
    assert!(chunks <= 12, "{chunks} chunks of the copy between ten visits to changes");
    running.stop().await;
}

#[tokio::test]
async fn tables_that_are_gone_are_counted_and_those_that_nobody_wants_are_not() {
    let simulator = tracked("CREATE TABLE dbo.t (id int PRIMARY KEY)").await;
    run(&simulator, "sales", "CREATE TABLE dbo.u (id int PRIMARY KEY)").await;
    run(&simulator, "sales", "ALTER TABLE dbo.u ENABLE CHANGE_TRACKING").await;
    let mut before = SqlServer::new(reading(&simulator), Limits::default(), Arc::default());
    let frontier = before.check(&[Begin::First]).await.unwrap().remove(0);
    let mut settings = reading(&simulator);
    settings.tables.iter_mut().for_each(|entry| entry.like = "t".into());
    let status = Arc::new(Status::default());
    let running = Running::start_counted(settings, Limits::default(), Begin::At(frontier), status.clone()).await;
    let absent = || status.source.absent_tables.get();
    run(&simulator, "sales", "DROP TABLE dbo.t").await;
    until("the table that is gone", || absent() == 1).await;
    run(&simulator, "sales", "CREATE TABLE dbo.t (id int PRIMARY KEY)").await;
    run(&simulator, "sales", "ALTER TABLE dbo.t ENABLE CHANGE_TRACKING").await;
    until("the table that is there again", || absent() == 0).await;
    running.stop().await;
}

#[tokio::test]
async fn a_place_at_a_key_of_other_columns_goes_by_the_policy_for_lost_places() {
    let simulator = tracked("CREATE TABLE dbo.t (id int PRIMARY KEY)").await;
    run(&simulator, "sales", rows(0..3)).await;
    let mut before = SqlServer::new(reading(&simulator), Limits::default(), Arc::default());
    let frontier = before.check(&[Begin::First]).await.unwrap().remove(0);
    let (lane, begin) = frontier.lanes().next().map(|(lane, offset)| (lane.clone(), CtPlace::of(offset).unwrap().into_owned())).unwrap();
    let key: place::KeyText = Arc::from([Box::from("1"), Box::from("2")]);
    let inside = CtPlace { inside: Some(Inside { version: begin.version + 1, key: key.clone() }), ..begin.clone() };
    for place in [CtPlace { copied: Copied::Key(key), ..begin }, inside] {
        let at = Begin::At(Frontier::of(lane.clone(), offset(&place)));
        let mut running = Running::start_at(reading(&simulator), Limits::default(), at.clone()).await;
        loop {
            if let Item::Mark(Mark { kind: MarkKind::Truncate(_), .. }) = running.next().await {
                break;
            }
        }
        running.stop().await;
        let stopping = SqlServerSource { re_initialise: false, ..reading(&simulator) };
        let running = Running::start_at(stopping, Limits::default(), at).await;
        let ended = timeout(PATIENCE, running.ends).await.expect("in time").expect("it ends");
        assert!(ended.unwrap_err().to_string().contains("the table's key has other columns"));
    }
}
