//! What is never called costs nothing.

use std::sync::Arc;

use sluicegate_config::OnError;
use sluicegate_guest_builder as guests;
use sluicegate_model::change::{Strings, Values};

use crate::workbench::{chain, inserts, limits, orders};

#[test]
fn a_plugin_that_only_renames_is_never_called() {
    let names = r#"{"tables": [{"from": "shop.orders", "to": "sales.orders"}], "columns": [{"from": "email", "to": "mail"}]}"#;
    let mut bench = chain(&[(&guests::standard("map-names"), names)], OnError::Stop).expect("configured");
    let given = inserts(&orders(), 1000);
    let addresses: Vec<_> = given.tables[0].columns.iter().map(|c| format!("{:p}", pointer(c))).collect();
    let delivered = bench.chain.apply(given).expect("passes");
    assert_eq!(
        (delivered.tables[0].table.name.to_string(), delivered.tables[0].table.columns[1].name.as_str()),
        ("sales.orders".into(), "mail")
    );
    let numbers = &bench.status.plugins.all()[0];
    assert_eq!((numbers.calls.get(), numbers.rows.get()), (0, 0));
    let moved: Vec<_> = delivered.tables[0].columns.iter().map(|c| format!("{:p}", pointer(c))).collect();
    assert_eq!(moved, addresses, "its columns are moved, not copied");
}

fn pointer(column: &sluicegate_model::change::Column) -> *const u8 {
    match &column.values {
        Values::Int64(v) => v.as_ptr().cast(),
        Values::Text(v) => v.data.as_ptr(),
        _ => std::ptr::null(),
    }
}

#[test]
fn a_table_that_the_plan_leaves_alone_is_never_called_for() {
    let other = Arc::new(sluicegate_model::change::Table {
        name: sluicegate_model::change::TableName::new("shop", "lines"),
        ..sluicegate_model::change::Table::clone(&orders())
    });
    let filter = r#"{"tables": [{"table": "shop.orders", "where": "id > 5"}]}"#;
    let mut bench = chain(&[(&guests::standard("filter"), filter)], OnError::Stop).expect("configured");
    bench.chain.apply(inserts(&other, 10)).expect("passes");
    assert_eq!(bench.status.plugins.all()[0].calls.get(), 0);
    bench.chain.apply(inserts(&orders(), 10)).expect("passes");
    assert_eq!(bench.status.plugins.all()[0].calls.get(), 1);
}

#[test]
fn a_column_that_no_plugin_reads_never_enters_a_guest() {
    let mut given = inserts(&orders(), 1);
    // more than the whole memory of an instance
    let mut large = Strings::default();
    large.push(&vec![b'x'; 2 * limits().plugin_memory]);
    given.tables[0].columns[1].values = Values::Text(large);
    let apply = |condition: &str| {
        let filter = format!(r#"{{"tables": [{{"table": "shop.orders", "where": "{condition}"}}]}}"#);
        chain(&[(&guests::standard("filter"), &filter)], OnError::Stop).expect("configured").chain.apply(given.clone())
    };
    let delivered = apply("id >= 0").expect("the address is not read");
    assert_eq!(delivered.tables[0].columns[1], given.tables[0].columns[1]);
    apply("email <> ''").expect_err("an address that is read does not fit");
}
