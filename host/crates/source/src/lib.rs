//! Sources: where changes come from.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod control;
mod inventory;
mod items;
mod pace;
mod patience;
mod schemas;
mod set_aside;

pub use control::{Control, Effective, Request};
pub use inventory::Inventory;
pub use items::{Closed, Items, Room};
pub use pace::Pace;
pub use patience::Patience;
pub use schemas::{Followed, KeptChange, KeptVersion, SchemaStore};
pub use set_aside::SetAside;

use std::{ops::Range, sync::Arc};

use tokio_util::sync::CancellationToken;

use sluicegate_config::StartAt;
use sluicegate_model::{
    Result,
    change::{Batch, Capabilities, Frontier, Offset, SchemaStatement, Transaction},
};

/// Where one sink begins.
#[derive(Clone, Debug)]
pub enum Begin {
    /// Where its progress ends.
    At(Frontier),
    /// At a place that the sink's settings name, which the source looks up.
    Start(StartAt),
    /// Nothing has any progress yet: where the source's own settings say.
    First,
}

/// A source of changes. The contract:
///
/// - It gives one sequence of [`Item`](sluicegate_model::change::Item)s. Each advances one lane, and carries the offset *after* it, at which the source can go
///   on, also in the middle of a transaction. Nothing behind the source changes the order of items, whatever their lanes.
/// - What a change is follows from the log, never from a count: see [`Ledger`].
/// - Lanes wait, fail, restart and are begun anew inside the source, while the sequence goes on with the others.
/// - A lane that no sink knows begins with a mark. Its beginning is stored for every sink before any of them gets the mark, so what
///   the source chose holds from then on.
/// - When time passes without changes to deliver (idle, or everything was skipped), a heartbeat with the advanced offset is
///   sent at least every few seconds.
/// - Broken connections are retried inside with backoff, for [`sluicegate_model::limits::Limits::retry_window`]; an error that is
///   returned is final. What was read before it has been sent.
/// - The place is proven at each connection: a log that was cut or reset is an error, and never "caught up".
/// - The first rows of each version of a table begin a batch, and a batch holds one version of each table: a plugin that cannot plan
///   one stops the pipeline before its first row, and everything before that is delivered and committed.
/// - A batch waits for more changes no longer than [`sluicegate_model::limits::Limits::batch_wait`].
pub trait Source: Send + 'static {
    /// How places of this source compare.
    fn ledger(&self) -> Arc<dyn Ledger>;

    /// What it gives of each change: known before anything is checked or read, because the plugins plan with it.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// The way to ask it for something while it runs; `None` for a source that takes no requests.
    fn control(&mut self) -> Option<Control> {
        None
    }

    /// Whether a second session may read beside the first one, from another place: an output that goes apart has one of its own. What one
    /// of them begins (a lane), all of a run begin at the same place.
    fn reads_twice(&self) -> bool {
        false
    }

    /// Checks the server's settings and grants, and that it can give everything from each sink's place on, without changing
    /// anything. Answers where each sink begins, in the order of `sinks`. It is stored before the first item is delivered, so
    /// that a crash before the first commit does not move the start. Progress may lack lanes that are new. Nothing is retried.
    ///
    /// # Errors
    /// `Connection`: the server cannot be reached, and another attempt may work. Any other error tells every fault found.
    fn check(&mut self, sinks: &[Begin]) -> impl Future<Output = Result<Vec<Frontier>>> + Send;

    /// Streams from the least of the sinks' places on until `stop` is cancelled, the stream ends by itself, or the receiver is
    /// gone (all `Ok`). `sinks` are what [`Self::check`] answered.
    fn run(self, sinks: Vec<Frontier>, out: Items, stop: CancellationToken) -> impl Future<Output = Result<()>> + Send;
}

/// How places in a source's lanes compare. Only the source knows: a place may be a set of transactions, of which neither of two
/// has everything of the other, so there is no order of them.
pub trait Ledger: std::fmt::Debug + Send + Sync {
    /// Which changes of the batch, which is of the offset's lane, were delivered before `offset`: rising ranges of places in
    /// [`Batch::changes`]. Asked after the plugins, and only while a sink is not where the stream is.
    ///
    /// # Errors
    /// `State`: the offset is not one of this source, or cannot be compared with what the server sends now.
    fn had(&self, offset: &Offset, batch: &Batch) -> Result<Vec<Range<usize>>>;

    /// Whether the transaction, which is of the offset's lane, was delivered as a whole before `offset`. Asked of a transaction
    /// that is one item without rows, behind which the stream is at `now`.
    ///
    /// # Errors
    /// As of [`Self::had`].
    fn had_whole(&self, offset: &Offset, transaction: &Transaction, now: &Offset) -> Result<bool>;

    /// Whether an item of a statement that changed schemas, which is of the offset's lane, was delivered before `offset`. Sources that
    /// log no such statements are never asked.
    ///
    /// # Errors
    /// As of [`Self::had`].
    fn had_statement(&self, offset: &Offset, statement: &SchemaStatement, now: &Offset) -> Result<bool> {
        self.had_whole(offset, &statement.transaction, now)
    }

    /// Whether everything that was delivered at `other` was delivered at `offset`.
    ///
    /// # Errors
    /// As of [`Self::had`].
    fn covers(&self, offset: &Offset, other: &Offset) -> Result<bool>;

    /// The place at which everything was delivered that was delivered at either.
    ///
    /// # Errors
    /// As of [`Self::had`].
    fn join(&self, offset: &Offset, other: &Offset) -> Result<Offset>;

    /// Whether the source has this lane, and the text of the offset is one of its places.
    ///
    /// # Errors
    /// `State`, with what is wrong.
    fn check(&self, lane: &str, offset: &Offset) -> Result<()>;
}
