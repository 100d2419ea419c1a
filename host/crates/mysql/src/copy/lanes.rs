//! What is left to copy when a run begins: the lanes of the sinks' frontiers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::place::{self, CopyPlace, KeyText, Reached};
use crate::{capturing::Anew, position::BinlogPosition};
use sluicegate_config::Snapshot;
use sluicegate_model::{
    Result,
    change::{Frontier, Lane, TableName},
};

/// The copies that are not done.
#[derive(Debug)]
pub struct Lanes {
    /// One for each table.
    pub tables: Vec<TableLane>,
    /// Where the sinks are in the log.
    pub sinks: Vec<BinlogPosition>,
    /// How they are copied.
    pub settings: Snapshot,
}

/// The copy of one table.
#[derive(Debug)]
pub struct TableLane {
    /// Its lane.
    pub lane: Lane,
    /// The table.
    pub name: TableName,
    /// Which copy of the table it is.
    pub generation: u32,
    /// Rows that the sink had that is behind the others.
    pub rows: u64,
    /// Whether it is not the table's first one: it begins with a truncate.
    pub anew: bool,
    /// Whether nothing of the table was delivered before this run.
    pub fresh: bool,
    /// Whether rows were delivered that have to be void: the copy of a table without a key was not finished.
    pub broken: bool,
    /// Whether there is a sink that has no row yet.
    pub from_the_start: bool,
    /// The keys that the other sinks have reached; in no order.
    pub keys: Vec<KeyText>,
    /// The columns that these are of, where there are any; none where the sinks differ in that.
    pub key: Option<Arc<str>>,
}

impl Lanes {
    /// What is left to copy of the captured tables for sinks at these frontiers; `None` if nothing is. `anew`: the copies that every
    /// sink gets.
    pub fn of(
        frontiers: &[Frontier],
        sinks: Vec<BinlogPosition>,
        settings: &Snapshot,
        anew: &BTreeMap<TableName, Anew>,
        captures: impl Fn(&TableName) -> bool,
    ) -> Result<Option<Self>> {
        let mut places: BTreeMap<Lane, Vec<CopyPlace>> = BTreeMap::new();
        for (lane, offset) in frontiers.iter().flat_map(Frontier::lanes).filter(|(lane, _)| place::is_copy(lane.name())) {
            places.entry(lane.clone()).or_default().push(CopyPlace::of(offset)?.into_owned());
        }
        for name in anew.iter().filter(|(_, copy)| copy.number > 0).map(|(name, _)| name) {
            let lane = place::lane(name);
            let without = frontiers.iter().filter(|frontier| frontier.get(lane.name()).is_none()).count();
            places.entry(lane).or_default().extend(std::iter::repeat_n(CopyPlace::beginning(0), without));
        }
        let left = places.into_iter().filter_map(|(lane, places)| TableLane::new(lane, &places, anew));
        let tables: Vec<TableLane> = left.filter(|table| captures(&table.name)).collect();
        if tables.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { tables, sinks, settings: settings.clone() }))
    }
}

impl TableLane {
    fn begin(lane: Lane, name: TableName, generation: u32) -> Self {
        let (anew, fresh, broken, from_the_start) = (false, false, false, false);
        Self { lane, name, generation, rows: u64::MAX, anew, fresh, broken, from_the_start, keys: Vec::new(), key: None }
    }

    fn new(lane: Lane, places: &[CopyPlace], anew: &BTreeMap<TableName, Anew>) -> Option<Self> {
        let name = place::table_of(lane.name())?;
        let anew = anew.get(&name);
        let number = anew.map_or(0, |copy| copy.number);
        let generation = places.iter().map(|place| place.generation).max()?.max(number);
        let mut table = Self::begin(lane, name, generation);
        table.fresh = number == 0 && places.iter().all(|place| place.fresh);
        let mut columns: BTreeSet<Arc<str>> = BTreeSet::new();
        for place in places {
            // what it has is void
            table.anew |= place.generation < number && anew.is_some_and(|copy| copy.empties);
            match &place.reached {
                _ if place.generation < generation => (table.from_the_start, table.rows) = (true, 0),
                Reached::All => {}
                Reached::Nothing => (table.from_the_start, table.rows) = (true, 0),
                Reached::Some => (table.from_the_start, table.broken, table.rows) = (true, true, 0),
                Reached::Key(key) => {
                    table.rows = table.rows.min(place.rows);
                    columns.insert(place.key.clone());
                    if !table.keys.contains(key) {
                        table.keys.push(key.clone());
                    }
                }
            }
        }
        if columns.len() == 1 {
            table.key = columns.pop_first();
        }
        (table.from_the_start || !table.keys.is_empty()).then_some(table)
    }
}
