//! Whether the server is set up for us: every fault found, each with its remedy, in one error. Nothing is changed.

use std::collections::HashSet;

use mysql_async::{Conn, prelude::Queryable};
use sluicegate_table_pattern::{TablePattern, name_parts};

use super::{
    catalogue::Catalogue,
    charset::Charset,
    connection::{Connector, Server},
    gtid::GtidSet,
    inventory, logging, margin,
    position::{BinlogPosition, Flavour},
    privileges::Privileges,
    proof, sessions, start, stream,
};
use sluicegate_config::{MySqlSource, RowImage, SnapshotMode, StartAt};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::TableName,
    finding::{Finding, Verdict, listed},
    limits::{CHECK_NAMES, SURVEYED_AT_START},
};
use sluicegate_source::Begin;

/// Tables named in one message, at most.
const NAMED: usize = 20;
/// Names looked up with one query.
const ASKED: usize = 500;

/// What was found, item by item.
#[derive(Debug, Default)]
pub(super) struct Faults {
    findings: Vec<Finding>,
    /// What is being looked at.
    item: &'static str,
    /// Whether the server no longer has what comes after a place.
    purged: bool,
}

/// Where the sinks begin in the log.
#[derive(Debug)]
pub(super) struct Beginning {
    /// Each sink's place, in their order.
    pub(super) positions: Vec<BinlogPosition>,
    /// Whether the sink's own place is lost, so that it begins anew with a copy.
    pub(super) anew: Vec<bool>,
}

impl Faults {
    /// From now on `item` is looked at.
    pub fn item(&mut self, item: &'static str) {
        self.item = item;
    }

    /// Something that would stop a run.
    pub fn add(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding::fail(self.item, what, remedy));
    }

    /// Something to think about.
    pub fn warn(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding::warn(self.item, what, remedy));
    }

    /// What is good, unless something else was said of the item.
    pub fn pass(&mut self, found: impl Into<String>) {
        if !self.findings.iter().any(|finding| finding.item == self.item) {
            self.findings.push(Finding::pass(self.item, found));
        }
    }

    pub fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    pub fn faults(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let failed = self.findings.iter().filter(|finding| finding.verdict == Verdict::Fail);
        failed.map(|finding| (finding.found.as_str(), finding.remedy.as_deref().unwrap_or_default()))
    }

    /// Keeps an error that says the environment is not ready; others are passed on.
    fn absorb<T>(&mut self, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) if matches!(error.kind(), ErrorKind::Precheck | ErrorKind::Source) => {
                self.add(error.chain(), error.remedy_text().unwrap_or_default());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// An error with all faults, if there are any.
    pub fn result(&self, address: &str) -> Result<()> {
        let mut faults = self.faults();
        match (faults.clone().count(), faults.next()) {
            (0, _) | (_, None) => Ok(()),
            (1, Some((what, remedy))) => Err(Error::new(ErrorKind::Precheck, format!("{address} is not ready: {what}")).remedy(remedy)),
            (count, _) => {
                let list: String = self.faults().map(|(what, remedy)| format!("\n  - {what}\n    remedy: {remedy}")).collect();
                Err(Error::new(ErrorKind::Precheck, format!("{address} is not ready, {count} faults:{list}")))
            }
        }
    }
}

/// Checks everything. Returns where each sink begins; without progress anywhere, where the source's `start` says. Where tables are
/// copied when that is needed, a sink whose place is lost begins now.
pub(super) async fn check(
    connector: &Connector,
    mut catalogue: Catalogue,
    configured: &MySqlSource,
    sinks: &[Begin],
    thorough: bool,
    faults: &mut Faults,
) -> Result<Beginning> {
    // a server that cannot be reached or refuses the login leaves nothing to check
    let mut conn = connector.connect().await?;
    let server = connector.identify(&mut conn).await?;
    catalogue.fit(&server);
    let catalogue = &catalogue;
    faults.item("connection");
    if connector.servers() > 1 && !server.gtids {
        faults.add(
            format!("gtid_mode is not ON at {}: without GTIDs a place in one server's log means nothing on another", connector.address()),
            "Switch gtid_mode to ON on all servers, or name a single server as the source's `host`.",
        );
    }
    faults.pass(format!("{} answers: {}", connector.address(), server.version));
    faults.item("binlog");
    let logging = settings(connector, &mut conn, &server, configured.row_image, faults).await?;
    faults.item("binlog");
    faults.pass(match configured.row_image {
        RowImage::Full => "on, in rows with all columns",
        RowImage::Partial => "on, in rows",
    });
    faults.item("grants");
    let privileges = Privileges::of(connector, &mut conn).await?;
    let may_look = privileges.of_the_log(faults);
    faults.pass("the account may read the log and ask where it ends");
    faults.item("select");
    let named = variable(connector, &mut conn, "binlog_row_metadata").await?.is_some_and(|metadata| metadata == "FULL");
    privileges.of_the_tables(configured, (named, sinks.iter().any(|begin| !matches!(begin, Begin::At(_)))), faults);
    logging::look(connector, &mut conn, configured, faults).await?;
    faults.item("position");
    let mut positions: Vec<BinlogPosition> = Vec::new();
    let mut anew = vec![false; sinks.len()];
    let mut now: Option<BinlogPosition> = None;
    if logging && may_look {
        for (begin, anew) in sinks.iter().zip(&mut anew) {
            let found = match begin {
                Begin::At(frontier) => super::place_of(frontier),
                Begin::Start(start_at) => start::resolve(connector, &mut conn, &server, start_at).await,
                // one place for all of them, also when the log grows meanwhile
                Begin::First if !positions.is_empty() => Ok(positions[0].clone()),
                Begin::First => start::resolve(connector, &mut conn, &server, &configured.start).await,
            };
            let Some(mut found) = faults.absorb(found)? else { continue };
            found.go_on_with(server.identity.as_deref());
            if !positions.contains(&found) {
                let mut own = Faults { item: faults.item, ..Faults::default() };
                let outcome = can_give(connector, &mut conn, &server, &found, &mut own).await;
                own.absorb(outcome)?;
                if own.purged && configured.snapshot.mode == SnapshotMode::WhenNeeded && matches!(begin, Begin::At(_)) {
                    tracing::warn!(place = %found, "the server no longer has the changes after this place: the tables are copied anew");
                    found = match now.take() {
                        Some(now) => now,
                        None => start::resolve(connector, &mut conn, &server, &StartAt::Now).await?,
                    };
                    (*anew, now) = (true, Some(found.clone()));
                } else {
                    faults.findings.append(&mut own.findings);
                }
            }
            positions.push(found);
        }
    }
    if positions.len() == sinks.len() {
        if thorough && let Some(margin) = margin::look(connector, &mut conn, &server, configured.heartbeat.every, &positions).await? {
            margin.warn_if_short(faults);
        }
        faults.pass("the log has everything from each sink's place on");
    }
    exact_names(connector, &mut conn, catalogue).await?;
    faults.item("sessions");
    sessions::look(connector, &mut conn, &server, faults).await?;
    // counting them opens none
    let all: usize = connector.one(&mut conn, "SELECT COUNT(*) FROM information_schema.tables").await?;
    if thorough || all <= SURVEYED_AT_START {
        faults.item("column types");
        let tables = tables(connector, &mut conn, catalogue).await?;
        columns(connector, &mut conn, &tables, faults).await?;
        faults.pass("all are supported");
        faults.item("primary keys");
        keys(connector, &mut conn, &tables, faults).await?;
        faults.pass("every captured table has one");
        faults.item("cascades");
        inventory::cascades(connector, &mut conn, catalogue, faults).await?;
    } else {
        tracing::info!(tables = all, "the server has many tables: only `sluicegate check` looks at each of them");
    }
    faults.result(connector.address())?;
    if positions.len() == sinks.len() {
        Ok(Beginning { positions, anew })
    } else {
        Err(Error::new(ErrorKind::Internal, "no position to start at, and no fault found"))
    }
}

/// A global variable; `None` where the server does not know it.
pub(super) async fn variable(connector: &Connector, conn: &mut Conn, name: &str) -> Result<Option<String>> {
    let row: Option<(String, String)> =
        connector.within("query", conn.exec_first("SHOW GLOBAL VARIABLES WHERE Variable_name = ?", (name,))).await?;
    Ok(row.map(|(_, value)| value))
}

/// Checks how the server logs; returns whether it logs at all.
pub(super) async fn settings(
    connector: &Connector,
    conn: &mut Conn,
    server: &Server,
    wanted: RowImage,
    faults: &mut Faults,
) -> Result<bool> {
    let on = variable(connector, conn, "log_bin").await?.is_some_and(|v| v == "ON" || v == "1");
    if !on {
        faults.add("the binlog is off (log_bin = OFF)", "Start the server with log_bin and a server_id.");
    }
    let format = variable(connector, conn, "binlog_format").await?;
    if let Some(format) = format.filter(|f| f != "ROW") {
        faults.add(
            format!("binlog_format is {format}"),
            "Set it to ROW: SET GLOBAL binlog_format = 'ROW', also in the server's configuration file.",
        );
    }
    let image = variable(connector, conn, "binlog_row_image").await?;
    let options = variable(connector, conn, "binlog_row_value_options").await?;
    if image.as_deref().is_some_and(|image| image != "FULL") && options.is_some_and(|options| options.contains("PARTIAL_JSON")) {
        faults.add(
            "binlog_row_value_options is PARTIAL_JSON, and binlog_row_image is not FULL: changed JSON documents cannot be made whole",
            "Empty it: SET GLOBAL binlog_row_value_options = ''. Or set binlog_row_image to FULL.",
        );
    }
    // FULL_NODUP leaves out of the new row what the old one has
    match image.filter(|image| !matches!(image.as_str(), "FULL" | "FULL_NODUP")) {
        Some(image) if wanted == RowImage::Full => faults.add(
            format!("binlog_row_image is {image}"),
            "Set it to FULL: SET GLOBAL binlog_row_image = 'FULL', also in the server's configuration file. Or take rows without the columns \
             that are not logged: write `row_image: partial` at the source.",
        ),
        Some(image) => {
            let lost = match server.flavour {
                Flavour::MySql => "",
                Flavour::MariaDb => "; a REPLACE is logged without the columns that it sets back to their defaults",
            };
            let what = format!("binlog_row_image is {image}: what is not logged is delivered as absent, which records leave out{lost}");
            tracing::warn!(server = connector.address(), "{what}");
            faults.item("row image");
            faults.warn(
                what,
                "Where consumers need whole rows: SET GLOBAL binlog_row_image = 'FULL', also in the server's configuration file.",
            );
            faults.item("binlog");
        }
        None => {}
    }
    let metadata = variable(connector, conn, "binlog_row_metadata").await?;
    if metadata.as_deref() != Some("FULL") {
        faults.item("row metadata");
        faults.warn(
            "binlog_row_metadata is not FULL: names and types come from the server's catalogue, and rows logged before a schema change cannot be read",
            "SET GLOBAL binlog_row_metadata = 'FULL', also in the server's configuration file.",
        );
        tracing::warn!(
            server = connector.address(),
            version = server.version,
            "binlog_row_metadata is not FULL: names and types come from the server's catalogue, and of rows logged before a schema change from the \
             versions in the checkpoint; without one they cannot be read"
        );
    }
    Ok(on)
}

/// Whether the log still has what comes after a position.
async fn can_give(connector: &Connector, conn: &mut Conn, server: &Server, position: &BinlogPosition, faults: &mut Faults) -> Result<()> {
    stream::check_same_server(position, server, connector.address())?;
    let found = faults.findings.len();
    let here = position.is_of(server.identity.as_deref()) && position.has_file();
    match (server.flavour, position.resumable_gtids()) {
        (Flavour::MySql, Some(set)) => mysql_gtids(connector, conn, set, faults).await?,
        (Flavour::MariaDb, Some(set)) => mariadb_gtids(connector, conn, set, here.then_some(&*position.file), faults).await?,
        (_, None) => file(connector, conn, position, faults).await?,
    }
    // a fault that is told already is not told twice
    if faults.findings.len() == found {
        proof::prove(connector, conn, server, position).await?;
    }
    Ok(())
}

const ANEW: &str = "The changes between are lost for the sinks that have not read them: keep binlogs longer (binlog_expire_logs_seconds). To go \
    on, write `snapshot: when-needed` at the source, which copies the tables anew; or `sluicegate checkpoint drop --force` these sinks, and set their \
    `start`.";

async fn mysql_gtids(connector: &Connector, conn: &mut Conn, set: &GtidSet, faults: &mut Faults) -> Result<()> {
    let query = "SELECT GTID_SUBTRACT(@@GLOBAL.gtid_purged, ?), GTID_SUBTRACT(?, @@GLOBAL.gtid_executed)";
    let text = set.to_string();
    let row: Option<(String, String)> = connector.within("query", conn.exec_first(query, (&text, &text))).await?;
    let (missing, unknown) = row.unwrap_or_default();
    if !missing.is_empty() {
        faults.purged = true;
        faults.add(format!("the server has purged transactions that were not read yet: {}", one_line(&missing)), ANEW);
    }
    if !unknown.is_empty() {
        faults.add(
            format!("the position holds transactions that the server has never executed: {}", one_line(&unknown)),
            "Check that it is the right server, and that it was not restored from a backup or reset; else start anew with a new state file.",
        );
    }
    Ok(())
}

async fn mariadb_gtids(connector: &Connector, conn: &mut Conn, set: &GtidSet, file: Option<&str>, faults: &mut Faults) -> Result<()> {
    let files = start::log_files(connector, conn).await?;
    let Some(oldest) = files.first() else { return Ok(()) };
    // what comes behind a file that is there was not purged, whatever its numbers are
    if files.iter().any(|known| file == Some(&known.name)) {
        return Ok(());
    }
    let before = start::mariadb_gtids(connector, conn, &oldest.name, start::FIRST).await?;
    let before = start::parse_gtids(Flavour::MariaDb, &before)?;
    if let (GtidSet::MariaDb(ours), GtidSet::MariaDb(purged)) = (set, &before) {
        for (domain, purged) in purged {
            let (server, sequence) = purged.last();
            // numbers rise for each server; across servers only where the last of them is known to us
            let reached = ours.get(domain).map(|ours| ours.last().1);
            if !ours.get(domain).is_some_and(|ours| ours.has(server, sequence)) && reached.is_none_or(|r| r < sequence) {
                faults.purged = true;
                let reached = reached.map_or_else(|| "nothing".to_owned(), |r| format!("sequence {r}"));
                faults.add(
                    format!(
                        "the server has purged transactions that were not read yet: of domain {domain} we have {reached}, and its oldest \
                         binlog {} begins after {domain}-{server}-{sequence}",
                        oldest.name
                    ),
                    ANEW,
                );
            }
        }
    }
    Ok(())
}

async fn file(connector: &Connector, conn: &mut Conn, position: &BinlogPosition, faults: &mut Faults) -> Result<()> {
    let files = start::log_files(connector, conn).await?;
    match files.iter().find(|f| *f.name == *position.file) {
        None => {
            let there = match (files.first(), files.last()) {
                (Some(first), Some(last)) => format!("it has {} to {}", first.name, last.name),
                _ => "it has none".to_owned(),
            };
            faults.purged = true;
            faults.add(format!("the server no longer has binlog {}: {there}", position.file), ANEW);
        }
        Some(file) if position.position > file.size => faults.add(
            format!("binlog {} ends at {}, before position {}", file.name, file.size, position.position),
            "Check that it is the right server and that nobody has run RESET; else start anew with a new state file.",
        ),
        Some(_) => {}
    }
    Ok(())
}

fn one_line(set: &str) -> String {
    set.split_whitespace().collect()
}

/// The captured tables. A join of the catalogue's views takes MariaDB ten times as long as two queries, and takes names for the same
/// that differ in case or accents only.
async fn tables(connector: &Connector, conn: &mut Conn, catalogue: &Catalogue) -> Result<HashSet<TableName>> {
    let query = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') \
        AND table_schema NOT IN ('information_schema', 'performance_schema', 'sys')";
    let rows: Vec<(String, String)> = connector.within_catalogue(conn.query(query)).await?;
    Ok(rows.into_iter().map(|(database, table)| TableName::new(database, table)).filter(|name| catalogue.captures(name)).collect())
}

/// Captured columns whose character set is not known.
async fn columns(connector: &Connector, conn: &mut Conn, tables: &HashSet<TableName>, faults: &mut Faults) -> Result<()> {
    let query = "SELECT table_schema, table_name, column_name, character_set_name FROM information_schema.columns \
        WHERE character_set_name IS NOT NULL AND character_set_name NOT IN ('utf8mb4', 'utf8mb3', 'utf8', 'ascii', 'latin1', 'binary') \
        AND table_schema NOT IN ('information_schema', 'performance_schema', 'sys') ORDER BY 1, 2, ordinal_position";
    let rows: Vec<(String, String, String, String)> = connector.within_catalogue(conn.query(query)).await?;
    let mut found = Vec::new();
    for (database, table, column, charset) in rows {
        let name = TableName::new(database, table);
        if tables.contains(&name)
            && let Charset::Unsupported(charset) = Charset::named(&charset)
        {
            found.push(format!("{name}.{column} (character set {charset})"));
        }
    }
    if !found.is_empty() {
        faults.add(
            format!("captured columns have character sets that are not known: {}", listed(found.iter().map(String::as_str), CHECK_NAMES)),
            "Leave the tables out by adding '!database.table' to the source's tables, or change the columns.",
        );
    }
    Ok(())
}

/// Captured tables without a key are worth a warning: Kafka cannot keep the order of their rows by key. In place of a primary key counts
/// the first unique one that holds no NULL: the server logs it as the key, and calls its columns so.
async fn keys(connector: &Connector, conn: &mut Conn, tables: &HashSet<TableName>, faults: &mut Faults) -> Result<()> {
    // DISTINCT would take names for one that differ only in case or accents
    let query = "SELECT table_schema, table_name FROM information_schema.columns WHERE column_key = 'PRI' \
        AND table_schema NOT IN ('information_schema', 'performance_schema', 'sys')";
    let rows: Vec<(String, String)> = connector.within_catalogue(conn.query(query)).await?;
    let keyed: HashSet<TableName> = rows.into_iter().map(|(d, t)| TableName::new(d, t)).collect();
    let mut keyless: Vec<String> = tables.difference(&keyed).filter(|name| name.database != "mysql").map(ToString::to_string).collect();
    keyless.sort();
    if !keyless.is_empty() {
        let named = keyless.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        tracing::warn!(
            tables = named,
            count = keyless.len(),
            remedy = "give them a primary key; a Kafka sink needs `keyless:` to take them, files take them as they are",
            "captured tables have no primary key"
        );
        faults.warn(
            format!("captured tables have no primary key: {}", listed(keyless.iter().map(String::as_str), CHECK_NAMES)),
            "give them a primary key; a Kafka sink needs `keyless:` to take them, files take them as they are",
        );
    }
    Ok(())
}

/// A name without wildcards that no table has is worth a warning: a slip, unless the table is created later.
async fn exact_names(connector: &Connector, conn: &mut Conn, catalogue: &Catalogue) -> Result<()> {
    let patterns = catalogue.patterns();
    let exact: Vec<&TablePattern> = patterns.include().iter().chain(patterns.exclude()).filter(|p| p.is_exact()).collect();
    let (mut missing, mut other_case) = (Vec::new(), Vec::new());
    for some in exact.chunks(ASKED) {
        let query = format!(
            "SELECT table_schema, table_name FROM information_schema.tables \
             WHERE table_type NOT IN ('VIEW', 'SYSTEM VIEW') AND LOWER(CONCAT(table_schema, '.', table_name)) IN ({})",
            vec!["LOWER(?)"; some.len()].join(", ")
        );
        let plain = |pattern: &TablePattern| name_parts(pattern.as_str()).unwrap_or_default().join(".");
        let texts: Vec<String> = some.iter().map(|pattern| plain(pattern)).collect();
        let rows: Vec<(String, String)> = connector.within("query", conn.exec(query, texts)).await?;
        let names: Vec<TableName> = rows.into_iter().map(|(database, table)| TableName::new(database, table)).collect();
        for pattern in some.iter().filter(|pattern| !names.iter().any(|name| pattern.matches(name))) {
            let wanted = plain(pattern).to_lowercase();
            match names.iter().find(|name| format!("{}.{}", name.database, name.table).to_lowercase() == wanted) {
                Some(name) => other_case.push(format!("{} (the server has {name})", pattern.as_str())),
                None => missing.push(pattern.as_str().to_owned()),
            }
        }
    }
    let first = |names: &[String]| names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if !missing.is_empty() {
        tracing::warn!(
            tables = first(&missing),
            count = missing.len(),
            remedy = "correct the source's `tables`, grant the account SELECT on them, or leave it so if they are created later",
            "the account sees no tables with these names"
        );
    }
    if !other_case.is_empty() {
        tracing::warn!(
            tables = first(&other_case),
            count = other_case.len(),
            remedy = "write the source's `tables` as the server has them: upper and lower case differ",
            "these names match no table, because their case differs"
        );
    }
    Ok(())
}
