//! Rows that lack values or images, on their way through a chain.

use sluicegate_config::OnError;
use sluicegate_model::change::{Batch, Image, NO_IMAGE, Operation};
use sluicegate_plugin_host::embedded;

use crate::workbench::{chain, changes, ids, orders, texts};

const FIRST: &str = r#"{"tables": [{"table": "shop.orders", "where": "email = 'user1@example.com'"}]}"#;

fn told(batch: &Batch) -> String {
    let row = |row: u32| match (row as usize, texts(batch, "email")) {
        (_, _) if row == NO_IMAGE => "-".to_owned(),
        (row, _) if batch.tables[0].columns[1].is_absent(row) => format!("{} absent", ids(batch)[row]),
        (row, emails) => format!("{} {}", ids(batch)[row], emails[row].as_deref().unwrap_or("null")),
    };
    batch.changes.iter().map(|c| format!("{}: {} -> {}\n", c.operation.name(), row(c.before), row(c.after))).collect()
}

#[test]
fn an_update_without_a_before_image_that_fails_the_filter_deletes_the_row_by_its_key() {
    let filter = embedded("filter").expect("the standard plugin");
    let mut bench = chain(&[(filter, FIRST), (filter, FIRST)], OnError::Stop).expect("a chain");
    let batch =
        changes(&orders(), &[(Operation::Update, None, Some(1)), (Operation::Update, None, Some(2)), (Operation::Insert, None, Some(3))]);
    let delivered = bench.chain.apply(batch).expect("it passes");
    delivered.validate().expect("a sound batch");
    // what the row holds now is not what a sink may have, and does not pass the filter
    insta::assert_snapshot!(told(&delivered), @r"
    update: - -> 1 user1@example.com
    delete: 2 absent -> -
    ");
    assert_eq!(delivered.tables[0].images[delivered.changes[1].before as usize], Image::Before as u8);
}

#[test]
fn what_a_plugin_computes_from_an_absent_value_is_absent() {
    let mask = r#"{"tables": [{"table": "shop.orders", "columns": [{"column": "email", "mask": {"first": 5}}]}]}"#;
    let rewrite = embedded("rewrite-columns").expect("the standard plugin");
    for on_error in [OnError::Skip, OnError::PassThrough, OnError::Stop] {
        let mut bench = chain(&[(rewrite, mask)], on_error).expect("a chain");
        let mut batch = changes(
            &orders(),
            &[
                (Operation::Update, Some(1), Some(1)),
                (Operation::Update, Some(2), Some(2)),
                (Operation::Delete, Some(3), None),
                (Operation::Insert, None, Some(4)),
            ],
        );
        // the first update sends neither address, the second the new one; an insert has to send it
        batch.tables[0].columns[1].withhold(&[0, 1, 2, 4, 5]);
        let delivered = bench.chain.apply(batch);
        if on_error == OnError::Stop {
            let error = delivered.expect_err("an insert that cannot be computed");
            insta::assert_snapshot!(error.chain(), @"shop.orders near binlog.000007:4321: plugin `p0` reads column `email` of shop.orders, which the source did not send with this row");
            continue;
        }
        let delivered = delivered.expect("it passes");
        delivered.validate().expect("a sound batch");
        let rest = if on_error == OnError::Skip { "" } else { "insert: - -> 4 absent\n" };
        let expected = "update: 1 absent -> 1 absent\nupdate: 2 absent -> 2 user2************\ndelete: 3 absent -> -\n";
        assert_eq!(told(&delivered), format!("{expected}{rest}"));
    }
}
