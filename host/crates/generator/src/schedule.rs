//! When what happens in the shop. The stream is cut into rounds, and every round does the same things to the rows of the
//! same rounds before it: the change with any number is found by arithmetic, and so is the row that it touches.

use super::mixing::mix;

/// Customers that join in a round.
pub(super) const CUSTOMERS: u64 = 4;
/// Orders that are placed in a round.
pub(super) const ORDERS: u64 = 16;

/// What one change does. The rows it touches joined the shop [`Slot::age`] rounds before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    CustomerJoins,
    CustomerIsRated,
    CustomerLeaves,
    OrderIsPlaced,
    OrderIsPaid,
    OrderIsShipped,
    OrderIsDelivered,
    OrderIsCancelled,
    OrderIsRemoved,
    LineIsAdded,
    LineIsPicked,
    LineIsRemoved,
}

impl Step {
    /// Index of the table in [`super::rows::Tables`].
    pub(super) fn table(self) -> usize {
        use Step::*;
        match self {
            CustomerJoins | CustomerIsRated | CustomerLeaves => 0,
            OrderIsPlaced | OrderIsPaid | OrderIsShipped | OrderIsDelivered | OrderIsCancelled | OrderIsRemoved => 1,
            LineIsAdded | LineIsPicked | LineIsRemoved => 2,
        }
    }

    /// How many rounds after its row joined it happens.
    fn age(self) -> usize {
        use Step::*;
        match self {
            CustomerJoins | OrderIsPlaced | LineIsAdded => 0,
            OrderIsPaid => 1,
            OrderIsShipped | OrderIsCancelled | LineIsPicked => 2,
            CustomerIsRated => 3,
            OrderIsDelivered | OrderIsRemoved | LineIsRemoved => 4,
            CustomerLeaves => OLDEST,
        }
    }
}

/// The largest [`Step::age`].
const OLDEST: usize = 8;

/// One change of a round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) step: Step,
    /// Rounds since the row's own.
    pub(super) age: u64,
    /// Number of the customer or order in its round.
    pub(super) item: u64,
    /// Number of the order line, from 1.
    pub(super) line: u64,
    /// How many changes of the same event stand before it.
    pub(super) in_event: u32,
    /// How many changes of the same transaction stand before it.
    pub(super) in_transaction: u32,
}

/// Lines of the order with this number in its round.
pub(super) fn lines(item: u64) -> u64 {
    [1, 2, 3, 2][(item % 4) as usize]
}

/// Whether this order is cancelled instead of shipped, and then removed.
fn is_cancelled(item: u64) -> bool {
    item % 4 == 3
}

/// Whether this order's lines are picked one by one.
fn is_picked(item: u64) -> bool {
    item.is_multiple_of(4)
}

/// The changes of a round. The first rounds lack those that would touch rows from before the stream.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Round `n` has the changes of the entry `n`, and all from the last entry on those of the last.
    rounds: Vec<Round>,
}

#[derive(Debug)]
struct Round {
    /// Number of its first change.
    start: u64,
    slots: Vec<Slot>,
    /// Its transactions: the slot of the first change, and how many changes there are.
    transactions: Vec<(u64, u64)>,
    /// Which slot places the order, by the order's number.
    placed: Vec<u64>,
    /// Which slot lets the customer join.
    joined: Vec<u64>,
}

/// A transaction of the stream. No two of one round touch the same row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// Number of its first change.
    pub(super) first: u64,
    /// How many changes it has.
    pub(super) length: u64,
    /// How many transactions of its round stand before it.
    pub(super) in_round: u64,
    /// How many transactions its round has.
    pub(super) of_round: u64,
}

/// A place in the schedule: before this slot of this round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) round: u64,
    index: usize,
}

impl Schedule {
    /// The seed decides how the transactions of a round are mixed.
    pub(super) fn new(seed: u64) -> Self {
        let transactions = transactions(seed);
        let mut rounds = Vec::with_capacity(OLDEST + 1);
        let mut start = 0;
        for round in 0..=OLDEST {
            let (mut slots, mut cuts) = (Vec::new(), Vec::new());
            for steps in transactions.iter().filter(|steps| steps.iter().all(|(step, ..)| step.age() <= round)) {
                cuts.push((slots.len() as u64, steps.len() as u64));
                append(steps, &mut slots);
            }
            let find = |step, items| {
                let at = |item| slots.iter().position(|s: &Slot| s.step == step && s.item == item).unwrap_or_default() as u64;
                (0..items).map(at).collect()
            };
            let (placed, joined) = (find(Step::OrderIsPlaced, ORDERS), find(Step::CustomerJoins, CUSTOMERS));
            let length = slots.len() as u64;
            rounds.push(Round { start, slots, transactions: cuts, placed, joined });
            start += length;
        }
        Self { rounds }
    }

    /// The place before the change with number `change`.
    pub(super) fn locate(&self, change: u64) -> Cursor {
        let last = self.rounds.len() - 1;
        match self.rounds.iter().rposition(|r| r.start <= change).unwrap_or_default() {
            n if n == last => {
                let (into, length) = (change - self.rounds[last].start, self.rounds[last].slots.len() as u64);
                Cursor { round: last as u64 + into / length, index: (into % length) as usize }
            }
            n => Cursor { round: n as u64, index: (change - self.rounds[n].start) as usize },
        }
    }

    /// The change at a place.
    pub(super) fn slot(&self, cursor: Cursor) -> &Slot {
        &self.round(cursor.round).slots[cursor.index]
    }

    /// The place after a change.
    pub(super) fn next(&self, cursor: Cursor) -> Cursor {
        if cursor.index + 1 < self.round(cursor.round).slots.len() {
            Cursor { index: cursor.index + 1, ..cursor }
        } else {
            Cursor { round: cursor.round + 1, index: 0 }
        }
    }

    /// How many transactions the first `rounds` rounds have.
    pub(super) fn transactions(&self, rounds: u64) -> u64 {
        (0..rounds).map(|round| self.round(round).transactions.len() as u64).sum()
    }

    /// The transaction with this number, counted from 0.
    pub(super) fn transaction(&self, number: u64) -> Planned {
        let last = self.rounds.len() - 1;
        let mut before = 0;
        for (n, round) in self.rounds.iter().enumerate() {
            let count = round.transactions.len() as u64;
            if n < last && number >= before + count {
                before += count;
                continue;
            }
            let (further, index) = if n == last { ((number - before) / count, (number - before) % count) } else { (0, number - before) };
            let (into, length) = round.transactions[index as usize];
            let first = self.start(n as u64 + further) + into;
            return Planned { first, length, in_round: index, of_round: count };
        }
        Planned { first: 0, length: 0, in_round: 0, of_round: 0 }
    }

    /// Number of the change that placed an order.
    pub(super) fn placed(&self, round: u64, item: u64) -> u64 {
        self.start(round) + self.round(round).placed[item as usize]
    }

    /// Number of the change with which a customer joined.
    pub(super) fn joined(&self, round: u64, item: u64) -> u64 {
        self.start(round) + self.round(round).joined[item as usize]
    }

    fn round(&self, round: u64) -> &Round {
        &self.rounds[(round as usize).min(self.rounds.len() - 1)]
    }

    fn start(&self, round: u64) -> u64 {
        let entry = self.round(round);
        entry.start + round.saturating_sub(self.rounds.len() as u64 - 1) * entry.slots.len() as u64
    }
}

/// Step, number of the customer or order, number of the line.
type Action = (Step, u64, u64);

/// All transactions of a full round. All steps of one have the same age.
fn transactions(seed: u64) -> Vec<Vec<Action>> {
    use Step::*;
    let every_line = |step, item| (1..=lines(item)).map(move |line| (step, item, line));
    let place = |item| [(OrderIsPlaced, item, 0)].into_iter().chain(every_line(LineIsAdded, item)).collect();
    let mut all: Vec<Vec<Action>> = Vec::new();
    for item in 0..ORDERS {
        all.push(place(item));
        all.push(vec![(OrderIsPaid, item, 0)]);
        if is_cancelled(item) {
            all.push(vec![(OrderIsCancelled, item, 0)]);
            all.push(every_line(LineIsRemoved, item).chain([(OrderIsRemoved, item, 0)]).collect());
        } else {
            let picked = every_line(LineIsPicked, item).filter(|_| is_picked(item));
            all.push([(OrderIsShipped, item, 0)].into_iter().chain(picked).collect());
            all.push(vec![(OrderIsDelivered, item, 0)]);
        }
    }
    all.push(vec![(CustomerIsRated, 0, 0), (CustomerIsRated, 1, 0)]);
    // the last one of each round never orders anything, so that every order's customer exists
    all.push(vec![(CustomerLeaves, CUSTOMERS - 1, 0)]);
    for i in (1..all.len()).rev() {
        all.swap(i, (mix(seed, 0, i as u64) % (i as u64 + 1)) as usize);
    }
    // numbers are given out in the order of placing, as a server would
    for (item, placed) in (0..ORDERS).zip(all.iter_mut().filter(|steps| steps[0].0 == OrderIsPlaced)) {
        *placed = place(item);
    }
    // those who join come first: the orders of the first round are theirs
    all.splice(0..0, (0..CUSTOMERS).map(|item| vec![(CustomerJoins, item, 0)]));
    all
}

/// Appends a transaction; its neighbours with the same step are one event with several rows, as of one statement.
fn append(steps: &[Action], slots: &mut Vec<Slot>) {
    let mut before: Option<Slot> = None;
    for (in_transaction, &(step, item, line)) in steps.iter().enumerate() {
        let in_event = before.filter(|b| b.step == step).map_or(0, |b| b.in_event + 1);
        let slot = Slot { step, age: step.age() as u64, item, line, in_event, in_transaction: in_transaction as u32 };
        slots.push(slot);
        before = Some(slot);
    }
}
