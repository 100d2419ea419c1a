//! Whether server, database and tables are ready: every fault found, each with its remedy as SQL. Nothing is changed.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    access,
    catalogue::{self, Discovered, ENABLE_DATABASE, Facts, Listed, Standing, Tracking},
    column::CatalogueColumn,
    connection::{Conn, Connector},
    events,
    fault::Fault,
    place::{self, CtPlace},
    row::Cells,
    schedule::enable,
    sql,
    table::{self, TrackedTable},
    tracked_lane::{Verdict, judge},
    value::Parameter,
    visit::{lost, read_only},
};
use sluicegate_config::{Isolation, SqlServerSource, StartAt, TrackedStart};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, NumberedColumns, Offset, TableName},
    finding::{Finding, listed as named},
    limits::{CHECK_NAMES, CHECKED_TABLES, Limits},
};
use sluicegate_source::{Begin, Inventory};

/// The oldest version that is known to work: SQL Server 2012.
const OLDEST: u32 = 11;
const MINUTE: u64 = 60;

/// What is said of entries of `tables` without effect.
pub(super) const WITHOUT: &str = "entries of `tables` that match no table that the account sees";
pub(super) const WITHOUT_REMEDY: &str =
    "Correct them, grant the account SELECT on what they are for, take them out, or leave them if the tables are made later.";

/// What the checks gather.
pub(super) struct Checked<'a> {
    pub(super) settings: &'a SqlServerSource,
    pub(super) limits: &'a Limits,
    pub(super) findings: Vec<Finding>,
    /// What the server calls the databases, in the order of the settings.
    pub(super) names: Vec<String>,
    /// The entries of `tables` that match a table in any database.
    matching: BTreeSet<usize>,
    /// The other ones, in words, where there are some that match.
    pub(super) without: Vec<String>,
}

/// A database that was looked at.
struct Looked {
    facts: Facts,
    found: Vec<Listed>,
}

/// Faults of a query, as errors.
fn told(fault: Fault) -> Error {
    fault.into_error().unwrap_or_else(|| Error::new(ErrorKind::Internal, "nobody takes items"))
}

impl<'a> Checked<'a> {
    pub(super) fn new(settings: &'a SqlServerSource, limits: &'a Limits) -> Self {
        Self { settings, limits, findings: Vec::new(), names: Vec::new(), matching: BTreeSet::new(), without: Vec::new() }
    }

    /// Checks everything; answers where each sink begins.
    pub(super) async fn check(&mut self, connectors: &[Connector], sinks: &[Begin]) -> Result<Vec<Frontier>> {
        let mut databases = Vec::new();
        for connector in connectors {
            let before = self.findings.len();
            let looked = self.look(connector).await;
            if connectors.len() > 1 {
                for finding in self.findings.iter_mut().skip(before) {
                    finding.found = format!("database {}: {}", connector.database(), finding.found);
                }
            }
            let looked = looked?;
            if self.names.contains(&looked.facts.database) {
                return Err(Error::new(ErrorKind::Config, format!("the source's `databases` name `{}` twice", looked.facts.database))
                    .remedy("Name it once."));
            }
            self.names.push(looked.facts.database.clone());
            databases.push(looked);
        }
        self.entries();
        let frontiers = self.positions(&databases, sinks)?;
        match Finding::error(&self.findings) {
            Some(error) => Err(error),
            None => Ok(frontiers),
        }
    }

    /// Entries of `tables` without effect. That none has any is told of each database.
    fn entries(&mut self) {
        if self.matching.is_empty() {
            return;
        }
        let without = self.settings.tables.iter().enumerate().filter(|(at, _)| !self.matching.contains(at));
        self.without = without.map(|(_, entry)| format!("{{ schema: {}, like: '{}' }}", entry.schema, entry.like)).collect();
        if !self.without.is_empty() {
            let named = named(self.without.iter().map(String::as_str), CHECK_NAMES);
            self.findings.push(Finding::warn("tables", format!("{WITHOUT}: {named}"), WITHOUT_REMEDY));
        }
    }

    async fn look(&mut self, connector: &Connector) -> Result<Looked> {
        let mut conn = connector.connect().await.map_err(told)?;
        let facts = catalogue::facts(&mut conn).await.map_err(told)?;
        self.server(connector.address(), &facts);
        let tracked = self.database(&mut conn, &facts).await.map_err(told)?;
        let entries = self.settings.tables_of(connector.database());
        let Discovered { tables: found, without } =
            catalogue::discover(&mut conn, &facts.database, &entries, self.limits.known_tables).await.map_err(told)?;
        let own = self.settings.tables.iter().enumerate().filter(|(_, entry)| entry.is_of(connector.database()));
        self.matching.extend(own.enumerate().filter(|(number, _)| !without.contains(number)).map(|(_, (at, _))| at));
        if tracked {
            self.tables(&mut conn, &found).await.map_err(told)?;
        }
        Ok(Looked { facts, found })
    }

    fn server(&mut self, address: &str, facts: &Facts) {
        let Facts { version, edition, compatibility, .. } = facts;
        self.findings.push(Finding::pass(
            "connection",
            format!("{address} answers: SQL Server {version}, {edition}, compatibility level {compatibility}"),
        ));
        let major = version.split('.').next().and_then(|number| number.parse::<u32>().ok());
        if major.is_none_or(|major| major < OLDEST) {
            self.findings.push(Finding::warn(
                "server version",
                format!("version {version} is older than any that this source is written for"),
                "Upgrade to SQL Server 2012 or later.",
            ));
        }
        if facts.writable {
            self.findings.push(Finding::pass("replica", "the database can be written: it is no secondary replica"));
        } else {
            self.findings.push(Finding::of("replica", &read_only()));
        }
    }

    /// Change Tracking, retention and isolation of the database; whether it is tracked.
    async fn database(&mut self, conn: &mut Conn, facts: &Facts) -> Result<bool, Fault> {
        let row = conn.rows(sql::RETENTION, &[]).await?.into_iter().next();
        let (Some(row), Some(current)) = (row, facts.current) else {
            self.findings.push(Finding::fail("change tracking", "Change Tracking is off for the database", ENABLE_DATABASE));
            return Ok(false);
        };
        self.findings.push(Finding::pass("change tracking", format!("on, at version {current}")));
        let row = Cells::from(row);
        let (period, unit) = (row.some_number(1)?, row.text(2)?.unwrap_or_default().to_ascii_uppercase());
        let minutes = match unit.as_str() {
            "MINUTES" => 1,
            "HOURS" => 60,
            _ => 24 * 60,
        };
        let retention = period.cast_unsigned().saturating_mul(minutes * MINUTE);
        let what = format!("changes are kept for {period} {}", unit.to_ascii_lowercase());
        if row.number(0)? != Some(1) {
            self.findings.push(Finding::warn(
                "retention",
                "AUTO_CLEANUP is off: changes are never removed, and each poll takes longer with them",
                "ALTER DATABASE CURRENT SET CHANGE_TRACKING (AUTO_CLEANUP = ON);",
            ));
        } else if retention < self.settings.interval.as_secs().saturating_mul(10).max(3600) {
            self.findings.push(Finding::warn(
                "retention",
                format!(
                    "{what}, and tables are polled every {:?}: a pause of this program that is longer loses changes",
                    self.settings.interval
                ),
                "ALTER DATABASE CURRENT SET CHANGE_TRACKING (CHANGE_RETENTION = 7 DAYS);",
            ));
        } else {
            self.findings.push(Finding::pass("retention", format!("{what}: this program may be away that long")));
        }
        match (self.settings.isolation, facts.snapshot) {
            (Isolation::Auto | Isolation::Snapshot, 1) => {
                self.findings.push(Finding::pass("isolation", "SNAPSHOT: each round sees one instant"));
            }
            (Isolation::Snapshot, _) => self.findings.push(Finding::fail(
                "isolation",
                "the database does not allow SNAPSHOT isolation",
                "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON; or write `isolation: auto` at the source.",
            )),
            (Isolation::Auto, _) => self.findings.push(Finding::warn(
                "isolation",
                "the database does not allow SNAPSHOT isolation: a row may be newer than its change, and changes may come twice",
                "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON;",
            )),
            _ => self.findings.push(Finding::warn(
                "isolation",
                "by the settings, rounds do not run under SNAPSHOT: a row may be newer than its change, and changes may come twice",
                "Write `isolation: auto` at the source.",
            )),
        }
        Ok(true)
    }

    /// What matches, what of it is tracked, and whether it can be read.
    async fn tables(&mut self, conn: &mut Conn, found: &[Listed]) -> Result<(), Fault> {
        let tracked: Vec<&Listed> = found.iter().filter(|listed| listed.tracked.is_some()).collect();
        let untracked: Vec<&Listed> = found.iter().filter(|listed| listed.tracked.is_none()).collect();
        let shown: Vec<String> = untracked.iter().map(|listed| listed.name.to_string()).collect();
        if tracked.is_empty() {
            let what = if untracked.is_empty() {
                "the source's `tables` match no table that the account sees"
            } else {
                "no table that matches has Change Tracking"
            };
            let remedy = untracked.first().map_or_else(
                || "Correct `tables`, or grant the account SELECT and VIEW CHANGE TRACKING on them.".to_owned(),
                |listed| enable(&listed.name),
            );
            self.findings.push(Finding::fail("tables", what, remedy));
            return Ok(());
        }
        if !untracked.is_empty() {
            let remedies: Vec<String> = untracked.iter().take(CHECK_NAMES).map(|listed| enable(&listed.name)).collect();
            let what = format!(
                "these match and have no Change Tracking, so nothing of them is read: {}",
                named(shown.iter().map(String::as_str), CHECK_NAMES)
            );
            self.findings.push(Finding::warn("tables", what, remedies.join(" ")));
        } else {
            self.findings.push(Finding::pass("tables", format!("{} match, all with Change Tracking", tracked.len())));
        }
        let (mut forbidden, mut converted) = (Vec::new(), Vec::new());
        let before = self.findings.len();
        for listed in tracked.iter().take(CHECKED_TABLES) {
            let quoted = sql::quoted_table(listed.name.schema.as_deref().unwrap_or_default(), &listed.name.table);
            let missing = access::missing(conn, &quoted, self.settings.tracking_only).await?;
            if !missing.is_empty() {
                forbidden.push((quoted, missing));
                continue;
            }
            let columns = catalogue::columns(conn, listed.object).await?;
            self.findings.extend(access::veiled(conn, listed, &quoted, &columns, self.settings.tracking_only).await?);
            match TrackedTable::new(&listed.name, &columns, true, "", self.settings, self.limits.row_bytes) {
                Ok(table) => {
                    if self.settings.tracking_only
                        && let columns = access::unreadable(conn, &quoted, &table).await?
                        && !columns.is_empty()
                    {
                        forbidden.push((quoted, vec![format!("SELECT ({})", columns.join(", "))]));
                    }
                    converted.extend(table::skips(self.settings, &columns).into_iter().map(|column| format!("{}.{column}", listed.name)));
                }
                Err(error) => self.findings.push(Finding::of("column types", &error)),
            }
        }
        if !self.findings.iter().skip(before).any(|finding| finding.item == "column types") {
            self.findings.push(Finding::pass("column types", "all are read, and every table has a primary key"));
        }
        if !converted.is_empty() {
            let what = format!("columns of unknown types are left out: {}", named(converted.iter().map(String::as_str), CHECK_NAMES));
            self.findings.push(Finding::warn("column types", what, "Write `unknown_types: text` at the source to read them as text."));
        }
        if forbidden.is_empty() {
            self.findings.push(Finding::pass("grants", "the account may read tables and changes"));
        }
        for (quoted, missing) in forbidden.iter().take(CHECK_NAMES) {
            let grants: Vec<String> = missing.iter().map(|one| format!("GRANT {one} ON {quoted} TO [the account];")).collect();
            self.findings.push(Finding::fail("grants", format!("the account lacks {} on {quoted}", missing.join(", ")), grants.join(" ")));
        }
        Ok(())
    }

    /// Where each sink begins.
    fn positions(&mut self, databases: &[Looked], sinks: &[Begin]) -> Result<Vec<Frontier>> {
        let beginning = |start: Option<StartAt>| -> Result<Frontier> {
            let all = databases.iter().flat_map(|looked| looked.found.iter().map(|listed| (&looked.facts, listed)));
            let tracked = all.filter_map(|(facts, listed)| listed.tracked.map(|tracked| (facts, listed, tracked)));
            let place = |(facts, listed, tracked): (&Facts, &Listed, Tracking)| {
                let Tracking { begin, minimum } = tracked;
                let current = facts.current.unwrap_or_default();
                let identity = catalogue::identity(facts, listed.object, begin);
                let place = match (&start, listed.start) {
                    (Some(StartAt::Now), _) | (None, TrackedStart::Now) => CtPlace::behind(identity, tracked.first(current)),
                    (Some(StartAt::Earliest), _) => CtPlace::behind(identity, minimum.unwrap_or(begin)),
                    (Some(StartAt::Copy), _) | (None, TrackedStart::Copy) => CtPlace::copy(identity, tracked.first(current), 1),
                    // before its tracking began there was nothing
                    (None, TrackedStart::After(version)) => CtPlace::behind(identity, version.max(begin)),
                    (Some(StartAt::File { .. } | StartAt::Gtid(_)), _) => {
                        return Err(Error::new(ErrorKind::Config, "SQL Server has no binlog positions to start at")
                            .remedy("Write `start: now`, `start: earliest` or `start: copy` at the sink."));
                    }
                };
                Ok((place::lane(&listed.name), Offset::new(place)))
            };
            tracked.map(place).collect()
        };
        let mut frontiers = Vec::new();
        for begin in sinks {
            let mut frontier = match begin {
                Begin::At(frontier) => frontier.clone(),
                Begin::First => beginning(None)?,
                Begin::Start(start) => beginning(Some(start.clone()))?,
            };
            if let (Begin::Start(_), Some(generations)) = (begin, generations(sinks)?) {
                // beside the others, a table is as often begun anew as for them
                let raised = frontier.lanes().filter_map(|(lane, offset)| {
                    let mut place = offset.place::<CtPlace>()?.clone();
                    place.generation = *generations.get(lane.name())?;
                    Some((lane.clone(), Offset::new(place)))
                });
                for (lane, offset) in raised.collect::<Vec<_>>() {
                    frontier.set(lane, offset);
                }
            }
            self.look_at(databases, &frontier, matches!(begin, Begin::At(_)))?;
            frontiers.push(frontier);
        }
        if !self.findings.iter().any(|finding| finding.item == "position") {
            self.findings.push(Finding::pass("position", "the server has the changes after each table's place"));
        }
        Ok(frontiers)
    }

    /// Whether the server has what comes after the places of a sink; `stored` = they are progress, and not where the settings begin.
    fn look_at(&mut self, databases: &[Looked], frontier: &Frontier, stored: bool) -> Result<()> {
        let all = databases.iter().flat_map(|looked| looked.found.iter().map(|listed| (&listed.name, (&looked.facts, listed))));
        let by_name: BTreeMap<&TableName, (&Facts, &Listed)> = all.collect();
        for (lane, offset) in frontier.lanes() {
            let Some(name) = place::table_of(lane.name()) else {
                return Err(Error::new(ErrorKind::State, "the checkpoint holds progress of another source than a SQL Server")
                    .remedy("Use the state file that belongs to this pipeline, or a new one."));
            };
            let place = CtPlace::of(offset)?;
            let Some((facts, listed)) = by_name.get(&name) else { continue };
            let Some(Tracking { begin, minimum }) = listed.tracked else { continue };
            let standing = Standing {
                // its tracking may have begun since that was asked for
                current: facts.current.map(|current| current.max(begin)),
                object: listed.object,
                begin: Some(begin),
                minimum,
                tracks_columns: false,
                modified: "".into(),
            };
            if let Verdict::Lost(reason) = judge(&place, &facts.identity, Some(&standing)) {
                let said = format!("table {name}: ");
                if self.findings.iter().any(|finding| finding.item == "position" && finding.found.starts_with(&said)) {
                    continue;
                }
                let current = standing.current.unwrap_or_default();
                let later = !stored && place.version > current;
                let reason = if later { starts_later(place.version, current).message().to_owned() } else { reason };
                self.findings.push(if self.settings.re_initialise {
                    Finding::warn(
                        "position",
                        format!("table {name}: {reason}"),
                        "Nothing has to be done: the table is emptied and copied anew.",
                    )
                } else {
                    let error = match minimum {
                        _ if later => starts_later(place.version, current),
                        Some(minimum) if !stored && place.version < minimum => cleaned_up(place.version, minimum),
                        _ => lost(&reason),
                    };
                    Finding::of("position", &error.context(format_args!("table {name}")))
                });
            }
        }
        Ok(())
    }
}

/// The settings begin before the first version that the server still has.
fn cleaned_up(version: i64, minimum: i64) -> Error {
    Error::new(
        ErrorKind::Precheck,
        format!("by its `start`, it begins behind version {version}: changes up to version {minimum} were cleaned up"),
    )
    .remedy(format!("Write `start: {minimum}` at its entry of `tables` to miss them, or `start: snapshot-first` to copy its rows."))
}

/// The settings begin behind a version that the database has not come to.
pub(super) fn starts_later(version: i64, current: i64) -> Error {
    Error::new(
        ErrorKind::Precheck,
        format!("by its `start`, it begins behind version {version}, and the database has come to version {current} only"),
    )
    .remedy(format!(
        "Write a version of this database at its entry of `tables`: at most `start: {current}`, which is that of now; or `start: now`."
    ))
}

/// How often each table was begun, as sinks with progress have it.
fn generations(sinks: &[Begin]) -> Result<Option<BTreeMap<String, u32>>> {
    let mut all: BTreeMap<String, u32> = BTreeMap::new();
    for begin in sinks {
        let Begin::At(frontier) = begin else { continue };
        for (lane, offset) in frontier.lanes().filter(|(lane, _)| place::table_of(lane.name()).is_some()) {
            let generation = CtPlace::of(offset)?.generation;
            let own = all.entry(lane.name().to_owned()).or_insert(generation);
            *own = generation.max(*own);
        }
    }
    Ok((!all.is_empty()).then_some(all))
}

/// The tables that the databases have today.
pub(super) async fn inventory(connectors: &[Connector], settings: &SqlServerSource, limits: &Limits) -> Result<Inventory> {
    let mut inventory = Inventory { ignores_case: true, ..Inventory::default() };
    for connector in connectors {
        list(connector, settings, limits, &mut inventory).await?;
    }
    inventory.captured.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(inventory)
}

/// Adds the tables of a database.
async fn list(connector: &Connector, settings: &SqlServerSource, limits: &Limits, inventory: &mut Inventory) -> Result<()> {
    let mut conn = connector.connect().await.map_err(told)?;
    let facts = catalogue::facts(&mut conn).await.map_err(told)?;
    let entries = settings.tables_of(connector.database());
    let found = catalogue::discover(&mut conn, &facts.database, &entries, limits.known_tables).await.map_err(told)?.tables;
    for entry in &entries {
        let parameters = [Parameter::Text(entry.schema.as_str().into()), Parameter::Text(entry.like.as_str().into())];
        for row in conn.rows(sql::VIEWS, &parameters).await.map_err(told)? {
            let row = Cells::from(row);
            let (schema, table) = (row.some_text(0).map_err(told)?, row.some_text(1).map_err(told)?);
            inventory.no_tables.push(TableName {
                database: facts.database.clone(),
                schema: Some(schema.to_owned()),
                table: table.to_owned(),
            });
        }
    }
    for listed in found {
        inventory.seen.push(listed.name.clone());
        if listed.tracked.is_none() {
            continue;
        }
        if inventory.captured.len() >= CHECKED_TABLES {
            inventory.more += 1;
            continue;
        }
        let columns: Vec<CatalogueColumn> = catalogue::columns(&mut conn, listed.object).await.map_err(told)?;
        // what cannot be read is told by the check
        if let Ok(table) = TrackedTable::new(&listed.name, &columns, true, "", settings, limits.row_bytes) {
            inventory.numbered.push((listed.name, NumberedColumns { table: listed.object.into(), ..table.numbered }));
            inventory.captured.push(table.delivered);
        }
    }
    if settings.events {
        inventory.captured.push(events::table(&facts.database).into());
    }
    Ok(())
}
