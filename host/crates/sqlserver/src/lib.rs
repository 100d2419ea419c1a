//! The SQL Server source: a reader of Change Tracking.
//!
//! Each tracked table is a lane. At each interval one connection asks which tables have changes ([`schedule`]); those are visited in turn
//! ([`visit`]): the place is proven ([`tracked_lane`]), then a round reads the changes after it ([`round`]), joined to the rows as they are
//! now. A copy of a table ([`copy`]) is a state of its lane. All SQL stands in [`sql`].

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod access;
mod assembly;
mod catalogue;
mod column;
mod connection;
mod copy;
mod events;
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
mod turns;
mod value;
mod visit;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    connection::Connector,
    ledger::Versions,
    place::CtPlace,
    precheck::{Checked, WITHOUT, WITHOUT_REMEDY},
    schedule::Schedule,
    tracked_lane::TrackedLane,
    visit::{Shared, Visitor},
};
use sluicegate_config::{SqlServerSource, TrackedStart};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{BeforeImages, Capabilities, Frontier, TableName},
    finding::{Finding, listed as named},
    limits::{CHECK_NAMES, Limits},
};
use sluicegate_source::{Begin, Inventory, Items, Ledger, Source};
use sluicegate_status::Status;

/// The source.
#[derive(Debug)]
pub struct SqlServer {
    settings: Arc<SqlServerSource>,
    limits: Limits,
    status: Arc<Status>,
    /// Of each database.
    connectors: Vec<Connector>,
    /// What the server calls the databases, once they were checked.
    names: Vec<String>,
    findings: Vec<Finding>,
    /// Entries of `tables` that match no table, as far as they were checked.
    without: Vec<String>,
}

impl SqlServer {
    /// A source that reads as `settings` say.
    pub fn new(settings: SqlServerSource, limits: Limits, status: Arc<Status>) -> Self {
        let settings = Arc::new(settings);
        let connector = |database: &String| Connector::new(settings.clone(), limits.clone(), database);
        let connectors = settings.databases.iter().map(connector).collect();
        Self { settings, limits, status, connectors, names: Vec::new(), findings: Vec::new(), without: Vec::new() }
    }

    /// Another session of the same run, that counts in `status`.
    pub fn beside(&self, status: Arc<Status>) -> Self {
        let (settings, connectors, names) = (self.settings.clone(), self.connectors.clone(), self.names.clone());
        Self { settings, limits: self.limits.clone(), status, connectors, names, findings: Vec::new(), without: Vec::new() }
    }

    /// What the last check found, item by item, also when it failed.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// The tables that the databases have today.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn inventory(&self) -> Result<Inventory> {
        precheck::inventory(&self.connectors, &self.settings, &self.limits).await
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
        let mut checked = Checked::new(&self.settings, &self.limits);
        let outcome = checked.check(&self.connectors, sinks).await;
        (self.findings, self.names, self.without) = (checked.findings, checked.names, checked.without);
        outcome
    }

    async fn run(self, sinks: Vec<Frontier>, out: Items, stop: CancellationToken) -> Result<()> {
        let mut places: BTreeMap<TableName, Vec<CtPlace>> = BTreeMap::new();
        for (lane, offset) in sinks.iter().flat_map(Frontier::lanes) {
            if let Some(name) = place::table_of(lane.name()) {
                places.entry(name).or_default().push(CtPlace::of(offset)?.into_owned());
            }
        }
        let lanes = places.into_iter().filter_map(|(name, places)| TrackedLane::meeting(name, &places, TrackedStart::Now));
        let mut of_databases: BTreeMap<String, Vec<TrackedLane>> = BTreeMap::new();
        for lane in lanes {
            of_databases.entry(lane.name.database.clone()).or_default().push(lane);
        }
        if !self.without.is_empty() {
            tracing::warn!(remedy = WITHOUT_REMEDY, "{WITHOUT}: {}", named(self.without.iter().map(String::as_str), CHECK_NAMES));
        }
        out.begin();
        // a database that was removed from the settings has nothing to read
        let working = self.names.iter().filter(|name| of_databases.contains_key(*name));
        let shared = Shared::new(&self.settings, working.map(|name| name.as_str().into()));
        let mut schedules = JoinSet::new();
        for (at, connector) in self.connectors.into_iter().enumerate() {
            let visitor = Visitor {
                entries: self.settings.tables_of(connector.database()),
                events: OnceLock::new(),
                shared: shared.clone(),
                settings: self.settings.clone(),
                limits: self.limits.clone(),
                status: self.status.clone(),
                connector,
                out: out.clone(),
            };
            let lanes = self.names.get(at).and_then(|name| of_databases.remove(name)).unwrap_or_default();
            schedules.spawn(Schedule::new(Arc::new(visitor), lanes, stop.clone()).run());
        }
        for database in of_databases.keys() {
            tracing::warn!(database, "tables of it have progress, and it is none of the source's databases: nothing of it is read");
        }
        drop(out);
        // the first error ends the others
        while let Some(ended) = schedules.join_next().await {
            ended.map_err(|error| Error::new(ErrorKind::Internal, "the reader of a database failed").caused_by(error))??;
        }
        Ok(())
    }
}
