//! What is copied: decided once, when the pipeline has no checkpoint yet.

use std::collections::{BTreeMap, BTreeSet};

use mysql_async::{Conn, prelude::Queryable};

use super::{
    super::{
        captured::Captured,
        capturing::{Anew, Kept},
        connection::{Connector, Server},
        position::{Flavour, LANE},
        precheck::{Beginning, Faults},
    },
    key::quoted,
    lanes::Lanes,
    place::{self, CopyPlace},
    table::{self, Found},
};
use sluicegate_config::{MySqlSource, RowImage, SnapshotMode, StartAt};
use sluicegate_model::{
    ErrorKind, Result,
    change::{Frontier, Lane, Offset, TableName},
};
use sluicegate_source::Begin;

/// MySQL's and MariaDB's errors for a table that the account may not read, and for one that is not there.
const DENIED: [u16; 2] = [1142, 1143];
const NO_TABLE: u16 = 1146;

/// Adds the lanes of copies to where the sinks begin in the log, and checks that what is left to copy can be. `kept`: what is known of
/// captures before; the copies that begin anew are added to it. Answers each sink's frontier, in their order.
pub(crate) async fn check(
    connector: &Connector,
    source: &MySqlSource,
    sinks: &[Begin],
    beginning: &Beginning,
    faults: &mut Faults,
    kept: &mut Kept,
) -> Result<Vec<Frontier>> {
    let anew = &beginning.anew;
    let places = beginning.positions.iter().map(|position| Frontier::of(Lane::new(LANE), Offset::new(position.clone())));
    let mut frontiers: Vec<Frontier> = places.collect();
    for (begin, frontier) in sinks.iter().zip(frontiers.iter_mut()) {
        if let Begin::At(known) = begin {
            copies(known).for_each(|(lane, offset)| frontier.set(lane.clone(), offset.clone()));
        }
    }
    let first = source.snapshot.mode != SnapshotMode::Never && !sinks.iter().any(|begin| matches!(begin, Begin::At(_)));
    let again = anew.contains(&true);
    // the sinks that get all rows
    let wanted: Vec<bool> =
        sinks.iter().zip(anew).map(|(begin, anew)| first || *anew || matches!(begin, Begin::Start(StartAt::Copy))).collect();
    let edited = kept.last().filter(|last| **last != source.tables).cloned();
    let none_known = kept.copies.is_empty() && frontiers.iter().all(|frontier| copies(frontier).next().is_none());
    if !wanted.contains(&true) && none_known && edited.is_none() {
        return Ok(frontiers);
    }
    let mut conn = connector.connect().await?;
    let server = connector.identify(&mut conn).await?;
    let there = tables(connector, &mut conn).await?;
    let captured = Captured::on(&server, source.tables.clone());
    let copied = Captured::on(&server, source.snapshot.tables.clone());
    if let Some(before) = edited {
        let before = Captured::on(&server, before);
        changed_while_away(&there, &before, &captured, &copied, source, &frontiers, kept, &server)?;
    }
    let mut restarted = BTreeSet::new();
    let selected = there.iter().filter(|name| wanted.contains(&true) && captured.captures(name) && copied.captures(name));
    for name in selected.cloned() {
        let lane = place::lane(&name);
        let generation = place::next_copy(&frontiers, &name, kept.copies.get(&name).map_or(0, |copy| copy.number))?;
        for ((frontier, anew), wanted) in frontiers.iter_mut().zip(anew).zip(&wanted) {
            let place = match (frontier.get(lane.name()).is_some(), *anew, *wanted) {
                // what it has of an earlier copy is void
                (true, true, _) => continue,
                (false, true, _) => CopyPlace::beginning(generation - 1),
                (_, false, true) => CopyPlace::beginning(generation),
                (false, false, false) => CopyPlace::left_out(generation),
                // left out below, if it has all of an earlier copy; if not, the rest comes with this one
                (true, false, false) => continue,
            };
            frontier.set(lane.clone(), Offset::new(place));
        }
        if again {
            kept.copies.insert(name, Anew { number: generation, empties: !source.snapshot.overwrites });
            restarted.insert(lane);
        }
    }
    let known: Vec<bool> = sinks.iter().zip(anew).map(|(begin, anew)| *anew || matches!(begin, Begin::At(_))).collect();
    leave_out(&mut frontiers, &known, anew, &restarted, kept)?;
    let left = Lanes::of(&frontiers, Vec::new(), &source.snapshot, &kept.copies, |table| captured.captures(table))?;
    let left: Vec<TableName> = left.into_iter().flat_map(|lanes| lanes.tables).map(|table| table.name).collect();
    if !left.is_empty() {
        faults.item("snapshot");
        if source.row_image == RowImage::Partial {
            faults.add(
                "tables cannot be copied while rows are logged without some of their columns (row_image: partial)",
                "Set binlog_row_image = FULL and the source's row_image to full, or set the source's snapshot to never.",
            );
        }
        if server.flavour == Flavour::MySql && server.gtids && beginning.positions.iter().any(|position| position.gtid_set.is_none()) {
            faults.add(
                "tables cannot be copied from a binlog file and position on, because the GTIDs before it are not known",
                "Start `now` or `earliest`, or name the GTIDs.",
            );
        }
        let count = left.len();
        can_copy(connector, &mut conn, &server, left.into_iter(), faults).await?;
        faults.pass(format!("{count} tables can be copied"));
        faults.result(connector.address())?;
    }
    Ok(frontiers)
}

/// The lanes of copies in a frontier.
fn copies(frontier: &Frontier) -> impl Iterator<Item = (&Lane, &Offset)> {
    frontier.lanes().filter(|(lane, _)| place::is_copy(lane.name()))
}

/// The pipeline file names other tables than when the pipeline ran last. What comes is copied first, if the settings say so.
#[allow(clippy::too_many_arguments, reason = "before and after")]
fn changed_while_away(
    there: &[TableName],
    before: &Captured,
    after: &Captured,
    copied: &Captured,
    source: &MySqlSource,
    frontiers: &[Frontier],
    kept: &mut Kept,
    server: &Server,
) -> Result<()> {
    for name in there {
        let number = kept.copies.get(name).map_or(0, |copy| copy.number);
        match (before.captures(name), after.captures(name)) {
            (false, true) if source.snapshot.added && copied.captures(name) => {
                let number = place::next_copy(frontiers, name, number)?;
                let knew = number > 1 || kept.knew(name, |tables| Captured::on(server, tables.clone()));
                kept.copies.insert(name.clone(), Anew { number, empties: knew && !source.snapshot.overwrites });
            }
            // its rows stay with consumers
            (true, false) => drop(kept.copies.entry(name.clone()).or_insert(Anew { number: 0, empties: false })),
            _ => {}
        }
    }
    Ok(())
}

/// A sink that lacks a lane which another one has begins without that copy, unless it gets one anew. So does one that has all of an
/// earlier copy: it has the table's changes without a gap.
fn leave_out(frontiers: &mut [Frontier], known: &[bool], anew: &[bool], restarted: &BTreeSet<Lane>, kept: &Kept) -> Result<()> {
    let asked = kept.copies.iter().filter(|(_, copy)| copy.number > 0);
    let asked: BTreeMap<Lane, u32> = asked.map(|(name, copy)| (place::lane(name), copy.number)).collect();
    let mut all = asked.clone();
    for (lane, offset) in frontiers.iter().flat_map(copies) {
        let (own, most) = (CopyPlace::of(offset)?.generation, all.entry(lane.clone()).or_default());
        *most = own.max(*most);
    }
    for (lane, generation) in all {
        for ((frontier, known), anew) in frontiers.iter_mut().zip(known).zip(anew) {
            // where a place was lost, only that sink begins anew
            let asked = if restarted.contains(&lane) && !anew { 0 } else { asked.get(&lane).copied().unwrap_or_default() };
            let leaves_out = match frontier.get(lane.name()) {
                None => asked == 0 || !known,
                Some(known) if CopyPlace::of(known)?.generation < asked => false,
                Some(known) => {
                    let known = CopyPlace::of(known)?;
                    known.is_done() && known.generation < generation && !anew
                }
            };
            if leaves_out {
                frontier.set(lane.clone(), Offset::new(CopyPlace::left_out(generation)));
            }
        }
    }
    Ok(())
}

/// The tables that the account sees.
pub(crate) async fn tables(connector: &Connector, conn: &mut Conn) -> Result<Vec<TableName>> {
    let query = "SELECT table_schema, table_name FROM information_schema.tables \
        WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1, 2";
    let rows: Vec<(String, String)> = connector.within_catalogue(conn.query(query)).await?;
    Ok(rows.into_iter().map(|(database, table)| TableName::new(database, table)).collect())
}

/// Whether these tables can be copied.
pub(crate) async fn can_copy(
    connector: &Connector,
    conn: &mut Conn,
    server: &Server,
    names: impl Iterator<Item = TableName>,
    faults: &mut Faults,
) -> Result<()> {
    if server.flavour == Flavour::MySql && !server.gtids {
        faults
            .add("tables cannot be copied, because gtid_mode is not ON", "Switch gtid_mode to ON, or set the source's snapshot to never.");
    }
    let account: String = connector.one(conn, "SELECT CURRENT_USER()").await?;
    let account = account.split_once('@').map_or_else(|| format!("'{account}'"), |(user, host)| format!("'{user}'@'{host}'"));
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
            faults.add(
                format!("the account {account} may not read {name}, which is to be copied"),
                format!("GRANT SELECT ON {}.{} TO {account}", quoted(&name.database), quoted(&name.table)),
            );
            continue;
        }
        let fault = match table::find(connector, conn, server.flavour, &name).await {
            Ok(Found::Table(_) | Found::Nothing) => continue,
            Ok(Found::NoKey(why)) => table::without_key(&name, &why),
            Err(error) if matches!(error.kind(), ErrorKind::Source | ErrorKind::Precheck) => error,
            Err(error) => return Err(error),
        };
        faults.add(fault.chain(), fault.remedy_text().unwrap_or_default());
    }
    Ok(())
}
