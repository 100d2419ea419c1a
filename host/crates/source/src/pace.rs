//! No faster than the settings say: what came is paid for with waiting.

use std::time::{Duration, Instant};

use sluicegate_config::Rate;

/// What may come at once, before the first wait.
const BURST: Duration = Duration::from_millis(100);
/// Parts of a second's rows that make a batch, so that they come evenly.
const PARTS: u64 = 10;

/// When the next batch may come.
#[derive(Clone, Debug)]
pub struct Pace {
    rate: Rate,
    paid: Instant,
}

impl Pace {
    /// As fast as `rate` says.
    pub fn new(rate: Rate) -> Self {
        Self { rate, paid: Instant::now() }
    }

    /// Changes of a batch, at most, of the number that the limits allow.
    pub fn batch(rate: Rate, most: usize) -> usize {
        rate.rows.map_or(most, |rows| most.min(usize::try_from(rows / PARTS).unwrap_or(most)).max(1))
    }

    /// How long to wait after a batch that was handed on at `now`.
    pub fn after(&mut self, rows: usize, bytes: usize, now: Instant) -> Option<Duration> {
        let seconds = |count: usize, rate: Option<u64>| rate.map_or(0.0, |rate| count as f64 / rate.max(1) as f64);
        let cost = seconds(rows, self.rate.rows).max(seconds(bytes, self.rate.bytes));
        if cost == 0.0 {
            return None;
        }
        let cost = Duration::try_from_secs_f64(cost).unwrap_or(Duration::from_secs(3600));
        self.paid = self.paid.max(now) + cost;
        Some(self.paid.saturating_duration_since(now + BURST)).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_one_burst_comes_and_no_time_is_lost(
            batches in prop::collection::vec((1..2000_usize, 1..100_000_usize, 0..200_u64), 1..50),
            rows in 1..100_000_u64,
            bytes in 1..10_000_000_u64,
        ) {
            let rate = Rate { rows: Some(rows), bytes: Some(bytes) };
            let mut pace = Pace::new(rate);
            let begin = pace.paid;
            let (mut now, mut idle, mut total, mut total_bytes) = (begin, Duration::ZERO, 0, 0);
            for (count, size, pause) in batches {
                now += Duration::from_millis(pause);
                idle += Duration::from_millis(pause);
                (total, total_bytes) = (total + count, total_bytes + size);
                now += pace.after(count, size, now).unwrap_or_default();
            }
            let needed = (total as f64 / rows as f64).max(total_bytes as f64 / bytes as f64);
            let elapsed = now.duration_since(begin).as_secs_f64();
            prop_assert!(elapsed + BURST.as_secs_f64() + 1e-3 >= needed, "{elapsed} {needed}");
            let most = total as f64 / rows as f64 + total_bytes as f64 / bytes as f64 + idle.as_secs_f64();
            prop_assert!(elapsed <= most + 1e-3, "{elapsed} {most}");
        }
    }

    #[test]
    fn without_a_rate_nothing_waits_and_with_one_batches_are_small() {
        let now = Instant::now();
        assert_eq!(Pace::new(Rate::default()).after(1 << 20, 1 << 30, now), None);
        assert_eq!(Pace::batch(Rate::default(), 1024), 1024);
        for (rows, batch) in [(1, 1), (100, 10), (1_000_000, 1024)] {
            assert_eq!(Pace::batch(Rate { rows: Some(rows), bytes: None }, 1024), batch);
        }
    }
}
