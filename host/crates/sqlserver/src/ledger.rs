//! How places of tracked tables compare.

use std::ops::Range;

use super::place::{self, Copied, CtPlace};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Offset, Operation, Transaction},
};
use sluicegate_source::Ledger;

/// The ledger of Change Tracking.
#[derive(Debug)]
pub(super) struct Versions;

impl Ledger for Versions {
    fn had(&self, offset: &Offset, batch: &Batch) -> Result<Vec<Range<usize>>> {
        let (sink, stream) = (CtPlace::of(offset)?, CtPlace::of(&batch.offset)?);
        let all = 0..batch.changes.len();
        if all.is_empty() || sink.generation < stream.generation {
            return Ok(Vec::new());
        }
        if sink.generation > stream.generation {
            return Ok(vec![all]);
        }
        // a batch of a copy holds nothing else
        if batch.changes.iter().all(|change| change.operation == Operation::Snapshot) {
            // the last batch says that all is copied, also where it ends before the key of the sink
            let is_before = match (&sink.copied, &stream.ahead) {
                (Copied::Key(key), Some(ahead)) => ahead.copied.contains(key),
                _ => false,
            };
            return Ok(if is_before || sink.covers_copy(&stream)? { vec![all] } else { Vec::new() });
        }
        // the version of which the sink has a part; no batch crosses that part's end
        let part = match &sink.inside {
            Some(inside) if stream.ahead.as_ref().is_some_and(|ahead| ahead.inside.contains(inside)) => Some(inside.version),
            Some(inside) if stream.inside.as_ref() == Some(inside) => Some(inside.version),
            _ => None,
        };
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (at, change) in batch.changes.iter().enumerate() {
            let version = batch.event(change).map_or(i64::MAX, |(_, transaction)| transaction.position.cast_signed());
            if version <= sink.version || Some(version) == part {
                match ranges.last_mut() {
                    Some(last) if last.end == at => last.end += 1,
                    _ => ranges.push(at..at + 1),
                }
            }
        }
        Ok(ranges)
    }

    fn had_whole(&self, offset: &Offset, transaction: &Transaction, _now: &Offset) -> Result<bool> {
        // the position of the transaction that empties a table is the generation that begins with it
        Ok(u64::from(CtPlace::of(offset)?.generation) >= transaction.position)
    }

    fn covers(&self, offset: &Offset, other: &Offset) -> Result<bool> {
        CtPlace::of(offset)?.covers(&*CtPlace::of(other)?)
    }

    fn join(&self, offset: &Offset, other: &Offset) -> Result<Offset> {
        Ok(Offset::new(CtPlace::of(offset)?.join(&*CtPlace::of(other)?)?))
    }

    fn check(&self, lane: &str, offset: &Offset) -> Result<()> {
        if place::table_of(lane).is_none() {
            return Err(Error::new(ErrorKind::State, format!("{lane} is not a lane of a table with Change Tracking"))
                .remedy("Use the state file that belongs to this pipeline, or a new one."));
        }
        CtPlace::of(offset).map(|_| ())
    }
}
