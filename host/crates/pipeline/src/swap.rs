//! What passes between the thread that prepares chains and the workers that run them.

use std::sync::mpsc;

use crate::request::Taken;
use sluicegate_model::{Result, change::Position};
use sluicegate_plugin_host::Chain;

/// Chains that are ready to take over: one for each worker.
pub(super) struct Swap {
    pub chains: Vec<Chain>,
    /// Where the old chains go: dropping their instances takes time that the stream should not wait. Has room for all.
    pub retired: mpsc::SyncSender<Chain>,
    /// Where it is said whether, and after which change, they took over. Has room for the answer.
    pub answer: mpsc::SyncSender<Result<Taken>>,
}

impl Swap {
    /// Plans, in the new chains, what tables have come since they were prepared. An error leaves the old chains running.
    pub fn plan_known(&mut self) -> Result<()> {
        self.chains.iter_mut().try_for_each(Chain::plan_known)
    }
}

/// Number of the next change, and the position before it.
pub(super) struct Reached {
    pub sequence: u64,
    pub position: Option<Position>,
}

impl Reached {
    pub fn taken(&self) -> Taken {
        Taken { sequence: self.sequence, position: self.position.as_ref().map_or_else(String::new, |p| p.0.as_ref().to_owned()) }
    }
}
