//! Waiting on conditions, with a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Time between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until `condition` holds; panics with `what` when it does not within `deadline`.
#[track_caller]
pub fn until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    until_some(what, deadline, || condition().then_some(()));
}

/// Waits until `look` finds something and gives it; panics with `what` when it does not within `deadline`.
#[track_caller]
pub fn until_some<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        thread::sleep(LOOK);
    }
}
