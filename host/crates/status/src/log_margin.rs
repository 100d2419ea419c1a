//! How near the sinks' places are to what the source removes of its log.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How much of the log the source still has before the oldest place of the sinks, and for how long it has that place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogMargin {
    /// Files before the one that holds the place.
    pub files: u64,
    /// When that file may be removed, from now on; `None` where files are not removed by age.
    pub left: Option<Duration>,
    /// How long files are kept.
    pub kept: Option<Duration>,
}

/// What was found out last.
#[derive(Debug, Default)]
pub struct LogMargins(Mutex<Option<LogMargin>>);

impl LogMargins {
    /// Notes what was found out; `None` where it cannot be told.
    pub fn note(&self, margin: Option<LogMargin>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = margin;
    }

    /// What was found out last.
    pub fn get(&self) -> Option<LogMargin> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
