//! The MySQL and MariaDB source: a replica that reads the binlog.
//!
//! `mysql_async` and `mysql` connect, authenticate and frame events ([`dump`] says why there are two); what is inside of them
//! is read here. A table map becomes a
//! [`plan`] of decoders once, and rows go by it straight into columns ([`assembly`]).

#![allow(clippy::module_name_repetitions, reason = "GtidSet and the like are the field's names")]

mod assembly;
mod catalogue;
mod charset;
mod column_type;
mod connection;
mod cursor;
mod decimal;
mod decoder;
mod dispatch;
mod dump;
mod event;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gtid;
mod json;
mod payload;
mod place;
mod plan;
mod position;
mod precheck;
mod start;
mod statement;
mod stream;
mod table_map;
mod temporal;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use self::{catalogue::Catalogue, connection::Connector, position::Flavour, stream::Reader};
use super::{Batches, Source, Start};
use crate::{Result, change::Position, config::MySqlSource, limits::Limits, service::Status};

/// The source.
#[derive(Debug)]
pub struct MySql {
    settings: MySqlSource,
    limits: Limits,
    status: Arc<Status>,
    server_id: u32,
    flavour: Option<Flavour>,
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
        Self { settings, limits, status, server_id, flavour: None }
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
    async fn precheck(&mut self, start: &Start) -> Result<Position> {
        let (connector, catalogue) = self.connect();
        let position = precheck::check(&connector, &catalogue, &self.settings.start, start).await?;
        self.flavour = Some(position.flavour);
        position.to_position()
    }

    async fn run(self, start: Start, out: Batches, stop: CancellationToken) -> Result<()> {
        let (connector, catalogue) = self.connect();
        let reader = Reader {
            connector,
            server_id: self.server_id,
            heartbeat: self.settings.heartbeat,
            start_at: self.settings.start,
            limits: self.limits,
            status: self.status,
            catalogue,
            out,
            stop,
        };
        reader.run(start).await
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
