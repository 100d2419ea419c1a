//! From "now", "earliest" or what the operator wrote to a position in this server's log.

use std::sync::Arc;

use mysql_async::{Conn, Row, prelude::Queryable};

use super::{
    connection::{Connector, Server},
    gtid::GtidSet,
    position::{BinlogPosition, Flavour},
};
use sluicegate_config::StartAt;
use sluicegate_model::{Error, ErrorKind, Result};

/// Position of the first event of every binlog file.
pub const FIRST: u64 = 4;

/// A binlog file and how far it goes, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size: u64,
}

/// The binlog files that the server has, oldest first.
pub async fn log_files(connector: &Connector, conn: &mut Conn) -> Result<Vec<LogFile>> {
    let rows: Vec<Row> = connector.within("list the binlogs of", conn.query("SHOW BINARY LOGS")).await?;
    let file = |mut row: Row| {
        let name = row.take_opt::<String, _>(0)?.ok()?;
        let size = row.take_opt::<u64, _>(1)?.ok()?;
        Some(LogFile { name, size })
    };
    Ok(rows.into_iter().filter_map(file).collect())
}

/// The end of the log: file, position and, on MySQL, the executed GTID set.
pub async fn log_end(connector: &Connector, conn: &mut Conn, server: &Server) -> Result<(String, u64, String)> {
    // the old statement is gone in MySQL 8.4, the new one came in 8.2
    let new = server.flavour == Flavour::MySql && conn.server_version() >= (8, 2, 0);
    let statement = if new { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" };
    let row: Option<Row> = connector.within("ask for the end of the binlog of", conn.query_first(statement)).await?;
    let no_log = || {
        Error::new(ErrorKind::Precheck, format!("{} has no binlog", connector.address()))
            .remedy("Start the server with log_bin and a server_id.")
    };
    let mut row = row.ok_or_else(no_log)?;
    let file = row.take_opt::<String, _>(0).and_then(std::result::Result::ok).ok_or_else(no_log)?;
    let position = row.take_opt::<u64, _>(1).and_then(std::result::Result::ok).ok_or_else(no_log)?;
    let gtids = row.take_opt::<String, _>(4).and_then(std::result::Result::ok).unwrap_or_default();
    Ok((file, position, gtids))
}

/// MariaDB's GTID set at a place in its log; empty when there is nothing before it or the place does not exist.
pub async fn mariadb_gtids(connector: &Connector, conn: &mut Conn, file: &str, position: u64) -> Result<String> {
    let answer: Option<Option<String>> =
        connector.within("query", conn.exec_first("SELECT BINLOG_GTID_POS(?, ?)", (file, position))).await?;
    Ok(answer.flatten().unwrap_or_default())
}

fn not_a_set(text: &str, cause: super::gtid::NotAGtidSet) -> Error {
    Error::new(ErrorKind::Config, format!("start: '{text}' cannot be read"))
        .caused_by(cause)
        .remedy("Write the GTID set as the server prints it: SELECT @@gtid_executed on MySQL, SELECT @@gtid_binlog_pos on MariaDB.")
}

/// A set in the server's text form.
pub fn parse_gtids(flavour: Flavour, text: &str) -> Result<GtidSet> {
    match flavour {
        Flavour::MySql => GtidSet::parse_mysql(text),
        Flavour::MariaDb => GtidSet::parse_mariadb(text),
    }
    .map_err(|e| not_a_set(text, e))
}

/// Where to start without a checkpoint.
pub async fn resolve(connector: &Connector, conn: &mut Conn, server: &Server, start: &StartAt) -> Result<BinlogPosition> {
    let at = |file: String, position: u64, gtid_set: Option<GtidSet>| BinlogPosition {
        flavour: server.flavour,
        server: server.identity.clone(),
        file: file.into(),
        position,
        gtid_set: gtid_set.map(Arc::new),
        open: Vec::new(),
        prepared: Vec::new(),
        skip: None,
        created: None,
    };
    let (file, position, mysql_gtids) = match start {
        StartAt::Gtid(text) => {
            if !server.gtids {
                return Err(Error::new(ErrorKind::Precheck, "start names a GTID set, but the server's gtid_mode is not ON")
                    .remedy("Start from a binlog file and position, or switch gtid_mode to ON."));
            }
            return Ok(at(String::new(), FIRST, Some(parse_gtids(server.flavour, text)?)));
        }
        StartAt::Now | StartAt::Copy => {
            let (file, position, gtids) = log_end(connector, conn, server).await?;
            (file, position, Some(gtids))
        }
        StartAt::Earliest => {
            let oldest = log_files(connector, conn).await?.into_iter().next().ok_or_else(|| {
                Error::new(ErrorKind::Precheck, format!("{} has no binlog", connector.address())).remedy("Start the server with log_bin.")
            })?;
            let purged = if server.gtids && server.flavour == Flavour::MySql {
                Some(connector.one::<String>(conn, "SELECT @@GLOBAL.gtid_purged").await?)
            } else {
                None
            };
            (oldest.name, FIRST, purged)
        }
        // what was executed before it becomes known with the next file
        StartAt::File { file, position } => (file.clone(), *position, None),
    };
    let gtid_set = match server.flavour {
        Flavour::MariaDb => Some(parse_gtids(server.flavour, &mariadb_gtids(connector, conn, &file, position).await?)?),
        Flavour::MySql if server.gtids => mysql_gtids.map(|text| parse_gtids(server.flavour, &text)).transpose()?,
        Flavour::MySql => None,
    };
    Ok(at(file, position, gtid_set))
}
