//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 UTC, now.
pub fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}
