//! The history of the captured tables' schemas: which version holds at the place that is being read.
//!
//! A version begins at a place and ends where the table's next one begins. Where one ends and the next is not known, a version
//! without a schema begins. Every schema change that the stream passes is noted before anything behind it is delivered, so what is
//! kept is complete up to the place that was read to. Nothing here asks a server or writes: changes of what is kept are answered.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{captured::Captured, gtid::Gtid, position::BinlogPosition, statement::Touched};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{LanePlace, TableName},
    limits::{HISTORY_DATABASES, HISTORY_VERSIONS},
};
use sluicegate_source::{KeptChange, KeptVersion};

/// A place of the log at which a version begins.
#[derive(Debug)]
pub struct Milestone {
    /// The place: behind the statement, or where a run began.
    pub position: BinlogPosition,
    /// The transaction that changed the schema.
    pub gtid: Option<Gtid>,
    /// How it is kept.
    text: Arc<str>,
}

/// A milestone's kept form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    gtid: Option<String>,
    behind: serde_json::Value,
}

impl Milestone {
    /// Behind a statement, or (without a GTID) any place.
    pub fn new(position: BinlogPosition, gtid: Option<Gtid>) -> Self {
        // what of a transaction was delivered has no meaning for schemas
        let position = BinlogPosition { open: Vec::new(), prepared: Vec::new(), skip: None, ..position };
        let behind = serde_json::from_str(&position.to_json()).unwrap_or_default();
        let kept = Kept { gtid: gtid.as_ref().map(ToString::to_string), behind };
        // of strings and numbers: nothing of it can fail
        let text = serde_json::to_string(&kept).unwrap_or_default().into();
        Self { position, gtid, text }
    }

    /// As it was kept.
    pub fn parse(text: &Arc<str>) -> Result<Self> {
        let unreadable = || {
            Error::new(ErrorKind::State, "the checkpoint holds versions of schemas that are not of a MySQL or MariaDB source")
                .remedy("Use the state file that belongs to this pipeline, or a new one.")
        };
        let kept: Kept = serde_json::from_str(text).map_err(|e| unreadable().caused_by(e))?;
        let position = BinlogPosition::parse(&kept.behind.to_string())?;
        let gtid = kept.gtid.map(|gtid| Gtid::parse(&gtid).ok_or_else(unreadable)).transpose()?;
        Ok(Self { position, gtid, text: text.clone() })
    }

    /// Whether `place` is behind it; `None` where that cannot be told.
    fn is_before(&self, place: &BinlogPosition) -> Option<bool> {
        match (&self.gtid, &place.gtid_set) {
            (Some(gtid), Some(executed)) if !place.shares_log(&self.position) => Some(executed.contains(gtid)),
            _ => place.set_covers(&self.position).ok(),
        }
    }

    /// Whether both are of one statement in the log.
    fn is_same(&self, other: &Self) -> bool {
        match (&self.gtid, &other.gtid) {
            (Some(own), Some(other)) => own == other,
            (None, None) => {
                let (own, other) = (&self.position, &other.position);
                own.server == other.server && own.file == other.file && own.position == other.position
            }
            _ => false,
        }
    }
}

/// A version of a table.
#[derive(Clone, Debug)]
struct Version {
    from: Arc<Milestone>,
    /// Whether its schema is kept.
    known: bool,
}

/// Which tables a change concerned that did not name them.
#[derive(Clone, Debug)]
enum Reach {
    All,
    Database(String),
    /// Those that the second captures and the first did not: nothing was noted of them before.
    Added(Box<(Captured, Captured)>),
}

impl Reach {
    fn concerns(&self, table: &TableName) -> bool {
        match self {
            Self::All => true,
            Self::Database(database) => *database == table.database,
            Self::Added(captured) => captured.1.captures(table) && !captured.0.captures(table),
        }
    }

    fn is_of(&self, database: &str) -> bool {
        matches!(self, Self::Database(own) if own == database)
    }
}

/// What is known of every captured table.
#[derive(Debug)]
pub struct History {
    /// What is kept, of each table in the order in which it came.
    kept: HashMap<TableName, Vec<Version>>,
    /// How many versions that are.
    count: usize,
    /// How many there were when they were pruned last.
    pruned: usize,
    /// The version of each table at the present place, once it was looked for or changed in this run.
    present: HashMap<TableName, Version>,
    /// The last changes of many tables in this run, in their order.
    wide: Vec<(Reach, Arc<Milestone>)>,
    /// Where this run began.
    began: Arc<Milestone>,
    /// Up to where every change is kept.
    read_to: Option<BinlogPosition>,
}

impl History {
    /// What was kept, before a run that begins at `place`.
    ///
    /// # Errors
    /// `State`: it is not of this source.
    pub fn load(versions: Vec<KeptVersion>, read_to: Option<&str>, place: &BinlogPosition) -> Result<Self> {
        let mut places: HashMap<Arc<str>, Arc<Milestone>> = HashMap::new();
        let mut kept: HashMap<TableName, Vec<Version>> = HashMap::new();
        let count = versions.len();
        for KeptVersion { table, place, known } in versions {
            let from = match places.get(&place) {
                Some(from) => from.clone(),
                None => places.entry(place.clone()).or_insert(Arc::new(Milestone::parse(&place)?)).clone(),
            };
            kept.entry(table).or_default().push(Version { from, known });
        }
        let read_to = read_to.map(BinlogPosition::parse).transpose()?;
        let began = Arc::new(Milestone::new(place.clone(), None));
        Ok(Self { kept, count, pruned: count, present: HashMap::new(), wide: Vec::new(), began, read_to })
    }

    /// From where on changes may have been missed before the place at which the run begins: an operator has moved a sink, say.
    pub fn gap(&self) -> Option<&BinlogPosition> {
        let read_to = self.read_to.as_ref().filter(|_| !self.kept.is_empty())?;
        let covered = read_to.set_covers(&self.began.position).unwrap_or(false);
        (!covered).then_some(read_to)
    }

    /// Up to where changes are kept, where that is not the place at which the run begins, and not before it: it is beyond that place, or
    /// elsewhere in the log. Where the log no longer has it, the log has lost its end, and numbers of lost transactions were given to
    /// others: then nothing that is kept is sure.
    pub fn ahead(&self) -> Option<&BinlogPosition> {
        let read_to = self.read_to.as_ref().filter(|_| !self.kept.is_empty())?;
        let began = &self.began.position;
        let same = (&read_to.server, &read_to.file, read_to.position) == (&began.server, &began.file, began.position);
        (!same && self.gap().is_none()).then_some(read_to)
    }

    /// Nothing that is kept is of use.
    pub fn forget_all(&mut self) -> Vec<KeptChange> {
        self.kept.clear();
        self.present.clear();
        self.count = 0;
        self.read_to = None;
        vec![KeptChange::ForgetAll]
    }

    /// In the gap before the place at which the run begins, the schemas of tables changed.
    pub fn close_gap(&mut self, touched: impl Fn(&TableName) -> bool) -> Vec<KeptChange> {
        let mut changes = Vec::new();
        let from = self.began.clone();
        for (table, versions) in self.kept.iter_mut().filter(|(table, _)| touched(table)) {
            versions.push(Version { from: from.clone(), known: false });
            self.count += 1;
            changes.push(KeptChange::Begin { table: table.clone(), place: from.text.clone(), schema: None });
        }
        self.read_to = Some(from.position.clone());
        changes.push(KeptChange::ReadTo(from.position.to_json().into()));
        changes
    }

    /// Forgets tables that are not captured, and versions that ended before all of these places.
    pub fn prune(&mut self, places: &[BinlogPosition], captured: impl Fn(&TableName) -> bool) -> Vec<KeptChange> {
        let mut needed: HashMap<TableName, Vec<Arc<Milestone>>> = HashMap::new();
        for (table, versions) in self.kept.iter().filter(|(table, _)| captured(table)) {
            let at: Option<Vec<_>> = places.iter().map(|place| in_force(versions, place)).collect();
            // where it cannot be told which version holds, all of them stay
            let Some(at) = at else { continue };
            let keep = |version: &&Version| {
                let holds = at.iter().flatten().any(|v| Arc::ptr_eq(&v.from, &version.from));
                holds || places.iter().any(|place| version.from.is_before(place) != Some(true))
            };
            let kept: Vec<&Version> = versions.iter().filter(keep).collect();
            // of a table of which no schema is known, nothing needs to be kept
            let known = kept.iter().any(|version| version.known);
            needed.insert(table.clone(), kept.iter().filter(|_| known).map(|v| v.from.clone()).collect());
        }
        self.forget_where(|version, table| match needed.get(table) {
            Some(needed) => !needed.iter().any(|from| Arc::ptr_eq(from, &version.from)),
            None => !captured(table),
        })
    }

    fn forget_where(&mut self, unneeded: impl Fn(&Version, &TableName) -> bool) -> Vec<KeptChange> {
        let mut changes = Vec::new();
        for (table, versions) in &mut self.kept {
            versions.retain(|version| {
                let forget = unneeded(version, table);
                if forget {
                    changes.push(KeptChange::Forget { table: table.clone(), place: version.from.text.clone() });
                }
                !forget
            });
        }
        self.kept.retain(|_, versions| !versions.is_empty());
        self.count -= changes.len();
        self.pruned = self.count;
        changes
    }

    /// Whether so many versions came since the last time that it is time to prune.
    pub fn is_large(&self) -> bool {
        self.count > self.pruned + HISTORY_VERSIONS
    }

    /// Forgets what was looked up and changed in this run when that is more than `limit` tables. All of it that matters is kept.
    pub fn trim(&mut self, limit: usize, place: impl FnOnce() -> BinlogPosition) {
        if self.present.len() > limit {
            self.began = Arc::new(Milestone::new(place(), None));
            self.present.clear();
            self.wide.clear();
        }
    }

    /// The stream passes a statement that may have changed schemas.
    pub fn change(&mut self, touched: &Touched, at: Milestone, captured: impl Fn(&TableName) -> bool) -> Vec<KeptChange> {
        let at = Arc::new(at);
        let tables: Vec<TableName> = match touched {
            Touched::Tables(tables) => tables.iter().filter(|table| captured(table)).cloned().collect(),
            Touched::Database(_) | Touched::Any => {
                let reach = match touched {
                    Touched::Database(database) => Reach::Database(database.clone()),
                    _ => Reach::All,
                };
                match &reach {
                    Reach::Database(database) => self.wide.retain(|(known, _)| !known.is_of(database)),
                    _ => self.wide.clear(),
                }
                self.widen(reach, &at);
                let mut tables: Vec<TableName> = self.kept.keys().chain(self.present.keys()).cloned().collect();
                tables.sort();
                tables.dedup();
                tables.into_iter().filter(|table| touched.may_be(table)).collect()
            }
        };
        self.change_tables(tables, &at)
    }

    fn widen(&mut self, reach: Reach, at: &Arc<Milestone>) {
        if self.wide.len() >= HISTORY_DATABASES {
            // later than it was, and for every table: versions that are learned begin later than they might
            self.wide.clear();
            self.wide.push((Reach::All, at.clone()));
        } else {
            self.wide.push((reach, at.clone()));
        }
    }

    /// Other tables are captured from a place on: nothing was noted before it of those that come.
    pub fn capture(&mut self, before: &Captured, after: &Captured, at: Milestone) -> Vec<KeptChange> {
        let at = Arc::new(at);
        let reach = Reach::Added(Box::new((before.clone(), after.clone())));
        let mut tables: Vec<TableName> =
            self.kept.keys().chain(self.present.keys()).filter(|table| reach.concerns(table)).cloned().collect();
        tables.sort();
        tables.dedup();
        self.widen(reach, &at);
        self.change_tables(tables, &at)
    }

    /// The schemas of these tables may be others from a place on.
    fn change_tables(&mut self, tables: Vec<TableName>, at: &Arc<Milestone>) -> Vec<KeptChange> {
        let mut changes = Vec::new();
        for table in tables {
            let versions = self.kept.get(&table).map(Vec::as_slice).unwrap_or_default();
            let version = match versions.iter().find(|version| version.from.is_same(at)) {
                // read before, and reached again
                Some(version) => version.clone(),
                None => {
                    let version = Version { from: at.clone(), known: false };
                    if !versions.is_empty() {
                        changes.push(self.keep(&table, version.clone(), None));
                    }
                    version
                }
            };
            self.present.insert(table, version);
        }
        if !changes.is_empty() {
            changes.extend(self.note_read_to(&at.position));
        }
        changes
    }

    fn keep(&mut self, table: &TableName, version: Version, schema: Option<Arc<str>>) -> KeptChange {
        let place = version.from.text.clone();
        let versions = self.kept.entry(table.clone()).or_default();
        match versions.iter_mut().find(|kept| kept.from.text == place) {
            Some(kept) => *kept = version,
            None => {
                versions.push(version);
                self.count += 1;
            }
        }
        KeptChange::Begin { table: table.clone(), place, schema }
    }

    /// Everything before the place is kept. Nothing to say when no version is.
    pub fn note_read_to(&mut self, place: &BinlogPosition) -> Option<KeptChange> {
        let forward = match &self.read_to {
            Some(known) => !known.set_covers(place).unwrap_or(false),
            None => true,
        };
        if self.kept.is_empty() || !forward {
            return None;
        }
        let place = BinlogPosition { open: Vec::new(), prepared: Vec::new(), skip: None, ..place.clone() };
        let change = KeptChange::ReadTo(place.to_json().into());
        self.read_to = Some(place);
        Some(change)
    }

    fn present(&mut self, table: &TableName) -> &mut Version {
        self.present.entry(table.clone()).or_insert_with(|| {
            // a change of its whole database, which it was not kept at, or what was kept where the run began
            let concerned = |(reach, _): &&(Reach, _)| reach.concerns(table);
            let unknown = |from: &Arc<Milestone>| Version { from: from.clone(), known: false };
            match self.wide.iter().rev().find(concerned) {
                Some((_, from)) => unknown(from),
                None => {
                    let versions = self.kept.get(table).map(Vec::as_slice).unwrap_or_default();
                    in_force(versions, &self.began.position).flatten().cloned().unwrap_or_else(|| unknown(&self.began))
                }
            }
        })
    }

    /// The tables of a database of which versions are kept, in the order of their names.
    pub fn tables_of(&self, database: &str) -> Vec<TableName> {
        let mut tables: Vec<TableName> = self.kept.keys().filter(|table| table.database == database).cloned().collect();
        tables.sort();
        tables
    }

    /// Where the version that holds at the present place begins, as it is kept; `None` when its schema is not known.
    pub fn known(&mut self, table: &TableName) -> Option<Arc<str>> {
        let version = self.present(table);
        version.known.then(|| version.from.text.clone())
    }

    /// Where the version that holds at the present place begins, as it would be kept.
    pub fn begin_of(&mut self, table: &TableName) -> Arc<str> {
        self.present(table).from.text.clone()
    }

    /// The schema that holds at the present place, and has since the version there began, is learned.
    pub fn learn(&mut self, table: &TableName, schema: Arc<str>, place: &BinlogPosition) -> Vec<KeptChange> {
        let version = self.present(table);
        version.known = true;
        let version = version.clone();
        let mut changes = vec![self.keep(table, version, Some(schema))];
        changes.extend(self.note_read_to(place));
        changes
    }

    /// The kept schema that should hold at the present place was contradicted by the log: another one holds from here on.
    pub fn correct(&mut self, table: &TableName, schema: Arc<str>, place: &BinlogPosition) -> Vec<KeptChange> {
        let version = Version { from: Arc::new(Milestone::new(place.clone(), None)), known: true };
        self.present.insert(table.clone(), version.clone());
        let mut changes = vec![self.keep(table, version, Some(schema))];
        changes.extend(self.note_read_to(place));
        changes
    }
}

/// The version that holds at a place, if one is kept; `None` where that cannot be told.
fn in_force<'a>(versions: &'a [Version], place: &BinlogPosition) -> Option<Option<&'a Version>> {
    let mut last: Option<&Version> = None;
    for version in versions {
        if !version.from.is_before(place)? {
            continue;
        }
        last = match last {
            Some(other) if !version.from.position.set_covers(&other.from.position).ok()? => {
                if !other.from.position.set_covers(&version.from.position).ok()? {
                    return None;
                }
                Some(other)
            }
            // of two that begin at one place the known one holds: nothing changed between them
            Some(other) if other.known && !version.known && other.from.position.set_covers(&version.from.position).ok()? => Some(other),
            _ => Some(version),
        };
    }
    Some(last)
}

#[cfg(test)]
mod tests;
