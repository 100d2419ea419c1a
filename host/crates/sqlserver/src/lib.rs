//! The SQL Server source: a reader of Change Tracking.
//!
//! Each tracked table is a lane. At each interval one connection asks which tables have changes ([`schedule`]); those are visited in turn
//! ([`visit`]): the place is proven ([`tracked_lane`]), then a round reads the changes after it ([`round`]), joined to the rows as they are
//! now. A copy of a table ([`copy`]) is a state of its lane. All SQL stands in [`sql`].

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod assembly;
mod catalogue;
mod column;
mod connection;
mod copy;
mod fault;
mod headers;
mod ledger;
mod pace;
mod place;
mod precheck;
mod round;
mod row;
mod schedule;
mod sql;
mod table;
mod temporal;
#[cfg(test)]
mod tests;
mod tracked_lane;
mod value;
mod visit;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
};

use tokio_util::sync::CancellationToken;

use self::{
    connection::Connector, ledger::Versions, pace::Pace, place::CtPlace, precheck::Checked, schedule::Schedule, tracked_lane::TrackedLane,
    visit::Visitor,
};
use sluicegate_config::{SqlServerSource, TrackedStart};
use sluicegate_model::{
    Result,
    change::{BeforeImages, Capabilities, Frontier, TableName},
    finding::Finding,
    limits::Limits,
};
use sluicegate_source::{Begin, Inventory, Items, Ledger, Source};
use sluicegate_status::Status;

/// The source.
#[derive(Debug)]
pub struct SqlServer {
    settings: Arc<SqlServerSource>,
    limits: Limits,
    status: Arc<Status>,
    connector: Connector,
    findings: Vec<Finding>,
}

impl SqlServer {
    /// A source that reads as `settings` say.
    pub fn new(settings: SqlServerSource, limits: Limits, status: Arc<Status>) -> Self {
        let settings = Arc::new(settings);
        let connector = Connector::new(settings.clone(), limits.clone());
        Self { settings, limits, status, connector, findings: Vec::new() }
    }

    /// Another session of the same run, that counts in `status`.
    pub fn beside(&self, status: Arc<Status>) -> Self {
        let (settings, connector) = (self.settings.clone(), self.connector.clone());
        Self { settings, limits: self.limits.clone(), status, connector, findings: Vec::new() }
    }

    /// What the last check found, item by item, also when it failed.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// The tables that the database has today.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn inventory(&self) -> Result<Inventory> {
        precheck::inventory(&self.connector, &self.settings, &self.limits).await
    }
}

impl Source for SqlServer {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(Versions)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { before_images: BeforeImages::Deletes, absent: true }
    }

    async fn check(&mut self, sinks: &[Begin]) -> Result<Vec<Frontier>> {
        let mut checked = Checked { settings: &self.settings, limits: &self.limits, findings: Vec::new() };
        let outcome = checked.check(&self.connector, sinks).await;
        self.findings = checked.findings;
        outcome
    }

    async fn run(self, sinks: Vec<Frontier>, out: Items, stop: CancellationToken) -> Result<()> {
        let mut places: BTreeMap<TableName, Vec<CtPlace>> = BTreeMap::new();
        for (lane, offset) in sinks.iter().flat_map(Frontier::lanes) {
            if let Some(name) = place::table_of(lane.name()) {
                places.entry(name).or_default().push(CtPlace::of(offset)?.into_owned());
            }
        }
        let lanes = places.into_iter().filter_map(|(name, places)| TrackedLane::meeting(name, &places, TrackedStart::Now)).collect();
        out.begin();
        let visitor = Visitor {
            pace: Pace::new(self.settings.queries_per_second),
            settings: self.settings,
            limits: self.limits,
            status: self.status,
            connector: self.connector,
            out,
            given: AtomicU64::new(0),
        };
        Schedule::new(Arc::new(visitor), lanes, stop).run().await
    }
}
