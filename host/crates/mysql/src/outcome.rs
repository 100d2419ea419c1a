//! What became of a transaction in the log: read from its first event to its end, without its rows.

use std::ops::Range;

use mysql_async::binlog::events::Event as RawEvent;
use sluicegate_model::limits::PARTS_TAKEN_BACK;

use super::{
    event::{self, kind},
    payload::{Payload, Refusal},
    savepoint::{self, Name, SavepointStatement, Savepoints},
    statement::Logged,
};

/// Bytes of a statement that may end a transaction or name a savepoint: far more than the longest of them.
pub(super) const STATEMENT_BYTES: usize = 16 << 10;

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Committed, but for these of its rows events, by number: rising, and apart from each other.
    Committed(Vec<Range<u64>>),
    /// Rolled back.
    RolledBack,
    /// It has no end in its file: the server ended while it wrote it, and rolled it back.
    Torn,
    /// An XA transaction that is prepared: committed or rolled back later. When it is committed, but for these rows events.
    Prepared(Vec<Range<u64>>),
}

impl Outcome {
    /// Where the part that was taken back ends which the rows event of this number is in; `None` when it is in none.
    pub fn taken_back(&self, number: u64) -> Option<Range<u64>> {
        match self {
            Outcome::Committed(parts) => {
                let next = parts.partition_point(|part| part.end <= number);
                parts.get(next).filter(|part| part.start <= number).cloned()
            }
            Outcome::RolledBack | Outcome::Torn | Outcome::Prepared(_) => Some(0..u64::MAX),
        }
    }
}

/// Why the outcome cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclear {
    /// A rollback to a savepoint that was not set.
    UnknownSavepoint,
    /// More savepoints than are remembered.
    ManySavepoints,
    /// More parts that were taken back than are remembered.
    ManyParts,
    /// An event that cannot be read.
    Unreadable,
}

/// Follows one transaction to its end.
#[derive(Clone, Debug, Default)]
pub struct OutcomeReader {
    rows_events: u64,
    savepoints: Savepoints<u64>,
    taken_back: Vec<Range<u64>>,
    begun: bool,
}

impl OutcomeReader {
    /// Takes the next event in, the transaction's first one included; answers once it ends.
    pub fn take(&mut self, event: &RawEvent, row_bytes: usize) -> Result<Option<Outcome>, Unclear> {
        let event_type = event.header().event_type_raw();
        let first = !std::mem::replace(&mut self.begun, true);
        match event_type {
            kind::ROTATE if !first => return Ok(Some(Outcome::Torn)),
            kind::GTID | kind::GTID_TAGGED | kind::ANONYMOUS_GTID | kind::MARIADB_GTID if !first => return Ok(Some(self.committed())),
            kind::XID => return Ok(Some(self.committed())),
            kind::XA_PREPARE => {
                let one_phase = event.data().first().is_some_and(|flag| *flag != 0);
                return Ok(Some(if one_phase { self.committed() } else { Outcome::Prepared(std::mem::take(&mut self.taken_back)) }));
            }
            kind::QUERY | kind::MARIADB_QUERY_COMPRESSED if event.data().len() <= STATEMENT_BYTES => {
                let compressed = event_type == kind::MARIADB_QUERY_COMPRESSED;
                // one that is longer when unpacked neither ends a transaction nor names a savepoint
                let Ok(logged) = Logged::read(event.data(), compressed, STATEMENT_BYTES) else { return Ok(None) };
                return self.statement(&String::from_utf8_lossy(&logged.bytes));
            }
            kind::TRANSACTION_PAYLOAD => {
                let mut payload = Payload::open(event.data(), row_bytes).map_err(unreadable)?;
                while let Some(inner) = payload.next().map_err(unreadable)? {
                    if let Some(outcome) = self.take(&inner, row_bytes)? {
                        return Ok(Some(outcome));
                    }
                }
            }
            kind::PARTIAL_UPDATE_ROWS => self.rows_events += 1,
            _ if event::rows_kind(event_type).is_some() => self.rows_events += 1,
            _ => {}
        }
        Ok(None)
    }

    fn statement(&mut self, text: &str) -> Result<Option<Outcome>, Unclear> {
        match text {
            "COMMIT" => return Ok(Some(self.committed())),
            "ROLLBACK" => return Ok(Some(Outcome::RolledBack)),
            _ => {}
        }
        match savepoint::parse(text) {
            Some(SavepointStatement::Set(name)) => self.savepoints.set(name, self.rows_events).map_err(|_| Unclear::ManySavepoints)?,
            Some(SavepointStatement::RollBackTo(name)) => self.roll_back_to(&name)?,
            Some(SavepointStatement::Release) | None => {}
        }
        Ok(None)
    }

    fn roll_back_to(&mut self, name: &Name) -> Result<(), Unclear> {
        let mut start = *self.savepoints.go_back(name).ok_or(Unclear::UnknownSavepoint)?;
        if start == self.rows_events {
            return Ok(());
        }
        while let Some(last) = self.taken_back.last().filter(|last| last.end >= start) {
            start = start.min(last.start);
            self.taken_back.pop();
        }
        if self.taken_back.len() >= PARTS_TAKEN_BACK {
            return Err(Unclear::ManyParts);
        }
        self.taken_back.push(start..self.rows_events);
        Ok(())
    }

    fn committed(&mut self) -> Outcome {
        Outcome::Committed(std::mem::take(&mut self.taken_back))
    }
}

fn unreadable(_: Refusal) -> Unclear {
    Unclear::Unreadable
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A statement of a transaction.
    #[derive(Clone, Debug)]
    enum Step {
        Rows,
        Set(u8),
        Back(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![4 => Just(Step::Rows), 2 => (0..4_u8).prop_map(Step::Set), 2 => (0..4_u8).prop_map(Step::Back)]
    }

    /// What remains by a server's own rule: savepoints with whole copies of what was written.
    fn remaining(steps: &[Step]) -> (Vec<Step>, Vec<u64>) {
        let (mut logged, mut written, mut number) = (Vec::new(), Vec::new(), 0);
        let mut savepoints: Vec<(u8, Vec<u64>)> = Vec::new();
        for step in steps {
            match step {
                Step::Rows => {
                    written.push(number);
                    number += 1;
                }
                Step::Set(name) => {
                    savepoints.retain(|(known, _)| known != name);
                    savepoints.push((*name, written.clone()));
                }
                Step::Back(name) => {
                    // an error at the server, which logs nothing
                    let Some(at) = savepoints.iter().position(|(known, _)| known == name) else { continue };
                    savepoints.truncate(at + 1);
                    written = savepoints[at].1.clone();
                }
            }
            logged.push(step.clone());
        }
        (logged, written)
    }

    proptest! {
        #[test]
        fn what_remains_is_what_the_server_keeps(steps in prop::collection::vec(step(), 0..60)) {
            let (logged, written) = remaining(&steps);
            let mut reader = OutcomeReader::default();
            for step in logged {
                let outcome = match step {
                    Step::Rows => { reader.rows_events += 1; Ok(None) }
                    // names have no case
                    Step::Set(name) => reader.statement(&format!("SAVEPOINT `s{name}`")),
                    Step::Back(name) => reader.statement(&format!("ROLLBACK TO `S{name}`")),
                };
                prop_assert_eq!(outcome, Ok(None));
            }
            let all = reader.rows_events;
            let outcome = reader.statement("COMMIT").unwrap().unwrap();
            let kept: Vec<u64> = (0..all).filter(|number| outcome.taken_back(*number).is_none()).collect();
            prop_assert_eq!(kept, written);
        }
    }

    #[test]
    fn a_rollback_to_a_savepoint_that_was_not_set_is_no_guess() {
        assert_eq!(OutcomeReader::default().statement("ROLLBACK TO `a`"), Err(Unclear::UnknownSavepoint));
    }

    #[test]
    fn a_transaction_that_is_rolled_back_torn_or_prepared_keeps_nothing() {
        for outcome in [Outcome::RolledBack, Outcome::Torn, Outcome::Prepared(Vec::new())] {
            assert!(outcome.taken_back(0).is_some() && outcome.taken_back(1 << 40).is_some());
        }
        assert_eq!(Outcome::Committed(vec![2..4, 7..8]).taken_back(3), Some(2..4));
        assert_eq!(Outcome::Committed(vec![2..4, 7..8]).taken_back(4), None);
    }
}
