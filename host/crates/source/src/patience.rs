//! How long a connection that fails is tried again.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};

use sluicegate_model::{Error, Result};

/// The longest wait between two attempts.
const LONGEST_DELAY: Duration = Duration::from_secs(15);

/// Counts failed attempts in a row: says how long to wait before the next one, and when to give up.
#[derive(Debug)]
pub struct Patience {
    window: Duration,
    since: Option<Instant>,
    delays: backon::ExponentialBackoff,
}

impl Patience {
    /// Attempts go on for `window` after the first failure.
    pub fn new(window: Duration) -> Self {
        Self { window, since: None, delays: delays() }
    }

    /// An attempt worked: the next failure is the first again.
    pub fn reset(&mut self) {
        self.since = None;
        self.delays = delays();
    }

    /// An attempt failed with `error`: how long to wait before the next one.
    ///
    /// # Errors
    /// `error` itself, when no attempt has worked for the whole window.
    pub fn delay(&mut self, error: Error) -> Result<(Duration, Error)> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.window {
            let error = if self.window.is_zero() { error } else { error.context(format_args!("gave up after {:?}", self.window)) };
            return Err(error);
        }
        Ok((self.delays.next().unwrap_or(LONGEST_DELAY), error))
    }
}

fn delays() -> backon::ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(LONGEST_DELAY)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::ErrorKind;

    fn refused() -> Error {
        Error::new(ErrorKind::Connection, "connection refused")
    }

    #[test]
    fn delays_grow_to_their_bound_and_begin_anew_after_a_success() {
        let mut patience = Patience::new(Duration::from_secs(3600));
        let mut delay = || patience.delay(refused()).expect("within the window").0;
        assert!(delay() < Duration::from_secs(1));
        let later: Vec<_> = (0..20).map(|_| delay()).collect();
        // the jitter adds up to the delay itself
        assert!(later.iter().all(|d| *d <= 2 * LONGEST_DELAY), "{later:?}");
        assert!(later[19] >= LONGEST_DELAY, "{later:?}");
        patience.reset();
        assert!(patience.delay(refused()).expect("within the window").0 < Duration::from_secs(1));
    }

    #[test]
    fn a_window_that_has_passed_gives_the_last_error_back() {
        for (window, message) in [(0, "connection refused"), (1, "gave up after 1ns: connection refused")] {
            let mut patience = Patience::new(Duration::from_nanos(window));
            let error = std::iter::repeat_with(|| patience.delay(refused())).find_map(Result::err).expect("the window passes");
            assert_eq!((error.kind(), error.message()), (ErrorKind::Connection, message));
        }
    }
}
