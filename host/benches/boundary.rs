//! What the plugin boundary costs: the same work in native Rust, in one plugin, in a chain of three.
//!
//! The work, on the 8-column table `orders`: keep the rows with `status <> 'cancelled' AND amount >= 10`, rename the table,
//! mask the e-mail address but for its first and last characters.
//!
//! Cost model of a call: about 0.5 us for entering and leaving the guest and for the lists' `realloc` calls (one or two for
//! each column that is read), once for a batch. For each row: the bytes of the columns that are read are copied in and the
//! computed ones out (memcpy, below 1 ns for 8 bytes), answers are checked (UTF-8: a few bytes a ns), and the guest's own
//! work runs at about the speed of native code. Columns that no plugin reads cost nothing, a plugin that only renames is not
//! called. What a filter dropped is not handed to the plugins behind it; picking the other rows costs 1-2 ns a value.
//!
//! Beside it the boundaries that hand over a row at a time, as they look best (see `naive`): there each row pays for the call,
//! for an allocation in the guest for each of its texts, and for parsing and printing where it is a text itself.
//!
//! Run with `cargo bench --bench boundary`. Nanoseconds of this thread's CPU for each row, the best of several rounds; the
//! cost of copying the batch, which the bench needs for itself, is measured and taken off.

mod clock;
mod naive;

use std::{hint::black_box, sync::Arc};

use sluicegate_config::{OnError, Plugin, PluginOrigin, RecordFormat, TablePatterns};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_format::Encoder;
use sluicegate_model::{
    change::{Batch, NO_IMAGE, Operation, Strings, Table, TableName, Values},
    limits::Limits,
};
use sluicegate_plugin_host::{Chain, Engine, KnownTables, Member, Surroundings, embedded};
use sluicegate_status::Status;

const FILTER: (&str, &str) = ("filter", r#"{"tables": [{"table": "shop.orders", "where": "status <> 'cancelled' AND amount >= 10"}]}"#);
const NAMES: (&str, &str) = ("map-names", r#"{"tables": [{"from": "shop.orders", "to": "sales.orders"}]}"#);
const MASK: (&str, &str) =
    ("rewrite-columns", r#"{"tables": [{"table": "*.orders", "columns": [{"column": "email", "mask": {"first": 1, "last": 4}}]}]}"#);

/// A way to do the work.
type Way<'a> = (&'static str, Box<dyn FnMut(Batch) -> Batch + 'a>);

fn main() {
    let orders = inserted_orders();
    let columns = orders.tables[0].table.columns.clone();
    let renamed = Arc::new(Table { name: TableName::new("sales", "orders"), destination: None, columns });
    let mut ways: Vec<Way<'_>> = vec![("native, all of it", Box::new(move |batch| native(&renamed, batch)))];
    for (name, plugins) in [
        ("filter", vec![FILTER]),
        ("map-names", vec![NAMES]),
        ("rewrite-columns", vec![MASK]),
        ("chain of three", vec![FILTER, NAMES, MASK]),
    ] {
        let mut chain = chain(&plugins);
        ways.push((name, Box::new(move |batch| chain.apply(batch).unwrap())));
    }
    let sizes = [1, 16, 256, 1024];
    println!("table `orders`, {} rows to pick batches from; ns a row\n", orders.tables[0].len());
    println!("{:<20} {:>10} {:>10} {:>10} {:>10}", "", "batch 1", "16", "256", "1024");
    let mut all = Vec::new();
    let mut delivered = Vec::new();
    for (name, way) in &mut ways {
        let costs: Vec<f64> = sizes
            .iter()
            .map(|size| {
                let batches: Vec<Batch> = (0..64).map(|i| part(&orders, i * size, *size)).collect();
                let rows = batches.len() * size;
                let copy = clock::best(rows, || batches.iter().for_each(|b| drop(black_box(b.clone()))));
                clock::best(rows, || batches.iter().for_each(|b| drop(black_box(way(b.clone()))))) - copy
            })
            .collect();
        println!("{name:<20} {:>10.1} {:>10.1} {:>10.1} {:>10.1}", costs[0], costs[1], costs[2], costs[3]);
        all.push(costs);
        delivered.push(end_to_end(&orders, way));
    }
    let (native, chain) = (&all[0], &all[4]);
    let ratio: Vec<String> = native.iter().zip(chain).map(|(n, c)| format!("{:.2}", c / n)).collect();
    println!("{:<20} {:>10} {:>10} {:>10} {:>10}", "chain / native", ratio[0], ratio[1], ratio[2], ratio[3]);
    println!(
        "\nwith flat records of what stays, 1024 rows: native {:.1}, chain of three {:.1}: {:.2}",
        delivered[0],
        delivered[4],
        delivered[4] / delivered[0]
    );
    let turns = by_turns(&orders, &mut ways);
    println!(
        "chain / native at 1024, measured by turns: {:.2} in the middle of {}, from {:.2} to {:.2}",
        turns[turns.len() / 2],
        turns.len(),
        turns[0],
        turns[turns.len() - 1]
    );
    let lone = [1, 3].map(|plugin: usize| format!("{} {:.2} us", ["filter", "", "rewrite-columns"][plugin - 1], all[plugin][0] / 1000.0));
    println!("\na lone row: {}", lone.join(", "));
    let batch = part(&orders, 0, 1024);
    let mut plugin = naive::Plugin::start(&batch.tables[0].table);
    let (records, texts) = (naive::records(&batch), naive::texts(&batch));
    let kept = ways_agree(&mut plugin, &records, &texts, &batch);
    let costs = [
        ("a typed record a row", clock::best(1024, || assert_eq!(plugin.records(&records), kept))),
        ("a JSON text a row", clock::best(1024, || assert_eq!(plugin.texts(&texts), kept))),
    ];
    println!("\na row at a time, the whole work in one plugin ({kept} of 1024 rows kept):");
    for (name, cost) in costs {
        println!(
            "{name:<20} {cost:>10.1} ns a row, {:>5.1} times the chain of three, {:>5.1} times native",
            cost / chain[3],
            cost / native[3]
        );
    }
    println!("\nbars: chain / native at most 1.50 at 1024, also with records; a lone row at most 3 us for each plugin");
}

/// The ratio of the last way to the first, at 1024 rows, several times, in ascending order: a machine that is slow for a while is so
/// for both.
fn by_turns(orders: &Batch, ways: &mut [Way<'_>]) -> Vec<f64> {
    let batches: Vec<Batch> = (0..64).map(|i| part(orders, i * 1024, 1024)).collect();
    let rows = batches.len() * 1024;
    let mut ratios: Vec<f64> = (0..9)
        .map(|_| {
            let copy = clock::best(rows, || batches.iter().for_each(|b| drop(black_box(b.clone()))));
            let [native, chain] = [0, ways.len() - 1].map(|way| {
                let way = &mut ways[way].1;
                clock::best(rows, || batches.iter().for_each(|b| drop(black_box(way(b.clone()))))) - copy
            });
            chain / native
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

/// The same at 1024 rows, up to the bytes that a sink writes.
fn end_to_end(orders: &Batch, way: &mut impl FnMut(Batch) -> Batch) -> f64 {
    let batches: Vec<Batch> = (0..64).map(|i| part(orders, i * 1024, 1024)).collect();
    let rows = batches.len() * 1024;
    let copy = clock::best(rows, || batches.iter().for_each(|b| drop(black_box(b.clone()))));
    let mut encoder = Encoder::new(RecordFormat::Flat, "shop", "mysql");
    let mut records = Vec::new();
    let all = clock::best(rows, || {
        for batch in &batches {
            let batch = way(batch.clone());
            records.clear();
            for change in &batch.changes {
                encoder.value(&batch, change, &mut records).unwrap();
            }
            black_box(&records);
        }
    });
    all - copy
}

/// How many rows stay; the same number whichever way.
fn ways_agree(plugin: &mut naive::Plugin, records: &[Vec<naive::Value>], texts: &[String], batch: &Batch) -> usize {
    let kept = native(&batch.tables[0].table, batch.clone()).changes.len();
    assert_eq!([plugin.records(records), plugin.texts(texts)], [kept; 2]);
    kept
}

/// All inserts of orders among the generator's first changes, in one batch.
fn inserted_orders() -> Batch {
    let mut whole: Option<Batch> = None;
    for mut batch in clock::orders(400_000) {
        batch.changes.retain(|c| c.operation == Operation::Insert);
        let Some(table) = batch.changes.first().map(|c| c.table as usize) else { continue };
        let rows: Vec<u32> = batch.changes.iter().map(|c| c.after).collect();
        let mut picked = batch.tables[table].clone();
        picked.columns = picked.columns.iter().map(|c| c.gather(&rows)).collect();
        picked.images = vec![1; rows.len()];
        match &mut whole {
            None => {
                batch.tables = vec![picked];
                whole = Some(batch);
            }
            Some(whole) => {
                let to = &mut whole.tables[0];
                to.images.extend(&picked.images);
                to.columns.iter_mut().zip(picked.columns).for_each(|(to, from)| to.append(from));
            }
        }
    }
    whole.unwrap()
}

/// A batch of `size` inserts, from row `from` on.
fn part(orders: &Batch, from: usize, size: usize) -> Batch {
    let rows: Vec<u32> = (0..size).map(|i| ((from + i) % orders.tables[0].len()) as u32).collect();
    let mut batch = Batch::empty(0, orders.lane.clone(), orders.offset.clone());
    let mut table = orders.tables[0].clone();
    table.columns = table.columns.iter().map(|c| c.gather(&rows)).collect();
    table.images = vec![1; size];
    batch.tables = vec![table];
    batch.events = vec![orders.events[0].clone()];
    batch.transactions = vec![orders.transactions[0].clone()];
    batch.taken = size as u32;
    batch.changes = (0..size as u32)
        .map(|i| sluicegate_model::change::Change { table: 0, before: NO_IMAGE, after: i, operation: Operation::Insert, event: 0, row: i })
        .collect();
    batch.validate().unwrap();
    batch
}

fn chain(plugins: &[(&str, &str)]) -> Chain {
    let limits = Limits::default();
    let engine = Engine::new(None).unwrap();
    let members: Vec<Member> = plugins
        .iter()
        .map(|(name, config)| {
            let settings = Plugin {
                name: (*name).to_owned(),
                origin: PluginOrigin::Embedded((*name).to_owned()),
                tables: TablePatterns::default(),
                config: (*config).to_owned(),
                on_error: OnError::Stop,
                grants: Default::default(),
                fail_closed: false,
            };
            Member { settings: Arc::new(settings), compiled: engine.compile(embedded(name).unwrap(), &limits).unwrap() }
        })
        .collect();
    let around = Surroundings {
        dead_letters: Arc::new(DeadLetters::new(std::env::temp_dir(), limits.dead_letter_bytes)),
        limits: Arc::new(limits),
        status: Arc::new(Status::default()),
        known: Arc::new(KnownTables::new(10)),
        capabilities: Default::default(),
    };
    Chain::new(&members, around).unwrap()
}

/// The same work as a person would write it for this very table.
fn native(renamed: &Arc<Table>, mut batch: Batch) -> Batch {
    let rows = &mut batch.tables[0];
    let place = |name: &str| rows.table.columns.iter().position(|c| c.name == name).unwrap();
    let (status, amount, email) = (place("status"), place("amount"), place("email"));
    let text = |i: usize| match &rows.columns[i].values {
        Values::Text(text) => text,
        _ => unreachable!("text"),
    };
    let keeps = |row: usize| text(status).get(row) != b"cancelled" && cents(text(amount).get(row)) >= 1000;
    let kept: Vec<bool> = (0..rows.len()).map(keeps).collect();
    let addresses = text(email);
    let mut masked = Strings { offsets: Vec::with_capacity(rows.len() + 1), data: Vec::with_capacity(addresses.data.len()) };
    masked.offsets.push(0);
    for (row, kept) in kept.iter().enumerate() {
        if *kept {
            mask(addresses.get(row), &mut masked.data);
        }
        masked.finish_row();
    }
    rows.columns[email].values = Values::Text(masked);
    rows.table = renamed.clone();
    batch.changes.retain(|c| kept[c.after as usize]);
    batch
}

fn cents(decimal: &[u8]) -> i64 {
    decimal.iter().filter(|b| b.is_ascii_digit()).fold(0, |n, b| n * 10 + i64::from(b - b'0'))
}

/// All but the first character and the last four.
fn mask(text: &[u8], out: &mut Vec<u8>) {
    if text.is_ascii() {
        let middle = text.len().saturating_sub(5);
        out.extend_from_slice(&text[..1.min(text.len())]);
        out.resize(out.len() + middle, b'*');
        out.extend_from_slice(&text[(1 + middle).min(text.len())..]);
    } else {
        let characters: Vec<char> = String::from_utf8_lossy(text).chars().collect();
        let last = characters.len().saturating_sub(4);
        let masked: String = characters.iter().enumerate().map(|(i, c)| if i == 0 || i >= last { *c } else { '*' }).collect();
        out.extend_from_slice(masked.as_bytes());
    }
}
