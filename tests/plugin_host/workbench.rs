//! What the tests of the plugin host share: a table, batches of its changes, chains of plugins over them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use sluicegate_config::{self as config, OnError, PluginOrigin, TablePatterns};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_guest_builder as guests;
use sluicegate_model::{
    change::{
        Batch, Capabilities, Change, Column, ColumnInfo, DataType, Event, Image, Lane, NO_IMAGE, NativeType, Offset, Operation, Place,
        Strings, Table, TableName, TableRows, Transaction, Values,
    },
    limits::Limits,
};
use sluicegate_plugin_host::{Chain, Engine, KnownTables, Member, Surroundings};
use sluicegate_status::{PluginStatus, Status};

/// `shop.orders`: a key and a text.
pub fn orders() -> Arc<Table> {
    let column = |name: &str, data_type, primary_key| ColumnInfo {
        name: name.into(),
        data_type,
        native_type: NativeType::default(),
        nullable: true,
        primary_key,
        place: Place::Value,
    };
    Arc::new(Table {
        name: TableName::new("shop", "orders"),
        destination: None,
        columns: vec![column("id", DataType::Int64, true), column("email", DataType::Text, false)],
    })
}

/// A change of `shop.orders`, by the numbers of its images.
pub type Images = (Operation, Option<i64>, Option<i64>);

/// Changes of `shop.orders`: row `n` has the id `n` and the e-mail address `user{n}@example.com`. Change `i` was executed
/// `i` microseconds after 1970.
pub fn changes(table: &Arc<Table>, changes: &[Images]) -> Batch {
    let mut rows = TableRows::new(table.clone());
    let (mut ids, mut emails) = (Vec::new(), Strings::default());
    let mut batch = Batch { taken: changes.len() as u32, ..Batch::empty(0, Lane::new("rows"), Offset::from_json("{}")) };
    for (i, (operation, before, after)) in (0u32..).zip(changes) {
        let mut image = |number: &Option<i64>, image: Image| {
            number.map_or(NO_IMAGE, |number| {
                ids.push(number);
                emails.push(format!("user{number}@example.com").as_bytes());
                rows.images.push(image as u8);
                ids.len() as u32 - 1
            })
        };
        let (before, after) = (image(before, Image::Before), image(after, Image::After));
        batch.changes.push(Change { table: 0, before, after, operation: *operation, event: i, row: 0 });
        batch.events.push(Event { position: 4321, time_us: i64::from(i), server_id: 1, ..Event::default() });
    }
    rows.columns = vec![Column::of(Values::Int64(ids), Default::default()), Column::of(Values::Text(emails), Default::default())];
    batch.tables = vec![rows];
    batch.transactions = vec![Transaction { file: "binlog.000007".into(), ..Transaction::default() }];
    batch.validate().expect("a sound batch");
    batch
}

/// Inserts of ids `0..count`.
pub fn inserts(table: &Arc<Table>, count: u32) -> Batch {
    changes(table, &(0..i64::from(count)).map(|id| (Operation::Insert, None, Some(id))).collect::<Vec<_>>())
}

/// The values of a text column, by row; `None` = null.
pub fn texts(batch: &Batch, column: &str) -> Vec<Option<String>> {
    let rows = &batch.tables[0];
    let place = rows.table.columns.iter().position(|c| c.name == column).unwrap_or_else(|| panic!("no column {column}"));
    let column = &rows.columns[place];
    let Values::Text(text) = &column.values else { panic!("text") };
    (0..rows.len()).map(|i| (!column.nulls.get(i)).then(|| String::from_utf8_lossy(text.get(i)).into_owned())).collect()
}

/// The values of the key, by row.
pub fn ids(batch: &Batch) -> &[i64] {
    let Values::Int64(ids) = &batch.tables[0].columns[0].values else { panic!("ids") };
    ids
}

/// A chain, and what it counts and sets aside.
pub struct Bench {
    pub chain: Chain,
    pub status: Arc<Status>,
    pub dead_letters: tempfile::TempDir,
}

/// The engine of this test process: as in a program with several pipelines, all chains share it.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(Some(&guests::repository().join("target/test-compiled"))).expect("an engine"))
}

/// Short of time and memory, so that faults show soon.
pub fn limits() -> Limits {
    Limits {
        plugin_call: Duration::from_millis(200),
        plugin_start: Duration::from_millis(300),
        plugin_memory: 16 << 20,
        ..Limits::default()
    }
}

/// A chain of components with their configurations.
pub fn chain(members: &[(&[u8], &str)], on_error: OnError) -> sluicegate_model::Result<Bench> {
    chain_within(limits(), members, on_error)
}

/// The same within other limits.
pub fn chain_within(limits: Limits, members: &[(&[u8], &str)], on_error: OnError) -> sluicegate_model::Result<Bench> {
    chain_on(engine(), limits, members, on_error)
}

/// The same on another engine.
pub fn chain_on(engine: &Engine, limits: Limits, members: &[(&[u8], &str)], on_error: OnError) -> sluicegate_model::Result<Bench> {
    chain_behind(Capabilities::default(), engine, limits, members, on_error)
}

/// The same behind a source that gives this.
pub fn chain_behind(
    capabilities: Capabilities,
    engine: &Engine,
    limits: Limits,
    members: &[(&[u8], &str)],
    on_error: OnError,
) -> sluicegate_model::Result<Bench> {
    let dead_letters = tempfile::tempdir().expect("a folder");
    let status =
        Arc::new(Status { plugins: (0..members.len()).map(|i| PluginStatus::new(&format!("p{i}"))).collect(), ..Default::default() });
    let around = Surroundings {
        limits: Arc::new(limits.clone()),
        status: status.clone(),
        dead_letters: Arc::new(DeadLetters::new(dead_letters.path(), 1 << 20)),
        known: Arc::new(KnownTables::new(100)),
        capabilities,
    };
    let members = members
        .iter()
        .enumerate()
        .map(|(i, (bytes, config))| {
            let settings = config::Plugin {
                name: format!("p{i}"),
                origin: PluginOrigin::Embedded("test".into()),
                tables: TablePatterns::default(),
                config: (*config).to_owned(),
                on_error,
                grants: config::Grants::default(),
                fail_closed: false,
            };
            Ok(Member { settings: Arc::new(settings), compiled: engine.compile(bytes, &limits)? })
        })
        .collect::<sluicegate_model::Result<Vec<_>>>()?;
    Ok(Bench { chain: Chain::new(&members, around)?, status, dead_letters })
}

/// The guest that misbehaves so.
pub fn evil(behaviour: &str, on_error: OnError) -> sluicegate_model::Result<Bench> {
    chain(&[(&guests::evil(), &format!(r#"{{"behaviour": "{behaviour}"}}"#))], on_error)
}

/// An error as it is promised.
pub fn told(error: &sluicegate_model::Error) -> String {
    // the causes are wasmtime's words and addresses: ours are what is promised
    format!("[{:?}] {}\n  remedy: {}", error.kind(), error.message(), error.remedy_text().unwrap_or("-"))
}
