//! What a plugin costs in each language: the example plugin, which masks an e-mail address, drops test accounts and renames a
//! column, over batches of 1024 inserts of three columns.
//!
//! Cost model: in Rust and C the guest's loop runs at about native speed, and the boundary costs some 10 ns a row (see
//! `boundary`). JavaScript and Python are interpreted inside their component: each row costs some hundred interpreted
//! instructions of 10-50 ns, and each number that crosses becomes an object of Python. AssemblyScript is compiled; its rows cost
//! what their strings do: each is decoded, allocated and collected. Go is compiled, for a machine that it has to imitate (its
//! goroutines need jumps that WebAssembly does not have), and collects its garbage on the call's time. Starting is
//! instantiating, `describe` and `configure`: memory of the runtime's snapshot is mapped, not copied.
//!
//! Run with `cargo bench --bench languages`. It builds the plugins, as the tests do. Nanoseconds of this thread's CPU for each
//! row, the best of several rounds, without the copy of the batch that the bench needs; the rest is wall time.

mod clock;

use std::{hint::black_box, sync::Arc, time::Instant};

use sluicegate_config::{OnError, Plugin, PluginOrigin, TablePatterns};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_guest_builder::Language;
use sluicegate_model::{
    change::{
        Batch, Change, Column, ColumnInfo, DataType, Event, Image, Lane, NO_IMAGE, NativeType, Offset, Operation, Place, Strings, Table,
        TableName, TableRows, Transaction, Values,
    },
    limits::Limits,
};
use sluicegate_plugin_host::{Chain, Compiled, Engine, KnownTables, Member, NO_OP, Surroundings};
use sluicegate_status::Status;

const ROWS: u32 = 1024;

fn main() {
    let batch = customers();
    let copy = clock::best(ROWS as usize, || drop(black_box(batch.clone())));
    println!("{:<14} {:>10} {:>12} {:>12} {:>12} {:>12}", "", "size kB", "compile ms", "cached ms", "start ms", "ns a row");
    let native = clock::best(ROWS as usize, || drop(black_box(masked(batch.clone())))) - copy;
    println!("{:<14} {:>10} {:>12} {:>12} {:>12} {native:>12.1}", "native Rust", "", "", "", "");
    let components = Language::ALL.into_iter().map(|language| (language.name(), language.example().unwrap()));
    for (name, component) in [("no-op", NO_OP.to_vec())].into_iter().chain(components) {
        let cache = tempfile::tempdir().unwrap();
        // two engines: the second one finds what the first has compiled
        let [compile, cached] = [(); 2].map(|()| {
            let engine = Engine::new(Some(cache.path())).unwrap();
            let began = Instant::now();
            let compiled = engine.compile(&component, &Limits::default()).unwrap();
            (compiled, began.elapsed().as_secs_f64() * 1e3)
        });
        let began = Instant::now();
        let mut chain = chain(&cached.0);
        let start = began.elapsed().as_secs_f64() * 1e3;
        let row = clock::best(ROWS as usize, || drop(black_box(chain.apply(batch.clone()).unwrap()))) - copy;
        let size = component.len() as f64 / 1e3;
        println!("{name:<14} {size:>10.0} {:>12.1} {:>12.1} {start:>12.1} {row:>12.1}", compile.1, cached.1);
    }
}

fn chain(compiled: &Compiled) -> Chain {
    let settings = Plugin {
        name: "p".into(),
        origin: PluginOrigin::Embedded("bench".into()),
        tables: TablePatterns::default(),
        config: "null".into(),
        on_error: OnError::Stop,
        grants: Default::default(),
        fail_closed: false,
    };
    let limits = Limits::default();
    let around = Surroundings {
        dead_letters: Arc::new(DeadLetters::new(std::env::temp_dir(), limits.dead_letter_bytes)),
        limits: Arc::new(limits),
        status: Arc::new(Status::default()),
        known: Arc::new(KnownTables::new(10)),
        capabilities: Default::default(),
    };
    Chain::new(&[Member { settings: Arc::new(settings), compiled: compiled.clone() }], around).unwrap()
}

/// Inserts of customers; one in fifty is a test account.
fn customers() -> Batch {
    let column = |name: &str, data_type, primary_key: bool| ColumnInfo {
        name: name.into(),
        data_type,
        native_type: NativeType::default(),
        nullable: !primary_key,
        primary_key,
        place: Place::Value,
    };
    let table = Arc::new(Table {
        name: TableName::new("shop", "customers"),
        destination: None,
        columns: vec![column("id", DataType::Int64, true), column("email", DataType::Text, false), column("phone", DataType::Text, false)],
    });
    let (mut emails, mut phones) = (Strings::default(), Strings::default());
    for i in 0..ROWS {
        let domain = if i % 50 == 0 { "test.invalid" } else { "example.com" };
        emails.push(format!("customer.{i}@{domain}").as_bytes());
        phones.push(format!("+49 30 {i:07}").as_bytes());
    }
    let values = [Values::Int64((0..i64::from(ROWS)).collect()), Values::Text(emails), Values::Text(phones)];
    let mut rows = TableRows::new(table);
    rows.columns = values.map(|values| Column::of(values, Default::default())).to_vec();
    rows.images = vec![Image::After as u8; ROWS as usize];
    let change = |i| Change { table: 0, before: NO_IMAGE, after: i, operation: Operation::Insert, event: 0, row: i };
    Batch {
        taken: ROWS,
        tables: vec![rows],
        changes: (0..ROWS).map(change).collect(),
        events: vec![Event { position: 4, time_us: 0, server_id: 1, ..Event::default() }],
        transactions: vec![Transaction { file: "binlog.000001".into(), ..Transaction::default() }],
        ..Batch::empty(0, Lane::new("rows"), Offset::from_json("{}"))
    }
}

/// The same work in native code.
fn masked(mut batch: Batch) -> Batch {
    let rows = &mut batch.tables[0];
    let Values::Text(emails) = &rows.columns[1].values else { unreachable!("text") };
    let mut masked = Strings { offsets: Vec::with_capacity(rows.images.len() + 1), data: Vec::with_capacity(emails.data.len()) };
    masked.offsets.push(0);
    let mut dropped = vec![false; rows.images.len()];
    for (row, dropped) in dropped.iter_mut().enumerate() {
        let email = emails.get(row);
        match email.iter().rposition(|byte| *byte == b'@') {
            Some(at) => {
                *dropped = &email[at..] == b"@test.invalid";
                masked.data.extend_from_slice(b"***");
                masked.push(&email[at..]);
            }
            None => masked.push(email),
        }
    }
    rows.columns[1].values = Values::Text(masked);
    batch.changes.retain(|change| !dropped[change.after as usize]);
    batch
}
