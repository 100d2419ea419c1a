//! Reading ahead: what became of a large transaction, and whether one that has no end was torn by the server's end.

use super::{
    outcome::{Outcome, OutcomeReader, Unclear},
    scout::{Scout, Scouted},
    start,
    stream::{Halt, Stream},
};
use sluicegate_model::{Error, ErrorKind, Result};

/// What both MariaDB and MySQL say of a binlog file that ends in the middle of an event.
const CUT_OFF: &str = "truncated in the middle of event";

/// Whether the error says that a binlog file ends in the middle of an event.
pub(super) fn is_cut_off(error: &Error) -> bool {
    error.chain().contains(CUT_OFF)
}

impl Stream {
    /// Reads the transaction that begins at a place to its end, without its rows.
    pub(super) async fn read_outcome(&self, file: &str, position: u64) -> Result<Outcome, Halt> {
        let stop = self.reader.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Halt::Stop),
            outcome = self.follow_to_end(file, position) => Ok(outcome?),
        }
    }

    async fn follow_to_end(&self, file: &str, position: u64) -> Result<Outcome> {
        let mut scout = self.scout(file, position).await?;
        let mut reader = OutcomeReader::default();
        loop {
            let event = match scout.next(&self.reader.connector).await {
                Ok(event) => event,
                Err(error) if is_cut_off(&error) && self.file_behind(file).await?.is_some() => return Ok(Outcome::Torn),
                Err(error) => return Err(error),
            };
            if **scout.file() != *file {
                return Ok(Outcome::Torn);
            }
            let Some(Scouted { event, .. }) = event else {
                return Err(Error::new(
                    ErrorKind::Connection,
                    format!("{} has sent the beginning of a transaction whose end is not in its log yet", self.reader.connector.address()),
                )
                .remedy("A running pipeline tries again by itself; if it goes on, look into the server's error log."));
            };
            self.reader.status.source.hear();
            match reader.take(&event, self.reader.limits.row_bytes) {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => {}
                Err(unclear) => return Err(self.unclear(unclear, file, position)),
            }
        }
    }

    /// A scout that begins at a place.
    pub(super) async fn scout(&self, file: &str, position: u64) -> Result<Scout> {
        Scout::open(&self.reader.connector, &self.server, self.reader.heartbeat, file, position).await
    }

    fn unclear(&self, unclear: Unclear, file: &str, position: u64) -> Error {
        let what = match unclear {
            Unclear::UnknownSavepoint => "rolls back to a savepoint that it has not set",
            Unclear::ManySavepoints => "has more savepoints than can be remembered",
            Unclear::ManyParts => "has more parts that were taken back than can be remembered",
            Unclear::Unreadable => "has an event that cannot be read",
        };
        Error::new(ErrorKind::Source, format!("the transaction at {file}:{position} of {} {what}", self.reader.connector.address())).remedy(
            "Move the sinks past it with `sluicegate checkpoint set --force`: what stands in it is not delivered, so copy or compare its tables.",
        )
    }

    /// The binlog file that follows this one.
    pub(super) async fn file_behind(&self, file: &str) -> Result<Option<String>> {
        let connector = &self.reader.connector;
        let mut conn = connector.connect().await?;
        let files = start::log_files(connector, &mut conn).await?;
        Ok(files.into_iter().skip_while(|known| known.name != file).nth(1).map(|behind| behind.name))
    }

    /// Whether the error says that the file ends in the middle of an event, and the stream can go on in the next one: a server that
    /// was killed while it wrote a transaction leaves its beginning at the end of the file, and rolls it back. Nothing of it was
    /// delivered.
    pub(super) async fn passed_torn_end(&mut self, error: &Error) -> Result<bool> {
        if error.kind() != ErrorKind::Source || !is_cut_off(error) {
            return Ok(false);
        }
        let Some(behind) = self.file_behind(&self.place.file).await? else { return Ok(false) };
        self.abandon_group()?;
        self.place.rotate(&behind, start::FIRST);
        Ok(true)
    }

    /// The open transaction has no end in its file: nothing of it is delivered.
    pub(super) fn abandon_group(&mut self) -> Result<()> {
        let Some(open) = &self.place.open else { return Ok(()) };
        let (file, position) = (open.file.clone(), open.position);
        self.roll_back_group()?;
        self.end_group();
        self.place.abandon();
        tracing::warn!(
            %file, position,
            "a transaction has no end in its binlog file: the server ended while it wrote it, and rolled it back; nothing of it is delivered"
        );
        Ok(())
    }
}
