//! A plugin that takes nearly as long as it may, each time.

use std::time::{Duration, Instant};

use sluicegate_config::OnError;
use sluicegate_guest_builder as guests;
use sluicegate_model::limits::Limits;

use crate::workbench::{chain_within, inserts, limits, orders};

/// Rounds of the guest's work that take about `time`.
fn rounds(time: Duration) -> u64 {
    const PROBE: u64 = 10_000_000;
    let patient = Limits { plugin_call: Duration::from_secs(60), ..limits() };
    let config = format!(r#"{{"behaviour": "drip", "value": {PROBE}}}"#);
    let mut bench = chain_within(patient, &[(&guests::evil(), &config)], OnError::Stop).expect("configured");
    let fastest = (0..5)
        .map(|_| {
            let begin = Instant::now();
            bench.chain.apply(inserts(&orders(), 1)).expect("slow, not broken");
            begin.elapsed()
        })
        .min()
        .expect("some");
    (PROBE as f64 * time.as_secs_f64() / fastest.as_secs_f64()) as u64
}

#[test]
fn a_slow_drip_is_bounded_by_the_deadline_of_a_batch_and_seen_in_the_numbers() {
    // the work is a small part of it, because other work may run on the machine
    const CALL: Duration = Duration::from_secs(20);
    const WORK: Duration = Duration::from_millis(400);
    let config = format!(r#"{{"behaviour": "drip", "value": {}}}"#, rounds(WORK));
    let slow = Limits { plugin_call: CALL, ..limits() };
    let mut bench = chain_within(slow, &[(&guests::evil(), &config)], OnError::Stop).expect("configured");
    for batch in 1..=2u64 {
        let begin = Instant::now();
        // one call a batch, however many rows: a batch takes no longer than a call may
        assert_eq!(bench.chain.apply(inserts(&orders(), 1024)).expect("slow, not broken").changes.len(), 1024);
        assert!(begin.elapsed() < CALL * 2);
        let numbers = &bench.status.plugins.all()[0];
        assert_eq!((numbers.calls.get(), numbers.rows.get()), (batch, batch * 1024));
        assert!(Duration::from_nanos(numbers.nanoseconds.get()) >= WORK / 2 * batch as u32, "the metrics show who is slow");
    }
}

#[test]
fn a_drip_that_also_fails_ends_with_the_time_for_recovery() {
    let recovery = Duration::from_secs(1);
    let config = format!(r#"{{"behaviour": "drip-and-trap", "value": {}}}"#, rounds(Duration::from_millis(50)));
    let limits = Limits { plugin_call: Duration::from_secs(2), plugin_recovery: recovery, ..limits() };
    let mut bench = chain_within(limits, &[(&guests::evil(), &config)], OnError::Skip).expect("configured");
    let begin = Instant::now();
    // to find out about 1024 rows one by one would take 2047 calls
    let error = bench.chain.apply(inserts(&orders(), 1024)).expect_err("too slow to search");
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert!(error.message().contains("not found out in 1 s which rows it fails on"), "{error}");
}
