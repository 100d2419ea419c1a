//! The boundaries that others have, for comparison: a typed record a row, and a JSON text a row. The component is
//! `tests/guests/naive`.
//!
//! They are measured as they look best: the host already has each row in the form that crosses, and takes the answer as it
//! comes; making a record or a text of a row, and reading the answer, is not counted.

use sluicegate_model::change::{Batch, Table, TableRows, Values};
use wasmtime::{
    Config, Engine, OptLevel, Store,
    component::{Component, Linker},
};

wasmtime::component::bindgen!({ path: "../tests/guests/naive/wit", world: "naive" });

/// The component, running.
pub struct Plugin {
    store: Store<()>,
    naive: Naive,
}

impl Plugin {
    /// With the settings of the program's own engine.
    pub fn start(table: &Table) -> Self {
        let folder = sluicegate_guest_builder::repository().join("tests/guests/naive");
        let component = sluicegate_guest_builder::build(&folder).unwrap();
        let mut config = Config::new();
        config.wasm_component_model(true);
        config.concurrency_support(false);
        config.epoch_interruption(true);
        config.cranelift_opt_level(OptLevel::Speed);
        let engine = Engine::new(&config).unwrap();
        let component = Component::from_binary(&engine, &component).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let naive = Naive::instantiate(&mut store, &component, &Linker::new(&engine)).unwrap();
        let place = |name: &str| table.columns.iter().position(|c| c.name == name).unwrap() as u32;
        naive.call_configure(&mut store, place("status"), place("amount"), place("email")).unwrap();
        Self { store, naive }
    }

    /// A call for each row.
    pub fn records(&mut self, rows: &[Vec<Value>]) -> usize {
        rows.iter().filter(|row| self.naive.call_transform_record(&mut self.store, row).unwrap().is_some()).count()
    }

    /// A call for each row.
    pub fn texts(&mut self, rows: &[String]) -> usize {
        rows.iter().filter(|row| self.naive.call_transform_json(&mut self.store, row).unwrap().is_some()).count()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn value(rows: &TableRows, column: usize, row: usize) -> Value {
    let column = &rows.columns[column];
    if column.nulls.get(row) {
        return Value::Null;
    }
    match &column.values {
        Values::Boolean(v) => Value::Boolean(v[row] != 0),
        Values::Int64(v) => Value::Int64(v[row]),
        Values::UInt64(v) => Value::Uint64(v[row]),
        Values::Float32(v) => Value::Float32(v[row]),
        Values::Float64(v) => Value::Float64(v[row]),
        Values::Text(v) => Value::Text(text(v.get(row))),
        Values::Bytes(v) => Value::Bytes(v.get(row).to_vec()),
    }
}

/// The rows of the batch's only table as typed records.
pub fn records(batch: &Batch) -> Vec<Vec<Value>> {
    let rows = &batch.tables[0];
    (0..rows.len()).map(|row| (0..rows.columns.len()).map(|column| value(rows, column, row)).collect()).collect()
}

/// The same as JSON objects.
pub fn texts(batch: &Batch) -> Vec<String> {
    let names: Vec<&str> = batch.tables[0].table.columns.iter().map(|c| c.name.as_str()).collect();
    let json = |value: Value| match value {
        Value::Null => serde_json::Value::Null,
        Value::Boolean(v) => v.into(),
        Value::Int64(v) => v.into(),
        Value::Uint64(v) => v.into(),
        Value::Float32(v) => v.into(),
        Value::Float64(v) => v.into(),
        Value::Text(v) => v.into(),
        Value::Bytes(v) => v.into(),
    };
    let object = |row: Vec<Value>| names.iter().zip(row).map(|(name, value)| ((*name).to_owned(), json(value))).collect();
    records(batch).into_iter().map(|row| serde_json::Value::Object(object(row)).to_string()).collect()
}
