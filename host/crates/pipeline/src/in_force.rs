//! The plugins that are in force, for chains that are made while the pipeline runs.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use sluicegate_model::Result;
use sluicegate_plugin_host::{Chain, KnownTables, Member, Surroundings};

/// The plugins in force, and how often they changed.
pub(super) struct InForce {
    around: Surroundings,
    members: Mutex<Vec<Member>>,
    generation: AtomicU64,
}

impl InForce {
    pub fn new(members: Vec<Member>, around: Surroundings) -> Arc<Self> {
        Arc::new(Self { around, members: Mutex::new(members), generation: AtomicU64::new(0) })
    }

    /// Other plugins have taken over.
    pub fn replace(&self, members: Vec<Member>) {
        *self.members.lock().unwrap_or_else(PoisonError::into_inner) = members;
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The plugins.
    pub fn members(&self) -> Vec<Member> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A number that grows when other plugins take over.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A chain of them for a stream that may be behind the first one, and the generation that it is of at least. It knows no table:
    /// versions come to it that the others have left behind.
    pub fn chain(&self) -> Result<(Chain, u64)> {
        let generation = self.generation();
        let members = self.members();
        let known = KnownTables::new(self.around.limits.known_tables);
        known.treatments().remember(self.around.known.treatments().all());
        let around = Surroundings { known: Arc::new(known), ..self.around.clone() };
        Ok((Chain::new(&members, around)?, generation))
    }
}
