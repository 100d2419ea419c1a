use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;

use super::{
    super::{
        Generator,
        tests::{described, limits},
    },
    *,
};
use sluicegate_model::change::{Batch, LanePlace};
use sluicegate_source::{Ledger, Source as _};
use tokio_util::sync::CancellationToken;

const SEED: u64 = 7;

fn settings(changes: u64) -> GeneratorSource {
    GeneratorSource { seed: SEED, changes: Some(changes), lanes: 3, turbulence: Some(1), ..GeneratorSource::default() }
}

/// Transactions of the model, each with two tables of four rows.
const TRANSACTIONS: u64 = 8;
const GENERATIONS: u64 = 3;
/// Stands for the end of a transaction: a part never has it.
const WHOLE: (&str, u64) = ("", 0);

/// A place as the set of rows that were delivered.
fn model(place: &Delivered) -> BTreeSet<(u64, u64, &'static str, u64)> {
    let rows = ["orders", "order_lines"].into_iter().flat_map(|table| (0..4).map(move |row| (table, row)));
    let all: Vec<(&str, u64)> = rows.chain([WHOLE]).collect();
    let mut set = BTreeSet::new();
    for generation in 1..=GENERATIONS {
        // one transaction more than a place can have, since a generation has no end here
        for transaction in 0..=TRANSACTIONS {
            for (table, row) in &all {
                let had = generation < place.generation
                    || generation == place.generation
                        && (place.has(transaction) || (*table, *row) != WHOLE && *row < place.rows(transaction, table));
                if had {
                    set.insert((generation, transaction, *table, *row));
                }
            }
        }
    }
    set
}

fn places() -> impl Strategy<Value = Delivered> {
    let part = (0..TRANSACTIONS, prop::sample::select(vec!["orders", "order_lines"]), 1..=4_u64);
    let (above, parts) = (prop::collection::btree_set(0..TRANSACTIONS, 0..5), prop::collection::vec(part, 0..4));
    (1..=GENERATIONS, 0..TRANSACTIONS, above, parts).prop_map(|(generation, below, above, listed)| {
        let mut parts: BTreeMap<u64, delivered::Rows> = BTreeMap::new();
        for (transaction, table, rows) in listed {
            parts.entry(transaction).or_default().insert(table.into(), rows);
        }
        let text = Delivered { seed: SEED, generation, below, above, parts }.to_json();
        Delivered::of(&Offset::from_json(text)).unwrap().into_owned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn places_compare_as_the_sets_of_rows_that_they_stand_for(one in places(), two in places(), three in places()) {
        let (a, b) = (model(&one), model(&two));
        prop_assert_eq!(one.covers(&two), b.is_subset(&a));
        prop_assert_eq!(model(&one.meet(&two)), &a & &b);
        prop_assert_eq!(model(&one.join(&two)), &a | &b);
        // one set has one form
        prop_assert_eq!(a == b, one == two);
        prop_assert_eq!(one.meet(&two), two.meet(&one));
        prop_assert_eq!(one.join(&two), two.join(&one));
        prop_assert_eq!(one.meet(&two).meet(&three), one.meet(&two.meet(&three)));
        prop_assert_eq!(one.join(&two).join(&three), one.join(&two.join(&three)));
        prop_assert_eq!(one.join(&one.meet(&two)), one.clone());
        let again = Offset::from_json(one.to_json());
        prop_assert_eq!(&*Delivered::of(&again).unwrap(), &one);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever orders the transactions come in, each change comes once, and what was had at a place is told in any order.
    #[test]
    fn a_lane_that_restarts_in_another_order_gives_each_change_once(
        restarts in prop::collection::vec((any::<u64>(), prop::collection::vec(1..12_u64, 0..12)), 1..6),
        changes in 1..700_u64,
        lane in 1..4_u16,
        sink in 0..40_usize,
    ) {
        let settings = settings(changes);
        let start = |place, order| LaneStream::new(Log::new(&settings, lane), place, order, &limits(40));
        let whole = drain(&mut start(Delivered::beginning(SEED, 1), None), &mut [].iter());
        let mut got = Vec::new();
        let mut stream = start(Delivered::beginning(SEED, 1), None);
        for (order, sizes) in &restarts {
            stream.restart(Some(*order));
            got.extend(drain(&mut stream, &mut sizes.iter()));
            let place = Delivered::of(&stream.offset()).unwrap().into_owned();
            stream = start(place, None);
        }
        stream.restart(Some(0));
        got.extend(drain(&mut stream, &mut [].iter()));
        prop_assert_eq!(sorted(&got), sorted(&whole));
        prop_assert!(whole.iter().map(|batch| batch.changes.len() as u64).sum::<u64>() >= changes);

        // a sink that is somewhere in that, and a stream in order
        let place = got.iter().take(sink).next_back().map_or_else(|| start(Delivered::beginning(SEED, 1), None).offset(), |b| b.offset.clone());
        let had: usize = whole.iter().flat_map(|b| Transactions.had(&place, b).unwrap()).map(|range| range.len()).sum();
        prop_assert_eq!(had, got.iter().take(sink).map(|batch| batch.changes.len()).sum::<usize>());
    }
}

/// Batches of these sizes, or of the largest size until the lane has ended.
fn drain(stream: &mut LaneStream, sizes: &mut std::slice::Iter<'_, u64>) -> Vec<Batch> {
    let all = sizes.len() == 0;
    let mut got = Vec::new();
    while stream.ahead() != Ahead::End {
        if stream.ahead() == Ahead::Generation {
            stream.begin_anew();
            continue;
        }
        let Some(size) = sizes.next().copied().or(all.then_some(40)) else { break };
        // what was left may have been delivered in parts
        let Some(batch) = stream.batch(size, 0) else { continue };
        batch.validate().unwrap();
        got.push(batch);
    }
    got
}

fn sorted(batches: &[Batch]) -> Vec<(String, Option<String>, Option<String>)> {
    let mut all = described(batches);
    all.sort();
    all
}

fn at(lanes: &[(&str, &str)]) -> Begin {
    Begin::At(lanes.iter().map(|(lane, offset)| (sluicegate_model::change::Lane::new(*lane), Offset::from_json(*offset))).collect())
}

#[test]
fn a_sink_that_begins_now_has_what_any_other_has() {
    let one = at(&[("generator/1", r#"{"seed":7,"generation":1,"below":5,"above":[9],"parts":{"6":{"orders":1}}}"#)]);
    let two = at(&[("generator/1", r#"{"seed":7,"generation":1,"below":6,"above":[8]}"#)]);
    let starts = check(&settings(100), &[one, two, Begin::Start(StartAt::Now), Begin::Start(StartAt::Earliest)]).unwrap();
    insta::assert_snapshot!(starts[2], @r#"generator/1 {"seed":7,"generation":1,"below":6,"above":[8,9],"parts":{"6":{"orders":1}}}"#);
    insta::assert_snapshot!(starts[3], @r#"generator/1 {"seed":7,"generation":1,"below":0}"#);
}

#[test]
fn a_lane_that_the_source_does_not_have_is_refused() {
    let refused = |begins: &[Begin]| check(&settings(100), begins).unwrap_err();
    insta::assert_snapshot!(refused(&[at(&[("generator", r#"{"seed":7,"change":3}"#)])]), @r"
    the checkpoint holds progress in the lane `generator`, which the generator does not have with these settings
      remedy: Set the generator's `lanes` and `turbulence` as they were, or remove the state file to begin anew.
    ");
    insta::assert_snapshot!(refused(&[at(&[("generator/4", r#"{"seed":7,"generation":1,"below":5}"#)])]), @r"
    the checkpoint holds progress in the lane `generator/4`, which the generator does not have with these settings
      remedy: Set the generator's `lanes` and `turbulence` as they were, or remove the state file to begin anew.
    ");
    insta::assert_snapshot!(refused(&[at(&[("generator/2", r#"{"seed":7,"generation":0,"below":5}"#)])]), @r"
    the checkpoint holds no place of a lane of the generator
      remedy: Give this pipeline a state file of its own, or remove the file to begin anew.
    ");
    let first = || at(&[("generator/1", r#"{"seed":7,"generation":1,"below":5}"#)]);
    let both = at(&[("generator/1", r#"{"seed":7,"generation":1,"below":5}"#), ("generator/2", r#"{"seed":7,"generation":1,"below":5}"#)]);
    insta::assert_snapshot!(refused(&[first(), both]), @r"
    the checkpoint holds progress in the lane `generator/2` for some sinks only
      remedy: `sluicegate checkpoint show` lists them: give each sink a place with `sluicegate checkpoint set --lane generator/2`.
    ");
}

/// What a generator gives from its first start on.
async fn items(settings: GeneratorSource) -> Vec<Item> {
    let (out, mut items) = tokio::sync::mpsc::channel(4);
    let mut generator = Generator::new(settings, limits(30), Arc::default());
    let starts = generator.check(&[Begin::First]).await.unwrap();
    let task = tokio::spawn(generator.run(starts, out.into(), CancellationToken::new()));
    let mut got = Vec::new();
    while let Some(item) = items.recv().await {
        got.push(item);
    }
    task.await.unwrap().unwrap();
    got
}

fn changes(items: &[Item], lane: u16) -> u64 {
    let of_lane = items.iter().filter(|item| item.lane().name() == names::lane(lane).name());
    of_lane.map(|item| if let Item::Rows(batch) = item { u64::from(batch.taken) } else { 0 }).sum()
}

#[tokio::test]
async fn without_turbulence_lanes_come_in_turn_and_in_order() {
    let items = items(GeneratorSource { turbulence: None, ..settings(200) }).await;
    let lanes: Vec<&str> = items.iter().take(6).map(|item| item.lane().name()).collect();
    assert_eq!(lanes, ["generator/2", "generator/3", "generator/1", "generator/2", "generator/3", "generator/1"]);
    for lane in 1..=3 {
        assert!((200..204).contains(&changes(&items, lane)), "{}", changes(&items, lane));
    }
    let place = |item: &Item| Delivered::of(item.offset()).unwrap().into_owned();
    assert!(items.iter().map(place).all(|place| place.generation == 1 && place.above.is_empty()));
    let ends = items.iter().filter(|item| matches!(item, Item::Mark(Mark { kind: MarkKind::Lane(LaneEvent::Ends), .. })));
    assert_eq!(ends.count(), 3);
}

/// A test that counts on disorder has to get some.
#[tokio::test]
async fn turbulence_has_everything_that_it_promises() {
    let items = items(settings(2000)).await;
    let marks = |kind| {
        let is = move |item: &&Item| matches!(item, Item::Mark(Mark { kind: MarkKind::Lane(event), .. }) if *event == kind);
        items.iter().filter(is).map(|item| Delivered::of(item.offset()).unwrap().into_owned()).collect::<Vec<_>>()
    };
    assert!(!marks(LaneEvent::Failed).is_empty());
    assert_eq!(marks(LaneEvent::Ends).len(), 3);
    let begins = marks(LaneEvent::Begins);
    assert_eq!(begins.iter().filter(|place| place.generation == 1).count(), 2, "the first lane is there from the start on");
    assert!(begins.iter().any(|place| place.generation == 1 && place.below > 0));
    assert!(begins.iter().any(|place| place.generation > 1 && place.below == 0));
    let places: Vec<Delivered> = items.iter().map(|item| Delivered::of(item.offset()).unwrap().into_owned()).collect();
    assert!(places.iter().any(|place| !place.above.is_empty()) && places.iter().any(|place| place.parts.len() > 1));
    // no generation is as long as the whole
    assert!(changes(&items, 1) >= 2000 && places.iter().all(|place| place.generation == 1 || place.below < 500));
}
