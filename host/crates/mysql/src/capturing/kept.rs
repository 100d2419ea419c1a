//! What is kept of captures from one run to the next: which tables are captured from which place of the log on, and which are copied
//! anew.
//!
//! A start reads again what was read before it ended. What is captured of that must be the same as then, so tables that were added
//! or removed in between are so at the same places again.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::super::{captured::Captured, copy, position::BinlogPosition};
use sluicegate_config::TablePatterns;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, LanePlace, TableName},
};

/// Which tables are captured from a place on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The place.
    pub from: BinlogPosition,
    /// The tables.
    pub tables: TablePatterns,
}

/// A copy that every sink gets, whatever it has of earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anew {
    /// Which copy of the table it is; 0 for a table that was captured before and not copied.
    pub number: u32,
    /// Whether it begins with a truncate.
    pub empties: bool,
}

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Which tables are captured, in the order of the places.
    pub versions: Vec<Version>,
    /// The copies that were asked for, until every sink has begun with them.
    pub copies: BTreeMap<TableName, Anew>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredVersion {
    from: serde_json::Value,
    tables: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCopy {
    table: String,
    copy: u32,
    truncate: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    captured: Vec<StoredVersion>,
    copies: Vec<StoredCopy>,
}

/// The patterns as they are written in a pipeline file.
fn written(tables: &TablePatterns) -> Vec<String> {
    let include = tables.include().iter().map(|pattern| pattern.as_str().to_owned());
    include.chain(tables.exclude().iter().map(|pattern| format!("!{}", pattern.as_str()))).collect()
}

impl Kept {
    /// Reads what was kept.
    pub fn parse(text: Option<&str>) -> Result<Self> {
        let Some(text) = text else { return Ok(Self::default()) };
        let unreadable = || {
            Error::new(ErrorKind::State, "what the checkpoint says of the captured tables is not of a MySQL or MariaDB source")
                .remedy("Use the state file that belongs to this pipeline, or a new one.")
        };
        let stored: Stored = serde_json::from_str(text).map_err(|e| unreadable().caused_by(e))?;
        let version = |StoredVersion { from, tables }: StoredVersion| {
            let tables = TablePatterns::new(&tables).map_err(|_| unreadable())?;
            Ok(Version { from: BinlogPosition::parse(&from.to_string())?, tables })
        };
        let copy = |StoredCopy { table, copy, truncate }: StoredCopy| {
            let table = TableName::parse(&table).ok_or_else(unreadable)?;
            Ok((table, Anew { number: copy, empties: truncate }))
        };
        let versions = stored.captured.into_iter().map(version).collect::<Result<_>>()?;
        Ok(Self { versions, copies: stored.copies.into_iter().map(copy).collect::<Result<_>>()? })
    }

    /// As it is kept.
    pub fn to_json(&self) -> String {
        let version = |version: &Version| StoredVersion {
            // its own text is JSON
            from: serde_json::from_str(&version.from.to_json()).unwrap_or_default(),
            tables: written(&version.tables),
        };
        let copy = |(table, copy): (&TableName, &Anew)| StoredCopy { table: table.to_string(), copy: copy.number, truncate: copy.empties };
        let stored = Stored { captured: self.versions.iter().map(version).collect(), copies: self.copies.iter().map(copy).collect() };
        // strings and numbers: nothing of it can fail
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// The tables that were captured last.
    pub fn last(&self) -> Option<&TablePatterns> {
        self.versions.last().map(|version| &version.tables)
    }

    /// A run begins at a place, with a pipeline file that has these tables. Answers which of the versions holds there; those behind it
    /// begin as the stream reaches their places. With other tables than the last ones, these hold from here on.
    pub fn begin(&mut self, place: &BinlogPosition, tables: &TablePatterns) -> usize {
        if self.last() != Some(tables) {
            self.versions = vec![Version { from: without_parts(place), tables: tables.clone() }];
        }
        let reached = |version: &Version| place.set_covers(&version.from).unwrap_or(true);
        self.versions.iter().rposition(reached).unwrap_or_default()
    }

    /// Other tables are captured from a place on.
    pub fn capture(&mut self, place: &BinlogPosition, tables: TablePatterns) {
        let from = without_parts(place);
        // nothing was read between two changes at one place
        self.versions.retain(|version| version.from != from);
        self.versions.push(Version { from, tables });
    }

    /// Whether the table is known to have been captured before.
    pub fn knew(&self, table: &TableName, captured: impl Fn(&TablePatterns) -> Captured) -> bool {
        self.copies.contains_key(table) || self.versions.iter().any(|version| captured(&version.tables).captures(table))
    }

    /// Forgets what no start from these places on, which are durable, needs.
    pub fn prune(&mut self, durable: &[Frontier]) {
        let Ok(places) = durable.iter().map(super::super::place_of).collect::<Result<Vec<_>>>() else { return };
        if places.is_empty() {
            return;
        }
        let passed = |version: &Version| places.iter().all(|place| place.set_covers(&version.from).unwrap_or(false));
        let needed = self.versions.iter().rposition(passed).unwrap_or_default();
        self.versions.drain(..needed);
        let begun = |table: &TableName, copy: &Anew| {
            let lane = copy::place::lane(table);
            let begun = |frontier: &Frontier| {
                let place = frontier.get(lane.name()).map(copy::place::CopyPlace::of);
                place.is_some_and(|place| place.is_ok_and(|place| place.generation >= copy.number))
            };
            copy.number > 0 && durable.iter().all(begun)
        };
        self.copies.retain(|table, copy| !begun(table, copy));
    }
}

/// The place between two transactions.
fn without_parts(place: &BinlogPosition) -> BinlogPosition {
    BinlogPosition {
        open: Vec::new(),
        prepared: Vec::new(),
        skip: None,
        gtid_set: place.gtid_set.as_ref().map(Arc::clone),
        ..place.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> BinlogPosition {
        BinlogPosition::parse(&format!(r#"{{"flavor":"mysql","server":"u","file":"b.1","position":{position},"gtid_set":null}}"#)).unwrap()
    }

    fn tables(patterns: &[&str]) -> TablePatterns {
        TablePatterns::new(patterns).unwrap()
    }

    #[test]
    fn what_is_kept_is_read_back_as_it_was_written() {
        let mut kept = Kept::default();
        assert_eq!(Kept::parse(None).unwrap(), kept);
        kept.begin(&at(4), &tables(&["shop.*", "!shop.`a.b`"]));
        kept.copies.insert(TableName::new("a.b", "c`"), Anew { number: 2, empties: true });
        assert_eq!(Kept::parse(Some(&kept.to_json())).unwrap(), kept);
        for broken in ["", "{}", "7", r#"{"captured":[{"from":{},"tables":[]}],"copies":[]}"#] {
            assert!(Kept::parse(Some(broken)).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_start_captures_what_was_captured_at_its_place_before() {
        let (one, two, three) = (tables(&["s.a"]), tables(&["s.a", "s.b"]), tables(&["s.c"]));
        let mut kept = Kept::default();
        assert_eq!(kept.begin(&at(10), &one), 0);
        kept.capture(&at(20), two.clone());
        for (place, version) in [(10, 0), (15, 0), (20, 1), (30, 1), (5, 0)] {
            assert_eq!(kept.clone().begin(&at(place), &two), version, "{place}");
        }
        assert_eq!(kept.begin(&at(15), &three), 0);
        assert_eq!(kept.versions, [Version { from: at(15), tables: three }]);
    }

    #[test]
    fn versions_that_no_sink_goes_back_to_are_forgotten() {
        let mut kept = Kept::default();
        kept.begin(&at(10), &tables(&["s.a"]));
        kept.capture(&at(20), tables(&["s.b"]));
        kept.capture(&at(30), tables(&["s.c"]));
        kept.copies.insert(TableName::new("s", "c"), Anew { number: 1, empties: false });
        let frontier = |position: u64, copy: u32| {
            use sluicegate_model::change::{Lane, Offset};
            let mut frontier = Frontier::of(Lane::new("binlog"), Offset::new(at(position)));
            frontier.set(copy::place::lane(&TableName::new("s", "c")), Offset::new(copy::place::CopyPlace::beginning(copy)));
            frontier
        };
        kept.prune(&[frontier(35, 1), frontier(25, 0)]);
        assert_eq!((kept.versions.len(), kept.copies.len()), (2, 1));
        kept.prune(&[frontier(35, 1), frontier(30, 2)]);
        assert_eq!((kept.versions.len(), kept.copies.len()), (1, 0));
    }
}
