//! The history against a small model: a log in memory, of which every place's true schemas are known.

use proptest::prelude::*;
use sluicegate_source::SchemaStore;

use super::*;
use crate::{gtid::GtidSet, position::Flavour, schemas::InMemory};

const TABLES: usize = 3;

/// An event of the model's log. Every event is a transaction.
#[derive(Clone, Debug)]
enum Event {
    Row(usize),
    /// Of one table, or of all.
    Change(Option<usize>),
}

#[derive(Clone, Debug)]
enum Step {
    /// The server logs these.
    Log(Vec<Event>),
    /// A run reads so many events, asks for all schemas behind those that are marked, and ends; the least sink is so far behind it.
    Run { events: usize, idle: Vec<bool>, behind: usize, clean: bool, captured: [bool; TABLES] },
    /// An operator moves the sinks to a part of the log.
    Jump(usize),
    /// The server loses so many events at the end of its log.
    Lose(usize),
}

fn table(number: usize) -> TableName {
    TableName::new("d", format!("t{number}"))
}

/// The log: each event with a number of its own, which tells what it did to a schema.
#[derive(Default)]
struct World {
    log: Vec<(u32, Event)>,
    next: u32,
    with_gtids: bool,
    /// Where each further file of the log begins: a server that lost its log's end begins another one.
    files: Vec<usize>,
    durable: usize,
    store: InMemory,
    /// How many events were read when it was noted last, and the last of them.
    noted: (usize, Option<u32>),
    /// Rows that were read with a schema.
    read: usize,
}

impl World {
    fn place(&self, events: usize) -> BinlogPosition {
        let set = if events == 0 { String::new() } else { format!("0-1-{events}") };
        let before: Vec<usize> = self.files.iter().copied().filter(|begin| *begin < events).collect();
        BinlogPosition {
            flavour: Flavour::MariaDb,
            server: Some("s".into()),
            file: format!("b.{:06}", before.len() + 1).into(),
            position: 4 + 100 * (events - before.last().copied().unwrap_or_default()) as u64,
            gtid_set: self.with_gtids.then(|| Arc::new(GtidSet::parse_mariadb(&set).unwrap())),
            open: Vec::new(),
            prepared: Vec::new(),
            skip: None,
            created: None,
        }
    }

    fn touched(event: &Event) -> Option<Touched> {
        match event {
            Event::Row(_) => None,
            Event::Change(Some(number)) => Some(Touched::Tables(vec![table(*number)])),
            Event::Change(None) => Some(Touched::Any),
        }
    }

    /// The schema of a table behind so many events: the number of its last change.
    fn schema(&self, number: usize, events: usize) -> String {
        let concerns = |event: &Event| Self::touched(event).is_some_and(|touched| touched.may_be(&table(number)));
        self.log[..events].iter().rev().find(|(_, event)| concerns(event)).map_or(0, |(number, _)| *number).to_string()
    }

    fn keep(&mut self, changes: &[KeptChange], events: usize) {
        if changes.iter().any(|change| matches!(change, KeptChange::ReadTo(_))) {
            self.noted = (events, events.checked_sub(1).map(|last| self.log[last].0));
        }
        self.store.store(changes).unwrap();
    }

    /// Learns what the catalogue says now, where it is valid behind so many events.
    fn settle(&mut self, history: &mut History, at: usize, captured: &[bool; TABLES]) {
        for number in (0..TABLES).filter(|number| captured[*number]) {
            let valid = self.schema(number, at) == self.schema(number, self.log.len());
            if valid && history.known(&table(number)).is_none() {
                let changes = history.learn(&table(number), self.schema(number, self.log.len()).into(), &self.place(at));
                self.keep(&changes, at);
            }
        }
    }

    fn run(&mut self, events: usize, idle: &[bool], behind: usize, clean: bool, captured: &[bool; TABLES]) {
        let captures = |name: &TableName| (0..TABLES).any(|number| captured[number] && table(number) == *name);
        let begin = self.place(self.durable);
        let read_to = self.store.read_to().unwrap();
        let mut history = History::load(self.store.versions().unwrap(), read_to.as_deref(), &begin).unwrap();
        let proven = self.noted.0 == 0 || self.log.get(self.noted.0 - 1).is_some_and(|(number, _)| Some(*number) == self.noted.1);
        let changes = match (history.gap().is_some(), history.ahead().is_some(), proven) {
            (true, _, true) => {
                let gap: Vec<_> = self.log[self.noted.0..self.durable].iter().filter_map(|(_, event)| Self::touched(event)).collect();
                history.close_gap(|table| gap.iter().any(|touched| touched.may_be(table)))
            }
            (true, _, false) => history.forget_all(),
            (_, true, false) => history.forget_all(),
            _ => Vec::new(),
        };
        self.keep(&changes, self.durable);
        let changes = history.prune(std::slice::from_ref(&begin), captures);
        self.keep(&changes, self.durable);
        let mut at = self.durable;
        for step in 0..events {
            if idle.get(step).copied().unwrap_or_default() {
                self.settle(&mut history, at, captured);
            }
            let Some((_, event)) = self.log.get(at).cloned() else { break };
            if let Event::Row(number) = event
                && captured[number]
            {
                if history.known(&table(number)).is_none() {
                    self.settle(&mut history, at, captured);
                }
                // else the run ends with an error
                let Some(place) = history.known(&table(number)) else { break };
                let schema = self.store.schema(&table(number), &place).unwrap();
                assert_eq!(schema, Some(self.schema(number, at)), "{number} at {at}");
                self.read += 1;
            }
            at += 1;
            if let Some(touched) = Self::touched(&event) {
                let gtid = self.with_gtids.then_some(Gtid::MariaDb { domain: 0, server: 1, sequence: at as u64 });
                let changes = history.change(&touched, Milestone::new(self.place(at), gtid), captures);
                self.keep(&changes, at);
            }
            history.trim(2, || self.place(at));
        }
        if clean {
            let changes: Vec<_> = history.note_read_to(&self.place(at)).into_iter().collect();
            self.keep(&changes, at);
        }
        self.durable = self.durable.max(at.saturating_sub(behind));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Log(events) => {
                for event in events {
                    self.next += 1;
                    self.log.push((self.next, event.clone()));
                }
            }
            Step::Run { events, idle, behind, clean, captured } => self.run(*events, idle, *behind, *clean, captured),
            Step::Jump(part) => self.durable = self.log.len() * part / 100,
            Step::Lose(events) => {
                let left = self.log.len().saturating_sub(*events).max(self.durable);
                if left < self.log.len() {
                    self.log.truncate(left);
                    self.files.push(left);
                }
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..TABLES).prop_map(Event::Row),
        2 => (0..TABLES).prop_map(|number| Event::Change(Some(number))),
        1 => Just(Event::Change(None)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let run = (0..20_usize, prop::collection::vec(any::<bool>(), 20), 0..6_usize, any::<bool>(), any::<[bool; TABLES]>());
    prop_oneof![
        4 => prop::collection::vec(event(), 1..8).prop_map(Step::Log),
        6 => run.prop_map(|(events, idle, behind, clean, mut captured)| {
            captured[0] = true;
            Step::Run { events, idle, behind, clean, captured }
        }),
        1 => (0..101_usize).prop_map(Step::Jump),
        1 => (1..6_usize).prop_map(Step::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_row_is_read_with_a_schema_that_is_not_its_own(steps in prop::collection::vec(step(), 1..25), with_gtids: bool) {
        let mut world = World { with_gtids, ..World::default() };
        for step in &steps {
            world.step(step);
        }
    }

    #[test]
    fn a_reader_that_was_there_before_the_changes_reads_every_row_behind_them(
        before in prop::collection::vec(event(), 0..8),
        runs in prop::collection::vec((prop::collection::vec(event(), 0..6), 0..6_usize, any::<bool>()), 1..8),
        with_gtids: bool,
    ) {
        let mut world = World { with_gtids, ..World::default() };
        world.step(&Step::Log(before));
        world.durable = world.log.len();
        let captured = [true; TABLES];
        for (events, behind, clean) in runs {
            // in step: each event is read before the next one is logged, and no sink has it when the run ends
            world.run(1, &[true], usize::MAX, clean, &captured);
            for event in events {
                world.step(&Step::Log(vec![event]));
                let to_end = world.log.len() - world.durable;
                world.run(to_end + 1, &vec![true; to_end + 1], behind.max(1), clean, &captured);
            }
            // once more, from where the sinks are: nothing is unknown
            let rows = world.log[world.durable..].iter().filter(|(_, event)| matches!(event, Event::Row(_))).count();
            let read = world.read;
            world.run(usize::MAX, &[true], behind, clean, &captured);
            prop_assert_eq!(world.read - read, rows);
        }
    }
}

#[test]
fn what_is_kept_is_pruned_to_the_version_that_holds_and_those_behind_it() {
    let mut world = World { with_gtids: true, ..World::default() };
    let captured = [true, false, false];
    for _ in 0..10 {
        world.step(&Step::Log(vec![Event::Change(Some(0)), Event::Row(0)]));
        world.run(3, &[true; 3], 0, true, &captured);
    }
    world.run(0, &[], 0, true, &captured);
    assert_eq!(world.store.versions().unwrap().len(), 1);
    assert_eq!(world.read, 10);
}

#[test]
fn of_a_table_that_is_captured_later_nothing_from_before_is_known() {
    let place = |position: u64| World::default().place(usize::try_from(position).unwrap());
    let captured = |patterns: &[&str]| Captured::new(sluicegate_config::TablePatterns::new(patterns).unwrap());
    let (before, after) = (captured(&["d.t0"]), captured(&["d.t0", "d.t1"]));
    let mut history = History::load(Vec::new(), None, &place(0)).unwrap();
    for table in [table(0), table(1)] {
        history.learn(&table, "{}".into(), &place(0));
    }
    // it was not captured for a while, and changed unseen
    let changes = history.capture(&before, &after, Milestone::new(place(3), None));
    assert!(history.known(&table(0)).is_some() && history.known(&table(1)).is_none(), "{changes:?}");
    assert!(changes.iter().any(|change| matches!(change, KeptChange::Begin { table: of, schema: None, .. } if *of == table(1))));
    let learned = history.learn(&table(1), "{}".into(), &place(3));
    // a run that begins before that place comes to the same version there
    let versions = |changes: &[KeptChange]| -> Vec<KeptVersion> {
        let version = |change: &KeptChange| match change {
            KeptChange::Begin { table, place, schema } => {
                Some(KeptVersion { table: table.clone(), place: place.clone(), known: schema.is_some() })
            }
            _ => None,
        };
        changes.iter().filter_map(version).collect()
    };
    let mut again = History::load(versions(&learned), None, &place(1)).unwrap();
    assert!(again.known(&table(2)).is_none());
    again.capture(&before, &after, Milestone::new(place(3), None));
    assert!(again.known(&table(1)).is_some());
}
