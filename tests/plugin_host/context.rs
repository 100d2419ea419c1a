//! What plans may say beside columns (headers, destinations, keys), and what plugins are told beside them.

use sluicegate_config::OnError;
use sluicegate_guest_builder as guests;
use sluicegate_model::change::{Batch, Operation, Place};

use crate::workbench::{Images, chain, changes, ids, orders, texts};

const INSERT: fn(i64) -> Images = |id| (Operation::Insert, None, Some(id));
const DELETE: fn(i64) -> Images = |id| (Operation::Delete, Some(id), None);
const UPDATE: fn(i64, i64) -> Images = |before, after| (Operation::Update, Some(before), Some(after));

/// For each delivered change, what the plugin was told about its images, as `id: seen`.
fn seen(delivered: &Batch) -> Vec<String> {
    let seen = texts(delivered, "seen");
    let images = delivered.changes.iter().flat_map(|c| [c.before, c.after]).filter(|row| *row != sluicegate_model::change::NO_IMAGE);
    images.map(|row| format!("{}: {}", ids(delivered)[row as usize], seen[row as usize].as_deref().unwrap_or("null"))).collect()
}

#[test]
fn headers_destinations_and_the_key_of_a_plan_are_delivered() {
    let mut bench = chain(&[(&guests::context(), "{}")], OnError::Stop).expect("configured");
    let delivered = bench.chain.apply(changes(&orders(), &[INSERT(1), INSERT(2)])).expect("passes");
    delivered.validate().expect("a sound batch");
    let table = &delivered.tables[0].table;
    assert_eq!(table.destination.as_deref(), Some("everything"));
    let columns: Vec<_> = table.columns.iter().map(|c| (c.name.as_str(), c.place, c.primary_key)).collect();
    assert_eq!(
        columns,
        [
            ("id", Place::Value, false),
            ("email", Place::Value, true),
            ("destination", Place::Destination, false),
            ("seen", Place::Header, false),
            ("mail", Place::Header, false)
        ]
    );
    assert_eq!(texts(&delivered, "destination"), [None, Some("even".to_owned())], "a row that chooses none goes where the table goes");
    assert_eq!(texts(&delivered, "mail"), texts(&delivered, "email"), "a column may be delivered twice");
}

#[test]
fn a_plugin_is_told_operation_image_time_and_other_image() {
    let mut bench = chain(&[(&guests::context(), "{}")], OnError::Stop).expect("configured");
    let given = [INSERT(1), UPDATE(2, 3), DELETE(4), (Operation::Snapshot, None, Some(5))];
    let delivered = bench.chain.apply(changes(&orders(), &given)).expect("passes");
    assert_eq!(
        seen(&delivered),
        ["1: Insert After 0 -", "2: Update Before 1 3", "3: Update After 1 2", "4: Delete Before 2 -", "5: Snapshot After 3 -"]
    );
}

#[test]
fn a_row_that_another_plugin_dropped_is_nobodys_other_image() {
    let filter = r#"{"tables": [{"table": "shop.orders", "where": "id >= 100"}]}"#;
    let members: [(&[u8], &str); 2] = [(&guests::standard("filter"), filter), (&guests::context(), "{}")];
    let mut bench = chain(&members, OnError::Stop).expect("configured");
    let given = [UPDATE(1, 101), UPDATE(102, 2), UPDATE(103, 104), INSERT(3), INSERT(105)];
    let delivered = bench.chain.apply(changes(&orders(), &given)).expect("passes");
    delivered.validate().expect("a sound batch");
    assert_eq!(
        seen(&delivered),
        ["101: Insert After 0 -", "102: Delete Before 1 -", "103: Update Before 2 104", "104: Update After 2 103", "105: Insert After 4 -"]
    );
}

#[test]
fn images_of_a_change_stay_together_while_a_poisoned_row_is_searched() {
    let mut whole = chain(&[(&guests::context(), "{}")], OnError::Stop).expect("configured");
    let mut bench = chain(&[(&guests::context(), "{}")], OnError::Skip).expect("configured");
    // times are the changes' numbers, and one change more is there when a poisoned one is
    let without_time = |told: Vec<String>| -> Vec<String> {
        told.iter().map(|t| t.split(' ').enumerate().filter(|(i, _)| *i != 3).map(|(_, word)| format!("{word} ")).collect()).collect()
    };
    // the poisoned row at every place: each cuts the batch in other parts
    for poisoned in 0..40 {
        let given: Vec<Images> = (0..40)
            .map(|i| {
                let (before, after) = (i * 10 + 1, i * 10 + 2);
                match (i == poisoned, i % 4) {
                    (true, 0) => INSERT(666),
                    (true, 1) => UPDATE(before, 666),
                    (true, _) => UPDATE(666, after),
                    (false, 0) => INSERT(before),
                    (false, 1) => DELETE(before),
                    (false, _) => UPDATE(before, after),
                }
            })
            .collect();
        let sound: Vec<Images> = given.iter().enumerate().filter(|(i, _)| *i as i64 != poisoned).map(|(_, c)| *c).collect();
        let expected = seen(&whole.chain.apply(changes(&orders(), &sound)).expect("passes"));
        let delivered = bench.chain.apply(changes(&orders(), &given)).expect("the others pass");
        delivered.validate().expect("a sound batch");
        assert_eq!(delivered.changes.len(), 39, "poisoned: {poisoned}");
        assert_eq!(without_time(seen(&delivered)), without_time(expected), "poisoned: {poisoned}");
    }
}

#[test]
fn a_rejected_change_that_passes_through_keeps_its_images_and_loses_header_and_destination() {
    let mut bench = chain(&[(&guests::context(), "{}")], OnError::PassThrough).expect("configured");
    // 10 would be dropped and -2 goes to `even`; -1 is rejected
    let given = [UPDATE(10, -1), INSERT(-2), UPDATE(20, 21), INSERT(22)];
    let delivered = bench.chain.apply(changes(&orders(), &given)).expect("passes");
    delivered.validate().expect("a sound batch");
    let operations: Vec<_> = delivered.changes.iter().map(|c| c.operation).collect();
    assert_eq!(operations, [Operation::Update, Operation::Insert, Operation::Insert, Operation::Insert]);
    assert_eq!(seen(&delivered), ["10: null", "-1: null", "-2: null", "21: Update After 2 20", "22: Insert After 3 -"]);
    assert_eq!(texts(&delivered, "destination")[..3], [None, None, None]);
    assert_eq!(texts(&delivered, "email")[2].as_deref(), Some("user-2@example.com"), "what it does not compute is untouched");
    assert_eq!(bench.status.plugins.all()[0].passed_through.get(), 2);
}
