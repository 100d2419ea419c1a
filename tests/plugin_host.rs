//! The plugin host against real components, well-behaved and evil ones.

use std::{sync::Arc, time::Duration};

use sluicegate::{
    change::{
        Batch, Change, Column, ColumnInfo, DataType, Event, Image, NO_IMAGE, Operation, Place, Position, Strings, Table, TableName,
        TableRows, Transaction, Values,
    },
    config::{self, OnError, PluginOrigin, TablePatterns},
    limits::Limits,
    plugin::{Chain, Engine, KnownTables, Member, Surroundings},
    service::{Status, status::PluginStatus},
    sink::DeadLetters,
};
use sluicegate_guest_builder as guests;

fn orders() -> Arc<Table> {
    let column = |name: &str, data_type, primary_key| ColumnInfo {
        name: name.into(),
        data_type,
        native_type: String::new(),
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

/// Inserts of ids `0..count`.
fn inserts(table: &Arc<Table>, count: u32) -> Batch {
    let mut rows = TableRows::new(table.clone());
    let mut emails = Strings::default();
    (0..count).for_each(|i| emails.push(format!("user{i}@example.com").as_bytes()));
    rows.columns = vec![
        Column { values: Values::Int64((0..i64::from(count)).collect()), nulls: Default::default() },
        Column { values: Values::Text(emails), nulls: Default::default() },
    ];
    rows.images = vec![Image::After as u8; count as usize];
    let changes = (0..count)
        .map(|i| Change { table: 0, before: NO_IMAGE, after: i, operation: Operation::Insert, event: 0, row: i, offset: i })
        .collect();
    let batch = Batch {
        taken: count,
        tables: vec![rows],
        changes,
        events: vec![Event { transaction: 0, position: 4321, time_us: 0, server_id: 1 }],
        transactions: vec![Transaction { id: None, file: "binlog.000007".into() }],
        ..Batch::empty(0, Position::new("{}"))
    };
    batch.validate().expect("a sound batch");
    batch
}

struct Bench {
    chain: Chain,
    status: Arc<Status>,
    dead_letters: tempfile::TempDir,
}

fn engine() -> Engine {
    let cache = guests::repository().join("target/test-compiled");
    Engine::new(Some(&cache)).expect("an engine")
}

fn limits() -> Limits {
    Limits {
        plugin_call: Duration::from_millis(200),
        plugin_start: Duration::from_millis(300),
        plugin_memory: 16 << 20,
        ..Limits::default()
    }
}

/// A chain of components with their configurations.
fn chain(members: &[(&[u8], &str)], on_error: OnError) -> sluicegate::Result<Bench> {
    chain_within(limits(), members, on_error)
}

fn chain_within(limits: Limits, members: &[(&[u8], &str)], on_error: OnError) -> sluicegate::Result<Bench> {
    let engine = engine();
    let dead_letters = tempfile::tempdir().expect("a folder");
    let status =
        Arc::new(Status { plugins: (0..members.len()).map(|i| PluginStatus::new(&format!("p{i}"))).collect(), ..Default::default() });
    let around = Surroundings {
        limits: Arc::new(limits.clone()),
        status: status.clone(),
        dead_letters: Arc::new(DeadLetters::new(dead_letters.path(), 1 << 20)),
        known: Arc::new(KnownTables::new(100)),
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
            };
            Ok(Member { settings: Arc::new(settings), compiled: engine.compile(bytes, &limits)? })
        })
        .collect::<sluicegate::Result<Vec<_>>>()?;
    Ok(Bench { chain: Chain::new(&members, around)?, status, dead_letters })
}

fn evil(behaviour: &str, on_error: OnError) -> sluicegate::Result<Bench> {
    chain(&[(&guests::evil(), &format!(r#"{{"behaviour": "{behaviour}"}}"#))], on_error)
}

fn told(error: &sluicegate::Error) -> String {
    // the causes are wasmtime's words and addresses: ours are what is promised
    format!("[{:?}] {}\n  remedy: {}", error.kind(), error.message(), error.remedy_text().unwrap_or("-"))
}

#[test]
fn a_file_that_is_no_plugin_is_refused_with_the_reason() {
    let broken: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("text", b"#!/bin/sh\n".to_vec()),
        ("core module", guests::core_module()),
        ("truncated", guests::truncated()),
        ("without an export", guests::without_export()),
        ("too large", vec![0; (64 << 20) + 1]),
    ];
    let texts: Vec<_> =
        broken.iter().map(|(name, bytes)| format!("{name}: {}", told(&engine().compile(bytes, &limits()).err().expect(name)))).collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    empty: [Precheck] this is not a WebAssembly component
      remedy: check the path; a plugin is a .wasm component
    text: [Precheck] this is not a WebAssembly component
      remedy: check the path; a plugin is a .wasm component
    core module: [Precheck] this is a core WebAssembly module, not a component
      remedy: encode it as a component, e.g. with `wasm-tools component new`
    truncated: [Precheck] the component is damaged or uses features that are not enabled
      remedy: build it again; a truncated copy looks like this
    without an export: [Precheck] the component exports sluicegate:plugin/transform with other functions or types than version 1.0.0 has
      remedy: build it against a released file of wit/, unchanged
    too large: [Precheck] the file has 67108865 bytes, the limit is 67108864
      remedy: make it smaller (release build, strip) or raise limits.plugin_file_bytes
    "#);
}

#[test]
fn what_fails_before_the_first_row_says_why() {
    let mut texts = Vec::new();
    for behaviour in ["fail-configure", "trap-configure", "spin-configure"] {
        texts.push(format!("{behaviour}: {}", told(&evil(behaviour, OnError::Stop).err().expect(behaviour))));
    }
    for behaviour in ["fail-plan", "trap-plan", "plan-unknown-column", "plan-duplicate-names"] {
        let mut bench = evil(behaviour, OnError::Stop).expect("configured");
        let error = bench.chain.apply(inserts(&orders(), 3)).expect_err(behaviour);
        texts.push(format!("{behaviour}: {}", told(&error)));
    }
    insta::assert_snapshot!(texts.join("\n"), @r#"
    fail-configure: [Plugin] plugin `p0`: refuses its configuration: this configuration is refused on purpose
      remedy: correct the plugin's `config` in the pipeline file
    trap-configure: [Plugin] plugin `p0`: failed in `configure`: it trapped (a panic or an abort)
      remedy: this is a fault of the plugin: its own log lines may say more
    spin-configure: [Plugin] plugin `p0`: failed in `configure`: no answer within 300 ms
      remedy: look for an endless loop in the plugin, or raise limits.plugin_start
    fail-plan: [Plugin] plugin `p0`: shop.orders: cannot plan the table: this table is refused on purpose
      remedy: correct the plugin's `config`, or take the table out of its `tables`
    trap-plan: [Plugin] plugin `p0`: shop.orders: failed in `plan`: it trapped (a panic or an abort)
      remedy: this is a fault of the plugin: its own log lines may say more
    plan-unknown-column: [Plugin] plugin `p0`: its plan for shop.orders cannot be used: column `nowhere` comes from input column 9, the table has 2 columns
      remedy: this is a fault of the plugin: its plan has to fit the table it was given
    plan-duplicate-names: [Plugin] plugin `p0`: its plan for shop.orders cannot be used: two delivered columns have the name `same`
      remedy: this is a fault of the plugin: its plan has to fit the table it was given
    "#);
}

const APPLY: [&str; 13] = [
    "trap-apply",
    "spin-apply",
    "fail-apply",
    "memory-bomb",
    "wrong-count",
    "wrong-type",
    "bad-offsets",
    "bad-utf8",
    "short-keep",
    "missing-column",
    "reject-row",
    "reject-beyond",
    "huge-output",
];

#[test]
fn with_the_policy_stop_every_fault_of_apply_stops_with_its_reason_and_place() {
    let mut texts = Vec::new();
    for behaviour in APPLY {
        let mut bench = evil(behaviour, OnError::Stop).expect("configured");
        let error = bench.chain.apply(inserts(&orders(), 20)).expect_err(behaviour);
        texts.push(format!("{behaviour}: {}", told(&error)));
    }
    insta::assert_snapshot!(texts.join("\n"), @r#"
    trap-apply: [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: failed in `apply`: it trapped (a panic or an abort)
      remedy: this is a fault of the plugin: its own log lines may say more
    spin-apply: [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: failed in `apply`: no answer within 200 ms
      remedy: look for an endless loop in the plugin, or raise limits.plugin_call
    fail-apply: [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: refuses the batch: this batch is refused on purpose
      remedy: correct the data or the plugin, or set `on_error` of the plugin
    memory-bomb: [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: failed in `apply`: it needs more memory than it may have
      remedy: look for what grows in the plugin, or raise limits.plugin_memory
    wrong-count: [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: its answer cannot be used: computed column 0: 19 values for 20 rows
      remedy: this is a fault of the plugin or of its SDK
    wrong-type: [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: its answer cannot be used: computed column 0: its values are not of the type Int64 that the plan said
      remedy: this is a fault of the plugin or of its SDK
    bad-offsets: [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: its answer cannot be used: computed column 0: its offsets do not rise from 0 to the length of the data
      remedy: this is a fault of the plugin or of its SDK
    bad-utf8: [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: its answer cannot be used: computed column 0: a text is not UTF-8
      remedy: this is a fault of the plugin or of its SDK
    short-keep: [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: its answer cannot be used: `keep` has 1 bytes for 20 rows
      remedy: this is a fault of the plugin or of its SDK
    missing-column: [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: its answer cannot be used: it computed 0 columns, its plan said 1
      remedy: this is a fault of the plugin or of its SDK
    reject-row: [Record] shop.orders near binlog.000007:4321: plugin `p0` rejects the row: this row is refused on purpose
      remedy: correct the data or the plugin, or set `on_error` of the plugin
    reject-beyond: [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: its answer cannot be used: it rejects a row beyond the 20 that it was given
      remedy: this is a fault of the plugin or of its SDK
    huge-output: [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: failed in `apply`: it needs more memory than it may have
      remedy: look for what grows in the plugin, or raise limits.plugin_memory
    "#);
}

#[test]
fn with_the_policy_skip_the_rows_at_fault_go_and_are_counted() {
    for behaviour in APPLY {
        let mut bench = evil(behaviour, OnError::Skip).expect("configured");
        let delivered = bench.chain.apply(inserts(&orders(), 2)).unwrap_or_else(|e| panic!("{behaviour}: {e}"));
        delivered.validate().unwrap_or_else(|e| panic!("{behaviour}: {e}"));
        let numbers = &bench.status.plugins.all()[0];
        assert_eq!(numbers.skipped.get() as usize + delivered.changes.len(), 2, "{behaviour}: every change is delivered or counted");
        assert!(numbers.skipped.get() > 0, "{behaviour}");
    }
}

#[test]
fn one_poisoned_row_costs_only_its_own_change() {
    let config = r#"{"behaviour": "trap-on-value", "value": 617}"#;
    let mut bench = chain(&[(&guests::evil(), config)], OnError::DeadLetter).expect("configured");
    let delivered = bench.chain.apply(inserts(&orders(), 1000)).expect("the others pass");
    delivered.validate().expect("a sound batch");
    assert_eq!(delivered.changes.len(), 999);
    assert!(delivered.changes.iter().all(|c| c.after != 617));
    // the rewritten column holds what it held, although it came back in pieces
    let Values::Int64(ids) = &delivered.tables[0].columns[0].values else { panic!("ids") };
    assert!(delivered.changes.iter().all(|c| ids[c.after as usize] == i64::from(c.after)));
    assert_eq!(bench.status.plugins.all()[0].dead_lettered.get(), 1);
    let files: Vec<_> = std::fs::read_dir(bench.dead_letters.path()).expect("a folder").map(|f| f.expect("a file").path()).collect();
    assert_eq!(files.len(), 1);
    let letter = std::fs::read_to_string(&files[0]).expect("a letter");
    assert!(letter.contains("user617@example.com"), "the whole change is kept: {letter}");
    // and the instance works on
    assert_eq!(bench.chain.apply(inserts(&orders(), 10)).expect("works on").changes.len(), 10);
}

#[test]
fn a_log_flood_is_cut_and_harms_nothing() {
    let patient = Limits { plugin_call: Duration::from_secs(60), ..limits() };
    let mut bench = chain_within(patient, &[(&guests::evil(), r#"{"behaviour": "log-flood"}"#)], OnError::Stop).expect("configured");
    assert_eq!(bench.chain.apply(inserts(&orders(), 10)).expect("passes").changes.len(), 10);
}

#[test]
fn a_stamp_adds_its_column_to_both_images_and_leaves_the_rest_untouched() {
    let mut bench = chain(&[(&guests::stamp(7), ""), (&guests::stamp(12), r#"{"column": "second"}"#)], OnError::Stop).expect("configured");
    let before = inserts(&orders(), 5);
    let delivered = bench.chain.apply(before.clone()).expect("passes");
    delivered.validate().expect("a sound batch");
    assert_eq!(delivered.changes, before.changes);
    assert_eq!(delivered.tables[0].columns[..2], before.tables[0].columns[..]);
    let names: Vec<_> = delivered.tables[0].table.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["id", "email", "plugin_version", "second"]);
    for (column, version) in [(2, "0007"), (3, "0012")] {
        let Values::Text(text) = &delivered.tables[0].columns[column].values else { panic!("text") };
        assert!((0..5).all(|i| String::from_utf8_lossy(text.get(i)).ends_with(version)));
    }
}
