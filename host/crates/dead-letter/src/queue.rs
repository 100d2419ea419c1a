//! Letters that go to a queue of messages in place of files.

use std::fmt::Debug;

use super::Kind;
use sluicegate_model::Result;

/// A letter on its way to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Who set it aside.
    pub kind: Kind,
    /// The plugin's or sink's name, or the kind of source.
    pub stage: String,
    /// The table that the change is of; of a record that could not be read, its topic.
    pub of: String,
    /// The plugins that the change has passed, with their versions.
    pub plugins: Option<String>,
    /// The letter, a JSON object, as it would stand in a file.
    pub text: Vec<u8>,
}

/// A queue of letters.
pub trait Queue: Debug + Send + Sync {
    /// Whether the sink of this name delivers letters of its own, together with its records.
    fn is_sent_by(&self, sink: &str) -> bool;

    /// What it is called at its brokers.
    fn topic(&self) -> &str;

    /// Takes a letter, which is durable only after [`Self::sync`].
    ///
    /// # Errors
    /// `Sink`: the queue does not take it. The pipeline has to stop, or the change would be lost.
    fn send(&self, letter: &Outgoing) -> Result<()>;

    /// Makes everything taken so far durable.
    ///
    /// # Errors
    /// `Sink` when that fails. Every later call fails, too.
    fn sync(&self) -> Result<()>;
}
