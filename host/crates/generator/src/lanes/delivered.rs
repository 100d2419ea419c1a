//! Places in a lane whose transactions come in another order at each start: which transactions were delivered, and of those
//! delivered in part how many rows of each table. Places are sets, so of two there may be neither that has everything of the other.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};

use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{LanePlace, Offset},
};

/// Rows delivered of a transaction, by table.
pub(super) type Rows = BTreeMap<Box<str>, u64>;

/// Transactions in a generation at most; the shop's calendar has room for them.
pub(super) const LAST_TRANSACTION: u64 = 1 << 40;

/// A place: `{"seed":7,"generation":1,"below":130,"above":[132],"parts":{"131":{"orders":1}}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delivered {
    pub(super) seed: u64,
    /// Raised each time that the lane begins anew. A higher one has everything of a lower one, which is not given again.
    pub(super) generation: u64,
    /// All transactions with a lower number were delivered.
    pub(super) below: u64,
    /// Further ones that were delivered.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) above: BTreeSet<u64>,
    /// Those that were delivered in part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) parts: BTreeMap<u64, Rows>,
}

impl LanePlace for Delivered {
    fn to_json(&self) -> String {
        // numbers and names of tables always have a JSON text
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Delivered {
    /// The beginning of a generation.
    pub(super) fn beginning(seed: u64, generation: u64) -> Self {
        Self { seed, generation, below: 0, above: BTreeSet::new(), parts: BTreeMap::new() }
    }

    /// The place that an offset holds, or that its text says.
    pub(super) fn of(offset: &Offset) -> Result<Cow<'_, Self>> {
        if let Some(place) = offset.place::<Self>() {
            return Ok(Cow::Borrowed(place));
        }
        let refused = || {
            Error::new(ErrorKind::State, "the checkpoint holds no place of a lane of the generator")
                .remedy("Give this pipeline a state file of its own, or remove the file to begin anew.")
        };
        let mut place: Self = serde_json::from_str(&offset.to_json()).map_err(|e| refused().caused_by(e))?;
        let numbers = place.above.iter().chain(place.parts.keys()).chain([&place.below]);
        if place.generation == 0 || numbers.max().is_some_and(|number| *number > LAST_TRANSACTION) {
            return Err(refused());
        }
        place.settle();
        Ok(Cow::Owned(place))
    }

    /// Whether a transaction of the same generation was delivered as a whole.
    pub(super) fn has(&self, transaction: u64) -> bool {
        transaction < self.below || self.above.contains(&transaction)
    }

    /// How many rows of a table were delivered of a transaction of the same generation that was not delivered as a whole.
    pub(super) fn rows(&self, transaction: u64, table: &str) -> u64 {
        self.parts.get(&transaction).and_then(|rows| rows.get(table)).copied().unwrap_or_default()
    }

    /// A row of a transaction is delivered; with `ends` all of the transaction is.
    pub(super) fn deliver(&mut self, transaction: u64, table: &str, ends: bool) {
        if ends {
            self.finish(transaction);
        } else {
            *self.parts.entry(transaction).or_default().entry(table.into()).or_default() += 1;
        }
    }

    /// All rows of a transaction are delivered.
    pub(super) fn finish(&mut self, transaction: u64) {
        self.above.insert(transaction);
        self.settle();
    }

    /// Its one form: nothing stands twice.
    fn settle(&mut self) {
        while self.above.remove(&self.below) {
            self.below += 1;
        }
        let below = self.below;
        self.above.retain(|transaction| *transaction >= below);
        let above = &self.above;
        self.parts.retain(|transaction, rows| {
            rows.retain(|_, rows| *rows > 0);
            *transaction >= below && !above.contains(transaction) && !rows.is_empty()
        });
    }

    /// Whether everything that was delivered at `other` was delivered here.
    pub(super) fn covers(&self, other: &Self) -> bool {
        if self.generation != other.generation {
            return self.generation > other.generation;
        }
        let reached = self.below >= other.below || (self.below..other.below).all(|transaction| self.above.contains(&transaction));
        let all_of = |transaction, rows: &Rows| rows.iter().all(|(table, rows)| self.rows(transaction, table) >= *rows);
        reached
            && other.above.iter().all(|transaction| self.has(*transaction))
            && other.parts.iter().all(|(transaction, rows)| self.has(*transaction) || all_of(*transaction, rows))
    }

    /// What was delivered at both.
    pub(super) fn meet(&self, other: &Self) -> Self {
        match self.generation.cmp(&other.generation) {
            std::cmp::Ordering::Less => return self.clone(),
            std::cmp::Ordering::Greater => return other.clone(),
            std::cmp::Ordering::Equal => {}
        }
        let mut met = Self { below: self.below.min(other.below), ..Self::beginning(self.seed, self.generation) };
        // what one has beyond its own bound stands below the other's, or beyond it, too
        met.above = self.above.iter().chain(&other.above).copied().filter(|number| self.has(*number) && other.has(*number)).collect();
        for (transaction, rows) in self.parts.iter().chain(&other.parts) {
            let least = |of: &Self, table: &str| if of.has(*transaction) { u64::MAX } else { of.rows(*transaction, table) };
            let both = rows.keys().map(|table| (table.clone(), least(self, table).min(least(other, table)))).collect();
            met.parts.insert(*transaction, both);
        }
        met.settle();
        met
    }

    /// What was delivered at either.
    pub(super) fn join(&self, other: &Self) -> Self {
        match self.generation.cmp(&other.generation) {
            std::cmp::Ordering::Less => return other.clone(),
            std::cmp::Ordering::Greater => return self.clone(),
            std::cmp::Ordering::Equal => {}
        }
        let mut joined = Self { below: self.below.max(other.below), ..Self::beginning(self.seed, self.generation) };
        joined.above = self.above.union(&other.above).copied().collect();
        for (transaction, rows) in self.parts.iter().chain(&other.parts) {
            let most = joined.parts.entry(*transaction).or_default();
            for (table, rows) in rows {
                let delivered = most.entry(table.clone()).or_default();
                *delivered = (*delivered).max(*rows);
            }
        }
        joined.settle();
        joined
    }
}
