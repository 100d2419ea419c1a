use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use proptest::prelude::*;
use serde_json::Value;
use tokio::sync::mpsc;

use super::*;
use sluicegate_config::RecordFormat;
use sluicegate_format::Encoder;
use sluicegate_model::change::{Batch, Change, NO_IMAGE, Operation};

const DEADLINE: Duration = Duration::from_secs(20);

fn settings(rate: Option<u64>, changes: Option<u64>) -> GeneratorSource {
    GeneratorSource { seed: 7, rate, changes, ..GeneratorSource::default() }
}

pub(super) fn limits(batch_changes: usize) -> Limits {
    Limits { batch_changes, ..Limits::default() }
}

/// A sink's place before the change with this number.
fn at(change: u64) -> Vec<Frontier> {
    vec![Frontier::of(Lane::new(LANE), Offset::new(Place { seed: 7, change }))]
}

/// Batches from change `first` on, until `count` changes.
fn batches(seed: u64, first: u64, count: u64, limits: &Limits) -> Vec<Batch> {
    let mut stream = Stream::new(seed, first, limits);
    let mut batches = Vec::new();
    while stream.change() < first + count {
        batches.push(stream.batch(first + count - stream.change()));
    }
    batches
}

/// A change in words: its record with the place, and both images.
fn describe(encoder: &mut Encoder, batch: &Batch, change: &Change) -> (String, Option<String>, Option<String>) {
    let mut record = Vec::new();
    encoder.value(batch, change, &mut record).unwrap();
    let record = String::from_utf8(record).unwrap();
    (record, image(encoder, batch, change.table, change.before), image(encoder, batch, change.table, change.after))
}

/// A row as a JSON object.
fn image(encoder: &mut Encoder, batch: &Batch, table: u32, row: u32) -> Option<String> {
    let mut out = Vec::new();
    (row != NO_IMAGE).then(|| {
        encoder.row_key(batch, table, row, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    })
}

fn flat() -> Encoder {
    Encoder::new(RecordFormat::Flat, "p", "generator")
}

pub(super) fn described(batches: &[Batch]) -> Vec<(String, Option<String>, Option<String>)> {
    let mut encoder = flat();
    batches.iter().flat_map(|b| b.changes.iter().map(move |c| (b, c))).map(|(b, c)| describe(&mut encoder, b, c)).collect()
}

fn cents(value: &Value) -> u64 {
    value.as_str().unwrap().replace('.', "").parse().unwrap()
}

/// The tables as a reader of the stream has them: by table and key.
type Shop = HashMap<(String, String), String>;

/// Applies a change to the reader's tables. Every image must agree with what the stream told before.
fn apply(shop: &mut Shop, encoder: &mut Encoder, batch: &Batch, change: &Change) {
    let table = batch.tables[change.table as usize].table.name.table.clone();
    let mut key = |row| {
        let mut out = Vec::new();
        assert!(encoder.key(batch, change.table, row, &mut out).unwrap());
        (table.clone(), String::from_utf8(out).unwrap())
    };
    let keys = (key(change.before.min(change.after)), key(if change.after == NO_IMAGE { change.before } else { change.after }));
    assert_eq!(keys.0, keys.1, "a key never changes");
    let before = image(encoder, batch, change.table, change.before);
    let held = match image(encoder, batch, change.table, change.after) {
        Some(after) => shop.insert(keys.0, after),
        None => shop.remove(&keys.0),
    };
    assert_eq!(held, before, "the before image is what the stream told last");
    assert_eq!(held.is_none(), change.operation == Operation::Insert);
}

#[test]
fn replayed_changes_agree_with_themselves() {
    let (mut shop, mut encoder) = (Shop::new(), flat());
    let mut operations = BTreeMap::new();
    for batch in batches(7, 0, 100_000, &limits(1024)) {
        batch.validate().unwrap();
        for change in &batch.changes {
            apply(&mut shop, &mut encoder, &batch, change);
            let name = batch.tables[change.table as usize].table.name.table.clone();
            *operations.entry(format!("{name} {:?}", change.operation)).or_insert(0) += 1;
        }
    }
    insta::assert_debug_snapshot!(operations, @r##"
    {
        "customers Delete": 863,
        "customers Insert": 3485,
        "customers Update": 1736,
        "order_lines Delete": 6936,
        "order_lines Insert": 27872,
        "order_lines Update": 3476,
        "orders Delete": 3468,
        "orders Insert": 13936,
        "orders Update": 38228,
    }
    "##);
    let shop: HashMap<_, Value> = shop.into_iter().map(|(key, row)| (key, serde_json::from_str(&row).unwrap())).collect();
    let mut sums: HashMap<String, u64> = HashMap::new();
    for ((_, _), line) in shop.iter().filter(|((table, _), _)| table == "order_lines") {
        *sums.entry(line["order_id"].to_string()).or_default() += cents(&line["price"]) * line["quantity"].as_u64().unwrap();
    }
    let mut complete = 0;
    for (_, order) in shop.iter().filter(|((table, _), _)| table == "orders") {
        let customer = format!("{{\"id\":{}}}", order["customer_id"]);
        assert_eq!(shop[&("customers".to_owned(), customer)]["email"], order["email"]);
        complete += u64::from(sums.get(&order["id"].to_string()) == Some(&cents(&order["amount"])));
    }
    let orders = shop.keys().filter(|(table, _)| table == "orders").count() as u64;
    // the last transaction may be cut in the middle
    assert!(complete >= orders - 1 && orders > 10_000, "{complete} of {orders}");
}

#[test]
fn first_changes_of_seed_1() {
    let records: Vec<_> = described(&batches(1, 0, 12, &limits(1024))).into_iter().map(|(record, ..)| record).collect();
    insta::assert_snapshot!(records.join("\n"), @r##"
    {"_op":"c","_database":"shop","_table":"customers","_ts":"2024-01-01T00:00:00.000000Z","_file":"generator","_pos":0,"_row":0,"id":1,"name":"Zoë García","email":"zoe.garcia1@mail.example.org","country":"GB","joined":"2024-01-01","rating":null,"preferences":null}
    {"_op":"c","_database":"shop","_table":"customers","_ts":"2024-01-01T00:00:00.000137Z","_file":"generator","_pos":1,"_row":0,"id":2,"name":"Amara Ivanova","email":"amara.ivanova2@example.com","country":"JP","joined":"2024-01-01","rating":null,"preferences":null}
    {"_op":"c","_database":"shop","_table":"customers","_ts":"2024-01-01T00:00:00.000274Z","_file":"generator","_pos":2,"_row":0,"id":3,"name":"Grace Kretchmar","email":"grace.kretchmar3@mail.example.org","country":"DK","joined":"2024-01-01","rating":null,"preferences":null}
    {"_op":"c","_database":"shop","_table":"customers","_ts":"2024-01-01T00:00:00.000411Z","_file":"generator","_pos":3,"_row":0,"id":4,"name":"Zoë Nowak","email":"zoe.nowak4@example.org","country":"JP","joined":"2024-01-01","rating":null,"preferences":null}
    {"_op":"c","_database":"shop","_table":"orders","_ts":"2024-01-01T00:00:00.000548Z","_file":"generator","_pos":4,"_row":0,"id":1,"customer_id":2,"order_no":"SO-000000001","email":"amara.ivanova2@example.com","status":"placed","amount":"182.00","created_at":"2024-01-01 00:00:00.000548","note":null}
    {"_op":"c","_database":"shop","_table":"order_lines","_ts":"2024-01-01T00:00:00.000685Z","_file":"generator","_pos":5,"_row":0,"order_id":1,"line_no":1,"product":"monitor stand","quantity":4,"price":"45.50","picked_at":null}
    {"_op":"c","_database":"shop","_table":"orders","_ts":"2024-01-01T00:00:00.000822Z","_file":"generator","_pos":6,"_row":0,"id":2,"customer_id":1,"order_no":"SO-000000002","email":"zoe.garcia1@mail.example.org","status":"placed","amount":"115.49","created_at":"2024-01-01 00:00:00.000822","note":null}
    {"_op":"c","_database":"shop","_table":"order_lines","_ts":"2024-01-01T00:00:00.000959Z","_file":"generator","_pos":7,"_row":0,"order_id":2,"line_no":1,"product":"backpack","quantity":1,"price":"69.99","picked_at":null}
    {"_op":"c","_database":"shop","_table":"order_lines","_ts":"2024-01-01T00:00:00.000959Z","_file":"generator","_pos":7,"_row":1,"order_id":2,"line_no":2,"product":"monitor stand","quantity":1,"price":"45.50","picked_at":null}
    {"_op":"c","_database":"shop","_table":"orders","_ts":"2024-01-01T00:00:00.001233Z","_file":"generator","_pos":9,"_row":0,"id":3,"customer_id":3,"order_no":"SO-000000003","email":"grace.kretchmar3@mail.example.org","status":"placed","amount":"583.96","created_at":"2024-01-01 00:00:00.001233","note":null}
    {"_op":"c","_database":"shop","_table":"order_lines","_ts":"2024-01-01T00:00:00.001370Z","_file":"generator","_pos":10,"_row":0,"order_id":3,"line_no":1,"product":"cable, 2 m","quantity":4,"price":"5.99","picked_at":null}
    {"_op":"c","_database":"shop","_table":"order_lines","_ts":"2024-01-01T00:00:00.001370Z","_file":"generator","_pos":10,"_row":1,"order_id":3,"line_no":2,"product":"office chair","quantity":2,"price":"189.00","picked_at":null}
    "##);
}

#[test]
fn seeds_differ() {
    let of = |seed| described(&batches(seed, 0, 500, &limits(1024)));
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_restart_at_any_change_goes_on_with_the_same_changes(
        seed in any::<u64>(),
        first in prop_oneof![0u64..3000, 0..LAST_CHANGE - 1000],
        skipped in 0u64..300,
        sizes in (1usize..40, 1usize..40),
    ) {
        let whole = batches(seed, first, skipped + 200, &limits(sizes.0));
        let resumed = batches(seed, first + skipped, 200, &limits(sizes.1));
        for batch in whole.iter().chain(&resumed) {
            prop_assert_eq!(batch.validate(), Ok(()));
        }
        prop_assert_eq!(&described(&whole)[skipped as usize..], &described(&resumed)[..]);
        prop_assert_eq!(whole.last().unwrap().offset.to_json(), resumed.last().unwrap().offset.to_json());
        // what was had of the one is told by the places in the other, however it is cut
        let cut = Offset::new(Place { seed, change: first + skipped });
        let had: usize = whole.iter().flat_map(|b| Changes.had(&cut, b).unwrap()).map(|range| range.len()).sum();
        prop_assert_eq!(had as u64, skipped);
        prop_assert!(resumed.iter().all(|b| Changes.had(&cut, b).unwrap().is_empty()));
    }
}

#[test]
fn places_identify_changes_and_transactions_stay_small() {
    let batches = batches(7, 0, 20_000, &limits(20_000));
    let mut places = std::collections::HashSet::new();
    for batch in &batches {
        let mut sizes = vec![0; batch.transactions.len()];
        for change in &batch.changes {
            let event = &batch.events[change.event as usize];
            assert!(places.insert((event.position, change.row)), "a place occurs twice");
            sizes[event.transaction as usize] += 1;
        }
        let inside = &sizes[1..sizes.len() - 1];
        assert_eq!((inside.iter().min(), inside.iter().max()), (Some(&1), Some(&4)));
    }
    assert_eq!(places.len(), 20_000);
}

#[test]
fn batches_keep_their_bounds_in_bytes() {
    let limits = Limits { batch_bytes: 10_000, ..limits(1024) };
    let batches = batches(7, 0, 5000, &limits);
    assert!(batches.iter().all(|b| b.bytes <= 10_000), "{:?}", batches.iter().map(|b| b.bytes).max());
    assert!(batches.len() < 1000);
    let tiny = Limits { batch_bytes: 1, ..limits };
    assert!(self::batches(7, 0, 50, &tiny).iter().all(|b| b.taken == 1));
}

async fn refused(position: &str) -> Error {
    let mut generator = Generator::new(settings(None, None), Limits::default(), Arc::default());
    let frontier = Frontier::of(Lane::new(LANE), Offset::from_json(position));
    generator.check(&[Begin::At(frontier)]).await.unwrap_err()
}

#[tokio::test]
async fn a_position_that_is_not_ours_is_refused_with_a_remedy() {
    let other = refused(r#"{"seed":8,"change":3}"#).await;
    assert_eq!(other.kind(), ErrorKind::Config);
    insta::assert_snapshot!(other, @r##"
    the checkpoint belongs to the generator's seed 8, but the pipeline has seed 7
      remedy: Set `seed: 8` again, or remove the state file to begin anew.
    "##);
    insta::assert_snapshot!(refused(r#"{"file":"binlog.000003","position":4}"#).await, @r##"
    the checkpoint holds no position of the generator: unknown field `file`, expected `seed` or `change` at line 1 column 7
      remedy: Give this pipeline a state file of its own, or remove the file to begin anew.
    "##);
    insta::assert_snapshot!(refused(r#"{"seed":7,"change":18446744073709551615}"#).await, @r##"
    the checkpoint's change 18446744073709551615 is beyond the generator's last one
      remedy: Remove the state file to begin anew.
    "##);
}

#[tokio::test]
async fn a_rate_of_nothing_is_refused() {
    let mut generator = Generator::new(settings(Some(0), None), Limits::default(), Arc::default());
    insta::assert_snapshot!(generator.check(&[Begin::First]).await.unwrap_err(), @r##"
    the generator's rate is 0 changes a second
      remedy: Set `rate` to 1 or more, or leave it out to generate as fast as possible.
    "##);
}

/// Runs a generator to its end and gives what it sent.
async fn run(settings: GeneratorSource, sinks: Vec<Frontier>) -> Vec<Batch> {
    let (out, mut items) = mpsc::channel(4);
    let status = Arc::new(Status::default());
    let generator = Generator::new(settings, limits(100), status.clone());
    let task = tokio::spawn(generator.run(sinks, out.into(), CancellationToken::new()));
    let mut got = Vec::new();
    while let Some(item) = tokio::time::timeout(DEADLINE, items.recv()).await.unwrap() {
        let Item::Rows(batch) = item else { panic!("the generator gives rows only") };
        got.push(batch);
    }
    task.await.unwrap().unwrap();
    assert!(status.source.is_connected() && status.source.heard_us() > 0);
    assert_eq!(status.source.lag_us(), 0, "nothing is left to read");
    got
}

#[tokio::test]
async fn the_stream_ends_after_the_given_number_of_changes_also_across_a_restart() {
    let whole = run(settings(None, Some(1234)), at(0)).await;
    assert_eq!(whole.iter().map(|b| b.changes.len()).sum::<usize>(), 1234);
    assert_eq!(whole.last().unwrap().offset.to_json(), r#"{"seed":7,"change":1234}"#);

    let delivered = Frontier::of(Lane::new(LANE), Offset::from_json(whole[4].offset.to_json()));
    let rest = run(settings(None, Some(1234)), vec![delivered]).await;
    assert_eq!(described(&rest), described(&whole[5..]));

    let end = Frontier::of(Lane::new(LANE), whole.last().unwrap().offset.clone());
    assert!(run(settings(None, Some(1234)), vec![end]).await.is_empty());
}

#[tokio::test]
async fn a_rate_is_kept() {
    let began = Instant::now();
    let batches = run(settings(Some(2000), Some(201)), at(0)).await;
    assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
    assert_eq!(batches.iter().map(|b| b.changes.len()).sum::<usize>(), 201);
    assert!(batches.len() > 2, "spread over time, not at the end: {}", batches.len());
}

#[test]
fn a_reader_that_fell_behind_does_not_get_more_than_a_second_at_once() {
    let mut pace = Pace::new(100, Duration::from_millis(5));
    let began = pace.began;
    assert_eq!(pace.due(began), Ok(1));
    pace.sent = 1;
    assert_eq!(pace.due(began), Err(Duration::from_nanos(10_000_001)));
    assert_eq!(pace.due(began + Duration::from_millis(500)), Ok(50));
    assert_eq!(pace.due(began + Duration::from_secs(3600)), Ok(100));
    pace.sent = 100;
    assert!(pace.due(began + Duration::from_secs(3600)).unwrap_or(0) <= 1);
}

#[tokio::test]
async fn stops_at_once_when_asked_or_when_nobody_reads() {
    for rate in [None, Some(1)] {
        // the queue is full (or the next change far) when the stop comes
        let (out, mut batches) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let task = tokio::spawn(Generator::new(settings(rate, None), limits(10), Arc::default()).run(at(0), out.into(), stop.clone()));
        assert!(tokio::time::timeout(DEADLINE, batches.recv()).await.unwrap().is_some());
        stop.cancel();
        tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap().unwrap();

        let (out, batches) = mpsc::channel(1);
        drop(batches);
        let run = Generator::new(settings(rate, None), limits(10), Arc::default()).run(at(0), out.into(), CancellationToken::new());
        tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
    }
}
