//! Where schemas change in the log, as far as the scout has read ahead.
//!
//! An answer of the server's catalogue describes the time of the answer. It is valid for an earlier place of the log if no schema
//! change of the table stands between that place and the log's end as it is after the answer. The survey finds that out.

use std::{collections::HashMap, sync::Arc};

use mysql_async::binlog::events::Event;

use super::{
    connection::{Connector, Server},
    cursor::Fault,
    definition::Step,
    event::{self, kind},
    gtid::Gtid,
    ledger::file_number,
    payload::{Payload, Refusal},
    scout::{Scout, Scouted},
    statement::{self, Logged, Statement, Touched},
};
use sluicegate_model::{Error, ErrorKind, Result, change::TableName, limits::HISTORY_DATABASES};

/// A place of one server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The file.
    pub file: Arc<str>,
    /// The position in it.
    pub position: u64,
}

impl Spot {
    fn key(&self) -> (u64, u64) {
        (file_number(&self.file).unwrap_or_default(), self.position)
    }

    /// Whether it stands behind another place of the same log.
    pub fn is_behind(&self, other: &Self) -> bool {
        self.key() > other.key()
    }
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.position)
    }
}

/// A statement that may change schemas.
#[derive(Clone, Debug)]
pub struct Site {
    /// Behind it.
    pub behind: Spot,
    /// Its transaction.
    pub gtid: Option<Gtid>,
    /// The tables that it may change.
    pub touched: Touched,
}

/// The last schema change of each table that was found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Up to where the log was read.
    to: Option<Spot>,
    tables: HashMap<TableName, Spot>,
    databases: HashMap<String, Spot>,
    any: Option<Spot>,
}

impl Survey {
    /// Where to read on, for a reader that is at `here`.
    pub fn next(&self, here: &Spot) -> Spot {
        match &self.to {
            Some(to) if !here.is_behind(to) => to.clone(),
            _ => here.clone(),
        }
    }

    /// Takes in that the log was read up to here.
    pub fn reach(&mut self, to: Spot) {
        self.to = Some(to);
    }

    /// Takes a schema change in. More tables than `limit` are not told apart.
    pub fn note(&mut self, site: Site, limit: usize, captured: impl Fn(&TableName) -> bool) {
        let behind = site.behind;
        match site.touched {
            Touched::Tables(tables) => {
                for table in tables.into_iter().filter(|table| table.table.is_empty() || captured(table)) {
                    self.tables.insert(table, behind.clone());
                }
            }
            Touched::Database(database) => _ = self.databases.insert(database, behind.clone()),
            Touched::Any => self.any = Some(behind.clone()),
        }
        if self.tables.len() > limit || self.databases.len() > HISTORY_DATABASES {
            self.tables.clear();
            self.databases.clear();
            self.any = Some(behind);
        }
    }

    /// Whether a database may have been made, altered or dropped behind `here`.
    pub fn database_changes_behind(&self, database: &str, here: &Spot) -> bool {
        let defaults = self.tables.get(&defaults_of(database));
        [defaults, self.databases.get(database), self.any.as_ref()].into_iter().flatten().any(|spot| spot.is_behind(here))
    }

    /// Behind the last schema change that may be the table's, if there is one behind `here`.
    pub fn change_behind(&self, table: &TableName, here: &Spot) -> Option<&Spot> {
        let changes = [self.tables.get(table), self.databases.get(&table.database), self.any.as_ref()];
        changes.into_iter().flatten().filter(|spot| spot.is_behind(here)).max_by_key(|spot| spot.key())
    }
}

/// Finds the schema changes in what a scout reads.
pub struct Search {
    scout: Scout,
    server: Server,
    /// The transaction that is being read.
    gtid: Option<Gtid>,
    /// Whether it holds an ALTER TABLE that is not done.
    half_alter: bool,
}

impl Search {
    /// In what this scout reads.
    pub fn new(scout: Scout, server: Server) -> Self {
        Self { scout, server, gtid: None, half_alter: false }
    }

    /// The place behind what was read: once [`Self::next`] has answered `None`, the log's end.
    pub fn place(&self) -> Spot {
        Spot { file: self.scout.file().clone(), position: self.scout.position() }
    }

    /// The next schema change; `None` at the log's end.
    ///
    /// # Errors
    /// The scout's, and `Source`: an event cannot be read.
    pub async fn next(&mut self, connector: &Connector, row_bytes: usize) -> Result<Option<Site>> {
        while let Some(Scouted { event, start }) = self.scout.next(connector).await? {
            let found = self.look_into(&event, row_bytes).map_err(|fault| {
                let file = self.scout.file();
                let text = format!("{} sent an event that cannot be read, at {file}:{start}: {fault}", connector.address());
                Error::new(ErrorKind::Source, text).remedy("Check the server's binlog with mysqlbinlog --verify-binlog-checksum.")
            })?;
            if let Some(touched) = found {
                return Ok(Some(Site { behind: self.place(), gtid: self.gtid.clone(), touched }));
            }
        }
        Ok(None)
    }

    fn look_into(&mut self, event: &Event, row_bytes: usize) -> Result<Option<Touched>, Fault> {
        let header = event.header();
        match header.event_type_raw() {
            kind::GTID | kind::GTID_TAGGED => self.gtid = Some(event::mysql_gtid(event)?.gtid),
            kind::ANONYMOUS_GTID => self.gtid = None,
            kind::MARIADB_GTID => {
                let read = event::mariadb_gtid(event.data())?;
                self.half_alter = read.half_alter;
                self.gtid = Some(Gtid::MariaDb { domain: read.domain, server: header.server_id(), sequence: read.sequence });
            }
            kind::QUERY | kind::MARIADB_QUERY_COMPRESSED if self.half_alter => {}
            kind::QUERY => return touched(event.data(), false, row_bytes, &self.server),
            kind::MARIADB_QUERY_COMPRESSED => return touched(event.data(), true, row_bytes, &self.server),
            kind::TRANSACTION_PAYLOAD => return touched_in_payload(event.data(), row_bytes, &self.server),
            _ => {}
        }
        Ok(None)
    }
}

/// The tables whose schemas a statement may change.
fn touched(body: &[u8], compressed: bool, limit: usize, server: &Server) -> Result<Option<Touched>, Fault> {
    let logged = Logged::read(body, compressed, limit)?;
    if matches!(&*logged.bytes, b"BEGIN" | b"COMMIT") {
        return Ok(None);
    }
    Ok(match logged.classify(server) {
        Statement::Ddl { touched: Touched::Database(database), .. } if keeps_tables(&logged, server) => {
            Some(Touched::Tables(vec![defaults_of(&database)]))
        }
        Statement::Ddl { touched, effects, .. } if !statement::keeps_schemas(&effects) => Some(touched),
        Statement::Unknown => Some(Touched::of_default(&logged.database)),
        _ => None,
    })
}

/// Stands for the defaults of a database.
fn defaults_of(database: &str) -> TableName {
    TableName::new(database, "")
}

/// Whether a statement about a database leaves its tables as they are.
fn keeps_tables(logged: &Logged<'_>, server: &Server) -> bool {
    logged.definitions(server).is_some_and(|steps| steps.iter().all(|step| matches!(step, Step::Database { empty: false, .. })))
}

/// The same of a compressed transaction, in which such a statement can only stand before the first rows (`CREATE TABLE … SELECT`).
fn touched_in_payload(body: &[u8], row_bytes: usize, server: &Server) -> Result<Option<Touched>, Fault> {
    let read = |refusal| match refusal {
        Refusal::Garbled(fault) => fault,
        Refusal::Large { .. } => Fault::Invalid("an event that is larger than the limit"),
    };
    let mut events = Payload::open(body, row_bytes).map_err(read)?;
    while let Some(event) = events.next().map_err(read)? {
        match event.header().event_type_raw() {
            kind::QUERY => {
                if let Some(touched) = touched(event.data(), false, row_bytes, server)? {
                    return Ok(Some(touched));
                }
            }
            kind::TABLE_MAP => break,
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> Spot {
        Spot { file: "b.000002".into(), position }
    }

    fn site(position: u64, touched: Touched) -> Site {
        Site { behind: at(position), gtid: None, touched }
    }

    #[test]
    fn a_change_behind_a_place_is_found_whether_it_names_the_table_its_database_or_nothing() {
        let (t, u) = (TableName::new("d", "t"), TableName::new("d", "u"));
        let mut survey = Survey::default();
        survey.note(site(100, Touched::Tables(vec![t.clone()])), 10, |_| true);
        assert_eq!(survey.change_behind(&t, &at(99)), Some(&at(100)));
        assert_eq!(survey.change_behind(&t, &at(100)), None);
        assert_eq!(survey.change_behind(&u, &at(0)), None);
        survey.note(site(200, Touched::Database("d".into())), 10, |_| true);
        assert_eq!(survey.change_behind(&u, &at(100)), Some(&at(200)));
        survey.note(site(300, Touched::Any), 10, |_| true);
        assert_eq!(survey.change_behind(&TableName::new("e", "t"), &at(100)), Some(&at(300)));
        assert_eq!(survey.change_behind(&t, &Spot { file: "b.000010".into(), position: 4 }), None);
    }

    #[test]
    fn more_tables_than_are_told_apart_all_count_as_changed() {
        let mut survey = Survey::default();
        for n in 0..4 {
            survey.note(site(100 + n, Touched::Tables(vec![TableName::new("d", format!("t{n}"))])), 3, |_| true);
        }
        assert_eq!(survey.change_behind(&TableName::new("d", "other"), &at(100)), Some(&at(103)));
    }

    #[test]
    fn what_was_read_ahead_is_not_read_again() {
        let mut survey = Survey::default();
        assert_eq!(survey.next(&at(50)), at(50));
        survey.reach(at(900));
        assert_eq!(survey.next(&at(60)), at(900));
        assert_eq!(survey.next(&at(901)), at(901));
    }
}
