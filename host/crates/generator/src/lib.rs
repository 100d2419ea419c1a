//! The generator: the changes of a small shop that does not exist, for a first run, for tests and for measurements.
//!
//! Customers join, are rated and leave; orders are placed with their lines, paid, shipped and delivered, or cancelled and
//! removed, in transactions of one to four changes. The before image of an update is always the last after image, every
//! order's customer exists, and its amount is the sum of its lines.
//!
//! It is honest about what it is: the database is `shop`, the log file `generator`, the position in it the number of the
//! change, and the time of a change is the shop's own, which begins in 2024 and has nothing to do with the clock.
//!
//! The same seed gives the same changes. Any change follows from its number alone, so a restart at any position, also in
//! the middle of a transaction, goes on at once with exactly the changes that would have followed.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod ledger;
mod mixing;
mod rows;
mod schedule;
mod shop;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::select;
use tokio_util::sync::CancellationToken;

use self::{
    ledger::{Changes, LANE, Place},
    shop::LAST_CHANGE,
    stream::Stream,
};
use sluicegate_config::{GeneratorSource, StartAt};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, Item, Lane, Offset},
    limits::Limits,
    now_us,
};
use sluicegate_source::{Begin, Items, Ledger, Source};
use sluicegate_status::Status;

/// The generator as a source.
pub struct Generator {
    settings: GeneratorSource,
    limits: Limits,
    status: Arc<Status>,
}

impl Generator {
    /// A generator. Batches keep to `limits`; `status.source` is kept up to date.
    pub fn new(settings: GeneratorSource, limits: Limits, status: Arc<Status>) -> Self {
        Self { settings, limits, status }
    }

    /// Number of the first change after a sink's progress.
    fn first_change(&self, frontier: &Frontier) -> Result<u64> {
        let offset = frontier.get(LANE).ok_or_else(|| {
            Error::new(ErrorKind::State, "the checkpoint holds progress, but none of the generator")
                .remedy("Give this pipeline a state file of its own, or remove the file to begin anew.")
        })?;
        let place = Place::of(offset)?;
        if place.seed != self.settings.seed {
            let text =
                format!("the checkpoint belongs to the generator's seed {}, but the pipeline has seed {}", place.seed, self.settings.seed);
            let remedy = format!("Set `seed: {}` again, or remove the state file to begin anew.", place.seed);
            return Err(Error::new(ErrorKind::Config, text).remedy(remedy));
        }
        if place.change > LAST_CHANGE {
            return Err(Error::new(
                ErrorKind::State,
                format!("the checkpoint's change {} is beyond the generator's last one", place.change),
            )
            .remedy("Remove the state file to begin anew."));
        }
        Ok(place.change)
    }

    fn frontier(&self, change: u64) -> Frontier {
        Frontier::of(Lane::new(LANE), Offset::new(Place { seed: self.settings.seed, change }))
    }
}

impl Source for Generator {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(Changes)
    }

    async fn check(&mut self, sinks: &[Begin]) -> Result<Vec<Frontier>> {
        if self.settings.rate == Some(0) {
            return Err(Error::new(ErrorKind::Config, "the generator's rate is 0 changes a second")
                .remedy("Set `rate` to 1 or more, or leave it out to generate as fast as possible."));
        }
        let mut reached = 0;
        for begin in sinks {
            if let Begin::At(frontier) = begin {
                reached = reached.max(self.first_change(frontier)?);
            }
        }
        let change = |begin: &Begin| match begin {
            Begin::At(frontier) => self.first_change(frontier),
            Begin::First | Begin::Start(StartAt::Earliest) => Ok(0),
            // nothing is generated until somebody reads it
            Begin::Start(StartAt::Now) => Ok(reached),
            Begin::Start(_) => Err(Error::new(ErrorKind::Config, "the generator has no binlog positions to start at")
                .remedy("Write `start: now` or `start: earliest`.")),
        };
        sinks.iter().map(|begin| change(begin).map(|change| self.frontier(change))).collect()
    }

    async fn run(self, sinks: Vec<Frontier>, out: Items, stop: CancellationToken) -> Result<()> {
        let firsts = sinks.iter().map(|frontier| self.first_change(frontier)).collect::<Result<Vec<_>>>()?;
        let first = firsts.into_iter().min().ok_or_else(|| Error::new(ErrorKind::Internal, "a source without a sink"))?;
        let end = self.settings.changes.unwrap_or(LAST_CHANGE).min(LAST_CHANGE);
        let mut stream = Stream::new(self.settings.seed, first, &self.limits);
        let mut pace = self.settings.rate.map(|rate| Pace::new(rate, self.limits.batch_wait));
        let source = &self.status.source;
        source.connect();
        while stream.change() < end {
            let due = match &mut pace {
                None => u64::MAX,
                Some(pace) => match pace.due(Instant::now()) {
                    Ok(due) => due,
                    Err(wait) => {
                        source.see_event(0);
                        select! {
                            biased;
                            () = stop.cancelled() => break,
                            () = out.closed() => break,
                            () = tokio::time::sleep(wait) => continue,
                        }
                    }
                },
            };
            // room first: what waits for room is not generated yet, and so a slow reader costs no memory
            let room = select! {
                biased;
                () = stop.cancelled() => break,
                room = out.reserve() => room,
            };
            let Ok(room) = room else { break };
            let batch = stream.batch(due.min(end - stream.change()));
            if let Some(pace) = &mut pace {
                pace.sent += u64::from(batch.taken);
            }
            source.hear();
            source.see_event(now_us());
            room.send(Item::Rows(batch));
        }
        source.see_event(0);
        Ok(())
    }
}

/// Keeps to a rate.
struct Pace {
    /// Changes a second.
    rate: u64,
    /// The shortest wait: changes that fall into it go together.
    tick: Duration,
    began: Instant,
    /// Changes since `began`.
    sent: u64,
}

impl Pace {
    fn new(rate: u64, tick: Duration) -> Self {
        Self { rate, tick, began: Instant::now(), sent: 0 }
    }

    /// How many changes are due, or how long to wait for the next. A reader that held us back gets what it missed, but no
    /// more than of one second.
    fn due(&mut self, now: Instant) -> Result<u64, Duration> {
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
