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
//!
//! For tests it has several lanes, and a disorder in which they come: see [`lanes`].

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod lanes;
mod ledger;
mod mixing;
mod outlet;
mod rows;
mod schedule;
mod shop;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::{
    ledger::{Changes, LANE, Place},
    outlet::{Outlet, Pace},
    shop::LAST_CHANGE,
    stream::Stream,
};
use sluicegate_config::{GeneratorSource, StartAt};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, Item, Lane, Offset},
    limits::Limits,
};
use sluicegate_source::{Begin, Items, Ledger, Source};
use sluicegate_status::Status;

/// The generator as a source.
pub struct Generator {
    settings: GeneratorSource,
    limits: Limits,
    status: Arc<Status>,
    beginnings: lanes::Beginnings,
    /// Whether another session keeps to the rate: this one only follows.
    follows: bool,
}

impl Generator {
    /// A generator. Batches keep to `limits`; `status.source` is kept up to date.
    pub fn new(settings: GeneratorSource, limits: Limits, status: Arc<Status>) -> Self {
        Self { settings, limits, status, beginnings: lanes::Beginnings::default(), follows: false }
    }

    /// Another session of the same run, that counts in `status`. It gives what there is as fast as it can.
    pub fn beside(&self, status: Arc<Status>) -> Self {
        Self { settings: self.settings.clone(), limits: self.limits.clone(), status, beginnings: self.beginnings.clone(), follows: true }
    }

    /// Number of the first change after a sink's progress.
    fn first_change(&self, frontier: &Frontier) -> Result<u64> {
        let offset = frontier.get(LANE).ok_or_else(|| {
            Error::new(ErrorKind::State, "the checkpoint holds progress, but none of the generator")
                .remedy("Give this pipeline a state file of its own, or remove the file to begin anew.")
        })?;
        let place = Place::of(offset)?;
        if place.seed != self.settings.seed {
            return Err(other_seed(place.seed, self.settings.seed));
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
        if lanes::has_lanes(&self.settings) { Arc::new(lanes::Transactions) } else { Arc::new(Changes) }
    }

    fn reads_twice(&self) -> bool {
        true
    }

    async fn check(&mut self, sinks: &[Begin]) -> Result<Vec<Frontier>> {
        if self.settings.rate == Some(0) {
            return Err(Error::new(ErrorKind::Config, "the generator's rate is 0 changes a second")
                .remedy("Set `rate` to 1 or more, or leave it out to generate as fast as possible."));
        }
        if lanes::has_lanes(&self.settings) {
            return lanes::check(&self.settings, sinks);
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
            Begin::Start(_) => Err(no_positions()),
        };
        sinks.iter().map(|begin| change(begin).map(|change| self.frontier(change))).collect()
    }

    async fn run(self, sinks: Vec<Frontier>, out: Items, stop: CancellationToken) -> Result<()> {
        let pace = self.settings.rate.filter(|_| !self.follows).map(|rate| Pace::new(rate, self.limits.batch_wait));
        self.status.source.connect();
        out.begin();
        let mut outlet = Outlet { out, stop, pace, status: self.status.clone(), batch_bytes: self.limits.batch_bytes };
        if lanes::has_lanes(&self.settings) {
            return lanes::run(&self.settings, &self.limits, &self.beginnings, &sinks, outlet).await;
        }
        let firsts = sinks.iter().map(|frontier| self.first_change(frontier)).collect::<Result<Vec<_>>>()?;
        let first = firsts.into_iter().min().ok_or_else(|| Error::new(ErrorKind::Internal, "a source without a sink"))?;
        let end = self.settings.changes.unwrap_or(LAST_CHANGE).min(LAST_CHANGE);
        let mut stream = Stream::new(self.settings.seed, first, &self.limits);
        while stream.change() < end {
            let Some((due, room)) = outlet.next().await else { break };
            let batch = stream.batch(due.min(end - stream.change()));
            room.send(Item::Rows(batch));
        }
        outlet.end();
        Ok(())
    }
}

fn other_seed(stored: u64, own: u64) -> Error {
    let text = format!("the checkpoint belongs to the generator's seed {stored}, but the pipeline has seed {own}");
    let remedy = format!("Set `seed: {stored}` again, or remove the state file to begin anew.");
    Error::new(ErrorKind::Config, text).remedy(remedy)
}

fn no_positions() -> Error {
    Error::new(ErrorKind::Config, "the generator has no binlog positions to start at").remedy("Write `start: now` or `start: earliest`.")
}
