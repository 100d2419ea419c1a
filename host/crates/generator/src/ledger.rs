//! Places of the generator: the number of the next change, which follows from the seed. So they are in one order.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, LanePlace, Offset, Transaction},
};
use sluicegate_source::Ledger;

/// The generator's only lane.
pub(super) const LANE: &str = "generator";

/// A place: `{"seed":7,"change":1024}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    pub(super) seed: u64,
    /// Number of the next change, from 0.
    pub(super) change: u64,
}

impl LanePlace for Place {
    fn to_json(&self) -> String {
        format!("{{\"seed\":{},\"change\":{}}}", self.seed, self.change)
    }
}

impl Place {
    /// The place that an offset holds, or that its text says.
    pub(super) fn of(offset: &Offset) -> Result<Self> {
        if let Some(place) = offset.place::<Self>() {
            return Ok(*place);
        }
        serde_json::from_str(&offset.to_json()).map_err(|e| {
            Error::new(ErrorKind::State, "the checkpoint holds no position of the generator")
                .caused_by(e)
                .remedy("Give this pipeline a state file of its own, or remove the file to begin anew.")
        })
    }
}

/// Compares numbers of changes.
#[derive(Debug)]
pub(super) struct Changes;

impl Ledger for Changes {
    fn had(&self, offset: &Offset, batch: &Batch) -> Result<Vec<Range<usize>>> {
        let next = Place::of(offset)?.change;
        // an event's position is the number of its first change
        let number = |change: &Change| batch.event(change).map_or(0, |(event, _)| event.position) + u64::from(change.row);
        let had = batch.changes.partition_point(|change| number(change) < next);
        Ok(if had == 0 { Vec::new() } else { vec![Range { start: 0, end: had }] })
    }

    fn had_whole(&self, _offset: &Offset, _transaction: &Transaction, _now: &Offset) -> Result<bool> {
        // all that it gives are rows
        Ok(false)
    }

    fn covers(&self, offset: &Offset, other: &Offset) -> Result<bool> {
        Ok(Place::of(offset)?.change >= Place::of(other)?.change)
    }

    fn join(&self, offset: &Offset, other: &Offset) -> Result<Offset> {
        let (one, two) = (Place::of(offset)?, Place::of(other)?);
        Ok(Offset::new(if one.change >= two.change { one } else { two }))
    }

    fn check(&self, lane: &str, offset: &Offset) -> Result<()> {
        if lane != LANE {
            return Err(
                Error::new(ErrorKind::State, format!("the generator has no lane `{lane}`")).remedy(format!("Its only lane is `{LANE}`."))
            );
        }
        Place::of(offset).map(|_| ()).map_err(|e| e.remedy("Write the place as `sluicegate checkpoint show` prints it."))
    }
}
