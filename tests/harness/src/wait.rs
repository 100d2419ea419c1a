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
pub fn until_some<T>(what: &str, deadline: Duration, look: impl FnMut() -> Option<T>) -> T {
    within(deadline, look).unwrap_or_else(|| panic!("not within {deadline:?}: {what}"))
}

/// Waits until `look` finds something and gives it; `None` when it does not within `deadline`.
pub fn within<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        let found = look();
        if found.is_some() || Instant::now() >= end {
            return found;
        }
        thread::sleep(LOOK);
    }
}
