//! The MySQL and MariaDB source: a replica that reads the binlog.
//!
//! `mysql_async` and `mysql` connect, authenticate and frame events ([`dump`] says why there are two); what is inside of them
//! is read here. A table map becomes a [`plan`] of decoders once, and rows go by it straight into columns ([`assembly`]).

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::module_name_repetitions, reason = "GtidSet and the like are the field's names")]

mod access;
mod address;
mod ahead;
mod assembly;
mod beat;
mod captured;
mod capturing;
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
mod definition;
mod dispatch;
mod dump;
mod dump_schema;
mod ends;
mod event;
mod event_queue;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod group;
mod gtid;
mod handover;
mod hires;
mod history;
mod hosts;
mod internal;
mod inventory;
mod json;
mod labels;
mod ledger;
mod logging;
mod margin;
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
mod privileges;
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
mod unexplained;
mod versioned;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::{
    captured::Captured,
    capturing::{Anew, Capturing, Kept},
    catalogue::Catalogue,
    connection::Connector,
    history::Milestone,
    hosts::Refusals,
    ledger::BinlogLedger,
    position::{BinlogPosition, Flavour, LANE},
    query::Watch,
    schemas::{InMemory, Surroundings},
    stream::Reader,
};
use sluicegate_config::{MySqlSource, RowImage, TablePatterns};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{BeforeImages, Capabilities, Frontier, TableName},
    finding::Finding,
    limits::Limits,
};
use sluicegate_source::{Begin, Control, Inventory, Items, Ledger, Pace, Request, SchemaStore, Source};
use sluicegate_status::Status;
use sluicegate_table_pattern::name_parts;

/// The source.
#[derive(Debug)]
pub struct MySql {
    settings: MySqlSource,
    /// Keeps which of several servers is read from.
    connector: Connector,
    limits: Limits,
    status: Arc<Status>,
    server_id: u32,
    flavour: Option<Flavour>,
    findings: Vec<Finding>,
    schemas: Arc<dyn SchemaStore>,
    /// What is known of captures, once the precheck has looked.
    kept: Kept,
    control: Option<Control>,
    requests: mpsc::Receiver<Request>,
    /// Whether the check looks at every table, however many there are.
    thorough: bool,
    /// Whether it is another session of a run.
    beside: bool,
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
        let connector = Connector::new(&settings, limits.connect_timeout);
        let (control, requests) = Control::channel();
        Self {
            settings,
            connector,
            limits,
            status,
            server_id,
            flavour: None,
            findings: Vec::new(),
            schemas,
            kept: Kept::default(),
            control: Some(control),
            requests,
            thorough: false,
            beside: false,
        }
    }

    /// Another session of the same run, under a server id of its own: one is derived from `server_id_seed` also where the settings say
    /// which id the first has. It counts in `status`.
    pub fn beside(&self, status: Arc<Status>, server_id_seed: &str) -> Self {
        let settings = MySqlSource { server_id: None, ..self.settings.clone() };
        Self { schemas: self.schemas.clone(), beside: true, ..Self::new(settings, self.limits.clone(), status, server_id_seed) }
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

    /// The check looks at every table, also where that takes long.
    pub fn look_at_everything(&mut self) {
        self.thorough = true;
    }

    /// The tables that the server has today, with the columns of at most so many captured ones.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn inventory(&self, most: usize) -> Result<Inventory> {
        let (connector, catalogue) = self.connect(&self.settings.tables, Vec::new(), CancellationToken::new());
        inventory::read(&connector, catalogue, most).await
    }

    /// Keeps versions of tables' schemas there from one run to the next. Without it they are known for one run only.
    pub fn keep_schemas(&mut self, store: Arc<dyn SchemaStore>) {
        self.schemas = store;
    }

    /// Where the sinks begin: in the log, and in the copies of tables.
    async fn beginning(&mut self, sinks: &[Begin], faults: &mut precheck::Faults) -> Result<(precheck::Beginning, Vec<Frontier>)> {
        let connector = self.connector.clone();
        let mut refusals = Refusals::default();
        loop {
            *faults = precheck::Faults::default();
            match self.beginning_at_present(&connector, sinks, faults).await {
                Ok((positions, frontiers, kept)) => {
                    self.kept = kept;
                    return Ok((positions, frontiers));
                }
                Err(error) => refusals.add(&connector, error),
            }
            if refusals.are_all(&connector) {
                return Err(refusals.into_error());
            }
        }
    }

    /// The same, at the server that is the connector's present one.
    async fn beginning_at_present(
        &self,
        connector: &Connector,
        sinks: &[Begin],
        faults: &mut precheck::Faults,
    ) -> Result<(precheck::Beginning, Vec<Frontier>, Kept)> {
        let catalogue = self.catalogue(connector.clone(), &self.settings.tables, Vec::new(), CancellationToken::new());
        let positions = precheck::check(connector, catalogue, &self.settings, sinks, self.thorough, faults).await?;
        let store = self.schemas.clone();
        let text = tokio::task::spawn_blocking(move || store.captured()).await;
        let text = text.map_err(|e| Error::new(ErrorKind::Internal, "the thread that reads the checkpoint panicked").caused_by(e))??;
        let mut kept = Kept::parse(text.as_deref())?;
        let frontiers = copy::check(connector, &self.settings, sinks, &positions, faults, &mut kept).await?;
        Ok((positions, frontiers, kept))
    }

    fn connect(&self, tables: &TablePatterns, elsewhere: Vec<Captured>, stop: CancellationToken) -> (Connector, Catalogue) {
        let connector = self.connector.clone();
        let catalogue = self.catalogue(connector.clone(), tables, elsewhere, stop);
        (connector, catalogue)
    }

    fn catalogue(&self, connector: Connector, tables: &TablePatterns, elsewhere: Vec<Captured>, stop: CancellationToken) -> Catalogue {
        Catalogue::new(Surroundings {
            connector,
            captured: Captured::new(tables.clone()),
            elsewhere,
            store: self.schemas.clone(),
            status: self.status.clone(),
            stop,
            heartbeat: self.settings.heartbeat.every,
            row_bytes: self.limits.row_bytes,
            tables: self.limits.known_tables,
        })
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

/// What a pipeline keeps of captures, with the request that a table is copied anew at its next start, for every sink; these are at
/// `sinks`. `kept` is what it keeps now.
///
/// # Errors
/// `Config`: the source does not capture the table. `State`: what is kept, or a place of a sink, is not of this source.
pub fn copy_anew(settings: &MySqlSource, kept: Option<&str>, sinks: &[Frontier], table: &str) -> Result<(u32, String)> {
    let refused = |what: String| {
        Error::new(ErrorKind::Config, what)
            .remedy("Name a table that the source's `tables` select, as the server writes it: database.table, with backticks around a part that holds a dot.")
    };
    let name = TableName::parse(table).ok_or_else(|| refused(format!("'{table}' is not a table with its database")))?;
    if !Captured::new(settings.tables.clone()).captures(&name) {
        return Err(refused(format!("{name} is not a table that the pipeline captures")));
    }
    let mut kept = Kept::parse(kept)?;
    let asked = kept.copies.get(&name).map_or(0, |copy| copy.number);
    let number = copy::place::next_copy(sinks, &name, asked)?;
    kept.copies.insert(name, Anew { number, empties: !settings.snapshot.overwrites });
    Ok((number, kept.to_json()))
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

    fn control(&mut self) -> Option<Control> {
        self.control.clone()
    }

    fn reads_twice(&self) -> bool {
        true
    }

    async fn check(&mut self, sinks: &[Begin]) -> Result<Vec<Frontier>> {
        let mut faults = precheck::Faults::default();
        let outcome = self.beginning(sinks, &mut faults).await;
        let flavour = outcome.as_ref().ok().and_then(|(beginning, _)| beginning.positions.first()).map(|position| position.flavour);
        if let Some(flavour) = flavour.filter(|_| self.thorough && self.connector.servers() > 1) {
            hosts::look_at_others(&self.connector, &self.settings, flavour, &mut faults).await;
        }
        self.findings = faults.into_findings();
        let (_, frontiers) = outcome?;
        self.flavour = flavour;
        Ok(frontiers)
    }

    async fn run(mut self, sinks: Vec<Frontier>, out: Items, stop: CancellationToken) -> Result<()> {
        let places = sinks.iter().map(place_of).collect::<Result<Vec<_>>>()?;
        let start = ledger::meet(&places)?.ok_or_else(|| Error::new(ErrorKind::Internal, "a source without a sink"))?;
        let kept = std::mem::take(&mut self.kept);
        let elsewhere = kept.versions.iter().map(|version| Captured::new(version.tables.clone())).collect();
        // callers hold clones of it
        self.control = None;
        let (capturing, tables) = Capturing::begin(kept, &start, &self.settings, &sinks, places);
        let (connector, catalogue) = self.connect(&tables, elsewhere, stop.clone());
        let _beats = beat::start(&connector, &self.settings.heartbeat, &self.status);
        // the first session looks for all of them
        let _margins = (!self.beside).then(|| margin::watch(&connector, self.settings.heartbeat.every, &self.schemas, &self.status));
        let capturing = capturing.taking(self.requests);
        let reader = Reader {
            connector,
            server_id: self.server_id,
            heartbeat: self.settings.heartbeat.every,
            row_image: self.settings.row_image,
            limits: Limits { batch_changes: Pace::batch(self.settings.rate, self.limits.batch_changes), ..self.limits },
            status: self.status,
            catalogue,
            pace: Pace::new(self.settings.rate),
            watch: Watch::new(&self.settings),
            out,
            stop,
        };
        reader.run(start, capturing).await
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
