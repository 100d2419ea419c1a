//! How far a dead-letter file has been replayed: in bytes, and in which file, because it may be moved away and begun anew.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, LanePlace, Offset, Transaction},
};
use sluicegate_source::Ledger;

/// The only lane of a file of letters.
pub(super) const LANE: &str = "letters";

/// A place: `{"file":"8f14e45fceea167a","offset":2048}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LetterPlace {
    /// A hash of the file's first letter.
    pub file: String,
    /// Where the next letter begins.
    pub offset: u64,
}

impl LanePlace for LetterPlace {
    fn to_json(&self) -> String {
        format!("{{\"file\":\"{}\",\"offset\":{}}}", self.file, self.offset)
    }
}

impl LetterPlace {
    /// The place that an offset holds, or that its text says.
    pub fn of(offset: &Offset) -> Result<Self> {
        if let Some(place) = offset.place::<Self>() {
            return Ok(place.clone());
        }
        serde_json::from_str(&offset.to_json()).map_err(|e| {
            Error::new(ErrorKind::State, "the checkpoint of a replay holds no place in a file of letters")
                .caused_by(e)
                .remedy("run the version of the program that wrote it")
        })
    }
}

/// Compares places in one file.
#[derive(Debug)]
pub(super) struct InOneFile;

impl Ledger for InOneFile {
    fn had(&self, offset: &Offset, batch: &Batch) -> Result<Vec<Range<usize>>> {
        let next = LetterPlace::of(offset)?.offset;
        // where its letter begins: the position is that of the change in the source's log
        let begin = |change: &Change| batch.event(change).map_or(0, |(event, _)| event.rows_before);
        let had = batch.changes.partition_point(|change| begin(change) < next);
        Ok(if had == 0 { Vec::new() } else { vec![Range { start: 0, end: had }] })
    }

    fn had_whole(&self, _offset: &Offset, _transaction: &Transaction, _now: &Offset) -> Result<bool> {
        // all that it gives are rows
        Ok(false)
    }

    fn covers(&self, offset: &Offset, other: &Offset) -> Result<bool> {
        Ok(LetterPlace::of(offset)?.offset >= LetterPlace::of(other)?.offset)
    }

    fn join(&self, offset: &Offset, other: &Offset) -> Result<Offset> {
        let (one, two) = (LetterPlace::of(offset)?, LetterPlace::of(other)?);
        Ok(Offset::new(if one.offset >= two.offset { one } else { two }))
    }

    fn check(&self, lane: &str, offset: &Offset) -> Result<()> {
        if lane != LANE {
            return Err(Error::new(ErrorKind::State, format!("a file of letters has no lane `{lane}`"))
                .remedy(format!("its only lane is `{LANE}`")));
        }
        LetterPlace::of(offset).map(drop)
    }
}
