//! Waits of a member of a group while nobody takes what it sends.

use tokio::{runtime::Runtime, sync::mpsc};

use super::*;
use crate::client::{self, Rebalance};
use sluicegate_config::{OnUnreadable, Rate, TopicFormat, TopicImages, TopicNumbers, TopicPatterns};
use sluicegate_model::change::Item;

struct Bench {
    session: Session,
    _runtime: Runtime,
    queue: mpsc::Receiver<Item>,
}

/// A session that reads two partitions, 3 and 4, with a queue for one item. There is no broker.
fn bench(group: Option<&str>, bytes_per_second: Option<u64>) -> Bench {
    bench_with(group, bytes_per_second, 1)
}

fn bench_with(group: Option<&str>, bytes_per_second: Option<u64>, items: usize) -> Bench {
    let settings = KafkaSource {
        brokers: "127.0.0.1:1".into(),
        security: None,
        topics: TopicPatterns::new(&["orders"]),
        format: TopicFormat::Flat,
        group: group.map(str::to_owned),
        latest: false,
        before_images: TopicImages::Deletes,
        before_images_chosen: false,
        numbers: TopicNumbers::Decimal,
        on_unreadable: OnUnreadable::Stop,
        rate: Rate { rows: None, bytes: bytes_per_second },
        options: BTreeMap::new(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let (out, queue) = mpsc::channel(items);
    let limits = Limits::default();
    let mut session = Session::new(Setup {
        client: Arc::new(client::connect(&settings, &limits).unwrap()),
        membership: group.map(crate::group::membership),
        status: Arc::new(Status::default()),
        out: out.into(),
        stop: CancellationToken::new(),
        runtime: runtime.handle().clone(),
        letters: None,
        stored: Frontier::default(),
        settings,
        limits,
    });
    let place = KafkaPlace { topic_id: "id".into(), offset: 5, last: None };
    for number in [3, 4] {
        let partition = Partition::new("orders".into(), number, &place, session.set_place.clone());
        session.add(partition, 0, &mut TopicPartitionList::new()).unwrap();
    }
    Bench { session, _runtime: runtime, queue }
}

fn row(table: &str, id: &str) -> String {
    format!(r#"{{"_op":"c","_database":"shop","_table":"{table}","id":{id}}}"#)
}

impl Bench {
    /// A record waits in the batch of one of the partitions.
    fn read(&mut self, at: usize, offset: i64) {
        let text = row("orders", "1");
        let Session { versions, partitions, reading, .. } = &mut self.session;
        let Ok(Record::Row(row)) = record::read(None, Some(text.as_bytes()), *reading, versions) else { panic!("it is a row") };
        partitions[at].assembly.push(&row, offset, 0, reading.most_bytes).unwrap();
        partitions[at].pass(offset, None);
    }

    /// A record comes in the first partition.
    fn put(&mut self, offset: i64, text: &str) -> Result<Result<(), Unreadable>, End> {
        let Session { versions, reading, .. } = &mut self.session;
        let Ok(Record::Row(row)) = record::read(None, Some(text.as_bytes()), *reading, versions) else { panic!("it is a row") };
        self.session.put(0, &row, offset, None)
    }

    /// The tables of the batches that were sent, with their numbers of rows.
    fn batches(&mut self) -> Vec<Vec<(String, usize)>> {
        let mut all = Vec::new();
        while let Ok(Item::Rows(batch)) = self.queue.try_recv() {
            all.push(batch.tables.iter().map(|rows| (rows.table.name.table.clone(), rows.len())).collect());
        }
        all
    }

    fn decide(&self) {
        self.session.client().context().decide(Rebalance::Revoked);
    }
}

#[test]
fn a_member_of_a_group_sees_what_was_decided_while_nobody_takes_its_records() {
    let mut bench = bench(Some("clean"), None);
    assert_eq!(bench.session.sent(), [], "nobody commits a place that was not sent");
    bench.session.mark(0, MarkKind::Lane(LaneEvent::Begins)).ok().unwrap();
    let begun = [(Arc::from("orders"), 3, 5)];
    assert_eq!(bench.session.sent(), begun);
    bench.decide();
    bench.read(0, 5);
    assert!(matches!(bench.session.flush(), Err(End::Rebalance)), "the queue is full");
    assert_eq!(bench.session.sent(), begun, "what was not taken was not sent");
    bench.queue.try_recv().unwrap();
    assert!(bench.queue.try_recv().is_err());
    // what can be sent at once is sent
    bench.read(0, 6);
    bench.session.flush().ok().unwrap();
    assert_eq!(bench.session.sent(), [(Arc::from("orders"), 3, 7)]);
}

#[test]
fn a_member_of_a_group_sees_what_was_decided_while_it_may_not_read_on() {
    let mut bench = bench(Some("clean"), Some(1));
    bench.decide();
    bench.read(0, 5);
    assert!(matches!(bench.session.flush(), Err(End::Rebalance)), "the rate makes it wait");
    assert_eq!(bench.session.sent(), [(Arc::from("orders"), 3, 6)], "it was sent before");
}

/// Whoever is in no group waits for the queue alone.
#[test]
fn a_session_without_a_group_waits_until_its_records_are_taken() {
    let mut bench = bench(None, None);
    bench.session.mark(0, MarkKind::Heartbeat).ok().unwrap();
    bench.decide();
    bench.read(0, 5);
    let stop = bench.session.stop();
    let mut session = bench.session;
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| session.flush().ok());
        assert!(matches!(bench.queue.blocking_recv(), Some(Item::Mark(_))));
        assert!(matches!(bench.queue.blocking_recv(), Some(Item::Rows(_))));
        assert_eq!(sending.join().unwrap(), Some(()));
    });
    stop.cancel();
    assert!(matches!(session.mark(0, MarkKind::Heartbeat), Err(End::Stopped)));
}

#[test]
fn another_version_of_a_table_in_one_partition_leaves_the_batches_of_the_others_to_grow() {
    let mut bench = bench(None, None);
    bench.read(0, 5);
    bench.read(1, 8);
    bench.session.flush_partition(0).ok().unwrap();
    assert_eq!(bench.session.sent(), [(Arc::from("orders"), 3, 6)]);
    assert!(bench.session.partitions[0].assembly.is_empty() && !bench.session.partitions[1].assembly.is_empty());
    assert!(matches!(bench.queue.try_recv(), Ok(Item::Rows(batch)) if batch.lane.name() == "kafka:orders/3"));
    bench.session.flush().ok().unwrap();
    assert!(matches!(bench.queue.try_recv(), Ok(Item::Rows(batch)) if batch.lane.name() == "kafka:orders/4"));
}

#[test]
fn the_first_row_of_a_version_that_can_be_read_begins_a_batch() {
    let mut bench = bench_with(None, None, 10);
    let one = |table: &str, rows| vec![(table.to_owned(), rows)];
    for (offset, table, id) in [(5, "orders", "1.5"), (6, "orders", "2.5"), (7, "orders", "3.5")] {
        bench.put(offset, &row(table, id)).ok().unwrap().unwrap();
    }
    assert_eq!(bench.batches(), [one("orders", 1)], "others wait for more");
    assert!(bench.put(8, &row("lines", "1e500")).ok().unwrap().is_err(), "the number has too many digits");
    bench.put(9, &row("orders", "4.5")).ok().unwrap().unwrap();
    bench.put(10, &row("lines", "1.5")).ok().unwrap().unwrap();
    assert_eq!(bench.batches(), [one("orders", 2), one("orders", 1), one("lines", 1)]);
    bench.put(11, &row("lines", "2.5")).ok().unwrap().unwrap();
    assert_eq!(bench.batches(), [] as [Vec<_>; 0], "it has begun");
}

#[test]
fn a_version_whose_first_row_was_not_taken_has_not_begun() {
    let mut bench = bench(Some("clean"), None);
    bench.session.mark(0, MarkKind::Lane(LaneEvent::Begins)).ok().unwrap();
    bench.decide();
    assert!(matches!(bench.put(5, &row("orders", "1")), Err(End::Rebalance)));
    bench.queue.try_recv().unwrap();
    bench.put(5, &row("orders", "1")).ok().unwrap().unwrap();
    assert_eq!(bench.batches().len(), 1, "it begins a batch again");
}
