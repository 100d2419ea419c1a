//! Proof, at each connection, that the server's log still holds the place that reading goes on from.
//!
//! A log can lose its end: after a power cut with `sync_binlog` other than 1, MariaDB gives the lost numbers to the next
//! transactions, and MySQL keeps the numbers as executed although its log lacks the rows. A log can be reset, too, and file
//! names and positions come again. A set of GTIDs alone shows none of that, so on the server that the place was read from
//! file and position have to exist and to belong to the set; on any other server the set has to be part of its own.
//!
//! After a reset, all of these may fit by chance: the file of the place has to be the one that it was, too, which is told by
//! when the server began it.

use std::time::Duration;

use mysql_async::{Conn, Row, prelude::Queryable};

use super::{
    connection::{Connector, Server},
    ledger, margin,
    position::{BinlogPosition, Flavour},
    start,
};
use sluicegate_model::{Error, ErrorKind, Result};

/// The first event of a file is there at once; a third of the time after which the connection counts as dead.
const FILE_HEAD: Duration = Duration::from_secs(10);

/// What a place was proven by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Its file and position: it was read from this log.
    File,
    /// Its GTIDs, if it has any.
    Gtids,
}

/// Proves it, or says what is wrong. Changes nothing.
pub(super) async fn prove(connector: &Connector, conn: &mut Conn, server: &Server, position: &BinlogPosition) -> Result<Proof> {
    let here = position.is_of(server.identity.as_deref());
    if here && position.has_file() && file_exists(connector, conn, position).await? {
        match server.flavour {
            Flavour::MariaDb => mariadb_place(connector, conn, position).await?,
            Flavour::MySql => mysql_place(connector, conn, position).await?,
        }
        // in a box: it reads events, and the futures around it are deep
        Box::pin(same_file(connector, server, position)).await?;
        return Ok(Proof::File);
    }
    prove_gtids(connector, conn, server, position, here).await?;
    Ok(Proof::Gtids)
}

async fn prove_gtids(connector: &Connector, conn: &mut Conn, server: &Server, position: &BinlogPosition, here: bool) -> Result<()> {
    match (server.flavour, position.resumable_gtids()) {
        (Flavour::MariaDb, Some(_)) => {
            let state: String = connector.one(conn, "SELECT @@GLOBAL.gtid_binlog_state").await?;
            let own = start::parse_gtids(Flavour::MariaDb, &state)?;
            match ledger::is_part_of(position, &own) {
                true => Ok(()),
                false if here || connector.servers() == 1 => Err(cut(connector, position, format!("it has logged '{own}' only"))),
                false => Err(behind(connector, &format!("it has logged '{own}' only"))),
            }
        }
        // the server itself compares what it has purged
        (Flavour::MySql, Some(set)) if !here => {
            let query = "SELECT GTID_SUBTRACT(?, @@GLOBAL.gtid_executed)";
            let lacks: Option<String> = connector.within("query", conn.exec_first(query, (set.to_string(),))).await?;
            match lacks.filter(|lacks| !lacks.is_empty()) {
                None => Ok(()),
                Some(lacks) => {
                    let lacks: String = lacks.split_whitespace().collect();
                    Err(behind(connector, &format!("it has not executed {lacks}")))
                }
            }
        }
        _ => Ok(()),
    }
}

/// Another server that does not have everything that was read: a replica that lags, or one that never gets it.
fn behind(connector: &Connector, what: &str) -> Error {
    let error = Error::new(ErrorKind::Source, format!("{} is behind what was read: {what}", connector.address())).that_may_pass(true);
    error.remedy(
        "A replica that lags catches up. If it took over and will never get these transactions, what they changed was delivered and is \
         not there: copy the tables anew or compare them. Then name the place to go on from: `sluicegate checkpoint drop --force` the sinks, and \
         set the source's `start`.",
    )
}

/// What is wrong with a log that lacks a place which was read from it.
fn cut(connector: &Connector, position: &BinlogPosition, what: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Source,
        format!(
            "the binlog of {} was cut or reset: it does not hold the place {position} that was read from it; {what}",
            connector.address()
        ),
    )
    .remedy(
        "Find out what the server lost (a crash with sync_binlog other than 1, RESET, a restored backup), and copy the tables anew or \
         compare them. Then name the place to go on from: `sluicegate checkpoint drop --force` the sinks, and set the source's `start`.",
    )
}

/// Whether the server still has the file. One that it has removed by age is gone without a fault; one that comes after its
/// newest was never written.
async fn file_exists(connector: &Connector, conn: &mut Conn, position: &BinlogPosition) -> Result<bool> {
    let files = start::log_files(connector, conn).await?;
    if let Some(file) = files.iter().find(|file| *file.name == *position.file) {
        return match position.position <= file.size {
            true => Ok(true),
            false => Err(cut(connector, position, format!("the file ends at {}", file.size))),
        };
    }
    match (files.last().and_then(|f| ledger::file_number(&f.name)), ledger::file_number(&position.file)) {
        (Some(newest), Some(stored)) if stored > newest => {
            Err(cut(connector, position, format!("its newest file is {}", files.last().map_or("", |f| &f.name))))
        }
        _ => Ok(false),
    }
}

/// The file is the one that was read, not another one of its name.
async fn same_file(connector: &Connector, server: &Server, position: &BinlogPosition) -> Result<()> {
    let Some(created) = position.created else { return Ok(()) };
    if margin::begin_of(connector, server, FILE_HEAD, &position.file).await? == u64::from(created) {
        return Ok(());
    }
    Err(cut(connector, position, "the server has begun a file of this name again since"))
}

async fn mariadb_place(connector: &Connector, conn: &mut Conn, position: &BinlogPosition) -> Result<()> {
    let query = "SELECT BINLOG_GTID_POS(?, ?)";
    let answer: Option<Option<String>> = connector.within("query", conn.exec_first(query, (&*position.file, position.position))).await?;
    let Some(text) = answer.flatten() else {
        return Err(cut(connector, position, "no event begins there"));
    };
    let Some(own) = &position.gtid_set else { return Ok(()) };
    let logged = start::parse_gtids(Flavour::MariaDb, &text)?;
    if logged.position_text() == own.position_text() {
        Ok(())
    } else {
        Err(cut(connector, position, format!("what it has there is '{logged}'")))
    }
}

async fn mysql_place(connector: &Connector, conn: &mut Conn, position: &BinlogPosition) -> Result<()> {
    // file names in the log's index hold no quotes; the server takes no parameter here
    if position.file.contains(['\'', '\\']) {
        return Ok(());
    }
    let query = format!("SHOW BINLOG EVENTS IN '{}' FROM {} LIMIT 1", position.file, position.position);
    // 1220: "Wrong offset or I/O error", or an event that cannot be read from there
    let event = async {
        match conn.query_first::<Row, _>(query).await {
            Err(mysql_async::Error::Server(error)) if error.code == 1220 => Ok(false),
            other => other.map(|_| true),
        }
    };
    if connector.within("query", event).await? { Ok(()) } else { Err(cut(connector, position, "no event begins there")) }
}
