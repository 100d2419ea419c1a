//! Sources: where changes come from.

mod any;
pub mod generator;
pub mod mysql;
mod patience;

pub use any::AnySource;
pub use patience::Patience;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    Result,
    change::{Batch, Position},
};

/// Where a source starts: after the position, with the sequence number that the next change gets.
#[derive(Clone, Debug)]
pub struct Start {
    /// `None` on the very first start: the source's own configuration says where to begin.
    pub position: Option<Position>,
    /// Number of the next change, counted from the pipeline's very first start.
    pub sequence: u64,
}

/// What a source hands its batches to. Bounded in batches, and batches are bounded in changes and bytes; a full queue
/// holds the source back.
pub type Batches = mpsc::Sender<Batch>;

/// A source of changes. The contract:
///
/// - Changes come in the order of the log. Each batch carries the position *after* its last change, and the source can
///   resume there, also in the middle of a transaction, without repeating or losing a change.
/// - `sequence` counts changes: after a restart at a delivered position the same change gets the same number.
/// - When time passes without changes to deliver (idle, or everything was skipped), an empty batch with the advanced
///   position is sent at least every few seconds.
/// - Broken connections are retried inside with backoff, for [`crate::limits::Limits::retry_window`]; an error that is
///   returned is final.
/// - A batch waits for more changes no longer than [`crate::limits::Limits::batch_wait`].
pub trait Source: Send + 'static {
    /// Checks the server's settings and grants without changing anything, and answers with the position that the source will
    /// start at: the given one, or what the configuration means by now. It is stored before the first batch is delivered,
    /// so that a crash before the first checkpoint does not move the start. Nothing is retried.
    ///
    /// # Errors
    /// `Connection`: the server cannot be reached, and another attempt may work. Any other error tells every fault found.
    fn precheck(&mut self, start: &Start) -> impl Future<Output = Result<Position>> + Send;

    /// Streams until `stop` is cancelled, the stream ends by itself, or the receiver is gone (all `Ok`).
    fn run(self, start: Start, out: Batches, stop: CancellationToken) -> impl Future<Output = Result<()>> + Send;
}
