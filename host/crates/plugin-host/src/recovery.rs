//! How a plugin that keeps failing is held back: pauses between its restarts, and an end to failing change after change.
//!
//! While the rows at fault of one batch are searched, the restarts come without a pause: the search makes progress, and
//! [`Limits::plugin_recovery`] bounds it. A plugin that handled no part of a batch at all pauses before it is started
//! again, twice as long each time; one part that it handles ends that.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use sluicegate_model::{Error, ErrorKind, Result, limits::Limits};

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// A pause is looked up from this often, to see whether the pipeline stops.
const LOOK: Duration = Duration::from_millis(10);

/// The failures of one plugin since it last handled anything.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// Batches in a row of which it handled no part.
    batches: u32,
    /// Changes in a row that it failed on.
    changes: usize,
}

impl Recovery {
    /// It handled rows.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A batch begins to fail, nothing of it having been handled. How long to wait before the restart.
    pub fn pause(&mut self, limits: &Limits) -> Duration {
        let doubled = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(self.batches.saturating_sub(1)));
        let pause = if self.batches == 0 { Duration::ZERO } else { doubled.min(limits.plugin_restart_pause) };
        self.batches = self.batches.saturating_add(1);
        pause
    }

    /// It failed on one more change, `error` says how. An error when there were too many in a row.
    pub fn failed(&mut self, error: Error, limits: &Limits) -> Result<Error> {
        self.changes += 1;
        if self.changes <= limits.plugin_failed_changes {
            return Ok(error);
        }
        let many = limits.plugin_failed_changes;
        Err(error
            .context(format_args!("more than {many} changes in a row failed, the last of them so"))
            .with_kind(ErrorKind::Plugin)
            .remedy(
                "correct the plugin: it fails on everything; or raise limits.plugin_failed_changes, if its policy may decide about so many",
            ))
    }
}

/// Waits, unless the pipeline stops.
pub(super) fn wait(pause: Duration, stopping: &AtomicBool) {
    let end = Instant::now() + pause;
    while !stopping.load(Ordering::Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(LOOK));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_end_with_a_success() {
        let limits = Limits { plugin_restart_pause: Duration::from_millis(70), ..Limits::default() };
        let mut recovery = Recovery::default();
        let pauses: Vec<_> = (0..6).map(|_| recovery.pause(&limits).as_millis()).collect();
        assert_eq!(pauses, [0, 10, 20, 40, 70, 70]);
        (0..100).for_each(|_| assert!(recovery.pause(&limits) <= limits.plugin_restart_pause));
        recovery.succeeded();
        assert_eq!(recovery.pause(&limits), Duration::ZERO);
    }

    #[test]
    fn a_stopping_pipeline_ends_a_pause_at_once() {
        let stopping = AtomicBool::new(true);
        let begin = Instant::now();
        wait(Duration::from_secs(3600), &stopping);
        assert!(begin.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn failing_on_everything_is_an_error_that_names_the_last_fault() {
        let limits = Limits { plugin_failed_changes: 2, ..Limits::default() };
        let mut recovery = Recovery::default();
        let fault = || Error::new(ErrorKind::Plugin, "it trapped");
        for _ in 0..2 {
            recovery.failed(fault(), &limits).expect("not too many yet");
        }
        let error = recovery.failed(fault(), &limits).expect_err("too many");
        assert_eq!(error.message(), "more than 2 changes in a row failed, the last of them so: it trapped");
        recovery.succeeded();
        recovery.failed(fault(), &limits).expect("counted anew");
    }
}
