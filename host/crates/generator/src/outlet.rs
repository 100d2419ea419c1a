//! The way to the pipeline: room first, then changes, at the rate that the settings say.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::select;
use tokio_util::sync::CancellationToken;

use sluicegate_model::{change::Item, now_us};
use sluicegate_source::{self as source, Items};
use sluicegate_status::Status;

/// Where items go.
pub(super) struct Outlet {
    pub(super) out: Items,
    pub(super) stop: CancellationToken,
    pub(super) pace: Option<Pace>,
    pub(super) status: Arc<Status>,
    /// Bytes that a batch has, at most.
    pub(super) batch_bytes: usize,
}

/// Room for one item.
pub(super) struct Room<'a> {
    room: source::Room<'a>,
    pace: Option<&'a mut Pace>,
    status: &'a Status,
}

impl Outlet {
    /// Waits until changes are due, and until there is room for an item: answers how many changes it may have. `None` when the
    /// stream has to end.
    pub(super) async fn next(&mut self) -> Option<(u64, Room<'_>)> {
        let source = &self.status.source;
        let due = loop {
            let Some(pace) = &mut self.pace else { break u64::MAX };
            match pace.due(Instant::now()) {
                Ok(due) => break due,
                Err(wait) => {
                    source.see_event(0);
                    select! {
                        biased;
                        () = self.stop.cancelled() => return None,
                        () = self.out.closed() => return None,
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        };
        // room first: what waits for room is not generated yet, and so a slow reader costs no memory
        let room = select! {
            biased;
            () = self.stop.cancelled() => return None,
            room = self.out.reserve(self.batch_bytes) => room.ok()?,
        };
        Some((due, Room { room, pace: self.pace.as_mut(), status: &self.status }))
    }

    /// Nothing is left to give.
    pub(super) fn end(&self) {
        self.status.source.see_event(0);
    }
}

impl Room<'_> {
    pub(super) fn send(self, item: Item) {
        if let (Some(pace), Item::Rows(batch)) = (self.pace, &item) {
            pace.sent += u64::from(batch.taken);
        }
        self.status.source.hear();
        self.status.source.see_event(now_us());
        self.room.send(item);
    }
}

/// Keeps to a rate.
pub(super) struct Pace {
    /// Changes a second.
    rate: u64,
    /// The shortest wait: changes that fall into it go together.
    tick: Duration,
    pub(super) began: Instant,
    /// Changes since `began`.
    pub(super) sent: u64,
}

impl Pace {
    pub(super) fn new(rate: u64, tick: Duration) -> Self {
        Self { rate, tick, began: Instant::now(), sent: 0 }
    }

    /// How many changes are due, or how long to wait for the next. A reader that held us back gets what it missed, but no
    /// more than of one second.
    pub(super) fn due(&mut self, now: Instant) -> Result<u64, Duration> {
        let elapsed = now.duration_since(self.began);
        // the first one is due at once
        let allowed = 1 + (elapsed.as_nanos() * u128::from(self.rate) / 1_000_000_000) as u64;
        let due = allowed.saturating_sub(self.sent);
        if due > self.rate.saturating_add(1) {
            self.began = now - Duration::from_secs(1).min(elapsed);
            self.sent = 0;
            return Ok(self.rate);
        }
        if due > 0 {
            return Ok(due);
        }
        let next = Duration::from_nanos((u128::from(self.sent) * 1_000_000_000 / u128::from(self.rate)) as u64 + 1);
        Err(next.saturating_sub(elapsed).max(self.tick))
    }
}
