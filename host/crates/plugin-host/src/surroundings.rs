//! What the chains of a pipeline share.

use std::sync::Arc;

use super::known::KnownTables;
use sluicegate_dead_letter::DeadLetters;
use sluicegate_model::{change::Capabilities, limits::Limits};
use sluicegate_status::Status;

/// What a chain needs beside its plugins.
#[derive(Clone)]
pub struct Surroundings {
    /// Bounds.
    pub limits: Arc<Limits>,
    /// Where it counts.
    pub status: Arc<Status>,
    /// Where changes go that a plugin cannot handle, if its policy says so.
    pub dead_letters: Arc<DeadLetters>,
    /// Tables that have been seen; a swap plans them before it takes over.
    pub known: Arc<KnownTables>,
    /// What the source gives of each change.
    pub capabilities: Capabilities,
}
