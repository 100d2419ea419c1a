//! Ends a run for good: once it is closed, nothing of the run commits.
//!
//! A thread that is stuck in a blocking call cannot be ended from outside, so [`super::run`] gives up on it when draining takes
//! too long. Every thread of a run holds the gate, and with it the checkpoint's lock: as long as one of them lives, no other
//! run can begin to write where it may still be writing.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::Mutex, time::timeout};

use super::treatments;
use sluicegate_dead_letter::DeadLetters;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, Lane, Offset},
    limits::LAST_COMMIT,
};
use sluicegate_plugin_host::KnownTables;
use sluicegate_state::{Checkpoint, Progress};
use sluicegate_status::Status;

/// The way to the checkpoint.
pub(super) struct Gate {
    checkpoint: Arc<Checkpoint>,
    dead_letters: Arc<DeadLetters>,
    status: Arc<Status>,
    known: Arc<KnownTables>,
    /// Held during a commit.
    committing: Mutex<()>,
}

impl Gate {
    pub fn new(checkpoint: Arc<Checkpoint>, dead_letters: Arc<DeadLetters>, status: Arc<Status>, known: Arc<KnownTables>) -> Self {
        Self { checkpoint, dead_letters, status, known, committing: Mutex::new(()) }
    }

    /// What is durable in a sink.
    ///
    /// # Errors
    /// `State`: it cannot be read, or is not there.
    pub fn progress(&self, sink: &str) -> Result<Progress> {
        self.checkpoint.progress(sink)?.ok_or_else(|| {
            Error::new(ErrorKind::State, format!("the checkpoint no longer has the sink `{sink}`"))
                .remedy("stop whatever else writes to the file, then start again")
        })
    }

    /// The checkpoint, for what is not progress.
    pub fn checkpoint(&self) -> &Arc<Checkpoint> {
        &self.checkpoint
    }

    /// Whether the run is over: nothing may be written or committed any more.
    pub fn is_closed(&self) -> bool {
        self.status.ended.load(Ordering::Acquire)
    }

    /// Stores what is durable in a sink, as [`Checkpoint::commit`]. Not to be called in a runtime.
    ///
    /// # Errors
    /// Also when the gate is closed.
    pub fn commit(&self, sink: &str, moved: &Frontier, state: &str) -> Result<()> {
        let _committing = self.committing.blocking_lock();
        if self.is_closed() {
            return Err(Error::new(ErrorKind::Sink, format!("the run ended before what sink `{sink}` wrote was committed"))
                .remedy("nothing is lost: the next start goes on at the checkpoint"));
        }
        // before the progress: what a later run must know of the rows that come before it
        treatments::store(&self.checkpoint, self.known.treatments())?;
        self.checkpoint.commit(sink, moved, state)
    }

    /// Stores where a lane begins, for every sink that does not know it, as [`Checkpoint::begin_lane`]. Not to be called in a runtime.
    ///
    /// # Errors
    /// Also when the gate is closed.
    pub fn begin_lane(&self, lane: &Lane, offset: &Offset) -> Result<()> {
        let _committing = self.committing.blocking_lock();
        if self.is_closed() {
            return Err(Error::new(ErrorKind::State, format!("the run ended before the beginning of the lane `{lane}` was stored"))
                .remedy("nothing is lost: the next start goes on at the checkpoint"));
        }
        self.checkpoint.begin_lane(lane, offset)
    }

    /// Lets nothing through from now on. A commit that is under way ends first, but is not waited for longer than
    /// [`LAST_COMMIT`].
    pub async fn close(&self) {
        self.close_within(LAST_COMMIT).await;
    }

    async fn close_within(&self, most: Duration) {
        self.status.ended.store(true, Ordering::Release);
        self.dead_letters.close();
        if timeout(most, self.committing.lock()).await.is_err() {
            tracing::warn!(seconds = most.as_secs(), "a commit of the checkpoint did not end in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Frontier {
        Frontier::of(Lane::new("binlog"), Offset::from_json(offset.to_string()))
    }

    fn closed(gate: &Gate, most: Duration) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(gate.close_within(most));
    }

    #[test]
    fn after_it_is_closed_nothing_is_committed_and_the_lock_lasts_as_long_as_the_gate() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.db");
        let dead_letters = Arc::new(DeadLetters::new(folder.path().join("letters"), 1 << 20));
        let checkpoint = Checkpoint::open(&state, "p").unwrap();
        checkpoint.begin([("s", &at(0))]).unwrap();
        let gate = Gate::new(Arc::new(checkpoint), dead_letters, Arc::default(), Arc::new(KnownTables::new(1)));
        gate.commit("s", &at(1), "").unwrap();
        closed(&gate, LAST_COMMIT);
        let error = gate.commit("s", &at(2), "").unwrap_err();
        assert!(error.message().contains("ended before what sink `s` wrote was committed"), "{error}");
        assert!(gate.begin_lane(&Lane::new("late"), &Offset::from_json("1")).is_err());
        assert!(Checkpoint::open(&state, "p").is_err(), "a thread that holds the gate may still write");
        drop(gate);
        assert_eq!(Checkpoint::open(&state, "p").unwrap().progress("s").unwrap().unwrap().frontier, at(1));
    }

    #[test]
    fn a_commit_that_hangs_does_not_hold_the_end_up() {
        let folder = tempfile::tempdir().unwrap();
        let dead_letters = Arc::new(DeadLetters::new(folder.path(), 1 << 20));
        let checkpoint = Arc::new(Checkpoint::open(&folder.path().join("state.db"), "p").unwrap());
        let gate = Gate::new(checkpoint, dead_letters, Arc::default(), Arc::new(KnownTables::new(1)));
        let _hangs = gate.committing.try_lock().unwrap();
        closed(&gate, Duration::from_millis(1));
        assert!(gate.is_closed());
    }
}
