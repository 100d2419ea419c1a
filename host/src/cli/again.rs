//! A pipeline that has streamed and then fails for a reason that may pass is started over, at its checkpoint.

use std::time::Duration;

use sluicegate_model::{Error, ErrorKind, Result, limits::Limits};
use sluicegate_source::Patience;
use sluicegate_status::{Status, relaxed};

/// Decides whether a run that failed is followed by another one.
#[derive(Debug)]
pub(super) struct Again {
    patience: Patience,
    /// Whether the pipeline has streamed.
    began: bool,
}

impl Again {
    /// Within `limits.other_retry_window`.
    pub(super) fn new(limits: &Limits) -> Self {
        Self { patience: Patience::new(limits.other_retry_window), began: false }
    }

    /// How long to wait before the next run, and why.
    ///
    /// # Errors
    /// That of the run: it does not pass, or has not passed for the whole window. A supervisor that goes by the exit code then starts
    /// the program again, since the pipeline did stream.
    pub(super) fn after(&mut self, error: Error, status: &Status) -> Result<(Duration, Error)> {
        if status.sinks.iter().any(|sink| sink.durable.get() > 0) {
            self.patience.reset();
        }
        self.began |= relaxed(&status.started);
        let passes = match error.kind() {
            // of a broker that went away while the pipeline started; after the whole of `retry_window` it does not pass
            ErrorKind::Connection => error.may_pass(),
            // what is not ready at the first start is told at once
            kind => self.began && (error.may_pass() || kind == ErrorKind::Precheck),
        };
        if !passes {
            return Err(error);
        }
        self.patience.delay(error).map_err(|error| match error.kind() {
            ErrorKind::Precheck => error.with_kind(ErrorKind::Connection),
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use sluicegate_status::SinkStatus;

    fn status(started: bool, durable: u64) -> Status {
        let status = Status { sinks: vec![SinkStatus::default()], ..Status::default() };
        status.started.store(started, Ordering::Relaxed);
        status.sinks[0].durable.set(durable);
        status
    }

    fn again(window: Duration) -> Again {
        Again::new(&Limits { other_retry_window: window, ..Limits::default() })
    }

    fn full() -> Error {
        Error::new(ErrorKind::Sink, "the disk is full").that_may_pass(true)
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_only_once_the_pipeline_has_streamed() {
        let hour = Duration::from_secs(3600);
        assert!(again(hour).after(full(), &status(false, 0)).is_err());
        assert!(again(hour).after(full(), &status(true, 0)).is_ok());
        assert!(again(hour).after(Error::new(ErrorKind::Sink, "no such topic"), &status(true, 0)).is_err());
        assert!(again(hour).after(Error::new(ErrorKind::Connection, "gave up after 12h"), &status(true, 0)).is_err());
        let gone = Error::new(ErrorKind::Connection, "the broker went away").that_may_pass(true);
        assert!(again(hour).after(gone, &status(false, 0)).is_ok());
        // a login that is refused while the pipeline starts over
        let refused = || Error::new(ErrorKind::Precheck, "access denied");
        let mut later = again(hour);
        assert!(later.after(refused(), &status(false, 0)).is_err());
        assert!(later.after(refused(), &status(true, 0)).is_ok() && later.after(refused(), &status(false, 0)).is_ok());
    }

    #[test]
    fn the_window_begins_anew_when_something_became_durable() {
        let mut again = again(Duration::from_millis(20));
        for durable in [0, 1] {
            // the first attempt is always followed by another one, however long it took
            assert!(again.after(full(), &status(true, durable)).is_ok() || durable == 0);
            let error = std::iter::repeat_with(|| again.after(full(), &status(true, 0))).find_map(Result::err).unwrap();
            assert_eq!(error.message(), "gave up after 20ms: the disk is full");
        }
    }

    #[test]
    fn a_login_that_stays_refused_ends_with_the_exit_code_to_start_again() {
        let mut again = again(Duration::ZERO);
        let error = again.after(Error::new(ErrorKind::Precheck, "access denied"), &status(true, 0)).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Connection, "access denied"));
    }
}
