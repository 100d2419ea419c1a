//! The MySQL and MariaDB source: a replica that reads the binlog.
//!
//! `mysql_async` and `mysql` connect, authenticate and frame events ([`dump`] says why there are two); what is inside of them
//! is read here. A table map becomes a [`plan`] of decoders once, and rows go by it straight into columns ([`assembly`]).

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::module_name_repetitions, reason = "GtidSet and the like are the field's names")]

mod assembly;
mod catalogue;
mod charset;
mod column_type;
mod connection;
mod copy;
mod cursor;
mod decimal;
mod decoder;
mod dispatch;
mod dump;
mod event;
mod event_queue;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gtid;
mod json;
mod ledger;
mod native;
mod payload;
mod place;
mod plan;
mod position;
mod precheck;
mod proof;
mod start;
mod statement;
mod stream;
mod table_map;
mod temporal;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use self::{
    catalogue::Catalogue,
    connection::Connector,
    ledger::BinlogLedger,
    position::{BinlogPosition, Flavour, LANE},
    stream::Reader,
};
use sluicegate_config::{MySqlSource, SnapshotMode};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, Lane, Offset, TableName},
    limits::Limits,
};
use sluicegate_source::{Begin, Items, Ledger, Source};
use sluicegate_status::Status;

/// The source.
#[derive(Debug)]
pub struct MySql {
    settings: MySqlSource,
    limits: Limits,
    status: Arc<Status>,
    server_id: u32,
    flavour: Option<Flavour>,
    /// The copies that begin anew: the tables, and which copy of each it is.
    anew: Vec<(TableName, u32)>,
}

impl MySql {
    /// A source that reads as `settings` say. Without a configured server id, one is derived from `server_id_seed`, which
    /// should differ between pipelines (name and state file), and from this start: a server ends the dump thread of an earlier
    /// replica of the same id, and MariaDB 10.11.19 was seen to crash (segmentation fault) when a pipeline came back right
    /// after `kill -9`. Under an id of its own the server finds out by itself that the earlier one is gone.
    pub fn new(settings: MySqlSource, limits: Limits, status: Arc<Status>, server_id_seed: &str) -> Self {
        let server_id = settings.server_id.unwrap_or_else(|| {
            let start = jiff::Timestamp::now().as_nanosecond();
            derived_server_id(&format!("{server_id_seed}\n{}\n{start}", std::process::id()))
        });
        Self { settings, limits, status, server_id, flavour: None, anew: Vec::new() }
    }

    /// `mysql` or `mariadb`, once the precheck has found out; before that `mysql`.
    pub fn connector(&self) -> &'static str {
        self.flavour.unwrap_or(Flavour::MySql).connector()
    }

    /// The id under which the source registers as a replica.
    pub fn server_id(&self) -> u32 {
        self.server_id
    }

    fn connect(&self) -> (Connector, Catalogue) {
        let connector = Connector::new(&self.settings, self.limits.connect_timeout);
        let catalogue = Catalogue::new(self.settings.tables.clone(), connector.clone(), self.limits.known_tables);
        (connector, catalogue)
    }
}

/// In the upper half of the range, away from the small numbers that people give to servers; never 0, which servers refuse.
fn derived_server_id(seed: &str) -> u32 {
    let digest = Sha256::digest(seed.as_bytes());
    let hash = digest.iter().take(4).fold(0_u32, |hash, byte| hash << 8 | u32::from(*byte));
    0x8000_0000 | hash
}

impl Source for MySql {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(BinlogLedger)
    }

    async fn check(&mut self, sinks: &[Begin]) -> Result<Vec<Frontier>> {
        let (connector, catalogue) = self.connect();
        let snapshot = &self.settings.snapshot;
        let copies_anew = snapshot.mode == SnapshotMode::WhenNeeded;
        let begun = precheck::check(&connector, &catalogue, &self.settings.start, sinks, copies_anew).await?;
        self.flavour = begun.positions.first().map(|position| position.flavour);
        let places = begun.positions.into_iter().map(|position| Frontier::of(Lane::new(LANE), Offset::new(position)));
        let mut frontiers: Vec<Frontier> = places.collect();
        self.anew = copy::check(&connector, &catalogue, snapshot, sinks, &begun.anew, &mut frontiers).await?;
        Ok(frontiers)
    }

    async fn run(self, sinks: Vec<Frontier>, out: Items, stop: CancellationToken) -> Result<()> {
        let places = sinks.iter().map(place_of).collect::<Result<Vec<_>>>()?;
        let start = ledger::meet(&places)?.ok_or_else(|| Error::new(ErrorKind::Internal, "a source without a sink"))?;
        let copies = copy::Lanes::of(&sinks, places, &self.settings.snapshot, &self.anew)?;
        if copies.is_none() && self.settings.snapshot.mode == SnapshotMode::Only {
            return Ok(());
        }
        let (connector, catalogue) = self.connect();
        let reader = Reader {
            connector,
            server_id: self.server_id,
            heartbeat: self.settings.heartbeat,
            limits: self.limits,
            status: self.status,
            catalogue,
            out,
            stop,
        };
        reader.run(start, copies).await
    }
}

/// The position in a sink's frontier.
fn place_of(frontier: &Frontier) -> Result<BinlogPosition> {
    match frontier.get(LANE) {
        Some(offset) => BinlogPosition::of(offset),
        None => Err(Error::new(ErrorKind::State, "the checkpoint holds progress, but none in a binlog")
            .remedy("Use the state file that belongs to this pipeline, or a new one.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_server_ids_are_stable_and_differ() {
        assert_eq!(derived_server_id("a"), derived_server_id("a"));
        assert_ne!(derived_server_id("a"), derived_server_id("b"));
        assert!(derived_server_id("") >= 0x8000_0000);
    }
}
