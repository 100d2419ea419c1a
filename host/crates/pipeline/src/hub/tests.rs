use std::{ops::Range, thread};

use super::*;
use sluicegate_model::{
    Result,
    change::{Batch, Lane, Transaction},
};
use sluicegate_status::SinkStatus;

/// Compares numbers.
#[derive(Debug)]
struct Counted;

fn number(offset: &Offset) -> u64 {
    offset.to_json().parse().expect("a number")
}

impl Ledger for Counted {
    fn had(&self, _: &Offset, _: &Batch) -> Result<Vec<Range<usize>>> {
        Ok(Vec::new())
    }

    fn had_whole(&self, _: &Offset, _: &Transaction, _: &Offset) -> Result<bool> {
        Ok(false)
    }

    fn covers(&self, offset: &Offset, other: &Offset) -> Result<bool> {
        Ok(number(offset) >= number(other))
    }

    fn join(&self, offset: &Offset, _: &Offset) -> Result<Offset> {
        Ok(offset.clone())
    }

    fn check(&self, _: &str, _: &Offset) -> Result<()> {
        Ok(())
    }
}

/// Long enough for whatever does not wait.
const MOMENT: Option<Duration> = Some(Duration::from_millis(30));
const HOLDS: Seat = Seat { attached: true, may_leave: false };
const MAY_LEAVE: Seat = Seat { attached: true, may_leave: true };

fn at(place: u64) -> Frontier {
    Frontier::of(Lane::new("l"), Offset::from_json(place.to_string()))
}

fn hub<const N: usize>(seats: [Seat; N]) -> Arc<Hub> {
    Hub::new(seats, at(0), 1, Duration::from_millis(1), Arc::new(Counted), Budget::unlimited(), Arc::default())
}

fn item(place: u64) -> Item {
    Item::Rows(Batch::empty(place, Lane::new("l"), Offset::from_json(place.to_string())))
}

/// Sends what a place stands for, on a thread.
fn send(hub: &Arc<Hub>, places: Range<u64>) -> thread::JoinHandle<bool> {
    let sinks = hub.sender();
    thread::spawn(move || places.into_iter().all(|place| sinks.send(&Arc::new(item(place)))))
}

fn came(reader: &Reader, most: Option<Duration>) -> Option<u64> {
    match reader.next(most) {
        Next::Item(item) => Some(number(item.offset())),
        Next::Nothing => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sink_that_holds_is_waited_for() {
    let hub = hub([HOLDS, HOLDS]);
    let (fast, slow) = (hub.reader(0), hub.reader(1));
    let sending = send(&hub, 1..4);
    assert_eq!([came(&fast, None), came(&fast, None), came(&fast, MOMENT)], [Some(1), Some(2), None]);
    assert_eq!(came(&slow, None), Some(1));
    assert_eq!(came(&fast, None), Some(3));
    assert_eq!([came(&slow, None), came(&slow, None)], [Some(2), Some(3)]);
    assert!(sending.join().unwrap());
    assert!(matches!((fast.next(None), slow.next(None)), (Next::Ended, Next::Ended)));
}

#[test]
fn a_sink_that_may_leave_is_left_and_joins_where_it_has_everything() {
    let hub = hub([HOLDS, MAY_LEAVE]);
    let (fast, slow) = (hub.reader(0), hub.reader(1));
    let sinks = hub.sender();
    let reading = thread::spawn(move || (1..=6).map(|_| came(&fast, None).unwrap()).collect::<Vec<_>>());
    assert!((1..=5).all(|place| sinks.send(&Arc::new(item(place)))));
    assert!(matches!(slow.next(None), Next::Left), "what waited for it is let go");
    assert!(hub.is_one_apart());
    assert_eq!(hub.passed(), at(5));
    assert!(!hub.attach(1, &at(4)));
    assert!(!hub.attach(1, &Frontier::default()), "a lane that it does not know");
    assert!(hub.attach(1, &at(7)));
    assert!(sinks.send(&Arc::new(item(6))));
    assert_eq!(came(&slow, None), Some(6));
    assert_eq!(reading.join().unwrap(), [1, 2, 3, 4, 5, 6]);
    drop(sinks);
    assert!(!hub.attach(1, &at(9)), "nothing comes any more");
}

#[test]
fn the_only_sink_that_is_left_does_not_leave() {
    let hub = hub([MAY_LEAVE, Seat { attached: false, may_leave: true }]);
    let only = hub.reader(0);
    let sending = send(&hub, 1..3);
    while !hub.state().sending {
        thread::yield_now();
    }
    assert_eq!([came(&only, None), came(&only, None)], [Some(1), Some(2)]);
    assert!(sending.join().unwrap());
}

#[test]
fn a_stream_without_sinks_waits_until_one_joins() {
    let hub = hub([Seat { attached: false, may_leave: true }]);
    let only = hub.reader(0);
    let sending = send(&hub, 1..2);
    assert!(matches!(only.next(MOMENT), Next::Left));
    assert!(hub.attach(0, &at(0)));
    assert_eq!(came(&only, None), Some(1));
    assert!(sending.join().unwrap());
}

#[test]
fn the_others_wait_between_two_items_while_one_joins() {
    let hub = hub([HOLDS, Seat { attached: false, may_leave: true }]);
    let (other, joins) = (hub.reader(0), hub.reader(1));
    hub.hold(1);
    let sending = send(&hub, 1..2);
    assert_eq!(came(&other, MOMENT), None);
    assert!(hub.attach(1, &hub.passed()));
    assert_eq!([came(&other, None), came(&joins, None)], [Some(1), Some(1)]);
    assert!(sending.join().unwrap());
}

#[test]
fn what_a_sink_that_left_has_in_hand_is_not_counted_for_the_others() {
    let budget = Budget::new(10);
    let hub = Hub::new([HOLDS, MAY_LEAVE], at(0), 4, Duration::from_millis(1), Arc::new(Counted), budget.clone(), Arc::default());
    let (fast, slow) = (hub.reader(0), hub.reader(1));
    let Item::Rows(mut batch) = item(1) else { panic!("rows") };
    batch.permit = budget.acquire_blocking(10);
    assert!(hub.sender().0.send(&Arc::new(Item::Rows(batch))));
    drop(fast.next(None));
    let Next::Item(in_hand) = slow.next(None) else { panic!("an item") };
    let waiting = thread::spawn({
        let budget = budget.clone();
        move || drop(budget.acquire_blocking(5))
    });
    while !budget.is_waited_for() {
        thread::yield_now();
    }
    // not the first time: it has done nothing yet but what all do
    hub.look(Duration::ZERO);
    assert_eq!(budget.in_flight(), 10);
    hub.look(Duration::from_millis(2));
    waiting.join().unwrap();
    assert!(matches!(slow.next(None), Next::Left));
    drop(in_hand);
    assert_eq!(budget.in_flight(), 0);
}

#[test]
fn a_sink_that_is_paused_leaves_also_when_it_is_the_only_one() {
    let sink = SinkStatus { name: "s".into(), ..SinkStatus::default() };
    sink.apart.pause(true);
    let status = Arc::new(Status { sinks: vec![sink], ..Status::default() });
    let hub = Hub::new([MAY_LEAVE], at(0), 1, Duration::from_secs(60), Arc::new(Counted), Budget::unlimited(), status.clone());
    let only = hub.reader(0);
    let sending = send(&hub, 1..4);
    hub.look(Duration::ZERO);
    assert!(matches!(only.next(None), Next::Left));
    assert_eq!(status.sinks[0].apart.standing(), Standing::Apart);
    // whatever the stream has passed, it goes on where the sink has that
    until("it joins", || hub.attach(0, &at(2)));
    drop(only);
    sending.join().unwrap();
}

/// Tries again and again.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        thread::yield_now();
    }
}
