//! Restarts: how many, how soon, and when there is an end to them.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use sluicegate_config::OnError;
use sluicegate_guest_builder as guests;
use sluicegate_model::{
    change::{Lane, Mark, MarkKind, Offset, Table},
    limits::Limits,
};

use crate::workbench::{Bench, chain_within, inserts, limits, orders, told};

fn evil_within(limits: Limits, config: &str, on_error: OnError) -> Bench {
    chain_within(limits, &[(&guests::evil(), config)], on_error).expect("configured")
}

#[test]
fn restarts_are_counted_and_one_search_has_no_pauses() {
    let patient = Limits { plugin_restart_pause: Duration::from_secs(3600), ..limits() };
    let mut bench = evil_within(patient, r#"{"behaviour": "trap-on-value", "value": 617}"#, OnError::Skip);
    for batch in 1..=3 {
        assert_eq!(bench.chain.apply(inserts(&orders(), 1000)).expect("passes").changes.len(), 999);
        // 1000 rows are halved ten times until one is left
        assert_eq!(bench.status.plugins.all()[0].restarts.get(), batch * 11);
    }
}

#[test]
fn a_plugin_that_fails_on_everything_is_started_ever_later() {
    let patient = Limits { plugin_restart_pause: Duration::from_millis(80), ..limits() };
    let mut bench = evil_within(patient, r#"{"behaviour": "trap-apply"}"#, OnError::Skip);
    let begin = Instant::now();
    (0..6).for_each(|_| assert!(bench.chain.apply(inserts(&orders(), 1)).expect("skips").changes.is_empty()));
    let pauses = Duration::from_millis(10 + 20 + 40 + 80 + 80);
    assert!(begin.elapsed() >= pauses, "{:?}", begin.elapsed());
    assert_eq!(bench.status.plugins.all()[0].restarts.get(), 6);
}

#[test]
fn a_pause_ends_at_once_when_the_pipeline_stops() {
    let patient = Limits { plugin_restart_pause: Duration::from_secs(3600), ..limits() };
    let mut bench = evil_within(patient, r#"{"behaviour": "trap-apply"}"#, OnError::Skip);
    let status = bench.status.clone();
    let work = thread::spawn(move || (0..40).for_each(|_| drop(bench.chain.apply(inserts(&orders(), 1)).expect("skips"))));
    // forty doublings of 10 ms would take years
    sluicegate_harness::until("the plugin pauses", Duration::from_secs(60), || status.plugins.all()[0].restarts.get() >= 6);
    status.stopping.store(true, Ordering::Relaxed);
    sluicegate_harness::until("the pause ends", Duration::from_secs(60), || work.is_finished());
    work.join().expect("skipped");
}

#[test]
fn failing_on_change_after_change_stops_whatever_the_policy() {
    for on_error in [OnError::Skip, OnError::DeadLetter, OnError::PassThrough] {
        let few = Limits { plugin_failed_changes: 30, ..limits() };
        let mut bench = evil_within(few, r#"{"behaviour": "trap-apply", "column": "email"}"#, on_error);
        bench.chain.apply(inserts(&orders(), 30)).expect("not too many yet");
        let error = bench.chain.apply(inserts(&orders(), 1)).expect_err("too many");
        assert_eq!(error.message().matches("more than 30 changes in a row failed").count(), 1, "{error}");
        if on_error == OnError::Skip {
            insta::assert_snapshot!(told(&error), @r#"
            [Plugin] shop.orders near binlog.000007:4321: more than 30 changes in a row failed, the last of them so: plugin `p0`: failed in `apply`: it trapped (a panic or an abort)
              remedy: correct the plugin: it fails on everything; or raise limits.plugin_failed_changes, if its policy may decide about so many
            "#);
        }
    }
    // rows that a plugin rejects were handled: rejecting is its work
    let few = Limits { plugin_failed_changes: 30, ..limits() };
    let mut bench = evil_within(few, r#"{"behaviour": "reject-row"}"#, OnError::Skip);
    (0..100).for_each(|_| assert!(bench.chain.apply(inserts(&orders(), 1)).expect("skips").changes.is_empty()));
    assert_eq!(bench.status.plugins.all()[0].skipped.get(), 100);
}

#[test]
fn an_instance_that_grows_past_the_watermark_is_made_anew_without_a_fault() {
    let low = Limits { plugin_memory: 16 << 20, plugin_memory_watermark: 4 << 20, ..limits() };
    let mut bench = evil_within(low, r#"{"behaviour": "leak"}"#, OnError::Stop);
    for _ in 0..64 {
        let given = inserts(&orders(), 5);
        assert_eq!(bench.chain.apply(given.clone()).expect("64 MiB leaked within 16").changes, given.changes);
    }
    let numbers = &bench.status.plugins.all()[0];
    assert_eq!((numbers.failures.get(), numbers.restarts.get()), (0, 0), "recycling is no failure");
}

#[test]
fn without_a_watermark_the_same_leak_ends_in_the_limit() {
    let mut bench = evil_within(Limits { plugin_memory_watermark: usize::MAX, ..limits() }, r#"{"behaviour": "leak"}"#, OnError::Stop);
    let error = (0..64).find_map(|_| bench.chain.apply(inserts(&orders(), 5)).err()).expect("a leak");
    assert!(error.message().ends_with("it needs more memory than it may have"), "{error}");
}

#[test]
fn a_plan_that_differs_after_a_restart_stops_whatever_the_policy() {
    let other = Arc::new(Table { name: sluicegate_model::change::TableName::new("shop", "lines"), ..Table::clone(&orders()) });
    // its plan counts the plans it has made: that of the second table differs once it comes first; two rows make it trap
    let config = r#"{"behaviour": "plan-changes", "value": 1}"#;
    let mut bench = evil_within(limits(), config, OnError::Skip);
    bench.chain.apply(inserts(&orders(), 1)).expect("the first table");
    bench.chain.apply(inserts(&other, 1)).expect("the second table");
    let error = bench.chain.apply(inserts(&other, 2)).expect_err("another plan");
    insta::assert_snapshot!(told(&error), @r#"
    [Plugin] shop.lines near binlog.000007:4321: plugin `p0` gave another plan for shop.lines after a restart
      remedy: this is a fault of the plugin: the same table and configuration have to give the same plan
    "#);
}

#[test]
fn a_plugin_forgets_its_tables_once_there_are_more_than_it_may_know() {
    let few = Limits { known_tables: 4, ..limits() };
    // the plan renames the first column after the number of plans that the instance made before
    let mut bench = evil_within(few, r#"{"behaviour": "plan-changes", "value": 100}"#, OnError::Stop);
    let table = |n: usize| {
        Arc::new(Table {
            name: sluicegate_model::change::TableName::new("shop", format!("orders_{n}").as_str()),
            ..Table::clone(&orders())
        })
    };
    let tables: Vec<_> = (0..12).map(table).collect();
    let number = |table: &Table| table.columns[0].name.rsplit('_').next().expect("a number").to_string();
    let mut with_rows = |table: &Arc<Table>| {
        let given = inserts(table, 1);
        let passed = bench.chain.apply(given.clone()).expect("passes");
        assert_eq!(passed.changes, given.changes);
        number(&passed.tables[0].table)
    };
    let numbers: Vec<String> = tables.iter().map(&mut with_rows).collect();
    assert_eq!(numbers.join(" "), "0 1 2 3 4 0 1 2 3 4 0 1", "five plans at most, then a new instance");
    // tables that only marks tell of are forgotten as well
    let mut with_a_mark = |table: &Arc<Table>| {
        let kind = MarkKind::Copy { table: table.clone(), ends: false };
        let mark = Mark { lane: Lane::new("rows"), offset: Offset::from_json("{}"), kind };
        let MarkKind::Copy { table, .. } = bench.chain.mark(mark).expect("passes").kind else { panic!("another mark") };
        number(&table)
    };
    let numbers: Vec<String> = (12..18).map(|n| with_a_mark(&table(n))).collect();
    assert_eq!(numbers.join(" "), "2 3 4 0 1 2");
    let numbers = &bench.status.plugins.all()[0];
    assert_eq!((numbers.failures.get(), numbers.restarts.get()), (0, 0), "forgetting is no failure");
}
