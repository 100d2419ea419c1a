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

use std::sync::Arc;

use sluicegate_model::{
    Error,
    change::{Batch, Offset},
    limits::HELD_BYTES,
};

use super::{
    assembly::Held,
    outcome::Outcome,
    savepoint::{Name, SavepointStatement, Savepoints},
    stream::{Halt, Stream},
};

/// Savepoints of a transaction that is held; one with more is read ahead.
const HELD_SAVEPOINTS: usize = 1000;

/// What is done with the rows of the open transaction.
#[derive(Debug, Default)]
pub struct Group {
    state: State,
    /// What was read ahead last. It holds for its transaction, over connections to the same server.
    ahead: Option<Ahead>,
}

#[derive(Debug, Default)]
enum State {
    /// No transaction is open, or nothing of it can be taken back: its rows go on as they come.
    #[default]
    Free,
    /// Its rows stay here until its end.
    Held(Box<Waiting>),
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
    savepoints: Savepoints<Point>,
}

/// A place in the rows of a transaction that is held.
#[derive(Debug)]
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

impl Group {
    /// Whether its rows stay here for now; then, where it begins in the batch that is being filled.
    pub(super) fn held_from(&self) -> Option<Held> {
        match &self.state {
            State::Held(waiting) => Some(if waiting.full.is_empty() { waiting.begin } else { Held::default() }),
            _ => None,
        }
    }

    /// Whether the rows event of this number is known to have been taken back.
    pub(super) fn takes_back(&self, number: u64) -> bool {
        matches!(&self.state, State::Known(outcome) if outcome.taken_back(number).is_some())
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
    /// A transaction was opened. `settled`: nothing of it can be taken back.
    pub(super) fn begin_group(&mut self, settled: bool) {
        self.group.state = if settled { State::Free } else { self.held_or_known() };
    }

    /// Nothing of the open transaction is delivered here: it is an XA transaction that is prepared.
    pub(super) fn pass_over_group(&mut self) {
        self.group.state = State::Known(Arc::new(Outcome::Prepared));
    }

    /// The outcome of the open transaction was read ahead on another way.
    pub(super) fn know_group(&mut self, outcome: Outcome) {
        self.group.state = State::Known(Arc::new(outcome));
    }

    fn held_or_known(&self) -> State {
        let known = self.group.ahead.as_ref().zip(self.place.open.as_ref()).filter(|(ahead, open)| {
            ahead.file == open.file && ahead.position == open.position && ahead.server == self.server.identity
        });
        match known {
            Some((ahead, _)) => State::Known(ahead.outcome.clone()),
            None => State::Held(Box::new(Waiting { begin: self.assembly.held(), ..Waiting::default() })),
        }
    }

    /// The open transaction has ended: what is left of it goes on.
    pub(super) fn end_group(&mut self) {
        if let State::Held(waiting) = std::mem::take(&mut self.group.state) {
            self.ready.extend(waiting.full);
        }
    }

    /// Takes all rows of the open transaction back that are held; the place counts none of them.
    pub(super) fn withdraw_group(&mut self) {
        if let State::Held(waiting) = std::mem::take(&mut self.group.state) {
            if let Some(first) = waiting.full.into_iter().next() {
                self.assembly.put_back(first);
            }
            self.assembly.go_back(waiting.begin);
            self.place.forget_rows();
        }
    }

    /// The open transaction was rolled back.
    pub(super) fn roll_back_group(&mut self) -> Result<(), Halt> {
        match &self.group.state {
            State::Held(_) => self.withdraw_group(),
            State::Known(outcome) if **outcome == Outcome::RolledBack => {}
            _ if self.place.open.as_ref().is_none_or(|open| open.events == 0) => {}
            _ => return Err(self.unforeseen("a rollback").into()),
        }
        Ok(())
    }

    /// A statement about a savepoint.
    pub(super) async fn on_savepoint(&mut self, statement: SavepointStatement) -> Result<(), Halt> {
        let (events, rows) = (self.place.open.as_ref().map_or(0, |open| open.events), self.place.rows_by_table());
        let held = self.assembly.held();
        let State::Held(waiting) = &mut self.group.state else {
            // what is known includes it
            return match (&self.group.state, statement) {
                (State::Free, SavepointStatement::RollBackTo(_)) => Err(self.unforeseen("a rollback to a savepoint").into()),
                _ => Ok(()),
            };
        };
        match statement {
            SavepointStatement::Set(name) => {
                let set = waiting.savepoints.set(name, Point { batches: waiting.full.len(), held, events, rows });
                if set.is_err() || waiting.savepoints.len() > HELD_SAVEPOINTS {
                    self.settle().await?;
                }
            }
            SavepointStatement::RollBackTo(name) => self.go_back_to_savepoint(&name)?,
            SavepointStatement::Release => {}
        }
        Ok(())
    }

    fn go_back_to_savepoint(&mut self, name: &Name) -> Result<(), Halt> {
        let State::Held(mut waiting) = std::mem::take(&mut self.group.state) else { return Ok(()) };
        let Some(point) = waiting.savepoints.go_back(name) else {
            self.group.state = State::Held(waiting);
            return Err(self
                .fault("a rollback to a savepoint that its transaction has not set")
                .remedy("Report it with the server's version, and the transaction as `SHOW BINLOG EVENTS` prints it without its rows. To pass it over, move the sinks \
                         past it with `sluicegate checkpoint set --force`, and copy or compare its tables.")
                .into());
        };
        let (batches, held) = (point.batches, point.held);
        self.place.go_back_to_rows(&point.rows);
        self.cut_back(&mut waiting.full, batches, held);
        self.group.state = State::Held(waiting);
        Ok(())
    }

    fn cut_back(&mut self, full: &mut Vec<Batch>, batches: usize, held: Held) {
        if batches < full.len() {
            full.truncate(batches + 1);
            if let Some(batch) = full.pop() {
                self.assembly.put_back(batch);
            }
        }
        self.assembly.go_back(held);
    }

    /// Makes room in a batch that is full.
    pub(super) async fn make_room(&mut self) -> Result<(), Halt> {
        let Some(begin) = self.group.held_from() else { return self.send().await };
        if !begin.is_nothing() {
            return self.send_before_group(begin).await;
        }
        let offset = Offset::new(self.place.resume());
        let bytes = self.assembly.bytes();
        if let State::Held(waiting) = &mut self.group.state
            && waiting.full.iter().map(|batch| batch.bytes).sum::<usize>() + bytes <= HELD_BYTES
        {
            waiting.begin = Held::default();
            waiting.full.push(self.assembly.take(offset));
            return Ok(());
        }
        self.settle().await?;
        if self.assembly.is_full() { self.send().await } else { Ok(()) }
    }

    /// Sends what stands before the open transaction, which is held.
    pub(super) async fn send_before_group(&mut self, begin: Held) -> Result<(), Halt> {
        let batch = self.assembly.take_until(begin, Offset::new(self.place.resume_before()));
        if let State::Held(waiting) = &mut self.group.state {
            waiting.begin = waiting.begin.behind(begin);
            waiting.savepoints.places().for_each(|point| point.held = point.held.behind(begin));
        }
        self.give_batch(batch).await
    }

    /// Reads the outcome of the open transaction ahead, unless that is known; from here on it is streamed.
    pub(super) async fn settle(&mut self) -> Result<(), Halt> {
        let Some(open) = self.place.open.as_ref().filter(|_| matches!(self.group.state, State::Held(_))) else { return Ok(()) };
        let (file, position, events) = (open.file.clone(), open.position, open.events);
        let outcome = Arc::new(self.read_outcome(&file, position).await?);
        self.group.ahead =
            Some(Ahead { server: self.server.identity.clone(), file: file.clone(), position, outcome: outcome.clone() });
        let State::Held(mut waiting) = std::mem::replace(&mut self.group.state, State::Known(outcome.clone())) else { return Ok(()) };
        // the rows event that is being read has been counted
        if let Some(part) = outcome.taken_back(events.saturating_sub(1)) {
            let found = waiting.savepoints.go_back_where(|point| part.start > 0 && point.events >= part.start);
            match found {
                Some(point) => {
                    let (batches, held) = (point.batches, point.held);
                    self.place.go_back_to_rows(&point.rows);
                    self.cut_back(&mut waiting.full, batches, held);
                }
                None => {
                    self.cut_back(&mut waiting.full, 0, waiting.begin);
                    self.place.forget_rows();
                }
            }
        }
        self.ready.extend(waiting.full);
        self.place.pass_counted_rows();
        self.send_ready().await
    }

    fn unforeseen(&self, what: &str) -> Error {
        self.fault(format_args!("{what} in a transaction that it said would hold none"))
            .remedy("Copy or compare the transaction's tables: rows of it that were taken back may have been delivered.")
    }
}
