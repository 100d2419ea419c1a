use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn a_batch_that_was_set_aside_takes_nothing_and_waits_for_nobody() {
    let budget = Budget::new(100);
    let (old, new) = (budget.acquire_blocking(60), budget.acquire_blocking(40));
    old.set_aside();
    assert_eq!(budget.in_flight(), 40);
    // the next one is the oldest now, and others may take what is left
    let more = new.hold(500);
    let other = old.hold(1000);
    old.measured(70);
    assert_eq!(budget.in_flight(), 540, "nothing of the one that was set aside");
    drop(more);
    drop(other);
    drop(old);
    assert_eq!(budget.in_flight(), 40);
    drop(new);
    assert_eq!(budget.in_flight(), 0);
}

#[test]
fn a_batch_that_waits_goes_on_when_it_is_set_aside() {
    let budget = Budget::new(100);
    let (oldest, second) = (budget.acquire_blocking(60), budget.acquire_blocking(40));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| drop(second.hold(50)));
        while !budget.is_waited_for() {
            thread::yield_now();
        }
        second.set_aside();
        waiting.join().expect("it went on");
    });
    assert_eq!(budget.in_flight(), 60);
    drop(oldest);
}

/// What somebody does with the budget. Numbers are taken modulo of what there is.
#[derive(Clone, Debug)]
enum Step {
    /// A new batch is wanted.
    Acquire(usize),
    /// A batch in flight needs more.
    More(usize, usize),
    /// A batch gives back what it took last.
    Less(usize),
    /// A batch is let go.
    Release(usize),
    /// Somebody who waits gives up.
    GiveUp(usize),
    Resize(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop_oneof![4 => 0..40_usize, 1 => 0..300_usize];
    prop::collection::vec(
        prop_oneof![
            3 => bytes.clone().prop_map(Step::Acquire),
            3 => (0..8_usize, bytes).prop_map(|(batch, bytes)| Step::More(batch, bytes)),
            2 => (0..8_usize).prop_map(Step::Less),
            3 => (0..8_usize).prop_map(Step::Release),
            1 => (0..8_usize).prop_map(Step::GiveUp),
            1 => (50..150_usize).prop_map(Step::Resize),
        ],
        1..120,
    )
}

/// The rules in a few lines: bytes of each batch, and who waits, in the order of the batches and then of the asking.
#[derive(Default)]
struct Model {
    most: usize,
    batches: BTreeMap<u64, Vec<usize>>,
    waiting: BTreeMap<(u64, u64), usize>,
}

impl Model {
    fn used(&self) -> usize {
        self.batches.values().flatten().sum()
    }

    fn settle(&mut self) {
        while let Some((&(batch, ticket), &bytes)) = self.waiting.first_key_value() {
            let oldest = self.batches.keys().next().is_none_or(|oldest| *oldest >= batch);
            if !oldest && self.used() + bytes > self.most {
                break;
            }
            self.waiting.remove(&(batch, ticket));
            self.batches.entry(batch).or_default().push(bytes);
        }
    }
}

/// The budget, driven step by step beside the model.
struct World {
    budget: Arc<Budget>,
    model: Model,
    asking: BTreeMap<(u64, u64), Acquire>,
    next: u64,
    tickets: u64,
}

impl World {
    fn ask(&mut self, batch: Option<u64>, bytes: usize) {
        let number = batch.unwrap_or(self.next);
        self.next += u64::from(batch.is_none());
        let key = (number, self.tickets);
        self.tickets += 1;
        let mut acquire = Acquire { budget: self.budget.clone(), batch, bytes, state: State::New };
        let done = acquire.poll_batch(&mut Context::from_waker(Waker::noop()));
        self.model.waiting.insert(key, bytes);
        self.model.settle();
        assert_eq!(done.is_ready(), !self.model.waiting.contains_key(&key), "who waits");
        if done.is_pending() {
            self.asking.insert(key, acquire);
        }
    }

    /// Those who were let go on, and what is used, are the same as in the model; and the promises hold.
    fn check(&mut self) {
        self.model.settle();
        for (key, mut acquire) in std::mem::take(&mut self.asking) {
            match acquire.poll_batch(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(batch) => assert!(batch == key.0 && !self.model.waiting.contains_key(&key), "let go on too early"),
                Poll::Pending => {
                    assert!(self.model.waiting.contains_key(&key), "waits too long");
                    self.asking.insert(key, acquire);
                }
            }
        }
        assert_eq!(self.budget.in_flight(), self.model.used());
        assert_eq!(self.budget.is_waited_for(), !self.model.waiting.is_empty());
        let oldest = self.model.batches.keys().next().copied();
        if let Some((batch, _)) = self.model.waiting.keys().next() {
            assert!(oldest.is_some_and(|oldest| oldest < *batch), "the oldest batch waits: nobody could go on");
        }
    }

    fn pick(&self, at: usize) -> Option<u64> {
        self.model.batches.keys().nth(at % self.model.batches.len().max(1)).copied()
    }

    fn act(&mut self, step: &Step) {
        match *step {
            Step::Acquire(bytes) => self.ask(None, bytes),
            Step::More(at, bytes) => {
                if let Some(batch) = self.pick(at) {
                    self.ask(Some(batch), bytes);
                }
            }
            Step::Less(at) => {
                if let Some(batch) = self.pick(at)
                    && let Some(bytes) = self.model.batches.get_mut(&batch).filter(|held| held.len() > 1).and_then(Vec::pop)
                {
                    self.budget.release(batch, Some(bytes));
                }
            }
            Step::Release(at) => {
                // one that waits for more is not let go meanwhile: it is in somebody's hand
                let busy = |batch: u64| self.model.waiting.keys().any(|(waits, _)| *waits == batch);
                if let Some(batch) = self.pick(at).filter(|batch| !busy(*batch)) {
                    self.model.batches.remove(&batch);
                    drop(Permit::of(&self.budget, batch));
                }
            }
            Step::GiveUp(at) => {
                if let Some(key) = self.asking.keys().nth(at % self.asking.len().max(1)).copied() {
                    self.model.waiting.remove(&key);
                    self.model.settle();
                    self.asking.remove(&key);
                }
            }
            Step::Resize(most) => {
                self.model.most = most;
                self.budget.resize(most);
            }
        }
        self.check();
    }
}

proptest! {
    #[test]
    fn permits_follow_the_model_and_never_deadlock(steps in steps()) {
        let budget = Budget::new(100);
        let mut world = World { model: Model { most: 100, ..Model::default() }, budget, asking: BTreeMap::new(), next: 0, tickets: 0 };
        for step in &steps {
            world.act(step);
        }
        // whoever still waits goes on as the oldest ones are delivered, one after the other
        while let Some(oldest) = world.model.batches.keys().next().copied() {
            prop_assert!(!world.model.waiting.keys().any(|(batch, _)| *batch == oldest));
            world.act(&Step::Release(0));
        }
        prop_assert!(world.asking.is_empty());
        prop_assert_eq!(world.budget.in_flight(), 0);
    }

    /// Several threads, as in a pipeline: each batch is taken, grows, and is let go in order.
    #[test]
    fn no_more_is_taken_than_the_budget_and_one_batch(sizes in prop::collection::vec((1..60_usize, 0..120_usize), 1..40)) {
        const MOST: usize = 100;
        let budget = Budget::new(MOST);
        let one = sizes.iter().map(|(size, growth)| size + growth).max().unwrap_or_default();
        let (to_sink, from_chain) = std::sync::mpsc::sync_channel::<Permit>(4);
        thread::scope(|scope| {
            let (to_chain, from_source) = std::sync::mpsc::sync_channel::<(Permit, usize)>(4);
            scope.spawn({
                let (budget, sizes) = (budget.clone(), &sizes);
                move || {
                    for (size, growth) in sizes {
                        to_chain.send((budget.acquire_blocking(*size), *growth)).unwrap();
                    }
                }
            });
            scope.spawn(move || {
                for (permit, growth) in from_source {
                    permit.hold(growth).keep(growth);
                    to_sink.send(permit).unwrap();
                }
            });
            for permit in from_chain {
                drop(permit.hold(7));
            }
        });
        prop_assert_eq!(budget.in_flight(), 0);
        prop_assert!(budget.peak() <= MOST + one + 7, "{} of {}", budget.peak(), MOST + one);
    }
}

#[test]
fn a_batch_larger_than_the_budget_passes_alone() {
    let budget = Budget::new(10);
    let first = budget.acquire_blocking(1000);
    let waiting = thread::spawn({
        let budget = budget.clone();
        move || budget.acquire_blocking(1)
    });
    while !budget.is_waited_for() {
        thread::yield_now();
    }
    drop(first);
    let second = waiting.join().unwrap();
    assert_eq!((budget.in_flight(), budget.waits()), (1, 1));
    drop(second);
    assert_eq!(budget.in_flight(), 0);
}

#[test]
fn a_closed_budget_holds_nobody() {
    let budget = Budget::new(10);
    let _first = budget.acquire_blocking(10);
    let waiting = thread::spawn({
        let budget = budget.clone();
        move || drop(budget.acquire_blocking(5))
    });
    while !budget.is_waited_for() {
        thread::yield_now();
    }
    budget.close();
    waiting.join().unwrap();
    drop(budget.acquire_blocking(5));
}

#[test]
fn what_is_measured_replaces_what_was_counted_and_a_copy_has_nothing() {
    let budget = Budget::new(100);
    let permit = budget.acquire_blocking(40);
    permit.hold(30).keep(20);
    assert_eq!(budget.in_flight(), 60);
    permit.measured(15);
    assert_eq!((budget.in_flight(), budget.peak()), (15, 70));
    drop(permit.clone());
    assert_eq!(budget.in_flight(), 15);
    let hold = permit.hold(50);
    assert_eq!(budget.in_flight(), 65);
    drop(hold);
    drop(permit);
    assert_eq!(budget.in_flight(), 0);
    assert!(thread::spawn(move || budget.acquire_blocking(100)).join().is_ok_and(|p| p.0.is_some()));
}
