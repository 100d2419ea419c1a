//! Whether the server is set up for us: every fault found, each with its remedy, in one error. Nothing is changed.

use mysql_async::{Conn, Row, prelude::Queryable};
use sluicegate_table_pattern::{TablePattern, name_parts};

use super::{
    catalogue::Catalogue,
    charset::Charset,
    connection::{Connector, Server},
    gtid::GtidSet,
    position::{BinlogPosition, Flavour},
    proof, start, stream,
};
use sluicegate_config::StartAt;
use sluicegate_model::{Error, ErrorKind, Result, change::TableName};
use sluicegate_source::Begin;

/// Tables named in one message, at most.
const NAMED: usize = 20;
/// Names looked up with one query.
const ASKED: usize = 500;

/// What was found wrong, and whether the server no longer has what comes after a place.
#[derive(Debug, Default)]
struct Faults(Vec<(String, String)>, bool);

/// Where the sinks begin.
#[derive(Debug)]
pub(super) struct Beginning {
    /// Each sink's place, in their order.
    pub(super) positions: Vec<BinlogPosition>,
    /// Whether the sink's own place is lost, so that it begins anew with a copy.
    pub(super) anew: Vec<bool>,
}

impl Faults {
    fn add(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push((what.into(), remedy.into()));
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

    fn into_result(mut self, address: &str) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            1 => {
                let (what, remedy) = self.0.remove(0);
                Err(Error::new(ErrorKind::Precheck, format!("{address} is not ready: {what}")).remedy(remedy))
            }
            count => {
                let list: String = self.0.iter().map(|(what, remedy)| format!("\n  - {what}\n    remedy: {remedy}")).collect();
                Err(Error::new(ErrorKind::Precheck, format!("{address} is not ready, {count} faults:{list}")))
            }
        }
    }
}

/// Checks everything. Returns where each sink begins; without progress anywhere, where `start_at` says. With `copies_anew`, a sink
/// whose place is lost begins now.
pub(super) async fn check(
    connector: &Connector,
    catalogue: &Catalogue,
    start_at: &StartAt,
    sinks: &[Begin],
    copies_anew: bool,
) -> Result<Beginning> {
    let mut faults = Faults::default();
    // a server that cannot be reached or refuses the login leaves nothing to check
    let mut conn = connector.connect().await?;
    let server = connector.identify(&mut conn).await?;
    let logging = settings(connector, &mut conn, &server, &mut faults).await?;
    let may_look = grants(connector, &mut conn, &mut faults).await?;
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
                Begin::First => start::resolve(connector, &mut conn, &server, start_at).await,
            };
            let Some(mut found) = faults.absorb(found)? else { continue };
            found.go_on_with(server.identity.as_deref());
            if !positions.contains(&found) {
                let mut own = Faults::default();
                let outcome = can_give(connector, &mut conn, &server, &found, &mut own).await;
                own.absorb(outcome)?;
                if own.1 && copies_anew && matches!(begin, Begin::At(_)) {
                    tracing::warn!(place = %found, "the server no longer has the changes after this place: the tables are copied anew");
                    found = match now.take() {
                        Some(now) => now,
                        None => start::resolve(connector, &mut conn, &server, &StartAt::Now).await?,
                    };
                    (*anew, now) = (true, Some(found.clone()));
                } else {
                    faults.0.append(&mut own.0);
                }
            }
            positions.push(found);
        }
    }
    columns(connector, &mut conn, &server, catalogue, &mut faults).await?;
    keys(connector, &mut conn, catalogue).await?;
    exact_names(connector, &mut conn, catalogue).await?;
    faults.into_result(connector.address())?;
    if positions.len() == sinks.len() {
        Ok(Beginning { positions, anew })
    } else {
        Err(Error::new(ErrorKind::Internal, "no position to start at, and no fault found"))
    }
}

/// A global variable; `None` where the server does not know it.
async fn variable(connector: &Connector, conn: &mut Conn, name: &str) -> Result<Option<String>> {
    let row: Option<(String, String)> =
        connector.within("query", conn.exec_first("SHOW GLOBAL VARIABLES WHERE Variable_name = ?", (name,))).await?;
    Ok(row.map(|(_, value)| value))
}

/// Checks how the server logs; returns whether it logs at all.
async fn settings(connector: &Connector, conn: &mut Conn, server: &Server, faults: &mut Faults) -> Result<bool> {
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
    if let Some(image) = image.filter(|i| i != "FULL") {
        faults.add(
            format!("binlog_row_image is {image}"),
            "Set it to FULL: SET GLOBAL binlog_row_image = 'FULL', also in the server's configuration file.",
        );
    }
    let options = variable(connector, conn, "binlog_row_value_options").await?;
    if options.is_some_and(|o| o.contains("PARTIAL_JSON")) {
        faults.add("binlog_row_value_options is PARTIAL_JSON", "Empty it: SET GLOBAL binlog_row_value_options = ''.");
    }
    let metadata = variable(connector, conn, "binlog_row_metadata").await?;
    if metadata.as_deref() != Some("FULL") {
        tracing::warn!(
            server = connector.address(),
            version = server.version,
            "binlog_row_metadata is not FULL: names and types come from the server's catalogue, and rows logged before a schema change cannot be read"
        );
    }
    Ok(on)
}

/// Checks whether the account may read the log; returns whether it may ask where the log begins and ends.
async fn grants(connector: &Connector, conn: &mut Conn, faults: &mut Faults) -> Result<bool> {
    let rows: Vec<Row> = connector.within("query", conn.query("SHOW GRANTS")).await?;
    let lines = rows.into_iter().filter_map(|mut r| r.take_opt::<String, _>(0).and_then(std::result::Result::ok));
    // only privileges on *.* count; the part before ON lists them
    let global: Vec<String> = lines
        .filter_map(|line| {
            line.split_once(" ON *.* TO ").map(|(privileges, _)| privileges.trim_start_matches("GRANT ").to_ascii_uppercase())
        })
        .collect();
    let has = |wanted: &[&str]| global.iter().flat_map(|l| l.split(", ")).any(|p| p == "ALL PRIVILEGES" || wanted.contains(&p.trim()));
    let account: String = connector.one(conn, "SELECT CURRENT_USER()").await?;
    let account = account.split_once('@').map_or_else(|| format!("'{account}'"), |(user, host)| format!("'{user}'@'{host}'"));
    if !has(&["REPLICATION SLAVE", "REPLICATION REPLICA"]) {
        faults.add(
            format!("the account {account} lacks the privilege REPLICATION SLAVE"),
            format!("GRANT REPLICATION SLAVE ON *.* TO {account}"),
        );
    }
    let may_look = has(&["REPLICATION CLIENT", "BINLOG MONITOR", "SUPER"]);
    if !may_look {
        faults.add(
            format!("the account {account} lacks the privilege REPLICATION CLIENT"),
            format!("GRANT REPLICATION CLIENT ON *.* TO {account}"),
        );
    }
    Ok(may_look)
}

/// Whether the log still has what comes after a position.
async fn can_give(connector: &Connector, conn: &mut Conn, server: &Server, position: &BinlogPosition, faults: &mut Faults) -> Result<()> {
    stream::check_same_server(position, server, connector.address())?;
    let found = faults.0.len();
    match (server.flavour, position.resumable_gtids()) {
        (Flavour::MySql, Some(set)) => mysql_gtids(connector, conn, set, faults).await?,
        (Flavour::MariaDb, Some(set)) => mariadb_gtids(connector, conn, set, faults).await?,
        (_, None) => file(connector, conn, position, faults).await?,
    }
    // what is told already needs no second word
    if faults.0.len() == found { proof::prove(connector, conn, server, position).await } else { Ok(()) }
}

const ANEW: &str = "The changes between are lost for this pipeline: keep binlogs longer (binlog_expire_logs_seconds), and start anew with a new \
    state file from a position that exists.";

async fn mysql_gtids(connector: &Connector, conn: &mut Conn, set: &GtidSet, faults: &mut Faults) -> Result<()> {
    let query = "SELECT GTID_SUBTRACT(@@GLOBAL.gtid_purged, ?), GTID_SUBTRACT(?, @@GLOBAL.gtid_executed)";
    let text = set.to_string();
    let row: Option<(String, String)> = connector.within("query", conn.exec_first(query, (&text, &text))).await?;
    let (missing, unknown) = row.unwrap_or_default();
    if !missing.is_empty() {
        faults.1 = true;
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

async fn mariadb_gtids(connector: &Connector, conn: &mut Conn, set: &GtidSet, faults: &mut Faults) -> Result<()> {
    let files = start::log_files(connector, conn).await?;
    let Some(oldest) = files.first() else { return Ok(()) };
    let before = start::mariadb_gtids(connector, conn, &oldest.name, start::FIRST).await?;
    let before = start::parse_gtids(Flavour::MariaDb, &before)?;
    if let (GtidSet::MariaDb(ours), GtidSet::MariaDb(purged)) = (set, &before) {
        for (domain, purged) in purged {
            let (server, sequence) = purged.last();
            // numbers rise for each server; across servers only where the last of them is known to us
            let reached = ours.get(domain).map(|ours| ours.last().1);
            if !ours.get(domain).is_some_and(|ours| ours.has(server, sequence)) && reached.is_none_or(|r| r < sequence) {
                faults.1 = true;
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
            faults.1 = true;
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

/// Captured columns whose type cannot be read.
async fn columns(connector: &Connector, conn: &mut Conn, server: &Server, catalogue: &Catalogue, faults: &mut Faults) -> Result<()> {
    // in the server's own databases nothing is captured unless it is named, so that they need not be left out here
    let query = "SELECT c.table_schema, c.table_name, c.column_name, c.data_type, c.column_type, c.character_set_name \
        FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name) \
        WHERE t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND (c.data_type IN ('geometry', 'point', 'linestring', 'polygon', \
        'multipoint', 'multilinestring', 'multipolygon', 'geomcollection', 'geometrycollection', 'vector') OR c.column_type LIKE '%COMPRESSED%' \
        OR c.character_set_name NOT IN ('utf8mb4', 'utf8mb3', 'utf8', 'ascii', 'latin1', 'binary')) \
        AND c.table_schema NOT IN ('information_schema', 'performance_schema', 'sys') \
        ORDER BY 1, 2, c.ordinal_position";
    let rows: Vec<(String, String, String, String, String, Option<String>)> = connector.within("query", conn.query(query)).await?;
    let mut found = Vec::new();
    for (database, table, column, data_type, column_type, charset) in rows {
        let name = TableName::new(database, table);
        if !catalogue.captures(&name) {
            continue;
        }
        let what = match charset.as_deref().map(Charset::named) {
            Some(Charset::Unsupported(charset)) => format!("character set {charset}"),
            _ if server.flavour == Flavour::MariaDb && column_type.contains("COMPRESSED") => "MariaDB's COMPRESSED attribute".to_owned(),
            // an enum may have a label with that word
            _ if matches!(data_type.as_str(), "enum" | "set") => continue,
            _ => data_type,
        };
        found.push(format!("{name}.{column} ({what})"));
    }
    if !found.is_empty() {
        let more = found.len().saturating_sub(NAMED);
        let list = found.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        faults.add(
            format!("captured columns have types that are not supported: {list}{more}"),
            "Leave the tables out by adding '!database.table' to the source's tables, or change the columns.",
        );
    }
    Ok(())
}

/// Captured tables without a primary key are worth a warning: Kafka cannot keep the order of their rows by key.
async fn keys(connector: &Connector, conn: &mut Conn, catalogue: &Catalogue) -> Result<()> {
    let query = "SELECT t.table_schema, t.table_name FROM information_schema.tables t LEFT JOIN information_schema.table_constraints k \
        ON k.table_schema = t.table_schema AND k.table_name = t.table_name AND k.constraint_type = 'PRIMARY KEY' \
        WHERE t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND k.constraint_type IS NULL \
        AND t.table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys') ORDER BY 1, 2";
    let rows: Vec<(String, String)> = connector.within("query", conn.query(query)).await?;
    let keyless: Vec<String> =
        rows.into_iter().map(|(d, t)| TableName::new(d, t)).filter(|n| catalogue.captures(n)).map(|n| n.to_string()).collect();
    if !keyless.is_empty() {
        let named = keyless.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        tracing::warn!(
            tables = named,
            count = keyless.len(),
            remedy = "give them a primary key; a Kafka sink needs `keyless:` to take them, files take them as they are",
            "captured tables have no primary key"
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
