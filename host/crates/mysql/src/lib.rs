//! The MySQL and MariaDB source: a replica that reads the binlog.
//!
//! `mysql_async` and `mysql` connect, authenticate and frame events ([`dump`] says why there are two); what is inside of them
//! is read here. A table map becomes a [`plan`] of decoders once, and rows go by it straight into columns ([`assembly`]).

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::module_name_repetitions, reason = "GtidSet and the like are the field's names")]

mod address;
mod ahead;
mod assembly;
mod captured;
mod catalogue;
mod charset;
mod charset_tables;
mod column_type;
mod compressed;
mod connection;
mod copy;
mod cursor;
mod decimal;
mod decoder;
mod dispatch;
mod dump;
mod dump_schema;
mod event;
mod event_queue;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod group;
mod gtid;
mod hires;
mod history;
mod internal;
mod inventory;
mod json;
mod ledger;
mod logging;
mod native;
mod outcome;
mod partial_json;
mod payload;
mod place;
mod plan;
mod position;
mod precheck;
mod prepared;
mod presence;
mod proof;
mod query;
mod savepoint;
mod schema;
mod schemas;
mod scout;
mod sessions;
mod start;
mod statement;
mod stream;
mod survey;
mod table_map;
mod temporal;
mod versioned;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use self::{
    captured::Captured,
    catalogue::Catalogue,
    connection::Connector,
    history::Milestone,
    ledger::BinlogLedger,
    position::{BinlogPosition, Flavour, LANE},
    query::Watch,
    schemas::{InMemory, Surroundings},
    stream::Reader,
};
use sluicegate_config::{MySqlSource, RowImage, SnapshotMode};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{BeforeImages, Capabilities, Frontier, TableName},
    finding::Finding,
    limits::Limits,
};
use sluicegate_source::{Begin, Inventory, Items, Ledger, SchemaStore, Source};
use sluicegate_status::Status;
use sluicegate_table_pattern::name_parts;

/// The source.
#[derive(Debug)]
pub struct MySql {
    settings: MySqlSource,
    limits: Limits,
    status: Arc<Status>,
    server_id: u32,
    flavour: Option<Flavour>,
    findings: Vec<Finding>,
    schemas: Arc<dyn SchemaStore>,
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
        let schemas = Arc::new(InMemory::default());
        Self { settings, limits, status, server_id, flavour: None, findings: Vec::new(), schemas, anew: Vec::new() }
    }

    /// Another session of the same run, under a server id of its own: one is derived from `server_id_seed` also where the settings say
    /// which id the first has. It counts in `status`.
    pub fn beside(&self, status: Arc<Status>, server_id_seed: &str) -> Self {
        let settings = MySqlSource { server_id: None, ..self.settings.clone() };
        Self { schemas: self.schemas.clone(), ..Self::new(settings, self.limits.clone(), status, server_id_seed) }
    }

    /// `mysql` or `mariadb`, once the precheck has found out; before that `mysql`.
    pub fn connector(&self) -> &'static str {
        self.flavour.unwrap_or(Flavour::MySql).connector()
    }

    /// The id under which the source registers as a replica.
    pub fn server_id(&self) -> u32 {
        self.server_id
    }

    /// What the last precheck found, item by item, also when it failed.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// The tables that the server has today.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn inventory(&self) -> Result<Inventory> {
        let (connector, catalogue) = self.connect(CancellationToken::new());
        inventory::read(&connector, catalogue).await
    }

    /// Keeps versions of tables' schemas there from one run to the next. Without it they are known for one run only.
    pub fn keep_schemas(&mut self, store: Arc<dyn SchemaStore>) {
        self.schemas = store;
    }

    /// Where the sinks begin: in the log, and in the copies of tables.
    async fn beginning(&self, sinks: &[Begin], faults: &mut precheck::Faults) -> Result<(precheck::Beginning, copy::Begun)> {
        let (connector, catalogue) = self.connect(CancellationToken::new());
        let positions = precheck::check(&connector, catalogue, &self.settings, sinks, faults).await?;
        let begun = copy::check(&connector, &self.settings, sinks, &positions, faults).await?;
        Ok((positions, begun))
    }

    fn connect(&self, stop: CancellationToken) -> (Connector, Catalogue) {
        let connector = Connector::new(&self.settings, self.limits.connect_timeout);
        let catalogue = Catalogue::new(Surroundings {
            connector: connector.clone(),
            captured: Captured::new(self.settings.tables.clone()),
            store: self.schemas.clone(),
            status: self.status.clone(),
            stop,
            heartbeat: self.settings.heartbeat,
            row_bytes: self.limits.row_bytes,
            tables: self.limits.known_tables,
        });
        (connector, catalogue)
    }
}

/// The schema that a table has in a dump, in the form in which a [`SchemaStore`] keeps it; `place` is from where on it holds.
///
/// # Errors
/// `Config`: one of the texts cannot be used.
pub fn schema_of_dump(table: &str, place: &str, dump: &str) -> Result<(TableName, String)> {
    let table = match name_parts(table).as_deref() {
        Ok([database, table]) => TableName::new(database, table),
        _ => {
            return Err(Error::new(ErrorKind::Config, format!("'{table}' is not a table with its database"))
                .remedy("Write it as the error does: database.table, with backticks around a part that holds a dot."));
        }
    };
    Milestone::parse(&place.into()).map_err(|e| {
        Error::new(ErrorKind::Config, "the place cannot be read").caused_by(e).remedy("Write it as the error of the pipeline prints it.")
    })?;
    let schema = dump_schema::read(dump, &table)?;
    Ok((table, schema))
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

    fn capabilities(&self) -> Capabilities {
        match self.settings.row_image {
            RowImage::Full => Capabilities::default(),
            // MINIMAL, which any session may set, logs the key before a change, and the whole row of a table without one
            RowImage::Partial => Capabilities { before_images: BeforeImages::Keys, absent: true },
        }
    }

    fn reads_twice(&self) -> bool {
        true
    }

    async fn check(&mut self, sinks: &[Begin]) -> Result<Vec<Frontier>> {
        let mut faults = precheck::Faults::default();
        let outcome = self.beginning(sinks, &mut faults).await;
        self.findings = faults.into_findings();
        let (positions, begun) = outcome?;
        self.flavour = positions.positions.first().map(|position| position.flavour);
        self.anew = begun.anew;
        Ok(begun.frontiers)
    }

    async fn run(self, sinks: Vec<Frontier>, out: Items, stop: CancellationToken) -> Result<()> {
        let places = sinks.iter().map(place_of).collect::<Result<Vec<_>>>()?;
        let start = ledger::meet(&places)?.ok_or_else(|| Error::new(ErrorKind::Internal, "a source without a sink"))?;
        let copies = copy::Lanes::of(&sinks, places, &self.settings.snapshot, &self.anew)?;
        if copies.is_none() && self.settings.snapshot.mode == SnapshotMode::Only {
            return Ok(());
        }
        let (connector, catalogue) = self.connect(stop.clone());
        let reader = Reader {
            connector,
            server_id: self.server_id,
            heartbeat: self.settings.heartbeat,
            row_image: self.settings.row_image,
            limits: self.limits,
            status: self.status,
            catalogue,
            watch: Watch::new(&self.settings),
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
