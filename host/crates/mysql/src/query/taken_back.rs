//! Whether a statement was taken back by a rollback to a savepoint, which stands behind it in the log.

use super::super::{
    event::kind,
    outcome::STATEMENT_BYTES,
    savepoint::{self, SavepointStatement, Savepoints},
    scout::Scouted,
    statement::Logged,
    stream::{Halt, Stream},
};
use sluicegate_model::{ErrorKind, Result};

/// The part of a transaction that a statement stands in.
#[derive(Debug)]
struct Reading {
    /// Where the statement stands.
    statement: u64,
    /// Where each savepoint was set.
    savepoints: Savepoints<u64>,
}

impl Reading {
    /// Takes in what was logged at a position; answers once it is known whether the statement was taken back.
    fn take(&mut self, position: u64, text: &str) -> Option<bool> {
        match savepoint::parse(text) {
            // with too many of them, nothing can be told
            Some(SavepointStatement::Set(name)) => self.savepoints.set(name, position).err().map(|_| false),
            Some(SavepointStatement::RollBackTo(name)) => match self.savepoints.go_back(&name) {
                Some(set) => (*set < self.statement && position > self.statement).then_some(true),
                None => Some(false),
            },
            Some(SavepointStatement::Release) => None,
            None => matches!(text, "COMMIT" | "ROLLBACK").then_some(false),
        }
    }
}

impl Stream {
    /// Whether the statement at `start` of the open transaction is taken back by a rollback to a savepoint. Where the log cannot tell, it is
    /// not.
    pub(super) async fn is_rolled_back_to_savepoint(&self, start: u64) -> Result<bool, Halt> {
        let stop = self.reader.stop.clone();
        let found = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Halt::Stop),
            found = self.read_to_rollback(start) => found,
        };
        match found {
            Ok(found) => Ok(found),
            Err(error) if error.kind() == ErrorKind::Source => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn read_to_rollback(&self, start: u64) -> Result<bool> {
        let Some(open) = self.place.open.as_ref().filter(|open| open.begun) else { return Ok(false) };
        let mut scout = self.scout(&open.file, open.position).await?;
        let mut reading = Reading { statement: start, savepoints: Savepoints::default() };
        let mut first = true;
        while let Some(Scouted { event, start: position }) = scout.next(&self.reader.connector).await? {
            let event_type = event.header().event_type_raw();
            let begins = matches!(event_type, kind::GTID | kind::GTID_TAGGED | kind::ANONYMOUS_GTID | kind::MARIADB_GTID);
            let ends = matches!(event_type, kind::XID | kind::XA_PREPARE | kind::TRANSACTION_PAYLOAD);
            if **scout.file() != *open.file || ends || begins && !std::mem::take(&mut first) {
                return Ok(false);
            }
            self.reader.status.source.hear();
            if matches!(event_type, kind::QUERY | kind::MARIADB_QUERY_COMPRESSED) && event.data().len() <= STATEMENT_BYTES {
                let compressed = event_type == kind::MARIADB_QUERY_COMPRESSED;
                // one that is longer when unpacked names no savepoint
                let Ok(logged) = Logged::read(event.data(), compressed, STATEMENT_BYTES) else { continue };
                if let Some(taken_back) = reading.take(position, &String::from_utf8_lossy(&logged.bytes)) {
                    return Ok(taken_back);
                }
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_taken_back_by_a_rollback_to_a_savepoint_before_it() {
        let taken_back = |statement: u64, log: &[&str]| {
            let mut reading = Reading { statement, savepoints: Savepoints::default() };
            log.iter().zip(0..).find_map(|(text, position)| reading.take(position, text))
        };
        let log = [
            "BEGIN",
            "SAVEPOINT `a`",
            "UPDATE t",
            "SAVEPOINT `b`",
            "UPDATE u",
            "ROLLBACK TO `B`",
            "UPDATE v",
            "ROLLBACK TO `a`",
            "UPDATE w",
            "COMMIT",
        ];
        let found: Vec<_> = (0..10).map(|statement| taken_back(statement, &log)).collect();
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(found, [no, no, yes, yes, yes, yes, yes, no, no, no]);
        // set again behind it; set by nobody
        assert_eq!(taken_back(1, &["SAVEPOINT `a`", "UPDATE t", "SAVEPOINT `a`", "ROLLBACK TO `a`", "COMMIT"]), no);
        assert_eq!(taken_back(1, &["SAVEPOINT `a`", "UPDATE t", "ROLLBACK TO `b`", "COMMIT"]), no);
        assert_eq!(taken_back(1, &["SAVEPOINT `a`", "UPDATE t"]), None);
    }
}
