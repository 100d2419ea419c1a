//! How many queries for changes and rows are sent in a second.

use std::time::Duration;

use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

/// Shared by all threads of a source.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Option<Duration>,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// `None` = no bound.
    pub(super) fn new(queries_per_second: Option<u64>) -> Self {
        let gap = queries_per_second.map(|queries| Duration::from_secs(1) / u32::try_from(queries).unwrap_or(u32::MAX).max(1));
        Self { gap, next: Mutex::new(None) }
    }

    /// Waits until the next query is due.
    pub(super) async fn wait(&self) {
        let Some(gap) = self.gap else { return };
        let now = Instant::now();
        let due = {
            let mut next = self.next.lock().await;
            let due = next.filter(|due| *due > now).unwrap_or(now);
            *next = Some(due + gap);
            due
        };
        sleep_until(due).await;
    }
}
