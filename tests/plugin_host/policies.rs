//! What becomes of changes that a plugin cannot handle.

use std::time::Duration;

use sluicegate_config::OnError;
use sluicegate_guest_builder as guests;
use sluicegate_model::{
    change::{Change, Operation, Values},
    limits::Limits,
};

use crate::{
    faults::APPLY,
    workbench::{Bench, chain, chain_within, changes, evil, ids, inserts, limits, orders, texts, told},
};

/// The evil guest, which rewrites the e-mail addresses with themselves, but for its misbehaviour.
fn passing(behaviour: &str, value: i64) -> Bench {
    let config = format!(r#"{{"behaviour": "{behaviour}", "value": {value}, "column": "email"}}"#);
    chain(&[(&guests::evil(), &config)], OnError::PassThrough).expect("configured")
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
fn with_the_policy_pass_through_every_change_is_delivered_and_never_with_what_should_have_been_masked() {
    for behaviour in APPLY {
        if behaviour == "short-keep" {
            continue; // it computes nothing: see below
        }
        let mut bench = passing(behaviour, 0);
        let delivered = bench.chain.apply(inserts(&orders(), 2)).unwrap_or_else(|e| panic!("{behaviour}: {e}"));
        delivered.validate().unwrap_or_else(|e| panic!("{behaviour}: {e}"));
        assert_eq!((delivered.changes.len(), ids(&delivered)), (2, &[0, 1][..]), "{behaviour}");
        let passed = bench.status.plugins.all()[0].passed_through.get() as usize;
        let nulls = texts(&delivered, "email").iter().filter(|email| email.is_none()).count();
        assert!(passed > 0, "{behaviour}");
        assert_eq!(nulls, passed, "{behaviour}: null for the changes at fault, and for no other");
        // a sink or plugin that overlooks the nulls finds nothing behind them either
        let Values::Text(emails) = &delivered.tables[0].columns[1].values else { panic!("text") };
        assert_eq!((0..2).filter(|row| emails.get(*row).is_empty()).count(), passed, "{behaviour}");
        assert!(delivered.tables[0].table.columns[1].nullable, "{behaviour}: the table says that there may be nulls");
    }
}

/// Within every limit of a single call, it would take 32 MiB here, and 60 GiB with the default limits.
#[test]
fn a_plugin_that_is_asked_row_by_row_cannot_answer_with_more_than_one_answer_may_hold() {
    const ROW: usize = 1 << 20;
    let limits = Limits { plugin_output_bytes: 4 * ROW, plugin_call: Duration::from_secs(2), ..limits() };
    let config = format!(r#"{{"behaviour": "large-alone", "value": {ROW}, "column": "email"}}"#);
    let mut bench = chain_within(limits, &[(&guests::evil(), &config)], OnError::Skip).expect("configured");
    let delivered = bench.chain.apply(inserts(&orders(), 32)).expect("passes");
    delivered.validate().expect("sound");
    let skipped = bench.status.plugins.all()[0].skipped.get() as usize;
    assert_eq!(delivered.changes.len() + skipped, 32, "every change is delivered or counted");
    assert!((1..=4).contains(&delivered.changes.len()), "{}", delivered.changes.len());
    assert_eq!(delivered.bytes, delivered.measure(), "the size is that of what the plugins made of it");
    assert!(delivered.bytes >= delivered.changes.len() * ROW);
}

/// Each table is asked about by itself: 64 of them are no way round the limit.
#[test]
fn a_plugin_cannot_answer_with_more_for_several_tables_than_for_one() {
    const ROW: usize = 1 << 20;
    let limits = Limits { plugin_output_bytes: 4 * ROW, plugin_call: Duration::from_secs(2), ..limits() };
    let config = format!(r#"{{"behaviour": "large-alone", "value": {ROW}, "column": "email"}}"#);
    let mut bench = chain_within(limits, &[(&guests::evil(), &config)], OnError::Skip).expect("configured");
    let mut batch = inserts(&orders(), 1);
    for number in 1..8 {
        let mut table = orders();
        std::sync::Arc::make_mut(&mut table).name.table = format!("orders_{number}");
        let more = inserts(&table, 1);
        batch.tables.extend(more.tables);
        batch.changes.extend(more.changes.into_iter().map(|change| Change { table: number, ..change }));
    }
    let delivered = bench.chain.apply(batch).expect("passes");
    delivered.validate().expect("sound");
    let skipped = bench.status.plugins.all()[0].skipped.get() as usize;
    assert_eq!((delivered.changes.len(), skipped), (3, 5), "with their offsets, four would be too much");
}

#[test]
fn pass_through_keeps_what_a_broken_filter_cannot_judge() {
    let mut bench = evil("short-keep", OnError::PassThrough).expect("configured");
    let delivered = bench.chain.apply(inserts(&orders(), 20)).expect("passes");
    assert_eq!((delivered.changes.len(), bench.status.plugins.all()[0].passed_through.get()), (20, 20));
    assert!(texts(&delivered, "email").iter().all(Option::is_some), "it computes nothing, so nothing is null");
}

#[test]
fn pass_through_decides_for_both_images_of_a_change() {
    let mut bench = passing("trap-on-value", 3);
    let given = [(Operation::Update, Some(1), Some(2)), (Operation::Update, Some(3), Some(4)), (Operation::Delete, Some(5), None)];
    let delivered = bench.chain.apply(changes(&orders(), &given)).expect("passes");
    delivered.validate().expect("a sound batch");
    let operations: Vec<_> = delivered.changes.iter().map(|c| c.operation).collect();
    assert_eq!(operations, [Operation::Update, Operation::Update, Operation::Delete]);
    let emails = texts(&delivered, "email");
    assert_eq!(emails.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false, false, true]);
    assert_eq!(bench.status.plugins.all()[0].passed_through.get(), 1);
}

#[test]
fn the_plugin_behind_sees_the_nulls_that_were_passed_through() {
    let failing = r#"{"behaviour": "reject-odd", "column": "email"}"#;
    let filter = r#"{"tables": [{"table": "*.*", "where": "email IS NULL"}]}"#;
    let members: [(&[u8], &str); 2] = [(&guests::evil(), failing), (&guests::standard("filter"), filter)];
    let mut bench = chain(&members, OnError::PassThrough).expect("configured");
    let delivered = bench.chain.apply(inserts(&orders(), 5)).expect("passes");
    assert_eq!(delivered.changes.iter().map(|c| ids(&delivered)[c.after as usize]).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn pass_through_is_refused_for_a_computed_key() {
    let mut bench = evil("", OnError::PassThrough).expect("configured");
    let error = bench.chain.apply(inserts(&orders(), 1)).expect_err("a null key leads nowhere");
    insta::assert_snapshot!(told(&error), @r#"
    [Plugin] plugin `p0`: shop.orders: it computes `id`, a column of the key, which `pass-through` would deliver as null
      remedy: set `on_error` of the plugin to stop, skip or dead-letter, or take the table out of its `tables`
    "#);
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
    assert!(delivered.changes.iter().all(|c| ids(&delivered)[c.after as usize] == i64::from(c.after)));
    assert_eq!(bench.status.plugins.all()[0].dead_lettered.get(), 1);
    let files: Vec<_> = std::fs::read_dir(bench.dead_letters.path()).expect("a folder").map(|f| f.expect("a file").path()).collect();
    assert_eq!(files.len(), 1);
    let letter = std::fs::read_to_string(&files[0]).expect("a letter");
    assert!(letter.contains("user617@example.com"), "the whole change is kept: {letter}");
    // and the instance works on
    assert_eq!(bench.chain.apply(inserts(&orders(), 10)).expect("works on").changes.len(), 10);
}
