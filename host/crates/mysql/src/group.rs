//! The open transaction, whose rows the server may have taken back: after a savepoint, at its end, or because it ended in the
//! middle of writing it.
//!
//! A replica that executes the log ends with what the server has, so rows that were taken back must not be delivered. On a running
//! server a transaction stands in the log whole before its first byte is sent. So one that fits into `HELD_BYTES` is held to its
//! end, which costs no time: its rows are decoded into the batch as all others, and `ROLLBACK TO` cuts the batch back. Of a
//! larger one the outcome is read ahead ([`ahead`](super::ahead)), and then it is streamed without what was taken back.
//!
//! Only rows of tables with transactions are ever taken back. Those of other tables stand in transactions of their own, which both
//! servers log when the statement ends (seen on MariaDB 10.11 and MySQL 9.7: MyISAM, Aria, MEMORY, CSV; ROW and MIXED; triggers,
//! updates of several tables). MySQL says in the GTID event whether a transaction may hold statements; one that holds rows only is cut
//! in memory before it is logged, so nothing of it can have been taken back, and it is neither held nor read ahead.

use std::{sync::Arc, time::Instant};

use sluicegate_model::{
    Error, Result,
    change::{Batch, Item, Offset},
    limits::{HELD_BYTES, HELD_SAVEPOINTS},
};

use super::{
    assembly::{self, Held},
    outcome::Outcome,
    savepoint::{Name, SavepointStatement, Savepoints},
    stream::{Halt, Stream},
};

/// What is done with the rows of the open transaction.
#[derive(Debug, Default)]
pub struct Group {
    state: State,
    /// Whether it is an XA transaction, of which only its end tells whether it is prepared (MySQL).
    xa: bool,
    /// What is held of it. Kept from one transaction to the next, so that transactions cost no allocation.
    waiting: Waiting,
    /// What was read ahead last. It holds for its transaction, over connections to the same server.
    ahead: Option<Ahead>,
}

#[derive(Debug, Default)]
enum State {
    /// No transaction is open, or nothing of it can be taken back: its rows go on as they come.
    #[default]
    Free,
    /// Its rows stay here until its end.
    Held,
    /// It is known which of its rows were taken back.
    Known(Arc<Outcome>),
}

/// The rows of a transaction that is held.
#[derive(Debug, Default)]
struct Waiting {
    /// Where it begins in the batch that is being filled, or in the first full one.
    begin: Held,
    /// Its full batches.
    full: Vec<Batch>,
    /// Bytes of these.
    bytes: usize,
    savepoints: Savepoints<Point>,
}

/// A place in the rows of a transaction that is held.
#[derive(Clone, Debug)]
struct Point {
    /// Full batches before it.
    batches: usize,
    /// How much the batch behind them holds.
    held: Held,
    /// Rows events before it.
    events: u64,
    /// Rows before it, by table.
    rows: Vec<u64>,
}

#[derive(Debug)]
struct Ahead {
    server: Option<Box<str>>,
    file: Arc<str>,
    position: u64,
    outcome: Arc<Outcome>,
}

impl Waiting {
    fn begin(&mut self, begin: Held) {
        self.begin = begin;
        self.full.clear();
        self.bytes = 0;
        if self.savepoints.len() > 0 {
            self.savepoints.clear();
        }
    }
}

impl Group {
    fn is_held(&self) -> bool {
        matches!(self.state, State::Held)
    }

    /// Whether its rows stay here for now; then, where it begins in the batch that is being filled.
    pub(super) fn held_from(&self) -> Option<Held> {
        self.is_held().then(|| if self.waiting.full.is_empty() { self.waiting.begin } else { Held::default() })
    }

    /// Where the open transaction begins in the batch that is being filled: what stands before it is whole transactions, and goes without it.
    pub(super) fn begins_at(&self) -> Held {
        self.held_from().unwrap_or(self.waiting.begin)
    }

    /// The batch that was being filled has been sent.
    pub(super) fn begin_anew(&mut self) {
        self.waiting.begin = Held::default();
    }

    /// The open transaction ends; `false`: none of its full batches is held.
    pub(super) fn end_in_full(&mut self, position: u64) -> bool {
        self.waiting.full.last_mut().is_some_and(|batch| assembly::end_in(batch, position))
    }

    /// Whether the rows event of this number is known to have been taken back.
    pub(super) fn takes_back(&self, number: u64) -> bool {
        matches!(&self.state, State::Known(outcome) if outcome.taken_back(number).is_some())
    }

    /// Notes that it is an XA transaction.
    pub(super) fn mark_xa(&mut self) {
        self.xa = true;
    }

    /// Whether what it holds may be taken back as a whole, at its end or later.
    pub(super) fn may_be_taken_back(&self) -> bool {
        self.xa || matches!(self.outcome(), Some(Outcome::Prepared(_) | Outcome::RolledBack))
    }

    /// What is known of the outcome.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Known(outcome) => Some(outcome),
            _ => None,
        }
    }
}

impl Stream {
    /// A transaction was opened. `rows_only`: nothing of it can have been taken back.
    pub(super) fn begin_group(&mut self, rows_only: bool) {
        let known = self
            .group
            .ahead
            .as_ref()
            .zip(self.place.open.as_ref())
            .filter(|(ahead, open)| ahead.position == open.position && ahead.file == open.file && ahead.server == self.server.identity);
        self.group.state = match known {
            _ if rows_only => State::Free,
            Some((ahead, _)) => State::Known(ahead.outcome.clone()),
            None => State::Held,
        };
        self.group.xa = false;
        self.group.waiting.begin(self.assembly.held());
    }

    /// What becomes of the open transaction is known from elsewhere.
    pub(super) fn know_group(&mut self, outcome: Outcome) {
        self.group.state = State::Known(Arc::new(outcome));
    }

    /// The open transaction has ended: what is left of it goes on.
    pub(super) fn end_group(&mut self) {
        if self.group.is_held() && !self.group.waiting.full.is_empty() {
            self.ready.append(&mut self.group.waiting.full);
        }
        self.group.state = State::Free;
        self.group.begin_anew();
    }

    /// Takes all rows of the open transaction back that are held; the place counts none of them.
    pub(super) fn withdraw_group(&mut self) {
        if self.group.is_held() {
            self.cut_back(0, self.group.waiting.begin);
            self.place.forget_rows();
        }
        self.group.state = State::Free;
        self.group.begin_anew();
    }

    /// The open transaction was rolled back.
    pub(super) fn roll_back_group(&mut self) -> Result<()> {
        match &self.group.state {
            State::Held => self.withdraw_group(),
            State::Known(outcome) if !matches!(**outcome, Outcome::Committed(_)) => {}
            _ if self.place.open.as_ref().is_none_or(|open| open.events == 0) => {}
            _ => return Err(self.unforeseen("a rollback")),
        }
        Ok(())
    }

    /// A statement about a savepoint.
    pub(super) async fn on_savepoint(&mut self, statement: SavepointStatement) -> Result<(), Halt> {
        match statement {
            SavepointStatement::Set(name) if self.group.is_held() => {
                let events = self.place.open.as_ref().map_or(0, |open| open.events);
                let (held, rows) = (self.assembly.held(), self.place.rows_by_table());
                let waiting = &mut self.group.waiting;
                let set = waiting.savepoints.set(name, Point { batches: waiting.full.len(), held, events, rows });
                if set.is_err() || waiting.savepoints.len() > HELD_SAVEPOINTS {
                    self.settle().await?;
                }
            }
            SavepointStatement::RollBackTo(name) => match &self.group.state {
                State::Held => self.go_back_to_savepoint(&name)?,
                // it is in what is known
                State::Known(_) => {}
                State::Free => return Err(self.unforeseen("a rollback to a savepoint").into()),
            },
            SavepointStatement::Set(_) | SavepointStatement::Release => {}
        }
        Ok(())
    }

    fn go_back_to_savepoint(&mut self, name: &Name) -> Result<()> {
        let Some(point) = self.group.waiting.savepoints.go_back(name).cloned() else {
            return Err(self.fault("a rollback to a savepoint that its transaction has not set").remedy(
                "Move the sinks past the transaction with `sluicegate checkpoint set --force`: what stands in it is not delivered, so copy or \
                 compare its tables.",
            ));
        };
        self.go_back_to(&point);
        Ok(())
    }

    fn go_back_to(&mut self, point: &Point) {
        self.place.go_back_to_rows(&point.rows);
        self.cut_back(point.batches, point.held);
    }

    fn cut_back(&mut self, batches: usize, held: Held) {
        let waiting = &mut self.group.waiting;
        if batches < waiting.full.len() {
            waiting.full.truncate(batches + 1);
            if let Some(batch) = waiting.full.pop() {
                self.assembly.put_back(batch);
            }
            waiting.bytes = waiting.full.iter().map(|batch| batch.bytes).sum();
        }
        self.assembly.go_back(held);
    }

    /// Whether rows of the open transaction are held.
    pub(super) fn holds_rows_of_group(&self) -> bool {
        let waiting = &self.group.waiting;
        self.group.is_held() && (!waiting.full.is_empty() || self.assembly.held() > waiting.begin)
    }

    /// Makes room in a batch that is full.
    pub(super) async fn make_room(&mut self) -> Result<(), Halt> {
        let Some(begin) = self.group.held_from() else { return self.send().await };
        if !begin.is_nothing() {
            return self.send_before_group(begin).await;
        }
        if self.group.waiting.bytes + self.assembly.bytes() <= HELD_BYTES {
            let batch = self.assembly.take(Offset::new(self.place.resume()));
            self.group.waiting.bytes += batch.bytes;
            self.group.waiting.full.push(batch);
            return Ok(());
        }
        self.settle().await?;
        if self.assembly.is_full() { self.send().await } else { Ok(()) }
    }

    /// Sends what stands before the open transaction, which is held.
    pub(super) async fn send_before_group(&mut self, begin: Held) -> Result<(), Halt> {
        let batch = self.assembly.take_until(begin, Offset::new(self.place.resume_before()));
        let waiting = &mut self.group.waiting;
        waiting.begin = waiting.begin.behind(begin);
        waiting.savepoints.places().for_each(|point| point.held = point.held.behind(begin));
        self.give(Item::Rows(batch)).await
    }

    /// Reads the outcome of the open transaction ahead, where it is held; from here on it is streamed.
    pub(super) async fn settle(&mut self) -> Result<(), Halt> {
        let Some(open) = self.place.open.as_ref().filter(|_| self.group.is_held()) else { return Ok(()) };
        let (file, position, events) = (open.file.clone(), open.position, open.events);
        let began = Instant::now();
        let outcome = Arc::new(self.read_outcome(&file, position).await?);
        tracing::debug!(%file, position, elapsed_ms = began.elapsed().as_millis() as u64, "read ahead what became of a large transaction");
        self.group.ahead = Some(Ahead { server: self.server.identity.clone(), file, position, outcome: outcome.clone() });
        // the rows event that is being read has been counted
        if let Some(part) = outcome.taken_back(events.saturating_sub(1)) {
            // the part begins at a savepoint, whose rollback is still to come; without one, at the transaction's beginning
            let savepoint = |point: &Point| part.start > 0 && point.events >= part.start;
            match self.group.waiting.savepoints.go_back_where(savepoint).cloned() {
                Some(point) => self.go_back_to(&point),
                None => {
                    self.cut_back(0, self.group.waiting.begin);
                    self.place.forget_rows();
                }
            }
        }
        if !self.group.waiting.full.is_empty() {
            self.ready.append(&mut self.group.waiting.full);
            self.group.begin_anew();
        }
        self.group.state = State::Known(outcome);
        self.send_ready().await
    }

    fn unforeseen(&self, what: &str) -> Error {
        self.fault(format_args!("{what} in a transaction that it said would hold none"))
            .remedy("Copy or compare the transaction's tables: rows of it that were taken back may have been delivered.")
    }
}
