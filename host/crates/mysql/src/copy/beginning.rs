//! What is copied: decided once, when the pipeline has no checkpoint yet.

use std::collections::BTreeSet;

use mysql_async::{Conn, prelude::Queryable};

use super::{
    super::{
        catalogue::Catalogue,
        connection::{Connector, Server},
        position::Flavour,
    },
    key::quoted,
    place::{self, CopyPlace},
    table::{self, Found},
};
use sluicegate_config::{Snapshot, SnapshotMode};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, Lane, Offset, TableName},
};
use sluicegate_source::Begin;

/// Faults that one error lists.
const TOLD: usize = 20;
/// MySQL's and MariaDB's errors for a table that the account may not read, and for one that is not there.
const DENIED: [u16; 2] = [1142, 1143];
const NO_TABLE: u16 = 1146;

/// Adds the lanes of copies to where the sinks begin, and checks that what is left to copy can be. `anew` says which sinks have
/// lost their place in the log. Answers the copies that begin anew for them.
pub async fn check(
    connector: &Connector,
    catalogue: &Catalogue,
    settings: &Snapshot,
    sinks: &[Begin],
    anew: &[bool],
    frontiers: &mut [Frontier],
) -> Result<Vec<(TableName, u32)>> {
    for (begin, frontier) in sinks.iter().zip(frontiers.iter_mut()) {
        if let Begin::At(known) = begin {
            copies(known).for_each(|(lane, offset)| frontier.set(lane.clone(), offset.clone()));
        }
    }
    if settings.mode == SnapshotMode::Never {
        return Ok(Vec::new());
    }
    let first = !sinks.iter().any(|begin| matches!(begin, Begin::At(_)));
    let again = anew.contains(&true);
    let mut conn = connector.connect().await?;
    let server = connector.identify(&mut conn).await?;
    let names = if first || again { tables(connector, &mut conn, catalogue, settings).await? } else { Vec::new() };
    let mut restarted = Vec::new();
    for name in names {
        let lane = place::lane(&name);
        if first {
            frontiers.iter_mut().for_each(|frontier| frontier.set(lane.clone(), Offset::new(CopyPlace::beginning(1))));
            continue;
        }
        let known = frontiers.iter().filter_map(|frontier| frontier.get(lane.name())).map(CopyPlace::of);
        let known = known.collect::<Result<Vec<_>>>()?;
        let generation = known.iter().map(|place| place.generation).max().unwrap_or_default().saturating_add(1);
        for (frontier, anew) in frontiers.iter_mut().zip(anew) {
            if !anew {
                // it has the table's changes without a gap
                frontier.set(lane.clone(), Offset::new(CopyPlace::left_out(generation)));
            } else if frontier.get(lane.name()).is_none() {
                frontier.set(lane.clone(), Offset::new(CopyPlace::beginning(generation - 1)));
            }
        }
        restarted.push((name, generation));
    }
    leave_out(frontiers)?;
    let mut left: BTreeSet<Lane> = BTreeSet::new();
    for (lane, offset) in frontiers.iter().flat_map(copies) {
        if !CopyPlace::of(offset)?.is_done() {
            left.insert(lane.clone());
        }
    }
    left.extend(restarted.iter().map(|(name, _)| place::lane(name)));
    if !left.is_empty() {
        can_copy(connector, &mut conn, &server, left.iter().filter_map(|lane| place::table_of(lane.name()))).await?;
    }
    Ok(restarted)
}

/// The lanes of copies in a frontier.
fn copies(frontier: &Frontier) -> impl Iterator<Item = (&Lane, &Offset)> {
    frontier.lanes().filter(|(lane, _)| place::is_copy(lane.name()))
}

/// A sink that lacks a lane which another one has begins without that copy.
fn leave_out(frontiers: &mut [Frontier]) -> Result<()> {
    let mut all: Vec<(Lane, u32)> = Vec::new();
    for (lane, offset) in frontiers.iter().flat_map(copies) {
        all.push((lane.clone(), CopyPlace::of(offset)?.generation));
    }
    for (lane, generation) in all {
        for frontier in frontiers.iter_mut().filter(|frontier| frontier.get(lane.name()).is_none()) {
            frontier.set(lane.clone(), Offset::new(CopyPlace::left_out(generation)));
        }
    }
    Ok(())
}

/// The tables that are captured and copied.
async fn tables(connector: &Connector, conn: &mut Conn, catalogue: &Catalogue, settings: &Snapshot) -> Result<Vec<TableName>> {
    let query = "SELECT table_schema, table_name FROM information_schema.tables \
        WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1, 2";
    let rows: Vec<(String, String)> = connector.within("query", conn.query(query)).await?;
    let names = rows.into_iter().map(|(database, table)| TableName::new(database, table));
    Ok(names.filter(|name| catalogue.captures(name) && settings.tables.selects(name)).collect())
}

/// Whether these tables can be copied: every fault in one error.
async fn can_copy(connector: &Connector, conn: &mut Conn, server: &Server, names: impl Iterator<Item = TableName>) -> Result<()> {
    let address = connector.address();
    if server.flavour == Flavour::MySql && !server.gtids {
        return Err(Error::new(
            ErrorKind::Precheck,
            format!("{address} is not ready: its tables cannot be copied, because gtid_mode is not ON"),
        )
        .remedy("Switch gtid_mode to ON, or set the source's snapshot to never."));
    }
    let account: String = connector.one(conn, "SELECT CURRENT_USER()").await?;
    let account = account.split_once('@').map_or_else(|| format!("'{account}'"), |(user, host)| format!("'{user}'@'{host}'"));
    let mut faults = Vec::new();
    for name in names {
        let query = format!("SELECT 1 FROM {}.{} LIMIT 0", quoted(&name.database), quoted(&name.table));
        let readable = async {
            match conn.query_drop(query).await {
                Err(mysql_async::Error::Server(error)) if DENIED.contains(&error.code) => Ok(false),
                Err(mysql_async::Error::Server(error)) if error.code == NO_TABLE => Ok(true),
                other => other.map(|()| true),
            }
        };
        if !connector.within("query", readable).await? {
            faults.push(
                Error::new(ErrorKind::Precheck, format!("the account {account} may not read {name}, which is to be copied"))
                    .remedy(format!("GRANT SELECT ON {}.{} TO {account}", quoted(&name.database), quoted(&name.table))),
            );
            continue;
        }
        match table::find(connector, conn, server.flavour, &name).await {
            Ok(Found::Table(_) | Found::Nothing) => {}
            Ok(Found::NoKey(why)) => faults.push(table::without_key(&name, &why)),
            Err(error) if matches!(error.kind(), ErrorKind::Source | ErrorKind::Precheck) => faults.push(error),
            Err(error) => return Err(error),
        }
    }
    match faults.len() {
        0 => Ok(()),
        1 => {
            let fault = faults.remove(0);
            let error = Error::new(ErrorKind::Precheck, format!("{address} is not ready: {}", fault.chain()));
            Err(error.remedy(fault.remedy_text().unwrap_or_default()))
        }
        count => {
            let list: String = faults
                .iter()
                .take(TOLD)
                .map(|fault| format!("\n  - {}\n    remedy: {}", fault.chain(), fault.remedy_text().unwrap_or_default()))
                .collect();
            let more = if count > TOLD { format!("\n  and {} more", count - TOLD) } else { String::new() };
            Err(Error::new(ErrorKind::Precheck, format!("{address} is not ready, {count} faults:{list}{more}")))
        }
    }
}
