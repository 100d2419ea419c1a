//! One lane while it is streamed: which of its transactions come next, in the order of this start.

use std::collections::VecDeque;

use super::{
    super::{
        mixing::mix,
        rows::TABLES,
        schedule::{Planned, Schedule},
        stream::{Picked, Stream},
    },
    delivered::{Delivered, LAST_TRANSACTION},
    names,
};
use sluicegate_config::GeneratorSource;
use sluicegate_model::{
    change::{Batch, Lane, Offset},
    limits::Limits,
};

/// Transactions of which the order may be another one at each start. A window ends with its round: no two transactions of one touch
/// the same row, as a server only commits those in another order that do not depend on each other.
const WINDOW: u64 = 8;

/// Purposes of [`mix`], beside those of the shop.
const OF_LANE: u64 = 16;
const LENGTH: u64 = 17;
const ORDER: u64 = 18;

/// Generations of a lane at most.
pub(super) const LAST_GENERATION: u64 = 1 << 32;

/// A lane's log: a shop for each generation, all of one length. What is in it follows from the settings alone.
#[derive(Debug)]
pub(super) struct Log {
    seed: u64,
    /// Number of the lane, from 1.
    pub(super) number: u16,
    /// Transactions of a generation.
    length: u64,
    /// Behind the transaction with which there are as many changes as the settings say.
    end: End,
}

/// Where the log of a lane ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    generation: u64,
    /// Number of the first transaction that is not there.
    transaction: u64,
}

impl Log {
    pub(super) fn new(settings: &GeneratorSource, number: u16) -> Self {
        let seed = mix(settings.seed, OF_LANE, u64::from(number));
        let never = End { generation: LAST_GENERATION, transaction: 0 };
        let mut log = Self { seed, number, length: LAST_TRANSACTION, end: never };
        // in order, a lane never begins anew
        if settings.turbulence.is_some() {
            log.length = Schedule::new(log.shop(1)).transactions(2 + mix(seed, LENGTH, 0) % 3);
        }
        if let Some(changes) = settings.changes {
            log.end = log.end_after(changes);
        }
        log
    }

    /// Seed of the shop of a generation.
    fn shop(&self, generation: u64) -> u64 {
        mix(self.seed, OF_LANE, generation)
    }

    fn end_after(&self, changes: u64) -> End {
        let up_to = |schedule: &Schedule, transaction| {
            let planned = schedule.transaction(transaction);
            planned.first + planned.length
        };
        // all generations have as many changes: they end with a round, and the rounds only mix what they have
        let of_generation = up_to(&Schedule::new(self.shop(1)), self.length - 1);
        let before = changes.saturating_sub(1) / of_generation;
        let (generation, left) = (before + 1, changes - before * of_generation);
        let schedule = Schedule::new(self.shop(generation));
        let (mut low, mut high) = (0, self.length - 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if up_to(&schedule, middle) >= left { high = middle } else { low = middle + 1 }
        }
        End { generation, transaction: low + 1 }
    }
}

/// The lane as it is streamed.
pub(super) struct LaneStream {
    log: Log,
    lane: Lane,
    limits: Limits,
    shop: Stream,
    /// What was delivered to every sink, or was given since.
    delivered: Delivered,
    /// The transactions of the window that come next.
    queue: VecDeque<u64>,
    /// Decides the order in a window; `None` = that of the numbers.
    order: Option<u64>,
}

/// What comes next in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    Changes,
    /// The lane begins anew.
    Generation,
    End,
}

impl LaneStream {
    /// The lane from a place on.
    pub(super) fn new(log: Log, delivered: Delivered, order: Option<u64>, limits: &Limits) -> Self {
        let lane = names::lane(log.number);
        let shop = shop(&log, delivered.generation, &lane, limits);
        Self { lane, limits: limits.clone(), shop, delivered, queue: VecDeque::new(), order, log }
    }

    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    pub(super) fn offset(&self) -> Offset {
        Offset::new(self.delivered.clone())
    }

    /// Goes on in another order, as after a failover.
    pub(super) fn restart(&mut self, order: Option<u64>) {
        self.queue.clear();
        self.order = order;
    }

    /// What comes next.
    pub(super) fn ahead(&self) -> Ahead {
        let End { generation, transaction } = self.log.end;
        let Delivered { generation: own, below, .. } = self.delivered;
        if own > generation || (own == generation && below >= transaction) {
            Ahead::End
        } else if below >= self.log.length {
            Ahead::Generation
        } else {
            Ahead::Changes
        }
    }

    /// Begins anew, with the next generation.
    pub(super) fn begin_anew(&mut self) {
        self.delivered = Delivered::beginning(self.delivered.seed, self.delivered.generation + 1);
        self.shop = shop(&self.log, self.delivered.generation, &self.lane, &self.limits);
        self.queue.clear();
    }

    /// A batch of the next changes: at most `limit`. `None` if something else is [`Self::ahead`].
    pub(super) fn batch(&mut self, limit: u64, number: u64) -> Option<Batch> {
        let generation = self.delivered.generation;
        let last = if generation == self.log.end.generation { self.log.end.transaction } else { self.log.length };
        let (delivered, queue, order) = (&mut self.delivered, &mut self.queue, self.order);
        // the transaction that is given, and the number of its next change in it
        let mut current: Option<(u64, Planned, u64)> = None;
        let next = |schedule: &Schedule| {
            loop {
                let (transaction, planned, at) = match current {
                    Some(current) => current,
                    None => {
                        if queue.is_empty() {
                            *queue = window(schedule, delivered, last, order);
                        }
                        let transaction = *queue.front()?;
                        (transaction, schedule.transaction(transaction), 0)
                    }
                };
                let rows = Counted::new(schedule, &planned, at);
                let ends = at + 1 == planned.length;
                if rows.before < delivered.rows(transaction, rows.table) {
                    // it was given before
                    current = (!ends).then_some((transaction, planned, at + 1));
                    if ends {
                        queue.pop_front();
                        delivered.finish(transaction);
                    }
                    continue;
                }
                delivered.deliver(transaction, rows.table, ends);
                current = (!ends).then_some((transaction, planned, at + 1));
                if ends {
                    queue.pop_front();
                }
                return Some(Picked {
                    change: planned.first + at,
                    transaction: names::transaction(generation, transaction),
                    table: rows.table,
                    rows_before: rows.before,
                    ends,
                });
            }
        };
        let mut batch = self.shop.pick(limit, number, next)?;
        batch.offset = self.offset();
        Some(batch)
    }
}

fn shop(log: &Log, generation: u64, lane: &Lane, limits: &Limits) -> Stream {
    let file = names::file(log.number, generation);
    Stream::of_lane(log.shop(generation), &names::database(log.number), file, lane.clone(), limits)
}

/// A row of a transaction as it is counted.
struct Counted {
    table: &'static str,
    /// Rows of the table before it in the transaction.
    before: u64,
}

impl Counted {
    fn new(schedule: &Schedule, planned: &Planned, at: u64) -> Self {
        let table = |at| schedule.slot(schedule.locate(planned.first + at)).step.table();
        let own = table(at);
        Self { table: TABLES[own], before: (0..at).filter(|before| table(*before) == own).count() as u64 }
    }
}

/// What is left of the window in which the first transaction is that was not delivered, in the order of this start.
fn window(schedule: &Schedule, delivered: &Delivered, last: u64, order: Option<u64>) -> VecDeque<u64> {
    let first = delivered.below;
    let Planned { in_round, of_round, .. } = schedule.transaction(first);
    let end = first + (WINDOW - in_round % WINDOW).min(of_round - in_round);
    let mut left: Vec<u64> = (first..end.min(last)).filter(|transaction| !delivered.has(*transaction)).collect();
    if let Some(seed) = order {
        for i in (1..left.len()).rev() {
            let other = (mix(seed, ORDER, first + i as u64) % (i as u64 + 1)) as usize;
            left.swap(i, other);
        }
    }
    left.into()
}
