//! Plugins that are built for the draft of version 1.1 of the interface.

use std::{fs, sync::Arc};

use sluicegate_config::OnError;
use sluicegate_guest_builder as guests;
use sluicegate_model::{
    change::{BeforeImages, Capabilities, NativeType, Operation, Table},
    limits::Limits,
};
use sluicegate_plugin_host::inspect;

use crate::workbench::{chain_behind, changes, engine, inserts, limits, orders, texts};

/// The guest as it is built now, and as it was when the draft was made: a draft that changes needs both anew.
fn components() -> [Vec<u8>; 2] {
    let built = guests::absent();
    let fixture = guests::repository().join("tests/fixtures/plugins/1.1.0-draft/absent.wasm");
    let inspection = inspect(&fixture).expect("it loads");
    assert_eq!(inspection.interface, "sluicegate:plugin@1.1.0-draft");
    [built, fs::read(fixture).expect("the fixture")]
}

const KEYS: Capabilities = Capabilities { before_images: BeforeImages::Keys, absent: true };

#[test]
fn a_plugin_that_knows_absent_values_is_given_them_and_may_answer_them() {
    for component in components() {
        let mut bench = chain_behind(KEYS, engine(), limits(), &[(&component, "null")], OnError::Stop).expect("a chain");
        let mut batch = changes(
            &orders(),
            &[(Operation::Update, Some(1), Some(1)), (Operation::Update, Some(2), Some(2)), (Operation::Delete, Some(3), None)],
        );
        batch.tables[0].columns[1].withhold(&[0, 1, 2]);
        batch.tables[0].columns[1].erase(&[4]);
        let delivered = bench.chain.apply(batch).expect("it passes");
        delivered.validate().expect("a sound batch");
        let seen = texts(&delivered, "seen");
        let absent: Vec<bool> = (0..seen.len()).map(|row| delivered.tables[0].columns[2].is_absent(row)).collect();
        // before and after of the first update, of the second, and the delete
        assert_eq!(absent, [false, true, false, false, false]);
        let told = ["absent, BeforeImages::Keys true, 1", "a value, BeforeImages::Keys true, 1", "null, BeforeImages::Keys true, 1"];
        assert_eq!(seen, [Some(told[0].to_owned()), None, Some(told[0].to_owned()), Some(told[1].to_owned()), Some(told[2].to_owned())]);
    }
}

#[test]
fn tables_that_are_forgotten_are_told_of_and_the_instance_stays() {
    for component in components() {
        let few = Limits { known_tables: 2, ..limits() };
        let mut bench = chain_behind(KEYS, engine(), few, &[(&component, "null")], OnError::Stop).expect("a chain");
        let mut remembered = Vec::new();
        for version in 0..8 {
            let mut table = Table::clone(&orders());
            table.columns[0].native_type = NativeType::parse(&format!("decimal({})", version + 1));
            let delivered = bench.chain.apply(inserts(&Arc::new(table), 1)).expect("it passes");
            let seen = texts(&delivered, "seen")[0].clone().expect("a text");
            remembered.push(seen.rsplit(' ').next().expect("a number").to_owned());
        }
        assert_eq!(remembered, ["1", "2", "3", "1", "2", "3", "1", "2"]);
        assert_eq!(bench.status.plugins.all()[0].restarts.get(), 0);
    }
}
