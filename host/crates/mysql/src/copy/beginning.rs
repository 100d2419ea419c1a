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
    chunk::{self, Session},
    key::quoted,
    lanes::Lanes,
    place::{self, CopyPlace},
    table::{self, Found},
    throttle,
};
use sluicegate_config::{MySqlSource, RowImage, Snapshot, SnapshotMode, StartAt, TablePatterns};
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
    if wanted.contains(&true) {
        for pattern in source.snapshot.tables.include().iter().map(|pattern| pattern.as_str()) {
            let Ok(one) = TablePatterns::new(&[pattern]) else { continue };
            let one = Captured::on(&server, one);
            if !there.iter().any(|name| captured.captures(name) && one.captures(name)) {
                tracing::warn!(
                    pattern,
                    remedy = "correct the source's `snapshot.tables`, or take it out; upper and lower case may differ",
                    "a pattern in `snapshot.tables` matches no captured table that the account sees: nothing is copied for it"
                );
            }
        }
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
                (_, false, true) if first => CopyPlace::first(generation),
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
        if server.flavour == Flavour::MySql && server.gtids && beginning.positions.iter().any(|position| position.gtid_set.is_none()) {
            faults.add(
                "tables cannot be copied from a binlog file and position on, because the GTIDs before it are not known",
                "Start `now` or `earliest`, or name the GTIDs.",
            );
        }
        let count = left.len();
        for (database, table) in source.snapshot.conditions.keys() {
            if !left.iter().any(|name| *name.database == **database && *name.table == **table) && first {
                faults.add(
                    format!("snapshot.where names {database}.{table}, which is not copied"),
                    "Write the name of a table that is copied, or take it out.",
                );
            }
        }
        can_copy(connector, &mut conn, &server, (&source.snapshot, source.row_image), &left, faults).await?;
        if source.snapshot.most_replication_lag.is_some() {
            let mut session = Session { connector: connector.clone(), conn, server };
            match throttle::replication_lag(&mut session).await {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Precheck => {
                    faults.add(error.chain(), error.remedy_text().unwrap_or_default());
                }
                Err(error) => return Err(error),
            }
        }
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
    (settings, row_image): (&Snapshot, RowImage),
    names: &[TableName],
    faults: &mut Faults,
) -> Result<()> {
    if server.flavour == Flavour::MySql && !server.gtids && !settings.share_locks {
        let error = chunk::without_gtids();
        faults.add("tables cannot be copied, because gtid_mode is not ON", error.remedy_text().unwrap_or_default());
    }
    let account: String = connector.one(conn, "SELECT CURRENT_USER()").await?;
    let account = account.split_once('@').map_or_else(|| format!("'{account}'"), |(user, host)| format!("'{user}'@'{host}'"));
    for name in names {
        let quoted_name = format!("{}.{}", quoted(&name.database), quoted(&name.table));
        let condition = settings.conditions.get(&(name.database.to_string(), name.table.to_string()));
        let query = match condition {
            Some(condition) => format!("SELECT 1 FROM {quoted_name} WHERE ({condition}) LIMIT 0"),
            None => format!("SELECT 1 FROM {quoted_name} LIMIT 0"),
        };
        let answer = async {
            match conn.query_drop(query).await {
                Err(mysql_async::Error::Server(error)) if DENIED.contains(&error.code) => Ok(Answer::Denied),
                Err(mysql_async::Error::Server(error)) if error.code == NO_TABLE => Ok(Answer::Readable),
                Err(mysql_async::Error::Server(error)) if condition.is_some() => Ok(Answer::Refused(error.message)),
                other => other.map(|()| Answer::Readable),
            }
        };
        match connector.within("query", answer).await? {
            Answer::Readable => {}
            Answer::Denied => {
                faults.add(
                    format!("the account {account} may not read {name}, which is to be copied"),
                    format!("GRANT SELECT ON {quoted_name} TO {account}"),
                );
                continue;
            }
            Answer::Refused(why) => {
                faults.add(
                    format!("the server refuses the condition of {name} in snapshot.where: {why}"),
                    "Write a condition as it stands behind WHERE in the server's own SQL.",
                );
                continue;
            }
        }
        let fault = match table::find(connector, conn, server.flavour, name).await {
            Ok(Found::Nothing) => continue,
            Ok(Found::Table(copied)) => {
                match copied.key.as_ref().map_err(String::as_str).and_then(|_| in_part(row_image)) {
                    Ok(()) => continue,
                    Err(why) if copied.transactional => {
                        faults.warn(
                        format!("the copy of {name} cannot go by a key ({why}): the stream waits meanwhile, and a copy that stops begins again"),
                        format!("{}; or leave it out by adding '!{name}' to the source's snapshot.tables.", key_remedy(row_image)),
                    );
                        continue;
                    }
                    Err(why) => table::without_view(name, why),
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::Source | ErrorKind::Precheck) => error,
            Err(error) => return Err(error),
        };
        faults.add(fault.chain(), fault.remedy_text().unwrap_or_default());
    }
    Ok(())
}

/// Whether a key can be used, given how rows are logged.
fn in_part(row_image: RowImage) -> std::result::Result<(), &'static str> {
    if row_image == RowImage::Partial { Err(table::IN_PART) } else { Ok(()) }
}

fn key_remedy(row_image: RowImage) -> &'static str {
    match in_part(row_image) {
        Ok(()) => "Give it a primary key, or a unique key without NULL",
        Err(_) => "Set binlog_row_image = FULL and the source's row_image to full",
    }
}

/// What the server says to a look at a table.
enum Answer {
    Readable,
    Denied,
    /// It cannot use the condition: why.
    Refused(String),
}
