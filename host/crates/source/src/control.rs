//! What is asked of a source while it runs.

use sluicegate_config::{Snapshot, TablePatterns};
use sluicegate_model::{Error, ErrorKind, Result, change::TableName, limits::SOURCE_REQUESTS};
use tokio::sync::{mpsc, oneshot};

/// Something that a running source is asked to do, at the next place between two transactions.
#[derive(Debug)]
pub enum Request {
    /// To capture other tables from there on.
    Capture {
        /// Which.
        tables: TablePatterns,
        /// Which of those that come are copied first.
        snapshot: Snapshot,
        /// Takes the answer.
        answer: oneshot::Sender<Result<Effective>>,
    },
    /// To copy a captured table anew.
    Copy {
        /// The table.
        table: TableName,
        /// Takes the answer.
        answer: oneshot::Sender<Result<Effective>>,
    },
}

/// It is done, and will be after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    /// The place in the log from which on it holds, for people.
    pub place: String,
    /// Tables that are captured from there on.
    pub added: Vec<TableName>,
    /// Tables that are captured no longer.
    pub removed: Vec<TableName>,
    /// Tables that are copied, and which copy of each it is.
    pub copied: Vec<(TableName, u32)>,
}

/// The way to a running source.
#[derive(Clone, Debug)]
pub struct Control(mpsc::Sender<Request>);

impl Control {
    /// Both ends.
    pub fn channel() -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(SOURCE_REQUESTS);
        (Self(sender), receiver)
    }

    /// Asks the source, and waits until it is done.
    ///
    /// # Errors
    /// The source's; and when it ends meanwhile.
    pub async fn ask(&self, request: impl FnOnce(oneshot::Sender<Result<Effective>>) -> Request) -> Result<Effective> {
        let (answer, answered) = oneshot::channel();
        let ended = || Error::new(ErrorKind::Source, "the source has ended").remedy("start the pipeline again");
        self.0.send(request(answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}
