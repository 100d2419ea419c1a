//! WASI's clocks. Without the grant, time is virtual: it starts at a fixed point with the instance, advances by a microsecond at each
//! reading, so that a loop that waits for it ends, and by all that the guest sleeps. With it the clocks are real, but a
//! sleep does not wait either: the monotonic clock then runs ahead by what was slept. So the deadline of a call holds,
//! and a plugin never delays the stream by sleeping.

use std::time::{Duration, Instant, SystemTime};

/// Where the virtual wall clock starts: 2020-01-01T00:00:00Z, in seconds since 1970.
const VIRTUAL_START: u64 = 1_577_836_800;
/// Where the monotonic clock starts, in nanoseconds: runtimes take 0 for "not set".
const MONOTONIC_START: u64 = 1_000_000_000;
/// What a reading of virtual time takes, in nanoseconds.
const READING: u64 = 1_000;

/// The clocks of one instance.
pub(super) struct Time {
    /// When the instance started, if it may know the time.
    real: Option<Instant>,
    /// Nanoseconds that were slept (and, in virtual time, read).
    ahead: u64,
}

impl Time {
    pub fn new(granted: bool) -> Self {
        Self { real: granted.then(Instant::now), ahead: 0 }
    }

    /// The monotonic clock, in nanoseconds, read by the guest.
    pub fn read(&mut self) -> u64 {
        if self.real.is_none() {
            self.ahead = self.ahead.saturating_add(READING);
        }
        self.monotonic()
    }

    /// The monotonic clock, in nanoseconds.
    pub fn monotonic(&self) -> u64 {
        let elapsed = self.real.map_or(0, |start| u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
        MONOTONIC_START.saturating_add(elapsed).saturating_add(self.ahead)
    }

    /// The wall clock, since 1970 UTC, read by the guest.
    pub fn wall(&mut self) -> Duration {
        match self.real {
            Some(_) => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            None => {
                self.ahead = self.ahead.saturating_add(READING);
                Duration::from_secs(VIRTUAL_START) + Duration::from_nanos(self.ahead)
            }
        }
    }

    /// Sleeps until `instant` of the monotonic clock, at once.
    pub fn sleep_until(&mut self, instant: u64) {
        self.ahead = self.ahead.saturating_add(instant.saturating_sub(self.monotonic()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_time_is_the_same_at_every_start_and_advances_by_what_is_slept() {
        let run = || {
            let mut time = Time::new(false);
            let first = time.read();
            time.sleep_until(first + 5_000_000_000);
            (first, time.read(), time.wall())
        };
        assert_eq!(run(), run());
        assert_eq!(run(), (1_000_001_000, 6_000_002_000, Duration::new(VIRTUAL_START + 5, 3_000)));
    }

    #[test]
    fn a_sleep_for_ever_ends_at_once_and_time_stays_readable() {
        for granted in [false, true] {
            let mut time = Time::new(granted);
            time.sleep_until(u64::MAX);
            assert_eq!(time.read(), u64::MAX);
            time.sleep_until(u64::MAX);
            assert!(time.wall() >= Duration::from_secs(VIRTUAL_START));
        }
    }

    #[test]
    fn granted_time_is_the_real_one() {
        let mut time = Time::new(true);
        let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert!(time.wall() >= before);
        let first = time.read();
        assert!(time.read() >= first);
    }
}
