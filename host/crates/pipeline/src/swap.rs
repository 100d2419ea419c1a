//! What passes between the thread that prepares chains and the workers that run them.

use std::sync::mpsc;

use crate::{place_in_log, request::Taken};
use sluicegate_model::{
    Result,
    change::{Lane, Offset},
};
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

/// How far the stream has come: changes in this run, and the lane that moved last.
#[derive(Default)]
pub(super) struct Reached {
    pub number: u64,
    place: Option<(Lane, Offset)>,
}

impl Reached {
    /// The stream passed an item.
    pub fn pass(&mut self, number: u64, lane: &Lane, offset: &Offset) {
        self.number = number;
        self.place = Some((lane.clone(), offset.clone()));
    }

    pub fn taken(&self) -> Taken {
        let (lane, position) =
            self.place.as_ref().map_or_else(Default::default, |(lane, offset)| (lane.name().to_owned(), place_in_log::place(offset)));
        Taken { changes: self.number, lane, position }
    }
}
